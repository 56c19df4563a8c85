"""The word: what a pod's source says of itself beside its figures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Phases(msgspec.Struct, frozen=True, gc=False):
    """When each step of a start was first seen, on the adapter's monotonic clock; None before it.

    Those of the model server are of its present life. One that listens only once its model is
    loaded, as vLLM does, is never seen loading. Who started it is known of our wrapper alone.
    """

    server_started: float | None = None
    sidecar_started: float | None = None
    engine_listening: float | None = None
    engine_loading: float | None = None
    engine_ready: float | None = None
    engine_served: float | None = None

    def seen(self) -> tuple[tuple[str, float], ...]:
        """Return the steps that were seen, in the order in which they come."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return tuple((name, at) for name, at in named if at is not None)


class Word(msgspec.Struct, frozen=True, gc=False):
    """The last word of one source; None is what it says nothing of."""

    phases: Phases = Phases()
    estimate: str | None = None  # why its queue is a stand-in for one that is not told
    near_oom: bool | None = None  # whether the KV cache or the GPU's memory is about to be full
    near_oom_why: str | None = None
    release: str | None = None  # the sidecar's own


class Gpus(msgspec.Struct, frozen=True, gc=False):
    """How many GPUs a pod has, and by series of how many the figure is missing, where of some."""

    count: int = 0
    without: Mapping[str, int] = {}

    def share(self, series: str) -> str | None:
        """Return for example `3 of 4 GPUs`; None where no figure is missing."""
        missing = self.without.get(series, 0)
        return f"{self.count - missing} of {self.count} GPUs" if missing else None


SILENT = Word()
NO_GPUS = Gpus()
