"""The GPU: one stand-in whose figures follow what its model server is doing at the moment."""

from __future__ import annotations

from pathlib import Path

from adapter.demo.fakes import Fakes

# Of a H100 with 80 GB: a loaded model with its KV cache, the draw at rest and at full load.
MODEL_BYTES = 70 * 2**30
IDLE_MILLIWATTS = 70_000
FULL_MILLIWATTS = 700_000


class Gpu:
    """Owns the script of one node's GPU; `env` is what a process needs to see that GPU."""

    def __init__(self, fakes: Fakes, folder: Path, uuid: str) -> None:
        folder.mkdir()
        self._gpus = fakes.gpus(folder)
        self._gpus.set(0, uuid=uuid)
        self._percent = 0
        self.env = self._gpus.env()

    def load_model(self) -> None:
        """Fill the memory, as a model server does at its start."""
        self._gpus.set(0, memory_used_bytes=MODEL_BYTES)

    def work(self, slots_busy_ratio: float) -> None:
        """Be as busy as the server's slots are."""
        percent = round(100 * slots_busy_ratio)
        if percent == self._percent:
            return
        self._percent = percent
        draw = IDLE_MILLIWATTS + (FULL_MILLIWATTS - IDLE_MILLIWATTS) * percent // 100
        self._gpus.set(0, busy_percent=percent, power_milliwatts=draw)
