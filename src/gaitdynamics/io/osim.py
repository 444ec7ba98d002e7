"""Models: .osim files of any version, read by OpenSim and turned into a `Skeleton`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError, InvalidModelError
from gaitdynamics.io.table import read_text
from gaitdynamics.types.skeleton import (
    Axis,
    Body,
    Coordinate,
    CubicSpline,
    Joint,
    JointFunction,
    Polynomial,
    Skeleton,
)

X, Y, Z = np.eye(3)
HALF_KINK = 1e-6  # in which a piecewise linear function changes its slope, radians or metres
FULL_TURN_RAD = 2 * np.pi + 1e-6  # of a range; OpenSim's default, -10 to 10, is more and says nothing
SAMPLED_SPLINE_KNOTS = 400  # for functions whose pieces OpenSim does not tell; 1e-7 of their range


def quiet_opensim() -> Any:
    """The `opensim` module, told neither to print nor to write opensim.log into the working directory."""
    import opensim

    opensim.Logger.setLevelString("Off")
    opensim.Logger.removeFileSink()
    return opensim


def read_model(path: Path) -> Skeleton:
    """Read a model.

    Args:
        path: an .osim file of any version that OpenSim reads.

    Returns:
        The model's bodies, joints and coordinates; muscles, markers and geometry are left out.

    Raises:
        InputFileError: not a file that OpenSim reads as a model.
        InvalidModelError: a joint or coupling that has no counterpart here, or no feet.
    """
    path = Path(path)
    if not path.is_file():
        found = ", but a folder of that name" if path.is_dir() else ""
        raise InputFileError(f"{path}: no such model file{found}. Expected an OpenSim model (.osim).")
    opensim = quiet_opensim()
    try:
        model = opensim.Model(str(path))
        # Muscles, contact and probes do not move the bodies, and are most of the time that a model takes to build.
        model.updForceSet().clearAndDestroy()
        model.updProbeSet().clearAndDestroy()
        model.updControllerSet().clearAndDestroy()
        model.initSystem()
    except Exception as error:
        raise InputFileError(f"{path}: {_why_no_model(path, str(error))}") from None
    if model.getBodySet().getSize() == 0:
        raise InputFileError(f"{path}: holds no bodies. Expected an OpenSim model (.osim), not another OpenSim file.")
    try:
        return _Reader(opensim, model).skeleton()
    except InvalidModelError as error:
        raise InvalidModelError(f"{path}: {error}") from None


@dataclasses.dataclass(frozen=True)
class _Reader:
    opensim: Any
    model: Any

    def skeleton(self) -> Skeleton:
        gravity = self.model.getGravity().to_numpy()
        if gravity[1] > -1 or abs(gravity[0]) + abs(gravity[2]) > 1e-6:
            raise InvalidModelError(f"gravity is {gravity}; expected it along -y, OpenSim's vertical.")
        bodies = {body.name: body for body in (self._body(b) for b in _members(self.model.getBodySet()))}
        joints = self._in_order([self._joint(joint) for joint in _members(self.model.getJointSet())])
        missing = sorted(set(bodies) - {joint.child for joint in joints})
        if missing:
            raise InvalidModelError(f"no joint connects {', '.join(missing)} to the rest of the model.")
        skeleton = Skeleton(
            name=self.model.getName(),
            bodies=tuple(bodies[joint.child] for joint in joints),
            joints=joints,
            coordinates=tuple(self._coordinates()),
        )
        essential = essential_coordinates(skeleton)
        coordinates = tuple(
            dataclasses.replace(coordinate, is_essential=coordinate.name in essential)
            for coordinate in skeleton.coordinates
        )
        return dataclasses.replace(skeleton, coordinates=coordinates)

    def _body(self, body: Any) -> Body:
        inertia = body.getInertia()
        moments, products = inertia.getMoments().to_numpy(), inertia.getProducts().to_numpy()
        xy, xz, yz = products
        tensor = np.array([[moments[0], xy, xz], [xy, moments[1], yz], [xz, yz, moments[2]]])
        return Body(body.getName(), body.getMass(), body.getMassCenter().to_numpy().copy(), tensor)

    def _joint(self, joint: Any) -> Joint:
        parent_frame, child_frame = joint.getParentFrame(), joint.getChildFrame()
        parent_rotation, parent_translation = _transform(parent_frame.findTransformInBaseFrame())
        child_rotation, child_translation = _transform(child_frame.findTransformInBaseFrame())
        rotations, translations = self._axes(joint)
        return Joint(
            name=joint.getName(),
            parent=parent_frame.findBaseFrame().getName(),
            child=child_frame.findBaseFrame().getName(),
            rotations=rotations,
            translations=translations,
            parent_rotation=parent_rotation,
            parent_translation_m=parent_translation,
            child_rotation=child_rotation,
            child_translation_m=child_translation,
        )

    def _axes(self, joint: Any) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
        """Rotations and translations of a joint, those that are always zero left out."""
        names = [joint.get_coordinates(i).getName() for i in range(joint.numCoordinates())]
        free = Polynomial((1.0, 0.0))

        def along(*directions: np.ndarray) -> tuple[Axis, ...]:
            return tuple(Axis(d, free, names.pop(0)) for d in directions)

        kind = joint.getConcreteClassName()
        if kind == "CustomJoint":
            transform = self.opensim.CustomJoint.safeDownCast(joint).getSpatialTransform()
            axes = [self._custom_axis(transform.getTransformAxis(i), joint.getName()) for i in range(6)]
            rotations, translations = axes[:3], axes[3:]
            return tuple(a for a in rotations if a is not None), tuple(a for a in translations if a is not None)
        if kind == "WeldJoint":
            return (), ()
        if kind == "PinJoint":
            return along(Z), ()
        if kind == "SliderJoint":
            return (), along(X)
        if kind == "UniversalJoint":
            return along(X, Y), ()
        if kind in ("BallJoint", "GimbalJoint"):
            return along(X, Y, Z), ()
        if kind == "PlanarJoint":
            return along(Z), along(X, Y)
        if kind == "FreeJoint":
            return along(X, Y, Z), along(X, Y, Z)
        raise InvalidModelError(
            f"joint '{joint.getName()}' is a {kind}, which is not supported. Replace it by a CustomJoint in the model."
        )

    def _custom_axis(self, axis: Any, joint: str) -> Axis | None:
        names = axis.getCoordinateNamesInArray()
        if names.size() > 1:
            raise InvalidModelError(
                f"joint '{joint}' has an axis that depends on {names.size()} coordinates; expected one at most."
            )
        function = self._function(axis.getFunction(), f"joint '{joint}'")
        coordinate = names.get(0) if names.size() == 1 else None
        if coordinate is None or (isinstance(function, Polynomial) and len(function.coefficients) == 1):
            coordinate = None
            if function == Polynomial((0.0,)):
                return None
        return Axis(axis.getAxis().to_numpy().copy(), function, coordinate)

    def _function(self, function: Any, where: str) -> JointFunction:
        opensim = self.opensim
        kind = function.getConcreteClassName()
        if kind == "MultiplierFunction":
            multiplier = opensim.MultiplierFunction.safeDownCast(function)
            return _times(self._function(multiplier.getFunction(), where), multiplier.getScale())
        if kind == "Constant":
            return Polynomial((opensim.Constant.safeDownCast(function).getValue(),))
        if kind == "LinearFunction":
            linear = opensim.LinearFunction.safeDownCast(function)
            return Polynomial((linear.getSlope(), linear.getIntercept()))
        if kind == "PolynomialFunction":
            coefficients = opensim.PolynomialFunction.safeDownCast(function).getCoefficients().to_numpy()
            return Polynomial(tuple(float(c) for c in coefficients))
        if kind in ("SimmSpline", "PiecewiseLinearFunction", "GCVSpline"):
            typed = getattr(opensim, kind).safeDownCast(function)
            count = typed.getNumberOfPoints() if hasattr(typed, "getNumberOfPoints") else typed.getSize()
            knots = np.array([typed.getX(i) for i in range(count)])
            if kind == "PiecewiseLinearFunction":
                knots = np.sort(np.concatenate([knots - HALF_KINK, knots + HALF_KINK]))
            elif kind != "SimmSpline":
                knots = np.linspace(knots[0], knots[-1], SAMPLED_SPLINE_KNOTS)
            values, slopes = np.array([self._value_and_slope(function, knot) for knot in knots]).T
            return CubicSpline(tuple(knots.tolist()), tuple(values.tolist()), tuple(slopes.tolist()))
        raise InvalidModelError(
            f"{where} uses a {kind}, which is not supported. "
            "Expected a constant, linear, polynomial or spline function of one coordinate."
        )

    def _value_and_slope(self, function: Any, x: float) -> tuple[float, float]:
        at = self.opensim.Vector(1, x)
        first = self.opensim.StdVectorInt()
        first.push_back(0)
        return function.calcValue(at), function.calcDerivative(first, at)

    def _coordinates(self) -> Iterator[Coordinate]:
        couplings = self._couplings()
        for coordinate in _members(self.model.getCoordinateSet()):
            name = coordinate.getName()
            driver, coupling = couplings.get(name, (None, None))
            yield Coordinate(
                name=name,
                is_rotational=coordinate.getMotionType() == 1,
                default_value=coordinate.getDefaultValue(),
                is_locked=coordinate.getDefaultLocked() or coordinate.get_prescribed(),
                coupled_to=driver,
                coupling=coupling,
                range=_range(coordinate),
            )

    def _couplings(self) -> dict[str, tuple[str, JointFunction]]:
        couplings = {}
        for constraint in _members(self.model.getConstraintSet()):
            coupler = self.opensim.CoordinateCouplerConstraint.safeDownCast(constraint)
            if coupler is None:
                continue  # points and welds between bodies close loops; the tree is what moves the segments
            names = coupler.getIndependentCoordinateNames()
            dependent = coupler.getDependentCoordinateName()
            if names.size() != 1:
                raise InvalidModelError(
                    f"coordinate '{dependent}' depends on {names.size()} coordinates; expected one."
                )
            function = self._function(coupler.getFunction(), f"the coupling of '{dependent}'")
            scale = self.opensim.PropertyHelper.getValueDouble(coupler.getPropertyByName("scale_factor"))
            couplings[dependent] = (names.get(0), _times(function, scale))
        return couplings

    def _in_order(self, joints: list[Joint]) -> tuple[Joint, ...]:
        """Parents before children."""
        placed, ordered, waiting = {"ground"}, [], list(joints)
        while waiting:
            ready = [joint for joint in waiting if joint.parent in placed]
            if not ready or len({joint.child for joint in joints}) != len(joints):
                raise InvalidModelError(
                    f"the joints do not form a tree from the ground ({waiting[0].name}). "
                    "Expected one joint to each body."
                )
            ordered += ready
            placed |= {joint.child for joint in ready}
            waiting = [joint for joint in waiting if joint.child not in placed]
        return tuple(ordered)


def _why_no_model(path: Path, complaint: str) -> str:
    text = read_text(path)
    if "endheader" in text.lower():
        return "a motion or another table, not a model. Expected an .osim file: are model and motion swapped?"
    if not text.lstrip().startswith("<"):
        return "no OpenSim model, which is XML and begins with '<?xml'. Expected an .osim file saved by OpenSim."
    if "<Model" not in text:
        return "an XML document that holds no OpenSim model. Expected an .osim file."
    told = " ".join(complaint.split()).rpartition("Error detected by Simbody method ")[2]
    told = told.partition(" (Required condition")[0]
    return (
        "OpenSim cannot read this as a model. Expected an .osim file saved by OpenSim, whole. "
        f"OpenSim says: {told[:200]}"
    )


def essential_coordinates(skeleton: Skeleton) -> set[str]:
    """Coordinates that move a foot relative to the ground, the subtalar joint's aside when it follows an ankle's."""
    essential: set[str] = set()
    for foot in skeleton.feet:
        path = [joint for joint in skeleton.path_to_root(foot.hindfoot) if joint.rotations or joint.translations]
        if path and "subtalar" in path[0].name.lower():
            path = path[1:]
        for joint in path:
            essential |= {axis.coordinate for axis in (*joint.rotations, *joint.translations) if axis.coordinate}
    drivers = {c.name: c.coupled_to for c in skeleton.coordinates if c.coupled_to is not None}
    return {drivers.get(name, name) for name in essential}


def _members(collection: Any) -> Iterator[Any]:
    return (collection.get(i) for i in range(collection.getSize()))


def _range(coordinate: Any) -> tuple[float, float] | None:
    """Of a coordinate, clamped to it or not; None where it is empty, or an angle's is more than a turn."""
    low, high = coordinate.getRangeMin(), coordinate.getRangeMax()
    is_rotational = coordinate.getMotionType() == 1
    if not np.isfinite([low, high]).all() or low >= high or (is_rotational and high - low > FULL_TURN_RAD):
        return None
    return low, high


def _transform(transform: Any) -> tuple[np.ndarray, np.ndarray]:
    rotation = transform.R()
    matrix = np.array([[rotation.get(i, j) for j in range(3)] for i in range(3)])
    return matrix, transform.p().to_numpy().copy()


def _times(function: JointFunction, scale: float) -> JointFunction:
    if isinstance(function, Polynomial):
        return Polynomial(tuple(scale * c for c in function.coefficients))
    return CubicSpline(
        function.knots, tuple(scale * v for v in function.values), tuple(scale * s for s in function.slopes)
    )
