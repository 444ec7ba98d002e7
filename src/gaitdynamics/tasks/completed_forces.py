"""Forces of a motion of which something is missing: completed first, then estimated."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.state.codec import completed_columns
from gaitdynamics.state.physics_features import coordinates_of_groups
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.fill_motion import Completion, MotionCompleter
from gaitdynamics.types.prediction import ForceInterval, Prediction
from gaitdynamics.types.trial import Trial

# Of the standard deviation between the forces of the samples, added to the estimator's own interval; calibrated by
# benchmarks/completion_intervals.py.
FORCE_WIDTH = 1.5


def estimate_completed(
    trial: Trial,
    *,
    completer: MotionCompleter,
    estimator: Estimator,
    num_samples: int,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Prediction, Completion | None]:
    """Forces of the completed motion, with intervals that hold what completion leaves open.

    Args:
        trial: what was not observed of it is completed.
        completer: completes motions.
        estimator: gives the forces of the completed one.
        num_samples: of completions.
        seed: of their noise.
        report: told how many samples are done, of how many.

    Returns:
        The forces, and the completion; None where nothing is missing, and then the forces are the estimator's own.

    Raises:
        InvalidMotionError: nothing was observed, or no foot rests on the ground.
        InvalidModelError: the model lacks legs or feet.
    """
    if not completed_columns(trial).any():
        return estimator(trial, seed=seed), None
    completion = completer(trial, num_samples=num_samples, seed=seed, report=report)
    try:
        completed = completed_trial(trial, completion)
        prediction = estimator(completed, seed=seed)
    except InvalidMotionError as error:
        raise InvalidMotionError(
            f"the completed motion gives no forces: {error} Too little was observed for this gait, or what was "
            "observed is not what the model takes it for; look at the completed motion with 'gaitdynamics fill'."
        ) from None
    interval = prediction.interval
    if interval is not None and (completed.motion.observed & ~trial.motion.observed).any():
        extra_n = FORCE_WIDTH * completion.force_spread_n
        force_n = prediction.forces.force_n
        lower_n = force_n - np.hypot(force_n - interval.lower_n, extra_n)
        lower_n[..., 1] = np.maximum(lower_n[..., 1], 0.0)
        upper_n = force_n + np.hypot(interval.upper_n - force_n, extra_n)
        interval = ForceInterval(lower_n, upper_n, interval.coverage)
    prediction = replace(
        prediction,
        motion=completion.motion,
        warnings=(*completion.warnings, *prediction.warnings),
        provenance=prediction.provenance | {"completion": completion.provenance},
        interval=interval,
    )
    return prediction, completion


def needs_completion(trial: Trial) -> bool:
    """Whether `completed_trial` would take anything from a completion: more is missing than a trunk."""
    missing = completed_columns(trial)
    missing[:, _unmeasured_trunk(trial)] = False
    return bool(missing.any())


def completed_trial(trial: Trial, completion: Completion) -> Trial:
    """The trial with the completed motion, which estimators take for observed, but for a trunk that never was.

    Estimators know what to do without a trunk, and one that was made up misleads them: on validation people whose trunk
    was not measured it raised the fore-aft error from 0.7 to 1.1 % of body weight.
    """
    motion = completion.motion
    observed = motion.observed | completion.is_filled
    values = motion.values.copy()
    trunk = _unmeasured_trunk(trial)
    values[:, trunk], observed[:, trunk] = trial.motion.values[:, trunk], False
    motion = replace(motion, values=trial.skeleton.with_coupled_values(values), observed=observed)
    return replace(trial, motion=motion, belt_speed_m_s=completion.belt_speed_m_s)


def _unmeasured_trunk(trial: Trial) -> list[int]:
    """Columns of the trunk's coordinates that were never observed."""
    trunk = [trial.motion.coordinates.index(name) for name in coordinates_of_groups(trial.skeleton)["lumbar"]]
    return [column for column in trunk if not trial.motion.observed[:, column].any()]
