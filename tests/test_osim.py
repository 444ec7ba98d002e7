"""Reading models: every joint and function type against OpenSim, and what is refused."""

import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gaitdynamics.errors import InputFileError, InvalidModelError
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.skeleton import Polynomial, Skeleton

GENERIC_BODY = Path(str(files("gaitdynamics") / "assets" / "generic_body.osim"))

# Of the joint under test: its frames in the parent and in the child are shifted and turned.
PARENT_FRAME = ((0.1, -0.2, 0.05), (0.3, -0.5, 0.2))
CHILD_FRAME = ((-0.07, 0.3, 0.02), (-0.4, 0.1, 0.6))


def vector(osim: ModuleType, numbers: tuple[float, ...]) -> Any:
    return osim.Vec3(*numbers)


def add_body(osim: ModuleType, model: Any, name: str) -> Any:
    body = osim.Body(name, 2.0, osim.Vec3(0.02, -0.1, 0.03), osim.Inertia(0.02, 0.01, 0.03, 0.001, 0.002, -0.003))
    model.addBody(body)
    return body


def between(osim: ModuleType, parent: Any, child: Any) -> tuple[Any, ...]:
    (parent_at, parent_turn), (child_at, child_turn) = PARENT_FRAME, CHILD_FRAME
    return (
        parent,
        vector(osim, parent_at),
        vector(osim, parent_turn),
        child,
        vector(osim, child_at),
        vector(osim, child_turn),
    )


def spatial_transform(osim: ModuleType, functions: dict[int, tuple[Any, bool]]) -> Any:
    """Six axes, skewed; function and whether a coordinate drives it, by the number of the axis."""
    transform = osim.SpatialTransform()
    directions = [(0.9, 0.1, 0.2), (-0.2, 0.8, 0.3), (0.1, 0.2, -0.7), (2, 0.1, 0), (0, 1, 0.2), (0.3, 0, 1)]
    for number, direction in enumerate(directions):
        axis = transform.updTransformAxis(number)
        axis.setAxis(osim.Vec3(*direction))
        function, is_driven = functions.get(number, (osim.Constant(0.0), False))
        if is_driven:
            names = osim.ArrayStr()
            names.append("bend")
            axis.setCoordinateNames(names)
        axis.set_function(function)  # a copy; setFunction would keep the temporary
    return transform


def custom_joint(osim: ModuleType, functions: dict[int, tuple[Any, bool]]) -> Callable[[Any, Any], Any]:
    transform = spatial_transform(osim, functions)
    return lambda parent, child: osim.CustomJoint("tested", *between(osim, parent, child), transform)


def model_with(osim: ModuleType, make_joint: Callable[[Any, Any], Any], path: Path) -> Path:
    """ground, pin, base, the joint under test, segment, and two feet on the segment."""
    model = osim.Model()
    model.setName("tiny")
    base, segment = add_body(osim, model, "base"), add_body(osim, model, "segment")
    model.addJoint(osim.PinJoint("first", *between(osim, model.getGround(), base)))
    model.addJoint(make_joint(base, segment))
    for side in ("r", "l"):
        foot = add_body(osim, model, f"calcn_{side}")
        model.addJoint(osim.PinJoint(f"ankle_{side}", *between(osim, segment, foot)))
    model.finalizeConnections()
    model.printToXML(str(path))
    return path


def assert_same_poses(osim: ModuleType, path: Path, *, reach: float = 1.2, tolerance: float = 1e-9) -> Skeleton:
    """Body origins and orientations at random poses are OpenSim's."""
    skeleton = read_model(path)
    model = osim.Model(str(path))
    state = model.initSystem()
    random = np.random.default_rng(0)
    values = random.uniform(-reach, reach, (8, len(skeleton.coordinates)))
    pose = skeleton.pose(torch.from_numpy(values))
    for row, rotation, origin in zip(values, pose.rotation.numpy(), pose.origin_m.numpy(), strict=True):
        for name, value in zip(skeleton.coordinate_names, row, strict=True):
            model.getCoordinateSet().get(name).setValue(state, float(value), False)
        model.realizePosition(state)
        for i, body in enumerate(skeleton.bodies):
            transform = model.getBodySet().get(body.name).getTransformInGround(state)
            matrix = [[transform.R().get(a, b) for b in range(3)] for a in range(3)]
            np.testing.assert_allclose(origin[i], transform.p().to_numpy(), atol=tolerance, err_msg=body.name)
            np.testing.assert_allclose(rotation[i], matrix, atol=tolerance, err_msg=body.name)
    return skeleton


