"""`forescale suggest` at an adapter's ops port: a target, an HPA, and what is unsure about it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from adapter.api import query
from adapter.cli import suggest as command
from adapter.model.hpa_policy import parse
from adapter.ops.why import Why
from tests.adapter.cli.opsport import serving
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

SERIES = "queue_time_seconds"
BOUNDS = (0.5, 10.0)


@pytest.fixture
def url() -> Iterator[str]:
    """Pods with 12 and 30 in flight, of which the second's requests wait; a third is idle."""
    names = ("llm-a", "llm-b", "idle")
    world = World(*map(serving_pod, names))
    world.say = {"llm-a": {"inflight": 12.0}, "llm-b": {"inflight": 30.0}, "idle": {"inflight": 0}}
    world.counts = {name: {SERIES: (BOUNDS, (0.0, 0.0, 0.0))} for name in names}
    world.advance(90)
    world.counts["llm-a"] = {SERIES: (BOUNDS, (90.0, 90.0, 90.0))}
    world.counts["llm-b"] = {SERIES: (BOUNDS, (0.0, 50.0, 50.0))}
    snapshot = world.advance(2)
    with serving(Why(lambda: snapshot, query.choice)) as found:
        yield found


def test_the_target_its_doubts_and_the_hpa_are_told(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([f"deploy/{DEPLOYMENT}", "--adapter", url, "--for", "1s"]) == 0
    told, _, manifest = capsys.readouterr().out.partition("\n\n")
    assert told.splitlines() == [
        f"Deployment default/{DEPLOYMENT}: 12 in flight a pod (95 % of queue time within 2 s)",
        "  2 readings of 2 pods, 12 to 30 in flight; 1 beyond it, 0% contradict",
        "  doubt: only 2 readings: let it look for longer, or at more pods",
        "  doubt: only 1 beyond the objective: look again under more load",
    ]
    policy = parse(yaml.safe_load(manifest))
    (metric,) = policy.metrics
    assert (metric.name, metric.target_milli) == (command.INFLIGHT, 12_000)
    assert (policy.target, policy.max_replicas) == (f"Deployment/{DEPLOYMENT}", 6)


def test_another_objective_has_another_target(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [DEPLOYMENT, "--adapter", url, "--for", "1s", "-o", "json"]
    assert command.run([*arguments, "--queue-time", "20s"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["suggestion"]["target"], found["suggestion"]["beyond"]) == (30, 0)
    assert command.run([*arguments, "--queue-time", "0.1s"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["suggestion"]["target"], found["manifest"]) == (None, None)


def test_without_a_histogram_there_is_nothing_to_suggest_and_the_hint_says_where_to_look(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [DEPLOYMENT, "--adapter", url, "--for", "1s", "--first-token", "1s"]
    assert command.run(arguments) == 2
    assert "docs/engines.md" in capsys.readouterr().err


def test_an_unknown_workload_is_an_error_with_a_hint(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["sts/other", "--adapter", url]) == 1
    assert "\nhint: forescale " in capsys.readouterr().err


def test_it_looks_again_for_as_long_as_it_is_told(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PERIOD_SECONDS", 0.02)
    assert command.run([DEPLOYMENT, "--adapter", url, "--for", "0.3s", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["suggestion"]["readings"] >= 4
