"""Marker files and force plates: what is read is what was recorded, in OpenSim's axes and SI units."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lab_files import SAMPLES_PER_FRAME, LabPlate, step, write_c3d
from marked_body import markers_of

from gaitdynamics.errors import InputFileError, InvalidMotionError
from gaitdynamics.io.c3d import read_c3d, without_prefix
from gaitdynamics.io.file_kinds import FileKind, kind_of
from gaitdynamics.io.laboratory_axes import DIRECTIONS, Upward, find_upward
from gaitdynamics.io.markers import MarkerRecording, read_markers, walking_forward
from gaitdynamics.io.trc import format_trc
from gaitdynamics.types.markers import Markers
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

NUM_FRAMES = 120
MIDDLE_M = np.array([0.4, 0.0, 0.1])
TRC = (
    "PathFileType\t4\t(X/Y/Z)\twalk.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    "100\t100\t3\t2\tm\t100\t1\t3\n"
    "Frame#\tTime\tHEAD\t\t\tFOOT\t\t\n"
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
    "\n"
    "1\t0.00\t0.1\t1.7\t0.2\t0.1\t0.05\t0.2\n"
    "2\t0.01\t0.1\t1.7\t0.2\t\t\t\n"
    "3\t0.02\t0\t0\t0\t0.1\t0.05\t0.2\n"
)


@pytest.fixture(scope="module")
def markers(body: Skeleton, walk: Motion) -> Markers:
    part = slice(0, NUM_FRAMES)
    motion = replace(walk, time_s=walk.time_s[part], values=walk.values[part], observed=walk.observed[part])
    return markers_of(body, motion)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def plate_of(kind: int, **changes: object) -> LabPlate:
    num = NUM_FRAMES * SAMPLES_PER_FRAME
    return LabPlate(MIDDLE_M, step(num, middle_m=MIDDLE_M), kind, **changes)  # type: ignore[arg-type]


def assert_carries(recording: MarkerRecording, plate: LabPlate) -> None:
    (found,) = recording.plates
    load = plate.load
    is_loaded = load.force_n[:, 1] > 30.0
    np.testing.assert_allclose(found.force_n, load.force_n, atol=0.01)
    np.testing.assert_allclose(found.point_m[is_loaded], load.point_m[is_loaded], atol=1e-4)
    np.testing.assert_allclose(found.torque_nm[is_loaded, 1], load.moment_nm[is_loaded], atol=1e-3)
    np.testing.assert_array_equal(found.is_loaded, load.force_n[:, 1] > 20.0)


def test_reading_undoes_writing_of_a_trc(markers: Markers, tmp_path: Path) -> None:
    position_m = markers.position_m.copy()
    position_m[3:9, 2] = np.nan
    position_m[:4, -1] = np.nan
    gappy = replace(markers, position_m=position_m)
    found = read_markers(written(tmp_path / "walk.trc", format_trc(gappy, name="walk.trc"))).markers
    assert found.names == markers.names
    np.testing.assert_allclose(found.time_s, markers.time_s, atol=1e-9)
    np.testing.assert_allclose(found.position_m, position_m, atol=1e-7)


def test_empty_cells_and_places_at_the_origin_were_not_seen(tmp_path: Path) -> None:
    found = read_markers(written(tmp_path / "walk.trc", TRC)).markers
    np.testing.assert_array_equal(found.is_seen, [[True, True], [True, False], [False, True]])
    np.testing.assert_allclose(found.position_m[0], [[0.1, 1.7, 0.2], [0.1, 0.05, 0.2]])


def test_rounded_times_become_those_of_the_rate(tmp_path: Path) -> None:
    text = TRC.replace("100\t100", "120\t120").replace("\t0.01\t", "\t0.008\t").replace("\t0.02\t", "\t0.017\t")
    np.testing.assert_allclose(read_markers(written(tmp_path / "a.trc", text)).markers.time_s, np.arange(3) / 120)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HEAD\t\t\tFOOT", "HEAD\t\t\tHEAD", "line 4: more than one marker is called 'HEAD'"),
        ("0.2\t0.1\t0.05\t0.2\n2", "0.2\t0.1\t0.05\t0.2\t0.3\n2", "line 7: 9 values for 2 markers; expected 8"),
        ("1\t0.00\t0.1", "1\t0.00\t0,1", "line 7: '0,1' is not a number"),
        ("2\t0.01\t", "2\t-0.5\t", "line 8: time goes from 0 to -0.5 s"),
        ("2\t0.01\t", "2\t\t", "line 8: the frame has no time"),
        ("Frame#", "Bild#", "no line 'Frame#  Time"),
        ("HEAD\t\t\tFOOT", "\t\t\t", "line 4: names no markers"),
        ("2\t0.01\t0.1\t1.7\t0.2\t\t\t\n3\t0.02\t0\t0\t0\t0.1\t0.05\t0.2\n", "", "1 frames"),
        ("\tm\t", "\tmm\t", "were read as m"),
        ("\tm\t", "\tfurlongs\t", "were read as m"),
    ],
)
def test_a_faulty_trc_is_refused_or_its_unit_corrected(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in TRC
    path = written(tmp_path / "walk.trc", TRC.replace(old, new))
    if "read as" in message:
        recording = read_markers(path)
        assert message in " ".join(recording.warnings)
        assert recording.markers.position_m[0, 0, 1] == 1.7
    else:
        with pytest.raises(InputFileError, match=message.replace("(", r"\(")):
            read_markers(path)


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
def test_units_become_metres(unit: str, tmp_path: Path) -> None:
    factor = {"m": 1, "cm": 100, "mm": 1000}[unit]
    rows = [f"{k}\t{k / 100}\t{0.1 * factor}\t{1.7 * factor}\t0.2\t0.1\t0.05\t0.2" for k in range(3)]
    text = "\n".join([*TRC.replace("\tm\t", f"\t{unit}\t").split("\n")[:6], *rows])
    np.testing.assert_allclose(read_markers(written(tmp_path / "a.trc", text)).markers.position_m[0, 0, 1], 1.7)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_body_tells_which_way_is_up(direction: str, markers: Markers) -> None:
    rotation = Upward(direction, "").rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    in_laboratory = markers.position_m @ rotation  # the inverse of reading
    found = find_upward(in_laboratory, plate_corners_m=[], stated=None)
    assert (found.direction, found.is_certain) == (direction, True)


def test_plates_outweigh_markers_that_are_spread_sideways(markers: Markers) -> None:
    wide = markers.position_m * np.array([4.0, 1.0, 1.0])
    assert find_upward(wide, plate_corners_m=[], stated=None).direction == "x"
    corners = plate_of(2).corners_m
    assert find_upward(wide, plate_corners_m=[corners], stated=None).direction == "y"


def test_where_nothing_tells_the_file_is_believed_with_a_warning(tmp_path: Path) -> None:
    cube = np.array([[x, y, z] for x in (0.5, 1.5) for y in (0.5, 1.5) for z in (0.5, 1.5)])
    cloud = Markers(np.arange(5) / 100, tuple("ABCDEFGH"), np.tile(cube, (5, 1, 1)))
    found = find_upward(cloud.position_m, plate_corners_m=[], stated="-y")
    assert (found.direction, found.is_certain) == ("-y", False)
    recording = read_markers(written(tmp_path / "a.trc", format_trc(cloud, name="a")))
    assert recording.upward.direction == "y"
    assert "which direction is up is not clear" in " ".join(recording.warnings)
    assert read_markers(tmp_path / "a.trc", up="z").warnings == ()


@pytest.mark.parametrize("up", ["x", "y", "-y", "z"])
def test_a_c3d_of_any_laboratory_has_the_same_markers_and_forces(up: str, markers: Markers, tmp_path: Path) -> None:
    plate = plate_of(2)
    recording = read_markers(write_c3d(tmp_path / "walk.c3d", markers, plates=(plate,), up=up))
    assert recording.upward.direction == up
    assert recording.warnings == ()
    assert recording.markers.names == markers.names
    np.testing.assert_allclose(recording.markers.position_m, markers.position_m, atol=1e-6)
    np.testing.assert_allclose(recording.markers.time_s, markers.time_s - markers.time_s[0], atol=1e-9)
    assert_carries(recording, plate)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_plates_of_each_type_carry_what_was_put_on_them(
    kind: int, sign: float, markers: Markers, tmp_path: Path
) -> None:
    calibration = np.eye(6) + (0.1 * np.random.default_rng(1).normal(size=(6, 6)) if kind == 4 else 0.0)
    plate = plate_of(kind, sign=sign, calibration=calibration)
    recording = read_markers(write_c3d(tmp_path / "walk.c3d", markers, plates=(plate,)))
    assert recording.warnings == ()
    assert_carries(recording, plate)


def test_moments_in_newton_metres_are_read_as_such(markers: Markers, tmp_path: Path) -> None:
    plate = plate_of(2, moment_unit="Nm")
    assert_carries(read_markers(write_c3d(tmp_path / "walk.c3d", markers, plates=(plate,))), plate)


def test_a_unit_of_moments_that_puts_the_foot_beside_the_plate_is_not_believed(
    markers: Markers, tmp_path: Path
) -> None:
    plate = plate_of(2)
    path = write_c3d(tmp_path / "walk.c3d", markers, plates=(plate,))
    path.write_bytes(path.read_bytes().replace(b"Nmm", b"Nm "))
    recording = read_markers(path)
    assert "read in the unit in which it lies on it" in " ".join(recording.warnings)
    assert_carries(recording, plate)


def test_what_an_empty_plate_shows_is_taken_off(markers: Markers, tmp_path: Path) -> None:
    plate = plate_of(2, offset_n=25.0)
    recording = read_markers(write_c3d(tmp_path / "walk.c3d", markers, plates=(plate,)))
    assert "plate 1 shows 25 N with nobody on it" in " ".join(recording.warnings)
    assert_carries(recording, plate)


def test_a_plate_of_an_unknown_type_is_left_out_and_said_to_be(markers: Markers, tmp_path: Path) -> None:
    plates = (plate_of(2), plate_of(2))
    path = write_c3d(tmp_path / "walk.c3d", markers, plates=(plates[0], replace(plates[1], kind=7)))
    recording = read_markers(path)
    assert [plate.name for plate in recording.plates] == ["plate 1"]
    assert "plate 2 is of type 7" in " ".join(recording.warnings)


def test_a_person_who_walks_anywhere_walks_forward_if_asked(markers: Markers, tmp_path: Path) -> None:
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned = replace(markers, position_m=markers.position_m @ turn.T)
    plate = plate_of(2)
    recording = read_markers(write_c3d(tmp_path / "walk.c3d", turned, plates=(plate,)))
    ahead = walking_forward(recording, source="walk.c3d")
    way = np.median(ahead.markers.position_m[-1] - ahead.markers.position_m[0], axis=0)
    assert way[0] > 1.0
    assert abs(way[2]) < 0.01
    # Forces turn with the markers: the way from one to the other stays as long, and so does each force.
    for before, after in ((recording, ahead), (ahead, recording)):
        arms = [each.plates[0].point_m[500] - each.markers.position_m[50, 0] for each in (before, after)]
        assert np.linalg.norm(arms[0]) == pytest.approx(np.linalg.norm(arms[1]))
    force = ahead.plates[0].force_n
    np.testing.assert_allclose(np.linalg.norm(force, axis=1), np.linalg.norm(plate.load.force_n, axis=1), atol=0.01)
    still = replace(recording, markers=replace(turned, position_m=np.tile(turned.position_m[:1], (NUM_FRAMES, 1, 1))))
    with pytest.raises(InvalidMotionError, match="no direction of walking"):
        walking_forward(still, source="walk.c3d")


def test_computed_angles_and_nameless_points_are_no_markers(markers: Markers, tmp_path: Path) -> None:
    path = write_c3d(
        tmp_path / "walk.c3d", markers, extra_labels=("LKneeAngles", "*12"), computed=("LKneeAngles",), prefix="Anna:"
    )
    assert read_markers(path).markers.names == markers.names
    assert without_prefix(["A:HEAD", "B:HEAD"]) == ("A:HEAD", "B:HEAD")


def test_a_c3d_without_markers_is_refused_with_or_without_plates(tmp_path: Path) -> None:
    path = write_c3d(tmp_path / "angles.c3d", None, extra_labels=("LKneeAngles",), computed=("LKneeAngles",))
    with pytest.raises(InputFileError, match=r"holds no markers.*no force plates either"):
        read_markers(path)
    plates = (LabPlate(MIDDLE_M, step(100 * SAMPLES_PER_FRAME, middle_m=MIDDLE_M)),)
    path = write_c3d(
        tmp_path / "forces.c3d", None, plates=plates, extra_labels=("LKneeAngles",), computed=("LKneeAngles",)
    )
    with pytest.raises(InputFileError, match=r"holds no markers.*It has 1 force plates"):
        read_markers(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_c3d_that_is_cut_off_is_refused(share: float, markers: Markers, tmp_path: Path) -> None:
    content = write_c3d(tmp_path / "walk.c3d", markers, plates=(plate_of(2),)).read_bytes()
    path = tmp_path / "cut.c3d"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputFileError, match=r"cut\.c3d: "):
        read_markers(path)


def test_damaged_c3d_files_end_in_an_error_or_a_recording_and_never_in_a_crash(
    markers: Markers, tmp_path: Path
) -> None:
    content = write_c3d(tmp_path / "walk.c3d", markers, plates=(plate_of(2),)).read_bytes()
    path, rng = tmp_path / "damaged.c3d", np.random.default_rng(3)
    num_refused = 0
    for _ in range(12):
        damaged = np.frombuffer(content, dtype=np.uint8).copy()
        damaged[rng.integers(2, 4096, 40)] = rng.integers(0, 256, 40)
        path.write_bytes(damaged.tobytes())
        try:
            read_c3d(path)
        except InputFileError as error:
            num_refused += "damaged.c3d" in str(error)
    assert num_refused > 5


def test_reading_keeps_the_reader_out_of_the_users_interpreter(markers: Markers, tmp_path: Path) -> None:
    read_markers(write_c3d(tmp_path / "walk.c3d", markers, plates=(plate_of(2),)))
    assert "ezc3d" not in sys.modules  # it and opensim spoil each other


def test_a_file_in_the_wrong_place_is_told_where_it_fits(tmp_path: Path, markers: Markers) -> None:
    contents = {
        "model.osim": ("<?xml version='1.0'?><OpenSimDocument><Model name='a'/></OpenSimDocument>", FileKind.MODEL),
        "walk.mot": ("walk\nendheader\ntime\tpelvis_tx\n0\t1\n", FileKind.MOTION),
        "forces.mot": ("f\nendheader\ntime\tground_force_vx\tground_force_vy\n0\t1\t2\n", FileKind.FORCES),
        "loads.xml": ("<OpenSimDocument><ExternalLoads/></OpenSimDocument>", FileKind.EXTERNAL_LOADS),
        "walk.c3d": ("walk\nendheader\ntime\tpelvis_tx\n0\t1\n", FileKind.MOTION),
    }
    for name, (content, kind) in contents.items():
        path = written(tmp_path / name, content)
        assert kind_of(path) is kind
        with pytest.raises(InputFileError, match="Expected") as told:
            read_markers(path)
        assert kind.value in str(told.value)
    c3d = write_c3d(tmp_path / "recording.c3d", markers).rename(tmp_path / "recording.trc")
    assert kind_of(c3d) is FileKind.C3D
    assert read_markers(c3d).markers.names == markers.names  # the content counts, not the name
    for path, told_of in ((tmp_path / "no.trc", "there is no such file"), (tmp_path / "no.c3d", "no such file")):
        with pytest.raises(InputFileError, match=told_of):
            read_markers(path)
    with pytest.raises(InputFileError, match="this is a folder"):
        read_markers(tmp_path)
    with pytest.raises(InputFileError, match="no marker file"):
        read_markers(written(tmp_path / "text.trc", "Dear diary,\n"))


def test_a_laboratorys_own_recording_stands_on_its_plates(shared: Path) -> None:
    recording = read_markers(shared / "samples" / "c3d" / "walking2.c3d")
    assert recording.upward.direction == "z"
    assert len(recording.markers.names) == 44
    total_n = np.sum([plate.force_n[:, 1] for plate in recording.plates], axis=0)
    both = [plate.time_s[np.flatnonzero(plate.is_loaded)[[0, -1]]] for plate in recording.plates]
    (plate_1, plate_2), markers = recording.plates, recording.markers
    # From the first plate to the second one foot or the other stands all the time: a body weight in the mean.
    time_s = plate_1.time_s
    middle = (time_s > np.mean(both[1])) & (time_s < np.mean(both[0]))
    assert 550 < total_n[middle].mean() < 800
    for plate, heel, toe, contact_s in ((plate_1, "RCAL", "RMT1", both[0]), (plate_2, "LCAL", "LMT1", both[1])):
        at_s = contact_s[0] + 0.5 * (contact_s[1] - contact_s[0])
        frame, sample = np.searchsorted(markers.time_s, at_s), np.searchsorted(time_s, at_s)
        foot = [markers.position_m[frame, markers.names.index(name)] for name in (heel, toe)]
        assert foot[0][0] - 0.03 < plate.point_m[sample, 0] < foot[1][0] + 0.08
        assert abs(plate.point_m[sample, 2] - np.mean(foot, axis=0)[2]) < 0.06
        inside = np.flatnonzero(plate.is_loaded)
        assert plate.point_m[inside[-20], 0] - plate.point_m[inside[20], 0] > 0.1  # from heel to toe
        assert (
            plate.force_n[inside[: len(inside) // 3], 0].mean()
            < 0
            < plate.force_n[inside[-len(inside) // 3 :], 0].mean()
        )


PLATFORMS_OF_EZC3D = """
import sys, ezc3d, numpy
platforms = ezc3d.c3d(sys.argv[1], extract_forceplat_data=True)["data"]["platform"]
numpy.savez(sys.argv[2], force=[p["force"] for p in platforms], cop=[p["center_of_pressure"] for p in platforms])
"""


def test_forces_agree_with_the_readers_own(shared: Path, tmp_path: Path) -> None:
    path, result = shared / "samples" / "c3d" / "walking2.c3d", tmp_path / "platforms.npz"
    subprocess.run([sys.executable, "-c", PLATFORMS_OF_EZC3D, str(path), str(result)], check=True)
    others = np.load(result)
    for k, plate in enumerate(read_markers(path).plates):
        x, y, z = others["force"][k].reshape(3, -1, 2).mean(axis=2)  # 2000 Hz are averaged to 1000
        offset = np.median(np.stack([x, z, -y], axis=1)[~plate.is_loaded], axis=0)
        np.testing.assert_allclose(plate.force_n, np.stack([x, z, -y], axis=1) - offset, atol=1.0)
        px, py, _ = others["cop"][k].reshape(3, -1, 2).mean(axis=2) / 1000
        is_firm = plate.force_n[:, 1] > 400
        np.testing.assert_allclose(plate.point_m[is_firm][:, [0, 2]], np.stack([px, -py], axis=1)[is_firm], atol=0.02)
