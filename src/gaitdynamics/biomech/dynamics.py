"""The total force and moment on a body, by Newton and Euler."""

from dataclasses import dataclass

import numpy as np
import torch

from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import derivative, second_derivative, smooth
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

# Cut-offs (forward, up, right) at which the measured total force was matched best on the training people of the
# development data: docs/method.md has the whole table.
WALKING_CUTOFFS_HZ = (5.0, 6.0, 4.0)
RUNNING_CUTOFFS_HZ = (4.0, 5.0, 3.0)
COORDINATE_CUTOFF_HZ = 8.0
ANGULAR_MOMENTUM_CUTOFF_HZ = 4.0
UP_M_S2 = np.array([0.0, STANDARD_GRAVITY_M_S2, 0.0])


@dataclass(frozen=True)
class WholeBody:
    """What the ground must do to the body for it to move as it does.

    Args:
        com_m: centre of mass, smoothed, (T, 3).
        force_n: total ground reaction, (T, 3); zero in flight.
        moment_nm: total moment of it about the centre of mass, (T, 3).
    """

    com_m: np.ndarray
    force_n: np.ndarray
    moment_nm: np.ndarray


def newton_euler(
    skeleton: Skeleton,
    values: np.ndarray,
    com_m: np.ndarray,
    *,
    sampling_rate_hz: float,
    heading: np.ndarray,
    is_flight: np.ndarray,
    is_running: bool,
) -> WholeBody:
    """Total ground reaction from the motion of the whole body.

    Force is mass times (acceleration of the centre of mass minus gravity), moment the rate of angular momentum. In
    flight the body is told to fall freely, so that what smoothing takes from a stance goes into that stance.

    Args:
        values: coordinates, (T, C).
        com_m: centre of mass that belongs to them, (T, 3).
        heading: unit vector, (3,).
        is_flight: (T,).
        is_running: which smoothing suits the gait.
    """
    cutoffs = RUNNING_CUTOFFS_HZ if is_running else WALKING_CUTOFFS_HZ
    axes = heading_axes(heading)
    in_heading = com_m @ axes.T
    smoothed = np.stack(
        [
            smooth(
                in_heading[:, k],
                cutoff_hz=cutoffs[k],
                sampling_rate_hz=sampling_rate_hz,
                is_falling=is_flight,
                falling_acceleration=-UP_M_S2[k],
            )
            for k in range(3)
        ],
        axis=1,
    )
    force_in_heading = skeleton.mass_kg * (second_derivative(smoothed, sampling_rate_hz=sampling_rate_hz) + UP_M_S2)
    force_in_heading[is_flight] = 0.0
    coordinates = smooth(values, cutoff_hz=COORDINATE_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz)
    rates = derivative(coordinates, sampling_rate_hz=sampling_rate_hz)
    with torch.no_grad():
        momentum = skeleton.momentum(torch.from_numpy(coordinates), torch.from_numpy(rates)).angular_kgm2_s.numpy()
    steady = smooth(momentum, cutoff_hz=ANGULAR_MOMENTUM_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz)
    moment = derivative(steady, sampling_rate_hz=sampling_rate_hz)
    moment[is_flight] = 0.0
    return WholeBody(smoothed @ axes, force_in_heading @ axes, moment)
