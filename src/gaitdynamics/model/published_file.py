"""The authors' files of weights, read without executing them.

They are zips with a pickle inside. Unpickling runs whatever a file names, so nothing here unpickles: the opcodes that
such a file needs are followed on plain lists and dictionaries, and any other opcode or name is refused.
"""

import math
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gaitdynamics.errors import InputFileError

ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
FLOAT_STORAGE = "torch FloatStorage"
NORMALIZER, SCALER = "__main__ Normalizer", "__main__ MinMaxScaler"
RANGES = ("__builtin__ xrange", "builtins range")
KNOWN_NAMES = frozenset({ORDERED_DICT, REBUILD_TENSOR, FLOAT_STORAGE, NORMALIZER, SCALER, *RANGES})
WEIGHTS_KEY, NORMALIZER_KEY = "ema_state_dict", "normalizer"
LARGEST_PICKLE_BYTES = 16 * 2**20  # a thousand times that of the published files: tensors lie outside it
BYTES_PER_FLOAT = 4


@dataclass(frozen=True)
class PublishedFile:
    """What one of the authors' files holds.

    Args:
        tensors: by the authors' names, float32.
        scale, offset: of the normalizer; normalised = value · scale + offset, (D,).
    """

    tensors: dict[str, np.ndarray]
    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class _Name:
    """A module's attribute that the file names; never looked up."""

    text: str


@dataclass
class _Instance:
    """Stands for an object of the authors' classes: its attributes and nothing else."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    """A run of floats in the zip."""

    key: str
    num_floats: int


class _UnexpectedContentError(Exception):
    """The pickle is not what the authors' code writes; the message says how."""


