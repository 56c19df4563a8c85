"""The stand-ins: the scripted GPU library and the model server that the source tree has for tests.

An installed package does not carry them; the demo then says so and ends.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from adapter.errors import StartupError

MODEL_SERVER = "tests.fakes.model_server"
_NVML = Path("tests") / "fakes" / "nvml.py"


class Gpus(Protocol):
    """The GPUs of one node, as the library that stands in for NVIDIA's shows them."""

    def set(self, index: int, **fields: int | str | bool) -> None: ...
    def env(self) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Fakes:
    """The source tree and what makes a node of it."""

    root: Path
    gpus: Callable[[Path], Gpus]


def find(root: Path | None = None) -> Fakes:
    """Return the stand-ins, the GPU library built; raise StartupError with the fix in one line."""
    tree = root or Path(__file__).resolve().parents[2]
    if not (tree / _NVML).is_file():
        raise StartupError(
            "the demo runs from a source checkout (its model servers and GPUs live in tests/fakes):"
            " clone the repository and run `make demo` there"
        )
    if not sys.platform.startswith("linux"):
        raise StartupError("the demo needs Linux: its pods listen on addresses of 127.0.0.0/8")
    nvml = _load(tree / _NVML)
    try:
        nvml.build()
    except RuntimeError as error:
        raise StartupError(str(error)) from error
    return Fakes(tree, nvml.FakeGpus)


def _load(path: Path) -> ModuleType:
    name = "forescale_demo_nvml"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StartupError(f"{path} cannot be loaded: is the checkout complete?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
