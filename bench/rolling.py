"""Claim: no query of an HPA fails while the adapter is replaced, nor while its CA is.

The scenes of tests/e2e/test_rolling.py on the real control plane, more often than in `make test`:
two replicas behind a Service, 20 rolling restarts, then 10 new CAs with certificates that live for
seconds, while kube-apiserver is asked up to 25 times a second. BENCH_RESTARTS and
BENCH_REPLACEMENTS change the counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.controlplane import build

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 3600


def main() -> int:
    counts = {
        "FORESCALE_ROLLING_RESTARTS": os.environ.get("BENCH_RESTARTS", "20"),
        "FORESCALE_CA_REPLACEMENTS": os.environ.get("BENCH_REPLACEMENTS", "10"),
        build.PREBUILT: str(build.binary()),
    }
    pytest = [sys.executable, "-m", "pytest", "-q", "-s", f"--timeout={TIMEOUT_SECONDS}"]
    inside = [sys.executable, str(ROOT / "tests" / "controlplane" / "netns.py")]
    done = subprocess.run(
        [*inside, *pytest, str(ROOT / "tests" / "e2e" / "test_rolling.py")],
        cwd=ROOT,
        env=os.environ | counts,
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line.lstrip(".") for line in done.stdout.splitlines() if " queries, " in line]
    sys.stdout.write("\n".join(f"- {line}" for line in told) + "\n")
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-3000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
