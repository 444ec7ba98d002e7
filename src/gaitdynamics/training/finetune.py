"""A force model goes on learning in a user's own laboratory, and is compared with what it was."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gaitdynamics import __version__
from gaitdynamics.errors import InputFileError, OutputError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.study import StudyTrial
from gaitdynamics.model.checkpoint import DESCRIPTION_FILE, TENSORS_FILE, load_weights, read_description, save_weights
from gaitdynamics.model.force_limits import ForceLimits
from gaitdynamics.model.forces import KIND, ForceModel, build_force_model
from gaitdynamics.state.layout import PHYSICS
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.tasks.estimate_forces import PHYSICS as PHYSICS_ESTIMATOR
from gaitdynamics.tasks.estimators import weights_folder
from gaitdynamics.training.assembly import INDEX_NAME
from gaitdynamics.training.build import Encoding, build
from gaitdynamics.training.evaluate import METRICS, evaluate_study
from gaitdynamics.training.evidence import RUN
from gaitdynamics.training.examples import BLOCKS, NUM_VARIANTS, encode_recording
from gaitdynamics.training.force_recipe import limits_of, starter_forces
from gaitdynamics.training.info import read_index
from gaitdynamics.training.loop import train
from gaitdynamics.training.recipe import Recipe
from gaitdynamics.training.run_folder import RunFolder
from gaitdynamics.training.shards import Recording, Shards
from gaitdynamics.training.sources import TRAIN, VALIDATION, Candidate, read_sources

FORMAT = 1
STARTER = "starter"
INPUTS, RESULT, RESULT_TEXT, DATA = "inputs.json", "finetune.json", "finetune.md", "data"
NUM_STEPS = 300
LEARNING_RATE = 3e-4  # a seventh of what the weights were first trained with: what they know is to stay
WARMUP_SHARE = 0.1  # of the steps
PEOPLE_PER_HELD_OUT = 5
LEAST_PEOPLE_TOLD = 3  # held out, below which a difference may be chance
NOTHING = 0.1  # % of body weight or mm: added to errors that are compared, as factors between tiny ones say nothing
COUNTS = ("dataset", "activity", "num_subjects", "num_trials")
METRIC_NAMES = dict(
    zip(
        METRICS,
        (
            "vertical force",
            "anterior-posterior force",
            "medio-lateral force",
            "peak vertical force",
            "centre of pressure",
        ),
        strict=True,
    )
)
SHOWN = 0.005  # of an error: a change that is not rounded to 0 %

Report = Callable[[str, int, int], None]


def finetune(
    study: Path,
    out: Path,
    *,
    weights: str = STARTER,
    num_steps: int = NUM_STEPS,
    seed: int = 0,
    overwrite: bool = False,
    report: Report = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Go on training a force model on a study, and measure it before and after on people held out of it.

    Started again after an interruption, it goes on where it stopped.

    Args:
        study: a study folder, with measured forces.
        out: of the weights, the data folder (`data`), the checkpoint, and the result as JSON and Markdown.
        weights: to start from: the name of bundled weights, or a folder.
        num_steps: updates.
        seed: of windows, augmentation and dropout.
        overwrite: begin again, whatever fine-tuning `out` holds.
        report: told the stage, and how much of it is done, of how much.

    Returns:
        The result, JSON values: weights, num_steps, seed, trained_on and held_out (people), before and after (rows,
        by_activity, overall), excluded, is_better, verdict.

    Raises:
        InputFileError: weights that can't be trained on, or a study without two people who have measured forces.
        OutputError: `out` holds something else, or a finished result.
        TrainingError: the loss is not finite.
    """
    start = _Start.read(weights)
    candidates, trials = _read_study(study)
    people = people_apart_in(candidates, study=study)
    inputs = {
        "format": FORMAT,
        "gaitdynamics": __version__,
        "weights": start.sha256,
        "study": _hash(*(candidate.fingerprint() for candidate in candidates)),
        "held_out": list(people.held_out),
        "num_steps": num_steps,
        "seed": seed,
    }
    folder = _Folder(out)
    folder.check(inputs, start=start, overwrite=overwrite)
    held_out = [replace(trial, split=VALIDATION) for trial in trials if trial.group in people.held_out]

    def measured(folder_of_weights: Path, stage: str) -> dict[str, Any]:
        return evaluate_study(
            held_out,
            split=VALIDATION,
            weights=str(folder_of_weights.resolve()),
            report=lambda done, total: report(stage, done, total),
        )

    before = measured(start.folder, "Measuring before")
    if not before["rows"]:
        reasons = "; ".join(f"{entry['trial']}: {entry['reason']}" for entry in before["excluded"][:3])
        raise InputFileError(
            f"{study}: nothing to measure the weights on: no trial of the people held out "
            f"({', '.join(people.held_out)}) can be used. {reasons}"
        )
    folder.claim(inputs, overwrite=overwrite)
    with folder.given_back_if_useless():
        _build_data(study, folder, people, report=report)
    if not folder.has_weights:
        train(
            finetuning(start.model, people, limits=start.limits, start=start.about, num_steps=num_steps),
            folder.data,
            out,
            seed=seed,
            report=lambda progress: report("Training", progress.step, num_steps),
        )
    after = measured(out, "Measuring after")
    result = {
        "format": FORMAT,
        "gaitdynamics": __version__,
        "weights": weights,
        "num_steps": num_steps,
        "seed": seed,
        "trained_on": list(people.trained),
        "held_out": list(people.held_out),
        "before": _figures(before),
        "after": _figures(after),
        "excluded": after["excluded"],
        **judged(before["overall"], after["overall"], weights=weights, num_people=len(people.held_out)),
    }
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_files({out / RESULT: text, out / RESULT_TEXT: _as_text(result)}, overwrite=overwrite)
    return result


