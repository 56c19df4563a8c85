"""How many pods are read well is a metric: of those that serve, and part by part."""

from __future__ import annotations

import pytest

from adapter.model.fleet import SourceKind
from adapter.readinggauges import COUNT_SECONDS, ReadingGauges
from adapter.telemetry import Metrics
from tests.adapter.model.world import HOLD_SECONDS, World, serving_pod

Counts = dict[str, float | None]


def counts(metrics: Metrics, part: str) -> Counts:
    value = metrics.registry.get_sample_value
    return {
        word: value("forescale_adapter_readings", {"part": part, "freshness": word})
        for word in ("fresh", "held", "silent")
    }


def shown(world: World) -> tuple[Counts, Counts]:
    metrics = Metrics()
    assert world.snapshot is not None
    ReadingGauges(metrics).show(world.snapshot)
    return counts(metrics, "engine"), counts(metrics, "gpu")


def test_a_pod_that_falls_silent_is_held_and_then_silent() -> None:
    world = World(serving_pod("a"), serving_pod("b"))
    world.say = {"a": {"pending": 1, "gpu_busy_percent": 5}, "b": {"pending": 2}}
    world.advance()
    assert shown(world) == (
        {"fresh": 2, "held": 0, "silent": 0},
        {"fresh": 1, "held": 0, "silent": 0},
    )
    del world.say["a"]
    world.advance(10)
    assert shown(world)[0] == {"fresh": 1, "held": 1, "silent": 0}
    world.advance(int(HOLD_SECONDS))
    assert shown(world) == (
        {"fresh": 1, "held": 0, "silent": 1},
        {"fresh": 0, "held": 0, "silent": 1},
    )


def test_a_pod_that_was_never_read_is_silent_and_its_gpu_is_not_expected() -> None:
    world = World(serving_pod("a"))
    world.advance()
    assert shown(world) == (
        {"fresh": 0, "held": 0, "silent": 1},
        {"fresh": 0, "held": 0, "silent": 0},
    )


@pytest.mark.parametrize(
    "changes", [{"source": None}, {"phase": "Succeeded"}, {"source": SourceKind.SCRAPE}]
)
def test_no_queue_is_expected_of_pods_that_do_not_serve_or_have_no_source_of_their_own(
    changes: dict[str, object],
) -> None:
    world = World(serving_pod("a", **changes))
    world.advance()
    expected = float(changes == {"source": SourceKind.SCRAPE})
    assert shown(world)[0] == {"fresh": 0, "held": 0, "silent": expected}


def test_they_are_counted_again_after_some_seconds_and_no_pods_are_no_readings() -> None:
    world, metrics = World(serving_pod("a")), Metrics()
    gauges = ReadingGauges(metrics)
    gauges.show(world.advance())
    world.say = {"a": {"pending": 1}}
    gauges.show(world.advance(int(COUNT_SECONDS) - 1))
    assert counts(metrics, "engine") == {"fresh": 0, "held": 0, "silent": 1}
    gauges.show(world.advance())
    assert counts(metrics, "engine") == {"fresh": 1, "held": 0, "silent": 0}
    world.pods.clear()
    gauges.show(world.advance(int(COUNT_SECONDS)))
    assert counts(metrics, "engine") == {"fresh": 0, "held": 0, "silent": 0}
