"""Owns the scripted NVML library: builds it, writes its script, names the environment it needs.

The library is C, so that the real `pynvml` loads it as it loads NVIDIA's; see the head of
`nvml/script.c` for the script. Only the standard library is used here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "nvml"
SONAME = "libnvidia-ml.so.1"
H100_BYTES = 85520809984  # an H100 80GB as NVML counts it: 81559 MiB
REST_MILLIWATTS = 70_000

SUCCESS = 0
NOT_SUPPORTED = 3
DRIVER_NOT_LOADED = 9
GPU_IS_LOST = 15


class BuildError(RuntimeError):
    """The library could not be built; the text is one line and says what to do."""


def build() -> Path:
    """Return the folder that holds the library, compiling it when a source is new."""
    source = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]")))
    folder = _cache() / hashlib.sha256(source).hexdigest()[:16]
    if (folder / SONAME).exists():
        return folder
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BuildError(
            "the fake NVML library needs a C compiler: apt-get install -y gcc libc6-dev"
        )
    folder.mkdir(parents=True, exist_ok=True)
    _compile(compiler, folder)
    return folder


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "forescale" / "fake-nvml"


def _compile(compiler: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        built = Path(scratch) / SONAME
        command = [compiler, "-O1", "-shared", "-fPIC", f"-Wl,-soname,{SONAME}"]
        command += ["-o", str(built), *map(str, sorted(SOURCES.glob("*.c"))), "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no output"]
            raise BuildError(f"the fake NVML library does not compile: {last[0]}")
        built.replace(folder / SONAME)  # atomic: two builders at once leave one whole library


@dataclasses.dataclass(slots=True)
class FakeGpu:
    """One scripted GPU; change it through `FakeGpus.set`, which also writes the script."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    busy_percent: int = 0
    memory_total_bytes: int = H100_BYTES
    memory_used_bytes: int = 0
    memory_reserved_bytes: int = 0
    power_milliwatts: int | None = None  # None: at rest, or as much more as it is busy
    power_limit_milliwatts: int = 700_000
    energy_millijoules: int = 0
    sm_clock_mhz: int = 1980
    clock_reasons: int = 0  # nvmlClocksEventReasons bits
    ecc_uncorrected: int = 0
    remapped_rows: int = 0
    remap_pending: bool = False
    remap_failed: bool = False
    mig: bool = False
    lost: bool = False

    def line(self) -> str:
        power = self.power_milliwatts
        if power is None:
            at_work = self.power_limit_milliwatts - REST_MILLIWATTS
            power = REST_MILLIWATTS + at_work * min(100, self.busy_percent) // 100
        return (
            f"gpu {self.uuid} busy={self.busy_percent} total={self.memory_total_bytes}"
            f" used={self.memory_used_bytes} reserved={self.memory_reserved_bytes}"
            f" power={power} limit={self.power_limit_milliwatts}"
            f" energy={self.energy_millijoules} clock={self.sm_clock_mhz}"
            f" reasons={self.clock_reasons} uncorrected={self.ecc_uncorrected}"
            f" remapped={self.remapped_rows} remap_pending={int(self.remap_pending)}"
            f" remap_failed={int(self.remap_failed)} mig={int(self.mig)}"
            f" lost={int(self.lost)} name={self.name}"
        )


