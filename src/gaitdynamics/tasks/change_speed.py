"""A person's gait at other speeds: the recorded strides, with what changes in people who go faster or slower."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.carried_body import with_carried_body
from gaitdynamics.biomech.kinematics import local_heading, posed
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.rotations import flexion_adduction_rotation, from_flexion_adduction_rotation
from gaitdynamics.maths.signals import second_derivative
from gaitdynamics.model.speed_response import ActivityResponse, SpeedResponse, StrideChange, at_phase
from gaitdynamics.state.codec import State, decode_motion
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame, values_at_frames
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.gait_versions import AS_RECORDED, GaitSample, GaitVersion
from gaitdynamics.tasks.recorded_gait import FORCE_COLUMNS, FORWARD, SIDEWAYS, RecordedGait, recorded_gait
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, STANDARD_GRAVITY_M_S2

DEFAULT_SAMPLES = 8
SAMPLE_STRIDES, SAMPLE_MARGIN = 3, 0.5
GOLDEN_SHARE = 0.618  # spreads numbers evenly, however many there are
LARGEST_TURN_RAD = np.pi / 4
FOOT_GROUPS = ("force", "pressure", "free_moment")
SPEED_RANGE_M_S = (0.2, 12.5)  # a shuffle to the fastest sprint
VELOCITY = [FORWARD, SIDEWAYS]
FOOT_COLUMNS = np.stack([GAIT.columns([f"{what}_{side}" for what in FOOT_GROUPS]) for side in SIDE_NAMES])


def change_speed(
    trial: Trial,
    *,
    to_m_s: Sequence[float],
    activity: str | None = None,
    estimator: Estimator,
    response: SpeedResponse,
    num_samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[GaitVersion, ...]:
    """A person's motion and forces at other speeds.

    Every recorded stride is shortened or stretched in time, feet leave the ground earlier or later in it, and every
    channel is changed by what the response says for that phase of the stride. A body whose trunk was measured is then
    shifted by millimetres, so that it accelerates as the changed forces say. Forces are estimated from the result.

    Args:
        trial: walking or running straight on, with at least one whole stride; its measured forces are not looked at.
        to_m_s: speeds over the ground.
        activity: walk or run; the recorded one if not given.
        estimator: of forces.
        response: how people change with speed.
        num_samples: versions that are equally likely, at each speed.
        seed: of the random numbers; the k-th sample is the same however many there are.
        report: told how many motions are done, of how many.

    Returns:
        The gait as recorded, then one at each speed, at 100 Hz. Samples have three strides each.

    Raises:
        InvalidMotionError: standing, no whole stride, another activity than the recorded one, or a speed that is
            nobody's.
        InvalidModelError: the model lacks legs or feet.
    """
    recorded = recorded_gait(trial, estimator=estimator, seed=seed)
    people = _response_for(recorded, response, activity)
    for speed_m_s in to_m_s:
        _check_speed(speed_m_s, people, recorded.activity)
    about = recorded.prediction
    versions = [GaitVersion(AS_RECORDED, recorded.speed_m_s, recorded.trial, about, warnings=about.warnings)]
    per_speed = 1 + num_samples
    for number, speed_m_s in enumerate(to_m_s):
        foreseen = people.change(recorded.stride, recorded.speed_m_s, speed_m_s)
        draws = people.draws(recorded.speed_m_s, speed_m_s, num=num_samples, seed=seed)
        middle, *others = changed_trials(recorded, [foreseen, *(foreseen + draw for draw in draws)], speed_m_s)
        prediction = estimator(middle, seed=seed)
        report(number * per_speed + 1, len(to_m_s) * per_speed)
        samples = []
        for other in others:
            samples.append(GaitSample(other.motion, estimator(other, seed=seed).forces))
            report(number * per_speed + 1 + len(samples), len(to_m_s) * per_speed)
        provenance = {**prediction.provenance, "speed_response": response.name, "version": __version__}
        versions.append(
            GaitVersion(
                label=f"{speed_m_s:g} m/s",
                amount=speed_m_s,
                trial=middle,
                prediction=replace(prediction, provenance=provenance),
                samples=tuple(samples),
                warnings=(*_warnings(recorded, speed_m_s, people), *prediction.warnings),
                is_extrapolated=not (people.holds(recorded.speed_m_s) and people.holds(speed_m_s)),
            )
        )
    return tuple(versions)


def changed_trials(recorded: RecordedGait, changes: Sequence[StrideChange], speed_m_s: float) -> tuple[Trial, ...]:
    """The recorded strides at another speed, one trial at 100 Hz for each change.

    The first is as long as the recording. Of the others there are three strides, not the same ones of each, so that
    they differ as strides do, too.

    Args:
        recorded: the person's gait.
        changes: of the mean stride.
        speed_m_s: over the ground.
    """
    pieces = [_changed(recorded, change, speed_m_s) for change in changes]
    pieces[1:] = [_some_strides(recorded, piece, number) for number, piece in enumerate(pieces[1:])]
    belt_speed_m_s = 0.0
    if recorded.frame.belt_speed_m_s != 0.0:
        belt_speed_m_s = speed_m_s - (recorded.speed_m_s - recorded.frame.belt_speed_m_s)  # a drift on the belt stays
    motions = _decoded(recorded, pieces, belt_speed_m_s)
    first = replace(recorded.trial, motion=motions[0], belt_speed_m_s=belt_speed_m_s)
    shift = _balancing_shift(recorded, first, pieces[0])
    shifts = [_between_frames(shift, np.interp(piece.at, pieces[0].at, np.arange(len(shift)))) for piece in pieces]
    return tuple(
        replace(first, motion=replace(motion, values=first.skeleton.with_coupled_values(motion.values + each)))
        for motion, each in zip(motions, shifts, strict=True)
    )


@dataclass(frozen=True)
class _Piece:
    """A stretch of changed gait: its state (T, D), and which frame of the recording each comes from, (T,)."""

    values: np.ndarray
    at: np.ndarray


def _changed(recorded: RecordedGait, change: StrideChange, speed_m_s: float) -> _Piece:
    """The recorded strides on their new clock, with the response in every channel."""
    state, frame, clock = recorded.state, recorded.frame, recorded.clock
    frames = np.arange(frame.num_frames)
    stretch = float(np.exp(change.log_stride_s))
    later_s = stretch * (frames / FRAME_RATE_HZ + clock.stride_s * clock.delayed(change.contact_share))
    num_frames = max(int((later_s[-1] - later_s[0]) * FRAME_RATE_HZ + 1e-6) + 1, 2)
    at = np.interp(later_s[0] + np.arange(num_frames) / FRAME_RATE_HZ, later_s, frames)

    phase = np.interp(at, frames, clock.on_reference(recorded.activity))
    own = _between_frames(state.values, at)
    own[:, FOOT_COLUMNS] = _linearly_between_frames(state.values[:, FOOT_COLUMNS], at)  # no ringing about landings
    values = own + at_phase(change.values, phase) * state.known.any(axis=0)
    if not change.values[:, GAIT["lumbar"]].any():
        values[:, GAIT["lumbar"]] = _of_steady_trunk(own, values)
    # The pelvis goes the way it went, faster.
    values[:, VELOCITY] += state.values[:, VELOCITY].mean(axis=0) * (speed_m_s / recorded.speed_m_s - 1.0)
    values[:, FORWARD] += speed_m_s / frame.height_m - values[:, FORWARD].mean()
    is_pressing = (own[:, FORCE_COLUMNS[:, 1]] > 0.0) & (values[:, FORCE_COLUMNS[:, 1]] > 0.0)
    values[:, FOOT_COLUMNS] *= is_pressing[..., None]
    return _Piece(values, at)


def _of_steady_trunk(own: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Angles (T, 3) of a trunk that moves in space as it did, on a pelvis that moves otherwise; from states (T, D)."""
    trunk = _pelvis_in_heading(own) @ from_flexion_adduction_rotation(own[:, GAIT["lumbar"]])
    return flexion_adduction_rotation(_pelvis_in_heading(changed).swapaxes(-1, -2) @ trunk)


