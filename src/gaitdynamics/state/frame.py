"""The axes, the scale and the clock in which a network sees a trial, whoever walks wherever at whatever rate."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.linalg import solveh_banded

from gaitdynamics.biomech.contact import infer_belt_speed, smoothed_path
from gaitdynamics.biomech.kinematics import foot_paths, heading_of, pelvis_of, posed
from gaitdynamics.maths.rotations import heading_axes
from gaitdynamics.maths.signals import EVEN_SAMPLING_TOLERANCE
from gaitdynamics.types.skeleton import Pose
from gaitdynamics.types.trial import Trial

FRAME_RATE_HZ = 100.0
SPLINE_DEGREE = 5  # of the signal between frames; a cubic's error at 10 Hz is a hundred times that of a quintic
_ROUGHNESS_ORDER = 3
_ROUGHNESS = 1e-8  # against a sample's squared distance: it fills what samples leave open, and bends nothing else
_IGNORED = 1e-8  # weight of a sample without meaning: what lies far from all others still has a solution
_ON_A_FRAME = 1e-3  # of a frame: times in files are rounded


@dataclass(frozen=True)
class ModelFrame:
    """Even frames from a trial's first sample to beyond its last, and axes along the way that a person faces.

    Args:
        start_s: time of the first frame, which is the trial's.
        num_frames: at 100 Hz; the last one is less than 10 ms after the trial's end.
        heading: horizontal unit vector, (3,).
        origin_m: on the floor under the pelvis at the first frame, (3,).
        height_m, mass_kg: of the person.
        belt_speed_m_s: at which the ground comes against the heading.
    """

    start_s: float
    num_frames: int
    heading: np.ndarray
    origin_m: np.ndarray
    height_m: float
    mass_kg: float
    belt_speed_m_s: float

    @classmethod
    def of(cls, trial: Trial, *, floor_m: float = 0.0) -> "ModelFrame":
        """The frame of a trial: heading on the median, the belt's speed inferred where it is not known.

        Args:
            trial: its motion has at least two samples.
            floor_m: height of the floor over the ground frame's origin.

        Raises:
            InvalidModelError: the model lacks legs or feet.
        """
        frame, _ = frame_and_pose(trial, floor_m=floor_m)
        return frame

    @property
    def time_s(self) -> np.ndarray:
        """Of the frames, (T,)."""
        return self.start_s + np.arange(self.num_frames) / FRAME_RATE_HZ

    def apply(self, points_m: np.ndarray) -> np.ndarray:
        """Points over the ground that stands still: heading axes, from the origin, in body heights.

        Args:
            points_m: at the frames, in the ground frame, (T, 3).
        """
        walked_m = self.to_heading(points_m - self.origin_m)
        walked_m[:, 0] += self._ground_travel_m
        return walked_m / self.height_m

    def undo(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `apply`: (T, 3) in body heights to metres in the ground frame."""
        walked_m = points * self.height_m
        walked_m[:, 0] -= self._ground_travel_m
        return self.origin_m + self.to_ground(walked_m)

    def to_heading(self, vectors: np.ndarray) -> np.ndarray:
        """Directions in the ground frame to heading axes (x forward, y up, z right), (..., 3)."""
        return vectors @ heading_axes(self.heading).T

    def to_ground(self, vectors: np.ndarray) -> np.ndarray:
        """The inverse of `to_heading`."""
        return vectors @ heading_axes(self.heading)

    def at_frames(
        self,
        values: np.ndarray,
        time_s: np.ndarray,
        *,
        is_known: np.ndarray | None = None,
        is_zero: np.ndarray | None = None,
    ) -> np.ndarray:
        """A signal's values at the frames: those whose interpolation by `at_times` comes nearest to the samples.

        Samples up to 100 Hz are met exactly; of faster ones what lies above 50 Hz is lost, and nothing is folded down.

        Args:
            values: finite, (N, K).
            time_s: increasing, (N,).
            is_known: samples that mean something, (N,); all, if not given.
            is_zero: frames at which the signal is zero, (T,), whatever the interpolation of the samples says.

        Returns:
            (T, K); without meaning where no known samples are near.
        """
        if self._are_frames(time_s):
            return values.copy()
        weight = np.ones(len(time_s)) if is_known is None else np.where(is_known, 1.0, _IGNORED)
        if is_zero is not None:
            # Between two such frames it is zero too, and need not be met by a spline that rings there.
            weight = np.where(self.holds_at_times(is_zero[:, None], time_s)[:, 0], _IGNORED, weight)
            time_s = np.concatenate([time_s, self.time_s[is_zero]])
            values = np.concatenate([values, np.zeros((is_zero.sum(), values.shape[1]))])
            weight = np.concatenate([weight, np.ones(is_zero.sum())])
        basis, basis_at_frames = self._basis(time_s), self._basis(self.time_s)
        weighted = basis.T @ sparse.diags(weight)
        rough = _differences(self.num_frames) @ basis_at_frames
        normal = (weighted @ basis + _ROUGHNESS * (rough.T @ rough)).tocoo()
        bands = np.zeros((int((normal.col - normal.row).max()) + 1, self.num_frames))
        is_upper = normal.col >= normal.row
        row, column = normal.row[is_upper], normal.col[is_upper]
        bands[len(bands) - 1 + row - column, column] = normal.data[is_upper]
        fitted = basis_at_frames @ solveh_banded(bands, weighted @ values)
        return fitted if is_zero is None else np.where(is_zero[:, None], 0.0, fitted)

    def at_times(self, values: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """A signal between the frames, by a spline through its values (T, K) at them; (N, K)."""
        if self._are_frames(time_s):
            return values.copy()
        from scipy.interpolate import make_interp_spline

        return make_interp_spline(np.arange(self.num_frames), values, k=self._degree)(self._frame_of(time_s))

    def holds_at_frames(self, flags: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Frames at which a flag of the samples holds on both sides, (N, K) to (T, K); False 10 ms beyond the last."""
        return _holds_between(flags, self._frame_of(time_s), np.arange(self.num_frames))

    def holds_at_times(self, flags: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """Times at which a flag of the frames (T, K) holds on both sides, (N, K)."""
        return _holds_between(flags, np.arange(self.num_frames), self._frame_of(time_s))

    @property
    def _ground_travel_m(self) -> np.ndarray:
        return self.belt_speed_m_s * np.arange(self.num_frames) / FRAME_RATE_HZ

    @property
    def _degree(self) -> int:
        return min(SPLINE_DEGREE, 1 + 2 * ((self.num_frames - 2) // 2))

    def _frame_of(self, time_s: np.ndarray) -> np.ndarray:
        return (time_s - self.start_s) * FRAME_RATE_HZ

    def _are_frames(self, time_s: np.ndarray) -> bool:
        """Whether samples are taken at the frames, but for the rounding of printed times."""
        if len(time_s) != self.num_frames:
            return False
        return bool(np.abs(self._frame_of(time_s) - np.arange(self.num_frames)).max() < EVEN_SAMPLING_TOLERANCE)

    def _basis(self, time_s: np.ndarray) -> sparse.csr_matrix:
        """Splines through the frames as columns of values at times, (N, T)."""
        from scipy.interpolate import BSpline  # a quarter of a second to import, and estimating forces needs none

        k, last = self._degree, self.num_frames - 1
        inner = np.arange((k + 1) // 2, self.num_frames - (k + 1) // 2)  # the knots of make_interp_spline
        knots = np.concatenate([np.zeros(k + 1), inner, np.full(k + 1, last)]).astype(float)
        return BSpline.design_matrix(self._frame_of(time_s), knots, k, extrapolate=True).tocsr()


def frame_and_pose(trial: Trial, *, floor_m: float = 0.0) -> tuple[ModelFrame, Pose]:
    """The frame of a trial, and the pose of its own skeleton at every frame."""
    time_s, height_m = trial.motion.time_s, trial.subject.height_m
    num_steps = math.ceil((time_s[-1] - time_s[0]) * FRAME_RATE_HZ - _ON_A_FRAME)
    clock = ModelFrame(
        start_s=float(time_s[0]),
        num_frames=max(num_steps, 1) + 1,
        heading=np.array([1.0, 0.0, 0.0]),
        origin_m=np.zeros(3),
        height_m=height_m,
        mass_kg=trial.subject.mass_kg,
        belt_speed_m_s=0.0,
    )
    pose = posed(trial.skeleton, values_at_frames(trial, clock))
    heading = heading_of(trial.skeleton, pose)
    belt_speed = trial.belt_speed_m_s
    if belt_speed is None:
        path = smoothed_path(foot_paths(trial.skeleton, pose, height_m=height_m), sampling_rate_hz=FRAME_RATE_HZ)
        belt_speed = infer_belt_speed(path, heading, sampling_rate_hz=FRAME_RATE_HZ)
    pelvis_m = pose.origin_m[0, trial.skeleton.body_index[pelvis_of(trial.skeleton)]].numpy()
    origin_m = np.array([pelvis_m[0], floor_m, pelvis_m[2]])
    return replace(clock, heading=heading, origin_m=origin_m, belt_speed_m_s=belt_speed), pose


def values_at_frames(trial: Trial, frame: ModelFrame) -> np.ndarray:
    """A trial's coordinates at the frames, (T, C); angles go on where a file jumps by a full turn."""
    motion = trial.motion
    is_angle = np.array([coordinate.is_rotational for coordinate in trial.skeleton.coordinates])
    continuous = np.where(is_angle, np.unwrap(motion.values, axis=0), motion.values)
    return frame.at_frames(continuous, motion.time_s)


def _differences(num: int) -> sparse.csr_matrix:
    matrix = sparse.identity(num, format="csr")
    for _ in range(min(_ROUGHNESS_ORDER, num - 1)):
        matrix = matrix[1:] - matrix[:-1]
    return matrix


def _holds_between(flags: np.ndarray, positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Flags (N, K) of samples at positions (N,), where they hold on both sides of others, (M, K); in frames."""
    after = np.searchsorted(positions, wanted - EVEN_SAMPLING_TOLERANCE, side="left")
    before = np.searchsorted(positions, wanted + EVEN_SAMPLING_TOLERANCE, side="right") - 1
    is_near = (wanted < positions[-1] + 1.0) & (wanted > positions[0] - 1.0)
    last = len(positions) - 1
    return flags[np.minimum(after, last)] & flags[np.maximum(before, 0)] & is_near[:, None]
