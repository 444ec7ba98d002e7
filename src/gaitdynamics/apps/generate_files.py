"""From a wish to files of generated gaits."""

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from gaitdynamics.apps.estimate_files import Person, Written, check_inputs_kept, read_person
from gaitdynamics.apps.gait_files import GAIT_SUFFIXES, gait_contents, gait_names, gait_paths, realism_content
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.biomech.summary import summarise
from gaitdynamics.errors import InvalidSubjectError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.scaled_model import scaled_model
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.generate_gait import GeneratedGait, StateSampler, Wish, generate_gaits
from gaitdynamics.types.subject import Subject

FORMAT = 1
NAME = "generated"
GENERIC_BODY_HEIGHT_M = 1.75  # of assets/generic_body.osim
BMI_RANGE_KG_M2 = (9.0, 100.0)  # of anybody alive


def scaled_body(*, height_m: float, mass_kg: float) -> tuple[Person, str]:
    """The bundled body at a person's height and mass, and the text of its model file.

    Raises:
        InvalidSubjectError: no person is of that height or mass.
    """
    _check_human(Subject(NAME, mass_kg=mass_kg, height_m=height_m))
    generic: AbstractContextManager[Path] = as_file(files("gaitdynamics") / "assets" / "generic_body.osim")
    with generic as path:
        text = scaled_model(path, name=f"{NAME}_body", length_scale=height_m / GENERIC_BODY_HEIGHT_M, mass_kg=mass_kg)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"{NAME}_body.osim"
        written.write_text(text, encoding="utf-8")
        return read_person(written, mass_kg=mass_kg, height_m=height_m), text


def own_body(model: Path, *, height_m: float | None, mass_kg: float | None) -> Person:
    """A user's model; height and mass from it where they are not given.

    Raises:
        GaitDynamicsError: it can't be read, or no person is of that height or mass.
    """
    person = read_person(model, mass_kg=mass_kg, height_m=height_m)
    _check_human(person.subject)
    return person


def output_paths(out: Path, *, num: int) -> dict[int, tuple[Path, Path, Path]]:
    """Motion, forces and external loads of each gait, by its number, from 1."""
    digits = len(str(num))
    return {k: gait_paths(out / f"{NAME}_{k:0{digits}}") for k in range(1, num + 1)}


def generate_files(
    person: Person,
    wish: Wish,
    *,
    num: int,
    out: Path,
    sampler: StateSampler,
    sampler_name: str,
    estimator: Estimator,
    model_text: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Generate gaits and write motion, forces and external loads of each, a summary and the body, or nothing.

    Args:
        sampler_name: of the generative model's weights, for the record.
        model_text: of the body, to be written with the gaits; None for a model that the user has.
        report: told how many gaits are done, of how many.

    Raises:
        GaitDynamicsError: no gait came of it, or the results can't be written.
    """
    paths_of = output_paths(out, num=num)
    summary_path, body_path = out / f"{NAME}_summary.json", out / f"{NAME}_body.osim"
    results = [*(path for paths in paths_of.values() for path in paths), summary_path]
    if model_text is None:
        check_inputs_kept(results, [person.model_path])
    else:
        results.append(body_path)
    check_writable(results, overwrite=overwrite)

    gaits = generate_gaits(
        person.skeleton,
        person.subject,
        wish,
        num=num,
        sampler=sampler,
        estimator=estimator,
        seed=seed,
        report=report,
    )
    warnings = [*wish.warnings(person.subject)]
    summary = {
        "format": FORMAT,
        "model": person.model_path.name,
        "subject": {"mass_kg": round(person.subject.mass_kg, 3), "height_m": round(person.subject.height_m, 3)},
        "wish": {"speed_m_s": wish.speed_m_s, "activity": wish.activity, "duration_s": wish.duration_s},
        "seed": seed,
        "warnings": warnings,
        "gaits": [gait_names(paths) | _about(gait) for gait, paths in zip(gaits, paths_of.values(), strict=True)],
        "provenance": {
            **gaits[0].prediction.provenance,
            "completion": sampler_name,
            "opensim": version("opensim"),
            "torch": version("torch"),
        },
    }
    contents: dict[Path, str | bytes | None] = {}
    for gait, paths in zip(gaits, paths_of.values(), strict=True):
        contents |= gait_contents(gait.trial, gait.prediction.forces, paths)
    contents[summary_path] = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    if model_text is not None:
        contents[body_path] = model_text
    contents |= dict.fromkeys(_left_over(out, contents))
    write_files(contents, overwrite=overwrite)
    return Written(tuple(path for path, content in contents.items() if content is not None), summary)


def _about(gait: GeneratedGait) -> dict[str, Any]:
    trial, prediction = gait.trial, gait.prediction
    forces, motion = prediction.forces, trial.motion
    residual = newton_euler_residual(trial.skeleton, motion.values, forces, time_s=motion.time_s)
    return {
        **summarise(trial, prediction),
        "realism": realism_content(trial.subject, forces, residual, sliding_m_s=gait.sliding_m_s),
        "warnings": list(prediction.warnings),
    }


def _left_over(out: Path, contents: dict[Path, str | bytes | None]) -> list[Path]:
    """Gaits of an earlier, larger number: the summary would not know of them."""
    found = [path for suffix in GAIT_SUFFIXES for path in out.glob(f"{NAME}_*{suffix}")]
    return [path for path in found if path not in contents and path.name.split("_")[1].isdigit()]


def _check_human(subject: Subject) -> None:
    low, high = BMI_RANGE_KG_M2
    bmi = subject.mass_kg / subject.height_m**2
    if not low <= bmi <= high:
        raise InvalidSubjectError(
            f"{subject.mass_kg:g} kg at {subject.height_m:g} m is a body mass index of {bmi:.3g} kg/m²; people have "
            f"{low:g} to {high:g}. Give the mass in kg and the height in m, of one person."
        )
