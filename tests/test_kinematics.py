"""One convention for the angles of the legs, whatever a model calls and signs its coordinates."""

import importlib.util
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gaitdynamics.biomech.kinematics import (
    foot_paths,
    forward_axis,
    heading_of,
    held_upright,
    joint_angles,
    joint_rotation,
    leg_joints,
    pelvis_of,
    posed,
    rotation_of_angles,
    segment_rotations,
    with_joint_rotation,
)
from gaitdynamics.errors import InvalidModelError
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.skeleton import Skeleton

ASSETS = Path(str(files("gaitdynamics") / "assets"))
GENERATOR_FILE = Path(__file__).resolve().parents[1] / "scripts" / "make_assets.py"
KNEES = ("knee_angle_r", "knee_angle_l")


@pytest.fixture(scope="module")
def positive_knees() -> Skeleton:
    return read_model(ASSETS / "generic_body.osim")


@pytest.fixture(scope="module")
def negative_knees(opensim: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    spec = importlib.util.spec_from_file_location("make_assets", GENERATOR_FILE)
    generator = importlib.util.module_from_spec(spec)
    sys.modules["make_assets"] = generator
    spec.loader.exec_module(generator)
    path = tmp_path_factory.mktemp("models") / "negative.osim"
    generator.build_generic_body(knee_flexion_positive=False).printToXML(str(path))
    return read_model(path)


@pytest.fixture(scope="module")
def walk(positive_knees: Skeleton) -> np.ndarray:
    return read_motion(ASSETS / "synthetic_walk.mot", positive_knees.coordinates)[0].values[::7]


def negated_knees(skeleton: Skeleton, values: np.ndarray) -> np.ndarray:
    signs = [-1.0 if name in KNEES else 1.0 for name in skeleton.coordinate_names]
    return values * signs


def test_canonical_angles_do_not_depend_on_the_sign_of_the_knee(
    positive_knees: Skeleton, negative_knees: Skeleton, walk: np.ndarray
) -> None:
    negated = negated_knees(negative_knees, walk)
    assert not np.allclose(negated, walk)
    for ours, theirs in zip(leg_joints(positive_knees), leg_joints(negative_knees), strict=True):
        np.testing.assert_allclose(
            joint_angles(negative_knees, negated, theirs), joint_angles(positive_knees, walk, ours), atol=1e-9
        )


def test_canonical_angles_of_the_generic_body_are_its_coordinates(positive_knees: Skeleton, walk: np.ndarray) -> None:
    columns = {name: walk[:, i] for i, name in enumerate(positive_knees.coordinate_names)}
    for leg in leg_joints(positive_knees):
        angles = joint_angles(positive_knees, walk, leg)
        if leg.name == "hip":
            names = ("hip_flexion", "hip_adduction", "hip_rotation")
            expected = np.stack([columns[f"{name}_{leg.side}"] for name in names], axis=1)
            np.testing.assert_allclose(angles, expected, atol=1e-9)
        else:
            name = {"knee": "knee_angle", "ankle": "ankle_angle"}[leg.name]
            np.testing.assert_allclose(angles[:, 0], columns[f"{name}_{leg.side}"], atol=1e-9)
            np.testing.assert_allclose(angles[:, 1:], 0.0, atol=1e-9)


def test_the_legs_joints_are_found_by_their_place_and_not_by_their_names(positive_knees: Skeleton) -> None:
    renamed = replace(
        positive_knees, joints=tuple(replace(j, name=f"joint_{i}") for i, j in enumerate(positive_knees.joints))
    )
    for skeleton in (positive_knees, renamed):
        found = [(leg.name, leg.side, leg.joint.child) for leg in leg_joints(skeleton)]
        assert found == [
            (name, side, f"{body}_{side}")
            for side in ("r", "l")
            for name, body in (("hip", "femur"), ("knee", "tibia"), ("ankle", "talus"))
        ]
        assert pelvis_of(skeleton) == "pelvis"


def test_the_legs_of_every_sample_are_found(shared: Path) -> None:
    models = sorted((shared / "samples").glob("*/*.osim"))
    assert models
    for path in models:
        legs = leg_joints(read_model(path))
        assert [leg.name for leg in legs] == ["hip", "knee", "ankle"] * 2
        assert ["hip" in legs[0].joint.name, "hip" in legs[3].joint.name] == [True, True]
        assert all("knee" in leg.joint.name for leg in legs if leg.name == "knee"), path
        assert all("ankle" in leg.joint.name for leg in legs if leg.name == "ankle"), path


def test_a_leg_without_a_knee_is_refused(positive_knees: Skeleton) -> None:
    stiff = tuple(
        replace(joint, rotations=()) if joint.child in ("tibia_r", "talus_r", "calcn_r") else joint
        for joint in positive_knees.joints
    )
    with pytest.raises(InvalidModelError, match=r"'calcn_r' has 1 moving joints.*expected hip, knee and ankle"):
        leg_joints(replace(positive_knees, joints=stiff))


@pytest.mark.parametrize("body", ["positive_knees", "negative_knees"])
@pytest.mark.parametrize(
    ("name", "axis", "body_end", "direction"),
    [
        ("hip", 0, "tibia", (1.0, 0.0, 0.0)),
        ("hip", 1, "tibia", (0.0, 0.0, -1.0)),
        ("knee", 0, "calcn", (-1.0, 0.0, 0.0)),
        ("ankle", 0, "toes", (0.0, 1.0, 0.0)),
    ],
)
@pytest.mark.parametrize("side", [0, 1], ids=["right", "left"])
def test_flexion_adduction_and_dorsiflexion_are_positive_on_both_sides(
    body: str,
    name: str,
    axis: int,
    body_end: str,
    direction: tuple[float, float, float],
    side: int,
    request: pytest.FixtureRequest,
) -> None:
    skeleton = request.getfixturevalue(body)
    leg = next(leg for leg in leg_joints(skeleton) if (leg.name, leg.side) == (name, "rl"[side]))
    values = skeleton.default_values[None]
    angles = np.zeros((1, 3))
    angles[0, axis] = 0.3
    bent = with_joint_rotation(skeleton, values, leg.joint, rotation_of_angles(angles, leg))
    np.testing.assert_allclose(joint_angles(skeleton, bent, leg), angles, atol=1e-9)
    end = skeleton.body_index[f"{body_end}_{leg.side}"]
    moved = (posed(skeleton, bent).origin_m - posed(skeleton, values).origin_m)[0, end].numpy()
    outwards = -1.0 if side else 1.0
    assert moved @ (np.array(direction) * [1.0, 1.0, outwards]) > 0.02


@pytest.mark.parametrize("body", ["positive_knees", "negative_knees"])
def test_coordinates_are_found_back_from_a_joints_rotation(
    body: str, walk: np.ndarray, request: pytest.FixtureRequest
) -> None:
    skeleton = request.getfixturevalue(body)
    values = walk if body == "positive_knees" else negated_knees(skeleton, walk)
    assert_found_back(skeleton, values, tolerance=1e-8)


@pytest.mark.parametrize("sample", ["gait2354", "hamner", "camargo", "opencap"])
def test_coordinates_of_measured_motions_are_found_back_from_a_joints_rotation(sample: str, shared: Path) -> None:
    folder = shared / "samples" / sample
    skeleton = read_model(folder / "model.osim")
    values = read_motion(folder / "ik.mot", skeleton.coordinates)[0].values
    assert_found_back(skeleton, values[:: max(1, len(values) // 15)], tolerance=1e-6)


def assert_found_back(skeleton: Skeleton, values: np.ndarray, *, tolerance: float) -> None:
    """Each leg joint's coordinates, disturbed, come back when its rotation is asked for; nothing else moves."""
    random = np.random.default_rng(0)
    for leg in leg_joints(skeleton):
        names = {axis.coordinate for axis in leg.joint.rotations if axis.coordinate}
        columns = [skeleton.coordinate_names.index(name) for name in names]
        disturbed = values.copy()
        disturbed[:, columns] += random.uniform(-0.3, 0.3, (len(values), len(columns)))
        before = disturbed.copy()
        wanted = joint_rotation(skeleton, values, leg.joint)
        found = with_joint_rotation(skeleton, disturbed, leg.joint, wanted)
        np.testing.assert_array_equal(disturbed, before)
        np.testing.assert_allclose(joint_rotation(skeleton, found, leg.joint), wanted, atol=tolerance)
        np.testing.assert_allclose(found, values, atol=10 * tolerance, err_msg=leg.joint.name)


def test_angles_and_rotations_of_a_leg_are_inverse(positive_knees: Skeleton, walk: np.ndarray) -> None:
    for leg in leg_joints(positive_knees):
        angles = np.random.default_rng(0).uniform(-1.2, 1.2, (20, 3))
        rotation = rotation_of_angles(angles, leg)
        np.testing.assert_allclose(
            rotation @ rotation.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12
        )
        own = joint_rotation(positive_knees, walk, leg.joint)
        again = rotation_of_angles(joint_angles(positive_knees, walk, leg), leg)
        np.testing.assert_allclose(again, own, atol=1e-9)


@pytest.mark.parametrize("sample", ["gait2354", "opencap", "camargo", "hamner", "moco_walk"])
def test_segments_axes_are_the_grounds_in_the_zero_pose(sample: str, shared: Path) -> None:
    skeleton = read_model(next((shared / "samples" / sample).glob("*.osim")))
    zero = posed(skeleton, np.zeros((1, len(skeleton.coordinates))))
    axes = segment_rotations(skeleton, zero)[0]
    np.testing.assert_allclose(axes, np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
    np.testing.assert_allclose(forward_axis(skeleton, zero), [[1.0, 0.0, 0.0]], atol=1e-12)


def test_measured_knees_flex_in_swing_whatever_their_sign(shared: Path) -> None:
    for sample, sign in (("gait2354", -1), ("opencap", 1)):
        folder = shared / "samples" / sample
        skeleton = read_model(folder / "model.osim")
        values = read_motion(folder / "ik.mot", skeleton.coordinates)[0].values
        column = values[:, skeleton.coordinate_names.index("knee_angle_r")]
        assert sign * column[np.abs(column).argmax()] > 0.5
        for leg in leg_joints(skeleton):
            if leg.name == "knee":
                assert joint_angles(skeleton, values, leg)[:, 0].max() > 0.7


def test_the_heading_is_where_the_walk_goes(positive_knees: Skeleton, walk: np.ndarray) -> None:
    heading = heading_of(positive_knees, posed(positive_knees, walk))
    np.testing.assert_allclose(heading, [1.0, 0.0, 0.0], atol=0.02)
    turned = walk.copy()
    turned[:, [positive_knees.coordinate_names.index(f"pelvis_{n}") for n in ("tilt", "list")]] = 0.0
    turned[:, positive_knees.coordinate_names.index("pelvis_rotation")] = np.pi / 2
    np.testing.assert_allclose(heading_of(positive_knees, posed(positive_knees, turned)), [0.0, 0.0, -1.0], atol=1e-9)


def test_a_foot_is_as_long_as_the_model_has_it_or_as_a_foot_of_that_body(positive_knees: Skeleton) -> None:
    standing = positive_knees.default_values[None]
    path = foot_paths(positive_knees, posed(positive_knees, standing), height_m=1.75)
    assert path.points_m.shape == (1, 2, 2, 3)
    heel, toe = path.points_m[0, 0]
    np.testing.assert_allclose(toe - heel, [0.72 * 0.152 * 1.75, 0.02, 0.0], atol=1e-9)
    assert path.points_m[0, 0, 0, 2] > 0 > path.points_m[0, 1, 0, 2]  # right, left

    is_kept = [body.name not in ("toes_r", "toes_l") for body in positive_knees.bodies]
    toeless = replace(
        positive_knees,
        bodies=tuple(b for b, kept in zip(positive_knees.bodies, is_kept, strict=True) if kept),
        joints=tuple(j for j, kept in zip(positive_knees.joints, is_kept, strict=True) if kept),
    )
    path = foot_paths(toeless, posed(toeless, standing), height_m=1.75)
    np.testing.assert_allclose(path.length_m, 0.152 * 1.75 / 1.36, atol=1e-9)


def test_a_segment_held_upright_stays_so_whatever_its_parent_does(positive_knees: Skeleton) -> None:
    torso = next(joint for joint in positive_knees.joints if joint.child == "torso")
    held = held_upright(positive_knees, torso)
    values = np.random.default_rng(0).uniform(-0.5, 0.5, (20, len(held.coordinates)))
    axes = segment_rotations(held, posed(held, values))[:, held.body_index["torso"]]
    np.testing.assert_allclose(axes[:, :, 1], np.broadcast_to([0.0, 1.0, 0.0], (20, 3)), atol=1e-12)
    before = posed(positive_knees, values).joint_centre_m[:, positive_knees.body_index["torso"]]
    np.testing.assert_allclose(posed(held, values).joint_centre_m[:, held.body_index["torso"]], before, atol=1e-12)


def test_a_model_that_stands_turned_faces_where_its_feet_point(positive_knees: Skeleton) -> None:
    root = next(joint for joint in positive_knees.joints if joint.parent == "ground")
    quarter_turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    turned_root = replace(root, parent_rotation=quarter_turn @ root.parent_rotation)
    turned = replace(
        positive_knees, joints=tuple(turned_root if joint is root else joint for joint in positive_knees.joints)
    )
    values = np.random.default_rng(0).uniform(-0.2, 0.2, (5, len(turned.coordinates)))
    straight = heading_of(positive_knees, posed(positive_knees, values))
    np.testing.assert_allclose(heading_of(turned, posed(turned, values)), quarter_turn @ straight, atol=1e-9)
    for leg, same in zip(leg_joints(turned), leg_joints(positive_knees), strict=True):
        np.testing.assert_allclose(
            joint_angles(turned, values, leg), joint_angles(positive_knees, values, same), atol=1e-9
        )
