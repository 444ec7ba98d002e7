"""Motions (.mot, .sto): coordinates of a model over time."""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from gaitdynamics.errors import (
    InputFileError,
    InvalidMotionError,
    NonFiniteValueError,
    UnknownCoordinateError,
)
from gaitdynamics.io.table import Table, format_table, read_table, shortened
from gaitdynamics.types.motion import Motion
from gaitdynamics.units import DEGREES_PER_RADIAN

MIN_FRAMES = 4  # below this there is no acceleration to speak of
# Measured on slowed recordings of Hamner2013: the vertical error grows by a fifth at 25 Hz, fourfold at 10 Hz.
LARGEST_STEP_S = 0.125
SLOW_STEP_S = 0.04
SHORT_MOTION_S = 0.3  # a step of running
MARKER_SUFFIXES = (".c3d", ".trc")
NEAR_MISS_RATIO = 0.8  # of difflib: one or two letters wrong in a name of ten
LARGEST_JOINT_ANGLE_RAD = 3.3  # half a turn and a little: no joint but a turning pelvis goes further
SMALLEST_GAIT_RANGE_RAD = 0.3  # hips and knees move further than this in any step
FULL_TURN_RAD = 2 * np.pi
LARGEST_PLACE_M = 100.0  # no laboratory is larger, and no pelvis is lower than this in millimetres
HEADING_COORDINATE = "pelvis_rotation"  # the one angle that grows without bound when a person turns
FASTEST_M_S = 15.0  # a sprinter's pelvis stays below 13
PELVIS_PREFIX = "pelvis"  # of coordinates that hardly turn in a straight walk
UNCHANGING = 1e-9  # a measured coordinate changes by more than this, whatever its unit
MOTION_DECIMALS = 10


class CoordinateOfFile(Protocol):
    """What a motion file's reader must know about a coordinate of the model."""

    @property
    def name(self) -> str: ...

    @property
    def is_rotational(self) -> bool:
        """In radians; else in metres, or without unit."""

    @property
    def default_value(self) -> float:
        """SI, radians."""

    @property
    def is_locked(self) -> bool: ...

    @property
    def is_coupled(self) -> bool:
        """Its value is computed from another coordinate's."""

    @property
    def is_essential(self) -> bool:
        """The estimator can't work without it."""


@dataclass(frozen=True)
class Recording:
    """A motion file as it was read.

    Args:
        motion: the model's coordinates in its order.
        numbers: as in the file, in its units, NaN where it has none, (T, C).
        is_in_degrees: the unit of the file's rotations.
        warnings: a sentence for each thing that the user should know.
    """

    motion: Motion
    numbers: np.ndarray
    is_in_degrees: bool
    warnings: tuple[str, ...]


def read_motion(path: str | Path, coordinates: Sequence[CoordinateOfFile]) -> tuple[Motion, tuple[str, ...]]:
    """Read the coordinates of a model from a motion or states file that has all that forces need.

    As `read_recording` with nothing to be completed; returns its motion and its warnings.
    """
    recording = read_recording(path, coordinates)
    return recording.motion, recording.warnings


