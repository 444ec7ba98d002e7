"""Which parts of a recording can be learned from: one function for each thing that goes wrong, with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.anthropometry import trunk_joint
from gaitdynamics.biomech.kinematics import TURN_RAD, pelvis_of, posed, rotation_in_parent, segment_rotations
from gaitdynamics.io.study import Interval
from gaitdynamics.maths.rotations import rotation_vector
from gaitdynamics.maths.signals import intervals, smooth
from gaitdynamics.training.evidence import Evidence, level_of, within
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N
from gaitdynamics.units import DEGREES_PER_RADIAN

CARRIED_BW = 0.5  # the body is on the ground when its motion asks for more than this
LONGEST_SILENCE_S = 0.05  # of the plates while the body is carried: beyond any error in the instants of contact
LOADED_BW = 0.1  # vertical force above which a centre of pressure means something
FARTHEST_COP_M = 0.20  # from heel to toe joint: toes, heel pad, shoe and model reach to 0.10 m
LONGEST_FAR_COP_S = 0.03  # at a strike and a toe-off it may jump
FAR_COP_SHARE = 0.3  # of a stance: beyond it all of the stance is bad
LONGEST_CONTRADICTION_S = 0.1  # of force on a foot in the air: contacts of the motion err by less
DOUBLE_SUPPORT_S = 0.15  # on both sides of it, where the other foot's force is wrong too
FASTEST_TURN_RAD_S = 45.0  # of a segment; a sprinter's shank reaches 20 and foot 30
NOISE_CUTOFF_HZ = 20.0  # gait has next to nothing above it (Winter 2009, ch. 3), noise of markers has
NOISE_WINDOW_S = 0.25
LARGEST_NOISE_RAD = 0.035  # rms about the smoothed orientation: millimetres at both ends of a shank
LARGEST_NOISE_M = 0.01  # of the pelvis
MOTION_MARGIN_S = 0.1  # around a jump, which smoothing spreads
LARGEST_LUMBAR_RAD = np.pi / 3  # lumbar and thoracic joints together bend this far at the end of their range
MISMATCH_WINDOW_S = 0.5
LARGEST_MISMATCH_BW = 0.45  # mean over the window of the distance between measured and Newton–Euler force
WRONG_MASS = 0.12  # mean vertical force is body weight, but for plates out of calibration (2 to 5 %)
LEAST_KEPT_S = 0.25  # of valid force: less is not even a stance
LEAST_KEPT_SHARE = 0.4  # of the force that a study states as valid: what is mostly bad is not trusted in the rest


@dataclass(frozen=True)
class Excluded:
    """A recording that is left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """What a rule found wrong.

    Args:
        reason: one clause, for the report.
        spans_s: when, by the forces' clock; None for the whole recording.
        is_note: nothing is left out for it, but the recording says so, and a recipe may pass it over.
    """

    reason: str
    spans_s: tuple[Interval, ...] | None = None
    is_note: bool = False


Rule = Callable[[Evidence], Finding | None]


def missing_flags(evidence: Evidence) -> Finding | None:
    """Force is stated to be valid where a number is missing, or where no plate carries a body that is on the ground."""
    body_weight_n = evidence.trial.subject.body_weight_n
    is_missing = evidence.is_stated & ~evidence.is_valid
    is_silent = evidence.is_valid & (evidence.total_n[:, 1] < CONTACT_FORCE_N)
    is_silent &= evidence.expected_n[:, 1] > CARRIED_BW * body_weight_n
    for span in _lasting(is_silent, evidence.forces.time_s, longer_than_s=LONGEST_SILENCE_S):
        is_missing[span] = True
    return _finding(evidence, is_missing, "no force measured while the body is on the ground")


def cop_far_from_foot(evidence: Evidence) -> Finding | None:
    """The centre of pressure of a loaded foot lies elsewhere than under it."""
    heel, toe = evidence.feet_m[:, :, 0], evidence.feet_m[:, :, 1]
    distance_m = _distance_to_segment(evidence.forces.cop_m, heel, toe)
    is_loaded = evidence.is_valid[:, None] & (evidence.vertical_bw > LOADED_BW)
    is_far = is_loaded & ~(distance_m < FARTHEST_COP_M)
    bad = np.zeros(len(is_far), dtype=bool)
    for foot in range(2):
        for span in _lasting(is_far[:, foot], evidence.forces.time_s, longer_than_s=LONGEST_FAR_COP_S):
            stance = _run_around(is_loaded[:, foot], span)
            bad[stance if is_far[stance, foot].mean() > FAR_COP_SHARE else span] = True
    return _finding(evidence, bad, f"centre of pressure more than {FARTHEST_COP_M:.2f} m from the foot")


