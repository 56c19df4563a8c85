"""The whole test suite, in stages; the slow build runs beside the fast checks.

Ends with a table of what took how long, and one line with the sum of all tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = str(ROOT / ".venv/bin/python")
PYTEST = [PYTHON, "-m", "pytest", "-q", "--durations=8"]
APART = ("e2e", "triton", "browser", "helm", "grafana")  # each has a stage of its own
UNIT = ["tests", *(f"--ignore=tests/{name}" for name in APART)]
SLOW = "process or hypothesis"  # what the fast loop leaves out, or looks at with few examples
NETNS = [PYTHON, "tests/controlplane/netns.py"]
_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


@dataclass
class Stage:
    """One command; `after` names the background stage whose end it waits for."""

    name: str
    command: list[str]
    after: str | None = None
    seconds: float = 0.0
    code: int | None = None
    counts: dict[str, int] = field(default_factory=dict)


STAGES = [
    Stage("debian packages", ["bash", "scripts/debian.sh"]),
    Stage("check", ["bash", "scripts/check.sh"]),
    Stage("slow tests", [*PYTEST, "-n", "4", "--dist", "loadfile", "-m", SLOW, *UNIT]),
    Stage("demo", [".venv/bin/forescale", "demo", "--for", "60s", "--json"]),
    Stage("browser", [*PYTEST, "tests/browser"]),
    Stage("triton install", [PYTHON, "tests/triton/install.py"]),
    Stage("triton", [*PYTEST, "tests/triton"]),
    # After the control plane: 535 of its 649 packages are then in Go's cache.
    Stage("helm build", [PYTHON, "-m", "tests.helm.build"], after="control plane build"),
    Stage("chart", [*PYTEST, "tests/helm"]),
    Stage("grafana build", [PYTHON, "-m", "tests.grafana.build"]),
    Stage("dashboard", [*PYTEST, "tests/grafana"]),
    Stage("crds", [PYTHON, "-m", "tests.crds.fetch"]),
    Stage("e2e", [*NETNS, *PYTEST, "tests/e2e"]),
]
BUILD = Stage("control plane build", [PYTHON, "tests/controlplane/build.py", "--peers"])


def run(stage: Stage) -> None:
    """Run one stage with its output shown, and count what its tests print at the end."""
    print(f"\n=== {stage.name}: {' '.join(stage.command)}", flush=True)
    began = time.monotonic()
    with subprocess.Popen(
        stage.command, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if " in " in line and (found := _COUNT.findall(line)):
                stage.counts = {word: int(number) for number, word in found}
    stage.code = process.returncode
    stage.seconds = time.monotonic() - began


def main() -> int:
    """Run everything; 0 only when every stage succeeded and none skipped a test."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    done: list[Stage] = []
    run(STAGES[0])
    done.append(STAGES[0])
    builder = threading.Thread(target=run, args=(BUILD,), daemon=True)
    builder.start()
    for stage in STAGES[1:]:
        if stage.after == BUILD.name:
            builder.join()
            done.append(BUILD)
            if BUILD.code:
                break
        run(stage)
        done.append(stage)
    return report(done)


def report(stages: list[Stage]) -> int:
    """Print the table and the closing line."""
    print(f"\n{'stage':22} {'seconds':>8}  result")
    for stage in stages:
        counts = ", ".join(f"{number} {word}" for word, number in stage.counts.items())
        verdict = "ok" if stage.code == 0 else f"FAILED (exit {stage.code})"
        print(f"{stage.name:22} {stage.seconds:8.0f}  {verdict}  {counts}")
    passed = sum(stage.counts.get("passed", 0) for stage in stages)
    failed = sum(
        stage.counts.get(word, 0) for stage in stages for word in ("failed", "error", "errors")
    )
    broken = sum(stage.code != 0 for stage in stages)
    skipped = sum(stage.counts.get("skipped", 0) for stage in stages)
    print(f"{passed} passed, {max(failed, broken)} failed", flush=True)
    return 1 if broken or skipped else 0


if __name__ == "__main__":
    sys.exit(main())
