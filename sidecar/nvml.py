"""The NVML wall: each call that is made of NVML, with plain values out; the only user of pynvml.

What declines raises `Error`, with NVML's own code as its value. Only the NVML child loads this
(`sidecar.child`), since a driver call can hang for ever or crash.
"""

from __future__ import annotations

import contextlib
import math

import pynvml

Error = pynvml.NVMLError
Problem = dict[str, str | int]  # pipe.NvmlProblem
Handle = object

MAX_PERCENT = 100.0  # drivers were seen to say more; that is junk, not load
ROUNDING_PERCENT = 1.0  # GPM divides counters that are not read at the same moment

FOREVER = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
GONE = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_GPU_NOT_FOUND,
    }
)
INVALID_ARGUMENT = int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
# Nothing was noted in the time asked about; pynvml raises SUCCESS (0) for an empty list too.
_EMPTY = frozenset(
    {
        pynvml.NVML_SUCCESS,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NOT_READY,
        pynvml.NVML_ERROR_TIMEOUT,
    }
)

# GPM's ids of what is asked for: see nvmlGpmMetricId_t.
GRAPHICS, SM, TENSOR, DRAM = 1, 2, 5, 10

# Why the clocks are lower than they could be; an idle GPU and a clock that somebody set are not in.
THROTTLES = {
    0x04: "power_cap",
    0x08: "hardware",
    0x20: "thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
}


def error_name(code: int) -> str:
    """Return NVML's name of an error code, such as GPU_IS_LOST for 15."""
    prefix = "NVML_ERROR_"
    names = (n for n in dir(pynvml) if n.startswith(prefix) and getattr(pynvml, n) == code)
    return next(names, prefix + "UNLISTED").removeprefix(prefix)


def problem_of(call: str, error: pynvml.NVMLError) -> Problem:
    """Return what declined, in the shape that travels."""
    code = int(error.value)
    return {"call": call, "code": code, "name": error_name(code)}


def init() -> None:
    pynvml.nvmlInit()


def shutdown() -> None:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()


def driver() -> str:
    return str(pynvml.nvmlSystemGetDriverVersion())


def count() -> int:
    return int(pynvml.nvmlDeviceGetCount())


def by_index(index: int) -> Handle:
    """Return a GPU's handle; attaches to the GPU, which initialises one that nobody uses."""
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def uuid(handle: Handle) -> str:
    return str(pynvml.nvmlDeviceGetUUID(handle))


def name(handle: Handle) -> str:
    return str(pynvml.nvmlDeviceGetName(handle))


def minor(handle: Handle) -> int:
    """Return N of the GPU's device file /dev/nvidiaN."""
    return int(pynvml.nvmlDeviceGetMinorNumber(handle))


def utilisation(handle: Handle) -> float:
    """Return the percent of the driver's last sample period in which a kernel ran."""
    return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


def utilisation_samples(handle: Handle, since_us: int) -> list[tuple[int, float]]:
    """Return (timestamp, percent) of the driver's ring since a timestamp, in microseconds.

    The ring's clock is the driver's own: its timestamps compare with each other alone.
    """
    kind = pynvml.NVML_GPU_UTILIZATION_SAMPLES
    try:
        value_type, samples = pynvml.nvmlDeviceGetSamples(handle, kind, since_us)
    except pynvml.NVMLError as error:
        if error.value in _EMPTY:
            return []
        raise
    field = "dVal" if value_type == pynvml.NVML_VALUE_TYPE_DOUBLE else "uiVal"
    found = [(int(s.timeStamp), float(getattr(s.sampleValue, field))) for s in samples]
    return [(at, v) for at, v in found if at > since_us and 0 <= v <= MAX_PERCENT]


def memory(handle: Handle) -> tuple[int, int, int]:
    """Return used, total and free bytes; what the driver reserves is neither used nor free."""
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return int(info.used), int(info.total), int(info.free)


def memory_v1(handle: Handle) -> tuple[int, int, int]:
    """Return the same of an old driver, which counts what it reserves as used."""
    info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(info.used), int(info.total), int(info.free)


