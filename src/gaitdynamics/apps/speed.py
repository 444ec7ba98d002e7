"""`gaitdynamics speed`: the same person's gait at other speeds. Only light imports at the top."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from gaitdynamics.apps.options import (
    MOST_GAIT_SAMPLES,
    STARTER,
    STARTER_DIFFUSION,
    CompletionWeights,
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


def speed(
    motion: Motion,
    model: Model,
    to: Annotated[str, typer.Option(metavar="MPS,...", help="The speeds, in metres per second.")],
    activity: Annotated[
        str | None, typer.Option(metavar="walk|run", help="What is done at those speeds; as recorded if not given.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_GAIT_SAMPLES, help="Gaits to draw for each speed, for intervals.")
    ] = 8,
    seed: SeedOfFiles = 0,
    mass: Mass = None,
    height: Height = None,
    belt_speed: Annotated[
        str,
        typer.Option(
            metavar="MPS|auto|0",
            help="Of the recorded treadmill; 0 overground; auto infers it from the standing foot.",
        ),
    ] = "auto",
    weights: ForceWeights = STARTER,
    response: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="How gaits change with speed: bundled weights, or a folder.")
    ] = "starter_speed",
    completion: CompletionWeights = STARTER_DIFFUSION,
    out: Out = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Predict a person's gait at other speeds, with forces.

    For each speed, writes <stem>_speed_<speed>_motion.mot, _forces.mot and _external_loads.xml; for all of them
    <stem>_speeds.json, .csv and .png: parameters over speed, with intervals.
    """
    belt_m_s = belt_speed_m_s(belt_speed)
    speeds = amounts(to, option="--to", what="speed")
    if min(speeds) <= 0:
        raise typer.BadParameter(f"{min(speeds):g} m/s is no speed of a gait; expected more than 0.", param_hint="--to")
    use_one_thread()
    from gaitdynamics.apps.estimate_files import read_person
    from gaitdynamics.apps.speed_files import speed_file
    from gaitdynamics.tasks.estimators import load_completer, load_estimator, load_speed_response

    estimator, loaded = load_estimator(weights), load_speed_response(response)
    person = read_person(model, mass_kg=mass, height_m=height)
    with reporting("Changing the speed") as report:
        written = speed_file(
            motion,
            person,
            to_m_s=speeds,
            activity=activity,
            num_samples=samples,
            seed=seed,
            belt_speed_m_s=belt_m_s,
            estimator=estimator,
            response=loaded,
            response_name=Path(response).name,
            completer=cache(lambda: load_completer(completion)),
            out=out,
            overwrite=overwrite,
            report=report,
        )
    show_versions(written, out)
