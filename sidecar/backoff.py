"""The back-off: when something that keeps failing may be tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Backoff:
    """After the first failure `first_seconds`, then twice as long each time up to `most_seconds`.

    `failures` counts those in a row; a run that lasted `forgive_seconds` clears it, so that
    something that works for a moment and fails again is not retried for ever at full speed.
    """

    first_seconds: float = 5.0
    most_seconds: float = 300.0
    forgive_seconds: float = 60.0
    failures: int = 0
    retry_at: float = 0.0
    started_at: float | None = None

    def started(self, now: float) -> Backoff:
        """Return the state after a try began well."""
        return replace(self, started_at=now)

    def failed(self, now: float, *, at_once: bool = False) -> Backoff:
        """Return the state after a failure; with `at_once` the first retry need not wait."""
        lasted = self.started_at is not None and now - self.started_at >= self.forgive_seconds
        failures = 1 if lasted else self.failures + 1
        steps = failures - 1 - (1 if at_once else 0)
        wait = 0.0 if steps < 0 else min(self.most_seconds, self.first_seconds * 2.0**steps)
        return replace(self, failures=failures, retry_at=now + wait, started_at=None)
