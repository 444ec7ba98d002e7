"""From a model file and a motion file to the files that a user gets."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics.apps.completed_files import (
    GivenTrial,
    completed_contents,
    completed_paths,
    completion_summary,
    read_given,
)
from gaitdynamics.biomech.anthropometry import body_mass_kg, estimated_height_m
from gaitdynamics.biomech.summary import summarise
from gaitdynamics.errors import InputFileError, InvalidModelError, InvalidMotionError, InvalidSubjectError, OutputError
from gaitdynamics.io.external_loads import format_external_loads
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.forces import format_force_interval, format_forces
from gaitdynamics.io.osim import read_model
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import MASS_RANGE_KG, Subject

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import Completion, MotionCompleter

IMPLAUSIBLE_FORCE_BW = 8.0  # a sprinter's step stays below 5
OUTPUT_SUFFIXES = ("_forces.mot", "_external_loads.xml", "_summary.json", "_force_intervals.mot")


@dataclass(frozen=True)
class Person:
    """A subject with the model, and where mass and height come from."""

    subject: Subject
    skeleton: Skeleton
    model_path: Path
    mass_source: str
    height_source: str


@dataclass(frozen=True)
class Written:
    """What came of one motion."""

    paths: tuple[Path, ...]
    summary: dict[str, Any]


def read_person(model_path: Path, *, mass_kg: float | None, height_m: float | None) -> Person:
    """The person that a model stands for; mass and height from the model where they are not given.

    Raises:
        GaitDynamicsError: the model can't be read, or mass or height is not a human's.
    """
    skeleton = read_model(model_path)
    try:
        model_height_m, model_mass_kg = estimated_height_m(skeleton), body_mass_kg(skeleton)
    except InvalidModelError as error:
        raise InvalidModelError(f"{model_path}: {error}") from None
    if mass_kg is None and not MASS_RANGE_KG[0] <= model_mass_kg <= MASS_RANGE_KG[1]:
        raise InvalidSubjectError(
            f"{model_path}: the model's bodies weigh {model_mass_kg:g} kg together; a person has "
            f"{MASS_RANGE_KG[0]:g} to {MASS_RANGE_KG[1]:g} kg. Give the person's mass with --mass."
        )
    subject = Subject(
        id=skeleton.name or model_path.stem,
        mass_kg=model_mass_kg if mass_kg is None else mass_kg,
        height_m=model_height_m if height_m is None else height_m,
    )
    return Person(
        subject,
        skeleton.scaled_to(subject.mass_kg),
        model_path,
        mass_source="the model's bodies" if mass_kg is None else "given",
        height_source="estimated from the length of thighs and shanks (error about 0.08 m)"
        if height_m is None
        else "given",
    )


def output_paths(motion_path: Path, out: Path) -> tuple[Path, ...]:
    """The files that `estimate_file` may write for a whole motion; the last, of intervals, only with some estimators.

    Those of `completed_paths` come on top where something was missing.
    """
    return tuple(out / f"{motion_path.stem}{suffix}" for suffix in OUTPUT_SUFFIXES)


def check_inputs_kept(results: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Make sure that no result replaces an input, even with `--overwrite`.

    Raises:
        OutputError: one would.
    """
    kept = {path.resolve() for path in inputs}
    for path in results:
        if path.resolve() in kept:
            raise OutputError(f"{path}: the result would replace an input. Choose another folder with --out.")


