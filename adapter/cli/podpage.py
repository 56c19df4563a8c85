"""What pods say beside their figures, in lines: memory that fills, stand-ins, how they started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from adapter.cli import table
from adapter.model import excuses
from adapter.model.why import Phase, PodStory, Story

_NAMED = 3  # pods named on one line; -o json has all
# As the phases of `/why` are named, in words.
_PHASES = {
    "container_started": "container up",
    "server_started": "server started",
    "sidecar_started": "sidecar up",
    "engine_listening": "listening",
    "engine_loading": "loading",
    "engine_ready": "ready",
    "engine_served": "first request served",
}


def notes(pods: Iterable[PodStory]) -> list[str]:
    """Return how figures were come by that are not what their name says, alike notes once."""
    by_note: dict[str, list[str]] = {}
    for pod in pods:
        if pod.figure.note:
            by_note.setdefault(pod.figure.note, []).append(pod.name)
    return [f"  {listed(names)}: {note}" for note, names in by_note.items()]


def reasons(whys: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return what stands for each pod's reason in a table, and lines below it.

    A reason that several pods have (`excuses.alike`) stands below once, and a number in the table.
    """
    groups: dict[str, list[str]] = {}
    for name, why in whys.items():
        groups.setdefault(excuses.alike(why), []).append(name)
    cells, lines = dict(whys), list[str]()
    for names in groups.values():
        if len(names) > 1:
            number = f"({len(lines) + 1})"
            cells |= dict.fromkeys(names, number)
            words = table.printable(f"{names[0]}: {whys[names[0]]}")
            lines.append(f"{number} {excuses.such_as(len(names))}{words}")
    return cells, lines


def near_oom(stories: Iterable[Story]) -> list[str]:
    """Return the pods that are about to run out of memory, each once."""
    pods = {pod.name: pod for story in stories for pod in story.pods}.values()
    by_words: dict[str, list[str]] = {}
    for pod in pods:
        if pod.near_oom:
            by_words.setdefault(pod.near_oom, []).append(pod.name)
    return [f"near OOM: {listed(names)}: {words}" for words, names in by_words.items()]


def start(stories: Sequence[Story]) -> list[str]:
    """Return how the only pod of these stories started; nothing where there are several."""
    pods = {pod.name: pod for story in stories for pod in story.pods}
    if len(pods) != 1:
        return []
    (pod,) = pods.values()
    return [_started(pod.phases)] if pod.phases else []


def _started(phases: Sequence[Phase]) -> str:
    """Return when the first step was, and after how many seconds each of the others.

    The container's start is the node's clock, in whole seconds; the others the adapter's.
    """
    first, *others = phases
    at = datetime.fromtimestamp(first.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    after = (f"{_name(phase)} {phase.at - first.at:+.0f} s" for phase in others)
    return f"start: {', '.join((f'{_name(first)} {at}', *after))}"


def _name(phase: Phase) -> str:
    return _PHASES.get(phase.name, phase.name.replace("_", " "))


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
