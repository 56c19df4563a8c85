"""Owns the proof of the GPU series in `/metrics`: base units, and nothing for what is not known."""

from __future__ import annotations

from prometheus_client.core import Metric

from sidecar import nvml
from sidecar.gpumetrics import THROTTLES, gpu_metrics
from sidecar.wire import Frame, GpuReading, Oom

FULL = GpuReading(
    "GPU-1",
    busy_percent=80.0,
    memory_used_bytes=30,
    memory_total_bytes=120,
    power_watts=400.5,
    memory_free_bytes=85,
    memory_growth_bytes_per_second=-2.5,
    tensor_percent=61.5,
    dram_percent=30.0,
    sm_percent=75.0,
    energy_joules_total=5000.5,
    power_limit_watts=700.0,
    sm_clock_mhz=1980.0,
    throttle=("thermal",),
    ecc_uncorrected_total=2,
    remapped_rows_total=1,
    healthy=False,
)


def series(*gpus: GpuReading, oom: Oom | None = None, attributed: bool = True) -> dict[str, float]:
    frame = Frame(1, "b", 1, 2.0, gpus=gpus if attributed else None, oom=oom)
    return {
        name(sample): sample.value for family in gpu_metrics(frame) for sample in family.samples
    }


def name(sample: Metric) -> str:
    labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}"


def test_every_figure_is_shown_in_base_units() -> None:
    found = series(FULL, oom=Oom(near=True))
    gpu = "{gpu_uuid=GPU-1}"
    wanted = {
        f"nvidia_gpu_utilization_ratio{gpu}": 0.8,
        f"nvidia_gpu_memory_utilization_ratio{gpu}": 0.25,
        f"nvidia_gpu_memory_used_bytes{gpu}": 30,
        f"nvidia_gpu_memory_free_bytes{gpu}": 85,
        f"nvidia_gpu_memory_total_bytes{gpu}": 120,
        f"nvidia_gpu_memory_growth_bytes_per_second{gpu}": -2.5,
        f"nvidia_gpu_power_watts{gpu}": 400.5,
        f"nvidia_gpu_power_limit_watts{gpu}": 700.0,
        f"nvidia_gpu_tensor_activity_ratio{gpu}": 0.615,
        f"nvidia_gpu_dram_activity_ratio{gpu}": 0.3,
        f"nvidia_gpu_sm_activity_ratio{gpu}": 0.75,
        f"nvidia_gpu_sm_clock_hertz{gpu}": 1.98e9,
        f"nvidia_gpu_remapped_rows{gpu}": 1,
        f"nvidia_gpu_health{gpu}": 0.0,
        f"nvidia_gpu_shared{gpu}": 0.0,
        f"nvidia_gpu_utilization_stuck{gpu}": 0.0,
        f"nvidia_gpu_energy_joules_total{gpu}": 5000.5,
        f"nvidia_gpu_ecc_uncorrected_errors_total{gpu}": 2,
        "nvidia_gpu_throttled{gpu_uuid=GPU-1,reason=thermal}": 1.0,
        "nvidia_gpu_throttled{gpu_uuid=GPU-1,reason=power_cap}": 0.0,
        "llm_inference_oom_near{}": 1.0,
    }
    assert found.items() >= wanted.items()


def test_what_is_not_known_has_no_series() -> None:
    found = series(GpuReading("GPU-1"))
    assert {name.split("{")[0] for name in found} == {
        "nvidia_gpu_shared",
        "nvidia_gpu_utilization_stuck",
        "forescale_sidecar_gpus_expected",
        "forescale_sidecar_gpus_answering",
    }
    assert series(attributed=False) == {}


def test_several_gpus_have_a_spread_and_a_coverage_and_a_lost_one_is_no_zero() -> None:
    found = series(FULL, GpuReading("GPU-2", busy_percent=20.0), GpuReading("GPU-3", healthy=False))
    ratio = "forescale_sidecar_gpu_utilization_ratio"
    assert (
        found.items()
        >= {
            f"{ratio}{{over_gpus=mean}}": 0.5,
            f"{ratio}{{over_gpus=max}}": 0.8,
            f"{ratio}{{over_gpus=min}}": 0.2,
            "forescale_sidecar_gpus_expected{}": 3,
            "forescale_sidecar_gpus_answering{}": 2,
            "nvidia_gpu_health{gpu_uuid=GPU-3}": 0.0,
        }.items()
    )
    assert "nvidia_gpu_utilization_ratio{gpu_uuid=GPU-3}" not in found


def test_the_reasons_shown_are_those_that_nvml_is_read_for() -> None:
    assert set(THROTTLES) == set(nvml.THROTTLES.values())
