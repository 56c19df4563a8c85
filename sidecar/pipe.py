"""The pipe: shapes that the NVML child and its owner exchange, one JSON line each way.

The child says these shapes as plain JSON; they are decoded, and so checked, on the owner's side.
"""

from __future__ import annotations

import msgspec

from sidecar.wire import GpuReading


class NvmlProblem(msgspec.Struct, frozen=True):
    """An NVML call that declined; `name` is NVML's own word for `code`."""

    call: str
    code: int
    name: str


class Hello(msgspec.Struct, frozen=True):
    """The child's first line; with a problem, the child is gone after it."""

    driver: str | None = None
    problem: NvmlProblem | None = None


class Ask(msgspec.Struct, frozen=True):
    """One request for a reading of all GPUs."""

    id: int


class Answer(msgspec.Struct, frozen=True):
    """One reading: every GPU that NVML shows, and which calls declined on the way.

    With a problem NVML as a whole stopped working: there are no figures, and the child is gone.
    """

    id: int
    gpus: tuple[GpuReading, ...] = ()
    declined: tuple[NvmlProblem, ...] = ()
    problem: NvmlProblem | None = None


# Sixteen GPUs in seven MIG instances each, with every call declined, are about 100 KB; more on one
# line is no answer of ours.
MAX_LINE_BYTES = 256 * 1024
