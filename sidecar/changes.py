"""The changes: one log line when a state changes, none while it lasts."""

from __future__ import annotations

import logging

from sidecar import log
from sidecar.modelserver import EngineRead
from sidecar.sample import Sample
from sidecar.wire import EngineReading, EngineState

MAX_PROBLEMS = 64  # remembered so that each is logged once; a page cannot fill the memory

_LEVELS = {
    EngineState.NONE: logging.INFO,
    EngineState.LOADING: logging.INFO,
    EngineState.READY: logging.INFO,
    EngineState.FAILING: logging.WARNING,
}


def _word(reading: EngineReading) -> str:
    """Return the state, but for a server that never answered anywhere: it may be none at all."""
    if reading.state is EngineState.LOADING and reading.kind == EngineState.NONE:
        return "none found yet"
    return str(reading.state)


class Changes:
    """Compares each sample with the one before."""

    def __init__(self) -> None:
        self._problems: set[str] = set()
        self._absent: set[tuple[str, str]] = set()

    def engine(self, before: Sample, read: EngineRead) -> None:
        """Log a new state of the model server, and each unusable or absent figure once."""
        then, now = before.engine, read.reading
        if then is None or (then.kind, then.state, then.why) != (now.kind, now.state, now.why):
            lacks = now.state is EngineState.READY and now.why
            log.event(
                logging.WARNING if lacks else _LEVELS[now.state],
                f"model server: {_word(now)}",
                engine=now.kind,
                page=read.url,
                why=now.why,
                estimate=now.estimate,
            )
        for problem in read.problems:
            if problem not in self._problems and len(self._problems) < MAX_PROBLEMS:
                self._problems.add(problem)
                log.event(logging.WARNING, "a figure of the model server is unusable", why=problem)
        self._say_absent(now.kind, read.absent)

    def _say_absent(self, kind: str, absent: tuple[str, ...]) -> None:
        """Log what the page lacks; the names are the engine table's, so they are few."""
        new = [figure for figure in absent if (kind, figure) not in self._absent]
        if new:
            self._absent |= {(kind, figure) for figure in new}
            log.event(logging.INFO, "the page lacks figures", engine=kind, absent=new)

    def faults(self, before: Sample, now: Sample) -> None:
        """Log what is wrong with a GPU when that changes, and when memory begins to run out."""
        then = {gpu.uuid: gpu.why for gpu in before.gpus or ()}
        for gpu in now.gpus or ():
            if gpu.why and gpu.why != then.get(gpu.uuid):
                log.event(
                    logging.WARNING, "a GPU is not as it should be", gpu=gpu.uuid, why=gpu.why
                )
        near = before.oom is not None and before.oom.near
        if now.oom is not None and now.oom.near and not near:
            log.event(logging.WARNING, "memory is about to run out", why=now.oom.why)

    def gpus(self, before: Sample, now: Sample, driver: str | None) -> None:
        """Log when GPUs become published, withheld, or published for another reason."""
        if before.attribution == now.attribution or now.attribution is None:
            return
        published = now.gpus is not None
        log.event(
            logging.INFO,
            "GPUs are published" if published else "no GPUs are published",
            gpus=[gpu.uuid for gpu in now.gpus or ()] or None,
            how=now.attribution.how,
            why=now.attribution.why,
            driver=driver,
        )
