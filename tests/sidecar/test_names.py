"""Owns the proof that selectors are read as PromQL means them, and bad ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.samples import Sample

from sidecar.names import Selector, either, selector, spelt, total_of


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("queue_size", Selector("queue_size")),
        ("app:queue_size{}", Selector("app:queue_size")),
        ('q{kind="waiting"}', Selector("q", (("kind", "waiting"),))),
        (' q { a = "1", b="" , } ', Selector("q", (("a", "1"), ("b", "")))),
    ],
)
def test_a_selector_is_a_name_and_the_labels_it_must_have(text: str, wanted: Selector) -> None:
    assert selector(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "2q", "q-size", "q{", 'q{a=~"b"}', "q{a=b}", 'q{a!="b"}', "q r"]
)
def test_what_is_no_selector_is_refused_with_the_form_that_is(text: str) -> None:
    with pytest.raises(ValueError, match="is no metric name; write it as"):
        selector(text)


@pytest.mark.parametrize(
    ("labels", "fits"),
    [
        ({"kind": "waiting"}, True),
        ({"kind": "waiting", "x": "y"}, True),
        ({"kind": "a"}, False),
        ({}, False),
    ],
)
def test_a_sample_fits_with_the_labels_asked_for(labels: dict[str, str], *, fits: bool) -> None:
    assert selector('q{kind="waiting"}').fits(Sample("q", labels, 1.0)) == fits


def test_an_empty_value_fits_a_sample_without_the_label_as_in_promql() -> None:
    total = selector('q{priority=""}')
    assert total.fits(Sample("q", {}, 1.0))
    assert total.fits(Sample("q", {"priority": ""}, 1.0))
    assert not total.fits(Sample("q", {"priority": "1"}, 1.0))


def test_alternatives_keep_their_order_and_a_sum_is_one_of_them() -> None:
    assert [parts[0].name for parts in either("new", "old")] == ["new", "old"]
    assert [[one.name for one in parts] for parts in total_of("a", "b")] == [["a", "b"]]


def test_the_other_spelling_of_the_colon_stands_behind() -> None:
    names = spelt(total_of('x:a{k="v"}', "x:b"))
    assert [[one.name for one in parts] for parts in names] == [["x:a", "x:b"], ["x_a", "x_b"]]
    assert names[1][0].labels == (("k", "v"),)


@given(
    st.text() | st.from_regex(r"[a-z:]{1,5}\s*(\{[a-z]+=\"[^\"\\]*\",?.{0,5}\})?", fullmatch=True)
)
def test_any_text_is_a_selector_of_one_name_or_refused(text: str) -> None:
    try:
        found = selector(text)
    except ValueError:
        return
    assert text.strip().startswith(found.name)
    assert all(f'"{value}"' in text for _, value in found.labels)
    assert found.fits(Sample(found.name, dict(found.labels), 1.0))
