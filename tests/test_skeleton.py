"""The body moves as in OpenSim, in batches and with gradients."""

import time
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gaitdynamics.errors import InvalidModelError
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.skeleton import CubicSpline, Polynomial, Skeleton, find_feet

SHARED = Path(__file__).resolve().parents[2] / "shared"
GENERIC_BODY = Path(str(files("gaitdynamics") / "assets" / "generic_body.osim"))
NUM_POSES = 3
MOST_REPETITIONS = 40  # of a timed call: other work on the machine slows most of them

MODEL_FILES = [pytest.param(GENERIC_BODY, id="generic_body")]
if SHARED.is_dir():
    MODEL_FILES += [pytest.param(p, id=str(p.parent.relative_to(SHARED))) for p in sorted(SHARED.rglob("*.osim"))]
else:
    reason = "../shared is absent: models to test against OpenSim lie beside the repository"
    MODEL_FILES.append(pytest.param(SHARED, marks=pytest.mark.skip(reason=reason), id="shared"))


def is_sample(model: Any) -> bool:
    """One model of each kind: momentum is slow, and alike in all of a kind."""
    return SHARED / "gaitdata" not in model.values[0].parents


@dataclass(frozen=True)
class Compared:
    """A model as it is read here and by OpenSim, with random poses and speeds that satisfy its couplings."""

    skeleton: Skeleton
    model: Any
    state: Any
    values: np.ndarray  # (NUM_POSES, C)
    rates: np.ndarray

    def to_pose(self, row: int) -> None:
        columns = zip(self.skeleton.coordinate_names, self.values[row], self.rates[row], strict=True)
        for name, value, rate in columns:
            coordinate = self.model.getCoordinateSet().get(name)
            coordinate.setLocked(self.state, False)
            coordinate.setValue(self.state, float(value), False)
            coordinate.setSpeedValue(self.state, float(rate))
        self.model.realizeVelocity(self.state)


def coupled(skeleton: Skeleton, values: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and rates (N, C) with those of the dependent coordinates computed from their drivers'."""
    values, rates = values.copy(), rates.copy()
    for i, coordinate in enumerate(skeleton.coordinates):
        if coordinate.coupled_to is not None and coordinate.coupling is not None:
            driver = skeleton.coordinate_names.index(coordinate.coupled_to)
            x = torch.from_numpy(values[:, driver]).requires_grad_()
            y = coordinate.coupling(x)
            (slope,) = torch.autograd.grad(y.sum(), x)
            values[:, i] = y.detach()
            rates[:, i] = slope.numpy() * rates[:, driver]
    return values, rates


@pytest.fixture(scope="module", params=MODEL_FILES)
def compared(request: pytest.FixtureRequest, opensim: ModuleType) -> Compared:
    skeleton = read_model(request.param)
    model = opensim.Model(str(request.param))
    model.updForceSet().clearAndDestroy()
    state = model.initSystem()
    random = np.random.default_rng(0)
    shape = (NUM_POSES, len(skeleton.coordinates))
    values, rates = coupled(skeleton, random.uniform(-1.0, 1.0, shape), random.uniform(-2.0, 2.0, shape))
    return Compared(skeleton, model, state, values, rates)


@pytest.fixture(scope="module")
def generic() -> Skeleton:
    return read_model(GENERIC_BODY)


@pytest.fixture(scope="module")
def coupled_knees(shared: Path) -> Skeleton:
    """A body with splines in its knees and patellae that follow them."""
    skeleton = read_model(shared / "samples" / "moco_walk" / "subject_walk_scaled.osim")
    assert any(coordinate.is_coupled for coordinate in skeleton.coordinates)
    return skeleton


def random_values(skeleton: Skeleton, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-0.8, 0.8, (*shape, len(skeleton.coordinates))))


def test_every_body_is_where_opensim_puts_it(compared: Compared) -> None:
    skeleton = compared.skeleton
    pose = skeleton.pose(torch.from_numpy(compared.values))
    com = skeleton.centre_of_mass(pose).numpy()
    for row in range(NUM_POSES):
        compared.to_pose(row)
        transforms = [
            compared.model.getBodySet().get(body.name).getTransformInGround(compared.state) for body in skeleton.bodies
        ]
        origins = [transform.p().to_numpy() for transform in transforms]
        rotations = [[[t.R().get(a, b) for b in range(3)] for a in range(3)] for t in transforms]
        np.testing.assert_allclose(pose.origin_m[row], origins, atol=1e-5)
        np.testing.assert_allclose(pose.rotation[row], rotations, atol=1e-5)
        expected = compared.model.calcMassCenterPosition(compared.state).to_numpy()
        np.testing.assert_allclose(com[row], expected, atol=1e-6)