def estimate_file(
    motion_path: Path,
    person: Person,
    *,
    out: Path,
    belt_speed_m_s: float | None,
    estimator: Estimator,
    overwrite: bool = False,
    seed: int = 0,
    missing: Sequence[str] = (),
    completer: "Callable[[], MotionCompleter] | None" = None,
    num_samples: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Estimate forces for one motion and write forces, external loads and summary, or nothing.

    Args:
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it from the standing foot.
        estimator: as `load_estimator` gives it.
        missing: coordinates that are not to be believed, as `missing_coordinates` gives them.
        completer: loads what completes a motion in which something is missing; the completed motion is written, too.
            None where the estimator gets the motion as it is, and nothing that it needs may be missing.
        num_samples: completions to draw; None for the usual number.
        report: called with the number of samples drawn and to be drawn.

    Raises:
        GaitDynamicsError: the motion can't be read or used, or the results can't be written.
    """
    forces_path, loads_path, summary_path, intervals_path = paths = output_paths(motion_path, out)
    filled_paths = completed_paths(motion_path, out)
    check_inputs_kept(paths, [motion_path, person.model_path])
    check_writable(paths, overwrite=overwrite)
    given = read_given(
        motion_path,
        person.subject,
        person.skeleton,
        missing=missing,
        belt_speed_m_s=belt_speed_m_s,
        is_completed=completer is not None,
    )
    completion = None
    try:
        if completer is None or not given.is_incomplete:
            prediction = estimator(given.trial, seed=seed)
        else:
            check_inputs_kept(filled_paths, [motion_path, person.model_path])
            check_writable(filled_paths, overwrite=overwrite)
            # Few motions need these.
            from gaitdynamics.tasks.completed_forces import estimate_completed
            from gaitdynamics.tasks.fill_motion import usual_samples

            prediction, completion = estimate_completed(
                given.trial,
                completer=completer(),
                estimator=estimator,
                num_samples=usual_samples(given.trial.motion) if num_samples is None else num_samples,
                seed=seed,
                report=report,
            )
    except InvalidMotionError as error:
        raise in_file(motion_path, error) from None
    completion_warnings = given.warnings if completion is None else (*given.warnings, *completion.warnings)
    implausible = _implausible(prediction.forces, person.subject.body_weight_n)
    warnings = (*completion_warnings, *prediction.warnings, *implausible)
    bodies = tuple(foot.hindfoot for foot in person.skeleton.feet)
    summary: dict[str, Any] = {
        **about_inputs(motion_path, person),
        **({} if completion is None else {"completion": completion_summary(completion, person.skeleton)}),
        **summarise(replace(given.trial, motion=prediction.motion), prediction),
        "warnings": list(dict.fromkeys(warnings)),
        "provenance": {
            **prediction.provenance,
            "belt_speed": belt_speed_source(belt_speed_m_s, completion),
            "opensim": version("opensim"),
            "torch": version("torch"),
            **checksums(motion_path, person),
        },
    }
    interval = prediction.interval
    contents: dict[Path, str | None] = {
        forces_path: format_forces(prediction.forces, name=forces_path.stem),
        loads_path: format_external_loads(forces_path.name, bodies=(bodies[0], bodies[1])),
        summary_path: json.dumps(summary, indent=2, allow_nan=False) + "\n",
        intervals_path: None
        if interval is None
        else format_force_interval(interval, prediction.forces.time_s, name=intervals_path.stem),
    }
    if completion is not None:
        about = about_completion(given, person, seed=seed, warnings=completion_warnings)
        contents |= completed_contents(given, completion, filled_paths, about=about)
    elif filled_paths[1].is_file():  # what an earlier estimate completed
        contents |= dict.fromkeys(filled_paths)
    write_files(contents, overwrite=overwrite)
    return Written(tuple(path for path, content in contents.items() if content is not None), summary)


def in_file(motion_path: Path, error: InvalidMotionError) -> InvalidMotionError:
    """The error with the file that it is about; tasks know the trial's name at most."""
    return InvalidMotionError(f"{motion_path}: {str(error).removeprefix(f'{motion_path.stem}: ')}")


def about_inputs(motion_path: Path, person: Person) -> dict[str, Any]:
    """What a record says of whose motion it is; JSON values."""
    return {
        "motion": motion_path.name,
        "model": person.model_path.name,
        "subject": {
            "id": person.subject.id,
            "mass_kg": round(person.subject.mass_kg, 3),
            "mass_source": person.mass_source,
            "height_m": round(person.subject.height_m, 3),
            "height_source": person.height_source,
        },
    }


def belt_speed_source(belt_speed_m_s: float | None, completion: "Completion | None" = None) -> str:
    """Where the belt's speed comes from: `belt_speed_m_s` is what was given, None for nothing."""
    if belt_speed_m_s is not None:
        return "given"
    is_completed = completion is not None and completion.belt_speed_m_s is not None
    return "that of the completed motion" if is_completed else "inferred from the standing foot"


def about_completion(given: GivenTrial, person: Person, *, seed: int, warnings: Iterable[str]) -> dict[str, Any]:
    """What a file about a completion says beside the completion itself."""
    motion_path = Path(given.trial.source)
    return {
        "motion": motion_path.name,
        "model": person.model_path.name,
        "seed": seed,
        "warnings": list(dict.fromkeys(warnings)),
        **checksums(motion_path, person),
    }


def _implausible(forces: GroundReaction, body_weight_n: float) -> tuple[str, ...]:
    vertical_bw = forces.force_n[:, :, 1].sum(axis=1) / body_weight_n
    peak = int(np.argmax(vertical_bw))
    if vertical_bw[peak] < IMPLAUSIBLE_FORCE_BW:
        return ()
    return (
        f"The vertical force reaches {vertical_bw[peak]:.3g} body weights around {forces.time_s[peak]:.10g} s, which "
        "no step does: the motion probably jumps there. Look for a swapped marker or a wrong unit.",
    )


def checksums(motion_path: Path, person: Person) -> dict[str, str]:
    """Of the inputs.

    Raises:
        InputFileError: one can't be read.
    """
    return {"motion_sha256": sha256(motion_path), "model_sha256": sha256(person.model_path)}


def sha256(path: Path) -> str:
    """Checksum of a file.

    Raises:
        InputFileError: it can't be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror}).") from None
