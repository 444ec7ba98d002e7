"""`gaitdynamics generate`: gaits of nobody. Only light imports at the top."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaitdynamics.apps.options import STARTER, STARTER_DIFFUSION, ForceWeights, Out, Overwrite, SeedOfFiles
from gaitdynamics.apps.terminal import console, number, reporting, say, warn

if TYPE_CHECKING:
    from rich.table import Table

MOST_GAITS = 1000


def generate(
    speed: Annotated[float, typer.Option(metavar="MPS", help="Over the ground, in metres per second.")],
    height: Annotated[float | None, typer.Option(metavar="M", help="Of the person; needed without --model.")] = None,
    mass: Annotated[float | None, typer.Option(metavar="KG", help="Of the person; needed without --model.")] = None,
    activity: Annotated[
        str | None, typer.Option(metavar="walk|run", help="From the speed if not given: walking below 2 m/s.")
    ] = None,
    num: Annotated[int, typer.Option("-n", "--num", min=1, max=MOST_GAITS, metavar="N", help="How many gaits.")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", help="How long each is.")] = 5.0,
    seed: SeedOfFiles = 0,
    model: Annotated[
        Path | None, typer.Option(help="Generate for this scaled model instead of a generic body.")
    ] = None,
    completion: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The generative model: bundled weights, or a folder.")
    ] = STARTER_DIFFUSION,
    weights: ForceWeights = STARTER,
    out: Out = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Generate gaits that nobody walked or ran, with the forces that go with them.

    For each gait, writes generated_<k>_motion.mot, generated_<k>_forces.mot and generated_<k>_external_loads.xml; for
    all, generated_summary.json and, without --model, generated_body.osim: a generic body of that height and mass.
    """
    if model is None and (height is None or mass is None):
        raise typer.BadParameter(
            "give the person's --height and --mass, or a scaled --model that has them.", param_hint="--height, --mass"
        )
    from gaitdynamics.apps.generate_files import generate_files, own_body, scaled_body
    from gaitdynamics.tasks.draw_gait import load_gait_sampler
    from gaitdynamics.tasks.estimators import load_estimator
    from gaitdynamics.tasks.generate_gait import Wish, activity_at

    wish = Wish(speed, activity_at(speed) if activity is None else activity, seconds)
    model_text = None
    if model is not None:
        person = own_body(model, height_m=height, mass_kg=mass)
    elif height is not None and mass is not None:
        person, model_text = scaled_body(height_m=height, mass_kg=mass)
    sampler, estimator = load_gait_sampler(completion), load_estimator(weights)
    with reporting("Generating") as report:
        written = generate_files(
            person,
            wish,
            num=num,
            out=out,
            sampler=sampler,
            sampler_name=Path(completion).name,
            estimator=estimator,
            model_text=model_text,
            seed=seed,
            overwrite=overwrite,
            report=report,
        )
    warn(written.summary["warnings"])
    console().print(_table(written.summary))
    say(f"Results in {out.resolve()}")


def _table(summary: dict[str, Any]) -> "Table":
    from rich.table import Table

    wish = summary["wish"]
    table = Table(
        "gait", "m/s", "steps/min", "peak vertical, BW", "mean vertical, BW", "sliding, m/s", title="Generated gaits"
    )
    for gait in summary["gaits"]:
        peaks = [gait["forces"][side]["vertical"]["max_bw"] for side in ("right", "left")]
        known = [peak for peak in peaks if peak is not None]
        table.add_row(
            gait["motion"].removesuffix("_motion.mot"),
            number(gait["gait"]["speed_m_s"], 2),
            number(gait["gait"]["cadence_steps_per_min"], 0),
            number(sum(known) / len(known) if known else None, 2),
            number(gait["realism"]["mean_vertical_bw"], 3),
            number(gait["realism"]["foot_sliding_m_s"], 3),
        )
    table.caption = f"asked for: {wish['activity']} at {wish['speed_m_s']:g} m/s"
    return table
