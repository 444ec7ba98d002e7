"""How far a force model is to be trusted: the width of its intervals, and what it has seen."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.state.layout import PHYSICS

COVERAGE = 0.90  # of the intervals
SEEN_QUANTILES = (0.002, 0.998)  # of each feature over the training people: what lies between was seen
MARGIN = 0.25  # of that range, on either side
FAR_SHARE = 0.10  # of the frames: more of them outside, and the motion is unlike the training data
NUM_NAMED = 3
UNCHECKED = (  # flags and clocks have no range to leave
    "flight",
    "running",
    "observed",
    "contact_right",
    "contact_left",
)


@dataclass(frozen=True)
class ForceLimits:
    """What calibration and training data say of a force model.

    Args:
        walking, running: half-width of a 90 % interval in units of the network's own spread.
        lowest, highest: of each feature in the training data, len(PHYSICS) each.
    """

    walking: float
    running: float
    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    def half_width(self, spread_bw: np.ndarray, *, is_running: bool) -> np.ndarray:
        """Of the 90 % intervals, in the unit and shape of the spread."""
        return spread_bw * (self.running if is_running else self.walking)

    def warnings(self, features: np.ndarray) -> tuple[str, ...]:
        """One sentence if a motion lies far from the training data, and in what.

        Args:
            features: (T, len(PHYSICS)).
        """
        low, high = np.array(self.lowest), np.array(self.highest)
        reach = MARGIN * (high - low)
        share = ((features < low - reach) | (features > high + reach)).mean(axis=0)
        is_checked = np.array([channel.group not in UNCHECKED for channel in PHYSICS.channels])
        far = [i for i in np.argsort(-share) if is_checked[i] and share[i] > FAR_SHARE]
        if not far:
            return ()
        named = [
            f"{PHYSICS.names[i].replace('_', ' ')} goes from {features[:, i].min():.2g} to {features[:, i].max():.2g} "
            f"{PHYSICS.channels[i].unit} (trained on {low[i]:.2g} to {high[i]:.2g})"
            for i in far[:NUM_NAMED]
        ]
        more = f", and {len(far) - NUM_NAMED} more" if len(far) > NUM_NAMED else ""
        return (
            f"This motion lies outside what the model was trained on: {'; '.join(named)}{more}. "
            "Its forces are less certain than the intervals say; compare with --weights physics.",
        )

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any, *, source: str) -> "ForceLimits":
        """The inverse of `to_json`.

        Raises:
            InputFileError: not limits of this version's features.
        """
        try:
            limits = cls(
                walking=float(content["walking"]),
                running=float(content["running"]),
                lowest=tuple(map(float, content["lowest"])),
                highest=tuple(map(float, content["highest"])),
            )
            numbers = np.array([limits.walking, limits.running, *limits.lowest, *limits.highest])
            is_good = np.isfinite(numbers).all() and len(limits.lowest) == len(limits.highest) == len(PHYSICS)
        except (KeyError, TypeError, ValueError):
            is_good = False
        if not is_good:
            raise InputFileError(
                f"{source}: its 'limits' do not fit. Expected 'walking', 'running', and 'lowest' and 'highest' of "
                f"{len(PHYSICS)} features. Train or download the weights again."
            )
        return limits
