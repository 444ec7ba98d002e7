"""Completes motions without a network: what is missing swings about what it is, a little more in every sample."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from gaitdynamics.state.codec import completed_columns
from gaitdynamics.tasks.fill_motion import Completion
from gaitdynamics.types.trial import Trial

SWING_RAD, SPREAD_RAD, HALF_WIDTH = 0.02, 0.001, 0.01


@dataclass(frozen=True)
class MovedCompleter:
    """Stands in for `MotionCompleter`; remembers the trials that it was given."""

    truth: np.ndarray | None = None
    trials: list[Trial] = field(default_factory=list)

    def __call__(
        self,
        trial: Trial,
        *,
        num_samples: int = 1,
        seed: int = 0,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> Completion:
        self.trials.append(trial)
        motion = trial.motion
        is_filled = completed_columns(trial)
        base = motion.values if self.truth is None else self.truth
        swing = SWING_RAD * np.sin(7.0 * motion.time_s + seed)[:, None]
        samples = []
        for k in range(num_samples):
            samples.append(np.where(is_filled, base + swing + SPREAD_RAD * k, motion.values))
            report(k + 1, num_samples)
        values = trial.skeleton.with_coupled_values(np.median(samples, axis=0))
        half = np.where(is_filled, HALF_WIDTH, 0.0)
        return Completion(
            motion=replace(motion, values=values),
            is_filled=is_filled,
            samples=np.stack(samples),
            lower=None if num_samples == 1 else values - half,
            upper=None if num_samples == 1 else values + half,
            force_spread_n=np.zeros((len(values), 2, 3)),
            belt_speed_m_s=trial.belt_speed_m_s,
            warnings=("The completion is made up.",),
            provenance={"weights": "moved", "samples": num_samples, "seed": seed},
        )
