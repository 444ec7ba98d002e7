"""Protocol Buffers' wire format, as far as .b3d files use it: fields of a number, an encoding and a value.

The encoding is described at https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

import numpy as np

from gaitdynamics.errors import InputFileError

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5

FieldValue = int | memoryview

_BYTES_OF_FIXED = {FIXED_64: 8, FIXED_32: 4}
_CONTINUES = 0x80  # the bit of a byte that says that its number goes on


class DamagedMessageError(InputFileError):
    """Bytes that are not the message that they should be; says what is wrong, for a reader that knows the file."""


class Message:
    """The values of each field of a message, checked as they are asked for; an absent one is 0 or empty.

    Fields that nobody asks for are skipped, as the versions of a format differ in them.

    Raises:
        DamagedMessageError: the bytes are no message, or a value is not of the kind that is asked for.
    """

    def __init__(self, content: memoryview) -> None:
        self._values: dict[int, list[tuple[int, FieldValue]]] = {}
        for number, encoding, value, _ in fields(content):
            self._values.setdefault(number, []).append((encoding, value))

    def integer(self, number: int) -> int:
        """A signed integer."""
        return (self.integers(number) or [0])[-1]

    def integers(self, number: int) -> list[int]:
        """Signed integers, whether packed or one by one."""
        integers: list[int] = []
        for encoding, value in self._values.get(number, ()):
            if isinstance(value, int):
                integers.append(_signed(value))
            elif encoding == LENGTH_DELIMITED:
                integers += _packed_integers(value)
            else:
                raise DamagedMessageError(f"field {number} is not a whole number")
        return integers

    def double(self, number: int) -> float:
        """A number of 64 bits."""
        values = self._of_encoding(number, FIXED_64)
        return float(np.frombuffer(values[-1], "<f8")[0]) if values else 0.0

    def text(self, number: int) -> str:
        """A text."""
        return (self.texts(number) or ("",))[-1]

    def texts(self, number: int) -> tuple[str, ...]:
        """Texts; what is not UTF-8 in them becomes the replacement character."""
        return tuple(str(value, "utf-8", "replace") for value in self._of_encoding(number, LENGTH_DELIMITED))

    def messages(self, number: int) -> tuple["Message", ...]:
        """Messages inside this one."""
        return tuple(Message(value) for value in self._of_encoding(number, LENGTH_DELIMITED))

    def _of_encoding(self, number: int, expected: int) -> list[memoryview]:
        found = self._values.get(number, [])
        values = [value for encoding, value in found if encoding == expected and not isinstance(value, int)]
        if len(values) < len(found):
            raise DamagedMessageError(f"field {number} is not encoded as it should be")
        return values


def fields(content: memoryview) -> Iterator[tuple[int, int, FieldValue, int]]:
    """Take a message apart.

    Args:
        content: the bytes of a message.

    Returns:
        Number, encoding and value of each field (unsigned for integers), and the place after its last byte.

    Raises:
        DamagedMessageError: the bytes are no message.
    """
    place, end = 0, len(content)
    while place < end:
        tag, place = _varint(content, place)
        number, encoding = tag >> 3, tag & 7
        if number == 0 or encoding not in (VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32):
            raise DamagedMessageError("its bytes are not in protobuf's encoding")
        if encoding == VARINT:
            integer, place = _varint(content, place)
            yield number, encoding, integer, place
            continue
        if encoding == LENGTH_DELIMITED:
            length, place = _varint(content, place)
        else:
            length = _BYTES_OF_FIXED[encoding]
        if length > end - place:
            raise DamagedMessageError(f"field {number} reaches beyond the end of its message")
        place += length
        yield number, encoding, content[place - length : place], place


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """An unsigned integer, seven bits a byte, and the place after it."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), content[place : place + 10], strict=False):
        value |= (byte & ~_CONTINUES) << shift
        if byte < _CONTINUES:
            return value % 2**64, place + shift // 7 + 1
    raise DamagedMessageError("a number does not end")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _packed_integers(content: memoryview) -> list[int]:
    numbers = np.frombuffer(content, np.uint8)
    if (numbers < _CONTINUES).all():
        return numbers.tolist()
    integers, place = [], 0
    while place < len(content):
        value, place = _varint(content, place)
        integers.append(_signed(value))
    return integers
