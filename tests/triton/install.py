"""Owns the installation of a real Triton Inference Server outside the tree.

`python tests/triton/install.py` prints the path of the virtual environment on stdout and its
progress on stderr. It needs Debian's own Python, since the server's Python backend embeds the
shared libpython, which interpreters built from source usually lack.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
INTERPRETER = "/usr/bin/python3"
MARKER = "installed"  # written last, with the Python's version: without it the folder is broken
COMMAND_SECONDS = 480  # the longest, the download, takes 5 s on a fast network


class InstallError(RuntimeError):
    """Triton cannot be installed or is not installed; the text is one line and says what to do."""


def installed() -> Path:
    """Return the virtual environment; raise InstallError when it is not there."""
    folder = location()
    if not (folder / MARKER).exists():
        raise InstallError("no Triton Inference Server is installed for the tests: make triton")
    return folder


def location() -> Path:
    """Return where the environment of these very requirements belongs."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    return Path(home) / "forescale" / "triton" / digest


def install() -> Path:
    """Return the virtual environment, making it first where it is missing or unfinished."""
    folder = location()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".lock")):
        if not _is_current(folder / MARKER):
            _require_packages()
            _build(folder)
            (folder / MARKER).write_text(_interpreter_version())
    return folder


def _is_current(marker: Path) -> bool:
    """An upgrade of the distribution changes the Python under the environment."""
    return marker.exists() and marker.read_text() == _interpreter_version()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock: two installers at once would delete each other's folder."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"making {folder}")
    _show([INTERPRETER, "-m", "venv", str(folder)])
    _say("installing the server (75 MB to fetch, 250 MB on disk)")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    _show([*pip, "--require-hashes", "-r", str(REQUIREMENTS)])
    _place_stub(folder)


def _place_stub(folder: Path) -> None:
    """Put the backend's stub for this interpreter where the server looks for it."""
    version = folder / "lib" / f"python{_interpreter_version()}"
    server = version / "site-packages" / "pytriton" / "tritonserver"
    name = "triton_python_backend_stub"
    backend = server / "backends" / "python"
    shutil.copy(server / "python_backend_stubs" / _interpreter_version() / name, backend / name)
    _require_libraries([server / "bin" / "tritonserver", backend / name])


def _require_libraries(binaries: Sequence[Path]) -> None:
    listing = _ask(["ldd", *map(str, binaries)])
    missing = {line.split()[0] for line in listing.splitlines() if "not found" in line}
    if missing:
        raise InstallError(f"the server lacks {', '.join(sorted(missing))}: install them with apt")


def _require_packages() -> None:
    """Install what Debian's minimal images lack, or name it for those who may not."""
    if not Path(INTERPRETER).exists():
        raise InstallError(f"{INTERPRETER} is missing: apt-get install -y python3")
    packages = _missing_packages()
    if not packages:
        return
    if os.geteuid() != 0:
        raise InstallError(f"packages are missing: sudo apt-get install -y {' '.join(packages)}")
    _say(f"installing {' '.join(packages)}")
    _show(["apt-get", "update", "-qq"])
    _show(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def _missing_packages() -> list[str]:
    version = _interpreter_version()
    probes = {
        "python3-venv": "import ensurepip",
        f"libpython{version}": f"import ctypes; ctypes.CDLL('libpython{version}.so.1.0')",
        "libstdc++6": "import ctypes; ctypes.CDLL('libstdc++.so.6')",
    }
    return [package for package, probe in probes.items() if not _succeeds(probe)]


def _succeeds(probe: str) -> bool:
    done = subprocess.run([INTERPRETER, "-c", probe], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def _interpreter_version() -> str:
    return _ask([INTERPRETER, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()


def _show(command: Sequence[str]) -> None:
    """Run the command with what it says on stderr: its reasons are longer than a line."""
    _finish(command, stdout=sys.stderr)


def _ask(command: Sequence[str]) -> str:
    """Return what the command prints."""
    return _finish(command, stdout=subprocess.PIPE)


def _finish(command: Sequence[str], stdout: int | TextIO) -> str:
    name = " ".join(command[:4])
    try:
        done = subprocess.run(
            command, stdout=stdout, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        text = f"took over {COMMAND_SECONDS} s: check the network and try again"
        raise InstallError(f"{name} {text}") from error
    if done.returncode:
        raise InstallError(f"{name} failed, for the reason above")
    return done.stdout or ""


def _say(text: str) -> None:
    print(f"triton: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(install())
    except InstallError as error:
        sys.exit(f"triton: {error}")
