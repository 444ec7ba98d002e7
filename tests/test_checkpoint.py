"""Weights on disk: what is written comes back exactly, and what is spoilt is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from gaitdynamics.errors import InputFileError, OutputError
from gaitdynamics.model.checkpoint import load_weights, save_weights
from gaitdynamics.state.layout import GAIT, PUBLISHED
from gaitdynamics.state.normalizer import Normalizer


def saved(folder: Path, **changes: Any) -> Path:
    generator = torch.Generator().manual_seed(0)
    content: dict[str, Any] = {
        "kind": "debug",
        "tensors": {"weight": torch.randn(3, 2, generator=generator), "bias": torch.randn(3, generator=generator)},
        "layout": GAIT.to_json(),
        "config": {"width": 3},
        "normalizer": None,
        "provenance": {"made": "here"},
        "licence": "MIT",
        "overwrite": False,
    }
    save_weights(folder, **content | changes)
    return folder


def test_what_is_written_comes_back_exactly(tmp_path: Path) -> None:
    tensors = {
        "half": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "step": torch.tensor(7),
    }
    random = np.random.default_rng(1)
    normalizer = Normalizer.to_unit_spread(random.normal(size=(50, len(PUBLISHED))) * 1e-3)
    folder = saved(
        tmp_path / "new" / "folder", tensors=tensors, layout=PUBLISHED.to_json(), normalizer=normalizer.to_json()
    )
    found = load_weights(folder)
    assert found.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert (found.kind, found.config, found.provenance, found.licence) == (
        "debug",
        {"width": 3},
        {"made": "here"},
        "MIT",
    )
    read = Normalizer.from_json(found.normalizer, num_channels=len(PUBLISHED), source="test")
    np.testing.assert_array_equal(read.scale, normalizer.scale)
    np.testing.assert_array_equal(read.offset, normalizer.offset)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_weights_are_not_replaced_unless_told_to(tmp_path: Path) -> None:
    folder = saved(tmp_path / "w")
    before = (folder / "weights.safetensors").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        saved(folder, tensors={"weight": torch.zeros(1)})
    assert (folder / "weights.safetensors").read_bytes() == before
    saved(folder, tensors={"weight": torch.zeros(1)}, overwrite=True)
    assert list(load_weights(folder).tensors) == ["weight"]


def test_weights_that_cannot_be_described_are_not_half_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        saved(tmp_path / "w", config={"width": float("nan")})
    assert not (tmp_path / "w").exists()


def change_json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        description = json.loads((folder / "model.json").read_text())
        change(description)
        (folder / "model.json").write_text(json.dumps(description))

    return spoil


def with_tensors(**tensors: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: safetensors.torch.save_file(tensors, folder / "weights.safetensors")


def truncated(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), r"model\.json: cannot be read"),
        (lambda folder: (folder / "weights.safetensors").unlink(), r"weights\.safetensors: cannot be read"),
        (lambda folder: (folder / "model.json").write_text("{"), r"model\.json: not JSON"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), r"model\.json: not JSON"),
        (lambda folder: (folder / "model.json").write_text("[]"), "has format None"),
        (truncated, "truncated, or not a safetensors file"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b""), "truncated, or not a safetensors file"),
        (with_tensors(weight=torch.tensor([1.0, torch.nan])), "'weight' holds a number that is not finite"),
        (with_tensors(weight=torch.tensor([torch.inf])), "'weight' holds a number that is not finite"),
        (with_tensors(weight=torch.zeros(3, 2), bias=torch.zeros(3)), "checksums differ"),
        (change_json(lambda d: d.update(format=2)), "has format 2; this version reads 1"),
        (change_json(lambda d: d.pop("licence")), "'licence' is missing"),
        (change_json(lambda d: d.update(config=[3])), "'config' is missing or not a dict"),
        (change_json(lambda d: d["layout"].update(name="future")), "state layout 'future', which this version"),
        (change_json(lambda d: d["layout"].update(name=["gait"])), "which this version does not know"),
        (change_json(lambda d: d["layout"]["channels"].reverse()), "made for the state layout 'gait'"),
        (change_json(lambda d: d["layout"]["channels"].pop()), "with 43 channels. Expected 'gait' with 44"),
    ],
)
def test_spoilt_weights_are_refused(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "w")
    load_weights(folder)
    spoil(folder)
    with pytest.raises(InputFileError, match=message):
        load_weights(folder)


def test_tensors_cut_at_any_byte_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w") / "weights.safetensors"
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputFileError, match="truncated"):
            load_weights(path.parent)


def test_tensors_fill_a_module_of_their_names_and_shapes_only(tmp_path: Path) -> None:
    weights = load_weights(saved(tmp_path / "w"))
    with torch.device("meta"):
        module = nn.Linear(2, 3)
    filled = weights.load_into(module)
    assert torch.equal(filled.weight, weights.tensors["weight"])
    assert not filled.training
    for other in (nn.Linear(2, 4), nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3))):
        with pytest.raises(InputFileError, match="do not fit the network's sizes"):
            weights.load_into(other)


def test_a_normalizer_takes_the_data_to_its_range_and_back() -> None:
    values = np.random.default_rng(0).normal(size=(7, 30, 4)) * np.array([1e-2, 1.0, 50.0, 0.0]) + 3.0
    ranged = Normalizer.to_range(values)
    normalised = ranged.apply(values)
    np.testing.assert_allclose(normalised[..., :3].min(axis=(0, 1)), -10, atol=1e-2)
    np.testing.assert_allclose(normalised[..., :3].max(axis=(0, 1)), 10, atol=1e-2)
    spread = Normalizer.to_unit_spread(values)
    np.testing.assert_allclose(spread.apply(values)[..., :3].mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(spread.apply(values)[..., :3].std(axis=(0, 1)), 1, atol=1e-3)
    for normalizer in (ranged, spread):
        np.testing.assert_allclose(normalizer.undo(normalizer.apply(values)), values, rtol=1e-5)
        np.testing.assert_array_equal(
            normalizer[[2, 0]].apply(values[..., [2, 0]]), normalizer.apply(values)[..., [2, 0]]
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not fit"),
        ({"scale": [1.0]}, "does not fit"),
        ({"scale": [1.0], "offset": ["a"]}, "does not fit"),
        ({"scale": [1.0, 1.0], "offset": [0.0]}, "does not fit"),
        ({"scale": [0.0], "offset": [0.0]}, "zero, infinite or none"),
        ({"scale": [float("nan")], "offset": [0.0]}, "zero, infinite or none"),
        ({"scale": [1e60], "offset": [0.0]}, "zero, infinite or none"),
    ],
)
def test_a_normalizer_that_cannot_be_is_refused(content: Any, message: str) -> None:
    with pytest.raises(InputFileError, match=message):
        Normalizer.from_json(content, num_channels=1, source="here")
