"""A changed gait in balance: feet stand where they should, and the forces carry the body as they did before.

What is wanted of a gait (a trunk that leans further, feet that stand further apart) upsets its balance: the forces of
before no longer move the body so. Regularised Gauss–Newton least squares finds the smallest accompanying changes of
pelvis, legs and trunk, of the forces and of the centres of pressure that restore it. Only changes are sought: what the
recorded motion and its forces leave unexplained by Newton's and Euler's equations stays as it is.

The unknowns are cubic splines in time. How large each may be is what it varies by in people's gait from one stride to
the next, so that a body gives way where it does anyway.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import BSpline
from scipy.linalg import cho_solve_banded, cholesky_banded, solve_banded

from gaitdynamics.biomech.anthropometry import trunk_joint
from gaitdynamics.biomech.foot_goals import FootGoal
from gaitdynamics.biomech.kinematics import chain_between, chain_columns, heading_of, leg_joints, pelvis_of, posed
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import derivative, second_derivative, smooth
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.skeleton import Pose, Skeleton
from gaitdynamics.units import SIDES, STANDARD_GRAVITY_M_S2

KNOT_S = 0.05  # between knots: changes up to about 8 Hz
DYNAMICS_CUTOFF_HZ = 8.0  # of the motion, as in `realism`
NUM_ITERATIONS = 4

# One standard deviation of each change: between strides of the same person, the median of ten walkers of six
# laboratories in the training data.
PELVIS_ACROSS_M, PELVIS_UP_M, PELVIS_RAD = 0.010, 0.002, np.radians(0.9)
JOINT_RAD = {"hip": np.radians(1.2), "knee": np.radians(2.2), "ankle": np.radians(1.5)}
TRUNK_RAD = np.radians(0.8)
FORCE_BW = (0.017, 0.056, 0.008)  # forward, up, right
COP_M = (0.011, 0.007)  # forward, right
FREE_MOMENT_BW_M = 0.002
CORRELATION_S = 0.1  # what is changed now is changed a moment later

# How closely the rest is obeyed.
BALANCE_BW, BALANCE_BW_M = 0.003, 0.003
STANDING_M, SWINGING_M = 0.001, 0.03
FULL_LOAD_BW = 0.08  # a foot that carries more stands as firmly as any
FORCE_GATE_BW = 0.4  # a foot that carries less can change its force less
FALL_RATE_PER_S = 3.2  # of an inverted pendulum of a metre
EXTRAPOLATED_M = 0.005
BESIDE_M = 0.05  # a third point on the outer side of the heel, which tells how a foot is tilted
HALF_WIDTH_M, BEHIND_HEEL_M, BEFORE_TOE_JOINT_M = 0.045, 0.03, 0.08  # of a foot, and a shoe
OUTSIDE_M = 0.001
LEAST_LENGTH_M = 1e-3
_NUDGE = 1e-6
_SPAN = 4  # splines that a sample depends on
_PER_FOOT = 6  # unknowns of a foot: force, centre of pressure forward and right, free moment


@dataclass(frozen=True)
class BalancedGait:
    """A motion and its forces.

    Args:
        values: coordinates, (T, C).
        forces: at the same frames.
    """

    values: np.ndarray
    forces: GroundReaction


class _Dynamics(NamedTuple):
    com_m: np.ndarray
    acceleration_m_s2: np.ndarray
    spin_rate_nm: np.ndarray


class _Jacobian(NamedTuple):
    """Change with each free coordinate: of the centre of mass (T, 3, K), momentum of spin and points of the feet."""

    com: np.ndarray
    spin: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class Balance:
    """A recorded gait, whose balance the changed ones keep.

    Args:
        skeleton: with the person's mass.
        values: as recorded, evenly sampled, (T, C).
        forces: at the same times.
        yields: coordinates that may give way, (C,); those that the model locks or couples never do.
    """

    skeleton: Skeleton
    values: np.ndarray
    forces: GroundReaction
    yields: np.ndarray

    @property
    def rate_hz(self) -> float:
        """Of the frames."""
        time_s = self.forces.time_s
        return (len(time_s) - 1) / float(time_s[-1] - time_s[0])

    @property
    def weight_n(self) -> float:
        """Of the body."""
        return self.skeleton.mass_kg * STANDARD_GRAVITY_M_S2

    @cached_property
    def axes(self) -> np.ndarray:
        """Rows forward, up and right of where the person goes, (3, 3)."""
        return heading_axes(heading_of(self.skeleton, posed(self.skeleton, self.values)))

    @cached_property
    def load_bw(self) -> np.ndarray:
        """Vertical force on each foot, (T, 2)."""
        return np.maximum(self.forces.force_n[..., 1], 0.0) / self.weight_n

    @cached_property
    def foot_points_m(self) -> np.ndarray:
        """Heel, toe joint and a point on the outer side of the heel as recorded, (T, 2, 3, 3)."""
        return self._foot_points(posed(self.skeleton, self.values))

    @cached_property
    def _recorded(self) -> _Dynamics:
        return self._dynamics(self.values, 1.0)

    @cached_property
    def _scales(self) -> np.ndarray:
        """Size of a change of each coordinate, (C,); 0 for those that never change."""
        skeleton = self.skeleton
        scales = np.zeros(len(skeleton.coordinates))
        root = chain_between(skeleton, "ground", pelvis_of(skeleton))
        for column in chain_columns(skeleton, root, is_sliding=True):
            moved = self._pelvis_m(np.eye(len(scales))[[column]]) - self._pelvis_m(np.zeros((1, len(scales))))
            scales[column] = PELVIS_UP_M if abs(moved[1]) > np.hypot(moved[0], moved[2]) else PELVIS_ACROSS_M
        scales[chain_columns(skeleton, root)] = PELVIS_RAD
        hindfoot = {foot.side: foot.hindfoot for foot in skeleton.feet}
        for leg in leg_joints(skeleton):
            distal = hindfoot[leg.side] if leg.name == "ankle" else leg.joint.child
            scales[chain_columns(skeleton, chain_between(skeleton, leg.joint.parent, distal))] = JOINT_RAD[leg.name]
        trunk = trunk_joint(skeleton)
        if trunk is not None:
            scales[chain_columns(skeleton, (trunk,))] = TRUNK_RAD
        return scales * self.yields

    def changed(
        self,
        wanted: np.ndarray,
        *,
        is_set: np.ndarray,
        goal: FootGoal,
        time_scale: float = 1.0,
        num_samples: int = 0,
        seed: int = 0,
    ) -> tuple[BalancedGait, tuple[BalancedGait, ...]]:
        """The gait that carries a change, and others that carry it as well.

        Args:
            wanted: coordinates with the change in them, (T, C).
            is_set: coordinates that are to be exactly so, (C,); the others may give way.
            goal: where the feet are to be.
            time_scale: duration over the recorded one.
            num_samples: how many others.
            seed: of the random numbers by which they differ.
        """
        columns = np.flatnonzero((self._scales > 0) & ~is_set)
        scales = np.concatenate([self._scales[columns], *([*FORCE_BW, *COP_M, FREE_MOMENT_BW_M] for _ in SIDES)])
        splines = _Splines.over(len(wanted), self.rate_hz)
        change = np.zeros((splines.num, len(scales)))
        points_m, cop_m = goal.of(self.foot_points_m), goal.of(self.forces.cop_m)
        for _ in range(NUM_ITERATIONS):
            now = wanted.copy()
            now[:, columns] += splines.values(change)[:, : len(columns)]
            system, jacobian = _System(splines, len(scales)), self._jacobian(now, columns)
            self._add_sizes(system, change, scales)
            self._add_feet(system, now, points_m, jacobian)
            self._add_pressure(system, change, points_m, cop_m)
            self._add_balance(system, now, change, cop_m, jacobian, time_scale)
            change = change + system.solved()
        # Nobody knows how much else people change with what they are asked to: by as much again as they must.
        freedom = float(np.sqrt(np.mean((splines.values(change) / scales) ** 2)))
        rng = np.random.default_rng(seed)
        changes = [change, *(change + freedom * system.drawn(rng) for _ in range(num_samples))]
        gaits = []
        for each in changes:
            values = wanted.copy()
            values[:, columns] += splines.values(each)[:, : len(columns)]
            gaits.append(self._gait(values, each, splines, cop_m, time_scale))
        return gaits[0], tuple(gaits[1:])

    def _gait(
        self, values: np.ndarray, change: np.ndarray, splines: "_Splines", cop_m: np.ndarray, time_scale: float
    ) -> BalancedGait:
        force_n, cop_m, free_moment_nm = self._loads(splines.values(change), cop_m)
        forces = GroundReaction(
            time_s=self.forces.time_s[0] + (self.forces.time_s - self.forces.time_s[0]) * time_scale,
            force_n=force_n,
            cop_m=cop_m,
            free_moment_nm=free_moment_nm,
            valid=self.forces.valid,
        )
        return BalancedGait(self.skeleton.with_coupled_values(values), forces)

    def _loads(self, unknowns: np.ndarray, cop_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Forces, centres of pressure and free moments with the changes (T, V) on them."""
        change = unknowns[:, -len(SIDES) * _PER_FOOT :].reshape(-1, len(SIDES), _PER_FOOT)
        gate = self._gate[..., None]
        force_n = self.forces.force_n + gate * self.weight_n * (change[..., :3] @ self.axes)
        cop_m = cop_m + (self.load_bw > 0)[..., None] * (change[..., 3:5] @ self.axes[[0, 2]])
        return force_n, cop_m, self.forces.free_moment_nm + (gate * self.weight_n * change[..., 5:])[..., 0]

    @cached_property
    def _gate(self) -> np.ndarray:
        return np.minimum(self.load_bw / FORCE_GATE_BW, 1.0)

    def _dynamics(self, values: np.ndarray, time_scale: float) -> _Dynamics:
        rate_hz = self.rate_hz / time_scale
        steady = smooth(values, cutoff_hz=DYNAMICS_CUTOFF_HZ, sampling_rate_hz=rate_hz)
        com_m = self.skeleton.centre_of_mass(posed(self.skeleton, steady)).numpy()
        rates = derivative(steady, sampling_rate_hz=rate_hz)
        with torch.no_grad():
            momentum = self.skeleton.momentum(torch.from_numpy(steady), torch.from_numpy(rates))
        spin_rate = derivative(momentum.angular_kgm2_s.numpy(), sampling_rate_hz=rate_hz)
        return _Dynamics(com_m, second_derivative(com_m, sampling_rate_hz=rate_hz), spin_rate)

    def _pelvis_m(self, values: np.ndarray) -> np.ndarray:
        skeleton = self.skeleton
        return posed(skeleton, values).origin_m[0, skeleton.body_index[pelvis_of(skeleton)]].numpy()

    def _foot_points(self, pose: Pose) -> np.ndarray:
        """(..., 2, 3, 3)."""
        found = []
        for foot in self.skeleton.feet:
            body = self.skeleton.body_index[foot.hindfoot]
            heel, rotation = pose.origin_m[..., body, :], pose.rotation[..., body, :, :]
            ahead = heel + BESIDE_M * rotation[..., 0]
            outward = 1.0 if foot.side == SIDES[0] else -1.0
            beside = heel + outward * BESIDE_M * rotation[..., 2]
            if foot.toes is not None:
                ahead = pose.origin_m[..., self.skeleton.body_index[foot.toes], :]
            found.append(torch.stack([heel, ahead, beside], dim=-2))
        return torch.stack(found, dim=-3).numpy()

    def _jacobian(self, values: np.ndarray, columns: np.ndarray) -> _Jacobian:
        skeleton = self.skeleton
        nudged = np.repeat(values[None], len(columns) + 1, axis=0)
        nudged[np.arange(1, len(columns) + 1), :, columns] += _NUDGE
        pose = posed(skeleton, nudged)
        com = skeleton.body_com(pose).numpy()
        mass = np.array([body.mass_kg for body in skeleton.bodies])
        moved = (com[1:] - com[0]) / _NUDGE  # (K, T, B, 3)
        whole = (mass[:, None] * moved).sum(-2) / mass.sum()
        centre = (mass[:, None] * com[0]).sum(-2) / mass.sum()
        turn = pose.rotation[1:].numpy() @ pose.rotation[0].numpy().swapaxes(-1, -2)
        turning = np.stack([turn[..., 2, 1], turn[..., 0, 2], turn[..., 1, 0]], axis=-1) / _NUDGE
        inertia = np.stack([body.inertia_in_body_kgm2 for body in skeleton.bodies])
        rotation = pose.rotation[0].numpy()
        inertia = rotation @ inertia @ rotation.swapaxes(-1, -2)
        spin = np.cross(com[0] - centre[:, None], mass[:, None] * moved).sum(-2)
        spin += (inertia @ turning[..., None])[..., 0].sum(-2)
        points = self._foot_points(pose)
        return _Jacobian(*(np.moveaxis(each, 0, -1) for each in (whole, spin, (points[1:] - points[0]) / _NUDGE)))

    def _add_sizes(self, system: "_System", change: np.ndarray, scales: np.ndarray) -> None:
        """A Matérn process of order 3/2 for each unknown."""
        splines = system.splines
        weight = np.sqrt(1.0 / (4 * CORRELATION_S * self.rate_hz)) / scales
        rows = np.diag(weight)[None]
        parts = (rows, 2 * CORRELATION_S * rows, CORRELATION_S**2 * rows)
        now, rate, bend = (splines.values(change, order) for order in range(3))
        system.add(parts, weight * (now + 2 * CORRELATION_S * rate + CORRELATION_S**2 * bend))
        start = np.zeros((len(now), 1, 1))
        start[0] = 1.0
        at_start = start * np.diag(1.0 / scales)
        system.add((at_start, None, None), start[:, 0] * now / scales)
        system.add((None, CORRELATION_S * at_start, None), start[:, 0] * CORRELATION_S * rate / scales)

    def _add_feet(self, system: "_System", now: np.ndarray, goal_m: np.ndarray, jacobian: _Jacobian) -> None:
        points = self._foot_points(posed(self.skeleton, now))
        standing = np.minimum(self.load_bw / FULL_LOAD_BW, 1.0)[..., None, None]
        share = np.sqrt(1.0 / (4 * CORRELATION_S * self.rate_hz))  # of a frame whose neighbours say the same
        weight = STANDING_M**-standing * (SWINGING_M / share) ** (standing - 1.0)
        num = len(now)
        rows = np.zeros((num, points[0].size, system.num_unknowns))
        weighted = weight[..., None] * jacobian.points
        rows[:, :, : weighted.shape[-1]] = weighted.reshape(num, -1, weighted.shape[-1])
        system.add((rows, None, None), (weight * (points - goal_m)).reshape(num, -1))

    def _add_pressure(self, system: "_System", change: np.ndarray, points_m: np.ndarray, cop_m: np.ndarray) -> None:
        """Centres of pressure stay under their feet, or no further outside than they were."""
        _, moved_m, _ = self._loads(system.splines.values(change), cop_m)
        ahead = points_m[:, :, 1] - points_m[:, :, 0]
        ahead[..., 1] = 0.0
        length = np.linalg.norm(ahead, axis=-1, keepdims=True)
        ahead = ahead / np.maximum(length, LEAST_LENGTH_M)
        beside = np.cross(ahead, [0.0, 1.0, 0.0])
        first = system.num_unknowns - len(SIDES) * _PER_FOOT
        for direction, low, high in (
            (beside, -HALF_WIDTH_M, HALF_WIDTH_M),
            (ahead, -BEHIND_HEEL_M, length[..., 0] + BEFORE_TOE_JOINT_M),
        ):
            before, now = (((each - points_m[:, :, 0]) * direction).sum(-1) for each in (cop_m, moved_m))
            excess = now - np.clip(now, np.minimum(low, before), np.maximum(high, before))
            is_outside = (excess != 0) & (self.load_bw > 0)
            rows = np.zeros((len(now), len(SIDES), system.num_unknowns))
            for foot in range(len(SIDES)):
                columns = slice(first + foot * _PER_FOOT + 3, first + foot * _PER_FOOT + 5)
                rows[:, foot, columns] = direction[:, foot] @ self.axes[[0, 2]].T
            weight = is_outside / OUTSIDE_M
            system.add((rows * weight[..., None], None, None), excess * weight)

    def _add_balance(
        self,
        system: "_System",
        now: np.ndarray,
        change: np.ndarray,
        cop_m: np.ndarray,
        jacobian: _Jacobian,
        time_scale: float,
    ) -> None:
        recorded, dynamics = self._recorded, self._dynamics(now, time_scale)
        mass, rate_hz = self.skeleton.mass_kg, self.rate_hz
        force_n, cop_m, free_moment_nm = self._loads(system.splines.values(change), cop_m)
        arm_m = cop_m - dynamics.com_m[:, None]
        missing_n = (force_n - self.forces.force_n).sum(1) - mass * (
            dynamics.acceleration_m_s2 - recorded.acceleration_m_s2
        )
        moment_nm = np.cross(arm_m, force_n).sum(1)
        before_nm = np.cross(self.forces.cop_m - recorded.com_m[:, None], self.forces.force_n).sum(1)
        missing_nm = moment_nm - before_nm - (dynamics.spin_rate_nm - recorded.spin_rate_nm)
        missing_nm[:, 1] += (free_moment_nm - self.forces.free_moment_nm).sum(1)

        num, count = len(now), jacobian.com.shape[-1]
        value, rate, bend = (np.zeros((num, 6, system.num_unknowns)) for _ in range(3))
        per_square = 1.0 / time_scale**2
        for rows, moved, factor in ((slice(0, 3), jacobian.com, mass), (slice(3, 6), jacobian.spin, 1.0)):
            drift = derivative(moved, sampling_rate_hz=rate_hz)
            bend[:, rows, :count] = -factor * per_square * moved
            rate[:, rows, :count] = -factor * per_square * drift * (2.0 if rows.start == 0 else 1.0)
        drift = second_derivative(jacobian.com, sampling_rate_hz=rate_hz)
        value[:, :3, :count] = -mass * per_square * drift
        value[:, 3:, :count] = -np.cross(jacobian.com, force_n.sum(1)[:, :, None], axisa=1, axisb=1, axisc=1)
        for foot in range(len(SIDES)):
            first = count + foot * _PER_FOOT
            scale = self._gate[:, foot, None, None] * self.weight_n
            value[:, :3, first : first + 3] = scale * self.axes.T
            arms = np.broadcast_to(self.axes, (num, 3, 3))
            value[:, 3:, first : first + 3] = scale * np.cross(arm_m[:, foot, None], arms).swapaxes(1, 2)
            shifted = np.cross(self.axes[[0, 2]], force_n[:, foot, None]) * (self.load_bw[:, foot] > 0)[:, None, None]
            value[:, 3:, first + 3 : first + 5] = shifted.swapaxes(1, 2)
            value[:, 4, first + 5] = scale[:, 0, 0]
        weight = 1.0 / (self.weight_n * np.array([BALANCE_BW] * 3 + [BALANCE_BW_M] * 3))
        parts = (value * weight[:, None], rate * weight[:, None], bend * weight[:, None])
        system.add(parts, np.concatenate([missing_n, missing_nm], axis=1) * weight)
        self._add_ends(system, dynamics.com_m - recorded.com_m, jacobian.com, time_scale)

    def _add_ends(self, system: "_System", moved_m: np.ndarray, jacobian: np.ndarray, time_scale: float) -> None:
        """Who has just begun, or is about to end, does not fall: the body's centre is where it can be carried on.

        Sideways, the extrapolated centre of mass (Hof et al. 2005, J Biomech 38:1) stays near the recorded one.
        """
        num, count = len(moved_m), jacobian.shape[-1]
        sideways, right = moved_m @ self.axes[2], np.zeros((num, 1, system.num_unknowns))
        right[:, 0, :count] = np.einsum("i,tik->tk", self.axes[2], jacobian)
        speed = derivative(sideways, sampling_rate_hz=self.rate_hz)
        per_speed = 1.0 / (FALL_RATE_PER_S * time_scale)
        for frame, sign in ((0, -1.0), (num - 1, 1.0)):
            weight = np.zeros((num, 1, 1))
            weight[frame] = 1.0 / EXTRAPOLATED_M
            residual = weight[:, 0] * (sideways + sign * per_speed * speed)[:, None]
            system.add((weight * right, weight * sign * per_speed * right, None), residual)