def wrong_foot(evidence: Evidence) -> Finding | None:
    """The foot that the force is given to is in the air, and the other one is on the ground."""
    time_s = evidence.forces.time_s
    bad = np.zeros(len(time_s), dtype=bool)
    for foot in range(2):
        is_loaded = evidence.is_valid & (evidence.vertical_bw[:, foot] > LOADED_BW)
        is_contradicted = is_loaded & ~evidence.is_down[:, foot] & evidence.is_down[:, 1 - foot]
        for span in _lasting(is_contradicted, time_s, longer_than_s=LONGEST_CONTRADICTION_S):
            around = (time_s >= time_s[span][0] - DOUBLE_SUPPORT_S) & (time_s <= time_s[span][-1] + DOUBLE_SUPPORT_S)
            bad |= is_loaded & around
    return _finding(evidence, bad, "force on a foot that is in the air while the other is down")


def suspect_motion(evidence: Evidence) -> Finding | None:
    """The study itself does not trust its motion there."""
    spans = tuple((start + evidence.lag_s, end + evidence.lag_s) for start, end in evidence.suspect_s)
    return Finding("the study marks the motion as suspect", spans) if spans else None


def jitter(evidence: Evidence) -> Finding | None:
    """Segments jump or tremble as no body does."""
    trial = evidence.trial
    motion, skeleton = trial.motion, trial.skeleton
    rate_hz = motion.sampling_rate_hz
    pose = posed(skeleton, motion.values)
    segments = sorted({skeleton.body_index[j.child] for f in skeleton.feet for j in skeleton.path_to_root(f.hindfoot)})
    rotation = pose.rotation.numpy()[:, segments]
    pelvis_m = pose.origin_m.numpy()[:, skeleton.body_index[pelvis_of(skeleton)]]
    turn = np.linalg.norm(rotation_vector(rotation[1:] @ rotation[:-1].swapaxes(-1, -2)), axis=-1).max(axis=1)
    is_jump = np.concatenate([[False], turn * rate_hz > FASTEST_TURN_RAD_S])
    cutoff_hz = min(NOISE_CUTOFF_HZ, 0.4 * rate_hz)
    around = rotation - smooth(rotation, cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz)
    tremble = _moving_mean((around**2).sum(axis=(-1, -2)) / 2, round(NOISE_WINDOW_S * rate_hz))
    shake = pelvis_m - smooth(pelvis_m, cutoff_hz=cutoff_hz, sampling_rate_hz=rate_hz)
    shaking = _moving_mean((shake**2).sum(axis=-1, keepdims=True), round(NOISE_WINDOW_S * rate_hz))
    is_noisy = (tremble > LARGEST_NOISE_RAD**2).any(axis=1) | (shaking > LARGEST_NOISE_M**2).any(axis=1)
    spans = _spans(is_jump | is_noisy, motion.time_s + evidence.lag_s, margin_s=MOTION_MARGIN_S)
    return Finding("the motion jumps or trembles", spans) if spans else None


def implausible_lumbar(evidence: Evidence) -> Finding | None:
    """The trunk is bent further than a spine goes."""
    trial = evidence.trial
    joint = trunk_joint(trial.skeleton)
    if joint is None or not joint.rotations:
        return None
    segments = segment_rotations(trial.skeleton, posed(trial.skeleton, trial.motion.values))
    angle = np.linalg.norm(rotation_vector(rotation_in_parent(trial.skeleton, segments, joint)), axis=-1)
    spans = _spans(angle > LARGEST_LUMBAR_RAD, trial.motion.time_s + evidence.lag_s, margin_s=0.0)
    reason = f"the trunk is bent by more than {LARGEST_LUMBAR_RAD * DEGREES_PER_RADIAN:.0f}°"
    return Finding(reason, spans) if spans else None


def turning(evidence: Evidence) -> Finding | None:
    """The person turns round, so that forward is no single direction: a state in one heading's axes is not apt."""
    if evidence.turn_rad <= TURN_RAD:
        return None
    return Finding(f"the person turns by more than {TURN_RAD * DEGREES_PER_RADIAN:.0f}°", is_note=True)


def force_motion_mismatch(evidence: Evidence) -> Finding | None:
    """The total force is not the one that the motion asks for by Newton–Euler."""
    time_s = evidence.forces.time_s
    difference = np.linalg.norm(evidence.total_n - evidence.expected_n, axis=1) / evidence.trial.subject.body_weight_n
    num_frames = max(round(MISMATCH_WINDOW_S / float(np.median(np.diff(time_s)))), 1)
    share_valid = _moving_mean(evidence.is_valid.astype(float), num_frames)
    mean = _moving_mean(np.where(evidence.is_valid, difference, 0.0), num_frames) / np.maximum(share_valid, 1e-9)
    bad = evidence.is_valid & (mean > LARGEST_MISMATCH_BW)
    return _finding(evidence, bad, "the force is not the one that the motion asks for (Newton–Euler)")


