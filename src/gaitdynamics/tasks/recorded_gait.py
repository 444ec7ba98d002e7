"""What a recording tells of how a person walks or runs: strides, forces, speed."""

from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.stride_phase import RUN, WALK, StridePhase, stride_phase
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import intervals
from gaitdynamics.model.speed_response import MeanStride, mean_stride
from gaitdynamics.state.codec import State, encode
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, STANDARD_GRAVITY_M_S2

LEAST_PEAK_BW = 0.3  # of a stance
LEAST_SPEED_M_S = 0.2
FORWARD, SIDEWAYS = GAIT["pelvis_velocity"]
FORCE_COLUMNS = np.stack([GAIT[f"force_{side}"] for side in SIDE_NAMES])
NEEDED = ("pelvis_velocity", "pelvis_height", "pelvis_rotation", *(f"hip_{side}" for side in SIDE_NAMES))


@dataclass(frozen=True)
class RecordedGait:
    """What there is to go by.

    Args:
        trial: without measured forces, the belt's speed known.
        prediction: its forces.
        state: with these forces.
        frame: of the trial.
        clock: of its strides.
        activity: walk or run.
        speed_m_s: over the ground, on average.
        stride: the mean of its strides.
    """

    trial: Trial
    prediction: Prediction
    state: State
    frame: ModelFrame
    clock: StridePhase
    activity: str
    speed_m_s: float
    stride: MeanStride


def recorded_gait(trial: Trial, *, estimator: Estimator, seed: int = 0) -> RecordedGait:
    """Strides, forces and speed of a recording.

    Args:
        trial: its measured forces are not looked at.
        estimator: of forces.
        seed: of the estimator.

    Raises:
        InvalidMotionError: standing, no whole stride, or pelvis or hips not observed.
        InvalidModelError: the model lacks legs or feet.
    """
    trial = replace(trial, forces=None)
    prediction = estimator(trial, seed=seed)
    trial = replace(trial, belt_speed_m_s=prediction.belt_speed_m_s)
    state, frame = encode(replace(trial, forces=prediction.forces))
    for group in NEEDED:
        if not state.known[:, GAIT[group]].all():
            raise InvalidMotionError(
                f"{trial.name}: {group.replace('_', ' ')} was not observed throughout, so strides and speed are "
                "unknown. Complete the motion first, with 'gaitdynamics fill'."
            )
    speed_m_s = float(state.values[:, FORWARD].mean()) * frame.height_m
    clock = stride_phase(_stances(state.values[:, FORCE_COLUMNS[:, 1]], frame.mass_kg), sampling_rate_hz=FRAME_RATE_HZ)
    if clock is None or speed_m_s < LEAST_SPEED_M_S:
        duration_s = (frame.num_frames - 1) / FRAME_RATE_HZ
        raise InvalidMotionError(
            f"{trial.name}: no complete stride in {duration_s:.3g} s at {speed_m_s:.2f} m/s. Expected somebody who "
            "walks or runs forward, from one foot strike to the next of the same foot, and the other foot's between. "
            "Give a longer recording; check --belt-speed."
        )
    activity = _activity(state, clock)
    values = state.values.copy()
    values[:, FORWARD] -= values[:, FORWARD].mean()
    mean = np.nan_to_num(mean_stride(values, clock.on_reference(activity)))
    stride = MeanStride(mean, float(np.log(clock.stride_s)), clock.contact_share)
    return RecordedGait(trial, prediction, state, frame, clock, activity, speed_m_s, stride)


def _stances(vertical_n_per_kg: np.ndarray, mass_kg: float) -> np.ndarray:
    """Feet on the ground, (T, 2): presses that hardly carry are none, such as those of a foot that leaves twice."""
    is_down = vertical_n_per_kg * mass_kg > CONTACT_FORCE_N
    for foot in range(2):
        for start, end in intervals(is_down[:, foot]):
            if vertical_n_per_kg[start:end, foot].max() < LEAST_PEAK_BW * STANDARD_GRAVITY_M_S2:
                is_down[start:end, foot] = False
    return is_down


def _activity(state: State, clock: StridePhase) -> str:
    """Who walks vaults over the standing leg, who runs sinks on it: flight is hard to tell in a slow run."""
    about_mid_stance = 4 * np.pi * (clock.phase - clock.contact_share / 2)
    height = state.values[:, GAIT["pelvis_height"][0]]
    return WALK if ((height - height.mean()) * np.cos(about_mid_stance)).sum() > 0.0 else RUN
