"""Joint moments: ours against OpenSim's, the tool against a result that it gave, what filters do, and the time."""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opensim
import torch
from _record import record, table

from gaitdynamics.apps.estimate_files import Person, read_person
from gaitdynamics.apps.moments_files import given_forces
from gaitdynamics.biomech.inverse_dynamics import FootWrench, inverse_dynamics
from gaitdynamics.biomech.joint_loads import SmoothedTrial, joint_loads, load_parameters, smoothed_trial
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.inverse_dynamics import FeetLoads, opensim_inverse_dynamics
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import quiet_opensim
from gaitdynamics.io.study import read_study
from gaitdynamics.io.table import Table, format_table, read_table
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evidence import within
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

REFERENCE, REFERENCE_RESULT = "moco_walk", "id_walk.sto"
REFERENCE_CUTOFFS_HZ = (None, 6.0, 10.0, 15.0)
SAMPLES = {
    "gait2354": ("model.osim", "ik.mot", "grf.mot"),
    "hamner": ("model.osim", "ik.mot", "grf.mot"),
    "camargo": ("model.osim", "ik.mot", "grf.mot"),
    REFERENCE: ("subject_walk_scaled.osim", "coordinates.sto", "grf_walk.xml"),
    "opencap": ("model.osim", "ik.mot", "grf.mot"),
}
COMPARED_HZ = 6.0
CUTOFFS_HZ = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0, None)
LEAST_RANGE = 1e-3  # N m or N; a coordinate that nothing acts on has no range to compare with
# Of the inertia of the toes, in the model that the reference came from: by least squares over all bodies of the legs.
TOES_FORWARD_M, TOES_INERTIA_KGM2 = 0.0278, 1.85e-4
KNEE_RAD, KNEE_RAD_S = 0.3, -7.0  # late swing
PEAKS = {
    "knee_adduction_first_peak_pct_bw_bh": "knee adduction, 1st",
    "knee_adduction_second_peak_pct_bw_bh": "knee adduction, 2nd",
    "knee_adduction_lever_arm_first_peak_pct_bw_bh": "by lever arm, 1st",
    "knee_adduction_lever_arm_second_peak_pct_bw_bh": "by lever arm, 2nd",
    "knee_flexion_peak_pct_bw_bh": "knee flexion",
    "hip_flexion_peak_pct_bw_bh": "hip flexion",
    "hip_adduction_peak_pct_bw_bh": "hip adduction",
    "ankle_dorsiflexion_peak_pct_bw_bh": "ankle dorsiflexion",
}
LONGEST_TIMED_FRAMES = 500
AGAINST_TOOL = ("sample", "worst coordinate", "% of its range", "N m or N", "median of all coordinates, %")
AGAINST_REFERENCE = ("filter", "hips, knees, ankles", "trunk, arms, kneecaps", "residuals at the pelvis")
TIMES = (
    "sample",
    "frames",
    "coordinates",
    "joint loads, ms",
    "inverse dynamics, ms",
    "with gradient, ms",
    "OpenSim's tool, ms",
)
ACTIVITIES = ("walk", "run")


