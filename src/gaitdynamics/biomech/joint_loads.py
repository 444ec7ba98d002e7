"""Loads of hip, knee and ankle: external moments, powers, and what a gait laboratory reads off them.

An external moment is what turns a joint, and what muscles, ligaments and bones must answer: the negative of the net
moment of inverse dynamics. It is given in the canonical axes of the proximal segment (`biomech.kinematics`): flexion
(at the ankle dorsiflexion), adduction and internal rotation are positive, on both sides. Where a moment is divided by
body weight times height it is a percentage of that (Moisio et al. 2003, J Biomech 36:599).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from gaitdynamics.biomech.cycles import whole_stances
from gaitdynamics.biomech.events import Stance
from gaitdynamics.biomech.inverse_dynamics import FootWrench, JointForces, inverse_dynamics
from gaitdynamics.biomech.kinematics import (
    LEG_JOINTS,
    LegJoint,
    angles_of_rotation,
    leg_joints,
    local_heading,
    posed,
    segment_rotations,
)
from gaitdynamics.maths.rotations import from_flexion_adduction_rotation
from gaitdynamics.maths.signals import interpolate, resample, smooth
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Pose, Skeleton, once_per_skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, SIDES

# Of motion and forces alike: where forces keep what the motion has lost, joints seem to be struck that are not
# (Bisseling and Hof 2006, J Biomech 39:2438; Kristianslund, Krosshaug and van den Bogert 2012, J Biomech 45:666).
# docs/joint_loads.md has what other cut-offs give.
CUTOFF_HZ = 10.0
DIRECTIONS = ("flexion", "adduction", "rotation")
OPPOSITES = {
    "flexion": ("flexion", "extension"),
    "adduction": ("adduction", "abduction"),
    "rotation": ("internal_rotation", "external_rotation"),
}
ROUNDING_S = 1e-6  # of times in files


@dataclass(frozen=True)
class JointLoads:
    """Loads over time. Joints are named `hip_right`, `knee_left` …

    Args:
        time_s: (T,).
        coordinates: names, C of them.
        moment_nm: external moment on each joint: flexion, adduction and internal rotation, (T, 3).
        lever_arm_nm: for `right` and `left`, the knee's adduction moment from the ground's force and its distance from
            the knee alone, about the direction that the person goes in, (T,).
        generalised_force: of each coordinate, N m or N, (T, C).
        power_w: of each coordinate, positive where it gives energy to the body, (T, C).
        joint_power_w: of all coordinates of a joint, (T,).
        residual_force_n: that nothing but the joint to the ground could give, ground frame, (T, 3).
        residual_moment_nm: the same, about that joint's centre, (T, 3).
        cutoff_hz: of the low-pass on motion and forces; None without.
    """

    time_s: np.ndarray
    coordinates: tuple[str, ...]
    moment_nm: dict[str, np.ndarray]
    lever_arm_nm: dict[str, np.ndarray]
    generalised_force: np.ndarray
    power_w: np.ndarray
    joint_power_w: dict[str, np.ndarray]
    residual_force_n: np.ndarray
    residual_moment_nm: np.ndarray
    cutoff_hz: float | None


@dataclass(frozen=True)
class SmoothedTrial:
    """Motion and forces without what the cut-off takes away, at the motion's times.

    Args:
        time_s: evenly spaced, (T,).
        values: coordinates, (T, C).
        force_n: on each foot, (T, 2, 3).
        force_moment_nm: of those forces about the ground's origin, (T, 2, 3).
        free_moment_nm: about the vertical, (T, 2).
    """

    time_s: np.ndarray
    values: np.ndarray
    force_n: np.ndarray
    force_moment_nm: np.ndarray
    free_moment_nm: np.ndarray

    @property
    def moment_nm(self) -> np.ndarray:
        """Of forces and free moments about the ground's origin, (T, 2, 3)."""
        moment_nm = self.force_moment_nm.copy()
        moment_nm[..., 1] += self.free_moment_nm
        return moment_nm


def joint_loads(trial: Trial, forces: GroundReaction, *, cutoff_hz: float | None = CUTOFF_HZ) -> JointLoads:
    """Loads of a trial's joints under given forces.

    Args:
        trial: its skeleton has the person's mass; its own forces are not looked at.
        forces: of both feet; where their times differ from the motion's, they are interpolated.
        cutoff_hz: above which neither motion nor forces are believed; None for no filter.

    Raises:
        InvalidModelError: the model lacks legs or feet.
    """
    (loads,) = joint_loads_of_each(trial, [(trial.motion, forces)], cutoff_hz=cutoff_hz)
    return loads


