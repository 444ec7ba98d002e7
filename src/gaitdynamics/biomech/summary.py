"""A trial in numbers: events, time and distance, peaks and impulses of the forces, joint angles, asymmetry."""

from typing import Any

import numpy as np

from gaitdynamics.biomech.contact import RUNNING_FLIGHT_SHARE
from gaitdynamics.biomech.cycles import FootTiming, cadence_steps_per_min, foot_timing
from gaitdynamics.biomech.events import Stance, foot_strikes, stances, toe_offs
from gaitdynamics.biomech.kinematics import (
    angles_of_rotation,
    foot_paths,
    heading_of,
    leg_joints,
    local_heading,
    posed,
    rotation_in_parent,
    segment_rotations,
)
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import derivative
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, SIDE_NAMES

ANGLE_NAMES = ("flexion", "adduction", "rotation")


def summarise(trial: Trial, prediction: Prediction) -> dict[str, Any]:
    """Everything that a summary file holds about the gait and its forces; JSON values, None where there is no answer.

    Distances are over the ground (the belt's motion is added). Forward is the direction that the person goes in at that
    time. Medio-lateral force is positive towards the midline (medial). Step time, length and width belong to the foot
    that lands.
    """
    forces = prediction.forces
    pose = posed(trial.skeleton, trial.motion.values)
    heading = heading_of(trial.skeleton, pose)
    rate_hz = trial.motion.sampling_rate_hz
    going = local_heading(trial.skeleton, pose, sampling_rate_hz=rate_hz)
    path = foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m)
    all_stances = stances(forces)
    num_frames = len(forces.time_s)
    carried = prediction.belt_speed_m_s * forces.time_s[:, None] * heading  # how far the belt has taken the ground back
    com_over_ground = trial.skeleton.centre_of_mass(pose).numpy() + carried
    speed = (derivative(com_over_ground, sampling_rate_hz=rate_hz) * going).sum(axis=1).mean()
    heels_over_ground = path.points_m[:, :, 0] + carried[:, None]
    is_down = forces.force_n[:, :, 1] > 0
    cadence = cadence_steps_per_min(forces)
    flight_share = float(np.mean(~is_down.any(axis=1)))
    timing = [_timing(foot_timing(forces, heels_over_ground, going, foot)) for foot in range(2)]
    loads = [_loads(forces, going, all_stances, foot, trial.subject.body_weight_n) for foot in range(2)]
    for foot in range(2):
        loads[foot]["interval"] = _interval(prediction, going, foot, trial.subject.body_weight_n)
    return {
        "gait": {
            "activity": "run" if flight_share > RUNNING_FLIGHT_SHARE else "walk" if len(all_stances) > 2 else None,
            "speed_m_s": _rounded(speed),
            "belt_speed_m_s": _rounded(prediction.belt_speed_m_s),
            "cadence_steps_per_min": None if cadence is None else _rounded(cadence),
            "double_support_share": _rounded(float(np.mean(is_down.all(axis=1)))),
            "flight_share": _rounded(flight_share),
            "heading_deg": _rounded(float(np.arctan2(-heading[2], heading[0])) * DEGREES_PER_RADIAN),
        },
        "events_s": {
            name: {
                "foot_strike": _rounded(forces.time_s[foot_strikes(all_stances, foot)]),
                "toe_off": _rounded(forces.time_s[toe_offs(all_stances, foot, num_frames=num_frames)]),
            }
            for foot, name in enumerate(SIDE_NAMES)
        },
        "steps": dict(zip(SIDE_NAMES, timing, strict=True)),
        "forces": dict(zip(SIDE_NAMES, loads, strict=True)),
        "asymmetry_pct": _asymmetry(timing, loads),
        "joint_angles_deg": _angle_ranges(trial, segment_rotations(trial.skeleton, pose)),
    }


def _timing(timing: FootTiming) -> dict[str, Any]:
    """Means over the steps and strides that end with this foot's strike."""
    return {
        "num_steps": len(timing.step_times_s),
        "step_time_s": _mean(timing.step_times_s),
        "step_length_m": _mean(timing.step_lengths_m),
        "step_width_m": _mean(timing.step_widths_m),
        "stride_time_s": _mean(timing.stride_times_s),
        "stride_length_m": _mean(timing.stride_lengths_m),
        "stance_time_s": _mean(timing.contact_times_s),
        "stance_share": _mean(timing.stance_shares),
    }


