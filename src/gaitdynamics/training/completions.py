"""Ways to get forces from a motion with parts missing, each as one function of a trial: ours, and what it must beat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from gaitdynamics.errors import GaitDynamicsError, InputFileError
from gaitdynamics.io.study import StudyTrial
from gaitdynamics.model.published import PUBLISHED_KINDS
from gaitdynamics.state.codec import completed_columns, decode_motion, encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.completed_forces import estimate_completed
from gaitdynamics.tasks.estimators import Estimator, load_all, load_completer, load_estimator
from gaitdynamics.tasks.fill_motion import DEFAULT_SAMPLES, MotionCompleter
from gaitdynamics.tasks.published_completion import estimate_completing
from gaitdynamics.tasks.published_pipeline import PublishedModels
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial

BUNDLED = "starter_diffusion"  # completing weights
DIRECT, LINEAR, MEAN, MID_RANGE = "direct", "linear", "mean", "mid_range"
SIMPLE = {
    DIRECT: "the force estimator on the motion as it is, told what was not observed",
    LINEAR: "straight lines across gaps",
    MEAN: "the training people's mean of each channel, walking and running apart",
    MID_RANGE: "the middle of their range",
}
TRAIN = "train"


@dataclass(frozen=True)
class Completed:
    """What a method makes of a trial.

    Args:
        prediction: the forces.
        motion: completed; None from a method that completes nothing.
    """

    prediction: Prediction
    motion: Motion | None


class Method(Protocol):
    """Forces and a complete motion from a trial with parts missing; the same seed gives the same."""

    def __call__(self, trial: Trial, *, activity: str, seed: int = 0) -> Completed: ...


@dataclass(frozen=True)
class Filled:
    """The force estimator on a motion that a function has filled.

    Args:
        fill: from trial and activity to the trial with everything filled and marked as observed.
        estimator: of the forces.
    """

    fill: Callable[[Trial, str], Trial]
    estimator: Estimator

    def __call__(self, trial: Trial, *, activity: str, seed: int = 0) -> Completed:
        filled = self.fill(trial, activity)
        return Completed(self.estimator(filled, seed=seed), filled.motion)


@dataclass(frozen=True)
class Direct:
    """The force estimator on what there is."""

    estimator: Estimator

    def __call__(self, trial: Trial, *, activity: str, seed: int = 0) -> Completed:
        return Completed(self.estimator(trial, seed=seed), None)


@dataclass(frozen=True)
class Ours:
    """The bundled or a user's own completing model, as `gaitdynamics estimate` uses it."""

    completer: MotionCompleter
    estimator: Estimator

    def __call__(self, trial: Trial, *, activity: str, seed: int = 0) -> Completed:
        prediction, completion = estimate_completed(
            trial, completer=self.completer, estimator=self.estimator, num_samples=DEFAULT_SAMPLES, seed=seed
        )
        return Completed(prediction, trial.motion if completion is None else completion.motion)


@dataclass(frozen=True)
class Authors:
    """Tan et al. 2026: their diffusion model completes, their refinement network gives the forces."""

    models: PublishedModels

    def __call__(self, trial: Trial, *, activity: str, seed: int = 0) -> Completed:
        prediction = estimate_completing(trial, self.models, seed=seed)
        return Completed(prediction, prediction.motion)


def load_method(
    completion: str | None,
    *,
    weights: str,
    study_trials: Sequence[StudyTrial] = (),
    levels: Mapping[str, "ChannelLevels"] | None = None,
) -> Method:
    """The method of that name.

    Args:
        completion: one of SIMPLE, or name or folder of completing weights; None for the bundled ones, or the authors'
            own where `weights` are theirs.
        weights: of the force estimator, as `load_estimator` takes them.
        study_trials: whose training people the mean and the middle of the range are taken from.
        levels: of `channel_levels`, where they are at hand.

    Raises:
        InputFileError: no such method or weights, or the study has no training people.
    """
    if weights_are_authors(weights):
        if completion not in (None, weights):
            raise InputFileError(
                f"{weights}: the authors' weights complete a motion themselves, not by '{completion}'. Leave out "
                "--completion."
            )
        return Authors(PublishedModels.of(load_all(weights)))
    estimator = load_estimator(weights)
    if completion == DIRECT:
        return Direct(estimator)
    if completion == LINEAR:
        return Filled(lambda trial, activity: observed_throughout(trial), estimator)
    if completion in (MEAN, MID_RANGE):
        found = channel_levels(study_trials) if levels is None else levels
        by_activity = {
            activity: level.mean if completion == MEAN else level.mid_range for activity, level in found.items()
        }
        return Filled(_Constant(by_activity), estimator)
    return Ours(load_completer(completion or BUNDLED), estimator)


