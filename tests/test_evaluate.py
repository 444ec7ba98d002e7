"""Errors of known size come out as that size, and are averaged as people, not as numbers of trials."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gaitdynamics.apps.cli import main
from gaitdynamics.apps.estimate_files import estimate_file, read_person
from gaitdynamics.errors import InputFileError, InvalidMotionError
from gaitdynamics.io.forces import format_forces, ground_reaction_from_sides, read_plates
from gaitdynamics.io.study import read_study
from gaitdynamics.io.table import format_table, read_table
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.training.completions import Completed, Direct, channel_levels
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import FIGURES, METRICS, evaluate_study, interval_coverage
from gaitdynamics.training.masked_evaluation import (
    ANGLE,
    GAP_FIGURES,
    MEASURED_SLIDING,
    SLIDING,
    evaluate_mask,
    evaluate_masks,
    increase,
    prepare,
)
from gaitdynamics.training.masks import MASKS
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import ForceInterval
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
MASS_KG, HEIGHT_M = 75.0, 1.75
BODY_WEIGHT_N = MASS_KG * STANDARD_GRAVITY_M_S2
PERCENT_N = BODY_WEIGHT_N / 100
VERTICAL, FORWARD, SIDEWAYS, PEAK, COP, COVERAGE = FIGURES
WHOLE_S = ((0.0, 6.01),)
HEADING_TOLERANCE = 0.02  # of 2 % forward leaks sideways when the median heading is off by a fifth of a degree
QUARTER_TURN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # about y: x to -z

Change = Callable[[GroundReaction], GroundReaction]


def untouched(forces: GroundReaction) -> GroundReaction:
    return forces


def pushed(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Change:
    """Measured forces that differ by a constant, % of body weight."""
    return lambda forces: replace(forces, force_n=forces.force_n + PERCENT_N * np.array([x, y, z]))


@dataclass(frozen=True)
class Study:
    """A study in the making: its measured forces are the estimator's own, changed by a known amount."""

    folder: Path
    estimated: GroundReaction

    def add(
        self,
        change: Change = untouched,
        *,
        name: str = "D/P/walk",
        split: str | None = "validation",
        **about: Any,
    ) -> Path:
        trial = self.folder / name
        trial.mkdir(parents=True)
        person = {"split": split, "mass_kg": MASS_KG, "height_m": HEIGHT_M}
        (trial.parent / "subject.json").write_text(json.dumps(person))
        (trial.parent / "model.osim").write_bytes(BODY.read_bytes())
        (trial / "ik.mot").write_bytes(WALK.read_bytes())
        (trial / "grf.mot").write_text(format_forces(change(self.estimated), name="grf"))
        recording = {"activity": "walk", "surface": "overground", "forces_valid_s": WHOLE_S} | about
        (trial / "trial.json").write_text(json.dumps(recording))
        return trial

    def evaluated(
        self, *, split: str = "validation", weights: str = "physics", is_aligned: bool = False
    ) -> dict[str, Any]:
        return evaluate_study(read_study(self.folder), split=split, weights=weights, is_aligned=is_aligned)

    def errors(self, *, is_aligned: bool = False) -> dict[str, float | None]:
        return self.evaluated(is_aligned=is_aligned)["overall"]

    def coverage(self, lower_pct_bw: float, upper_pct_bw: float) -> float:
        """Of intervals between these distances from the estimated forces, over the first trial."""
        study_trial = read_study(self.folder)[0]
        bounds = (self.estimated.force_n + PERCENT_N * size for size in (lower_pct_bw, upper_pct_bw))
        interval = ForceInterval(*bounds, coverage=0.9)
        return interval_coverage(load_trial(study_trial), self.estimated.time_s, interval, study_trial.forces_valid_s)


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> GroundReaction:
    person = read_person(BODY, mass_kg=MASS_KG, height_m=HEIGHT_M)
    written = estimate_file(
        WALK, person, out=tmp_path_factory.mktemp("made"), belt_speed_m_s=0.0, estimator=estimate_forces
    )
    return ground_reaction_from_sides(read_plates(written.paths[0]))


