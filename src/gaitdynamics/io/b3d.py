"""AddBiomechanics' recordings (.b3d): motion and ground reaction of one person's trials in one binary file.

The format is nimblephysics' `SubjectOnDisk`: the length of a header as a little-endian int64; the header, a protobuf
message; then, frame after frame of trial after trial, one message of raw sensor data and one for each processing pass.
A frame's message holds packed doubles only, so all frames have the same length and layout. (Werling et al. 2023,
PLoS ONE 18:e0295152 describes AddBiomechanics and its passes.)
"""

import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np

from gaitdynamics.errors import (
    InputFileError,
    InvalidModelError,
    InvalidMotionError,
    NonFiniteValueError,
)
from gaitdynamics.io.forces import Plate, ground_reaction_from_sides
from gaitdynamics.io.motion import MIN_FRAMES
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.protobuf import LENGTH_DELIMITED, DamagedMessageError, Message, fields
from gaitdynamics.io.table import shortened
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.side import side_of
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

PASS_KINDS = ("kinematics", "dynamics", "low_pass_filter", "acceleration_minimizing_filter")
LARGEST_HEADER_BYTES = 2**28  # a model takes one or two megabytes, a frame some tens of bytes
OVERGROUND = "overground"

_WORD_BYTES = 8  # of the header's length, and of a number in a frame
_UNKNOWN_SEX = ("", "unknown")


class _Header(IntEnum):
    """Numbers of the header's fields."""

    NUM_DOFS = 1
    SENSOR_BYTES = 3
    PASS_BYTES = 4
    PASSES = 5
    GROUND_BODIES = 6
    TRIALS = 9
    SEX = 13
    HEIGHT = 14
    MASS = 15
    AGE = 16
    NUM_JOINTS = 24


class _TrialField(IntEnum):
    """Numbers of the fields of a trial in the header."""

    NAME = 1
    MISSING_REASON = 2
    NUM_FRAMES = 3
    TIMESTEP = 4
    PASSES = 5
    TAGS = 6
    ORIGINAL_NAME = 10


_MODEL_OF_PASS = 2  # in a pass of the header
_KIND_OF_PASS, _OBSERVED_OF_PASS = 1, 2  # in a pass of a trial


# Number of each quantity in the message of a frame, and its columns: so many for each of what it is counted by.
_QUANTITIES = {
    "pos": (1, 1, "dof"),
    "vel": (2, 1, "dof"),
    "acc": (3, 1, "dof"),
    "tau": (4, 1, "dof"),
    "wrench": (5, 6, "ground body"),
    "cop": (6, 3, "ground body"),
    "torque": (7, 3, "ground body"),
    "force": (8, 3, "ground body"),
    "com_pos": (9, 3, "person"),
    "com_vel": (10, 3, "person"),
    "com_acc": (11, 3, "person"),
    "joint_centres": (16, 3, "joint"),
}


@dataclass(frozen=True)
class _Layout:
    """Which bytes of a pass's frame are numbers, and which say what they are."""

    columns: dict[str, slice]
    tag_places: np.ndarray
    tags: np.ndarray


