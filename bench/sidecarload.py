"""The kinds of pods that the footprint is taken of, each with its fake node and model server."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiohttp import web

from bench import page
from tests.fakes.nvml import FakeGpus  # type: ignore[attr-defined]  # mypy takes its folder

BUSY_ENGINES = 4
GRAPHICS, SM, TENSOR, DRAM = 1, 2, 5, 10  # ids of GPM


class Way(StrEnum):
    """Where the sidecar's program runs."""

    BESIDE = "a container of its own"
    WRAPPER = "the first process of the model's container"
    AGENT = "one for a node"


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of pod: how many GPUs it has, and whether they and the queue move."""

    name: str
    gpus: int
    busy: bool
    mig: bool = False
    way: Way = Way.BESIDE


MODES = (
    Mode("no GPU", 0, busy=False),
    Mode("1 GPU, quiet", 1, busy=False),
    Mode("1 GPU, busy", 1, busy=True),
    Mode("8 GPUs, quiet", 8, busy=False),
    Mode("8 GPUs, busy", 8, busy=True),
    Mode("1 MIG instance, busy", 1, busy=True, mig=True),
    Mode("wrapper, 1 GPU, busy", 1, busy=True, way=Way.WRAPPER),
    Mode("wrapper, 8 GPUs, busy", 8, busy=True, way=Way.WRAPPER),
    Mode("node agent, 1 GPU, busy", 1, busy=True, way=Way.AGENT),
    Mode("node agent, 8 GPUs, busy", 8, busy=True, way=Way.AGENT),
)


class Load:
    """The fake node and model server of one sidecar; a busy one changes with every look."""

    def __init__(self, folder: Path, mode: Mode) -> None:
        self.folder = folder / mode.name.replace(" ", "-").replace(",", "")
        self.folder.mkdir()
        self.mode = mode
        self.busy = mode.busy
        self.gpus = FakeGpus(self.folder, count=mode.gpus)
        self.uuids = self.gpus.split(0, (1, 0)) if mode.mig else self.gpus.uuids
        self.page_bytes = 0
        self.frames: list[bytes] = []
        self._looks = 0

    async def page(self, _: web.Request) -> web.Response:
        self._looks += 1
        looks = self._looks if self.busy else 0
        figures = page.figures(looks % 40, 100 + looks % 7, 1000 + 3 * looks)
        body = page.vllm(figures, BUSY_ENGINES if self.busy else 1)
        self.page_bytes = len(body)
        return web.Response(body=body)

    async def work(self) -> None:
        while self.busy:
            self._move()
            await asyncio.sleep(1.0)

    def command(self, port: int, model_port: int, kubelet: Path) -> list[str]:
        """Return the program with its flags, as the mode's manifest has them."""
        program = [sys.executable, "-m", "sidecar.cli"]
        flags = ["--host=127.0.0.1", f"--port={port}", "--pod-uid=bench"]
        if self.mode.way is Way.AGENT:
            return [*program, "agent", *flags, f"--pod-resources={kubelet}"]
        flags += ["--engine=vllm", f"--engine-url=http://127.0.0.1:{model_port}/metrics"]
        flags.append(f"--gpu-uuids={','.join(self.uuids)}")
        if self.mode.way is Way.WRAPPER:
            return [*program, "run", *flags, "--", "sleep", "3600"]
        return [*program, *flags]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **(self.gpus.env() if self.mode.gpus else {})}

    def _move(self) -> None:
        """Let every figure differ from the last second's; written as one script."""
        looks = self._looks
        power, used = 300_000 + 5_000 * (looks % 9), (60 + looks % 10) * 10**9
        with self.gpus.at_once():
            for index in range(self.mode.gpus):
                fields = {"busy_percent": 40 + looks % 50, "power_milliwatts": power}
                self.gpus.set(index, **fields, memory_used_bytes=used)
            for uuid in self.uuids:
                self._act(uuid, looks)

    def _act(self, uuid: str, looks: int) -> None:
        for metric in (GRAPHICS, SM, TENSOR, DRAM):
            self.gpus.gpm(uuid, metric, float(20 + (looks + metric) % 60))
        if not self.mode.mig:
            self.gpus.ring(uuid, [(looks * 1_000_000 + n, 40 + looks % 50) for n in range(12)])
