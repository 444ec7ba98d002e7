"""How long a person's segments are, from markers on a body that stands still and the same markers on a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from gaitdynamics.errors import InvalidModelError
from gaitdynamics.types.side import words_of
from gaitdynamics.types.skeleton import Axis, CubicSpline, Joint, JointFunction, Polynomial, Skeleton
from gaitdynamics.units import SIDE_NAMES, SIDES

MARKER_SPREAD_M = 0.01  # between where a marker is on a person and where a protocol has it
SEGMENT_SPREAD = 0.08  # of a segment's length between people of the same height
POSTURE_SPREAD_RAD = 0.5  # of a joint angle between people who stand as they were told
FACTOR_RANGE = (0.4, 1.8)  # from a toddler to the tallest, of an adult model
NUDGE = 1e-5
MOST_STEPS = 60
SMALL_STEP = 1e-7
_FIRST_DAMPING = 1e-3


@dataclass(frozen=True)
class BodyFit:
    """A model's segments as long as a person's.

    Args:
        factors: of length, by body; alike on both sides.
        values: coordinates in which the person stood, turned to face as the model does, (C,).
        error_m: between the scaled model's markers and the person's, (M,).
        places_m: of the person's markers in the bodies, (M, 3).
    """

    factors: dict[str, float]
    values: np.ndarray
    error_m: np.ndarray
    places_m: np.ndarray


def fit_body(skeleton: Skeleton, *, bodies: Sequence[str], place_in_body_m: np.ndarray, seen_m: np.ndarray) -> BodyFit:
    """Lengths of segments and a posture in which a model's markers come nearest to those of a person who stands.

    Least squares over the markers' places, with what is known beforehand: segments of one person are alike scaled, but
    for about 8 %, and standing is near the model's zero pose. So segments without markers of their own get the scale of
    the others, and a single marker that was put elsewhere than the protocol has it does little harm.

    Args:
        skeleton: of the model.
        bodies: that each marker is on, M of them.
        place_in_body_m: of the model's markers, (M, 3).
        seen_m: of the person's, y up, (M, 3).

    Raises:
        InvalidModelError: no person of any size fits.
    """
    problem = _Problem(
        skeleton, tuple(bodies), place_in_body_m, _facing_alike(skeleton, bodies, place_in_body_m, seen_m)
    )
    unknowns = _least_squares(problem)
    factors = problem.factors(unknowns)
    if not all(FACTOR_RANGE[0] < factor < FACTOR_RANGE[1] for factor in factors.values()):
        body, factor = max(factors.items(), key=lambda item: abs(np.log(item[1])))
        raise InvalidModelError(
            f"the model's '{body}' would have to be {factor:.2g} times as long to fit the markers; expected "
            f"{FACTOR_RANGE[0]:g} to {FACTOR_RANGE[1]:g}. Look for markers that are swapped or named otherwise."
        )
    values = problem.values(unknowns)
    scaled = scaled_skeleton(skeleton, factors)
    pose = scaled.pose(torch.as_tensor(values))
    index = [skeleton.body_index[body] for body in bodies]
    rotation, origin = pose.rotation[index].numpy(), pose.origin_m[index].numpy()
    places_m = np.einsum("mji,mj->mi", rotation, problem.seen_m - origin)
    scale = np.array([factors[body] for body in bodies])[:, None]
    return BodyFit(factors, values, np.linalg.norm(places_m - place_in_body_m * scale, axis=1), places_m)


def scaled_skeleton(skeleton: Skeleton, factors: Mapping[str, float]) -> Skeleton:
    """The same joints between segments of other lengths; masses stay."""
    return replace(skeleton, joints=tuple(_scaled_joint(joint, factors) for joint in skeleton.joints))


def _scaled_joint(joint: Joint, factors: Mapping[str, float]) -> Joint:
    parent, child = factors.get(joint.parent, 1.0), factors[joint.child]
    return replace(
        joint,
        parent_translation_m=joint.parent_translation_m * parent,
        child_translation_m=joint.child_translation_m * child,
        translations=tuple(_scaled_axis(axis, parent) for axis in joint.translations),
    )


def _scaled_axis(axis: Axis, factor: float) -> Axis:
    return replace(axis, function=_times(axis.function, factor))


def _times(function: JointFunction, factor: float) -> JointFunction:
    if isinstance(function, Polynomial):
        return Polynomial(tuple(factor * each for each in function.coefficients))
    return CubicSpline(
        function.knots,
        tuple(factor * each for each in function.values),
        tuple(factor * each for each in function.slopes),
    )


def _segment_of(body: str) -> str:
    """A body's name without its side."""
    return "_".join(word for word in words_of(body) if word not in (*SIDES, *SIDE_NAMES)) or body


