"""What changes ask of one trial: coordinates, places of the feet, and pace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.contact import infer_belt_speed, smoothed_path
from gaitdynamics.biomech.cycles import FootTiming, cadence_steps_per_min, foot_timing
from gaitdynamics.biomech.kinematics import (
    chain_columns,
    chain_rotation,
    foot_paths,
    heading_of,
    local_heading,
    posed,
    segment_rotations,
    with_chain_rotation,
)
from gaitdynamics.biomech.stance_phase import landing_phase, stance_phase, stride_duration_s
from gaitdynamics.errors import InvalidChangeError, InvalidMotionError
from gaitdynamics.io.curve import Curve
from gaitdynamics.io.table import shortened
from gaitdynamics.maths.signals import bridged
from gaitdynamics.state.links import Link, links
from gaitdynamics.tasks.change_text import SCALE, Change, changed_columns, parse_change
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.side import side_of
from gaitdynamics.types.skeleton import Skeleton, once_per_skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, SIDES

__all__ = ["Change", "Goal", "changed_columns", "goal_of", "parse_change"]

# How far a healthy trunk goes against the pelvis: extension and flexion, side bend, rotation (American Academy of
# Orthopaedic Surgeons 1965, Joint Motion: Method of Measuring and Recording). Models allow right angles.
TRUNK_RANGES_RAD = tuple((np.radians(low), np.radians(high)) for low, high in ((-80, 30), (-35, 35), (-45, 45)))
BENDING = 1  # of the trunk's canonical angles: extension, bending to the right, rotation
EXCURSION_PERCENTILES = (2.0, 98.0)  # of a trunk's bend: no spike counts
SOFT_MARGIN = 0.05  # radians or metres before the end of a range in which a change gives way smoothly
LARGEST_TOE_TURN_RAD = np.pi / 4  # what hips turn, inward and outward
WIDEST_STEP_OF_HEIGHT = 0.3
PACE_RANGE = (0.5, 2.0)  # of the recorded cadence or stride length; beyond it gait is another
UNCHANGING = 1e-6  # radians or metres; a measured coordinate changes by more
LARGEST_JUMP_RAD = np.radians(3.0)  # of a curve at foot strike
NOTICED = 1e-3  # radians or metres beyond a range
NUDGE_RAD = 0.1  # by which a coordinate is turned, to see which angle it is


@dataclass(frozen=True)
class Goal:
    """What a changed gait is to be, on the times of the given motion stretched by `time_scale`.

    Args:
        values: coordinates with the changes in them, the others as recorded, (T, C).
        is_changed: entries that the changes set, (T, C).
        foot_yaw_rad: additional toe-out of the right and the left foot, (2,); toes outward positive.
        foot_shift_m: additional displacement of each foot's whole path away from the midline, (2,).
        stretch: of the distance that a stride covers, 1 as recorded.
        time_scale: of time, 1 as recorded, 1 / 1.1 for a cadence of 1.1.
        warnings: one sentence each, for the user.
    """

    values: np.ndarray
    is_changed: np.ndarray
    foot_yaw_rad: np.ndarray
    foot_shift_m: np.ndarray
    stretch: float = 1.0
    time_scale: float = 1.0
    warnings: tuple[str, ...] = ()


def goal_of(changes: Sequence[Change], trial: Trial, forces: GroundReaction) -> Goal:
    """What changes, one after the other, ask of a trial.

    What lies beyond a joint's range is held at its end and said in a warning. The range is the model's, a trunk's also
    that of people, and always holds what was recorded.

    Args:
        changes: of that trial's model.
        trial: as recorded.
        forces: at the times of the motion: they say when each foot stands.

    Raises:
        InvalidChangeError: of a coordinate that was not measured, or of a trunk that can't bend.
        InvalidMotionError: no complete step or stride, for a change that needs one.
    """
    values = trial.motion.values
    goal = Goal(values.copy(), np.zeros(values.shape, dtype=bool), np.zeros(2), np.zeros(2))
    strategies: dict[str, Callable[[Goal, Change, Trial, GroundReaction], Goal]] = {
        "trunk_sway": _with_trunk_sway,
        "toe_out": _with_turned_feet,
        "toe_in": _with_turned_feet,
        "step_width": _with_step_width,
        "cadence": _with_cadence,
        "stride_length": _with_stride_length,
    }
    for change in changes:
        columns = changed_columns(change, trial.skeleton)
        if columns:
            goal = _with_coordinates(goal, change, trial, forces, columns)
        else:
            goal = strategies[change.strategy or ""](goal, change, trial, forces)
    return _within_ranges(goal, changes, trial.skeleton, values)


def _with_coordinates(
    goal: Goal, change: Change, trial: Trial, forces: GroundReaction, columns: tuple[int, ...]
) -> Goal:
    _check_measured(change, trial, columns)
    values, is_changed, warnings = goal.values.copy(), goal.is_changed.copy(), goal.warnings
    for column in columns:
        if isinstance(change.amount, Curve):
            name = trial.skeleton.coordinate_names[column]
            wanted, is_set = _curve(change, change.amount, name, goal.values[:, column], trial, forces)
            values[:, column] += change.share * (wanted - values[:, column])
            is_changed[is_set, column] = True
        else:
            values[:, column] = (
                values[:, column] * change.amount if change.operation == SCALE else values[:, column] + change.amount
            )
            is_changed[:, column] = True
    if isinstance(change.amount, Curve) and abs(change.amount.jump) > LARGEST_JUMP_RAD:
        jump = _shown(change.amount.jump, trial.skeleton.coordinates[columns[0]].is_rotational)
        warnings += (f"{change.text}: the curve's end misses its start by {jump}, which was spread over the cycle.",)
    return replace(goal, values=values, is_changed=is_changed, warnings=warnings)


def _check_measured(change: Change, trial: Trial, columns: Sequence[int]) -> None:
    still = [c for c in columns if np.ptp(trial.motion.values[:, c]) <= UNCHANGING]
    if still:
        names = [trial.skeleton.coordinate_names[column] for column in still]
        raise InvalidChangeError(
            f"'{change.text}': {shortened(names)} never changes in {trial.name}, so it was locked or not measured. "
            "Change a coordinate that the motion has."
        )


def _curve(
    change: Change, curve: Curve, name: str, recorded: np.ndarray, trial: Trial, forces: GroundReaction
) -> tuple[np.ndarray, np.ndarray]:
    """A coordinate that follows a curve, (T,), and which frames the curve sets, (T,)."""
    if curve.is_over_cycle:
        foot = SIDES.index(side_of(name) or SIDES[0])
        phase = landing_phase(trial.motion.time_s, forces, foot, stride_s=_stride_s(forces, change))
        return curve.at_phase(phase), np.ones(len(recorded), dtype=bool)
    wanted = curve.at_time(trial.motion.time_s)
    is_set = np.isfinite(wanted)
    if is_set.sum() < 2:
        first, last = trial.motion.time_s[[0, -1]]
        raise InvalidChangeError(
            f"'{change.text}': the curve goes from {curve.position[0]:g} s to {curve.position[-1]:g} s, and "
            f"{trial.name} from {first:g} s to {last:g} s. Give a curve of the motion's time, or over "
            "percent of the gait cycle."
        )
    rate_hz = trial.motion.sampling_rate_hz
    return bridged(recorded, np.where(is_set, wanted, 0.0), is_known=is_set, sampling_rate_hz=rate_hz), is_set


def _stride_s(forces: GroundReaction, change: Change) -> float:
    found = stride_duration_s(forces)
    if found is None:
        raise InvalidMotionError(
            f"'{change.text}' needs a step, from a foot's landing to the other's or to when it leaves, and this motion "
            "has none. Give a longer trial of walking or running."
        )
    return found


def _with_trunk_sway(goal: Goal, change: Change, trial: Trial, forces: GroundReaction) -> Goal:
    skeleton, amount = trial.skeleton, _amount(change)
    trunk, columns = _trunk(skeleton), _bending_columns(skeleton)
    if trunk is None or not columns:
        raise InvalidChangeError(
            f"'{change.text}': the model has no trunk that bends sideways on its pelvis. Use a model with a "
            "lumbar joint."
        )
    _check_measured(change, trial, columns)
    rotation = chain_rotation(skeleton, segment_rotations(skeleton, posed(skeleton, goal.values)), trunk.chain)
    angles = trunk.angles(rotation)
    lean = angles[:, BENDING]
    if change.operation == SCALE:
        low, high = np.percentile(lean, EXCURSION_PERCENTILES)
        amount = (amount - 1.0) * (high - low) / 2
    phase = stance_phase(trial.motion.time_s, forces, stride_s=_stride_s(forces, change))
    angles[:, BENDING] = lean + amount * np.cos(2 * np.pi * phase)
    values = with_chain_rotation(skeleton, goal.values, trunk.chain, trunk.rotation(angles))
    is_changed = goal.is_changed.copy()
    is_changed[:, columns] = True
    is_changed |= np.abs(values - goal.values) > UNCHANGING
    return replace(goal, values=values, is_changed=is_changed)


def _trunk(skeleton: Skeleton) -> Link | None:
    return next((link for link in links(skeleton) if link.leg is None), None)


@once_per_skeleton
def _trunk_senses(skeleton: Skeleton) -> dict[int, tuple[int, float]]:
    """Which canonical angle of the trunk each of its coordinates changes most, and its sign there."""
    trunk = _trunk(skeleton)
    if trunk is None:
        return {}
    columns = chain_columns(skeleton, trunk.chain)
    values = np.zeros((len(columns), len(skeleton.coordinates)))
    values[np.arange(len(columns)), columns] = NUDGE_RAD
    angles = trunk.angles(chain_rotation(skeleton, segment_rotations(skeleton, posed(skeleton, values)), trunk.chain))
    main = np.abs(angles).argmax(axis=1)
    return {
        column: (int(k), float(np.sign(angles[i, k]))) for i, (column, k) in enumerate(zip(columns, main, strict=True))
    }


def _bending_columns(skeleton: Skeleton) -> list[int]:
    return [column for column, (angle, _) in _trunk_senses(skeleton).items() if angle == BENDING]


def _with_turned_feet(goal: Goal, change: Change, trial: Trial, forces: GroundReaction) -> Goal:
    turn = _amount(change) * (1.0 if change.strategy == "toe_out" else -1.0)
    wanted = goal.foot_yaw_rad + turn * _is_side(change)
    held = np.clip(wanted, -LARGEST_TOE_TURN_RAD, LARGEST_TOE_TURN_RAD)
    warnings = goal.warnings
    if (held != wanted).any():
        warnings += (
            f"{change.text}: feet were turned by {LARGEST_TOE_TURN_RAD * DEGREES_PER_RADIAN:.0f}°, which is as far as "
            "hips turn.",
        )
    return replace(goal, foot_yaw_rad=held, warnings=warnings)


def _with_step_width(goal: Goal, change: Change, trial: Trial, forces: GroundReaction) -> Goal:
    recorded = _mean_of_steps(change, trial, forces, lambda timing: timing.step_widths_m)
    width = recorded + float(goal.foot_shift_m.sum())
    wanted = width * _amount(change) if change.operation == SCALE else width + _amount(change)
    low, high = min(0.0, recorded), max(WIDEST_STEP_OF_HEIGHT * trial.subject.height_m, recorded)
    held = min(max(wanted, low), high)
    warnings = goal.warnings
    if abs(held - wanted) > NOTICED:
        warnings += (f"{change.text}: a step width of {wanted:.2f} m is out of reach; {held:.2f} m was taken.",)
    share = _is_side(change)
    shift = goal.foot_shift_m + (held - width) * share / share.sum()
    return replace(goal, foot_shift_m=shift, warnings=warnings)


def _with_cadence(goal: Goal, change: Change, trial: Trial, forces: GroundReaction) -> Goal:
    recorded = cadence_steps_per_min(forces)
    if recorded is None:
        raise InvalidMotionError(f"'{change.text}' needs two steps, and this motion has none. Give a longer trial.")
    now = 1.0 / goal.time_scale
    wanted = now * _amount(change) if change.operation == SCALE else now + _amount(change) / recorded
    held, warnings = _pace(wanted, change, goal)
    factor = held / now
    return replace(goal, time_scale=goal.time_scale / factor, stretch=goal.stretch / factor, warnings=warnings)


def _with_stride_length(goal: Goal, change: Change, trial: Trial, forces: GroundReaction) -> Goal:
    if change.operation == SCALE:
        wanted = goal.stretch * _amount(change)
    else:
        recorded_m = _mean_of_steps(change, trial, forces, lambda timing: timing.stride_lengths_m)
        wanted = goal.stretch + _amount(change) / recorded_m
    held, warnings = _pace(wanted, change, goal)
    return replace(goal, stretch=held, warnings=warnings)


def _pace(wanted: float, change: Change, goal: Goal) -> tuple[float, tuple[str, ...]]:
    """A cadence or stride length in terms of the recorded one, held within what is gait still."""
    held = min(max(wanted, PACE_RANGE[0]), PACE_RANGE[1])
    if held == wanted:
        return held, goal.warnings
    return held, (
        *goal.warnings,
        f"{change.text}: {wanted:.2f} times the recorded {change.strategy} is out of reach; {held:g} times was taken.",
    )


def _mean_of_steps(
    change: Change, trial: Trial, forces: GroundReaction, measure: Callable[[FootTiming], np.ndarray]
) -> float:
    """Mean over both feet's steps or strides."""
    skeleton, motion = trial.skeleton, trial.motion
    rate_hz = motion.sampling_rate_hz
    pose = posed(skeleton, motion.values)
    path, heading = foot_paths(skeleton, pose, height_m=trial.subject.height_m), heading_of(skeleton, pose)
    belt_m_s = trial.belt_speed_m_s
    if belt_m_s is None:
        belt_m_s = infer_belt_speed(smoothed_path(path, sampling_rate_hz=rate_hz), heading, sampling_rate_hz=rate_hz)
    heels = path.points_m[:, :, 0] + (belt_m_s * motion.time_s[:, None] * heading)[:, None]
    going = local_heading(skeleton, pose, sampling_rate_hz=rate_hz)
    found = np.concatenate([measure(foot_timing(forces, heels, going, foot)) for foot in range(2)])
    if not len(found):
        raise InvalidMotionError(
            f"'{change.text}' needs a complete step or stride, and this motion has none. Give a longer trial of "
            "walking or running."
        )
    return float(found.mean())


