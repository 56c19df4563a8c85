"""A control plane to play with: `python -m tests.controlplane`, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.controlplane import netns
from tests.controlplane.api import Api
from tests.controlplane.build import BuildError
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.components import Options
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.controlplane.processes import ProcessError

CHECK_SECONDS = 1.0
READY_LINE = "ready; Ctrl-C ends it"


def main() -> int:
    arguments = _arguments()
    try:
        if not netns.inside():
            netns.enter([sys.executable, "-m", "tests.controlplane", *sys.argv[1:]])
        # Both, since a shell starts what it puts in the background with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        with tempfile.TemporaryDirectory(prefix="controlplane-") as folder:
            _run(Path(folder), arguments)
    except KeyboardInterrupt:
        return 0
    except (netns.NetworkError, BuildError, ProcessError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("--cold-start-seconds", type=float, default=5.0, help="of every pod")
    parser.add_argument("--scheduler", action="store_true", help="bind pods by the real scheduler")
    return parser.parse_args()


def _run(folder: Path, arguments: argparse.Namespace) -> None:
    with ControlPlane(folder, Options(scheduler=arguments.scheduler)) as controlplane:
        sys.stdout.write(_welcome(controlplane))
        sys.stdout.flush()
        asyncio.run(_serve(controlplane, arguments))


def _welcome(controlplane: ControlPlane) -> str:
    kubectl = f"{controlplane.binary} kubectl"
    return f"""\
kubeconfig  {controlplane.kubeconfig}
logs        {controlplane.folder}

Its addresses exist in a network namespace of their own. In another terminal:
  {netns.enter_line(os.getpid())}
  export KUBECONFIG={controlplane.kubeconfig}
and then, for example:
  {kubectl} get pods -A
  {kubectl} create deployment model --image=model --replicas=2
  {kubectl} get --raw /apis
{READY_LINE}
"""


async def _serve(controlplane: ControlPlane, arguments: argparse.Namespace) -> None:
    behaviour = Behaviour(cold_start_seconds=arguments.cold_start_seconds)
    binds = not arguments.scheduler
    async with (
        Api(controlplane.server, controlplane.ssl_context()) as api,
        Kubelet(api, behaviour=behaviour, binds=binds),
    ):
        while True:
            controlplane.check()
            await asyncio.sleep(CHECK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
