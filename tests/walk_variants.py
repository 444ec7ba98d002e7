"""Motions made from the bundled walk whose forces follow from its own, and trials of them."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from gaitdynamics.io.osim import read_model
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

GENERATOR_FILE = Path(__file__).resolve().parents[1] / "scripts" / "make_assets.py"
MASS_KG, HEIGHT_M = 75.0, 1.75
BODY_WEIGHT_N = MASS_KG * STANDARD_GRAVITY_M_S2
STRIDE_FRAMES = 108
SPEED_M_S = 1.3
MIRROR = np.array([1.0, 1.0, -1.0])
MOVED_M = np.array([5.0, 0.0, -3.0])  # where a turned walk takes place
MIRRORED = ("list", "rotation", "tz", "bending")  # of the pelvis and trunk: change sign in a mirror


def trial_of(skeleton: Skeleton, motion: Motion, *, belt_speed: float | None = 0.0, mass_kg: float = MASS_KG) -> Trial:
    return Trial("test", Subject("anyone", mass_kg, HEIGHT_M), skeleton, motion, None, belt_speed, "made up")


def motion_of(time_s: np.ndarray, values: np.ndarray, coordinates: tuple[str, ...]) -> Motion:
    return Motion(time_s, values, coordinates, np.ones(values.shape, dtype=bool))


def changed(motion: Motion, **columns: np.ndarray) -> Motion:
    """The motion with some coordinates replaced."""
    values = motion.values.copy()
    for name, column in columns.items():
        values[:, motion.coordinates.index(name)] = column
    return replace(motion, values=values)


def column(motion: Motion, name: str) -> np.ndarray:
    return motion.values[:, motion.coordinates.index(name)]


def standing(skeleton: Skeleton, *, num_frames: int = 301) -> Motion:
    values = np.tile(skeleton.default_values, (num_frames, 1))
    return motion_of(np.arange(num_frames) / 100, values, skeleton.coordinate_names)


def mirrored(walk: Motion) -> Motion:
    """Right and left exchanged."""
    columns = {}
    for name in walk.coordinates:
        if name.endswith(("_r", "_l")):
            columns[name] = column(walk, name[:-1] + ("l" if name.endswith("_r") else "r"))
        elif name.endswith(MIRRORED):
            columns[name] = -column(walk, name)
    return changed(walk, **columns)


def turned(walk: Motion, degrees: float) -> tuple[Motion, np.ndarray]:
    """The walk elsewhere and in another direction, for a body of `rotation_last`; and the turn, (3, 3)."""
    turn = about_vertical(np.radians(degrees))
    place = np.stack([column(walk, f"pelvis_{axis}") for axis in ("tx", "ty", "tz")], axis=1) @ turn.T + MOVED_M
    moved = changed(
        walk,
        pelvis_rotation=column(walk, "pelvis_rotation") + np.radians(degrees),
        pelvis_tx=place[:, 0],
        pelvis_tz=place[:, 2],
    )
    return moved, turn


def about_vertical(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def rotation_last(skeleton: Skeleton) -> Skeleton:
    """The same kind of body, with the pelvis's turn about the vertical outermost, so that adding to it turns all."""
    pelvis = skeleton.joints[0]
    tilt, obliquity, rotation = pelvis.rotations
    assert rotation.coordinate == "pelvis_rotation"
    return replace(skeleton, joints=(replace(pelvis, rotations=(rotation, tilt, obliquity)), *skeleton.joints[1:]))


def on_treadmill(walk: Motion) -> tuple[Motion, np.ndarray]:
    """The walk on a belt, and how far the belt has run, (T,)."""
    travelled_m = SPEED_M_S * walk.time_s
    return changed(walk, pelvis_tx=column(walk, "pelvis_tx") - travelled_m), travelled_m


def of_other_knee_sign(walk: Motion, folder: Path) -> tuple[Skeleton, Motion]:
    """A body whose knees flex to negative angles, and the walk for it; the folder is for its model. Needs OpenSim."""
    spec = importlib.util.spec_from_file_location("make_assets", GENERATOR_FILE)
    generator = importlib.util.module_from_spec(spec)
    sys.modules["make_assets"] = generator
    spec.loader.exec_module(generator)
    path = folder / "negative.osim"
    generator.build_generic_body(knee_flexion_positive=False).printToXML(str(path))
    knees = {name: -column(walk, name) for name in ("knee_angle_r", "knee_angle_l")}
    return read_model(path), changed(walk, **knees)
