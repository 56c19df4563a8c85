"""The source: what each pod's stream last said of itself, beside the figures."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from adapter.model.batch import Batch, ModelState, Origin, Reading
from adapter.model.fleet import Fleet, Pod, Standing
from adapter.model.word import NO_GPUS, SILENT, Gpus, Word

# What is asked of pods' dimensions, all of it: (("model", "llama"),). Empty asks for nothing.
Dims = tuple[tuple[str, str], ...]

# What a stand-in for a server's queue is in.
QUEUE = frozenset(("pending", "running", "inflight", "arrivals_per_second"))

_NO_LABEL_CHARACTER = re.compile(r"[^-A-Za-z0-9_.]")
_LONGEST_LABEL = 63


class Source(msgspec.Struct, frozen=True, gc=False):
    """The last word of one pod's source.

    `heard_at` is None before the first frame, and where only the node speaks for the pod.
    `answered_start` is the start of the model container in whose life the model server's figures
    were read, None before that: it keeps a restarted sidecar, which has not heard the model yet,
    from making an overloaded pod look like a loading one. A sidecar that says FAILING may not have
    noticed a restart yet: that is no answer of the new life.
    """

    heard_at: float | None = None
    model: ModelState = ModelState.UNKNOWN
    answered_start: float | None = None
    why: Mapping[str, str] = {}
    trouble: str | None = None
    node_why: str | None = None  # why its node's source has no GPU figures for it
    dims: Mapping[str, str] = {}  # the last that were told, such as {"model": "llama"}
    ready_at: float | None = None  # when the model server was first ready in its present life
    period_seconds: float | None = None  # of its own source; None before that was heard
    node_period_seconds: float | None = None  # of its node's source
    word: Word = SILENT
    gpus: Gpus = NO_GPUS  # behind its figures, by whoever tells of them

    def excuse(self, series: str) -> str | None:
        """Return why a series has no value, in the sources' own words."""
        part = "gpu" if series.startswith("gpu") else "engine"
        own = self.why.get(series) or self.why.get(part) or self.trouble
        if share := self.gpus.share(series):
            own = "; ".join(filter(None, (f"known of {share} only", own)))
        if part == "engine" or self.node_why is None:
            return own
        return f"{own}; its node's source: {self.node_why}" if own else self.node_why

    def remark(self, series: str) -> str | None:
        """Return how a figure was come by, where it is not what its name says; None where it is."""
        if series in QUEUE and self.word.estimate:
            return f"by proxy: {self.word.estimate}"
        share = self.gpus.share(series)
        return f"of {share}" if share else None

    def may_serve(self, dims: Dims) -> bool:
        """Return whether the source said each of these of itself, or could not say anything yet.

        Of several values of a dimension one will do. A pod that is not known counts as one of those
        asked for: its silence must not make a total smaller. One whose model server did not answer
        since this adapter has listened is not known either.
        """
        failing = self.model is ModelState.FAILING and not self.dims
        return (
            self.heard_at is None
            or failing
            or all(value in labels(self.dims.get(key, "")) for key, value in dims)
        )


NEW = Source()


def labels(told: str) -> set[str]:
    """Return a dimension's values, parted by commas, as a selector can name them.

    What a label value must not have is written `_`: org/model-7B is org_model-7B.
    """
    found = (_NO_LABEL_CHARACTER.sub("_", one.strip()) for one in told.split(","))
    return {one[:_LONGEST_LABEL].strip("-_.") for one in found} - {""}


def fold(sources: Mapping[str, Source], batch: Batch, fleet: Fleet) -> dict[str, Source]:
    """Return the sources after the batch, for the pods of the fleet alone."""
    same = sources.keys() == fleet.pods.keys()
    out = dict(sources) if same else {uid: sources.get(uid, NEW) for uid in fleet.pods}
    for reading in batch.readings:
        if reading.uid in out:
            out[reading.uid] = _heard(out[reading.uid], reading, fleet.pods[reading.uid])
    for uid, trouble in batch.troubles.items():
        if uid in out:
            out[uid] = msgspec.structs.replace(out[uid], trouble=trouble)
    return out


def standing(pod: Pod, source: Source) -> Standing:
    """Return the pod's standing, the sidecar's word included."""
    by_status = pod.standing()
    if by_status is not Standing.SERVING or source.model is not ModelState.LOADING:
        return by_status
    answered = source.answered_start is not None and source.answered_start == pod.model_started_at
    return Standing.SERVING if answered else Standing.LOADING


def stand(fleet: Fleet, sources: Mapping[str, Source]) -> dict[str, Standing]:
    """Return the standing of every pod of the fleet.

    Only the word of a model that loads can change what the status says: the others of ten thousand
    pods are not looked at twice a second.
    """
    out, loading = dict(fleet.by_status()), ModelState.LOADING
    for uid in [uid for uid, source in sources.items() if source.model is loading]:
        if uid in out:
            out[uid] = standing(fleet.pods[uid], sources[uid])
    return out


def _heard(source: Source, reading: Reading, pod: Pod) -> Source:
    if reading.origin is Origin.HISTORY:
        return source
    if reading.origin is Origin.NODE:
        # A tenant's own source is no source of a node: its period holds for no other pod.
        period = source.node_period_seconds if reading.of_member else reading.period_seconds
        node_why = reading.why.get("gpu")
        gpus = reading.gpus if reading.gpus.count else source.gpus
        return msgspec.structs.replace(
            source, node_why=node_why, node_period_seconds=period, gpus=gpus
        )
    ready = reading.model is ModelState.READY
    answered = pod.model_started_at if ready else source.answered_start
    dims = reading.dims or source.dims
    why, node_why = reading.why, source.node_why
    return Source(
        reading.at,
        reading.model,
        answered,
        why,
        node_why=node_why,
        dims=dims,
        ready_at=reading.word.phases.engine_ready,
        period_seconds=reading.period_seconds,
        node_period_seconds=source.node_period_seconds,
        word=reading.word,
        gpus=reading.gpus if reading.gpus.count else source.gpus,
    )
