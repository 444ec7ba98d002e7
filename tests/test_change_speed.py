"""The same person at other speeds: faster is faster, the same is the same, right and left are alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_response import made_up_response
from walk_variants import SPEED_M_S, changed, column, mirrored, of_other_knee_sign, on_treadmill, standing, trial_of

from gaitdynamics.biomech.cycles import strides
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.study import read_study
from gaitdynamics.model.speed_response import SpeedResponse
from gaitdynamics.tasks.change_speed import change_speed
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.estimators import load_speed_response
from gaitdynamics.tasks.gait_versions import AS_RECORDED, GaitVersion
from gaitdynamics.tasks.recorded_gait import recorded_gait
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

SPEEDS_M_S = (1.0, 1.3, 1.6, 1.9)


@pytest.fixture(scope="module")
def response() -> SpeedResponse:
    return load_speed_response("starter_speed")


@pytest.fixture(scope="module")
def versions(body: Skeleton, walk: Motion, response: SpeedResponse) -> tuple[GaitVersion, ...]:
    return at_speeds(trial_of(body, walk), response, num_samples=2)


def at_speeds(
    trial: Trial, response: SpeedResponse, speeds: tuple[float, ...] = SPEEDS_M_S, *, num_samples: int = 0
) -> tuple[GaitVersion, ...]:
    return change_speed(
        trial, to_m_s=speeds, estimator=estimate_forces, response=response, num_samples=num_samples, seed=1
    )


def parameters(version: GaitVersion) -> dict[str, float | None]:
    return gait_parameters(version.trial, version.prediction.forces, belt_speed_m_s=version.prediction.belt_speed_m_s)


def test_the_first_version_is_the_gait_as_recorded(versions: tuple[GaitVersion, ...], walk: Motion) -> None:
    first = versions[0]
    assert (first.label, first.samples, first.is_extrapolated) == (AS_RECORDED, (), False)
    assert first.amount == pytest.approx(SPEED_M_S, abs=0.02)
    np.testing.assert_array_equal(first.trial.motion.values, walk.values)
    assert [version.label for version in versions[1:]] == [f"{speed:g} m/s" for speed in SPEEDS_M_S]


def test_each_version_goes_at_its_speed_and_its_forces_belong_to_its_motion(
    versions: tuple[GaitVersion, ...],
) -> None:
    for version, speed in zip(versions[1:], SPEEDS_M_S, strict=True):
        assert version.amount == speed
        assert version.prediction.motion is version.trial.motion
        np.testing.assert_array_equal(version.prediction.forces.time_s, version.trial.motion.time_s)
        assert parameters(version)["speed_m_s"] == pytest.approx(speed, rel=0.02)


def test_faster_is_longer_and_quicker_strides_with_less_time_on_the_ground(versions: tuple[GaitVersion, ...]) -> None:
    found = [parameters(version) for version in versions[1:]]
    for name, sign in (("stride_length_m", 1), ("cadence_steps_per_min", 1), ("contact_time_s", -1)):
        assert (sign * np.diff([each[name] for each in found]) > 0).all(), name
    assert found[-1]["peak_propulsive_bw"] > found[0]["peak_propulsive_bw"]


def test_the_same_speed_is_nearly_the_same_gait(versions: tuple[GaitVersion, ...]) -> None:
    recorded = versions[0]
    same = next(version for version in versions if version.label == "1.3 m/s")
    assert len(same.trial.motion.time_s) == pytest.approx(len(recorded.trial.motion.time_s), abs=3)
    before, after = parameters(recorded), parameters(same)
    for name, value in before.items():
        if value is None:
            continue
        share = 0.08 if name.startswith("loading_rate") else 0.03  # a slope within three frames
        assert after[name] == pytest.approx(value, abs=0.5 if name.endswith("deg") else share * abs(value) + 0.01), name


def test_a_mirrored_person_changes_in_mirror_image(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    stiff = changed(walk, knee_angle_r=0.8 * column(walk, "knee_angle_r"))  # or both sides would be alike
    (_, one), (_, other) = (at_speeds(trial_of(body, motion), response, (1.7,)) for motion in (stiff, mirrored(stiff)))
    for name, value in parameters(one).items():
        swapped = name.replace("right", "~").replace("left", "right").replace("~", "left")
        assert parameters(other)[swapped] == pytest.approx(value, abs=0.05 + 0.01 * abs(value)), name
    assert parameters(one)["knee_flexion_max_deg_right"] < parameters(one)["knee_flexion_max_deg_left"] - 5


@pytest.mark.usefixtures("opensim")
def test_the_sign_of_the_model_s_knees_does_not_matter(
    body: Skeleton, walk: Motion, response: SpeedResponse, tmp_path: Path
) -> None:
    other_body, other_walk = of_other_knee_sign(walk, tmp_path)
    one, other = (
        at_speeds(trial, response, (1.7,))[1] for trial in (trial_of(body, walk), trial_of(other_body, other_walk))
    )
    np.testing.assert_allclose(
        column(other.trial.motion, "knee_angle_r"), -column(one.trial.motion, "knee_angle_r"), atol=1e-3
    )


def test_overground_stays_overground(versions: tuple[GaitVersion, ...]) -> None:
    for version, speed in zip(versions[1:], SPEEDS_M_S, strict=True):
        motion = version.trial.motion
        travelled = np.ptp(column(motion, "pelvis_tx"))
        assert version.trial.belt_speed_m_s == 0.0
        assert travelled == pytest.approx(speed * (motion.time_s[-1] - motion.time_s[0]), rel=0.03)


@pytest.mark.parametrize("belt_speed", [SPEED_M_S, None])
def test_a_treadmill_runs_at_the_new_speed_and_the_person_stays_on_it(
    body: Skeleton, walk: Motion, response: SpeedResponse, belt_speed: float | None
) -> None:
    motion, _ = on_treadmill(walk)
    version = at_speeds(trial_of(body, motion, belt_speed=belt_speed), response, (1.7,), num_samples=2)[1]
    assert version.trial.belt_speed_m_s == pytest.approx(1.7, abs=0.02)
    for each in (version.trial.motion, *(sample.motion for sample in version.samples)):
        assert np.ptp(column(each, "pelvis_tx")) < 0.15


def test_samples_differ_repeat_with_the_seed_and_have_whole_strides(
    body: Skeleton, walk: Motion, response: SpeedResponse, versions: tuple[GaitVersion, ...]
) -> None:
    again = at_speeds(trial_of(body, walk), response, (1.9,), num_samples=1)[1]
    before = versions[-1]
    np.testing.assert_array_equal(before.trial.motion.values, again.trial.motion.values)
    np.testing.assert_allclose(before.samples[0].motion.values, again.samples[0].motion.values, atol=1e-6)
    first, second = before.samples
    num = min(len(first.motion.time_s), len(second.motion.time_s))
    knee = first.motion.coordinates.index("knee_angle_r")
    assert np.abs(first.motion.values[:num, knee] - second.motion.values[:num, knee]).max() > np.radians(1.0)
    for sample in before.samples:
        assert len(strides(sample.forces)) >= 2
        assert sample.motion.time_s[0] == before.trial.motion.time_s[0]


def test_a_trunk_that_the_response_does_not_know_moves_in_space_as_it_did(body: Skeleton, walk: Motion) -> None:
    _, version = at_speeds(trial_of(body, walk), made_up_response(), (1.3 * 1.2,))
    before, after = (
        gait_parameters(each, version.prediction.forces, belt_speed_m_s=0.0)["trunk_lean_range_deg"]
        for each in (trial_of(body, walk), version.trial)
    )
    assert after == pytest.approx(before, rel=0.1)


def test_a_joint_that_was_not_observed_keeps_its_values(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    observed = walk.observed.copy()
    ankles = [walk.coordinates.index(f"ankle_angle_{side}") for side in "rl"]
    observed[:, ankles] = False
    still = changed(walk, ankle_angle_r=np.full(len(walk.time_s), 0.1), ankle_angle_l=np.full(len(walk.time_s), 0.1))
    _, version = at_speeds(trial_of(body, replace(still, observed=observed)), response, (1.6,))
    np.testing.assert_allclose(version.trial.motion.values[:, ankles], 0.1, atol=1e-9)
    assert not version.trial.motion.observed[:, ankles].any()


def test_speeds_beyond_the_training_people_are_marked(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    _, inside, outside = at_speeds(trial_of(body, walk), response, (1.5, 2.6))
    assert not inside.is_extrapolated
    assert outside.is_extrapolated
    assert any("extrapolation" in warning and "2.6" in warning for warning in outside.warnings)
    assert not any("extrapolation" in warning for warning in inside.warnings)


def test_speeds_that_are_nobody_s_are_refused(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    for speed in (0.1, 7.0, 30.0):
        with pytest.raises(InvalidMotionError, match="m/s"):
            at_speeds(trial_of(body, walk), response, (speed,))


def test_a_walk_does_not_become_a_run(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    with pytest.raises(InvalidMotionError, match="generate --activity run"):
        change_speed(trial_of(body, walk), to_m_s=[3.0], activity="run", estimator=estimate_forces, response=response)
    with pytest.raises(InvalidMotionError, match="'hop'"):
        change_speed(trial_of(body, walk), to_m_s=[1.5], activity="hop", estimator=estimate_forces, response=response)


def test_standing_and_less_than_a_stride_have_no_speed_to_change(
    body: Skeleton, walk: Motion, response: SpeedResponse
) -> None:
    short = replace(walk, time_s=walk.time_s[:60], values=walk.values[:60], observed=walk.observed[:60])
    for motion in (standing(body), short):
        with pytest.raises(InvalidMotionError, match="no complete stride"):
            at_speeds(trial_of(body, motion), response)


def test_progress_is_told_to_the_end(body: Skeleton, walk: Motion, response: SpeedResponse) -> None:
    told: list[tuple[int, int]] = []
    change_speed(
        trial_of(body, walk),
        to_m_s=[1.1, 1.5],
        estimator=estimate_forces,
        response=response,
        num_samples=2,
        report=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 6) for done in range(1, 7)]


def test_measured_walks_and_runs_are_told_apart(shared: Path) -> None:
    for name, activity in (("Fukuchi2017RBDS/RBDS001", "run"), ("SchreiberMoissenet2019/2014001", "walk")):
        trial = load_trial(read_study(shared / "gaitdata" / name)[0])
        first = trial.motion.time_s < trial.motion.time_s[0] + 3.0
        motion = replace(
            trial.motion,
            time_s=trial.motion.time_s[first],
            values=trial.motion.values[first],
            observed=trial.motion.observed[first],
        )
        assert recorded_gait(replace(trial, motion=motion), estimator=estimate_forces).activity == activity
