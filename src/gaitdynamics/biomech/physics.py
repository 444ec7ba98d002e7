"""What physics alone says of a motion: contact, total force, its share on each foot, and where it acts."""

from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.contact import Contact, detect_contact, infer_belt_speed, smoothed_path
from gaitdynamics.biomech.dynamics import WholeBody, newton_euler
from gaitdynamics.biomech.kinematics import FootPath, foot_paths, heading_of, local_heading, posed
from gaitdynamics.biomech.load_sharing import share_forces
from gaitdynamics.biomech.plausibility import belt_warnings, knee_warnings
from gaitdynamics.biomech.pressure import Pressure, balance_point, pressure, right_share
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import resample
from gaitdynamics.types.skeleton import Pose, Skeleton
from gaitdynamics.types.trial import Trial


@dataclass(frozen=True)
class Physics:
    """The whole body's dynamics at evenly spaced times; T frames, ground frame, feet ordered right, left.

    Args:
        time_s: (T,).
        skeleton: the model that the mechanics were computed with: of the person's mass, and with a trunk.
        pose: of that skeleton.
        path: heel and toe joint of both feet, smoothed.
        heading: the direction that the person goes in, unit vectors (T, 3).
        belt_speed_m_s: given or inferred.
        contact: feet on the ground.
        body: total force and moment.
        balance_m: point of the floor at which the total force balances the moment, (T, 3); NaN when unloaded.
        force_n: on each foot, (T, 2, 3).
        under: centres of pressure and free moments.
        warnings: one sentence each, for the user.
    """

    time_s: np.ndarray
    skeleton: Skeleton
    pose: Pose
    path: FootPath
    heading: np.ndarray
    belt_speed_m_s: float
    contact: Contact
    body: WholeBody
    balance_m: np.ndarray
    force_n: np.ndarray
    under: Pressure
    warnings: tuple[str, ...]

    @property
    def sampling_rate_hz(self) -> float:
        """Of `time_s`."""
        return (len(self.time_s) - 1) / float(self.time_s[-1] - self.time_s[0])


def physics_of(trial: Trial, time_s: np.ndarray) -> Physics:
    """Work out the forces of a motion from the mechanics of the whole body.

    Args:
        trial: its skeleton has the person's mass; measured forces in it are not looked at.
        time_s: evenly spaced, within the motion, (T,).

    Raises:
        InvalidMotionError: no foot ever rests on the ground.
        InvalidModelError: the model lacks legs or feet.
    """
    height_m, mass_kg = trial.subject.height_m, trial.subject.mass_kg
    skeleton, warnings = with_trunk(trial.skeleton, trial.motion, height_m=height_m)
    skeleton = skeleton.scaled_to(mass_kg)
    body_weight_n = trial.subject.body_weight_n

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
    if contact.floor_m:
        warnings += (
            f"The feet rest {100 * contact.floor_m:.0f} cm above y = 0: the floor was taken to be there, "
            "and centres of pressure lie on it.",
        )
    return Physics(
        time_s=time_s,
        skeleton=skeleton,
        pose=pose,
        path=path,
        heading=going,
        belt_speed_m_s=belt_speed,
        contact=contact,
        body=body,
        balance_m=balance_m,
        force_n=force_n,
        under=under,
        warnings=warnings,
    )
