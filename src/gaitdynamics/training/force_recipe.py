"""How our force model is trained."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gaitdynamics.errors import TrainingError
from gaitdynamics.model.checkpoint import save_weights
from gaitdynamics.model.force_limits import COVERAGE, SEEN_QUANTILES, ForceLimits
from gaitdynamics.model.forces import KIND, ForceModel, ForceNetworkSize, filled
from gaitdynamics.state.layout import FORCES, PHYSICS, StateLayout
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.evidence import RUN
from gaitdynamics.training.examples import GAPPY_VARIANTS
from gaitdynamics.training.recipe import Recipe, WindowLosses, mirrored, unchanged
from gaitdynamics.training.shards import Batch, Recording, Shards
from gaitdynamics.units import SIDE_NAMES

LEAST_SPREAD = 0.01  # of a feature's normaliser
LOADED_BW = 0.1  # vertical force above which a centre of pressure is taught
WEIGHT_OF_SPREAD = 0.02
WIDTH_OF_LAPLACE = 2.3  # 90 % of a Laplace distribution lie within, in units of its mean absolute deviation
LICENCE = "MIT; trained on measured data whose licences are in MODEL_CARD.md"
FORCE_COLUMNS = np.concatenate([FORCES[f"force_{side}"] for side in SIDE_NAMES])
SHIFT_COLUMNS = np.concatenate([FORCES[f"pressure_shift_{side}"] for side in SIDE_NAMES])


@dataclass(frozen=True)
class ForceTraining:
    """What is peculiar to training the force model; chosen by `benchmarks/force_choices.py`.

    Args:
        size: of the networks.
        noise: on the features of walking and of running, standard deviations, from frame to frame. Walking is learned
            from many laboratories, a few seconds each, and must not hang on any of them; running loses its peaks.
        offset: likewise, the same over a window.
        axis_weights: what a body weight of error forward, up and right counts, so that small forces are learned too.
        shift_weight: what a body height of error of a loaded foot's centre of pressure counts beside it.
        running_share: of the windows, however many minutes of running there are.
        copy_shares: of the windows from motions as measured, from altered and from gappy copies; gappy ones are much
            to learn, and take from what most people have.
        is_mirrored: half of the windows have right and left swapped.
    """

    size: ForceNetworkSize = field(default_factory=ForceNetworkSize)
    noise: tuple[float, float] = (0.1, 0.05)
    offset: tuple[float, float] = (0.3, 0.1)
    axis_weights: tuple[float, float, float] = (1.5, 1.0, 2.0)
    shift_weight: float = 3.0
    running_share: float = 0.5
    copy_shares: tuple[float, float, float] = (0.4, 0.5, 0.1)
    is_mirrored: bool = True

    def to_json(self) -> dict[str, Any]:
        """For a run's description."""
        return asdict(self)


STARTER = ForceTraining()


def starter_forces(training: ForceTraining = STARTER) -> Recipe:
    """What is bundled: our force model, on the recordings of the model card."""
    return Recipe(
        name="starter_forces",
        blocks={PHYSICS.name: PHYSICS.names, FORCES.name: FORCES.names, VALID: (VALID,)},
        make_model=partial(_model, training=training),
        loss=partial(_loss, training=training),
        save=_save,
        num_steps=1200,
        batch_size=32,
        micro_batch_size=32,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.05,
        ema_decay=0.99,
        checkpoint_every=100,
        validate_every=200,
        weights=partial(weight_by_laboratory, training=training),
        augment=_mirrored if training.is_mirrored else unchanged,
    )


def weight_by_laboratory(recordings: Sequence[Recording], *, training: ForceTraining = STARTER) -> np.ndarray:
    """Laboratories count by the square root of their people, people of one alike, running by its share.

    Walking is minutes from twenty laboratories, running half an hour from two: by the minute, nobody would walk.
    """
    people: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for entry in recordings:
        people[entry.activity, entry.dataset].add(entry.subject)
    frames = Counter[tuple[str | None, str, str, int]]()
    for entry in recordings:
        frames[_person(entry)] += entry.num_frames
    weights = np.array(
        [
            training.copy_shares[_kind(entry)]
            * entry.num_frames
            / frames[_person(entry)]
            / np.sqrt(len(people[entry.activity, entry.dataset]))
            for entry in recordings
        ]
    )
    is_running = np.array([entry.activity == RUN for entry in recordings])
    for is_one, share in ((is_running, training.running_share), (~is_running, 1 - training.running_share)):
        if weights[is_one].sum() > 0.0:
            weights[is_one] *= share / weights[is_one].sum()
    return weights


def _kind(entry: Recording) -> int:
    """As measured, altered, gappy."""
    return 2 if entry.variant in GAPPY_VARIANTS else int(entry.variant > 0)


def _person(entry: Recording) -> tuple[str | None, str, str, int]:
    """Whose recordings share a weight: one person's in one activity, each kind of copy apart."""
    return entry.activity, entry.dataset, entry.subject, _kind(entry)


def _model(shards: Shards, recordings: Sequence[int], *, training: ForceTraining) -> nn.Module:
    """Normalised so that mirrored gait is as usual as the measured one, and walking as running."""
    measured = [number for number in recordings if shards.recordings[number].variant == 0]
    weights = weight_by_laboratory([shards.recordings[number] for number in measured])
    found = [shards.statistics(PHYSICS.name, [number]) for number in measured]
    mean = np.average([one.mean for one in found], axis=0, weights=weights)
    square = np.average([one.standard_deviation**2 + one.mean**2 for one in found], axis=0, weights=weights)
    return ForceModel(training.size, symmetric_normalizer(PHYSICS, mean, square, least_spread=LEAST_SPREAD))


