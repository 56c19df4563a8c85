"""Messages by protobuf's own generator and runtime, made apart from our reading and writing."""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from grpc_tools import protoc


@cache
def messages(name: str) -> Any:
    """Return the module of tests/fakes/NAME.proto; generated once for each test process."""
    folder = tempfile.mkdtemp(prefix=f"{name}-")
    proto = Path(__file__).with_name(f"{name}.proto")
    made = protoc.main(["", f"-I{proto.parent}", f"--python_out={folder}", str(proto)])
    assert made == 0
    sys.path.insert(0, folder)
    try:
        return import_module(f"{name}_pb2")
    finally:
        sys.path.remove(folder)
