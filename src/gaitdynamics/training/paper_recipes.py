"""How the authors' networks are trained (Tan et al. 2026, doi 10.1038/s41551-025-01565-8).

Theirs: both networks at their sizes, channels and windows, values brought to −10…10, squared errors, dropout, 1000
steps of noise with their variances, and for the forces batches of 64, a learning rate of 4e-4 and a decay of 0.02
(with the optimizer Adan). Chosen here: AdamW as in all recipes, its warm-up and schedule, the numbers of steps, the
moving average, how often recordings are drawn, mirrored windows, all settings of the diffusion model's optimizer, and
the part of its loss that regards changes from frame to frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gaitdynamics.errors import TrainingError
from gaitdynamics.model.checkpoint import save_weights
from gaitdynamics.model.published import (
    DIFFUSION,
    DIFFUSION_SIZE,
    FORCE_COLUMNS,
    KINEMATIC_COLUMNS,
    NUM_HEADS,
    REFINEMENT,
    REFINEMENT_SIZE,
    NetworkSize,
    PublishedDiffusion,
    PublishedRefinement,
)
from gaitdynamics.model.published_sampling import NUM_TIMESTEPS, betas
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.examples import MISSING_TRUNK
from gaitdynamics.training.force_recipe import weight_by_laboratory
from gaitdynamics.training.recipe import Recipe, WindowLosses, mirrored
from gaitdynamics.training.sampling import weight_by_length
from gaitdynamics.training.shards import Batch, Recording, Shards

DROPOUT = 0.1
SMALL_DIFFUSION_SIZE = NetworkSize(width=256, num_layers=4, num_heads=NUM_HEADS, feed_forward=512)
WEIGHT_OF_CHANGE = 1.0  # of squared errors of the change from frame to frame, beside those of the values
UNKNOWN_RANGE = (-1.0, 1.0)  # of a channel that no recording has
LICENCE = "MIT; trained on measured data whose licences are their own"
GROUPS = np.array([channel.group for channel in PUBLISHED.channels])
IS_SAME_GROUP = np.equal.outer(GROUPS, GROUPS)


def paper_forces() -> Recipe:
    """The authors' refinement network, for AddBiomechanics."""
    return Recipe(
        name="paper_forces",
        blocks={PUBLISHED.name: PUBLISHED.names, VALID: (VALID,)},
        make_model=_refinement,
        loss=_refinement_loss,
        save=_save,
        num_steps=200_000,
        batch_size=64,
        micro_batch_size=32,
        learning_rate=4e-4,
        warmup_steps=1000,
        weight_decay=0.02,
        ema_decay=0.9999,
        precision="bfloat16",
        checkpoint_every=2000,
        weights=partial(weight_of_measured, among=weight_by_length),
        augment=_mirrored,
        config={"size": asdict(REFINEMENT_SIZE), "dropout": DROPOUT},
    )


def paper_diffusion() -> Recipe:
    """The authors' diffusion model, for AddBiomechanics."""
    return replace(
        paper_forces(),
        name="paper_diffusion",
        make_model=_diffusion,
        loss=_diffusion_loss,
        num_steps=500_000,
        config={"size": asdict(DIFFUSION_SIZE), "dropout": DROPOUT, "change": WEIGHT_OF_CHANGE},
    )


def starter_paper_forces() -> Recipe:
    """The authors' refinement network on the data and windows of `starter_forces`, to compare with it."""
    return replace(
        paper_forces(),
        name="starter_paper_forces",
        num_steps=800,
        batch_size=32,
        learning_rate=1e-3,
        warmup_steps=100,
        ema_decay=0.99,
        checkpoint_every=200,
        weights=partial(weight_of_measured, among=weight_by_laboratory),
        augment=_mirrored_without_trunk,
        config={"size": asdict(REFINEMENT_SIZE), "dropout": DROPOUT, "missing_trunk": MISSING_TRUNK},
    )


