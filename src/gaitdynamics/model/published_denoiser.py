"""The authors' diffusion network under the contract of `sampler`.

They add noise so that the variance is preserved: their noisy window is ours times the root of what remains of the
signal. Their network regards neither `known` nor `mask`: sample with replacement.
"""

from collections.abc import Callable

import numpy as np
import torch

from gaitdynamics.model.published_sampling import betas, timesteps
from gaitdynamics.model.sampler import Denoise

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Windows as noisy as the timestep (N,) of 0 to 999 makes them, (N, L, D), to clean ones."""


def timestep_levels() -> torch.Tensor:
    """Our level of noise at each of the authors' timesteps, rising, (1000,) float64."""
    remaining = torch.from_numpy(np.cumprod(1.0 - betas()))
    return ((1.0 - remaining) / remaining).sqrt()


def published_levels() -> torch.Tensor:
    """The levels of the authors' 50 steps, and 0; (51,) float64."""
    levels = timestep_levels()[timesteps()]
    return torch.cat([levels, levels.new_zeros(1)])


def as_denoiser(network: Network) -> Denoise:
    """The network as a denoiser; between its timesteps it is asked at the nearest, in the logarithm of the level."""
    logarithms = timestep_levels().log()

    def denoise(noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        distance = sigma.to(logarithms).log()[:, None] - logarithms.to(sigma.device)
        timestep = distance.abs().argmin(dim=1)
        return network(noisy / (1.0 + sigma.square()).sqrt()[:, None, None], timestep)

    return denoise
