"""Where under each foot the force acts: centre of pressure and free moment."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.contact import Contact
from gaitdynamics.biomech.dynamics import WholeBody
from gaitdynamics.biomech.kinematics import FootPath
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import intervals, smooth

# How the centre of pressure advances from heel (0) to toe joint (1) over a stance, and how far it strays from that:
# medians over the stances of the development data's training people (docs/method.md).
STANCE_PROGRESS = np.array([0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0])
WALKING_ADVANCE = np.array([0.00, 0.03, 0.36, 0.50, 0.64, 0.81, 0.91, 0.97, 1.02, 1.07, 1.14, 1.16])
RUNNING_ADVANCE = np.array([0.15, 0.24, 0.45, 0.71, 0.80, 0.86, 0.95, 1.00, 1.05, 1.12, 1.22, 1.22])
STANDING_PROGRESS = 0.25  # where the foot is flat and loaded in the middle
ADVANCE_SD_M = np.array([0.020, 0.010])  # along the foot, across it
BALANCE_SD_M = {
    "walk": np.array([0.040, 0.030]),
    "run": np.array([0.075, 0.060]),
}  # of the moment balance's point
SOLE = np.array([[-0.05, 1.36], [-0.26, 0.26]])  # of heel to toe joint: along and across, as far as a foot reaches
LOADED_BW = 0.3  # total force above which the moment balance gives a point
TYPICAL_STANCE_S = {"walk": 0.70, "run": 0.25}
LONGEST_STANCE_S = 1.5  # longer is standing, with a landing before and a push-off after
STANDING_SHARE_CUTOFF_HZ = 1.0
FREE_MOMENT_TRUST = 0.1  # of what the moment balance leaves over: mostly noise of the centres of pressure
MAX_FREE_MOMENT_M = 0.02  # of body weight times metre


@dataclass(frozen=True)
class Pressure:
    """Centre of pressure on the floor (T, 2, 3), m, and free moment (T, 2), N m; feet ordered right, left."""

    cop_m: np.ndarray
    free_moment_nm: np.ndarray


def balance_point(body: WholeBody, *, floor_m: float, body_weight_n: float) -> np.ndarray:
    """Where the total force must act on the floor so that it turns the body as it turns, (T, 3); NaN when unloaded."""
    force, moment = body.force_n, body.moment_nm
    lever = floor_m - body.com_m[:, 1]
    is_loaded = force[:, 1] > LOADED_BW * body_weight_n
    vertical = np.where(is_loaded, force[:, 1], np.nan)
    x = body.com_m[:, 0] + (moment[:, 2] + lever * force[:, 0]) / vertical
    z = body.com_m[:, 2] + (lever * force[:, 2] - moment[:, 0]) / vertical
    return np.stack([x, np.full(len(x), floor_m), z], axis=1)


def right_share(balance_m: np.ndarray, path: FootPath, *, sampling_rate_hz: float) -> np.ndarray:
    """Share of the right foot if each pressed at its middle, from where the total force passes between them, (T,).

    Smoothed: this is for a person who stands, and the balance point is noisy.
    """
    middle = path.points_m.mean(axis=2)
    across = (middle[:, 0] - middle[:, 1])[:, [0, 2]]
    reach = ((balance_m - middle[:, 1])[:, [0, 2]] * across).sum(axis=1) / np.maximum((across**2).sum(axis=1), 1e-6)
    between = np.clip(np.nan_to_num(reach, nan=0.5), 0.0, 1.0)
    steady = smooth(between, cutoff_hz=STANDING_SHARE_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz)
    return np.clip(steady, 0.0, 1.0)


def pressure(
    force_n: np.ndarray,
    body: WholeBody,
    path: FootPath,
    contact: Contact,
    *,
    balance_m: np.ndarray,
    heading: np.ndarray,
    body_weight_n: float,
    sampling_rate_hz: float,
) -> Pressure:
    """Centres of pressure and free moments of both feet.

    Two sources are weighed by how far each errs: how the centre of pressure usually advances along a foot, and the
    point at which the total force balances the body's moment (less its mean distance from the former over the trial,
    which is the model's offset). The result is kept on the sole. During swing the point moves on from where the foot
    left to where it lands.

    Args:
        force_n: of each foot, (T, 2, 3).
        balance_m: the `balance_point`, (T, 3).
        heading: unit vector, (3,), or at every frame, (T, 3).
    """
    gait = "run" if contact.is_running else "walk"
    feet = _foot_axes(path)
    usual = np.stack([_usual_advance(contact.is_down[:, f], gait, sampling_rate_hz) for f in range(2)], axis=1)
    point = np.stack([usual, np.zeros_like(usual)], axis=-1) * path.length_m[:, None]  # along, across, (T, 2, 2)
    vertical = force_n[:, :, 1]
    total = vertical.sum(axis=1)
    share = vertical / np.where(total > 0, total, 1.0)[:, None]

    expected = (share[..., None] * _placed(point, path, feet)).sum(axis=1)
    miss = (balance_m - expected)[:, [0, 2]]
    is_known = np.isfinite(miss).all(axis=1) & contact.is_down.any(axis=1)
    if is_known.any():
        axes = np.broadcast_to(heading_axes(heading), (len(miss), 3, 3))[:, ::2, ::2]  # forward and right
        offset = np.median(np.einsum("tij,tj->ti", axes, miss)[is_known], axis=0)
        miss = np.where(is_known[:, None], miss - offset @ axes, 0.0)
        miss_on_foot = np.einsum("tfkj,tj->tfk", feet, miss)
        gain = _gain(share, ADVANCE_SD_M**2, BALANCE_SD_M[gait] ** 2)
        point = point + gain * miss_on_foot
    low, high = SOLE.T[:, None, :] * path.length_m[:, None]
    cop = _placed(np.clip(point, low, high), path, feet)
    cop[..., 1] = contact.floor_m
    for f in range(2):
        cop[:, f] = _carried_through_swing(cop[:, f], contact.is_down[:, f])

    turning = np.cross(cop - body.com_m[:, None], force_n)[..., 1].sum(axis=1)
    limit = MAX_FREE_MOMENT_M * body_weight_n
    free = FREE_MOMENT_TRUST * np.clip(body.moment_nm[:, 1] - turning, -limit, limit)
    return Pressure(cop, np.where(contact.is_down, share, 0.0) * free[:, None])


def _gain(share: np.ndarray, prior_variance: np.ndarray, noise_variance: np.ndarray) -> np.ndarray:
    """Kalman gain of each foot's point for the observed weighted mean of both, (T, 2, 2)."""
    spread = (share**2).sum(axis=1)[:, None, None] * prior_variance + noise_variance
    return share[..., None] * prior_variance / spread


