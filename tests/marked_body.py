"""The bundled body with markers on it, and recordings of them: what tests know the joint angles of."""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from conftest import ASSETS

from gaitdynamics.types.markers import Markers
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

# By name: the body, and the place on it in metres, of a body of 1.75 m.
PLACES: dict[str, tuple[str, tuple[float, float, float]]] = {
    "RASI": ("pelvis", (0.0, 0.0, 0.12)),
    "LASI": ("pelvis", (0.0, 0.0, -0.12)),
    "RPSI": ("pelvis", (-0.15, 0.02, 0.05)),
    "LPSI": ("pelvis", (-0.15, 0.02, -0.05)),
    "C7": ("torso", (-0.08, 0.45, 0.0)),
    "RSHO": ("torso", (0.0, 0.42, 0.18)),
    "LSHO": ("torso", (0.0, 0.42, -0.18)),
    "CLAV": ("torso", (0.08, 0.38, 0.0)),
}
for _side, _sign in (("R", 1.0), ("L", -1.0)):
    _end = _side.lower()
    PLACES |= {
        f"{_side}THI": (f"femur_{_end}", (0.05, -0.2, 0.08 * _sign)),
        f"{_side}KNE": (f"femur_{_end}", (0.0, -0.42, 0.05 * _sign)),
        f"{_side}MKN": (f"femur_{_end}", (0.0, -0.42, -0.05 * _sign)),
        f"{_side}TIB": (f"tibia_{_end}", (0.05, -0.2, 0.04 * _sign)),
        f"{_side}ANK": (f"tibia_{_end}", (0.0, -0.43, 0.04 * _sign)),
        f"{_side}MAN": (f"tibia_{_end}", (0.0, -0.43, -0.04 * _sign)),
        f"{_side}HEE": (f"calcn_{_end}", (-0.01, 0.03, 0.0)),
        f"{_side}MT1": (f"calcn_{_end}", (0.17, 0.03, -0.04 * _sign)),
        f"{_side}MT5": (f"calcn_{_end}", (0.14, 0.02, 0.05 * _sign)),
        f"{_side}TOE": (f"toes_{_end}", (0.05, 0.02, 0.0)),
    }


def write_marked_body(
    opensim: ModuleType, path: Path, *, source: Path = ASSETS / "generic_body.osim", leave_out: tuple[str, ...] = ()
) -> Path:
    """A model with markers."""
    model = opensim.Model(str(source))
    for name, (body, place_m) in PLACES.items():
        if name not in leave_out:
            frame = model.getBodySet().get(body)
            model.addMarker(opensim.Marker(name, frame, opensim.Vec3(*place_m)))
    model.finalizeConnections()
    model.printToXML(str(path))
    return path


def markers_of(skeleton: Skeleton, motion: Motion, *, names: tuple[str, ...] = tuple(PLACES)) -> Markers:
    """Where the markers are during a motion."""
    pose = skeleton.pose(torch.as_tensor(motion.values))
    places = []
    for name in names:
        body, place_m = PLACES[name]
        index = skeleton.body_index[body]
        local = torch.tensor(place_m, dtype=pose.origin_m.dtype)
        places.append((pose.origin_m[:, index] + pose.rotation[:, index] @ local).numpy())
    return Markers(motion.time_s, names, np.stack(places, axis=1))
