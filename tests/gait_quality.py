"""How real a gait is: what Newton and Euler leave over, feet that slide, pressure beside them."""

import numpy as np

from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, posed
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

EDGE_FRAMES = 8  # where derivatives are one-sided
LOADED_BW, FIRM_BW = 0.1, 0.4
HALF_WIDTH_M, BEHIND_HEEL_M, BEFORE_TOE_JOINT_M = 0.045, 0.03, 0.08


def residual(trial: Trial, forces: GroundReaction) -> np.ndarray:
    """Root mean squares of force in body weights, and of moment in body weights times height, (2,)."""
    subject, motion = trial.subject, trial.motion
    skeleton, _ = with_trunk(trial.skeleton, motion, height_m=subject.height_m)
    found = newton_euler_residual(skeleton.scaled_to(subject.mass_kg), motion.values, forces, time_s=motion.time_s)
    inner = slice(EDGE_FRAMES, -EDGE_FRAMES)
    force, moment = (np.sqrt((each[inner] ** 2).sum(axis=1).mean()) for each in (found.force_n, found.moment_nm))
    return np.array([force, moment / subject.height_m]) / subject.body_weight_n


def slide_m_s(trial: Trial, forces: GroundReaction) -> float:
    """Of feet that carry much, on average: in faster gait a foot lands and leaves faster."""
    load = load_bw(trial, forces)
    heading = heading_of(trial.skeleton, posed(trial.skeleton, trial.motion.values))
    return foot_sliding(
        trial.skeleton,
        trial.motion.values,
        load_bw=np.where(load > FIRM_BW, load, 0.0),
        sampling_rate_hz=trial.motion.sampling_rate_hz,
        height_m=trial.subject.height_m,
        belt_velocity_m_s=-(trial.belt_speed_m_s or 0.0) * heading,
    )


def beside_feet_m(trial: Trial, forces: GroundReaction) -> float:
    """How far the centre of pressure of a loaded foot is outside its shoe, at most."""
    pose = posed(trial.skeleton, trial.motion.values)
    points = foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m).points_m
    ahead = (points[:, :, 1] - points[:, :, 0]) * [1.0, 0.0, 1.0]
    length = np.linalg.norm(ahead, axis=-1)
    ahead /= length[..., None]
    from_heel = forces.cop_m - points[:, :, 0]
    along = (from_heel * ahead).sum(axis=-1)
    across = np.abs((from_heel * np.cross(ahead, [0.0, 1.0, 0.0])).sum(axis=-1))
    outside = np.maximum.reduce([across - HALF_WIDTH_M, along - length - BEFORE_TOE_JOINT_M, -BEHIND_HEEL_M - along])
    return float(outside[load_bw(trial, forces) > LOADED_BW].max())


def load_bw(trial: Trial, forces: GroundReaction) -> np.ndarray:
    return forces.force_n[..., 1] / trial.subject.body_weight_n
