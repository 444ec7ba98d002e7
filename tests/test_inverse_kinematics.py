"""Inverse kinematics: a motion comes out as it was put on markers, and as OpenSim's own tool has it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import ASSETS
from marked_body import PLACES, markers_of, write_marked_body

from gaitdynamics.errors import InputFileError, InvalidModelError, InvalidMotionError
from gaitdynamics.io.inverse_kinematics import InverseKinematics, inverse_kinematics, marker_errors_mm, matching
from gaitdynamics.io.markers import read_markers
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.scaled_to_static import read_marker_places
from gaitdynamics.io.table import read_table
from gaitdynamics.types.markers import Markers
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

NUM_FRAMES = 30
SOLVER_DEG = 1.0  # how near a posture without any error of markers is found, at OpenSim's own accuracy
PELVIS_PLACE = ("pelvis_tx", "pelvis_ty", "pelvis_tz")


@pytest.fixture(scope="module")
def model_path(opensim: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marked_body(opensim, tmp_path_factory.mktemp("model") / "subject.osim")


@pytest.fixture(scope="module")
def motion(walk: Motion) -> Motion:
    part = slice(0, NUM_FRAMES)
    return replace(walk, time_s=walk.time_s[part], values=walk.values[part], observed=walk.observed[part])


@pytest.fixture(scope="module")
def markers(body: Skeleton, motion: Motion) -> Markers:
    return markers_of(body, motion)


def with_gaps(markers: Markers, gap: Callable[[np.ndarray], None]) -> Markers:
    position_m = markers.position_m.copy()
    gap(position_m)
    return replace(markers, position_m=position_m)


def worst_deg(found: Motion, expected: Motion, *, except_for: tuple[str, ...] = ()) -> float:
    """Of all angles, the root mean square over time."""
    difference = np.degrees(found.values - expected.values)
    chosen = [k for k, name in enumerate(found.coordinates) if name not in (*PELVIS_PLACE, *except_for)]
    return float(np.sqrt((difference[:, chosen] ** 2).mean(axis=0)).max())


def test_a_motion_comes_back_from_its_markers(model_path: Path, markers: Markers, motion: Motion) -> None:
    found = inverse_kinematics(model_path, markers, source="walk.trc")
    assert found.motion.coordinates == motion.coordinates
    np.testing.assert_array_equal(found.motion.time_s, motion.time_s)
    assert worst_deg(found.motion, motion) < SOLVER_DEG
    place = [motion.coordinates.index(name) for name in PELVIS_PLACE]
    np.testing.assert_allclose(found.motion.values[:, place], motion.values[:, place], atol=2e-3)
    assert found.error_m.shape == (NUM_FRAMES, len(PLACES))
    assert found.error_m.max() < 1e-3
    assert found.undetermined == ()
    assert found.motion.observed.all()


@pytest.mark.parametrize("turn_deg", [90.0, 180.0, -110.0])
def test_a_person_may_walk_in_any_direction(
    turn_deg: float, model_path: Path, markers: Markers, motion: Motion
) -> None:
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = replace(markers, position_m=markers.position_m @ turn.T + np.array([4.0, 0.0, -7.0]))
    found = inverse_kinematics(model_path, turned, source="walk.trc")
    # Tilt and list are angles about the ground's axes, which a turned person leans about otherwise.
    assert worst_deg(found.motion, motion, except_for=("pelvis_tilt", "pelvis_list", "pelvis_rotation")) < SOLVER_DEG
    assert found.error_m.max() < 1e-3


def test_markers_that_are_not_seen_for_a_while_do_no_harm(model_path: Path, markers: Markers, motion: Motion) -> None:
    def gap(position_m: np.ndarray) -> None:
        position_m[4:9, 0] = np.nan
        position_m[:3, 1] = np.nan
        position_m[12, 8:14] = np.nan

    found = inverse_kinematics(model_path, with_gaps(markers, gap), source="walk.trc")
    assert worst_deg(found.motion, motion) < SOLVER_DEG
    assert np.isnan(found.error_m).sum() == 5 + 3 + 6
    assert marker_errors_mm(found)["RASI"]["seen_share"] == pytest.approx(25 / 30, abs=1e-3)


def test_only_the_longest_part_in_view_is_solved(model_path: Path, markers: Markers) -> None:
    def gap(position_m: np.ndarray) -> None:
        position_m[:5, 3:] = np.nan
        position_m[20, 3:] = np.nan

    found = inverse_kinematics(model_path, with_gaps(markers, gap), source="walk.trc")
    np.testing.assert_array_equal(found.motion.time_s, markers.time_s[5:20])

    def nothing(position_m: np.ndarray) -> None:
        position_m[::2] = np.nan

    with pytest.raises(InvalidMotionError, match="in no two frames in a row"):
        inverse_kinematics(model_path, with_gaps(markers, nothing), source="walk.trc")


def test_coordinates_that_no_marker_tells_of_are_not_observed(
    opensim: ModuleType, markers: Markers, motion: Motion, tmp_path: Path
) -> None:
    hidden = ("C7", "RSHO", "LSHO", "CLAV", "LTOE")
    path = write_marked_body(opensim, tmp_path / "legs.osim", leave_out=hidden)
    found = inverse_kinematics(path, markers, source="walk.trc")
    expected = {"lumbar_extension", "lumbar_bending", "lumbar_rotation", "mtp_angle_l"}
    assert set(found.undetermined) == expected
    observed = dict(zip(motion.coordinates, found.motion.observed.all(axis=0), strict=True))
    assert {name for name, is_observed in observed.items() if not is_observed} == expected
    assert worst_deg(found.motion, motion, except_for=tuple(expected)) < SOLVER_DEG
    assert set(found.match.only_in_file) == set(hidden)


def test_names_may_differ_in_case_and_punctuation() -> None:
    in_model = ("R.ASIS", "L.ASIS", "r_knee", "R.Knee", *(f"M{k}" for k in range(9)))
    in_file = ("RASIS", "L_asis", "R_KNEE", *(f"m{k}" for k in range(9)), "EXTRA")
    match = matching(in_model, in_file, model_path=Path("a.osim"), source="a.trc")
    assert match.model_names["RASIS"] == "R.ASIS"
    assert match.model_names["L_asis"] == "L.ASIS"
    assert match.only_in_file == ("R_KNEE", "EXTRA")  # which of two it is can't be told
    assert match.only_in_model == ("r_knee", "R.Knee")


def test_too_few_common_markers_are_listed(model_path: Path, markers: Markers) -> None:
    names = (*markers.names[:4], *(f"other{k}" for k in range(len(markers.names) - 4)))
    with pytest.raises(InvalidModelError) as told:
        inverse_kinematics(model_path, replace(markers, names=names), source="walk.trc")
    message = str(told.value)
    for part in ("4 of at least 9", "'RASI', 'LASI', 'RPSI', 'LPSI'", "'other0'", "'RKNE'", "Rename the markers"):
        assert part in message


def test_markers_that_are_no_person_of_that_model_are_refused(model_path: Path, markers: Markers) -> None:
    lying = replace(markers, position_m=markers.position_m[..., [1, 0, 2]] * np.array([3.0, 1.0, 1.0]))
    with pytest.raises(InvalidMotionError, match=r"markers are .* m from where the model can bring its own"):
        inverse_kinematics(model_path, lying, source="walk.trc")


def test_a_model_that_is_none_is_told_from_one(tmp_path: Path, markers: Markers) -> None:
    path = tmp_path / "subject.osim"
    path.write_text("walk\nendheader\ntime\tpelvis_tx\n0\t1\n")
    with pytest.raises(InputFileError, match=r"a motion with joint coordinates.*Expected a model"):
        inverse_kinematics(path, markers, source="walk.trc")
    path.write_text("<?xml version='1.0'?><OpenSimDocument Version='40000'><Model name='a'><oops></OpenSimDocument>")
    with pytest.raises(InputFileError, match="OpenSim can't work with this model"):
        inverse_kinematics(path, markers, source="walk.trc")
    with pytest.raises(InvalidModelError, match="none is in common"):
        inverse_kinematics(ASSETS / "generic_body.osim", markers, source="walk.trc")


def test_it_is_quiet_and_can_be_stopped(
    model_path: Path,
    markers: Markers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[tuple[int, int]] = []

    class StoppedError(RuntimeError):
        pass

    def report(done: int, total: int) -> None:
        told.append((done, total))
        if done == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        inverse_kinematics(model_path, markers, source="walk.trc", report=report)
    assert told == [(k, NUM_FRAMES) for k in (1, 2, 3, 4)]
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sample", ["camargo", "gait2354", "hamner", "opencap"])
def test_models_of_each_family_find_their_own_motion_again(sample: str, shared: Path) -> None:
    folder = shared / "samples" / sample
    skeleton = read_model(folder / "model.osim")
    whole, _ = read_motion(folder / "ik.mot", skeleton.coordinates)
    part = slice(0, 400, 40)
    values = skeleton.with_coupled_values(whole.values[part])
    locked = [k for k, c in enumerate(skeleton.coordinates) if c.is_locked]
    values[:, locked] = [skeleton.coordinates[k].default_value for k in locked]
    for k, coordinate in enumerate(skeleton.coordinates):
        if coordinate.range is not None and not coordinate.is_coupled:
            values[:, k] = np.clip(values[:, k], *coordinate.range)  # which OpenSim's solver keeps to
    values = skeleton.with_coupled_values(values)
    places = read_marker_places(folder / "model.osim")
    pose = skeleton.pose(torch.as_tensor(values))
    index = [skeleton.body_index[name] for name in places.bodies]
    position_m = np.einsum("tmij,mj->tmi", pose.rotation[:, index].numpy(), places.place_in_body_m)
    markers = Markers(whole.time_s[part], places.names, position_m + pose.origin_m[:, index].numpy())
    found = inverse_kinematics(folder / "model.osim", markers, source="ik.mot")
    assert np.nanmax(found.error_m) < 0.01  # forearms at the end of their range
    assert np.nanmedian(found.error_m) < 0.001
    for k, coordinate in enumerate(skeleton.coordinates):
        if coordinate.name.startswith(("pelvis_t", "hip", "knee_angle", "ankle")) and not coordinate.is_coupled:
            column = found.motion.coordinates.index(coordinate.name)
            off = found.motion.values[:, column] - values[:, k]
            assert np.abs(off).max() < (np.radians(2.0) if coordinate.is_rotational else 0.005), coordinate.name


def by_opensims_tool(opensim: ModuleType, model_path: Path, trc: Path, folder: Path, *, end_s: float) -> Path:
    """As somebody would do it by hand, with equal weights."""
    tool = opensim.InverseKinematicsTool()
    model = opensim.Model(str(model_path))
    tool.setModel(model)
    tool.setMarkerDataFileName(str(trc))
    tasks = tool.getIKTaskSet()
    for name in read_markers(trc).markers.names:
        task = opensim.IKMarkerTask()
        task.setName(name)
        task.setApply(True)
        task.setWeight(1.0)
        tasks.cloneAndAppend(task)
    tool.setStartTime(0.0)
    tool.setEndTime(end_s)
    tool.set_report_errors(False)
    tool.setOutputMotionFileName(str(folder / "tool.mot"))
    assert tool.run()
    return folder / "tool.mot"


def test_opensims_own_tool_has_the_same_angles(
    shared: Path, opensim: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = shared / "samples" / "moco_walk"
    model_path, trc = sample / "subject_walk_scaled.osim", sample / "markers_walk.trc"
    recording = read_markers(trc)
    num = 50
    first = replace(
        recording.markers,
        time_s=recording.markers.time_s[:num],
        position_m=recording.markers.position_m[:num],
    )
    found = inverse_kinematics(model_path, first, source=trc.name)
    table = read_table(by_opensims_tool(opensim, model_path, trc, tmp_path, end_s=float(first.time_s[-1])))
    assert found.match.only_in_file == ()
    assert len(found.match.model_names) == 41
    rms = differences(found, table.column, read_model(model_path))
    assert max(rms["angle"].values()) < 1.0, rms["angle"]
    assert max(rms["place"].values()) < 0.002
    assert np.sqrt((found.error_m**2).mean()) < 0.02


def differences(
    found: InverseKinematics, column: Callable[[str], np.ndarray], skeleton: Skeleton
) -> dict[str, dict[str, float]]:
    """Root mean square of each free coordinate: degrees, and metres."""
    rms: dict[str, dict[str, float]] = {"angle": {}, "place": {}}
    for coordinate in skeleton.coordinates:
        if coordinate.is_coupled:
            continue
        values = found.motion.values[:, found.motion.coordinates.index(coordinate.name)]
        own = np.degrees(values) if coordinate.is_rotational else values
        kind = "angle" if coordinate.is_rotational else "place"
        rms[kind][coordinate.name] = float(np.sqrt(((own - column(coordinate.name)) ** 2).mean()))
    return rms
