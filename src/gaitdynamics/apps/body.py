"""`gaitdynamics body`: a generic model for whom there is none. Only light imports at the top."""

from pathlib import Path
from typing import Annotated

import typer

from gaitdynamics.apps.terminal import say, warn

DEFAULT_NAME = Path("body.osim")


def body(
    height: Annotated[float, typer.Option(metavar="M", help="Of the person.")],
    mass: Annotated[float, typer.Option(metavar="KG", help="Of the person.")],
    sex: Annotated[
        str | None,
        typer.Option(metavar="female|male", help="For that sex's average shares of mass; men's if not given."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model to write (.osim).")] = DEFAULT_NAME,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that exists already.")] = False,
) -> None:
    """A generic body of a height and mass, as an OpenSim model (approximate).

    Its coordinates have the names of Rajagopal's model: pelvis_tilt, hip_flexion_r, knee_angle_r, …
    """
    if out.suffix.lower() != ".osim":
        raise typer.BadParameter(f"'{out}' is no name of a model; expected one that ends in .osim.", param_hint="--out")
    from gaitdynamics.apps.body_files import body_file

    written = body_file(out, height_m=height, mass_kg=mass, sex=sex, overwrite=overwrite)
    warn(written.warnings)
    say(str(written.path))
