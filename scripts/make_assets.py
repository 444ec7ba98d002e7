"""Make the bundled demo data: a generic 23-degree-of-freedom body and a synthetic walk.

    python scripts/make_assets.py

rewrites `generic_body.osim` and `synthetic_walk.mot` in `src/gaitdynamics/assets`, with the same bytes each
time. The body comes from published anthropometry. The walk comes from an optimisation: a periodic,
left-right symmetric motion, close to published mean joint angles, whose stance feet stay on the floor and
whose Newton-Euler forces are those of a walking human. No measurement of a person is in either.

References:
    de Leva P (1996) Adjustments to Zatsiorsky-Seluyanov's segment inertia parameters. J Biomech 29:1223-1230.
    Drillis R, Contini R (1966) Body Segment Parameters. New York University, TR 1166.03; as in Winter (2009).
    Harrington ME et al. (2007) Prediction of the hip joint centre in adults, children, and patients with
        cerebral palsy based on magnetic resonance imaging. J Biomech 40:595-602.
    Inman VT (1976) The Joints of the Ankle. Williams & Wilkins.
    Kadaba MP, Ramakrishnan HK, Wootten ME (1990) Measurement of lower extremity kinematics during level
        walking. J Orthop Res 8:383-392.
    Murray MP, Drought AB, Kory RC (1964) Walking patterns of normal men. J Bone Joint Surg Am 46:335-360.
    Perry J, Burnfield JM (2010) Gait Analysis: Normal and Pathological Function, 2nd ed. Slack.
    Winter DA (2009) Biomechanics and Motor Control of Human Movement, 4th ed. Wiley.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import opensim
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.optimize import least_squares

from gaitdynamics.units import STANDARD_GRAVITY_M_S2

ASSETS = Path(__file__).resolve().parents[1] / "src" / "gaitdynamics" / "assets"

# ---------------------------------------------------------------------------------------------------------
# The body
# ---------------------------------------------------------------------------------------------------------

MASS_KG = 75.0
HEIGHT_M = 1.75
DE_LEVA_MALE_HEIGHT_M = 1.741
SCALE = HEIGHT_M / DE_LEVA_MALE_HEIGHT_M


@dataclass(frozen=True)
class SegmentShare:
    """One row of de Leva (1996), Table 4, males.

    mass is a fraction of the body mass, length_m that of a 1.741 m man, com the fraction of the length from
    the proximal (for the trunk and head, the upper) end; the radii of gyration are fractions of the length.
    """

    mass: float
    length_m: float
    com: float
    sagittal: float
    transverse: float
    longitudinal: float

    @property
    def mass_kg(self) -> float:
        return self.mass * MASS_KG

    @property
    def scaled_length_m(self) -> float:
        return self.length_m * SCALE

    @property
    def com_m(self) -> float:
        """Distance of the centre of mass from the proximal or upper end."""
        return self.com * self.scaled_length_m

    @property
    def inertia_kg_m2(self) -> np.ndarray:
        """Principal moments of a vertical segment, (3, 3), about x (sagittal), y (longitudinal), z."""
        radii = np.array([self.sagittal, self.longitudinal, self.transverse]) * self.scaled_length_m
        return np.diag(self.mass_kg * radii**2)


DE_LEVA_MALE = {
    "head": SegmentShare(0.0694, 0.2033, 0.5976, 0.362, 0.376, 0.312),
    "upper_trunk": SegmentShare(0.1596, 0.1707, 0.2999, 0.716, 0.454, 0.659),
    "middle_trunk": SegmentShare(0.1633, 0.2155, 0.4502, 0.482, 0.383, 0.468),
    "lower_trunk": SegmentShare(0.1117, 0.1457, 0.6115, 0.615, 0.551, 0.587),
    "upper_arm": SegmentShare(0.0271, 0.2817, 0.5772, 0.285, 0.269, 0.158),
    "forearm": SegmentShare(0.0162, 0.2689, 0.4574, 0.276, 0.265, 0.121),
    "hand": SegmentShare(0.0061, 0.0862, 0.7900, 0.628, 0.513, 0.401),
    "thigh": SegmentShare(0.1416, 0.4222, 0.4095, 0.329, 0.329, 0.149),
    "shank": SegmentShare(0.0433, 0.4403, 0.4395, 0.251, 0.246, 0.102),
    "foot": SegmentShare(0.0137, 0.2581, 0.4415, 0.257, 0.245, 0.124),
}
SHOULDER_ABOVE_HIP_M = 0.5155 * SCALE  # mid-shoulder to mid-hip, de Leva (1996), Table 4
SHOULDER_HALF_WIDTH_M = 0.129 * HEIGHT_M  # Drillis & Contini (1966)
ANKLE_HEIGHT_M = 0.039 * HEIGHT_M  # Drillis & Contini (1966)
FOOT_LENGTH_M = 0.152 * HEIGHT_M  # Drillis & Contini (1966)
FOOT_HALF_WIDTH_M = 0.0275 * HEIGHT_M  # Drillis & Contini (1966): foot breadth 0.055 of the height

# Harrington et al. (2007): hip centres from the midpoint of the ASIS, for a pelvis of ordinary size.
PELVIS_WIDTH_MM, PELVIS_DEPTH_MM = 240.0, 140.0
HIP_IN_PELVIS_M = (
    (-0.24 * PELVIS_DEPTH_MM - 9.9) / 1000,
    (-0.30 * PELVIS_WIDTH_MM - 10.9) / 1000,
    (0.33 * PELVIS_WIDTH_MM + 7.3) / 1000,
)

# Chosen, as no table has them: where the ankle and the metatarsal heads stand on the sole.
HEEL_TO_ANKLE_M = 0.055
HEEL_TO_MTP_M = 0.72 * FOOT_LENGTH_M
MTP_HEIGHT_M = 0.02
FOOT_COM_HEIGHT_M = 0.035
TALUS_MASS_KG = 0.10
TOES_MASS_KG = 0.12
HEEL_HALF_WIDTH_M = 0.030

SUBTALAR_INCLINATION_RAD = math.radians(42.0)  # Inman (1976), mean
SUBTALAR_DEVIATION_RAD = math.radians(23.0)  # Inman (1976), mean, towards the midline

LEG_LENGTH_M = DE_LEVA_MALE["thigh"].scaled_length_m + DE_LEVA_MALE["shank"].scaled_length_m + ANKLE_HEIGHT_M
STANDING_PELVIS_HEIGHT_M = LEG_LENGTH_M - HIP_IN_PELVIS_M[1]

PELVIS_TRANSLATIONS = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Hinge:
    """A rotation by a coordinate about an axis, given in the frame that the rotations before it produced."""

    coordinate: str
    axis: tuple[float, float, float]
    range_rad: tuple[float, float] = (-math.pi / 2, math.pi / 2)


@dataclass(frozen=True)
class Ellipsoid:
    """A shape to see the body by: half axes and centre, in the segment's frame."""

    radii_m: tuple[float, float, float]
    center_m: tuple[float, float, float]


