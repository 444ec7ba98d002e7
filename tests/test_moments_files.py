"""`gaitdynamics moments` as a user meets it: what it writes, what it says, what it refuses."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from conftest import ASSETS

from gaitdynamics.apps import cli
from gaitdynamics.apps.moments import moments
from gaitdynamics.biomech.joint_loads import joint_loads, load_parameters
from gaitdynamics.io.external_loads import format_external_loads
from gaitdynamics.io.forces import format_forces
from gaitdynamics.io.motion import format_motion, read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.table import format_table, read_table
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

BODY = ASSETS / "generic_body.osim"
NUM_FRAMES = 250  # two strides
HEIGHT_M = 1.75
USUAL = ("--model", "subject.osim", "--weights", "physics", "--belt-speed", "0", "--height", str(HEIGHT_M))
ALL = {"walk_moments.sto", "walk_powers.sto", "walk_joint_loads.sto", "walk_moments.json"}
Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]


@pytest.fixture
def short_walk(walk: Motion) -> Motion:
    part = slice(0, NUM_FRAMES)
    return replace(walk, time_s=walk.time_s[part], values=walk.values[part], observed=walk.observed[part])


@pytest.fixture
def run(
    tmp_path: Path,
    body: Skeleton,
    short_walk: Motion,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs the command in a folder that holds a walk, and its estimated forces as if they were measured."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(moments)
    monkeypatch.setattr(cli, "app", app)
    Path("subject.osim").write_bytes(BODY.read_bytes())
    Path("walk.mot").write_text(format_motion(short_walk, body.coordinates, name="walk"))
    Path("forces.mot").write_text(format_forces(estimate_forces(trial(body, short_walk)).forces, name="forces"))
    Path("loads.xml").write_text(format_external_loads("forces.mot"))

    def run_once(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gaitdynamics", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run_once


def trial(body: Skeleton, motion: Motion) -> Trial:
    return Trial("walk", Subject("nobody", body.mass_kg, HEIGHT_M), body, motion, None, 0.0, "made")


def summary(path: str = "walk_moments.json") -> dict[str, Any]:
    content = json.loads(Path(path).read_text())
    assert isinstance(content, dict)
    return content


def written() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"subject.osim", "walk.mot", "forces.mot", "loads.xml"}


def test_moments_powers_loads_and_a_summary_are_written(run: Run, body: Skeleton, short_walk: Motion) -> None:
    code, out, err = run("walk.mot", *USUAL)
    assert (code, err) == (0, "")
    assert written() == ALL == set(out.split())
    person = trial(body, short_walk)
    forces = estimate_forces(person).forces
    loads = joint_loads(person, forces)
    table = read_table("walk_moments.sto")
    assert set(table.labels) == {f"{c.name}_{'moment' if c.is_rotational else 'force'}" for c in body.coordinates}
    knee = loads.generalised_force[:, loads.coordinates.index("knee_angle_r")]
    assert np.abs(table.column("knee_angle_r_moment") - knee)[3:-3].max() < 0.01 * np.ptp(knee)
    size_nm = person.subject.body_weight_n * HEIGHT_M / 100
    expected = loads.moment_nm["knee_right"][:, 1]
    table = read_table("walk_joint_loads.sto")
    for label, unit in (("knee_adduction_pct_bw_bh_right", size_nm), ("knee_adduction_nm_kg_right", body.mass_kg)):
        np.testing.assert_allclose(table.column(label), expected / unit, atol=2e-3)
    powers = read_table("walk_powers.sto")
    np.testing.assert_allclose(
        powers.column("ankle_angle_l_power"),
        loads.power_w[:, loads.coordinates.index("ankle_angle_l")],
        atol=0.02 * np.ptp(loads.power_w),
    )


def test_the_summary_holds_peaks_residuals_and_where_they_come_from(
    run: Run, body: Skeleton, short_walk: Motion
) -> None:
    assert run("walk.mot", *USUAL)[0] == 0
    found = summary()
    person = trial(body, short_walk)
    forces = estimate_forces(person).forces
    expected = load_parameters(joint_loads(person, forces), forces, person.subject)
    assert found["parameters"].keys() == expected.keys()
    for name, value in expected.items():
        assert (found["parameters"][name] is None) is (value is None)
        if value is not None:
            assert found["parameters"][name] == pytest.approx(value, abs=2e-2)
    assert found["forces"] == {"source": "estimated"}
    assert found["filter_hz"] == 10.0
    assert found["num_stances"]["right"] >= 1
    assert 0 < found["residuals"]["force_rms_pct_bw"] < found["residuals"]["force_max_pct_bw"] < 30
    assert found["provenance"]["weights"] == "physics"


@pytest.mark.parametrize("file", ["forces.mot", "loads.xml"])
def test_measured_forces_give_the_same_as_estimated_ones_that_they_equal(run: Run, file: str) -> None:
    assert run("walk.mot", *USUAL, "--out", "estimated")[0] == 0
    code, _, err = run("walk.mot", *USUAL, "--forces", file)
    assert (code, err) == (0, "")
    for name in ("walk_moments.sto", "walk_joint_loads.sto"):
        measured, estimated = read_table(name), read_table(f"estimated/{name}")
        assert np.abs(measured.values - estimated.values).max() < 0.02 * np.abs(estimated.values).max()
    assert summary()["forces"] == {"source": "measured", "file": file}
    assert summary()["provenance"]["forces_sha256"]


def test_the_filter_can_be_chosen_and_left_out(run: Run) -> None:
    for option in ("6", "off"):
        assert run("walk.mot", *USUAL, "--filter", option, "--out", option)[0] == 0
    low, none = (read_table(f"{option}/walk_moments.sto").column("hip_flexion_r_moment") for option in ("6", "off"))
    assert np.abs(np.diff(low, n=2)).max() < np.abs(np.diff(none, n=2)).max()
    assert summary("6/walk_moments.json")["filter_hz"] == 6.0
    assert summary("off/walk_moments.json")["filter_hz"] is None


@pytest.mark.parametrize("option", ["0", "-3", "nan", "fast"])
def test_a_filter_that_is_no_frequency_is_refused(run: Run, option: str) -> None:
    code, _, err = run("walk.mot", *USUAL, f"--filter={option}")
    assert code == 2
    assert "no frequency" in err
    assert written() == set()


def test_what_is_missing_of_the_motion_is_completed(
    run: Run, body: Skeleton, short_walk: Motion, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = short_walk.values.copy()
    values[50:100, body.coordinate_names.index("knee_angle_r")] = np.nan
    Path("gap.mot").write_text(format_motion(replace(short_walk, values=values), body.coordinates, name="gap"))
    code, _, err = run("gap.mot", *USUAL)
    assert code == 0
    assert "completed first: knee_angle_r" in err
    assert summary("gap_moments.json")["completion"]["filled"].keys() == {"knee_angle_r"}


def test_a_trunk_that_was_never_measured_is_left_out_without_a_model_of_gait(
    run: Run, body: Skeleton, short_walk: Motion
) -> None:
    values = short_walk.values.copy()
    values[:, [name.startswith("lumbar") for name in body.coordinate_names]] = 0.0
    Path("stiff.mot").write_text(format_motion(replace(short_walk, values=values), body.coordinates, name="stiff"))
    code, _, err = run("stiff.mot", *USUAL, "--completion", "nowhere")
    assert code == 0
    assert "completed first" not in err
    assert "completion" not in summary("stiff_moments.json")


def test_forces_of_another_time_are_refused(run: Run, body: Skeleton, short_walk: Motion) -> None:
    forces = estimate_forces(trial(body, short_walk)).forces
    late = replace(forces, time_s=forces.time_s + 1.0)
    Path("late.mot").write_text(format_forces(late, name="late"))
    code, _, err = run("walk.mot", *USUAL, "--forces", "late.mot")
    assert code == 2
    assert "from 1 to 3.49 s" in err and "from 0 to 2.49 s" in err
    assert written() == {"late.mot"}


def test_loads_on_other_bodies_than_feet_are_refused(run: Run) -> None:
    Path("pulled.xml").write_text(format_external_loads("forces.mot", bodies=("calcn_r", "torso")))
    code, _, err = run("walk.mot", *USUAL, "--forces", "pulled.xml")
    assert code == 2
    assert "forces on 'torso'" in err and "'calcn_l'" in err


def test_a_foot_whose_force_was_not_measured_is_warned_of(run: Run) -> None:
    table = read_table("forces.mot")
    right = [label for label in table.labels if "_r_" in label]
    rows = np.stack([table.column(label) for label in right], axis=1)
    Path("right.mot").write_text(format_table("right", right, rows, time_s=table.time_s, in_degrees=False, decimals=6))
    code, _, err = run("walk.mot", *USUAL, "--forces", "right.mot")
    assert code == 0
    assert "force on the left foot is not known" in err
    assert "miss what the motion needs by more than 30 % of body weight" in err
    parameters = summary()["parameters"]
    assert parameters["knee_adduction_first_peak_pct_bw_bh_left"] is None
    assert parameters["knee_adduction_first_peak_pct_bw_bh_right"] is not None


def test_standing_has_moments_but_no_peaks(run: Run, body: Skeleton, short_walk: Motion) -> None:
    still = replace(short_walk, values=np.repeat(short_walk.values[:1], NUM_FRAMES, axis=0))
    Path("still.mot").write_text(format_motion(still, body.coordinates, name="still"))
    code, _, err = run("still.mot", *USUAL)
    assert code == 0
    assert "no peaks and impulses" in err
    assert set(summary("still_moments.json")["parameters"].values()) == {None}


def test_several_motions_are_done_one_after_the_other_and_failures_named(run: Run) -> None:
    Path("again.mot").write_bytes(Path("walk.mot").read_bytes())
    Path("broken.mot").write_text("no table")
    code, _, err = run("walk.mot", "broken.mot", "again.mot", *USUAL)
    assert code == 1
    assert "Failed: broken.mot" in err
    assert {"walk_moments.json", "again_moments.json"} <= written()
    assert "broken_moments.json" not in written()


def test_one_file_of_forces_is_for_one_motion(run: Run) -> None:
    Path("again.mot").write_bytes(Path("walk.mot").read_bytes())
    code, _, err = run("walk.mot", "again.mot", *USUAL, "--forces", "forces.mot")
    assert code == 2
    assert "--forces" in err


def test_results_are_kept_unless_told_otherwise(run: Run) -> None:
    assert run("walk.mot", *USUAL)[0] == 0
    code, _, err = run("walk.mot", *USUAL)
    assert code == 2
    assert "--overwrite" in err
    assert run("walk.mot", *USUAL, "--overwrite")[0] == 0


def test_moments_scale_with_the_mass_that_is_given(run: Run) -> None:
    for mass in ("60", "90"):
        assert run("walk.mot", *USUAL, "--mass", mass, "--out", mass)[0] == 0
    light, heavy = (read_table(f"{mass}/walk_moments.sto") for mass in ("60", "90"))
    for label in light.labels:
        # forces follow the mass, up to the threshold in newtons below which they count as none
        size = np.abs(heavy.column(label)).max()
        assert np.abs(heavy.column(label) - 1.5 * light.column(label)).max() < 0.05 * size + 0.1


def test_measured_samples_have_the_moments_of_walking(shared: Path, run: Run) -> None:
    sample = shared / "samples" / "moco_walk"
    code, _, err = run(
        str(sample / "coordinates.sto"),
        "--model",
        str(sample / "subject_walk_scaled.osim"),
        "--forces",
        str(sample / "grf_walk.xml"),
    )
    assert (code, "missing" in err) == (0, False)
    found = summary("coordinates_moments.json")
    for name, (low, high) in {
        "knee_adduction_first_peak_pct_bw_bh": (2.0, 4.0),
        "knee_adduction_second_peak_pct_bw_bh": (1.5, 3.5),
        "knee_flexion_peak_pct_bw_bh": (1.5, 6.0),
        "hip_adduction_peak_pct_bw_bh": (4.0, 8.0),
        "ankle_dorsiflexion_peak_pct_bw_bh": (7.0, 11.0),
    }.items():
        assert low < found["parameters"][name] < high, name
    assert found["residuals"]["force_rms_pct_bw"] < 3
    body = read_model(sample / "subject_walk_scaled.osim")
    motion, _ = read_motion(sample / "coordinates.sto", body.coordinates)
    assert len(read_table("coordinates_moments.sto").time_s) == len(motion.time_s)
