"""How real generated gaits are: mechanics, ranges, variability, and distances to what people do."""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _distances import NUM_HALVINGS, distance_tables
from _drawing import draw
from _record import record, table
from _windows_of_gait import (
    ACTIVITIES,
    ANGLES,
    STEP_SPREADS,
    Collection,
    Window,
    generated_window,
    mean_vertical,
    real_windows,
    residuals_pct,
    sliding_m_s,
    speed_m_s,
    step_spreads,
)

from gaitdynamics.apps.generate_files import scaled_body
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.study import read_study
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.draw_gait import load_gait_sampler
from gaitdynamics.tasks.estimators import Estimator, load_estimator
from gaitdynamics.tasks.generate_gait import StateSampler, Wish, generate_gaits
from gaitdynamics.training.info import read_index
from gaitdynamics.units import DEGREES_PER_RADIAN

DURATION_S = 5.0
SPEED_JITTER = 0.03  # of the speed


@dataclass(frozen=True)
class Person:
    """Whom to generate a gait for."""

    speed_m_s: float
    height_m: float
    mass_kg: float
    activity: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that 'gaitdynamics data build' wrote of the study")
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--num", type=int, default=200, help="gaits to generate (default: 200)")
    parser.add_argument("--completion", default="starter_diffusion", help="the generative model")
    parser.add_argument("--weights", default="starter", help="the estimator of forces")
    parser.add_argument("--figure", type=Path, help="also draw generated gaits over real ones, to this PNG")
    arguments = parser.parse_args()

    estimator = load_estimator(arguments.weights)
    sampler = load_gait_sampler(arguments.completion)
    index = read_index(arguments.data)
    study = read_study(arguments.study)
    people = people_like(index, arguments.num, seed=0)
    generated, failures = generate(people, sampler, estimator)
    windows = {
        split: list(real_windows([t for t in study if t.split == split], estimator))
        for split in ("train", "validation")
    }
    states = {split: real_states(arguments.data, index, split) for split in windows}
    measured = Collection("training people, measured", windows["train"], lambda w: w.measured, states["train"])
    estimated = Collection("training people, estimated", windows["train"], lambda w: w.estimated, states["train"])
    held_out = Collection(
        "validation people, measured", windows["validation"], lambda w: w.measured, states["validation"]
    )
    ours = Collection("generated", generated, lambda w: w.estimated, states_of(generated))

    asked = {f"generated/{k}": person for k, person in enumerate(people)}
    laws, law_figures = laws_table([measured, estimated, held_out, ours], asked)
    ranges, range_figures = range_table(measured, [held_out, ours])
    spreads, spread_figures = spread_table(measured, ours)
    distances, distance_figures = distance_tables(measured, estimated, held_out, ours)
    text = "\n\n".join(
        [
            "# Generated gaits",
            f"{len(generated)} gaits of {DURATION_S:g} s, half walking and half running, for bodies and speeds drawn "
            f"from the training people; {failures} more could not be estimated. Forces of generated gaits are "
            f"estimated with `{arguments.weights}` from the motion, as `gaitdynamics generate` writes them.",
            "## Mechanics",
            "Medians over windows of up to 5 s (90th percentile). Mean vertical force over whole strides. Residual: "
            "total force minus mass times (acceleration of the centre of mass minus gravity), and total moment about "
            "the centre of mass minus the rate of angular momentum, both below 8 Hz, root mean square.",
            laws,
            "## Range of joint angles",
            "Share of frames, %, in which an angle lies outside all that was measured of the training people.",
            ranges,
            "## Variability from step to step",
            "Standard deviation over the steps of a window, each foot for itself. Real: training people with at least "
            "five steps in a row.",
            spreads,
            "## Distances",
            f"Halves: training people, split by hash, {NUM_HALVINGS} times; the mean. Every person, or generated gait, "
            "counts alike, and as many generated gaits are taken as there are people in a half. Per channel: "
            "1-D Wasserstein distance in standard deviations of the training people. Kinetics: Fréchet distance "
            "between Gaussians of eight standardised features of a stance (vertical force: peak, at mid-stance, "
            "impulse, steepest rise; contact time; peak braking and propulsion; medial impulse).",
            distances,
        ]
    )
    figures = {
        "mechanics": law_figures,
        "ranges": range_figures,
        "variability": spread_figures,
        "distances": distance_figures,
        "failures": failures,
    }
    record("generated", text, figures=figures)
    if arguments.figure is not None:
        draw(arguments.figure, measured, ours)