def _is_side(change: Change) -> np.ndarray:
    """1 for the feet that a change is about, right and left, (2,)."""
    return np.array([float(change.side in (None, side)) for side in SIDES])


def _amount(change: Change) -> float:
    if isinstance(change.amount, Curve):
        raise InvalidChangeError(f"'{change.text}': a strategy follows no curve. Give a factor or an amount.")
    return change.amount


def _within_ranges(goal: Goal, changes: Sequence[Change], skeleton: Skeleton, recorded: np.ndarray) -> Goal:
    """The goal with changed coordinates inside their ranges."""
    values, warnings = goal.values.copy(), goal.warnings
    for column in np.flatnonzero(goal.is_changed.any(axis=0)).tolist():
        limits = _range_of(skeleton, column)
        if limits is None:
            continue
        used = recorded[:, column].min(), recorded[:, column].max()
        low, high = min(limits[0], used[0]), max(limits[1], used[1])
        wanted = goal.values[:, column]
        held = _gently_above(_gently_below(wanted, high, used[1]), low, used[0])
        values[:, column] = np.where(goal.is_changed[:, column], held, wanted)
        if wanted.max() > high + NOTICED or wanted.min() < low - NOTICED:
            reached, end = (wanted.max(), high) if wanted.max() > high + NOTICED else (wanted.min(), low)
            texts = ", ".join(change.text for change in changes if _is_about(change, column, skeleton))
            is_rotational = skeleton.coordinates[column].is_rotational
            warnings += (
                f"{texts}: {skeleton.coordinate_names[column]} would reach {_shown(reached, is_rotational)} and is "
                f"held at {_shown(end, is_rotational)}, the end of the joint's range.",
            )
    return replace(goal, values=values, warnings=warnings)


