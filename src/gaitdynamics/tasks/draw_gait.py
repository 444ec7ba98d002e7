"""States of whole gaits, drawn by the diffusion model with nothing known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gaitdynamics.model.diffusion import Conditions, GaitDiffusion, TrialDenoiser
from gaitdynamics.model.sampler import multistep, noise_levels
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import load_completer
from gaitdynamics.types.subject import Subject

WALK, RUN = "walk", "run"
NUM_STEPS = 24  # with nothing known, more than completion needs: at 8, residuals of force are a sixth larger
NOISE_RANGE = (0.02, 80.0)


@dataclass(frozen=True)
class GaitSampler:
    """The bundled or a user's own diffusion model, drawing gaits.

    Args:
        model: the network.
        num_steps: evaluations of the network for a gait.
    """

    model: GaitDiffusion
    num_steps: int = NUM_STEPS

    def __call__(
        self,
        seeds: Sequence[Sequence[int]],
        num_frames: int,
        *,
        speed_m_s: float,
        subject: Subject,
        activity: str,
    ) -> np.ndarray:
        """States of the layout GAIT at 100 Hz, (N, T, D).

        Args:
            seeds: one of each gait.
            num_frames: T.
            speed_m_s: over the ground, straight ahead; that of every gait, on average over its frames.
            subject: height and mass tell the network whose gait it is.
            activity: walk or run.
        """
        normalizer = self.model.normalizer
        shape = (num_frames, len(GAIT))
        noise = np.stack([np.random.default_rng(seed).standard_normal(shape) for seed in seeds])
        nothing = torch.zeros(noise.shape)
        wanted = np.zeros((1, len(GAIT)))
        columns = GAIT["pelvis_velocity"]
        wanted[0, columns] = speed_m_s / subject.height_m, 0.0
        velocity = torch.from_numpy(normalizer.apply(wanted)[0, columns]).float()

        def at_speed(clean: torch.Tensor) -> torch.Tensor:
            # The condition alone would leave gaits faster and slower, by as much as the network doubts it.
            moved = clean.clone()
            moved[..., columns] += velocity - clean[..., columns].mean(dim=1, keepdim=True)
            return moved

        bmi = subject.mass_kg / subject.height_m**2
        drawn = multistep(
            TrialDenoiser(self.model, Conditions(speed_m_s, subject.height_m, bmi, activity == RUN)),
            nothing,
            nothing,
            levels=noise_levels(self.num_steps, lowest=NOISE_RANGE[0], highest=NOISE_RANGE[1]),
            noise=torch.from_numpy(noise).float(),
            consistent=at_speed,
        )
        return normalizer.undo(drawn.numpy())


def load_gait_sampler(weights: str) -> GaitSampler:
    """What draws gaits, by name.

    Args:
        weights: the name of bundled weights, or a folder of weights.

    Raises:
        InputFileError: no such weights, or they can't be used.
    """
    return GaitSampler(load_completer(weights).model)
