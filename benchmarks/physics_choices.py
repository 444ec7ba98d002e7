"""The evidence for the constants of the physics estimator, from the people that may be trained on."""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from _record import record, table
from scipy.signal import butter, sosfiltfilt
from total_force import on_each_foot, with_sums

from gaitdynamics.biomech import anthropometry, dynamics, load_sharing, physics
from gaitdynamics.biomech import pressure as pressure_module
from gaitdynamics.biomech.anthropometry import estimated_height_m
from gaitdynamics.biomech.contact import Contact
from gaitdynamics.biomech.kinematics import heading_of, posed
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import even_times, intervals
from gaitdynamics.tasks import estimate_forces as task
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import METRICS, force_errors
from gaitdynamics.training.evidence import within
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Momentum, Skeleton
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import MILLIMETRES_PER_METRE

SPLIT = "train"
THINNED_DATASET, THINNED_BY = "Fukuchi2017RBDS", 5  # 57 long runs of one laboratory: every fifth is enough
CUTOFFS_HZ = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
CONTACT_BW = 0.02
MIN_STANCE_S, MAX_GAP_S = 0.1, 0.03  # of measured contacts; less is noise of the plate
MATCHING_S = 0.15  # an estimated event further from a measured one is another event
PROGRESS = np.linspace(0.1, 0.9, 9)  # of a double support
SMALL = 1e-6  # a spread that stands for certainty
ACTIVITIES = ("walk", "run")

