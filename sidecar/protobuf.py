"""Protobuf on the wire: the fields of one message, for a caller that knows their numbers.

Pure. One unary call with three kinds of field needs no generated code, whose runtime would cost the
process 10 MiB and tie it to a version.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10


class ProtobufError(ValueError):
    """The bytes are no message."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field in order; a field of bytes is a text or a message.

    Raises ProtobufError where the message breaks off or has a kind that proto3 does not know.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise ProtobufError(f"field {key >> 3} is of the unknown kind {kind}")
        if at + size > len(message):
            raise ProtobufError("the message breaks off within a field")
        yield key >> 3, message[at : at + size]
        at += size


def messages(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the values of one repeated field of messages or texts."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            yield value


def text(message: bytes, number: int) -> str:
    """Return one field of text, the last where it stands several times, empty without one."""
    found = ""
    for value in messages(message, number):
        found = value.decode("utf-8", "replace")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        if at >= len(message):
            raise ProtobufError("the message breaks off within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that another byte follows
            return value, at
    raise ProtobufError("a number is longer than 64 bits")
