"""The annotations: every `forescale.dev/…` key of a pod, what it may say, and what is wrong there.

A mistyped key would be passed over in silence, and the pod treated as if nothing had been written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from adapter.errors import IntakeError
from adapter.intake import allocation, pages
from adapter.model import target as targets
from adapter.model.fleet import Remark, SourceKind
from adapter.model.foreseen import Mode
from adapter.model.selection import QUORUM_PERCENT
from adapter.model.target import Target

DOMAIN = "forescale.dev"
CONTAINER = f"{DOMAIN}/container"
SOURCE_LABEL = f"{DOMAIN}/source"
QUORUM = f"{DOMAIN}/quorum-percent"
HOLD = f"{DOMAIN}/hold-seconds"
TARGET = f"{DOMAIN}/target"
FORECAST = f"{DOMAIN}/forecast"
# A pod may carry 256 KiB of annotations; whoever mends a few sees the rest after that.
MAX_REMARKS = 4
MAX_LOOKED_AT = 64
MAX_KEY_CHARACTERS = 80  # the API server allows 63 behind the slash
MAX_VALUE_CHARACTERS = 60
MAX_CONTAINERS = 10  # that a text names
MAX_WORDS = 1000  # an Event takes 1,024 bytes
_PERCENT = (0, 100)
_HOLD_SECONDS = (10, 600)  # two readings of most sources; what the windows remember


class About(NamedTuple):
    """The pod that an annotation stands on: what a value may refer to."""

    containers: Sequence[str]  # without init containers
    source: SourceKind


class Known(NamedTuple):
    """One annotation: `words` stand in docs/annotations.md; `wrong` says what to write instead."""

    values: str
    words: str
    wrong: Callable[[str, About], str | None]


def remarks(
    annotations: Mapping[str, Any], containers: Sequence[str], source: SourceKind | None
) -> tuple[Remark, ...]:
    """Return what is wrong, at most MAX_REMARKS; nothing of a pod that has no source."""
    if source is None:
        return ()
    ours = (pair for pair in annotations.items() if str(pair[0]).startswith(f"{DOMAIN}/"))
    return tuple(islice(_remarks(ours, About(containers, source)), MAX_REMARKS))


def quorum_percent(annotations: Mapping[str, Any]) -> float:
    """Return the share of a workload's pods that must be known; the usual one where it is wrong."""
    found = _whole(str(annotations.get(QUORUM, "")), *_PERCENT)
    return QUORUM_PERCENT if found is None else float(found)


def hold_seconds(annotations: Mapping[str, Any]) -> float | None:
    """Return how long a silent pod is held; None for the usual time, where it is wrong too."""
    found = _whole(str(annotations.get(HOLD, "")), *_HOLD_SECONDS)
    return None if found is None else float(found)


def target(annotations: Mapping[str, Any]) -> Target | None:
    """Return what the pod is to carry; None where nothing is said, or where it is wrong."""
    try:
        return targets.parse(str(annotations[TARGET])) if TARGET in annotations else None
    except ValueError:
        return None


def forecast(annotations: Mapping[str, Any]) -> Mode | None:
    """Return what becomes of the forecast; None where nothing is said, or where it is wrong."""
    said = annotations.get(FORECAST)
    return Mode(said) if said in tuple(Mode) else None


def _remarks(pairs: Iterator[tuple[str, Any]], about: About) -> Iterator[Remark]:
    for key, value in islice(pairs, MAX_LOOKED_AT):
        if key not in KNOWN:
            yield Remark(known=False, words=_unknown(str(key))[:MAX_WORDS])
        elif words := KNOWN[key].wrong(str(value), about):
            yield Remark(known=True, words=words[:MAX_WORDS])


def _unknown(key: str) -> str:
    shown = _shown(key, MAX_KEY_CHARACTERS)
    if key == SOURCE_LABEL:
        return f"{shown} is a label: an annotation of that name is not read"
    names = {known.partition("/")[2]: known for known in KNOWN}
    name = key[:MAX_KEY_CHARACTERS].partition("/")[2].lower()
    if near := difflib.get_close_matches(name, names, n=1):
        return f"{shown} is no annotation of ours: write {names[near[0]]}"
    return f"{shown} is no annotation of ours: take it out, or use one of {', '.join(KNOWN)}"


