"""From marker recordings and a model to files of joint coordinates and measured forces."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.apps.estimate_files import Written, check_inputs_kept, sha256
from gaitdynamics.biomech.anthropometry import estimated_height_m
from gaitdynamics.biomech.kinematics import foot_paths, pelvis_of, posed, segment_rotation
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.forces import Plate, assign_feet, format_forces
from gaitdynamics.io.inverse_kinematics import InverseKinematics, inverse_kinematics, marker_errors_mm
from gaitdynamics.io.markers import MarkerRecording, read_markers, walking_forward
from gaitdynamics.io.motion import format_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.table import shortened
from gaitdynamics.maths.signals import intervals
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import MILLIMETRES_PER_METRE, SIDE_NAMES

FORMAT = 1
SUFFIXES = ("_ik.mot", "_ik.json", "_measured_forces.mot")
# OpenSim's own advice on inverse kinematics: less than 2 cm in the root mean square, 4 cm at most.
USUAL_RMS_MM = 20.0
USUAL_MAX_MM = 40.0
CUT_SHARE = 0.02  # of a recording that may be left out without a word
SHORTEST_CONTACT_S = 0.05
LEANING = 0.5  # the cosine between the pelvis and upright, below which nobody walks


@dataclass(frozen=True)
class Solution:
    """What inverse kinematics made of one recording.

    Args:
        recording: as read.
        result: of inverse kinematics.
        skeleton: of the model.
        forces: measured, on the feet; None where there are no plates.
    """

    recording: MarkerRecording
    result: InverseKinematics
    skeleton: Skeleton
    forces: GroundReaction | None


def ik_paths(markers_path: Path, out: Path) -> tuple[Path, ...]:
    """Motion, record and measured forces; the last only where there are force plates."""
    return tuple(out / f"{markers_path.stem}{suffix}" for suffix in SUFFIXES)


def ik_file(
    markers_path: Path,
    model_path: Path,
    *,
    out: Path,
    up: str | None = None,
    is_forward: bool = False,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Inverse kinematics of one recording: motion, record and measured forces, or nothing.

    Args:
        markers_path: .trc or .c3d.
        model_path: .osim with markers, scaled to the person.
        up: direction of the file's axes that is up, such as 'z'; None to find out.
        is_forward: turn the recording so that the person walks along +x.
        report: told how many frames are solved, of how many; what it raises ends the computation.

    Raises:
        GaitDynamicsError: a file can't be read, they do not fit, or the results can't be written.
    """
    motion_path, record_path, forces_path = paths = ik_paths(markers_path, out)
    check_inputs_kept(paths, [markers_path, model_path])
    check_writable(paths, overwrite=overwrite)
    solution = solved(markers_path, model_path, up=up, is_forward=is_forward, report=report)
    record = _record(solution, markers_path, model_path)
    skeleton, motion, forces = solution.skeleton, solution.result.motion, solution.forces
    contents: dict[Path, str | bytes | None] = {
        motion_path: format_motion(motion, skeleton.coordinates, name=motion_path.stem),
        record_path: json.dumps(record, indent=2, allow_nan=False) + "\n",
        forces_path: None if forces is None else format_forces(forces, name=forces_path.stem),
    }
    write_files(contents, overwrite=overwrite)
    return Written(tuple(path for path, content in contents.items() if content is not None), record)