def power_watts(handle: Handle) -> float:
    return float(pynvml.nvmlDeviceGetPowerUsage(handle)) / 1000.0


def power_limit_watts(handle: Handle) -> float:
    return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000.0


def energy_joules(handle: Handle) -> float:
    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000.0


def sm_clock_mhz(handle: Handle) -> float:
    return float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM))


def throttle(handle: Handle) -> list[str]:
    """Return what slows the clocks now; the call has an older name on older drivers."""
    try:
        bits = int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise
        bits = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    return [name for bit, name in THROTTLES.items() if bits & bit]


def ecc_uncorrected(handle: Handle) -> int:
    """Return the uncorrected memory errors since the driver was loaded."""
    uncorrected = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    return int(pynvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, pynvml.NVML_VOLATILE_ECC))


def remapped_rows(handle: Handle) -> tuple[int, bool, bool]:
    """Return how many rows were remapped, whether one waits for a reset, whether one failed."""
    corrected, uncorrected, pending, failed = pynvml.nvmlDeviceGetRemappedRows(handle)
    return int(corrected) + int(uncorrected), bool(pending), bool(failed)


def mig_enabled(handle: Handle) -> bool:
    current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def mig_handles(handle: Handle) -> list[Handle]:
    """Return the handles of a GPU's MIG instances; their places may have holes."""
    found = []
    for index in range(int(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))):
        try:
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        except pynvml.NVMLError as error:
            if error.value not in _EMPTY:
                raise
    return found


def mig_ids(handle: Handle) -> tuple[int, int]:
    """Return the ids of a MIG instance's GPU instance and of its compute instance."""
    gpu_instance = int(pynvml.nvmlDeviceGetGpuInstanceId(handle))
    return gpu_instance, int(pynvml.nvmlDeviceGetComputeInstanceId(handle))


def gpm_supported(handle: Handle) -> bool:
    return bool(pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)


def gpm_sample() -> object:
    """Return room for one GPM sample, to be freed by `gpm_free`."""
    return pynvml.nvmlGpmSampleAlloc()


def gpm_free(sample: object) -> None:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlGpmSampleFree(sample)


def gpm_take(handle: Handle, gpu_instance: int | None, sample: object) -> object:
    """Take a sample of a GPU, or of one GPU instance of it, and return it."""
    if gpu_instance is None:
        return pynvml.nvmlGpmSampleGet(handle, sample)
    return pynvml.nvmlGpmMigSampleGet(handle, gpu_instance, sample)


def gpm_percents(first: object, second: object, ids: tuple[int, ...]) -> dict[int, float]:
    """Return the percents between two samples; one that the GPU does not tell is left out.

    The structure's array differs in length from version to version: only the asked entries count.
    """
    asked = pynvml.c_nvmlGpmMetricsGet_t()
    asked.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    asked.numMetrics, asked.sample1, asked.sample2 = len(ids), first, second
    for place, metric in enumerate(ids):
        asked.metrics[place].metricId = metric
    pynvml.nvmlGpmMetricsGet(asked)
    told = [asked.metrics[place] for place in range(len(ids))]
    usable = [m for m in told if m.nvmlReturn == pynvml.NVML_SUCCESS and _is_percent(m.value)]
    return {int(m.metricId): min(MAX_PERCENT, float(m.value)) for m in usable}


def _is_percent(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= MAX_PERCENT + ROUNDING_PERCENT


def xid_events() -> object:
    """Return an event set, which lives as long as the process."""
    return pynvml.nvmlEventSetCreate()


def listen_for_xids(handle: Handle, events: object) -> bool:
    """Let critical XIDs of a GPU come into the event set; return True."""
    pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
    return True


def next_xid(events: object) -> tuple[str, int] | None:
    """Return a GPU's UUID and its XID, None when nothing has come; never wait."""
    try:
        found = pynvml.nvmlEventSetWait_v2(events, 0)
    except pynvml.NVMLError as error:
        if error.value in _EMPTY:
            return None
        raise
    return uuid(found.device), int(found.eventData)
