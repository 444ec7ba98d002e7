"""Foot strikes and toe-offs, from the forces."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.maths.signals import intervals
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction

MIN_STANCE_S = 0.05


@dataclass(frozen=True)
class Stance:
    """One foot on the ground for the frames [start, end).

    Args:
        foot: 0 right, 1 left.
        start, end: frames.
        is_whole: neither the recording's start nor its end cuts it.
    """

    foot: int
    start: int
    end: int
    is_whole: bool


def stances(forces: GroundReaction) -> tuple[Stance, ...]:
    """The stances of both feet, by the time they start."""
    found = []
    for foot in range(2):
        for start, end in intervals(forces.force_n[:, foot, 1] > CONTACT_FORCE_N):
            is_whole = start > 0 and end < len(forces.time_s)
            if forces.time_s[end - 1] - forces.time_s[start] >= MIN_STANCE_S or not is_whole:
                found.append(Stance(foot, start, end, is_whole))
    return tuple(sorted(found, key=lambda stance: (stance.start, stance.foot)))


def foot_strikes(all_stances: tuple[Stance, ...], foot: int) -> np.ndarray:
    """Frames at which a foot lands; a stance that the recording's start cuts has none."""
    return np.array([s.start for s in all_stances if s.foot == foot and s.start > 0], dtype=int)


def toe_offs(all_stances: tuple[Stance, ...], foot: int, *, num_frames: int) -> np.ndarray:
    """Frames at which a foot has left; a stance that the recording's end cuts has none."""
    return np.array([s.end for s in all_stances if s.foot == foot and s.end < num_frames], dtype=int)
