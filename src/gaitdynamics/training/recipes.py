"""The project's training runs, by name."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gaitdynamics.errors import TrainingError
from gaitdynamics.model.checkpoint import save_weights
from gaitdynamics.state.layout import GAIT
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.diffusion_recipe import FORCES, KINEMATICS, starter_diffusion
from gaitdynamics.training.force_recipe import starter_forces
from gaitdynamics.training.paper_recipes import (
    paper_diffusion,
    paper_forces,
    starter_paper_diffusion,
    starter_paper_forces,
)
from gaitdynamics.training.recipe import Recipe, WindowLosses, mirrored
from gaitdynamics.training.sampling import is_among
from gaitdynamics.training.shards import Batch, Shards
from gaitdynamics.training.speed_response_fit import NAME as SPEED_NAME
from gaitdynamics.training.speed_response_fit import fit_speed_response


def debug() -> Recipe:
    """Seconds long: forces from joint angles, frame by frame. To see that training works, and for nothing else."""
    return Recipe(
        name="debug",
        blocks={GAIT.name: GAIT.names, VALID: (VALID,)},
        make_model=_debug_model,
        loss=_debug_loss,
        save=_save_debug,
        num_steps=200,
        batch_size=32,
        micro_batch_size=8,
        learning_rate=3e-3,
        warmup_steps=10,
        weight_decay=0.01,
        ema_decay=0.98,
        checkpoint_every=50,
        validate_every=50,
        num_validation_windows=64,
        is_held_out=partial(is_among, fraction=0.2),
        augment=_mirrored_gait,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "debug": debug,
    "starter_forces": starter_forces,
    "starter_diffusion": starter_diffusion,
    "starter_paper_forces": starter_paper_forces,
    "starter_paper_diffusion": starter_paper_diffusion,
    "paper_forces": paper_forces,
    "paper_diffusion": paper_diffusion,
}


# What is solved at once, without steps: from a data folder to a folder of weights.
FITS: dict[str, Callable[..., dict[str, Any]]] = {SPEED_NAME: fit_speed_response}


def recipe_named(name: str) -> Recipe:
    """One of the project's recipes.

    Raises:
        TrainingError: there is none of that name.
    """
    if name not in RECIPES:
        raise TrainingError(f"no recipe is called '{name}'. There are: {', '.join(sorted({*RECIPES, *FITS}))}.")
    return RECIPES[name]()


DEBUG_WIDTH, DEBUG_DROPOUT = 32, 0.1


def _debug_model(shards: Shards, recordings: Sequence[int]) -> nn.Module:
    found = shards.statistics(GAIT.name, recordings)
    spread = np.maximum(found.standard_deviation, 1e-3)[KINEMATICS]  # a channel that never changes
    first = nn.Linear(len(KINEMATICS), DEBUG_WIDTH)
    with torch.no_grad():
        first.weight.div_(torch.from_numpy(spread))
        first.bias.sub_(first.weight @ torch.from_numpy(found.mean[KINEMATICS]).float())
    return nn.Sequential(first, nn.GELU(), nn.Dropout(DEBUG_DROPOUT), nn.Linear(DEBUG_WIDTH, len(FORCES)))


def _debug_loss(model: nn.Module, batch: Batch) -> WindowLosses:
    values = batch[GAIT.name]
    errors = model(values[..., KINEMATICS]) - values[..., FORCES]
    counts = batch[VALID][..., 0] * batch.present
    return WindowLosses((errors.square().mean(dim=-1) * counts).sum(dim=1), counts.sum(dim=1))


def _mirrored_gait(batch: Batch) -> Batch:
    return mirrored(batch, {GAIT.name: GAIT})


def _save_debug(model: nn.Module, shards: Shards, folder: Path, provenance: dict[str, Any]) -> None:
    save_weights(
        folder,
        kind="debug",
        tensors=model.state_dict(),
        layout=GAIT.to_json(),
        config={"width": DEBUG_WIDTH},
        normalizer=None,
        provenance=provenance,
        licence="none: made to test training",
        overwrite=True,
    )
