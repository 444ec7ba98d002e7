"""How gait changes with speed: what people did who were recorded at several, and what somebody else would do.

The change between two speeds is a weighted mean of the changes that training people made between them. People whose
strides are like the person's weigh more: ridge regression of the change on how a stride differs from the others' at the
speed from which it starts. Angles are compared without their means over the stride, on which laboratories differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.model.checkpoint import Weights
from gaitdynamics.state.layout import GAIT
from gaitdynamics.units import SIDE_NAMES

KIND = "speed_response"
NUM_POINTS = 50  # of a stride: 25 harmonics
FURTHEST = 0.5  # beyond the training speeds, of their logarithm: nobody knows what a person does there
LIKENESS_RIDGE = {"walk": 3.0, "run": 1.0}  # relative to the people's mean squared distance
LOG_STRIDE_SPREAD, SHARE_SPREAD = 0.12, 0.05  # that count as much as all angles together
LEAST_SPREAD = 1e-6
# Of draws against people's differences. Chosen on training people left out, so that 90 % of their angles lie between
# the 5th and the 95th percentile of eight draws, which are nearer to each other than those of many.
SPREAD = 1.7
FORCE_GROUPS = tuple(f"{what}_{side}" for side in SIDE_NAMES for what in ("force", "pressure", "free_moment"))
# By what strides are compared. How knees and ankles turn besides flexing depends on the model that they were fitted to.
COMPARED = np.array(
    [
        i
        for i, channel in enumerate(GAIT.channels)
        if channel.group not in FORCE_GROUPS
        and (channel.group.split("_")[0] not in ("knee", "ankle") or channel.name.endswith("flexion"))
    ]
)


@dataclass(frozen=True)
class MeanStride:
    """A person's stride at one speed, right and left legs alike, on the common clock of `stride_phase`.

    Args:
        values: layout GAIT, the pelvis' forward velocity about its mean, (NUM_POINTS, D).
        log_stride_s: logarithm of the stride's duration in seconds.
        contact_share: of the stride.
    """

    values: np.ndarray
    log_stride_s: float
    contact_share: float


@dataclass(frozen=True)
class StrideChange:
    """What becomes of a stride: to be added to `MeanStride`'s fields."""

    values: np.ndarray
    log_stride_s: float
    contact_share: float

    def __add__(self, other: "StrideChange") -> "StrideChange":
        return StrideChange(
            self.values + other.values,
            self.log_stride_s + other.log_stride_s,
            self.contact_share + other.contact_share,
        )


@dataclass(frozen=True)
class Person:
    """A training person's strides at two or more speeds.

    Args:
        log_speeds: increasing, (K,).
        values: (K, NUM_POINTS, D).
        scalars: logarithm of the stride's duration in seconds, and contact share, (K, 2).
        known: channels that were measured at all speeds, (D,).
    """

    log_speeds: np.ndarray
    values: np.ndarray
    scalars: np.ndarray
    known: np.ndarray

    def at(self, log_speed: float) -> tuple[np.ndarray, np.ndarray]:
        """Values and scalars at a speed: on straight lines between the recorded ones, which go on beyond them."""
        k = int(np.clip(np.searchsorted(self.log_speeds, log_speed) - 1, 0, len(self.log_speeds) - 2))
        low, high = self.log_speeds[k : k + 2]
        share = (log_speed - low) / (high - low)
        values, scalars = (each[k] + share * (each[k + 1] - each[k]) for each in (self.values, self.scalars))
        return values, scalars

    @property
    def span(self) -> float:
        """Of the logarithm of speed."""
        return float(self.log_speeds[-1] - self.log_speeds[0])


