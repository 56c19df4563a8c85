"""Owns the proof of what `/metrics` shows, and that what is not known has no series."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from sidecar import fetch
from sidecar.fetch import EngineRead
from sidecar.gpu import GpuRead
from sidecar.pipe import NvmlProblem
from sidecar.settings import load
from sidecar.telemetry import Telemetry
from sidecar.wire import Ages, EngineReading, EngineState, Frame, GpuReading

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
        "forescale_sidecar_build_info{version=1.2.3}": 1.0,
    }
    assert found.items() >= wanted.items()


def test_a_figure_that_is_not_known_has_no_series() -> None:
    loading = EngineReading(kind="vllm", state=EngineState.LOADING, why="refused")
    names = {name.split("{")[0] for name in series(frame(loading, (GpuReading("GPU-1"),)))}
    figures = {n for n in names if n.startswith(("nvidia_", "llm_"))}
    assert figures == {"llm_inference_engine_ready"}
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
    telemetry.count_engine(EngineRead(ENGINE, (), 0.003))
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
            server = fetch.ModelServer(load(argv, {}, "0").settings, http)
            telemetry.count_engine(await server.read())
    assert parsed(telemetry)["forescale_sidecar_engine_unusable_figures_total{}"] == 3