def starter_paper_diffusion() -> Recipe:
    """The authors' diffusion model on the data of `starter_diffusion`, to compare with it.

    Smaller than theirs: at their size, a window costs one core 0.3 s of training (float32; with bfloat16 0.2 s), so
    that an hour holds 12 000 windows. At this size it costs 0.03 s, and bfloat16 saves nothing.
    """
    return replace(
        paper_diffusion(),
        name="starter_paper_diffusion",
        make_model=_small_diffusion,
        num_steps=3000,
        batch_size=16,
        micro_batch_size=16,
        learning_rate=1e-3,
        warmup_steps=200,
        ema_decay=0.995,
        checkpoint_every=200,
        weights=partial(weight_of_measured, among=weight_by_laboratory),
        config={"size": asdict(SMALL_DIFFUSION_SIZE), "dropout": DROPOUT, "change": WEIGHT_OF_CHANGE},
    )


class NormalisedNetwork(nn.Module):
    """One of the authors' networks with the normaliser of its channels.

    Args:
        network: to be trained.
        size: of the network.
        normalizer: of PUBLISHED's channels.
    """

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(
        self, network: PublishedRefinement | PublishedDiffusion, size: NetworkSize, normalizer: Normalizer
    ) -> None:
        super().__init__()
        self.network, self.size = network, size
        self.register_buffer("scale", torch.from_numpy(normalizer.scale.copy()))
        self.register_buffer("offset", torch.from_numpy(normalizer.offset.copy()))

    def normalised(self, values: torch.Tensor, is_known: torch.Tensor) -> torch.Tensor:
        """Values (N, L, 63) as the network sees them; zero where not known, as in estimation."""
        return torch.where(is_known, values * self.scale + self.offset, torch.zeros_like(values))


def weight_of_measured(
    recordings: Sequence[Recording], *, among: Callable[[Sequence[Recording]], np.ndarray]
) -> np.ndarray:
    """Weights of recordings as measured, of people who walk straight on; others are not drawn.

    Args:
        among: weights of those that are drawn.
    """
    is_drawn = np.array([_is_drawn(entry) for entry in recordings], dtype=bool)
    weights = np.zeros(len(recordings))
    if is_drawn.any():
        weights[is_drawn] = among([entry for entry in recordings if _is_drawn(entry)])
    return weights


def _is_drawn(entry: Recording) -> bool:
    """This state is in the axes of one heading, so it does not hold of people who turn, of which a note tells."""
    return entry.variant == 0 and not entry.notes


