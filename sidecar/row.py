"""The row: what the engine table knows of one model server; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.names import Names, Selector


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine's own endpoint that answers 200 once the model is loaded, and costs no token.

    Where it does so only with certain variables in the server's environment these are `env`, and
    `env_why` says what would happen without them: such an endpoint is for probes alone.
    """

    port: int
    path: str
    why: str  # what makes it pass
    env: Mapping[str, str] = field(default_factory=dict)
    env_why: str = ""


@dataclass(frozen=True, slots=True, eq=False)  # a row is itself, and so can be hashed
class Row:
    """One engine: where its page is, what to say when it is not there, and its figures' names."""

    kind: str
    port: int
    path: str
    hint: str  # what to say when the page is not there
    ready: Ready | str  # a text says why it has no such endpoint
    pending: Names
    running: Names = ()
    inflight: Names = ()  # waiting and running in one, where there is no figure for running alone
    kv_ratio: Names = ()
    finished: Names = ()
    output_tokens: Names = ()
    preemptions: Names = ()
    histograms: Mapping[str, Names] = field(default_factory=dict)
    ticks_per_second: float = 1.0  # of the histograms' unit: 1000 where it is the millisecond
    lora: Selector | None = None
    model_label: str = "model_name"
    role_label: str | None = None
    copies: tuple[str, ...] = ()  # labels of ranks that all tell of the same requests
    own_models: bool = False  # counters count only for the models that have a queue here
    estimate: str | None = None  # why its queue is a stand-in, in words
    without_queue: str = ""  # what to say when the page lacks its queue; empty: the hint

    @property
    def figures(self) -> dict[str, Names]:
        """Return the plain figures by their name in EngineReading, or near it."""
        return {
            "pending": self.pending,
            "running": self.running or self.inflight,
            "kv_percent": self.kv_ratio,
            "finished_total": self.finished,
            "output_tokens_total": self.output_tokens,
            "preemptions_total": self.preemptions,
        }

    def queue_names(self) -> frozenset[str]:
        """Return the names by which a page is known as this engine's."""
        return _names(self.pending, self.running, self.inflight)

    def names(self) -> frozenset[str]:
        """Return every name on a page that belongs to this row."""
        lora = ((self.lora,),) if self.lora else ()
        plain = _names(*self.figures.values(), self.inflight, lora)
        stems = _names(*self.histograms.values())
        return plain | {f"{stem}_{part}" for stem in stems for part in ("bucket", "sum")}


def _names(*lists: Names) -> frozenset[str]:
    return frozenset(one.name for names in lists for parts in names for one in parts)
