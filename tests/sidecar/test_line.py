"""Owns the proof that a line is read as prometheus_client's own parser reads it, but faster."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sidecar import line

NAME = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True)
# Names that begin with two underscores are Prometheus' own, and its parser refuses them on a page.
LABEL = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@given(
    NAME,
    st.dictionaries(LABEL, TEXT, max_size=5),
    st.floats(allow_nan=False),
    st.sampled_from(["", " 1700000000000"]),
)
def test_a_well_formed_line_is_read_as_prometheus_clients_parser_reads_it(
    name: str, labels: dict[str, str], value: float, stamp: str
) -> None:
    inside = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    text = f"{name}{{{inside}}} {value!r}{stamp}"
    (family,) = text_string_to_metric_families(text + "\n")
    (wanted,) = family.samples
    found = line.parse(text)
    assert (found.name, found.labels, found.value) == (name, wanted.labels, wanted.value)


@pytest.mark.parametrize(
    ("text", "labels", "value"),
    [
        ("up 1", {}, 1.0),
        ("up\t2 1700", {}, 2.0),
        ("up {} 3", {}, 3.0),
        ('up{a="b",} 4', {"a": "b"}, 4.0),
        ('up{ a = "b" , c = "}" } 5', {"a": "b", "c": "}"}, 5.0),
        (r'up{a="\\n\"\n\t"} 6', {"a": '\\n"\n\\t'}, 6.0),
        ("up +Inf", {}, math.inf),
    ],
)
def test_spaces_commas_and_escapes_are_read_by_the_format(
    text: str, labels: dict[str, str], value: float
) -> None:
    found = line.parse(text)
    assert (found.labels, found.value) == (labels, value)


@pytest.mark.parametrize(
    "text",
    [
        "", "up", "up{", "up{} ", "1up 1", "up 1 2 3", "up one", "up 1_000", 'up{a="b} 1',
        'up{a="b"c="d"} 1', "up{a=b} 1", 'up{a="1",a="2"} 1', "up{,} 1", 'up{é="1"} 1',
    ],
)  # fmt: skip
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are the caller's
        line.parse(text)


@given(st.text(max_size=80))
def test_nothing_but_a_value_error_comes_of_any_text(text: str) -> None:
    for tried in (text, f"up{{{text}}} 1", f'up{{a="{text}"}} 1', f"up {text}"):
        try:
            found = line.parse(tried)
        except ValueError:
            continue
        assert tried.startswith(found.name)
