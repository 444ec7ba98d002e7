"""OpenSim's inverse dynamics: the force or moment of every coordinate, by the tool that the field trusts."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.external_loads import format_external_loads
from gaitdynamics.io.forces import identifiers
from gaitdynamics.io.opensim_models import scale_inertia, without_forces
from gaitdynamics.io.osim import quiet_opensim
from gaitdynamics.io.table import Table, format_table, read_table
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import SIDES

NO_LOWPASS_HZ = -1.0  # the tool's word for it
RESULT = "moments.sto"


@dataclass(frozen=True)
class FeetLoads:
    """What the ground does to the hindfeet at a motion's times, ground frame; feet ordered right, left.

    Args:
        force_n: (T, 2, 3).
        moment_nm: about the ground's origin, (T, 2, 3).
    """

    force_n: np.ndarray
    moment_nm: np.ndarray


def opensim_inverse_dynamics(
    model_path: Path,
    motion: Motion,
    loads: FeetLoads | Path | None,
    *,
    skeleton: Skeleton,
    lowpass_hz: float | None = None,
) -> Table:
    """Run OpenSim's InverseDynamicsTool on a motion.

    Args:
        model_path: .osim; its muscles and other forces, which would pull, are left out.
        motion: of its coordinates; with several per model, each is taken for itself, coupled or not.
        loads: on the feet; or an ExternalLoads file (.xml), taken as it is; or None for nothing but gravity.
        skeleton: the same model with the person's mass, which the model's bodies are given.
        lowpass_hz: of the tool's own filter on the coordinates; None for none.

    Returns:
        Columns `<coordinate>_moment` in N m and `<coordinate>_force` in N at the motion's times, in the tool's order.

    Raises:
        InputFileError: OpenSim can't run the model, or can't read the loads.
    """
    opensim = quiet_opensim()
    with tempfile.TemporaryDirectory() as made, _silent():
        folder = Path(made)
        try:
            _bare_model(model_path, skeleton.mass_kg).printToXML(str(folder / "model.osim"))
            (folder / "motion.sto").write_text(_exactly(motion), encoding="utf-8")
            tool = opensim.InverseDynamicsTool()
            tool.setModelFileName(str(folder / "model.osim"))
            tool.setCoordinatesFileName(str(folder / "motion.sto"))
            if loads is not None:
                path = loads if isinstance(loads, Path) else _written(loads, motion, skeleton, folder)
                tool.setExternalLoadsFileName(str(path.resolve()))
            tool.setLowpassCutoffFrequency(NO_LOWPASS_HZ if lowpass_hz is None else lowpass_hz)
            tool.setStartTime(float(motion.time_s[0]))
            tool.setEndTime(float(motion.time_s[-1]))
            tool.setResultsDir(str(folder))
            tool.setOutputGenForceFileName(RESULT)
            is_done = tool.run()
        except RuntimeError as error:
            raise InputFileError(f"{model_path}: {_no_dynamics(str(error))}") from None
        if not is_done or not (folder / RESULT).is_file():
            raise InputFileError(f"{model_path}: {_no_dynamics('nothing')}")
        return replace(read_table(folder / RESULT), source=Path(RESULT))


def _no_dynamics(told: str) -> str:
    return (
        "OpenSim can't run inverse dynamics with this model and these loads. Expected a model in which every body that "
        f"moves has mass, and loads on bodies that it has. OpenSim says: {' '.join(told.split())[:300]}"
    )


def _bare_model(path: Path, mass_kg: float) -> Any:
    model = without_forces(path)
    bodies = model.updBodySet()
    members = [bodies.get(index) for index in range(bodies.getSize())]
    scale = mass_kg / sum(body.getMass() for body in members)
    for body in members:
        body.setMass(body.getMass() * scale)
        scale_inertia(body, scale)
    model.finalizeConnections()
    return model


def _exactly(motion: Motion) -> str:
    """Plain names: where columns are state paths the tool takes default poses, silently. Radians, every digit."""
    return format_table(
        "motion", motion.coordinates, motion.values, time_s=motion.time_s, in_degrees=False, decimals=None
    )


def _written(loads: FeetLoads, motion: Motion, skeleton: Skeleton, folder: Path) -> Path:
    """Forces and moments at the ground's origin, as external loads."""
    labels, columns = [], []
    for foot, side in enumerate(SIDES):
        parts = (loads.force_n[:, foot], np.zeros_like(loads.force_n[:, foot]), loads.moment_nm[:, foot])
        for identifier, part in zip(identifiers(side), parts, strict=True):
            labels += [identifier + axis for axis in "xyz"]
            columns.append(part)
    text = format_table(
        "loads", labels, np.concatenate(columns, axis=1), time_s=motion.time_s, in_degrees=None, decimals=None
    )
    (folder / "loads.sto").write_text(text, encoding="utf-8")
    right, left = (foot.hindfoot for foot in skeleton.feet)
    path = folder / "loads.xml"
    path.write_text(format_external_loads("loads.sto", bodies=(right, left)), encoding="utf-8")
    return path


@contextmanager
def _silent() -> Iterator[None]:
    """OpenSim prints from C++, past sys.stdout."""
    try:
        kept = os.dup(1)
    except OSError:  # nothing is open to print to
        yield
        return
    sys.stdout.flush()
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