def people_like(index: dict[str, Any], num: int, *, seed: int) -> list[Person]:
    """Bodies and speeds of training people, walking and running by turns; each person as likely as another."""
    rng = np.random.default_rng(seed)
    recordings: dict[str, dict[str, list[dict[str, Any]]]] = {activity: defaultdict(list) for activity in ACTIVITIES}
    for each in index["recordings"]:
        if each["variant"] == 0 and each["split"] == "train" and each["activity"] in ACTIVITIES:
            recordings[each["activity"]][each["group"]].append(each)
    found = []
    for k in range(num):
        activity = ACTIVITIES[k % 2]
        groups = sorted(recordings[activity])
        own = recordings[activity][groups[rng.integers(len(groups))]]
        chosen = own[rng.integers(len(own))]
        speed = chosen["speed_m_s"] * (1 + SPEED_JITTER * rng.standard_normal())
        found.append(Person(float(speed), chosen["height_m"], chosen["mass_kg"], activity))
    return found


def generate(people: Sequence[Person], sampler: StateSampler, estimator: Estimator) -> tuple[list[Window], int]:
    """One gait of each; and how many had no forces."""
    windows, failures = [], 0
    for k, person in enumerate(people):
        body, _ = scaled_body(height_m=person.height_m, mass_kg=person.mass_kg)
        wish = Wish(person.speed_m_s, person.activity, DURATION_S)
        try:
            (gait,) = generate_gaits(
                body.skeleton, body.subject, wish, num=1, sampler=sampler, estimator=estimator, seed=k
            )
        except GaitDynamicsError:
            failures += 1
            continue
        windows.append(generated_window(gait, person=f"generated/{k}", activity=person.activity))
    return windows, failures


def real_states(data: Path, index: dict[str, Any], split: str) -> dict[str, dict[str, np.ndarray]]:
    """States of a split's people, NaN where not known; forces where they are valid."""
    forces = np.concatenate([GAIT[group] for group in GAIT.groups if group.startswith(("force", "press", "free"))])
    found: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for each in index["recordings"]:
        if each["variant"] == 0 and each["split"] == split:
            rows = slice(each["start"], each["start"] + each["num_frames"])
            block, valid = (
                np.load(data / f"{name}-{each['shard']:03d}.npy", mmap_mode="r")[rows].astype(np.float64)
                for name in ("gait", "valid")
            )
            block[:, (block == 0.0).all(axis=0)] = np.nan
            block[np.ix_(valid[:, 0] == 0.0, forces)] = np.nan
            found[each["activity"]][each["group"]] += [block, np.full((1, len(GAIT)), np.nan)]  # a seam
    return {a: {person: np.concatenate(parts) for person, parts in sorted(of.items())} for a, of in found.items()}


def states_of(windows: Sequence[Window]) -> dict[str, dict[str, np.ndarray]]:
    """States of generated gaits, from the motions and forces that a user gets."""
    found: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for window in windows:
        state, _ = encode(replace(window.trial, forces=window.estimated.inside, belt_speed_m_s=window.belt_speed_m_s))
        found[window.activity][window.person] = state.values
    return found


