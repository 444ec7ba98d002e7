"""`gaitdynamics modify` as a user meets it: what it writes, what it says, what it refuses."""

import io
import json
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pytest
from made_up_versions import bent
from rich.console import Console
from version_commands import (
    NUM_FRAMES,
    Commands,
    enter_folder,
    figures_of,
    files_in,
    gait_files,
    rows_of,
    write_walk,
)

from gaitdynamics.apps.changed_coordinates import dose_label, followed_coordinates, shown_curve
from gaitdynamics.apps.measured_versions import MeasuredGait, MeasuredVersion
from gaitdynamics.apps.version_files import version_warnings
from gaitdynamics.apps.version_tables import Row, shown_table, split_side
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.biomech.joint_loads import joint_loads, load_parameters
from gaitdynamics.io.forces import ground_reaction_from_sides, read_plates
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.gait_changes import parse_change
from gaitdynamics.tasks.gait_versions import GaitVersion
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

MODIFY = (
    "modify",
    "walk.mot",
    "--model",
    "subject.osim",
    "--weights",
    "physics",
    "--belt-speed",
    "0",
    "--samples",
    "3",
)
BEND = ("--change", "lumbar_bending*2")
ALL = {"walk_modified.json", "walk_modified.csv", "walk_modified.png"}
PNG_START = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    enter_folder(tmp_path, monkeypatch)
    return Commands(monkeypatch, capsys)


@pytest.fixture
def drawing_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    enter_folder(tmp_path, monkeypatch)
    return Commands(monkeypatch, capsys, is_drawn=True)


@pytest.fixture
def real_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    enter_folder(tmp_path, monkeypatch)
    return Commands(monkeypatch, capsys, is_made_up=False)


def record() -> dict:
    return json.loads(Path("walk_modified.json").read_text())


def test_a_change_gives_a_gait_a_record_a_table_and_a_picture(run: Commands) -> None:
    code, out, said = run(*MODIFY, *BEND)
    assert code == 0
    assert said == "Warning: This one is made up."
    assert set(files_in(Path())) == gait_files("walk_modified") | ALL
    content = record()
    assert content["format"] == 1
    assert (content["changes"], content["doses"], content["method"]) == (["lumbar_bending*2"], None, "balanced")
    recorded, changed = content["versions"]
    assert "files" not in recorded and set(changed["files"].values()) == gait_files("walk_modified")
    assert changed["realism"]["mean_vertical_bw"] == pytest.approx(1.0, abs=0.05)
    assert content["provenance"]["motion_sha256"] and content["provenance"]["weights"] == "physics"
    assert "knee adduction, 1st peak, %BW·BH" in out
    assert "lumbar_bending, largest" in out
    assert "[" in out  # intervals


def test_the_numbers_are_those_of_the_written_motion_and_forces(run: Commands) -> None:
    assert run(*MODIFY, *BEND)[0] == 0
    skeleton = read_model(Path("subject.osim"))
    motion, warnings = read_motion(Path("walk_modified_motion.mot"), skeleton.coordinates)
    assert warnings == ()
    forces = ground_reaction_from_sides(read_plates(Path("walk_modified_forces.mot")))
    subject = record()["subject"]
    person = Subject("again", subject["mass_kg"], subject["height_m"])
    trial = Trial("again", person, skeleton, motion, None, 0.0, "")
    expected = gait_parameters(trial, forces, belt_speed_m_s=0.0)
    expected |= load_parameters(joint_loads(trial, forces), forces, person)
    found = {name: numbers["value"] for name, numbers in record()["versions"][1]["parameters"].items()}
    assert len(expected) > 100
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-3, abs=2e-3), name


def test_changes_are_differences_from_the_recorded_gait_and_lie_in_their_intervals(run: Commands) -> None:
    assert run(*MODIFY, *BEND)[0] == 0
    recorded, changed = (version["parameters"] for version in record()["versions"])
    assert changed["lumbar_bending_max_deg"]["value"] == pytest.approx(
        2 * recorded["lumbar_bending_max_deg"]["value"], abs=1e-4
    )
    assert "change" not in recorded["stride_length_m"]
    with_interval = [each for each in changed.values() if each["value"] is not None]
    assert len(with_interval) > 100
    for name, each in changed.items():
        if each["value"] is not None:
            assert each["change"] == pytest.approx(each["value"] - recorded[name]["value"], abs=2e-5)
            assert each["lower"] <= each["value"] <= each["upper"]
            assert each["change_lower"] <= each["change"] <= each["change_upper"]
    assert changed["hip_flexion_max_deg"]["upper"] > changed["hip_flexion_max_deg"]["lower"]


