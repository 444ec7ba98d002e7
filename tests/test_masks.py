"""Masks hide what they say and nothing else; what is measured of completions is what was done to them."""

from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gaitdynamics.biomech.anthropometry import estimated_height_m
from gaitdynamics.errors import InputFileError
from gaitdynamics.state.codec import completed_columns
from gaitdynamics.state.parts import coordinates_of_parts
from gaitdynamics.training.completions import filled_with, observed_throughout
from gaitdynamics.training.masks import GAPS_MS, KNOWN_AT_ENDS_S, MASKS, NothingHiddenError, masks_named, shortened
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

ASSETS = Path(str(files("gaitdynamics") / "assets"))
LONGEST_GAP_S = max(GAPS_MS) / 1000


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    subject = Subject("P", mass_kg=body.mass_kg, height_m=estimated_height_m(body))
    return Trial("D/P/walk", subject, body, walk, forces=None, belt_speed_m_s=0.0, source="D")


def whole(trial: Trial) -> tuple[tuple[float, float], ...]:
    return ((float(trial.motion.time_s[0]), float(trial.motion.time_s[-1])),)


def lasting(trial: Trial, duration_s: float) -> Trial:
    return shortened(trial, whole(trial), longest_s=duration_s)


def hidden_coordinates(masked: Trial, original: Trial) -> set[str]:
    lost = (original.motion.observed & ~masked.motion.observed).any(axis=0)
    return {name for name, is_lost in zip(masked.motion.coordinates, lost, strict=True) if is_lost}


@pytest.mark.parametrize("name", [name for name in MASKS if name != "none" and not name.startswith("gap")])
def test_a_mask_hides_its_parts_throughout_and_nothing_else(trial: Trial, name: str) -> None:
    parts = {"one_leg": ("left_leg",), "upper_body": ("legs",)}.get(name, tuple(name.split("+")))
    masked = MASKS[name].applied(trial, whole(trial))
    expected = set(coordinates_of_parts(trial.skeleton, parts))
    follow = {c.name for c in trial.skeleton.coordinates if c.coupled_to in expected}
    assert hidden_coordinates(masked, trial) == expected | follow
    columns = [trial.motion.coordinates.index(coordinate) for coordinate in expected]
    assert not masked.motion.observed[:, columns].any()
    np.testing.assert_array_equal(
        masked.motion.values[masked.motion.observed], trial.motion.values[masked.motion.observed]
    )


def test_every_pair_of_parts_is_a_mask() -> None:
    parts = ("trunk", "pelvis", "hips", "knees", "ankles")
    pairs = {frozenset(name.split("+")) for name in MASKS if "+" in name}
    assert pairs == {frozenset((a, b)) for a in parts for b in parts if a != b}


def test_what_is_hidden_leaves_no_trace_in_the_values(trial: Trial) -> None:
    """Two trials that differ only in what is hidden are the same trial afterwards."""
    hips = [trial.motion.coordinates.index(name) for name in coordinates_of_parts(trial.skeleton, ["hips"])]
    values = trial.motion.values.copy()
    values[:, hips] += 0.3
    other = replace(trial, motion=replace(trial.motion, values=trial.skeleton.with_coupled_values(values)))
    for name in ("hips", "one_leg"):
        here, there = (MASKS[name].applied(each, whole(trial)) for each in (trial, other))
        left = [column for column in hips if not here.motion.observed[:, column].any()]
        assert left
        np.testing.assert_array_equal(here.motion.values[:, left], there.motion.values[:, left])


@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_gaps_hide_every_coordinate_for_as_long_as_they_say(trial: Trial, gap_ms: int) -> None:
    masked = MASKS[f"gap_{gap_ms}ms"].applied(trial, whole(trial))
    free = [i for i, c in enumerate(trial.skeleton.coordinates) if c.coupled_to is None and not c.is_locked]
    is_hidden = ~masked.motion.observed[:, free]
    assert (is_hidden.all(axis=1) == is_hidden.any(axis=1)).all()
    gaps = MASKS[f"gap_{gap_ms}ms"].gaps(trial, whole(trial))
    assert len(gaps) >= 3  # in six seconds
    assert is_hidden.any(axis=1).sum() / trial.motion.sampling_rate_hz == pytest.approx(
        len(gaps) * gap_ms / 1000, abs=len(gaps) / trial.motion.sampling_rate_hz
    )


