"""The command line as a user meets it: what it prints, how it exits, what it leaves behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moved_completer import MovedCompleter
from published_weights import HEADS, refinement_tensors, save_as_the_authors

from gaitdynamics.apps import completed_files, estimate_files
from gaitdynamics.apps.cli import main
from gaitdynamics.io.table import format_table, read_table
from gaitdynamics.tasks import estimators
from gaitdynamics.tasks.estimate_forces import estimate_forces

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
SUFFIXES = ("_external_loads.xml", "_force_intervals.mot", "_forces.mot", "_summary.json")
PHYSICS_SUFFIXES = ("_external_loads.xml", "_forces.mot", "_summary.json")
TRANSLATIONS = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
METRICS = (
    "vertical_mae_pct_bw",
    "anteroposterior_mae_pct_bw",
    "mediolateral_mae_pct_bw",
    "vertical_peak_mae_pct_bw",
    "cop_mae_mm",
)
FIGURES = (*METRICS, "interval_coverage_pct")


@dataclass(frozen=True)
class Outcome:
    """Of one command."""

    exit_code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """What was printed on stderr, without the line breaks and boxes of the terminal."""
        return " ".join(self.err.replace("│", " ").split())


@dataclass(frozen=True)
class Columns:
    """A motion file to be spoilt: times, and columns by name, degrees and metres."""

    time_s: np.ndarray
    of: dict[str, np.ndarray]
    in_degrees: bool | None = True

    def write(self, path: Path) -> None:
        values = np.stack(list(self.of.values()), axis=1)
        text = format_table(
            path.stem, list(self.of), values, time_s=self.time_s, in_degrees=self.in_degrees, decimals=8
        )
        path.write_text(text, encoding="utf-8")


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "500")

    def command(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gaitdynamics", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return command


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def walk() -> Columns:
    table = read_table(WALK)
    return Columns(table.time_s, dict(zip(table.labels, table.values.T.copy(), strict=True)))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(outcome: Outcome, *parts: str) -> None:
    """Exit code 2, one message with these parts on stderr and nothing on stdout, no file written."""
    assert outcome.exit_code == 2, outcome
    for part in parts:
        assert part in outcome.message
    assert "Traceback" not in outcome.err
    assert "Unexpected" not in outcome.err
    assert outcome.err.count("Error: ") + outcome.err.count("─ Error ─") == 1
    assert outcome.out == ""
    assert files_in(Path.cwd()) == []


def results(suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Names of what the bundled walk gives, sorted."""
    return [f"synthetic_walk{suffix}" for suffix in suffixes]


def test_one_motion_makes_four_files_whose_paths_are_printed(run: Run) -> None:
    outcome = run("estimate", WALK, "--model", BODY, "--out", "new/folder")
    suffixes = ("_forces.mot", "_external_loads.xml", "_summary.json", "_force_intervals.mot")
    assert outcome == Outcome(0, "".join(f"new/folder/synthetic_walk{suffix}\n" for suffix in suffixes), "")
    assert files_in(Path("new/folder")) == results()


def test_physics_has_no_intervals_and_makes_three_files(run: Run) -> None:
    outcome = run("estimate", WALK, "--model", BODY, "--weights", "physics", "--out", "new/folder")
    suffixes = ("_forces.mot", "_external_loads.xml", "_summary.json")
    assert outcome == Outcome(0, "".join(f"new/folder/synthetic_walk{suffix}\n" for suffix in suffixes), "")
    assert files_in(Path("new/folder")) == results(PHYSICS_SUFFIXES)


def test_the_estimator_is_the_bundled_one_unless_another_is_named(run: Run) -> None:
    for options, name in (
        ((), "starter"),
        (("--weights", "starter"), "starter"),
        (("--weights", "physics"), "physics"),
    ):
        assert run("estimate", WALK, "--model", BODY, "--overwrite", *options).exit_code == 0
        summary = json.loads(Path("synthetic_walk_summary.json").read_text())
        assert summary["provenance"]["weights"] == name


@pytest.mark.parametrize("stale", [results(), ["synthetic_walk_force_intervals.mot"]])
def test_intervals_of_an_earlier_estimate_go_only_when_overwriting(run: Run, stale: list[str]) -> None:
    assert run("estimate", WALK, "--model", BODY).exit_code == 0
    for name in results():
        if name not in stale:
            Path(name).unlink()
    before = {name: Path(name).read_bytes() for name in stale}
    physics = ("estimate", WALK, "--model", BODY, "--weights", "physics")
    outcome = run(*physics)
    assert outcome.exit_code == 2
    assert "synthetic_walk_force_intervals.mot: exists already" in outcome.message
    assert {name: Path(name).read_bytes() for name in files_in(Path.cwd())} == before
    assert run(*physics, "--overwrite").exit_code == 0
    assert files_in(Path.cwd()) == results(PHYSICS_SUFFIXES)


