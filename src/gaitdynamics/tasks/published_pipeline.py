"""Ground reaction forces by the authors' networks (Tan et al. 2026, doi 10.1038/s41551-025-01565-8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gaitdynamics import __version__
from gaitdynamics.biomech.contact import infer_belt_speed, smoothed_path
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, posed
from gaitdynamics.biomech.plausibility import belt_warnings, knee_warnings
from gaitdynamics.errors import InputFileError
from gaitdynamics.maths.signals import interpolate, resample
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.model.published import (
    DIFFUSION,
    FORCE_COLUMNS,
    KINEMATIC_COLUMNS,
    REFINEMENT,
    PublishedDiffusion,
    PublishedRefinement,
    build_diffusion,
    build_refinement,
    normalizer_of,
)
from gaitdynamics.model.published_coordinates import RATE_HZ, has_other_knee_sign, times_of
from gaitdynamics.model.published_sampling import sample
from gaitdynamics.model.published_state import (
    PublishedState,
    decode_coordinates,
    decode_forces,
    encode_as_published,
    encode_canonical,
    hindfoot_origins,
    values_by_name,
)
from gaitdynamics.state.layout import PUBLISHED
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.windows import WINDOW_FRAMES, cut, merge
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial

BATCH_WINDOWS = 64

Merge = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PublishedModels:
    """The authors' networks with their normalizers; at least one of them.

    Args:
        refinement: forces from kinematics.
        diffusion: completes kinematics that were not measured; without a refinement network it gives the forces, too.
        names: of the weights, for the provenance.
    """

    refinement: tuple[PublishedRefinement, Normalizer] | None
    diffusion: tuple[PublishedDiffusion, Normalizer] | None
    names: tuple[str, ...]

    @classmethod
    def of(cls, weights: Sequence[Weights]) -> "PublishedModels":
        """From what lies on disk.

        Raises:
            InputFileError: other networks than the authors', two of one kind, or weights that do not fit their sizes.
        """
        by_kind = {found.kind: found for found in weights}
        if not weights or len(by_kind) < len(weights) or not by_kind.keys() <= {REFINEMENT, DIFFUSION}:
            found = ", ".join(f"{each.folder} ({each.kind})" for each in weights) or "nothing"
            raise InputFileError(
                f"the authors' pipeline takes one '{REFINEMENT}', one '{DIFFUSION}', or both; found {found}. Convert "
                "the authors' files with 'gaitdynamics weights convert'."
            )
        refinement, diffusion = by_kind.get(REFINEMENT), by_kind.get(DIFFUSION)
        return cls(
            None if refinement is None else (build_refinement(refinement), normalizer_of(refinement)),
            None if diffusion is None else (build_diffusion(diffusion), normalizer_of(diffusion)),
            tuple(found.folder.name for found in weights),
        )


def estimate_published(
    trial: Trial, models: PublishedModels, *, is_published_pipeline: bool, seed: int = 0
) -> Prediction:
    """Ground reaction forces of a motion, from the authors' networks; free moments are zero.

    Args:
        trial: its skeleton has the person's mass; measured forces in it are not looked at.
        models: the networks.
        is_published_pipeline: True for exactly what the authors' own program does: columns by name, linear
            interpolation, windows without overlap, forces every 10 ms from the trial's first time on, also below 20 N.
            False for any model's names and signs, overlapping windows merged smoothly, forces at the motion's own
            times and zero below 20 N.
        seed: of the noise from which missing kinematics are drawn.

    Returns:
        The forces; with `is_published_pipeline` the motion is the one at their times.

    Raises:
        InvalidModelError: the model lacks legs or feet.
        InputFileError: the authors' pipeline without refinement weights.
    """
    belt_speed, warnings = _belt_speed(trial)
    if is_published_pipeline:
        if models.refinement is None:
            raise InputFileError(
                f"{', '.join(models.names)}: the published pipeline takes its forces from the refinement network, "
                "which is not among these weights. Convert GaitDynamicsRefinement.pt into the same folder's parent."
            )
        warnings += _knee_sign_warnings(trial)
        state = encode_as_published(trial, belt_speed_m_s=belt_speed)
    else:
        without_forces = replace(trial, forces=None)
        state = encode_canonical(without_forces, times_of(trial.motion), belt_speed_m_s=belt_speed)
    warnings += _missing_warnings(state, models)

    drawn = _completed(state, models, is_published_pipeline=is_published_pipeline, seed=seed)
    if models.refinement is None:
        channels = drawn.values[:, FORCE_COLUMNS]
    else:
        channels = _refined(drawn, models.refinement, is_published_pipeline=is_published_pipeline)

    if is_published_pipeline:
        times = state.time_s
        values = values_by_name(trial.skeleton, decode_coordinates(drawn))
        force_n, cop_m = decode_forces(channels, state.frame, hindfoot_origins(trial.skeleton, values))
        motion = replace(
            trial.motion,
            time_s=times,
            values=interpolate(trial.motion.values, trial.motion.time_s, times),
            observed=interpolate(trial.motion.observed.astype(float), trial.motion.time_s, times) > 0.5,
        )
    else:
        motion, times = trial.motion, trial.motion.time_s
        channels = interpolate(channels, state.time_s, times)
        force_n, cop_m = decode_forces(channels, state.frame, hindfoot_origins(trial.skeleton, motion.values))
        force_n = np.where(force_n[..., 1:2] >= CONTACT_FORCE_N, force_n, 0.0)
    forces = GroundReaction(
        time_s=times,
        force_n=force_n,
        cop_m=cop_m,
        free_moment_nm=np.zeros(force_n.shape[:2]),
        valid=np.ones(force_n.shape[:2], dtype=bool),
    )
    provenance = {
        "weights": "+".join(models.names),
        "pipeline": "published" if is_published_pipeline else "overlapping windows",
        "seed": seed,
        "version": __version__,
    }
    return Prediction(motion, forces, belt_speed, warnings, provenance)


def _belt_speed(trial: Trial) -> tuple[float, tuple[str, ...]]:
    """Given or inferred, and what contradicts it."""
    skeleton, motion = trial.skeleton, trial.motion
    pose = posed(skeleton, resample(motion.values, motion.time_s, times_of(motion)))
    path = smoothed_path(foot_paths(skeleton, pose, height_m=trial.subject.height_m), sampling_rate_hz=RATE_HZ)
    inferred = infer_belt_speed(path, heading_of(skeleton, pose), sampling_rate_hz=RATE_HZ)
    used = inferred if trial.belt_speed_m_s is None else trial.belt_speed_m_s
    return used, (*belt_warnings(used, inferred), *knee_warnings(skeleton, pose))


def _knee_sign_warnings(trial: Trial) -> tuple[str, ...]:
    if not has_other_knee_sign(trial.skeleton):
        return ()
    return (
        "The model's knees flex to the negative side. The published pipeline takes the columns as they are and was "
        "trained on models whose knees flex to the positive side: its forces are wrong here. Leave out "
        "--published-pipeline, or use a model of the Rajagopal family.",
    )


def _missing_warnings(state: PublishedState, models: PublishedModels) -> tuple[str, ...]:
    missing = [
        group
        for group in PUBLISHED.groups
        if (columns := np.intersect1d(PUBLISHED.columns([group]), KINEMATIC_COLUMNS)).size
        and not state.known[:, columns].all()
    ]
    if not missing:
        return ()
    filling = (
        "taken from the middle of the training data's range; give diffusion weights, too, to have them completed"
        if models.diffusion is None
        else "completed by the diffusion model"
    )
    return (f"Not measured: {', '.join(missing)}; {filling}. Forces are less certain than with a whole motion.",)


def _completed(
    state: PublishedState, models: PublishedModels, *, is_published_pipeline: bool, seed: int
) -> PublishedState:
    """The state with unknown channels drawn from the diffusion model, where they are needed and there is one."""
    is_needed = models.refinement is None or not state.known[:, KINEMATIC_COLUMNS].all()
    if models.diffusion is None or not is_needed:
        return state
    network, normalizer = models.diffusion
    normalised = np.where(state.known, normalizer.apply(state.values), np.float32(0.0))
    windows, merged = _cut(normalised, is_published_pipeline=is_published_pipeline)
    masks, _ = _cut(state.known.astype(np.float32), is_published_pipeline=is_published_pipeline)
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for start in range(0, len(windows), BATCH_WINDOWS):
        value, mask = (torch.from_numpy(part[start : start + BATCH_WINDOWS]) for part in (windows, masks))

        def draw_noise(shape: torch.Size = value.shape) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        drawn.append(sample(network, value, mask, draw_noise=draw_noise).numpy())
    values = normalizer.undo(merged(np.concatenate(drawn)))
    is_kinematic = np.isin(np.arange(len(PUBLISHED)), KINEMATIC_COLUMNS)
    return replace(
        state,
        values=np.where(state.known, state.values, values),
        known=state.known | is_kinematic,
    )


def _refined(
    state: PublishedState, refinement: tuple[PublishedRefinement, Normalizer], *, is_published_pipeline: bool
) -> np.ndarray:
    """The twelve force channels (T, 12), not normalised."""
    network, normalizer = refinement
    normalised = np.where(state.known, normalizer.apply(state.values), np.float32(0.0))
    windows, merged = _cut(normalised[:, KINEMATIC_COLUMNS], is_published_pipeline=is_published_pipeline)
    with torch.no_grad():
        answers = [
            network(torch.from_numpy(windows[start : start + BATCH_WINDOWS])).numpy()
            for start in range(0, len(windows), BATCH_WINDOWS)
        ]
    return normalizer[FORCE_COLUMNS].undo(merged(np.concatenate(answers)))


def _cut(values: np.ndarray, *, is_published_pipeline: bool) -> tuple[np.ndarray, Merge]:
    """Windows (N, 150, D) of values (T, D), float32 and padded with zeros, and what brings their answers together."""
    if is_published_pipeline:
        padded = np.pad(values, ((0, -len(values) % WINDOW_FRAMES), (0, 0)))
        windows = padded.reshape(-1, WINDOW_FRAMES, values.shape[1])
        return windows, lambda answers: answers.reshape(-1, answers.shape[-1])[: len(values)]
    overlapping = cut(values)
    return overlapping.values.astype(np.float32), lambda answers: merge(answers, overlapping)
