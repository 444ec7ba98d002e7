"""What the diffusion model draws with nothing known, here by a network that has learned nothing."""

import numpy as np
import pytest
import torch

from gaitdynamics.model.diffusion import DiffusionSize, GaitDiffusion
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.tasks.draw_gait import GaitSampler
from gaitdynamics.types.subject import Subject

SUBJECT = Subject("drawn", mass_kg=70.0, height_m=1.75)
NUM_FRAMES = 340  # more than one window


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
