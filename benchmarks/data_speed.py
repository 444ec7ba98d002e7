"""How fast training reads windows from disk."""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from _record import record, table

from gaitdynamics.state.windows import WINDOW_FRAMES
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.sampling import Sampler, weight_by_length
from gaitdynamics.training.shards import Batch, Shards

TARGET_PER_S = 2000
NUM_BATCHES, BATCH_SIZE = 40, 64
CHANNELS = {"gait": 44, "published": 63, "physics": 42, VALID: 1}  # of the folder made here: 150 together
MADE_MINUTES, MADE_SHARDS, MADE_FRAMES = 240, 4, 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="data folder; one of random numbers is made if not given")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.data or _made(Path(made))
        start = time.perf_counter()
        shards = Shards.open(folder)
        numbers = range(len(shards.recordings))
        sampler = Sampler.of(shards, numbers, weights=weight_by_length(shards.recordings), seed=0)
        opening_s = time.perf_counter() - start
        blocks = list(shards.channels)
        num_channels = sum(map(len, shards.channels.values()))
        size_mb = sum(values.nbytes for block in shards.arrays.values() for values in block.values()) / 1e6
        is_cold = _forget(folder)

        def read(step: int) -> Batch:
            return shards.batch(sampler.picks(step, BATCH_SIZE), blocks)

        rows = [
            [f"{'not' if is_cold else 'perhaps'} in memory yet", *_rates(read, first=1)],
            ["in memory", *_rates(read, first=1)],
            ["in memory, and a normal number drawn per frame and channel of gait", *_rates(_with_noise(read), first=1)],
        ]
    text = f"""# Windows read for training

Windows of {WINDOW_FRAMES} frames and {num_channels} channels ({", ".join(blocks)}) at random places, in batches of
{BATCH_SIZE}, {NUM_BATCHES} batches, one thread. The folder has {size_mb:.0f} MB; opening it, and finding where windows
with known forces start, took {opening_s:.2f} s. The machine's load average was {load:.1f} at the start. Wanted: over
{TARGET_PER_S} windows a second.

{table(["", "windows/s, median", "slowest batch"], rows, digits=0)}
"""
    record("data_speed", text)


def _rates(read: Callable[[int], object], *, first: int) -> list[object]:
    seconds = []
    for step in range(first, first + NUM_BATCHES):
        start = time.perf_counter()
        read(step)
        seconds.append(time.perf_counter() - start)
    return [BATCH_SIZE / median(seconds), BATCH_SIZE / max(seconds)]


def _with_noise(read: Callable[[int], Batch]) -> Callable[[int], object]:
    return lambda step: read(step).normal("noise", WINDOW_FRAMES, CHANNELS["gait"])


def _forget(folder: Path) -> bool:
    """Ask the system to drop the files from its memory; whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _made(folder: Path) -> Path:
    """Random numbers, as many as hours of recordings have."""
    rng = np.random.default_rng(0)
    num_recordings = MADE_MINUTES * 60 * 100 // MADE_FRAMES
    recordings = [
        {
            "name": str(number),
            "dataset": "made",
            "subject": str(number),
            "group": str(number),
            "split": "train",
            "shard": number % MADE_SHARDS,
            "start": number // MADE_SHARDS * MADE_FRAMES,
            "num_frames": MADE_FRAMES,
        }
        for number in range(num_recordings)
    ]
    for shard in range(MADE_SHARDS):
        num = sum(entry["shard"] == shard for entry in recordings) * MADE_FRAMES
        for block, width in CHANNELS.items():
            values = rng.standard_normal((num, width), dtype=np.float32)
            np.save(folder / f"{block}-{shard:03d}.npy", np.abs(values) if block == VALID else values)
    names = {block: [f"{block}_{k}" for k in range(width)] for block, width in CHANNELS.items()}
    (folder / "index.json").write_text(json.dumps({"format": 1, "blocks": names, "recordings": recordings}))
    return folder


if __name__ == "__main__":
    main()
