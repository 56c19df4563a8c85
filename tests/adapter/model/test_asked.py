"""What was asked for is kept up to date for five minutes, and hostile askers find a bound."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import asked as askeds
from adapter.model.asked import FORGET_SECONDS, Asked
from adapter.model.catalogue import MEAN_15S, RAW, WINDOWS_SECONDS, Stat, View
from adapter.model.snapshot import TotalKey
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START

KEY = TotalKey(
    NAMESPACE, "Deployment.apps", DEPLOYMENT, "llm_inference_inflight_requests", MEAN_15S
)


def test_what_was_not_asked_for_in_five_minutes_is_forgotten() -> None:
    asked = Asked()
    asked.total(KEY, START)
    assert asked.totals(START + FORGET_SECONDS) == (KEY,)
    assert asked.totals(START + FORGET_SECONDS + 1) == ()


def test_asking_again_keeps_a_total() -> None:
    asked = Asked()
    asked.total(KEY, START)
    asked.total(KEY, START + 200)
    assert asked.totals(START + 450) == (KEY,)


def test_totals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askeds, "MAX_TOTALS", 2)
    asked = Asked()
    for name in ("a", "b", "c"):
        asked.total(TotalKey(NAMESPACE, "Deployment.apps", name, "m", RAW), START)
    assert [key.name for key in asked.totals(START)] == ["a", "b"]
    asked.total(TotalKey(NAMESPACE, "Deployment.apps", "c", "m", RAW), START + FORGET_SECONDS + 1)
    assert [key.name for key in asked.totals(START + FORGET_SECONDS + 1)] == ["c"]


def test_the_totals_of_one_object_are_bounded_and_leave_room_for_others() -> None:
    asked = Asked()
    for number in range(200):
        asked.total(msgspec.structs.replace(KEY, dims=(("model", f"made-up-{number}"),)), START)
    other = msgspec.structs.replace(KEY, name="other")
    asked.total(other, START + 1)
    found = asked.totals(START + 1)
    assert len(found) == askeds.MAX_PER_OBJECT + 1
    assert other in found
    later = START + FORGET_SECONDS + 2
    asked.total(KEY, later)
    assert asked.totals(later) == (KEY,)


def test_the_namespace_that_asks_for_most_gives_one_up_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(askeds, "MAX_TOTALS", 100)
    asked = Asked()
    for number in range(200):
        asked.total(msgspec.structs.replace(KEY, namespace="greedy", name=f"d{number}"), START)
    others = [msgspec.structs.replace(KEY, name=f"llm-{number}") for number in range(40)]
    for key in others:
        asked.total(key, START + 1)
    found = asked.totals(START + 1)
    assert len(found) == 100
    assert set(others) <= set(found)
    for number in range(200):
        asked.total(msgspec.structs.replace(KEY, namespace="greedy", name=f"e{number}"), START + 2)
    assert set(others) <= set(asked.totals(START + 2))


def test_the_views_of_a_namespace_are_bounded_and_one_in_use_goes_on() -> None:
    asked = Asked()
    views = [
        View(stat, window) for stat in Stat if stat is not Stat.RAW for window in WINDOWS_SECONDS
    ]
    keys = [
        msgspec.structs.replace(KEY, name=f"s{number}", metric=metric, view=view)
        for number, metric in enumerate(("m", "n", "o"))
        for view in views
    ]
    for key in keys:
        asked.total(key, START)
    assert {(key.metric, key.view) for key in asked.totals(START)} == {
        (key.metric, key.view) for key in keys[: askeds.MAX_VIEWS]
    }
    another = msgspec.structs.replace(keys[0], name="another")
    asked.total(another, START + 1)
    assert another in asked.totals(START + 1)
    elsewhere = msgspec.structs.replace(keys[-1], namespace="elsewhere")
    asked.total(elsewhere, START + 1)
    assert elsewhere in asked.totals(START + 1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 30),
            st.sampled_from((RAW, MEAN_15S)),
            st.floats(0, 200),
        ),
        max_size=120,
    )
)
def test_whatever_is_asked_for_the_bounds_hold_and_what_was_just_noted_is_the_newest(
    asks: list[tuple[str, int, View, float]],
) -> None:
    asked, now = Asked(), START
    last: dict[TotalKey, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(askeds, "MAX_TOTALS", 12)
        for namespace, number, view, pause in asks:
            now += pause
            key = TotalKey(namespace, "Deployment.apps", f"d{number}", "m", view)
            last[key] = now
            asked.total(key, now)
        found = asked.totals(now)
    assert len(found) == len(set(found)) <= 12
    assert all(now - last[key] <= FORGET_SECONDS for key in found)
    # Whoever asks for less than an equal share is remembered whole, but for what is forgotten.
    for namespace in "abc":
        recent = {key for key, at in last.items() if key.namespace == namespace}
        if len(recent) <= 4:
            young = {key for key in recent if now - last[key] <= FORGET_SECONDS}
            assert young <= set(found)
