"""What if: a person's gait with something changed in it, and the forces that it would go with.

The changed coordinates are followed exactly. The model of gait proposes what else changes with them; then pelvis, legs
and forces give way, as little as they can, until feet stand where they should and the body balances as before.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.balanced_change import Balance, BalancedGait
from gaitdynamics.biomech.cycles import whole_stances
from gaitdynamics.biomech.foot_goals import FootGoal, Footprints
from gaitdynamics.biomech.kinematics import (
    chain_between,
    chain_columns,
    heading_of,
    local_heading,
    pelvis_of,
    posed,
    with_chain_origin,
)
from gaitdynamics.biomech.realism import newton_euler_residual
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.errors import InvalidChangeError, InvalidMotionError
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import interpolate, resample
from gaitdynamics.model.diffusion import GaitDiffusion
from gaitdynamics.state.codec import encode
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.change_text import SCALE
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.fill_motion import MotionCompleter
from gaitdynamics.tasks.gait_changes import Change, Goal, goal_of
from gaitdynamics.tasks.gait_versions import AS_RECORDED, GaitSample, GaitVersion
from gaitdynamics.tasks.learned_forces import frame_times
from gaitdynamics.tasks.proposed_gait import guided_gait, proposed_values
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import ForceInterval, Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

BALANCED, GUIDED = "balanced", "guided"
METHODS = (BALANCED, GUIDED)
DEFAULT_SAMPLES = 8
LEAST_FRAMES = 60  # at 100 Hz: a step
LONGEST_S = 20.0  # what is solved at once; nobody needs more strides for a mean
SMALLEST_TRAVEL = 1e-6  # radians or metres: a coordinate that moves less was not measured
# When a version is worth a warning, over what the recorded gait has.
MORE_SLIDING_M_S, MORE_RESIDUAL_BW = 0.02, 0.02
SHARE_REACHED = 0.9
LEAST_STRAIGHT = 0.9  # cosine of the angle to the mean heading
UNNOTICED = 1e-6
FARTHEST_SPREADS = 4.0  # standard deviations of a channel over all people trained on
EDGE_FRAMES = 8  # where derivatives are one-sided


def modify_gait(
    trial: Trial,
    changes: Sequence[Change],
    *,
    doses: Sequence[float] | None = None,
    estimator: Estimator,
    completer: MotionCompleter,
    num_samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    method: str = BALANCED,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[GaitVersion, ...]:
    """A gait as it was recorded, and as it would be with changes.

    Args:
        trial: complete; its measured forces are not looked at.
        changes: all at once.
        doses: of the one change; a version for each.
        estimator: of the forces of the recorded gait.
        completer: holds the model of gait.
        num_samples: other gaits that carry the same change, for intervals; of the balanced method.
        seed: of all random numbers.
        method: balanced, or guided as Tan et al. 2026 do.
        report: told how many versions are done, of how many.

    Returns:
        The recorded gait, then a version for each dose, or one.

    Raises:
        InvalidChangeError: several changes with doses, or one that this gait can't carry.
        InvalidMotionError: too short, too long, or no foot rests on the ground.
    """
    if method not in METHODS:
        raise InvalidChangeError(f"there is no method '{method}'; expected {' or '.join(METHODS)}.")
    if doses is not None and len(changes) != 1:
        raise InvalidChangeError(
            f"doses are of one change, and there are {len(changes)}. Give one change, or run the command once for "
            "each combination."
        )
    recorded = _Recorded(replace(trial, forces=None), estimator, completer.model, seed)
    versions = [replace(recorded.version, amount=_none_of(changes[0]))]
    wanted = [list(changes)] if doses is None else [[changes[0].at_dose(dose)] for dose in doses]
    amounts = [_amount(changes)] if doses is None else [float(dose) for dose in doses]
    for each, amount in zip(wanted, amounts, strict=True):
        versions.append(recorded.changed(each, amount, method=method, num_samples=num_samples))
        report(len(versions) - 1, len(wanted))
    return tuple(versions)


def _amount(changes: Sequence[Change]) -> float:
    """The number in the text of a single change."""
    change = changes[0]
    return change.amount / change.unit if len(changes) == 1 and isinstance(change.amount, float) else 1.0


def _none_of(change: Change) -> float:
    """The dose of a change that changes nothing."""
    return 1.0 if change.operation == SCALE else 0.0


class _Recorded:
    """A recorded gait at 100 Hz, ready to be changed."""

    def __init__(self, trial: Trial, estimator: Estimator, model: GaitDiffusion, seed: int) -> None:
        self.model, self.seed = model, seed
        _check_length(trial)
        prediction = estimator(trial, seed=seed)
        self.trial = replace(trial, belt_speed_m_s=prediction.belt_speed_m_s)
        if not whole_stances(prediction.forces):
            raise InvalidMotionError(
                f"{trial.name}: no foot lands and leaves within this motion, so there is no step to change. Give a "
                "trial with complete steps of walking or running."
            )
        self.version = GaitVersion(AS_RECORDED, 0.0, self.trial, prediction)
        self.at_frames = _at_frames(self.trial)
        self.forces = _at_times(prediction.forces, self.at_frames.motion.time_s)
        skeleton, _ = with_trunk(trial.skeleton, trial.motion, height_m=trial.subject.height_m)
        values = self.at_frames.motion.values
        is_moving = np.ptp(values, axis=0) > SMALLEST_TRAVEL
        self.balance = Balance(skeleton.scaled_to(trial.subject.mass_kg), values, self.forces, is_moving)
        self.axes = self.balance.axes
        belt_m_s = -prediction.belt_speed_m_s * self.axes[0]
        self.footprints = Footprints.of(_middles(self.balance), self.forces, belt_velocity_m_s=belt_m_s)
        self.quality = _Quality.of(self.at_frames, BalancedGait(values, self.forces), self.balance.skeleton)

    def changed(self, changes: Sequence[Change], amount: float, *, method: str, num_samples: int) -> GaitVersion:
        goal = goal_of(changes, self.at_frames, self.forces)
        label = ", ".join(change.text for change in changes)
        center, others = self._guided(goal) if method == GUIDED else self._balanced(goal, num_samples)
        belt = self.trial.belt_speed_m_s or 0.0
        trial = self._trial_of(center.values, goal, belt * goal.stretch / goal.time_scale)
        forces = self._forces_of(center.forces, trial)
        recorded = self.version.prediction
        is_far = self._is_far(trial, goal)
        warnings = (
            *goal.warnings,
            *self._warnings(trial, center, goal, label),
            *((_far_warning(label),) if is_far else ()),
        )
        prediction = Prediction(
            motion=trial.motion,
            forces=forces,
            belt_speed_m_s=trial.belt_speed_m_s or 0.0,
            warnings=(*recorded.warnings, *warnings),
            provenance={**recorded.provenance, "change": label, "method": method},
            interval=_moved_interval(recorded, forces),
        )
        samples = []
        for other in others:
            each = self._trial_of(other.values, goal, trial.belt_speed_m_s or 0.0)
            samples.append(GaitSample(each.motion, self._forces_of(other.forces, each)))
        return GaitVersion(label, amount, trial, prediction, tuple(samples), warnings, is_far)

    def _balanced(self, goal: Goal, num_samples: int) -> tuple[BalancedGait, tuple[BalancedGait, ...]]:
        wanted = proposed_values(
            replace(self.at_frames, forces=self.forces),
            self._stretched(goal.values, goal),
            belt_speed_m_s=(self.trial.belt_speed_m_s or 0.0) * goal.stretch,
            model=self.model,
            seed=self.seed,
        )
        is_set = np.asarray(goal.is_changed.any(axis=0))
        wanted[:, is_set] = goal.values[:, is_set]
        return self.balance.changed(
            wanted,
            is_set=is_set,
            goal=self._foot_goal(goal),
            time_scale=goal.time_scale,
            num_samples=num_samples,
            seed=self.seed,
        )

    def _guided(self, goal: Goal) -> tuple[BalancedGait, tuple[BalancedGait, ...]]:
        if goal.foot_yaw_rad.any() or goal.foot_shift_m.any() or goal.stretch != 1.0 or goal.time_scale != 1.0:
            raise InvalidChangeError("the guided method changes coordinates only. Leave out --method.")
        drawn = guided_gait(replace(self.at_frames, forces=self.forces), goal.values, model=self.model, seed=self.seed)
        return BalancedGait(drawn.values, drawn.forces), ()

    def _stretched(self, values: np.ndarray, goal: Goal) -> np.ndarray:
        """With the pelvis further along the way."""
        if goal.stretch == 1.0:
            return values
        skeleton = self.trial.skeleton
        root = chain_between(skeleton, "ground", pelvis_of(skeleton))
        body = skeleton.body_index[pelvis_of(skeleton)]
        pelvis_m = posed(skeleton, values).origin_m[:, body].numpy()
        further = (goal.stretch - 1.0) * (pelvis_m @ self.axes[0])[:, None] * self.axes[0]
        return with_chain_origin(skeleton, values, root, pelvis_m + further)

    def _foot_goal(self, goal: Goal) -> FootGoal:
        """Footprints where changed legs put them, and as asked for."""
        shift_m, yaw_rad = self._of_legs(goal)
        outward = np.array([1.0, -1.0])  # right, left
        pose = posed(self.trial.skeleton, self.at_frames.motion.values)
        going = local_heading(self.trial.skeleton, pose, sampling_rate_hz=FRAME_RATE_HZ)
        if goal.stretch != 1.0 and (going @ self.axes[0]).min() < LEAST_STRAIGHT:
            raise InvalidChangeError(
                f"{self.trial.name} turns; strides can be made longer or shorter only where a person goes straight on. "
                "Cut the straight part out of it."
            )
        shift_m = shift_m + (outward * goal.foot_shift_m)[:, None] * heading_axes(going)[:, None, 2]
        return self.footprints.goal(
            forward=self.axes[0],
            stretch=goal.stretch,
            shift_m=shift_m,
            yaw_rad=yaw_rad - outward * goal.foot_yaw_rad,
        )

    def _of_legs(self, goal: Goal) -> tuple[np.ndarray, np.ndarray]:
        """How far changed coordinates of the legs move (T, 2, 3) and turn (T, 2) the feet, across the ground."""
        skeleton, values = self.trial.skeleton, self.at_frames.motion.values.copy()
        for foot in skeleton.feet:
            columns = chain_columns(skeleton, chain_between(skeleton, pelvis_of(skeleton), foot.hindfoot))
            values[:, columns] = goal.values[:, columns]
        changed = replace(self.balance, values=values)
        shift_m = (_middles(changed) - _middles(self.balance)) * np.array([1.0, 0.0, 1.0])
        points_m = (self.balance.foot_points_m, changed.foot_points_m)
        ahead = [points[:, :, 1] - points[:, :, 0] for points in points_m]
        angles = [np.unwrap(np.arctan2(-each[..., 2], each[..., 0]), axis=0) for each in ahead]
        turn = angles[1] - angles[0]
        return shift_m, (turn + np.pi) % (2 * np.pi) - np.pi

    def _trial_of(self, values: np.ndarray, goal: Goal, belt_speed_m_s: float) -> Trial:
        """The change of coordinates at 100 Hz, on the recorded motion."""
        motion = self.trial.motion
        # Corners between the frames would be accelerations of no body's.
        frames_s = self.at_frames.motion.time_s
        change = CubicSpline(frames_s, values - self.at_frames.motion.values)(np.minimum(motion.time_s, frames_s[-1]))
        changed = self.trial.skeleton.with_coupled_values(motion.values + change)
        time_s = motion.time_s[0] + (motion.time_s - motion.time_s[0]) * goal.time_scale
        return replace(self.trial, motion=replace(motion, time_s=time_s, values=changed), belt_speed_m_s=belt_speed_m_s)

    def _forces_of(self, forces: GroundReaction, trial: Trial) -> GroundReaction:
        """The change of forces at 100 Hz, on those of the recorded motion; nothing pulls on the ground."""
        recorded, time_s = self.version.prediction.forces, self.version.prediction.forces.time_s
        at = self.forces.time_s

        def moved(before: np.ndarray, was: np.ndarray, now: np.ndarray) -> np.ndarray:
            return before + interpolate(now - was, at, time_s)

        force_n = moved(recorded.force_n, self.forces.force_n, forces.force_n)
        is_loaded = (force_n[..., 1] > 0) & (recorded.force_n[..., 1] > 0)
        return GroundReaction(
            time_s=trial.motion.time_s,
            force_n=np.where(is_loaded[..., None], force_n, 0.0),
            cop_m=moved(recorded.cop_m, self.forces.cop_m, forces.cop_m),
            free_moment_nm=np.where(
                is_loaded, moved(recorded.free_moment_nm, self.forces.free_moment_nm, forces.free_moment_nm), 0.0
            ),
            valid=recorded.valid,
        )

    def _is_far(self, trial: Trial, goal: Goal) -> bool:
        """Whether somebody in the training data has the changed joints where they go."""
        state, _ = encode(_at_frames(trial))
        before, _ = encode(self.at_frames)
        now, was = (np.abs(self.model.normalizer.apply(each.values)).max(axis=0) for each in (state, before))
        columns = [column for column, channel in enumerate(GAIT.channels) if not channel.group.startswith("pelvis")]
        return bool((now[columns] > np.maximum(FARTHEST_SPREADS, was[columns] + UNNOTICED)).any())

    def _warnings(self, trial: Trial, gait: BalancedGait, goal: Goal, label: str) -> tuple[str, ...]:
        found = []
        asked = goal.values - self.at_frames.motion.values
        is_set = goal.is_changed.any(axis=0)
        done = gait.values - self.at_frames.motion.values
        for column in np.flatnonzero(is_set):
            size = float((asked[:, column] ** 2).sum())
            reached = float((asked[:, column] * done[:, column]).sum()) / size if size > 0 else 1.0
            if reached < SHARE_REACHED:
                name = trial.skeleton.coordinate_names[column]
                found.append(f"{label}: {reached:.0%} of the change of {name} was reached.")
        quality = _Quality.of(_at_frames(trial), gait, self.balance.skeleton)
        # What slides as far in less time slides faster.
        if quality.sliding_m_s * goal.time_scale > self.quality.sliding_m_s + MORE_SLIDING_M_S:
            found.append(
                f"{label}: loaded feet slide at {quality.sliding_m_s:.2f} m/s, and in the recorded gait at "
                f"{self.quality.sliding_m_s:.2f} m/s."
            )
        if quality.residual_bw > self.quality.residual_bw + MORE_RESIDUAL_BW:
            found.append(
                f"{label}: forces and motion disagree by {100 * quality.residual_bw:.1f} % of body weight, and in the "
                f"recorded gait by {100 * self.quality.residual_bw:.1f} %. The body may not be able to move so."
            )
        return tuple(found)


class _Quality(NamedTuple):
    """How real a gait is: force that the motion does not explain, root mean square, and sliding of loaded feet."""

    residual_bw: float
    sliding_m_s: float

    @classmethod
    def of(cls, trial: Trial, gait: BalancedGait, skeleton: Skeleton) -> "_Quality":
        """Of a gait at the frames of a trial; the skeleton has a trunk and the person's mass."""
        forces, height_m = gait.forces, trial.subject.height_m
        heading = heading_of(trial.skeleton, posed(trial.skeleton, gait.values))
        residual = newton_euler_residual(skeleton, gait.values, forces, time_s=forces.time_s)
        inner = residual.force_n[EDGE_FRAMES:-EDGE_FRAMES]
        rate_hz = (len(forces.time_s) - 1) / float(forces.time_s[-1] - forces.time_s[0])
        return cls(
            float(np.sqrt((inner**2).sum(axis=1).mean())) / trial.subject.body_weight_n,
            foot_sliding(
                trial.skeleton,
                gait.values,
                load_bw=forces.force_n[..., 1] / trial.subject.body_weight_n,
                sampling_rate_hz=rate_hz,
                height_m=height_m,
                belt_velocity_m_s=-(trial.belt_speed_m_s or 0.0) * heading,
            ),
        )


