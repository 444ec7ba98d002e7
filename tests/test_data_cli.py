"""`gaitdynamics data` from the command line."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import test_build
from test_build import made, study
from typer.testing import CliRunner, Result

from gaitdynamics.apps import data

__all__ = ["made", "study"]


@pytest.fixture(autouse=True)
def quick_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in of the build's own tests."""
    examples = ModuleType("gaitdynamics.training.examples")
    monkeypatch.setattr(examples, "BLOCKS", test_build.ENCODING.blocks, raising=False)
    monkeypatch.setattr(examples, "NUM_VARIANTS", test_build.ENCODING.num_variants, raising=False)
    monkeypatch.setattr(examples, "encode_recording", test_build.force_rows, raising=False)
    monkeypatch.setitem(sys.modules, examples.__name__, examples)
    monkeypatch.setenv("COLUMNS", "120")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data.app, [str(argument) for argument in arguments])


def test_a_build_writes_a_data_folder_and_says_what_it_did(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("build", study, "--out", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    index = json.loads((out / "index.json").read_text())
    assert index["settings"]["as_measured"] is False
    assert len(index["recordings"]) == 5
    for said in ("Kept, minutes of valid force", "Laboratories", "validation", str(out / "report.md")):
        assert said in result.output


def test_as_measured_is_passed_on(study: Path, tmp_path: Path) -> None:
    result = run("build", study, "--out", tmp_path / "out", "--workers", 1, "--as-measured")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "index.json").read_text())["settings"]["as_measured"] is True
    assert "as measured" in result.output


def test_reasons_are_shown(study: Path, tmp_path: Path) -> None:
    (study / "D" / "P2" / "walk" / "grf.mot").write_text("nothing")
    result = run("build", study, "--out", tmp_path / "out", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "Recordings left out" in result.output
    assert "D/P2/walk" in result.output


def test_info_shows_who_is_in_a_data_folder(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("build", study, "--out", out, "--workers", 1)
    result = run("info", out)
    assert result.exit_code == 0, result.output
    for said in ("train", "validation", "1 f", "2 walk overground", "1.3", "0.003"):
        assert said in result.output
    assert result.output.count("all") >= 2


def test_info_needs_nothing_but_the_index(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("build", study, "--out", out, "--workers", 1)
    for path in out.iterdir():
        if path.name != "index.json":
            path.unlink()
    assert run("info", out).exit_code == 0


def test_info_about_something_else_is_an_error(tmp_path: Path) -> None:
    result = run("info", tmp_path)
    assert result.exit_code != 0
    assert "no data folder" in str(result.exception)


def test_help_names_every_option() -> None:
    result = run("build", "--help")
    for option in ("--out", "--workers", "--dask", "--as-measured", "--overwrite"):
        assert option in result.output
