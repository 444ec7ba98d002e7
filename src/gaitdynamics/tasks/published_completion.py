"""Forces and the completed motion by the authors' networks, for a trial of which parts or moments were not observed.

`estimate_published` gives the forces alone, and takes a joint as known or missing for a whole trial.
"""

from dataclasses import replace

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.biomech.contact import infer_belt_speed, smoothed_path
from gaitdynamics.biomech.kinematics import angles_of_rotation, foot_paths, heading_of, leg_joints, posed
from gaitdynamics.errors import InputFileError
from gaitdynamics.maths.rotations import from_flexion_adduction_rotation
from gaitdynamics.maths.signals import interpolate, resample
from gaitdynamics.model.published import FORCE_COLUMNS
from gaitdynamics.model.published_coordinates import (
    ANKLE_AXIS,
    BALLS,
    HINGES,
    RATE_HZ,
    SUBTALAR_AXIS,
    PublishedCoordinates,
    times_of,
)
from gaitdynamics.model.published_state import (
    PublishedState,
    decode_coordinates,
    decode_forces,
    encode_canonical,
    hindfoot_origins,
)
from gaitdynamics.state.codec import State, completed_columns, decode_motion, encode
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame
from gaitdynamics.state.layout import GAIT, PUBLISHED
from gaitdynamics.tasks.published_pipeline import PublishedModels, _completed, _refined
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES, SIDES

# Groups of our layout, and what of theirs goes with them.
_COUNTERPARTS = {
    "pelvis_velocity": ("pelvis_translation",),
    "pelvis_height": ("pelvis_translation",),
    "pelvis_rotation": ("pelvis",),
    "lumbar": ("lumbar",),
    **{
        f"{joint}_{side_name}": tuple(f"{stem}_{side}" for stem in stems)
        for side, side_name in zip(SIDES, SIDE_NAMES, strict=True)
        for joint, stems in (("hip", ("hip",)), ("knee", ("knee_angle",)), ("ankle", ("ankle_angle", "subtalar_angle")))
    },
}


def estimate_completing(trial: Trial, models: PublishedModels, *, seed: int = 0) -> Prediction:
    """Ground reaction forces from the authors' networks, of a motion that their diffusion model completes.

    Args:
        trial: its motion says frame by frame what was observed; its skeleton has the person's mass.
        models: with the diffusion network; forces are the refinement network's where there is one.
        seed: of the noise from which what is missing is drawn.

    Returns:
        Forces at the motion's own times, and as `motion` the completed one: observed values as they are, `observed` as
        given. Free moments are zero.

    Raises:
        InvalidModelError: the model lacks legs or feet.
        InputFileError: no diffusion network.
    """
    if models.diffusion is None:
        raise InputFileError(
            f"{', '.join(models.names)}: nothing completes a motion here. Put the authors' diffusion weights "
            "beside the refinement weights, and give the folder that holds both."
        )
    without_forces = replace(trial, forces=None)
    belt_speed_m_s = _belt_speed(trial)
    gait, frame = encode(replace(without_forces, belt_speed_m_s=belt_speed_m_s))
    state = encode_canonical(without_forces, times_of(trial.motion), belt_speed_m_s=belt_speed_m_s)
    state = replace(state, known=state.known & _known_by_frame(gait, len(state.time_s)))
    drawn = _completed(state, models, is_published_pipeline=False, seed=seed)
    if models.refinement is None:
        channels = drawn.values[:, FORCE_COLUMNS]
    else:
        channels = _refined(drawn, models.refinement, is_published_pipeline=False)

    motion = _completed_motion(drawn, gait, frame, without_forces)
    times = motion.time_s
    force_n, cop_m = decode_forces(
        interpolate(channels, state.time_s, times), state.frame, hindfoot_origins(trial.skeleton, motion.values)
    )
    forces = GroundReaction(
        time_s=times,
        force_n=np.where(force_n[..., 1:2] >= CONTACT_FORCE_N, force_n, 0.0),
        cop_m=cop_m,
        free_moment_nm=np.zeros(force_n.shape[:2]),
        valid=np.ones(force_n.shape[:2], dtype=bool),
    )
    provenance = {"weights": "+".join(models.names), "seed": seed, "version": __version__}
    return Prediction(motion, forces, belt_speed_m_s, (), provenance)


