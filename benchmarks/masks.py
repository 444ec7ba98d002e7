"""What it costs to measure less: forces, angles and feet with parts of each motion hidden, by every way of completing.

Every (method, mask) is measured by the function behind `gaitdynamics evaluate --mask`, and kept in a scratch folder, so
that a run that was interrupted goes on where it stopped.
"""

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from _record import insert, record, table

from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.training.completions import (
    DIRECT,
    LINEAR,
    MEAN,
    MID_RANGE,
    ChannelLevels,
    Direct,
    Method,
    channel_levels,
    load_method,
)
from gaitdynamics.training.evaluate import METRICS
from gaitdynamics.training.masked_evaluation import (
    ANGLE,
    ANGLE_FIGURES,
    GAP_FIGURES,
    LONGEST_S,
    MEASURED_SLIDING,
    SLIDING,
    Prepared,
    evaluate_mask,
    increase,
    prepare,
)
from gaitdynamics.training.masks import MASKS, NONE

ROOT = Path(__file__).parents[1]
OURS, AUTHORS, PLAIN = "ours", "authors", "plain"
TITLES = {
    OURS: "ours",
    AUTHORS: "authors",
    LINEAR: "linear",
    MEAN: "mean",
    MID_RANGE: "mid-range",
    DIRECT: "not completed",
}
SINGLE = [mask for mask in MASKS if "+" not in mask]  # pairs of parts double the time
AUTHORS_MASKS = (NONE, "hips", "gap_200ms")
PEAK, GAP_RMSE = "vertical_peak_mae_pct_bw", GAP_FIGURES[-1]
# Tan et al. 2026: peak vertical error with a segment missing; RMSE in gaps of an older model of theirs, of linear ones.
PUBLISHED_PEAK = {NONE: 3.6, "trunk": 3.7, "pelvis": 4.4, "hips": 5.5, "knees": 3.8, "ankles": 3.6}
PUBLISHED_GAP = {"gap_50ms": (5.1, 5.1), "gap_200ms": (5.6, 6.4), "gap_500ms": (7.8, 7.5)}


