"""What the force model sees: the mechanics of the whole body and of each foot, whatever the size of the person."""

from collections.abc import Sequence

import numpy as np

from gaitdynamics.biomech.anthropometry import trunk_joint
from gaitdynamics.biomech.kinematics import (
    angles_of_rotation,
    foot_paths,
    leg_joints,
    pelvis_of,
    rotation_in_parent,
    segment_rotations,
)
from gaitdynamics.biomech.physics import Physics
from gaitdynamics.maths.rotations import flexion_adduction_rotation, heading_axes
from gaitdynamics.maths.signals import derivative, intervals, second_derivative, smooth
from gaitdynamics.state.layout import OBSERVED_GROUPS, PHYSICS
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Axis, Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, SIDES, STANDARD_GRAVITY_M_S2

QUICK_CUTOFF_HZ = 12.0  # of a total force that still shows impacts
RATE_CUTOFF_HZ = 12.0  # of joint angles and points of the foot, before they are differentiated
LONGEST_STANCE_S = 1.0  # contact times are given as shares of this
FARTHEST_BALANCE = 0.3  # of body height: further from a foot the balance point says nothing about it

_NAME_OF_SIDE = dict(zip(SIDES, SIDE_NAMES, strict=True))


def physics_features(trial: Trial, physics: Physics) -> np.ndarray:
    """Features of every frame of `physics`, (T, len(PHYSICS)), in the order of the layout PHYSICS.

    Vectors are in heading axes (x forward, y up, z right), lengths in body heights, forces in body weights; velocities
    are over the ground, so that a treadmill and a floor look alike.
    """
    rate_hz, height_m = physics.sampling_rate_hz, trial.subject.height_m
    body_weight_n = trial.subject.body_weight_n
    axes = np.broadcast_to(heading_axes(physics.heading), (len(physics.time_s), 3, 3))

    def in_heading(vectors: np.ndarray) -> np.ndarray:
        return np.einsum("tij,t...j->t...i", axes, vectors)

    def over_ground(path_m: np.ndarray) -> np.ndarray:
        velocity = in_heading(derivative(path_m, sampling_rate_hz=rate_hz))
        velocity[..., 0] += physics.belt_speed_m_s
        return velocity / height_m

    contact = physics.contact
    com_m = physics.skeleton.centre_of_mass(physics.pose).numpy()
    quick_m = smooth(com_m, cutoff_hz=QUICK_CUTOFF_HZ, sampling_rate_hz=rate_hz)
    quick = in_heading(second_derivative(quick_m, sampling_rate_hz=rate_hz)) / STANDARD_GRAVITY_M_S2
    quick[:, 1] += 1.0
    found: dict[str, np.ndarray] = {
        "total_force": in_heading(physics.body.force_n) / body_weight_n,
        "quick_force": quick,
        "com_velocity": over_ground(physics.body.com_m),
        "com_height": (physics.body.com_m[:, 1] - contact.floor_m) / height_m,
        "flight": contact.is_flight,
        "running": np.full(len(axes), contact.is_running),
        "moment": in_heading(physics.body.moment_nm) / (body_weight_n * height_m),
    }
    segments = segment_rotations(physics.skeleton, physics.pose)
    trunk = trunk_joint(physics.skeleton)
    for name, body in (("pelvis", pelvis_of(physics.skeleton)), ("trunk", trunk.child if trunk else None)):
        if body is not None:
            turned = axes @ segments[:, physics.skeleton.body_index[body]]
            found[f"{name}_orientation"] = flexion_adduction_rotation(turned)

    path_m = physics.path.points_m
    moving_m = smooth(
        foot_paths(physics.skeleton, physics.pose, height_m=height_m).points_m,
        cutoff_hz=RATE_CUTOFF_HZ,
        sampling_rate_hz=rate_hz,
    )
    velocity = over_ground(path_m)
    acceleration = second_derivative(moving_m, sampling_rate_hz=rate_hz)[..., 1] / STANDARD_GRAVITY_M_S2
    from_com = in_heading(path_m - physics.body.com_m[:, None, None]) / height_m
    from_com[..., 1] = (path_m[..., 1] - contact.floor_m) / height_m
    balance = np.nan_to_num(in_heading(physics.balance_m[:, None] - path_m[:, :, 0]) / height_m, nan=0.0)
    pressure = in_heading(physics.under.cop_m - path_m[:, :, 0]) / height_m
    for foot, side in enumerate(SIDE_NAMES):
        found[f"contact_{side}"] = _contact_times(contact.is_down[:, foot], rate_hz)
        found[f"shared_force_{side}"] = in_heading(physics.force_n[:, foot]) / body_weight_n
        found[f"pressure_{side}"] = pressure[:, foot, [0, 2]]
        found[f"balance_{side}"] = np.clip(balance[:, foot, [0, 2]], -FARTHEST_BALANCE, FARTHEST_BALANCE)
        for k, point in enumerate(("heel", "toe")):
            found[f"{point}_{side}"] = from_com[:, foot, k]
            found[f"{point}_velocity_{side}"] = velocity[:, foot, k]
            found[f"{point}_acceleration_{side}"] = acceleration[:, foot, k]
    for leg in leg_joints(physics.skeleton):
        side = _NAME_OF_SIDE[leg.side]
        angles = angles_of_rotation(rotation_in_parent(physics.skeleton, segments, leg.joint), leg)
        steady = smooth(angles[:, 0], cutoff_hz=RATE_CUTOFF_HZ, sampling_rate_hz=rate_hz)
        rates = derivative(steady, sampling_rate_hz=rate_hz)
        found[f"{leg.name}_{side}"] = np.column_stack([angles, rates])
    observed = _observed(trial, physics.time_s)
    found |= {f"observed_{group}": observed[group] for group in OBSERVED_GROUPS}

    features = np.zeros((len(axes), len(PHYSICS)), dtype=np.float32)
    for name, values in found.items():
        columns = PHYSICS[name]
        features[:, columns] = values.reshape(len(axes), len(columns))
    return features


