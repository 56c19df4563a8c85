"""KEDA triggers: the same figures as external metrics, and all mistakes of the metadata at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api.external import External
from adapter.api.externalscaler import ScaledObject
from adapter.api.trigger import Triggers, parse
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.owners import Owners
from tests.adapter.api.test_custom import BUSY, PENDING, Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

HOW = {"scalerAddress": "forescale.forescale-system.svc:9402", "enableTLS": "true"}


@pytest.fixture
def asking() -> Asking:
    world = World(serving_pod("llm-0"), serving_pod("llm-1"))
    world.say["llm-0"] = {"pending": 4.0, "gpu_busy_percent": 80.0}
    world.say["llm-1"] = {"pending": 1.5, "gpu_busy_percent": 60.0}
    world.advance(40)
    return Asking(world)


def triggers(asking: Asking) -> Triggers:
    return Triggers(asking.answers, External(asking.answers, Owners.of("")))


def asked(metric: str = PENDING, target: str = "5", **metadata: str) -> ScaledObject:
    terms = {"workload": DEPLOYMENT, "metric": metric, "target": target, **metadata}
    return ScaledObject("llm", "default", HOW | {k: v for k, v in terms.items() if v})


def test_a_value_is_that_of_the_external_metric_in_the_same_view(asking: Asking) -> None:
    ask = triggers(asking).value
    assert ask(asked()) == (PENDING, 5.5)
    assert ask(asked(BUSY)) == (BUSY, 140.0)
    assert ask(asked(BUSY, agg="mean", kind="Deployment")) == (BUSY, 70.0)
    assert ask(asked(BUSY, agg="max", stat="raw")) == (BUSY, 80.0)
    asking.query("waiting_at_gateway", llm=7.0)
    assert ask(asked("waiting_at_gateway", workload="llm"))[1] == 7.0


def test_the_target_is_told_before_there_is_any_value(asking: Asking) -> None:
    ask = triggers(asking).target
    assert ask(asked(target="1500m", workload="not-there-yet")) == (PENDING, 1.5)
    with pytest.raises(NotFound, match="did you mean nvidia_gpu_utilization"):
        ask(asked("nvidia_gpu_utilisation"))
    with pytest.raises(BadRequest, match=r"^metadata: window=`7s` is not known; known are"):
        ask(asked(window="7s"))


def test_it_is_active_above_its_activation_and_without_one_above_nothing(asking: Asking) -> None:
    active = triggers(asking).active
    assert active(asked())
    assert active(asked(activationTarget="5"))
    assert not active(asked(activationTarget="5500m"))
    for pod in ("llm-0", "llm-1"):
        asking.world.say[pod] = {"pending": 0.0}
    asking.world.advance(40)
    assert not active(asked())


def test_missing_is_an_error_with_the_reason_and_never_inactive(asking: Asking) -> None:
    blind = asked("llm_inference_kv_cache_utilization", agg="mean")
    for ask in (triggers(asking).value, triggers(asking).active):
        with pytest.raises(NoValue, match="0 of 2 pods"):
            ask(blind)
        with pytest.raises(NotFound, match="a workload that is scaled to 0 has none"):
            ask(asked(workload="gone"))


def test_what_is_wrong_with_the_metadata_is_told_all_at_once() -> None:
    wrong = asked(metric="", target="0", windw="30s", workload="a,b=c", activationTarget="x")
    with pytest.raises(BadRequest) as caught:
        parse(wrong)
    said = str(caught.value)
    assert said.startswith("metadata: `windw` is not known; known are metric, target, activation")
    for words in (
        "workload, kind, stat, quantile, window, agg,",
        "metric is missing: write it, as in metric: llm_inference_inflight_requests",
        "workload is `a,b=c`: write one word",
        "activationTarget: `x` is no quantity",
        "target is 0: write the figure for one replica, above 0",
    ):
        assert words in said
    with pytest.raises(BadRequest, match="target is missing: write it, as in target: 16"):
        parse(asked(target=""))
    with pytest.raises(BadRequest, match="activationTarget is `-1`: a negative figure is none"):
        parse(asked(activationTarget="-1"))


def test_a_trigger_without_a_workload_is_told_how_to_name_one(asking: Asking) -> None:
    with pytest.raises(BadRequest, match=r"^metadata: say whose .*workload=NAME"):
        triggers(asking).target(asked(workload=""))


@given(st.dictionaries(st.text(max_size=12) | st.sampled_from(["metric", "target"]), st.text()))
def test_whatever_the_metadata_is_it_is_taken_or_refused_in_words(metadata: dict[str, str]) -> None:
    try:
        trigger = parse(ScaledObject("llm", "default", metadata))
    except BadRequest as error:
        assert str(error).startswith("metadata: ")  # noqa: PT017 - both ends are right
    else:
        assert trigger.target > 0 <= trigger.activation


def test_without_a_namespace_nothing_is_asked() -> None:
    metadata = HOW | {"workload": DEPLOYMENT, "metric": PENDING, "target": "5"}
    with pytest.raises(BadRequest, match="the ScaledObject's namespace is missing"):
        parse(ScaledObject("llm", "", metadata))
