"""Strides and steps: what lies between one landing and the next, and how long, far and wide it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gaitdynamics.biomech.events import Stance, stances
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.types.ground_reaction import GroundReaction


@dataclass(frozen=True)
class Stride:
    """From a foot's landing to its next.

    Args:
        foot: 0 right, 1 left.
        start: frame of the landing.
        toe_off: first frame without contact.
        end: frame of the next landing.
    """

    foot: int
    start: int
    toe_off: int
    end: int


@dataclass(frozen=True)
class FootTiming:
    """One foot's steps, strides and stances, in order; a step belongs to the foot that lands and ends it.

    Args:
        step_times_s, step_lengths_m, step_widths_m: from the other foot's landing to this foot's, (number of steps,).
        stride_times_s, stride_lengths_m, stance_shares: of whole strides, (number of strides,).
        contact_times_s: of whole stances, (number of stances,).
    """

    step_times_s: np.ndarray
    step_lengths_m: np.ndarray
    step_widths_m: np.ndarray
    stride_times_s: np.ndarray
    stride_lengths_m: np.ndarray
    stance_shares: np.ndarray
    contact_times_s: np.ndarray


def strides(forces: GroundReaction) -> tuple[Stride, ...]:
    """The strides of both feet that are whole and whose forces are known all through, by the time they start."""
    found = [stride for foot in range(2) for stride in _strides_between(_landings(forces, foot), forces)]
    return tuple(sorted(found, key=lambda stride: (stride.start, stride.foot)))


def whole_stances(forces: GroundReaction) -> tuple[Stance, ...]:
    """The stances of both feet that are whole and whose forces are known all through, by the time they start."""
    return tuple(stance for stance in stances(forces) if _is_whole(stance, forces))


def landing_frames(forces: GroundReaction, foot: int) -> np.ndarray:
    """Frames at which a foot lands in known forces."""
    landings = _landings(forces, foot)
    return np.array([s.start for s in landings if _is_known(forces, foot, s.start, s.start)], dtype=int)


def over_cycle(values: np.ndarray, stride: Stride, *, num_points: int = 101) -> np.ndarray:
    """Values over a stride at even points, the first at this landing and the last at the next, linearly in between.

    Args:
        values: (T, ...).
        stride: frames of the same clock.

    Returns:
        (num_points, ...).
    """
    at = np.linspace(stride.start, stride.end, num_points)
    before = np.minimum(at.astype(int), stride.end - 1)
    share = (at - before).reshape(-1, *[1] * (values.ndim - 1))
    return values[before] * (1 - share) + values[before + 1] * share


def foot_timing(forces: GroundReaction, heels_m: np.ndarray, going: np.ndarray, foot: int) -> FootTiming:
    """Times and distances of one foot.

    Args:
        heels_m: over the ground (the belt's motion added), at the forces' times, (T, 2, 3).
        going: horizontal unit vectors of the direction of progression, (T, 3).
        foot: 0 right, 1 left.
    """
    time_s, all_stances = forces.time_s, stances(forces)
    landings = [s for s in all_stances if s.foot == foot and s.start > 0]
    own, other = [s.start for s in landings], [s.start for s in all_stances if s.foot != foot and s.start > 0]
    steps = []
    for strike in own:
        before = max((frame for frame in other if frame < strike), default=None)
        if before is None or any(before < frame < strike for frame in own):
            continue
        if all(_is_known(forces, side, before, strike) for side in range(2)):
            steps.append((before, strike))
    first, last = np.array(steps, dtype=int).reshape(-1, 2).T
    between = heels_m[last, foot] - heels_m[first, 1 - foot]
    forward, _, right = np.einsum("nij,nj->in", heading_axes(going[last]), between)
    own_strides = [(s.start, s.toe_off, s.end) for s in _strides_between(landings, forces)]
    start, toe_off, end = np.array(own_strides, dtype=int).reshape(-1, 3).T
    travelled = (heels_m[end, foot] - heels_m[start, foot])[:, [0, 2]]
    contacts = [(s.start, s.end) for s in all_stances if s.foot == foot and _is_whole(s, forces)]
    landed, left = np.array(contacts, dtype=int).reshape(-1, 2).T
    return FootTiming(
        step_times_s=time_s[last] - time_s[first],
        step_lengths_m=forward,
        step_widths_m=right if foot == 0 else -right,
        stride_times_s=time_s[end] - time_s[start],
        stride_lengths_m=np.linalg.norm(travelled, axis=1),
        stance_shares=(time_s[toe_off] - time_s[start]) / (time_s[end] - time_s[start]),
        contact_times_s=time_s[left] - time_s[landed],
    )


def cadence_steps_per_min(forces: GroundReaction) -> float | None:
    """Landings of both feet a minute; None where no two follow each other in known forces."""
    strikes = np.sort([stance.start for foot in range(2) for stance in _landings(forces, foot)])
    is_known = [
        all(_is_known(forces, foot, before, strike) for foot in range(2)) for before, strike in pairwise(strikes)
    ]
    if not any(is_known):
        return None
    return 60.0 * sum(is_known) / float(np.diff(forces.time_s[strikes])[is_known].sum())


def _landings(forces: GroundReaction, foot: int) -> list[Stance]:
    """Stances of a foot whose beginning the recording holds."""
    return [stance for stance in stances(forces) if stance.foot == foot and stance.start > 0]


def _strides_between(landings: Sequence[Stance], forces: GroundReaction) -> list[Stride]:
    """The known strides from each stance of one foot to its next."""
    return [
        Stride(stance.foot, stance.start, stance.end, following.start)
        for stance, following in pairwise(landings)
        if _is_known(forces, stance.foot, stance.start, following.start)
    ]


def _is_whole(stance: Stance, forces: GroundReaction) -> bool:
    return stance.is_whole and _is_known(forces, stance.foot, stance.start, stance.end)


def _is_known(forces: GroundReaction, foot: int, start: int, end: int) -> bool:
    """Whether a foot's force is known from the frame before an event to the frame of another."""
    return bool(forces.valid[max(start - 1, 0) : end + 1, foot].all())
