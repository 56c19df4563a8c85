"""Quantities, selectors and lists of metrics are what Kubernetes' own code makes of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.api import values
from adapter.api.podmetrics import with_usage
from adapter.api.values import Subject
from adapter.model import selector as selectors
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.quantity import MAX_MILLI, format_milli, parse_milli
from adapter.model.snapshot import Answer
from tests.controlplane import build
from tests.e2e.gotexts import LABELS, QUANTITY, SELECTOR
from tests.fakes import metrics_server

BATCH = 50  # inputs to an example, of those that are single texts
# Go takes a sign, a point or a unit alone for 0; to us what has no digit is missing.
DIGITLESS = re.compile(r"\s*[+-]?\.?([a-zA-Z].*)?\s*", re.DOTALL)
NAME = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MILLI = st.integers(0, MAX_MILLI)
ROWS = st.lists(
    st.tuples(NAME, MILLI, st.integers(0, 4_000_000_000), st.sampled_from((0, 7, 60))), max_size=5
)
VERSIONS = ("v1beta1", "v1beta2")


class Oracle:
    """Kubernetes' own code in a process that answers line by line; `seen` counts what it read."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.seen: Counter[str] = Counter()

    def read(self, kind: str, texts: list[Any]) -> list[Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({kind: texts}) + "\n")
        self._process.stdin.flush()
        readings: list[Any] = json.loads(self._process.stdout.readline())[kind] or []
        assert len(readings) == len(texts)
        self.seen[kind] += len(texts)
        return readings


@pytest.fixture(autouse=True)
def _components_live() -> None:
    """The oracle is one program of its own: no component of a control plane is needed."""


@pytest.fixture(scope="module")
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    try:
        program = build.binary("oracle")
    except build.BuildError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    command = [str(program), "reads"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        reading = Oracle(process)
        yield reading
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(reading.seen.items()))
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            request.config.get_terminal_writer().line(f" read on both sides: {counts}")


def test_a_quantity_is_read_as_go_reads_it_or_refused(oracle: Oracle) -> None:
    @given(st.lists(QUANTITY, min_size=BATCH, max_size=BATCH))
    def holds(texts: list[str]) -> None:
        for text, reading in zip(texts, oracle.read("quantities", texts), strict=True):
            try:
                ours = parse_milli(text)
            except ValueError:
                refused = reading is None or reading["exact"] is None
                assert refused or DIGITLESS.fullmatch(text), (text, reading)
                oracle.seen["quantities refused"] += 1
                continue
            assert reading is not None, (text, ours)
            assert ours == reading["exact"], (text, ours, reading)
            # Go's MilliValue rounds long negatives the wrong way; no metric of an HPA is one.
            assert ours < 0 or ours == reading["milli"], (text, ours, reading)

    holds()
    assert 0.1 < oracle.seen["quantities refused"] / oracle.seen["quantities"] < 0.7


def test_what_we_send_is_read_by_go_as_it_was_meant(oracle: Oracle) -> None:
    @given(st.lists(MILLI, min_size=BATCH, max_size=BATCH))
    def holds(figures: list[int]) -> None:
        found = oracle.read("quantities", [format_milli(milli) for milli in figures])
        assert [reading["milli"] for reading in found] == figures

    holds()


def test_a_selector_matches_as_gos_does_or_is_refused(oracle: Oracle) -> None:
    @given(st.lists(SELECTOR, min_size=BATCH, max_size=BATCH), st.lists(LABELS, max_size=5))
    def holds(texts: list[str], objects: list[dict[str, str]]) -> None:
        asked = [{"selector": text, "objects": objects} for text in texts]
        for text, reading in zip(texts, oracle.read("selectors", asked), strict=True):
            try:
                ours = selectors.parse(text)
            except ValueError:
                # Go takes the byte 0 for an end and passes over what stands behind it.
                assert reading is None or "\x00" in text, (text, reading)
                oracle.seen["selectors refused"] += 1
                continue
            matches = [ours.matches(labels) for labels in objects]
            assert matches == reading, (text, objects, reading)
            oracle.seen["selectors that match"] += any(matches)

    holds()
    assert 0.1 < oracle.seen["selectors refused"] / oracle.seen["selectors"] < 0.8
    assert oracle.seen["selectors that match"] > 0.02 * oracle.seen["selectors"]


