"""Which column of a state is what: the only place that knows the order of channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError
from gaitdynamics.units import SIDE_NAMES, SIDES


@dataclass(frozen=True)
class Channel:
    """One column.

    Args:
        name: unique within a layout.
        group: what is known or missing together, such as `hip_right`.
        unit: of the value; per second, kilogram or body height where it says so.
        mirrored: the channel that this one becomes when right and left are swapped.
        mirror_sign: −1.0 where it turns its sign then.
    """

    name: str
    group: str
    unit: str
    mirrored: str
    mirror_sign: float = 1.0


@dataclass(frozen=True)
class StateLayout:
    """Ordered channels; `layout["hip_right"]` are the columns of a group, `layout["pelvis_height"]` of a channel.

    Args:
        name: of the layout, as weights refer to it.
        channels: in order.
    """

    name: str
    channels: tuple[Channel, ...]

    def __len__(self) -> int:
        return len(self.channels)

    def __getitem__(self, name: str) -> np.ndarray:
        """Column numbers of a group, or of one channel, in order."""
        return self._columns[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return tuple(channel.name for channel in self.channels)

    @property
    def groups(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(dict.fromkeys(channel.group for channel in self.channels))

    def columns(self, groups: Sequence[str]) -> np.ndarray:
        """Column numbers of several groups, in the layout's order."""
        return np.array([i for i, channel in enumerate(self.channels) if channel.group in groups], dtype=int)

    def mirrored(self, values: np.ndarray) -> np.ndarray:
        """The state of the same gait with right and left swapped, (..., D)."""
        return values[..., self.mirror_order] * self.mirror_signs

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"name": self.name, "channels": list(self.names)}

    def check(self, content: Any, *, source: str) -> None:
        """Make sure that a checkpoint's layout is this one.

        Raises:
            InputFileError: other channels, or another order.
        """
        if content == self.to_json():
            return
        name = content.get("name") if isinstance(content, dict) else content
        channels = content.get("channels") if isinstance(content, dict) else None
        count = len(channels) if isinstance(channels, list) else 0
        raise InputFileError(
            f"{source}: made for the state layout '{name}' with {count} channels. Expected '{self.name}' with "
            f"{len(self)}. Use weights of this version, or convert them again."
        )

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        columns = {group: self.columns([group]) for group in self.groups}
        return columns | {name: np.array([i]) for i, name in enumerate(self.names)}

    @cached_property
    def mirror_order(self) -> np.ndarray:
        """Which column each column comes from in the mirror, (D,)."""
        return np.array([self.names.index(channel.mirrored) for channel in self.channels])

    @cached_property
    def mirror_signs(self) -> np.ndarray:
        """And the sign that it gets, (D,)."""
        return np.array([channel.mirror_sign for channel in self.channels], dtype=np.float32)


def _other_side(name: str) -> str:
    """`hip_right` for `hip_left` and back, `calcn_r_…` for `calcn_l_…`; the name itself where it has no side."""
    parts = name.split("_")
    swap = dict(zip((*SIDES, *SIDE_NAMES), (*SIDES[::-1], *SIDE_NAMES[::-1]), strict=True))
    return "_".join(swap.get(part, part) for part in parts)


def _channel(name: str, group: str, unit: str, sign: float = 1.0) -> Channel:
    return Channel(name, group, unit, _other_side(name), sign)


def _vector_sign(axis: str) -> float:
    """In the mirror, of a vector in heading axes x forward, y up, z right."""
    return -1.0 if axis == "z" else 1.0


def _vector(group: str, unit: str, axes: str = "xyz") -> list[Channel]:
    return [_channel(f"{group}_{axis}", group, unit, _vector_sign(axis)) for axis in axes]


def _six(group: str, prefix: str) -> list[Channel]:
    """First two rows of a rotation matrix; in the mirror, those of the last column turn their sign."""
    return [_channel(f"{prefix}_{i}", group, "1", -1.0 if i % 3 == 2 else 1.0) for i in range(6)]


def _gait_channels() -> tuple[Channel, ...]:
    channels = [
        *_vector("pelvis_velocity", "1/s", axes="xz"),
        _channel("pelvis_height", "pelvis_height", "1"),
        *_six("pelvis_rotation", "pelvis_rotation"),
        _channel("lumbar_extension", "lumbar", "rad"),
        _channel("lumbar_bending", "lumbar", "rad", -1.0),
        _channel("lumbar_rotation", "lumbar", "rad", -1.0),
    ]
    for side, joint in product(SIDE_NAMES, ("hip", "knee", "ankle")):
        group = f"{joint}_{side}"
        channels += [_channel(f"{group}_{angle}", group, "rad") for angle in ("flexion", "adduction", "rotation")]
    for side in SIDE_NAMES:
        channels += _vector(f"force_{side}", "N/kg")
        channels += _vector(f"pressure_{side}", "N/kg")
        channels.append(_channel(f"free_moment_{side}", f"free_moment_{side}", "N/kg", -1.0))
    return tuple(channels)


