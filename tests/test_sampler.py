"""Samplers against distributions whose denoiser is known exactly, and against the authors' own sampling."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitdynamics.model.published import build_diffusion, convert_published
from gaitdynamics.model.published_denoiser import as_denoiser, published_levels, timestep_levels
from gaitdynamics.model.published_sampling import NUM_TIMESTEPS, betas, sample, timesteps
from gaitdynamics.model.sampler import Denoise, DrawNoise, euler, multistep, noise_levels, repaint

FRAMES, CHANNELS = 3, 2
SIZE = FRAMES * CHANNELS
LOWEST, HIGHEST = 0.01, 300.0
NUM_WINDOWS = 100
Sampler = Callable[..., torch.Tensor]
DETERMINISTIC: tuple[Sampler, ...] = (euler, multistep)
SPREAD_BOUNDS = {euler: 0.12, multistep: 0.012}  # of 60 steps: the error of first order is ten times that of second


def gaussian(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of windows as one vector each, (6,) and (6, 6)."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64) / math.sqrt(SIZE)
    mean = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    return mean, root @ root.T + 0.3 * torch.eye(SIZE, dtype=torch.float64)


def conditioned(
    mean: torch.Tensor, covariance: torch.Tensor, *, is_known: torch.Tensor, known: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the entries that are not known, given the others."""
    gain = covariance[~is_known][:, is_known] @ torch.linalg.inv(covariance[is_known][:, is_known])
    rest = covariance[~is_known][:, ~is_known] - gain @ covariance[is_known][:, ~is_known]
    return mean[~is_known] + gain @ (known - mean[is_known]), rest