@pytest.fixture
def study(tmp_path: Path, estimated: GroundReaction) -> Study:
    return Study(tmp_path / "study", estimated)


def expected(*, within: float = 0.002, **sizes: float) -> Any:
    """Nothing but these errors, of an estimator without intervals."""
    return pytest.approx(dict.fromkeys(METRICS, 0.0) | {COVERAGE: None} | sizes, abs=within)


def test_forces_compared_with_themselves_have_no_error(study: Study) -> None:
    study.add()
    assert study.errors() == expected()


@pytest.mark.parametrize("size", [1.0, -1.0])
def test_a_constant_vertical_error_is_found_in_full(study: Study, size: float) -> None:
    study.add(pushed(y=size))
    assert study.errors() == expected(**{VERTICAL: 1.0, PEAK: 1.0})


def test_horizontal_errors_do_not_mix(study: Study) -> None:
    study.add(pushed(x=2.0, z=0.5))
    assert study.errors() == expected(**{FORWARD: 2.0, SIDEWAYS: 0.5}, within=HEADING_TOLERANCE)


def test_errors_do_not_depend_on_where_the_person_walks(study: Study) -> None:
    def turned(forces: GroundReaction) -> GroundReaction:
        forces = pushed(x=2.0, y=1.0, z=0.5)(forces)
        return replace(forces, force_n=forces.force_n @ QUARTER_TURN.T, cop_m=forces.cop_m @ QUARTER_TURN.T)

    trial = study.add(turned)
    (trial / "ik.mot").write_text(turned_walk())
    assert study.errors() == expected(
        **{VERTICAL: 1.0, FORWARD: 2.0, SIDEWAYS: 0.5, PEAK: 1.0}, within=HEADING_TOLERANCE
    )


def turned_walk() -> str:
    """The bundled walk along -z instead of x."""
    table = read_table(WALK)
    columns = dict(zip(table.labels, table.values.T, strict=True))
    place = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
    columns |= zip(place, QUARTER_TURN @ np.stack([columns[name] for name in place]), strict=True)
    angles = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")  # about z, x, y in this order
    turned = Rotation.from_matrix(QUARTER_TURN) * Rotation.from_euler(
        "ZXY", np.stack([columns[name] for name in angles], axis=1), degrees=True
    )
    columns |= zip(angles, turned.as_euler("ZXY", degrees=True).T, strict=True)
    values = np.stack(list(columns.values()), axis=1)
    return format_table("turned", list(columns), values, time_s=table.time_s, in_degrees=True, decimals=10)


def test_swing_counts(study: Study) -> None:
    is_swing = study.estimated.force_n[:, :, 1] == 0.0
    study.add(
        lambda forces: replace(forces, force_n=forces.force_n + np.where(is_swing[..., None], [0, PERCENT_N, 0], 0.0))
    )
    share = is_swing.mean()
    assert 0.3 < share < 0.4
    assert study.errors() == expected(**{VERTICAL: share})


def test_each_foot_counts_half(study: Study) -> None:
    study.add(lambda forces: replace(forces, force_n=forces.force_n + np.array([[0, PERCENT_N, 0], [0, 0, 0]])))
    found = study.errors()
    assert found[VERTICAL] == pytest.approx(0.5, abs=0.002)
    assert found[PEAK] == pytest.approx(6 / 11, abs=0.002)  # the right foot has one peak more


def test_peaks_are_those_of_each_stance(study: Study) -> None:
    study.add(lambda forces: replace(forces, force_n=forces.force_n * [1.0, 1.1, 1.0]))
    largest = study.estimated.force_n[200:400, :, 1].max() / PERCENT_N
    found = study.errors()
    assert found[PEAK] == pytest.approx(0.1 * largest, rel=0.02)
    assert found[VERTICAL] == pytest.approx(0.1 * study.estimated.force_n[:, :, 1].mean() / PERCENT_N, rel=1e-3)