@dataclass(frozen=True)
class Setting:
    """What every process needs."""

    study: Path
    split: str
    weights: str
    completion: str
    authors: str | None
    scratch: Path
    longest_s: float
    levels: dict[str, ChannelLevels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    parser.add_argument("--weights", default="starter", help="the force model (default: starter)")
    parser.add_argument("--completion", default="starter_diffusion", help="the model of gait, a name or folder")
    parser.add_argument("--authors", help="folder of the authors' refinement and diffusion weights side by side")
    parser.add_argument(
        "--masks", default=",".join(SINGLE), help=f"these, with commas (default: all but pairs; all: {','.join(MASKS)})"
    )
    parser.add_argument("--methods", default=",".join(TITLES), help="only these, with commas (default: all)")
    parser.add_argument(
        "--longest-s", type=float, default=LONGEST_S, help=f"of each trial looked at (default: {LONGEST_S:g})"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: as many as cores)")
    parser.add_argument(
        "--scratch", type=Path, help="where single results are kept (default: a temporary folder by code and settings)"
    )
    arguments = parser.parse_args()
    scratch = arguments.scratch or _scratch_of(vars(arguments))
    methods = [name for name in arguments.methods.split(",") if name != AUTHORS or arguments.authors]
    masks = arguments.masks.split(",")
    wanted = [(PLAIN, NONE), *((name, mask) for name in methods for mask in masks if _is_measured(name, mask))]
    study_trials = read_study(arguments.study)
    todo = [each for each in wanted if not _result_path(scratch, *each).exists()]
    todo.sort(key=lambda each: each[0] != AUTHORS)  # the slow ones first, so that no process ends up alone with them
    setting = Setting(
        study=arguments.study,
        split=arguments.split,
        weights=arguments.weights,
        completion=arguments.completion,
        authors=arguments.authors,
        scratch=scratch,
        longest_s=arguments.longest_s,
        levels=channel_levels(study_trials) if any(name in (MEAN, MID_RANGE) for name, _ in todo) else {},
    )
    if todo:
        with ProcessPoolExecutor(
            arguments.jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(setting,)
        ) as pool:
            for done, (name, mask) in enumerate(pool.map(_measure, *zip(*todo, strict=True)), start=1):
                print(f"{done} of {len(todo)}: {name}, {mask}", flush=True)
    results = {each: json.loads(_result_path(scratch, *each).read_text()) for each in wanted}
    _report(results, study_trials, masks, methods, arguments.split)


def _scratch_of(settings: dict[str, Any]) -> Path:
    """A folder of its own for every state of the code, and of what results depend upon."""
    seen = hashlib.sha256()
    for name in ("study", "split", "weights", "completion", "authors", "longest_s"):
        seen.update(f"{name}={settings[name]};".encode())
        if isinstance(settings[name], str):
            for weights in sorted(Path(settings[name]).rglob("*.safetensors")):
                seen.update(weights.read_bytes())
    for source in sorted((ROOT / "src").rglob("*")):
        if source.suffix in (".py", ".safetensors"):
            seen.update(source.read_bytes())
    return Path(tempfile.gettempdir()) / f"gaitdynamics_masks_{seen.hexdigest()[:12]}"


def _is_measured(method: str, mask: str) -> bool:
    """Lines are for gaps; nothing has to be completed where nothing is hidden, but for what was never measured.

    Pairs of parts are hidden from ours, completed or not, and little from the authors', who take five times as long.
    """
    if method == LINEAR:
        return mask.startswith("gap")
    if method == AUTHORS:
        return mask in AUTHORS_MASKS
    if "+" in mask:
        return method in (OURS, DIRECT)
    return mask != NONE or method in (OURS, AUTHORS)


def _result_path(scratch: Path, method: str, mask: str) -> Path:
    return scratch / method / f"{mask}.json"


@dataclass(frozen=True)
class Worker:
    """A process' own: the trials, read once, and methods as they are asked for."""

    setting: Setting
    prepared: Prepared
    methods: dict[str, Method]

    def method(self, name: str) -> Method:
        if name not in self.methods:
            self.methods[name] = self._load(name)
        return self.methods[name]

    def _load(self, name: str) -> Method:
        setting = self.setting
        if name == PLAIN:
            return Direct(load_estimator(setting.weights))
        if name == AUTHORS and setting.authors is not None:
            return load_method(None, weights=setting.authors)
        return load_method(setting.completion if name == OURS else name, weights=setting.weights, levels=setting.levels)


_worker: list[Worker] = []


def _start(setting: Setting) -> None:
    torch.set_num_threads(1)
    prepared = prepare(read_study(setting.study), split=setting.split, longest_s=setting.longest_s)
    _worker.append(Worker(setting, prepared, {}))


def _measure(method: str, mask: str) -> tuple[str, str]:
    (worker,) = _worker
    result = evaluate_mask(worker.prepared, mask=MASKS[mask], method=worker.method(method))
    path = _result_path(worker.setting.scratch, method, mask)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result))
    partial.replace(path)
    return method, mask


