"""Owns the proof that a wrapped model server lives as if nothing was around it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from sidecar import wire, wrapper
from sidecar.wire import Frame
from tests.fakes.nvml import FakeGpus
from tests.sidecar.conftest import until

pytestmark = pytest.mark.process

RUN = (sys.executable, "-m", "sidecar.cli", "run")
MIB = 2**20
START_SECONDS = 40.0  # two interpreters, on a machine that has other things to do
# Counts what it is told by signals and says so, as a server that drains on SIGTERM would.
SERVER = """
import signal, sys, time
told = []
def hear(number, _): told.append(signal.Signals(number).name); print(told[-1], flush=True)
for number in (1, 2, 10, 12, 28): signal.signal(number, hear)
def leave(*_): print("TERM after", len(told), flush=True); sys.exit(43)
signal.signal(15, leave)
print("ready", flush=True)
while True: time.sleep(0.05)
"""


def wrapped(
    *command: str, flags: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[bytes]:
    whole = [*RUN, *flags, "--", *command]
    return subprocess.run(whole, capture_output=True, timeout=60, check=False, **options)


@pytest.fixture
def flags(free_port: int) -> tuple[str, ...]:
    return ("--host", "127.0.0.1", "--port", str(free_port), "--gpu-period", "1s")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 43", 43), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_it_ends_with_the_servers_exit_code(script: str, code: int, flags: tuple[str, ...]) -> None:
    assert wrapped("sh", "-c", script, flags=flags).returncode == code


def test_input_output_and_environment_are_the_servers_own(flags: tuple[str, ...]) -> None:
    script = "cat; echo err >&2; echo $MINE $PYTHONPATH $LD_PRELOAD"
    environ = os.environ | {"MINE": "1", "PYTHONPATH": ".", "LD_PRELOAD": ""}
    done = wrapped("sh", "-c", script, flags=flags, input=b"from outside\n", env=environ)
    assert done.stdout == b"from outside\n1 .\n"
    assert b"err\n" in done.stderr


def test_nothing_is_added_to_the_servers_environment(flags: tuple[str, ...]) -> None:
    given = {"PATH": os.environ["PATH"], "ODD": "a=b\nc"}
    done = wrapped("env", "-0", flags=flags, env=given)
    assert set(done.stdout.decode().strip("\0").split("\0")) == {
        f"{name}={value}" for name, value in given.items()
    }


def test_a_command_that_is_not_there_ends_as_a_shell_ends(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert wrapped("no-such-command-here").returncode == 127
    assert wrapped(str(plain)).returncode == 126


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = subprocess.run([*RUN, "--port", "1"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 2
    assert b"-- COMMAND" in done.stderr
    assert b"error: there is no command behind `--`" in done.stderr
    assert b"hint: write for example `forescale-sidecar run " in done.stderr


def test_help_is_its_own_and_has_the_sidecars_flags() -> None:
    done = subprocess.run([*RUN, "--help"], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"usage: forescale-sidecar run [FLAGS] -- COMMAND [ARGUMENTS]\n")
    assert b"--engine-url URL" in done.stdout


def test_a_program_below_gets_the_signals_that_it_gets_without_us(flags: tuple[str, ...]) -> None:
    command = ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    alone = subprocess.run(command, capture_output=True, check=True).stdout
    assert masks(wrapped(*command, flags=flags).stdout) == masks(alone)


def masks(status: bytes) -> list[int]:
    """Blocked and ignored signals, but for glibc's own 32 and 33, which its posix_spawn ignores."""
    blocked, ignored = (int(row.split()[1], 16) & ~(0b11 << 31) for row in status.splitlines())
    return [blocked, ignored]


def test_wrong_flags_of_ours_cost_the_metrics_and_not_the_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = f"until grep -q 'settings are wrong' {log}; do sleep 0.1; done; sleep 2; exit 5"
    with log.open("wb") as stderr:
        command = [*RUN, "--port", "0", "--", "sh", "-c", server]
        done = subprocess.run(command, stderr=stderr, timeout=60, check=False)
    assert done.returncode == 5
    assert log.read_bytes().count(b"settings are wrong") == 1


@asynccontextmanager
async def running(*argv: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    family = psutil.Process(process.pid)
    try:
        yield process
    finally:
        left = family.children(recursive=True) if family.is_running() else []
        for one in left:
            one.kill()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def sample(port: str) -> Frame | None:
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/v1/sample") as answer,
        ):
            return wire.decode(await answer.read())
    except aiohttp.ClientError:
        return None


def family(process: asyncio.subprocess.Process, module: str) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if module in command_of(child)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # gone, or not reaped yet
        return []


async def test_every_signal_arrives_once_and_a_drain_is_waited_for(flags: tuple[str, ...]) -> None:
    async with running(*RUN, *flags, "--", sys.executable, "-c", SERVER) as process:
        assert await line(process) == "ready"
        numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGINT)
        for number in numbers:
            process.send_signal(number)
            assert await line(process) == number.name
        process.terminate()
        assert await line(process) == "TERM after 5"
        async with asyncio.timeout(30):
            assert await process.wait() == 43


