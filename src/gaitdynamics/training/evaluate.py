"""How far estimated forces are from measured ones, person by person."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gaitdynamics.biomech.kinematics import forward_axis, pelvis_of, posed
from gaitdynamics.errors import GaitDynamicsError, InputFileError
from gaitdynamics.io.study import Interval, StudyTrial
from gaitdynamics.maths.rotations import heading_axes, median_heading
from gaitdynamics.maths.signals import interpolate, intervals
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evidence import lag_between, within
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import ForceInterval
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import MILLIMETRES_PER_METRE

METRICS = (
    "vertical_mae_pct_bw",
    "anteroposterior_mae_pct_bw",
    "mediolateral_mae_pct_bw",
    "vertical_peak_mae_pct_bw",
    "cop_mae_mm",
)
COVERAGE = "interval_coverage_pct"
FIGURES = (*METRICS, COVERAGE)  # the last only from an estimator with 90 % intervals
# Tan et al. 2026, Nature Biomedical Engineering, doi 10.1038/s41551-025-01565-8: full kinematics.
PUBLISHED = dict(zip(METRICS[:4], (3.14, 1.16, 0.70, 3.63), strict=True))
PUBLISHED_NOTE = (
    "V vertical, AP anterior-posterior, ML medio-lateral force, of each foot, swing included. "
    "Tan et al. 2026: the authors' published figures, for other datasets than these."
)
ALL_SPLITS = "all"
MIN_STANCE_S = 0.1
PEAK_MARGIN_S = 0.03  # a largest force nearer than this to where the valid forces are cut is not known to be a peak
LOADED_BW = 0.10  # vertical force above which the centre of pressure is compared


@dataclass(frozen=True)
class TrialErrors:
    """One trial's metrics, in the order of FIGURES (or whatever is averaged); NaN where it has none."""

    study_trial: StudyTrial
    values: np.ndarray


