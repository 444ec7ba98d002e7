"""AddBiomechanics' files: read to the last bit, and refused when they are cut, damaged or something else."""

import io
import os
import shutil
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ASSETS

from gaitdynamics.errors import GaitDynamicsError, InputFileError, InvalidMotionError, NonFiniteValueError
from gaitdynamics.io.b3d import B3DSubject, read_b3d, read_b3d_skeletons, read_b3d_trials, trial_from_b3d
from gaitdynamics.types.skeleton import Skeleton

FIXTURES = ("arnold01", "addbiomechanics_results")

# The hip is listed after what hangs on the knee, and the back before them: frames are ordered depth first all the same.
JOINTS = (
    ("ground", "pelvis", ("pelvis_tilt", "pelvis_tx")),
    ("pelvis", "torso", ("lumbar_extension",)),
    ("femur_r", "patella_r", ("knee_beta",)),
    ("femur_r", "tibia_r", ("knee_angle",)),
    ("pelvis", "femur_r", ("hip_flexion",)),
    ("pelvis", "femur_l", ("hip_flexion_l",)),
)
DOFS = ("pelvis_tilt", "pelvis_tx", "lumbar_extension", "hip_flexion", "knee_angle", "hip_flexion_l")
COUPLING = (
    "<ConstraintSet><objects><CoordinateCouplerConstraint><dependent_coordinate_name>knee_beta"
    "</dependent_coordinate_name></CoordinateCouplerConstraint></objects></ConstraintSet>"
)


def coordinate_set(names: Sequence[str]) -> str:
    return "".join(f'<Coordinate name="{name}"/>' for name in names)


MODEL = (
    "<OpenSimDocument><Model><JointSet><objects>"
    + "".join(
        f"<CustomJoint><socket_parent_frame>{parent}_offset</socket_parent_frame>"
        f"<socket_child_frame>/bodyset/{child}</socket_child_frame><coordinates>{coordinate_set(names)}</coordinates>"
        f'<frames><PhysicalOffsetFrame name="{parent}_offset"><socket_parent>/bodyset/{parent}</socket_parent>'
        "</PhysicalOffsetFrame></frames></CustomJoint>"
        for parent, child, names in JOINTS
    )
    + f"</objects></JointSet>{COUPLING}</Model></OpenSimDocument>"
)
MODEL_OF_OPENSIM_3 = (
    "<OpenSimDocument><Model><BodySet><objects>"
    + "".join(
        f'<Body name="{child}"><Joint><CustomJoint><parent_body>{parent}</parent_body>'
        f"<CoordinateSet><objects>{coordinate_set(names)}</objects></CoordinateSet></CustomJoint></Joint></Body>"
        for parent, child, names in JOINTS
    )
    + f"</objects></BodySet>{COUPLING}</Model></OpenSimDocument>"
)


# A writer, as small as the format allows.