def known_channels(values: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """What is known of windows of the authors' state, in which exactly 0 stands for what is not.

    Kinematics are known for a whole window or not at all, a joint with all its channels: a knee that passes through 0
    is known. Forces are known where they are valid, zeros included: they are of a foot in the air.

    Args:
        values: (N, L, 63), not normalised.
        is_valid: (N, L).

    Returns:
        (N, L, 63) bool.
    """
    is_something = (values != 0).any(dim=1).float()
    is_measured = is_something @ torch.from_numpy(IS_SAME_GROUP).to(is_something) > 0
    known = is_measured[:, None].repeat(1, values.shape[1], 1)
    known[..., FORCE_COLUMNS] = is_valid[..., None]
    return known


def normalizer_of_people(shards: Shards, recordings: Sequence[int]) -> Normalizer:
    """One that takes what is known of these recordings, as measured and mirrored, to −10…10.

    Frames without a valid force are left out: motion that the data build does not trust is among them.

    Raises:
        TrainingError: none of the recordings is one to train on.
    """
    lowest, highest = np.full(len(PUBLISHED), np.inf), np.full(len(PUBLISHED), -np.inf)
    drawn = [number for number in recordings if _is_drawn(shards.recordings[number])]
    if not drawn:
        raise TrainingError(
            f"{shards.folder}: nobody to train on. Of {len(recordings)} recordings none is as measured and of a person "
            "who does not turn; the authors' state holds of no others."
        )
    for number in drawn:
        is_valid = shards.rows(VALID, number)[:, 0] > 0
        rows = shards.rows(PUBLISHED.name, number)[is_valid]
        if len(rows):
            columns = known_channels(torch.from_numpy(rows)[None], torch.ones(1, len(rows), dtype=torch.bool))[0, 0]
            lowest = np.where(columns, np.minimum(lowest, rows.min(axis=0)), lowest)
            highest = np.where(columns, np.maximum(highest, rows.max(axis=0)), highest)
    bounds = np.where(lowest > highest, np.array(UNKNOWN_RANGE)[:, None], [lowest, highest])
    return Normalizer.to_range(np.concatenate([bounds, PUBLISHED.mirrored(bounds)]))


def _refinement(shards: Shards, recordings: Sequence[int]) -> nn.Module:
    network = PublishedRefinement(REFINEMENT_SIZE, dropout=DROPOUT)
    return NormalisedNetwork(network, REFINEMENT_SIZE, normalizer_of_people(shards, recordings))


def _diffusion(shards: Shards, recordings: Sequence[int]) -> nn.Module:
    network = PublishedDiffusion(DIFFUSION_SIZE, dropout=DROPOUT)
    return NormalisedNetwork(network, DIFFUSION_SIZE, normalizer_of_people(shards, recordings))


def _small_diffusion(shards: Shards, recordings: Sequence[int]) -> nn.Module:
    network = PublishedDiffusion(SMALL_DIFFUSION_SIZE, dropout=DROPOUT)
    return NormalisedNetwork(network, SMALL_DIFFUSION_SIZE, normalizer_of_people(shards, recordings))


def _mirrored(batch: Batch) -> Batch:
    return mirrored(batch, {PUBLISHED.name: PUBLISHED})


def _mirrored_without_trunk(batch: Batch) -> Batch:
    """Also take the trunk from many windows: few of these laboratories measured it, and of runners next to none."""
    batch = _mirrored(batch)
    values = batch[PUBLISHED.name].clone()
    is_missing = batch.uniform("trunk", 1) < MISSING_TRUNK
    values[..., PUBLISHED["lumbar"]] *= ~is_missing[..., None]
    return batch.with_blocks(**{PUBLISHED.name: values})


def _refinement_loss(model: nn.Module, batch: Batch) -> WindowLosses:
    """Squared errors of the normalised forces where they are known."""
    clean, is_known = _clean(model, batch)
    errors = _network(model)(clean[..., KINEMATIC_COLUMNS]).float() - clean[..., FORCE_COLUMNS]
    counts = is_known[..., FORCE_COLUMNS].float()
    return WindowLosses((errors.square() * counts).mean(dim=-1).sum(dim=1), counts.mean(dim=-1).sum(dim=1))


def _diffusion_loss(model: nn.Module, batch: Batch) -> WindowLosses:
    """Squared errors of the window found in a noisy one, and of its change from frame to frame, where it is known."""
    clean, is_known = _clean(model, batch)
    step = (batch.uniform("timestep", 1)[:, 0] * NUM_TIMESTEPS).long()
    remaining = torch.from_numpy(np.cumprod(1 - betas())).to(clean)[step, None, None]
    noisy = remaining.sqrt() * clean + (1 - remaining).sqrt() * batch.normal("noise", *clean.shape[1:])
    errors = (_network(model)(noisy, step).float() - clean) * is_known
    has_change = is_known[:, 1:] & is_known[:, :-1]
    sums = errors.square().mean(dim=-1).sum(dim=1)
    of_change = (errors.diff(dim=1) * has_change).square().mean(dim=-1).sum(dim=1)
    return WindowLosses(sums + WEIGHT_OF_CHANGE * of_change, is_known.float().mean(dim=-1).sum(dim=1))


def _clean(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised windows (N, L, 63), and where they are known."""
    values = batch[PUBLISHED.name]
    is_known = known_channels(values, batch[VALID][..., 0] > 0) & batch.present[..., None]
    return _checked(model).normalised(values, is_known), is_known


def _network(model: nn.Module) -> nn.Module:
    return _checked(model).network


def _checked(model: nn.Module) -> NormalisedNetwork:
    if not isinstance(model, NormalisedNetwork):
        raise TrainingError(f"a {type(model).__name__} is no NormalisedNetwork; use the recipe's own `make_model`.")
    return model


def _save(model: nn.Module, shards: Shards, folder: Path, provenance: dict[str, Any]) -> None:
    model = _checked(model)
    save_weights(
        folder,
        kind=REFINEMENT if isinstance(model.network, PublishedRefinement) else DIFFUSION,
        tensors=model.network.state_dict(),
        layout=PUBLISHED.to_json(),
        config=asdict(model.size),
        normalizer=Normalizer(model.scale.numpy(), model.offset.numpy()).to_json(),
        provenance=provenance,
        licence=LICENCE,
        overwrite=True,
    )
