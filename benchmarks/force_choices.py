"""What each choice in training the force model gains, on training people that a third of the run did not see.

Three folds: people of the two large data sets and whole laboratories of the others are left out in turn. Nobody of
another split is looked at. Networks of one member each, so that what an ensemble adds is a choice of its own.
"""

import argparse
import hashlib
import os
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _record import insert, record, table

from gaitdynamics.model.checkpoint import load_weights
from gaitdynamics.model.forces import ForceNetworkSize, build_force_model
from gaitdynamics.state.layout import FORCES, PHYSICS
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.force_recipe import FORCE_COLUMNS, SHIFT_COLUMNS, STARTER, ForceTraining, starter_forces
from gaitdynamics.training.loop import train
from gaitdynamics.training.shards import Recording, Shards

FOLDS = 3
LARGE = ("Fukuchi2017RBDS", "SchreiberMoissenet2019")  # whose people are left out, not the laboratory
LOADED_BW = 0.1
ONE = replace(STARTER, size=ForceNetworkSize(num_members=1))
CHOICES: dict[str, ForceTraining] = {
    "physics alone": ONE,  # not trained
    "as bundled, one network": ONE,
    "no mirrored copies": replace(ONE, is_mirrored=False),
    "motions as measured only": replace(ONE, copy_shares=(1.0, 0.0, 0.0)),
    "no noise on the features": replace(ONE, noise=(0.0, 0.0), offset=(0.0, 0.0)),
    "walking's noise in running too": replace(ONE, noise=(0.1, 0.1), offset=(0.3, 0.3)),
    "two networks": replace(STARTER, size=ForceNetworkSize(num_members=2)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that 'gaitdynamics data build' wrote")
    parser.add_argument("--steps", type=int, default=400, help="updates of each run (default: 400)")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        steps = [0 if name == "physics alone" else arguments.steps for name in CHOICES]
        found = pool.map(measured, [arguments.data] * len(CHOICES), CHOICES.values(), steps)
        rows = [
            [name, *errors["walk"].tolist(), *errors["run"].tolist()]
            for name, errors in zip(CHOICES, found, strict=True)
        ]
    heads = [f"{activity} {figure}" for activity in ("walk", "run") for figure in ("V", "AP", "ML", "CoP, mm")]
    note = (
        "Mean absolute errors, % of body weight, mean over training people left out of the run "
        f"({arguments.steps} updates, seed 0), against forces as the data folder has them."
    )
    text = f"{note}\n\n{table(['', *heads], rows)}"
    record("force_choices", f"# What each choice gains\n\n{text}")
    insert(Path(__file__).parents[1] / "docs" / "model.md", text, mark="choices")


def measured(data: Path, training: ForceTraining, steps: int) -> dict[str, np.ndarray]:
    """Errors by activity, (4,): the mean over people of the mean over their recordings."""
    torch.set_num_threads(1)
    shards = Shards.open(data)
    by_person: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for fold in range(FOLDS):
        recipe = replace(
            starter_forces(training),
            is_held_out=partial(is_in_fold, fold=fold),
            num_steps=max(steps, 1),
            validate_every=max(steps, 1),
        )
        with tempfile.TemporaryDirectory() as folder:
            model = build_force_model(load_weights(train(recipe, shards.folder, Path(folder) / "weights")))
        for number, entry in enumerate(shards.recordings):
            if entry.split != "train" or entry.variant or not is_in_fold(entry, fold=fold):
                continue
            features = shards.rows(PHYSICS.name, number)
            is_known = shards.rows(VALID, number)[:, 0] > 0
            truth = shards.rows(FORCES.name, number)
            if steps:
                force_bw, shift, _ = model.predict(features)
            else:
                shared = [features[:, PHYSICS[f"shared_force_{side}"]] for side in ("right", "left")]
                force_bw, shift = np.stack(shared, axis=1), np.zeros((len(features), 2, 2))
            true_bw = truth[:, FORCE_COLUMNS].reshape(force_bw.shape)
            error = 100 * np.abs(force_bw - true_bw)[is_known].mean(axis=(0, 1))
            is_loaded = is_known[:, None] & (true_bw[..., 1] > LOADED_BW)
            apart = np.linalg.norm(shift - truth[:, SHIFT_COLUMNS].reshape(shift.shape), axis=-1)[is_loaded]
            cop_mm = 1000 * (entry.height_m or np.nan) * apart.mean() if is_loaded.any() else np.nan
            figures = np.array([error[1], error[0], error[2], cop_mm])
            by_person[entry.activity or ""][entry.group].append(figures)
    return {
        activity: np.nanmean([np.nanmean(values, axis=0) for values in people.values()], axis=0)
        for activity, people in by_person.items()
    }


def is_in_fold(recording: Recording, *, fold: int) -> bool:
    """Whether a person, or a small laboratory, is left out of a fold."""
    key = recording.group if recording.dataset in LARGE else recording.dataset
    return hashlib.sha256(key.encode()).digest()[0] % FOLDS == fold


if __name__ == "__main__":
    main()