def _middles(balance: Balance) -> np.ndarray:
    """Between heel and toe joint, (T, 2, 3): feet that turn about there carry the body where they did."""
    return balance.foot_points_m[:, :, :2].mean(axis=2)


def _check_length(trial: Trial) -> None:
    duration_s = float(trial.motion.time_s[-1] - trial.motion.time_s[0])
    if not LEAST_FRAMES / FRAME_RATE_HZ <= duration_s <= LONGEST_S:
        raise InvalidMotionError(
            f"{trial.name}: lasts {duration_s:.3g} s; expected {LEAST_FRAMES / FRAME_RATE_HZ:g} to {LONGEST_S:g} s of "
            "walking or running. Cut some strides out of it."
        )


def _at_frames(trial: Trial) -> Trial:
    """The trial at 100 Hz from its first time, as far as it goes."""
    motion = trial.motion
    time_s = frame_times(motion.time_s)
    values = resample(motion.values, motion.time_s, time_s)
    observed = np.broadcast_to(motion.observed.all(axis=0), values.shape)
    return replace(trial, motion=Motion(time_s, values, motion.coordinates, observed))


def _at_times(forces: GroundReaction, time_s: np.ndarray) -> GroundReaction:
    return GroundReaction(
        time_s=time_s,
        force_n=interpolate(forces.force_n, forces.time_s, time_s),
        cop_m=interpolate(forces.cop_m, forces.time_s, time_s),
        free_moment_nm=interpolate(forces.free_moment_nm, forces.time_s, time_s),
        valid=interpolate(forces.valid.astype(float), forces.time_s, time_s) > 0.5,
    )


def _moved_interval(recorded: Prediction, forces: GroundReaction) -> ForceInterval | None:
    """The recorded gait's interval about other forces: what the estimator does not know, it does not know here."""
    interval = recorded.interval
    if interval is None:
        return None
    by_n = forces.force_n - recorded.forces.force_n
    lower_n, upper_n = interval.lower_n + by_n, interval.upper_n + by_n
    lower_n[..., 1] = np.maximum(lower_n[..., 1], 0.0)
    return ForceInterval(lower_n, upper_n, interval.coverage)


def _far_warning(label: str) -> str:
    return f"{label}: extrapolation, nobody in the training data moves so far. Trust the direction, not the size."
