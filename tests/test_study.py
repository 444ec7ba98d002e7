"""Reading a study."""

import json
from pathlib import Path
from typing import Any

import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.study import read_study

SUBJECT = {"dataset": "D", "subject": "P1", "split": "train", "group": "D_P1", "mass_kg": 70, "height_m": 1.8}
TRIAL = {
    "activity": "walk",
    "surface": "treadmill",
    "belt_speed_m_s": 1.2,
    "forces_valid_s": [[0, 1.5], [2, 3]],
    "unmeasured_coordinates": ["mtp_angle_r"],
    "suspect_kinematics_s": [[0.5, 0.5]],
    "bad_contacts": [],
}


def add_person(folder: Path, person: dict[str, Any], *, trials: tuple[str, ...] = ("walk1",)) -> None:
    folder.mkdir(parents=True)
    (folder / "subject.json").write_text(json.dumps(person), encoding="utf-8")
    (folder / "model.osim").write_text("<OpenSimDocument/>")
    for trial in trials:
        (folder / trial).mkdir()
        (folder / trial / "trial.json").write_text(json.dumps(TRIAL), encoding="utf-8")
        (folder / trial / "ik.mot").write_text("")
        (folder / trial / "grf.mot").write_text("")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = tmp_path / "study"
    add_person(root / "D" / "P2", SUBJECT | {"subject": "P2"}, trials=("walk2", "walk1"))
    add_person(root / "D" / "P1", SUBJECT)
    add_person(root / "C" / "P1", SUBJECT | {"dataset": "C"})
    return root


def test_trials_are_listed_in_order(study: Path) -> None:
    assert [trial.name for trial in read_study(study)] == [
        "C/P1/walk1",
        "D/P1/walk1",
        "D/P2/walk1",
        "D/P2/walk2",
    ]


def test_a_dataset_or_a_subject_alone_lists_the_same_trials(study: Path) -> None:
    whole = read_study(study)
    assert read_study(study / "D") == whole[1:]
    assert read_study(study / "D" / "P2") == whole[2:]


def test_everything_the_study_says_is_there(study: Path) -> None:
    trial = read_study(study)[1]
    assert (trial.dataset, trial.subject, trial.trial) == ("D", "P1", "walk1")
    assert (trial.group, trial.split, trial.mass_kg, trial.height_m) == ("D_P1", "train", 70.0, 1.8)
    assert (trial.sex, trial.age_years) == (None, None)
    assert (trial.activity, trial.surface, trial.belt_speed_m_s) == ("walk", "treadmill", 1.2)
    assert trial.forces_valid_s == ((0.0, 1.5), (2.0, 3.0))
    assert trial.unmeasured_coordinates == ("mtp_angle_r",)
    assert trial.suspect_kinematics_s == ((0.5, 0.5),)
    assert trial.bad_contacts == ()
    assert trial.model_path == study / "D" / "P1" / "model.osim"
    assert trial.motion_path == study / "D" / "P1" / "walk1" / "ik.mot"
    assert trial.forces_path == study / "D" / "P1" / "walk1" / "grf.mot"


def test_folders_name_what_the_files_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_person(tmp_path / "E" / "P7", {"mass_kg": 60, "height_m": None})
    monkeypatch.chdir(tmp_path / "E" / "P7")
    (trial,) = read_study(".")
    assert trial.name == "E/P7/walk1"
    assert trial.group == "E/P7"
    assert trial.height_m is None


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("subject.json", "mass_kg", None, "'mass_kg' is missing"),
        ("subject.json", "mass_kg", "70 kg", r"'mass_kg' is .70 kg.. Expected a number above zero"),
        ("subject.json", "mass_kg", -70, "'mass_kg' is -70"),
        ("subject.json", "height_m", [], "'height_m' is"),
        ("walk1/trial.json", "activity", None, "'activity' is missing"),
        ("walk1/trial.json", "forces_valid_s", None, "'forces_valid_s' is missing"),
        ("walk1/trial.json", "forces_valid_s", [1, 2], "'forces_valid_s' is .* list of .start, end"),
        ("walk1/trial.json", "forces_valid_s", [[2, 1]], "'forces_valid_s' is .* start before end"),
        ("walk1/trial.json", "belt_speed_m_s", "fast", "'belt_speed_m_s' is .*Expected a number"),
        ("walk1/trial.json", "unmeasured_coordinates", "mtp_angle_r", "Expected a list of texts"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(study: Path, file: str, key: str, value: Any, message: str) -> None:
    change(study / "D" / "P1" / file, **{key: value})
    with pytest.raises(InputFileError, match=message) as raised:
        read_study(study)
    assert str(study / "D" / "P1" / file) in str(raised.value)


@pytest.mark.parametrize("file", ["subject.json", "model.osim", "walk1/trial.json", "walk1/ik.mot", "walk1/grf.mot"])
def test_a_missing_file_is_named(study: Path, file: str) -> None:
    (study / "D" / "P1" / file).unlink()
    with pytest.raises(InputFileError, match="there is no such file") as raised:
        read_study(study)
    assert str(study / "D" / "P1" / file) in str(raised.value)


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON: .* .line 1"), ("[]", "holds a list"), ("", "empty")])
def test_a_malformed_file_is_named(study: Path, text: str, message: str) -> None:
    (study / "D" / "P1" / "walk1" / "trial.json").write_text(text)
    with pytest.raises(InputFileError, match=message):
        read_study(study)


def test_a_folder_without_trials_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no trials. Expected <dataset>/<subject>/<trial>/"):
        read_study(tmp_path)
    with pytest.raises(InputFileError, match="no such folder"):
        read_study(tmp_path / "absent")


def test_one_id_for_two_people_is_refused(study: Path) -> None:
    change(study / "D" / "P2" / "subject.json", subject="P1")
    with pytest.raises(InputFileError, match="are both subject 'P1' of 'D'"):
        read_study(study)


def test_the_measured_study_lists_every_trial_of_its_index(shared: Path) -> None:
    trials = read_study(shared / "gaitdata")
    rows = (shared / "gaitdata" / "index.csv").read_text().strip().split("\n")[1:]
    listed = sorted("/".join(row.split(",")[:3]) for row in rows)
    assert sorted(trial.name for trial in trials) == listed
