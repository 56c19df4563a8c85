"""One real control plane for all end-to-end tests, and a namespace with a fake kubelet for each."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from tests.controlplane import netns
from tests.controlplane.addresses import AddressPool
from tests.controlplane.api import Api
from tests.controlplane.build import BuildError
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.components import Options
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.e2e.adapters import Adapters
from tests.e2e.gateway import APP, Gateways
from tests.e2e.impostors import ANNOTATION, Impostors
from tests.e2e.llmpods import LlmPods
from tests.e2e.scene import Scene
from tests.e2e.traffic import Traffic
from tests.fakes import bad_pages

# Long enough that a scale-down is seen to be held back, short enough to see it happen.
OPTIONS = Options(hpa_downscale_stabilization_seconds=10.0)


@pytest.fixture(scope="session")
def controlplane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Shared by the whole run: a test that stops a component starts it again."""
    if not netns.inside():
        pytest.fail("not inside the test network: run `make e2e`", pytrace=False)
    try:
        shared = ControlPlane(tmp_path_factory.mktemp("controlplane"), OPTIONS)
    except BuildError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    with shared:
        yield shared


@pytest.fixture(autouse=True)
def _components_live(controlplane: ControlPlane) -> Iterator[None]:
    """A component that died is the failure of the test that it died in."""
    yield
    controlplane.check()


@pytest.fixture(scope="session")
def pod_addresses() -> AddressPool:
    """Of the whole run, so that no test meets the address of another test's pod."""
    return AddressPool()


@pytest.fixture
async def api(controlplane: ControlPlane) -> AsyncIterator[Api]:
    """The API server as admin."""
    async with Api(controlplane.server, controlplane.ssl_context()) as client:
        yield client


@pytest.fixture
async def kubelet(api: Api, pod_addresses: AddressPool) -> AsyncIterator[Kubelet]:
    """Runs the pods of the test's namespace; set its `behaviour` before creating pods.

    More namespaces: `kubelet.take(name)`, before pods are created there.
    """
    async with Kubelet(api, namespaces=(), addresses=pod_addresses) as running:
        yield running


@pytest.fixture
async def namespace(api: Api, kubelet: Kubelet) -> AsyncIterator[str]:
    """An empty namespace; at the end its deletion is asked for and its pods are waited for."""
    name = f"e2e-{secrets.token_hex(4)}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    # Pods are refused until the controller manager has made their service account.
    await api.appears(f"/api/v1/namespaces/{name}/serviceaccounts/default")
    kubelet.take(name)
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")
    # The namespace controller begins only 5 s later; nobody can make new pods from here on.
    await api.delete(f"/api/v1/namespaces/{name}/pods")
    await kubelet.drained(name)


@pytest.fixture
async def scene(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    """Adapter pods and LLM pods that are real processes, and traffic; nothing is installed yet."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for part in ("adapters", "pods"):
            (tmp_path / part).mkdir()
        adapters = Adapters(tmp_path / "adapters", controlplane, api, kubelet, session)
        llm = LlmPods(tmp_path / "pods", kubelet, session)

        impostors = Impostors(kubelet)
        gateways = Gateways(kubelet, llm, session)

        def of(pod: dict[str, Any]) -> Adapters | LlmPods | Impostors | Gateways:
            labels = pod["metadata"].get("labels", {})
            if ANNOTATION in pod["metadata"].get("annotations", {}):
                return impostors
            if labels.get("app") == APP:
                return gateways
            return adapters if labels.get("app.kubernetes.io/component") == "adapter" else llm

        kubelet.behaviour = Behaviour(
            cold_start_seconds=math.inf,
            on_running=lambda pod: of(pod).start(pod),
            on_stopped=lambda pod: of(pod).stop(pod),
            on_restarted=lambda pod, _: of(pod).restart(pod),
        )
        async with Traffic(llm, session) as traffic:
            yield Scene(controlplane, api, kubelet, namespace, adapters, llm, traffic, gateways)
        if adapters.processes:
            await adapters.uninstall()
        await llm.close()


@pytest.fixture
async def bad_pages_url() -> AsyncIterator[str]:
    """A server of every page that no model server should have; NAME at /NAME."""
    server = TestServer(bad_pages.application())
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()
