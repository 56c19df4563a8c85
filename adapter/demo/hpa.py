"""The autoscaler: the HPA controller's loop, with the controller's arithmetic, on demo time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import yaml

from adapter import unread
from adapter.demo.query import Adapter, Value
from adapter.errors import SettingsError
from adapter.model.hpa import Answer, Outcome, reconcile
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import Flags, Policy, parse

# A cluster syncs every 15 s and holds a scale-down for 300 s; the demo shows an hour in minutes.
FLAGS = Flags(sync_seconds=3.0, downscale_window_seconds=15.0)
_KIND = "HorizontalPodAutoscaler"
MOST_PODS = 20  # three processes each, on this machine


def load(path: str | None) -> Policy:
    """Return the policy of a manifest file, or of the demo's own; raise SettingsError."""
    try:
        if path is None:
            source = resources.files("adapter.demo").joinpath("hpa.yaml")
            text = source.read_text(encoding="utf-8")
        else:
            text = Path(path).read_text(encoding="utf-8")
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"--hpa {path} cannot be read: {unread.why(error)}"]) from error
    found = [one for one in documents if isinstance(one, dict) and one.get("kind") == _KIND]
    try:
        policy = parse(next(iter(found or documents), None))
    except SettingsError as error:
        words = "the demo asks for metrics of type Pods; forescale replay plays others, too"
        told = any("use type Pods" in problem for problem in error.problems)
        raise SettingsError([*error.problems, *([words] if told else [])]) from error
    if policy.max_replicas > MOST_PODS:
        most = f"spec.maxReplicas is {policy.max_replicas}"
        raise SettingsError([f"{most}: use at most {MOST_PODS}, all pods run on this machine"])
    return policy


class Autoscaler:
    """Owns the history of one policy; `run` syncs until cancelled."""

    def __init__(
        self,
        policy: Policy,
        adapter: Adapter,
        members: Callable[[], list[Member]],
        scale: Callable[[int], None],
    ) -> None:
        self.policy = policy
        self.replicas = policy.min_replicas
        self.last: Outcome | None = None
        self.lowest = self.highest = self.replicas
        self._adapter = adapter
        self._members = members
        self._scale = scale
        self._history = History()

    async def run(self) -> None:
        """Sync now and then every `FLAGS.sync_seconds`."""
        while True:
            await self.sync()
            await asyncio.sleep(FLAGS.sync_seconds)

    async def sync(self) -> None:
        """Ask for every metric, decide, and scale where that changes something."""
        answers = [await self._ask(m.name, m.selector) for m in self.policy.metrics]
        outcome = reconcile(
            self.policy,
            self._history,
            current=self.replicas,
            members=self._members(),
            answers=answers,
            now=time.monotonic(),
            flags=FLAGS,
        )
        self._history, self.last = outcome.history, outcome
        if outcome.replicas != self.replicas:
            self.replicas = outcome.replicas
            self._scale(self.replicas)
        self.lowest = min(self.lowest, self.replicas)
        self.highest = max(self.highest, self.replicas)

    async def _ask(self, metric: str, selector: str) -> Answer:
        found = await self._adapter.values(metric, selector)
        return found if isinstance(found, str) else _millis(found)


def _millis(values: Mapping[str, Value]) -> dict[str, int]:
    return {name: value.milli for name, value in values.items()}
