"""The accuracy tables of README, docs/accuracy.md and MODEL_CARD: every estimator on a split of a study, in one run."""

import argparse
from pathlib import Path
from typing import Any

from _record import insert, record, table

from gaitdynamics.io.study import read_study
from gaitdynamics.training.evaluate import FIGURES, METRICS, PUBLISHED, evaluate_study

ROOT = Path(__file__).parents[1]
HEADERS = ("V", "AP", "ML", "peak V", "CoP, mm")
OURS = "starter"
CARD = "src/gaitdynamics/assets/weights/starter/MODEL_CARD.md"
PUBLISHED_ROW = "Tan et al. 2026, published, other data sets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    parser.add_argument("--weights", default=OURS, help=f"the force model to measure (default: {OURS})")
    parser.add_argument("--authors", type=Path, help="weights of the authors' architecture, trained on the same data")
    arguments = parser.parse_args()
    trials = read_study(arguments.study)
    names = {"ours": arguments.weights, "physics": "physics"}
    if arguments.authors is not None:
        names["authors"] = str(arguments.authors)
    results = {name: evaluate_study(trials, split=arguments.split, weights=each) for name, each in names.items()}
    results["aligned"] = evaluate_study(trials, split=arguments.split, weights=arguments.weights, is_aligned=True)
    for result in results.values():
        result["weights"] = Path(result["weights"]).name
    ours = results["ours"]
    others = [name for name in ("authors", "physics") if name in results]
    compared = f"ours ({' / '.join(others)})" if others else "ours"
    note = (
        f"Each cell: {compared}. Mean absolute error in % of body weight of each foot, swing included; distance of the "
        "centre of pressure in mm."
    )
    rows = []
    for number, row in enumerate(ours["rows"]):
        of_others = [results[name]["rows"][number] for name in others]
        label = f"{row['activity']}: {row['dataset']}"
        rows.append([label, row["num_subjects"], row["num_trials"], *_cells(row, of_others)])
    means = {**ours["by_activity"], "all": ours["overall"]}
    for name, mean in means.items():
        of_others = [({**results[o]["by_activity"], "all": results[o]["overall"]})[name] for o in others]
        rows.append([f"{name}: mean of the rows", "", "", *_cells(mean, of_others)])
    rows.append([PUBLISHED_ROW, "", "", *(f"{PUBLISHED[m]:.2f}" if m in PUBLISHED else "–" for m in METRICS)])
    text = f"{table(['', 'people', 'trials', *HEADERS], rows)}\n\n{note}"
    extra = [
        [f"{name}: {kind}", *(values.get(figure) for figure in FIGURES)]
        for kind, result in (("as measured", ours), ("each trial's lag taken out", results["aligned"]))
        for name, values in {**result["by_activity"], "all": result["overall"]}.items()
    ]
    second = table(["ours, mean of the rows", *HEADERS, "within 90 % intervals, %"], extra)
    record(
        f"accuracy_{arguments.split}",
        f"# Accuracy, {arguments.split} split\n\n{text}\n\n{second}",
        figures=results,
    )
    if arguments.split == "validation":
        insert(ROOT / "README.md", text, mark="accuracy")
        for page in (ROOT / "docs" / "accuracy.md", ROOT / CARD):
            insert(page, f"{text}\n\n{second}", mark="accuracy")


def _cells(values: dict[str, Any], of_others: list[dict[str, Any]]) -> list[str]:
    cells = []
    for metric in METRICS:
        digits = 1 if metric == "cop_mae_mm" else 2
        own, *rest = (_figure(each.get(metric), digits) for each in (values, *of_others))
        cells.append(f"{own} ({' / '.join(rest)})" if rest else own)
    return cells


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
