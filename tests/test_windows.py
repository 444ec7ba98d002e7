"""Windows cover a trial, and merging them leaves no seam."""

import numpy as np
import pytest

from gaitdynamics.state.windows import WINDOW_FRAMES, Windows, cut, merge


def signal(num_frames: int, *, num_channels: int = 3) -> np.ndarray:
    return np.random.default_rng(num_frames).normal(size=(num_frames, num_channels))


def constant_windows(offsets: np.ndarray, windows: Windows) -> np.ndarray:
    return np.broadcast_to(offsets[:, None, None], (len(offsets), windows.values.shape[1], 1))


@pytest.mark.parametrize("stride", [20, 75, 100, 150])
def test_merging_undoes_cutting_at_every_length(stride: int) -> None:
    for num_frames in range(1, 401):
        values = signal(num_frames)
        windows = cut(values, stride=stride)
        np.testing.assert_allclose(merge(windows.values, windows), values, atol=1e-12, err_msg=str(num_frames))


def test_every_frame_lies_in_a_window_and_windows_lie_in_the_trial() -> None:
    for num_frames in range(1, 500, 7):
        values = signal(num_frames)
        windows = cut(values, stride=60)
        frames = windows.starts[:, None] + np.arange(WINDOW_FRAMES)
        assert set(frames[windows.present]) == set(range(num_frames))
        np.testing.assert_array_equal(windows.values[windows.present], values[frames[windows.present]])
        assert windows.present.all() == (num_frames >= WINDOW_FRAMES)


def test_a_short_trial_is_one_window_filled_with_zeros_that_are_marked_absent() -> None:
    windows = cut(np.ones((40, 2)))
    assert windows.values.shape == (1, WINDOW_FRAMES, 2)
    np.testing.assert_array_equal(windows.present[0], np.arange(WINDOW_FRAMES) < 40)
    assert not windows.values[0, 40:].any()
    spoiled = np.where(windows.present[..., None], windows.values, np.nan)  # a network may say anything there
    np.testing.assert_array_equal(merge(spoiled, windows), np.ones((40, 2)))


def test_the_last_window_is_moved_back_to_end_with_the_trial() -> None:
    assert cut(np.zeros((310, 1)), length=150, stride=75).starts.tolist() == [0, 75, 150, 160]
    assert cut(np.zeros((300, 1)), length=150, stride=75).starts.tolist() == [0, 75, 150]
    assert cut(np.zeros((300, 1)), length=150, stride=150).starts.tolist() == [0, 150]


@pytest.mark.parametrize(("stride", "largest_step"), [(50, 0.019), (75, 0.026), (100, 0.045)])
def test_windows_that_disagree_fade_into_one_another(stride: int, largest_step: float) -> None:
    random = np.random.default_rng(0)
    for num_frames in range(WINDOW_FRAMES, 620, 3):
        windows = cut(np.zeros((num_frames, 1)), stride=stride)
        for _ in range(5):
            offsets = random.uniform(-0.5, 0.5, len(windows.starts))
            merged = merge(constant_windows(offsets, windows), windows)
            assert np.abs(np.diff(merged[:, 0])).max(initial=0.0) <= largest_step * np.ptp(offsets)


def test_a_seam_is_no_rougher_than_the_signal() -> None:
    time_s = np.arange(600) / 100
    values = np.sin(2 * np.pi * 2.0 * time_s)[:, None]
    windows = cut(values)
    offsets = np.random.default_rng(1).uniform(-0.2, 0.2, len(windows.starts))
    merged = merge(windows.values + constant_windows(offsets, windows), windows)
    largest = np.abs(np.diff(values, axis=0)).max()
    assert np.abs(np.diff(merged, axis=0)).max() < 1.1 * largest
    assert np.abs(merged - values).max() <= 0.2


def test_the_number_type_is_kept_and_the_input_is_not_changed() -> None:
    values = signal(200).astype(np.float32)
    before = values.copy()
    windows = cut(values)
    assert windows.values.dtype == merge(windows.values, windows).dtype == np.float32
    windows.values[:] = 0.0
    np.testing.assert_array_equal(values, before)
