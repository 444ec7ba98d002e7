"""Wall time and memory of commands, and a walk of any length to run them on."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaitdynamics.io.motion import format_motion, read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

RATE_HZ = 100.0
STRIDES_S = 5.4  # five strides of the synthetic walk, which is periodic
COMMAND = (sys.executable, "-m", "gaitdynamics")
# A small process starts each command: on Linux a child's peak memory is at least what its parent had at the start.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


@dataclass(frozen=True)
class Cost:
    """Of several runs: seconds each, and the largest memory."""

    seconds: tuple[float, ...]
    megabytes: float | None = None


def cost_of_command(arguments: Sequence[str], *, num_runs: int) -> Cost:
    """Run a command of gaitdynamics several times."""
    seconds, peaks = [], []
    for _ in range(num_runs):
        command = [sys.executable, "-I", "-c", LAUNCHER, *COMMAND, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed: {done.stderr}")
        wall_s, peak = json.loads(done.stdout)
        seconds.append(wall_s)
        peaks.append(peak / (1024 if sys.platform == "linux" else 1024**2))  # kB; bytes on macOS
    return Cost(tuple(seconds), max(peaks))


def repeated_walk(model: Path, motion: Path, path: Path, *, duration_s: float, is_on_belt: bool = False) -> Path:
    """The synthetic walk for longer, going on forward or on the spot, as a file."""
    skeleton = read_model(model)
    walk, _ = read_motion(motion, skeleton.coordinates)
    period = round(STRIDES_S * walk.sampling_rate_hz)
    num = round(duration_s * RATE_HZ) + 1
    values = np.resize(walk.values[:period], (num, walk.values.shape[1]))
    forward = walk.coordinates.index("pelvis_tx")
    advance_m = walk.values[period, forward] - walk.values[0, forward]
    values[:, forward] += np.arange(num) // period * advance_m
    if is_on_belt:
        values[:, forward] -= np.arange(num) / period * advance_m
    return written_motion(walk, values, skeleton, path)


def written_motion(motion: Motion, values: np.ndarray, skeleton: Skeleton, path: Path) -> Path:
    """A motion of other values, (T, C), as a file; RATE_HZ."""
    made = replace(motion, time_s=np.arange(len(values)) / RATE_HZ, values=values, observed=np.isfinite(values))
    path.write_text(format_motion(made, skeleton.coordinates, name=path.stem))
    return path
