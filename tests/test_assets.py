"""The bundled body and walk are what their README says, judged by OpenSim's kinematics and dynamics."""

import importlib.util
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import opensim as osim
import pytest

from gaitdynamics.units import SIDES, STANDARD_GRAVITY_M_S2

ASSETS = files("gaitdynamics") / "assets"
MODEL_FILE = Path(str(ASSETS / "generic_body.osim"))
MOTION_FILE = Path(str(ASSETS / "synthetic_walk.mot"))
GENERATOR_FILE = Path(__file__).resolve().parents[1] / "scripts" / "make_assets.py"

LEG_COORDINATES = (
    "hip_flexion",
    "hip_adduction",
    "hip_rotation",
    "knee_angle",
    "ankle_angle",
    "subtalar_angle",
    "mtp_angle",
)
COORDINATES = {
    *(f"pelvis_{name}" for name in ("tilt", "list", "rotation", "tx", "ty", "tz")),
    *(f"lumbar_{name}" for name in ("extension", "bending", "rotation")),
    *(f"{name}_{side}" for name in LEG_COORDINATES for side in SIDES),
}
STRIDE_FRAMES = 108
BODY_WEIGHT_N = 75.0 * STANDARD_GRAVITY_M_S2

# Points of the sole in the frames of their bodies; z is turned outwards on the left.
HEEL = ("calcn", (0.0, 0.0, 0.0))
BALL = ("toes", (0.0, -0.02, 0.0))
TOE_TIP = ("toes", (0.0745, -0.02, 0.0))
FLOOR_M = 0.003
SLIP_M_S = 0.02


@dataclass(frozen=True)
class Walk:
    """The bundled walk in OpenSim's hands: what its kinematics gives, frame by frame, in ground."""

    time_s: np.ndarray
    com_m: np.ndarray  # (T, 3)
    angular_momentum_nms: np.ndarray  # (T, 3), about the centre of mass
    sole_m: dict[tuple[str, str], np.ndarray]  # (side, "heel" | "ball" | "toe_tip") -> (T, 3)

    def rate(self, values: np.ndarray) -> np.ndarray:
        return np.gradient(values, self.time_s, axis=0)

    @property
    def force_n(self) -> np.ndarray:
        acceleration = self.rate(self.rate(self.com_m))
        return 75.0 * (acceleration + np.array([0.0, STANDARD_GRAVITY_M_S2, 0.0]))

    @property
    def zero_moment_point_m(self) -> np.ndarray:
        force, moment = self.force_n, self.rate(self.angular_momentum_nms)
        height = self.com_m[:, 1]
        x = self.com_m[:, 0] + (moment[:, 2] - height * force[:, 0]) / force[:, 1]
        z = self.com_m[:, 2] - (moment[:, 0] + height * force[:, 2]) / force[:, 1]
        return np.stack([x, np.zeros_like(x), z], axis=1)

    def is_on_floor(self, side: str, point: str) -> np.ndarray:
        return np.abs(self.sole_m[side, point][:, 1]) < FLOOR_M


