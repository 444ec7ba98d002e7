"""The learned estimator: laws that hold whatever the weights, and what the bundled ones must do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import InputFileError, InvalidMotionError
from gaitdynamics.model.force_limits import ForceLimits
from gaitdynamics.model.forces import ForceModel, ForceNetworkSize, size_from_json
from gaitdynamics.state.layout import PHYSICS
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.physics_features import physics_features
from gaitdynamics.tasks.learned_forces import SWING_BW, LearnedForces, frame_times
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

MASS_KG, HEIGHT_M = 75.0, 1.75
TINY = ForceNetworkSize(width=8, kernel=3, dilations=(1, 2), dropout=0.0, num_members=2)
EVERYWHERE = ForceLimits(2.0, 3.0, (-1e9,) * len(PHYSICS), (1e9,) * len(PHYSICS))


def trial_of(skeleton: Skeleton, motion: Motion, *, belt_speed: float | None = 0.0) -> Trial:
    return Trial("test", Subject("anyone", MASS_KG, HEIGHT_M), skeleton, motion, None, belt_speed, "made up")


@pytest.fixture(scope="module")
def features(body: Skeleton, walk: Motion) -> np.ndarray:
    trial = trial_of(body, walk)
    return physics_features(trial, physics_of(trial, frame_times(walk.time_s)))


def model_of(features: np.ndarray, *, spoken: float = 0.0, seed: int = 0) -> ForceModel:
    """A small model; `spoken` is how loudly its last layer speaks, 0 as before training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ForceModel(TINY, Normalizer.to_unit_spread(features))
        for network in model.networks:
            network.last.weight.data.normal_(std=max(spoken, 1e-12))
    return model.eval().requires_grad_(False)


def test_an_untrained_model_says_what_physics_says(features: np.ndarray) -> None:
    force_bw, shift, _ = model_of(features).predict(features)
    for foot, side in enumerate(SIDE_NAMES):
        np.testing.assert_allclose(force_bw[:, foot], features[:, PHYSICS[f"shared_force_{side}"]], atol=1e-6)
    np.testing.assert_allclose(shift, 0.0, atol=1e-6)


def test_a_mirrored_gait_has_exactly_the_mirrored_forces(features: np.ndarray) -> None:
    model = model_of(features, spoken=0.3)
    force_bw, shift, spread_bw = model.predict(features)
    mirrored = model.predict(PHYSICS.mirrored(features))
    np.testing.assert_allclose(mirrored[0], force_bw[:, ::-1] * [1, 1, -1], atol=1e-5)
    np.testing.assert_allclose(mirrored[1], shift[:, ::-1] * [1, -1], atol=1e-6)
    np.testing.assert_allclose(mirrored[2], spread_bw[:, ::-1], atol=1e-5)
    assert np.abs(force_bw[:, 0] - force_bw[:, 1]).max() > 0.1


@pytest.mark.parametrize("num_frames", [1, 7, 149, 150, 151, 400])
def test_a_trial_of_any_length_has_a_force_at_every_frame(features: np.ndarray, num_frames: int) -> None:
    found = model_of(features, spoken=0.3).predict(features[:num_frames])
    assert [part.shape[0] for part in found] == [num_frames] * 3
    assert all(np.isfinite(part).all() for part in found)
    assert (found[2] > 0).all()


def test_forces_are_exactly_zero_in_swing_and_lie_in_their_intervals(
    body: Skeleton, walk: Motion, features: np.ndarray
) -> None:
    estimator = LearnedForces("tiny", model_of(features, spoken=0.02), EVERYWHERE)
    found = estimator(trial_of(body, walk))
    vertical = found.forces.force_n[..., 1]
    is_in_air = vertical == 0.0
    assert 0.2 < is_in_air.mean() < 0.6
    assert (found.forces.force_n[is_in_air] == 0.0).all()
    assert (found.forces.free_moment_nm[is_in_air] == 0.0).all()
    assert vertical.min() >= 0.0
    assert vertical[~is_in_air].min() > 0.2 * SWING_BW * MASS_KG
    assert found.interval is not None
    assert (found.interval.lower_n <= found.forces.force_n + 1e-6).all()
    assert (found.interval.upper_n >= found.forces.force_n - 1e-6).all()
    assert (found.interval.lower_n[..., 1] >= 0.0).all()
    steps_m = np.abs(np.diff(found.forces.cop_m[:, :, 0], axis=0))
    assert steps_m.max() < 0.08  # nowhere does the centre of pressure jump, swing included


def test_who_stands_gets_the_forces_of_physics(body: Skeleton, features: np.ndarray) -> None:
    values = np.tile(body.default_values, (301, 1))
    motion = Motion(np.arange(301) / 100, values, body.coordinate_names, np.ones(values.shape, dtype=bool))
    found = LearnedForces("tiny", model_of(features, spoken=0.5), EVERYWHERE)(trial_of(body, motion))
    vertical = found.forces.force_n[..., 1].sum(axis=1) / trial_of(body, motion).subject.body_weight_n
    np.testing.assert_allclose(vertical, 1.0, atol=0.01)


@pytest.mark.parametrize("seconds", [0.003, 0.01, 0.039])
def test_a_motion_of_a_few_milliseconds_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidMotionError, match="lasts"):
        frame_times(np.linspace(2.0, 2.0 + seconds, 8))


def test_the_shortest_motion_has_forces(body: Skeleton, walk: Motion, features: np.ndarray) -> None:
    short = replace(walk, time_s=walk.time_s[:5], values=walk.values[:5], observed=walk.observed[:5])
    found = LearnedForces("tiny", model_of(features), EVERYWHERE)(trial_of(body, short))
    assert np.isfinite(found.forces.force_n).all()


def test_the_same_motion_gives_the_same_bits(body: Skeleton, walk: Motion, features: np.ndarray) -> None:
    estimator = LearnedForces("tiny", model_of(features, spoken=0.1), EVERYWHERE)
    first, second = (estimator(trial_of(body, walk), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.forces.force_n, second.forces.force_n)
    np.testing.assert_array_equal(first.forces.cop_m, second.forces.cop_m)
    assert first.provenance["weights"] == "tiny"
    assert first.provenance["seed"] == 3


def test_a_motion_far_from_the_training_data_is_told(features: np.ndarray) -> None:
    limits = replace(
        EVERYWHERE, lowest=tuple(features.min(axis=0).tolist()), highest=tuple(features.max(axis=0).tolist())
    )
    assert limits.warnings(features) == ()
    leaning = features.copy()
    leaning[:, PHYSICS["trunk_tilt"]] -= 1.0
    (warning,) = limits.warnings(leaning)
    assert "trunk tilt" in warning
    assert "physics" in warning


def test_limits_come_back_from_json() -> None:
    assert ForceLimits.from_json(EVERYWHERE.to_json(), source="here") == EVERYWHERE


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"walking": 1.0},
        {**EVERYWHERE.to_json(), "lowest": [0.0]},
        {**EVERYWHERE.to_json(), "running": "wide"},
    ],
)
def test_limits_that_are_none_are_refused(broken: object) -> None:
    with pytest.raises(InputFileError, match="limits"):
        ForceLimits.from_json(broken, source="here")


@pytest.mark.parametrize("broken", [{}, {"width": 8}, {"width": 0, "dilations": [1]}, {"width": 8, "dilations": ["x"]}])
def test_sizes_that_are_none_are_refused(broken: dict[str, object]) -> None:
    with pytest.raises(InputFileError, match="sizes"):
        size_from_json(broken, source="here")