def symmetric_normalizer(
    layout: StateLayout, mean: np.ndarray, square: np.ndarray, *, least_spread: float
) -> Normalizer:
    """To unit spread of what has these means and mean squares (D,), and of its mirror image."""
    square = (square + square[layout.mirror_order]) / 2
    mean = (mean + layout.mirrored(mean)) / 2
    scale = 1 / np.maximum(np.sqrt(np.maximum(square - mean**2, 0.0)), least_spread)
    return Normalizer(scale.astype(np.float32), (-mean * scale).astype(np.float32))


def _mirrored(batch: Batch) -> Batch:
    return mirrored(batch, {PHYSICS.name: PHYSICS, FORCES.name: FORCES})


def _loss(model: nn.Module, batch: Batch, *, training: ForceTraining) -> WindowLosses:
    """Absolute errors of forces and of loaded feet's pressure; and of how large errors the network expects."""
    model = _force_model(model)
    features = filled(batch[PHYSICS.name], batch.present)
    inputs = model.normalised(features)
    if model.training:
        length, channels = inputs.shape[1:]
        is_running = [int(entry.activity == RUN) for entry in batch.recordings]
        noise, offset = (
            inputs.new_tensor(levels)[is_running, None, None] for levels in (training.noise, training.offset)
        )
        inputs = inputs + noise * batch.normal("noise", length, channels)
        inputs = inputs + offset * batch.normal("offset", 1, channels)
    force = batch[FORCES.name][..., FORCE_COLUMNS].unflatten(-1, (2, 3))
    shift = batch[FORCES.name][..., SHIFT_COLUMNS].unflatten(-1, (2, 2))
    is_known = (batch[VALID][..., 0] * batch.present)[..., None]
    is_loaded = is_known * (force[..., 1] > LOADED_BW)
    sums = torch.zeros(len(batch), device=features.device)
    members = model.members(features, normalised=inputs)
    for member in members:
        error = (member.force_bw - force).abs()
        of_force = (error * error.new_tensor(training.axis_weights)).sum(dim=-1) * is_known
        of_shift = (member.shift - shift).abs().sum(dim=-1) * is_loaded
        likelihood = error.detach() / member.spread_bw + member.spread_bw.log()  # Laplace's
        of_spread = likelihood.sum(dim=-1) * is_known
        total = of_force + training.shift_weight * of_shift + WEIGHT_OF_SPREAD * of_spread
        sums = sums + total.sum(dim=(1, 2))
    return WindowLosses(sums / len(members), is_known.sum(dim=(1, 2)))


def _force_model(model: nn.Module) -> ForceModel:
    if not isinstance(model, ForceModel):
        raise TrainingError(f"a {type(model).__name__} is no ForceModel; use the recipe's own `make_model`.")
    return model


def _save(model: nn.Module, shards: Shards, folder: Path, provenance: dict[str, Any]) -> None:
    model = _force_model(model)
    save_weights(
        folder,
        kind=KIND,
        tensors=model.state_dict(),
        layout=PHYSICS.to_json(),
        config={"size": asdict(model.size), "limits": limits_of(model, shards).to_json()},
        normalizer=Normalizer(model.scale.numpy(), model.offset.numpy()).to_json(),
        provenance=provenance,
        licence=LICENCE,
        overwrite=True,
    )


def limits_of(model: ForceModel, shards: Shards) -> ForceLimits:
    """What the training people's motions span, and how wide intervals must be for people not trained on.

    The widths are calibrated on the recordings of the folder's other splits, or, where it has none, on its own.
    """
    trained = [number for number, entry in enumerate(shards.recordings) if entry.split == "train"]
    others = [number for number, entry in enumerate(shards.recordings) if entry.split != "train"] or trained
    rows = np.concatenate([shards.rows(PHYSICS.name, number) for number in trained])
    lowest, highest = np.quantile(np.concatenate([rows, PHYSICS.mirrored(rows)]), SEEN_QUANTILES, axis=0)
    return ForceLimits(
        walking=_width(model, shards, [n for n in others if shards.recordings[n].activity != RUN]),
        running=_width(model, shards, [n for n in others if shards.recordings[n].activity == RUN]),
        lowest=tuple(map(float, lowest)),
        highest=tuple(map(float, highest)),
    )


def _width(model: ForceModel, shards: Shards, recordings: Sequence[int]) -> float:
    """In units of the spread, so that COVERAGE of the forces lie within; laboratories count alike."""
    ratios, weights = [], []
    for number in recordings:
        force_bw, _, spread_bw = model.predict(shards.rows(PHYSICS.name, number))
        is_known = shards.rows(VALID, number)[:, 0] > 0
        measured = shards.rows(FORCES.name, number)[:, FORCE_COLUMNS].reshape(force_bw.shape)
        ratio = (np.abs(force_bw - measured) / spread_bw)[is_known].ravel()
        ratios.append(ratio)
        dataset = shards.recordings[number].dataset
        same = sum(shards.recordings[other].dataset == dataset for other in recordings)
        weights.append(np.full(len(ratio), 1 / (same * max(len(ratio), 1))))
    if not recordings:
        return WIDTH_OF_LAPLACE
    ratio, weight = np.concatenate(ratios), np.concatenate(weights)
    order = np.argsort(ratio)
    return float(ratio[order][np.searchsorted(np.cumsum(weight[order]), COVERAGE * weight.sum())])
