"""The total force divided between the feet."""

import numpy as np
import pytest

from gaitdynamics.biomech.contact import Contact
from gaitdynamics.biomech.load_sharing import double_supports, share_forces

RATE_HZ = 100.0
FORWARD = np.array([1.0, 0.0, 0.0])


def contact_of(right: str, left: str) -> Contact:
    """From one letter a block of ten frames: x down, . up."""
    is_down = np.stack([np.repeat([letter == "x" for letter in feet], 10) for feet in (right, left)], axis=1)
    return Contact(is_down, ~is_down.any(axis=1), 0.0, 0.0)


WALK = contact_of("xxxx..xxxx..x", "x..xxxx..xxxx")


def total_of(contact: Contact) -> np.ndarray:
    total = np.random.default_rng(0).normal(size=(len(contact.is_down), 3)) * [80.0, 100.0, 30.0] + [0.0, 800.0, 0.0]
    return np.where(contact.is_flight[:, None], 0.0, total)


def shared(total: np.ndarray, contact: Contact, *, right: float = 0.5, heading: np.ndarray = FORWARD) -> np.ndarray:
    return share_forces(
        total, contact, heading=heading, right_share=np.full(len(total), right), sampling_rate_hz=RATE_HZ
    )


@pytest.mark.parametrize(
    "contact",
    [WALK, contact_of("xxxxxxxxxx", "xxxxxxxxxx"), contact_of("xx..xx..", "..xx..xx"), contact_of("x.x.x", "...x.")],
    ids=["walk", "standing", "no double support", "flights"],
)
def test_the_feet_add_up_to_the_total_and_a_foot_in_the_air_carries_nothing(contact: Contact) -> None:
    total = total_of(contact)
    force = shared(total, contact)
    np.testing.assert_allclose(force.sum(axis=1), total, atol=1e-9)
    assert np.all(force[~contact.is_down] == 0.0)


def test_a_foot_alone_carries_everything() -> None:
    total = total_of(WALK)
    force = shared(total, WALK)
    alone = WALK.is_down.sum(axis=1) == 1
    np.testing.assert_allclose(force[alone].sum(axis=1), total[alone])
    right_alone = WALK.is_down[:, 0] & ~WALK.is_down[:, 1]
    np.testing.assert_allclose(force[right_alone, 0], total[right_alone])


def test_the_trailing_foot_hands_over_from_all_to_nothing() -> None:
    total = np.broadcast_to([50.0, 800.0, -20.0], (len(WALK.is_down), 3)).copy()
    force = shared(total, WALK)
    whole = [d for d in double_supports(WALK, sampling_rate_hz=RATE_HZ) if d.start > 0 and d.end < len(total)]
    assert len(whole) == 3
    for double in whole:
        assert double.trailing is not None
        assert WALK.is_down[double.start - 1, double.trailing]
        assert not WALK.is_down[double.end, double.trailing]
        share = force[double.start : double.end, double.trailing, 1] / 800.0
        assert np.all(np.diff(share) < 0)
        assert share[0] > 0.85
        assert share[-1] < 0.15
        assert force[double.end - 1, double.trailing, 0] == pytest.approx(0.0, abs=20.0)


def test_who_stands_is_shared_by_the_moment_balance() -> None:
    standing = contact_of("x" * 12, "x" * 12)
    total = total_of(standing)
    force = shared(total, standing, right=0.3)
    np.testing.assert_allclose(force[:, 0], 0.3 * total)
    np.testing.assert_allclose(force[:, 1], 0.7 * total)
    (double,) = double_supports(standing, sampling_rate_hz=RATE_HZ)
    assert double.trailing is None


def test_sharing_treats_right_and_left_alike() -> None:
    total = total_of(WALK)
    swapped = Contact(WALK.is_down[:, ::-1], WALK.is_flight, 0.0, 0.0)
    mirror = np.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(shared(total * mirror, swapped), shared(total, WALK)[:, ::-1] * mirror, atol=1e-9)


def test_sharing_turns_with_the_heading() -> None:
    total = total_of(WALK)
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned = shared(total @ turn.T, WALK, heading=turn @ FORWARD)
    np.testing.assert_allclose(turned, shared(total, WALK) @ turn.T, atol=1e-9)


def test_a_heading_at_every_frame_that_never_changes_is_one_heading() -> None:
    total = total_of(WALK)
    heading = np.array([np.cos(0.4), 0.0, -np.sin(0.4)])
    many = shared(total, WALK, heading=np.tile(heading, (len(total), 1)))
    np.testing.assert_allclose(many, shared(total, WALK, heading=heading), atol=1e-9)


def test_sharing_is_linear_in_the_force() -> None:
    total = total_of(WALK)
    np.testing.assert_allclose(shared(2.5 * total, WALK), 2.5 * shared(total, WALK))


def test_who_leaves_is_known_also_where_the_recording_cuts_a_double_support() -> None:
    cut = contact_of("x..x", "xxxx")
    first, last = double_supports(cut, sampling_rate_hz=RATE_HZ)
    assert (first.start, first.trailing) == (0, 0)
    assert last.end == len(cut.is_down)
    assert last.trailing == 1
    for double in (first, last):
        assert np.all((double.progress > 0) & (double.progress < 1))
        assert np.all(np.diff(double.progress) > 0)
    assert first.progress[-1] > 0.9
    assert last.progress[0] < 0.15
