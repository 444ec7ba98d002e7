"""OpenCap sessions: who, which model, which motions; and archives that are not what they seem."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.io import opencap
from gaitdynamics.io.opencap import is_opencap, read_opencap, unpack

NAME = "OpenCapData_1234"
FILES = {
    "sessionMetadata.yaml": (
        "checkerBoard:\n  black2BlackCornersHeight_n: 4\ngender_mf: f\nheight_m: 1.61\n"
        "mass_kg: '58.5'  # as told\nopenSimModel: LaiUhlrich2022\nsubjectID: nobody\n"
    ),
    "OpenSimData/Model/LaiUhlrich2022_scaled.osim": "<?xml version='1.0'?><OpenSimDocument><Model/></OpenSimDocument>",
    "OpenSimData/Model/Geometry/pelvis.vtp": "<VTKFile/>",
    "OpenSimData/Kinematics/walk1.mot": "walk1\nendheader\ntime\n0\n",
    "OpenSimData/Kinematics/jump.mot": "jump\nendheader\ntime\n0\n",
    "OpenSimData/Kinematics/._jump.mot": "shadow",
    "MarkerData/walk1.trc": "PathFileType\n",
    "Videos/Cam0/walk1.mp4": "video",
}


def write_session(folder: Path, *, without: tuple[str, ...] = (), extra: dict[str, str] | None = None) -> Path:
    for name, content in {**FILES, **(extra or {})}.items():
        if not any(part in name for part in without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    return folder


def zipped(path: Path, members: dict[str, str | bytes], *, prefix: str = f"{NAME}/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(prefix + name, content)
    return path


def test_a_folder_and_its_archive_are_the_same_session(tmp_path: Path) -> None:
    folder = write_session(tmp_path / NAME)
    path = zipped(tmp_path / "download.zip", {**FILES})
    for session in (
        read_opencap(folder),
        read_opencap(tmp_path / NAME / ".."),
        read_opencap(path, unpack_to=tmp_path / "unpacked"),
    ):
        assert session.name == NAME
        assert session.model_path == session.folder / "OpenSimData" / "Model" / "LaiUhlrich2022_scaled.osim"
        assert [motion.name for motion in session.motions] == ["jump.mot", "walk1.mot"]
        assert [markers.name for markers in session.markers] == ["walk1.trc"]
        assert (session.mass_kg, session.height_m, session.sex) == (58.5, 1.61, "female")
        assert session.model_path.is_file()


def test_only_what_is_of_use_is_unpacked(tmp_path: Path) -> None:
    paths = unpack(zipped(tmp_path / "session.zip", {**FILES}), tmp_path / "unpacked")
    assert {path.suffix for path in paths} == {".yaml", ".osim", ".vtp", ".mot", ".trc"}
    assert set(paths) == {path for path in (tmp_path / "unpacked").rglob("*") if path.is_file()}


def test_an_archive_without_an_outer_folder_is_named_for_itself(tmp_path: Path) -> None:
    session = read_opencap(zipped(tmp_path / "anna.zip", {**FILES}, prefix=""), unpack_to=tmp_path / "unpacked")
    assert session.name == "anna"


def test_what_is_not_told_is_not_known(tmp_path: Path) -> None:
    session = read_opencap(write_session(tmp_path / NAME, without=("yaml", "MarkerData")))
    assert (session.mass_kg, session.height_m, session.sex, session.markers) == (None, None, None, ())


def test_of_several_models_the_scaled_one_of_the_session_is_taken(tmp_path: Path) -> None:
    model = FILES["OpenSimData/Model/LaiUhlrich2022_scaled.osim"]
    others = {f"OpenSimData/Model/{name}.osim": model for name in ("LaiUhlrich2022", "LaiUhlrich2022_scaled_adjusted")}
    folder = write_session(tmp_path / NAME, extra=others)
    assert read_opencap(folder).model_path.name == "LaiUhlrich2022_scaled.osim"
    folder = write_session(
        tmp_path / "two", without=("LaiUhlrich2022_scaled",), extra={f"OpenSimData/Model/{k}.osim": model for k in "ab"}
    )
    with pytest.raises(InputFileError, match=r"several models, 'a\.osim', 'b\.osim'"):
        read_opencap(folder)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("Model",), "a session without a model: no .osim in OpenSimData/Model"),
        (("Kinematics",), "no motions: no .mot in OpenSimData/Kinematics"),
        (("OpenSimData", "sessionMetadata"), "no OpenCap session"),
    ],
)
def test_half_a_session_is_refused(without: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=message):
        read_opencap(write_session(tmp_path / NAME, without=without))


def test_two_sessions_and_other_files_are_refused(tmp_path: Path) -> None:
    write_session(tmp_path / "study" / "one")
    write_session(tmp_path / "study" / "two")
    with pytest.raises(InputFileError, match="holds 2 sessions, 'one', 'two'"):
        read_opencap(tmp_path / "study")
    motion = tmp_path / "study" / "one" / "OpenSimData" / "Kinematics" / "walk1.mot"
    with pytest.raises(InputFileError, match=r"a motion with joint coordinates.*Expected an OpenCap session"):
        read_opencap(motion)
    with pytest.raises(InputFileError, match="there is no such file"):
        read_opencap(tmp_path / "nothing")
    with pytest.raises(InputFileError, match="Unpack it"):
        read_opencap(zipped(tmp_path / "session.zip", {**FILES}))


def test_a_session_is_recognised_without_unpacking(tmp_path: Path) -> None:
    assert is_opencap(write_session(tmp_path / NAME))
    assert is_opencap(zipped(tmp_path / "session.zip", {**FILES}))
    assert not is_opencap(zipped(tmp_path / "other.zip", {"letter.txt": "Dear"}))
    (tmp_path / "empty").mkdir()
    assert not is_opencap(tmp_path / "empty")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04nothing")
    assert not is_opencap(tmp_path / "broken.zip")


@pytest.mark.parametrize(
    "name",
    ["../outside.mot", "/tmp/outside.mot", "a/../../outside.mot", "..\\outside.mot", "C:\\outside.mot", "\\x.mot"],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "session.zip", {**FILES, name: "gotcha"}, prefix="")
    with pytest.raises(InputFileError, match="outside its folder"):
        unpack(path, tmp_path / "unpacked" / "here")
    assert not list(tmp_path.rglob("*outside*"))
    assert not (tmp_path / "unpacked" / "here").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "session.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("OpenSimData/Model/a.osim")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputFileError, match="holds the link"):
        unpack(path, tmp_path / "unpacked")


def test_archives_that_swell_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"OpenSimData/Kinematics/walk.mot": b"0" * 50_000_000})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputFileError, match="would unpack to 50 MB"):
        unpack(bomb, tmp_path / "unpacked")
    monkeypatch.setattr(opencap, "LARGEST_CONTENT", 1000)
    with pytest.raises(InputFileError, match="more than any session"):
        unpack(zipped(tmp_path / "b.zip", {f"{k}.mot": f"{k}" * 300 for k in range(5)}), tmp_path / "unpacked")
    monkeypatch.setattr(opencap, "MOST_MEMBERS", 5)
    with pytest.raises(InputFileError, match="holds 8 files, more than 5"):
        unpack(zipped(tmp_path / "c.zip", {**FILES}), tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_an_archive_that_lies_about_sizes_writes_no_more_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "session.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("walk.mot", "0123456789" * 1000)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)  # the uncompressed size in the directory
    path.write_bytes(bytes(content))
    with pytest.raises(InputFileError):
        unpack(path, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_damaged_and_double_archives_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    path = zipped(tmp_path / "session.zip", {**FILES})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputFileError, match="damaged"):
        unpack(path, tmp_path / "unpacked")
    damaged = bytearray(content)
    damaged[60:75] = bytes(15)
    path.write_bytes(bytes(damaged))
    with pytest.raises(InputFileError):
        unpack(path, tmp_path / "unpacked")
    with pytest.raises(InputFileError, match="twice"):
        unpack(zipped(tmp_path / "t.zip", {"A.mot": "1", "a.mot": "2"}), tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputFileError, match="not an empty folder"):
        unpack(zipped(tmp_path / "u.zip", {**FILES}), tmp_path / "full")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
