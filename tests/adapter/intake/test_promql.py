"""The questions: what is pasted into them is quoted, and each figure asks for what it means."""

import re

from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import promql
from sidecar.names import Selector

STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


@given(st.text())
def test_whatever_is_quoted_is_one_string(text: str) -> None:
    assert STRING.fullmatch(promql.quoted(text))


def test_a_queue_asks_our_sidecars_first_and_then_each_engine() -> None:
    query = promql.figures()["pending"](promql.level, None)
    first, second, *_ = query.split(" or ")
    assert first == "sum by (namespace, pod) (llm_inference_pending_requests)"
    assert second == "sum by (namespace, pod) (vllm:num_requests_waiting)"


def test_the_age_is_that_of_the_oldest_part() -> None:
    query = promql.figures()["running"](promql.taken_at, "min")
    assert query.startswith(
        "min by (namespace, pod) (timestamp(llm_inference_running_requests)) or"
    )


def test_the_past_looks_no_further_back_than_it_is_told() -> None:
    query = promql.figures()["pending"](promql.within(30.0), None)
    assert "(last_over_time(llm_inference_pending_requests[30s]))" in query


def test_what_a_pod_says_of_another_counts_from_the_exporters_namespaces_alone() -> None:
    assert "exported_pod" not in promql.figures()["busy_percent"](promql.level, None)
    query = promql.figures({"gpu-operator", 'a"} or vector(1)'})["busy_percent"](promql.level, None)
    assert 'DCGM_FI_DEV_GPU_UTIL{namespace=~"a\\"} or vector(1)|gpu-operator",' in query
    assert 'exported_exported_namespace="",exported_exported_pod=""}' in query  # a tenant's labels
    assert query.startswith("avg by (namespace, pod) (nvidia_gpu_utilization_ratio) * 100 or max")


def test_a_vector_has_its_labels_quoted_and_several_names_in_one() -> None:
    one = Selector("a", (("role", 'x"y'),))
    assert promql._vector((one,)) == 'a{role="x\\"y"}'
    assert promql._vector((Selector("a"), Selector("b"))) == '{__name__=~"a|b"}'


def test_an_engine_whose_ranks_repeat_the_queue_is_not_asked_for() -> None:
    assert all("sglang" not in ask(promql.level, None) for ask in promql.figures().values())
