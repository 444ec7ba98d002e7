"""Strides of a drawn gait made as alike as a person's are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gaitdynamics.maths.signals import intervals
from gaitdynamics.state.layout import GAIT
from gaitdynamics.units import SIDE_NAMES, STANDARD_GRAVITY_M_S2

STEP_TIME_VARIATION = 0.02  # standard deviation over mean: 1 to 3 % in healthy people (Hausdorff 2005, JNER 2:19)
LANDED_BW = 0.05
SHORTEST_PHASE_FRAMES = 6  # of stance or swing; what is shorter is a flicker of the force
LEAST_STEPS = 4
PHASES = 200  # of a stride, in which strides are compared

_LOADS = np.concatenate([GAIT[f"force_{side}_y"] for side in SIDE_NAMES])
_VELOCITY = GAIT["pelvis_velocity"]


def with_steady_strides(values: np.ndarray) -> np.ndarray:
    """The same gait, less irregular where its steps differ more than a person's do.

    A network that is unsure of a gait's rhythm changes it from step to step. Times between foot strikes, and what each
    stride does at each of its phases, are drawn towards their means, all by the same share: so far that step times
    vary by 2 %. Right and left keep their differences, and the mean velocity stays.

    Args:
        values: of the layout GAIT at 100 Hz, (T, D).

    Returns:
        (T, D); the values themselves where steps vary less, are fewer than four, or do not alternate.
    """
    steps = _Steps.of(values)
    if steps is None:
        return values
    share = steps.share_to_keep
    if share >= 1.0:
        return values
    warped = _at_times(values, steps, share)
    strikes = steps.drawn_in(share)[::2]
    mean_cycle = _mean_cycle(warped, strikes)
    if mean_cycle is None:
        return warped
    frames = np.arange(len(values), dtype=float)
    number = np.interp(frames, strikes, np.arange(len(strikes)))
    stride = (strikes[-1] - strikes[0]) / (len(strikes) - 1)
    number = np.where(frames < strikes[0], (frames - strikes[0]) / stride, number)
    number = np.where(frames > strikes[-1], len(strikes) - 1 + (frames - strikes[-1]) / stride, number)
    phase = (number % 1.0) * PHASES
    typical = np.stack([np.interp(phase, np.arange(PHASES + 1), column) for column in mean_cycle.T], axis=1)
    steady = typical + share * (warped - typical)
    steady[:, _VELOCITY] += values[:, _VELOCITY].mean(axis=0) - steady[:, _VELOCITY].mean(axis=0)
    return steady


@dataclass(frozen=True)
class _Steps:
    """Foot strikes, right and left by turns, in frames and fractions of them, (K,)."""

    strikes: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Steps | None":
        load_bw = values[:, _LOADS] / STANDARD_GRAVITY_M_S2
        found = [(strike, foot) for foot in range(2) for strike in _landings(load_bw[:, foot])]
        found.sort()
        feet = np.array([foot for _, foot in found])
        if len(found) <= LEAST_STEPS or (np.diff(feet) == 0).any():
            return None
        return cls(np.array([strike for strike, _ in found]))

    @property
    def _deviations(self) -> tuple[np.ndarray, np.ndarray]:
        """Means of the times between strikes, of every other step alike, and what each differs by."""
        times = np.diff(self.strikes)
        means = np.empty_like(times)
        for foot in range(2):
            means[foot::2] = times[foot::2].mean()
        return means, times - means

    @property
    def share_to_keep(self) -> float:
        means, deviations = self._deviations
        spread = float(np.sqrt((deviations**2).sum() / max(len(means) - 2, 1)))
        return 1.0 if spread == 0.0 else min(1.0, STEP_TIME_VARIATION * float(means.mean()) / spread)

    def drawn_in(self, share: float) -> np.ndarray:
        """The strikes when steps keep a share of their deviations; the first and the last stay where they are."""
        means, deviations = self._deviations
        return self.strikes[0] + np.concatenate([[0.0], np.cumsum(means + share * deviations)])


def _landings(load_bw: np.ndarray) -> list[float]:
    is_down = load_bw > LANDED_BW
    for state in (False, True):
        for start, end in intervals(is_down == state):
            if end - start < SHORTEST_PHASE_FRAMES and start > 0 and end < len(is_down):
                is_down[start:end] = not state
    starts = [start for start, _ in intervals(is_down) if start > 0]
    return [
        start - float(np.clip((load_bw[start] - LANDED_BW) / max(load_bw[start] - load_bw[start - 1], 1e-6), 0.0, 1.0))
        for start in starts
    ]


def _at_times(values: np.ndarray, steps: _Steps, share: float) -> np.ndarray:
    """The gait with its strikes moved to where they shall be, and everything between them with them."""
    from scipy.interpolate import CubicSpline, PchipInterpolator

    last = len(values) - 1.0
    before, after = (np.concatenate([[0.0], s, [last]]) for s in (steps.strikes, steps.drawn_in(share)))
    clock = PchipInterpolator(after, before)
    frames = np.arange(len(values), dtype=float)
    warped = CubicSpline(frames, values)(np.clip(clock(frames), 0.0, last))
    warped[:, _VELOCITY] *= clock.derivative()(frames)[:, None]
    return warped


def _mean_cycle(values: np.ndarray, strikes: np.ndarray) -> np.ndarray | None:
    """Of the strides between strikes of one foot, from strike to strike, (PHASES + 1, D), its ends alike."""
    if len(strikes) < 3:
        return None
    frames, phases = np.arange(len(values)), np.linspace(0.0, 1.0, PHASES + 1)
    cycles = []
    for start, end in pairwise(strikes):
        at = start + phases * (end - start)
        cycles.append(np.stack([np.interp(at, frames, column) for column in values.T], axis=1))
    mean = np.mean(cycles, axis=0)
    return mean - (phases[:, None] - 0.5) * (mean[-1] - mean[0])
