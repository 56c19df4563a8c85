"""Owns the proof that frames survive the wire, and that old and newer ones are read right."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import wire
from sidecar.wire import (
    Ages,
    Attribution,
    Backlog,
    EngineReading,
    EngineState,
    Frame,
    GpuReading,
    Histogram,
    Phases,
    WireError,
    decode,
    encode,
    levels,
)

RECORDED = Path(__file__).parent / "frames" / "schema1.ndjson"

figure = st.none() | st.floats(0, 2**53)
count = st.none() | st.integers(0, 2**63 - 1)
text = st.text(max_size=20)
histograms = st.builds(
    Histogram,
    bounds=st.lists(st.floats(0, 1e6)).map(tuple),
    counts=st.lists(st.floats(0, 1e9)).map(tuple),
)
engines = st.builds(
    EngineReading,
    kind=text,
    state=st.sampled_from(EngineState),
    why=st.none() | text,
    pending=figure,
    running=figure,
    kv_percent=figure,
    finished_total=figure,
    output_tokens_total=figure,
    preemptions_total=figure,
    hist=st.none() | st.dictionaries(text, histograms, max_size=2),
    dims=st.none() | st.dictionaries(text, text, max_size=2),
)
gpus = st.builds(
    GpuReading,
    uuid=text,
    busy_percent=figure,
    memory_used_bytes=count,
    memory_total_bytes=count,
    power_watts=figure,
)
columns = st.dictionaries(
    st.sampled_from((*wire.SERIES, *wire.TOTALS)), st.lists(figure, max_size=5).map(tuple)
)
frames = st.builds(
    Frame,
    schema=st.just(wire.SCHEMA),
    boot=text,
    seq=st.integers(0, 2**40),
    period_seconds=st.floats(0.1, 60),
    uid=st.none() | text,
    age_seconds=st.none() | st.builds(Ages, engine=figure, gpu=figure),
    engine=st.none() | engines,
    gpus=st.none() | st.lists(gpus, max_size=3).map(tuple),
    attribution=st.none() | st.builds(Attribution, how=st.none() | text, why=st.none() | text),
    phases=st.none() | st.builds(Phases, figure, figure),
    backlog=st.none()
    | st.builds(Backlog, step_seconds=st.just(10.0), age_seconds=st.floats(0, 10), series=columns),
)


@given(frames)
def test_what_is_encoded_is_decoded_to_the_same(frame: Frame) -> None:
    line = encode(frame)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == frame


@given(frames)
def test_fields_of_a_later_release_are_ignored(frame: Frame) -> None:
    data = msgspec.json.decode(encode(frame))
    data["later"] = {"anything": [1, None]}
    for part in ("engine", "age_seconds", "phases", "backlog"):
        if part in data:
            data[part]["later"] = "x"
    assert decode(msgspec.json.encode(data)) == frame


@given(frames)
def test_no_level_is_negative_or_not_finite(frame: Frame) -> None:
    found = levels(frame)
    assert set(found) <= set(wire.SERIES)
    assert all(math.isfinite(level) and level >= 0 for level in found.values())


def test_a_frame_of_a_later_schema_is_refused_with_what_to_do() -> None:
    line = b'{"schema":%d,"boot":"b","seq":1,"period_seconds":2}' % (wire.SCHEMA + 1)
    with pytest.raises(WireError, match="update the adapter first"):
        decode(line)
    with pytest.raises(WireError, match="not readable"):
        decode(b'{"schema":0,"boot":"b","seq":1,"period_seconds":2}')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema":1}',
        b'{"schema":1,"boot":"b","seq":1,"period_seconds":NaN}',
    ],
)
def test_a_broken_line_is_refused(line: bytes) -> None:
    with pytest.raises(WireError, match="not a frame"):
        decode(line)


def test_a_line_longer_than_any_frame_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(WireError, match="the limit is"):
        decode(b'"' + b"x" * wire.MAX_FRAME_BYTES + b'"')


@given(st.binary(max_size=200))
def test_noise_is_a_wire_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(WireError):
        decode(noise)


def test_the_recorded_frames_of_schema_1_are_still_read() -> None:
    loading, first, later = [decode(line) for line in RECORDED.read_bytes().splitlines()]
    assert loading.engine is not None
    assert loading.engine.state is EngineState.LOADING
    assert levels(loading) == {}
    assert first.backlog is not None
    assert first.backlog.series["pending"] == (0.0, None, 2.5)
    assert first.phases == Phases(43.0, 12.5)
    assert levels(later) == {
        "gpu_busy_percent": 70.0,
        "gpu_memory_percent": 50.0,
        "gpu_memory_used_bytes": 80_000_000_000.0,
        "gpu_power_watts": 900.5,
        "pending": 5.0,
        "running": 16.0,
        "inflight": 21.0,
        "kv_percent": 62.5,
    }
    assert later.engine is not None
    assert later.engine.hist is not None
    assert later.engine.hist["queue_time_seconds"].counts == (90.0, 100.0)


def test_totals_are_the_counters_of_an_engine_that_answered() -> None:
    loading, first, later = [decode(line) for line in RECORDED.read_bytes().splitlines()]
    assert wire.totals(loading) == {}
    assert wire.totals(first) == {"finished_total": 157.0}
    assert wire.totals(later) == {
        "finished_total": 100.0,
        "output_tokens_total": 9000.0,
        "preemptions_total": 1.0,
    }


def test_a_part_of_a_sum_is_no_level_but_a_mean_is_taken_over_those_that_answered() -> None:
    whole = GpuReading("a", 80.0, 10, 100, 300.0)
    frame = Frame(1, "b", 1, 2.0, gpus=(whole, GpuReading("b")))
    assert levels(frame) == {"gpu_busy_percent": 80.0, "gpu_memory_percent": 10.0}
