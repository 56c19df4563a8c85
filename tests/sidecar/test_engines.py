"""Owns the proof that each engine's real page is read right, and a hostile one does no harm."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import engines
from sidecar.engines import ROWS, parse
from sidecar.wire import EngineReading, EngineState, Histogram

PAGES = Path(__file__).parent / "pages"
TTFT = "time_to_first_token_seconds"

EXPECTED = {
    "vllm_0_29": EngineReading(
        kind="vllm",
        state=EngineState.READY,
        pending=9.0,
        running=28.0,
        kv_percent=37.5,  # the mean of the engines: each has a cache of its own
        finished_total=1000.0,
        output_tokens_total=4_201_000.0,
        preemptions_total=3.0,
        hist={
            TTFT: Histogram(bounds=(0.1, 1.0), counts=(410.0, 915.0, 1000.0), sum=413.0),
            "queue_time_seconds": Histogram(bounds=(0.3,), counts=(700.0, 985.0), sum=120.25),
        },
        dims={"model": "meta-llama/Llama-3.1-8B-Instruct"},
    ),
    "vllm_0_9": EngineReading(
        kind="vllm",
        state=EngineState.READY,
        pending=3.0,
        running=4.0,
        kv_percent=75.0,
        finished_total=42.0,
        output_tokens_total=5120.0,
        preemptions_total=2.0,
        hist={TTFT: Histogram(bounds=(0.5,), counts=(30.0, 42.0), sum=21.5)},
        dims={"model": "Qwen/Qwen2.5-7B-Instruct"},
    ),
    "triton_2_60": EngineReading(
        kind="triton",
        state=EngineState.READY,
        pending=14.0,
        finished_total=157.0,  # success and every reason of failure: both left the queue
    ),
}


def page(name: str) -> bytes:
    return (PAGES / f"{name}.txt").read_bytes()


def vllm(waiting: str, more: str = "") -> bytes:
    labels = '{engine="0",model_name="m"}'
    running = f"vllm:num_requests_running{labels} 2.0\n"
    return f"vllm:num_requests_waiting{labels} {waiting}\n{running}{more}".encode()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_real_page_is_read_figure_by_figure(name: str) -> None:
    kind = name.split("_", maxsplit=1)[0]
    assert parse(page(name)).reading == EXPECTED[name]
    assert parse(page(name), kind).reading == EXPECTED[name]
    assert parse(page(name)).problems == ()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_page_says_in_its_first_line_what_its_names_rest_on(name: str) -> None:
    first = page(name).splitlines()[0]
    assert first.startswith(b"# Written by hand from: ")


def test_every_name_of_every_row_is_on_a_page_so_a_misspelling_is_seen() -> None:
    known = b"\n".join(page(name) for name in EXPECTED)
    for row in ROWS:
        stems = {n for names in row.histograms.values() for (n,) in names}
        missing = [n for n in row.names() - stems if b"\n" + n.encode() + b"{" not in known]
        assert missing == [], row.kind


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_misspelling_any_name_of_a_row_changes_what_its_page_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = engines.rows_of(name.split("_", maxsplit=1)[0])
    for field in ("pending", "running", "kv_ratio", "finished", "output_tokens", "preemptions"):
        names = getattr(row, field)
        if not names:
            continue
        wrong = tuple(tuple(part + "x" for part in parts) for parts in names)
        misspelt = dataclasses.replace(row, **{field: wrong})  # type: ignore[arg-type]
        monkeypatch.setattr(engines, "ROWS", (misspelt,))
        engines._names.cache_clear()
        assert parse(page(name)).reading != EXPECTED[name], field
    monkeypatch.undo()
    engines._names.cache_clear()


def test_a_page_of_another_server_is_no_reading() -> None:
    assert parse(b"some_requests 3\n").reading is None
    assert parse(page("triton_2_60"), "vllm").reading is None


def test_a_name_that_only_begins_alike_is_not_counted() -> None:
    more = 'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 5.0\n'
    found = parse(vllm("5.0", more)).reading
    assert found is not None
    assert found.pending == 5.0


def test_a_family_that_is_announced_but_empty_is_known_and_has_no_figure() -> None:
    found = parse(b"# TYPE nv_inference_pending_request_count gauge\n").reading
    assert found == EngineReading(kind="triton", state=EngineState.READY)


@pytest.mark.parametrize(
    "value", ["NaN", "+Inf", "-Inf", "-1.0", "1e999", "1e300", "many", "\u0661"]
)
def test_a_value_that_cannot_be_counted_with_is_absent_and_said(value: str) -> None:
    found = parse(vllm(value))
    assert found.reading is not None
    assert found.reading.pending is None
    assert found.reading.running == 2.0
    assert [p.split(":")[1] for p in found.problems] == ["num_requests_waiting"]


def test_one_bad_part_makes_the_whole_sum_absent() -> None:
    more = 'vllm:num_requests_waiting{engine="1",model_name="m"} NaN\n'
    found = parse(vllm("3.0", more))
    assert found.reading is not None
    assert found.reading.pending is None


def test_the_same_series_twice_is_not_added_up() -> None:
    found = parse(vllm("3.0", 'vllm:num_requests_waiting{engine="0",model_name="m"} 3.0\n'))
    assert found.reading is not None
    assert found.reading.pending is None
    assert found.problems == ("vllm:num_requests_waiting: the same series twice",)


def test_a_kv_figure_that_is_no_ratio_is_absent() -> None:
    found = parse(vllm("1.0", 'vllm:kv_cache_usage_perc{engine="0"} 37.0\n'))
    assert found.reading is not None
    assert found.reading.kv_percent is None
    assert found.problems == ("vllm:kv_cache_usage_perc: over 1, but it is a ratio",)


def test_two_models_on_a_page_name_none() -> None:
    found = parse(vllm("1.0", 'vllm:num_requests_waiting{engine="0",model_name="n"} 1.0\n'))
    assert found.reading is not None
    assert (found.reading.pending, found.reading.dims) == (2.0, None)


def test_a_model_name_with_control_characters_is_not_passed_on() -> None:
    text = b'vllm:num_requests_waiting{model_name="a\\nb"} 1.0\n'
    found = parse(text).reading
    assert found is not None
    assert found.dims is None


@pytest.mark.parametrize(
    "hostile",
    [
        ("vllm:num_requests_waiting{" + ",".join(f'l{n}="v"' for n in range(200_000)) + "} 3\n"),
        'vllm:num_requests_waiting{model_name="' + "v" * 20_000_000 + '"} 3\n',
        'vllm:num_requests_waiting{model_name="' + "\\" * 1_000_000 + '"} 3\n',
        "".join(f'vllm:num_requests_waiting{{engine="{n}"}} 1\n' for n in range(100_000)),
    ],
    ids=["200k labels", "20 MB value", "1M backslashes", "100k series"],
)
def test_a_page_made_to_be_slow_is_refused_quickly(hostile: str) -> None:
    text = hostile.encode() + vllm("1.0")
    best, found = math.inf, parse(b"")
    for _ in range(3):  # the best of three: other work on the machine is not the parser's
        began = time.process_time()
        found = parse(text)
        best = min(best, time.process_time() - began)
    assert found.reading is not None
    assert found.reading.pending is None
    assert best < 0.25  # the uncapped parser takes seconds to minutes


@given(st.binary(max_size=400))
def test_no_page_makes_it_raise(noise: bytes) -> None:
    parse(noise)
    parse(b"vllm:num_requests_waiting" + noise)
    parse(b'vllm:num_requests_waiting{engine="' + noise + b"\n" + vllm("1.0"))


@given(st.lists(st.floats(), min_size=1, max_size=8))
def test_every_figure_is_finite_not_negative_or_absent(values: list[float]) -> None:
    lines = [f'vllm:num_requests_waiting{{engine="{n}"}} {v}\n' for n, v in enumerate(values)]
    found = parse("".join(lines).encode()).reading
    assert found is not None
    usable = all(math.isfinite(v) and 0 <= v <= 2**53 for v in values)
    assert (found.pending is not None) == usable
    if found.pending is not None:
        assert found.pending == sum(values)
