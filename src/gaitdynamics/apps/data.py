"""`gaitdynamics data`: build a data folder, and say what is in one. Only light imports here, as in `cli`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaitdynamics.apps.terminal import console, progress_bar, say

if TYPE_CHECKING:
    from rich.table import Table

SEX_LETTERS = {"female": "f", "male": "m", "unknown": "?"}
LONGEST_REASON = 160  # on the screen; report.md has the whole one

app = typer.Typer(help="Data to train on.", no_args_is_help=True)

DataFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A data folder.")]


@app.command()
def build(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Study folders, .b3d files, or folders of .b3d files.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The data folder to write.")],
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes on this machine; one a core if not given.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
    ] = None,
    as_measured: Annotated[
        bool, typer.Option("--as-measured", help="Leave lags and scales of laboratories as they are.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a data folder that exists already.")] = False,
) -> None:
    """Write recordings as data to train on, and report what was kept, left out and corrected.

    Started again after an interruption, it goes on where it stopped.
    """
    from gaitdynamics.training.build import Encoding
    from gaitdynamics.training.build import build as build_folder
    from gaitdynamics.training.examples import BLOCKS, NUM_VARIANTS, encode_recording
    from gaitdynamics.training.info import report_of

    with progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        index = build_folder(
            sources,
            out,
            encoding=Encoding(BLOCKS, encode_recording, NUM_VARIANTS),
            workers=workers or _num_cores(),
            dask_address=dask,
            as_measured=as_measured,
            overwrite=overwrite,
            report=report,
        )
    _print_report(report_of(index))
    say(f"{out / 'report.md'} says the same; 'gaitdynamics data info {out}' says who is in it.")


@app.command()
def info(folder: DataFolder) -> None:
    """Show people, hours, speeds, sexes, ages and conditions of a data folder."""
    from gaitdynamics.training.info import describe, read_index

    rows = describe(read_index(folder))
    for split in sorted({row["split"] for row in rows}):
        table = _table(
            [
                {
                    "dataset": row["dataset"],
                    "people": str(row["people"]),
                    "hours": f"{row['hours']:.3f}",
                    "m/s": _span(row["speed_m_s"], 1),
                    "sex": _listed({SEX_LETTERS.get(sex, sex): count for sex, count in row["sexes"].items()}),
                    "age": _span(row["age_years"], 0),
                    "recordings": _listed(row["conditions"]),
                }
                for row in rows
                if row["split"] == split
            ],
            title=split,
            has_total=True,
        )
        console().print(table)
    say("Hours are of valid force; altered copies are not counted.")


def _print_report(report: dict[str, Any]) -> None:
    from gaitdynamics.training.info import (
        excluded_rows,
        kept_rows,
        laboratory_note,
        laboratory_rows,
        removed_rows,
    )

    screen = console()
    screen.print(_table(kept_rows(report), title="Kept, minutes of valid force"))
    if report["removed"]:
        screen.print(_table(removed_rows(report), title="Taken out of recordings that were kept"))
    if report["excluded"]:
        shown = [row | {"reason": _shortened(row["reason"])} for row in excluded_rows(report)]
        screen.print(_table(shown, title="Recordings left out"))
    for row in report["excluded_variants"]:
        say(f"{row['copies']} altered copies left out: {_shortened(row['reason'])}")
    screen.print(_table(laboratory_rows(report), title="Laboratories"))
    say(laboratory_note(report))


def _table(rows: Sequence[dict[str, str]], *, title: str, has_total: bool = False) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE, padding=(0, 1, 0, 0))
    for head in rows[0]:
        table.add_column(head, no_wrap=head == "dataset", min_width=len(head), overflow="fold")
    for number, row in enumerate(rows):
        if has_total and number == len(rows) - 1:
            table.add_section()
        table.add_row(*(Text(cell) for cell in row.values()))
    return table


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _span(values: list[float] | None, digits: int) -> str:
    if values is None:
        return "–"
    low, high = (f"{value:.{digits}f}" for value in values)
    return low if low == high else f"{low}–{high}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
