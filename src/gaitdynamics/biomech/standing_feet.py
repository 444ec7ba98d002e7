"""Filled-in coordinates under which a foot that carries load stays where it stands.

Regularised Gauss–Newton least squares over the changes of the coordinates that may be changed, at all frames at once:
loaded points of the feet rest on the ground at their resting height, no point is below it, a body in flight falls
freely, and the changes are smooth in time (a Matérn process of order 3/2) and vanish where the coordinates are known.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solveh_banded

from gaitdynamics.biomech.contact import smoothed_path
from gaitdynamics.biomech.kinematics import FootPath, foot_paths, pelvis_of, posed
from gaitdynamics.maths.signals import derivative, intervals, smooth
from gaitdynamics.types.skeleton import Axis, Joint, Polynomial, Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

LOADED_BW = 0.1  # a foot that carries more stands
LOAD_CUTOFF_HZ = 12.0  # loads from a network are noisy
LOAD_GATE_BW = (0.04, 0.25)  # from no trust in a foot's standing to full trust
FLIGHT_LOAD_BW = 0.05  # on both feet together: less is a flight
LONGEST_FLIGHT_S = 0.4  # a person who is longer without load stands on something that was not measured
NUM_ITERATIONS = 3

# How heel and toe joint of a loaded foot move along it, by its pitch: on the training people of the development data
# a flat foot's stand still, those of a landing foot slide in proportion to its pitch, and those of a leaving one roll
# with the pitch's square. Expected is half of what was measured there: as much brings the pelvis' speed halfway to
# the true one without more sliding.
HEEL_LANDING_M_S, TOE_LANDING_M_S = 0.5, 0.75  # per radian of toes up
HEEL_LEAVING_M_S, TOE_LEAVING_M_S = 1.5, 0.25  # per square radian of heel up
FLAT_SPREAD_M_S = 0.06
HEEL_LANDING_SPREAD_M_S, TOE_LANDING_SPREAD_M_S = 1.5, 2.1  # more per radian
HEEL_LEAVING_SPREAD_M_S, TOE_LEAVING_SPREAD_M_S = 2.9, 0.66  # more per square radian
HEIGHT_M = 0.006  # by which a point on the ground is higher or lower than it rests
UNKNOWN_HEIGHT_M = 0.02  # where the resting height is that of the motion itself
PITCH_TOLERANCE_RAD = 0.05  # a foot pitched less than this is flat
FLAT_RATE_RAD_S = 0.8  # a foot that turns faster than this is not flat
BELOW_TOLERANCE_M = 0.01  # a point may be this much lower than it rests
INDEPENDENT_SHARE = 0.3  # of frames at 100 Hz: a foot that slides now slides in the next frame too
OUTLIER = 3.0  # standard deviations: a point that is further from rest perhaps does not stand (Cauchy's weight)
FALL_M_S2 = 2.0  # by which a flight's acceleration may differ from gravity
FALL_CUTOFF_HZ = 10.0  # for the mass centre's path about the pelvis, before it is differentiated

# The changes: how large they are, and how long they last.
ANGLE_RAD, ANGLE_S = 0.06, 0.06
LEVEL_M, LEVEL_S = 0.05, 0.10
DISTANCE_M, DISTANCE_S = 5.0, 5.0
SOLE_M = 0.025  # resting height of the foot's joints over the floor, where only the floor is known

_SPREADS_RATE_HZ = 100.0  # the rate of frames that the spreads above are for
_NUDGE = 1e-6
_MARGIN = 2  # frames on either side of free ones, which the changes join smoothly
_MIN_KNOWN_S = 0.1  # of a flat foot, for its resting height


def with_standing_feet(
    skeleton: Skeleton,
    values: np.ndarray,
    *,
    is_free: np.ndarray,
    load_bw: np.ndarray,
    sampling_rate_hz: float,
    height_m: float,
    belt_velocity_m_s: np.ndarray,
    floor_m: float | None = None,
) -> np.ndarray:
    """Change filled-in coordinates so that loaded feet neither slide over the ground nor sink into it.

    Args:
        skeleton: the person's model.
        values: evenly sampled coordinates, (T, C); at least two frames.
        is_free: entries that may be changed, (T, C); locked and coupled coordinates, and those that move no foot, stay.
        load_bw: vertical force on the right and the left foot in body weights, (T, 2).
        sampling_rate_hz: of the values.
        height_m: of the person.
        belt_velocity_m_s: of the ground in the ground frame, (3,); zeros for a floor.
        floor_m: height of the ground, for feet whose place is nowhere known. If not given, such a foot rests as high as
            the other foot or, with neither known, as high as in `values` on the median.

    Returns:
        Coordinates, (T, C); entries that are not free are those of `values`, bit by bit.
    """
    feet = _Feet.of(skeleton, height_m)
    load = np.nan_to_num(load_bw)
    if not is_free[:, feet.columns].any() or not (load > LOAD_GATE_BW[0]).any():
        return values.copy()
    feet = feet.only(np.asarray(is_free.any(axis=0)))
    load = smooth(load, cutoff_hz=min(LOAD_CUTOFF_HZ, 0.4 * sampling_rate_hz), sampling_rate_hz=sampling_rate_hz)
    path = feet.path(values)
    rest = _Rest.of(feet, path, is_free, load, sampling_rate_hz=sampling_rate_hz, floor_m=floor_m)

    clock = _Clock.of(np.asarray(is_free[:, feet.columns].any(axis=1)), sampling_rate_hz)
    start, load, free = values[clock.frames], load[clock.frames], is_free[np.ix_(clock.frames, feet.columns)]
    always = _System(free, feet)
    _add_smoothness(always, feet, clock)
    fall = _Fall.of(skeleton, feet, start, load, clock)
    if fall is not None:
        fall.add_to(always, feet, clock)
    change = np.zeros(free.shape)
    for iteration in range(NUM_ITERATIONS):
        is_first, is_last = iteration == 0, iteration == NUM_ITERATIONS - 1
        now = start.copy()
        now[:, feet.columns] += change
        points = feet.path(now).points_m
        if is_first or not is_last:  # by the last one, the points hardly move any more
            jacobian = feet.jacobian(now, points) * free[:, None, None, None, :]
        if not is_first:
            rest = rest.seen_again(points, load)
        system = always.copy()
        _add_resting(system, points, jacobian, change, load, rest, clock, is_robust=not is_first)
        _add_standing(system, points, jacobian, change, load, rest, clock, belt_velocity_m_s, is_robust=not is_first)
        change = system.solved()
    result = values.copy()
    row, column = np.nonzero(free)
    result[clock.frames[row], feet.columns[column]] += change[row, column]
    return result


def foot_sliding(
    skeleton: Skeleton,
    values: np.ndarray,
    *,
    load_bw: np.ndarray,
    sampling_rate_hz: float,
    height_m: float,
    belt_velocity_m_s: np.ndarray,
) -> float:
    """Mean horizontal speed of loaded feet over the ground, m/s: of heel or toe joint, whichever is slower.

    Args:
        values: evenly sampled coordinates, (T, C); at least two frames.
        load_bw: vertical force on the right and the left foot in body weights, (T, 2).
        belt_velocity_m_s: of the ground in the ground frame, (3,).

    Returns:
        NaN if no foot is ever loaded.
    """
    path = smoothed_path(_Feet.of(skeleton, height_m).path(values), sampling_rate_hz=sampling_rate_hz)
    velocity = derivative(path.points_m, sampling_rate_hz=sampling_rate_hz) - belt_velocity_m_s
    speed = np.linalg.norm(velocity[..., [0, 2]], axis=-1).min(axis=-1)
    is_loaded = np.nan_to_num(load_bw) > LOADED_BW
    return float(speed[is_loaded].mean()) if is_loaded.any() else float("nan")


@dataclass(frozen=True)
class _Feet:
    """Both legs and the pelvis alone, and the coordinates that move them.

    Args:
        columns: of the coordinates, (K,).
        moves: which feet a coordinate moves, (K, 2).
        is_sliding: coordinates that shift the whole body along a line, (K,).
        direction: that line, metres per unit; zero for others, (3, K).
    """

    skeleton: Skeleton
    height_m: float
    columns: np.ndarray
    moves: np.ndarray
    is_sliding: np.ndarray
    direction: np.ndarray

    @classmethod
    def of(cls, skeleton: Skeleton, height_m: float) -> "_Feet":
        paths = []
        for foot in skeleton.feet:
            joints = [j for body in (foot.hindfoot, foot.toes) if body for j in skeleton.path_to_root(body)]
            paths.append({joint.name: joint for joint in joints})
        is_needed = [any(joint.name in path for path in paths) for joint in skeleton.joints]
        legs = replace(
            skeleton,
            bodies=tuple(body for body, needed in zip(skeleton.bodies, is_needed, strict=True) if needed),
            joints=tuple(joint for joint, needed in zip(skeleton.joints, is_needed, strict=True) if needed),
        )
        moved = [_driving(skeleton, path.values()) for path in paths]
        slides = _slides(skeleton)
        columns = sorted(moved[0] | moved[1], key=lambda column: (column not in slides, column))
        is_sliding = np.array([column in slides for column in columns], dtype=bool)
        feet = cls(
            skeleton=legs,
            height_m=height_m,
            columns=np.array(columns, dtype=int),
            moves=np.array([[column in foot for foot in moved] for column in columns], dtype=bool).reshape(-1, 2),
            is_sliding=is_sliding,
            direction=np.zeros((3, len(columns))),
        )
        at_zero = np.zeros((1, len(skeleton.coordinates)))
        jacobian = feet.jacobian(at_zero, feet.path(at_zero).points_m)
        return replace(feet, direction=jacobian[0, 0, 0] * is_sliding)

    def only(self, wanted: np.ndarray) -> "_Feet":
        """With those of the coordinates (C,) alone that are wanted."""
        kept = wanted[self.columns]
        return replace(
            self,
            columns=self.columns[kept],
            moves=self.moves[kept],
            is_sliding=self.is_sliding[kept],
            direction=self.direction[:, kept],
        )

    def path(self, values: np.ndarray) -> FootPath:
        """Heel and toe joint of both feet, from coordinates (T, C)."""
        return foot_paths(self.skeleton, posed(self.skeleton, values), height_m=self.height_m)

    def jacobian(self, values: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """Change of the points (T, 2, 2, 3) with each coordinate, (T, 2, 2, 3, K)."""
        result = np.zeros((*points_m.shape, len(self.columns)))
        result += self.direction
        for pair in self._nudged_together():
            nudged = values.copy()
            nudged[:, self.columns[pair]] += _NUDGE
            effect = (self.path(nudged).points_m - points_m) / _NUDGE
            for k in pair:
                for f in np.flatnonzero(self.moves[k]):
                    result[:, f, :, :, k] = effect[:, f]
        return result

    def _nudged_together(self) -> list[list[int]]:
        """Coordinates one by one, or two at a time where one moves the right foot alone and the other the left."""
        unknown = np.flatnonzero(~self.direction.any(axis=0))
        by_side = [[int(k) for k in unknown if self.moves[k, f] and not self.moves[k, 1 - f]] for f in range(2)]
        num_pairs = min(len(side) for side in by_side)
        pairs = [list(pair) for pair in zip(*by_side, strict=False)]
        return [
            *([int(k)] for k in unknown if self.moves[k].all()),
            *pairs,
            *([k] for side in by_side for k in side[num_pairs:]),
        ]


def _slides(skeleton: Skeleton) -> set[int]:
    """Columns of the coordinates that shift the whole body along lines: those of joints before anything turns."""
    base: list[Joint] = []
    for joint in reversed(skeleton.path_to_root(pelvis_of(skeleton))):
        base.append(joint)
        if joint.rotations:
            break
    lines = [replace(joint, rotations=()) for joint in base]
    bent = [
        replace(joint, rotations=(), translations=tuple(axis for axis in joint.translations if not _is_line(axis)))
        for joint in base
    ]
    names = {joint.name for joint in base}
    others = [joint for joint in skeleton.joints if joint.name not in names]
    turning = [replace(joint, translations=()) for joint in base]
    return _driving(skeleton, lines) - _driving(skeleton, [*bent, *others, *turning])


def _is_line(axis: Axis) -> bool:
    return isinstance(axis.function, Polynomial) and axis.function.is_linear


def _driving(skeleton: Skeleton, joints: Iterable[Joint]) -> set[int]:
    """Columns of the free coordinates behind the axes of joints."""
    index = {coordinate.name: i for i, coordinate in enumerate(skeleton.coordinates)}
    found = set()
    for name in {axis.coordinate for joint in joints for axis in (*joint.rotations, *joint.translations)}:
        while name is not None and skeleton.coordinates[index[name]].coupled_to is not None:
            name = skeleton.coordinates[index[name]].coupled_to
        if name is not None and not skeleton.coordinates[index[name]].is_locked:
            found.add(index[name])
    return found


@dataclass(frozen=True)
class _Rest:
    """How the feet stand flat.

    Args:
        height_m: of heel and toe joint, (2, 2).
        length_m: heel to toe joint, (2,).
        is_known: whether the height is measured, and not that of a motion that is to be corrected.
    """

    height_m: np.ndarray
    length_m: np.ndarray
    is_known: bool

    @classmethod
    def of(
        cls,
        feet: _Feet,
        path: FootPath,
        is_free: np.ndarray,
        load: np.ndarray,
        *,
        sampling_rate_hz: float,
        floor_m: float | None,
    ) -> "_Rest":
        """From the whole motion (T frames), of which the frames with known feet count where there are enough."""
        height, length = path.points_m[..., 1], path.length_m
        free = is_free[:, feet.columns].astype(float)
        is_turned = free[:, ~feet.is_sliding] @ feet.moves[~feet.is_sliding] > 0
        is_moved = free @ feet.moves > 0
        enough = _MIN_KNOWN_S * sampling_rate_hz

        step = height[..., 0] - height[..., 1]
        rate = derivative(step, sampling_rate_hz=sampling_rate_hz) / length
        weight = _gate(load) * np.exp(-((rate / FLAT_RATE_RAD_S) ** 2))
        known = weight * ~is_turned
        known = np.where(known.sum(axis=0) > enough, known, weight)
        flat = np.array([_weighted_median(step[:, f], known[:, f]) for f in range(2)])

        middle, weight = height.mean(axis=-1), _flat_load(height, flat, length, load)
        known = weight * ~is_moved
        is_known = known.sum(axis=0) > enough
        has_posture = not is_turned.any() and bool((weight.sum(axis=0) > enough).all())
        if is_known.any():
            levels = [_weighted_median(middle[:, f], known[:, f]) for f in np.flatnonzero(is_known)]
            level = np.full(2, np.mean(levels))
            level[is_known] = levels
        elif has_posture:
            level = np.array([_weighted_median(middle[:, f], weight[:, f]) for f in range(2)])
        else:
            level = np.full(2, _weighted_median(middle.ravel(), weight.ravel()))
        has_floor = floor_m is not None and not is_known.any()
        if floor_m is not None and has_floor:
            level += floor_m + SOLE_M - level.mean()
        height_m = np.stack([level + flat / 2, level - flat / 2], axis=-1)
        return cls(height_m, length, has_posture or has_floor or bool(is_known.any()))

    def seen_again(self, points_m: np.ndarray, load: np.ndarray) -> "_Rest":
        """With the height at which the feet stand now, if it is not known; from points (N, 2, 2, 3)."""
        if self.is_known:
            return self
        height, flat = points_m[..., 1], self.height_m[:, 0] - self.height_m[:, 1]
        above = height.mean(axis=-1) - self.height_m.mean(axis=-1)
        weight = _flat_load(height, flat, self.length_m, load)
        return replace(self, height_m=self.height_m + _weighted_median(above.ravel(), weight.ravel()))


def _flat_load(height_m: np.ndarray, flat_m: np.ndarray, length_m: np.ndarray, load: np.ndarray) -> np.ndarray:
    """How much each foot stands flat, (N, 2): by the step from toe joint to heel (2,) of one that does."""
    pitch = (height_m[..., 0] - height_m[..., 1] - flat_m) / length_m
    return _gate(load) * np.exp(-((pitch / PITCH_TOLERANCE_RAD) ** 2))


def _gate(load: np.ndarray) -> np.ndarray:
    low, high = LOAD_GATE_BW
    return np.clip((load - low) / (high - low), 0.0, 1.0)


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order[min(np.searchsorted(total, total[-1] / 2), len(values) - 1)]])


@dataclass(frozen=True)
class _Clock:
    """The frames that change, and their neighbours.

    Args:
        frames: of the motion, (N,).
        pieces: of frames that follow each other, [start, end).
        goes_on: whether the next frame follows, (N - 1,).
    """

    frames: np.ndarray
    pieces: tuple[tuple[int, int], ...]
    goes_on: np.ndarray
    sampling_rate_hz: float

    @classmethod
    def of(cls, changes: np.ndarray, sampling_rate_hz: float) -> "_Clock":
        width = 2 * _MARGIN + 1
        frames = np.flatnonzero(np.convolve(changes, np.ones(width), mode="full")[_MARGIN : _MARGIN + len(changes)] > 0)
        goes_on = np.diff(frames) == 1
        pieces = intervals(np.concatenate([goes_on, [False]]))
        return cls(frames, tuple((start, end + 1) for start, end in pieces), goes_on, sampling_rate_hz)

    @property
    def weight(self) -> float:
        """Of a frame, against one of those that the spreads are for."""
        return _SPREADS_RATE_HZ / self.sampling_rate_hz


class _System:
    """Normal equations of the changes (N, K), banded over time; those of entries that are not free stay zero."""

    def __init__(self, free: np.ndarray, feet: _Feet) -> None:
        self.free = free.astype(float)
        num, width = free.shape
        self._reach = 2 * width + int(feet.is_sliding.sum())  # those come first, and are coupled over two frames
        self._bands = np.zeros((num, width, self._reach + 1))
        self._right = np.zeros((num, width))

    def copy(self) -> "_System":
        """To which more can be added."""
        other = copy(self)
        other._bands, other._right = self._bands.copy(), self._right.copy()
        return other

    def add(self, block: np.ndarray, *, ahead: int) -> None:
        """Products of the unknowns at each frame with those some frames ahead, (N - ahead, K, K)."""
        width = self.free.shape[1]
        row, column = (index.ravel() for index in np.indices((width, width)))
        place = self._reach + row - column - ahead * width
        fits = (place >= 0) & (place <= self._reach)
        row, column, place = row[fits], column[fits], place[fits]
        num = len(self.free) - ahead
        product = block[:, row, column] * self.free[:num, row] * self.free[ahead:, column]
        self._bands[ahead:, column, place] += product

    def add_right(self, vector: np.ndarray) -> None:
        """The right-hand side, (N, K)."""
        self._right += vector * self.free

    def solved(self) -> np.ndarray:
        """The changes, (N, K)."""
        self._bands[:, :, self._reach] += 1.0 - self.free
        bands = self._bands.reshape(-1, self._reach + 1).T
        return solveh_banded(bands, self._right.ravel(), overwrite_ab=True).reshape(self.free.shape)


def _add_smoothness(system: _System, feet: _Feet, clock: _Clock) -> None:
    """The prior of the changes: its density falls with their squares and those of two derivatives (order 3/2)."""
    is_upright = np.abs(feet.direction[1]) > np.abs(feet.direction[[0, 2]]).max(axis=0, initial=0.0)
    spread = np.where(feet.is_sliding, np.where(is_upright, LEVEL_M, DISTANCE_M), ANGLE_RAD)
    lasting = np.where(feet.is_sliding, np.where(is_upright, LEVEL_S, DISTANCE_S), ANGLE_S) * clock.sampling_rate_hz
    size = 1.0 / (4 * lasting * spread**2)
    slope, bend = 2 * size * lasting**2, size * lasting**4
    first, second = clock.goes_on.astype(float), (clock.goes_on[:-1] & clock.goes_on[1:]).astype(float)
    centre = np.ones((len(clock.frames), 1)) * size
    centre[1:] += first[:, None] * slope
    centre[:-1] += first[:, None] * slope
    for offset, factor in enumerate((1.0, 4.0, 1.0)):
        centre[offset : offset + len(second)] += factor * second[:, None] * bend
    beside = -first[:, None] * slope
    beside[1:] -= 2 * second[:, None] * bend
    beside[:-1] -= 2 * second[:, None] * bend
    one = np.eye(len(feet.columns))
    for ahead, diagonal in enumerate((centre, beside, second[:, None] * bend)):
        system.add(diagonal[:, :, None] * one, ahead=ahead)


def _add_resting(
    system: _System,
    points: np.ndarray,
    jacobian: np.ndarray,
    change: np.ndarray,
    load: np.ndarray,
    rest: _Rest,
    clock: _Clock,
    *,
    is_robust: bool,
) -> None:
    """Loaded points are as high as they rest, and no point is lower; linear about the points as they are now."""
    num, width = change.shape
    spread = _height_spread(points, rest)
    above = points[..., 1] - rest.height_m
    precision = INDEPENDENT_SHARE * clock.weight * _gate(load)[..., None] / spread**2
    if is_robust:
        precision /= 1 + (above / (OUTLIER * spread)) ** 2
    below = np.minimum(above + BELOW_TOLERANCE_M, 0.0)
    precision_below = np.where(below < 0, INDEPENDENT_SHARE * clock.weight / BELOW_TOLERANCE_M**2, 0.0)
    wanted = (-above * precision - below * precision_below).reshape(num, -1)
    precision = (precision + precision_below).reshape(num, -1)
    upward = jacobian[..., 1, :].reshape(num, -1, width)
    system.add(upward.swapaxes(1, 2) @ (upward * precision[..., None]), ahead=0)
    wanted += precision * np.einsum("npk,nk->np", upward, change)
    system.add_right(np.einsum("npk,np->nk", upward, wanted))


def _add_standing(
    system: _System,
    points: np.ndarray,
    jacobian: np.ndarray,
    change: np.ndarray,
    load: np.ndarray,
    rest: _Rest,
    clock: _Clock,
    belt_velocity_m_s: np.ndarray,
    *,
    is_robust: bool,
) -> None:
    """Loaded points go with the ground; linear about the points as they are now."""
    num, width = change.shape
    expected, spread = _sliding(points, rest)
    speed = (np.diff(points, axis=0) * clock.sampling_rate_hz - belt_velocity_m_s)[..., [0, 2]]
    speed -= (expected[1:] + expected[:-1]) / 2
    precision = INDEPENDENT_SHARE * clock.weight * _gate(load)[..., None] / spread**2
    precision = np.minimum(precision[1:], precision[:-1]) * clock.goes_on[:, None, None]
    if is_robust:
        precision /= 1 + (speed**2).sum(axis=-1) / (OUTLIER * spread[1:]) ** 2
    precision = np.repeat(precision.reshape(num - 1, -1), 2, axis=1)
    along = jacobian[..., [0, 2], :].reshape(num, -1, width) * clock.sampling_rate_hz
    before, after = along[:-1], along[1:]
    weighted_before, weighted_after = before * precision[..., None], after * precision[..., None]
    centre = np.zeros((num, width, width))
    centre[:-1] += before.swapaxes(1, 2) @ weighted_before
    centre[1:] += after.swapaxes(1, 2) @ weighted_after
    system.add(centre, ahead=0)
    system.add(-before.swapaxes(1, 2) @ weighted_after, ahead=1)
    wanted = np.diff(np.einsum("npk,nk->np", along, change), axis=0) - speed.reshape(num - 1, -1)
    right = np.zeros((num, width))
    right[:-1] -= np.einsum("npk,np->nk", weighted_before, wanted)
    right[1:] += np.einsum("npk,np->nk", weighted_after, wanted)
    system.add_right(right)


def _pitch(points_m: np.ndarray, rest: _Rest) -> tuple[np.ndarray, np.ndarray]:
    """How far the heel and how far the toes are turned up, (N, 2) each; 0 for a flat foot."""
    step = points_m[..., 0, 1] - points_m[..., 1, 1] - (rest.height_m[:, 0] - rest.height_m[:, 1])
    pitch = np.arcsin(np.clip(step / rest.length_m, -1.0, 1.0))
    return np.maximum(pitch, 0.0), np.maximum(-pitch, 0.0)


def _sliding(points_m: np.ndarray, rest: _Rest) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of a loaded foot's heel and toe joint over the ground (N, 2, 2, 2), and its spread (N, 2, 2)."""
    heel_up, toe_up = _pitch(points_m, rest)
    forward = (points_m[..., 1, :] - points_m[..., 0, :])[..., [0, 2]]
    forward /= np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    heel = HEEL_LANDING_M_S * toe_up + HEEL_LEAVING_M_S * heel_up**2
    toe = TOE_LANDING_M_S * toe_up + TOE_LEAVING_M_S * heel_up**2
    expected = np.stack([heel, toe], axis=-1)[..., None] * forward[..., None, :]
    heel = FLAT_SPREAD_M_S + HEEL_LANDING_SPREAD_M_S * toe_up + HEEL_LEAVING_SPREAD_M_S * heel_up**2
    toe = FLAT_SPREAD_M_S + TOE_LANDING_SPREAD_M_S * toe_up + TOE_LEAVING_SPREAD_M_S * heel_up**2
    return expected, np.stack([heel, toe], axis=-1)


