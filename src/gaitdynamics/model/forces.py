"""Our force model: what physics says of a motion, corrected by networks that were trained on measured forces.

The networks see the mechanics of the whole body and of both feet, and add to the force that physics puts on each foot:
another split, impacts, what noise has done to the total. They also shift the centres of pressure, and say how far off
they expect to be.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gaitdynamics.errors import InputFileError
from gaitdynamics.maths.signals import smooth
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import PHYSICS
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.windows import cut, merge
from gaitdynamics.units import SIDE_NAMES

KIND = "forces"
LARGEST_SIZE = 4096  # of anything in a network
LARGEST_INPUT = 6.0  # standard deviations; beyond it a feature says no more
BALANCE_CUTOFF_HZ = 0.5  # below the frequency of strides
LEAST_TOTAL_BW = 0.05
# Of the networks' shift of the centre of pressure: much of what they learn of it is where a laboratory's plates and
# foot models are. Half of it errs least on laboratories left out of training (docs/model.md).
SHIFT_TRUST = 0.5
# Scales of the outputs, so that a network's numbers are of order one.
CORRECTION_SCALE_BW = 0.3
SHIFT_SCALE = 0.03  # of body height
SPREAD_SCALE_BW = 0.05

_SHARED = torch.from_numpy(np.stack([PHYSICS[f"shared_force_{side}"] for side in SIDE_NAMES]))
_MIRROR_ORDER = torch.from_numpy(PHYSICS.mirror_order)
_MIRROR_SIGNS = torch.from_numpy(PHYSICS.mirror_signs)


@dataclass(frozen=True)
class ForceNetworkSize:
    """Of one member of the ensemble.

    Args:
        width: channels between layers.
        kernel: frames (of `patch` each) that a convolution spans.
        dilations: of one block each.
        dropout: of what passes between layers, in training.
        patch: frames that are taken together.
        num_members: networks that are averaged.
    """

    width: int = 64
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    dropout: float = 0.1
    patch: int = 2
    num_members: int = 4


@dataclass(frozen=True)
class NetworkForces:
    """What a network answers for windows (N, L), in heading axes; feet ordered right, left.

    Args:
        force_bw: body weights, (N, L, 2, 3).
        shift: of the centre of pressure from where physics puts it, forward and right, body heights, (N, L, 2, 2).
        spread_bw: mean absolute error to expect of each force, (N, L, 2, 3).
    """

    force_bw: torch.Tensor
    shift: torch.Tensor
    spread_bw: torch.Tensor


class ConvolutionBlock(nn.Module):
    """Pre-norm dilated convolution with a residual."""

    def __init__(self, size: ForceNetworkSize, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width)
        self.convolution = nn.Conv1d(
            size.width, size.width, size.kernel, padding=dilation * (size.kernel // 2), dilation=dilation
        )
        self.linear = nn.Linear(size.width, size.width)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, W) to (N, L, W)."""
        y = self.convolution(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.linear(functional.gelu(y)))


