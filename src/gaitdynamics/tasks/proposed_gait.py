"""What the model of gait would do with a change, before anybody asks whether the body balances."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from gaitdynamics.biomech.balanced_change import DYNAMICS_CUTOFF_HZ
from gaitdynamics.maths.signals import smooth
from gaitdynamics.model.diffusion import WINDOW_FRAMES, Conditions, GaitDiffusion, TrialDenoiser
from gaitdynamics.model.published_sampling import Guidance, betas, sample
from gaitdynamics.model.sampler import multistep, noise_levels
from gaitdynamics.state.codec import State, decode_forces, decode_motion, encode
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import GAIT
from gaitdynamics.state.windows import cut, merge
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

# Noise on the recorded gait, in standard deviations: what it drowns may change, so that the gait stays the person's.
NOISE_LEVEL, LOWEST_LEVEL = 1.0, 0.05
NUM_STEPS = 4
NUM_DRAWS = 2  # what differs between two draws with the same noise is a hundredth of a degree
FORCES = tuple(f"{what}_{side}" for side in SIDE_NAMES for what in ("force", "pressure", "free_moment"))
KINEMATICS = tuple(group for group in GAIT.groups if group not in FORCES)
UNCHANGING = 1e-9
DEAD_BAND = 0.1  # of the range of each channel (Tan et al. 2026)


def proposed_values(
    trial: Trial, wanted: np.ndarray, *, belt_speed_m_s: float | None = None, model: GaitDiffusion, seed: int
) -> np.ndarray:
    """Coordinates (T, C) in which what was not asked for has moved as the model of gait has it move.

    The recorded gait is made noisy and denoised twice with the same noise: once knowing the changed joints as changed,
    once as recorded (a noisy image that is edited: Meng et al. 2022, arXiv 2108.01073). The smoothed difference is
    added.

    Args:
        trial: as recorded, with its forces.
        wanted: its coordinates with the change in them, (T, C).
        belt_speed_m_s: that goes with them; the trial's where it is not given.
        model: of gait.
        seed: of the noise.
    """
    belt_m_s = trial.belt_speed_m_s if belt_speed_m_s is None else belt_speed_m_s
    moved = replace(trial, motion=replace(trial.motion, values=wanted), belt_speed_m_s=belt_m_s)
    recorded, _ = encode(trial)
    changed, frame = encode(moved)
    groups = _changed_groups(recorded, changed)
    if not groups:
        return wanted
    known = GAIT.columns(groups)
    target = recorded.values.copy()
    target[:, known] = changed.values[:, known]
    drawn = _edited(np.stack([recorded.values, target]), known, model=model, seed=seed)
    free = [group for group in KINEMATICS if group not in groups and recorded.known[:, GAIT[group]].all()]
    columns = GAIT.columns(free)
    values = changed.values.copy()
    # What a body could not do that fast, feet could not make up for.
    step = smooth(drawn[1] - drawn[0], cutoff_hz=DYNAMICS_CUTOFF_HZ, sampling_rate_hz=FRAME_RATE_HZ)
    values[:, columns] += step[:, columns]
    return decode_motion(State(GAIT, values, recorded.known, recorded.time_s), frame, moved, groups=free).values


@dataclass(frozen=True)
class GuidedGait:
    """A motion and its forces as a model of gait draws them.

    Args:
        values: coordinates, (T, C).
        forces: at the same times.
    """

    values: np.ndarray
    forces: GroundReaction


def guided_gait(trial: Trial, wanted: np.ndarray, *, model: GaitDiffusion, seed: int) -> GuidedGait:
    """A gait drawn near to a wanted one, as in Tan et al. 2026: guidance that leaves each channel a dead band.

    Nothing is known to the network; five gradient steps before each of fifty denoising steps draw joint angles and
    pelvis towards the wanted ones, and forces are drawn along.

    Args:
        trial: as recorded, with its forces.
        wanted: its coordinates with the change in them, (T, C).
        model: of gait; ours, steered as the authors steer theirs.
        seed: of the noise.
    """
    moved = replace(trial, motion=replace(trial.motion, values=wanted))
    state, frame = encode(moved)
    values = model.normalizer.apply(state.values)
    windows = cut(values, length=WINDOW_FRAMES, stride=WINDOW_FRAMES // 2)
    wanted_values = torch.from_numpy(windows.values).float()
    is_guided = np.zeros(len(GAIT))
    is_guided[GAIT.columns(KINEMATICS)] = 1.0
    weight = torch.from_numpy(windows.present[..., None] * is_guided).float()
    guidance = Guidance(
        value=wanted_values,
        dead_band=torch.from_numpy(DEAD_BAND * np.ptp(values, axis=0)).float(),
        weight=weight,
    )
    rng = np.random.default_rng(seed)
    nothing = torch.zeros_like(wanted_values)
    drawn = sample(
        _steps_of(model, torch.from_numpy(windows.present)),
        nothing,
        nothing,
        draw_noise=lambda: torch.from_numpy(rng.standard_normal(nothing.shape)).float(),
        guidance=guidance,
    )
    merged = model.normalizer.undo(merge(drawn.numpy(), windows)).astype(np.float64)
    found = State(GAIT, merged, np.ones_like(state.known), state.time_s)
    motion = decode_motion(found, frame, moved, groups=KINEMATICS)
    return GuidedGait(motion.values, decode_forces(found, frame, replace(moved, motion=motion)))


def _steps_of(model: GaitDiffusion, present: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Our network with the authors' clock: noisy windows are scaled down there so that their variance stays one."""
    remaining = np.cumprod(1.0 - betas())
    conditions = torch.from_numpy(Conditions().encoded())

    def denoise(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        signal = float(np.sqrt(remaining[int(at[0])]))
        sigma = float(np.sqrt(1.0 - signal**2)) / signal
        nothing = torch.zeros_like(x)
        return model(
            x / signal,
            x.new_full((len(x),), sigma),
            nothing,
            nothing,
            conditions=conditions.expand(len(x), -1),
            present=present,
        )

    return denoise


def _changed_groups(recorded: State, changed: State) -> tuple[str, ...]:
    return tuple(
        group
        for group in KINEMATICS
        if np.abs(changed.values[:, GAIT[group]] - recorded.values[:, GAIT[group]]).max() > UNCHANGING
    )


def _edited(targets: np.ndarray, known: np.ndarray, *, model: GaitDiffusion, seed: int) -> np.ndarray:
    """The first of the targets (K, T, D), made noisy and denoised knowing some columns of each, (K, T, D)."""
    normalizer = model.normalizer
    normalised = torch.from_numpy(normalizer.apply(targets)).float()
    mask = torch.zeros_like(normalised)
    mask[..., known] = 1.0
    rng = np.random.default_rng(seed)
    noise = torch.from_numpy(rng.standard_normal((NUM_DRAWS, *targets.shape[1:]))).float()
    start = (normalised[0] / NOISE_LEVEL + noise).repeat(len(targets), 1, 1)
    each = normalised.repeat_interleave(NUM_DRAWS, dim=0)
    mask = mask.repeat_interleave(NUM_DRAWS, dim=0)
    drawn = multistep(
        TrialDenoiser(model, Conditions()),
        each * mask,
        mask,
        levels=noise_levels(NUM_STEPS, lowest=LOWEST_LEVEL, highest=NOISE_LEVEL),
        noise=start,
    )
    means = drawn.reshape(len(targets), NUM_DRAWS, *drawn.shape[1:]).mean(dim=1)
    return normalizer.undo(means.numpy()).astype(np.float64)
