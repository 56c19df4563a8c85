"""The selection: pods of one fleet that are asked for together, and how many must be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adapter.model.selector import Selector

if TYPE_CHECKING:
    from adapter.model.fleet import Pod

# Of a total that stands on fewer nothing can be said, whatever is scaled on it.
QUORUM_PERCENT = 50.0


class Group:
    """Pods of one fleet that are asked for together: their names, and their places in its order."""

    __slots__ = ("_quorum_percent", "_read", "names", "places", "pods")

    def __init__(self, pods: Sequence[Pod], places: Iterable[int]) -> None:
        self.pods = tuple(pods)
        self.names = tuple(pod.name for pod in self.pods)
        self.places: NDArray[np.int64] = np.fromiter(places, np.int64, len(self.pods))
        self._read: Group | None = None
        self._quorum_percent: float | None = None

    @property
    def quorum_percent(self) -> float:
        """The share of them that must be known for an answer: the strictest that one asks for."""
        if self._quorum_percent is None:
            shares = (pod.quorum_percent for pod in self.pods)
            self._quorum_percent = max(shares, default=QUORUM_PERCENT)
        return self._quorum_percent

    def matching(self, *selectors: Selector) -> Group:
        """Return those whose labels one of the selectors matches, each once."""
        numbers = [self._numbers(selector) for selector in selectors]
        return self._only(numbers[0] if len(numbers) == 1 else sorted(set().union(*numbers)))

    def _numbers(self, selector: Selector) -> list[int]:
        return [n for n, pod in enumerate(self.pods) if selector.matches(pod.labels)]

    def named(self, name: str) -> Group:
        """Return the one of that name, or none."""
        return self._only([n for n, found in enumerate(self.names) if found == name])

    def within(self, namespace: str) -> Group:
        """Return those of one namespace."""
        return self._only([n for n, pod in enumerate(self.pods) if pod.namespace == namespace])

    def read(self) -> Group:
        """Return those that have a source of their own: of the others nothing but GPUs is known."""
        if self._read is None:
            chosen = [n for n, pod in enumerate(self.pods) if pod.source is not None]
            self._read = self if len(chosen) == len(self.pods) else self._only(chosen)
        return self._read

    def chosen(self, chosen: NDArray[np.bool_]) -> Group:
        """Return those that are marked; one mark for each pod."""
        return self._only(chosen.nonzero()[0].tolist())

    def _only(self, chosen: list[int]) -> Group:
        return Group([self.pods[n] for n in chosen], self.places[chosen])


NOBODY = Group((), ())
