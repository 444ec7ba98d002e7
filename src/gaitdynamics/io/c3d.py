"""Recordings of laboratories (.c3d): markers, and what force plates say."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.c3d_child import REFUSED
from gaitdynamics.io.file_kinds import FileKind, kind_of, wrong_slot
from gaitdynamics.io.table import read_text, shortened
from gaitdynamics.io.trc import RawMarkers

LONGEST_READING_S = 300.0
HEADER_BYTES = 512  # of each block, too
BIG_ENDIAN = bytes([86])  # the format's number of such a processor
LAST_FRAME_OF_HEADER = 65535  # the header's own count ends here
# Points that are no places: what Plug-in Gait and others compute, and how they list it.
COMPUTED_LISTS = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS", "REACTIONS", "MODELED_MARKERS_ANGLES")
_UP_OF_SCREEN = {"+X": "x", "-X": "-x", "+Y": "y", "-Y": "-y", "+Z": "z", "-Z": "-z"}


@dataclass(frozen=True)
class RawPlate:
    """A force plate as a file has it.

    Args:
        number: in the file, from 1.
        kind: the file format's type of plate.
        corners: in the laboratory's axes and the markers' unit, (4, 3).
        origin: of the sensors, in the plate's axes and the markers' unit, (3,).
        calibration: that turns channels into force and moment, (6, 6); None where there is none.
        channels: (K, N).
        units: of the channels, as the file calls them.
    """

    number: int
    kind: int
    corners: np.ndarray
    origin: np.ndarray
    calibration: np.ndarray | None
    channels: np.ndarray
    units: tuple[str, ...]


@dataclass(frozen=True)
class RawRecording:
    """What a .c3d file holds, in its own units and axes.

    Args:
        markers: that were seen at least once; maybe none.
        plates: maybe none.
        plate_time_s: of the plates' channels, (N,).
        screen_up: the direction that the file says is up on a screen; None where it does not say.
        warnings: for the user.
    """

    markers: RawMarkers
    plates: tuple[RawPlate, ...]
    plate_time_s: np.ndarray
    screen_up: str | None
    warnings: tuple[str, ...]


def read_c3d(path: Path) -> RawRecording:
    """Read a .c3d file of any maker of hardware, in a process of its own (`c3d_child` says why).

    Raises:
        InputFileError: not such a file, cut off, or damaged.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind is FileKind.MISSING:
        read_text(path)  # says why
    if kind is not FileKind.C3D:
        if kind is not FileKind.UNKNOWN:
            raise InputFileError(wrong_slot(path, expected="a recording with markers (.c3d)"))
        raise InputFileError(
            f"{path}: no C3D file: it does not begin as one. Expected a recording with markers; export it again."
        )
    points, analogs, about = _read_apart(path)
    parameters = about["parameters"]
    rate_hz, first = about["rate_hz"], about["first_frame"]
    num_frames = points.shape[2]
    expected = _frames_of_header(path)
    if expected is not None and num_frames < expected:
        raise InputFileError(
            f"{path}: has {num_frames} of the {expected} frames that its header tells of, so it is cut off. "
            "Copy or export it again."
        )
    if num_frames < 2 or not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputFileError(
            f"{path}: {num_frames} frames at {rate_hz:g} Hz. Expected a recording of at least two frames."
        )
    point = parameters.get("POINT", {})
    warnings: list[str] = []
    names, position = _markers(points, point, path, warnings)
    unit = _first_text(point.get("UNITS"))
    start_s = first / rate_hz
    markers = RawMarkers(start_s + np.arange(num_frames) / rate_hz, names, position, unit)
    plates: tuple[RawPlate, ...] = ()
    plate_time_s = np.zeros(0)
    if analogs.size and about["analog_rate_hz"] > 0:
        plates = _plates(analogs, parameters, path)
        plate_time_s = start_s + np.arange(analogs.shape[1]) / about["analog_rate_hz"]
    screen_up = _UP_OF_SCREEN.get(_first_text(point.get("Y_SCREEN")).upper())
    return RawRecording(markers, plates, plate_time_s, screen_up, tuple(warnings))


