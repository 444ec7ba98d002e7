"""Figures of estimated against measured forces, for recordings as laboratories have them."""

import argparse
import io
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from _record import FIGURES, record, table

from gaitdynamics.apps.estimate_files import Person, estimate_file, read_person
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, local_heading, posed
from gaitdynamics.io.external_loads import read_loaded_plates
from gaitdynamics.io.forces import assign_feet, ground_reaction_from_sides, read_plates
from gaitdynamics.io.motion import read_motion
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.tasks.estimators import load_estimator
from gaitdynamics.types.ground_reaction import GroundReaction

LOADED_BW = 0.10
COLOURS = ("tab:red", "tab:blue")  # right, left, as charts of hearing and gait have them
NUM_COLOURS = 48
COMPONENTS = (("vertical", 1), ("forward", 0), ("to the right", 2))


@dataclass(frozen=True)
class Sample:
    """A folder of the samples: its files, and what its model gets wrong."""

    name: str
    title: str
    model: str = "model.osim"
    motion: str = "ik.mot"
    forces: str = "grf.mot"
    mass_kg: float | None = None


SAMPLES = (
    Sample(
        "moco_walk",
        "overground walking (Rajagopal 2016)",
        model="subject_walk_scaled.osim",
        motion="coordinates.sto",
        forces="grf_walk.xml",
    ),
    Sample("gait2354", "treadmill walking (OpenSim's gait2354)"),
    Sample("hamner", "treadmill running at 4 m/s (Hamner and Delp 2013)"),
    Sample("opencap", "overground walking (OpenCap validation)", mass_kg=93.4),  # its model has a generic mass
    Sample("camargo", "standing, walking and turning (Camargo 2021)"),
)


