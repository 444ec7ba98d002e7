"""Options that several commands share. Only light imports."""

from pathlib import Path
from typing import Annotated

import typer

STARTER = "starter"  # the bundled force model
STARTER_DIFFUSION = "starter_diffusion"  # the bundled model of gait
MOST_GAIT_SAMPLES = 200

Motions = Annotated[list[Path], typer.Argument(metavar="MOTION...", help="Motions (.mot, .sto) of one person.")]
Motion = Annotated[Path, typer.Argument(metavar="MOTION", help="A motion (.mot, .sto) with at least one stride.")]
Model = Annotated[Path, typer.Option(help="The person's scaled OpenSim model (.osim).")]
Mass = Annotated[float | None, typer.Option(metavar="KG", help="Body mass; the model's if not given.")]
Height = Annotated[float | None, typer.Option(metavar="M", help="Body height; estimated from the model if not given.")]
BeltSpeed = Annotated[
    str,
    typer.Option(metavar="MPS|auto|0", help="Treadmill speed; 0 overground; auto infers it from the standing foot."),
]
ForceWeights = Annotated[
    str, typer.Option("--weights", metavar="NAME|DIR", help="The estimator of the forces, as in 'estimate'.")
]
CompletionWeights = Annotated[
    str,
    typer.Option("--completion", metavar="NAME|DIR", help="The model of gait that completes what is missing."),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")]
Seed = Annotated[int, typer.Option(min=0, help="Of random numbers, where any are drawn.")]
SeedOfFiles = Annotated[int, typer.Option(min=0, help="Of random numbers: the same seed gives the same files.")]
