"""Smoothing, differentiating and resampling of evenly sampled signals; time is the first axis."""

from functools import lru_cache

import numpy as np
from scipy import sparse
from scipy.linalg import solveh_banded

SMOOTHING_ORDER = 3  # the third derivative is penalised: halves the amplitude at the cut-off, falls as f⁻⁶ beyond
EVEN_SAMPLING_TOLERANCE = 0.1  # of a sample: rounding of printed times, not a missed frame
SHORT_GAP_S = 0.08  # the ends tell of it better than any guess
LARGEST_RATIO = 30.0  # of rate to angular cut-off: its sixth power is the condition of the smoother's equations
FREE_FALL_STRENGTH = 1e3  # how much more than its smoothness a flight's known acceleration weighs


def even_times(time_s: np.ndarray, *, min_rate_hz: float, max_rate_hz: float) -> np.ndarray:
    """Evenly spaced times over the same span, at the signal's own mean rate or the nearest allowed one."""
    span = float(time_s[-1] - time_s[0])
    rate_hz = min(max((len(time_s) - 1) / span, min_rate_hz), max_rate_hz)
    return np.linspace(time_s[0], time_s[-1], max(round(span * rate_hz), 4) + 1)


def resample(values: np.ndarray, time_s: np.ndarray, new_time_s: np.ndarray) -> np.ndarray:
    """Values at other times, by cubic interpolation; averaged over the new interval first where that is longer.

    Args:
        values: (T, ...).
        time_s: strictly increasing, (T,).
        new_time_s: evenly spaced, (N,).

    Returns:
        (N, ...); the values themselves where the times agree but for rounding.
    """
    if _are_same_times(time_s, new_time_s):
        return values
    from scipy.interpolate import CubicSpline  # a quarter of a second to import, and most motions need no resampling

    ratio = float(new_time_s[1] - new_time_s[0]) / float(np.median(np.diff(time_s)))
    if ratio > 1.5:
        half_width = round(ratio / 2)
        before, after = 2 * values[:1] - values[half_width:0:-1], 2 * values[-1:] - values[-2 : -2 - half_width : -1]
        padded = np.concatenate([before, values, after])  # turned about the ends, so that a line stays one
        sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(padded, axis=0)])
        width = 2 * half_width + 1
        values = (sums[width:] - sums[:-width]) / width
    return CubicSpline(time_s, values, axis=0)(new_time_s)