def _report(
    results: dict[tuple[str, str], dict[str, Any]],
    study_trials: Sequence[StudyTrial],
    masks: Sequence[str],
    methods: Sequence[str],
    split: str,
) -> None:
    for (method, mask), result in results.items():
        reference = results[AUTHORS, NONE] if method == AUTHORS and mask != NONE else results[PLAIN, NONE]
        if mask != NONE:
            result["increase"] = increase(study_trials, result, reference)
    hidden = [mask for mask in masks if mask != NONE and not mask.startswith("gap")]
    gaps = [mask for mask in masks if mask.startswith("gap")]
    for_parts = [method for method in methods if method != LINEAR]

    def rows(masks: Sequence[str], methods: Sequence[str], cell: Callable[[dict[str, Any]], str]) -> list[list[str]]:
        return [
            [mask, *(cell(results[method, mask]) if (method, mask) in results else "–" for method in methods)]
            for mask in masks
        ]

    def with_increase(figure: str) -> Callable[[dict[str, Any]], str]:
        def cell(result: dict[str, Any]) -> str:
            own = _figure(result["overall"].get(figure), 1)
            more = result.get("increase", {}).get("overall", {}).get(figure)
            return own if more is None else f"{own} ({more:+.1f})"

        return cell

    def overall(figure: str, digits: int) -> Callable[[dict[str, Any]], str]:
        return lambda result: _figure(result["overall"].get(figure), digits)

    plain = results[PLAIN, NONE]
    parts = []
    if hidden:
        heads = [TITLES[method] for method in for_parts]
        published = [f"{PUBLISHED_PEAK[mask]:.1f}" if mask in PUBLISHED_PEAK else "–" for mask in (NONE, *hidden)]
        peak_rows = [
            [*row, figure]
            for row, figure in zip(
                [
                    [NONE, *(with_increase(PEAK)(results.get((m, NONE), plain)) for m in for_parts)],
                    *rows(hidden, for_parts, with_increase(PEAK)),
                ],
                published,
                strict=True,
            )
        ]
        parts += [
            "### Parts of the body hidden\n\nPeak vertical force, mean absolute error, % of body weight (in brackets: "
            "more than with nothing hidden, over the same trials; the authors' against theirs).",
            table(["hidden", *heads, "Tan et al. 2026, other data"], peak_rows),
            "Vertical force, mean absolute error, % of body weight (in brackets: more than with nothing hidden).",
            table(["hidden", *heads], rows(hidden, for_parts, with_increase(METRICS[0]))),
            "Angles that were hidden, root mean square error, degrees.",
            table(["hidden", *heads], rows(hidden, for_parts, overall(ANGLE, 1))),
            f"Sliding of loaded feet, m/s; {_figure(plain['overall'][MEASURED_SLIDING], 2)} in motions as measured.",
            table(["hidden", *heads], rows(hidden, for_parts, overall(SLIDING, 2))),
            "Trials that could not be estimated, of those in which the mask hides something.",
            table(["hidden", *heads], rows(hidden, for_parts, _failures)),
        ]
    if gaps:
        heads = [TITLES[method] for method in methods]
        published = [
            "–" if mask not in PUBLISHED_GAP else "{:.1f} ({:.1f})".format(*PUBLISHED_GAP[mask]) for mask in gaps
        ]
        gap_rows = [
            [*row, figure] for row, figure in zip(rows(gaps, methods, overall(GAP_RMSE, 1)), published, strict=True)
        ]
        parts += [
            "### Gaps in all coordinates\n\nVertical force in the gaps and 50 ms around them, root mean square error, "
            "% of body weight.",
            table(["gap", *heads, "Tan et al., an older model (linear), other data"], gap_rows),
            "Angles in the gaps, root mean square error, degrees.",
            table(["gap", *heads], rows(gaps, methods, overall(ANGLE, 1))),
        ]
    if OURS in methods:
        parts += ["### Ours in full", _in_full(results, [NONE, *hidden, *gaps])]
    num_looked_at = f"The first {plain['longest_s']:g} s of each trial; means of data sets, as above."
    text = "\n\n".join([num_looked_at, *parts])
    kept = {
        f"{method} {mask}": {key: value for key, value in result.items() if key != "trials"}
        for (method, mask), result in results.items()
    }
    if not set(SINGLE) <= set(masks) or not {*TITLES} - {AUTHORS} <= set(methods):
        print(text)  # a part of the table is for looking at
        return
    record(f"masks_{split}", f"# Parts and moments hidden, {split} split\n\n{text}", figures=kept)
    if split == "validation":
        insert(ROOT / "docs" / "accuracy.md", text, mark="masks")


def _in_full(results: dict[tuple[str, str], dict[str, Any]], masks: Sequence[str]) -> str:
    joints = [figure.removesuffix("_angle_rmse_deg") for figure in ANGLE_FIGURES[1:]]
    heads = ["V", "AP", "ML", "peak V", "CoP, mm", "90 %, %", *(f"{joint}, deg" for joint in joints), "sliding, m/s"]
    figures = [*METRICS, "interval_coverage_pct", *ANGLE_FIGURES[1:], SLIDING]
    digits = [2, 2, 2, 2, 1, 0, *(1 for _ in joints), 2]
    rows = [
        [
            f"{activity}: {mask}",
            *(_figure(values.get(figure), each) for figure, each in zip(figures, digits, strict=True)),
        ]
        for mask in masks
        if (OURS, mask) in results
        for activity, values in results[OURS, mask]["by_activity"].items()
    ]
    return table(["hidden", *heads], sorted(rows, key=lambda row: not row[0].startswith("walk")))


def _failures(result: dict[str, Any]) -> str:
    return f"{len(result['excluded'])} of {result['num_trials']}"


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
