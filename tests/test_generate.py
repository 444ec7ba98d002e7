"""Generated gaits: a body of any size, on the floor, forward, with forces that agree with the motion."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ASSETS
from walking_states import BUNDLED, WalkingStates

from gaitdynamics.biomech.carried_body import with_carried_body
from gaitdynamics.biomech.kinematics import foot_paths, pelvis_of, posed
from gaitdynamics.biomech.realism import mean_vertical_bw, newton_euler_residual
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.scaled_model import scaled_model
from gaitdynamics.maths.signals import second_derivative
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.generate_gait import (
    LARGEST_SLIDING_M_S,
    GeneratedGait,
    Wish,
    activity_at,
    generate_gaits,
    placed_on_floor,
)
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject

SPEED_M_S = 1.3  # of the bundled walk
SMALL = Subject("small", mass_kg=40.0, height_m=1.40)


@pytest.fixture(scope="module")
def walking() -> WalkingStates:
    return WalkingStates.of(ASSETS)


@pytest.fixture(scope="module")
def small_body(tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    path = tmp_path_factory.mktemp("small") / "small.osim"
    text = scaled_model(
        ASSETS / "generic_body.osim",
        name="small",
        length_scale=SMALL.height_m / BUNDLED.height_m,
        mass_kg=SMALL.mass_kg,
    )
    path.write_text(text, encoding="utf-8")
    return read_model(path)


@pytest.fixture(scope="module")
def gait(walking: WalkingStates, small_body: Skeleton) -> GeneratedGait:
    wish = Wish(SPEED_M_S, "walk", 4.0)
    (only,) = generate_gaits(small_body, SMALL, wish, num=1, sampler=walking, estimator=estimate_forces)
    return only


def heels_and_toes_m(gait: GeneratedGait) -> np.ndarray:
    trial = gait.trial
    pose = posed(trial.skeleton, trial.motion.values)
    return foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m).points_m


def test_a_scaled_body_has_every_length_and_mass_in_proportion(body: Skeleton, small_body: Skeleton) -> None:
    length, mass = SMALL.height_m / BUNDLED.height_m, SMALL.mass_kg / BUNDLED.mass_kg
    assert small_body.mass_kg == pytest.approx(SMALL.mass_kg, rel=1e-9)
    for before, after in zip(body.bodies, small_body.bodies, strict=True):
        assert after.mass_kg == pytest.approx(mass * before.mass_kg)
        np.testing.assert_allclose(after.com_in_body_m, length * before.com_in_body_m, atol=1e-9)
        np.testing.assert_allclose(
            after.inertia_in_body_kgm2, mass * length**2 * before.inertia_in_body_kgm2, atol=1e-9
        )


def test_a_scaled_body_is_posed_as_opensim_poses_it(
    opensim: ModuleType, small_body: Skeleton, walk: Motion, tmp_path: Path
) -> None:
    path = tmp_path / "small.osim"
    path.write_text(
        scaled_model(ASSETS / "generic_body.osim", name="small", length_scale=0.8, mass_kg=40.0), encoding="utf-8"
    )
    model = opensim.Model(str(path))
    state = model.initSystem()
    values = walk.values[50].copy()
    for name, value in zip(walk.coordinates, values, strict=True):
        model.updCoordinateSet().get(name).setValue(state, float(value), False)
    model.realizePosition(state)
    pose = posed(small_body, values[None])
    for name, index in small_body.body_index.items():
        in_opensim = model.getBodySet().get(name).getTransformInGround(state).p().to_numpy()
        np.testing.assert_allclose(pose.origin_m[0, index].numpy(), in_opensim, atol=1e-5)


def test_a_scaled_body_still_stands_on_the_floor(small_body: Skeleton) -> None:
    standing = small_body.default_values[None]
    heels_m = foot_paths(small_body, posed(small_body, standing), height_m=SMALL.height_m).points_m[0, :, 0]
    np.testing.assert_allclose(heels_m[:, 1], 0.0, atol=1e-6)


def test_a_generated_walk_goes_forward_along_x_from_the_origin(gait: GeneratedGait) -> None:
    trial = gait.trial
    pose = posed(trial.skeleton, trial.motion.values)
    pelvis_m = pose.origin_m[:, trial.skeleton.body_index[pelvis_of(trial.skeleton)]].numpy()
    np.testing.assert_allclose(pelvis_m[0, [0, 2]], 0.0, atol=1e-9)
    duration_s = trial.motion.time_s[-1]
    # Speeds in a state are per body height.
    assert pelvis_m[-1, 0] / duration_s == pytest.approx(SPEED_M_S * SMALL.height_m / BUNDLED.height_m, rel=0.05)
    assert abs(pelvis_m[-1, 2]) < 0.1


def test_the_soles_of_a_generated_walk_stand_on_the_floor(gait: GeneratedGait) -> None:
    heels_m, toes_m = heels_and_toes_m(gait)[:, :, 0, 1], heels_and_toes_m(gait)[:, :, 1, 1]
    sole_of_toe_joint_m = 0.02 * SMALL.height_m / BUNDLED.height_m
    lowest_m = np.minimum(heels_m, toes_m - sole_of_toe_joint_m).min(axis=1)
    assert abs(np.median(lowest_m)) < 0.005
    assert lowest_m.min() > -0.02


def test_the_toes_of_a_generated_walk_do_not_sink_as_the_heel_rises(gait: GeneratedGait) -> None:
    trial = gait.trial
    skeleton, names = trial.skeleton, trial.skeleton.coordinate_names
    tip_in_toes_m = np.array([0.0745, -0.02, 0.0]) * SMALL.height_m / BUNDLED.height_m

    def lowest_tip_m(values: np.ndarray) -> float:
        pose = posed(skeleton, values)
        tips = [
            pose.origin_m[:, k].numpy() + pose.rotation[:, k].numpy() @ tip_in_toes_m
            for k in (skeleton.body_index[foot.toes] for foot in skeleton.feet if foot.toes is not None)
        ]
        return float(np.min(tips, axis=(0, 1))[1])

    stiff = trial.motion.values.copy()
    stiff[:, [names.index("mtp_angle_r"), names.index("mtp_angle_l")]] = 0.0
    assert lowest_tip_m(stiff) < -0.02
    assert lowest_tip_m(trial.motion.values) > -0.02


def test_the_forces_of_a_generated_walk_carry_the_body(gait: GeneratedGait) -> None:
    mean_bw = mean_vertical_bw(gait.prediction.forces, body_weight_n=SMALL.body_weight_n)
    assert mean_bw == pytest.approx(1.0, abs=0.02)


def test_the_same_seed_gives_the_same_gaits_and_another_seed_others(
    walking: WalkingStates, small_body: Skeleton
) -> None:
    def values(seed: int, num: int = 2) -> np.ndarray:
        wish = Wish(SPEED_M_S, "walk", 2.0)
        gaits = generate_gaits(small_body, SMALL, wish, num=num, sampler=walking, estimator=estimate_forces, seed=seed)
        return np.stack([each.trial.motion.values for each in gaits])

    first = values(3)
    np.testing.assert_array_equal(values(3), first)
    assert not np.allclose(values(4), first)
    assert not np.allclose(first[0], first[1])
    np.testing.assert_array_equal(values(3, num=3)[:2], first)


def test_a_gait_whose_feet_slide_is_drawn_again(walking: WalkingStates, small_body: Skeleton) -> None:
    attempts: list[int] = []

    def sampler(
        seeds: Sequence[Sequence[int]], num_frames: int, *, speed_m_s: float, subject: Subject, activity: str
    ) -> np.ndarray:
        states = walking(seeds, num_frames, speed_m_s=speed_m_s, subject=subject, activity=activity)
        attempts.append(seeds[0][2])
        if attempts[-1] == 0:
            states[:, :, GAIT["pelvis_velocity"]] *= 4.0
        return states

    wish = Wish(SPEED_M_S, "walk", 2.0)
    (only,) = generate_gaits(small_body, SMALL, wish, num=1, sampler=sampler, estimator=estimate_forces)
    assert attempts == [0, 1]
    assert only.sliding_m_s < LARGEST_SLIDING_M_S["walk"]


def test_a_motion_is_placed_on_the_floor_wherever_it_was(small_body: Skeleton, gait: GeneratedGait) -> None:
    values = gait.trial.motion.values.copy()
    names = small_body.coordinate_names
    for name, shift_m in (("pelvis_tx", 3.0), ("pelvis_ty", -0.4), ("pelvis_tz", 1.0)):
        values[:, names.index(name)] += shift_m
    load_bw = gait.prediction.forces.force_n[:, :, 1] / SMALL.body_weight_n
    once = placed_on_floor(small_body, gait.trial.motion.values, load_bw=load_bw, height_m=SMALL.height_m)
    again = placed_on_floor(small_body, values, load_bw=load_bw, height_m=SMALL.height_m)
    np.testing.assert_allclose(again, once, atol=1e-9)


def test_a_body_is_carried_as_the_forces_say_and_a_consistent_one_is_left_alone(body: Skeleton, walk: Motion) -> None:
    rate_hz = walk.sampling_rate_hz
    com_m = body.centre_of_mass(posed(body, walk.values)).numpy()
    weight_n = np.array([0.0, BUNDLED.body_weight_n, 0.0])
    force_n = BUNDLED.mass_kg * second_derivative(com_m, sampling_rate_hz=rate_hz) + weight_n
    kept = with_carried_body(body, walk.values, force_n=force_n, sampling_rate_hz=rate_hz)
    np.testing.assert_allclose(kept, walk.values, atol=1e-6)

    shaken = walk.values.copy()
    height = body.coordinate_names.index("pelvis_ty")
    shaken[:, height] += 0.002 * np.sin(2 * np.pi * 5.0 * walk.time_s)
    calmed = with_carried_body(body, shaken, force_n=force_n, sampling_rate_hz=rate_hz)
    inner = slice(20, -20)
    assert np.abs(calmed - walk.values)[inner, height].max() < 0.0002
    np.testing.assert_allclose(np.delete(calmed, height, axis=1), np.delete(shaken, height, axis=1), atol=1e-6)


@pytest.mark.parametrize(("speed_m_s", "activity"), [(0.8, "walk"), (1.9, "walk"), (2.0, "run"), (5.0, "run")])
def test_the_activity_follows_from_the_speed(speed_m_s: float, activity: str) -> None:
    assert activity_at(speed_m_s) == activity


@pytest.mark.parametrize(
    ("speed_m_s", "activity", "duration_s", "said"),
    [
        (-1.0, "walk", 5.0, "the speed is -1 m/s"),
        (100.0, "run", 5.0, "the speed is 100 m/s"),
        (float("nan"), "run", 5.0, "the speed is nan"),
        (1.0, "swim", 5.0, "'swim' is no activity"),
        (1.0, "walk", 0.1, "the duration is 0.1 s"),
    ],
)
def test_nobody_moves_so(speed_m_s: float, activity: str, duration_s: float, said: str) -> None:
    with pytest.raises(InvalidMotionError, match=said):
        Wish(speed_m_s, activity, duration_s)


@pytest.mark.parametrize(
    ("wish", "subject", "said"),
    [
        (Wish(3.0, "walk", 5.0), BUNDLED, "walk at 0.7 to 2.2 m/s, not 3 m/s"),
        (Wish(6.0, "run", 5.0), BUNDLED, "run at 2 to 5 m/s, not 6 m/s"),
        (Wish(1.2, "walk", 5.0), Subject("tall", mass_kg=90.0, height_m=2.2), "1.1 to 2 m tall, not 2.2"),
        (Wish(1.2, "walk", 5.0), Subject("heavy", mass_kg=150.0, height_m=1.7), "body mass index"),
    ],
)
def test_what_lies_outside_the_training_data_is_called_extrapolation(wish: Wish, subject: Subject, said: str) -> None:
    (warning,) = wish.warnings(subject)
    assert warning.startswith("extrapolation") and said in warning
    assert not Wish(1.3, "walk", 5.0).warnings(BUNDLED)


def weightless(num: int, time_s: np.ndarray) -> GroundReaction:
    return GroundReaction(
        time_s, np.zeros((num, 2, 3)), np.zeros((num, 2, 3)), np.zeros((num, 2)), np.ones((num, 2), dtype=bool)
    )


def test_a_body_in_free_fall_needs_no_force_and_one_that_stands_its_weight(body: Skeleton) -> None:
    time_s = np.arange(100) / 100.0
    falling = np.tile(body.default_values, (100, 1))
    falling[:, body.coordinate_names.index("pelvis_ty")] += -0.5 * 9.80665 * time_s**2
    none = weightless(100, time_s)
    fallen = newton_euler_residual(body, falling, none, time_s=time_s)
    np.testing.assert_allclose(fallen.force_n, 0.0, atol=1.0)
    np.testing.assert_allclose(fallen.moment_nm, 0.0, atol=1.0)
    standing = newton_euler_residual(body, np.tile(body.default_values, (100, 1)), none, time_s=time_s)
    np.testing.assert_allclose(standing.force_n[:, 1], -BUNDLED.body_weight_n, rtol=1e-6)


def test_a_force_beside_the_centre_of_mass_leaves_a_moment(body: Skeleton) -> None:
    time_s = np.arange(100) / 100.0
    standing = np.tile(body.default_values, (100, 1))
    com_m = body.centre_of_mass(posed(body, standing)).numpy()
    force_n = np.zeros((100, 2, 3))
    force_n[:, :, 1] = BUNDLED.body_weight_n / 2
    cop_m = np.repeat(com_m[:, None] * np.array([1.0, 0.0, 1.0]), 2, axis=1)
    under = replace(weightless(100, time_s), force_n=force_n, cop_m=cop_m)
    balanced = newton_euler_residual(body, standing, under, time_s=time_s)
    np.testing.assert_allclose(balanced.moment_nm, 0.0, atol=1e-6)
    forward = replace(under, cop_m=cop_m + np.array([0.1, 0.0, 0.0]))
    tipped = newton_euler_residual(body, standing, forward, time_s=time_s)
    np.testing.assert_allclose(tipped.moment_nm[:, 2], 0.1 * BUNDLED.body_weight_n, rtol=1e-6)


def test_the_mean_vertical_force_is_that_of_whole_strides() -> None:
    time_s = np.arange(300) / 100.0
    forces = weightless(300, time_s)
    is_right = ((time_s + 0.25) % 1.0) < 0.5
    forces.force_n[:, 0, 1] = np.where(is_right, 600.0, 0.0)
    forces.force_n[:, 1, 1] = np.where(is_right, 0.0, 800.0)
    assert mean_vertical_bw(forces, body_weight_n=700.0) == pytest.approx(1.0, abs=0.01)
    assert mean_vertical_bw(weightless(300, time_s), body_weight_n=700.0) is None
