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
from gaitdynamics.types.skeleton import Joint, Pose, Skeleton, once_per_skeleton
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

# The search for coordinates under which a chain of joints has a rotation.
RESTART_MISS = 1e-8  # squared radians: beyond it the search begins again elsewhere
_NUDGE = 1e-6  # of a coordinate, for its effect
_DAMPING = 1e-9  # against the square of an axis' effect, which is 1
_LARGEST_STEP_RAD, _SMALLEST_STEP_RAD, _MAX_TURN_STEPS = 1.0, 1e-9, 20
_ORIGIN_STEPS = 2  # one for sliders, which are linear, and one for its rounding
_GRID = {1: 24, 2: 16, 3: 8}  # ticks of a full turn, by number of coordinates
_BENT_PENALTY = 0.02  # of a posture's score, 3 at best, per square radian


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


@once_per_skeleton
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
    return chain_rotation(skeleton, segments, (joint,))


def chain_between(skeleton: Skeleton, proximal: str, distal: str) -> tuple[Joint, ...]:
    """The joints from a body, or 'ground', out to one that it carries."""
    chain: list[Joint] = []
    for joint in skeleton.path_to_root(distal):
        chain.insert(0, joint)
        if joint.parent == proximal:
            break
    return tuple(chain)


def chain_rotation(skeleton: Skeleton, segments: np.ndarray, chain: tuple[Joint, ...]) -> np.ndarray:
    """Orientation of the last body of a chain in the one that carries it, (T, 3, 3).

    Args:
        segments: canonical orientations, (T, B, 3, 3).
        chain: each joint's parent is the child of the one before.
    """
    distal = segments[:, skeleton.body_index[chain[-1].child]]
    if chain[0].parent == "ground":
        return distal
    return segments[:, skeleton.body_index[chain[0].parent]].swapaxes(-1, -2) @ distal


def joint_angles(skeleton: Skeleton, values: np.ndarray, leg: LegJoint) -> np.ndarray:
    """Flexion, adduction and internal rotation of a leg's joint, (T, 3), radians, positive alike on both sides."""
    return angles_of_rotation(joint_rotation(skeleton, values, leg.joint), leg)


def angles_of_rotation(rotation: np.ndarray, leg: LegJoint) -> np.ndarray:
    """Flexion, adduction and internal rotation (T, 3) from a leg joint's canonical rotation (T, 3, 3)."""
    return flexion_adduction_rotation(rotation) * _signs(leg)


def rotation_of_angles(angles: np.ndarray, leg: LegJoint) -> np.ndarray:
    """The inverse of `angles_of_rotation`: (T, 3) to (T, 3, 3)."""
    return from_flexion_adduction_rotation(angles * _signs(leg))


def with_joint_rotation(skeleton: Skeleton, values: np.ndarray, joint: Joint, rotation: np.ndarray) -> np.ndarray:
    """Coordinates under which one joint has a canonical rotation: the inverse of `joint_rotation`."""
    return with_chain_rotation(skeleton, values, (joint,), rotation)


def with_chain_rotation(
    skeleton: Skeleton, values: np.ndarray, chain: tuple[Joint, ...], rotation: np.ndarray
) -> np.ndarray:
    """Coordinates of the user's model under which a chain has a canonical rotation, as far as its axes allow.

    Damped Gauss–Newton on the chain's own coordinates, from the given ones; where that ends short of the rotation, also
    from the best of a grid of all postures. The inverse of `chain_rotation`.

    Args:
        values: coordinates to start from, (T, C).
        chain: joints whose coordinates are changed, those that the model locks excepted.
        rotation: wanted, (T, 3, 3).

    Returns:
        (T, C); the coordinates of other joints as they were, coupled ones too.
    """
    columns = chain_columns(skeleton, chain)
    if not columns:
        return values.copy()
    part = _part(skeleton, chain)
    axes = _canonical_axes(skeleton).numpy()
    wanted = rotation @ axes[skeleton.body_index[chain[-1].child]].T
    if chain[0].parent != "ground":
        wanted = axes[skeleton.body_index[chain[0].parent]] @ wanted

    result = _turned_towards(part, values, columns, wanted)
    miss = _miss(part, result, wanted)
    far = np.flatnonzero(miss > RESTART_MISS)
    if len(far) and len(columns) in _GRID:
        start = _nearest_of_grid(part, values[far], columns, wanted[far])
        again = _turned_towards(part, start, columns, wanted[far])
        is_better = _miss(part, again, wanted[far]) < miss[far] - RESTART_MISS
        result[far[is_better]] = again[is_better]
    return result


