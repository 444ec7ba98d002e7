"""Where in the stride a person is at each moment, and strides brought to one clock so that they can be compared.

A stride begins when the right foot lands and has phase 0.5 when the left one does. On the common clock feet also leave
at the same phase (`REFERENCE_SHARES`), so that what is compared between two speeds is stance with stance and swing with
swing.
"""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.maths.signals import intervals

WALK, RUN = "walk", "run"
REFERENCE_SHARES = {WALK: 0.60, RUN: 0.33}  # of the stride in which a foot is on the ground, on the common clock
STRIDE_RANGE_S = (0.35, 2.5)  # the fastest sprint to a shuffle
_LARGEST_SHIFT = 0.6  # of the time that it is made up for in: beyond two thirds, the clock would run backwards
_LEAST_STRIKES = 3  # of the feet in turn: one stride


@dataclass(frozen=True)
class StridePhase:
    """The clock of a recording.

    Args:
        phase: strides since the first right foot strike, increasing, (T,).
        first, last: phases of the first and the last foot strike: strides between them are whole.
        stride_s: mean duration of a stride.
        contact_share: mean share of the stride in which a foot is on the ground.
    """

    phase: np.ndarray
    first: float
    last: float
    stride_s: float
    contact_share: float

    def on_reference(self, activity: str) -> np.ndarray:
        """Phases (T,) on the clock on which feet leave at the activity's reference share."""
        reference = REFERENCE_SHARES[activity]
        return self.phase + _within_stride(self.phase, at=self.contact_share, by=reference - self.contact_share)

    def delayed(self, by_share: float) -> np.ndarray:
        """By how much later each frame comes, in strides (T,), if feet stay on the ground for a longer share."""
        return _within_stride(self.phase, at=self.contact_share, by=by_share)


def stride_phase(is_down: np.ndarray, *, sampling_rate_hz: float) -> StridePhase | None:
    """The clock of a recording, from feet on the ground; None without a whole stride.

    Args:
        is_down: feet ordered right, left, (T, 2).
    """
    strikes = sorted((start, foot) for foot in range(2) for start, _ in intervals(is_down[:, foot]) if start > 0)
    if len(strikes) < _LEAST_STRIKES:
        return None
    frames, feet = np.array(strikes, dtype=float).T
    steps = np.where(np.diff(feet) != 0, 0.5, 1.0)
    if (steps == 1.0).all() or (np.diff(frames) <= 0).any():
        return None
    # The first strike of a right foot has a whole phase.
    at_strikes = (0.5 if feet[0] == 1 else 0.0) + np.concatenate([[0.0], np.cumsum(steps)])
    stride_s = (frames[-1] - frames[0]) / (at_strikes[-1] - at_strikes[0]) / sampling_rate_hz
    shortest, longest = STRIDE_RANGE_S
    if at_strikes[-1] - at_strikes[0] < 1.0 or not shortest <= stride_s <= longest:
        return None
    phase = _through(frames, at_strikes, np.arange(len(is_down)), rate=1.0 / (stride_s * sampling_rate_hz))
    shares = [
        phase[end] - phase[start]
        for foot in range(2)
        for start, end in intervals(is_down[:, foot])
        if start > 0 and end < len(is_down)
    ]
    if not shares or not 0.0 < np.mean(shares) < 1.0:
        return None
    return StridePhase(phase, float(at_strikes[0]), float(at_strikes[-1]), float(stride_s), float(np.mean(shares)))


def _through(frames: np.ndarray, phases: np.ndarray, wanted: np.ndarray, *, rate: float) -> np.ndarray:
    """A smooth increasing curve through the strikes, that goes on at a steady rate (per frame) beyond them."""
    from scipy.interpolate import PchipInterpolator

    before, after = np.arange(-2, 0) / 2.0, np.arange(1, 3) / 2.0
    frames = np.concatenate([frames[0] + before / rate, frames, frames[-1] + after / rate])
    phases = np.concatenate([phases[0] + before, phases, phases[-1] + after])
    inside = np.clip(wanted, frames[0], frames[-1])
    return np.asarray(PchipInterpolator(frames, phases)(inside) + (wanted - inside) * rate)


def _within_stride(phase: np.ndarray, *, at: float, by: float) -> np.ndarray:
    """A smooth shift that is nothing when a foot lands, and `by` when one leaves at the phase `at`; both feet alike."""
    from scipy.interpolate import PchipInterpolator

    place = at % 0.5
    bounded = float(np.clip(by, -_LARGEST_SHIFT * place, _LARGEST_SHIFT * (0.5 - place)))
    if bounded == 0.0:
        return np.zeros_like(phase)
    knots = np.array([place - 0.5, 0.0, place, 0.5, place + 0.5, 1.0])
    shifts = np.array([bounded, 0.0, bounded, 0.0, bounded, 0.0])
    return np.asarray(PchipInterpolator(knots, shifts)(phase % 0.5))
