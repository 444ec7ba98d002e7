"""Motions in which something is missing, from file to file."""

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from moved_completer import HALF_WIDTH, MovedCompleter
from walk_variants import of_other_knee_sign

from gaitdynamics.apps.completed_files import completed_paths, missing_coordinates
from gaitdynamics.apps.estimate_files import Person, estimate_file, read_person
from gaitdynamics.apps.fill_files import fill_file
from gaitdynamics.errors import InvalidMotionError, OutputError, UnknownCoordinateError
from gaitdynamics.io.motion import format_motion, read_recording
from gaitdynamics.io.table import Table, read_table
from gaitdynamics.state.parts import completable_coordinates
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Polynomial

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
HIPS = tuple(f"hip_{axis}_{side}" for side in "rl" for axis in ("flexion", "adduction", "rotation"))
# Numbers as programs and people write them; every one stands for exactly one double.
AWKWARD = ("0.1", "0.30000000000000004", "1e-17", "-0", "1.2345678901234567", "+1", "4.9E-324", ".3333333333333333")


@dataclass(frozen=True)
class Result:
    """Of filling one motion."""

    given: Table
    motion: Table
    filled: dict[str, Any]
    intervals: Table | None


@pytest.fixture(scope="module")
def person() -> Person:
    return read_person(BODY, mass_kg=None, height_m=None)


def columns_of_walk() -> dict[str, list[str]]:
    """The bundled walk's numbers as its file writes them, by label, time first."""
    lines = WALK.read_text().split("endheader\n")[1].splitlines()
    labels = lines[0].split("\t")
    return dict(zip(labels, map(list, zip(*(line.split("\t") for line in lines[1:]), strict=True)), strict=True))


