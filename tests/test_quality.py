"""Each rule finds what it is for, and leaves a good recording alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.study import Interval, read_study
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evidence import Evidence, Level, agreed, examine, level_of, within
from gaitdynamics.training.laboratory import Alignment, Measured, laboratories
from gaitdynamics.training.quality import (
    RULES,
    Rule,
    cop_far_from_foot,
    force_motion_mismatch,
    implausible_lumbar,
    jitter,
    judge,
    missing_flags,
    suspect_motion,
    turning,
    wrong_foot,
    wrong_mass,
)
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

ALL: tuple[Interval, ...] = ((0.0, 10.0),)


@pytest.fixture(scope="module")
def good(body: Skeleton, walk: Motion) -> Trial:
    """The synthetic walk, with the forces that physics gives it for measured ones."""
    subject = Subject("nobody", body.mass_kg, 1.75)
    motion = replace(walk, values=body.with_coupled_values(walk.values))
    trial = Trial("D/P/walk", subject, body, motion, None, 0.0, "D")
    forces = estimate_forces(trial).forces
    return replace(trial, forces=replace(forces, force_n=np.maximum(forces.force_n, [-1e4, 0.0, -1e4])))


def with_forces(trial: Trial, change: Callable[[GroundReaction], dict[str, np.ndarray]]) -> Trial:
    assert trial.forces is not None
    return replace(trial, forces=replace(trial.forces, **change(trial.forces)))


def with_values(trial: Trial, change: Callable[[np.ndarray, list[str]], None]) -> Trial:
    values = trial.motion.values.copy()
    change(values, list(trial.motion.coordinates))
    return replace(trial, motion=replace(trial.motion, values=values))


def during(trial: Trial, start_s: float, end_s: float) -> np.ndarray:
    return within(trial.motion.time_s, [(start_s, end_s)])


def a_stance(trial: Trial, foot: int = 0) -> np.ndarray:
    """Frames of one whole stance in the middle of the recording."""
    assert trial.forces is not None
    loaded = trial.forces.force_n[:, foot, 1] > 100.0
    edges = np.flatnonzero(np.diff(loaded.astype(int)))
    start = next(edge for edge in edges if not loaded[edge] and trial.forces.time_s[edge] > 1.0)
    end = next(edge for edge in edges if edge > start)
    mask = np.zeros(len(loaded), dtype=bool)
    mask[start : end + 1] = True
    return mask


def a_swing(trial: Trial, foot: int = 1) -> np.ndarray:
    """Frames in which a foot carries nothing."""
    assert trial.forces is not None
    return trial.forces.force_n[:, foot, 1] == 0.0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_recording_passes_every_rule(rule: Rule, good: Trial) -> None:
    assert rule(examine(good, ALL)) is None


def test_a_good_recording_is_kept_whole(good: Trial) -> None:
    verdict = judge(examine(good, ALL))
    assert verdict.reason is None
    assert verdict.removed_s == {}
    kept_s = sum(end - start for start, end in verdict.valid_s)
    assert kept_s == pytest.approx(verdict.stated_s, rel=1e-6)


def assert_found(rule: Rule, trial: Trial, start_s: float, end_s: float) -> None:
    """The rule finds something, and it lies within the times given."""
    finding = rule(examine(trial, ALL))
    assert finding is not None
    assert finding.spans_s is not None
    assert start_s <= min(start for start, _ in finding.spans_s)
    assert max(end for _, end in finding.spans_s) <= end_s
    assert finding.reason in judge(examine(trial, ALL), [rule]).removed_s


def test_forces_flagged_as_missing_are_taken_out(good: Trial) -> None:
    gone = during(good, 2.0, 2.5)
    trial = with_forces(good, lambda forces: {"valid": forces.valid & ~gone[:, None]})
    assert_found(missing_flags, trial, 1.98, 2.52)


def test_forces_that_are_zero_while_the_body_stands_are_taken_out(good: Trial) -> None:
    gone = during(good, 2.0, 2.5)
    trial = with_forces(good, lambda forces: {"force_n": np.where(gone[:, None, None], 0.0, forces.force_n)})
    assert_found(missing_flags, trial, 1.98, 2.52)


def test_a_centre_of_pressure_away_from_the_foot_is_found(good: Trial) -> None:
    stance = a_stance(good)
    shift = np.array([[[0.0, 0.0, 0.4], [0.0, 0.0, 0.0]]])
    trial = with_forces(good, lambda forces: {"cop_m": forces.cop_m + stance[:, None, None] * shift})
    times = good.motion.time_s[stance]
    assert_found(cop_far_from_foot, trial, times[0] - 0.05, times[-1] + 0.05)


def test_a_force_on_the_foot_in_the_air_is_found(good: Trial) -> None:
    stance = a_stance(good)
    trial = with_forces(
        good,
        lambda forces: {"force_n": np.where(stance[:, None, None], forces.force_n[:, ::-1], forces.force_n)},
    )
    times = good.motion.time_s[stance]
    assert_found(wrong_foot, trial, times[0] - 0.2, times[-1] + 0.2)
    verdict = judge(examine(trial, ALL), [wrong_foot])
    alone = [t for t, down in zip(times, a_swing(good)[stance], strict=True) if down]
    assert not within(np.array(alone), verdict.valid_s).any()


def test_a_motion_that_jumps_is_found(good: Trial) -> None:
    frame = int(np.argmax(good.motion.time_s > 2.0))

    def jump(values: np.ndarray, names: list[str]) -> None:
        values[frame, names.index("knee_angle_r")] += 1.0

    assert_found(jitter, with_values(good, jump), 1.7, 2.3)


def test_a_motion_that_trembles_is_found(good: Trial) -> None:
    trembling = during(good, 2.0, 3.0)
    noise = np.random.default_rng(1).normal(scale=0.08, size=len(trembling)) * trembling

    def tremble(values: np.ndarray, names: list[str]) -> None:
        values[:, names.index("hip_flexion_l")] += noise

    assert_found(jitter, with_values(good, tremble), 1.6, 3.4)


def test_a_trunk_bent_too_far_is_found(good: Trial) -> None:
    bent = during(good, 2.0, 3.0)

    def bend(values: np.ndarray, names: list[str]) -> None:
        values[bent, names.index("lumbar_extension")] -= 1.4

    assert_found(implausible_lumbar, with_values(good, bend), 1.98, 3.02)


def test_a_person_who_turns_is_kept_and_noted(good: Trial) -> None:
    def turn(values: np.ndarray, names: list[str]) -> None:
        time_s = good.motion.time_s
        values[:, names.index("pelvis_rotation")] += np.interp(time_s, [1.0, 5.0], [0.0, 1.2])

    trial = with_values(good, turn)
    finding = turning(examine(trial, ALL))
    assert finding is not None
    verdict = judge(examine(trial, ALL), [turning])
    assert verdict.notes == (finding.reason,)
    assert verdict.valid_s == judge(examine(trial, ALL), []).valid_s != ()
    assert judge(examine(good, ALL)).notes == ()


def test_a_force_of_another_motion_is_found(good: Trial) -> None:
    odd = during(good, 2.0, 3.5)

    def shaken(forces: GroundReaction) -> dict[str, np.ndarray]:
        wave = np.sin(2 * np.pi * 3.0 * forces.time_s)[:, None, None]
        return {"force_n": forces.force_n * (1 + 0.9 * wave * odd[:, None, None])}

    assert_found(force_motion_mismatch, with_forces(good, shaken), 1.5, 4.0)


def test_a_mass_far_from_the_force_is_found(good: Trial) -> None:
    trial = with_forces(good, lambda forces: {"force_n": 1.2 * forces.force_n})
    finding = wrong_mass(examine(trial, ALL))
    assert finding is not None
    assert "120 %" in finding.reason or "119 %" in finding.reason or "121 %" in finding.reason
    verdict = judge(examine(trial, ALL))
    assert (verdict.valid_s, verdict.reason) == ((), finding.reason)


def test_what_the_study_suspects_is_taken_out(good: Trial) -> None:
    finding = suspect_motion(examine(good, ALL, suspect_s=[(1.0, 1.5)]))
    assert finding is not None
    verdict = judge(examine(good, ALL, suspect_s=[(1.0, 1.5)]))
    assert verdict.removed_s == {finding.reason: pytest.approx(0.5, abs=0.03)}
    assert not within(np.array([1.2]), verdict.valid_s).any()
    assert within(np.array([0.9, 1.6]), verdict.valid_s).all()


def test_a_recording_that_is_mostly_bad_is_left_out_with_every_reason(good: Trial) -> None:
    gone = during(good, 0.0, 4.5)
    trial = with_forces(good, lambda forces: {"valid": forces.valid & ~gone[:, None]})
    verdict = judge(examine(trial, ALL))
    assert verdict.valid_s == ()
    assert verdict.reason is not None
    assert "no force measured" in verdict.reason


def test_a_recording_without_forces_is_refused(good: Trial) -> None:
    with pytest.raises(InputFileError, match=r"D/P/walk: no measured forces"):
        examine(replace(good, forces=None), ALL)


@pytest.mark.parametrize("lag_s", [-0.0204, -0.0037, 0.0, 0.0126, 0.031])
def test_a_lag_is_found_to_a_fraction_of_a_sample(good: Trial, lag_s: float) -> None:
    assert good.motion.sampling_rate_hz < 1 / 0.0037
    trial = with_forces(good, lambda forces: {"time_s": forces.time_s + lag_s})
    evidence = examine(trial, ALL)
    assert evidence.total_lag_s == pytest.approx(lag_s, abs=3e-4)
    assert evidence.contact_lag_s == pytest.approx(lag_s, abs=3e-4)
    assert evidence.lag_s == pytest.approx(lag_s, abs=3e-4)


def test_a_wrong_scale_does_not_look_like_a_lag(good: Trial) -> None:
    trial = with_forces(good, lambda forces: {"force_n": 1.1 * forces.force_n, "time_s": forces.time_s + 0.01})
    assert examine(trial, ALL).total_lag_s == pytest.approx(0.01, abs=1e-3)


def test_a_late_force_is_judged_by_the_motion_that_it_belongs_to(good: Trial) -> None:
    def late_with_a_gap(forces: GroundReaction) -> dict[str, np.ndarray]:
        gone = within(forces.time_s, [(2.0, 2.5)])
        return {
            "time_s": forces.time_s + 0.04,
            "force_n": np.where(gone[:, None, None], 0.0, forces.force_n),
        }

    assert_found(missing_flags, with_forces(good, late_with_a_gap), 2.02, 2.56)
    assert judge(examine(with_forces(good, lambda f: {"time_s": f.time_s + 0.04}), ALL)).removed_s == {}


@pytest.mark.parametrize(
    ("total_s", "contact_s", "expected_s"),
    [(0.018, 0.013, 0.013), (-0.002, -0.009, -0.002), (0.018, -0.004, 0.0), (None, 0.01, 0.0), (0.01, None, 0.0)],
)
def test_a_lag_is_what_total_force_and_contacts_agree_upon(
    total_s: float | None, contact_s: float | None, expected_s: float
) -> None:
    assert agreed(total_s, contact_s) == expected_s


def test_the_level_of_the_force_is_that_of_whole_strides(good: Trial) -> None:
    level = level_of(examine(good, ALL))
    assert level is not None
    assert level.num_strides >= 3
    assert level.body_weights == pytest.approx(1.0, abs=0.02)
    part = level_of(examine(good, [(1.0, 1.5)]))
    assert part is None


def told(
    dataset: str,
    subject: str,
    *,
    total_s: float,
    contact_s: float | None = None,
    level: float = 1.0,
    activity: str = "run",
) -> Measured:
    return Measured(
        dataset, subject, activity, True, total_s, total_s if contact_s is None else contact_s, Level(level, 20)
    )


def test_a_lag_that_laboratories_share_stays() -> None:
    labs = laboratories(
        [told(name, "P", total_s=0.004 + extra) for name, extra in zip("ABC", (0, 0, 0.01), strict=True)]
    )
    assert [lab.alignment.lag_s for lab in labs.values()] == pytest.approx([0.0, 0.0, 0.01])
    assert labs["C"].total_lag_s == pytest.approx(0.014)


def test_of_one_or_two_laboratories_nothing_is_shared() -> None:
    labs = laboratories([told("A", "P", total_s=-0.005), told("B", "P", total_s=-0.005)])
    assert labs["A"].alignment.lag_s == pytest.approx(-0.005)


def test_lags_of_walking_are_reported_and_stay() -> None:
    labs = laboratories([told("A", "P", total_s=-0.009, activity="walk")])
    assert labs["A"].alignment.lag_s == 0.0
    assert labs["A"].total_lag_s == pytest.approx(-0.009)


def test_validation_laboratories_do_not_tell_what_is_shared() -> None:
    training = [told(name, "P", total_s=0.0) for name in "ABC"]
    apart = [replace(told(name, "P", total_s=0.02), is_training=False) for name in "DEFG"]
    labs = laboratories([*training, *apart])
    assert labs["A"].alignment.lag_s == 0.0
    assert labs["D"].alignment.lag_s == pytest.approx(0.02)


def test_a_total_force_that_is_late_alone_is_no_clock() -> None:
    labs = laboratories([told("A", "P", total_s=0.018, contact_s=-0.004)])
    assert labs["A"].alignment.lag_s == 0.0
    assert (labs["A"].total_lag_s, labs["A"].contact_lag_s) == (0.018, -0.004)


def test_people_count_alike_however_many_recordings_they_have() -> None:
    many = [told("A", "P1", total_s=0.003) for _ in range(20)]
    labs = laboratories([*many, told("A", "P2", total_s=0.005), told("A", "P3", total_s=0.004)])
    assert labs["A"].alignment.lag_s == pytest.approx(0.004)


def test_a_level_below_body_weight_becomes_a_scale() -> None:
    labs = laboratories([told("A", f"P{i}", total_s=0.0, level=0.975) for i in range(5)])
    assert labs["A"].alignment.force_scale == pytest.approx(1 / 0.975, rel=1e-5)


def test_a_person_far_from_the_rest_of_a_dataset_is_corrected_apart() -> None:
    people = [told("A", f"P{i}", total_s=0.0) for i in range(4)]
    labs = laboratories([*people, told("A", "late", total_s=-0.015), told("A", "light", total_s=0.0, level=0.9)])
    lab = labs["A"]
    assert lab.alignment == Alignment(0.0, 1.0)
    assert lab.alignment_of("late") == Alignment(-0.015, 1.0)
    assert lab.alignment_of("light").force_scale == pytest.approx(1 / 0.9, rel=1e-5)
    assert lab.alignment_of("P1") == lab.alignment
    assert set(lab.own) == {"late", "light"}


def test_a_level_of_few_strides_is_no_scale() -> None:
    labs = laboratories([replace(told("A", "P", total_s=0.0), level=Level(0.9, 2))])
    assert labs["A"].alignment.force_scale == 1.0
    assert labs["A"].level_body_weights is None


@pytest.mark.parametrize(("folder", "total_ms"), [("BatchOpenSimSample/UNC01", 18.0), ("Hamner2010/subject02", 0.0)])
def test_measured_recordings_are_kept_with_the_lag_they_have(shared: Path, folder: str, total_ms: float) -> None:
    (study_trial,) = read_study(shared / "gaitdata" / folder)
    evidence: Evidence = examine(load_trial(study_trial), study_trial.forces_valid_s)
    assert evidence.total_lag_s == pytest.approx(total_ms / 1000, abs=0.002)
    verdict = judge(evidence)
    assert verdict.reason is None
    assert sum(verdict.removed_s.values()) < 0.02 * verdict.stated_s
