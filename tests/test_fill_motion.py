"""Completed motions: what was observed stays, joints meet, feet stand, whatever the model's conventions."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from small_completer import untrained_completer
from walk_variants import GENERATOR_FILE, column, trial_of

from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.osim import read_model
from gaitdynamics.maths.signals import bridged
from gaitdynamics.state.codec import completed_columns, encode
from gaitdynamics.state.parts import completable_coordinates, coordinates_of_parts, hidden
from gaitdynamics.tasks.completed_forces import completed_trial, estimate_completed, needs_completion
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.fill_motion import usual_samples
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return trial_of(body.scaled_to(75.0), walk)


def without(trial: Trial, *parts: str, interval_s: tuple[float, float] | None = None) -> Trial:
    return hidden(trial, coordinates_of_parts(trial.skeleton, parts), interval_s=interval_s)


def test_observed_values_stay_exactly_and_everything_else_is_filled(trial: Trial) -> None:
    given = without(trial, "hips", "pelvis_position")
    given = hidden(given, coordinates_of_parts(trial.skeleton, ["knees"]), interval_s=(1.0, 1.3))
    found = untrained_completer(trial)(given, num_samples=2, seed=1)
    observed = given.motion.observed
    assert np.array_equal(found.motion.values[observed], given.motion.values[observed])
    assert np.array_equal(found.samples[:, observed], np.repeat(given.motion.values[observed][None], 2, axis=0))
    assert np.array_equal(found.is_filled, completed_columns(given))
    assert np.array_equal(found.motion.observed, observed)
    assert (found.motion.values != given.motion.values)[found.is_filled].mean() > 0.99
    assert (found.lower < found.motion.values)[found.is_filled].all()
    assert np.array_equal(found.lower[~found.is_filled], found.motion.values[~found.is_filled])
    assert completed_trial(given, found).motion.observed[found.is_filled].all()


def test_a_trial_that_lacks_no_more_than_the_trunk_is_the_same_without_its_completion(trial: Trial) -> None:
    given = without(trial, "trunk")
    assert not needs_completion(given) and not needs_completion(trial)
    completed = completed_trial(given, untrained_completer(trial)(given))
    assert np.array_equal(completed.motion.values, given.motion.values)
    assert np.array_equal(completed.motion.observed, given.motion.observed)
    assert completed.belt_speed_m_s == given.belt_speed_m_s


@pytest.mark.parametrize(("parts", "interval_s"), [(("trunk", "knees"), None), (("trunk",), (1.0, 1.3))])
def test_a_trial_that_lacks_more_than_the_trunk_or_a_moment_of_it_needs_completion(
    trial: Trial, parts: tuple[str, ...], interval_s: tuple[float, float] | None
) -> None:
    assert needs_completion(without(trial, *parts, interval_s=interval_s))


def test_the_same_seed_gives_the_same_motion(trial: Trial) -> None:
    given, completer = without(trial, "right_leg"), untrained_completer(trial)
    first, again, other = (completer(given, num_samples=2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.samples, again.samples)
    assert np.array_equal(first.motion.values, again.motion.values)
    assert not np.array_equal(first.samples, other.samples)


def test_samples_are_reported_one_by_one(trial: Trial) -> None:
    told: list[tuple[int, int]] = []
    untrained_completer(trial)(without(trial, "trunk"), num_samples=3, report=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_long_motions_get_fewer_samples(trial: Trial) -> None:
    numbers = [
        usual_samples(replace(trial.motion, time_s=np.linspace(0.0, seconds, len(trial.motion.time_s))))
        for seconds in (1.0, 6.0, 60.0, 600.0)
    ]
    assert numbers == [8, 8, 4, 2]


def test_a_single_sample_has_no_intervals(trial: Trial) -> None:
    found = untrained_completer(trial)(without(trial, "ankles"), num_samples=1)
    assert found.lower is None and found.upper is None
    assert not found.force_spread_n.any()


def test_knees_of_either_convention_are_completed_alike(trial: Trial, opensim: ModuleType, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_assets", GENERATOR_FILE)
    generator = importlib.util.module_from_spec(spec)
    sys.modules["make_assets"] = generator
    spec.loader.exec_module(generator)
    path = tmp_path / "negative.osim"
    generator.build_generic_body(knee_flexion_positive=False).printToXML(str(path))
    skeleton = read_model(path).scaled_to(75.0)
    values = trial.motion.values.copy()
    for name in ("knee_angle_r", "knee_angle_l"):
        values[:, trial.motion.coordinates.index(name)] *= -1
    turned = replace(trial, skeleton=skeleton, motion=replace(trial.motion, values=values))
    completer = untrained_completer(trial)
    positive, negative = (completer(without(each, "knees", "hips"), seed=2).motion for each in (trial, turned))
    for side in ("r", "l"):
        bent = column(positive, f"knee_angle_{side}")
        assert np.abs(bent).max() > 0.05
        np.testing.assert_allclose(column(negative, f"knee_angle_{side}"), -bent, atol=2e-3)
        np.testing.assert_allclose(
            column(negative, f"hip_flexion_{side}"), column(positive, f"hip_flexion_{side}"), atol=2e-3
        )


def test_a_filled_gap_meets_what_is_observed_around_it(trial: Trial) -> None:
    names = completable_coordinates(trial.skeleton)
    given = hidden(trial, names, interval_s=(1.5, 1.8))
    found = untrained_completer(trial)(given, seed=0).motion
    columns = [trial.motion.coordinates.index(name) for name in names]
    bends = np.abs(np.diff(found.values[:, columns], n=2, axis=0))
    time_s = trial.motion.time_s[1:-1]
    at_borders = (np.abs(time_s - 1.495) < 0.016) | (np.abs(time_s - 1.795) < 0.016)
    assert (bends[at_borders].max(axis=0) <= 2.5 * bends[~at_borders].max(axis=0)).all()


def test_a_missing_place_of_the_pelvis_comes_from_feet_that_stand(trial: Trial) -> None:
    given = without(trial, "pelvis_position")
    truth, completer = trial.motion, untrained_completer(trial)
    state, _ = encode(replace(trial, forces=estimate_forces(trial).forces))
    completer = _Knowing(completer, state.values)
    found = completer(replace(given, belt_speed_m_s=None))
    assert found.belt_speed_m_s == 0.0
    height = column(found.motion, "pelvis_ty") - column(truth, "pelvis_ty")
    assert np.abs(height).max() < 0.03
    forward = np.diff(column(found.motion, "pelvis_tx")) - np.diff(column(truth, "pelvis_tx"))
    assert np.abs(forward.mean() * truth.sampling_rate_hz) < 0.05


def test_nothing_observed_is_refused_and_generate_is_named(trial: Trial) -> None:
    given = hidden(replace(trial, belt_speed_m_s=None), completable_coordinates(trial.skeleton))
    with pytest.raises(InvalidMotionError, match="gaitdynamics generate"):
        untrained_completer(trial)(given)


def test_a_long_gap_is_warned_of_and_a_missing_knee_is_not(trial: Trial) -> None:
    completer = untrained_completer(trial)
    names = completable_coordinates(trial.skeleton)
    (warning,) = completer(hidden(trial, names, interval_s=(1.0, 2.3))).warnings
    assert "from 1.00 s to 2.29 s" in warning
    assert not completer(without(trial, "knees", interval_s=(1.0, 2.3))).warnings


def test_forces_of_a_complete_motion_are_the_estimators_own(trial: Trial) -> None:
    completer = untrained_completer(trial)
    prediction, completion = estimate_completed(trial, completer=completer, estimator=estimate_forces, num_samples=2)
    assert completion is None
    np.testing.assert_array_equal(prediction.forces.force_n, estimate_forces(trial).forces.force_n)


def test_a_bridge_keeps_what_is_known_and_meets_it_smoothly() -> None:
    time_s = np.arange(200) / 100
    truth = np.sin(2 * np.pi * time_s)
    is_known = np.ones(200, dtype=bool)
    is_known[80:120] = False
    found = bridged(truth + 0.3, truth, is_known=is_known, sampling_rate_hz=100.0)
    assert np.array_equal(found[is_known], truth[is_known])
    # A guess of the right shape at the wrong level is moved to where it fits.
    np.testing.assert_allclose(found, truth, atol=0.01)
    flat = bridged(np.zeros(200), truth, is_known=is_known, sampling_rate_hz=100.0)
    assert np.abs(np.diff(flat)).max() < 2.0 * np.abs(np.diff(truth)).max()


def test_a_bridge_beyond_the_last_known_value_keeps_the_guess_moved_to_it() -> None:
    guess = np.linspace(0.0, 1.0, 100) ** 2
    is_known = np.arange(100) < 50
    found = bridged(guess + 2.0, guess, is_known=is_known, sampling_rate_hz=100.0)
    np.testing.assert_allclose(found, guess, atol=1e-3)


class _Knowing:
    """A completer that draws the true state."""

    def __init__(self, completer, values: np.ndarray) -> None:
        self.completer, self.values = completer, values

    def __call__(self, trial: Trial):
        knowing = replace(self.completer)
        object.__setattr__(knowing, "completed_states", lambda state, **options: self.values[None])
        return knowing(trial)
