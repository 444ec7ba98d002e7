"""Parts of the body by name, and motions in which they were not observed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walk_variants import trial_of

from gaitdynamics.errors import InvalidMotionError, UnknownCoordinateError
from gaitdynamics.io.osim import read_model
from gaitdynamics.state.parts import PARTS, completable_coordinates, coordinates_of_parts, hidden
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Polynomial, Skeleton

HIPS = tuple(f"hip_{axis}_{side}" for side in "rl" for axis in ("flexion", "adduction", "rotation"))
PELVIS = ("pelvis_tilt", "pelvis_list", "pelvis_rotation", "pelvis_tx", "pelvis_ty", "pelvis_tz")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["hips"], HIPS),
        (["hip"], HIPS),
        (["Hips "], HIPS),
        (["hip_right"], HIPS[:3]),
        (["right hip"], HIPS[:3]),
        (["hip_l"], HIPS[3:]),
        (["knees"], ("knee_angle_r", "knee_angle_l")),
        (["ankle"], ("ankle_angle_r", "subtalar_angle_r", "ankle_angle_l", "subtalar_angle_l")),
        (["trunk"], ("lumbar_extension", "lumbar_bending", "lumbar_rotation")),
        (["pelvis"], PELVIS),
        (["pelvis_orientation"], PELVIS[:3]),
        (["pelvis_position"], PELVIS[3:]),
        (["left_leg"], (*HIPS[3:], "knee_angle_l", "ankle_angle_l", "subtalar_angle_l")),
        (["mtp_angle_r"], ("mtp_angle_r",)),
        (["knee_angle_l", "hips", "hip_right"], (*HIPS, "knee_angle_l")),
        ([], ()),
    ],
)
def test_a_name_stands_for_the_models_coordinates_in_its_order(
    body: Skeleton, names: list[str], expected: tuple[str, ...]
) -> None:
    order = body.coordinate_names.index
    assert coordinates_of_parts(body, names) == tuple(sorted(expected, key=order))


def test_legs_are_both_legs(body: Skeleton) -> None:
    legs = coordinates_of_parts(body, ["legs"])
    assert legs == coordinates_of_parts(body, ["right_leg", "left_leg"])
    assert legs == coordinates_of_parts(body, ["hips", "knees", "ankles"])


def test_every_part_has_coordinates_and_together_they_are_what_can_be_completed(body: Skeleton) -> None:
    assert all(coordinates_of_parts(body, [part]) for part in PARTS)
    assert coordinates_of_parts(body, PARTS) == completable_coordinates(body)
    assert set(body.coordinate_names) - set(completable_coordinates(body)) == {"mtp_angle_r", "mtp_angle_l"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hipps", ("'hipps' is no part", "Did you mean 'hips'", "right_leg", "lumbar_bending")),
        ("knee_angl_r", ("Did you mean 'knee_angle_r'",)),
        ("arms", ("'arms' is no part", "pelvis_position")),
        ("", ("'' is no part",)),
    ],
)
def test_an_unknown_name_is_answered_with_what_there_is(body: Skeleton, name: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UnknownCoordinateError) as raised:
        coordinates_of_parts(body, ["trunk", name])
    for part in parts:
        assert part in str(raised.value)


def without_trunk(skeleton: Skeleton) -> Skeleton:
    kept = [(b, j) for b, j in zip(skeleton.bodies, skeleton.joints, strict=True) if b.name != "torso"]
    bodies, joints = zip(*kept, strict=True)
    return replace(skeleton, bodies=bodies, joints=joints)


def test_a_part_that_the_model_lacks_is_told(body: Skeleton) -> None:
    with pytest.raises(UnknownCoordinateError, match="no coordinates of 'trunk': nothing moves there"):
        coordinates_of_parts(without_trunk(body), ["trunk"])


def coupled(skeleton: Skeleton) -> Skeleton:
    """The same with toes that bend with the knee, and a locked subtalar joint."""
    changed = []
    for coordinate in skeleton.coordinates:
        if coordinate.name == "mtp_angle_r":
            coordinate = replace(coordinate, coupled_to="knee_angle_r", coupling=Polynomial((0.5, 0.0)))
        if coordinate.name == "subtalar_angle_r":
            coordinate = replace(coordinate, is_locked=True)
        changed.append(coordinate)
    return replace(skeleton, coordinates=tuple(changed))


def test_coupled_and_locked_coordinates_are_not_missing_by_themselves(body: Skeleton) -> None:
    skeleton = coupled(body)
    assert coordinates_of_parts(skeleton, ["ankle_right"]) == ("ankle_angle_r",)
    with pytest.raises(UnknownCoordinateError, match="follows 'knee_angle_r'"):
        coordinates_of_parts(skeleton, ["mtp_angle_r"])
    with pytest.raises(UnknownCoordinateError, match="locks 'subtalar_angle_r'"):
        coordinates_of_parts(skeleton, ["subtalar_angle_r"])


def test_whole_hidden_columns_take_the_default_and_nothing_else_changes(body: Skeleton, walk: Motion) -> None:
    trial = trial_of(body, walk)
    names = coordinates_of_parts(body, ["pelvis", "knees"])
    motion = hidden(trial, names).motion
    is_hidden = np.isin(walk.coordinates, names)
    assert not motion.observed[:, is_hidden].any()
    assert motion.observed[:, ~is_hidden].all()
    np.testing.assert_array_equal(motion.values[:, ~is_hidden], walk.values[:, ~is_hidden])
    np.testing.assert_array_equal(motion.values[:, is_hidden], np.tile(body.default_values[is_hidden], (601, 1)))
    assert trial.motion.observed.all()


def test_a_hidden_interval_is_bridged_by_straight_lines(body: Skeleton, walk: Motion) -> None:
    motion = hidden(trial_of(body, walk), ["knee_angle_r"], interval_s=(1.0, 1.5)).motion
    column = walk.coordinates.index("knee_angle_r")
    is_inside = (walk.time_s >= 1.0) & (walk.time_s < 1.5)
    np.testing.assert_array_equal(motion.observed[:, column], ~is_inside)
    assert np.count_nonzero(~motion.observed) == 50
    np.testing.assert_array_equal(motion.values[~is_inside], walk.values[~is_inside])
    first, last = np.flatnonzero(is_inside)[[0, -1]] + [-1, 1]
    steps = np.diff(motion.values[first : last + 1, column])
    np.testing.assert_allclose(steps, (walk.values[last, column] - walk.values[first, column]) / 51)


def test_an_interval_at_an_end_holds_the_last_value(body: Skeleton, walk: Motion) -> None:
    motion = hidden(trial_of(body, walk), ["pelvis_tx"], interval_s=(5.0, 99.0)).motion
    column = walk.coordinates.index("pelvis_tx")
    is_inside = walk.time_s >= 5.0
    np.testing.assert_array_equal(motion.values[is_inside, column], walk.values[~is_inside, column][-1])


def test_hiding_an_interval_twice_is_hiding_both(body: Skeleton, walk: Motion) -> None:
    names = ["knee_angle_r"]
    once = hidden(trial_of(body, walk), names, interval_s=(1.0, 2.0))
    parts = hidden(hidden(trial_of(body, walk), names, interval_s=(1.0, 1.5)), names, interval_s=(1.5, 2.0))
    np.testing.assert_array_equal(once.motion.observed, parts.motion.observed)
    whole = hidden(hidden(trial_of(body, walk), names, interval_s=(-1.0, 3.0)), names, interval_s=(3.0, 9.0))
    np.testing.assert_array_equal(whole.motion.values, hidden(trial_of(body, walk), names).motion.values)


def test_coupled_coordinates_follow_and_count_as_hidden(body: Skeleton, walk: Motion) -> None:
    skeleton = coupled(body)
    motion = hidden(trial_of(skeleton, walk), ["knee_angle_r"]).motion
    toes, knee = (walk.coordinates.index(name) for name in ("mtp_angle_r", "knee_angle_r"))
    np.testing.assert_allclose(motion.values[:, toes], 0.5 * motion.values[:, knee])
    assert not motion.observed[:, toes].any()


def test_an_interval_without_frames_or_an_unknown_coordinate_is_refused(body: Skeleton, walk: Motion) -> None:
    with pytest.raises(InvalidMotionError, match="no frame between 7 s and 8 s"):
        hidden(trial_of(body, walk), ["knee_angle_r"], interval_s=(7.0, 8.0))
    with pytest.raises(UnknownCoordinateError, match="no coordinate 'hips'"):
        hidden(trial_of(body, walk), ["hips"])


@pytest.mark.parametrize("sample", ["moco_walk", "gait2354", "hamner", "opencap", "camargo"])
def test_every_sample_model_has_every_part(shared: Path, sample: str) -> None:
    (path,) = (shared / "samples" / sample).glob("*.osim")
    skeleton = read_model(path)
    locked = {c.name for c in skeleton.coordinates if c.is_locked or c.is_coupled}
    for part in PARTS:
        names = coordinates_of_parts(skeleton, [part])
        assert names
        assert locked.isdisjoint(names)
