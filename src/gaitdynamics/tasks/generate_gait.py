"""New gaits of a body, with forces: nothing is known but speed, body and activity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from gaitdynamics.biomech.carried_body import with_carried_body
from gaitdynamics.biomech.flat_toes import with_flat_toes
from gaitdynamics.biomech.kinematics import (
    chain_between,
    chain_columns,
    foot_paths,
    pelvis_of,
    posed,
    with_chain_origin,
)
from gaitdynamics.biomech.standing_feet import foot_sliding, with_standing_feet
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.state.codec import State, decode_motion
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.draw_gait import RUN, WALK
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

ACTIVITIES = (WALK, RUN)
WALK_TO_RUN_M_S = 2.0  # people change over at about this speed (Hreljac 1993, Med Sci Sports Exerc 25:1158)
TRAINED_SPEEDS_M_S = {WALK: (0.7, 2.2), RUN: (2.0, 5.0)}
TRAINED_HEIGHTS_M = (1.1, 2.0)
TRAINED_BMIS_KG_M2 = (15.0, 30.0)
SPEED_RANGE_M_S = (0.2, 12.5)  # a shuffle to the fastest sprint
DURATION_RANGE_S = (1.0, 60.0)
MOST_ATTEMPTS = 3
# What slides more is drawn again: loaded feet of nine in ten training people slide less, by the same measure.
LARGEST_SLIDING_M_S = {WALK: 0.11, RUN: 0.31}
BATCH_GAITS = 16
NUM_ROUNDS = 2  # legs that stand elsewhere move the centre of mass a little
FORCE_COLUMNS = np.stack([GAIT[f"force_{side}"] for side in SIDE_NAMES])
STANCE_LOAD_BW = 0.5  # on both feet together: somebody certainly stands


class StateSampler(Protocol):
    """A generative model of gait: states of the layout GAIT, (N, T, D), one for each seed; `GaitSampler` is one."""

    def __call__(
        self,
        seeds: Sequence[Sequence[int]],
        num_frames: int,
        *,
        speed_m_s: float,
        subject: Subject,
        activity: str,
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Wish:
    """What gaits to generate.

    Args:
        speed_m_s: over the ground.
        activity: walk or run.
        duration_s: of each.

    Raises:
        InvalidMotionError: no person moves so.
    """

    speed_m_s: float
    activity: str
    duration_s: float

    def __post_init__(self) -> None:
        low, high = SPEED_RANGE_M_S
        if not low <= self.speed_m_s <= high:
            raise InvalidMotionError(
                f"the speed is {self.speed_m_s:g} m/s; people walk and run at {low:g} to {high:g} m/s. Give it in m/s."
            )
        if self.activity not in ACTIVITIES:
            raise InvalidMotionError(f"'{self.activity}' is no activity; expected {' or '.join(ACTIVITIES)}.")
        shortest, longest = DURATION_RANGE_S
        if not shortest <= self.duration_s <= longest:
            raise InvalidMotionError(
                f"the duration is {self.duration_s:g} s; expected {shortest:g} to {longest:g} s. "
                "For more of a gait, generate several."
            )

    @property
    def num_frames(self) -> int:
        """At 100 Hz, both ends included."""
        return round(self.duration_s * FRAME_RATE_HZ) + 1

    def warnings(self, subject: Subject) -> tuple[str, ...]:
        """A sentence for each way in which nobody in the training data is or moves like this."""
        bmi = subject.mass_kg / subject.height_m**2
        found = []
        for what, value, (low, high), unit in (
            (f"{self.activity} at", self.speed_m_s, TRAINED_SPEEDS_M_S[self.activity], "m/s"),
            ("are", subject.height_m, TRAINED_HEIGHTS_M, "m tall"),
            ("have a body mass index of", bmi, TRAINED_BMIS_KG_M2, "kg/m²"),
        ):
            if not low <= value <= high:
                found.append(
                    f"extrapolation: people in the training data {what} {low:g} to {high:g} {unit}, not "
                    f"{value:.3g} {unit}. The gait and its forces may be like nobody's."
                )
        return tuple(found)


@dataclass(frozen=True)
class GeneratedGait:
    """One gait: over the ground, forward along x from the origin, soles on the floor at y = 0.

    Args:
        trial: motion of the body at 100 Hz.
        prediction: its forces.
        sliding_m_s: of loaded feet over the floor, on average.
    """

    trial: Trial
    prediction: Prediction
    sliding_m_s: float


def activity_at(speed_m_s: float) -> str:
    """What people do at a speed."""
    return WALK if speed_m_s < WALK_TO_RUN_M_S else RUN


def generate_gaits(
    skeleton: Skeleton,
    subject: Subject,
    wish: Wish,
    *,
    num: int,
    sampler: StateSampler,
    estimator: Estimator,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[GeneratedGait, ...]:
    """Gaits of a body, and the forces that go with them.

    Args:
        skeleton: of the subject's mass and size.
        num: how many.
        seed: of the random numbers; the k-th gait is the same however many there are.
        report: told how many gaits there are, of how many; some are drawn again after that.

    Raises:
        InvalidMotionError: what was drawn is no gait, again and again.
    """
    best: dict[int, GeneratedGait] = {}
    wanting = list(range(num))
    for attempt in range(MOST_ATTEMPTS):
        for first in range(0, len(wanting), BATCH_GAITS):
            numbers = wanting[first : first + BATCH_GAITS]
            states = sampler(
                [(seed, k, attempt) for k in numbers],
                wish.num_frames,
                speed_m_s=wish.speed_m_s,
                subject=subject,
                activity=wish.activity,
            )
            for k, values in zip(numbers, states, strict=True):
                trial = gait_of_state(values, skeleton, subject, name=f"{wish.activity}_{k + 1}")
                try:
                    prediction = estimator(trial, seed=seed)
                except InvalidMotionError:
                    continue  # no foot stands
                gait = GeneratedGait(trial, prediction, _sliding_m_s(trial, prediction))
                if k not in best or gait.sliding_m_s < best[k].sliding_m_s:
                    best[k] = gait
                report(len(best), num)
        limit_m_s = LARGEST_SLIDING_M_S[wish.activity]
        wanting = [k for k in range(num) if k not in best or best[k].sliding_m_s > limit_m_s]
    if len(best) < num:
        raise InvalidMotionError(
            f"of {num} gaits at {wish.speed_m_s:g} m/s, {num - len(best)} were none: no foot ever stood on the "
            f"ground, in {MOST_ATTEMPTS} attempts. Ask for a speed and a body nearer to people's, or use other weights."
        )
    return tuple(best[k] for k in range(num))


def gait_of_state(values: np.ndarray, skeleton: Skeleton, subject: Subject, *, name: str) -> Trial:
    """The motion of a body that a state stands for: it moves as the state's forces say, and loaded feet stand.

    Args:
        values: of the layout GAIT, (T, D).
        skeleton: of the subject's mass and size.
        name: of the trial.
    """
    frame = ModelFrame(
        start_s=0.0,
        num_frames=len(values),
        heading=np.array([1.0, 0.0, 0.0]),
        origin_m=np.zeros(3),
        height_m=subject.height_m,
        mass_kg=subject.mass_kg,
        belt_speed_m_s=0.0,
    )
    defaults = np.tile(skeleton.default_values, (len(values), 1))
    observed = np.ones(defaults.shape, dtype=bool)  # what a generated person does is all that there is to know
    standing = Motion(frame.time_s, skeleton.with_coupled_values(defaults), skeleton.coordinate_names, observed)
    trial = Trial(name, subject, skeleton, standing, None, 0.0, "generated")
    state = State(GAIT, values, np.ones(values.shape, dtype=bool), frame.time_s)
    motion = decode_motion(state, frame, trial)

    force_n = values[:, FORCE_COLUMNS] * subject.mass_kg
    load_bw = np.maximum(force_n[:, :, 1], 0.0) / subject.body_weight_n
    moved = motion.values
    for _ in range(NUM_ROUNDS):
        carried = with_carried_body(skeleton, moved, force_n=force_n.sum(axis=1), sampling_rate_hz=FRAME_RATE_HZ)
        moved = with_standing_feet(
            skeleton,
            carried,
            is_free=np.broadcast_to(_of_legs(skeleton), carried.shape),
            load_bw=load_bw,
            sampling_rate_hz=FRAME_RATE_HZ,
            height_m=subject.height_m,
            belt_velocity_m_s=np.zeros(3),
        )
    placed = placed_on_floor(skeleton, moved, load_bw=load_bw, height_m=subject.height_m)
    rolling = with_flat_toes(skeleton, placed, height_m=subject.height_m)
    return replace(trial, motion=replace(motion, values=skeleton.with_coupled_values(rolling)))


def _sliding_m_s(trial: Trial, prediction: Prediction) -> float:
    sliding = foot_sliding(
        trial.skeleton,
        trial.motion.values,
        load_bw=prediction.forces.force_n[:, :, 1] / trial.subject.body_weight_n,
        sampling_rate_hz=FRAME_RATE_HZ,
        height_m=trial.subject.height_m,
        belt_velocity_m_s=np.zeros(3),
    )
    return float("inf") if np.isnan(sliding) else sliding


def placed_on_floor(skeleton: Skeleton, values: np.ndarray, *, load_bw: np.ndarray, height_m: float) -> np.ndarray:
    """The same motion elsewhere: the pelvis begins over the origin, and who stands does so on y = 0.

    The sole is taken to be where OpenSim's models have it: at the height of the hindfoot's origin when the model stands
    in its zero pose.

    Args:
        values: coordinates, (T, C).
        load_bw: vertical force on each foot, (T, 2).
    """
    zero_m = _feet_m(skeleton, np.zeros((1, values.shape[1])), height_m)[0]
    over_sole_m = zero_m[:, :, 1] - zero_m[:, :1, 1]
    pose = posed(skeleton, values)
    points_m = foot_paths(skeleton, pose, height_m=height_m).points_m
    lowest_m = (points_m[..., 1] - over_sole_m).min(axis=(1, 2))
    is_standing = load_bw.sum(axis=1) > STANCE_LOAD_BW
    floor_m = float(np.median(lowest_m[is_standing] if is_standing.any() else lowest_m))

    pelvis = pelvis_of(skeleton)
    pelvis_m = pose.origin_m[:, skeleton.body_index[pelvis]].numpy()
    shift_m = np.array([pelvis_m[0, 0], floor_m, pelvis_m[0, 2]])
    root = chain_between(skeleton, "ground", pelvis)
    return with_chain_origin(skeleton, values, root, pelvis_m - shift_m)


def _of_legs(skeleton: Skeleton) -> np.ndarray:
    """Coordinates of hips, knees and ankles, (C,); the pelvis' path is the forces' to say."""
    legs = np.zeros(len(skeleton.coordinates), dtype=bool)
    for foot in skeleton.feet:
        legs[chain_columns(skeleton, chain_between(skeleton, pelvis_of(skeleton), foot.hindfoot))] = True
    return legs


def _feet_m(skeleton: Skeleton, values: np.ndarray, height_m: float) -> np.ndarray:
    return foot_paths(skeleton, posed(skeleton, values), height_m=height_m).points_m