def _answer(rows: list[tuple[str, int, int, int]]) -> Answer:
    names, milli, at, windows = ([row[column] for row in rows] for column in range(4))
    return Answer(names, milli, at, 0, windows)


def _item(metric: str, milli: int, at: int, window_seconds: int) -> dict[str, Any]:
    window = window_seconds * 10**9 if window_seconds else None
    return _filled(metric=metric) | {"at": at, "window": window, "milli": milli}


def _filled(**fields: Any) -> dict[str, Any]:
    """Return the fields that Go writes: those that are not empty."""
    return {name: value for name, value in fields.items() if value}


def test_a_custom_metrics_client_has_every_field_in_both_versions(oracle: Oracle) -> None:
    @given(ROWS, st.sampled_from(VERSIONS), st.tuples(NAME, st.none() | NAME, NAME, NAME))
    def holds(rows: Any, version: str, names: tuple[str, str | None, str, str]) -> None:
        group_version = f"custom.metrics.k8s.io/{version}"
        metric, namespace, kind, of = names
        subject = Subject(group_version, *names)
        body = values.encode(subject, _answer(rows)).decode()
        expected = [
            _item(metric, *figures)
            | {"object": _filled(kind=kind, namespace=namespace, name=name, apiVersion=of)}
            for name, *figures in rows
        ]
        assert oracle.read("lists", [body]) == [
            {"version": group_version, "kind": "MetricValueList", "items": expected}
        ]

    holds()


def test_an_external_metrics_client_has_every_field(oracle: Oracle) -> None:
    @given(ROWS, NAME, st.dictionaries(NAME, NAME, max_size=3))
    def holds(rows: Any, metric: str, labels: Mapping[str, str]) -> None:
        body = values.encode_external(metric, labels, _answer(rows)).decode()
        expected = [_item(metric, *figures) | _filled(labels=labels) for _, *figures in rows]
        group_version = "external.metrics.k8s.io/v1beta1"
        assert oracle.read("lists", [body]) == [
            {"version": group_version, "kind": "ExternalMetricValueList", "items": expected}
        ]

    holds()


def test_a_resource_metrics_client_has_the_gpus_beside_all_that_was_there(oracle: Oracle) -> None:
    names = st.lists(st.sampled_from(("llm", "proxy", "ü")), min_size=1, max_size=3, unique=True)

    @given(st.lists(st.tuples(NAME, NAME, names, st.none() | MILLI), max_size=5))
    def holds(pods: Any) -> None:
        items = [
            metrics_server.item(f"{n}{name}", *containers, namespace=namespace)
            for n, (name, namespace, containers, _) in enumerate(pods)
        ]
        usages = {item["metadata"]["name"]: pod[3] for item, pod in zip(items, pods, strict=True)}

        def usage(_: str, name: str, containers: list[str]) -> dict[str, str] | None:
            milli = usages[name]
            return None if milli is None else dict.fromkeys(containers, format_milli(milli))

        before = json.dumps(metrics_server.listed(*items))
        was, found = oracle.read("lists", [before, with_usage(before.encode(), usage).decode()])
        for item in was["items"]:
            assert item["at"] == datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC).timestamp()
            if (milli := usages[item["name"]]) is not None:
                for container in item["containers"].values():
                    container[GPU_RESOURCE] = milli
        assert found == was
        assert "error" not in found

    holds()


def test_a_field_that_no_client_knows_is_an_error_there(oracle: Oracle) -> None:
    body = values.encode(Subject("custom.metrics.k8s.io/v1beta2", "m", "n", "Pod", "v1"), NOBODY)
    (found,) = oracle.read("lists", [body.decode().replace("metadata", "metadatum")])
    assert "unknown field" in found["error"]


NOBODY = _answer([])
