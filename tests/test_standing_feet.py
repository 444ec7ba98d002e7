"""Filled-in coordinates are changed until loaded feet stand, and nothing else is changed."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gaitdynamics.biomech.contact import detect_contact, smoothed_path
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, posed
from gaitdynamics.biomech.standing_feet import foot_sliding, with_standing_feet
from gaitdynamics.io.study import read_study
from gaitdynamics.maths.signals import interpolate, resample, smooth
from gaitdynamics.training.corpus import load_trial
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

RATE_HZ = 100.0
HEIGHT_M = 1.75
PELVIS = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
HIPS = tuple(f"hip_{turn}_{side}" for turn in ("flexion", "adduction", "rotation") for side in "rl")


@dataclass(frozen=True)
class Walking:
    """A motion at RATE_HZ over ground that moves, and who carries the load."""

    skeleton: Skeleton
    values: np.ndarray
    load_bw: np.ndarray
    belt_velocity_m_s: np.ndarray

    def free(self, names: tuple[str, ...]) -> np.ndarray:
        """All entries of some coordinates."""
        return np.broadcast_to(np.isin(self.skeleton.coordinate_names, names), self.values.shape).copy()

    def columns(self, names: tuple[str, ...]) -> list[int]:
        return [self.skeleton.coordinate_names.index(name) for name in names]

    def standing(self, values: np.ndarray, is_free: np.ndarray, *, floor_m: float | None = None) -> np.ndarray:
        return with_standing_feet(
            self.skeleton,
            values,
            is_free=is_free,
            load_bw=self.load_bw,
            sampling_rate_hz=RATE_HZ,
            height_m=HEIGHT_M,
            belt_velocity_m_s=self.belt_velocity_m_s,
            floor_m=floor_m,
        )

    def sliding(self, values: np.ndarray) -> float:
        return foot_sliding(
            self.skeleton,
            values,
            load_bw=self.load_bw,
            sampling_rate_hz=RATE_HZ,
            height_m=HEIGHT_M,
            belt_velocity_m_s=self.belt_velocity_m_s,
        )


@pytest.fixture(scope="module")
def walking(body: Skeleton, walk: Motion) -> Walking:
    """Three seconds of the bundled walk; load goes over from foot to foot while both are down."""
    time_s = walk.time_s[0] + np.arange(300) / RATE_HZ
    values = resample(walk.values, walk.time_s, time_s)
    pose = posed(body, values)
    contact = detect_contact(
        smoothed_path(foot_paths(body, pose, height_m=HEIGHT_M), sampling_rate_hz=RATE_HZ),
        body.centre_of_mass(pose).numpy(),
        heading=heading_of(body, pose),
        belt_speed_m_s=0.0,
        sampling_rate_hz=RATE_HZ,
    )
    load = contact.is_down / contact.is_down.sum(axis=1, keepdims=True)
    return Walking(body, values, smooth(load, cutoff_hz=10.0, sampling_rate_hz=RATE_HZ), np.zeros(3))


def noise(shape: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    """Smooth noise of unit spread."""
    rough = np.random.default_rng(seed).standard_normal((shape[0] + 200, *shape[1:]))
    steady = smooth(rough, cutoff_hz=3.0, sampling_rate_hz=RATE_HZ)[100:-100]
    return steady / steady.std()


def spread(values: np.ndarray) -> float:
    """Root mean square about the mean over time."""
    return float(np.sqrt(((values - values.mean(axis=0)) ** 2).mean()))


def test_the_path_of_the_pelvis_follows_from_the_feet(walking: Walking) -> None:
    columns = walking.columns(PELVIS)
    hidden = walking.values.copy()
    hidden[:, columns] = walking.values[:, columns].mean(axis=0)
    found = walking.standing(hidden, walking.free(PELVIS))
    error = (found - walking.values)[:, columns]
    assert spread(error[:, 1]) < 0.006 < spread(walking.values[:, columns[1]])
    assert spread(error[:, [0, 2]]) < 0.05
    travelled = walking.values[-1, columns[0]] - walking.values[0, columns[0]]
    assert travelled > 2.0
    assert found[-1, columns[0]] - found[0, columns[0]] == pytest.approx(travelled, rel=0.05)
    assert walking.sliding(found) < 0.1 < 0.5 < walking.sliding(hidden)


def test_what_is_not_free_stays_bit_by_bit(walking: Walking) -> None:
    given = walking.values + 0.02 * noise(walking.values.shape)
    is_free = np.random.default_rng(1).random(given.shape) < 0.3
    before = given.copy()
    found = walking.standing(given, is_free)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(found[~is_free], given[~is_free])
    assert (found[is_free] != given[is_free]).any()
    assert np.isfinite(found).all()


def test_without_anything_free_or_any_load_nothing_changes(walking: Walking) -> None:
    nothing = np.zeros(walking.values.shape, dtype=bool)
    np.testing.assert_array_equal(walking.standing(walking.values, nothing), walking.values)
    unloaded = replace(walking, load_bw=np.zeros_like(walking.load_bw))
    np.testing.assert_array_equal(unloaded.standing(walking.values, ~nothing), walking.values)
    assert np.isnan(unloaded.sliding(walking.values))


def test_coordinates_that_move_no_foot_stay(walking: Walking) -> None:
    names = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    np.testing.assert_array_equal(walking.standing(walking.values, walking.free(names)), walking.values)


@pytest.mark.parametrize("names", [HIPS, ("knee_angle_r", "knee_angle_l")])
def test_disturbed_joints_come_nearer_to_the_truth(walking: Walking, names: tuple[str, ...]) -> None:
    columns = walking.columns(names)
    disturbed = walking.values.copy()
    disturbed[:, columns] += np.radians(5.0) * noise((len(disturbed), len(columns)))
    found = walking.standing(disturbed, walking.free(names))
    error_before, error_after = (
        np.sqrt(((values - walking.values)[:, columns] ** 2).mean()) for values in (disturbed, found)
    )
    assert error_after < 0.85 * error_before
    assert walking.sliding(found) < 0.3 * walking.sliding(disturbed)


def test_a_gap_is_mended_without_a_seam(walking: Walking) -> None:
    columns = walking.columns(PELVIS)
    gap = slice(120, 150)
    bump = np.sin(np.linspace(0.0, np.pi, 30)) ** 2
    disturbed = walking.values.copy()
    disturbed[gap, columns] += 0.06 * bump[:, None]
    is_free = np.zeros(disturbed.shape, dtype=bool)
    is_free[gap, columns] = True
    found = walking.standing(disturbed, is_free)
    assert np.abs(found - walking.values)[gap].mean() < 0.3 * np.abs(disturbed - walking.values)[gap].mean()
    assert walking.sliding(found) < walking.sliding(disturbed)
    jerk_found, jerk_given = (np.abs(np.diff(values[:, columns], n=2, axis=0)).max() for values in (found, disturbed))
    assert jerk_found < 1.5 * jerk_given


def test_a_treadmill_and_a_floor_are_the_same_to_the_feet(walking: Walking) -> None:
    velocity = np.array([-1.2, 0.0, 0.1])
    belt = replace(walking, belt_velocity_m_s=velocity)
    carried = velocity * np.arange(len(walking.values))[:, None] / RATE_HZ
    columns = walking.columns(PELVIS)
    disturbed = walking.values.copy()
    disturbed[:, columns] += 0.02 * noise((len(disturbed), 3))
    on_belt = disturbed.copy()
    on_belt[:, columns] += carried
    found = belt.standing(on_belt, belt.free(PELVIS))
    found[:, columns] -= carried
    np.testing.assert_allclose(found, walking.standing(disturbed, walking.free(PELVIS)), atol=1e-6)


def test_a_body_in_flight_falls_freely(walking: Walking) -> None:
    height = walking.columns(("pelvis_ty",))[0]
    still = np.repeat(walking.values[:1], 300, axis=0)
    load = np.full((300, 2), 0.5)
    load[120:150] = 0.0
    hop = replace(walking, load_bw=load)
    found = hop.standing(still, hop.free(("pelvis_ty",)))
    acceleration = np.diff(found[:, height], n=2) * RATE_HZ**2
    assert acceleration[125:143].mean() == pytest.approx(-STANDARD_GRAVITY_M_S2, abs=1.5)
    unmeasured = replace(walking, load_bw=np.where(np.abs(np.arange(300) - 150)[:, None] < 60, 0.0, 0.5))
    assert np.ptp(unmeasured.standing(still, hop.free(("pelvis_ty",)))[:, height]) < 0.02


def test_no_point_of_a_swinging_foot_is_left_below_the_floor(walking: Walking) -> None:
    names = ("hip_flexion_l", "knee_angle_l", "ankle_angle_l")
    swing = walking.load_bw[:, 1] < 0.01
    stretched = walking.values.copy()
    stretched[:, walking.columns(("knee_angle_l",))[0]] *= 0.6
    found = walking.standing(stretched, walking.free(names))
    lowest = [
        foot_paths(walking.skeleton, posed(walking.skeleton, values), height_m=HEIGHT_M).points_m[:, 1, :, 1]
        for values in (walking.values, stretched, found)
    ]
    floor = np.percentile(lowest[0], 2.0, axis=0)
    depth = [np.maximum(floor - low[swing], 0.0).max() for low in lowest]
    assert depth[1] > 0.03
    assert depth[2] < 0.6 * depth[1]


def test_the_floor_can_be_told(walking: Walking) -> None:
    height = walking.columns(("pelvis_ty",))[0]
    low, high = (
        walking.standing(walking.values, walking.free(("pelvis_ty",)), floor_m=floor_m)[:, height].mean()
        for floor_m in (0.0, 0.05)
    )
    assert high - low == pytest.approx(0.05, abs=0.005)


def test_sliding_is_the_speed_of_the_ground_under_a_body_at_rest(walking: Walking) -> None:
    still = np.repeat(walking.values[:1], 100, axis=0)
    standing = replace(walking, load_bw=np.full((100, 2), 0.5), belt_velocity_m_s=np.array([-0.7, 0.0, 0.0]))
    assert standing.sliding(still) == pytest.approx(0.7)
    moved = still.copy()
    moved[:, standing.columns(("pelvis_tx",))[0]] -= 0.7 * np.arange(100) / RATE_HZ
    assert standing.sliding(moved) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "height_limit_m", "speed_limit_m_s"),
    [
        ("Arnold2013/subject02/walk2_1p25", 0.004, 0.06),
        ("LHDL/P3m6/walking01", 0.006, 0.06),
        ("Fukuchi2017RBDS/RBDS001/run_T25", 0.012, 0.2),
    ],
)
def test_the_pelvis_of_measured_motions_follows_from_the_feet(
    shared: Path, name: str, height_limit_m: float, speed_limit_m_s: float
) -> None:
    recorded = next(trial for trial in read_study(shared / "gaitdata" / name.split("/")[0]) if trial.name == name)
    trial = load_trial(recorded)
    start, end = recorded.forces_valid_s[0]
    time_s = np.arange(start, min(end, start + 5.0), 1 / RATE_HZ)
    values = resample(trial.motion.values, trial.motion.time_s, time_s)
    assert trial.forces is not None
    vertical = interpolate(trial.forces.force_n[..., 1], trial.forces.time_s, time_s)
    heading = heading_of(trial.skeleton, posed(trial.skeleton, values))
    load_bw = vertical / trial.subject.body_weight_n
    walking = Walking(trial.skeleton, values, load_bw, -(trial.belt_speed_m_s or 0.0) * heading)
    columns = walking.columns(PELVIS)
    hidden = values.copy()
    hidden[:, columns] = values[:, columns].mean(axis=0)
    error = (walking.standing(hidden, walking.free(PELVIS)) - values)[:, columns]
    assert spread(error[:, 1]) < height_limit_m
    steady = smooth(error, cutoff_hz=10.0, sampling_rate_hz=RATE_HZ)
    speed = np.gradient(steady, 1 / RATE_HZ, axis=0) @ heading
    assert np.sqrt((speed**2).mean()) < speed_limit_m_s