def test_an_estimate_that_fails_leaves_the_earlier_one_even_when_overwriting(run: Run, inputs: Path) -> None:
    (inputs / "a.mot").write_bytes(WALK.read_bytes())
    command = ("estimate", inputs / "a.mot", "--model", BODY)
    assert run(*command).exit_code == 0
    before = {name: Path(name).read_bytes() for name in files_in(Path.cwd())}
    (inputs / "a.mot").write_text("no table\n")
    assert run(*command, "--weights", "physics", "--overwrite").exit_code == 2
    assert {name: Path(name).read_bytes() for name in files_in(Path.cwd())} == before
    assert len(before) == len(SUFFIXES)


@pytest.mark.parametrize(("weights", "suffixes"), [((), SUFFIXES), (("--weights", "physics"), PHYSICS_SUFFIXES)])
def test_the_same_command_twice_makes_the_same_bytes(
    run: Run, weights: tuple[str, ...], suffixes: tuple[str, ...]
) -> None:
    for folder in ("first", "second"):
        assert run("estimate", WALK, "--model", BODY, "--out", folder, *weights).exit_code == 0
        assert files_in(Path(folder)) == results(suffixes)
    for name in results(suffixes):
        assert (Path("first") / name).read_bytes() == (Path("second") / name).read_bytes()


def test_names_with_blanks_brackets_and_letters_of_all_languages_work(run: Run, inputs: Path, walk: Columns) -> None:
    motion, model = inputs / "été [red] ☃.mot", inputs / "läufer 1.osim"
    walk.write(motion)
    model.write_bytes(BODY.read_bytes())
    outcome = run("estimate", motion, WALK, "--model", model, "--out", "zu Hause")
    assert outcome.exit_code == 0
    assert motion.name in outcome.out
    assert "zu Hause" in outcome.out
    assert Path("zu Hause/été [red] ☃_forces.mot").is_file()


def test_of_several_motions_one_failure_does_not_stop_the_others(run: Run, inputs: Path) -> None:
    (inputs / "broken.mot").write_text("no table\n")
    (inputs / "other.mot").write_bytes(WALK.read_bytes())
    outcome = run("estimate", WALK, inputs / "broken.mot", inputs / "other.mot", "--model", BODY)
    assert outcome.exit_code == 1
    names = [f"{stem}{suffix}" for stem in ("other", "synthetic_walk") for suffix in SUFFIXES]
    assert files_in(Path.cwd()) == names
    assert "failed" in outcome.out
    assert "broken.mot: no line 'endheader'" in outcome.message
    assert outcome.out.count("1.30") == 2


def test_several_good_motions_exit_with_nothing_wrong(run: Run, inputs: Path) -> None:
    (inputs / "other.mot").write_bytes(WALK.read_bytes())
    outcome = run("estimate", WALK, inputs / "other.mot", "--model", BODY)
    assert outcome.exit_code == 0
    assert "failed" not in outcome.out
    assert outcome.err == ""


def test_a_warning_about_several_motions_is_printed_once(run: Run, inputs: Path) -> None:
    (inputs / "other.mot").write_bytes(WALK.read_bytes())
    outcome = run("estimate", WALK, inputs / "other.mot", "--model", BODY, "--belt-speed", "1.3")
    assert outcome.message.count("Warning: 2 motions: The belt speed is given as 1.30 m/s") == 1


def test_a_fault_of_ours_in_one_motion_is_named_and_does_not_stop_the_others(
    run: Run, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs / "other.mot").write_bytes(WALK.read_bytes())
    read = completed_files.read_recording

    def faulty(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.stem == "other":
            raise KeyError("knee")
        return read(path, *arguments, **options)

    monkeypatch.setattr(completed_files, "read_recording", faulty)
    outcome = run("estimate", inputs / "other.mot", WALK, "--model", BODY)
    assert outcome.exit_code == 1
    assert "Unexpected KeyError" in outcome.message
    assert files_in(Path.cwd()) == results()
    outcome = run("estimate", inputs / "other.mot", "--model", BODY)
    assert outcome.exit_code == 2
    assert "Unexpected KeyError: 'knee'. This is a fault of gaitdynamics" in outcome.message
    assert "Traceback" not in outcome.err


def test_existing_results_are_kept_unless_told_otherwise(run: Run) -> None:
    Path("synthetic_walk_summary.json").write_text("precious")
    outcome = run("estimate", WALK, "--model", BODY)
    assert outcome.exit_code == 2
    assert "synthetic_walk_summary.json: exists already" in outcome.message
    assert "--overwrite" in outcome.message
    assert files_in(Path.cwd()) == ["synthetic_walk_summary.json"]
    assert Path("synthetic_walk_summary.json").read_text() == "precious"
    assert run("estimate", WALK, "--model", BODY, "--overwrite").exit_code == 0
    assert json.loads(Path("synthetic_walk_summary.json").read_text())["motion"] == "synthetic_walk.mot"


def spoil_nothing_but(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Columns], Columns]:
    def spoil(walk: Columns) -> Columns:
        change(walk.of)
        return walk

    return spoil


