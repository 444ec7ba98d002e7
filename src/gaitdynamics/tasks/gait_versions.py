"""A person's gait as it was recorded, and as it would be."""

from dataclasses import dataclass

from gaitdynamics.types.ground_reaction import GroundReaction
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.prediction import Prediction
from gaitdynamics.types.trial import Trial

AS_RECORDED = "as recorded"


@dataclass(frozen=True)
class GaitSample:
    """A motion and its forces at the motion's times."""

    motion: Motion
    forces: GroundReaction


@dataclass(frozen=True)
class GaitVersion:
    """One gait of a person.

    Args:
        label: what makes it: "as recorded", "lumbar_bending*2.5", "3.5 m/s".
        amount: the dose or the speed, m/s.
        trial: person, model, and the motion in the middle of the samples; the belt's speed is that of this version.
        prediction: the forces of that motion.
        samples: versions that are equally likely; none where there is only one.
        warnings: one sentence each, for the user.
        is_extrapolated: nobody in the training data moved so.
    """

    label: str
    amount: float
    trial: Trial
    prediction: Prediction
    samples: tuple[GaitSample, ...] = ()
    warnings: tuple[str, ...] = ()
    is_extrapolated: bool = False