@dataclass(frozen=True)
class Sample:
    """A laboratory's recording."""

    name: str
    person: Person
    trial: Trial
    forces: GroundReaction

    @property
    def model_path(self) -> Path:
        return self.person.model_path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help=f"folder that holds {', '.join(SAMPLES)}")
    parser.add_argument("--study", type=Path, help="also compare estimated with measured forces, on validation people")
    arguments = parser.parse_args()
    quiet_opensim()
    samples = [read_sample(arguments.samples.resolve() / name) for name in SAMPLES]
    reference = next(sample for sample in samples if sample.name == REFERENCE)
    ours = {sample.name: against_tool(sample) for sample in samples}
    theirs = against_reference(reference)
    knee = knee_accelerations(reference)
    peaks = {sample.name: peaks_by_cutoff(sample) for sample in samples if sample.name != "camargo"}
    peak_rows = [[name, _hertz(cutoff), *row] for name, rows in peaks.items() for cutoff, row in rows.items()]
    times = {sample.name: times_taken(sample) for sample in samples}
    study = None if arguments.study is None else estimated_loads(arguments.study)
    text = f"""# Joint moments

## Ours against OpenSim's tool

Measured motion and forces below {COMPARED_HZ:g} Hz. OpenSim {version("opensim")}'s InverseDynamicsTool, and
`biomech/inverse_dynamics.py` given the values and derivatives of the tool's own splines. Largest difference over all
frames but three at each end, in % of the range of that coordinate's moment, all coordinates.

{_table(AGAINST_TOOL, ours, digits=5)}

The last two models have knees that bend inwards and turn as they flex (three rotations that are functions of one
coordinate). There OpenSim is not consistent with itself: of a shank swinging at {abs(KNEE_RAD_S):g} rad/s its angular
acceleration about the axes of the ground is {_vector(knee["stated"])} rad/s², and the derivative of the angular
velocity that it states {_vector(knee["of its velocity"])} rad/s²; ours is {_vector(knee["ours"])}. At rest the two
agree to a millionth.

## OpenSim's tool against the result that comes with {REFERENCE}

Largest difference in % of the range, by the tool's own low-pass on the coordinates.

{_table(AGAINST_REFERENCE, {name: list(row.values()) for name, row in theirs.items()}, digits=3)}

6 Hz is what it was made with. What differs then is of the feet: a toes' centre of mass {1000 * TOES_FORWARD_M:.0f} mm
further forward (and {TOES_INERTIA_KGM2:.2g} kg m² more about the axes across) explains it; the result has no toe
joint, and the model in the folder has.

## What the cut-off does

Same cut-off for motion and measured forces; peaks in % of body weight × height, and residual force at the pelvis in %
of body weight, root mean square.

{table(["sample", "cut-off", *PEAKS.values(), "residual"], peak_rows)}

## Time

One thread, {LONGEST_TIMED_FRAMES} frames or the whole sample; smoothing, derivatives and parameters included in
"joint loads". "With gradient" is inverse dynamics and the derivatives of a sum of squares.

{_table(TIMES, times, digits=0)}
"""
    if study is not None:
        text += f"""
## Loads from estimated forces

Validation people of the study, bundled weights. Means over people (of their trials) of the difference between loads by
estimated and by measured forces, in % of body weight × height: mean, mean absolute, and the measured value.

{study}
"""
    figures = {
        "against_tool_pct_of_range": {name: row[1] for name, row in ours.items()},
        "against_reference_pct": theirs,
    }
    record("joint_loads", text, figures=figures)


def _table(heads: Sequence[str], rows: Mapping[str, Sequence[object]], *, digits: int) -> str:
    return table(heads, [[name, *row] for name, row in rows.items()], digits=digits)


def read_sample(folder: Path) -> Sample:
    model, motion_name, forces_name = SAMPLES[folder.name]
    person = read_person(folder / model, mass_kg=None, height_m=None)
    motion, _ = read_motion(folder / motion_name, person.skeleton.coordinates)
    motion = replace(motion, values=person.skeleton.with_coupled_values(motion.values))
    trial = Trial(folder.name, person.subject, person.skeleton, motion, None, None, folder.name)
    return Sample(folder.name, person, trial, given_forces(folder / forces_name, trial).forces)


def against_tool(sample: Sample) -> list[object]:
    """Worst coordinate, its difference in % of its range and as it is, and the median over coordinates in %."""
    trial = sample.trial
    smoothed = smoothed_trial(trial.skeleton, trial.motion, sample.forces, cutoff_hz=COMPARED_HZ)
    motion = replace(trial.motion, time_s=smoothed.time_s, values=smoothed.values)
    tool = _by_tool(sample, smoothed)
    values, rates, accelerations = _of_splines(motion)
    found = inverse_dynamics(
        trial.skeleton,
        torch.from_numpy(values),
        rates=torch.from_numpy(rates),
        accelerations=torch.from_numpy(accelerations),
        wrench=FootWrench(torch.from_numpy(smoothed.force_n), torch.from_numpy(smoothed.moment_nm)),
    ).generalised.numpy()
    expected = np.stack([tool.column(label) for label in _labels(trial.skeleton)], axis=1)
    size, miss = np.ptp(expected, axis=0), np.abs(found - expected)[3:-3].max(axis=0)
    shares = 100 * miss / np.where(size > LEAST_RANGE, size, np.inf)
    worst = int(np.argmax(shares))
    return [trial.skeleton.coordinate_names[worst], float(shares[worst]), float(miss[worst]), float(np.median(shares))]


def _by_tool(sample: Sample, smoothed: SmoothedTrial) -> Table:
    motion = replace(sample.trial.motion, time_s=smoothed.time_s, values=smoothed.values)
    loads = FeetLoads(smoothed.force_n, smoothed.moment_nm)
    return opensim_inverse_dynamics(sample.model_path, motion, loads, skeleton=sample.trial.skeleton)


def _labels(skeleton: Skeleton) -> list[str]:
    return [f"{c.name}_{'moment' if c.is_rotational else 'force'}" for c in skeleton.coordinates]