def renamed(old: str, new: str) -> Callable[[Columns], Columns]:
    return lambda walk: Columns(walk.time_s, {new if name == old else name: v for name, v in walk.of.items()})


def frames(chosen: slice) -> Callable[[Columns], Columns]:
    return lambda walk: Columns(walk.time_s[chosen], {name: values[chosen] for name, values in walk.of.items()})


def without_frames(gap: slice) -> Callable[[Columns], Columns]:
    return lambda walk: Columns(
        np.delete(walk.time_s, gap), {name: np.delete(values, gap) for name, values in walk.of.items()}
    )


def with_value(name: str, frame: int, value: float) -> Callable[[Columns], Columns]:
    return spoil_nothing_but(lambda of: of[name].__setitem__(frame, value))


def with_time(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Columns], Columns]:
    return lambda walk: Columns(change(walk.time_s.copy()), walk.of)


def repeated_time(time_s: np.ndarray) -> np.ndarray:
    time_s[100] = time_s[99]
    return time_s


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        pytest.param(
            with_time(repeated_time),
            ("time goes from 0.99 s in row 100 to 0.99 s", "must increase"),
            id="time does not increase",
        ),
        pytest.param(
            with_time(lambda time_s: 1000 * time_s), ("10 s apart", "milliseconds"), id="time in milliseconds"
        ),
        pytest.param(
            without_frames(slice(200, 300)), ("no frames between 1.99 s and 3 s", "a gap of 1.01 s"), id="gap in time"
        ),
        pytest.param(
            renamed("knee_angle_r", "knee_angl_r"),
            ("no coordinate 'knee_angl_r'", "Did you mean 'knee_angle_r'?"),
            id="misspelt coordinate",
        ),
        pytest.param(frames(slice(1)), ("1 frame(s); a motion needs at least 4",), id="one frame"),
        pytest.param(frames(slice(0)), ("no rows of numbers",), id="no frames"),
        pytest.param(
            with_value("knee_angle_l", 50, 400.0),
            ("'knee_angle_l' is 400° at 0.5 s (1 of 601 frames)", "no joint reaches"),
            id="impossible knee angle",
        ),
        pytest.param(
            with_value("knee_angle_l", 50, -np.inf), ("'knee_angle_l' is -inf at 0.5 s",), id="infinite knee angle"
        ),
        pytest.param(
            lambda walk: Columns(walk.time_s, {"mtp_angle_r": walk.of["pelvis_tilt"]}),
            ("nothing of pelvis, trunk and legs is known", "gaitdynamics generate"),
            id="nothing but toes",
        ),
        pytest.param(
            with_value("lumbar_bending", 50, np.inf), ("'lumbar_bending' is inf at 0.5 s",), id="infinite trunk angle"
        ),
        pytest.param(
            spoil_nothing_but(lambda of: of.update({name: 1000 * of[name] for name in TRANSLATIONS})),
            ("looks like millimetres", "Divide the translations by 1000"),
            id="millimetres",
        ),
        pytest.param(
            spoil_nothing_but(
                lambda of: of.update(
                    {name: np.random.default_rng(0).normal(0, 40, len(column)) for name, column in of.items()}
                )
            ),
            ("spoilt.mot: no foot ever rests on the ground",),
            id="noise",
        ),
    ],
)
def test_a_motion_that_cannot_be_used_is_refused(
    run: Run, inputs: Path, walk: Columns, spoil: Callable[[Columns], Columns], parts: tuple[str, ...]
) -> None:
    spoil(walk).write(inputs / "spoilt.mot")
    refused(run("estimate", inputs / "spoilt.mot", "--model", BODY), "spoilt.mot", *parts)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("notes.mot", b"hello\n", ("no line 'endheader'", "no OpenSim file", "Export it again")),
        ("table.csv", b"time,knee_angle_r\n0,1\n", ("no line 'endheader'", ".mot or .sto")),
        ("cut.mot", WALK.read_bytes()[:60], ("no line 'endheader'", "cut off")),
        ("timeless.mot", WALK.read_bytes().replace(b"time\t", b"frame\t"), ("no column 'time'",)),
        ("nothing.mot", b"", ("the file is empty",)),
        ("binary.mot", bytes(100), ("a binary file",)),
        ("model.osim", BODY.read_bytes(), ("an XML document, such as a model", "swapped")),
        ("lab.c3d", bytes(100), ("a recording of markers", "inverse kinematics")),
        ("lab.trc", b"PathFileType\t4\n", ("a recording of markers", "inverse kinematics")),
    ],
)
def test_a_file_that_is_no_motion_is_refused(
    run: Run, inputs: Path, name: str, content: bytes, parts: tuple[str, ...]
) -> None:
    (inputs / name).write_bytes(content)
    refused(run("estimate", inputs / name, "--model", BODY), name, *parts)


