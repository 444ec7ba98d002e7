"""Footprints moved and turned as wholes: on a made-up gait whose feet stand still on the ground."""

from dataclasses import replace

import numpy as np
import pytest

from gaitdynamics.biomech.events import stances
from gaitdynamics.biomech.foot_goals import FootGoal, Footprints
from gaitdynamics.types.ground_reaction import GroundReaction

RATE_HZ = 100.0
NUM, STRIDE, STANCE = 260, 110, 66  # frames
LENGTH_M, HALF_WIDTH_M = 1.4, 0.05
FORWARD = np.array([1.0, 0.0, 0.0])
BELT_M_S = np.array([-1.2, 0.0, 0.0])
STILL_M_S = np.zeros(3)
TOE_M = np.array([0.2, 0.0, 0.0])  # from the heel


def cycles(foot: int) -> np.ndarray:
    """Strides since a foot's landing, (T,)."""
    return (np.arange(NUM) - 20 - foot * STRIDE / 2) / STRIDE


def stepping() -> GroundReaction:
    force = np.zeros((NUM, 2, 3))
    for foot in range(2):
        force[cycles(foot) % 1.0 < STANCE / STRIDE, foot, 1] = 700.0
    nothing = np.zeros((NUM, 2))
    return GroundReaction(np.arange(NUM) / RATE_HZ, force, np.zeros((NUM, 2, 3)), nothing, nothing == 0)


def heels(*, belt_m_s: np.ndarray = STILL_M_S) -> np.ndarray:
    """Still on the ground in stance, smoothly on to the next place in swing, (T, 2, 3)."""
    heel = np.zeros((NUM, 2, 3))
    for foot in range(2):
        whole, part = np.divmod(cycles(foot), 1.0)
        share = np.clip((part * STRIDE - STANCE) / (STRIDE - STANCE), 0.0, 1.0)
        heel[:, foot, 0] = LENGTH_M * (whole + share**2 * (3 - 2 * share))
        heel[:, foot, 1] = 0.1 * np.sin(np.pi * share)
        heel[:, foot, 2] = HALF_WIDTH_M * (1 - 2 * foot)
    return heel + belt_m_s * (np.arange(NUM) / RATE_HZ)[:, None, None]


def prints(*, belt_m_s: np.ndarray = STILL_M_S) -> Footprints:
    return Footprints.of(heels(belt_m_s=belt_m_s), stepping(), belt_velocity_m_s=belt_m_s)


def yaw_of(points_m: np.ndarray) -> np.ndarray:
    """Of heel and toe (T, 2, 2, 3), counter-clockwise from above, (T, 2)."""
    ahead = points_m[:, :, 1] - points_m[:, :, 0]
    return np.arctan2(-ahead[..., 2], ahead[..., 0])


def feet(heel_m: np.ndarray) -> np.ndarray:
    """Heels and toes, (T, 2, 2, 3)."""
    return np.stack([heel_m, heel_m + TOE_M], axis=2)


def largest_slide_m(points_m: np.ndarray, *, belt_m_s: np.ndarray = STILL_M_S) -> float:
    """How far a foot goes over the ground while it stands."""
    over_ground = points_m - (belt_m_s * (np.arange(NUM) / RATE_HZ)[:, None]).reshape(NUM, 1, 1, 3)
    return max(
        float(np.ptp(over_ground[stance.start : stance.end, stance.foot], axis=0).max())
        for stance in stances(stepping())
    )


def test_with_nothing_asked_every_point_stays() -> None:
    points = feet(heels())
    np.testing.assert_allclose(prints().goal(forward=FORWARD).of(points), points, atol=1e-12)


@pytest.mark.parametrize("belt_m_s", [STILL_M_S, BELT_M_S], ids=["overground", "treadmill"])
@pytest.mark.parametrize("stretch", [0.8, 1.25])
def test_stretched_footprints_are_further_apart_and_stand_on_the_ground(belt_m_s: np.ndarray, stretch: float) -> None:
    points = feet(heels(belt_m_s=belt_m_s))
    moved = prints(belt_m_s=belt_m_s).goal(forward=FORWARD, stretch=stretch).of(points)
    assert largest_slide_m(points, belt_m_s=belt_m_s) < 1e-9
    assert largest_slide_m(moved, belt_m_s=stretch * belt_m_s) < 1e-9
    own = [s for s in stances(stepping()) if s.foot == 1]
    before, after = own[0].start, own[1].start
    ground = stretch * belt_m_s * (after - before) / RATE_HZ
    np.testing.assert_allclose(
        moved[after, 1, 0] - moved[before, 1, 0] - ground, [stretch * LENGTH_M, 0.0, 0.0], atol=1e-9
    )


