"""Forces between the feet and the ground."""

from dataclasses import dataclass

import numpy as np

CONTACT_FORCE_N = 20.0  # the usual threshold of gait laboratories; below it the centre of pressure is noise


@dataclass(frozen=True)
class GroundReaction:
    """What the ground does to each foot, in the ground frame (x forward, y up, z right); feet ordered right, left.

    Args:
        time_s: (T,).
        force_n: force on the foot, (T, 2, 3).
        cop_m: centre of pressure, (T, 2, 3); without meaning where the force is zero.
        free_moment_nm: moment about the vertical through the centre of pressure, (T, 2).
        valid: False where the force of that foot is not known, (T, 2).
    """

    time_s: np.ndarray
    force_n: np.ndarray
    cop_m: np.ndarray
    free_moment_nm: np.ndarray
    valid: np.ndarray
