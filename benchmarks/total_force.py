"""Error of the sum of both feet's forces: what the physics of the whole body gives, however it is shared."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from _record import record, table

from gaitdynamics.io.study import Interval, read_study
from gaitdynamics.training import evaluate
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.trial import Trial

TARGETS_PCT_BW = dict(zip(evaluate.METRICS[:3], (3.5, 4.0, 2.5), strict=True))  # walking, validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    arguments = parser.parse_args()
    per_foot = evaluate.force_errors

    def of_the_sum(trial: Trial, estimated: GroundReaction, valid_s: Sequence[Interval]) -> np.ndarray:
        return per_foot(*with_sums(trial, estimated), valid_s)

    with patch.object(evaluate, "force_errors", of_the_sum):
        result = evaluate.evaluate_study(read_study(arguments.study), split=arguments.split, weights="physics")
    rows = [
        [f"{row['dataset']}, {row['activity']}", row["num_subjects"], row["num_trials"], *_figures(row)]
        for row in result["rows"]
    ]
    rows += [[f"mean of rows, {name}", "", "", *_figures(mean)] for name, mean in result["by_activity"].items()]
    rows.append(["target, walk", "", "", *TARGETS_PCT_BW.values()])
    excluded = "\n".join(f"- {entry['trial']}: {entry['reason']}" for entry in result["excluded"])
    text = f"""# Error of the total force, {result["split"]} split

Mean absolute error of the sum of both feet's forces, % of body weight, over the valid intervals; trials are averaged to
people, people to rows, rows to activities, as `gaitdynamics evaluate` does. The targets are for walking on the
validation split.

{table(["", "people", "trials", "vertical", "fore–aft", "sideways"], rows)}

Left out: {chr(10) + excluded if excluded else "nothing."}
"""
    kept = ("dataset", "activity", "num_subjects", "num_trials", *TARGETS_PCT_BW)
    figures: dict[str, Any] = {
        "split": result["split"],
        "rows": [{key: row[key] for key in kept} for row in result["rows"]],
        "by_activity": {
            name: {key: mean[key] for key in TARGETS_PCT_BW} for name, mean in result["by_activity"].items()
        },
        "targets_walk": TARGETS_PCT_BW,
        "excluded": result["excluded"],
    }
    record(f"total_force_{result['split']}", text, figures=figures)


def with_sums(trial: Trial, estimated: GroundReaction) -> tuple[Trial, GroundReaction]:
    """Both carry the total force on each foot, so that an error averaged over the feet is the error of the total."""
    assert trial.forces is not None
    return replace(trial, forces=on_each_foot(trial.forces)), on_each_foot(estimated)


def on_each_foot(forces: GroundReaction) -> GroundReaction:
    """The sum of both feet's forces in the place of each."""
    total = forces.force_n.sum(axis=1, keepdims=True)
    return replace(forces, force_n=np.repeat(total, 2, axis=1))


def _figures(row: dict[str, Any]) -> list[float | None]:
    return [row[metric] for metric in TARGETS_PCT_BW]


if __name__ == "__main__":
    main()
