"""The body: segments, joints and coordinates, with batched, differentiable kinematics.

A joint is OpenSim's `CustomJoint`: three rotations about axes fixed in the frames they turn (applied in order), then
three translations along axes of the parent's frame, each a function of one coordinate (Delp et al. 2007,
IEEE Trans Biomed Eng 54:1940; Seth et al. 2010, Multibody Syst Dyn 24:291). Pins, sliders, balls, universals, planars,
free joints and welds are special cases of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TypeVar, cast

import numpy as np
import torch

from gaitdynamics.errors import InvalidModelError
from gaitdynamics.types.side import side_of
from gaitdynamics.units import SIDE_NAMES, SIDES

T = TypeVar("T")
DIFFERENCE_S = 1e-4  # for velocities; a joint turns by a thousandth of a radian in it


@dataclass(frozen=True)
class Polynomial:
    """A polynomial of one coordinate; `coefficients` from the highest power down, as in numpy.polyval."""

    coefficients: tuple[float, ...]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        result = x * 0.0
        for coefficient in self.coefficients:
            result = result * x + coefficient
        return result

    @property
    def is_linear(self) -> bool:
        return len(self.coefficients) <= 2

    @property
    def slope_and_offset(self) -> tuple[float, float]:
        """Of a linear polynomial."""
        offset = self.coefficients[-1]
        return (self.coefficients[0] if len(self.coefficients) == 2 else 0.0), offset


@dataclass(frozen=True)
class CubicSpline:
    """Piecewise cubics through knots with given slopes, continued as straight lines outside.

    OpenSim's `SimmSpline` is this; so is any other spline of its, to the accuracy of its sampling.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]

    @cached_property
    def _pieces(self) -> tuple[torch.Tensor, torch.Tensor]:
        x, y, m = (np.asarray(v) for v in (self.knots, self.values, self.slopes))
        step = np.diff(x)
        secant = np.diff(y) / step
        quadratic = (3 * secant - 2 * m[:-1] - m[1:]) / step
        cubic = (m[:-1] + m[1:] - 2 * secant) / step**2
        inner = np.stack([cubic, quadratic, m[:-1], y[:-1]], axis=1)
        before, after = [[0.0, 0.0, m[0], y[0]]], [[0.0, 0.0, m[-1], y[-1]]]
        starts = np.concatenate([x[:1], x[:-1], x[-1:]])
        return torch.from_numpy(np.concatenate([before, inner, after])), torch.from_numpy(starts)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        pieces, starts = (part.to(x) for part in self._pieces)
        piece = torch.searchsorted(starts[1:], x.detach().contiguous(), right=True)  # starts[1:] are the knots
        t = x - starts[piece]
        a, b, c, d = pieces[piece].unbind(-1)
        return ((a * t + b) * t + c) * t + d


JointFunction = Polynomial | CubicSpline


@dataclass(frozen=True)
class Body:
    """A rigid segment; inertia (3, 3) is about the centre of mass, in the body's axes."""

    name: str
    mass_kg: float
    com_in_body_m: np.ndarray
    inertia_in_body_kgm2: np.ndarray


@dataclass(frozen=True)
class Axis:
    """One rotation (radians) or translation (metres) of a joint; a `coordinate` of None means a constant."""

    direction: np.ndarray
    function: JointFunction
    coordinate: str | None


@dataclass(frozen=True)
class Joint:
    """How a child body moves in its parent ('ground' or a body).

    Args:
        rotations: at most three, applied in order.
        translations: at most three, in the parent's joint frame.
        parent_rotation, parent_translation_m: the joint's frame in the parent body, (3, 3) and (3,).
        child_rotation, child_translation_m: the joint's frame in the child body.
        is_upright: the child keeps the vertical and only turns with its parent's heading; it has no axes.
    """

    name: str
    parent: str
    child: str
    rotations: tuple[Axis, ...]
    translations: tuple[Axis, ...]
    parent_rotation: np.ndarray
    parent_translation_m: np.ndarray
    child_rotation: np.ndarray
    child_translation_m: np.ndarray
    is_upright: bool = False