def read_published_file(path: Path) -> PublishedFile:
    """Read one of the authors' files (`GaitDynamicsDiffusion.pt`, `GaitDynamicsRefinement.pt`).

    Args:
        path: the file; nothing that it names is imported or called.

    Raises:
        InputFileError: not such a file, truncated, or it names anything unexpected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = _read_archive(archive)
    except _UnexpectedContentError as error:
        raise InputFileError(
            f"{path}: {error}. Expected a file of weights as the authors publish it; get it anew."
        ) from None
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file. Give one of the authors' .pt files.") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputFileError(
            f"{path}: not a whole zip file ({error}). Expected a file of weights (.pt) as the authors publish it; "
            "download it again."
        ) from None
    return content


def _read_archive(archive: zipfile.ZipFile) -> PublishedFile:
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise _UnexpectedContentError(f"holds {len(pickles)} pickles of weights, not one")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise _UnexpectedContentError("is compressed, which PyTorch's files are not")
    folder = pickles[0].removesuffix("data.pkl")
    if entries[pickles[0]].file_size > LARGEST_PICKLE_BYTES:
        raise _UnexpectedContentError(f"has a pickle of {entries[pickles[0]].file_size} bytes, too large for weights")
    order = f"{folder}byteorder"
    if order in entries and archive.read(order) != b"little":
        raise _UnexpectedContentError("holds big-endian numbers")
    storages: dict[str, np.ndarray] = {}

    def floats(storage: _Storage) -> np.ndarray:
        if storage.key not in storages:
            name = f"{folder}data/{storage.key}"
            if name not in entries:
                raise _UnexpectedContentError(f"has no entry '{name}'")
            if entries[name].file_size != storage.num_floats * BYTES_PER_FLOAT:
                raise _UnexpectedContentError(
                    f"has {entries[name].file_size} bytes in '{name}' for {storage.num_floats} float32 numbers"
                )
            storages[storage.key] = np.frombuffer(archive.read(name), dtype="<f4")
        return storages[storage.key]

    root = _Interpreter(floats).run(archive.read(pickles[0]))
    return _content_of(root)


def _content_of(root: Any) -> PublishedFile:
    if not isinstance(root, dict) or not {WEIGHTS_KEY, NORMALIZER_KEY} <= root.keys():
        found = ", ".join(map(str, root)) if isinstance(root, dict) else type(root).__name__
        raise _UnexpectedContentError(f"holds {found or 'nothing'} instead of {WEIGHTS_KEY} and {NORMALIZER_KEY}")
    tensors = root[WEIGHTS_KEY]
    is_named = isinstance(tensors, dict) and all(
        isinstance(name, str) and isinstance(tensor, np.ndarray) for name, tensor in tensors.items()
    )
    if not is_named:
        raise _UnexpectedContentError(f"has something else than named tensors in {WEIGHTS_KEY}")
    scaler = _attributes(_attributes(root[NORMALIZER_KEY], NORMALIZER).get("scaler"), SCALER)
    scale, offset = scaler.get("scale_"), scaler.get("min_")
    if not (isinstance(scale, np.ndarray) and isinstance(offset, np.ndarray) and scale.shape == offset.shape):
        raise _UnexpectedContentError("has a normalizer without scale_ and min_ of one length")
    return PublishedFile(tensors, scale, offset)


def _attributes(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, _Instance) or value.name != name:
        raise _UnexpectedContentError(f"lacks the object '{name}'")
    return value.attributes


class _Interpreter:
    """Follows the opcodes of a protocol-2 pickle on plain data."""

    def __init__(self, floats: Callable[[_Storage], np.ndarray]) -> None:
        self.floats = floats
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle_bytes: bytes) -> Any:
        """What the pickle describes.

        Every name and opcode is checked before the first is followed.
        """
        opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(pickle_bytes)]
        named = [str(argument) for name, argument in opcodes if name in ("GLOBAL", "INST")]
        if unknown := [name for name in named if name not in KNOWN_NAMES]:
            raise _UnexpectedContentError(
                f"names '{unknown[0].replace(' ', '.')}', which weights do not need and which could run code; nothing "
                "was run"
            )
        if foreign := [name for name, _ in opcodes if name not in _ACTIONS]:
            raise _UnexpectedContentError(
                f"uses the pickle opcode {foreign[0]}, which weights do not need; nothing was run"
            )
        try:
            for name, argument in opcodes:
                _ACTIONS[name](self, argument)
            (result,) = self.stack
        except (IndexError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise _UnexpectedContentError(
                f"has a pickle that makes no sense ({type(error).__name__}: {error})"
            ) from None
        return result

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise IndexError("the stack is empty")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(target, dict) or not isinstance(key, str | int):
                raise TypeError("an item that has no place")
            target[key] = value

    def reduce(self) -> None:
        function, arguments = self.pop(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something without a name")
        if function.text == ORDERED_DICT:
            self.push({})
        elif function.text == REBUILD_TENSOR:
            self.push(self.tensor(*arguments[:4]))
        elif function.text in RANGES:
            self.push(range(*arguments))
        else:
            raise TypeError(f"a call of '{function.text}'")

    def new_object(self) -> None:
        cls, _ = self.pop(2)
        if not isinstance(cls, _Name) or cls.text not in (NORMALIZER, SCALER):
            raise TypeError("an object of an unknown class")
        self.push(_Instance(cls.text))

    def build(self) -> None:
        (state,) = self.pop(1)
        target = self.stack[-1]
        if isinstance(target, _Instance) and isinstance(state, dict):
            target.attributes.update(state)
        elif not isinstance(target, dict):  # of a dictionary it is PyTorch's bookkeeping of versions
            raise TypeError("attributes of something that has none")

    def storage(self) -> None:
        (reference,) = self.pop(1)
        kind, storage_type, key, _, num_floats = reference
        if kind != "storage" or storage_type != _Name(FLOAT_STORAGE) or not isinstance(num_floats, int):
            raise TypeError("a storage of something else than float32")
        self.push(_Storage(str(key), num_floats))

    def tensor(self, storage: _Storage, start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
        values = self.floats(storage)
        counts = (start, *shape, *strides)
        if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in counts):
            raise ValueError("a tensor of impossible shape")
        last = start + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        num_values = math.prod(map(int, shape))
        if num_values > len(values) or (num_values and last >= len(values)):
            raise ValueError("a tensor larger than its storage")
        byte_strides = [BYTES_PER_FLOAT * stride for stride in strides]
        return np.lib.stride_tricks.as_strided(values[start:], shape, byte_strides, writeable=False)


_ACTIONS: dict[str, Callable[[_Interpreter, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "GLOBAL": lambda machine, name: machine.push(_Name(name)),
    "BINPERSID": lambda machine, _: machine.storage(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.new_object(),
    "BUILD": lambda machine, _: machine.build(),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop(3))),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), lambda machine, value: machine.push(value)
    ),
    **dict.fromkeys(
        ("BINPUT", "LONG_BINPUT"), lambda machine, index: machine.memo.__setitem__(index, machine.stack[-1])
    ),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, index: machine.push(machine.memo[index])),
}