def test_forces_are_no_motion(run: Run, inputs: Path) -> None:
    text = format_table(
        "x", ["ground_force_r_vx"], np.zeros((9, 1)), time_s=np.arange(9) / 100, in_degrees=None, decimals=2
    )
    (inputs / "grf.mot").write_text(text)
    refused(run("estimate", inputs / "grf.mot", "--model", BODY), "grf.mot", "inverse kinematics")


def test_a_motion_that_is_not_there_is_refused(run: Run, inputs: Path) -> None:
    refused(run("estimate", inputs / "nowhere.mot", "--model", BODY), "nowhere.mot: there is no such file")
    refused(run("estimate", inputs, "--model", BODY), "this is a folder")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        pytest.param(WALK.read_bytes(), ("a motion or another table", "swapped"), id="a motion"),
        pytest.param(BODY.read_bytes()[:40000], ("cannot read this as a model", "whole"), id="cut off"),
        pytest.param(b"", ("the file is empty",), id="empty"),
        pytest.param(bytes(100), ("a binary file",), id="binary"),
        pytest.param(b"<html><body>Not found</body></html>", ("an XML document", "no OpenSim model"), id="web page"),
        pytest.param(
            BODY.read_bytes().replace(b"calcn_", b"block_").replace(b"talus_", b"wedge_").replace(b"toes_", b"tip_"),
            ("no right foot", "block_r", "rename the bodies"),
            id="no feet",
        ),
        pytest.param(
            BODY.read_bytes().replace(b"<mass>", b"<mass>0.0"), ("weigh 0.", "Give the person's mass"), id="no mass"
        ),
    ],
)
def test_a_file_that_is_no_usable_model_is_refused(
    run: Run, inputs: Path, content: bytes, parts: tuple[str, ...]
) -> None:
    (inputs / "person.osim").write_bytes(content)
    refused(run("estimate", WALK, "--model", inputs / "person.osim"), "person.osim", *parts)


def test_a_model_that_is_not_there_is_refused(run: Run, inputs: Path) -> None:
    refused(run("estimate", WALK, "--model", inputs / "nobody.osim"), "nobody.osim: no such model file")
    refused(run("estimate", WALK, "--model", inputs), "no such model file, but a folder")


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        *(("--mass", value, "a person has 10 to 300 kg") for value in ("-5", "0", "750", "nan", "inf")),
        *(("--height", value, "a person has 0.7 to 2.5 m. Give it in m") for value in ("0", "5.9", "nan")),
        ("--height", "175", "a person has 0.7 to 2.5 m. Did you mean 1.75 m?"),
        *(("--belt-speed", value, "expected metres per second") for value in ("fast", "-1", "20", "nan", "5km/h")),
        ("--mass", "heavy", "Invalid value for '--mass'"),
        ("--weights", "tomorrow", "no weights called 'tomorrow'; expected 'physics'"),
        ("--seed", "x", "Invalid value for '--seed'"),
        ("--modle", "x", "No such option: --modle"),
    ],
)
def test_an_impossible_option_is_refused(run: Run, option: str, value: str, part: str) -> None:
    refused(run("estimate", WALK, "--model", BODY, option, value), part)


def test_what_is_required_is_asked_for(run: Run) -> None:
    refused(run("estimate"), "Missing argument 'MOTION")
    refused(run("estimate", WALK), "Missing option '--model'")
    refused(run("evaluate"), "Missing argument 'STUDY'")
    refused(run("improvise"), "No such command 'improvise'")


def test_two_motions_that_would_write_the_same_file_are_refused(run: Run, inputs: Path) -> None:
    (inputs / "synthetic_walk.mot").write_bytes(WALK.read_bytes())
    refused(run("estimate", WALK, inputs / "synthetic_walk.mot", "--model", BODY), "would both write")
    refused(run("estimate", WALK, WALK, "--model", BODY), "given twice")