def test_a_stance_cut_at_its_peak_has_no_peak_error(study: Study) -> None:
    vertical = study.estimated.force_n[:, 0, 1]
    peak = 150 + int(np.argmax(vertical[150:258]))
    valid = [[study.estimated.time_s[peak] - 0.15, study.estimated.time_s[peak] + 0.01]]
    study.add(pushed(y=1.0), forces_valid_s=valid)
    found = study.evaluated()
    assert found["excluded"] == []
    assert found["overall"][VERTICAL] == pytest.approx(1.0, abs=0.002)


def test_the_centre_of_pressure_counts_while_the_foot_carries_a_tenth_of_body_weight(study: Study) -> None:
    is_loaded = study.estimated.force_n[:, :, 1] > 0.1 * BODY_WEIGHT_N
    shift_m = np.where(is_loaded[..., None], [0.006, 0.0, -0.008], [1.0, 0.0, 1.0])
    study.add(lambda forces: replace(forces, cop_m=forces.cop_m + shift_m))
    assert study.errors() == expected(**{COP: 10.0})


def test_the_height_of_the_centre_of_pressure_does_not_count(study: Study) -> None:
    study.add(lambda forces: replace(forces, cop_m=forces.cop_m + np.array([0.0, 0.05, 0.0])))
    assert study.errors() == expected()


def test_only_valid_times_count(study: Study) -> None:
    def change(forces: GroundReaction) -> GroundReaction:
        is_outside = (forces.time_s < 1.0) | (forces.time_s >= 3.0)
        spoilt = pushed(x=50.0, y=50.0, z=50.0)(forces)
        return replace(forces, force_n=np.where(is_outside[:, None, None], spoilt.force_n, forces.force_n))

    study.add(change, forces_valid_s=[[1.0, 2.0], [2.0, 3.0]])
    assert study.errors() == expected()


def test_forces_at_other_times_are_compared_at_their_own(study: Study) -> None:
    def thinned(forces: GroundReaction) -> GroundReaction:
        return GroundReaction(
            *(part[::4] for part in (forces.time_s, forces.force_n, forces.cop_m, forces.free_moment_nm, forces.valid))
        )

    study.add(lambda forces: thinned(pushed(y=1.0)(forces)))
    assert study.errors()[VERTICAL] == pytest.approx(1.0, abs=0.002)


def late(lag_s: float) -> Change:
    """Measured forces whose clock shows more than the motion's."""
    return lambda forces: replace(forces, time_s=forces.time_s + lag_s)


@pytest.mark.parametrize("lag_s", [0.015, -0.015, 0.0343])
def test_aligning_takes_a_lag_out_again(study: Study, lag_s: float) -> None:
    study.add(late(lag_s))
    lagging = study.errors()
    assert lagging[VERTICAL] > 1.0
    assert lagging[FORWARD] > 0.3
    found = study.evaluated(is_aligned=True)
    assert found["is_aligned"] is True
    assert found["overall"] == expected(within=0.02)


def test_without_a_lag_aligning_changes_nothing(study: Study) -> None:
    study.add(pushed(x=2.0, y=1.0, z=0.5))
    assert study.evaluated()["is_aligned"] is False
    assert study.errors(is_aligned=True) == pytest.approx(study.errors(), abs=0.02)


def test_aligning_moves_the_valid_times_with_the_forces(study: Study) -> None:
    """By the plates' clock all but two seconds are spoilt; none of the spoilt frames may count."""

    def change(forces: GroundReaction) -> GroundReaction:
        is_outside = (forces.time_s < 1.0) | (forces.time_s >= 3.0)
        spoilt = pushed(x=50.0, y=50.0, z=50.0)(forces)
        return late(0.03)(replace(forces, force_n=np.where(is_outside[:, None, None], spoilt.force_n, forces.force_n)))

    study.add(change, forces_valid_s=[[1.03, 3.03]])
    assert study.errors(is_aligned=True) == expected(within=0.02)


def test_a_trial_too_short_to_tell_its_lag_is_compared_as_it_is(study: Study) -> None:
    study.add(late(0.015), forces_valid_s=[[2.0, 2.3]])
    assert study.errors(is_aligned=True) == study.errors()


