"""Where in the stride each foot is, also of motions that hold steps but no whole stride."""

from itertools import pairwise

import numpy as np

from gaitdynamics.biomech.cycles import landing_frames, strides, whole_stances
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction

# Of the stride in which a foot is on the ground, where it is not known: walking, and with times when neither is.
WALKING_STANCE_SHARE, RUNNING_STANCE_SHARE = 0.62, 0.35


def stride_duration_s(forces: GroundReaction) -> float | None:
    """How long a stride takes; None where no foot lands and leaves, and none lands after the other.

    The median of the strides; without a whole one twice the mean time from one foot's landing to the other's; without
    two landings what a stance is of a stride elsewhere.
    """
    time_s = forces.time_s
    whole = [time_s[each.end] - time_s[each.start] for each in strides(forces)]
    if whole:
        return float(np.median(whole))
    landings = sorted((time_s[frame], foot) for foot in range(2) for frame in landing_frames(forces, foot))
    steps = [later - earlier for (earlier, foot), (later, other) in pairwise(landings) if foot != other]
    if steps:
        return 2.0 * float(np.mean(steps))
    contacts = [time_s[each.end] - time_s[each.start] for each in whole_stances(forces)]
    return float(np.mean(contacts)) / _stance_share(forces) if contacts else None


def landing_phase(time_s: np.ndarray, forces: GroundReaction, foot: int, *, stride_s: float) -> np.ndarray:
    """How many of a foot's strides have passed since its first landing; goes on steadily beyond the landings.

    Args:
        time_s: (T,).
        forces: with a landing of either foot; a foot that never lands is half a stride from the other.
        foot: 0 right, 1 left.
        stride_s: duration of a stride.

    Returns:
        (T,).
    """
    landings = landing_frames(forces, foot)
    if not len(landings):
        return landing_phase(time_s, forces, 1 - foot, stride_s=stride_s) + 0.5
    times = forces.time_s[landings]
    counts = np.concatenate([[0], np.cumsum(np.maximum(np.round(np.diff(times) / stride_s), 1))])
    return _counted(time_s, times, counts, stride_s)


def stance_phase(time_s: np.ndarray, forces: GroundReaction, *, stride_s: float) -> np.ndarray:
    """Strides that have passed: whole numbers in the middle of right stances, halves in that of left ones.

    Args:
        time_s: (T,).
        forces: with a landing; where no stance is whole, its middle follows its landing.
        stride_s: duration of a stride.

    Returns:
        (T,).
    """
    middles = [((forces.time_s[s.start] + forces.time_s[s.end]) / 2, s.foot) for s in whole_stances(forces)]
    if not middles:
        half_s = _stance_share(forces) * stride_s / 2
        middles = [(forces.time_s[frame] + half_s, foot) for foot in range(2) for frame in landing_frames(forces, foot)]
    times, feet = np.array(sorted(middles)).T
    steps = np.diff(feet) % 2  # odd from one foot to the other
    num_half_strides = steps + 2 * np.maximum(np.round((2 * np.diff(times) / stride_s - steps) / 2), 1 - steps)
    counts = (feet[0] + np.concatenate([[0], np.cumsum(num_half_strides)])) / 2
    return _counted(time_s, times, counts, stride_s)


def _stance_share(forces: GroundReaction) -> float:
    is_airborne = (forces.valid & (forces.force_n[..., 1] <= CONTACT_FORCE_N)).all(axis=1)
    return RUNNING_STANCE_SHARE if is_airborne.any() else WALKING_STANCE_SHARE


def _counted(time_s: np.ndarray, times: np.ndarray, counts: np.ndarray, stride_s: float) -> np.ndarray:
    """Counts at other times: linear in between, and at a steady pace beyond."""
    times = np.concatenate([times[:1] - 1e3 * stride_s, times, times[-1:] + 1e3 * stride_s])
    counts = np.concatenate([counts[:1] - 1e3, counts, counts[-1:] + 1e3])
    return np.interp(time_s, times, counts)
