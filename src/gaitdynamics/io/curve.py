"""Curves of one coordinate over the gait cycle or over time: .csv, .mot or .sto."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaitdynamics.errors import InputFileError, NonFiniteValueError
from gaitdynamics.io.table import TIME_LABELS, read_text, shortened
from gaitdynamics.units import DEGREES_PER_RADIAN

MIN_POINTS = 4  # fewer make no curve
LARGEST_GAP_PERCENT = 25.0  # of the cycle without a point; a gait's angles turn round three times in a stride
EXPECTED = "Expected a first line 'percent,value' or 'time,value' and rows of two numbers."

_END_OF_HEADER = re.compile(r"^[ \t]*end[ _]?header[ \t,]*$", re.IGNORECASE | re.MULTILINE)
_IN_RADIANS = re.compile(r"^\s*indegrees\s*=\s*no\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Curve:
    """Values of a coordinate.

    Args:
        position: percent of the gait cycle, 0 to 100, or time in s; increasing, (N,).
        values: radians or metres, (N,).
        is_over_cycle: whether positions are percent of the cycle.
    """

    position: np.ndarray
    values: np.ndarray
    is_over_cycle: bool

    @property
    def jump(self) -> float:
        """What the end of the cycle misses its start by; 0 where the file has not both."""
        has_both = self.is_over_cycle and self.position[-1] - self.position[0] == 100.0
        return float(self.values[-1] - self.values[0]) if has_both else 0.0

    def at_phase(self, phase: np.ndarray) -> np.ndarray:
        """Values at shares of the cycle (1.25 is a quarter into the second), by a periodic cubic spline.

        A jump from the end to the start is spread over the cycle.
        """
        from scipy.interpolate import CubicSpline  # slow to import

        if self.position[-1] - self.position[0] == 100.0:
            at, values = self.position, self.values - self.jump * (self.position / 100.0 - 0.5)
        else:
            at, values = np.append(self.position, self.position[0] + 100.0), np.append(self.values, self.values[0])
        values[-1] = values[0]
        return CubicSpline(at, values, bc_type="periodic")(at[0] + (100.0 * phase - at[0]) % 100.0)

    def at_time(self, time_s: np.ndarray) -> np.ndarray:
        """Values at times, by a cubic spline; NaN outside the curve's."""
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.position, self.values, extrapolate=False)(time_s)


def read_curve(path: str | Path, *, coordinate: str, is_rotational: bool) -> Curve:
    """Read a curve.

    Args:
        path: text with a line of labels (after `endheader`, if there is one) and rows of numbers, separated by commas,
            semicolons, tabs or blanks. Of several columns, the coordinate's is taken.
        coordinate: its name.
        is_rotational: values are degrees (unless a header says inDegrees=no), else metres.

    Raises:
        InputFileError: no such file, or no curve in it.
        NonFiniteValueError: a number is missing or infinite.
    """
    path = Path(path)
    text = read_text(path)
    if text.lstrip().startswith("<"):
        raise InputFileError(f"{path}: an XML document, not a curve. {EXPECTED}")
    header = _END_OF_HEADER.search(text)
    is_in_degrees = is_rotational and not (header and _IN_RADIANS.search(text[: header.start()]))
    first = text.count("\n", 0, header.end()) + 1 if header else 0
    lines = [(k + 1, line) for k, line in enumerate(text.split("\n")) if k >= first and line.strip()]
    if not lines:
        raise InputFileError(f"{path}: nothing follows the header. {EXPECTED}")
    separator = next((mark for mark in (";", "\t", ",") if mark in lines[0][1]), None)
    labels = _cells(lines[0][1], separator)
    where, which = _columns(labels, coordinate, path)
    numbers = np.array([_numbers(line, number, separator, labels, path) for number, line in lines[1:]])
    if len(numbers) < MIN_POINTS:
        raise InputFileError(f"{path}: {len(numbers)} row(s) of numbers; a curve needs at least {MIN_POINTS}.")
    position, values = numbers[:, where], numbers[:, which]
    is_over_cycle = labels[where].lower() not in TIME_LABELS
    _check_positions(position, path, is_over_cycle=is_over_cycle)
    return Curve(position, values / DEGREES_PER_RADIAN if is_in_degrees else values, is_over_cycle)


def _cells(line: str, separator: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in line.strip().split(separator)]


def _columns(labels: list[str], coordinate: str, path: Path) -> tuple[int, int]:
    """Number of the column of positions, and of the values."""
    lowered = [label.lower() for label in labels]
    where = next((k for k, s in enumerate(lowered) if s in TIME_LABELS or s.startswith("percent") or s == "%"), None)
    if where is None:
        raise InputFileError(f"{path}: no column 'percent' or 'time' among {shortened(labels)}. {EXPECTED}")
    others = [k for k in range(len(labels)) if k != where]
    named = [k for k in others if labels[k] == coordinate or lowered[k] == "value"]
    candidates = named or others
    if len(candidates) != 1:
        raise InputFileError(
            f"{path}: which of the columns {shortened(labels)} is the curve of '{coordinate}'? Name one of them so, or "
            "'value'."
        )
    return where, candidates[0]


def _numbers(line: str, number: int, separator: str | None, labels: list[str], path: Path) -> list[float]:
    cells = _cells(line.replace(",", ".") if separator in (";", "\t") else line, separator)
    if len(cells) != len(labels):
        raise InputFileError(f"{path}, line {number}: {len(cells)} values for {len(labels)} columns. {EXPECTED}")
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        raise InputFileError(f"{path}, line {number}: '{line.strip()}' is not all numbers. {EXPECTED}") from None
    if not np.isfinite(numbers).all():
        raise NonFiniteValueError(f"{path}, line {number}: '{line.strip()}' is not all finite. Fill or remove the row.")
    return numbers


def _check_positions(position: np.ndarray, path: Path, *, is_over_cycle: bool) -> None:
    what = "percent of the gait cycle" if is_over_cycle else "time"
    if (np.diff(position) <= 0).any():
        raise InputFileError(f"{path}: {what} must increase from row to row. Sort the rows, and remove repeated ones.")
    if not is_over_cycle:
        return
    first, last = float(position[0]), float(position[-1])
    hint = " Are they shares of 1?" if last <= 1.0 else ""
    if first < 0.0 or last > 100.0 or last <= 1.0:
        raise InputFileError(f"{path}: percent from {first:g} to {last:g}; expected 0 to 100.{hint}")
    gap = float(np.diff(np.append(position, first + 100.0)).max())
    if gap > LARGEST_GAP_PERCENT:
        raise InputFileError(
            f"{path}: {gap:g} % of the gait cycle without a point (0 to 100 is one cycle); expected at most "
            f"{LARGEST_GAP_PERCENT:g} %. Give the whole cycle."
        )
