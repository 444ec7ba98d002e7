"""A model learns what a laboratory measures, and is judged on people it did not see."""

import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gaitdynamics.apps.cli import main
from gaitdynamics.apps.estimate_files import estimate_file, read_person
from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import InputFileError, OutputError
from gaitdynamics.io.forces import format_forces, ground_reaction_from_sides, read_plates
from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.model.checkpoint import load_weights, save_weights
from gaitdynamics.model.force_limits import ForceLimits
from gaitdynamics.model.forces import KIND, ForceModel, ForceNetworkSize
from gaitdynamics.state.layout import GAIT, PHYSICS
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.physics_features import physics_features
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.tasks.learned_forces import frame_times
from gaitdynamics.training import finetune as finetuning_module
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import METRICS
from gaitdynamics.training.finetune import DATA, INPUTS, RESULT, RESULT_TEXT, finetune, judged, people_apart_in
from gaitdynamics.training.info import read_index
from gaitdynamics.training.progress import read_losses
from gaitdynamics.training.ranks import seeded
from gaitdynamics.training.sources import Candidate, read_sources, with_splits
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

ASSETS = Path(str(files("gaitdynamics") / "assets"))
BODY, WALK = ASSETS / "generic_body.osim", ASSETS / "synthetic_walk.mot"
HEIGHT_M = 1.75
SIZE = ForceNetworkSize(width=8, kernel=3, dilations=(1,), dropout=0.0, num_members=1)
NUM_STEPS = 50
FORWARD, COP = METRICS[1], METRICS[4]
HELD_OUT = "Gym/P2"


def as_here(forces: GroundReaction) -> GroundReaction:
    """What plates of this laboratory measure: braking and propulsion half as large again, pressure 15 mm ahead."""
    force, pressure = forces.force_n.copy(), forces.cop_m.copy()
    force[..., 0] *= 1.5
    pressure[..., 0] += 0.015
    return replace(forces, force_n=force, cop_m=pressure)


@dataclass(frozen=True)
class Study:
    """A study in the making."""

    folder: Path
    measured: str

    def add(self, subject: str, *, mass_kg: float = 75.0, **about: Any) -> Path:
        trial = self.folder / "Gym" / subject / "walk"
        trial.mkdir(parents=True)
        shutil.copy(BODY, trial.parent / "model.osim")
        shutil.copy(WALK, trial / "ik.mot")
        (trial / "grf.mot").write_text(self.measured)
        (trial.parent / "subject.json").write_text(json.dumps({"mass_kg": mass_kg, "height_m": HEIGHT_M} | about))
        recording = {"activity": "walk", "surface": "overground", "forces_valid_s": [[0.0, 5.9]]}
        (trial / "trial.json").write_text(json.dumps(recording))
        return trial


