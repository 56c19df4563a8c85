"""KEDA's contract `externalscaler.ExternalScaler` on the wire: what it asks, and what it is told.

Pure: bytes to our types and back. The numbers are those of KEDA's externalscaler.proto. Figures go
out twice: KEDA takes the float where it is above 0, one from before floats the integer.
"""

from __future__ import annotations

import math
import struct

import msgspec

from sidecar import protobuf

SERVICE = "externalscaler.ExternalScaler"
_TAG_VARINT, _TAG_FIXED64, _TAG_BYTES = protobuf.VARINT, protobuf.FIXED64, protobuf.BYTES


class ScaledObject(msgspec.Struct, frozen=True):
    """Who asks: a ScaledObject by its name, and the metadata of its trigger."""

    name: str
    namespace: str
    metadata: dict[str, str]


def scaled_object(message: bytes) -> ScaledObject:
    """Return the ScaledObjectRef; raise ProtobufError where the bytes are none."""
    entries = {
        protobuf.text(entry, 1): protobuf.text(entry, 2) for entry in protobuf.messages(message, 3)
    }
    return ScaledObject(protobuf.text(message, 1), protobuf.text(message, 2), entries)


def metrics_request(message: bytes) -> tuple[ScaledObject, str]:
    """Return who asks for which metric in a GetMetricsRequest; raise ProtobufError."""
    reference = b"".join(protobuf.messages(message, 1))  # parts of one message are one message
    return scaled_object(reference), protobuf.text(message, 2)


def activity(*, active: bool) -> bytes:
    """Return an IsActiveResponse."""
    return _number(1, 1) if active else b""


def specification(metric: str, target: float) -> bytes:
    """Return a GetMetricSpecResponse of one metric and its target."""
    return _bytes(1, _bytes(1, metric.encode()) + _figure(target))


def metric_value(metric: str, value: float) -> bytes:
    """Return a GetMetricsResponse of one value."""
    return _bytes(1, _bytes(1, metric.encode()) + _figure(value))


def _figure(value: float) -> bytes:
    """Return the integer and the float of one figure, of which no 0 is written in proto3.

    The integer is rounded up: a target of 0 would be none, and demand is not told too low.
    """
    if not value:
        return b""
    return _number(2, math.ceil(value)) + _tag(3, _TAG_FIXED64) + struct.pack("<d", value)


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, _TAG_BYTES) + _varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _tag(number, _TAG_VARINT) + _varint(value)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
