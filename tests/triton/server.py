"""Owns the command line of the real Triton: becomes `tritonserver`, with one model, "llm".

Run it with the Python that `install.py` prints: `VENV/bin/python tests/triton/server.py`.
The process that is started is the server itself, so its pid, signals and exit status are real.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import signal
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PR_SET_PDEATHSIG = 1  # prctl(2); kept across the exec


def main() -> None:
    options = _parser().parse_args()
    site_packages = _site_packages()
    command = _command(options, site_packages)
    environment = _environment(options, site_packages)
    # A killed test run must not leave a server behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


def shared_memory_prefix(pid: int) -> str:
    """Return how the names of this server's segments in /dev/shm begin."""
    return f"forescale-triton-{pid}-"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="a real Triton Inference Server without a GPU")
    parser.add_argument("--host", default="127.0.0.1", help="address of both ports")
    parser.add_argument("--http-port", type=int, default=8000, help="KServe v2 over HTTP")
    parser.add_argument("--metrics-port", type=int, default=8002, help="GET /metrics")
    parser.add_argument(
        "--repository", default="repository", help="the folder beside this file that has the model"
    )
    parser.add_argument(
        "--service-time", type=float, default=0.5, help="seconds that one inference takes"
    )
    parser.add_argument(
        "--exit-timeout", type=int, default=5, help="whole seconds for requests in flight at exit"
    )
    return parser


def _site_packages() -> Path:
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        sys.exit("server.py: this Python has no Triton: run it with the one `make triton` installs")
    return Path(found.origin).parent.parent


def _command(options: argparse.Namespace, site_packages: Path) -> list[str]:
    server = site_packages / "pytriton" / "tritonserver"
    return [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={FOLDER / options.repository}",
        f"--backend-directory={server / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(os.getpid())}",
        f"--http-address={options.host}",
        f"--http-port={options.http_port}",
        f"--metrics-address={options.host}",
        f"--metrics-port={options.metrics_port}",
        f"--exit-timeout-secs={options.exit_timeout}",
        "--allow-gpu-metrics=false",
        "--allow-grpc=false",
    ]


def _environment(options: argparse.Namespace, site_packages: Path) -> dict[str, str]:
    return os.environ | {
        # The backend's stub embeds the first python3 of PATH, and finds numpy beside it.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": str(site_packages / "nvidia_pytriton.libs"),
        "FORESCALE_TRITON_SERVICE_TIME_SECONDS": str(options.service_time),
    }


if __name__ == "__main__":
    main()
