"""The way from the API server to an API of ours: ready endpoints of a Service, by pod address."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509

from tests.controlplane import pki
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.podlife import Behaviour
from tests.controlplane.workloads import condition, create_deployment, deployment

Json = dict[str, Any]
PORT = 10250
GROUP_VERSION = "echo.test/v1"


class EchoPod:
    """A pod's server that answers each request with who the API server says is asking."""

    def __init__(self, credentials: ssl.SSLContext) -> None:
        self._credentials = credentials
        self._runner: web.AppRunner | None = None

    async def start(self, pod: Json) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        address = pod["status"]["podIP"]
        await web.TCPSite(self._runner, address, PORT, ssl_context=self._credentials).start()

    async def stop(self, _: Json) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == f"/apis/{GROUP_VERSION}":
            resources: Json = {"kind": "APIResourceList", "apiVersion": "v1", "resources": []}
            return web.json_response(resources | {"groupVersion": GROUP_VERSION})
        subject = dict(pair for (pair,) in request.get_extra_info("peercert")["subject"])
        user = request.headers["X-Remote-User"]
        return web.json_response({"user": user, "proxy": subject["commonName"]})


def credentials(controlplane: ControlPlane, folder: Path, host: str) -> ssl.SSLContext:
    pair = pki.serving(controlplane.pki.authority, folder / "echo", "echo", [x509.DNSName(host)])
    front_proxy = controlplane.pki.front_proxy_authority.pair.certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=front_proxy)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def api_service(controlplane: ControlPlane, namespace: str) -> Json:
    bundle = controlplane.pki.authority.pair.certificate.read_bytes()
    group, version = GROUP_VERSION.split("/")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"namespace": namespace, "name": "llm"},
        "caBundle": base64.b64encode(bundle).decode(),
    }
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    return kind | {"metadata": {"name": f"{version}.{group}"}, "spec": spec}


async def test_the_api_server_reaches_a_pod_behind_a_service_with_its_proxy_certificate(
    controlplane: ControlPlane, api: Api, kubelet: Kubelet, namespace: str, tmp_path: Path
) -> None:
    echo = EchoPod(credentials(controlplane, tmp_path, f"llm.{namespace}.svc"))
    kubelet.behaviour = Behaviour(
        cold_start_seconds=0.0, on_running=echo.start, on_stopped=echo.stop
    )
    ports = [{"port": 443, "targetPort": PORT}]
    service = {"metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}, "ports": ports}}
    await api.post(f"/api/v1/namespaces/{namespace}/services", service)
    await create_deployment(api, namespace, deployment("llm"))
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    await api.post(services, api_service(controlplane, namespace))
    try:
        await api.until(
            f"{services}/v1.echo.test",
            lambda found: condition(found, "Available").get("status") == "True",
        )
        answer = json.loads(await controlplane.kubectl("get", "--raw", "/apis/echo.test/v1/who"))
        assert answer == {"user": "kubernetes-admin", "proxy": "front-proxy-client"}
    finally:
        await api.delete(f"{services}/v1.echo.test")