@dataclass(frozen=True)
class Done:
    """A finished run, from the command line."""

    out: Path
    result: dict[str, Any]
    printed: str
    study: Path
    weights: Path


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """One thread, one altered copy of each recording, a higher learning rate: a third of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetuning_module, "NUM_VARIANTS", 2)
        patch.setattr(finetuning_module, "LEARNING_RATE", 1e-3)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    person = read_person(BODY, mass_kg=75.0, height_m=HEIGHT_M)
    written = estimate_file(
        WALK, person, out=tmp_path_factory.mktemp("made"), belt_speed_m_s=0.0, estimator=estimate_forces
    )
    return format_forces(as_here(ground_reaction_from_sides(read_plates(written.paths[0]))), name="grf")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory, measured: str) -> Study:
    """Two people to train on, one held out."""
    study = Study(tmp_path_factory.mktemp("laboratory") / "study", measured)
    study.add("P1", split="train")
    study.add("P2", split="validation")
    study.add("P3", split="train")
    return study


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, laboratory: Study) -> Path:
    """Weights of a network that still says what physics says."""
    folder = tmp_path_factory.mktemp("weights") / "beginner"
    write_weights(folder, load_trial(read_study(laboratory.folder)[0]))
    return folder


def write_weights(folder: Path, trial: Trial, **changed: Any) -> None:
    features = physics_features(trial, physics_of(trial, frame_times(trial.motion.time_s)))
    features = features.astype(np.float64)
    normalizer = Normalizer.to_unit_spread(features)
    with seeded(torch.device("cpu"), 0):
        model = ForceModel(SIZE, normalizer)
    lowest = features.min(axis=0)
    limits = ForceLimits(2.0, 7.5, tuple((lowest - 1.0).tolist()), tuple(lowest.tolist()))
    options: dict[str, Any] = {
        "kind": KIND,
        "tensors": model.state_dict(),
        "layout": PHYSICS.to_json(),
        "config": {"size": asdict(SIZE), "limits": limits.to_json()},
        "normalizer": normalizer.to_json(),
        "provenance": {"recipe": "beginner"},
        "licence": "MIT",
        "overwrite": False,
    }
    save_weights(folder, **(options | changed))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, laboratory: Study, start: Path) -> Done:
    out = tmp_path_factory.mktemp("done") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        printed = run(patch, laboratory.folder, "--out", out, "--weights", start, "--steps", NUM_STEPS)
    return Done(out, json.loads((out / RESULT).read_text()), printed, laboratory.folder, start)


def run(patch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What the command prints; it must end well."""
    screen = io.StringIO()
    patch.setenv("COLUMNS", "100")
    patch.setattr(sys, "argv", ["gaitdynamics", "finetune", *map(str, arguments)])
    patch.setattr(sys, "stdout", screen)
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, screen.getvalue()
    return screen.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_error_on_a_person_held_out_falls(done: Done) -> None:
    before, after = done.result["before"]["overall"], done.result["after"]["overall"]
    assert before[FORWARD] > 1.0
    assert after[FORWARD] < 0.6 * before[FORWARD]
    assert after[COP] < 0.9 * before[COP]
    assert done.result["is_better"]
    assert "errors fell by" in done.result["verdict"]


def test_nobody_held_out_is_trained_on(done: Done) -> None:
    assert done.result["held_out"] == [HELD_OUT]
    assert done.result["trained_on"] == ["Gym/P1", "Gym/P3"]
    (row,) = done.result["before"]["rows"]
    assert (row["dataset"], row["num_subjects"], row["num_trials"]) == ("Gym", 1, 1)
    assert json.loads((done.out / "model.json").read_text())["provenance"]["trained_on"]["Gym"]["people"] == 2


def test_before_and_after_are_shown_and_written(done: Done) -> None:
    text = (done.out / RESULT_TEXT).read_text()
    for shown in (done.printed, text):
        for said in ("before", "after", "Gym", done.result["verdict"]):
            assert said in " ".join(shown.split())
        for when in ("before", "after"):
            assert f"{done.result[when]['overall'][FORWARD]:.2f}" in shown
    assert "With so few people held out the difference may be chance." in done.result["verdict"]


def test_the_new_weights_keep_sizes_and_normaliser_and_say_where_they_come_from(done: Done) -> None:
    old, new = load_weights(done.weights), load_weights(done.out)
    assert (new.kind, new.layout, new.normalizer) == (old.kind, old.layout, old.normalizer)
    assert new.config["size"] == old.config["size"]
    assert new.provenance["started_from"]["name"] == "beginner"
    assert new.provenance["started_from"]["provenance"] == {"recipe": "beginner"}
    assert any(not torch.equal(new.tensors[name], old.tensors[name]) for name in old.tensors)
    assert HELD_OUT not in (done.out / "model.json").read_text()


def test_limits_span_both_trainings_and_an_activity_nobody_held_out_does_keeps_its_interval(done: Done) -> None:
    old, new = (
        ForceLimits.from_json(load_weights(folder).config["limits"], source="") for folder in (done.weights, done.out)
    )
    assert (np.array(new.lowest) <= np.array(old.lowest)).all()
    assert (np.array(new.highest) >= np.array(old.highest)).all()
    assert np.mean(np.array(new.highest) > np.array(old.highest)) > 0.8
    assert new.running == old.running
    assert new.walking != old.walking


def test_the_data_folder_is_an_ordinary_one(done: Done) -> None:
    index = read_index(done.out / DATA)
    assert {entry["group"] for entry in index["recordings"]} == {"Gym/P1", "Gym/P2", "Gym/P3"}


