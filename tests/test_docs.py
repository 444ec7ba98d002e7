"""Every example in the documentation runs."""

import json
import re
import shlex
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from gaitdynamics.apps.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, code)
        for page in PAGES
        for found, code in BLOCK.findall(page.read_text("utf-8"))
        if found == language
    ]


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples take for granted: a model, motions, and a small study."""
    assets = Path(str(files("gaitdynamics") / "assets"))
    shutil.copy(assets / "generic_body.osim", tmp_path / "subject.osim")
    for name in ("walk.mot", "first.mot", "second.mot"):
        shutil.copy(assets / "synthetic_walk.mot", tmp_path / name)
    header, rows = (assets / "synthetic_walk.mot").read_text().split("endheader\n")
    labels, *lines = rows.splitlines()
    forward = labels.split("\t").index("pelvis_tx")
    cells = [line.split("\t") for line in lines]
    for row in cells:
        row[forward] = str(float(row[forward]) - 1.3 * float(row[0]))
    treadmill = "\n".join([labels, *("\t".join(row) for row in cells)]) + "\n"
    (tmp_path / "treadmill.mot").write_text(f"{header}endheader\n{treadmill}")
    monkeypatch.chdir(tmp_path)
    run(["estimate", "walk.mot", "--model", "subject.osim", "--out", "made", "--belt-speed", "0"], monkeypatch)
    person, trial = tmp_path / "study" / "synthetic" / "nobody", tmp_path / "study" / "synthetic" / "nobody" / "walk"
    trial.mkdir(parents=True)
    shutil.copy("subject.osim", person / "model.osim")
    shutil.copy("walk.mot", trial / "ik.mot")
    shutil.copy("made/walk_forces.mot", trial / "grf.mot")
    about = {"dataset": "synthetic", "subject": "nobody", "split": "validation", "mass_kg": 75.0, "height_m": 1.75}
    (person / "subject.json").write_text(json.dumps(about))
    recording = {"activity": "walk", "surface": "overground", "forces_valid_s": [[0.0, 5.9]]}
    (trial / "trial.json").write_text(json.dumps(recording))
    return tmp_path


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gaitdynamics", *arguments])
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, f"gaitdynamics {' '.join(arguments)} ended with {ended.code}"


@pytest.mark.parametrize(("page", "code"), blocks("bash"))
def test_every_command_in_the_documentation_runs(
    page: str, code: str, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in code.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "gaitdynamics", f"{page}: '{line}' is not a command of ours"
        run(arguments, monkeypatch)


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_every_python_example_in_the_documentation_runs(page: str, code: str, user_folder: Path) -> None:
    names: dict[str, object] = {}
    exec(compile(code, page, "exec"), names)  # the project's own documentation
    assert "written" in names


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in LINK.findall(page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


def test_the_documentation_has_examples() -> None:
    assert len(blocks("bash")) >= 5
    assert len(blocks("python")) >= 1
