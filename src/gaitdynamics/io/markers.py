"""Marker recordings (.trc, .c3d) in OpenSim's axes and metres, with the forces of plates where there are any."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.c3d import RawRecording, read_c3d
from gaitdynamics.io.file_kinds import FileKind, kind_of, wrong_slot
from gaitdynamics.io.force_plates import measured_plates
from gaitdynamics.io.forces import Plate
from gaitdynamics.io.laboratory_axes import Upward, find_upward, forward_rotation
from gaitdynamics.io.table import shortened
from gaitdynamics.io.trc import RawMarkers, read_trc
from gaitdynamics.types.markers import Markers

METRES_OF_UNIT = {"m": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001, "millimeters": 0.001}
BODY_RANGE_M = (0.3, 3.0)  # the largest extent of a person's markers: from legs alone to stretched arms
FULL_SHARE = 0.5  # of the markers; a frame with more shows enough of a body to tell its size
USUAL_UP_OF_TRC = "y"


@dataclass(frozen=True)
class MarkerRecording:
    """Markers and measured forces of one recording.

    Args:
        markers: in the ground frame: y up; x and z as the laboratory has them, turned with it.
        plates: force plates, in the same frame; none where the file has none.
        upward: the direction of the file's axes that is up.
        warnings: for the user.
    """

    markers: Markers
    plates: tuple[Plate, ...]
    upward: Upward
    warnings: tuple[str, ...]


def read_markers(path: str | Path, *, up: str | None = None) -> MarkerRecording:
    """Read markers, and force plates where there are any.

    The axes are turned by a quarter or half turn, so that the laboratory's vertical becomes y: an axis z that points
    up becomes y, x stays x, and y becomes −z. Where a person walks to stays as it is; `walking_forward` turns it.

    Args:
        path: .trc or .c3d.
        up: the direction that is up, such as 'z' or '-y'; None to find out.

    Raises:
        InputFileError: the file can't be read, holds no markers, or is something else.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind is FileKind.C3D or (kind in (FileKind.UNKNOWN, FileKind.MISSING) and path.suffix.lower() == ".c3d"):
        recording = read_c3d(path)
    elif kind in (FileKind.MARKERS, FileKind.UNKNOWN, FileKind.MISSING):
        recording = RawRecording(read_trc(path), (), np.zeros(0), None, ())
    else:
        raise InputFileError(wrong_slot(path, expected="marker trajectories (.trc, .c3d)"))
    raw = recording.markers
    _check_markers(recording, path)
    factor, told = _metres_per_unit(raw, path)
    warnings = [*recording.warnings, *told]
    position_m = raw.position * factor
    usual = recording.screen_up if kind is FileKind.C3D else USUAL_UP_OF_TRC
    if up is None:
        corners_m = [plate.corners * factor for plate in recording.plates]
        upward = find_upward(position_m, plate_corners_m=corners_m, stated=usual)
    else:
        upward = Upward(up, "what was asked for")
    if not upward.is_certain:
        warnings.append(
            f"{path.name}: which direction is up is not clear; '{upward.direction}' was taken, from "
            f"{upward.told_by}. Give --up if that is wrong."
        )
    measured = measured_plates(
        recording.plates,
        recording.plate_time_s,
        metres_per_unit=factor,
        rotation=upward.rotation,
        source=path.name,
    )
    markers = Markers(raw.time_s, raw.names, position_m @ upward.rotation.T)
    return MarkerRecording(markers, measured.plates, upward, (*warnings, *measured.warnings))


def walking_forward(recording: MarkerRecording, *, source: str) -> MarkerRecording:
    """The recording turned about the vertical, so that the person walks along +x.

    Args:
        source: the file, for messages.

    Raises:
        InvalidMotionError: the person stays in one place.
    """
    markers = recording.markers
    rotation = forward_rotation(markers.position_m, source=source)
    plates = tuple(
        replace(
            plate,
            force_n=plate.force_n @ rotation.T,
            point_m=plate.point_m @ rotation.T,
            torque_nm=plate.torque_nm @ rotation.T,
        )
        for plate in recording.plates
    )
    return replace(recording, markers=replace(markers, position_m=markers.position_m @ rotation.T), plates=plates)


def _check_markers(recording: RawRecording, path: Path) -> None:
    if recording.markers.names and np.isfinite(recording.markers.position).all(axis=2).any():
        return
    plates = len(recording.plates)
    also = f" It has {plates} force plates." if plates else " It has no force plates either."
    raise InputFileError(
        f"{path}: holds no markers: no point in it has a name and is seen.{also} Expected a recording of a person with "
        "markers; label them, and export it again."
    )


def _metres_per_unit(raw: RawMarkers, path: Path) -> tuple[float, tuple[str, ...]]:
    """What the file says, unless a person of that size can't be, and one of another unit can."""
    stated = METRES_OF_UNIT.get(raw.unit.lower())
    extent = _extent(raw.position)
    low, high = BODY_RANGE_M
    fitting = [factor for factor in (1.0, 0.01, 0.001) if low <= extent * factor <= high]
    name = {factor: unit for unit, factor in METRES_OF_UNIT.items() if len(unit) <= 2}
    if stated is not None and (stated in fitting or not fitting):
        return stated, ()
    if not fitting:
        raise InputFileError(
            f"{path}: the markers {shortened(raw.names)} are {extent:.4g} apart, and the file does not say in which "
            "unit. Expected a person's markers in mm, cm or m, and a line that says so."
        )
    said = f"says '{raw.unit}', in which nobody is {extent:.4g} tall" if raw.unit else "does not name its unit"
    return fitting[0], (f"{path.name}: the file {said}; places were read as {name[fitting[0]]}.",)


def _extent(position: np.ndarray) -> float:
    """The largest extent of the markers of a frame along an axis, in most frames that show a body."""
    num_seen = np.isfinite(position).all(axis=2).sum(axis=1)
    shown = position[num_seen > FULL_SHARE * num_seen.max()]
    extent = np.nanmax(shown, axis=1) - np.nanmin(shown, axis=1)
    return float(np.median(extent.max(axis=1)))
