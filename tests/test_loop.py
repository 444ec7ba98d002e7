"""Training: it learns, it resumes exactly, several processes do what one does, and it stops where it must."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import typer
from synthetic_data_folder import write_data_folder
from torch import nn
from typer.testing import CliRunner

from gaitdynamics.apps.train import train as train_command
from gaitdynamics.errors import InputFileError, OutputError, TrainingError
from gaitdynamics.state.layout import GAIT
from gaitdynamics.training.loop import people_apart, train
from gaitdynamics.training.progress import Progress, read_losses
from gaitdynamics.training.recipe import WindowLosses, mirrored, unchanged
from gaitdynamics.training.recipes import debug, recipe_named
from gaitdynamics.training.sampling import is_among
from gaitdynamics.training.shards import Batch, Shards

# One run for all tests: 30 steps, checkpoints after 10 and 20, two micro-batches of eight windows.
SHORT = replace(debug(), num_steps=30, batch_size=16, checkpoint_every=10, validate_every=15)
SCRIPT = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import torch
from gaitdynamics.training.loop import train
from gaitdynamics.training.recipes import debug

torch.set_num_threads(1)
stop, out = int(sys.argv[2]), Path(sys.argv[3])
killed = out / "killed"

def report(progress):
    if progress.step == stop and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)

short = replace(debug(), num_steps=30, batch_size=16, checkpoint_every=10, validate_every=15)
train(short, Path(sys.argv[1]), out, device="cpu", report=report)
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that tests start: the number of threads changes the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "folder"
    write_data_folder(folder)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(SHORT, data, tmp_path_factory.mktemp("run") / "whole", device="cpu")


def curve(folder: Path) -> list[list[str]]:
    """The table of losses as text, but for the speed."""
    with (folder / "losses.csv").open(newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "weights.safetensors")


def assert_same_run(folder: Path, other: Path) -> None:
    """Bit for bit."""
    assert curve(folder) == curve(other)
    for file in ("weights.safetensors", "checkpoint.safetensors"):
        assert (folder / file).read_bytes() == (other / file).read_bytes()


def run_script(arguments: list[str], *launcher: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


class StoppedError(Exception):
    """The user pressed Ctrl-C, say."""


def stopping_after(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return report


def test_the_debug_recipe_learns(data: Path, tmp_path: Path) -> None:
    train(debug(), data, tmp_path / "run", device="cpu")
    rows = read_losses(tmp_path / "run" / "losses.csv")
    assert [row.step for row in rows] == list(range(1, 201))
    measured = [row.validation_loss for row in rows if row.validation_loss is not None]
    assert len(measured) == 4
    assert measured[-1] < 0.5 * measured[0]
    assert np.mean([row.loss for row in rows[-20:]]) < 0.3 * rows[0].loss


def test_a_finished_run_leaves_weights_that_say_where_they_come_from(finished: Path, data: Path) -> None:
    about = json.loads((finished / "model.json").read_text())
    provenance = about["provenance"]
    assert provenance["recipe"] == "debug"
    assert provenance["settings"]["num_steps"] == 30
    assert provenance["data_sha256"] == Shards.open(data).fingerprint
    people = [sum(entry["people"] for entry in provenance[key].values()) for key in ("trained_on", "held_out")]
    assert sum(people) == 9
    assert min(people) >= 1
    assert provenance["validation_loss"] == read_losses(finished / "losses.csv")[-1].validation_loss
    pytest.importorskip("matplotlib")
    assert (finished / "losses.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("step", [1, 10, 19, 30])
def test_a_run_stopped_at_any_step_and_resumed_is_the_uninterrupted_one(
    step: int, data: Path, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        train(SHORT, data, tmp_path / "run", device="cpu", report=stopping_after(step))
    assert not (tmp_path / "run" / "model.json").exists()
    train(SHORT, data, tmp_path / "run", device="cpu")
    assert_same_run(tmp_path / "run", finished)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system can't kill a process at once")
def test_a_run_that_is_killed_and_resumed_is_the_uninterrupted_one(data: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    killed = run_script([str(tmp_path / "run.py"), str(data), "17", str(tmp_path / "run")])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(curve(tmp_path / "run")) == 1 + 17
    with (tmp_path / "run" / "losses.csv").open("a") as file:
        file.write("18,0.")  # a row of which only a part reached the disk
    train(SHORT, data, tmp_path / "run", device="cpu")
    assert_same_run(tmp_path / "run", finished)


def test_two_processes_killed_and_restarted_learn_what_one_does(data: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    arguments = [str(tmp_path / "run.py"), str(data), "17", str(tmp_path / "run")]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    run = run_script(arguments, *launcher)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "run" / "killed").exists()
    for two, one in zip(curve(tmp_path / "run")[1:], curve(finished)[1:], strict=True):
        assert two[0] == one[0]
        assert [float(cell or "nan") for cell in two[1:]] == pytest.approx(
            [float(cell or "nan") for cell in one[1:]], rel=1e-5, abs=1e-5, nan_ok=True
        )
    expected = tensors(finished)
    for name, values in tensors(tmp_path / "run").items():
        assert torch.allclose(values, expected[name], rtol=0.0, atol=1e-5), name


def test_training_leaves_global_randomness_alone(data: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - what must not change
    train(replace(SHORT, num_steps=2), data, tmp_path / "run", device="cpu")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_another_seed_is_another_run(data: Path, finished: Path, tmp_path: Path) -> None:
    train(SHORT, data, tmp_path / "run", device="cpu", seed=1)
    assert not torch.equal(tensors(tmp_path / "run")["0.weight"], tensors(finished)["0.weight"])


def test_only_the_same_run_is_resumed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(SHORT, data, tmp_path / "run", device="cpu", report=stopping_after(12))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    write_data_folder(tmp_path / "other", seed=1)
    with pytest.raises(OutputError, match=r"learning_rate 0\.003 instead of 0\.1"):
        train(replace(SHORT, learning_rate=0.1), data, tmp_path / "run", device="cpu")
    with pytest.raises(OutputError, match="other data"):
        train(SHORT, tmp_path / "other", tmp_path / "run", device="cpu")
    with pytest.raises(OutputError, match="seed 0 instead of 5"):
        train(SHORT, data, tmp_path / "run", device="cpu", seed=5)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}


def test_a_finished_run_is_replaced_only_when_asked_to(data: Path, finished: Path, tmp_path: Path) -> None:
    train(replace(SHORT, num_steps=3), data, tmp_path / "run", device="cpu")
    with pytest.raises(OutputError, match="--overwrite"):
        train(replace(SHORT, num_steps=3), data, tmp_path / "run", device="cpu")
    train(SHORT, data, tmp_path / "run", device="cpu", overwrite=True)
    assert_same_run(tmp_path / "run", finished)


def test_a_folder_with_other_losses_in_it_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"losses\.csv"):
        train(SHORT, data, tmp_path, device="cpu")
    assert (tmp_path / "losses.csv").read_text() == "mine"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_truncated_checkpoint_is_refused(share: float, data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(SHORT, data, tmp_path / "run", device="cpu", report=stopping_after(1))
    path = tmp_path / "run" / "checkpoint.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputFileError, match=r"checkpoint\.safetensors"):
        train(SHORT, data, tmp_path / "run", device="cpu")


def test_a_number_that_is_not_finite_stops_training_and_names_the_recording(tmp_path: Path) -> None:
    index = write_data_folder(tmp_path / "data")
    shards = Shards.open(tmp_path / "data")
    trained, _ = people_apart(SHORT, shards)
    broken = index["recordings"][trained[3]]
    path = tmp_path / "data" / f"gait-{broken['shard']:03d}.npy"
    values = np.load(path)
    values[broken["start"] : broken["start"] + broken["num_frames"], 5] = np.nan
    np.save(path, values)
    clean = replace(SHORT, make_model=lambda shards, recordings: nn.Sequential(*[nn.Linear(30, 14)]))
    with pytest.raises(TrainingError, match=rf"step \d+.*'{broken['name']}'.*gait\.pelvis_rotation_2"):
        train(clean, tmp_path / "data", tmp_path / "run", device="cpu")
    assert all(np.isfinite(row.loss) for row in read_losses(tmp_path / "run" / "losses.csv"))


def test_a_validation_loss_that_is_not_finite_stops_training_too(data: Path, tmp_path: Path) -> None:
    def loss(model: nn.Module, batch: Batch) -> WindowLosses:
        found = SHORT.loss(model, batch)
        return found if model.training else WindowLosses(found.sums * torch.nan, found.weights)

    with pytest.raises(TrainingError, match="validation after step 15"):
        train(replace(SHORT, loss=loss), data, tmp_path / "run", device="cpu")


def test_a_gradient_that_is_not_finite_stops_training(data: Path, tmp_path: Path) -> None:
    def loss(model: nn.Module, batch: Batch) -> WindowLosses:
        found = SHORT.loss(model, batch)
        return WindowLosses(found.sums + (0.0 * found.sums).sqrt(), found.weights)

    with pytest.raises(TrainingError, match="gradient is not"):
        train(replace(SHORT, loss=loss), data, tmp_path / "run", device="cpu")


def test_a_loss_without_weight_stops_training(data: Path, tmp_path: Path) -> None:
    def loss(model: nn.Module, batch: Batch) -> WindowLosses:
        found = SHORT.loss(model, batch)
        return WindowLosses(found.sums, torch.zeros_like(found.weights))

    with pytest.raises(TrainingError, match="no weight"):
        train(replace(SHORT, loss=loss), data, tmp_path / "run", device="cpu")


def test_the_loss_of_a_batch_does_not_depend_on_how_it_is_cut(data: Path, finished: Path, tmp_path: Path) -> None:
    plain = replace(SHORT, make_model=lambda shards, recordings: nn.Linear(30, 14), num_steps=5)
    train(plain, data, tmp_path / "small", device="cpu")
    train(replace(plain, micro_batch_size=16), data, tmp_path / "large", device="cpu")
    for small, large in zip(
        read_losses(tmp_path / "small" / "losses.csv"), read_losses(tmp_path / "large" / "losses.csv"), strict=True
    ):
        assert small.loss == pytest.approx(large.loss, rel=1e-5)


def test_people_held_out_are_never_trained_on(data: Path) -> None:
    shards = Shards.open(data)
    trained, held_out = people_apart(SHORT, shards)
    people = [{shards.recordings[number].group for number in numbers} for numbers in (trained, held_out)]
    assert people[0].isdisjoint(people[1])
    assert "person 9" not in people[0] | people[1]  # another split
    halved = replace(SHORT, is_held_out=lambda recording: recording.name == "recording 4")
    with pytest.raises(TrainingError, match="person 2"):
        people_apart(halved, shards)
    with pytest.raises(TrainingError, match="nobody to train on"):
        people_apart(replace(SHORT, split="test"), shards)


def test_the_learning_rate_rises_then_falls_to_nearly_nothing() -> None:
    recipe = replace(SHORT, num_steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [recipe.learning_rate_at(step) for step in range(1, 101)]
    assert rates[9] == max(rates) == 1.0
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert all(np.diff(rates[9:]) < 0.0)
    assert 0.0 < rates[-1] < 1e-3
    constant = replace(recipe, schedule="constant")
    assert {constant.learning_rate_at(step) for step in range(10, 101)} == {1.0}


def test_a_recipe_that_can_not_work_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="divisor"):
        replace(SHORT, micro_batch_size=5)
    with pytest.raises(TrainingError, match="num_steps"):
        replace(SHORT, num_steps=0)
    with pytest.raises(TrainingError, match=r"There are: .*debug"):
        recipe_named("nonsense")
    with pytest.raises(TrainingError, match="no device"):
        train(SHORT, data, tmp_path / "run", device="abacus")
    assert not (tmp_path / "run").exists()


def test_what_a_recipe_says_of_itself_is_json_and_tells_functions_apart() -> None:
    described = debug().describe()
    assert json.loads(json.dumps(described)) == described
    assert described["is_held_out"]["arguments"] == [{"fraction": 0.2}]
    others = [
        replace(debug(), augment=unchanged),
        replace(debug(), augment=partial(mirrored, layouts={"gait": GAIT})),
        replace(debug(), is_held_out=partial(is_among, fraction=0.3)),
        replace(debug(), config={"width": 3}),
    ]
    assert len({json.dumps(recipe.describe()) for recipe in [debug(), *others]}) == 5
    with pytest.raises(TrainingError, match="ndarray"):
        replace(debug(), config={"width": np.zeros(3)}).describe()


def test_the_command_trains_resumes_and_says_where_the_weights_are(data: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(train_command)
    arguments = ["debug", "--data", str(data), "--out", str(tmp_path / "run"), "--steps", "4", "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "step 4: loss" in done.output
    assert (tmp_path / "run" / "weights.safetensors").exists()
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, OutputError)