@pytest.mark.parametrize(
    ("lower", "upper", "percent"), [(-1.0, 1.0, 100.0), (0.5, 1.0, 0.0), (-1.0, -0.5, 0.0), (-0.1, 3.0, 100.0)]
)
def test_coverage_is_the_share_of_forces_within_their_intervals(
    study: Study, lower: float, upper: float, percent: float
) -> None:
    study.add()
    assert study.coverage(lower, upper) == percent


def test_coverage_counts_components_and_feet_alike(study: Study) -> None:
    study.add(lambda forces: replace(forces, force_n=forces.force_n + PERCENT_N * np.array([[2, 0, 0], [2, 2, 0]])))
    assert study.coverage(-1.0, 1.0) == pytest.approx(50.0)


def test_coverage_is_that_of_valid_times(study: Study) -> None:
    def change(forces: GroundReaction) -> GroundReaction:
        is_early = forces.time_s[:, None, None] < 2.0
        return replace(forces, force_n=np.where(is_early, pushed(5.0, 5.0, 5.0)(forces).force_n, forces.force_n))

    study.add(change, forces_valid_s=[[1.5, 3.5]])
    assert study.coverage(-1.0, 1.0) == pytest.approx(75.0, abs=0.5)


def test_an_estimator_with_intervals_has_a_coverage_and_physics_has_none(study: Study) -> None:
    study.add()
    assert study.evaluated()["rows"][0][COVERAGE] is None
    far = study.folder.parent / "far"
    Study(far, study.estimated).add(pushed(x=90.0, y=90.0, z=90.0))
    for folder, least, most in ((study.folder, 60.0, 100.0), (far, 0.0, 1.0)):
        found = Study(folder, study.estimated).evaluated(weights="starter")
        assert least <= found["rows"][0][COVERAGE] <= most
        assert found["overall"][COVERAGE] == found["rows"][0][COVERAGE]


def test_trials_are_averaged_to_people_to_rows_to_activities(study: Study) -> None:
    for name, error in (("A/one/t1", 0.2), ("A/one/t2", 0.4), ("A/one/t3", 0.6), ("A/two/t1", 2.0), ("B/one/t1", 1.0)):
        study.add(pushed(z=error), name=name)
    study.add(pushed(z=0.6), name="B/one/t2", activity="run")
    found = study.evaluated()
    rows = [(r["dataset"], r["activity"], r["num_subjects"], r["num_trials"]) for r in found["rows"]]
    assert rows == [("A", "walk", 2, 4), ("B", "walk", 1, 1), ("B", "run", 1, 1)]
    assert [row[SIDEWAYS] for row in found["rows"]] == pytest.approx([1.2, 1.0, 0.6], abs=0.002)
    assert list(found["by_activity"]) == ["walk", "run"]
    assert found["by_activity"]["walk"][SIDEWAYS] == pytest.approx(1.1, abs=0.002)
    assert found["by_activity"]["run"][SIDEWAYS] == pytest.approx(0.6, abs=0.002)
    assert found["overall"][SIDEWAYS] == pytest.approx(2.8 / 3, abs=0.002)


def test_only_the_split_asked_for_is_evaluated(study: Study) -> None:
    study.add(pushed(y=1.0), name="A/one/t")
    study.add(pushed(y=2.0), name="A/two/t", split="train")
    study.add(pushed(y=2.0), name="A/three/t", split=None)
    for split, num_trials in (("validation", 1), ("train", 1), ("all", 3)):
        found = study.evaluated(split=split)
        assert (found["split"], found["rows"][0]["num_trials"]) == (split, num_trials)
    with pytest.raises(
        InputFileError, match=r"no trials of split 'test'\. It has train, validation; 'all' takes every"
    ):
        study.evaluated(split="test")


def test_a_study_without_splits_says_how_to_take_all(study: Study) -> None:
    study.add(split=None)
    with pytest.raises(InputFileError, match=r"It has no splits; 'all' takes every trial"):
        study.evaluated()


