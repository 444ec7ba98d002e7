"""What `gaitdynamics evaluate --mask` prints."""

from collections import Counter
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from gaitdynamics.training.evaluate import METRICS
from gaitdynamics.training.masked_evaluation import ANGLE, GAP_FIGURES, MEASURED_SLIDING, SLIDING

PEAK = "vertical_peak_mae_pct_bw"
_HEADS = ("V", "AP", "ML", "peak V", "CoP, mm", "peak V more", "gap V RMSE", "angle, deg", "sliding, m/s", "trials")
_CAPTION = (
    "V vertical, AP anterior-posterior, ML medio-lateral force of each foot, mean absolute error, swing included. "
    "peak V more: over what it is with nothing hidden, same trials. gap V RMSE: vertical force in gaps and 50 ms "
    "around them. angle: RMSE of what was hidden. sliding: of loaded feet in the completed motion{}. trials: estimated."
)


def masked_tables(result: dict[str, Any]) -> list[Table]:
    """One table of an activity each, masks in rows, from what `evaluate_masks` returned; and what was left out."""
    tables = [_table(result, activity) for activity in result["unmasked"]["by_activity"]]
    left_out = Table("hidden", "trials", "reason", title="Could not be estimated")
    for mask in (result["unmasked"], *result["masks"]):
        for reason, count in Counter(entry["reason"] for entry in mask["excluded"]).items():
            left_out.add_row(mask["mask"], str(count), Text(reason))
    return [*tables, left_out] if left_out.row_count else tables


def _table(result: dict[str, Any], activity: str) -> Table:
    unmasked = result["unmasked"]
    measured = unmasked["by_activity"][activity].get(MEASURED_SLIDING)
    as_measured = "" if measured is None else f" ({measured:.2f} in the measured)"
    completion = result["completion"] or "completed by default"
    table = Table(
        title=f"{activity}: error, % of body weight ({result['weights']}, {completion}, {unmasked['split']})",
        caption=_CAPTION.format(as_measured),
        box=SIMPLE,
        padding=0,
        collapse_padding=True,
    )
    table.add_column("hidden", no_wrap=True)
    for head in _HEADS:
        table.add_column(head, justify="right")
    table.add_row("nothing", *_cells(unmasked, activity))
    for mask in result["masks"]:
        table.add_row(mask["mask"], *_cells(mask, activity))
    return table


def _cells(mask: dict[str, Any], activity: str) -> list[str]:
    values = mask["by_activity"].get(activity, {})
    more = mask.get("increase", {}).get("by_activity", {}).get(activity, {}).get(PEAK)
    num = sum(row["num_trials"] for row in mask["rows"] if row["activity"] == activity)
    return [
        *(_number(values.get(metric), 1 if metric == "cop_mae_mm" else 2) for metric in METRICS),
        "–" if more is None else f"{more:+.2f}",
        _number(values.get(GAP_FIGURES[-1]), 2),
        _number(values.get(ANGLE), 1),
        _number(values.get(SLIDING), 2),
        str(num),
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
