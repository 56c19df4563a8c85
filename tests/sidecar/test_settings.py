"""Owns the proof that settings are read in order and that bad ones are said all at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import table
from sidecar.flags import Field
from sidecar.settings import FIELDS, Settings, SettingsError, load
from sidecar.sharing import SharedGpu


def settings(*argv: str, **environ: str) -> Settings:
    return load(argv, environ, "0").settings


def problems(*argv: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(argv, environ, "0")
    return caught.value.problems


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert settings() == Settings(
        host="::",
        port=9401,
        engine="auto",
        engine_url=None,
        engine_row=None,
        engine_port=None,
        engine_slots=1,
        engine_token_file=None,
        engine_ca_file=None,
        engine_tls_name=None,
        engine_period_seconds=1.0,
        gpu_period_seconds=2.0,
        heartbeat_seconds=2.0,
        engine_timeout_seconds=5.0,
        gpu_timeout_seconds=1.0,
        gpu_uuids=(),
        shared_gpu=SharedGpu.WITHHOLD,
        pod_uid=None,
        pod_name=None,
        pod_namespace=None,
        pod_resources=None,
        log_level="info",
    )


def test_a_flag_stands_before_the_environment_and_that_before_the_default() -> None:
    assert settings(FORESCALE_SIDECAR_PORT="9500").port == 9500
    assert settings("--port", "9600", FORESCALE_SIDECAR_PORT="9500").port == 9600
    assert settings(FORESCALE_SIDECAR_PORT="").port == 9401


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("1500ms", 1.5), ("1m", 60), ("2", 2), ("1.5", 1.5)]
)
def test_a_duration_is_written_with_a_unit_or_in_seconds(text: str, seconds: float) -> None:
    assert settings("--gpu-period", text).gpu_period_seconds == seconds


@pytest.mark.parametrize("flag", ["--heartbeat", "--engine-period"])
def test_a_heartbeat_that_a_reader_would_take_for_silence_is_refused(flag: str) -> None:
    (said,) = problems(flag, "11s", *(("--heartbeat", "10s") if flag != "--heartbeat" else ()))
    assert said.startswith(f"{flag}: '11s' is out of range")
    assert said.endswith("to 10s")
    assert settings("--heartbeat", "10s", "--engine-period", "10s").heartbeat_seconds == 10.0


def test_every_problem_is_said_at_once_with_its_field_and_its_fix() -> None:
    said = problems("--port", "high", "--gpu-period", "100ms", FORESCALE_SIDECAR_ENGINE="sglong")
    known = ", ".join((*(row.kind for row in table.ROWS), "custom", "connections", "ollama"))
    assert said == (
        "--port: 'high' is no port; give a number from 1 to 65535",
        f"FORESCALE_SIDECAR_ENGINE: 'sglong' is no engine; give one of auto, none, {known}",
        "--gpu-period: '100ms' is out of range; give 1s to 60s",
    )


@pytest.mark.parametrize(
    ("flag", "text", "fix"),
    [
        ("host", "localhost", "give one such as :: or 0.0.0.0"),
        ("port", "0", "from 1 to 65535"),
        ("engine-url", "http://127.0.0.1:8000", "the page's path"),
        ("engine-url", "http://me:secret@127.0.0.1/metrics", "without a user name"),
        ("engine-url", "http://[::1/metrics", "http://127.0.0.1:8000/metrics"),
        ("engine-url", "file:///etc/passwd", "http:// or https://"),
        ("engine-token-file", "token", "/var/run/secrets/engine/token"),
        ("engine-tls-name", "a name", "the one in the certificate"),
        ("engine-model-label", "model-name", "model_name"),
        ("heartbeat", "soon", "15s, 500ms, 1m or plain seconds"),
        ("gpu-uuids", "0,1", "nvidia-smi -L"),
        ("gpu-uuids", "GPU-12345678::2", "shared"),
        ("pod-uid", "a b", "metadata.uid"),
        ("shared-gpu", "yes", "withhold, allow"),
        ("log-level", "loud", "debug, info, warning, error"),
    ],
)
def test_a_value_that_cannot_be_used_is_said_with_the_fix(flag: str, text: str, fix: str) -> None:
    (said,) = problems(f"--{flag}", text)
    assert said.startswith(f"--{flag}: ")
    assert fix in said


def test_settings_that_contradict_each_other_are_said() -> None:
    (said,) = problems("--engine", "none", "--engine-url", "http://127.0.0.1:8000/metrics")
    assert said.startswith("--engine-url: ")
    (said,) = problems("--heartbeat", "1s", "--engine-period", "2s")
    assert said.startswith("--heartbeat: ")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("--engine-ca-file", "/ca.crt"), "no meaning without an https --engine-url"),
        (("--engine-tls-name", "llm.svc"), "no meaning without an https --engine-url"),
        (("--engine-token-file", "/token"), "would be shown to any server"),
        (
            ("--engine", "vllm", "--engine-url", "http://10.0.0.1/metrics")
            + ("--engine-token-file", "/token"),
            "would cross to 10.0.0.1 in clear; use https",
        ),
    ],
)
def test_a_credential_that_would_be_unused_or_shown_around_is_refused(
    argv: tuple[str, ...], why: str
) -> None:
    (said,) = problems(*argv)
    assert why in said


def test_a_token_may_go_to_a_named_engine_in_the_pod_or_by_tls() -> None:
    token = ("--engine", "vllm", "--engine-token-file", "/token")
    assert settings(*token).engine_token_file == token[-1]
    assert settings(*token, "--engine-url", "http://[::1]:8000/metrics").engine == "vllm"
    by_tls = settings(*token, "--engine-url", "https://llm/metrics", "--engine-ca-file", "/ca")
    assert by_tls.engine_ca_file == "/ca"


def test_what_the_kubelet_injects_for_services_does_no_harm() -> None:
    loaded = load(
        [],
        {
            "FORESCALE_PORT": "tcp://10.0.0.1:80",
            "FORESCALE_SERVICE_HOST": "10.0.0.1",
            "FORESCALE_SIDECAR_PORT": "tcp://10.0.0.2:9401",
            "FORESCALE_SIDECAR_PORT_9401_TCP": "tcp://10.0.0.2:9401",
            "FORESCALE_SIDECAR_PORT_9401_TCP_ADDR": "10.0.0.2",
            "FORESCALE_SIDECAR_SERVICE_HOST": "10.0.0.2",
            "FORESCALE_SIDECAR_SERVICE_PORT": "9401",
            "FORESCALE_SIDECAR_SERVICE_PORT_HTTP": "9401",
        },
        "0",
    )
    assert loaded.settings == settings()
    (warning,) = loaded.warnings
    assert warning.startswith("FORESCALE_SIDECAR_PORT=tcp://10.0.0.2:9401 is ignored")
    assert "enableServiceLinks: false" in warning


def test_a_misspelt_variable_is_warned_about_with_a_guess() -> None:
    loaded = load([], {"FORESCALE_SIDECAR_HEARTBEET": "5s"}, "0")
    assert loaded.warnings == (
        "FORESCALE_SIDECAR_HEARTBEET is no setting; did you mean FORESCALE_SIDECAR_HEARTBEAT?",
    )


def test_the_pod_uid_comes_from_the_downward_api_by_either_name() -> None:
    assert settings(POD_UID="u-1").pod_uid == "u-1"
    assert settings(POD_UID="u-1", FORESCALE_SIDECAR_POD_UID="u-2").pod_uid == "u-2"


def test_several_gpu_uuids_are_given_by_commas() -> None:
    found = settings("--gpu-uuids", "GPU-00000001-a, GPU-00000002-b")
    assert found.gpu_uuids == ("GPU-00000001-a", "GPU-00000002-b")


def test_help_names_every_flag_with_its_variable_and_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], {}, "0")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for field in FIELDS:
        assert f"--{field.flag}" in said
        assert field.variable in said


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(["--version"], {}, "1.2.3")
    assert capsys.readouterr().out == "forescale-sidecar 1.2.3\n"


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.flag))
@given(text=st.text(max_size=40) | st.floats().map(str) | st.integers().map(str))
def test_any_text_of_any_variable_is_a_setting_or_a_problem_that_names_it(
    field: Field, text: str
) -> None:
    told: tuple[str, ...] = (field.variable,)
    try:
        found = load((), {field.variable: text}, "0").settings
    except SettingsError as error:
        told = error.problems
    else:
        assert found.port in range(1, 65536)
        assert 0 < found.engine_period_seconds <= 10
        assert 0 < found.heartbeat_seconds <= 10
    assert any(field.variable in said or f"--{field.flag}" in said for said in told)