@dataclass(frozen=True)
class Segment:
    """A rigid segment and the joint that carries it; x is forward, y up, z to the right."""

    name: str
    parent: str
    joint: str
    offset_in_parent_m: tuple[float, float, float]
    hinges: tuple[Hinge, ...]
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia_kg_m2: np.ndarray  # (3, 3), about the centre of mass
    shapes: tuple[Ellipsoid, ...] = field(default=())


def _about(inertia: np.ndarray, mass_kg: float, shift_m: np.ndarray) -> np.ndarray:
    """Moments about a point `shift_m` away from the centre of mass (parallel axes)."""
    return inertia + mass_kg * (shift_m @ shift_m * np.eye(3) - np.outer(shift_m, shift_m))


def _lump(parts: list[tuple[float, np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia of parts that move as one; a negative mass takes a part away."""
    mass = sum(part[0] for part in parts)
    com = sum(part[0] * part[1] for part in parts) / mass
    inertia = sum(_about(part[2], part[0], part[1] - com) for part in parts)
    return mass, com, inertia


def _torso() -> tuple[float, np.ndarray, np.ndarray]:
    """Upper and middle trunk, head, and arms hanging straight down, about the lumbar joint."""
    share = DE_LEVA_MALE
    lumbar_above_hip_m = share["lower_trunk"].scaled_length_m
    xiphoid_m = share["middle_trunk"].scaled_length_m
    suprasternal_m = xiphoid_m + share["upper_trunk"].scaled_length_m
    vertex_m = HEIGHT_M - LEG_LENGTH_M - lumbar_above_hip_m
    heights_m = {
        "middle_trunk": xiphoid_m - share["middle_trunk"].com_m,
        "upper_trunk": suprasternal_m - share["upper_trunk"].com_m,
        "head": vertex_m - share["head"].com_m,
    }
    parts = [
        (share[name].mass_kg, np.array([0.0, height, 0.0]), share[name].inertia_kg_m2)
        for name, height in heights_m.items()
    ]
    top_m = SHOULDER_ABOVE_HIP_M - lumbar_above_hip_m
    for name in ("upper_arm", "forearm", "hand"):
        arm = share[name]
        parts += [
            (arm.mass_kg, np.array([0.0, top_m - arm.com_m, side * SHOULDER_HALF_WIDTH_M]), arm.inertia_kg_m2)
            for side in (1, -1)
        ]
        top_m -= arm.scaled_length_m
    return _lump(parts)


def _foot() -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """The foot in three: what is not talus or toes is the calcaneus with the metatarsals, from the heel."""
    foot = DE_LEVA_MALE["foot"]
    radii = np.array([foot.longitudinal, foot.sagittal, foot.transverse]) * FOOT_LENGTH_M
    whole = (
        foot.mass_kg,
        np.array([foot.com * FOOT_LENGTH_M, FOOT_COM_HEIGHT_M, 0.0]),
        np.diag(foot.mass_kg * radii**2),
    )
    ankle = np.array([HEEL_TO_ANKLE_M, ANKLE_HEIGHT_M, 0.0])
    talus = (TALUS_MASS_KG, ankle, TALUS_MASS_KG * 0.02**2 * np.eye(3))
    half_toe_m = (FOOT_LENGTH_M - HEEL_TO_MTP_M) / 2
    toes_radii = np.array([FOOT_HALF_WIDTH_M, math.hypot(FOOT_HALF_WIDTH_M, half_toe_m), half_toe_m]) / 2
    toes_in_heel = np.array([HEEL_TO_MTP_M + 0.8 * half_toe_m, MTP_HEIGHT_M - 0.005, 0.0])
    toes = (TOES_MASS_KG, toes_in_heel, TOES_MASS_KG * np.diag(toes_radii**2))
    calcn = _lump([whole, *((-mass, com, -inertia) for mass, com, inertia in (talus, toes))])
    mtp = np.array([HEEL_TO_MTP_M, MTP_HEIGHT_M, 0.0])
    return {
        "talus": (talus[0], talus[1] - ankle, talus[2]),
        "calcn": calcn,
        "toes": (toes[0], toes[1] - mtp, toes[2]),
    }


def _leg(side: str, *, knee_flexion_positive: bool) -> list[Segment]:
    """Thigh to toes; the left leg is the mirror image, so that an angle means the same on both sides."""
    mirror = 1.0 if side == "r" else -1.0

    def axis(x: float, y: float, z: float) -> tuple[float, float, float]:
        return (mirror * x, mirror * y, z)

    thigh, shank, foot = DE_LEVA_MALE["thigh"], DE_LEVA_MALE["shank"], _foot()
    thigh_m, shank_m = thigh.scaled_length_m, shank.scaled_length_m
    heel = (-HEEL_TO_ANKLE_M, -ANKLE_HEIGHT_M, 0.0)
    mtp = (HEEL_TO_MTP_M, MTP_HEIGHT_M, 0.0)
    subtalar_axis = axis(
        math.cos(SUBTALAR_INCLINATION_RAD) * math.cos(SUBTALAR_DEVIATION_RAD),
        math.sin(SUBTALAR_INCLINATION_RAD),
        -math.cos(SUBTALAR_INCLINATION_RAD) * math.sin(SUBTALAR_DEVIATION_RAD),
    )
    hip = (
        Hinge(f"hip_flexion_{side}", Z, (-0.7, 2.1)),
        Hinge(f"hip_adduction_{side}", axis(*X), (-0.9, 0.6)),
        Hinge(f"hip_rotation_{side}", axis(*Y), (-0.8, 0.8)),
    )
    if knee_flexion_positive:
        knee = (Hinge(f"knee_angle_{side}", (0.0, 0.0, -1.0), (-0.1, 2.2)),)
    else:
        knee = (Hinge(f"knee_angle_{side}", Z, (-2.2, 0.1)),)
    ankle = (Hinge(f"ankle_angle_{side}", Z, (-0.9, 0.6)),)
    subtalar = (Hinge(f"subtalar_angle_{side}", subtalar_axis, (-0.6, 0.6)),)
    toe = (Hinge(f"mtp_angle_{side}", Z, (-0.6, 1.1)),)

    def limb(radius_x_m: float, radius_z_m: float, length_m: float) -> Ellipsoid:
        return Ellipsoid((radius_x_m, length_m / 2, radius_z_m), (0.0, -length_m / 2, 0.0))

    half_toes_m = (FOOT_LENGTH_M - HEEL_TO_MTP_M) / 2
    sole = Ellipsoid((HEEL_TO_MTP_M / 2, 0.028, 0.040), (HEEL_TO_MTP_M / 2, 0.028, 0.0))
    toes = Ellipsoid((half_toes_m, MTP_HEIGHT_M, 0.045), (half_toes_m, 0.0, 0.0))
    chain = [
        ("femur", "pelvis", "hip", HIP_IN_PELVIS_M, hip, _long_bone(thigh), limb(0.07, 0.07, thigh_m)),
        ("tibia", "femur", "knee", (0.0, -thigh_m, 0.0), knee, _long_bone(shank), limb(0.05, 0.05, shank_m)),
        ("talus", "tibia", "ankle", (0.0, -shank_m, 0.0), ankle, foot["talus"], limb(0.03, 0.03, 0.04)),
        ("calcn", "talus", "subtalar", heel, subtalar, foot["calcn"], sole),
        ("toes", "calcn", "mtp", mtp, toe, foot["toes"], toes),
    ]
    return [
        Segment(
            name=f"{name}_{side}",
            parent=parent if parent == "pelvis" else f"{parent}_{side}",
            joint=f"{joint}_{side}",
            offset_in_parent_m=(offset[0], offset[1], mirror * offset[2]),
            hinges=hinges,
            mass_kg=mass_kg,
            com_m=tuple(com_m.tolist()),
            inertia_kg_m2=inertia_kg_m2,
            shapes=(shape,),
        )
        for name, parent, joint, offset, hinges, (mass_kg, com_m, inertia_kg_m2), shape in chain
    ]


def _long_bone(share: SegmentShare) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia of a segment that hangs from its joint."""
    return share.mass_kg, np.array([0.0, -share.com_m, 0.0]), share.inertia_kg_m2


def generic_segments(*, knee_flexion_positive: bool = True) -> list[Segment]:
    """All segments, parents before children; the first stands on the ground with six coordinates."""
    lower_trunk = DE_LEVA_MALE["lower_trunk"]
    hip_x, hip_y, hip_z = HIP_IN_PELVIS_M
    lumbar_y = hip_y + lower_trunk.scaled_length_m
    torso_mass, torso_com, torso_inertia = _torso()
    shoulder_y = SHOULDER_ABOVE_HIP_M - lower_trunk.scaled_length_m
    vertex_y = HEIGHT_M - LEG_LENGTH_M - lower_trunk.scaled_length_m
    arm_half_m = (
        DE_LEVA_MALE["upper_arm"].scaled_length_m
        + DE_LEVA_MALE["forearm"].scaled_length_m
        + DE_LEVA_MALE["hand"].scaled_length_m
    ) / 2
    pelvis = Segment(
        name="pelvis",
        parent="ground",
        joint="ground_pelvis",
        offset_in_parent_m=(0.0, 0.0, 0.0),
        hinges=(
            Hinge("pelvis_tilt", Z),
            Hinge("pelvis_list", X),
            Hinge("pelvis_rotation", Y, (-math.pi, math.pi)),
        ),
        mass_kg=lower_trunk.mass_kg,
        com_m=(hip_x, lumbar_y - lower_trunk.com_m, 0.0),
        inertia_kg_m2=lower_trunk.inertia_kg_m2,
        shapes=(Ellipsoid((0.10, 0.10, hip_z + 0.06), (hip_x, hip_y / 2 + 0.02, 0.0)),),
    )
    torso = Segment(
        name="torso",
        parent="pelvis",
        joint="back",
        offset_in_parent_m=(hip_x, lumbar_y, 0.0),
        hinges=(Hinge("lumbar_extension", Z), Hinge("lumbar_bending", X), Hinge("lumbar_rotation", Y)),
        mass_kg=torso_mass,
        com_m=tuple(float(value) for value in torso_com),
        inertia_kg_m2=torso_inertia,
        shapes=(
            Ellipsoid((0.11, shoulder_y / 2 + 0.04, 0.17), (0.0, shoulder_y / 2, 0.0)),
            Ellipsoid((0.095, 0.125, 0.075), (0.0, vertex_y - 0.125, 0.0)),
            Ellipsoid((0.040, arm_half_m, 0.040), (0.0, shoulder_y - arm_half_m, SHOULDER_HALF_WIDTH_M)),
            Ellipsoid((0.040, arm_half_m, 0.040), (0.0, shoulder_y - arm_half_m, -SHOULDER_HALF_WIDTH_M)),
        ),
    )
    legs = [_leg(side, knee_flexion_positive=knee_flexion_positive) for side in ("r", "l")]
    return [pelvis, *legs[0], *legs[1], torso]


def coordinate_names() -> tuple[str, ...]:
    """The body's 23 coordinates, in the order of its joints; the order of the motion file's columns."""
    pelvis, *others = generic_segments()
    return (
        *(hinge.coordinate for hinge in pelvis.hinges),
        *PELVIS_TRANSLATIONS,
        *(hinge.coordinate for segment in others for hinge in segment.hinges),
    )


def build_generic_body(*, knee_flexion_positive: bool = True) -> opensim.Model:
    """The generic body as an OpenSim model.

    Args:
        knee_flexion_positive: False gives the same body with the knee's sign of the older gait models.

    Returns:
        A model with all connections made.
    """
    model = opensim.Model()
    model.setName("generic_body_synthetic")
    model.set_credits(
        "Generic adult body (75 kg, 1.75 m, male proportions) of the GaitDynamics project, made from "
        "published anthropometry (de Leva 1996; Drillis and Contini 1966; Harrington et al. 2007; Inman "
        "1976). Synthetic: it is not a person. MIT licence."
    )
    model.setGravity(opensim.Vec3(0.0, -STANDARD_GRAVITY_M_S2, 0.0))
    segments = generic_segments(knee_flexion_positive=knee_flexion_positive)
    for segment in segments:
        inertia = segment.inertia_kg_m2
        moments = [inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        body = opensim.Body(
            segment.name,
            float(segment.mass_kg),
            opensim.Vec3(*segment.com_m),
            opensim.Inertia(*(round(float(value), 12) for value in moments)),
        )
        _attach_shapes(body, segment)
        model.addBody(body)
        model.addJoint(_custom_joint(model, body, segment))
    model.finalizeConnections()
    _set_ranges(model, segments)
    return model


def _attach_shapes(body: opensim.Body, segment: Segment) -> None:
    for number, shape in enumerate(segment.shapes):
        frame = opensim.PhysicalOffsetFrame()
        frame.setName(f"{segment.name}_shape_{number}")
        frame.setParentFrame(body)
        frame.set_translation(opensim.Vec3(*shape.center_m))
        ellipsoid = opensim.Ellipsoid(*shape.radii_m)
        ellipsoid.setColor(opensim.Vec3(0.80, 0.82, 0.86))
        frame.attachGeometry(ellipsoid)
        body.addComponent(frame)


def _custom_joint(model: opensim.Model, body: opensim.Body, segment: Segment) -> opensim.CustomJoint:
    """A CustomJoint of up to three rotations; the ground joint has the three translations as well."""
    transform = opensim.SpatialTransform()
    rotations = (transform.updTransformAxis(0), transform.updTransformAxis(1), transform.updTransformAxis(2))
    axes = [np.array(hinge.axis) for hinge in segment.hinges]
    axes += _perpendicular_axes(axes[0]) if len(axes) == 1 else []
    for number, (rotation, axis) in enumerate(zip(rotations, axes, strict=True)):
        rotation.setAxis(opensim.Vec3(*(float(value) for value in axis)))
        if number < len(segment.hinges):
            _drive(rotation, segment.hinges[number].coordinate)
    if segment.parent == "ground":
        for number, name in enumerate(PELVIS_TRANSLATIONS):
            _drive(transform.updTransformAxis(3 + number), name)
    parent = model.getGround() if segment.parent == "ground" else model.getBodySet().get(segment.parent)
    return opensim.CustomJoint(
        segment.joint,
        parent,
        opensim.Vec3(*segment.offset_in_parent_m),
        opensim.Vec3(0.0),
        body,
        opensim.Vec3(0.0),
        opensim.Vec3(0.0),
        transform,
    )


def _set_ranges(model: opensim.Model, segments: list[Segment]) -> None:
    """After the connections are made: making them replaces the coordinates."""
    for segment in segments:
        for hinge in segment.hinges:
            coordinate = model.updCoordinateSet().get(hinge.coordinate)
            coordinate.setRangeMin(hinge.range_rad[0])
            coordinate.setRangeMax(hinge.range_rad[1])
    for name, default_m in zip(PELVIS_TRANSLATIONS, (0.0, STANDING_PELVIS_HEIGHT_M, 0.0), strict=True):
        coordinate = model.updCoordinateSet().get(name)
        coordinate.setRangeMin(-100.0)
        coordinate.setRangeMax(100.0)
        coordinate.setDefaultValue(default_m)


def _drive(axis: opensim.TransformAxis, coordinate: str) -> None:
    names = opensim.ArrayStr()
    names.append(coordinate)
    axis.setCoordinateNames(names)
    axis.set_function(opensim.LinearFunction(1.0, 0.0))  # a copy; setFunction would keep the temporary


def _perpendicular_axes(axis: np.ndarray) -> list[np.ndarray]:
    """The two axes that complete a hinge's own to a frame; OpenSim asks for three that are independent."""
    second = np.cross(axis, X if abs(axis[0]) < 0.5 else Y)
    second /= np.linalg.norm(second)
    return [second, np.cross(axis, second)]


# ---------------------------------------------------------------------------------------------------------
# Forward kinematics and dynamics, for complex numbers too: an imaginary step gives exact derivatives
# ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Poses:
    """Where all segments are: rotation (..., T, 3, 3) and origin (..., T, 3) in ground, by name."""

    rotation: dict[str, np.ndarray]
    origin_m: dict[str, np.ndarray]

    def point_m(self, segment: str, point_in_segment_m: tuple[float, float, float]) -> np.ndarray:
        """A point of a segment in ground, (..., T, 3)."""
        return self.origin_m[segment] + self.rotation[segment] @ np.array(point_in_segment_m)


def _rotation(axis: tuple[float, float, float], angle_rad: np.ndarray) -> np.ndarray:
    """Rodrigues' formula, (..., 3, 3)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sine, versine = np.sin(angle_rad)[..., None, None], (1 - np.cos(angle_rad))[..., None, None]
    return np.eye(3) + sine * cross + versine * (cross @ cross)


def poses(segments: list[Segment], angles: dict[str, np.ndarray]) -> Poses:
    """Forward kinematics of the tree.

    Args:
        segments: parents before children.
        angles: every coordinate, (..., T), radians and metres.
    """
    rotation: dict[str, np.ndarray] = {}
    origin: dict[str, np.ndarray] = {}
    for segment in segments:
        joint = None
        for hinge in segment.hinges:
            turn = _rotation(hinge.axis, angles[hinge.coordinate])
            joint = turn if joint is None else joint @ turn
        if segment.parent == "ground":
            rotation[segment.name] = joint
            origin[segment.name] = np.stack([angles[name] for name in PELVIS_TRANSLATIONS], axis=-1)
        else:
            parent = rotation[segment.parent]
            rotation[segment.name] = parent @ joint
            origin[segment.name] = origin[segment.parent] + parent @ np.array(segment.offset_in_parent_m)
    return Poses(rotation, origin)


@dataclass(frozen=True)
class GroundWrench:
    """What the ground does to the body, both feet together: (..., T, 3), the free moment (..., T)."""

    com_m: np.ndarray
    force_n: np.ndarray
    zero_moment_point_m: np.ndarray
    free_moment_nm: np.ndarray


def ground_wrench(segments: list[Segment], body: Poses, derivative: np.ndarray) -> GroundWrench:
    """Newton-Euler on the whole body.

    Args:
        body: poses over one cycle, in a frame that moves with the mean walking velocity.
        derivative: (T, T), differentiates a periodic function of time.
    """
    mass = sum(segment.mass_kg for segment in segments)
    centers = [body.point_m(segment.name, segment.com_m) for segment in segments]
    com = sum(segment.mass_kg * center for segment, center in zip(segments, centers, strict=True)) / mass
    com_velocity = derivative @ com
    momentum = 0.0
    for segment, center in zip(segments, centers, strict=True):
        rotation = body.rotation[segment.name]
        rotation_rate = (derivative @ rotation.reshape(*rotation.shape[:-2], 9)).reshape(rotation.shape)
        spin = rotation_rate @ np.swapaxes(rotation, -1, -2)
        omega = np.stack([spin[..., 2, 1], spin[..., 0, 2], spin[..., 1, 0]], axis=-1)
        inertia = rotation @ segment.inertia_kg_m2 @ np.swapaxes(rotation, -1, -2)
        relative_velocity = derivative @ center - com_velocity
        momentum = momentum + segment.mass_kg * np.cross(center - com, relative_velocity)
        momentum = momentum + (inertia @ omega[..., None])[..., 0]
    moment = derivative @ momentum
    force = mass * (derivative @ com_velocity + np.array([0.0, STANDARD_GRAVITY_M_S2, 0.0]))
    height = com[..., 1]
    zmp_x = com[..., 0] + (moment[..., 2] - height * force[..., 0]) / force[..., 1]
    zmp_z = com[..., 2] - (moment[..., 0] + height * force[..., 2]) / force[..., 1]
    arm_x, arm_z = zmp_x - com[..., 0], zmp_z - com[..., 2]
    free_moment = moment[..., 1] - (arm_z * force[..., 0] - arm_x * force[..., 2])
    zmp = np.stack([zmp_x, np.zeros_like(zmp_x), zmp_z], axis=-1)
    return GroundWrench(com, force, zmp, free_moment)


# ---------------------------------------------------------------------------------------------------------
# The walk: what it should be
# ---------------------------------------------------------------------------------------------------------

STRIDE_TIME_S = 1.08  # 111 steps a minute; natural cadence of adults, Winter (2009), Perry & Burnfield (2010)
SPEED_M_S = 1.30
SAMPLING_RATE_HZ = 100.0
DURATION_S = 6.0
STANCE = 0.62  # of the gait cycle, Perry & Burnfield (2010)
TOE_OUT_RAD = math.radians(6.0)  # Perry & Burnfield (2010)
STEP_HALF_WIDTH_M = 0.042  # strides about 8 cm wide, Murray et al. (1964)
SWING_CLEARANCE_M = 0.014  # of the toes, Winter (2009)
SAMPLES = 60  # of one gait cycle, where the motion is judged
COEFFICIENT_DECIMALS = 7


@dataclass(frozen=True)
class Norm:
    """A mean joint angle over the gait cycle of its own side, from a foot strike to the next.

    percent and degrees are key points of the curves in Winter (2009), Kadaba et al. (1990) and Perry &
    Burnfield (2010), in OpenSim's signs, rounded and smoothed, not digitised; spread is about one standard
    deviation between people.
    """

    percent: tuple[float, ...]
    degrees: tuple[float, ...]
    spread_deg: float
    harmonics: tuple[int, ...]

    def mean_rad(self, phase: np.ndarray) -> np.ndarray:
        knots = np.array([*self.percent, 100.0]) / 100
        return np.radians(CubicSpline(knots, [*self.degrees, self.degrees[0]], bc_type="periodic")(phase % 1.0))


FAST = tuple(range(1, 14))
MEDIUM = tuple(range(1, 9))
EVEN = (2, 4, 6, 8, 10)  # the same in both halves of the cycle, as a symmetric walk has it
ODD = (1, 3, 5, 7)  # of opposite sign in the two halves

# fmt: off
LEG_NORMS = {
    "hip_flexion": Norm(
        (0, 10, 20, 30, 40, 50, 54, 60, 70, 80, 87, 94),
        (27, 23, 14, 4, -5, -12, -12, -6, 11, 24, 29, 28.5),
        5, FAST,
    ),
    "hip_adduction": Norm(
        (0, 5, 12, 20, 30, 40, 50, 56, 62, 70, 80, 90),
        (0, 3, 6, 6, 5, 4, 1, -3, -6, -5, -3, -1),
        3, MEDIUM,
    ),
    "hip_rotation": Norm(
        (0, 10, 20, 40, 50, 60, 70, 85),
        (-4, -1, -1, -2, -1, -3, -5, -5),
        6, MEDIUM,
    ),
    "knee_angle": Norm(
        (0, 6, 14, 20, 30, 40, 46, 52, 57, 62, 67, 72, 78, 85, 91, 96),
        (4, 11, 18, 17, 11, 6, 7, 13, 25, 40, 55, 61, 57, 37, 16, 5),
        5, FAST,
    ),
    "ankle_angle": Norm(
        (0, 6, 12, 20, 30, 40, 46, 51, 56, 60, 63, 69, 75, 81, 88, 95),
        (0, -6, -3, 3, 7, 10, 10, 6, -4, -14, -17, -11, -4, 0, 2, 1),
        3, FAST,
    ),
    "subtalar_angle": Norm(
        (0, 6, 13, 30, 45, 55, 62, 75, 90),
        (2, -1, -4, -3, -1, 2, 4, 2, 2),
        3, MEDIUM,
    ),
    "mtp_angle": Norm(
        (0, 8, 16, 34, 45, 52, 57, 62, 70, 85, 94),
        (10, 1, 0, 1, 9, 21, 31, 26, 7, 6, 10),
        6, FAST,
    ),
}
TRUNK_NORMS = {
    "pelvis_tilt": Norm((0, 25, 50, 75), (-3, -4, -3, -4), 2, EVEN),
    "pelvis_list": Norm(
        (0, 6, 13, 20, 30, 40, 50, 56, 63, 70, 80, 90),
        (0, -2.5, -4, -3.5, -1.5, -0.5, 0, 2.5, 4, 3.5, 1.5, 0.5),
        1.5, ODD,
    ),
    "pelvis_rotation": Norm((0, 25, 50, 75), (4, 0, -4, 0), 2, ODD),
    "lumbar_extension": Norm((0, 25, 50, 75), (2, 2, 2, 2), 2, EVEN),
    "lumbar_bending": Norm(
        (0, 6, 13, 20, 30, 40, 50, 56, 63, 70, 80, 90),
        (0, 2, 3.5, 3, 1, 0.2, 0, -2, -3.5, -3, -1, -0.2),
        1.5, ODD,
    ),
    "lumbar_rotation": Norm((0, 25, 50, 75), (-7, 0, 7, 0), 2.5, ODD),
}
# fmt: on
TRANSLATION_HARMONICS = {"pelvis_tx": EVEN, "pelvis_ty": EVEN, "pelvis_tz": ODD}

# How far off each part of the walk may be: what a residual is divided by.
POSITION_M = 0.0015
DRIFT_M_S = 0.020
VERTICAL_BW = 0.05
FORWARD_BW = 0.06
SIDEWAYS_BW = 0.04
PRESSURE_SINGLE_M = 0.008  # in single support the zero-moment point is the one foot's centre of pressure
PRESSURE_DOUBLE_M = 0.03
FREE_MOMENT_NM = 8.0
FOOTPRINT_M = 0.005
KNEE_EXTENSION_RAD = math.radians(0.5)
SMALLEST_KNEE_FLEXION_RAD = math.radians(2.0)
ANGLE_AMPLITUDE_RAD, TRANSLATION_AMPLITUDE_M = 0.5, 1.0  # of the harmonic k, times k squared

# One foot's ground reaction over stance, in body weights, and where on the sole it acts, in foot lengths from
# the heel and metres to the outside: key points of the curves in Winter (2009), natural cadence, and Perry &
# Burnfield (2010), rounded.
# fmt: off
VERTICAL_PERCENT = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 77, 80, 85, 90, 95, 100)
VERTICAL_FORCE_BW = (
    0, 0.32, 0.66, 0.94, 1.08, 1.12, 1.07, 0.89, 0.80, 0.86, 1.02, 1.11, 1.11, 1.01, 0.71, 0.33, 0
)
FORWARD_PERCENT = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 77, 80, 85, 90, 95, 100)
FORWARD_FORCE_BW = (
    0, -0.03, -0.11, -0.17, -0.18, -0.15, -0.11, -0.05, -0.01, 0.03, 0.10, 0.16, 0.18, 0.20, 0.16, 0.06, 0
)
MEDIAL_PERCENT = (0, 5, 12, 25, 50, 75, 90, 100)
MEDIAL_FORCE_BW = (0, -0.02, 0.02, 0.055, 0.045, 0.055, 0.03, 0)
PRESSURE_PERCENT = (0, 10, 20, 40, 60, 80, 90, 100)
PRESSURE_FORWARD = (0.06, 0.18, 0.29, 0.44, 0.57, 0.72, 0.80, 0.90)
PRESSURE_OUTSIDE_M = (0.000, 0.004, 0.007, 0.009, 0.007, 0.000, -0.006, -0.010)
# fmt: on


def window(phase: np.ndarray, start: float, end: float, *, ramp: float) -> np.ndarray:
    """1 from start to end of the cycle, 0 outside, with cosine ramps outwards; wraps around."""
    middle, half = (start + end) / 2, (end - start) / 2
    distance = np.abs((phase - middle + 0.5) % 1.0 - 0.5) - half
    return 0.5 + 0.5 * np.cos(math.pi * np.clip(distance / ramp, 0.0, 1.0))


@dataclass(frozen=True)
class FootTargets:
    """What one foot gives over its own cycle: force in body weights and pressure centre in its footprint."""

    vertical_bw: np.ndarray
    forward_bw: np.ndarray
    medial_bw: np.ndarray
    pressure_forward_m: np.ndarray
    pressure_outside_m: np.ndarray

    @classmethod
    def at(cls, phase: np.ndarray) -> FootTargets:
        percent = np.minimum(phase % 1.0 / STANCE, 1.0) * 100
        vertical = PchipInterpolator(VERTICAL_PERCENT, VERTICAL_FORCE_BW)
        half_a_body_weight = 0.5 / (vertical.integrate(0, 100) / 100 * STANCE)  # on average, as it must be
        return cls(
            vertical_bw=vertical(percent) * half_a_body_weight,
            forward_bw=PchipInterpolator(FORWARD_PERCENT, FORWARD_FORCE_BW)(percent),
            medial_bw=PchipInterpolator(MEDIAL_PERCENT, MEDIAL_FORCE_BW)(percent),
            pressure_forward_m=PchipInterpolator(PRESSURE_PERCENT, PRESSURE_FORWARD)(percent) * FOOT_LENGTH_M,
            pressure_outside_m=PchipInterpolator(PRESSURE_PERCENT, PRESSURE_OUTSIDE_M)(percent),
        )


# ---------------------------------------------------------------------------------------------------------
# The walk: how it is found
# ---------------------------------------------------------------------------------------------------------


class Gait:
    """A symmetric periodic walk as a vector of Fourier coefficients.

    Both legs have the same ones, half a cycle apart. The last two numbers say where the right heel stands.
    """

    def __init__(self) -> None:
        self.harmonics: dict[str, tuple[tuple[int, ...], bool]] = {}
        for name, norm in LEG_NORMS.items():
            self.harmonics[name] = (norm.harmonics, True)
        for name, norm in TRUNK_NORMS.items():
            self.harmonics[name] = (norm.harmonics, norm.harmonics == EVEN)
        for name, harmonics in TRANSLATION_HARMONICS.items():
            self.harmonics[name] = (harmonics, name == "pelvis_ty")
        self.slices: dict[str, slice] = {}
        start = 0
        for name, (harmonics, has_mean) in self.harmonics.items():
            size = 2 * len(harmonics) + has_mean
            self.slices[name] = slice(start, start + size)
            start += size
        self.footprint = slice(start, start + 2)  # where the right heel stands: ahead, and to the right
        self.size = start + 2

    def basis(self, name: str, phase: np.ndarray) -> np.ndarray:
        """(T, size of the coordinate's slice)."""
        harmonics, has_mean = self.harmonics[name]
        angle = 2 * math.pi * phase[:, None] * np.array(harmonics)
        constant = [np.ones((len(phase), 1))] if has_mean else []
        return np.concatenate([*constant, np.cos(angle), np.sin(angle)], axis=1)

    def values(self, coefficients: np.ndarray, phase: np.ndarray) -> dict[str, np.ndarray]:
        """Every coordinate (..., T), in a frame that moves with the walking speed."""
        out = {}
        for name, part in self.slices.items():
            for side, shift in (("_r", 0.0), ("_l", 0.5)) if name in LEG_NORMS else (("", 0.0),):
                out[name + side] = coefficients[..., part] @ self.basis(name, phase + shift).T
        return out

    def first_guess(self, phase: np.ndarray) -> np.ndarray:
        coefficients = np.zeros(self.size)
        for name, norm in {**LEG_NORMS, **TRUNK_NORMS}.items():
            coefficients[self.slices[name]] = np.linalg.lstsq(self.basis(name, phase), norm.mean_rad(phase))[0]
        coefficients[self.slices["pelvis_ty"].start] = STANDING_PELVIS_HEIGHT_M - 0.02
        coefficients[self.footprint] = 0.28, STEP_HALF_WIDTH_M
        return coefficients


def spectral_derivative(num_samples: int) -> np.ndarray:
    """(T, T): the derivative with respect to time of a function with the period of the stride."""
    frequencies = np.fft.fftfreq(num_samples, 1.0 / num_samples)
    frequencies[num_samples // 2] = 0.0
    wave = 2j * math.pi * frequencies / STRIDE_TIME_S
    return np.fft.ifft(wave[:, None] * np.fft.fft(np.eye(num_samples), axis=0), axis=0).real


HEEL_POINTS = [("calcn_r", (0.0, 0.0, z)) for z in (-HEEL_HALF_WIDTH_M, HEEL_HALF_WIDTH_M)]
BALL_POINTS = [("toes_r", (0.0, -MTP_HEIGHT_M, z)) for z in (-FOOT_HALF_WIDTH_M, FOOT_HALF_WIDTH_M)]
TOE_POINTS = [("toes_r", (FOOT_LENGTH_M - HEEL_TO_MTP_M, -MTP_HEIGHT_M, z)) for z in (-0.02, 0.02)]
# Where of the cycle each part of the sole carries weight, and stands still.
HEEL_STANDS, BALL_STANDS, TOES_STAND = (0.03, 0.31), (0.12, 0.52), (0.13, 0.57)


@dataclass(frozen=True)
class Problem:
    """The residuals of the least-squares problem, each divided by how far off it may be."""

    gait: Gait
    segments: list[Segment]
    phase: np.ndarray
    derivative: np.ndarray

    def footprint_m(self, coefficients: np.ndarray, forward_m: float, outside_m: float) -> np.ndarray:
        """Where a point of the sole must stand, (..., T, 3), in the frame that moves with the walk."""
        ahead = forward_m * math.cos(TOE_OUT_RAD) - outside_m * math.sin(TOE_OUT_RAD)
        right = forward_m * math.sin(TOE_OUT_RAD) + outside_m * math.cos(TOE_OUT_RAD)
        heel = coefficients[..., self.gait.footprint]
        passed = SPEED_M_S * STRIDE_TIME_S * ((self.phase + 0.25) % 1.0 - 0.25)
        x = heel[..., :1] + ahead - passed
        z = heel[..., 1:] + right + np.zeros(len(self.phase))
        return np.stack([x, np.zeros_like(x), z], axis=-1)

    def contact(self, coefficients: np.ndarray, body: Poses) -> list[np.ndarray]:
        """The loaded sole neither slides nor sinks; the unloaded sole is above the floor."""
        out = []
        for points, (start, end) in (
            (HEEL_POINTS, HEEL_STANDS),
            (BALL_POINTS, BALL_STANDS),
            (TOE_POINTS, TOES_STAND),
        ):
            weight = window(self.phase, start, end, ramp=0.03)[:, None]
            for segment, point in points:
                forward = point[0] + (0.0 if segment == "calcn_r" else HEEL_TO_MTP_M)
                at = body.point_m(segment, point)
                error = at - self.footprint_m(coefficients, forward, point[2])
                drift = self.derivative @ at + np.array([SPEED_M_S, 0.0, 0.0])
                out += [weight * error / POSITION_M, weight * drift / DRIFT_M_S]
                swings = window(self.phase, 0.69, 0.90, ramp=0.06)
                below = SWING_CLEARANCE_M * swings - at[..., 1]
                out.append(np.where(below.real > 0, below, 0.0) / POSITION_M)
        return out

    def forces(self, coefficients: np.ndarray, body: Poses) -> list[np.ndarray]:
        """The ground reaction is a walking human's, and acts under the feet."""
        wrench = ground_wrench(self.segments, body, self.derivative)
        weight_n = MASS_KG * STANDARD_GRAVITY_M_S2
        feet = [FootTargets.at(self.phase), FootTargets.at(self.phase + 0.5)]
        vertical = sum(foot.vertical_bw for foot in feet)
        forward = sum(foot.forward_bw for foot in feet)
        to_the_right = feet[1].medial_bw - feet[0].medial_bw
        pressure = 0.0
        for side, foot, shift in ((1, feet[0], 0.0), (-1, feet[1], 0.5)):
            cycle = (self.phase + shift) % 1.0
            heel = coefficients[..., self.gait.footprint]
            ahead = foot.pressure_forward_m * math.cos(TOE_OUT_RAD)
            right = foot.pressure_forward_m * math.sin(TOE_OUT_RAD) + foot.pressure_outside_m
            at = np.stack(
                [heel[..., :1] + ahead - SPEED_M_S * STRIDE_TIME_S * cycle, side * (heel[..., 1:] + right)],
                axis=-1,
            )
            pressure = pressure + (foot.vertical_bw / vertical)[:, None] * at
        single = sum(window(self.phase, start, start + 0.36, ramp=0.04) for start in (0.13, 0.63))
        tolerance = 1.0 / (single / PRESSURE_SINGLE_M + (1 - single) / PRESSURE_DOUBLE_M)
        zmp = wrench.zero_moment_point_m[..., (0, 2)]
        return [
            (wrench.force_n[..., 1] / weight_n - vertical) / VERTICAL_BW,
            (wrench.force_n[..., 0] / weight_n - forward) / FORWARD_BW,
            (wrench.force_n[..., 2] / weight_n - to_the_right) / SIDEWAYS_BW,
            (zmp - pressure) / tolerance[:, None],
            wrench.free_moment_nm / FREE_MOMENT_NM,
        ]

    def norms(self, coefficients: np.ndarray, values: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Joint angles near the published means, and no more high frequencies than needed."""
        out = []
        for name, norm in {**LEG_NORMS, **TRUNK_NORMS}.items():
            value = values[f"{name}_r" if name in LEG_NORMS else name]
            out.append((value - norm.mean_rad(self.phase)) / math.radians(norm.spread_deg))
        for name, (harmonics, has_mean) in self.gait.harmonics.items():
            amplitudes = coefficients[..., self.gait.slices[name]][..., int(has_mean) :]
            unit = TRANSLATION_AMPLITUDE_M if name in TRANSLATION_HARMONICS else ANGLE_AMPLITUDE_RAD
            out.append(amplitudes * np.array([*harmonics, *harmonics]) ** 2 / unit)
        knee = values["knee_angle_r"] - SMALLEST_KNEE_FLEXION_RAD
        out.append(np.where(knee.real < 0, knee, 0.0) / KNEE_EXTENSION_RAD)
        out.append((coefficients[..., self.gait.footprint][..., 1:] - STEP_HALF_WIDTH_M) / FOOTPRINT_M)
        return out

    def residuals(self, coefficients: np.ndarray) -> np.ndarray:
        """(..., number of residuals)."""
        values = self.gait.values(coefficients, self.phase)
        body = poses(self.segments, values)
        terms = [
            *self.contact(coefficients, body),
            *self.forces(coefficients, body),
            *self.norms(coefficients, values),
        ]
        lead = coefficients.shape[:-1]
        return np.concatenate([term.reshape(*lead, -1) for term in terms], axis=-1)

    def jacobian(self, coefficients: np.ndarray) -> np.ndarray:
        """(number of residuals, number of coefficients), exact."""
        step = 1e-30
        steps = coefficients + 1j * step * np.eye(len(coefficients))
        return self.residuals(steps).imag.T / step


def solve() -> tuple[Gait, np.ndarray]:
    """The walk: the coefficients that minimise the residuals, in rounded figures.

    Rounding hides the last digits of the solver, which depend on the machine's linear algebra.
    """
    phase = np.arange(SAMPLES) / SAMPLES
    gait = Gait()
    problem = Problem(gait, generic_segments(), phase, spectral_derivative(SAMPLES))
    solution = least_squares(
        problem.residuals,
        gait.first_guess(phase),
        jac=problem.jacobian,
        method="lm",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    if not solution.success:
        raise RuntimeError(f"The walk was not found: {solution.message}")
    return gait, np.round(solution.x, COEFFICIENT_DECIMALS)


# ---------------------------------------------------------------------------------------------------------
# The files
# ---------------------------------------------------------------------------------------------------------

MOTION_HEADER = """\
synthetic_walk
version=1
nRows={num_rows}
nColumns={num_columns}
inDegrees=yes

Synthetic walk of the generic body: made by an optimisation, measured on nobody, not to be used as data.
Angles are in degrees, translations in metres. MIT licence, the GaitDynamics project.

endheader
"""


def walk_values(gait: Gait, coefficients: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """The walk over the ground, (T, 23), radians and metres, in the order of `coordinate_names`."""
    values = gait.values(coefficients, time_s / STRIDE_TIME_S)
    values["pelvis_tx"] = values["pelvis_tx"] + SPEED_M_S * time_s
    return np.stack([values[name] for name in coordinate_names()], axis=1)


def write_motion(path: Path, time_s: np.ndarray, values: np.ndarray) -> None:
    """An OpenSim motion file from radians and metres."""
    names = coordinate_names()
    is_length = np.array([name in PELVIS_TRANSLATIONS for name in names])
    rows = np.where(is_length, values, np.degrees(values)) + 0.0
    lines = ["\t".join(("time", *names))]
    lines += [
        f"{time:.2f}\t" + "\t".join(f"{value:.8f}" for value in row) for time, row in zip(time_s, rows, strict=True)
    ]
    header = MOTION_HEADER.format(num_rows=len(rows), num_columns=1 + len(names))
    path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def describe(gait: Gait, coefficients: np.ndarray) -> str:
    """The figures of the walk that the assets' README quotes."""
    phase = np.arange(540) / 540
    derivative = spectral_derivative(len(phase))
    body = poses(generic_segments(), gait.values(coefficients, phase))
    wrench = ground_wrench(generic_segments(), body, derivative)
    force_bw = wrench.force_n / (MASS_KG * STANDARD_GRAVITY_M_S2)
    com_cm = np.ptp(wrench.com_m, axis=0) * 100
    heel_x, heel_z = coefficients[gait.footprint]
    ahead = wrench.zero_moment_point_m[:, 0] - heel_x + SPEED_M_S * STRIDE_TIME_S * phase
    right = wrench.zero_moment_point_m[:, 2] - heel_z
    forward = ahead * math.cos(TOE_OUT_RAD) + right * math.sin(TOE_OUT_RAD)
    outside = right * math.cos(TOE_OUT_RAD) - ahead * math.sin(TOE_OUT_RAD)
    single = (phase > STANCE - 0.5) & (phase < 0.5)
    lines = [
        f"speed {SPEED_M_S:.2f} m/s, {120 / STRIDE_TIME_S:.1f} steps/min, heels {200 * heel_z:.1f} cm apart",
        f"centre of mass moves {com_cm[1]:.1f} cm vertically, {com_cm[2]:.1f} cm sideways",
    ]
    for axis, name in enumerate(("forward", "vertical", "sideways")):
        lines.append(f"{name} force {force_bw[:, axis].min():.3f} to {force_bw[:, axis].max():.3f} body weights")
    lines += [
        f"zero-moment point in single support {100 * forward[single].min():.1f} to "
        f"{100 * forward[single].max():.1f} cm from the heel, {100 * outside[single].min():.1f} to "
        f"{100 * outside[single].max():.1f} cm outside the midline of the foot",
        f"free moment {wrench.free_moment_nm.min():.1f} to {wrench.free_moment_nm.max():.1f} N m",
    ]
    for name, points, (start, end) in (
        ("heel", HEEL_POINTS, HEEL_STANDS),
        ("ball", BALL_POINTS, BALL_STANDS),
        ("toes", TOE_POINTS, TOES_STAND),
    ):
        stands = (phase >= start) & (phase <= end)
        at = np.stack([body.point_m(segment, point) for segment, point in points])
        slip = np.linalg.norm((derivative @ at + np.array([SPEED_M_S, 0.0, 0.0]))[..., [0, 2]], axis=-1)
        lines.append(
            f"{name} on the floor: height {1000 * at[:, stands, 1].min():.2f} to "
            f"{1000 * at[:, stands, 1].max():.2f} mm, slip at most {100 * slip[:, stands].max():.2f} cm/s; "
            f"lowest ever {1000 * at[..., 1].min():.2f} mm"
        )
    return "\n".join(lines)


def main() -> None:
    opensim.Logger.setLevelString("Off")
    opensim.Logger.removeFileSink()
    ASSETS.mkdir(parents=True, exist_ok=True)
    build_generic_body().printToXML(str(ASSETS / "generic_body.osim"))
    gait, coefficients = solve()
    time_s = np.arange(round(DURATION_S * SAMPLING_RATE_HZ) + 1) / SAMPLING_RATE_HZ
    write_motion(ASSETS / "synthetic_walk.mot", time_s, walk_values(gait, coefficients, time_s))
    print(describe(gait, coefficients))


if __name__ == "__main__":
    main()
