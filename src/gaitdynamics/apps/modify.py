"""`gaitdynamics modify`: a gait with something about it changed. Only light imports at the top."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from gaitdynamics.apps.options import (
    MOST_GAIT_SAMPLES,
    STARTER,
    STARTER_DIFFUSION,
    BeltSpeed,
    ForceWeights,
    Height,
    Mass,
    Model,
    Motion,
    Out,
    Overwrite,
    SeedOfFiles,
)
from gaitdynamics.apps.terminal import amounts, belt_speed_m_s, reporting, show_versions, use_one_thread
from gaitdynamics.tasks.gait_strategies import GRAMMAR, STRATEGIES

BALANCED, GUIDED = METHODS = ("balanced", "guided")


def modify(
    motion: Motion,
    model: Model,
    change: Annotated[
        list[str],
        typer.Option(
            metavar="CHANGE",
            help=f"What is to be different: {', '.join(GRAMMAR)}, where NAME is a coordinate of the model or one of "
            f"{', '.join(STRATEGIES)}; AMOUNT is in degrees or metres, FILE holds a curve. May be repeated.",
        ),
    ],
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="DOSE,...", help="Numbers that the one of the single --change takes, one after the other."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_GAIT_SAMPLES, help="Gaits to draw for each dose, for intervals.")
    ] = 8,
    seed: SeedOfFiles = 0,
    mass: Mass = None,
    height: Height = None,
    belt_speed: BeltSpeed = "auto",
    weights: ForceWeights = STARTER,
    completion: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model of gait: bundled weights, or a folder.")
    ] = STARTER_DIFFUSION,
    method: Annotated[
        str, typer.Option(metavar="|".join(METHODS), help="How the gait is found that carries the change.")
    ] = BALANCED,
    out: Out = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Change something about a gait, and see what becomes of forces and joint loads.

    Writes <stem>_modified_motion.mot, _forces.mot and _external_loads.xml (with --sweep one of each for every dose),
    and for all of them <stem>_modified.json, .csv and .png: loads and parameters before and after, with intervals.
    """
    belt_m_s = belt_speed_m_s(belt_speed)
    if method not in METHODS:
        raise typer.BadParameter(f"'{method}' is none; expected {' or '.join(METHODS)}.", param_hint="--method")
    doses = None if sweep is None else amounts(sweep, option="--sweep", what="dose")
    if doses is not None and len(change) > 1:
        raise typer.BadParameter(
            f"a sweep varies the number of one change, and {len(change)} are given. Give one --change, or leave out "
            "--sweep and run the command for each dose with its own --out.",
            param_hint="--sweep",
        )
    use_one_thread()
    from gaitdynamics.apps.estimate_files import read_person
    from gaitdynamics.apps.modify_files import modify_file
    from gaitdynamics.tasks.estimators import load_completer, load_estimator

    estimator = load_estimator(weights)
    person = read_person(model, mass_kg=mass, height_m=height)
    with reporting("Changing") as report:
        written = modify_file(
            motion,
            person,
            changes=change,
            doses=doses,
            method=method,
            num_samples=samples,
            seed=seed,
            belt_speed_m_s=belt_m_s,
            estimator=estimator,
            completer=cache(lambda: load_completer(completion)),
            completer_name=Path(completion).name,
            out=out,
            overwrite=overwrite,
            report=report,
        )
    show_versions(written, out)
