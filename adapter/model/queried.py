"""The queried: metrics of objects that a query answers, as of its last answers, and how old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Self

import msgspec
import numpy as np

from adapter.errors import NotFound, NoValue
from adapter.model.freshness import HELD_PERIODS
from adapter.model.owners import Kind, Owners
from adapter.model.quantity import to_milli
from adapter.model.snapshot import Answer, Snapshot
from adapter.settings import ObjectQuery, Prometheus

# Objects come and go; until then an error can say for how long there was no value.
FORGET_HOLDS = 4
# Of one metric and kind: a tenant's new names push out its own old ones, and no more.
MAX_OF_NAMESPACE = 500
MAX_OF_METRIC = 10_000  # the workloads of the largest clusters


class Key(NamedTuple):
    """One metric of one object; `kind` is qualified, as in Owner."""

    metric: str
    kind: str
    namespace: str
    name: str


class Figure(NamedTuple):
    """A value, and when it was asked for, in monotonic seconds."""

    value: float
    at: float


class Board(msgspec.Struct, frozen=True):
    """What is served, and what was last answered; swapped in as one reference after each round.

    `troubles` says by metric and qualified kind why the last answer lacks objects; `rounds` counts.
    """

    served: tuple[tuple[str, Kind], ...] = ()
    period_seconds: float = 0.0
    hold_seconds: float = 0.0
    figures: Mapping[Key, Figure] = {}
    troubles: Mapping[tuple[str, str], str] = {}
    rounds: int = 0

    @classmethod
    def of(cls, settings: Prometheus, owners: Owners, hold_seconds: float) -> Self:
        """Return the board of the settings before anything was asked."""
        named = ((one.metric, owners.named(one.kind)) for one in settings.objects)
        served = dict.fromkeys((metric, kind) for metric, kind in named if kind is not None)
        return cls(tuple(served), settings.period_seconds, hold_seconds)

    def kinds(self, metric: str) -> tuple[Kind, ...]:
        """Return the kinds that have the metric; none where it is no query's."""
        return tuple(kind for name, kind in self.served if name == metric)

    def after(
        self, figures: Mapping[Key, Figure], troubles: Mapping[tuple[str, str], str], now: float
    ) -> Self:
        """Return the board after a round; what it did not answer stays as it was, and grows old.

        It is forgotten after some holds, or when newer ones fill its namespace or its metric.
        """
        longest = FORGET_HOLDS * self._held_seconds(self.hold_seconds)
        kept = {key: one for key, one in self.figures.items() if now - one.at <= longest}
        return msgspec.structs.replace(
            self, figures=_capped({**kept, **figures}), troubles=troubles, rounds=self.rounds + 1
        )

    def going_by(
        self, before: Prometheus, after: Prometheus, owners: Owners, hold_seconds: float
    ) -> Self:
        """Return the board of other queries, none of them asked yet.

        What is known of a metric's objects stays where all of its queries do: another query's
        figures mean something else.
        """
        old, new = _by_asked(before, owners), _by_asked(after, owners)
        same = {asked for asked, queries in new.items() if old.get(asked) == queries}
        return msgspec.structs.replace(
            self.of(after, owners, hold_seconds),
            figures={key: one for key, one in self.figures.items() if key[:2] in same},
            troubles={asked: words for asked, words in self.troubles.items() if asked in same},
        )

    def answer(self, key: Key, seen: Snapshot, now: float) -> Answer:
        """Return the object's value, or those of all that have one where the name is `*`.

        Raises as `figure` does. `seen` tells the hold, and what time it is on Unix' clock.
        """
        hold = seen.trails.hold.usual_seconds
        names = [key.name] if key.name != "*" else self._names(key, now, hold)
        found = [self.figure(key._replace(name=name), now, hold) for name in names]
        milli = to_milli(np.array([one.value for one in found])).tolist()
        return Answer(names, milli, [seen.wall + one.at - seen.at for one in found], 0)

    def figure(self, key: Key, now: float, hold_seconds: float) -> Figure:
        """Return the object's value, the last one while it is not older than the hold.

        Raises NoValue with the reason where there is none, NotFound where no answer had the object.
        """
        found, trouble = self.figures.get(key), self.troubles.get((key.metric, key.kind))
        whose = f"{key.metric} of {key.kind.partition('.')[0]} `{key.name[:100]}`"
        if found is not None and now - found.at <= self._held_seconds(hold_seconds):
            return found
        if found is not None:
            age = now - found.at
            raise NoValue(f"{whose} has had no value for {age:.0f} s: {trouble or _NO_SERIES}")
        if self.rounds == 0 or trouble:
            raise NoValue(f"{whose} has no value: {trouble or 'Prometheus was not asked yet'}")
        raise NotFound(f"{whose} in namespace `{key.namespace[:100]}`: {_NO_SERIES}")

    def _names(self, asked: Key, now: float, hold_seconds: float) -> list[str]:
        held = self._held_seconds(hold_seconds)
        alike = (key for key, one in self.figures.items() if now - one.at <= held)
        return sorted(key.name for key in alike if key._replace(name=asked.name) == asked)

    def _held_seconds(self, hold_seconds: float) -> float:
        return max(hold_seconds, HELD_PERIODS * self.period_seconds)


def _by_asked(settings: Prometheus, owners: Owners) -> dict[tuple[str, str], list[ObjectQuery]]:
    """Return the queries by metric and qualified kind; a kind that is not known has none."""
    found: dict[tuple[str, str], list[ObjectQuery]] = {}
    for one in settings.objects:
        if (kind := owners.named(one.kind)) is not None:
            found.setdefault((one.metric, kind.qualified), []).append(one)
    return found


def _capped(figures: Mapping[Key, Figure]) -> dict[Key, Figure]:
    """Return the newest of each namespace and of each metric, as many as may be kept."""
    counts: Counter[tuple[str, ...]] = Counter()
    found = {}
    for key, one in sorted(figures.items(), key=lambda item: -item[1].at):
        metric, namespace = key[:2], key[:3]
        if counts[namespace] < MAX_OF_NAMESPACE and counts[metric] < MAX_OF_METRIC:
            found[key] = one
            counts.update((metric, namespace))
    return found


_NO_SERIES = "the query's answer has no series for it"
NOTHING = Board()