@pytest.mark.parametrize(
    ("kind", "num_coordinates"),
    [
        ("PinJoint", 1),
        ("SliderJoint", 1),
        ("UniversalJoint", 2),
        ("BallJoint", 3),
        ("GimbalJoint", 3),
        ("PlanarJoint", 3),
        ("FreeJoint", 6),
        ("WeldJoint", 0),
    ],
)
def test_a_joint_with_shifted_and_turned_frames_moves_as_in_opensim(
    opensim: ModuleType, tmp_path: Path, kind: str, num_coordinates: int
) -> None:
    make = getattr(opensim, kind)
    path = model_with(opensim, lambda p, c: make("tested", *between(opensim, p, c)), tmp_path / "model.osim")
    skeleton = assert_same_poses(opensim, path)
    assert len(skeleton.coordinates) == num_coordinates + 3


def simm_spline(osim: ModuleType) -> Any:
    spline = osim.SimmSpline()
    for x, y in ((-0.8, 0.1), (-0.3, -0.2), (0.1, 0.3), (0.6, 0.25), (0.9, -0.4)):
        spline.addPoint(x, y)
    return spline


def two_point_spline(osim: ModuleType) -> Any:
    spline = osim.SimmSpline()
    for x, y in ((-0.5, 0.1), (0.6, 0.4)):
        spline.addPoint(x, y)
    return spline


def polynomial(osim: ModuleType) -> Any:
    return osim.PolynomialFunction(osim.Vector.createFromMat(np.array([0.2, -0.3, 0.5, 0.1])))


def gcv_spline(osim: ModuleType) -> Any:
    spline = osim.GCVSpline()
    spline.setDegree(5)
    for x in np.linspace(-1.3, 1.3, 9):
        spline.addPoint(float(x), float(0.3 * np.sin(2 * x)))
    return spline


def times(osim: ModuleType, function: Any, scale: float) -> Any:
    function._markAdopted()  # the multiplier keeps it
    return osim.MultiplierFunction(function, scale)


def piecewise_linear(osim: ModuleType) -> Any:
    function = osim.PiecewiseLinearFunction()
    for x, y in ((-0.813, 0.1), (-0.3, -0.2), (0.137, 0.3), (0.6, 0.25), (0.911, -0.4)):
        function.addPoint(x, y)
    return function


