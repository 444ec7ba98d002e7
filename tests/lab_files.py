"""Recordings as a laboratory would write them, of markers and forces that are known."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.types.markers import Markers

# From the ground frame (y up) to a laboratory with another axis up: the transpose of what readers do.
TO_LABORATORY = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "x": np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
}
SAMPLES_PER_FRAME = 10
LENGTH_M, WIDTH_M = 0.6, 0.4  # of a plate, forward and sideways
SENSORS_M = np.array([0.12, 0.2, -0.05])  # of the plate with eight of them: from its middle, and below its surface
ORIGIN_M = np.array([0.002, -0.001, -0.04])


@dataclass(frozen=True)
class Load:
    """What a plate carries, in the ground frame: force, centre of pressure and vertical moment about it, (N, ...)."""

    force_n: np.ndarray
    point_m: np.ndarray
    moment_nm: np.ndarray


@dataclass(frozen=True)
class LabPlate:
    """A plate whose middle is on the floor, and how its file tells of it."""

    middle_m: np.ndarray
    load: Load
    kind: int = 2
    sign: float = -1.0  # as most files have it: what the foot does to the plate
    offset_n: float = 0.0
    moment_unit: str = "Nmm"
    calibration: np.ndarray = field(default_factory=lambda: np.eye(6))

    @property
    def axes(self) -> np.ndarray:
        """The plate's in the ground frame, as columns: y forward, x to the right, z down."""
        return np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])

    @property
    def corners_m(self) -> np.ndarray:
        x, y = self.axes[:, 0] * WIDTH_M / 2, self.axes[:, 1] * LENGTH_M / 2
        return np.array([self.middle_m + x + y, self.middle_m - x + y, self.middle_m - x - y, self.middle_m + x - y])

    def channels(self) -> np.ndarray:
        """What the file holds, (K, N)."""
        force = self.sign * (self.axes.T @ self.load.force_n.T)
        point = self.axes.T @ (self.load.point_m - self.middle_m).T
        free = np.zeros_like(force)
        free[2] = self.sign * (self.axes.T @ np.outer([0.0, 1.0, 0.0], self.load.moment_nm))[2]
        scale = 1000.0 if self.moment_unit == "Nmm" else 1.0
        about_middle = np.cross(point, force, axis=0) + free
        if self.kind == 1:
            channels = np.stack([*force, *(point[:2] * scale), free[2] * scale])
        elif self.kind == 3:
            channels = self._eight(force, about_middle)
        else:
            about_sensors = about_middle + np.cross(ORIGIN_M[:, None], force, axis=0)
            channels = np.linalg.solve(self.calibration, np.concatenate([force, about_sensors * scale]))
        channels = channels.copy()
        channels[4 if self.kind == 3 else 2] += self.offset_n
        return channels

    def _eight(self, force: np.ndarray, about_middle: np.ndarray) -> np.ndarray:
        a, b, depth = SENSORS_M
        moment = about_middle + np.cross(np.array([[0.0], [0.0], [depth]]), force, axis=0)
        # Four vertical sensors: their sum, two moments, and no twist of the plate.
        pattern = np.array([[1, 1, 1, 1], [b, b, -b, -b], [-a, a, a, -a], [1, -1, 1, -1]])
        vertical = np.linalg.solve(pattern, np.stack([force[2], moment[0], moment[1], np.zeros_like(force[2])]))
        # Two pairs along each axis: what turns the plate is shared by their differences.
        x_difference = moment[2] / 2 / b  # x34 - x12
        y_difference = moment[2] / 2 / a  # y14 - y23
        return np.stack(
            [
                (force[0] - x_difference) / 2,
                (force[0] + x_difference) / 2,
                (force[1] + y_difference) / 2,
                (force[1] - y_difference) / 2,
                *vertical,
            ]
        )


def step(num: int, *, middle_m: np.ndarray, body_weight_n: float = 700.0) -> Load:
    """One stance in the second and third quarter of a recording, from heel to toe."""
    phase = np.clip((np.arange(num) / num - 0.25) / 0.5, 0.0, 1.0)
    carried = np.sin(np.pi * phase)
    force_n = body_weight_n * np.stack([-0.2 * np.cos(np.pi * phase) * carried, carried, 0.05 * carried], axis=1)
    point_m = middle_m + np.stack([-0.12 + 0.24 * phase, np.zeros(num), 0.02 * np.cos(np.pi * phase)], axis=1)
    return Load(force_n, point_m, 4.0 * carried * np.sin(2 * np.pi * phase))


def write_c3d(
    path: Path,
    markers: Markers | None,
    *,
    plates: tuple[LabPlate, ...] = (),
    up: str = "z",
    extra_labels: tuple[str, ...] = (),
    computed: tuple[str, ...] = (),
    screen_up: str | None = None,
    prefix: str = "",
    num_frames: int = 100,
) -> Path:
    """A .c3d in millimetres; `extra_labels` are points at fixed places, `computed` are listed as angles."""
    turn = TO_LABORATORY[up]
    names = [] if markers is None else [prefix + name for name in markers.names]
    num_frames = num_frames if markers is None else len(markers.time_s)
    labels = [*names, *extra_labels]
    points = np.full((4, len(labels), num_frames), 1.0)
    if markers is not None:
        points[:3, : len(names)] = np.moveaxis(1000 * markers.position_m @ turn.T, 2, 0).swapaxes(1, 2)
    for k in range(len(names), len(labels)):
        points[:3, k] = 10.0 * (k + 1)
    content: dict[str, Any] = {"points": points, "labels": labels, "computed": list(computed), "screen_up": screen_up}
    if plates:
        content |= _content_of(plates, turn)
    run_apart("write_c3d.py", path, content)
    return path


def run_apart(program: str, path: Path, content: dict[str, Any]) -> None:
    """Run a program of the tests' in an interpreter of its own, as ezc3d and opensim do not get on in one."""
    given = path.with_name(f"{path.name}.content.npz")
    np.savez(given, **{key: np.array(value) for key, value in content.items() if value is not None})
    subprocess.run([sys.executable, str(Path(__file__).with_name(program)), str(path), str(given)], check=True)
    given.unlink()


def _content_of(plates: tuple[LabPlate, ...], turn: np.ndarray) -> dict[str, Any]:
    channels = [plate.channels() for plate in plates]
    counts = [len(each) for each in channels]
    numbers = np.zeros((max(counts), len(plates)))
    for k, count in enumerate(counts):
        numbers[:count, k] = sum(counts[:k]) + 1 + np.arange(count)
    return {
        "analogs": np.concatenate(channels),
        "analog_rate_hz": 100.0 * SAMPLES_PER_FRAME,
        "units": [
            u for p, n in zip(plates, counts, strict=True) for u in ["N"] * (n if p.kind == 3 else 3) + _moments(p, n)
        ],
        "USED": [len(plates)],
        "TYPE": [plate.kind for plate in plates],
        "ZERO": [1, 0],
        "CORNERS": np.stack([1000 * turn @ plate.corners_m.T for plate in plates], axis=2),
        "ORIGIN": np.stack([1000 * (SENSORS_M if plate.kind == 3 else ORIGIN_M) for plate in plates], axis=1),
        "CHANNEL": numbers,
        "CAL_MATRIX": np.stack([plate.calibration for plate in plates], axis=2),
    }


def _moments(plate: LabPlate, num_channels: int) -> list[str]:
    if plate.kind == 3:
        return []
    return ["mm", "mm", "Nmm"] if plate.kind == 1 else [plate.moment_unit] * (num_channels - 3)
