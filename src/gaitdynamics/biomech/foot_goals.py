"""Where the feet of a changed gait are to be: footprints that are moved and turned as wholes, so that none slides."""

from dataclasses import dataclass

import numpy as np

from gaitdynamics.biomech.events import Stance, stances
from gaitdynamics.types.ground_reaction import GroundReaction

LEAST_SWING_M = 0.05  # a foot that goes no further between two stances moves on with time


@dataclass(frozen=True)
class FootGoal:
    """Every point p of a foot goes to anchor + R (p − anchor) + shift.

    Args:
        anchor_m: what a foot turns about, ground frame, (T, 2, 3).
        shift_m: (T, 2, 3).
        yaw_rad: about the upward axis, counter-clockwise from above, (T, 2).
    """

    anchor_m: np.ndarray
    shift_m: np.ndarray
    yaw_rad: np.ndarray

    def of(self, points_m: np.ndarray) -> np.ndarray:
        """The points (T, 2, ..., 3) at their goal."""
        shape = (*self.anchor_m.shape[:2], *([1] * (points_m.ndim - self.anchor_m.ndim)), 3)
        anchor, shift = self.anchor_m.reshape(shape), self.shift_m.reshape(shape)
        cosine, sine = (turn(self.yaw_rad).reshape(shape[:-1]) for turn in (np.cos, np.sin))
        x, y, z = np.moveaxis(points_m - anchor, -1, 0)
        return anchor + shift + np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=-1)


@dataclass(frozen=True)
class Footprints:
    """The stances of a recorded gait, in the ground frame.

    Args:
        foot_m: a point of each foot that is still while it is flat, (T, 2, 3).
        ground_m: how far the ground has moved back since the first frame, (T, 3); zeros overground.
        all_stances: of both feet.
    """

    foot_m: np.ndarray
    ground_m: np.ndarray
    all_stances: tuple[Stance, ...]

    @classmethod
    def of(cls, foot_m: np.ndarray, forces: GroundReaction, *, belt_velocity_m_s: np.ndarray) -> "Footprints":
        """Of feet (T, 2, 3) at the times of forces, on ground that moves with a velocity (3,)."""
        return cls(foot_m, -belt_velocity_m_s * (forces.time_s - forces.time_s[0])[:, None], stances(forces))

    def goal(
        self,
        *,
        forward: np.ndarray,
        stretch: float = 1.0,
        shift_m: np.ndarray | None = None,
        yaw_rad: np.ndarray | None = None,
    ) -> FootGoal:
        """Footprints further apart along the way, moved and turned.

        Args:
            forward: unit vector of the way, (3,).
            stretch: of distances along it; of the ground's speed, too.
            shift_m: of each stance and what leads to it, at every frame, (T, 2, 3).
            yaw_rad: about the upward axis, (T, 2).
        """
        over_ground = self.foot_m + self.ground_m[:, None]
        anchor = np.stack([self._anchor(over_ground[:, foot], foot) for foot in range(2)], axis=1)
        shift = np.zeros_like(anchor) if shift_m is None else self.held(shift_m)
        yaw = np.zeros(anchor.shape[:2]) if yaw_rad is None else self.held(yaw_rad[..., None])[..., 0]
        further = (stretch - 1.0) * ((anchor - self.ground_m[:, None]) @ forward)[..., None] * forward
        return FootGoal(anchor - self.ground_m[:, None], shift + further, yaw)

    def held(self, values: np.ndarray) -> np.ndarray:
        """Values (T, 2, K) that during each stance are its mean, and go over into each other in between."""
        result = values.copy()
        frames = np.arange(len(values))
        for foot in range(2):
            own = [s for s in self.all_stances if s.foot == foot]
            if not own:
                continue
            means = np.stack([values[s.start : s.end, foot].mean(axis=0) for s in own])
            at = np.concatenate([[s.start, s.end - 1] for s in own])
            # A smooth step between stances, held before the first and after the last.
            place = np.interp(frames, at, np.repeat(np.arange(len(own)), 2))
            before = np.minimum(place.astype(int), max(len(own) - 2, 0))
            share = (place - before)[:, None]
            after = np.minimum(before + 1, len(own) - 1)
            result[:, foot] = means[before] + share**2 * (3 - 2 * share) * (means[after] - means[before])
        return result

    def _anchor(self, foot_m: np.ndarray, foot: int) -> np.ndarray:
        """Over the ground, (T, 3): still during each stance, and as far on its way to the next as the foot."""
        own = [s for s in self.all_stances if s.foot == foot]
        anchor = foot_m.copy()
        if not own:
            return anchor
        places = [np.median(foot_m[s.start : (s.start + s.end + 1) // 2 + 1], axis=0) for s in own]
        for stance, place in zip(own, places, strict=True):
            anchor[stance.start : stance.end] = place
        anchor[: own[0].start] += places[0] - foot_m[own[0].start]
        anchor[own[-1].end :] += places[-1] - foot_m[own[-1].end - 1]
        for (stance, place), (following, goal) in zip(
            zip(own[:-1], places[:-1], strict=True), zip(own[1:], places[1:], strict=True), strict=True
        ):
            way, swing = goal - place, slice(stance.end, following.start)
            start, end = foot_m[stance.end - 1], foot_m[following.start]
            length = np.linalg.norm(end - start)
            if length > LEAST_SWING_M:
                share = np.clip((foot_m[swing] - start) @ (end - start) / length**2, 0.0, 1.0)
            else:
                share = np.linspace(0.0, 1.0, following.start - stance.end + 2)[1:-1]
            anchor[swing] = place + share[:, None] * way
        return anchor
