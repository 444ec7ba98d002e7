"""The losses of a run: a table that grows, and its plot."""

import csv
import io
from dataclasses import astuple, dataclass, fields
from importlib.util import find_spec
from pathlib import Path

from gaitdynamics.io.files import write_files


@dataclass(frozen=True)
class Progress:
    """One step of training.

    Args:
        step: number of updates done, this one included.
        loss: mean over the step's windows, before the update.
        validation_loss: mean over the people held out, with averaged weights; None where it was not measured.
        learning_rate: of the update.
        windows_per_s: read and learnt from, over all processes.
    """

    step: int
    loss: float
    validation_loss: float | None
    learning_rate: float
    windows_per_s: float


COLUMNS = tuple(field.name for field in fields(Progress))


class LossTable:
    """`losses.csv`, a row per step; rows reach the disk as they come.

    Args:
        path: of the table.
        last_step: rows after it, left by a run that was stopped between checkpoints, are dropped.
    """

    def __init__(self, path: Path, *, last_step: int) -> None:
        kept = [row for row in read_losses(path) if row.step <= last_step] if last_step else []
        write_files({path: _lines([COLUMNS, *map(astuple, kept)])}, overwrite=True)
        self._file = path.open("a", encoding="utf-8", newline="")

    def add(self, row: Progress) -> None:
        """Append a step."""
        self._file.write(_lines([astuple(row)]))
        self._file.flush()

    def close(self) -> None:
        """No more rows."""
        self._file.close()


def read_losses(path: Path) -> list[Progress]:
    """The rows of `losses.csv`; none where the file is missing, and those before the first that is cut off."""
    rows: list[Progress] = []
    if not path.is_file():
        return rows
    with path.open(encoding="utf-8", newline="") as file:
        for cells in list(csv.reader(file))[1:]:
            try:
                step, loss, validation, rate, speed = cells
                measured = float(validation) if validation else None
                rows.append(Progress(int(step), float(loss), measured, float(rate), float(speed)))
            except ValueError:
                break
    return rows


def plot_losses(table: Path, picture: Path, *, title: str) -> None:
    """Draw a table of losses; without matplotlib, do nothing.

    Args:
        table: the CSV file.
        picture: the PNG file to write, or replace.
    """
    rows = read_losses(table)
    if not rows or find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    scale = "log" if min(row.loss for row in rows) > 0.0 else "linear"
    axes = figure.add_subplot(xlabel="step", ylabel="loss", title=title, yscale=scale)
    axes.plot([row.step for row in rows], [row.loss for row in rows], linewidth=0.8, label="training")
    measured = [(row.step, row.validation_loss) for row in rows if row.validation_loss is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), marker="o", markersize=3, label="people held out")
    axes.legend(frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    write_files({picture: drawn.getvalue()}, overwrite=True)


def _lines(rows: list[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