@pytest.fixture(scope="module")
def generator(opensim: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_assets", GENERATOR_FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_assets"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(opensim: ModuleType) -> osim.Model:
    return opensim.Model(str(MODEL_FILE))


def read_motion() -> tuple[list[str], np.ndarray]:
    lines = MOTION_FILE.read_text(encoding="utf-8").splitlines()
    start = lines.index("endheader") + 1
    return lines[start].split("\t"), np.array([line.split("\t") for line in lines[start + 1 :]], dtype=float)


def numbers(vector: osim.Vec3) -> list[float]:
    return [vector.get(axis) for axis in range(3)]


def set_pose(model: osim.Model, state: osim.State, pose: dict[str, float]) -> None:
    for name, value in pose.items():
        model.getCoordinateSet().get(name).setValue(state, value, False)
    model.realizePosition(state)


@pytest.fixture(scope="module")
def walk(model: osim.Model) -> Walk:
    columns, table = read_motion()
    time_s = table[:, 0]
    state = model.initSystem()
    coordinates = [model.getCoordinateSet().get(name) for name in columns[1:]]
    is_angle = [coordinate.getMotionType() == osim.Coordinate.Rotational for coordinate in coordinates]
    values = np.where(is_angle, np.radians(table[:, 1:]), table[:, 1:])
    speeds = np.gradient(values, time_s, axis=0)
    com, momentum = [], []
    sole: dict[tuple[str, str], list[list[float]]] = {}
    for row, row_speeds in zip(values, speeds, strict=True):
        for coordinate, value, speed in zip(coordinates, row, row_speeds, strict=True):
            coordinate.setValue(state, float(value), False)
            coordinate.setSpeedValue(state, float(speed))
        model.realizeVelocity(state)
        com.append(numbers(model.calcMassCenterPosition(state)))
        both = model.getMatterSubsystem().calcSystemCentralMomentum(state)  # kept: its parts point into it
        momentum.append(numbers(both.get(0)))
        for side in SIDES:
            for name, (body, point) in (("heel", HEEL), ("ball", BALL), ("toe_tip", TOE_TIP)):
                frame = model.getBodySet().get(f"{body}_{side}")
                at = frame.findStationLocationInGround(state, osim.Vec3(*point))
                sole.setdefault((side, name), []).append(numbers(at))
    arrays = {key: np.array(points) for key, points in sole.items()}
    return Walk(time_s, np.array(com), np.array(momentum), arrays)


def test_the_body_has_the_23_standard_coordinates(model: osim.Model) -> None:
    names = [model.getCoordinateSet().get(i).getName() for i in range(model.getNumCoordinates())]
    assert len(names) == 23
    assert set(names) == COORDINATES


def test_the_segment_masses_sum_to_75_kg(model: osim.Model, generator: ModuleType) -> None:
    state = model.initSystem()
    assert model.getTotalMass(state) == pytest.approx(75.0, abs=1e-9)
    share = {name: row.mass for name, row in generator.DE_LEVA_MALE.items()}
    trunk = share["head"] + share["upper_trunk"] + share["middle_trunk"] + share["lower_trunk"]
    limbs = (share[name] for name in ("upper_arm", "forearm", "hand", "thigh", "shank", "foot"))
    assert trunk + 2 * sum(limbs) == pytest.approx(1.0, abs=1e-9)


def test_in_the_default_pose_the_body_stands_on_its_soles(model: osim.Model) -> None:
    state = model.initSystem()
    set_pose(model, state, {})
    for side in SIDES:
        for body, point in (HEEL, BALL, TOE_TIP):
            frame = model.getBodySet().get(f"{body}_{side}")
            assert frame.findStationLocationInGround(state, osim.Vec3(*point)).get(1) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("coordinate", "body", "point", "direction"),
    [
        ("pelvis_tilt", "torso", (0.0, 0.4, 0.0), (-1, 0, 0)),
        ("pelvis_list", "torso", (0.0, 0.4, 0.0), (0, 0, 1)),
        ("pelvis_rotation", "femur_r", (0.0, 0.0, 0.0), (1, 0, 0)),
        ("lumbar_extension", "torso", (0.0, 0.4, 0.0), (-1, 0, 0)),
        ("lumbar_bending", "torso", (0.0, 0.4, 0.0), (0, 0, 1)),
        ("lumbar_rotation", "torso", (0.0, 0.4, 0.2), (1, 0, 0)),
        ("hip_flexion_r", "tibia_r", (0.0, 0.0, 0.0), (1, 0, 0)),
        ("hip_flexion_l", "tibia_l", (0.0, 0.0, 0.0), (1, 0, 0)),
        ("hip_adduction_r", "tibia_r", (0.0, 0.0, 0.0), (0, 0, -1)),
        ("hip_adduction_l", "tibia_l", (0.0, 0.0, 0.0), (0, 0, 1)),
        ("hip_rotation_r", "toes_r", (0.0, 0.0, 0.0), (0, 0, -1)),
        ("hip_rotation_l", "toes_l", (0.0, 0.0, 0.0), (0, 0, 1)),
        ("knee_angle_r", "talus_r", (0.0, 0.0, 0.0), (-1, 0, 0)),
        ("knee_angle_l", "talus_l", (0.0, 0.0, 0.0), (-1, 0, 0)),
        ("ankle_angle_r", "toes_r", (0.0, 0.0, 0.0), (0, 1, 0)),
        ("ankle_angle_l", "toes_l", (0.0, 0.0, 0.0), (0, 1, 0)),
        ("subtalar_angle_r", "calcn_r", (0.1, 0.0, 0.0), (0, 0, -1)),
        ("subtalar_angle_l", "calcn_l", (0.1, 0.0, 0.0), (0, 0, 1)),
        ("mtp_angle_r", "toes_r", (0.07, 0.0, 0.0), (0, 1, 0)),
        ("mtp_angle_l", "toes_l", (0.07, 0.0, 0.0), (0, 1, 0)),
    ],
)
def test_a_positive_angle_moves_the_body_the_way_opensim_means_it(
    model: osim.Model,
    coordinate: str,
    body: str,
    point: tuple[float, float, float],
    direction: tuple[int, int, int],
) -> None:
    state = model.initSystem()
    frame = model.getBodySet().get(body)
    before = np.array(numbers(frame.findStationLocationInGround(state, osim.Vec3(*point))))
    set_pose(model, state, {coordinate: 0.1})
    after = np.array(numbers(frame.findStationLocationInGround(state, osim.Vec3(*point))))
    assert (after - before) @ np.array(direction) > 0.002


