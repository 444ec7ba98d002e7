"""Tables of several gaits of one person: for the terminal, for a spreadsheet, for a program."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitdynamics.apps.measured_versions import LEAST_SAMPLES, Estimated, MeasuredVersion
from gaitdynamics.units import SIDE_NAMES

if TYPE_CHECKING:
    from rich.table import Table

DECIMALS = 5  # finer than any of these numbers is known
BOTH_SIDES = "both"
RECORDED = "recorded"
EXTRAPOLATED_MARK = "*"
COLUMN_MARGIN = 3  # letters between two columns
CSV_COLUMNS = ("value", "lower", "upper", "change", "change_lower", "change_upper")


@dataclass(frozen=True)
class Row:
    """A line of the table on the terminal.

    Args:
        name: of the parameter.
        label: with its unit, for people.
        decimals: that are shown.
        factor: from the parameter's unit to the label's.
    """

    name: str
    label: str
    decimals: int = 2
    factor: float = 1.0

    def text(self, found: Estimated, *, is_change: bool = False) -> str:
        """The number, as it is shown; changes have a sign."""
        return "–" if found.value is None else self._shown(found.value, is_change=is_change)

    def bounds(self, found: Estimated, *, is_change: bool = False) -> str:
        """Its interval, as it is shown; nothing where there is none."""
        if found.lower is None or found.upper is None:
            return ""
        lower, upper = (self._shown(bound, is_change=is_change) for bound in (found.lower, found.upper))
        return f"[{lower}, {upper}]"

    def _shown(self, value: float, *, is_change: bool) -> str:
        rounded = round(value * self.factor, self.decimals) + 0.0  # no negative zeros
        return f"{rounded:{'+' if is_change else ''}.{self.decimals}f}"


MODIFICATION_ROWS = (
    Row("knee_adduction_first_peak_pct_bw_bh", "knee adduction, 1st peak, %BW·BH"),
    Row("knee_adduction_second_peak_pct_bw_bh", "knee adduction, 2nd peak, %BW·BH"),
    Row("knee_adduction_impulse_pct_bw_bh_s", "knee adduction impulse, %BW·BH·s"),
    Row("knee_adduction_lever_arm_first_peak_pct_bw_bh", "1st peak by lever arm, %BW·BH"),
    Row("knee_adduction_lever_arm_second_peak_pct_bw_bh", "2nd peak by lever arm, %BW·BH"),
    Row("knee_flexion_peak_pct_bw_bh", "knee flexion moment, %BW·BH"),
    Row("hip_adduction_peak_pct_bw_bh", "hip adduction moment, %BW·BH"),
    Row("trunk_lean_max_deg", "trunk lean to the stance leg, °", 1),
    Row("foot_progression_deg", "toe-out, °", 1),
    Row("step_width_m", "step width, cm", 1, 100.0),
    Row("stride_length_m", "stride length, m"),
    Row("cadence_steps_per_min", "cadence, steps/min", 1),
    Row("speed_m_s", "speed, m/s"),
    Row("peak_vertical_bw", "peak vertical force, BW"),
)
SPEED_ROWS = (
    Row("stride_length_m", "stride length, m"),
    Row("cadence_steps_per_min", "cadence, steps/min", 0),
    Row("contact_time_s", "contact time, ms", 0, 1000.0),
    Row("peak_vertical_bw", "peak vertical force, BW"),
    Row("peak_propulsive_bw", "peak propulsive force, BW"),
    Row("peak_braking_bw", "peak braking force, BW"),
    Row("loading_rate_bw_s", "loading rate, BW/s", 0),
    Row("hip_flexion_max_deg", "hip flexion, largest, °", 1),
    Row("hip_flexion_min_deg", "hip flexion, smallest, °", 1),
    Row("knee_flexion_max_deg", "knee flexion, largest, °", 1),
    Row("knee_flexion_min_deg", "knee flexion, smallest, °", 1),
    Row("ankle_flexion_max_deg", "ankle dorsiflexion, largest, °", 1),
    Row("ankle_flexion_min_deg", "ankle dorsiflexion, smallest, °", 1),
)


def names_of(measured: Sequence[MeasuredVersion]) -> tuple[str, ...]:
    """All parameters of the gaits, those that none has an answer to, too."""
    return tuple(dict.fromkeys(name for each in measured for name in each.centre.parameters))


def split_side(name: str) -> tuple[str, str]:
    """A parameter's name without its side, and the side: right, left, or both."""
    for side in SIDE_NAMES:
        if name.endswith(f"_{side}"):
            return name.removesuffix(f"_{side}"), side
    return name, BOTH_SIDES


