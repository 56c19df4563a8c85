"""The custom row: a model server of one's own, by names that the settings give; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecar.names import Names, either, total_of
from sidecar.row import Row
from sidecar.table import QUEUE_TIME, TTFT

KIND = "custom"
_PLUS = re.compile(r"\s\+\s")

# The settings that name a figure, each with what it is.
FIGURES = {
    "engine_pending": "waiting requests, with --engine custom",
    "engine_running": "running requests",
    "engine_inflight": "both in one, where running is not told",
    "engine_kv_ratio": "share of the KV cache, 0 to 1",
    "engine_finished": "counter of requests that ended",
    "engine_output_tokens": "counter of generated tokens",
    "engine_preemptions": "counter of requests put back",
}
HISTOGRAMS = {"engine_ttft": TTFT, "engine_queue_time": QUEUE_TIME}
ESTIMATE = "engine_estimate"
MAX_ESTIMATE_CHARACTERS = 200  # an adapter cuts what is longer


def names(text: str) -> Names:
    """Return the names of a figure: one, or several added up by ` + `; raise ValueError."""
    return total_of(*_PLUS.split(text)) if text else ()


def histogram(text: str) -> Names:
    """Return the name of a histogram, without `_bucket`; raise ValueError."""
    return either(text.removesuffix("_bucket")) if text else ()


def words(text: str) -> str:
    """Return the words that say what the queue stands in for; raise ValueError."""
    if text.isprintable() and len(text) <= MAX_ESTIMATE_CHARACTERS:
        return text
    raise ValueError(f"is no short text; give one line of at most {MAX_ESTIMATE_CHARACTERS}")


def row(values: Mapping[str, Names], model_label: str, estimate: str | None = None) -> Row:
    """Return the row of these names; `estimate` says why its queue is a stand-in."""
    return Row(
        kind=KIND,
        port=0,
        path="",
        hint="is --engine-url its metrics page?",
        without_queue="is --engine-pending a name on it?",
        ready="a server of your own: probe what it answers only once its model is loaded",
        pending=values["engine_pending"],
        running=values["engine_running"],
        inflight=values["engine_inflight"],
        kv_ratio=values["engine_kv_ratio"],
        finished=values["engine_finished"],
        output_tokens=values["engine_output_tokens"],
        preemptions=values["engine_preemptions"],
        histograms={key: values[name] for name, key in HISTOGRAMS.items() if values[name]},
        model_label=model_label,
        estimate=estimate or None,
    )


def problems(
    given: list[str], engine: str, url: str | None, values: Mapping[str, Names]
) -> list[str]:
    """Return what is wrong with these settings together; `given` are the flags that have a name."""
    if engine != KIND:
        return [f"{flag}: has a meaning only with --engine {KIND}" for flag in given]
    found = []
    if not url:
        found.append(
            f"--engine-url: --engine {KIND} needs it, such as http://127.0.0.1:8000/metrics"
        )
    if not values["engine_pending"] and not values["engine_running"]:
        found.append(f"--engine-pending: --engine {KIND} needs the name of its queue's metric")
    return found