def test_a_trial_that_cannot_be_used_is_left_out_with_the_reason(study: Study) -> None:
    study.add(pushed(y=1.0), name="A/one/good")
    (study.add(name="A/one/broken") / "ik.mot").write_text("no table")
    study.add(name="A/one/late", forces_valid_s=[[60.0, 70.0]])
    found = study.evaluated()
    assert [entry["trial"] for entry in found["excluded"]] == ["A/one/broken", "A/one/late"]
    assert "no line 'endheader'" in found["excluded"][0]["reason"]
    assert "no valid measured force" in found["excluded"][1]["reason"]
    assert found["rows"][0]["num_trials"] == 1
    assert found["overall"][VERTICAL] == pytest.approx(1.0, abs=0.002)


def test_a_study_of_which_nothing_can_be_used_has_no_figures(study: Study) -> None:
    study.add(forces_valid_s=[[60.0, 70.0]])
    found = study.evaluated()
    assert (found["rows"], found["by_activity"], len(found["excluded"])) == ([], {}, 1)
    assert found["overall"] == dict.fromkeys(FIGURES)
    json.dumps(found, allow_nan=False)


def test_a_trial_without_a_stance_counts_where_it_can(study: Study) -> None:
    is_swing = study.estimated.force_n[:, 0, 1] == 0.0
    middle = 200 + int(np.argmax(is_swing[200:]))
    span = [[study.estimated.time_s[middle], study.estimated.time_s[middle] + 0.05]]
    study.add(pushed(x=1.0), name="A/one/short", forces_valid_s=span)
    study.add(pushed(x=3.0), name="A/one/long")
    row = study.evaluated()["rows"][0]
    assert row["num_trials"] == 2
    assert row[FORWARD] == pytest.approx(2.0, abs=0.002)
    assert row[PEAK] == pytest.approx(0.0, abs=0.002)
    json.dumps(row, allow_nan=False)


def test_progress_is_reported_from_start_to_end(study: Study) -> None:
    for name in ("A/one/a", "A/one/b"):
        study.add(name=name)
    told: list[tuple[int, int]] = []
    evaluate_study(
        read_study(study.folder),
        split="all",
        weights="physics",
        report=lambda done, total: told.append((done, total)),
    )
    assert told == [(0, 2), (1, 2), (2, 2)]


# --- masks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remembering:
    """A method that knows the motion as it was, changed by a known amount; forces are the estimator's for the truth."""

    change: Callable[[Motion], Motion] = lambda motion: motion
    push_pct_bw: float = 0.0

    def of(self, trial: Trial) -> "Callable[..., Completed]":
        prediction = estimate_forces(trial)
        forces = replace(
            prediction.forces, force_n=prediction.forces.force_n + PERCENT_N * np.array([0.0, self.push_pct_bw, 0.0])
        )

        def method(masked: Trial, *, activity: str, seed: int = 0) -> Completed:
            return Completed(replace(prediction, forces=forces), self.change(trial.motion))

        return method


def masked_figures(
    study: Study, mask: str, change: Callable[[Motion], Motion] = lambda motion: motion, push_pct_bw: float = 0.0
) -> dict[str, float | None]:
    prepared = prepare(read_study(study.folder), split="validation")
    method = Remembering(change, push_pct_bw).of(prepared.trials[0].trial)
    found = evaluate_mask(prepared, mask=MASKS[mask], method=method)
    assert found["excluded"] == found["inapplicable"] == []
    json.dumps(found, allow_nan=False)
    return found["overall"]


def turned_by(angle_rad: float, *names: str) -> Callable[[Motion], Motion]:
    def change(motion: Motion) -> Motion:
        values = motion.values.copy()
        values[:, [motion.coordinates.index(name) for name in names]] += angle_rad
        return replace(motion, values=values)

    return change


