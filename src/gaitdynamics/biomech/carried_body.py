"""A body that moves as the forces on it want."""

import numpy as np
from scipy.linalg import solveh_banded

from gaitdynamics.biomech.kinematics import chain_between, pelvis_of, posed, with_chain_origin
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

# Positions are believed where they change slowly, forces where quickly: the two meet at √(acceleration / shift) rad/s,
# about the frequency of strides. A millimetre at 5 Hz is a tenth of gravity.
ACCELERATION_M_S2 = 0.5
SHIFT_M = 0.015


def with_carried_body(
    skeleton: Skeleton, values: np.ndarray, *, force_n: np.ndarray, sampling_rate_hz: float
) -> np.ndarray:
    """The same motion with the body shifted so that its centre of mass accelerates as forces and gravity say.

    Least squares over the shift at all frames at once, of what the acceleration lacks and of the shift itself.

    Args:
        skeleton: with the person's mass.
        values: evenly sampled coordinates, (T, C).
        force_n: total ground reaction, ground frame, (T, 3).
        sampling_rate_hz: of both.

    Returns:
        (T, C); no joint of the body has turned.
    """
    pose = posed(skeleton, values)
    com_m = skeleton.centre_of_mass(pose).numpy()
    wanted = force_n / skeleton.mass_kg - np.array([0.0, STANDARD_GRAVITY_M_S2, 0.0])
    rate = sampling_rate_hz**2
    lacking = wanted[1:-1] - (com_m[2:] - 2 * com_m[1:-1] + com_m[:-2]) * rate

    num = len(values)
    weight = (rate * SHIFT_M / ACCELERATION_M_S2) ** 2  # of a bend against a shift
    bands = np.zeros((3, num))
    for offset, factor in enumerate((1.0, 4.0, 1.0)):
        bands[2, offset : offset + num - 2] += factor * weight
    bands[2] += 1.0
    bands[1, 1:-1] -= 2 * weight
    bands[1, 2:] -= 2 * weight
    bands[0, 2:] += weight
    right = np.zeros((num, 3))
    for offset, factor in enumerate((1.0, -2.0, 1.0)):
        right[offset : offset + num - 2] += factor * (weight / rate) * lacking
    shift_m = solveh_banded(bands, right)

    pelvis = pelvis_of(skeleton)
    origin_m = pose.origin_m[:, skeleton.body_index[pelvis]].numpy()
    return with_chain_origin(skeleton, values, chain_between(skeleton, "ground", pelvis), origin_m + shift_m)
