"""Pictures of several gaits of one person: how loads follow a change, and how a gait follows its speed."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics.apps.measured_versions import LEAST_SAMPLES, NUM_POINTS, Estimated, MeasuredVersion
from gaitdynamics.apps.version_tables import Row
from gaitdynamics.units import SIDE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
PANEL_INCHES = (2.6, 1.9)
# Inches about and between panels. Fitting them to what is drawn would double the time.
LEFT, RIGHT, TOP, BOTTOM = 0.85, 0.3, 0.4, 0.85
BETWEEN_COLUMNS, BETWEEN_ROWS = 0.9, 0.5
OVER_PANELS = 0.35  # for what stands over each
TITLE_AT_INCHES = 0.15
# Colours that people with any colour vision tell apart (Okabe and Ito 2008), and a sequence that is one in grey, too.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SIDE_COLOURS = dict(zip(SIDE_NAMES, (VERMILLION, BLUE), strict=True))
RECORDED = "0.55"
SEQUENCE, SEQUENCE_ENDS = "viridis", (0.85, 0.0)  # its yellow end is too light for lines
BAND_OPACITY = 0.18
EXTRAPOLATED_GREY = "0.94"
PANEL_LEGEND: Any = {
    "fontsize": "x-small",
    "ncols": 2,
    "columnspacing": 1.0,
    "loc": "lower left",
    "bbox_to_anchor": (0.0, 1.0),
    "borderaxespad": 0.2,
}
LEAST_SPAN = 0.1
PER_CENT = np.linspace(0.0, 100.0, NUM_POINTS)

KNEE_ADDUCTION_PEAKS = (
    ("knee_adduction_first_peak_pct_bw_bh", "first peak", "o", "-"),
    ("knee_adduction_second_peak_pct_bw_bh", "second peak", "s", "--"),
)
OTHER_LOADS = (
    ("knee_adduction_impulse_pct_bw_bh_s", "knee adduction impulse", BLUE, "o"),
    ("knee_flexion_peak_pct_bw_bh", "knee flexion moment", VERMILLION, "s"),
    ("hip_adduction_peak_pct_bw_bh", "hip adduction moment", GREEN, "^"),
    ("peak_vertical_bw", "vertical force", PURPLE, "D"),
)
SPEED_PANELS = (
    Row("stride_length_m", "stride length, m"),
    Row("cadence_steps_per_min", "cadence, steps/min"),
    Row("contact_time_s", "contact time, ms", factor=1000.0),
    Row("peak_vertical_bw", "peak vertical force, BW"),
    Row("peak_propulsive_bw", "peak propulsive force, BW"),
    Row("loading_rate_bw_s", "loading rate, BW/s"),
    Row("hip_flexion_max_deg", "largest hip flexion, °"),
    Row("knee_flexion_max_deg", "largest knee flexion, °"),
    Row("ankle_flexion_max_deg", "largest ankle dorsiflexion, °"),
    Row("knee_flexion_peak_pct_bw_bh", "peak knee flexion\nmoment, %BW·BH"),
)
SPEED_CURVES = (
    ("stride_vertical", "vertical force, BW"),
    ("stride_anteroposterior", "forward force, BW"),
    ("stride_hip_flexion", "hip flexion, °"),
    ("stride_knee_flexion", "knee flexion, °"),
    ("stride_ankle_flexion", "ankle dorsiflexion, °"),
)


@dataclass(frozen=True)
class Followed:
    """The curve that shows what was changed: `<curve>_<side>` of the measured gaits, and what it is called."""

    curve: str
    label: str


def modification_picture(
    measured: Sequence[MeasuredVersion], *, heads: Sequence[str], followed: Followed, dose_label: str, title: str
) -> bytes:
    """Loads of the right and the left leg before and after a change, as a PNG.

    Args:
        measured: the recorded gait first.
        heads: what each is called.
        followed: what was changed.
        dose_label: what the amounts of the versions are; with several of them, loads are shown over it.
        title: over it all.
    """
    panels = (
        ("stance_knee_adduction", "knee adduction moment,\n%BW·BH", "stance, %"),
        ("stance_vertical", "vertical force, BW", "stance, %"),
        ("stance_mediolateral", "medial force, BW", "stance, %"),
        _panel_of(followed, measured),
    )
    num_dose_panels = 2 if len(measured) > 2 else 0
    sides = [side for side in SIDE_NAMES if any(f"{panels[0][0]}_{side}" in each.centre.curves for each in measured)]
    sides = sides or list(SIDE_NAMES)
    num_rows = 2 if num_dose_panels or len(sides) == 2 else 1
    num_columns = (len(panels) * len(sides) + num_dose_panels) // num_rows

    def draw(figure: "Figure") -> None:
        grid = _panels(figure, num_rows, num_columns, over=OVER_PANELS)
        is_row_per_side = len(sides) == num_rows
        dose_axes = grid[:, len(panels) :].ravel() if is_row_per_side else grid.ravel()[len(panels) :]
        colours = _colours(len(measured) - 1)
        for row, side in enumerate(sides):
            for axis, (curve, label, along) in zip(
                grid[row] if is_row_per_side else grid.ravel(), panels, strict=False
            ):
                _draw_curves(axis, measured, f"{curve}_{side}", colours)
                axis.set_ylabel(label)
                axis.set_xlabel(along)
                axis.set_xlim(0, 100)
                axis.set_title(f"{side} leg", fontsize="medium", loc="left")
        if is_row_per_side:
            for column in range(len(panels)):
                _share_range(list(grid[:, column]))
        if num_dose_panels:
            peaks, others = dose_axes
            _draw_peaks(peaks, measured, dose_label)
            _draw_other_loads(others, measured, dose_label)
        _legend_of_versions(figure, measured, heads, colours)

    return _png(draw, title=title)


def speed_picture(measured: Sequence[MeasuredVersion], *, heads: Sequence[str], title: str) -> bytes:
    """Parameters over speed, and forces and angles over the stride at each speed, as a PNG.

    Args:
        measured: the recorded gait first; amounts are speeds.
        heads: what each is called.
        title: over it all.
    """
    columns = len(SPEED_CURVES)

    def draw(figure: "Figure") -> None:
        axes = _panels(figure, 3, columns, over=0.05)
        for axis, row in zip(axes[:2].ravel(), SPEED_PANELS, strict=True):
            _draw_over_speed(axis, measured, row)
        in_order = sorted(range(1, len(measured)), key=lambda k: measured[k].version.amount)
        colours = dict(zip(in_order, _colours(len(in_order)), strict=True))
        for axis, (curve, label) in zip(axes[2], SPEED_CURVES, strict=True):
            _draw_curves(axis, measured, curve, [colours[k] for k in range(1, len(measured))])
            axis.set_ylabel(label)
            axis.set_xlabel("stride, %")
            axis.set_xlim(0, 100)
        _legend_of_versions(figure, measured, heads, [colours[k] for k in range(1, len(measured))])

    return _png(draw, title=title)


def _draw_curves(axis: "Axes", measured: Sequence[MeasuredVersion], curve: str, colours: Sequence[Any]) -> None:
    """One line for each version, with the band of its samples; the recorded gait is grey and lies below.

    A curve without a side is the mean of both.
    """
    axis.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    for k, each in enumerate(measured):
        line = each.centre.curve(curve)
        if line is None:
            continue
        colour = RECORDED if k == 0 else colours[k - 1]
        axis.plot(
            PER_CENT, line, color=colour, linewidth=2.4 if k == 0 else 1.5, linestyle=_style(each), zorder=2 + (k > 0)
        )
        band = each.band(curve)
        if band is not None:
            axis.fill_between(PER_CENT, *band, color=colour, alpha=BAND_OPACITY, linewidth=0, zorder=1)
    if not axis.lines[1:]:
        axis.text(50, 0.5, "no whole step of this leg", ha="center", va="center", transform=axis.get_xaxis_transform())


def _draw_peaks(axis: "Axes", measured: Sequence[MeasuredVersion], dose_label: str) -> None:
    """Both peaks of each knee over the dose."""
    doses = np.array([each.version.amount for each in measured[1:]])
    shift = 0.012 * np.ptp(doses)
    for number, side in enumerate(SIDE_NAMES):
        for peak, (name, label, marker, style) in enumerate(KNEE_ADDUCTION_PEAKS):
            found = [each.parameter(f"{name}_{side}") for each in measured[1:]]
            look = {"color": SIDE_COLOURS[side], "marker": marker, "linestyle": style, "label": f"{side}, {label}"}
            _points(axis, doses + (2 * number + peak - 1.5) * shift, found, measured[1:], **look)
            before = measured[0].parameter(f"{name}_{side}").value
            if before is not None:
                axis.axhline(before, color=SIDE_COLOURS[side], linestyle=":", linewidth=1.0, alpha=0.7, zorder=0)
    _widen(axis)
    axis.set_ylabel("knee adduction moment,\n%BW·BH (dotted: as recorded)")
    axis.set_xlabel(dose_label)
    axis.legend(**PANEL_LEGEND)


def _draw_other_loads(axis: "Axes", measured: Sequence[MeasuredVersion], dose_label: str) -> None:
    """Changes of other loads over the dose, in per cent of the recorded gait's."""
    doses = np.array([each.version.amount for each in measured[1:]])
    shift = 0.012 * np.ptp(doses)
    for number, (name, label, colour, marker) in enumerate(OTHER_LOADS):
        before = measured[0].parameter(name).value
        if not before:
            continue
        found = [_scaled(each.change(name, measured[0]), 100.0 / abs(before)) for each in measured[1:]]
        look = {"color": colour, "marker": marker, "linestyle": "-", "label": label}
        _points(axis, doses + (number - 1.5) * shift, found, measured[1:], **look)
    axis.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_ylabel("change, % of as recorded")
    axis.set_xlabel(dose_label)
    axis.legend(**PANEL_LEGEND)