@dataclass(frozen=True)
class Course:
    """Unit vectors: where a person goes at every time (T, 3), and on the median (3,)."""

    time_s: np.ndarray
    going: np.ndarray
    heading: np.ndarray

    def in_heading(self, force_n: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Forces (N, 2, 3) forward, up and to the right of where the person goes."""
        going = _at(self.going, self.time_s, time_s)
        going = going / np.linalg.norm(going, axis=1, keepdims=True)
        return np.einsum("tij,tfj->tfi", heading_axes(going), force_n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=Path, help=f"folder that holds {', '.join(s.name for s in SAMPLES)}")
    arguments = parser.parse_args()
    rows = [_draw_sample(sample, arguments.samples / sample.name) for sample in SAMPLES]
    _draw_synthetic()
    heads = ["sample", "kg", "measured / weight", "vertical", "forward", "sideways", "CoP, mm", "loaded, s"]
    text = f"""# Samples of laboratories' recordings

Mean absolute error of each foot's force, % of body weight, and of its centre of pressure, while the plates measure more
than {100 * LOADED_BW:g} % of body weight under that foot. Swing, which is easy, does not count, so these figures are
larger than those of `gaitdynamics evaluate`. *Measured / weight* is the median measured total while a plate is loaded:
near 1 in walking if the mass is right, well above it in running. Forward is where the person goes at that time. The
figures are in docs/figures. The masses are the models' own, but for opencap, whose model has a generic mass.

{table(heads, rows, digits=1)}
"""
    record("samples", text)


def _draw_sample(sample: Sample, folder: Path) -> list[object]:
    person = read_person(folder / sample.model, mass_kg=sample.mass_kg, height_m=None)
    motion_path = folder / sample.motion
    estimated, summary = _estimate(motion_path, person)
    course, feet_m = _kinematics(motion_path, person)
    is_loads = sample.forces.endswith(".xml")
    plates = (read_loaded_plates if is_loads else read_plates)(folder / sample.forces)
    if all(plate.side is not None for plate in plates):
        measured = ground_reaction_from_sides(plates)
    else:
        measured = assign_feet(plates, course.time_s, feet_m)
    _draw(sample.name, f"{sample.name}: {sample.title}", person, course, estimated, measured)
    print(f"{sample.name}: {summary['gait']} {summary['warnings']}", file=sys.stderr)
    return [sample.name, f"{person.subject.mass_kg:.1f}", *_errors(person, course, estimated, measured)]


def _draw_synthetic() -> None:
    assets = files("gaitdynamics") / "assets"
    with as_file(assets / "generic_body.osim") as model, as_file(assets / "synthetic_walk.mot") as motion:
        person = read_person(model, mass_kg=None, height_m=None)
        estimated, _ = _estimate(motion, person)
        course, _ = _kinematics(motion, person)
    _draw("synthetic_walk", "the bundled synthetic walk, measured on nobody", person, course, estimated, None)


def _estimate(motion_path: Path, person: Person) -> tuple[GroundReaction, dict[str, Any]]:
    """What a user gets: the forces from the file that was written, and the summary."""
    with tempfile.TemporaryDirectory() as out:
        written = estimate_file(
            motion_path, person, out=Path(out), belt_speed_m_s=None, estimator=load_estimator("starter")
        )
        return ground_reaction_from_sides(read_plates(written.paths[0])), written.summary


def _kinematics(motion_path: Path, person: Person) -> tuple[Course, np.ndarray]:
    """Where the person goes, and the middle of the feet (T, 2, 3)."""
    motion, _ = read_motion(motion_path, person.skeleton.coordinates)
    pose = posed(person.skeleton, person.skeleton.with_coupled_values(motion.values))
    feet_m = foot_paths(person.skeleton, pose, height_m=person.subject.height_m).points_m.mean(axis=2)
    going = local_heading(person.skeleton, pose, sampling_rate_hz=motion.sampling_rate_hz)
    return Course(motion.time_s, going, heading_of(person.skeleton, pose)), feet_m


def _errors(person: Person, course: Course, estimated: GroundReaction, measured: GroundReaction) -> list[object]:
    body_weight = person.subject.body_weight_n
    during = (measured.time_s >= estimated.time_s[0]) & (measured.time_s <= estimated.time_s[-1])
    force, cop = (_at(values, estimated.time_s, measured.time_s) for values in (estimated.force_n, estimated.cop_m))
    is_loaded = (measured.force_n[:, :, 1] > LOADED_BW * body_weight) & measured.valid & during[:, None]
    error = np.abs(course.in_heading(force - measured.force_n, measured.time_s))[is_loaded].mean(axis=0)
    distance = np.linalg.norm((cop - measured.cop_m)[..., [0, 2]], axis=-1)[is_loaded].mean()
    total = measured.force_n[:, :, 1].sum(axis=1)[is_loaded.any(axis=1)]
    step_s = float(np.median(np.diff(measured.time_s)))
    return [
        f"{np.median(total) / body_weight:.2f}",
        *(float(100 * error[k] / body_weight) for _, k in COMPONENTS),
        float(1000 * distance),
        float(is_loaded.any(axis=1).sum() * step_s),
    ]


def _draw(
    name: str,
    title: str,
    person: Person,
    course: Course,
    estimated: GroundReaction,
    measured: GroundReaction | None,
) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from PIL import Image

    body_weight = person.subject.body_weight_n
    axes = heading_axes(course.heading)
    figure, panels = plt.subplots(5, 1, figsize=(9, 10), sharex=True, height_ratios=(1.6, 1, 1, 1, 1))
    sources = [(estimated, "--", 1.4, "estimated")]
    if measured is not None:
        sources.insert(0, (measured, "-", 1.0, "measured"))
    for forces, style, width, label in sources:
        is_loaded = forces.force_n[:, :, 1] > LOADED_BW * body_weight
        in_heading = course.in_heading(forces.force_n, forces.time_s) / body_weight
        place = np.where(is_loaded[..., None], forces.cop_m @ axes.T, np.nan)
        if forces is measured:
            in_heading = np.where(is_loaded[..., None], in_heading, np.nan)
        for foot, (side, colour) in enumerate(zip(("right", "left"), COLOURS, strict=True)):
            look = {"color": colour, "linestyle": style, "linewidth": width}
            for panel, (_, component) in zip(panels, COMPONENTS, strict=False):
                panel.plot(forces.time_s, in_heading[:, foot, component], **look, label=f"{side}, {label}")
            panels[3].plot(forces.time_s, place[:, foot, 0], **look)
            panels[4].plot(forces.time_s, place[:, foot, 2], **look)
    for panel, (direction, _) in zip(panels, COMPONENTS, strict=False):
        panel.set_ylabel(f"force {direction},\nbody weights")
    panels[0].axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
    panels[3].set_ylabel("pressure centre\nforward, m")
    panels[4].set_ylabel("pressure centre\nto the right, m")
    panels[4].set_xlabel("time, s")
    panels[0].set_title(title)
    panels[0].legend(ncols=2, fontsize=8, loc="upper right")
    panels[0].set_ylim(top=1.25 * panels[0].get_ylim()[1])
    for panel in panels:
        panel.grid(color="0.92")
    panels[0].set_xlim(estimated.time_s[0], estimated.time_s[-1])
    figure.tight_layout()
    FIGURES.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    plt.close(figure)
    image = Image.open(drawn).convert("RGB").quantize(NUM_COLOURS)  # a third of the bytes
    image.save(FIGURES / f"{name if measured is None else 'sample_' + name}.png", optimize=True)


def _at(values: np.ndarray, time_s: np.ndarray, new_time_s: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1)
    columns = [np.interp(new_time_s, time_s, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(new_time_s), *values.shape[1:])


if __name__ == "__main__":
    main()
