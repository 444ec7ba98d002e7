"""When a foot is down: on feet whose path is known."""

import numpy as np
import pytest

from gaitdynamics.biomech.contact import Contact, detect_contact, infer_belt_speed, smoothed_path
from gaitdynamics.biomech.kinematics import FootPath
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import intervals

RATE_HZ = 200.0
FORWARD = np.array([1.0, 0.0, 0.0])
FOOT_M = 0.19
STANCE_S, SWING_S = 0.66, 0.42
PERIOD_S = STANCE_S + SWING_S


def smooth_step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def walking_feet(*, speed: float = 1.3, num_strides: int = 4) -> tuple[FootPath, np.ndarray, np.ndarray]:
    """Feet that stand flat for STANCE_S and then swing in an arc; their path, the mass centre's, and who is down."""
    time_s = np.arange(round(num_strides * PERIOD_S * RATE_HZ)) / RATE_HZ
    feet, downs = [], []
    for shift, z in ((0.25, 0.09), (0.25 + PERIOD_S / 2, -0.09)):
        cycle = (time_s + shift) / PERIOD_S
        stride, phase = np.floor(cycle), np.mod(cycle, 1.0) * PERIOD_S
        swing = (phase - STANCE_S) / SWING_S
        x = (stride + smooth_step(swing)) * speed * PERIOD_S
        y = 0.18 * np.sin(np.pi * np.clip(swing, 0, 1)) ** 2
        heel = np.stack([x, y, np.full_like(x, z)], axis=1)
        feet.append(np.stack([heel, heel + np.array([FOOT_M, 0.02, 0.0])], axis=1))
        downs.append(phase < STANCE_S)
    com_m = np.stack([speed * time_s, 0.95 + 0.0 * time_s, 0.0 * time_s], axis=1)
    path = FootPath(np.stack(feet, axis=1), np.full(2, FOOT_M))
    return smoothed_path(path, sampling_rate_hz=RATE_HZ), com_m, np.stack(downs, axis=1)


def contact_of(path: FootPath, com_m: np.ndarray, *, belt_speed: float = 0.0) -> Contact:
    return detect_contact(path, com_m, heading=FORWARD, belt_speed_m_s=belt_speed, sampling_rate_hz=RATE_HZ)


@pytest.mark.parametrize("speed", [0.4, 1.3, 2.0])
def test_stances_are_found_to_a_few_hundredths_of_a_second(speed: float) -> None:
    path, com_m, is_down = walking_feet(speed=speed)
    found = contact_of(path, com_m)
    for foot in range(2):
        ours, true = intervals(found.is_down[:, foot]), intervals(is_down[:, foot])
        assert len(ours) == len(true)
        assert np.abs(np.array(ours) - true).max() <= 0.12 * RATE_HZ
    assert (found.is_down == is_down).mean() > 0.9
    assert not found.is_flight.any()


def test_every_frame_is_either_flight_or_has_a_foot_down() -> None:
    path, com_m, _ = walking_feet()
    found = contact_of(path, com_m)
    np.testing.assert_array_equal(found.is_down.any(axis=1), ~found.is_flight)


def test_a_treadmill_changes_nothing_but_the_belts_speed() -> None:
    path, com_m, _ = walking_feet()
    travelled = 1.3 * np.arange(len(com_m))[:, None] / RATE_HZ * FORWARD
    on_belt = FootPath(path.points_m - travelled[:, None, None], path.length_m)
    belt_speed = infer_belt_speed(on_belt, FORWARD, sampling_rate_hz=RATE_HZ)
    assert belt_speed == pytest.approx(1.3, abs=0.02)
    over_ground = contact_of(path, com_m)
    found = contact_of(on_belt, com_m - travelled, belt_speed=1.3)
    np.testing.assert_array_equal(found.is_down, over_ground.is_down)
    assert infer_belt_speed(path, FORWARD, sampling_rate_hz=RATE_HZ) == 0.0


