"""`gaitdynamics moments`: joint moments, powers and loads. Only light imports at the top."""

import math
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import typer

from gaitdynamics.apps.options import (
    STARTER,
    STARTER_DIFFUSION,
    BeltSpeed,
    CompletionWeights,
    ForceWeights,
    Height,
    Mass,
    Model,
    Motions,
    Out,
    Overwrite,
    Seed,
)
from gaitdynamics.apps.terminal import EXIT_SOME_FAILED, belt_speed_m_s, each_motion, message_of, say, warn
from gaitdynamics.errors import OutputError

OFF = "off"
USUAL_CUTOFF = "10"


def moments(
    motions: Motions,
    model: Model,
    forces: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Measured forces (.mot, .sto) or external loads (.xml) of the one motion; estimated if not given.",
        ),
    ] = None,
    filter_hz: Annotated[
        str,
        typer.Option("--filter", metavar="HZ|off", help="Above this frequency neither motion nor forces are believed."),
    ] = USUAL_CUTOFF,
    mass: Mass = None,
    height: Height = None,
    belt_speed: BeltSpeed = "auto",
    weights: ForceWeights = STARTER,
    completion: CompletionWeights = STARTER_DIFFUSION,
    seed: Seed = 0,
    out: Out = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Joint moments and powers by inverse dynamics, and the loads of hips, knees and ankles.

    For each motion, writes <stem>_moments.sto (OpenSim's inverse dynamics, every coordinate), <stem>_powers.sto,
    <stem>_joint_loads.sto (external moments in % of body weight times height and N m/kg) and <stem>_moments.json
    (peaks, impulses, residuals).
    """
    belt_m_s, cutoff_hz = belt_speed_m_s(belt_speed), _cutoff_hz(filter_hz)
    _check_motions(motions, forces)
    from gaitdynamics.apps.estimate_files import check_inputs_kept, read_person
    from gaitdynamics.apps.moments_files import moments_file, moments_paths
    from gaitdynamics.tasks.estimators import load_completer, load_estimator

    estimator = cache(lambda: load_estimator(weights))
    if forces is None:
        estimator()  # a misspelt name is one error, not one for each motion
    for motion in motions:
        check_inputs_kept(moments_paths(motion, out), [*motions, model])
    person = read_person(model, mass_kg=mass, height_m=height)
    outcomes = each_motion(
        "Moments",
        motions,
        partial(
            moments_file,
            person=person,
            out=out,
            forces_path=forces,
            estimator=estimator,
            completer=cache(lambda: load_completer(completion)),
            belt_speed_m_s=belt_m_s,
            cutoff_hz=cutoff_hz,
            overwrite=overwrite,
            seed=seed,
        ),
    )
    is_alone = len(motions) == 1
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if is_alone and failures:
        raise failures[0]
    for motion, outcome in zip(motions, outcomes, strict=True):
        if isinstance(outcome, Exception):
            continue
        before = "" if is_alone else f"{motion.name}: "
        warn(f"{before}{warning.removeprefix(before)}" for warning in outcome.summary["warnings"])
        for path in outcome.paths:
            say(str(path))
    for failure in failures:
        say(f"Failed: {message_of(failure)}", style="red", stderr=True)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _cutoff_hz(text: str) -> float | None:
    if text.strip().lower() == OFF:
        return None
    try:
        cutoff_hz = float(text)
    except ValueError:
        cutoff_hz = float("nan")
    if not (math.isfinite(cutoff_hz) and cutoff_hz > 0):
        raise typer.BadParameter(
            f"'{text}' is no frequency; expected a number above zero in Hz, or {OFF}.", param_hint="--filter"
        )
    return cutoff_hz


def _check_motions(motions: list[Path], forces: Path | None) -> None:
    if forces is not None and len(motions) > 1:
        raise typer.BadParameter(
            f"one file of forces can't belong to {len(motions)} motions. Run the command for each motion.",
            param_hint="--forces",
        )
    stems = [motion.stem for motion in motions]
    for motion in motions:
        if stems.count(motion.stem) > 1:
            raise OutputError(
                f"{motion}: more than one motion would write {motion.stem}_moments.sto. Name each motion once, and run "
                "those of one name with an --out of their own."
            )
