"""Strides and steps from forces that are made up."""

from dataclasses import replace

import numpy as np
import pytest

from gaitdynamics.biomech.cycles import (
    Stride,
    cadence_steps_per_min,
    foot_timing,
    landing_frames,
    over_cycle,
    strides,
    whole_stances,
)
from gaitdynamics.types.ground_reaction import GroundReaction

RATE_HZ = 100.0
STRIDE, STANCE = 100, 60  # frames
FORWARD = np.array([1.0, 0.0, 0.0])


def stepping(num_frames: int = 350, *, right_at: int = 20) -> GroundReaction:
    """Right stances from a frame on, left ones half a stride later."""
    force = np.zeros((num_frames, 2, 3))
    for foot in range(2):
        phase = (np.arange(num_frames) - right_at - foot * STRIDE // 2) % STRIDE
        force[phase < STANCE, foot, 1] = 700.0
    return GroundReaction(
        time_s=np.arange(num_frames) / RATE_HZ,
        force_n=force,
        cop_m=np.zeros_like(force),
        free_moment_nm=np.zeros((num_frames, 2)),
        valid=np.ones((num_frames, 2), dtype=bool),
    )


def test_strides_go_from_landing_to_landing_of_the_same_foot_in_order() -> None:
    found = strides(stepping())
    assert found == (
        Stride(0, 20, 80, 120),
        Stride(1, 70, 130, 170),
        Stride(0, 120, 180, 220),
        Stride(1, 170, 230, 270),
        Stride(0, 220, 280, 320),
    )


def test_a_stance_that_the_start_cuts_begins_no_stride() -> None:
    assert [stride.start for stride in strides(stepping(right_at=0)) if stride.foot == 0] == [100, 200]


def test_somebody_who_stands_makes_no_strides() -> None:
    forces = stepping()
    standing = replace(forces, force_n=np.full_like(forces.force_n, 350.0))
    assert strides(standing) == whole_stances(standing) == ()
    assert cadence_steps_per_min(standing) is None
    assert len(landing_frames(standing, 0)) == 0
    timing = foot_timing(standing, np.zeros((350, 2, 3)), np.tile(FORWARD, (350, 1)), 0)
    assert len(timing.step_times_s) == len(timing.stride_times_s) == len(timing.contact_times_s) == 0


def test_strides_and_stances_in_which_a_force_is_not_known_do_not_count() -> None:
    forces = stepping()
    forces.valid[140:150, 0] = False
    assert [(s.foot, s.start) for s in strides(forces)] == [(0, 20), (1, 70), (1, 170), (0, 220)]
    assert [(s.foot, s.start) for s in whole_stances(forces)] == [(0, 20), (1, 70), (1, 170), (0, 220), (1, 270)]
    assert cadence_steps_per_min(forces) == pytest.approx(120.0)


def test_a_force_that_becomes_known_in_the_middle_of_a_stance_is_no_landing() -> None:
    forces = stepping()
    forces.valid[:40, 0] = False
    forces.force_n[:40, 0] = 0.0
    assert landing_frames(forces, 0).tolist() == [120, 220, 320]
    assert [s.start for s in strides(forces) if s.foot == 0] == [120, 220]


def test_over_a_cycle_a_line_stays_a_line() -> None:
    values = np.stack([np.arange(350.0), 3.0 - 2.0 * np.arange(350.0)], axis=1).reshape(350, 1, 2)
    stride = Stride(0, 20, 80, 143)
    resampled = over_cycle(values, stride)
    assert resampled.shape == (101, 1, 2)
    np.testing.assert_allclose(resampled[:, 0, 0], np.linspace(20, 143, 101))
    np.testing.assert_allclose(resampled[:, 0, 1], 3.0 - 2.0 * np.linspace(20, 143, 101))
    assert over_cycle(values[:, 0, 0], stride, num_points=5).shape == (5,)


def test_steps_have_the_time_length_and_width_that_feet_show() -> None:
    forces = stepping()
    heels = np.zeros((350, 2, 3))
    heels[..., 0] = 1.2 * forces.time_s[:, None]
    heels[:, 0, 2], heels[:, 1, 2] = 0.06, -0.04
    for foot in range(2):
        timing = foot_timing(forces, heels, np.tile(FORWARD, (350, 1)), foot)
        np.testing.assert_allclose(timing.step_times_s, 0.5)
        np.testing.assert_allclose(timing.step_widths_m, 0.1)
        np.testing.assert_allclose(timing.stride_lengths_m, 1.2)
        np.testing.assert_allclose(timing.stance_shares, 0.6)
        np.testing.assert_allclose(timing.contact_times_s, 0.6)
    assert cadence_steps_per_min(forces) == pytest.approx(120.0)
