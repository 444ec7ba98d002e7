"""`gaitdynamics generate` as a user meets it: what it writes, what it refuses, what it leaves behind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ASSETS
from walking_states import WalkingStates

from gaitdynamics.apps.cli import main
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.external_loads import read_loaded_plates
from gaitdynamics.io.forces import ground_reaction_from_sides
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.tasks import draw_gait, estimators
from gaitdynamics.types.trial import Trial

SMALL = ("--height", "1.6", "--mass", "55")
WALK = ("generate", "--speed", "1.2", "--seconds", "3", "--weights", "physics")
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def walking() -> WalkingStates:
    return WalkingStates.of(ASSETS)


@pytest.fixture
def run(
    walking: WalkingStates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in an empty folder; exit code, and what it printed on stderr in one line."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(draw_gait, "load_gait_sampler", lambda name: walking)

    def command(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["gaitdynamics", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, " ".join(capsys.readouterr().err.replace("│", " ").split())

    return command


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names_of(*numbers: str) -> set[str]:
    suffixes = ("_motion.mot", "_forces.mot", "_external_loads.xml")
    return {f"generated_{number}{suffix}" for number in numbers for suffix in suffixes}


def test_each_gait_has_three_files_and_all_a_summary_and_a_body(run: Run) -> None:
    code, said = run(*WALK, *SMALL, "-n", "2", "--out", "new/folder")
    assert (code, said) == (0, "")
    assert set(files_in(Path("new/folder"))) == names_of("1", "2") | {"generated_summary.json", "generated_body.osim"}
    summary = json.loads(Path("new/folder/generated_summary.json").read_text())
    assert summary["format"] == 1
    assert summary["wish"] == {"speed_m_s": 1.2, "activity": "walk", "duration_s": 3.0}
    assert summary["subject"] == {"mass_kg": 55.0, "height_m": 1.6}
    for gait in summary["gaits"]:
        assert Path("new/folder", gait["motion"]).is_file()
        assert gait["realism"]["mean_vertical_bw"] == pytest.approx(1.0, abs=0.02)
        assert gait["gait"]["activity"] == "walk"


def test_opensim_reads_the_body_with_its_motion_and_its_forces(run: Run, opensim: ModuleType) -> None:
    assert run(*WALK, *SMALL)[0] == 0
    model = opensim.Model("generated_body.osim")
    state = model.initSystem()
    assert model.getTotalMass(state) == pytest.approx(55.0)
    storage = opensim.Storage("generated_1_motion.mot")
    assert storage.isInDegrees()
    skeleton = read_model(Path("generated_body.osim"))
    motion, warnings = read_motion(Path("generated_1_motion.mot"), skeleton.coordinates)
    assert warnings == ()
    plates = read_loaded_plates(Path("generated_1_external_loads.xml"))
    forces = ground_reaction_from_sides(plates)
    np.testing.assert_allclose(forces.time_s, motion.time_s, atol=1e-9)
    assert forces.force_n[:, :, 1].max() > 0.8 * 55.0 * 9.81


def test_the_written_motion_gives_the_written_forces(run: Run) -> None:
    assert run(*WALK, *SMALL)[0] == 0
    written = Path("generated_1_forces.mot").read_text()
    arguments = ("--model", "generated_body.osim", "--height", "1.6", "--mass", "55", "--belt-speed", "0")
    code, _ = run("estimate", "generated_1_motion.mot", *arguments, "--weights", "physics", "--out", "again")
    assert code == 0

    def numbers(text: str) -> np.ndarray:
        return np.loadtxt(text.split("endheader\n")[1].splitlines()[1:])

    again = numbers(Path("again/generated_1_motion_forces.mot").read_text())
    np.testing.assert_allclose(again, numbers(written), atol=0.5)


def test_the_same_seed_writes_the_same_files(run: Run) -> None:
    for folder, seed in (("first", "5"), ("second", "5"), ("third", "6")):
        assert run(*WALK, *SMALL, "--seed", seed, "--out", folder)[0] == 0
    first, second, third = (files_in(Path(folder)) for folder in ("first", "second", "third"))
    assert first == second
    assert first["generated_1_motion.mot"] != third["generated_1_motion.mot"]


def test_a_users_own_model_can_be_generated_for(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.osim"
    own.write_bytes((ASSETS / "generic_body.osim").read_bytes())
    assert run(*WALK, "--model", own)[0] == 0
    assert set(files_in(Path())) == names_of("1") | {"generated_summary.json"}
    summary = json.loads(Path("generated_summary.json").read_text())
    assert summary["model"] == "own.osim"
    assert summary["subject"]["mass_kg"] == pytest.approx(75.0)


def test_results_are_kept_unless_told_otherwise_and_none_is_left_over(run: Run) -> None:
    assert run(*WALK, *SMALL, "-n", "3")[0] == 0
    before = files_in(Path())
    code, said = run(*WALK, *SMALL, "--seed", "1")
    assert code == 2 and "exists already" in said
    assert files_in(Path()) == before
    assert run(*WALK, *SMALL, "--overwrite")[0] == 0
    assert set(files_in(Path())) == names_of("1") | {"generated_summary.json", "generated_body.osim"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--speed", "1.2"), "give the person's --height and --mass"),
        (("--speed", "1.2", "--height", "1.7"), "give the person's --height and --mass"),
        (("--speed", "-1", *SMALL), "the speed is -1 m/s"),
        (("--speed", "nan", *SMALL), "the speed is nan m/s"),
        (("--speed", "1.2", "--height", "170", "--mass", "65"), "Did you mean 1.7 m?"),
        (("--speed", "1.2", "--height", "1.7", "--mass", "650"), "mass is 650 kg"),
        (("--speed", "1.2", "--height", "1.9", "--mass", "12"), "body mass index of 3.32"),
        (("--speed", "1.2", *SMALL, "--activity", "hop"), "'hop' is no activity"),
        (("--speed", "1.2", *SMALL, "--seconds", "0"), "the duration is 0 s"),
        (("--speed", "1.2", "--model", "nowhere.osim"), "nowhere.osim: no such model file"),
    ],
)
def test_what_nobody_is_or_does_is_refused_with_one_message(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, message = run("generate", *arguments)
    assert code == 2
    assert said in message
    assert "Traceback" not in message and "Unexpected" not in message
    assert files_in(Path()) == {}


def test_what_nobody_in_the_training_data_does_is_generated_with_a_warning(run: Run) -> None:
    code, said = run(*WALK, *SMALL, "--activity", "run")
    assert code == 0
    assert "Warning: extrapolation: people in the training data run at 2 to 5 m/s, not 1.2 m/s" in said


def test_a_draw_that_is_no_gait_is_drawn_again_and_nothing_is_written_if_all_are_none(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    physics = estimators.load_estimator("physics")
    calls: list[Trial] = []

    def fails(times: int) -> None:
        calls.clear()

        def estimator(trial: Trial, *, seed: int = 0) -> object:
            calls.append(trial)
            if len(calls) <= times:
                raise InvalidMotionError("no foot ever rests on the ground.")
            return physics(trial, seed=seed)

        monkeypatch.setattr(estimators, "load_estimator", lambda name: estimator)

    fails(1)
    assert run(*WALK, *SMALL, "-n", "2")[0] == 0
    assert len(calls) == 3
    fails(100)
    code, said = run(*WALK, *SMALL, "--out", "none")
    assert code == 2 and "no foot ever stood" in said
    assert not Path("none").exists()
