"""A trial as what a network sees, and back."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from gaitdynamics.biomech.kinematics import (
    chain_between,
    chain_columns,
    chain_rotation,
    foot_paths,
    pelvis_of,
    posed,
    segment_rotations,
    with_chain_origin,
    with_chain_rotation,
)
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame, frame_and_pose, values_at_frames
from gaitdynamics.state.layout import GAIT, StateLayout
from gaitdynamics.state.links import links, pelvis_columns
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Pose, Skeleton, once_per_skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, SIDES

PELVIS_GROUPS = frozenset({"pelvis_velocity", "pelvis_height", "pelvis_rotation"})  # where the pelvis is hangs on all
NUDGE_RAD = 0.1  # by which a coordinate is turned, to see which angle it is


@dataclass(frozen=True)
class State:
    """What a network sees of a trial.

    Args:
        layout: of the columns.
        values: (T, D); 0 where a group has no value at all.
        known: False where the value is a default, (T, D).
        time_s: 100 Hz, (T,).
    """

    layout: StateLayout
    values: np.ndarray
    known: np.ndarray
    time_s: np.ndarray


def encode(trial: Trial, *, floor_m: float = 0.0) -> tuple[State, ModelFrame]:
    """A trial at 100 Hz in heading axes, per mass and height: the channels of the layout GAIT.

    Args:
        trial: with or without forces.
        floor_m: height of the floor over the ground frame's origin.

    Returns:
        The state in float64, and the frame that leads back.

    Raises:
        InvalidModelError: the model lacks legs or feet.
    """
    frame, pose = frame_and_pose(trial, floor_m=floor_m)
    skeleton, motion = trial.skeleton, trial.motion
    segments = segment_rotations(skeleton, pose)
    values = np.zeros((frame.num_frames, len(GAIT)))
    known = np.zeros(values.shape, dtype=bool)

    pelvis = skeleton.body_index[pelvis_of(skeleton)]
    place = frame.apply(pose.origin_m[:, pelvis].numpy())
    steps = np.diff(place[:, [0, 2]], axis=0) * FRAME_RATE_HZ
    values[:, GAIT["pelvis_velocity"]] = np.concatenate([steps, steps[-1:]])
    values[:, GAIT["pelvis_height"]] = place[:, 1:2]
    turned = frame.to_heading(segments[:, pelvis].swapaxes(-1, -2)).swapaxes(-1, -2)
    values[:, GAIT["pelvis_rotation"]] = turned[:, :2].reshape(-1, 6)
    for link in links(skeleton):
        values[:, GAIT[link.group]] = link.angles(chain_rotation(skeleton, segments, link.chain))

    for channel, columns in _columns_of_channels(skeleton).items():
        seen = np.all(motion.observed[:, columns], axis=1, keepdims=True)
        known[:, [channel]] = frame.holds_at_frames(seen, motion.time_s)
    if trial.forces is not None:
        heel_m = _heels(trial, pose)
        for side in range(len(SIDES)):
            foot = _foot_columns(GAIT, side)
            values[:, foot], known[:, foot] = _encoded_force(trial.forces, side, frame, heel_m[:, side])
    return State(GAIT, values, known, frame.time_s), frame


def decode(state: State, frame: ModelFrame, trial: Trial) -> tuple[Motion, GroundReaction]:
    """The inverse of `encode`: motion and forces at the trial's own times, in its model's coordinates.

    Args:
        state: of the layout GAIT.
        frame: of the trial.
        trial: whose model, times and remaining coordinates are used; its forces are not looked at.
    """
    motion = decode_motion(state, frame, trial)
    return motion, decode_forces(state, frame, replace(trial, motion=motion))


def decode_motion(state: State, frame: ModelFrame, trial: Trial, *, groups: Collection[str] = GAIT.groups) -> Motion:
    """Coordinates under which the trial's model moves as a state says.

    Pelvis, trunk, hips, knees and ankles follow the state. Coordinates that it does not hold (arms, toes), and those
    that the model locks, stay as they are in the trial; coupled ones follow their drivers. What a trial of more than
    100 Hz has between the frames stays too: the state's difference from the trial is what is added to it.

    Args:
        state: of the layout GAIT.
        frame: of the trial.
        trial: its motion gives times, and the coordinates from which the search starts.
        groups: of the state that are decoded; what belongs to others stays as it is in the trial.
    """
    layout, content = state.layout, state.values.astype(np.float64)
    skeleton, motion = trial.skeleton, trial.motion
    start = values_at_frames(trial, frame)

    root = chain_between(skeleton, "ground", pelvis_of(skeleton))
    chains, values = [], start
    if "pelvis_rotation" in groups:
        turned = _orthonormal(content[:, layout["pelvis_rotation"]].reshape(-1, 2, 3))
        in_ground = frame.to_ground(turned.swapaxes(-1, -2)).swapaxes(-1, -2)
        values = with_chain_rotation(skeleton, values, root, in_ground)
        chains.append(root)
    for link in links(skeleton):
        if link.group in groups:
            rotation = link.rotation(content[:, layout[link.group]])
            values = with_chain_rotation(skeleton, values, link.chain, rotation)
            chains.append(link.chain)
    turning = [column for chain in chains for column in chain_columns(skeleton, chain)]
    is_angle = np.array([coordinate.is_rotational for coordinate in skeleton.coordinates])
    angles = [column for column in turning if is_angle[column]]
    values = values.copy()
    values[:, angles] = np.unwrap(values[:, angles], axis=0)

    sliding = []
    if not PELVIS_GROUPS.isdisjoint(groups):
        place = np.zeros((len(values), 3))
        steps = content[:-1, layout["pelvis_velocity"]] / FRAME_RATE_HZ
        place[1:, [0, 2]] = np.cumsum(steps, axis=0)
        place[:, 1] = content[:, layout["pelvis_height"]][:, 0]
        values = with_chain_origin(skeleton, values, root, frame.undo(place))
        sliding = chain_columns(skeleton, root, is_sliding=True)

    moved = sorted({*turning, *sliding})
    result = motion.values.copy()
    result[:, moved] += frame.at_times(values[:, moved] - start[:, moved], motion.time_s)
    return replace(motion, values=skeleton.with_coupled_values(result))


def decode_forces(state: State, frame: ModelFrame, trial: Trial) -> GroundReaction:
    """Ground reaction of a state at the trial's own times, in the ground frame.

    A foot without force at two frames has none between them. Below the contact threshold, where a quotient of small
    numbers would be noise, the centre of pressure goes to the heel.

    Args:
        state: of the layout GAIT.
        frame: of the trial.
        trial: its motion says where the feet are.
    """
    layout, times = state.layout, trial.motion.time_s
    heel_m = _heels(trial, posed(trial.skeleton, values_at_frames(trial, frame)))
    force_n, cop_m, free_moment_nm, valid = [], [], [], []
    for side in range(len(SIDES)):
        columns = _foot_columns(layout, side)
        loads = _loads_of_channels(state.values[:, columns].astype(np.float64), frame)
        is_still = (loads == 0.0).all(axis=1, keepdims=True)
        at_times = np.where(frame.holds_at_times(is_still, times), 0.0, frame.at_times(loads, times))
        force, lever, free_moment = _parts(at_times)
        force_n.append(force)
        heel_at_times_m = frame.at_times(heel_m[:, side], times)
        cop_m.append(heel_at_times_m + lever / np.maximum(force[:, 1:2], CONTACT_FORCE_N))
        free_moment_nm.append(free_moment[:, 0])
        valid.append(frame.holds_at_times(state.known[:, columns], times).all(axis=1))
    return GroundReaction(
        time_s=times,
        force_n=np.stack(force_n, axis=1),
        cop_m=np.stack(cop_m, axis=1),
        free_moment_nm=np.stack(free_moment_nm, axis=1),
        valid=np.stack(valid, axis=1),
    )


def completed_columns(trial: Trial) -> np.ndarray:
    """Which values a state decides that were not observed, (T, C).

    They are those of pelvis, trunk, hips, knees and ankles. A coordinate that was never observed, of a joint beyond one
    that was, is not among them (a subtalar joint held at zero), nor are those that the model locks or couples.
    """
    skeleton, motion = trial.skeleton, trial.motion
    columns: set[int] = {column for found in pelvis_columns(skeleton).values() for column in found}
    result = np.zeros(motion.values.shape, dtype=bool)
    for link in links(skeleton):
        first = chain_columns(skeleton, link.chain[:1])
        columns |= set(first)
        is_ever_seen = bool(motion.observed[:, first].any())
        for column in set(chain_columns(skeleton, link.chain)) - set(first):
            if motion.observed[:, column].any() or not is_ever_seen:
                columns.add(column)
    for column in columns:
        result[:, column] = ~motion.observed[:, column]
    return result


@once_per_skeleton
def _columns_of_channels(skeleton: Skeleton) -> dict[int, list[int]]:
    """Which coordinates must be observed for a channel to be known; channels that hang on none are left out.

    Of a joint with several coordinates, each belongs to the canonical angle that it changes most.
    """
    found = {
        int(channel): columns
        for group, columns in pelvis_columns(skeleton).items()
        for channel in GAIT[group]
        if columns
    }
    zero = np.zeros(len(skeleton.coordinates))
    for link in links(skeleton):
        columns = chain_columns(skeleton, link.chain[:1])
        if not columns:
            continue
        values = np.stack([zero, *(np.where(np.arange(len(zero)) == column, NUDGE_RAD, zero) for column in columns)])
        rotation = chain_rotation(skeleton, segment_rotations(skeleton, posed(skeleton, values)), link.chain)
        angles = link.angles(rotation)
        main = np.abs(angles[1:] - angles[0]).argmax(axis=1)
        for k, channel in enumerate(GAIT[link.group]):
            own = [column for column, angle in zip(columns, main, strict=True) if angle == k]
            found[int(channel)] = own or columns
    return found


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) from estimates of their first two rows (T, 2, 3)."""
    first = rows[:, 0] / np.linalg.norm(rows[:, 0], axis=-1, keepdims=True)
    second = rows[:, 1] - (rows[:, 1] * first).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _heels(trial: Trial, pose: Pose) -> np.ndarray:
    """(T, 2, 3)."""
    return foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m).points_m[:, :, 0]


