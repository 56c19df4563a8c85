"""The memo: the figures of a learner as bytes, and back, in the order in which it names them.

A learner has one method, `memorise(memo)`, for both ways: what it hands over is written by Writing
and comes back, or is filled in place, by Reading. So the two can never differ.
"""

from __future__ import annotations

import math
import zlib
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from adapter.errors import BadCheckpoint
from adapter.model import tails

# Of a figure's 24 bits the first twelve are written, rounded: 0.02 %, and zeros pack well.
_SHORT, _HALF = np.uint32(0xFFFFF000), np.uint32(0x800)
_BLOCKS = 60  # of a ring whose means are kept
_MOST = 2**40  # seconds, in any case
_LONGEST_BYTES = 128 * 1024  # unpacked, so that no text fills the memory

Ring = NDArray[np.float32]
_Kind = TypeVar("_Kind", bound=np.generic)


class Memo(Protocol):
    """Takes each figure, and returns it or the one that was remembered in its place.

    Reading raises BadCheckpoint where what was remembered cannot be.
    """

    def whole(self, value: int) -> int:
        """Return a count, 0 or more."""

    def real(self, value: float | None) -> float | None:
        """Return a figure, None where there is none."""

    def figures(self, array: NDArray[np.float64], *, gaps: bool = False) -> None:
        """Keep all; NaN alone where there may be gaps, and those shorter."""

    def flags(self, array: Ring) -> None:
        """Keep an array of 0, 1 and NaN."""

    def means(self, ring: Ring) -> None:
        """Keep of a ring [rows, columns] the means of its blocks."""

    def tails(self, ring: Ring) -> None:
        """Keep of a ring [rows, ...] what its high quantiles need."""


class Writing:
    """Gathers what is handed over."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def packed(self) -> bytes:
        """Return all that was handed over."""
        return zlib.compress(b"".join(self._parts))

    def whole(self, value: int) -> int:
        self._put(np.array(value, np.int64))
        return value

    def real(self, value: float | None) -> float | None:
        self._put(np.array(np.nan if value is None else value, np.float64))
        return value

    def figures(self, array: NDArray[np.float64], *, gaps: bool = False) -> None:
        singles = array.astype(np.float32)
        self._put(((singles.view(np.uint32) + _HALF) & _SHORT) if gaps else singles)

    def flags(self, array: Ring) -> None:
        self._put(np.where(np.isnan(array), 2, np.nan_to_num(array)).astype(np.uint8))

    def means(self, ring: Ring) -> None:
        for block in np.array_split(ring, _BLOCKS):
            known = np.isfinite(block)
            total = np.where(known, block, 0.0).sum(axis=0)
            self._put((total / np.maximum(known.sum(axis=0), 1)).astype(np.float32))

    def tails(self, ring: Ring) -> None:
        self._put(tails.tails(ring.reshape(len(ring), math.prod(ring.shape[1:]))))

    def _put(self, array: NDArray[np.generic]) -> None:
        self._parts.append(array.tobytes())


class Reading:
    """Gives back what was gathered; the learner must be one of the same release."""

    def __init__(self, packed: bytes) -> None:
        unpacking = zlib.decompressobj()
        try:
            self._bytes = unpacking.decompress(packed, _LONGEST_BYTES)
        except zlib.error as error:
            raise BadCheckpoint(f"a demand cannot be unpacked: {error}") from error
        self._place = 0

    def end(self) -> None:
        """Raise BadCheckpoint where more was gathered than was asked for."""
        if self._place != len(self._bytes):
            raise BadCheckpoint("a demand has more figures than this release knows")

    def whole(self, value: int) -> int:  # noqa: ARG002 - of the other way
        found = int(self._take(np.int64, ())[()])
        if not 0 <= found < _MOST:
            raise BadCheckpoint(f"a demand has a count of {found}")
        return found

    def real(self, value: float | None) -> float | None:  # noqa: ARG002 - of the other way
        found = float(self._take(np.float64, ())[()])
        return found if math.isfinite(found) else None

    def figures(self, array: NDArray[np.float64], *, gaps: bool = False) -> None:
        found = self._take(np.float32, array.shape)
        if np.isinf(found).any() or (not gaps and np.isnan(found).any()):
            raise BadCheckpoint("a demand has a figure that is none")
        array[...] = found

    def flags(self, array: Ring) -> None:
        found = self._take(np.uint8, array.shape)
        array[...] = np.where(found > 1, np.nan, found)

    def means(self, ring: Ring) -> None:
        for block in np.array_split(ring, _BLOCKS):
            block[...] = np.nan_to_num(self._take(np.float32, block.shape[1:]))

    def tails(self, ring: Ring) -> None:
        kept = self._take(np.uint8, (len(ring), math.prod(ring.shape[1:])))
        ring[...] = tails.ring_of(kept).reshape(ring.shape)

    def _take(self, kind: type[_Kind], shape: tuple[int, ...]) -> NDArray[_Kind]:
        size = np.dtype(kind).itemsize * math.prod(shape)
        part = self._bytes[self._place : self._place + size]
        if len(part) != size:
            raise BadCheckpoint("a demand has fewer figures than this release knows")
        self._place += size
        return np.frombuffer(part, kind).reshape(shape)
