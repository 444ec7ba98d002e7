"""A drawn gait that stumbles from step to step becomes as regular as a person's; a regular one is left alone."""

import numpy as np
import pytest
from conftest import ASSETS
from scipy.interpolate import CubicSpline, PchipInterpolator
from walking_states import WalkingStates

from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.steady_strides import LANDED_BW, STEP_TIME_VARIATION, with_steady_strides
from gaitdynamics.units import SIDE_NAMES, STANDARD_GRAVITY_M_S2

KNEE = GAIT["knee_right_flexion"][0]


@pytest.fixture(scope="module")
def regular() -> np.ndarray:
    return WalkingStates.of(ASSETS).values


@pytest.fixture(scope="module")
def irregular(regular: np.ndarray) -> np.ndarray:
    """The walk with a rhythm that changes by a tenth, and knees that bend more and less."""
    frames = np.arange(len(regular), dtype=float)
    knots = np.linspace(0.0, frames[-1], 12)
    shifted = knots.copy()
    shifted[1:-1] += 5.0 * np.random.default_rng(0).standard_normal(10)
    values = CubicSpline(frames, regular)(PchipInterpolator(knots, shifted)(frames))
    values[:, KNEE] *= 1 + 0.2 * np.sin(2 * np.pi * frames / 170.0)
    return values


def step_times(values: np.ndarray) -> np.ndarray:
    strikes = []
    for side in SIDE_NAMES:
        is_down = values[:, GAIT[f"force_{side}_y"][0]] > LANDED_BW * STANDARD_GRAVITY_M_S2
        strikes += (np.flatnonzero(np.diff(is_down.astype(int)) == 1) + 1).tolist()
    return np.diff(np.sort(strikes))


def test_step_times_vary_by_no_more_than_a_persons(irregular: np.ndarray) -> None:
    before, after = step_times(irregular), step_times(with_steady_strides(irregular))
    assert len(after) == len(before)
    assert before.std() / before.mean() > 2.5 * STEP_TIME_VARIATION
    assert after.std() / after.mean() < 1.3 * STEP_TIME_VARIATION
    assert after.sum() == pytest.approx(before.sum(), abs=1)


def test_strides_come_to_look_alike(irregular: np.ndarray) -> None:
    def peaks(values: np.ndarray) -> np.ndarray:
        return np.array([values[start : start + 108, KNEE].max() for start in range(30, 450, 108)])

    assert peaks(with_steady_strides(irregular)).std() < 0.6 * peaks(irregular).std()


def test_the_mean_velocity_stays(irregular: np.ndarray) -> None:
    columns = GAIT["pelvis_velocity"]
    steady = with_steady_strides(irregular)
    np.testing.assert_allclose(steady[:, columns].mean(axis=0), irregular[:, columns].mean(axis=0), atol=1e-9)


def test_a_regular_gait_and_what_is_no_gait_are_left_alone(regular: np.ndarray) -> None:
    assert with_steady_strides(regular) is regular
    standing = np.tile(regular[:1], (300, 1))
    assert with_steady_strides(standing) is standing
    hopping = regular.copy()
    hopping[:, GAIT["force_left"]] = 0.0
    assert with_steady_strides(hopping) is hopping