def varint(value: int) -> bytes:
    value %= 2**64
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def chunk(number: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def doubles(number: int, values: np.ndarray) -> bytes:
    return chunk(number, np.asarray(values, "<f8").tobytes())


@dataclass(frozen=True)
class Written:
    """What a synthetic file holds; each pass of a trial is a row of frames by the quantity's number."""

    models: tuple[str, ...] = (MODEL, MODEL)
    num_dofs: int = len(DOFS)
    bodies: tuple[str, ...] = ("calcn_l", "calcn_r")
    passes: tuple[tuple[dict[int, np.ndarray], ...], ...] = ()
    names: tuple[str, ...] = ("walk_segment_0", "walk_segment_1")
    missing: tuple[tuple[int, ...], ...] = ()
    timestep_s: float = 0.01
    tag: str = "overground"
    sex: str = "female"
    age_years: int = 31
    observed: bytes = b""
    lengths: tuple[int, ...] | None = None
    sensor: bytes = field(default_factory=lambda: doubles(2, np.arange(3.0)))
    pass_bytes: int | None = None

    def write(self, path: Path) -> Path:
        frames, trials = b"", []
        pass_bytes = 0
        for index, passes in enumerate(self.passes):
            num_frames = len(passes[0][1])
            for t in range(num_frames):
                rows = [b"".join(doubles(number, v[t]) for number, v in each.items()) for each in passes]
                pass_bytes = len(rows[0])
                frames += self.sensor + b"".join(rows)
            heads = b"".join(
                chunk(5, integer(1, kind) + chunk(2, self.observed) + integer(11, -5)) for kind in range(len(passes))
            )
            missing = self.missing[index] if self.missing else (0,) * num_frames
            length = self.lengths[index] if self.lengths else num_frames
            trials.append(
                chunk(1, self.names[index])
                + chunk(2, b"".join(map(varint, missing)))
                + integer(3, length)
                + double(4, self.timestep_s)
                + heads
                + chunk(6, self.tag)
                + chunk(10, "walk")
            )
        header = (
            integer(1, self.num_dofs)
            + integer(3, len(self.sensor))
            + integer(4, pass_bytes if self.pass_bytes is None else self.pass_bytes)
            + b"".join(chunk(5, integer(1, kind) + chunk(2, text)) for kind, text in enumerate(self.models))
            + b"".join(chunk(6, body) for body in self.bodies)
            + b"".join(chunk(9, trial) for trial in trials)
            + integer(10, 4)
            + chunk(13, self.sex)
            + double(14, 1.7)
            + double(15, 65.0)
            + integer(16, self.age_years)
            + varint(99 << 3 | 5)
            + b"unkn"
        )
        path.write_bytes(struct.pack("<q", len(header)) + header + frames)
        return path


def frames_of(num_frames: int, num_dofs: int, *, seed: int, num_bodies: int = 2) -> dict[int, np.ndarray]:
    draw = np.random.default_rng(seed)
    widths = {1: num_dofs, 2: num_dofs, 6: 3 * num_bodies, 7: 3 * num_bodies, 8: 3 * num_bodies, 11: 3, 77: 2}
    return {number: draw.normal(size=(num_frames, width)) for number, width in widths.items()}


def two_trials() -> Written:
    return Written(
        passes=tuple(
            tuple(frames_of(num_frames, len(DOFS), seed=10 * trial + number) for number in range(2))
            for trial, num_frames in enumerate((5, 3))
        ),
        missing=((0, 0, 300, 1, 0), (0, 2, 0)),
        observed=bytes([1, 1, 0, 1, 1, 1]),
    )


def read_everything(path: Path) -> B3DSubject:
    subject = read_b3d(path)
    for trial in subject.trials:
        for each in trial.passes:
            for quantity in ("pos", "vel", "force", "cop", "torque", "com_acc"):
                each.read(quantity)
    return subject


# Reading


@pytest.mark.parametrize("name", FIXTURES)
def test_a_file_reads_as_nimblephysics_reads_it(shared: Path, name: str) -> None:
    subject = read_b3d(shared / "b3d" / f"{name}.b3d")
    expected = dict(np.load(shared / "b3d" / f"{name}_expected.npz"))
    assert subject.mass_kg == expected.pop("mass_kg")
    assert subject.height_m == expected.pop("height_m")
    assert list(subject.ground_force_bodies) == expected.pop("ground_force_bodies").tolist()
    assert len(subject.trials) == expected.pop("num_trials")
    assert len(subject.dof_names) == expected.pop("num_dofs", len(subject.dof_names))
    assert list(subject.dof_names) == list(expected.pop("dof_names", subject.dof_names))
    assert len(subject.osim_text) == expected.pop("num_passes", len(subject.osim_text))
    for i, trial in enumerate(subject.trials):
        assert trial.name == expected.pop(f"t{i}_name")
        assert trial.timestep_s == expected.pop(f"t{i}_timestep")
        assert np.array_equal(trial.missing, expected.pop(f"t{i}_missing"))
        for p, each in enumerate(trial.passes):
            for quantity in ("pos", "vel", "force", "cop", "torque", "com_acc"):
                assert np.array_equal(each.read(quantity), expected.pop(f"t{i}_p{p}_{quantity}"))
    assert expected.keys() == set()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = two_trials()
    subject = read_b3d(written.write(tmp_path / "s.b3d"))
    assert (subject.mass_kg, subject.height_m, subject.sex, subject.age_years) == (65.0, 1.7, "female", 31.0)
    assert subject.ground_force_bodies == written.bodies
    assert subject.osim_text == written.models
    assert [trial.name for trial in subject.trials] == list(written.names)
    for trial, passes, missing in zip(subject.trials, written.passes, written.missing, strict=True):
        assert trial.missing_reason.tolist() == list(missing)
        assert trial.missing.tolist() == [reason != 0 for reason in missing]
        assert (trial.timestep_s, trial.tags, trial.original_name) == (0.01, ("overground",), "walk")
        assert [each.kind for each in trial.passes] == ["kinematics", "dynamics"]
        for each, expected in zip(trial.passes, passes, strict=True):
            assert each.observed.tolist() == [True, True, False, True, True, True]
            for quantity, number in {"pos": 1, "vel": 2, "cop": 6, "torque": 7, "force": 8, "com_acc": 11}.items():
                assert np.array_equal(each.read(quantity), expected[number])


def test_a_quantity_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    subject = read_b3d(two_trials().write(tmp_path / "s.b3d"))
    with pytest.raises(InputFileError, match="no 'tau'"):
        subject.trials[0].passes[0].read("tau")


@pytest.mark.parametrize("model", [MODEL, MODEL_OF_OPENSIM_3])
def test_coordinates_are_named_depth_first_without_coupled_ones(tmp_path: Path, model: str) -> None:
    subject = read_b3d(replace(two_trials(), models=(model, model)).write(tmp_path / "s.b3d"))
    assert subject.dof_names == DOFS


def test_unknown_sex_and_age_are_none(tmp_path: Path) -> None:
    subject = read_b3d(replace(two_trials(), sex="unknown", age_years=-1).write(tmp_path / "s.b3d"))
    assert subject.sex is None
    assert subject.age_years is None


# Refusing


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = two_trials().write(tmp_path / "s.b3d")
    read_everything(path)
    for size in range(path.stat().st_size - 1, -1, -1):
        os.truncate(path, size)
        with pytest.raises(InputFileError, match=r"s\.b3d"):
            read_b3d(path)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_real_file_cut_anywhere_is_refused(shared: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "cut.b3d"
    shutil.copyfile(shared / "b3d" / f"{name}.b3d", path)
    path.chmod(0o600)
    size = path.stat().st_size
    sizes = {*range(0, 64), *range(size - 64, size), *np.linspace(64, size - 64, 400, dtype=int).tolist()}
    for cut in sorted(sizes, reverse=True):
        os.truncate(path, cut)
        with pytest.raises(InputFileError):
            read_b3d(path)


def test_a_file_that_goes_on_after_its_last_frame_is_refused(tmp_path: Path) -> None:
    path = two_trials().write(tmp_path / "s.b3d")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputFileError, match="goes on after"):
        read_b3d(path)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("subject.b3d", "nothing" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\0" * 5000,
        b"\xff" * 5000,
        struct.pack("<q", -1) + b"x" * 100,
        struct.pack("<q", 2**62) + b"x" * 100,
        struct.pack("<q", 100) + b"x" * 100,
        b"Coordinates\nversion=1\nnRows=2\nendheader\ntime\tpelvis_tilt\n0\t0\n0.01\t0\n" * 20,
        zipped(),
    ],
)
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.b3d"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"foreign\.b3d"):
        read_b3d(path)


