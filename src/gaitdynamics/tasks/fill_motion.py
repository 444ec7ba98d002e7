"""What is missing of a motion, completed by the diffusion model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gaitdynamics import __version__
from gaitdynamics.biomech.carried_body import with_carried_body
from gaitdynamics.biomech.contact import infer_belt_speed, smoothed_path
from gaitdynamics.biomech.kinematics import chain_columns, foot_paths, heading_of, posed
from gaitdynamics.biomech.standing_feet import with_standing_feet
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import bridged, intervals, smooth
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.model.diffusion import Conditions, GaitDiffusion, TrialDenoiser, build_diffusion_model
from gaitdynamics.model.sampler import multistep, noise_levels
from gaitdynamics.state.codec import State, completed_columns, decode_motion, encode
from gaitdynamics.state.frame import ModelFrame
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.links import links, pelvis_columns
from gaitdynamics.state.parts import completable_coordinates
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

DEFAULT_SAMPLES = 8
LEAST_SAMPLES = 2  # that have a spread
SAMPLED_S = 240.0  # of motion, over all samples: what a laptop draws in a few seconds
NUM_STEPS = 4
NOISE_RANGE = (0.05, 80.0)
LEAST_SPEED_M_S = 0.4  # a pelvis that advances faster on average is not on a treadmill
MEDIAN_CUTOFF_HZ = 12.0  # above what legs do in running
SPREAD_CUTOFF_HZ = 2.0  # of the spread between few samples, which is noisy
# Half-widths of 90 % intervals, calibrated by benchmarks/completion_intervals.py on people not trained on: in standard
# deviations between samples; and, in quadrature, at least, or of joints that were never observed: people differ by a
# constant angle, and laboratories in where they take zero to be, of which samples know little.
WIDTH = 2.8
LEAST_WIDTH_RAD, LEAST_WIDTH_M = np.radians(1.0), 0.002
CONSTANT_WIDTHS = {
    "pelvis_height": 0.015,
    "pelvis_rotation": np.radians(2.0),
    "lumbar": np.radians(6.0),
    "hip": np.radians(6.5),
    "knee": np.radians(3.0),
    "ankle": np.radians(9.0),
    "subtalar": np.radians(23.5),
}
LEAST_SHARE = 0.05  # of filled frames in what is smoothed, next to a gap
LONGEST_GAP_S = 1.0  # nothing of the stride is left to go by

FORCE_COLUMNS = np.stack([GAIT[f"force_{side}"] for side in SIDE_NAMES])
LEG_GROUPS = tuple(f"{joint}_{side}" for side in SIDE_NAMES for joint in ("hip", "knee", "ankle"))


def usual_samples(motion: Motion) -> int:
    """How many completions to draw unless told otherwise: eight, and fewer of a motion longer than half a minute."""
    duration_s = float(motion.time_s[-1] - motion.time_s[0])
    return int(np.clip(SAMPLED_S / max(duration_s, 1.0), LEAST_SAMPLES, DEFAULT_SAMPLES))


@dataclass(frozen=True)
class Completion:
    """A motion with everything filled in that was not observed.

    Args:
        motion: the median of the samples, with feet that stand; every observed value exactly as given, and `observed`
            as it was.
        is_filled: values that were completed, (T, C).
        samples: motions as drawn, SI and radians, (N, T, C).
        lower, upper: between which values each one lies, with 90 % confidence, (T, C); None of a single sample.
        force_spread_n: standard deviation between samples of the forces that the model draws with the motion, ground
            frame, (T, 2, 3).
        belt_speed_m_s: that the completed motion goes with; None where it is still to be inferred.
        warnings: one sentence each, for the user.
        provenance: weights, samples, seed, version.
    """

    motion: Motion
    is_filled: np.ndarray
    samples: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None
    force_spread_n: np.ndarray
    belt_speed_m_s: float | None
    warnings: tuple[str, ...]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class MotionCompleter:
    """The bundled or a user's own diffusion model, at work on motions of any length and model.

    Args:
        name: of the weights.
        model: the network.
        num_steps: evaluations of the network for a sample.
    """

    name: str
    model: GaitDiffusion
    num_steps: int = NUM_STEPS

    @classmethod
    def of(cls, weights: Weights) -> "MotionCompleter":
        """From weights on disk.

        Raises:
            InputFileError: they are of another network, or do not fit their description.
        """
        return cls(weights.folder.name, build_diffusion_model(weights))

    def __call__(
        self,
        trial: Trial,
        *,
        num_samples: int = 1,
        seed: int = 0,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> Completion:
        """Complete what `trial.motion.observed` says was not observed.

        Args:
            trial: its measured forces are not looked at.
            num_samples: completions to draw, N.
            seed: of the noise that they are drawn from; the k-th sample is the same whatever their number.
            report: told how many samples are done, of how many.

        Raises:
            InvalidMotionError: nothing was observed.
            InvalidModelError: the model lacks legs or feet.
        """
        trial = replace(trial, forces=None)
        is_filled = completed_columns(trial)
        trial = self._on_its_ground(trial, seed=seed)
        state, frame = encode(trial)
        states = self.completed_states(state, num_samples=num_samples, seed=seed)
        incomplete = [group for group in GAIT.groups if not state.known[:, GAIT[group]].all()]
        decoded, forces_n = [], []
        for k, values in enumerate(states):
            decoded.append(decode_motion(replace(state, values=values), frame, trial, groups=incomplete).values)
            forces_n.append(_forces_n(values, frame, trial.motion.time_s))
            report(k + 1, num_samples)
        drawn = _on_one_turn(np.stack(decoded), trial)
        stacked = np.stack([_joined(trial, each, is_filled) for each in drawn])
        middle = _joined(trial, _smoothed_median(drawn, trial.motion.sampling_rate_hz), is_filled)
        middle = _standing(trial, middle, frame, is_filled, force_n=np.median(forces_n, axis=0), state=state)
        lower, upper = _interval(stacked, middle, is_filled, trial)
        return Completion(
            motion=replace(trial.motion, values=middle),
            is_filled=is_filled,
            samples=stacked,
            lower=lower,
            upper=upper,
            force_spread_n=np.std(forces_n, axis=0, ddof=1) if num_samples > 1 else np.zeros_like(forces_n[0]),
            belt_speed_m_s=trial.belt_speed_m_s,
            warnings=_gap_warnings(trial),
            provenance={"weights": self.name, "samples": num_samples, "seed": seed, "version": __version__},
        )

    def completed_states(self, state: State, *, num_samples: int, seed: int) -> np.ndarray:
        """States (N, T, len(GAIT)) that agree with one where it is known, in one piece whatever their length."""
        normalizer = self.model.normalizer
        mask = np.broadcast_to(state.known, (num_samples, *state.known.shape)).astype(np.float32)
        known = normalizer.apply(state.values) * mask
        noise = np.stack(
            [np.random.default_rng([seed, k]).standard_normal(state.values.shape) for k in range(num_samples)]
        )
        drawn = multistep(
            TrialDenoiser(self.model, Conditions()),
            torch.from_numpy(known),
            torch.from_numpy(mask),
            levels=noise_levels(self.num_steps, lowest=NOISE_RANGE[0], highest=NOISE_RANGE[1]),
            noise=torch.from_numpy(noise.astype(np.float32)),
        )
        return np.where(state.known, state.values, normalizer.undo(drawn.numpy()))

    def _on_its_ground(self, trial: Trial, *, seed: int) -> Trial:
        """With the speed of the ground, where incomplete legs can't tell it.

        A motion without the pelvis' place is put on a floor. One without legs is completed once without what the
        pelvis does over the ground, and tells the belt's speed then.
        """
        if trial.belt_speed_m_s is not None:
            return trial
        state, _ = encode(trial)
        if not state.known.any():
            raise InvalidMotionError(
                f"{trial.name}: nothing of pelvis, trunk and legs was observed, so there is nothing to complete. "
                "'gaitdynamics generate' draws whole gaits."
            )
        if not state.known[:, GAIT["pelvis_velocity"]].any():
            return replace(trial, belt_speed_m_s=0.0)
        if all(state.known[:, GAIT[group]].all(axis=1).mean() > 0.5 for group in LEG_GROUPS):
            return trial
        on_floor = replace(trial, belt_speed_m_s=0.0)
        state, frame = encode(on_floor)
        if state.values[:, GAIT["pelvis_velocity"][0]].mean() * frame.height_m > LEAST_SPEED_M_S:
            return on_floor
        known = state.known.copy()
        known[:, GAIT["pelvis_velocity"]] = False
        guess = replace(state, known=known)
        (values,) = self.completed_states(guess, num_samples=1, seed=seed)
        values[:, GAIT["pelvis_velocity"]] = state.values[:, GAIT["pelvis_velocity"]]
        motion = decode_motion(replace(state, values=values), frame, on_floor)
        pose = posed(trial.skeleton, motion.values)
        rate_hz = motion.sampling_rate_hz
        path = smoothed_path(
            foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m), sampling_rate_hz=rate_hz
        )
        speed = infer_belt_speed(path, heading_of(trial.skeleton, pose), sampling_rate_hz=rate_hz)
        return replace(trial, belt_speed_m_s=speed)


def _smoothed_median(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Of samples (N, T, C): a median goes from one sample to the next in small kinks, which would be forces."""
    cutoff_hz = min(MEDIAN_CUTOFF_HZ, 0.4 * rate_hz)
    return smooth(np.median(samples, axis=0), cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz)


