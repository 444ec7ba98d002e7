"""A study's files become trials of the right person, with forces on the right feet."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from gaitdynamics.apps.estimate_files import estimate_file, read_person
from gaitdynamics.errors import InputFileError
from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.training.corpus import load_trial

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"


@pytest.fixture(scope="module")
def study_trial(tmp_path_factory: pytest.TempPathFactory) -> StudyTrial:
    folder = tmp_path_factory.mktemp("study") / "D" / "P" / "walk"
    folder.mkdir(parents=True)
    person = read_person(BODY, mass_kg=80.0, height_m=1.8)
    forces_path, *_ = estimate_file(
        WALK, person, out=folder.parents[2] / "made", belt_speed_m_s=0.0, estimator=estimate_forces
    ).paths
    (folder / "grf.mot").write_bytes(forces_path.read_bytes())
    (folder / "ik.mot").write_bytes(WALK.read_bytes())
    (folder.parent / "model.osim").write_bytes(BODY.read_bytes())
    about = {
        "activity": "walk",
        "surface": "overground",
        "forces_valid_s": [[0.0, 6.0]],
        "unmeasured_coordinates": ["mtp_angle_r"],
    }
    (folder / "trial.json").write_text(json.dumps(about))
    (folder.parent / "subject.json").write_text(
        json.dumps({"mass_kg": 80.0, "height_m": 1.8, "sex": "f", "age_years": 30})
    )
    (trial,) = read_study(folder.parents[1])
    return trial


def test_the_body_has_the_mass_and_height_of_the_person(study_trial: StudyTrial) -> None:
    trial = load_trial(study_trial)
    assert (trial.name, trial.subject.id, trial.source) == ("D/P/walk", "D/P", "D")
    assert (trial.subject.mass_kg, trial.subject.height_m) == (80.0, 1.8)
    assert (trial.subject.sex, trial.subject.age_years) == ("f", 30.0)
    assert trial.skeleton.mass_kg == pytest.approx(80.0)


def test_an_unknown_height_is_estimated(study_trial: StudyTrial) -> None:
    assert load_trial(replace(study_trial, height_m=None)).subject.height_m == pytest.approx(1.75, abs=0.05)


@pytest.mark.parametrize(
    ("surface", "stated", "belt_speed_m_s"),
    [("overground", None, 0.0), ("treadmill", 1.2, 1.2), ("treadmill", None, None), (None, None, None)],
)
def test_the_ground_moves_as_the_study_says(
    study_trial: StudyTrial, surface: str | None, stated: float | None, belt_speed_m_s: float | None
) -> None:
    trial = load_trial(replace(study_trial, surface=surface, belt_speed_m_s=stated))
    assert trial.belt_speed_m_s == belt_speed_m_s


def test_what_was_not_measured_is_no_observation(study_trial: StudyTrial) -> None:
    motion = load_trial(study_trial).motion
    unobserved = [name for name, seen in zip(motion.coordinates, motion.observed.all(axis=0), strict=True) if not seen]
    assert unobserved == ["mtp_angle_r"]
    assert motion.coordinates == load_trial(study_trial).skeleton.coordinate_names


def test_forces_without_sides_go_to_the_foot_that_stands_there(study_trial: StudyTrial, tmp_path: Path) -> None:
    named = load_trial(study_trial).forces
    text = study_trial.forces_path.read_text()
    # Plate 1 carries the left foot, plate 2 the right one.
    for side, plate in (("r", "2"), ("l", "1")):
        text = text.replace(f"ground_force_{side}_", f"ground_force_{plate}_")
        text = text.replace(f"ground_torque_{side}_", f"ground_torque_{plate}_")
    (tmp_path / "grf.mot").write_text(text)
    found = load_trial(replace(study_trial, forces_path=tmp_path / "grf.mot")).forces
    assert named is not None
    assert found is not None
    np.testing.assert_allclose(found.force_n, named.force_n, atol=0.02 * 800)
    is_loaded = named.force_n[:, :, 1] > 20.0
    np.testing.assert_allclose(found.force_n[is_loaded], named.force_n[is_loaded])
    np.testing.assert_allclose(found.cop_m[is_loaded], named.cop_m[is_loaded])


def test_people_with_the_same_model_keep_their_own_masses(study_trial: StudyTrial) -> None:
    light, heavy = (load_trial(replace(study_trial, mass_kg=mass)) for mass in (60.0, 90.0))
    assert (light.skeleton.mass_kg, heavy.skeleton.mass_kg) == pytest.approx((60.0, 90.0))


def test_a_missing_file_is_named(study_trial: StudyTrial) -> None:
    for field in ("model_path", "motion_path", "forces_path"):
        with pytest.raises(InputFileError, match=r"nowhere\.x"):
            load_trial(replace(study_trial, **{field: Path("nowhere.x")}))


def test_forces_without_a_force_are_refused(study_trial: StudyTrial) -> None:
    with pytest.raises(InputFileError, match="no ground reaction forces"):
        load_trial(replace(study_trial, forces_path=study_trial.motion_path))
