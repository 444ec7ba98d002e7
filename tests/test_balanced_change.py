"""Changed gaits that balance as the recorded one does, on a second and a half of the bundled walk."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gait_quality import beside_feet_m
from walk_variants import BODY_WEIGHT_N, HEIGHT_M, MASS_KG, MIRROR, mirrored, trial_of

from gaitdynamics.biomech.balanced_change import Balance, BalancedGait, _Splines, _System
from gaitdynamics.biomech.foot_goals import FootGoal, Footprints
from gaitdynamics.biomech.kinematics import heading_of, posed
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

SHORT = slice(50, 200)
LOADED_BW = 0.08
LOCKED = "ankle_angle_l"
LEAN_RAD = np.radians(6.0)

Leaning = Callable[..., tuple[BalancedGait, tuple[BalancedGait, ...]]]


def cut(motion: Motion) -> Motion:
    return replace(motion, time_s=motion.time_s[SHORT], values=motion.values[SHORT], observed=motion.observed[SHORT])


def balance_of(body: Skeleton, motion: Motion) -> Balance:
    forces = estimate_forces(trial_of(body, motion)).forces
    yields = np.array([name != LOCKED for name in motion.coordinates])
    return Balance(body.scaled_to(MASS_KG), motion.values, forces, yields)


def still(balance: Balance) -> FootGoal:
    """Feet where they were."""
    heel_m = balance.foot_points_m[:, :, 0]
    prints = Footprints.of(heel_m, balance.forces, belt_velocity_m_s=np.zeros(3))
    return prints.goal(forward=balance.axes[0])


def swaying(balance: Balance, motion: Motion) -> np.ndarray:
    """More side bend, once a second to either side, as a goal for all coordinates."""
    values = balance.values.copy()
    lean = LEAN_RAD * np.sin(2 * np.pi * np.arange(len(values)) / 100)
    values[:, motion.coordinates.index("lumbar_bending")] += lean
    return values


def is_trunk(motion: Motion) -> np.ndarray:
    return np.array([name == "lumbar_bending" for name in motion.coordinates])


@pytest.fixture(scope="module")
def motion(walk: Motion) -> Motion:
    return cut(walk)


@pytest.fixture(scope="module")
def balance(body: Skeleton, motion: Motion) -> Balance:
    return balance_of(body, motion)


@pytest.fixture(scope="module")
def leaning(balance: Balance, motion: Motion) -> Leaning:
    @cache
    def of(*, num_samples: int = 0, seed: int = 0) -> tuple[BalancedGait, tuple[BalancedGait, ...]]:
        return balance.changed(
            swaying(balance, motion), is_set=is_trunk(motion), goal=still(balance), num_samples=num_samples, seed=seed
        )

    return of


def residual_of(balance: Balance, values: np.ndarray, forces: GroundReaction) -> tuple[float, float]:
    """Root mean squares of force in body weights and of moment in body weights times height."""
    found = newton_euler_residual(balance.skeleton, values, forces, time_s=forces.time_s)
    force, moment = (np.sqrt((each[8:-8] ** 2).sum(axis=1).mean()) for each in (found.force_n, found.moment_nm))
    return float(force / BODY_WEIGHT_N), float(moment / BODY_WEIGHT_N / HEIGHT_M)


def slide_m_s(balance: Balance, values: np.ndarray) -> float:
    """Of loaded heels and toe joints, root mean square."""
    points = replace(balance, values=values).foot_points_m[:, :, :2]
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1).min(axis=-1) * balance.rate_hz
    return float(np.sqrt((speed[balance.load_bw[1:] > LOADED_BW] ** 2).mean()))


def test_with_nothing_wanted_nothing_changes(balance: Balance) -> None:
    gait, _ = balance.changed(balance.values, is_set=np.zeros(balance.values.shape[1], dtype=bool), goal=still(balance))
    np.testing.assert_allclose(gait.values, balance.values, atol=1e-6)
    np.testing.assert_allclose(gait.forces.force_n, balance.forces.force_n, atol=1e-6 * BODY_WEIGHT_N)
    np.testing.assert_allclose(gait.forces.cop_m, balance.forces.cop_m, atol=1e-6)
    np.testing.assert_allclose(gait.forces.free_moment_nm, balance.forces.free_moment_nm, atol=1e-4)
    np.testing.assert_array_equal(gait.forces.time_s, balance.forces.time_s)


def test_what_is_set_is_exactly_so_and_what_may_not_yield_stays(
    leaning: Leaning, balance: Balance, motion: Motion
) -> None:
    wanted, (gait, samples) = swaying(balance, motion), leaning(num_samples=2)
    locked = motion.coordinates.index(LOCKED)
    for each in (gait, *samples):
        np.testing.assert_array_equal(each.values[:, is_trunk(motion)], wanted[:, is_trunk(motion)])
        np.testing.assert_array_equal(each.values[:, locked], balance.values[:, locked])


def test_the_body_balances_as_before_although_the_trunk_leans(
    leaning: Leaning, balance: Balance, motion: Motion
) -> None:
    gait, samples = leaning(num_samples=2)
    before = residual_of(balance, balance.values, balance.forces)
    upset = residual_of(balance, swaying(balance, motion), balance.forces)
    assert upset[1] > before[1] + 0.002
    for each in (gait, *samples):
        after = residual_of(balance, each.values, each.forces)
        assert after[0] < before[0] + 0.001
        assert after[1] < before[1] + 0.0005


def test_feet_stand_where_they_stood(leaning: Leaning, balance: Balance) -> None:
    gait, samples = leaning(num_samples=2)
    for each in (gait, *samples):
        moved = replace(balance, values=each.values).foot_points_m - balance.foot_points_m
        assert np.abs(moved[balance.load_bw > LOADED_BW]).max() < 0.0015
        assert slide_m_s(balance, each.values) < slide_m_s(balance, balance.values) + 0.005


def test_feet_go_where_they_are_to_go(balance: Balance, body: Skeleton) -> None:
    goal = still(balance)
    apart = replace(goal, shift_m=goal.shift_m + np.array([[0.0, 0.0, 0.02], [0.0, 0.0, -0.02]]))
    nothing_set = np.zeros(balance.values.shape[1], dtype=bool)
    gait, _ = balance.changed(balance.values, is_set=nothing_set, goal=apart)
    moved = replace(balance, values=gait.values).foot_points_m - balance.foot_points_m
    for foot, expected in enumerate((0.02, -0.02)):
        np.testing.assert_allclose(moved[balance.load_bw[:, foot] > LOADED_BW, foot, :, 2], expected, atol=0.004)
    before, after = (
        residual_of(balance, *each) for each in ((balance.values, balance.forces), (gait.values, gait.forces))
    )
    np.testing.assert_allclose(after, before, atol=0.003)


def test_at_its_beginning_and_end_the_body_is_where_it_can_be_carried_on(leaning: Leaning, balance: Balance) -> None:
    """The extrapolated centre of mass, backwards at the beginning, to the right, m."""

    def carried(values: np.ndarray) -> np.ndarray:
        com_m = balance.skeleton.centre_of_mass(posed(balance.skeleton, values)).numpy()[:, 2]
        ahead = np.gradient(com_m, 1 / balance.rate_hz) * np.sqrt(1.0 / STANDARD_GRAVITY_M_S2)  # a pendulum of a metre
        return np.array([com_m[0] - ahead[0], com_m[-1] + ahead[-1]])

    gait, _ = leaning()
    np.testing.assert_allclose(carried(gait.values), carried(balance.values), atol=0.0015)


def test_nothing_pulls_on_the_ground_and_a_foot_in_the_air_has_no_force(leaning: Leaning, balance: Balance) -> None:
    gait, samples = leaning(num_samples=2)
    for each in (gait, *samples):
        assert each.forces.force_n[..., 1].min() >= 0.0
        np.testing.assert_array_equal(each.forces.force_n[balance.load_bw == 0], 0.0)
        np.testing.assert_array_equal(each.forces.free_moment_nm[balance.load_bw == 0], 0.0)


@pytest.mark.parametrize("outward_m", [0.0, 0.04, 0.05])
def test_pressure_stays_under_the_feet_or_no_further_outside_than_it_was(
    balance: Balance, body: Skeleton, motion: Motion, outward_m: float
) -> None:
    moved_m = balance.forces.cop_m + outward_m * np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    own = replace(balance, forces=replace(balance.forces, cop_m=moved_m))
    wanted = 2 * own.values - swaying(own, motion)
    gait, _ = own.changed(wanted, is_set=is_trunk(motion), goal=still(own))
    before, after = (
        beside_feet_m(trial_of(body, replace(motion, values=values)), forces)
        for values, forces in ((own.values, own.forces), (gait.values, gait.forces))
    )
    assert after < max(before, 0.0) + 0.001


def test_samples_differ_and_the_seed_tells_how(balance: Balance, motion: Motion, leaning: Leaning) -> None:
    gait, (first, second) = leaning(num_samples=2)
    assert np.abs(first.values - second.values).max() > np.radians(0.2)
    assert np.abs(first.forces.force_n - second.forces.force_n).max() > 0.002 * BODY_WEIGHT_N
    again, (same, _) = balance.changed(
        swaying(balance, motion), is_set=is_trunk(motion), goal=still(balance), num_samples=2
    )
    np.testing.assert_array_equal(same.values, first.values)
    np.testing.assert_array_equal(again.values, gait.values)
    np.testing.assert_array_equal(leaning()[0].values, gait.values)
    _, (other,) = leaning(num_samples=1, seed=1)
    assert np.abs(other.values - first.values).max() > np.radians(0.2)


def test_the_mirrored_walk_gives_way_in_the_mirror(body: Skeleton, motion: Motion) -> None:
    def changed(each: Motion, sign: float) -> BalancedGait:
        own = balance_of(body, each)
        own = replace(own, yields=np.ones_like(own.yields))
        values = own.values + (swaying(own, each) - own.values) * sign
        return own.changed(values, is_set=is_trunk(each), goal=still(own))[0]

    gait, other = changed(motion, 1.0), changed(mirrored(motion), -1.0)
    np.testing.assert_allclose(other.values, mirrored(replace(motion, values=gait.values)).values, atol=1e-5)
    np.testing.assert_allclose(other.forces.force_n, gait.forces.force_n[:, ::-1] * MIRROR, atol=1e-5 * BODY_WEIGHT_N)


def test_a_quicker_gait_of_shorter_strides_balances_in_its_own_time(balance: Balance, body: Skeleton) -> None:
    scale = 1 / 1.08
    heel_m = balance.foot_points_m[:, :, 0]
    prints = Footprints.of(heel_m, balance.forces, belt_velocity_m_s=np.zeros(3))
    goal = prints.goal(forward=balance.axes[0], stretch=scale)
    wanted = balance.values.copy()
    pelvis = body.coordinate_names.index("pelvis_tx")
    wanted[:, pelvis] *= scale
    gait, _ = balance.changed(wanted, is_set=np.zeros(wanted.shape[1], dtype=bool), goal=goal, time_scale=scale)
    duration_s = balance.forces.time_s[-1] - balance.forces.time_s[0]
    assert gait.forces.time_s[-1] - gait.forces.time_s[0] == pytest.approx(scale * duration_s)
    assert gait.forces.time_s[0] == balance.forces.time_s[0]
    before, after = (
        residual_of(balance, *each) for each in ((balance.values, balance.forces), (gait.values, gait.forces))
    )
    np.testing.assert_allclose(after, before, atol=0.004)
    heading = heading_of(body, posed(body, gait.values))
    np.testing.assert_allclose(heading, balance.axes[0], atol=0.02)


@pytest.mark.parametrize("num_frames", [60, 97, 251])
def test_splines_sum_to_one_and_their_rates_are_their_slopes(num_frames: int) -> None:
    rate_hz = 100.0
    splines = _Splines.over(num_frames, rate_hz)
    np.testing.assert_allclose(splines.values(np.ones((splines.num, 1))), 1.0, atol=1e-12)
    coefficients = np.random.default_rng(0).normal(size=(splines.num, 2))
    values, rates, bends = (splines.values(coefficients, order) for order in range(3))
    middle = slice(2, -2)
    np.testing.assert_allclose(
        np.gradient(values, 1 / rate_hz, axis=0)[middle], rates[middle], atol=0.05 * np.abs(rates).max()
    )
    np.testing.assert_allclose(
        np.gradient(rates, 1 / rate_hz, axis=0)[middle], bends[middle], atol=0.2 * np.abs(bends).max()
    )


def test_the_banded_system_is_solved_as_least_squares_would_be_and_drawn_with_its_spread() -> None:
    rng = np.random.default_rng(3)
    num, unknowns = 40, 3
    splines = _Splines.over(num, 100.0)
    parts = tuple(rng.normal(size=(num, 5, unknowns)) for _ in range(3))
    residual = rng.normal(size=(num, 5))
    system = _System(splines, unknowns)
    system.add(parts, residual)
    size = splines.num * unknowns
    dense = np.zeros((residual.size, size))
    for column, coefficients in enumerate(np.eye(size).reshape(size, splines.num, unknowns)):
        moved = sum(np.einsum("tru,tu->tr", part, splines.values(coefficients, k)) for k, part in enumerate(parts))
        dense[:, column] = np.asarray(moved).ravel()
    expected = np.linalg.lstsq(dense, -residual.ravel(), rcond=None)[0]
    np.testing.assert_allclose(system.solved().ravel(), expected, atol=1e-8 * np.abs(expected).max())
    draws = np.stack([system.drawn(rng).ravel() for _ in range(4000)])
    spread = np.sqrt(np.diag(np.linalg.inv(dense.T @ dense)))
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.1)
