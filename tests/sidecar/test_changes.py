"""Owns the proof that a state is logged when it changes and not while it lasts."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from sidecar.changes import MAX_PROBLEMS, Changes
from sidecar.modelserver import EngineRead
from sidecar.sample import Sample
from sidecar.wire import Attribution, EngineReading, EngineState, GpuReading, Oom

READY = EngineReading(kind="vllm", state=EngineState.READY, pending=1.0)
FAILING = EngineReading(kind="vllm", state=EngineState.FAILING, why="it broke off")


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_each_new_state_of_the_model_server_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    changes, sample = Changes(), Sample()
    for reading in (READY, READY, FAILING, FAILING, READY):
        changes.engine(sample, EngineRead(reading))
        sample = replace(sample, engine=reading)
    assert [record.getMessage() for record in caplog.records] == [
        "model server: ready",
        "model server: failing",
        "model server: ready",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_a_moving_queue_is_no_event(caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample(engine=READY)
    moved = EngineReading("vllm", EngineState.READY, pending=9.0)
    Changes().engine(sample, EngineRead(moved))
    assert caplog.records == []


def test_an_unusable_figure_is_said_once_and_their_number_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes = Changes()
    for _ in range(3):
        changes.engine(Sample(engine=READY), EngineRead(READY, ("vllm:x: negative",)))
    assert len(caplog.records) == 1
    many = tuple(str(n) for n in range(1000))
    changes.engine(Sample(engine=READY), EngineRead(READY, many))
    assert len(caplog.records) == MAX_PROBLEMS


def test_what_was_found_where_and_what_its_page_lacks_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes, url = Changes(), "http://127.0.0.1:8000/metrics"
    read = EngineRead(READY, absent=("kv_percent (x)", "running (y)"), url=url)
    changes.engine(Sample(), read)
    changes.engine(Sample(engine=READY), read)
    more = replace(read, absent=("kv_percent (x)", "finished_total (z)"))
    changes.engine(Sample(engine=READY), more)
    said = [(record.getMessage(), record.__dict__["facts"]) for record in caplog.records]
    assert [message for message, _ in said] == [
        "model server: ready",
        "the page lacks figures",
        "the page lacks figures",
    ]
    assert (said[0][1]["engine"], said[0][1]["page"]) == ("vllm", url)
    assert said[1][1]["absent"] == ["kv_percent (x)", "running (y)"]
    assert said[2][1]["absent"] == ["finished_total (z)"]


def test_a_page_that_lacks_the_queue_is_one_warning_with_what_would_give_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes, bare = Changes(), EngineReading("trtllm", EngineState.READY, "its page has no queue")
    changes.engine(Sample(), EngineRead(bare))
    changes.engine(Sample(engine=bare), EngineRead(bare))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.__dict__["facts"]["why"] == "its page has no queue"


def test_gpus_are_said_when_published_and_when_withheld(caplog: pytest.LogCaptureFixture) -> None:
    changes = Changes()
    proven = Sample(gpus=(GpuReading("GPU-1"),), attribution=Attribution("gpu-uuids", "named"))
    unknown = Sample(attribution=Attribution(why="NVML did not answer within 1 s"))
    for before, now in ((Sample(), proven), (proven, proven), (proven, unknown)):
        changes.gpus(before, now, "580")
    assert [record.getMessage() for record in caplog.records] == [
        "GPUs are published",
        "no GPUs are published",
    ]


def test_a_fault_of_a_gpu_and_memory_that_runs_out_are_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    well = Sample(gpus=(GpuReading("GPU-1", healthy=True), GpuReading("GPU-2")))
    fault = GpuReading("GPU-1", healthy=False, why="the driver reported XID 79")
    bad = replace(well, gpus=(fault, GpuReading("GPU-2")), oom=Oom(near=True, why="it fills"))
    changes = Changes()
    for before, now in ((well, well), (well, bad), (bad, bad), (bad, well)):
        changes.faults(before, now)
    assert [record.getMessage() for record in caplog.records] == [
        "a GPU is not as it should be",
        "memory is about to run out",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_where_no_server_ever_answered_it_is_not_called_loading(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nothing = EngineReading(kind="none", state=EngineState.LOADING, why="nothing listens")
    Changes().engine(Sample(), EngineRead(nothing))
    assert [record.getMessage() for record in caplog.records] == ["model server: none found yet"]