def read_recording(
    path: str | Path, coordinates: Sequence[CoordinateOfFile], *, completed: Collection[str] = ()
) -> Recording:
    """Read the coordinates of a model from a motion or states file.

    Columns are named plainly (`hip_flexion_r`) or by state path (`/jointset/hip_r/hip_flexion_r/value`);
    speeds, activations and other columns are ignored. A header that plainly contradicts the numbers is not
    believed.

    Args:
        path: .mot or .sto.
        coordinates: of the model.
        completed: names of coordinates that somebody completes where they were not observed. These may be absent or
            have gaps even if they are essential, and count as not observed if they never change: they were locked, or
            never measured. If none of them changes, the person stands still and all that is there was observed.

    Returns:
        The motion with exactly these coordinates in this order. Where the file has nothing, values are interpolated or
        default, and `observed` is False.

    Raises:
        InputFileError: not a table.
        UnknownCoordinateError: a name is misspelt, or an essential coordinate is absent.
        NonFiniteValueError: an essential coordinate has gaps, or a number is infinite.
        InvalidMotionError: too few frames, too slow or with a gap, lengths in millimetres, or an angle that no joint
            has in a coordinate to be completed.
    """
    if Path(path).suffix.lower() in MARKER_SUFFIXES and Path(path).is_file():
        raise InputFileError(
            f"{path}: a recording of markers. Expected joint angles (.mot, .sto): run OpenSim's inverse kinematics on "
            "it, and give its result."
        )
    table = read_table(path)
    file = table.source.name
    names = [coordinate.name for coordinate in coordinates]
    column_of, extras = _match_columns(table, names)
    if not column_of:
        raise UnknownCoordinateError(
            f"{file}: none of its {len(table.labels)} columns is a coordinate of the model. "
            f"The file has {shortened(table.labels)}; the model has {shortened(names)}. "
            "Give the joint angles (result of inverse kinematics) that belong to this model."
        )
    absent = [
        coordinate
        for coordinate in coordinates
        if coordinate.name not in column_of and not (coordinate.is_locked or coordinate.is_coupled)
    ]
    _check_absent(absent, extras, file, completed)
    if len(table.time_s) < MIN_FRAMES:
        raise InvalidMotionError(
            f"{file}: {len(table.time_s)} frame(s); a motion needs at least {MIN_FRAMES}. "
            "A static pose has no forces to estimate: give a trial of walking or running."
        )

    warnings = _check_pace(table.time_s, file)
    numbers = np.full((len(table.time_s), len(coordinates)), np.nan)
    for index, name in enumerate(names):
        if name in column_of:
            numbers[:, index] = table.values[:, column_of[name]]
    _check_finite(numbers, coordinates, table, completed)

    values = numbers.copy()
    in_degrees, degree_warnings = _is_in_degrees(values, coordinates, table)
    warnings += degree_warnings
    if in_degrees:
        values[:, [coordinate.is_rotational for coordinate in coordinates]] /= DEGREES_PER_RADIAN
    _check_metres(values, coordinates, file)
    _check_angles(values, coordinates, table, completed)
    warnings += _jumps(values, coordinates, table)

    observed = np.isfinite(values)
    for index, coordinate in enumerate(coordinates):
        if coordinate.is_rotational:  # 181° after 180° is no jump to −179°, which interpolation would follow
            known = observed[:, index]
            values[known, index] = np.unwrap(values[known, index])
    for index, coordinate in enumerate(coordinates):
        values[:, index] = _filled(table.time_s, values[:, index], coordinate.default_value)
    for is_completed, fate in ((True, "to be completed"), (False, "taken at the model's default value")):
        which = [c.name for c in absent if (c.name in completed) is is_completed]
        if which:
            warnings.append(f"{file}: no column for {shortened(which)}; {fate}.")
    num_missing = dict(zip(names, np.count_nonzero(~observed, axis=0).tolist(), strict=True))
    for is_completed, fate in (
        (True, "to be completed"),
        (False, "interpolated over time, or the model's default value where there are none"),
    ):
        gaps = [
            f"{name} ({missing} of {len(observed)} frames)"
            for name, missing in num_missing.items()
            if name in column_of and missing and (name in completed) is is_completed
        ]
        if gaps:
            warnings.append(f"{file}: missing numbers in {shortened(gaps)}; {fate}.")
    constant = _never_changing(numbers, names, completed)
    if constant:
        observed[:, [name in constant for name in names]] = False
        warnings.append(
            f"{file}: {shortened(constant)} never change, so they were locked or not measured; to be completed."
        )
    if extras:
        warnings.append(f"{file}: ignored {shortened(extras)}: the model has no such coordinates.")
    return Recording(Motion(table.time_s, values, tuple(names), observed), numbers, in_degrees, tuple(warnings))


def format_motion(
    motion: Motion, coordinates: Sequence[CoordinateOfFile], *, name: str, in_degrees: bool = True
) -> str:
    """Text of a .mot file with plain coordinate names; `read_motion` is its inverse.

    Args:
        motion: its coordinates are among `coordinates`.
        coordinates: of the model, in any order.
        name: first line of the header.
        in_degrees: how rotations are written.

    Returns:
        The text.
    """
    is_rotational = {coordinate.name: coordinate.is_rotational for coordinate in coordinates}
    factors = [DEGREES_PER_RADIAN if in_degrees and is_rotational[name] else 1.0 for name in motion.coordinates]
    return format_table(
        name,
        motion.coordinates,
        motion.values * factors,
        time_s=motion.time_s,
        in_degrees=in_degrees,
        decimals=MOTION_DECIMALS,
    )


