"""`forescale why` at an adapter's ops port: one screen, JSON when asked, errors with a hint."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from adapter.api import query
from adapter.cli import why as command
from adapter.ops.why import Why
from tests.adapter.cli.opsport import serving
from tests.adapter.model.world import World, serving_pod


def world() -> World:
    made = World(
        serving_pod("llm-a"),
        serving_pod("llm-b"),
        serving_pod("llm-c", model_ready=False, ready_changed_at=None),
    )
    made.say = {"llm-a": {"pending": 12.0, "running": 8.0}, "llm-b": {"pending": 4.0}}
    made.advance(20)
    return made


@pytest.fixture
def url() -> Iterator[str]:
    snapshot = world().snapshot
    with serving(Why(lambda: snapshot, query.choice)) as found:
        yield found


def test_a_workload_is_told_on_one_screen(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deployment/llm-inference-deployment", "--adapter", url]
    assert command.run([*arguments, "-m", "llm_inference_pending_requests"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Deployment default/llm-inference-deployment",
        "",
        "llm_inference_pending_requests (requests, mean 15s)",
        "  POD    STATE    LAST  AGE           SERVED  WHY NOT",
        "  llm-a  serving  12    0.0 s  fresh  12",
        "  llm-b  serving  4     0.0 s  fresh  4",
        "  llm-c  loading  -     -             -       is still loading its model",
        "  total: 16",
    ]


def test_without_a_metric_those_are_shown_of_which_something_is_known(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["pod/llm-a", "--adapter", url]) == 0
    out = capsys.readouterr().out
    assert "llm_inference_pending_requests (requests" in out
    assert "llm_inference_running_requests (requests" in out
    assert "nvidia_gpu" not in out


def test_json_has_the_same(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deploy/llm-inference-deployment", "--adapter", url, "-o", "json"]
    assert command.run(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    pending = next(c["story"] for c in found["chapters"] if "pending" in c["story"]["metric"])
    assert pending["total"]["served"] == "16"
    assert [pod["name"] for pod in pending["pods"]] == ["llm-a", "llm-b", "llm-c"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["llm-a"], 2, "`llm-a` is no KIND/NAME\nhint: KIND is one of hpa,"),
        (["node/a"], 2, "`node/a` is no KIND/NAME"),
        (["pod/other"], 1, "Pod other has no pod with a source"),
        (["hpa/x"], 1, "an HPA lives in a cluster"),
    ],
)
def test_what_cannot_be_told_is_an_error_with_a_hint(
    url: str, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"error: {words}")
    assert "\nhint: " in err


def test_an_adapter_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["pod/a", "--adapter", "http://127.0.0.1:1"]) == 1
    assert "error: http://127.0.0.1:1 gave no answer" in capsys.readouterr().err


def test_without_a_kubeconfig_the_hint_names_both_ways(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert command.run(["pod/a"]) == 1
    assert "hint: name your kubeconfig with --kubeconfig, or use --adapter URL" in (
        capsys.readouterr().err
    )
