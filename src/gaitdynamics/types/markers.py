"""Markers over time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Markers:
    """Places of markers on a person, in the ground frame (y up).

    Args:
        time_s: strictly increasing, (T,).
        names: as the laboratory calls them, M of them, all different.
        position_m: NaN where a marker was not seen, (T, M, 3).
    """

    time_s: np.ndarray
    names: tuple[str, ...]
    position_m: np.ndarray

    @property
    def is_seen(self) -> np.ndarray:
        """Where there is a place, (T, M)."""
        return np.isfinite(self.position_m).all(axis=2)

    @property
    def sampling_rate_hz(self) -> float:
        """Mean rate over the whole recording."""
        return (len(self.time_s) - 1) / float(self.time_s[-1] - self.time_s[0])
