"""Sampling from the authors' diffusion model: completion of what is not known, and guidance towards what is wanted.

Deterministic steps of Song et al. 2021 (DDIM, arXiv 2010.02502) over a schedule of 1000; known channels are replaced by
the known values, made as noisy as the step, as in Lugmayr et al. 2022 (arXiv 2201.09865) without its repetitions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

NUM_TIMESTEPS = 1000
NUM_STEPS = 50
BETA_RANGE = (1e-4, 2e-2)  # the squares of evenly spaced numbers between the square roots of these
GUIDANCE_STEPS = 5
GUIDANCE_RATE = 0.02

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DrawNoise = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Guidance:
    """What a modified gait should be like, in normalised units.

    Args:
        value: wanted, (N, L, D).
        dead_band: deviation that does not count, (D,).
        weight: of each number's further deviation, (N, L, D).
    """

    value: torch.Tensor
    dead_band: torch.Tensor
    weight: torch.Tensor


def betas() -> np.ndarray:
    """Variance that each of the 1000 steps adds."""
    low, high = np.sqrt(BETA_RANGE)
    return np.linspace(low, high, NUM_TIMESTEPS) ** 2


def timesteps() -> list[int]:
    """The steps at which the network is asked, from noise to nearly clean."""
    stride = NUM_TIMESTEPS // NUM_STEPS
    return list(range(NUM_TIMESTEPS - 1, -1, -stride))


def sample(
    denoise: Denoise,
    known_value: torch.Tensor,
    known_mask: torch.Tensor,
    *,
    draw_noise: DrawNoise,
    guidance: Guidance | None = None,
) -> torch.Tensor:
    """Draw windows that agree with what is known, and come near to what is wanted.

    Args:
        denoise: the network: noisy windows (N, L, D) and step (N,) to clean windows.
        known_value: normalised, (N, L, D).
        known_mask: 1 where it is known, else 0, (N, L, D).
        draw_noise: normal numbers (N, L, D): for the start, then before every step but the first.
        guidance: towards what is wanted.

    Returns:
        Normalised windows, (N, L, D). Known channels are only near to the known values; with guidance they are them.
    """
    remaining = torch.as_tensor(np.cumprod(1.0 - betas()), dtype=torch.float32, device=known_value.device)
    steps = timesteps()
    x = draw_noise()
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        at = torch.full((len(x),), step, device=x.device)
        if guidance is not None:
            x = _guided(denoise, x, at, guidance)
        with torch.no_grad():
            clean = denoise(x, at)
        if following is None:
            break
        noise = (torch.sqrt(1.0 / remaining[step]) * x - clean) / torch.sqrt(1.0 / remaining[step] - 1.0)
        signal, spread = torch.sqrt(remaining[following]), torch.sqrt(1.0 - remaining[following])
        noisy_known = signal * known_value + spread * draw_noise()
        x = torch.where(known_mask > 0, noisy_known, signal * clean + spread * noise)
    return clean if guidance is None else torch.where(known_mask > 0, known_value, clean)


def _guided(denoise: Denoise, x: torch.Tensor, at: torch.Tensor, guidance: Guidance) -> torch.Tensor:
    for _ in range(GUIDANCE_STEPS):
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            excess = torch.relu((denoise(x, at) - guidance.value).abs() - guidance.dead_band)
            (gradient,) = torch.autograd.grad((excess * guidance.weight).sum(), x)
        x = x.detach() - GUIDANCE_RATE * gradient
    return x
