"""How far forces, joint angles and feet are off when parts of a motion are hidden and completed again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gaitdynamics.biomech.anthropometry import trunk_joint
from gaitdynamics.biomech.kinematics import chain_between, chain_columns, leg_joints
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.study import Interval, StudyTrial
from gaitdynamics.maths.rotations import flexion_adduction_rotation
from gaitdynamics.maths.signals import interpolate
from gaitdynamics.state.codec import State, encode
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame, values_at_frames
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.parts import coordinates_of_parts
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.training.completions import Direct, Method, load_method
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import (
    FIGURES,
    Comparison,
    TrialErrors,
    averages,
    compared,
    interval_coverage,
    of_split,
)
from gaitdynamics.training.evidence import within
from gaitdynamics.training.masks import MASKS, NONE, Mask, NothingHiddenError, shortened
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, SIDE_NAMES, SIDES

JOINTS = ("pelvis", "trunk", "hip", "knee", "ankle")
GAP_FIGURES = (
    "gap_vertical_mae_pct_bw",
    "gap_anteroposterior_mae_pct_bw",
    "gap_mediolateral_mae_pct_bw",
    "gap_vertical_rmse_pct_bw",
)
ANGLE = "angle_rmse_deg"
ANGLE_FIGURES = (ANGLE, *(f"{joint}_angle_rmse_deg" for joint in JOINTS))
SLIDING, MEASURED_SLIDING = "foot_sliding_m_s", "measured_foot_sliding_m_s"
MASK_FIGURES = (*FIGURES, *GAP_FIGURES, *ANGLE_FIGURES, SLIDING, MEASURED_SLIDING)
AROUND_GAP_S = 0.05  # before and after a gap counts with it: forces need the motion's second derivative
LONGEST_S = 3.0  # of a trial's motion that a table of all masks and methods looks at: it takes an hour as it is

_GROUPS_OF_JOINT = {
    "pelvis": ("pelvis_rotation",),
    "trunk": ("lumbar",),
    **{joint: tuple(f"{joint}_{side}" for side in SIDE_NAMES) for joint in ("hip", "knee", "ankle")},
}


@dataclass(frozen=True)
class Prepared:
    """What does not depend on mask and method, of every trial of a split.

    Args:
        split: of the study.
        longest_s: of each trial's motion that is looked at; None for all of it.
        trials: as measured.
        unreadable: trials left out, with reasons.
    """

    split: str
    longest_s: float | None
    trials: tuple["PreparedTrial", ...]
    unreadable: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class PreparedTrial:
    """A trial as measured, and what its motion is compared by."""

    study_trial: StudyTrial
    trial: Trial
    state: State
    frame: ModelFrame
    foot_sliding_m_s: float


def prepare(study_trials: Sequence[StudyTrial], *, split: str, longest_s: float | None = None) -> Prepared:
    """Read the trials of a split.

    Args:
        split: as in the study's subjects; 'all' for every trial.
        longest_s: of each trial's motion to look at; all of it if not given.

    Raises:
        InputFileError: the study has no trial of that split.
    """
    trials, unreadable = [], []
    for study_trial in of_split(study_trials, split):
        try:
            trial = load_trial(study_trial)
            if longest_s is not None:
                trial = shortened(trial, study_trial.forces_valid_s, longest_s=longest_s)
            state, frame = encode(replace(trial, forces=None))
            sliding_m_s = _sliding(trial, frame, trial.motion, study_trial.forces_valid_s)
            trials.append(PreparedTrial(study_trial, trial, state, frame, sliding_m_s))
        except GaitDynamicsError as error:
            unreadable.append({"trial": study_trial.name, "reason": str(error)})
    return Prepared(split, longest_s, tuple(trials), tuple(unreadable))


def evaluate_mask(
    prepared: Prepared,
    *,
    mask: Mask,
    method: Method,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure a method on a split of a study with parts of every motion hidden from it.

    Args:
        prepared: the trials.
        mask: what is hidden.
        method: that completes them and estimates forces.
        seed: of gaps' places and of what a method draws.
        report: told how many trials are done, of how many.

    Returns:
        JSON values: mask, split, longest_s, seed; rows, by_activity and overall of MASK_FIGURES; num_trials and
        num_estimated; excluded (could not be estimated) and inapplicable (nothing to hide), with reasons; trials, one
        by one.
    """
    chosen = prepared.trials
    errors: list[TrialErrors] = []
    excluded, inapplicable = list(prepared.unreadable), []
    for done, each in enumerate(chosen):
        report(done, len(chosen))
        study_trial = each.study_trial
        try:
            errors.append(TrialErrors(study_trial, _errors(each, mask=mask, method=method, seed=seed)))
        except NothingHiddenError as error:
            inapplicable.append({"trial": study_trial.name, "reason": str(error)})
        except GaitDynamicsError as error:
            excluded.append({"trial": study_trial.name, "reason": str(error)})
    report(len(chosen), len(chosen))
    return {
        "mask": mask.name,
        "split": prepared.split,
        "longest_s": prepared.longest_s,
        "seed": seed,
        "num_trials": len(chosen) + len(prepared.unreadable) - len(inapplicable),
        "num_estimated": len(errors),
        **averages(errors, MASK_FIGURES),
        "excluded": excluded,
        "inapplicable": inapplicable,
        "trials": {
            error.study_trial.name: {
                figure: float(value)
                for figure, value in zip(MASK_FIGURES, error.values, strict=True)
                if np.isfinite(value)
            }
            for error in errors
        },
    }