def test_a_walk_of_the_other_knee_sign_is_refused_with_the_reason(run: Run, inputs: Path, walk: Columns) -> None:
    flipped = {name: -values if "knee" in name else values for name, values in walk.of.items()}
    Columns(walk.time_s, flipped).write(inputs / "flipped.mot")
    refused(run("estimate", inputs / "flipped.mot", "--model", BODY), "no foot ever rests", "bends forward by 65°")


def test_a_result_never_replaces_a_motion(run: Run, inputs: Path) -> None:
    for name in ("a.mot", "a_forces.mot"):
        (inputs / name).write_bytes(WALK.read_bytes())
    command = ["estimate", inputs / "a.mot", inputs / "a_forces.mot", "--model", BODY, "--out", inputs, "--overwrite"]
    refused(run(*command), "a_forces.mot: the result would replace an input")
    assert (inputs / "a_forces.mot").read_bytes() == WALK.read_bytes()


def test_a_belt_speed_that_contradicts_the_feet_is_used_with_a_warning(run: Run) -> None:
    outcome = run("estimate", WALK, "--model", BODY, "--belt-speed", "1.3")
    assert outcome.exit_code == 0
    assert "given as 1.30 m/s, but standing feet move back at 0.00 m/s" in outcome.message


def test_a_place_where_nothing_can_be_written_is_refused(run: Run, inputs: Path) -> None:
    (inputs / "file").write_text("")
    for place in (inputs / "file", inputs / "file" / "folder"):
        refused(run("estimate", WALK, "--model", BODY, "--out", place), "this is a file", "Choose another folder")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(run: Run, inputs: Path) -> None:
    inputs.chmod(0o500)
    refused(run("estimate", WALK, "--model", BODY, "--out", inputs), "you may not write to this folder")


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        pytest.param(
            lambda walk: Columns(
                walk.time_s, {k: v if k in TRANSLATIONS else np.radians(v) for k, v in walk.of.items()}, True
            ),
            "the header says degrees, but no joint angle exceeds",
            id="radians called degrees",
        ),
        pytest.param(
            lambda walk: Columns(walk.time_s, walk.of, False),
            "the header says radians, but",
            id="degrees called radians",
        ),
        pytest.param(
            lambda walk: Columns(walk.time_s, walk.of, None), "does not say whether angles are in degrees", id="unsaid"
        ),
        pytest.param(
            spoil_nothing_but(lambda of: of.update(elbow_flex_r=of["knee_angle_r"])), "ignored 'elbow_flex_r'", id="arm"
        ),
        pytest.param(without_frames(slice(200, 205)), "0.06 s apart (from 1.99 s to 2.05 s)", id="small gap in time"),
        pytest.param(frames(slice(None, None, 10)), "0.1 s apart", id="ten hertz"),
        pytest.param(frames(slice(10)), "less than a step", id="ten frames"),
        pytest.param(with_value("pelvis_ty", 300, 2.0), "'pelvis_ty' jumps from ", id="a jump"),
        pytest.param(with_value("pelvis_ty", 300, 99.0), "no step does", id="a huge force"),
        pytest.param(with_value("knee_angle_r", 300, -40.0), "bends forward by 40°", id="knee of the other sign"),
    ],
)
def test_a_doubtful_motion_is_used_with_a_warning(
    run: Run, inputs: Path, walk: Columns, spoil: Callable[[Columns], Columns], part: str
) -> None:
    spoil(walk).write(inputs / "doubtful.mot")
    outcome = run("estimate", inputs / "doubtful.mot", "--model", BODY)
    assert outcome.exit_code == 0
    assert any(line.startswith("Warning: ") and part in line for line in outcome.err.splitlines())
    assert any(part in warning for warning in json.loads(Path("doubtful_summary.json").read_text())["warnings"])