def _draw_over_speed(axis: "Axes", measured: Sequence[MeasuredVersion], row: Row) -> None:
    ordered = sorted(measured, key=lambda each: each.version.amount)
    speeds = np.array([each.version.amount for each in ordered])
    found = [_scaled(each.parameter(row.name), row.factor) for each in ordered]
    _points(axis, speeds, found, ordered, color=BLUE, marker="o", linestyle="-")
    before = _scaled(measured[0].parameter(row.name), row.factor).value
    if before is not None:
        axis.plot(measured[0].version.amount, before, marker="D", color="0.25", markersize=6, linestyle="", zorder=4)
    for low, high in _extrapolated_spans(ordered):
        axis.axvspan(low, high, color=EXTRAPOLATED_GREY, linewidth=0, zorder=-1)
    margin = 0.08 * max(np.ptp(speeds), 0.5)
    axis.set_xlim(min(speeds) - margin, max(speeds) + margin)
    _widen(axis)
    axis.set_ylabel(row.label)
    axis.set_xlabel("speed, m/s")


def _widen(axis: "Axes") -> None:
    """An ordinate that does not make much of little: at least a tenth of the values high."""
    low, high = axis.get_ylim()
    missing = LEAST_SPAN * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        axis.set_ylim(low - missing / 2, high + missing / 2)


