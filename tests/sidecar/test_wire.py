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
    memory_free_bytes=count,
    memory_growth_bytes_per_second=st.none() | st.floats(-1e12, 1e12),
    tensor_percent=figure,
    dram_percent=figure,
    throttle=st.none() | st.lists(text, max_size=2).map(tuple),
    ecc_uncorrected_total=count,
    healthy=st.none() | st.booleans(),
    why=st.none() | text,
    mig=st.none() | st.builds(wire.MigInstance, text, st.integers(0, 9), st.integers(0, 9)),
    shared=st.booleans(),
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
    oom=st.none() | st.builds(wire.Oom, near=st.booleans(), why=st.none() | text),
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


def test_the_recorded_frame_with_every_figure_of_a_gpu_is_still_read() -> None:
    frame = decode(RECORDED.with_name("schema1-gpus.ndjson").read_bytes())
    whole, instance = frame.gpus or ()
    assert (whole.memory_free_bytes, whole.memory_growth_bytes_per_second) == (15 * 10**9, -1024.5)
    assert (whole.sm_percent, whole.power_limit_watts, whole.sm_clock_mhz) == (80.5, 700.0, 1980.0)
    assert (whole.energy_joules_total, whole.throttle) == (123456.7, ("power_cap",))
    assert (whole.ecc_uncorrected_total, whole.remapped_rows_total) == (0, 1)
    assert (whole.index, whole.minor, whole.shared, whole.stuck) == (0, 3, False, False)
    assert instance.mig == wire.MigInstance("GPU-00000002-0000-4000-8000-000000000002", 1, 0)
    assert (instance.healthy, instance.why) == (False, "the driver reported XID 79")
    assert frame.oom == wire.Oom(near=True, why="the KV cache is 97 % full and requests wait")
    assert levels(frame) == {
        "gpu_busy_percent": 50.0,
        "gpu_memory_percent": pytest.approx(100 * 75e9 / (85_520_809_984 + 10_690_101_248)),
        "gpu_memory_used_bytes": 75e9,
        "gpu_tensor_percent": 25.0,
        "gpu_dram_percent": 55.5,
        "gpu_health": 0.0,
    }


def test_a_part_of_a_sum_is_no_level_but_a_mean_is_taken_over_those_that_answered() -> None:
    whole = GpuReading("a", 80.0, 10, 100, 300.0)
    frame = Frame(1, "b", 1, 2.0, gpus=(whole, GpuReading("b")))
    assert levels(frame) == {"gpu_busy_percent": 80.0, "gpu_memory_percent": 10.0}


@pytest.mark.parametrize(
    ("verdicts", "health"),
    [
        ((True, True), {"gpu_health": 1.0}),
        ((True, False), {"gpu_health": 0.0}),
        ((None, False), {"gpu_health": 0.0}),
        ((True, None), {}),  # nobody knows of the second one
        ((), {}),
    ],
)
def test_a_pod_is_healthy_when_each_of_its_gpus_is_known_to_be(
    verdicts: tuple[bool | None, ...], health: dict[str, float]
) -> None:
    gpus = tuple(GpuReading(str(n), healthy=verdict) for n, verdict in enumerate(verdicts))
    assert levels(Frame(1, "b", 1, 2.0, gpus=gpus)) == health


def test_activity_is_the_mean_over_the_gpus_that_tell_it() -> None:
    told = GpuReading("a", tensor_percent=60.0, dram_percent=20.0)
    both = GpuReading("b", tensor_percent=40.0)
    frame = Frame(1, "b", 1, 2.0, gpus=(told, both, GpuReading("c")))
    assert levels(frame) == {"gpu_tensor_percent": 50.0, "gpu_dram_percent": 20.0}
