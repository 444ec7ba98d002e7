"""Smoothing, differentiating and resampling: what they must leave alone, and what they must do."""

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson

from gaitdynamics.maths.signals import (
    derivative,
    even_times,
    intervals,
    resample,
    second_derivative,
    smooth,
)

RATES_HZ = (50.0, 100.0, 200.0)
GRAVITY = -9.80665


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("coefficients", [(3.0,), (-1.3, 0.4), (GRAVITY / 2, 2.0, 0.9)])
@pytest.mark.parametrize("cutoff_hz", [4.0, 20.0])
def test_smoothing_leaves_constants_lines_and_parabolas_as_they_are(
    rate_hz: float, coefficients: tuple[float, ...], cutoff_hz: float
) -> None:
    time_s = np.arange(int(2 * rate_hz)) / rate_hz
    values = np.polyval(coefficients, time_s)
    np.testing.assert_allclose(smooth(values, cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz), values, atol=1e-6)


def test_smoothing_does_not_leave_a_cubic_bend_as_it_is() -> None:
    time_s = np.arange(200) / 100
    values = np.abs(time_s - 1.0)
    assert np.abs(smooth(values, cutoff_hz=5.0, sampling_rate_hz=100.0) - values).max() > 0.01


def gain_at(frequency_hz: float, *, cutoff_hz: float, rate_hz: float) -> float:
    time_s = np.arange(int(20 * rate_hz)) / rate_hz
    wave = np.sin(2 * np.pi * frequency_hz * time_s)
    smoothed = smooth(wave, cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz)
    middle = slice(len(time_s) // 4, -len(time_s) // 4)
    return float(smoothed[middle] @ wave[middle] / (wave[middle] @ wave[middle]))


@pytest.mark.parametrize("rate_hz", RATES_HZ[1:])
def test_the_gain_at_the_cutoff_is_a_half_and_at_twice_it_a_sixty_fifth(rate_hz: float) -> None:
    assert gain_at(5.0, cutoff_hz=5.0, rate_hz=rate_hz) == pytest.approx(0.5, abs=0.01)
    assert gain_at(10.0, cutoff_hz=5.0, rate_hz=rate_hz) == pytest.approx(1 / 65, rel=0.15)
    assert gain_at(2.5, cutoff_hz=5.0, rate_hz=rate_hz) == pytest.approx(64 / 65, abs=0.002)


def test_smoothing_has_no_lag() -> None:
    pulse = np.zeros(401)
    pulse[200] = 1.0
    smoothed = smooth(pulse, cutoff_hz=6.0, sampling_rate_hz=100.0)
    np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-9)
    assert smoothed.argmax() == 200


def test_smoothing_is_linear_and_works_on_each_column_by_itself() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(150, 2, 3))
    together = smooth(values, cutoff_hz=6.0, sampling_rate_hz=100.0)
    alone = smooth(values[:, 1, 2], cutoff_hz=6.0, sampling_rate_hz=100.0)
    np.testing.assert_allclose(together[:, 1, 2], alone, atol=1e-12)
    doubled = smooth(2 * values + 5.0, cutoff_hz=6.0, sampling_rate_hz=100.0)
    np.testing.assert_allclose(doubled, 2 * together + 5.0, atol=1e-8)


@pytest.mark.parametrize("rate_hz", [250.0, 1000.0, 2000.0])
def test_smoothing_of_what_is_slow_does_not_depend_on_the_rate(rate_hz: float) -> None:
    def wave(time_s: np.ndarray) -> np.ndarray:
        return 0.3 * time_s + np.sin(2 * np.pi * 0.2 * time_s) + 0.1 * np.sin(2 * np.pi * 5.0 * time_s)

    often, seldom = np.arange(int(6 * rate_hz) + 1) / rate_hz, np.arange(601) / 100.0
    found = smooth(wave(often), cutoff_hz=0.5, sampling_rate_hz=rate_hz)
    expected = smooth(wave(seldom), cutoff_hz=0.5, sampling_rate_hz=100.0)
    np.testing.assert_allclose(np.interp(seldom, often, found), expected, atol=2e-3)


@pytest.mark.parametrize("num", range(1, 9))
def test_a_signal_of_a_few_frames_is_smoothed_without_failing(num: int) -> None:
    values = np.linspace(0.0, 1.0, num)
    np.testing.assert_allclose(smooth(values, cutoff_hz=6.0, sampling_rate_hz=100.0), values, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [100.0, 200.0])
def test_where_a_body_falls_its_acceleration_is_gravitys(rate_hz: float) -> None:
    time_s = np.arange(int(4 * rate_hz) + 1) / rate_hz
    phase = (time_s % 0.8) / 0.8  # falls for the second half of each hop; the ground pushes as a half sine before
    is_falling = phase >= 0.5
    acceleration = GRAVITY + np.where(is_falling, 0.0, -np.pi * GRAVITY * np.sin(2 * np.pi * phase))
    height = cumulative_simpson(cumulative_simpson(acceleration, x=time_s, initial=0), x=time_s, initial=0)
    told, untold = (
        smooth(height, cutoff_hz=5.0, sampling_rate_hz=rate_hz, is_falling=frames, falling_acceleration=GRAVITY)
        for frames in (is_falling, None)
    )
    inner = is_falling & np.roll(is_falling, 1) & np.roll(is_falling, -1)
    inner[[0, -1]] = False
    found = second_derivative(told, sampling_rate_hz=rate_hz)[inner]
    np.testing.assert_allclose(found, GRAVITY, rtol=0.01)
    assert np.abs(second_derivative(untold, sampling_rate_hz=rate_hz)[inner] / GRAVITY - 1).max() > 0.1


