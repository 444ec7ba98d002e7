"""Wall time and memory of what a user waits for."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median

import numpy as np
import torch
from _record import record, table

from gaitdynamics.io.motion import format_motion, read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

DURATION_S, RATE_HZ = 60.0, 100.0
STRIDES_S = 5.4  # five strides of the synthetic walk, which is periodic
NUM_RUNS, NUM_CALLS = 5, 20  # of a command, of a function
WINDOWS, FRAMES, NUM_THREADS = 64, 150, 2
TARGETS = {"estimate": "5 s, 1000 MB", "help": "0.5 s", "pose": "0.1 s"}
# A small process starts each command: on Linux a child's peak memory is at least what its parent had at the start.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
COMMAND = [sys.executable, "-m", "gaitdynamics"]


@dataclass(frozen=True)
class Cost:
    """Of several runs: seconds each, and the largest memory."""

    seconds: tuple[float, ...]
    megabytes: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "samples", type=Path, nargs="?", help="folder that holds opencap/model.osim and ik.mot (optional)"
    )
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        assets = files("gaitdynamics") / "assets"
        with as_file(assets / "generic_body.osim") as model, as_file(assets / "synthetic_walk.mot") as motion:
            cases = [("bundled body and walk", model, _repeated(model, motion, folder / "walk.mot"))]
            if arguments.samples is not None:
                model = arguments.samples / "opencap" / "model.osim"
                there_and_back = _there_and_back(model, model.parent / "ik.mot", folder / "opencap.mot")
                cases.append(("OpenCap's model with muscles", model, there_and_back))
            for name, model_path, motion_path in cases:
                command = ["estimate", str(motion_path), "--model", str(model_path), "--overwrite"]
                cost = _of_command([*command, "--out", str(folder)])
                rows.append([f"estimate, {DURATION_S:g} s at {RATE_HZ:g} Hz, {name}", *_cells(cost, "estimate")])
            rows.append(["--help", *_cells(_of_command(["--help"]), "help")])
            rows.append(["demo", *_cells(_of_command(["demo", "--out", str(folder / "demo")], "--overwrite"), None)])
            skeletons = {name: read_model(model_path) for name, model_path, _ in cases}
    torch.set_num_threads(NUM_THREADS)
    for name, skeleton in skeletons.items():
        for dtype in (torch.float32, torch.float64):
            cost = _of_function(_posing(skeleton, dtype))
            label = f"pose of {WINDOWS} × {FRAMES} frames, {str(dtype).removeprefix('torch.')}, {name}"
            rows.append([label, *_cells(cost, "pose")])
    text = f"""# Speed

Best and median of {NUM_RUNS} runs of a command, {NUM_CALLS} of a pose; memory is the largest resident set of the
process. The machine's load average was {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, this benchmark
included. Python {sys.version.split()[0]}, torch {version("torch")}, opensim {version("opensim")}. Commands include the
start of Python. The walk is the bundled one repeated; OpenCap's short trial is run forward and backward in turn. Poses
use {NUM_THREADS} threads, without gradients.

{table(["", "best, s", "median, s", "memory, MB", "target"], rows, digits=3)}
"""
    record("speed", text)


def _cells(cost: Cost, target: str | None) -> list[object]:
    memory = None if cost.megabytes is None else f"{cost.megabytes:.0f}"
    return [min(cost.seconds), median(cost.seconds), memory, None if target is None else f"< {TARGETS[target]}"]


def _of_command(arguments: list[str], *from_second: str) -> Cost:
    """Run a command of gaitdynamics several times; `from_second` is added from the second run on."""
    seconds, peaks = [], []
    for run in range(NUM_RUNS):
        command = [*COMMAND, *arguments, *(from_second if run else ())]
        done = subprocess.run([sys.executable, "-I", "-c", LAUNCHER, *command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed: {done.stderr}")
        wall_s, peak = json.loads(done.stdout)
        seconds.append(wall_s)
        peaks.append(peak / (1024 if sys.platform == "linux" else 1024**2))  # kB; bytes on macOS
    return Cost(tuple(seconds), max(peaks))


def _of_function(function: Callable[[], object]) -> Cost:
    function()
    seconds = []
    for _ in range(NUM_CALLS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return Cost(tuple(seconds))


def _posing(skeleton: Skeleton, dtype: torch.dtype) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    values = 0.3 * torch.randn(WINDOWS, FRAMES, len(skeleton.coordinates), dtype=dtype, generator=generator)

    def pose() -> None:
        with torch.no_grad():
            skeleton.pose(values)

    return pose


def _repeated(model: Path, motion: Path, path: Path) -> Path:
    """The synthetic walk for longer, going on forward."""
    skeleton = read_model(model)
    walk, _ = read_motion(motion, skeleton.coordinates)
    period = round(STRIDES_S * walk.sampling_rate_hz)
    num = round(DURATION_S * RATE_HZ) + 1
    values = np.resize(walk.values[:period], (num, walk.values.shape[1]))
    forward = walk.coordinates.index("pelvis_tx")
    values[:, forward] += np.arange(num) // period * (walk.values[period, forward] - walk.values[0, forward])
    return _write(walk, values, skeleton, path)


def _there_and_back(model: Path, motion: Path, path: Path) -> Path:
    """A short motion forward and backward in turn: no gait, but as smooth, and as long as wanted."""
    skeleton = read_model(model)
    short, _ = read_motion(motion, skeleton.coordinates)
    turn = np.concatenate([short.values, short.values[-2:0:-1]])
    return _write(short, np.resize(turn, (round(DURATION_S * RATE_HZ) + 1, turn.shape[1])), skeleton, path)


def _write(motion: Motion, values: np.ndarray, skeleton: Skeleton, path: Path) -> Path:
    made = replace(motion, time_s=np.arange(len(values)) / RATE_HZ, values=values, observed=np.isfinite(values))
    path.write_text(format_motion(made, skeleton.coordinates, name=path.stem))
    return path


if __name__ == "__main__":
    main()
