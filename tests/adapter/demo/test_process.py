"""A child of the demo is told apart, reports its end, and leaves with all that it started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from adapter.demo.process import Child, stop_all
from adapter.errors import StartupError

# Starts a grandchild that ignores SIGTERM, then says so and waits.
STUBBORN = """\
import os, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
grandchild = subprocess.Popen([sys.executable, "-c", code])
print(grandchild.pid, os.getsid(0), os.environ.get("FORESCALE_ADAPTER_X"), flush=True)
time.sleep(60)
"""


async def started(folder: Path, code: str, env: Mapping[str, str] | None = None) -> Child:
    (folder / "program.py").write_text(code, encoding="utf-8")
    return await Child.start("program", ["program"], root=folder, folder=folder, env=env or {})


async def words(child: Child) -> list[str]:
    async with asyncio.timeout(20):
        while (told := child.last_words()) == "it wrote nothing":
            await asyncio.sleep(0.02)
    return told.split()


async def test_stopping_a_child_takes_its_grandchild_with_it(tmp_path: Path) -> None:
    child = await started(tmp_path, STUBBORN)
    grandchild = psutil.Process(int((await words(child))[0]))
    await child.stop()
    assert not child.running
    async with asyncio.timeout(5):
        while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def test_a_child_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(
    tmp_path: Path,
) -> None:
    child = await started(tmp_path, STUBBORN)
    session = int((await words(child))[1])
    await child.stop()
    assert session != os.getsid(0)


async def test_settings_of_the_demos_own_environment_do_not_reach_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESCALE_ADAPTER_X", "from the shell")
    child = await started(tmp_path, STUBBORN)
    assert (await words(child))[2] == "None"
    await child.stop()
    child = await started(tmp_path, STUBBORN, {"FORESCALE_ADAPTER_X": "given"})
    assert (await words(child))[2] == "given"
    await child.stop()


async def test_a_child_that_ended_by_itself_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    child = await started(tmp_path, "import sys; print('port taken'); sys.exit(3)")
    async with asyncio.timeout(20):
        while child.running:
            await asyncio.sleep(0.02)
    with pytest.raises(StartupError, match="program ended with code 3: port taken"):
        child.check()
    await stop_all([child])
