"""Whether what was hidden lies in the intervals of its completion, and forces in theirs: nine times of ten."""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _record import record, table

from gaitdynamics.errors import GaitDynamicsError, UnknownCoordinateError
from gaitdynamics.io.study import read_study
from gaitdynamics.state.codec import decode_motion
from gaitdynamics.state.frame import ModelFrame
from gaitdynamics.state.links import pelvis_columns
from gaitdynamics.state.parts import coordinates_of_parts
from gaitdynamics.tasks.completed_forces import FORCE_WIDTH, completed_trial, estimate_completed
from gaitdynamics.tasks.estimators import Estimator, load_completer, load_estimator
from gaitdynamics.tasks.fill_motion import (
    DEFAULT_SAMPLES,
    WIDTH,
    Completion,
    MotionCompleter,
    constant_half_widths,
    spread_between,
)
from gaitdynamics.training.evaluate import TrialErrors, averages, interval_coverage
from gaitdynamics.training.masked_evaluation import LONGEST_S, Prepared, PreparedTrial, prepare
from gaitdynamics.training.masks import MASKS, Mask, NothingHiddenError
from gaitdynamics.types.prediction import ForceInterval, Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN

CHOSEN = ("trunk", "pelvis", "hips", "knees", "ankles", "one_leg", "gap_200ms", "gap_500ms")
PARTS = {
    "pelvis": "pelvis_orientation",
    "trunk": "trunk",
    "hip": "hips",
    "knee": "knees",
    "ankle": "ankles",
    "pelvis' place": "pelvis_position",
}
HEIGHT = "pelvis' height"
ANGLES = tuple(PARTS)[:5]
PLACES = ("pelvis' place", HEIGHT)
KINDS = (*ANGLES, *PLACES)
WIDTHS = np.round(np.arange(0.0, 12.01, 0.1), 1)  # that are tried
WANTED_PCT, GOOD_PCT = 90.0, (87.0, 93.0)

WITHIN, WITHIN_PLACES, FORCES = "angles_within_pct", "places_within_pct", "forces_within_pct"
RMSE, HALF = "rmse_deg", "half_width_deg"
OF_KINDS = tuple(f"{kind} within, %" for kind in KINDS)
OF_WIDTHS = tuple(f"angles at {width}" for width in WIDTHS)
OF_FORCE_WIDTHS = tuple(f"forces at {width}" for width in WIDTHS)
FIGURES = (WITHIN, WITHIN_PLACES, FORCES, RMSE, HALF, *OF_KINDS, *OF_WIDTHS, *OF_FORCE_WIDTHS)


@dataclass(frozen=True)
class Filled:
    """Values of one kind that were hidden and completed; radians or metres, (N,).

    Args:
        error: true minus completed.
        spread: standard deviation between samples.
        constant: what the interval has besides, half-width.
    """

    error: np.ndarray
    spread: np.ndarray
    constant: np.ndarray

    def half(self, width: float = WIDTH) -> np.ndarray:
        """Of the interval, were this the factor of the spread, (N,)."""
        return np.hypot(width * self.spread, self.constant)

    def within(self, width: float = WIDTH) -> np.ndarray:
        """Whether the truth would lie in it, (N,)."""
        return np.abs(self.error) <= self.half(width)


