"""Owns the proof that each engine's probes are Kubernetes', and pass once the model is loaded."""

from __future__ import annotations

import pytest
import yaml

from sidecar import connections, probe, ready
from sidecar.row import Ready, Row
from sidecar.table import ROWS

WITH = [row for row in ROWS if isinstance(row.ready, Ready)]


@pytest.mark.parametrize("row", WITH, ids=lambda row: row.kind)
def test_the_printed_stanza_is_yaml_with_both_probes(
    row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(row.ready, Ready)
    assert probe.run([row.kind]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    get = {"path": row.ready.path, "port": row.ready.port}
    assert found["startupProbe"]["httpGet"] == found["readinessProbe"]["httpGet"] == get
    startup = found["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == probe.STARTUP_SECONDS


@pytest.mark.parametrize("row", WITH, ids=lambda row: row.kind)
def test_in_wrapper_mode_both_probes_run_our_command_and_leave_it_its_time(
    row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.run([row.kind, "--wrapper"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    for one in (found["startupProbe"], found["readinessProbe"]):
        assert one["exec"] == {"command": [probe.COMMAND, "ready", row.kind]}
        assert "httpGet" not in one
        assert one["timeoutSeconds"] > ready.ANSWER_SECONDS


@pytest.mark.parametrize("flags", [[], ["--wrapper"]], ids=["http", "exec"])
@pytest.mark.parametrize(
    ("kind", "env"),
    [
        ("sglang", {"SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "false"}),
        (
            "dynamo",
            {"DYN_SYSTEM_PORT": "8081", "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]'},
        ),
    ],
)
def test_what_a_probe_needs_in_the_servers_environment_is_printed_to_be_pasted(
    kind: str, env: dict[str, str], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.run([kind, *flags]) == 0
    printed = capsys.readouterr().out
    found = yaml.safe_load(printed)
    assert {one["name"]: one["value"] for one in found["env"]} == env
    assert "# To be added to the container's own: without" in printed


def test_dynamos_probe_is_the_workers_on_the_port_that_its_environment_opens() -> None:
    (row,) = (row for row in ROWS if row.kind == "dynamo")
    assert isinstance(row.ready, Ready)
    assert (row.ready.path, str(row.ready.port)) == ("/health", row.ready.env["DYN_SYSTEM_PORT"])
    assert row.ready.port != row.port, "the frontend's"


@pytest.mark.parametrize("row", WITH, ids=lambda row: row.kind)
def test_no_probe_asks_for_a_generated_token(row: Row) -> None:
    assert isinstance(row.ready, Ready)
    assert "generate" not in row.ready.path
    assert row.ready.path.startswith("/")


@pytest.mark.parametrize(
    "kind", [row.kind for row in ROWS if not isinstance(row.ready, Ready)] + [*connections.PORTS]
)
def test_an_engine_without_such_an_endpoint_says_so_and_what_to_do(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.run([kind]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {kind} has no endpoint for a probe\n\nhint: ")


def test_an_unknown_engine_is_an_error_that_lists_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert probe.run(["vlm"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{probe.USAGE}\nerror: ENGINE is 'vlm': give one of ")
    assert said.rstrip().endswith(f"give one of {', '.join(row.kind for row in WITH)}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "ENGINE is missing"),
        (["vllm", "triton"], "leave out triton"),
        (["vllm", "--wraper"], "--wraper is no flag: there is --wrapper alone"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_below_the_usage(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe.run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{probe.USAGE}\nerror: ")
    assert words in said


def test_help_says_what_it_prints_and_for_which_engines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert probe.run(["vllm", "--help"]) == 0
    said = capsys.readouterr()
    assert (said.out.startswith(probe.USAGE), said.err) == (True, "")
    assert all(word in said.out for word in ("--wrapper", "`env:`", *(row.kind for row in WITH)))


def test_a_server_of_ones_own_is_told_what_to_probe(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.run(["custom"]) == 1
    assert "probe what it answers once its model is loaded" in capsys.readouterr().err
