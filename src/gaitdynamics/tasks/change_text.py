"""What a user wants changed in a gait, as text: a coordinate or a strategy, and by how much."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gaitdynamics.errors import InvalidChangeError, NonFiniteValueError, UnknownCoordinateError
from gaitdynamics.io.curve import Curve, read_curve
from gaitdynamics.io.table import shortened
from gaitdynamics.tasks.gait_strategies import EXAMPLES, GRAMMAR, STRATEGIES
from gaitdynamics.types.side import side_of, words_of
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import DEGREES_PER_RADIAN

SCALE, ADD, REPLACE = "*", "+", "="
_ANGLES = ("trunk_sway", "toe_out", "toe_in")
_SIDED = ("toe_out", "toe_in", "step_width")
_OPERATIONS = {"toe_out": ADD, "toe_in": ADD}  # of the others: both
_TEXT = re.compile(r"\s*(?P<name>[^*+=\s-]+)\s*(?P<operator>[*+=-])\s*(?P<rest>.*?)\s*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One change of a gait.

    Args:
        text: as given: "lumbar_bending*2.5", "toe_out+10", "knee_angle_r-5", "hip_adduction_l=curve.csv".
        name: of a coordinate of the model, of both sides' (`hip_adduction`), or of a strategy.
        operation: "*", "+" or "=".
        amount: a factor, what is added (radians, metres; of cadence, steps a minute), or a curve.
        unit: what 1 in the text is in the units of `amount`; negative where it is subtracted.
        share: of the way to a curve, 1 all.
        path: the file of a curve.
    """

    text: str
    name: str
    operation: str
    amount: float | Curve
    unit: float = 1.0
    share: float = 1.0
    path: Path | None = None

    @property
    def strategy(self) -> str | None:
        """The strategy's name without a side; None for coordinates."""
        return _strategy_of(self.name)

    @property
    def side(self) -> str | None:
        """'r' or 'l' where the name has one."""
        return side_of(self.name)

    def at_dose(self, dose: float) -> Change:
        """The same change with another number in its text; of a curve, how much of it: 0 none, 1 all.

        Raises:
            NonFiniteValueError, InvalidChangeError: not a number that this change can take.
        """
        if self.path is not None:
            text = f"{self.name}={self.path.name} at {dose:g}"
            _check_number(dose, text)
            return replace(self, text=text, share=float(dose))
        operator = self.operation if self.operation == SCALE or self.unit * dose >= 0 else "-"
        text = f"{self.name}{operator}{dose if self.operation == SCALE else abs(dose):g}"
        _check_number(dose, text)
        changed = replace(self, text=text, amount=dose * self.unit)
        _check_amount(changed)
        return changed


def parse_change(text: str, skeleton: Skeleton) -> Change:
    """What a text such as "lumbar_bending*2.5" asks for.

    Args:
        text: as in `gait_strategies.GRAMMAR`.
        skeleton: whose coordinates can be changed.

    Raises:
        InvalidChangeError: not understood, or a number that the change can't take.
        NonFiniteValueError: a number that is none.
        UnknownCoordinateError: neither a coordinate that can be changed nor a strategy.
        InputFileError: no curve in the file.
    """
    name, operator, rest = _parts(text, skeleton)
    if name in skeleton.coordinate_names or _strategy_of(name) is None:
        columns = _columns(name, skeleton, text)
        is_rotational = skeleton.coordinates[columns[0]].is_rotational
        allowed: str = SCALE + ADD + REPLACE
    else:
        strategy = _strategy_of(name) or name
        is_rotational, allowed = strategy in _ANGLES, _OPERATIONS.get(strategy, SCALE + ADD)
    operation = ADD if operator == "-" else operator
    if operation not in allowed:
        forms = " and ".join({SCALE: f"{name}*FACTOR", ADD: f"{name}+AMOUNT"}[each] for each in allowed)
        raise InvalidChangeError(f"'{text}': {name} can't be changed so; there is {forms}. {_what_is(name)}")
    if operation == REPLACE:
        path = Path(rest)
        curve = read_curve(path, coordinate=name, is_rotational=is_rotational)
        return Change(text.strip(), name, operation, curve, path=path)
    unit = 1.0 if operation == SCALE or not is_rotational else 1.0 / DEGREES_PER_RADIAN
    unit *= -1.0 if operator == "-" else 1.0
    change = Change(text.strip(), name, operation, _number(rest, text) * unit, unit)
    _check_amount(change)
    return change


def changed_columns(change: Change, skeleton: Skeleton) -> tuple[int, ...]:
    """The columns of the coordinates that a change names; none of a strategy."""
    if change.strategy is not None and change.name not in skeleton.coordinate_names:
        return ()
    return _columns(change.name, skeleton, change.text)


