"""Where in the stride feet are, in forces that are made up: whole strides, single steps, a single stance."""

from dataclasses import replace

import numpy as np
import pytest

from gaitdynamics.biomech.stance_phase import landing_phase, stance_phase, stride_duration_s
from gaitdynamics.types.ground_reaction import GroundReaction

RATE_HZ = 100.0
STRIDE_S = 1.1
RIGHT_LANDS_S = 0.3


def stepping(first_s: float, last_s: float, *, share: float = 0.62, stride_s: float = STRIDE_S) -> GroundReaction:
    """Right stances from a time on, left ones half a stride later."""
    time_s = np.arange(round(first_s * RATE_HZ), round(last_s * RATE_HZ)) / RATE_HZ
    force = np.zeros((len(time_s), 2, 3))
    for foot in range(2):
        phase = ((time_s - RIGHT_LANDS_S) / stride_s - foot / 2) % 1.0
        force[phase < share, foot, 1] = 700.0
    return GroundReaction(
        time_s, force, np.zeros_like(force), np.zeros((len(time_s), 2)), np.ones((len(time_s), 2), dtype=bool)
    )


def right_only(forces: GroundReaction) -> GroundReaction:
    return replace(forces, valid=forces.valid & np.array([True, False]))


def left_only(forces: GroundReaction) -> GroundReaction:
    return replace(forces, valid=forces.valid & np.array([False, True]))


CASES = {
    "strides of both feet": stepping(0.0, 4.0),
    "one whole stance and the other foot's landing": stepping(0.2, 1.05),
    "two landings and no whole stance": stepping(0.25, 0.9),
    "left landing first": stepping(0.8, 1.5),
    "the right foot's stances alone": right_only(stepping(0.0, 4.0)),
    "the left foot's stances alone": left_only(stepping(0.0, 4.0)),
    "a right stance alone": right_only(stepping(0.2, 1.2)),
    "a left stance alone": left_only(stepping(0.7, 1.7)),
    "a run": stepping(0.0, 3.0, share=0.35),
    "a single stance of a run": stepping(0.2, 0.8, share=0.35),
}


@pytest.mark.parametrize("case", CASES)
def test_the_stride_is_as_long_as_it_is_in_the_whole_walk(case: str) -> None:
    assert stride_duration_s(CASES[case]) == pytest.approx(STRIDE_S, abs=0.03)


@pytest.mark.parametrize("case", CASES)
def test_whole_numbers_are_the_middle_of_right_stances_and_halves_that_of_left_ones(case: str) -> None:
    forces = CASES[case]
    share = 0.35 if "run" in case else 0.62
    time_s = np.arange(-50, 450) / RATE_HZ
    phase = stance_phase(time_s, forces, stride_s=stride_duration_s(forces) or 0.0)
    near = np.abs(time_s - forces.time_s.mean()) < STRIDE_S
    expected = (time_s - RIGHT_LANDS_S) / STRIDE_S - share / 2
    np.testing.assert_allclose(np.cos(2 * np.pi * phase[near]), np.cos(2 * np.pi * expected[near]), atol=0.2)


@pytest.mark.parametrize("case", CASES)
def test_a_foot_lands_at_whole_numbers_of_its_own_phase(case: str) -> None:
    forces = CASES[case]
    time_s = forces.time_s
    for foot in range(2):
        phase = landing_phase(time_s, forces, foot, stride_s=stride_duration_s(forces) or 0.0)
        assert (np.diff(phase) > 0).all()
        expected = (time_s - RIGHT_LANDS_S) / STRIDE_S - foot / 2
        np.testing.assert_allclose(np.cos(2 * np.pi * phase), np.cos(2 * np.pi * expected), atol=0.2)


def test_a_pause_does_not_make_strides_longer() -> None:
    forces = stepping(0.0, 8.0)
    paused = forces.force_n.copy()
    paused[150:400] = [[0.0, 350.0, 0.0]]
    assert stride_duration_s(replace(forces, force_n=paused)) == pytest.approx(STRIDE_S, abs=0.03)


def test_who_stands_has_no_stride() -> None:
    forces = stepping(0.0, 4.0)
    assert stride_duration_s(replace(forces, force_n=np.full_like(forces.force_n, 350.0))) is None
    assert stride_duration_s(replace(forces, valid=np.zeros_like(forces.valid))) is None
