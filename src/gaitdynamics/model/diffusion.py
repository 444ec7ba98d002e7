"""Our diffusion model: whole gaits, or what is missing of one, from the state GAIT.

The network is told in training what is observed and what is not, so that completion needs no trick in sampling. Noise
is added and taken away as in Karras et al. 2022 (arXiv 2206.00364). What the network answers is the clean window, not
the noise: a window is smooth and repeats itself, so it fits through a network that noise would fill (Li & He 2025,
arXiv 2511.13720). Tokens are patches of frames; attention is over all of a window, with rotary positions (Su et al.
2021, arXiv 2104.09864), and the noise level and the conditions steer every layer (Peebles & Xie 2023, 2212.09748).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gaitdynamics.errors import InputFileError
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.windows import cut, fading

KIND = "diffusion"
WINDOW_FRAMES = 300  # two strides of slow walking: a moment that is missing is seen one stride before or after
OVERLAP_FRAMES = 100
LARGEST_SIZE = 4096  # of anything in a network
LARGEST_INPUT = 8.0  # standard deviations of an observed value; beyond it a channel says no more
ROTARY_BASE = 1000.0  # tokens; a window has less than a hundred
BATCH_WINDOWS = 64
FOURIER_SIZE = 32
# Conditions are scaled so that people's are of order one.
CONDITION_MEANS = (2.5, 1.7, 23.0, 0.0)
CONDITION_SPREADS = (1.0, 0.1, 4.0, 1.0)
NUM_CONDITIONS = len(CONDITION_MEANS)


@dataclass(frozen=True)
class Conditions:
    """What a gait is to be like, as far as it is known; None where it is not.

    Args:
        speed_m_s: of the pelvis over the ground, on average.
        height_m: of the person.
        bmi_kg_m2: mass over height squared.
        is_running: walking or running.
    """

    speed_m_s: float | None = None
    height_m: float | None = None
    bmi_kg_m2: float | None = None
    is_running: bool | None = None

    def encoded(self) -> np.ndarray:
        """Values of order one, then which of them are known, (2 · NUM_CONDITIONS,)."""
        activity = None if self.is_running is None else (1.0 if self.is_running else -1.0)
        given = (self.speed_m_s, self.height_m, self.bmi_kg_m2, activity)
        is_known = np.array([value is not None for value in given], dtype=float)
        values = np.array([0.0 if value is None else value for value in given])
        scaled = (values - CONDITION_MEANS) / CONDITION_SPREADS * is_known
        return np.concatenate([scaled, is_known]).astype(np.float32)


@dataclass(frozen=True)
class DiffusionSize:
    """Of the network.

    Args:
        width: of a token.
        num_layers: of attention, convolution and feed-forward.
        num_heads: of the attention.
        feed_forward: width inside a layer's feed-forward part.
        kernel: tokens that a convolution spans.
        patch: frames in a token; even.
        dropout: of what passes between layers, in training.
    """

    width: int = 192
    num_layers: int = 6
    num_heads: int = 4
    feed_forward: int = 384
    kernel: int = 5
    patch: int = 4
    dropout: float = 0.1

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint, and a run's description."""
        return asdict(self)