def with_chain_origin(
    skeleton: Skeleton, values: np.ndarray, chain: tuple[Joint, ...], origin_m: np.ndarray
) -> np.ndarray:
    """Coordinates under which the last body of a chain from the ground has its origin at a point.

    Args:
        values: coordinates to start from, rotations already as wanted, (T, C).
        chain: joints whose sliding coordinates are changed, those that the model locks excepted.
        origin_m: wanted, ground frame, (T, 3).

    Returns:
        (T, C); the other coordinates as they were.
    """
    columns = chain_columns(skeleton, chain, is_sliding=True)
    if not columns:
        return values.copy()
    part = _part(skeleton, chain)
    result = values.copy()
    for _ in range(_ORIGIN_STEPS):
        now, *nudged = (pose.origin_m[:, -1].numpy() for pose in _nudged_poses(part, result, columns))
        jacobian = np.stack([point - now for point in nudged], axis=-1) / _NUDGE
        result[:, columns] += _damped_solution(jacobian, origin_m - now)
    return result


def chain_columns(skeleton: Skeleton, chain: tuple[Joint, ...], *, is_sliding: bool = False) -> list[int]:
    """Columns of the free coordinates that turn (or, if asked, slide) a chain's joints, in order of their axes."""
    index = {coordinate.name: i for i, coordinate in enumerate(skeleton.coordinates)}
    found: dict[int, None] = {}
    for joint in chain:
        turning = [axis.coordinate for axis in joint.rotations]
        names = [a.coordinate for a in joint.translations if a.coordinate not in turning] if is_sliding else turning
        for name in names:
            while name is not None and skeleton.coordinates[index[name]].coupled_to is not None:
                name = skeleton.coordinates[index[name]].coupled_to
            if name is not None and not skeleton.coordinates[index[name]].is_locked:
                found[index[name]] = None
    return list(found)


def _part(skeleton: Skeleton, chain: tuple[Joint, ...]) -> Skeleton:
    """The chain alone, on the ground: a hundred thousand poses of it take as long as five thousand of the body."""
    bodies = tuple(skeleton.bodies[skeleton.body_index[joint.child]] for joint in chain)
    return replace(skeleton, bodies=bodies, joints=(replace(chain[0], parent="ground"), *chain[1:]))


def _nudged_poses(part: Skeleton, values: np.ndarray, columns: list[int]) -> list[Pose]:
    """Poses at the values, and with each column nudged."""
    nudged = [values]
    for column in columns:
        moved = values.copy()
        moved[:, column] += _NUDGE
        nudged.append(moved)
    pose, num = posed(part, np.concatenate(nudged)), len(values)
    return [
        Pose(pose.rotation[i : i + num], pose.origin_m[i : i + num], pose.joint_centre_m[i : i + num])
        for i in range(0, len(nudged) * num, num)
    ]


def _turned_towards(part: Skeleton, values: np.ndarray, columns: list[int], wanted: np.ndarray) -> np.ndarray:
    result = values.copy()
    active = np.arange(len(values))
    for _ in range(_MAX_TURN_STEPS):
        now, *nudged = (p.rotation[:, -1].numpy() for p in _nudged_poses(part, result[active], columns))
        back = now.swapaxes(-1, -2)
        jacobian = np.stack([rotation_vector(turned @ back) for turned in nudged], axis=-1) / _NUDGE
        step = _damped_solution(jacobian, rotation_vector(wanted[active] @ back))
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        result[active[:, None], columns] += step * np.minimum(1.0, _LARGEST_STEP_RAD / np.maximum(length, 1e-12))
        active = active[length[:, 0] > _SMALLEST_STEP_RAD]
        if not len(active):
            break
    return result


def _damped_solution(jacobian: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Least squares, (T, 3, K) and (T, 3) to (T, K); a direction that changes nothing is not gone."""
    transposed = jacobian.swapaxes(-1, -2)
    normal = transposed @ jacobian + _DAMPING * np.eye(jacobian.shape[-1])
    return np.linalg.solve(normal, transposed @ error[..., None])[..., 0]


def _miss(part: Skeleton, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Distance of the chain's rotation from the wanted one, (T,): the square of the angle, if that is small."""
    now = posed(part, values).rotation[:, -1].numpy()
    return 3.0 - np.einsum("tij,tij->t", now, wanted)


def _nearest_of_grid(part: Skeleton, values: np.ndarray, columns: list[int], wanted: np.ndarray) -> np.ndarray:
    """Values with those of a grid of postures that comes nearest to the rotation, and of equals the least bent."""
    num = _GRID[len(columns)]
    ticks = np.arange(num) * (2 * np.pi / num) - np.pi + 2 * np.pi / num
    grid = np.stack(np.meshgrid(*[ticks] * len(columns), indexing="ij"), axis=-1).reshape(-1, len(columns))
    postures = np.repeat(np.median(values, axis=0)[None], len(grid), axis=0)
    postures[:, columns] = grid
    rotations = posed(part, postures).rotation[:, -1].numpy().reshape(len(grid), 9)
    score = wanted.reshape(-1, 9) @ rotations.T - _BENT_PENALTY * (grid**2).sum(axis=1)
    result = values.copy()
    result[:, columns] = grid[score.argmax(axis=1)]
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
