"""Moments and forces of the joints, against OpenSim and against the laws of mechanics."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from opensim_solver import solved_by_opensim

from gaitdynamics.biomech.inverse_dynamics import FootWrench, JointForces, inverse_dynamics
from gaitdynamics.biomech.kinematics import held_upright
from gaitdynamics.errors import InvalidModelError
from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.maths.signals import smooth
from gaitdynamics.types.skeleton import Polynomial, Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

GENERIC_BODY = Path(__file__).parents[1] / "src" / "gaitdynamics" / "assets" / "generic_body.osim"
SMALL_STEP_S = 1e-4


def random_motion(body: Skeleton, *, num: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Postures near the default, with speeds and accelerations as in running."""
    generator = np.random.default_rng(seed)
    shape = (num, len(body.coordinates))
    values = body.default_values + generator.normal(0, 0.3, shape)
    rates, accelerations = generator.normal(0, 5.0, shape), generator.normal(0, 100.0, shape)
    return torch.from_numpy(values), torch.from_numpy(rates), torch.from_numpy(accelerations)


def random_feet(num: int = 5, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, forces and free moments."""
    generator = np.random.default_rng(seed)
    force_n = generator.normal([0.0, 600.0, 0.0], 200.0, (num, 2, 3))
    return generator.normal(0, 0.3, (num, 2, 3)), force_n, generator.normal(0, 5.0, (num, 2))


def no_wrench(*shape: int) -> FootWrench:
    return FootWrench(torch.zeros(*shape, 2, 3), torch.zeros(*shape, 2, 3))


def solved(body: Skeleton, motion: tuple[torch.Tensor, torch.Tensor, torch.Tensor], wrench: FootWrench) -> JointForces:
    values, rates, accelerations = motion
    return inverse_dynamics(body, values, rates=rates, accelerations=accelerations, wrench=wrench)


def wrench_of(feet: tuple[np.ndarray, np.ndarray, np.ndarray]) -> FootWrench:
    return FootWrench.at(*(torch.from_numpy(array) for array in feet))


def with_own_rates(body: Skeleton, motion: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, rates and accelerations in which coupled coordinates move as their drivers make them."""
    values, rates, accelerations = (each.numpy() for each in motion)
    curve = accelerations * (SMALL_STEP_S**2 / 2)
    after, before = (body.with_coupled_values(values + sign * SMALL_STEP_S * rates + curve) for sign in (1, -1))
    here = body.with_coupled_values(values)
    is_coupled = [coordinate.is_coupled for coordinate in body.coordinates]
    first = np.where(is_coupled, (after - before) / (2 * SMALL_STEP_S), rates)
    second = np.where(is_coupled, (after - 2 * here + before) / SMALL_STEP_S**2, accelerations)
    return here, first, second


def coupled(body: Skeleton) -> Skeleton:
    """The left knee bends with the square of the right one's angle."""
    coordinates = tuple(
        replace(c, coupled_to="knee_angle_r", coupling=Polynomial((0.5, 0.3, 0.1))) if c.name == "knee_angle_l" else c
        for c in body.coordinates
    )
    return replace(body, coordinates=coordinates)


def test_moments_are_opensims(body: Skeleton, opensim: ModuleType) -> None:
    motion, feet = random_motion(body), random_feet()
    point_m, force_n, free_moment_nm = feet
    expected = solved_by_opensim(
        opensim,
        GENERIC_BODY,
        body,
        derivatives=with_own_rates(body, motion),
        force_n=force_n,
        point_m=point_m,
        free_moment_nm=free_moment_nm,
    )
    found = solved(body, motion, wrench_of(feet)).generalised.numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("sample", ["gait2354", "hamner", "camargo"])
def test_moments_of_measured_motions_are_opensims(shared: Path, opensim: ModuleType, sample: str) -> None:
    model = shared / "samples" / sample / "model.osim"
    body = read_model(model)
    motion = read_motion(shared / "samples" / sample / "ik.mot", body.coordinates)[0]
    rate_hz = motion.sampling_rate_hz
    values = smooth(motion.values[:200], cutoff_hz=8.0, sampling_rate_hz=rate_hz)
    rates = np.gradient(values, 1 / rate_hz, axis=0)
    accelerations = np.gradient(rates, 1 / rate_hz, axis=0)
    given = tuple(torch.from_numpy(each[::5]) for each in (values, rates, accelerations))
    feet = random_feet(len(given[0]))
    expected = solved_by_opensim(
        opensim,
        model,
        body,
        derivatives=with_own_rates(body, given),
        point_m=feet[0],
        force_n=feet[1],
        free_moment_nm=feet[2],
    )
    found = solved(body, (given[0], given[1], given[2]), wrench_of(feet)).generalised.numpy()
    assert (np.abs(found - expected).max(axis=0) <= 1e-5 * np.ptp(expected, axis=0) + 1e-7).all()


def test_a_body_that_stands_still_has_opensims_moments_whatever_its_knees(shared: Path, opensim: ModuleType) -> None:
    model = shared / "samples" / "moco_walk" / "subject_walk_scaled.osim"
    body = read_model(model)
    values, rates, accelerations = random_motion(body)
    feet = random_feet()
    expected = solved_by_opensim(
        opensim,
        model,
        body,
        derivatives=with_own_rates(body, (values, 0 * rates, accelerations)),
        point_m=feet[0],
        force_n=feet[1],
        free_moment_nm=feet[2],
    )
    found = solved(body, (values, 0 * rates, accelerations), wrench_of(feet)).generalised.numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_without_ground_the_root_gives_the_rate_of_momentum(body: Skeleton) -> None:
    values, rates, accelerations = random_motion(body)
    found = solved(body, (values, rates, accelerations), no_wrench(5))
    after, before = (
        body.momentum(values + h * rates + h * h / 2 * accelerations, rates + h * accelerations)
        for h in (SMALL_STEP_S, -SMALL_STEP_S)
    )
    weight_n = torch.tensor([0.0, body.mass_kg * STANDARD_GRAVITY_M_S2, 0.0])
    force_n = (after.linear_kgm_s - before.linear_kgm_s) / (2 * SMALL_STEP_S) + weight_n
    com_m = body.centre_of_mass(found.pose)
    lever_m = found.pose.joint_centre_m[:, 0] - com_m
    moment_nm = (after.angular_kgm2_s - before.angular_kgm2_s) / (2 * SMALL_STEP_S)
    np.testing.assert_allclose(found.force_n[:, 0], force_n, rtol=1e-4, atol=1e-2)
    about_com = found.moment_nm[:, 0] + torch.linalg.cross(lever_m, found.force_n[:, 0])
    np.testing.assert_allclose(about_com, moment_nm, rtol=1e-3, atol=1e-2)


def test_what_the_coordinates_do_becomes_energy(body: Skeleton) -> None:
    values, rates, accelerations = random_motion(body)
    power_w = (solved(body, (values, rates, accelerations), no_wrench(5)).generalised * rates).sum(-1)

    def energy(h: float) -> torch.Tensor:
        # Generalised momentum times rate: what accelerations of the size of the rates ask for, gravity taken out.
        at = (values + h * rates + h * h / 2 * accelerations, rates + h * accelerations)
        nothing = torch.zeros_like(rates)
        moving = solved(body, (at[0], nothing, at[1]), no_wrench(5)).generalised
        resting = solved(body, (at[0], nothing, nothing), no_wrench(5)).generalised
        kinetic = ((moving - resting) * at[1]).sum(-1) / 2
        return kinetic + body.mass_kg * STANDARD_GRAVITY_M_S2 * body.centre_of_mass(body.pose(at[0]))[:, 1]

    expected = (energy(SMALL_STEP_S) - energy(-SMALL_STEP_S)) / (2 * SMALL_STEP_S)
    np.testing.assert_allclose(power_w, expected, rtol=1e-5)


def test_a_force_does_not_care_where_the_ground_has_its_origin(body: Skeleton) -> None:
    values, rates, accelerations = random_motion(body)
    point_m, force_n, free_moment_nm = random_feet()
    moved, shift_m = values.clone(), np.array([100.0, 0.0, -50.0])
    for name, shift in (("pelvis_tx", shift_m[0]), ("pelvis_tz", shift_m[2])):
        moved[:, body.coordinate_names.index(name)] += shift
    here = solved(body, (values, rates, accelerations), wrench_of((point_m, force_n, free_moment_nm)))
    there = solved(body, (moved, rates, accelerations), wrench_of((point_m + shift_m, force_n, free_moment_nm)))
    np.testing.assert_allclose(there.generalised, here.generalised, atol=1e-6)
    np.testing.assert_allclose(there.moment_nm, here.moment_nm, atol=1e-6)


def test_a_coupled_coordinate_moves_as_its_driver_says(body: Skeleton) -> None:
    follower = coupled(body)
    left = body.coordinate_names.index("knee_angle_l")
    motion = random_motion(body)
    feet = wrench_of(random_feet())
    found = solved(follower, motion, feet)
    told = with_own_rates(follower, motion)
    assert not np.allclose(told[1][:, left], motion[1][:, left])
    free = solved(body, (torch.from_numpy(told[0]), torch.from_numpy(told[1]), torch.from_numpy(told[2])), feet)
    np.testing.assert_allclose(found.generalised, free.generalised, rtol=1e-5, atol=1e-3)


def test_the_batch_may_have_any_shape(body: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    motion, feet = random_motion(body, num=6), random_feet(6)
    flat = solved(body, motion, wrench_of(feet))
    monkeypatch.setattr("gaitdynamics.biomech.inverse_dynamics.CHUNK", 4)
    shaped = solved(
        body,
        (motion[0].reshape(2, 3, -1), motion[1].reshape(2, 3, -1), motion[2].reshape(2, 3, -1)),
        FootWrench(*(part.reshape(2, 3, 2, 3) for part in vars(wrench_of(feet)).values())),
    )
    assert shaped.moment_nm.shape == (2, 3, len(body.joints), 3)
    np.testing.assert_allclose(shaped.generalised.reshape(6, -1), flat.generalised, atol=1e-9)
    np.testing.assert_allclose(shaped.pose.rotation.flatten(0, 1), flat.pose.rotation, atol=1e-12)


def test_the_pose_is_the_skeletons(body: Skeleton) -> None:
    motion = random_motion(body)
    found, expected = solved(body, motion, no_wrench(5)).pose, body.pose(motion[0])
    for name in ("rotation", "origin_m", "joint_centre_m"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-12)


def test_moments_have_gradients(body: Skeleton) -> None:
    follower = coupled(body)
    motion = tuple(each.requires_grad_() for each in random_motion(body, num=1))
    feet = tuple(each.requires_grad_() for each in vars(wrench_of(random_feet(1))).values())

    def of(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = solved(follower, (given[0], given[1], given[2]), FootWrench(given[3], given[4]))
        return found.generalised, found.moment_nm

    assert torch.autograd.gradcheck(of, (*motion, *feet), eps=1e-5, rtol=1e-3, atol=1e-2, fast_mode=True)


def test_a_body_that_is_held_upright_is_refused(body: Skeleton) -> None:
    joint = next(joint for joint in body.joints if joint.parent != "ground")
    with pytest.raises(InvalidModelError, match="upright"):
        solved(held_upright(body, joint), random_motion(body), no_wrench(5))