def _height_spread(points_m: np.ndarray, rest: _Rest) -> np.ndarray:
    """By how much a loaded foot's heel and toe joint are above where they rest, (N, 2, 2)."""
    lifted = [np.maximum(up - PITCH_TOLERANCE_RAD, 0.0) * rest.length_m for up in _pitch(points_m, rest)]
    return (HEIGHT_M if rest.is_known else UNKNOWN_HEIGHT_M) + np.stack(lifted, axis=-1)


@dataclass(frozen=True)
class _Fall:
    """Flights, in which the mass centre falls freely.

    Args:
        precision: of the acceleration at each inner frame, (N - 2,); zero where a foot is on the ground.
        missing_m_s2: what the acceleration of the body as given lacks for a free fall, (N - 2, 3).
    """

    precision: np.ndarray
    missing_m_s2: np.ndarray

    @classmethod
    def of(cls, skeleton: Skeleton, feet: _Feet, values: np.ndarray, load: np.ndarray, clock: _Clock) -> "_Fall | None":
        """None where no coordinate shifts the whole body, or it never flies."""
        is_flight = load.sum(axis=-1) < FLIGHT_LOAD_BW
        for start, end in intervals(is_flight):
            if end - start > LONGEST_FLIGHT_S * clock.sampling_rate_hz:
                is_flight[start:end] = False
        inside = is_flight[:-2] & is_flight[1:-1] & is_flight[2:] & clock.goes_on[:-1] & clock.goes_on[1:]
        if not feet.is_sliding.any() or not inside.any():
            return None
        pose = posed(skeleton, values)
        pelvis = pose.origin_m[:, skeleton.body_index[pelvis_of(skeleton)]].numpy()
        about = skeleton.centre_of_mass(pose).numpy() - pelvis
        for start, end in clock.pieces:
            if not inside[max(start - 1, 0) : end].any():
                continue
            about[start:end] = smooth(
                about[start:end], cutoff_hz=FALL_CUTOFF_HZ, sampling_rate_hz=clock.sampling_rate_hz
            )
        acceleration = np.diff(pelvis + about, n=2, axis=0) * clock.sampling_rate_hz**2
        gravity = np.array([0.0, -STANDARD_GRAVITY_M_S2, 0.0])
        return cls(inside * clock.weight / FALL_M_S2**2, gravity - acceleration)

    def add_to(self, system: _System, feet: _Feet, clock: _Clock) -> None:
        num = len(system.free)
        inner = len(self.precision)
        direction = feet.direction * clock.sampling_rate_hz**2
        product = self.precision[:, None, None] * (direction.T @ direction)
        right = (self.missing_m_s2 * self.precision[:, None]) @ direction
        blocks = [np.zeros((num - ahead, *product.shape[1:])) for ahead in range(3)]
        total = np.zeros_like(system.free)
        stencil = (1.0, -2.0, 1.0)
        for i, a in enumerate(stencil):
            total[i : i + inner] += a * right
            for j in range(i, 3):
                blocks[j - i][i : i + inner] += a * stencil[j] * product
        for ahead, block in enumerate(blocks):
            system.add(block, ahead=ahead)
        system.add_right(total)
