"""Which column is what."""

import numpy as np
import pytest

from gaitdynamics.errors import InputFileError
from gaitdynamics.state.layout import FORCES, GAIT, PHYSICS, PUBLISHED, Channel, StateLayout

LAYOUTS = pytest.mark.parametrize("layout", [GAIT, PUBLISHED, PHYSICS, FORCES], ids=lambda layout: layout.name)


@LAYOUTS
def test_every_channel_has_a_name_of_its_own_and_is_found_by_it(layout: StateLayout) -> None:
    assert len(set(layout.names)) == len(layout)
    for column, name in enumerate(layout.names):
        assert layout[name].tolist() == [column]


@LAYOUTS
def test_groups_hold_every_column_once(layout: StateLayout) -> None:
    columns = np.concatenate([layout.columns([group]) for group in layout.groups])
    assert sorted(columns.tolist()) == list(range(len(layout)))
    assert layout.columns(layout.groups).tolist() == list(range(len(layout)))


@LAYOUTS
def test_mirroring_twice_changes_nothing_and_once_swaps_sides(layout: StateLayout) -> None:
    values = np.random.default_rng(0).normal(size=(5, len(layout))).astype(np.float32)
    mirrored = layout.mirrored(values)
    np.testing.assert_array_equal(layout.mirrored(mirrored), values)
    assert mirrored.dtype == np.float32
    for channel, column in zip(layout.channels, mirrored.T, strict=True):
        np.testing.assert_array_equal(column, channel.mirror_sign * values[:, layout[channel.mirrored][0]])
        assert ("right" in channel.name) == ("left" in channel.mirrored)


def test_the_layouts_have_the_channels_that_weights_expect() -> None:
    assert (len(GAIT), len(PUBLISHED)) == (44, 63)
    assert GAIT["hip_right"].tolist() == [
        GAIT.names.index(f"hip_right_{n}") for n in ("flexion", "adduction", "rotation")
    ]
    assert GAIT["force_left"].tolist() == [GAIT.names.index(f"force_left_{axis}") for axis in "xyz"]
    assert PUBLISHED.names[:3] == ("pelvis_tx", "pelvis_ty", "pelvis_tz")


@LAYOUTS
def test_a_layout_recognises_itself(layout: StateLayout) -> None:
    layout.check(layout.to_json(), source="model.json")


@pytest.mark.parametrize(
    "content",
    [
        PUBLISHED.to_json(),
        {"name": "gait", "channels": list(GAIT.names[::-1])},
        {"name": "gait", "channels": list(GAIT.names[:-1])},
        {"name": "gait"},
        "gait",
        None,
    ],
)
def test_another_layout_is_refused_by_name(content: object) -> None:
    with pytest.raises(InputFileError, match=r"model\.json: made for the state layout .* Expected 'gait' with 44"):
        GAIT.check(content, source="model.json")


def test_an_unknown_name_is_an_error() -> None:
    layout = StateLayout("small", (Channel("a", "a", "1", "a"),))
    with pytest.raises(KeyError, match="b"):
        layout["b"]
