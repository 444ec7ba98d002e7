"""Small diffusion models: untrained, but with opinions; with one opinion or none; trained on made-up people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gaitdynamics.model.checkpoint import load_weights
from gaitdynamics.model.diffusion import DiffusionSize, GaitDiffusion
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.tasks.fill_motion import MotionCompleter
from gaitdynamics.training.diffusion_recipe import diffusion_recipe
from gaitdynamics.training.loop import train
from gaitdynamics.types.trial import Trial

SMALL = DiffusionSize(width=32, num_layers=2, num_heads=2, feed_forward=64, dropout=0.0)


def untrained_model(trial: Trial, *, seed: int = 0) -> GaitDiffusion:
    """Answers near the trial's own mean, and differently for other noise."""
    state, _ = encode(trial)
    spread = np.maximum(state.values.std(axis=0), 0.02)
    mean = state.values.mean(axis=0)
    normalizer = Normalizer((1 / spread).astype(np.float32), (-mean / spread).astype(np.float32))
    model = GaitDiffusion(SMALL, normalizer)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


class Indifferent(GaitDiffusion):
    """A model for which nothing goes with anything else; its people vary by some times what a trial does."""

    def __init__(self, trial: Trial, *, variety: float = 1.0) -> None:
        of_trial = untrained_model(trial).normalizer
        super().__init__(SMALL, Normalizer(of_trial.scale / variety, of_trial.offset / variety))

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor, *_: torch.Tensor, **__: torch.Tensor) -> torch.Tensor:
        return noisy / (1 + sigma[:, None, None] ** 2)


class Coupled(GaitDiffusion):
    """Whatever the noise, a channel is a share of another where that is known; all else is zero.

    Args:
        channel: that follows.
        known: the other.
        share: of it.
        jitter: of the share, from each frame to the next.
    """

    def __init__(self, channel: str, known: str, *, share: float, jitter: float = 0.0) -> None:
        super().__init__(SMALL, Normalizer(np.ones(len(GAIT), np.float32), np.zeros(len(GAIT), np.float32)))
        self.channel, self.source = int(GAIT[channel][0]), int(GAIT[known][0])
        self.share, self.jitter = share, jitter

    def forward(
        self, noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor, **_: torch.Tensor
    ) -> torch.Tensor:
        clean = torch.zeros_like(noisy)
        shaky = 1.0 + self.jitter * (-1.0) ** torch.arange(noisy.shape[1])
        clean[..., self.channel] = self.share * shaky * (known * mask)[..., self.source]
        return torch.where(mask > 0, known, clean)


def untrained_completer(trial: Trial) -> MotionCompleter:
    return MotionCompleter("untrained", untrained_model(trial))


def trained_completer(data: Path, out: Path, *, num_steps: int) -> MotionCompleter:
    """By the recipe of the bundled weights, but small and short."""
    recipe = replace(
        diffusion_recipe(SMALL),
        num_steps=num_steps,
        batch_size=8,
        micro_batch_size=8,
        learning_rate=3e-3,
        warmup_steps=10,
        ema_decay=0.95,
        checkpoint_every=num_steps,
    )
    return MotionCompleter.of(load_weights(train(recipe, data, out)))


def observed_only(values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Which entries (T, len(GAIT)) of a state are known when these are hidden."""
    known = np.ones((len(values), len(GAIT)), dtype=bool)
    known[hidden] = False
    return known
