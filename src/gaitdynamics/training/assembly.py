"""Parts of many recordings, put side by side into a few large files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT = 1
INDEX_NAME = "index.json"
VALID = "valid"  # the block that is 1 where the force is known
LARGEST_SHARD_BYTES = 2**28
BYTES_PER_VALUE = 4


@dataclass(frozen=True)
class Part:
    """The rows of one variant of a recording.

    Args:
        path: .npz with `<variant>/<block>`.
        variant: which.
        num_frames: rows.
        valid_s: seconds of known force in them.
    """

    path: Path
    variant: int
    num_frames: int
    valid_s: float


def assemble(
    parts: Sequence[Part],
    blocks: Mapping[str, tuple[str, ...]],
    folder: Path,
    *,
    largest_bytes: int = LARGEST_SHARD_BYTES,
) -> list[dict[str, int]]:
    """Write `<block>-<k>.npy`: float32, rows of the parts in their order; a part is never cut in two.

    Args:
        parts: in the order in which they are to lie.
        blocks: names of the channels of each.
        folder: where the files go.
        largest_bytes: of a file, unless a single part is larger.

    Returns:
        Shard, start and num_frames of each part.
    """
    largest_rows = largest_bytes // (BYTES_PER_VALUE * max(len(channels) for channels in blocks.values()))
    places: list[dict[str, int]] = []
    shard, rows = 0, 0
    for part in parts:
        if rows and rows + part.num_frames > largest_rows:
            shard, rows = shard + 1, 0
        places.append({"shard": shard, "start": rows, "num_frames": part.num_frames})
        rows += part.num_frames
    for number in range(shard + 1):
        inside = [(part, place) for part, place in zip(parts, places, strict=True) if place["shard"] == number]
        num_rows = sum(part.num_frames for part, _ in inside)
        for block, channels in blocks.items():
            path = folder / f"{block}-{number:03d}.npy"
            values = np.lib.format.open_memmap(path, "w+", np.dtype("<f4"), (num_rows, len(channels)))
            for part, place in inside:
                with np.load(part.path) as stored:
                    values[place["start"] : place["start"] + part.num_frames] = stored[f"{part.variant}/{block}"]
            values.flush()
    return places
