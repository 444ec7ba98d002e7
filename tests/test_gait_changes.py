"""What changes mean, as text and on the bundled walk: laws, signs, limits, refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walk_variants import STRIDE_FRAMES, changed, column, mirrored, of_other_knee_sign, standing, trial_of

from gaitdynamics.biomech.cycles import strides, whole_stances
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.errors import (
    GaitDynamicsError,
    InputFileError,
    InvalidChangeError,
    InvalidMotionError,
    NonFiniteValueError,
    UnknownCoordinateError,
)
from gaitdynamics.io.curve import Curve
from gaitdynamics.io.table import format_table
from gaitdynamics.tasks.change_text import Change
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.gait_changes import Goal, changed_columns, goal_of, parse_change
from gaitdynamics.tasks.gait_strategies import EXAMPLES, STRATEGIES
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Polynomial, Skeleton
from gaitdynamics.types.trial import Trial

ONE_OF_EACH = {
    "trunk_sway": ("trunk_sway*1.5", "trunk_sway+5"),
    "toe_out": ("toe_out+5",),
    "toe_in": ("toe_in+5",),
    "step_width": ("step_width*1.2", "step_width+0.03"),
    "cadence": ("cadence*1.1", "cadence+5"),
    "stride_length": ("stride_length*0.9", "stride_length+0.05"),
}


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return trial_of(body, walk)


@pytest.fixture(scope="module")
def forces(trial: Trial) -> GroundReaction:
    return estimate_forces(trial).forces


@pytest.fixture(scope="module")
def goal(trial: Trial, forces: GroundReaction) -> Callable[..., Goal]:
    """Of changes in text, on the bundled walk."""

    def of(*texts: str) -> Goal:
        return goal_of([parse_change(text, trial.skeleton) for text in texts], trial, forces)

    return of


def in_mirror(forces: GroundReaction) -> GroundReaction:
    sign = np.array([1.0, 1.0, -1.0])
    return replace(
        forces, force_n=forces.force_n[:, ::-1] * sign, cop_m=forces.cop_m[:, ::-1] * sign, valid=forces.valid[:, ::-1]
    )


def cut(motion: Motion, own: slice) -> Motion:
    return replace(motion, time_s=motion.time_s[own], values=motion.values[own], observed=motion.observed[own])


def cut_forces(forces: GroundReaction, own: slice) -> GroundReaction:
    return GroundReaction(
        forces.time_s[own], forces.force_n[own], forces.cop_m[own], forces.free_moment_nm[own], forces.valid[own]
    )


def other_side(text: str) -> str:
    return text.replace("_r", "_X").replace("_l", "_r").replace("_X", "_l")


def of(motion: Motion, values: np.ndarray, name: str) -> np.ndarray:
    return column(replace(motion, values=values), name)


def write_csv(path: Path, labels: str, rows: np.ndarray, *, separator: str = ",") -> Path:
    lines = [labels, *(separator.join(f"{number:.9g}" for number in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


# What texts mean.


@pytest.mark.parametrize(
    ("text", "name", "operation", "amount"),
    [
        ("lumbar_bending*2.5", "lumbar_bending", "*", 2.5),
        ("knee_angle_r-5", "knee_angle_r", "+", np.radians(-5.0)),
        (" knee_angle + 5 ", "knee_angle", "+", np.radians(5.0)),
        ("hip_adduction_l*-1", "hip_adduction_l", "*", -1.0),
        ("pelvis_ty-.02", "pelvis_ty", "+", -0.02),
        ("toe_out_r+1e1", "toe_out_r", "+", np.radians(10.0)),
        ("trunk_sway+10", "trunk_sway", "+", np.radians(10.0)),
        ("step_width+0.05", "step_width", "+", 0.05),
        ("cadence-10", "cadence", "+", -10.0),
    ],
)
def test_a_text_becomes_a_change_in_si_units(
    body: Skeleton, text: str, name: str, operation: str, amount: float
) -> None:
    change = parse_change(text, body)
    assert (change.name, change.operation) == (name, operation)
    assert change.amount == pytest.approx(amount)


@pytest.mark.parametrize(
    ("text", "dose", "expected"),
    [
        ("lumbar_bending*2.5", 1.5, "lumbar_bending*1.5"),
        ("lumbar_bending*2.5", -1, "lumbar_bending*-1"),
        ("toe_out+10", 4, "toe_out+4"),
        ("toe_out+10", -4, "toe_out-4"),
        ("knee_angle_r-5", 8, "knee_angle_r-8"),
        ("cadence-10", -3, "cadence+3"),
    ],
)
def test_a_dose_takes_the_place_of_the_number(body: Skeleton, text: str, dose: float, expected: str) -> None:
    dosed, direct = parse_change(text, body).at_dose(dose), parse_change(expected, body)
    assert dosed.text == expected
    assert dosed.amount == pytest.approx(direct.amount)


def test_every_strategy_is_documented_and_understood(goal: Callable[..., Goal]) -> None:
    assert set(ONE_OF_EACH) == set(STRATEGIES)
    for texts in ONE_OF_EACH.values():
        for text in texts:
            assert goal(text).warnings == ()


def test_without_a_side_both_sides_are_meant(body: Skeleton) -> None:
    columns = changed_columns(parse_change("hip_adduction*1.2", body), body)
    assert [body.coordinate_names[k] for k in columns] == ["hip_adduction_r", "hip_adduction_l"]
    assert changed_columns(parse_change("toe_out+5", body), body) == ()


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("hip_aduction*1.2", UnknownCoordinateError, "'hip_adduction'.*Strategies are trunk_sway"),
        ("Knee_Angle_R+5", UnknownCoordinateError, "'knee_angle_r'"),
        ("trunk_swai*2", UnknownCoordinateError, "'trunk_sway'"),
        ("trunk_sway_r+2", UnknownCoordinateError, "'trunk_sway'"),
        ("subtalar*2", UnknownCoordinateError, "neither a coordinate"),
        ("lumbar_bending", InvalidChangeError, r"NAME\*FACTOR.*'lumbar_bending\*2.5'"),
        ("lumbar_bending*", InvalidChangeError, "not a change"),
        ("*2", InvalidChangeError, "not a change"),
        ("", InvalidChangeError, "not a change"),
        ("lumbar_bending/2", InvalidChangeError, "not a change"),
        ("lumbar_bending*2,5", InvalidChangeError, "decimal point"),
        ("lumbar_bending+5deg", InvalidChangeError, "without a unit"),
        ("lumbar_bending*nan", NonFiniteValueError, "finite"),
        ("lumbar_bending*1e999", NonFiniteValueError, "finite"),
        ("toe_out+-inf", NonFiniteValueError, "finite"),
        ("toe_out*2", InvalidChangeError, r"toe_out\+AMOUNT"),
        ("cadence=curve.csv", InvalidChangeError, r"cadence\*FACTOR and cadence\+AMOUNT"),
        ("cadence*0", InvalidChangeError, "positive"),
        ("stride_length*-1", InvalidChangeError, "positive"),
        ("step_width_r*2", InvalidChangeError, "Add metres"),
        ("knee_angle_r=absent.csv", InputFileError, "absent.csv"),
    ],
)
def test_a_text_that_can_not_be_meant_is_refused(
    body: Skeleton, text: str, error: type[GaitDynamicsError], told: str
) -> None:
    with pytest.raises(error, match=told):
        parse_change(text, body)


@pytest.mark.parametrize("dose", [float("nan"), float("inf")])
def test_a_dose_that_is_no_number_is_refused(body: Skeleton, dose: float) -> None:
    with pytest.raises(NonFiniteValueError, match="finite"):
        parse_change("toe_out+5", body).at_dose(dose)
    with pytest.raises(InvalidChangeError, match="positive"):
        parse_change("cadence*1.1", body).at_dose(-1.0)


def test_what_a_model_locks_or_computes_can_not_be_changed(body: Skeleton) -> None:
    def with_coordinate(**settings: object) -> Skeleton:
        coordinates = tuple(
            replace(c, **settings) if c.name == "knee_angle_l" else c  # type: ignore[arg-type]
            for c in body.coordinates
        )
        return replace(body, coordinates=coordinates)

    with pytest.raises(UnknownCoordinateError, match="locks 'knee_angle_l'"):
        parse_change("knee_angle*2", with_coordinate(is_locked=True))
    coupled = with_coordinate(coupled_to="knee_angle_r", coupling=Polynomial((1.0, 0.0)))
    with pytest.raises(UnknownCoordinateError, match="computes 'knee_angle_l' from 'knee_angle_r'"):
        parse_change("knee_angle_l+5", coupled)


# What they ask of a walk.


@pytest.mark.parametrize(
    "text", ["lumbar_bending*1", "knee_angle+0", "trunk_sway*1", "trunk_sway+0", "hip_flexion_r*1"]
)
def test_a_change_by_nothing_changes_nothing_but_sets_it(goal: Callable[..., Goal], trial: Trial, text: str) -> None:
    found = goal(text)
    np.testing.assert_allclose(found.values, trial.motion.values, atol=1e-8)
    assert found.is_changed.any(axis=0).sum() == (2 if text.startswith("knee") else 1)
    assert found.is_changed[:, found.is_changed.any(axis=0)].all()


@pytest.mark.parametrize(
    "texts",
    [
        ("knee_angle+12", "knee_angle-12"),
        ("lumbar_bending*4", "lumbar_bending*0.25"),
        ("toe_out+12", "toe_in+12"),
        ("step_width+0.05", "step_width-0.05"),
        ("cadence*1.25", "cadence*0.8"),
        ("stride_length*1.25", "stride_length*0.8"),
        ("trunk_sway+20", "trunk_sway-20"),
    ],
)
def test_a_change_and_its_opposite_leave_the_walk_as_it_was(
    goal: Callable[..., Goal], trial: Trial, texts: tuple[str, str]
) -> None:
    found = goal(*texts)
    np.testing.assert_allclose(found.values, trial.motion.values, atol=1e-7)
    np.testing.assert_allclose(found.foot_yaw_rad, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.foot_shift_m, 0.0, atol=1e-12)
    assert (found.stretch, found.time_scale) == (pytest.approx(1.0), pytest.approx(1.0))


def test_changes_of_one_coordinate_are_made_in_order(goal: Callable[..., Goal], trial: Trial) -> None:
    recorded = column(trial.motion, "lumbar_bending")
    first = of(trial.motion, goal("lumbar_bending*2", "lumbar_bending+4").values, "lumbar_bending")
    second = of(trial.motion, goal("lumbar_bending+4", "lumbar_bending*2").values, "lumbar_bending")
    np.testing.assert_allclose(first, 2 * recorded + np.radians(4))
    np.testing.assert_allclose(second, 2 * recorded + np.radians(8))


@pytest.mark.parametrize(
    "text",
    ["hip_adduction_r*1.3", "knee_angle_l+8", "trunk_sway*1.7", "trunk_sway+9", "toe_out_r+7", "step_width_l+0.02"],
)
def test_the_mirrored_change_of_the_mirrored_walk_is_the_mirrored_goal(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, text: str
) -> None:
    found = goal(text)
    mirrored_trial = replace(trial, motion=mirrored(trial.motion))
    change = parse_change(text if text.startswith("trunk") else other_side(text), trial.skeleton)
    other = goal_of([change], mirrored_trial, in_mirror(forces))
    expected = mirrored(replace(trial.motion, values=found.values)).values
    np.testing.assert_allclose(other.values, expected, atol=1e-7)
    np.testing.assert_allclose(other.foot_yaw_rad, found.foot_yaw_rad[::-1])
    np.testing.assert_allclose(other.foot_shift_m, found.foot_shift_m[::-1])


def test_trunk_sway_leans_by_that_much_toward_the_stance_leg_whatever_the_models_sign(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction
) -> None:
    swaying = replace(trial, motion=replace(trial.motion, values=goal("trunk_sway+10").values))
    before, after = (gait_parameters(each, forces, belt_speed_m_s=0.0) for each in (trial, swaying))
    for side in ("right", "left"):
        more = after[f"trunk_lean_max_deg_{side}"] - before[f"trunk_lean_max_deg_{side}"]
        assert 8.0 < more < 10.5

    lumbar = next(
        joint for joint in trial.skeleton.joints if "lumbar_bending" in {a.coordinate for a in joint.rotations}
    )
    turned = replace(
        lumbar,
        rotations=tuple(
            replace(axis, direction=-axis.direction) if axis.coordinate == "lumbar_bending" else axis
            for axis in lumbar.rotations
        ),
    )
    joints = tuple(turned if joint is lumbar else joint for joint in trial.skeleton.joints)
    motion = changed(trial.motion, lumbar_bending=-column(trial.motion, "lumbar_bending"))
    other_trial = replace(trial, skeleton=replace(trial.skeleton, joints=joints), motion=motion)
    other = goal_of([parse_change("trunk_sway+10", other_trial.skeleton)], other_trial, forces)
    expected = -of(trial.motion, swaying.motion.values, "lumbar_bending")
    np.testing.assert_allclose(of(trial.motion, other.values, "lumbar_bending"), expected, atol=1e-7)


def test_trunk_sway_peaks_in_the_middle_of_stance(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction
) -> None:
    added = of(trial.motion, goal("trunk_sway+10").values - trial.motion.values, "lumbar_bending")
    for stance in whole_stances(forces):
        middle = (stance.start + stance.end) // 2
        assert added[middle] == pytest.approx(np.radians(10.0) * (1 if stance.foot == 0 else -1), rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_a_scaled_trunk_sway_goes_that_much_further_to_each_side(
    trial: Trial, forces: GroundReaction, factor: float
) -> None:
    most_at_mid_stance = next((s.start + s.end) // 2 for s in whole_stances(forces) if s.foot == 0)
    before = 0.06 * np.cos(2 * np.pi * (np.arange(len(trial.motion.time_s)) - most_at_mid_stance) / STRIDE_FRAMES)
    swaying = replace(trial, motion=changed(trial.motion, lumbar_bending=before))
    found = goal_of([parse_change(f"trunk_sway*{factor:g}", trial.skeleton)], swaying, forces)
    after = of(trial.motion, found.values, "lumbar_bending")
    np.testing.assert_allclose(after, factor * before, atol=0.005)


@pytest.mark.parametrize("late_frames", [0, 20, 54])
def test_a_scaled_trunk_sway_leans_toward_the_stance_leg_whenever_the_recorded_trunk_bends(
    trial: Trial, forces: GroundReaction, late_frames: int
) -> None:
    bending = np.roll(column(trial.motion, "lumbar_bending"), late_frames)
    late = replace(trial, motion=changed(trial.motion, lumbar_bending=bending))
    found = goal_of([parse_change("trunk_sway*2", trial.skeleton)], late, forces)
    added = of(trial.motion, found.values, "lumbar_bending") - bending
    for stance in whole_stances(forces):
        assert added[(stance.start + stance.end) // 2] * (1 if stance.foot == 0 else -1) > 0.05


def test_a_spike_in_the_trunks_bend_does_not_make_it_sway_more(trial: Trial, forces: GroundReaction) -> None:
    spiky = column(trial.motion, "lumbar_bending").copy()
    spiky[300:303] += 0.5
    change = parse_change("trunk_sway*2", trial.skeleton)
    motion = changed(trial.motion, lumbar_bending=spiky)
    found = goal_of([change], replace(trial, motion=motion), forces)
    plain = goal_of([change], trial, forces)
    added = of(trial.motion, found.values, "lumbar_bending") - spiky
    expected = of(trial.motion, plain.values - trial.motion.values, "lumbar_bending")
    np.testing.assert_allclose(added[:280], expected[:280], atol=0.1 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("trunk_sway+10", 50, 115),
        ("trunk_sway+10", 104, 168),
        ("trunk_sway+10", 20, 130),
        ("trunk_sway*2", 20, 130),
        ("trunk_sway*2", 74, 184),
    ],
)
def test_a_step_is_enough_to_sway_the_trunk(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, text: str, first: int, last: int
) -> None:
    own = slice(first, last)
    short = replace(trial, motion=cut(trial.motion, own))
    found = goal_of([parse_change(text, trial.skeleton)], short, cut_forces(forces, own))
    added = of(short.motion, found.values - short.motion.values, "lumbar_bending")
    expected = of(trial.motion, goal(text).values - trial.motion.values, "lumbar_bending")[own]
    np.testing.assert_allclose(added, expected, atol=0.2 * np.abs(expected).max())
    assert np.corrcoef(added, expected)[0, 1] > 0.98


def test_a_step_is_enough_to_follow_a_curve_over_the_cycle(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, tmp_path: Path
) -> None:
    percent = np.linspace(0, 100, 51)
    path = write_csv(tmp_path / "knee.csv", "percent,value", np.stack([percent, knee_curve(percent)], axis=1))
    text, own = f"knee_angle={path}", slice(20, 120)
    found = goal_of(
        [parse_change(text, trial.skeleton)],
        replace(trial, motion=cut(trial.motion, own)),
        cut_forces(forces, own),
    )
    knees = [trial.motion.coordinates.index(f"knee_angle_{side}") for side in "rl"]
    np.testing.assert_allclose(found.values[:, knees], goal(text).values[own][:, knees], atol=np.radians(3.0))


def test_feet_turn_and_shift_as_asked(goal: Callable[..., Goal], trial: Trial, forces: GroundReaction) -> None:
    np.testing.assert_allclose(goal("toe_out+10").foot_yaw_rad, np.radians([10.0, 10.0]))
    np.testing.assert_allclose(goal("toe_in_l+5").foot_yaw_rad, np.radians([0.0, -5.0]))
    np.testing.assert_allclose(goal("step_width+0.06").foot_shift_m, [0.03, 0.03])
    np.testing.assert_allclose(goal("step_width_r+0.06").foot_shift_m, [0.06, 0.0])
    width = gait_parameters(trial, forces, belt_speed_m_s=0.0)["step_width_m"]
    np.testing.assert_allclose(goal("step_width*1.5").foot_shift_m.sum(), 0.5 * width, rtol=1e-3)


def test_cadence_keeps_the_speed_and_stride_length_the_cadence(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction
) -> None:
    quicker, longer = goal("cadence*1.1"), goal("stride_length*1.1")
    assert (quicker.stretch, quicker.time_scale) == (pytest.approx(1 / 1.1), pytest.approx(1 / 1.1))
    assert (longer.stretch, longer.time_scale) == (pytest.approx(1.1), 1.0)
    recorded = gait_parameters(trial, forces, belt_speed_m_s=0.0)
    cadence, length = recorded["cadence_steps_per_min"], recorded["stride_length_m"]
    assert goal("cadence+10").time_scale == pytest.approx(cadence / (cadence + 10))
    assert goal("stride_length-0.1").stretch == pytest.approx(1 - 0.1 / length)
    unknown_belt = replace(trial, belt_speed_m_s=None)
    change = parse_change("stride_length-0.1", trial.skeleton)
    assert goal_of([change], unknown_belt, forces).stretch == pytest.approx(1 - 0.1 / length, rel=1e-3)


def test_the_models_sign_of_knee_flexion_is_the_users(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, tmp_path: Path
) -> None:
    skeleton, motion = of_other_knee_sign(trial.motion, tmp_path)
    other_trial = trial_of(skeleton, motion)
    for text, opposite in (("knee_angle*1.1", "knee_angle*1.1"), ("knee_angle+6", "knee_angle-6")):
        other = goal_of([parse_change(opposite, skeleton)], other_trial, forces)
        for name in ("knee_angle_r", "knee_angle_l"):
            expected = -of(trial.motion, goal(text).values, name)
            np.testing.assert_allclose(of(motion, other.values, name), expected, atol=1e-9)


# Limits.


def test_beyond_the_range_a_joint_is_held_at_its_end_and_it_is_said(goal: Callable[..., Goal], trial: Trial) -> None:
    low, high = trial.skeleton.coordinates[trial.motion.coordinates.index("knee_angle_r")].range or (0.0, 0.0)
    found = goal("knee_angle_r*4")
    knee = of(trial.motion, found.values, "knee_angle_r")
    assert high - 0.01 < knee.max() <= high
    assert low <= knee.min()
    (warning,) = found.warnings
    assert warning.startswith("knee_angle_r*4: knee_angle_r would reach 260")
    assert "held at 126.1°" in warning
    others = [k for k, name in enumerate(trial.motion.coordinates) if name != "knee_angle_r"]
    np.testing.assert_array_equal(found.values[:, others], trial.motion.values[:, others])


def test_a_trunk_bends_no_further_than_people_do(goal: Callable[..., Goal], trial: Trial) -> None:
    for text in ("trunk_sway+70", "lumbar_bending*40", "lumbar_bending-50"):
        found = goal(text)
        assert np.abs(of(trial.motion, found.values, "lumbar_bending")).max() <= np.radians(35.0) + 1e-9
        assert "held at" in found.warnings[0]


def test_what_was_recorded_is_within_the_range_even_where_the_model_says_not(
    trial: Trial, forces: GroundReaction
) -> None:
    coordinates = tuple(
        replace(c, range=(0.3, 0.6)) if c.name == "knee_angle_r" else c for c in trial.skeleton.coordinates
    )
    narrow = replace(trial, skeleton=replace(trial.skeleton, coordinates=coordinates))
    recorded = column(trial.motion, "knee_angle_r")
    same = goal_of([parse_change("knee_angle_r*1", narrow.skeleton)], narrow, forces)
    np.testing.assert_allclose(of(trial.motion, same.values, "knee_angle_r"), recorded)
    assert same.warnings == ()
    more = goal_of([parse_change("knee_angle_r*1.5", narrow.skeleton)], narrow, forces)
    assert of(trial.motion, more.values, "knee_angle_r").max() == pytest.approx(recorded.max())


def test_held_at_the_end_of_its_range_a_joint_bends_no_corner(trial: Trial, goal: Callable[..., Goal]) -> None:
    scaled = 1.5 * column(trial.motion, "lumbar_bending") + np.radians(33.0)
    held = of(trial.motion, goal("lumbar_bending*1.5", "lumbar_bending+33").values, "lumbar_bending")
    corner = np.minimum(scaled, np.radians(35.0))
    assert np.abs(np.diff(held, 2)).max() < 0.5 * np.abs(np.diff(corner, 2)).max()


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("toe_out+80", lambda found: np.degrees(found.foot_yaw_rad) == pytest.approx([45.0, 45.0])),
        ("step_width+2", lambda found: found.foot_shift_m.sum() < 0.5),
        ("step_width-2", lambda found: found.foot_shift_m.sum() < -0.05),
        ("cadence*9", lambda found: found.time_scale == pytest.approx(0.5)),
        ("stride_length*0.01", lambda found: found.stretch == pytest.approx(0.5)),
    ],
)
def test_an_impossible_dose_of_a_strategy_is_held_and_it_is_said(
    goal: Callable[..., Goal], text: str, held: Callable[[Goal], bool]
) -> None:
    found = goal(text)
    assert held(found)
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"{text}: ")


def test_what_was_not_measured_can_not_be_changed(trial: Trial, forces: GroundReaction) -> None:
    stiff = replace(trial, motion=changed(trial.motion, lumbar_bending=np.zeros(len(trial.motion.time_s))))
    for text in ("lumbar_bending*2", "lumbar_bending+5", "trunk_sway*2", "trunk_sway+5"):
        with pytest.raises(InvalidChangeError, match="'lumbar_bending' never changes"):
            goal_of([parse_change(text, trial.skeleton)], stiff, forces)


def test_standing_has_no_stride_to_change(body: Skeleton, walk: Motion, forces: GroundReaction, tmp_path: Path) -> None:
    still = trial_of(body, changed(standing(body, num_frames=len(walk.time_s)), knee_angle_r=0.01 * walk.time_s))
    still = replace(still, motion=changed(still.motion, lumbar_bending=0.01 * walk.time_s))
    loaded = replace(forces, force_n=np.full_like(forces.force_n, 360.0))
    curve = write_csv(tmp_path / "knee.csv", "percent,value", np.stack([np.linspace(0, 100, 11), np.zeros(11)], axis=1))
    for text in ("trunk_sway+5", "step_width*2", "cadence+5", "stride_length+0.1", f"knee_angle_r={curve}"):
        with pytest.raises(InvalidMotionError, match="this motion has none"):
            goal_of([parse_change(text, body)], still, loaded)


# Curves.


def knee_curve(percent: np.ndarray) -> np.ndarray:
    """Degrees, periodic."""
    return 30 - 25 * np.cos(2 * np.pi * (percent - 70) / 100) * -1


def test_a_curve_over_the_cycle_is_followed_in_every_stride_of_the_own_side(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, tmp_path: Path
) -> None:
    percent = np.linspace(0, 100, 51)
    path = write_csv(tmp_path / "knee.csv", "percent,value", np.stack([percent, knee_curve(percent)], axis=1))
    found = goal(f"knee_angle={path}")
    assert found.is_changed.any(axis=0).sum() == 2
    for stride in strides(forces):
        knee = of(trial.motion, found.values, f"knee_angle_{'rl'[stride.foot]}")[stride.start : stride.end]
        at = 100 * np.arange(stride.end - stride.start) / (stride.end - stride.start)
        np.testing.assert_allclose(np.degrees(knee), knee_curve(at), atol=0.05)


def test_half_a_dose_of_a_curve_goes_half_the_way(
    goal: Callable[..., Goal], trial: Trial, forces: GroundReaction, tmp_path: Path
) -> None:
    percent = np.linspace(0, 100, 51)
    path = write_csv(tmp_path / "knee.csv", "percent,value", np.stack([percent, knee_curve(percent)], axis=1))
    change = parse_change(f"knee_angle_r={path}", trial.skeleton)
    assert change.path == path
    whole, half, none = (goal_of([change.at_dose(dose)], trial, forces).values for dose in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half, (whole + trial.motion.values) / 2, atol=1e-9)
    np.testing.assert_allclose(none, trial.motion.values, atol=1e-12)
    assert change.at_dose(0.5).text == "knee_angle_r=knee.csv at 0.5"


def test_a_curve_over_time_is_followed_where_it_is_and_left_smoothly(
    goal: Callable[..., Goal], trial: Trial, tmp_path: Path
) -> None:
    recorded = column(trial.motion, "knee_angle_r")
    inside = (trial.motion.time_s >= 2.0) & (trial.motion.time_s <= 4.0)
    wanted = np.degrees(recorded[inside]) + 6.0
    text = format_table(
        "knee",
        ["other", "knee_angle_r"],
        np.stack([wanted * 0, wanted], axis=1),
        time_s=trial.motion.time_s[inside],
        in_degrees=True,
        decimals=None,
    )
    path = tmp_path / "knee.mot"
    path.write_text(text)
    found = goal(f"knee_angle_r={path}")
    knee = of(trial.motion, found.values, "knee_angle_r")
    np.testing.assert_allclose(np.degrees(knee[inside]), wanted, atol=1e-6)
    np.testing.assert_array_equal(of(trial.motion, found.is_changed, "knee_angle_r"), inside)
    assert np.abs(np.diff(knee)).max() < 1.5 * np.abs(np.diff(recorded)).max()


def test_a_curve_that_does_not_close_is_closed_and_it_is_said(goal: Callable[..., Goal], tmp_path: Path) -> None:
    percent = np.linspace(0, 100, 51)
    values = knee_curve(percent) + 0.1 * percent
    path = write_csv(tmp_path / "knee.csv", "percent,value", np.stack([percent, values], axis=1))
    found = goal(f"knee_angle_r={path}")
    assert "misses its start by 10.0°" in found.warnings[0]
    knee = found.values[:, found.is_changed.any(axis=0)][:, 0]
    assert np.abs(np.diff(np.degrees(knee))).max() < 2.5


def test_every_separator_and_unit_of_a_curve_is_read_alike(body: Skeleton, tmp_path: Path) -> None:
    percent = np.linspace(0, 100, 21)
    rows = np.stack([percent, knee_curve(percent)], axis=1)
    plain = write_csv(tmp_path / "plain.csv", "percent,value", rows)
    others = [
        write_csv(tmp_path / "tabs.csv", "Percent\tknee_angle_r", rows, separator="\t"),
        write_csv(tmp_path / "blanks.txt", "% value", rows, separator=" "),
    ]
    semicolons = write_csv(tmp_path / "semicolons.csv", "percent;value", rows, separator=";")
    semicolons.write_text(semicolons.read_text().replace(".", ","))
    radians = write_csv(tmp_path / "radians.sto", "percent\tvalue", rows * [1, np.pi / 180], separator="\t")
    radians.write_text("knee\ninDegrees=no\nendheader\n" + radians.read_text())

    def curve_of(path: Path) -> Curve:
        amount = parse_change(f"knee_angle_r={path}", body).amount
        assert isinstance(amount, Curve)
        return amount

    expected = curve_of(plain)
    np.testing.assert_allclose(expected.values, np.radians(rows[:, 1]))
    for path in (*others, semicolons, radians):
        np.testing.assert_allclose(curve_of(path).position, expected.position)
        np.testing.assert_allclose(curve_of(path).values, expected.values, atol=1e-8)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        ("<xml/>", "XML"),
        ("percent,value\n0,1\n50,2\n", "at least 4"),
        ("a,b\n0,1\n30,2\n60,3\n90,1\n", "no column 'percent' or 'time'"),
        ("percent,a,b\n0,1,1\n30,2,2\n60,3,3\n90,1,1\n", "which of the columns"),
        ("percent,value\n0,1\n30,2,5\n60,3\n90,1\n", "line 3: 3 values for 2 columns"),
        ("percent,value\n0,1\n30,x\n60,3\n90,1\n", "line 3.*not all numbers"),
        ("percent,value\n0,1\n30,nan\n60,3\n90,1\n", "line 3.*finite"),
        ("percent,value\n0,1\n60,2\n30,3\n90,1\n", "must increase"),
        ("percent,value\n0,1\n0.3,2\n0.6,3\n1,1\n", "shares of 1"),
        ("percent,value\n0,1\n30,2\n60,3\n190,1\n", "expected 0 to 100"),
        ("percent,value\n0,1\n10,2\n20,3\n30,1\n", "70 % of the gait cycle without a point"),
        ("knee\nendheader\n", "nothing follows"),
    ],
)
def test_a_broken_curve_is_named(body: Skeleton, tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_text(content)
    with pytest.raises((InputFileError, NonFiniteValueError), match=f"(?s)curve.csv.*{told}"):
        parse_change(f"knee_angle_r={path}", body)


def test_a_curve_of_another_time_is_refused(goal: Callable[..., Goal], tmp_path: Path) -> None:
    path = write_csv(tmp_path / "late.csv", "time,value", np.stack([np.linspace(90, 91, 9), np.zeros(9)], axis=1))
    with pytest.raises(InvalidChangeError, match="from 90 s to 91 s"):
        goal(f"knee_angle_r={path}")


def test_the_examples_are_understood(body: Skeleton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "curve.csv", "percent,value", np.stack([np.linspace(0, 100, 11), np.zeros(11)], axis=1))
    changes = [parse_change(example, body) for example in EXAMPLES]
    assert all(isinstance(change, Change) for change in changes)