def _joined(trial: Trial, drawn: np.ndarray, is_filled: np.ndarray) -> np.ndarray:
    """Coordinates (T, C): the drawn ones where to be filled, joined to what was observed."""
    motion = trial.motion
    values = np.where(is_filled, drawn, motion.values)
    for column in np.flatnonzero(is_filled.any(axis=0) & ~is_filled.all(axis=0)):
        values[:, column] = bridged(
            drawn[:, column],
            motion.values[:, column],
            is_known=~is_filled[:, column],
            sampling_rate_hz=motion.sampling_rate_hz,
        )
    return values


def _standing(
    trial: Trial,
    values: np.ndarray,
    frame: ModelFrame,
    is_filled: np.ndarray,
    *,
    force_n: np.ndarray,
    state: State,
) -> np.ndarray:
    """The same coordinates (T, C) with feet that stand where they carry load.

    Args:
        force_n: on each foot, as drawn with the motion, (T, 2, 3).
        state: what of it was known.
    """
    motion, skeleton = trial.motion, trial.skeleton
    has_place = state.known[:, GAIT["pelvis_height"]].any()
    standing = with_standing_feet(
        skeleton,
        skeleton.with_coupled_values(values),
        is_free=is_filled & is_filled.all(axis=0),  # the ends of a gap say more of it than what a foot should do
        load_bw=force_n[..., 1] / trial.subject.body_weight_n,
        sampling_rate_hz=motion.sampling_rate_hz,
        height_m=frame.height_m,
        belt_velocity_m_s=-frame.belt_speed_m_s * frame.heading,
        floor_m=None if has_place else frame.origin_m[1],
    )
    if not has_place and not state.known[:, GAIT["pelvis_velocity"]].any():
        # The path that feet give is right to millimetres, which is not enough for its acceleration.
        standing = with_carried_body(
            skeleton, standing, force_n=force_n.sum(axis=1), sampling_rate_hz=motion.sampling_rate_hz
        )
    return skeleton.with_coupled_values(standing)


