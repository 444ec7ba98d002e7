"""Reading and writing motions."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gaitdynamics.errors import (
    InputFileError,
    InvalidMotionError,
    NonFiniteValueError,
    UnknownCoordinateError,
)
from gaitdynamics.io.motion import (
    format_completed,
    format_motion,
    format_motion_interval,
    read_motion,
    read_recording,
)
from gaitdynamics.io.table import format_table, read_table
from gaitdynamics.types.motion import Motion

NUM_FRAMES = 50
TIME_S = 2.0 + np.arange(NUM_FRAMES) / 100


@dataclass(frozen=True)
class Coordinate:
    name: str
    is_rotational: bool = True
    default_value: float = 0.0
    is_locked: bool = False
    is_coupled: bool = False
    is_essential: bool = True


MODEL = (
    Coordinate("pelvis_rotation"),
    Coordinate("pelvis_tx", is_rotational=False),
    Coordinate("pelvis_ty", is_rotational=False, default_value=0.94),
    Coordinate("hip_flexion_r"),
    Coordinate("hip_flexion_l"),
    Coordinate("knee_angle_r"),
    Coordinate("knee_angle_r_beta", is_coupled=True),
    Coordinate("mtp_angle_r", is_locked=True, default_value=0.1),
    Coordinate("arm_flex_r", is_essential=False, default_value=0.2),
)
NAMES = [coordinate.name for coordinate in MODEL]


def walk() -> dict[str, np.ndarray]:
    """Coordinates of a walk, SI."""
    phase = 2 * np.pi * TIME_S
    return {
        "pelvis_rotation": 0.1 * np.sin(phase),
        "pelvis_tx": 1.2 * TIME_S,
        "pelvis_ty": 0.95 + 0.02 * np.sin(2 * phase),
        "hip_flexion_r": 0.5 * np.sin(phase),
        "hip_flexion_l": -0.5 * np.sin(phase),
        "knee_angle_r": 0.6 + 0.5 * np.sin(phase),
        "knee_angle_r_beta": 0.6 + 0.5 * np.sin(phase),
        "mtp_angle_r": np.full(NUM_FRAMES, 0.05),
        "arm_flex_r": 0.3 * np.sin(phase),
    }


def in_degrees(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values if name.startswith("pelvis_t") else np.rad2deg(values) for name, values in columns.items()}


def write(tmp_path: Path, columns: dict[str, np.ndarray], *, degrees: bool | None = False) -> Path:
    values = np.stack(list(columns.values()), axis=1)
    path = tmp_path / "walk.mot"
    time_s = TIME_S[: len(values)]
    path.write_text(
        format_table("x", list(columns), values, time_s=time_s, in_degrees=degrees, decimals=12),
        encoding="utf-8",
    )
    return path


def expected() -> np.ndarray:
    return np.stack([walk()[name] for name in NAMES], axis=1)


def without(*names: str) -> dict[str, np.ndarray]:
    return {name: values for name, values in walk().items() if name not in names}


def renamed(old: str, new: str) -> dict[str, np.ndarray]:
    return {new if name == old else name: values for name, values in walk().items()}


@pytest.mark.parametrize("degrees", [True, False])
def test_a_motion_is_read_in_radians_and_in_the_models_order(tmp_path: Path, degrees: bool) -> None:
    columns = in_degrees(walk()) if degrees else walk()
    backwards = dict(reversed(columns.items()))
    motion, warnings = read_motion(write(tmp_path, backwards, degrees=degrees), MODEL)
    assert motion.coordinates == tuple(NAMES)
    assert motion.observed.all()
    assert warnings == ()
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)
    np.testing.assert_allclose(motion.time_s, TIME_S, atol=1e-8)


@pytest.mark.parametrize("degrees", [True, False])
def test_reading_undoes_formatting(tmp_path: Path, degrees: bool) -> None:
    observed = np.ones(expected().shape, dtype=bool)
    motion = Motion(TIME_S, expected(), tuple(NAMES), observed)
    path = tmp_path / "walk.mot"
    path.write_text(format_motion(motion, MODEL, name="walk", in_degrees=degrees), encoding="utf-8")
    again, warnings = read_motion(path, MODEL)
    assert warnings == ()
    np.testing.assert_allclose(again.values, motion.values, atol=1e-8)
    np.testing.assert_allclose(again.time_s, motion.time_s, atol=1e-8)


@pytest.mark.parametrize("pattern", ["/jointset/a_joint/{}/value", "a_joint/{}/value", "/jointset/j/{}|value"])
def test_state_paths_name_coordinates_too(tmp_path: Path, pattern: str) -> None:
    columns = {pattern.format(name): values for name, values in walk().items()}
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)
    assert warnings == ()


def test_speeds_and_muscle_states_are_ignored_in_silence(tmp_path: Path) -> None:
    states = (
        "/jointset/hip_r/hip_flexion_r/speed",
        "hip_flexion_r_u",
        "/forceset/soleus_r/activation",
        "soleus_r.fiber_length",
        "soleus_r/fiber_length",
    )
    columns = walk() | {name: np.full(NUM_FRAMES, 9e9) for name in states}
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)
    assert warnings == ()


def test_other_models_coordinates_are_ignored_with_one_warning(tmp_path: Path) -> None:
    extras = {f"/jointset/neck/neck_{index}/value": np.zeros(NUM_FRAMES) for index in range(5)}
    extras |= {f"thumb{index}": np.zeros(NUM_FRAMES) for index in range(4)}
    _, warnings = read_motion(write(tmp_path, walk() | extras), MODEL)
    (warning,) = warnings
    assert "ignored 'neck_0', 'neck_1'" in warning
    assert "and 3 more" in warning


@pytest.mark.parametrize(
    ("name", "misspelt"),
    [
        ("knee_angle_r", "knee_angl_r"),
        ("knee_angle_r", "Knee_Angle_R"),
        ("hip_flexion_l", "/jointset/hip_l/hip_flextion_l/value"),
        ("arm_flex_r", "arm_flexion_r"),
    ],
)
def test_a_misspelt_coordinate_is_answered_with_the_right_one(tmp_path: Path, name: str, misspelt: str) -> None:
    plain = misspelt.split("/")[3] if "/" in misspelt else misspelt
    message = f"walk.mot: the model has no coordinate '{plain}'. Did you mean '{name}'?"
    with pytest.raises(UnknownCoordinateError, match=re.escape(message)):
        read_motion(write(tmp_path, renamed(name, misspelt)), MODEL)


def test_the_other_side_is_no_misspelling(tmp_path: Path) -> None:
    columns = without("arm_flex_r") | {"arm_flex_l": np.zeros(NUM_FRAMES)}
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    np.testing.assert_array_equal(motion.values[:, NAMES.index("arm_flex_r")], 0.2)
    assert len(warnings) == 2


def test_an_absent_essential_coordinate_is_named_with_the_nearest_columns(tmp_path: Path) -> None:
    columns = without("knee_angle_r") | {"kneeflex": np.zeros(NUM_FRAMES)}
    with pytest.raises(UnknownCoordinateError, match=r"no column for 'knee_angle_r'.*nearest.*'kneeflex'"):
        read_motion(write(tmp_path, columns), MODEL)


def test_an_absent_inessential_coordinate_takes_its_default(tmp_path: Path) -> None:
    motion, warnings = read_motion(write(tmp_path, without("arm_flex_r")), MODEL)
    column = NAMES.index("arm_flex_r")
    np.testing.assert_array_equal(motion.values[:, column], 0.2)
    assert not motion.observed[:, column].any()
    assert motion.observed.sum() == NUM_FRAMES * (len(MODEL) - 1)
    (warning,) = warnings
    assert "no column for 'arm_flex_r'" in warning


def test_absent_locked_and_coupled_coordinates_are_no_news(tmp_path: Path) -> None:
    motion, warnings = read_motion(write(tmp_path, without("knee_angle_r_beta", "mtp_angle_r")), MODEL)
    assert warnings == ()
    np.testing.assert_array_equal(motion.values[:, NAMES.index("mtp_angle_r")], 0.1)
    assert not motion.observed[:, NAMES.index("mtp_angle_r")].any()


def test_a_file_of_something_else_says_what_it_has(tmp_path: Path) -> None:
    columns = {"ground_force_r_vx": np.zeros(NUM_FRAMES), "ground_force_r_vy": np.zeros(NUM_FRAMES)}
    with pytest.raises(UnknownCoordinateError, match=r"none of its 2 columns.*'ground_force_r_vx'"):
        read_motion(write(tmp_path, columns), MODEL)


def test_a_coordinate_that_comes_twice_is_refused(tmp_path: Path) -> None:
    columns = walk() | {"/jointset/hip_r/hip_flexion_r/value": np.zeros(NUM_FRAMES)}
    with pytest.raises(InputFileError, match="are both the coordinate 'hip_flexion_r'"):
        read_motion(write(tmp_path, columns), MODEL)


def with_value(name: str, frames: slice, value: float) -> dict[str, np.ndarray]:
    columns = walk()
    columns[name] = columns[name].copy()
    columns[name][frames] = value
    return columns


def test_a_gap_in_an_essential_coordinate_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, with_value("knee_angle_r", slice(10, 15), np.nan))
    with pytest.raises(NonFiniteValueError, match=r"'knee_angle_r' is nan at 2.1 s \(5 of 50 .* at 2.14 s\)"):
        read_motion(path, MODEL)


@pytest.mark.parametrize("name", ["knee_angle_r", "arm_flex_r"])
def test_an_infinite_number_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NonFiniteValueError, match=f"'{name}' is -inf at 2.03 s"):
        read_motion(write(tmp_path, with_value(name, slice(3, 4), -np.inf)), MODEL)


def test_a_gap_in_an_inessential_coordinate_is_interpolated(tmp_path: Path) -> None:
    columns = with_value("arm_flex_r", slice(10, 15), np.nan)
    columns["arm_flex_r"][:2] = np.nan
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    column = NAMES.index("arm_flex_r")
    arm = motion.values[:, column]
    np.testing.assert_array_equal(np.flatnonzero(~motion.observed[:, column]), [0, 1, 10, 11, 12, 13, 14])
    np.testing.assert_allclose(arm[:2], arm[2])
    np.testing.assert_allclose(np.diff(arm[9:16]), (arm[15] - arm[9]) / 6)
    (warning,) = warnings
    assert "arm_flex_r (7 of 50 frames)" in warning


def test_an_inessential_coordinate_without_any_number_takes_its_default(tmp_path: Path) -> None:
    motion, warnings = read_motion(write(tmp_path, with_value("arm_flex_r", slice(None), np.nan)), MODEL)
    column = NAMES.index("arm_flex_r")
    np.testing.assert_array_equal(motion.values[:, column], 0.2)
    assert not motion.observed[:, column].any()
    assert "50 of 50" in warnings[0]


@pytest.mark.parametrize("degrees", [True, False])
def test_without_a_header_line_the_numbers_decide(tmp_path: Path, degrees: bool) -> None:
    columns = in_degrees(walk()) if degrees else walk()
    motion, warnings = read_motion(write(tmp_path, columns, degrees=None), MODEL)
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)
    (warning,) = warnings
    assert f"read as {'degrees' if degrees else 'radians'}" in warning


@pytest.mark.parametrize("degrees", [True, False])
def test_a_header_that_plainly_lies_is_not_believed(tmp_path: Path, degrees: bool) -> None:
    columns = in_degrees(walk()) if degrees else walk()
    motion, warnings = read_motion(write(tmp_path, columns, degrees=not degrees), MODEL)
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)
    (warning,) = warnings
    assert f"'inDegrees={'yes' if degrees else 'no'}'" in warning


def test_a_person_who_turns_many_times_is_in_radians_still(tmp_path: Path) -> None:
    columns = walk() | {"pelvis_rotation": np.linspace(0, 20, NUM_FRAMES)}
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    assert warnings == ()
    assert motion.values[-1, 0] == pytest.approx(20)


def test_a_coupled_coordinate_in_another_unit_changes_nothing(tmp_path: Path) -> None:
    columns = walk() | {"knee_angle_r_beta": np.full(NUM_FRAMES, 56.0)}
    motion, warnings = read_motion(write(tmp_path, columns), MODEL)
    assert warnings == ()
    assert motion.values[0, NAMES.index("knee_angle_r")] == pytest.approx(walk()["knee_angle_r"][0])


@pytest.mark.parametrize("word", ["YES", "Yes ", "true"])
def test_the_header_says_degrees_in_any_case(tmp_path: Path, word: str) -> None:
    path = write(tmp_path, in_degrees(walk()), degrees=True)
    path.write_text(path.read_text().replace("inDegrees=yes", f"INDEGREES = {word}"))
    motion, warnings = read_motion(path, MODEL)
    assert warnings == ()
    np.testing.assert_allclose(motion.values, expected(), atol=1e-9)


def test_millimetres_are_refused(tmp_path: Path) -> None:
    columns = walk() | {"pelvis_ty": walk()["pelvis_ty"] * 1000}
    with pytest.raises(InvalidMotionError, match=r"'pelvis_ty' is 9.* looks like millimetres"):
        read_motion(write(tmp_path, columns), MODEL)


def test_who_walks_far_is_not_taken_for_millimetres(tmp_path: Path) -> None:
    columns = walk()
    far = columns | {"pelvis_tx": np.linspace(0.0, 300.0, len(columns["pelvis_tx"]))}
    motion, _ = read_motion(write(tmp_path, far), MODEL)
    assert motion.values[-1, motion.coordinates.index("pelvis_tx")] == pytest.approx(300.0)


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_pose_is_no_motion(tmp_path: Path, num_frames: int) -> None:
    columns = {name: values[:num_frames] for name, values in walk().items()}
    with pytest.raises(InvalidMotionError, match=rf"walk.mot: {num_frames} frame.* at least 4"):
        read_motion(write(tmp_path, columns), MODEL)


def test_an_empty_motion_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.mot"
    path.write_text("x\ninDegrees=no\nendheader\ntime\t" + "\t".join(NAMES) + "\n")
    with pytest.raises(InputFileError, match="no rows"):
        read_motion(path, MODEL)


def test_the_given_coordinates_may_have_no_rotation_at_all(tmp_path: Path) -> None:
    translations = [coordinate for coordinate in MODEL if not coordinate.is_rotational]
    motion, warnings = read_motion(write(tmp_path, walk()), translations)
    np.testing.assert_allclose(motion.values[:, 0], walk()["pelvis_tx"])
    assert "ignored" in warnings[0]


COMPLETED = ("pelvis_rotation", "pelvis_tx", "pelvis_ty", "hip_flexion_r", "hip_flexion_l", "knee_angle_r")


def test_what_will_be_completed_may_be_absent(tmp_path: Path) -> None:
    path = write(tmp_path, without("knee_angle_r", "pelvis_ty", "arm_flex_r"))
    recording = read_recording(path, MODEL, completed=COMPLETED)
    motion = recording.motion
    for name, default in (("knee_angle_r", 0.0), ("pelvis_ty", 0.94), ("arm_flex_r", 0.2)):
        column = NAMES.index(name)
        assert not motion.observed[:, column].any()
        assert np.isnan(recording.numbers[:, column]).all()
        np.testing.assert_array_equal(motion.values[:, column], default)
    completed, taken = recording.warnings
    assert completed == "walk.mot: no column for 'pelvis_ty', 'knee_angle_r'; to be completed."
    assert taken == "walk.mot: no column for 'arm_flex_r'; taken at the model's default value."


def test_what_will_be_completed_may_have_gaps(tmp_path: Path) -> None:
    columns = with_value("knee_angle_r", slice(10, 15), np.nan)
    columns["arm_flex_r"] = np.where(np.arange(NUM_FRAMES) == 3, np.nan, columns["arm_flex_r"])
    recording = read_recording(write(tmp_path, columns), MODEL, completed=COMPLETED)
    column = NAMES.index("knee_angle_r")
    np.testing.assert_array_equal(np.flatnonzero(~recording.motion.observed[:, column]), np.arange(10, 15))
    knee = recording.motion.values[:, column]
    np.testing.assert_allclose(np.diff(knee[9:16]), (knee[15] - knee[9]) / 6)
    completed, taken = recording.warnings
    assert completed == "walk.mot: missing numbers in 'knee_angle_r (5 of 50 frames)'; to be completed."
    assert "arm_flex_r (1 of 50 frames)" in taken
    assert "interpolated" in taken


def test_a_jump_beside_a_gap_is_told_and_the_gap_itself_is_none(tmp_path: Path) -> None:
    columns = with_value("pelvis_ty", slice(10, 15), np.nan)
    assert not any("jumps" in w for w in read_recording(write(tmp_path, columns), MODEL, completed=COMPLETED).warnings)
    columns["pelvis_ty"][30] = 2.0
    assert any("jumps" in w for w in read_recording(write(tmp_path, columns), MODEL, completed=COMPLETED).warnings)


def test_a_misspelt_coordinate_is_no_missing_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownCoordinateError, match="Did you mean 'knee_angle_r'"):
        read_recording(write(tmp_path, renamed("knee_angle_r", "knee_angl_r")), MODEL, completed=COMPLETED)


def test_other_essential_coordinates_must_be_there_still(tmp_path: Path) -> None:
    path = write(tmp_path, without("knee_angle_r"))
    with pytest.raises(UnknownCoordinateError, match="no column for 'knee_angle_r'"):
        read_recording(path, MODEL, completed=("hip_flexion_r",))


def test_an_infinite_number_is_no_gap(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteValueError, match=r"'knee_angle_r' is inf at 2\.03 s"):
        path = write(tmp_path, with_value("knee_angle_r", slice(3, 4), np.inf))
        read_recording(path, MODEL, completed=COMPLETED)


@pytest.mark.parametrize("degrees", [True, False])
def test_an_angle_that_no_joint_reaches_is_refused(tmp_path: Path, degrees: bool) -> None:
    columns = with_value("hip_flexion_l", slice(20, 22), -4.0)
    path = write(tmp_path, in_degrees(columns) if degrees else columns, degrees=degrees)
    with pytest.raises(InvalidMotionError, match=r"'hip_flexion_l' is -229.2° at 2.2 s \(2 of 50 frames\)"):
        read_recording(path, MODEL, completed=COMPLETED)
    read_motion(path, MODEL)


def test_a_person_who_turns_many_times_is_possible(tmp_path: Path) -> None:
    columns = walk() | {"pelvis_rotation": np.linspace(0, 20, NUM_FRAMES)}
    assert read_recording(write(tmp_path, columns), MODEL, completed=COMPLETED).motion.observed.all()


def test_columns_that_never_change_are_not_observed(tmp_path: Path) -> None:
    columns = walk() | {"hip_flexion_r": np.full(NUM_FRAMES, 0.25), "arm_flex_r": np.full(NUM_FRAMES, 0.3)}
    columns["knee_angle_r"] = columns["knee_angle_r"] * 1e-7 + 0.1  # it does move
    recording = read_recording(write(tmp_path, columns), MODEL, completed=COMPLETED)
    assert not recording.motion.observed[:, NAMES.index("hip_flexion_r")].any()
    assert recording.motion.observed.sum() == NUM_FRAMES * (len(MODEL) - 1)
    np.testing.assert_array_equal(recording.motion.values[:, NAMES.index("hip_flexion_r")], 0.25)
    (warning,) = recording.warnings
    assert "'hip_flexion_r' never change" in warning
    assert read_motion(write(tmp_path, columns), MODEL)[0].observed.all()


def test_a_trunk_alone_in_small_degrees_is_not_taken_for_radians(tmp_path: Path) -> None:
    model = (*MODEL, Coordinate("lumbar_bending", is_essential=False))
    columns = {"lumbar_bending": 2.0 * np.sin(2 * np.pi * TIME_S), "pelvis_ty": walk()["pelvis_ty"]}
    recording = read_recording(write(tmp_path, columns, degrees=True), model, completed=(*COMPLETED, "lumbar_bending"))
    assert recording.is_in_degrees
    assert np.ptp(recording.motion.values[:, -1]) == pytest.approx(np.radians(2.0), rel=0.01)


@pytest.mark.parametrize("degrees", [True, False])
def test_given_numbers_are_written_as_they_were_and_others_in_the_files_unit(tmp_path: Path, degrees: bool) -> None:
    columns = in_degrees(without("knee_angle_r")) if degrees else without("knee_angle_r")
    columns["hip_flexion_r"][7] = 0.1 + 0.2
    path = write(tmp_path, columns, degrees=degrees)
    recording = read_recording(path, MODEL, completed=COMPLETED)
    is_given = np.isfinite(recording.numbers)
    values = np.where(is_given, 99.0, 0.5)  # only what is not given is looked at
    again = tmp_path / "again.mot"
    again.write_text(format_completed(recording, values, is_given, MODEL, name="again"))
    before, after = read_table(path), read_table(again)
    np.testing.assert_array_equal(after.time_s, before.time_s)
    for label in before.labels:
        np.testing.assert_array_equal(after.column(label), before.column(label))
    np.testing.assert_allclose(after.column("knee_angle_r"), np.rad2deg(0.5) if degrees else 0.5, atol=1e-9)
    assert after.labels == tuple(NAMES)
    bounds = (values - 0.1, values + 0.1)
    again.write_text(format_motion_interval(recording, bounds, MODEL, only=["knee_angle_r"], name="again"))
    table = read_table(again)
    assert table.labels == ("knee_angle_r_lower", "knee_angle_r_upper")
    np.testing.assert_allclose(table.values, np.tile([0.4, 0.6], (NUM_FRAMES, 1)) * (180 / np.pi if degrees else 1))


SAMPLE_MOTIONS = (
    ("samples/moco_walk/coordinates.sto", "samples/moco_walk/subject_walk_scaled.osim"),
    ("samples/gait2354/ik.mot", "samples/gait2354/model.osim"),
    ("samples/hamner/ik.mot", "samples/hamner/model.osim"),
    ("samples/opencap/ik.mot", "samples/opencap/model.osim"),
    ("samples/camargo/ik.mot", "samples/camargo/model.osim"),
    ("parity/walk_treadmill_50hz.mot", "parity/model.osim"),
)


@pytest.mark.parametrize(("motion_file", "model_file"), SAMPLE_MOTIONS)
def test_every_sample_reads_in_radians_with_its_model(
    shared: Path,
    opensim: ModuleType,
    motion_file: str,
    model_file: str,
) -> None:
    model = opensim.Model(str(shared / model_file))
    model.initSystem()
    coordinates = []
    for index in range(model.getCoordinateSet().getSize()):
        coordinate = model.getCoordinateSet().get(index)
        name = coordinate.getName()
        coordinates.append(
            Coordinate(
                name,
                is_rotational=coordinate.getMotionType() == 1,
                default_value=coordinate.getDefaultValue(),
                is_locked=coordinate.getDefaultLocked(),
                is_coupled=name.endswith("_beta"),
                is_essential=name.startswith(("pelvis", "hip", "knee", "ankle")),
            )
        )
    motion, _ = read_motion(shared / motion_file, coordinates)
    names = [coordinate.name for coordinate in coordinates]
    assert motion.coordinates == tuple(names)
    assert np.isfinite(motion.values).all()
    knee = motion.values[:, names.index("knee_angle_r")]
    assert 0.7 < np.ptp(knee) < 2.5
    header = read_table(shared / motion_file).header
    if header["indegrees"] == "no":
        # Files in radians hold exactly what is read.
        table = read_table(shared / motion_file)
        (label,) = (label for label in table.labels if re.search(r"\bknee_angle_r(/value)?$", label))
        np.testing.assert_array_equal(knee, table.column(label))
