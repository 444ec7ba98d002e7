"""`gaitdynamics ik`: joint coordinates from markers. Only light imports at the top."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gaitdynamics.apps.terminal import progress_bar, say, warn
from gaitdynamics.errors import GaitDynamicsError, OutputError

DIRECTIONS = ("x", "-x", "y", "-y", "z", "-z")
EXIT_SOME_FAILED = 1


def ik(
    markers: Annotated[
        list[Path], typer.Argument(metavar="MARKERS...", help="Marker recordings (.trc, .c3d) of one person.")
    ],
    model: Annotated[
        Path, typer.Option(help="OpenSim model (.osim) with markers: scaled to the person, or generic with --static.")
    ],
    static: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The person standing still (.trc, .c3d), to scale a generic model with."),
    ] = None,
    mass: Annotated[
        float | None, typer.Option(metavar="KG", help="Body mass, for a model scaled with --static.")
    ] = None,
    up: Annotated[
        str, typer.Option(metavar="auto|x|y|z|-z", help="Direction of the recordings' axes that is up.")
    ] = "auto",
    forward: Annotated[
        bool, typer.Option("--forward", help="Turn the recordings so that the person walks along +x.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
) -> None:
    """Joint coordinates from markers, by OpenSim's inverse kinematics.

    For each recording, writes <stem>_ik.mot (for 'estimate' and the others), <stem>_ik.json (how far each marker of the
    model stays from the recorded one) and, where a .c3d has force plates, <stem>_measured_forces.mot. With --static, it
    first writes <model>_scaled.osim, the model to go on with.
    """
    _check(markers, up)
    if (static is None) != (mass is None):
        raise typer.BadParameter(
            "to scale a generic model, give both a --static recording and the body's --mass.",
            param_hint="--static, --mass",
        )
    from gaitdynamics.apps.estimate_files import check_inputs_kept
    from gaitdynamics.apps.ik_files import ik_file, ik_paths

    direction = None if up == "auto" else up
    for path in markers:
        check_inputs_kept(ik_paths(path, out), [*markers, model])
    failures: list[GaitDynamicsError] = []
    with progress_bar() as bar:
        if static is not None and mass is not None:
            model = _scaled(static, model, mass_kg=mass, up=direction, out=out, overwrite=overwrite)
        for path in markers:
            task = bar.add_task(path.name, total=None)
            try:
                written = ik_file(
                    path,
                    model,
                    out=out,
                    up=direction,
                    is_forward=forward,
                    overwrite=overwrite,
                    report=partial(_show, bar, task),
                )
            except GaitDynamicsError as error:
                if len(markers) == 1:
                    raise
                failures.append(error)
            else:
                _say_what(written)
            bar.update(task, visible=False)
    for failure in failures:
        say(f"Failed: {failure}", style="red", stderr=True)
    if failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _scaled(static: Path, model: Path, *, mass_kg: float, up: str | None, out: Path, overwrite: bool) -> Path:
    from gaitdynamics.apps.scale_files import scale_file

    written = scale_file(static, model, mass_kg=mass_kg, up=up, out=out, overwrite=overwrite)
    warn(written.summary["warnings"])
    for path in written.paths:
        say(str(path))
    return written.paths[0]


def _show(bar: Any, task: Any, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _say_what(written: Any) -> None:
    warn(written.summary["warnings"])
    error = written.summary["marker_error"]
    say(
        f"{written.summary['markers']}: markers within {error['rms_mm']:.1f} mm (rms), at most "
        f"{error['max_mm']:.0f} mm ({error['max_marker']} at {error['max_time_s']:g} s)"
    )
    for path in written.paths:
        say(str(path))


def _check(markers: list[Path], up: str) -> None:
    if up not in ("auto", *DIRECTIONS):
        raise typer.BadParameter(f"'{up}' is no direction; expected auto, {', '.join(DIRECTIONS)}.", param_hint="--up")
    stems = [path.stem for path in markers]
    for path in markers:
        if stems.count(path.stem) > 1:
            raise OutputError(
                f"{path}: more than one recording would write {path.stem}_ik.mot. Name each recording once, and run "
                "those of one name with an --out of their own."
            )