@dataclass(frozen=True)
class B3DPass:
    """One processing pass over a trial; its numbers stay in the file until they are asked for.

    Args:
        kind: one of `PASS_KINDS`, or `unknown`.
        observed: False for coordinates that nobody measured, (C,).
    """

    kind: str
    observed: np.ndarray
    _path: Path
    _layout: _Layout
    _part_of_frame: slice
    _trial_first_byte: int
    _trial_shape: tuple[int, int]

    def read(self, quantity: str) -> np.ndarray:
        """The numbers of every frame, as they are in the file.

        Args:
            quantity: `pos`, `vel`, `acc`, `tau` of the coordinates (radians, metres, newtons, seconds); `force` on,
                and `cop` and `torque` (about `cop`) under each ground force body, `wrench` (moment about the origin,
                then force), all in the ground frame; `com_pos`, `com_vel`, `com_acc`; `joint_centres`.

        Returns:
            float64, (T, D), three or six columns for each body; a copy.

        Raises:
            InputFileError: the file has no such quantity, or changed or is damaged.
        """
        columns = self._layout.columns.get(quantity)
        if columns is None:
            raise InputFileError(
                f"{self._path}: its frames hold no '{quantity}'; they hold {shortened(list(self._layout.columns))}. "
                "Process the data with a newer AddBiomechanics."
            )
        if self._trial_shape[0] == 0:
            return np.zeros((0, (columns.stop - columns.start) // _WORD_BYTES))
        try:
            trial = np.memmap(self._path, np.uint8, "r", self._trial_first_byte, self._trial_shape)
        except (OSError, ValueError) as error:
            raise InputFileError(f"{self._path}: can't be read any more ({error}). Has it changed?") from None
        frames = trial[:, self._part_of_frame]
        is_damaged = (frames[:, self._layout.tag_places] != self._layout.tags).any(axis=1)
        if is_damaged.any():
            raise InputFileError(
                f"{self._path}: frame {int(np.argmax(is_damaged))} of a trial is not laid out like the first one. "
                "The file is damaged: download it again."
            )
        return np.ascontiguousarray(frames[:, columns]).view("<f8").astype(np.float64)


@dataclass(frozen=True)
class B3DTrial:
    """One recording.

    Args:
        name: as AddBiomechanics calls it; pieces of one recording end in `_segment_<n>`.
        timestep_s: from frame to frame.
        num_frames: T.
        missing_reason: why the ground reaction of a frame is not known; 0 where it is, (T,).
        tags: what the data's owner said of it, such as `treadmill`.
        original_name: the recording's, before it was cut into pieces.
        passes: in the order in which they were made.
    """

    name: str
    timestep_s: float
    num_frames: int
    missing_reason: np.ndarray
    tags: tuple[str, ...]
    original_name: str
    passes: tuple[B3DPass, ...]

    @property
    def missing(self) -> np.ndarray:
        """True where the ground reaction is not known, (T,)."""
        return self.missing_reason != 0


@dataclass(frozen=True)
class B3DSubject:
    """A file: a person, the person's models and trials.

    Args:
        path: the file.
        mass_kg: as stated.
        height_m: as stated.
        sex: as stated; None where unknown.
        age_years: as stated; None where unknown.
        ground_force_bodies: those that forces act on, such as `calcn_r`.
        dof_names: OpenSim's names of the coordinates in the frames; the model's coupled ones are not among them.
        osim_text: the model that each pass arrived at.
        trials: the recordings.
    """

    path: Path
    mass_kg: float
    height_m: float
    sex: str | None
    age_years: float | None
    ground_force_bodies: tuple[str, ...]
    dof_names: tuple[str, ...]
    osim_text: tuple[str, ...]
    trials: tuple[B3DTrial, ...]


def read_b3d(path: str | Path) -> B3DSubject:
    """Read what a .b3d file holds; the frames themselves are read when they are asked for.

    Args:
        path: .b3d.

    Returns:
        The person and the trials.

    Raises:
        InputFileError: no such file, not a .b3d file, cut short, or damaged.
    """
    path = Path(path)
    try:
        size_bytes, header = _header_of(path)
        return _subject(path, size_bytes, header)
    except DamagedMessageError as damage:
        raise InputFileError(
            f"{path}: {damage}. Expected a whole .b3d file of AddBiomechanics: download or copy it again."
        ) from None


def read_b3d_trials(path: str | Path) -> tuple[Trial, ...]:
    """Read every trial of a .b3d file, as `trial_from_b3d` does.

    Args:
        path: .b3d.

    Returns:
        The trials in the order of the file.

    Raises:
        GaitDynamicsError: the file, or one of its trials, is not what it should be.
    """
    subject = read_b3d(path)
    skeletons = read_b3d_skeletons(subject)
    return tuple(trial_from_b3d(subject, trial, skeletons) for trial in subject.trials)


def read_b3d_skeletons(subject: B3DSubject) -> tuple[Skeleton, ...]:
    """The model of each pass, scaled to the person's mass.

    Raises:
        InputFileError: not a model that OpenSim reads.
        InvalidModelError: a joint or coupling that has no counterpart here, or no feet.
    """
    skeletons: dict[str, Skeleton] = {}
    for number, text in enumerate(subject.osim_text):
        if text not in skeletons:
            skeletons[text] = _skeleton(text, f"{subject.path} (model of pass {number})")
    return tuple(skeletons[text].scaled_to(subject.mass_kg) for text in subject.osim_text)


def trial_from_b3d(subject: B3DSubject, trial: B3DTrial, skeletons: tuple[Skeleton, ...]) -> Trial:
    """One trial with the motion, forces and model of its last pass.

    Coordinates that do not move at all in the trial are no observations. The forces are None where the pass holds
    none but zeros, as those of old files do.

    Args:
        subject: the file.
        trial: one of the file's.
        skeletons: of the file's passes, from `read_b3d_skeletons`.

    Returns:
        The trial; its forces are valid where they are not marked missing.

    Raises:
        InputFileError: the file is damaged, has no pass for the trial, or a body that forces act on is no foot.
        InvalidMotionError: too few frames.
        NonFiniteValueError: the motion holds numbers that are none.
        InvalidSubjectError: mass or height is not a human's.
    """
    name = f"{subject.path.stem}/{trial.name}"
    if not trial.passes:
        raise InputFileError(f"{name}: no processing pass, so no motion. Process it in AddBiomechanics.")
    if trial.num_frames < MIN_FRAMES:
        raise InvalidMotionError(
            f"{name}: {trial.num_frames} frame(s); a motion needs at least {MIN_FRAMES}. Leave it out."
        )
    skeleton, last = skeletons[len(trial.passes) - 1], trial.passes[-1]
    time_s = np.arange(trial.num_frames) * trial.timestep_s
    return Trial(
        name=name,
        subject=Subject(subject.path.stem, subject.mass_kg, subject.height_m, subject.sex, subject.age_years),
        skeleton=skeleton,
        motion=_motion(last, subject.dof_names, skeleton, time_s, name),
        forces=_forces(last, subject.ground_force_bodies, trial.missing, time_s, name),
        belt_speed_m_s=0.0 if OVERGROUND in trial.tags else None,
        source=str(subject.path),
    )


def _motion(last: B3DPass, dof_names: tuple[str, ...], skeleton: Skeleton, time_s: np.ndarray, name: str) -> Motion:
    pos = last.read("pos")
    if not np.isfinite(pos).all():
        column = int(np.argmax(~np.isfinite(pos).all(axis=0)))
        raise NonFiniteValueError(f"{name}: '{dof_names[column]}' is missing or infinite in some frames. Leave it out.")
    column_of = {dof: column for column, dof in enumerate(dof_names)}
    unknown = sorted(set(dof_names) - set(skeleton.coordinate_names))
    if unknown:
        raise InputFileError(f"{name}: the last pass's model has no {shortened(unknown)}. The models must agree.")
    is_observed = last.observed & (np.ptp(pos, axis=0) > 0)
    values = np.tile(skeleton.default_values, (len(time_s), 1))
    observed = np.zeros(values.shape, dtype=bool)
    for index, coordinate in enumerate(skeleton.coordinates):
        source = coordinate.coupled_to or coordinate.name
        if source in column_of:
            observed[:, index] = is_observed[column_of[source]]
            values[:, index] = pos[:, column_of[source]]  # a coupled one is computed below
    return Motion(time_s, skeleton.with_coupled_values(values), skeleton.coordinate_names, observed)


def _forces(
    last: B3DPass, bodies: tuple[str, ...], missing: np.ndarray, time_s: np.ndarray, name: str
) -> GroundReaction | None:
    sideless = [body for body in bodies if side_of(body) is None]
    if sideless:
        raise InputFileError(
            f"{name}: forces act on {shortened(sideless)}, of which the foot is not known. "
            "Expected bodies named like 'calcn_r' and 'calcn_l'."
        )
    if not bodies:
        return None
    shape = (len(time_s), len(bodies), 3)
    force_n, cop_m, torque_nm = (last.read(quantity).reshape(shape) for quantity in ("force", "cop", "torque"))
    if not force_n.any():
        return None
    forces = ground_reaction_from_sides(
        [
            Plate(body, side_of(body), time_s, force_n[:, i], cop_m[:, i], torque_nm[:, i])
            for i, body in enumerate(bodies)
        ]
    )
    return replace(forces, valid=forces.valid & ~missing[:, None])


def _skeleton(osim_text: str, source: str) -> Skeleton:
    with tempfile.TemporaryDirectory() as folder:
        model_path = Path(folder) / "model.osim"
        model_path.write_text(osim_text, encoding="utf-8")
        try:
            return read_model(model_path)
        except (InputFileError, InvalidModelError) as error:
            raise type(error)(str(error).replace(str(model_path), source)) from None


def _header_of(path: Path) -> tuple[int, memoryview]:
    """Size of the file, and its header."""
    try:
        if not path.is_file():
            found = "this is a folder" if path.is_dir() else "there is no such file"
            raise InputFileError(f"{path}: {found}. Expected a .b3d file of AddBiomechanics.")
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_WORD_BYTES), "little", signed=True)
            if size_bytes <= _WORD_BYTES:
                raise DamagedMessageError(f"{size_bytes} bytes are no .b3d file")
            if not 0 < length <= size_bytes - _WORD_BYTES:
                raise DamagedMessageError(
                    f"its first bytes tell of a header of {length} bytes, but it has {size_bytes} in all"
                )
            if length > LARGEST_HEADER_BYTES:
                raise DamagedMessageError(
                    f"its first bytes tell of a header of {length} bytes, more than any person needs"
                )
            return size_bytes, memoryview(file.read(length))
    except OSError as error:
        raise InputFileError(f"{path}: can't be read ({error.strerror or error}).") from None


