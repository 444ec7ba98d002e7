"""From a motion file and speeds to files of the same person's gait at those speeds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gaitdynamics.apps.estimate_files import Person, checksums, in_file
from gaitdynamics.apps.gait_plots import speed_picture
from gaitdynamics.apps.measured_versions import measure
from gaitdynamics.apps.recorded_files import about_recorded, read_recorded
from gaitdynamics.apps.version_files import (
    Places,
    Shown,
    WrittenVersions,
    check_places,
    write_versions,
)
from gaitdynamics.apps.version_tables import RECORDED, SPEED_ROWS
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.model.speed_response import SpeedResponse
from gaitdynamics.tasks.change_speed import change_speed
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.gait_versions import GaitVersion

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import MotionCompleter


def speed_places(motion_path: Path, out: Path, *, to_m_s: Sequence[float]) -> Places:
    """Where the results at other speeds go."""
    stems = [f"{motion_path.stem}_speed_{speed:.10g}" for speed in to_m_s]
    return Places.of(out, gaits=stems, all_of_them=f"{motion_path.stem}_speeds")


def speed_file(
    motion_path: Path,
    person: Person,
    *,
    to_m_s: Sequence[float],
    activity: str | None,
    num_samples: int,
    seed: int,
    belt_speed_m_s: float | None,
    estimator: Estimator,
    response: SpeedResponse,
    response_name: str,
    completer: "Callable[[], MotionCompleter]",
    out: Path,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> WrittenVersions:
    """Bring a gait to other speeds, and write for each motion, forces and external loads; for all a record, a table and
    a picture.

    Args:
        to_m_s: the speeds.
        activity: walk or run; None for what was recorded.
        num_samples: gaits to draw for each speed, for intervals.
        seed: of their noise.
        belt_speed_m_s: of the recorded treadmill; 0 overground; None to infer it from the standing foot.
        response: how gaits change with speed.
        response_name: of its weights, for the record.
        completer: loads what completes a motion in which something is missing.
        report: told how much is done, of how much.

    Raises:
        GaitDynamicsError: the motion can't be read or has no stride, or the results can't be written.
    """
    places = speed_places(motion_path, out, to_m_s=to_m_s)
    stale = check_places(places, [motion_path, person.model_path], overwrite=overwrite)
    recorded = read_recorded(motion_path, person, belt_speed_m_s=belt_speed_m_s, completer=completer, seed=seed)
    try:
        versions = change_speed(
            recorded.trial,
            to_m_s=to_m_s,
            activity=activity,
            estimator=estimator,
            response=response,
            num_samples=num_samples,
            seed=seed,
            report=lambda done, total: report(done, 2 * total),
        )
    except InvalidMotionError as error:
        raise in_file(motion_path, error) from None
    measured = measure(versions, report=lambda done, total: report(total + done, 2 * total))
    heads = speed_heads(versions)
    picture = speed_picture(
        measured, heads=[f"{heads[0]} m/s", *heads[1:]], title=f"{motion_path.stem} at other speeds"
    )
    return write_versions(
        measured,
        places,
        about={
            **about_recorded(motion_path, person, recorded),
            "to_m_s": list(to_m_s),
            "activity": activity,
            "samples": num_samples,
            "seed": seed,
        },
        warnings=recorded.warnings,
        provenance={
            "response": response_name,
            "belt_speed": recorded.belt_speed_source,
            **checksums(motion_path, person),
        },
        amount="speed_m_s",
        picture=picture,
        shown=Shown(f"{motion_path.name} at other speeds", heads, SPEED_ROWS),
        stale=stale,
        overwrite=overwrite,
    )


def speed_heads(versions: Sequence[GaitVersion]) -> tuple[str, ...]:
    """What the versions are called in a table or a legend."""
    recorded, *others = versions
    return (f"{RECORDED}, {recorded.amount:.2f}", *(f"{each.amount:.10g} m/s" for each in others))
