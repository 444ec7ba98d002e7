"""A data folder as training reads it: blocks of channels on disk, windows of them in memory."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from gaitdynamics.errors import InputFileError
from gaitdynamics.state.windows import WINDOW_FRAMES
from gaitdynamics.training.assembly import FORMAT, INDEX_NAME, VALID

FINGERPRINT_CHUNKS, FINGERPRINT_BYTES = 16, 4096  # read of each file, evenly spaced: a whole shard takes too long
_REBUILD = "Build the folder again with 'gaitdynamics data build'."


@dataclass(frozen=True)
class Recording:
    """One stretch of a person's movement, and where its rows lie.

    Args:
        group: the person, who is never in two splits.
        variant: 0 as measured, others are augmented copies.
        shard: number of the file; rows start to start + num_frames of it are this recording's, at 100 Hz.
        notes: what the data build remarked of the motion, such as that the person turns.
    """

    name: str
    dataset: str
    subject: str
    group: str
    split: str
    shard: int
    start: int
    num_frames: int
    variant: int = 0
    activity: str | None = None
    surface: str | None = None
    sex: str | None = None
    age_years: float | None = None
    mass_kg: float | None = None
    height_m: float | None = None
    speed_m_s: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picks:
    """Which windows make a batch; all arrays (N,).

    Args:
        recording: number of the recording in the data folder.
        start: first frame, counted from the recording's.
        is_mirrored: whether right and left are to be swapped.
        seed: of everything random about the window.
    """

    recording: np.ndarray
    start: np.ndarray
    is_mirrored: np.ndarray
    seed: np.ndarray

    def __len__(self) -> int:
        return len(self.recording)

    def __getitem__(self, which: slice | np.ndarray) -> "Picks":
        return Picks(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True)
class Batch:
    """N windows of L frames.

    Args:
        blocks: (N, L, D) float32 by name of the block; zero where not present.
        present: (N, L) bool; False where the recording has ended.
        is_mirrored: (N,) bool; whether right and left are to be swapped, which the recipe does.
        seeds: (N,) of each window's random numbers.
        recordings: N, that the windows come from.
    """

    blocks: Mapping[str, torch.Tensor]
    present: torch.Tensor
    is_mirrored: torch.Tensor
    seeds: np.ndarray
    recordings: tuple[Recording, ...]

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, block: str) -> torch.Tensor:
        return self.blocks[block]

    def with_blocks(self, **blocks: torch.Tensor) -> "Batch":
        """The same windows with some blocks replaced, or added."""
        return replace(self, blocks={**self.blocks, **blocks})

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        blocks = {name: values.to(device) for name, values in self.blocks.items()}
        return replace(self, blocks=blocks, present=self.present.to(device), is_mirrored=self.is_mirrored.to(device))

    def uniform(self, purpose: str, *shape: int) -> torch.Tensor:
        """Random numbers from 0 to 1 that depend on each window's seed and the purpose alone, (N, *shape) float32."""
        return self._drawn([rng.random(shape, dtype=np.float32) for rng in self._generators(purpose)], shape)

    def normal(self, purpose: str, *shape: int) -> torch.Tensor:
        """The same, normally distributed with standard deviation 1."""
        return self._drawn([rng.standard_normal(shape, dtype=np.float32) for rng in self._generators(purpose)], shape)

    def _generators(self, purpose: str) -> Iterable[np.random.Generator]:
        stream = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
        return (np.random.default_rng([int(seed), stream]) for seed in self.seeds)

    def _drawn(self, rows: list[Any], shape: tuple[int, ...]) -> torch.Tensor:
        drawn = np.array(rows, dtype=np.float32).reshape(len(self), *shape)
        return torch.from_numpy(drawn).to(self.present.device)


@dataclass(frozen=True)
class ChannelStatistics:
    """Of each channel of a block, (D,) float64."""

    mean: np.ndarray
    standard_deviation: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


