"""A model whose mass is shared out otherwise among its bodies."""

from collections.abc import Mapping
from pathlib import Path

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.opensim_models import model_text, scale_inertia
from gaitdynamics.io.osim import quiet_opensim


def with_masses(path: Path, *, name: str, masses_kg: Mapping[str, float]) -> str:
    """Text of a model whose bodies have other masses; inertias follow them.

    Args:
        path: .osim.
        name: of the new model.
        masses_kg: of the bodies that change.

    Raises:
        InputFileError: OpenSim can't read the model, or it lacks one of the bodies.
    """
    opensim = quiet_opensim()
    try:
        model = opensim.Model(str(path))
        model.setName(name)
        bodies = model.updBodySet()
        for body_name, mass_kg in masses_kg.items():
            body = bodies.get(body_name)
            ratio = mass_kg / body.getMass()
            body.setMass(mass_kg)
            scale_inertia(body, ratio)
        model.finalizeConnections()
    except RuntimeError as error:
        raise InputFileError(f"{path}: OpenSim can't change its masses: {str(error)[:200]}") from None
    return model_text(model)
