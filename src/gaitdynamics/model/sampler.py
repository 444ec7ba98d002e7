"""Drawing windows from a denoiser, given what is known of them: free functions over one contract.

A noisy window is the clean one plus `sigma` times normal noise (variance-exploding); all windows are normalised.
Entries that are known come out exactly as they were given, whatever the denoiser says of them.
"""

import itertools
import math
from collections.abc import Callable

import torch

Denoise = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Noisy windows (N, L, D), sigma (N,), known values (N, L, D), mask (N, L, D; 1 known, 0 not) to clean windows."""
Consistent = Callable[[torch.Tensor], torch.Tensor]
"""What every estimate of the clean windows passes, (N, L, D) to the same: what windows must agree on."""
DrawNoise = Callable[[], torch.Tensor]
"""Fresh normal numbers, (N, L, D)."""

RHO = 7.0  # Karras et al. 2022, table 1
JUMP_STEPS, NUM_JUMPS = 2, 10  # of 50 steps; Lugmayr et al. 2022, section 5, jump by 10 of 250


def noise_levels(num_steps: int, *, lowest: float, highest: float, rho: float = RHO) -> torch.Tensor:
    """Falling standard deviations of noise, close to each other where it is low (Karras et al. 2022, equation 5).

    Args:
        num_steps: at least 2.
        lowest, highest: of the levels before the last, which is 0; in normalised units.
        rho: the higher, the more steps at low levels.

    Returns:
        (num_steps + 1,) float64.

    Raises:
        ValueError: too few steps, or levels that do not fall.
    """
    if num_steps < 2 or not 0.0 < lowest < highest:
        raise ValueError(
            f"{num_steps} steps from noise {highest} to {lowest}: expected 2 steps or more, and 0 < lowest < highest."
        )
    ramp = torch.linspace(0.0, 1.0, num_steps, dtype=torch.float64)
    levels = (highest ** (1 / rho) + ramp * (lowest ** (1 / rho) - highest ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


@torch.no_grad()
def euler(
    denoise: Denoise,
    known: torch.Tensor,
    mask: torch.Tensor,
    *,
    levels: torch.Tensor,
    noise: torch.Tensor,
    replacement: DrawNoise | None = None,
    consistent: Consistent | None = None,
) -> torch.Tensor:
    """Deterministic steps of first order (Song et al. 2021, DDIM, arXiv 2010.02502), one evaluation each.

    Args:
        denoise: what is clean in noisy windows.
        known: normalised values, (N, L, D); where the mask is 0 they are not looked at.
        mask: 1 where known, else 0, (N, L, D).
        levels: falling standard deviations of noise, the last 0, (K + 1,).
        noise: normal numbers to start from, (N, L, D).
        replacement: for a denoiser that does not regard `known` and `mask`: before every step but the first, known
            entries are replaced by the known values with noise drawn here.
        consistent: what every clean estimate passes.

    Returns:
        Windows (N, L, D), known entries exactly as given.
    """
    estimate = _estimating(denoise, known, mask, consistent=consistent)
    x = _start(known, mask, levels=levels, noise=noise, is_replaced=replacement is not None)
    for level, following in _pairs(levels):
        x = _first_order(x, estimate(x, level), level=level, following=following)
        x = _replaced(x, known, mask, level=following, draw_noise=replacement)
    return _with_known(x, known, mask)


@torch.no_grad()
def multistep(
    denoise: Denoise,
    known: torch.Tensor,
    mask: torch.Tensor,
    *,
    levels: torch.Tensor,
    noise: torch.Tensor,
    replacement: DrawNoise | None = None,
    consistent: Consistent | None = None,
) -> torch.Tensor:
    """Steps of second order from this estimate and the one before (Lu et al. 2022, DPM-Solver++ 2M, arXiv 2211.01095).

    Arguments and result are those of `euler`, and so is the number of evaluations.
    """
    estimate = _estimating(denoise, known, mask, consistent=consistent)
    x = _start(known, mask, levels=levels, noise=noise, is_replaced=replacement is not None)
    before: tuple[torch.Tensor, float] | None = None  # the last clean estimate, and the logarithmic step from it
    for level, following in _pairs(levels):
        clean = ahead = estimate(x, level)
        if following > 0.0:
            step = math.log(level / following)
            if before is not None:
                ahead = clean + (clean - before[0]) * (step / (2.0 * before[1]))
            before = clean, step
        x = _first_order(x, ahead, level=level, following=following)
        x = _replaced(x, known, mask, level=following, draw_noise=replacement)
    return _with_known(x, known, mask)


@torch.no_grad()
def repaint(
    denoise: Denoise,
    known: torch.Tensor,
    mask: torch.Tensor,
    *,
    levels: torch.Tensor,
    noise: torch.Tensor,
    draw_noise: DrawNoise,
    jump_steps: int = JUMP_STEPS,
    num_jumps: int = NUM_JUMPS,
    consistent: Consistent | None = None,
) -> torch.Tensor:
    """Replacement that goes back to more noise and comes down again, so that what is drawn comes to fit what is known.

    Lugmayr et al. 2022 (arXiv 2201.09865), with the deterministic steps of `euler` between the jumps: new noise comes
    from the jumps and the replacement. For denoisers that do not regard `known` and `mask`.

    Args:
        draw_noise: for the replacement and the jumps.
        jump_steps: how far back a jump goes; after as many steps down comes the next place to jump from.
        num_jumps: how often every such stretch is passed; 1 never jumps.

    Other arguments and the result are those of `euler`.
    """
    if jump_steps < 1 or num_jumps < 1:
        raise ValueError(f"{num_jumps} passes of {jump_steps} steps: expected at least 1 of each.")
    estimate = _estimating(denoise, known, mask, consistent=consistent)
    pairs = _pairs(levels)
    x = _start(known, mask, levels=levels, noise=noise, is_replaced=True)
    for first in range(0, len(pairs), jump_steps):
        stretch = pairs[first : first + jump_steps]
        for k in range(num_jumps):
            if k > 0:
                x = x + math.sqrt(stretch[0][0] ** 2 - stretch[-1][1] ** 2) * draw_noise()
            for level, following in stretch:
                x = _first_order(x, estimate(x, level), level=level, following=following)
                x = _replaced(x, known, mask, level=following, draw_noise=draw_noise)
    return _with_known(x, known, mask)


def _start(
    known: torch.Tensor, mask: torch.Tensor, *, levels: torch.Tensor, noise: torch.Tensor, is_replaced: bool
) -> torch.Tensor:
    """Noise; and known values in it, but for replacement, whose first step sees noise alone (Tan et al. 2026)."""
    start = float(levels[0]) * noise
    return start if is_replaced else torch.where(mask > 0, known + start, start)


def _estimating(
    denoise: Denoise, known: torch.Tensor, mask: torch.Tensor, *, consistent: Consistent | None
) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """Noisy windows and their level to the clean windows, in which known entries are the known ones."""

    def estimate(x: torch.Tensor, level: float) -> torch.Tensor:
        clean = denoise(x, x.new_full((len(x),), level), known, mask)
        return _with_known(clean if consistent is None else consistent(clean), known, mask)

    return estimate


def _pairs(levels: torch.Tensor) -> list[tuple[float, float]]:
    """Each step's noise before and after.

    Raises:
        ValueError: levels that do not fall, or not to 0.
    """
    falling = [float(level) for level in levels]
    pairs = list(itertools.pairwise(falling))
    if not pairs or falling[-1] != 0.0 or any(level <= following for level, following in pairs):
        raise ValueError(f"noise levels {falling}: expected falling numbers, the last 0. Use `noise_levels`.")
    return pairs


def _first_order(x: torch.Tensor, clean: torch.Tensor, *, level: float, following: float) -> torch.Tensor:
    return clean + (following / level) * (x - clean)


def _replaced(
    x: torch.Tensor, known: torch.Tensor, mask: torch.Tensor, *, level: float, draw_noise: DrawNoise | None
) -> torch.Tensor:
    if draw_noise is None or level == 0.0:
        return x
    return torch.where(mask > 0, known + level * draw_noise(), x)


def _with_known(x: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask > 0, known, x)
