"""External moments, powers, lever arms and peaks of hip, knee and ankle."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitdynamics.biomech.events import stances
from gaitdynamics.biomech.inverse_dynamics import FootWrench, inverse_dynamics
from gaitdynamics.biomech.joint_loads import (
    external_moments,
    joint_loads,
    joint_loads_of_each,
    load_parameters,
)
from gaitdynamics.biomech.kinematics import leg_joints, posed
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial
from gaitdynamics.units import SIDE_NAMES

NUM = 100
FORCE_N = 700.0
SIGN = {"right": 1.0, "left": -1.0}


def standing(body: Skeleton, *, num: int = NUM) -> Trial:
    values = np.tile(body.default_values, (num, 1))
    motion = Motion(np.arange(num) / 100.0, values, body.coordinate_names, np.ones_like(values, dtype=bool))
    subject = Subject("nobody", mass_kg=body.mass_kg, height_m=1.75)
    return Trial("standing", subject, body, motion, None, 0.0, "made")


def centre_m(body: Skeleton, joint: str) -> np.ndarray:
    leg = next(leg for leg in leg_joints(body) if f"{leg.name}_{SIDE_NAMES['rl'.index(leg.side)]}" == joint)
    place = body.joints.index(leg.joint)
    return posed(body, body.default_values[None]).joint_centre_m[0, place].numpy()


def pushed(foot: int, point_m: np.ndarray, force_n: np.ndarray, *, num: int = NUM) -> GroundReaction:
    """One foot is pushed all the time."""
    force, cop = np.zeros((num, 2, 3)), np.zeros((num, 2, 3))
    force[:, foot], cop[:, foot] = force_n, point_m
    return GroundReaction(np.arange(num) / 100.0, force, cop, np.zeros((num, 2)), np.ones((num, 2), dtype=bool))


def change_nm(body: Skeleton, side: str, joint: str, shift_m: list[float]) -> np.ndarray:
    """What an upward force at a shift (forward, up, to the right) from a joint does to its moment."""
    trial = standing(body)
    foot = SIDE_NAMES.index(side)
    name = f"{joint}_{side}"
    up = np.array([0.0, FORCE_N, 0.0])
    at_joint, beside = (
        joint_loads(trial, pushed(foot, centre_m(body, name) + shift, up)).moment_nm[name][NUM // 2]
        for shift in (np.zeros(3), np.array(shift_m))
    )
    return beside - at_joint


@pytest.mark.parametrize("side", SIDE_NAMES)
@pytest.mark.parametrize("joint", ["hip", "knee", "ankle"])
def test_a_force_that_passes_medially_adducts(body: Skeleton, side: str, joint: str) -> None:
    found = change_nm(body, side, joint, [0.0, 0.0, -0.05 * SIGN[side]])
    np.testing.assert_allclose(found, [0.0, 0.05 * FORCE_N, 0.0], atol=2.0)


@pytest.mark.parametrize("side", SIDE_NAMES)
@pytest.mark.parametrize(("joint", "sign"), [("hip", 1.0), ("knee", -1.0), ("ankle", 1.0)])
def test_a_force_in_front_flexes_hip_and_ankle_and_extends_the_knee(
    body: Skeleton, side: str, joint: str, sign: float
) -> None:
    found = change_nm(body, side, joint, [0.05, 0.0, 0.0])
    np.testing.assert_allclose(found, [sign * 0.05 * FORCE_N, 0.0, 0.0], atol=2.0)


@pytest.mark.parametrize("side", SIDE_NAMES)
def test_a_moment_that_turns_the_toes_inwards_rotates_internally(body: Skeleton, side: str) -> None:
    trial, foot = standing(body), SIDE_NAMES.index(side)
    forces = pushed(foot, centre_m(body, f"ankle_{side}"), np.array([0.0, FORCE_N, 0.0]))
    twisted = replace(forces, free_moment_nm=np.eye(2)[foot] * 10.0 * SIGN[side] * np.ones((NUM, 1)))
    for joint in ("hip", "knee", "ankle"):
        before, after = (joint_loads(trial, each).moment_nm[f"{joint}_{side}"][NUM // 2] for each in (forces, twisted))
        np.testing.assert_allclose(after - before, [0.0, 0.0, 10.0], atol=0.5)


def test_flexion_of_the_hip_is_the_coordinates_moment_with_the_other_sign(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    loads = joint_loads(trial, estimate_forces(trial).forces)
    for side, letter in zip(SIDE_NAMES, "rl", strict=True):
        column = loads.coordinates.index(f"hip_flexion_{letter}")
        np.testing.assert_allclose(loads.moment_nm[f"hip_{side}"][:, 0], -loads.generalised_force[:, column], atol=1e-8)


def walking(body: Skeleton, walk: Motion) -> Trial:
    return replace(standing(body), motion=walk)


def test_the_lever_arm_is_force_times_distance(body: Skeleton) -> None:
    trial = standing(body)
    force_n = np.array([30.0, FORCE_N, -40.0])
    for foot, side in enumerate(SIDE_NAMES):
        knee_m = centre_m(body, f"knee_{side}")
        point_m = np.array([knee_m[0] + 0.1, 0.0, knee_m[2] - 0.04])
        loads = joint_loads(trial, pushed(foot, point_m, force_n))
        expected = ((point_m - knee_m)[1] * force_n[2] - (point_m - knee_m)[2] * force_n[1]) * SIGN[side]
        np.testing.assert_allclose(loads.lever_arm_nm[side], expected, rtol=1e-6)
        np.testing.assert_allclose(loads.lever_arm_nm[SIDE_NAMES[1 - foot]], 0.0, atol=1e-9)


def test_a_free_moment_is_no_part_of_the_lever_arm(body: Skeleton) -> None:
    trial = standing(body)
    forces = pushed(0, np.array([0.1, 0.0, 0.05]), np.array([0.0, FORCE_N, 0.0]))
    twisted = replace(forces, free_moment_nm=np.full((NUM, 2), 10.0))
    expected = joint_loads(trial, forces).lever_arm_nm["right"]
    np.testing.assert_allclose(joint_loads(trial, twisted).lever_arm_nm["right"], expected)


def test_who_stands_on_the_pressure_below_the_centre_of_mass_leaves_no_residual(body: Skeleton) -> None:
    trial = standing(body)
    com_m = body.centre_of_mass(posed(body, body.default_values[None]))[0].numpy()
    weight_n = np.array([0.0, trial.subject.body_weight_n, 0.0])
    loads = joint_loads(trial, pushed(0, com_m * [1, 0, 1], weight_n))
    np.testing.assert_allclose(loads.residual_force_n, 0.0, atol=1e-6)
    np.testing.assert_allclose(loads.residual_moment_nm, 0.0, atol=1e-6)


def test_power_is_moment_times_rate(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    loads = joint_loads(trial, estimate_forces(trial).forces, cutoff_hz=None)
    column = loads.coordinates.index("ankle_angle_r")
    rates = np.gradient(walk.values[:, column], 1 / walk.sampling_rate_hz)
    expected = loads.generalised_force[:, column] * rates
    assert np.abs(loads.power_w[:, column] - expected)[2:-2].max() < 0.02 * np.ptp(expected)
    np.testing.assert_allclose(loads.joint_power_w["ankle_right"], loads.power_w[:, column])


def test_several_samples_at_once_are_as_each_alone(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    forces = estimate_forces(trial).forces
    half = len(walk.time_s) // 2
    short = replace(walk, time_s=walk.time_s[:half], values=walk.values[:half], observed=walk.observed[:half])
    bent = replace(walk, values=walk.values + 0.05)
    samples = [(walk, forces), (bent, forces), (short, forces), (bent, forces)]
    for (motion, _), found in zip(samples, joint_loads_of_each(trial, samples), strict=True):
        alone = joint_loads(replace(trial, motion=motion), forces)
        for name, moment in alone.moment_nm.items():
            np.testing.assert_allclose(found.moment_nm[name], moment, atol=1e-8)
        for side in SIDE_NAMES:
            np.testing.assert_allclose(found.lever_arm_nm[side], alone.lever_arm_nm[side], atol=1e-8)


def test_external_moments_have_gradients(body: Skeleton, walk: Motion) -> None:
    values = torch.from_numpy(walk.values[:2]).requires_grad_()
    nothing = torch.zeros_like(values)
    wrench = FootWrench.at(torch.zeros(2, 2, 3), torch.tensor([0.0, 400.0, 0.0]).expand(2, 2, 3), torch.zeros(2, 2))
    found = external_moments(body, inverse_dynamics(body, values, rates=nothing, accelerations=nothing, wrench=wrench))
    (gradient,) = torch.autograd.grad(found[0, 1, 1], values)
    column = body.coordinate_names.index("pelvis_tz")  # a pelvis to the right of a fixed force adducts the right knee
    assert float(gradient[0, column]) == pytest.approx(400.0, rel=0.3)
    np.testing.assert_allclose(gradient[1], 0.0)


def test_unloaded_plates_centres_of_pressure_are_not_believed(body: Skeleton) -> None:
    trial = standing(body)
    loaded = pushed(0, np.array([0.1, 0.0, 0.05]), np.array([0.0, FORCE_N, 0.0]))
    noisy = replace(loaded, force_n=loaded.force_n.copy(), cop_m=loaded.cop_m.copy())
    noisy.force_n[:, 1, 1], noisy.cop_m[:, 1] = 5.0, [np.nan, 0.0, 90.0]
    expected, found = joint_loads(trial, loaded), joint_loads(trial, noisy)
    for name, moment in expected.moment_nm.items():
        np.testing.assert_allclose(found.moment_nm[name], moment)


def test_forces_at_other_times_are_interpolated(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    forces = estimate_forces(trial).forces
    fine_s = np.linspace(forces.time_s[0], forces.time_s[-1], 10 * len(forces.time_s) - 9)
    fine = GroundReaction(
        fine_s,
        *(
            np.stack(
                [np.interp(fine_s, forces.time_s, c) for c in array.reshape(len(forces.time_s), -1).T], axis=1
            ).reshape(-1, *array.shape[1:])
            for array in (forces.force_n, forces.cop_m, forces.free_moment_nm)
        ),
        np.ones((len(fine_s), 2), dtype=bool),
    )
    few, many = (joint_loads(trial, each) for each in (forces, fine))
    size = np.ptp(few.moment_nm["knee_right"][:, 1])
    assert np.abs(few.moment_nm["knee_right"] - many.moment_nm["knee_right"])[5:-5].max() < 0.03 * size


def test_peaks_and_impulses_are_means_over_whole_stances(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    forces = estimate_forces(trial).forces
    loads = joint_loads(trial, forces)
    found = load_parameters(loads, forces, trial.subject)
    whole = [s for s in stances(forces) if s.foot == 0 and s.is_whole]
    assert len(whole) >= 2
    adduction = 100 * loads.moment_nm["knee_right"][:, 1] / (trial.subject.body_weight_n * trial.subject.height_m)
    halves = [np.array_split(adduction[s.start : s.end], [(s.end - s.start) // 2]) for s in whole]
    assert found["knee_adduction_first_peak_pct_bw_bh_right"] == pytest.approx(np.mean([h[0].max() for h in halves]))
    assert found["knee_adduction_second_peak_pct_bw_bh_right"] == pytest.approx(np.mean([h[1].max() for h in halves]))
    impulses = [np.trapezoid(np.maximum(adduction[s.start : s.end], 0), dx=0.01) for s in whole]
    assert found["knee_adduction_impulse_pct_bw_bh_s_right"] == pytest.approx(np.mean(impulses), rel=1e-6)
    per_kg = found["knee_flexion_peak_nm_kg"]
    assert per_kg is not None
    ratio = trial.subject.body_weight_n * trial.subject.height_m / 100 / trial.subject.mass_kg
    assert per_kg == pytest.approx((found["knee_flexion_peak_pct_bw_bh"] or 0.0) * ratio)


def test_both_sides_make_the_mean(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    forces = estimate_forces(trial).forces
    found = load_parameters(joint_loads(trial, forces), forces, trial.subject)
    name = "hip_adduction_peak_pct_bw_bh"
    sides = [found[f"{name}_{side}"] for side in SIDE_NAMES]
    assert found[name] == pytest.approx(np.mean([side for side in sides if side is not None]))


def test_stances_of_unknown_force_do_not_count(body: Skeleton, walk: Motion) -> None:
    trial = walking(body, walk)
    forces = estimate_forces(trial).forces
    unknown = replace(forces, valid=forces.valid & [False, True])
    found = load_parameters(joint_loads(trial, unknown), unknown, trial.subject)
    assert found["knee_adduction_first_peak_pct_bw_bh_right"] is None
    assert found["knee_adduction_first_peak_pct_bw_bh"] == found["knee_adduction_first_peak_pct_bw_bh_left"] is not None


def test_standing_has_no_peaks(body: Skeleton) -> None:
    trial = standing(body)
    forces = pushed(0, np.array([0.1, 0.0, 0.05]), np.array([0.0, FORCE_N, 0.0]))
    found = load_parameters(joint_loads(trial, forces), forces, trial.subject)
    assert set(found.values()) == {None}
