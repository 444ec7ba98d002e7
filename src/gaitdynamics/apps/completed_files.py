"""Motions in which something is missing: read from a file, and written completed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics.errors import InvalidMotionError, UnknownCoordinateError
from gaitdynamics.io.motion import Recording, format_completed, format_motion_interval, read_recording
from gaitdynamics.io.table import shortened
from gaitdynamics.maths.signals import intervals
from gaitdynamics.model.checkpoint import DESCRIPTION_FILE, read_description
from gaitdynamics.model.published import PUBLISHED_KINDS
from gaitdynamics.state.codec import completed_columns
from gaitdynamics.state.parts import completable_coordinates, coordinates_of_parts, hidden
from gaitdynamics.tasks.estimate_forces import PHYSICS
from gaitdynamics.tasks.estimators import weights_folder
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import Completion

COMPLETED_SUFFIXES = ("_motion.mot", "_filled.json", "_motion_intervals.mot")
FORMAT = 1
WIDTH_DECIMALS = 4
NOTHING_FILLED = {
    "filled": {},
    "num_samples": 0,
    "mean_interval_width_deg": {},
    "mean_interval_width_m": {},
    "provenance": {},
}


@dataclass(frozen=True)
class GivenTrial:
    """A trial as its file has it, without what the user calls missing.

    Args:
        trial: `observed` tells what there is.
        recording: the file.
        is_given: numbers of the file that are not called missing, (T, C).
    """

    trial: Trial
    recording: Recording
    is_given: np.ndarray

    @property
    def warnings(self) -> tuple[str, ...]:
        """About the file, for the user."""
        return self.recording.warnings

    @property
    def is_incomplete(self) -> bool:
        """Whether anything that can be completed was not observed."""
        return bool(completed_columns(self.trial).any())


def completes_by_itself(weights: str) -> bool:
    """Whether the estimator of that name is the authors' pipeline, which deals with missing motion in its own way.

    Raises:
        InputFileError: no such weights, or they can't be read.
    """
    if weights == PHYSICS:
        return False
    folder = weights_folder(weights)
    is_one = (folder / DESCRIPTION_FILE).exists()
    folders = [folder] if is_one else sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION_FILE}"))
    return {read_description(each)["kind"] for each in folders} <= set(PUBLISHED_KINDS)


def missing_coordinates(skeleton: Skeleton, names: Sequence[str]) -> tuple[str, ...]:
    """The coordinates behind names that a user gives after `--missing`.

    Raises:
        UnknownCoordinateError: no such part or coordinate, or none that can be completed.
    """
    coordinates = coordinates_of_parts(skeleton, names)
    known = completable_coordinates(skeleton)
    others = [name for name in coordinates if name not in known]
    if others:
        raise UnknownCoordinateError(
            f"{shortened(others)} can't be completed: what is known of gait are pelvis, trunk and legs. Leave the "
            "names out; the motion's own values are used."
        )
    return coordinates


def read_given(
    motion_path: Path,
    subject: Subject,
    skeleton: Skeleton,
    *,
    missing: Sequence[str],
    belt_speed_m_s: float | None,
    is_completed: bool,
) -> GivenTrial:
    """Read a motion file and forget what the user calls missing.

    Args:
        motion_path: .mot or .sto.
        subject: whose motion it is.
        skeleton: the person's model.
        missing: coordinates that are not to be believed, as `missing_coordinates` gives them.
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it.
        is_completed: whether somebody completes it, so that of pelvis, trunk and legs anything may be missing in the
            file, wholly or for a while.

    Raises:
        GaitDynamicsError: the motion can't be read, or nothing of pelvis, trunk and legs is known.
    """
    completable = completable_coordinates(skeleton)
    trial_of = partial(_given, subject=subject, skeleton=skeleton, missing=missing, belt_speed_m_s=belt_speed_m_s)
    given = trial_of(motion_path, completed=completable if is_completed else ())
    is_filled = completed_columns(given.trial)
    is_known = given.trial.motion.observed | is_filled
    # A joint that was never measured beyond one that was, such as a subtalar held at zero, is not completed: it is read
    # as any other coordinate.
    beyond = [name for name, known in zip(skeleton.coordinate_names, is_known.T, strict=True) if not known.all()]
    if is_completed and not set(beyond).isdisjoint(completable):
        given = trial_of(motion_path, completed=[name for name in completable if name not in beyond])
    is_completable = [name in completable for name in skeleton.coordinate_names]
    if not given.trial.motion.observed[:, is_completable].any():
        raise InvalidMotionError(
            f"{motion_path}: nothing of pelvis, trunk and legs is known, so there is nothing to complete. Give more of "
            "the motion; 'gaitdynamics generate' makes a gait from speed and body size alone."
        )
    return given


def _given(
    motion_path: Path,
    *,
    subject: Subject,
    skeleton: Skeleton,
    missing: Sequence[str],
    completed: Sequence[str],
    belt_speed_m_s: float | None,
) -> GivenTrial:
    recording = read_recording(motion_path, skeleton.coordinates, completed=completed)
    motion = recording.motion
    observed = motion.observed.copy()
    for column, coordinate in enumerate(skeleton.coordinates):
        if coordinate.coupled_to is not None:  # it says nothing of its own
            observed[:, column] &= observed[:, skeleton.coordinate_names.index(coordinate.coupled_to)]
    motion = replace(motion, values=skeleton.with_coupled_values(motion.values), observed=observed)
    trial = Trial(motion_path.stem, subject, skeleton, motion, None, belt_speed_m_s, str(motion_path))
    is_given = np.isfinite(recording.numbers)
    if missing:
        trial = hidden(trial, missing)
        is_given[:, [c.name in missing or c.coupled_to in missing for c in skeleton.coordinates]] = False
    return GivenTrial(trial, recording, is_given)


def completed_paths(motion_path: Path, out: Path) -> tuple[Path, Path, Path]:
    """Where the completed motion, what was filled in, and how sure it is are written."""
    motion, filled, interval = (out / f"{motion_path.stem}{suffix}" for suffix in COMPLETED_SUFFIXES)
    return motion, filled, interval


def completed_contents(
    given: GivenTrial, completion: "Completion | None", paths: tuple[Path, Path, Path], *, about: dict[str, Any]
) -> dict[Path, str | None]:
    """What is written of a completed motion, by file; None for the intervals where there are none.

    Args:
        given: what there was.
        completion: of it; None where nothing was missing.
        paths: as `completed_paths` gives them.
        about: what else to say of it, JSON values.
    """
    motion_path, filled_path, interval_path = paths
    skeleton, recording = given.trial.skeleton, given.recording
    values = given.trial.motion.values if completion is None else completion.motion.values
    is_given = given.is_given if completion is None else given.is_given & ~_with_followers(completion, skeleton)
    content = {
        "format": FORMAT,
        **about,
        **(NOTHING_FILLED if completion is None else completion_summary(completion, skeleton)),
    }
    interval = None
    if completion is not None and completion.lower is not None and completion.upper is not None:
        bounds = (completion.lower, completion.upper)
        interval = format_motion_interval(
            recording, bounds, skeleton.coordinates, only=_filled_names(completion), name=interval_path.stem
        )
    return {
        motion_path: format_completed(recording, values, is_given, skeleton.coordinates, name=motion_path.stem),
        filled_path: json.dumps(content, indent=2, allow_nan=False) + "\n",
        interval_path: interval,
    }


def completion_summary(completion: "Completion", skeleton: Skeleton) -> dict[str, Any]:
    """What was filled in, from how many samples, and how sure it is; JSON values.

    `filled` holds "all" for a coordinate that was missing throughout, else the first and the last filled time of each
    gap. Widths are means over what was filled; a single sample has none.
    """
    time_s, lower, upper = completion.motion.time_s, completion.lower, completion.upper
    filled: dict[str, Any] = {}
    widths: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for name in _filled_names(completion):
        column = skeleton.coordinate_names.index(name)
        is_filled = completion.is_filled[:, column]
        gaps = [[_time(time_s[start]), _time(time_s[end - 1])] for start, end in intervals(is_filled)]
        filled[name] = "all" if is_filled.all() else gaps
        if lower is not None and upper is not None:
            is_rotational = skeleton.coordinates[column].is_rotational
            width = float((upper - lower)[is_filled, column].mean())
            widths[is_rotational][name] = round(width * (DEGREES_PER_RADIAN if is_rotational else 1.0), WIDTH_DECIMALS)
    return {
        "filled": filled,
        "num_samples": len(completion.samples),
        "mean_interval_width_deg": widths[True],
        "mean_interval_width_m": widths[False],
        "provenance": completion.provenance,
    }


def _filled_names(completion: "Completion") -> list[str]:
    is_filled = completion.is_filled.any(axis=0)
    return [completion.motion.coordinates[column] for column in np.flatnonzero(is_filled)]


def _with_followers(completion: "Completion", skeleton: Skeleton) -> np.ndarray:
    """Entries that are filled, or follow one that is, (T, C)."""
    is_filled = completion.is_filled.copy()
    index = {name: column for column, name in enumerate(skeleton.coordinate_names)}
    for column, coordinate in enumerate(skeleton.coordinates):
        if coordinate.coupled_to is not None:
            is_filled[:, column] |= completion.is_filled[:, index[coordinate.coupled_to]]
    return is_filled


def _time(time_s: float) -> float:
    return float(f"{time_s:.10g}")
