"""The coordinates that the authors' state is made of, from a trial of any model.

They are those of the Rajagopal model (Rajagopal et al. 2016, IEEE Trans Biomed Eng 63:2068): three-axis joints are
turned about z, x and y in this order, knees flex to the positive side, and the foot has an ankle and a subtalar hinge.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.anthropometry import trunk_joint
from gaitdynamics.biomech.kinematics import (
    angles_of_rotation,
    joint_angles,
    leg_joints,
    pelvis_of,
    posed,
    rotation_in_parent,
    segment_rotations,
)
from gaitdynamics.maths.rotations import (
    flexion_adduction_rotation,
    from_flexion_adduction_rotation,
    rotation_vector,
)
from gaitdynamics.maths.signals import resample
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Joint, Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDES

RATE_HZ = 100.0
BALLS = ("pelvis", "hip_r", "hip_l", "lumbar")
HINGES = tuple(f"{joint}_angle_{side}" for side in SIDES for joint in ("knee", "ankle", "subtalar"))
PELVIS_TRANSLATIONS = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
BALL_COORDINATES = {
    "pelvis": ("pelvis_tilt", "pelvis_list", "pelvis_rotation"),
    **{f"hip_{side}": (f"hip_flexion_{side}", f"hip_adduction_{side}", f"hip_rotation_{side}") for side in SIDES},
    "lumbar": ("lumbar_extension", "lumbar_bending", "lumbar_rotation"),
}
# Axes of the right ankle and subtalar joint in the shank, pointing so that dorsiflexion and inversion are positive:
# Delp et al. 1990, IEEE Trans Biomed Eng 37:757, as in every model of that family.
ANKLE_AXIS = np.array([-0.10501355, -0.17402245, 0.97912632])
SUBTALAR_AXIS = np.array([0.7871796, 0.60474746, -0.12094949])
NUM_FOOT_STEPS = 4  # of Gauss–Newton; the third already changes nothing within float32
TRIED_FLEXION_RAD = 0.5
SMALLEST_STEP = 1e-6  # of a frame: rounding of printed times


@dataclass(frozen=True)
class PublishedCoordinates:
    """Over time, in the order of BALLS and HINGES.

    Args:
        time_s: (T,).
        pelvis_m: origin of the pelvis, (T, 3).
        ball_rad: angles about z, x and y of the three-axis joints, (T, 4, 3).
        hinge_rad: (T, 6).
        known: groups of the state (PUBLISHED's) that were measured; the rest is zero or a default.
    """

    time_s: np.ndarray
    pelvis_m: np.ndarray
    ball_rad: np.ndarray
    hinge_rad: np.ndarray
    known: frozenset[str]

    def turned(self, turn: np.ndarray) -> "PublishedCoordinates":
        """Pelvis turned by a matrix (3, 3) about the origin of the ground."""
        pelvis = turn @ from_flexion_adduction_rotation(self.ball_rad[:, 0])
        ball_rad = np.concatenate([flexion_adduction_rotation(pelvis)[:, None], self.ball_rad[:, 1:]], axis=1)
        return replace(self, pelvis_m=self.pelvis_m @ turn.T, ball_rad=ball_rad)


def coordinates_by_name(motion: Motion) -> PublishedCoordinates:
    """The motion's columns of the authors' names, as they are, at the motion's own times.

    A joint of which any axis is missing is not known.
    """
    columns = dict(zip(motion.coordinates, motion.values.T, strict=True))
    observed = dict(zip(motion.coordinates, np.any(motion.observed, axis=0).tolist(), strict=True))
    nothing = np.zeros(len(motion.time_s))

    def stacked(names: Iterable[str]) -> np.ndarray:
        return np.stack([columns.get(name, nothing) for name in names], axis=-1)

    groups = {"pelvis_translation": PELVIS_TRANSLATIONS, **BALL_COORDINATES, **{name: (name,) for name in HINGES}}
    return PublishedCoordinates(
        time_s=motion.time_s,
        pelvis_m=stacked(PELVIS_TRANSLATIONS),
        ball_rad=np.stack([stacked(BALL_COORDINATES[ball]) for ball in BALLS], axis=1),
        hinge_rad=stacked(HINGES),
        known=frozenset(group for group, names in groups.items() if all(observed.get(name, False) for name in names)),
    )


def times_of(motion: Motion) -> np.ndarray:
    """100 Hz from the motion's first time on, until it is covered."""
    num_steps = int(np.ceil((motion.time_s[-1] - motion.time_s[0]) * RATE_HZ - SMALLEST_STEP))
    return motion.time_s[0] + np.arange(num_steps + 1) / RATE_HZ


def canonical_coordinates(trial: Trial, time_s: np.ndarray) -> PublishedCoordinates:
    """The coordinates that a Rajagopal model would have in the trial's poses.

    The trial's model may name and sign its coordinates in its own way.

    Args:
        time_s: evenly spaced at 100 Hz, (T,).

    Raises:
        InvalidModelError: the model lacks legs or feet.
    """
    skeleton, motion = trial.skeleton, trial.motion
    pose = posed(skeleton, resample(motion.values, motion.time_s, time_s))
    segments = segment_rotations(skeleton, pose)
    pelvis_index = skeleton.body_index[pelvis_of(skeleton)]
    root = skeleton.path_to_root(pelvis_of(skeleton))
    ball_rad = {"pelvis": flexion_adduction_rotation(segments[:, pelvis_index])}
    hinge_rad: dict[str, np.ndarray] = {}
    joints_behind: dict[str, tuple[Joint, ...]] = {"pelvis": root, "pelvis_translation": root}
    for leg in leg_joints(skeleton):
        if leg.name == "hip":
            ball = f"hip_{leg.side}"
            ball_rad[ball] = angles_of_rotation(rotation_in_parent(skeleton, segments, leg.joint), leg)
            joints_behind[ball] = (leg.joint,)
        elif leg.name == "knee":
            knee = f"knee_angle_{leg.side}"
            hinge_rad[knee] = angles_of_rotation(rotation_in_parent(skeleton, segments, leg.joint), leg)[:, 0]
            joints_behind[knee] = (leg.joint,)
        else:
            hindfoot = skeleton.feet[SIDES.index(leg.side)].hindfoot
            shank, foot = (segments[:, skeleton.body_index[body]] for body in (leg.joint.parent, hindfoot))
            angles = _foot_hinges(shank.swapaxes(-1, -2) @ foot, side=leg.side)
            hinge_rad[f"ankle_angle_{leg.side}"], hinge_rad[f"subtalar_angle_{leg.side}"] = angles.T
            path = skeleton.path_to_root(hindfoot)
            joints_behind[f"ankle_angle_{leg.side}"] = (leg.joint,)
            joints_behind[f"subtalar_angle_{leg.side}"] = path[: path.index(leg.joint)] or (leg.joint,)
    lumbar = trunk_joint(skeleton)
    if lumbar is not None:
        ball_rad["lumbar"] = flexion_adduction_rotation(rotation_in_parent(skeleton, segments, lumbar))
        joints_behind["lumbar"] = (lumbar,)
    nothing = np.zeros((len(time_s), 3))
    return PublishedCoordinates(
        time_s=time_s,
        pelvis_m=pose.origin_m[:, pelvis_index].numpy(),
        ball_rad=np.stack([ball_rad.get(ball, nothing) for ball in BALLS], axis=1),
        hinge_rad=np.stack([hinge_rad[hinge] for hinge in HINGES], axis=1),
        known=frozenset(
            group
            for group, joints in joints_behind.items()
            if _is_observed(trial, joints, of_translations=group == "pelvis_translation")
        ),
    )


def has_other_knee_sign(skeleton: Skeleton) -> bool:
    """Whether a positive knee angle stretches the knee in this model."""
    for leg in leg_joints(skeleton):
        name = f"knee_angle_{leg.side}"
        if leg.name == "knee" and name in skeleton.coordinate_names:
            tried = np.zeros((1, len(skeleton.coordinates)))
            tried[0, skeleton.coordinate_names.index(name)] = TRIED_FLEXION_RAD
            if joint_angles(skeleton, skeleton.with_coupled_values(tried), leg)[0, 0] < 0:
                return True
    return False


def _is_observed(trial: Trial, joints: Iterable[Joint], *, of_translations: bool) -> bool:
    """Whether every free coordinate of these joints was measured, and there is one."""
    axes = [axis for joint in joints for axis in (joint.translations if of_translations else joint.rotations)]
    is_coupled = {coordinate.name: coordinate.is_coupled for coordinate in trial.skeleton.coordinates}
    names = {axis.coordinate for axis in axes if axis.coordinate is not None and not is_coupled[axis.coordinate]}
    columns = [i for i, name in enumerate(trial.motion.coordinates) if name in names]
    return bool(columns) and bool(np.any(trial.motion.observed[:, columns], axis=0).all())


def _foot_hinges(foot_in_shank: np.ndarray, *, side: str) -> np.ndarray:
    """Ankle and subtalar angles (T, 2) whose hinges bring the foot nearest to its orientation in the shank (T, 3, 3).

    A left foot is looked at in the mirror.
    """
    mirror = np.diag([1.0, 1.0, 1.0 if side == SIDES[0] else -1.0])
    wanted = mirror @ foot_in_shank @ mirror
    angles = np.zeros((len(wanted), 2))
    for _ in range(NUM_FOOT_STEPS):
        ankle, subtalar = _about(ANKLE_AXIS, angles[:, 0]), _about(SUBTALAR_AXIS, angles[:, 1])
        error = rotation_vector(wanted @ (ankle @ subtalar).swapaxes(-1, -2))
        axes = np.stack([np.broadcast_to(ANKLE_AXIS, error.shape), ankle @ SUBTALAR_AXIS], axis=-1)
        angles += (np.linalg.pinv(axes) @ error[..., None])[..., 0]
    return angles


def _about(axis: np.ndarray, angle_rad: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) about a unit axis: Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle_rad)[:, None, None] * cross + (1 - np.cos(angle_rad))[:, None, None] * cross @ cross