def _extrapolated_spans(ordered: Sequence[MeasuredVersion]) -> list[tuple[float, float]]:
    """Ranges of speed in which versions lie outside the training data: half-way to the next that does not."""
    speeds = np.array([each.version.amount for each in ordered])
    edges = np.concatenate([[-1e3], (speeds[1:] + speeds[:-1]) / 2, [1e3]])
    return [(edges[k], edges[k + 1]) for k, each in enumerate(ordered) if each.version.is_extrapolated]


def _points(
    axis: "Axes", places: np.ndarray, found: Sequence[Estimated], versions: Sequence[MeasuredVersion], **look: Any
) -> None:
    """Points with their intervals, joined by a line; hollow where extrapolated."""
    label, colour = look.pop("label", None), look["color"]
    known = np.array([each.value is not None for each in found])
    if not known.any():
        return
    values = np.array([np.nan if each.value is None else each.value for each in found])
    axis.plot(places[known], values[known], color=colour, linestyle=look["linestyle"], linewidth=1.2, zorder=2)
    bounded = [k for k, each in enumerate(found) if each.lower is not None and each.upper is not None]
    bounds = [(found[k].lower, found[k].upper) for k in bounded]
    axis.vlines(places[bounded], *np.array(bounds).reshape(-1, 2).T, color=colour, linewidth=1.0, zorder=2)
    is_hollow = np.array([each.version.is_extrapolated for each in versions])
    for which, face in ((known & ~is_hollow, colour), (known & is_hollow, "white")):
        points = {"marker": look["marker"], "markerfacecolor": face, "markersize": 5, "linestyle": ""}
        axis.plot(places[which], values[which], color=colour, zorder=3, **points)
    axis.plot([], [], color=colour, marker=look["marker"], linestyle=look["linestyle"], markersize=5, label=label)