def wrong_mass(evidence: Evidence) -> Finding | None:
    """Over whole strides the mean vertical force is far from body weight."""
    level = level_of(evidence)
    if level is None or abs(level.body_weights - 1) <= WRONG_MASS:
        return None
    return Finding(f"mean vertical force over whole strides is {100 * level.body_weights:.0f} % of body weight")


RULES: tuple[Rule, ...] = (
    missing_flags,
    cop_far_from_foot,
    wrong_foot,
    suspect_motion,
    jitter,
    implausible_lumbar,
    turning,
    force_motion_mismatch,
    wrong_mass,
)


@dataclass(frozen=True)
class Verdict:
    """What is left of a recording.

    Args:
        valid_s: intervals of force to learn from, by the forces' clock; empty if the recording is excluded.
        stated_s: seconds of force that the study states as valid.
        removed_s: seconds that each reason takes out; one second may have several reasons.
        reason: why all of it is excluded, or None.
        notes: what a recipe may want to know of what is kept.
    """

    valid_s: tuple[Interval, ...]
    stated_s: float
    removed_s: dict[str, float]
    reason: str | None
    notes: tuple[str, ...] = ()


def judge(evidence: Evidence, rules: Sequence[Rule] = RULES) -> Verdict:
    """Ask every rule, and keep what none objects to."""
    time_s = evidence.forces.time_s
    step_s = float(np.median(np.diff(time_s)))
    kept = evidence.is_valid.copy()
    removed_s: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    for finding in filter(None, (rule(evidence) for rule in rules)):
        if finding.is_note:
            notes += (finding.reason,)
            continue
        if finding.spans_s is None:
            return Verdict((), step_s * float(evidence.is_stated.sum()), {}, finding.reason)
        is_bad = evidence.is_stated & within(time_s, finding.spans_s)
        if is_bad.any():
            removed_s[finding.reason] = round(step_s * float(is_bad.sum()), 3)
        kept &= ~is_bad
    stated_s, kept_s = step_s * float(evidence.is_stated.sum()), step_s * float(kept.sum())
    reason = None
    if kept_s < LEAST_KEPT_S or kept_s < LEAST_KEPT_SHARE * stated_s:
        reason = f"{kept_s:.2f} of {stated_s:.2f} s of stated force are left" + "".join(
            f"; {seconds:.2f} s: {why}" for why, seconds in removed_s.items()
        )
    return Verdict(() if reason else _spans(kept, time_s, margin_s=0.0), stated_s, removed_s, reason, notes)


def _finding(evidence: Evidence, is_bad: np.ndarray, reason: str) -> Finding | None:
    spans = _spans(is_bad, evidence.forces.time_s, margin_s=0.0)
    return Finding(reason, spans) if spans else None


def _spans(mask: np.ndarray, time_s: np.ndarray, *, margin_s: float) -> tuple[Interval, ...]:
    """Runs of True as [start, end) in seconds: from half a frame before the first to half a frame after the last."""
    half_s = float(np.median(np.diff(time_s))) / 2 + margin_s
    return tuple((float(time_s[a] - half_s), float(time_s[b - 1] + half_s)) for a, b in intervals(mask))


def _lasting(mask: np.ndarray, time_s: np.ndarray, *, longer_than_s: float) -> list[slice]:
    return [slice(a, b) for a, b in intervals(mask) if time_s[b - 1] - time_s[a] > longer_than_s]


def _run_around(mask: np.ndarray, span: slice) -> slice:
    """The run of True in which a part of it lies."""
    return next(slice(a, b) for a, b in intervals(mask) if a <= span.start < b)


def _distance_to_segment(point_m: np.ndarray, start_m: np.ndarray, end_m: np.ndarray) -> np.ndarray:
    """Horizontal distance of points to line segments, (..., 3) to (...)."""
    point, start, end = (place[..., [0, 2]] for place in (point_m, start_m, end_m))
    along = end - start
    length = np.maximum((along**2).sum(axis=-1), 1e-9)
    share = np.clip(((point - start) * along).sum(axis=-1) / length, 0.0, 1.0)
    return np.linalg.norm(point - start - share[..., None] * along, axis=-1)


def _moving_mean(values: np.ndarray, num_frames: int) -> np.ndarray:
    """Centred mean along the first axis, over fewer frames at the ends."""
    half = max(num_frames // 2, 1)
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first).reshape(-1, *[1] * (values.ndim - 1))