def joint_loads_of_each(
    trial: Trial, samples: Sequence[tuple[Motion, GroundReaction]], *, cutoff_hz: float | None = CUTOFF_HZ
) -> tuple[JointLoads, ...]:
    """As `joint_loads`, of several motions of one person with their forces; those of one length at once.

    Args:
        trial: the person.
        samples: motions and forces.
        cutoff_hz: as for `joint_loads`.
    """
    smoothed = [smoothed_trial(trial.skeleton, motion, forces, cutoff_hz=cutoff_hz) for motion, forces in samples]
    found: list[JointLoads] = []
    for _, group in groupby(smoothed, key=lambda each: len(each.time_s)):
        found += _loads(trial.skeleton, list(group), cutoff_hz)
    return tuple(found)


def smoothed_trial(
    skeleton: Skeleton, motion: Motion, forces: GroundReaction, *, cutoff_hz: float | None
) -> SmoothedTrial:
    """Motion and forces below the same cut-off, at the motion's times.

    Of the forces, force and moment are smoothed: a centre of pressure means nothing between two steps. Forces below the
    contact threshold, whose centre of pressure is noise, count as none.
    """
    time_s = np.linspace(motion.time_s[0], motion.time_s[-1], len(motion.time_s))
    values = resample(motion.values, motion.time_s, time_s)
    is_down = (forces.force_n[..., 1] > CONTACT_FORCE_N) & np.isfinite(forces.cop_m).all(axis=-1)
    force_n = np.where(is_down[..., None], forces.force_n, 0.0)
    moment_nm = np.cross(np.where(is_down[..., None], forces.cop_m, 0.0), force_n)
    free_moment_nm = np.where(is_down, forces.free_moment_nm, 0.0)
    wrench = np.concatenate([force_n, moment_nm, free_moment_nm[..., None]], axis=-1)  # (T, 2, 7)
    if cutoff_hz is not None:
        values = smooth(values, cutoff_hz=cutoff_hz, sampling_rate_hz=_rate_hz(time_s))
        wrench = smooth(wrench, cutoff_hz=cutoff_hz, sampling_rate_hz=_rate_hz(forces.time_s))
    wrench = interpolate(wrench, forces.time_s, time_s)
    values = skeleton.with_coupled_values(values)
    return SmoothedTrial(time_s, values, wrench[..., :3], wrench[..., 3:6], wrench[..., 6])


def external_moments(skeleton: Skeleton, forces: JointForces) -> torch.Tensor:
    """External moments on hips, knees and ankles in their proximal segments' canonical axes; differentiable.

    Args:
        skeleton: that the forces are of.
        forces: as `inverse_dynamics` gives them.

    Returns:
        Right hip, knee, ankle, left hip, knee, ankle by flexion, adduction and internal rotation, N m, (..., 6, 3).
    """
    legs = _legs(skeleton)
    axes = forces.pose.rotation[..., legs.proximal, :, :] @ legs.axes
    return -(axes.mT @ forces.moment_nm[..., legs.joints, :, None])[..., 0]


def load_parameters(loads: JointLoads, forces: GroundReaction, subject: Subject) -> dict[str, float | None]:
    """Peaks and impulses, as means over the whole stances of which all forces are known; None where there is none.

    Moments are in % of body weight times height (`_pct_bw_bh`) and in N m per kg of body mass (`_nm_kg`); the name
    ends in `_right`, `_left`, or in neither for the mean of both.

    - `knee_adduction_first_peak`, `knee_adduction_second_peak`: largest in the first and in the second half of stance;
      `knee_adduction_lever_arm_first_peak` and `…_second_peak` by the lever arm alone.
    - `knee_adduction_impulse`: time integral of the adduction moment while it is positive, times a second.
    - `<joint>_<direction>_peak`: largest in that direction during stance, for hip, knee and ankle and both directions
      about each axis: `knee_flexion_peak`, `hip_abduction_peak`, `ankle_dorsiflexion_peak` …
    - `<joint>_power_max_w_kg`, `<joint>_power_min_w_kg`: what the joint gives and takes during stance.
    """
    found = whole_stances(forces)
    sides = [
        _side_parameters(loads, [s for s in found if s.foot == foot], forces, subject, side=side)
        for foot, side in enumerate(SIDE_NAMES)
    ]
    parameters: dict[str, float | None] = {}
    for name, right in sides[0].items():
        left = sides[1][name]
        known = [value for value in (right, left) if value is not None]
        parameters[name] = float(np.mean(known)) if known else None
        parameters |= {f"{name}_{side}": value for side, value in zip(SIDE_NAMES, (right, left), strict=True)}
    return parameters


