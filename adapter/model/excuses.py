"""The excuses: why there is no value, in words that end up in the events of an HPA."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adapter.model import exits
from adapter.model.fleet import Pod, Standing
from adapter.model.selection import QUORUM_PERCENT
from adapter.model.source import Dims, Source, labels

NAMED = 3  # pods named in one text; the rest are counted
LOOKED = 50  # pods whose reasons are compared; of all in a namespace it would cost milliseconds
# What differs between pods with one trouble: their addresses, and how long it has lasted. A port or
# a status is the trouble's own.
_OWN = re.compile(r"//\[[^\]]*\]|//[^/:\s]+|(?<!:)(?<!answers )\b\d+")
IDLE = "no request was measured in the window"

_STANDINGS = {
    Standing.LOADING: "still loading its model",
    Standing.WAITING: "not running yet",
    Standing.ENDED: "ending or ended",
}


def standing(pod: Pod, found: Standing, source: Source) -> str:
    """Say why a pod that does not serve has no value."""
    excuse = _with_exit(source.excuse("engine"), pod)
    why = f" ({excuse})" if excuse and found is Standing.LOADING else ""
    return f"is {_STANDINGS[found]}{why}"


def silence(pod: Pod, source: Source, series: str, age_seconds: float | None) -> str:
    """Say why a serving pod has no value; `age_seconds` is None where nothing was read."""
    excuse = _with_exit(source.excuse(series), pod)
    if age_seconds is not None:
        age = f"no reading for {age_seconds:.0f} s"
        return f"{age} ({excuse})" if excuse else age
    if source.heard_at is None:
        return excuse or "its source has not been heard yet"
    return excuse or "its source does not read this"


def dims(asked: Dims, sources: Iterable[Source]) -> str:
    """Say that no source says what was asked for, and what they do say."""
    told = {
        f"{key}={value}"
        for source in sources
        for key, _ in asked
        for value in labels(source.dims.get(key, ""))
    }
    known = listed(sorted(told)[:NAMED], len(told)) if told else "nothing of it"
    wanted = ", ".join(f"{key}={value}" for key, value in asked)
    return f"no pod says {wanted} of itself; they say {known}"


def share(percent: float) -> str:
    """Return a quorum as it is said, for example in `fewer than half`."""
    return "half" if percent == QUORUM_PERCENT else f"{percent:g} %"


def listed(told: Sequence[str], count: int) -> str:
    """Return the texts, and how many more there are."""
    more = count - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def alike(words: str) -> str:
    """Return the reason without what is the pod's own: the same for all with one trouble."""
    return _OWN.sub("#", words)


def grouped(told: Sequence[tuple[str, str]], count: int) -> str:
    """Return the reasons of pods (name and reason), alike ones once, the most frequent first.

    `count` is how many pods there are, also of those that are not told.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in told:
        groups.setdefault(alike(one[1]), []).append(one)
    ranked = sorted(groups.values(), key=len, reverse=True)[:NAMED]
    more = count - sum(map(len, ranked))
    texts = [f"{such_as(len(group))}{group[0][0]}: {group[0][1]}" for group in ranked]
    return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")


def such_as(pods: int) -> str:
    """Return how the reason of one pod is begun that stands for so many."""
    return f"{pods} pods, such as " if pods > 1 else ""


def _with_exit(excuse: str | None, pod: Pod) -> str | None:
    return "; ".join(filter(None, (printable(excuse or ""), exits.words(pod)))) or None


def printable(words: str) -> str:
    """Return a tenant's words so that they can neither end a line nor steer a terminal."""
    return "".join(one if one.isprintable() else " " for one in words)
