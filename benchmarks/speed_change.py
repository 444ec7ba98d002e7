"""Other speeds: what people did at one, made of what they did at another, against what they did.

Every trial of a person who was recorded at several speeds is brought to each of the others by `gaitdynamics speed`'s
own function, by simpler ways and by the diffusion model. Only the motion is given; forces of the result are estimated
and compared with measured ones.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _plausibility import PLAUSIBILITY, plausibility
from _record import insert, record, table
from _speed_baselines import average_parameters, redrawn, time_scaled

from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.tasks.change_speed import change_speed
from gaitdynamics.tasks.estimators import load_estimator, load_speed_response
from gaitdynamics.tasks.recorded_gait import RecordedGait, recorded_gait
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.training.evaluate import of_split
from gaitdynamics.types.trial import Trial

ROOT = Path(__file__).parents[1]
DATASETS = ("Hamner2013", "Fukuchi2017RBDS", "SchreiberMoissenet2019")  # people who went straight on at several speeds
LONGEST_S = 5.0  # of what is given
LEAST_SPEED_STEP = 0.1  # of the speed: less is the same
OURS, AVERAGE, TIME_SCALED, LITTLE_NOISE, MUCH_NOISE, KNOWN, RECORDED = (
    *("ours", "training average", "time-scaled", "diffusion, noise 1", "diffusion, noise 4"),
    *("motion known", "as recorded"),
)
NOISE = {LITTLE_NOISE: 1.0, MUCH_NOISE: 4.0}
# Name of a parameter: head, aim, and whether errors are shares.
TARGETS = {
    "stride_length_m": ("stride length, %", 5.0, True),
    "cadence_steps_per_min": ("cadence, %", None, True),
    "contact_time_s": ("contact time, %", None, True),
    "peak_vertical_bw": ("peak vertical force, %", 5.0, True),
    "peak_propulsive_bw": ("peak propulsive force, %", 10.0, True),
    "peak_braking_bw": ("peak braking force, %", None, True),
    **{
        f"{joint}_flexion_{end}_deg": (f"{joint} flexion, {end}., °", 5.0, False)
        for joint in ("hip", "knee", "ankle")
        for end in ("max", "min")
    },
}
KEPT = ("person", "activity", "way", "from_m_s", "to_m_s", "errors")
GROUPED = ("stride_length_m", "peak_vertical_bw", "peak_propulsive_bw", "knee_flexion_max_deg")
# Tan et al. 2026, from 4 m/s: generated against measured, means of the group.
PUBLISHED = {3: ("−8", "+6", "+25", "+9"), 5: ("+10", "+4", "+17", "−4")}
AUTHORS_DATASET, AUTHORS_START_M_S = "Hamner2013", 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: as many as cores)")
    parser.add_argument("--no-diffusion", action="store_true", help="leave out the generative model, most of the time")
    arguments = parser.parse_args()
    people: dict[tuple[str, str], list[StudyTrial]] = defaultdict(list)
    for each in of_split(read_study(arguments.study), arguments.split):
        people[each.dataset, each.subject].append(each)
    several = [trials for (dataset, _), trials in people.items() if dataset in DATASETS and len(trials) > 1]
    work = partial(_compared, has_diffusion=not arguments.no_diffusion)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        rows = [row for found in pool.map(work, several) for row in found]
    text = _text(rows, arguments.split)
    if arguments.no_diffusion:
        print(text)
        return
    is_shown = arguments.split == "validation"
    name = "speed_change" if is_shown else f"speed_change_{arguments.split}"
    kept = [{key: value for key, value in row.items() if key in KEPT or key in PLAUSIBILITY} for row in rows]
    record(name, f"# Other speeds, {arguments.split} people\n\n{text}", figures={"rows": kept})
    if is_shown:
        insert(ROOT / "docs" / "accuracy.md", text, mark="speed")


def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def _models() -> tuple[Any, Any]:
    return load_estimator("starter"), load_speed_response("starter_speed")


def _compared(study_trials: Sequence[StudyTrial], *, has_diffusion: bool) -> list[dict[str, Any]]:
    """One person's trials, each made of each other one by every way."""
    estimator, _ = _models()
    measured, recorded = {}, {}
    for study_trial in study_trials:
        try:
            trial = load_trial(study_trial)
            recorded[study_trial] = recorded_gait(_shortened(trial), estimator=estimator)
            belt_speed_m_s = recorded[study_trial].frame.belt_speed_m_s
            measured[study_trial] = gait_parameters(trial, trial.forces, belt_speed_m_s=belt_speed_m_s)
        except GaitDynamicsError:
            continue  # too short for a stride
    rows = []
    for start, gait in recorded.items():
        ends = [
            end
            for end, other in recorded.items()
            if other.activity == gait.activity and abs(other.speed_m_s / gait.speed_m_s - 1) > LEAST_SPEED_STEP
        ]
        if not ends:
            continue
        about = {"person": f"{start.dataset}/{start.subject}", "dataset": start.dataset, "activity": gait.activity}
        rows.append({**about, "way": RECORDED, **plausibility(gait.trial, gait.prediction.forces)})
        speeds = [recorded[end].speed_m_s for end in ends]
        for end, made in zip(ends, _made(gait, speeds, has_diffusion=has_diffusion), strict=True):
            truth = measured[end]
            made[KNOWN] = {"parameters": _parameters(recorded[end].trial, estimator)}
            for way, found in made.items():
                rows.append(
                    {
                        **about,
                        "way": way,
                        "from_m_s": round(gait.speed_m_s, 2),
                        "to_m_s": round(recorded[end].speed_m_s, 2),
                        "errors": _errors(found["parameters"], truth),
                        "truth": {name: truth.get(name) for name in TARGETS},
                        "values": {name: (found["parameters"].get(name), truth.get(name)) for name in GROUPED},
                        **{key: value for key, value in found.items() if key != "parameters"},
                    }
                )
    return rows


