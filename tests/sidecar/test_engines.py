"""Owns the proof that each engine's real page is read right, and a hostile one does no harm."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.frames import MAX_WHY_CHARACTERS
from sidecar import engines, table
from sidecar.engines import parse
from sidecar.names import Names
from sidecar.row import Row
from sidecar.wire import EngineReading, EngineState, Histogram

PAGES = Path(__file__).parent / "pages"
TTFT = "time_to_first_token_seconds"
QUEUE_TIME = "queue_time_seconds"


def read(
    kind: str,
    *queue: float | None,
    hist: dict[str, tuple[tuple[float, ...], tuple[float, ...], float]] | None = None,
    dims: dict[str, str] | None = None,
    estimate: bool = False,
    why: str | None = None,
) -> EngineReading:
    """Return a reading; `queue` is pending, running, KV percent, finished, tokens, preemptions."""
    (row,) = engines.rows_of(kind)
    assert (row.estimate is not None) == estimate
    figures = dict(zip(FIGURES, queue, strict=False))
    histograms = {key: Histogram(*value) for key, value in (hist or {}).items()}
    return EngineReading(
        kind, EngineState.READY, why, **figures, hist=histograms or None, dims=dims,
        estimate=row.estimate,
    )  # fmt: skip


FIGURES = (
    "pending",
    "running",
    "kv_percent",
    "finished_total",
    "output_tokens_total",
    "preemptions_total",
)
QWEN = {"model": "Qwen/Qwen3-32B"}
DEEPSEEK = {"model": "deepseek-ai/DeepSeek-V3"}
EXPECTED = {
    "vllm_0_29": read(
        # The KV share is the mean of the engines: each has a cache of its own.
        "vllm", 9.0, 28.0, 37.5, 1000.0, 4_201_000.0, 3.0,
        hist={
            TTFT: ((0.1, 1.0), (410.0, 915.0, 1000.0), 413.0),
            QUEUE_TIME: ((0.3,), (700.0, 985.0), 120.25),
        },
        dims={"model": "meta-llama/Llama-3.1-8B-Instruct", "lora": "adapter_ko"},
    ),
    "vllm_0_9": read(
        "vllm", 3.0, 4.0, 75.0, 42.0, 5120.0, 2.0,
        hist={TTFT: ((0.5,), (30.0, 42.0), 21.5)},
        dims={"model": "Qwen/Qwen2.5-7B-Instruct"},
    ),
    "sglang_0_5": read(
        # 7 + 2 of the two data-parallel ranks and 1 of grammar; their copies are not counted.
        "sglang", 10.0, 8.0, 37.5, 40.0, 1200.0, 2.0,
        hist={
            TTFT: ((0.1, 0.2), (30.0, 38.0, 40.0), 4.5),
            QUEUE_TIME: ((0.0, 0.1), (10.0, 35.0, 40.0), 2.5),
        },
        dims=QWEN,
    ),
    "sglang_0_4": read(
        "sglang", 2826.0, 161.0, 100.0 * 0.28, None, 7557572.0,
        hist={TTFT: ((0.5,), (90.0, 100.0), 31.5)},
        dims={"model": "meta-llama/Llama-3.1-8B-Instruct"},
    ),
    "sglang_prefill": read("sglang", 37.0, 6.0, 75.0, dims=DEEPSEEK | {"role": "prefill"}),
    "sglang_decode": read("sglang", 30.0, 6.0, 75.0, dims=DEEPSEEK | {"role": "decode"}),
    "tgi_3": read(
        "tgi", 17.0, 32.0, None, 463.0, 90123.0,
        hist={QUEUE_TIME: ((0.01, 0.1), (300.0, 440.0, 450.0), 9.75)},
    ),
    "trtllm_1_3": read(
        "trtllm", 4.0, 24.0, 62.5, 80.0, 20480.0,
        hist={
            TTFT: ((0.25,), (60.0, 80.0), 20.5),
            QUEUE_TIME: ((0.3,), (75.0, 80.0), 8.25),
        },
        dims={"model": "nemotron-nano-3"},
    ),
    "trtllm_1_1": read(
        "trtllm", None, None, None, 80.0,
        hist={
            TTFT: ((0.25,), (60.0, 80.0), 20.5),
            QUEUE_TIME: ((0.3,), (75.0, 80.0), 8.25),
        },
        why="its page has no queue: trtllm-serve tells its queue only with"
        " `enable_iter_perf_stats: true` in its options, and TensorRT-LLM up to 1.1 not at all",
    ),
    # Of the ensemble's steps only the one with the queue counts requests.
    "triton-trtllm_readme": read(
        "triton-trtllm", 21.0, 64.0, 48.75, 90.0,
        hist={TTFT: ((0.1, 0.5, 2.0, 5.0), (60.0, 80.0, 88.0, 90.0, 90.0), 14.25)},
        dims={"model": "tensorrt_llm"},
    ),
    # Success and every reason of failure: both left the queue.
    "triton_2_60": read("triton", 14.0, None, None, 157.0),
    # Milliseconds are seconds here; the other model, which is not decoupled, has no histogram.
    "triton_first_response": read(
        "triton", 4.0, None, None, 40.0,
        hist={TTFT: ((0.1, 0.5, 2.0, 5.0), (8.0, 30.0, 36.0, 37.0, 37.0), 10.771)},
    ),
    "triton_captured": read("triton", 19.0, None, None, 13.0, dims={"model": "llm"}),
    "llama.cpp_readme": read("llama.cpp", 46.0, 4.0, None, None, 17029.0),
    "llama.cpp_kv": read("llama.cpp", 46.0, 4.0, 32.0, None, 17029.0),
    "lmdeploy_first": read(
        "lmdeploy", 4.0, 14.0, 50.0, None, 1000.0,
        hist={TTFT: ((0.1,), (9.0, 12.0), 1.75), QUEUE_TIME: ((0.3,), (11.0, 12.0), 0.5)},
        dims={"model": "internlm3-8b"},
    ),
    "lmdeploy_newer": read(
        "lmdeploy", 9.0, 14.0, 50.0, 12.0, 1000.0,
        hist={TTFT: ((0.1,), (9.0, 12.0), 1.75), QUEUE_TIME: ((0.3,), (11.0, 12.0), 0.5)},
        dims={"model": "internlm3-8b"},
    ),
    "nim_1_14": read(
        "nim", 5.0, 12.0, 12.5, 34.0, 6400.0,
        hist={TTFT: ((0.5,), (32.0, 34.0), 6.5)},
        dims={"model": "meta/llama-3.1-8b-instruct"},
    ),
    "ray_underscore": read(
        "ray", 6.0, 5.0, 25.0, 20.0, 777.0, 1.0,
        hist={TTFT: ((0.3,), (18.0, 20.0), 3.5), QUEUE_TIME: ((0.3,), (18.0, 20.0), 3.5)},
        dims={"model": "qwen-0.5b"},
    ),
    "ray_colon": read(
        "ray", 6.0, 5.0, 25.0, 20.0, 777.0,
        hist={TTFT: ((0.3,), (18.0, 20.0), 3.5)},
        dims={"model": "qwen-0.5b"},
    ),
    "ray_older_kv": read("ray", 1.0, None, 50.0, dims={"model": "qwen-0.5b"}),
    "ray-serve_replica": read("ray-serve", 9.0, 3.0, dims={"model": "Model"}, estimate=True),
    "ray-serve_handle": read("ray-serve", 9.0, 6.0, dims={"model": "Model"}, estimate=True),
    # 10 in flight, of which 7 have no first token yet.
    "dynamo_1_5": read(
        "dynamo", 7.0, 3.0, None, 122.0, 30501.0,
        hist={TTFT: ((0.1,), (100.0, 122.0), 14.5)},
        dims={"model": "Qwen/Qwen3-0.6B"}, estimate=True,
    ),
    "dynamo_0_7": read(
        "dynamo", 7.0, 3.0, None, 122.0, 30500.0,
        hist={TTFT: ((0.1,), (100.0, 122.0), 14.5)},
        dims={"model": "Qwen/Qwen3-0.6B"}, estimate=True,
    ),
    "own_full": read(
        "own", 5.0, 3.0, 40.0, 9.0, 99.0, 1.0,
        hist={TTFT: ((1.0,), (8.0, 9.0), 4.5), QUEUE_TIME: ((1.0,), (9.0, 9.0), 1.5)},
        dims={"model": "my-llm"},
    ),
    "own_inflight": read("own", 5.0, 6.0, dims={"model": "my-llm"}),
    "own_seed": read("own", 5.0),
}  # fmt: skip
# The same pages with `_` for `:`, as newer exporters print them: llm-d#1970, KServe's SGLang notes;
# Dynamo prints TensorRT-LLM's with a colon (its 0.7 observability page).
RESPELT = {
    "sglang_0_5": (b"sglang:", b"sglang_"),
    "sglang_0_4": (b"sglang:", b"sglang_"),
    "sglang_prefill": (b"sglang:", b"sglang_"),
    "sglang_decode": (b"sglang:", b"sglang_"),
    "trtllm_1_3": (b"trtllm_", b"trtllm:"),
}
CASES = [*EXPECTED, *(f"{name} respelt" for name in RESPELT)]


def page(name: str) -> bytes:
    stem, _, respelt = name.partition(" ")
    text = (PAGES / f"{stem}.txt").read_bytes()
    return text.replace(*RESPELT[stem]) if respelt else text


def expected(name: str) -> EngineReading:
    return EXPECTED[name.removesuffix(" respelt")]


def vllm(waiting: str, more: str = "") -> bytes:
    labels = '{engine="0",model_name="m"}'
    running = f"vllm:num_requests_running{labels} 2.0\n"
    return f"vllm:num_requests_waiting{labels} {waiting}\n{running}{more}".encode()


@pytest.mark.parametrize("name", CASES)
def test_a_real_page_is_read_figure_by_figure(name: str) -> None:
    wanted = expected(name)
    assert parse(page(name), wanted.kind).reading == wanted
    assert parse(page(name)).problems == ()


@pytest.mark.parametrize("name", CASES)
def test_a_page_tells_by_itself_whose_it_is(name: str) -> None:
    assert parse(page(name)).reading == expected(name)


@pytest.mark.parametrize("path", sorted(PAGES.iterdir()), ids=lambda path: path.stem)
def test_every_page_says_in_its_first_line_what_its_names_rest_on(path: Path) -> None:
    first = path.read_bytes().splitlines()[0]
    assert first.startswith((b"# Written by hand from: ", b"# Captured from a real "))
    assert path.stem in EXPECTED


def test_every_engine_has_a_page() -> None:
    assert {row.kind for row in table.ROWS} == {reading.kind for reading in EXPECTED.values()}


def misspelt(row: Row) -> Iterator[tuple[str, Row]]:
    """Yield the row with one name wrong, for each place where it has a name."""
    plain = ("pending", "running", "inflight", "kv_ratio", "finished")
    for field in (*plain, "output_tokens", "preemptions"):
        for wrong, names in each_wrong(getattr(row, field)):
            yield f"{field} {wrong}", dataclasses.replace(row, **{field: names})  # type: ignore[arg-type]
    for key, names in row.histograms.items():
        for wrong, others in each_wrong(names):
            histograms = {**row.histograms, key: others}
            yield f"{key} {wrong}", dataclasses.replace(row, histograms=histograms)
    if row.lora:
        lora = dataclasses.replace(row.lora, name=row.lora.name + "x")
        yield f"lora {row.lora.name}", dataclasses.replace(row, lora=lora)


def each_wrong(names: Names) -> Iterator[tuple[str, Names]]:
    for i, parts in enumerate(names):
        for j, one in enumerate(parts):
            wrong = dataclasses.replace(one, name=one.name + "x")
            other = (*parts[:j], wrong, *parts[j + 1 :])
            yield one.name, (*names[:i], other, *names[i + 1 :])


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.kind)
def test_misspelling_any_one_name_of_a_row_changes_what_one_of_its_pages_says(row: Row) -> None:
    names = [name for name in CASES if expected(name).kind == row.kind]
    unseen = [
        wrong
        for wrong, other in misspelt(row)
        if all(engines.parse_by(page(name), (other,)).reading == expected(name) for name in names)
    ]
    assert unseen == []


def test_a_page_of_another_server_is_no_reading() -> None:
    assert parse(b"some_requests 3\n").reading is None
    assert parse(page("triton_2_60"), "vllm").reading is None


def test_what_a_page_lacks_is_told_by_figure_and_name() -> None:
    found = parse(b"llm_inference_pending_requests 5\n")
    assert found.absent[0] == ("running (llm_inference_running_requests)")
    assert [text.split()[0] for text in found.absent] == [
        "running",
        "kv_percent",
        "finished_total",
        "output_tokens_total",
        "preemptions_total",
    ]
    assert parse(page("vllm_0_29")).absent == ()


def test_a_family_that_is_announced_is_not_called_absent() -> None:
    found = parse(b"# TYPE nv_inference_pending_request_count gauge\n", "triton")
    assert [text.split()[0] for text in found.absent] == ["finished_total"]
    assert found.reading is not None
    assert found.reading.why is None


@pytest.mark.parametrize(
    ("kind", "page", "words"),
    [
        ("triton", b"nv_inference_request_success 3\n", "from 23.09 on"),
        ("vllm", b"vllm:num_requests_running 3\n", "check --engine-url"),
        ("vllm", b"vllm:num_requests_waiting NaN\n", None),  # that it is unusable is said instead
    ],
)
def test_a_page_without_its_queue_says_what_would_give_it(
    kind: str, page: bytes, words: str | None
) -> None:
    found = parse(page, kind).reading
    assert found is not None
    assert (found.state, found.pending) == (EngineState.READY, None)
    assert (found.why is None) == (words is None)
    assert (words or "") in (found.why or "")
    assert len(found.why or "") <= MAX_WHY_CHARACTERS


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.kind)
def test_what_a_row_says_of_a_missing_queue_reaches_the_answers_of_the_adapter(row: Row) -> None:
    assert len(f"its page has no queue: {row.without_queue or row.hint}") <= MAX_WHY_CHARACTERS


def test_a_second_queue_alone_is_not_taken_for_the_sum_with_the_first() -> None:
    text = b"sglang:num_grammar_queue_reqs 3\nsglang:num_running_reqs 2\n"
    found = parse(text).reading
    assert found is not None
    assert (found.pending, found.running) == (None, 2.0)


def test_ranks_without_a_data_parallel_label_are_one_queue() -> None:
    lines = [f'sglang:num_queue_reqs{{tp_rank="{rank}",pp_rank="0"}} 5\n' for rank in range(16)]
    found = parse("".join(lines).encode()).reading
    assert found is not None
    assert found.pending == 5.0


def test_more_first_tokens_than_requests_in_flight_are_none_running() -> None:
    text = b"dynamo_frontend_inflight_requests 3\ndynamo_frontend_queued_requests 4\n"
    found = parse(text).reading
    assert found is not None
    assert (found.pending, found.running) == (4.0, 0.0)


@pytest.mark.parametrize(
    ("running", "waiting", "lora"),
    [("a", "", "a"), ("a", "a", "a"), ("", "b", "b"), ("", "", None), ("a,b", "", None)],
)
def test_the_adapter_is_a_dimension_only_where_one_is_in_use(
    running: str, waiting: str, lora: str | None
) -> None:
    labels = f'running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
    older = 'vllm:lora_requests_info{running_lora_adapters="z",waiting_lora_adapters=""} 1.0\n'
    found = parse(vllm("1.0", f"vllm:lora_requests_info{{{labels}}} 2.0\n{older}")).reading
    assert found is not None
    assert (found.dims or {}).get("lora") == lora


def test_a_page_of_a_million_lines_is_no_page() -> None:
    assert parse(b"\n" * 1_000_000 + vllm("1.0")).reading is None


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
    assert best < 0.25  # without the caps it takes seconds to minutes


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
