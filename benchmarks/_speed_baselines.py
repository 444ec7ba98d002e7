"""Simpler ways to another speed, and the generative model's: what the response to speed must beat."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from gaitdynamics.model.diffusion import Conditions, GaitDiffusion, TrialDenoiser
from gaitdynamics.model.sampler import multistep, noise_levels
from gaitdynamics.model.speed_response import ActivityResponse
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.draw_gait import NOISE_RANGE, NUM_STEPS, RUN
from gaitdynamics.tasks.estimators import load_completer
from gaitdynamics.tasks.generate_gait import gait_of_state
from gaitdynamics.tasks.recorded_gait import RecordedGait
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import DEGREES_PER_RADIAN, STANDARD_GRAVITY_M_S2


def average_parameters(people: ActivityResponse, speed_m_s: float) -> dict[str, float | None]:
    """Of the training people's mean stride at a speed."""
    stride = people.average(speed_m_s)
    duration_s = float(np.exp(stride.log_stride_s))
    force_bw = {axis: stride.values[:, GAIT[f"force_right_{axis}"][0]] / STANDARD_GRAVITY_M_S2 for axis in "xy"}
    found: dict[str, float | None] = {
        "stride_length_m": speed_m_s * duration_s,
        "cadence_steps_per_min": 120.0 / duration_s,
        "contact_time_s": stride.contact_share * duration_s,
        "peak_vertical_bw": float(force_bw["y"].max()),
        "peak_propulsive_bw": float(force_bw["x"].max()),
        "peak_braking_bw": float(-force_bw["x"].min()),
    }
    for joint in ("hip", "knee", "ankle"):
        angle = stride.values[:, GAIT[f"{joint}_right_flexion"][0]] * DEGREES_PER_RADIAN
        found[f"{joint}_flexion_max_deg"] = float(angle.max())
        found[f"{joint}_flexion_min_deg"] = float(angle.min())
    return found


def time_scaled(recorded: RecordedGait, speed_m_s: float) -> Trial:
    """The same motion in less time, or in more."""
    trial, motion, ratio = recorded.trial, recorded.trial.motion, recorded.speed_m_s / speed_m_s
    belt_speed_m_s = recorded.frame.belt_speed_m_s / ratio
    time_s = motion.time_s[0] + (motion.time_s - motion.time_s[0]) * ratio
    return replace(trial, motion=replace(motion, time_s=time_s), belt_speed_m_s=belt_speed_m_s)


def redrawn(recorded: RecordedGait, speed_m_s: float, *, noise_level: float, seed: int = 0) -> Trial:
    """Noise on the recorded state, taken away again by the diffusion model that is told the new speed.

    Meng et al. 2022 (arXiv 2108.01073). The result is finished as generated gaits are.

    Args:
        noise_level: standard deviation, of normalised channels.
    """
    model, subject = _diffusion(), recorded.trial.subject
    own = torch.from_numpy(model.normalizer.apply(recorded.state.values)).float()[None]
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal(own.shape)).float()
    wanted = np.zeros((1, len(GAIT)))
    columns = GAIT["pelvis_velocity"]
    wanted[0, columns] = speed_m_s / subject.height_m, 0.0
    velocity = torch.from_numpy(model.normalizer.apply(wanted)[0, columns]).float()

    def at_speed(clean: torch.Tensor) -> torch.Tensor:
        clean = clean.clone()
        clean[..., columns] += velocity - clean[..., columns].mean(dim=1, keepdim=True)
        return clean

    bmi = subject.mass_kg / subject.height_m**2
    nothing = torch.zeros(own.shape)
    values = multistep(
        TrialDenoiser(model, Conditions(speed_m_s, subject.height_m, bmi, recorded.activity == RUN)),
        nothing,
        nothing,
        levels=noise_levels(NUM_STEPS, lowest=NOISE_RANGE[0], highest=noise_level),
        noise=drawn + own / noise_level,
        consistent=at_speed,
    )
    state = model.normalizer.undo(values[0].numpy()).astype(np.float64)
    return gait_of_state(state, recorded.trial.skeleton, subject, name=recorded.trial.name)


@cache
def _diffusion() -> GaitDiffusion:
    return load_completer("starter_diffusion").model