def _made(gait: RecordedGait, speeds: Sequence[float], *, has_diffusion: bool) -> list[dict[str, dict[str, Any]]]:
    """Of each speed, by every way: parameters, and what else is to be told."""
    estimator, response = _models()
    started = time.process_time()
    versions = change_speed(gait.trial, to_m_s=speeds, estimator=estimator, response=response)[1:]
    taken_s = (time.process_time() - started) / len(speeds)
    made = []
    for version, speed in zip(versions, speeds, strict=True):
        belt_speed_m_s = version.prediction.belt_speed_m_s
        samples = [
            gait_parameters(replace(version.trial, motion=sample.motion), sample.forces, belt_speed_m_s=belt_speed_m_s)
            for sample in version.samples
        ]
        ways: dict[str, dict[str, Any]] = {
            OURS: {
                "parameters": gait_parameters(version.trial, version.prediction.forces, belt_speed_m_s=belt_speed_m_s),
                "interval": {name: _interval([sample.get(name) for sample in samples]) for name in TARGETS},
                "seconds": taken_s,
                **plausibility(version.trial, version.prediction.forces),
            },
            AVERAGE: {"parameters": average_parameters(response.by_activity[gait.activity], speed)},
        }
        others: dict[str, Callable[[], Trial]] = {TIME_SCALED: partial(time_scaled, gait, speed)}
        if has_diffusion:
            others |= {way: partial(redrawn, gait, speed, noise_level=level) for way, level in NOISE.items()}
        for way, make in others.items():
            try:
                trial = make()
                forces = estimator(trial).forces
            except GaitDynamicsError:
                continue  # no foot stands
            ways[way] = {"parameters": _parameters(trial, estimator), **plausibility(trial, forces)}
        made.append(ways)
    return made


def _parameters(trial: Trial, estimator: Any) -> dict[str, float | None]:
    prediction = estimator(trial)
    return gait_parameters(trial, prediction.forces, belt_speed_m_s=prediction.belt_speed_m_s)


def _errors(found: dict[str, float | None], truth: dict[str, float | None]) -> dict[str, float]:
    errors = {}
    for name, (_, _, is_share) in TARGETS.items():
        value, true = found.get(name), truth.get(name)
        if value is not None and true is not None:
            errors[name] = round(100 * (value / true - 1) if is_share else value - true, 3)
    return errors