def test_random_bytes_behind_a_plausible_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "random.b3d"
    draw = np.random.default_rng(5)
    for _ in range(300):
        content = draw.bytes(int(draw.integers(1, 400)))
        path.write_bytes(struct.pack("<q", len(content)) + content)
        with pytest.raises(InputFileError):
            read_b3d(path)


def test_a_header_longer_than_any_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.b3d"
    path.write_bytes(struct.pack("<q", 2**40))
    os.truncate(path, 2**41)  # takes no room on the disk
    with pytest.raises(InputFileError, match="more than any person needs"):
        read_b3d(path)


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="is a folder"):
        read_b3d(tmp_path)
    with pytest.raises(InputFileError, match="no such file"):
        read_b3d(tmp_path / "absent.b3d")
    with pytest.raises(InputFileError):
        read_b3d(tmp_path / ("x" * 5000))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"lengths": (-5, 3)}, "-5 frames"),
        ({"lengths": (2**40, 3)}, "cut short"),
        ({"lengths": (4, 4)}, "marks of missing force"),
        ({"models": (MODEL,)}, "2 passes"),
        ({"models": ()}, "0 models"),
        ({"models": ("<no xml", MODEL)}, "not XML"),
        ({"models": ("<Model/>", MODEL)}, "its model has 0"),
        ({"num_dofs": 2**50}, "its model has 6"),
        ({"num_dofs": -1}, "-1 coordinates"),
        ({"pass_bytes": -8}, "-8 bytes"),
        ({"pass_bytes": 2**60}, "cut short"),
        ({"timestep_s": 0.0}, "0.0 s apart"),
        ({"timestep_s": float("nan")}, "nan s apart"),
        ({"observed": bytes(3)}, "3 coordinates"),
        ({"bodies": ("calcn_r",)}, "as 'cop' instead of 3"),
        ({"passes": ()}, "0 trials"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, change: dict, complaint: str) -> None:
    path = replace(two_trials(), **change).write(tmp_path / "s.b3d")
    with pytest.raises(InputFileError, match=complaint):
        read_b3d(path)


