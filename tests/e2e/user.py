"""A user who types what a page shows, in a folder of their own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.e2e.llmpods import ROOT
from tests.e2e.scene import Scene

LINE_SECONDS = 60.0


class User:
    """Has kubectl and forescale on the PATH; the context's namespace is the test's."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "forescale").symlink_to(ROOT)
        kubeconfig = json.loads(scene.controlplane.kubeconfig.read_text())
        kubeconfig["contexts"][0]["context"]["namespace"] = scene.namespace
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        kubectl = folder / "bin" / "kubectl"
        kubectl.parent.mkdir()
        kubectl.write_text(f'#!/bin/sh\nexec {scene.controlplane.binary} kubectl "$@"\n')
        kubectl.chmod(0o755)

    async def run(self, line: str) -> tuple[int, str]:
        """Run a line of the shell; return its exit code, and stdout and stderr together."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", line,
            cwd=self.folder,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), LINE_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, out.decode()

    def _environment(self) -> dict[str, str]:
        path = [str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        kubeconfig = str(self.folder / "kubeconfig")
        return {"PATH": ":".join(path), "KUBECONFIG": kubeconfig, "HOME": str(self.folder)}
