"""Owns the proof of what `/metrics` shows, and that what is not known has no series."""

from __future__ import annotations

import platform
import shutil
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from sidecar import fetch, modelserver, table
from sidecar.gpu import GpuRead
from sidecar.modelserver import EngineRead
from sidecar.pipe import NvmlProblem
from sidecar.settings import load
from sidecar.telemetry import HISTOGRAMS, Telemetry
from sidecar.wire import (
    Ages,
    EngineReading,
    EngineState,
    Frame,
    GpuReading,
    Histogram,
    Phases,
)

BUILD = f"python_version={platform.python_version()},revision=,version=1.2.3"
ENGINE = EngineReading(
    kind="vllm",
    state=EngineState.READY,
    pending=3.0,
    running=8.0,
    kv_percent=50.0,
    finished_total=100.0,
    dims={"model": "demo"},
)
GPU = GpuReading("GPU-1", 80.0, 30, 120, 400.5)


FULL = EngineReading(
    kind="sglang",
    state=EngineState.READY,
    pending=3.0,
    running=8.0,
    kv_percent=50.0,
    finished_total=100.0,
    output_tokens_total=2000.0,
    preemptions_total=1.0,
    hist={
        "time_to_first_token_seconds": Histogram((0.5, 1.0), (60.0, 90.0, 100.0), 55.0),
        "queue_time_seconds": Histogram((0.1,), (99.0, 100.0), None),
    },
    dims={"model": "demo", "lora": "adapter", "role": "prefill"},
)
PHASES = Phases(100.0, 40.0, 60.0, 60.0, 20.0, 101.0)


def full() -> Frame:
    return Frame(
        1, "b", 1, 2.0, "u", Ages(0.5, 0.1), engine=FULL, gpus=(GPU,), phases=PHASES,
    )  # fmt: skip


def series(frame: Frame | None) -> dict[str, float]:
    return parsed(Telemetry("1.2.3", lambda: frame))


