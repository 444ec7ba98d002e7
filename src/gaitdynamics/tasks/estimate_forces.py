"""Ground reaction forces from a motion."""

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.maths.signals import even_times, interpolate
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial

WORKING_RATE_HZ = (100.0, 200.0)  # slower would blur the instants of contact, faster only costs time
PHYSICS = "physics"


def estimate_forces(trial: Trial, *, seed: int = 0) -> Prediction:
    """Ground reaction forces of a motion, from the physics of the whole body alone.

    Args:
        trial: its skeleton has the person's mass; measured forces in it are not looked at.
        seed: recorded in the provenance; this estimator draws no random numbers.

    Returns:
        Forces, centres of pressure and free moments at the motion's own times.

    Raises:
        InvalidMotionError: no foot ever rests on the ground.
        InvalidModelError: the model lacks legs or feet.
    """
    times = trial.motion.time_s
    time_s = even_times(times, min_rate_hz=WORKING_RATE_HZ[0], max_rate_hz=WORKING_RATE_HZ[1])
    physics = physics_of(trial, time_s)
    forces = GroundReaction(
        time_s=times,
        force_n=interpolate(physics.force_n, time_s, times),
        cop_m=interpolate(physics.under.cop_m, time_s, times),
        free_moment_nm=interpolate(physics.under.free_moment_nm, time_s, times),
        valid=np.ones((len(times), 2), dtype=bool),
    )
    provenance = {"weights": PHYSICS, "seed": seed, "version": __version__}
    return Prediction(trial.motion, forces, physics.belt_speed_m_s, physics.warnings, provenance)