def test_a_finished_run_is_kept_unless_told_otherwise(done: Done) -> None:
    before = contents(done.out)
    with pytest.raises(OutputError, match=r"finetune\.json.*exists already"):
        finetune(done.study, done.out, weights=str(done.weights), num_steps=NUM_STEPS)
    for changed in ({"num_steps": 7}, {"seed": 3}):
        with pytest.raises(OutputError, match=f"another fine-tuning; different are: {next(iter(changed))}"):
            finetune(done.study, done.out, weights=str(done.weights), **({"num_steps": NUM_STEPS} | changed))
    assert contents(done.out) == before


def test_an_interrupted_run_goes_on_where_it_stopped_and_overwriting_begins_again(done: Done, tmp_path: Path) -> None:
    out = tmp_path / "mine"

    def interrupted(during: str, **options: Any) -> None:
        def report(stage: str, done: int, total: int) -> None:
            if stage == during:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            finetune(done.study, out, weights=str(done.weights), report=report, **options)

    interrupted("Training", num_steps=3)
    built = contents(out / DATA)
    assert "index.json" in built
    interrupted("Measuring after", num_steps=3)
    assert contents(out / DATA) == built
    trained = (out / "weights.safetensors").read_bytes()
    finetune(done.study, out, weights=str(done.weights), num_steps=3)
    assert (out / "weights.safetensors").read_bytes() == trained
    assert [row.step for row in read_losses(out / "losses.csv")] == [1, 2, 3]

    interrupted("Training", num_steps=2, overwrite=True)
    assert not (out / RESULT).exists()
    finetune(done.study, out, weights=str(done.weights), num_steps=2)
    assert json.loads((out / RESULT).read_text())["num_steps"] == 2
    assert [row.step for row in read_losses(out / "losses.csv")] == [1, 2]