@dataclass(frozen=True)
class Coordinate:
    """A generalised coordinate as the model names it.

    Args:
        default_value: radians or metres.
        is_locked: the model holds it at its default.
        coupled_to, coupling: the coordinate that drives it, and how; None for a free one.
        is_essential: it moves a foot relative to the ground, the subtalar and toe joints aside.
        range: smallest and largest value that the model means it to have; None where it says nothing of use.
    """

    name: str
    is_rotational: bool
    default_value: float
    is_locked: bool = False
    coupled_to: str | None = None
    coupling: JointFunction | None = None
    is_essential: bool = False
    range: tuple[float, float] | None = None

    @property
    def is_coupled(self) -> bool:
        return self.coupled_to is not None


@dataclass(frozen=True)
class Foot:
    """Which bodies make a foot: the one that strikes the ground first, and the toes if the model has them."""

    side: str
    hindfoot: str
    toes: str | None


@dataclass(frozen=True)
class Pose:
    """Where everything is in the ground frame.

    Args:
        rotation: of every body, (..., B, 3, 3).
        origin_m: of every body, (..., B, 3).
        joint_centre_m: of every joint, (..., J, 3).
    """

    rotation: torch.Tensor
    origin_m: torch.Tensor
    joint_centre_m: torch.Tensor


@dataclass(frozen=True)
class Momentum:
    """Of the whole body: linear (..., 3) in kg m/s; angular (..., 3) about the centre of mass in kg m²/s."""

    linear_kgm_s: torch.Tensor
    angular_kgm2_s: torch.Tensor


