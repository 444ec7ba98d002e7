"""A recording as training examples: every layout's rows at 100 Hz, of the motion as measured and of altered copies.

The copies stand for what other laboratories do not measure and measure less well. Their forces are the measured ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import InvalidMotionError
from gaitdynamics.io.study import Interval
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import interpolate, smooth
from gaitdynamics.model.published_state import encode_canonical
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import FORCES, GAIT, OBSERVED_GROUPS, PHYSICS, PUBLISHED
from gaitdynamics.state.physics_features import coordinates_of_groups, physics_features
from gaitdynamics.tasks.learned_forces import frame_times
from gaitdynamics.training.assembly import VALID
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

BLOCKS = {layout.name: layout.names for layout in (GAIT, PUBLISHED, PHYSICS, FORCES)} | {VALID: (VALID,)}
NUM_VARIANTS = 6
GAPPY_VARIANTS = (4, 5)  # of which joints are missing, not the trunk alone
MISSING_TRUNK = 0.5  # chance that a copy has no trunk
MISSING_JOINT = 0.2  # chance that a gappy copy lacks a group of coordinates
# Markers on another place of the skin and other joint axes turn every angle by a constant (Della Croce et al. 2005,
# Gait Posture 21:226); what is left of skin motion and noise after inverse kinematics varies slowly.
OFFSET_RAD = 0.05
NOISE_RAD = 0.006  # at most, rms
NOISE_M = 0.001
NOISE_CUTOFF_HZ = 6.0
HEIGHT_ERROR = 0.03  # of a height that was estimated


def encode_recording(
    trial: Trial, valid_s: Sequence[Interval], *, variant: int = 0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Rows of every block at 100 Hz, (T, D) float32; in both states exactly 0 stands for what is not known.

    Args:
        trial: with measured forces.
        valid_s: within which they are to be learned from.
        variant: 0 as measured; others altered, each in its way.
        seed: of the alterations.

    Raises:
        InvalidMotionError: no foot rests on the ground: also what missing joints can make of a variant.
    """
    if variant:
        trial = altered(trial, is_gappy=variant in GAPPY_VARIANTS, rng=np.random.default_rng([seed, variant]))
    state, _ = encode(trial)
    time_s = frame_times(trial.motion.time_s)
    physics = physics_of(trial, time_s)
    published = encode_canonical(trial, time_s, belt_speed_m_s=physics.belt_speed_m_s)

    measured = _measured(trial)
    axes = heading_axes(physics.heading)
    force_n = interpolate(measured.force_n, measured.time_s, time_s)
    shift_m = interpolate(measured.cop_m, measured.time_s, time_s) - physics.under.cop_m
    forces = np.zeros((len(time_s), len(FORCES)))
    for foot, side in enumerate(SIDE_NAMES):
        columns = FORCES[f"force_{side}"], FORCES[f"pressure_shift_{side}"]
        forces[:, columns[0]] = np.einsum("tij,tj->ti", axes, force_n[:, foot]) / trial.subject.body_weight_n
        shift = np.einsum("tij,tj->ti", axes, shift_m[:, foot]) / trial.subject.height_m
        forces[:, columns[1]] = shift[:, [0, 2]]
    rows = {
        GAIT.name: np.where(state.known, state.values, 0.0)[: len(time_s)],
        PUBLISHED.name: np.where(published.known, published.values, 0.0),
        PHYSICS.name: physics_features(trial, physics),
        FORCES.name: forces,
        VALID: _is_valid(trial, valid_s, time_s)[:, None],
    }
    return {block: values.astype(np.float32) for block, values in rows.items()}


def _measured(trial: Trial) -> GroundReaction:
    if trial.forces is None:
        raise InvalidMotionError(f"{trial.name}: has no measured forces to learn from.")
    return trial.forces


def altered(trial: Trial, *, is_gappy: bool, rng: np.random.Generator) -> Trial:
    """The trial as another laboratory might have measured it: offsets, noise, another height, missing joints."""
    motion, skeleton = trial.motion, trial.skeleton
    groups = coordinates_of_groups(skeleton)
    values, observed = motion.values.copy(), motion.observed.copy()
    level = rng.uniform()
    moving = sorted({name for group in OBSERVED_GROUPS for name in groups[group]})
    travel = groups["pelvis_translation"]
    for name in moving:
        column = motion.coordinates.index(name)
        if name in travel:
            values[:, column] += NOISE_M * level * _slow_noise(motion.time_s, rng)
        else:
            values[:, column] += OFFSET_RAD * rng.normal() + NOISE_RAD * level * _slow_noise(motion.time_s, rng)
    missing = {"lumbar"} if rng.uniform() < MISSING_TRUNK else set()
    if is_gappy:
        missing |= {group for group in OBSERVED_GROUPS if rng.uniform() < MISSING_JOINT}
    defaults = skeleton.default_values
    for group in sorted(missing):
        for name in groups[group]:
            column = motion.coordinates.index(name)
            values[:, column] = defaults[column]
            observed[:, column] = False
    values = skeleton.with_coupled_values(values)
    subject = replace(trial.subject, height_m=trial.subject.height_m * (1 + HEIGHT_ERROR * rng.normal()))
    return replace(trial, subject=subject, motion=replace(motion, values=values, observed=observed))


def _slow_noise(time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit rms below NOISE_CUTOFF_HZ, (T,)."""
    rate_hz = (len(time_s) - 1) / float(time_s[-1] - time_s[0])
    noise = smooth(rng.normal(size=len(time_s)), cutoff_hz=NOISE_CUTOFF_HZ, sampling_rate_hz=rate_hz)
    return noise / max(float(noise.std()), 1e-9)


def _is_valid(trial: Trial, valid_s: Sequence[Interval], time_s: np.ndarray) -> np.ndarray:
    """Where the force on both feet is known, (T,)."""
    measured = _measured(trial)
    known = interpolate(measured.valid.all(axis=1).astype(float), measured.time_s, time_s) > 0.99
    known &= (time_s >= measured.time_s[0]) & (time_s <= measured.time_s[-1])
    return known & np.logical_or.reduce([(time_s >= start) & (time_s < end) for start, end in valid_s])