def format_completed(
    recording: Recording,
    values: np.ndarray,
    is_given: np.ndarray,
    coordinates: Sequence[CoordinateOfFile],
    *,
    name: str,
) -> str:
    """Text of a .mot file of a completed recording, in the recording's units and at its times.

    Args:
        recording: as it was read.
        values: of all its coordinates, SI, (T, C).
        is_given: where the recording's own numbers are written instead, such that the very same are read again, (T, C).
        coordinates: of the model, in the recording's order.
        name: first line of the header.
    """
    numbers = np.where(is_given, recording.numbers, _in_file_units(values, recording, coordinates))
    return _format_exactly(recording, recording.motion.coordinates, numbers, name)


def format_motion_interval(
    recording: Recording,
    bounds: tuple[np.ndarray, np.ndarray],
    coordinates: Sequence[CoordinateOfFile],
    *,
    only: Sequence[str],
    name: str,
) -> str:
    """Text of a .mot file with columns `<coordinate>_lower` and `<coordinate>_upper`, in the recording's units.

    Args:
        recording: as it was read.
        bounds: lower and upper, of all its coordinates, SI, (T, C) each.
        coordinates: of the model, in the recording's order.
        only: names of the coordinates that get columns.
        name: first line of the header.
    """
    which = [recording.motion.coordinates.index(coordinate) for coordinate in only]
    columns = np.stack([_in_file_units(bound, recording, coordinates)[:, which] for bound in bounds], axis=2)
    labels = [f"{coordinate}_{bound}" for coordinate in only for bound in ("lower", "upper")]
    return _format_exactly(recording, labels, columns.reshape(len(columns), -1), name)


def _in_file_units(values: np.ndarray, recording: Recording, coordinates: Sequence[CoordinateOfFile]) -> np.ndarray:
    """SI to the recording's units, without digits that mean nothing."""
    turns = [DEGREES_PER_RADIAN if recording.is_in_degrees and c.is_rotational else 1.0 for c in coordinates]
    return np.round(values * turns, MOTION_DECIMALS) + 0.0  # no negative zeros


def _format_exactly(recording: Recording, labels: Sequence[str], numbers: np.ndarray, name: str) -> str:
    time_s = recording.motion.time_s
    return format_table(name, labels, numbers, time_s=time_s, in_degrees=recording.is_in_degrees, decimals=None)


def _match_columns(table: Table, names: list[str]) -> tuple[dict[str, int], list[str]]:
    """Column number of each coordinate, and the columns that look like coordinates of another model."""
    known = set(names)
    column_of: dict[str, int] = {}
    extras = []
    for index, label in enumerate(table.labels):
        name = _coordinate_name(label, known)
        if name in column_of:
            raise InputFileError(
                f"{table.source}: columns '{table.labels[column_of[name]]}' and '{label}' are both the "
                f"coordinate '{name}'. Remove one."
            )
        if name in known:
            column_of[name] = index
        elif name:
            extras.append(name)
    speeds = {f"{name}_u" for name in (*names, *extras)}
    return column_of, [name for name in extras if name not in speeds]


def _coordinate_name(label: str, known: set[str]) -> str:
    """The coordinate that a column's label means; empty for speeds, activations and other states."""
    if label in known:
        return label
    parts = label.replace("|", "/").strip("/").split("/")
    if len(parts) == 1:
        return "" if "." in label else label  # soleus_r.activation
    if parts[-1] == "value":
        return parts[-2]
    return parts[-1] if parts[-1] in known else ""


def _never_changing(numbers: np.ndarray, names: list[str], completed: Collection[str]) -> list[str]:
    """Of the coordinates to be completed, those whose numbers are always the same, unless all are."""
    constant: list[str] = []
    changing: list[str] = []
    for name, column in zip(names, numbers.T, strict=True):
        known = column[np.isfinite(column)]
        if name in completed and known.size:
            (constant if np.ptp(known) <= UNCHANGING else changing).append(name)
    return constant if changing else []