def _strategy_of(name: str) -> str | None:
    if name in STRATEGIES:
        return name
    base, _, side = name.rpartition("_")
    return base if base in _SIDED and side_of(f"x_{side}") is not None else None


def _parts(text: str, skeleton: Skeleton) -> tuple[str, str, str]:
    """Name, operator and the rest."""
    given = text.strip()
    for name in sorted(skeleton.coordinate_names, key=len, reverse=True):  # a name may hold a hyphen
        rest = given[len(name) :].lstrip()
        if given.startswith(name) and rest[:1] in ("*", "+", "-", "=") and rest[1:].strip():
            return name, rest[0], rest[1:].strip()
    match = _TEXT.fullmatch(text)
    if match is None or not match["rest"]:
        forms = ", ".join(GRAMMAR)
        raise InvalidChangeError(
            f"'{text}' is not a change that is understood. Expected one of {forms}, such as "
            f"{', '.join(repr(example) for example in EXAMPLES)}."
        )
    return match["name"], match["operator"], match["rest"]


def _columns(name: str, skeleton: Skeleton, text: str) -> tuple[int, ...]:
    """One coordinate's column, or those of both sides', right first."""
    names = skeleton.coordinate_names
    if name in names:
        found = [names.index(name)]
    else:
        both = {side_of(each): k for k, each in enumerate(names) if _without_side(each) == words_of(name)}
        if set(both) != {"r", "l"}:
            raise UnknownCoordinateError(_unknown(name, skeleton, text))
        found = [both["r"], both["l"]]
    for column in found:
        coordinate = skeleton.coordinates[column]
        if coordinate.coupled_to is not None:
            raise UnknownCoordinateError(
                f"'{text}': the model computes '{coordinate.name}' from '{coordinate.coupled_to}'. Change that instead."
            )
        if coordinate.is_locked:
            raise UnknownCoordinateError(
                f"'{text}': the model locks '{coordinate.name}'. Unlock it in the model, or change another coordinate."
            )
    return tuple(found)


def _without_side(name: str) -> tuple[str, ...] | None:
    """The words of a sided coordinate's name without the side; None for one without."""
    side = side_of(name)
    words = words_of(name)
    return tuple(word for word in words if side_of(word) != side) if side is not None else None


def _unknown(name: str, skeleton: Skeleton, text: str) -> str:
    free = [c.name for c in skeleton.coordinates if not c.is_locked and not c.is_coupled]
    both = ["_".join(words) for each in free if (words := _without_side(each))]
    known = {each.lower(): each for each in (*both, *free, *STRATEGIES)}
    near = [known[each] for each in difflib.get_close_matches(name.lower(), known, n=3)]
    hint = f"Did you mean {_or(near)}? " if near else f"The model has {shortened(free)}. "
    return (
        f"'{text}': '{name}' is neither a coordinate of the model nor a strategy. {hint}"
        f"Strategies are {', '.join(STRATEGIES)}."
    )


def _or(names: Sequence[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _what_is(name: str) -> str:
    strategy = _strategy_of(name)
    return f"{strategy}: {STRATEGIES[strategy]}" if strategy is not None else ""


def _number(given: str, text: str) -> float:
    if _NOT_FINITE.fullmatch(given):
        _check_number(float(given), text)
    if not _NUMBER.fullmatch(given):
        hint = "Write it with a decimal point" if re.fullmatch(r"[+-]?\d+,\d+", given) else "Give it without a unit"
        raise InvalidChangeError(
            f"'{text}': '{given}' is not a number. {hint}: angles are in degrees, lengths in metres, factors plain."
        )
    number = float(given)
    _check_number(number, text)
    return number


def _check_number(number: float, text: str) -> None:
    if not math.isfinite(number):
        raise NonFiniteValueError(f"'{text}': {number:g} is no amount to change a gait by. Give a finite number.")


def _check_amount(change: Change) -> None:
    """Make sure that paces and distances stay positive.

    Raises:
        InvalidChangeError: a factor of them that is not.
    """
    if change.operation != SCALE or not isinstance(change.amount, float | int):
        return
    least = (
        0.0 if change.strategy == "step_width" else 1e-6 if change.strategy in ("cadence", "stride_length") else None
    )
    if least is not None and change.amount < least:
        raise InvalidChangeError(
            f"'{change.text}': a factor of {change.amount:g}; expected a positive one, such as 1.1."
        )
    if change.strategy == "step_width" and change.side is not None:
        raise InvalidChangeError(f"'{change.text}': one side's share of a width has no factor. Add metres instead.")
