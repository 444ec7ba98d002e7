"""OpenSim's inverse dynamics with estimated forces: what remains for a hand of God to push at the pelvis."""

import argparse
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _record import record, table

from gaitdynamics.apps.estimate_files import estimate_file, read_person
from gaitdynamics.io.inverse_dynamics import opensim_inverse_dynamics
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.table import Table
from gaitdynamics.tasks.estimate_forces import estimate_forces

SAMPLE, MODEL, MOTION, LOADS = "moco_walk", "subject_walk_scaled.osim", "coordinates.sto", "grf_walk.xml"
LOWPASS_HZ = (None, 6.0)  # 6 Hz is the customary one
RESIDUALS = ("pelvis_tx_force", "pelvis_ty_force", "pelvis_tz_force")
JOINTS = ("hip_flexion", "hip_adduction", "knee_angle", "ankle_angle")
TARGET_PCT_BW = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help=f"folder that holds {SAMPLE}/{MODEL}, {MOTION} and {LOADS}")
    arguments = parser.parse_args()
    folder = arguments.samples.resolve() / SAMPLE
    person = read_person(folder / MODEL, mass_kg=None, height_m=None)
    residual_rows, moment_rows, figures = [], [], {}
    with tempfile.TemporaryDirectory() as made:
        out = Path(made)
        estimate_file(folder / MOTION, person, out=out, belt_speed_m_s=0.0, estimator=estimate_forces)
        motion, _ = read_motion(folder / MOTION, person.skeleton.coordinates)
        motion = replace(motion, values=person.skeleton.with_coupled_values(motion.values))
        loads = {"estimated": out / f"{Path(MOTION).stem}_external_loads.xml", "measured": folder / LOADS}
        for lowpass_hz in LOWPASS_HZ:
            name = "no filter" if lowpass_hz is None else f"{lowpass_hz:g} Hz"
            results = {
                source: opensim_inverse_dynamics(
                    folder / MODEL, motion, path, skeleton=person.skeleton, lowpass_hz=lowpass_hz
                )
                for source, path in loads.items()
            }
            for source, result in results.items():
                residuals = [100 * _rms(result.column(r)) / person.subject.body_weight_n for r in RESIDUALS]
                residual_rows.append([f"{source} forces, {name}", *residuals])
                figures[f"{source}, {name}"] = dict(zip(RESIDUALS, residuals, strict=True))
            moment_rows.append([name, *_moment_differences(results, person.subject.mass_kg)])
    residual_rows.append(["target, estimated", *([f"< {TARGET_PCT_BW:g}"] * len(RESIDUALS))])
    text = f"""# Inverse dynamics with the estimated forces

{SAMPLE}, overground walking of a person of {person.subject.mass_kg:.1f} kg. OpenSim {version("opensim")}'s
InverseDynamicsTool on the files that `gaitdynamics estimate` writes; muscles and other forces of the model are left
out. "Filter" is the tool's low-pass on the coordinates.

## Residual force at the pelvis

Root mean square over the trial, % of body weight.

{table(["", "forward", "up", "right"], residual_rows, digits=1)}

## Joint moments

Root mean square difference between the moments from estimated and from measured forces, N m/kg, both legs; for
information. In brackets the root mean square of the moment itself.

{table(["filter", *JOINTS], moment_rows)}
"""
    record("inverse_dynamics", text, figures={"residual_rms_pct_bw": figures, "target_pct_bw": TARGET_PCT_BW})


def _moment_differences(results: dict[str, Table], mass_kg: float) -> list[str]:
    cells = []
    for joint in JOINTS:
        names = [f"{joint}_{side}_moment" for side in "rl"]
        estimated, measured = (
            np.stack([results[source].column(name) for name in names]) for source in ("estimated", "measured")
        )
        cells.append(f"{_rms(estimated - measured) / mass_kg:.2f} ({_rms(measured) / mass_kg:.2f})")
    return cells


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main()
