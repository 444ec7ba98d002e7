"""Right or left, as names say it."""

import re

from gaitdynamics.units import SIDE_NAMES, SIDES


def words_of(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, in lower case: ('calcn', 'r') of `calcn_r`, ('r', 'foot') of `RFoot`."""
    return tuple(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name))


def side_of(name: str) -> str | None:
    """'r' or 'l' where the name of a force or body has it as a word, or says right or left; else None."""
    words = words_of(name)
    sides = [
        side for side, side_name in zip(SIDES, SIDE_NAMES, strict=True) if side in words or side_name in name.lower()
    ]
    return sides[0] if len(sides) == 1 else None
