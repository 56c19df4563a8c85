"""`forescale suggest` at an adapter's ops port: a target, an HPA, and what is unsure about it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from adapter.api import query
from adapter.cli import suggest as command
from adapter.model.hpa_policy import parse
from adapter.model.suggestion import Reading, suggest
from adapter.ops.why import Why
from sidecar.table import QUEUE_TIME, ROWS, TTFT
from tests.adapter.cli.opsport import serving
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

SERIES = "queue_time_seconds"
BOUNDS = (0.5, 10.0)
MIXED = "3% of the readings contradict that, from 21 to 25"


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
    hole = "nothing was seen between 12 and 30 in flight, so each target from 12 to 29 fits"
    assert told.splitlines() == [
        f"Deployment default/{DEPLOYMENT}: 12 in flight a pod (95 % of queue time within 2 s)",
        "  8 readings of 2 pods, 12 to 30 in flight, 4 beyond the objective",
        "  a first guess: held up to 12 in flight, beyond from 30",
        "  doubt: it looked for 1 s, and a reading is of a minute: all are of the same",
        "  doubt: only 8 readings: let it look for longer, or at more pods",
        f"  doubt: {hole}: look again under a load between them",
    ]
    assert "annotations" not in manifest  # no start was seen
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
    told = capsys.readouterr().err
    assert "no pod had requests in flight and a first token: idle: " in told
    assert "llm_inference_time_to_first_token_seconds: its source does not read this" in told
    assert "docs/engines.md" in told


def test_the_servers_that_the_hint_names_are_those_whose_pages_tell_it() -> None:
    names = {"vllm": "vLLM", "sglang": "SGLang", "tgi": "TGI", "trtllm": "TensorRT-LLM"}
    names |= {"lmdeploy": "LMDeploy", "ray": "Ray Serve LLM", "nim": "NIM", "dynamo": "Dynamo"}
    histograms = {row.kind: set(row.histograms) for row in ROWS if row.kind in names}
    both, queue_time, first_token = (
        {names[kind] for kind, found in histograms.items() if found == kinds}
        for kinds in ({QUEUE_TIME, TTFT}, {QUEUE_TIME}, {TTFT})
    )
    hint = command._SERVERS.split(": ", 1)[1]
    queue, token, _ = hint.split("; ")
    assert all(name in queue for name in both | queue_time)
    assert queue_time == {"TGI"}
    assert all(name in token for name in first_token)
    assert not any(name in queue for name in first_token)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(4.0, 0.1)] * 30, "a first guess: held up to 4 in flight"),
        ([(4.0, 9.0)] * 30, "not measured: beyond from 4"),
        (
            [(float(n), 0.1 if n <= 20 or n == 25 else 9.0) for n in range(1, 31)],
            f"well measured: held up to 20 in flight, beyond from 21; {MIXED}",
        ),
    ],
)
def test_it_is_told_up_to_where_it_held_and_from_where_it_did_not(
    pairs: list[tuple[float, float]], words: str
) -> None:
    found = suggest([Reading("llm-a", *pair) for pair in pairs], 2.0)
    assert command._sureness(found) == words


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
    found = json.loads(capsys.readouterr().out)["suggestion"]
    assert (found["readings"], found["heldBelow"], found["beyondAbove"]) == (32, 30.0, 12.0)


def test_a_terminal_sees_how_far_it_is(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SHOWN_SECONDS", 0.05)
    assert command.run([DEPLOYMENT, "--adapter", url, "--for", "0.5s"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert command.run([DEPLOYMENT, "--adapter", url, "--for", "0.5s"]) == 0
    told = capsys.readouterr().err
    assert f"Deployment {DEPLOYMENT} is looked at: " in told
    assert told.endswith("\r\033[K")
