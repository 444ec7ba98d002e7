"""Whether a gait could be a person's: Newton and Euler, feet that stand, pressure under them, no pull."""

import numpy as np

from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, posed
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

# Name in the figures: head of the column.
PLAUSIBILITY = {
    "residual_pct_bw": "residual, % BW",
    "residual_moment_pct_bw_bh": "moment, % BW·BH",
    "sliding_m_s": "sliding, m/s",
    "cop_outside_mm": "CoP off foot, mm",
    "pull_pct_bw": "pull, % BW",
}
EDGE_FRAMES = 8  # where derivatives are one-sided
LOADED_BW = 0.1
HALF_WIDTH_M, BEFORE_TOE_JOINT_M, BEHIND_HEEL_M = 0.045, 0.08, 0.03  # of a foot in a shoe


def plausibility(trial: Trial, forces: GroundReaction) -> dict[str, float]:
    """Root mean square residuals, mean sliding of loaded feet, the 99th percentile of pressure off a foot, any pull."""
    values, weight_n, height_m = trial.motion.values, trial.subject.body_weight_n, trial.subject.height_m
    skeleton, _ = with_trunk(trial.skeleton, trial.motion, height_m=height_m)
    time_s = np.linspace(trial.motion.time_s[0], trial.motion.time_s[-1], len(trial.motion.time_s))
    residual = newton_euler_residual(skeleton.scaled_to(trial.subject.mass_kg), values, forces, time_s=time_s)
    pose = posed(trial.skeleton, values)
    load_bw = forces.force_n[..., 1] / weight_n
    points = foot_paths(trial.skeleton, pose, height_m=height_m).points_m
    ahead = (points[:, :, 1] - points[:, :, 0]) * [1.0, 0.0, 1.0]
    length = np.linalg.norm(ahead, axis=-1)
    ahead = ahead / length[..., None]
    from_heel = forces.cop_m - points[:, :, 0]
    along = (from_heel * ahead).sum(axis=-1)
    across = np.abs((from_heel * np.cross(ahead, [0.0, 1.0, 0.0])).sum(axis=-1))
    outside = np.maximum.reduce([across - HALF_WIDTH_M, along - length - BEFORE_TOE_JOINT_M, -BEHIND_HEEL_M - along])
    outside = np.maximum(outside[load_bw > LOADED_BW], 0.0)
    return {
        "residual_pct_bw": 100 * _rms(residual.force_n) / weight_n,
        "residual_moment_pct_bw_bh": 100 * _rms(residual.moment_nm) / (weight_n * height_m),
        "sliding_m_s": foot_sliding(
            trial.skeleton,
            values,
            load_bw=load_bw,
            sampling_rate_hz=trial.motion.sampling_rate_hz,
            height_m=height_m,
            belt_velocity_m_s=-(trial.belt_speed_m_s or 0.0) * heading_of(trial.skeleton, pose),
        ),
        "cop_outside_mm": 1e3 * float(np.percentile(outside, 99)) if outside.size else 0.0,
        "pull_pct_bw": 100 * float(np.maximum(-load_bw, 0.0).max()),
    }


def _rms(vectors: np.ndarray) -> float:
    inner = vectors[EDGE_FRAMES:-EDGE_FRAMES]
    return float(np.sqrt((inner**2).sum(axis=1).mean()))