def _subject(path: Path, size_bytes: int, content: memoryview) -> B3DSubject:
    header = Message(content)
    num_dofs, num_joints = header.integer(_Header.NUM_DOFS), header.integer(_Header.NUM_JOINTS)
    sizes = _Sizes(sensor_bytes=header.integer(_Header.SENSOR_BYTES), pass_bytes=header.integer(_Header.PASS_BYTES))
    if num_dofs < 1 or num_joints < 0 or sizes.sensor_bytes < 0 or sizes.pass_bytes < 0:
        raise DamagedMessageError(
            f"its header tells of {num_dofs} coordinates, {num_joints} joints, "
            f"and frames of {sizes.sensor_bytes} and {sizes.pass_bytes} bytes"
        )
    osim_text = tuple(each.text(_MODEL_OF_PASS) for each in header.messages(_Header.PASSES))
    bodies, trials = header.texts(_Header.GROUND_BODIES), header.messages(_Header.TRIALS)
    if not osim_text or not trials:
        raise DamagedMessageError(f"its header tells of {len(osim_text)} models and {len(trials)} trials")
    first_byte = _WORD_BYTES + len(content)
    _check_size(trials, sizes, num_models=len(osim_text), frames_bytes=size_bytes - first_byte)
    dof_names = _dof_names(osim_text[0], num_dofs)
    counts = {"dof": num_dofs, "ground body": len(bodies), "person": 1, "joint": num_joints}
    read_trials = []
    for trial in trials:
        read_trials.append(_trial(_Place(path, first_byte, sizes), trial, counts))
        first_byte += sizes.trial_bytes(trial)
    sex, age_years = header.text(_Header.SEX), header.integer(_Header.AGE)
    return B3DSubject(
        path=path,
        mass_kg=header.double(_Header.MASS),
        height_m=header.double(_Header.HEIGHT),
        sex=None if sex in _UNKNOWN_SEX else sex,
        age_years=float(age_years) if age_years > 0 else None,
        ground_force_bodies=bodies,
        dof_names=dof_names,
        osim_text=osim_text,
        trials=tuple(read_trials),
    )