def _published_channels() -> tuple[Channel, ...]:
    """The authors' channels (Tan et al. 2026), with their names and in their order."""
    hinges = [f"{joint}_angle_{side}" for side in SIDES for joint in ("knee", "ankle", "subtalar")]
    balls = ("pelvis", "hip_r", "hip_l", "lumbar")
    channels = [_channel(f"pelvis_t{axis}", "pelvis_translation", "1/s", _vector_sign(axis)) for axis in "xyz"]
    channels += [_channel(name, name, "rad") for name in hinges]
    for side, kind in product(SIDES, ("v", "normed_cop_")):
        foot = f"calcn_{side}_force"
        channels += [_channel(f"{foot}_{kind}{axis}", foot, "N/kg", _vector_sign(axis)) for axis in "xyz"]
    for ball in balls:
        channels += [_channel(c.name, ball, "1", c.mirror_sign if _is_midline(ball) else 1.0) for c in _six(ball, ball)]
    for ball, axis in product(balls, "xyz"):
        sign = -_vector_sign(axis) if _is_midline(ball) else 1.0  # an axial vector
        channels.append(_channel(f"{ball}_{axis}_angular_vel", ball, "1/s", sign))
    channels += [_channel(f"{name}_vel", name, "1/frame") for name in hinges]
    return tuple(channels)


def _force_channels() -> tuple[Channel, ...]:
    """What the force model is taught: forces, and by how far pressure lies from where physics puts it."""
    channels = []
    for side in SIDE_NAMES:
        channels += _vector(f"force_{side}", "body weight")
        channels += _vector(f"pressure_shift_{side}", "1", axes="xz")
    return tuple(channels)


def _physics_channels() -> tuple[Channel, ...]:
    """What the force model sees of a motion: mechanics of the whole body, and each foot's kinematics."""
    channels = [
        *_vector("total_force", "body weight"),
        *_vector("quick_force", "body weight"),
        *_vector("com_velocity", "1/s"),
        _channel("com_height", "com_height", "1"),
        _channel("flight", "flight", "1"),
        _channel("running", "running", "1"),
    ]
    for segment in ("pelvis", "trunk"):
        channels += [
            _channel(f"{segment}_tilt", f"{segment}_orientation", "rad"),
            _channel(f"{segment}_list", f"{segment}_orientation", "rad", -1.0),
            _channel(f"{segment}_rotation", f"{segment}_orientation", "rad", -1.0),
        ]
    channels += [_channel(f"moment_{axis}", "moment", "body weight", -_vector_sign(axis)) for axis in "xyz"]
    for side in SIDE_NAMES:
        for name in ("down", "since_landing", "until_leaving", "progress"):
            channels.append(_channel(f"{name}_{side}", f"contact_{side}", "1"))
        channels += _vector(f"shared_force_{side}", "body weight")
        channels += _vector(f"pressure_{side}", "1", axes="xz")
        channels += _vector(f"balance_{side}", "1", axes="xz")
        for point in ("heel", "toe"):
            channels += _vector(f"{point}_{side}", "1")
            channels += _vector(f"{point}_velocity_{side}", "1/s")
            channels.append(_channel(f"{point}_acceleration_{side}", f"{point}_acceleration_{side}", "g"))
        for joint in ("hip", "knee", "ankle"):
            group = f"{joint}_{side}"
            channels += [_channel(f"{group}_{angle}", group, "rad") for angle in ("flexion", "adduction", "rotation")]
            channels.append(_channel(f"{group}_flexion_rate", group, "rad/s"))
    channels += [_channel(f"observed_{group}", "observed", "1") for group in OBSERVED_GROUPS]
    return tuple(channels)


def _is_midline(ball: str) -> bool:
    """The authors turn a left hip as a right one, so that mirroring swaps hips and turns no sign."""
    return not ball.startswith("hip")


OBSERVED_GROUPS = (
    *("pelvis_translation", "pelvis_orientation", "lumbar"),
    *(f"{joint}_{side}" for side in SIDE_NAMES for joint in ("hip", "knee", "ankle")),
)
GAIT = StateLayout("gait", _gait_channels())
PUBLISHED = StateLayout("published", _published_channels())
PHYSICS = StateLayout("physics", _physics_channels())
FORCES = StateLayout("forces", _force_channels())