def _check_absent(absent: Sequence[CoordinateOfFile], extras: list[str], file: str, completed: Collection[str]) -> None:
    near_misses = [
        (extra, coordinate.name) for coordinate in absent for extra in extras if _is_near_miss(extra, coordinate.name)
    ]
    if near_misses:
        # The likeliest first: of several similar names, the most similar.
        near_misses.sort(key=lambda pair: -_likeness(*pair))
        extra, name = near_misses[0]
        num_others = len({other for other, _ in near_misses}) - 1
        also = f" ({num_others} more of its names are unknown, too.)" if num_others else ""
        raise UnknownCoordinateError(
            f"{file}: the model has no coordinate '{extra}'. Did you mean '{name}'? Rename the column.{also}"
        )
    essential = [c.name for c in absent if c.is_essential and c.name not in completed]
    if essential:
        nearest = difflib.get_close_matches(essential[0], extras, n=3, cutoff=0.4)
        found = f"The nearest columns are {shortened(nearest)}" if nearest else "No column is like it"
        raise UnknownCoordinateError(
            f"{file}: no column for {shortened(essential)}, needed to estimate forces. {found}. "
            "Rename the columns to the model's coordinates, or give the model that the motion was made with."
        )


def _likeness(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first.lower(), second.lower()).ratio()


def _is_near_miss(found: str, expected: str) -> bool:
    """Whether `found` is probably `expected` misspelt: alike, but not its other side or another number."""
    sides_and_numbers = [
        [
            token
            for token in re.findall(r"\d+|[a-z]+", name.lower())
            if token in ("r", "l", "right", "left") or token.isdigit()
        ]
        for name in (found, expected)
    ]
    if all(sides_and_numbers) and sides_and_numbers[0] != sides_and_numbers[1]:
        return False
    return _likeness(found, expected) >= NEAR_MISS_RATIO


def _check_finite(
    values: np.ndarray, coordinates: Sequence[CoordinateOfFile], table: Table, completed: Collection[str]
) -> None:
    for coordinate, column in zip(coordinates, values.T, strict=True):
        is_needed = coordinate.is_essential and coordinate.name not in completed
        if is_needed and not (coordinate.is_coupled or coordinate.is_locked):
            faulty = np.flatnonzero(~np.isfinite(column))
        else:
            faulty = np.flatnonzero(np.isinf(column))
        if faulty.size:
            first, last = table.time_s[faulty[0]], table.time_s[faulty[-1]]
            raise NonFiniteValueError(
                f"{table.source.name}: '{coordinate.name}' is {column[faulty[0]]} at {first:.10g} s "
                f"({faulty.size} of {len(column)} frames, the last at {last:.10g} s). "
                "Fill the gap in inverse kinematics, or cut the trial to where the number is known."
            )


def _check_angles(
    values: np.ndarray, coordinates: Sequence[CoordinateOfFile], table: Table, completed: Collection[str]
) -> None:
    """What was observed must be possible, since everything else will be made to fit it."""
    for coordinate, column in zip(coordinates, values.T, strict=True):
        if coordinate.name not in completed or not coordinate.is_rotational or coordinate.name == HEADING_COORDINATE:
            continue
        faulty = np.flatnonzero(np.abs(column) > LARGEST_JOINT_ANGLE_RAD)
        if faulty.size:
            raise InvalidMotionError(
                f"{table.source.name}: '{coordinate.name}' is {column[faulty[0]] * DEGREES_PER_RADIAN:.4g}° at "
                f"{table.time_s[faulty[0]]:.10g} s ({faulty.size} of {len(column)} frames), which no joint reaches. "
                "Expected at most half a turn: repair it in inverse kinematics, or leave the number empty (nan) to "
                "have it completed."
            )


def _check_pace(time_s: np.ndarray, file: str) -> list[str]:
    """Whether frames follow each other fast enough to have accelerations."""
    steps = np.diff(time_s)
    slowest = int(np.argmax(steps))
    step, before, after = steps[slowest], time_s[slowest], time_s[slowest + 1]
    warnings = []
    if step > LARGEST_STEP_S:
        if np.median(steps) > LARGEST_STEP_S:
            raise InvalidMotionError(
                f"{file}: its frames are {np.median(steps):.4g} s apart, too far to have accelerations; expected at "
                f"most {LARGEST_STEP_S:g} s, better 0.01 s. Export it at its own rate; if the times are milliseconds, "
                "divide them by 1000."
            )
        raise InvalidMotionError(
            f"{file}: no frames between {before:.10g} s and {after:.10g} s, a gap of {step:.3g} s; forces can bridge "
            f"{LARGEST_STEP_S:g} s at most. Fill the gap in inverse kinematics, or cut the trial there."
        )
    if step > SLOW_STEP_S:
        warnings.append(
            f"{file}: frames are up to {step:.3g} s apart (from {before:.10g} s to {after:.10g} s). Forces are less "
            "certain than from a faster recording without gaps, peaks and running above all."
        )
    if time_s[-1] - time_s[0] < SHORT_MOTION_S:
        warnings.append(
            f"{file}: lasts {time_s[-1] - time_s[0]:.3g} s, less than a step. Forces are less certain than within a "
            "longer motion."
        )
    return warnings