@dataclass(frozen=True)
class _Sizes:
    """Of one frame: of its sensors, and of each processing pass."""

    sensor_bytes: int
    pass_bytes: int

    def frame_bytes(self, trial: Message) -> int:
        return self.sensor_bytes + len(trial.messages(_TrialField.PASSES)) * self.pass_bytes

    def trial_bytes(self, trial: Message) -> int:
        return trial.integer(_TrialField.NUM_FRAMES) * self.frame_bytes(trial)


@dataclass(frozen=True)
class _Place:
    """Where a trial's frames begin."""

    path: Path
    first_byte: int
    sizes: _Sizes


def _check_size(trials: tuple[Message, ...], sizes: _Sizes, *, num_models: int, frames_bytes: int) -> None:
    for trial in trials:
        name, num_frames, num_passes = (
            trial.text(_TrialField.NAME),
            trial.integer(_TrialField.NUM_FRAMES),
            len(trial.messages(_TrialField.PASSES)),
        )
        if num_frames < 0 or num_passes > num_models:
            raise DamagedMessageError(
                f"its trial '{name}' has {num_frames} frames and {num_passes} passes of {num_models}"
            )
        if num_frames and num_passes and not sizes.pass_bytes:
            raise DamagedMessageError("the frames of its passes are said to be empty")
    expected_bytes = sum(sizes.trial_bytes(trial) for trial in trials)
    if expected_bytes != frames_bytes:
        what = "is cut short" if frames_bytes < expected_bytes else "goes on after its last frame"
        raise DamagedMessageError(
            f"it {what}: its frames take {frames_bytes} bytes, and its header tells of {expected_bytes}"
        )