def test_a_stretched_swing_goes_from_footprint_to_footprint_without_a_jump() -> None:
    points = feet(heels())
    moved = prints().goal(forward=FORWARD, stretch=1.25).of(points)
    np.testing.assert_allclose(moved[..., 1:], points[..., 1:], atol=1e-12)
    ratio = np.diff(moved[..., 0], axis=0) - 1.25 * np.diff(points[..., 0], axis=0)
    assert np.abs(ratio).max() < 1e-9


@pytest.mark.parametrize("degrees", [-20.0, 15.0])
def test_a_foot_turns_about_the_point_that_is_followed_counter_clockwise_from_above(degrees: float) -> None:
    points = feet(heels())
    yaw = np.full((NUM, 2), np.radians(degrees)) * [1.0, 0.0]
    moved = prints().goal(forward=FORWARD, yaw_rad=yaw).of(points)
    np.testing.assert_allclose(np.degrees(yaw_of(moved)), np.tile([degrees, 0.0], (NUM, 1)), atol=1e-9)
    for stance in stances(stepping()):
        own = slice(stance.start, stance.end)
        np.testing.assert_allclose(moved[own, stance.foot, 0], points[own, stance.foot, 0], atol=1e-9)
    to_the_left = moved[:, 0, 1] - moved[:, 0, 0]
    assert np.sign(-to_the_left[:, 2]) == pytest.approx(np.sign(degrees))


def test_turning_and_moving_keep_the_shape_of_a_foot() -> None:
    rng = np.random.default_rng(1)
    points = feet(heels())
    goal = prints().goal(
        forward=FORWARD,
        stretch=1.1,
        shift_m=rng.normal(0, 0.02, (NUM, 2, 3)),
        yaw_rad=rng.normal(0, 0.2, (NUM, 2)),
    )
    moved = goal.of(points)
    lengths = np.linalg.norm(moved[:, :, 1] - moved[:, :, 0], axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(TOE_M), atol=1e-12)
    middle = goal.of((points[:, :, 0] + points[:, :, 1]) / 2)
    np.testing.assert_allclose(middle, moved.mean(axis=2), atol=1e-12)


def test_during_a_stance_what_is_asked_for_is_its_mean_so_that_no_foot_slides() -> None:
    asked = np.zeros((NUM, 2, 3))
    asked[:, 0, 2] = 0.1 * np.sin(np.arange(NUM) / 9.0)
    held = prints().held(asked)
    moved = prints().goal(forward=FORWARD, shift_m=asked).of(feet(heels()))
    assert largest_slide_m(moved) < 1e-9
    for stance in stances(stepping()):
        own = slice(stance.start, stance.end)
        expected = np.broadcast_to(asked[own, stance.foot].mean(axis=0), asked[own, stance.foot].shape)
        np.testing.assert_allclose(held[own, stance.foot], expected, atol=1e-12)
    gap, swing = np.ptp(held[:, 0, 2]), STRIDE - STANCE
    assert np.abs(np.diff(held[:, 0, 2])).max() < 2.5 * gap / swing
    np.testing.assert_array_equal(held[:, 1], 0.0)


def test_what_is_the_same_all_the_time_is_held_as_it_is() -> None:
    asked = np.broadcast_to([[0.03], [-0.02]], (NUM, 2, 1)).copy()
    np.testing.assert_allclose(prints().held(asked), asked, atol=1e-12)


def test_a_foot_that_never_stands_goes_where_it_is_asked_to() -> None:
    lifted = stepping()
    lifted = replace(lifted, force_n=lifted.force_n * [[1.0], [0.0]])
    found = Footprints.of(heels(), lifted, belt_velocity_m_s=STILL_M_S)
    asked = np.random.default_rng(2).normal(0, 0.02, (NUM, 2, 3))
    np.testing.assert_array_equal(found.held(asked)[:, 1], asked[:, 1])
    points = feet(heels())
    moved = found.goal(forward=FORWARD, stretch=1.2).of(points)
    np.testing.assert_allclose(moved[:, 1, 0, 0], 1.2 * points[:, 1, 0, 0], atol=1e-9)


def test_points_of_any_number_are_moved_alike() -> None:
    goal = FootGoal(heels(), np.full((NUM, 2, 3), 0.1), np.full((NUM, 2), 0.3))
    points = feet(heels())
    np.testing.assert_allclose(goal.of(points[:, :, 1]), goal.of(points)[:, :, 1], atol=1e-12)