async def test_a_sampler_that_crashes_is_started_again_and_the_server_goes_on(
    gpus: FakeGpus, flags: tuple[str, ...]
) -> None:
    port = flags[3]
    async with running(*RUN, *flags, "--", "sleep", "60") as process:
        await until(lambda: heard(port), START_SECONDS)
        before = await sample(port)
        (first,) = family(process, "sidecar.wrapped")
        (nvml,) = family(process, "sidecar.child")
        first.kill()
        await until(lambda: another(process, first.pid), START_SECONDS)
        await until(lambda: heard(port), START_SECONDS)
        assert process.returncode is None
        assert has_ended(nvml)
        (frame,) = [await sample(port)]
        assert frame is not None
        assert frame.visible is not None
        assert [gpu.uuid for gpu in frame.visible] == gpus.uuids
        assert frame.attribution is not None
        assert frame.attribution.scope == wire.CONTAINER
        assert began(before) < began(frame), "the server's start is that of the server"


def has_ended(process: psutil.Process) -> bool:
    """Return whether it runs no more; whoever inherits it may reap it while it is looked at."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def began(frame: Frame | None) -> float:
    """Return how long the server has run, which started before the sampler."""
    assert frame is not None
    assert frame.phases is not None
    ages = frame.phases
    assert ages.server_started_age_seconds is not None
    assert ages.sidecar_started_age_seconds is not None
    assert ages.sidecar_started_age_seconds < ages.server_started_age_seconds < START_SECONDS * 3
    return ages.server_started_age_seconds


async def heard(port: str) -> bool:
    frame = await sample(port)
    return frame is not None and frame.visible is not None


async def another(process: asyncio.subprocess.Process, pid: int) -> bool:
    return any(child.pid != pid for child in family(process, "sidecar.wrapped"))


async def test_when_the_server_ends_nothing_of_ours_is_left(
    gpus: FakeGpus, flags: tuple[str, ...]
) -> None:
    del gpus
    async with running(*RUN, *flags, "--", "sleep", "60") as process:
        await until(lambda: heard(flags[3]), START_SECONDS)
        ours = psutil.Process(process.pid).children(recursive=True)
        (server,) = [child for child in ours if child.cmdline()[:1] == ["sleep"]]
        server.kill()
        async with asyncio.timeout(30):
            assert await process.wait() == 137
        gone, alive = psutil.wait_procs(ours, timeout=3)
        assert (len(gone), alive) == (3, [])


async def test_when_the_wrapper_is_killed_the_sampler_goes_and_the_server_stays(
    flags: tuple[str, ...],
) -> None:
    async with running(*RUN, *flags, "--", "sleep", "60") as process:
        await until(lambda: answers(flags[3]), START_SECONDS)
        (sampler,) = family(process, "sidecar.wrapped")
        (server,) = [c for c in psutil.Process(process.pid).children() if c.name() == "sleep"]
        process.kill()
        assert psutil.wait_procs([sampler], timeout=5)[1] == []
        assert server.status() == psutil.STATUS_SLEEPING
        server.kill()
        await process.wait()  # it waits for whoever holds the output, so for the server, too


async def answers(port: str) -> bool:
    return await sample(port) is not None


def out_of_memory_score(pid: int) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


async def test_orphans_are_reaped_and_the_wrapper_is_small(flags: tuple[str, ...]) -> None:
    script = "for n in 1 2 3 4 5; do (sleep 0.2 &) ; done; exec sleep 60"
    async with running(*RUN, *flags, "--", "sh", "-c", script) as process:
        tree = psutil.Process(process.pid)
        await until(lambda: answers(flags[3]), START_SECONDS)
        await asyncio.sleep(0.5)
        assert [c.pid for c in tree.children() if c.status() == psutil.STATUS_ZOMBIE] == []
        assert tree.memory_info().rss < 24 * MIB
        (sampler,) = family(process, "sidecar.wrapped")
        assert out_of_memory_score(sampler.pid) == "1000"
        process.terminate()
        await process.wait()


def test_as_the_first_process_of_a_container_it_hands_on_signals_and_codes(
    flags: tuple[str, ...],
) -> None:
    script = "trap 'exit 44' TERM; kill -TERM 1; while :; do sleep 0.1; done"
    done = subprocess.run(
        ["unshare", "-Urpf", "--mount-proc", *RUN, *flags, "--", "sh", "-c", script],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 44, done.stderr


# Both children have ended before the wrapper looks, the server first.
BOTH_ENDED = """
import os, sys
from sidecar import wrapper
server = wrapper.spawn(["sh", "-c", "exit 43"], {"PATH": os.environ["PATH"]})
sampler = wrapper.Sampler([], server_started_at=0.0)
sampler._pid = wrapper.spawn(["sh", "-c", "kill -9 $$"], {"PATH": os.environ["PATH"]})
for pid in (server, sampler._pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
code = wrapper.follow(server, sampler)
sampler.end()
sys.exit(code)
"""


def test_a_sampler_that_ends_with_the_server_does_not_change_its_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", BOTH_ENDED], capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (43, False)


def test_the_command_is_all_behind_the_first_two_dashes() -> None:
    assert wrapper.split(["--port", "1", "--", "a", "--", "b"]) == (
        ["--port", "1"],
        ["a", "--", "b"],
    )
    assert wrapper.split(["a"]) == (["a"], [])


def test_the_log_of_the_wrapper_is_one_json_object_a_line() -> None:
    done = wrapped("no-such-command-here")
    said = [json.loads(text) for text in done.stderr.splitlines()]
    assert [fact["event"] for fact in said] == ["the command cannot be started"]
