"""Stretches of real and of generated gait, made alike, and what is measured of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from gaitdynamics.biomech.anthropometry import with_trunk
from gaitdynamics.biomech.events import Stance, stances
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, posed
from gaitdynamics.biomech.realism import mean_vertical_bw, newton_euler_residual
from gaitdynamics.biomech.standing_feet import foot_sliding
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.study import StudyTrial
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import interpolate, resample, smooth
from gaitdynamics.state.frame import FRAME_RATE_HZ
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.tasks.generate_gait import GeneratedGait
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

ACTIVITIES = ("walk", "run")
# Of the knee flexion alone: what else it does is a function of that in some models, and nothing in the bundled body.
ANGLES = [
    channel.name
    for channel in GAIT.channels
    if channel.unit == "rad" and (not channel.group.startswith("knee") or channel.name.endswith("flexion"))
]
WINDOW_S = 5.0
LEAST_S = 0.4
MOST_WINDOWS = 3  # of one recording
EDGE_FRAMES = 10  # at either end of a window the smoothing of the motion is not to be trusted
AROUND_S = 0.8  # before and after a window, for stances that it cuts
LEAST_INSIDE = 0.6  # of a stance: of the rest, the foot's own plate still measures the force
LEAST_STEPS = 5  # to have a spread
LOADING_SHARE = 0.5  # of a stance, in which the force rises fastest
LOADING_CUTOFF_HZ = 20.0
STANCE_FEATURES = (
    "peak vertical, BW",
    "vertical at mid-stance, BW",
    "vertical impulse, BW s",
    "contact time, s",
    "loading rate, BW/s",
    "peak braking, BW",
    "peak propulsion, BW",
    "medial impulse, BW s",
)
STEP_SPREADS = ("step time, s", "step length, m", "peak vertical, BW")


@dataclass(frozen=True)
class Forces:
    """Of one window, at 100 Hz.

    Args:
        inside: at the times of its motion.
        around: from a little before to a little after it, as far as there are any.
    """

    inside: GroundReaction
    around: GroundReaction


@dataclass(frozen=True)
class Window:
    """Up to five seconds of a person's gait at 100 Hz.

    Args:
        person: the same for all windows of a person.
        activity: walk or run.
        trial: motion, without forces; its skeleton has a trunk.
        belt_speed_m_s: of the ground against the heading.
        measured: forces; None for a generated gait.
        estimated: forces by the estimator.
    """

    person: str
    activity: str
    trial: Trial
    belt_speed_m_s: float
    measured: Forces | None
    estimated: Forces

    @cached_property
    def heading(self) -> np.ndarray:
        return heading_of(self.trial.skeleton, posed(self.trial.skeleton, self.trial.motion.values))


@dataclass(frozen=True)
class Collection:
    """People of one kind: windows, the forces to judge them by, and their states.

    Args:
        name: in the tables.
        windows: all of them.
        states: (T, D) by activity and person; NaN where not known.
    """

    name: str
    windows: list[Window]
    forces: Callable[[Window], Forces | None]
    states: dict[str, dict[str, np.ndarray]]

    def of(self, activity: str) -> list[tuple[Window, Forces]]:
        pairs = ((window, self.forces(window)) for window in self.windows if window.activity == activity)
        return [(window, forces) for window, forces in pairs if forces is not None]


def real_windows(study_trials: Sequence[StudyTrial], estimator: Estimator) -> Iterator[Window]:
    """The valid stretches of measured trials, at most three of each; trials that can't be estimated are left out."""
    for study_trial in study_trials:
        try:
            trial = load_trial(study_trial)
            prediction = estimator(trial)
        except GaitDynamicsError:
            continue
        skeleton, _ = with_trunk(trial.skeleton, trial.motion, height_m=trial.subject.height_m)
        skeleton = skeleton.scaled_to(trial.subject.mass_kg)
        for start, end in _stretches(study_trial, trial):
            time_s = start + np.arange(int((end - start) * FRAME_RATE_HZ + 1e-6) + 1) / FRAME_RATE_HZ
            values = resample(trial.motion.values, trial.motion.time_s, time_s)
            observed = np.repeat(trial.motion.observed.all(axis=0)[None], len(time_s), axis=0)
            motion = replace(trial.motion, time_s=time_s, values=values, observed=observed)
            yield Window(
                study_trial.group,
                study_trial.activity,
                replace(trial, skeleton=skeleton, motion=motion, forces=None),
                prediction.belt_speed_m_s,
                None if trial.forces is None else _forces(trial.forces, time_s),
                _forces(prediction.forces, time_s),
            )


def generated_window(gait: GeneratedGait, *, person: str, activity: str) -> Window:
    """A generated gait as a window like the real ones."""
    forces = gait.prediction.forces
    return Window(person, activity, gait.trial, 0.0, None, Forces(forces, forces))


def residuals_pct(window: Window, forces: Forces) -> tuple[float, float]:
    """Newton–Euler residuals, root mean square of the vectors: force in % BW, moment in % BW times height."""
    trial = window.trial
    residual = newton_euler_residual(trial.skeleton, trial.motion.values, forces.inside, time_s=trial.motion.time_s)
    inner = slice(EDGE_FRAMES, -EDGE_FRAMES)
    force, moment = (
        float(np.sqrt((part[inner] ** 2).sum(axis=1).mean())) for part in (residual.force_n, residual.moment_nm)
    )
    weight_n = trial.subject.body_weight_n
    return 100 * force / weight_n, 100 * moment / (weight_n * trial.subject.height_m)


def mean_vertical(window: Window, forces: Forces) -> float:
    """Over whole strides, BW; NaN where there is none."""
    mean_bw = mean_vertical_bw(forces.inside, body_weight_n=window.trial.subject.body_weight_n)
    return float("nan") if mean_bw is None else mean_bw