def test_a_belt_that_runs_backwards_has_a_negative_speed() -> None:
    path, _, _ = walking_feet()
    backwards = FootPath(path.points_m * [-1.0, 1.0, 1.0], path.length_m)
    shift = 1.3 * np.arange(len(path.points_m))[:, None, None, None] / RATE_HZ * FORWARD
    on_belt = FootPath(backwards.points_m + shift, path.length_m)
    assert infer_belt_speed(on_belt, FORWARD, sampling_rate_hz=RATE_HZ) == pytest.approx(-1.3, abs=0.02)


def test_contact_does_not_depend_on_where_or_when_or_which_way() -> None:
    path, com_m, _ = walking_feet()
    expected = contact_of(path, com_m)
    shift = np.array([12.0, 0.0, -7.0])
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned = FootPath(path.points_m @ turn.T + shift, path.length_m)
    found = detect_contact(
        turned, com_m @ turn.T + shift, heading=turn @ FORWARD, belt_speed_m_s=0.0, sampling_rate_hz=RATE_HZ
    )
    np.testing.assert_array_equal(found.is_down, expected.is_down)
    swapped = contact_of(FootPath(path.points_m[:, ::-1], path.length_m), com_m)
    np.testing.assert_array_equal(swapped.is_down, expected.is_down[:, ::-1])


@pytest.mark.parametrize(("height_m", "floor_m"), [(0.0, 0.0), (0.05, 0.0), (-0.05, 0.0), (0.5, 0.48), (-0.9, -0.92)])
def test_the_floor_is_at_zero_unless_the_feet_rest_far_from_it(height_m: float, floor_m: float) -> None:
    path, com_m, is_down = walking_feet()
    raised = FootPath(path.points_m + np.array([0.0, height_m, 0.0]), path.length_m)
    found = contact_of(raised, com_m)
    assert found.floor_m == pytest.approx(floor_m, abs=0.005)
    assert (found.is_down == is_down).mean() > 0.9


def test_who_stands_is_down_on_both_feet_all_the_time() -> None:
    path, com_m, _ = walking_feet()
    still = FootPath(np.repeat(path.points_m[40:41], 300, axis=0) * [1, 0, 1], path.length_m)
    assert contact_of(still, np.repeat(com_m[:1], 300, axis=0)).is_down.all()


def test_a_time_without_contact_is_a_flight_only_if_the_body_falls() -> None:
    path, com_m, _ = walking_feet()
    points = path.points_m.copy()
    lifted = slice(300, 360)
    arc = 0.4 * np.sin(np.linspace(0, np.pi, 60)) ** 2
    points[lifted, :, :, 1] += arc[:, None, None]
    gone = FootPath(points, path.length_m)
    falling = com_m.copy()
    air = np.arange(60) / RATE_HZ
    falling[lifted, 1] += 9.80665 / 2 * air * (0.3 - air)
    assert not contact_of(gone, com_m).is_flight.any()
    assert contact_of(gone, com_m).is_down.any(axis=1).all()
    found = contact_of(gone, falling)
    (flight,) = intervals(found.is_flight)
    assert 300 <= flight[0] < 330 < flight[1] <= 362
    assert not found.is_down[found.is_flight].any()


def test_feet_that_never_rest_are_refused() -> None:
    path, com_m, _ = walking_feet()
    drift = 3.0 * np.arange(len(com_m)) / RATE_HZ
    points = path.points_m + drift[:, None, None, None] * np.array([0.0, 0.3, 1.0])
    with pytest.raises(InvalidMotionError, match="no foot ever rests"):
        contact_of(FootPath(points, path.length_m), com_m)


def test_a_stumble_does_not_make_a_walk_a_run() -> None:
    is_flight = np.zeros(1000, dtype=bool)
    is_flight[500:510] = True
    stumble = Contact(np.repeat(~is_flight[:, None], 2, axis=1), is_flight, 0.0, 0.0)
    assert not stumble.is_running
    is_flight = np.arange(1000) % 40 < 10
    run = Contact(np.repeat(~is_flight[:, None], 2, axis=1), is_flight, 0.0, 0.0)
    assert run.is_running