def _belt_speed(trial: Trial) -> float:
    if trial.belt_speed_m_s is not None:
        return trial.belt_speed_m_s
    pose = posed(trial.skeleton, resample(trial.motion.values, trial.motion.time_s, times_of(trial.motion)))
    path = smoothed_path(foot_paths(trial.skeleton, pose, height_m=trial.subject.height_m), sampling_rate_hz=RATE_HZ)
    return infer_belt_speed(path, heading_of(trial.skeleton, pose), sampling_rate_hz=RATE_HZ)


def _known_by_frame(gait: State, num_frames: int) -> np.ndarray:
    """Of the authors' channels, (T, 63); forces are known nowhere."""
    known = np.zeros((num_frames, len(PUBLISHED)), dtype=bool)
    known[:, PUBLISHED.columns([group for groups in _COUNTERPARTS.values() for group in groups])] = True
    frames = np.minimum(np.arange(num_frames), len(gait.known) - 1)
    for ours, theirs in _COUNTERPARTS.items():
        known[:, PUBLISHED.columns(theirs)] &= gait.known[frames][:, GAIT[ours]].all(axis=1, keepdims=True)
    return known


def _completed_motion(drawn: PublishedState, gait: State, frame: ModelFrame, trial: Trial) -> Motion:
    """The drawn coordinates in the trial's own, where it has not observed them."""
    rows = np.minimum(np.arange(len(gait.values)), len(drawn.values) - 1)
    found = _gait_channels(decode_coordinates(drawn), frame, trial, rows)
    values = gait.values.copy()
    for group, channels in found.items():
        columns = GAIT[group]
        values[:, columns] = np.where(gait.known[:, columns], values[:, columns], channels)
    moved = decode_motion(replace(gait, values=values), frame, trial)
    values = np.where(completed_columns(trial), moved.values, trial.motion.values)
    return replace(trial.motion, values=trial.skeleton.with_coupled_values(values))


def _gait_channels(
    coordinates: PublishedCoordinates, frame: ModelFrame, trial: Trial, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """The authors' coordinates in the channels of our layout, by group."""
    balls = dict(zip(BALLS, np.moveaxis(coordinates.ball_rad[rows], 1, 0), strict=True))
    hinges = dict(zip(HINGES, coordinates.hinge_rad[rows].T, strict=True))
    place = frame.apply(coordinates.pelvis_m[rows])
    steps = np.diff(place[:, [0, 2]], axis=0) * FRAME_RATE_HZ
    pelvis = frame.to_heading(from_flexion_adduction_rotation(balls["pelvis"]).swapaxes(-1, -2)).swapaxes(-1, -2)
    found = {
        "pelvis_velocity": np.concatenate([steps, steps[-1:]]),
        "pelvis_height": place[:, 1:2],
        "pelvis_rotation": pelvis[:, :2].reshape(-1, 6),
        "lumbar": balls["lumbar"],
    }
    for leg in leg_joints(trial.skeleton):
        group = f"{leg.name}_{SIDE_NAMES[SIDES.index(leg.side)]}"
        if leg.name == "hip":
            found[group] = balls[f"hip_{leg.side}"]
        elif leg.name == "knee":
            flexion = hinges[f"knee_angle_{leg.side}"]
            found[group] = np.stack([flexion, np.zeros_like(flexion), np.zeros_like(flexion)], axis=1)
        else:
            mirror = np.diag([1.0, 1.0, 1.0 if leg.side == SIDES[0] else -1.0])
            ankle = _about(ANKLE_AXIS, hinges[f"ankle_angle_{leg.side}"])
            subtalar = _about(SUBTALAR_AXIS, hinges[f"subtalar_angle_{leg.side}"])
            found[group] = angles_of_rotation(mirror @ ankle @ subtalar @ mirror, leg)
    return found


def _about(axis: np.ndarray, angle_rad: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) about a unit axis."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(angle_rad[:, None] * axis).as_matrix()
