"""Parts of the body by name, the coordinates of a model behind them, and motions in which they were not observed."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gaitdynamics.biomech.kinematics import LEG_JOINTS, chain_columns
from gaitdynamics.errors import InvalidMotionError, UnknownCoordinateError
from gaitdynamics.state.links import links, pelvis_columns
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, SIDES

# What a name stands for; hips are hip_right and hip_left, and so on.
PARTS = (
    *("trunk", "pelvis", "pelvis_position", "pelvis_orientation", "hips", "knees", "ankles", "legs"),
    *(f"{side}_leg" for side in SIDE_NAMES),
    *(f"{joint}_{side}" for joint in LEG_JOINTS for side in SIDE_NAMES),
)
_ATOMS = ("trunk", "pelvis_position", "pelvis_orientation", *PARTS[-2 * len(LEG_JOINTS) :])
_NEAR_MISS_RATIO = 0.6
_HOW_A_SIDE_IS_SHORTENED = dict(zip(SIDES, SIDE_NAMES, strict=True))


def coordinates_of_parts(skeleton: Skeleton, names: Sequence[str]) -> tuple[str, ...]:
    """The free coordinates of a model behind names of parts (PARTS, singular or plural) or of coordinates.

    Args:
        skeleton: the model.
        names: parts or coordinates, in any order; one name may include another.

    Returns:
        Each coordinate once, in the model's order. Coupled and locked ones are not among them.

    Raises:
        UnknownCoordinateError: neither a part nor a free coordinate, or a part that the model lacks.
    """
    behind = _coordinates_behind(skeleton)
    found: set[str] = set()
    for name in names:
        found |= set(_of_name(skeleton, name.strip(), behind))
    return tuple(name for name in skeleton.coordinate_names if name in found)


def completable_coordinates(skeleton: Skeleton) -> tuple[str, ...]:
    """Everything behind PARTS: what a model of gait can know about a body, in the model's order."""
    found = {name for names in _coordinates_behind(skeleton).values() for name in names}
    return tuple(name for name in skeleton.coordinate_names if name in found)


def hidden(trial: Trial, coordinates: Sequence[str], *, interval_s: tuple[float, float] | None = None) -> Trial:
    """The trial as if some coordinates had not been observed.

    Args:
        trial: with any motion.
        coordinates: of the model; those coupled to them are hidden, too.
        interval_s: [start, end) of the trial's times; None for all of them.

    Returns:
        A trial whose motion is not observed there. What is left of each of these coordinates is interpolated over all
        that is not observed, and held at the trial's ends; the model's default where nothing is left. Coupled
        coordinates follow.

    Raises:
        InvalidMotionError: no frame lies in the interval.
        UnknownCoordinateError: the motion has no such coordinate.
    """
    motion, skeleton = trial.motion, trial.skeleton
    unknown = [name for name in coordinates if name not in motion.coordinates]
    if unknown:
        raise UnknownCoordinateError(f"the motion has no coordinate '{unknown[0]}'. {_what_there_is(skeleton)}")
    start_s, end_s = interval_s or (-np.inf, np.inf)
    is_inside = (motion.time_s >= start_s) & (motion.time_s < end_s)
    if not is_inside.any():
        raise InvalidMotionError(
            f"no frame between {start_s:.10g} s and {end_s:.10g} s; the motion goes from {motion.time_s[0]:.10g} s to "
            f"{motion.time_s[-1]:.10g} s. Give an interval within it."
        )
    values, observed = motion.values.copy(), motion.observed.copy()
    for column, (name, coordinate) in enumerate(zip(motion.coordinates, skeleton.coordinates, strict=True)):
        if name not in coordinates and coordinate.coupled_to not in coordinates:
            continue
        observed[is_inside, column] = False
        left = observed[:, column]
        values[~left, column] = coordinate.default_value
        if left.any():
            values[~left, column] = np.interp(motion.time_s[~left], motion.time_s[left], values[left, column])
    return replace(trial, motion=replace(motion, values=skeleton.with_coupled_values(values), observed=observed))


def _coordinates_behind(skeleton: Skeleton) -> dict[str, tuple[str, ...]]:
    """Free coordinates of every part that is not made of others; none where the model has no such joint."""
    columns: dict[str, list[int]] = {atom: [] for atom in _ATOMS}
    columns |= {
        "trunk" if link.group == "lumbar" else link.group: chain_columns(skeleton, link.chain)
        for link in links(skeleton)
    }
    pelvis = pelvis_columns(skeleton)
    columns["pelvis_position"] = [*pelvis["pelvis_velocity"], *pelvis["pelvis_height"]]
    columns["pelvis_orientation"] = pelvis["pelvis_rotation"]
    names = skeleton.coordinate_names
    return {atom: tuple(names[column] for column in columns[atom]) for atom in _ATOMS}


def _of_name(skeleton: Skeleton, name: str, behind: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    atoms = _ATOMS_OF_WORDS.get(_words(name))
    if atoms is None:
        return (_free_coordinate(skeleton, name),)
    found = tuple(coordinate for atom in atoms for coordinate in behind[atom])
    if not found:
        raise UnknownCoordinateError(
            f"the model has no coordinates of '{name}': nothing moves there, so nothing can be missing. "
            "Leave it out, or use a model that has the joint."
        )
    return found


def _free_coordinate(skeleton: Skeleton, name: str) -> str:
    by_name = {coordinate.name: coordinate for coordinate in skeleton.coordinates}
    if name not in by_name:
        near = difflib.get_close_matches(name, [*PARTS, *by_name], n=3, cutoff=_NEAR_MISS_RATIO)
        hint = f"Did you mean {' or '.join(repr(each) for each in near)}? " if near else ""
        raise UnknownCoordinateError(
            f"'{name}' is no part of the body and no coordinate of the model. {hint}{_what_there_is(skeleton)}"
        )
    coordinate = by_name[name]
    if coordinate.coupled_to is not None:
        raise UnknownCoordinateError(
            f"'{name}' follows '{coordinate.coupled_to}' in the model, whatever was measured. Name that one."
        )
    if coordinate.is_locked:
        raise UnknownCoordinateError(f"the model locks '{name}', so it can't be missing. Leave it out, or unlock it.")
    return name


def _what_there_is(skeleton: Skeleton) -> str:
    free = [c.name for c in skeleton.coordinates if c.coupled_to is None and not c.is_locked]
    return f"Expected a part ({', '.join(PARTS)}) or a coordinate of the model ({', '.join(free)})."


def _words(name: str) -> frozenset[str]:
    """Of a part's name, whichever way it is put: hip_right, right_hip, hip_r, right hips."""
    words = [_HOW_A_SIDE_IS_SHORTENED.get(word, word) for word in re.findall(r"[a-z]+", name.lower())]
    return frozenset(word.removesuffix("s") if word != "pelvis" else word for word in words)


def _atoms_of(part: str) -> tuple[str, ...]:
    words = _words(part)
    if "leg" in words:
        words -= {"leg"}
        return tuple(atom for atom in _ATOMS if _words(atom) & set(LEG_JOINTS) and words <= _words(atom))
    return tuple(atom for atom in _ATOMS if words <= _words(atom))


_ATOMS_OF_WORDS = {_words(part): _atoms_of(part) for part in PARTS}