def _foot_axes(path: FootPath) -> np.ndarray:
    """Horizontal unit vectors (x, z) along each foot and to its right, (T, 2, 2, 2)."""
    along = (path.points_m[:, :, 1] - path.points_m[:, :, 0])[..., [0, 2]]
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    return np.stack([along, across], axis=2)


def _placed(point: np.ndarray, path: FootPath, feet: np.ndarray) -> np.ndarray:
    """Points given along (from the heel) and across each foot, in the ground frame, (T, 2, 3).

    They hang on the toe joint, which stays where it is while the heel rises.
    """
    from_toe = point - np.stack([path.length_m, np.zeros(2)], axis=-1)
    horizontal = path.points_m[:, :, 1][..., [0, 2]] + np.einsum("tfk,tfkj->tfj", from_toe, feet)
    return np.stack([horizontal[..., 0], np.zeros(horizontal.shape[:2]), horizontal[..., 1]], axis=-1)


def _usual_advance(is_down: np.ndarray, gait: str, sampling_rate_hz: float) -> np.ndarray:
    """Along each foot in units of heel to toe joint, (T,); stances that the recording cuts get a typical length."""
    curve = WALKING_ADVANCE if gait == "walk" else RUNNING_ADVANCE
    advance = np.full(len(is_down), np.interp(STANDING_PROGRESS, STANCE_PROGRESS, curve))
    spans = intervals(is_down)
    longest = LONGEST_STANCE_S * sampling_rate_hz
    whole = [end - start for start, end in spans if start > 0 and end < len(is_down) and end - start < longest]
    typical = float(np.median(whole)) if whole else TYPICAL_STANCE_S[gait] * sampling_rate_hz
    for start, end in spans:
        is_cut_before, is_cut_after = start == 0, end == len(is_down)
        frames = np.arange(end - start) + 0.5
        since_landing = np.full(len(frames), np.inf) if is_cut_before else frames / typical
        until_leaving = np.full(len(frames), np.inf) if is_cut_after else (end - start - frames) / typical
        if is_cut_before != is_cut_after and end - start < longest:
            progress = 1 - until_leaving if is_cut_before else since_landing
        elif end - start < longest and not is_cut_before:
            progress = frames / (end - start)
        else:
            progress = np.maximum(np.minimum(since_landing, STANDING_PROGRESS), 1 - until_leaving)
        advance[start:end] = np.interp(progress, STANCE_PROGRESS, curve)
    return advance


def _carried_through_swing(cop_m: np.ndarray, is_down: np.ndarray) -> np.ndarray:
    frames = np.flatnonzero(is_down)
    if len(frames) == 0:
        return cop_m
    everywhere = np.arange(len(is_down))
    return np.stack([np.interp(everywhere, frames, cop_m[frames, k]) for k in range(3)], axis=-1)
