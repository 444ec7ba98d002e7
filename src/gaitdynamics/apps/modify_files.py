"""From a motion file and the changes that a user asks for to files of the changed gait and its loads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gaitdynamics.apps.changed_coordinates import dose_label, followed_coordinates, rows_of, shown_curve
from gaitdynamics.apps.estimate_files import Person, checksums, in_file, sha256
from gaitdynamics.apps.gait_plots import modification_picture
from gaitdynamics.apps.measured_versions import measure
from gaitdynamics.apps.recorded_files import about_recorded, read_recorded
from gaitdynamics.apps.version_files import (
    Places,
    Shown,
    WrittenVersions,
    check_places,
    write_versions,
)
from gaitdynamics.apps.version_tables import MODIFICATION_ROWS, RECORDED
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.gait_changes import parse_change
from gaitdynamics.tasks.gait_versions import GaitVersion
from gaitdynamics.tasks.modify_gait import modify_gait

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import MotionCompleter


def modification_places(motion_path: Path, out: Path, *, doses: Sequence[float] | None) -> Places:
    """Where the results of a modification go."""
    stem = f"{motion_path.stem}_modified"
    return Places.of(
        out, gaits=[stem] if doses is None else [f"{stem}_{dose:.10g}" for dose in doses], all_of_them=stem
    )


def version_heads(versions: Sequence[GaitVersion], doses: Sequence[float] | None) -> tuple[str, ...]:
    """What the versions are called in a table that says what was changed."""
    if doses is None:
        return (RECORDED, *("changed" for _ in versions[1:]))
    return (RECORDED, *(f"{each.amount:.10g}" for each in versions[1:]))


def modify_file(
    motion_path: Path,
    person: Person,
    *,
    changes: Sequence[str],
    doses: Sequence[float] | None,
    method: str,
    num_samples: int,
    seed: int,
    belt_speed_m_s: float | None,
    estimator: Estimator,
    completer: "Callable[[], MotionCompleter]",
    completer_name: str,
    out: Path,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> WrittenVersions:
    """Change a gait; write motion, forces and external loads of each dose, and record, table and picture of all.

    Args:
        changes: as a user writes them after `--change`.
        doses: that the number of a single change takes, one after the other; None for the change as it is.
        method: of finding the gait, as `modify_gait` knows them.
        num_samples: gaits to draw for each dose, for intervals.
        seed: of their noise.
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it from the standing foot.
        completer: loads the model of gait.
        completer_name: of its weights, for the record.
        report: told how much is done, of how much.

    Raises:
        GaitDynamicsError: the motion can't be read or changed, or the results can't be written.
    """
    places = modification_places(motion_path, out, doses=doses)
    parsed = [parse_change(text, person.skeleton) for text in changes]
    curves = [change.path for change in parsed if change.path is not None]
    stale = check_places(places, [motion_path, person.model_path, *curves], overwrite=overwrite)
    recorded = read_recorded(motion_path, person, belt_speed_m_s=belt_speed_m_s, completer=completer, seed=seed)
    try:
        versions = modify_gait(
            recorded.trial,
            parsed,
            doses=doses,
            estimator=estimator,
            completer=completer(),
            num_samples=num_samples,
            seed=seed,
            method=method,
            report=lambda done, total: report(done, 2 * total),
        )
    except InvalidMotionError as error:
        raise in_file(motion_path, error) from None
    followed = followed_coordinates(parsed, person.skeleton)
    measured = measure(versions, followed=followed, report=lambda done, total: report(total + done, 2 * total))
    texts = [change.text if change.path is None else f"{change.name}={change.path.name}" for change in parsed]
    title = ", ".join(texts) if doses is None else f"{parsed[0].name} by dose"
    heads = version_heads(versions, doses)
    picture = modification_picture(
        measured,
        heads=[each.label for each in versions],
        followed=shown_curve(parsed[0], followed, person.skeleton),
        dose_label=dose_label(parsed[0], person.skeleton),
        title=f"{motion_path.stem}: {title}",
    )
    return write_versions(
        measured,
        places,
        about={
            **about_recorded(motion_path, person, recorded),
            "changes": texts,
            "doses": None if doses is None else list(doses),
            "method": method,
            "samples": num_samples,
            "seed": seed,
        },
        warnings=recorded.warnings,
        provenance={
            "completion": completer_name,
            "belt_speed": recorded.belt_speed_source,
            **checksums(motion_path, person),
            **({"curves_sha256": {path.name: sha256(path) for path in curves}} if curves else {}),
        },
        amount="dose",
        picture=picture,
        shown=Shown(f"{motion_path.name}: {title}", heads, (*rows_of(parsed, person.skeleton), *MODIFICATION_ROWS)),
        stale=stale,
        overwrite=overwrite,
    )
