"""A recording beside what its motion asks for: lag of the force, level of the force, all at the same times."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gaitdynamics.biomech.events import stances
from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import InputFileError
from gaitdynamics.io.study import Interval
from gaitdynamics.maths.signals import derivative, even_times, interpolate
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

WORKING_RATE_HZ = (100.0, 200.0)  # of the physics, as in estimates
LONGEST_LAG_S = 0.06  # looked for; recordings by one clock, filtered alike, are within half of it
LAG_STEP_S = 0.001
LEAST_LAG_TIME_S = 0.4  # of valid force, for a lag to be told: most of a stance
LEAST_LAG_CHANGE_BW = 0.05  # standard deviation of a vertical force; a person who stands has no lag
LONGEST_STRIDE_S = 2.5
RUN, WALK = "run", "walk"  # activities, as studies name them


@dataclass(frozen=True)
class Level:
    """Mean vertical force over whole strides.

    Args:
        body_weights: 1 but for plates and mass.
        num_strides: it is taken over.
    """

    body_weights: float
    num_strides: int


@dataclass(frozen=True)
class Evidence:
    """A recording with all that the rules look at, brought to the measured forces' times; T frames, feet right, left.

    What comes from the motion is taken `lag_s` earlier, so that it belongs to the force beside it.

    Args:
        trial: with measured forces.
        suspect_s: where the study does not trust its motion, by the motion's clock.
        is_stated: where the study says that every foot on the ground is on a plate, (T,).
        is_valid: and where the force of both feet is there, while the motion lasts, (T,).
        total_lag_s: by which the measured total force comes later than the motion asks for; None if it can't be told.
        contact_lag_s: by which each foot's measured force comes later than the motion's contacts say; None likewise.
        total_n: measured, of both feet, (T, 3).
        expected_n: what the motion asks for by Newton–Euler, (T, 3).
        is_down: feet on the ground, by the motion, (T, 2).
        feet_m: heel and toe joint, (T, 2, 2, 3).
        speed_m_s: of the person over the ground.
        turn_rad: between the furthest directions that the person goes in.
        is_running: by the motion.
    """

    trial: Trial
    suspect_s: tuple[Interval, ...]
    is_stated: np.ndarray
    is_valid: np.ndarray
    total_lag_s: float | None
    contact_lag_s: float | None
    total_n: np.ndarray
    expected_n: np.ndarray
    is_down: np.ndarray
    feet_m: np.ndarray
    speed_m_s: float
    turn_rad: float
    is_running: bool

    @property
    def lag_s(self) -> float:
        """The lag that total force and contacts agree upon."""
        return agreed(self.total_lag_s, self.contact_lag_s)

    @property
    def forces(self) -> GroundReaction:
        """Measured, as recorded."""
        return forces_of(self.trial)

    @property
    def vertical_bw(self) -> np.ndarray:
        """Measured vertical force of each foot, (T, 2)."""
        return self.forces.force_n[:, :, 1] / self.trial.subject.body_weight_n


def forces_of(trial: Trial) -> GroundReaction:
    """The measured forces of a trial.

    Raises:
        InputFileError: it has none.
    """
    if trial.forces is None:
        raise InputFileError(f"{trial.name}: no measured forces. Training needs them.")
    return trial.forces


def agreed(total_lag_s: float | None, contact_lag_s: float | None) -> float:
    """The part of a lag that total force and contacts agree upon, s; 0 where they contradict, or one can't be told.

    A clock that runs late delays both. A total force alone that comes late is a matter of the model's masses, and
    contacts alone of its feet.
    """
    if total_lag_s is None or contact_lag_s is None or total_lag_s * contact_lag_s <= 0:
        return 0.0
    return min(total_lag_s, contact_lag_s, key=abs)


def examine(trial: Trial, valid_s: Sequence[Interval], *, suspect_s: Sequence[Interval] = ()) -> Evidence:
    """Work out what the rules look at.

    Args:
        trial: with measured forces.
        valid_s: where the study says that every foot on the ground is on a plate, by the forces' clock.
        suspect_s: where the study does not trust its motion.

    Raises:
        GaitDynamicsError: no measured forces, or a motion that physics can't work on.
    """
    forces, motion = forces_of(trial), trial.motion
    times = even_times(motion.time_s, min_rate_hz=WORKING_RATE_HZ[0], max_rate_hz=WORKING_RATE_HZ[1])
    physics = physics_of(trial, times)
    time_s = forces.time_s
    is_stated = within(time_s, valid_s) & (time_s >= motion.time_s[0]) & (time_s <= motion.time_s[-1])
    is_valid = is_stated & forces.valid.all(axis=1)
    force_n = np.where(is_valid[:, None, None], forces.force_n, 0.0)
    vertical_bw = force_n[is_valid][..., 1] / trial.subject.body_weight_n
    expected_bw = physics.force_n[..., 1] / trial.subject.body_weight_n
    total_lag_s = lag_between(
        vertical_bw.sum(axis=1, keepdims=True), time_s[is_valid], expected_bw.sum(axis=1, keepdims=True), times
    )
    contact_lag_s = lag_between(vertical_bw, time_s[is_valid], expected_bw, times)
    motion_time_s = time_s - agreed(total_lag_s, contact_lag_s)
    velocity = derivative(physics.body.com_m, sampling_rate_hz=physics.sampling_rate_hz)
    heading = physics.heading
    return Evidence(
        trial=trial,
        suspect_s=tuple(suspect_s),
        is_stated=is_stated,
        is_valid=is_valid,
        total_lag_s=total_lag_s,
        contact_lag_s=contact_lag_s,
        total_n=force_n.sum(axis=1),
        expected_n=interpolate(physics.body.force_n, times, motion_time_s),
        is_down=interpolate(physics.contact.is_down.astype(float), times, motion_time_s) > 0.5,
        feet_m=interpolate(physics.path.points_m, times, motion_time_s),
        speed_m_s=float((velocity * heading).sum(axis=1).mean()) + physics.belt_speed_m_s,
        turn_rad=float(np.ptp(np.unwrap(np.arctan2(-heading[:, 2], heading[:, 0])))),
        is_running=physics.contact.is_running,
    )


def lag_between(
    measured_bw: np.ndarray, measured_time_s: np.ndarray, expected_bw: np.ndarray, expected_time_s: np.ndarray
) -> float | None:
    """By how much measured forces come later than the ones that a motion asks for, s.

    The shift that leaves the least variance of the difference, so that neither a wrong mass nor a plate's scale
    counts; between steps of the search by a parabola.

    Args:
        measured_bw: body weights, where they are valid, (N, K).
        measured_time_s: of those frames, (N,).
        expected_bw: (T, K).
        expected_time_s: (T,).

    Returns:
        Seconds; None where too little changes, or the best shift lies at the end of the search.
    """
    if len(measured_time_s) < 3 or measured_bw.std(axis=0).max() < LEAST_LAG_CHANGE_BW:
        return None
    is_inside = (measured_time_s - LONGEST_LAG_S >= expected_time_s[0]) & (
        measured_time_s + LONGEST_LAG_S <= expected_time_s[-1]
    )
    if is_inside.sum() * float(np.median(np.diff(measured_time_s))) < LEAST_LAG_TIME_S:
        return None
    measured_bw, measured_time_s = measured_bw[is_inside], measured_time_s[is_inside]
    lags_s = np.arange(-LONGEST_LAG_S, LONGEST_LAG_S + LAG_STEP_S / 2, LAG_STEP_S)
    variances = np.array(
        [
            np.var(interpolate(expected_bw, expected_time_s, measured_time_s - lag) - measured_bw, axis=0).sum()
            for lag in lags_s.tolist()
        ]
    )
    best = int(np.argmin(variances))
    if best in (0, len(lags_s) - 1):
        return None
    before, least, after = variances[best - 1 : best + 2]
    return float(lags_s[best] + LAG_STEP_S * (before - after) / (2 * (before - 2 * least + after)))


def level_of(evidence: Evidence) -> Level | None:
    """Mean vertical force over whole strides of valid force; None where there is no whole stride."""
    forces = evidence.forces
    num_missing = np.concatenate([[0], np.cumsum(~evidence.is_valid)])
    impulses, durations, counts = [], [], []
    for foot in range(2):
        strikes = [s.start for s in stances(forces) if s.foot == foot and s.start > 0]
        spans = [
            (a, b)
            for a, b in pairwise(strikes)
            if num_missing[b + 1] == num_missing[a] and forces.time_s[b] - forces.time_s[a] < LONGEST_STRIDE_S
        ]
        counts.append(len(spans))
        for a, b in spans:
            impulses.append(np.trapezoid(evidence.total_n[a : b + 1, 1], forces.time_s[a : b + 1]))
            durations.append(forces.time_s[b] - forces.time_s[a])
    if not durations:
        return None
    mean_n = float(np.sum(impulses) / np.sum(durations))
    return Level(mean_n / evidence.trial.subject.body_weight_n, max(counts))


def within(time_s: np.ndarray, spans: Sequence[Interval]) -> np.ndarray:
    """Whether each time lies in one of the intervals [start, end), (T,)."""
    inside = np.zeros(len(time_s), dtype=bool)
    for start, end in spans:
        inside |= (time_s >= start) & (time_s < end)
    return inside
