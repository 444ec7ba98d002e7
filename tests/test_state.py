"""A trial becomes a state and comes back, whoever walks wherever at whatever rate."""

import importlib.util
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from gaitdynamics.biomech.kinematics import (
    chain_between,
    heading_of,
    pelvis_of,
    posed,
    segment_rotation,
    with_chain_origin,
    with_chain_rotation,
)
from gaitdynamics.io.osim import read_model
from gaitdynamics.io.study import read_study
from gaitdynamics.maths.signals import interpolate
from gaitdynamics.state.codec import decode, decode_forces, decode_motion, encode
from gaitdynamics.state.frame import FRAME_RATE_HZ, ModelFrame
from gaitdynamics.state.layout import GAIT
from gaitdynamics.tasks.estimate_forces import estimate_forces
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.types.ground_reaction import CONTACT_FORCE_N, GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Pose, Skeleton
from gaitdynamics.types.subject import Subject
from gaitdynamics.types.trial import Trial

GENERATOR_FILE = Path(__file__).resolve().parents[1] / "scripts" / "make_assets.py"
MOTION_TOLERANCE, FORCE_TOLERANCE_N, COP_TOLERANCE_M = 1e-4, 1e-3, 1e-4
HELD = ("pelvis", "lumbar", "hip", "knee_angle", "ankle", "subtalar")  # by the state, of the models at hand
RATES_HZ = (50.0, 60.0, 100.0, 120.0, 200.0, 250.0)


@pytest.fixture(scope="module")
def trial(body: Skeleton, walk: Motion) -> Trial:
    """The bundled walk with the forces that the mechanics give it."""
    person = Subject("synthetic", mass_kg=75.0, height_m=1.75)
    bare = Trial("walk", person, body.scaled_to(75.0), walk, None, 0.0, "assets")
    return replace(bare, forces=estimate_forces(bare).forces)


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
def measured(shared: Path) -> tuple[Trial, ...]:
    """Two recordings of every laboratory's, a turning one among them where there is one."""
    found = []
    for _, recordings in groupby(read_study(shared / "gaitdata"), key=lambda recording: recording.dataset):
        of_laboratory = sorted(
            recordings, key=lambda recording: (not recording.trial.startswith("turn"), recording.name)
        )
        found += [load_trial(recording) for recording in of_laboratory[:2]]
    return tuple(found)


def column(trial: Trial, name: str) -> int:
    return trial.skeleton.coordinate_names.index(name)


def turned(trial: Trial, angle: np.ndarray | float) -> Trial:
    """The trial in a laboratory turned about its vertical, by an angle that may change over time."""
    angles = np.broadcast_to(angle, len(trial.motion.time_s))
    pose, pelvis = posed(trial.skeleton, trial.motion.values), pelvis_of(trial.skeleton)
    turn = about_vertical(angles)
    chain = chain_between(trial.skeleton, "ground", pelvis)
    wanted = turn @ segment_rotation(trial.skeleton, pose, pelvis)
    values = trial.motion.values.copy()
    values[:, column(trial, "pelvis_rotation")] += angles
    values = with_chain_rotation(trial.skeleton, values, chain, wanted)
    origin_m = pose.origin_m[:, trial.skeleton.body_index[pelvis]].numpy()
    values = with_chain_origin(trial.skeleton, values, chain, (turn @ origin_m[..., None])[..., 0])
    result = replace(trial, motion=replace(trial.motion, values=values))
    if trial.forces is None:
        return result
    turn = about_vertical(np.interp(trial.forces.time_s, trial.motion.time_s, angles))[:, None]
    rotated = [(turn @ v[..., None])[..., 0] for v in (trial.forces.force_n, trial.forces.cop_m)]
    return replace(result, forces=replace(trial.forces, force_n=rotated[0], cop_m=rotated[1]))


def about_vertical(angles: np.ndarray) -> np.ndarray:
    c, s, zero, one = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    return np.stack([c, zero, s, zero, one, zero, -s, zero, c], axis=-1).reshape(-1, 3, 3)


