"""Channels brought to one scale, as a network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError

RANGE = (-10.0, 10.0)  # Tan et al. 2026
SMALLEST_SPREAD = 1e-6  # a channel that varies less than this is a constant, and is not scaled


@dataclass(frozen=True)
class Normalizer:
    """Normalised = value · scale + offset, channel by channel.

    Args:
        scale, offset: float32, (D,); no scale is zero.
    """

    scale: np.ndarray
    offset: np.ndarray

    @classmethod
    def to_range(cls, values: np.ndarray, *, low: float = RANGE[0], high: float = RANGE[1]) -> Normalizer:
        """One that takes each channel's smallest value to `low` and its largest to `high`.

        Args:
            values: (..., D), finite.
        """
        rows = values.reshape(-1, values.shape[-1])
        smallest = rows.min(axis=0).astype(np.float64)
        scale = (high - low) / _spread(rows.max(axis=0) - smallest)
        return cls(scale.astype(np.float32), (low - smallest * scale).astype(np.float32))

    @classmethod
    def to_unit_spread(cls, values: np.ndarray) -> Normalizer:
        """One that takes each channel to a mean of 0 and a standard deviation of 1.

        Args:
            values: (..., D), finite.
        """
        rows = values.reshape(-1, values.shape[-1])
        scale = 1.0 / _spread(rows.std(axis=0, dtype=np.float64))
        return cls(scale.astype(np.float32), (-rows.mean(axis=0, dtype=np.float64) * scale).astype(np.float32))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values (..., D) to normalised ones, float32."""
        return np.asarray(values, dtype=np.float32) * self.scale + self.offset

    def undo(self, normalised: np.ndarray) -> np.ndarray:
        """The inverse of `apply`."""
        return (np.asarray(normalised, dtype=np.float32) - self.offset) / self.scale

    def __getitem__(self, columns: Any) -> Normalizer:
        """The same for some of the channels."""
        return Normalizer(self.scale[columns], self.offset[columns])

    def to_json(self) -> dict[str, list[float]]:
        """For a checkpoint; `from_json` gives exactly the same numbers back."""
        return {"scale": self.scale.astype(np.float64).tolist(), "offset": self.offset.astype(np.float64).tolist()}

    @classmethod
    def from_json(cls, content: Any, *, num_channels: int, source: str) -> Normalizer:
        """The inverse of `to_json`.

        Args:
            num_channels: that it must have.
            source: named in errors.

        Raises:
            InputFileError: not a normalizer of as many channels, or with a number that can't be.
        """
        try:
            with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, and is refused below
                scale, offset = (np.array(content[key], dtype=np.float32) for key in ("scale", "offset"))
        except (TypeError, KeyError, ValueError):
            scale = offset = np.empty(0, dtype=np.float32)
        if scale.shape != (num_channels,) or offset.shape != (num_channels,):
            raise InputFileError(
                f"{source}: its normalizer does not fit. Expected lists 'scale' and 'offset' of {num_channels} "
                "numbers. Convert or download the weights again."
            )
        if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale != 0).all()):
            raise InputFileError(
                f"{source}: its normalizer has a number that is zero, infinite or none. Convert or download the "
                "weights again."
            )
        return cls(scale, offset)


def _spread(spread: np.ndarray) -> np.ndarray:
    return np.where(spread < SMALLEST_SPREAD, 1.0, spread)
