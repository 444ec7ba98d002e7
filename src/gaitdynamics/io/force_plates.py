"""From the channels of force plates to the force on whoever stands on them (C3D types 1 to 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.c3d import RawPlate
from gaitdynamics.io.forces import Plate
from gaitdynamics.maths.signals import intervals
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N
from gaitdynamics.units import MILLIMETRES_PER_METRE

CENTRE_OF_PRESSURE, FORCE_AND_MOMENT, EIGHT_SENSORS, CALIBRATED = 1, 2, 3, 4  # the format's types of plates
NUM_CHANNELS = {CENTRE_OF_PRESSURE: 6, FORCE_AND_MOMENT: 6, EIGHT_SENSORS: 8, CALIBRATED: 6}
UNLOADED_N = 40.0  # the most that a plate with nobody on it is off by, and the least that matters of a step
UNLOADED_S = 0.1  # that a plate must be without load for its offset to be known
NOTABLE_OFFSET_N = 5.0
EDGE_M = 0.1  # beyond a plate's edge, where corners and centres of pressure are only so exact
FASTEST_HZ = 1000.0  # forces of steps hold nothing beyond half of it


@dataclass(frozen=True)
class MeasuredPlates:
    """Forces of plates in OpenSim's axes.

    Args:
        plates: those with a known type.
        warnings: for the user.
    """

    plates: tuple[Plate, ...]
    warnings: tuple[str, ...]


def measured_plates(
    raw_plates: Sequence[RawPlate],
    time_s: np.ndarray,
    *,
    metres_per_unit: float,
    rotation: np.ndarray,
    source: str,
) -> MeasuredPlates:
    """The force on the person, its centre of pressure and the moment about it, for each plate.

    What a plate shows while nobody is on it is taken off. Channels faster than 1000 Hz are averaged down.

    Args:
        raw_plates: of one file.
        time_s: of the channels, (N,).
        metres_per_unit: of the plates' corners and origins.
        rotation: from the laboratory's axes to OpenSim's, (3, 3).
        source: the file, for messages.

    Raises:
        InputFileError: a plate lacks what its type needs.
    """
    plates, warnings = [], []
    for raw in raw_plates:
        if raw.kind not in NUM_CHANNELS:
            warnings.append(
                f"{source}: force plate {raw.number} is of type {raw.kind}, which can't be read (1 to 4 can); its "
                "forces are left out."
            )
            continue
        if len(raw.channels) < NUM_CHANNELS[raw.kind]:
            raise InputFileError(
                f"{source}: force plate {raw.number} has {len(raw.channels)} channels; one of type {raw.kind} needs "
                f"{NUM_CHANNELS[raw.kind]}. Export it again with all channels."
            )
        plates.append(_plate(raw, time_s, metres_per_unit, rotation, source, warnings))
    return MeasuredPlates(tuple(plates), tuple(warnings))


def _plate(
    raw: RawPlate,
    time_s: np.ndarray,
    metres_per_unit: float,
    rotation: np.ndarray,
    source: str,
    warnings: list[str],
) -> Plate:
    name = f"plate {raw.number}"
    corners_m = raw.corners * metres_per_unit
    axes, centre_m = _axes(corners_m, name=name, source=source), corners_m.mean(axis=0)
    channels, time_s = _averaged(raw.channels[: NUM_CHANNELS[raw.kind]], time_s)
    if raw.kind == CALIBRATED:
        if raw.calibration is None:
            raise InputFileError(
                f"{source}: force {name} is of type 4, which needs its calibration (FORCE_PLATFORM:CAL_MATRIX). "
                "Export it again with the plates' parameters."
            )
        channels = raw.calibration @ channels
    channels, offset_n = _without_offset(channels, raw.kind, time_s)
    if abs(offset_n) > NOTABLE_OFFSET_N:
        warnings.append(
            f"{source}: force {name} shows {abs(offset_n):.0f} N with nobody on it, which was taken off all its forces."
        )
    stated = _metres_of(raw, metres_per_unit)
    arm_m = _arms(raw, metres_per_unit)
    half_m = np.array([np.linalg.norm(corners_m[0] - corners_m[1]), np.linalg.norm(corners_m[0] - corners_m[3])]) / 2
    chosen = _wrench(raw.kind, channels, arm_m, stated)
    if not _is_on_plate(chosen, half_m):
        others = [_wrench(raw.kind, channels, arm_m, factor) for factor in (1.0, 1 / MILLIMETRES_PER_METRE)]
        fitting = [other for other in others if _is_on_plate(other, half_m)]
        chosen = fitting[0] if fitting else chosen
        warnings.append(
            f"{source}: the centre of pressure lies off force {name} in the unit that the file gives for moments; "
            + ("it was read in the unit in which it lies on it." if fitting else "the plate's parameters may be wrong.")
        )
    force_n, point_m, moment_nm = chosen
    turn = rotation @ axes
    force, torque = turn @ force_n, turn @ np.stack([np.zeros_like(moment_nm), np.zeros_like(moment_nm), moment_nm])
    point = (turn @ point_m).T + rotation @ centre_m
    # Some files hold what the foot does to the plate, others what the plate does to the foot: the ground pushes up.
    sign = -1.0 if force[1].sum() < 0 else 1.0
    force, torque = sign * force.T, sign * torque.T
    is_loaded = force[:, 1] > CONTACT_FORCE_N
    point = np.where(is_loaded[:, None], point, rotation @ centre_m)
    torque = np.where(is_loaded[:, None], torque, 0.0)
    return Plate(name, None, time_s, force, point, torque)


def _axes(corners_m: np.ndarray, *, name: str, source: str) -> np.ndarray:
    """The plate's own axes in the laboratory's, as columns; z points down, (3, 3)."""
    x, y = corners_m[0] - corners_m[1], corners_m[0] - corners_m[3]
    z = np.cross(x, y)
    if not np.isfinite(z).all() or np.linalg.norm(z) < 1e-4:
        raise InputFileError(
            f"{source}: the corners of force {name} are {corners_m.round(4).tolist()} m, which is no plate. "
            "Correct FORCE_PLATFORM:CORNERS, or export without plates."
        )
    axes = np.stack([x, np.cross(z, x), z], axis=1)
    return np.asarray(axes / np.linalg.norm(axes, axis=0))


def _averaged(channels: np.ndarray, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over as many samples as bring the rate to the highest that is of use."""
    if len(time_s) < 2:
        return channels, time_s
    rate_hz = (len(time_s) - 1) / float(time_s[-1] - time_s[0])
    size = max(1, int(np.ceil(rate_hz / FASTEST_HZ - 1e-6)))
    num = len(time_s) // size
    if size == 1 or num < 2:
        return channels, time_s
    return (
        channels[:, : num * size].reshape(len(channels), num, size).mean(axis=2),
        time_s[: num * size].reshape(num, size).mean(axis=1),
    )