@dataclass(frozen=True)
class _Splines:
    """Cubic B-splines over evenly sampled frames.

    Args:
        first: of the four that a frame depends on, (T,).
        basis: their values, rates and bends, (3, T, 4).
        num: of splines.
    """

    first: np.ndarray
    basis: np.ndarray
    num: int

    @classmethod
    def over(cls, num_frames: int, rate_hz: float) -> "_Splines":
        degree = _SPAN - 1
        pieces = max(int(np.ceil((num_frames - 1) / rate_hz / KNOT_S)), 1)
        at = np.arange(num_frames) * (pieces / max(num_frames - 1, 1))
        first = np.minimum(at.astype(int), pieces - 1)
        inside = at - first
        knots = np.arange(-degree, degree + 2.0)
        per_s = pieces * rate_hz / max(num_frames - 1, 1)
        basis = np.zeros((3, num_frames, _SPAN))
        for j in range(_SPAN):
            spline = BSpline.basis_element(knots[j : j + degree + 2], extrapolate=False)
            for order in range(3):
                basis[order, :, j] = np.nan_to_num(spline(inside, nu=order)) * per_s**order
        return cls(first, basis, pieces + degree)

    def values(self, coefficients: np.ndarray, order: int = 0) -> np.ndarray:
        """Of splines with coefficients (num, V), or their derivatives: (T, V)."""
        taken = coefficients[self.first[:, None] + np.arange(_SPAN)]
        return np.einsum("tj,tjv->tv", self.basis[order], taken)


