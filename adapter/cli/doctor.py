"""`forescale doctor`: what stands between a cluster and an HPA that scales, and what mends it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

from adapter.cli import doctorpage, reach
from adapter.cli.failure import Parser, failed
from adapter.cli.reach import Page
from adapter.cluster import Json
from adapter.demo.view import Paint
from adapter.doctor.checks import Diagnosis, diagnose
from adapter.doctor.gather import gather
from adapter.errors import KubeError, StartupError
from adapter.settings import Api

_HINT = (
    "name your kubeconfig with --kubeconfig, or set KUBECONFIG: the doctor looks at a cluster,"
    " --adapter only says where its adapter answers"
)


def run(argv: Sequence[str]) -> int:
    """Return 0 where all is well, 1 with warnings, 2 with a failure, or where nothing is known."""
    chosen = _parser().parse_args(argv)
    try:
        diagnosis = asyncio.run(_diagnosis(chosen))
    except StartupError as error:
        return failed(str(error), _HINT, 2)
    except KubeError as error:
        return failed(reach.told(error), "is the cluster reachable? try: kubectl get nodes", 2)
    if chosen.output == "json":
        sys.stdout.write(msgspec.json.encode(diagnosis).decode() + "\n")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write(doctorpage.text(diagnosis, Paint(colour=colour)) + "\n")
    return diagnosis.exit_code()


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale doctor",
        description="Looks at the cluster, the adapter, the pods with a source and the HPAs, and"
        " says what keeps them from scaling and what mends it. Exit code 0: all is well; 1: a"
        " warning; 2: a failure, or something that could not be looked at.",
        allow_abbrev=False,
    )
    made.add_argument("-A", "--all-namespaces", action="store_true", help="(the default)")
    reach.add_options(made, namespace="all")
    return made


async def _diagnosis(chosen: argparse.Namespace) -> Diagnosis:
    api = Api(namespace=chosen.adapter_namespace, service=chosen.adapter_service)
    namespace = "" if chosen.all_namespaces else chosen.namespace
    async with reach.cluster(chosen.kubeconfig, chosen.context) as kube:
        page = reach.through(kube, api.namespace, api.service)
        if chosen.adapter:
            page = reach.at(chosen.adapter)
        return diagnose(await gather(kube, _in_words(page), api, namespace))


def _in_words(page: Page) -> Page:
    """Return the same page with errors in the adapter's own words, without their JSON."""

    async def asked(path: str, query: Mapping[str, str]) -> Json:
        try:
            return await page(path, query)
        except KubeError as error:
            raise KubeError(error.code, error.reason, reach.told(error)) from error

    return asked
