"""Writing results."""

import os
from pathlib import Path

import pytest

from gaitdynamics.errors import OutputError
from gaitdynamics.io.files import check_writable, write_files


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_and_their_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_files({folder / "a.mot": "één\n", folder / "b.png": b"\0\1"}, overwrite=False)
    assert (folder / "a.mot").read_bytes() == "één\n".encode()
    assert (folder / "b.png").read_bytes() == b"\0\1"
    assert files_in(folder) == ["a.mot", "b.png"]


def test_an_existing_file_stays_and_nothing_else_is_written(tmp_path: Path) -> None:
    (tmp_path / "b.mot").write_text("old")
    with pytest.raises(OutputError, match=r"b\.mot: exists already.*--overwrite"):
        write_files({tmp_path / "a.mot": "new", tmp_path / "b.mot": "new"}, overwrite=False)
    assert files_in(tmp_path) == ["b.mot"]
    assert (tmp_path / "b.mot").read_text() == "old"


def test_overwriting_replaces(tmp_path: Path) -> None:
    (tmp_path / "b.mot").write_text("old")
    write_files({tmp_path / "b.mot": "new"}, overwrite=True)
    assert (tmp_path / "b.mot").read_text() == "new"
    assert files_in(tmp_path) == ["b.mot"]


def test_a_result_that_there_is_not_this_time_takes_the_earlier_one_away_when_overwriting(tmp_path: Path) -> None:
    (tmp_path / "b.mot").write_text("old")
    contents = {tmp_path / "a.mot": "new", tmp_path / "b.mot": None, tmp_path / "c.mot": None}
    with pytest.raises(OutputError, match=r"b\.mot: exists already.*--overwrite"):
        write_files(contents, overwrite=False)
    assert files_in(tmp_path) == ["b.mot"]
    write_files(contents, overwrite=True)
    assert files_in(tmp_path) == ["a.mot"]


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mot").write_text("old")
    write_bytes = Path.write_bytes

    def disk_full(path: Path, content: bytes) -> int:
        if content == b"second":
            write_bytes(path, content[:3])
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OutputError, match="No space left"):
        write_files({tmp_path / "a.mot": None, tmp_path / "b.mot": "second"}, overwrite=True)
    with pytest.raises(OutputError, match="No space left"):
        write_files({tmp_path / "a.mot": "first", tmp_path / "b.mot": "second"}, overwrite=True)
    assert files_in(tmp_path) == ["a.mot"]
    assert (tmp_path / "a.mot").read_text() == "old"


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="this is a folder"):
        check_writable([tmp_path], overwrite=True)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="this is a file"):
        check_writable([tmp_path / "a" / "b.mot"], overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may not write"):
        check_writable([tmp_path / "a.mot"], overwrite=True)
    tmp_path.chmod(0o700)


def test_an_impossible_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_files({tmp_path / ("x" * 5000): ""}, overwrite=False)
    with pytest.raises(OutputError):
        write_files({tmp_path / "a\0b": ""}, overwrite=False)


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_writable([tmp_path / "new" / "a.mot"], overwrite=False)
    assert files_in(tmp_path) == []
