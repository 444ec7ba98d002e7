"""What a file is, by its content, so that one in the wrong place can be told where it belongs."""

import zipfile
from enum import Enum
from pathlib import Path

HEAD_BYTES = 65536  # the header and the labels of any table are within


class FileKind(Enum):
    """What a file holds; the value says it in words, with the place that it fits."""

    MODEL = "an OpenSim model (.osim), for --model"
    MOTION = "a motion with joint coordinates (.mot, .sto), for 'estimate' and the other commands that take a MOTION"
    FORCES = "a table of measured forces (.mot, .sto), for --forces of 'moments'"
    EXTERNAL_LOADS = "OpenSim's external loads (.xml), for --forces of 'moments'"
    MARKERS = "marker trajectories (.trc), for 'ik'"
    C3D = "a recording of a laboratory (.c3d), for 'ik'"
    ZIP = "a zip archive, such as an OpenCap session"
    B3D = "a subject of AddBiomechanics (.b3d), for 'data build'"
    FOLDER = "a folder"
    MISSING = "no file"
    UNKNOWN = "a file of a kind that is not known here"


_WORDS_OF_FORCES = ("force", "torque", "grf", "cop", "moment")
_C3D_MARK = 0x50  # the second byte


def kind_of(path: Path) -> FileKind:
    """What a file is; its content decides, its name only where the content does not tell."""
    path = Path(path)
    if path.is_dir():
        return FileKind.FOLDER
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return FileKind.MISSING
    if head[:4] == b"PK\x03\x04" or (head[:2] == b"PK" and zipfile.is_zipfile(path)):
        return FileKind.ZIP
    if len(head) >= 512 and head[1] == _C3D_MARK and 0 < head[0] < 128 and path.suffix.lower() != ".b3d":
        return FileKind.C3D
    if path.suffix.lower() == ".b3d":
        return FileKind.B3D
    if b"\0" in head:
        return FileKind.UNKNOWN
    return _kind_of_text(head.decode("utf-8-sig", errors="replace"))


def _kind_of_text(text: str) -> FileKind:
    start = text.lstrip()
    if start.startswith("<"):
        if "<ExternalLoads" in text:
            return FileKind.EXTERNAL_LOADS
        return FileKind.MODEL if "<Model" in text else FileKind.UNKNOWN
    if start.startswith("PathFileType"):
        return FileKind.MARKERS
    lines = text.replace("\r", "\n").split("\n")
    ends = [k for k, line in enumerate(lines) if line.strip().lower().replace("_", "").replace(" ", "") == "endheader"]
    if not ends:
        return FileKind.UNKNOWN
    labels = next((line for line in lines[ends[0] + 1 :] if line.strip()), "").lower()
    cells = [label for label in labels.split() if label not in ("time", "t")]
    # Joint moments are called by their coordinates: forces of plates have a direction at the end.
    is_force = [any(word in cell for word in _WORDS_OF_FORCES) and cell[-1:] in "xyz" for cell in cells]
    return FileKind.FORCES if cells and sum(is_force) > len(cells) / 2 else FileKind.MOTION


def wrong_slot(path: Path, *, expected: str) -> str:
    """A sentence about a file that is not what was asked for: what it is, and where it fits.

    Args:
        path: of the file.
        expected: what was asked for, as a phrase.
    """
    kind = kind_of(path)
    if kind is FileKind.MISSING:
        return f"{path}: there is no such file. Expected {expected}; check the spelling and the folder."
    return f"{path}: this is {kind.value}. Expected {expected}."
