"""`gaitdynamics moments`: joint moments, powers and loads. Only light imports at the top."""

import math
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from gaitdynamics.apps.terminal import belt_speed_m_s, progress_bar, say, warn
from gaitdynamics.errors import GaitDynamicsError, OutputError

OFF = "off"
USUAL_CUTOFF = "10"
EXIT_SOME_FAILED = 1


def moments(
    motions: Annotated[list[Path], typer.Argument(metavar="MOTION...", help="Motions (.mot, .sto) of one person.")],
    model: Annotated[Path, typer.Option(help="The person's scaled OpenSim model (.osim).")],
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
    mass: Annotated[float | None, typer.Option(metavar="KG", help="Body mass; the model's if not given.")] = None,
    height: Annotated[
        float | None, typer.Option(metavar="M", help="Body height; estimated from the model if not given.")
    ] = None,
    belt_speed: Annotated[
        str,
        typer.Option(
            metavar="MPS|auto|0", help="Treadmill speed; 0 overground; auto infers it from the standing foot."
        ),
    ] = "auto",
    weights: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The estimator of the forces, as in 'estimate'.")
    ] = "starter",
    completion: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="The model of gait that completes what is missing.")
    ] = "starter_diffusion",
    seed: Annotated[int, typer.Option(min=0, help="Of random numbers, where any are drawn.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
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
    completer = cache(lambda: load_completer(completion))
    failures: dict[Path, GaitDynamicsError] = {}
    with progress_bar() as bar:
        task = bar.add_task("Moments", total=len(motions), visible=len(motions) > 1)
        for number, motion in enumerate(motions):
            try:
                written = moments_file(
                    motion,
                    person,
                    out=out,
                    forces_path=forces,
                    estimator=estimator,
                    completer=completer,
                    belt_speed_m_s=belt_m_s,
                    cutoff_hz=cutoff_hz,
                    overwrite=overwrite,
                    seed=seed,
                )
            except GaitDynamicsError as error:
                if len(motions) == 1:
                    raise
                failures[motion] = error
            else:
                _say_what(written, motion, is_alone=len(motions) == 1)
            bar.update(task, completed=number + 1)
    for failure in failures.values():
        say(f"Failed: {failure}", style="red", stderr=True)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _say_what(written: Any, motion: Path, *, is_alone: bool) -> None:
    before = "" if is_alone else f"{motion.name}: "
    warn(f"{before}{warning.removeprefix(before)}" for warning in written.summary["warnings"])
    for path in written.paths:
        say(str(path))


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