def test_gaps_of_all_lengths_lie_about_the_same_moments_with_known_motion_between(trial: Trial) -> None:
    found = [MASKS[f"gap_{gap_ms}ms"].gaps(trial, whole(trial)) for gap_ms in GAPS_MS]
    centres = [[(start + end) / 2 for start, end in gaps] for gaps in found]
    for each in centres[1:]:
        assert each == pytest.approx(centres[0])
    time_s = trial.motion.time_s
    for (_, end), (start, _) in pairwise(found[-1]):
        assert start - end >= 0.5 - 1e-9
    assert found[-1][0][0] >= time_s[0] + KNOWN_AT_ENDS_S - 1e-9
    assert found[-1][-1][1] <= time_s[-1] - KNOWN_AT_ENDS_S + 1e-9


def test_places_of_gaps_depend_on_trial_and_seed_alone(trial: Trial) -> None:
    mask = MASKS["gap_200ms"]
    first = mask.gaps(trial, whole(trial), seed=0)
    assert mask.gaps(trial, whole(trial), seed=0) == first
    assert mask.gaps(trial, whole(trial), seed=1) != first
    assert mask.gaps(replace(trial, name="another"), whole(trial)) != first


def test_a_short_interval_of_valid_force_has_one_gap_that_reaches_into_it(trial: Trial) -> None:
    for gap_ms in GAPS_MS:
        ((start, end),) = MASKS[f"gap_{gap_ms}ms"].gaps(trial, ((2.0, 2.4),))
        assert start < 2.4
        assert end > 2.0


def test_a_trial_without_room_for_a_gap_is_told_so(trial: Trial) -> None:
    short = lasting(trial, LONGEST_GAP_S + KNOWN_AT_ENDS_S)
    with pytest.raises(NothingHiddenError, match="no room for a gap"):
        MASKS["gap_50ms"].applied(short, whole(short))


def test_hiding_what_was_never_measured_is_told(trial: Trial) -> None:
    once = MASKS["trunk"].applied(trial, whole(trial))
    with pytest.raises(NothingHiddenError, match="nothing of trunk was measured"):
        MASKS["trunk"].applied(once, whole(trial))
    assert hidden_coordinates(MASKS["trunk+hips"].applied(once, whole(trial)), once)


def test_masks_go_by_name_in_any_order_and_once() -> None:
    assert [mask.name for mask in masks_named(["hips+trunk", "knees", "trunk+hips"])] == ["trunk+hips", "knees"]
    assert {mask.name for mask in masks_named(["all"])} == set(MASKS)
    with pytest.raises(InputFileError, match="Did you mean 'gap_200ms'"):
        masks_named(["gap_20ms0"])


def test_a_shortened_trial_keeps_what_lies_before_its_first_valid_force(trial: Trial) -> None:
    short = shortened(trial, ((3.0, 4.0),), longest_s=2.5)
    assert short.motion.time_s[0] == pytest.approx(2.0, abs=0.02)
    assert short.motion.time_s[-1] == pytest.approx(4.5, abs=0.02)
    assert len(short.motion.values) == len(short.motion.observed) == len(short.motion.time_s)


def test_filling_with_a_constant_moves_only_what_was_hidden(trial: Trial) -> None:
    from gaitdynamics.state.codec import encode
    from gaitdynamics.state.layout import GAIT

    masked = MASKS["hips"].applied(trial, whole(trial))
    channels = np.zeros(len(GAIT))
    channels[GAIT["hip_right"]] = [0.4, -0.1, 0.2]
    filled = filled_with(masked, channels)
    assert filled.motion.observed.all()
    seen = masked.motion.observed
    np.testing.assert_array_equal(filled.motion.values[seen], trial.motion.values[seen])
    assert completed_columns(masked).any()
    state, _ = encode(filled)
    hip = state.values[:, GAIT["hip_right"]]
    np.testing.assert_allclose(hip, np.broadcast_to(channels[GAIT["hip_right"]], hip.shape), atol=1e-4)


def test_taking_all_as_observed_changes_no_value(trial: Trial) -> None:
    masked = MASKS["knees"].applied(trial, whole(trial))
    taken = observed_throughout(masked)
    assert taken.motion.observed.all()
    np.testing.assert_array_equal(taken.motion.values, masked.motion.values)
