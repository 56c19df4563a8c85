"""The benches: runs all, or those named, and prints their tables as Markdown on stdout.

`make bench ONLY=api`. Progress goes to stderr. A slow figure fails nothing; the exit code is 1 only
when a bench could not run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHES = {
    "sidecar": "memory and processor time of one sidecar (1 minute)",
    "hostile": "processor time of the worst metrics pages, and of a usual one (1 minute)",
    "overload": "how long discovery and an HPA wait while others flood the adapter (1 minute)",
    "age": "age of a reading when it is served, 100 pods (2 minutes)",
    "coldstart": "how often the next start is within the learnt P90 (15 seconds)",
    "rolling": "20 rolling restarts and 10 new CAs under the queries of an HPA (12 minutes)",
    "replay": "late requests and GPU-hours with and without the forecast, by target (15 minutes)",
    "sensitivity": "the forecast by cold start, target and pool size (5 minutes)",
    "stress": "made-up loads that are hard on the forecast (1 minute)",
    "quantile": "how much of what came lay below the forecast, by horizon (2 minutes)",
    "hpas": "5,000 HPAs of two metrics each, 2,000 pods stream (7 minutes)",
    "growth": "what a replica costs from 100 to 10,000 pods, as a plot (9 minutes)",
    "foreign": "5,000 pods stream among 50,000 without our label (9 minutes)",
    "api": "list queries against the Go library's adapter, 1 to 1,000 pods (10 minutes)",
}


def run(name: str) -> bool:
    """Run one bench in a process of its own; return whether it came to its end."""
    _say(f"== {name}: {BENCHES[name]}")
    began = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}"], cwd=ROOT, env=environment, check=False
    )
    verdict = "done" if done.returncode == 0 else f"FAILED with code {done.returncode}"
    _say(f"== {name}: {verdict} after {time.monotonic() - began:.0f} s")
    return done.returncode == 0


def main(arguments: Sequence[str]) -> int:
    unknown = [name for name in arguments if name not in BENCHES]
    if unknown:
        _say(f"error: no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        return 2
    finished = []
    for name in arguments or list(BENCHES):
        finished.append(run(name))
        sys.stdout.write("\n")
        sys.stdout.flush()
    return 0 if all(finished) else 1


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
