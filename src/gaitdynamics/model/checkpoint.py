"""Weights on disk: tensors in safetensors, everything else in JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from gaitdynamics.errors import InputFileError
from gaitdynamics.io.files import check_writable, write_files
from gaitdynamics.state.layout import FORCES, GAIT, PHYSICS, PUBLISHED

FORMAT = 1
TENSORS_FILE, DESCRIPTION_FILE = "weights.safetensors", "model.json"
LAYOUTS = {layout.name: layout for layout in (GAIT, PUBLISHED, PHYSICS, FORCES)}
# What each key of the description must be.
DESCRIPTION = {"kind": str, "layout": dict, "config": dict, "provenance": dict, "licence": str, "sha256": str}

LONGEST_DETAILS = 400  # letters of PyTorch's list of what does not fit

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Weights:
    """A trained network as it lies on disk; everything but the tensors is JSON values.

    Args:
        kind: which network: "published_refinement", "published_diffusion" or "forces".
        tensors: by name.
        layout: of the state that it was trained on (`StateLayout.to_json`).
        config: the network's sizes and settings.
        normalizer: of its channels (`Normalizer.to_json`), or None.
        provenance: where it comes from.
        licence: of the weights.
        folder: that it was read from.
    """

    kind: str
    tensors: dict[str, torch.Tensor]
    layout: dict[str, Any]
    config: dict[str, Any]
    normalizer: dict[str, Any] | None
    provenance: dict[str, Any]
    licence: str
    folder: Path

    def load_into(self, module: Module) -> Module:
        """The module with these tensors, for inference; it may have been made on the meta device.

        Raises:
            InputFileError: names or shapes of the tensors are not the module's.
        """
        try:
            module.load_state_dict(self.tensors, assign=True)
        except RuntimeError as error:
            details = " ".join(str(error).split())[:LONGEST_DETAILS]
            raise InputFileError(
                f"{self.folder}: the tensors do not fit the network's sizes ({details}). Convert or download the "
                "weights again."
            ) from None
        return module.eval().requires_grad_(False)


def save_weights(
    folder: Path,
    *,
    kind: str,
    tensors: Mapping[str, torch.Tensor],
    layout: Mapping[str, Any],
    config: Mapping[str, Any],
    normalizer: Mapping[str, Any] | None,
    provenance: Mapping[str, Any],
    licence: str,
    overwrite: bool,
) -> None:
    """Write weights to a folder, or nothing.

    Args:
        folder: made if it does not exist.
        kind, tensors, layout, config, normalizer, provenance, licence: as in `Weights`.
        overwrite: whether weights that are there may be replaced.

    Raises:
        OutputError: weights exist there already, or can't be written.
    """
    paths = (folder / TENSORS_FILE, folder / DESCRIPTION_FILE)
    check_writable(paths, overwrite=overwrite)
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    description = {
        "format": FORMAT,
        "kind": kind,
        "layout": dict(layout),
        "config": dict(config),
        "normalizer": None if normalizer is None else dict(normalizer),
        "provenance": dict(provenance),
        "licence": licence,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(description, indent=2, allow_nan=False) + "\n"
    write_files(dict(zip(paths, (content, text), strict=True)), overwrite=overwrite)


def load_weights(folder: Path) -> Weights:
    """Read weights from a folder that `save_weights` wrote.

    Raises:
        InputFileError: a file is missing, truncated or of another format, a tensor holds a number that is not finite,
            or the layout is not this version's.
    """
    description_path, tensors_path = folder / DESCRIPTION_FILE, folder / TENSORS_FILE
    description = read_description(folder)
    layout = LAYOUTS.get(str(description["layout"].get("name")))
    if layout is None:
        raise InputFileError(
            f"{description_path}: made for the state layout '{description['layout'].get('name')}', which this version "
            f"does not know. Expected {' or '.join(LAYOUTS)}. Use weights of this version, or convert them again."
        )
    layout.check(description["layout"], source=str(description_path))
    tensors, sha256 = _read_tensors(tensors_path)
    if sha256 != description["sha256"]:
        raise InputFileError(
            f"{tensors_path}: not the tensors that {DESCRIPTION_FILE} describes (their checksums differ). Convert or "
            "download the weights again, both files together."
        )
    return Weights(
        kind=description["kind"],
        tensors=tensors,
        layout=description["layout"],
        config=description["config"],
        normalizer=description.get("normalizer"),
        provenance=description["provenance"],
        licence=description["licence"],
        folder=folder,
    )


def read_description(folder: Path) -> dict[str, Any]:
    """What model.json says, its keys and their types checked.

    Raises:
        InputFileError: missing, not JSON, or of another format.
    """
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(
            f"{path}: cannot be read ({error.strerror}). Expected a folder of weights with {TENSORS_FILE} and "
            f"{DESCRIPTION_FILE}; 'gaitdynamics weights convert' makes one."
        ) from None
    except ValueError as error:
        raise InputFileError(f"{path}: not JSON ({error}). Convert or download the weights again.") from None
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise InputFileError(
            f"{path}: has format {found!r}; this version reads {FORMAT}. Use weights of this version, or convert them "
            "again."
        )
    for key, expected in DESCRIPTION.items():
        if not isinstance(description.get(key), expected):
            raise InputFileError(
                f"{path}: '{key}' is missing or not a {expected.__name__}. Convert or download the weights again."
            )
    return description


def _read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    try:
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
    except OSError as error:
        raise InputFileError(
            f"{path}: cannot be read ({error.strerror}). Expected it beside {DESCRIPTION_FILE}: convert or download "
            "the weights again."
        ) from None
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputFileError(
            f"{path}: truncated, or not a safetensors file ({error}). Convert or download the weights again."
        ) from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise InputFileError(
                f"{path}: the tensor '{name}' holds a number that is not finite. These weights are spoilt: convert or "
                "download them again."
            )
    return tensors, hashlib.sha256(content).hexdigest()
