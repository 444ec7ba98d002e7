"""The files of a training run: its checkpoint, and which run it is."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from gaitdynamics.errors import InputFileError, OutputError
from gaitdynamics.model.checkpoint import DESCRIPTION_FILE, TENSORS_FILE

FORMAT = 1
METADATA = "run"  # the key of a checkpoint's JSON among the metadata of its tensors
CHECKPOINT, LOSSES, PLOT = "checkpoint.safetensors", "losses.csv", "losses.png"


@dataclass(frozen=True)
class RunIdentity:
    """What must be the same for a run to be resumed; JSON values.

    Args:
        recipe: described.
        data: fingerprint of the data folder.
        seed: of everything.
    """

    recipe: dict[str, Any]
    data: str
    seed: int


@dataclass(frozen=True)
class Checkpoint:
    """A run after some steps."""

    identity: RunIdentity
    step: int
    tensors: dict[str, torch.Tensor]

    def to_bytes(self) -> bytes:
        """As safetensors, with everything else as JSON in its header: one file, replaced at once."""
        about = {
            "format": FORMAT,
            "recipe": self.identity.recipe,
            "data": self.identity.data,
            "seed": self.identity.seed,
            "step": self.step,
        }
        return safetensors.torch.save(self.tensors, metadata={METADATA: json.dumps(about)})

    @classmethod
    def from_bytes(cls, content: bytes, *, source: Path) -> "Checkpoint":
        """Back from `to_bytes`.

        Raises:
            InputFileError: truncated, or no checkpoint of this version.
        """
        try:
            tensors = safetensors.torch.load(content)
            header = int.from_bytes(content[:8], "little")
            about = json.loads(json.loads(content[8 : 8 + header])["__metadata__"][METADATA])
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, expected {FORMAT}")
            identity = RunIdentity(about["recipe"], about["data"], about["seed"])
            return cls(identity, int(about["step"]), tensors)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputFileError(
                f"{source}: truncated, or no checkpoint of this version ({error}). Choose another --out, or start "
                "again with --overwrite."
            ) from None


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes: checkpoint, losses, their plot, and the weights once it is finished."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.path / CHECKPOINT

    @property
    def losses(self) -> Path:
        """A row per step."""
        return self.path / LOSSES

    @property
    def plot(self) -> Path:
        """Of the losses."""
        return self.path / PLOT

    def claim(self, identity: RunIdentity, *, num_steps: int, overwrite: bool) -> bytes | None:
        """Take the folder for a run.

        Args:
            overwrite: remove the files of any run that is there.

        Returns:
            The checkpoint to go on from, or None to begin.

        Raises:
            OutputError: the folder holds a finished run, or one of another recipe, other data or another seed.
            InputFileError: its checkpoint can't be read.
        """
        weights = [self.path / name for name in (TENSORS_FILE, DESCRIPTION_FILE)]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if overwrite:
                for path in (self.checkpoint, self.losses, self.plot, *weights):
                    path.unlink(missing_ok=True)
            content = self.checkpoint.read_bytes() if self.checkpoint.exists() else None
        except OSError as error:
            raise OutputError(f"{self.path}: can't be used for a run: {error}. Choose another --out.") from None
        if content is None:
            if found := [path.name for path in (self.losses, *weights) if path.exists()]:
                raise OutputError(
                    f"{self.path}: holds {', '.join(found)}, but no checkpoint to go on from. Choose another --out, or "
                    "use --overwrite to replace them."
                )
            return None
        found_run = Checkpoint.from_bytes(content, source=self.checkpoint)
        if differences := _differences(found_run.identity, identity):
            raise OutputError(
                f"{self.path}: holds another run: {'; '.join(differences)}. Only the same run can be resumed: choose "
                "another --out, or use --overwrite to replace it."
            )
        if found_run.step >= num_steps and all(path.exists() for path in weights):
            raise OutputError(
                f"{self.path}: holds this run already, finished after {found_run.step} steps. Choose another --out, or "
                "use --overwrite to train again."
            )
        return content

    def keep(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, at once and for good.

        Raises:
            OutputError: it can't be written; the one before is still there.
        """
        temporary = self.path / f".{CHECKPOINT}.part"
        try:
            with temporary.open("wb") as file:
                file.write(checkpoint.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.checkpoint)
        except OSError as error:
            raise OutputError(
                f"{self.checkpoint}: can't be written: {error}. Free some space, then run the same command again: it "
                "goes on from the checkpoint before."
            ) from None


def _differences(found: RunIdentity, expected: RunIdentity) -> list[str]:
    """What one run has and the other has not, for the user."""
    differences = [
        f"{key} {_short(found.recipe.get(key))} instead of {_short(expected.recipe.get(key))}"
        for key in sorted(found.recipe.keys() | expected.recipe.keys())
        if found.recipe.get(key) != expected.recipe.get(key)
    ]
    if found.data != expected.data:
        differences.append("other data")
    if found.seed != expected.seed:
        differences.append(f"seed {found.seed} instead of {expected.seed}")
    return differences


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