def solved(
    markers_path: Path,
    model_path: Path,
    *,
    up: str | None = None,
    is_forward: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Solution:
    """Read a recording, run inverse kinematics, and give the plates' forces to the feet.

    Raises:
        GaitDynamicsError: a file can't be read, or they do not fit.
    """
    recording = read_markers(markers_path, up=up)
    if is_forward:
        recording = walking_forward(recording, source=markers_path.name)
    result = inverse_kinematics(model_path, recording.markers, source=markers_path.name, report=report)
    skeleton = read_model(model_path)
    order = [result.motion.coordinates.index(name) for name in skeleton.coordinate_names]
    motion = replace(
        result.motion,
        values=result.motion.values[:, order],
        coordinates=skeleton.coordinate_names,
        observed=result.motion.observed[:, order],
    )
    forces = _forces_on_feet(recording.plates, motion, skeleton) if recording.plates else None
    return Solution(recording, replace(result, motion=motion), skeleton, forces)


def _forces_on_feet(plates: tuple[Plate, ...], motion: Motion, skeleton: Skeleton) -> GroundReaction:
    """During the motion, and a frame beyond; each contact belongs to the foot nearest to it."""
    points_m = foot_paths(skeleton, posed(skeleton, motion.values), height_m=estimated_height_m(skeleton)).points_m
    forces = assign_feet(plates, motion.time_s, points_m.mean(axis=2))
    frame_s = 1.0 / motion.sampling_rate_hz
    within = (forces.time_s >= motion.time_s[0] - frame_s) & (forces.time_s <= motion.time_s[-1] + frame_s)
    return GroundReaction(
        forces.time_s[within],
        forces.force_n[within],
        forces.cop_m[within],
        forces.free_moment_nm[within],
        forces.valid[within],
    )


def _record(solution: Solution, markers_path: Path, model_path: Path) -> dict[str, Any]:
    recording, result = solution.recording, solution.result
    time_s, error_mm = result.motion.time_s, result.error_m * MILLIMETRES_PER_METRE
    frame, worst = np.unravel_index(np.nanargmax(error_mm), error_mm.shape)
    return {
        "format": FORMAT,
        "markers": markers_path.name,
        "model": model_path.name,
        "up": {"direction": recording.upward.direction, "told_by": recording.upward.told_by},
        "time_s": [round(float(time_s[0]), 6), round(float(time_s[-1]), 6)],
        "num_frames": len(time_s),
        "sampling_rate_hz": round(result.motion.sampling_rate_hz, 4),
        "marker_error": {
            "rms_mm": round(float(np.sqrt(np.nanmean(error_mm**2))), 2),
            "max_mm": round(float(error_mm[frame, worst]), 2),
            "max_marker": result.markers.names[worst],
            "max_time_s": round(float(time_s[frame]), 6),
            "by_marker": marker_errors_mm(result),
        },
        "markers_renamed": {a: b for a, b in result.match.model_names.items() if a != b},
        "markers_only_in_recording": list(result.match.only_in_file),
        "markers_only_in_model": list(result.match.only_in_model),
        "undetermined_coordinates": list(result.undetermined),
        "contacts": None if solution.forces is None else _contacts(solution.forces),
        "warnings": list(dict.fromkeys((*recording.warnings, *_warnings(solution, markers_path.name)))),
        "provenance": {
            "version": __version__,
            "opensim": version("opensim"),
            "markers_sha256": sha256(markers_path),
            "model_sha256": sha256(model_path),
        },
    }


def _contacts(forces: GroundReaction) -> list[dict[str, Any]]:
    """What was measured of each step, by time."""
    found = []
    for foot, side in enumerate(SIDE_NAMES):
        vertical_n = forces.force_n[:, foot, 1]
        for start, end in intervals(vertical_n > CONTACT_FORCE_N):
            start_s, end_s = float(forces.time_s[start]), float(forces.time_s[end - 1])
            if end_s - start_s >= SHORTEST_CONTACT_S:
                peak_n = round(float(vertical_n[start:end].max()), 1)
                found.append({"foot": side, "start_s": round(start_s, 4), "end_s": round(end_s, 4), "peak_n": peak_n})
    return sorted(found, key=lambda contact: contact["start_s"])


def _warnings(solution: Solution, name: str) -> list[str]:
    recording, result = solution.recording, solution.result
    warnings = []
    num_left_out = len(recording.markers.time_s) - len(result.motion.time_s)
    if num_left_out > CUT_SHARE * len(recording.markers.time_s):
        start_s, end_s = result.motion.time_s[[0, -1]]
        warnings.append(
            f"{name}: only {start_s:.4g} to {end_s:.4g} s were solved, the longest part in which at least half of the "
            "markers are seen."
        )
    pose = posed(solution.skeleton, result.motion.values)
    upward = segment_rotation(solution.skeleton, pose, pelvis_of(solution.skeleton))[:, 1, 1]
    if np.median(upward) < LEANING:
        warnings.append(
            f"{name}: the person lies or hangs upside down. If that is not so, up is another direction than "
            f"'{recording.upward.direction}': give it with --up."
        )
    errors = marker_errors_mm(result)
    far = [
        f"{marker} ({each['rms_mm']:.0f} mm)" for marker, each in errors.items() if (each["rms_mm"] or 0) > USUAL_MAX_MM
    ]
    rms_mm = float(np.sqrt(np.nanmean(result.error_m**2))) * MILLIMETRES_PER_METRE
    if far:
        warnings.append(
            f"{name}: the model's markers stay far from {', '.join(far[:6])}{' and others' if len(far) > 6 else ''}. "
            "Look for swapped or misnamed markers, and at the model's scaling."
        )
    elif rms_mm > USUAL_RMS_MM:
        warnings.append(
            f"{name}: the model's markers are {rms_mm:.0f} mm from the recorded ones in the root mean square; up to "
            f"{USUAL_RMS_MM:.0f} mm is usual. The model may not be scaled to this person."
        )
    if result.undetermined:
        warnings.append(
            f"{name}: no marker tells of {shortened(result.undetermined)}; they keep the model's default, and count as "
            "not measured."
        )
    if result.match.only_in_file:
        warnings.append(f"{name}: the model has no markers {shortened(result.match.only_in_file)}; they were not used.")
    if solution.forces is not None and not _contacts(solution.forces):
        warnings.append(f"{name}: nobody steps on the force plates while the markers are seen.")
    return warnings
