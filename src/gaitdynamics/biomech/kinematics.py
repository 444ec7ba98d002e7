"""Segments, joints and feet in one convention, whatever a model calls and signs its coordinates.

A segment's canonical axes are x forward, y up, z right in the model's zero pose, which in OpenSim's gait models is
upright standing; forward is the ground's x axis, or where the feet point if that is elsewhere. Joint rotations are
those of the distal segment in the proximal one, so they do not depend on the sign or the name of any coordinate.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from gaitdynamics.errors import InvalidModelError
from gaitdynamics.maths.rotations import (
    flexion_adduction_rotation,
    from_flexion_adduction_rotation,
    heading_axes,
    median_heading,
    rotation_vector,
)
from gaitdynamics.maths.signals import smooth
from gaitdynamics.types.skeleton import Joint, Pose, Skeleton
from gaitdynamics.units import SIDES

LEG_JOINTS = ("hip", "knee", "ankle")
# The canonical angles of a leg: hip flexion, adduction and internal rotation; knee flexion, adduction and internal
# rotation; ankle dorsiflexion, adduction and internal rotation are positive, on both sides.
_FLEXION_SIGN = {"hip": 1.0, "knee": -1.0, "ankle": 1.0}
_TOE_LENGTH = 0.36  # of heel to toe joint: the foot is 1.36 times that (Hawes and Sovak 1994, Ergonomics 37:1213)
_FOOT_LENGTH_OF_HEIGHT = 0.152  # Drillis and Contini 1966, from Winter 2009, Fig. 4.1
LARGEST_TOE_OUT_RAD = np.pi / 6  # of both feet on the mean; beyond it a model stands turned
TURN_RAD = np.pi / 4  # a person who faces further apart than this turns
TURN_CUTOFF_HZ = 0.5  # below stride frequency
_HEEL_TO_TOE_JOINT = 1 / (1 + _TOE_LENGTH)


@dataclass(frozen=True)
class LegJoint:
    """A joint of the leg between two segments: `name` is hip, knee or ankle."""

    name: str
    side: str
    joint: Joint


@dataclass(frozen=True)
class FootPath:
    """Where the feet are over time, ground frame, feet ordered right, left.

    Args:
        points_m: heel and toe joint, (T, 2, 2, 3).
        length_m: heel to toe joint, (2,).
    """

    points_m: np.ndarray
    length_m: np.ndarray


def posed(skeleton: Skeleton, values: np.ndarray) -> Pose:
    """Pose of every body at every frame, from coordinates (T, C); without gradients."""
    with torch.no_grad():
        return skeleton.pose(torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float64))


def leg_joints(skeleton: Skeleton) -> tuple[LegJoint, ...]:
    """Hip, knee and ankle of the right and the left leg, found by their place between pelvis and foot.

    Raises:
        InvalidModelError: a leg has fewer than three moving joints.
    """
    found = []
    for foot in skeleton.feet:
        path = [j for j in reversed(skeleton.path_to_root(foot.hindfoot)) if j.parent != "ground"]
        moving = [joint for joint in path if joint.rotations]
        if len(moving) < len(LEG_JOINTS):
            names = ", ".join(joint.name for joint in path) or "none"
            raise InvalidModelError(
                f"the model's leg to '{foot.hindfoot}' has {len(moving)} moving joints ({names}); "
                "expected hip, knee and ankle. Use a model with whole legs."
            )
        found += [LegJoint(name, foot.side, joint) for name, joint in zip(LEG_JOINTS, moving, strict=False)]
    return tuple(found)


def pelvis_of(skeleton: Skeleton) -> str:
    """The body that carries both hips."""
    return leg_joints(skeleton)[0].joint.parent


def segment_rotations(skeleton: Skeleton, pose: Pose) -> np.ndarray:
    """Orientation of every body's canonical axes in the ground frame, (..., B, 3, 3)."""
    return (pose.rotation @ _canonical_axes(skeleton)).numpy()


def segment_rotation(skeleton: Skeleton, pose: Pose, body: str) -> np.ndarray:
    """Orientation of one body's canonical axes in the ground frame, (..., 3, 3)."""
    index = skeleton.body_index[body]
    return (pose.rotation[..., index, :, :] @ _canonical_axes(skeleton)[index]).numpy()


def _canonical_axes(skeleton: Skeleton) -> torch.Tensor:
    """Every body's canonical axes in its own, (B, 3, 3)."""
    zero = posed(skeleton, np.zeros((1, len(skeleton.coordinates))))
    return zero.rotation[0].mT @ torch.from_numpy(_axes_of_zero_pose(skeleton, zero))


def _axes_of_zero_pose(skeleton: Skeleton, zero: Pose) -> np.ndarray:
    """Columns forward, up, right of a body in its zero pose, (3, 3): the ground's, unless the feet point elsewhere."""
    feet = [(foot.hindfoot, foot.toes) for foot in skeleton.feet if foot.toes is not None]
    if not feet:
        return np.eye(3)
    origin = {body: zero.origin_m[0, skeleton.body_index[body]].numpy() for pair in feet for body in pair}
    pointing = np.mean([origin[toes] - origin[hindfoot] for hindfoot, toes in feet], axis=0)
    angle = np.arctan2(-pointing[2], pointing[0])
    if abs(angle) < LARGEST_TOE_OUT_RAD:
        return np.eye(3)
    return heading_axes(np.array([np.cos(angle), 0.0, -np.sin(angle)])).T


def forward_axis(skeleton: Skeleton, pose: Pose) -> np.ndarray:
    """The direction that the pelvis faces, (T, 3), a unit vector in the ground frame."""
    return segment_rotation(skeleton, pose, pelvis_of(skeleton))[..., 0]


