"""Inputs that can't be meant: what to warn of before somebody publishes the result."""

from gaitdynamics.biomech.kinematics import angles_of_rotation, leg_joints, rotation_in_parent, segment_rotations
from gaitdynamics.types.skeleton import Pose, Skeleton
from gaitdynamics.units import DEGREES_PER_RADIAN

SPEED_DISAGREEMENT_M_S, SPEED_DISAGREEMENT = 0.3, 0.1  # beyond slip, noise and a belt that yields
LARGEST_HYPEREXTENSION_RAD = 0.5  # beyond any knee that still walks


def belt_warnings(belt_speed_m_s: float, inferred_m_s: float) -> tuple[str, ...]:
    """A belt speed that contradicts the feet, or a belt that runs the wrong way.

    Args:
        belt_speed_m_s: as used.
        inferred_m_s: at which standing feet move back.
    """
    if abs(belt_speed_m_s - inferred_m_s) > SPEED_DISAGREEMENT_M_S + SPEED_DISAGREEMENT * abs(inferred_m_s):
        return (
            f"The belt speed is given as {belt_speed_m_s:.2f} m/s, but standing feet move back at {inferred_m_s:.2f} "
            "m/s. Contacts and distances are wrong if the feet are right: check the speed and its unit.",
        )
    if belt_speed_m_s < 0:
        return (
            f"Standing feet move forward, at {-belt_speed_m_s:.2f} m/s: the person walks backward on a treadmill, "
            "or model and motion do not belong together.",
        )
    return ()


def knee_warnings(skeleton: Skeleton, pose: Pose) -> tuple[str, ...]:
    """Knees that bend forward: the sign of the motion's knee angles is not the model's."""
    segments = segment_rotations(skeleton, pose)
    for leg in leg_joints(skeleton):
        if leg.name != "knee":
            continue
        flexion = angles_of_rotation(rotation_in_parent(skeleton, segments, leg.joint), leg)[:, 0]
        if flexion.min() < -LARGEST_HYPEREXTENSION_RAD:
            return (
                f"A knee ({leg.joint.name}) bends forward by {-flexion.min() * DEGREES_PER_RADIAN:.0f}°: the sign of "
                "the motion's knee angles is probably not this model's. Use the model that the motion was made with.",
            )
    return ()
