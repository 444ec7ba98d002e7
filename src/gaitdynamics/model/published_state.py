"""A trial as the authors' networks see it, and forces back from what they answer.

What their preprocessing does is kept as it is, also where it is odd ("angular velocities" of another sign and frame,
hinge rates per sample): the published weights were trained on it.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.signal import butter, filtfilt

from gaitdynamics.biomech.kinematics import posed
from gaitdynamics.maths.rotations import flexion_adduction_rotation, from_flexion_adduction_rotation
from gaitdynamics.maths.signals import interpolate, resample
from gaitdynamics.model.published_coordinates import (
    BALL_COORDINATES,
    BALLS,
    HINGES,
    PELVIS_TRANSLATIONS,
    RATE_HZ,
    PublishedCoordinates,
    canonical_coordinates,
    coordinates_by_name,
)
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDES

LARGEST_HEADING_RANGE_RAD = np.pi / 4  # a trial that turns further is left as it is
FILTER_ORDER = 4
FILTER_PADDING = 3 * (FILTER_ORDER + 1)  # SciPy's default
RATE_CUTOFF_HZ = 15.0  # of angles, for their rates
PELVIS_CUTOFF_HZ = 10.0
FEET = tuple(f"calcn_{side}_force" for side in SIDES)


@dataclass(frozen=True)
class PublishedFrame:
    """What turns the state's numbers back into metres, newtons and the ground frame.

    Args:
        turn: from the ground frame to the state's, about the vertical, (3, 3).
        origin_m: first position of the pelvis, in the state's frame, (3,).
        height_m, mass_kg: of the person.
        belt_speed_m_s: of the treadmill.
    """

    turn: np.ndarray
    origin_m: np.ndarray
    height_m: float
    mass_kg: float
    belt_speed_m_s: float


@dataclass(frozen=True)
class PublishedState:
    """A trial in the authors' channels, not normalised.

    Args:
        values: float32, (T, 63); zero or a default where not known.
        known: (T, 63).
        time_s: at 100 Hz, (T,).
        frame: to undo it.
    """

    values: np.ndarray
    known: np.ndarray
    time_s: np.ndarray
    frame: PublishedFrame


def encode_as_published(trial: Trial, *, belt_speed_m_s: float) -> PublishedState:
    """The trial's kinematics by the authors' own preprocessing: columns by name, linear interpolation to 100 Hz.

    Args:
        trial: measured forces in it are not looked at.
        belt_speed_m_s: of the treadmill; 0 overground.
    """
    coordinates = _rounded(coordinates_by_name(trial.motion))
    turn = heading_turn(coordinates, is_unwrapped=False).astype(np.float32)
    return _encoded(_interpolated(coordinates.turned(turn)), trial, turn=turn, belt_speed_m_s=belt_speed_m_s)


def encode_canonical(trial: Trial, time_s: np.ndarray, *, belt_speed_m_s: float) -> PublishedState:
    """The same state of a trial of any model, with its measured forces where they are valid.

    Args:
        time_s: evenly spaced at 100 Hz, (T,).
        belt_speed_m_s: of the treadmill; 0 overground.

    Raises:
        InvalidModelError: the model lacks legs or feet.
    """
    coordinates = canonical_coordinates(trial, time_s)
    turn = heading_turn(coordinates, is_unwrapped=True)
    state = _encoded(coordinates.turned(turn), trial, turn=turn, belt_speed_m_s=belt_speed_m_s)
    if trial.forces is None:
        return state
    forces, known_forces = _encoded_forces(trial, trial.forces, state)
    columns = PUBLISHED.columns(FEET)
    values, known = state.values.copy(), state.known.copy()
    values[:, columns], known[:, columns] = forces, known_forces
    return PublishedState(values, known, time_s, state.frame)


def heading_turn(coordinates: PublishedCoordinates, *, is_unwrapped: bool) -> np.ndarray:
    """The turn about the vertical (3, 3) that takes the pelvis' median heading to forward.

    Args:
        is_unwrapped: False as the authors do it: headings about ±180° count as turning, and a trial that turns by more
            than 45° is left as it is.
    """
    pelvis = from_flexion_adduction_rotation(coordinates.ball_rad[:, 0])
    headings = np.arctan2(-pelvis[:, 0, 2], pelvis[:, 2, 2])
    if is_unwrapped:
        headings = np.unwrap(headings)
    elif np.ptp(headings) > LARGEST_HEADING_RANGE_RAD:
        return np.eye(3)
    heading = np.sort(headings)[(len(headings) - 1) // 2]  # the lower of two, as PyTorch's median
    cosine, sine = np.cos(heading), np.sin(heading)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def decode_forces(
    force_channels: np.ndarray, frame: PublishedFrame, hindfoot_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Forces and centres of pressure from the state's twelve force channels.

    Args:
        force_channels: not normalised, (T, 12).
        hindfoot_m: origins of the calcanei in the ground frame, (T, 2, 3).

    Returns:
        In the ground frame: force in N and centre of pressure in m, both (T, 2, 3); the centre of pressure is zero
        where the vertical force is below 20 N.
    """
    per_foot = force_channels.astype(np.float64).reshape(-1, len(FEET), 6)
    force_n_kg, weighted = per_foot[..., :3], per_foot[..., 3:]
    vertical = force_n_kg[..., 1:2]
    is_loaded = vertical * frame.mass_kg >= CONTACT_FORCE_N
    from_hindfoot_m = weighted / np.where(is_loaded, vertical, 1.0) * frame.height_m
    cop_m = np.where(is_loaded, from_hindfoot_m @ frame.turn + hindfoot_m, 0.0)
    return force_n_kg @ frame.turn * frame.mass_kg, cop_m