def at_rate(trial: Trial, rate_hz: float) -> Trial:
    """The trial sampled at another rate, up to where its own samples end; forces at the motion's times."""
    motion = trial.motion
    time_s = np.arange(motion.time_s[0], motion.time_s[-1] + 1e-9, 1.0 / rate_hz)
    values = CubicSpline(motion.time_s, np.unwrap(motion.values, axis=0))(time_s)
    values = trial.skeleton.with_coupled_values(values)
    nearest = np.searchsorted(motion.time_s, time_s - 0.5 / rate_hz).clip(max=len(motion.time_s) - 1)
    resampled = replace(trial, motion=Motion(time_s, values, motion.coordinates, motion.observed[nearest]))
    return with_forces_at_its_times(resampled)


def with_forces_at_its_times(trial: Trial) -> Trial:
    if trial.forces is None:
        return trial
    forces, time_s = trial.forces, trial.motion.time_s
    parts = [interpolate(v, forces.time_s, time_s) for v in (forces.force_n, forces.cop_m, forces.free_moment_nm)]
    return replace(trial, forces=GroundReaction(time_s, *parts, np.ones((len(time_s), 2), dtype=bool)))


def with_smooth_forces(trial: Trial) -> Trial:
    """Forces without contacts, of nothing above 8 Hz, acting near the feet."""
    time_s = trial.motion.time_s
    wave = np.stack([np.sin(2 * np.pi * f * time_s + f) / f for f in (1.0, 2.0, 4.0, 8.0)]).sum(axis=0)
    other = np.stack([np.cos(2 * np.pi * f * time_s) / f for f in (1.5, 3.0)]).sum(axis=0)
    force_n = np.stack([80 * other, 400 + 150 * wave, 20 * wave], axis=1)
    place_m = np.stack([0.1 * other, np.zeros_like(wave), 0.1 + 0.02 * wave], axis=1)
    cop_m = np.stack([place_m, place_m + 0.2], axis=1)
    smooth = GroundReaction(
        time_s, np.stack([force_n, force_n[::-1]], 1), cop_m, np.stack([wave, other], 1), np.ones((len(wave), 2), bool)
    )
    return replace(trial, forces=smooth)


def assert_round_trip(trial: Trial, *, with_forces: bool = True) -> None:
    state, frame = encode(trial)
    motion, forces = decode(state, frame, trial)
    assert motion.coordinates == trial.motion.coordinates
    np.testing.assert_array_equal(motion.time_s, trial.motion.time_s)
    np.testing.assert_allclose(motion.values, trial.motion.values, atol=MOTION_TOLERANCE, err_msg=trial.name)
    if with_forces:
        assert_same_forces(forces, trial)


def assert_same_forces(found: GroundReaction, trial: Trial) -> None:
    forces = trial.forces
    assert found.valid.any()
    np.testing.assert_array_equal(found.valid, forces.valid, err_msg=trial.name)
    valid, loaded = forces.valid, forces.valid & (forces.force_n[:, :, 1] > CONTACT_FORCE_N)
    np.testing.assert_allclose(found.force_n[valid], forces.force_n[valid], atol=FORCE_TOLERANCE_N, err_msg=trial.name)
    np.testing.assert_allclose(found.cop_m[loaded], forces.cop_m[loaded], atol=COP_TOLERANCE_M, err_msg=trial.name)
    np.testing.assert_allclose(found.free_moment_nm[valid], forces.free_moment_nm[valid], atol=1e-3, err_msg=trial.name)


def without_held_coordinates(trial: Trial) -> tuple[Trial, list[int]]:
    """The trial with the model's defaults for all that a state holds, and the columns of that."""
    columns = [
        i
        for i, coordinate in enumerate(trial.skeleton.coordinates)
        if coordinate.name.startswith(HELD) and not coordinate.is_coupled and not coordinate.is_locked
    ]
    values = trial.motion.values.copy()
    values[:, columns] = trial.skeleton.default_values[columns]
    return replace(trial, motion=replace(trial.motion, values=values)), columns


def assert_found_from_default(trial: Trial, state_of: Trial) -> None:
    """The state alone leads to the coordinates: the search gets none of them to start from."""
    state, frame = encode(state_of)
    blank, columns = without_held_coordinates(trial)
    found = decode_motion(state, frame, blank).values[:, columns]
    expected = trial.motion.values[:, columns]
    is_angle = np.array([trial.skeleton.coordinates[i].is_rotational for i in columns])
    turns = np.round((found - expected).mean(axis=0) / (2 * np.pi)) * is_angle * 2 * np.pi
    np.testing.assert_allclose(found - turns, expected, atol=MOTION_TOLERANCE, err_msg=trial.name)