def _trial(place: _Place, header: Message, counts: dict[str, int]) -> B3DTrial:
    name, num_frames = header.text(_TrialField.NAME), header.integer(_TrialField.NUM_FRAMES)
    timestep_s = header.double(_TrialField.TIMESTEP)
    missing_reason = np.array(header.integers(_TrialField.MISSING_REASON), dtype=np.int64)
    if len(missing_reason) != num_frames:
        raise DamagedMessageError(
            f"its trial '{name}' has {num_frames} frames, but {len(missing_reason)} marks of missing force"
        )
    if not (np.isfinite(timestep_s) and timestep_s > 0):
        raise DamagedMessageError(f"the frames of its trial '{name}' are {timestep_s} s apart")
    passes = []
    for number, each in enumerate(header.messages(_TrialField.PASSES)):
        kind = each.integer(_KIND_OF_PASS)
        observed = np.array(each.integers(_OBSERVED_OF_PASS), dtype=bool)
        if len(observed) not in (0, counts["dof"]):
            raise DamagedMessageError(
                f"its trial '{name}' tells of {len(observed)} coordinates that were observed or not"
            )
        offset, num_bytes = place.sizes.sensor_bytes + number * place.sizes.pass_bytes, place.sizes.pass_bytes
        frame = _bytes_at(place.path, place.first_byte + offset, num_bytes) if num_frames else b""
        passes.append(
            B3DPass(
                kind=PASS_KINDS[kind] if 0 <= kind < len(PASS_KINDS) else "unknown",
                observed=observed if len(observed) else np.ones(counts["dof"], dtype=bool),
                _path=place.path,
                _layout=_layout(frame, counts),
                _part_of_frame=slice(offset, offset + num_bytes),
                _trial_first_byte=place.first_byte,
                _trial_shape=(num_frames, place.sizes.frame_bytes(header)),
            )
        )
    return B3DTrial(
        name,
        timestep_s,
        num_frames,
        missing_reason,
        header.texts(_TrialField.TAGS),
        header.text(_TrialField.ORIGINAL_NAME),
        tuple(passes),
    )


