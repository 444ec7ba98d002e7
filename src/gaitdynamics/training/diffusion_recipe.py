"""How our diffusion model is trained: to complete windows of which any part may be missing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gaitdynamics.errors import TrainingError
from gaitdynamics.model.checkpoint import save_weights
from gaitdynamics.model.diffusion import (
    CONDITION_MEANS,
    CONDITION_SPREADS,
    KIND,
    NUM_CONDITIONS,
    WINDOW_FRAMES,
    DiffusionSize,
    GaitDiffusion,
)
from gaitdynamics.state.layout import GAIT
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.evidence import RUN
from gaitdynamics.training.force_recipe import ForceTraining, symmetric_normalizer, weight_by_laboratory
from gaitdynamics.training.recipe import Recipe, WindowLosses, mirrored
from gaitdynamics.training.shards import Batch, Shards

LICENCE = "MIT; trained on measured data whose licences are in MODEL_CARD.md"
FORCE_GROUPS = tuple(group for group in GAIT.groups if group.startswith(("force", "pressure", "free_moment")))
FORCES = GAIT.columns(FORCE_GROUPS)
KINEMATICS = np.setdiff1d(np.arange(len(GAIT)), FORCES)
GROUPS = np.array([channel.group for channel in GAIT.channels])
IS_SAME_GROUP = np.equal.outer(GROUPS, GROUPS)
LEAST_SPREAD = 0.02  # of a channel's normaliser: rotation matrices have entries that hardly vary

# Noise levels are drawn so that their logarithms are normal. A window repeats itself, so it shows through much noise.
LOG_NOISE_MEAN, LOG_NOISE_SPREAD = 0.3, 1.7
NOISE_RANGE = (0.02, 100.0)
LEAST_VARIANCE = 0.1  # of noise, below which little more is to be learned: it weighs at most ten times as much
WEIGHT_OF_CHANGE = 5.0  # of squared errors of the change from frame to frame, of which forces are made
WEIGHT_OF_FORCES = 0.5  # beside kinematics
CONDITION_SHOWN = 0.3  # chance that a condition is told
FORCES_SHOWN = 0.15  # chance that forces are
# What windows lack, and how often.
SCENARIOS = {
    "everything": 0.12,
    "parts": 0.38,
    "most": 0.08,
    "moments": 0.25,
    "parts_for_moments": 0.1,
    "most_frames": 0.07,
}
LONGEST_GAP_FRAMES = 75
SPARSEST_FRAMES = 20
# Altered copies turn joints against each other, so that feet no longer stand; most is learned from gait as measured.
SAMPLING = ForceTraining(copy_shares=(0.75, 0.25, 0.0))

PARTS: tuple[tuple[str, ...], ...] = (
    ("lumbar",),
    ("pelvis_velocity", "pelvis_height", "pelvis_rotation"),
    ("pelvis_velocity", "pelvis_height"),
    ("pelvis_rotation",),
    ("hip_right", "hip_left"),
    ("knee_right", "knee_left"),
    ("ankle_right", "ankle_left"),
    *(tuple(f"{joint}_{side}" for joint in ("hip", "knee", "ankle")) for side in ("right", "left")),
    *((f"{joint}_{side}",) for side in ("right", "left") for joint in ("hip", "knee", "ankle")),
)


def starter_diffusion() -> Recipe:
    """What is bundled: our diffusion model, on the recordings of the model card."""
    return diffusion_recipe(DiffusionSize())


def diffusion_recipe(size: DiffusionSize) -> Recipe:
    """A recipe for a network of that size."""
    return Recipe(
        name="starter_diffusion",
        blocks={GAIT.name: GAIT.names, VALID: (VALID,)},
        make_model=partial(_model, size=size),
        loss=_loss,
        save=_save,
        num_steps=2200,
        batch_size=32,
        micro_batch_size=32,
        learning_rate=1e-3,
        window_frames=WINDOW_FRAMES,
        warmup_steps=100,
        weight_decay=0.02,
        ema_decay=0.998,
        checkpoint_every=100,
        validate_every=200,
        num_validation_windows=100,
        weights=partial(weight_by_laboratory, training=SAMPLING),
        augment=_mirrored,
        config={"scenarios": SCENARIOS},
    )


def hidden_by_chance(numbers: np.ndarray, *, length: int) -> np.ndarray:
    """Which channels of a window are hidden, when.

    Args:
        numbers: uniformly distributed from 0 to 1, at least 64.
        length: of the window, L.

    Returns:
        (L, len(GAIT)) bool.
    """
    draw = iter(numbers.astype(float))
    scenario = list(SCENARIOS)[int(np.searchsorted(np.cumsum(list(SCENARIOS.values())), next(draw), side="right"))]
    hidden = np.zeros((length, len(GAIT)), dtype=bool)
    if next(draw) > FORCES_SHOWN:
        hidden[:, FORCES] = True
    num_parts = 1 + int(np.searchsorted([0.6, 0.9], next(draw)))
    chosen = [PARTS[int(next(draw) * len(PARTS))] for _ in range(num_parts)]
    of_parts = GAIT.columns([group for part in chosen for group in part])
    moments = np.zeros(length, dtype=bool)
    for _ in range(1 + int(3 * next(draw))):
        num = 3 + int((LONGEST_GAP_FRAMES - 3) * next(draw))
        start = int(next(draw) * (length + num)) - num
        moments[max(start, 0) : start + num] = True
    if scenario == "everything":
        hidden[:] = True
    elif scenario == "parts":
        hidden[:, of_parts] = True
    elif scenario == "most":
        hidden[:, np.setdiff1d(KINEMATICS, of_parts)] = True
    elif scenario == "moments":
        hidden[moments] = True
    elif scenario == "parts_for_moments":
        hidden[np.ix_(moments, of_parts)] = True
    else:
        every = 3 + int((SPARSEST_FRAMES - 3) * next(draw))
        hidden[np.arange(length) % every != int(next(draw) * every)] = True
    return hidden


def _model(shards: Shards, recordings: Sequence[int], *, size: DiffusionSize) -> nn.Module:
    """Normalised so that mirrored gait is as usual as the measured one, and walking as running."""
    measured = [number for number in recordings if shards.recordings[number].variant == 0]
    weights = weight_by_laboratory([shards.recordings[number] for number in measured], training=SAMPLING)
    total, sums, squares = (np.zeros(len(GAIT)) for _ in range(3))
    for number, weight in zip(measured, weights, strict=True):
        rows = shards.rows(GAIT.name, number).astype(np.float64)
        is_known = ((rows != 0).any(axis=0) @ IS_SAME_GROUP) > 0
        total += weight * is_known
        sums += weight * is_known * rows.mean(axis=0)
        squares += weight * is_known * (rows**2).mean(axis=0)
    mean, square = sums / np.maximum(total, 1e-12), squares / np.maximum(total, 1e-12)
    return GaitDiffusion(size, symmetric_normalizer(GAIT, mean, square, least_spread=LEAST_SPREAD))


def _mirrored(batch: Batch) -> Batch:
    return mirrored(batch, {GAIT.name: GAIT})


def _loss(model: nn.Module, batch: Batch) -> WindowLosses:
    """Squared errors of what is hidden and known, weighted by how little noise hides it, with those of its change."""
    model = _diffusion(model)
    values, present = batch[GAIT.name], batch.present
    has_truth = _has_truth(values, batch[VALID][..., 0] > 0) & present[..., None]
    clean = torch.where(has_truth, values * model.scale + model.offset, torch.zeros_like(values))
    numbers = batch.uniform("mask", 64).cpu().numpy()
    hidden = torch.from_numpy(np.stack([hidden_by_chance(row, length=values.shape[1]) for row in numbers]))
    mask = has_truth & ~hidden.to(values.device)
    noise_log = LOG_NOISE_MEAN + LOG_NOISE_SPREAD * batch.normal("level", 1)[:, 0]
    sigma = noise_log.exp().clamp(*NOISE_RANGE)
    noisy = clean + sigma[:, None, None] * batch.normal("noise", *clean.shape[1:])
    found = model(
        noisy,
        sigma,
        clean,
        mask.to(clean.dtype),
        conditions=_conditions(batch, values * has_truth).to(clean.device),
        present=present,
    )
    counts = (has_truth & ~mask).to(clean.dtype)
    counts[..., FORCES] *= WEIGHT_OF_FORCES
    errors = (found - clean) * has_truth
    of_change = errors.diff(dim=1).square() * counts[:, 1:] * has_truth[:, :-1]
    certainty = (sigma**2 + 1) / (sigma**2 + LEAST_VARIANCE)
    sums = (errors.square() * counts).sum(dim=(1, 2)) + WEIGHT_OF_CHANGE * of_change.sum(dim=(1, 2))
    return WindowLosses(certainty * sums, counts.sum(dim=(1, 2)))


def _has_truth(values: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """What is known of windows (N, L, D) in which exactly 0 stands for what is not; forces where they are valid."""
    is_something = (values != 0).any(dim=1).float()
    is_measured = is_something @ torch.from_numpy(IS_SAME_GROUP).to(is_something) > 0
    known = is_measured[:, None].repeat(1, values.shape[1], 1)
    known[..., FORCES] = is_valid[..., None]
    return known


def _conditions(batch: Batch, values: torch.Tensor) -> torch.Tensor:
    """Of windows, each condition told by chance, as `Conditions.encoded` gives them."""
    rows = torch.zeros(len(batch), 2, NUM_CONDITIONS)
    forward = values[..., GAIT["pelvis_velocity"][0]].sum(dim=1) / batch.present.sum(dim=1)
    for row, entry, speed in zip(rows, batch.recordings, forward.tolist(), strict=True):
        height, mass = entry.height_m, entry.mass_kg
        found = (
            None if height is None or speed == 0.0 else speed * height,
            height,
            None if height is None or mass is None else mass / height**2,
            1.0 if entry.activity == RUN else -1.0,
        )
        for k, value in enumerate(found):
            if value is not None:
                row[0, k], row[1, k] = (value - CONDITION_MEANS[k]) / CONDITION_SPREADS[k], 1.0
    is_told = batch.uniform("told", NUM_CONDITIONS).cpu() < CONDITION_SHOWN
    return (rows * is_told[:, None]).flatten(1)


def _diffusion(model: nn.Module) -> GaitDiffusion:
    if not isinstance(model, GaitDiffusion):
        raise TrainingError(f"a {type(model).__name__} is no GaitDiffusion; use the recipe's own `make_model`.")
    return model


def _save(model: nn.Module, shards: Shards, folder: Path, provenance: dict[str, Any]) -> None:
    model = _diffusion(model)
    save_weights(
        folder,
        kind=KIND,
        tensors=model.state_dict(),
        layout=GAIT.to_json(),
        config={"size": model.size.to_json()},
        normalizer=model.normalizer.to_json(),
        provenance=provenance,
        licence=LICENCE,
        overwrite=True,
    )