@dataclass(frozen=True)
class ActivityResponse:
    """How people change with speed in walking, or in running.

    Args:
        people: at least three.
        speeds_m_s: lowest and highest of theirs.
        ridge: how little likeness counts.
    """

    people: tuple[Person, ...]
    speeds_m_s: tuple[float, float]
    ridge: float

    def holds(self, speed_m_s: float, *, tolerance: float = 0.01) -> bool:
        """Whether people in the training data moved at that speed."""
        low, high = self.speeds_m_s
        return low * (1 - tolerance) <= speed_m_s <= high * (1 + tolerance)

    def reaches(self, speed_m_s: float) -> bool:
        """Whether an extrapolation to that speed is more than a fancy."""
        low, high = self.speeds_m_s
        return low * np.exp(-FURTHEST) <= speed_m_s <= high * np.exp(FURTHEST)

    def average(self, speed_m_s: float) -> MeanStride:
        """The training people's mean stride at a speed; zero in channels that nobody's had measured."""
        values, scalars, known = self._at(speed_m_s)
        mean = np.einsum("pd,pnd->nd", _shares(self._trust[:, None] * known), values)
        log_stride_s, contact_share = self._trust @ scalars
        return MeanStride(mean, float(log_stride_s), float(contact_share))

    def change(self, stride: MeanStride, from_m_s: float, to_m_s: float) -> StrideChange:
        """What becomes of a person's stride from one speed to another, as far as one can tell."""
        return self._change(stride, from_m_s, to_m_s, np.ones(len(self.people), dtype=bool))

    def draws(self, from_m_s: float, to_m_s: float, *, num: int, seed: int) -> tuple[StrideChange, ...]:
        """What a person's change may differ by from `change`: as training people's did who were left out of it.

        Every second draw is the opposite of the one before; the k-th is the same however many there are.
        """
        values, scalars = self._unforeseen
        distance = np.log(to_m_s / from_m_s)
        found = []
        for number in range(num):
            noise = np.random.default_rng([seed, number // 2]).standard_normal(len(self.people))
            noise *= (-1.0) ** number * SPREAD * distance / np.sqrt(len(self.people) - 1)
            log_stride_s, contact_share = noise @ scalars
            found.append(StrideChange(np.einsum("p,pnd->nd", noise, values), float(log_stride_s), float(contact_share)))
        return tuple(found)

    @cached_property
    def _trust(self) -> np.ndarray:
        """Weights of the people if nothing is known of a stride: a change is as sure as the speeds are apart, (P,)."""
        return _shares(np.array([person.span**2 for person in self.people]))

    @cached_property
    def _unforeseen(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each person left out, the true change minus the foreseen one per logarithm of speed."""
        values, scalars = [], []
        for k, person in enumerate(self.people):
            others = np.arange(len(self.people)) != k
            low, high = np.exp(person.log_speeds[[0, -1]])
            both = []
            for start, end, first, last in ((low, high, 0, -1), (high, low, -1, 0)):
                stride = MeanStride(person.values[first], *person.scalars[first])
                foreseen = self._change(stride, start, end, others)
                distance = np.log(end / start)
                both.append(
                    (
                        (person.values[last] - person.values[first] - foreseen.values) * person.known / distance,
                        (person.scalars[last] - person.scalars[first] - (foreseen.log_stride_s, foreseen.contact_share))
                        / distance,
                    )
                )
            weight = np.sqrt(self._trust[k] * len(self.people))  # noise of nearby speeds is no difference of people
            values.append(weight * np.mean([each[0] for each in both], axis=0))
            scalars.append(weight * np.mean([each[1] for each in both], axis=0))
        return np.stack(values), np.stack(scalars)

    def _at(self, speed_m_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Everybody's values (P, NUM_POINTS, D) and scalars (P, 2) at a speed, and what of them is known (P, D)."""
        found = [person.at(float(np.log(speed_m_s))) for person in self.people]
        known = np.stack([person.known for person in self.people])
        return np.stack([values for values, _ in found]), np.stack([scalars for _, scalars in found]), known

    def _change(self, stride: MeanStride, from_m_s: float, to_m_s: float, among: np.ndarray) -> StrideChange:
        values, scalars, known = (each[among] for each in self._at(from_m_s))
        later, later_scalars, _ = (each[among] for each in self._at(to_m_s))
        trust = _shares(self._trust[among])
        tilt = self._likeness(stride, values, scalars, known, trust)
        by_channel = _shares(trust[:, None] * known)
        changes = later - values
        mean = np.einsum("pd,pnd->nd", by_channel, changes)
        mean += np.einsum("p,pd,pnd->nd", tilt, known, changes - mean)
        log_stride_s, contact_share = (trust + tilt) @ (later_scalars - scalars)
        return StrideChange(mean, float(log_stride_s), float(contact_share))

    def _likeness(
        self, stride: MeanStride, values: np.ndarray, scalars: np.ndarray, known: np.ndarray, trust: np.ndarray
    ) -> np.ndarray:
        """How much more each person counts than by trust alone, (P,); together nothing."""
        columns = COMPARED[known[:, COMPARED].all(axis=0)]
        middle, middle_scalars = np.einsum("p,pnd->nd", trust, values), trust @ scalars
        differing = (values - middle)[..., columns]
        differing = differing - differing.mean(axis=1, keepdims=True)
        spread = np.maximum(differing.std(axis=(0, 1)), LEAST_SPREAD)
        own = (stride.values - middle)[:, columns]
        own = own - own.mean(axis=0)
        per_entry = spread * np.sqrt(differing[0].size)
        scalar_spread = np.array([LOG_STRIDE_SPREAD, SHARE_SPREAD])
        people = np.concatenate(
            [(differing / per_entry).reshape(len(values), -1), (scalars - middle_scalars) / scalar_spread], axis=1
        )
        person = np.concatenate(
            [
                (own / per_entry).ravel(),
                ((stride.log_stride_s, stride.contact_share) - middle_scalars) / scalar_spread,
            ]
        )
        furthest = np.linalg.norm(people, axis=1).max()
        person *= min(1.0, furthest / max(float(np.linalg.norm(person)), LEAST_SPREAD))  # who is like nobody
        # Ridge regression with observations as sure as people's trust.
        inner = people @ people.T
        noise = self.ridge * max(np.trace(inner) / len(inner), LEAST_SPREAD)
        tilt = np.linalg.solve(inner + noise * np.diag(trust.mean() / np.maximum(trust, LEAST_SPREAD)), people @ person)
        return tilt - tilt.sum() * trust


@dataclass(frozen=True)
class SpeedResponse:
    """The bundled or a user's own weights.

    Args:
        name: of the weights.
        by_activity: walk, run.
    """

    name: str
    by_activity: Mapping[str, ActivityResponse]


def speed_response(weights: Weights) -> SpeedResponse:
    """From weights on disk.

    Raises:
        InputFileError: they are of another kind, or do not fit their description.
    """
    if weights.kind != KIND:
        raise InputFileError(f"{weights.folder}: holds weights of kind {weights.kind}. Expected {KIND}.")
    activities = weights.config.get("activities")
    if not isinstance(activities, dict) or not activities:
        raise InputFileError(f"{weights.folder}: the description names no activities. Make the weights again.")
    return SpeedResponse(
        weights.folder.name, {name: _activity(weights, name, about) for name, about in activities.items()}
    )


def _activity(weights: Weights, name: str, about: Any) -> ActivityResponse:
    try:
        tensors = {key: weights.tensors[f"{name}.{key}"].numpy().astype(np.float64) for key in TENSORS}
        low, high = (float(speed) for speed in about["speeds_m_s"])
        counts = tensors["num_speeds"].astype(int)
        shape = (int(counts.sum()), NUM_POINTS, len(GAIT))
        if tensors["values"].shape != shape or len(tensors["known"]) != len(counts) or (counts < 2).any():
            raise ValueError(f"shapes that do not go together: {tensors['values'].shape}, expected {shape}")
        ends = np.cumsum(counts)
        people = tuple(
            Person(
                tensors["log_speeds"][end - count : end],
                tensors["values"][end - count : end],
                tensors["scalars"][end - count : end],
                known > 0.5,
            )
            for end, count, known in zip(ends, counts, tensors["known"], strict=True)
        )
        return ActivityResponse(people, (low, high), float(about["ridge"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(
            f"{weights.folder}: the response of '{name}' lacks something: {error}. Make the weights again."
        ) from None


TENSORS = ("num_speeds", "log_speeds", "values", "scalars", "known")


def response_tensors(response: ActivityResponse) -> dict[str, np.ndarray]:
    """What `speed_response` reads of an activity, by name."""
    people = response.people
    return {
        "num_speeds": np.array([len(person.log_speeds) for person in people]),
        "log_speeds": np.concatenate([person.log_speeds for person in people]),
        "values": np.concatenate([person.values for person in people]),
        "scalars": np.concatenate([person.scalars for person in people]),
        "known": np.stack([person.known for person in people]),
    }


def mean_stride(values: np.ndarray, phase: np.ndarray, *, is_known: np.ndarray | None = None) -> np.ndarray:
    """A stride from many, right and left legs alike; NaN at phases of which a channel says nothing.

    Args:
        values: layout GAIT, (T, D).
        phase: on the common clock, increasing, (T,).
        is_known: (T, D); all, if not given.

    Returns:
        (NUM_POINTS, D).
    """
    flags = np.ones(values.shape, dtype=bool) if is_known is None else is_known
    right = _mean_from_right_strikes(values, flags, phase)
    left = _mean_from_right_strikes(GAIT.mirrored(values), flags[:, GAIT.mirror_order], phase + 0.5)
    mean = _either(right, left)
    return _either(mean, GAIT.mirrored(np.roll(mean, NUM_POINTS // 2, axis=0)))  # half a stride later, in the mirror


def _mean_from_right_strikes(values: np.ndarray, flags: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Values (T, D) on the points of a stride, averaged over strides, NaN where no flag (T, D) holds."""
    from scipy.interpolate import CubicSpline

    frames = np.arange(len(values), dtype=float)
    spline = CubicSpline(frames, values, axis=0)
    total, count = np.zeros((NUM_POINTS, values.shape[1])), np.zeros((NUM_POINTS, values.shape[1]))
    for number in np.arange(np.floor(phase[0]), np.ceil(phase[-1])):
        wanted = number + np.arange(NUM_POINTS) / NUM_POINTS
        inside = (wanted >= phase[0]) & (wanted <= phase[-1])
        at = np.interp(wanted[inside], phase, frames)
        seen = flags[np.floor(at).astype(int)] & flags[np.ceil(at).astype(int)]
        total[inside] += np.where(seen, spline(at), 0.0)
        count[inside] += seen
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The mean of both, or the one that is known."""
    return (np.where(np.isnan(first), second, first) + np.where(np.isnan(second), first, second)) / 2


def at_phase(curve: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """A stride's curve (NUM_POINTS, D) at phases (T,): a periodic spline."""
    from scipy.interpolate import CubicSpline

    closed = np.concatenate([curve, curve[:1]])
    grid = np.arange(NUM_POINTS + 1) / NUM_POINTS
    return np.asarray(CubicSpline(grid, closed, axis=0, bc_type="periodic")(phase % 1.0))


def _shares(weights: np.ndarray) -> np.ndarray:
    """Along the first axis adding up to 1, or to 0 where there is nothing."""
    return weights / np.maximum(weights.sum(axis=0), LEAST_SPREAD)