@pytest.mark.parametrize("compared", [p for p in MODEL_FILES if is_sample(p)], indirect=True)
def test_momentum_is_opensims(compared: Compared) -> None:
    momentum = compared.skeleton.momentum(torch.from_numpy(compared.values), torch.from_numpy(compared.rates))
    for row in range(NUM_POSES):
        compared.to_pose(row)
        central = compared.model.getMatterSubsystem().calcSystemCentralMomentum(
            compared.state
        )  # kept: parts point at it
        np.testing.assert_allclose(momentum.angular_kgm2_s[row], central.get(0).to_numpy(), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(momentum.linear_kgm_s[row], central.get(1).to_numpy(), rtol=1e-5, atol=1e-4)


def test_coupled_coordinates_satisfy_opensims_couplers(compared: Compared, opensim: ModuleType) -> None:
    constraints = compared.model.getConstraintSet()
    couplers = [
        opensim.CoordinateCouplerConstraint.safeDownCast(constraints.get(i)) for i in range(constraints.getSize())
    ]
    found = {c.name: c for c in compared.skeleton.coordinates if c.is_coupled}
    assert set(found) == {coupler.getDependentCoordinateName() for coupler in couplers if coupler is not None}
    for coupler in couplers:
        if coupler is None:
            continue
        coordinate = found[coupler.getDependentCoordinateName()]
        assert coordinate.coupled_to == coupler.getIndependentCoordinateNames().get(0)
        angles = np.linspace(-1.5, 2.5, 30)
        expected = [coupler.getFunction().calcValue(opensim.Vector(1, x)) for x in angles]
        np.testing.assert_allclose(coordinate.coupling(torch.from_numpy(angles)), expected, atol=1e-9)


def test_a_coupled_coordinates_own_column_is_not_looked_at(coupled_knees: Skeleton) -> None:
    values = random_values(coupled_knees, 5)
    changed = values.clone()
    changed[:, [c.is_coupled for c in coupled_knees.coordinates]] += 0.7
    before, after = coupled_knees.pose(values), coupled_knees.pose(changed)
    assert torch.equal(before.origin_m, after.origin_m)
    assert torch.equal(before.rotation, after.rotation)


def test_rotations_are_orthonormal_and_right_handed(generic: Skeleton) -> None:
    rotation = generic.pose(random_values(generic, 50)).rotation
    np.testing.assert_allclose(rotation @ rotation.mT, np.broadcast_to(np.eye(3), rotation.shape), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(rotation), 1.0, atol=1e-12)


@pytest.mark.parametrize("name", ["generic", "coupled_knees"])
def test_the_gradient_of_the_centre_of_mass_is_its_finite_difference(name: str, request: pytest.FixtureRequest) -> None:
    skeleton = request.getfixturevalue(name)
    values = random_values(skeleton, 2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q: skeleton.centre_of_mass(skeleton.pose(q)), (values,), atol=1e-6, fast_mode=True
    )


@pytest.mark.parametrize("name", ["generic", "coupled_knees"])
def test_linear_momentum_is_mass_times_the_rate_of_the_centre_of_mass(
    name: str, request: pytest.FixtureRequest
) -> None:
    skeleton = request.getfixturevalue(name)
    values, rates = random_values(skeleton, 6), random_values(skeleton, 6, seed=1)
    step = 1e-5
    ahead, behind = (skeleton.centre_of_mass(skeleton.pose(values + sign * step * rates)) for sign in (1, -1))
    expected = skeleton.mass_kg * (ahead - behind) / (2 * step)
    np.testing.assert_allclose(skeleton.momentum(values, rates).linear_kgm_s, expected, atol=1e-5)


def test_a_rigid_turn_has_the_angular_momentum_of_the_whole_bodys_inertia(generic: Skeleton) -> None:
    values = random_values(generic, 1)
    values[:, :3] = 0.0
    rates = torch.zeros_like(values)
    rates[:, generic.coordinate_names.index("pelvis_tilt")] = 2.0
    momentum = generic.momentum(values, rates)
    pose = generic.pose(values)
    offset = (generic.body_com(pose) - generic.centre_of_mass(pose)[:, None])[0].numpy()
    mass = np.array([body.mass_kg for body in generic.bodies])
    spins = [r @ b.inertia_in_body_kgm2 @ r.T for r, b in zip(pose.rotation[0].numpy(), generic.bodies, strict=True)]
    point = mass[:, None, None] * ((offset**2).sum(1)[:, None, None] * np.eye(3) - offset[:, :, None] * offset[:, None])
    inertia = np.sum(spins, axis=0) + point.sum(axis=0)
    np.testing.assert_allclose(momentum.angular_kgm2_s[0], inertia @ [0.0, 0.0, 2.0], atol=1e-9)


def test_a_batch_of_windows_gives_what_its_frames_give(generic: Skeleton) -> None:
    values = random_values(generic, 3, 7)
    whole = generic.pose(values)
    flat = generic.pose(values.reshape(21, -1))
    single = generic.pose(values[1, 2])
    for field in ("rotation", "origin_m", "joint_centre_m"):
        in_batch = getattr(whole, field)
        assert in_batch.shape[:2] == (3, 7)
        np.testing.assert_allclose(in_batch.reshape(21, *in_batch.shape[2:]), getattr(flat, field), atol=1e-14)
        np.testing.assert_allclose(in_batch[1, 2], getattr(single, field), atol=1e-14)
    com = generic.centre_of_mass(whole)
    np.testing.assert_allclose(com[1, 2], generic.centre_of_mass(single), atol=1e-14)
    rates = random_values(generic, 3, 7, seed=1)
    momentum = generic.momentum(values, rates)
    expected = generic.momentum(values[1, 2], rates[1, 2])
    np.testing.assert_allclose(momentum.angular_kgm2_s[1, 2], expected.angular_kgm2_s, atol=1e-12)
    assert momentum.linear_kgm_s.shape == (3, 7, 3)


def test_single_precision_is_good_to_a_hundredth_of_a_millimetre(generic: Skeleton) -> None:
    values = random_values(generic, 20)
    exact, single = generic.pose(values), generic.pose(values.float())
    assert single.origin_m.dtype == torch.float32
    np.testing.assert_allclose(single.origin_m, exact.origin_m, atol=1e-5)


def test_sixty_four_windows_take_less_than_a_tenth_of_a_second() -> None:
    path = GENERIC_BODY
    if SHARED.is_dir():
        path = SHARED / "samples" / "hamner" / "model.osim"  # of the samples the one with most coordinates
    skeleton = read_model(path)
    values = random_values(skeleton, 64, 150).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    times: list[float] = []
    try:
        with torch.no_grad():
            while len(times) < MOST_REPETITIONS and min(times, default=1.0) >= 0.1:
                start = time.perf_counter()
                skeleton.pose(values)
                times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 0.1


def test_inputs_are_not_modified(generic: Skeleton) -> None:
    values, rates = random_values(generic, 4), random_values(generic, 4, seed=1)
    before = values.clone(), rates.clone()
    generic.pose(values)
    generic.momentum(values, rates)
    assert torch.equal(values, before[0])
    assert torch.equal(rates, before[1])


def test_scaling_the_mass_scales_momentum_and_leaves_the_pose(generic: Skeleton) -> None:
    heavy = generic.scaled_to(2 * generic.mass_kg)
    values, rates = random_values(generic, 4), random_values(generic, 4, seed=1)
    assert heavy.mass_kg == pytest.approx(150.0)
    assert torch.equal(heavy.pose(values).origin_m, generic.pose(values).origin_m)
    np.testing.assert_allclose(
        heavy.centre_of_mass(heavy.pose(values)), generic.centre_of_mass(generic.pose(values)), atol=1e-14
    )
    ours, double = generic.momentum(values, rates), heavy.momentum(values, rates)
    np.testing.assert_allclose(double.angular_kgm2_s, 2 * ours.angular_kgm2_s, atol=1e-12)
    np.testing.assert_allclose(double.linear_kgm_s, 2 * ours.linear_kgm_s, atol=1e-12)


def test_an_upright_joint_keeps_the_vertical_and_follows_the_heading(generic: Skeleton) -> None:
    trunk = next(joint for joint in generic.joints if joint.child == "torso")
    upright = replace(trunk, rotations=(), translations=(), is_upright=True)
    skeleton = replace(generic, joints=tuple(upright if j is trunk else j for j in generic.joints))
    values = random_values(skeleton, 10)
    rotation = skeleton.pose(values).rotation
    torso = rotation[:, skeleton.body_index["torso"]].numpy()
    pelvis = rotation[:, skeleton.body_index["pelvis"]].numpy()
    np.testing.assert_allclose(torso[:, :, 1], np.broadcast_to([0.0, 1.0, 0.0], (10, 3)), atol=1e-12)
    forward = pelvis[:, :, 0] * [1.0, 0.0, 1.0]
    np.testing.assert_allclose(torso[:, :, 0], forward / np.linalg.norm(forward, axis=1, keepdims=True), atol=1e-12)
    tilt = skeleton.coordinate_names.index("pelvis_tilt")
    for lumbar in ("lumbar_extension", "lumbar_bending", "lumbar_rotation"):
        values[:, skeleton.coordinate_names.index(lumbar)] += 0.3
    values[:, tilt] += 0.2
    turned = skeleton.pose(values).rotation[:, skeleton.body_index["torso"]].numpy()
    np.testing.assert_allclose(turned[:, 1], np.broadcast_to([0.0, 1.0, 0.0], (10, 3)), atol=1e-12)


def test_the_path_to_the_root_runs_from_the_foot_to_the_ground(generic: Skeleton) -> None:
    path = generic.path_to_root("toes_l")
    assert [joint.child for joint in path] == ["toes_l", "calcn_l", "talus_l", "tibia_l", "femur_l", "pelvis"]
    assert path[-1].parent == "ground"


@pytest.mark.parametrize(
    ("bodies", "hindfeet", "toes"),
    [
        (("calcn_l", "toes_l", "calcn_r", "toes_r"), ("calcn_r", "calcn_l"), ("toes_r", "toes_l")),
        (("foot_r", "foot_l"), ("foot_r", "foot_l"), (None, None)),
        (("RightFoot", "LeftFoot", "RightToe", "LeftToe"), ("RightFoot", "LeftFoot"), ("RightToe", "LeftToe")),
        (("r_heel", "l_heel", "r_forefoot", "l_forefoot"), ("r_heel", "l_heel"), ("r_forefoot", "l_forefoot")),
        (("hindfoot_right", "hindfoot_left"), ("hindfoot_right", "hindfoot_left"), (None, None)),
    ],
)
def test_feet_are_found_by_the_names_in_use(
    bodies: tuple[str, ...], hindfeet: tuple[str, str], toes: tuple[str | None, str | None]
) -> None:
    feet = find_feet(("pelvis", "femur_r", "femur_l", *bodies))
    assert tuple(foot.hindfoot for foot in feet) == hindfeet
    assert tuple(foot.toes for foot in feet) == toes
    assert tuple(foot.side for foot in feet) == ("r", "l")


@pytest.mark.parametrize("bodies", [("pelvis", "torso"), ("calcn_r", "pelvis"), ("ulna_r", "ulna_l", "football")])
def test_a_body_without_two_feet_is_refused(bodies: tuple[str, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"no (right|left) foot"):
        find_feet(bodies)


def test_a_polynomial_is_numpys() -> None:
    x = np.linspace(-2, 2, 11)
    for coefficients in ((0.3,), (2.0, -0.3), (0.1, -0.2, 0.3, 0.4)):
        ours = Polynomial(coefficients)(torch.from_numpy(x))
        np.testing.assert_allclose(ours, np.polyval(coefficients, x), atol=1e-14)


def test_a_spline_meets_its_knots_with_its_slopes_and_goes_on_straight() -> None:
    knots, values, slopes = (-1.0, -0.2, 0.5, 1.3), (0.4, -0.3, 0.2, 0.6), (1.0, -0.4, 0.3, -0.8)
    spline = CubicSpline(knots, values, slopes)
    x = torch.tensor(knots, dtype=torch.float64, requires_grad=True)
    y = spline(x)
    np.testing.assert_allclose(y.detach(), values, atol=1e-14)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(slope, slopes, atol=1e-12)
    outside = torch.tensor([-1.7, 2.1], dtype=torch.float64)
    np.testing.assert_allclose(spline(outside), [0.4 - 0.7 * 1.0, 0.6 - 0.8 * 0.8], atol=1e-12)
    just_before = spline(torch.tensor(knots[1:], dtype=torch.float64) - 1e-9)
    np.testing.assert_allclose(just_before, values[1:], atol=1e-8)
