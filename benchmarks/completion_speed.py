"""Wall time and memory of completing a motion, by command and by size of the network, and where the time goes."""

import argparse
import os
import pstats
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _commands import COMMAND, Cost, cost_of_command, repeated_walk
from _record import record, table

from gaitdynamics.biomech.anthropometry import body_mass_kg, estimated_height_m
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.model.diffusion import DiffusionSize, GaitDiffusion
from gaitdynamics.state.codec import encode
from gaitdynamics.state.parts import coordinates_of_parts, hidden
from gaitdynamics.tasks.completed_forces import estimate_completed
from gaitdynamics.tasks.estimators import load_completer, load_estimator
from gaitdynamics.tasks.fill_motion import DEFAULT_SAMPLES, NUM_STEPS
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

HIDDEN = "hips"
SHORT_S, LONG_S = 60.0, 600.0
NUM_RUNS = 3
AUTHORS_SIZE = DiffusionSize(width=512, num_layers=8, num_heads=8, feed_forward=960)
PUBLISHED_S = 230.0  # Tan et al. 2026: completing a minute of motion
# Of a profile: what, the end of the file's name, the function. Indented ones are a part of those before.
STEPS = (
    ("imports", "importlib._bootstrap>", "_find_and_load"),
    ("reading the model", "io/osim.py", "read_model"),
    ("reading the motion", "apps/completed_files.py", "read_given"),
    ("reading the weights", "model/checkpoint.py", "load_weights"),
    ("completing", "tasks/fill_motion.py", "__call__"),
    ("— to a state and its frame", "state/codec.py", "encode"),
    ("— drawing samples", "tasks/fill_motion.py", "completed_states"),
    ("— back to coordinates", "state/codec.py", "decode_motion"),
    ("— standing feet", "biomech/standing_feet.py", "with_standing_feet"),
    ("forces", "tasks/learned_forces.py", "__call__"),
    ("— physics", "biomech/physics.py", "physics_of"),
    ("— features", "state/physics_features.py", "physics_features"),
    ("— networks", "model/forces.py", "predict"),
    ("summary", "biomech/summary.py", "summarise"),
    ("text of the completed motion", "apps/completed_files.py", "completed_contents"),
    ("text of forces and intervals", "io/forces.py", "format_forces"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--completion", default="starter_diffusion", help="the model of gait, a name or folder")
    parser.add_argument("--short-s", type=float, default=SHORT_S, help="another length is printed only")
    parser.add_argument("--long-s", type=float, default=LONG_S, help="another length is printed only")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        assets = files("gaitdynamics") / "assets"
        with as_file(assets / "generic_body.osim") as model, as_file(assets / "synthetic_walk.mot") as motion:
            short = repeated_walk(model, motion, folder / "walk.mot", duration_s=arguments.short_s)
            long = repeated_walk(model, motion, folder / "long_walk.mot", duration_s=arguments.long_s, is_on_belt=True)
            common = ["--model", str(model), "--missing", HIDDEN, "--completion", arguments.completion]
            common += ["--out", str(folder), "--overwrite"]
            for verb in ("estimate", "fill"):
                for num in (1, DEFAULT_SAMPLES):
                    cost = cost_of_command([verb, str(short), *common, "--samples", str(num)], num_runs=NUM_RUNS)
                    rows.append([f"`{verb}`, {arguments.short_s:g} s, {_samples(num)}", *_cells(cost)])
            cost = cost_of_command(["estimate", str(short), *common[:2], *common[6:]], num_runs=NUM_RUNS)
            rows.append([f"`estimate`, {arguments.short_s:g} s, nothing hidden", *_cells(cost)])
            cost = cost_of_command(["estimate", str(long), *common, "--samples", "1"], num_runs=1)
            rows.append([f"`estimate`, {arguments.long_s:g} s, {_samples(1)}", *_cells(cost)])
            steps = _profiled(["estimate", str(short), *common, "--samples", "1"], folder / "profile")
            trial = _trial(model, short)
    sizes, num_parameters = _of_sizes(trial, arguments.completion)
    text = f"""{version("torch")} torch, {torch.get_num_threads()} threads. {NUM_STEPS} evaluations of the network for a
sample. The machine's load average was {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, this benchmark
included. The walk is the bundled one repeated, at 100 Hz, the long one on a treadmill; its {HIDDEN} are hidden.

## Commands

Best and median of {NUM_RUNS} runs, one of the long walk; memory is the largest resident set of the process. The start
of Python is included.

{table(["", "best, s", "median, s", "memory, MB"], rows, digits=1)}

## Size of the network

In one process, {arguments.short_s:g} s, one sample; the network of {num_parameters / 1e6:.1f} million parameters, as
many as that of Tan et al. 2026, has random weights and is built as ours is. They give {PUBLISHED_S:g} s for a minute of
motion on their machine.

{table(["parameters, millions", "drawing, s", "`estimate_completed`, s"], sizes, digits=2)}

## Where the time goes

`estimate`, {arguments.short_s:g} s, one sample, under Python's profiler, which makes it slower; indented lines are a
part of the line above them, and what is imported when it is first needed counts twice.

{table(["", "s"], steps, digits=2)}"""
    if (arguments.short_s, arguments.long_s) != (SHORT_S, LONG_S):
        print(text)  # for looking at
        return
    record("completion_speed", f"# Speed of completion\n\n{text}")


def _samples(num: int) -> str:
    return f"{num} sample{'' if num == 1 else 's'}"


def _cells(cost: Cost) -> list[object]:
    return [min(cost.seconds), median(cost.seconds), f"{cost.megabytes:.0f}"]


def _trial(model: Path, motion_path: Path) -> Trial:
    skeleton = read_model(model)
    motion, _ = read_motion(motion_path, skeleton.coordinates)
    subject = Subject(id="walker", mass_kg=body_mass_kg(skeleton), height_m=estimated_height_m(skeleton))
    trial = Trial(motion_path.stem, subject, skeleton, motion, None, 0.0, str(motion_path))
    return hidden(trial, coordinates_of_parts(skeleton, [HIDDEN]))


def _of_sizes(trial: Trial, completion: str) -> tuple[list[list[object]], int]:
    """Rows of drawing a sample and of all that follows, by our network and one of the authors' size; the latter."""
    ours, estimator = load_completer(completion), load_estimator("starter")
    state, _ = encode(trial)
    torch.manual_seed(0)
    large = GaitDiffusion(AUTHORS_SIZE, ours.model.normalizer).eval()
    rows: list[list[object]] = []
    num = 0
    for completer in (ours, replace(ours, name="authors_size", model=large)):
        num = sum(parameter.numel() for parameter in completer.model.parameters())
        drawing = _best(lambda completer=completer: completer.completed_states(state, num_samples=1, seed=0))
        whole = _best(
            lambda completer=completer: estimate_completed(
                trial, completer=completer, estimator=estimator, num_samples=1
            )
        )
        rows.append([f"{num / 1e6:.1f}", drawing, whole])
    return rows, num


def _best(function: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(NUM_RUNS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _profiled(arguments: list[str], path: Path) -> list[list[object]]:
    """Seconds in every one of STEPS, and in all."""
    command = [COMMAND[0], "-m", "cProfile", "-o", str(path), *COMMAND[1:], *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    rows: list[list[object]] = []
    for name, file, function in STEPS:
        found = [
            seconds
            for (where, _, what), (_, _, _, seconds, _) in stats.items()
            if what == function and where.replace(os.sep, "/").endswith(file)
        ]
        rows.append([name, float(sum(found))])
    return [*rows, ["all", float(total)]]


if __name__ == "__main__":
    main()
