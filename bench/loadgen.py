"""The load: one client program for every server that is measured, and what it saw."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import subprocess
from pathlib import Path

import msgspec

from bench import table
from tests.controlplane import build

SOURCES = build.MODULE / "bench"


class Report(msgspec.Struct, frozen=True):
    """One run: the seconds of each answered request, and how long all took together."""

    latencies_seconds: list[float]
    seconds: float
    failures: int
    failure: str
    bytes: int

    @property
    def per_second(self) -> float:
        return len(self.latencies_seconds) / self.seconds


class LoadError(Exception):
    """A run in which requests failed: its figures mean nothing."""


def program() -> Path:
    """Return the client, compiled when its sources are new. Raises BuildError."""
    go = build.find_go()
    if go is None:
        raise build.BuildError("no Go that is new enough: run `make controlplane-build` first")
    content = hashlib.sha256()
    for source in sorted(SOURCES.glob("*.go")):
        content.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "forescale" / "bench" / content.hexdigest()[:16] / "bench"
    if not path.exists():
        _compile(go, path)
    return path


def _compile(go: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [str(go), "build", "-trimpath", "-buildvcs=false", "-o", str(part), "./bench"]
    done = subprocess.run(
        command, cwd=build.MODULE, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise build.BuildError(f"`{' '.join(command)}` failed:\n{done.stderr}")
    part.replace(path)


class Plan(msgspec.Struct, frozen=True):
    """How to ask: `least` requests and `seconds` at least, `most` seconds at most."""

    connections: int
    seconds: float
    warm: int
    least: int = 1
    most: float = 30.0
    unique: bool = False


class Hpas(msgspec.Struct, frozen=True):
    """So many HPAs, which ask for all metrics each period at a moment drawn at random once."""

    count: int
    namespaces: int  # team-0000 and on, in turn
    period_seconds: float
    seconds: float
    metrics: tuple[str, ...]
    selector: str


async def run(client: Path, url: str, token: str, plan: Plan) -> Report:
    """Return what one run saw. Raises LoadError when a request failed."""
    command = [str(client), "load", f"-url={url}", f"-token={token}"]
    command += [f"-connections={plan.connections}", f"-warm={plan.warm}", f"-least={plan.least}"]
    command += [f"-seconds={plan.seconds}", f"-most={plan.most}", f"-unique={plan.unique}"]
    report = await _report(command)
    if report.failures:
        raise LoadError(f"{report.failures} requests to {url} failed: {report.failure}")
    return report


async def ask_as(client: Path, base: str, hpas: Hpas) -> Report:
    """Return what all HPAs together saw, failures too. Raises LoadError when the client fails."""
    command = [str(client), "hpas", f"-base={base}", f"-hpas={hpas.count}"]
    command += [f"-namespaces={hpas.namespaces}", f"-period={hpas.period_seconds}s"]
    command += [f"-seconds={hpas.seconds}", f"-metrics={','.join(hpas.metrics)}"]
    return await _report([*command, f"-selector={hpas.selector}"])


async def _report(command: list[str]) -> Report:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise LoadError(err.decode().strip())
    return msgspec.json.decode(out, type=Report)


class Cell(msgspec.Struct):
    """All runs of one server, size and way, and what the server spent on them."""

    runs: list[Report] = []
    processor_seconds: float = 0.0
    asked: int = 0  # requests in that time, those that warm it up included

    def p50_ms(self) -> float:
        """Return the median of the runs' medians."""
        return 1000 * table.median(table.median(run.latencies_seconds) for run in self.runs)

    def p99_ms(self) -> float:
        """Return the percentile of all runs together: a single one may have too few requests."""
        everything = [seconds for run in self.runs for seconds in run.latencies_seconds]
        return 1000 * table.percentile(everything, 99)

    def per_second(self) -> float:
        """Return the median of the runs."""
        return table.median(run.per_second for run in self.runs)

    def processor_ms(self) -> float:
        """Return the server's processor time for an answer; NaN of none."""
        return 1000 * self.processor_seconds / self.asked if self.asked else math.nan