def _of_splines(motion: Motion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, rates and accelerations of the quintic splines that the tool lays through a motion."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.sto"
        text = format_table(
            "motion", motion.coordinates, motion.values, time_s=motion.time_s, in_degrees=False, decimals=None
        )
        path.write_text(text)
        storage = opensim.Storage(str(path))
    splines = opensim.GCVSplineSet(5, storage)
    found = np.zeros((3, *motion.values.shape))
    for column in range(motion.values.shape[1]):
        spline = splines.get(column)
        for frame, at in enumerate(motion.time_s.tolist()):
            found[0, frame, column] = spline.calcValue(opensim.Vector(1, at))
            for order in (1, 2):
                components = opensim.StdVectorInt()
                for _ in range(order):
                    components.push_back(0)
                found[order, frame, column] = spline.calcDerivative(components, opensim.Vector(1, at))
    values, rates, accelerations = found
    return values, rates, accelerations


def against_reference(sample: Sample) -> dict[str, dict[str, float]]:
    """Largest differences in % of ranges, by filter and group of coordinates."""
    folder = sample.model_path.parent
    expected = read_table(folder / REFERENCE_RESULT)

    def shares(model_path: Path, skeleton: Skeleton, cutoff_hz: float | None) -> dict[str, float]:
        found = opensim_inverse_dynamics(
            model_path, sample.trial.motion, folder / SAMPLES[REFERENCE][2], skeleton=skeleton, lowpass_hz=cutoff_hz
        )
        groups = {"legs": 0.0, "trunk and arms": 0.0, "pelvis": 0.0}
        for label in expected.labels:
            of_leg = label.startswith(("hip", "knee", "ankle")) and "beta" not in label
            group = "pelvis" if label.startswith("pelvis") else "legs" if of_leg else "trunk and arms"
            miss = np.abs(found.column(label) - expected.column(label)).max() / np.ptp(expected.column(label))
            groups[group] = max(groups[group], 100 * float(miss))
        return groups

    skeleton = sample.trial.skeleton
    rows = {_hertz(cutoff): shares(sample.model_path, skeleton, cutoff) for cutoff in REFERENCE_CUTOFFS_HZ}
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "model.osim"
        model = opensim.Model(str(sample.model_path))
        for foot in skeleton.feet:
            toes = model.getBodySet().get(foot.toes)
            centre_m, inertia = toes.getMassCenter().to_numpy(), toes.getInertia().getMoments().to_numpy().tolist()
            toes.setMassCenter(opensim.Vec3(float(centre_m[0]) + TOES_FORWARD_M, *centre_m[1:].tolist()))
            across = [moment + TOES_INERTIA_KGM2 for moment in inertia[1:]]
            toes.setInertia(opensim.Inertia(inertia[0], *across, 0.0, 0.0, 0.0))
        model.finalizeConnections()
        model.printToXML(str(path))
        rows["6 Hz, other toes"] = shares(path, skeleton, 6.0)
    return rows


def knee_accelerations(sample: Sample) -> dict[str, np.ndarray]:
    """Angular acceleration of a swinging shank: as OpenSim states it, as its own velocity changes, and ours."""
    step_s = 1e-4
    model = opensim.Model(str(sample.model_path))
    for parts in (model.updForceSet(), model.updControllerSet(), model.updConstraintSet()):
        parts.clearAndDestroy()
    state = model.initSystem()
    knee, shank = model.getCoordinateSet().get("knee_angle_r"), model.getBodySet().get("tibia_r")

    def spin(at_s: float) -> np.ndarray:
        knee.setValue(state, KNEE_RAD + KNEE_RAD_S * at_s, False)
        knee.setSpeedValue(state, KNEE_RAD_S)
        model.realizeVelocity(state)
        return np.array(shank.getAngularVelocityInGround(state).to_numpy())

    of_velocity = (spin(step_s) - spin(-step_s)) / (2 * step_s)
    spin(0.0)
    found = opensim.VectorOfSpatialVec(
        model.getBodySet().getSize() + 1, opensim.SpatialVec(opensim.Vec3(0), opensim.Vec3(0))
    )
    still = opensim.Vector(model.getNumSpeeds(), 0.0)
    model.getMatterSubsystem().calcBodyAccelerationFromUDot(state, still, found)
    stated = found.get(int(shank.getMobilizedBodyIndex())).get(0).to_numpy()

    skeleton = sample.trial.skeleton
    place, column = skeleton.body_index["tibia_r"], skeleton.coordinate_names.index("knee_angle_r")
    values = torch.tensor([model.getCoordinateSet().get(n).getValue(state) for n in skeleton.coordinate_names])
    rates = torch.zeros_like(values)
    rates[column] = KNEE_RAD_S
    nothing = torch.zeros(2, 3)
    after, before = (
        inverse_dynamics(
            skeleton,
            values.double() + sign * step_s * rates,
            rates=rates,
            accelerations=torch.zeros_like(values),
            wrench=FootWrench(nothing, nothing),
        ).angular_velocity_rad_s[place]
        for sign in (1, -1)
    )
    return {
        "stated": np.array(stated),
        "of its velocity": of_velocity,
        "ours": ((after - before) / (2 * step_s)).numpy(),
    }


def peaks_by_cutoff(sample: Sample) -> dict[float | None, list[float | None]]:
    rows: dict[float | None, list[float | None]] = {}
    for cutoff_hz in CUTOFFS_HZ:
        loads = joint_loads(sample.trial, sample.forces, cutoff_hz=cutoff_hz)
        found = load_parameters(loads, sample.forces, sample.person.subject)
        residual = np.sqrt((loads.residual_force_n**2).sum(axis=1).mean()) / sample.person.subject.body_weight_n
        rows[cutoff_hz] = [*(found[name] for name in PEAKS), 100 * float(residual)]
    return rows


def times_taken(sample: Sample) -> list[object]:
    torch.set_num_threads(1)
    trial = sample.trial
    motion, part = trial.motion, slice(0, LONGEST_TIMED_FRAMES)
    motion = replace(motion, time_s=motion.time_s[part], values=motion.values[part], observed=motion.observed[part])
    trial = replace(trial, motion=motion)
    smoothed = smoothed_trial(trial.skeleton, motion, sample.forces, cutoff_hz=COMPARED_HZ)
    values = torch.from_numpy(smoothed.values)
    wrench = FootWrench(torch.from_numpy(smoothed.force_n), torch.from_numpy(smoothed.moment_nm))

    def solve(given: torch.Tensor) -> torch.Tensor:
        return inverse_dynamics(
            trial.skeleton, given, rates=0.1 * given, accelerations=given, wrench=wrench
        ).generalised

    def differentiate() -> None:
        solve(values.clone().requires_grad_()).square().sum().backward()

    return [
        str(len(motion.time_s)),
        str(len(motion.coordinates)),
        _milliseconds(lambda: load_parameters(joint_loads(trial, sample.forces), sample.forces, sample.person.subject)),
        _milliseconds(lambda: solve(values)),
        _milliseconds(differentiate),
        _milliseconds(lambda: _by_tool(replace(sample, trial=trial), smoothed), num_runs=2),
    ]


def _milliseconds(work: Callable[[], object], *, num_runs: int = 5) -> float:
    """The fastest of several runs."""
    taken = []
    for _ in range(num_runs):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


def estimated_loads(study: Path) -> str:
    """Table of differences between loads by estimated and by measured forces."""
    estimator = load_estimator("starter")
    of_person: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for study_trial in read_study(study):
        if study_trial.split != "validation" or study_trial.activity not in ACTIVITIES:
            continue
        try:
            trial = load_trial(study_trial)
            prediction = estimator(trial)
        except GaitDynamicsError:
            continue  # benchmarks/accuracy.py lists them
        if trial.forces is None:
            continue
        is_stated = within(trial.forces.time_s, study_trial.forces_valid_s)
        measured = replace(trial.forces, valid=trial.forces.valid & is_stated[:, None])
        by_measured, by_estimated = (
            load_parameters(joint_loads(trial, forces), measured, trial.subject)
            for forces in (measured, prediction.forces)
        )
        person = of_person.setdefault((study_trial.activity, study_trial.group), {name: [] for name in PEAKS})
        for name, pairs in person.items():
            expected, found = by_measured[name], by_estimated[name]
            if expected is not None and found is not None:
                pairs.append((found - expected, expected))
    rows: list[list[object]] = []
    for activity in ACTIVITIES:
        own = [found for (kind, _), found in of_person.items() if kind == activity]
        for name, title in PEAKS.items():
            people = [np.array(found[name]) for found in own if found[name]]
            if people:
                mean, value = np.mean([pairs.mean(axis=0) for pairs in people], axis=0)
                absolute = np.mean([np.abs(pairs[:, 0]).mean() for pairs in people])
                rows.append([f"{activity}, {title}", str(len(people)), float(mean), float(absolute), float(value)])
    return table(["", "people", "mean", "mean absolute", "measured"], rows)


def _hertz(cutoff_hz: float | None) -> str:
    return "none" if cutoff_hz is None else f"{cutoff_hz:g} Hz"


def _vector(values: np.ndarray) -> str:
    return f"({', '.join(f'{value:.2f}' for value in values)})"


if __name__ == "__main__":
    main()
