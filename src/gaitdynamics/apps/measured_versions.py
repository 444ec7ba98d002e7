"""Gaits of a person in numbers and curves, each version beside its samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.anthropometry import torso_of
from gaitdynamics.biomech.cycles import Stride, over_cycle, strides, whole_stances
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.biomech.joint_loads import JointLoads, joint_loads_of_each, load_parameters
from gaitdynamics.biomech.kinematics import (
    angles_of_rotation,
    foot_paths,
    leg_joints,
    local_heading,
    posed,
    rotation_in_parent,
    segment_rotations,
)
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import even_times, interpolate, resample
from gaitdynamics.tasks.gait_versions import GaitSample, GaitVersion
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, SIDE_NAMES, SIDES

FASTEST_HZ, RATE_TOLERANCE = 200.0, 1.05
NUM_POINTS = 101  # of a curve: per cent of stance or stride
INTERVAL_PERCENTILES = (5.0, 95.0)
LEAST_SAMPLES = 3  # that an interval can be read from


@dataclass(frozen=True)
class MeasuredGait:
    """One motion and its forces.

    Args:
        parameters: names with units; those of one side end in _right or _left. None where there is no answer.
        curves: means over whole stances and strides, `stance_<name>_<side>` and `stride_<name>_<side>`, (NUM_POINTS,)
            each; absent where the recording has no whole one.
    """

    parameters: dict[str, float | None]
    curves: dict[str, np.ndarray]

    def curve(self, name: str) -> np.ndarray | None:
        """A curve; without a side in its name the mean of both. None where there is none."""
        names = (name, *(f"{name}_{side}" for side in SIDE_NAMES))
        found = [self.curves[each] for each in names if each in self.curves]
        return np.mean(found, axis=0) if found else None


@dataclass(frozen=True)
class FollowedCoordinate:
    """A coordinate of the model that is to be seen in curves and tables.

    Args:
        name: of its curves; without a side.
        coordinates: on the right and the left, one and the same for those without sides; None where there is none.
    """

    name: str
    coordinates: tuple[str | None, str | None]


@dataclass(frozen=True)
class Estimated:
    """A number, and between which ones it and nine of ten samples lie; without bounds where samples are too few."""

    value: float | None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class MeasuredVersion:
    """A version in numbers: the gait in the middle, and the samples around it."""

    version: GaitVersion
    centre: MeasuredGait
    samples: tuple[MeasuredGait, ...]

    def parameter(self, name: str) -> Estimated:
        """A parameter and its interval."""
        value = self.centre.parameters.get(name)
        return _estimated(value, [sample.parameters.get(name) for sample in self.samples])

    def change(self, name: str, recorded: "MeasuredVersion") -> Estimated:
        """By how much a parameter differs from that of the recorded gait.

        Samples are compared with their counterparts where the recorded gait has as many, else with its middle.
        """
        before = recorded.centre.parameters.get(name)
        befores: list[float | None] = [before] * len(self.samples)
        if len(recorded.samples) == len(self.samples):
            befores = [sample.parameters.get(name) for sample in recorded.samples]
        afters = [sample.parameters.get(name) for sample in self.samples]
        value = _difference(self.centre.parameters.get(name), before)
        return _estimated(value, [_difference(after, b) for after, b in zip(afters, befores, strict=True)])

    def band(self, curve: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Between which curves nine of ten samples lie at each point, (NUM_POINTS,) each."""
        found = [each for sample in self.samples if (each := sample.curve(curve)) is not None]
        if len(found) < LEAST_SAMPLES:
            return None
        lower, upper = np.percentile(np.stack(found), INTERVAL_PERCENTILES, axis=0)
        return lower, upper


