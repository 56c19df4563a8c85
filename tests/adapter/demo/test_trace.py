"""The trace is what its source published, and is replayed in its order."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from adapter.demo import trace as demo_trace


def test_it_holds_every_request_of_its_source() -> None:
    counts = demo_trace.load()
    assert sum(counts.values()) == 8_819
    assert max(counts) == demo_trace.SPAN_SECONDS - 1
    assert all(count > 0 for count in counts.values())


def test_the_file_says_where_it_is_from_and_under_which_licence() -> None:
    path = Path(demo_trace.__file__).with_name("trace.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    head = " ".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    for word in ("Microsoft", "AzurePublicDataset", "CC BY 4.0", "Changed:"):
        assert word in head
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    assert next(rows) == ["t", "requests"]


@given(st.floats(0.5, 20), st.integers(0, 3_436), st.integers(0, 9))
def test_arrivals_are_the_trace_faster_and_in_order(speed: float, start: int, seed: int) -> None:
    counts = {0: 2, 7: 3, 500: 1, 3_436: 4}
    times = demo_trace.arrivals(counts, start_seconds=start, speed=speed, seed=seed)
    turn = list(itertools.islice(times, 10))
    assert turn == sorted(turn)
    seconds = sorted((start + int(at * speed + 1e-9)) % 3_437 for at in turn)
    assert seconds == [0, 0, 7, 7, 7, 500, 3_436, 3_436, 3_436, 3_436]
    assert next(times) > turn[-1]  # it begins anew


def test_the_same_seed_draws_the_same_arrivals() -> None:
    def first(seed: int) -> list[float]:
        times = demo_trace.arrivals(demo_trace.load(), start_seconds=500, speed=5, seed=seed)
        return list(itertools.islice(times, 50))

    assert first(1) == first(1)
    assert first(1) != first(2)
