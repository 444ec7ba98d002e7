"""The person."""

from dataclasses import dataclass

from gaitdynamics.errors import InvalidSubjectError
from gaitdynamics.units import STANDARD_GRAVITY_M_S2

MASS_RANGE_KG = (10.0, 300.0)  # a two-year-old to the heaviest people a gait laboratory meets
HEIGHT_RANGE_M = (0.7, 2.5)


@dataclass(frozen=True)
class Subject:
    """A person, with mass and height within the human range.

    Raises:
        InvalidSubjectError: mass or height is not a human's.
    """

    id: str
    mass_kg: float
    height_m: float
    sex: str | None = None
    age_years: float | None = None

    def __post_init__(self) -> None:
        for what, value, (low, high), unit in (
            ("mass", self.mass_kg, MASS_RANGE_KG, "kg"),
            ("height", self.height_m, HEIGHT_RANGE_M, "m"),
        ):
            if not low <= value <= high:
                smaller = next((value / k for k in (100, 1000) if low <= value / k <= high), None)
                hint = f"Did you mean {smaller:g} {unit}?" if smaller else f"Give it in {unit}."
                raise InvalidSubjectError(
                    f"{self.id}: {what} is {value:g} {unit}; a person has {low:g} to {high:g} {unit}. {hint}"
                )

    @property
    def body_weight_n(self) -> float:
        """Mass times standard gravity, N."""
        return self.mass_kg * STANDARD_GRAVITY_M_S2
