"""Forces from motion: the laws that they must obey, whatever the numbers inside."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from walk_variants import (
    BODY_WEIGHT_N,
    HEIGHT_M,
    MASS_KG,
    MIRROR,
    MOVED_M,
    SPEED_M_S,
    STRIDE_FRAMES,
    changed,
    column,
    mirrored,
    motion_of,
    of_other_knee_sign,
    on_treadmill,
    rotation_last,
    standing,
    trial_of,
    turned,
)

from gaitdynamics.biomech.kinematics import foot_paths, posed
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2


@pytest.fixture(scope="module")
def prediction(body: Skeleton, walk: Motion) -> Prediction:
    return estimate_forces(trial_of(body, walk))


def sampled(motion: Motion, rate_hz: float) -> Motion:
    time_s = np.arange(round(motion.time_s[-1] * rate_hz) + 1) / rate_hz
    return motion_of(time_s, CubicSpline(motion.time_s, motion.values)(time_s), motion.coordinates)


def test_the_mean_vertical_force_over_whole_cycles_is_one_body_weight(prediction: Prediction) -> None:
    vertical = prediction.forces.force_n[: 5 * STRIDE_FRAMES, :, 1].sum(axis=1)
    assert vertical.mean() / BODY_WEIGHT_N == pytest.approx(1.0, abs=0.01)


def test_the_mean_horizontal_force_over_whole_cycles_is_nothing(prediction: Prediction) -> None:
    force = prediction.forces.force_n[20 : 20 + 5 * STRIDE_FRAMES].sum(axis=1) / BODY_WEIGHT_N
    np.testing.assert_allclose(force[:, [0, 2]].mean(axis=0), 0.0, atol=0.002)


def test_a_foot_never_pulls_and_carries_exactly_nothing_in_swing(prediction: Prediction) -> None:
    force = prediction.forces.force_n
    assert force[..., 1].min() >= 0.0
    is_swing = force[..., 1] == 0.0
    assert np.all(force[is_swing] == 0.0)
    assert np.all(prediction.forces.free_moment_nm[is_swing] == 0.0)
    assert (is_swing.mean(axis=0) > 0.3).all()
    assert (is_swing.mean(axis=0) < 0.45).all()
    assert not is_swing.all(axis=1).any()


def test_the_two_feet_add_up_to_what_the_body_needs(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    com = body.centre_of_mass(posed(body, walk.values)).numpy()
    momentum = MASS_KG * CubicSpline(walk.time_s, com)(walk.time_s, 1)
    start, end = 50, 50 + 4 * STRIDE_FRAMES
    total = prediction.forces.force_n.sum(axis=1) - [0.0, BODY_WEIGHT_N, 0.0]
    impulse = np.cumsum((total[start:end] + total[start + 1 : end + 1]) / 2 * 0.01, axis=0)
    expected = momentum[start + 1 : end + 1] - momentum[start]
    np.testing.assert_allclose(impulse, expected, atol=0.05 * MASS_KG)  # what smoothing takes: 5 cm/s


def test_the_forces_are_close_to_those_of_the_unsmoothed_body(
    body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    com = body.centre_of_mass(posed(body, walk.values)).numpy()
    exact = MASS_KG * CubicSpline(walk.time_s, com)(walk.time_s, 2) + np.array([0.0, BODY_WEIGHT_N, 0.0])
    miss = (prediction.forces.force_n.sum(axis=1) - exact)[20:-20] / BODY_WEIGHT_N
    np.testing.assert_allclose(np.sqrt((miss**2).mean(axis=0)), 0.0, atol=0.03)


def test_the_centre_of_pressure_of_a_loaded_foot_is_under_its_sole(
    body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    points = foot_paths(body, posed(body, walk.values), height_m=HEIGHT_M).points_m
    along = (points[:, :, 1] - points[:, :, 0]) * [1.0, 0.0, 1.0]
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    offset = prediction.forces.cop_m - points[:, :, 1]
    length_m = np.median(np.linalg.norm(points[:, :, 1] - points[:, :, 0], axis=-1))
    forward = (offset * along).sum(axis=-1)
    sideways = offset[..., 2] * along[..., 0] - offset[..., 0] * along[..., 2]
    is_loaded = prediction.forces.force_n[..., 1] > 0
    assert forward[is_loaded].min() > -1.06 * length_m
    assert forward[is_loaded].max() < 0.37 * length_m
    assert np.abs(sideways[is_loaded]).max() < 0.27 * length_m
    assert np.all(prediction.forces.cop_m[..., 1] == 0.0)


def test_the_two_signs_of_knee_flexion_give_the_same_forces(
    walk: Motion, prediction: Prediction, opensim: ModuleType, tmp_path: Path
) -> None:
    other = estimate_forces(trial_of(*of_other_knee_sign(walk, tmp_path)))
    np.testing.assert_allclose(other.forces.force_n, prediction.forces.force_n, atol=1e-6)
    np.testing.assert_allclose(other.forces.cop_m, prediction.forces.cop_m, atol=1e-9)


@pytest.mark.parametrize("degrees", [30.0, 90.0, 180.0, -135.0, 360.0])
def test_the_forces_turn_with_the_walk(body: Skeleton, walk: Motion, prediction: Prediction, degrees: float) -> None:
    moved, turn = turned(walk, degrees)
    body_of_order = rotation_last(body)
    expected = estimate_forces(trial_of(body_of_order, walk)).forces
    found = estimate_forces(trial_of(body_of_order, moved)).forces
    np.testing.assert_allclose(found.force_n, expected.force_n @ turn.T, atol=1e-6 * BODY_WEIGHT_N)
    np.testing.assert_allclose(found.cop_m, expected.cop_m @ turn.T + MOVED_M, atol=1e-6)
    np.testing.assert_allclose(found.free_moment_nm, expected.free_moment_nm, atol=1e-5)


def test_the_forces_do_not_depend_on_when_the_clock_starts(
    body: Skeleton, walk: Motion, prediction: Prediction
) -> None:
    later = estimate_forces(trial_of(body, replace(walk, time_s=walk.time_s + 123.4)))
    np.testing.assert_array_equal(later.forces.time_s, walk.time_s + 123.4)
    np.testing.assert_allclose(later.forces.force_n, prediction.forces.force_n, atol=1e-5)


def test_a_mirrored_walk_has_the_mirrored_forces(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    found = estimate_forces(trial_of(body, mirrored(walk))).forces
    np.testing.assert_allclose(found.force_n, prediction.forces.force_n[:, ::-1] * MIRROR, atol=1e-6)
    np.testing.assert_allclose(found.cop_m, prediction.forces.cop_m[:, ::-1] * MIRROR, atol=1e-9)
    np.testing.assert_allclose(found.free_moment_nm, -prediction.forces.free_moment_nm[:, ::-1], atol=1e-6)


@pytest.mark.parametrize(("rate_hz", "tolerance_bw"), [(50.0, 0.002), (250.0, 0.01), (1000.0, 0.01)])
def test_the_sampling_rate_hardly_matters(
    body: Skeleton, walk: Motion, prediction: Prediction, rate_hz: float, tolerance_bw: float
) -> None:
    motion = sampled(walk, rate_hz)
    found = estimate_forces(trial_of(body, motion)).forces
    assert found.force_n.shape == (len(motion.time_s), 2, 3)
    np.testing.assert_array_equal(found.time_s, motion.time_s)
    expected = CubicSpline(walk.time_s, prediction.forces.force_n.sum(axis=1))(motion.time_s)
    assert np.abs(found.force_n.sum(axis=1) - expected).max() < tolerance_bw * BODY_WEIGHT_N


def test_the_forces_are_proportional_to_the_mass(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    heavy = estimate_forces(trial_of(body, walk, mass_kg=2 * MASS_KG)).forces
    np.testing.assert_allclose(heavy.force_n, 2 * prediction.forces.force_n, atol=1e-8)
    np.testing.assert_allclose(heavy.free_moment_nm, 2 * prediction.forces.free_moment_nm, atol=1e-8)
    np.testing.assert_allclose(heavy.cop_m, prediction.forces.cop_m, atol=1e-12)


@pytest.mark.parametrize("belt_speed", [SPEED_M_S, None])
def test_on_a_treadmill_the_forces_are_those_over_the_ground(
    body: Skeleton, walk: Motion, prediction: Prediction, belt_speed: float | None
) -> None:
    motion, travelled_m = on_treadmill(walk)
    found = estimate_forces(trial_of(body, motion, belt_speed=belt_speed))
    assert found.belt_speed_m_s == pytest.approx(SPEED_M_S, abs=0.05)
    np.testing.assert_allclose(found.forces.force_n, prediction.forces.force_n, atol=0.001 * BODY_WEIGHT_N)
    is_loaded = prediction.forces.force_n[..., 1] > 0
    cop_m = found.forces.cop_m[..., 0] + travelled_m[:, None]
    np.testing.assert_allclose(cop_m[is_loaded], prediction.forces.cop_m[..., 0][is_loaded], atol=0.001)


def test_a_walk_over_the_ground_needs_no_belt_speed(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    found = estimate_forces(trial_of(body, walk, belt_speed=None))
    assert found.belt_speed_m_s == 0.0
    np.testing.assert_array_equal(found.forces.force_n, prediction.forces.force_n)


def test_who_stands_still_has_half_the_weight_on_each_foot(body: Skeleton) -> None:
    found = estimate_forces(trial_of(body, standing(body)))
    vertical = found.forces.force_n[..., 1] / BODY_WEIGHT_N
    np.testing.assert_allclose(vertical.sum(axis=1), 1.0, atol=0.005)
    np.testing.assert_allclose(vertical, 0.5, atol=0.05)
    np.testing.assert_allclose(found.forces.force_n[..., [0, 2]], 0.0, atol=0.001 * BODY_WEIGHT_N)


def test_who_leans_to_the_right_loads_the_right_foot(body: Skeleton) -> None:
    motion = standing(body)
    lean = np.full(len(motion.time_s), 0.06)
    leaning = changed(motion, pelvis_tz=lean, hip_adduction_r=lean, hip_adduction_l=-lean)
    vertical = estimate_forces(trial_of(body, leaning)).forces.force_n[..., 1].mean(axis=0) / BODY_WEIGHT_N
    assert vertical[0] > 0.6
    assert vertical.sum() == pytest.approx(1.0, abs=0.005)


def hop(skeleton: Skeleton) -> tuple[Motion, np.ndarray]:
    """Hops on both feet: 0.3 s pushed by a half sine, 0.3 s of free flight; and when the body flies, (T,).

    The legs are straight and nothing but the pelvis moves in flight; in stance hips, knees and ankles bend so that
    the feet stay where they are.
    """
    rate_hz, contact_s, flight_s, num_hops = 200.0, 0.3, 0.3, 8
    period = contact_s + flight_s
    time_s = np.arange(round(num_hops * period * rate_hz)) / rate_hz
    phase = np.mod(time_s, period)
    is_flying = phase >= contact_s
    # In stance: acceleration -g + A sin(pi t / c) with A c 2 / pi = g (c + f); from speed -g f / 2 at landing.
    amplitude = STANDARD_GRAVITY_M_S2 * period * np.pi / (2 * contact_s)
    omega = np.pi / contact_s
    fall = STANDARD_GRAVITY_M_S2 * flight_s / 2
    stance = (
        -fall * phase
        - STANDARD_GRAVITY_M_S2 * phase**2 / 2
        + amplitude * (phase / omega - np.sin(omega * phase) / omega**2)
    )
    air = phase - contact_s
    height = np.where(is_flying, fall * air - STANDARD_GRAVITY_M_S2 * air**2 / 2, stance)
    return _with_feet_below(skeleton, time_s, height, is_flying), is_flying


def _with_feet_below(skeleton: Skeleton, time_s: np.ndarray, height: np.ndarray, is_flying: np.ndarray) -> Motion:
    """The whole body moves up and down by `height`; in stance the legs bend so that the feet stay."""
    motion = motion_of(time_s, np.tile(skeleton.default_values, (len(time_s), 1)), skeleton.coordinate_names)
    crouch_m = 0.25
    centres = posed(skeleton, motion.values[:1]).joint_centre_m[0].numpy()
    index = {joint.child: i for i, joint in enumerate(skeleton.joints)}
    hip, knee, ankle = (centres[index[name]] for name in ("femur_r", "tibia_r", "talus_r"))
    thigh_m, shank_m = hip[1] - knee[1], knee[1] - ankle[1]
    drop = np.where(is_flying, 0.0, height) - crouch_m
    length = thigh_m + shank_m + drop
    inner = np.arccos((thigh_m**2 + shank_m**2 - length**2) / (2 * thigh_m * shank_m))
    knee_flexion = np.pi - inner
    hip_flexion = np.arcsin(np.clip(shank_m * np.sin(inner) / length, -1, 1))
    columns = {"pelvis_ty": column(motion, "pelvis_ty") + height - crouch_m, "lumbar_extension": 0.01 * np.sin(time_s)}
    for side in ("r", "l"):
        columns |= {
            f"hip_flexion_{side}": hip_flexion,
            f"knee_angle_{side}": knee_flexion,
            f"ankle_angle_{side}": knee_flexion - hip_flexion,
        }
    return changed(motion, **columns)


@pytest.fixture(scope="module")
def hopping(body: Skeleton) -> tuple[Prediction, np.ndarray]:
    motion, is_flying = hop(body)
    return estimate_forces(trial_of(body, motion)), is_flying


def test_in_flight_there_is_no_force(hopping: tuple[Prediction, np.ndarray]) -> None:
    found, is_flying = hopping
    force = found.forces.force_n
    edge = 12  # frames of 5 ms: feet that rise flat are on the ground until a toe joint has risen by a few cm
    inside = is_flying.copy()
    for shift in range(1, edge + 1):
        inside &= np.roll(is_flying, shift) & np.roll(is_flying, -shift)
    inside[:edge] = inside[-edge:] = False
    assert inside.sum() > 200
    assert np.all(force[inside] == 0.0)
    assert force[~is_flying].sum(axis=1)[:, 1].max() > 2 * BODY_WEIGHT_N


def test_the_impulse_over_whole_hops_is_weight_times_time(hopping: tuple[Prediction, np.ndarray]) -> None:
    found, _ = hopping
    period = 120
    vertical = found.forces.force_n[period : 7 * period, :, 1].sum(axis=1)
    assert vertical.mean() / BODY_WEIGHT_N == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(found.forces.force_n[:, 0, 1], found.forces.force_n[:, 1, 1], atol=0.02 * BODY_WEIGHT_N)


def test_a_body_that_only_falls_is_refused_or_has_no_force(body: Skeleton) -> None:
    motion = standing(body, num_frames=81)
    time_s = motion.time_s - 0.4
    height = column(motion, "pelvis_ty") + 1.5 - STANDARD_GRAVITY_M_S2 / 2 * time_s**2
    falling = changed(motion, pelvis_ty=height, pelvis_tx=2.0 * motion.time_s)
    try:
        found = estimate_forces(trial_of(body, falling))
    except InvalidMotionError as refused:
        assert "no foot" in str(refused)
        return
    assert np.abs(found.forces.force_n).max() < 0.1 * BODY_WEIGHT_N


def test_a_motion_whose_feet_slide_at_speed_over_the_floor_is_refused(body: Skeleton) -> None:
    motion = standing(body)
    wobble = 2.0 * np.sin(2 * np.pi * 2.0 * motion.time_s)
    sliding = changed(motion, pelvis_ty=column(motion, "pelvis_ty") + 0.3 * motion.time_s, pelvis_tz=wobble)
    with pytest.raises(InvalidMotionError, match="no foot ever rests"):
        estimate_forces(trial_of(body, sliding))


def test_a_floor_far_from_zero_is_found_and_told(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    raised = changed(walk, pelvis_ty=column(walk, "pelvis_ty") + 0.4)
    found = estimate_forces(trial_of(body, raised))
    np.testing.assert_allclose(found.forces.force_n, prediction.forces.force_n, atol=1e-6)
    assert found.forces.cop_m[..., 1] == pytest.approx(0.4, abs=0.05)
    assert any("40 cm" in warning or "38 cm" in warning for warning in found.warnings)


def test_the_measured_forces_are_not_looked_at(body: Skeleton, walk: Motion, prediction: Prediction) -> None:
    nonsense = replace(prediction.forces, force_n=np.full_like(prediction.forces.force_n, 1e6))
    found = estimate_forces(replace(trial_of(body, walk), forces=nonsense))
    np.testing.assert_array_equal(found.forces.force_n, prediction.forces.force_n)


def test_the_same_motion_gives_the_same_bits_and_is_not_modified(body: Skeleton, walk: Motion) -> None:
    before = walk.values.copy()
    first, second = (estimate_forces(trial_of(body, walk)).forces for _ in range(2))
    np.testing.assert_array_equal(first.force_n, second.force_n)
    np.testing.assert_array_equal(first.cop_m, second.cop_m)
    np.testing.assert_array_equal(walk.values, before)


def test_the_provenance_says_how_the_forces_came_about(body: Skeleton, walk: Motion) -> None:
    provenance = estimate_forces(trial_of(body, walk), seed=7).provenance
    assert provenance["weights"] == "physics"
    assert provenance["seed"] == 7
    assert provenance["version"]


@pytest.mark.parametrize("noise_rad", [0.002])
def test_a_little_noise_makes_a_little_difference(
    body: Skeleton, walk: Motion, prediction: Prediction, noise_rad: float
) -> None:
    noise = np.random.default_rng(0).normal(scale=noise_rad, size=walk.values.shape)
    found = estimate_forces(trial_of(body, replace(walk, values=walk.values + noise))).forces
    miss = found.force_n.sum(axis=1) - prediction.forces.force_n.sum(axis=1)
    assert np.sqrt((miss**2).mean(axis=0)).max() < 0.05 * BODY_WEIGHT_N