def evaluate_masks(
    study_trials: Sequence[StudyTrial],
    *,
    masks: Sequence[Mask],
    weights: str,
    completion: str | None = None,
    split: str,
    longest_s: float | None = None,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure one way of completing on several masks, against the same forces with nothing hidden.

    Args:
        masks: what is hidden, one after another.
        weights: of the force estimator, as `load_estimator` takes them.
        completion: as `load_method` takes it.
        split: as in the study's subjects; 'all' for every trial.
        longest_s: of each trial's motion to look at; all of it if not given.
        seed: of gaps' places and of what a method draws.
        report: told how many trials of all masks are done, of how many.

    Returns:
        JSON values: weights, completion; unmasked (`evaluate_mask` with nothing hidden and nothing completed); masks,
        in their order, each with its `increase` over unmasked.

    Raises:
        InputFileError: no such weights, or the study has no trial of that split.
    """
    method = load_method(completion, weights=weights, study_trials=study_trials)
    plain = Direct(load_estimator(weights))
    prepared = prepare(study_trials, split=split, longest_s=longest_s)
    num, total = len(prepared.trials), len(prepared.trials) * (1 + len(masks))

    def told(position: int) -> Callable[[int, int], None]:
        return lambda done, _: report(position * num + done, total)

    unmasked = evaluate_mask(prepared, mask=MASKS[NONE], method=plain, seed=seed, report=told(0))
    results = []
    for position, mask in enumerate(masks, start=1):
        result = evaluate_mask(prepared, mask=mask, method=method, seed=seed, report=told(position))
        results.append(result | {"increase": increase(study_trials, result, unmasked)})
    return {"weights": weights, "completion": completion, "unmasked": unmasked, "masks": results}


def increase(
    study_trials: Sequence[StudyTrial], masked: Mapping[str, Any], unmasked: Mapping[str, Any]
) -> dict[str, Any]:
    """By how much the errors of forces are larger than with nothing hidden, over trials that have both.

    Args:
        masked, unmasked: what `evaluate_mask` returned; `unmasked` of the mask 'none'.

    Returns:
        JSON values: rows, by_activity, overall of FIGURES.
    """
    differences = []
    for study_trial in study_trials:
        if study_trial.name in masked["trials"] and study_trial.name in unmasked["trials"]:
            with_mask, without = (result["trials"][study_trial.name] for result in (masked, unmasked))
            values = [with_mask.get(figure, np.nan) - without.get(figure, np.nan) for figure in FIGURES]
            differences.append(TrialErrors(study_trial, np.array(values)))
    return averages(differences, FIGURES)


def _errors(prepared: PreparedTrial, *, mask: Mask, method: Method, seed: int) -> np.ndarray:
    """In the order of MASK_FIGURES."""
    study_trial, trial = prepared.study_trial, prepared.trial
    valid_s = study_trial.forces_valid_s
    masked = mask.applied(trial, valid_s, seed=seed)
    completed = method(replace(masked, forces=None), activity=study_trial.activity, seed=seed)
    prediction, moved = completed.prediction, completed.motion
    pelvis = [masked.motion.coordinates.index(name) for name in coordinates_of_parts(trial.skeleton, ["pelvis"])]
    is_placed = bool(masked.motion.observed[:, pelvis].any())
    elsewhere = None if is_placed else moved or masked.motion
    comparison = compared(trial, prediction.forces, valid_s, elsewhere=elsewhere)
    coverage = interval_coverage(trial, prediction.forces.time_s, prediction.interval, valid_s) if is_placed else np.nan
    angles, sliding = [np.nan] * len(ANGLE_FIGURES), np.nan
    if moved is not None:
        angles = angle_errors(prepared, masked, moved)
        is_still = moved is masked.motion or np.array_equal(moved.values, trial.motion.values)
        sliding = prepared.foot_sliding_m_s if is_still else _sliding(trial, prepared.frame, moved, valid_s)
    gaps = mask.gaps(trial, valid_s, seed=seed)
    return np.array(
        [
            *comparison.errors(),
            coverage,
            *gap_errors(comparison, gaps),
            *angles,
            sliding,
            prepared.foot_sliding_m_s,
        ]
    )


def gap_errors(comparison: Comparison, gaps: Sequence[Interval]) -> list[float]:
    """Errors of valid frames in and next to gaps, in the order of GAP_FIGURES; NaN without gaps."""
    around = [(start - AROUND_GAP_S, end + AROUND_GAP_S) for start, end in gaps]
    counts = comparison.is_valid & within(comparison.time_s, around)
    if not counts.any():
        return [np.nan] * len(GAP_FIGURES)
    difference_pct = 100 * (comparison.estimated_bw - comparison.measured_bw)[counts]
    forward, up, right = np.abs(difference_pct).mean(axis=(0, 1)).tolist()
    return [up, forward, right, float(np.sqrt((difference_pct[..., 1] ** 2).mean()))]


def angle_errors(prepared: PreparedTrial, masked: Trial, completed: Motion) -> list[float]:
    """Root mean square error of canonical angles where they were hidden, degrees, in the order of ANGLE_FIGURES.

    The pelvis' angles are those in the heading of its own motion. Of a joint with one free coordinate the flexion
    counts, of others all three angles.

    Args:
        prepared: the trial as measured.
        masked: the same, with parts not observed.
        completed: the motion that a method made of `masked`.

    Returns:
        NaN where nothing of a joint was hidden.
    """
    if np.array_equal(masked.motion.observed, prepared.trial.motion.observed):
        return [np.nan] * len(ANGLE_FIGURES)
    truth = prepared.state
    bare = replace(masked, forces=None, belt_speed_m_s=prepared.frame.belt_speed_m_s)
    (left, _), (found, _) = encode(bare), encode(replace(bare, motion=completed))
    is_hidden = truth.known & ~left.known
    squares = {}
    for joint, groups in _GROUPS_OF_JOINT.items():
        of_joint = []
        for group in groups:
            columns = GAIT[group]
            difference = _angles(found.values, group) - _angles(truth.values, group)
            difference = np.angle(np.exp(1j * difference))  # a full turn is none
            hidden = is_hidden[:, columns[:3]]
            counted = slice(_num_angles(prepared.trial.skeleton, group))
            of_joint.append(difference[:, counted][hidden[:, counted]])
        squares[joint] = np.concatenate(of_joint) ** 2
    pooled = [np.concatenate([*squares.values()]), *squares.values()]
    return [DEGREES_PER_RADIAN * float(np.sqrt(each.mean())) if len(each) else np.nan for each in pooled]


def _angles(values: np.ndarray, group: str) -> np.ndarray:
    """Three angles of a group, (N, 3), from states (N, D)."""
    channels = values[:, GAIT[group]]
    if group != "pelvis_rotation":
        return channels
    forward, up = channels[:, :3], channels[:, 3:]
    return flexion_adduction_rotation(np.stack([forward, up, np.cross(forward, up)], axis=1))


def _num_angles(skeleton: Skeleton, group: str) -> int:
    """1 for a hinge, whose adduction and rotation follow from its flexion; else 3."""
    hindfoot = {foot.side: foot.hindfoot for foot in skeleton.feet}
    side_name = dict(zip(SIDES, SIDE_NAMES, strict=True))
    for leg in leg_joints(skeleton):
        if group == f"{leg.name}_{side_name[leg.side]}":
            distal = hindfoot[leg.side] if leg.name == "ankle" else leg.joint.child
            chain = chain_between(skeleton, leg.joint.parent, distal)
            return 1 if len(chain_columns(skeleton, chain)) == 1 else 3
    trunk = trunk_joint(skeleton)
    if group == "lumbar" and trunk is not None:
        return 1 if len(chain_columns(skeleton, (trunk,))) == 1 else 3
    return 3


def _sliding(trial: Trial, frame: ModelFrame, motion: Motion, valid_s: Sequence[Interval]) -> float:
    """Mean speed over the ground of feet that carry load by the measured force, m/s.

    Args:
        trial: as measured, with its frame.
        motion: measured, or completed.
    """
    measured = trial.forces
    if measured is None:
        return np.nan
    moved = replace(trial, motion=motion, belt_speed_m_s=frame.belt_speed_m_s)
    heading = frame.heading if motion is trial.motion else ModelFrame.of(moved).heading
    is_valid = within(measured.time_s, valid_s) & measured.valid.all(axis=1)
    load_bw = np.where(is_valid[:, None], measured.force_n[..., 1], 0.0) / trial.subject.body_weight_n
    during = (frame.time_s >= measured.time_s[0]) & (frame.time_s <= measured.time_s[-1])
    return foot_sliding(
        trial.skeleton,
        values_at_frames(moved, frame),
        load_bw=interpolate(load_bw, measured.time_s, frame.time_s) * during[:, None],
        sampling_rate_hz=FRAME_RATE_HZ,
        height_m=trial.subject.height_m,
        belt_velocity_m_s=-frame.belt_speed_m_s * heading,
    )
