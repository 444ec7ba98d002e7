"""What each laboratory does to its forces: how late they come, and how large they are."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gaitdynamics.training.evidence import RUN, Level, agreed

LEAST_LABORATORIES = 3  # for a lag that they share to be taken for the method's; with fewer it is taken to be none
OWN_LAG_S = 0.006  # three times the scatter of people within a laboratory: further off, a person has an own lag
OWN_SCALE = 0.02  # likewise, of the level of the force
LEAST_STRIDES = 4  # for a level
# Flight and landing tell the time of both clocks. In walking the lag of the total force is confounded with the model of
# the body, and taking it out gained nothing on laboratories not trained on (docs/model.md): it is reported alone.
CLOCKED = RUN
DECIMALS = 6


@dataclass(frozen=True)
class Measured:
    """What one recording tells about its laboratory; None where it can't be told.

    Args:
        dataset: stands for the laboratory.
        subject: the person.
        activity: `walk`, `run`, …: physics has a lag of its own in each.
        is_training: only training people tell what physics' own lag is.
        total_lag_s, contact_lag_s: by the total force, and by the contacts.
        level: mean vertical force over whole strides.
    """

    dataset: str
    subject: str
    activity: str
    is_training: bool
    total_lag_s: float | None
    contact_lag_s: float | None
    level: Level | None


@dataclass(frozen=True)
class Alignment:
    """What is done to measured forces: `lag_s` is taken out, and they are multiplied by `force_scale`."""

    lag_s: float
    force_scale: float


AS_MEASURED = Alignment(0.0, 1.0)


@dataclass(frozen=True)
class Laboratory:
    """A dataset's lag and scale.

    Args:
        num_subjects: people.
        total_lag_s, contact_lag_s: medians over people, None where nobody's can be told.
        level_body_weights: median over people of the mean vertical force over whole strides; None likewise.
        alignment: that is due to the whole dataset.
        own: due to people who differ from it: a dataset may collect several laboratories.
    """

    num_subjects: int
    total_lag_s: float | None
    contact_lag_s: float | None
    level_body_weights: float | None
    alignment: Alignment
    own: dict[str, Alignment]

    def alignment_of(self, subject: str) -> Alignment:
        """What is due to one person's forces."""
        return self.own.get(subject, self.alignment)

    def to_json(self) -> dict[str, Any]:
        """For the index and the report."""
        return {
            "num_subjects": self.num_subjects,
            "total_lag_s": self.total_lag_s,
            "contact_lag_s": self.contact_lag_s,
            "level_body_weights": self.level_body_weights,
            "lag_s": self.alignment.lag_s,
            "force_scale": self.alignment.force_scale,
            "own": {
                name: {"lag_s": own.lag_s, "force_scale": own.force_scale} for name, own in sorted(self.own.items())
            },
        }


def laboratories(recordings: Sequence[Measured]) -> dict[str, Laboratory]:
    """Lag and scale of every dataset.

    A lag that the laboratories share, on the median of each activity, is physics' own and stays. Of the rest, what
    total force and contacts agree upon is the clock's, and is taken out of running. Mean vertical force over whole
    strides is body weight, whatever the gait, so its distance from there is the plates', or the scale's that weighed
    the people.
    """
    shared_total = _shared(recordings, lambda recording: recording.total_lag_s)
    shared_contact = _shared(recordings, lambda recording: recording.contact_lag_s)

    def clock_lag(group: Sequence[Measured]) -> float:
        group = [recording for recording in group if recording.activity == CLOCKED]
        return agreed(
            _median_over_people(group, lambda r: _minus(r.total_lag_s, shared_total[r.activity])),
            _median_over_people(group, lambda r: _minus(r.contact_lag_s, shared_contact[r.activity])),
        )

    found = {}
    for dataset, group in sorted(_grouped(recordings, lambda recording: recording.dataset).items()):
        level = _median_over_people(group, _told_level)
        alignment = Alignment(round(clock_lag(group), DECIMALS), 1.0 if level is None else round(1 / level, DECIMALS))
        own = {}
        for subject, person in sorted(_grouped(group, lambda recording: recording.subject).items()):
            due = _own_alignment(alignment, lag_s=clock_lag(person), level=_median_over_people(person, _told_level))
            if due != alignment:
                own[subject] = due
        found[dataset] = Laboratory(
            num_subjects=len({recording.subject for recording in group}),
            total_lag_s=_rounded(_median_over_people(group, lambda recording: recording.total_lag_s)),
            contact_lag_s=_rounded(_median_over_people(group, lambda recording: recording.contact_lag_s)),
            level_body_weights=_rounded(level),
            alignment=alignment,
            own=own,
        )
    return found


def _own_alignment(common: Alignment, *, lag_s: float, level: float | None) -> Alignment:
    scale = common.force_scale if level is None else 1 / level
    has_own_lag = lag_s != 0 and abs(lag_s - common.lag_s) > OWN_LAG_S  # 0 says that the evidence disagrees
    return Alignment(
        round(lag_s, DECIMALS) if has_own_lag else common.lag_s,
        round(scale, DECIMALS) if abs(scale - common.force_scale) > OWN_SCALE else common.force_scale,
    )


def _shared(recordings: Sequence[Measured], of: Callable[[Measured], float | None]) -> dict[str, float]:
    """The median over laboratories, by activity."""
    shared = {}
    for activity, group in _grouped(recordings, lambda recording: recording.activity).items():
        training = [recording for recording in group if recording.is_training]
        medians = [_median_over_people(lab, of) for lab in _grouped(training, lambda r: r.dataset).values()]
        told = [value for value in medians if value is not None]
        shared[activity] = float(np.median(told)) if len(told) >= LEAST_LABORATORIES else 0.0
    return shared


def _median_over_people(group: Iterable[Measured], of: Callable[[Measured], float | None]) -> float | None:
    people = _grouped(group, lambda recording: recording.subject).values()
    medians = [np.median(values) for person in people if (values := [v for r in person if (v := of(r)) is not None])]
    return float(np.median(medians)) if medians else None


def _told_level(recording: Measured) -> float | None:
    level = recording.level
    return None if level is None or level.num_strides < LEAST_STRIDES else level.body_weights


def _grouped(recordings: Iterable[Measured], key: Callable[[Measured], str]) -> dict[str, list[Measured]]:
    groups: dict[str, list[Measured]] = defaultdict(list)
    for recording in recordings:
        groups[key(recording)].append(recording)
    return groups


def _minus(value: float | None, other: float) -> float | None:
    return None if value is None else value - other


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
