"""The reader: all GPUs and MIG instances of this container, each read on its ticks.

Which calls are made how often, since each one takes the driver's time from the model server:

- every reading: utilisation (samples or rates), memory, power, one GPM sample and its metrics;
- every 10 s: clock, throttle reasons, XIDs;
- every 30 s: energy, power limit, ECC, remapped rows, and which devices there are (10 s with MIG);
- never: process lists (milliseconds each) and PCIe throughput (sleeps 20 ms inside the call).
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar import nvml
from sidecar.activity import Gpm, Utilisation
from sidecar.device import Device
from sidecar.health import Health, Xids

Reading = dict[str, object]  # wire.GpuReading, without what is not known
Message = dict[str, object]  # pipe.Hello or pipe.Answer

CLOCK_SECONDS = 10.0
COUNTER_SECONDS = 30.0
# NVML's index order may change, and a lost GPU may come back: look again this often. The handle
# of a MIG instance that was destroyed may become that of another one, so there sooner.
ENUMERATE_SECONDS = 30.0
ENUMERATE_MIG_SECONDS = 10.0
MEMORY = "nvmlDeviceGetMemoryInfo_v2"
NO_GPU: nvml.Problem = {"call": "nvmlDeviceGetCount", "code": 0, "name": "NO_GPU"}


class Watched:
    """One device and what is remembered of it between readings; `health` is its GPU's."""

    def __init__(self, device: Device, health: Health, *, split: bool, shared: bool) -> None:
        self.device = device
        self.health = health
        self.split = split  # a GPU in MIG mode: load and memory are its instances'
        self.shared = shared
        self._utilisation = Utilisation()
        self._gpm = Gpm()
        self._clocks: Reading = {}
        self._counters: Reading = {}
        self._clocks_at = self._counters_at = -COUNTER_SECONDS

    def look(self, now: float) -> None:
        """Make the slower calls that are due; of a MIG instance there are none."""
        device = self.device
        if device.parent is not None:
            return
        if now - self._clocks_at >= CLOCK_SECONDS:
            self._clocks_at = now
            self._clocks = {
                "sm_clock_mhz": device.ask("nvmlDeviceGetClockInfo", nvml.sm_clock_mhz),
                "throttle": device.ask("nvmlDeviceGetCurrentClocksEventReasons", nvml.throttle),
            }
        if now - self._counters_at >= COUNTER_SECONDS:
            self._counters_at = now
            self.health.look(device, now)
            energy = device.ask("nvmlDeviceGetTotalEnergyConsumption", nvml.energy_joules)
            limit = device.ask("nvmlDeviceGetEnforcedPowerLimit", nvml.power_limit_watts)
            self._counters = {"energy_joules_total": energy, "power_limit_watts": limit}

    def reading(self, now: float) -> Reading:
        """Return what is known now; of a lost GPU only that it is lost."""
        found = self._figures(now)
        healthy, why = self.health.verdict(self.device.parent or self.device, now)
        if self.device.handle is None:
            found = {}
        said = {**self._place(), **found, "healthy": healthy, "why": why}
        known = {name: value for name, value in said.items() if value is not None}
        return {"uuid": self.device.uuid, **known}

    def close(self) -> None:
        """Free what NVML holds for it."""
        self._gpm.close()

    def _figures(self, now: float) -> Reading:
        found: Reading = {} if self.split else {**self._memory(), **self._activity(now)}
        if self.device.parent is not None:
            return found
        found["power_watts"] = self.device.ask("nvmlDeviceGetPowerUsage", nvml.power_watts)
        health = self.health
        rows, errors = health.remapped_rows, health.ecc_uncorrected
        told: Reading = {"remapped_rows_total": rows, "ecc_uncorrected_total": errors}
        return found | told | self._clocks | self._counters

    def _activity(self, now: float) -> Reading:
        percents = self._gpm.read(self.device, now)
        found: Reading = {
            "tensor_percent": percents.get(nvml.TENSOR),
            "dram_percent": percents.get(nvml.DRAM),
            "sm_percent": percents.get(nvml.SM),
        }
        if self.device.parent is None:
            found["busy_percent"] = self._utilisation.read(self.device, now)
        else:  # NVML's utilisation knows no MIG; GPM's graphics activity is nearest to it
            found["busy_percent"] = percents.get(nvml.GRAPHICS)
        return found

    def _memory(self) -> Reading:
        """Return the memory; nothing where the GPU has none of its own to tell."""
        found = self.device.ask(MEMORY, nvml.memory)
        if found is None and self.device.never(MEMORY):
            found = self.device.ask("nvmlDeviceGetMemoryInfo", nvml.memory_v1)
        names = ("memory_used_bytes", "memory_total_bytes", "memory_free_bytes")
        return dict(zip(names, found, strict=True)) if found and found[1] > 0 else {}

    def _place(self) -> Reading:
        said: Reading = {"name": self.device.name} | ({"shared": True} if self.shared else {})
        if self.device.parent is None or self.device.mig_ids is None:
            return {"index": self.device.index, "minor": self.device.minor, **said}
        gpu, compute = self.device.mig_ids
        ids = {"parent": self.device.parent.uuid, "gpu_instance": gpu, "compute_instance": compute}
        return {"mig": ids, **said}


