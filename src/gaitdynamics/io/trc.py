"""Marker files of Motion Analysis and OpenSim (.trc)."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.file_kinds import FileKind, kind_of, wrong_slot
from gaitdynamics.io.table import read_text, shortened
from gaitdynamics.types.markers import Markers
from gaitdynamics.units import MILLIMETRES_PER_METRE

FIRST_COLUMNS = 2  # number and time of the frame
EVEN_TIME_SHARE = 0.6  # of a frame: times that are rounded by less are those of an even rate
DECIMALS = 5  # of millimetres


@dataclass(frozen=True)
class RawMarkers:
    """Markers as a file has them.

    Args:
        time_s: strictly increasing, (T,).
        names: all different.
        position: in the file's unit and axes, NaN where missing, (T, M, 3).
        unit: as the file calls it; empty where it does not say.
    """

    time_s: np.ndarray
    names: tuple[str, ...]
    position: np.ndarray
    unit: str


def read_trc(path: Path) -> RawMarkers:
    """Read a .trc file; what its header says about numbers of rows and markers is not believed.

    Empty cells and markers exactly at the origin were not seen.

    Raises:
        InputFileError: not such a file; the message names the line.
    """
    text = read_text(path)
    if (kind := kind_of(path)) is not FileKind.MARKERS:
        if kind is not FileKind.UNKNOWN:
            raise InputFileError(wrong_slot(path, expected="marker trajectories (.trc, .c3d)"))
        raise InputFileError(
            f"{path}: does not begin with 'PathFileType', so this is no marker file (.trc), or its header is cut off. "
            "Export it again."
        )
    lines = text.split("\n")
    label_line = next((k for k, line in enumerate(lines) if line.strip().lower().startswith("frame#")), None)
    if label_line is None:
        raise InputFileError(
            f"{path}: no line 'Frame#  Time  …' with the names of the markers in {len(lines)} lines. Export it again."
        )
    header = _header(lines[:label_line])
    names = _names(lines[label_line], path, label_line + 1)
    rows = [(k, line) for k, line in enumerate(lines[label_line + 1 :], label_line + 2) if line.strip()]
    if rows and rows[0][1].split()[0].lower() in ("x1", "x"):
        rows = rows[1:]
    if len(rows) < 2:
        raise InputFileError(f"{path}: {len(rows)} frames. Expected a recording of at least two; export it again.")
    numbers = np.array([_row(line, number, len(names), path) for number, line in rows])
    position = numbers[:, FIRST_COLUMNS:].reshape(len(rows), len(names), 3)
    position[(position == 0).all(axis=2)] = np.nan
    time_s = _even_times(numbers[:, 1], header.get("datarate", ""))
    _check_time(time_s, [number for number, _ in rows], path)
    return RawMarkers(time_s, names, position, header.get("units", ""))


def format_trc(markers: Markers, *, name: str) -> str:
    """Text of a .trc file in millimetres, y up; missing places are empty cells.

    Args:
        markers: `read_trc` is the inverse.
        name: of the file, for its header.
    """
    num_frames, num_markers = len(markers.time_s), len(markers.names)
    rate = f"{markers.sampling_rate_hz:.6f}"
    header = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{num_frames}\t{num_markers}\tmm\t{rate}\t1\t{num_frames}",
        "Frame#\tTime\t" + "\t\t\t".join(markers.names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{k}" for k in range(1, num_markers + 1) for axis in "XYZ"),
        "",
    ]
    flat_mm = (markers.position_m * MILLIMETRES_PER_METRE).reshape(num_frames, -1)
    rows = [
        "\t".join([str(k), f"{time:.8f}", *(f"{value:.{DECIMALS}f}" if np.isfinite(value) else "" for value in row)])
        for k, (time, row) in enumerate(zip(markers.time_s.tolist(), flat_mm.tolist(), strict=True), 1)
    ]
    return "\n".join([*header, *rows]) + "\n"


def _header(lines: list[str]) -> dict[str, str]:
    """Keys of one line, their values in the next."""
    for keys, values in pairwise(lines):
        if keys.strip().lower().startswith("datarate"):
            return dict(zip(keys.lower().split(), values.split(), strict=False))
    return {}


def _names(line: str, path: Path, number: int) -> tuple[str, ...]:
    cells = line.split("\t") if "\t" in line else line.split()
    names = tuple(name for cell in cells[FIRST_COLUMNS:] if (name := cell.strip()))
    if not names:
        raise InputFileError(
            f"{path}, line {number}: names no markers. Expected their names after 'Frame#' and 'Time'."
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputFileError(
            f"{path}, line {number}: more than one marker is called {shortened(repeated)}. Rename all but one."
        )
    return names


def _row(line: str, number: int, num_markers: int, path: Path) -> list[float]:
    width = FIRST_COLUMNS + 3 * num_markers
    cells = line.split("\t") if "\t" in line else line.split()
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    if len(cells) > width:
        raise InputFileError(
            f"{path}, line {number}: {len(cells)} values for {num_markers} markers; expected {width} with the frame's "
            "number and time. Names and columns do not fit: export it again."
        )
    values = []
    for cell in cells:
        try:
            values.append(float(cell) if cell.strip() else np.nan)
        except ValueError:
            raise InputFileError(
                f"{path}, line {number}: '{cell.strip()[:40]}' is not a number. Repair the line, or export it again."
            ) from None
    return values + [np.nan] * (width - len(values))


def _even_times(time_s: np.ndarray, rate: str) -> np.ndarray:
    """Times without the rounding of the file, where they are of the rate that its header gives."""
    try:
        rate_hz = float(rate)
    except ValueError:
        return time_s
    if not (np.isfinite(rate_hz) and rate_hz > 0 and np.isfinite(time_s).all()):
        return time_s
    even_s = time_s[0] + np.arange(len(time_s)) / rate_hz
    return even_s if np.abs(even_s - time_s).max() < EVEN_TIME_SHARE / rate_hz else time_s


def _check_time(time_s: np.ndarray, line_numbers: list[int], path: Path) -> None:
    faulty = np.flatnonzero(~np.isfinite(time_s))
    if faulty.size:
        raise InputFileError(
            f"{path}, line {line_numbers[faulty[0]]}: the frame has no time. Repair the line, or export it again."
        )
    faulty = np.flatnonzero(np.diff(time_s) <= 0)
    if faulty.size:
        row = int(faulty[0]) + 1
        raise InputFileError(
            f"{path}, line {line_numbers[row]}: time goes from {time_s[row - 1]:.10g} to {time_s[row]:.10g} s; it must "
            "increase from frame to frame. Export it again."
        )