def test_the_two_signs_of_knee_flexion_are_the_same_body(generator: ModuleType) -> None:
    pose = dict(zip(sorted(COORDINATES), np.linspace(-0.4, 0.5, 23), strict=True))
    heels = []
    for is_positive in (True, False):
        model = generator.build_generic_body(knee_flexion_positive=is_positive)
        state = model.initSystem()
        knees = {name: value if is_positive else -value for name, value in pose.items() if "knee" in name}
        set_pose(model, state, pose | knees)
        origin = osim.Vec3(0.0)
        heels.append(
            [
                numbers(model.getBodySet().get(f"calcn_{side}").findStationLocationInGround(state, origin))
                for side in SIDES
            ]
        )
    np.testing.assert_allclose(heels[0], heels[1], atol=1e-12)


def test_the_generators_kinematics_is_opensims(generator: ModuleType, model: osim.Model) -> None:
    pose = dict(zip(sorted(COORDINATES), np.linspace(-0.6, 0.7, 23), strict=True))
    state = model.initSystem()
    set_pose(model, state, pose)
    body = generator.poses(generator.generic_segments(), {name: np.array([value]) for name, value in pose.items()})
    for name, origin_m in body.origin_m.items():
        expected = numbers(model.getBodySet().get(name).getPositionInGround(state))
        np.testing.assert_allclose(origin_m[0], expected, atol=1e-9, err_msg=name)


def test_the_bundled_body_is_the_one_that_the_generator_builds(generator: ModuleType, model: osim.Model) -> None:
    built = generator.build_generic_body()
    for number in range(built.getNumBodies()):
        body = built.getBodySet().get(number)
        bundled = model.getBodySet().get(body.getName())
        assert bundled.getMass() == pytest.approx(body.getMass())
        np.testing.assert_allclose(numbers(bundled.getMassCenter()), numbers(body.getMassCenter()))
        np.testing.assert_allclose(numbers(bundled.getInertia().getMoments()), numbers(body.getInertia().getMoments()))


def test_the_walks_columns_are_the_bodys_coordinates() -> None:
    columns, table = read_motion()
    assert columns[0] == "time"
    assert len(columns) == 24
    assert set(columns[1:]) == COORDINATES
    assert np.isfinite(table).all()
    np.testing.assert_allclose(np.diff(table[:, 0]), 0.01, atol=1e-9)
    assert table[-1, 0] - table[0, 0] >= 5 * STRIDE_FRAMES / 100


def test_opensim_reads_the_walk_as_degrees() -> None:
    storage = osim.Storage(str(MOTION_FILE))
    assert storage.isInDegrees()
    assert storage.getSize() == len(read_motion()[1])