def test_a_sweep_gives_each_dose_its_files_and_its_lines_of_the_table(run: Commands) -> None:
    code, _, said = run(*MODIFY, *BEND, "--sweep", "1,1.5,2.5")
    assert code == 0
    assert said == "Warning: lumbar_bending*2.5: This one is made up."
    doses = ("1", "1.5", "2.5")
    assert set(files_in(Path())) == ALL.union(*(gait_files(f"walk_modified_{dose}") for dose in doses))
    assert run.versions.asked[0]["doses"] == (1.0, 1.5, 2.5)
    rows = rows_of(Path("walk_modified.csv").read_text())
    assert list(rows[0])[:4] == ["parameter", "side", "version", "dose"]
    peaks = [row for row in rows if row["parameter"] == "knee_adduction_first_peak_pct_bw_bh"]
    assert {row["side"] for row in peaks} == {"right", "left", "both"}
    right = [row for row in peaks if row["side"] == "right"]
    assert [row["version"] for row in right] == ["as recorded", *(f"lumbar_bending*{dose}" for dose in doses)]
    assert right[0]["change"] == "" and float(right[1]["change"]) == pytest.approx(0.0, abs=1e-9)
    assert record()["doses"] == [1.0, 1.5, 2.5]


def test_opensim_reads_the_motion_with_its_forces(run: Commands, opensim: ModuleType) -> None:
    assert run(*MODIFY, *BEND, "--sweep", "1.5")[0] == 0
    storage = opensim.Storage("walk_modified_1.5_motion.mot")
    assert storage.isInDegrees()
    assert storage.getSize() == NUM_FRAMES
    loads = opensim.ExternalLoads("walk_modified_1.5_external_loads.xml", True)
    assert loads.getSize() == 2
    assert loads.getDataFileName() == "walk_modified_1.5_forces.mot"


def test_the_same_seed_writes_the_same_bytes_whatever_the_users_plots_look_like(drawing_run: Commands) -> None:
    run = drawing_run
    for folder, seed in (("first", "5"), ("other", "6")):
        assert run(*MODIFY, *BEND, "--seed", seed, "--out", folder)[0] == 0
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 20}):
        assert run(*MODIFY, *BEND, "--seed", "5", "--out", "second")[0] == 0
        assert mpl.rcParams["font.size"] == 30
    first, second, other = (files_in(Path(folder)) for folder in ("first", "second", "other"))
    assert first == second
    assert first["walk_modified.png"].startswith(PNG_START)
    assert first["walk_modified.png"] != other["walk_modified.png"]
    assert first["walk_modified.csv"] != other["walk_modified.csv"]


