"""What commands share: words that are read alike, progress, and printing. Only light imports."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gaitdynamics.errors import GaitDynamicsError

if TYPE_CHECKING:
    from rich.console import Console

    from gaitdynamics.apps.version_files import WrittenVersions

EXIT_SOME_FAILED = 1
MOST_AMOUNTS = 20
FASTEST_BELT_M_S = 15.0
NOTHING = "–"  # in the place of a number that there is none of


def belt_speed_m_s(text: str) -> float | None:
    """What `--belt-speed` means; None for 'auto'.

    Raises:
        typer.BadParameter: it is no speed.
    """
    if text.strip().lower() == "auto":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = float("nan")
    if not 0.0 <= speed <= FASTEST_BELT_M_S:
        raise typer.BadParameter(
            f"'{text}' is no treadmill speed; expected metres per second (0 to {FASTEST_BELT_M_S:g}), or auto.",
            param_hint="--belt-speed",
        )
    return speed


def amounts(text: str, *, option: str, what: str) -> tuple[float, ...]:
    """Numbers that a user separates by commas, each once.

    Args:
        text: as given.
        option: that it was given to.
        what: one of them is called.

    Raises:
        typer.BadParameter: one is no number, comes twice, or they are too many.
    """
    found: list[float] = []
    for part in (each.strip() for each in text.split(",")):
        try:
            value = float(part)
        except ValueError:
            value = float("nan")
        if not math.isfinite(value):
            raise typer.BadParameter(
                f"'{part}' is no {what}; expected numbers separated by commas, such as 1,1.5,2.", param_hint=option
            )
        if value in found:
            raise typer.BadParameter(f"the {what} {value:g} is given twice. Give each once.", param_hint=option)
        found.append(value)
    if len(found) > MOST_AMOUNTS:
        raise typer.BadParameter(
            f"{len(found)} are more than {MOST_AMOUNTS}, which a plot can still show. Run the command several times.",
            param_hint=option,
        )
    return tuple(found)


def number(value: float | None, digits: int) -> str:
    """A number of a table."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def message_of(error: Exception) -> str:
    """What a user is told of an error."""
    if isinstance(error, GaitDynamicsError):
        return str(error)
    return (
        f"Unexpected {type(error).__name__}: {error}. This is a fault of gaitdynamics, not yours: please report it "
        "with the command and, if you may, the files. GAITDYNAMICS_TRACEBACK=1 shows where it happened."
    )


def each_motion(verb: str, motions: list[Path], work: Callable[..., Any]) -> list[Any]:
    """Do something with each motion, and show how far it is.

    Args:
        verb: what is done.
        motions: of which a failure does not stop the others.
        work: takes a motion and `report`.

    Returns:
        What came of each: what `work` returns, or the exception. An unexpected one of a single motion is raised.
    """
    outcomes: list[Any] = []
    with progress_bar() as bar:
        task = bar.add_task(verb, total=len(motions), visible=len(motions) > 1)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=len(outcomes) + done / total, visible=True)

        for motion in motions:
            try:
                outcomes.append(work(motion, report=report))
            except Exception as error:
                if not isinstance(error, GaitDynamicsError) and len(motions) == 1:
                    raise
                outcomes.append(error)
            bar.update(task, completed=len(outcomes))
    return outcomes


def show_versions(written: "WrittenVersions", out: Path) -> None:
    """Print warnings and the table of versions of a gait, and say where their files are."""
    warn(written.summary["warnings"])
    screen = console()
    screen.print(written.table(width=screen.width))
    say(f"Results in {out.resolve()}; the plot is {written.paths[-1].name}")


def use_one_thread() -> None:
    """For many small operations: on busy cores, threads would wait for each other ten times as long as they work.

    Call it before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


def warn(warnings: Iterable[str]) -> None:
    """Print warnings on stderr, one a line."""
    for warning in warnings:
        say(f"Warning: {warning}", style="yellow", stderr=True)


def say(text: str, *, style: str | None = None, stderr: bool = False) -> None:
    """Print text as it is: names of files are no markup, and lines are for the terminal to break."""
    console(stderr=stderr).print(text, style=style, highlight=False, soft_wrap=True, markup=False)


def console(*, stderr: bool = False) -> "Console":
    """Where to print."""
    from rich.console import Console

    return Console(stderr=stderr)


@contextmanager
def reporting(verb: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, as the function that it is told by how much is done, of how much."""
    with progress_bar() as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def progress_bar() -> Any:
    """On stderr, and only on a terminal."""
    from rich.progress import Progress

    bars = console(stderr=True)
    return Progress(console=bars, transient=True, disable=not bars.is_terminal)