def _bytes_at(path: Path, first_byte: int, num_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(first_byte)
            return file.read(num_bytes)
    except OSError as error:
        raise InputFileError(f"{path}: can't be read ({error.strerror or error}).") from None


def _layout(frame: bytes, counts: dict[str, int]) -> _Layout:
    """Where the numbers of a frame are; nowhere in a frame of no bytes."""
    quantity_of = {number: quantity for quantity, (number, _, _) in _QUANTITIES.items()}
    is_tag = np.ones(len(frame), dtype=bool)
    columns: dict[str, slice] = {}
    for number, encoding, value, end in fields(memoryview(frame)):
        if encoding != LENGTH_DELIMITED or isinstance(value, int) or len(value) % _WORD_BYTES:
            raise DamagedMessageError(f"field {number} of a frame is not a row of numbers")
        is_tag[end - len(value) : end] = False
        if number in quantity_of:
            columns[quantity_of[number]] = slice(end - len(value), end)
    for quantity, (_, width, counted_by) in _QUANTITIES.items():
        num_expected = width * counts[counted_by]
        if num_expected == 0 or not frame:
            columns.setdefault(quantity, slice(0, 0))
        part = columns.get(quantity)
        num_found = 0 if part is None else (part.stop - part.start) // _WORD_BYTES
        if frame and (num_found != num_expected) and (part is not None or quantity == "pos"):
            raise DamagedMessageError(f"a frame holds {num_found} numbers as '{quantity}' instead of {num_expected}")
    return _Layout(columns, np.flatnonzero(is_tag), np.frombuffer(frame, np.uint8)[is_tag])


def _dof_names(osim_text: str, num_dofs: int) -> tuple[str, ...]:
    """The coordinates that a frame holds, in its order: those of each joint from the root outwards, depth first."""
    try:
        model = ElementTree.fromstring(osim_text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DamagedMessageError(f"its model is not XML ({error})") from None
    coupled = {
        constraint.findtext("dependent_coordinate_name", "").strip()
        for constraint in model.iter("CoordinateCouplerConstraint")
    }
    joints = list(_joints(model))
    names: list[str] = []
    waiting = [joint for joint in reversed(joints) if joint.parent == "ground"]
    placed: set[str] = set()
    while waiting:
        joint = waiting.pop()
        if joint.child in placed:
            continue
        placed.add(joint.child)
        names += [name for name in joint.coordinates if name not in coupled]
        waiting += [other for other in reversed(joints) if other.parent == joint.child]
    if len(names) != num_dofs:
        raise DamagedMessageError(f"its frames hold {num_dofs} coordinates, but its model has {len(names)}")
    return tuple(names)


@dataclass(frozen=True)
class _Joint:
    parent: str
    child: str
    coordinates: tuple[str, ...]


def _joints(model: ElementTree.Element) -> Iterator[_Joint]:
    """The joints of a model of OpenSim 4 (a set of joints) or 3 (each in the body that it moves)."""
    for joint in model.findall(".//JointSet/objects/*"):
        body_of_frame = {
            frame.get("name", ""): frame.findtext("socket_parent", "")
            for frame in joint.findall("./frames/PhysicalOffsetFrame")
        }
        ends = [joint.findtext(f"socket_{end}_frame", "").strip() for end in ("parent", "child")]
        parent, child = (body_of_frame.get(end, end).strip().rpartition("/")[2] for end in ends)
        yield _Joint(parent, child, _coordinate_names(joint))
    for body in model.findall(".//BodySet/objects/Body"):
        for joint in body.findall("./Joint/*"):
            yield _Joint(joint.findtext("parent_body", "").strip(), body.get("name", ""), _coordinate_names(joint))


def _coordinate_names(joint: ElementTree.Element) -> tuple[str, ...]:
    return tuple(coordinate.get("name", "") for coordinate in joint.iter("Coordinate"))
