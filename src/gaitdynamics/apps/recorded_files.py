"""From a motion file to a recorded gait that is whole: what `moments`, `modify` and `speed` begin with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics.apps.completed_files import completion_summary, read_given
from gaitdynamics.apps.estimate_files import Person, about_inputs, belt_speed_source, in_file
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.types.trial import Trial

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import MotionCompleter


@dataclass(frozen=True)
class Recorded:
    """A recorded gait that is whole, and how it became so.

    Args:
        trial: with what was missing completed, but for a trunk that was never measured.
        warnings: about the file and its completion, for the user.
        belt_speed_source: where the belt's speed comes from.
        completion: what was filled in, JSON values; None where nothing was.
    """

    trial: Trial
    warnings: tuple[str, ...]
    belt_speed_source: str
    completion: dict[str, Any] | None = None


def read_recorded(
    motion_path: Path,
    person: Person,
    *,
    belt_speed_m_s: float | None,
    completer: "Callable[[], MotionCompleter]",
    seed: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Recorded:
    """Read a motion as `estimate` does; what is missing of it is completed.

    Raises:
        GaitDynamicsError: it can't be read or completed.
    """
    given = read_given(
        motion_path,
        person.subject,
        person.skeleton,
        missing=(),
        belt_speed_m_s=belt_speed_m_s,
        is_completed=True,
    )
    as_given = Recorded(given.trial, given.warnings, belt_speed_source(belt_speed_m_s))
    if not given.is_incomplete:
        return as_given
    # Few motions need these.
    from gaitdynamics.tasks.completed_forces import completed_trial, needs_completion
    from gaitdynamics.tasks.fill_motion import usual_samples

    if not needs_completion(given.trial):
        return as_given
    try:
        completion = completer()(given.trial, num_samples=usual_samples(given.trial.motion), seed=seed, report=report)
    except InvalidMotionError as error:
        raise in_file(motion_path, error) from None
    trial = completed_trial(given.trial, completion)
    is_used = completion.is_filled & trial.motion.observed
    names = [trial.motion.coordinates[column] for column in np.flatnonzero(is_used.any(axis=0))]
    completed = (
        f"Not measured, so completed first: {', '.join(names)}. All results rest on that, too; 'gaitdynamics fill' "
        "writes the completed motion."
    )
    return Recorded(
        trial,
        (*given.warnings, *completion.warnings, completed),
        belt_speed_source(belt_speed_m_s, completion),
        completion_summary(completion, person.skeleton),
    )


def about_recorded(motion_path: Path, person: Person, recorded: Recorded) -> dict[str, Any]:
    """What a record says of whose gait it is, and of its completion; JSON values."""
    completion = {} if recorded.completion is None else {"completion": recorded.completion}
    return about_inputs(motion_path, person) | completion