def direction_names(joint: str) -> tuple[tuple[str, str], ...]:
    """What the positive and the negative side of each axis of hip, knee or ankle are called."""
    pairs = tuple(OPPOSITES[direction] for direction in DIRECTIONS)
    return (("dorsiflexion", "plantarflexion"), *pairs[1:]) if joint == "ankle" else pairs


@dataclass(frozen=True)
class _Legs:
    """Hips, knees and ankles, right leg first: places of the joints and of the bodies that carry them."""

    names: tuple[str, ...]
    joints: list[int]
    proximal: list[int]
    axes: torch.Tensor  # columns in the proximal body: of flexion, adduction and internal rotation, (6, 3, 3)
    knees: list[int]  # joints, right and left


@once_per_skeleton
def _legs(skeleton: Skeleton) -> _Legs:
    legs = leg_joints(skeleton)
    zero = posed(skeleton, np.zeros((1, len(skeleton.coordinates))))
    canonical = zero.rotation[0].mT.numpy() @ segment_rotations(skeleton, zero)[0]
    proximal = [skeleton.body_index[leg.joint.parent] for leg in legs]
    axes = np.stack([canonical[body][:, [2, 0, 1]] * _signs(leg) for body, leg in zip(proximal, legs, strict=True)])
    joints = [skeleton.joints.index(leg.joint) for leg in legs]
    return _Legs(
        names=tuple(f"{leg.name}_{_side_name(leg)}" for leg in legs),
        joints=joints,
        proximal=proximal,
        axes=torch.from_numpy(axes),
        knees=[place for place, leg in zip(joints, legs, strict=True) if leg.name == "knee"],
    )


def _signs(leg: LegJoint) -> np.ndarray:
    """Of the angles about right, forward and up that are flexion, adduction and internal rotation."""
    return np.sign(angles_of_rotation(from_flexion_adduction_rotation(np.full(3, 0.1)), leg))


def _side_name(leg: LegJoint) -> str:
    return SIDE_NAMES[SIDES.index(leg.side)]


def _loads(skeleton: Skeleton, samples: list[SmoothedTrial], cutoff_hz: float | None) -> list[JointLoads]:
    """Of samples of one length."""
    derivatives = [_derivatives(each.values, _rate_hz(each.time_s)) for each in samples]
    values, rates, accelerations, force_n, moment_nm = (
        torch.from_numpy(np.stack(arrays))
        for arrays in (
            [each.values for each in samples],
            *zip(*derivatives, strict=True),
            [each.force_n for each in samples],
            [each.moment_nm for each in samples],
        )
    )
    with torch.no_grad():
        solved = inverse_dynamics(
            skeleton, values, rates=rates, accelerations=accelerations, wrench=FootWrench(force_n, moment_nm)
        )
        moments = external_moments(skeleton, solved).numpy()
    generalised = solved.generalised.numpy()
    powers = generalised * rates.numpy()
    of_joint = _coordinates_of_joints(skeleton)
    legs = _legs(skeleton)
    root = next(j for j, joint in enumerate(skeleton.joints) if joint.parent == "ground")
    return [
        JointLoads(
            time_s=sample.time_s,
            coordinates=skeleton.coordinate_names,
            moment_nm={name: moments[n, :, k] for k, name in enumerate(legs.names)},
            lever_arm_nm=_lever_arm(skeleton, sample, _of_sample(solved.pose, n)),
            generalised_force=generalised[n],
            power_w=powers[n],
            joint_power_w={
                name: powers[n][:, of_joint[joint]].sum(axis=1)
                for name, joint in zip(legs.names, legs.joints, strict=True)
            },
            residual_force_n=solved.force_n[n, :, root].numpy(),
            residual_moment_nm=solved.moment_nm[n, :, root].numpy(),
            cutoff_hz=cutoff_hz,
        )
        for n, sample in enumerate(samples)
    ]


def _lever_arm(skeleton: Skeleton, sample: SmoothedTrial, pose: Pose) -> dict[str, np.ndarray]:
    """(Centre of pressure − knee) × force, about the direction that the person goes in."""
    going = local_heading(skeleton, pose, sampling_rate_hz=_rate_hz(sample.time_s))
    found = {}
    for foot, knee in enumerate(_legs(skeleton).knees):
        centre_m = pose.joint_centre_m[:, knee].numpy()
        about_knee = sample.force_moment_nm[:, foot] - np.cross(centre_m, sample.force_n[:, foot])
        found[SIDE_NAMES[foot]] = (about_knee * going).sum(axis=1) * (1.0 if foot == 0 else -1.0)
    return found