def interpolate(values: np.ndarray, time_s: np.ndarray, new_time_s: np.ndarray) -> np.ndarray:
    """Values (T, ...) at other times (N, ...), linearly in between and held beyond the ends.

    The values themselves where the times agree but for rounding. Zeros stay zeros, which cubics would not leave so.
    """
    if _are_same_times(time_s, new_time_s):
        return values
    flat = values.reshape(len(values), -1)
    columns = [np.interp(new_time_s, time_s, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(new_time_s), *values.shape[1:])


def smooth(
    values: np.ndarray,
    *,
    cutoff_hz: float,
    sampling_rate_hz: float,
    is_falling: np.ndarray | None = None,
    falling_acceleration: float = 0.0,
) -> np.ndarray:
    """Low-pass without lag, and without inventing acceleration where it is known.

    Penalised least squares (Whittaker 1923; Eilers 2003, Anal Chem 75:3631): the smoothest signal near the data. With
    the third derivative as penalty its gain is 1 / (1 + (f / cutoff)⁶), that of a zero-lag third-order Butterworth
    filter whose gain at the cut-off is a half; unlike that filter it needs no padding at the ends, and it can be told
    that a body in flight accelerates with gravity alone. Signals far below the rate are smoothed at a lower one, as
    rounding would drown them.

    Args:
        values: (T,) or (T, K).
        cutoff_hz: at which the gain is a half.
        sampling_rate_hz: of the values.
        is_falling: frames at which the second derivative is known, (T,).
        falling_acceleration: what it is there, values per s².
    """
    flat = values.reshape(len(values), -1)
    num = len(flat)
    too_many = int(sampling_rate_hz / (2 * np.pi * cutoff_hz) / LARGEST_RATIO)
    if too_many > 1 and is_falling is None:
        frames, fewer = np.arange(num), np.linspace(0.0, num - 1.0, (num - 1) // too_many + 1)
        rate_hz = sampling_rate_hz * (len(fewer) - 1) / (num - 1)
        slow = smooth(resample(values, frames, fewer), cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz)
        return resample(slow, fewer, frames)
    if num <= 2 * SMOOTHING_ORDER:
        return values.copy()
    origin = flat.mean(axis=0)
    system, bands = _smoother(num, cutoff_hz, sampling_rate_hz)
    target = flat - origin
    if is_falling is not None and is_falling.any():
        acceleration = _difference(num, 2, sampling_rate_hz)
        weight = FREE_FALL_STRENGTH * (2 * np.pi * cutoff_hz) ** -4.0 * is_falling[1:-1]
        weighted = acceleration.T @ sparse.diags(weight)
        bands = _bands((system + weighted @ acceleration).tocsr(), SMOOTHING_ORDER)
        target = target + (weighted @ np.full(num - 2, falling_acceleration))[:, None]
    return (solveh_banded(bands, target) + origin).reshape(values.shape)


def derivative(values: np.ndarray, *, sampling_rate_hz: float) -> np.ndarray:
    """First time derivative by central differences, one-sided at the ends."""
    return np.gradient(values, 1.0 / sampling_rate_hz, axis=0)


def second_derivative(values: np.ndarray, *, sampling_rate_hz: float) -> np.ndarray:
    """Second time derivative by central differences; the ends repeat their neighbours."""
    inner = (values[2:] - 2 * values[1:-1] + values[:-2]) * sampling_rate_hz**2
    return np.concatenate([inner[:1], inner, inner[-1:]])


def bridged(
    guess: np.ndarray, values: np.ndarray, *, is_known: np.ndarray, sampling_rate_hz: float, reach_s: float = 0.1
) -> np.ndarray:
    """A signal that is known in part, with a guess between that is bent to meet it with its slope.

    The guess is shifted by what it misses at the ends of a gap, linearly between them, and then keeps its curvature
    as far as the known signal's slopes allow: within about `reach_s` of the ends. In a gap of less than SHORT_GAP_S the
    curvature is what it is around it, and of twice that and more the guess's.

    Args:
        guess: of the whole signal, (T,).
        values: where known, (T,).
        is_known: (T,).

    Returns:
        (T,); exactly `values` where known.
    """
    result = np.where(is_known, values, guess)
    gap = np.flatnonzero(~is_known)
    if len(gap) == 0 or not is_known.any():
        return result
    frames = np.arange(len(guess))
    known = frames[is_known]
    result[gap] += np.interp(gap, known, (values - guess)[known])
    if len(guess) < 3:
        return result
    bends = np.diff(result, n=2)
    is_border = np.convolve(~is_known, np.ones(3), mode="valid") % 3 > 0
    inside = np.arange(len(bends))
    if not is_border.all():
        bends[is_border] = np.interp(inside[is_border], inside[~is_border], bends[~is_border])
    is_outside = np.convolve(~is_known, np.ones(3), mode="valid") == 0
    if is_outside.any():
        steady = np.interp(inside, inside[is_outside], bends[is_outside])
        for start, end in intervals(~is_outside):
            of_guess = np.clip((end - start) / sampling_rate_hz / SHORT_GAP_S - 1.0, 0.0, 1.0)
            bends[start:end] = steady[start:end] + of_guess * (bends[start:end] - steady[start:end])
    second = _difference(len(guess), 2, 1.0)
    of_gap = second[:, gap]
    missing = bends - second[:, known] @ values[known]
    stiffness = (2.0 / (reach_s * sampling_rate_hz) ** 2) ** 2
    normal = (of_gap.T @ of_gap + stiffness * sparse.identity(len(gap))).tocsr()
    result[gap] = solveh_banded(_bands(normal, 2), of_gap.T @ missing + stiffness * result[gap])
    return result


def intervals(mask: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True as [start, end) frames."""
    edges = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _are_same_times(time_s: np.ndarray, new_time_s: np.ndarray) -> bool:
    if len(time_s) != len(new_time_s):
        return False
    step = float(new_time_s[1] - new_time_s[0])
    return bool(np.abs(time_s - new_time_s).max() < EVEN_SAMPLING_TOLERANCE * step)


@lru_cache(maxsize=64)
def _smoother(num: int, cutoff_hz: float, sampling_rate_hz: float) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The equations of `smooth`, and their diagonals; kept, as many signals of a trial have the same."""
    roughness = _difference(num, SMOOTHING_ORDER, sampling_rate_hz)
    penalty = (2 * np.pi * cutoff_hz) ** (-2 * SMOOTHING_ORDER)
    system = (sparse.identity(num) + penalty * (roughness.T @ roughness)).tocsr()
    return system, _bands(system, SMOOTHING_ORDER)


@lru_cache(maxsize=64)
def _difference(num: int, order: int, sampling_rate_hz: float) -> sparse.csr_matrix:
    matrix = sparse.identity(num, format="csr")
    for _ in range(order):
        matrix = (matrix[1:] - matrix[:-1]) * sampling_rate_hz
    return matrix


def _bands(system: sparse.csr_matrix, num: int) -> np.ndarray:
    """The upper diagonals of a symmetric matrix of that bandwidth, as `solveh_banded` takes them."""
    bands = np.zeros((num + 1, system.shape[0]))
    for k in range(min(num + 1, system.shape[0])):
        bands[num - k, k:] = system.diagonal(k)
    return bands
