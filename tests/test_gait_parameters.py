"""The numbers by which gaits are compared, on the bundled walk and variants of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walk_variants import (
    SPEED_M_S,
    STRIDE_FRAMES,
    changed,
    column,
    mirrored,
    of_other_knee_sign,
    on_treadmill,
    trial_of,
)

from gaitdynamics.biomech.anthropometry import torso_of
from gaitdynamics.biomech.gait_parameters import gait_parameters
from gaitdynamics.biomech.kinematics import posed
from gaitdynamics.biomech.summary import summarise
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.trial import Trial

Parameters = dict[str, float | None]


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    return trial_of(body, walk)


@pytest.fixture(scope="module")
def prediction(trial: Trial) -> Prediction:
    return estimate_forces(trial)


@pytest.fixture(scope="module")
def parameters(trial: Trial, prediction: Prediction) -> Parameters:
    return gait_parameters(trial, prediction.forces, belt_speed_m_s=0.0)


def of_motion(trial: Trial, motion: Motion, prediction: Prediction) -> Parameters:
    return gait_parameters(replace(trial, motion=motion), prediction.forces, belt_speed_m_s=0.0)


def test_the_walk_has_its_speed_cadence_and_stride(parameters: Parameters) -> None:
    stride_s = STRIDE_FRAMES / 100
    assert parameters["speed_m_s"] == pytest.approx(SPEED_M_S, rel=0.01)
    assert parameters["stride_time_s"] == pytest.approx(stride_s)
    assert parameters["cadence_steps_per_min"] == pytest.approx(120 / stride_s, rel=0.01)
    assert parameters["stride_length_m"] == pytest.approx(SPEED_M_S * stride_s, rel=0.01)
    assert parameters["flight_share"] == 0.0
    assert 0.55 < parameters["stance_share"] < 0.68
    assert parameters["contact_time_s"] == pytest.approx(parameters["stance_share"] * stride_s, rel=0.01)


def test_what_a_summary_holds_too_is_the_same(trial: Trial, prediction: Prediction, parameters: Parameters) -> None:
    summary = summarise(trial, prediction)
    for name in ("speed_m_s", "cadence_steps_per_min", "double_support_share", "flight_share"):
        assert parameters[name] == pytest.approx(summary["gait"][name], abs=1e-4)
    for side in ("right", "left"):
        for name in ("stride_length_m", "stride_time_s", "step_length_m", "step_width_m", "stance_share"):
            assert parameters[f"{name}_{side}"] == pytest.approx(summary["steps"][side][name], abs=1e-4)
        loads = summary["forces"][side]
        assert parameters[f"peak_vertical_bw_{side}"] == pytest.approx(loads["vertical"]["max_bw"], abs=1e-4)
        assert parameters[f"peak_propulsive_bw_{side}"] == pytest.approx(loads["anteroposterior"]["max_bw"], abs=1e-4)
        assert parameters[f"peak_braking_bw_{side}"] == pytest.approx(-loads["anteroposterior"]["min_bw"], abs=1e-4)
        knee = summary["joint_angles_deg"][f"knee_{side[0]}"]["flexion"]
        assert parameters[f"knee_flexion_max_deg_{side}"] == pytest.approx(knee["max"], abs=0.5)


def test_without_a_side_a_parameter_is_the_mean_of_both(parameters: Parameters) -> None:
    sided = [name.removesuffix("_right") for name in parameters if name.endswith("_right")]
    assert len(sided) > 20
    for name in sided:
        mean = (parameters[f"{name}_right"] + parameters[f"{name}_left"]) / 2
        assert parameters[name] == pytest.approx(mean, abs=1e-12)


def test_in_the_mirror_the_sides_change_places(trial: Trial, prediction: Prediction, parameters: Parameters) -> None:
    forces = prediction.forces
    swapped = replace(forces, force_n=forces.force_n[:, ::-1] * [1.0, 1.0, -1.0], valid=forces.valid[:, ::-1])
    other = gait_parameters(replace(trial, motion=mirrored(trial.motion)), swapped, belt_speed_m_s=0.0)
    for name, value in parameters.items():
        partner = name.replace("_right", "_LEFT").replace("_left", "_right").replace("_LEFT", "_left")
        assert other[partner] == pytest.approx(value, abs=1e-6), name


def test_on_a_treadmill_distances_are_those_over_the_ground(
    trial: Trial, prediction: Prediction, parameters: Parameters
) -> None:
    motion = on_treadmill(trial.motion)[0]
    on_belt = gait_parameters(replace(trial, motion=motion), prediction.forces, belt_speed_m_s=SPEED_M_S)
    for name in ("speed_m_s", "stride_length_m", "step_width_m"):
        assert on_belt[name] == pytest.approx(parameters[name], rel=1e-3)


def test_the_models_sign_of_knee_flexion_does_not_matter(
    trial: Trial, prediction: Prediction, parameters: Parameters, tmp_path: Path
) -> None:
    skeleton, motion = of_other_knee_sign(trial.motion, tmp_path)
    other = gait_parameters(trial_of(skeleton, motion), prediction.forces, belt_speed_m_s=0.0)
    assert other["knee_flexion_max_deg"] == pytest.approx(parameters["knee_flexion_max_deg"], abs=0.01)
    assert other["knee_flexion_min_deg"] == pytest.approx(parameters["knee_flexion_min_deg"], abs=0.01)


def test_a_trunk_that_leans_right_leans_toward_the_right_leg(
    trial: Trial, prediction: Prediction, parameters: Parameters
) -> None:
    leaning = changed(trial.motion, lumbar_bending=column(trial.motion, "lumbar_bending") + np.radians(8.0))
    torso = trial.skeleton.body_index[torso_of(trial.skeleton)]
    shift = (posed(trial.skeleton, leaning.values).rotation - posed(trial.skeleton, trial.motion.values).rotation)[
        :, torso, 2, 1
    ]
    assert (shift > 0.1).all()  # the torso's long axis goes to the right, which is z
    other = of_motion(trial, leaning, prediction)
    assert other["trunk_lean_max_deg_right"] == pytest.approx(parameters["trunk_lean_max_deg_right"] + 8.0, abs=0.3)
    assert other["trunk_lean_max_deg_left"] == pytest.approx(parameters["trunk_lean_max_deg_left"] - 8.0, abs=0.3)
    assert other["trunk_lean_range_deg"] == pytest.approx(parameters["trunk_lean_range_deg"], abs=0.3)


def test_a_trunk_that_never_moves_has_no_lean(trial: Trial, prediction: Prediction) -> None:
    names = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    stiff = changed(trial.motion, **{name: np.zeros(len(trial.motion.time_s)) for name in names})
    other = of_motion(trial, stiff, prediction)
    assert other["trunk_lean_max_deg"] is other["trunk_lean_max_deg_left"] is other["trunk_lean_range_deg"] is None


def test_hips_turned_outward_turn_the_toes_out(trial: Trial, prediction: Prediction, parameters: Parameters) -> None:
    turned = {f"hip_rotation_{side}": column(trial.motion, f"hip_rotation_{side}") - 0.1 for side in "rl"}
    other = of_motion(trial, changed(trial.motion, **turned), prediction)
    for side in ("right", "left"):
        more = other[f"foot_progression_deg_{side}"] - parameters[f"foot_progression_deg_{side}"]
        assert more == pytest.approx(np.degrees(0.1), abs=1.0)


def test_loading_rate_is_the_slope_of_a_force_that_rises_evenly(trial: Trial, prediction: Prediction) -> None:
    forces, weight_n = prediction.forces, trial.subject.body_weight_n
    force = np.zeros_like(forces.force_n)
    frames = np.arange(len(forces.time_s))
    for foot in range(2):
        since_landing = (frames - 20 - foot * STRIDE_FRAMES // 2) % STRIDE_FRAMES / 100
        force[:, foot, 1] = np.where(since_landing < 0.6, np.minimum(8.0 * since_landing, 1.0), 0.0) * weight_n
    made = replace(forces, force_n=force)
    rates = gait_parameters(trial, made, belt_speed_m_s=0.0)
    assert rates["loading_rate_bw_s"] == pytest.approx(8.0, rel=1e-6)
    assert rates["peak_vertical_bw"] == pytest.approx(1.0)


def test_forces_may_have_times_of_their_own(trial: Trial, prediction: Prediction, parameters: Parameters) -> None:
    forces = prediction.forces
    quick_s = np.linspace(forces.time_s[0] - 0.2, forces.time_s[-1] + 0.2, 3 * len(forces.time_s))

    def at_quick(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1)
        columns = [np.interp(quick_s, forces.time_s, each) for each in flat.T]
        return np.stack(columns, axis=1).reshape(-1, *values.shape[1:])

    quick = replace(
        forces,
        time_s=quick_s,
        force_n=at_quick(forces.force_n),
        cop_m=at_quick(forces.cop_m),
        free_moment_nm=at_quick(forces.free_moment_nm),
        valid=np.ones((len(quick_s), 2), dtype=bool),
    )
    other = gait_parameters(trial, quick, belt_speed_m_s=0.0)
    for name in ("stride_length_m", "step_width_m", "contact_time_s", "peak_vertical_bw", "knee_flexion_max_deg"):
        assert other[name] == pytest.approx(parameters[name], rel=0.03), name


def test_standing_has_no_answers_but_zero_speed(trial: Trial, prediction: Prediction) -> None:
    still = replace(trial.motion, values=np.repeat(trial.motion.values[:1], len(trial.motion.time_s), axis=0))
    forces = replace(prediction.forces, force_n=np.full_like(prediction.forces.force_n, 360.0))
    other = gait_parameters(replace(trial, motion=still), forces, belt_speed_m_s=0.0)
    assert other.pop("speed_m_s") == pytest.approx(0.0, abs=1e-6)
    assert other.pop("double_support_share") == 1.0
    assert other.pop("flight_share") == 0.0
    assert set(other.values()) == {None}
