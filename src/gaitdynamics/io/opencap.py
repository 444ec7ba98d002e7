"""Sessions of OpenCap: a folder or a zip archive with a scaled model, motions and who it is."""

import re
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.file_kinds import FileKind, kind_of
from gaitdynamics.io.table import read_text, shortened

METADATA_FILE = "sessionMetadata.yaml"
MODEL_PLACE = ("OpenSimData", "Model")
MOTION_PLACE = ("OpenSimData", "Kinematics")
MARKER_PLACE = ("MarkerData",)
TAKEN_SUFFIXES = (".osim", ".mot", ".trc", ".yaml", ".vtp")  # videos and the rest stay in the archive
MOST_MEMBERS = 20_000
LARGEST_CONTENT = 1 << 30  # bytes of the files that are taken: hours of motion
LARGEST_RATIO = 200  # of a file's size to its size in the archive; tables of numbers stay below 30
SMALL_FILE = 1 << 20  # bytes, below which a ratio says nothing
SEX_OF_LETTER = {"m": "male", "f": "female", "man": "male", "woman": "female"}
_LINE = re.compile(r"""^(?P<key>\w+)\s*:\s*(?P<quote>["']?)(?P<value>.*?)(?P=quote)\s*(#.*)?$""")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class OpenCapSession:
    """One person's session.

    Args:
        name: of the session's folder.
        folder: that it is in.
        model_path: the scaled model.
        motions: joint angles of its trials, by name.
        markers: markers of its trials, by name; maybe none.
        mass_kg: None where it is not told.
        height_m: None where it is not told.
        sex: 'female', 'male' or None.
    """

    name: str
    folder: Path
    model_path: Path
    motions: tuple[Path, ...]
    markers: tuple[Path, ...]
    mass_kg: float | None
    height_m: float | None
    sex: str | None


