"""The command line. Only light imports here: `gaitdynamics --help` must answer at once."""

import io
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaitdynamics import __version__
from gaitdynamics.apps import data as data_commands
from gaitdynamics.apps import weights as weights_commands
from gaitdynamics.apps.body import body
from gaitdynamics.apps.generate import generate
from gaitdynamics.apps.ik import ik
from gaitdynamics.apps.modify import modify
from gaitdynamics.apps.moments import moments
from gaitdynamics.apps.options import (
    STARTER,
    STARTER_DIFFUSION,
    BeltSpeed,
    CompletionWeights,
    Height,
    Mass,
    Model,
    Motions,
    Out,
    Overwrite,
    Seed,
)
from gaitdynamics.apps.speed import speed
from gaitdynamics.apps.terminal import (
    EXIT_SOME_FAILED,
    NOTHING,
    belt_speed_m_s,
    console,
    each_motion,
    message_of,
    number,
    reporting,
    say,
    warn,
)
from gaitdynamics.apps.train import finetune, train
from gaitdynamics.errors import GaitDynamicsError, OutputError

if TYPE_CHECKING:
    from rich.table import Table

    from gaitdynamics.tasks.fill_motion import MotionCompleter

EXIT_BAD_INPUT = 2
MOST_SAMPLES = 1000
DEMO_FOLDER = Path("demo_results")

