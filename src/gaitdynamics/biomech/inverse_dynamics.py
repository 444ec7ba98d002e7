"""Which moments and forces the joints must have for a body to move as it does: batched, differentiable.

Recursive Newton–Euler (Luh, Walker and Paul 1980, J Dyn Syst Meas Control 102:69) on the joints of `types.skeleton`:
accelerations from the pelvis out, what each body needs beyond gravity and the ground, sums from the leaves in, and
their share along every coordinate. All joints of the same distance from the ground are computed at once, and the batch
is the last dimension inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from gaitdynamics.errors import InvalidModelError
from gaitdynamics.types.skeleton import Axis, JointFunction, Polynomial, Pose, Skeleton, once_per_skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

DIFFERENCE = 1e-4  # of a coordinate, radians or metres, for the slopes and bends of a joint's curves
CHUNK = 4096  # frames at a time, where no gradients are asked for: 0.3 GB


@dataclass(frozen=True)
class FootWrench:
    """What the ground does to the feet, in the ground frame; feet ordered right, left.

    Args:
        force_n: (..., 2, 3).
        moment_nm: about the ground's origin, (..., 2, 3). Unlike a centre of pressure it is linear in the force, so it
            can be smoothed, and it has a meaning when the foot is unloaded.
    """

    force_n: torch.Tensor
    moment_nm: torch.Tensor

    @staticmethod
    def at(point_m: torch.Tensor, force_n: torch.Tensor, free_moment_nm: torch.Tensor) -> FootWrench:
        """Of forces (..., 2, 3) at points (..., 2, 3) with moments about the vertical there, (..., 2)."""
        none = torch.zeros_like(free_moment_nm)
        vertical = torch.stack([none, free_moment_nm, none], dim=-1)
        return FootWrench(force_n, torch.linalg.cross(point_m, force_n, dim=-1) + vertical)


@dataclass(frozen=True)
class JointForces:
    """What acts in the joints, float64.

    Args:
        generalised: force or moment of every coordinate, in its own direction, N or N m, (..., C). Those of the joint
            to the ground are residuals: zero if motion and forces agree.
        force_n: that the parent exerts on each joint's child, ground frame, (..., J, 3).
        moment_nm: the same, about the joint's centre, (..., J, 3).
        angular_velocity_rad_s: of every body, ground frame, (..., B, 3).
        pose: that they belong to.
    """

    generalised: torch.Tensor
    force_n: torch.Tensor
    moment_nm: torch.Tensor
    angular_velocity_rad_s: torch.Tensor
    pose: Pose


def inverse_dynamics(
    skeleton: Skeleton,
    values: torch.Tensor,
    *,
    rates: torch.Tensor,
    accelerations: torch.Tensor,
    wrench: FootWrench,
) -> JointForces:
    """Forces and moments of the joints, as OpenSim's inverse dynamics has them.

    Each coordinate is for itself: a coupled one gets what acts along it, not its driver, as in OpenSim. Everything is
    computed in float64 on the CPU, whatever the arguments' type, and can be differentiated with respect to all of them.

    Args:
        skeleton: with the person's mass.
        values: coordinates, radians and metres, (..., C); those of coupled coordinates are computed.
        rates: their first time derivatives, (..., C).
        accelerations: their second time derivatives, (..., C).
        wrench: of the ground on the hindfeet.

    Raises:
        InvalidModelError: a joint holds its child upright, which no moment of its own does.
    """
    tree = _tree(skeleton)
    shape = values.shape[:-1]
    of_coordinates = [each.double().reshape(-1, len(skeleton.coordinates)).T for each in (values, rates, accelerations)]
    of_feet = [
        each.double().expand(*shape, 2, 3).reshape(-1, 2, 3).permute(1, 2, 0)
        for each in (wrench.force_n, wrench.moment_nm)
    ]
    given = (*of_coordinates, *of_feet)
    num = given[0].shape[1]
    size = num if torch.is_grad_enabled() and any(each.requires_grad for each in given) else CHUNK
    pieces = [_solved(tree, *(each[..., k : k + size] for each in given)) for k in range(0, num, size)]
    joined = (torch.cat(parts, dim=-1).movedim(-1, 0) for parts in zip(*pieces, strict=True))
    generalised, force, moment, spin, rotation, origin, centre = (p.reshape(*shape, *p.shape[1:]) for p in joined)
    return JointForces(generalised, force, moment, spin, Pose(rotation, origin, centre))


@dataclass(frozen=True)
class _Tree:
    """A skeleton as tensors, float64. Joints and their bodies are sorted by distance from the ground.

    Matrices and vectors have a last dimension of 1 for the batch. Axes are three rotations, then three translations of
    each joint; those that it lacks have no direction.
    """

    levels: tuple[tuple[slice, torch.Tensor], ...]  # joints of a distance, and places of their parents among the last
    place: torch.Tensor  # of every joint of the skeleton in here, (J,)
    turn_start: torch.Tensor  # a turn is start + sin(angle) sine + (1 − cos(angle)) versine, (J, 3, 3, 3, 1)
    turn_sine: torch.Tensor
    turn_versine: torch.Tensor
    first_axis: torch.Tensor  # in the parent's body, (J, 3, 1)
    other_axes: torch.Tensor  # the second and the third, in the frames that the turns before leave, (2, J, 3, 1)
    sliding: torch.Tensor  # columns are the translations' directions in the parent's body, (J, 3, 3, 1)
    driver: torch.Tensor  # coordinate of every axis; the number of coordinates where there is none, (6 J,)
    slope: torch.Tensor  # (6 J, 1)
    offset: torch.Tensor
    curved: tuple[tuple[int, int, JointFunction], ...]  # axis, coordinate, function
    coupled: tuple[tuple[int, int, JointFunction], ...]  # coordinate, its driver, function
    parent_translation: torch.Tensor  # (J, 3, 1)
    child_translation: torch.Tensor
    mass: torch.Tensor  # (J, 1, 1)
    com: torch.Tensor  # in the body, (J, 3, 1)
    inertia: torch.Tensor  # about the centre of mass, in the body's axes, (J, 3, 3, 1)
    carried: torch.Tensor  # 1 where a joint (row) carries a body (column), (J, J)
    feet: torch.Tensor  # right, left, (2,)


@dataclass(frozen=True)
class _Bodies:
    """Some bodies and the joints that they hang on, in the ground frame; the batch is last."""

    rotation: torch.Tensor  # (K, 3, 3, N)
    origin: torch.Tensor  # (K, 3, N)
    spin: torch.Tensor
    spin_up: torch.Tensor  # angular acceleration
    acceleration: torch.Tensor  # of the origin, as if the ground rose with gravity's
    centre: torch.Tensor  # of the joint
    turning: torch.Tensor  # columns are the axes of its rotations, (K, 3, 3, N)
    sliding: torch.Tensor  # and of its translations


@dataclass(frozen=True)
class _AxisMotion:
    """How far each axis is turned or slid, and its derivatives by its coordinate and by time, (J, 6, N)."""

    amount: torch.Tensor
    slope: torch.Tensor
    rate: torch.Tensor
    acceleration: torch.Tensor


def _solved(
    tree: _Tree,
    values: torch.Tensor,
    rates: torch.Tensor,
    accelerations: torch.Tensor,
    foot_force: torch.Tensor,
    foot_moment: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """As `inverse_dynamics`, of (C, N) and (2, 3, N); the batch is last in the results, too."""
    axes = _axis_motion(tree, *_with_coupled(tree, values, rates, accelerations))
    bodies = _moved(tree, axes)

    lever = _times(bodies.rotation, tree.com)
    com = bodies.origin + lever
    force = tree.mass * (bodies.acceleration + _of_rotation(bodies, lever))
    in_body = bodies.rotation.transpose(1, 2)
    spin, spin_up = _times(in_body, bodies.spin), _times(in_body, bodies.spin_up)
    moment_in_body = _times(tree.inertia, spin_up) + _cross(spin, _times(tree.inertia, spin))
    moment = _times(bodies.rotation, moment_in_body)
    force = force.index_add(0, tree.feet, -foot_force)
    moment = moment.index_add(0, tree.feet, _cross(com[tree.feet], foot_force) - foot_moment)

    num = force.shape[-1]
    about_origin = moment + _cross(com, force)
    joint_force, sums = (
        (tree.carried @ each.reshape(len(com), -1)).reshape(-1, 3, num) for each in (force, about_origin)
    )
    joint_moment = sums - _cross(bodies.centre, joint_force)

    along = torch.cat(
        [(bodies.turning * joint_moment[:, :, None]).sum(1), (bodies.sliding * joint_force[:, :, None]).sum(1)], dim=1
    )
    nothing = along.new_zeros(len(values) + 1, num)
    generalised = nothing.index_add(0, tree.driver, (along * axes.slope).reshape(-1, num))[:-1]
    in_order = (joint_force, joint_moment, bodies.spin, bodies.rotation, bodies.origin, bodies.centre)
    return (generalised, *(each[tree.place] for each in in_order))


def _with_coupled(
    tree: _Tree, values: torch.Tensor, rates: torch.Tensor, accelerations: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same with coupled coordinates moved by their drivers."""
    if not tree.coupled:
        return values, rates, accelerations
    value, rate, acceleration = (list(each.unbind(0)) for each in (values, rates, accelerations))
    for coordinate, driver, function in tree.coupled:
        value[coordinate], slope, bend = _curve(function, value[driver])
        rate[coordinate] = slope * rate[driver]
        acceleration[coordinate] = slope * acceleration[driver] + bend * rate[driver] ** 2
    return torch.stack(value), torch.stack(rate), torch.stack(acceleration)


