"""Inverse kinematics by OpenSim: the joint angles at which a model's markers lie nearest to those of a recording."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError, InvalidModelError, InvalidMotionError
from gaitdynamics.io.file_kinds import FileKind, kind_of, wrong_slot
from gaitdynamics.io.opensim_models import without_forces
from gaitdynamics.io.osim import quiet_opensim
from gaitdynamics.io.table import shortened
from gaitdynamics.maths.signals import intervals
from gaitdynamics.types.markers import Markers
from gaitdynamics.types.motion import Motion

LEAST_COMMON = 9  # three of the pelvis, and one of each thigh, shank and foot
SEEN_SHARE = 0.5  # of the common markers, in a frame that can be solved
ACCURACY = 1e-5  # OpenSim's own default
HARD = float("inf")  # constraints of the model hold exactly
MISS_M = 0.3  # root mean square of a first posture that is none: the solver went astray


@dataclass(frozen=True)
class Match:
    """Markers that file and model have in common.

    Args:
        model_names: in the model, by the names in the file.
        only_in_file: names.
        only_in_model: names.
    """

    model_names: dict[str, str]
    only_in_file: tuple[str, ...]
    only_in_model: tuple[str, ...]


@dataclass(frozen=True)
class InverseKinematics:
    """Joint angles, and how far the model's markers are from the recorded ones.

    Args:
        motion: all coordinates of the model, in its order; those that no marker tells of are not observed.
        markers: the recorded ones that were used, at the motion's times.
        error_m: NaN where a marker was not seen, (T, M).
        match: of names.
        undetermined: coordinates that move no marker; they keep the model's default.
    """

    motion: Motion
    markers: Markers
    error_m: np.ndarray
    match: Match
    undetermined: tuple[str, ...]


def inverse_kinematics(
    model_path: Path,
    markers: Markers,
    *,
    source: str,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> InverseKinematics:
    """Run OpenSim's inverse kinematics, all common markers weighing the same.

    The first posture is sought from the model's own, turned and moved to where the markers are. Only the longest part
    of the recording in which at least half of the common markers are seen is solved.

    Args:
        model_path: .osim with markers, scaled to the person; its muscles and other forces are left out.
        markers: of a recording, y up.
        source: the recording's file, for messages.
        report: told how many frames are done, of how many; what it raises ends the computation.

    Raises:
        InputFileError: OpenSim can't read or solve the model.
        InvalidModelError: model and recording have too few markers in common.
        InvalidMotionError: the markers are not seen together.
    """
    opensim = quiet_opensim()
    model = bare_model(model_path)
    match = matching(model_markers(model), markers.names, model_path=model_path, source=source)
    used = _longest_seen(_chosen(markers, match), source)
    return _solved(opensim, model, used, match, model_path=model_path, source=source, report=report)


def bare_model(path: Path) -> Any:
    """An OpenSim model without what does not bear on where its markers are.

    Raises:
        InputFileError: it is none; or something else, and then what.
    """
    path = Path(path)
    if kind_of(path) not in (FileKind.MODEL, FileKind.UNKNOWN):
        raise InputFileError(wrong_slot(path, expected="a model scaled to the person (.osim)"))
    with _told_by_opensim(path):
        return without_forces(path)


def model_markers(model: Any) -> tuple[str, ...]:
    """Names of a model's markers."""
    markers = model.getMarkerSet()
    return tuple(markers.get(k).getName() for k in range(markers.getSize()))


def matching(in_model: Sequence[str], in_file: Sequence[str], *, model_path: Path, source: str) -> Match:
    """Which marker of the file is which of the model: by name, or by its letters and numbers alone.

    Raises:
        InvalidModelError: they have too few in common.
    """
    loosely = _by_letters(in_model)
    names = {name: name for name in in_file if name in in_model}
    for name in in_file:
        other = loosely.get(_letters(name))
        if name not in names and other is not None and other not in names.values():
            names[name] = other
    only_in_file = tuple(name for name in in_file if name not in names)
    only_in_model = tuple(name for name in in_model if name not in names.values())
    if len(names) < LEAST_COMMON:
        common = f"in common are {shortened(list(names))}" if names else "none is in common"
        raise InvalidModelError(
            f"{source} and {model_path.name}: too few markers in common: {len(names)} of at least {LEAST_COMMON}; "
            f"{common}. Only the recording has {shortened(only_in_file, limit=12) or 'none'}; only the model has "
            f"{shortened(only_in_model, limit=12) or 'none'}. Rename the markers, or give the model of this marker set."
        )
    return Match(names, only_in_file, only_in_model)


