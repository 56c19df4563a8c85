"""Loading settings: three spellings, one precedence, every problem at once."""

import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml

from adapter.__main__ import main
from adapter.cli import prices
from adapter.errors import SettingsError
from adapter.flags import parser
from adapter.leaf import leaves
from adapter.load import load
from adapter.settings import ObjectQuery, Price, Prices, Settings, accounts
from scripts import settings_schema


def test_without_anything_the_defaults_hold() -> None:
    assert load([], {}) == (Settings(), [])


def test_a_flag_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model:\n  holdSeconds: 10s\n  tickSeconds: 0.1\napi:\n  port: 1\n")
    environment = {"FORESCALE_ADAPTER_MODEL_HOLD_SECONDS": "20s", "FORESCALE_ADAPTER_API_PORT": "2"}
    settings, _ = load(["--config", str(file), "--api-port", "3"], environment)
    assert settings.model.tick_seconds == 0.1
    assert settings.model.hold_seconds == 20.0
    assert settings.api.port == 3


@pytest.mark.parametrize(
    ("raw", "seconds"), [("15s", 15.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("7", 7.0)]
)
def test_durations_take_units(raw: str, seconds: float) -> None:
    settings, _ = load(["--intake-connect-seconds", raw], {})
    assert settings.intake.connect_seconds == seconds


def test_all_problems_are_told_at_once_and_each_names_its_field(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model:\n  holdSecond: 10s\ntls: 3\nintake: {allowLoopback: maybe}\nlgo: {}\n")
    environment = {"FORESCALE_ADAPTER_OPS_PORT": "many"}
    arguments = ["--config", str(file), "--api-port", "99999", "--log-level", "loud"]
    with pytest.raises(SettingsError) as raised:
        load(arguments, environment)
    told = "\n".join(raised.value.problems)
    for words in (
        "model.holdSecond is no setting; did you mean model.holdSeconds?",
        "lgo is no setting",
        "tls is `3`: write its settings there, as in tls: {secret: …}",
        "intake.allowLoopback: `maybe` is neither true nor false",
        "FORESCALE_ADAPTER_OPS_PORT: `many` is no whole number",
        "api.port is 99999",
        "log.level is `loud`",
    ):
        assert words in told


def test_no_two_servers_are_given_one_port_and_a_server_that_is_off_takes_none() -> None:
    load(["--keda-port", "8080"], {})
    load(["--keda-enabled", "true", "--keda-port", "0", "--ops-port", "0"], {})
    with pytest.raises(SettingsError) as raised:
        load(["--keda-enabled", "true", "--keda-port", "8080"], {})
    assert raised.value.problems == ("ops.port and keda.port are both 8080: give them two ports",)


def test_what_the_kubelet_injects_for_a_service_is_ignored_and_told() -> None:
    links = {
        "FORESCALE_PORT": "tcp://10.0.0.1:443",
        "FORESCALE_SERVICE_HOST": "10.0.0.1",
        "FORESCALE_ADAPTER_PORT": "tcp://10.0.0.1:443",
        "FORESCALE_ADAPTER_API_PORT": "tcp://10.0.0.1:443",
        "FORESCALE_ADAPTER_SERVICE_HOST": "10.0.0.1",
        "FORESCALE_ADAPTER_SERVICE_PORT": "443",
        "FORESCALE_ADAPTER_PORT_443_TCP_ADDR": "10.0.0.1",
        "FORESCALE_ADAPTER_OPS_PORT": "sctp://10.0.0.1:443",
        "FORESCALE_ADAPTER_METRICS_SERVICE_HOST": "10.0.0.1",
        "FORESCALE_ADAPTER_METRICS_SERVICE_PORT_HTTPS": "443",
        "FORESCALE_ADAPTER_METRICS_PORT_443_SCTP_PORT": "443",
    }
    settings, warnings = load([], links)
    assert settings == Settings()
    told = {warning.split()[0] for warning in warnings if "Service link" in warning}
    assert told == {name for name in links if name.startswith("FORESCALE_ADAPTER_")}


def test_a_variable_that_is_no_setting_is_a_warning_with_the_nearest_name() -> None:
    environment = {"FORESCALE_ADAPTER_API_PROT": "1", "FORESCALE_ADAPTER_QQ": "1"}
    settings, warnings = load([], environment)
    assert settings == Settings()
    hint = "; did you mean FORESCALE_ADAPTER_API_PORT?"
    assert warnings == [
        f"FORESCALE_ADAPTER_API_PROT is no setting and is ignored{hint}",
        "FORESCALE_ADAPTER_QQ is no setting and is ignored",
    ]


@pytest.mark.parametrize("content", ["- a list", "a: [unclosed", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=r"settings\.yaml"):
        load(["--config", str(file)], {})


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read"):
        load(["--config", str(tmp_path / "nowhere.yaml")], {})


def test_every_field_is_a_flag_and_a_variable() -> None:
    text = parser().format_help()
    for leaf in leaves():
        assert leaf.flag in text
        assert leaf.variable.isupper()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ("model: {holdSeconds: 90s, tickSeconds: 0.5}\napi: {port: 7443}\n", True),
        ("model: {holdSeconds: 90 seconds}\n", False),
        ("model: {holdSecond: 90s}\n", False),
        ("api: {port: seven}\n", False),
        ("nothing: {of: this}\n", False),
        ("apiServices: {manage: 3}\n", False),
        ("model: 5\n", False),
        ("model:\n", False),
        ("model: {}\n", True),
        ("modle: {}\n", False),
        ("intake: {nodeSources: [a/b, c/d]}\n", False),
        ("cost: {prices: {currency: EUR, perGpuHour: {a: {onDemand: 4, spot: 1.5}}}}\n", True),
        ("cost: {prices: {perGpuHour: {a: {onDemand: -4}}}}\n", False),
        ("cost: {prices: {perGpuHour: {a: 4}}}\n", False),
    ],
)
def test_the_schema_takes_a_file_where_the_adapter_does(
    text: str,
    good: bool,  # noqa: FBT001 - a parameter of this test
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    validator = jsonschema.Draft202012Validator(settings_schema.schema())
    assert validator.is_valid(yaml.safe_load(text) or {}) is good
    assert main(["--check", str(file)]) == (0 if good else 2)


def test_a_check_says_ok_or_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model: {tickSeconds: 1s}\n")
    assert main(["--check", str(file)]) == 0
    assert capsys.readouterr().out == "ok\n"
    file.write_text("model: {tickSecond: 1s}\nlog: {level: loud}\n")
    assert main(["--check", str(file)]) == 2
    told = capsys.readouterr().err
    assert "model.tickSecond is no setting" in told
    assert "log.level is `loud`" in told


def test_a_check_finds_what_would_keep_the_adapter_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, file = tmp_path / "gone", tmp_path / "settings.yaml"
    file.write_text(
        f"standalone: {gone}\ncoldStart: {{folder: {gone}}}\ntls: {{folder: {gone}}}\n"
        "model: 5\nintake: {nodeSources: [a/b, c/d]}\n"
        f"prometheus: {{url: 'http://p:9090', tokenFile: {gone}}}\n"
        f"fallthrough: {{url: 'https://a.b.svc', caFile: {gone}}}\nmodel: {{holdSeconds: .inf}}\n"
    )
    assert main(["--check", str(file)]) == 2
    told = capsys.readouterr().err.splitlines()
    for words in (
        f"{file}: model is in lines 4 and 8: keep one of them",
        f'{file}: intake.nodeSources: is a list: write one text, "a/b, c/d"',
        f"{file}: model.holdSeconds: `inf` is no duration: write 15s",
        f"{file}: standalone needs api.host 127.0.0.1, and it is `::`",
        f"{file}: standalone: {gone} is no directory here: create it, name another",
        f"{file}: coldStart.folder: {gone} is no directory here",
        f"{file}: tls.folder: {gone} is no directory here",
    ):
        assert any(line.startswith(f"error: {words}") for line in told), (words, told)


def test_a_file_that_is_read_only_when_it_is_needed_is_a_warning_of_a_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("prometheus: {url: 'http://p:9090', caFile: /gone/ca.crt}\n")
    assert main(["--check", str(file)]) == 0
    assert capsys.readouterr().err.startswith(
        "warning: prometheus.caFile: /gone/ca.crt is no file here"
    )


@pytest.mark.parametrize("key", ["fallthrough", "resourceMetrics"])
@pytest.mark.parametrize(
    ("trust", "warned"),
    [("", True), (", secret: a/b", False), (", insecureUpstream: true", False)],
)
def test_an_api_behind_that_nothing_says_how_to_verify_is_a_warning_of_a_check(
    key: str,
    trust: str,
    warned: bool,  # noqa: FBT001 - a parameter of this test
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"{key}: {{url: 'https://a.b.svc'{trust}}}\n")
    assert main(["--check", str(file)]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {key}.url is set without {key}.caFile, ") is warned
    assert bool(told) is warned


def test_a_check_calls_the_file_by_the_flag_that_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.startswith(f"error: --check {tmp_path}/none.yaml cannot be read")


def test_a_folder_that_is_not_there_is_no_matter_of_loading(tmp_path: Path) -> None:
    """At a start the part that needs it says so; at a reload it must refuse nothing."""
    flags = [f"--cold-start-folder={tmp_path}/gone", f"--standalone={tmp_path}"]
    assert load([*flags, "--api-host=127.0.0.1"], {})[0].cold_start.folder == f"{tmp_path}/gone"


def test_a_scrape_ends_before_the_next_and_comes_often_enough() -> None:
    with pytest.raises(SettingsError) as raised:
        load(["--intake-scrape-period-seconds", "2m", "--intake-scrape-seconds", "3m"], {})
    told = "\n".join(raised.value.problems)
    assert "intake.scrapePeriodSeconds is 120: use 1 s" in told
    assert "intake.scrapeSeconds is above intake.scrapePeriodSeconds" in told


@pytest.mark.parametrize("period", ["4s", "25h"])
def test_cold_starts_are_written_neither_too_often_nor_never(period: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(["--cold-start-period-seconds", period], {})
    (told,) = raised.value.problems
    assert told.startswith("coldStart.periodSeconds is ")


def test_a_folder_of_cold_starts_has_one_writer_which_several_replicas_are_not() -> None:
    with pytest.raises(SettingsError) as raised:
        load(["--cold-start-folder", "/kept"], {})
    (told,) = raised.value.problems
    assert told.startswith("coldStart.folder is set without standalone: ")
    alone = ["--standalone", "/pods", "--api-host", "127.0.0.1"]
    found, _ = load(["--cold-start-folder", "/kept", *alone], {})
    assert found.cold_start.folder == "/kept"


@pytest.mark.parametrize("wrong", ["forescale-system", "a/b/c", "a/", "A/b"])
def test_a_node_source_that_is_no_account_is_told_with_the_form(wrong: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(["--intake-node-sources", f"gpu-operator/nvidia-dcgm-exporter,{wrong}"], {})
    assert raised.value.problems == (
        f"intake.nodeSources has `{wrong}`: write namespace/serviceaccount",
    )


def test_node_sources_are_pairs_of_namespace_and_account() -> None:
    found = accounts("gpu-operator/nvidia-dcgm-exporter, forescale-system/forescale-agent")
    assert found == {
        ("gpu-operator", "nvidia-dcgm-exporter"),
        ("forescale-system", "forescale-agent"),
    }
    assert accounts("") == frozenset()


def test_what_stands_behind_is_checked_field_by_field() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            [
                "--resource-metrics-url=http://metrics-server",
                "--resource-metrics-secret=no-namespace",
                "--resource-metrics-ca-file=/ca.pem",
                "--resource-metrics-insecure-upstream=true",
                "--resource-metrics-deadline-seconds=0",
            ],
            {},
        )
    words = "\n".join(caught.value.problems)
    for field in ("url", "secret", "caFile", "deadlineSeconds"):
        assert f"resourceMetrics.{field}" in words


def test_the_name_in_the_certificate_behind_is_the_host_unless_it_is_given() -> None:
    url = "--resource-metrics-url=https://metrics-server.kube-system.svc:8443"
    assert load([url], {})[0].resource_metrics.tls_name == "metrics-server.kube-system.svc"
    named = load([url, "--resource-metrics-name=other.svc"], {})[0]
    assert named.resource_metrics.tls_name == "other.svc"


def test_kinds_of_objects_are_checked_term_by_term() -> None:
    good = "inferenceservices.v1beta1.serving.kserve.io=InferenceService, rayjobs.v1.ray.io=RayJob"
    good += ", pools.v1.x.io=Pool:selector, fleets.v1.x.io=Fleet:selector:cluster"
    assert load(["--api-object-kinds", good], {})[0].api.object_kinds == good
    with pytest.raises(SettingsError) as caught:
        load(["--api-object-kinds", "pods.v1=Pod,RayJob.ray.io,pools.v1.x.io=Pool:labels"], {})
    assert len(caught.value.problems) == 3
    assert "api.objectKinds has `RayJob.ray.io`: write PLURAL.VERSION.GROUP=KIND" in str(
        caught.value
    )


def test_a_certificate_from_files_can_issue_none_for_what_stands_behind() -> None:
    with pytest.raises(SettingsError, match=r"fallthrough\.secret needs a CA of ours"):
        load(
            ["--tls-folder=/tls", "--fallthrough-url=https://a.b.svc", "--fallthrough-secret=a/b"],
            {},
        )


@pytest.mark.parametrize(
    "flag", ["--intake-scrape-period-seconds", "--intake-exporter-period-seconds"]
)
def test_a_period_that_no_reading_could_have_is_refused(flag: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load([flag, "50ms", "--intake-scrape-seconds", "40ms"], {})
    assert "is 0.05: use 1 s" in "\n".join(raised.value.problems)


def test_queries_of_objects_are_a_list_in_the_file_and_yaml_as_a_flag(tmp_path: Path) -> None:
    url = "--prometheus-url=http://p:9090"
    wanted = (ObjectQuery("queue", "sum(q)", "Service", "default", "gateway"),)
    one = "{metric: queue, query: sum(q), kind: Service, namespace: default, name: gateway}"
    file = tmp_path / "settings.yaml"
    file.write_text(f"prometheus:\n  objects:\n    - {one}\n")
    assert load(["--config", str(file), url], {})[0].prometheus.objects == wanted
    assert load([f"--prometheus-objects=[{one}]", url], {})[0].prometheus.objects == wanted
    assert "--prometheus-objects YAML" in parser().format_help()


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ("[{metric: Queue, query: q}]", "objects[0].metric is `Queue`: write small letters"),
        ("[{metric: llm_inference_pending_requests, query: q}]", "is served already: take another"),
        ("[{metric: m, query: q, kind: Gateway}]", "objects[0].kind is `Gateway`: use Deployment"),
        ("[{metric: m, query: ' '}]", "objects[0].query is empty"),
        ("[{metric: m, query: q}, {metric: m, query: r}]", "objects[1] is of the same objects"),
        ("[{metric: m, querry: q}]", "objects[0].querry is none of the keys there"),
        ("[{metric: m}]", "objects[0].query is missing"),
        ("{metric: m, query: q}", "objects: it is a mapping: write a list"),
        ("[{", "is no YAML"),
    ],
)
def test_a_query_that_cannot_be_asked_is_told_with_its_place(objects: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load([f"--prometheus-objects={objects}", "--prometheus-url=http://p:9090"], {})
    assert words in "\n".join(raised.value.problems)


def test_queries_without_a_prometheus_are_told() -> None:
    with pytest.raises(SettingsError, match=r"prometheus\.url is not: say whom to ask"):
        load(["--prometheus-objects=[{metric: m, query: q}]"], {})


def test_prices_are_the_file_of_the_command_below_a_key_and_yaml_as_a_flag(tmp_path: Path) -> None:
    table = "{H100: {onDemand: 4, spot: 1.5}, default: {onDemand: 2}}"
    wanted = Prices({"H100": Price(4.0, 1.5), "default": Price(2.0)}, "EUR")
    file, alone = tmp_path / "settings.yaml", tmp_path / "prices.yaml"
    alone.write_text(f"currency: EUR\nperGpuHour: {table}\n")
    file.write_text("cost:\n  prices:\n" + textwrap.indent(alone.read_text(), "    "))
    assert load(["--config", str(file)], {})[0].cost.prices == wanted
    assert prices.read(str(alone)) == wanted
    flags = [f"--cost-prices-per-gpu-hour={table}", "--cost-prices-currency=EUR"]
    assert load(flags, {})[0].cost.prices == wanted
    assert load([], {})[0].cost.prices == Prices()


def test_all_that_is_wrong_with_prices_and_night_is_told_at_once() -> None:
    table = "{a: {onDemand: -1, spot: .nan}, b: {onDemand: 1, spot: .inf}, c: 4, d: {onDemand: 0}}"
    with pytest.raises(SettingsError) as raised:
        load([f"--cost-prices-per-gpu-hour={table}", "--cost-night=22"], {})
    assert raised.value.problems == (
        "--cost-prices-per-gpu-hour.a: onDemand is -1 and spot is nan: write a price of 0 or more",
        "--cost-prices-per-gpu-hour.b: spot is inf: write a price of 0 or more",
        "--cost-prices-per-gpu-hour.c is a whole number: write a mapping",
        "cost.night: `22` is no night: write two hours, such as 22-6",
    )
