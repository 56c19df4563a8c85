"""The autoscaler of a replay: the HPA controller's algorithm, fed with what it could have seen."""

from __future__ import annotations

from typing import Protocol

from adapter.model.hpa import DEFAULT_FLAGS, Answer, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_policy import Flags, Metric, Policy
from adapter.replay import answers
from adapter.replay.answers import Chain
from adapter.replay.pods import Pods
from adapter.replay.seen import Seen


class Autoscaler(Protocol):
    """Decides about replicas every `period_seconds`."""

    period_seconds: float

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        """Return the number of replicas from now on."""
        ...


class Hpa:
    """One HPA whose metrics come over one chain."""

    def __init__(
        self, policy: Policy, chain: Chain | None = None, flags: Flags = DEFAULT_FLAGS
    ) -> None:
        self.period_seconds = flags.sync_seconds
        self.policy = policy
        self.chain = chain or Chain()
        self._flags = flags
        self._history = History()

    def decide(self, seen: Seen, pods: Pods, now: float) -> int:
        outcome = reconcile(
            self.policy,
            self._history,
            current=pods.wanted,
            members=pods.members(),
            answers=[self.answer(metric, seen, pods, now) for metric in self.policy.metrics],
            now=now,
            flags=self._flags,
        )
        self._history = outcome.history
        return outcome.replicas

    def answer(self, metric: Metric, seen: Seen, pods: Pods, now: float) -> Answer:
        return answers.answer(metric, seen, pods, self.chain, now)