class _System:
    """Normal equations of linear residuals in the coefficients of the splines; those of neighbours are coupled."""

    def __init__(self, splines: _Splines, num_unknowns: int) -> None:
        self.splines = splines
        self.num_unknowns = num_unknowns
        self.starts = np.flatnonzero(np.diff(splines.first, prepend=-1))
        size = _SPAN * num_unknowns
        self.blocks = np.zeros((len(self.starts), size, size))
        self.sides = np.zeros((len(self.starts), size))
        self.factor = np.zeros((0, 0))

    def add(self, parts: tuple[np.ndarray | None, ...], residual: np.ndarray) -> None:
        """Squares of residuals (T, R) that change with the unknowns, their rates and bends by parts (T, R, V)."""
        num = len(residual)
        rows = np.zeros((num, residual.shape[1], _SPAN, self.num_unknowns))
        for basis, part in zip(self.splines.basis, parts, strict=True):
            if part is not None:
                rows += basis[:, None, :, None] * part[:, :, None]
        ends = [*self.starts[1:], num]
        for k, (start, end) in enumerate(zip(self.starts, ends, strict=True)):
            local = rows[start:end].reshape(-1, _SPAN * self.num_unknowns)
            self.blocks[k] += local.T @ local
            self.sides[k] += local.T @ residual[start:end].ravel()

    def solved(self) -> np.ndarray:
        """The step (num, V) under which the residuals are smallest."""
        v, width = self.num_unknowns, _SPAN * self.num_unknowns
        total = self.splines.num * v
        bands, right = np.zeros((width, total)), np.zeros(total)
        row, column = np.triu_indices(width)
        for first, block, side in zip(self.splines.first[self.starts], self.blocks, self.sides, strict=True):
            begin = first * v
            right[begin : begin + width] -= side
            bands[width - 1 + row - column, begin + column] += block[row, column]
        self.factor = cholesky_banded(bands)
        return cho_solve_banded((self.factor, False), right).reshape(-1, v)

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """A random step (num, V) that the residuals of the system, once solved, allow."""
        white = rng.standard_normal(self.factor.shape[1])
        return solve_banded((0, len(self.factor) - 1), self.factor, white).reshape(-1, self.num_unknowns)