def _frames_of_header(path: Path) -> int | None:
    """How many frames the file says that it has, which the reader does not tell; None where it can't say."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        file.seek((header[0] - 1) * HEADER_BYTES)
        processor = file.read(4)[-1:]
    order: Literal["big", "little"] = "big" if processor == BIG_ENDIAN else "little"
    first, last = (int.from_bytes(header[at : at + 2], order) for at in (6, 8))
    return last - first + 1 if last < LAST_FRAME_OF_HEADER else None


def _read_apart(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "content.npz"
        program = Path(__file__).with_name("c3d_child.py")
        # -P: the program's folder must not hide modules of the same names.
        command = [sys.executable, "-P", str(program), str(path.resolve()), str(result)]
        try:
            run = subprocess.run(command, capture_output=True, timeout=LONGEST_READING_S, check=False)
        except subprocess.TimeoutExpired:
            raise InputFileError(
                f"{path}: could not be read within {LONGEST_READING_S:g} s, so it is damaged or far too long. "
                "Export it again, or in parts."
            ) from None
        if run.returncode != 0 or not result.is_file():
            told = run.stderr.decode(errors="replace").strip()
            reason = f" The reader says: {told}" if run.returncode == REFUSED and told else ""
            raise InputFileError(f"{path}: a C3D file that is damaged or not whole. Export it again.{reason}")
        with np.load(result, allow_pickle=False) as content:
            return content["points"], content["analogs"], json.loads(str(content["about"]))


def _markers(
    points: np.ndarray, parameters: Mapping[str, Any], path: Path, warnings: list[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and places (T, M, 3), of points that are seen and are markers."""
    labels = _numbered(parameters, "LABELS")[: points.shape[1]]
    labels += [""] * (points.shape[1] - len(labels))
    computed = {name for what in COMPUTED_LISTS for name in _numbered(parameters, what)}
    position = np.moveaxis(points, 0, 2).swapaxes(0, 1).copy()
    position[(position == 0).all(axis=2)] = np.nan
    is_seen = np.isfinite(position).all(axis=2).any(axis=0)
    chosen = [
        k
        for k, label in enumerate(labels)
        if is_seen[k] and label and not label.startswith("*") and label not in computed
    ]
    counts = Counter(labels[k] for k in chosen)
    repeated = [label for label, count in counts.items() if count > 1]
    if repeated:
        warnings.append(f"{path.name}: more than one marker is called {shortened(repeated)}; the first is taken.")
        first = {label: k for k, label in reversed([(k, labels[k]) for k in chosen])}
        chosen = sorted(first.values())
    position[~np.isfinite(position).all(axis=2)] = np.nan
    return without_prefix([labels[k] for k in chosen]), position[:, chosen]


def without_prefix(names: list[str]) -> tuple[str, ...]:
    """Names without the subject's, as in `Anna:LASI`, unless two people's would become alike."""
    short = [name.rpartition(":")[2].strip() or name for name in names]
    return tuple(short if len(set(short)) == len(short) else names)


def _numbered(parameters: Mapping[str, Any], name: str) -> list[str]:
    """Texts of a parameter that goes on in others: LABELS, LABELS2, …"""
    texts: list[str] = []
    number = 1
    while (key := name if number == 1 else f"{name}{number}") in parameters:
        texts += [str(text).strip() for text in _listed(parameters[key])]
        number += 1
    return texts


def _plates(analogs: np.ndarray, parameters: Mapping[str, Any], path: Path) -> tuple[RawPlate, ...]:
    group = parameters.get("FORCE_PLATFORM", {})
    used = _listed(group.get("USED", []))
    num_plates = int(used[0]) if used else 0
    if num_plates <= 0:
        return ()
    units = tuple(_numbered(parameters.get("ANALOG", {}), "UNITS"))
    kinds = [int(kind) for kind in _listed(group.get("TYPE", []))]
    corners = _array(group.get("CORNERS"), (3, 4), num_plates)
    origins = _array(group.get("ORIGIN"), (3,), num_plates)
    calibrations = _array(group.get("CAL_MATRIX"), (6, 6), num_plates)
    channel_numbers = np.asarray(group.get("CHANNEL", []))
    if corners is None or len(kinds) < num_plates or channel_numbers.ndim != 2 or channel_numbers.shape[1] < num_plates:
        raise InputFileError(
            f"{path}: tells of {num_plates} force plates, but not of all their types, corners and channels "
            "(FORCE_PLATFORM:TYPE, CORNERS, CHANNEL). Export it again with the plates' parameters, or without plates."
        )
    plates = []
    for k in range(num_plates):
        numbers = channel_numbers[:, k].astype(int) - 1
        numbers = numbers[numbers >= 0]
        if (numbers >= len(analogs)).any():
            raise InputFileError(
                f"{path}: force plate {k + 1} uses analog channel {int(numbers.max()) + 1}, and the file has "
                f"{len(analogs)}. Export it again with all channels."
            )
        plates.append(
            RawPlate(
                number=k + 1,
                kind=kinds[k],
                corners=corners[..., k].T,
                origin=np.zeros(3) if origins is None else origins[..., k],
                calibration=None if calibrations is None else calibrations[..., k],
                channels=analogs[numbers],
                units=tuple(units[n] if n < len(units) else "" for n in numbers),
            )
        )
    return tuple(plates)


def _array(values: Any, shape: tuple[int, ...], num_plates: int) -> np.ndarray | None:
    """A parameter with the plates along its last axis; None where it is absent or of another shape."""
    try:
        array = np.asarray([] if values is None else values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.shape == shape and num_plates == 1:
        array = array[..., None]
    return array if array.shape[:-1] == shape and array.shape[-1] >= num_plates else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _first_text(value: Any) -> str:
    texts = _listed([] if value is None else value)
    return str(texts[0]).strip() if texts else ""