def test_the_picture_of_a_sweep_shows_every_dose_before_and_after_on_both_sides(
    drawing_run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = figures_of(monkeypatch)
    assert drawing_run(*MODIFY, *BEND, "--sweep", "1,2")[0] == 0
    (figure,) = drawn
    moment, _, _, bending, peaks, *_ = figure.axes
    assert moment.get_ylabel() == "knee adduction moment,\n%BW·BH" and moment.get_xlabel() == "stance, %"
    curves = [line.get_ydata() for line in bending.lines if len(line.get_ydata()) == 101]
    assert len(curves) == 3  # as recorded, and two doses
    np.testing.assert_allclose(curves[1], curves[0])
    np.testing.assert_allclose(curves[2], 2 * curves[0])
    assert len(bending.collections) == 2  # bands of the samples
    labels = [text.get_text() for text in peaks.get_legend().get_texts()]
    assert labels == ["right, first peak", "right, second peak", "left, first peak", "left, second peak"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:3] == [
        "as recorded",
        "lumbar_bending*1",
        "lumbar_bending*2",
    ]


def test_the_bundled_models_change_a_gait_and_leave_it_as_it_was_at_a_factor_of_one(real_run: Commands) -> None:
    asked = (*MODIFY[:4], "--belt-speed", "0", "--samples", "2", *BEND, "--sweep", "1,3")
    assert real_run(*asked)[0] == 0
    recorded, same, leaning = (version["parameters"] for version in record()["versions"])
    assert len(same) > 100
    for name, each in same.items():
        if each["value"] is not None:
            assert each["value"] == pytest.approx(recorded[name]["value"], rel=0.01, abs=0.02), name
    assert leaning["trunk_lean_max_deg"]["change"] > 1.0
    assert leaning["lumbar_bending_max_deg"]["value"] == pytest.approx(
        3 * recorded["lumbar_bending_max_deg"]["value"], rel=0.02
    )


def test_results_are_kept_unless_told_otherwise_and_doses_of_an_earlier_sweep_do_not_stay(run: Commands) -> None:
    assert run(*MODIFY, *BEND, "--sweep", "1,2")[0] == 0
    Path("walk_modified_7_motion.mot").write_text("of another program")
    before = files_in(Path())
    code, _, said = run(*MODIFY, *BEND)
    assert code == 2 and "exists already" in said
    assert files_in(Path()) == before
    assert run(*MODIFY, *BEND, "--overwrite")[0] == 0
    assert set(files_in(Path())) == gait_files("walk_modified") | ALL | {"walk_modified_7_motion.mot"}


def test_no_result_replaces_an_input(run: Commands) -> None:
    curve = "percent,value\n" + "".join(f"{k},10\n" for k in range(0, 101, 10))
    Path("walk_modified.csv").write_text(curve)
    code, _, said = run(*MODIFY, "--change", "lumbar_bending=walk_modified.csv", "--overwrite")
    assert code == 2 and "would replace an input" in said
    assert Path("walk_modified.csv").read_text() == curve


def test_the_record_names_a_curve_and_not_where_it_lies(run: Commands, tmp_path: Path) -> None:
    curve = tmp_path / "bend.csv"
    curve.write_text("percent,value\n" + "".join(f"{k},10\n" for k in range(0, 101, 10)))
    # The made-up versions know factors alone.
    assert run(*MODIFY, "--change", f"lumbar_bending={curve}", "--sweep", "0.5,1")[0] == 0
    assert record()["changes"] == ["lumbar_bending=bend.csv"]
    assert set(record()["provenance"]["curves_sha256"]) == {"bend.csv"}
    assert str(tmp_path) not in Path("walk_modified.json").read_text()


def test_what_is_missing_is_completed_first_and_said(run: Commands) -> None:
    write_walk(Path("walk.mot"), without=("hip_rotation_r",))
    code, _, said = run(*MODIFY, *BEND)
    assert code == 0
    assert "Not measured, so completed first: hip_rotation_r." in said
    assert record()["completion"]["filled"] == {"hip_rotation_r": "all"}
    (asked,) = run.versions.asked
    trial: Trial = asked["trial"]
    assert trial.motion.observed[:, trial.motion.coordinates.index("hip_rotation_r")].all()


def test_a_whole_motion_needs_no_completion(run: Commands) -> None:
    assert run(*MODIFY, *BEND)[0] == 0
    assert run.completer.trials == []
    assert "completion" not in record()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*BEND, "--change", "toe_out+5", "--sweep", "1,2"), "a sweep varies the number of one change, and 2 are"),
        ((*BEND, "--sweep", "1,x"), "'x' is no dose"),
        ((*BEND, "--sweep", "1,nan"), "'nan' is no dose"),
        ((*BEND, "--sweep", ""), "'' is no dose"),
        ((*BEND, "--sweep", "1,2,1.0"), "the dose 1 is given twice"),
        ((*BEND, "--sweep", ",".join(map(str, range(21)))), "21 are more than 20"),
        ((*BEND, "--method", "magic"), "'magic' is none; expected balanced or guided"),
        ((*BEND, "--belt-speed", "fast"), "'fast' is no treadmill speed"),
        ((*BEND, "--samples", "0"), "'--samples'"),
        (("--change", "lumbar_bendin*2"), "Did you mean 'lumbar_bending'"),
        (("--change", "lumbar_bending"), "is not a change that is understood"),
        (("--change", "lumbar_bending*inf"), "no amount to change a gait by"),
        (("--change", "lumbar_bending=nowhere.csv"), "nowhere.csv"),
        ((), "Missing option '--change'"),
    ],
)
def test_what_can_not_be_asked_for_is_refused_with_one_message(
    run: Commands, arguments: tuple[str, ...], said: str
) -> None:
    code, _, message = run(*MODIFY, *arguments)
    assert code == 2
    assert said in message
    assert "Traceback" not in message and "Unexpected" not in message
    assert files_in(Path()) == {}


def test_a_motion_that_is_not_there_is_named(run: Commands) -> None:
    code, _, said = run("modify", "nowhere.mot", "--model", "subject.osim", *BEND, "--weights", "physics")
    assert code == 2 and "nowhere.mot" in said
    assert files_in(Path()) == {}


def gait(**parameters: float | None) -> MeasuredGait:
    return MeasuredGait(parameters, {})


