"""A model of another size: OpenSim's own scaling, the same along all axes."""

from pathlib import Path

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.opensim_models import model_text, scale_set
from gaitdynamics.io.osim import quiet_opensim


def scaled_model(path: Path, *, name: str, length_scale: float, mass_kg: float) -> str:
    """Text of a model whose lengths are scaled and whose masses add up to a body's.

    Masses keep their shares; inertias follow mass and length squared; translations of joints to the ground, and their
    default values, follow length, so that a model that stands on the floor still does.

    Args:
        path: .osim.
        name: of the new model.
        length_scale: of every segment, along all axes.
        mass_kg: of the whole body.

    Raises:
        InputFileError: OpenSim can't read the model.
    """
    opensim = quiet_opensim()
    try:
        model = opensim.Model(str(path))
        state = model.initSystem()
    except Exception as error:
        raise InputFileError(f"{path}: OpenSim can't read this as a model: {str(error)[:200]}") from None
    bodies = model.getBodySet()
    factors = scale_set({bodies.get(index).getName(): length_scale for index in range(bodies.getSize())})
    is_mass_kept_in_shares = True
    model.scale(state, factors, is_mass_kept_in_shares, mass_kg)
    coordinates = model.updCoordinateSet()
    for index in range(coordinates.getSize()):
        coordinate = coordinates.get(index)
        if coordinate.getMotionType() == opensim.Coordinate.Translational:
            coordinate.setDefaultValue(length_scale * coordinate.getDefaultValue())
    model.setName(name)
    model.finalizeConnections()
    return model_text(model)
