"""The reach: how a subcommand asks an adapter, through the API server or at its ops port."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import aiohttp

from adapter.cluster import Json
from adapter.errors import KubeError, StartupError
from adapter.intake.kube import Kube
from adapter.settings import Api

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_OK = 200
_NOT_FOUND = 404
_UNAVAILABLE = 503


_NAMESPACE = "default"  # what kubectl asks where nothing names one
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"  # what the kubelet puts into every pod


class Page(Protocol):
    """Asks one page of the adapter's ops port; raises KubeError with the adapter's own words."""

    async def __call__(self, path: str, query: Mapping[str, str]) -> Json: ...


# What kubectl calls the workloads, and what they are.
WORKLOADS = {
    "deploy": "Deployment",
    "deployment": "Deployment",
    "sts": "StatefulSet",
    "statefulset": "StatefulSet",
    "rs": "ReplicaSet",
    "replicaset": "ReplicaSet",
    "lws": "LeaderWorkerSet",
    "leaderworkerset": "LeaderWorkerSet",
}


def add_options(
    parser: ArgumentParser,
    namespace: str = "the context's",
    outputs: Sequence[str] = ("text", "json"),
) -> None:
    """Add what every question to an adapter takes: of which namespace, of which adapter, how.

    `namespace` says which it is without the option; the first of `outputs` is usual.
    """
    default = Api()
    add = parser.add_argument
    add("-n", "--namespace", default="", help=f"(default: {namespace})")
    add("-o", "--output", choices=outputs, default=outputs[0])
    add("--kubeconfig", default="", help="(default: as kubectl finds it)")
    add("--context", default="", help="of the kubeconfig (default: its current one)")
    add("--adapter", type=_url, default="", metavar="URL",
        help="ops port of an adapter, such as http://127.0.0.1:8080")  # fmt: skip
    add("--adapter-namespace", default=default.namespace, help="(%(default)s)")
    add("--adapter-service", default=default.service, help="(%(default)s)")


@asynccontextmanager
async def chosen_page(chosen: Namespace) -> AsyncIterator[Page]:
    """Yield how to ask the adapter that the options of `add_options` name; raise as `cluster`."""
    if chosen.adapter:
        yield direct(chosen)
        return
    async with chosen_cluster(chosen) as kube:
        yield through(kube, chosen.adapter_namespace, chosen.adapter_service)


@asynccontextmanager
async def chosen_cluster(chosen: Namespace) -> AsyncIterator[Kube]:
    """Open the API server that the options name; a namespace left out becomes its context's."""
    async with cluster(chosen.kubeconfig, chosen.context) as kube:
        chosen.namespace = chosen.namespace or kube.namespace
        yield kube


def direct(chosen: Namespace) -> Page:
    """Return a way to `--adapter`, of no cluster: a namespace left out becomes `default`."""
    chosen.namespace = chosen.namespace or _NAMESPACE
    return at(chosen.adapter)


def add_workload(parser: ArgumentParser) -> None:
    """Add `[[KIND/]NAME] [-A]`: one workload, all of a namespace, or all."""
    parser.add_argument("workload", type=_workload, metavar="WORKLOAD", nargs="?", default="",
                        help="NAME or KIND/NAME (default: all of the namespace)")  # fmt: skip
    parser.add_argument("-A", "--all-namespaces", action="store_true")


def _workload(text: str) -> str:
    """Return the text; a kind of the user's own is written as its API has it."""
    kind, slash, name = text.rpartition("/")
    if slash and (not name or not (kind.lower() in WORKLOADS or kind[:1].isupper())):
        known = ", ".join(WORKLOADS)
        raise ArgumentTypeError(
            f"`{text}` is no KIND/NAME: KIND is one of {known}, or another as its API writes it,"
            " such as Rollout.argoproj.io"
        )
    return text


def of_workloads(chosen: Namespace) -> dict[str, str]:
    """Return the query for `[KIND/]NAME`, or for all of the namespace, or of every one (-A)."""
    kind, _, name = chosen.workload.rpartition("/")
    query = {"name": name, "kind": WORKLOADS.get(kind.lower(), kind)}
    return query if chosen.all_namespaces else query | {"namespace": chosen.namespace}


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ArgumentTypeError(f"`{text}` is no URL: write http://HOST:PORT, the ops port")
    return text


