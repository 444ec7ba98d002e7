"""Where the force acts: under the sole, and where it balances the body."""

import numpy as np
import pytest

from gaitdynamics.biomech.contact import Contact
from gaitdynamics.biomech.dynamics import WholeBody
from gaitdynamics.biomech.kinematics import FootPath
from gaitdynamics.biomech.pressure import SOLE, Pressure, balance_point, pressure, right_share

RATE_HZ = 100.0
FORWARD = np.array([1.0, 0.0, 0.0])
WEIGHT_N = 700.0
FOOT_M = 0.19
NUM = 200


def feet(*, num: int = NUM) -> FootPath:
    """Both feet flat beside each other, right at z = 0.1, left at z = -0.1, turned out a little."""
    points = np.zeros((num, 2, 2, 3))
    for foot, side in enumerate((1.0, -1.0)):
        points[:, foot, 0] = [0.0, 0.0, 0.1 * side]
        points[:, foot, 1] = [FOOT_M * np.cos(0.1), 0.02, side * (0.1 + FOOT_M * np.sin(0.1))]
    return FootPath(points, np.full(2, np.hypot(FOOT_M, 0.02)))


def body_over(point_m: np.ndarray, force_n: np.ndarray) -> WholeBody:
    """A body at 1 m whose moment is that of a force through a point of the floor."""
    com_m = np.tile([0.05, 1.0, 0.0], (len(force_n), 1))
    return WholeBody(com_m, force_n, np.cross(point_m - com_m, force_n))


def contact_of(is_down: np.ndarray, *, floor_m: float = 0.0) -> Contact:
    return Contact(is_down, ~is_down.any(axis=1), 0.0, floor_m)


def under(
    force_n: np.ndarray,
    body: WholeBody,
    contact: Contact,
    path: FootPath | None = None,
    *,
    heading: np.ndarray = FORWARD,
) -> Pressure:
    return pressure(
        force_n,
        body,
        path or feet(),
        contact,
        balance_m=balance_point(body, floor_m=contact.floor_m, body_weight_n=WEIGHT_N),
        heading=heading,
        body_weight_n=WEIGHT_N,
        sampling_rate_hz=RATE_HZ,
    )


@pytest.mark.parametrize("floor_m", [0.0, 0.3])
def test_the_balance_point_is_where_the_force_acts(floor_m: float) -> None:
    random = np.random.default_rng(0)
    force = random.normal(size=(50, 3)) * [60.0, 50.0, 30.0] + [0.0, 700.0, 0.0]
    point = random.normal(size=(50, 3)) * [0.1, 0.0, 0.1] + [0.0, floor_m, 0.0]
    found = balance_point(body_over(point, force), floor_m=floor_m, body_weight_n=WEIGHT_N)
    np.testing.assert_allclose(found, point, atol=1e-12)


def test_an_unloaded_body_has_no_balance_point() -> None:
    force = np.zeros((10, 3))
    force[5:, 1] = WEIGHT_N
    found = balance_point(body_over(np.zeros((10, 3)), force), floor_m=0.0, body_weight_n=WEIGHT_N)
    assert np.isnan(found[:5, [0, 2]]).all()
    assert np.isfinite(found[5:]).all()


@pytest.mark.parametrize(("z", "expected"), [(0.11, 1.0), (-0.11, 0.0), (0.0, 0.5), (0.5, 1.0), (-0.5, 0.0)])
def test_the_foot_over_which_the_force_passes_carries_it(z: float, expected: float) -> None:
    middle = FOOT_M / 2 * np.cos(0.1)
    share = right_share(np.tile([middle, 0.0, z], (NUM, 1)), feet(), sampling_rate_hz=RATE_HZ)
    np.testing.assert_allclose(share, expected, atol=0.02)


def test_an_unknown_balance_point_is_shared_by_halves() -> None:
    share = right_share(np.full((NUM, 3), np.nan), feet(), sampling_rate_hz=RATE_HZ)
    np.testing.assert_allclose(share, 0.5, atol=1e-6)


def walking() -> tuple[np.ndarray, np.ndarray]:
    """Right foot for frames 20 to 100, left for 80 to 160; who is down, and the force of each foot."""
    is_down = np.zeros((NUM, 2), dtype=bool)
    is_down[20:100, 0] = is_down[80:160, 1] = True
    total = np.where(is_down.any(axis=1), WEIGHT_N, 0.0)
    share = is_down / np.maximum(is_down.sum(axis=1), 1)[:, None]
    force = np.zeros((NUM, 2, 3))
    force[..., 1] = total[:, None] * share
    return is_down, force