def test_a_fall_that_never_happens_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(80, 2))
    told = smooth(
        values,
        cutoff_hz=5.0,
        sampling_rate_hz=100.0,
        is_falling=np.zeros(80, dtype=bool),
        falling_acceleration=GRAVITY,
    )
    np.testing.assert_array_equal(told, smooth(values, cutoff_hz=5.0, sampling_rate_hz=100.0))


def test_smoothing_and_resampling_do_not_modify_their_input() -> None:
    values = np.random.default_rng(0).normal(size=(80, 2))
    before = values.copy()
    time_s = np.arange(80) / 100
    smooth(values, cutoff_hz=5.0, sampling_rate_hz=100.0)
    smooth(values[:5], cutoff_hz=5.0, sampling_rate_hz=100.0)[:] = 0.0
    resample(values, time_s, np.linspace(0, time_s[-1], 20))
    np.testing.assert_array_equal(values, before)


def test_resampling_to_the_same_times_but_for_rounding_returns_the_values() -> None:
    rate_hz = 60.0
    time_s = np.round(np.arange(300) / rate_hz, 3)
    values = np.random.default_rng(0).normal(size=(300, 4))
    times = even_times(time_s, min_rate_hz=50.0, max_rate_hz=200.0)
    assert np.abs(times - time_s).max() > 0
    np.testing.assert_array_equal(resample(values, time_s, times), values)


@pytest.mark.parametrize("new_rate_hz", [73.0, 100.0, 200.0])
def test_resampling_is_exact_for_cubics(new_rate_hz: float) -> None:
    time_s = np.arange(100) / 80.0
    times = np.arange(0.0, time_s[-1], 1 / new_rate_hz)
    coefficients = np.array([[0.5, -1.0, 2.0, 0.3], [-0.2, 0.4, 0.0, 1.0]]).T
    values, expected = (np.vander(t, 4) @ coefficients for t in (time_s, times))
    np.testing.assert_allclose(resample(values, time_s, times), expected, atol=1e-10)


def test_resampling_to_a_lower_rate_keeps_lines_to_the_ends_and_does_not_alias() -> None:
    time_s = np.arange(2001) / 1000
    times = np.arange(201) / 100
    line = np.stack([time_s, 1 - 2 * time_s], axis=1)
    np.testing.assert_allclose(resample(line, time_s, times), np.stack([times, 1 - 2 * times], axis=1), atol=1e-9)
    noise = np.sin(2 * np.pi * 95.0 * time_s + 0.3)  # would show as 5 Hz
    assert np.abs(resample(noise, time_s, times)[5:-5]).max() < 0.15
    assert np.abs(noise[::10]).max() > 0.9


def test_resampling_down_and_up_again_gives_a_slow_signal_back() -> None:
    time_s = np.arange(801) / 200
    values = np.sin(2 * np.pi * 1.0 * time_s)[:, None]
    times = np.arange(401) / 100
    there = resample(values, time_s, times)
    np.testing.assert_allclose(resample(there, times, time_s), values, atol=2e-3)


@pytest.mark.parametrize(("rate_hz", "expected_hz"), [(20.0, 100.0), (120.0, 120.0), (1000.0, 200.0)])
def test_even_times_have_the_nearest_allowed_rate_and_the_same_ends(rate_hz: float, expected_hz: float) -> None:
    time_s = 3.5 + np.arange(int(4 * rate_hz) + 1) / rate_hz
    times = even_times(time_s, min_rate_hz=100.0, max_rate_hz=200.0)
    assert times[0] == time_s[0]
    assert times[-1] == time_s[-1]
    np.testing.assert_allclose(np.diff(times), 1 / expected_hz, rtol=1e-9)


def test_derivatives_are_exact_for_parabolas() -> None:
    time_s = np.arange(50) / 100
    values = np.polyval([3.0, -1.0, 2.0], time_s)
    np.testing.assert_allclose(derivative(values, sampling_rate_hz=100.0)[1:-1], (6 * time_s - 1)[1:-1], atol=1e-9)
    np.testing.assert_allclose(second_derivative(values, sampling_rate_hz=100.0), 6.0, atol=1e-8)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([], []),
        ([0, 0, 0], []),
        ([1, 1, 1], [(0, 3)]),
        ([1, 0, 1, 1, 0], [(0, 1), (2, 4)]),
        ([0, 1], [(1, 2)]),
    ],
)
def test_intervals_are_the_runs_of_true(mask: list[int], expected: list[tuple[int, int]]) -> None:
    assert intervals(np.array(mask, dtype=bool)) == expected


def test_intervals_give_the_mask_back() -> None:
    mask = np.random.default_rng(0).random(200) < 0.5
    rebuilt = np.zeros(200, dtype=bool)
    for start, end in intervals(mask):
        rebuilt[start:end] = True
    np.testing.assert_array_equal(rebuilt, mask)
