"""What of a gait shows that it was changed, in a table and in a plot."""

import re
from collections.abc import Sequence

from gaitdynamics.apps.gait_plots import Followed
from gaitdynamics.apps.measured_versions import FollowedCoordinate, shown_unit
from gaitdynamics.apps.version_tables import Row
from gaitdynamics.tasks.gait_changes import Change, changed_columns
from gaitdynamics.types.side import side_of
from gaitdynamics.types.skeleton import Skeleton
from gaitdynamics.units import SIDES

SHOWN_UNITS = {"deg": "°", "m": "m"}
DECIMALS = {"deg": 1, "m": 3}
SCALE, REPLACE = "*", "="
# Strategies change nothing that a user's model has a name for.
STRATEGY_CURVES = {
    "trunk_sway": Followed("stride_trunk_lean", "trunk lean to this side, °"),
    "toe_out": Followed("stance_toe_out", "toe-out, °"),
    "toe_in": Followed("stance_toe_out", "toe-out, °"),
    "step_width": Followed("stride_hip_adduction", "hip adduction, °"),
}
OTHER_CURVE = Followed("stride_knee_flexion", "knee flexion, °")
STRATEGY_UNITS = {"trunk_sway": "°", "toe_out": "°", "toe_in": "°", "cadence": "steps/min"}
_SIDE_WORD = re.compile(r"(?:^|(?<=_))(?:r|l|right|left)(?:_|$)")


def followed_coordinates(changes: Sequence[Change], skeleton: Skeleton) -> tuple[FollowedCoordinate, ...]:
    """The coordinates that changes name, each with its counterpart on the other side; of strategies, none."""
    found = {}
    for change in changes:
        for column in changed_columns(change, skeleton):
            name = skeleton.coordinate_names[column]
            base = _without_side(name)
            found[base] = FollowedCoordinate(base, _pair(name, skeleton))
    return tuple(found.values())


def shown_curve(change: Change, followed: Sequence[FollowedCoordinate], skeleton: Skeleton) -> Followed:
    """The curve that shows a change best.

    Args:
        change: the first.
        followed: of it and of others.
        skeleton: whose coordinates they are.
    """
    columns = changed_columns(change, skeleton)
    if not columns:
        return STRATEGY_CURVES.get(change.strategy or "", OTHER_CURVE)
    name = skeleton.coordinate_names[columns[0]]
    curve = next(each.name for each in followed if name in each.coordinates)
    return Followed(f"stride_{curve}", f"{curve}, {SHOWN_UNITS[shown_unit(skeleton, name)]}")


def rows_of(changes: Sequence[Change], skeleton: Skeleton) -> tuple[Row, ...]:
    """Lines of a table that show how far coordinates were changed."""
    columns = dict.fromkeys(column for change in changes for column in changed_columns(change, skeleton))
    rows = []
    for name in (skeleton.coordinate_names[column] for column in columns):
        unit = shown_unit(skeleton, name)
        for what, word in (("max", "largest"), ("min", "smallest")):
            rows.append(Row(f"{name}_{what}_{unit}", f"{name}, {word}, {SHOWN_UNITS[unit]}", DECIMALS[unit]))
    return tuple(rows)


def dose_label(change: Change, skeleton: Skeleton) -> str:
    """What the number of a change is, for an axis."""
    if change.operation == SCALE:
        return f"factor of {change.name}"
    if change.operation == REPLACE:
        return f"share of the curve of {change.name}"
    columns = changed_columns(change, skeleton)
    if columns:
        unit = SHOWN_UNITS[shown_unit(skeleton, skeleton.coordinate_names[columns[0]])]
    else:
        unit = STRATEGY_UNITS.get(change.strategy or "", "m")
    return f"added to {change.name}, {unit}"


def _pair(name: str, skeleton: Skeleton) -> tuple[str | None, str | None]:
    """A coordinate and its counterpart, right and left; one without a side belongs to both."""
    if side_of(name) is None:
        return name, name
    same = [each for each in skeleton.coordinate_names if _without_side(each) == _without_side(name)]
    right, left = (next((each for each in same if side_of(each) == side), None) for side in SIDES)
    return right, left


def _without_side(name: str) -> str:
    """`hip_adduction` of `hip_adduction_r`."""
    return _SIDE_WORD.sub("", name).strip("_") or name