def _vertical(channels: np.ndarray, kind: int) -> np.ndarray:
    return np.asarray(channels[4:8].sum(axis=0) if kind == EIGHT_SENSORS else channels[2])


def _without_offset(channels: np.ndarray, kind: int, time_s: np.ndarray) -> tuple[np.ndarray, float]:
    """Channels less what they show while nobody is on the plate, and that force along the vertical."""
    vertical_n = _vertical(channels, kind)
    least = UNLOADED_S * (len(time_s) - 1) / max(float(time_s[-1] - time_s[0]), 1e-9)
    is_unloaded = np.zeros(len(time_s), dtype=bool)
    for start, end in intervals(np.abs(vertical_n) < UNLOADED_N):
        is_unloaded[start:end] = end - start >= least
    if not is_unloaded.any():
        return channels, 0.0
    offset = np.median(channels[:, is_unloaded], axis=1, keepdims=True)
    if kind == CENTRE_OF_PRESSURE:
        offset[3:] = 0.0  # places have no offset
    return channels - offset, float(_vertical(offset, kind)[0])


def _metres_of(raw: RawPlate, metres_per_unit: float) -> float:
    """The length in the unit of the moments (type 1: of the centre of pressure), in metres."""
    unit = raw.units[3].lower() if len(raw.units) > 3 else ""
    letters = "".join(letter for letter in unit if letter.isalpha())
    if letters in ("nmm", "mm"):
        return 1 / MILLIMETRES_PER_METRE
    return 1.0 if letters in ("nm", "m") else metres_per_unit


def _arms(raw: RawPlate, metres_per_unit: float) -> np.ndarray:
    """From the sensors' origin to the middle of the surface in the plate's axes, where z points down, m, (3,)."""
    origin_m = raw.origin * metres_per_unit
    if raw.kind == EIGHT_SENSORS:  # the first two are distances between sensors
        return np.array([origin_m[0], origin_m[1], -abs(origin_m[2])])
    # The surface is above the sensors; a file that says otherwise gives the way back.
    return np.asarray(-origin_m if origin_m[2] > 0 else origin_m)


def _wrench(
    kind: int, channels: np.ndarray, arm_m: np.ndarray, metres_of_moment: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Force (3, N), centre of pressure from the middle of the surface (3, N), moment about the vertical there (N,)."""
    if kind == CENTRE_OF_PRESSURE:
        force = channels[:3]
        point = np.stack([channels[3], channels[4], np.zeros_like(channels[3])]) * metres_of_moment
        # The one unit of places and moments: a file in millimetres has newton millimetres.
        return force, point, channels[5] * metres_of_moment
    if kind == EIGHT_SENSORS:
        x12, x34, y14, y23, z1, z2, z3, z4 = channels
        force = np.stack([x12 + x34, y14 + y23, z1 + z2 + z3 + z4])
        moment = np.stack(
            [
                arm_m[1] * (z1 + z2 - z3 - z4),
                arm_m[0] * (-z1 + z2 + z3 - z4),
                arm_m[1] * (-x12 + x34) + arm_m[0] * (y14 - y23),
            ]
        )
        arm_m = np.array([0.0, 0.0, arm_m[2]])
    else:
        force, moment = channels[:3], channels[3:6] * metres_of_moment
    moment = moment + np.cross(force, arm_m[:, None], axis=0)
    is_pressed = np.abs(force[2]) > CONTACT_FORCE_N / 2
    vertical = np.where(is_pressed, force[2], np.inf)
    point = np.stack([-moment[1] / vertical, moment[0] / vertical, np.zeros_like(vertical)])
    free = moment[2] - (point[0] * force[1] - point[1] * force[0])
    return force, point, free


def _is_on_plate(wrench: tuple[np.ndarray, np.ndarray, np.ndarray], half_m: np.ndarray) -> bool:
    """Whether the centre of pressure is, in the median over loaded samples; true where nothing is loaded."""
    force, point, _ = wrench
    is_loaded = np.abs(force[2]) > UNLOADED_N
    if not is_loaded.any():
        return True
    middle = np.abs(np.median(point[:2, is_loaded], axis=1))
    is_somewhere = bool(np.ptp(point[:2, is_loaded]) > 1e-3)  # a foot does not stand on a point
    return bool((middle < half_m + EDGE_M).all()) and is_somewhere
