"""Measured and estimated ground reaction forces (.mot, .sto)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.table import Table, format_table, read_table, shortened
from gaitdynamics.maths.signals import interpolate, intervals
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.prediction import ForceInterval
from gaitdynamics.types.side import side_of, words_of
from gaitdynamics.units import SIDES

LARGEST_PLACE_M = 100.0  # a loaded centre of pressure further from the origin is in millimetres
FORCE_DECIMALS = 6

Owner = tuple[str, ...]

_AXES = ("x", "y", "z")
_COMPONENT = re.compile(r"(?P<stem>.*?[\W\d_])(?P<kind>[vpm]?)(?P<axis>[xyz])", re.IGNORECASE)
_QUANTITY_OF_LETTER = {"v": "force", "p": "point", "m": "torque"}
_QUANTITY_OF_WORD = {
    "force": "force",
    "grf": "force",
    "torque": "torque",
    "moment": "torque",
    "cop": "point",
    "point": "point",
}


@dataclass(frozen=True)
class Plate:
    """The force that one set of columns holds, in the ground frame: of a force plate, or of one foot on it.

    Args:
        name: what its force columns have in common.
        side: foot that it acts on, 'r' or 'l'; None where the file does not say.
        time_s: (T,).
        force_n: force on the foot, (T, 3).
        point_m: centre of pressure; without meaning where the force is near zero, (T, 3).
        torque_nm: about that point, (T, 3).
    """

    name: str
    side: str | None
    time_s: np.ndarray
    force_n: np.ndarray
    point_m: np.ndarray
    torque_nm: np.ndarray

    @property
    def is_loaded(self) -> np.ndarray:
        """Where the vertical force exceeds the contact threshold, (T,)."""
        return self.force_n[:, 1] > CONTACT_FORCE_N


def read_plates(path: str | Path) -> tuple[Plate, ...]:
    """Read every force in a file, whatever its columns are called.

    A force is three columns that differ in a final `vx`, `vy`, `vz`; its centre of pressure ends in `px` …,
    its torque in `mx` … or is called torque or moment. What is left of a name without those words says which
    belong together.

    Args:
        path: .mot or .sto.

    Returns:
        The forces in the order of the file. A missing torque is zero.

    Raises:
        InputFileError: not a table, no forces in it, or a force without its centre of pressure.
    """
    table = read_table(path)
    triples, name_of = _triples(table)
    plates = []
    for owner, name in name_of.items():
        if (owner, "point") not in triples:
            raise InputFileError(
                f"{table.source}: the force '{name}' has no centre of pressure. Expected columns like "
                f"'{name}_px', '{name}_py', '{name}_pz'; the file has {shortened(table.labels, limit=20)}."
            )
        plates.append(
            make_plate(
                table,
                name=name,
                side=side_of(name),
                force_labels=triples[owner, "force"],
                point_labels=triples[owner, "point"],
                torque_labels=triples.get((owner, "torque")),
            )
        )
    if not plates:
        raise InputFileError(
            f"{table.source}: no ground reaction forces. Expected columns like 'ground_force_r_vx', "
            f"'ground_force_r_px', 'ground_torque_r_x'; the file has {shortened(table.labels, limit=20)}."
        )
    return tuple(plates)


def make_plate(
    table: Table,
    *,
    name: str,
    side: str | None,
    force_labels: Sequence[str],
    point_labels: Sequence[str],
    torque_labels: Sequence[str] | None,
) -> Plate:
    """A plate from the columns of a table, three labels for each quantity; without torque it is zero.

    Raises:
        InputFileError: a column is missing, or the centre of pressure is in millimetres.
    """
    force_n, point_m = (
        np.stack([table.column(label) for label in labels], axis=1) for labels in (force_labels, point_labels)
    )
    if torque_labels is None:
        torque_nm = np.zeros_like(force_n)
    else:
        torque_nm = np.stack([table.column(label) for label in torque_labels], axis=1)
    plate = Plate(name, side, table.time_s, force_n, point_m, torque_nm)
    points_m = point_m[plate.is_loaded & np.isfinite(point_m).all(axis=1)]
    median_m = np.median(points_m, axis=0) if len(points_m) else np.zeros(3)
    if np.max(np.abs(median_m)) > LARGEST_PLACE_M:
        raise InputFileError(
            f"{table.source}: the centre of pressure of '{name}' is {median_m.round(1).tolist()} in the "
            "median, which looks like millimetres; OpenSim's are in metres. Divide it, and torques, by 1000."
        )
    return plate


def ground_reaction_from_sides(plates: Sequence[Plate]) -> GroundReaction:
    """The forces on both feet, from plates that say which foot they carry.

    Several plates under one foot are summed: the centre of pressure is weighted by vertical force, and the
    moment moved there. Where a number is missing, and for a foot without any plate, the force is not valid.

    Args:
        plates: of one recording.

    Returns:
        The ground reaction at the plates' times.

    Raises:
        InputFileError: a plate's foot is not known, or the plates' times differ.
    """
    nameless = [plate.name for plate in plates if plate.side is None]
    if nameless:
        raise InputFileError(
            f"the forces {shortened(nameless)} do not say which foot they act on. Name the columns like "
            "'ground_force_r_vx' and 'ground_force_l_vx', or give the external loads (.xml)."
        )
    time_s = _common_time(plates)
    feet = [_sum_of([plate for plate in plates if plate.side == side], time_s) for side in SIDES]
    force_n, cop_m, free_moment_nm, valid = (np.stack(parts, axis=1) for parts in zip(*feet, strict=True))
    return GroundReaction(time_s, force_n, cop_m, free_moment_nm, valid)


def assign_feet(plates: Sequence[Plate], time_s: np.ndarray, feet_m: np.ndarray) -> GroundReaction:
    """The forces on both feet, from plates that may not say which foot they carry.

    In each contact, the foot is the one horizontally nearer to the centre of pressure in the median. What
    lies below the contact threshold goes with the contact nearest in time.

    Args:
        plates: of one recording; a side that is known is kept.
        time_s: of the feet's positions, (M,).
        feet_m: centres of the right and the left foot, (M, 2, 3).

    Returns:
        The ground reaction at the plates' times, not valid outside `time_s`.

    Raises:
        InputFileError: the plates' times differ.
    """
    plate_time_s = _common_time(plates)
    feet_at_plate_m = interpolate(feet_m, time_s, plate_time_s)
    sided = [part for plate in plates for part in _split_by_foot(plate, feet_at_plate_m)]
    forces = ground_reaction_from_sides(sided)
    during_motion = (plate_time_s >= time_s[0]) & (plate_time_s <= time_s[-1])
    return replace(forces, valid=forces.valid & during_motion[:, None])


def format_forces(forces: GroundReaction, *, name: str) -> str:
    """Text of a .mot file of both feet's forces, named as `format_external_loads` expects.

    Args:
        forces: of both feet.
        name: first line of the header.

    Returns:
        The text; `read_plates` and `ground_reaction_from_sides` are its inverse, but for what is not valid.
    """
    labels: list[str] = []
    parts = []
    for foot, side in enumerate(SIDES):
        for identifier in identifiers(side):
            labels += [identifier + axis for axis in _AXES]
        torque_nm = np.zeros_like(forces.force_n[:, foot])
        torque_nm[:, 1] = forces.free_moment_nm[:, foot]
        parts += [forces.force_n[:, foot], forces.cop_m[:, foot], torque_nm]
    return format_table(
        name,
        labels,
        np.concatenate(parts, axis=1),
        time_s=forces.time_s,
        in_degrees=False,
        decimals=FORCE_DECIMALS,
    )


def format_force_interval(interval: ForceInterval, time_s: np.ndarray, *, name: str) -> str:
    """Text of a .mot file with the lower and the upper bound of each force, N, in the ground frame.

    Args:
        interval: at the times, (T,).
        name: first line of the header.
    """
    labels = [
        f"{identifiers(side)[0]}{axis}_{bound}" for bound in ("lower", "upper") for side in SIDES for axis in _AXES
    ]
    bounds = [bound.reshape(len(time_s), -1) for bound in (interval.lower_n, interval.upper_n)]
    return format_table(
        name, labels, np.concatenate(bounds, axis=1), time_s=time_s, in_degrees=False, decimals=FORCE_DECIMALS
    )


def identifiers(side: str) -> tuple[str, str, str]:
    """What the columns of force, centre of pressure and torque of one foot begin with."""
    return f"ground_force_{side}_v", f"ground_force_{side}_p", f"ground_torque_{side}_"


def _triples(
    table: Table,
) -> tuple[dict[tuple[Owner, str], list[str]], dict[Owner, str]]:
    """Labels of x, y, z by owner and quantity, and the name of each owner that has a force.

    The owner is what remains of a name without the words of the quantity: `('r',)` of `ground_force_r_vx`.
    """
    found: dict[tuple[Owner, str], dict[str, str]] = {}
    name_of: dict[Owner, str] = {}
    for label in table.labels:
        match = _COMPONENT.fullmatch(label)
        if match is None:
            continue
        words = words_of(match["stem"])
        meant = [_QUANTITY_OF_WORD[word] for word in words if word in _QUANTITY_OF_WORD]
        letter = match["kind"].lower()
        if not meant and not letter:
            continue
        # The letter decides (`ground_force_1_px` is a point), but `ground_torque_vx` is no force.
        quantity = _QUANTITY_OF_LETTER[letter] if letter in ("p", "m") or not meant else meant[-1]
        owner = tuple(word for word in words if word not in _QUANTITY_OF_WORD and word != "ground")
        found.setdefault((owner, quantity), {}).setdefault(match["axis"].lower(), label)
        if quantity == "force":
            name_of.setdefault(owner, match["stem"].rstrip("_./| "))
    for (_, quantity), by_axis in found.items():
        if quantity == "force" and len(by_axis) < len(_AXES):
            raise InputFileError(
                f"{table.source}: the force {shortened(list(by_axis.values()))} lacks some of x, y, z. "
                "Export all three."
            )
    triples = {key: [by_axis[axis] for axis in _AXES] for key, by_axis in found.items() if len(by_axis) == len(_AXES)}
    return triples, name_of


def _common_time(plates: Sequence[Plate]) -> np.ndarray:
    time_s = plates[0].time_s
    for plate in plates[1:]:
        if not np.array_equal(plate.time_s, time_s):
            raise InputFileError(
                f"the forces '{plates[0].name}' and '{plate.name}' have different times. "
                "Give forces that were recorded together, in one file."
            )
    return time_s


def _sum_of(plates: Sequence[Plate], time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Force (T, 3), centre of pressure (T, 3), free moment (T,) and validity (T,) under one foot."""
    if not plates:
        nothing = np.zeros((len(time_s), 3))
        return nothing, nothing, nothing[:, 0], np.zeros(len(time_s), dtype=bool)
    raw_force_n, raw_point_m, raw_torque_nm = (
        np.stack(parts)
        for parts in zip(*((plate.force_n, plate.point_m, plate.torque_nm) for plate in plates), strict=True)
    )
    force_n, point_m, torque_nm = (
        np.where(np.isfinite(raw), raw, 0.0) for raw in (raw_force_n, raw_point_m, raw_torque_nm)
    )
    is_loaded = force_n[..., 1] > CONTACT_FORCE_N
    is_located = np.isfinite(raw_point_m).all(axis=-1) & np.isfinite(raw_torque_nm).all(axis=-1)
    valid = (np.isfinite(raw_force_n).all(axis=-1) & (is_located | ~is_loaded)).all(axis=0)

    # The centre of pressure of a hardly loaded plate is anywhere: it counts only where no other is loaded.
    is_strongest = np.arange(len(plates))[:, None] == np.argmax(force_n[..., 1], axis=0)
    weight = np.where(is_loaded.any(axis=0), np.where(is_loaded, force_n[..., 1], 0.0), is_strongest)
    cop_m = np.sum(point_m * (weight / weight.sum(axis=0))[..., None], axis=0)
    arm_m = np.where(is_loaded[..., None], point_m - cop_m, 0.0)
    moment_nm = torque_nm[..., 1] + arm_m[..., 2] * force_n[..., 0] - arm_m[..., 0] * force_n[..., 2]
    return force_n.sum(axis=0), cop_m, moment_nm.sum(axis=0), valid


