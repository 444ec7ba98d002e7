"""The authors' two networks (Tan et al. 2026, doi 10.1038/s41551-025-01565-8) and their weights in our form."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gaitdynamics.errors import InputFileError
from gaitdynamics.model.checkpoint import Weights, load_weights, save_weights
from gaitdynamics.model.published_file import PublishedFile, read_published_file
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.state.normalizer import Normalizer

REFINEMENT, DIFFUSION = "published_refinement", "published_diffusion"
PUBLISHED_KINDS = (REFINEMENT, DIFFUSION)
NUM_HEADS = 8  # of both published networks; their files do not say
FORCE_COLUMNS = PUBLISHED.columns(["calcn_r_force", "calcn_l_force"])
KINEMATIC_COLUMNS = np.setdiff1d(np.arange(len(PUBLISHED)), FORCE_COLUMNS)
ROTARY_BASE = TIME_BASE = 10_000.0
LARGEST_SIZE, LARGEST_NUM_LAYERS = 65_536, 256  # beyond any such network: a spoilt description, not a model
CITATION = "Tan et al. 2026, Nature Biomedical Engineering, doi 10.1038/s41551-025-01565-8"
LICENCE = "as the authors of the weights state it"

# The authors' names of tensors, and this module's; None where the network never uses the tensor.
_NAMES: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    REFINEMENT: (
        (r"input_to_embedding\.(\w+)", r"embed.\1"),
        (r"embedding_to_output\.(\w+)", r"predict.\1"),
        (r"encoder_layers\.(\d+)\.rotary\.freqs", r"layers.\1.attention.frequencies"),
        (r"encoder_layers\.(\d+)\.self_attn\.in_proj_(\w+)", r"layers.\1.attention.project_in.\2"),
        (r"encoder_layers\.(\d+)\.self_attn\.out_proj\.(\w+)", r"layers.\1.attention.project_out.\2"),
        (r"encoder_layers\.(\d+)\.feed_forward\.fc1\.(\w+)", r"layers.\1.widen.\2"),
        (r"encoder_layers\.(\d+)\.feed_forward\.fc2\.(\w+)", r"layers.\1.narrow.\2"),
        (r"encoder_layers\.(\d+)\.norm1\.(\w+)", r"layers.\1.attention_norm.\2"),
        (r"encoder_layers\.(\d+)\.norm2\.(\w+)", r"layers.\1.feed_forward_norm.\2"),
    ),
    DIFFUSION: (
        (r"rotary\.freqs", None),
        (r"seqTransDecoder\.stack\.\d+\.multihead_attn\..*", None),
        (r"time_mlp\.1\.(\w+)", r"widen_time.\1"),
        (r"to_time_cond\.0\.(\w+)", r"narrow_time.\1"),
        (r"input_projection\.(\w+)", r"embed.\1"),
        (r"final_layer\.(\w+)", r"predict.\1"),
        (r"seqTransDecoder\.stack\.(\d+)\.rotary\.freqs", r"layers.\1.attention.frequencies"),
        (r"seqTransDecoder\.stack\.(\d+)\.self_attn\.in_proj_(\w+)", r"layers.\1.attention.project_in.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.self_attn\.out_proj\.(\w+)", r"layers.\1.attention.project_out.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.linear1\.(\w+)", r"layers.\1.widen.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.linear2\.(\w+)", r"layers.\1.narrow.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.norm1\.(\w+)", r"layers.\1.attention_norm.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.norm3\.(\w+)", r"layers.\1.feed_forward_norm.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.film1\.block\.1\.(\w+)", r"layers.\1.attention_film.\2"),
        (r"seqTransDecoder\.stack\.(\d+)\.film3\.block\.1\.(\w+)", r"layers.\1.feed_forward_film.\2"),
    ),
}


@dataclass(frozen=True)
class NetworkSize:
    """Of either network.

    Args:
        width: of the embedding; even, and a multiple of the number of heads.
        num_layers: of attention and feed-forward.
        num_heads: of the attention.
        feed_forward: width inside a layer's feed-forward part.
    """

    width: int
    num_layers: int
    num_heads: int
    feed_forward: int

    @classmethod
    def from_json(cls, config: Mapping[str, Any], *, source: str) -> "NetworkSize":
        """Of a checkpoint's configuration.

        Raises:
            InputFileError: a number is missing, or no network has such a size.
        """
        names = [field.name for field in fields(cls)]
        values = [config.get(name) for name in names]
        if set(config) != set(names) or not all(isinstance(n, int) and 0 < n <= LARGEST_SIZE for n in values):
            raise InputFileError(
                f"{source}: its configuration is {dict(config)}. Expected {', '.join(names)}, each from 1 to "
                f"{LARGEST_SIZE}. Convert the weights again."
            )
        size = cls(**config)
        if size.num_layers > LARGEST_NUM_LAYERS or size.width % 2 or size.width % size.num_heads:
            raise InputFileError(
                f"{source}: no network has {size.num_layers} layers of width {size.width} with {size.num_heads} heads. "
                "The heads must divide the width: convert the authors' file again, and give their number with --heads."
            )
        return size


REFINEMENT_SIZE = NetworkSize(width=192, num_layers=6, num_heads=NUM_HEADS, feed_forward=512)
DIFFUSION_SIZE = NetworkSize(width=512, num_layers=8, num_heads=NUM_HEADS, feed_forward=1024)


class RotaryAttention(nn.Module):
    """Self-attention whose queries and keys are turned by their frame before they are projected and split into heads.

    Rotary embedding: Su et al. 2021, arXiv 2104.09864, there on the heads' features after projection.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.num_heads = size.num_heads
        self.project_in = nn.Linear(size.width, 3 * size.width)
        self.project_out = nn.Linear(size.width, size.width)
        frequencies = ROTARY_BASE ** (-np.arange(0, size.width, 2) / size.width)
        self.register_buffer("frequencies", torch.tensor(frequencies, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, width) to the same."""
        turned = self._turned(x)
        query_weight, key_weight, value_weight = self.project_in.weight.chunk(3)
        query_bias, key_bias, value_bias = self.project_in.bias.chunk(3)
        attended = functional.scaled_dot_product_attention(
            self._heads(functional.linear(turned, query_weight, query_bias)),
            self._heads(functional.linear(turned, key_weight, key_bias)),
            self._heads(functional.linear(x, value_weight, value_bias)),
        )
        return self.project_out(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _turned(self, x: torch.Tensor) -> torch.Tensor:
        frames = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        angles = torch.outer(frames, self.get_buffer("frequencies"))
        cosine, sine = torch.cos(angles), torch.sin(angles)
        first, second = x[..., 0::2], x[..., 1::2]
        return torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1).flatten(-2)


class RefinementLayer(nn.Module):
    """Attention and feed-forward, each added to its input and then normalised."""

    def __init__(self, size: NetworkSize, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.attention = RotaryAttention(size)
        self.attention_norm = nn.LayerNorm(size.width)
        self.widen = nn.Linear(size.width, size.feed_forward)
        self.narrow = nn.Linear(size.feed_forward, size.width)
        self.feed_forward_norm = nn.LayerNorm(size.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, width) to the same."""
        x = self.attention_norm(x + self.dropout(self.attention(x)))
        return self.feed_forward_norm(x + self.dropout(self.narrow(functional.relu(self.widen(x)))))


class PublishedRefinement(nn.Module):
    """Forces from kinematics, both normalised, in the order of PUBLISHED's columns.

    Args:
        dropout: in training, of what each half of a layer adds.
    """

    def __init__(self, size: NetworkSize = REFINEMENT_SIZE, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(len(KINEMATIC_COLUMNS), size.width)
        self.layers = nn.ModuleList(RefinementLayer(size, dropout=dropout) for _ in range(size.num_layers))
        self.predict = nn.Linear(size.width, len(FORCE_COLUMNS))

    def forward(self, kinematics: torch.Tensor) -> torch.Tensor:
        """(N, L, 51) to (N, L, 12)."""
        x = self.embed(kinematics)
        for layer in self.layers:
            x = layer(x)
        return self.predict(x)


class DiffusionLayer(nn.Module):
    """Attention and feed-forward of the normalised input, each modulated by the time before it is added.

    Feature-wise modulation: Perez et al. 2018, arXiv 1709.07871.
    """

    def __init__(self, size: NetworkSize, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.attention = RotaryAttention(size)
        self.attention_norm = nn.LayerNorm(size.width)
        self.attention_film = nn.Linear(size.width, 2 * size.width)
        self.widen = nn.Linear(size.width, size.feed_forward)
        self.narrow = nn.Linear(size.feed_forward, size.width)
        self.feed_forward_norm = nn.LayerNorm(size.width)
        self.feed_forward_film = nn.Linear(size.width, 2 * size.width)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """(N, L, width) to the same; `time` is (N, width)."""
        active = functional.mish(time)[:, None]
        attended = self.dropout(self.attention(self.attention_norm(x)))
        x = x + _modulated(attended, self.attention_film(active))
        fed = self.dropout(self.narrow(functional.gelu(self.widen(self.feed_forward_norm(x)))))
        return x + _modulated(fed, self.feed_forward_film(active))


class PublishedDiffusion(nn.Module):
    """The clean window that a noisy one came from, all of PUBLISHED's channels normalised.

    Args:
        dropout: in training, of what each half of a layer adds.
    """

    def __init__(self, size: NetworkSize = DIFFUSION_SIZE, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(len(PUBLISHED), size.width)
        self.widen_time = nn.Linear(size.width, 4 * size.width)
        self.narrow_time = nn.Linear(4 * size.width, size.width)
        self.layers = nn.ModuleList(DiffusionLayer(size, dropout=dropout) for _ in range(size.num_layers))
        self.predict = nn.Linear(size.width, len(PUBLISHED))

    def forward(self, noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """(N, L, 63) to the same; `timestep` is (N,), from 0 (clean) to 999."""
        x = self.embed(noisy)
        time = self._time_embedding(timestep, width=x.shape[-1])
        for layer in self.layers:
            x = layer(x, time)
        return self.predict(x)

    def _time_embedding(self, timestep: torch.Tensor, *, width: int) -> torch.Tensor:
        half = width // 2
        steps = torch.arange(half, device=timestep.device)
        angles = timestep[:, None] * torch.exp(steps * (-np.log(TIME_BASE) / (half - 1)))
        waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        return self.narrow_time(functional.mish(self.widen_time(waves)))


def build_refinement(weights: Weights) -> PublishedRefinement:
    """The network that these weights are of, for inference.

    Raises:
        InputFileError: they are of another network, or do not fit their description.
    """
    size = _size_of(weights, REFINEMENT)
    with torch.device("meta"):
        network = PublishedRefinement(size)
    return weights.load_into(network).float()


def build_diffusion(weights: Weights) -> PublishedDiffusion:
    """The network that these weights are of, for inference.

    Raises:
        InputFileError: they are of another network, or do not fit their description.
    """
    size = _size_of(weights, DIFFUSION)
    with torch.device("meta"):
        network = PublishedDiffusion(size)
    return weights.load_into(network).float()


def normalizer_of(weights: Weights) -> Normalizer:
    """Of the weights' 63 channels.

    Raises:
        InputFileError: they have none that fits.
    """
    return Normalizer.from_json(weights.normalizer, num_channels=len(PUBLISHED), source=str(weights.folder))


def convert_published(path: Path, folder: Path, *, num_heads: int = NUM_HEADS, overwrite: bool = False) -> Weights:
    """Turn one of the authors' files into a folder of weights.

    Args:
        path: GaitDynamicsRefinement.pt or GaitDynamicsDiffusion.pt.
        folder: where the weights go.
        num_heads: of the attention, which the file does not say: a wrong number runs and is wrong.
        overwrite: whether weights that are there may be replaced.

    Returns:
        What was written.

    Raises:
        InputFileError: not such a file, or of another network.
        OutputError: weights exist there already, or can't be written.
    """
    file = read_published_file(path)
    kind = REFINEMENT if "input_to_embedding.weight" in file.tensors else DIFFUSION
    weights = Weights(
        kind=kind,
        tensors=_renamed(file, kind, source=str(path)),
        layout=PUBLISHED.to_json(),
        config={},
        normalizer=Normalizer(file.scale, file.offset).to_json(),
        provenance={
            "converted_from": path.name,
            "original_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "citation": CITATION,
        },
        licence=LICENCE,
        folder=path,
    )
    weights = replace(weights, config=_config_of(weights.tensors, num_heads=num_heads, source=str(path)))
    normalizer_of(weights)
    (build_refinement if kind == REFINEMENT else build_diffusion)(weights)
    save_weights(
        folder,
        kind=kind,
        tensors=weights.tensors,
        layout=weights.layout,
        config=weights.config,
        normalizer=weights.normalizer,
        provenance=weights.provenance,
        licence=weights.licence,
        overwrite=overwrite,
    )
    return load_weights(folder)


def _size_of(weights: Weights, kind: str) -> NetworkSize:
    if weights.kind != kind:
        raise InputFileError(f"{weights.folder}: weights of kind '{weights.kind}'. Expected '{kind}'.")
    PUBLISHED.check(weights.layout, source=str(weights.folder))
    return NetworkSize.from_json(weights.config, source=str(weights.folder))


def _config_of(tensors: Mapping[str, torch.Tensor], *, num_heads: int, source: str) -> dict[str, int]:
    """A network's size, from the shapes of its tensors."""
    layers = {name.split(".")[1] for name in tensors if name.startswith("layers.")}
    if "embed.weight" not in tensors or "layers.0.widen.weight" not in tensors:
        raise InputFileError(
            f"{source}: holds no embedding or no layers. Expected GaitDynamicsRefinement.pt or "
            "GaitDynamicsDiffusion.pt as the authors publish them."
        )
    return {
        "width": len(tensors["embed.weight"]),
        "num_layers": len(layers),
        "num_heads": num_heads,
        "feed_forward": len(tensors["layers.0.widen.weight"]),
    }


def _renamed(file: PublishedFile, kind: str, *, source: str) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for name, values in file.tensors.items():
        for pattern, replacement in _NAMES[kind]:
            match = re.fullmatch(pattern, name)
            if match:
                if replacement is not None:
                    tensors[match.expand(replacement)] = torch.from_numpy(values.copy())
                break
        else:
            raise InputFileError(
                f"{source}: holds a tensor '{name}', which the authors' networks do not have. Expected "
                "GaitDynamicsRefinement.pt or GaitDynamicsDiffusion.pt as they publish them."
            )
    return tensors


def _modulated(y: torch.Tensor, scale_and_shift: torch.Tensor) -> torch.Tensor:
    scale, shift = scale_and_shift.chunk(2, dim=-1)
    return (1 + scale) * y + shift
