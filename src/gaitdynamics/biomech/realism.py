"""Whether a motion and its forces could be a person's: what Newton and Euler say of them."""

from dataclasses import dataclass

import numpy as np
import torch

from gaitdynamics.biomech.events import foot_strikes, stances
from gaitdynamics.biomech.kinematics import posed
from gaitdynamics.maths.signals import derivative, interpolate, second_derivative, smooth
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

RESIDUAL_CUTOFF_HZ = 8.0  # of motion and forces alike, so that neither is blamed for what the other can't show


@dataclass(frozen=True)
class Residual:
    """What forces leave unexplained of a motion, in the ground frame.

    Args:
        force_n: total force minus mass times (acceleration of the centre of mass minus gravity), (T, 3).
        moment_nm: total moment about the centre of mass minus the rate of angular momentum, (T, 3).
    """

    force_n: np.ndarray
    moment_nm: np.ndarray


def newton_euler_residual(
    skeleton: Skeleton, values: np.ndarray, forces: GroundReaction, *, time_s: np.ndarray
) -> Residual:
    """Forces against the motion of the whole body, both below 8 Hz.

    A belt at constant speed changes neither side of either equation.

    Args:
        skeleton: with the person's mass, and with a trunk.
        values: coordinates, (T, C).
        forces: of both feet; their times cover the motion's.
        time_s: even, (T,).
    """
    rate_hz = (len(time_s) - 1) / float(time_s[-1] - time_s[0])

    def below_cutoff(signal: np.ndarray) -> np.ndarray:
        return smooth(signal, cutoff_hz=RESIDUAL_CUTOFF_HZ, sampling_rate_hz=rate_hz)

    steady = below_cutoff(values)
    com_m = skeleton.centre_of_mass(posed(skeleton, steady)).numpy()
    rates = derivative(steady, sampling_rate_hz=rate_hz)
    with torch.no_grad():
        momentum = skeleton.momentum(torch.from_numpy(steady), torch.from_numpy(rates)).angular_kgm2_s.numpy()
    weight_n = np.array([0.0, skeleton.mass_kg * STANDARD_GRAVITY_M_S2, 0.0])
    needed_n = skeleton.mass_kg * second_derivative(com_m, sampling_rate_hz=rate_hz) + weight_n
    needed_nm = derivative(momentum, sampling_rate_hz=rate_hz)

    force_n = interpolate(forces.force_n, forces.time_s, time_s)
    lever_m = interpolate(forces.cop_m, forces.time_s, time_s) - com_m[:, None]
    moment_nm = np.cross(lever_m, force_n).sum(axis=1)
    moment_nm[:, 1] += interpolate(forces.free_moment_nm, forces.time_s, time_s).sum(axis=1)
    return Residual(below_cutoff(force_n.sum(axis=1)) - needed_n, below_cutoff(moment_nm) - needed_nm)


def mean_vertical_bw(forces: GroundReaction, *, body_weight_n: float) -> float | None:
    """Vertical force averaged over whole strides, which is 1 for anybody who neither rises nor falls.

    Returns:
        Body weights; None where no foot lands twice.
    """
    found = stances(forces)
    strikes = max((foot_strikes(found, foot) for foot in range(2)), key=lambda each: np.ptp(each) if len(each) else -1)
    if len(strikes) < 2:
        return None
    return float(forces.force_n[strikes[0] : strikes[-1], :, 1].sum(axis=1).mean() / body_weight_n)