def _loads(
    forces: GroundReaction, going: np.ndarray, all_stances: tuple[Stance, ...], foot: int, body_weight_n: float
) -> dict[str, Any]:
    """Means over whole stances: the largest and smallest value of each component, and its impulse."""
    whole = [s for s in all_stances if s.foot == foot and s.is_whole]
    in_heading = np.einsum("tij,tj->ti", heading_axes(going), forces.force_n[:, foot])
    medial = -in_heading[:, 2] if foot == 0 else in_heading[:, 2]
    components = {
        "vertical": in_heading[:, 1],
        "anteroposterior": in_heading[:, 0],
        "mediolateral": medial,
    }
    result: dict[str, Any] = {"num_stances": len(whole)}
    for name, force in components.items():
        largest = _mean([force[s.start : s.end].max() for s in whole])
        smallest = _mean([force[s.start : s.end].min() for s in whole])
        impulse = _mean([np.trapezoid(force[s.start : s.end], forces.time_s[s.start : s.end]) for s in whole])
        result[name] = {
            "max_n": largest,
            "max_bw": _share(largest, body_weight_n),
            "min_n": smallest,
            "min_bw": _share(smallest, body_weight_n),
            "impulse_ns": impulse,
            "impulse_bw_s": _share(impulse, body_weight_n),
        }
    return result


def _interval(
    prediction: Prediction, going: np.ndarray, foot: int, body_weight_n: float
) -> dict[str, float | None] | None:
    """Mean half-width of the intervals while the foot is loaded; None from an estimator without intervals."""
    if prediction.interval is None:
        return None
    half_n = (prediction.interval.upper_n[:, foot] - prediction.interval.lower_n[:, foot]) / 2
    in_heading = np.sqrt(np.einsum("tij,tj->ti", heading_axes(going) ** 2, half_n**2))
    mean = in_heading[prediction.forces.force_n[:, foot, 1] > 0]
    names = ("anteroposterior_bw", "vertical_bw", "mediolateral_bw")
    widths = {name: _share(_mean(mean[:, k]), body_weight_n) for k, name in enumerate(names)}
    return {"coverage": prediction.interval.coverage, **widths}


def _asymmetry(timing: list[dict[str, Any]], loads: list[dict[str, Any]]) -> dict[str, float | None]:
    """Right minus left in % of their mean (Robinson, Herzog and Nigg 1987, J Manipulative Physiol Ther 10:172)."""
    right, left = (
        {
            **{key: timing[foot][key] for key in ("step_time_s", "step_length_m", "stance_time_s")},
            "vertical_max_n": loads[foot]["vertical"]["max_n"],
            "vertical_impulse_ns": loads[foot]["vertical"]["impulse_ns"],
            "propulsion_max_n": loads[foot]["anteroposterior"]["max_n"],
            "braking_max_n": loads[foot]["anteroposterior"]["min_n"],
        }
        for foot in range(2)
    )
    return {key: _percent_difference(right[key], left[key]) for key in right}


def _percent_difference(right: float | None, left: float | None) -> float | None:
    if right is None or left is None or right + left == 0:
        return None
    return _rounded(200.0 * (right - left) / (right + left))


def _angle_ranges(trial: Trial, segments: np.ndarray) -> dict[str, dict[str, dict[str, float | None]]]:
    """Smallest and largest hip, knee and ankle angles, flexion, adduction and internal rotation positive."""
    ranges: dict[str, dict[str, dict[str, float | None]]] = {}
    for leg in leg_joints(trial.skeleton):
        rotation = rotation_in_parent(trial.skeleton, segments, leg.joint)
        angles = angles_of_rotation(rotation, leg) * DEGREES_PER_RADIAN
        kinds = ANGLE_NAMES if leg.name == "hip" else ANGLE_NAMES[:1]
        ranges[f"{leg.name}_{leg.side}"] = {
            kind: {"min": _rounded(angles[:, k].min()), "max": _rounded(angles[:, k].max())}
            for k, kind in enumerate(kinds)
        }
    return ranges


def _mean(values: Any) -> float | None:
    return _rounded(float(np.mean(values))) if len(values) else None


def _share(value: float | None, whole: float) -> float | None:
    return None if value is None else _rounded(value / whole)


def _rounded(value: Any) -> Any:
    """To a tenth of a thousandth: finer than any of these numbers is known."""
    return np.round(value, 4).tolist() if isinstance(value, np.ndarray) else round(float(value), 4)
