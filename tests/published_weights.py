"""Files in the authors' format with small random networks, written as their code writes them."""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitdynamics.state.layout import PUBLISHED

WIDTH, HEADS, FEED_FORWARD, NUM_LAYERS = 16, 2, 24, 2


class Normalizer:
    """Named as in the authors' program."""


class MinMaxScaler:
    """Named as in the authors' program."""


Normalizer.__module__ = MinMaxScaler.__module__ = "__main__"


def refinement_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random numbers under the authors' names."""
    make = _Maker(seed)
    make.linear("input_to_embedding", 51, WIDTH)
    for i in range(NUM_LAYERS):
        layer = f"encoder_layers.{i}"
        make.attention(f"{layer}.self_attn")
        make.tensors[f"{layer}.rotary.freqs"] = frequencies()
        make.linear(f"{layer}.feed_forward.fc1", WIDTH, FEED_FORWARD)
        make.linear(f"{layer}.feed_forward.fc2", FEED_FORWARD, WIDTH)
        make.norm(f"{layer}.norm1")
        make.norm(f"{layer}.norm2")
    make.linear("embedding_to_output", WIDTH, 12)
    make.tensors["embedding_to_output.weight"] *= 6.0  # forces that rise above the threshold and fall below it
    return make.tensors


def diffusion_tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    """Random numbers under the authors' names; the rotary frequencies are one tensor under several."""
    make = _Maker(seed)
    shared = frequencies()
    make.tensors["rotary.freqs"] = shared
    make.linear("time_mlp.1", WIDTH, 4 * WIDTH)
    make.linear("input_projection", 63, WIDTH)
    make.linear("to_time_cond.0", 4 * WIDTH, WIDTH)
    for i in range(NUM_LAYERS):
        layer = f"seqTransDecoder.stack.{i}"
        make.attention(f"{layer}.self_attn")
        make.attention(f"{layer}.multihead_attn")
        make.linear(f"{layer}.linear1", WIDTH, FEED_FORWARD)
        make.linear(f"{layer}.linear2", FEED_FORWARD, WIDTH)
        make.norm(f"{layer}.norm1")
        make.norm(f"{layer}.norm3")
        make.linear(f"{layer}.film1.block.1", WIDTH, 2 * WIDTH)
        make.linear(f"{layer}.film3.block.1", WIDTH, 2 * WIDTH)
        make.tensors[f"{layer}.rotary.freqs"] = shared
    make.linear("final_layer", WIDTH, 63)
    make.tensors["final_layer.weight"] *= 6.0
    return make.tensors


def frequencies() -> torch.Tensor:
    return 10000.0 ** (-torch.arange(0, WIDTH, 2) / WIDTH)


def plausible_range() -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each channel, wide enough for any gait."""
    largest = np.array([3.0 if "vel" in name or "_t" in name else 1.5 for name in PUBLISHED.names], dtype=np.float32)
    largest[PUBLISHED.columns(["calcn_r_force", "calcn_l_force"])] = 10.0
    return -largest, largest


def save_as_the_authors(path: Path, tensors: dict[str, torch.Tensor], **changes: Any) -> Path:
    """Write a file; `changes` replace attributes of its scaler."""
    smallest, largest = plausible_range()
    scale = 20 / (largest - smallest)
    scaler = MinMaxScaler()
    scaler.__dict__ |= {
        "feature_range": (-10, 10),
        "copy": True,
        "clip": True,
        "n_samples_seen_": 2,
        "scale_": torch.from_numpy(scale),
        "min_": torch.from_numpy(-10 - smallest * scale),
        "data_min_": torch.from_numpy(smallest),
        "data_max_": torch.from_numpy(largest),
        "data_range_": torch.from_numpy(largest - smallest),
    } | changes
    normalizer = Normalizer()
    normalizer.__dict__ |= {"scaler": scaler, "cols_to_normalize": range(63)}
    weights = OrderedDict(tensors)
    weights._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    main = sys.modules["__main__"]
    before = {name: getattr(main, name, None) for name in ("Normalizer", "MinMaxScaler")}
    try:
        main.Normalizer, main.MinMaxScaler = Normalizer, MinMaxScaler  # type: ignore[attr-defined]
        torch.save({"ema_state_dict": weights, "normalizer": normalizer}, path, pickle_protocol=2)
    finally:
        for name, value in before.items():
            delattr(main, name) if value is None else setattr(main, name, value)
    return path


class _Maker:
    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors: dict[str, torch.Tensor] = {}

    def draw(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator)

    def linear(self, name: str, num_in: int, num_out: int) -> None:
        self.tensors[f"{name}.weight"] = self.draw(num_out, num_in) / num_in**0.5
        self.tensors[f"{name}.bias"] = 0.1 * self.draw(num_out)

    def norm(self, name: str) -> None:
        self.tensors[f"{name}.weight"] = 1 + 0.1 * self.draw(WIDTH)
        self.tensors[f"{name}.bias"] = 0.1 * self.draw(WIDTH)

    def attention(self, name: str) -> None:
        self.tensors[f"{name}.in_proj_weight"] = self.draw(3 * WIDTH, WIDTH) / WIDTH**0.5
        self.tensors[f"{name}.in_proj_bias"] = 0.1 * self.draw(3 * WIDTH)
        self.linear(f"{name}.out_proj", WIDTH, WIDTH)