def decode_coordinates(state: PublishedState) -> PublishedCoordinates:
    """The coordinates that a state's kinematic channels stand for, turned back into the ground frame."""
    values, frame = state.values.astype(np.float64), state.frame
    belt = np.array([frame.belt_speed_m_s, 0.0, 0.0])
    velocity = values[:, _columns(PELVIS_TRANSLATIONS)] * frame.height_m - belt
    coordinates = PublishedCoordinates(
        time_s=state.time_s,
        pelvis_m=np.cumsum(velocity / RATE_HZ, axis=0) + frame.origin_m,
        ball_rad=np.stack(
            [flexion_adduction_rotation(_rotation_of_six(values[:, _columns(_six_names(ball))])) for ball in BALLS],
            axis=1,
        ),
        hinge_rad=values[:, _columns(HINGES)],
        known=frozenset(),
    )
    return coordinates.turned(frame.turn.T)


def hindfoot_origins(skeleton: Skeleton, values: np.ndarray) -> np.ndarray:
    """Where both calcanei are in the ground frame, (T, 2, 3), from a model's coordinates (T, C)."""
    origins = posed(skeleton, values).origin_m.numpy()
    return origins[:, [skeleton.body_index[foot.hindfoot] for foot in skeleton.feet]]


def values_by_name(skeleton: Skeleton, coordinates: PublishedCoordinates) -> np.ndarray:
    """Coordinates (T, C) of a model that uses the authors' names; defaults for those that the state does not hold."""
    columns = {
        **dict(zip(PELVIS_TRANSLATIONS, coordinates.pelvis_m.T, strict=True)),
        **dict(zip(HINGES, coordinates.hinge_rad.T, strict=True)),
    }
    for ball, angles in zip(BALLS, np.moveaxis(coordinates.ball_rad, 1, 0), strict=True):
        columns.update(zip(BALL_COORDINATES[ball], angles.T, strict=True))
    values = np.tile(skeleton.default_values, (len(coordinates.time_s), 1))
    for index, name in enumerate(skeleton.coordinate_names):
        values[:, index] = columns.get(name, values[:, index])
    return skeleton.with_coupled_values(values)


def _rounded(coordinates: PublishedCoordinates) -> PublishedCoordinates:
    """In float32, which the authors' preprocessing works in: differences of places take up its rounding."""
    return replace(
        coordinates,
        pelvis_m=coordinates.pelvis_m.astype(np.float32),
        ball_rad=coordinates.ball_rad.astype(np.float32),
        hinge_rad=coordinates.hinge_rad.astype(np.float32),
    )


def _interpolated(coordinates: PublishedCoordinates) -> PublishedCoordinates:
    """At 100 Hz, linearly on an axis from 0 to 1, which loses up to the last rows."""
    time_s, num_frames = coordinates.time_s, len(coordinates.time_s)
    rate = round((num_frames - 1) / (time_s[-1] - time_s[0]))
    if rate == RATE_HZ:
        new_time_s = time_s[0] + np.arange(num_frames) / RATE_HZ
        return PublishedCoordinates(
            new_time_s, coordinates.pelvis_m, coordinates.ball_rad, coordinates.hinge_rad, coordinates.known
        )
    axis = np.linspace(0.0, 1.0, num_frames)
    new_axis = np.arange(0, 1, (axis[1] - axis[0]) * rate / RATE_HZ)
    pelvis_m, ball_rad, hinge_rad = (
        interpolate(part, axis, new_axis)
        for part in (coordinates.pelvis_m, coordinates.ball_rad, coordinates.hinge_rad)
    )
    new_time_s = time_s[0] + np.arange(len(new_axis)) / RATE_HZ
    return PublishedCoordinates(new_time_s, pelvis_m, ball_rad, hinge_rad, coordinates.known)


