"""Versions of a recorded gait in files: what `modify` and `speed` have in common."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics.apps.estimate_files import check_inputs_kept
from gaitdynamics.apps.gait_files import GAIT_SUFFIXES, gait_contents, gait_names, gait_paths, realism_content
from gaitdynamics.apps.measured_versions import MeasuredVersion
from gaitdynamics.apps.version_tables import Row, csv_text, parameters_content, shown_table
from gaitdynamics.biomech.kinematics import heading_of, posed
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.maths.signals import even_times, interpolate, resample
from gaitdynamics.tasks.gait_versions import GaitVersion
from gaitdynamics.types.ground_reaction import GroundReaction

if TYPE_CHECKING:
    from rich.table import Table

FORMAT = 1
RATES_HZ = (50.0, 200.0)  # at which balance is looked at


@dataclass(frozen=True)
class Places:
    """Where the results of one command go.

    Args:
        gaits: stem of the motion, forces and external loads of each version but the recorded one.
        record, table, picture: of all versions.
    """

    gaits: tuple[Path, ...]
    record: Path
    table: Path
    picture: Path

    @classmethod
    def of(cls, out: Path, *, gaits: Sequence[str], all_of_them: str) -> "Places":
        """Files in a folder, from the stems of their names."""
        record, table, picture = (out / f"{all_of_them}{suffix}" for suffix in (".json", ".csv", ".png"))
        return cls(tuple(out / stem for stem in gaits), record, table, picture)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (*(path for stem in self.gaits for path in gait_paths(stem)), self.record, self.table, self.picture)


@dataclass(frozen=True)
class Shown:
    """What a terminal shows of versions: title, what each is called, and lines of the table."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class WrittenVersions:
    """What came of one motion."""

    paths: tuple[Path, ...]
    summary: dict[str, Any]
    measured: tuple[MeasuredVersion, ...]
    shown: Shown

    def table(self, *, width: int) -> "Table":
        """What is shown of it on a terminal of that many letters."""
        shown = self.shown
        return shown_table(self.measured, shown.rows, title=shown.title, heads=shown.heads, width=width)


def check_places(places: Places, inputs: Sequence[Path], *, overwrite: bool) -> list[Path]:
    """Make sure that the results can be written and replace no input.

    Returns:
        Files that an earlier run of the command wrote and this one does not.

    Raises:
        OutputError: they can't, or one would.
    """
    check_writable(places.paths, overwrite=overwrite)
    stale = _left_over(places)
    check_inputs_kept([*places.paths, *stale], inputs)
    return stale


def write_versions(
    measured: Sequence[MeasuredVersion],
    places: Places,
    *,
    about: Mapping[str, Any],
    warnings: Sequence[str],
    provenance: Mapping[str, Any],
    amount: str,
    picture: bytes,
    shown: Shown,
    stale: Sequence[Path],
    overwrite: bool,
) -> WrittenVersions:
    """Write motion, forces and external loads of every version, the record, the table and the picture; or nothing.

    Args:
        measured: the recorded gait first.
        places: where to.
        about: what the record begins with, JSON values.
        warnings: about the recording.
        provenance: of the results, JSON values.
        amount: what the versions differ in.
        picture: of them all, a PNG.
        shown: of them, on a terminal.
        stale: of an earlier run, to be removed.
        overwrite: whether earlier results may be replaced.
    """
    recorded, *others = measured
    contents: dict[Path, str | bytes | None] = {}
    records = [
        {"label": recorded.version.label, amount: _number(recorded.version.amount), **_about(recorded, recorded)}
    ]
    for each, stem in zip(others, places.gaits, strict=True):
        paths = gait_paths(stem)
        contents |= gait_contents(each.version.trial, each.version.prediction.forces, paths)
        label, own_amount = each.version.label, _number(each.version.amount)
        records.append({"label": label, amount: own_amount, "files": gait_names(paths), **_about(each, recorded)})
    summary = {
        "format": FORMAT,
        **about,
        "warnings": [*dict.fromkeys((*warnings, *version_warnings([each.version for each in measured])))],
        "versions": records,
        "provenance": {
            **recorded.version.prediction.provenance,
            **provenance,
            "opensim": version("opensim"),
            "torch": version("torch"),
        },
    }
    contents[places.record] = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    contents[places.table] = csv_text(measured, amount=amount)
    contents[places.picture] = picture
    written = tuple(contents)
    write_files(contents | dict.fromkeys(stale), overwrite=overwrite)
    return WrittenVersions(written, summary, tuple(measured), shown)