@dataclass(frozen=True)
class People:
    """Groups of a study, as `subject.json` names them, sorted; nobody is in both."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def people_apart_in(candidates: Sequence[Candidate], *, study: Path) -> People:
    """The study's validation split held out; where it has none, every fifth person by a hash, at least one.

    Raises:
        InputFileError: too few people.
    """
    trained = {candidate.group for candidate in candidates if candidate.split == TRAIN}
    held_out = {candidate.group for candidate in candidates if candidate.split == VALIDATION}
    if all(trial.split != VALIDATION for trial in map(_trial_of, candidates)):
        # By the hash that data folders draw their validation people by, so that those are among the ones held out.
        everybody = sorted(trained | held_out, key=lambda group: hashlib.sha256(group.encode()).digest())
        num = max(1, len(everybody) // PEOPLE_PER_HELD_OUT, len(held_out))
        trained, held_out = set(everybody[num:]), set(everybody[:num])
    if not trained:
        splits = sorted({str(candidate.split) for candidate in candidates})
        raise InputFileError(
            f"{study}: {len(held_out)} {'person' if len(held_out) == 1 else 'people'} to learn from and to be measured "
            f"on (splits: {', '.join(splits)}). At least two are needed: one to train on, and one held out to show "
            f'whether it helped. Add people, or state "split": "{TRAIN}" or "{VALIDATION}" in subject.json.'
        )
    return People(tuple(sorted(trained)), tuple(sorted(held_out)))


def finetuning(
    model: ForceModel, people: People, *, limits: ForceLimits, start: Mapping[str, Any], num_steps: int
) -> Recipe:
    """The recipe `starter_forces`, from given weights and more slowly; normaliser and sizes stay.

    Args:
        model: to start from.
        people: who is trained on, and who is held out.
        limits: of the weights to start from.
        start: what to say of them in the new weights' provenance; has `sha256` and `licence`.
    """

    def make_model(shards: Shards, recordings: Sequence[int]) -> nn.Module:
        return deepcopy(model).requires_grad_(True)

    def is_held_out(recording: Recording) -> bool:
        return recording.group in people.held_out

    def save(tuned: nn.Module, shards: Shards, folder: Path, provenance: dict[str, Any]) -> None:
        finished = deepcopy(model)
        finished.load_state_dict(tuned.state_dict())
        save_weights(
            folder,
            kind=KIND,
            tensors=finished.state_dict(),
            layout=PHYSICS.to_json(),
            config={
                "size": asdict(model.size),
                "limits": widened(limits, finished, shards, people).to_json(),
            },
            normalizer=Normalizer(model.scale.numpy(), model.offset.numpy()).to_json(),
            provenance={**provenance, "started_from": dict(start), "num_people_held_out": len(people.held_out)},
            licence=f"{start['licence']}; then trained on a study of the user's own",
            overwrite=True,
        )

    recipe = starter_forces()
    return replace(
        recipe,
        name="finetune",
        make_model=make_model,
        is_held_out=is_held_out,
        save=save,
        num_steps=num_steps,
        learning_rate=LEARNING_RATE,
        warmup_steps=round(WARMUP_SHARE * num_steps),
        validate_every=recipe.checkpoint_every,
        config={
            **recipe.config,
            "size": asdict(model.size),
            "start_sha256": start["sha256"],
            "held_out_sha256": _hash(*people.held_out),  # weights are passed on: they name nobody
        },
    )


def widened(limits: ForceLimits, model: ForceModel, shards: Shards, people: People) -> ForceLimits:
    """Limits after fine-tuning: intervals calibrated on the people held out, and what either training has seen.

    Where the people held out do not walk (or run), the interval of walking (or running) stays as it was.
    """
    split_of = dict.fromkeys(people.trained, TRAIN) | dict.fromkeys(people.held_out, VALIDATION)
    recordings = [replace(entry, split=split_of[entry.group]) for entry in shards.recordings if entry.group in split_of]
    found = limits_of(model, replace(shards, recordings=tuple(recordings)))
    are_runs = {entry.activity == RUN for entry in recordings if entry.split == VALIDATION}
    return ForceLimits(
        walking=found.walking if False in are_runs else limits.walking,
        running=found.running if True in are_runs else limits.running,
        lowest=tuple(map(min, limits.lowest, found.lowest)),
        highest=tuple(map(max, limits.highest, found.highest)),
    )


@dataclass(frozen=True)
class _Start:
    """The weights to start from, checked."""

    folder: Path
    model: ForceModel
    limits: ForceLimits
    about: dict[str, Any]

    @property
    def sha256(self) -> str:
        return str(self.about["sha256"])

    @classmethod
    def read(cls, name: str) -> "_Start":
        if name == PHYSICS_ESTIMATOR:
            raise InputFileError(
                f"'{name}' is no network, so it can't be trained on. Start from '{STARTER}' or a folder of weights."
            )
        folder = weights_folder(name)
        loaded = load_weights(folder)
        if loaded.kind != KIND:
            raise InputFileError(
                f"{name}: holds weights of kind '{loaded.kind}'. Expected '{KIND}', the only kind that can be trained "
                f"on: start from '{STARTER}', or from weights that 'gaitdynamics train' or 'finetune' made."
            )
        limits = ForceLimits.from_json(loaded.config.get("limits"), source=str(folder))
        about = {
            "name": folder.resolve().name,
            "sha256": read_description(folder)["sha256"],
            "licence": loaded.licence,
            "provenance": loaded.provenance,
        }
        return cls(folder, build_force_model(loaded), limits, about)


@dataclass(frozen=True)
class _Folder:
    """Where fine-tuning writes. `inputs.json` says of what; it is written before anything else."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / DATA

    @property
    def has_weights(self) -> bool:
        return all((self.path / name).is_file() for name in (TENSORS_FILE, DESCRIPTION_FILE))

    @property
    def _results(self) -> tuple[Path, ...]:
        run = RunFolder(self.path)
        weights = (self.path / TENSORS_FILE, self.path / DESCRIPTION_FILE)
        return (self.path / RESULT, self.path / RESULT_TEXT, *weights, run.checkpoint, run.losses, run.plot)

    def check(self, inputs: Mapping[str, Any], *, start: _Start, overwrite: bool) -> None:
        """Refuse a folder that holds what must not be replaced; nothing is written.

        Raises:
            OutputError: it does, or can't be written to.
        """
        if self.path.resolve() == start.folder.resolve():
            raise OutputError(f"{self.path}: holds the weights to start from. Choose another --out.")
        check_writable([self.path / INPUTS], overwrite=True)
        found = self._found_inputs()
        if found is None:
            if self.data.exists():
                raise OutputError(f"{self.data}: exists, and is not of a fine-tuning. Choose another --out.")
            check_writable(self._results, overwrite=overwrite)
            return
        if overwrite:
            return
        if differing := sorted(key for key in {*inputs, *found} if inputs.get(key) != found.get(key)):
            raise OutputError(
                f"{self.path}: holds another fine-tuning; different are: {', '.join(differing)}. Only the same one can "
                "be resumed: choose another --out, or use --overwrite to replace it."
            )
        check_writable([self.path / RESULT, self.path / RESULT_TEXT], overwrite=False)

    def claim(self, inputs: Mapping[str, Any], *, overwrite: bool) -> None:
        """Take the folder, after `check`; with `overwrite`, whatever fine-tuning it holds is removed."""
        if overwrite:
            try:
                for path in self._results:
                    path.unlink(missing_ok=True)
                if self.data.exists():
                    shutil.rmtree(self.data)
            except OSError as error:
                raise OutputError(f"{self.path}: can't be replaced: {error}. Choose another --out.") from None
        write_files({self.path / INPUTS: json.dumps(inputs, indent=2) + "\n"}, overwrite=True)

    @contextmanager
    def given_back_if_useless(self) -> Iterator[None]:
        """Leave nothing behind where the study turns out to hold nothing to train on."""
        try:
            yield
        except InputFileError:
            shutil.rmtree(self.data, ignore_errors=True)
            (self.path / INPUTS).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                self.path.rmdir()
            raise

    def _found_inputs(self) -> dict[str, Any] | None:
        path = self.path / INPUTS
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or "held_out" not in found:
            raise OutputError(f"{path}: exists, and is not of a fine-tuning. Choose another --out.")
        return found