def _contact_times(is_down: np.ndarray, rate_hz: float) -> np.ndarray:
    """Down, time since landing, time until leaving, and progress from 0 to 1, (T, 4); zero in the air."""
    times = np.zeros((len(is_down), 4))
    longest = LONGEST_STANCE_S * rate_hz
    for start, end in intervals(is_down):
        since = np.arange(end - start) + 0.5
        until = since[::-1]
        times[start:end] = np.stack(
            [
                np.ones(end - start),
                np.minimum(since / longest, 1),
                np.minimum(until / longest, 1),
                since / (end - start),
            ],
            axis=1,
        )
    return times


def _observed(trial: Trial, time_s: np.ndarray) -> dict[str, np.ndarray]:
    """How much of each group of coordinates was observed at each time, (T,) from 0 to 1."""
    nearest = np.clip(np.searchsorted(trial.motion.time_s, time_s), 0, len(trial.motion.time_s) - 1)
    return {
        group: _share_observed(trial.motion, names)[nearest]
        for group, names in coordinates_of_groups(trial.skeleton).items()
    }


def _share_observed(motion: Motion, names: Sequence[str]) -> np.ndarray:
    columns = [motion.coordinates.index(name) for name in names]
    return motion.observed[:, columns].mean(axis=1) if columns else np.zeros(len(motion.time_s))


def coordinates_of_groups(skeleton: Skeleton) -> dict[str, tuple[str, ...]]:
    """The coordinates of a model behind each of OBSERVED_GROUPS; none where it has no such joint."""
    base = skeleton.path_to_root(pelvis_of(skeleton))
    trunk = trunk_joint(skeleton)
    groups = {
        "pelvis_translation": _moved_by([axis for joint in base for axis in joint.translations]),
        "pelvis_orientation": _moved_by([axis for joint in base for axis in joint.rotations]),
        "lumbar": _moved_by(trunk.rotations) if trunk else (),
    }
    for leg in leg_joints(skeleton):
        side = _NAME_OF_SIDE[leg.side]
        groups[f"{leg.name}_{side}"] = _moved_by(leg.joint.rotations)
    return {group: groups[group] for group in OBSERVED_GROUPS}


def _moved_by(axes: Sequence[Axis]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(axis.coordinate for axis in axes if axis.coordinate))
