"""What commands that answer with a table share: options that are read alike, and printing. Only light imports."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

MOST_AMOUNTS = 20
FASTEST_BELT_M_S = 15.0


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


def progress_bar() -> Any:
    """On stderr, and only on a terminal."""
    from rich.progress import Progress

    bars = console(stderr=True)
    return Progress(console=bars, transient=True, disable=not bars.is_terminal)
