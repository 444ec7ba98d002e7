"""Ground reaction forces from a motion."""

from dataclasses import replace

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.contact import detect_contact, infer_belt_speed, smoothed_path
from gaitdynamics.biomech.dynamics import newton_euler
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, local_heading, posed
from gaitdynamics.biomech.load_sharing import share_forces
from gaitdynamics.biomech.plausibility import belt_warnings, knee_warnings
from gaitdynamics.biomech.pressure import balance_point, pressure, right_share
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import even_times, interpolate, resample
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
    height_m, mass_kg = trial.subject.height_m, trial.subject.mass_kg
    skeleton, warnings = with_trunk(trial.skeleton, trial.motion, height_m=height_m)
    skeleton = skeleton.scaled_to(mass_kg)
    body_weight_n = trial.subject.body_weight_n

    time_s = even_times(trial.motion.time_s, min_rate_hz=WORKING_RATE_HZ[0], max_rate_hz=WORKING_RATE_HZ[1])
    rate_hz = (len(time_s) - 1) / float(time_s[-1] - time_s[0])
    values = resample(trial.motion.values, trial.motion.time_s, time_s)
    pose = posed(skeleton, values)
    com_m = skeleton.centre_of_mass(pose).numpy()
    heading = heading_of(skeleton, pose)
    going = local_heading(skeleton, pose, sampling_rate_hz=rate_hz)
    path = smoothed_path(foot_paths(skeleton, pose, height_m=height_m), sampling_rate_hz=rate_hz)

    inferred_speed = infer_belt_speed(path, heading, sampling_rate_hz=rate_hz)
    belt_speed = inferred_speed if trial.belt_speed_m_s is None else trial.belt_speed_m_s
    knees = knee_warnings(skeleton, pose)
    warnings += (*belt_warnings(belt_speed, inferred_speed), *knees)
    try:
        contact = detect_contact(path, com_m, heading=heading, belt_speed_m_s=belt_speed, sampling_rate_hz=rate_hz)
    except InvalidMotionError as error:
        raise InvalidMotionError(" ".join([str(error), *knees])) from None
    body = newton_euler(
        skeleton,
        values,
        com_m,
        sampling_rate_hz=rate_hz,
        heading=heading,
        is_flight=contact.is_flight,
        is_running=contact.is_running,
    )
    pulls = body.force_n[:, 1] <= 0.0
    body = replace(body, force_n=np.where(pulls[:, None], 0.0, body.force_n))
    balance_m = balance_point(body, floor_m=contact.floor_m, body_weight_n=body_weight_n)
    force_n = share_forces(
        body.force_n,
        contact,
        heading=going,
        right_share=right_share(balance_m, path, sampling_rate_hz=rate_hz),
        sampling_rate_hz=rate_hz,
    )
    under = pressure(
        force_n,
        body,
        path,
        contact,
        balance_m=balance_m,
        heading=going,
        body_weight_n=body_weight_n,
        sampling_rate_hz=rate_hz,
    )
    times = trial.motion.time_s
    forces = GroundReaction(
        time_s=times,
        force_n=interpolate(force_n, time_s, times),
        cop_m=interpolate(under.cop_m, time_s, times),
        free_moment_nm=interpolate(under.free_moment_nm, time_s, times),
        valid=np.ones((len(times), 2), dtype=bool),
    )
    if contact.floor_m:
        warnings += (
            f"The feet rest {100 * contact.floor_m:.0f} cm above y = 0: the floor was taken to be there, "
            "and centres of pressure lie on it.",
        )
    provenance = {"weights": PHYSICS, "seed": seed, "version": __version__}
    return Prediction(trial.motion, forces, belt_speed, warnings, provenance)
