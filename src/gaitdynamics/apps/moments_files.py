"""From a motion file and forces, measured or estimated, to files of joint moments, powers and loads."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gaitdynamics import __version__
from gaitdynamics.apps.estimate_files import Person, Written, check_inputs_kept, checksums, in_file, sha256
from gaitdynamics.apps.recorded_files import Recorded, about_recorded, read_recorded
from gaitdynamics.biomech.cycles import whole_stances
from gaitdynamics.biomech.joint_loads import (
    JointLoads,
    direction_names,
    joint_loads,
    load_parameters,
    smoothed_trial,
)
from gaitdynamics.biomech.kinematics import LEG_JOINTS, foot_paths, posed
from gaitdynamics.errors import InputFileError, InvalidMotionError
from gaitdynamics.io.external_loads import read_external_loads, read_loaded_plates
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.io.forces import assign_feet, read_plates
from gaitdynamics.io.inverse_dynamics import FeetLoads, opensim_inverse_dynamics
from gaitdynamics.io.table import format_table, shortened
from gaitdynamics.tasks.estimators import Estimator
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

if TYPE_CHECKING:
    from gaitdynamics.tasks.fill_motion import MotionCompleter

FORMAT = 1
SUFFIXES = ("_moments.sto", "_powers.sto", "_joint_loads.sto", "_moments.json")
DECIMALS = 6  # of moments, N m; OpenSim writes eight, of which the last two are noise
PARAMETER_DECIMALS = 4
UNCARRIED_BW = 0.3  # a residual beyond it is no error of the model: a foot stands where no force is measured
UNCARRIED_SHARE = 0.02  # of the frames, before it is worth a word
MEASURED_REASON = "a foot stands beside the force plates, or motion, forces, mass and clock do not belong together"
ESTIMATED_REASON = "the motion jumps or shakes there, or is no gait that the estimator knows; a lower --filter may help"
LONGEST_OVERHANG = 1.5  # frames of the motion that the forces need not cover at each end


@dataclass(frozen=True)
class GivenForces:
    """Forces of a trial, and where they come from.

    Args:
        forces: of both feet.
        origin: JSON values, for the record.
        provenance: the same, of what made them.
        warnings: for the user.
    """

    forces: GroundReaction
    origin: dict[str, Any]
    provenance: dict[str, Any]
    warnings: tuple[str, ...]


def moments_paths(motion_path: Path, out: Path) -> tuple[Path, ...]:
    """Moments, powers, loads of hips, knees and ankles, and the summary."""
    return tuple(out / f"{motion_path.stem}{suffix}" for suffix in SUFFIXES)


def moments_file(
    motion_path: Path,
    person: Person,
    *,
    out: Path,
    forces_path: Path | None,
    estimator: Callable[[], Estimator],
    completer: "Callable[[], MotionCompleter]",
    belt_speed_m_s: float | None,
    cutoff_hz: float | None,
    overwrite: bool = False,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Moments, powers and loads of one motion's joints, or nothing.

    Args:
        forces_path: measured forces (.mot, .sto) or ExternalLoads (.xml); None to estimate them.
        estimator: loads what estimates them.
        completer: loads what completes a motion in which something is missing.
        belt_speed_m_s: of the treadmill; 0 overground; None to infer it from the standing foot.
        cutoff_hz: of the low-pass on motion and forces; None for none.
        report: told how many completions are done, of how many.

    Raises:
        GaitDynamicsError: motion or forces can't be read or do not fit, or the results can't be written.
    """
    paths = moments_paths(motion_path, out)
    inputs = [motion_path, person.model_path, *([] if forces_path is None else [forces_path])]
    check_inputs_kept(paths, inputs)
    check_writable(paths, overwrite=overwrite)
    recorded = read_recorded(
        motion_path, person, belt_speed_m_s=belt_speed_m_s, completer=completer, seed=seed, report=report
    )
    trial = recorded.trial
    if forces_path is None:
        try:
            given = _estimated(recorded, estimator(), seed=seed)
        except InvalidMotionError as error:
            raise in_file(motion_path, error) from None
    else:
        given = given_forces(forces_path, trial)
    loads = joint_loads(trial, given.forces, cutoff_hz=cutoff_hz)
    smoothed = smoothed_trial(trial.skeleton, trial.motion, given.forces, cutoff_hz=cutoff_hz)
    table = opensim_inverse_dynamics(
        person.model_path,
        replace(trial.motion, time_s=smoothed.time_s, values=smoothed.values),
        FeetLoads(smoothed.force_n, smoothed.moment_nm),
        skeleton=trial.skeleton,
    )
    stances = whole_stances(given.forces)
    summary: dict[str, Any] = {
        "format": FORMAT,
        **about_recorded(motion_path, person, recorded),
        "forces": given.origin,
        "filter_hz": cutoff_hz,
        "num_stances": {name: sum(s.foot == foot for s in stances) for foot, name in enumerate(SIDE_NAMES)},
        "parameters": {
            name: None if value is None else round(value, PARAMETER_DECIMALS)
            for name, value in load_parameters(loads, given.forces, trial.subject).items()
        },
        "residuals": residuals(loads, trial.subject),
        "warnings": list(
            dict.fromkeys(
                (
                    *recorded.warnings,
                    *given.warnings,
                    *load_warnings(loads, trial, num_stances=len(stances), is_measured=forces_path is not None),
                )
            )
        ),
        "provenance": {
            **given.provenance,
            **({} if forces_path is None else {"forces_sha256": sha256(forces_path)}),
            **checksums(motion_path, person),
            "opensim": version("opensim"),
            "torch": version("torch"),
        },
    }
    moments_path, powers_path, loads_path, summary_path = paths
    contents: dict[Path, str | bytes | None] = {
        moments_path: format_table(
            moments_path.stem,
            table.labels,
            table.values,
            time_s=table.time_s,
            in_degrees=False,
            decimals=DECIMALS,
        ),
        powers_path: format_table(
            powers_path.stem,
            [f"{name}_power" for name in loads.coordinates],
            loads.power_w,
            time_s=loads.time_s,
            in_degrees=False,
            decimals=DECIMALS,
        ),
        loads_path: loads_text(loads, trial.subject, name=loads_path.stem),
        summary_path: json.dumps(summary, indent=2, allow_nan=False) + "\n",
    }
    write_files(contents, overwrite=overwrite)
    return Written(paths, summary)


