"""Height from the legs, and a trunk where the model or the motion has none."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from gaitdynamics.biomech.anthropometry import UPPER_BODY_OF_MASS, body_mass_kg, estimated_height_m, with_trunk
from gaitdynamics.biomech.kinematics import posed
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Body, Skeleton

ASSETS = Path(str(files("gaitdynamics") / "assets"))
HEIGHT_M = 1.75
LUMBAR = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")


def without_torso(skeleton: Skeleton) -> Skeleton:
    """Legs and pelvis alone; the torso's coordinates stay, unused."""
    is_kept = [body.name != "torso" for body in skeleton.bodies]
    return replace(
        skeleton,
        bodies=tuple(b for b, kept in zip(skeleton.bodies, is_kept, strict=True) if kept),
        joints=tuple(j for j, kept in zip(skeleton.joints, is_kept, strict=True) if kept),
    )


def with_lumped_pelvis(skeleton: Skeleton) -> Skeleton:
    """The torso's mass is in the pelvis."""
    torso = skeleton.bodies[skeleton.body_index["torso"]]
    legs = without_torso(skeleton)
    return replace(
        legs,
        bodies=tuple(replace(b, mass_kg=b.mass_kg + torso.mass_kg) if b.name == "pelvis" else b for b in legs.bodies),
    )


def body_named(skeleton: Skeleton, name: str) -> Body:
    return skeleton.bodies[skeleton.body_index[name]]


def test_the_height_of_the_generic_body_is_estimated_to_six_centimetres(body: Skeleton) -> None:
    assert estimated_height_m(body) == pytest.approx(HEIGHT_M, abs=0.06)


def test_the_estimated_height_grows_with_the_leg(body: Skeleton) -> None:
    longer = replace(
        body,
        joints=tuple(replace(joint, parent_translation_m=1.1 * joint.parent_translation_m) for joint in body.joints),
    )
    assert estimated_height_m(longer) == pytest.approx(1.1 * estimated_height_m(body), rel=1e-9)


def test_the_estimated_height_of_measured_people_is_a_persons(shared: Path) -> None:
    heights = [estimated_height_m(read_model(path)) for path in sorted((shared / "samples").glob("*/*.osim"))]
    assert len(heights) >= 5
    assert all(1.45 < height < 2.05 for height in heights), heights


def test_a_measured_trunk_is_left_as_it_is(body: Skeleton, walk: Motion) -> None:
    skeleton, warnings = with_trunk(body, walk, height_m=HEIGHT_M)
    assert skeleton is body
    assert warnings == ()


def test_a_lumped_pelvis_gives_its_trunk_away_and_the_mass_stays(body: Skeleton, walk: Motion) -> None:
    lumped = with_lumped_pelvis(body)
    skeleton, warnings = with_trunk(lumped, walk, height_m=HEIGHT_M)
    assert skeleton.mass_kg == pytest.approx(body.mass_kg, rel=1e-12)
    trunk = skeleton.bodies[-1]
    assert trunk.mass_kg == pytest.approx(UPPER_BODY_OF_MASS * body.mass_kg)
    assert body_named(skeleton, "pelvis").mass_kg + trunk.mass_kg == pytest.approx(body_named(lumped, "pelvis").mass_kg)
    assert len(warnings) == 1
    assert "no torso" in warnings[0]


def test_legs_and_pelvis_alone_are_completed_to_a_whole_body(body: Skeleton, walk: Motion) -> None:
    legs = without_torso(body)
    skeleton, warnings = with_trunk(legs, walk, height_m=HEIGHT_M)
    assert skeleton.bodies[-1].mass_kg == pytest.approx(UPPER_BODY_OF_MASS * skeleton.mass_kg)
    assert skeleton.mass_kg == pytest.approx(legs.mass_kg + skeleton.bodies[-1].mass_kg)
    assert body_named(skeleton, "pelvis").mass_kg == body_named(legs, "pelvis").mass_kg
    assert "no torso" in warnings[0]
    assert body_mass_kg(legs) == pytest.approx(skeleton.mass_kg)


def test_a_model_with_a_trunk_of_any_kind_weighs_what_its_bodies_do(body: Skeleton) -> None:
    assert body_mass_kg(body) == body.mass_kg
    assert body_mass_kg(with_lumped_pelvis(body)) == pytest.approx(body.mass_kg)


def test_an_added_trunk_stands_upright_on_the_pelvis_about_where_a_real_one_is(body: Skeleton, walk: Motion) -> None:
    skeleton, _ = with_trunk(with_lumped_pelvis(body), walk, height_m=HEIGHT_M)
    pose, real = posed(skeleton, walk.values), posed(body, walk.values)
    rotation = pose.rotation[:, -1].numpy()
    np.testing.assert_allclose(rotation[:, :, 1], np.broadcast_to([0.0, 1.0, 0.0], (len(rotation), 3)), atol=1e-12)
    miss = (skeleton.centre_of_mass(pose) - body.centre_of_mass(real)).numpy()
    assert np.abs(miss.mean(axis=0)).max() < 0.06
    assert miss.std(axis=0).max() < 0.01


@pytest.mark.parametrize("why", ["never moves", "no column"])
def test_a_trunk_that_was_not_measured_is_held_upright_and_the_user_told(
    body: Skeleton, walk: Motion, why: str
) -> None:
    columns = [walk.coordinates.index(name) for name in LUMBAR]
    values, observed = walk.values.copy(), walk.observed.copy()
    if why == "never moves":
        values[:, columns] = 0.2
    else:
        observed[:, columns] = False
    skeleton, warnings = with_trunk(body, replace(walk, values=values, observed=observed), height_m=HEIGHT_M)
    assert skeleton.mass_kg == body.mass_kg
    torso = posed(skeleton, values).rotation[:, skeleton.body_index["torso"]].numpy()
    np.testing.assert_allclose(torso[:, :, 1], np.broadcast_to([0.0, 1.0, 0.0], (len(torso), 3)), atol=1e-12)
    assert len(warnings) == 1
    assert "held upright" in warnings[0]
    assert all(name in warnings[0] for name in LUMBAR)


def test_a_welded_trunk_is_held_upright_too(body: Skeleton, walk: Motion) -> None:
    welded = replace(body, joints=tuple(replace(j, rotations=()) if j.child == "torso" else j for j in body.joints))
    skeleton, warnings = with_trunk(welded, walk, height_m=HEIGHT_M)
    torso = posed(skeleton, walk.values).rotation[:, skeleton.body_index["torso"]].numpy()
    np.testing.assert_allclose(torso[:, :, 1], np.broadcast_to([0.0, 1.0, 0.0], (len(torso), 3)), atol=1e-12)
    assert "fixed" in warnings[0]
