"""A trial in overlapping pieces of the length that a network takes, and back without seams."""

from dataclasses import dataclass

import numpy as np

WINDOW_FRAMES = 150  # 1.5 s: a stride and a half of slow walking


@dataclass(frozen=True)
class Windows:
    """Pieces of equal length L that together cover a trial of T frames.

    Args:
        values: (N, L, D); 0 beyond the end of a trial that is shorter than a window.
        present: False beyond that end, (N, L).
        starts: first frame of each window, increasing, (N,).
        num_frames: T.
    """

    values: np.ndarray
    present: np.ndarray
    starts: np.ndarray
    num_frames: int


def cut(values: np.ndarray, *, length: int = WINDOW_FRAMES, stride: int = WINDOW_FRAMES // 2) -> Windows:
    """Windows that begin every `stride` frames; the last is moved back so that it ends with the trial.

    Args:
        values: (T, D), T at least 1.
        length: of a window, L.
        stride: at most `length`; windows overlap by the rest.
    """
    num_frames = len(values)
    last = max(num_frames - length, 0)
    starts = np.append(np.arange(0, last, stride), last)
    frames = starts[:, None] + np.arange(length)
    present = frames < num_frames
    pieces = values[np.minimum(frames, num_frames - 1)]
    return Windows(np.where(present[..., None], pieces, np.zeros((), values.dtype)), present, starts, num_frames)


def fading(windows: Windows) -> np.ndarray:
    """How much each window says of each of its frames, (N, L); what windows say of a frame adds up to 1.

    A window's weight rises from its start to its middle and falls to its end as a squared sine, but for the trial's
    own start and end, towards which the first and the last window keep theirs.
    """
    num, length = windows.present.shape
    rising = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    is_first_half = np.arange(length) < length / 2
    weights = np.repeat(rising[None], num, axis=0)
    weights[0, is_first_half] = weights[-1, ~is_first_half] = 1.0
    weights *= windows.present
    total = np.zeros(max(windows.num_frames, windows.starts[-1] + length))
    for start, weight in zip(windows.starts, weights, strict=True):
        total[start : start + length] += weight
    frames = windows.starts[:, None] + np.arange(length)
    return np.where(windows.present, weights / np.maximum(total[frames], np.finfo(float).tiny), 0.0)


def merge(values: np.ndarray, windows: Windows) -> np.ndarray:
    """One signal from windows; where they overlap, one fades into the next.

    Args:
        values: (N, L, K).
        windows: where they lie.

    Returns:
        (T, K).
    """
    total = np.zeros((windows.num_frames, values.shape[2]))
    for start, present, weight, each in zip(windows.starts, windows.present, fading(windows), values, strict=True):
        total[start : start + present.sum()] += weight[present, None] * each[present]
    return total.astype(values.dtype, copy=False)