def _of_sample(pose: Pose, sample: int) -> Pose:
    return Pose(pose.rotation[sample], pose.origin_m[sample], pose.joint_centre_m[sample])


def _coordinates_of_joints(skeleton: Skeleton) -> list[list[int]]:
    """Columns of the coordinates that move each joint."""
    column = {name: i for i, name in enumerate(skeleton.coordinate_names)}
    return [
        sorted({column[axis.coordinate] for axis in (*joint.rotations, *joint.translations) if axis.coordinate})
        for joint in skeleton.joints
    ]


def _derivatives(values: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """First and second time derivatives of (T, C), by differences over five frames; parabolas beyond the ends.

    Over three frames the acceleration of a swing of 6 Hz sampled at 100 Hz comes out by a hundredth too small.
    """
    before = [3 * values[:1] - 3 * values[1:2] + values[2:3]]
    before.insert(0, 3 * before[0] - 3 * values[:1] + values[1:2])
    after = [3 * values[-1:] - 3 * values[-2:-1] + values[-3:-2]]
    after.append(3 * after[0] - 3 * values[-1:] + values[-2:-1])
    x = np.concatenate([*before, values, *after])
    first = (x[:-4] - 8 * x[1:-3] + 8 * x[3:-1] - x[4:]) * (rate_hz / 12)
    second = (-x[:-4] + 16 * x[1:-3] - 30 * x[2:-2] + 16 * x[3:-1] - x[4:]) * (rate_hz**2 / 12)
    return first, second


def _rate_hz(time_s: np.ndarray) -> float:
    return (len(time_s) - 1) / float(time_s[-1] - time_s[0])


def _side_parameters(
    loads: JointLoads, own: list[Stance], forces: GroundReaction, subject: Subject, *, side: str
) -> dict[str, float | None]:
    """Of one side, from its stances; without the side in the names."""
    spans = _frames(loads.time_s, [(forces.time_s[s.start], forces.time_s[s.end]) for s in own])
    adduction = loads.moment_nm[f"knee_{side}"][:, 1]
    found: dict[str, list[float]] = {}
    for name, signal in (("knee_adduction", adduction), ("knee_adduction_lever_arm", loads.lever_arm_nm[side])):
        halves = [(signal[start : (start + end) // 2], signal[(start + end) // 2 : end]) for start, end in spans]
        found[f"{name}_first_peak"] = [first.max() for first, _ in halves]
        found[f"{name}_second_peak"] = [second.max() for _, second in halves]
    for joint in LEG_JOINTS:
        moment = loads.moment_nm[f"{joint}_{side}"]
        for axis, (positive, negative) in enumerate(direction_names(joint)):
            found[f"{joint}_{positive}_peak"] = [moment[start:end, axis].max() for start, end in spans]
            found[f"{joint}_{negative}_peak"] = [-moment[start:end, axis].min() for start, end in spans]
    time_s = loads.time_s
    impulses = [np.trapezoid(np.maximum(adduction[start:end], 0.0), time_s[start:end]) for start, end in spans]

    size_nm = subject.body_weight_n * subject.height_m / 100
    parameters = {f"{name}_pct_bw_bh": _mean(peaks, size_nm) for name, peaks in found.items()}
    parameters["knee_adduction_impulse_pct_bw_bh_s"] = _mean(impulses, size_nm)
    parameters |= {f"{name}_nm_kg": _mean(peaks, subject.mass_kg) for name, peaks in found.items()}
    parameters["knee_adduction_impulse_nm_s_kg"] = _mean(impulses, subject.mass_kg)
    for joint in LEG_JOINTS:
        power = loads.joint_power_w[f"{joint}_{side}"]
        parameters[f"{joint}_power_max_w_kg"] = _mean([power[a:b].max() for a, b in spans], subject.mass_kg)
        parameters[f"{joint}_power_min_w_kg"] = _mean([power[a:b].min() for a, b in spans], subject.mass_kg)
    return parameters


def _frames(time_s: np.ndarray, spans_s: list[tuple[float, float]]) -> list[tuple[int, int]]:
    """Frames [start, end) of spans that lie within the times and have two frames at least."""
    first, last = time_s[0] - ROUNDING_S, time_s[-1] + ROUNDING_S
    within = [span for span in spans_s if span[0] >= first and span[1] <= last]
    frames = [tuple(np.searchsorted(time_s, np.array(span) - ROUNDING_S).tolist()) for span in within]
    return [(start, end) for start, end in frames if end - start >= 2]


def _mean(values: Sequence[float], unit: float) -> float | None:
    return float(np.mean(values)) / unit if len(values) else None