def _facing_alike(
    skeleton: Skeleton, bodies: Sequence[str], place_in_body_m: np.ndarray, seen_m: np.ndarray
) -> np.ndarray:
    """The person's markers turned about the vertical to face as the model does in its zero pose, (M, 3)."""
    own_m = _marker_places(skeleton, np.zeros((1, len(skeleton.coordinates))), bodies, place_in_body_m)[0]
    own, seen = own_m - own_m.mean(axis=0), seen_m - seen_m.mean(axis=0)
    # Kabsch's problem in a plane.
    sine = float((seen[:, 2] * own[:, 0] - seen[:, 0] * own[:, 2]).sum())
    cosine = float((seen[:, 0] * own[:, 0] + seen[:, 2] * own[:, 2]).sum())
    angle = np.arctan2(sine, cosine)
    turn = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
    return np.asarray(seen @ turn.T + seen_m.mean(axis=0))


def _marker_places(
    skeleton: Skeleton, values: np.ndarray, bodies: Sequence[str], place_in_body_m: np.ndarray
) -> np.ndarray:
    """Where a model's markers are, (N, M, 3)."""
    pose = skeleton.pose(torch.as_tensor(values))
    index = [skeleton.body_index[body] for body in bodies]
    rotation, origin = pose.rotation[:, index].numpy(), pose.origin_m[:, index].numpy()
    return np.asarray(np.einsum("nmij,mj->nmi", rotation, place_in_body_m) + origin)


class _Problem:
    """Unknowns: the free coordinates, the logarithm of the common scale, and of each segment's on top of it."""

    def __init__(
        self, skeleton: Skeleton, bodies: tuple[str, ...], place_in_body_m: np.ndarray, seen_m: np.ndarray
    ) -> None:
        self.skeleton, self.bodies = skeleton, bodies
        self.place_in_body_m, self.seen_m = place_in_body_m, seen_m
        self.free = [k for k, c in enumerate(skeleton.coordinates) if c.coupled_to is None and not c.is_locked]
        self.default = np.array([0.0 if c.is_rotational else c.default_value for c in skeleton.coordinates])
        self.segments = tuple(dict.fromkeys(_segment_of(body.name) for body in skeleton.bodies))
        self.is_angle = np.array([skeleton.coordinates[k].is_rotational for k in self.free])

    @property
    def first(self) -> np.ndarray:
        """Standing as the model does."""
        return np.concatenate([self.default[self.free], np.zeros(1 + len(self.segments))])

    def values(self, unknowns: np.ndarray) -> np.ndarray:
        """Coordinates, (C,)."""
        values = self.default.copy()
        values[self.free] = unknowns[: len(self.free)]
        return values

    def factors(self, unknowns: np.ndarray) -> dict[str, float]:
        """Length of each body."""
        common, *own = unknowns[len(self.free) :].tolist()
        of_segment = dict(zip(self.segments, own, strict=True))
        return {body.name: float(np.exp(common + of_segment[_segment_of(body.name)])) for body in self.skeleton.bodies}

    def residuals(self, unknowns: np.ndarray) -> np.ndarray:
        """Of markers and of what is known beforehand, each in its usual spread."""
        return self._residuals(unknowns, self.values(unknowns)[None])[0]

    def jacobian(self, unknowns: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Forward differences."""
        num_free = len(self.free)
        nudged = unknowns + NUDGE * np.eye(len(unknowns))
        postures = np.array([self.values(each) for each in nudged[:num_free]])
        rows = [*self._residuals(unknowns, postures)]
        rows += [self.residuals(each) for each in nudged[num_free:]]
        columns = np.stack(rows, axis=1)
        # The prior of coordinates is not in what `_residuals` shares between postures.
        columns[-num_free:, :num_free] = self._prior(nudged[:num_free]).T
        return (columns - now[:, None]) / NUDGE

    def _residuals(self, unknowns: np.ndarray, values: np.ndarray) -> np.ndarray:
        factors = self.factors(unknowns)
        scale = np.array([factors[body] for body in self.bodies])[:, None]
        places = _marker_places(
            scaled_skeleton(self.skeleton, factors), values, self.bodies, self.place_in_body_m * scale
        )
        markers = ((places - self.seen_m) / MARKER_SPREAD_M).reshape(len(values), -1)
        lengths = np.tile(unknowns[len(self.free) + 1 :] / SEGMENT_SPREAD, (len(values), 1))
        posture = np.tile(self._prior(unknowns[None]), (len(values), 1))
        return np.concatenate([markers, lengths, posture], axis=1)

    def _prior(self, unknowns: np.ndarray) -> np.ndarray:
        angles = unknowns[:, : len(self.free)] - self.default[self.free]
        return np.where(self.is_angle, angles / POSTURE_SPREAD_RAD, 0.0)


def _least_squares(problem: _Problem) -> np.ndarray:
    """Levenberg and Marquardt's."""
    unknowns, damping = problem.first, _FIRST_DAMPING
    now = problem.residuals(unknowns)
    for _ in range(MOST_STEPS):
        jacobian = problem.jacobian(unknowns, now)
        normal, slope = jacobian.T @ jacobian, jacobian.T @ now
        for _ in range(MOST_STEPS):
            system = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(normal))
            step = -np.linalg.solve(system, slope)
            tried = problem.residuals(unknowns + step)
            if tried @ tried < now @ now:
                break
            damping *= 4.0
        else:
            return unknowns
        unknowns, now, damping = unknowns + step, tried, damping / 3.0
        if np.abs(step).max() < SMALL_STEP:
            break
    return unknowns
