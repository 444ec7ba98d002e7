"""The bundled weights: laws that their forces must obey on the bundled walk, whatever they were trained to."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from walk_variants import (
    BODY_WEIGHT_N,
    MIRROR,
    MOVED_M,
    SPEED_M_S,
    STRIDE_FRAMES,
    changed,
    mirrored,
    of_other_knee_sign,
    on_treadmill,
    rotation_last,
    standing,
    trial_of,
    turned,
)

from gaitdynamics.apps.cli import STARTER
from gaitdynamics.io.study import read_study
from gaitdynamics.tasks.estimators import Estimator, bundled_weights, load_estimator
from gaitdynamics.training.evaluate import evaluate_study
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Skeleton

PERCENT_N = BODY_WEIGHT_N / 100
SAME_N = 1e-4 * BODY_WEIGHT_N  # what single precision may make of the same numbers
LARGEST_FOLDER_BYTES = 20e6
LUMBAR = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return load_estimator(STARTER)


@pytest.fixture(scope="module")
def prediction(estimator: Estimator, body: Skeleton, walk: Motion) -> Prediction:
    return estimator(trial_of(body, walk))


def test_the_bundled_weights_are_small() -> None:
    folder = bundled_weights()[STARTER]
    assert 0 < sum(path.stat().st_size for path in folder.rglob("*")) < LARGEST_FOLDER_BYTES


def test_an_ordinary_walk_needs_no_warning(prediction: Prediction) -> None:
    assert prediction.warnings == ()
    assert prediction.provenance["weights"] == STARTER


def test_a_mirrored_walk_has_the_mirrored_forces(
    estimator: Estimator, body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    found, expected = estimator(trial_of(body, mirrored(walk))), prediction
    assert found.interval is not None
    assert expected.interval is not None
    for ours, theirs in (
        (found.forces.force_n, expected.forces.force_n[:, ::-1] * MIRROR),
        (found.interval.upper_n[..., :2], expected.interval.upper_n[:, ::-1, :2]),
        (found.interval.upper_n[..., 2], -expected.interval.lower_n[:, ::-1, 2]),
    ):
        np.testing.assert_allclose(ours, theirs, atol=0.1 * PERCENT_N)
    np.testing.assert_allclose(found.forces.cop_m, expected.forces.cop_m[:, ::-1] * MIRROR, atol=0.001)


def test_the_mean_force_over_whole_strides_is_one_body_weight_upwards(prediction: Prediction) -> None:
    for start in (0, STRIDE_FRAMES // 3):
        force = prediction.forces.force_n[start : start + 5 * STRIDE_FRAMES].sum(axis=1) / BODY_WEIGHT_N
        np.testing.assert_allclose(force.mean(axis=0), [0.0, 1.0, 0.0], atol=0.01)


def test_a_foot_never_pulls_and_carries_exactly_nothing_in_swing(prediction: Prediction) -> None:
    force = prediction.forces.force_n
    assert force[..., 1].min() >= 0.0
    is_swing = force[..., 1] == 0.0
    assert np.all(force[is_swing] == 0.0)
    assert np.all(prediction.forces.free_moment_nm[is_swing] == 0.0)
    assert (is_swing.mean(axis=0) > 0.25).all()
    assert (is_swing.mean(axis=0) < 0.5).all()
    assert not is_swing.all(axis=1).any()


def test_every_force_lies_within_its_interval_which_is_neither_empty_nor_endless(prediction: Prediction) -> None:
    interval = prediction.interval
    assert interval is not None
    assert interval.coverage == 0.9
    assert np.all(interval.lower_n <= prediction.forces.force_n)
    assert np.all(interval.upper_n >= prediction.forces.force_n)
    assert np.all(interval.lower_n[..., 1] >= 0.0)
    is_loaded = prediction.forces.force_n[..., 1] > 0
    width = (interval.upper_n - interval.lower_n)[is_loaded].mean(axis=0)
    assert np.all(width > 0.1 * PERCENT_N)
    assert np.all(width < 40.0 * PERCENT_N)


def test_who_stands_still_weighs_one_body_weight(estimator: Estimator, body: Skeleton) -> None:
    force = estimator(trial_of(body, standing(body))).forces.force_n / BODY_WEIGHT_N
    np.testing.assert_allclose(force[..., 1].sum(axis=1), 1.0, atol=0.01)
    np.testing.assert_allclose(force[..., 1], 0.5, atol=0.05)
    np.testing.assert_allclose(force[..., [0, 2]], 0.0, atol=0.001)


@pytest.mark.parametrize("degrees", [90.0, -135.0])
def test_the_forces_turn_with_the_walk(estimator: Estimator, body: Skeleton, walk: Motion, degrees: float) -> None:
    moved, turn = turned(walk, degrees)
    expected = estimator(trial_of(rotation_last(body), walk)).forces
    found = estimator(trial_of(rotation_last(body), moved)).forces
    np.testing.assert_allclose(found.force_n, expected.force_n @ turn.T, atol=SAME_N)
    np.testing.assert_allclose(found.cop_m, expected.cop_m @ turn.T + MOVED_M, atol=1e-4)
    np.testing.assert_allclose(found.free_moment_nm, expected.free_moment_nm, atol=1e-3)


def test_the_two_signs_of_knee_flexion_give_the_same_forces(
    estimator: Estimator, walk: Motion, prediction: Prediction, opensim: ModuleType, tmp_path: Path
) -> None:
    found = estimator(trial_of(*of_other_knee_sign(walk, tmp_path))).forces
    np.testing.assert_allclose(found.force_n, prediction.forces.force_n, atol=SAME_N)
    np.testing.assert_allclose(found.cop_m, prediction.forces.cop_m, atol=1e-4)


@pytest.mark.parametrize("belt_speed", [SPEED_M_S, None])
def test_on_a_treadmill_the_forces_are_those_over_the_ground(
    estimator: Estimator, body: Skeleton, walk: Motion, prediction: Prediction, belt_speed: float | None
) -> None:
    motion, travelled_m = on_treadmill(walk)
    found = estimator(trial_of(body, motion, belt_speed=belt_speed))
    assert found.belt_speed_m_s == pytest.approx(SPEED_M_S, abs=0.05)
    is_down, was_down = found.forces.force_n[..., 1] > 0, prediction.forces.force_n[..., 1] > 0
    is_alike = is_down == was_down
    assert is_alike.mean() > 0.99  # a foot may land a frame earlier or later
    miss_n = (found.forces.force_n - prediction.forces.force_n)[is_alike]
    np.testing.assert_allclose(miss_n, 0.0, atol=PERCENT_N)
    cop_m = found.forces.cop_m[..., 0] + travelled_m[:, None]
    both = is_down & was_down
    np.testing.assert_allclose(cop_m[both], prediction.forces.cop_m[..., 0][both], atol=0.005)


def test_without_lumbar_angles_the_forces_stay_near_and_a_warning_says_so(
    estimator: Estimator, body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    rigid = changed(walk, **dict.fromkeys(LUMBAR, np.zeros(len(walk.time_s))))
    observed = walk.observed.copy()
    observed[:, [walk.coordinates.index(name) for name in LUMBAR]] = False
    found = estimator(trial_of(body, replace(rigid, observed=observed)))
    assert any("lumbar" in warning for warning in found.warnings)
    np.testing.assert_allclose(found.forces.force_n, prediction.forces.force_n, atol=15.0 * PERCENT_N)
    assert np.isfinite(found.forces.cop_m).all()


def test_the_same_walk_gives_the_same_bits_and_is_not_modified(
    estimator: Estimator, body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    before = walk.values.copy()
    again = load_estimator(STARTER)(trial_of(body, walk))
    np.testing.assert_array_equal(again.forces.force_n, prediction.forces.force_n)
    np.testing.assert_array_equal(again.forces.cop_m, prediction.forces.cop_m)
    np.testing.assert_array_equal(walk.values, before)


def test_a_measured_walk_of_a_person_not_trained_on_is_told_well(shared: Path) -> None:
    study = read_study(shared / "gaitdata" / "Rajagopal2016")
    result = evaluate_study(study, split="validation", weights=STARTER)
    assert result["excluded"] == []
    found = result["overall"]
    assert found["vertical_mae_pct_bw"] < 4.0
    assert found["anteroposterior_mae_pct_bw"] < 2.0
    assert found["mediolateral_mae_pct_bw"] < 1.0
    assert found["interval_coverage_pct"] > 75.0
