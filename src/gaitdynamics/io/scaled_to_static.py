"""A generic model made to a person's size, with its markers where the person's are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError, InvalidMotionError
from gaitdynamics.io.inverse_kinematics import bare_model
from gaitdynamics.io.opensim_models import model_text, scale_set
from gaitdynamics.io.osim import quiet_opensim
from gaitdynamics.io.table import shortened
from gaitdynamics.types.markers import Markers
from gaitdynamics.units import MILLIMETRES_PER_METRE

STILL_M = 0.02  # a marker of a standing person stays within this of its mean, in the root mean square: sway is half


@dataclass(frozen=True)
class MarkerPlaces:
    """Markers on a model.

    Args:
        names: M of them.
        bodies: that each is on.
        place_in_body_m: (M, 3).
    """

    names: tuple[str, ...]
    bodies: tuple[str, ...]
    place_in_body_m: np.ndarray


def read_marker_places(path: Path) -> MarkerPlaces:
    """Where the markers of a model are.

    Raises:
        InputFileError: it is no model.
    """
    model = bare_model(path)
    markers = [model.getMarkerSet().get(k) for k in range(model.getMarkerSet().getSize())]
    return MarkerPlaces(
        tuple(marker.getName() for marker in markers),
        tuple(marker.getParentFrame().findBaseFrame().getName() for marker in markers),
        np.array([_in_base(marker) for marker in markers]).reshape(-1, 3),
    )


def standing_places(markers: Markers, *, source: str) -> Markers:
    """A recording of somebody who stands still as one frame: the mean place of each marker.

    Raises:
        InvalidMotionError: the person moves.
    """
    is_seen = markers.is_seen
    kept = is_seen.any(axis=0)
    position_m = markers.position_m[:, kept]
    mean_m = np.nanmean(position_m, axis=0)
    moved_m = np.sqrt(np.nanmean(((position_m - mean_m) ** 2).sum(axis=2), axis=0))
    names = tuple(markers.names[k] for k in np.flatnonzero(kept))
    moving = [name for name, moved in zip(names, moved_m.tolist(), strict=True) if moved > STILL_M]
    if moving:
        worst = int(np.argmax(moved_m))
        raise InvalidMotionError(
            f"{source}: the person moves: {shortened(moving)} do not stay in place ('{names[worst]}' is "
            f"{moved_m[worst] * MILLIMETRES_PER_METRE:.0f} mm from its mean place, in the root mean square; at most "
            f"{STILL_M * MILLIMETRES_PER_METRE:.0f} mm is standing still). Expected a static trial: cut it to where "
            "the person stands, or give another."
        )
    return Markers(markers.time_s[:1], names, mean_m[None])


def scaled_text(
    path: Path,
    *,
    name: str,
    factors: Mapping[str, float],
    mass_kg: float,
    markers: Sequence[str],
    place_in_body_m: np.ndarray,
) -> str:
    """Text of a model whose bodies are longer or shorter, with the person's mass and markers.

    Muscles and what else it has are scaled, too; masses keep their shares.

    Args:
        path: .osim.
        name: of the new model.
        factors: of length along all axes, by body.
        mass_kg: of the whole body.
        markers: names of those that are put elsewhere.
        place_in_body_m: where to, in the scaled bodies, (M, 3).

    Raises:
        InputFileError: OpenSim can't scale the model.
    """
    opensim = quiet_opensim()
    try:
        model = opensim.Model(str(path))
        state = model.initSystem()
        is_mass_kept_in_shares = True
        model.scale(state, scale_set(factors), is_mass_kept_in_shares, mass_kg)
        for marker_name, place_m in zip(markers, place_in_body_m, strict=True):
            marker = model.updMarkerSet().get(marker_name)
            rotation, origin_m = _frame_of(marker)
            marker.set_location(opensim.Vec3(*(rotation.T @ (place_m - origin_m)).tolist()))
        model.setName(name)
        model.finalizeConnections()
        return model_text(model)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
        raise InputFileError(f"{path}: OpenSim can't scale this model. OpenSim says: {told}") from None


def _in_base(marker: Any) -> np.ndarray:
    """A marker's place in the body that carries it."""
    rotation, origin_m = _frame_of(marker)
    return np.asarray(rotation @ marker.get_location().to_numpy() + origin_m)


def _frame_of(marker: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and origin of the frame that a marker's place is told in, in the body that carries it."""
    transform = marker.getParentFrame().findTransformInBaseFrame()
    rotation = np.array([[transform.R().get(i, j) for j in range(3)] for i in range(3)])
    return rotation, transform.p().to_numpy().copy()
