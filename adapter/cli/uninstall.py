"""`forescale uninstall`: deletes our APIServices, which must go before the adapter does.

An APIService without a server behind it keeps every namespace of the cluster from being deleted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from adapter.cli import reach
from adapter.cli.failure import Parser, failed
from adapter.errors import KubeError, StartupError
from adapter.intake.removal import Removal, uninstall
from adapter.settings import Api

_FORBIDDEN = (401, 403)


def run(argv: list[str]) -> int:
    """Return 0 when none of ours is left, 1 when the API server could not be asked."""
    arguments = _parser().parse_args(argv)
    api = Api(service=arguments.service, namespace=arguments.namespace)
    try:
        removals = asyncio.run(_uninstall(arguments.kubeconfig, arguments.context, api))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or set KUBECONFIG")
    except KubeError as error:
        return failed(str(error), _hint(error))
    _report(removals, api)
    return 0


def _parser() -> argparse.ArgumentParser:
    default = Api()
    made = Parser(
        prog="forescale uninstall",
        description="Delete the APIServices that point to the adapter; run it before you delete"
        " the adapter itself.",
        allow_abbrev=False,
    )
    made.add_argument(
        "--kubeconfig", default="", help="(default: KUBECONFIG, or ~/.kube/config, or the pod's)"
    )
    made.add_argument("--context", default="", help="of the kubeconfig (default: its current one)")
    made.add_argument(
        "--adapter-namespace",
        "--namespace",
        dest="namespace",
        default=default.namespace,
        help="of the adapter (default: %(default)s)",
    )
    made.add_argument(
        "--adapter-service",
        "--service",
        dest="service",
        default=default.service,
        help="of the adapter (default: %(default)s)",
    )
    return made


async def _uninstall(kubeconfig: str, context: str, api: Api) -> list[Removal]:
    async with reach.cluster(kubeconfig, context) as kube:
        return await uninstall(kube, api)


def _report(removals: list[Removal], api: Api) -> None:
    for removal in removals:
        sys.stdout.write(f"{removal.name}: {removal.words}\n")
    if any(removal.deleted for removal in removals):
        sys.stdout.write(
            f"hint: delete the adapter now, its next start registers it again:"
            f" kubectl -n {api.namespace} delete deployment forescale-adapter\n"
        )


def _hint(error: KubeError) -> str:
    if error.code in _FORBIDDEN:
        return "use a user who may get, patch and delete apiservices.apiregistration.k8s.io"
    return "is the cluster reachable? try: kubectl get apiservices"