def _read_study(study: Path) -> tuple[tuple[Candidate, ...], list[StudyTrial]]:
    candidates, _ = read_sources([study.absolute()])
    return candidates, [_trial_of(candidate) for candidate in candidates]


def _trial_of(candidate: Candidate) -> StudyTrial:
    if not isinstance(candidate.origin, StudyTrial):
        raise InputFileError(
            f"{candidate.files[0]}: a .b3d file. Fine-tuning reads a study folder of models (.osim), motions (.mot) "
            "and forces (.mot): see docs/files.md."
        )
    return candidate.origin


def _build_data(study: Path, folder: _Folder, people: People, *, report: Report) -> None:
    """The data folder, unless it is there already."""
    if (folder.data / INDEX_NAME).is_file():
        index = read_index(folder.data)
    else:
        index = build(
            [study],
            folder.data,
            encoding=Encoding(BLOCKS, encode_recording, NUM_VARIANTS),
            workers=torch.get_num_threads(),
            report=report,
        )
    if not {entry["group"] for entry in index["recordings"]} & set(people.trained):
        reasons = "; ".join(f"{entry['name']}: {entry['reason']}" for entry in index["excluded"][:3])
        raise InputFileError(
            f"{study}: no recording of the people to train on ({', '.join(people.trained)}) can be learned from. "
            f"{reasons}"
        )


