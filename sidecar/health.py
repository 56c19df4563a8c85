"""The health: what speaks against a GPU, from ECC, row remapping, XIDs and a lost handle."""

from __future__ import annotations

import contextlib

from sidecar import nvml
from sidecar.device import Device

# NVML tells of a fault once and never that it is over: a later XID would come again.
FAULT_SECONDS = 300.0
# Faults of a program on the GPU, not of the GPU (NVIDIA's device plugin leaves out the same).
PROGRAM_XIDS = frozenset({13, 31, 43, 45, 68, 109})
MAX_XIDS = 64  # taken at one look, so that a GPU that fails without end costs no reading


class Xids:
    """One event set for all GPUs; without it, when NVML declines, XIDs are not known."""

    def __init__(self) -> None:
        self._events: object | None = None
        with contextlib.suppress(nvml.Error):
            self._events = nvml.xid_events()

    def listen(self, device: Device) -> bool:
        """Return whether this GPU's XIDs will be told from now on."""
        events = self._events
        if events is None:
            return False
        call = "nvmlDeviceRegisterEvents"
        return bool(device.ask(call, lambda handle: nvml.listen_for_xids(handle, events)))

    def take(self) -> list[tuple[str, int]]:
        """Return the UUID and the XID of what came since the last look."""
        found: list[tuple[str, int]] = []
        if self._events is None:
            return found
        with contextlib.suppress(nvml.Error):
            while len(found) < MAX_XIDS and (xid := nvml.next_xid(self._events)):
                found.append(xid)
        return found


class Health:
    """The health of one GPU; a MIG instance has that of its GPU."""

    def __init__(self, *, xids_told: bool) -> None:
        self.ecc_uncorrected: int | None = None
        self._xids_told = xids_told
        self._ecc_before: int | None = None
        self._rows: tuple[int, bool, bool] | None = None
        self._fault: str | None = None
        self._fault_at = 0.0

    @property
    def remapped_rows(self) -> int | None:
        """How many rows were remapped, None on a GPU that remaps none."""
        return self._rows[0] if self._rows else None

    def look(self, device: Device, now: float) -> None:
        """Ask for the counters; a rise of the uncorrected errors is a fault, their number none."""
        rows = device.ask("nvmlDeviceGetRemappedRows", nvml.remapped_rows)
        self._rows = self._rows if rows is None else rows  # of the GPU's life: the last ones hold
        found = device.ask("nvmlDeviceGetTotalEccErrors", nvml.ecc_uncorrected)
        self.ecc_uncorrected = found
        before, self._ecc_before = self._ecc_before, self._ecc_before if found is None else found
        if found is not None and before is not None and found > before:
            self._blame(f"{found - before} uncorrected memory errors (ECC)", now)

    def xid(self, code: int, now: float) -> None:
        """Take an XID that came; one of a program is no fault of the GPU."""
        if code not in PROGRAM_XIDS:
            self._blame(f"the driver reported XID {code}", now)

    def verdict(self, device: Device, now: float) -> tuple[bool | None, str | None]:
        """Return whether it is well, and in words what is not; None when nothing ever tells."""
        if device.handle is None:
            return False, f"NVML lost this GPU ({device.lost})"
        if self._rows and self._rows[2]:
            return False, "a row of its memory could not be remapped"
        if self._fault and now - self._fault_at < FAULT_SECONDS:
            return False, self._fault
        if not self._xids_told and self._rows is None and self.ecc_uncorrected is None:
            return None, None
        waits = self._rows is not None and self._rows[1]
        return True, "a remapped row of its memory waits for a reset" if waits else None

    def _blame(self, fault: str, now: float) -> None:
        self._fault, self._fault_at = fault, now
