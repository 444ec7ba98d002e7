"""Wall time and memory of what a user waits for."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median

import numpy as np
import torch
from _commands import RATE_HZ, Cost, cost_of_command, repeated_walk, written_motion
from _record import record, table

from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.skeleton import Skeleton

DURATION_S = 60.0
NUM_RUNS, NUM_CALLS = 5, 20  # of a command, of a function
WINDOWS, FRAMES, NUM_THREADS = 64, 150, 2
TARGETS = {"estimate": "5 s, 1000 MB", "help": "0.5 s", "pose": "0.1 s"}


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
            walk = repeated_walk(model, motion, folder / "walk.mot", duration_s=DURATION_S)
            cases = [("bundled body and walk", model, walk)]
            if arguments.samples is not None:
                model = arguments.samples / "opencap" / "model.osim"
                there_and_back = _there_and_back(model, model.parent / "ik.mot", folder / "opencap.mot")
                cases.append(("OpenCap's model with muscles", model, there_and_back))
            for name, model_path, motion_path in cases:
                command = ["estimate", str(motion_path), "--model", str(model_path), "--overwrite"]
                cost = cost_of_command([*command, "--out", str(folder)], num_runs=NUM_RUNS)
                rows.append([f"estimate, {DURATION_S:g} s at {RATE_HZ:g} Hz, {name}", *_cells(cost, "estimate")])
            rows.append(["--help", *_cells(cost_of_command(["--help"], num_runs=NUM_RUNS), "help")])
            demo = ["demo", "--out", str(folder / "demo"), "--overwrite"]
            rows.append(["demo", *_cells(cost_of_command(demo, num_runs=NUM_RUNS), None)])
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


def _there_and_back(model: Path, motion: Path, path: Path) -> Path:
    """A short motion forward and backward in turn: no gait, but as smooth, and as long as wanted."""
    skeleton = read_model(model)
    short, _ = read_motion(motion, skeleton.coordinates)
    turn = np.concatenate([short.values, short.values[-2:0:-1]])
    values = np.resize(turn, (round(DURATION_S * RATE_HZ) + 1, turn.shape[1]))
    return written_motion(short, values, skeleton, path)


if __name__ == "__main__":
    main()