@dataclass(frozen=True)
class Setting:
    """What every process needs."""

    study: Path
    split: str
    completion: str
    weights: str
    samples: int
    longest_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    parser.add_argument("--completion", default="starter_diffusion", help="the model of gait, a name or folder")
    parser.add_argument("--weights", default="starter", help="the force model (default: starter)")
    parser.add_argument("--samples", type=int, default=DEFAULT_SAMPLES, help=f"default: {DEFAULT_SAMPLES}")
    parser.add_argument("--masks", default=",".join(CHOSEN), help="with commas; a part of them is printed only")
    parser.add_argument(
        "--longest-s", type=float, default=LONGEST_S, help=f"of each trial looked at (default: {LONGEST_S:g})"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    arguments = parser.parse_args()
    setting = Setting(
        study=arguments.study,
        split=arguments.split,
        completion=arguments.completion,
        weights=arguments.weights,
        samples=arguments.samples,
        longest_s=arguments.longest_s,
    )
    masks = arguments.masks.split(",")
    results = {}
    with ProcessPoolExecutor(
        arguments.jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(setting,)
    ) as pool:
        for mask, result in zip(masks, pool.map(_measure, masks), strict=True):
            results[mask] = result
            print(f"{mask}: {_figure(result['overall'][WITHIN])} % of angles", flush=True)
    text = _report(results, setting)
    if tuple(masks) != CHOSEN or setting.split != "validation":
        print(text)  # for looking at
        return
    record("completion_intervals", f"# Intervals of completed motions\n\n{text}")


_started: list[tuple[Setting, Prepared, MotionCompleter, Estimator]] = []


def _start(setting: Setting) -> None:
    torch.set_num_threads(1)
    prepared = prepare(read_study(setting.study), split=setting.split, longest_s=setting.longest_s)
    _started.append((setting, prepared, load_completer(setting.completion), load_estimator(setting.weights)))


def _measure(name: str) -> dict[str, Any]:
    ((setting, prepared, completer, estimator),) = _started
    errors, num_failed = [], 0
    for each in prepared.trials:
        try:
            values = _of_trial(
                each, mask=MASKS[name], completer=completer, estimator=estimator, num_samples=setting.samples
            )
        except NothingHiddenError:
            continue
        except GaitDynamicsError:
            num_failed += 1
            continue
        errors.append(TrialErrors(each.study_trial, values))
    return {**averages(errors, FIGURES), "num_trials": len(errors), "num_failed": num_failed}


def _of_trial(
    prepared: PreparedTrial, *, mask: Mask, completer: MotionCompleter, estimator: Estimator, num_samples: int
) -> np.ndarray:
    """In the order of FIGURES; NaN where there is none."""
    masked = mask.applied(prepared.trial, prepared.study_trial.forces_valid_s)
    prediction, completion = estimate_completed(
        replace(masked, forces=None), completer=completer, estimator=estimator, num_samples=num_samples
    )
    if completion is None:
        raise NothingHiddenError(f"{masked.name}: nothing was completed.")
    filled = filled_values(prepared, masked, completion)
    angles = [filled[kind] for kind in ANGLES if kind in filled]
    places = [filled[kind] for kind in PLACES if kind in filled]
    forces = force_coverage(prepared, masked, prediction, completion)
    return np.array(
        [
            _share(angles),
            _share(places),
            np.interp(FORCE_WIDTH, WIDTHS, forces),
            DEGREES_PER_RADIAN * _rms(np.concatenate([each.error for each in angles])) if angles else np.nan,
            DEGREES_PER_RADIAN * _rms(np.concatenate([each.half() for each in angles])) if angles else np.nan,
            *(_share([filled[kind]] if kind in filled else []) for kind in KINDS),
            *(_share(angles, width=width) for width in WIDTHS),
            *forces,
        ]
    )


def filled_values(prepared: PreparedTrial, masked: Trial, completion: Completion) -> dict[str, Filled]:
    """Beside the truth what was measured, hidden and completed, by kind.

    Where the pelvis was hidden throughout, nothing tells where the person starts and which way is forward: the measured
    motion is then taken to start and to face as the completed one does.
    """
    trial, skeleton = prepared.trial, prepared.trial.skeleton
    truth, middle = trial.motion.values, completion.motion.values
    if not is_placed(masked):
        moved = completed_trial(replace(trial, forces=None), completion)
        truth = decode_motion(prepared.state, ModelFrame.of(moved), moved).values
    if len(completion.samples) < 2:
        raise SystemExit("A single sample has no intervals: give more --samples.")
    spread = spread_between(completion.samples, completion.is_filled, sampling_rate_hz=trial.motion.sampling_rate_hz)
    constant = np.broadcast_to(constant_half_widths(skeleton, completion.is_filled), spread.shape)
    is_compared = completion.is_filled & trial.motion.observed
    found = {}
    for kind, names in _coordinates(skeleton).items():
        columns = [trial.motion.coordinates.index(name) for name in names]
        is_of_kind = is_compared[:, columns]
        if not is_of_kind.any():
            continue
        error = truth[:, columns] - middle[:, columns]
        if kind in ANGLES:
            error = np.angle(np.exp(1j * error))  # a full turn is none
        found[kind] = Filled(error[is_of_kind], spread[:, columns][is_of_kind], constant[:, columns][is_of_kind])
    return found


def force_coverage(
    prepared: PreparedTrial, masked: Trial, prediction: Prediction, completion: Completion
) -> np.ndarray:
    """Share of measured forces in their intervals, %, for every one of WIDTHS as the factor of the samples' spread."""
    trial, interval = prepared.trial, prediction.interval
    if trial.forces is None or interval is None:
        return np.full(len(WIDTHS), np.nan)
    if not is_placed(masked):
        frame = ModelFrame.of(completed_trial(replace(trial, forces=None), completion))
        force_n = frame.to_ground(prepared.frame.to_heading(trial.forces.force_n))
        trial = replace(trial, forces=replace(trial.forces, force_n=force_n))
    force_n, variance = prediction.forces.force_n, completion.force_spread_n**2
    # Below, a vertical interval is cut at zero; above it has its full width.
    own = np.maximum((interval.upper_n - force_n) ** 2 - FORCE_WIDTH**2 * variance, 0.0)
    shares = []
    for width in WIDTHS:
        half_n = np.sqrt(own + width**2 * variance)
        lower_n = force_n - half_n
        lower_n[..., 1] = np.maximum(lower_n[..., 1], 0.0)
        tried = ForceInterval(lower_n, force_n + half_n, interval.coverage)
        shares.append(interval_coverage(trial, prediction.forces.time_s, tried, prepared.study_trial.forces_valid_s))
    return np.array(shares)


def is_placed(masked: Trial) -> bool:
    """Whether anything tells where the person is and faces."""
    names = coordinates_of_parts(masked.skeleton, ["pelvis"])
    return bool(masked.motion.observed[:, [masked.motion.coordinates.index(name) for name in names]].any())


def _coordinates(skeleton: Skeleton) -> dict[str, tuple[str, ...]]:
    """By kind, as far as the model has them."""
    found = {}
    for kind, part in PARTS.items():
        try:
            found[kind] = coordinates_of_parts(skeleton, [part])
        except UnknownCoordinateError:
            continue  # a model without such a joint
    up = {skeleton.coordinate_names[column] for column in pelvis_columns(skeleton)["pelvis_height"]}
    place = found["pelvis' place"]
    return found | {
        "pelvis' place": tuple(name for name in place if name not in up),
        HEIGHT: tuple(name for name in place if name in up),
    }


def _share(filled: Sequence[Filled], *, width: float = WIDTH) -> float:
    return 100 * float(np.concatenate([each.within(width) for each in filled]).mean()) if filled else np.nan


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def _report(results: dict[str, dict[str, Any]], setting: Setting) -> str:
    def row(name: str, values: Sequence[dict[str, Any]]) -> list[str]:
        by_activity = [
            _figure(_mean([each["by_activity"].get(activity, {}).get(figure) for each in values]))
            for figure in (WITHIN, FORCES)
            for activity in ("walk", "run")
        ]
        angles, forces = (_mean([each["overall"][figure] for each in values]) for figure in (WITHIN, FORCES))
        return [
            name,
            *by_activity[:2],
            _figure(angles),
            *by_activity[2:],
            _figure(forces),
            *(_figure(_mean([each["overall"][figure] for each in values])) for figure in (RMSE, HALF)),
            _figure(factor_for(values, OF_WIDTHS)),
            _figure(factor_for(values, OF_FORCE_WIDTHS)),
        ]

    heads = [
        "hidden",
        *("angles: walk", "run", "all", "forces: walk", "run", "all"),
        *("RMS error, deg", "RMS half-width, deg", "WIDTH for 90 %", "FORCE_WIDTH for 90 %"),
    ]
    rows = [row(mask, [result]) for mask, result in results.items()]
    rows.append(row("mean", [*results.values()]))
    kinds = [
        [mask, *(_figure(result["overall"][figure], 0) for figure in OF_KINDS)] for mask, result in results.items()
    ]
    activities = [
        [f"{activity}: {mask}", *(_figure(values[figure], 0) for figure in OF_KINDS)]
        for activity in ("walk", "run")
        for mask, result in results.items()
        if (values := result["by_activity"].get(activity)) is not None
    ]
    failures = ", ".join(f"{mask} {result['num_failed']}" for mask, result in results.items() if result["num_failed"])
    num_trials = max(result["num_trials"] for result in results.values())
    low, high = GOOD_PCT
    return "\n\n".join(
        [
            f"{setting.samples} samples each; the first {setting.longest_s:g} s of at most {num_trials} trials "
            f"({setting.split} split); means of data sets and activities. Without a result: {failures or 'none'}.",
            f"Shares of true values within intervals of {WANTED_PCT:g} % confidence, %; {low:g} to {high:g} are aimed "
            "at. Angles are the model's coordinates that were measured, hidden and completed, without the pelvis' "
            "translations; forces are all components of both feet, swing included. The last columns are the factors "
            f"of the spread between samples with which {WANTED_PCT:g} % would lie within: WIDTH (now {WIDTH:g}) in "
            f"`tasks/fill_motion.py`, FORCE_WIDTH (now {FORCE_WIDTH:g}) in `tasks/completed_forces.py`; a dash where "
            f"no factor up to {WIDTHS[-1]:g} does.",
            table(heads, rows),
            "## By kind of value, %",
            "Where the pelvis was hidden throughout, its place and height are compared from the same start and in the "
            "same heading.",
            table(["hidden", *KINDS], kinds),
            "## By kind and activity, %",
            table(["hidden", *KINDS], activities),
        ]
    )


def factor_for(values: Sequence[dict[str, Any]], figures: Sequence[str]) -> float | None:
    """Of WIDTHS, interpolated: where the overall share reaches WANTED_PCT."""
    shares = [_mean([each["overall"][figure] for each in values]) for figure in figures]
    if shares[0] is None or max(shares) < WANTED_PCT:
        return None
    rising = np.maximum.accumulate(shares)
    above = int(np.argmax(rising >= WANTED_PCT))
    if above == 0:
        return float(WIDTHS[0])
    before, after = rising[above - 1], rising[above]
    step = (WANTED_PCT - before) / (after - before)
    return float(WIDTHS[above - 1] + step * (WIDTHS[above] - WIDTHS[above - 1]))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _figure(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