def sliding_m_s(window: Window, forces: Forces) -> float:
    """Of loaded feet over the ground."""
    trial = window.trial
    return foot_sliding(
        trial.skeleton,
        trial.motion.values,
        load_bw=forces.inside.force_n[:, :, 1] / trial.subject.body_weight_n,
        sampling_rate_hz=FRAME_RATE_HZ,
        height_m=trial.subject.height_m,
        belt_velocity_m_s=-window.belt_speed_m_s * window.heading,
    )


def speed_m_s(window: Window) -> float:
    """Over the ground, from the first to the last frame."""
    trial = window.trial
    com_m = trial.skeleton.centre_of_mass(posed(trial.skeleton, trial.motion.values)).numpy()
    duration_s = float(trial.motion.time_s[-1] - trial.motion.time_s[0])
    return float((com_m[-1] - com_m[0]) @ window.heading / duration_s + window.belt_speed_m_s)


def step_spreads(window: Window, forces: Forces) -> np.ndarray | None:
    """Standard deviations over the steps of a window, in the order of STEP_SPREADS; None with too few steps.

    Right and left steps are taken apart: a limp is no variability.
    """
    trial, found = window.trial, stances(forces.inside)
    pose = posed(trial.skeleton, trial.motion.values)
    heel = foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m).points_m[:, :, 0]
    time_s = trial.motion.time_s
    along = heel @ window.heading + window.belt_speed_m_s * (time_s - time_s[0])[:, None]
    landed = [stance for stance in found if stance.start > 0]
    steps: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for before, after in pairwise(landed):
        if before.foot != after.foot:
            length = along[after.start, after.foot] - along[after.start, before.foot]
            steps[after.foot].append((time_s[after.start] - time_s[before.start], length))
    vertical_bw = forces.inside.force_n[:, :, 1] / trial.subject.body_weight_n
    whole = [stance for stance in found if stance.is_whole]
    peaks = {foot: [vertical_bw[s.start : s.end, foot].max() for s in whole if s.foot == foot] for foot in (0, 1)}
    if min(map(len, steps.values())) * 2 < LEAST_STEPS or min(map(len, peaks.values())) < 2:
        return None
    timing = np.mean([np.std(steps[foot], axis=0, ddof=1) for foot in (0, 1)], axis=0)
    return np.array([*timing, np.mean([np.std(peaks[foot], ddof=1) for foot in (0, 1)])])


def kinetic_features(window: Window, forces: Forces) -> np.ndarray:
    """Features of each stance, in the order of STANCE_FEATURES, (N, 8)."""
    around, time_s = forces.around, window.trial.motion.time_s
    is_inside = (around.time_s >= time_s[0] - 1e-9) & (around.time_s <= time_s[-1] + 1e-9)
    rows = [
        _stance_features(window, around, stance)
        for stance in stances(around)
        if stance.is_whole and is_inside[stance.start : stance.end].mean() >= LEAST_INSIDE
    ]
    return np.array(rows).reshape(-1, len(STANCE_FEATURES))


def _stance_features(window: Window, forces: GroundReaction, stance: Stance) -> list[float]:
    during, weight_n = slice(stance.start, stance.end), window.trial.subject.body_weight_n
    forward, up, right = (forces.force_n[during, stance.foot] @ heading_axes(window.heading).T / weight_n).T
    smoothed = smooth(forces.force_n[:, stance.foot, 1], cutoff_hz=LOADING_CUTOFF_HZ, sampling_rate_hz=FRAME_RATE_HZ)
    rise = np.gradient(smoothed)[during] * FRAME_RATE_HZ / weight_n
    step_s = 1 / FRAME_RATE_HZ
    return [
        up.max(),
        up[len(up) // 2],
        up.sum() * step_s,
        len(up) * step_s,
        rise[: max(int(LOADING_SHARE * len(up)), 1)].max(),
        forward.min(),
        forward.max(),
        (-right if stance.foot == 0 else right).sum() * step_s,
    ]


def _stretches(study_trial: StudyTrial, trial: Trial) -> list[tuple[float, float]]:
    found = []
    for start, end in study_trial.forces_valid_s:
        first, last = max(start, trial.motion.time_s[0]), min(end, trial.motion.time_s[-1])
        num = max(int((last - first) / WINDOW_S), 1)
        for k in range(num):
            begin = first + k * WINDOW_S
            if min(begin + WINDOW_S, last) - begin >= LEAST_S:
                found.append((begin, min(begin + WINDOW_S, last)))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(MOST_WINDOWS, len(found))).round().astype(int))
    return [found[k] for k in chosen]


def _forces(forces: GroundReaction, time_s: np.ndarray) -> Forces:
    margin = np.arange(1, round(AROUND_S * FRAME_RATE_HZ) + 1) / FRAME_RATE_HZ
    wide_s = np.concatenate([time_s[0] - margin[::-1], time_s, time_s[-1] + margin])
    return Forces(
        _at(forces, time_s), _at(forces, wide_s[(wide_s >= forces.time_s[0]) & (wide_s <= forces.time_s[-1])])
    )


def _at(forces: GroundReaction, time_s: np.ndarray) -> GroundReaction:
    def moved(values: np.ndarray) -> np.ndarray:
        return interpolate(values, forces.time_s, time_s)

    return GroundReaction(
        time_s=time_s,
        force_n=moved(forces.force_n),
        cop_m=moved(forces.cop_m),
        free_moment_nm=moved(forces.free_moment_nm),
        valid=np.ones((len(time_s), 2), dtype=bool),
    )
