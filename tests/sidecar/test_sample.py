"""Owns the proof of what a frame says and when it differs enough to be sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.life import Life
from sidecar.sample import Identity, Sample, differs, frame
from sidecar.wire import Ages, Attribution, EngineReading, EngineState, GpuReading, Oom, Phases

GB = 1_000_000_000
ENGINE = EngineReading(
    kind="vllm", state=EngineState.READY, pending=3.0, running=8.0, kv_percent=50.0
)
GPU = GpuReading(
    uuid="GPU-1",
    busy_percent=80.0,
    memory_used_bytes=40 * GB,
    memory_total_bytes=80 * GB,
    power_watts=400.0,
    tensor_percent=60.0,
    dram_percent=30.0,
    healthy=True,
)
SAMPLE = Sample(ENGINE, 10.0, (GPU,), 9.0, Attribution(how="gpu-uuids"), oom=Oom(near=False))


def with_engine(**fields: float | str | None) -> Sample:
    data = {name: getattr(ENGINE, name) for name in ENGINE.__struct_fields__}
    return replace(SAMPLE, engine=EngineReading(**(data | fields)))


def with_gpu(**fields: float | str | None) -> Sample:
    data = {name: getattr(GPU, name) for name in GPU.__struct_fields__}
    return replace(SAMPLE, gpus=(GpuReading(**(data | fields)),))


def test_a_frame_says_ages_not_times() -> None:
    identity = Identity(boot="b", uid="u", period_seconds=2.0, started_at=4.0)
    found = frame(SAMPLE, identity, seq=7, now=11.5, life=Life())
    assert found.age_seconds == Ages(engine=1.5, gpu=2.5)
    assert found.phases == Phases(sidecar_started_age_seconds=7.5)
    wrapped = replace(identity, server_started_at=3.5)
    ages = frame(SAMPLE, wrapped, seq=7, now=11.5, life=Life()).phases
    assert ages == Phases(sidecar_started_age_seconds=7.5, server_started_age_seconds=8.0)
    assert (found.boot, found.uid, found.seq, found.period_seconds) == ("b", "u", 7, 2.0)
    assert (found.backlog, found.release) == (None, None)
    of_release = replace(identity, release="0.1.0")
    assert frame(SAMPLE, of_release, seq=7, now=11.5, life=Life()).release == "0.1.0"


def test_before_the_first_tick_a_frame_knows_nothing_and_says_nothing() -> None:
    identity = Identity(boot="b", uid=None, period_seconds=2.0, started_at=4.0)
    found = frame(Sample(), identity, seq=0, now=5.0, life=Life())
    assert (found.engine, found.gpus, found.attribution) == (None, None, None)


@pytest.mark.parametrize(
    "news",
    [
        with_engine(pending=4.0),
        with_engine(running=7.0),
        with_engine(kv_percent=51.0),
        with_engine(pending=None),
        with_engine(state=EngineState.FAILING),
        with_engine(why="it broke off"),
        with_gpu(busy_percent=81.0),
        with_gpu(busy_percent=None),
        with_gpu(memory_used_bytes=40 * GB + 400_000_000),
        with_gpu(power_watts=402.0),
        with_gpu(tensor_percent=61.0),
        with_gpu(dram_percent=31.5),
        with_gpu(tensor_percent=None),
        with_gpu(healthy=False),
        with_gpu(stuck=True),
        with_gpu(uuid="GPU-2"),
        replace(SAMPLE, gpus=None),
        replace(SAMPLE, gpus=(GPU, GPU)),
        replace(SAMPLE, attribution=Attribution(why="lost")),
        replace(SAMPLE, engine=None),
        replace(SAMPLE, oom=Oom(near=True)),
        replace(SAMPLE, oom=None),
    ],
)
def test_a_move_beyond_its_dead_band_is_news(news: Sample) -> None:
    assert differs(SAMPLE, news)
    assert differs(news, SAMPLE)


@pytest.mark.parametrize(
    "noise",
    [
        SAMPLE,
        with_engine(kv_percent=50.9),
        with_engine(finished_total=1000.0, output_tokens_total=5.0),
        with_gpu(busy_percent=80.5),
        with_gpu(memory_used_bytes=40 * GB + 300_000_000),
        with_gpu(power_watts=401.9),
        replace(SAMPLE, engine_taken_at=11.0, gpu_taken_at=11.0),
        with_gpu(tensor_percent=60.5),
        with_gpu(energy_joules_total=9e6, sm_clock_mhz=345.0, memory_growth_bytes_per_second=1e9),
        replace(SAMPLE, oom=Oom(near=False, why="other words")),
    ],
)
def test_a_move_within_its_dead_band_waits_for_the_heartbeat(noise: Sample) -> None:
    assert not differs(SAMPLE, noise)
