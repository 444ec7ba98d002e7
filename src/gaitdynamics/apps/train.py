"""`gaitdynamics train`: from a data folder to weights. Only light imports at the top."""

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
    """
    from dataclasses import replace

    from rich.console import Console

    from gaitdynamics.training.loop import train as run
    from gaitdynamics.training.recipes import recipe_named

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
