"""What the diffusion model draws with nothing known, here by a network that has learned nothing."""

import numpy as np
import pytest
import torch

from gaitdynamics.model.diffusion import DiffusionSize, GaitDiffusion
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.tasks.draw_gait import GaitSampler, mean_of_strides, stride_frames
from gaitdynamics.types.subject import Subject

SUBJECT = Subject("drawn", mass_kg=70.0, height_m=1.75)
NUM_FRAMES = 420  # more than one window


@pytest.fixture(scope="module")
def sampler() -> GaitSampler:
    normalizer = Normalizer(scale=np.full(len(GAIT), 2.0), offset=np.full(len(GAIT), 0.5))
    model = GaitDiffusion(DiffusionSize(width=16, num_layers=1, num_heads=2, feed_forward=16), normalizer).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return GaitSampler(model, num_steps=3)


def draw(sampler: GaitSampler, *seeds: tuple[int, ...]) -> np.ndarray:
    return sampler(seeds, NUM_FRAMES, speed_m_s=1.4, subject=SUBJECT, activity="walk")


def test_every_gait_has_the_speed_that_was_asked_for_straight_ahead(sampler: GaitSampler) -> None:
    velocity = draw(sampler, (0,), (1,))[:, :, GAIT["pelvis_velocity"]]
    np.testing.assert_allclose(velocity.mean(axis=1), [[1.4 / SUBJECT.height_m, 0.0]] * 2, atol=1e-5)
    assert velocity.std(axis=1).min() > 1e-3


def test_a_gait_depends_on_its_own_seed_alone(sampler: GaitSampler) -> None:
    both = draw(sampler, (0, 1), (0, 2))
    assert both.shape == (2, NUM_FRAMES, len(GAIT))
    np.testing.assert_allclose(draw(sampler, (0, 2))[0], both[1], atol=1e-4)
    assert not np.allclose(both[0], both[1], atol=0.1)


def test_a_short_gait_is_the_beginning_of_a_longer_one(sampler: GaitSampler) -> None:
    short, longer = (sampler([(0,)], num, speed_m_s=1.4, subject=SUBJECT, activity="walk") for num in (150, 400))
    np.testing.assert_array_equal(short[0], longer[0, :150])


def test_strides_are_found_and_made_alike() -> None:
    frames = torch.arange(500)
    strides = torch.tensor([96, 110])
    phase = 2 * torch.pi * frames / strides[:, None]
    gaits = torch.stack([torch.sin(phase), torch.cos(phase) + 0.5 * torch.cos(2 * phase)], dim=-1)
    noisy = gaits + 0.2 * torch.randn(gaits.shape, generator=torch.Generator().manual_seed(0))
    assert (stride_frames(noisy, "walk") - strides).abs().max() <= 1
    steady = mean_of_strides(noisy, strides)
    assert (steady - gaits).std() < 0.6 * (noisy - gaits).std()
    torch.testing.assert_close(mean_of_strides(gaits, strides), gaits, atol=1e-5, rtol=0.0)
