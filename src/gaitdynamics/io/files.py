"""Writing results: all of them, or none."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from gaitdynamics.errors import OutputError


def check_writable(paths: Iterable[Path], *, overwrite: bool) -> None:
    """Find out before a long computation whether its results can be written.

    Args:
        paths: the files to be written; folders that do not exist yet will be made.
        overwrite: whether existing files may be replaced.

    Raises:
        OutputError: a file exists already, is a folder, or its folder can't be written to.
    """
    paths = list(paths)
    try:
        existing = [path for path in paths if path.is_file()]
        for path in paths:
            _check_place(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"can't write {', '.join(map(str, paths))}: {error}. Choose another name.") from None
    if existing and not overwrite:
        names = ", ".join(map(str, existing))
        raise OutputError(f"{names}: exists already. Choose another place, or use --overwrite to replace it.")


def write_files(contents: Mapping[Path, str | bytes | None], *, overwrite: bool) -> None:
    """Write several files so that a failure leaves none of them half-written.

    Each is written under a temporary name beside its place, and all are renamed at the end.

    Args:
        contents: text (written as UTF-8) or bytes, by file; None for a result that there is not this time, so that an
            earlier one does not stay beside the new ones.
        overwrite: whether existing files may be replaced.

    Raises:
        OutputError: a file exists already, or can't be written.
    """
    check_writable(contents, overwrite=overwrite)
    temporaries: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            if content is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{os.getpid()}-{len(temporaries)}.part")
            temporaries[path] = temporary
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        for path, temporary in temporaries.items():
            temporary.replace(path)
        for path, content in contents.items():
            if content is None:
                path.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        names = ", ".join(map(str, contents))
        raise OutputError(f"can't write {names}: {error}. Free some space, or choose another folder.") from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder. Give the name of a file to write.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not an ordinary file. Give the name of a file to write.")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{folder}: this is a file, so nothing can be written inside it. Choose another folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: you may not write to this folder. Choose another one.")