def _estimated(recorded: Recorded, estimator: Estimator, *, seed: int) -> GivenForces:
    prediction = estimator(recorded.trial, seed=seed)
    provenance = {**prediction.provenance, "belt_speed": recorded.belt_speed_source}
    return GivenForces(prediction.forces, {"source": "estimated"}, provenance, prediction.warnings)


def given_forces(path: Path, trial: Trial) -> GivenForces:
    """The forces of a file on the feet of a trial.

    Args:
        path: of forces (.mot, .sto) or ExternalLoads (.xml).
        trial: whose feet they act on; where the file does not say which, the nearer one.

    Raises:
        InputFileError: the file can't be read, holds forces on other bodies, or does not cover the motion.
    """
    if path.suffix.lower() == ".xml":
        feet = {body for foot in trial.skeleton.feet for body in (foot.hindfoot, foot.toes)}
        elsewhere = sorted({force.body for force in read_external_loads(path)} - feet)
        if elsewhere:
            raise InputFileError(
                f"{path}: has forces on {shortened(elsewhere)}. Expected forces on the feet alone, which in this model "
                f"are {shortened(sorted(filter(None, feet)))}. Correct <applied_to_body>, or leave the force out."
            )
        plates = read_loaded_plates(path)
    else:
        plates = read_plates(path)
    motion = trial.motion
    points_m = foot_paths(
        trial.skeleton, posed(trial.skeleton, motion.values), height_m=trial.subject.height_m
    ).points_m
    forces = assign_feet(plates, motion.time_s, points_m.mean(axis=2))
    allowed_s = LONGEST_OVERHANG / motion.sampling_rate_hz
    (start_s, end_s), (first_s, last_s) = forces.time_s[[0, -1]], motion.time_s[[0, -1]]
    if start_s > first_s + allowed_s or end_s < last_s - allowed_s:
        raise InputFileError(
            f"{path}: the forces go from {start_s:.10g} to {end_s:.10g} s and the motion from {first_s:.10g} to "
            f"{last_s:.10g} s. Expected forces during the whole motion, on the same clock: cut the motion to the time "
            "of the forces, or give the forces of this trial."
        )
    provenance = {"weights": None, "version": __version__}
    return GivenForces(forces, {"source": "measured", "file": path.name}, provenance, _unknown(forces, motion.time_s))


