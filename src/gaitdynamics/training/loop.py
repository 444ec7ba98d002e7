"""Training: from a recipe and a data folder to weights."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitdynamics import __version__
from gaitdynamics.errors import TrainingError
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.training.learner import INITIALISATION, Learner
from gaitdynamics.training.progress import LossTable, Progress, plot_losses, read_losses
from gaitdynamics.training.ranks import Ranks, joined, seeded
from gaitdynamics.training.recipe import Recipe, WindowLosses, fingerprint
from gaitdynamics.training.run_folder import Checkpoint, RunFolder, RunIdentity
from gaitdynamics.training.sampling import Sampler, covering
from gaitdynamics.training.shards import Batch, Picks, Shards

SECONDS_PER_MINUTE = 60.0
NUM_NAMED = 5  # windows that an error names


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    device: str | None = None,
    overwrite: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Train a network, or go on where the same command was stopped.

    Started by torchrun, the processes share each batch, with the result that one process would have.

    Args:
        data: folder that 'gaitdynamics data build' wrote.
        out: folder of the checkpoint, the losses and, at the end, the weights.
        seed: of initialisation, windows, augmentation and dropout.
        device: 'cpu', 'cuda' or 'cuda:1'; None for a GPU where there is one.
        overwrite: begin again, whatever run the folder holds.
        report: told of every step, in the process that writes.

    Returns:
        The folder with the weights: `out`.

    Raises:
        InputFileError: the data folder or the checkpoint is damaged, or lacks what the recipe reads.
        OutputError: the folder holds a finished run, or another one.
        TrainingError: nothing to train on, or a loss that is not finite.
    """
    shards = Shards.open(data)
    shards.check_blocks(recipe.blocks)
    with joined(device) as ranks:
        run = _Run.prepared(recipe, shards, ranks=ranks, seed=seed)
        folder = RunFolder(out)
        done = run.begin(folder, overwrite=overwrite)
        table = LossTable(folder.losses, last_step=done) if ranks.is_first else None
        try:
            if done == 0:
                run.keep(folder, step=0)
            with closing(run.steps(done)) as steps:
                for progress in steps:
                    if table is not None:
                        table.add(progress)
                        report(progress)
                    if progress.step % recipe.checkpoint_every == 0 or progress.step == recipe.num_steps:
                        run.keep(folder, step=progress.step)
        finally:
            if table is not None:
                table.close()
        if ranks.is_first:
            recipe.save(run.learner.averaged.cpu(), shards, out, run.provenance(read_losses(folder.losses)))
    return out


def people_apart(recipe: Recipe, shards: Shards) -> tuple[list[int], list[int]]:
    """Numbers of the recordings to train on, and of those held out to validate on (as measured, not augmented).

    Raises:
        TrainingError: nobody to train on, or somebody held out in part.
    """
    chosen = [number for number, entry in enumerate(shards.recordings) if entry.split == recipe.split]
    held_out = [number for number in chosen if recipe.is_held_out(shards.recordings[number])]
    trained = sorted(set(chosen) - set(held_out))
    if not trained:
        splits = sorted({entry.split for entry in shards.recordings})
        raise TrainingError(
            f"{shards.folder}: nobody to train on. Of split '{recipe.split}' there are {len(chosen)} recordings, of "
            f"which the recipe holds out {len(held_out)}; the folder's splits are {', '.join(splits)}."
        )
    groups = {shards.recordings[number].group for number in trained}
    if halved := sorted({shards.recordings[number].group for number in held_out} & groups):
        raise TrainingError(
            f"recipe {recipe.name}: holds out some recordings of '{halved[0]}' and trains on others. People are kept "
            "apart, not recordings: let `is_held_out` depend on the group alone."
        )
    return trained, [number for number in held_out if shards.recordings[number].variant == 0]


