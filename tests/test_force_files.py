"""Reading and writing forces and external loads."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.external_loads import format_external_loads, read_external_loads, read_loaded_plates
from gaitdynamics.io.forces import (
    Plate,
    assign_feet,
    format_forces,
    ground_reaction_from_sides,
    read_plates,
)
from gaitdynamics.io.study import read_study
from gaitdynamics.io.table import format_table
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.side import side_of

NUM_FRAMES = 40
TIME_S = np.arange(NUM_FRAMES) / 100


def triple(prefix: str) -> list[str]:
    return [prefix + axis for axis in "xyz"]


def write(tmp_path: Path, prefixes: list[str], *, values: np.ndarray | None = None, file: str = "grf.mot") -> Path:
    labels = [label for prefix in prefixes for label in triple(prefix)]
    if values is None:
        values = np.arange(NUM_FRAMES * len(labels)).reshape(NUM_FRAMES, -1) / 1000
    path = tmp_path / file
    path.write_text(format_table("grf", labels, values, time_s=TIME_S, in_degrees=False, decimals=6))
    return path


def plate(
    loaded: slice, *, cop_m: tuple[float, float, float], side: str | None = None, force_n: float = 700.0
) -> Plate:
    force = np.zeros((NUM_FRAMES, 3))
    force[loaded] = (0.1 * force_n, force_n, -0.02 * force_n)
    torque = np.zeros((NUM_FRAMES, 3))
    torque[loaded, 1] = 3.0
    return Plate("plate", side, TIME_S, force, np.tile(cop_m, (NUM_FRAMES, 1)), torque)


# Prefixes of force, point and torque, for each way to name them, and the sides that the names tell.
NAMINGS = {
    "by side": ("ground_force_{}_v", "ground_force_{}_p", "ground_torque_{}_", "rl"),
    "side first": ("{}_ground_force_v", "{}_ground_force_p", "{}_ground_torque_", "RL"),
    "side as a word": ("ground_force_{}_v", "ground_force_{}_p", "ground_torque_{}_", ("right", "left")),
    "by plate": ("ground_force_{}_v", "ground_force_{}_p", "ground_force_{}_m", "12"),
    "plate first": ("{}_ground_force_v", "{}_ground_force_p", "{}_ground_torque_", "12"),
    "by number": ("force{}_v", "force{}_p", "torque{}_", "12"),
    "by body": ("calcn_{}_force_v", "calcn_{}_force_p", "calcn_{}_torque_", "rl"),
    "moments": ("ground_force_{}_v", "ground_cop_{}_p", "ground_moment_{}_m", "rl"),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_forces_are_found_under_every_naming(tmp_path: Path, naming: str) -> None:
    *patterns, sides = NAMINGS[naming]
    path = write(tmp_path, [pattern.format(side) for side in sides for pattern in patterns])
    plates = read_plates(path)
    assert [plate.side for plate in plates] == ([None, None] if "1" in sides else ["r", "l"])
    expected = np.arange(NUM_FRAMES * 18).reshape(NUM_FRAMES, 6, 3) / 1000
    for index, found in enumerate(plates):
        np.testing.assert_array_equal(found.force_n, expected[:, 3 * index])
        np.testing.assert_array_equal(found.point_m, expected[:, 3 * index + 1])
        np.testing.assert_array_equal(found.torque_nm, expected[:, 3 * index + 2])
        np.testing.assert_array_equal(found.time_s, TIME_S)


def test_a_first_plate_without_a_number_is_told_from_the_second(tmp_path: Path) -> None:
    prefixes = ["ground_force_v", "ground_force_p", "1_ground_force_v", "1_ground_force_p"]
    plates = read_plates(write(tmp_path, [*prefixes, "ground_torque_", "1_ground_torque_"]))
    assert [plate.name for plate in plates] == ["ground_force", "1_ground_force"]
    assert plates[0].torque_nm[0, 0] == pytest.approx(0.012)
    assert plates[1].torque_nm[0, 0] == pytest.approx(0.015)


def test_without_torques_they_are_zero(tmp_path: Path) -> None:
    (found,) = read_plates(write(tmp_path, ["ground_force_r_v", "ground_force_r_p"]))
    assert not found.torque_nm.any()


def test_a_file_without_forces_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"no ground reaction forces.*the file has 'pelvis_tx'"):
        read_plates(write(tmp_path, ["pelvis_t"]))


def test_a_force_without_centre_of_pressure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="'ground_force_r' has no centre of pressure"):
        read_plates(write(tmp_path, ["ground_force_r_v", "ground_torque_r_"]))


def test_a_force_that_lacks_an_axis_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ["ground_force_r_v", "ground_force_r_p"])
    path.write_text(path.read_text().replace("ground_force_r_vz", "other"))
    with pytest.raises(InputFileError, match="'ground_force_r_vx', 'ground_force_r_vy' lacks some"):
        read_plates(path)


def test_a_centre_of_pressure_in_millimetres_is_refused(tmp_path: Path) -> None:
    values = np.tile([0.0, 700, 0, 350, 0, 120], (NUM_FRAMES, 1))
    with pytest.raises(InputFileError, match="looks like millimetres"):
        read_plates(write(tmp_path, ["ground_force_r_v", "ground_force_r_p"], values=values))


def test_a_centre_of_pressure_without_load_may_be_anything(tmp_path: Path) -> None:
    values = np.tile([0.0, 1, 0, 9e4, 0, -120], (NUM_FRAMES, 1))
    (found,) = read_plates(write(tmp_path, ["ground_force_r_v", "ground_force_r_p"], values=values))
    np.testing.assert_array_equal(found.point_m, values[:, 3:])


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("calcn_r", "r"),
        ("calcn_l", "l"),
        ("R_ground_force", "r"),
        ("LeftFoot", "l"),
        ("foot_right", "r"),
        ("ground_force", None),
        ("force1", None),
        ("pelvis", None),
        ("l_or_r", None),
    ],
)
def test_a_name_tells_the_side_only_as_a_word(name: str, side: str | None) -> None:
    assert side_of(name) == side


def test_forces_go_to_their_feet_right_first() -> None:
    left, right = (
        plate(slice(0, 20), cop_m=(0.1, 0, -0.1), side="l"),
        plate(slice(20, 40), cop_m=(0.5, 0, 0.1), side="r"),
    )
    forces = ground_reaction_from_sides([left, right])
    np.testing.assert_array_equal(forces.force_n[:, 0], right.force_n)
    np.testing.assert_array_equal(forces.force_n[:, 1], left.force_n)
    np.testing.assert_array_equal(forces.cop_m[:, 0], right.point_m)
    np.testing.assert_array_equal(forces.free_moment_nm[:, 1], left.torque_nm[:, 1])
    assert forces.valid.all()


def test_two_plates_under_one_foot_keep_force_and_moment() -> None:
    generator = np.random.default_rng(0)
    plates = [
        Plate(
            name,
            "r",
            TIME_S,
            generator.normal(size=(NUM_FRAMES, 3)) * 50 + [0, 400, 0],
            generator.normal(size=(NUM_FRAMES, 3)) * [0.2, 0, 0.2],
            generator.normal(size=(NUM_FRAMES, 3)) * [0, 5, 0],
        )
        for name in "ab"
    ]
    forces = ground_reaction_from_sides(plates)
    np.testing.assert_allclose(forces.force_n[:, 0], plates[0].force_n + plates[1].force_n)
    # The vertical moment about the origin is the same before and after, and so is the tilting moment of the
    # vertical forces, which defines the centre of pressure.
    before = sum(np.cross(p.point_m, p.force_n) + p.torque_nm for p in plates)
    after = np.cross(forces.cop_m[:, 0], forces.force_n[:, 0])
    np.testing.assert_allclose(after[:, 1] + forces.free_moment_nm[:, 0], before[:, 1], atol=1e-9)
    np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]], atol=1e-9)
    assert not forces.valid[:, 1].any()


def test_noise_on_a_second_plate_does_not_move_the_centre_of_pressure() -> None:
    loaded = plate(slice(0, 30), cop_m=(0.1, 0, 0.1), side="r")
    noise = plate(slice(0, 40), cop_m=(300, 0, 90), side="r", force_n=2.0)
    forces = ground_reaction_from_sides([loaded, noise])
    np.testing.assert_allclose(forces.cop_m[:30, 0], loaded.point_m[:30])
    np.testing.assert_allclose(forces.free_moment_nm[:30, 0], 6.0)


def test_a_missing_number_is_not_valid_and_not_nan() -> None:
    right, left = (plate(slice(0, 40), cop_m=(0.1, 0, 0.1), side=side) for side in "rl")
    right.force_n[3, 2] = np.nan
    right.point_m[5] = np.nan
    forces = ground_reaction_from_sides([right, left])
    np.testing.assert_array_equal(np.flatnonzero(~forces.valid[:, 0]), [3, 5])
    assert forces.valid[:, 1].all()
    assert np.isfinite(forces.force_n).all()
    assert np.isfinite(forces.cop_m).all()


def test_an_unlocated_force_is_valid_where_there_is_none() -> None:
    right = plate(slice(0, 20), cop_m=(0.1, 0, 0.1), side="r")
    right.point_m[20:] = np.nan
    assert ground_reaction_from_sides([right]).valid[:, 0].all()


def test_plates_without_a_side_are_refused_where_sides_are_needed() -> None:
    with pytest.raises(InputFileError, match="'plate' do not say which foot"):
        ground_reaction_from_sides([plate(slice(0, 20), cop_m=(0, 0, 0))])


def test_plates_with_different_times_are_refused() -> None:
    one = plate(slice(0, 20), cop_m=(0, 0, 0), side="r")
    other = Plate("b", "l", TIME_S + 0.001, one.force_n, one.point_m, one.torque_nm)
    with pytest.raises(InputFileError, match="different times"):
        ground_reaction_from_sides([one, other])


def feet(right_m: tuple[float, float, float], left_m: tuple[float, float, float]) -> np.ndarray:
    return np.tile([right_m, left_m], (11, 1, 1))


MOTION_TIME_S = np.linspace(0, 0.39, 11)


def test_each_contact_goes_to_the_nearer_foot() -> None:
    plates = [
        plate(slice(0, 20), cop_m=(0.0, 0, -0.1)),
        plate(slice(15, 40), cop_m=(0.6, 0, 0.1)),
    ]
    forces = assign_feet(plates, MOTION_TIME_S, feet((0.6, 0.9, 0.12), (0.05, 0, -0.08)))
    np.testing.assert_array_equal(forces.force_n[:, 0], plates[1].force_n)
    np.testing.assert_array_equal(forces.force_n[:, 1], plates[0].force_n)
    np.testing.assert_allclose(forces.cop_m[15:, 0], plates[1].point_m[15:])
    np.testing.assert_allclose(forces.free_moment_nm[:20, 1], 3.0)
    assert forces.valid.all()


def test_feet_that_take_turns_on_one_plate_are_told_apart() -> None:
    both = plate(slice(2, 15), cop_m=(0.2, 0, 0.1))
    second = plate(slice(20, 38), cop_m=(0.2, 0, -0.1))
    both.force_n[20:38] = second.force_n[20:38]
    both.point_m[18:] = second.point_m[18:]
    both.force_n[1, 1] = 15.0  # below the threshold: goes with the contact that follows
    forces = assign_feet([both], MOTION_TIME_S, feet((0.2, 0, 0.1), (0.2, 0, -0.1)))
    np.testing.assert_array_equal(forces.force_n[:17, 0], both.force_n[:17])
    np.testing.assert_array_equal(forces.force_n[18:, 1], both.force_n[18:])
    np.testing.assert_allclose(forces.force_n.sum(axis=1), both.force_n)


def test_a_foot_on_two_plates_gets_the_sum_and_a_weighted_centre() -> None:
    plates = [
        plate(slice(0, 40), cop_m=(0.0, 0, 0.1), force_n=100),
        plate(slice(0, 40), cop_m=(0.4, 0, 0.1), force_n=300),
    ]
    forces = assign_feet(plates, MOTION_TIME_S, feet((0.2, 0, 0.1), (0.2, 0, -0.8)))
    np.testing.assert_allclose(forces.force_n[:, 0, 1], 400)
    np.testing.assert_allclose(forces.cop_m[:, 0, 0], 0.3)
    assert not forces.force_n[:, 1].any()


def test_a_side_that_is_known_is_kept() -> None:
    known = plate(slice(0, 20), cop_m=(0, 0, -0.1), side="r")
    forces = assign_feet([known], MOTION_TIME_S, feet((9, 0, 9), (0, 0, -0.1)))
    np.testing.assert_array_equal(forces.force_n[:, 0], known.force_n)


def test_forces_outside_the_motion_are_not_valid() -> None:
    plates = [plate(slice(0, 40), cop_m=(0, 0, 0.1)), plate(slice(0, 40), cop_m=(0, 0, -0.1))]
    forces = assign_feet(plates, np.linspace(0.1, 0.2, 11), feet((0, 0, 0.1), (0, 0, -0.1)))
    np.testing.assert_array_equal(np.flatnonzero(forces.valid[:, 0]), np.arange(10, 21))


def random_forces() -> GroundReaction:
    generator = np.random.default_rng(3)
    return GroundReaction(
        TIME_S,
        generator.normal(size=(NUM_FRAMES, 2, 3)) * 100 + [0, 700, 0],
        generator.normal(size=(NUM_FRAMES, 2, 3)),
        generator.normal(size=(NUM_FRAMES, 2)) * 5,
        np.ones((NUM_FRAMES, 2), dtype=bool),
    )


def test_reading_undoes_formatting(tmp_path: Path) -> None:
    forces = random_forces()
    path = tmp_path / "grf.mot"
    path.write_text(format_forces(forces, name="walk"))
    again = ground_reaction_from_sides(read_plates(path))
    for field in ("time_s", "force_n", "cop_m", "free_moment_nm"):
        np.testing.assert_allclose(getattr(again, field), getattr(forces, field), atol=1e-6)
    assert again.valid.all()


def test_external_loads_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "loads.xml"
    path.write_text(format_external_loads("a & b.mot", bodies=("foot_r", "foot_l")))
    right, left = read_external_loads(path)
    assert (right.body, left.body) == ("foot_r", "foot_l")
    assert right.force_identifier == "ground_force_r_v"
    assert left.point_identifier == "ground_force_l_p"
    assert left.torque_identifier == "ground_torque_l_"
    assert right.data_path == tmp_path / "a & b.mot"


def test_opensim_reads_the_external_loads(tmp_path: Path, opensim: ModuleType) -> None:
    (tmp_path / "grf.mot").write_text(format_forces(random_forces(), name="walk"))
    path = tmp_path / "loads.xml"
    path.write_text(format_external_loads("grf.mot"))
    loads = opensim.ExternalLoads(str(path), True)
    assert loads.getSize() == 2
    assert loads.getDataFileName() == "grf.mot"
    assert [loads.get(index).getAppliedToBodyName() for index in range(2)] == ["calcn_r", "calcn_l"]
    assert loads.get(1).getTorqueIdentifier() == "ground_torque_l_"
    table = opensim.TimeSeriesTable(str(tmp_path / "grf.mot"))
    assert table.getNumColumns() == 18
    assert table.getColumnLabels()[0] == "ground_force_r_vx"


def test_the_body_tells_the_side_that_columns_do_not(tmp_path: Path) -> None:
    write(tmp_path, ["force1_v", "force1_p", "force2_v", "force2_p", "torque2_"])
    text = format_external_loads("grf.mot")
    for old, new in [("ground_force_r_", "force1_"), ("ground_force_l_", "force2_")]:
        text = text.replace(old, new)
    text = text.replace("<torque_identifier>ground_torque_r_", "<torque_identifier>")
    text = text.replace("ground_torque_l_", "torque2_")
    (tmp_path / "loads.xml").write_text(text)
    plates = read_loaded_plates(tmp_path / "loads.xml")
    assert [plate.side for plate in plates] == ["r", "l"]
    assert not plates[0].torque_nm.any()
    assert plates[1].torque_nm.any()


@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        ("<force_expressed_in_body>ground", "<force_expressed_in_body>calcn_r", "Only forces in ground"),
        ("<datafile>grf.mot", "<datafile>", "names no <datafile>"),
        ("<applied_to_body>calcn_r", "<applied_to_body>Unassigned", "no <applied_to_body>"),
        ("ground_force_r_p", "ground_force_r_q", "no column 'ground_force_r_qx'. Did you mean"),
        ("<datafile>grf.mot", "<datafile>other.mot", "other.mot: there is no such file"),
        ("</ExternalLoads>", "", "not an OpenSim file: mismatched tag"),
        ("ExternalLoads", "Model", "has no ExternalLoads"),
        ("ExternalForce", "PrescribedForce", "has no ExternalForce"),
    ],
)
def test_faulty_external_loads_say_what_is_wrong(tmp_path: Path, pattern: str, new: str, message: str) -> None:
    (tmp_path / "grf.mot").write_text(format_forces(random_forces(), name="walk"))
    path = tmp_path / "loads.xml"
    path.write_text(format_external_loads("grf.mot").replace(pattern, new))
    with pytest.raises(InputFileError, match=re.escape(message)):
        read_loaded_plates(path)


SAMPLE_SIDES = {
    "samples/camargo/grf.mot": ["r", "l"],
    "samples/gait2354/grf.mot": [None, None],
    "samples/hamner/grf.mot": ["r", "l"],
    "samples/moco_walk/grf_walk.mot": ["r", "l"],
    "samples/opencap/grf.mot": [None, None],
}


@pytest.mark.parametrize("sample", SAMPLE_SIDES)
def test_every_sample_holds_two_feet_that_carry_a_person(shared: Path, sample: str) -> None:
    plates = read_plates(shared / sample)
    assert [plate.side for plate in plates] == SAMPLE_SIDES[sample]
    for found in plates:
        assert 600 < found.force_n[:, 1].max() < 2500
        assert np.abs(found.point_m[found.force_n[:, 1] > 100]).max() < 10


def test_the_predicted_forces_of_the_authors_are_read(shared: Path) -> None:
    plates = read_plates(shared / "parity/walk_treadmill_50hz_grf_pred___.mot")
    assert [plate.name for plate in plates] == ["force1", "force2"]
    assert plates[0].force_n[0, 1] == -13.885868


def test_sample_external_loads_agree_with_the_names(shared: Path) -> None:
    named = read_plates(shared / "samples/moco_walk/grf_walk.mot")
    loaded = read_loaded_plates(shared / "samples/moco_walk/grf_walk.xml")
    for by_name, by_body in zip(named, loaded, strict=True):
        assert by_name.side == by_body.side
        np.testing.assert_array_equal(by_name.force_n, by_body.force_n)
        np.testing.assert_array_equal(by_name.torque_nm, by_body.torque_nm)


def test_the_measured_study_names_both_feet(shared: Path) -> None:
    subjects = {trial.subject: trial for trial in read_study(shared / "gaitdata")}  # one trial of each
    for trial in subjects.values():
        assert [plate.side for plate in read_plates(trial.forces_path)] == ["r", "l"], trial.name


def test_a_gap_in_a_plate_of_either_foot_leaves_both_unknown() -> None:
    unnamed = plate(slice(0, 40), cop_m=(0.2, 0, 0.1))
    unnamed.force_n[7] = np.nan
    forces = assign_feet([unnamed], MOTION_TIME_S, feet((0.2, 0, 0.1), (0.2, 0, -0.1)))
    np.testing.assert_array_equal(np.argwhere(~forces.valid), [[7, 0], [7, 1]])