@pytest.fixture(scope="module")
def version(body: Skeleton, walk: Motion) -> GaitVersion:
    trial = Trial("walk", Subject("anyone", 75.0, 1.75), body, walk, None, 0.0, "made up")
    return GaitVersion("as recorded", 1.0, trial, estimate_forces(trial))


def test_an_interval_holds_nine_of_ten_samples_and_changes_are_taken_sample_by_sample(version: GaitVersion) -> None:
    before = MeasuredVersion(version, gait(a=1.0), tuple(gait(a=float(k)) for k in range(101)))
    after = MeasuredVersion(version, gait(a=3.0), tuple(gait(a=float(k) + 2.0) for k in range(101)))
    assert after.parameter("a").lower == pytest.approx(3.0)  # the value itself, though nineteen of twenty are larger
    assert after.parameter("a").upper == pytest.approx(97.0)
    change = after.change("a", before)
    assert (change.value, change.lower, change.upper) == (2.0, 2.0, 2.0)
    unpaired = after.change("a", MeasuredVersion(version, gait(a=1.0), ()))
    assert unpaired.upper == pytest.approx(96.0)


def test_few_samples_have_no_interval_and_what_is_unknown_no_change(version: GaitVersion) -> None:
    two = MeasuredVersion(version, gait(a=1.0, b=None), (gait(a=0.0, b=1.0), gait(a=2.0, b=None)))
    assert (two.parameter("a").value, two.parameter("a").lower) == (1.0, None)
    assert two.change("b", two).value is None


def test_a_warning_is_given_once_and_says_of_which_versions_it_is(version: GaitVersion) -> None:
    def of(label: str, *warnings: str) -> GaitVersion:
        return GaitVersion(label, 1.0, version.trial, version.prediction, (), warnings)

    found = version_warnings([of("as recorded", "a"), of("x", "a", "b", "c"), of("y", "b"), of("z", "b", "c", "z: d")])
    assert found == ("a", "b", "x, z: c", "z: d")


def test_sides_are_told_from_names() -> None:
    assert split_side("hip_flexion_max_deg_right") == ("hip_flexion_max_deg", "right")
    assert split_side("hip_flexion_r_max_deg") == ("hip_flexion_r_max_deg", "both")


def test_a_narrow_terminal_gets_numbers_without_intervals(version: GaitVersion) -> None:
    samples = tuple(gait(a=float(k)) for k in range(10))
    versions = [MeasuredVersion(version, gait(a=5.0), samples) for _ in range(3)]
    for width, expected in ((60, "5.00"), (100, "5.00 [0.45, 8.55]")):
        table = shown_table(versions, [Row("a", "a label", 2)], title="t", heads=("x",) * 3, width=width)
        printed = io.StringIO()
        Console(width=width, file=printed).print(table)
        (line,) = [line for line in printed.getvalue().splitlines() if line.strip().startswith("a label")]
        assert line.split("  ", 2)[-1].split("   ")[-1].strip() == expected


@pytest.mark.parametrize(
    ("text", "coordinates", "curve", "label"),
    [
        ("lumbar_bending*2", [("lumbar_bending",) * 2], "stride_lumbar_bending", "factor of lumbar_bending"),
        ("hip_flexion_l+5", [("hip_flexion_r", "hip_flexion_l")], "stride_hip_flexion", "added to hip_flexion_l, °"),
        ("knee_angle-5", [("knee_angle_r", "knee_angle_l")], "stride_knee_angle", "added to knee_angle, °"),
        ("toe_out+5", [], "stance_toe_out", "added to toe_out, °"),
        ("trunk_sway*2", [], "stride_trunk_lean", "factor of trunk_sway"),
        ("step_width+0.05", [], "stride_hip_adduction", "added to step_width, m"),
        ("cadence+10", [], "stride_knee_flexion", "added to cadence, steps/min"),
    ],
)
def test_what_shows_a_change_is_found_by_its_name(
    body: Skeleton, text: str, coordinates: list[tuple[str, str]], curve: str, label: str
) -> None:
    change = parse_change(text, body)
    followed = followed_coordinates([change], body)
    assert [each.coordinates for each in followed] == coordinates
    assert shown_curve(change, followed, body).curve == curve
    assert dose_label(change, body) == label


def test_the_made_up_gait_differs_from_the_recorded_in_the_trunk_alone(version: GaitVersion) -> None:
    moved = bent(version.trial, 2.0).values != version.trial.motion.values
    assert np.flatnonzero(moved.any(axis=0)).tolist() == [version.trial.motion.coordinates.index("lumbar_bending")]