class ForceNetwork(nn.Module):
    """One member: normalised features (N, L, len(PHYSICS)) to raw outputs (N, L, 16)."""

    NUM_OUTPUTS = 6 + 4 + 6  # correction, shift, spread

    def __init__(self, size: ForceNetworkSize) -> None:
        super().__init__()
        self.patch = size.patch
        self.first = nn.Linear(len(PHYSICS) * size.patch, size.width)
        self.dropout = nn.Dropout(size.dropout)
        self.blocks = nn.ModuleList(ConvolutionBlock(size, dilation) for dilation in size.dilations)
        self.norm = nn.LayerNorm(size.width)
        self.last = nn.Linear(size.width, self.NUM_OUTPUTS * size.patch)
        nn.init.zeros_(self.last.weight)  # training starts from what physics says
        nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows of a length that `patch` divides."""
        num, length, channels = x.shape
        y = self.dropout(self.first(x.reshape(num, length // self.patch, channels * self.patch)))
        for block in self.blocks:
            y = block(y)
        return self.last(self.norm(y)).reshape(num, length, self.NUM_OUTPUTS)


class ForceModel(nn.Module):
    """An ensemble over one normaliser; `members(features)` answers for each, `forward` on the average."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, size: ForceNetworkSize, normalizer: Normalizer) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("scale", torch.from_numpy(normalizer.scale).float(), persistent=False)
        self.register_buffer("offset", torch.from_numpy(normalizer.offset).float(), persistent=False)
        self.networks = nn.ModuleList(ForceNetwork(size) for _ in range(size.num_members))

    def normalised(self, features: torch.Tensor) -> torch.Tensor:
        """Features without unit, and none far from what training has seen."""
        return (features * self.scale + self.offset).clamp(-LARGEST_INPUT, LARGEST_INPUT)

    def members(self, features: torch.Tensor, *, normalised: torch.Tensor) -> list[NetworkForces]:
        """What each member says.

        Args:
            features: as physics gives them, (N, L, len(PHYSICS)).
            normalised: the same for the networks, with noise where they are trained.
        """
        return [_composed(features, network(normalised)) for network in self.networks]

    def forward(self, features: torch.Tensor) -> NetworkForces:
        """The average over members, and over the gait and its mirror image, so that right and left are alike."""
        direct = self._average(features)
        mirrored = self._average(_mirrored_features(features))
        turn = features.new_tensor([1.0, 1.0, -1.0])
        return NetworkForces(
            force_bw=(direct.force_bw + mirrored.force_bw.flip(2) * turn) / 2,
            shift=(direct.shift + mirrored.shift.flip(2) * turn[1:]) / 2,
            spread_bw=(direct.spread_bw + mirrored.spread_bw.flip(2)) / 2,
        )

    def _average(self, features: torch.Tensor) -> NetworkForces:
        found = self.members(features, normalised=self.normalised(features))
        return NetworkForces(
            *(torch.stack([getattr(one, name) for one in found]).mean(0) for name in ("force_bw", "shift", "spread_bw"))
        )

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Forces, shifts and spreads of a whole trial, as in `NetworkForces`: (T, 2, 3), (T, 2, 2), (T, 2, 3).

        Windows overlap by half and fade into each other. Over strides, what the feet press is what physics says: the
        momentum of a body that was seen leaves no choice.
        """
        windows = cut(features.astype(np.float32))
        with torch.inference_mode():
            found = self(filled(torch.from_numpy(windows.values), torch.from_numpy(windows.present)))
        parts = (found.force_bw, found.shift, found.spread_bw)
        force, shift, spread = (merge(part.flatten(2).numpy(), windows) for part in parts)
        shared = features[:, _SHARED.flatten().numpy()]
        force = shared + _between_frames(force - shared)
        balanced = _balanced(force.reshape(-1, 2, 3), features)
        return balanced, SHIFT_TRUST * _between_frames(shift).reshape(-1, 2, 2), spread.reshape(-1, 2, 3)


def _composed(features: torch.Tensor, raw: torch.Tensor) -> NetworkForces:
    """Forces from what physics gives and what a network says."""
    correction, shift, spread = raw.split([6, 4, 6], dim=-1)
    return NetworkForces(
        force_bw=features[..., _SHARED.to(features.device)] + CORRECTION_SCALE_BW * correction.unflatten(-1, (2, 3)),
        shift=SHIFT_SCALE * shift.unflatten(-1, (2, 2)),
        spread_bw=SPREAD_SCALE_BW * functional.softplus(spread.unflatten(-1, (2, 3))),
    )


def _between_frames(values: np.ndarray) -> np.ndarray:
    """Binomially smoothed over three frames, (T, K): a network that takes frames in pairs answers in small steps."""
    around = np.concatenate([values[:1], values, values[-1:]])
    return (around[:-2] + 2 * around[1:-1] + around[2:]) / 4


def _balanced(force_bw: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Forces whose sum has the slow part of the total force of physics, wherever the pelvis was followed, (T, 2, 3)."""
    missing = features[:, PHYSICS["total_force"]] - force_bw.sum(axis=1)
    slow = smooth(missing, cutoff_hz=BALANCE_CUTOFF_HZ, sampling_rate_hz=FRAME_RATE_HZ)
    slow *= features[:, PHYSICS["observed_pelvis_translation"]]
    vertical = np.maximum(force_bw[..., 1], 0.0)
    share = vertical / np.maximum(vertical.sum(axis=1, keepdims=True), LEAST_TOTAL_BW)
    return force_bw + share[..., None] * slow[:, None]


def filled(features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Windows (N, L, D) in which the last present frame goes on where a trial has ended."""
    last = present.sum(dim=1, keepdim=True) - 1
    frames = torch.minimum(torch.arange(present.shape[1], device=present.device), last)
    return torch.take_along_dim(features, frames[..., None], dim=1)


def _mirrored_features(features: torch.Tensor) -> torch.Tensor:
    return features[..., _MIRROR_ORDER.to(features.device)] * _MIRROR_SIGNS.to(features.device)


def size_from_json(content: Mapping[str, Any], *, source: str) -> ForceNetworkSize:
    """The inverse of `asdict`.

    Raises:
        InputFileError: not the sizes of such a network.
    """
    try:
        size = ForceNetworkSize(**{**content, "dilations": tuple(content["dilations"])})
        numbers = (size.width, size.kernel, size.patch, size.num_members, *size.dilations)
        is_good = all(type(number) is int and 0 < number <= LARGEST_SIZE for number in numbers)
    except (KeyError, TypeError):
        is_good = False
    if not is_good:
        raise InputFileError(
            f"{source}: does not give the sizes of a force network ({', '.join(asdict(ForceNetworkSize()))}). "
            "Train or download the weights again."
        )
    return size


def build_force_model(weights: Weights) -> ForceModel:
    """The model that these weights are of, for inference.

    Raises:
        InputFileError: they are of another network, or do not fit their description.
    """
    source = str(weights.folder)
    PHYSICS.check(weights.layout, source=source)
    size = size_from_json(weights.config.get("size", {}), source=source)
    normalizer = Normalizer.from_json(weights.normalizer, num_channels=len(PHYSICS), source=source)
    model = ForceModel(size, normalizer)
    return weights.load_into(model)
