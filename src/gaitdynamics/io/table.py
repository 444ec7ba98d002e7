"""OpenSim's tables (.mot, .sto), as OpenSim and laboratories write them."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaitdynamics.errors import InputFileError

TIME_LABELS = ("time", "t")  # in any case; the first that occurs
TIME_DECIMALS = 8  # no two rows coincide below 100 MHz

_END_OF_HEADER = re.compile(r"^[ \t]*end[ _]?header[ \t,]*$", re.IGNORECASE | re.MULTILINE)
_KEY_AND_VALUE = re.compile(r"^\s*(\w+)\s*=\s*(.*?)\s*$")
# What C libraries, MATLAB and spreadsheets write for a number that is missing.
_MISSING = re.compile(r"([+-]?(nan(\([\w ]*\))?|1\.#(qnan|snan|ind)\d*|n/a))?", re.IGNORECASE)
_INFINITE = re.compile(r"([+-]?)1\.#inf\d*", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Named columns over time.

    Args:
        labels: the columns' names as in the file, without time.
        time_s: strictly increasing, (T,).
        values: in the file's own units, NaN where the file has nothing, (T, C).
        header: what the header says, keys in lower case.
        source: the file.
    """

    labels: tuple[str, ...]
    time_s: np.ndarray
    values: np.ndarray
    header: dict[str, str]
    source: Path

    def column(self, label: str) -> np.ndarray:
        """The values of one column, (T,).

        Raises:
            InputFileError: the table has no such column.
        """
        if label not in self.labels:
            close = difflib.get_close_matches(label, self.labels, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"It has {shortened(self.labels)}."
            raise InputFileError(f"{self.source}: no column '{label}'. {hint}")
        return self.values[:, self.labels.index(label)]


def shortened(names: Sequence[str], *, limit: int = 6) -> str:
    """The first few names of a list, and how many more there are."""
    listed = ", ".join(f"'{name}'" for name in names[:limit])
    return listed + (f" and {len(names) - limit} more" if len(names) > limit else "")


def read_text(path: str | Path) -> str:
    """Text of a file that somebody else wrote: UTF-8, with or without a mark, else Latin-1; lines end in LF.

    Raises:
        InputFileError: no such file, a folder, not readable, empty, or binary.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputFileError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except IsADirectoryError:
        raise InputFileError(f"{path}: this is a folder, not a file. Give the file inside it.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputFileError(f"{path}: can't be read ({why}).") from None
    if not content.strip():
        raise InputFileError(f"{path}: the file is empty, not an OpenSim file. Export it again.")
    if b"\0" in content:
        raise InputFileError(
            f"{path}: a binary file (or UTF-16 text), not an OpenSim file, which is plain text. "
            "Export it from OpenSim, or save it as UTF-8 text."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(path: str | Path) -> Table:
    """Read a .mot or .sto file.

    The numbers of rows and columns that the header claims are not believed; empty cells between tabs are
    missing values.

    Args:
        path: the file; columns are separated by tabs or blanks.

    Returns:
        The table, values as in the file.

    Raises:
        InputFileError: the file is missing or no table: the message names the line.
    """
    path = Path(path)
    text = read_text(path)
    end = _END_OF_HEADER.search(text)
    if end is None and text.lstrip().startswith("<"):
        raise InputFileError(
            f"{path}: an XML document, such as a model, not a table. Expected an OpenSim motion (.mot, .sto). "
            "Check that no files are swapped."
        )
    if end is None:
        raise InputFileError(
            f"{path}: no line 'endheader' in {text.count(chr(10)) + 1} lines, so this is no OpenSim file, "
            "or its header is cut off. Expected: header, 'endheader', a line of labels, rows of numbers. "
            "Export it again, as .mot or .sto."
        )
    header = _header(text[: end.start()])
    if header.get("datatype", "double").lower() != "double":
        raise InputFileError(
            f"{path}: the header says DataType={header['datatype']}. Expected one number in each cell "
            "(double); write the components as columns of their own (flatten() of OpenSim's tables)."
        )
    # Not str.splitlines, which also splits at form feeds and such, and would miscount the lines.
    lines = text[end.end() :].split("\n")[1:]
    line_of_first = text.count("\n", 0, end.end()) + 2
    filled = [index for index, line in enumerate(lines) if line.strip()]
    if not filled:
        raise InputFileError(f"{path}: nothing follows 'endheader'. Expected a line of labels and rows of numbers.")
    rows = [lines[index] for index in filled[1:]]
    row_lines = [line_of_first + index for index in filled[1:]]
    label_line = line_of_first + filled[0]
    if not rows:
        raise InputFileError(f"{path}: no rows of numbers after the labels in line {label_line}. Export it again.")

    labels = _labels(lines[filled[0]], rows[0])
    time_column = _time_column(labels, path, label_line)
    repeated = [label for label, count in Counter(labels).items() if count > 1]
    if repeated:
        raise InputFileError(
            f"{path}, line {label_line}: more than one column is called {shortened(repeated)}. "
            "Rename or remove all but one."
        )
    numbers = _numbers(rows, row_lines, labels, path)
    time_s = numbers[:, time_column]
    _check_time(time_s, row_lines, path)
    return Table(
        labels=tuple(label for index, label in enumerate(labels) if index != time_column),
        time_s=time_s.copy(),
        values=np.delete(numbers, time_column, axis=1),
        header=header,
        source=path,
    )


def format_table(
    name: str,
    labels: Sequence[str],
    values: np.ndarray,
    *,
    time_s: np.ndarray,
    in_degrees: bool | None,
    decimals: int | None,
) -> str:
    """Text of a .mot or .sto file that OpenSim 4 reads.

    Args:
        name: first line of the header.
        labels: C names, without time.
        values: (T, C), in the units that the file shall have.
        time_s: (T,).
        in_degrees: what the header says about rotations; None where the table has none.
        decimals: digits after the point; None for the fewest digits from which the very same numbers, and times, are
            read again.

    Returns:
        The text, tab-separated; `read_table` is its inverse.
    """
    header = [
        " ".join(name.split()) or "table",
        "version=1",
        f"nRows={len(time_s)}",
        f"nColumns={len(labels) + 1}",
    ]
    if in_degrees is not None:
        header.append(f"inDegrees={'yes' if in_degrees else 'no'}")
    header += ["endheader", "\t".join(("time", *labels))]
    if decimals is None:
        rows = ["\t".join(map(repr, row)) for row in np.column_stack([time_s, values]).tolist()]
        return "\n".join([*header, *rows]) + "\n"
    row_format = "\t".join([f"%.{TIME_DECIMALS}f"] + [f"%.{decimals}f"] * len(labels))
    rounded = np.round(values, decimals) + 0.0  # no negative zeros
    rows = [row_format % (time, *row) for time, row in zip(time_s.tolist(), rounded.tolist(), strict=True)]
    return "\n".join([*header, *rows]) + "\n"


def _header(text: str) -> dict[str, str]:
    """Keys and values of the lines above `endheader`; `key=value` outranks `key value`, often free text."""
    header: dict[str, str] = {}
    for line in text.split("\n"):
        key, *rest = line.split(maxsplit=1)[:2] or [""]
        if rest and "=" not in line:
            header.setdefault(key.lower(), rest[0].strip())
    for line in text.split("\n"):
        if match := _KEY_AND_VALUE.match(line):
            header[match[1].lower()] = match[2]
    return header


def _labels(line: str, first_row: str) -> list[str]:
    """Labels between tabs (they may contain blanks) or, where that does not fit the numbers, blanks."""
    if "\t" not in line:
        return line.split()
    between_tabs = [label.strip() for label in line.strip().split("\t")]
    between_blanks = line.split()
    fits_blanks = len(between_blanks) == len(first_row.split()) != len(between_tabs)
    return between_blanks if fits_blanks else between_tabs


def _time_column(labels: list[str], path: Path, label_line: int) -> int:
    lowered = [label.lower() for label in labels]
    for name in TIME_LABELS:
        if name in lowered:
            return lowered.index(name)
    raise InputFileError(
        f"{path}, line {label_line}: no column 'time' among {shortened(labels)}. "
        "The line after 'endheader' must name the columns, one of them 'time'."
    )


def _numbers(rows: list[str], row_lines: list[int], labels: list[str], path: Path) -> np.ndarray:
    """The block of numbers, (T, number of labels)."""
    try:
        numbers = np.loadtxt(rows, comments=None, ndmin=2, dtype=np.float64)
    except ValueError:
        pass  # missing or faulty cells: line by line finds out which
    else:
        if numbers.shape[1] == len(labels):
            return numbers
    return np.array(
        [_row(row, line, labels, path) for row, line in zip(rows, row_lines, strict=True)], dtype=np.float64
    )


def _row(row: str, line: int, labels: list[str], path: Path) -> list[float]:
    """Numbers of one line of the file."""
    cells = [cell.strip() for cell in row.split("\t")]
    while len(cells) > len(labels) and not cells[-1]:
        cells.pop()
    if len(cells) != len(labels):
        cells = row.split()
    if len(cells) != len(labels):
        raise InputFileError(
            f"{path}, line {line}: {len(cells)} values for {len(labels)} columns. "
            "The file may be cut off or edited by hand; export it again, or repair the line."
        )
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return [_number(cell, line, label, path) for cell, label in zip(cells, labels, strict=True)]


def _number(cell: str, line: int, label: str, path: Path) -> float:
    try:
        return float(cell)
    except ValueError:
        if _MISSING.fullmatch(cell):
            return float("nan")
        if match := _INFINITE.fullmatch(cell):
            return float(match[1] + "inf")
    hint = "Write it with a decimal point." if "," in cell else "Repair the line, or export the file again."
    raise InputFileError(f"{path}, line {line}, column '{label}': '{cell}' is not a number. {hint}")


def _check_time(time_s: np.ndarray, row_lines: list[int], path: Path) -> None:
    faulty = np.flatnonzero(~np.isfinite(time_s))
    if faulty.size:
        row = int(faulty[0])
        raise InputFileError(
            f"{path}, line {row_lines[row]}: the time of row {row + 1} is {time_s[row]}. "
            "Every row needs a time; remove the row, or export the file again."
        )
    faulty = np.flatnonzero(np.diff(time_s) <= 0)
    if faulty.size:
        row = int(faulty[0]) + 1
        raise InputFileError(
            f"{path}, line {row_lines[row]}: time goes from {time_s[row - 1]:.10g} s in row {row} to "
            f"{time_s[row]:.10g} s in row {row + 1}; it must increase from row to row. "
            "Remove repeated rows, and write times with enough digits."
        )
