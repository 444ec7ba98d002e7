"""A study: a folder of people, each with a model and trials."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.table import read_text

SUBJECT_FILE = "subject.json"
TRIAL_FILE = "trial.json"
MODEL_FILE = "model.osim"
MOTION_FILE = "ik.mot"
FORCES_FILE = "grf.mot"

Interval = tuple[float, float]


@dataclass(frozen=True)
class StudyTrial:
    """Where one recording lies, and what the study says about it.

    Args:
        dataset: the study.
        subject: the person's id in that study.
        trial: name of the recording.
        group: the same for one person under two datasets; `dataset/subject` where the study has no groups.
        split: `train`, `validation`, …; None where the study has none.
        mass_kg: of the person.
        height_m: of the person; None where unknown.
        sex: as stated.
        age_years: as stated.
        activity: `walk`, `run`, ….
        surface: `treadmill`, `overground`; None where unknown.
        belt_speed_m_s: None overground, or where unknown.
        forces_valid_s: in which every foot on the ground is on a plate.
        unmeasured_coordinates: constant or locked: not observations.
        suspect_kinematics_s: where the motion is not to be trusted.
        bad_contacts: as the study writes them.
        model_path: .osim.
        motion_path: .mot.
        forces_path: .mot.
    """

    dataset: str
    subject: str
    trial: str
    group: str
    split: str | None
    mass_kg: float
    height_m: float | None
    sex: str | None
    age_years: float | None
    activity: str
    surface: str | None
    belt_speed_m_s: float | None
    forces_valid_s: tuple[Interval, ...]
    unmeasured_coordinates: tuple[str, ...]
    suspect_kinematics_s: tuple[Interval, ...]
    bad_contacts: tuple[Any, ...]
    model_path: Path
    motion_path: Path
    forces_path: Path

    @property
    def name(self) -> str:
        """`dataset/subject/trial`."""
        return f"{self.dataset}/{self.subject}/{self.trial}"


def read_study(folder: str | Path) -> tuple[StudyTrial, ...]:
    """List the trials of a study; motions and forces are not read yet.

    Args:
        folder: with `dataset/subject/trial/`, or one dataset or one subject of it. A subject's folder holds
            `model.osim` and `subject.json`, a trial's `ik.mot`, `grf.mot` and `trial.json`.

    Returns:
        The trials, sorted by dataset, subject and trial.

    Raises:
        InputFileError: no trials, a file missing or malformed, or one person's id in two folders.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputFileError(f"{folder}: no such folder. Give the folder of a study.")
    trial_folders = _trial_folders(folder)
    if not trial_folders:
        raise InputFileError(
            f"{folder}: no trials. Expected <dataset>/<subject>/<trial>/ with {TRIAL_FILE}, {MOTION_FILE} "
            f"and {FORCES_FILE}, and {SUBJECT_FILE} and {MODEL_FILE} beside the trials; "
            "or one dataset or subject of that."
        )
    folder_of: dict[tuple[str, str], Path] = {}
    trials = []
    for subject_folder in sorted({path.parent for path in trial_folders}):
        person = _JsonFile(subject_folder / SUBJECT_FILE)
        place = subject_folder.resolve()
        identity = (
            person.get("dataset", _text, default=place.parent.name),
            person.get("subject", _text, default=place.name),
        )
        other = folder_of.setdefault(identity, subject_folder)
        if other != subject_folder:
            raise InputFileError(
                f"{subject_folder} and {other} are both subject '{identity[1]}' of '{identity[0]}'. "
                f"Give each person an id of their own in {SUBJECT_FILE}."
            )
        trials += [_study_trial(identity, person, path) for path in trial_folders if path.parent == subject_folder]
    return tuple(sorted(trials, key=lambda trial: (trial.dataset, trial.subject, trial.trial)))


def _trial_folders(folder: Path) -> set[Path]:
    """The folders with any file of a trial, on the first level that has one."""
    for level in ("*", "*/*", "*/*/*"):
        found = [folder.glob(f"{level}/{name}") for name in (TRIAL_FILE, MOTION_FILE, FORCES_FILE)]
        folders = {path.parent for paths in found for path in paths}
        if folders:
            return folders
    return set()


def _study_trial(identity: tuple[str, str], person: "_JsonFile", folder: Path) -> StudyTrial:
    recording = _JsonFile(folder / TRIAL_FILE)
    return StudyTrial(
        dataset=identity[0],
        subject=identity[1],
        trial=folder.name,
        group=person.get("group", _text, default="/".join(identity)),
        split=person.get("split", _text, default=None),
        mass_kg=person.get("mass_kg", _positive),
        height_m=person.get("height_m", _positive, default=None),
        sex=person.get("sex", _text, default=None),
        age_years=person.get("age_years", _positive, default=None),
        activity=recording.get("activity", _text),
        surface=recording.get("surface", _text, default=None),
        belt_speed_m_s=recording.get("belt_speed_m_s", _number, default=None),
        forces_valid_s=recording.get("forces_valid_s", _intervals),
        unmeasured_coordinates=recording.get("unmeasured_coordinates", _texts, default=()),
        suspect_kinematics_s=recording.get("suspect_kinematics_s", _intervals, default=()),
        bad_contacts=recording.get("bad_contacts", _list, default=()),
        model_path=_existing(person.path.with_name(MODEL_FILE)),
        motion_path=_existing(folder / MOTION_FILE),
        forces_path=_existing(folder / FORCES_FILE),
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputFileError(f"{path}: there is no such file. Every trial of a study needs it.")
    return path


_REQUIRED: Any = object()


class _JsonFile:
    """The values of a JSON object, each checked as it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(read_text(_existing(path)))
        except json.JSONDecodeError as error:
            raise InputFileError(
                f"{path}: not JSON: {error.msg} (line {error.lineno}, column {error.colno}). Repair it."
            ) from None
        if not isinstance(content, dict):
            raise InputFileError(f"{path}: holds a {type(content).__name__}. Expected an object: {{...}}.")
        self._content = content

    def get(self, key: str, convert: Callable[[Any], Any], *, default: Any = _REQUIRED) -> Any:
        """The value of a key; the default where it is absent or null."""
        value = self._content.get(key)
        if value is None:
            if default is _REQUIRED:
                raise InputFileError(f"{self.path}: '{key}' is missing. Add it; it is required.")
            return default
        try:
            return convert(value)
        except (TypeError, ValueError):
            raise InputFileError(
                f"{self.path}: '{key}' is {json.dumps(value)[:80]}. Expected {convert.__doc__}."
            ) from None


def _text(value: Any) -> str:
    """a text"""
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    """a list of texts"""
    return tuple(_text(item) for item in _list(value))


def _list(value: Any) -> tuple[Any, ...]:
    """a list"""
    if not isinstance(value, list):
        raise TypeError
    return tuple(value)


def _number(value: Any) -> float:
    """a number"""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _positive(value: Any) -> float:
    """a number above zero"""
    if _number(value) <= 0:
        raise ValueError
    return float(value)


def _intervals(value: Any) -> tuple[Interval, ...]:
    """a list of [start, end] in seconds, start before end"""
    intervals = tuple((_number(start), _number(end)) for start, end in _list(value))
    if any(start > end for start, end in intervals):
        raise ValueError
    return intervals