def test_any_one_damaged_byte_is_an_error_or_another_value_never_a_crash(tmp_path: Path) -> None:
    path = two_trials().write(tmp_path / "s.b3d")
    whole, draw = path.read_bytes(), np.random.default_rng(3)
    num_refused = 0
    for _ in range(500):
        content = bytearray(whole)
        content[draw.integers(len(content))] = draw.integers(256)
        path.write_bytes(content)
        try:
            read_everything(path)
        except InputFileError:
            num_refused += 1
    assert num_refused > 30


def test_a_frame_of_another_layout_is_found_when_it_is_read(tmp_path: Path) -> None:
    written = two_trials()
    path = written.write(tmp_path / "s.b3d")
    content = bytearray(path.read_bytes())
    row = written.passes[0][1][1][3].astype("<f8").tobytes()  # positions of the second pass in frame 3
    content[content.index(row) - 1] ^= 8  # the byte that tells their number
    path.write_bytes(content)
    subject = read_b3d(path)
    subject.trials[0].passes[0].read("vel")
    with pytest.raises(InputFileError, match="frame 3"):
        subject.trials[0].passes[1].read("vel")


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = two_trials().write(tmp_path / "s.b3d")
    subject = read_b3d(path)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(InputFileError, match="changed"):
        subject.trials[1].passes[0].read("pos")
    path.unlink()
    with pytest.raises(InputFileError):
        subject.trials[0].passes[0].read("pos")


# Trials


def of_body(body: Skeleton, num_frames: int = 6, **changes: object) -> Written:
    """A trial of the bundled body; its file knows the body's free coordinates, and the left foot's force first."""
    text = (ASSETS / "generic_body.osim").read_text(encoding="utf-8")
    num_dofs = sum(not coordinate.is_coupled for coordinate in body.coordinates)
    frames = frames_of(num_frames, num_dofs, seed=1)
    frames[7] *= [0, 1, 0] * 2
    frames[8][:, [1, 4]] = 300.0, 0.0
    frames[8][:, [3, 5]] = 0.0
    given = {"passes": ((frames_of(num_frames, num_dofs, seed=2), frames),), "names": ("walk",), **changes}
    return Written(models=(text, text), num_dofs=num_dofs, **given)


def test_a_trial_has_the_motion_and_forces_of_the_last_pass(body: Skeleton, tmp_path: Path) -> None:
    written = of_body(body, missing=((0, 0, 3, 0, 0, 0),))
    (trial,) = read_b3d_trials(written.write(tmp_path / "someone.b3d"))
    frames = written.passes[0][-1]
    free = [not coordinate.is_coupled for coordinate in body.coordinates]
    assert trial.name == "someone/walk"
    assert trial.subject.mass_kg == pytest.approx(trial.skeleton.mass_kg) == pytest.approx(65.0)
    assert trial.motion.coordinates == body.coordinate_names
    assert np.array_equal(trial.motion.values[:, free], frames[1])
    assert trial.motion.observed.all()
    assert trial.motion.time_s == pytest.approx(0.01 * np.arange(6))
    assert trial.belt_speed_m_s == 0.0
    assert trial.forces is not None
    left, right = frames[8][:, :3], frames[8][:, 3:]
    assert np.array_equal(trial.forces.force_n, np.stack([right, left], axis=1))
    assert np.array_equal(trial.forces.cop_m, np.stack([frames[6][:, 3:], frames[6][:, :3]], axis=1))
    assert np.array_equal(trial.forces.free_moment_nm, frames[7][:, [4, 1]])
    assert trial.forces.valid.tolist() == [[t != 2] * 2 for t in range(6)]


def test_coordinates_that_nobody_measured_or_that_never_move_are_no_observations(
    body: Skeleton, tmp_path: Path
) -> None:
    free = [coordinate.name for coordinate in body.coordinates if not coordinate.is_coupled]
    written = of_body(body, observed=bytes([1] * (len(free) - 1) + [0]), tag="treadmill")
    written.passes[0][-1][1][:, 3] = 0.25
    (trial,) = read_b3d_trials(written.write(tmp_path / "s.b3d"))
    unseen = {name for name, seen in zip(trial.motion.coordinates, trial.motion.observed[0], strict=True) if not seen}
    assert unseen == {free[3], free[-1]}
    assert trial.belt_speed_m_s is None