def _is_about(change: Change, column: int, skeleton: Skeleton) -> bool:
    columns = changed_columns(change, skeleton)
    return column in columns or (not columns and change.strategy == "trunk_sway" and column in _trunk_senses(skeleton))


def _range_of(skeleton: Skeleton, column: int) -> tuple[float, float] | None:
    """Of the model, and of a trunk that of people where it is narrower."""
    of_model = skeleton.coordinates[column].range
    sense = _trunk_senses(skeleton).get(column)
    if sense is None:
        return of_model
    angle, sign = sense
    low, high = sorted(sign * end for end in TRUNK_RANGES_RAD[angle])
    return (low, high) if of_model is None else (max(low, of_model[0]), min(high, of_model[1]))


def _gently_below(values: np.ndarray, end: float, recorded: float) -> np.ndarray:
    """Values that approach the end of a range smoothly; what is no further than what was recorded stays as it is."""
    start = max(end - SOFT_MARGIN, recorded)
    margin = end - start
    if margin <= 0:
        return np.minimum(values, end)
    beyond = np.maximum(values - start, 0.0)
    return np.minimum(values, start) + margin * np.tanh(beyond / margin)


def _gently_above(values: np.ndarray, end: float, recorded: float) -> np.ndarray:
    return -_gently_below(-values, -end, -recorded)


def _shown(value: float, is_rotational: bool) -> str:
    return f"{value * DEGREES_PER_RADIAN:.1f}°" if is_rotational else f"{value:.3f} m"