class FakeGpus:
    """The GPUs of one fake node: a script file in `folder`, written whole at every change."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self.path = folder / "nvml.script"
        self.log_path = folder / "nvml.log"
        self.trace_path = folder / "nvml.trace"
        self.gpus = [FakeGpu(f"GPU-{n:08x}-0000-4000-8000-{n:012x}") for n in range(1, count + 1)]
        self._init_code = SUCCESS
        self._rules: list[str] = []
        self._extra: list[str] = []
        self._gpm: dict[tuple[str, int], float] = {}
        self._instances: dict[str, str] = {}
        self._rings: dict[str, list[str]] = {}
        self._held = False
        self._library = build()
        self.write()

    @property
    def uuids(self) -> list[str]:
        return [gpu.uuid for gpu in self.gpus]

    def set(self, index: int, **fields: int | str | bool) -> None:
        """Change fields of one GPU, such as `busy_percent=80`."""
        self.gpus[index] = dataclasses.replace(self.gpus[index], **fields)  # type: ignore[arg-type]
        self.write()

    def fail(self, call: str, code: int, uuid: str = "") -> None:
        """Make a C function return `code`, for one GPU or for all."""
        self._rule(f"error {call} {code} {uuid}")

    def hang(self, call: str, uuid: str = "") -> None:
        """Make a C function never return."""
        self._rule(f"hang {call} {uuid}")

    def crash(self, call: str, uuid: str = "") -> None:
        """Make a C function end its process by a segmentation fault."""
        self._rule(f"crash {call} {uuid}")

    def fail_init(self, code: int) -> None:
        """Make nvmlInit return `code`, such as DRIVER_NOT_LOADED."""
        self._init_code = code
        self.write()

    def process(self, uuid: str, pid: int, used_bytes: int) -> None:
        """Let one compute process be seen on a GPU."""
        self._extra.append(f"process {uuid} {pid} {used_bytes}")
        self.write()

    def gpm(self, uuid: str, metric_id: int, value: float) -> None:
        """Let a GPU or MIG instance support GPM and answer this metric."""
        self._gpm[uuid, metric_id] = value
        self.write()

    def sample(self, uuid: str, at_us: int, percent: int) -> None:
        """Put one entry into the ring of utilisation samples that the driver keeps of a GPU."""
        self._rings.setdefault(uuid, []).append(f"sample {uuid} {at_us} {percent}")
        self.write()

    def ring(self, uuid: str, entries: Sequence[tuple[int, int]]) -> None:
        """Let a GPU's ring hold these (microseconds, percent) and no others."""
        self._rings[uuid] = [f"sample {uuid} {at_us} {percent}" for at_us, percent in entries]
        self.write()

    def xid(self, uuid: str, code: int) -> None:
        """Let a critical XID come, once, to those who listen."""
        self._extra.append(f"xid {uuid} {code}")
        self.write()

    def split(self, index: int, *places: tuple[int, int], used_bytes: int = 0) -> list[str]:
        """Put a GPU into MIG mode with instances at (GPU, compute instance id); return UUIDs."""
        parent = self.gpus[index].uuid
        uuids = [f"MIG-{gpu:08x}-0000-4000-8000-{compute:012x}" for gpu, compute in places]
        for uuid, (gpu, compute) in zip(uuids, places, strict=True):
            size = f"total={H100_BYTES // 8} used={used_bytes}"
            self._instances[uuid] = f"instance {uuid} parent={parent} gi={gpu} ci={compute} {size}"
        self.set(index, mig=True)
        return uuids

    def destroy(self, uuid: str) -> None:
        """Take a MIG instance away."""
        del self._instances[uuid]
        self.write()

    def trace(self) -> None:
        """Let each call be appended to `trace_path` from now on."""
        self._extra.append(f"trace {self.trace_path}")
        self.write()

    def traced(self) -> list[str]:
        """Return the calls since the last look, in their order, and forget them."""
        found = self.trace_path.read_text().splitlines() if self.trace_path.exists() else []
        self.trace_path.write_text("")
        return found

    def heal(self) -> None:
        """Forget every error, hang, crash and lost GPU."""
        self._rules.clear()
        self._init_code = SUCCESS
        self.gpus = [dataclasses.replace(gpu, lost=False) for gpu in self.gpus]
        self.write()

    def env(self) -> dict[str, str]:
        """Return what a process needs in its environment to load this library and script."""
        inherited = os.environ.get("LD_LIBRARY_PATH")
        paths = [str(self._library), *([inherited] if inherited else [])]
        return {"LD_LIBRARY_PATH": ":".join(paths), "FORESCALE_FAKE_NVML": str(self.path)}

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Write what is changed in here as one script, at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.write()

    def write(self) -> None:
        """Write the script so that a reader sees the old one or the new one, whole."""
        if self._held:
            return
        head = [f"init {self._init_code}", f"log {self.log_path}"]
        gpm = [f"gpm {uuid} {metric} {value}" for (uuid, metric), value in self._gpm.items()]
        lines = [*head, *(gpu.line() for gpu in self.gpus), *self._instances.values()]
        lines += [*self._rules, *gpm, *itertools.chain(*self._rings.values()), *self._extra]
        part = self.path.with_suffix(".part")
        part.write_text("\n".join(lines) + "\n")
        part.replace(self.path)

    def _rule(self, line: str) -> None:
        self._rules.append(line)
        self.write()
