"""A workload by flags, by a file, by an engine; flags win, and all that is wrong is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from adapter.cli.replay_options import parser
from adapter.cli.replay_workload import workload_of
from adapter.errors import SettingsError
from adapter.replay.engine import PRESETS
from adapter.replay.workload import Workload
from tests.adapter.replay.worlds import trace

TRACE = trace([10.0] * 60)
FILE = """\
engine: {prefillSecondsPerToken: 0.0001, decodeSeconds: 0.03, kvTokens: 1000000,
  maxSequences: 10, gpusPerPod: 4, promptTokens: 1000, outputTokens: 100}
coldStart: p50=2m,p90=5m
room: 4
nodeWait: 5m
maxReplicas: 12
"""


def described(*argv: str) -> tuple[Workload, list[str]]:
    return workload_of(parser().parse_args(["t.csv", *argv]), TRACE)


def wrong(*argv: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        described(*argv)
    return caught.value.problems


def test_without_anything_ten_pods_carry_the_mean() -> None:
    found, notes = described()
    assert found == Workload(1.0)
    assert notes == []


def test_a_default_that_makes_requests_last_for_hours_is_said() -> None:
    few = trace([0.002] * 60)
    _, (note,) = workload_of(parser().parse_args(["t.csv"]), few)
    assert note.startswith("a request is 22.2 h in service: is a pod's rate 0.0002/s?")
    assert workload_of(parser().parse_args(["t.csv", "--pod-rate", "1"]), few)[1] == []


def test_a_file_describes_engine_starts_and_nodes(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(FILE)
    found, notes = described("--workload", str(tmp_path / "w.yaml"))
    assert found.pod_rate == pytest.approx(2.5)
    assert (found.concurrency, found.gpus_per_pod, found.max_replicas) == (10.0, 4, 12)
    assert found.first_token_seconds == pytest.approx(0.13)
    assert found.cold_start.p90_seconds == 300.0
    assert (found.room, found.node_seconds) == (4, 300.0)
    assert notes == []


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(FILE)
    given = ("--workload", str(tmp_path / "w.yaml"), "--pod-rate", "7", "--output-tokens", "200")
    found, _ = described(*given)
    assert found.pod_rate == 7.0
    assert found.concurrency == 10.0


def test_how_long_requests_are_is_said_where_nobody_told_it() -> None:
    found, notes = described("--workload", "llama3.1-8b-h100")
    assert found.pod_rate == pytest.approx(PRESETS["llama3.1-8b-h100"].rate(2048.0, 28.0))
    (note,) = notes
    assert "2048 tokens of prompt and 28 of output are assumed" in note


def test_a_trace_of_requests_tells_how_long_they_are() -> None:
    told = msgspec.structs.replace(TRACE, tokens=(500.0, 50.0))
    chosen = parser().parse_args(["t.csv", "--workload", "llama3.1-8b-h100"])
    found, notes = workload_of(chosen, told)
    assert found.pod_rate == pytest.approx(PRESETS["llama3.1-8b-h100"].rate(500.0, 50.0))
    assert notes == []


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("engine: {decodeSeconds: 1}\ncoldStart: soon\npods: 3\n")
    problems = wrong("--workload", str(path))
    assert len(problems) == 3
    assert all(str(path) in problem for problem in problems)
    assert "coldStart: `soon` is no time" in problems[1]
    assert "pods is none: there are engine, podRate" in problems[2]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--workload", "gpt"], "--workload gpt is no file: name one, or a preset: llama2"),
        (["--room", "3"], "--room and --node-wait go together"),
        (["--prompt-tokens", "3"], "--prompt-tokens and --output-tokens are an engine's"),
        (["--min-replicas", "9", "--max-replicas", "3"], "--min-replicas 9 is above"),
    ],
)
def test_what_does_not_fit_together_is_an_error(argv: list[str], words: str) -> None:
    assert wrong(*argv)[0].startswith(words)
