"""How far generated gaits lie from what people do, beside how far people lie from other people."""

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
from _record import table
from _windows_of_gait import ACTIVITIES, ANGLES, Collection, kinetic_features
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

from gaitdynamics.state.layout import GAIT

FRAMES_OF_PERSON = 300
STANCES_OF_PERSON = 8
NUM_HALVINGS = 6
FURTHEST = 8  # channels that are named


def distance_tables(
    measured: Collection, estimated: Collection, held_out: Collection, generated: Collection
) -> tuple[str, dict[str, Any]]:
    rows: list[list[object]] = []
    figures: dict[str, Any] = {}
    channel_rows: list[list[object]] = []
    for activity in ACTIVITIES:
        totals: dict[str, list[np.ndarray]] = defaultdict(list)
        kinetics: dict[str, list[float]] = defaultdict(list)
        scale = np.nanstd(_even(measured.states[activity], FRAMES_OF_PERSON, seed=0), axis=0)
        features = {c.name: _features(c, activity) for c in (measured, estimated, held_out, generated)}
        unit = np.concatenate(list(features[measured.name].values())).std(axis=0)
        for k in range(NUM_HALVINGS):
            half_a, half_b = _halves(measured.states[activity], salt=k)
            size = min(len(half_a), len(half_b))
            others = {
                "people B": half_b,
                held_out.name: held_out.states[activity],
                generated.name: _some(generated.states[activity], size, seed=k),
            }
            first = _even(half_a, FRAMES_OF_PERSON, seed=k)
            for name, states in others.items():
                totals[name].append(_channel_distances(first, _even(states, FRAMES_OF_PERSON, seed=k + 100)) / scale)
            half_a, half_b = _halves(features[measured.name], salt=k)
            size = min(len(half_a), len(half_b))
            of_b = {person: rows for person, rows in features[estimated.name].items() if person in half_b}
            others = {
                "people B": half_b,
                "people B, forces estimated": of_b,
                generated.name: _some(features[generated.name], size, seed=k),
            }
            first = _even(half_a, STANCES_OF_PERSON, seed=k) / unit
            for name, of in others.items():
                kinetics[name].append(frechet(first, _even(of, STANCES_OF_PERSON, seed=k + 100) / unit))
        for name in {**totals, **kinetics}:
            channels = np.mean(totals[name], axis=0) if name in totals else None
            joint = None if channels is None else float(np.nanmean(channels[_angle_columns()]))
            force = None if channels is None else float(np.nanmean(channels[_force_columns()]))
            all_ = None if channels is None else float(np.nanmean(channels[_comparable_columns()]))
            kinetic = float(np.mean(kinetics[name])) if name in kinetics else None
            rows.append([f"{activity}: people A and {name}", joint, force, all_, kinetic])
            figures[f"{activity}, {name}"] = {
                "angles": joint,
                "forces": force,
                "all_channels": all_,
                "kinetic_frechet": kinetic,
                "by_channel": None
                if channels is None
                else {n: None if np.isnan(v) else float(v) for n, v in zip(GAIT.names, channels.tolist(), strict=True)},
            }
        of_b, of_ours = (np.mean(totals[name], axis=0) for name in ("people B", generated.name))
        comparable = _comparable_columns()
        furthest = comparable[np.argsort(-np.nan_to_num(of_ours[comparable]))[:FURTHEST]]
        channel_rows += [[f"{activity}: {GAIT.names[i]}", float(of_b[i]), float(of_ours[i])] for i in furthest]
    first_table = table(["mean over", "joint angles", "forces", "all channels", "kinetics, Fréchet"], rows)
    second = table(["the channels furthest apart", "A and B", "A and generated"], channel_rows)
    return f"{first_table}\n\n{second}", figures


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance of the Gaussians of two samples (Dowson and Landau 1982, J Multivar Anal 12:450)."""
    a, b = np.cov(first.T), np.cov(second.T)
    mixed = sqrtm(a @ b)
    return float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum() + np.trace(a + b - 2 * np.real(mixed)))


def _features(collection: Collection, activity: str) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for window, forces in collection.of(activity):
        rows = kinetic_features(window, forces)
        if len(rows):
            found[window.person].append(rows)
    return {person: np.concatenate(parts) for person, parts in found.items()}


def _halves(people: dict[str, np.ndarray], *, salt: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    def side(person: str) -> bool:
        return hashlib.sha256(f"{salt}/{person}".encode()).digest()[0] % 2 == 0

    return {p: v for p, v in people.items() if side(p)}, {p: v for p, v in people.items() if not side(p)}


def _some(people: dict[str, np.ndarray], num: int, *, seed: int) -> dict[str, np.ndarray]:
    names = sorted(people)
    chosen = np.random.default_rng(seed).permutation(len(names))[:num]
    return {names[k]: people[names[k]] for k in chosen}


def _even(people: dict[str, np.ndarray], num: int, *, seed: int) -> np.ndarray:
    """As many rows of each person, drawn with repetition where one has fewer."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rows[rng.choice(len(rows), num, replace=len(rows) < num)] for rows in people.values()])


def _channel_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    distances = []
    for a, b in zip(first.T, second.T, strict=True):
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        distances.append(wasserstein_distance(a, b) if len(a) and len(b) else np.nan)
    return np.array(distances)


def _angle_columns() -> np.ndarray:
    return np.concatenate([GAIT[name] for name in ANGLES])


def _comparable_columns() -> np.ndarray:
    """All but what a knee does beside bending, which is the model's to say."""
    return np.array([i for i, c in enumerate(GAIT.channels) if not c.group.startswith("knee") or c.name in ANGLES])


def _force_columns() -> np.ndarray:
    return np.concatenate([GAIT["force_right"], GAIT["force_left"]])
