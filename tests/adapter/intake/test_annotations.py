"""Each annotation is known by its key, held to its values, and said in words where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import annotations
from adapter.intake.annotations import KNOWN, MAX_REMARKS, remarks
from adapter.model.fleet import SourceKind
from adapter.model.target import Target

PAGE = Path(__file__).parents[3] / "docs" / "annotations.md"
CONTAINERS = ("logger", "llm-server")


def words(key: str, value: str, source: SourceKind = SourceKind.SIDECAR) -> list[str]:
    return [found.words for found in remarks({key: value}, CONTAINERS, source)]


@pytest.mark.parametrize(
    ("key", "value", "source"),
    [
        ("forescale.dev/container", "llm-server", SourceKind.SIDECAR),
        ("forescale.dev/shared-gpu", "allow", SourceKind.SIDECAR),
        ("forescale.dev/quorum-percent", "0", SourceKind.SCRAPE),
        ("forescale.dev/hold-seconds", "600", SourceKind.SCRAPE),
        ("forescale.dev/quorum-percent", "100", SourceKind.SIDECAR),
        ("forescale.dev/scrape", "vllm:8000, sglang", SourceKind.SCRAPE),
        ("forescale.dev/scrape", "dcgm:9400/metrics", SourceKind.NODE),
        ("prometheus.io/scrape", "true", SourceKind.SIDECAR),
        ("test.forescale.dev/impostor", "honest", SourceKind.SIDECAR),
    ],
)
def test_what_is_right_or_not_ours_is_not_remarked_on(
    key: str, value: str, source: SourceKind
) -> None:
    assert words(key, value, source) == []


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("forescale.dev/contaner", "forescale.dev/container"),
        ("forescale.dev/Scrape", "forescale.dev/scrape"),
        ("forescale.dev/shared_gpus", "forescale.dev/shared-gpu"),
    ],
)
def test_a_mistyped_key_gets_the_nearest_one(key: str, near: str) -> None:
    (found,) = remarks({key: "x"}, CONTAINERS, SourceKind.SIDECAR)
    assert not found.known
    assert found.words == f"{key} is no annotation of ours: write {near}"


def test_a_key_that_is_near_to_none_gets_the_list() -> None:
    (found,) = words("forescale.dev/zzz", "16")
    assert "forescale.dev/zzz is no annotation of ours: take it out, or use one of" in found
    assert [key for key in KNOWN if key not in found] == []


def test_the_label_as_an_annotation_is_said_to_be_a_label() -> None:
    assert words("forescale.dev/source", "scrape") == [
        "forescale.dev/source is a label: an annotation of that name is not read"
    ]


@pytest.mark.parametrize(
    ("key", "value", "source", "wanted"),
    [
        ("container", "llm-sever", SourceKind.SIDECAR, "no container of the pod: write llm-server"),
        ("container", "x", SourceKind.SIDECAR, "write one of logger, llm-server"),
        ("container", "", SourceKind.SIDECAR, "says ``, which is no container"),
        ("shared-gpu", "true", SourceKind.SIDECAR, "says `true`: write allow, or take it out"),
        ("quorum-percent", "101", SourceKind.SIDECAR, "`101`: write a whole number, 0 to 100"),
        ("quorum-percent", "80%", SourceKind.SIDECAR, "`80%`: write a whole number, 0 to 100"),
        ("hold-seconds", "9", SourceKind.SIDECAR, "`9`: write a whole number, 10 to 600"),
        ("hold-seconds", "2m", SourceKind.SIDECAR, "`2m`: write a whole number, 10 to 600"),
        ("hold-seconds", "9" * 5000, SourceKind.SIDECAR, "write a whole number, 10 to 600"),
        ("quorum-percent", "-1", SourceKind.SIDECAR, "write a whole number"),
        ("quorum-percent", "\u0663", SourceKind.SIDECAR, "write a whole number"),
        ("target", "16", SourceKind.SIDECAR, "`16`: write one of inflight=NUMBER, arrival_rate="),
        ("target", "inflight=0", SourceKind.SIDECAR, "the number above 0 as in inflight=16"),
        ("target", "pending=5", SourceKind.SCRAPE, "gpu=NUMBER"),
        ("forecast", "on", SourceKind.SIDECAR, "says `on`: write one of off, observe, act"),
        ("scrape", "vlm:8000", SourceKind.SCRAPE, "names the engine vlm: use vllm"),
        ("scrape", "", SourceKind.SCRAPE, "write for example vllm:8000"),
        ("scrape", "vllm:8000", SourceKind.NODE, "of a node source is dcgm[:port][/path]"),
        ("scrape", "vllm:8000", SourceKind.SIDECAR, "not read beside forescale.dev/source sidecar"),
    ],
)
def test_a_wrong_value_gets_what_to_write(
    key: str, value: str, source: SourceKind, wanted: str
) -> None:
    (found,) = remarks({f"forescale.dev/{key}": value}, CONTAINERS, source)
    assert found.known
    assert found.words.startswith(f"forescale.dev/{key}") or "annotation forescale.dev" in (
        found.words
    )
    assert wanted in found.words


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [({}, 50.0), ({"quorum-percent": "80"}, 80.0), ({"quorum-percent": "much"}, 50.0)],
)
def test_a_quorum_that_is_wrong_is_the_usual_one(noted: dict[str, str], wanted: float) -> None:
    keyed = {f"forescale.dev/{key}": value for key, value in noted.items()}
    assert annotations.quorum_percent(keyed) == wanted


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [({}, None), ({"hold-seconds": "120"}, 120.0), ({"hold-seconds": "9"}, None)],
)
def test_a_hold_that_is_wrong_is_the_usual_one(noted: dict[str, str], wanted: float | None) -> None:
    keyed = {f"forescale.dev/{key}": value for key, value in noted.items()}
    assert annotations.hold_seconds(keyed) == wanted


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        ({}, None),
        ({"target": "inflight=16"}, Target("llm_inference_inflight_requests", 16_000)),
        ({"target": "inflight"}, None),
    ],
)
def test_a_target_that_is_wrong_is_none(noted: dict[str, str], wanted: Target | None) -> None:
    keyed = {f"forescale.dev/{key}": value for key, value in noted.items()}
    assert annotations.target(keyed) == wanted


def test_a_pod_without_a_source_is_not_remarked_on() -> None:
    assert remarks({"forescale.dev/contaner": "x"}, CONTAINERS, None) == ()


@given(
    st.dictionaries(st.text().map("forescale.dev/".__add__), st.text(), max_size=200),
    st.lists(st.text(max_size=80), max_size=30),
    st.sampled_from(SourceKind),
)
def test_whatever_is_written_the_remarks_are_few_short_and_printable(
    noted: dict[str, str], containers: list[str], source: SourceKind
) -> None:
    found = remarks(noted, containers, source)
    assert len(found) <= min(MAX_REMARKS, len(noted))
    for one in found:
        assert len(one.words) < 1024  # the most that an Event's message may have
        assert one.words.isprintable()


def test_names_as_long_as_they_may_be_stay_within_an_events_message() -> None:
    containers = ["\n" * annotations.MAX_VALUE_CHARACTERS] * 50
    noted = {"forescale.dev/container": "\ud800" * 10_000}
    (found,) = remarks(noted, containers, SourceKind.SIDECAR)
    assert len(found.words) <= annotations.MAX_WORDS


def test_the_page_has_every_annotation_as_the_code_says_it() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `forescale.dev/")]
    assert rows == [f"| `{key}` | {known.values} | {known.words} |" for key, known in KNOWN.items()]
