"""Newton and Euler, on motions whose forces are known."""

import numpy as np
import pytest

from gaitdynamics.biomech.dynamics import WholeBody, newton_euler
from gaitdynamics.biomech.kinematics import posed
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

RATE_HZ = 100.0
TIME_S = np.arange(401) / RATE_HZ
FORWARD = np.array([1.0, 0.0, 0.0])
MIDDLE = slice(60, -60)


def moved(body: Skeleton, **columns: np.ndarray) -> np.ndarray:
    values = np.tile(body.default_values, (len(TIME_S), 1))
    for name, column in columns.items():
        values[:, body.coordinate_names.index(name)] += column
    return values


def solved(
    body: Skeleton, values: np.ndarray, *, is_flight: np.ndarray | None = None, heading: np.ndarray = FORWARD
) -> WholeBody:
    com_m = body.centre_of_mass(posed(body, values)).numpy()
    flight = np.zeros(len(values), dtype=bool) if is_flight is None else is_flight
    return newton_euler(
        body,
        values,
        com_m,
        sampling_rate_hz=RATE_HZ,
        heading=heading,
        is_flight=flight,
        is_running=bool(flight.any()),
    )


def test_who_moves_steadily_needs_its_weight_alone(body: Skeleton) -> None:
    found = solved(body, moved(body, pelvis_tx=1.4 * TIME_S, pelvis_tz=-0.2 * TIME_S))
    weight = body.mass_kg * STANDARD_GRAVITY_M_S2
    np.testing.assert_allclose(found.force_n, np.broadcast_to([0.0, weight, 0.0], (len(TIME_S), 3)), atol=0.05)
    np.testing.assert_allclose(found.moment_nm, 0.0, atol=1e-3)


@pytest.mark.parametrize(("coordinate", "axis"), [("pelvis_tx", 0), ("pelvis_ty", 1), ("pelvis_tz", 2)])
def test_a_slow_swing_needs_mass_times_acceleration(body: Skeleton, coordinate: str, axis: int) -> None:
    omega, amplitude = 2 * np.pi * 0.8, 0.03
    found = solved(body, moved(body, **{coordinate: amplitude * np.sin(omega * TIME_S)}))
    expected = np.zeros((len(TIME_S), 3))
    expected[:, 1] = body.mass_kg * STANDARD_GRAVITY_M_S2
    expected[:, axis] -= body.mass_kg * amplitude * omega**2 * np.sin(omega * TIME_S)
    np.testing.assert_allclose(found.force_n[MIDDLE], expected[MIDDLE], atol=0.5)


def test_the_moment_of_a_rigid_body_that_rocks_is_inertia_times_angular_acceleration(body: Skeleton) -> None:
    omega, amplitude = 2 * np.pi * 0.5, 0.1
    values = moved(body, pelvis_tilt=amplitude * np.sin(omega * TIME_S))
    pose = posed(body, values[:1])
    offset = (body.body_com(pose) - body.centre_of_mass(pose)[:, None])[0].numpy()
    about_z = sum(
        (rotation @ segment.inertia_in_body_kgm2 @ rotation.T)[2, 2] + segment.mass_kg * (at[0] ** 2 + at[1] ** 2)
        for segment, rotation, at in zip(body.bodies, pose.rotation[0].numpy(), offset, strict=True)
    )
    expected = -about_z * amplitude * omega**2 * np.sin(omega * TIME_S)
    moment = solved(body, values).moment_nm
    np.testing.assert_allclose(moment[MIDDLE, 2], expected[MIDDLE], atol=0.01 * np.abs(expected).max())
    np.testing.assert_allclose(moment[MIDDLE, :2], 0.0, atol=0.01 * np.abs(expected).max())


def test_force_and_moment_turn_with_the_body(body: Skeleton) -> None:
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # a quarter about the vertical: x to -z
    sway = {
        "pelvis_tx": 0.04 * np.sin(5 * TIME_S) + TIME_S,
        "pelvis_tz": 0.03 * np.sin(4 * TIME_S + 1),
        "hip_flexion_r": 0.4 * np.sin(5 * TIME_S),
    }
    straight = solved(body, moved(body, **sway))
    turned = solved(
        body,
        moved(
            body,
            pelvis_rotation=np.full(len(TIME_S), np.pi / 2),
            pelvis_tx=sway["pelvis_tz"],
            pelvis_tz=-sway["pelvis_tx"],
            hip_flexion_r=sway["hip_flexion_r"],
        ),
        heading=turn @ FORWARD,
    )
    np.testing.assert_allclose(turned.force_n, straight.force_n @ turn.T, atol=1e-6)
    np.testing.assert_allclose(turned.moment_nm, straight.moment_nm @ turn.T, atol=1e-6)


def test_in_flight_force_and_moment_are_nothing_and_the_stance_keeps_the_impulse(body: Skeleton) -> None:
    contact_s, period = 0.25, 0.5
    phase = np.mod(TIME_S, period)
    is_flight = phase >= contact_s - 1e-9
    pushed = np.where(is_flight, 0.0, np.pi * STANDARD_GRAVITY_M_S2 * np.sin(np.pi * phase / contact_s))
    velocity = np.cumsum(pushed - STANDARD_GRAVITY_M_S2) / RATE_HZ
    height = np.cumsum(velocity - velocity.mean()) / RATE_HZ
    found = solved(body, moved(body, pelvis_ty=height - height.mean()), is_flight=is_flight)
    assert np.all(found.force_n[is_flight] == 0.0)
    assert np.all(found.moment_nm[is_flight] == 0.0)
    whole = slice(50, 350)
    weight = body.mass_kg * STANDARD_GRAVITY_M_S2
    assert found.force_n[whole, 1].mean() / weight == pytest.approx(1.0, abs=0.01)


def test_force_is_proportional_to_mass(body: Skeleton) -> None:
    values = moved(body, pelvis_ty=0.03 * np.sin(8 * TIME_S), hip_flexion_l=0.3 * np.sin(6 * TIME_S))
    one, three = solved(body, values), solved(body.scaled_to(3 * body.mass_kg), values)
    np.testing.assert_allclose(three.force_n, 3 * one.force_n, atol=1e-6)
    np.testing.assert_allclose(three.moment_nm, 3 * one.moment_nm, atol=1e-6)
    np.testing.assert_allclose(three.com_m, one.com_m, atol=1e-12)