@dataclass(frozen=True)
class Shards:
    """A data folder, opened; its values stay on disk until windows of them are read.

    Args:
        recordings: in the order of the index.
        channels: names by block, in order.
        arrays: (rows, D) float32 by block and number of the shard.
        fingerprint: differs where the data differ.
    """

    folder: Path
    recordings: tuple[Recording, ...]
    channels: Mapping[str, tuple[str, ...]]
    arrays: Mapping[str, Mapping[int, np.ndarray]]
    fingerprint: str

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the index of a data folder and map its blocks into memory.

        Raises:
            InputFileError: a file is missing, truncated, of another format, or does not fit the index.
        """
        content = _read_index(folder)
        channels = _channels(content, folder)
        recordings = tuple(_recording(entry, folder) for entry in _list(content, "recordings", folder))
        shards = sorted({recording.shard for recording in recordings})
        arrays = {
            block: {shard: _map(folder / f"{block}-{shard:03d}.npy", len(names)) for shard in shards}
            for block, names in channels.items()
        }
        _check_rows(arrays, recordings, folder)
        return cls(folder, recordings, channels, arrays, _fingerprint(folder, channels, shards))

    def check_blocks(self, blocks: Mapping[str, Sequence[str]]) -> None:
        """Make sure that the folder has these channels in these blocks.

        Raises:
            InputFileError: a block is missing, or its channels or their order differ.
        """
        for block, names in blocks.items():
            if block not in self.channels:
                raise InputFileError(
                    f"{self.folder / INDEX_NAME}: has no block '{block}', which the recipe reads. "
                    f"It has {', '.join(self.channels)}. {_REBUILD}"
                )
            if self.channels[block] != tuple(names):
                differing = sorted(set(names) ^ set(self.channels[block]))
                raise InputFileError(
                    f"{self.folder / INDEX_NAME}: block '{block}' has {len(self.channels[block])} channels, not the "
                    f"recipe's {len(names)}; {_some(differing) or 'their order'} differs. {_REBUILD}"
                )

    def rows(self, block: str, recording: int) -> np.ndarray:
        """All of a recording, (num_frames, D), still on disk."""
        entry = self.recordings[recording]
        return self.arrays[block][entry.shard][entry.start : entry.start + entry.num_frames]

    def batch(self, picks: Picks, blocks: Iterable[str], *, length: int = WINDOW_FRAMES) -> Batch:
        """Read windows of that many frames; a recording that ends within one is padded with zeros."""
        entries = [self.recordings[number] for number in picks.recording]
        lengths = [min(length, entry.num_frames - start) for entry, start in zip(entries, picks.start, strict=True)]
        read = {}
        for block in blocks:
            arrays = self.arrays[block]
            values = np.empty((len(picks), length, len(self.channels[block])), dtype=np.float32)
            for window, entry, start, num in zip(values, entries, picks.start, lengths, strict=True):
                first = entry.start + start
                window[:num] = arrays[entry.shard][first : first + num]
                window[num:] = 0.0
            read[block] = torch.from_numpy(values)
        return Batch(
            blocks=read,
            present=torch.from_numpy(np.arange(length) < np.array(lengths, dtype=int)[:, None]),
            is_mirrored=torch.from_numpy(picks.is_mirrored.copy()),
            seeds=picks.seed,
            recordings=tuple(entries),
        )

    def statistics(self, block: str, recordings: Iterable[int]) -> ChannelStatistics:
        """Over all frames of some recordings, of each channel of a block."""
        num, total, squares = 0, 0.0, 0.0
        lowest, highest = np.inf, -np.inf
        for recording in recordings:
            values = self.rows(block, recording).astype(np.float64)
            num += len(values)
            total, squares = total + values.sum(axis=0), squares + (values**2).sum(axis=0)
            lowest, highest = np.minimum(lowest, values.min(axis=0)), np.maximum(highest, values.max(axis=0))
        if num == 0:
            raise InputFileError(f"{self.folder}: no frames to take the statistics of '{block}' from. {_REBUILD}")
        mean = np.asarray(total / num)
        variance = np.maximum(np.asarray(squares / num) - mean**2, 0.0)
        return ChannelStatistics(mean, np.sqrt(variance), np.asarray(lowest), np.asarray(highest))


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX_NAME
    if not folder.is_dir():
        raise InputFileError(f"{folder}: no such folder. Expected what 'gaitdynamics data build' has written.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(
            f"{folder}: has no {INDEX_NAME}, so it is no data folder, or one whose build was interrupted. "
            "Run 'gaitdynamics data build' again: it goes on where it stopped."
        ) from None
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: can't be read as JSON: {error}. {_REBUILD}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT or isinstance(found, bool):
        raise InputFileError(f"{path}: data format {found}; this version reads format {FORMAT}. {_REBUILD}")
    return content


def _list(content: dict[str, Any], key: str, folder: Path) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or not value:
        raise InputFileError(f"{folder / INDEX_NAME}: '{key}' is no list with something in it. {_REBUILD}")
    return value


def _channels(content: dict[str, Any], folder: Path) -> dict[str, tuple[str, ...]]:
    blocks = content.get("blocks")
    are_names = isinstance(blocks, dict) and all(
        isinstance(names, list) and names and all(isinstance(name, str) for name in names) for names in blocks.values()
    )
    if not are_names or not isinstance(blocks, dict) or VALID not in blocks:
        raise InputFileError(
            f"{folder / INDEX_NAME}: 'blocks' should hold the names of channels of each block, '{VALID}' among them. "
            f"{_REBUILD}"
        )
    return {block: tuple(names) for block, names in blocks.items()}


def _recording(entry: Any, folder: Path) -> Recording:
    known = {field.name: field for field in fields(Recording)}
    counts = ("shard", "start", "num_frames", "variant")
    try:
        recording = Recording(**{key: value for key, value in entry.items() if key in known})
        recording = replace(recording, notes=tuple(recording.notes))  # JSON has lists
        are_counts = all(type(getattr(recording, key)) is int and getattr(recording, key) >= 0 for key in counts)
        are_words = all(isinstance(getattr(recording, key), str) for key in ("name", "dataset", "group", "split"))
    except (AttributeError, TypeError) as error:
        raise InputFileError(f"{folder / INDEX_NAME}: a recording lacks something: {error}. {_REBUILD}") from None
    if not are_counts or not are_words or recording.num_frames == 0:
        raise InputFileError(
            f"{folder / INDEX_NAME}: recording '{recording.name}' needs a dataset, a group and a split, and whole "
            f"numbers for {', '.join(counts)}. {_REBUILD}"
        )
    return recording


def _map(path: Path, num_channels: int) -> np.ndarray:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputFileError(f"{path}: is missing, but {INDEX_NAME} refers to it. {_REBUILD}") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputFileError(f"{path}: truncated, or no array of numbers: {error}. {_REBUILD}") from None
    if not isinstance(values, np.ndarray) or values.dtype != np.dtype("<f4") or values.ndim != 2:
        raise InputFileError(f"{path}: expected rows of 32-bit floating-point numbers. {_REBUILD}")
    if values.shape[1] != num_channels or not values.flags.c_contiguous:
        raise InputFileError(
            f"{path}: has {values.shape[1]} columns; {INDEX_NAME} names {num_channels} channels. {_REBUILD}"
        )
    return np.asarray(values)  # slices of a plain array are many times as fast as those of a memmap


def _check_rows(arrays: Mapping[str, Mapping[int, np.ndarray]], recordings: Sequence[Recording], folder: Path) -> None:
    valid = arrays[VALID]
    for block, shards in arrays.items():
        for shard, values in shards.items():
            if len(values) != len(valid[shard]):
                raise InputFileError(
                    f"{folder}: shard {shard} has {len(values)} rows of '{block}' and {len(valid[shard])} of "
                    f"'{VALID}'. {_REBUILD}"
                )
    for recording in recordings:
        num_rows = len(valid[recording.shard])
        if recording.start + recording.num_frames > num_rows:
            raise InputFileError(
                f"{folder}: recording '{recording.name}' ends at row {recording.start + recording.num_frames} of shard "
                f"{recording.shard}, which has {num_rows}. {_REBUILD}"
            )


def _fingerprint(folder: Path, blocks: Iterable[str], shards: Iterable[int]) -> str:
    """A hash of the index, of every file's size and of samples of what is in it."""
    digest = hashlib.sha256((folder / INDEX_NAME).read_bytes())
    for block in sorted(blocks):
        for shard in shards:
            path = folder / f"{block}-{shard:03d}.npy"
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode())
            with path.open("rb") as file:
                for place in np.linspace(0, max(size - FINGERPRINT_BYTES, 0), FINGERPRINT_CHUNKS, dtype=np.int64):
                    file.seek(int(place))
                    digest.update(file.read(FINGERPRINT_BYTES))
    return digest.hexdigest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:3]) + (" and more" if len(names) > 3 else "")