def _by_letters(names: Sequence[str]) -> dict[str, str]:
    """Names by their letters and numbers, where those belong to one name only."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_letters(name), []).append(name)
    return {letters: same[0] for letters, same in found.items() if len(same) == 1}


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _chosen(markers: Markers, match: Match) -> Markers:
    """The common markers, called as in the model."""
    columns = [k for k, name in enumerate(markers.names) if name in match.model_names]
    names = tuple(match.model_names[markers.names[k]] for k in columns)
    return Markers(markers.time_s, names, markers.position_m[:, columns])


def _longest_seen(markers: Markers, source: str) -> Markers:
    is_enough = markers.is_seen.mean(axis=1) >= SEEN_SHARE
    parts = intervals(is_enough)
    start, end = max(parts, key=lambda part: part[1] - part[0], default=(0, 0))
    if end - start < 2:
        raise InvalidMotionError(
            f"{source}: in no two frames in a row at least half of the {len(markers.names)} markers that the model has "
            "are seen. Fill the gaps, or export the part of the recording in which the person is in view."
        )
    return Markers(markers.time_s[start:end], markers.names, markers.position_m[start:end])


def _solved(
    opensim: Any,
    model: Any,
    markers: Markers,
    match: Match,
    *,
    model_path: Path,
    source: str,
    report: Callable[[int, int], None],
) -> InverseKinematics:
    coordinates = [model.getCoordinateSet().get(k) for k in range(model.getCoordinateSet().getSize())]
    places = [model.getMarkerSet().get(name) for name in markers.names]
    with _told_by_opensim(model_path):
        state = model.initSystem()
        undetermined = _unmoved(model, state, coordinates, places)
        _turn_to(model, state, places, markers.position_m[0])
        solver = opensim.InverseKinematicsSolver(
            model, _reference(opensim, markers), opensim.SimTKArrayCoordinateReference(), HARD
        )
        solver.setAccuracy(ACCURACY)
    values = np.empty((len(markers.time_s), len(coordinates)))
    error_m = np.empty((len(markers.time_s), len(places)))
    for k, time_s in enumerate(markers.time_s.tolist()):
        with _told_by_opensim(model_path):
            state.setTime(time_s)
            (solver.track if k else solver.assemble)(state)
            values[k] = [coordinate.getValue(state) for coordinate in coordinates]
            error_m[k] = np.linalg.norm(_places_m(model, state, places) - markers.position_m[k], axis=1)
        if k == 0:
            _check_first(error_m[0], time_s, source)
        report(k + 1, len(values))
    names = tuple(coordinate.getName() for coordinate in coordinates)
    is_observed = np.array([name not in undetermined for name in names])
    motion = Motion(markers.time_s, values, names, np.tile(is_observed, (len(values), 1)))
    return InverseKinematics(motion, markers, error_m, match, undetermined)


def _check_first(error_m: np.ndarray, time_s: float, source: str) -> None:
    miss_m = float(np.sqrt(np.nanmean(error_m**2)))
    if miss_m > MISS_M:
        raise InvalidMotionError(
            f"{source}: at {time_s:.10g} s the markers are {miss_m:.2g} m from where the model can bring its own, in "
            "the root mean square. Markers are swapped or named otherwise, up is another direction (--up), or the "
            "model is not of this person."
        )


def _reference(opensim: Any, markers: Markers) -> Any:
    weights = opensim.SetMarkerWeights()
    for name in markers.names:
        weights.cloneAndAppend(opensim.MarkerWeight(name, 1.0))
    table = opensim.TimeSeriesTableVec3()
    table.setColumnLabels(list(markers.names))
    for time_s, places in zip(markers.time_s.tolist(), markers.position_m.tolist(), strict=True):
        row = opensim.RowVectorVec3(len(places), opensim.Vec3(0))
        for k, place in enumerate(places):
            row[k] = opensim.Vec3(*place)
        table.appendRow(time_s, row)
    return opensim.MarkersReference(table, weights)


def _places_m(model: Any, state: Any, places: Sequence[Any]) -> np.ndarray:
    model.realizePosition(state)
    return np.array([place.getLocationInGround(state).to_numpy() for place in places])


def _unmoved(model: Any, state: Any, coordinates: Sequence[Any], places: Sequence[Any]) -> tuple[str, ...]:
    """Free coordinates that move none of the markers."""
    nudge = 0.01
    before = _places_m(model, state, places)
    unmoved = []
    for coordinate in coordinates:
        if coordinate.isConstrained(state):
            continue
        value = coordinate.getValue(state)
        coordinate.setValue(state, value + nudge, False)
        if np.abs(_places_m(model, state, places) - before).max() < 1e-6:
            unmoved.append(coordinate.getName())
        coordinate.setValue(state, value, False)
    return tuple(unmoved)


def _turn_to(model: Any, state: Any, places: Sequence[Any], seen_m: np.ndarray) -> None:
    """Give a state the heading and the place of markers, as well as the model's root joint can."""
    is_seen = np.isfinite(seen_m).all(axis=1)
    own_m, seen_m = _places_m(model, state, places)[is_seen], seen_m[is_seen]
    own, seen = own_m - own_m.mean(axis=0), seen_m - seen_m.mean(axis=0)
    # The turn about the vertical that brings the one nearest to the other: Kabsch's problem in a plane.
    sine = float((own[:, 2] * seen[:, 0] - own[:, 0] * seen[:, 2]).sum())
    cosine = float((own[:, 0] * seen[:, 0] + own[:, 2] * seen[:, 2]).sum())
    joint = _root_joint(model)
    coordinates = [joint.get_coordinates(k) for k in range(joint.numCoordinates())]
    turning = [c for c in coordinates if c.getMotionType() == 1 and not c.isConstrained(state)]
    if turning:
        upright = max(turning, key=lambda c: _vertical_share(model, state, places, c))
        upright.setValue(state, upright.getValue(state) + float(np.arctan2(sine, cosine)), False)
    for coordinate in coordinates:
        if coordinate.getMotionType() == 1 or coordinate.isConstrained(state):
            continue
        now_m = _places_m(model, state, places)[is_seen].mean(axis=0)
        value = coordinate.getValue(state)
        coordinate.setValue(state, value + 1.0, False)
        along = _places_m(model, state, places)[is_seen].mean(axis=0) - now_m
        way = float((seen_m.mean(axis=0) - now_m) @ along / max(float(along @ along), 1e-9))
        coordinate.setValue(state, value + way, False)