def _container(value: str, about: About) -> str | None:
    if value in about.containers:
        return None
    named = [_shown(name, MAX_VALUE_CHARACTERS) for name in about.containers[:MAX_CONTAINERS]]
    near = difflib.get_close_matches(value[:MAX_VALUE_CHARACTERS], named, n=1)
    use = near[0] if near else f"one of {', '.join(named)}"
    return f"{_says(CONTAINER, value)}, which is no container of the pod: write {use}"


def _scrape(value: str, about: About) -> str | None:
    read = {SourceKind.SCRAPE: pages.pages, SourceKind.NODE: pages.exporter}.get(about.source)
    if read is None:
        return (
            f"{pages.ANNOTATION} is not read beside {SOURCE_LABEL} {about.source.value}:"
            " take it out, or set that label to scrape"
        )
    try:
        read(value)
    except IntakeError as error:
        return str(error)
    return None


def _shared(value: str, _: About) -> str | None:
    if value == "allow":
        return None
    says = _says(allocation.SHARED_ANNOTATION, value)
    return f"{says}: write allow, or take it out to withhold what GPUs shared with others do"


def _target(value: str, _: About) -> str | None:
    try:
        targets.parse(value)
    except ValueError as error:
        return f"{_says(TARGET, value)}: {error}"
    return None


def _forecast(value: str, _: About) -> str | None:
    if value in tuple(Mode):
        return None
    return f"{_says(FORECAST, value)}: write one of {', '.join(Mode)}"


def _number(key: str, least: int, most: int) -> Callable[[str, About], str | None]:
    def wrong(value: str, _: About) -> str | None:
        if _whole(value, least, most) is not None:
            return None
        return f"{_says(key, value)}: write a whole number, {least} to {most}"

    return wrong


def _whole(value: str, least: int, most: int) -> int | None:
    """Return a whole number within bounds, None where it is no such number."""
    found = int(value) if re.fullmatch(r"[0-9]{1,4}", value) else -1
    return found if least <= found <= most else None


def _says(key: str, value: str) -> str:
    return f"{key} says `{_shown(value, MAX_VALUE_CHARACTERS)}`"


def _shown(text: str, most: int) -> str:
    return text[:most].encode("unicode_escape").decode("ascii")


KNOWN: Mapping[str, Known] = {
    CONTAINER: Known(
        "a container's name",
        "The container that serves the model. Without it: the one that asks for a GPU, or the"
        " first.",
        _container,
    ),
    pages.ANNOTATION: Known(
        "`engine[:port][/path]`",
        "The pages to read, by commas, under the label `forescale.dev/source: scrape`. Under"
        " `node` the exporter's one page.",
        _scrape,
    ),
    allocation.SHARED_ANNOTATION: Known(
        "`allow`",
        "Publish the figures of GPUs that other pods use, too. Without it: they are withheld.",
        _shared,
    ),
    QUORUM: Known(
        "`0` to `100`",
        "The share of pods that must be known for an answer, in percent. Without it: 50. Of pods"
        " that are asked for together the highest counts; with none known there is never an"
        " answer.",
        _number(QUORUM, *_PERCENT),
    ),
    HOLD: Known(
        "`10` to `600`",
        "For so many seconds the last figures of a pod that has fallen silent are served, or for"
        " four periods of its source where that is longer. Without it: `model.holdSeconds`, 60.",
        _number(HOLD, *_HOLD_SECONDS),
    ),
    TARGET: Known(
        "`inflight=N`, `arrival_rate=N` or `gpu=N`",
        "What one pod is to carry of its workload's total: requests in flight, requests per second"
        " or percent of GPU time. `forescale_desired_replicas` is that total divided by it.",
        _target,
    ),
    FORECAST: Known(
        "`off`, `observe` or `act`",
        "Whether the workload's demand is forecast one cold start ahead: not, as the adapter's own"
        " metrics alone, or so that `forescale_desired_replicas` and `…_forecast` go by it."
        " Without it: `off`.",
        _forecast,
    ),
}