def _pelvis_in_heading(values: np.ndarray) -> np.ndarray:
    """(T, 3, 3)."""
    first, second = np.moveaxis(values[:, GAIT["pelvis_rotation"]].reshape(-1, 2, 3), 1, 0)
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second - (second * first).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _some_strides(recorded: RecordedGait, piece: _Piece, number: int) -> _Piece:
    """Three strides of a piece and a margin; which, goes by the number of the sample."""
    per_stride = len(piece.at) / (recorded.clock.phase[-1] - recorded.clock.phase[0])
    length = min(round((SAMPLE_STRIDES + SAMPLE_MARGIN) * per_stride), len(piece.at))
    start = round((number * GOLDEN_SHARE % 1.0) * (len(piece.at) - length))
    return _Piece(piece.values[start : start + length], piece.at[start : start + length])


def _decoded(recorded: RecordedGait, pieces: Sequence[_Piece], belt_speed_m_s: float) -> list[Motion]:
    """Motions of the person's model, each from the recording's start in time and place.

    All in one, as it takes long to solve for joints: the pelvis jumps back to where it came from in between.
    """
    trial, state = recorded.trial, recorded.state
    at = np.concatenate([piece.at for piece in pieces])
    values = np.concatenate([piece.values for piece in pieces])
    ends = np.cumsum([len(piece.at) for piece in pieces])
    starts = ends - [len(piece.at) for piece in pieces]
    values[:, FORWARD] -= belt_speed_m_s / recorded.frame.height_m
    for start, end in zip(starts, ends, strict=True):
        values[end - 1, VELOCITY] = -values[start : end - 1, VELOCITY].sum(axis=0)
    frame = replace(recorded.frame, num_frames=len(values), belt_speed_m_s=0.0)
    known_groups = [group for group in GAIT.groups if state.known[:, GAIT[group]].any()]
    motion = decode_motion(
        State(GAIT, values, np.ones(values.shape, dtype=bool), frame.time_s),
        frame,
        replace(trial, motion=_retimed(recorded, at, frame)),
        groups=known_groups,
    )
    return [
        replace(
            motion,
            time_s=motion.time_s[: end - start],
            values=motion.values[start:end],
            observed=motion.observed[start:end],
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _retimed(recorded: RecordedGait, at: np.ndarray, frame: ModelFrame) -> Motion:
    """All coordinates on the new clock."""
    trial = recorded.trial
    values = _between_frames(values_at_frames(trial, recorded.frame), at)
    observed = recorded.frame.holds_at_frames(trial.motion.observed, trial.motion.time_s)
    nearest = np.clip(np.round(at).astype(int), 0, len(observed) - 1)
    return Motion(frame.time_s, trial.skeleton.with_coupled_values(values), trial.motion.coordinates, observed[nearest])


def _balancing_shift(recorded: RecordedGait, trial: Trial, piece: _Piece) -> np.ndarray:
    """Changes of coordinates (T, C) under which the body's acceleration lacks no more of its forces than recorded.

    None where the trunk was not measured: the mass centre of such a body is not known to millimetres.
    """
    frame, values = recorded.frame, trial.motion.values
    skeleton, reasons = with_trunk(trial.skeleton, recorded.trial.motion, height_m=frame.height_m)
    if reasons:
        return np.zeros_like(values)
    before = values_at_frames(recorded.trial, frame)
    own_n = _total_n(frame, recorded.state.values)
    lacking_n = own_n - skeleton.mass_kg * _acceleration_m_s2(skeleton.centre_of_mass(posed(skeleton, before)).numpy())
    wanted_n = _total_n(frame, piece.values) - _between_frames(lacking_n, piece.at)
    return with_carried_body(skeleton, values, force_n=wanted_n, sampling_rate_hz=FRAME_RATE_HZ) - values


def _total_n(frame: ModelFrame, values: np.ndarray) -> np.ndarray:
    """Of both feet's forces in a state (T, D), in the ground frame, (T, 3)."""
    return frame.to_ground(values[:, FORCE_COLUMNS]).sum(axis=1) * frame.mass_kg


def _acceleration_m_s2(com_m: np.ndarray) -> np.ndarray:
    """Of the mass centre (T, 3), less that of free fall."""
    free_fall = np.array([0.0, -STANDARD_GRAVITY_M_S2, 0.0])
    return second_derivative(com_m, sampling_rate_hz=FRAME_RATE_HZ) - free_fall


def _between_frames(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (T, K) between frames, at positions (N,), by a cubic spline."""
    from scipy.interpolate import make_interp_spline

    return np.asarray(make_interp_spline(np.arange(len(values)), values, k=3)(at))


def _linearly_between_frames(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (T, ...) between frames, at positions (N,)."""
    before = np.minimum(at.astype(int), len(values) - 2)
    share = (at - before).reshape(-1, *[1] * (values.ndim - 1))
    return values[before] * (1 - share) + values[before + 1] * share


def _response_for(recorded: RecordedGait, response: SpeedResponse, activity: str | None) -> ActivityResponse:
    wanted = activity or recorded.activity
    if wanted not in response.by_activity:
        known = " and ".join(response.by_activity)
        raise InvalidMotionError(f"'{wanted}' is no activity that the weights '{response.name}' know: {known}.")
    if wanted != recorded.activity:
        raise InvalidMotionError(
            f"{recorded.trial.name}: the person {recorded.activity}s and is to {wanted}. Nobody in the training data "
            f"did both, so how one becomes the other is not known. Give a recording in which the person {wanted}s, or "
            f"draw a gait of somebody of that size with 'gaitdynamics generate --activity {wanted}'."
        )
    return response.by_activity[wanted]


def _check_speed(speed_m_s: float, people: ActivityResponse, activity: str) -> None:
    low, high = SPEED_RANGE_M_S
    if not low <= speed_m_s <= high or not people.reaches(speed_m_s):
        slowest, fastest = people.speeds_m_s
        raise InvalidMotionError(
            f"{speed_m_s:g} m/s is too far from what is known: people in the training data {activity} at "
            f"{slowest:.2g} to {fastest:.2g} m/s. Give a speed nearer to theirs, in m/s."
        )


def _warnings(recorded: RecordedGait, speed_m_s: float, people: ActivityResponse) -> list[str]:
    found = []
    low, high = people.speeds_m_s
    for what, speed in (("recorded", recorded.speed_m_s), ("wanted", speed_m_s)):
        if not people.holds(speed):
            found.append(
                f"extrapolation: the {what} speed is {speed:.3g} m/s; how people change with speed when they "
                f"{recorded.activity} was learned from {low:.2g} to {high:.2g} m/s."
            )
    trial = recorded.trial
    pose = posed(trial.skeleton, trial.motion.values)
    going = local_heading(trial.skeleton, pose, sampling_rate_hz=trial.motion.sampling_rate_hz)
    if (going @ recorded.frame.heading).min() < np.cos(LARGEST_TURN_RAD):
        found.append("The person turns; the change with speed is that of people who go straight on.")
    return found