def write(path: Path, columns: dict[str, list[str]], *, in_degrees: str = "yes") -> Path:
    rows = ["\t".join(row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(["walk", f"inDegrees={in_degrees}", "endheader", "\t".join(columns), *rows]) + "\n")
    return path


def without(*names: str) -> dict[str, list[str]]:
    return {name: column for name, column in columns_of_walk().items() if name not in names}


def with_gap(frames: slice, *names: str) -> dict[str, list[str]]:
    columns = columns_of_walk()
    for name in names:
        columns[name][frames] = ["nan"] * len(columns[name][frames])
    return columns


def fill(motion: Path, person: Person, **options: Any) -> Result:
    out = motion.parent / "out"
    completer = options.pop("completer", MovedCompleter())
    settings = {"num_samples": 4, "belt_speed_m_s": None, "overwrite": True} | options
    written = fill_file(motion, person, out=out, completer=lambda: completer, **settings)
    motion_path, filled_path, interval_path = completed_paths(motion, out)
    assert set(written.paths) == {path for path in out.iterdir() if path.is_file()}
    content = json.loads(filled_path.read_text())
    intervals = read_table(interval_path) if interval_path.exists() else None
    return Result(read_table(motion), read_table(motion_path), content, intervals)


def same_where_observed(result: Result, *, filled: dict[str, np.ndarray] | None = None) -> None:
    """Every number of the user's file is read again from the result, to the last bit, but for what was filled."""
    np.testing.assert_array_equal(result.motion.time_s, result.given.time_s)
    for label in result.given.labels:
        column = result.given.column(label)
        kept = np.isfinite(column)
        if filled is not None and label in filled:
            kept &= ~filled[label]
        np.testing.assert_array_equal(
            result.motion.column(label.split("/")[-2] if "/" in label else label)[kept], column[kept]
        )


def test_missing_columns_are_filled_and_the_rest_is_as_given(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", without(*HIPS))
    result = fill(motion, person, seed=3)
    assert result.motion.labels == person.skeleton.coordinate_names
    assert result.motion.header["indegrees"] == "yes"
    same_where_observed(result)
    assert np.ptp(result.motion.column("hip_flexion_r")) > 1.0  # degrees
    assert result.filled["filled"] == dict.fromkeys([n for n in person.skeleton.coordinate_names if n in HIPS], "all")
    about = {key: result.filled[key] for key in ("format", "motion", "model", "seed", "num_samples")}
    assert about == {"format": 1, "motion": "walk.mot", "model": "generic_body.osim", "seed": 3, "num_samples": 4}
    assert result.filled["provenance"]["weights"] == "moved"
    assert any(
        "no column for 'hip_flexion_r'" in text and "to be completed" in text for text in result.filled["warnings"]
    )
    assert "The completion is made up." in result.filled["warnings"]


@pytest.mark.parametrize("in_degrees", ["yes", "no"])
def test_awkward_numbers_and_times_are_read_again_to_the_last_bit(
    person: Person, tmp_path: Path, in_degrees: str
) -> None:
    columns = without("knee_angle_l")
    if in_degrees == "no":
        for name, column in columns.items():
            if (name != "time" and not name.startswith("pelvis_t")) or name == "pelvis_tilt":
                columns[name] = [repr(float(np.radians(float(number)))) for number in column]
    columns["time"] = [repr(7.1 + k / 99.7) for k in range(len(columns["time"]))]
    for name in ("lumbar_bending", "mtp_angle_r", "pelvis_tz", "hip_rotation_l"):
        columns[name][10 : 10 + len(AWKWARD)] = AWKWARD
    motion = write(tmp_path / "walk.mot", columns, in_degrees=in_degrees)
    result = fill(motion, person)
    same_where_observed(result)
    assert result.motion.header["indegrees"] == in_degrees
    text = (tmp_path / "out" / "walk_motion.mot").read_text()
    assert "0.30000000000000004" in text
    assert "5e-324" in text


def test_state_paths_become_plain_names_and_keep_their_numbers(person: Person, tmp_path: Path) -> None:
    columns = without("knee_angle_l")
    paths = {name if name == "time" else f"/jointset/some_joint/{name}/value": c for name, c in columns.items()}
    result = fill(write(tmp_path / "walk.sto", paths), person)
    assert result.motion.labels == person.skeleton.coordinate_names
    same_where_observed(result)


def test_a_gap_is_filled_and_marked_with_its_times(person: Person, tmp_path: Path) -> None:
    columns = with_gap(slice(100, 120), "knee_angle_r", "pelvis_ty")
    for frame in (300, 301):
        columns["knee_angle_r"][frame] = "nan"
    result = fill(write(tmp_path / "walk.mot", columns), person)
    same_where_observed(result)
    assert np.isfinite(result.motion.values).all()
    assert result.filled["filled"] == {"pelvis_ty": [[1.0, 1.19]], "knee_angle_r": [[1.0, 1.19], [3.0, 3.01]]}
    assert set(result.filled["mean_interval_width_deg"]) == {"knee_angle_r"}
    assert set(result.filled["mean_interval_width_m"]) == {"pelvis_ty"}


def test_what_the_user_calls_missing_is_forgotten(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", columns_of_walk())
    completer = MovedCompleter()
    missing = missing_coordinates(person.skeleton, ["hips"])
    result = fill(motion, person, missing=missing, completer=completer)
    everything = {name: np.ones(601, dtype=bool) for name in HIPS}
    same_where_observed(result, filled=everything)
    assert set(result.filled["filled"]) == set(HIPS)
    assert not np.array_equal(result.motion.column("hip_flexion_r"), result.given.column("hip_flexion_r"))
    (trial,) = completer.trials
    for name in HIPS:  # nothing of them reaches the model
        column = trial.motion.coordinates.index(name)
        assert not trial.motion.observed[:, column].any()
        assert np.ptp(trial.motion.values[:, column]) == 0.0


def test_a_coordinate_that_never_changes_was_not_measured(person: Person, tmp_path: Path) -> None:
    columns = columns_of_walk()
    for name in ("lumbar_bending", "lumbar_rotation", "lumbar_extension", "mtp_angle_r"):
        columns[name] = ["1.25"] * 601
    result = fill(write(tmp_path / "walk.mot", columns), person)
    assert set(result.filled["filled"]) == {"lumbar_extension", "lumbar_bending", "lumbar_rotation"}
    assert (result.motion.column("mtp_angle_r") == 1.25).all()  # nobody knows toes better
    (warning,) = (text for text in result.filled["warnings"] if "never change" in text)
    assert "lumbar_bending" in warning
    assert "mtp_angle_r" not in warning


@pytest.mark.parametrize("is_there", [True, False])
def test_a_subtalar_joint_that_nobody_measured_stays_as_it_is(person: Person, tmp_path: Path, is_there: bool) -> None:
    columns = without("subtalar_angle_r")
    if is_there:
        columns["subtalar_angle_r"] = ["0.5"] * 601
    motion = write(tmp_path / "walk.mot", columns)
    result = fill(motion, person)
    assert result.filled["filled"] == {}
    assert not any("to be completed" in warning for warning in result.filled["warnings"])
    assert (result.motion.column("subtalar_angle_r") == (0.5 if is_there else 0.0)).all()
    missing = missing_coordinates(person.skeleton, ["ankle_right"])
    assert set(fill(motion, person, missing=missing).filled["filled"]) == set(missing)


def test_a_person_who_stands_perfectly_still_lacks_nothing(person: Person, tmp_path: Path) -> None:
    columns = {name: column if name == "time" else column[:1] * 601 for name, column in columns_of_walk().items()}
    result = fill(write(tmp_path / "walk.mot", columns), person)
    assert result.filled["filled"] == {}
    same_where_observed(result)


def test_intervals_are_in_the_files_units_and_around_the_filled_values(person: Person, tmp_path: Path) -> None:
    result = fill(write(tmp_path / "walk.mot", without("knee_angle_l", "pelvis_ty")), person)
    assert result.intervals is not None
    names = ["pelvis_ty", "knee_angle_l"]
    assert list(result.intervals.labels) == [f"{name}_{bound}" for name in names for bound in ("lower", "upper")]
    for name, half in (("knee_angle_l", np.rad2deg(HALF_WIDTH)), ("pelvis_ty", HALF_WIDTH)):
        for bound, sign in (("lower", -1), ("upper", 1)):
            distance = result.intervals.column(f"{name}_{bound}") - result.motion.column(name)
            np.testing.assert_allclose(distance, sign * half, atol=1e-8)
    assert result.filled["mean_interval_width_deg"] == {
        "knee_angle_l": pytest.approx(2 * np.rad2deg(HALF_WIDTH), abs=1e-4)
    }
    assert result.filled["mean_interval_width_m"] == {"pelvis_ty": pytest.approx(2 * HALF_WIDTH)}


def test_a_single_sample_has_no_intervals_and_takes_earlier_ones_away(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", without("knee_angle_l"))
    assert fill(motion, person).intervals is not None
    result = fill(motion, person, num_samples=1)
    assert result.intervals is None
    assert result.filled["mean_interval_width_deg"] == {}
    assert result.filled["num_samples"] == 1


def test_a_whole_motion_is_written_as_it_is_without_loading_a_model(person: Person, tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("nothing is missing")

    written = fill_file(WALK, person, out=tmp_path, belt_speed_m_s=None, completer=load)
    assert [path.name for path in written.paths] == ["synthetic_walk_motion.mot", "synthetic_walk_filled.json"]
    assert written.summary["filled"] == {}
    before, after = read_table(WALK), read_table(written.paths[0])
    assert after.labels == person.skeleton.coordinate_names
    for label in before.labels:
        np.testing.assert_array_equal(before.column(label), after.column(label))


def test_filling_a_filled_motion_changes_nothing(person: Person, tmp_path: Path) -> None:
    first = fill(write(tmp_path / "walk.mot", without(*HIPS)), person)
    written = fill_file(
        tmp_path / "out" / "walk_motion.mot",
        person,
        out=tmp_path / "again",
        belt_speed_m_s=None,
        completer=lambda: MovedCompleter(),
    )
    again = read_table(written.paths[0])
    np.testing.assert_array_equal(again.values, first.motion.values)
    np.testing.assert_array_equal(again.time_s, first.motion.time_s)


def test_the_same_seed_makes_the_same_bytes_and_another_does_not(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", without(*HIPS))
    made = []
    for number, seed in enumerate((5, 5, 6)):
        out = tmp_path / str(number)
        fill_file(
            motion, person, out=out, belt_speed_m_s=None, completer=lambda: MovedCompleter(), num_samples=2, seed=seed
        )
        made.append([path.read_bytes() for path in sorted(out.iterdir())])
    assert made[0] == made[1]
    assert made[0][2] != made[2][2]


def test_nothing_known_is_a_case_for_generate(person: Person, tmp_path: Path) -> None:
    everything = completable_coordinates(person.skeleton)
    with pytest.raises(InvalidMotionError, match=r"walk.mot: nothing of pelvis, trunk and legs.*gaitdynamics generate"):
        fill(write(tmp_path / "walk.mot", columns_of_walk()), person, missing=everything)
    with pytest.raises(InvalidMotionError, match="gaitdynamics generate"):
        fill(write(tmp_path / "walk.mot", without(*everything)), person)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.mot"]


def test_toes_cannot_be_called_missing(person: Person) -> None:
    with pytest.raises(UnknownCoordinateError, match="'mtp_angle_r' can't be completed"):
        missing_coordinates(person.skeleton, ["hips", "mtp_angle_r"])


def test_coupled_and_locked_coordinates_keep_the_users_numbers_while_their_driver_is_known(
    person: Person, tmp_path: Path
) -> None:
    skeleton = person.skeleton
    coordinates = []
    for coordinate in skeleton.coordinates:
        if coordinate.name == "mtp_angle_r":
            coordinate = replace(coordinate, coupled_to="knee_angle_r", coupling=Polynomial((0.5, 0.0)))
        if coordinate.name == "mtp_angle_l":
            coordinate = replace(coordinate, is_locked=True)
        coordinates.append(coordinate)
    coupled = replace(person, skeleton=replace(skeleton, coordinates=tuple(coordinates)))
    columns = with_gap(slice(100, 200), "knee_angle_r")
    columns["mtp_angle_r"] = ["77.7"] * 601  # whatever a solver left there
    columns["mtp_angle_l"] = ["0.125"] * 601
    result = fill(write(tmp_path / "walk.mot", columns), coupled)
    in_gap = np.zeros(601, dtype=bool)
    in_gap[100:200] = True
    same_where_observed(result, filled={"mtp_angle_r": in_gap})
    follows = 0.5 * result.motion.column("knee_angle_r")
    np.testing.assert_allclose(result.motion.column("mtp_angle_r")[in_gap], follows[in_gap], atol=1e-8)
    assert list(result.filled["filled"]) == ["knee_angle_r"]


def test_a_body_whose_knees_flex_to_negative_angles_keeps_its_sign(
    person: Person, walk: Motion, opensim: ModuleType, tmp_path: Path
) -> None:
    skeleton, other = of_other_knee_sign(walk, tmp_path)
    motion = tmp_path / "walk.mot"
    motion.write_text(format_motion(other, skeleton.coordinates, name="walk"))
    result = fill(
        motion,
        replace(person, skeleton=skeleton),
        missing=missing_coordinates(skeleton, ["left_leg"]),
        completer=MovedCompleter(truth=other.values),
    )
    hidden = {name: np.ones(601, dtype=bool) for name in result.filled["filled"]}
    same_where_observed(result, filled=hidden)
    assert "knee_angle_l" in hidden
    assert result.motion.column("knee_angle_r").min() < -50.0
    assert result.motion.column("knee_angle_l").min() < -50.0


def test_opensim_reads_the_completed_motion(person: Person, opensim: ModuleType, tmp_path: Path) -> None:
    columns = without("knee_angle_l")
    columns["mtp_angle_r"][7] = "1e-17"
    result = fill(write(tmp_path / "walk.mot", columns), person)
    storage = opensim.Storage(str(tmp_path / "out" / "walk_motion.mot"))
    table = opensim.TimeSeriesTable(str(tmp_path / "out" / "walk_motion.mot"))
    assert storage.isInDegrees()
    assert table.getNumRows() == storage.getSize() == 601
    for name in ("knee_angle_l", "mtp_angle_r"):
        np.testing.assert_array_equal(table.getDependentColumn(name).to_numpy(), result.motion.column(name))


def test_results_are_kept_unless_told_otherwise(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", without("knee_angle_l"))
    fill(motion, person)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(OutputError, match=r"walk_motion\.mot.*exists already"):
        fill(motion, person, overwrite=False, seed=9)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(OutputError, match="would replace an input"):
        named = write(tmp_path / "out" / "a.mot", without("knee_angle_l"))
        (tmp_path / "out" / "a_motion.mot").symlink_to(named)
        fill_file(
            named, person, out=named.parent, belt_speed_m_s=None, completer=lambda: MovedCompleter(), overwrite=True
        )


def test_progress_is_told_sample_by_sample(person: Person, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    motion = write(tmp_path / "walk.mot", without("knee_angle_l"))
    fill(motion, person, num_samples=3, report=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("weights", ["physics", "starter"])
def test_an_estimate_completes_first_and_tells_what(person: Person, tmp_path: Path, weights: str) -> None:
    truth = read_recording(WALK, person.skeleton.coordinates).motion.values
    written = estimate_file(
        WALK,
        person,
        out=tmp_path,
        belt_speed_m_s=0.0,
        estimator=load_estimator(weights),
        missing=missing_coordinates(person.skeleton, ["hips", "trunk"]),
        completer=lambda: MovedCompleter(truth=truth),
        num_samples=3,
    )
    names = {path.name.removeprefix("synthetic_walk") for path in written.paths}
    expected = {"_forces.mot", "_external_loads.xml", "_summary.json", "_motion.mot", "_filled.json"}
    expected |= {"_motion_intervals.mot"} | ({"_force_intervals.mot"} if weights == "starter" else set())
    assert names == expected
    summary = json.loads((tmp_path / "synthetic_walk_summary.json").read_text())
    assert set(summary["completion"]["filled"]) == {*HIPS, "lumbar_extension", "lumbar_bending", "lumbar_rotation"}
    assert summary["completion"]["num_samples"] == 3
    assert set(summary["completion"]["mean_interval_width_deg"]) == set(summary["completion"]["filled"])
    assert summary["warnings"].count("The completion is made up.") == 1
    assert 1.0 < summary["forces"]["right"]["vertical"]["max_bw"] < 1.4
    given, completed = read_table(WALK), read_table(tmp_path / "synthetic_walk_motion.mot")
    for label in given.labels:
        if label not in summary["completion"]["filled"]:
            np.testing.assert_array_equal(completed.column(label), given.column(label))


def test_an_estimate_of_a_whole_motion_is_the_same_with_a_model_of_gait_at_hand(person: Person, tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("nothing is missing")

    for out, options in (("plain", {}), ("able", {"completer": load, "num_samples": 3})):
        estimate_file(
            WALK, person, out=tmp_path / out, belt_speed_m_s=None, estimator=load_estimator("starter"), **options
        )
    plain, able = (sorted((tmp_path / out).iterdir()) for out in ("plain", "able"))
    assert [path.name for path in plain] == [path.name for path in able]
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in able]


def test_what_an_earlier_estimate_completed_goes_but_no_file_of_somebody_else(person: Person, tmp_path: Path) -> None:
    def estimate(**options: Any) -> list[str]:
        estimate_file(
            WALK,
            person,
            out=tmp_path,
            belt_speed_m_s=None,
            estimator=estimate_forces,
            completer=lambda: MovedCompleter(),
            overwrite=True,
            **options,
        )
        return sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("synthetic_walk_m"))

    theirs = tmp_path / "synthetic_walk_motion.mot"
    theirs.write_text("precious")
    assert estimate() == ["synthetic_walk_motion.mot"]
    assert theirs.read_text() == "precious"
    missing = missing_coordinates(person.skeleton, ["trunk"])
    assert estimate(missing=missing) == ["synthetic_walk_motion.mot", "synthetic_walk_motion_intervals.mot"]
    assert estimate() == []


def test_without_a_model_of_gait_what_forces_need_must_be_there(person: Person, tmp_path: Path) -> None:
    motion = write(tmp_path / "walk.mot", without("knee_angle_l"))
    with pytest.raises(UnknownCoordinateError, match="no column for 'knee_angle_l', needed to estimate forces"):
        estimate_file(motion, person, out=tmp_path, belt_speed_m_s=None, estimator=estimate_forces)
