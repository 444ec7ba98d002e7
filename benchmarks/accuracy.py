"""The accuracy tables of README.md and docs/accuracy.md: `gaitdynamics evaluate` on a split of a study."""

import argparse
import re
from pathlib import Path
from typing import Any

from _record import record, table

from gaitdynamics.io.study import read_study
from gaitdynamics.training.evaluate import METRICS, PUBLISHED, evaluate_study

ROOT = Path(__file__).parents[1]
HEADERS = ("V", "AP", "ML", "peak V", "CoP, mm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    arguments = parser.parse_args()
    result = evaluate_study(read_study(arguments.study), split=arguments.split, weights="physics")
    rows = [
        [f"{row['activity']}: {row['dataset']}", row["num_subjects"], row["num_trials"], *_figures(row)]
        for row in result["rows"]
    ]
    means = {**result["by_activity"], "all": result["overall"]}
    rows += [[f"{name}: mean of the rows", "", "", *_figures(mean)] for name, mean in means.items()]
    rows.append(["Tan et al. 2026, published, other data sets", "", "", *_figures(PUBLISHED)])
    text = table(["", "people", "trials", *HEADERS], rows)
    record(
        f"accuracy_{arguments.split}",
        f"# Accuracy, {arguments.split} split\n\n{text}",
        figures=result,
    )
    if arguments.split == "validation":
        for page in (ROOT / "README.md", ROOT / "docs" / "accuracy.md"):
            _insert(page, text)


def _figures(values: dict[str, Any]) -> list[float | None]:
    return [values.get(metric) for metric in METRICS]


def _insert(page: Path, text: str) -> None:
    """Put a table between a page's marks."""
    begin, end = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
    marked = re.compile(f"{begin}.*?{end}", re.DOTALL)
    page.write_text(marked.sub(lambda _: f"{begin}\n{text}\n{end}", page.read_text("utf-8"), count=1), "utf-8")


if __name__ == "__main__":
    main()