def test_a_completion_that_is_the_truth_has_no_error(study: Study) -> None:
    study.add()
    for mask in ("hips", "pelvis", "gap_200ms"):
        found = masked_figures(study, mask)
        assert {name: found[name] for name in METRICS} == pytest.approx(dict.fromkeys(METRICS, 0.0), abs=0.002)
        assert found[ANGLE] == pytest.approx(0.0, abs=0.01)
        assert found[SLIDING] == found[MEASURED_SLIDING]


def test_an_error_of_hidden_angles_comes_out_as_that_size(study: Study) -> None:
    study.add()
    found = masked_figures(study, "hips+knees", turned_by(np.radians(6.0), "hip_flexion_r", "hip_flexion_l"))
    assert found["hip_angle_rmse_deg"] == pytest.approx(6.0 / np.sqrt(3), rel=0.01)  # one of three angles
    assert found["knee_angle_rmse_deg"] == pytest.approx(0.0, abs=1e-3)
    assert found["ankle_angle_rmse_deg"] is None  # nothing of it was hidden
    assert found[SLIDING] > 2 * found[MEASURED_SLIDING]
    found = masked_figures(study, "knees", turned_by(np.radians(5.0), "knee_angle_r", "knee_angle_l"))
    assert found["knee_angle_rmse_deg"] == pytest.approx(5.0, rel=0.01)  # a hinge has one


def test_what_was_not_hidden_counts_for_no_angle(study: Study) -> None:
    study.add()
    found = masked_figures(study, "knees", turned_by(0.2, "hip_flexion_r"))
    assert found[ANGLE] == pytest.approx(0.0, abs=1e-3)


def test_where_a_person_without_a_pelvis_is_and_faces_is_no_error(study: Study) -> None:
    """Nothing tells it: forces and centres of pressure are taken in the heading and from the place of each motion."""

    def elsewhere(motion: Motion) -> Motion:
        columns = [motion.coordinates.index(name) for name in ("pelvis_tx", "pelvis_ty", "pelvis_tz")]
        values = motion.values.copy()
        values[:, columns] = values[:, columns] @ QUARTER_TURN.T + np.array([3.0, 0.0, -2.0])
        angles = [motion.coordinates.index(name) for name in ("pelvis_tilt", "pelvis_list", "pelvis_rotation")]
        turned = Rotation.from_matrix(QUARTER_TURN) * Rotation.from_euler("ZXY", values[:, angles])
        values[:, angles] = turned.as_euler("ZXY")
        return replace(motion, values=values)

    study.add()
    prepared = prepare(read_study(study.folder), split="validation")
    (one,) = prepared.trials
    moved = replace(one.trial, motion=elsewhere(one.trial.motion))

    def method(masked: Trial, *, activity: str, seed: int = 0) -> Completed:
        return Completed(estimate_forces(moved), moved.motion)

    found = evaluate_mask(prepared, mask=MASKS["pelvis"], method=method)["overall"]
    assert found[VERTICAL] == pytest.approx(0.0, abs=0.02)
    assert found[FORWARD] == pytest.approx(0.0, abs=0.02)
    assert found[COP] == pytest.approx(0.0, abs=0.5)
    assert found["pelvis_angle_rmse_deg"] == pytest.approx(0.0, abs=0.05)
    placed = evaluate_mask(prepared, mask=MASKS["knees"], method=method)["overall"]
    assert placed[COP] > 1000.0  # where the pelvis is known, being elsewhere is an error


def test_errors_in_gaps_are_those_of_the_gaps_alone(study: Study) -> None:
    study.add()
    prepared = prepare(read_study(study.folder), split="validation")
    (one,) = prepared.trials
    mask = MASKS["gap_200ms"]
    gaps = mask.gaps(one.trial, one.study_trial.forces_valid_s)
    time_s = study.estimated.time_s
    near = np.zeros(len(time_s), dtype=bool)
    for start, end in gaps:
        near |= (time_s >= start - 0.05) & (time_s < end + 0.05)
    prediction = estimate_forces(one.trial)
    pushed_n = np.where(near[:, None, None], [0.0, 3 * PERCENT_N, 0.0], [0.0, PERCENT_N, 0.0])
    prediction = replace(prediction, forces=replace(prediction.forces, force_n=prediction.forces.force_n + pushed_n))
    found = evaluate_mask(
        prepared, mask=mask, method=lambda trial, *, activity, seed=0: Completed(prediction, one.trial.motion)
    )["overall"]
    assert [found[name] for name in GAP_FIGURES] == pytest.approx([3.0, 0.0, 0.0, 3.0], abs=0.02)
    assert 1.0 < found[VERTICAL] < 2.0