def _figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation's errors, without the intervals' coverage: they are calibrated on the very people held out."""
    return {
        "rows": [{key: row[key] for key in (*COUNTS, *METRICS)} for row in result["rows"]],
        "by_activity": {
            activity: {metric: means[metric] for metric in METRICS} for activity, means in result["by_activity"].items()
        },
        "overall": {metric: result["overall"][metric] for metric in METRICS},
    }


def judged(
    before: Mapping[str, float | None], after: Mapping[str, float | None], *, weights: str, num_people: int
) -> dict[str, Any]:
    """Whether it helped, as a truth value and in words: by the geometric mean of the figures' changes.

    Args:
        before, after: by metric; None where there is none.
        weights: that a user had.
        num_people: held out.
    """
    changes = {}
    for metric in METRICS:
        old, new = before[metric], after[metric]
        if old is not None and new is not None:
            changes[metric] = (new + NOTHING) / (old + NOTHING)
    factor = math.exp(sum(map(math.log, changes.values())) / max(len(changes), 1))
    is_better = factor < 1.0
    people = "1 person" if num_people == 1 else f"{num_people} people"
    if is_better:
        worse = [
            f"{METRIC_NAMES[metric]} ({100 * (change - 1):+.0f} %)"
            for metric, change in changes.items()
            if change > 1.005
        ]
        verdict = f"On {people} held out, errors fell by {100 * (1 - factor):.0f} % on average over the figures"
        verdict += f", but grew in {', '.join(worse)}." if worse else "."
    else:
        verdict = (
            f"On {people} held out, errors did not fall ({100 * (factor - 1):+.0f} % on average over the figures): "
            f"keep the weights you had ({weights})."
        )
    if num_people < LEAST_PEOPLE_TOLD:
        verdict += " With so few people held out the difference may be chance."
    return {"is_better": is_better, "verdict": verdict}


def _as_text(result: Mapping[str, Any]) -> str:
    lines = [
        "# Before and after fine-tuning",
        "",
        result["verdict"],
        "",
        f"Started from `{result['weights']}`; {result['num_steps']} steps, seed {result['seed']}; trained on "
        f"{len(result['trained_on'])} people. Held out: {', '.join(result['held_out'])}.",
        "",
        "Mean absolute error, % of body weight; of the centre of pressure, mm.",
        "",
        f"| dataset | activity | people | trials | weights | {' | '.join(METRIC_NAMES.values())} |",
        "|---|---|---|---|---" + "|---" * len(METRICS) + "|",
    ]
    for row, *figures in compared(result):
        for when, values in zip(("before", "after"), figures, strict=True):
            shown = ["–" if values[metric] is None else f"{values[metric]:.2f}" for metric in METRICS]
            lines.append(f"| {' | '.join((*row, when, *shown))} |")
    if result["excluded"]:
        lines += ["", "Left out:", ""]
        lines += [f"- {entry['trial']}: {entry['reason']}" for entry in result["excluded"]]
    return "\n".join(lines) + "\n"


def compared(
    result: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, str, str, str], dict[str, float | None], dict[str, float | None]]]:
    """Rows of a table: dataset, activity, number of people and of trials; figures before; figures after."""
    after = {(row["dataset"], row["activity"]): row for row in result["after"]["rows"]}
    for row in result["before"]["rows"]:
        place = (row["dataset"], row["activity"])
        if place in after:
            yield (*place, str(row["num_subjects"]), str(row["num_trials"])), row, after[place]
    yield ("mean of rows", "all", "", ""), result["before"]["overall"], result["after"]["overall"]


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
