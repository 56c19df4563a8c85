"""`forescale coldstart`: how long a workload's pods take until they serve, on one screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli import reach, startpage
from adapter.cli.reach import Page
from adapter.errors import KubeError, StartupError
from adapter.ops.coldstart import ColdStart, Stories
from adapter.settings import Api

_KINDS = {
    "deploy": "Deployment",
    "deployment": "Deployment",
    "sts": "StatefulSet",
    "statefulset": "StatefulSet",
    "rs": "ReplicaSet",
    "replicaset": "ReplicaSet",
    "lws": "LeaderWorkerSet",
    "leaderworkerset": "LeaderWorkerSet",
}


def run(argv: Sequence[str]) -> int:
    """Return 0 with the figures on standard output, 1 when there are none or nobody answers."""
    chosen = _parser().parse_args(argv)
    try:
        stories = asyncio.run(_stories(chosen))
    except StartupError as error:
        return _failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        return _failed(reach.told(error), reach.hint(error, "kubectl get pods shows what starts"))
    json = msgspec.json.encode(stories).decode()
    text = json if chosen.output == "json" else startpage.text(stories)
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Api()
    made = argparse.ArgumentParser(
        prog="forescale coldstart",
        description="Shows how long pods take from their creation until they serve, as the adapter"
        " has learnt it, what they wait for on the way, and which are stuck.",
        allow_abbrev=False,
    )
    made.add_argument("workload", metavar="WORKLOAD", nargs="?", default="",
                      help="NAME or KIND/NAME (default: all of the namespace)")  # fmt: skip
    made.add_argument("-n", "--namespace", default="default", help="(default: %(default)s)")
    made.add_argument("-A", "--all-namespaces", action="store_true")
    made.add_argument("-o", "--output", choices=("text", "json"), default="text")
    made.add_argument("--kubeconfig", default="", help="(default: as kubectl finds it)")
    made.add_argument(
        "--adapter", default="", metavar="URL", help="ops port of an adapter, without a cluster"
    )
    made.add_argument("--adapter-namespace", default=default.namespace, help="(%(default)s)")
    made.add_argument("--adapter-service", default=default.service, help="(%(default)s)")
    return made


async def _stories(chosen: argparse.Namespace) -> Stories:
    if chosen.adapter:
        return await _asked(reach.at(chosen.adapter), chosen)
    async with reach.cluster(chosen.kubeconfig) as kube:
        page = reach.through(kube, chosen.adapter_namespace, chosen.adapter_service)
        return await _asked(page, chosen)


async def _asked(page: Page, chosen: argparse.Namespace) -> Stories:
    kind, _, name = chosen.workload.rpartition("/")
    query = {"name": name, "kind": _KINDS.get(kind.lower(), kind)}
    if not chosen.all_namespaces:
        query["namespace"] = chosen.namespace
    return msgspec.convert(await page(ColdStart.path, query), Stories, strict=False)


def _failed(words: str, hint: str) -> int:
    sys.stderr.write(f"error: {words}\nhint: {hint}\n")
    return 1
