"""The numbers by which gaits are compared: time and distance, forces, joint angles, trunk and feet."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gaitdynamics.biomech.anthropometry import MOVING_RAD, torso_of
from gaitdynamics.biomech.cycles import FootTiming, Stride, cadence_steps_per_min, foot_timing, strides, whole_stances
from gaitdynamics.biomech.events import Stance
from gaitdynamics.biomech.kinematics import (
    angles_of_rotation,
    chain_between,
    chain_columns,
    foot_paths,
    heading_of,
    leg_joints,
    local_heading,
    pelvis_of,
    posed,
    rotation_in_parent,
    segment_rotations,
)
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import derivative, interpolate
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, SIDE_NAMES, SIDES

# Loading rate is the mean slope of the vertical force while it rises from 20 to 80 % of its largest value in the first
# half of stance. Rates that hang on the impact peak (Milner et al. 2006, Med Sci Sports Exerc 38:323) need one, and
# estimated forces have none.
LOADING_SPAN = (0.2, 0.8)
FLAT_FOOT_SHARE = (0.2, 0.6)  # of stance: the whole sole is down
ANGLES = {
    "hip": ("flexion", "adduction", "rotation"),
    "knee": ("flexion",),
    "ankle": ("flexion",),
}


def gait_parameters(trial: Trial, forces: GroundReaction, *, belt_speed_m_s: float) -> dict[str, float | None]:
    """Parameters of a gait by name; None where there is no answer.

    Each is the mean over whole strides, stances or steps whose forces are known. `name_right` and `name_left` belong to
    one side (a step to the foot that lands), `name` is the mean of both; numbers of the whole gait have no sides.

    - `speed_m_s`, `stride_length_m`: over the ground, the belt's motion added. `cadence_steps_per_min`,
      `stride_time_s`, `contact_time_s`, `stance_share` (of the stride), `flight_share` and `double_support_share` (of
      the time).
    - `step_length_m`, `step_width_m`: between the heels at the second's landing, along and across the direction of
      progression.
    - `peak_vertical_bw`, `peak_propulsive_bw`, `peak_braking_bw` (backward, yet positive), `loading_rate_bw_s`.
    - `hip_flexion_max_deg` and so on: mean of each stride's extreme. Flexion (of the ankle: dorsiflexion), adduction
      and internal rotation are positive.
    - `trunk_lean_max_deg`: largest lean of the torso from the vertical toward the stance leg in its stance, seen from
      the front; `trunk_lean_range_deg`: from its most to the right to its most to the left in a stride. None where the
      trunk was not measured.
    - `foot_progression_deg`: of the heel-to-toe-joint line from the direction of progression while the foot is flat;
      toes outward positive.

    Args:
        trial: the person and the motion; its own forces are not looked at.
        forces: of that motion, at its times or others.
        belt_speed_m_s: of the ground, against the heading.
    """
    skeleton, motion = trial.skeleton, trial.motion
    rate_hz = motion.sampling_rate_hz
    pose = posed(skeleton, motion.values)
    segments = segment_rotations(skeleton, pose)
    going = local_heading(skeleton, pose, sampling_rate_hz=rate_hz)
    carried = belt_speed_m_s * motion.time_s[:, None] * heading_of(skeleton, pose)
    points = foot_paths(skeleton, pose, height_m=trial.subject.height_m).points_m
    com_velocity = derivative(skeleton.centre_of_mass(pose).numpy() + carried, sampling_rate_hz=rate_hz)

    forces = _during(forces, motion.time_s)

    def at_forces(values: np.ndarray) -> np.ndarray:
        return interpolate(values, motion.time_s, forces.time_s)

    axes = heading_axes(at_forces(going))
    all_strides, stances = strides(forces), whole_stances(forces)
    heels = at_forces(points[:, :, 0] + carried[:, None])
    in_heading = np.einsum("tij,tfj->tfi", axes, forces.force_n) / trial.subject.body_weight_n

    by_side: dict[str, list[float | None]] = {}
    for foot in range(2):
        own_strides = [stride for stride in all_strides if stride.foot == foot]
        own_stances = [stance for stance in stances if stance.foot == foot]
        sided = {
            **_timing_parameters(foot_timing(forces, heels, axes[:, 0], foot)),
            **_force_parameters(forces.time_s, in_heading[:, foot], own_stances),
            **_angle_parameters(_leg_angles(skeleton, segments, foot), own_strides, at_forces),
            "foot_progression_deg": _mean(_progression_deg(at_forces(points[:, foot]), axes, own_stances)),
        }
        for name, value in sided.items():
            by_side.setdefault(name, []).append(value)

    is_down = (forces.force_n[:, :, 1] > 0)[forces.valid.all(axis=1)]
    num_down = is_down.sum(axis=1)
    result: dict[str, float | None] = {
        "speed_m_s": float((com_velocity * going).sum(axis=1).mean()),
        "cadence_steps_per_min": cadence_steps_per_min(forces),
        "flight_share": _mean(num_down == 0),
        "double_support_share": _mean(num_down == 2),
    }
    torso = torso_of(skeleton)
    if torso is None or not _is_moving(trial, torso):
        by_side["trunk_lean_max_deg"], result["trunk_lean_range_deg"] = [None, None], None
    else:
        lean = _lean_deg(at_forces(segments[:, skeleton.body_index[torso], :, 1]), axes)
        by_side["trunk_lean_max_deg"] = [
            _mean([(lean if foot == 0 else -lean)[s.start : s.end].max() for s in stances if s.foot == foot])
            for foot in range(2)
        ]
        result["trunk_lean_range_deg"] = _mean([np.ptp(lean[s.start : s.end + 1]) for s in all_strides])
    for name, values in by_side.items():
        result[name] = _mean([value for value in values if value is not None])
        result |= {f"{name}_{side}": value for side, value in zip(SIDE_NAMES, values, strict=True)}
    return result


def _is_moving(trial: Trial, torso: str) -> bool:
    """Whether the trunk was measured, or completed: its joints move."""
    columns = chain_columns(trial.skeleton, chain_between(trial.skeleton, pelvis_of(trial.skeleton), torso))
    return bool((np.ptp(trial.motion.values[:, columns], axis=0) > MOVING_RAD).any())


def _during(forces: GroundReaction, time_s: np.ndarray) -> GroundReaction:
    """The forces, not valid where there is no motion."""
    margin_s = 0.5 * float(time_s[1] - time_s[0])
    is_inside = (forces.time_s > time_s[0] - margin_s) & (forces.time_s < time_s[-1] + margin_s)
    return forces if is_inside.all() else replace(forces, valid=forces.valid & is_inside[:, None])


def _timing_parameters(timing: FootTiming) -> dict[str, float | None]:
    return {
        "stride_length_m": _mean(timing.stride_lengths_m),
        "stride_time_s": _mean(timing.stride_times_s),
        "step_length_m": _mean(timing.step_lengths_m),
        "step_width_m": _mean(timing.step_widths_m),
        "contact_time_s": _mean(timing.contact_times_s),
        "stance_share": _mean(timing.stance_shares),
    }


def _force_parameters(time_s: np.ndarray, force_bw: np.ndarray, stances: Sequence[Stance]) -> dict[str, float | None]:
    """Of one foot's force forward, up, right, in body weights, (T, 3)."""
    stance_forces = [force_bw[s.start : s.end] for s in stances]
    return {
        "peak_vertical_bw": _mean([force[:, 1].max() for force in stance_forces]),
        "peak_propulsive_bw": _mean([force[:, 0].max() for force in stance_forces]),
        "peak_braking_bw": _mean([-force[:, 0].min() for force in stance_forces]),
        "loading_rate_bw_s": _mean([rate for s in stances if (rate := _loading_rate(time_s, force_bw[:, 1], s))]),
    }