def read_opencap(path: str | Path, *, unpack_to: Path | None = None) -> OpenCapSession:
    """Read a session: who it is, and where its model and motions are.

    Args:
        path: the session's folder, one that holds it alone, or a .zip of it.
        unpack_to: folder for the files of a .zip, which must be empty or new.

    Raises:
        InputFileError: no session; a session without a model or motions; or an archive that is damaged, far too large
            when unpacked, or wants to be unpacked elsewhere.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind is FileKind.ZIP:
        if unpack_to is None:
            raise InputFileError(f"{path}: a zip archive. Unpack it, and give the folder.")
        unpack(path, unpack_to)
        folder = _session_folder(unpack_to, path)
        return _session(folder, path, name=path.stem if folder == unpack_to else folder.name)
    if kind is FileKind.FOLDER:
        folder = _session_folder(path, path)
        return _session(folder, path, name=folder.resolve().name)
    if kind is FileKind.MISSING:
        raise InputFileError(f"{path}: there is no such file or folder. Check the spelling.")
    raise InputFileError(f"{path}: this is {kind.value}. Expected an OpenCap session: its folder, or a .zip of it.")


def is_opencap(path: str | Path) -> bool:
    """Whether a folder or a .zip looks like a session; nothing is unpacked."""
    path = Path(path)
    kind = kind_of(path)
    if kind is FileKind.FOLDER:
        return bool(_candidates(path))
    if kind is not FileKind.ZIP:
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name.replace("\\", "/")) for name in archive.namelist()[:MOST_MEMBERS]]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return any(MODEL_PLACE[0] in name.parts or name.name == METADATA_FILE for name in names)


def unpack(path: Path, folder: Path) -> tuple[Path, ...]:
    """Unpack models, motions, markers and descriptions of an archive; nothing is written outside the folder.

    Args:
        path: .zip.
        folder: empty or new; what was unpacked is removed again where something is wrong.

    Returns:
        The files.

    Raises:
        InputFileError: the archive is damaged or encrypted, far too large when unpacked, has links, or names that lead
            elsewhere; or the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputFileError(f"{folder}: not an empty folder. Give a new one to unpack {path.name} into.")
    is_new = not folder.exists()
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, path)
            taken = [m for m in members if not m.is_dir() and _suffix(m) in TAKEN_SUFFIXES]
            folder.mkdir(parents=True, exist_ok=True)
            return _extracted(archive, taken, folder, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        _empty(folder, is_new=is_new)
        told = " ".join(str(error).split())[:200]
        raise InputFileError(f"{path}: the archive is damaged ({told}). Download it again.") from None
    except OSError as error:
        _empty(folder, is_new=is_new)
        raise InputFileError(f"{path}: can't be unpacked ({error.strerror or error}).") from None
    except InputFileError:
        _empty(folder, is_new=is_new)
        raise


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    if len(members) > MOST_MEMBERS:
        raise InputFileError(
            f"{path}: holds {len(members)} files, more than {MOST_MEMBERS}, which is no session. Give one session."
        )
    total = 0
    seen: set[str] = set()
    for member in members:
        name = member.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or any(":" in part or "\0" in part for part in parts):
            raise InputFileError(
                f"{path}: holds '{name[:80]}', which would be unpacked outside its folder. That is no session of "
                "OpenCap; do not unpack it."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputFileError(f"{path}: holds the link '{name[:80]}'. Expected files only; zip the session again.")
        if member.is_dir() or _suffix(member) not in TAKEN_SUFFIXES:
            continue
        if member.flag_bits & 0x1:
            raise InputFileError(f"{path}: is encrypted. Unpack it with its password, and give the folder.")
        if name.casefold() in seen:
            raise InputFileError(f"{path}: holds '{name[:80]}' twice. Zip the session again.")
        seen.add(name.casefold())
        total += member.file_size
        is_suspicious = member.file_size > max(SMALL_FILE, LARGEST_RATIO * member.compress_size)
        if is_suspicious or total > LARGEST_CONTENT:
            raise InputFileError(
                f"{path}: '{name[:80]}' would unpack to {member.file_size / 1e6:.0f} MB, {total / 1e6:.0f} MB so far, "
                f"from {member.compress_size / 1e6:.3g} MB: more than any session. Give one session, not a whole study."
            )


def _extracted(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, path: Path) -> tuple[Path, ...]:
    paths = []
    root = folder.resolve()
    for member in members:
        target = (root / member.filename.replace("\\", "/")).resolve()
        if not target.is_relative_to(root):
            raise InputFileError(f"{path}: holds '{member.filename[:80]}', which would be unpacked outside its folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        left = member.file_size
        with archive.open(member) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:  # the archive's own figures need not be true
                    raise InputFileError(f"{path}: '{member.filename[:80]}' is larger than the archive says.")
                file.write(chunk)
        paths.append(folder / target.relative_to(root))
    return tuple(paths)


def _empty(folder: Path, *, is_new: bool) -> None:
    if is_new:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename.replace("\\", "/")).suffix.lower()


def _candidates(folder: Path) -> list[Path]:
    """The folder itself, or those in it, that look like sessions."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("__"))]
    found = [path for path in places if (path / MODEL_PLACE[0]).is_dir() or (path / METADATA_FILE).is_file()]
    return found[:1] if found[:1] == [folder] else found


def _session_folder(folder: Path, path: Path) -> Path:
    found = _candidates(folder)
    if not found:
        raise InputFileError(
            f"{path}: no OpenCap session: neither {METADATA_FILE} nor {MODEL_PLACE[0]} in it. Expected the folder or "
            ".zip that OpenCap lets one download."
        )
    if len(found) > 1:
        raise InputFileError(
            f"{path}: holds {len(found)} sessions, {shortened([each.name for each in found])}. Give one of them."
        )
    return found[0]


def _session(folder: Path, path: Path, *, name: str) -> OpenCapSession:
    known = _metadata(folder / METADATA_FILE)
    motions = _files(folder.joinpath(*MOTION_PLACE), ".mot")
    model_path = _model(folder, path, wanted=known.get("openSimModel", ""))
    if not motions:
        raise InputFileError(
            f"{path}: the session has no motions: no .mot in {'/'.join(MOTION_PLACE)}. Process its trials in OpenCap, "
            "and download it again."
        )
    return OpenCapSession(
        name=name,
        folder=folder,
        model_path=model_path,
        motions=motions,
        markers=_files(folder.joinpath(*MARKER_PLACE), ".trc"),
        mass_kg=_number(known.get("mass_kg")),
        height_m=_number(known.get("height_m")),
        sex=_sex(known),
    )


def _model(folder: Path, path: Path, *, wanted: str) -> Path:
    """The scaled model; of several, the one that the session was processed with."""
    models = _files(folder.joinpath(*MODEL_PLACE), ".osim")
    if not models:
        raise InputFileError(
            f"{path}: a session without a model: no .osim in {'/'.join(MODEL_PLACE)}. Download the whole session from "
            "OpenCap, not the motions alone."
        )
    for is_wanted in (
        lambda name: bool(wanted) and name.startswith(wanted) and name.endswith("_scaled"),
        lambda name: name.endswith("_scaled"),
        lambda name: "scaled" in name,
    ):
        chosen = [model for model in models if is_wanted(model.stem)]
        if len(chosen) == 1:
            return chosen[0]
    if len(models) == 1:
        return models[0]
    raise InputFileError(
        f"{path}: the session has several models, {shortened([model.name for model in models])}. Remove all but the "
        "one that the motions were made with, which OpenCap calls <model>_scaled.osim."
    )


def _files(folder: Path, suffix: str) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    found = [path for path in folder.rglob("*") if path.suffix.lower() == suffix and path.is_file()]
    return tuple(sorted(path for path in found if not path.name.startswith(".")))  # macOS's shadows begin so


def _metadata(path: Path) -> dict[str, str]:
    """The plain `key: value` lines of a description; anything nested is of no use here."""
    if not path.is_file():
        return {}
    lines = [_LINE.match(line) for line in read_text(path).split("\n")]
    return {match["key"]: match["value"].strip() for match in lines if match}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _sex(known: dict[str, str]) -> str | None:
    for key in ("sex", "gender_mf", "gender"):
        value = known.get(key, "").lower()
        if value in ("female", "male"):
            return value
        if value in SEX_OF_LETTER:
            return SEX_OF_LETTER[value]
    return None