# --- The bundled walk ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0.0, 37.0, 90.0, 180.0, -135.0])
def test_a_trial_comes_back_at_any_heading(trial: Trial, degrees: float) -> None:
    assert_round_trip(turned(trial, np.radians(degrees)))
    assert_found_from_default(turned(trial, np.radians(degrees)), turned(trial, np.radians(degrees)))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_trial_comes_back_at_any_rate(trial: Trial, rate_hz: float) -> None:
    resampled = with_smooth_forces(at_rate(trial, rate_hz))
    assert_round_trip(resampled)
    assert_found_from_default(resampled, resampled)


@pytest.mark.parametrize("rate_hz", [50.0, 60.0, 100.0])
def test_forces_of_at_most_100_hz_come_back_with_their_contacts(trial: Trial, rate_hz: float) -> None:
    resampled = at_rate(trial, rate_hz)
    assert (resampled.forces.force_n == 0.0).all(axis=2).mean() > 0.2
    assert_round_trip(resampled)
    _, forces = decode(*encode(resampled), resampled)
    assert (forces.force_n == 0.0)[resampled.forces.force_n == 0.0].mean() > 0.9


def test_a_state_does_not_depend_on_the_heading(trial: Trial) -> None:
    straight, _ = encode(trial)
    for degrees in (37.0, 90.0, 180.0, -135.0):
        state, frame = encode(turned(trial, np.radians(degrees)))
        np.testing.assert_allclose(state.values, straight.values, atol=1e-9)
        expected = about_vertical(np.radians([degrees]))[0] @ heading_of(trial.skeleton, posed_motion(trial))
        np.testing.assert_allclose(frame.heading, expected, atol=1e-6)


def posed_motion(trial: Trial) -> Pose:
    return posed(trial.skeleton, trial.motion.values)


def test_a_state_does_not_depend_on_the_sign_of_the_knee(trial: Trial, negative_knees: Skeleton) -> None:
    signs = [-1.0 if name.startswith("knee_angle") else 1.0 for name in trial.motion.coordinates]
    assert -1.0 in signs
    other_motion = replace(trial.motion, values=trial.motion.values * signs)
    other = replace(trial, skeleton=negative_knees.scaled_to(75.0), motion=other_motion)
    ours, theirs = encode(trial)[0], encode(other)[0]
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-9)
    assert_round_trip(other)
    assert_found_from_default(other, trial)


def test_a_state_does_not_depend_on_whether_the_ground_moves(trial: Trial) -> None:
    belt_speed, motion = 1.3, trial.motion
    values = motion.values.copy()
    heading = encode(trial)[1].heading
    values[:, [column(trial, "pelvis_tx"), column(trial, "pelvis_tz")]] -= (
        belt_speed * (motion.time_s - motion.time_s[0])[:, None] * heading[[0, 2]]
    )
    forces = replace(trial.forces, cop_m=trial.forces.cop_m - belt_speed * motion.time_s[:, None, None] * heading)
    on_belt = replace(trial, motion=replace(motion, values=values), forces=forces, belt_speed_m_s=belt_speed)
    np.testing.assert_allclose(encode(on_belt)[0].values, encode(trial)[0].values, atol=1e-9)
    assert_round_trip(on_belt)
    inferred, frame = encode(replace(on_belt, belt_speed_m_s=None))
    assert frame.belt_speed_m_s == pytest.approx(belt_speed, abs=0.1)
    np.testing.assert_allclose(decode(inferred, frame, on_belt)[0].values, values, atol=MOTION_TOLERANCE)