def parsed(telemetry: Telemetry) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(telemetry.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def frame(engine: EngineReading | None, gpus: tuple[GpuReading, ...] | None) -> Frame:
    return Frame(1, "b", 1, 2.0, age_seconds=Ages(0.5, None), engine=engine, gpus=gpus)


def test_the_current_frame_is_shown_in_base_units() -> None:
    found = series(frame(ENGINE, (GPU,)))
    wanted = {
        "nvidia_gpu_utilization_ratio{gpu_uuid=GPU-1}": 0.8,
        "nvidia_gpu_memory_utilization_ratio{gpu_uuid=GPU-1}": 0.25,
        "nvidia_gpu_memory_used_bytes{gpu_uuid=GPU-1}": 30.0,
        "nvidia_gpu_memory_total_bytes{gpu_uuid=GPU-1}": 120.0,
        "nvidia_gpu_power_watts{gpu_uuid=GPU-1}": 400.5,
        "llm_inference_engine_ready{engine=vllm,model=demo}": 1.0,
        "llm_inference_pending_requests{engine=vllm,model=demo}": 3.0,
        "llm_inference_running_requests{engine=vllm,model=demo}": 8.0,
        "llm_inference_inflight_requests{engine=vllm,model=demo}": 11.0,
        "llm_inference_kv_cache_utilization_ratio{engine=vllm,model=demo}": 0.5,
        "llm_inference_finished_requests_total{engine=vllm,model=demo}": 100.0,
        "forescale_sidecar_engine_age_seconds{}": 0.5,
        f"forescale_sidecar_build_info{{{BUILD}}}": 1.0,
    }
    assert found.items() >= wanted.items()


def test_every_field_that_is_read_of_the_engine_is_exported() -> None:
    found = series(full())
    labels = "{engine=sglang,model=demo}"
    wanted = {
        f"llm_inference_output_tokens_total{labels}": 2000.0,
        f"llm_inference_preemptions_total{labels}": 1.0,
        f"llm_inference_time_to_first_token_seconds_sum{labels}": 55.0,
        f"llm_inference_time_to_first_token_seconds_count{labels}": 100.0,
        "llm_inference_time_to_first_token_seconds_bucket{engine=sglang,le=0.5,model=demo}": 60.0,
        "llm_inference_time_to_first_token_seconds_bucket{engine=sglang,le=+Inf,model=demo}": 100.0,
        "llm_inference_queue_time_seconds_bucket{engine=sglang,le=0.1,model=demo}": 99.0,
    }
    assert found.items() >= wanted.items()
    info = "{engine=sglang,estimated=false,lora=adapter,model=demo,role=prefill}"
    assert found[f"llm_inference_engine_info{info}"] == 1.0
    assert set(HISTOGRAMS) == {key for row in table.ROWS for key in row.histograms}


def test_an_estimated_queue_is_marked_as_one() -> None:
    found = series(frame(EngineReading("dynamo", EngineState.READY, 1.0, estimate="why"), None))
    assert any("estimated=true" in name for name in found)


def test_each_phase_that_began_says_how_long_ago() -> None:
    found = {k: v for k, v in series(full()).items() if k.startswith("forescale_sidecar_phase")}
    assert found == {
        "forescale_sidecar_phase_age_seconds{phase=server_started}": 101.0,
        "forescale_sidecar_phase_age_seconds{phase=sidecar_started}": 100.0,
        "forescale_sidecar_phase_age_seconds{phase=engine_listening}": 60.0,
        "forescale_sidecar_phase_age_seconds{phase=engine_loading}": 60.0,
        "forescale_sidecar_phase_age_seconds{phase=engine_ready}": 40.0,
        "forescale_sidecar_phase_age_seconds{phase=engine_served}": 20.0,
    }


def test_the_page_is_clean_under_prometheus_own_linter() -> None:
    promtool = shutil.which("promtool")
    assert promtool, (
        "promtool is missing: sudo apt-get install -y --no-install-recommends prometheus"
    )
    telemetry = Telemetry("1.2.3", full)
    telemetry.count_engine(EngineRead(FULL, seconds=0.003))
    telemetry.count_gpus(GpuRead((GPU,), None, (), 0.002), 0)
    command = [promtool, "check", "metrics"]
    done = subprocess.run(command, input=telemetry.exposition(), capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_each_gpu_of_the_pod_says_what_it_is() -> None:
    known = GpuReading("GPU-1", index=3, name="NVIDIA H200")
    shown = frame(ENGINE, (known, GpuReading("MIG-2")))
    found = parsed(Telemetry("1.2.3", lambda: shown, lambda: "580.95.05"))
    info = "forescale_sidecar_gpu_info"
    assert {name: value for name, value in found.items() if name.startswith(info)} == {
        f"{info}{{driver_version=580.95.05,gpu_uuid=GPU-1,index=3,name=NVIDIA H200}}": 1.0,
        f"{info}{{driver_version=580.95.05,gpu_uuid=MIG-2,index=,name=}}": 1.0,
    }
    unknown = parsed(Telemetry("1.2.3", lambda: frame(ENGINE, (known,))))
    assert f"{info}{{driver_version=,gpu_uuid=GPU-1,index=3,name=NVIDIA H200}}" in unknown


def test_the_linter_would_find_a_fault() -> None:
    promtool = shutil.which("promtool") or "promtool"
    command = [promtool, "check", "metrics"]
    page = b"# TYPE llm_pendingMillis counter\nllm_pendingMillis 1\n"
    assert subprocess.run(command, input=page, capture_output=True, check=False).returncode != 0


def test_a_figure_that_is_not_known_has_no_series() -> None:
    loading = EngineReading(kind="vllm", state=EngineState.LOADING, why="refused")
    names = {name.split("{")[0] for name in series(frame(loading, (GpuReading("GPU-1"),)))}
    figures = {n for n in names if n.startswith(("nvidia_", "llm_"))}
    marks = {"nvidia_gpu_shared", "nvidia_gpu_utilization_stuck"}
    assert figures - marks == {"llm_inference_engine_ready"}
    assert "forescale_sidecar_gpu_age_seconds" not in names
    assert not any(name.startswith(("nvidia_", "llm_")) for name in series(None))


def test_an_engine_that_does_not_tell_running_has_no_inflight() -> None:
    triton = EngineReading(kind="triton", state=EngineState.READY, pending=3.0)
    names = {name.split("{")[0] for name in series(frame(triton, None))}
    assert "llm_inference_pending_requests" in names
    assert "llm_inference_inflight_requests" not in names


def test_no_model_server_is_neither_ready_nor_not() -> None:
    none = EngineReading(kind="none", state=EngineState.NONE)
    assert not any(name.startswith("llm_") for name in series(frame(none, None)))


def test_reads_are_counted_by_their_outcome_and_nvml_errors_by_call_and_name() -> None:
    telemetry = Telemetry("1", lambda: None)
    declined = (NvmlProblem("nvmlDeviceGetPowerUsage", 3, "NOT_SUPPORTED"),)
    telemetry.count_gpus(GpuRead((), None, declined, 0.002), 0)
    telemetry.count_gpus(GpuRead(None, "it hung"), 1)
    telemetry.count_engine(EngineRead(ENGINE, seconds=0.003))
    failing = EngineReading("vllm", EngineState.FAILING)
    telemetry.count_engine(EngineRead(failing, failure="timeout"))
    telemetry.count_engine(EngineRead(failing, failure="timeout"))
    telemetry.count_engine(EngineRead(failing, failure="no_server"))
    telemetry.count_engine(EngineRead(EngineReading("none", EngineState.NONE)))
    found = parsed(telemetry)
    errors = "forescale_sidecar_nvml_errors_total"
    assert found[f"{errors}{{call=nvmlDeviceGetPowerUsage,error=NOT_SUPPORTED}}"] == 1
    assert found["forescale_sidecar_nvml_read_failures_total{}"] == 1
    assert found["forescale_sidecar_nvml_restarts_total{}"] == 1
    assert found["forescale_sidecar_nvml_read_seconds_count{}"] == 1
    assert found["forescale_sidecar_engine_read_seconds_count{}"] == 1
    failures = "forescale_sidecar_engine_read_failures_total"
    assert found[f"{failures}{{reason=timeout}}"] == 2
    assert found[f"{failures}{{reason=no_server}}"] == 1
    assert not any(name.endswith("_created{}") for name in found)


async def test_each_unusable_figure_of_each_page_is_counted(faults: str) -> None:
    telemetry = Telemetry("1", lambda: None)
    async with fetch.session(5) as http:
        for path in ("nan", "inf", "negative", "good"):
            argv = ["--engine", "vllm", "--engine-url", f"{faults}/{path}"]
            server = modelserver.ModelServer(load(argv, {}, "0").settings, http)
            telemetry.count_engine(await server.read())
    assert parsed(telemetry)["forescale_sidecar_engine_unusable_figures_total{}"] == 3
