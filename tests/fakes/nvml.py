"""Owns the scripted NVML library: builds it, writes its script, names the environment it needs.

The library is C, so that the real `pynvml` loads it as it loads NVIDIA's; see the head of
`nvml/libnvidia-ml.c` for the script. Only the standard library is used here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "nvml" / "libnvidia-ml.c"
SONAME = "libnvidia-ml.so.1"
H100_BYTES = 85520809984  # an H100 80GB as NVML counts it: 81559 MiB

SUCCESS = 0
NOT_SUPPORTED = 3
DRIVER_NOT_LOADED = 9
GPU_IS_LOST = 15


class BuildError(RuntimeError):
    """The library could not be built; the text is one line and says what to do."""


def build() -> Path:
    """Return the folder that holds the library, compiling it when its source is new."""
    source = SOURCE.read_bytes()
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
        command += ["-o", str(built), str(SOURCE), "-lpthread"]
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
    power_milliwatts: int = 70_000
    lost: bool = False

    def line(self) -> str:
        return (
            f"gpu {self.uuid} busy={self.busy_percent} total={self.memory_total_bytes}"
            f" used={self.memory_used_bytes} reserved={self.memory_reserved_bytes}"
            f" power={self.power_milliwatts} lost={int(self.lost)} name={self.name}"
        )


class FakeGpus:
    """The GPUs of one fake node: a script file in `folder`, written whole at every change."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self.path = folder / "nvml.script"
        self.log_path = folder / "nvml.log"
        self.gpus = [FakeGpu(f"GPU-{n:08x}-0000-4000-8000-{n:012x}") for n in range(1, count + 1)]
        self._init_code = SUCCESS
        self._rules: list[str] = []
        self._extra: list[str] = []
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
        """Let a GPU support GPM and answer this metric."""
        self._extra.append(f"gpm {uuid} {metric_id} {value}")
        self.write()

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

    def write(self) -> None:
        """Write the script so that a reader sees the old one or the new one, whole."""
        head = [f"init {self._init_code}", f"log {self.log_path}"]
        lines = [*head, *(gpu.line() for gpu in self.gpus), *self._rules, *self._extra]
        part = self.path.with_suffix(".part")
        part.write_text("\n".join(lines) + "\n")
        part.replace(self.path)

    def _rule(self, line: str) -> None:
        self._rules.append(line)
        self.write()
