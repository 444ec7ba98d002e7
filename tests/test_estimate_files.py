"""From files to files: what is in them, and whether OpenSim can work with them."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gaitdynamics import __version__
from gaitdynamics.apps.estimate_files import Person, Written, estimate_file, output_paths, read_person
from gaitdynamics.errors import InputFileError, InvalidModelError, InvalidSubjectError, OutputError
from gaitdynamics.io.external_loads import read_loaded_plates
from gaitdynamics.io.forces import ground_reaction_from_sides, read_plates
from gaitdynamics.io.table import format_table, read_table
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
BODY_WEIGHT_N = 75.0 * STANDARD_GRAVITY_M_S2
STRIDE_S = 1.08
RESIDUAL_BW = 0.05
ESTIMATED_HEIGHT_ERROR_M = 0.05
COMPONENTS = ("vertical", "anteroposterior", "mediolateral")


@dataclass(frozen=True)
class Result:
    """Of the bundled walk."""

    weights: str
    folder: Path
    written: Written
    summary: dict[str, Any]

    @property
    def forces_path(self) -> Path:
        return self.folder / "synthetic_walk_forces.mot"

    @property
    def loads_path(self) -> Path:
        return self.folder / "synthetic_walk_external_loads.xml"


@pytest.fixture(scope="module")
def person() -> Person:
    return read_person(BODY, mass_kg=None, height_m=None)


@pytest.fixture(scope="module", params=["physics", "starter"])
def result(request: pytest.FixtureRequest, person: Person, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("results")
    estimator = load_estimator(request.param)
    written = estimate_file(WALK, person, out=folder, belt_speed_m_s=None, estimator=estimator, seed=7)
    summary = json.loads((folder / "synthetic_walk_summary.json").read_text())
    return Result(request.param, folder, written, summary)


def test_mass_and_height_are_the_models_unless_given(person: Person) -> None:
    assert person.subject.mass_kg == pytest.approx(75.0)
    assert person.subject.height_m == pytest.approx(1.75, abs=ESTIMATED_HEIGHT_ERROR_M)
    assert person.mass_source == "the model's bodies"
    assert person.height_source.startswith("estimated")
    given = read_person(BODY, mass_kg=60.0, height_m=1.7)
    assert (given.subject.mass_kg, given.subject.height_m) == (60.0, 1.7)
    assert (given.mass_source, given.height_source) == ("given", "given")
    assert given.skeleton.mass_kg == pytest.approx(60.0)


def test_a_model_without_mass_needs_one_given(tmp_path: Path) -> None:
    light = tmp_path / "light.osim"
    light.write_bytes(BODY.read_bytes().replace(b"<mass>", b"<mass>0.0"))
    with pytest.raises(InvalidSubjectError, match=r"light.osim: .* Give the person's mass with --mass"):
        read_person(light, mass_kg=None, height_m=None)
    assert read_person(light, mass_kg=75.0, height_m=None).skeleton.mass_kg == pytest.approx(75.0)


def test_a_model_whose_legs_are_incomplete_is_named(tmp_path: Path) -> None:
    stiff = tmp_path / "stiff.osim"
    text = BODY.read_text()
    for side in "rl":
        for joint in ("knee", "ankle", "subtalar"):
            start = text.index(f'<CustomJoint name="{joint}_{side}">')
            end = text.index("</CustomJoint>", start)
            text = text[:start] + _welded(text[start:end]) + "</WeldJoint>" + text[end + len("</CustomJoint>") :]
    stiff.write_text(text)
    with pytest.raises(InvalidModelError, match=r"stiff.osim: .* expected hip, knee and ankle"):
        read_person(stiff, mass_kg=None, height_m=None)


def _welded(joint: str) -> str:
    """A custom joint without its coordinates and axes."""
    joint = joint.replace("<CustomJoint", "<WeldJoint")
    for tag in ("coordinates", "SpatialTransform"):
        start, end = joint.index(f"<{tag}"), joint.index(f"</{tag}>") + len(f"</{tag}>")
        joint = joint[:start] + joint[end:]
    return joint


def test_nothing_is_written_over_an_input(person: Person, tmp_path: Path) -> None:
    (tmp_path / "a.mot").write_bytes(WALK.read_bytes())
    (tmp_path / "a_forces.mot").symlink_to(tmp_path / "a.mot")
    with pytest.raises(OutputError, match="would replace an input"):
        estimate_file(
            tmp_path / "a.mot", person, out=tmp_path, belt_speed_m_s=None, estimator=estimate_forces, overwrite=True
        )
    assert (tmp_path / "a.mot").read_bytes() == WALK.read_bytes()


def test_an_input_that_fails_leaves_no_folder_behind(person: Person, tmp_path: Path) -> None:
    with pytest.raises(InputFileError):
        estimate_file(
            tmp_path / "nowhere.mot",
            person,
            out=tmp_path / "new" / "folder",
            belt_speed_m_s=None,
            estimator=estimate_forces,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_paths_are_those_announced(result: Result) -> None:
    num_files = 4 if result.weights == "starter" else 3
    assert result.written.paths == output_paths(WALK, result.folder)[:num_files]
    assert sorted(path.name for path in result.folder.iterdir()) == sorted(path.name for path in result.written.paths)
    assert result.written.summary == result.summary


def test_the_forces_lie_within_the_intervals_beside_them(person: Person, tmp_path: Path) -> None:
    estimator = load_estimator("starter")
    written = estimate_file(WALK, person, out=tmp_path, belt_speed_m_s=None, estimator=estimator)
    forces, intervals = read_table(tmp_path / "synthetic_walk_forces.mot"), read_table(written.paths[3])
    np.testing.assert_array_equal(intervals.time_s, forces.time_s)
    names = [f"ground_force_{side}_v{axis}" for side in "rl" for axis in "xyz"]
    assert sorted(intervals.labels) == sorted(f"{name}_{bound}" for name in names for bound in ("lower", "upper"))
    for name in names:
        force = forces.values[:, forces.labels.index(name)]
        lower, upper = (intervals.values[:, intervals.labels.index(f"{name}_{bound}")] for bound in ("lower", "upper"))
        assert np.all(lower <= force)
        assert np.all(force <= upper)
        assert np.all(lower < upper)
    for side, foot in (("right", "r"), ("left", "l")):
        vertical = forces.values[:, forces.labels.index(f"ground_force_{foot}_vy")]
        lower, upper = (
            intervals.values[:, intervals.labels.index(f"ground_force_{foot}_vy_{bound}")]
            for bound in ("lower", "upper")
        )
        told = written.summary["forces"][side]["interval"]
        half_bw = ((upper - lower) / 2)[vertical > 0].mean() / BODY_WEIGHT_N
        assert told["coverage"] == 0.9
        assert told["vertical_bw"] == pytest.approx(half_bw, abs=2e-4)


def test_an_estimate_without_intervals_says_so_and_takes_earlier_ones_away(person: Person, tmp_path: Path) -> None:
    starter, physics = load_estimator("starter"), load_estimator("physics")
    estimate_file(WALK, person, out=tmp_path, belt_speed_m_s=None, estimator=starter)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="exists already"):
        estimate_file(WALK, person, out=tmp_path, belt_speed_m_s=None, estimator=physics)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    written = estimate_file(WALK, person, out=tmp_path, belt_speed_m_s=None, estimator=physics, overwrite=True)
    assert set(tmp_path.iterdir()) == set(written.paths) == set(output_paths(WALK, tmp_path)[:3])
    assert [written.summary["forces"][side]["interval"] for side in ("right", "left")] == [None, None]


def test_forces_read_back_are_those_of_both_feet(result: Result) -> None:
    forces = ground_reaction_from_sides(read_plates(result.forces_path))
    assert len(forces.time_s) == 601
    assert forces.valid.all()
    np.testing.assert_allclose(forces.force_n[:500, :, 1].sum(axis=1).mean(), BODY_WEIGHT_N, rtol=0.03)
    through_loads = ground_reaction_from_sides(read_loaded_plates(result.loads_path))
    np.testing.assert_array_equal(through_loads.force_n, forces.force_n)


def test_the_vertical_impulse_of_a_stride_is_body_weight_times_its_time(result: Result) -> None:
    impulse = sum(result.summary["forces"][side]["vertical"]["impulse_bw_s"] for side in ("right", "left"))
    assert impulse == pytest.approx(STRIDE_S, rel=0.02)


def test_the_summary_of_the_walk_is_what_its_maker_says(result: Result) -> None:
    gait = result.summary["gait"]
    assert gait["activity"] == "walk"
    assert gait["speed_m_s"] == pytest.approx(1.30, rel=0.02)
    assert gait["belt_speed_m_s"] == 0.0
    assert gait["cadence_steps_per_min"] == pytest.approx(111, abs=2)
    assert gait["flight_share"] == 0.0
    assert 0.15 < gait["double_support_share"] < 0.35
    for side in ("right", "left"):
        steps = result.summary["steps"][side]
        assert steps["step_length_m"] == pytest.approx(0.70, abs=0.02)
        assert steps["stride_length_m"] == pytest.approx(1.40, abs=0.02)
        assert steps["stride_time_s"] == pytest.approx(STRIDE_S, abs=0.01)
        assert steps["step_width_m"] == pytest.approx(0.097, abs=0.01)
        assert 0.57 < steps["stance_share"] < 0.68


def test_a_symmetric_walk_has_no_asymmetry(result: Result) -> None:
    asymmetry = result.summary["asymmetry_pct"]
    assert set(asymmetry) >= {"step_time_s", "step_length_m", "stance_time_s", "vertical_max_n", "vertical_impulse_ns"}
    assert all(abs(value) < 2.0 for value in asymmetry.values()), asymmetry


def test_peaks_and_impulses_are_in_newtons_and_body_weights(result: Result) -> None:
    for side in ("right", "left"):
        loads = result.summary["forces"][side]
        assert loads["num_stances"] >= 4
        for component in COMPONENTS:
            for newtons, weights in (("max_n", "max_bw"), ("min_n", "min_bw"), ("impulse_ns", "impulse_bw_s")):
                assert loads[component][newtons] == pytest.approx(
                    loads[component][weights] * BODY_WEIGHT_N, abs=1e-3 * BODY_WEIGHT_N
                )
        assert 1.0 < loads["vertical"]["max_bw"] < 1.3
        assert loads["anteroposterior"]["min_bw"] < -0.1
        assert loads["anteroposterior"]["max_bw"] > 0.1
        assert loads["anteroposterior"]["impulse_bw_s"] == pytest.approx(0.0, abs=0.01)  # the speed is constant
        assert loads["mediolateral"]["impulse_bw_s"] > 0.0  # a foot is pushed to the midline


def test_events_alternate_between_the_feet(result: Result) -> None:
    events = result.summary["events_s"]
    strikes = sorted((time, side) for side in ("right", "left") for time in events[side]["foot_strike"])
    assert len(strikes) >= 9
    assert all(first[1] != second[1] for first, second in pairwise(strikes))
    np.testing.assert_allclose(np.diff([time for time, _ in strikes]), STRIDE_S / 2, atol=0.02)
    assert all(len(events[side]["toe_off"]) >= 4 for side in ("right", "left"))


def test_the_summary_says_where_everything_comes_from(result: Result) -> None:
    summary = result.summary
    assert (summary["motion"], summary["model"]) == ("synthetic_walk.mot", "generic_body.osim")
    subject = summary["subject"]
    assert subject["mass_kg"] == 75.0
    assert subject["mass_source"] == "the model's bodies"
    assert "estimated" in subject["height_source"]
    assert summary["warnings"] == []
    provenance = summary["provenance"]
    assert (provenance["weights"], provenance["seed"], provenance["version"]) == (result.weights, 7, __version__)
    assert provenance["motion_sha256"] == hashlib.sha256(WALK.read_bytes()).hexdigest()
    assert provenance["model_sha256"] == hashlib.sha256(BODY.read_bytes()).hexdigest()
    assert "inferred" in provenance["belt_speed"]


def test_heavier_people_press_harder_in_proportion(result: Result, tmp_path: Path) -> None:
    heavy_person, estimator = read_person(BODY, mass_kg=150.0, height_m=None), load_estimator(result.weights)
    heavy = estimate_file(WALK, heavy_person, out=tmp_path, belt_speed_m_s=None, estimator=estimator).summary
    for side in ("right", "left"):
        single, double = result.summary["forces"][side], heavy["forces"][side]
        assert double["vertical"]["max_n"] == pytest.approx(2 * single["vertical"]["max_n"], rel=1e-3)
        assert double["vertical"]["max_bw"] == pytest.approx(single["vertical"]["max_bw"], abs=1e-3)


def test_a_heading_written_as_minus_180_after_180_degrees_is_no_jump(person: Person, tmp_path: Path) -> None:
    table = read_table(WALK)
    every_other = slice(None, None, 2)  # 50 Hz: the estimator interpolates
    values = table.values[every_other].copy()
    column = table.labels.index("pelvis_rotation")
    peaks = []
    for name, turn in (("plain", 0.0), ("wrapped", 360.0)):
        values[len(values) // 2 :, column] += turn
        motion = tmp_path / f"{name}.mot"
        text = format_table(name, table.labels, values, time_s=table.time_s[every_other], in_degrees=True, decimals=8)
        motion.write_text(text)
        written = estimate_file(motion, person, out=tmp_path, belt_speed_m_s=0.0, estimator=estimate_forces)
        peaks.append(written.summary["forces"])
    assert peaks[0] == peaks[1]


def test_opensim_reads_the_forces(result: Result, opensim: ModuleType) -> None:
    storage = opensim.Storage(str(result.forces_path))
    table = opensim.TimeSeriesTable(str(result.forces_path))
    assert storage.getSize() == table.getNumRows() == 601
    vertical = table.getDependentColumn("ground_force_r_vy").to_numpy()
    np.testing.assert_allclose(vertical, read_plates(result.forces_path)[0].force_n[:, 1])


def test_opensim_reads_the_loads_and_finds_their_data(
    result: Result, opensim: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the data lie beside the loads, not in the working folder
    loads = opensim.ExternalLoads(str(result.loads_path), True)
    assert loads.getSize() == 2
    assert [loads.get(index).getAppliedToBodyName() for index in range(2)] == ["calcn_r", "calcn_l"]
    assert (result.loads_path.parent / loads.getDataFileName()).is_file()


def test_inverse_dynamics_needs_hardly_any_residual_force(
    result: Result, opensim: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tool = opensim.InverseDynamicsTool()
    tool.setModelFileName(str(BODY))
    tool.setCoordinatesFileName(str(WALK))
    tool.setExternalLoadsFileName(str(result.loads_path))
    tool.setLowpassCutoffFrequency(6.0)
    tool.setStartTime(0.3)
    tool.setEndTime(5.7)
    muscles = opensim.ArrayStr()
    muscles.append("Muscles")
    tool.setExcludedForces(muscles)
    tool.setResultsDir(str(tmp_path))
    tool.setOutputGenForceFileName("id.sto")
    assert tool.run()
    table = opensim.TimeSeriesTable(str(tmp_path / "id.sto"))
    for axis in "xyz":
        residual = table.getDependentColumn(f"pelvis_t{axis}_force").to_numpy()
        assert np.sqrt(np.mean(residual**2)) < RESIDUAL_BW * BODY_WEIGHT_N, axis
