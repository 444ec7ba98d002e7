"""A generative model that knows one gait: the bundled walk, for tests of what is done with generated states."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

BUNDLED = Subject("bundled", mass_kg=75.0, height_m=1.75)
NOISE_RAD = 0.01


@dataclass(frozen=True)
class WalkingStates:
    """States of the bundled walk at its own 1.3 m/s, whatever is asked for, each with legs bent a little differently.

    Args:
        values: of the walk, (T, 44).
    """

    values: np.ndarray

    @classmethod
    def of(cls, assets: Path) -> "WalkingStates":
        skeleton = read_model(assets / "generic_body.osim")
        motion, _ = read_motion(assets / "synthetic_walk.mot", skeleton.coordinates)
        trial = Trial("walk", BUNDLED, skeleton, motion, None, 0.0, "bundled")
        forces = estimate_forces(trial).forces
        state, _ = encode(Trial("walk", BUNDLED, skeleton, motion, forces, 0.0, "bundled"))
        return cls(state.values)

    def __call__(
        self, seeds: Sequence[Sequence[int]], num_frames: int, *, speed_m_s: float, subject: Subject, activity: str
    ) -> np.ndarray:
        """(N, num_frames, 44)."""
        states = np.repeat(self.values[None, :num_frames], len(seeds), axis=0)
        knees = np.concatenate([GAIT["knee_right_flexion"], GAIT["knee_left_flexion"]])
        for state, seed in zip(states, seeds, strict=True):
            state[:, knees] += NOISE_RAD * np.random.default_rng(seed).standard_normal(2)
        return states