def weights_are_authors(weights: str) -> bool:
    """Whether they are of the authors' networks."""
    return weights != "physics" and {found.kind for found in load_all(weights)} <= set(PUBLISHED_KINDS)


def observed_throughout(trial: Trial) -> Trial:
    """The trial, everything in it taken as observed."""
    return replace(trial, motion=replace(trial.motion, observed=np.ones_like(trial.motion.observed)))


def filled_with(trial: Trial, channels: np.ndarray) -> Trial:
    """The trial with a constant in every channel where a group was not observed; observed values as they are.

    Args:
        channels: of the layout GAIT, (D,).
    """
    without_forces = replace(trial, forces=None)
    state, frame = encode(without_forces)
    values = np.where(state.known, state.values, channels)
    moved = decode_motion(replace(state, values=values), frame, without_forces)
    filled = trial.skeleton.with_coupled_values(np.where(completed_columns(trial), moved.values, trial.motion.values))
    return observed_throughout(replace(trial, motion=replace(trial.motion, values=filled)))


@dataclass(frozen=True)
class ChannelLevels:
    """Of each channel of the layout GAIT over training people, (D,)."""

    mean: np.ndarray
    mid_range: np.ndarray


def channel_levels(study_trials: Sequence[StudyTrial]) -> dict[str, ChannelLevels]:
    """Mean (people count alike) and middle of the range over a study's training people, by activity.

    Raises:
        InputFileError: the study has no training people.
    """
    by_person: dict[str, dict[str, list[np.ndarray]]] = {}
    for study_trial in study_trials:
        if study_trial.split != TRAIN:
            continue
        try:
            state, _ = encode(replace(load_trial(study_trial), forces=None))
        except GaitDynamicsError:
            continue  # what can't be read says nothing of the mean; evaluating names it where it matters
        rows = np.where(state.known, state.values, np.nan)
        by_person.setdefault(study_trial.activity, {}).setdefault(study_trial.group, []).append(rows)
    if not by_person:
        raise InputFileError(
            f"the study has nobody in the split '{TRAIN}', from whom the mean and the range of each channel could be "
            "taken. Give the whole study, or another --completion."
        )
    return {
        activity: _levels([np.concatenate(rows) for rows in people.values()]) for activity, people in by_person.items()
    }


def _levels(people: Sequence[np.ndarray]) -> ChannelLevels:
    counts = np.array([np.isfinite(rows).sum(axis=0) for rows in people])
    means = np.array([np.nansum(rows, axis=0) for rows in people]) / np.maximum(counts, 1)
    lowest = np.array([np.where(np.isfinite(rows), rows, np.inf).min(axis=0) for rows in people]).min(axis=0)
    highest = np.array([np.where(np.isfinite(rows), rows, -np.inf).max(axis=0) for rows in people]).max(axis=0)
    is_known = counts > 0
    mean = np.where(is_known, means, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    is_ever_known = is_known.any(axis=0)
    middle = np.zeros(len(GAIT))
    middle[is_ever_known] = (lowest[is_ever_known] + highest[is_ever_known]) / 2
    return ChannelLevels(mean, middle)


@dataclass(frozen=True)
class _Constant:
    by_activity: Mapping[str, np.ndarray]

    def __call__(self, trial: Trial, activity: str) -> Trial:
        channels = self.by_activity.get(activity)
        if channels is None:
            raise InputFileError(f"{trial.name}: nobody among the training people does '{activity}'.")
        return filled_with(trial, channels)