@dataclass(frozen=True)
class _Run:
    """One process's part in a run."""

    recipe: Recipe
    shards: Shards
    ranks: Ranks
    seed: int
    sampler: Sampler
    validation: Picks
    learner: Learner

    @classmethod
    def prepared(cls, recipe: Recipe, shards: Shards, *, ranks: Ranks, seed: int) -> "_Run":
        if recipe.batch_size // recipe.micro_batch_size % ranks.size:
            raise TrainingError(
                f"recipe {recipe.name}: {recipe.batch_size // recipe.micro_batch_size} micro-batches can't be shared "
                f"equally by {ranks.size} processes. Start a number of processes that divides them."
            )
        first = ranks.handed_out(shards.fingerprint.encode())
        if first != shards.fingerprint.encode():
            raise TrainingError(f"{shards.folder}: differs from the first process's data. Copy that to every machine.")
        trained, held_out = people_apart(recipe, shards)
        weights = recipe.weights([shards.recordings[number] for number in trained])
        length = recipe.window_frames
        sampler = Sampler.of(shards, trained, weights=weights, seed=seed, length=length)
        validation = covering(shards, held_out, largest_num=recipe.num_validation_windows, seed=seed, length=length)
        with seeded(torch.device("cpu"), seed, INITIALISATION):
            model = recipe.make_model(shards, trained)
        learner = Learner(model, recipe, ranks=ranks, seed=seed)
        return cls(recipe, shards, ranks, seed, sampler, validation, learner)

    @property
    def identity(self) -> RunIdentity:
        return RunIdentity(self.recipe.describe(), self.shards.fingerprint, self.seed)

    def begin(self, folder: RunFolder, *, overwrite: bool) -> int:
        """Take the folder, and the checkpoint in it if there is one; how many steps are done."""
        content = None
        if self.ranks.is_first:
            content = folder.claim(self.identity, num_steps=self.recipe.num_steps, overwrite=overwrite)
        content = self.ranks.handed_out(content)
        if content is None:
            return 0
        checkpoint = Checkpoint.from_bytes(content, source=folder.checkpoint)
        self.learner.restore(checkpoint.tensors, source=folder.checkpoint)
        return checkpoint.step

    def keep(self, folder: RunFolder, *, step: int) -> None:
        """Write a checkpoint, and the plot of the losses up to it."""
        if self.ranks.is_first:
            folder.keep(Checkpoint(self.identity, step, self.learner.tensors()))
            plot_losses(folder.losses, folder.plot, title=self.recipe.name)

    def steps(self, done: int) -> Generator[Progress]:
        """Take one step after another."""
        start_s = time.perf_counter()
        with closing(_read_ahead(self._read, range(done + 1, self.recipe.num_steps + 1))) as read:
            for step, batches in read:
                loss = self._learn(step, batches)
                seconds = time.perf_counter() - start_s
                is_due = step % self.recipe.validate_every == 0 or step == self.recipe.num_steps
                yield Progress(
                    step=step,
                    loss=loss,
                    validation_loss=self._validate(step) if is_due and len(self.validation) else None,
                    learning_rate=self.recipe.learning_rate_at(step),
                    windows_per_s=round(self.recipe.batch_size / seconds, 1),
                )
                start_s = time.perf_counter()

    def provenance(self, progress: Sequence[Progress]) -> dict[str, Any]:
        """Where the weights come from; JSON values."""
        trained, held_out = people_apart(self.recipe, self.shards)
        description = self.recipe.describe()
        validation = [row.validation_loss for row in progress if row.validation_loss is not None]
        return {
            "gaitdynamics": __version__,
            "recipe": self.recipe.name,
            "recipe_sha256": fingerprint(description),
            "settings": description,
            "seed": self.seed,
            "data_sha256": self.shards.fingerprint,
            "trained_on": self._summary(trained),
            "held_out": self._summary(held_out),
            "validation_loss": validation[-1] if validation else None,
        }

    def _summary(self, recordings: Iterable[int]) -> dict[str, Any]:
        entries = [entry for entry in map(self.shards.recordings.__getitem__, recordings) if entry.variant == 0]
        return {
            dataset: {
                "people": len({entry.group for entry in entries if entry.dataset == dataset}),
                "minutes": round(
                    sum(entry.num_frames for entry in entries if entry.dataset == dataset)
                    / (FRAME_RATE_HZ * SECONDS_PER_MINUTE),
                    2,
                ),
            }
            for dataset in sorted({entry.dataset for entry in entries})
        }

    def _read(self, step: int) -> list[tuple[int, Batch]]:
        """This process's micro-batches of a step, with their numbers."""
        return self._share(self.sampler.picks(step, self.recipe.batch_size))

    def _share(self, picks: Picks) -> list[tuple[int, Batch]]:
        size = self.recipe.micro_batch_size
        numbers = range(self.ranks.rank, math.ceil(len(picks) / size), self.ranks.size)
        return [(k, self._batch(picks[k * size : (k + 1) * size])) for k in numbers]

    def _batch(self, picks: Picks) -> Batch:
        return self.shards.batch(picks, self.recipe.blocks, length=self.recipe.window_frames)

    def _learn(self, step: int, batches: list[tuple[int, Batch]]) -> float:
        found = [
            (number, self.learner.add_gradient(batch.to(self.ranks.device), step=step, number=number))
            for number, batch in batches
        ]
        totals = self._totals(found)
        self.learner.share_gradient(totals)
        loss, weight = totals.tolist()
        if not math.isfinite(loss) or not math.isfinite(weight):
            raise self._blame(found, self.sampler.picks(step, self.recipe.batch_size), f"step {step}")
        if weight <= 0.0:
            raise TrainingError(
                f"{self.recipe.name} stopped at step {step}: its loss gives no weight to any of the batch's "
                f"{self.recipe.batch_size} windows. Let the loss count frames whose force is known."
            )
        self.learner.update(step=step, total_weight=weight)
        return float(loss / weight)

    def _validate(self, step: int) -> float | None:
        found = []
        size = self.recipe.micro_batch_size
        for k in range(self.ranks.rank, math.ceil(len(self.validation) / size), self.ranks.size):
            batch = self._batch(self.validation[k * size : (k + 1) * size])
            found.append((k, self.learner.measure(batch.to(self.ranks.device), number=k)))
        totals = self._totals(found)
        self.ranks.add_up(totals)
        loss, weight = totals.tolist()
        if not math.isfinite(loss) or not math.isfinite(weight):
            raise self._blame(found, self.validation, f"the validation after step {step}")
        return float(loss / weight) if weight > 0.0 else None

    def _totals(self, found: list[tuple[int, WindowLosses]]) -> torch.Tensor:
        totals = torch.zeros(2, device=self.ranks.device)
        for _, losses in found:
            totals += torch.stack([losses.sums.sum(), losses.weights.sum()])
        return totals

    def _blame(self, found: list[tuple[int, WindowLosses]], picks: Picks, when: str) -> TrainingError:
        """Which windows' losses are not finite, over all processes."""
        is_bad = torch.zeros(len(picks), device=self.ranks.device)
        for number, losses in found:
            first = number * self.recipe.micro_batch_size
            bad = ~(losses.sums.isfinite() & losses.weights.isfinite())
            is_bad[first : first + len(bad)] = bad.float()
        self.ranks.add_up(is_bad)
        blamed = picks[np.flatnonzero(is_bad.cpu().numpy())]
        named = [self._place(blamed[k : k + 1]) for k in range(min(len(blamed), NUM_NAMED))]
        return TrainingError(
            f"{self.recipe.name} stopped at {when}: the loss is not finite in {len(blamed)} of {len(picks)} windows: "
            f"{'; '.join(named)}{' and more' if len(blamed) > NUM_NAMED else ''}. Correct the recordings and build the "
            "data again; where the data are sound, lower the learning rate."
        )

    def _place(self, pick: Picks) -> str:
        """Of one window: recording, time, and the channel that is to blame if one is."""
        recording, start = self.shards.recordings[int(pick.recording[0])], int(pick.start[0])
        span = f"{start / FRAME_RATE_HZ:.2f} to {(start + self.recipe.window_frames) / FRAME_RATE_HZ:.2f} s"
        broken = [
            f"{block}.{self.shards.channels[block][int(column)]}"
            for block, values in self._batch(pick).blocks.items()
            for column in torch.nonzero(~values[0].isfinite().all(dim=0))[:1, 0]
        ]
        cause = f", where {' and '.join(broken)} is not finite" if broken else ""
        return f"'{recording.name}' ({recording.dataset}, variant {recording.variant}) from {span}{cause}"


def _read_ahead(
    read: Callable[[int], list[tuple[int, Batch]]], steps: Iterable[int]
) -> Generator[tuple[int, list[tuple[int, Batch]]]]:
    """What is read for each step, while the next is being read in another thread."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting: tuple[int, Future[list[tuple[int, Batch]]]] | None = None
        for step in steps:
            coming = (step, thread.submit(read, step))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()
