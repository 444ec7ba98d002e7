"""From a model file and a motion file to the files that a user gets."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.biomech.anthropometry import body_mass_kg, estimated_height_m
from gaitdynamics.biomech.summary import summarise
from gaitdynamics.errors import InputFileError, InvalidModelError, InvalidMotionError, InvalidSubjectError, OutputError
from gaitdynamics.io.external_loads import format_external_loads
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.forces import format_force_interval, format_forces
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import MASS_RANGE_KG, Subject
from gaitdynamics.types.trial import Trial

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
    """The files that `estimate_file` may write; the last, of intervals, only with an estimator that gives them."""
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
) -> Written:
    """Estimate forces for one motion and write forces, external loads and summary, or nothing.

    Args:
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it from the standing foot.
        estimator: as `load_estimator` gives it.

    Raises:
        GaitDynamicsError: the motion can't be read or used, or the results can't be written.
    """
    forces_path, loads_path, summary_path, intervals_path = paths = output_paths(motion_path, out)
    check_inputs_kept(paths, [motion_path, person.model_path])
    check_writable(paths, overwrite=overwrite)
    motion, warnings = read_motion(motion_path, person.skeleton.coordinates)
    motion = replace(motion, values=person.skeleton.with_coupled_values(motion.values))
    trial = Trial(motion_path.stem, person.subject, person.skeleton, motion, None, belt_speed_m_s, str(motion_path))
    try:
        prediction = estimator(trial, seed=seed)
    except InvalidMotionError as error:
        raise InvalidMotionError(f"{motion_path}: {error}") from None
    warnings += (*prediction.warnings, *_implausible(prediction.forces, person.subject.body_weight_n))
    bodies = tuple(foot.hindfoot for foot in person.skeleton.feet)
    summary: dict[str, Any] = {
        "motion": motion_path.name,
        "model": person.model_path.name,
        "subject": {
            "id": person.subject.id,
            "mass_kg": round(person.subject.mass_kg, 3),
            "mass_source": person.mass_source,
            "height_m": round(person.subject.height_m, 3),
            "height_source": person.height_source,
        },
        **summarise(replace(trial, motion=prediction.motion), prediction),
        "warnings": list(warnings),
        "provenance": {
            **prediction.provenance,
            "belt_speed": "inferred from the standing foot" if belt_speed_m_s is None else "given",
            "opensim": version("opensim"),
            "torch": version("torch"),
            "motion_sha256": _sha256(motion_path),
            "model_sha256": _sha256(person.model_path),
        },
    }
    interval = prediction.interval
    contents = {
        forces_path: format_forces(prediction.forces, name=forces_path.stem),
        loads_path: format_external_loads(forces_path.name, bodies=(bodies[0], bodies[1])),
        summary_path: json.dumps(summary, indent=2, allow_nan=False) + "\n",
        intervals_path: None
        if interval is None
        else format_force_interval(interval, prediction.forces.time_s, name=intervals_path.stem),
    }
    write_files(contents, overwrite=overwrite)
    return Written(tuple(path for path, content in contents.items() if content is not None), summary)


def _implausible(forces: GroundReaction, body_weight_n: float) -> tuple[str, ...]:
    vertical_bw = forces.force_n[:, :, 1].sum(axis=1) / body_weight_n
    peak = int(np.argmax(vertical_bw))
    if vertical_bw[peak] < IMPLAUSIBLE_FORCE_BW:
        return ()
    return (
        f"The vertical force reaches {vertical_bw[peak]:.3g} body weights around {forces.time_s[peak]:.10g} s, which "
        "no step does: the motion probably jumps there. Look for a swapped marker or a wrong unit.",
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror}).") from None
