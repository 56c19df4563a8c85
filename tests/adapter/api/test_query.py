"""Parameters choose objects and a view; what is wrong is named together with what is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api.query import parse, parse_external
from adapter.errors import AnswerError, BadRequest, MethodNotAllowed
from adapter.model.catalogue import METRICS, RAW, WINDOWS_SECONDS, Agg, Over, Stat, View

BUSY = METRICS["nvidia_gpu_utilization"]
MEMORY = METRICS["nvidia_gpu_memory_used_bytes"]


def view(text: str, metric: str = "nvidia_gpu_utilization") -> View:
    return parse(METRICS[metric], "*", {"metricLabelSelector": text}).view


def test_without_parameters_everything_is_asked_for_in_the_usual_view() -> None:
    query = parse(BUSY, "*", {})
    assert query.view == View(Stat.MEAN, 30)
    assert query.selector.matches({"any": "thing"})


def test_a_label_selector_is_parsed() -> None:
    query = parse(BUSY, "*", {"labelSelector": "app=a,tier notin (x,y)"})
    assert query.selector.matches({"app": "a"})
    assert not query.selector.matches({"app": "a", "tier": "x"})


@pytest.mark.parametrize("text", ["app=a b", "a in (", "=x", "a==b==c", "-a", ",,"])
def test_a_label_selector_that_cannot_be_parsed_is_named(text: str) -> None:
    with pytest.raises(BadRequest, match="labelSelector"):
        parse(BUSY, "*", {"labelSelector": text})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stat=raw", RAW),
        ("stat=mean", View(Stat.MEAN, 30)),
        ("stat=mean,window=60s", View(Stat.MEAN, 60)),
        ("window=600s", View(Stat.MEAN, 600)),
        ("stat=ewma", View(Stat.EWMA, 30)),
        ("stat in (ewma),window in (15s)", View(Stat.EWMA, 15)),
        ("stat==mean", View(Stat.MEAN, 30)),
        ("stat=max,window=120s", View(Stat.MAX, 120)),
        ("stat=median", View(Stat.P50, 30)),
        ("stat=p50", View(Stat.P50, 30)),
        ("quantile=0.95,window=60s", View(Stat.P95, 60)),
        ("quantile=0.5,stat=median", View(Stat.P50, 30)),
        ("stat=rise", View(Stat.RISE, 300)),
        ("gpus=mean", View(Stat.MEAN, 30)),
        ("gpus=max", View(Stat.MEAN, 30, Over.MAX)),
        ("gpus=min,stat=p90,window=60s", View(Stat.P90, 60, Over.MIN)),
        ("stat=rise,window=600s", View(Stat.RISE, 600)),
    ],
)
def test_the_metric_selector_chooses_the_view(text: str, expected: View) -> None:
    assert view(text) == expected


@pytest.mark.parametrize(
    "metric",
    [MEMORY.name, "nvidia_gpu_health", "llm_inference_pending_requests"],
)
def test_what_is_no_share_of_gpus_has_no_choice_of_them(metric: str) -> None:
    with pytest.raises(BadRequest, match=r"gpus=max is no choice of .* one of nvidia_gpu_util"):
        view("gpus=max", metric)


def test_a_window_of_a_metric_that_is_usually_raw_asks_for_its_mean() -> None:
    assert view("window=60s", MEMORY.name) == View(Stat.MEAN, 60)
    assert view("stat=ewma", MEMORY.name) == View(Stat.EWMA, 30)
    assert parse(MEMORY, "*", {}).view == RAW


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "colour=red",
            "known are stat=raw|mean|ewma|rise|max|p50|p90|p95|p99|median|forecast, quantile=0.5",
        ),
        ("colour=red", "quantile=0.5|0.9|0.95|0.99, window=15s|30s|60s|120s|300s|600s"),
        ("stat=mode", "stat=raw|mean|ewma"),
        ("quantile=0.42", "quantile=0.5|0.9|0.95|0.99"),
        ("quantile=0.5,stat=max", "stat=max contradicts quantile=0.5"),
        ("window=31s", "15s|30s"),
        ("gpus=median", "gpus=mean|max|min"),
        ("window=1m", "15s|30s"),
        ("stat in (raw,mean)", "takes one value"),
        ("stat!=raw", "takes one value"),
        ("stat", "takes one value"),
        ("!stat", "takes one value"),
        ("stat=raw,stat=mean", "two values"),
        ("stat=raw,window=15s", "takes no window"),
    ],
)
def test_an_unknown_key_or_value_is_answered_with_the_known_ones(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        view(text)
    assert words in str(caught.value)


def test_how_pods_become_one_value_can_be_chosen() -> None:
    assert parse(BUSY, "llm", {}).agg is None
    query = parse(BUSY, "llm", {"metricLabelSelector": "agg=max"})
    assert query.agg is Agg.MAX
    assert query.view == BUSY.view
    with pytest.raises(BadRequest, match=r"agg=`min` is not known; .*agg=sum\|mean\|max"):
        parse(BUSY, "llm", {"metricLabelSelector": "agg=min"})


def test_an_external_query_names_a_workload() -> None:
    query = parse_external(BUSY, {"labelSelector": "workload=llm"})
    assert (query.workload, query.kind, query.view, query.agg) == (
        "llm",
        "Deployment",
        BUSY.view,
        Agg.SUM,
    )


def test_an_external_query_chooses_kind_and_view() -> None:
    chosen = "kind=Service,workload in (llm),stat=mean,window=60s,agg=mean"
    query = parse_external(BUSY, {"labelSelector": chosen})
    assert (query.workload, query.kind) == ("llm", "Service")
    assert (query.view, query.agg) == (View(Stat.MEAN, 60), Agg.MEAN)
    assert query.labels["window"] == "60s"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "say whose nvidia_gpu_utilization, as in workload=NAME; known are workload=…"),
        ("kind=Deployment", "say whose"),
        ("workload=", "workload=`` is not known"),
        ("workload", "takes one value"),
        ("workload in (a,b)", "takes one value"),
        ("workload=a,workload=b", "two values"),
        ("workload=a,app=b", "`app` is no key; known are workload=…, kind=…, stat="),
    ],
)
def test_an_external_query_that_names_none_is_told_how(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_external(BUSY, {"labelSelector": text})
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["true", "1", "", "True"])
def test_a_watch_is_refused(value: str) -> None:
    with pytest.raises(MethodNotAllowed, match="cannot be watched"):
        parse(BUSY, "*", {"watch": value})


@pytest.mark.parametrize("value", ["false", "0", "False"])
def test_no_watch_is_no_watch(value: str) -> None:
    assert parse(BUSY, "*", {"watch": value})


def test_a_field_selector_may_repeat_the_name_in_the_path() -> None:
    assert parse(BUSY, "llm-0", {"fieldSelector": "metadata.name=llm-0"})
    assert parse(BUSY, "llm-0", {"fieldSelector": "metadata.name==llm-0"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("llm-0", "metadata.name=llm-1"),
        ("*", "metadata.name=llm-1"),
        ("llm-0", "metadata.name!=llm-0"),
        ("llm-0", "metadata.name!=llm-1"),
        ("*", "metadata.name!=llm-1"),
        ("llm-0", "status.phase=Running"),
        ("llm-0", "metadata.name"),
        ("llm-0", "metadata.name=llm-0,spec.nodeName=a"),
    ],
)
def test_a_field_selector_that_asks_for_something_else_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadRequest, match="fieldSelector"):
        parse(BUSY, name, {"fieldSelector": text})


def test_parameters_that_change_nothing_are_ignored() -> None:
    parameters = {"limit": "500", "timeout": "5s", "pretty": "true", "x": "y"}
    assert parse(BUSY, "*", parameters) == parse(BUSY, "*", {})


@given(text=st.text(max_size=60), key=st.sampled_from(["metricLabelSelector", "labelSelector"]))
def test_any_text_is_a_view_of_the_grid_or_an_answer_to_the_caller(text: str, key: str) -> None:
    try:
        found = parse(BUSY, "*", {key: text}).view
    except AnswerError as error:
        assert error.code in (400, 405)  # noqa: PT017 - either outcome is right
    else:
        assert found.window_seconds in (0, *WINDOWS_SECONDS)
