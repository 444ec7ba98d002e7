"""Coordinates over time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Motion:
    """Generalised coordinates of a model over time, in SI units and radians.

    Args:
        time_s: strictly increasing, (T,).
        values: radians or metres, (T, C); finite also where nothing was observed.
        coordinates: OpenSim's coordinate names, C of them.
        observed: False where the value is a default or a filling, (T, C).
    """

    time_s: np.ndarray
    values: np.ndarray
    coordinates: tuple[str, ...]
    observed: np.ndarray

    @property
    def sampling_rate_hz(self) -> float:
        """Mean rate over the whole motion."""
        return (len(self.time_s) - 1) / float(self.time_s[-1] - self.time_s[0])
