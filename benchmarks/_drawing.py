"""Angles and forces of generated gaits over those of people, for looking at."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from _windows_of_gait import ACTIVITIES, ANGLES, Collection

from gaitdynamics.state.layout import GAIT
from gaitdynamics.units import DEGREES_PER_RADIAN

LANDED_N_KG = 0.5
STRIDE_FRAMES = (40, 180)


def draw(path: Path, real: Collection, generated: Collection) -> None:
    """Angles and forces over a stride: real people grey, generated gaits coloured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ["pelvis_height", "lumbar_extension", "hip_right_flexion", "hip_right_adduction", "knee_right_flexion"]
    names += ["ankle_right_flexion", "force_right_x", "force_right_y", "force_right_z"]
    figure, axes = pyplot.subplots(2 * 2, 5, figsize=(18, 12), constrained_layout=True)
    for row, activity in enumerate(ACTIVITIES):
        panels = axes[2 * row : 2 * row + 2].ravel()
        for collection, colour, width, most in ((real, "0.6", 0.5, 60), (generated, "tab:red", 0.8, 25)):
            cycles = [c for block in list(collection.states[activity].values())[:most] for c in _cycles(block)[:2]]
            for panel, name in zip(panels, names, strict=False):
                factor = DEGREES_PER_RADIAN if name in ANGLES else 1.0
                for cycle in cycles:
                    panel.plot(np.linspace(0, 100, 101), cycle[:, GAIT[name][0]] * factor, color=colour, lw=width)
                panel.set_title(f"{activity}: {name}", fontsize=9)
        panels[-1].axis("off")
    figure.savefig(path, dpi=70)


def _cycles(block: np.ndarray) -> list[np.ndarray]:
    """Strides from strike to strike of the right foot, at 101 points; NaN where not known."""
    load = block[:, GAIT["force_right_y"][0]]
    strikes = np.flatnonzero((load[1:] > LANDED_N_KG) & (load[:-1] <= LANDED_N_KG)) + 1
    seams = np.isnan(block).all(axis=1)
    grid = np.linspace(0.0, 1.0, 101)
    return [
        np.stack([np.interp(grid * (end - start), np.arange(end - start + 1), c) for c in block[start : end + 1].T], 1)
        for start, end in pairwise(strikes)
        if STRIDE_FRAMES[0] < end - start < STRIDE_FRAMES[1] and not seams[start:end].any()
    ]