def heading_of(skeleton: Skeleton, pose: Pose) -> np.ndarray:
    """The horizontal direction that the pelvis faces on the median, (3,)."""
    return median_heading(forward_axis(skeleton, pose))


def local_heading(skeleton: Skeleton, pose: Pose, *, sampling_rate_hz: float) -> np.ndarray:
    """The horizontal direction that a person goes in at every frame, (T, 3).

    Constant unless the person turns: then the direction that the pelvis faces, without its swing from step to step.
    """
    facing = forward_axis(skeleton, pose)
    angle = smooth(
        np.unwrap(np.arctan2(-facing[:, 2], facing[:, 0])), cutoff_hz=TURN_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz
    )
    if np.ptp(angle) < TURN_RAD:
        return np.broadcast_to(median_heading(facing), facing.shape)
    return np.stack([np.cos(angle), np.zeros_like(angle), -np.sin(angle)], axis=-1)


def joint_rotation(skeleton: Skeleton, values: np.ndarray, joint: Joint) -> np.ndarray:
    """Canonical orientation of a joint's child in its parent, (T, 3, 3), from coordinates (T, C)."""
    return rotation_in_parent(skeleton, segment_rotations(skeleton, posed(skeleton, values)), joint)


def rotation_in_parent(skeleton: Skeleton, segments: np.ndarray, joint: Joint) -> np.ndarray:
    """Orientation of a joint's child in its parent, (T, 3, 3), from canonical segment orientations (T, B, 3, 3)."""
    child = segments[:, skeleton.body_index[joint.child]]
    if joint.parent == "ground":
        return child
    return segments[:, skeleton.body_index[joint.parent]].swapaxes(-1, -2) @ child


def joint_angles(skeleton: Skeleton, values: np.ndarray, leg: LegJoint) -> np.ndarray:
    """Flexion, adduction and internal rotation of a leg's joint, (T, 3), radians, positive alike on both sides."""
    return angles_of_rotation(joint_rotation(skeleton, values, leg.joint), leg)


def angles_of_rotation(rotation: np.ndarray, leg: LegJoint) -> np.ndarray:
    """Flexion, adduction and internal rotation (T, 3) from a leg joint's canonical rotation (T, 3, 3)."""
    return flexion_adduction_rotation(rotation) * _signs(leg)


def rotation_of_angles(angles: np.ndarray, leg: LegJoint) -> np.ndarray:
    """The inverse of `angles_of_rotation`: (T, 3) to (T, 3, 3)."""
    return from_flexion_adduction_rotation(angles * _signs(leg))


def with_joint_rotation(
    skeleton: Skeleton, values: np.ndarray, joint: Joint, rotation: np.ndarray, *, num_steps: int = 8
) -> np.ndarray:
    """Coordinates of the user's model under which a joint has a canonical rotation, as far as its axes allow.

    Gauss–Newton on the joint's own coordinates; the inverse of `joint_rotation`.

    Args:
        values: coordinates to start from, (T, C).
        joint: whose coordinates are changed.
        rotation: wanted, (T, 3, 3).
        num_steps: of Gauss–Newton; a hinge of one axis takes one or two.

    Returns:
        (T, C); the coordinates of other joints as they were.
    """
    columns = [
        skeleton.coordinate_names.index(name) for name in dict.fromkeys(a.coordinate for a in joint.rotations) if name
    ]
    result = values.copy()
    step = 1e-5
    for _ in range(num_steps):
        now = joint_rotation(skeleton, result, joint)
        error = rotation_vector(rotation @ now.swapaxes(-1, -2))
        jacobian = []
        for column in columns:
            nudged = result.copy()
            nudged[:, column] += step
            turned = joint_rotation(skeleton, nudged, joint)
            jacobian.append(rotation_vector(turned @ now.swapaxes(-1, -2)) / step)
        matrix = np.stack(jacobian, axis=-1)
        result[:, columns] += (np.linalg.pinv(matrix) @ error[..., None])[..., 0]
    return result


def foot_paths(skeleton: Skeleton, pose: Pose, *, height_m: float) -> FootPath:
    """Heel and toe joint over time.

    The heel is the hindfoot's origin, which OpenSim's models put at the back of the calcaneus; the toe joint is where
    the toes are hinged or, in a foot of one piece, where a foot of that body height has it.
    """
    paths, lengths = [], []
    for foot in skeleton.feet:
        heel = pose.origin_m[:, skeleton.body_index[foot.hindfoot]].numpy()
        if foot.toes is not None:
            toe = pose.origin_m[:, skeleton.body_index[foot.toes]].numpy()
        else:
            pointing = segment_rotation(skeleton, pose, foot.hindfoot)[..., 0]
            toe = heel + pointing * (_FOOT_LENGTH_OF_HEIGHT * _HEEL_TO_TOE_JOINT * height_m)
        paths.append(np.stack([heel, toe], axis=1))
        lengths.append(np.median(np.linalg.norm(toe - heel, axis=-1)))
    return FootPath(np.stack(paths, axis=1), np.array(lengths))


def held_upright(skeleton: Skeleton, joint: Joint) -> Skeleton:
    """The same body with a joint's child kept vertical, turning only with its parent's heading."""
    upright = replace(
        joint,
        rotations=(),
        translations=(),
        parent_rotation=np.eye(3),
        child_rotation=np.eye(3),
        is_upright=True,
    )
    return replace(skeleton, joints=tuple(upright if j is joint else j for j in skeleton.joints))


def _signs(leg: LegJoint) -> np.ndarray:
    side = 1.0 if leg.side == SIDES[0] else -1.0
    return np.array([_FLEXION_SIGN[leg.name], side, side])
