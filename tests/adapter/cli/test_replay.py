"""`forescale replay` plays policies, and says what is wrong with what it is given."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.replay import run
from adapter.demo import trace as demo_trace
from tests.adapter.replay.test_manifest import REPLICAS, SEED, SIXTEEN

DAY = 86_400


def trace(folder: Path, steps: int = 360) -> Path:
    """An hour that goes up and down once."""
    path = folder / "trace.csv"
    rows = [f"{10 * at},{100 + (at % 360)}" for at in range(steps)]
    path.write_text("\n".join(["t,requests", *rows]) + "\n")
    return path


def replayed(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    assert run([*argv, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_policy_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = replayed(capsys, str(trace(tmp_path)))
    assert [line["policy"] for line in found][:2] == ["seed", "reactive"]
    assert found[-1]["policy"] == "clairvoyant"
    assert all(line["gpu_hours"] >= line["oracle_gpu_hours"] for line in found)


def test_a_manifest_is_played_beside_a_named_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "hpa.yaml"
    manifest.write_text(SEED)
    given = (str(trace(tmp_path)), "--policy", "reactive", "--policy", str(manifest))
    assert run([*given, "--json"]) == 0
    captured = capsys.readouterr()
    names = [json.loads(line)["policy"] for line in captured.out.splitlines()]
    assert names == ["reactive", "llm-inference-hpa"]
    assert "note: llm-inference-hpa: cpu is left out" in captured.err


def test_a_longer_cold_start_makes_more_requests_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (str(trace(tmp_path)), "--policy", "reactive", "--cold-start")
    late = [replayed(capsys, *given, cold)[0]["late_ratio"] for cold in ("15s", "p50=5m,p90=10m")]
    assert late[0] < late[1]


def test_people_get_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(trace(tmp_path)), "--policy", "clairvoyant"]) == 0
    first, _, head, row = capsys.readouterr().out.splitlines()
    assert first.startswith("trace.csv: 1.0 h")
    assert head.startswith("policy")
    assert row.startswith("clairvoyant")


def test_cold_starts_may_come_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = tmp_path / "starts"
    starts.write_text("90s\n95s\n10m\n")
    given = (str(trace(tmp_path)), "--policy", "clairvoyant", "--cold-start", str(starts))
    assert run(list(given)) == 0
    assert "starts in 600 s (p90)" in capsys.readouterr().out


def test_every_wrong_policy_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "service.yaml"
    manifest.write_text("kind: Service")
    given = [str(trace(tmp_path)), "--policy", "hpa2", "--policy", str(manifest)]
    assert run(given) == 2
    errors = capsys.readouterr().err
    assert "error: --policy hpa2 is no file: name a manifest or one of seed, reactive" in errors
    assert f"error: --policy {manifest}: kind is `Service`: use HorizontalPodAutoscaler" in errors
    assert errors.count("error:") == 2  # of what is no HPA nothing else is said


def test_a_trace_of_which_most_steps_have_no_row_gets_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Path(demo_trace.__file__).with_name("trace.csv")
    given = [str(shipped), "--policy", "reactive", "--json"]
    assert run(given) == 0
    assert "of the steps have no row and are taken for gaps" in capsys.readouterr().err
    assert run([*given, "--absent", "zero"]) == 0
    assert run([str(trace(tmp_path)), "--policy", "reactive", "--json"]) == 0
    assert "hint:" not in capsys.readouterr().err


def test_a_forecast_that_had_no_part_in_it_is_a_hint_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--policy", "forescale", "--policy", "reactive", "--json"]
    assert run([str(trace(tmp_path, 150)), *given]) == 0
    (hint,) = capsys.readouterr().err.splitlines()
    assert hint.startswith(
        "hint: forescale: no forecast was served in these 0.4 h. It begins after"
    )
    assert hint.endswith("at the end: present value: 24 of 30 minutes known")
    assert run([str(trace(tmp_path, 2_000)), *given]) == 0
    (hint,) = capsys.readouterr().err.splitlines()
    assert hint.startswith("hint: forescale: the margins of its forecast are measured after 2 h")
    assert hint.endswith("say --score-from 2h for what it does then")
    assert run([str(trace(tmp_path, 2_000)), *given, "--score-from", "2h"]) == 0
    assert not capsys.readouterr().err


def test_a_target_may_be_given_in_percent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (str(trace(tmp_path)), "--policy", "reactive", "--target")
    figures = [replayed(capsys, *given, target) for target in ("0.8", "80%")]
    assert figures[0] == figures[1]


def test_an_hpa_on_desired_replicas_is_played_with_its_deployment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "replicas.yaml"
    manifest.write_text(REPLICAS.replace("ANNOTATIONS", SIXTEEN))
    (found,) = replayed(capsys, str(trace(tmp_path)), "--policy", str(manifest))
    assert found["policy"] == "h"
    assert found["replicas_max"] == 10


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--score-from", "2h"], "--score-from 7200s leaves nothing to score"),
        (["--min-replicas", "9", "--max-replicas", "3"], "--min-replicas 9 is above"),
        (["--column", "n"], "--column n: trace.csv has no such column, it has t, requests"),
        (["--slo", "late<=0.1"], "--slo is what --tune keeps to: give --tune too"),
        (["--tune", "--json", "--policy", "kpa"], "--policy, --json: --tune prints a manifest"),
    ],
)
def test_what_cannot_be_replayed_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    assert run([str(trace(tmp_path)), *argv]) == 2
    assert f"error: {words}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--cold-start", "soon"],
        ["--cold-start", "p50=5m,p90=1m"],
        ["--pod-rate", "0"],
        ["--concurrency", "nan"],
        ["--max-replicas", "0"],
        ["--late", "-1s"],
        ["--target", "90"],
        ["--target", "0%"],
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(tmp_path: Path, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run([str(trace(tmp_path)), *argv])
    assert caught.value.code == 2


def test_a_week_of_ten_second_steps_takes_less_than_half_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    week = trace(tmp_path, 7 * DAY // 10)
    began = time.process_time()
    found = replayed(capsys, str(week), "--policy", "reactive")
    assert time.process_time() - began < 30.0
    assert found[0]["scale_events"] > 100


def test_a_page_is_written_beside_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "replay.html"
    given = [str(trace(tmp_path)), "--policy", "reactive", "--html", str(page)]
    assert run(given) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert "reactive" in capsys.readouterr().out
    assert run([*given[:-1], str(tmp_path / "no" / "where.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_tuning_prints_a_manifest_that_replays_as_punctually(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (str(trace(tmp_path, 720)), "--cold-start", "60s")
    assert run([*given, "--tune", "--slo", "late<=0.02"]) == 0
    printed = capsys.readouterr().out
    assert "2." not in printed.splitlines()[1].split(":")[1].split("late")[0]
    manifest = tmp_path / "tuned.yaml"
    manifest.write_text(printed)
    (found,) = replayed(capsys, *given, "--policy", str(manifest))
    assert found["late_ratio"] <= 0.02


def test_an_objective_that_no_hpa_meets_is_an_error_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(trace(tmp_path)), "--max-replicas", "2", "--tune"]
    assert run(given) == 1
    assert "HPAs keeps late<=0.01" in capsys.readouterr().err


def test_several_traces_are_played_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = trace(tmp_path), tmp_path / "other.csv"
    other.write_text(one.read_text())
    found = replayed(capsys, str(one), str(other), "--policy", "reactive")
    assert [line["trace"] for line in found] == ["trace.csv", "other.csv"]
    assert "trace" not in replayed(capsys, str(one), "--policy", "reactive")[0]


def test_a_page_has_the_curves_of_the_policies_that_were_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "replay.html"
    given = [str(trace(tmp_path, 120)), "--policy", "forescale:0.8", "--policy", "clairvoyant"]
    assert run([*given, "--html", str(page)]) == 0
    assert "50% to 95%" in page.read_text()
    assert "forescale:0.8" in capsys.readouterr().out


def test_beyond_the_room_starts_take_longer_and_more_requests_are_late(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (str(trace(tmp_path)), "--policy", "reactive", "--cold-start", "15s")
    pool = ("--room", "5", "--node-wait", "5m")
    late = [replayed(capsys, *given, *more)[0]["late_ratio"] for more in ((), pool)]
    assert late[0] < late[1]


ZERO = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: to-zero}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}
  minReplicas: 0
  maxReplicas: 20
  metrics:
  - type: External
    external:
      metric: {name: llm_inference_arrival_rate}
      target: {type: AverageValue, averageValue: "1"}
"""


def test_an_hpa_that_goes_to_zero_sleeps_and_wakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, manifest = tmp_path / "quiet.csv", tmp_path / "zero.yaml"
    manifest.write_text(ZERO)
    busy = {*range(60), *range(300, 360)}  # of an hour the first and the last ten minutes
    rows = [f"{10 * at},{30 if at in busy else 0}" for at in range(360)]
    quiet.write_text("\n".join(["t,requests", *rows]) + "\n")
    given = (str(quiet), "--hpa", str(manifest), "--pod-rate", "1", "--cold-start", "60s")
    (found,) = replayed(capsys, *given)
    # Four pods at most; of the forty quiet minutes it sleeps all but those of the stabilisation.
    assert found["oracle_gpu_hours"] < found["gpu_hours"] < 4 * (30 / 60)
    assert 0.0 < found["late_ratio"] <= 0.5  # who wakes it waits for its cold start