def _interval(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = np.percentile(known, [5, 95])
    return float(low), float(high)


def _shortened(trial: Trial) -> Trial:
    motion = trial.motion
    kept = motion.time_s <= motion.time_s[0] + LONGEST_S
    cut = replace(motion, time_s=motion.time_s[kept], values=motion.values[kept], observed=motion.observed[kept])
    return replace(trial, motion=cut)


def _text(rows: list[dict[str, Any]], split: str) -> str:
    parts = [
        f"At most {LONGEST_S:g} s of each trial given, the motion alone; its forces and the result's are estimated "
        f"with bundled weights, and the result is compared with what was measured. *{AVERAGE}*: the mean stride of the "
        f"training people at that speed. *{TIME_SCALED}*: the same motion in another time. *diffusion*: the recording "
        "with noise of that many standard deviations, which the diffusion model takes away for the new speed. "
        f"*{KNOWN}*: forces estimated from the motion measured at that speed, which is as good as they get. Mean "
        "absolute errors, means over each person's pairs of speeds, then over people."
    ]
    for dataset in DATASETS:
        chosen = [row for row in rows if row["dataset"] == dataset]
        num = len({row["person"] for row in chosen})
        pairs = len([row for row in chosen if row["way"] == OURS])
        parts.append(f"### {dataset}: {num} people, {pairs} pairs of speeds\n\n{_error_table(chosen)}")
    parts.append(
        f"### {AUTHORS_DATASET} from {AUTHORS_START_M_S} m/s, means of the group\n\nMade minus measured, in % of the "
        f"measured (knee: degrees).\n\n{_group_table(rows)}"
    )
    parts.append(f"### Plausibility\n\n{_plausibility_table(rows)}")
    parts.append(
        "### Intervals\n\nMeasured values between the 5th and the 95th percentile of eight samples, %. Of forces, "
        f"intervals hold what people differ by, not the error of the estimate.\n\n{_coverage_table(rows)}"
    )
    taken = np.median([row["seconds"] for row in rows if row["way"] == OURS])
    parts.append(f"A speed with eight samples takes {taken:.1f} s of one core on the median.")
    return "\n\n".join(parts)


def _error_table(rows: list[dict[str, Any]]) -> str:
    ways = [way for way in (OURS, AVERAGE, TIME_SCALED, *NOISE, KNOWN) if any(row["way"] == way for row in rows)]
    lines = []
    for name, (head, aim, _) in TARGETS.items():
        errors = [_mean_error([row for row in rows if row["way"] == way], name) for way in ways]
        if errors[0] is not None:
            lines.append([head, *errors, "–" if aim is None else f"{aim:g}"])
    return table(["", *ways, "aim"], lines, digits=1)


def _mean_error(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    return _by_person(rows, [abs(row["errors"][name]) if name in row["errors"] else None for row in rows])


def _by_person(rows: Sequence[dict[str, Any]], values: Sequence[float | None]) -> float | None:
    of_person: dict[str, list[float]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            of_person[row["person"]].append(value)
    return float(np.mean([np.mean(own) for own in of_person.values()])) if of_person else None


def _group_table(rows: list[dict[str, Any]]) -> str:
    chosen = [row for row in rows if row["dataset"] == AUTHORS_DATASET and "from_m_s" in row]
    chosen = [row for row in chosen if round(row["from_m_s"]) == AUTHORS_START_M_S]
    lines: list[list[object]] = []
    for to in sorted({round(row["to_m_s"]) for row in chosen}):
        for way in (OURS, AVERAGE, TIME_SCALED, *NOISE, KNOWN):
            own = [row for row in chosen if row["way"] == way and round(row["to_m_s"]) == to]
            if own:
                lines.append([f"{to} m/s, {way}", *(_group_error(own, name) for name in GROUPED)])
        if to in PUBLISHED:
            lines.append([f"{to} m/s, Tan et al. 2026", *PUBLISHED[to]])
    return table(["", "stride length", "peak vertical", "peak propulsive", "peak knee flexion"], lines)


def _group_error(rows: Sequence[dict[str, Any]], name: str) -> str:
    pairs = np.array([row["values"][name] for row in rows if None not in row["values"][name]], dtype=float)
    made, true = pairs.mean(axis=0)
    error = 100 * (made / true - 1) if TARGETS[name][2] else made - true
    return f"{error:+.1f}".replace("-", "−")


def _plausibility_table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for activity in ("run", "walk"):
        for way in (RECORDED, OURS, TIME_SCALED, *NOISE):
            own = [row for row in rows if row["way"] == way and row["activity"] == activity]
            if own:
                lines.append(
                    [f"{activity}, {way}", *(_by_person(own, [row[name] for row in own]) for name in PLAUSIBILITY)]
                )
    return table(["", *PLAUSIBILITY.values()], lines)


def _coverage_table(rows: list[dict[str, Any]]) -> str:
    ours = [row for row in rows if row["way"] == OURS]
    datasets = [dataset for dataset in DATASETS if any(row["dataset"] == dataset for row in ours)]
    lines = []
    for name, (head, _, _) in TARGETS.items():
        cells = []
        for dataset in datasets:
            inside = [_is_inside(row, name) for row in ours if row["dataset"] == dataset]
            known = [each for each in inside if each is not None]
            cells.append(f"{100 * np.mean(known):.0f}" if known else "–")
        lines.append([head.rsplit(",", 1)[0], *cells])
    return table(["", *datasets], lines)


def _is_inside(row: dict[str, Any], name: str) -> bool | None:
    interval, error = row["interval"][name], row["errors"].get(name)
    if interval is None or error is None:
        return None
    low, high = interval
    return low <= row["truth"][name] <= high


if __name__ == "__main__":
    main()
