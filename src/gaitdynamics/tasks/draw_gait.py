"""States of whole gaits, drawn by the diffusion model with nothing known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gaitdynamics.model.diffusion import Conditions, GaitDiffusion, TrialDenoiser
from gaitdynamics.model.sampler import multistep, noise_levels
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import load_completer
from gaitdynamics.types.subject import Subject

WALK, RUN = "walk", "run"
NUM_STEPS = 24  # at 8, as completion takes, feet of one running gait in twelve slid away; 48 are no better
NOISE_RANGE = (0.02, 80.0)
# A network that starts from nothing loses the rhythm from one stride to the next. While there is more noise than this,
# in standard deviations, strides are drawn as one; below, each finds its own details, and differs as people's do.
DETAIL_NOISE = 0.5
STRIDE_S = {WALK: (0.8, 1.7), RUN: (0.5, 0.95)}  # of children at their fastest to adults at their slowest
REACH_STRIDES = 4  # averaged on either side
LEAST_FRAMES = 400  # enough strides to be compared
SMALLEST_NORM = 1e-9


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
            speed_m_s: over the ground, straight ahead; that of every gait, on average.
            subject: height and mass tell the network whose gait it is.
            activity: walk or run.
        """
        normalizer = self.model.normalizer
        shape = (max(num_frames, LEAST_FRAMES), len(GAIT))
        noise = np.stack([np.random.default_rng(seed).standard_normal(shape) for seed in seeds])
        nothing = torch.zeros(noise.shape)
        wanted = np.zeros((1, len(GAIT)))
        columns = GAIT["pelvis_velocity"]
        wanted[0, columns] = speed_m_s / subject.height_m, 0.0
        velocity = torch.from_numpy(normalizer.apply(wanted)[0, columns]).float()
        levels = noise_levels(self.num_steps, lowest=NOISE_RANGE[0], highest=NOISE_RANGE[1])
        remaining = iter(levels.tolist())

        def like_a_gait(clean: torch.Tensor) -> torch.Tensor:
            is_rough = next(remaining) > DETAIL_NOISE
            steady = mean_of_strides(clean, stride_frames(clean, activity)) if is_rough else clean.clone()
            # The condition alone would leave gaits faster and slower, by as much as the network doubts it.
            steady[..., columns] += velocity - steady[..., columns].mean(dim=1, keepdim=True)
            return steady

        bmi = subject.mass_kg / subject.height_m**2
        drawn = multistep(
            TrialDenoiser(self.model, Conditions(speed_m_s, subject.height_m, bmi, activity == RUN)),
            nothing,
            nothing,
            levels=levels,
            noise=torch.from_numpy(noise).float(),
            consistent=like_a_gait,
        )
        return normalizer.undo(drawn.numpy())[:, :num_frames].astype(np.float64)


def stride_frames(gaits: torch.Tensor, activity: str) -> torch.Tensor:
    """After how many frames each gait (N, T, D) is most like itself, (N,): the largest autocorrelation."""
    about_mean = gaits - gaits.mean(dim=1, keepdim=True)
    shortest, longest = (round(bound * FRAME_RATE_HZ) for bound in STRIDE_S[activity])
    likeness = []
    for lag in range(shortest, longest + 1):
        first, second = about_mean[:, :-lag], about_mean[:, lag:]
        scale = torch.sqrt((first**2).sum(dim=(1, 2)) * (second**2).sum(dim=(1, 2)))
        likeness.append((first * second).sum(dim=(1, 2)) / torch.clamp(scale, min=SMALLEST_NORM))
    return shortest + torch.stack(likeness).argmax(dim=0)


def mean_of_strides(gaits: torch.Tensor, strides: torch.Tensor) -> torch.Tensor:
    """Each gait (N, T, D) averaged with itself, whole strides (N,) earlier and later."""
    result = torch.empty_like(gaits)
    frames = torch.arange(gaits.shape[1])
    for k, stride in enumerate(strides.tolist()):
        total, count = torch.zeros_like(gaits[k]), torch.zeros(len(frames), 1)
        for number in range(-REACH_STRIDES, REACH_STRIDES + 1):
            source = frames + number * stride
            is_inside = (source >= 0) & (source < len(frames))
            total[is_inside] += gaits[k, source[is_inside]]
            count[is_inside] += 1
        result[k] = total / count
    return result


def load_gait_sampler(weights: str) -> GaitSampler:
    """What draws gaits, by name.

    Args:
        weights: the name of bundled weights, or a folder of weights.

    Raises:
        InputFileError: no such weights, or they can't be used.
    """
    return GaitSampler(load_completer(weights).model)
