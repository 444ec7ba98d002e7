"""What is done to models that OpenSim holds, before they are written or used."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaitdynamics.io.osim import quiet_opensim


def without_forces(path: Path) -> Any:
    """An OpenSim model without muscles, controllers and probes; OpenSim's errors are the caller's to tell."""
    model = quiet_opensim().Model(str(path))
    model.updForceSet().clearAndDestroy()
    model.updControllerSet().clearAndDestroy()
    model.updProbeSet().clearAndDestroy()
    model.finalizeConnections()
    return model


def scale_set(factors: Mapping[str, float]) -> Any:
    """OpenSim's ScaleSet of a factor for each body, the same along all axes."""
    opensim = quiet_opensim()
    scales = opensim.ScaleSet()
    for body, factor in factors.items():
        scale = opensim.Scale()
        scale.setSegmentName(body)
        scale.setScaleFactors(opensim.Vec3(factor))
        scale.setApply(True)
        scales.cloneAndAppend(scale)
    return scales


def scale_inertia(body: Any, ratio: float) -> None:
    """Scale the inertia of an OpenSim body, as its mass is."""
    inertia = body.getInertia()
    moments, products = (part.to_numpy() * ratio for part in (inertia.getMoments(), inertia.getProducts()))
    body.setInertia(quiet_opensim().Inertia(*moments.tolist(), *products.tolist()))


def model_text(model: Any) -> str:
    """The text of an OpenSim model's .osim file."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.osim"
        model.printToXML(str(written))
        return written.read_text("utf-8")
