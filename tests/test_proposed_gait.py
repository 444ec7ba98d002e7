"""What a model of gait does with a change: one that couples the hip to the trunk, and an untrained one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_completer import Coupled, Indifferent, untrained_model
from walk_variants import MOVED_M, SPEED_M_S, changed, column, of_other_knee_sign, on_treadmill, trial_of

from gaitdynamics.model.diffusion import GaitDiffusion
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.proposed_gait import guided_gait, proposed_values
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

NUM = 160
SHARE = 0.5
HIP, TRUNK = "hip_right_adduction", "lumbar_bending"


def with_forces(trial: Trial) -> Trial:
    return replace(trial, forces=estimate_forces(trial).forces)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    own = slice(0, NUM)
    short = replace(walk, time_s=walk.time_s[own], values=walk.values[own], observed=walk.observed[own])
    return with_forces(trial_of(body, short))


@pytest.fixture(scope="module")
def model(trial: Trial) -> GaitDiffusion:
    return untrained_model(trial)


def leaning(trial: Trial) -> np.ndarray:
    lean = 0.1 * np.sin(2 * np.pi * np.arange(NUM) / 100)
    return changed(trial.motion, lumbar_bending=column(trial.motion, "lumbar_bending") + lean).values


def longer(trial: Trial, factor: float) -> np.ndarray:
    """Strides stretched, seen from where the ground of an overground walk begins."""
    return changed(trial.motion, pelvis_tx=factor * column(trial.motion, "pelvis_tx")).values


def state_of(trial: Trial, values: np.ndarray, name: str) -> np.ndarray:
    moved = replace(trial, motion=replace(trial.motion, values=values), forces=None)
    return encode(moved)[0].values[:, GAIT[name][0]]


def test_who_changes_nothing_is_proposed_nothing(trial: Trial, model: GaitDiffusion) -> None:
    found = proposed_values(trial, trial.motion.values.copy(), model=model, seed=0)
    np.testing.assert_array_equal(found, trial.motion.values)


def test_what_the_model_couples_to_the_change_moves_with_it_and_nothing_else(trial: Trial) -> None:
    wanted = leaning(trial)
    found = proposed_values(trial, wanted, model=Coupled(HIP, TRUNK, share=SHARE), seed=0)
    bent, adducted = (
        state_of(trial, found, name) - state_of(trial, trial.motion.values, name) for name in (TRUNK, HIP)
    )
    np.testing.assert_allclose(adducted, SHARE * bent, atol=0.002)
    hip = [name.startswith("hip") and name.endswith("_r") for name in trial.motion.coordinates]
    np.testing.assert_allclose(found[:, ~np.array(hip)], wanted[:, ~np.array(hip)], atol=1e-6)


def test_what_no_body_could_do_that_fast_is_not_proposed(trial: Trial) -> None:
    wanted = leaning(trial)
    models = [Coupled(HIP, TRUNK, share=SHARE, jitter=jitter) for jitter in (0.5, 0.0)]
    shaky, calm = (proposed_values(trial, wanted, model=each, seed=0) for each in models)
    np.testing.assert_allclose(shaky[3:-3], calm[3:-3], atol=0.002)


def test_what_was_changed_stays_as_it_was_asked_for(trial: Trial, model: GaitDiffusion) -> None:
    wanted = leaning(trial)
    found = proposed_values(trial, wanted, model=model, seed=0)
    kept = [name.startswith(("lumbar", "mtp")) for name in trial.motion.coordinates]
    np.testing.assert_array_equal(found[:, kept], wanted[:, kept])
    assert np.abs(found - wanted).max() > 0.001


def test_the_seed_tells_the_noise(trial: Trial, model: GaitDiffusion) -> None:
    first, again, other = (proposed_values(trial, leaning(trial), model=model, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-5


def test_longer_strides_are_the_same_on_a_treadmill_and_elsewhere(trial: Trial, model: GaitDiffusion) -> None:
    factor = 1.1
    expected = proposed_values(trial, longer(trial, factor), model=model, seed=0) - longer(trial, factor)
    assert np.abs(expected).max() > 0.001

    elsewhere = changed(
        trial.motion,
        pelvis_tx=column(trial.motion, "pelvis_tx") + MOVED_M[0],
        pelvis_tz=column(trial.motion, "pelvis_tz") + MOVED_M[2],
    )
    there = with_forces(replace(trial, motion=elsewhere, forces=None))
    found = proposed_values(there, longer(there, factor), model=model, seed=0) - longer(there, factor)
    np.testing.assert_allclose(found, expected, atol=1e-4)

    motion, _ = on_treadmill(trial.motion)
    on_belt = with_forces(replace(trial, motion=motion, belt_speed_m_s=SPEED_M_S, forces=None))
    wanted = longer(on_belt, factor)
    found = proposed_values(on_belt, wanted, belt_speed_m_s=factor * SPEED_M_S, model=model, seed=0) - wanted
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_model_of_the_other_knee_sign_is_proposed_the_same(
    trial: Trial, model: GaitDiffusion, tmp_path: Path
) -> None:
    skeleton, motion = of_other_knee_sign(trial.motion, tmp_path)
    other = with_forces(trial_of(skeleton, motion))
    sign = np.array([-1.0 if "knee" in name else 1.0 for name in motion.coordinates])
    expected = proposed_values(trial, leaning(trial), model=model, seed=0)
    np.testing.assert_allclose(proposed_values(other, leaning(other), model=model, seed=0) * sign, expected, atol=1e-4)


def test_a_guided_gait_follows_what_it_is_guided_to(trial: Trial) -> None:
    model, recorded, wanted = Indifferent(trial), trial.motion.values, leaning(trial)
    to_recorded, to_wanted = (guided_gait(trial, each, model=model, seed=0) for each in (recorded, wanted))
    trunk = trial.motion.coordinates.index("lumbar_bending")
    asked, done = (each[:, trunk] for each in (wanted - recorded, to_wanted.values - to_recorded.values))
    assert np.corrcoef(asked, done)[0, 1] > 0.9
    np.testing.assert_array_equal(guided_gait(trial, wanted, model=model, seed=0).values, to_wanted.values)
    assert np.abs(guided_gait(trial, wanted, model=model, seed=1).values - to_wanted.values).max() > 1e-4


def test_a_guided_gait_of_a_network_is_finite(trial: Trial, model: GaitDiffusion) -> None:
    num = NUM - 30
    motion = replace(
        trial.motion, **{name: getattr(trial.motion, name)[:num] for name in ("time_s", "values", "observed")}
    )
    found = guided_gait(
        with_forces(replace(trial, motion=motion, forces=None)), leaning(trial)[:num], model=model, seed=0
    )
    for each in (found.values, found.forces.force_n, found.forces.cop_m, found.forces.free_moment_nm):
        assert np.isfinite(each).all()
        assert len(each) == num