def measure(
    versions: Sequence[GaitVersion],
    *,
    followed: Sequence[FollowedCoordinate] = (),
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[MeasuredVersion, ...]:
    """Parameters and curves of every version and of every sample of it.

    Args:
        versions: of one person.
        followed: coordinates whose curves, and largest and smallest values, are wanted, too.
        report: told how many gaits are measured, of how many.
    """
    total, done = sum(1 + len(version.samples) for version in versions), 0
    measured = []
    for version in versions:
        center = GaitSample(version.trial.motion, version.prediction.forces)
        every = [_slow_enough(each) for each in (center, *version.samples)]
        gaits = []
        for (motion, forces), loads in zip(every, joint_loads_of_each(version.trial, every), strict=True):
            trial = replace(version.trial, motion=motion)
            belt_speed_m_s = version.prediction.belt_speed_m_s
            gaits.append(_measured(trial, forces, loads, belt_speed_m_s=belt_speed_m_s, followed=followed))
            done += 1
            report(done, total)
        measured.append(MeasuredVersion(version, gaits[0], tuple(gaits[1:])))
    return tuple(measured)


def _slow_enough(sample: GaitSample) -> tuple[Motion, GroundReaction]:
    """Motion and forces, at `FASTEST_HZ` where they are faster: that tells all and takes less time."""
    motion, forces = sample.motion, sample.forces
    if motion.sampling_rate_hz <= FASTEST_HZ * RATE_TOLERANCE:
        return motion, forces
    time_s = even_times(motion.time_s, min_rate_hz=1.0, max_rate_hz=FASTEST_HZ)
    values = resample(motion.values, motion.time_s, time_s)
    observed = np.ones(values.shape, dtype=bool)
    force_n, cop_m, free_moment_nm, valid = (
        interpolate(each, forces.time_s, time_s)
        for each in (forces.force_n, forces.cop_m, forces.free_moment_nm, forces.valid.astype(float))
    )
    return (
        replace(motion, time_s=time_s, values=values, observed=observed),
        GroundReaction(time_s, force_n, cop_m, free_moment_nm, valid == 1.0),
    )


def _measured(
    trial: Trial,
    forces: GroundReaction,
    loads: JointLoads,
    *,
    belt_speed_m_s: float,
    followed: Sequence[FollowedCoordinate],
) -> MeasuredGait:
    parameters = gait_parameters(trial, forces, belt_speed_m_s=belt_speed_m_s)
    parameters |= load_parameters(loads, forces, trial.subject)
    parameters |= _extremes(trial, forces, followed)
    signals = _signals(trial, forces, followed)
    size_nm = trial.subject.body_weight_n * trial.subject.height_m
    for side in SIDE_NAMES:
        signals[side]["knee_adduction"] = 100.0 * loads.moment_nm[f"knee_{side}"][:, 1] / size_nm
    last = len(forces.time_s) - 1
    spans = {
        "stance": [Stride(s.foot, s.start, s.end, min(s.end, last)) for s in whole_stances(forces)],
        "stride": list(strides(forces)),
    }
    curves: dict[str, np.ndarray] = {}
    for foot, side in enumerate(SIDE_NAMES):
        names, values = list(signals[side]), np.stack(list(signals[side].values()), axis=1)
        for what, every in spans.items():
            found = [over_cycle(values, each, num_points=NUM_POINTS) for each in every if each.foot == foot]
            if found:
                curves |= {
                    f"{what}_{name}_{side}": mean for name, mean in zip(names, np.mean(found, axis=0).T, strict=True)
                }
    return MeasuredGait(parameters, curves)


def _signals(
    trial: Trial, forces: GroundReaction, followed: Sequence[FollowedCoordinate]
) -> dict[str, dict[str, np.ndarray]]:
    """What curves are made of, by side and name, (T,) each: forces in body weights, angles in degrees."""
    skeleton, motion = trial.skeleton, trial.motion
    pose = posed(skeleton, motion.values)
    axes = heading_axes(local_heading(skeleton, pose, sampling_rate_hz=motion.sampling_rate_hz))
    segments = segment_rotations(skeleton, pose)
    points_m = foot_paths(skeleton, pose, height_m=trial.subject.height_m).points_m
    force_bw = np.einsum("tij,tfj->tfi", axes, forces.force_n) / trial.subject.body_weight_n
    signals: dict[str, dict[str, np.ndarray]] = {}
    for foot, side in enumerate(SIDE_NAMES):
        outward = 1.0 if foot == 0 else -1.0
        forward, _, right = np.einsum("tij,tj->it", axes, points_m[:, foot, 1] - points_m[:, foot, 0])
        signals[side] = {
            "anteroposterior": force_bw[:, foot, 0],
            "vertical": force_bw[:, foot, 1],
            "mediolateral": -outward * force_bw[:, foot, 2],  # towards the midline
            "toe_out": np.arctan2(outward * right, forward) * DEGREES_PER_RADIAN,
        }
        torso = torso_of(skeleton)
        if torso is not None:
            _, up, right = np.einsum("tij,tj->it", axes, segments[:, skeleton.body_index[torso], :, 1])
            signals[side]["trunk_lean"] = np.arctan2(outward * right, up) * DEGREES_PER_RADIAN
        for each in followed:
            name = each.coordinates[foot]
            if name is not None:
                signals[side][each.name] = _shown_values(trial, name)
    for leg in leg_joints(skeleton):
        angles = angles_of_rotation(rotation_in_parent(skeleton, segments, leg.joint), leg) * DEGREES_PER_RADIAN
        own = signals[SIDE_NAMES[SIDES.index(leg.side)]]
        own[f"{leg.name}_flexion"] = angles[:, 0]
        if leg.name == "hip":
            own["hip_adduction"] = angles[:, 1]
    return signals


def _extremes(trial: Trial, forces: GroundReaction, followed: Sequence[FollowedCoordinate]) -> dict[str, float | None]:
    """Largest and smallest values of coordinates: means over strides, of their own side if they have one.

    Of the whole recording where it has no whole stride.
    """
    extremes: dict[str, float | None] = {}
    all_strides = strides(forces)
    for name in dict.fromkeys(name for each in followed for name in each.coordinates if name is not None):
        sides = {foot for each in followed for foot in range(2) if each.coordinates[foot] == name}
        values = _shown_values(trial, name)
        pieces = [values[stride.start : stride.end + 1] for stride in all_strides if stride.foot in sides]
        for what, extreme in (("max", np.max), ("min", np.min)):
            mean = float(np.mean([extreme(piece) for piece in pieces or [values]]))
            extremes[f"{name}_{what}_{shown_unit(trial.skeleton, name)}"] = mean
    return extremes


def shown_unit(skeleton: Skeleton, name: str) -> str:
    """Of a coordinate's values in tables and plots."""
    return "deg" if skeleton.coordinates[skeleton.coordinate_names.index(name)].is_rotational else "m"


def _shown_values(trial: Trial, name: str) -> np.ndarray:
    values = trial.motion.values[:, trial.motion.coordinates.index(name)]
    return values * (DEGREES_PER_RADIAN if shown_unit(trial.skeleton, name) == "deg" else 1.0)


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _estimated(value: float | None, samples: Sequence[float | None]) -> Estimated:
    known = [sample for sample in samples if sample is not None]
    if value is None or len(known) < LEAST_SAMPLES:
        return Estimated(value)
    lower, upper = np.percentile(known, INTERVAL_PERCENTILES)
    return Estimated(value, min(float(lower), value), max(float(upper), value))
