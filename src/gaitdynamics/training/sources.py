"""The recordings that a data folder can be built from: of study folders, and of AddBiomechanics' .b3d files."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.b3d import B3DSubject, read_b3d, read_b3d_skeletons, trial_from_b3d
from gaitdynamics.io.study import Interval, StudyTrial, read_study
from gaitdynamics.training.corpus import OVERGROUND, load_trial
from gaitdynamics.training.quality import Excluded
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

B3D_SUFFIX = ".b3d"
TRAIN, VALIDATION = "train", "validation"
VALIDATION_SHARE = 0.1  # of the people of a source that has no splits
TREADMILL = "treadmill"
ALWAYS: tuple[Interval, ...] = ((-math.inf, math.inf),)


@dataclass(frozen=True)
class Candidate:
    """A recording that may get into a data folder: what is known of it, and where it lies.

    Args:
        name: `dataset/subject/trial`.
        group: the person, under whatever datasets.
        split: None until `with_splits`, where the source has none.
        activity: None where the source does not say.
        valid_s: where every foot on the ground is on a plate, as far as the force is there at all.
        suspect_s: where the motion is not to be trusted.
        files: whose content the recording is.
        origin: the trial of a study, or the number of one in a .b3d file.
    """

    name: str
    dataset: str
    subject: str
    group: str
    split: str | None
    activity: str | None
    surface: str | None
    sex: str | None
    age_years: float | None
    mass_kg: float
    height_m: float | None
    valid_s: tuple[Interval, ...]
    suspect_s: tuple[Interval, ...]
    files: tuple[Path, ...]
    origin: StudyTrial | int

    def load(self) -> Trial:
        """Read it.

        Raises:
            GaitDynamicsError: it can't be read or used.
        """
        if isinstance(self.origin, StudyTrial):
            return load_trial(self.origin)
        subject, skeletons = _b3d(self.files[0])
        trial = trial_from_b3d(subject, subject.trials[self.origin], skeletons)
        return replace(trial, name=self.name, source=self.dataset)

    def fingerprint(self) -> str:
        """A hash of all that it is made of, wherever it lies.

        Raises:
            InputFileError: a file can't be read.
        """
        about = {key: value for key, value in asdict(self).items() if key not in ("files", "origin")}
        if isinstance(self.origin, StudyTrial):
            about["unmeasured"] = self.origin.unmeasured_coordinates
            about["belt_speed_m_s"] = self.origin.belt_speed_m_s
        else:
            about["number"] = self.origin
        digest = hashlib.sha256(repr(sorted(about.items())).encode())
        for path in self.files:
            digest.update(_sha256(path, *_state(path)))
        return digest.hexdigest()


def read_sources(sources: Sequence[Path]) -> tuple[tuple[Candidate, ...], tuple[Excluded, ...]]:
    """List the recordings of several sources; motions and forces are not read yet.

    Args:
        sources: study folders, .b3d files, and folders of those.

    Returns:
        The recordings, sorted by name, each with its split; and those left out so that nobody is in two splits.

    Raises:
        InputFileError: a source holds nothing, a file is missing or malformed, or two people have the same id.
    """
    candidates: list[Candidate] = []
    for source in sources:
        paths = _b3d_files(source)
        if paths:
            candidates += [candidate for path in paths for candidate in _of_b3d(path)]
        elif source.is_file():
            raise InputFileError(f"{source}: not a {B3D_SUFFIX} file. Give a study's folder, or {B3D_SUFFIX} files.")
        else:
            candidates += [_of_study(trial) for trial in read_study(source)]
    place_of: dict[tuple[str, str], Path] = {}
    seen: dict[str, Path] = {}
    for candidate in candidates:
        path = candidate.files[0]
        other = place_of.setdefault((candidate.dataset, candidate.subject), path)
        if other.resolve() != path.resolve():
            raise InputFileError(
                f"{path.parent} and {other.parent} are both subject '{candidate.subject}' of '{candidate.dataset}'. "
                "Give each person an id of their own, and each source once."
            )
        if candidate.name in seen:
            raise InputFileError(f"{path}: the recording '{candidate.name}' is given twice. Give each source once.")
        seen[candidate.name] = path
    kept, excluded = with_splits(candidates)
    return tuple(sorted(kept, key=lambda candidate: candidate.name)), tuple(excluded)


def with_splits(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Excluded]]:
    """Each person in one split: as stated, or else drawn by a hash of the person's group, a tenth for validation.

    Who is tested on under any dataset is not trained on under another: such recordings are left out.

    Returns:
        The recordings with their splits, and those left out.
    """
    candidates = list(candidates)
    tested: dict[str, Candidate] = {}
    trained = {candidate.group for candidate in candidates if candidate.split == TRAIN}
    for candidate in candidates:
        if candidate.split not in (None, TRAIN):
            tested.setdefault(candidate.group, candidate)
    kept, excluded = [], []
    for candidate in candidates:
        other = tested.get(candidate.group)
        if other is not None and candidate.split == TRAIN:
            reason = f"the person is in two splits: '{TRAIN}' here, '{other.split}' with {other.name}"
            excluded.append(Excluded(candidate.name, reason))
            continue
        drawn = TRAIN if candidate.group in trained else _drawn_split(candidate.group)
        kept.append(replace(candidate, split=candidate.split or (drawn if other is None else other.split)))
    return kept, excluded


def _drawn_split(group: str) -> str:
    number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return VALIDATION if number < VALIDATION_SHARE * 2**64 else TRAIN


def _b3d_files(source: Path) -> list[Path]:
    if source.suffix == B3D_SUFFIX:
        return [source]
    return sorted(source.rglob(f"*{B3D_SUFFIX}")) if source.is_dir() else []


def _of_study(trial: StudyTrial) -> Candidate:
    return Candidate(
        name=trial.name,
        dataset=trial.dataset,
        subject=trial.subject,
        group=trial.group,
        split=trial.split,
        activity=trial.activity,
        surface=trial.surface,
        sex=trial.sex,
        age_years=trial.age_years,
        mass_kg=trial.mass_kg,
        height_m=trial.height_m,
        valid_s=trial.forces_valid_s,
        suspect_s=trial.suspect_kinematics_s,
        files=(trial.model_path, trial.motion_path, trial.forces_path),
        origin=trial,
    )


def _of_b3d(path: Path) -> list[Candidate]:
    subject = read_b3d(path)
    # AddBiomechanics' archives hold <dataset>/<subject>/<subject>.b3d
    folder = path.resolve().parent
    dataset = folder.parent.name if folder.name == path.stem else folder.name
    person: dict[str, Any] = {
        "dataset": dataset,
        "subject": path.stem,
        "group": f"{dataset}/{path.stem}",
        "split": None,
        "activity": None,
        "sex": subject.sex,
        "age_years": subject.age_years,
        "mass_kg": subject.mass_kg,
        "height_m": subject.height_m,
        "valid_s": ALWAYS,
        "suspect_s": (),
        "files": (path,),
    }
    return [
        Candidate(
            name=f"{dataset}/{path.stem}/{trial.name}",
            surface=next((tag for tag in trial.tags if tag in (OVERGROUND, TREADMILL)), None),
            origin=number,
            **person,
        )
        for number, trial in enumerate(subject.trials)
    ]


@lru_cache(maxsize=2)
def _b3d(path: Path) -> tuple[B3DSubject, tuple[Skeleton, ...]]:
    subject = read_b3d(path)
    return subject, read_b3d_skeletons(subject)


def _state(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror}).") from None
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _sha256(path: Path, size_bytes: int, changed_ns: int) -> bytes:
    """Of a file's content; computed again when its size or time of change differs."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror}).") from None
