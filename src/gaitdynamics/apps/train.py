"""`gaitdynamics train` and `finetune`: from data to weights. Only light imports at the top."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gaitdynamics.training.progress import Progress


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="What to train; an unknown name lists them.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data, from 'gaitdynamics data build'.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Checkpoint, losses and weights go here.")],
    seed: Annotated[int, typer.Option(min=0, help="Of initialisation, windows, augmentation, dropout.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Updates; the recipe's if not given.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="cpu|cuda|cuda:N", help="A GPU where there is one, if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin again, replacing the run in --out.")] = False,
) -> None:
    """Train a network; stopped, the same command goes on where it was.

    Writes losses.csv and losses.png as it goes, checkpoint.safetensors to go on from, and at the end
    weights.safetensors and model.json, which `estimate --weights DIR` takes. Runs in several processes under torchrun.
    'starter_speed' is solved at once: it has no steps, no seed and no checkpoint.
    """
    from dataclasses import replace

    from rich.console import Console

    from gaitdynamics.training.loop import train as run
    from gaitdynamics.training.recipes import FITS, recipe_named

    if recipe in FITS:
        FITS[recipe](data, out, overwrite=overwrite)
        typer.echo(f"Weights in {out.resolve()}")
        return
    chosen = recipe_named(recipe)
    if steps is not None:
        chosen = replace(chosen, num_steps=steps)
    console = Console(stderr=True)
    with _bar(console) as bar:
        task = bar.add_task(chosen.name, total=chosen.num_steps, loss="", validation="", speed="")
        last: list[Progress] = []

        def show(progress: "Progress") -> None:
            measured = progress.validation_loss
            if measured is not None:
                bar.update(task, validation=f"held out {measured:.4g}")
                if not console.is_terminal:
                    bar.console.print(_line(progress), highlight=False, soft_wrap=True)
            bar.update(
                task,
                completed=progress.step,
                loss=f"loss {progress.loss:.4g}",
                speed=f"{progress.windows_per_s:.0f} windows/s",
            )
            last[:] = [progress]

        run(chosen, data, out, seed=seed, device=device, overwrite=overwrite, report=show)
    if last:
        typer.echo(_line(last[0]))
        typer.echo(f"Weights, losses and checkpoint in {out.resolve()}")


def finetune(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="Your people with models, motions and measured forces.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Weights, data folder and result go here.")],
    weights: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="To start from: bundled weights, or a folder of weights.")
    ] = "starter",
    seed: Annotated[int, typer.Option(min=0, help="Of windows, augmentation, dropout.")] = 0,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Updates.")] = 300,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin again, replacing the fine-tuning in --out.")
    ] = False,
) -> None:
    """Go on training a force model on your own study; compare before and after on people held out of it.

    Held out is the study's split 'validation', or every fifth person where it has none. Stopped, the same command goes
    on where it was. `estimate --weights DIR` takes the result.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    from gaitdynamics.training.finetune import finetune as run

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        result = run(study, out, weights=weights, num_steps=steps, seed=seed, overwrite=overwrite, report=report)
    screen = Console()
    screen.print(_comparison(result))
    for entry in result["excluded"]:
        screen.print(f"Left out: {entry['trial']}: {entry['reason']}", highlight=False, soft_wrap=True, markup=False)
    screen.print(result["verdict"], highlight=False, soft_wrap=True, markup=False)
    screen.print(f"Weights, data and result in {out.resolve()}", highlight=False, soft_wrap=True, markup=False)


def _comparison(result: dict[str, Any]) -> Any:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from gaitdynamics.training.evaluate import METRICS
    from gaitdynamics.training.finetune import compared

    table = Table(title="Mean absolute error on people held out, % of body weight", box=SIMPLE, padding=0)
    for head in ("dataset", "activity", "people", "trials", "weights"):
        table.add_column(head, min_width=len(head), overflow="fold")
    for head in ("V", "AP", "ML", "peak V", "CoP, mm"):
        table.add_column(head, justify="right", no_wrap=True)
    for row, *both in compared(result):
        for when, figures in zip(("before", "after"), both, strict=True):
            shown = ("–" if figures[metric] is None else f"{figures[metric]:.2f}" for metric in METRICS)
            table.add_row(*map(Text, row if when == "before" else [""] * len(row)), when, *shown)
    return table


def _bar(console: Any) -> Any:
    import os

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    is_shown = console.is_terminal and os.environ.get("RANK", "0") == "0"  # torchrun's first process speaks for all
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    columns += [TextColumn(f"{{task.fields[{name}]}}") for name in ("loss", "validation", "speed")]
    return Bar(*columns, console=console, transient=True, disable=not is_shown)


def _line(progress: "Progress") -> str:
    measured = "" if progress.validation_loss is None else f", held out {progress.validation_loss:.4g}"
    return f"step {progress.step}: loss {progress.loss:.4g}{measured}"
