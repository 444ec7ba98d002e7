"""Ground reaction forces from a motion, by physics and the networks that correct it."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.biomech.load_sharing import double_supports
from gaitdynamics.biomech.physics import Physics, physics_of
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import interpolate, intervals, smooth
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.model.force_limits import COVERAGE, ForceLimits
from gaitdynamics.model.forces import ForceModel, build_force_model
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import PHYSICS
from gaitdynamics.state.physics_features import physics_features
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.prediction import ForceInterval, Prediction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

STANDING_CUTOFF_HZ = 2.0  # of the change between standing and stepping
LEAST_FRAMES = 5  # as many as physics works with
SWING_BW = 0.03  # a foot that presses less than this is taken to be in the air; force plates' threshold for 70 kg


@dataclass(frozen=True)
class LearnedForces:
    """The bundled or a user's own force model: an estimator.

    Args:
        name: of the weights.
        model: the networks.
        limits: how far they are to be trusted.
    """

    name: str
    model: ForceModel
    limits: ForceLimits

    @classmethod
    def of(cls, weights: Weights) -> "LearnedForces":
        """From weights on disk.

        Raises:
            InputFileError: they are of another network, or do not fit their description.
        """
        limits = ForceLimits.from_json(weights.config.get("limits"), source=str(weights.folder))
        return cls(weights.folder.name, build_force_model(weights), limits)

    def __call__(self, trial: Trial, *, seed: int = 0) -> Prediction:
        """Forces, centres of pressure, free moments and 90 % intervals at the motion's own times.

        Args:
            trial: its skeleton has the person's mass; measured forces in it are not looked at.
            seed: recorded in the provenance; no random numbers are drawn.

        Raises:
            InvalidMotionError: no foot ever rests on the ground.
            InvalidModelError: the model lacks legs or feet.
        """
        times = trial.motion.time_s
        time_s = frame_times(times)
        physics = physics_of(trial, time_s)
        features = physics_features(trial, physics)
        force_bw, shift, spread_bw = self.model.predict(features)
        stepping = _stepping(physics)[:, None, None]
        shared_bw = np.stack([features[:, PHYSICS[f"shared_force_{side}"]] for side in SIDE_NAMES], axis=1)
        force_bw, shift = shared_bw + stepping * (force_bw - shared_bw), stepping * shift

        is_loaded = _loaded(force_bw[..., 1] >= SWING_BW, physics.contact.is_down)
        force_bw = np.where(is_loaded[..., None], force_bw, 0.0)
        unit_n = trial.subject.body_weight_n
        force_n = _to_ground(physics, force_bw) * unit_n
        forces = GroundReaction(
            time_s=times,
            force_n=interpolate(force_n, time_s, times),
            cop_m=interpolate(_pressure(trial, physics, shift, is_loaded), time_s, times),
            free_moment_nm=interpolate(np.where(is_loaded, physics.under.free_moment_nm, 0.0), time_s, times),
            valid=np.ones((len(times), 2), dtype=bool),
        )
        half_bw = self.limits.half_width(spread_bw, is_running=physics.contact.is_running)
        half_n = _to_ground_spread(physics, half_bw) * unit_n
        interval = ForceInterval(
            lower_n=interpolate(_at_least_zero(force_n - half_n), time_s, times),
            upper_n=interpolate(force_n + half_n, time_s, times),
            coverage=COVERAGE,
        )
        warnings = (*physics.warnings, *self.limits.warnings(features))
        provenance = {"weights": self.name, "seed": seed, "version": __version__}
        return Prediction(trial.motion, forces, physics.belt_speed_m_s, warnings, provenance, interval)


def frame_times(time_s: np.ndarray) -> np.ndarray:
    """Every 10 ms from a motion's first time, as long as it lasts.

    Raises:
        InvalidMotionError: too short to be differentiated.
    """
    num = int((time_s[-1] - time_s[0]) * FRAME_RATE_HZ + 1e-6)
    if num + 1 < LEAST_FRAMES:
        raise InvalidMotionError(
            f"the motion lasts {time_s[-1] - time_s[0]:.3g} s. Expected at least "
            f"{(LEAST_FRAMES - 1) / FRAME_RATE_HZ:g} s, better two steps; give a longer recording."
        )
    return time_s[0] + np.arange(num + 1) / FRAME_RATE_HZ


def _loaded(is_pressing: np.ndarray, is_down: np.ndarray) -> np.ndarray:
    """Presses during which physics, too, has the foot on the ground for a while, (T, 2)."""
    is_loaded = np.zeros_like(is_pressing)
    for foot in range(2):
        for start, end in intervals(is_pressing[:, foot]):
            is_loaded[start:end, foot] = is_down[start:end, foot].any()
    return is_loaded


def _stepping(physics: Physics) -> np.ndarray:
    """1 where a person walks or runs, 0 where one stands, which nobody in the training data does, (T,).

    Standing is what physics knows well, so its forces stay as they are.
    """
    is_standing = np.zeros(len(physics.time_s))
    for double in double_supports(physics.contact, sampling_rate_hz=FRAME_RATE_HZ):
        if double.trailing is None:
            is_standing[double.start : double.end] = 1.0
    if not is_standing.any():
        return 1.0 - is_standing
    return 1.0 - np.clip(smooth(is_standing, cutoff_hz=STANDING_CUTOFF_HZ, sampling_rate_hz=FRAME_RATE_HZ), 0.0, 1.0)


def _to_ground(physics: Physics, vectors: np.ndarray) -> np.ndarray:
    """From the axes of the features to the ground frame, (T, 2, 3)."""
    return np.einsum("tij,tfi->tfj", heading_axes(physics.heading), vectors)


def _to_ground_spread(physics: Physics, spread: np.ndarray) -> np.ndarray:
    """Half-widths along the ground's axes of independent ones along the heading's, (T, 2, 3)."""
    return np.sqrt(np.einsum("tij,tfi->tfj", heading_axes(physics.heading) ** 2, spread**2))


def _at_least_zero(lower_n: np.ndarray) -> np.ndarray:
    """The ground does not pull: vertical forces below zero are cut."""
    return np.stack([lower_n[..., 0], np.maximum(lower_n[..., 1], 0.0), lower_n[..., 2]], axis=-1)


def _pressure(trial: Trial, physics: Physics, shift: np.ndarray, is_loaded: np.ndarray) -> np.ndarray:
    """Centres of pressure (T, 2, 3): physics' own, moved; the shift of a loaded foot fades into the next over swing."""
    steady = np.zeros((*shift.shape[:2], 3))
    frames = np.arange(len(shift))
    for foot in range(2):
        loaded = np.flatnonzero(is_loaded[:, foot])
        if len(loaded):
            for axis, k in ((0, 0), (2, 1)):
                steady[:, foot, axis] = np.interp(frames, loaded, shift[loaded, foot, k])
    return physics.under.cop_m + _to_ground(physics, steady) * trial.subject.height_m