def _foot_columns(layout: StateLayout, side: int) -> np.ndarray:
    name = SIDE_NAMES[side]
    return np.concatenate([layout[f"{group}_{name}"] for group in ("force", "pressure", "free_moment")])


def _encoded_force(
    forces: GroundReaction, side: int, frame: ModelFrame, heel_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Channels of a foot's force and whether they are known, (T, 7) each."""
    margin_s = 1.0 / FRAME_RATE_HZ
    ends = np.searchsorted(forces.time_s, [frame.time_s[0] - margin_s, frame.time_s[-1] + margin_s])
    during = slice(*ends)
    times, valid = forces.time_s[during], forces.valid[during, side]
    channels = np.zeros((frame.num_frames, 7))
    if len(times) < 2 or not valid.any():
        return channels, np.zeros(channels.shape, dtype=bool)
    force = forces.force_n[during, side]
    lever = np.where(force[:, 1:2] != 0.0, forces.cop_m[during, side] - frame.at_times(heel_m, times), 0.0)
    loads = np.concatenate([force, lever * force[:, 1:2], forces.free_moment_nm[during, side][:, None]], axis=1)
    loads = np.where(valid[:, None], loads, 0.0)
    is_still = frame.holds_at_frames((force == 0.0).all(axis=1, keepdims=True), times)[:, 0]
    known = frame.holds_at_frames(valid[:, None], times)
    at_frames = np.where(known, frame.at_frames(loads, times, is_known=valid, is_zero=is_still), 0.0)
    return _channels_of_loads(at_frames, frame), np.repeat(known, 7, axis=1)


def _parts(loads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Force, place of the pressure (from the heel) times vertical force, free moment."""
    return loads[:, :3], loads[:, 3:6], loads[:, 6:]


def _channels_of_loads(loads: np.ndarray, frame: ModelFrame) -> np.ndarray:
    """N and N m in the ground frame (T, 7) to the seven channels of a foot."""
    force, lever, free_moment = _parts(loads)
    per_height = 1.0 / frame.height_m
    parts = [frame.to_heading(force), frame.to_heading(lever) * per_height, free_moment * per_height]
    return np.concatenate(parts, axis=1) / frame.mass_kg


def _loads_of_channels(channels: np.ndarray, frame: ModelFrame) -> np.ndarray:
    """The inverse of `_channels_of_loads`."""
    force, lever, free_moment = _parts(channels * frame.mass_kg)
    parts = [frame.to_ground(force), frame.to_ground(lever) * frame.height_m, free_moment * frame.height_m]
    return np.concatenate(parts, axis=1)
