"""`gaitdynamics ik` and `gaitdynamics body` as a user meets them: what they write, say and refuse."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from lab_files import SAMPLES_PER_FRAME, LabPlate, Load, write_c3d
from marked_body import PLACES, markers_of, write_marked_body

from gaitdynamics.apps import cli
from gaitdynamics.apps.body import body as body_command
from gaitdynamics.apps.ik import ik
from gaitdynamics.apps.ik_files import ik_file
from gaitdynamics.biomech.body_scaling import fit_body, scaled_skeleton
from gaitdynamics.biomech.kinematics import foot_paths, posed
from gaitdynamics.io.forces import ground_reaction_from_sides, read_plates
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.scaled_to_static import read_marker_places
from gaitdynamics.io.trc import format_trc
from gaitdynamics.types.markers import Markers
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

NUM_FRAMES = 60
HEIGHT_M = 1.75
# Of a person who is not the generic body.
SEGMENTS = {"pelvis": 0.95, "femur": 0.9, "tibia": 1.02, "talus": 0.93, "calcn": 0.93, "toes": 0.93, "torso": 0.92}
Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]


@pytest.fixture
def short_walk(walk: Motion) -> Motion:
    part = slice(40, 40 + NUM_FRAMES)
    return replace(walk, time_s=walk.time_s[part], values=walk.values[part], observed=walk.observed[part])


@pytest.fixture
def markers(body: Skeleton, short_walk: Motion) -> Markers:
    return markers_of(body, short_walk)


@pytest.fixture
def run(
    tmp_path: Path,
    opensim: ModuleType,
    markers: Markers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command in a folder that holds a model with markers, and a walk."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(ik)
    app.command("body")(body_command)
    monkeypatch.setattr(cli, "app", app)
    write_marked_body(opensim, Path("subject.osim"))
    Path("walk.trc").write_text(format_trc(markers, name="walk.trc"))

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


def record(path: str) -> dict[str, Any]:
    content = json.loads(Path(path).read_text())
    assert isinstance(content, dict)
    return content


def plates_under_feet(body: Skeleton, motion: Motion) -> tuple[LabPlate, ...]:
    """The first plate under the right foot, then the second under the left, each for a quarter of the time."""
    points_m = foot_paths(body, posed(body, motion.values), height_m=HEIGHT_M).points_m.mean(axis=2)
    num = NUM_FRAMES * SAMPLES_PER_FRAME
    plates = []
    for foot, start in ((0, 0), (1, num // 2)):
        carried = np.zeros(num)
        carried[start : start + num // 4] = 500.0 * np.sin(np.linspace(0, np.pi, num // 4))
        middle_m = points_m[(start + num // 8) // SAMPLES_PER_FRAME, foot] * np.array([1.0, 0.0, 1.0])
        force_n = np.stack([0.1 * carried, carried, 0.0 * carried], axis=1)
        point_m = middle_m + np.linspace(-0.02, 0.02, num)[:, None] * np.array([1.0, 0.0, 0.0])
        plates.append(LabPlate(middle_m, Load(force_n, point_m, np.zeros(num))))
    return tuple(plates)


def test_motion_and_record_are_written(run: Run, body: Skeleton, short_walk: Motion) -> None:
    code, out, err = run("ik", "walk.trc", "--model", "subject.osim", "--out", "results")
    assert (code, err) == (0, "")
    assert {path.name for path in Path("results").iterdir()} == {"walk_ik.mot", "walk_ik.json"}
    assert "walk.trc: markers within 0." in out
    found, warnings = read_motion("results/walk_ik.mot", body.coordinates)
    assert warnings == ()
    np.testing.assert_allclose(found.time_s, short_walk.time_s, atol=1e-8)
    assert np.sqrt(((found.values - short_walk.values) ** 2).mean(axis=0)).max() < np.radians(1.0)
    about = record("results/walk_ik.json")
    assert about["num_frames"] == NUM_FRAMES
    assert about["up"]["direction"] == "y"
    assert about["contacts"] is None
    assert set(about["marker_error"]["by_marker"]) == set(PLACES)
    assert about["marker_error"]["max_mm"] >= about["marker_error"]["rms_mm"] > 0
    assert about["marker_error"]["max_marker"] in PLACES
    assert about["undetermined_coordinates"] == about["warnings"] == []


def test_plates_become_forces_on_the_feet(run: Run, body: Skeleton, short_walk: Motion, markers: Markers) -> None:
    plates = plates_under_feet(body, short_walk)
    write_c3d(Path("walk.c3d"), markers, plates=plates)
    code, out, err = run("ik", "walk.c3d", "--model", "subject.osim")
    assert (code, err) == (0, "")
    assert out.split()[-3:] == ["walk_ik.mot", "walk_ik.json", "walk_measured_forces.mot"]
    forces = ground_reaction_from_sides(read_plates("walk_measured_forces.mot"))
    for foot, plate in enumerate(plates):
        np.testing.assert_allclose(forces.force_n[:, foot], plate.load.force_n[: len(forces.time_s)], atol=0.02)
        is_loaded = forces.force_n[:, foot, 1] > 50
        np.testing.assert_allclose(
            forces.cop_m[is_loaded, foot], plate.load.point_m[: len(forces.time_s)][is_loaded], atol=1e-3
        )
    contacts = record("walk_ik.json")["contacts"]
    assert [contact["foot"] for contact in contacts] == ["right", "left"]
    assert contacts[0]["peak_n"] == pytest.approx(500, abs=1)
    np.testing.assert_allclose(record("walk_ik.json")["time_s"], [0.0, (NUM_FRAMES - 1) / 100], atol=1e-6)


def test_forces_of_an_earlier_run_do_not_stay_beside_a_motion_without(run: Run) -> None:
    Path("walk_measured_forces.mot").write_text("old")
    assert run("ik", "walk.trc", "--model", "subject.osim")[0] == 2
    assert run("ik", "walk.trc", "--model", "subject.osim", "--overwrite")[0] == 0
    assert not Path("walk_measured_forces.mot").exists()


def test_what_is_odd_is_said(run: Run, opensim: ModuleType, body: Skeleton, short_walk: Motion) -> None:
    markers = markers_of(body, short_walk)
    position_m = markers.position_m.copy()
    swapped = [markers.names.index(name) for name in ("RKNE", "LKNE")]
    position_m[:, swapped] = position_m[:, swapped[::-1]]
    position_m[:10, 5:] = np.nan
    Path("odd.trc").write_text(format_trc(replace(markers, position_m=position_m), name="odd"))
    write_marked_body(opensim, Path("legs.osim"), leave_out=("C7", "RSHO", "LSHO", "CLAV"))
    code, _, err = run("ik", "odd.trc", "--model", "legs.osim")
    assert code == 0
    for part in (
        "only 0.5 to 0.99 s were solved",
        "stay far from",
        "KNE (",
        "no marker tells of 'lumbar_extension', 'lumbar_bending', 'lumbar_rotation'",
        "the model has no markers 'C7', 'RSHO', 'LSHO', 'CLAV'",
    ):
        assert part in err
    assert record("odd_ik.json")["warnings"]


def test_a_person_who_lies_because_up_is_another_direction_is_noticed(run: Run) -> None:
    code, _, err = run("ik", "walk.trc", "--model", "subject.osim", "--up", "z")
    assert code == 0
    assert "lies or hangs upside down. If that is not so, up is another direction than 'z'" in err


def test_several_recordings_and_a_failure(run: Run) -> None:
    Path("broken.trc").write_text("PathFileType\n")
    code, out, err = run("ik", "broken.trc", "walk.trc", "--model", "subject.osim")
    assert code == 1
    assert "walk_ik.mot" in out
    assert "Failed: broken.trc" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("subject.osim", "--model", "subject.osim"), "subject.osim: this is an OpenSim model (.osim), for --model"),
        (("walk.trc", "--model", "walk.trc"), "walk.trc: this is marker trajectories (.trc), for 'ik'"),
        (("no.trc", "--model", "subject.osim"), "no.trc: there is no such file"),
        (("walk.trc", "--model", "no.osim"), "no.osim: there is no such file"),
        (("walk.trc", "--model", "subject.osim", "--up", "w"), "'w' is no direction"),
        (("walk.trc", "walk.trc", "--model", "subject.osim"), "more than one recording would write walk_ik.mot"),
        (("walk.trc", "--model", "subject.osim", "--static", "walk.trc"), "give both a --static recording and"),
    ],
)
def test_bad_input_is_refused_with_a_reason_and_nothing_is_written(
    arguments: tuple[str, ...], message: str, run: Run
) -> None:
    before = set(Path().iterdir())
    code, _, err = run("ik", *arguments)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())
    assert set(Path().iterdir()) == before


def test_results_are_not_replaced_unless_asked(run: Run) -> None:
    assert run("ik", "walk.trc", "--model", "subject.osim")[0] == 0
    before = Path("walk_ik.mot").read_bytes()
    code, _, err = run("ik", "walk.trc", "--model", "subject.osim")
    assert code == 2
    assert "exists already" in err
    assert run("ik", "walk.trc", "--model", "subject.osim", "--overwrite")[0] == 0
    assert Path("walk_ik.mot").read_bytes() == before


def test_what_the_report_raises_ends_it_and_nothing_is_written(run: Run) -> None:
    class CancelledError(Exception):
        pass

    def report(done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        ik_file(Path("walk.trc"), Path("subject.osim"), out=Path("results"), report=report)
    assert not Path("results").exists()


def factors_of(skeleton: Skeleton) -> dict[str, float]:
    return {body.name: SEGMENTS[body.name.split("_")[0]] for body in skeleton.bodies}


def somebodys_markers(body: Skeleton, motion: Motion) -> Markers:
    """Of a person with other segments, who makes the same movements."""
    factors = factors_of(body)
    person = scaled_skeleton(body, factors)
    places = {name: (part, tuple(factors[part] * np.array(place))) for name, (part, place) in PLACES.items()}
    pose = posed(person, motion.values)
    return Markers(
        motion.time_s,
        tuple(places),
        np.stack(
            [
                pose.origin_m[:, body.body_index[part]].numpy()
                + pose.rotation[:, body.body_index[part]].numpy() @ np.array(place)
                for part, place in places.values()
            ],
            axis=1,
        ),
    )


def standing(body: Skeleton) -> Motion:
    values = np.array([c.default_value for c in body.coordinates])
    for name, angle in (
        ("pelvis_rotation", 2.0),
        ("hip_flexion_r", 0.1),
        ("knee_angle_l", 0.12),
        ("ankle_angle_r", 0.05),
    ):
        values[body.coordinate_names.index(name)] = angle
    time_s = np.arange(20) / 100
    return Motion(time_s, np.tile(values, (20, 1)), body.coordinate_names, np.ones((20, len(values)), dtype=bool))


def test_the_lengths_of_segments_are_found_from_somebody_who_stands(run: Run, body: Skeleton) -> None:
    places = read_marker_places(Path("subject.osim"))
    assert places.names == tuple(PLACES)
    seen = somebodys_markers(body, standing(body)).position_m[0]
    fit = fit_body(body, bodies=places.bodies, place_in_body_m=places.place_in_body_m, seen_m=seen)
    for name, factor in factors_of(body).items():
        assert fit.factors[name] == pytest.approx(factor, rel=0.02), name
    assert fit.error_m.max() < 0.003
    rng = np.random.default_rng(0)
    seen = seen + rng.normal(0, 0.005, seen.shape)
    fit = fit_body(body, bodies=places.bodies, place_in_body_m=places.place_in_body_m, seen_m=seen)
    for name in ("femur_r", "tibia_l", "pelvis", "torso"):
        assert fit.factors[name] == pytest.approx(factors_of(body)[name], rel=0.03), name


def test_a_generic_model_is_scaled_to_a_standing_person_first(run: Run, body: Skeleton, short_walk: Motion) -> None:
    for name, motion in (("stand", standing(body)), ("trial", short_walk)):
        Path(f"{name}.trc").write_text(format_trc(somebodys_markers(body, motion), name=name))
    arguments = ("--model", "subject.osim", "--static", "stand.trc", "--mass", "61")
    code, out, err = run("ik", "trial.trc", *arguments, "--out", "results")
    assert (code, err) == (0, "")
    assert "subject_scaled.osim" in out
    scaled = read_model(Path("results/subject_scaled.osim"))
    assert scaled.mass_kg == pytest.approx(61)
    found, _ = read_motion("results/trial_ik.mot", body.coordinates)
    angles = [k for k, c in enumerate(body.coordinates) if c.is_rotational]
    rms = np.sqrt(((found.values - short_walk.values)[:, angles] ** 2).mean(axis=0))
    assert np.degrees(rms).max() < 3.0
    assert record("results/trial_ik.json")["model"] == "subject_scaled.osim"
    # Without it the same markers fit far worse.
    assert run("ik", "trial.trc", "--model", "subject.osim", "--out", "unscaled")[0] == 0
    errors = [record(f"{folder}/trial_ik.json")["marker_error"]["rms_mm"] for folder in ("results", "unscaled")]
    assert errors[0] < 3.0
    assert errors[1] > 4 * errors[0]


def test_a_static_trial_that_moves_is_refused(run: Run) -> None:
    code, _, err = run("ik", "walk.trc", "--model", "subject.osim", "--static", "walk.trc", "--mass", "61")
    assert code == 2
    assert "walk.trc: the person moves" in err
    assert "Expected a static trial" in err
    assert not Path("subject_scaled.osim").exists()


@pytest.mark.parametrize("sex", [None, "male", "female"])
def test_a_body_has_the_height_and_the_mass_that_were_asked_for(sex: str | None, run: Run, body: Skeleton) -> None:
    choice = () if sex is None else ("--sex", sex)
    code, out, err = run("body", "--height", "1.6", "--mass", "58", *choice, "--out", "anna.osim")
    assert (code, out.split()) == (0, ["anna.osim"])
    assert "approximate" in err
    made = read_model(Path("anna.osim"))
    assert made.name == "anna"
    assert made.coordinate_names == body.coordinate_names
    assert made.mass_kg == pytest.approx(58, rel=1e-6)
    leg_m = [
        np.linalg.norm(each.joints[each.joints.index(joint)].parent_translation_m) for each, joint in legs(made, body)
    ]
    assert leg_m[0] == pytest.approx(leg_m[1] * 1.6 / HEIGHT_M)
    thigh_kg = next(each.mass_kg for each in made.bodies if each.name == "femur_r")
    assert thigh_kg == pytest.approx(58 * (0.1478 if sex == "female" else 0.1416), rel=1e-3)


def legs(*skeletons: Skeleton) -> list[tuple[Skeleton, Any]]:
    """Each skeleton with the joint that is a thigh away from the hip."""
    return [(each, next(joint for joint in each.joints if joint.child == "tibia_r")) for each in skeletons]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--height", "16", "--mass", "58"), "height is 16 m"),
        (("--height", "1.6", "--mass", "280"), "body mass index"),
        (("--height", "1.6", "--mass", "58", "--sex", "f"), "expected male or female"),
        (("--height", "1.6", "--mass", "58", "--out", "anna.mot"), "expected one that ends in .osim"),
        (("--height", "1.6", "--mass", "58", "--out", "subject.osim"), "exists already"),
    ],
)
def test_a_body_that_is_nobodys_is_refused(arguments: tuple[str, ...], message: str, run: Run) -> None:
    code, _, err = run("body", *arguments)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())
