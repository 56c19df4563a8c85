"""What rules of prometheus-adapter become, and in which words they do not."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api.query import choice
from adapter.model.catalogue import METRICS
from adapter.model.measures import MEASURES, Kind, Measure
from adapter.model.translation import Rule, Translated, rules_of, translate

LEVEL = "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
LAST = "it is the last sample, here it is the mean of {} s; stat: raw is the last reading"
WAITING = 'vllm:num_requests_waiting{namespace!="",pod!=""}'


def one(series: str, query: str = LEVEL, **more: object) -> Translated:
    body = {"seriesQuery": series, "metricsQuery": query} | more
    (found,) = translate(Rule("rules[0]", body))
    return found


def test_a_queue_is_our_queue_under_its_old_name() -> None:
    found = one(WAITING, name={"matches": "^vllm:(.*)$", "as": "vllm_${1}"})
    assert found.metric == "llm_inference_pending_requests"
    assert found.old_name == "vllm_num_requests_waiting"
    assert (found.factor, found.selector, found.notes) == (1.0, {}, (LAST.format(15),))
    assert found.source == "vllm"


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ({}, "vllm:num_requests_waiting"),
        ({"matches": "^vllm:(.*)$"}, "num_requests_waiting"),
        ({"matches": "vllm:num_(.*)_waiting", "as": "$1"}, "requests"),
        ({"as": "queue"}, "queue"),
        ({"matches": "(", "as": "x"}, "vllm:num_requests_waiting"),
    ],
)
def test_the_old_name_follows_matches_and_as(name: Mapping[str, str], old: str) -> None:
    assert one(WAITING, name=name).old_name == old


def test_a_ratio_is_a_percentage_here_so_the_target_grows() -> None:
    assert one("vllm:kv_cache_usage_perc").factor == 100.0
    assert one("vllm:kv_cache_usage_perc", f"{LEVEL} * 100").factor == 1.0
    assert one("DCGM_FI_DEV_GPU_UTIL", f"avg{LEVEL[3:]} / 100").factor == 100.0


def test_mebibytes_are_bytes_here() -> None:
    assert one("DCGM_FI_DEV_FB_USED").factor == 1024**2


def test_a_window_becomes_the_nearest_of_ours() -> None:
    query = "avg(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)"
    found = one("DCGM_FI_DEV_GPU_UTIL", query)
    assert found.selector == {"stat": "mean", "window": "120s"}
    assert one("DCGM_FI_DEV_GPU_UTIL", query.replace("2m", "1h")).selector["window"] == "600s"


def test_a_sum_over_gpus_is_a_mean_here_and_that_is_said() -> None:
    note, last = one("DCGM_FI_DEV_GPU_UTIL").notes
    assert "divide the target by their number" in note
    assert last == LAST.format(30)


def test_a_filter_that_is_not_applied_is_named() -> None:
    found = one('vllm:num_requests_waiting{pod!="",engine="0",model_name=~"llama.*"}')
    assert found.notes[1:] == (
        'engine="0" is not applied: a metric here is of the whole pod',
        'model_name=~"llama.*" is not applied: a metric here is of the whole pod',
    )


def test_the_model_of_a_series_is_a_dimension_here() -> None:
    found = one('vllm:num_requests_waiting{pod!="",model_name="llama"}')
    assert (found.selector, found.notes) == ({"model": "llama"}, (LAST.format(15),))


QUANTILE = "histogram_quantile({}, sum(rate(<<.Series>>{{}}[2m])) by (le, <<.GroupBy>>))"
TTFT = "vllm:time_to_first_token_seconds_bucket"


def test_a_quantile_of_a_histogram_is_ours_where_it_is_served() -> None:
    found = one(TTFT, QUANTILE.format("0.95"))
    assert found.metric == "llm_inference_time_to_first_token_seconds"
    assert found.selector == {"stat": "p95", "window": "120s"}
    assert "p75 is not served: use p50" in (one(TTFT, QUANTILE.format("0.75")).why or "")
    assert "p95.1 is not served" in (one(TTFT, QUANTILE.format("0.951")).why or "")
    rate = "sum(rate(<<.Series>>{}[2m])) by (<<.GroupBy>>)"
    assert "of a histogram a quantile is served" in (one(TTFT, rate).why or "")


OF_SERVICES = {
    "overrides": {"namespace": {"resource": "namespace"}, "svc": {"resource": "service"}}
}
OF_PODS = {"overrides": {"pod": {"resource": "pod"}}}


@pytest.mark.parametrize(
    ("series", "query", "agg"),
    [
        (WAITING, f"avg{LEVEL[3:]}", "mean"),
        (WAITING, f"max{LEVEL[3:]}", "max"),
        (WAITING, LEVEL, None),
        (TTFT, QUANTILE.format("0.95"), "merged"),
    ],
)
def test_a_rule_of_whole_objects_chooses_how_their_pods_become_one_figure(
    series: str, query: str, agg: str | None
) -> None:
    external = Rule(
        "externalRules[0]", {"seriesQuery": series, "metricsQuery": query}, external=True
    )
    for found in (translate(external)[0], one(series, query, resources=OF_SERVICES)):
        assert found.selector.get("agg") == agg
        assert any("type Value" in note for note in found.notes) is (agg is not None)
    of_pods = one(series, query, resources=OF_PODS)
    assert "agg" not in of_pods.selector  # which a metric of pods does not take
    told = f"as Object or External add agg: {agg}, with a target of type Value"
    assert (told in of_pods.notes) is (agg is not None)


def test_a_pattern_finds_every_known_series_that_its_filters_leave() -> None:
    body = {
        "seriesQuery": '{__name__=~"^DCGM_FI_DEV_.*",pod!=""}',
        "seriesFilters": [{"isNot": ".*POWER.*"}],
        "metricsQuery": LEVEL,
    }
    found = {each.series: each.metric for each in translate(Rule("rules[0]", body))}
    assert found == {
        "DCGM_FI_DEV_GPU_UTIL": "nvidia_gpu_utilization",
        "DCGM_FI_DEV_FB_USED": "nvidia_gpu_memory_used_bytes",
    }


@pytest.mark.parametrize(
    ("series", "query", "why"),
    [
        ("http_requests_total", LEVEL, "no metric here measures what its series do"),
        ('{__name__=~"^http_.*"}', LEVEL, "no metric here measures"),
        ('{pod!=""}', LEVEL, "selects no series by name"),
        ('{__name__=~"("}', LEVEL, "missing )"),
        ("a + b", LEVEL, "no single selector"),
        ("", LEVEL, "no single selector"),
        (WAITING, "sum(<<.Series>>) / sum(vllm:num_requests_running)", "does what no view does"),
        (WAITING, "sum(rate(<<.Series>>{}[2m])) by (<<.GroupBy>>)", "counter as a level"),
        ("vllm:request_success_total", LEVEL, "llm_inference_arrival_rate|counter as a level"),
    ],
)  # fmt: skip
def test_what_has_no_translation_says_why(series: str, query: str, why: str) -> None:
    found = one(series, query)
    assert found.metric is None
    assert any(words in (found.why or "") for words in why.split("|")), found.why


def test_resource_rules_stay_with_metrics_server() -> None:
    (rule,) = rules_of({"resourceRules": {"cpu": {}}})
    assert "metrics-server" in (translate(rule)[0].why or "")


def test_rules_are_found_in_a_configuration_and_in_helm_values() -> None:
    body = {"seriesQuery": WAITING}
    assert [r.place for r in rules_of({"rules": [body], "externalRules": [body]})] == [
        "rules[0]",
        "externalRules[0]",
    ]
    helm = {"rules": {"default": False, "custom": [body], "external": [body]}}
    assert [r.place for r in rules_of(helm)] == ["rules.custom[0]", "rules.external[0]"]


def test_an_external_rule_says_how_it_is_asked_for_here() -> None:
    (rule,) = rules_of({"externalRules": [{"seriesQuery": WAITING}]})
    assert "selector workload: NAME" in translate(rule)[0].notes[-1]


@pytest.mark.parametrize("document", [None, [], "rules", {}, {"rules": None}])
def test_what_is_no_configuration_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="it "):
        rules_of(document)


def test_every_measure_names_a_known_kind_of_metric() -> None:
    stems = ("nvidia_gpu_", "llm_inference_")
    assert all(measure.metric.startswith(stems) for measure in MEASURES.values())
    gauges = {m.metric for m in MEASURES.values() if m.kind is Kind.GAUGE}
    assert "llm_inference_running_requests" in gauges
    assert MEASURES["DCGM_FI_DEV_POWER_USAGE"] == Measure("nvidia_gpu_power_watts", source="dcgm")


_PIECES = "sum( avg( rate( <<.Series>> {<<.LabelMatchers>>} [2m] ) by(<<.GroupBy>>) *100 /0 $1 { }"
_WORDS = st.sampled_from([*_PIECES.split(), "DCGM_FI_DEV_GPU_UTIL", '"', "histogram_quantile(0.9,"])


@given(st.lists(_WORDS, max_size=8), st.lists(_WORDS, max_size=8), st.lists(_WORDS, max_size=4))
def test_whatever_a_rule_says_it_is_translated_or_refused_in_words(
    series: list[str], query: list[str], name: list[str]
) -> None:
    body = {
        "seriesQuery": "".join(series),
        "metricsQuery": "".join(query),
        "name": {"matches": "".join(name), "as": "".join(name)},
    }
    for found in translate(Rule("rules[0]", body)):
        assert found.why or found.factor > 0
        if found.metric is not None:
            chosen = ",".join(f"{key}={value}" for key, value in found.selector.items())
            assert choice(found.metric, METRICS[found.metric], chosen).view


@pytest.mark.parametrize(
    "query",
    [
        'sum(<<.Series>>{<<.LabelMatchers>>,model_name="x"}) by (<<.GroupBy>>)',
        'sum(<<.Series>>{model_name="x", <<.LabelMatchers>>}) by (<<.GroupBy>>)',
    ],
)
def test_what_the_query_itself_narrows_counts_too(query: str) -> None:
    assert one(WAITING, query).selector == {"model": "x"}
    told = one(WAITING, query.replace("model_name", "env"))
    assert told.selector == {}
    assert 'env="x" is not applied: a metric here is of the whole pod' in told.notes
