"""Toes that stay on the floor while the heel rises, for motions that say nothing of them."""

import numpy as np

from gaitdynamics.biomech.kinematics import chain_between, foot_paths, posed, segment_rotations, with_chain_rotation
from gaitdynamics.maths.rotations import from_flexion_adduction_rotation
from gaitdynamics.types.skeleton import Skeleton

LARGEST_EXTENSION_RAD = 1.0  # of the metatarsophalangeal joint; about what it reaches passively
NEAR_FLOOR_M = 0.03  # the toe joint's height over where it rests at which the toes have all but straightened


def with_flat_toes(skeleton: Skeleton, values: np.ndarray, *, height_m: float) -> np.ndarray:
    """The same motion with toes bent upwards by as much as the foot is pitched, while the toe joint is at the floor.

    Args:
        skeleton: feet without hinged toes, or whose toes the model locks, stay as they are.
        values: coordinates of a motion whose soles stand on y = 0, (T, C).
        height_m: of the person.
    """
    pose = posed(skeleton, values)
    segments = segment_rotations(skeleton, pose)
    toe_joint_m = foot_paths(skeleton, pose, height_m=height_m).points_m[:, :, 1, 1]
    over_floor_m = toe_joint_m - np.percentile(toe_joint_m, 5.0, axis=0)
    result = values
    for side, foot in enumerate(skeleton.feet):
        if foot.toes is None:
            continue
        forward = segments[:, skeleton.body_index[foot.hindfoot]][..., 0]
        heel_up = np.arcsin(np.clip(-forward[:, 1], -1.0, 1.0))
        nearness = np.exp(-((over_floor_m[:, side] / NEAR_FLOOR_M) ** 2))
        extension = np.clip(heel_up * nearness, 0.0, LARGEST_EXTENSION_RAD)
        turned = from_flexion_adduction_rotation(np.stack([extension, 0 * extension, 0 * extension], axis=-1))
        result = with_chain_rotation(skeleton, result, chain_between(skeleton, foot.hindfoot, foot.toes), turned)
    return result