def test_a_mirrored_trial_has_the_mirrored_state(trial: Trial) -> None:
    swap = [column(trial, other_side(name)) for name in trial.motion.coordinates]
    negated = ("pelvis_list", "pelvis_rotation", "pelvis_tz", "lumbar_bending", "lumbar_rotation")
    signs = [-1.0 if name in negated else 1.0 for name in trial.motion.coordinates]
    across = np.array([1.0, 1.0, -1.0])
    forces = trial.forces
    mirrored = replace(
        trial,
        motion=replace(trial.motion, values=trial.motion.values[:, swap] * signs),
        forces=replace(
            forces,
            force_n=forces.force_n[:, ::-1] * across,
            cop_m=forces.cop_m[:, ::-1] * across,
            free_moment_nm=-forces.free_moment_nm[:, ::-1],
        ),
    )
    state = encode(trial)[0].values
    assert np.abs(GAIT.mirrored(state) - state).max() > 0.1
    np.testing.assert_allclose(encode(mirrored)[0].values, GAIT.mirrored(state), atol=1e-9)


def other_side(name: str) -> str:
    if name.endswith("_r"):
        return f"{name[:-2]}_l"
    return f"{name[:-2]}_r" if name.endswith("_l") else name


def test_channels_say_what_they_are_called(trial: Trial) -> None:
    state, frame = encode(trial)
    values, motion = state.values, trial.motion
    assert (frame.height_m, frame.mass_kg, state.layout) == (1.75, 75.0, GAIT)
    np.testing.assert_allclose(
        values[:, GAIT["pelvis_height"][0]] * 1.75, posed_motion(trial).origin_m[:, 0, 1].numpy(), atol=1e-9
    )
    for side, name in (("r", "right"), ("l", "left")):
        for ours, theirs in (("hip_{}_flexion", "hip_flexion_{}"), ("knee_{}_flexion", "knee_angle_{}")):
            angle = motion.values[:, column(trial, theirs.format(side))]
            np.testing.assert_allclose(values[:, GAIT[ours.format(name)][0]], angle, atol=1e-9)
    for angle in ("extension", "bending", "rotation"):
        found = values[:, GAIT[f"lumbar_{angle}"][0]]
        np.testing.assert_allclose(found, motion.values[:, column(trial, f"lumbar_{angle}")], atol=1e-9)
    vertical = np.stack([values[:, GAIT[f"force_{name}_y"][0]] for name in ("right", "left")], axis=1)
    np.testing.assert_allclose(vertical * 75.0, trial.forces.force_n[:, :, 1], atol=1e-9)
    mean_speed_m_s = values[:, GAIT["pelvis_velocity_x"][0]].mean() * 1.75
    assert 1.0 < mean_speed_m_s < 1.6


def test_a_person_who_turns_round_comes_back(trial: Trial) -> None:
    time_s = trial.motion.time_s
    turning = turned(trial, np.radians(400.0) * (time_s - time_s[0]) / (time_s[-1] - time_s[0]))
    assert np.ptp(turning.motion.values[:, column(trial, "pelvis_rotation")]) > np.radians(360.0)
    assert_round_trip(turning)
    assert_found_from_default(turning, turning)


def test_a_file_that_jumps_by_a_full_turn_is_no_different(trial: Trial) -> None:
    turning = at_rate(trial, 60.0)
    time_s = turning.motion.time_s
    turning = turned(turning, np.pi * 0.8 + 0.5 * (time_s - time_s[0]))
    values = turning.motion.values.copy()
    pelvis = column(trial, "pelvis_rotation")
    values[:, pelvis] = (values[:, pelvis] + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(np.diff(values[:, pelvis])).max() > 6.0
    jumping = replace(turning, motion=replace(turning.motion, values=values))
    np.testing.assert_allclose(encode(jumping)[0].values, encode(turning)[0].values, atol=1e-7)
    assert_round_trip(jumping)


@pytest.mark.parametrize("num_samples", [2, 3, 4, 5, 7, 30])
@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 250.0])
def test_a_short_trial_keeps_its_last_sample(trial: Trial, num_samples: int, rate_hz: float) -> None:
    long = with_smooth_forces(at_rate(trial, rate_hz))
    forces = long.forces
    parts = (forces.time_s, forces.force_n, forces.cop_m, forces.free_moment_nm, forces.valid)
    motion = long.motion
    short = replace(
        long,
        motion=Motion(
            motion.time_s[:num_samples], motion.values[:num_samples], motion.coordinates, motion.observed[:num_samples]
        ),
        forces=GroundReaction(*(part[:num_samples] for part in parts)),
    )
    frame = ModelFrame.of(short)
    assert short.motion.time_s[-1] - 1e-5 <= frame.time_s[-1] < short.motion.time_s[-1] + 0.01
    assert_round_trip(short, with_forces=rate_hz <= FRAME_RATE_HZ)


