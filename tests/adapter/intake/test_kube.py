"""The client sends and receives raw JSON, always ends in time, and names what went wrong."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiohttp import web

from adapter.cluster import Patch
from adapter.errors import KubeError, StartupError
from adapter.intake import kube as kubes
from adapter.intake.kube import Kube
from tests.fakes.apiserver import FakeApiServer

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
NAMED = {"metadata": {"name": "settings"}, "data": {"a": "1", "b": "2"}}


async def test_objects_are_made_read_changed_and_deleted_as_raw_json(kube: Kube) -> None:
    made = await kube.create(CONFIGMAPS, NAMED)
    assert made["metadata"]["uid"]
    path = f"{CONFIGMAPS}/settings"
    await kube.patch(path, {"data": {"a": None, "c": "3"}})
    assert (await kube.get(path))["data"] == {"b": "2", "c": "3"}
    await kube.delete(path, uid=made["metadata"]["uid"])
    with pytest.raises(KubeError, match="not found") as caught:
        await kube.get(path)
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")


async def test_a_name_that_is_taken_is_a_conflict(kube: Kube) -> None:
    await kube.create(CONFIGMAPS, NAMED)
    with pytest.raises(KubeError) as caught:
        await kube.create(CONFIGMAPS, NAMED)
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")


async def test_a_delete_of_another_uid_deletes_nothing(kube: Kube) -> None:
    await kube.create(CONFIGMAPS, NAMED)
    with pytest.raises(KubeError, match="UID"):
        await kube.delete(f"{CONFIGMAPS}/settings", uid="another")
    assert await kube.get(f"{CONFIGMAPS}/settings")


async def test_each_kind_of_patch_is_sent_as_such(kube: Kube, server: FakeApiServer) -> None:
    await kube.create(CONFIGMAPS, NAMED)
    for kind in (Patch.MERGE, Patch.STRATEGIC):
        await kube.patch(f"{CONFIGMAPS}/settings", {"data": {"x": "y"}}, kind=kind)
        assert server.headers[-1]["Content-Type"] == str(kind)


async def test_requests_carry_the_token_and_a_name(kube: Kube, server: FakeApiServer) -> None:
    await kube.get(CONFIGMAPS, {"labelSelector": "a in (b,c)"})
    assert server.headers[-1]["Authorization"] == "Bearer adapter"
    assert server.headers[-1]["User-Agent"].startswith("forescale-adapter/")
    assert server.queries[-1]["labelSelector"] == "a in (b,c)"


async def test_a_server_that_hangs_costs_the_deadline_and_no_more(
    kube: Kube, server: FakeApiServer
) -> None:
    server.answering.clear()
    began = time.monotonic()
    with pytest.raises(KubeError, match=r"no answer within 0\.2 s") as caught:
        await kube.get(CONFIGMAPS, deadline_seconds=0.2)
    assert time.monotonic() - began < 1.0
    assert (caught.value.code, caught.value.reason) == (0, "Timeout")


async def test_a_server_tells_its_time_or_that_it_did_not_answer(
    kube: Kube, server: FakeApiServer
) -> None:
    assert abs(await kube.clock() - time.time()) < 5
    server.answering.clear()
    with pytest.raises(KubeError, match=r"GET /version: no Date") as caught:
        await kube.clock(deadline_seconds=0.2)
    assert (caught.value.code, caught.value.reason) == (0, "Unreachable")


async def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        path = server.kubeconfig(tmp_path)
    kube = await Kube.connect(path)
    try:
        with pytest.raises(KubeError, match=CONFIGMAPS) as caught:
            await kube.get(CONFIGMAPS)
    finally:
        await kube.close()
    assert (caught.value.code, caught.value.reason) == (0, "Unreachable")


async def test_an_answer_that_is_no_status_is_quoted(tmp_path: Path) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake = FakeApiServer()
    fake.port = site.port
    kube = await Kube.connect(fake.kubeconfig(tmp_path))
    try:
        with pytest.raises(KubeError, match="bad gateway") as caught:
            await kube.get(CONFIGMAPS)
    finally:
        await kube.close()
        await runner.cleanup()
    assert caught.value.code == 502


async def test_a_kubeconfig_that_cannot_be_used_is_a_startup_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="is no file"):
        await Kube.connect(str(tmp_path / "missing"))
    broken = tmp_path / "broken"
    broken.write_text("clusters: [")
    with pytest.raises(StartupError, match="cannot be used"):
        await Kube.connect(str(broken))
    empty = tmp_path / "empty"
    empty.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"}))
    with pytest.raises(StartupError, match="cannot be used"):
        await Kube.connect(str(empty))


async def test_without_a_service_account_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(StartupError, match="set kubeconfig"):
        await Kube.connect("")


async def test_the_pods_token_is_read_again_when_the_kubelet_replaced_it(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes_asyncio.config import incluster_config  # noqa: PLC0415

    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    certificate.write_text(_some_certificate())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    # The mount point of every pod, which this machine has not.
    defaults = incluster_config.load_incluster_config
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(
        incluster_config,
        "load_incluster_config",
        lambda **kw: defaults(**kw, token_filename=str(token), cert_filename=str(certificate)),
    )
    monkeypatch.setattr(kubes, "TOKEN_REFRESH_SECONDS", 0.05)
    kube = await Kube.connect("")
    # The loader speaks https only; the fake does not.
    kube._client.configuration.host = f"http://127.0.0.1:{server.port}"
    try:
        await kube.get(CONFIGMAPS)
        assert server.headers[-1]["Authorization"] == "Bearer first"
        token.write_text("second\n")
        await asyncio.sleep(0.06)
        await kube.get(CONFIGMAPS)
        assert server.headers[-1]["Authorization"] == "Bearer second"
        token.unlink()
        await asyncio.sleep(0.06)
        await kube.get(CONFIGMAPS)
        assert server.headers[-1]["Authorization"] == "Bearer second"
    finally:
        await kube.close()


def _some_certificate() -> str:
    from adapter.api import tls  # noqa: PLC0415

    return tls.new_authority("a", 3650.0, time.time()).pem.decode()
