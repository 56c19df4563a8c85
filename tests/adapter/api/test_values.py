"""Values: whatever the names and figures are, the text is the JSON of that list."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api import values
from adapter.api.values import Subject
from adapter.model.quantity import MAX_MILLI, format_milli
from adapter.model.snapshot import NO_ANSWER, Answer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ITEMS = st.lists(st.tuples(TEXT, st.integers(0, MAX_MILLI), st.floats(0, 4e9)), max_size=5)


def subject(version: str, metric: str = "m", namespace: str = "n") -> Subject:
    return Subject(f"custom.metrics.k8s.io/{version}", metric, namespace, "Pod", "v1")


def answer(items: list[tuple[str, int, float]], window_seconds: int) -> Answer:
    names, milli, taken_at = (list(column) for column in zip(*items, strict=True))
    return Answer(names, milli, taken_at, window_seconds)


@given(ITEMS.filter(bool), TEXT, TEXT)
def test_any_text_stays_what_it_is(
    items: list[tuple[str, int, float]], metric: str, namespace: str
) -> None:
    body = values.encode(subject("v1beta2", metric, namespace), answer(items, 15))
    found = json.loads(body)["items"]
    assert [item["describedObject"]["name"] for item in found] == [name for name, *_ in items]
    assert [item["value"] for item in found] == [format_milli(milli) for _, milli, _ in items]
    assert {item["metric"]["name"] for item in found} == {metric}
    assert {item["describedObject"]["namespace"] for item in found} == {namespace}


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_nobody_is_an_empty_list(version: str) -> None:
    assert json.loads(values.encode(subject(version), NO_ANSWER)) == {
        "kind": "MetricValueList",
        "apiVersion": f"custom.metrics.k8s.io/{version}",
        "metadata": {},
        "items": [],
    }


def test_a_time_is_a_whole_second_in_utc() -> None:
    body = values.encode(subject("v1beta2"), answer([("a", 1, 0.0), ("b", 2, 61.9)], 0))
    stamps = [item["timestamp"] for item in json.loads(body)["items"]]
    assert stamps == ["1970-01-01T00:00:00Z", "1970-01-01T00:01:01Z"]


@pytest.mark.parametrize(("version", "key"), [("v1beta1", "window"), ("v1beta2", "windowSeconds")])
def test_young_pods_have_windows_of_their_own(version: str, key: str) -> None:
    items = [("a", 1, 0.0), ("b", 2, 1.0), ("c", 3, 2.0), ("d", 4, 3.0)]
    uneven = answer(items, 60)._replace(windows=[60, 60, 7, 60])
    found = json.loads(values.encode(subject(version), uneven))["items"]
    assert [(item["describedObject"]["name"], item["value"], item[key]) for item in found] == [
        ("a", "1m", 60),
        ("b", "2m", 60),
        ("c", "3m", 7),
        ("d", "4m", 60),
    ]
