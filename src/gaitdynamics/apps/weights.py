"""`gaitdynamics weights`: what can estimate forces, and the authors' weights converted. Only light imports here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gaitdynamics.model.checkpoint import Weights

app = typer.Typer(help="Weights of learned estimators.", no_args_is_help=True)

LONGEST_VALUE = 200  # letters; what is longer is for a program to read
ABOUT = {
    "forces": "physics corrected by networks trained on measured forces; what estimate uses unless told otherwise",
    "diffusion": "a model of gait, which completes what was not measured and draws whole gaits",
    "speed_response": "how gait changes with speed",
}

Name = Annotated[str, typer.Argument(metavar="NAME|DIR", help="Bundled weights, or a folder of weights.")]


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="The authors' refinement or diffusion file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of weights to write.")],
    heads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of the attention, 8 in the published files; no file says it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace weights that exist already.")] = False,
) -> None:
    """Turn one of the authors' files into a folder of weights, without running anything that the file names."""
    from gaitdynamics.model.published import NUM_HEADS, convert_published

    weights = convert_published(file, out, num_heads=heads or NUM_HEADS, overwrite=overwrite)
    _print_weights(weights)


@app.command()
def info(name: Name) -> None:
    """Show what weights are, where they come from, and their licence."""
    from gaitdynamics.tasks.estimators import PHYSICS, load_all

    if name == PHYSICS:
        typer.echo("physics: the mechanics of the whole body; it has no weights and needs no training")
        return
    for weights in load_all(name):
        _print_weights(weights)


@app.command("list")
def list_() -> None:
    """Name the estimators that come with this version."""
    from gaitdynamics.model.checkpoint import read_description
    from gaitdynamics.tasks.estimators import PHYSICS, bundled_weights

    typer.echo(f"{PHYSICS}\tthe mechanics of the whole body, without training")
    for name, folder in bundled_weights().items():
        description = read_description(folder)
        typer.echo(f"{name}\t{ABOUT.get(description['kind'], description['kind'])}")


@app.command()
def path(name: Name) -> None:
    """Print the folder of weights."""
    from gaitdynamics.errors import InputFileError
    from gaitdynamics.tasks.estimators import PHYSICS, weights_folder

    if name == PHYSICS:
        raise InputFileError(
            f"'{PHYSICS}' has no weights, so there is no folder. 'gaitdynamics weights list' names all."
        )
    typer.echo(weights_folder(name))


def _print_weights(weights: "Weights") -> None:
    num_parameters = sum(tensor.numel() for tensor in weights.tensors.values())
    about: dict[str, Any] = {
        "kind": weights.kind,
        "state": f"{weights.layout['name']}, {len(weights.layout['channels'])} channels",
        "numbers": f"{num_parameters:,} in {len(weights.tensors)} tensors",
        **weights.config,
        **weights.provenance,
        "licence": weights.licence,
    }
    card = weights.folder / "MODEL_CARD.md"
    if card.exists():
        about["model card"] = card
    typer.echo(weights.folder)
    for key, value in about.items():
        text = str(value)
        typer.echo(f"  {key.replace('_', ' ')}: {text if len(text) <= LONGEST_VALUE else 'in model.json'}")
