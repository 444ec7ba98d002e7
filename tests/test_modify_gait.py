"""A gait with something changed in it: laws on a few steps of the bundled walk, by a model without opinion."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from gait_quality import beside_feet_m, residual, slide_m_s
from small_completer import Coupled, Indifferent
from walk_variants import (
    BODY_WEIGHT_N,
    MIRROR,
    SPEED_M_S,
    changed,
    column,
    mirrored,
    motion_of,
    of_other_knee_sign,
    on_treadmill,
    standing,
    trial_of,
)

from gaitdynamics.apps.estimate_files import read_person
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.biomech.joint_loads import joint_loads, load_parameters
from gaitdynamics.errors import GaitDynamicsError, InvalidChangeError, InvalidMotionError
from gaitdynamics.io.motion import read_motion
from gaitdynamics.maths.signals import resample
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.estimators import load_completer, load_estimator
from gaitdynamics.tasks.fill_motion import MotionCompleter
from gaitdynamics.tasks.gait_changes import parse_change
from gaitdynamics.tasks.gait_versions import AS_RECORDED, GaitVersion
from gaitdynamics.tasks.modify_gait import modify_gait
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

OWN = slice(48, 220)
FIRST, SECOND = (f"knee_adduction_{which}_peak_pct_bw_bh" for which in ("first", "second"))
ONE_OF_EACH = (
    "trunk_sway+10",
    "lumbar_bending*2",
    "hip_adduction_r+3",
    "toe_out_r+10",
    "step_width+0.05",
    "cadence*1.1",
    "stride_length*1.1",
)

Modified = Callable[..., GaitVersion]


def physics(trial: Trial, *, seed: int = 0) -> Prediction:
    return estimate_forces(trial)


def versions_of(trial: Trial, *texts: str, num_samples: int = 0, **settings: object) -> tuple[GaitVersion, ...]:
    changes = [parse_change(text, trial.skeleton) for text in texts]
    completer = settings.pop("completer", None) or MotionCompleter("indifferent", Indifferent(trial, variety=2.0))
    asked = {"doses": None, "estimator": physics, "completer": completer, "num_samples": num_samples}
    return modify_gait(trial, changes, **asked | settings)  # type: ignore[arg-type]


def cut(motion: Motion, own: slice) -> Motion:
    return replace(motion, time_s=motion.time_s[own], values=motion.values[own], observed=motion.observed[own])


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return trial_of(body, cut(walk, OWN))


@pytest.fixture(scope="module")
def modified(trial: Trial) -> Modified:
    """The changed version of the walk."""

    @cache
    def of(*texts: str) -> GaitVersion:
        return versions_of(trial, *texts, num_samples=2)[1]

    return of


@pytest.fixture(scope="module")
def recorded(trial: Trial) -> GroundReaction:
    return estimate_forces(trial).forces


def loads(trial: Trial, forces: GroundReaction) -> dict[str, float]:
    found = load_parameters(joint_loads(trial, forces), forces, trial.subject)
    return {name: value for name, value in found.items() if value is not None}


def parameters(trial: Trial, forces: GroundReaction) -> dict[str, float]:
    found = gait_parameters(trial, forces, belt_speed_m_s=trial.belt_speed_m_s or 0.0)
    return {name: value for name, value in found.items() if value is not None}


def of_version(version: GaitVersion) -> dict[str, float]:
    return parameters(version.trial, version.prediction.forces)


# What stays.


@pytest.mark.parametrize("text", ["trunk_sway+0", "cadence*1"])
def test_who_changes_nothing_gets_the_gait_as_it_was(trial: Trial, recorded: GroundReaction, text: str) -> None:
    first, second = versions_of(trial, text)
    assert (first.label, second.label) == (AS_RECORDED, text)
    for version in (first, second):
        forces = version.prediction.forces
        np.testing.assert_allclose(version.trial.motion.values, trial.motion.values, atol=1e-6)
        np.testing.assert_allclose(forces.force_n, recorded.force_n, atol=1e-6 * BODY_WEIGHT_N)
        np.testing.assert_allclose(forces.cop_m, recorded.cop_m, atol=1e-6)
        np.testing.assert_allclose(forces.time_s, trial.motion.time_s, rtol=1e-12)
        np.testing.assert_array_equal(forces.valid, recorded.valid)
        assert version.trial.motion is version.prediction.motion or version is first
        assert not version.warnings
        assert not version.is_extrapolated


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lumbar_bending*2", lambda values: 2 * values),
        ("hip_adduction_r+3", lambda values: values + np.radians(3.0)),
    ],
)
def test_the_changed_coordinate_is_exactly_as_asked_for_in_every_sample(
    modified: Modified, trial: Trial, text: str, wanted: Callable[[np.ndarray], np.ndarray]
) -> None:
    version, name = modified(text), text.split("*")[0].split("+")[0]
    expected = wanted(column(trial.motion, name))
    assert len(version.samples) == 2
    for motion in (version.trial.motion, *(sample.motion for sample in version.samples)):
        np.testing.assert_allclose(column(motion, name), expected, atol=1e-9)


@pytest.mark.parametrize("text", ONE_OF_EACH)
def test_a_changed_gait_is_as_real_as_the_recorded_one(
    modified: Modified, trial: Trial, recorded: GroundReaction, text: str
) -> None:
    version = modified(text)
    forces = version.prediction.forces
    time_scale = forces.time_s[-1] / trial.motion.time_s[-1]
    assert (residual(version.trial, forces) < residual(trial, recorded) + 0.003).all()
    assert slide_m_s(version.trial, forces) * time_scale < slide_m_s(trial, recorded) + 0.002
    assert beside_feet_m(version.trial, forces) < max(beside_feet_m(trial, recorded), 0.0) + 0.003
    assert forces.force_n[..., 1].min() >= 0.0
    np.testing.assert_array_equal(forces.force_n[recorded.force_n[..., 1] == 0], 0.0)
    assert version.warnings == ()


# What changes.


def test_more_trunk_sway_means_less_adduction_of_the_knee_at_both_peaks(
    modified: Modified, trial: Trial, recorded: GroundReaction
) -> None:
    found = [loads(trial, recorded)]
    for text in ("trunk_sway+5", "trunk_sway+10"):
        version = modified(text)
        found.append(loads(version.trial, version.prediction.forces))
    for peak in (FIRST, SECOND):
        for side in ("right", "left"):
            moments = [each[f"{peak}_{side}"] for each in found]
            assert moments[0] > moments[1] > moments[2] > 0.0
            assert 0.02 < 1 - moments[1] / moments[0] < 0.3


@pytest.mark.parametrize(("text", "right_deg", "left_deg"), [("toe_in+10", -10, -10), ("toe_out_r+10", 10, 0)])
def test_feet_turn_as_far_as_asked(
    modified: Modified, trial: Trial, recorded: GroundReaction, text: str, right_deg: float, left_deg: float
) -> None:
    before, after = parameters(trial, recorded), of_version(modified(text))
    right, left = (
        after[f"foot_progression_deg_{side}"] - before[f"foot_progression_deg_{side}"] for side in ("right", "left")
    )
    assert right + left == pytest.approx(right_deg + left_deg, abs=0.2)
    # They are measured from where the pelvis faces, and it turns with a foot a little.
    assert right == pytest.approx(right_deg, abs=2.0)
    assert left == pytest.approx(left_deg, abs=2.0)


def test_feet_stand_as_far_apart_as_asked(modified: Modified, trial: Trial, recorded: GroundReaction) -> None:
    before = parameters(trial, recorded)
    after = of_version(modified("step_width+0.05"))
    assert after["step_width_m"] - before["step_width_m"] == pytest.approx(0.05, abs=0.002)
    assert after["stride_length_m"] == pytest.approx(before["stride_length_m"], rel=0.01)


def test_a_higher_cadence_keeps_the_speed(modified: Modified, trial: Trial, recorded: GroundReaction) -> None:
    before, after = parameters(trial, recorded), of_version(modified("cadence*1.1"))
    assert after["cadence_steps_per_min"] == pytest.approx(1.1 * before["cadence_steps_per_min"], rel=1e-3)
    assert after["speed_m_s"] == pytest.approx(before["speed_m_s"], rel=0.01)
    assert after["stride_length_m"] == pytest.approx(before["stride_length_m"] / 1.1, rel=0.005)


def test_longer_strides_change_the_speed(modified: Modified, trial: Trial, recorded: GroundReaction) -> None:
    before, after = parameters(trial, recorded), of_version(modified("stride_length*1.1"))
    assert after["stride_length_m"] == pytest.approx(1.1 * before["stride_length_m"], rel=0.005)
    assert after["speed_m_s"] == pytest.approx(1.1 * before["speed_m_s"], rel=0.01)
    assert after["cadence_steps_per_min"] == pytest.approx(before["cadence_steps_per_min"], rel=1e-3)


def test_changes_are_made_together(modified: Modified, trial: Trial, recorded: GroundReaction) -> None:
    before, version = parameters(trial, recorded), modified("trunk_sway+5", "toe_out+8")
    after = of_version(version)
    assert version.label == "trunk_sway+5, toe_out+8"
    assert after["foot_progression_deg"] - before["foot_progression_deg"] == pytest.approx(8.0, abs=0.3)
    assert after["trunk_lean_max_deg"] > before["trunk_lean_max_deg"] + 2.0


def test_doses_are_versions_of_one_change(modified: Modified, trial: Trial) -> None:
    told: list[tuple[int, int]] = []
    found = versions_of(trial, "trunk_sway+1", doses=[10.0], report=lambda done, total: told.append((done, total)))
    assert [version.amount for version in found] == [0.0, 10.0]
    assert [version.label for version in found] == [AS_RECORDED, "trunk_sway+10"]
    assert told == [(1, 1)]
    alone = modified("trunk_sway+10")
    np.testing.assert_array_equal(found[1].trial.motion.values, alone.trial.motion.values)
    assert alone.amount == pytest.approx(10.0)


def test_samples_differ_and_come_back_the_same(modified: Modified, trial: Trial) -> None:
    version = modified("lumbar_bending*2")
    first, second = version.samples
    assert np.abs(first.motion.values - second.motion.values).max() > np.radians(0.1)
    assert np.abs(first.forces.force_n - second.forces.force_n).max() > 0.5
    again = versions_of(trial, "lumbar_bending*2", num_samples=2)[1]
    for one, other in zip(version.samples, again.samples, strict=True):
        np.testing.assert_array_equal(one.motion.values, other.motion.values)
        np.testing.assert_array_equal(one.forces.force_n, other.forces.force_n)
        assert one.forces.force_n[..., 1].min() >= 0.0


# The same gait told otherwise.


def test_the_mirrored_walk_is_changed_in_the_mirror(modified: Modified, trial: Trial) -> None:
    version = modified("toe_out_r+10")
    other = versions_of(replace(trial, motion=mirrored(trial.motion)), "toe_out_l+10")[1]
    expected, forces = mirrored(version.trial.motion), version.prediction.forces
    np.testing.assert_allclose(other.trial.motion.values, expected.values, atol=1e-5)
    np.testing.assert_allclose(
        other.prediction.forces.force_n, forces.force_n[:, ::-1] * MIRROR, atol=1e-4 * BODY_WEIGHT_N
    )


def test_the_sign_of_the_models_knee_does_not_matter(modified: Modified, trial: Trial, tmp_path: Path) -> None:
    skeleton, motion = of_other_knee_sign(trial.motion, tmp_path)
    version, other = modified("knee_angle_l-4"), versions_of(trial_of(skeleton, motion), "knee_angle_l+4")[1]
    sign = np.array([-1.0 if "knee" in name else 1.0 for name in motion.coordinates])
    np.testing.assert_allclose(other.trial.motion.values * sign, version.trial.motion.values, atol=1e-5)
    forces, expected = other.prediction.forces.force_n, version.prediction.forces.force_n
    np.testing.assert_allclose(forces, expected, atol=1e-4 * BODY_WEIGHT_N)


@pytest.mark.parametrize("rate_hz", [60, 1000])
def test_the_rate_of_the_recording_matters_little(modified: Modified, trial: Trial, rate_hz: int) -> None:
    version, motion = modified("trunk_sway+10"), trial.motion
    duration_s = float(motion.time_s[-1] - motion.time_s[0])
    time_s = motion.time_s[0] + np.arange(int(duration_s * rate_hz) + 1) / rate_hz
    sampled = motion_of(time_s, resample(motion.values, motion.time_s, time_s), motion.coordinates)
    first, other = versions_of(replace(trial, motion=sampled), "trunk_sway+10")
    assert other.trial.motion.time_s is other.prediction.forces.time_s
    expected = resample(version.trial.motion.values, motion.time_s, time_s)
    np.testing.assert_allclose(other.trial.motion.values, expected, atol=np.radians(0.6))
    now, then = loads(other.trial, other.prediction.forces), loads(version.trial, version.prediction.forces)
    assert (now[FIRST], now[SECOND]) == (pytest.approx(then[FIRST], rel=0.04), pytest.approx(then[SECOND], rel=0.04))
    before, after = (residual(each.trial, each.prediction.forces) for each in (first, other))
    assert (after < before + 0.002).all()


@pytest.mark.parametrize(("text", "belt_m_s"), [("cadence*1.1", SPEED_M_S), ("stride_length*1.1", 1.1 * SPEED_M_S)])
def test_on_a_treadmill_it_is_the_same_gait_and_the_belt_goes_along(trial: Trial, text: str, belt_m_s: float) -> None:
    motion, _ = on_treadmill(trial.motion)
    on_belt = replace(trial, motion=motion, belt_speed_m_s=SPEED_M_S)
    completer = MotionCompleter("coupled", Coupled("lumbar_extension", "pelvis_velocity_x", share=1.0))
    version, other = (versions_of(each, text, completer=completer)[1] for each in (trial, on_belt))
    assert other.trial.belt_speed_m_s == pytest.approx(belt_m_s)
    assert other.prediction.belt_speed_m_s == pytest.approx(belt_m_s)
    assert version.trial.belt_speed_m_s == 0.0
    forward = trial.motion.coordinates.index("pelvis_tx")
    difference = np.delete(other.trial.motion.values - version.trial.motion.values, forward, axis=1)
    assert np.abs(difference).max() < np.radians(0.1)
    assert np.abs(column(other.trial.motion, "pelvis_tx") - column(other.trial.motion, "pelvis_tx")[0]).max() < 0.15
    assert of_version(other)["speed_m_s"] == pytest.approx(of_version(version)["speed_m_s"], rel=0.005)


# Warnings and refusals.


def test_who_leans_further_than_anybody_and_than_joints_allow_is_told_so(trial: Trial) -> None:
    found = versions_of(trial, "lumbar_bending+50")[1]
    assert np.abs(column(found.trial.motion, "lumbar_bending")).max() <= np.radians(35.0) + 1e-9
    assert any("held at" in warning for warning in found.warnings)
    assert found.is_extrapolated
    assert any("extrapolation" in warning for warning in found.warnings)
    assert set(found.warnings) <= set(found.prediction.warnings)


def test_a_model_of_gait_has_a_say_in_what_else_changes(modified: Modified, trial: Trial) -> None:
    adducting = MotionCompleter("coupled", Coupled("hip_right_adduction", "lumbar_bending", share=0.5))
    indifferent, found = modified("lumbar_bending*2"), versions_of(trial, "lumbar_bending*2", completer=adducting)[1]
    bent, adducted = (
        column(found.trial.motion, name) - column(indifferent.trial.motion, name)
        for name in ("lumbar_bending", "hip_adduction_r")
    )
    np.testing.assert_allclose(bent, 0.0, atol=1e-9)
    assert np.corrcoef(adducted, column(trial.motion, "lumbar_bending"))[0, 1] > 0.5
    assert np.abs(adducted).max() > np.radians(0.3)


@pytest.mark.parametrize(
    ("texts", "settings", "error", "told"),
    [
        (("trunk_sway+5", "toe_out+5"), {"doses": [1.0, 2.0]}, InvalidChangeError, "doses are of one change"),
        (("trunk_sway+5",), {"method": "magic"}, InvalidChangeError, "no method 'magic'.*balanced or guided"),
        (("toe_out+5",), {"method": "guided"}, InvalidChangeError, "coordinates only"),
        (("cadence*1.1",), {"method": "guided"}, InvalidChangeError, "coordinates only"),
    ],
)
def test_what_can_not_be_asked_for_is_refused(
    trial: Trial, texts: tuple[str, ...], settings: dict[str, object], error: type[GaitDynamicsError], told: str
) -> None:
    with pytest.raises(error, match=told):
        versions_of(trial, *texts, **settings)  # type: ignore[arg-type]


def test_standing_and_what_is_too_short_or_too_long_is_refused(trial: Trial, body: Skeleton) -> None:
    still = standing(body)
    swinging = changed(still, lumbar_bending=0.05 * np.sin(3 * still.time_s))
    with pytest.raises(InvalidMotionError, match="no step to change"):
        versions_of(replace(trial, motion=swinging), "trunk_sway+5")
    with pytest.raises(InvalidMotionError, match=r"lasts 0\.4.*expected 0\.6 to 20 s"):
        versions_of(replace(trial, motion=cut(trial.motion, slice(0, 42))), "trunk_sway+5")
    long = np.tile(trial.motion.values, (13, 1))
    motion = motion_of(np.arange(len(long)) / 100, long, trial.motion.coordinates)
    with pytest.raises(InvalidMotionError, match=r"lasts 22\.\d* s.*20 s"):
        versions_of(replace(trial, motion=motion), "trunk_sway+5")


def test_who_turns_can_not_make_longer_strides(trial: Trial) -> None:
    turn = np.linspace(0.0, np.pi / 2, len(trial.motion.time_s))
    turning = changed(trial.motion, pelvis_rotation=column(trial.motion, "pelvis_rotation") + turn)
    with pytest.raises(InvalidChangeError, match=r"turns.*straight"):
        versions_of(replace(trial, motion=turning), "stride_length*1.1")


def test_a_gait_is_guided_as_the_authors_do(trial: Trial) -> None:
    found = versions_of(trial, "lumbar_bending*2", method="guided")[1]
    assert found.samples == ()
    for values in (found.trial.motion.values, found.prediction.forces.force_n, found.prediction.forces.cop_m):
        assert np.isfinite(values).all()
        assert len(values) == len(trial.motion.time_s)
    assert found.prediction.forces.force_n[..., 1].min() >= 0.0


# On a person.


def test_a_persons_knee_is_relieved_by_trunk_sway(shared: Path) -> None:
    folder = shared / "samples" / "moco_walk"
    person = read_person(folder / "subject_walk_scaled.osim", mass_kg=None, height_m=None)
    motion = read_motion(folder / "coordinates.sto", person.skeleton.coordinates)[0]
    trial = Trial("walk", person.subject, person.skeleton, motion, None, None, "shared")
    found = versions_of(
        trial,
        "trunk_sway*1",
        doses=[2.0, 4.0],
        estimator=load_estimator("starter"),
        completer=load_completer("starter_diffusion"),
    )
    moments = [loads(each.trial, each.prediction.forces) for each in found]
    for peak in (FIRST, SECOND):
        assert moments[0][peak] > moments[1][peak] > moments[2][peak]
    before, *after = [residual(each.trial, each.prediction.forces) for each in found]
    slides = [slide_m_s(each.trial, each.prediction.forces) for each in found]
    assert all((each < before + 0.005).all() for each in after)
    assert max(slides) < slides[0] + 0.005