COMPLETED = ("_filled.json", "_motion.mot", "_motion_intervals.mot")


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A completer without a network; the names by which it was asked for."""
    asked: list[str] = []

    def load(name: str) -> MovedCompleter:
        asked.append(name)
        return MovedCompleter()

    monkeypatch.setattr(estimators, "load_completer", load)
    return asked


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        pytest.param(
            with_value("lumbar_bending", 50, np.nan),
            "missing numbers in 'lumbar_bending (1 of 601 frames)'; to be completed",
            id="a missing number",
        ),
        pytest.param(
            with_value("knee_angle_l", 50, np.nan),
            "missing numbers in 'knee_angle_l (1 of 601 frames)'; to be completed",
            id="a missing knee angle",
        ),
        pytest.param(
            spoil_nothing_but(lambda of: [of.pop(f"lumbar_{axis}") for axis in ("extension", "bending", "rotation")]),
            "no column for 'lumbar_extension', 'lumbar_bending', 'lumbar_rotation'; to be completed",
            id="no trunk",
        ),
        pytest.param(
            spoil_nothing_but(lambda of: of.update(lumbar_bending=np.full(601, 2.0))),
            "'lumbar_bending' never change",
            id="a locked joint",
        ),
    ],
)
def test_an_incomplete_motion_is_completed_with_a_warning(
    run: Run, inputs: Path, walk: Columns, moved: list[str], spoil: Callable[[Columns], Columns], part: str
) -> None:
    spoil(walk).write(inputs / "part.mot")
    outcome = run("estimate", inputs / "part.mot", "--model", BODY, "--samples", "2")
    assert outcome.exit_code == 0
    assert moved == ["starter_diffusion"]
    assert files_in(Path.cwd()) == sorted(f"part{suffix}" for suffix in (*SUFFIXES, *COMPLETED))
    assert any(line.startswith("Warning: ") and part in line for line in outcome.err.splitlines())
    summary = json.loads(Path("part_summary.json").read_text())
    assert any(part in warning for warning in summary["warnings"])
    assert summary["completion"]["num_samples"] == 2


def test_what_is_called_missing_is_completed_by_the_model_of_choice(run: Run, moved: list[str]) -> None:
    command = (
        "--model",
        BODY,
        "--missing",
        "hip_right, trunk,",
        "--completion",
        "mine",
        "--seed",
        "4",
        "--samples",
        "3",
    )
    outcome = run("fill", WALK, *command)
    assert outcome.exit_code == 0
    assert moved == ["mine"]
    assert outcome.out.splitlines() == [
        f"synthetic_walk{s}" for s in ("_motion.mot", "_filled.json", "_motion_intervals.mot")
    ]
    filled = json.loads(Path("synthetic_walk_filled.json").read_text())
    assert (filled["seed"], filled["num_samples"]) == (4, 3)
    assert sorted(filled["filled"]) == [
        *("hip_adduction_r", "hip_flexion_r", "hip_rotation_r"),
        *("lumbar_bending", "lumbar_extension", "lumbar_rotation"),
    ]
    assert run("estimate", WALK, *command, "--overwrite").exit_code == 0
    assert moved == ["mine", "mine"]
    assert json.loads(Path("synthetic_walk_filled.json").read_text()) == filled


def test_a_model_of_gait_is_loaded_once_for_several_motions_and_not_for_whole_ones(
    run: Run, inputs: Path, walk: Columns, moved: list[str]
) -> None:
    with_value("knee_angle_l", 50, np.nan)(walk).write(inputs / "a.mot")
    with_value("knee_angle_r", 50, np.nan)(walk).write(inputs / "b.mot")
    (inputs / "broken.mot").write_text("no table\n")
    outcome = run("fill", inputs / "a.mot", inputs / "b.mot", inputs / "broken.mot", WALK, "--model", BODY)
    assert outcome.exit_code == 1
    assert moved == ["starter_diffusion"]
    for part in ("knee_angle_l", "knee_angle_r", "failed", "nothing", "Results in"):
        assert part in outcome.out
    assert "broken.mot: no line 'endheader'" in outcome.message
    assert "synthetic_walk.mot: nothing is missing" in outcome.message
    assert files_in(Path.cwd()) == [
        *(f"{stem}{suffix}" for stem in "ab" for suffix in COMPLETED),
        *("synthetic_walk_filled.json", "synthetic_walk_motion.mot"),
    ]


def test_filling_a_whole_motion_says_that_nothing_is_missing(run: Run, moved: list[str]) -> None:
    outcome = run("fill", WALK, "--model", BODY)
    assert outcome.exit_code == 0
    assert moved == []
    assert outcome.out.splitlines() == ["synthetic_walk_motion.mot", "synthetic_walk_filled.json"]
    assert outcome.message == "synthetic_walk.mot: nothing is missing, so nothing was filled in."
    assert json.loads(Path("synthetic_walk_filled.json").read_text())["filled"] == {}


@pytest.mark.parametrize("command", ["estimate", "fill"])
@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--missing", "hipps"), ("'hipps' is no part of the body", "Did you mean 'hips'", "left_leg")),
        (("--missing", "hips,arm_flex_r"), ("'arm_flex_r' is no part of the body and no coordinate of the model",)),
        (("--missing", "mtp_angle_r"), ("'mtp_angle_r' can't be completed",)),
        (("--missing", "pelvis,trunk,legs"), ("nothing of pelvis, trunk and legs is known", "gaitdynamics generate")),
        (("--missing", "trunk", "--completion", "nobody"), ("no weights called 'nobody'",)),
        (("--samples", "0"), ("Invalid value for '--samples'",)),
    ],
)
def test_an_impossible_completion_is_refused(
    run: Run, command: str, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    refused(run(command, WALK, "--model", BODY, *options), *parts)


def test_the_authors_pipeline_completes_by_itself(run: Run, inputs: Path, moved: list[str]) -> None:
    file = save_as_the_authors(inputs / "refinement.pt", refinement_tensors())
    assert run("weights", "convert", file, "--out", inputs / "authors", "--heads", str(HEADS)).exit_code == 0
    outcome = run("estimate", WALK, "--model", BODY, "--weights", inputs / "authors", "--missing", "trunk")
    assert outcome.exit_code == 0
    assert moved == []
    assert "Not measured: lumbar" in outcome.message
    assert files_in(Path.cwd()) == results(PHYSICS_SUFFIXES)


def test_the_demo_says_that_its_walk_is_synthetic(run: Run) -> None:
    outcome = run("demo")
    assert outcome.exit_code == 0
    assert "Synthetic walk" in outcome.out
    assert "synthetic" in outcome.out.split("_summary.json")[-1]
    assert "1.30 m/s, 111 steps/min, 75 kg" in outcome.out
    assert files_in(Path("demo_results")) == results()
    again = run("demo")
    assert again.exit_code == 2
    assert "exists already" in again.message
    assert run("demo", "--overwrite").exit_code == 0


def test_the_demo_is_the_estimate_of_the_bundled_files(run: Run) -> None:
    run("demo")
    run("estimate", WALK, "--model", BODY, "--out", "mine")
    for name in results():
        assert (Path("demo_results") / name).read_bytes() == (Path("mine") / name).read_bytes()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """One person, one trial, whose measured forces are those of physics."""
    trial = tmp_path / "study" / "Synthetic" / "nobody" / "walk"
    trial.mkdir(parents=True)
    person = estimate_files.read_person(BODY, mass_kg=None, height_m=1.75)
    written = estimate_files.estimate_file(
        WALK, person, out=tmp_path / "made", belt_speed_m_s=0.0, estimator=estimate_forces
    )
    (trial / "grf.mot").write_bytes(written.paths[0].read_bytes())
    (trial / "ik.mot").write_bytes(WALK.read_bytes())
    about = {"activity": "walk", "surface": "overground", "forces_valid_s": [[0.0, 6.0]]}
    (trial / "trial.json").write_text(json.dumps(about))
    (trial.parent / "model.osim").write_bytes(BODY.read_bytes())
    (trial.parent / "subject.json").write_text(json.dumps({"split": "validation", "mass_kg": 75.0, "height_m": 1.75}))
    return tmp_path / "study"


def test_evaluation_prints_ours_beside_the_published_figures(run: Run, study: Path) -> None:
    outcome = run("evaluate", study)
    assert outcome.exit_code == 0
    assert files_in(Path.cwd()) == []
    for part in ("Synthetic", "mean of rows", "Tan et al. 2026", "3.14", "1.16", "0.70", "3.63", "other datasets"):
        assert part in outcome.out


def test_evaluation_writes_json_of_the_agreed_form(run: Run, study: Path) -> None:
    assert run("evaluate", study, "--weights", "physics", "--json", "new/figures.json").exit_code == 0
    found = json.loads(Path("new/figures.json").read_text())
    zeros = dict.fromkeys(METRICS, 0.0)
    row = {"dataset": "Synthetic", "activity": "walk", "num_subjects": 1, "num_trials": 1}
    assert list(found) == ["weights", "split", "is_aligned", "rows", "by_activity", "overall", "excluded"]
    assert list(found["rows"][0]) == [*row, *FIGURES]
    assert {key: found["rows"][0][key] for key in row} == row
    assert list(found["by_activity"]) == ["walk"]
    for figures in (found["overall"], found["by_activity"]["walk"], found["rows"][0]):
        assert {metric: figures[metric] for metric in METRICS} == pytest.approx(zeros, abs=0.002)
        assert figures["interval_coverage_pct"] is None
    about = [found[key] for key in ("weights", "split", "is_aligned", "excluded")]
    assert about == ["physics", "validation", False, []]


def test_evaluation_measures_the_bundled_weights_and_their_intervals_unless_told_otherwise(
    run: Run, study: Path
) -> None:
    assert run("evaluate", study, "--json", "figures.json").exit_code == 0
    found = json.loads(Path("figures.json").read_text())
    assert found["weights"] == "starter"
    assert 0.0 < found["overall"]["vertical_mae_pct_bw"] < 10.0  # physics' forces are not the model's
    assert 0.0 < found["overall"]["interval_coverage_pct"] <= 100.0


def test_aligning_takes_the_lag_of_the_plates_out(run: Run, study: Path) -> None:
    forces = study / "Synthetic" / "nobody" / "walk" / "grf.mot"
    header, rows = forces.read_text().split("endheader\n")
    labels, *lines = rows.splitlines()
    late = [f"{float(time) + 0.015:.8f}\t{rest}" for time, rest in (line.split("\t", 1) for line in lines)]
    forces.write_text(header + "endheader\n" + "\n".join([labels, *late]) + "\n")
    error = {}
    for option in ((), ("--align",)):
        arguments = ("evaluate", study, "--weights", "physics", "--json", "figures.json", "--overwrite", *option)
        assert run(*arguments).exit_code == 0
        found = json.loads(Path("figures.json").read_text())
        assert found["is_aligned"] is bool(option)
        error[option] = found["overall"]["vertical_mae_pct_bw"]
    assert error["--align",] < 0.1 < 1.0 < error[()]


def test_existing_figures_are_kept_unless_told_otherwise(run: Run, study: Path) -> None:
    Path("figures.json").write_text("precious")
    outcome = run("evaluate", study, "--json", "figures.json")
    assert outcome.exit_code == 2
    assert "figures.json: exists already" in outcome.message
    assert outcome.out == ""
    assert Path("figures.json").read_text() == "precious"
    assert run("evaluate", study, "--json", "figures.json", "--overwrite").exit_code == 0
    assert json.loads(Path("figures.json").read_text())["split"] == "validation"


def test_an_impossible_evaluation_is_refused(run: Run, study: Path, inputs: Path) -> None:
    refused(run("evaluate", inputs / "nowhere"), "nowhere: no such folder")
    refused(run("evaluate", inputs), "no trials", "trial.json")
    refused(run("evaluate", study, "--weights", "tomorrow"), "expected 'physics'")
    refused(run("evaluate", study, "--json", inputs), "this is a folder")
    refused(run("evaluate", study, "--split", "test", "--json", "x.json"), "'test'", "It has validation", "'all'")


def test_a_trial_that_is_left_out_is_printed_with_the_reason(run: Run, study: Path) -> None:
    trial = study / "Synthetic" / "nobody" / "walk"
    other = trial.with_name("spoilt [red]")
    other.mkdir()
    for name in ("ik.mot", "trial.json"):
        (other / name).write_bytes((trial / name).read_bytes())
    (other / "grf.mot").write_text("no table")
    outcome = run("evaluate", study)
    assert outcome.exit_code == 0
    assert "Synthetic/nobody/spoilt [red]" in outcome.out
    assert "no line 'endheader'" in outcome.out


def test_an_evaluation_of_nothing_fails(run: Run, study: Path) -> None:
    (study / "Synthetic" / "nobody" / "walk" / "grf.mot").write_text("no table")
    assert run("evaluate", study).exit_code == 1


def test_measured_data_are_evaluated(run: Run, shared: Path) -> None:
    outcome = run("evaluate", shared / "gaitdata" / "Rajagopal2016", "--json", "figures.json")
    assert outcome.exit_code == 0
    found = json.loads(Path("figures.json").read_text())
    (row,) = found["rows"]
    assert [row[key] for key in ("dataset", "activity", "num_subjects", "num_trials")] == [
        "Rajagopal2016",
        "walk",
        1,
        1,
    ]
    assert all(np.isfinite(row[metric]) for metric in FIGURES)
    assert 0.5 < row["vertical_mae_pct_bw"] < 6.0
    assert found["overall"] == found["by_activity"]["walk"] == {metric: row[metric] for metric in FIGURES}
    assert found["excluded"] == []


def test_the_version_is_printed(run: Run) -> None:
    outcome = run("--version")
    assert outcome.exit_code == 0
    assert outcome.out.startswith("gaitdynamics 0.")


def command_line(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gaitdynamics", *map(str, arguments)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_of_its_own_exits_and_prints_alike(tmp_path: Path) -> None:
    ended = command_line("estimate", BODY, "--model", WALK, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: ")
    assert len(ended.stderr.splitlines()) == 1
    assert files_in(tmp_path) == []  # nor opensim.log


def test_a_terminal_without_the_letters_of_a_name_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "müller.mot").write_bytes(WALK.read_bytes())
    ended = command_line(
        "estimate", "müller.mot", "nowhere.mot", "--model", BODY, folder=tmp_path, PYTHONIOENCODING="ascii"
    )
    assert ended.returncode == 1
    assert "m?ller.mot" in ended.stdout
    assert ended.stderr.startswith("Failed: nowhere.mot")
