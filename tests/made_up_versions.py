"""Versions of a gait without a generative model: the trunk bends more, or all goes faster; samples differ a little."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gaitdynamics.tasks.gait_versions import AS_RECORDED, GaitSample, GaitVersion
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.trial import Trial

NOISE_RAD = 0.01
COORDINATE = "lumbar_bending"
EXTRAPOLATED_ABOVE_M_S = 1.8


def bent(trial: Trial, factor: float) -> Motion:
    """The motion with the trunk's lateral bend multiplied."""
    column = trial.motion.coordinates.index(COORDINATE)
    values = trial.motion.values.copy()
    values[:, column] *= factor
    return replace(trial.motion, values=values)


def faster(trial: Trial, ratio: float) -> Motion:
    """The motion in less time, and with longer strides."""
    column = trial.motion.coordinates.index("pelvis_tx")
    values = trial.motion.values.copy()
    values[:, column] *= np.sqrt(ratio)
    return replace(trial.motion, values=values, time_s=trial.motion.time_s / np.sqrt(ratio))


@dataclass(frozen=True)
class MadeUpVersions:
    """Stands in for `modify_gait` and `change_speed`; remembers what it was asked for."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def modify_gait(
        self,
        trial: Trial,
        changes: Sequence[Any],
        *,
        doses: Sequence[float] | None,
        estimator: Any,
        completer: Any,
        num_samples: int,
        seed: int,
        method: str,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[GaitVersion, ...]:
        self.asked.append({"trial": trial, "changes": changes, "doses": doses, "method": method, "seed": seed})
        factors = [float(changes[0].amount)] if doses is None else doses
        versions = [self._version(trial, AS_RECORDED, 1.0, trial.motion, estimator, num_samples=0, seed=seed)]
        for k, factor in enumerate(factors):
            label = f"{changes[0].name}*{factor:g}"
            moved = bent(trial, factor)
            versions.append(self._version(trial, label, factor, moved, estimator, num_samples=num_samples, seed=seed))
            report(k + 1, len(factors))
        versions[-1] = replace(versions[-1], warnings=("This one is made up.",))
        return tuple(versions)

    def change_speed(
        self,
        trial: Trial,
        *,
        to_m_s: Sequence[float],
        activity: str | None,
        estimator: Any,
        response: Any,
        num_samples: int,
        seed: int,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[GaitVersion, ...]:
        self.asked.append({"trial": trial, "to_m_s": to_m_s, "activity": activity, "seed": seed})
        versions = [self._version(trial, AS_RECORDED, 1.3, trial.motion, estimator, num_samples=0, seed=seed)]
        for k, speed in enumerate(to_m_s):
            moved = faster(trial, speed / 1.3)
            one = self._version(trial, f"{speed:g} m/s", speed, moved, estimator, num_samples=num_samples, seed=seed)
            versions.append(replace(one, is_extrapolated=speed > EXTRAPOLATED_ABOVE_M_S))
            report(k + 1, len(to_m_s))
        return tuple(versions)

    def _version(
        self, trial: Trial, label: str, amount: float, motion: Motion, estimator: Any, *, num_samples: int, seed: int
    ) -> GaitVersion:
        moved = replace(trial, motion=motion)
        samples = []
        for k in range(num_samples):
            shift = NOISE_RAD * np.random.default_rng((seed, k)).standard_normal(len(motion.coordinates))
            shift[[c.name.startswith("pelvis") for c in trial.skeleton.coordinates]] = 0.0
            varied = replace(motion, values=trial.skeleton.with_coupled_values(motion.values + shift))
            samples.append(GaitSample(varied, estimator(replace(moved, motion=varied), seed=seed).forces))
        return GaitVersion(label, amount, moved, estimator(moved, seed=seed), tuple(samples))