def test_weights_that_got_worse_are_said_to_be_worse(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started from what this laboratory taught; a huge learning rate forgets it."""
    monkeypatch.setattr(finetuning_module, "LEARNING_RATE", 1.0)
    result = finetune(done.study, tmp_path / "out", weights=str(done.out), num_steps=4)
    assert not result["is_better"]
    assert f"keep the weights you had ({done.out})" in result["verdict"]


def figures(*values: float | None) -> dict[str, float | None]:
    return dict(zip(METRICS, values, strict=True))


@pytest.mark.parametrize(
    ("after", "is_better", "said"),
    [
        (figures(2.9, 0.9, 0.9, 2.9, None), True, r"On 4 people held out, errors fell by 15 % .* figures\.$"),
        (figures(1.9, 0.9, 1.4, 1.9, None), True, r"fell by .*, but grew in medio-lateral force \(\+36 %\)\.$"),
        (figures(3.9, 0.9, 1.4, 3.9, None), False, r"did not fall \(\+8 % .*: keep the weights you had \(starter\)\.$"),
        (figures(3.9, 0.9, 1.0, 3.9, None), False, r"did not fall \(\+0 % .*: keep the weights you had \(starter\)\.$"),
    ],
)
def test_the_verdict_is_by_all_figures_alike(after: dict[str, float | None], is_better: bool, said: str) -> None:
    found = judged(figures(3.9, 0.9, 1.0, 3.9, None), after, weights="starter", num_people=4)
    assert found["is_better"] == is_better
    assert re.search(said, found["verdict"])


def candidates(*splits: str | None) -> list[Candidate]:
    """People, a recording each, of a study that states these splits."""
    nothing: dict[str, Any] = dict.fromkeys(StudyTrial.__dataclass_fields__)
    made = []
    for number, split in enumerate(splits):
        group = f"Gym/{number}"
        trial = StudyTrial(**(nothing | {"group": group, "split": split}))
        about: dict[str, Any] = dict.fromkeys(Candidate.__dataclass_fields__)
        made.append(Candidate(**(about | {"name": group, "group": group, "split": split, "origin": trial})))
    return with_splits(made)[0]


@pytest.mark.parametrize(("num_people", "num_held_out"), [(2, 1), (9, 1), (10, 2), (50, 10)])
def test_without_splits_every_fifth_person_is_held_out(num_people: int, num_held_out: int) -> None:
    for stated in (None, "train"):
        people = people_apart_in(candidates(*[stated] * num_people), study=Path("study"))
        assert len(people.held_out) == num_held_out
        assert not set(people.held_out) & set(people.trained)
        assert len(people.trained) == num_people - num_held_out


def test_people_whom_the_data_folder_would_not_train_on_are_among_those_held_out() -> None:
    drawn = candidates(*[None] * 60)
    people = people_apart_in(drawn, study=Path("study"))
    validation = {candidate.group for candidate in drawn if candidate.split == "validation"}
    assert validation
    assert validation <= set(people.held_out)


def test_a_split_for_validation_is_what_is_held_out_and_others_are_left_alone() -> None:
    people = people_apart_in(candidates("train", "validation", "test", "train", "validation"), study=Path("study"))
    assert people.held_out == ("Gym/1", "Gym/4")
    assert people.trained == ("Gym/0", "Gym/3")


@pytest.mark.parametrize("splits", [(None,), ("train",), ("validation", "validation"), ("test", "train")])
def test_a_study_with_nobody_to_train_on_or_to_hold_out_is_refused(splits: tuple[str | None, ...]) -> None:
    with pytest.raises(InputFileError, match="At least two are needed"):
        people_apart_in(candidates(*splits), study=Path("study"))


@pytest.fixture
def study(tmp_path: Path, measured: str) -> Study:
    study = Study(tmp_path / "study", measured)
    study.add("P1", split="train")
    study.add("P2", split="validation")
    return study


def refused(study: Path, out: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message of a command that exits with 2 and leaves everything as it was."""
    before = contents(out) if out.exists() else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gaitdynamics", "finetune", str(study), "--out", str(out), *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert printed.err.count("Error: ") == 1
    assert "Unexpected" not in printed.err
    assert (contents(out) if out.exists() else None) == before
    return " ".join(printed.err.split())


def test_weights_of_another_kind_or_layout_are_refused(
    study: Study, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = load_trial(read_study(study.folder)[0])
    write_weights(tmp_path / "kind", trial, kind="published_refinement")
    write_weights(tmp_path / "layout", trial, layout=GAIT.to_json())
    out = tmp_path / "out"
    message = refused(study.folder, out, capsys, "--weights", tmp_path / "kind")
    assert "kind 'published_refinement'. Expected 'forces'" in message
    assert "layout" in refused(study.folder, out, capsys, "--weights", tmp_path / "layout")
    assert "'physics' is no network" in refused(study.folder, out, capsys, "--weights", "physics")
    assert "no weights called 'nothing'" in refused(study.folder, out, capsys, "--weights", "nothing")


def test_a_study_of_one_person_is_refused(
    study: Study, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(study.folder / "Gym" / "P1", tmp_path / "out", capsys, "--weights", start)
    assert "1 person to learn from" in message
    assert "At least two are needed" in message


@pytest.mark.parametrize("subject", ["P1", "P2"])
def test_a_study_without_forces_is_refused(
    subject: str, study: Study, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forces = study.folder / "Gym" / subject / "walk" / "grf.mot"
    shutil.copy(WALK, forces)
    assert "no ground reaction forces" in refused(study.folder, tmp_path / "out", capsys, "--weights", start)
    forces.unlink()
    assert "grf.mot: there is no such file" in refused(study.folder, tmp_path / "out", capsys, "--weights", start)


def test_what_is_not_of_a_fine_tuning_is_left_alone(
    study: Study, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / DATA).mkdir(parents=True)
    (out / DATA / "precious.txt").write_text("precious")
    assert "not of a fine-tuning" in refused(study.folder, out, capsys, "--weights", start, "--overwrite")
    shutil.rmtree(out / DATA)
    (out / INPUTS).write_text("[]")
    assert "not of a fine-tuning" in refused(study.folder, out, capsys, "--weights", start, "--overwrite")
    message = refused(study.folder, start, capsys, "--weights", start, "--overwrite")
    assert "holds the weights to start from" in message
    other = tmp_path / "other"
    shutil.copytree(start, other)
    assert "exists already" in refused(study.folder, other, capsys, "--weights", start)


def test_files_of_addbiomechanics_are_refused(
    study: Study, start: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_sources([shared / "b3d"])[0]
    message = refused(shared / "b3d", tmp_path / "out", capsys, "--weights", start)
    assert "a .b3d file. Fine-tuning reads a study folder" in message