@pytest.mark.parametrize("reach", [0.0, 0.3, 5.0])
def test_the_point_stays_on_the_sole_even_if_the_balance_lies_elsewhere(reach: float) -> None:
    is_down, force = walking()
    point = np.random.default_rng(0).normal(size=(NUM, 3)) * [reach, 0.0, reach]
    found = under(force, body_over(point, force.sum(axis=1)), contact_of(is_down))
    path = feet()
    for foot in range(2):
        toe = path.points_m[0, foot, 1, [0, 2]]
        along = toe - path.points_m[0, foot, 0, [0, 2]]
        along /= np.linalg.norm(along)
        across = np.array([-along[1], along[0]])
        offset = found.cop_m[:, foot][:, [0, 2]][is_down[:, foot]] - toe
        length = path.length_m[foot]
        for axis, direction in enumerate((along, across)):
            low, high = SOLE[axis] * length
            distance = offset @ direction + (length if axis == 0 else 0.0)
            assert distance.min() >= low - 1e-9
            assert distance.max() <= high + 1e-9


def test_over_a_stance_the_point_advances_from_heel_to_toe() -> None:
    is_down, force = walking()
    found = under(force, body_over(np.zeros((NUM, 3)), force.sum(axis=1)), contact_of(is_down))
    x = found.cop_m[20:100, 0, 0]
    assert x[0] < 0.05
    assert x[-1] > 0.18
    assert np.all(np.diff(x[:60]) > -1e-9)


def test_in_swing_the_point_moves_on_without_a_jump() -> None:
    is_down, force = walking()
    is_down[170:, 0] = True
    found = under(force, body_over(np.zeros((NUM, 3)), force.sum(axis=1)), contact_of(is_down))
    step = np.abs(np.diff(found.cop_m[99:171, 0, 0]))
    assert step.max() < 0.01
    assert np.isfinite(found.cop_m).all()


def test_the_points_lie_on_the_floor() -> None:
    is_down, force = walking()
    raised = FootPath(feet().points_m + np.array([0.0, 0.4, 0.0]), feet().length_m)
    floor = np.tile([0.1, 0.4, 0.0], (NUM, 1))
    found = under(force, body_over(floor, force.sum(axis=1)), contact_of(is_down, floor_m=0.4), raised)
    assert np.all(found.cop_m[..., 1] == 0.4)


def test_the_free_moment_is_bounded_and_belongs_to_loaded_feet() -> None:
    is_down, force = walking()
    body = body_over(np.zeros((NUM, 3)), force.sum(axis=1))
    twisted = WholeBody(body.com_m, body.force_n, body.moment_nm + np.array([0.0, 1000.0, 0.0]))
    found = under(force, twisted, contact_of(is_down))
    assert np.all(found.free_moment_nm[~is_down] == 0.0)
    assert np.all(found.free_moment_nm[is_down] > 0.0)
    assert np.abs(found.free_moment_nm.sum(axis=1)).max() <= 0.02 * WEIGHT_N
    np.testing.assert_allclose(
        under(force, WholeBody(body.com_m, body.force_n, body.moment_nm), contact_of(is_down)).free_moment_nm,
        0.0,
        atol=1e-9,
    )


def test_a_heading_at_every_frame_that_never_changes_is_one_heading() -> None:
    is_down, force = walking()
    point = np.random.default_rng(0).normal(size=(NUM, 3)) * [0.05, 0.0, 0.05]
    body = body_over(point, force.sum(axis=1))
    one = under(force, body, contact_of(is_down))
    many = under(force, body, contact_of(is_down), heading=np.tile(FORWARD, (NUM, 1)))
    np.testing.assert_allclose(many.cop_m, one.cop_m, atol=1e-12)


def test_the_whole_picture_moves_with_the_feet() -> None:
    is_down, force = walking()
    point = np.random.default_rng(0).normal(size=(NUM, 3)) * [0.05, 0.0, 0.05]
    body = body_over(point, force.sum(axis=1))
    expected = under(force, body, contact_of(is_down))
    shift = np.array([3.0, 0.0, -2.0])
    moved = WholeBody(body.com_m + shift, body.force_n, body.moment_nm)
    found = under(force, moved, contact_of(is_down), FootPath(feet().points_m + shift, feet().length_m))
    np.testing.assert_allclose(found.cop_m, expected.cop_m + shift, atol=1e-9)
    np.testing.assert_allclose(found.free_moment_nm, expected.free_moment_nm, atol=1e-9)