FUNCTIONS: dict[str, tuple[Callable[[ModuleType], Any], float]] = {
    "constant": (lambda osim: osim.Constant(0.37), 1e-9),
    "linear": (lambda osim: osim.LinearFunction(-0.8, 0.2), 1e-9),
    "polynomial": (polynomial, 1e-9),
    "SIMM spline": (simm_spline, 1e-9),
    "SIMM spline of two points": (two_point_spline, 1e-9),
    "GCV spline": (gcv_spline, 1e-6),
    "piecewise linear": (piecewise_linear, 1e-6),
    "multiplier of a SIMM spline": (lambda osim: times(osim, simm_spline(osim), 1.7), 1e-9),
    "multiplier of a polynomial": (lambda osim: times(osim, polynomial(osim), -0.4), 1e-9),
    "multiplier of a constant": (lambda osim: times(osim, osim.Constant(0.2), 1.5), 1e-9),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("number", [1, 5], ids=["rotation", "translation"])
def test_a_custom_joints_function_moves_as_in_opensim_inside_and_outside_its_points(
    opensim: ModuleType, tmp_path: Path, kind: str, number: int
) -> None:
    make, tolerance = FUNCTIONS[kind]
    functions = {
        0: (opensim.LinearFunction(1.0, 0.0), True),
        3: (opensim.LinearFunction(0.3, -0.1), True),
        number: (make(opensim), True),
    }
    path = model_with(opensim, custom_joint(opensim, functions), tmp_path / "model.osim")
    skeleton = assert_same_poses(opensim, path, tolerance=tolerance)

    joint = skeleton.joints[skeleton.body_index["segment"]]
    axis = (*joint.rotations, *joint.translations)[{1: 1, 5: 2}[number]]
    angles = np.linspace(-1.25, 1.25, 1001)
    expected = [functions[number][0].calcValue(opensim.Vector(1, float(x))) for x in angles]
    np.testing.assert_allclose(axis.function(torch.from_numpy(angles)), expected, atol=tolerance)


def test_a_constant_without_a_coordinate_shifts_and_turns_as_in_opensim(opensim: ModuleType, tmp_path: Path) -> None:
    functions = {
        0: (opensim.LinearFunction(1.0, 0.0), True),
        1: (opensim.Constant(0.4), False),
        4: (opensim.Constant(-0.15), False),
    }
    path = model_with(opensim, custom_joint(opensim, functions), tmp_path / "model.osim")
    skeleton = assert_same_poses(opensim, path)
    assert len(skeleton.joints[1].rotations) == 2  # what is always zero is left out


def test_a_coupled_coordinate_satisfies_opensims_constraint_scale_factor_included(
    opensim: ModuleType, tmp_path: Path
) -> None:
    path = model_with(
        opensim,
        lambda parent, child: opensim.UniversalJoint("tested", *between(opensim, parent, child)),
        tmp_path / "model.osim",
    )
    model = opensim.Model(str(path))
    model.initSystem()
    coupler = opensim.CoordinateCouplerConstraint()
    names = opensim.ArrayStr()
    names.append("tested_coord_0")
    coupler.setIndependentCoordinateNames(names)
    coupler.setDependentCoordinateName("tested_coord_1")
    coupler.setFunction(simm_spline(opensim))
    opensim.PropertyHelper.setValueDouble(1.7, coupler.getPropertyByName("scale_factor"))
    model.addConstraint(coupler)
    model.finalizeConnections()
    model.printToXML(str(path))

    skeleton = read_model(path)
    driver, dependent = (skeleton.coordinate_names.index(f"tested_coord_{k}") for k in range(2))
    coordinate = skeleton.coordinates[dependent]
    assert coordinate.coupled_to == "tested_coord_0"
    model = opensim.Model(str(path))
    state = model.initSystem()
    for x in np.linspace(-1.2, 1.2, 9):
        value = float(coordinate.coupling(torch.tensor([x], dtype=torch.float64)))
        model.getCoordinateSet().get(driver).setValue(state, x, False)
        model.getCoordinateSet().get(dependent).setValue(state, value, False)
        model.realizePosition(state)
        assert abs(state.getQErr().get(0)) < 1e-9
        model.getCoordinateSet().get(dependent).setValue(state, value + 0.01, False)
        model.realizePosition(state)
        assert abs(state.getQErr().get(0)) > 0.005


def test_mass_centre_and_inertia_are_the_files(opensim: ModuleType) -> None:
    skeleton, model = read_model(GENERIC_BODY), opensim.Model(str(GENERIC_BODY))
    assert len(skeleton.bodies) == model.getBodySet().getSize()
    for body in skeleton.bodies:
        expected = model.getBodySet().get(body.name)
        assert body.mass_kg == expected.getMass()
        np.testing.assert_array_equal(body.com_in_body_m, expected.getMassCenter().to_numpy())
        np.testing.assert_array_equal(np.diag(body.inertia_in_body_kgm2), expected.getInertia().getMoments().to_numpy())
        np.testing.assert_array_equal(
            body.inertia_in_body_kgm2[[0, 0, 1], [1, 2, 2]], expected.getInertia().getProducts().to_numpy()
        )


def test_essential_are_the_coordinates_that_move_the_feet_up_to_the_ankle() -> None:
    essential = {c.name for c in read_model(GENERIC_BODY).coordinates if c.is_essential}
    pelvis = {f"pelvis_{name}" for name in ("tilt", "list", "rotation", "tx", "ty", "tz")}
    legs = {
        f"{name}_{side}"
        for name in ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle")
        for side in ("r", "l")
    }
    assert essential == pelvis | legs


def test_lengths_and_angles_locks_and_defaults_are_told_apart(opensim: ModuleType, tmp_path: Path) -> None:
    model = opensim.Model(str(GENERIC_BODY))
    model.updCoordinateSet().get("mtp_angle_r").setDefaultLocked(True)
    model.updCoordinateSet().get("mtp_angle_r").setDefaultValue(0.12)
    model.finalizeConnections()
    path = tmp_path / "locked.osim"
    model.printToXML(str(path))
    coordinates = {c.name: c for c in read_model(path).coordinates}
    assert {name for name, c in coordinates.items() if not c.is_rotational} == {"pelvis_tx", "pelvis_ty", "pelvis_tz"}
    assert {name for name, c in coordinates.items() if c.is_locked} == {"mtp_angle_r"}
    assert coordinates["mtp_angle_r"].default_value == pytest.approx(0.12)
    assert coordinates["pelvis_ty"].default_value == pytest.approx(1.018, abs=1e-3)


def test_an_unsupported_joint_is_refused_by_name(opensim: ModuleType, tmp_path: Path) -> None:
    radii = opensim.Vec3(0.1, 0.2, 0.1)
    path = model_with(
        opensim,
        lambda parent, child: opensim.EllipsoidJoint("tested", *between(opensim, parent, child), radii),
        tmp_path / "model.osim",
    )
    with pytest.raises(InvalidModelError, match=r"'tested'.*EllipsoidJoint"):
        read_model(path)


def test_an_unsupported_function_is_refused_by_name(opensim: ModuleType, tmp_path: Path) -> None:
    functions = {
        0: (opensim.LinearFunction(1.0, 0.0), True),
        1: (opensim.Sine(1.0, 1.0, 0.0), True),
    }
    path = model_with(opensim, custom_joint(opensim, functions), tmp_path / "model.osim")
    with pytest.raises(InvalidModelError, match=r"'tested'.*Sine"):
        read_model(path)


def test_a_model_without_feet_is_refused_and_says_what_bodies_it_has(opensim: ModuleType, tmp_path: Path) -> None:
    model = opensim.Model()
    model.addJoint(opensim.PinJoint("hinge", *between(opensim, model.getGround(), add_body(opensim, model, "arm"))))
    model.finalizeConnections()
    path = tmp_path / "arm.osim"
    model.printToXML(str(path))
    with pytest.raises(InvalidModelError, match=r"no right foot.*among arm"):
        read_model(path)


def test_feet_that_no_joint_moves_are_read(opensim: ModuleType, tmp_path: Path) -> None:
    model = opensim.Model()
    for side in ("r", "l"):
        foot = add_body(opensim, model, f"calcn_{side}")
        model.addJoint(opensim.WeldJoint(f"weld_{side}", *between(opensim, model.getGround(), foot)))
    model.finalizeConnections()
    path = tmp_path / "welded.osim"
    model.printToXML(str(path))
    assert read_model(path).coordinates == ()


def test_a_model_whose_vertical_is_not_y_is_refused(opensim: ModuleType, tmp_path: Path) -> None:
    model = opensim.Model(str(GENERIC_BODY))
    model.setGravity(opensim.Vec3(0.0, 0.0, -9.81))
    model.finalizeConnections()
    path = tmp_path / "z_up.osim"
    model.printToXML(str(path))
    with pytest.raises(InvalidModelError, match="gravity"):
        read_model(path)


EXTERNAL_LOADS = """<?xml version="1.0" encoding="UTF-8" ?>
<OpenSimDocument Version="40000">
  <ExternalLoads name="externalloads"><objects/><groups/><datafile>grf.mot</datafile></ExternalLoads>
</OpenSimDocument>
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.osim", ""),
        ("text.osim", "This is no model.\n"),
        ("cut.osim", GENERIC_BODY.read_text(encoding="utf-8")[:5000]),
        ("binary.osim", "\x00\x01\x02" * 100),
        ("loads.xml", EXTERNAL_LOADS),
        ("other.xml", "<html><body>404</body></html>"),
    ],
)
def test_a_file_that_is_no_model_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputFileError, match=name):
        read_model(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["missing.osim", "."])
def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputFileError, match="no such model file"):
        read_model(tmp_path / name)


def test_a_real_external_loads_file_is_refused_as_a_model(shared: Path) -> None:
    with pytest.raises(InputFileError, match=r"grf_walk\.xml"):
        read_model(shared / "samples" / "moco_walk" / "grf_walk.xml")


def test_reading_a_model_prints_nothing_and_leaves_no_log_behind(tmp_path: Path) -> None:
    bad = tmp_path / "bad.osim"
    bad.write_text("no model", encoding="utf-8")
    folder = tmp_path / "here"
    folder.mkdir()
    script = f"""
from pathlib import Path
from gaitdynamics.errors import InputFileError
from gaitdynamics.io.osim import read_model
read_model(Path({str(GENERIC_BODY)!r}))
try:
    read_model(Path({str(bad)!r}))
except InputFileError:
    pass
else:
    raise SystemExit("not refused")
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (run.stdout, run.stderr) == ("", "")
    assert list(folder.iterdir()) == []


def test_a_spline_under_its_former_name_is_read_as_a_simm_spline(opensim: ModuleType, tmp_path: Path) -> None:
    functions = {0: (opensim.LinearFunction(1.0, 0.0), True), 1: (simm_spline(opensim), True)}
    path = model_with(opensim, custom_joint(opensim, functions), tmp_path / "model.osim")
    expected = read_model(path).joints[1].rotations[1].function
    path.write_text(path.read_text().replace("SimmSpline", "NaturalCubicSpline"))
    assert read_model(path).joints[1].rotations[1].function == expected


def test_a_constant_function_of_a_coordinate_is_read_as_a_constant(opensim: ModuleType, tmp_path: Path) -> None:
    functions = {0: (opensim.LinearFunction(1.0, 0.0), True), 1: (opensim.Constant(0.25), True)}
    path = model_with(opensim, custom_joint(opensim, functions), tmp_path / "model.osim")
    axis = read_model(path).joints[1].rotations[1]
    assert axis.coordinate is None
    assert axis.function == Polynomial((0.25,))


def with_range(text: str, name: str, low: float, high: float) -> str:
    """A model's text with another range of one coordinate."""
    start = text.index("<range>", text.index(f'<Coordinate name="{name}">'))
    end = text.index("</range>", start)
    return f"{text[:start]}<range>{low} {high}{text[end:]}"


def test_a_coordinate_has_the_models_range(body: Skeleton) -> None:
    ranges = {coordinate.name: coordinate.range for coordinate in body.coordinates}
    assert ranges["knee_angle_r"] == pytest.approx((-0.1, 2.2))
    assert ranges["hip_adduction_l"] == pytest.approx((-0.9, 0.6))
    assert ranges["pelvis_ty"] == (-100.0, 100.0)


def test_a_range_that_says_nothing_is_none(tmp_path: Path) -> None:
    text = GENERIC_BODY.read_text()
    for name, low, high in (
        ("knee_angle_r", -10, 10),
        ("knee_angle_l", -99999.9, 99999.9),
        ("hip_flexion_r", 0.5, 0.5),
    ):
        text = with_range(text, name, low, high)
    text = with_range(text, "pelvis_rotation", -3.14159265358979, 3.14159265358979)
    path = tmp_path / "wide.osim"
    path.write_text(text)
    ranges = {coordinate.name: coordinate.range for coordinate in read_model(path).coordinates}
    assert ranges["knee_angle_r"] is ranges["knee_angle_l"] is ranges["hip_flexion_r"] is None
    assert ranges["pelvis_rotation"] == pytest.approx((-np.pi, np.pi))
