"""What an estimator returns."""

from dataclasses import dataclass
from typing import Any

from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion


@dataclass(frozen=True)
class Prediction:
    """Forces for a motion, and what a reader must know about them.

    Args:
        motion: the motion that the forces belong to.
        forces: at the motion's times.
        belt_speed_m_s: given or inferred.
        warnings: one sentence each, for the user.
        provenance: weights, seed, version, settings: JSON values only.
    """

    motion: Motion
    forces: GroundReaction
    belt_speed_m_s: float
    warnings: tuple[str, ...]
    provenance: dict[str, Any]
