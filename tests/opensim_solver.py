"""What OpenSim's InverseDynamicsSolver makes of coordinates, their derivatives and forces on the feet."""

from pathlib import Path
from types import ModuleType

import numpy as np

from gaitdynamics.types.skeleton import Skeleton


def solved_by_opensim(
    opensim: ModuleType,
    model_path: Path,
    skeleton: Skeleton,
    *,
    derivatives: tuple[np.ndarray, np.ndarray, np.ndarray],
    force_n: np.ndarray,
    point_m: np.ndarray,
    free_moment_nm: np.ndarray,
) -> np.ndarray:
    """Generalised forces (T, C) in the skeleton's order, of values, rates and accelerations (T, C).

    Args:
        force_n, point_m: of the right and the left hindfoot, in ground, (T, 2, 3).
        free_moment_nm: (T, 2).
    """
    num = len(force_n)
    model = opensim.Model(str(model_path))
    for parts in (model.updForceSet(), model.updControllerSet(), model.updProbeSet(), model.updConstraintSet()):
        parts.clearAndDestroy()
    for foot in range(2):
        torque_nm = np.stack([np.zeros(num), free_moment_nm[:, foot], np.zeros(num)], axis=1)
        force = opensim.PrescribedForce()
        force.setName(f"foot_{foot}")
        force.connectSocket_frame(model.getBodySet().get(skeleton.feet[foot].hindfoot))
        force.setForceFunctions(*_functions(opensim, force_n[:, foot]))
        force.setPointFunctions(*_functions(opensim, point_m[:, foot]))
        force.setTorqueFunctions(*_functions(opensim, torque_nm))
        force.setForceIsInGlobalFrame(True)
        force.setPointIsInGlobalFrame(True)
        model.addForce(force)
    state = model.initSystem()
    coordinates = [model.getCoordinateSet().get(name) for name in skeleton.coordinate_names]
    places = []
    for coordinate in coordinates:
        coordinate.setLocked(state, False)
        state.updU().setToZero()
        coordinate.setSpeedValue(state, 1.0)
        places.append(int(np.argmax(state.getU().to_numpy())))
    solver = opensim.InverseDynamicsSolver(model)
    values, rates, accelerations = derivatives
    found = np.zeros_like(values)
    for frame in range(num):
        state.setTime(float(frame))
        given = opensim.Vector(len(coordinates), 0.0)
        for column, (coordinate, place) in enumerate(zip(coordinates, places, strict=True)):
            coordinate.setValue(state, float(values[frame, column]), False)
            coordinate.setSpeedValue(state, float(rates[frame, column]))
            given[place] = float(accelerations[frame, column])
        found[frame] = solver.solve(state, given).to_numpy()[places]
    return found


def _functions(opensim: ModuleType, vectors: np.ndarray) -> list[object]:
    """Of time in frames."""
    functions = []
    for component in vectors.T:
        function = opensim.PiecewiseLinearFunction()
        for frame, value in enumerate(component):
            function.addPoint(float(frame), float(value))
        functions.append(function)
    return functions