def test_a_pass_without_any_force_gives_no_forces(body: Skeleton, tmp_path: Path) -> None:
    written = of_body(body)
    written.passes[0][-1][8][:] = 0.0
    (trial,) = read_b3d_trials(written.write(tmp_path / "s.b3d"))
    assert trial.forces is None


def test_a_motion_with_a_missing_number_is_refused_by_name(body: Skeleton, tmp_path: Path) -> None:
    written = of_body(body)
    written.passes[0][-1][1][2, 0] = np.nan
    with pytest.raises(NonFiniteValueError, match=body.coordinates[0].name):
        read_b3d_trials(written.write(tmp_path / "s.b3d"))


def test_a_trial_of_three_frames_is_refused_and_the_others_can_still_be_had(body: Skeleton, tmp_path: Path) -> None:
    short, longer = of_body(body, 3).passes[0], of_body(body).passes[0]
    written = of_body(body, passes=(short, longer), names=("stumble", "walk"))
    subject = read_b3d(written.write(tmp_path / "s.b3d"))
    skeletons = read_b3d_skeletons(subject)
    with pytest.raises(InvalidMotionError, match="stumble"):
        trial_from_b3d(subject, subject.trials[0], skeletons)
    assert trial_from_b3d(subject, subject.trials[1], skeletons).name == "s/walk"


def test_forces_on_a_body_that_is_no_foot_are_refused(body: Skeleton, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="'pelvis'"):
        read_b3d_trials(of_body(body, bodies=("calcn_r", "pelvis")).write(tmp_path / "s.b3d"))


def test_a_model_that_opensim_cannot_read_is_said_to_be_the_files(tmp_path: Path) -> None:
    path = two_trials().write(tmp_path / "s.b3d")
    with pytest.raises(GaitDynamicsError, match=r"s\.b3d \(model of pass 0\)"):
        read_b3d_trials(path)


def test_measured_forces_carry_the_person_and_act_under_the_feet(shared: Path) -> None:
    path = shared / "b3d" / "arnold01.b3d"
    (trial,) = read_b3d_trials(path)
    forces = trial.forces
    assert forces is not None
    known = forces.valid.all(axis=1)
    assert np.count_nonzero(~known) == 25
    total_n = forces.force_n[known].sum(axis=1)
    assert total_n[:, 1].mean() == pytest.approx(trial.subject.body_weight_n, rel=0.03)
    pose = trial.skeleton.pose(torch.from_numpy(trial.motion.values))
    for foot, side in enumerate(trial.skeleton.feet):
        loaded = known & (forces.force_n[:, foot, 1] > 50.0)
        heel_m = pose.origin_m[:, trial.skeleton.body_index[side.hindfoot]].numpy()
        away_m = np.linalg.norm((forces.cop_m[:, foot] - heel_m)[loaded][:, [0, 2]], axis=1)
        assert np.count_nonzero(loaded) > 100
        assert np.median(away_m) < 0.2
        assert away_m.max() < 0.35


def test_the_models_joints_lie_where_the_file_has_them(shared: Path) -> None:
    path = shared / "b3d" / "arnold01.b3d"
    (trial,) = read_b3d_trials(path)
    centres_m = read_b3d(path).trials[0].passes[-1].read("joint_centres").reshape(trial.motion.values.shape[0], -1, 3)
    own_m = trial.skeleton.pose(torch.from_numpy(trial.motion.values)).joint_centre_m.numpy()
    apart_m = np.abs(centres_m[:, :, None] - own_m[:, None]).max(axis=(0, 3))
    assert apart_m.min(axis=1).max() < 1e-9


def test_torques_are_about_the_centre_of_pressure_in_the_ground_frame(shared: Path) -> None:
    last = read_b3d(shared / "b3d" / "arnold01.b3d").trials[0].passes[-1]
    wrench = last.read("wrench").reshape(-1, 2, 6)
    force_n, cop_m, torque_nm = (last.read(q).reshape(-1, 2, 3) for q in ("force", "cop", "torque"))
    assert np.abs(np.cross(cop_m, force_n) + torque_nm - wrench[..., :3]).max() < 1e-9
    assert np.array_equal(wrench[..., 3:], force_n)
    assert np.abs(torque_nm[..., [0, 2]]).max() < 1e-9