app = typer.Typer(
    help="Ground reaction forces from OpenSim motions of walking and running; what if, and how fast.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(train)
app.command()(finetune)
app.command()(generate)
app.command()(modify)
app.command()(speed)
app.command()(moments)
app.command()(ik)
app.command()(body)
app.add_typer(data_commands.app, name="data")
app.add_typer(weights_commands.app, name="weights")

Weights = Annotated[
    str,
    typer.Option(
        metavar="NAME|DIR", help="The estimator: 'physics', bundled weights ('weights list'), or a folder of weights."
    ),
]
Missing = Annotated[
    str,
    typer.Option(
        metavar="PART,...",
        help="Take these as not measured, whatever the motion holds: trunk, pelvis, hips, knees, ankles, left_leg, "
        "hip_right, … or coordinates of the model.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_SAMPLES, help="Completions to draw where something is missing, for intervals."),
]


def main() -> None:
    """Run the command line; errors of the user's get one message and exit code 2, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter of a file's name is no failure
    try:
        app()
    except GaitDynamicsError as error:
        _fail(str(error))
    except Exception as error:
        if os.environ.get("GAITDYNAMICS_TRACEBACK"):
            raise
        _fail(message_of(error))


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if show:
        typer.echo(f"gaitdynamics {__version__}")
        raise typer.Exit


@app.command()
def estimate(
    motions: Motions,
    model: Model,
    mass: Mass = None,
    height: Height = None,
    belt_speed: BeltSpeed = "auto",
    weights: Weights = STARTER,
    published_pipeline: Annotated[
        bool,
        typer.Option("--published-pipeline", help="Do exactly what the authors' program does; for their weights."),
    ] = False,
    missing: Missing = "",
    samples: Samples = None,
    completion: CompletionWeights = STARTER_DIFFUSION,
    out: Out = Path(),
    overwrite: Overwrite = False,
    seed: Seed = 0,
) -> None:
    """Estimate ground reaction forces and centres of pressure.

    For each motion, writes <stem>_forces.mot, <stem>_external_loads.xml (for OpenSim's inverse dynamics),
    <stem>_summary.json and, unless --weights is physics or the authors', <stem>_force_intervals.mot. A motion in which
    something is missing is completed first, and written as 'fill' writes it.
    """
    belt_m_s = belt_speed_m_s(belt_speed)
    _check_distinct(motions)
    from gaitdynamics.apps.completed_files import completed_paths, completes_by_itself, missing_coordinates
    from gaitdynamics.apps.estimate_files import check_inputs_kept, estimate_file, output_paths, read_person
    from gaitdynamics.tasks.estimators import load_estimator

    estimator = load_estimator(weights, is_published_pipeline=published_pipeline)
    for motion in motions:
        check_inputs_kept((*output_paths(motion, out), *completed_paths(motion, out)), [*motions, model])
    person = read_person(model, mass_kg=mass, height_m=height)
    outcomes = each_motion(
        "Estimating",
        motions,
        partial(
            estimate_file,
            person=person,
            estimator=estimator,
            out=out,
            belt_speed_m_s=belt_m_s,
            missing=missing_coordinates(person.skeleton, _names(missing)),
            completer=None if completes_by_itself(weights) else cache(partial(_completer, completion)),
            num_samples=samples,
            overwrite=overwrite,
            seed=seed,
        ),
    )
    _report(motions, outcomes, _outcome_table, out)


@app.command()
def fill(
    motions: Motions,
    model: Model,
    missing: Missing = "",
    samples: Samples = None,
    completion: CompletionWeights = STARTER_DIFFUSION,
    mass: Mass = None,
    height: Height = None,
    belt_speed: BeltSpeed = "auto",
    out: Out = Path(),
    overwrite: Overwrite = False,
    seed: Seed = 0,
) -> None:
    """Complete motions in which joints, the trunk, the pelvis or moments are missing.

    For each motion, writes <stem>_motion.mot (all coordinates of the model; what was measured exactly as it was),
    <stem>_filled.json (what was filled in, and how sure it is) and <stem>_motion_intervals.mot.
    """
    belt_m_s = belt_speed_m_s(belt_speed)
    _check_distinct(motions)
    from gaitdynamics.apps.completed_files import completed_paths, missing_coordinates
    from gaitdynamics.apps.estimate_files import check_inputs_kept, read_person
    from gaitdynamics.apps.fill_files import fill_file

    for motion in motions:
        check_inputs_kept(completed_paths(motion, out), [*motions, model])
    person = read_person(model, mass_kg=mass, height_m=height)
    outcomes = each_motion(
        "Completing",
        motions,
        partial(
            fill_file,
            person=person,
            out=out,
            belt_speed_m_s=belt_m_s,
            missing=missing_coordinates(person.skeleton, _names(missing)),
            completer=cache(partial(_completer, completion)),
            num_samples=samples,
            overwrite=overwrite,
            seed=seed,
        ),
    )
    for motion, outcome in zip(motions, outcomes, strict=True):
        if not isinstance(outcome, Exception) and not outcome.summary["filled"]:
            say(f"{motion.name}: nothing is missing, so nothing was filled in.", stderr=True)
    _report(motions, outcomes, _filled_table, out)


@app.command()
def demo(out: Out = DEMO_FOLDER, overwrite: Overwrite = False) -> None:
    """Estimate forces for the bundled synthetic walk, and say what came out."""
    from importlib.resources import as_file, files

    from gaitdynamics.apps.estimate_files import estimate_file, read_person
    from gaitdynamics.tasks.estimators import load_estimator

    assets = files("gaitdynamics") / "assets"
    with (
        as_file(assets / "generic_body.osim") as model_path,
        as_file(assets / "synthetic_walk.mot") as motion_path,
        console(stderr=True).status("Estimating forces for the synthetic walk"),
    ):
        person = read_person(model_path, mass_kg=None, height_m=None)
        estimator = load_estimator(STARTER)
        written = estimate_file(
            motion_path, person, out=out, belt_speed_m_s=None, estimator=estimator, overwrite=overwrite
        )
    warn(written.summary["warnings"])
    console().print(_demo_table(written.summary))
    forces, loads, summary, intervals = written.paths
    for path, meaning in (
        (forces, "forces, centres of pressure and free moments of both feet over time, for OpenSim or a spreadsheet"),
        (loads, "the same as external loads, for OpenSim's inverse dynamics"),
        (summary, "events, steps, peaks, impulses, asymmetry, warnings"),
        (intervals, "between which values each force lies, with 90 % confidence"),
    ):
        say(f"{path}\n    {meaning}")
    say("Body and walk are synthetic: made from published averages, measured on nobody.")
    say("Your own: gaitdynamics estimate MOTION.mot --model MODEL.osim")


@app.command()
def evaluate(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="A folder of people with models, motions and measured forces.")
    ],
    split: Annotated[str, typer.Option(help="Of the study; 'all' for every trial.")] = "validation",
    weights: Weights = STARTER,
    align: Annotated[
        bool, typer.Option("--align", help="Take each trial's lag between plates and motion out first.")
    ] = False,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Hide this of every motion, and measure what completing it is worth; may be repeated: trunk, pelvis, "
            "hips, knees, ankles, two of them as trunk+hips, one_leg, upper_body, gap_50ms to gap_500ms, none, all.",
        ),
    ] = None,
    completion: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="What completes a masked motion: a model of gait (the bundled one if not given), linear, mean, "
            "mid_range, or direct for nothing.",
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures to this file.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare estimated with measured forces, person by person."""
    import json

    if mask and align:
        raise typer.BadParameter("masked motions are compared as measured; leave out --mask.", param_hint="--align")
    if completion is not None and not mask:
        raise typer.BadParameter("says how masked motions are completed; give a --mask too.", param_hint="--completion")
    from gaitdynamics.io.files import check_writable, write_files
    from gaitdynamics.io.study import read_study
    from gaitdynamics.training.evaluate import evaluate_study
    from gaitdynamics.training.masked_evaluation import evaluate_masks
    from gaitdynamics.training.masks import masks_named

    if json_path is not None:
        check_writable([json_path], overwrite=overwrite)
    masks = masks_named(mask or [])
    trials = read_study(study)
    with reporting("Evaluating") as report:
        common: dict[str, Any] = {"split": split, "weights": weights, "report": report}
        if masks:
            result = evaluate_masks(trials, masks=masks, completion=completion, **common)
        else:
            result = evaluate_study(trials, is_aligned=align, **common)
    screen = console()
    for line in _masked_tables(result) if masks else _evaluation_tables(result):
        screen.print(line)
    if json_path is not None:
        write_files({json_path: json.dumps(result, indent=2, allow_nan=False) + "\n"}, overwrite=overwrite)
    if not all(each["rows"] for each in result.get("masks", [result])):
        raise typer.Exit(EXIT_SOME_FAILED)


def _report(
    motions: list[Path], outcomes: list[Any], table: "Callable[[list[Path], list[Any]], Table]", out: Path
) -> None:
    """Paths of one motion's results, or a table of several; raises what failed."""
    if len(motions) == 1:
        (outcome,) = outcomes
        if isinstance(outcome, Exception):
            raise outcome
        warn(outcome.summary["warnings"])
        for path in outcome.paths:
            say(str(path))
        return
    console().print(table(motions, outcomes))
    say(f"Results in {out.resolve()}")
    _print_reasons(motions, outcomes)
    if any(isinstance(outcome, Exception) for outcome in outcomes):
        raise typer.Exit(EXIT_SOME_FAILED)


def _completer(name: str) -> "MotionCompleter":
    """The model of gait of that name; loaded when something is missing, and not before."""
    from gaitdynamics.tasks.estimators import load_completer

    return load_completer(name)


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _check_distinct(motions: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for motion in motions:
        if motion in seen.values():
            raise OutputError(f"{motion}: given twice. Name each motion once.")
        if motion.stem in seen:
            raise OutputError(
                f"{seen[motion.stem]} and {motion} would both write {motion.stem}_forces.mot. "
                "Estimate them one at a time, each with its own --out."
            )
        seen[motion.stem] = motion


def _outcome_table(motions: list[Path], outcomes: list[Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("motion", "outcome", "activity", "m/s", "steps/min", "warnings")
    for motion, outcome in zip(motions, outcomes, strict=True):
        if isinstance(outcome, Exception):
            table.add_row(Text(motion.name), Text("failed", style="red"))
        else:
            gait = outcome.summary["gait"]
            table.add_row(
                Text(motion.name),
                "done",
                gait["activity"] or NOTHING,
                number(gait["speed_m_s"], 2),
                number(gait["cadence_steps_per_min"], 0),
                str(len(outcome.summary["warnings"])),
            )
    return table


def _filled_table(motions: list[Path], outcomes: list[Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("motion", "outcome", "filled in", "warnings")
    for motion, outcome in zip(motions, outcomes, strict=True):
        if isinstance(outcome, Exception):
            table.add_row(Text(motion.name), Text("failed", style="red"))
        else:
            filled, warnings = outcome.summary["filled"], outcome.summary["warnings"]
            table.add_row(Text(motion.name), "done", Text(", ".join(filled) or "nothing"), str(len(warnings)))
    return table


def _print_reasons(motions: list[Path], outcomes: list[Any]) -> None:
    """What failed and why; and each warning once, with the number of motions that it stands for."""
    concerned: dict[str, list[str]] = {}
    for motion, outcome in zip(motions, outcomes, strict=True):
        if isinstance(outcome, Exception):
            say(f"Failed: {message_of(outcome)}", style="red", stderr=True)
            continue
        for warning in outcome.summary["warnings"]:
            concerned.setdefault(warning.removeprefix(f"{motion.name}: "), []).append(motion.name)
    for warning, names in concerned.items():
        whose = names[0] if len(names) == 1 else f"{len(names)} motions"
        say(f"Warning: {whose}: {warning}", style="yellow", stderr=True)


def _demo_table(summary: dict[str, Any]) -> "Table":
    from rich.table import Table

    gait, right, left = summary["gait"], summary["forces"]["right"], summary["forces"]["left"]
    table = Table("", "right", "left", title="Synthetic walk")
    for label, component, key in (
        ("largest vertical force, body weights", "vertical", "max_bw"),
        ("largest braking force, body weights", "anteroposterior", "min_bw"),
        ("largest propulsive force, body weights", "anteroposterior", "max_bw"),
        ("largest medial force, body weights", "mediolateral", "max_bw"),
    ):
        table.add_row(label, number(right[component][key], 2), number(left[component][key], 2))
    for label, key, digits in (("step length, m", "step_length_m", 2), ("stance, share of stride", "stance_share", 2)):
        table.add_row(label, *(number(summary["steps"][side][key], digits) for side in ("right", "left")))
    table.caption = (
        f"{gait['speed_m_s']:.2f} m/s, {number(gait['cadence_steps_per_min'], 0)} steps/min, "
        f"{summary['subject']['mass_kg']:g} kg"
    )
    return table


def _masked_tables(result: dict[str, Any]) -> "list[Any]":
    from gaitdynamics.apps.masked_tables import masked_tables

    return list(masked_tables(result))


def _evaluation_tables(result: dict[str, Any]) -> "list[Any]":
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from gaitdynamics.training.evaluate import COVERAGE, METRICS, PUBLISHED, PUBLISHED_NOTE

    lags = ", each trial's lag taken out" if result["is_aligned"] else ""
    coverage = "; ".join(
        f"{activity} {values[COVERAGE]:.0f} %"
        for activity, values in result["by_activity"].items()
        if values[COVERAGE] is not None
    )
    within = f" Measured forces within the 90 % intervals: {coverage}." if coverage else ""
    table = Table(
        title=f"Mean absolute error, % of body weight ({result['weights']}, {result['split']}{lags})",
        caption=PUBLISHED_NOTE + within,
        box=SIMPLE,
        padding=0,
        collapse_padding=True,
    )
    table.add_column("dataset", no_wrap=True)
    table.add_column("activity", no_wrap=True)
    for head in ("people", "trials", "V", "AP", "ML", "peak V", "CoP, mm"):
        table.add_column(head, justify="right")

    def figures(values: dict[str, Any]) -> list[str]:
        return [number(values.get(metric), 1 if metric == "cop_mae_mm" else 2) for metric in METRICS]

    for row in result["rows"]:
        table.add_row(
            Text(row["dataset"]), Text(row["activity"]), str(row["num_subjects"]), str(row["num_trials"]), *figures(row)
        )
    table.add_section()
    for activity, values in result["by_activity"].items():
        table.add_row("mean of rows", Text(activity), "", "", *figures(values))
    table.add_row("mean of rows", "all", "", "", *figures(result["overall"]))
    table.add_row("Tan et al. 2026", "", "", "", *figures(PUBLISHED))
    lines: list[Any] = [table]
    if result["excluded"]:
        excluded = Table("trial", "reason", title="Left out")
        for entry in result["excluded"]:
            excluded.add_row(Text(entry["trial"]), Text(entry["reason"]))
        lines.append(excluded)
    return lines


def _fail(message: str) -> None:
    say(f"Error: {message}", style="red", stderr=True)
    sys.exit(EXIT_BAD_INPUT)