def version_warnings(versions: Sequence[GaitVersion]) -> tuple[str, ...]:
    """Warnings of all versions, each once, with the versions that it is about unless it is about all."""
    about: dict[str, list[str]] = {}
    for each in versions:
        for warning in dict.fromkeys((*each.prediction.warnings, *each.warnings)):
            about.setdefault(warning, []).append(each.label)
    recorded = versions[0].label
    others = {each.label for each in versions[1:]}

    def is_clear(warning: str, labels: Sequence[str]) -> bool:
        return recorded in labels or set(labels) == others or warning.startswith(tuple(f"{each}:" for each in labels))

    return tuple(
        warning if is_clear(warning, labels) else f"{', '.join(labels)}: {warning}" for warning, labels in about.items()
    )


def _about(each: MeasuredVersion, recorded: MeasuredVersion) -> dict[str, Any]:
    one = each.version
    return {
        "is_extrapolated": one.is_extrapolated,
        "num_samples": len(one.samples),
        "belt_speed_m_s": _number(one.prediction.belt_speed_m_s),
        "parameters": parameters_content(each, recorded),
        "realism": _realism(one),
        "warnings": [*dict.fromkeys((*one.prediction.warnings, *one.warnings))],
        "provenance": one.prediction.provenance,
    }


def _realism(one: GaitVersion) -> dict[str, float | None]:
    """Whether a person could move so: balance of forces and motion below 8 Hz, and how much loaded feet slide."""
    trial, forces = one.trial, one.prediction.forces
    subject, motion = trial.subject, trial.motion
    time_s = even_times(motion.time_s, min_rate_hz=RATES_HZ[0], max_rate_hz=RATES_HZ[1])
    values = resample(motion.values, motion.time_s, time_s)
    known = np.ones((len(time_s), 2), dtype=bool)
    force_n, cop_m, free_moment_nm = (
        interpolate(each, forces.time_s, time_s) for each in (forces.force_n, forces.cop_m, forces.free_moment_nm)
    )
    at_times = GroundReaction(time_s, force_n, cop_m, free_moment_nm, known)
    residual = newton_euler_residual(trial.skeleton, values, at_times, time_s=time_s)
    sliding = foot_sliding(
        trial.skeleton,
        values,
        load_bw=at_times.force_n[:, :, 1] / subject.body_weight_n,
        sampling_rate_hz=(len(time_s) - 1) / float(time_s[-1] - time_s[0]),
        height_m=subject.height_m,
        belt_velocity_m_s=-one.prediction.belt_speed_m_s * heading_of(trial.skeleton, posed(trial.skeleton, values)),
    )
    return realism_content(subject, forces, residual, sliding_m_s=sliding)


def _number(value: float) -> float:
    return float(f"{value:.10g}")


def _left_over(places: Places) -> list[Path]:
    """What the record of an earlier run lists beside it, and this run does not write."""
    try:
        versions = json.loads(places.record.read_text(encoding="utf-8"))["versions"]
        names = [name for each in versions for name in each.get("files", {}).values()]
        found = [places.record.with_name(Path(name).name) for name in names if Path(name).name == name]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # none, or none of ours
    written = {path.name for path in places.paths}
    return [path for path in dict.fromkeys(found) if path.name not in written and path.name.endswith(GAIT_SUFFIXES)]
