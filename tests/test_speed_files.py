"""`gaitdynamics speed` as a user meets it: what it writes, what it says, what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_versions import EXTRAPOLATED_ABOVE_M_S
from version_commands import Commands, enter_folder, figures_of, files_in, gait_files, rows_of, write_walk

from gaitdynamics.apps import speed_files
from gaitdynamics.apps.terminal import amounts
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.external_loads import read_loaded_plates
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model

SPEED = ("speed", "walk.mot", "--model", "subject.osim", "--weights", "physics", "--belt-speed", "0", "--samples", "3")
ALL = {"walk_speeds.json", "walk_speeds.csv", "walk_speeds.png"}
FAST = EXTRAPOLATED_ABOVE_M_S + 0.2


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    enter_folder(tmp_path, monkeypatch)
    return Commands(monkeypatch, capsys)


@pytest.fixture
def drawing_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    enter_folder(tmp_path, monkeypatch)
    return Commands(monkeypatch, capsys, is_drawn=True)


def record() -> dict:
    return json.loads(Path("walk_speeds.json").read_text())


def test_each_speed_has_its_files_and_all_a_record_a_table_and_a_picture(run: Commands) -> None:
    code, out, _ = run(*SPEED, "--to", "1.0, 1.5", "--activity", "walk", "--out", "new/folder")
    assert code == 0
    written = files_in(Path("new/folder"))
    assert set(written) == ALL | gait_files("walk_speed_1") | gait_files("walk_speed_1.5")
    content = json.loads(written["walk_speeds.json"])
    assert content["format"] == 1
    assert (content["to_m_s"], content["activity"]) == ([1.0, 1.5], "walk")
    assert [version["speed_m_s"] for version in content["versions"]] == [1.3, 1.0, 1.5]
    assert content["provenance"]["response"] == "starter_speed"
    rows = rows_of(written["walk_speeds.csv"].decode())
    cadence = [float(row["value"]) for row in rows if row["parameter"] == "cadence_steps_per_min"]
    assert cadence[1] < cadence[0] < cadence[2]
    assert "contact time, ms" in out and "1.5 m/s" in out
    assert "Outside the training data" not in out


def test_the_written_motion_and_forces_belong_together(run: Commands) -> None:
    assert run(*SPEED, "--to", "1.5")[0] == 0
    skeleton = read_model(Path("subject.osim"))
    motion, _ = read_motion(Path("walk_speed_1.5_motion.mot"), skeleton.coordinates)
    plates = read_loaded_plates(Path("walk_speed_1.5_external_loads.xml"))
    for plate in plates:
        np.testing.assert_allclose(plate.time_s, motion.time_s, atol=1e-6)
    total = sum(plate.force_n[:, 1] for plate in plates)
    assert total.mean() == pytest.approx(75.0 * 9.81, rel=0.05)


def test_a_speed_outside_the_training_data_is_marked_in_table_record_and_picture(
    drawing_run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = figures_of(monkeypatch)
    code, out, _ = drawing_run(*SPEED, "--to", f"1.5,{FAST}")
    assert code == 0
    assert f"{FAST:g} m/s*" in out and "* Outside the training data." in " ".join(out.split())
    assert [version["is_extrapolated"] for version in record()["versions"]] == [False, False, True]
    panel, curves = drawn[0].axes[0], drawn[0].axes[-1]
    styles = [line.get_linestyle() for line in curves.lines if len(line.get_xdata()) == 101]
    assert styles == ["-", "-", "--"]
    assert len(curves.collections) == 2  # bands of the samples at both speeds
    (shaded,) = [patch for patch in panel.patches if patch.get_x() > 1.3]
    assert shaded.get_x() == pytest.approx((1.5 + FAST) / 2)
    shown = [line for line in panel.lines if line.get_marker() == "o" and line.get_linestyle() == "None"]
    faces = {x: line.get_markerfacecolor() for line in shown for x in line.get_xdata()}
    assert faces[FAST] == "white" and faces[1.5] != "white" and len(faces) == 3


def test_the_same_seed_writes_the_same_bytes(drawing_run: Commands) -> None:
    for folder, seed in (("first", "5"), ("second", "5"), ("other", "6")):
        assert drawing_run(*SPEED, "--to", "1.5", "--seed", seed, "--out", folder)[0] == 0
    first, second, other = (files_in(Path(folder)) for folder in ("first", "second", "other"))
    assert first == second
    assert first["walk_speeds.csv"] != other["walk_speeds.csv"]


def test_results_are_kept_unless_told_otherwise_and_speeds_of_an_earlier_run_do_not_stay(run: Commands) -> None:
    assert run(*SPEED, "--to", "1,1.5")[0] == 0
    before = files_in(Path())
    code, _, said = run(*SPEED, "--to", "1.2")
    assert code == 2 and "exists already" in said
    assert files_in(Path()) == before
    assert run(*SPEED, "--to", "1.2", "--overwrite")[0] == 0
    assert set(files_in(Path())) == ALL | gait_files("walk_speed_1.2")


def test_an_earlier_result_that_is_the_input_now_is_kept(run: Commands) -> None:
    assert run(*SPEED, "--to", "1,1.5")[0] == 0
    before = files_in(Path())
    kept = Path("walk_speed_1_motion.mot")
    model = ("--model", "subject.osim", "--weights", "physics", "--belt-speed", "0", "--samples", "1")
    kept.rename("walk.mot")  # the slow gait under the first one's name
    Path("walk_speed_1_motion.mot").symlink_to(Path("walk.mot").resolve())
    code, _, said = run("speed", "walk.mot", *model, "--to", "1.2", "--overwrite")
    assert code == 2 and "would replace an input" in said
    assert files_in(Path()).keys() == before.keys()


def test_what_is_missing_is_completed_first_and_said(run: Commands) -> None:
    write_walk(Path("walk.mot"), without=("knee_angle_l",))
    code, _, said = run(*SPEED, "--to", "1.5")
    assert code == 0
    assert "Not measured, so completed first: knee_angle_l." in said
    assert record()["completion"]["filled"] == {"knee_angle_l": "all"}


def test_an_error_names_the_file_once(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_speed(*arguments: object, **options: object) -> None:
        raise InvalidMotionError("walk: no complete stride in 1 s of motion.")

    monkeypatch.setattr(speed_files, "change_speed", change_speed)
    code, _, said = run(*SPEED, "--to", "1.5")
    assert code == 2
    assert said == "Error: walk.mot: no complete stride in 1 s of motion."
    assert files_in(Path()) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "1,fast"), "'fast' is no speed"),
        (("--to", "1,,2"), "'' is no speed"),
        (("--to", "1,0"), "0 m/s is no speed of a gait"),
        (("--to", "-1"), "-1 m/s is no speed of a gait"),
        (("--to", "1.5,1.50"), "the speed 1.5 is given twice"),
        (("--to", "inf"), "'inf' is no speed"),
        ((), "Missing option '--to'"),
    ],
)
def test_what_is_no_speed_is_refused_with_one_message(run: Commands, arguments: tuple[str, ...], said: str) -> None:
    code, _, message = run(*SPEED, *arguments)
    assert code == 2
    assert said in message
    assert "Traceback" not in message and "Unexpected" not in message
    assert files_in(Path()) == {}


def test_the_bundled_models_bring_a_gait_to_another_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter_folder(tmp_path, monkeypatch)
    real_run = Commands(monkeypatch, capsys, is_made_up=False)
    code, _, said = real_run(*SPEED[:4], "--belt-speed", "0", "--samples", "1", "--to", "1.1,1.6")
    assert (code, said) == (0, "")
    recorded, slow, fast = (version["parameters"] for version in record()["versions"])
    assert slow["speed_m_s"]["value"] == pytest.approx(1.1, abs=0.03)
    assert fast["speed_m_s"]["value"] == pytest.approx(1.6, abs=0.03)
    for name in ("stride_length_m", "cadence_steps_per_min", "peak_vertical_bw"):
        assert slow[name]["value"] < recorded[name]["value"] < fast[name]["value"]
    assert slow["stride_length_m"]["lower"] is None  # of a single sample


def test_amounts_keep_their_order() -> None:
    assert amounts("3, 1.5,2e0", option="--to", what="speed") == (3.0, 1.5, 2.0)
