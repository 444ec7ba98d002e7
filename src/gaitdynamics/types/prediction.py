"""What an estimator returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion


@dataclass(frozen=True)
class ForceInterval:
    """Between which values each force lies, frame by frame, in the ground frame.

    Args:
        lower_n, upper_n: (T, 2, 3), feet ordered right, left.
        coverage: share of frames in which the force of a person not trained on lay between them.
    """

    lower_n: np.ndarray
    upper_n: np.ndarray
    coverage: float


@dataclass(frozen=True)
class Prediction:
    """Forces for a motion, and what a reader must know about them.

    Args:
        motion: the motion that the forces belong to.
        forces: at the motion's times.
        belt_speed_m_s: given or inferred.
        warnings: one sentence each, for the user.
        provenance: weights, seed, version, settings: JSON values only.
        interval: of the forces; None from an estimator that has none.
    """

    motion: Motion
    forces: GroundReaction
    belt_speed_m_s: float
    warnings: tuple[str, ...]
    provenance: dict[str, Any]
    interval: ForceInterval | None = None