def _loading_rate(time_s: np.ndarray, vertical: np.ndarray, stance: Stance) -> float | None:
    early = vertical[stance.start - 1 : (stance.start + stance.end) // 2 + 1]
    largest = int(early.argmax())
    levels = early[largest] * np.array(LOADING_SPAN)
    rising = np.maximum.accumulate(early[: largest + 1])
    first_s, last_s = np.interp(levels, rising, time_s[stance.start - 1 :][: largest + 1])
    return float((levels[1] - levels[0]) / (last_s - first_s)) if last_s > first_s else None


def _leg_angles(skeleton: Skeleton, segments: np.ndarray, foot: int) -> dict[str, np.ndarray]:
    """The canonical angles of one leg's joints by name, (T,) each, degrees."""
    angles: dict[str, np.ndarray] = {}
    for leg in leg_joints(skeleton):
        if leg.side == SIDES[foot]:
            of_joint = angles_of_rotation(rotation_in_parent(skeleton, segments, leg.joint), leg) * DEGREES_PER_RADIAN
            angles |= {f"{leg.name}_{kind}": of_joint[:, k] for k, kind in enumerate(ANGLES[leg.name])}
    return angles


def _angle_parameters(
    angles: dict[str, np.ndarray], own_strides: Sequence[Stride], at_forces: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float | None]:
    found = {}
    for name, angle in angles.items():
        pieces = [at_forces(angle)[s.start : s.end + 1] for s in own_strides]
        found[f"{name}_max_deg"] = _mean([piece.max() for piece in pieces])
        found[f"{name}_min_deg"] = _mean([piece.min() for piece in pieces])
    return found


def _lean_deg(torso_up: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Of a torso's long axis (T, 3) from the vertical in the frontal plane of the heading, to the right positive."""
    _, up, right = np.einsum("tij,tj->it", axes, torso_up)
    return np.arctan2(right, up) * DEGREES_PER_RADIAN


def _progression_deg(points_m: np.ndarray, axes: np.ndarray, stances: Sequence[Stance]) -> list[float]:
    """A foot's mean angle outward in each stance, from heel and toe joint, (T, 2, 3)."""
    forward, _, right = np.einsum("tij,tj->it", axes, points_m[:, 1] - points_m[:, 0])
    found: list[float] = []
    for stance in stances:
        first, last = (stance.start + share * (stance.end - stance.start) for share in FLAT_FOOT_SHARE)
        flat = slice(round(first), max(round(last), round(first) + 1))
        outward = np.arctan2(right[flat].mean() * (1 if stance.foot == 0 else -1), forward[flat].mean())
        found.append(float(outward) * DEGREES_PER_RADIAN)
    return found


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