def parameters_content(one: MeasuredVersion, recorded: MeasuredVersion) -> dict[str, dict[str, float | None]]:
    """Every parameter of a version with its interval and, but for the recorded one, its change; JSON values."""
    content: dict[str, dict[str, float | None]] = {}
    for name in names_of([recorded, one]):
        content[name] = _bounded(one.parameter(name), "value", "lower", "upper")
        if one is not recorded:
            content[name] |= _bounded(one.change(name, recorded), "change", "change_lower", "change_upper")
    return content


def csv_text(measured: Sequence[MeasuredVersion], *, amount: str) -> str:
    """A long table: a line for every parameter, side and version.

    Args:
        measured: the recorded gait first.
        amount: what the versions differ in: dose, speed_m_s.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("parameter", "side", "version", amount, *CSV_COLUMNS))
    contents = [parameters_content(each, measured[0]) for each in measured]
    for name in names_of(measured):
        for each, content in zip(measured, contents, strict=True):
            numbers = [content.get(name, {}).get(column) for column in CSV_COLUMNS]
            cells = ["" if number is None else f"{number:.10g}" for number in numbers]
            writer.writerow((*split_side(name), each.version.label, f"{each.version.amount:.10g}", *cells))
    return written.getvalue()


def shown_table(
    measured: Sequence[MeasuredVersion], rows: Sequence[Row], *, title: str, heads: Sequence[str], width: int
) -> "Table":
    """The parameters that matter, one column for each version; with a single one beside the recorded, the change, too.

    Intervals are left out where a terminal has no room for them.

    Args:
        measured: the recorded gait first.
        rows: which, and how; those that no version has an answer to are left out.
        title: over the table.
        heads: of the columns, one for each version.
        width: of the terminal, in letters.
    """
    recorded, *others = measured
    changed = others if len(others) == 1 else []
    marks = [EXTRAPOLATED_MARK if each.version.is_extrapolated else "" for each in measured]
    heads = [*(head + mark for head, mark in zip(heads, marks, strict=True)), *("change" for _ in changed)]
    lines = []
    for row in rows:
        found = [each.parameter(row.name) for each in measured]
        if any(each.value is not None for each in found):
            changes = [each.change(row.name, recorded) for each in changed]
            plain = [row.text(each) for each in found] + [row.text(each, is_change=True) for each in changes]
            bounds = [row.bounds(each) for each in found] + [row.bounds(each, is_change=True) for each in changes]
            lines.append(
                (row.label, plain, [f"{text} {bound}".strip() for text, bound in zip(plain, bounds, strict=True)])
            )
    num_samples = max(len(each.samples) for each in measured)
    widths = [max(len(text) for text in column) for column in zip(heads, *(cells for *_, cells in lines), strict=True)]
    widest_label = max((len(label) for label, *_ in lines), default=0)
    has_room = widest_label + sum(COLUMN_MARGIN + each for each in widths) < width
    has_intervals = num_samples >= LEAST_SAMPLES
    caption = "Means over whole stances and strides."
    if has_intervals:
        meaning = f"nine of ten of {num_samples} equally likely gaits"
        caption += f" In brackets: {meaning}." if has_room else f" Intervals ({meaning}) are in the .csv."
    if any(marks):
        caption += f" {EXTRAPOLATED_MARK} Outside the training data."
    fits = has_intervals and has_room
    return _table(
        [(label, cells if fits else plain) for label, plain, cells in lines], heads, title=title, caption=caption
    )


def _table(lines: Sequence[tuple[str, Sequence[str]]], heads: Sequence[str], *, title: str, caption: str) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title),
        caption=Text(caption),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column("")
    for head in heads:
        table.add_column(Text(head), justify="right")
    for label, cells in lines:
        table.add_row(Text(label), *(Text(cell, no_wrap=True) for cell in cells))
    return table


def _bounded(found: Estimated, *keys: str) -> dict[str, float | None]:
    numbers = (found.value, found.lower, found.upper)
    return {
        key: None if number is None else round(number, DECIMALS) + 0.0
        for key, number in zip(keys, numbers, strict=True)
    }