class Reader:
    """Reads all devices, each call of each device apart."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._declined: list[nvml.Problem] = []
        self._xids = Xids()
        self._xids_at = 0.0
        self._enumerate_at = 0.0

    def find(self, now: float) -> nvml.Problem | None:
        """Look which devices there are; return the problem when NVML as a whole has one."""
        try:
            count = nvml.count()
        except nvml.Error as error:
            return nvml.problem_of("nvmlDeviceGetCount", error)
        if count == 0:
            return NO_GPU
        self._enumerate(count, now)
        mig = any(watched.split for watched in self._watched.values())
        self._enumerate_at = now + (ENUMERATE_MIG_SECONDS if mig else ENUMERATE_SECONDS)
        return None

    def read(self, now: float) -> Message:
        """Return one reading; an error that concerns all of NVML becomes the answer's problem."""
        problem = self.find(now) if now >= self._enumerate_at else None
        if problem:
            return {"problem": problem}
        self._take_xids(now)
        for watched in self._watched.values():
            watched.look(now)
        gpus = [watched.reading(now) for watched in self._watched.values()]
        declined = list(self._declined)
        self._declined.clear()
        return {"gpus": gpus, "declined": declined}

    def close(self) -> None:
        """Free what NVML holds for the devices."""
        for watched in self._watched.values():
            watched.close()

    def _take_xids(self, now: float) -> None:
        if now - self._xids_at < CLOCK_SECONDS:
            return
        self._xids_at = now
        for uuid, code in self._xids.take():
            if uuid in self._watched:
                self._watched[uuid].health.xid(code, now)

    def _enumerate(self, count: int, now: float) -> None:
        gpus = [gpu for index in range(count) if (gpu := self._gpu(index, now))]
        found = {gpu.device.uuid: gpu for gpu in gpus}
        for gpu in gpus:
            if gpu.split:
                found |= {instance.device.uuid: instance for instance in self._instances(gpu, now)}
        if len(gpus) < count:  # a GPU that answers nothing is still there, without a handle
            found |= dict(self._silent(found))
        for uuid, gone in self._watched.items():
            if found.get(uuid) is not gone:
                gone.close()
        self._watched = found

    def _gpu(self, index: int, now: float) -> Watched | None:
        try:
            handle = nvml.by_index(index)
            uuid = nvml.uuid(handle)
        except nvml.Error as error:
            self._declined.append(nvml.problem_of("nvmlDeviceGetHandleByIndex", error))
            return None
        known = self._watched.get(uuid)
        split = _is_split(handle, known)
        if known and known.device.handle is not None and known.split == split:
            known.device.handle, known.device.index = handle, index
            return known
        device = Device(uuid, handle, self._declined, attached_at=now)
        device.index = index
        device.minor = device.ask("nvmlDeviceGetMinorNumber", nvml.minor)
        device.name = device.ask("nvmlDeviceGetName", nvml.name)
        health = Health(xids_told=self._xids.listen(device))
        return Watched(device, health, split=split, shared=False)

    def _instances(self, gpu: Watched, now: float) -> Iterator[Watched]:
        """Yield a GPU's MIG instances; those that have a GPU instance in common are shared."""
        found = gpu.device.ask("nvmlDeviceGetMigDeviceHandleByIndex", _mig_places) or []
        gpu_instances = [ids[0] for _, _, ids in found]
        for uuid, handle, ids in found:
            shared = gpu_instances.count(ids[0]) > 1
            known = self._watched.get(uuid)
            if known and known.device.handle is not None and known.device.mig_ids == ids:
                known.device.handle, known.device.parent = handle, gpu.device
                known.health, known.shared = gpu.health, shared
                yield known
                continue
            device = Device(
                uuid, handle, self._declined, attached_at=now, parent=gpu.device, mig_ids=ids
            )
            device.name = device.ask("nvmlDeviceGetName", nvml.name)
            yield Watched(device, gpu.health, split=False, shared=shared)

    def _silent(self, found: dict[str, Watched]) -> Iterator[tuple[str, Watched]]:
        for uuid, watched in self._watched.items():
            parent = watched.device.parent
            if uuid not in found and (parent is None or parent.uuid not in found):
                watched.device.lose("NOT_FOUND")
                yield uuid, watched


def _is_split(handle: nvml.Handle, known: Watched | None) -> bool:
    """Tell whether a GPU is in MIG mode; one that declines for now is what it was."""
    try:
        return nvml.mig_enabled(handle)
    except nvml.Error as error:
        return known is not None and known.split and error.value not in nvml.FOREVER


def _mig_places(gpu: nvml.Handle) -> list[tuple[str, nvml.Handle, tuple[int, int]]]:
    handles = nvml.mig_handles(gpu)
    return [(nvml.uuid(handle), handle, nvml.mig_ids(handle)) for handle in handles]
