"""The activity: how busy a device was since its last reading, by the best that its driver has."""

from __future__ import annotations

from sidecar import nvml
from sidecar.device import Device

# Attaching can initialise an idle GPU, and the memory scrub that follows reads as load; NVML
# averages over at most one second, so what it says after that is the workload's.
SETTLE_SECONDS = 1.0
# GPM's counters are not valid over a shorter time on Hopper.
LEAST_SECONDS = 0.1
GPM_IDS = (nvml.GRAPHICS, nvml.SM, nvml.TENSOR, nvml.DRAM)


class Utilisation:
    """NVML's utilisation: the mean of the driver's samples since the last reading.

    The driver samples 1 to 6 times a second by itself, at no cost of ours, so this sees what one
    look every two seconds misses. Without such samples it is the driver's last one.
    """

    def __init__(self) -> None:
        self._newest_us = 0

    def read(self, device: Device, now: float) -> float | None:
        """Return percent, None where NVML has none or the GPU was attached just now."""
        if now - device.attached_at < SETTLE_SECONDS:
            return None
        mean = self._mean(device)
        if mean is not None:
            return round(mean, 1)
        point = device.ask("nvmlDeviceGetUtilizationRates", nvml.utilisation)
        return point if point is not None and point <= nvml.MAX_PERCENT else None

    def _mean(self, device: Device) -> float | None:
        """Return the mean of the samples that are new; None at first, or when there are none.

        Without a new one the next look takes the ring anew: the driver's clock was set back.
        """
        since, self._newest_us = self._newest_us, 0
        found = device.ask(
            "nvmlDeviceGetSamples", lambda handle: nvml.utilisation_samples(handle, since)
        )
        if not found:
            return None
        self._newest_us = max(at for at, _ in found)
        return sum(percent for _, percent in found) / len(found) if since else None


class Gpm:
    """The GPU performance monitor of Hopper and newer: two samples, taken in turn."""

    def __init__(self) -> None:
        self._supported: bool | None = None
        self._spare: object | None = None
        self._last: object | None = None
        self._last_at = 0.0

    def read(self, device: Device, now: float) -> dict[int, float]:
        """Return percents by GPM's ids since the last reading; empty at first, or without GPM."""
        if not self._usable(device):
            return {}
        if self._spare is None:
            self._spare = device.ask("nvmlGpmSampleAlloc", lambda _: nvml.gpm_sample())
        if self._spare is None or self._take(device, self._spare) is None:
            return {}
        before, before_at = self._last, self._last_at
        self._last, self._last_at, self._spare = self._spare, now, before
        if before is None or now - before_at < LEAST_SECONDS:
            return {}
        return self._between(device, before, self._last)

    def close(self) -> None:
        """Free the samples; they are of no use after the device was lost."""
        for sample in (self._last, self._spare):
            if sample is not None:
                nvml.gpm_free(sample)
        self._last = self._spare = None

    def _usable(self, device: Device) -> bool:
        if self._supported is None:
            asked = device.parent or device
            self._supported = asked.ask("nvmlGpmQueryDeviceSupport", nvml.gpm_supported)
        return bool(self._supported)

    def _take(self, device: Device, sample: object) -> object | None:
        if device.parent is None or device.mig_ids is None:
            return device.ask(
                "nvmlGpmSampleGet", lambda handle: nvml.gpm_take(handle, None, sample)
            )
        gpu, instance = device.parent.handle, device.mig_ids[0]
        if gpu is None:
            return None
        return device.ask("nvmlGpmMigSampleGet", lambda _: nvml.gpm_take(gpu, instance, sample))

    def _between(self, device: Device, first: object, second: object) -> dict[int, float]:
        found = device.ask("nvmlGpmMetricsGet", lambda _: nvml.gpm_percents(first, second, GPM_IDS))
        return {metric: round(percent, 1) for metric, percent in (found or {}).items()}
