"""From a laboratory's axes to OpenSim's: which one is up, and how to turn it there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaitdynamics.errors import InvalidMotionError

AXES = ("x", "y", "z")
DIRECTIONS = tuple(sign + axis for axis in AXES for sign in ("", "-"))
LEVEL = 0.95  # share of a plate's normal that is along one axis, if the plate lies on the floor
CLEAR = 1.3  # how much more a body's markers are spread upward than along any other axis, if it tells
FULL_SHARE = 0.6  # of the markers that are seen at best: frames that show a whole body
TRAVELLED_M = 0.5  # from the beginning to the end of a recording, before there is a direction of walking
LONG_SHARE = 0.5  # of the longest time that a marker is followed: those followed for less do not tell where to


@dataclass(frozen=True)
class Upward:
    """Which direction of the laboratory is up.

    Args:
        direction: 'x', '-x', 'y', '-y', 'z' or '-z'.
        told_by: what it was found from.
        is_certain: whether nothing spoke against it.
    """

    direction: str
    told_by: str
    is_certain: bool = True

    @property
    def rotation(self) -> np.ndarray:
        """From the laboratory's axes to OpenSim's, (3, 3): the shortest turn that lays up along y."""
        return _ROTATIONS[self.direction]


_ROTATIONS = {
    "y": np.eye(3),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "-z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    "x": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    "-x": np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
}


def find_upward(position_m: np.ndarray, *, plate_corners_m: Sequence[np.ndarray], stated: str | None) -> Upward:
    """Which direction is up: from the plates' corners; else from the markers, as a body on its feet is tall.

    Args:
        position_m: of markers, (T, M, 3).
        plate_corners_m: of each force plate, (4, 3).
        stated: what the file says, or what its format usually means; believed where nothing else tells.
    """
    normals = [_level_axis(corners) for corners in plate_corners_m]
    level = [axis for axis in normals if axis is not None]
    if level and len(set(level)) == 1:
        floor_m = float(np.mean([corners[:, level[0]] for corners in plate_corners_m]))
        return Upward(_signed(level[0], position_m, floor_m), "the corners of the force plates")
    spread = _spread(position_m)
    axis, second = np.argsort(spread)[::-1][:2]
    if spread[axis] > CLEAR * spread[second]:
        return Upward(_signed(int(axis), position_m, 0.0), "the markers, which are spread furthest along it")
    if stated is not None:
        return Upward(stated, "what such files usually mean", is_certain=False)
    return Upward(_signed(int(axis), position_m, 0.0), "the markers, though not clearly", is_certain=False)


def _level_axis(corners_m: np.ndarray) -> int | None:
    """The axis that a plate is perpendicular to, if it is to one."""
    normal = np.cross(corners_m[0] - corners_m[1], corners_m[0] - corners_m[3])
    length = float(np.linalg.norm(normal))
    if not np.isfinite(length) or length == 0:
        return None
    axis = int(np.argmax(np.abs(normal)))
    return axis if abs(normal[axis]) > LEVEL * length else None


def _signed(axis: int, position_m: np.ndarray, floor_m: float) -> str:
    """Markers are above the floor."""
    seen = position_m[..., axis][np.isfinite(position_m[..., axis])]
    is_up = not seen.size or float(np.median(seen)) >= floor_m
    return AXES[axis] if is_up else f"-{AXES[axis]}"


def _spread(position_m: np.ndarray) -> np.ndarray:
    """Mean variance over the markers of a frame along each axis, (3,)."""
    is_seen = np.isfinite(position_m).all(axis=2)
    num_seen = is_seen.sum(axis=1)
    frames = np.flatnonzero((num_seen >= FULL_SHARE * num_seen.max()) & (num_seen > 1))
    if not frames.size:
        return np.zeros(3)
    chosen, seen = position_m[frames], is_seen[frames][..., None]
    counts = seen.sum(axis=1)
    mean = np.where(seen, chosen, 0.0).sum(axis=1) / counts
    squares = np.where(seen, (chosen - mean[:, None]) ** 2, 0.0).sum(axis=1) / counts
    return np.asarray(squares.mean(axis=0))


def forward_rotation(position_m: np.ndarray, *, source: str) -> np.ndarray:
    """The turn about the vertical that makes a person who walks through the laboratory walk along +x, (3, 3).

    Args:
        position_m: of markers, y up, (T, M, 3).
        source: the file, for messages.

    Raises:
        InvalidMotionError: the person stays in one place.
    """
    is_seen = np.isfinite(position_m).all(axis=2)
    first, last = is_seen.argmax(axis=0), len(position_m) - 1 - is_seen[::-1].argmax(axis=0)
    span = np.where(is_seen.any(axis=0), last - first, 0)
    chosen = np.flatnonzero(span >= LONG_SHARE * span.max())
    ways_m = position_m[last[chosen], chosen] - position_m[first[chosen], chosen]
    way_m = np.median(ways_m[:, [0, 2]], axis=0) if span.max() > 0 else np.zeros(2)
    length_m = float(np.linalg.norm(way_m))
    if length_m < TRAVELLED_M:
        raise InvalidMotionError(
            f"{source}: the markers end {length_m:.2g} m from where they begin, which is no direction of walking; "
            f"expected at least {TRAVELLED_M:g} m. Leave out --forward: any direction can be worked with."
        )
    cosine, sine = way_m / length_m
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
