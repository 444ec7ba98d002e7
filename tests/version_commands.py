"""Running `modify` and `speed` on a short piece of the bundled walk, with made-up versions of it."""

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ASSETS
from made_up_versions import MadeUpVersions
from matplotlib.figure import Figure
from moved_completer import MovedCompleter

from gaitdynamics.apps import cli, gait_plots, modify_files, speed_files
from gaitdynamics.io.motion import format_motion, read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.tasks import estimators
from gaitdynamics.types.motion import Motion

BODY = ASSETS / "generic_body.osim"
NUM_FRAMES = 250  # two strides
Outcome = tuple[int, str, str]


class Commands:
    """`gaitdynamics modify` and `gaitdynamics speed` in an empty folder that holds a walk.

    Args:
        is_made_up: the versions are `MadeUpVersions`, and nothing is drawn unless asked for; else as for a user.
        is_drawn: whether there are real pictures.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        *,
        is_made_up: bool = True,
        is_drawn: bool = False,
    ) -> None:
        self.versions, self.completer = MadeUpVersions(), MovedCompleter()
        self._monkeypatch, self._capsys = monkeypatch, capsys
        if is_made_up:
            monkeypatch.setattr(modify_files, "modify_gait", self.versions.modify_gait)
            monkeypatch.setattr(speed_files, "change_speed", self.versions.change_speed)
            monkeypatch.setattr(estimators, "load_completer", lambda name: self.completer)
            monkeypatch.setattr(estimators, "load_speed_response", lambda name: name, raising=False)
        if not is_drawn:
            monkeypatch.setattr(modify_files, "modification_picture", lambda *rest, **options: b"a picture")
            monkeypatch.setattr(speed_files, "speed_picture", lambda *rest, **options: b"a picture")

    def __call__(self, *arguments: str | Path) -> Outcome:
        """Exit code, and what was said on stdout and, in one line, on stderr."""
        self._monkeypatch.setattr(sys, "argv", ["gaitdynamics", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = self._capsys.readouterr()
        return code, said.out, " ".join(said.err.replace("│", " ").split())


def enter_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with walk.mot, a short walk, and subject.osim."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    Path("subject.osim").write_bytes(BODY.read_bytes())
    write_walk(Path("walk.mot"))


def write_walk(
    path: Path,
    *,
    num_frames: int = NUM_FRAMES,
    without: Sequence[str] = (),
    edit: Callable[[Motion], Motion] | None = None,
) -> None:
    """A piece of the bundled walk, without some coordinates."""
    skeleton = read_model(BODY)
    motion, _ = read_motion(ASSETS / "synthetic_walk.mot", skeleton.coordinates)
    kept = [k for k, name in enumerate(motion.coordinates) if name not in without]
    names = tuple(motion.coordinates[k] for k in kept)
    some = slice(0, num_frames)
    short = replace(
        motion,
        time_s=motion.time_s[some],
        values=motion.values[some][:, kept],
        observed=motion.observed[some][:, kept],
        coordinates=names,
    )
    path.write_text(format_motion(short if edit is None else edit(short), skeleton.coordinates, name=path.stem))


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file but the inputs."""
    found = {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: content for name, content in found.items() if name not in ("walk.mot", "subject.osim")}


def gait_files(stem: str) -> set[str]:
    return {f"{stem}{suffix}" for suffix in ("_motion.mot", "_forces.mot", "_external_loads.xml")}


def rows_of(text: str) -> list[dict[str, Any]]:
    """Lines of a table separated by commas."""
    return list(csv.DictReader(text.splitlines()))


def figures_of(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures, as they are drawn from now on."""
    drawn: list[Figure] = []
    legend = gait_plots._legend_of_versions

    def remember(figure: Figure, *rest: Any) -> None:
        drawn.append(figure)
        legend(figure, *rest)

    monkeypatch.setattr(gait_plots, "_legend_of_versions", remember)
    return drawn
