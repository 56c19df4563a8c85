"""Owns the proof that /opt/forescale needs nothing of the image that it is copied into."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent.parent
GLIBC = ("ld-linux", "libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libresolv.so")
LOADED = """
import aiohttp, ctypes, msgspec, prometheus_client, pynvml, ssl, sidecar.__main__
print(*{line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}, sep="\\n")
"""


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder, moved after it was built."""
    built = tmp_path_factory.mktemp("built") / "forescale"
    script = ROOT / "scripts" / "opt.sh"
    subprocess.run(["bash", str(script), str(built)], check=True, timeout=300, capture_output=True)
    return built.rename(tmp_path_factory.mktemp("moved") / "forescale")


def test_it_loads_no_library_but_its_own_and_glibc(opt: Path) -> None:
    (python,) = (opt / "bin").glob("python3.*")
    hostile = {"PYTHONHOME": "/nonsense", "PYTHONPATH": str(ROOT), "LD_LIBRARY_PATH": "/nonsense"}
    done = subprocess.run(
        [str(python), "-I", "-c", LOADED], env=hostile, check=True, capture_output=True, timeout=60
    )
    libraries = [Path(line) for line in done.stdout.decode().splitlines()]
    foreign = [path for path in libraries if not path.is_relative_to(opt)]
    assert len(libraries) > len(foreign) > 0
    assert [path for path in foreign if not path.name.startswith(GLIBC)] == []


def test_it_wraps_a_server_in_an_environment_without_anything(opt: Path) -> None:
    command = [str(opt / "bin" / "forescale-sidecar"), "run", "--", "/bin/sh", "-c", "exit 7"]
    assert subprocess.run(command, env={}, check=False, timeout=60).returncode == 7