def _is_in_degrees(values: np.ndarray, coordinates: Sequence[CoordinateOfFile], table: Table) -> tuple[bool, list[str]]:
    """Whether rotations are in degrees: what the header says, unless the numbers plainly say otherwise."""
    file = table.source.name
    says = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(
        table.header.get("indegrees", "").lower()
    )
    # A coupled coordinate is often exported in another unit than the rest, and a turning person's heading
    # grows without bound: neither tells.
    telling = np.array(
        [c.is_rotational and not c.is_coupled and c.name != HEADING_COORDINATE for c in coordinates], dtype=bool
    )
    is_known = np.isfinite(values).any(axis=0)
    angles = values[:, telling & is_known]
    if not angles.size:
        return says is True, []
    has_leg = any(
        is_known_here and is_telling and coordinate.is_essential and not coordinate.name.startswith(PELVIS_PREFIX)
        for coordinate, is_telling, is_known_here in zip(coordinates, telling, is_known, strict=True)
    )
    largest = float(np.nanmax(np.abs(angles)))
    widest = float(np.max(np.nanmax(angles, axis=0) - np.nanmin(angles, axis=0)))
    if says is None:
        in_degrees = largest > LARGEST_JOINT_ANGLE_RAD
        unit, line = ("degrees", "inDegrees=yes") if in_degrees else ("radians", "inDegrees=no")
        return in_degrees, [
            f"{file}: the header does not say whether angles are in degrees; the largest is {largest:.3g}, "
            f"so they were read as {unit}. Add the line '{line}' to the header."
        ]
    if says and has_leg and largest < LARGEST_JOINT_ANGLE_RAD and widest > SMALLEST_GAIT_RANGE_RAD:
        return False, [
            f"{file}: the header says degrees, but no joint angle exceeds {largest:.3g}, so they were read "
            "as radians. Change the header's line to 'inDegrees=no'."
        ]
    if not says and largest > FULL_TURN_RAD:
        return True, [
            f"{file}: the header says radians, but a joint angle reaches {largest:.3g}, so they were read as "
            "degrees. Change the header's line to 'inDegrees=yes'."
        ]
    return says, []


def _check_metres(values: np.ndarray, coordinates: Sequence[CoordinateOfFile], file: str) -> None:
    for coordinate, column in zip(coordinates, values.T, strict=True):
        known = column[np.isfinite(column)]
        if coordinate.is_rotational or coordinate.is_coupled or not known.size:
            continue
        # Who walks far comes from near; a pelvis in millimetres is never near the ground.
        if np.abs(known).min() > LARGEST_PLACE_M:
            raise InvalidMotionError(
                f"{file}: '{coordinate.name}' is {np.median(known):.4g} in the median, which looks like millimetres; "
                "OpenSim's translations are in metres. Divide the translations by 1000."
            )


def _jumps(values: np.ndarray, coordinates: Sequence[CoordinateOfFile], table: Table) -> list[str]:
    """A sentence for each essential translation that is faster than anybody."""
    warnings = []
    for coordinate, column in zip(coordinates, values.T, strict=True):
        if coordinate.is_rotational or not coordinate.is_essential:
            continue
        known = np.flatnonzero(np.isfinite(column))
        if len(known) < 2:
            continue
        place, time_s = column[known], table.time_s[known]
        speed = np.abs(np.diff(place) / np.diff(time_s))
        fastest = int(np.argmax(speed))
        if speed[fastest] > FASTEST_M_S:
            warnings.append(
                f"{table.source.name}: '{coordinate.name}' jumps from {place[fastest]:.4g} m to "
                f"{place[fastest + 1]:.4g} m at {time_s[fastest + 1]:.10g} s. "
                "Repair it in inverse kinematics: forces there are wrong."
            )
    return warnings


def _filled(time_s: np.ndarray, values: np.ndarray, default: float) -> np.ndarray:
    """Gaps interpolated over time, the ends held; the default where there is nothing at all."""
    known = np.isfinite(values)
    if not known.any():
        return np.full_like(values, default)
    return np.where(known, values, np.interp(time_s, time_s[known], values[known]))