def test_what_lies_above_50_hz_stays_in_the_motion_and_out_of_the_state(trial: Trial) -> None:
    smooth = at_rate(trial, 250.0)
    noise = 0.01 * np.sin(2 * np.pi * 100.0 * smooth.motion.time_s)  # would look like 0 Hz at 100 Hz
    values = smooth.motion.values.copy()
    hip = column(trial, "hip_flexion_r")
    values[:, hip] += 0.02 + noise
    noisy = replace(smooth, motion=replace(smooth.motion, values=values))
    state, frame = encode(noisy)
    flexion = GAIT["hip_right_flexion"][0]
    difference = state.values[:, flexion] - encode(smooth)[0].values[:, flexion]
    np.testing.assert_allclose(difference[10:-10], 0.02, atol=5e-4)
    np.testing.assert_allclose(decode_motion(state, frame, noisy).values[:, hip], values[:, hip], atol=1e-9)


def test_a_changed_state_changes_its_coordinates_alone(trial: Trial) -> None:
    state, frame = encode(trial)
    values = state.values.copy()
    values[:, GAIT["hip_right_flexion"]] += 0.1
    changed = decode_motion(replace(state, values=values), frame, trial).values
    expected = trial.motion.values.copy()
    expected[:, column(trial, "hip_flexion_r")] += 0.1
    np.testing.assert_allclose(changed, expected, atol=1e-8)


def test_a_rotation_that_a_hinge_cannot_make_is_approached(trial: Trial) -> None:
    state, frame = encode(trial)
    values = state.values.copy()
    values[:, GAIT["knee_right_adduction"]] += 0.2
    values[:, GAIT["pelvis_rotation"]] *= 1.05  # a network's rows are no exact rotation
    values[:, GAIT["pelvis_rotation"]] += 1e-3
    found = decode_motion(replace(state, values=values), frame, trial).values
    np.testing.assert_allclose(found, trial.motion.values, atol=0.01)


def test_float32_is_enough_for_the_way_back(trial: Trial) -> None:
    state, frame = encode(trial)
    single = replace(state, values=state.values.astype(np.float32))
    motion, forces = decode(single, frame, trial)
    np.testing.assert_allclose(motion.values, trial.motion.values, atol=MOTION_TOLERANCE)
    assert_same_forces(forces, trial)


def test_what_was_not_observed_is_not_known(trial: Trial) -> None:
    def known_without(*names: str) -> set[str]:
        observed = trial.motion.observed.copy()
        observed[:, [column(trial, name) for name in names]] = False
        known = encode(replace(trial, motion=replace(trial.motion, observed=observed)))[0].known
        return {group for group in GAIT.groups if not known[:, GAIT.columns([group])].all()}

    assert known_without() == set()
    assert known_without("lumbar_bending") == {"lumbar"}
    assert known_without("knee_angle_l") == {"knee_left"}
    assert known_without("pelvis_ty") == {"pelvis_height"}
    assert known_without("pelvis_tx") == {"pelvis_velocity"}
    assert known_without("pelvis_list", "hip_rotation_r") == {"pelvis_rotation", "hip_right"}
    assert known_without("subtalar_angle_r") == set()  # most models hold it; the foot still goes up and down
    assert known_without("ankle_angle_r") == {"ankle_right"}


def test_frames_near_an_unobserved_sample_are_not_known(trial: Trial) -> None:
    resampled = at_rate(trial, 50.0)
    observed = resampled.motion.observed.copy()
    observed[100, column(trial, "knee_angle_r")] = False
    state, _ = encode(replace(resampled, motion=replace(resampled.motion, observed=observed)))
    assert np.flatnonzero(~state.known[:, GAIT["knee_right_flexion"][0]]).tolist() == [199, 200, 201]


