"""What the force model is trained on, and how often."""

from dataclasses import replace

import numpy as np
import pytest

from gaitdynamics.training.examples import GAPPY_VARIANTS
from gaitdynamics.training.force_recipe import STARTER, starter_forces, weight_by_laboratory
from gaitdynamics.training.recipe import fingerprint
from gaitdynamics.training.shards import Recording


def recording(
    dataset: str, subject: str, *, activity: str = "walk", num_frames: int = 100, variant: int = 0
) -> Recording:
    return Recording(
        name=f"{dataset}/{subject}",
        dataset=dataset,
        subject=subject,
        group=subject,
        split="train",
        shard=0,
        start=0,
        num_frames=num_frames,
        variant=variant,
        activity=activity,
    )


def test_running_and_walking_get_their_shares() -> None:
    entries = [recording("A", "1"), recording("B", "2"), recording("C", "3", activity="run", num_frames=9000)]
    weights = weight_by_laboratory(entries)
    assert weights[2] == pytest.approx(STARTER.running_share)
    assert weights[0] == pytest.approx(weights[1])


def test_laboratories_count_by_the_root_of_their_people_and_people_alike() -> None:
    entries = [recording("A", str(k), num_frames=100 * (k + 1)) for k in range(4)] + [recording("B", "9", num_frames=7)]
    weights = weight_by_laboratory(entries)
    np.testing.assert_allclose(weights[:4], weights[0])
    assert weights[:4].sum() == pytest.approx(2 * weights[4])


def test_copies_get_their_shares_whatever_their_number() -> None:
    entries = [recording("A", "1", variant=variant) for variant in (0, 1, 2, 3, *GAPPY_VARIANTS)]
    weights = weight_by_laboratory(entries)
    shares = [weights[0], weights[1:4].sum(), weights[4:].sum()]
    np.testing.assert_allclose(np.array(shares) / weights.sum(), STARTER.copy_shares)


def test_copies_of_a_share_of_nothing_are_never_drawn() -> None:
    entries = [recording("A", "1"), recording("A", "1", variant=1)]
    weights = weight_by_laboratory(entries, training=replace(STARTER, copy_shares=(1.0, 0.0, 0.0)))
    np.testing.assert_allclose(weights / weights.sum(), [1.0, 0.0])


def test_a_changed_choice_is_another_run() -> None:
    described = [
        fingerprint(starter_forces(training).describe())
        for training in (STARTER, replace(STARTER, noise=(0.0, 0.0)), replace(STARTER, is_mirrored=False))
    ]
    assert len(set(described)) == 3
