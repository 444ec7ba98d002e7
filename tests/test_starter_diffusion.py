"""The bundled diffusion model: what it must do for anybody, on the bundled walk and on a person not trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walk_variants import BODY_WEIGHT_N, column, of_other_knee_sign, on_treadmill, trial_of

from gaitdynamics.apps.cli import STARTER
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.io.study import read_study
from gaitdynamics.state.parts import completable_coordinates, coordinates_of_parts, hidden
from gaitdynamics.tasks.completed_forces import estimate_completed
from gaitdynamics.tasks.estimators import bundled_weights, load_completer, load_estimator
from gaitdynamics.tasks.fill_motion import MotionCompleter
from gaitdynamics.training.completions import BUNDLED
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import force_errors
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

LARGEST_BYTES = 40e6  # of all bundled weights


@pytest.fixture(scope="module")
def completer() -> MotionCompleter:
    return load_completer(BUNDLED)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return trial_of(body.scaled_to(75.0), walk)


def without(trial: Trial, *parts: str, interval_s: tuple[float, float] | None = None) -> Trial:
    return hidden(trial, coordinates_of_parts(trial.skeleton, parts), interval_s=interval_s)


def error_deg(found: Motion, truth: Motion, *names: str) -> float:
    return float(np.degrees(np.sqrt(np.mean([(column(found, n) - column(truth, n)) ** 2 for n in names]))))


def test_all_bundled_weights_together_are_small_and_have_cards() -> None:
    folders = bundled_weights().values()
    assert sum(path.stat().st_size for folder in folders for path in folder.rglob("*")) < LARGEST_BYTES
    assert all((folder / "MODEL_CARD.md").is_file() for folder in folders)


@pytest.mark.parametrize(
    ("part", "coordinate", "largest_deg"), [("hips", "hip_flexion", 8.0), ("knees", "knee_angle", 8.0)]
)
def test_hidden_joints_of_a_walk_come_back_about_right(
    completer: MotionCompleter, trial: Trial, part: str, coordinate: str, largest_deg: float
) -> None:
    given = without(trial, part)
    found = completer(given, num_samples=2).motion
    names = (f"{coordinate}_r", f"{coordinate}_l")
    assert error_deg(found, trial.motion, *names) < largest_deg
    assert error_deg(found, trial.motion, *names) < 0.5 * error_deg(given.motion, trial.motion, *names)


def test_a_gap_in_everything_is_filled_better_than_by_straight_lines(completer: MotionCompleter, trial: Trial) -> None:
    given = hidden(trial, completable_coordinates(trial.skeleton), interval_s=(1.5, 1.8))
    found = completer(given, num_samples=2).motion
    names = ("hip_flexion_r", "knee_angle_r", "ankle_angle_r", "hip_flexion_l", "knee_angle_l", "ankle_angle_l")
    assert error_deg(found, trial.motion, *names) < 0.6 * error_deg(given.motion, trial.motion, *names)


def test_forces_of_a_walk_without_hips_carry_the_body(completer: MotionCompleter, trial: Trial) -> None:
    estimator = load_estimator(STARTER)
    prediction, completion = estimate_completed(
        without(trial, "hips"), completer=completer, estimator=estimator, num_samples=2
    )
    assert completion is not None
    vertical = prediction.forces.force_n[..., 1]
    assert vertical.min() >= 0.0
    whole = estimator(trial).forces.force_n[..., 1]
    assert np.abs(vertical - whole).mean() < 0.06 * BODY_WEIGHT_N
    assert vertical.sum(axis=1).mean() == pytest.approx(BODY_WEIGHT_N, rel=0.03)
    assert (prediction.interval.upper_n >= prediction.forces.force_n).all()


def test_the_pelvis_is_carried_along_by_feet_that_stand(completer: MotionCompleter, trial: Trial) -> None:
    given = replace(without(trial, "pelvis_position"), belt_speed_m_s=None)
    found = completer(given, num_samples=1)
    travel, truth = (column(motion, "pelvis_tx") for motion in (found.motion, trial.motion))
    assert travel[-1] - travel[0] == pytest.approx(truth[-1] - truth[0], rel=0.08)
    load_bw = load_estimator(STARTER)(trial).forces.force_n[..., 1] / BODY_WEIGHT_N
    sliding = foot_sliding(
        trial.skeleton,
        found.motion.values,
        load_bw=load_bw,
        sampling_rate_hz=trial.motion.sampling_rate_hz,
        height_m=trial.subject.height_m,
        belt_velocity_m_s=np.zeros(3),
    )
    assert sliding < 0.15


def test_the_belts_speed_is_found_without_hips(completer: MotionCompleter, trial: Trial) -> None:
    walking, _ = on_treadmill(trial.motion)
    given = without(replace(trial, motion=walking, belt_speed_m_s=None), "hips")
    found = completer(given, num_samples=1)
    assert found.belt_speed_m_s == pytest.approx(1.3, abs=0.15)


def test_both_signs_of_knee_flexion_are_completed_alike(
    completer: MotionCompleter, trial: Trial, walk: Motion, tmp_path: Path
) -> None:
    skeleton, motion = of_other_knee_sign(walk, tmp_path)
    other = trial_of(skeleton.scaled_to(75.0), motion)
    first, second = (completer(without(each, "knees"), num_samples=1).motion for each in (trial, other))
    np.testing.assert_allclose(column(second, "knee_angle_r"), -column(first, "knee_angle_r"), atol=0.01)


def test_a_measured_walk_without_knees_is_nearly_as_good_as_whole(shared: Path, completer: MotionCompleter) -> None:
    (study_trial,) = [each for each in read_study(shared / "gaitdata") if each.dataset == "Rajagopal2016"]
    trial = load_trial(study_trial)
    estimator = load_estimator(STARTER)
    prediction, _ = estimate_completed(without(trial, "knees"), completer=completer, estimator=estimator, num_samples=4)
    whole, completed = (
        force_errors(trial, forces, study_trial.forces_valid_s)[0]
        for forces in (estimator(trial).forces, prediction.forces)
    )
    assert completed < whole + 0.5  # % of body weight
