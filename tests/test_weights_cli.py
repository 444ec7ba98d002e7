"""`gaitdynamics weights`, and the authors' weights in `estimate` and `evaluate`."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from published_weights import HEADS, diffusion_tensors, refinement_tensors, save_as_the_authors

from gaitdynamics.apps.cli import main
from gaitdynamics.io.forces import ground_reaction_from_sides, read_plates
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder with the authors' two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    save_as_the_authors(tmp_path / "Refinement.pt", refinement_tensors())
    save_as_the_authors(tmp_path / "Diffusion.pt", diffusion_tensors())

    def command(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gaitdynamics", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return command


def refused(outcome: Outcome, *parts: str) -> None:
    assert outcome.exit_code == 2, outcome
    for part in parts:
        assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert "Unexpected" not in outcome.err


def converted(run: Run) -> None:
    for file, folder in (("Refinement.pt", "authors/refinement"), ("Diffusion.pt", "authors/diffusion")):
        done = run("weights", "convert", file, "--out", folder, "--heads", HEADS)
        assert done.exit_code == 0, done


def test_converting_says_what_was_made_and_info_says_it_again(run: Run) -> None:
    made = run("weights", "convert", "Refinement.pt", "--out", "mine", "--heads", HEADS)
    assert made.exit_code == 0
    for part in ("mine", "published_refinement", "63 channels", "num heads: 2", "converted from: Refinement.pt"):
        assert part in made.out
    assert run("weights", "info", "mine").out == made.out
    assert sorted(path.name for path in Path("mine").iterdir()) == ["model.json", "weights.safetensors"]


def test_converting_replaces_nothing_unless_told_to(run: Run) -> None:
    arguments = ("weights", "convert", "Refinement.pt", "--out", "mine", "--heads", HEADS)
    assert run(*arguments).exit_code == 0
    refused(run(*arguments), "exists already", "--overwrite")
    assert run(*arguments, "--overwrite").exit_code == 0


def test_what_cannot_be_converted_is_refused_and_leaves_nothing(run: Run) -> None:
    Path("text.pt").write_text("hello")
    refused(run("weights", "convert", "text.pt", "--out", "mine"), "text.pt: not a whole zip file")
    refused(run("weights", "convert", "none.pt", "--out", "mine"), "none.pt: no such file")
    refused(run("weights", "convert", "Refinement.pt", "--out", "mine", "--heads", "5"), "--heads")
    assert not Path("mine").exists()


def test_bundled_weights_are_listed_with_physics_and_found(run: Run) -> None:
    listed = [line.split("\t")[0] for line in run("weights", "list").out.splitlines()]
    assert listed[0] == "physics"
    assert "starter" in listed
    for name in listed[1:]:
        assert Path(run("weights", "path", name).out.strip(), "model.json").exists()
        assert run("weights", "info", name).exit_code == 0
    assert "needs no training" in run("weights", "info", "physics").out
    refused(run("weights", "path", "physics"), "has no weights")
    refused(run("weights", "path", "tomorrow"), "no weights called 'tomorrow'; expected 'physics'")
    refused(run("weights", "info", "tomorrow"), "no weights called 'tomorrow'")


def test_the_authors_weights_estimate_forces_either_way(run: Run) -> None:
    converted(run)
    estimate = ("estimate", WALK, "--model", BODY, "--belt-speed", "0", "--weights")
    assert run(*estimate, "authors/refinement", "--out", "ours").exit_code == 0
    assert run(*estimate, "authors", "--published-pipeline", "--out", "theirs").exit_code == 0
    ours, theirs = (
        ground_reaction_from_sides(read_plates(Path(folder, "synthetic_walk_forces.mot")))
        for folder in ("ours", "theirs")
    )
    assert len(ours.time_s) == len(theirs.time_s) == 601
    light = np.abs(theirs.force_n[..., 1]) < CONTACT_FORCE_N
    assert light.any()
    assert theirs.force_n[light].any()
    assert not ours.force_n[np.abs(ours.force_n[..., 1]) < CONTACT_FORCE_N].any()
    provenance = json.loads(Path("theirs/synthetic_walk_summary.json").read_text())["provenance"]
    assert (provenance["weights"], provenance["pipeline"]) == ("diffusion+refinement", "published")


def test_the_published_pipeline_writes_rows_every_ten_milliseconds(run: Run) -> None:
    converted(run)
    header, rows = WALK.read_text().split("endheader\n")
    lines = rows.splitlines()
    Path("slow.mot").write_text(header + "endheader\n" + "\n".join([lines[0], *lines[1::2]]) + "\n")
    done = run(
        "estimate", "slow.mot", "--model", BODY, "--weights", "authors", "--published-pipeline", "--belt-speed", "0"
    )
    assert done.exit_code == 0, done
    forces = ground_reaction_from_sides(read_plates(Path("slow_forces.mot")))
    np.testing.assert_allclose(np.diff(forces.time_s), 0.01, atol=1e-9)
    assert len(forces.time_s) in (600, 601)


def test_the_published_pipeline_needs_the_authors_weights(run: Run) -> None:
    converted(run)
    estimate = ("estimate", WALK, "--model", BODY, "--published-pipeline")
    refused(run(*estimate, "--weights", "physics"), "runs the authors' weights, not 'physics'", "weights convert")
    refused(run(*estimate), "starter: holds weights of kind forces", "which alone take --published-pipeline")
    refused(run(*estimate, "--weights", "authors/diffusion"), "refinement network")
    Path("empty").mkdir()
    refused(run(*estimate, "--weights", "empty"), "model.json: cannot be read", "weights convert")
    assert not list(Path().glob("*_forces.mot"))


def test_evaluation_measures_the_weights_that_it_is_given(run: Run) -> None:
    converted(run)
    person = Path("study/synthetic/nobody")
    recording = person / "walk"
    recording.mkdir(parents=True)
    assert run("estimate", WALK, "--model", BODY, "--belt-speed", "0", "--weights", "authors/refinement").exit_code == 0
    (person / "model.osim").write_bytes(BODY.read_bytes())
    summary = json.loads(Path("synthetic_walk_summary.json").read_text())["subject"]
    about = {"split": "validation", "mass_kg": summary["mass_kg"], "height_m": summary["height_m"]}
    (person / "subject.json").write_text(json.dumps(about))
    (recording / "ik.mot").write_bytes(WALK.read_bytes())
    (recording / "grf.mot").write_bytes(Path("synthetic_walk_forces.mot").read_bytes())
    trial = {"activity": "walk", "surface": "overground", "forces_valid_s": [[0.0, 6.0]]}
    (recording / "trial.json").write_text(json.dumps(trial))
    errors = {}
    for weights in ("authors/refinement", "physics"):
        done = run("evaluate", "study", "--weights", weights, "--json", f"{Path(weights).name}.json")
        assert done.exit_code == 0, done
        result = json.loads(Path(f"{Path(weights).name}.json").read_text())
        assert result["weights"] == weights
        errors[weights] = result["overall"]["vertical_mae_pct_bw"]
    assert errors["authors/refinement"] < 0.1 < errors["physics"]