@dataclass(frozen=True)
class Skeleton:
    """A tree of bodies. `bodies[i]` is the child of `joints[i]`, and parents come before children.

    Values are tensors (..., C) in the order of `coordinates`, radians and metres; coupled coordinates are computed,
    whatever their column holds.
    """

    name: str
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    coordinates: tuple[Coordinate, ...]

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        return tuple(coordinate.name for coordinate in self.coordinates)

    @property
    def mass_kg(self) -> float:
        return sum(body.mass_kg for body in self.bodies)

    @cached_property
    def body_index(self) -> dict[str, int]:
        """Column of a body in a pose, by name."""
        return {body.name: i for i, body in enumerate(self.bodies)}

    @cached_property
    def feet(self) -> tuple[Foot, Foot]:
        """The right and the left foot.

        Raises:
            InvalidModelError: no body of that side is named like a foot.
        """
        return find_feet(tuple(self.body_index))

    @cached_property
    def default_values(self) -> np.ndarray:
        """Value of each coordinate when nothing else is known, (C,)."""
        return np.array([coordinate.default_value for coordinate in self.coordinates])

    def scaled_to(self, mass_kg: float) -> Skeleton:
        """The same body with every mass and inertia scaled so that they add up to `mass_kg`."""
        scale = mass_kg / self.mass_kg
        bodies = tuple(
            dataclasses.replace(
                body, mass_kg=body.mass_kg * scale, inertia_in_body_kgm2=body.inertia_in_body_kgm2 * scale
            )
            for body in self.bodies
        )
        return dataclasses.replace(self, bodies=bodies)

    def with_coupled_values(self, values: np.ndarray) -> np.ndarray:
        """Coordinates (T, C) in which coupled ones have the value that their driver gives them.

        Files hold all sorts of things there: radians among degrees, or what a solver's tolerance left.
        """
        columns = torch.from_numpy(values).unbind(-1)
        return torch.stack(self._coupled(list(columns)), dim=-1).numpy()

    def path_to_root(self, body: str) -> tuple[Joint, ...]:
        """The joints from a body up to the ground."""
        by_child = {joint.child: joint for joint in self.joints}
        path = []
        while body != "ground":
            path.append(by_child[body])
            body = by_child[body].parent
        return tuple(path)

    def pose(self, values: torch.Tensor) -> Pose:
        """Pose of every body.

        Args:
            values: coordinates, (..., C).

        Returns:
            Rotations and origins in the ground frame, differentiable with respect to `values`.
        """
        # The batch is the last dimension inside: 3 × 3 products are then long vector operations, four times as fast.
        constants = self._constants(values.dtype, values.device)
        angles, displacements = self._joint_motion(values.reshape(-1, values.shape[-1]).T, constants)
        sines, versines = torch.sin(angles), 1 - torch.cos(angles)
        rotations: list[torch.Tensor] = []
        origins: list[torch.Tensor] = []
        centres: list[torch.Tensor] = []
        for i, joint in enumerate(self.joints):
            parts = [
                constants.turn_start[k] + sines[k] * constants.turn_sine[k] + versines[k] * constants.turn_versine[k]
                for k in constants.turns_of_joint[i]
            ]
            centre = displacements[i]
            if joint.parent != "ground":
                parent = self.body_index[joint.parent]
                parts.insert(0, heading_rotation(rotations[parent]) if joint.is_upright else rotations[parent])
                centre = _product(rotations[parent], centre[:, None])[:, 0] + origins[parent]
            rotation = parts[0]
            for part in parts[1:]:
                rotation = _product(rotation, part)
            rotations.append(rotation)
            centres.append(centre)
            origins.append(centre - _product(rotation, constants.child_translation[i])[:, 0])
        shape = values.shape[:-1]
        return Pose(
            torch.stack(rotations).permute(3, 0, 1, 2).reshape(*shape, len(self.bodies), 3, 3),
            torch.stack(origins).permute(2, 0, 1).reshape(*shape, len(self.bodies), 3),
            torch.stack(centres).permute(2, 0, 1).reshape(*shape, len(self.joints), 3),
        )

    def body_com(self, pose: Pose) -> torch.Tensor:
        """Centre of mass of each body in the ground frame, (..., B, 3), m."""
        constants = self._constants(pose.origin_m.dtype, pose.origin_m.device)
        return pose.origin_m + (pose.rotation @ constants.body_com[..., None])[..., 0]

    def centre_of_mass(self, pose: Pose) -> torch.Tensor:
        """Centre of mass of the whole body in the ground frame, (..., 3), m."""
        constants = self._constants(pose.origin_m.dtype, pose.origin_m.device)
        return torch.einsum("b,...bi->...i", constants.body_mass / self.mass_kg, self.body_com(pose))

    def momentum(self, values: torch.Tensor, rates: torch.Tensor) -> Momentum:
        """Momentum of the whole body; right to a millionth in float64, to a thousandth in float32.

        Args:
            values: coordinates, (..., C).
            rates: their time derivatives, (..., C), per second.
        """
        # A central difference along the motion: forward-mode differentiation would load torch's compiler for seconds.
        after, before = (self.pose(values + sign * DIFFERENCE_S * rates) for sign in (1, -1))
        com_after, com_before = self.body_com(after), self.body_com(before)
        velocity = (com_after - com_before) / (2 * DIFFERENCE_S)
        turn = after.rotation @ before.rotation.mT
        spin = (turn - turn.mT) / (4 * DIFFERENCE_S)  # the cross-product matrix of the angular velocity
        angular_velocity = torch.stack([spin[..., 2, 1], spin[..., 0, 2], spin[..., 1, 0]], dim=-1)
        rotation, com = self.pose(values).rotation, (com_after + com_before) / 2
        constants = self._constants(values.dtype, values.device)
        mass = constants.body_mass[:, None]
        total_com = (mass * com).sum(-2, keepdim=True) / self.mass_kg
        inertia = rotation @ constants.body_inertia @ rotation.mT
        spin_momentum = (inertia @ angular_velocity[..., None])[..., 0]
        orbital = torch.linalg.cross(com - total_com, mass * velocity, dim=-1)
        return Momentum((mass * velocity).sum(-2), (spin_momentum + orbital).sum(-2))

    def _joint_motion(self, values: torch.Tensor, constants: _Constants) -> tuple[torch.Tensor, torch.Tensor]:
        """Angle of every rotation axis (A, N) and every joint centre in its parent's body (J, 3, N), from (C, N)."""
        rows = self._coupled(list(values.unbind(0)))
        driven = torch.stack([*rows, torch.zeros_like(rows[0])])  # the last drives constant axes
        amounts = driven[constants.axis_coordinate] * constants.axis_slope + constants.axis_offset
        if constants.curved_axes:
            amount = list(amounts.unbind(0))
            for axis, coordinate_index, function in constants.curved_axes:
                amount[axis] = function(rows[coordinate_index])
            amounts = torch.stack(amount)
        num_rotations = len(constants.turn_start)
        shift = constants.translation_directions @ amounts[num_rotations:]
        return amounts[:num_rotations], constants.parent_translation + shift.reshape(len(self.joints), 3, -1)

    def _coupled(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        index = {name: i for i, name in enumerate(self.coordinate_names)}
        for coordinate in self.coordinates:
            if coordinate.coupled_to is not None and coordinate.coupling is not None:
                values[index[coordinate.name]] = coordinate.coupling(values[index[coordinate.coupled_to]])
        return values

    @cached_property
    def _constants_cache(self) -> dict[tuple[torch.dtype, torch.device], _Constants]:
        return {}

    def _constants(self, dtype: torch.dtype, device: torch.device) -> _Constants:
        if (dtype, device) not in self._constants_cache:
            self._constants_cache[dtype, device] = _compile(self, dtype, device)
        return self._constants_cache[dtype, device]


@dataclass(frozen=True)
class _Constants:
    """What `Skeleton.pose` needs, as tensors.

    A turn is turn_start + sin(angle) turn_sine + (1 − cos(angle)) turn_versine: Rodrigues' formula with the joint's
    constant frames multiplied in. Axes are ordered: all rotations, then all translations. A last dimension of 1
    stands for the batch.
    """

    turn_start: torch.Tensor  # (A, 3, 3, 1)
    turn_sine: torch.Tensor
    turn_versine: torch.Tensor
    turns_of_joint: tuple[tuple[int, ...], ...]
    axis_coordinate: torch.Tensor  # (A + translations,)
    axis_slope: torch.Tensor  # (A + translations, 1)
    axis_offset: torch.Tensor
    curved_axes: tuple[tuple[int, int, JointFunction], ...]
    translation_directions: torch.Tensor  # (J * 3, translations)
    parent_translation: torch.Tensor  # (J, 3, 1)
    child_translation: torch.Tensor  # (J, 3, 1, 1)
    body_mass: torch.Tensor  # (B,)
    body_com: torch.Tensor  # (B, 3)
    body_inertia: torch.Tensor  # (B, 3, 3)


def heading_rotation(rotation: torch.Tensor) -> torch.Tensor:
    """The turn about the vertical that a body's forward (x) axis makes, (3, 3, ...) to (3, 3, ...)."""
    forward_x, forward_z = rotation[0, 0], rotation[2, 0]
    length = torch.sqrt(forward_x**2 + forward_z**2).clamp_min(1e-9)
    cosine, sine = forward_x / length, -forward_z / length
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    rows = [cosine, zero, sine, zero, one, zero, -sine, zero, cosine]
    return torch.stack(rows).reshape(3, 3, *cosine.shape)


def find_feet(body_names: tuple[str, ...]) -> tuple[Foot, Foot]:
    """The bodies that make the right and the left foot, by the names in use for them."""
    feet = []
    for side, side_name in zip(SIDES, SIDE_NAMES, strict=True):
        own = [name for name in body_names if side_of(name) == side]
        hindfoot = _first_matching(own, ("calcn", "calcaneus", "hindfoot", "rearfoot", "heel", "foot"))
        if hindfoot is None:
            raise InvalidModelError(
                f"the model has no {side_name} foot: looked for a body such as 'calcn_{side}' or 'foot_{side}' among "
                f"{', '.join(body_names)}. Use a model with both feet, or rename the bodies."
            )
        rest = [name for name in own if name != hindfoot]
        feet.append(Foot(side, hindfoot, _first_matching(rest, ("toe", "forefoot", "phalan"))))
    return feet[0], feet[1]


def _first_matching(names: list[str], stems: tuple[str, ...]) -> str | None:
    return next((name for stem in stems for name in names if stem in name.lower()), None)


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Matrix product of (3, 3, N) and (3, M, N)."""
    product = left[:, 0, None] * right[None, 0]
    product = torch.addcmul(product, left[:, 1, None], right[None, 1])
    return torch.addcmul(product, left[:, 2, None], right[None, 2])


def _cross_matrix(axis: np.ndarray) -> np.ndarray:
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _compile(skeleton: Skeleton, dtype: torch.dtype, device: torch.device) -> _Constants:
    index = {name: i for i, name in enumerate(skeleton.coordinate_names)}
    starts, sines, versines, turns_of_joint = [], [], [], []
    rotation_axes: list[Axis] = []
    translation_axes: list[tuple[int, Axis]] = []
    for j, joint in enumerate(skeleton.joints):
        still = Axis(np.array([1.0, 0.0, 0.0]), Polynomial((0.0,)), None)
        turns = []
        axes = joint.rotations or (still,)
        for k, axis in enumerate(axes):
            cross = _cross_matrix(axis.direction / np.linalg.norm(axis.direction))
            before = joint.parent_rotation if k == 0 else np.eye(3)
            after = joint.child_rotation.T if k == len(axes) - 1 else np.eye(3)
            starts.append(before @ after)
            sines.append(before @ cross @ after)
            versines.append(before @ cross @ cross @ after)
            turns.append(len(rotation_axes))
            rotation_axes.append(axis)
        turns_of_joint.append(tuple(turns))
        translation_axes += [(j, axis) for axis in joint.translations]

    directions = np.zeros((len(translation_axes), len(skeleton.joints), 3))
    for row, (j, axis) in enumerate(translation_axes):
        joint = skeleton.joints[j]
        directions[row, j] = joint.parent_rotation @ (axis.direction / np.linalg.norm(axis.direction))

    all_axes = [*rotation_axes, *(axis for _, axis in translation_axes)]
    slopes, offsets, drivers, curved = [], [], [], []
    for a, axis in enumerate(all_axes):
        slope, offset = 0.0, 0.0
        if isinstance(axis.function, Polynomial) and axis.function.is_linear:
            slope, offset = axis.function.slope_and_offset
        elif axis.coordinate is None:
            offset = float(axis.function(torch.zeros(1, dtype=torch.float64)))
        else:
            curved.append((a, index[axis.coordinate], axis.function))
        slopes.append(slope if axis.coordinate is not None else 0.0)
        offsets.append(offset)
        drivers.append(len(index) if axis.coordinate is None else index[axis.coordinate])

    def tensor(array: object) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array), dtype=dtype, device=device)

    joints, bodies = skeleton.joints, skeleton.bodies
    return _Constants(
        turn_start=tensor(starts)[..., None],
        turn_sine=tensor(sines)[..., None],
        turn_versine=tensor(versines)[..., None],
        turns_of_joint=tuple(turns_of_joint),
        axis_coordinate=torch.as_tensor(drivers, device=device),
        axis_slope=tensor(slopes)[:, None],
        axis_offset=tensor(offsets)[:, None],
        curved_axes=tuple(curved),
        translation_directions=tensor(directions.reshape(len(translation_axes), 3 * len(joints)).T),
        parent_translation=tensor([joint.parent_translation_m for joint in joints])[..., None],
        child_translation=tensor([joint.child_translation_m for joint in joints])[..., None, None],
        body_mass=tensor([body.mass_kg for body in bodies]),
        body_com=tensor([body.com_in_body_m for body in bodies]),
        body_inertia=tensor([body.inertia_in_body_kgm2 for body in bodies]),
    )


def once_per_skeleton(compute: Callable[[Skeleton], T]) -> Callable[[Skeleton], T]:
    """Remember with each skeleton what is computed from it alone; the result is not to be changed."""

    @wraps(compute)
    def remembering(skeleton: Skeleton) -> T:
        memory = skeleton.__dict__.setdefault("_memory", {})
        if compute not in memory:
            memory[compute] = compute(skeleton)
        return cast(T, memory[compute])

    return remembering
