"""Which foot carries what: the total force divided between the feet."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.contact import Contact
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import intervals

TYPICAL_DOUBLE_SUPPORT_S = 0.12  # for one that the recording cuts, when it holds no whole one; walking at 1.3 m/s
LONGEST_DOUBLE_SUPPORT_S = 0.5  # longer is standing, where the moment balance tells the shares


@dataclass(frozen=True)
class DoubleSupport:
    """Both feet down for the frames [start, end); progress (end − start,) runs from 0 to 1.

    `trailing` is the foot that leaves (0 right, 1 left); None while a person stands.
    """

    start: int
    end: int
    trailing: int | None
    progress: np.ndarray


def double_supports(contact: Contact, *, sampling_rate_hz: float) -> tuple[DoubleSupport, ...]:
    """The times with both feet down, and which foot is about to leave."""
    both = contact.is_down[:, 0] & contact.is_down[:, 1]
    spans = intervals(both)
    whole = [end - start for start, end in spans if start > 0 and end < len(both)]
    steps = [n for n in whole if n <= LONGEST_DOUBLE_SUPPORT_S * sampling_rate_hz]
    typical = float(np.median(steps)) if steps else TYPICAL_DOUBLE_SUPPORT_S * sampling_rate_hz
    found = []
    for start, end in spans:
        before = contact.is_down[start - 1] if start > 0 else np.array([False, False])
        after = contact.is_down[end] if end < len(both) else np.array([False, False])
        trailing = None
        if before.any() or after.any():
            trailing = int(np.argmax(before)) if before.any() else 1 - int(np.argmax(after))
        is_standing = end - start > LONGEST_DOUBLE_SUPPORT_S * sampling_rate_hz
        leaves_what_it_came_with = before.any() and after.any() and bool((before == after).all())
        if is_standing or leaves_what_it_came_with:
            trailing = None
        frames = np.arange(1, end - start + 1)
        length = end - start + 1 if (start > 0 and end < len(both)) else max(typical, end - start) + 1
        progress = frames / length if start > 0 else 1 - (end - start + 1 - frames) / length
        found.append(DoubleSupport(start, end, trailing, progress))
    return tuple(found)


def share_forces(
    total_n: np.ndarray,
    contact: Contact,
    *,
    heading: np.ndarray,
    right_share: np.ndarray,
    sampling_rate_hz: float,
) -> np.ndarray:
    """Divide the total force between the feet.

    A foot alone on the ground carries everything. In double support the trailing foot's forward and sideways force
    fade as in the smooth transition assumption (Ren, Jones and Howard 2008, J Biomech 41:2750, Eqs. 1–2), each from
    its value at the other foot's strike; its vertical force is a share of the total that falls along a cubic, which
    errs less than that paper's curve (docs/method.md). A person who stands is balanced: `right_share` of the load is
    where the total force passes.

    Args:
        total_n: (T, 3), ground frame.
        heading: unit vector, (3,), or at every frame, (T, 3).
        right_share: of the right foot by the moment balance, (T,).

    Returns:
        (T, 2, 3); exactly zero for a foot that is not down.
    """
    axes = np.broadcast_to(heading_axes(heading), (len(total_n), 3, 3))
    total = np.einsum("tij,tj->ti", axes, total_n)
    shared = np.where(contact.is_down[:, :, None], total[:, None, :], 0.0)
    doubles = double_supports(contact, sampling_rate_hz=sampling_rate_hz)
    usual = _usual_force_at_strike(total, doubles)
    for double in doubles:
        span = slice(double.start, double.end)
        if double.trailing is None:
            right = right_share[span, None]
            shared[span] = np.stack([total[span] * right, total[span] * (1 - right)], axis=1)
            continue
        u = double.progress
        at_strike = total[double.start - 1] if double.start > 0 else usual * _outward(double.trailing)
        leaving = np.stack(
            [
                at_strike[0] * _forward_fade(u),
                total[span, 1] * _vertical_share(u),
                at_strike[2] * np.exp(-((2 * u) ** 3)),
            ],
            axis=1,
        )
        shared[span, double.trailing] = leaving
        shared[span, 1 - double.trailing] = total[span] - leaving
    return np.einsum("tfi,tij->tfj", shared, axes)


def _usual_force_at_strike(total_n: np.ndarray, doubles: tuple[DoubleSupport, ...]) -> np.ndarray:
    """Median force on the trailing foot when the other one lands, (3,), sideways outward; zero if none was seen.

    For the double support that a recording starts in.
    """
    seen = [total_n[d.start - 1] * _outward(d.trailing) for d in doubles if d.start > 0 and d.trailing is not None]
    return np.median(seen, axis=0) if seen else np.zeros(3)


def _outward(foot: int) -> np.ndarray:
    """Turns a force in heading axes into one that is positive away from the body's midline, and back."""
    return np.array([1.0, 1.0, 1.0 if foot == 0 else -1.0])


def _vertical_share(progress: np.ndarray) -> np.ndarray:
    return 1 - (0.5 * progress + 1.5 * progress**2 - progress**3)


def _forward_fade(progress: np.ndarray) -> np.ndarray:
    """Ren et al.'s Eq. 2 with time in halves of the double support: 1 at the start, 0 at the end."""
    time = 2 * progress
    peak_time = 2 / 3
    k1 = np.exp(peak_time**2)
    k2 = k1 / 2 * np.exp(-((2 - peak_time) ** 2))
    return k1 * np.exp(-((time - peak_time) ** 2)) - k2 * time