def _split_by_foot(plate: Plate, feet_m: np.ndarray) -> list[Plate]:
    """One plate as two, each zero while the other foot is on it; feet (T, 2, 3) at the plate's times."""
    if plate.side is not None:
        return [plate]
    foot = _foot_of_frames(plate, feet_m)
    return [
        replace(
            plate,
            side=side,
            force_n=np.where((foot == index)[:, None] | ~np.isfinite(plate.force_n), plate.force_n, 0.0),
            torque_nm=np.where((foot == index)[:, None], plate.torque_nm, 0.0),
        )
        for index, side in enumerate(SIDES)
    ]


def _foot_of_frames(plate: Plate, feet_m: np.ndarray) -> np.ndarray:
    """0 (right) or 1 (left) for each frame, −1 for a plate that nobody steps on, (T,)."""
    contacts = intervals(plate.is_loaded)
    if not contacts:
        return np.full(len(plate.time_s), -1)
    horizontal = [0, 2]
    distance_m = np.linalg.norm(feet_m[:, :, horizontal] - plate.point_m[:, None, horizontal], axis=-1)
    distance_m[np.isnan(distance_m)] = np.inf
    feet = [int(np.argmin(np.median(distance_m[start:end], axis=0))) for start, end in contacts]
    # Each frame goes with the nearest contact in time: the border is midway between two contacts.
    borders = [(before[1] + after[0]) / 2 for before, after in pairwise(contacts)]
    return np.array(feet)[np.searchsorted(borders, np.arange(len(plate.time_s)), side="right")]