def test_a_model_without_a_lumbar_joint_has_no_lumbar_angles(trial: Trial) -> None:
    stiff = replace(
        trial.skeleton,
        joints=tuple(replace(j, rotations=()) if j.child == "torso" else j for j in trial.skeleton.joints),
    )
    state, frame = encode(replace(trial, skeleton=stiff))
    np.testing.assert_allclose(state.values[:, GAIT["lumbar"]], 0.0, atol=1e-12)
    assert not state.known[:, GAIT["lumbar"]].any()
    values = decode_motion(state, frame, replace(trial, skeleton=stiff)).values
    np.testing.assert_allclose(values, trial.motion.values, atol=MOTION_TOLERANCE)


def test_coordinates_that_the_state_does_not_hold_stay(trial: Trial) -> None:
    values = trial.motion.values.copy()
    toes = [column(trial, "mtp_angle_r"), column(trial, "mtp_angle_l")]
    values[:, toes] = np.random.default_rng(0).normal(size=(len(values), 2))
    state, frame = encode(trial)
    found = decode_motion(state, frame, replace(trial, motion=replace(trial.motion, values=values))).values
    np.testing.assert_array_equal(found[:, toes], values[:, toes])


def test_a_locked_coordinate_stays(trial: Trial) -> None:
    locked = replace(
        trial.skeleton,
        coordinates=tuple(
            replace(c, is_locked=True) if c.name == "subtalar_angle_r" else c for c in trial.skeleton.coordinates
        ),
    )
    state, frame = encode(trial)
    values = state.values.copy()
    values[:, GAIT["ankle_right"]] += 0.1
    found = decode_motion(replace(state, values=values), frame, replace(trial, skeleton=locked)).values
    subtalar, ankle = column(trial, "subtalar_angle_r"), column(trial, "ankle_angle_r")
    np.testing.assert_array_equal(found[:, subtalar], trial.motion.values[:, subtalar])
    assert (found[:, ankle] - trial.motion.values[:, ankle]).mean() == pytest.approx(0.1, abs=0.03)


def test_a_trial_without_forces_has_none(trial: Trial) -> None:
    state, frame = encode(replace(trial, forces=None))
    groups = [group for group in GAIT.groups if group.startswith(("force", "pressure", "free_moment"))]
    columns = GAIT.columns(groups)
    assert len(columns) == 14
    assert not state.known[:, columns].any()
    assert not state.values[:, columns].any()
    forces = decode_forces(state, frame, trial)
    assert not forces.valid.any()
    assert not forces.force_n.any()


def test_forces_are_known_where_they_are_valid(trial: Trial) -> None:
    smooth = with_smooth_forces(trial)
    forces = smooth.forces
    valid = forces.valid.copy()
    valid[:150, 0] = False
    valid[400:, 1] = False
    spoiled = np.where(valid[..., None], forces.force_n, np.nan)
    partly = replace(smooth, forces=replace(forces, force_n=spoiled, valid=valid))
    state, frame = encode(partly)
    assert np.isfinite(state.values).all()
    for group, side in (("force_right", 0), ("pressure_left", 1), ("free_moment_left", 1)):
        for channel in GAIT.columns([group]):
            np.testing.assert_array_equal(state.known[:, channel], valid[:, side])
            assert not state.values[~valid[:, side], channel].any()
    assert_same_forces(decode_forces(state, frame, partly), replace(smooth, forces=replace(forces, valid=valid)))


def test_forces_of_another_rate_and_span_fall_on_the_same_frames(trial: Trial) -> None:
    dense = with_smooth_forces(at_rate(trial, 250.0))
    forces = dense.forces
    kept = slice(100, 1200)
    parts = (forces.time_s, forces.force_n, forces.cop_m, forces.free_moment_nm, forces.valid)
    state, frame = encode(replace(trial, forces=GroundReaction(*(part[kept] for part in parts))))
    known = state.known[:, GAIT["force_right_y"][0]]
    inside = (frame.time_s >= forces.time_s[100]) & (frame.time_s <= forces.time_s[1199])
    assert known[inside].all()
    assert not known[(frame.time_s < forces.time_s[100] - 0.01) | (frame.time_s > forces.time_s[1199] + 0.01)].any()
    expected = with_smooth_forces(at_rate(trial, 100.0)).forces.force_n
    found = decode_forces(state, frame, trial).force_n
    well_inside = inside & (frame.time_s > 0.6) & (frame.time_s < 4.6)
    np.testing.assert_allclose(found[well_inside], expected[well_inside], atol=1.0)


