"""Which windows a step of training sees: a function of seed and step alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaitdynamics.errors import TrainingError
from gaitdynamics.maths.signals import intervals
from gaitdynamics.state.windows import WINDOW_FRAMES
from gaitdynamics.training.assembly import VALID
from gaitdynamics.training.shards import Picks, Recording, Shards

LARGEST_SEED = 2**63


@dataclass(frozen=True)
class Sampler:
    """Draws windows that hold at least one frame whose force is known.

    As a step's windows depend on the seed and the step alone, a resumed run sees what an uninterrupted one does, and
    several processes share a batch without asking each other.

    Args:
        seed: of all draws.
        cumulative: (R,) chance of each recording and those before it.
        recordings: (R,) their numbers in the data folder.
        choices: (R + 1,) number of each recording's first window, counting all that can be drawn.
        run_choice: (K,) the same of each run of consecutive windows.
        run_start: (K,) the frame at which a run's first window starts.
    """

    seed: int
    cumulative: np.ndarray
    recordings: np.ndarray
    choices: np.ndarray
    run_choice: np.ndarray
    run_start: np.ndarray

    @classmethod
    def of(
        cls, shards: Shards, recordings: Sequence[int], *, weights: np.ndarray, seed: int, length: int = WINDOW_FRAMES
    ) -> "Sampler":
        """Prepare to draw from some recordings.

        Args:
            recordings: their numbers.
            weights: (R,) how often each is drawn from, relative to the others.
            length: of a window, frames.

        Raises:
            TrainingError: no recording with a known force, or weights that are no weights.
        """
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != (len(recordings),) or not np.isfinite(weights).all() or (weights < 0.0).any():
            raise TrainingError(
                f"the recipe gives weights of shape {weights.shape} to {len(recordings)} recordings; expected one "
                "finite weight of at least 0 each. Correct its `weights`."
            )
        runs = [intervals(_can_start(shards.rows(VALID, recording)[:, 0] > 0.0, length)) for recording in recordings]
        num_choices = np.array([sum(end - first for first, end in found) for found in runs], dtype=np.int64)
        weights = np.where(num_choices > 0, weights, 0.0)
        if weights.sum() <= 0.0:
            raise TrainingError(
                f"{shards.folder}: none of the {len(recordings)} recordings to train on has a known force and a "
                "weight. Look at the report of the data build, and at what the recipe holds out."
            )
        lengths = [end - first for found in runs for first, end in found]
        return cls(
            seed=seed,
            cumulative=np.cumsum(weights) / weights.sum(),
            recordings=np.array(recordings, dtype=np.int64),
            choices=_starts(num_choices),
            run_choice=_starts(lengths)[:-1],
            run_start=np.array([first for found in runs for first, _ in found], dtype=np.int64),
        )

    def picks(self, step: int, num: int) -> Picks:
        """The windows of a step's whole batch, in order."""
        rng = np.random.default_rng([self.seed, step])
        draw, place = rng.random((2, num))
        which = np.searchsorted(self.cumulative, draw, side="right")
        first, end = self.choices[which], self.choices[which + 1]
        choice = np.minimum(first + (place * (end - first)).astype(np.int64), end - 1)
        run = np.searchsorted(self.run_choice, choice, side="right") - 1
        return Picks(
            recording=self.recordings[which],
            start=self.run_start[run] + choice - self.run_choice[run],
            is_mirrored=rng.random(num) < 0.5,
            seed=rng.integers(LARGEST_SEED, size=num),
        )


def covering(
    shards: Shards, recordings: Sequence[int], *, largest_num: int, seed: int, length: int = WINDOW_FRAMES
) -> Picks:
    """Windows side by side over whole recordings, for validation: always the same ones, none mirrored.

    Args:
        largest_num: where there are more, every so-manyth is taken.
        length: of a window, frames.
    """
    places = [
        (recording, start)
        for recording in recordings
        for start in _side_by_side(shards.recordings[recording].num_frames, length)
        if (shards.rows(VALID, recording)[start : start + length] > 0.0).any()
    ]
    if len(places) > largest_num:
        places = [places[int(i)] for i in np.linspace(0, len(places) - 1, largest_num)]
    chosen = np.array(places, dtype=np.int64).reshape(-1, 2)
    seeds = np.random.default_rng(seed).integers(LARGEST_SEED, size=len(chosen))
    return Picks(chosen[:, 0], chosen[:, 1], np.zeros(len(chosen), dtype=bool), seeds)


def weight_by_length(recordings: Sequence[Recording]) -> np.ndarray:
    """Every frame is drawn about as often as every other."""
    return np.array([recording.num_frames for recording in recordings], dtype=np.float64)


def is_among(recording: Recording, *, fraction: float) -> bool:
    """Whether a recording's person is among a fixed fraction of all people, chosen by their names' hash."""
    digest = hashlib.sha256(recording.group.encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _can_start(is_valid: np.ndarray, length: int) -> np.ndarray:
    """At which frames windows start that lie within the recording and hold a valid frame."""
    counts = np.concatenate([[0], np.cumsum(is_valid)])
    if len(is_valid) <= length:
        return counts[-1:] > 0
    return counts[length:] > counts[:-length]


def _starts(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _side_by_side(num_frames: int, length: int) -> list[int]:
    """The last is moved back to end with the recording."""
    last = max(num_frames - length, 0)
    return [*range(0, last, length), last]