def posterior_mean(x: torch.Tensor, sigma: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Of a Gaussian, from noisy vectors (N, K) of one level."""
    noise = sigma[0] ** 2 * torch.eye(len(mean), dtype=x.dtype)
    return mean + (x - mean) @ torch.linalg.solve(covariance + noise, covariance)


def unconditional(mean: torch.Tensor, covariance: torch.Tensor) -> Denoise:
    """The best denoiser of a Gaussian that does not regard what is known."""

    def denoise(noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return posterior_mean(noisy.flatten(1), sigma, mean, covariance).view_as(noisy)

    return denoise


def conditional(mean: torch.Tensor, covariance: torch.Tensor) -> Denoise:
    """The best one that does."""

    def denoise(noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        is_known = mask[0].flatten() > 0
        given = conditioned(mean, covariance, is_known=is_known, known=known[0].flatten()[is_known])
        clean = torch.full_like(noisy.flatten(1), math.nan)  # of known entries it has nothing to say
        clean[:, ~is_known] = posterior_mean(noisy.flatten(1)[:, ~is_known], sigma, *given)
        return clean.view_as(noisy)

    return denoise


def drawing(num_windows: int, seed: int = 1) -> DrawNoise:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(num_windows, FRAMES, CHANNELS, generator=generator, dtype=torch.float64)


def exact_noise() -> torch.Tensor:
    """Few numbers whose mean is 0 and whose covariance is 1: what steps make of both is then free of chance."""
    drawn = drawing(NUM_WINDOWS)().flatten(1)
    drawn = drawn - drawn.mean(dim=0)
    root = torch.linalg.cholesky(torch.cov(drawn.T))
    return torch.linalg.solve_triangular(root, drawn.T, upper=False).T.reshape(-1, FRAMES, CHANNELS)


def half_known(num_windows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and mask: one channel is known, and not what one would expect of it."""
    known = torch.full((num_windows, FRAMES, CHANNELS), math.nan, dtype=torch.float64)
    known[..., 0] = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
    return known, known.isfinite().double()


def moments(windows: torch.Tensor, is_counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = windows.flatten(1)[:, is_counted]
    return rows.mean(dim=0), torch.cov(rows.T)


def test_levels_fall_from_the_highest_to_the_lowest_and_to_nothing() -> None:
    levels = noise_levels(7, lowest=0.02, highest=80.0)
    assert len(levels) == 8
    assert levels[[0, -2, -1]].tolist() == pytest.approx([80.0, 0.02, 0.0])
    assert (levels.diff() < 0).all()
    evenly = noise_levels(5, lowest=1.0, highest=5.0, rho=1.0)
    assert evenly.tolist() == pytest.approx([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])


@pytest.mark.parametrize(("num_steps", "lowest", "highest"), [(1, 0.1, 1.0), (5, 0.0, 1.0), (5, 2.0, 1.0)])
def test_levels_that_do_not_fall_are_refused(num_steps: int, lowest: float, highest: float) -> None:
    with pytest.raises(ValueError, match="expected 2 steps or more"):
        noise_levels(num_steps, lowest=lowest, highest=highest)


@pytest.mark.parametrize("levels", [[2.0, 1.0], [1.0, 2.0, 0.0], [0.0]])
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_a_sampler_refuses_levels_that_do_not_fall_to_nothing(sampler: Sampler, levels: list[float]) -> None:
    nothing = torch.zeros(1, FRAMES, CHANNELS)
    with pytest.raises(ValueError, match="falling numbers, the last 0"):
        sampler(lambda x, *_: x, nothing, nothing, levels=torch.tensor(levels), noise=nothing)


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_samples_of_a_gaussian_have_its_mean_and_covariance(sampler: Sampler) -> None:
    mean, covariance = gaussian()
    nothing = torch.zeros(NUM_WINDOWS, FRAMES, CHANNELS, dtype=torch.float64)
    levels = noise_levels(60, lowest=LOWEST, highest=HIGHEST)
    found = sampler(unconditional(mean, covariance), nothing, nothing, levels=levels, noise=exact_noise())
    found_mean, found_covariance = moments(found, torch.ones(SIZE, dtype=torch.bool))
    assert (found_mean - mean).abs().max() < 0.02
    assert (found_covariance - covariance).abs().max() < SPREAD_BOUNDS[sampler] * covariance.abs().max()


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_what_is_not_known_is_drawn_from_its_distribution_given_what_is(sampler: Sampler) -> None:
    mean, covariance = gaussian()
    known, mask = half_known(NUM_WINDOWS)
    levels = noise_levels(60, lowest=LOWEST, highest=HIGHEST)
    found = sampler(conditional(mean, covariance), known, mask, levels=levels, noise=exact_noise())
    is_known = mask[0].flatten() > 0
    expected = conditioned(mean, covariance, is_known=is_known, known=known[0].flatten()[is_known])
    found_mean, found_covariance = moments(found, ~is_known)
    assert (found_mean - expected[0]).abs().max() < 0.02
    assert (found_covariance - expected[1]).abs().max() < SPREAD_BOUNDS[sampler] * expected[1].abs().max()


def error_of(sampler: Sampler, num_steps: int) -> float:
    """Of the answer for one start, from the one that infinitely many steps would give.

    Along each axis of the covariance, with variance v, a noisy window moves as the square root of v + sigma².
    """
    mean, covariance = gaussian()
    noise, lowest = drawing(4)(), 1e-4
    variance, axes = torch.linalg.eigh(covariance)
    start = (HIGHEST * noise.flatten(1) - mean) @ axes
    exact = mean + (start * (variance / (variance + HIGHEST**2)).sqrt()) @ axes.T
    nothing = torch.zeros_like(noise)
    levels = noise_levels(num_steps, lowest=lowest, highest=HIGHEST)
    found = sampler(unconditional(mean, covariance), nothing, nothing, levels=levels, noise=noise)
    return float((found.flatten(1) - exact).abs().max())


def test_the_error_falls_with_the_steps_and_with_their_square() -> None:
    first, second = (
        [math.log2(error_of(sampler, num) / error_of(sampler, 2 * num)) for num in (40, 80)]
        for sampler in DETERMINISTIC
    )
    assert min(first) > 0.8
    assert max(first) < 1.2
    assert min(second) > 1.8
    assert error_of(multistep, 40) < 0.25 * error_of(euler, 40)


def replaced(sampler: Sampler, num_windows: int, **options: int) -> torch.Tensor:
    """Windows of a denoiser that does not regard what is known."""
    known, mask = half_known(num_windows)
    draw = drawing(num_windows)
    noises = {"draw_noise": draw} if sampler is repaint else {"replacement": draw}
    levels = noise_levels(20, lowest=LOWEST, highest=HIGHEST)
    return sampler(unconditional(*gaussian()), known, mask, levels=levels, noise=draw(), **noises, **options)


@pytest.mark.parametrize("sampler", [*DETERMINISTIC, repaint])
def test_known_entries_are_exactly_what_was_given(sampler: Sampler) -> None:
    known, mask = half_known(5)
    found = replaced(sampler, 5)
    assert torch.equal(found[mask > 0], known[mask > 0])
    assert found.isfinite().all()
    if sampler is not repaint:
        found = sampler(
            conditional(*gaussian()), known, mask, levels=noise_levels(4, lowest=0.1, highest=9.0), noise=drawing(5)()
        )
        assert torch.equal(found[mask > 0], known[mask > 0])
        assert found.isfinite().all()


@pytest.mark.parametrize("sampler", [*DETERMINISTIC, repaint])
def test_the_same_noise_gives_the_same_windows(sampler: Sampler) -> None:
    assert torch.equal(replaced(sampler, 5), replaced(sampler, 5))


def test_going_back_to_more_noise_brings_replacement_nearer_to_the_truth() -> None:
    """Replacement alone draws as if the rest hardly knew what is known."""
    known, mask = half_known(4000)
    is_known = mask[0].flatten() > 0
    mean, _ = conditioned(*gaussian(), is_known=is_known, known=known[0].flatten()[is_known])
    far, near = (
        float((moments(found, ~is_known)[0] - mean).abs().max())
        for found in (
            replaced(euler, len(known)),
            replaced(repaint, len(known), jump_steps=1, num_jumps=20),
        )
    )
    assert near < 0.6 * far


def test_repainting_without_jumps_is_replacement() -> None:
    torch.testing.assert_close(replaced(repaint, 5, num_jumps=1), replaced(euler, 5), rtol=0.0, atol=0.0)


def test_every_estimate_passes_what_makes_windows_consistent() -> None:
    levels = noise_levels(6, lowest=0.1, highest=9.0)
    known, mask = half_known(4)
    for sampler in DETERMINISTIC:
        seen = []

        def alike(clean: torch.Tensor, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen.append(clean)
            return clean.mean(dim=0, keepdim=True).expand_as(clean)

        found = sampler(unconditional(*gaussian()), known, mask, levels=levels, noise=drawing(4)(), consistent=alike)
        assert len(seen) == 6
        torch.testing.assert_close(found, found[:1].expand_as(found))


def test_each_step_asks_the_denoiser_once_at_its_level() -> None:
    levels = noise_levels(6, lowest=0.1, highest=9.0)
    nothing = torch.zeros(2, FRAMES, CHANNELS, dtype=torch.float64)
    for sampler in DETERMINISTIC:
        asked = []

        def denoise(noisy: torch.Tensor, sigma: torch.Tensor, *_: torch.Tensor, asked: list = asked) -> torch.Tensor:
            asked.append(sigma.tolist())
            return 0.5 * noisy

        sampler(denoise, nothing, nothing, levels=levels, noise=drawing(2)())
        assert asked == [[level, level] for level in levels[:-1].tolist()]


# --- the authors' network ---------------------------------------------------------------------------------------------


def smooth_network(noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Some function of windows and timestep."""
    return torch.tanh(noisy.roll(1, dims=1) + 0.5 * noisy) * (1.0 + timestep[:, None, None] / NUM_TIMESTEPS)


def authors_noise(draws: list[torch.Tensor]) -> tuple[torch.Tensor, DrawNoise]:
    """Theirs as ours: their start is noise of variance 1, of which ours makes the noise of its level."""
    remaining = float(np.prod(1.0 - betas()))
    rest = iter(draws[1:])
    return draws[0] / math.sqrt(1.0 - remaining), lambda: next(rest)


def test_the_levels_are_those_of_the_authors_timesteps() -> None:
    levels = timestep_levels()
    assert (levels.diff() > 0).all()
    remaining = np.cumprod(1.0 - betas())
    np.testing.assert_allclose(1.0 / (1.0 + levels.numpy() ** 2), remaining, rtol=1e-12)
    assert published_levels().tolist() == [*(float(levels[step]) for step in timesteps()), 0.0]


def test_the_network_is_asked_at_the_nearest_timestep_with_its_variance() -> None:
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def network(noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        asked.append((noisy, timestep))
        return noisy

    levels = timestep_levels()
    sigma = torch.stack([levels[0] / 3, levels[400] * 1.0001, levels[401] * 0.9999, 2 * levels[-1]]).float()
    noisy = torch.ones(4, FRAMES, CHANNELS)
    as_denoiser(network)(noisy, sigma, noisy, noisy)
    assert asked[0][1].tolist() == [0, 400, 401, 999]
    torch.testing.assert_close(asked[0][0][:, 0, 0], (1.0 / (1.0 + sigma**2)).sqrt())


def test_replacement_at_the_authors_levels_is_the_authors_sampling() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randn(3, FRAMES, CHANNELS, generator=generator) for _ in range(len(timesteps()))]
    known = 3.0 * torch.randn(3, FRAMES, CHANNELS, generator=generator)
    mask = (torch.rand(3, FRAMES, CHANNELS, generator=generator) < 0.5).float()
    theirs_draws = iter(draws)
    theirs = sample(smooth_network, known, mask, draw_noise=lambda: next(theirs_draws))
    noise, replacement = authors_noise(draws)
    ours = euler(
        as_denoiser(smooth_network), known, mask, levels=published_levels(), noise=noise, replacement=replacement
    )
    assert (ours - theirs)[mask == 0].abs().max() < 1e-4
    assert torch.equal(ours[mask > 0], known[mask > 0])


def test_the_authors_recorded_sampling_is_repeated(shared: Path, tmp_path: Path) -> None:
    folder = shared / "parity"
    recorded = {name: torch.from_numpy(array) for name, array in np.load(folder / "sampling_io.npz").items()}
    (file,) = (path for path in folder.glob("*.pt") if "iffusion" in path.name)
    network = build_diffusion(convert_published(file, tmp_path / "weights", num_heads=4))
    noise, replacement = authors_noise([recorded["inpaint_start_noise"], *recorded["inpaint_replacement_noise"]])
    known, mask = recorded["known_value"], recorded["known_mask"]
    found = euler(as_denoiser(network), known, mask, levels=published_levels(), noise=noise, replacement=replacement)
    assert (found - recorded["inpaint_result"])[mask == 0].abs().max() < 1e-4