def test_a_weak_force_has_its_centre_of_pressure_near_the_foot(trial: Trial) -> None:
    state, frame = encode(trial)
    values = state.values.copy()
    values[:, GAIT["force_right"]] = [0.0, 1e-6, 0.0]
    values[:, GAIT["pressure_right"]] = [0.01, 0.0, 0.0]
    forces = decode_forces(replace(state, values=values), frame, trial)
    heel = posed_motion(trial).origin_m[:, trial.skeleton.body_index["calcn_r"]].numpy()
    distance_m = np.linalg.norm(forces.cop_m[:, 0] - heel, axis=1)
    assert distance_m.max() < 0.1


def test_applying_and_undoing_a_frame_are_inverse(trial: Trial) -> None:
    frame = replace(ModelFrame.of(turned(trial, 2.0), floor_m=0.1), belt_speed_m_s=1.7)
    points_m = np.random.default_rng(0).normal(size=(frame.num_frames, 3))
    np.testing.assert_allclose(frame.undo(frame.apply(points_m)), points_m, atol=1e-12)
    np.testing.assert_allclose(frame.to_ground(frame.to_heading(points_m)), points_m, atol=1e-12)
    still = np.broadcast_to(frame.origin_m, points_m.shape)
    expected = np.zeros_like(points_m)
    expected[:, 0] = 1.7 * (frame.time_s - frame.start_s) / 1.75
    np.testing.assert_allclose(frame.apply(still), expected, atol=1e-12)
    np.testing.assert_allclose(frame.to_heading(frame.heading), [1.0, 0.0, 0.0], atol=1e-12)


def test_nothing_that_is_given_is_changed(trial: Trial) -> None:
    before = [trial.motion.values.copy(), trial.forces.force_n.copy(), trial.forces.cop_m.copy()]
    state, frame = encode(trial)
    values = state.values.copy()
    decode(state, frame, trial)
    np.testing.assert_array_equal(state.values, values)
    for array, copy in zip((trial.motion.values, trial.forces.force_n, trial.forces.cop_m), before, strict=True):
        np.testing.assert_array_equal(array, copy)


# --- Recordings of every laboratory -------------------------------------------------------------------------


def test_measured_trials_come_back_at_their_own_rates(measured: tuple[Trial, ...]) -> None:
    assert len({recording.source for recording in measured}) > 15
    for recording in measured:
        at_own_rate = with_forces_at_its_times(recording)
        is_slow = recording.motion.sampling_rate_hz < FRAME_RATE_HZ + 0.1
        assert_round_trip(at_own_rate, with_forces=is_slow)


def test_measured_trials_come_back_at_any_heading_and_from_the_models_default_pose(measured: tuple[Trial, ...]) -> None:
    """At 100 Hz, where forces with contacts are met exactly."""
    one_each = {recording.source: recording for recording in reversed(measured)}.values()
    for i, recording in enumerate(one_each):
        elsewhere = turned(at_rate(recording, 100.0), np.radians((37.0, 90.0, 180.0, -135.0)[i % 4]))
        assert_round_trip(elsewhere)
        assert_found_from_default(elsewhere, elsewhere)


def test_float32_is_enough_for_a_minute_of_walking(measured: tuple[Trial, ...]) -> None:
    long = max(measured, key=lambda recording: recording.motion.time_s[-1] - recording.motion.time_s[0])
    state, frame = encode(long)
    assert len(state.values) > 6000
    single = replace(state, values=state.values.astype(np.float32))
    blank, columns = without_held_coordinates(long)
    found = decode_motion(single, frame, blank).values
    np.testing.assert_allclose(found[:, columns], long.motion.values[:, columns], atol=MOTION_TOLERANCE)


def test_a_model_of_legs_and_pelvis_has_no_lumbar_angles(measured: tuple[Trial, ...]) -> None:
    recording = next(recording for recording in measured if recording.source == "Fukuchi2017RBDS")
    state, _ = encode(recording)
    assert not state.values[:, GAIT["lumbar"]].any()
    assert not state.known[:, GAIT["lumbar"]].any()
    assert state.known[:, GAIT["hip_right"]].all()
