"""The clock of strides: from landing to landing, and stance with stance whatever its share."""

import numpy as np
import pytest

from gaitdynamics.biomech.stride_phase import REFERENCE_SHARES, RUN, WALK, StridePhase, stride_phase

RATE_HZ = 100.0
STRIDE = 80  # frames


def feet_down(share: float, *, num_frames: int = 400, first_right: int = 30) -> np.ndarray:
    """Strides of 0.8 s, the left foot half a stride after the right one, (T, 2)."""
    frames = np.arange(num_frames)
    return np.stack(
        [((frames - first_right - foot * STRIDE // 2) % STRIDE) < round(share * STRIDE) for foot in range(2)], axis=1
    )


def clock_of(share: float, **kwargs: int) -> StridePhase:
    clock = stride_phase(feet_down(share, **kwargs), sampling_rate_hz=RATE_HZ)
    assert clock is not None
    return clock


@pytest.mark.parametrize("share", [0.3, 0.4, 0.62])
def test_right_feet_land_at_whole_phases_and_left_ones_at_halves(share: float) -> None:
    clock = clock_of(share)
    np.testing.assert_allclose(clock.phase[30::STRIDE] % 1.0, 0.0, atol=1e-9)
    np.testing.assert_allclose(clock.phase[70::STRIDE], np.arange(len(clock.phase[70::STRIDE])) + 0.5, atol=1e-9)
    assert clock.stride_s == pytest.approx(0.8)
    assert clock.contact_share == pytest.approx(share, abs=0.5 / STRIDE)


def test_a_recording_that_begins_with_a_left_foot_has_the_same_clock() -> None:
    clock = clock_of(0.4, first_right=65)
    assert clock.phase[25] == pytest.approx(clock.phase[65] - 0.5)
    assert clock.phase[65] % 1.0 == pytest.approx(0.0)


@pytest.mark.parametrize(("share", "activity"), [(0.28, RUN), (0.40, RUN), (0.56, WALK), (0.66, WALK)])
def test_feet_leave_at_the_reference_share_whatever_their_own(share: float, activity: str) -> None:
    clock = clock_of(share)
    common = clock.on_reference(activity)
    leaving = 30 + round(share * STRIDE) + np.array([0, STRIDE])
    np.testing.assert_allclose(common[leaving] % 1.0, REFERENCE_SHARES[activity], atol=0.015)
    np.testing.assert_allclose(common[30::STRIDE] % 1.0, 0.0, atol=1e-9)
    assert (np.diff(common) > 0).all()


@pytest.mark.parametrize("by_share", [-0.3, -0.05, 0.05, 0.3])
def test_landings_keep_their_time_when_feet_leave_later_or_earlier_and_time_never_runs_back(by_share: float) -> None:
    clock = clock_of(0.33)
    delay = clock.delayed(by_share)
    np.testing.assert_allclose(delay[30::40], 0.0, atol=1e-9)
    assert (np.diff(clock.phase + delay) > 0).all()
    if abs(by_share) < 0.1:
        assert delay[30 + round(0.33 * STRIDE)] == pytest.approx(by_share, abs=0.01)


@pytest.mark.parametrize(
    "is_down",
    [
        np.ones((300, 2), dtype=bool),
        feet_down(0.6)[:100],
        np.stack([feet_down(0.6)[:, 0], np.zeros(400, dtype=bool)], axis=1),
        feet_down(0.6).repeat(8, axis=0),
    ],
    ids=["standing", "one step", "hopping", "in slow motion"],
)
def test_there_is_no_clock_without_whole_strides_of_both_feet(is_down: np.ndarray) -> None:
    assert stride_phase(is_down, sampling_rate_hz=RATE_HZ) is None