class _Layer(nn.Module):
    """Attention, convolution over neighbours and feed-forward, each steered by the noise level and conditions."""

    def __init__(self, size: DiffusionSize) -> None:
        super().__init__()
        self.num_heads = size.num_heads
        self.norms = nn.ModuleList(nn.LayerNorm(size.width, elementwise_affine=False) for _ in range(3))
        self.steer = nn.Linear(size.width, 9 * size.width)
        self.project_in = nn.Linear(size.width, 3 * size.width)
        self.project_out = nn.Linear(size.width, size.width)
        self.convolve = nn.Conv1d(size.width, size.width, size.kernel, padding=size.kernel // 2, groups=size.width)
        self.widen = nn.Linear(size.width, size.feed_forward)
        self.narrow = nn.Linear(size.feed_forward, size.width)
        self.dropout = nn.Dropout(size.dropout)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: torch.Tensor, steering: torch.Tensor, turns: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Tokens (N, S, W), steering (N, W), rotary turns (S, head/2) complex, attention bias (N, 1, 1, S)."""
        parts = self.steer(functional.silu(steering))[:, None].chunk(9, dim=-1)
        for k, change in enumerate((self._attended, self._convolved, self._fed)):
            scale, shift, gate = parts[3 * k : 3 * k + 3]
            y = self.norms[k](x) * (1 + scale) + shift
            x = x + (1 + gate) * self.dropout(change(y, turns, bias))
        return x

    def _attended(self, x: torch.Tensor, turns: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        num, length, width = x.shape
        q, k, v = self.project_in(x).reshape(num, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = _turned(q, turns), _turned(k, turns)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.project_out(y.transpose(1, 2).reshape(num, length, width))

    def _convolved(self, x: torch.Tensor, turns: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.convolve(x.transpose(1, 2)).transpose(1, 2))

    def _fed(self, x: torch.Tensor, turns: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return self.narrow(functional.gelu(self.widen(x)))


class GaitDiffusion(nn.Module):
    """The network with the normaliser of its channels; it works on windows of normalised states.

    Args:
        size: of the network.
        normalizer: of GAIT's channels, to unit spread.
    """

    scale: torch.Tensor
    offset: torch.Tensor
    fade: torch.Tensor

    def __init__(self, size: DiffusionSize, normalizer: Normalizer) -> None:
        super().__init__()
        self.size = size
        channels, patch = len(GAIT), size.patch
        self.register_buffer("scale", torch.from_numpy(normalizer.scale).float(), persistent=False)
        self.register_buffer("offset", torch.from_numpy(normalizer.offset).float(), persistent=False)
        fade = np.sin(np.pi * (np.arange(2 * patch) + 0.5) / (2 * patch)) ** 2
        self.register_buffer("fade", torch.from_numpy(fade).float(), persistent=False)
        self.embed = nn.Linear((3 * channels + 1) * patch, size.width)
        self.steer = nn.Sequential(
            nn.Linear(2 * FOURIER_SIZE + 2 * NUM_CONDITIONS, size.width), nn.SiLU(), nn.Linear(size.width, size.width)
        )
        self.layers = nn.ModuleList(_Layer(size) for _ in range(size.num_layers))
        self.norm = nn.LayerNorm(size.width)
        self.predict = nn.Linear(size.width, 2 * channels * patch)
        nn.init.zeros_(self.predict.weight)
        nn.init.zeros_(self.predict.bias)

    @property
    def normalizer(self) -> Normalizer:
        """Of GAIT's channels."""
        return Normalizer(self.scale.cpu().numpy(), self.offset.cpu().numpy())

    def forward(
        self,
        noisy: torch.Tensor,
        sigma: torch.Tensor,
        known: torch.Tensor,
        mask: torch.Tensor,
        *,
        conditions: torch.Tensor,
        present: torch.Tensor,
    ) -> torch.Tensor:
        """The clean windows that noisy ones come from.

        Args:
            noisy: clean + sigma · noise, normalised, (N, L, D); L is a multiple of the patch.
            sigma: (N,).
            known: observed values, normalised, (N, L, D).
            mask: 1 where they are observed, else 0, (N, L, D).
            conditions: as `Conditions.encoded` gives them, (N, 2 · NUM_CONDITIONS).
            present: False beyond a trial's end, (N, L).

        Returns:
            (N, L, D); the known values where they are observed.
        """
        is_there = present[..., None].to(noisy.dtype)
        mask = mask * is_there
        unknown = (1 - mask) * is_there
        spread = (sigma[:, None, None] ** 2 + 1).sqrt()  # of a noisy channel
        content = [noisy / spread * unknown, known.clamp(-LARGEST_INPUT, LARGEST_INPUT) * mask, mask, is_there]
        clean = self._network(torch.cat(content, dim=-1), sigma, conditions, present)
        return torch.where(mask > 0, known, clean)

    def _network(
        self, content: torch.Tensor, sigma: torch.Tensor, conditions: torch.Tensor, present: torch.Tensor
    ) -> torch.Tensor:
        num, length, channels = content.shape
        patch = self.size.patch
        x = self.embed(content.reshape(num, length // patch, channels * patch))
        steering = self.steer(torch.cat([_fourier(sigma.log() / 4), conditions], dim=-1))
        turns = _turns(x.shape[1], self.size.width // self.size.num_heads, x.device)
        is_token = present.reshape(num, -1, patch).any(dim=-1)
        bias = torch.zeros_like(is_token, dtype=x.dtype).masked_fill(~is_token, -torch.inf)[:, None, None]
        for layer in self.layers:
            x = layer(x, steering, turns, bias)
        return self._unfolded(self.predict(self.norm(x)))

    def _unfolded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens' answers for twice their own frames, faded into each other: (N, S, 2PD) to (N, SP, D)."""
        num, count, _ = tokens.shape
        patch = self.size.patch
        weighted = tokens.reshape(num, count, 2 * patch, len(GAIT)) * self.fade[:, None]
        halves = functional.pad(weighted[:, :, :patch], (0, 0, 0, 0, 0, 1)) + functional.pad(
            weighted[:, :, patch:], (0, 0, 0, 0, 1, 0)
        )
        weight = self.fade.new_ones(count + 1, patch)
        weight[0], weight[-1] = self.fade[:patch], self.fade[patch:]
        frames = (halves / weight[..., None]).reshape(num, (count + 1) * patch, len(GAIT))
        return frames[:, patch // 2 : patch // 2 + count * patch]


@dataclass(frozen=True)
class TrialDenoiser:
    """The network over whole trials: overlapping windows are denoised together, and agree at every noise level.

    Args:
        model: the network.
        conditions: of the gait.
    """

    model: GaitDiffusion
    conditions: Conditions

    def __call__(
        self, noisy: torch.Tensor, sigma: torch.Tensor, known: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """As `GaitDiffusion.forward`, of N samples of a trial of any length, (N, T, D)."""
        num, length, _ = noisy.shape
        windows = cut(np.arange(length)[:, None], length=WINDOW_FRAMES, stride=WINDOW_FRAMES - OVERLAP_FRAMES)
        frames = torch.from_numpy(windows.values[..., 0])
        weights = torch.from_numpy(fading(windows)).to(noisy.dtype)[..., None]
        present = torch.from_numpy(windows.present)
        encoded = torch.from_numpy(self.conditions.encoded())
        places = [(sample, window) for sample in range(num) for window in range(len(frames))]
        clean = torch.zeros_like(noisy)
        for start in range(0, len(places), BATCH_WINDOWS):
            sample, window = torch.tensor(places[start : start + BATCH_WINDOWS]).T
            at = (sample[:, None], frames[window])
            with torch.inference_mode():
                found = self.model(
                    noisy[at],
                    sigma[sample],
                    known[at],
                    mask[at],
                    conditions=encoded.expand(len(sample), -1),
                    present=present[window],
                )
            clean.index_put_(at, found * weights[window], accumulate=True)
        return clean


def _turned(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Queries or keys (N, H, S, W/H), turned by their place."""
    return torch.view_as_real(torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2)) * turns).flatten(-2)


def _turns(length: int, width: int, device: torch.device) -> torch.Tensor:
    """(S, W/2) complex."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(length, device=device)[:, None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


def _fourier(level: torch.Tensor) -> torch.Tensor:
    """(N,) to (N, 2 · FOURIER_SIZE)."""
    angles = level[:, None] * torch.logspace(-1, 1.2, FOURIER_SIZE, device=level.device) * torch.pi
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def size_from_json(content: Mapping[str, Any], *, source: str) -> DiffusionSize:
    """The inverse of `asdict`.

    Raises:
        InputFileError: not the sizes of such a network.
    """
    try:
        size = DiffusionSize(**content)
        numbers = (size.width, size.num_layers, size.num_heads, size.feed_forward, size.kernel, size.patch)
        is_good = all(type(number) is int and 0 < number <= LARGEST_SIZE for number in numbers)
        is_good = is_good and size.width % (2 * size.num_heads) == 0 and WINDOW_FRAMES % size.patch == 0
        is_good = is_good and size.patch % 2 == 0 and size.kernel % 2 == 1 and 0.0 <= size.dropout < 1.0
    except TypeError:
        is_good = False
    if not is_good:
        raise InputFileError(
            f"{source}: does not give the sizes of a diffusion network ({', '.join(asdict(DiffusionSize()))}). "
            "Train or download the weights again."
        )
    return size


def build_diffusion_model(weights: Weights) -> GaitDiffusion:
    """The model that these weights are of, for inference.

    Raises:
        InputFileError: they are of another network, or do not fit their description.
    """
    source = str(weights.folder)
    GAIT.check(weights.layout, source=source)
    if weights.kind != KIND:
        raise InputFileError(
            f"{source}: holds weights of kind '{weights.kind}', which complete no motion. Expected '{KIND}'."
        )
    size = size_from_json(weights.config.get("size", {}), source=source)
    normalizer = Normalizer.from_json(weights.normalizer, num_channels=len(GAIT), source=source)
    return weights.load_into(GaitDiffusion(size, normalizer))