def test_an_increase_is_over_the_trials_that_both_have(study: Study) -> None:
    trials = [study.add(pushed(y=size), name=f"D/P/{name}") for size, name in ((1.0, "a"), (5.0, "b"))]
    assert len(trials) == 2
    read = read_study(study.folder)
    prepared = prepare(read, split="validation")
    unmasked = evaluate_mask(prepared, mask=MASKS["none"], method=Direct(estimate_forces))

    def method(masked: Trial, *, activity: str, seed: int = 0) -> Completed:
        if masked.name.endswith("b"):
            raise InvalidMotionError("no foot ever rests on the ground")
        return Remembering(push_pct_bw=-1.0).of(prepared.trials[0].trial)(masked, activity=activity)

    masked = evaluate_mask(prepared, mask=MASKS["hips"], method=method)
    assert (masked["num_estimated"], masked["num_trials"]) == (1, 2)
    assert [each["trial"] for each in masked["excluded"]] == ["D/P/b"]
    assert increase(read, masked, unmasked)["overall"][VERTICAL] == pytest.approx(1.0, abs=0.01)


def test_mean_and_middle_are_those_of_the_training_people(study: Study) -> None:
    study.add(name="D/A/walk", split="train")
    study.add(name="D/B/walk", split="validation")
    read = read_study(study.folder)
    state, _ = encode(replace(load_trial(read[0]), forces=None))
    levels = channel_levels(read)["walk"]
    knee = GAIT["knee_right_flexion"][0]
    assert levels.mean[knee] == pytest.approx(state.values[:, knee].mean())
    assert levels.mid_range[knee] == pytest.approx((state.values[:, knee].min() + state.values[:, knee].max()) / 2)
    with pytest.raises(InputFileError, match="nobody in the split 'train'"):
        channel_levels(read[1:])


def test_hidden_knees_cost_less_when_completed_by_more(study: Study) -> None:
    """Of one person walking: the mean of the angles is nearer than their middle, in angles."""
    study.add(name="D/A/walk", split="train")
    study.add(name="D/B/walk")
    read = read_study(study.folder)
    found = {
        completion: evaluate_masks(
            read, masks=[MASKS["knees"]], weights="physics", completion=completion, split="validation"
        )["masks"][0]
        for completion in ("mean", "mid_range", "direct")
    }
    errors = {name: result["overall"]["knee_angle_rmse_deg"] for name, result in found.items()}
    assert 5.0 < errors["mean"] < errors["mid_range"]
    assert errors["direct"] is None
    assert found["mean"]["increase"]["overall"][VERTICAL] > 0.5


def test_the_command_line_measures_masks(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study.add()
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gaitdynamics", "evaluate", str(study.folder), *arguments])
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    out = tmp_path / "masks.json"
    options = ("--weights", "physics", "--mask", "gap_100ms", "--mask", "gap_500ms", "--completion", "linear")
    code, printed, _ = run(*options, "--json", str(out))
    assert code == 0
    assert "gap_100ms" in printed
    assert "gap_500ms" in printed
    short, long = json.loads(out.read_text())["masks"]
    assert 0.1 < short["overall"][ANGLE] < long["overall"][ANGLE]
    assert short["overall"][GAP_FIGURES[-1]] < long["overall"][GAP_FIGURES[-1]]

    for wrong, hint in (
        (("--mask", "hip"), "no mask 'hip'"),
        (("--mask", "hips", "--align"), "--align"),
        (("--completion", "linear"), "--mask"),
    ):
        code, _, said = run("--weights", "physics", *wrong)
        assert code == 2
        assert hint in said