PerTrial = list[tuple[StudyTrial, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One trial with what `estimate_forces` made of it on its way."""

    source: StudyTrial
    trial: Trial
    prediction: Prediction
    time_s: np.ndarray
    contact: Contact
    newton_euler: Callable[..., dynamics.WholeBody]
    pressure: Callable[..., pressure_module.Pressure]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    arguments = parser.parse_args()
    everyone = [trial for trial in read_study(arguments.study) if trial.split == SPLIT]
    thinned = [trial for trial in everyone if trial.dataset == THINNED_DATASET][::THINNED_BY]
    chosen = [trial for trial in everyone if trial.dataset != THINNED_DATASET or trial in thinned]

    steps: dict[str, Callable[[Case], Iterator[tuple[Any, np.ndarray]]]] = {
        "cutoffs": cutoff_errors,
        "trunk": trunk_errors,
        "timing": timing_errors,
        "shares": double_support_shares,
        "pressure": pressure_errors,
    }
    found: dict[str, dict[Any, PerTrial]] = {name: defaultdict(list) for name in steps}
    for source in chosen:
        case = prepared(source)
        for name, step in steps.items():
            for key, values in step(case):
                found[name][key].append((source, values))
    num_people = len({(trial.dataset, trial.subject) for trial in chosen})
    text = f"""# Choices of the physics estimator and what they rest on

{len(chosen)} trials of {num_people} people of the {SPLIT} split: all, but of {THINNED_DATASET} every {THINNED_BY}th
trial ({len(thinned)} of them). Unless it says otherwise, a figure is the mean over datasets of the mean over people of
the mean over trials. Forces are compared over the valid intervals.

{cutoff_section(found["cutoffs"])}

{trunk_section(found["trunk"])}

{timing_section(found["timing"])}

{share_section(found["shares"])}

{pressure_section(found["pressure"])}

{height_section(everyone)}
"""
    record("physics_choices", text)


def prepared(source: StudyTrial) -> Case:
    """Estimate a trial's forces as always, keeping the arguments of the steps on the way."""
    trial = load_trial(source)
    with (
        patch.object(physics, "newton_euler", wraps=physics.newton_euler) as newton_euler,
        patch.object(physics, "pressure", wraps=physics.pressure) as pressure,
    ):
        prediction = task.estimate_forces(trial)
    lowest_hz, highest_hz = task.WORKING_RATE_HZ
    return Case(
        source,
        trial,
        prediction,
        even_times(trial.motion.time_s, min_rate_hz=lowest_hz, max_rate_hz=highest_hz),
        contact=pressure.call_args.args[3],
        newton_euler=partial(
            dynamics.newton_euler, *newton_euler.call_args.args, **_without(newton_euler.call_args.kwargs, "is_flight")
        ),
        pressure=partial(pressure_module.pressure, *pressure.call_args.args, **pressure.call_args.kwargs),
    )


# (a) Cut-off


def cutoff_errors(case: Case) -> Iterator[tuple[tuple[str, float], np.ndarray]]:
    """Error of the total force by smoother and cut-off, (3,)."""
    is_flight = case.contact.is_flight
    for cutoff_hz in CUTOFFS_HZ:
        with _cutoff(cutoff_hz):
            ours = case.newton_euler(is_flight=is_flight).force_n
            with patch.object(dynamics, "smooth", butterworth):
                plain = case.newton_euler(is_flight=np.zeros_like(is_flight)).force_n
        yield ("ours", cutoff_hz), total_errors(case, ours)
        yield ("butterworth", cutoff_hz), total_errors(case, plain)
    yield ("as chosen", 0.0), total_errors(case, case.newton_euler(is_flight=is_flight).force_n)


def butterworth(values: np.ndarray, *, cutoff_hz: float, sampling_rate_hz: float, **_: Any) -> np.ndarray:
    """Second order, forward and backward: the fourth-order zero-lag filter of gait laboratories."""
    filtered = sosfiltfilt(butter(2, cutoff_hz, fs=sampling_rate_hz, output="sos"), values, axis=0)
    return np.ascontiguousarray(filtered)  # torch takes no negative strides


@contextmanager
def _cutoff(cutoff_hz: float) -> Iterator[None]:
    """One cut-off for all directions; the angular momentum, which the force does not need, is left out."""

    def no_momentum(skeleton: Skeleton, values: torch.Tensor, rates: torch.Tensor) -> Momentum:
        return Momentum(torch.zeros_like(values[..., :3]), torch.zeros_like(values[..., :3]))

    with (
        patch.object(dynamics, "WALKING_CUTOFFS_HZ", (cutoff_hz,) * 3),
        patch.object(dynamics, "RUNNING_CUTOFFS_HZ", (cutoff_hz,) * 3),
        patch.object(Skeleton, "momentum", no_momentum),
    ):
        yield


def total_errors(case: Case, total_n: np.ndarray) -> np.ndarray:
    """Mean absolute error of a total force, vertical, forward, sideways, % of body weight."""
    total_n = np.where(total_n[:, 1:2] > 0, total_n, 0.0)  # the ground does not pull
    nothing = np.zeros((len(total_n), 2))
    forces = GroundReaction(
        case.time_s, np.repeat(total_n[:, None], 2, axis=1), np.zeros((len(total_n), 2, 3)), nothing, nothing == 0
    )
    assert case.trial.forces is not None
    trial = replace(case.trial, forces=on_each_foot(case.trial.forces))
    return force_errors(trial, forces, case.source.forces_valid_s)[:3]


def cutoff_section(errors: dict[tuple[str, float], PerTrial]) -> str:
    parts = []
    chosen_hz = {"walk": dynamics.WALKING_CUTOFFS_HZ, "run": dynamics.RUNNING_CUTOFFS_HZ}
    for activity in ACTIVITIES:
        rows: list[list[object]] = [
            [f"{cutoff:g} Hz", *(v for s in ("ours", "butterworth") for v in mean_of_rows(errors[s, cutoff], activity))]
            for cutoff in CUTOFFS_HZ
        ]
        rows.append(["as chosen", *mean_of_rows(errors["as chosen", 0.0], activity), None, None, None])
        forward, up, right = chosen_hz[activity]
        heads = ["cut-off", "ours V", "AP", "ML", "Butterworth V", "AP", "ML"]
        parts.append(
            f"**{activity}** (chosen: vertical {up:g}, fore–aft {forward:g}, sideways {right:g} Hz)\n\n"
            + table(heads, rows)
        )
    datasets = sorted({source.dataset for source, _ in errors["as chosen", 0.0] if source.activity == "run"})
    rows = []
    for cutoff in CUTOFFS_HZ:
        of_dataset = [[e for e in errors["ours", cutoff] if e[0].dataset == dataset] for dataset in datasets]
        rows.append([f"{cutoff:g} Hz", *(v for some in of_dataset for v in mean_of_rows(some, "run"))])
    heads = ["cut-off", *(f"{dataset} {component}" for dataset in datasets for component in ("V", "AP", "ML"))]
    parts.append(f"**run, ours, by dataset**\n\n{table(heads, rows)}")
    return (
        "## Smoothing of the centre of mass\n\n"
        "Mean absolute error of the total force, % of body weight (V vertical, AP fore–aft, ML sideways), by the\n"
        "cut-off at which the centre of mass is smoothed, the same in all directions. *Ours* is\n"
        "`maths.signals.smooth`, which knows of flight phases; *Butterworth* is the usual zero-lag fourth-order one,\n"
        "which does not. The gain of either is a half at the cut-off.\n\n" + "\n\n".join(parts)
    )


# (b) Trunk


def trunk_errors(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Total and foot errors with the trunk upright, and with it fixed to the pelvis as the motion has it, (6,)."""
    if not any("trunk is held upright" in warning for warning in case.prediction.warnings):
        return
    with patch.object(anthropometry, "held_upright", lambda skeleton, joint: skeleton):
        swung = task.estimate_forces(case.trial).forces
    for name, forces in (("held upright", case.prediction.forces), ("swung with the pelvis", swung)):
        total = force_errors(*with_sums(case.trial, forces), case.source.forces_valid_s)[:3]
        yield name, np.concatenate([total, force_errors(case.trial, forces, case.source.forces_valid_s)[:3]])


def trunk_section(errors: dict[str, PerTrial]) -> str:
    some = errors["held upright"]
    num_rows = len({source.dataset for source, _ in some if source.activity == "walk"})
    rows = [[name, *mean_of_rows(values, "walk")] for name, values in errors.items()]
    heads = ["trunk", "total V", "total AP", "total ML", "each foot V", "AP", "ML"]
    return (
        "## Trunk without lumbar angles\n\n"
        f"Walking trials of models whose torso is fixed or whose lumbar angles were not measured ({num_rows} datasets, "
        f"{sum(s.activity == 'walk' for s, _ in some)} trials). Mean absolute error, % of body weight.\n\n"
        + table(heads, rows)
    )


# (c) Contact timing


def timing_errors(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Estimated minus measured time of every event in ms, NaN where none is near, (N,)."""
    time_s, is_down, is_valid = measured_contact(case)
    for kind, direction in (("foot strike", 1), ("toe-off", -1)):
        found = []
        for foot in range(2):
            measured_s = _edges(time_s, is_down[:, foot], direction)
            measured_s = measured_s[np.interp(measured_s, time_s, is_valid) == 1]
            estimated_s = _edges(case.time_s, case.contact.is_down[:, foot], direction)
            inside = (measured_s > case.time_s[0] + MATCHING_S) & (measured_s < case.time_s[-1] - MATCHING_S)
            for event_s in measured_s[inside]:
                error = estimated_s[np.argmin(np.abs(estimated_s - event_s))] - event_s if len(estimated_s) else np.inf
                found.append(error if abs(error) <= MATCHING_S else np.nan)
        if found:
            yield kind, 1000 * np.array(found)


def measured_contact(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (T,), feet on the ground by the plates (T, 2), and where that is known (T,)."""
    forces = case.trial.forces
    assert forces is not None
    rate_hz = 1 / float(np.median(np.diff(forces.time_s)))
    is_down = forces.force_n[:, :, 1] > CONTACT_BW * case.trial.subject.body_weight_n
    for foot in range(2):
        for wanted, shortest_s in ((False, MAX_GAP_S), (True, MIN_STANCE_S)):
            for start, end in intervals(is_down[:, foot] == wanted):
                if start > 0 and end < len(is_down) and end - start < shortest_s * rate_hz:
                    is_down[start:end, foot] = not wanted
    is_valid = within(forces.time_s, case.source.forces_valid_s) & forces.valid.all(axis=1)
    return forces.time_s, is_down, is_valid


def _edges(time_s: np.ndarray, mask: np.ndarray, direction: int) -> np.ndarray:
    """Times half-way between the frames where a mask rises (1) or falls (−1)."""
    before = np.flatnonzero(np.diff(mask.astype(int)) == direction)
    return (time_s[before] + time_s[before + 1]) / 2


def timing_section(errors: dict[str, PerTrial]) -> str:
    rows = []
    for activity in ACTIVITIES:
        for kind, per_trial in errors.items():
            people = _people(per_trial, activity)
            events = np.concatenate([np.concatenate(values) for values in people.values()])
            medians = [np.nanmedian(np.concatenate(values)) for values in people.values()]
            low, median, high = (float(value) for value in np.nanpercentile(medians, [10, 50, 90]))
            rows.append(
                [f"{activity}, {kind}", len(people), len(events), int(np.isnan(events).sum()), median, low, high]
            )
    return (
        "## Contact timing\n\n"
        f"Estimated minus measured time (vertical force over {100 * CONTACT_BW:g} % of body weight), ms: the median\n"
        "of each person's events, then the median and the 10th and 90th percentile over people. *Missed*: measured\n"
        f"events without an estimated one within {1000 * MATCHING_S:g} ms.\n\n"
        + table(["event", "people", "events", "missed", "median", "10 %", "90 %"], rows, digits=1)
    )


# (d) Vertical load in double support


def double_support_shares(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """For each whole measured double support: the trailing foot's share at PROGRESS, and the error in % of body weight.

    Vertical force as a share of the total; forward force in units of its value at the other foot's strike.
    """
    if case.source.activity != "walk":
        return
    time_s, is_down, is_valid = measured_contact(case)
    assert case.trial.forces is not None
    forward, vertical = np.moveaxis((case.trial.forces.force_n @ heading_axes(_heading(case.trial)).T)[..., :2], -1, 0)
    rate_hz = 1 / float(np.median(np.diff(time_s)))
    in_pct = 100 / case.trial.subject.body_weight_n
    contact = replace(case.contact, is_down=is_down)
    for double in load_sharing.double_supports(contact, sampling_rate_hz=rate_hz):
        span = slice(double.start, double.end)
        if double.trailing is None or not is_valid[max(double.start - 1, 0) : double.end + 1].all():
            continue
        if double.start == 0 or double.end == len(time_s):
            continue
        u = double.progress
        total, at_strike = vertical[span].sum(axis=1), vertical[double.start - 1, double.trailing]
        measured = vertical[span, double.trailing]
        for name, force in (
            ("vertical, measured", measured),
            ("vertical, cubic (ours)", total * load_sharing._vertical_share(u)),
            ("vertical, straight line", total * (1 - u)),
            ("vertical, Ren et al. 2008", at_strike * np.exp(-((2 * u) ** 3))),
        ):
            yield name, np.append(np.interp(PROGRESS, u, force / total), in_pct * np.abs(force - measured).mean())
        measured, at_strike = forward[span, double.trailing], forward[double.start - 1, double.trailing]
        for name, force in (
            ("forward, measured", measured),
            ("forward, Ren et al. 2008 (ours)", at_strike * load_sharing._forward_fade(u)),
            ("forward, straight line", at_strike * (1 - u)),
        ):
            yield name, np.append(np.interp(PROGRESS, u, force / at_strike), in_pct * np.abs(force - measured).mean())


def share_section(shares: dict[str, PerTrial]) -> str:
    num = len(shares["vertical, measured"])
    rows = []
    for name, per_trial in shares.items():
        people = [np.stack(values)[:, :-1] for values in _people(per_trial, "walk").values()]
        median = np.median([np.median(values, axis=0) for values in people], axis=0)
        error = None if "measured" in name else mean_of_rows(per_trial, "walk")[-1]
        rows.append([name, *(float(value) for value in median), error])
    return (
        "## Load in double support\n\n"
        f"Force of the trailing foot over {num} measured double supports of walking, by progress u through them:\n"
        "vertical, as a share of the measured total; forward, in units of its value at the other foot's strike. In\n"
        "Ren et al. 2008 the vertical one is its value at strike times exp(−(2u)³). Median of each person's, then\n"
        "over people. The last column is the mean absolute error of that foot's force, % of body weight, given the\n"
        "measured total, contacts and force at strike.\n\n"
        + table(["progress", *(f"{u:.1f}" for u in PROGRESS), "error, % BW"], rows)
    )


# (e) Centre of pressure


def pressure_errors(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Error of the centre of pressure in mm by what it is made of, (1,)."""
    certain = np.full(2, SMALL)
    choices: dict[str, dict[str, Any]] = {
        "both, weighed": {"ADVANCE_SD_M": pressure_module.ADVANCE_SD_M},
        "usual progression alone": {"ADVANCE_SD_M": certain},
        "moment balance alone": {"BALANCE_SD_M": dict.fromkeys(ACTIVITIES, certain)},
    }
    for name, constants in choices.items():
        with patch.multiple(pressure_module, **constants):
            cop_m = case.pressure().cop_m
        made = GroundReaction(case.time_s, np.zeros_like(cop_m), cop_m, cop_m[..., 0], np.ones(cop_m.shape[:2], bool))
        errors = force_errors(case.trial, made, case.source.forces_valid_s)
        yield name, errors[[METRICS.index("cop_mae_mm")]]


def pressure_section(errors: dict[str, PerTrial]) -> str:
    rows = [
        [name, *(float(mean_of_rows(per_trial, activity)[0]) for activity in ACTIVITIES)]
        for name, per_trial in errors.items()
    ]
    return (
        "## Centre of pressure\n\n"
        "Mean horizontal distance from the measured one while that foot carries over 10 % of body weight, mm. The\n"
        "moment balance has its mean offset over the trial removed, is shared between the feet in double support and\n"
        "kept on the sole, in all three.\n\n" + table(["made of", *ACTIVITIES], rows, digits=1)
    )


# (f) Height


def height_section(chosen: Sequence[StudyTrial]) -> str:
    errors_mm: dict[str, list[float]] = defaultdict(list)
    for dataset, model_path in sorted({(trial.dataset, trial.model_path) for trial in chosen}):
        person: dict[str, Any] = json.loads((model_path.parent / "subject.json").read_text())
        if person.get("height_m") is not None and "estimated" not in str(person.get("height_source")):
            error_m = estimated_height_m(read_model(model_path)) - person["height_m"]
            errors_mm[dataset].append(MILLIMETRES_PER_METRE * error_m)
    everyone = {**errors_mm, "all people": [error for errors in errors_mm.values() for error in errors]}
    rows = [
        [name, len(e), float(np.mean(e)), float(np.sqrt(np.mean(np.square(e)))), float(np.abs(e).max())]
        for name, e in everyone.items()
    ]
    return (
        "## Height from the model\n\n"
        "`estimated_height_m` minus the stated height, of the people whose stated height is not itself estimated from\n"
        f"a model, mm.\n\n{table(['dataset', 'people', 'mean', 'rms', 'largest'], rows, digits=0)}"
    )


# Means


def mean_of_rows(per_trial: PerTrial, activity: str) -> list[float]:
    """Mean over datasets of the mean over people of the mean over trials, as in `training.evaluate`."""
    of_dataset: dict[str, list[np.ndarray]] = defaultdict(list)
    for (dataset, _), values in _people(per_trial, activity).items():
        of_dataset[dataset].append(np.nanmean(values, axis=0))
    return [float(v) for v in np.nanmean([np.nanmean(people, axis=0) for people in of_dataset.values()], axis=0)]


def _people(per_trial: PerTrial, activity: str) -> dict[tuple[str, str], list[np.ndarray]]:
    people: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for source, values in per_trial:
        if source.activity == activity:
            people[source.dataset, source.subject].append(values)
    return people


def _heading(trial: Trial) -> np.ndarray:
    return heading_of(trial.skeleton, posed(trial.skeleton, trial.motion.values))


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


if __name__ == "__main__":
    main()
