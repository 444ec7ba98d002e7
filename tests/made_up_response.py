"""People whose gait changes with speed by known laws: two families, one whose strides lengthen, one that hurries."""

import numpy as np

from gaitdynamics.model.speed_response import NUM_POINTS, ActivityResponse, MeanStride, Person, SpeedResponse
from gaitdynamics.state.layout import GAIT

SPEEDS_M_S = (0.8, 1.3, 2.1)
PHASE = np.arange(NUM_POINTS) / NUM_POINTS
STRIDE_EXPONENT = -0.5  # of speed, for the stride's duration
KNEES = {side: int(GAIT[f"knee_{side}_flexion"][0]) for side in ("right", "left")}
HIPS = {side: int(GAIT[f"hip_{side}_flexion"][0]) for side in ("right", "left")}


def made_up_stride(speed_m_s: float, *, knee_rad: float = 1.0, exponent: float = STRIDE_EXPONENT) -> MeanStride:
    """Knees bend as `knee_rad` times the speed says, hips swing, legs half a stride apart."""
    values = np.zeros((NUM_POINTS, len(GAIT)))
    for side, offset in (("right", 0.0), ("left", 0.5)):
        swing = 1.0 - np.cos(2 * np.pi * (PHASE - offset))
        values[:, KNEES[side]] = 0.1 * knee_rad * swing * np.log(speed_m_s) + 0.3 * knee_rad * swing
        values[:, HIPS[side]] = 0.3 * np.cos(2 * np.pi * (PHASE - offset))
    return MeanStride(values, float(exponent * np.log(speed_m_s)), 0.62 - 0.05 * float(np.log(speed_m_s)))


def made_up_person(*, knee_rad: float = 1.0, exponent: float = STRIDE_EXPONENT) -> Person:
    strides = [made_up_stride(speed, knee_rad=knee_rad, exponent=exponent) for speed in SPEEDS_M_S]
    known = np.ones(len(GAIT), dtype=bool)
    known[GAIT["lumbar"]] = False
    return Person(
        log_speeds=np.log(SPEEDS_M_S),
        values=np.stack([stride.values for stride in strides]),
        scalars=np.array([(stride.log_stride_s, stride.contact_share) for stride in strides]),
        known=known,
    )


def made_up_people(*, ridge: float = 0.1) -> ActivityResponse:
    """Six people; whose knees bend more, also bend them more with speed, and hurry less."""
    knees = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)
    people = tuple(made_up_person(knee_rad=knee, exponent=STRIDE_EXPONENT + 0.2 * (knee - 1.0)) for knee in knees)
    return ActivityResponse(people, (SPEEDS_M_S[0], SPEEDS_M_S[-1]), ridge)


def made_up_response() -> SpeedResponse:
    return SpeedResponse("made up", {"walk": made_up_people()})
