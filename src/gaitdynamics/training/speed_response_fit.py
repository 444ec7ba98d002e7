"""From a data folder to the response of gait to speed: every training person who was recorded at several speeds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaitdynamics import __version__
from gaitdynamics.biomech.stride_phase import RUN, WALK, stride_phase
from gaitdynamics.errors import TrainingError
from gaitdynamics.model.checkpoint import save_weights
from gaitdynamics.model.speed_response import (
    FORCE_GROUPS,
    KIND,
    LIKENESS_RIDGE,
    ActivityResponse,
    Person,
    mean_stride,
    response_tensors,
)
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import GAIT, PHYSICS
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.shards import Recording, Shards
from gaitdynamics.units import SIDE_NAMES

NAME = "starter_speed"
TRAIN = "train"
CONTACT_N_PER_KG = 0.3  # 20 N of a person of 70 kg
LEAST_LOG_SPEED_STEP = 0.15  # between recordings that count as of two speeds: less is how people vary at one
LEAST_VALID_SHARE = 0.9  # of the frames: more of them, and the force plate says when feet are down
LEAST_PEOPLE = 5
LICENCE = "MIT, the weights; the data they were made of have licences of their own"


@dataclass(frozen=True)
class RecordedStride:
    """The mean stride of one recording.

    Args:
        log_speed: logarithm of the speed in metres per second.
        values: NaN in channels that are not known, (NUM_POINTS, D).
        scalars: logarithm of the stride's duration, contact share.
    """

    recording: Recording
    log_speed: float
    values: np.ndarray
    scalars: np.ndarray


def fit_speed_response(
    data: Path, out: Path, *, overwrite: bool = False, ridge: dict[str, float] | None = None
) -> dict[str, Any]:
    """Make the weights of `gaitdynamics speed` from training people of a data folder.

    Args:
        data: folder that `gaitdynamics data build` wrote.
        out: folder for the weights.
        overwrite: replace weights that are there.
        ridge: by activity, instead of `LIKENESS_RIDGE`.

    Returns:
        What was used, by activity.

    Raises:
        GaitDynamicsError: the folder can't be read, or too few people were recorded at two speeds.
    """
    shards = Shards.open(data)
    shards.check_blocks({GAIT.name: GAIT.names, PHYSICS.name: PHYSICS.names, VALID: (VALID,)})
    strides = recorded_strides(shards)
    responses = responses_of(strides, ridge=ridge or LIKENESS_RIDGE)
    if not responses:
        raise TrainingError(
            f"{data}: fewer than {LEAST_PEOPLE} training people were recorded at two speeds, walking or running. "
            "Build a folder of a study with several speeds a person."
        )
    about = {
        activity: {
            "speeds_m_s": list(response.speeds_m_s),
            "ridge": response.ridge,
            "num_people": len(response.people),
        }
        for activity, response in responses.items()
    }
    save_weights(
        out,
        kind=KIND,
        tensors={
            f"{activity}.{key}": torch.from_numpy(values.astype(np.float32))
            for activity, response in responses.items()
            for key, values in response_tensors(response).items()
        },
        layout=GAIT.to_json(),
        config={"activities": about},
        normalizer=None,
        provenance={
            "recipe": NAME,
            "data_fingerprint": shards.fingerprint,
            "people": {
                activity: sorted(people) for activity, people in _by_person(strides).items() if activity in responses
            },
            "version": __version__,
        },
        licence=LICENCE,
        overwrite=overwrite,
    )
    return about


def recorded_strides(shards: Shards, *, split: str = TRAIN) -> list[RecordedStride]:
    """The mean stride of every recording of a split, as measured, that has a whole stride."""
    found = []
    for number, recording in enumerate(shards.recordings):
        if recording.variant != 0 or recording.split != split or recording.notes:
            continue
        if recording.activity in (WALK, RUN):
            stride = _recorded_stride(shards, number)
            if stride is not None:
                found.append(stride)
    return found


def responses_of(strides: Sequence[RecordedStride], *, ridge: dict[str, float]) -> dict[str, ActivityResponse]:
    """How people changed with speed, by activity; activities of few people are left out."""
    result = {}
    for activity, groups in _by_person(strides).items():
        people = [_person(groups[group]) for group in sorted(groups)]
        if len(people) >= LEAST_PEOPLE:
            ends = np.array([person.log_speeds[[0, -1]] for person in people])
            speeds = (float(np.exp(ends[:, 0].min())), float(np.exp(ends[:, 1].max())))
            result[activity] = ActivityResponse(tuple(people), speeds, ridge[activity])
    return result


def _by_person(strides: Sequence[RecordedStride]) -> dict[str, dict[str, list[RecordedStride]]]:
    """By activity and person; those whose recordings are all of one speed are left out."""
    found: dict[str, dict[str, list[RecordedStride]]] = {WALK: defaultdict(list), RUN: defaultdict(list)}
    for stride in strides:
        found[str(stride.recording.activity)][stride.recording.group].append(stride)
    return {
        activity: {group: own for group, own in groups.items() if len(_levels(own)) > 1}
        for activity, groups in found.items()
    }


def _recorded_stride(shards: Shards, number: int) -> RecordedStride | None:
    recording = shards.recordings[number]
    gait, physics, valid = (
        np.asarray(shards.rows(block, number), dtype=np.float64) for block in (GAIT.name, PHYSICS.name, VALID)
    )
    if recording.speed_m_s is None or recording.speed_m_s <= 0.0:
        return None
    is_valid = valid[:, 0] > 0.5
    if is_valid.mean() > LEAST_VALID_SHARE:
        is_down = np.stack([gait[:, GAIT[f"force_{side}_y"][0]] > CONTACT_N_PER_KG for side in SIDE_NAMES], axis=1)
    else:
        is_down = np.stack([physics[:, PHYSICS[f"down_{side}"][0]] > 0.5 for side in SIDE_NAMES], axis=1)
    clock = stride_phase(is_down, sampling_rate_hz=FRAME_RATE_HZ)
    if clock is None:
        return None
    forward = GAIT["pelvis_velocity"][0]
    gait[:, forward] -= gait[:, forward].mean()
    is_known = np.ones(gait.shape, dtype=bool)
    is_known[:, GAIT.columns(FORCE_GROUPS)] = is_valid[:, None]
    for group, observed in OBSERVED.items():
        is_known[:, GAIT[group]] = physics[:, PHYSICS[f"observed_{observed}"]].mean() > 0.5
    values = mean_stride(gait, clock.on_reference(str(recording.activity)), is_known=is_known)
    scalars = np.array([np.log(clock.stride_s), clock.contact_share])
    return RecordedStride(recording, float(np.log(recording.speed_m_s)), values, scalars)


OBSERVED = {
    "pelvis_velocity": "pelvis_translation",
    "pelvis_height": "pelvis_translation",
    "pelvis_rotation": "pelvis_orientation",
    "lumbar": "lumbar",
    **{f"{joint}_{side}": f"{joint}_{side}" for joint in ("hip", "knee", "ankle") for side in SIDE_NAMES},
}


def _levels(strides: Sequence[RecordedStride]) -> list[list[RecordedStride]]:
    """One person's recordings by speed; those of nearly the same speed together."""
    levels: list[list[RecordedStride]] = []
    for stride in sorted(strides, key=lambda stride: stride.log_speed):
        if not levels or stride.log_speed - levels[-1][0].log_speed > LEAST_LOG_SPEED_STEP:
            levels.append([])
        levels[-1].append(stride)
    return levels


def _person(strides: Sequence[RecordedStride]) -> Person:
    """One whose recordings are of two speeds or more; those of nearly the same speed are averaged."""
    levels = _levels(strides)
    values = np.stack([np.mean([stride.values for stride in level], axis=0) for level in levels])
    known = np.isfinite(values).all(axis=(0, 1))
    return Person(
        log_speeds=np.array([np.mean([stride.log_speed for stride in level]) for level in levels]),
        values=np.where(known, values, 0.0),
        scalars=np.stack([np.mean([stride.scalars for stride in level], axis=0) for level in levels]),
        known=known,
    )
