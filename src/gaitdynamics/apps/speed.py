"""`gaitdynamics speed`: the same person's gait at other speeds. Only light imports at the top."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from gaitdynamics.apps.terminal import amounts, belt_speed_m_s, console, progress_bar, say, warn

MOST_SAMPLES = 200


def speed(
    motion: Annotated[Path, typer.Argument(metavar="MOTION", help="A motion (.mot, .sto) with at least one stride.")],
    model: Annotated[Path, typer.Option(help="The person's scaled OpenSim model (.osim).")],
    to: Annotated[str, typer.Option(metavar="MPS,...", help="The speeds, in metres per second.")],
    activity: Annotated[
        str | None, typer.Option(metavar="walk|run", help="What is done at those speeds; as recorded if not given.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_SAMPLES, help="Gaits to draw for each speed, for intervals.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of random numbers: the same seed gives the same files.")] = 0,
    mass: Annotated[float | None, typer.Option(metavar="KG", help="Body mass; the model's if not given.")] = None,
    height: Annotated[
        float | None, typer.Option(metavar="M", help="Body height; estimated from the model if not given.")
    ] = None,
    belt_speed: Annotated[
        str,
        typer.Option(
            metavar="MPS|auto|0",
            help="Of the recorded treadmill; 0 overground; auto infers it from the standing foot.",
        ),
    ] = "auto",
    weights: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The estimator of the forces, as in 'estimate'.")
    ] = "starter",
    response: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="How gaits change with speed: bundled weights, or a folder.")
    ] = "starter_speed",
    completion: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model of gait that completes what is missing.")
    ] = "starter_diffusion",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
) -> None:
    """Predict a person's gait at other speeds, with forces.

    For each speed, writes <stem>_speed_<speed>_motion.mot, _forces.mot and _external_loads.xml; for all of them
    <stem>_speeds.json, .csv and .png: parameters over speed, with intervals.
    """
    belt_m_s = belt_speed_m_s(belt_speed)
    speeds = amounts(to, option="--to", what="speed")
    if min(speeds) <= 0:
        raise typer.BadParameter(f"{min(speeds):g} m/s is no speed of a gait; expected more than 0.", param_hint="--to")
    from gaitdynamics.apps.estimate_files import read_person
    from gaitdynamics.apps.speed_files import speed_file
    from gaitdynamics.tasks.estimators import load_completer, load_estimator, load_speed_response

    estimator, loaded = load_estimator(weights), load_speed_response(response)
    person = read_person(model, mass_kg=mass, height_m=height)
    with progress_bar() as bar:
        task = bar.add_task("Changing the speed", total=None)
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
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )
    warn(written.summary["warnings"])
    terminal = console()
    terminal.print(written.table(width=terminal.width))
    say(f"Results in {out.resolve()}; the plot is {written.paths[-1].name}")
