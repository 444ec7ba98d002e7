"""Recordings as training examples: the same rows each time, forces that lead back, copies altered as stated."""

from dataclasses import replace

import numpy as np
import pytest

from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.state.layout import FORCES, PHYSICS, PUBLISHED
from gaitdynamics.state.physics_features import coordinates_of_groups, physics_features
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.learned_forces import frame_times
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.examples import BLOCKS, NOISE_RAD, OFFSET_RAD, altered, encode_recording
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

ALL = ((0.0, 100.0),)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    """The bundled walk, with the forces of physics as the measured ones."""
    bare = Trial("walk", Subject("anyone", 75.0, 1.75), body, walk, None, 0.0, "made up")
    return replace(bare, forces=estimate_forces(bare).forces)


def test_every_block_has_a_row_for_every_frame(trial: Trial) -> None:
    rows = encode_recording(trial, ALL)
    num_frames = len(frame_times(trial.motion.time_s))
    assert {block: values.shape for block, values in rows.items()} == {
        block: (num_frames, len(channels)) for block, channels in BLOCKS.items()
    }
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in rows.values())


def test_forces_that_physics_estimated_are_those_that_physics_shares(trial: Trial) -> None:
    rows = encode_recording(trial, ALL)
    for side in ("right", "left"):
        taught = rows[FORCES.name][:, FORCES[f"force_{side}"]]
        shared = rows[PHYSICS.name][:, PHYSICS[f"shared_force_{side}"]]
        np.testing.assert_allclose(taught, shared, atol=0.002)
        shift = rows[FORCES.name][:, FORCES[f"pressure_shift_{side}"]][taught[:, 1] > 0.1]
        np.testing.assert_allclose(shift, 0.0, atol=0.002)


def test_a_force_is_known_only_within_the_valid_intervals(trial: Trial) -> None:
    rows = encode_recording(trial, ((1.0, 2.0), (3.0, 3.5)))
    time_s = frame_times(trial.motion.time_s)
    inside = ((time_s >= 1.0) & (time_s < 2.0)) | ((time_s >= 3.0) & (time_s < 3.5))
    np.testing.assert_array_equal(rows[VALID][:, 0] > 0, inside)


def test_a_copy_is_the_same_each_time_and_differs_with_its_seed(trial: Trial) -> None:
    first, again, other = (encode_recording(trial, ALL, variant=1, seed=seed) for seed in (5, 5, 6))
    assert all((first[block] == again[block]).all() for block in BLOCKS)
    assert (first[PHYSICS.name] != other[PHYSICS.name]).any()


def test_an_altered_copy_is_offset_and_noisy_as_much_as_stated(trial: Trial) -> None:
    name = "knee_angle_r"
    column = trial.motion.coordinates.index(name)
    offsets, noises = [], []
    for seed in range(40):
        change = altered(trial, is_gappy=False, rng=np.random.default_rng(seed)).motion.values[:, column]
        change = change - trial.motion.values[:, column]
        offsets.append(change.mean())
        noises.append(change.std())
    assert np.std(offsets) == pytest.approx(OFFSET_RAD, rel=0.35)
    assert 0.0 < min(noises) < max(noises) <= 1.2 * NOISE_RAD


def test_a_gappy_copy_lacks_whole_groups_and_says_so(trial: Trial) -> None:
    groups = coordinates_of_groups(trial.skeleton)
    missing = set()
    for seed in range(12):
        copy = altered(trial, is_gappy=True, rng=np.random.default_rng(seed))
        for group, names in groups.items():
            columns = [copy.motion.coordinates.index(name) for name in names]
            seen = copy.motion.observed[:, columns]
            assert seen.all() or not seen.any()
            if not seen.any():
                missing.add(group)
                defaults = trial.skeleton.default_values[columns]
                np.testing.assert_allclose(copy.motion.values[:, columns], defaults[None] + 0 * seen, atol=1e-12)
    assert len(missing) > 4


def test_what_was_not_observed_is_flagged_in_the_features(trial: Trial) -> None:
    motion = trial.motion
    columns = [motion.coordinates.index(name) for name in coordinates_of_groups(trial.skeleton)["knee_left"]]
    observed = motion.observed.copy()
    observed[:, columns] = False
    blind = replace(trial, motion=replace(motion, observed=observed))
    features = physics_features(blind, physics_of(blind, frame_times(motion.time_s)))
    assert (features[:, PHYSICS["observed_knee_left"]] == 0).all()
    assert (features[:, PHYSICS["observed_knee_right"]] == 1).all()


def test_what_the_authors_state_does_not_know_is_zero(trial: Trial) -> None:
    motion = trial.motion
    columns = [motion.coordinates.index(name) for name in coordinates_of_groups(trial.skeleton)["lumbar"]]
    observed = motion.observed.copy()
    observed[:, columns] = False
    rows = encode_recording(replace(trial, motion=replace(motion, observed=observed)), ALL)
    assert (rows[PUBLISHED.name][:, PUBLISHED["lumbar"]] == 0).all()
    assert (encode_recording(trial, ALL)[PUBLISHED.name][:, PUBLISHED["lumbar"]] != 0).any()


def test_a_recording_without_forces_is_refused(trial: Trial) -> None:
    with pytest.raises(InvalidMotionError, match="no measured forces"):
        encode_recording(replace(trial, forces=None), ALL)