def _on_one_turn(samples: np.ndarray, trial: Trial) -> np.ndarray:
    """Angles of all samples (N, T, C) within half a turn of the first's, on average: 350° is −10°."""
    is_angle = np.array([coordinate.is_rotational for coordinate in trial.skeleton.coordinates])
    turns = np.round((samples - samples[0]).mean(axis=1) / (2 * np.pi)) * is_angle
    return samples - 2 * np.pi * turns[:, None]


def _forces_n(values: np.ndarray, frame: ModelFrame, time_s: np.ndarray) -> np.ndarray:
    """That a state holds, in the ground frame, (T, 2, 3)."""
    force_n = frame.to_ground(values[:, FORCE_COLUMNS]) * frame.mass_kg
    return frame.at_times(force_n.reshape(len(values), -1), time_s).reshape(len(time_s), 2, 3)


def _interval(
    samples: np.ndarray, middle: np.ndarray, is_filled: np.ndarray, trial: Trial
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Of 90 % confidence, (T, C) each; none of a single sample."""
    if len(samples) < 2:
        return None, None
    spread = spread_between(samples, is_filled, sampling_rate_hz=trial.motion.sampling_rate_hz)
    half = np.where(is_filled, np.hypot(WIDTH * spread, constant_half_widths(trial.skeleton, is_filled)), 0.0)
    return middle - half, middle + half


def spread_between(samples: np.ndarray, is_filled: np.ndarray, *, sampling_rate_hz: float) -> np.ndarray:
    """Standard deviation between samples (N, T, C) where values were filled, smooth over time, (T, C)."""
    variance = np.where(is_filled, samples.var(axis=0, ddof=1), 0.0)
    smoothed, share = (
        smooth(values, cutoff_hz=min(SPREAD_CUTOFF_HZ, 0.4 * sampling_rate_hz), sampling_rate_hz=sampling_rate_hz)
        for values in (variance, is_filled.astype(float))
    )
    return np.sqrt(np.maximum(smoothed, 0.0) / np.maximum(share, LEAST_SHARE))


def constant_half_widths(skeleton: Skeleton, is_filled: np.ndarray) -> np.ndarray:
    """What intervals have besides the spread between samples, (C,)."""
    is_angle = np.array([coordinate.is_rotational for coordinate in skeleton.coordinates])
    widths = np.where(is_angle, LEAST_WIDTH_RAD, LEAST_WIDTH_M)
    groups = list(pelvis_columns(skeleton).items())
    for link in links(skeleton):
        joint = link.group if link.leg is None else link.leg.name
        groups.append(("subtalar" if joint == "ankle" else joint, chain_columns(skeleton, link.chain)))
        groups.append((joint, chain_columns(skeleton, link.chain[:1])))
    never_seen = set(np.flatnonzero(is_filled.all(axis=0)).tolist())
    for group, columns in groups:
        if group in CONSTANT_WIDTHS:
            widths[sorted(never_seen.intersection(columns))] = CONSTANT_WIDTHS[group]
    return widths


def _gap_warnings(trial: Trial) -> tuple[str, ...]:
    """Moments of which so little is known that the completion is a guess."""
    motion = trial.motion
    columns = [motion.coordinates.index(name) for name in completable_coordinates(trial.skeleton)]
    is_blind = np.logical_not(motion.observed[:, columns].any(axis=1))
    found = [
        (motion.time_s[start], motion.time_s[end - 1])
        for start, end in intervals(is_blind)
        if motion.time_s[end - 1] - motion.time_s[start] > LONGEST_GAP_S
    ]
    return tuple(
        f"Nothing was observed from {first:.2f} s to {last:.2f} s, about a stride or longer: the completion there is "
        "the model's idea of this gait. Look at its intervals."
        for first, last in found
    )