def _axis_motion(tree: _Tree, values: torch.Tensor, rates: torch.Tensor, accelerations: torch.Tensor) -> _AxisMotion:
    still = torch.zeros_like(values[:1])
    value, rate, acceleration = (torch.cat([each, still])[tree.driver] for each in (values, rates, accelerations))
    amount, slope = value * tree.slope + tree.offset, tree.slope.expand(value.shape)
    acceleration = slope * acceleration
    if tree.curved:
        amounts, slopes, added = list(amount.unbind(0)), list(slope.unbind(0)), list(acceleration.unbind(0))
        for axis, coordinate, function in tree.curved:
            amounts[axis], slopes[axis], bend = _curve(function, values[coordinate])
            added[axis] = slopes[axis] * accelerations[coordinate] + bend * rates[coordinate] ** 2
        amount, slope, acceleration = torch.stack(amounts), torch.stack(slopes), torch.stack(added)
    return _AxisMotion(*(each.reshape(-1, 6, each.shape[-1]) for each in (amount, slope, slope * rate, acceleration)))


def _curve(function: JointFunction, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A function of a coordinate with its first and second derivative."""
    after, here, before = function(torch.stack([x + DIFFERENCE, x, x - DIFFERENCE])).unbind(0)
    return here, (after - before) / (2 * DIFFERENCE), (after - 2 * here + before) / DIFFERENCE**2


def _moved(tree: _Tree, axes: _AxisMotion) -> _Bodies:
    """Where every body is and how it moves, from the ground out."""
    angle = axes.amount[:, :3, None, None]
    turns = tree.turn_start + torch.sin(angle) * tree.turn_sine + (1 - torch.cos(angle)) * tree.turn_versine
    first, second, third = turns.unbind(1)
    both = _product(first, second)
    relative = _product(both, third)
    own_axes = [tree.first_axis.expand(-1, -1, angle.shape[-1]), _times(first, tree.other_axes[0])]
    turning = torch.stack([*own_axes, _times(both, tree.other_axes[1])], dim=2)
    shift = tree.parent_translation + (tree.sliding * axes.amount[:, None, 3:]).sum(2)

    nothing = angle.new_zeros(1, 3, 1)
    upward = angle.new_tensor([0.0, STANDARD_GRAVITY_M_S2, 0.0])[None, :, None]  # gravity is a ground that rises
    square = angle.new_zeros(1, 3, 3, 1)
    level = _Bodies(
        torch.eye(3, dtype=angle.dtype, device=angle.device)[None, ..., None],
        nothing, nothing, nothing, upward, nothing, square, square,
    )  # fmt: skip
    levels = []
    for joints, parents in tree.levels:
        level = _carried_by(
            _Bodies(*(each[parents] for each in vars(level).values())),
            relative[joints],
            tree.child_translation[joints],
            arm=shift[joints],
            turning=turning[joints],
            sliding=tree.sliding[joints],
            rate=axes.rate[joints, None],
            acceleration=axes.acceleration[joints, None],
        )
        levels.append(level)
    return _Bodies(*(torch.cat(parts) for parts in zip(*(vars(each).values() for each in levels), strict=True)))


def _carried_by(
    parent: _Bodies,
    relative: torch.Tensor,
    child_translation: torch.Tensor,
    *,
    arm: torch.Tensor,
    turning: torch.Tensor,
    sliding: torch.Tensor,
    rate: torch.Tensor,
    acceleration: torch.Tensor,
) -> _Bodies:
    """Bodies on their parents; rates and accelerations of their axes are (K, 1, 6, N)."""
    turning, sliding = _product(parent.rotation, turning), _product(parent.rotation, sliding)
    arm = _times(parent.rotation, arm)
    slide_rate = (sliding * rate[:, :, 3:]).sum(2)
    centre_acceleration = (
        parent.acceleration
        + _of_rotation(parent, arm)
        + 2 * _cross(parent.spin, slide_rate)
        + (sliding * acceleration[:, :, 3:]).sum(2)
    )
    spins = turning * rate[:, :, :3]
    carrying = parent.spin[:, :, None] + spins.cumsum(2) - spins  # each axis is turned by those before it
    spin = parent.spin + spins.sum(2)
    spin_up = parent.spin_up + (turning * acceleration[:, :, :3] + _cross(carrying, spins)).sum(2)
    rotation = _product(parent.rotation, relative)
    centre = parent.origin + arm
    offset = -_times(rotation, child_translation)
    moving = _Bodies(
        rotation, centre + offset, spin, spin_up, centre_acceleration, centre, turning, sliding.expand_as(turning)
    )
    return replace(moving, acceleration=centre_acceleration + _of_rotation(moving, offset))


def _of_rotation(bodies: _Bodies, arm: torch.Tensor) -> torch.Tensor:
    """Acceleration that a body's rotation gives to the end of an arm on it, (K, 3, N)."""
    return _cross(bodies.spin_up, arm) + _cross(bodies.spin, _cross(bodies.spin, arm))


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Matrix products of (K, 3, 3, N) and (K, 3, M, N)."""
    product = left[:, :, 0, None] * right[:, None, 0]
    product = torch.addcmul(product, left[:, :, 1, None], right[:, None, 1])
    return torch.addcmul(product, left[:, :, 2, None], right[:, None, 2])


def _times(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """(K, 3, 3, N) and (K, 3, N) to (K, 3, N)."""
    return _product(matrix, vector[:, :, None])[:, :, 0]


def _cross(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return torch.linalg.cross(left, right, dim=1)


@once_per_skeleton
def _tree(skeleton: Skeleton) -> _Tree:
    if any(joint.is_upright for joint in skeleton.joints):
        raise InvalidModelError("a body that is held upright has no joint moment. Use the model as it was read.")
    depth = [len(skeleton.path_to_root(joint.child)) for joint in skeleton.joints]
    order = sorted(range(len(depth)), key=lambda j: depth[j])
    joints, bodies = [skeleton.joints[j] for j in order], [skeleton.bodies[j] for j in order]
    place_of_body = {body.name: place for place, body in enumerate(bodies)}
    column = {name: i for i, name in enumerate(skeleton.coordinate_names)}

    levels, start = [], 0
    for distance in range(1, max(depth) + 1):
        num, last = depth.count(distance), start - depth.count(distance - 1)
        of_level = joints[start : start + num]
        parents = [0 if joint.parent == "ground" else place_of_body[joint.parent] - last for joint in of_level]
        levels.append((slice(start, start + num), torch.tensor(parents)))
        start += num

    none = Axis(np.zeros(3), Polynomial((0.0,)), None)
    starts, sines, versines, directions, slidings, axes = [], [], [], [], [], []
    for joint in joints:
        rotations = [*joint.rotations, *[none] * (3 - len(joint.rotations))]
        translations = [*joint.translations, *[none] * (3 - len(joint.translations))]
        units = [_unit(axis.direction) for axis in rotations]
        before = [joint.parent_rotation, np.eye(3), np.eye(3)]
        after = [np.eye(3), np.eye(3), joint.child_rotation.T]
        crosses = [np.cross(np.eye(3), unit) for unit in units]
        starts.append([b @ a for b, a in zip(before, after, strict=True)])
        sines.append([b @ c @ a for b, c, a in zip(before, crosses, after, strict=True)])
        versines.append([b @ c @ c @ a for b, c, a in zip(before, crosses, after, strict=True)])
        directions.append([joint.parent_rotation @ units[0], *units[1:]])
        slidings.append(joint.parent_rotation @ np.stack([_unit(axis.direction) for axis in translations], axis=1))
        axes += [*rotations, *translations]

    slopes, offsets, drivers, curved = [], [], [], []
    for number, axis in enumerate(axes):
        slope, offset = 0.0, 0.0
        if axis.coordinate is None:
            offset = float(axis.function(torch.zeros(1, dtype=torch.float64)))
        elif isinstance(axis.function, Polynomial) and axis.function.is_linear:
            slope, offset = axis.function.slope_and_offset
        else:
            curved.append((number, column[axis.coordinate], axis.function))
        slopes.append(slope)
        offsets.append(offset)
        drivers.append(len(column) if axis.coordinate is None else column[axis.coordinate])

    def tensor(array: object) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array), dtype=torch.float64)[..., None]

    carries = np.zeros((len(joints), len(joints)))
    for body in bodies:
        for joint in skeleton.path_to_root(body.name):
            carries[place_of_body[joint.child], place_of_body[body.name]] = 1.0
    return _Tree(
        levels=tuple(levels),
        place=torch.tensor([place_of_body[body.name] for body in skeleton.bodies]),
        turn_start=tensor(starts),
        turn_sine=tensor(sines),
        turn_versine=tensor(versines),
        first_axis=tensor([own[0] for own in directions]),
        other_axes=tensor([[own[k] for own in directions] for k in (1, 2)]),
        sliding=tensor(slidings),
        driver=torch.tensor(drivers),
        slope=tensor(slopes),
        offset=tensor(offsets),
        curved=tuple(curved),
        coupled=tuple(
            (column[c.name], column[c.coupled_to], c.coupling)
            for c in skeleton.coordinates
            if c.coupled_to is not None and c.coupling is not None
        ),
        parent_translation=tensor([joint.parent_translation_m for joint in joints]),
        child_translation=tensor([joint.child_translation_m for joint in joints]),
        mass=tensor([body.mass_kg for body in bodies])[:, None],
        com=tensor([body.com_in_body_m for body in bodies]),
        inertia=tensor([body.inertia_in_body_kgm2 for body in bodies]),
        carried=tensor(carries)[..., 0],
        feet=torch.tensor([place_of_body[foot.hindfoot] for foot in skeleton.feet]),
    )


def _unit(direction: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(direction)
    return direction / length if length > 0 else direction
