"""What is in a data folder: people, hours, speeds, ages, conditions; what was left out, and what was corrected."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gaitdynamics.errors import InputFileError
from gaitdynamics.training.assembly import FORMAT, INDEX_NAME

SECONDS_PER_HOUR, SECONDS_PER_MINUTE, MILLISECONDS_PER_SECOND = 3600.0, 60.0, 1000.0
_BUILD = "Build it with 'gaitdynamics data build'."


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a data folder.

    Raises:
        InputFileError: there is none, or it is not what it should be.
    """
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(f"{folder}: no data folder, or one whose build has not ended. {_BUILD}") from None
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: can't be read: {error}. {_BUILD}") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or not isinstance(index.get("recordings"), list):
        raise InputFileError(f"{path}: not the index of a data folder of format {FORMAT}. {_BUILD}")
    return index


def describe(index: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each dataset and split, and one for each split over all datasets; JSON values.

    Hours are of valid force, augmented copies not counted.
    """
    recordings = [recording for recording in index["recordings"] if recording["variant"] == 0]
    rows = _rows(recordings, lambda r: (r["split"], r["dataset"]))
    return rows + _rows(recordings, lambda r: (r["split"], "all"))


def _rows(
    recordings: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[str, str]]
) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for recording in recordings:
        groups[key(recording)].append(recording)
    rows = []
    for (split, dataset), group in sorted(groups.items()):
        people = {recording["group"]: recording for recording in group}
        rows.append(
            {
                "dataset": dataset,
                "split": split,
                "people": len(people),
                "recordings": len(group),
                "hours": round(sum(r["valid_s"] for r in group) / SECONDS_PER_HOUR, 4),
                "speed_m_s": _range([r["speed_m_s"] for r in group]),
                "sexes": _counts([str(p["sex"] or "unknown").lower() for p in people.values()]),
                "age_years": _range([p["age_years"] for p in people.values()]),
                "mass_kg": _range([p["mass_kg"] for p in people.values()]),
                "height_m": _range([p["height_m"] for p in people.values()]),
                "conditions": _counts([f"{r['activity']} {r['surface'] or 'anywhere'}" for r in group]),
            }
        )
    return rows


def report_of(index: dict[str, Any]) -> dict[str, Any]:
    """What a build kept, what it left out and why, and what it did to each laboratory's forces; JSON values."""
    kept: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for recording in index["recordings"]:
        if recording["variant"] == 0:
            kept[recording["dataset"], recording["activity"], recording["split"]].append(recording)
    removed: dict[str, list[float]] = defaultdict(list)
    for entry in index["removed"]:
        removed[entry["reason"]].append(entry["seconds"])
    copies = [entry["reason"] for entry in index["excluded_variants"]]
    return {
        "kept": [
            {
                "dataset": dataset,
                "activity": activity,
                "split": split,
                "people": len({r["group"] for r in group}),
                "recordings": len(group),
                "minutes": round(sum(r["valid_s"] for r in group) / SECONDS_PER_MINUTE, 3),
            }
            for (dataset, activity, split), group in sorted(kept.items())
        ],
        "removed": [
            {"reason": reason, "recordings": len(seconds), "seconds": round(sum(seconds), 3)}
            for reason, seconds in sorted(removed.items())
        ],
        "excluded": index["excluded"],
        "excluded_variants": [{"reason": reason, "copies": number} for reason, number in _counts(copies).items()],
        "laboratories": index["laboratories"],
        "as_measured": index["settings"]["as_measured"],
    }


def report_text(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["# What was kept", "", *_table(kept_rows(report))]
    lines += ["", "Minutes of valid force.", "", "# Taken out of recordings that were kept", ""]
    lines += _table(removed_rows(report)) if report["removed"] else ["Nothing."]
    lines += ["", "# Recordings left out", ""]
    lines += _table(excluded_rows(report)) if report["excluded"] else ["None."]
    lines += ["", *(f"{row['copies']} altered copies: {row['reason']}" for row in report["excluded_variants"])]
    lines += ["", "# Laboratories", "", *_table(laboratory_rows(report)), "", laboratory_note(report)]
    return "\n".join(lines) + "\n"


def kept_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """For a table of what was kept, a row for each dataset, activity and split."""
    return [
        {key: f"{value:.2f}" if key == "minutes" else str(value) for key, value in row.items()}
        for row in report["kept"]
    ]


def removed_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """For a table of what was taken out of recordings that were kept."""
    return [
        {"reason": row["reason"], "recordings": str(row["recordings"]), "seconds": f"{row['seconds']:.2f}"}
        for row in report["removed"]
    ]


def excluded_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """For a table of the recordings that were left out."""
    return [{"recording": row["name"], "reason": row["reason"]} for row in report["excluded"]]


def laboratory_rows(report: dict[str, Any]) -> list[dict[str, str]]:
    """For a table of lags and levels, and of what was done about them; a row for a dataset, or a person apart."""
    rows = []
    for dataset, lab in report["laboratories"].items():
        level = lab["level_body_weights"]
        rows.append(
            {
                "dataset": dataset,
                "people": str(lab["num_subjects"]),
                "total, ms": _milliseconds(lab["total_lag_s"]),
                "contacts, ms": _milliseconds(lab["contact_lag_s"]),
                "level, BW": "–" if level is None else f"{level:.3f}",
                "clock, ms": _milliseconds(lab["lag_s"]),
                "force ×": f"{lab['force_scale']:.3f}",
            }
        )
        for subject, own in lab["own"].items():
            rows.append(
                dict.fromkeys(rows[-1], "")
                | {
                    "dataset": f"{dataset}/{subject}",
                    "clock, ms": _milliseconds(own["lag_s"]),
                    "force ×": f"{own['force_scale']:.3f}",
                }
            )
    return rows


def laboratory_note(report: dict[str, Any]) -> str:
    """One sentence on what was done about lags and levels."""
    found = (
        "By so many ms the force comes later than the motion, by the total force, by the contacts, and by the clock. "
    )
    if report["as_measured"]:
        return found + "Forces are as measured: the last two columns say what would have been corrected."
    return found + "The clock's lag was taken out of the forces, and they were multiplied as the last column says."


def _table(rows: Sequence[dict[str, str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    heads = list(rows[0])
    return [line(heads), line(["---"] * len(heads)), *(line(list(row.values())) for row in rows)]


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * MILLISECONDS_PER_SECOND:+.1f}"


def _range(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in sorted(set(values))}