def _legend_of_versions(
    figure: "Figure", measured: Sequence[MeasuredVersion], heads: Sequence[str], colours: Sequence[Any]
) -> None:
    """What the curves are, and what is around them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Line2D([], [], color=RECORDED, linewidth=2.4)]
    for each, colour in zip(measured[1:], colours, strict=True):
        handles.append(Line2D([], [], color=colour, linewidth=1.5, linestyle=_style(each)))
    labels = list(heads)
    if any(len(each.samples) >= LEAST_SAMPLES for each in measured):
        handles.append(Patch(color="0.5", alpha=2 * BAND_OPACITY, linewidth=0))
        labels.append("bands and bars: nine of ten samples")
    figure.legend(handles, labels, loc="lower center", ncols=min(len(labels), 8), frameon=False)


def _style(each: MeasuredVersion) -> Any:
    return "--" if each.version.is_extrapolated else "-"


def _share_range(axes: Sequence["Axes"]) -> None:
    """The same ordinate on both sides, so that they can be compared."""
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _colours(num: int) -> list[Any]:
    import matplotlib as mpl

    return [BLUE] if num == 1 else list(mpl.colormaps[SEQUENCE](np.linspace(*SEQUENCE_ENDS, num)))


def _panel_of(followed: Followed, measured: Sequence[MeasuredVersion]) -> tuple[str, str, str]:
    """Curve, label and abscissa; over stance where there is no whole stride."""
    what, _, name = followed.curve.partition("_")
    if not any(curve.startswith("stride_") for each in measured for curve in each.centre.curves):
        what = "stance"
    return f"{what}_{name}", followed.label, f"{what}, %"


def _scaled(found: Estimated, factor: float) -> Estimated:
    return Estimated(*(None if each is None else each * factor for each in (found.value, found.lower, found.upper)))


def _panels(figure: "Figure", rows: int, columns: int, *, over: float) -> np.ndarray:
    """Axes of one size, (rows, columns), with inches over each, in a figure that becomes as large as they need."""
    width = LEFT + columns * PANEL_INCHES[0] + (columns - 1) * BETWEEN_COLUMNS + RIGHT
    height = BOTTOM + rows * PANEL_INCHES[1] + (rows - 1) * (BETWEEN_ROWS + over) + TOP + over
    figure.set_size_inches(width, height)
    return figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": LEFT / width,
            "right": 1 - RIGHT / width,
            "bottom": BOTTOM / height,
            "top": 1 - (TOP + over) / height,
            "wspace": BETWEEN_COLUMNS / PANEL_INCHES[0],
            "hspace": (BETWEEN_ROWS + over) / PANEL_INCHES[1],
        },
    )


def _png(draw: Callable[["Figure"], None], *, title: str) -> bytes:
    """A figure as a file: the same bytes each time, whatever the user's settings of matplotlib."""
    import matplotlib as mpl
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "0.93",
        "legend.frameon": False,
    }
    with style.context("default"), mpl.rc_context(look):
        figure = Figure()
        FigureCanvasAgg(figure)
        draw(figure)
        width, height = figure.get_size_inches()
        at = (TITLE_AT_INCHES / width, 1 - TITLE_AT_INCHES / height)
        figure.text(*at, title, fontsize="large", ha="left", va="top")
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return written.getvalue()
