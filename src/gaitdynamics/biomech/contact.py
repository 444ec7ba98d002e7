"""When each foot is on the ground, how fast the ground moves, and where it is: from foot kinematics alone."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.kinematics import FootPath
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.maths.signals import derivative, intervals, smooth
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

# Chosen on the training people of the development data (docs/method.md): on the median over people foot strikes and
# toe-offs come within 5 ms of the force plate's, walking and running.
FOOT_CUTOFF_HZ = 20.0  # for the positions of heel and toe
RESTING_PERCENTILE = 5.0  # the height at which a point of the foot rests
HEEL_HEIGHT_M = 0.03  # above its resting height a heel is off the ground
TOE_JOINT_HEIGHT_M = 0.06  # the toes are still on it when the toe joint has risen by this
STRIKE_SPEED = 0.5  # of gait speed: a foot has landed when it is slower than this over the ground
LEAVE_SPEED_M_S = 1.1  # a foot has left when it is faster than this and the next
LEAVE_SPEED = 0.08  # of gait speed
GAIT_SPEED_CUTOFF_HZ = 0.5  # gait speed changes over strides, not within them
MIN_GAIT_SPEED_M_S = 0.6  # for the thresholds, when a person stands or strolls
MIN_STANCE_S = 0.06
MAX_DROPOUT_S = 0.04
STANDING_HEIGHT_M = 0.015  # above its resting height a point of the foot stands on the belt
OVERGROUND_SPEED_M_S = 0.2  # an inferred belt slower than this is a floor
FLIGHT_FORCE_BW = 0.5  # a time without contact is a flight only if the body falls: total force below this
FALL_CUTOFF_HZ = 8.0  # for the height of the centre of mass, to tell that
RUNNING_FLIGHT_SHARE = 0.02  # of the time; a gait with more flight than this is running
FLOOR_RANGE_M = (
    -0.06,
    0.10,
)  # resting height of the heel's origin over the floor at y = 0, in laboratories' data


@dataclass(frozen=True)
class Contact:
    """What the ground and the feet do.

    Args:
        is_down: feet on the ground, ordered right, left, (T, 2).
        is_flight: no foot is, and the body falls, (T,).
        belt_speed_m_s: of the ground, against the heading.
        floor_m: height of the ground.
    """

    is_down: np.ndarray
    is_flight: np.ndarray
    belt_speed_m_s: float
    floor_m: float

    @property
    def is_running(self) -> bool:
        """More than a stumble is in the air."""
        return bool(self.is_flight.mean() > RUNNING_FLIGHT_SHARE)


def smoothed_path(path: FootPath, *, sampling_rate_hz: float) -> FootPath:
    """Heel and toe joint without the noise that a contact detector would trip over."""
    cutoff = min(FOOT_CUTOFF_HZ, 0.4 * sampling_rate_hz)
    return FootPath(smooth(path.points_m, cutoff_hz=cutoff, sampling_rate_hz=sampling_rate_hz), path.length_m)


def infer_belt_speed(path: FootPath, heading: np.ndarray, *, sampling_rate_hz: float) -> float:
    """Speed of the ground against the heading, m/s: that of the feet while they rest on it; 0 overground."""
    velocity = derivative(path.points_m, sampling_rate_hz=sampling_rate_hz) @ heading
    is_low = _height_over_rest(path) < STANDING_HEIGHT_M
    speed = -float(np.median(velocity[is_low]))
    return speed if abs(speed) > OVERGROUND_SPEED_M_S else 0.0


def detect_contact(
    path: FootPath,
    com_m: np.ndarray,
    *,
    heading: np.ndarray,
    belt_speed_m_s: float,
    sampling_rate_hz: float,
) -> Contact:
    """Feet on the ground and flights.

    A foot lands when a point of its sole is low and slow over the ground, and leaves when none is low and tolerably
    slow any more. A time without any foot down is a flight if the body falls meanwhile; otherwise the last foot is
    taken to stay until the next one lands.

    Args:
        path: heel and toe joint, smoothed.
        com_m: centre of mass of the whole body, (T, 3).
        heading: unit vector, (3,).

    Raises:
        InvalidMotionError: no foot ever rests.
    """
    com_velocity = derivative(com_m, sampling_rate_hz=sampling_rate_hz) + belt_speed_m_s * heading
    steady = smooth(com_velocity[:, [0, 2]], cutoff_hz=GAIT_SPEED_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz)
    speed = np.maximum(np.linalg.norm(steady, axis=-1), MIN_GAIT_SPEED_M_S)[:, None, None]
    velocity = derivative(path.points_m, sampling_rate_hz=sampling_rate_hz) + belt_speed_m_s * heading
    over_ground = np.linalg.norm(velocity, axis=-1)
    is_low = _height_over_rest(path) < np.array([HEEL_HEIGHT_M, TOE_JOINT_HEIGHT_M])
    can_land = (is_low & (over_ground < STRIKE_SPEED * speed)).any(axis=-1)
    can_stay = (is_low & (over_ground < LEAVE_SPEED_M_S + LEAVE_SPEED * speed)).any(axis=-1)
    is_down = np.stack([_stances(can_land[:, f], can_stay[:, f], sampling_rate_hz) for f in range(2)], axis=1)
    if not is_down.any():
        raise InvalidMotionError(
            "no foot ever rests on the ground in this motion, so no ground reaction force can be assigned. "
            "Expected walking, running or standing; check the units of the angles, the model, and --belt-speed."
        )
    is_flight = _flights(is_down, com_m[:, 1], sampling_rate_hz)
    is_down = _without_gaps(is_down, is_flight)
    return Contact(is_down, is_flight, belt_speed_m_s, _floor(path))


def _height_over_rest(path: FootPath) -> np.ndarray:
    height = path.points_m[..., 1]
    return height - np.percentile(height, RESTING_PERCENTILE, axis=0)


def _stances(can_land: np.ndarray, can_stay: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    closed = can_stay.copy()
    for start, end in intervals(~can_stay):
        if start > 0 and end < len(can_stay) and end - start <= MAX_DROPOUT_S * sampling_rate_hz:
            closed[start:end] = True
    is_down = np.zeros(len(can_stay), dtype=bool)
    for start, end in intervals(closed):
        landings = np.flatnonzero(can_land[start:end])
        if len(landings) == 0:
            continue
        first = start if start == 0 else start + landings[0]
        is_cut = first == 0 or end == len(can_stay)
        if is_cut or end - first >= MIN_STANCE_S * sampling_rate_hz:
            is_down[first:end] = True
    return is_down


def _flights(is_down: np.ndarray, height_m: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Times without contact during which the body falls, by the mean acceleration over each."""
    is_flight = np.zeros(len(is_down), dtype=bool)
    steady = smooth(height_m, cutoff_hz=FALL_CUTOFF_HZ, sampling_rate_hz=sampling_rate_hz)
    velocity = derivative(steady, sampling_rate_hz=sampling_rate_hz)
    for start, end in intervals(~_any_foot(is_down)):
        last = min(end, len(velocity) - 1)
        if last <= start:
            continue
        acceleration = (velocity[last] - velocity[start]) * sampling_rate_hz / (last - start)
        if 1 + acceleration / STANDARD_GRAVITY_M_S2 < FLIGHT_FORCE_BW:
            is_flight[start:end] = True
    return is_flight


def _without_gaps(is_down: np.ndarray, is_flight: np.ndarray) -> np.ndarray:
    """Every frame that is no flight has a foot down: the last one stays, or the first one is there already."""
    filled = is_down.copy()
    for start, end in intervals(~_any_foot(is_down) & ~is_flight):
        if start > 0 and not is_flight[start - 1]:
            filled[start:end] = filled[start - 1]
        elif end < len(filled):
            filled[start:end] = filled[end]
    return filled


def _any_foot(is_down: np.ndarray) -> np.ndarray:
    return is_down[:, 0] | is_down[:, 1]


def _floor(path: FootPath) -> float:
    """0 where the laboratory's floor is; else under the resting heels, to the thickness of a shoe."""
    heel_m = float(np.median(np.percentile(path.points_m[:, :, 0, 1], RESTING_PERCENTILE, axis=0)))
    low, high = FLOOR_RANGE_M
    return 0.0 if low < heel_m < high else heel_m - (low + high) / 2
