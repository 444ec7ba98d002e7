"""What is hidden from a model before its completion is measured: parts of the body, or everything for a moment."""

import difflib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from gaitdynamics.errors import InputFileError, InvalidMotionError, UnknownCoordinateError
from gaitdynamics.io.study import Interval
from gaitdynamics.state.parts import coordinates_of_parts, hidden
from gaitdynamics.types.trial import Trial

PARTS_HIDDEN = ("trunk", "pelvis", "hips", "knees", "ankles")
GAPS_MS = (50, 100, 200, 300, 400, 500)
ALL_MASKS, NONE = "all", "none"
GAP_EVERY_S = 1.5  # of valid force at most one gap begins, so that a gait cycle around it stays known
KNOWN_AT_ENDS_S = 0.1  # of a trial, before the first and after the last gap
APART_S = 1.0  # centres of neighbouring gaps at least: half a second known between the longest
LONGEST_GAP_S = max(GAPS_MS) / 1000


class NothingHiddenError(InvalidMotionError):
    """A mask hides nothing of a trial: the model lacks the joint, it was not measured, or the trial is too short."""


@dataclass(frozen=True)
class Mask:
    """What is hidden.

    Args:
        name: as `--mask` takes it.
        parts: of the body (state.parts.PARTS), over the whole trial.
        gap_s: length of gaps in all coordinates; None for none.
    """

    name: str
    parts: tuple[str, ...] = ()
    gap_s: float | None = None

    def applied(self, trial: Trial, valid_s: Sequence[Interval], *, seed: int = 0) -> Trial:
        """The trial as if that had not been observed; what is left of a coordinate is interpolated linearly.

        Args:
            valid_s: where forces are compared: gaps lie there.
            seed: of the places of gaps; with the trial's name it determines them.

        Raises:
            NothingHiddenError: there is nothing to hide.
        """
        if self.gap_s is not None:
            free = tuple(c.name for c in trial.skeleton.coordinates if c.coupled_to is None and not c.is_locked)
            for gap in self.gaps(trial, valid_s, seed=seed):
                trial = hidden(trial, free, interval_s=gap)
            return trial
        if not self.parts:
            return trial
        coordinates = _existing(trial, self.parts)
        columns = [trial.motion.coordinates.index(name) for name in coordinates]
        if not trial.motion.observed[:, columns].any():
            raise NothingHiddenError(f"{trial.name}: nothing of {' and '.join(self.parts)} was measured.")
        return hidden(trial, coordinates)

    def gaps(self, trial: Trial, valid_s: Sequence[Interval], *, seed: int = 0) -> tuple[Interval, ...]:
        """Where the gaps are, [start, end) in seconds; masks of all lengths have theirs about the same centres.

        Raises:
            NothingHiddenError: the trial is too short for a gap of the longest length and something known around it.
        """
        if self.gap_s is None:
            return ()
        time_s = trial.motion.time_s
        edge = KNOWN_AT_ENDS_S + LONGEST_GAP_S / 2
        first, last = float(time_s[0]) + edge, float(time_s[-1]) - edge
        rng = np.random.default_rng([seed, zlib.crc32(trial.name.encode())])
        half_s, centres = self.gap_s / 2, [-np.inf]
        for start, end in valid_s:
            for centre in _centres(max(start, first), min(end, last), rng):
                if centre - centres[-1] >= APART_S:
                    centres.append(centre)
        if len(centres) == 1:
            raise NothingHiddenError(
                f"{trial.name}: no room for a gap of {LONGEST_GAP_S:g} s with {KNOWN_AT_ENDS_S:g} s known on "
                "both sides and its centre where forces are valid."
            )
        return tuple((centre - half_s, centre + half_s) for centre in centres[1:])


def _masks() -> tuple[Mask, ...]:
    pairs = [*((part,) for part in PARTS_HIDDEN), *combinations(PARTS_HIDDEN, 2)]
    return (
        Mask(NONE),
        *(Mask("+".join(parts), parts) for parts in pairs),
        Mask("one_leg", ("left_leg",)),
        Mask("upper_body", ("legs",)),
        *(Mask(f"gap_{gap}ms", gap_s=gap / 1000) for gap in GAPS_MS),
    )


MASKS = {mask.name: mask for mask in _masks()}


def masks_named(names: Sequence[str]) -> tuple[Mask, ...]:
    """Masks by name, each once; 'all' for every one. The two of a pair come in any order.

    Raises:
        InputFileError: no such mask.
    """
    found: dict[str, Mask] = {}
    of_parts = {frozenset(mask.name.split("+")): mask for mask in MASKS.values()}
    for name in names:
        if name == ALL_MASKS:
            found |= MASKS
            continue
        mask = of_parts.get(frozenset(part.strip() for part in name.lower().split("+")))
        if mask is None:
            near = difflib.get_close_matches(name, MASKS, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise InputFileError(f"no mask '{name}'. {hint}Expected '{ALL_MASKS}' or one of {', '.join(MASKS)}.")
        found[mask.name] = mask
    return tuple(found.values())


def shortened(trial: Trial, valid_s: Sequence[Interval], *, longest_s: float) -> Trial:
    """The trial's motion for that long, from its beginning or, if force is valid later, from a second before that."""
    motion = trial.motion
    start_s = max(float(motion.time_s[0]), min((start for start, _ in valid_s), default=-np.inf) - 1.0)
    kept = slice(*np.searchsorted(motion.time_s, [start_s, start_s + longest_s]).tolist())
    values, observed = motion.values[kept], motion.observed[kept]
    return replace(trial, motion=replace(motion, time_s=motion.time_s[kept], values=values, observed=observed))


def _existing(trial: Trial, parts: Sequence[str]) -> tuple[str, ...]:
    """Coordinates of the parts that the model has."""
    found: dict[str, None] = {}
    for part in parts:
        try:
            found |= dict.fromkeys(coordinates_of_parts(trial.skeleton, [part]))
        except UnknownCoordinateError:
            continue
    if not found:
        raise NothingHiddenError(f"{trial.name}: the model has no {' or '.join(parts)} that could be hidden.")
    return tuple(found)


def _centres(first: float, last: float, rng: np.random.Generator) -> list[float]:
    """Of gaps between two times: one in every slot of GAP_EVERY_S, at random but APART_S from the neighbours'."""
    if last < first:
        return []
    num = max(int((last - first) / GAP_EVERY_S), 1)
    width = (last - first) / num
    play = width if num == 1 else width - APART_S
    middles = first + width * (np.arange(num) + 0.5)
    return (middles + play * (rng.random(num) - 0.5)).tolist()
