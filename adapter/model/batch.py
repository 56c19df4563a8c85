"""The Batch: what the intake collected since the last tick, in the model's own terms.

Times are seconds on the adapter's monotonic clock. A source says how old a reading was when it was
sent; the receive time minus that age is when it was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.model.word import NO_GPUS, SILENT, Gpus, Word

Key = tuple[str, str]  # (pod UID, series)

# `gc=False`: thousands come each second, and what holds numbers alone is never part of a cycle.


class Point(msgspec.Struct, frozen=True, gc=False):
    """One level of one series at one time."""

    series: str
    at: float
    value: float


class Column(msgspec.Struct, frozen=True):
    """The past of one series in equal steps, oldest first; None where nothing was read.

    Each value is the mean of a step; `newest_at` is the middle of the last one.
    """

    series: str
    newest_at: float
    step_seconds: float
    values: tuple[float | None, ...]


class Totals(msgspec.Struct, frozen=True, gc=False):
    """The model server's counters at one time; each is None where it is not known."""

    at: float
    finished: float | None = None  # requests
    output_tokens: float | None = None
    preemptions: float | None = None
    queue: float | None = None  # requests in flight, or that wait where it is not known what runs
    whole: bool = True  # whether `queue` counts what runs too


class Buckets(msgspec.Struct, frozen=True, gc=False):
    """A cumulative histogram: `counts[i]` observations were <= `bounds[i]`, the last one is all."""

    at: float
    bounds: tuple[float, ...]
    counts: tuple[float, ...]


class Spans(NamedTuple):
    """Means over (since, until] of several series, all arrays as long as `keys`."""

    keys: list[Key]
    since: NDArray[np.float64]
    until: NDArray[np.float64]
    values: NDArray[np.float64]
    period_seconds: NDArray[np.float64]


class ModelState(StrEnum):
    """What a source says of the model server; UNKNOWN where it does not look at one."""

    UNKNOWN = "unknown"
    LOADING = "loading"
    READY = "ready"
    FAILING = "failing"


class Origin(StrEnum):
    """Who said a reading."""

    POD = "pod"  # the pod's own source: queue and GPUs
    HISTORY = "history"  # the past of its figures, from elsewhere: it says nothing of the present
    NODE = "node"  # a source of its node, which speaks of GPUs alone


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Everything that one frame said of one pod.

    `why` holds the source's own words for what it could not read, by part ("engine", "gpu").
    """

    uid: str  # of the pod that it is about
    at: float  # when it was received
    period_seconds: float
    model: ModelState
    points: tuple[Point, ...]
    why: Mapping[str, str] = {}
    history: tuple[Column, ...] = ()  # sent once, when a stream opens
    totals: tuple[Totals, ...] = ()  # oldest first; the last ones are this frame's
    buckets: Mapping[str, Buckets] = {}  # by series
    dims: Mapping[str, str] = {}  # what the source says of itself, such as {"model": "llama"}
    life: str = ""  # changes when the source restarts: its counters are not compared across that
    origin: Origin = Origin.POD
    of_member: bool = False  # a group's, with the period that a tenant's own source says
    gpus: Gpus = NO_GPUS  # that are behind its GPU points
    word: Word = SILENT


class Batch(msgspec.Struct, frozen=True):
    """The readings of one tick in the order they were received."""

    readings: tuple[Reading, ...] = ()
    troubles: Mapping[str, str] = {}  # pod UID -> why its source cannot be read, in words


EMPTY = Batch()