def evaluate_study(
    study_trials: Sequence[StudyTrial],
    *,
    split: str,
    weights: str,
    is_aligned: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure an estimator on a split of a study.

    Trials are averaged to people, people to rows (dataset and activity), rows to activities and to the overall figure.

    Args:
        split: as in the study's subjects; 'all' for every trial.
        weights: name or folder of the estimator, as `load_estimator` takes it.
        is_aligned: take each trial's lag between measured and estimated vertical force out first: how good the forces
            are if the clocks of plates and motion were one.
        report: told how many trials are done, of how many.

    Returns:
        JSON values: weights, split, is_aligned, rows, by_activity, overall, excluded.

    Raises:
        InputFileError: no such weights, or the study has no trial of that split.
    """
    estimator = load_estimator(weights)
    chosen = of_split(study_trials, split)
    errors, excluded = [], []
    for done, study_trial in enumerate(chosen):
        report(done, len(chosen))
        try:
            trial = load_trial(study_trial)
            prediction = estimator(trial)
            valid_s = study_trial.forces_valid_s
            if is_aligned:
                trial, valid_s = aligned(trial, prediction.forces, valid_s)
            values = force_errors(trial, prediction.forces, valid_s)
            coverage = interval_coverage(trial, prediction.forces.time_s, prediction.interval, valid_s)
            errors.append(TrialErrors(study_trial, np.append(values, coverage)))
        except GaitDynamicsError as error:
            excluded.append({"trial": study_trial.name, "reason": str(error)})
    report(len(chosen), len(chosen))
    return {
        "weights": weights,
        "split": split,
        "is_aligned": is_aligned,
        **averages(errors, FIGURES),
        "excluded": excluded,
    }


def aligned(trial: Trial, estimated: GroundReaction, valid_s: Sequence[Interval]) -> tuple[Trial, tuple[Interval, ...]]:
    """The trial and its valid intervals by the estimate's clock; as they are where no lag can be told."""
    measured = trial.forces
    if measured is None:
        return trial, tuple(valid_s)
    is_valid = within(measured.time_s, valid_s) & measured.valid.all(axis=1)
    body_weight_n = trial.subject.body_weight_n
    lag_s = lag_between(
        measured.force_n[is_valid].sum(axis=1)[:, 1:2] / body_weight_n,
        measured.time_s[is_valid],
        estimated.force_n.sum(axis=1)[:, 1:2] / body_weight_n,
        estimated.time_s,
    )
    if lag_s is None:
        return trial, tuple(valid_s)
    forces = replace(measured, time_s=measured.time_s - lag_s)
    return replace(trial, forces=forces), tuple((start - lag_s, end - lag_s) for start, end in valid_s)


def interval_coverage(
    trial: Trial, time_s: np.ndarray, interval: ForceInterval | None, valid_s: Sequence[Interval]
) -> float:
    """Share of valid measured forces that lie within the intervals, %, of stance and of swing; NaN without intervals.

    Args:
        time_s: of the intervals, (T,).
    """
    measured = trial.forces
    if interval is None or measured is None:
        return float("nan")
    is_valid = within(measured.time_s, valid_s) & measured.valid.all(axis=1)
    is_valid &= (measured.time_s >= time_s[0]) & (measured.time_s <= time_s[-1])
    lower, upper = (interpolate(bound, time_s, measured.time_s) for bound in (interval.lower_n, interval.upper_n))
    is_inside = (measured.force_n >= lower) & (measured.force_n <= upper)
    return float(100 * is_inside[is_valid].mean()) if is_valid.any() else float("nan")


@dataclass(frozen=True)
class Comparison:
    """Measured and estimated forces of one trial, side by side in heading axes, at the measured forces' times.

    Args:
        time_s: (T,).
        is_valid: frames that count, (T,).
        measured_bw, estimated_bw: body weights; forward, up, right; (T, 2, 3).
        cop_apart_m: horizontal distance of the centres of pressure, (T, 2).
        peaks_apart_bw: absolute error of each stance's largest vertical force.
    """

    time_s: np.ndarray
    is_valid: np.ndarray
    measured_bw: np.ndarray
    estimated_bw: np.ndarray
    cop_apart_m: np.ndarray
    peaks_apart_bw: tuple[float, ...]

    def errors(self) -> np.ndarray:
        """In the order of METRICS; NaN where there is none."""
        absolute_pct = 100 * np.abs(self.estimated_bw - self.measured_bw)[self.is_valid].mean(axis=(0, 1))
        is_loaded = self.is_valid[:, None] & (self.measured_bw[..., 1] > LOADED_BW)
        distance_m = self.cop_apart_m[is_loaded]
        return np.array(
            [
                *absolute_pct[[1, 0, 2]],
                100 * np.mean(self.peaks_apart_bw) if self.peaks_apart_bw else np.nan,
                MILLIMETRES_PER_METRE * distance_m.mean() if len(distance_m) else np.nan,
            ]
        )


def force_errors(trial: Trial, estimated: GroundReaction, valid_s: Sequence[Interval]) -> np.ndarray:
    """Errors of one trial over its valid intervals, both feet, swing included, in the order of METRICS.

    Raises:
        InputFileError: the trial has no measured force within its valid intervals.
    """
    return compared(trial, estimated, valid_s).errors()


def compared(
    trial: Trial, estimated: GroundReaction, valid_s: Sequence[Interval], *, elsewhere: Motion | None = None
) -> Comparison:
    """Measured beside estimated forces, both feet, swing included.

    Forward is the direction that the pelvis faces on the median over the valid frames.

    Args:
        trial: with measured forces.
        estimated: of the trial's motion.
        valid_s: where measured forces count.
        elsewhere: the motion that the forces were estimated for, if nothing told where the person is and faces. Then
            each force is taken in its own motion's heading, and each centre of pressure from where its own pelvis is
            on the mean.

    Raises:
        InputFileError: the trial has no measured force within its valid intervals.
    """
    measured = trial.forces
    if measured is None:
        raise InputFileError(f"{trial.name}: no measured forces to compare with.")
    is_valid = within(measured.time_s, valid_s) & measured.valid.all(axis=1)
    is_valid &= (measured.time_s >= estimated.time_s[0]) & (measured.time_s <= estimated.time_s[-1])
    if not is_valid.any():
        raise InputFileError(f"{trial.name}: no valid measured force while the motion lasts.")
    force_n = interpolate(estimated.force_n, estimated.time_s, measured.time_s)
    cop_m = interpolate(estimated.cop_m, estimated.time_s, measured.time_s)
    place_m, axes = _place_and_axes(trial, trial.motion, valid_s)
    own_place_m, own_axes = (place_m, axes) if elsewhere is None else _place_and_axes(trial, elsewhere, valid_s)
    apart_m = (cop_m - own_place_m) @ own_axes.T - (measured.cop_m - place_m) @ axes.T
    unit_n = trial.subject.body_weight_n
    return Comparison(
        time_s=measured.time_s,
        is_valid=is_valid,
        measured_bw=measured.force_n @ axes.T / unit_n,
        estimated_bw=force_n @ own_axes.T / unit_n,
        cop_apart_m=np.linalg.norm(apart_m[..., [0, 2]], axis=-1),
        peaks_apart_bw=tuple(error_n / unit_n for error_n in _peak_errors(force_n, measured, is_valid)),
    )


def _place_and_axes(trial: Trial, motion: Motion, valid_s: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray]:
    """Mean position of the pelvis (3,) and heading axes (3, 3) over the valid frames."""
    pose = posed(trial.skeleton, motion.values)
    in_valid = within(motion.time_s, valid_s)
    chosen = in_valid if in_valid.any() else np.ones_like(in_valid)
    pelvis_m = pose.origin_m[:, trial.skeleton.body_index[pelvis_of(trial.skeleton)]].numpy()
    axes = heading_axes(median_heading(forward_axis(trial.skeleton, pose)[chosen]))
    return pelvis_m[chosen].mean(axis=0), axes


def _peak_errors(force_n: np.ndarray, measured: GroundReaction, is_valid: np.ndarray) -> list[float]:
    """Absolute error of each stance's largest vertical force, where the valid interval does not cut the peak."""
    errors = []
    time = measured.time_s
    for foot in range(2):
        vertical = measured.force_n[:, foot, 1]
        for start, end in intervals(is_valid & (vertical > CONTACT_FORCE_N)):
            if time[end - 1] - time[start] < MIN_STANCE_S:
                continue
            peak_s = time[start + int(np.argmax(vertical[start:end]))]
            is_cut_before = start == 0 or vertical[start - 1] > CONTACT_FORCE_N
            is_cut_after = end == len(time) or vertical[end] > CONTACT_FORCE_N
            if (is_cut_before and peak_s - time[start] < PEAK_MARGIN_S) or (
                is_cut_after and time[end - 1] - peak_s < PEAK_MARGIN_S
            ):
                continue
            errors.append(abs(float(force_n[start:end, foot, 1].max() - vertical[start:end].max())))
    return errors


def of_split(study_trials: Sequence[StudyTrial], split: str) -> tuple[StudyTrial, ...]:
    """The trials of a split; 'all' for every trial.

    Raises:
        InputFileError: there is none.
    """
    chosen = tuple(trial for trial in study_trials if split in (ALL_SPLITS, trial.split))
    if not chosen:
        splits = sorted({trial.split for trial in study_trials if trial.split is not None})
        raise InputFileError(
            f"the study has no trials of split '{split}'. It has {', '.join(splits) or 'no splits'}; "
            f"'{ALL_SPLITS}' takes every trial."
        )
    return chosen


def averages(errors: Sequence[TrialErrors], figures: Sequence[str]) -> dict[str, Any]:
    """Trials averaged to people, people to rows (dataset and activity), rows to activities and to the overall figure.

    Args:
        errors: of the trials.
        figures: names of their values, in order.

    Returns:
        JSON values: rows, by_activity, overall.
    """
    rows = _rows(errors, figures)
    activities = sorted({row["activity"] for row in rows}, reverse=True)
    return {
        "rows": rows,
        "by_activity": {
            each: _mean_of([row for row in rows if row["activity"] == each], figures) for each in activities
        },
        "overall": _mean_of(rows, figures),
    }


def _rows(errors: Sequence[TrialErrors], figures: Sequence[str]) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str], dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for error in errors:
        study_trial = error.study_trial
        grouped[study_trial.dataset, study_trial.activity][study_trial.subject].append(error.values)
    rows = []
    for (dataset, activity), people in sorted(grouped.items(), key=lambda item: (item[0][1] != "walk", item[0])):
        means = _nanmean([_nanmean(values) for values in people.values()])
        rows.append(
            {
                "dataset": dataset,
                "activity": activity,
                "num_subjects": len(people),
                "num_trials": sum(len(values) for values in people.values()),
                **{metric: _figure(value) for metric, value in zip(figures, means, strict=True)},
            }
        )
    return rows


def _mean_of(rows: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> dict[str, float | None]:
    means = {}
    for metric in figures:
        values = [row[metric] for row in rows if row[metric] is not None]
        means[metric] = _figure(np.mean(values)) if values else None
    return means


def _nanmean(values: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.stack(values)
    count = np.isfinite(stacked).sum(axis=0)
    return np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan)


def _figure(value: Any) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