def _root_joint(model: Any) -> Any:
    """The joint to the ground with the most coordinates."""
    joints = [model.getJointSet().get(k) for k in range(model.getJointSet().getSize())]
    to_ground = [joint for joint in joints if joint.getParentFrame().findBaseFrame().getName() == "ground"]
    return max(to_ground, key=lambda joint: joint.numCoordinates())


def _vertical_share(model: Any, state: Any, places: Sequence[Any], coordinate: Any) -> float:
    """How little a rotation moves markers up or down: all of it about the vertical is 1."""
    value, before = coordinate.getValue(state), _places_m(model, state, places)
    coordinate.setValue(state, value + 0.1, False)
    moved = _places_m(model, state, places) - before
    coordinate.setValue(state, value, False)
    total = float((moved**2).sum())
    return 1.0 - float((moved[:, 1] ** 2).sum()) / total if total > 0 else 0.0


@contextmanager
def _told_by_opensim(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
        raise InputFileError(
            f"{path}: OpenSim can't work with this model. Expected an .osim with the markers of the recording. "
            f"OpenSim says: {told}"
        ) from None


def marker_errors_mm(result: InverseKinematics) -> dict[str, dict[str, float | None]]:
    """Of each marker, called as in the model: root mean square, largest, and the share of frames in which it is seen.

    None where a marker is never seen.
    """
    found: dict[str, dict[str, float | None]] = {}
    for name, error_mm in zip(result.markers.names, 1000 * result.error_m.T, strict=True):
        seen = error_mm[np.isfinite(error_mm)]
        found[name] = {
            "rms_mm": round(float(np.sqrt(np.mean(seen**2))), 2) if seen.size else None,
            "max_mm": round(float(seen.max()), 2) if seen.size else None,
            "seen_share": round(seen.size / len(error_mm), 4),
        }
    return found
