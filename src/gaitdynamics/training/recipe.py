"""What a training run is made of: the data it reads, the network, the loss and the settings."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from gaitdynamics.errors import TrainingError
from gaitdynamics.state.layout import StateLayout
from gaitdynamics.state.windows import WINDOW_FRAMES
from gaitdynamics.training.sampling import weight_by_length
from gaitdynamics.training.shards import Batch, Recording, Shards


@dataclass(frozen=True)
class WindowLosses:
    """Of each window, (N,): the batch's loss is the sum of all sums over the sum of all weights."""

    sums: torch.Tensor
    weights: torch.Tensor


def nobody(recording: Recording) -> bool:
    """Hold nobody out."""
    return False


def unchanged(batch: Batch) -> Batch:
    """Train on the windows as they are."""
    return batch


@dataclass(frozen=True)
class Recipe:
    """A training run, but for its data, its seed and where it goes.

    Random numbers of the loss and of `augment` come from the batch (`Batch.uniform`, `Batch.normal`), so that they
    belong to a window, wherever it is computed. Initialisation and dropout may draw as PyTorch's layers do; they are
    seeded.

    Args:
        blocks: that it reads, with the channels they must have.
        make_model: from the data and the numbers of the recordings to train on, which normalisers are taken from.
        loss: of a network and a batch.
        save: write the averaged network's weights to a folder, with what else the data say about them and their
            provenance (JSON values).
        num_steps: number of updates.
        batch_size: windows per update, over all processes.
        micro_batch_size: windows that pass the network at once; a process takes whole micro-batches.
        window_frames: length of a window, at 100 Hz.
        learning_rate: at its highest; it rises over `warmup_steps` and then follows the schedule.
        weight_decay: of matrices (AdamW); vectors are not decayed.
        ema_decay: of the moving average of the weights, which is what is validated and saved.
        clip_norm: longest gradient.
        precision: "bfloat16" computes layers so on a GPU; on a CPU it pays nothing and is ignored.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validations.
        num_validation_windows: at most.
        weights: how often recordings are drawn from, relative to each other.
        split: whose recordings are used, those held out included.
        is_held_out: which recordings are for validation; all of a person's or none.
        augment: what is done to batches before the loss, in training only.
        config: anything else that makes the run what it is; JSON values.
    """

    name: str
    blocks: Mapping[str, tuple[str, ...]]
    make_model: Callable[[Shards, Sequence[int]], nn.Module]
    loss: Callable[[nn.Module, Batch], WindowLosses]
    save: Callable[[nn.Module, Shards, Path, dict[str, Any]], None]
    num_steps: int
    batch_size: int
    micro_batch_size: int
    learning_rate: float
    window_frames: int = WINDOW_FRAMES
    warmup_steps: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.0
    ema_decay: float = 0.999
    clip_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    checkpoint_every: int = 500
    validate_every: int = 500
    num_validation_windows: int = 2000
    weights: Callable[[Sequence[Recording]], np.ndarray] = weight_by_length
    split: str = "train"
    is_held_out: Callable[[Recording], bool] = nobody
    augment: Callable[[Batch], Batch] = unchanged
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = ("num_steps", "batch_size", "micro_batch_size", "checkpoint_every", "validate_every")
        if wrong := [size for size in sizes if getattr(self, size) < 1]:
            raise TrainingError(f"recipe {self.name}: {', '.join(wrong)} must be at least 1.")
        if self.batch_size % self.micro_batch_size:
            raise TrainingError(
                f"recipe {self.name}: a batch of {self.batch_size} windows can't be cut into micro-batches of "
                f"{self.micro_batch_size}. Choose a divisor of the batch."
            )

    def describe(self) -> dict[str, Any]:
        """Everything that makes the run what it is, as JSON values; functions by their names."""
        return {entry.name: _described(getattr(self, entry.name)) for entry in fields(self)}

    def learning_rate_at(self, step: int) -> float:
        """Of update number `step`, counted from 1."""
        if step <= self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        share = (step - self.warmup_steps) / max(self.num_steps - self.warmup_steps + 1, 1)
        return float(self.learning_rate * 0.5 * (1.0 + np.cos(np.pi * share)))


def fingerprint(description: Mapping[str, Any]) -> str:
    """A hash of JSON values."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def mirrored(batch: Batch, layouts: Mapping[str, StateLayout]) -> Batch:
    """Swap right and left in the windows that were picked for it: half of them.

    Args:
        layouts: of the blocks that have right and left.
    """
    changed = {}
    for block, layout in layouts.items():
        values = batch[block]
        order = torch.from_numpy(layout.mirror_order).to(values.device)
        signs = torch.from_numpy(layout.mirror_signs).to(values.device)
        changed[block] = torch.where(batch.is_mirrored[:, None, None], values[..., order] * signs, values)
    return batch.with_blocks(**changed)


def _described(value: Any) -> Any:
    if isinstance(value, partial):
        return {"function": _described(value.func), "arguments": [*map(_described, (*value.args, value.keywords))]}
    if hasattr(value, "to_json"):
        return _described(value.to_json())
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _described(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_described(entry) for entry in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TrainingError(
        f"a recipe holds a {type(value).__name__}, which JSON can't describe. Make it inside a function."
    )
