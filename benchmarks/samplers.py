"""Ways to draw what is missing of a gait: angles that were hidden, and the time that it takes.

The authors' network completes by replacement, in its own state; ours is told what is known. Every method sees the same
stretches of the same trials, without forces, and answers with one sample.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from _record import insert, record, table

from gaitdynamics.biomech.physics import physics_of
from gaitdynamics.errors import GaitDynamicsError
from gaitdynamics.io.study import StudyTrial, read_study
from gaitdynamics.model.checkpoint import load_weights
from gaitdynamics.model.diffusion import Conditions, GaitDiffusion, TrialDenoiser, build_diffusion_model
from gaitdynamics.model.published import DIFFUSION, build_diffusion, normalizer_of
from gaitdynamics.model.published_denoiser import as_denoiser, published_levels
from gaitdynamics.model.published_state import PublishedState, decode_coordinates, encode_canonical
from gaitdynamics.model.sampler import Denoise, DrawNoise, euler, multistep, noise_levels, repaint
from gaitdynamics.state.codec import encode
from gaitdynamics.state.layout import GAIT, PUBLISHED
from gaitdynamics.state.normalizer import Normalizer
from gaitdynamics.state.windows import WINDOW_FRAMES, cut, merge
from gaitdynamics.tasks.estimators import load_all, weights_folder
from gaitdynamics.tasks.fill_motion import NOISE_RANGE
from gaitdynamics.tasks.learned_forces import frame_times
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.units import SIDE_NAMES, SIDES

GAP_FRAMES, GAP_EVERY = 20, 150  # 200 ms in the middle of every 1.5 s
# Which joints of which sides are hidden; the columns of `angles` that are compared.
ROOT = Path(__file__).parents[1]
MASKS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hips": (("hip",), SIDE_NAMES),
    "knees": (("knee",), SIDE_NAMES),
    "right leg": (("hip", "knee", "ankle"), ("right",)),
}
GAPS = "gaps of 200 ms"
JOINTS = ("hip", "knee", "ankle")
COLUMNS = {"hip": [0, 1, 2], "knee": [3], "ankle": [4]}  # of `angles`: three, flexion, flexion

States = tuple[np.ndarray, np.ndarray]  # values and what is known of them, both (T, D)
Fill = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]  # known, mask, draws: all (N, L, D)


@dataclass(frozen=True)
class Stretch:
    """Of one trial, in both states, without forces."""

    gait: States
    published: States
    state: PublishedState

    def __len__(self) -> int:
        return len(self.gait[0])


@dataclass(frozen=True)
class Method:
    """A way to complete stretches."""

    name: str
    is_ours: bool
    normalizer: Normalizer
    fill: Fill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of people with models, motions and measured forces")
    parser.add_argument("--authors", required=True, help="weights of the authors' diffusion architecture")
    parser.add_argument("--ours", default="starter_diffusion", help="our diffusion model (default: starter_diffusion)")
    parser.add_argument("--split", default="validation", help="of the study (default: validation)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each trial at most (default: 6)")
    parser.add_argument("--trials", type=int, default=1000, help="at most, evenly chosen (default: all)")
    parser.add_argument("--passes", type=int, default=10, help="of RePaint over each stretch of steps (default: 10)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [trial for trial in read_study(arguments.study) if trial.split == arguments.split]
    picked = np.unique(np.linspace(0, len(chosen) - 1, min(arguments.trials, len(chosen))).astype(int))
    found = (stretch_of(chosen[number], arguments.seconds) for number in picked)
    stretches = [stretch for stretch in found if stretch is not None]
    methods = [*authors_methods(arguments.authors, num_passes=arguments.passes), *our_methods(arguments.ours)]
    rows = []
    for method in methods:
        spent_s, row = 0.0, []
        for mask in (*MASKS, GAPS):
            squares = []
            for number, stretch in enumerate(stretches):
                before = time.process_time()
                completed, hidden = complete(method, stretch, mask, seed=number)
                spent_s += time.process_time() - before
                squares.append(squared_error(method, stretch, mask, completed=completed, hidden=hidden))
            row.append(float(np.degrees(np.sqrt(np.mean(squares)))))
        minutes = len(row) * sum(map(len, stretches)) / 100.0 / 60.0
        rows.append([method.name, *row, spent_s / minutes])
    head = ["", *(f"{mask}, °" for mask in (*MASKS, GAPS)), "s per minute"]
    total_s = sum(map(len, stretches)) / 100.0
    note = (
        f"Root mean square error of the hidden angles (three of a hip, flexion of knee and ankle) of one sample; mean "
        f"over {len(stretches)} stretches, {total_s:.0f} s of the {arguments.split} people's motion. Processor "
        "time of one core per minute of motion. Each network in its own state; both were trained on the same people."
    )
    text = f"{note}\n\n{table(head, rows, digits=1)}"
    record("samplers", f"# Samplers\n\n{text}")
    insert(ROOT / "docs" / "diffusion.md", text, mark="samplers")


def stretch_of(study_trial: StudyTrial, seconds: float) -> Stretch | None:
    """The middle of a trial; None where it lacks a leg's joint."""
    try:
        trial = replace(load_trial(study_trial), forces=None)
        time_s = frame_times(trial.motion.time_s)
        gait = encode(trial)[0]
        state = encode_canonical(trial, time_s, belt_speed_m_s=physics_of(trial, time_s).belt_speed_m_s)
    except GaitDynamicsError:
        return None
    num = min(len(time_s), int(100 * seconds))
    part = slice((len(time_s) - num) // 2, (len(time_s) - num) // 2 + num)
    state = replace(state, values=state.values[part], known=state.known[part], time_s=time_s[part])
    theirs = PUBLISHED.columns(published_groups(JOINTS, SIDE_NAMES))
    if not (gait.known[part][:, our_columns()].all() and state.known[:, theirs].all()):
        return None
    return Stretch((gait.values[part], gait.known[part]), (state.values, state.known), state)


def published_groups(joints: tuple[str, ...], sides: tuple[str, ...]) -> list[str]:
    """Groups of the authors' state for these joints of ours."""
    shorts = [SIDES[SIDE_NAMES.index(side)] for side in sides]
    names = {"hip": ("hip_{}",), "knee": ("knee_angle_{}",), "ankle": ("ankle_angle_{}", "subtalar_angle_{}")}
    return [name.format(short) for joint in joints for name in names[joint] for short in shorts]


def complete(method: Method, stretch: Stretch, mask: str, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The stretch's state, completed, and the frames at which joints were hidden, (T,)."""
    values, known = stretch.gait if method.is_ours else stretch.published
    known, frames = known.copy(), np.ones(len(values), dtype=bool)
    if mask == GAPS:
        frames = np.abs(np.arange(len(values)) % GAP_EVERY - (GAP_EVERY - 1) / 2) < GAP_FRAMES / 2
        if not frames.any():
            frames[len(values) // 2 - GAP_FRAMES // 2 :][:GAP_FRAMES] = True
        known[frames] = False
    else:
        joints, sides = MASKS[mask]
        ours = [f"{joint}_{side}" for joint in joints for side in sides]
        layout, groups = (GAIT, ours) if method.is_ours else (PUBLISHED, published_groups(joints, sides))
        known[:, layout.columns(groups)] = False
    normalised = np.where(known, method.normalizer.apply(values), np.float32(0.0))
    generator = torch.Generator().manual_seed(seed)
    given = normalised.astype(np.float32), known.astype(np.float32)
    if method.is_ours:
        value, is_known = (torch.from_numpy(part)[None] for part in given)
        return method.normalizer.undo(method.fill(value, is_known, generator)[0].numpy()), frames
    windows, masks = (cut(part, length=WINDOW_FRAMES, stride=WINDOW_FRAMES) for part in given)
    filled = method.fill(torch.from_numpy(windows.values), torch.from_numpy(masks.values), generator)
    return method.normalizer.undo(merge(filled.numpy(), windows)), frames


def squared_error(method: Method, stretch: Stretch, mask: str, *, completed: np.ndarray, hidden: np.ndarray) -> float:
    """Mean over the hidden angles, rad²."""
    joints, sides = MASKS.get(mask, (JOINTS, SIDE_NAMES))
    columns = [column for joint in joints for column in COLUMNS[joint]]
    which = [SIDE_NAMES.index(side) for side in sides]
    if method.is_ours:
        found, truth = gait_angles(completed), gait_angles(stretch.gait[0])
    else:
        found, truth = (
            published_angles(replace(stretch.state, values=values)) for values in (completed, stretch.published[0])
        )
    difference = (found - truth)[hidden][:, which][..., columns]
    return float(np.mean(((difference + np.pi) % (2 * np.pi) - np.pi) ** 2))


def gait_angles(values: np.ndarray) -> np.ndarray:
    """Of our state, (T, 2, 5)."""
    return values[:, our_columns()]


def our_columns() -> np.ndarray:
    """Of the angles that are compared, (2, 5)."""
    names = ("hip_{}_flexion", "hip_{}_adduction", "hip_{}_rotation", "knee_{}_flexion", "ankle_{}_flexion")
    return np.array([[int(GAIT[name.format(side)][0]) for name in names] for side in SIDE_NAMES])


def published_angles(state: PublishedState) -> np.ndarray:
    """Of the authors', (T, 2, 5); hips after pelvis among the three-axis joints, subtalar after ankle hinges."""
    coordinates = decode_coordinates(state)
    hinges = coordinates.hinge_rad.reshape(-1, 2, 3)[..., :2]
    return np.concatenate([coordinates.ball_rad[:, 1:3], hinges], axis=-1)


def drawing(known: torch.Tensor, generator: torch.Generator) -> DrawNoise:
    """Noise for windows of that shape."""
    return lambda: torch.randn(known.shape, generator=generator)


def authors_methods(weights: str, *, num_passes: int) -> list[Method]:
    """Their network, with samplers that replace what is known."""
    found = next(each for each in load_all(weights) if each.kind == DIFFUSION)
    denoise, normalizer = as_denoiser(build_diffusion(found)), normalizer_of(found)
    theirs = published_levels()

    def replacing(known: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        draw = drawing(known, generator)
        return euler(denoise, known, mask, levels=theirs, noise=draw(), replacement=draw)

    def repainting(known: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        draw = drawing(known, generator)
        return repaint(denoise, known, mask, levels=theirs, noise=draw(), draw_noise=draw, num_jumps=num_passes)

    def second_order(levels: torch.Tensor) -> Fill:
        def fill(known: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            draw = drawing(known, generator)
            return multistep(denoise, known, mask, levels=levels, noise=draw(), replacement=draw)

        return fill

    lowest, highest = float(theirs[-2]), float(theirs[0])
    fills = {
        "middle of the range": lambda known, mask, generator: known,
        "authors' network, 50 DDIM steps (theirs)": replacing,
        f"authors' network, RePaint, 50 steps × {num_passes}": repainting,
        **{
            f"authors' network, DPM-Solver++ 2M, {num} steps": second_order(
                noise_levels(num, lowest=lowest, highest=highest)
            )
            for num in (8, 12, 20)
        },
    }
    return [Method(name, False, normalizer, fill) for name, fill in fills.items()]


def our_methods(weights: str) -> list[Method]:
    """Ours, which needs no replacement."""
    model: GaitDiffusion = build_diffusion_model(load_weights(weights_folder(weights)))
    denoise: Denoise = TrialDenoiser(model, Conditions())

    def second_order(num_steps: int) -> Fill:
        levels = noise_levels(num_steps, lowest=NOISE_RANGE[0], highest=NOISE_RANGE[1])

        def fill(known: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return multistep(denoise, known, mask, levels=levels, noise=drawing(known, generator)())

        return fill

    fills = {
        "training mean": lambda known, mask, generator: known,
        **{f"ours, DPM-Solver++ 2M, {num} steps": second_order(num) for num in (5, 10, 20)},
    }
    return [Method(name, True, model.normalizer, fill) for name, fill in fills.items()]


if __name__ == "__main__":
    main()