def test_both_files_say_that_they_are_synthetic(model: osim.Model) -> None:
    assert "synthetic" in model.getName().lower()
    assert "synthetic" in model.getCredits().lower()
    assert "synthetic" in MOTION_FILE.read_text(encoding="utf-8").splitlines()[0].lower()


@pytest.mark.parametrize("side", SIDES)
def test_a_flat_stance_foot_neither_slides_nor_sinks(walk: Walk, side: str) -> None:
    flat = walk.is_on_floor(side, "heel") & walk.is_on_floor(side, "ball") & walk.is_on_floor(side, "toe_tip")
    assert 0.15 < flat.mean() < 0.45
    inner = flat & np.roll(flat, 2) & np.roll(flat, -2)
    inner[:2] = inner[-2:] = False  # one-sided differences
    for point in ("heel", "ball", "toe_tip"):
        velocity = walk.rate(walk.sole_m[side, point])
        assert np.linalg.norm(velocity[inner][:, [0, 2]], axis=1).max() < SLIP_M_S, point


@pytest.mark.parametrize("side", SIDES)
def test_no_part_of_the_sole_is_ever_below_the_floor(walk: Walk, side: str) -> None:
    for point in ("heel", "ball", "toe_tip"):
        assert walk.sole_m[side, point][:, 1].min() > -FLOOR_M, point


@pytest.mark.parametrize("side", SIDES)
def test_the_swinging_toes_clear_the_floor(walk: Walk, side: str) -> None:
    tip = walk.sole_m[side, "toe_tip"]
    fast = walk.rate(tip)[:, 0] > 2.0
    assert fast.mean() > 0.15
    assert tip[fast][:, 1].min() > 0.01


def test_the_mean_vertical_force_over_whole_cycles_is_one_body_weight(walk: Walk) -> None:
    vertical_bw = walk.force_n[2 : 2 + 5 * STRIDE_FRAMES, 1] / BODY_WEIGHT_N
    assert vertical_bw.mean() == pytest.approx(1.0, abs=0.01)


def test_the_forces_are_a_walking_humans(walk: Walk) -> None:
    force_bw = walk.force_n[2:-2] / BODY_WEIGHT_N
    assert 0.65 < force_bw[:, 1].min() < 0.85
    assert 1.15 < force_bw[:, 1].max() < 1.45
    assert 0.12 < np.abs(force_bw[:, 0]).max() < 0.25
    assert 0.04 < np.abs(force_bw[:, 2]).max() < 0.10
    assert np.ptp(walk.com_m[:, 1]) == pytest.approx(0.035, abs=0.008)
    assert np.ptp(walk.com_m[:, 2]) == pytest.approx(0.035, abs=0.008)


@pytest.mark.parametrize("side", SIDES)
def test_in_single_support_the_zero_moment_point_rolls_forward_under_the_foot(walk: Walk, side: str) -> None:
    other = SIDES[1 - SIDES.index(side)]
    has_floor = {
        foot: np.any([walk.is_on_floor(foot, point) for point in ("heel", "ball", "toe_tip")], axis=0) for foot in SIDES
    }
    single = has_floor[side] & ~has_floor[other]
    single[:3] = single[-3:] = False
    assert 0.25 < single.mean() < 0.45
    heel, tip = (walk.sole_m[side, point] for point in ("heel", "toe_tip"))
    flat = walk.is_on_floor(side, "heel") & walk.is_on_floor(side, "toe_tip")
    footprints = np.flatnonzero(np.diff(flat.astype(int)) == 1) + 5  # a frame in each stance, foot flat
    for frame in footprints[footprints < len(flat) - STRIDE_FRAMES // 2]:
        along = (tip[frame] - heel[frame]) / np.linalg.norm(tip[frame] - heel[frame])
        across = np.array([-along[2], 0.0, along[0]])
        stance = np.arange(frame, frame + STRIDE_FRAMES // 2)
        offset = walk.zero_moment_point_m[stance[single[stance]]] - heel[frame]
        forward_m, sideways_m = offset @ along, offset @ across
        assert forward_m.min() > 0.02
        assert forward_m.max() < 0.246
        assert np.abs(sideways_m).max() < 0.03
        assert forward_m[-1] - forward_m[0] > 0.08
