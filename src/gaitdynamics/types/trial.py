"""One recording of one person."""

from dataclasses import dataclass

from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.types.subject import Subject


@dataclass(frozen=True)
class Trial:
    """A motion of a person, with the forces if they were measured.

    Args:
        name: what the user calls it.
        subject: the person; `skeleton` already has this person's mass.
        skeleton: the person's model.
        motion: its coordinates are `skeleton`'s, in the same order.
        forces: measured ground reaction, or None.
        belt_speed_m_s: of the treadmill; 0 overground; None when it is to be inferred from the standing foot.
        source: file or data set it came from.
    """

    name: str
    subject: Subject
    skeleton: Skeleton
    motion: Motion
    forces: GroundReaction | None
    belt_speed_m_s: float | None
    source: str
