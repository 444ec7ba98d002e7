"""The authors' completion keeps what was observed, frame by frame, and gives joints in the user's coordinates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from published_weights import HEADS, diffusion_tensors, refinement_tensors, save_as_the_authors

from gaitdynamics.biomech.anthropometry import estimated_height_m
from gaitdynamics.errors import InputFileError
from gaitdynamics.model.published import convert_published
from gaitdynamics.model.published_coordinates import canonical_coordinates, times_of
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.published_completion import _gait_channels, estimate_completing
from gaitdynamics.tasks.published_pipeline import PublishedModels
from gaitdynamics.training.masks import MASKS
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> PublishedModels:
    folder = tmp_path_factory.mktemp("authors")
    weights = []
    for name, tensors in (("refinement", refinement_tensors()), ("diffusion", diffusion_tensors())):
        file: Path = save_as_the_authors(folder / f"{name}.pt", tensors)
        weights.append(convert_published(file, folder / name, num_heads=HEADS))
    return PublishedModels.of(weights)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    subject = Subject("P", mass_kg=body.mass_kg, height_m=estimated_height_m(body))
    short = replace(walk, time_s=walk.time_s[:200], values=walk.values[:200], observed=walk.observed[:200])
    return Trial("D/P/walk", subject, body, short, forces=None, belt_speed_m_s=0.0, source="D")


@pytest.mark.parametrize("name", ["hips", "pelvis", "one_leg", "gap_200ms"])
def test_observed_values_stay_and_hidden_ones_are_drawn(trial: Trial, models: PublishedModels, name: str) -> None:
    masked = MASKS[name].applied(trial, ((0.0, 2.0),))
    found, again, other = (estimate_completing(masked, models, seed=seed) for seed in (0, 0, 1))
    seen = masked.motion.observed
    assert not seen.all()
    np.testing.assert_array_equal(found.motion.values[seen], trial.motion.values[seen])
    np.testing.assert_array_equal(found.motion.values, again.motion.values)
    np.testing.assert_array_equal(found.forces.force_n, again.forces.force_n)
    moved = np.abs(found.motion.values - other.motion.values).max(axis=0)
    assert (moved > 1e-3).any()
    assert np.isfinite(found.motion.values).all()
    assert np.isfinite(found.forces.force_n).all()


def test_nothing_hidden_means_nothing_moved(trial: Trial, models: PublishedModels) -> None:
    found = estimate_completing(trial, models)
    np.testing.assert_array_equal(
        found.motion.values[trial.motion.observed], trial.motion.values[trial.motion.observed]
    )


def test_the_authors_coordinates_are_the_same_pose_in_our_channels(trial: Trial) -> None:
    state, frame = encode(trial)
    theirs = canonical_coordinates(trial, times_of(trial.motion))
    found = _gait_channels(theirs, frame, trial, np.arange(len(state.values)))
    for group, channels in found.items():
        # Their knee is a hinge, and their foot turns about two axes.
        atol = 0.12 if group.startswith(("knee", "ankle")) else 1e-6
        np.testing.assert_allclose(channels, state.values[:, GAIT[group]], atol=atol, err_msg=group)
        if group.startswith("knee"):
            np.testing.assert_allclose(channels[:, 0], state.values[:, GAIT[group][0]], atol=1e-6)


def test_without_a_diffusion_network_nothing_can_be_completed(trial: Trial, models: PublishedModels) -> None:
    with pytest.raises(InputFileError, match="nothing completes a motion"):
        estimate_completing(trial, replace(models, diffusion=None))