def laws_table(collections: Sequence[Collection], asked: dict[str, Person]) -> tuple[str, dict[str, Any]]:
    headers = ["", "gait", "windows", "vertical mean, BW", "off 1 BW, %", "force residual, % BW"]
    headers += ["moment residual, % BW height", "sliding, m/s", "speed error, m/s"]
    rows, figures = [], {}
    for collection in collections:
        for activity in ACTIVITIES:
            of = collection.of(activity)
            if not of:
                continue
            means = np.array([mean_vertical(*each) for each in of])
            residuals = np.array([residuals_pct(*each) for each in of])
            sliding = np.array([sliding_m_s(*each) for each in of])
            missed = [abs(speed_m_s(w) - asked[w.person].speed_m_s) for w, _ in of if w.person in asked]
            row = {
                "windows": len(of),
                "mean_vertical_bw": float(np.nanmean(means)),
                "off_pct": _spread(100 * np.abs(means - 1)),
                "force_residual_pct_bw": _spread(residuals[:, 0]),
                "moment_residual_pct_bw_height": _spread(residuals[:, 1]),
                "sliding_m_s": _spread(sliding),
                "speed_error_m_s": _spread(np.array(missed)) if missed else None,
            }
            figures[f"{collection.name}, {activity}"] = row
            rows.append(
                [
                    collection.name,
                    activity,
                    len(of),
                    f"{row['mean_vertical_bw']:.3f}",
                    _shown(row["off_pct"], 1),
                    _shown(row["force_residual_pct_bw"], 1),
                    _shown(row["moment_residual_pct_bw_height"], 1),
                    _shown(row["sliding_m_s"], 3),
                    _shown(row["speed_error_m_s"], 2),
                ]
            )
    return table(headers, rows), figures


def range_table(reference: Collection, others: Sequence[Collection]) -> tuple[str, dict[str, Any]]:
    everybody = np.concatenate([block for of in reference.states.values() for block in of.values()])
    columns = np.concatenate([GAIT[name] for name in ANGLES])
    low, high = np.nanmin(everybody[:, columns], axis=0), np.nanmax(everybody[:, columns], axis=0)
    rows, figures, shares = [], {}, []
    for other in others:
        for activity, of in other.states.items():
            block = np.concatenate(list(of.values()))[:, columns]
            block = block[np.isfinite(block).any(axis=1)]
            is_outside = (block < low) | (block > high)
            shares.append(100 * is_outside.mean(axis=0))
            figures[f"{other.name}, {activity}"] = {
                "any_pct": float(100 * is_outside.any(axis=1).mean()),
                "by_channel_pct": dict(zip(ANGLES, shares[-1].tolist(), strict=True)),
            }
    rows.append(["any of them", "", *(figure["any_pct"] for figure in figures.values())])
    for k, name in enumerate(ANGLES):
        if max(share[k] for share in shares) > 0.0:
            degrees = f"{low[k] * DEGREES_PER_RADIAN:.0f} to {high[k] * DEGREES_PER_RADIAN:.0f}°"
            rows.append([name, degrees, *(float(share[k]) for share in shares)])
    return table(["angle", "training people", *figures], rows), figures


def spread_table(real: Collection, generated: Collection) -> tuple[str, dict[str, Any]]:
    rows, figures = [], {}
    for activity in ACTIVITIES:
        of_people, of_generated = (
            np.array([s for window, forces in c.of(activity) if (s := step_spreads(window, forces)) is not None])
            for c in (real, generated)
        )
        if not len(of_people) or not len(of_generated):
            continue
        for k, name in enumerate(STEP_SPREADS):
            low, high = of_people[:, k].min(), of_people[:, k].max()
            inside = float(100 * ((of_generated[:, k] >= low) & (of_generated[:, k] <= high)).mean())
            figures[f"{activity}, {name}"] = {
                "real": [float(low), float(np.median(of_people[:, k])), float(high)],
                "generated_median": float(np.median(of_generated[:, k])),
                "generated_above_pct": float(100 * (of_generated[:, k] > high).mean()),
                "within_pct": inside,
            }
            rows.append(
                [
                    f"{activity}: {name}",
                    len(of_people),
                    f"{np.median(of_people[:, k]):.4f} ({low:.4f} to {high:.4f})",
                    len(of_generated),
                    f"{np.median(of_generated[:, k]):.4f}",
                    inside,
                    figures[f"{activity}, {name}"]["generated_above_pct"],
                ]
            )
    headers = [
        "",
        "windows",
        "real: median (range)",
        "gaits",
        "generated: median",
        "within the range, %",
        "above it, %",
    ]
    return table(headers, rows, digits=1), figures


def _spread(values: np.ndarray) -> list[float] | None:
    finite = values[np.isfinite(values)]
    return [float(np.median(finite)), float(np.percentile(finite, 90))] if len(finite) else None


def _shown(pair: list[float] | None, digits: int) -> str:
    return "–" if pair is None else f"{pair[0]:.{digits}f} ({pair[1]:.{digits}f})"


if __name__ == "__main__":
    main()
