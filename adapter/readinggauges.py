"""The reading gauges: of how many serving pods the latest reading is fresh, held or silent."""

from __future__ import annotations

from adapter.model import heard
from adapter.model.freshness import Freshness
from adapter.model.snapshot import Snapshot
from adapter.telemetry import Metrics

COUNT_SECONDS = 5.0  # ten thousand pods take 5 ms to count
WORDS = {Freshness.FRESH: "fresh", Freshness.HELD: "held", Freshness.GONE: "silent"}


class ReadingGauges:
    """Keeps the gauges a few seconds near what the latest Snapshot can serve."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counted_at = float("-inf")

    def show(self, snapshot: Snapshot) -> None:
        """Count the pods of this Snapshot, unless that was done a moment ago."""
        if snapshot.at - self._counted_at < COUNT_SECONDS:
            return
        self._counted_at = snapshot.at
        for (part, grade), count in heard.counts(snapshot).items():
            self._metrics.readings.labels(part, WORDS[grade]).set(count)
