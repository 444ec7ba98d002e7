"""Which joints of a model are behind the groups of a state: pelvis, trunk, hips, knees and ankles."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.anthropometry import torso_of
from gaitdynamics.biomech.kinematics import (
    LegJoint,
    angles_of_rotation,
    chain_between,
    chain_columns,
    leg_joints,
    pelvis_of,
    posed,
    rotation_of_angles,
)
from gaitdynamics.maths.rotations import flexion_adduction_rotation, from_flexion_adduction_rotation
from gaitdynamics.types.skeleton import Joint, Skeleton, once_per_skeleton
from gaitdynamics.units import SIDE_NAMES, SIDES


@dataclass(frozen=True)
class Link:
    """A group of three angles, and the joints that together make them."""

    group: str
    chain: tuple[Joint, ...]
    leg: LegJoint | None

    def angles(self, rotation: np.ndarray) -> np.ndarray:
        return flexion_adduction_rotation(rotation) if self.leg is None else angles_of_rotation(rotation, self.leg)

    def rotation(self, angles: np.ndarray) -> np.ndarray:
        return from_flexion_adduction_rotation(angles) if self.leg is None else rotation_of_angles(angles, self.leg)


@once_per_skeleton
def links(skeleton: Skeleton) -> tuple[Link, ...]:
    """Trunk, hips, knees and ankles; an ankle reaches from the shank to the hindfoot."""
    side_names = dict(zip(SIDES, SIDE_NAMES, strict=True))
    hindfoot = {foot.side: foot.hindfoot for foot in skeleton.feet}
    found = []
    for leg in leg_joints(skeleton):
        distal = hindfoot[leg.side] if leg.name == "ankle" else leg.joint.child
        chain = chain_between(skeleton, leg.joint.parent, distal)
        found.append(Link(f"{leg.name}_{side_names[leg.side]}", chain, leg))
    torso = torso_of(skeleton)
    if torso is not None:
        found.append(Link("lumbar", chain_between(skeleton, pelvis_of(skeleton), torso), None))
    return tuple(found)


@once_per_skeleton
def pelvis_columns(skeleton: Skeleton) -> dict[str, list[int]]:
    """Which coordinates are behind the pelvis' groups."""
    root = chain_between(skeleton, "ground", pelvis_of(skeleton))
    sliding = chain_columns(skeleton, root, is_sliding=True)
    zero = np.zeros((1, len(skeleton.coordinates)))
    pelvis = skeleton.body_index[pelvis_of(skeleton)]
    rising = []
    for column in sliding:
        raised = zero.copy()
        raised[:, column] = 1.0
        moved = (posed(skeleton, raised).origin_m - posed(skeleton, zero).origin_m)[0, pelvis].numpy()
        rising += [column] if abs(moved[1]) > np.hypot(moved[0], moved[2]) else []
    return {
        "pelvis_velocity": [column for column in sliding if column not in rising],
        "pelvis_height": rising,
        "pelvis_rotation": chain_columns(skeleton, root),
    }
