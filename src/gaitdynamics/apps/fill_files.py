"""From a model file and a motion file in which something is missing to a completed motion file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gaitdynamics.apps.completed_files import (
    NOTHING_FILLED,
    completed_contents,
    completed_paths,
    completion_summary,
    read_given,
)
from gaitdynamics.apps.estimate_files import Person, Written, about_completion, check_inputs_kept, in_file
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.files import check_writable, write_files

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import MotionCompleter


def fill_file(
    motion_path: Path,
    person: Person,
    *,
    out: Path,
    belt_speed_m_s: float | None,
    completer: "Callable[[], MotionCompleter]",
    num_samples: int | None = None,
    overwrite: bool = False,
    seed: int = 0,
    missing: Sequence[str] = (),
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Complete one motion and write it, what was filled in, and between which values that lies; or nothing.

    A whole motion is written as it is.

    Args:
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it from the standing foot.
        completer: loads what completes the motion.
        num_samples: completions to draw; None for the usual number.
        missing: coordinates that are not to be believed, as `missing_coordinates` gives them.
        report: called with the number of samples drawn and to be drawn.

    Raises:
        GaitDynamicsError: the motion can't be read or completed, or the results can't be written.
    """
    paths = completed_paths(motion_path, out)
    check_inputs_kept(paths, [motion_path, person.model_path])
    check_writable(paths, overwrite=overwrite)
    given = read_given(
        motion_path,
        person.subject,
        person.skeleton,
        missing=missing,
        belt_speed_m_s=belt_speed_m_s,
        is_completed=True,
    )
    completion = None
    if given.is_incomplete:
        from gaitdynamics.tasks.fill_motion import usual_samples  # whole motions do without

        num = usual_samples(given.trial.motion) if num_samples is None else num_samples
        try:
            completion = completer()(given.trial, num_samples=num, seed=seed, report=report)
        except InvalidMotionError as error:
            raise in_file(motion_path, error) from None
    warnings = given.warnings if completion is None else (*given.warnings, *completion.warnings)
    about = about_completion(given, person, seed=seed, warnings=warnings)
    contents = completed_contents(given, completion, paths, about=about)
    write_files(contents, overwrite=overwrite)
    written = tuple(path for path, content in contents.items() if content is not None)
    summary = NOTHING_FILLED if completion is None else completion_summary(completion, person.skeleton)
    return Written(written, {**about, **summary})
