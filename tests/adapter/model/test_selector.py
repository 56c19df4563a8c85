"""Label selectors as the API server parses and matches them."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.selector import MAX_REQUIREMENTS, parse

LABELS = {"app": "llm", "tier": "gpu", "rank": "3", "empty": "", "example.com/x": "y"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=llm", True),
        ("app==llm", True),
        ("app = llm", True),
        ("app=other", False),
        ("app!=other", True),
        ("app!=llm", False),
        ("absent!=llm", True),
        ("app in (a,llm)", True),
        ("app in (a, llm )", True),
        ("app notin (a,b)", True),
        ("absent notin (a)", True),
        ("app notin (llm)", False),
        ("absent in (a)", False),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("!app", False),
        ("rank>2", True),
        ("rank>3", False),
        ("rank<4", True),
        ("app>1", False),
        ("absent>1", False),
        ("empty=", True),
        ("app=", False),
        ("example.com/x=y", True),
        (f"rank>{'2'.zfill(30)}", True),
        ("rank<9223372036854775807", True),
        ("app=llm,tier=gpu,rank in (1,3),!absent", True),
        ("app=llm,tier=cpu", False),
    ],
)
def test_a_selector_matches_as_kubernetes_does(text: str, matches: bool) -> None:  # noqa: FBT001
    assert parse(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text",
    ["=a", "app=a b", "app in a", "app in (a", "-x=1", "a=-b", "rank>x", "a,,b", "a/b/c=1", "A.B/x"]
    + ["x" * 64, f"a={'v' * 64}", "rank>+2", "rank>-2", "rank<9223372036854775808", "rank>\u0662"]
    + ["app\x0b=llm", "\u00a0app", "app=\x0cllm", "app=llm\x00", f"rank>{'2'.zfill(64)}"],
)
def test_a_broken_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no label|compares integers"):
        parse(text)


def test_an_endless_selector_is_refused() -> None:
    with pytest.raises(ValueError, match="the limit is"):
        parse(",".join(f"k{n}=v" for n in range(MAX_REQUIREMENTS + 1)))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.just("v"), max_size=5))
def test_the_labels_of_an_object_select_it(labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    assert parse(text).matches(labels)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - the only failure that is allowed


@pytest.mark.parametrize(
    "text",
    [
        "a in (" + "a," * 8_000,
        "a" + " " * 16_000 + "in (b)",
        "a" + " " * 16_000 + "x",
        "a\t\t" * 5_000 + "in (b)",
        "!" * 16_000,
        "," * 16_000,
        "(" * 16_000,
        "a=" + "a." * 8_000,
        "a-" * 8_000 + "!/b",
        "a." * 8_000 + "/b=c",
        "a in " * 3_000 + "(b)",
    ],
    ids=lambda text: f"{text[:3]!r}…{text[-3:]!r}",
)
def test_a_selector_made_to_be_slow_is_parsed_or_refused_quickly(text: str) -> None:
    """The longest that a request can carry; each takes 4 ms at most here."""
    began = time.process_time()
    with suppress(ValueError):
        _ = parse(text)
    assert time.process_time() - began < 0.05