def _unknown(forces: GroundReaction, time_s: np.ndarray) -> tuple[str, ...]:
    within = (forces.time_s >= time_s[0]) & (forces.time_s <= time_s[-1])
    warnings = []
    for foot, name in enumerate(SIDE_NAMES):
        share = float(np.mean(~forces.valid[within, foot])) if within.any() else 1.0
        if share > 0:
            when = "" if share == 1 else f" in {100 * share:.0f} % of the frames"
            warnings.append(
                f"The force on the {name} foot is not known{when}; it counts as none there, and the moments of that "
                "leg and the residuals are wrong."
            )
    return tuple(warnings)


def load_warnings(loads: JointLoads, trial: Trial, *, num_stances: int, is_measured: bool) -> tuple[str, ...]:
    """What the user must know about loads: forces that do not carry the body, and nothing to take peaks from."""
    warnings = []
    residual_bw = np.linalg.norm(loads.residual_force_n, axis=1) / trial.subject.body_weight_n
    share = float(np.mean(residual_bw > UNCARRIED_BW))
    if share > UNCARRIED_SHARE:
        reason = MEASURED_REASON if is_measured else ESTIMATED_REASON
        worst = int(np.argmax(residual_bw))
        warnings.append(
            f"In {100 * share:.0f} % of the frames the forces miss what the motion needs by more than "
            f"{100 * UNCARRIED_BW:.0f} % of body weight, most around {loads.time_s[worst]:.4g} s: {reason}. Moments "
            "are wrong there."
        )
    if num_stances == 0:
        warnings.append("No foot both lands and leaves within the recording, so there are no peaks and impulses.")
    return tuple(warnings)


def residuals(loads: JointLoads, subject: Subject) -> dict[str, float]:
    """What only a hand of God at the pelvis could give: root mean squares and largest values over time."""
    force = np.linalg.norm(loads.residual_force_n, axis=1) / subject.body_weight_n * 100
    moment = np.linalg.norm(loads.residual_moment_nm, axis=1) / (subject.body_weight_n * subject.height_m) * 100
    return {
        "force_rms_pct_bw": round(float(np.sqrt(np.mean(force**2))), PARAMETER_DECIMALS),
        "force_max_pct_bw": round(float(force.max()), PARAMETER_DECIMALS),
        "moment_rms_pct_bw_bh": round(float(np.sqrt(np.mean(moment**2))), PARAMETER_DECIMALS),
        "moment_max_pct_bw_bh": round(float(moment.max()), PARAMETER_DECIMALS),
    }


def loads_text(loads: JointLoads, subject: Subject, *, name: str) -> str:
    """Text of a .sto file of external moments by joint, side and direction, lever arms, and powers."""
    size_nm = subject.body_weight_n * subject.height_m / 100
    columns: dict[str, np.ndarray] = {}
    for side in SIDE_NAMES:
        moments = {
            f"{joint}_{positive}": loads.moment_nm[f"{joint}_{side}"][:, axis]
            for joint in LEG_JOINTS
            for axis, (positive, _) in enumerate(direction_names(joint))
        }
        moments["knee_adduction_lever_arm"] = loads.lever_arm_nm[side]
        columns |= {f"{label}_pct_bw_bh_{side}": moment / size_nm for label, moment in moments.items()}
        columns |= {f"{label}_nm_kg_{side}": moment / subject.mass_kg for label, moment in moments.items()}
        powers = {joint: loads.joint_power_w[f"{joint}_{side}"] for joint in LEG_JOINTS}
        columns |= {f"{joint}_power_w_kg_{side}": power / subject.mass_kg for joint, power in powers.items()}
    values = np.stack(list(columns.values()), axis=1)
    return format_table(name, list(columns), values, time_s=loads.time_s, in_degrees=False, decimals=DECIMALS)