def _encoded(
    coordinates: PublishedCoordinates, trial: Trial, *, turn: np.ndarray, belt_speed_m_s: float
) -> PublishedState:
    """Of coordinates at 100 Hz in the state's frame; forces are zero and unknown."""
    height_m = trial.subject.height_m
    position = coordinates.pelvis_m - coordinates.pelvis_m[0]
    velocity = _forward_difference(_low_passed(position, PELVIS_CUTOFF_HZ)) * RATE_HZ
    velocity[:, 0] += belt_speed_m_s
    channels = dict(zip(PELVIS_TRANSLATIONS, (velocity / height_m).T, strict=True))
    for ball, angles in zip(BALLS, np.moveaxis(coordinates.ball_rad, 1, 0), strict=True):
        rotation = from_flexion_adduction_rotation(angles)
        channels.update(zip(_six_names(ball), rotation[:, :2].reshape(-1, 6).T, strict=True))
        names = (f"{ball}_{axis}_angular_vel" for axis in "xyz")
        channels.update(zip(names, _published_angular_velocity(rotation).T, strict=True))
    for hinge, angle in zip(HINGES, coordinates.hinge_rad.T, strict=True):
        frames = np.arange(len(angle))
        channels[hinge] = angle
        channels[f"{hinge}_vel"] = CubicSpline(frames, _low_passed(angle, RATE_CUTOFF_HZ))(frames, 1)
    nothing = np.zeros(len(coordinates.time_s))
    values = np.stack([channels.get(name, nothing) for name in PUBLISHED.names], axis=1).astype(np.float32)
    known = np.zeros(values.shape, dtype=bool)
    known[:, PUBLISHED.columns(sorted(coordinates.known))] = True
    frame = PublishedFrame(turn, coordinates.pelvis_m[0], height_m, trial.subject.mass_kg, belt_speed_m_s)
    return PublishedState(values, known, coordinates.time_s, frame)


def _encoded_forces(trial: Trial, forces: GroundReaction, state: PublishedState) -> tuple[np.ndarray, np.ndarray]:
    """Measured forces in the state's twelve channels, and where they are valid; both (T, 12)."""
    frame, times = state.frame, state.time_s
    hindfoot_m = hindfoot_origins(trial.skeleton, resample(trial.motion.values, trial.motion.time_s, times))
    force_n = interpolate(forces.force_n, forces.time_s, times)
    weighted = interpolate(forces.force_n[..., 1:2] * forces.cop_m, forces.time_s, times)
    from_hindfoot = weighted - force_n[..., 1:2] * hindfoot_m
    turned = np.concatenate([force_n @ frame.turn.T, from_hindfoot @ frame.turn.T / frame.height_m], axis=-1)
    is_valid = interpolate(forces.valid.astype(float), forces.time_s, times) >= 1.0
    is_valid &= ((times >= forces.time_s[0]) & (times <= forces.time_s[-1]))[:, None]
    channels = np.where(is_valid[..., None], turned / frame.mass_kg, 0.0)
    return channels.reshape(len(times), -1), np.repeat(is_valid, 6, axis=1)


def _published_angular_velocity(rotation: np.ndarray) -> np.ndarray:
    """What the authors call so, (T, 3, 3) to (T, 3): half the antisymmetric part of R[t] − R[t + 1], times the rate."""
    difference = -_forward_difference(rotation)
    twist = np.stack(
        [
            difference[:, 2, 1] - difference[:, 1, 2],
            difference[:, 0, 2] - difference[:, 2, 0],
            difference[:, 1, 0] - difference[:, 0, 1],
        ],
        axis=1,
    )
    return _low_passed(twist * RATE_HZ / 2, RATE_CUTOFF_HZ)


def _forward_difference(values: np.ndarray) -> np.ndarray:
    """Of the first axis; the last repeats the one before."""
    difference = np.diff(values, axis=0)
    return np.concatenate([difference, difference[-1:]])


def _low_passed(values: np.ndarray, cutoff_hz: float) -> np.ndarray:
    numerator, denominator = butter(FILTER_ORDER, cutoff_hz / (RATE_HZ / 2))
    return filtfilt(numerator, denominator, values, axis=0, padlen=min(FILTER_PADDING, len(values) - 1))


def _six_names(ball: str) -> tuple[str, ...]:
    return tuple(f"{ball}_{i}" for i in range(6))


def _columns(names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([PUBLISHED[name] for name in names])


def _rotation_of_six(six: np.ndarray) -> np.ndarray:
    """The rotation (T, 3, 3) whose first two rows are nearest in Gram and Schmidt's sense, the first one first."""
    first = six[:, :3] / np.linalg.norm(six[:, :3], axis=1, keepdims=True)
    second = six[:, 3:] - (first * six[:, 3:]).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=1)