def kubeconfig(given: str) -> str:
    """Return the file that kubectl would use; empty for a pod's own credentials.

    Raises StartupError for a list of files, which is not merged here as kubectl does.
    """
    named = given or os.environ.get("KUBECONFIG", "")
    if os.pathsep in named and not Path(named).exists():
        raise StartupError(f"KUBECONFIG names several files, {named}: choose one of them")
    usual = Path.home() / ".kube" / "config"
    return named or (str(usual) if usual.is_file() else "")


@asynccontextmanager
async def cluster(given: str, context: str = "") -> AsyncIterator[Kube]:
    """Open the API server of a kubeconfig; raise StartupError where there is none."""
    path = kubeconfig(given)
    if not path and not os.environ.get(_IN_CLUSTER):
        raise StartupError("no cluster is named: neither KUBECONFIG nor ~/.kube/config is there")
    kube = await Kube.connect(path, context)
    try:
        yield kube
    finally:
        await kube.close()


def through(kube: Kube, namespace: str, service: str) -> Page:
    """Return a way through the API server's proxy: it needs `get` on services/proxy there."""

    async def page(path: str, query: Mapping[str, str]) -> Json:
        proxy = f"/api/v1/namespaces/{namespace}/services/{service}:ops/proxy{path}"
        return await kube.get(proxy, query, deadline_seconds=10.0)

    return page


def at(url: str) -> Page:
    """Return a way to an ops port that can be reached directly."""

    async def page(path: str, query: Mapping[str, str]) -> Json:
        address = f"{url.rstrip('/')}{path}?{urlencode(query)}"
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(address) as answer,
            ):
                body = await answer.json()
        except aiohttp.ContentTypeError as error:
            raise KubeError(0, "Unreachable", f"{url} answered, and not as an ops port") from error
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            raise KubeError(0, "Unreachable", f"{url} gave no answer: {_plain(error)}") from error
        if answer.status != _OK and not (isinstance(body, dict) and "error" in body):
            raise KubeError(0, "Unreachable", f"{url} answered, and not as an ops port")
        if answer.status != _OK:
            raise KubeError(answer.status, "", words(body))
        return dict(body)

    return page


def _plain(error: Exception) -> str:
    """Return why nothing came, without the library's names for address and socket."""
    if isinstance(error, TimeoutError):
        return f"none within {_TIMEOUT.total:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number).lower() if number else str(error.os_error)
    return str(error)


def words(body: object) -> str:
    """Return what the adapter said was wrong."""
    said = body.get("error") if isinstance(body, dict) else None
    return str(said or body)


def told(error: KubeError) -> str:
    """Return an error's words; a proxied answer of the adapter is JSON of its own."""
    try:
        return words(json.loads(error.message))
    except json.JSONDecodeError:
        return error.message or f"the API server answered {error.code}"


def hint(error: KubeError, where: str, adapter: str = "") -> str:
    """Return what a person can do about an error; `where` is where to look for what is missing.

    `adapter` is the URL that was asked, empty where the cluster was.
    """
    if adapter:
        return _hint_at(error, adapter)
    if error.code in (401, 403):
        return "you need `get` on services/proxy in the adapter's namespace"
    if error.code == _NOT_FOUND:
        return where
    if error.code == _UNAVAILABLE:
        return "kubectl -n forescale-system get pods shows whether the adapter runs"
    return "is the adapter reachable? try: kubectl -n forescale-system get pods"


def _hint_at(error: KubeError, adapter: str) -> str:
    if error.code == _NOT_FOUND:
        return f"forescale top -A --adapter {adapter} shows what the adapter knows"
    if error.code == _UNAVAILABLE:
        return f"{adapter}/readyz?verbose says what the adapter waits for"
    if not error.code:
        return "give its ops port (ops.port, 8080): the adapter's log and the demo say which it is"
    return "--help says what can be asked for"
