"""APIServices are made where there is none, kept right, and never taken from others unasked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import KubeError, StartupError
from adapter.intake import registration as module
from adapter.intake.kube import Kube
from adapter.intake.registration import PATH, UNINSTALLED, Registration, uninstall
from adapter.settings import ApiServices, Settings
from tests.fakes.apiserver import FakeApiServer

NAMES = ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"]
BOTH = set(NAMES)
EVENTS = "/api/v1/namespaces/forescale-system/events"
CA = b"-----BEGIN CERTIFICATE-----\nours\n"
BUNDLE = base64.b64encode(CA).decode()
FOREIGN = {"name": "prometheus-adapter", "namespace": "monitoring", "port": 443}


class Cluster:
    """A registration at work on a small API server."""

    def __init__(self, server: FakeApiServer, kube: Kube) -> None:
        self.server = server
        self.kube = kube
        self.authority = CA
        self.error: Exception | None = None
        self.registration: Registration | None = None

    async def pem(self) -> bytes:
        if self.error is not None:
            raise self.error
        return self.authority

    @asynccontextmanager
    async def running(self, *, takeover: bool = False) -> AsyncIterator[Registration]:
        settings = Settings(api_services=ApiServices(takeover=takeover))
        registration = Registration(self.kube, settings, self.pem)
        task = asyncio.create_task(registration.run())
        yield registration
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def service(self, name: str) -> dict[str, Any]:
        return self.server.get(PATH, name)

    def make_foreign(self, name: str, **spec: object) -> None:
        body = {"metadata": {"name": name}, "spec": {"service": FOREIGN} | spec}
        self.server.put(PATH, body)

    def events(self) -> list[dict[str, Any]]:
        return list(self.server.collections.get(EVENTS, {}).values())


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(module, "RECREATE_SECONDS", 0.3)
    monkeypatch.setattr(module, "PACE_SECONDS", 0.1)
    monkeypatch.setattr(module, "TAKEOVER_PACE_SECONDS", 0.5)
    async with FakeApiServer() as server:
        kube = await Kube.connect(server.kubeconfig(tmp_path))
        yield Cluster(server, kube)
        await kube.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def registered(registration: Registration) -> bool:
    return registration.states == dict.fromkeys(NAMES, "registered")


async def test_where_there_is_none_both_versions_are_made(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
    assert cluster.service(NAMES[1])["spec"] == {
        "group": "custom.metrics.k8s.io",
        "version": "v1beta2",
        "service": {"name": "forescale", "namespace": "forescale-system", "port": 443},
        "caBundle": BUNDLE,
        "groupPriorityMinimum": 100,
        "versionPriority": 200,
    }
    assert cluster.service(NAMES[0])["spec"]["versionPriority"] == 100
    labels = cluster.service(NAMES[0])["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/managed-by": "forescale"}


async def test_two_replicas_make_them_once(cluster: Cluster) -> None:
    async with cluster.running() as one, cluster.running() as two:
        await until(lambda: registered(one) and registered(two))
    assert cluster.server.collections[PATH].keys() == BOTH
    assert cluster.server.calls[f"POST {PATH}"] <= 4


@pytest.mark.parametrize("change", [{"caBundle": None}, {"caBundle": "d3Jvbmc="}])
async def test_a_ca_bundle_that_was_wiped_or_changed_is_put_back(
    cluster: Cluster, change: dict[str, object]
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        path = f"{PATH}/{NAMES[0]}"
        for _ in range(3):
            await cluster.kube.patch(path, {"spec": change})
            await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == BUNDLE)


async def test_verification_that_was_switched_off_is_switched_on_again(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        change = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
        await cluster.kube.patch(f"{PATH}/{NAMES[0]}", change)
        await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == BUNDLE)
        assert "insecureSkipTLSVerify" not in cluster.service(NAMES[0])["spec"]


async def test_one_that_was_deleted_by_somebody_is_made_again_but_not_at_once(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.server.remove(PATH, NAMES[1])
        await until(lambda: "deleted" in registration.states[NAMES[1]])
        await asyncio.sleep(0.15)
        assert NAMES[1] not in cluster.server.collections[PATH]
        await until(lambda: NAMES[1] in cluster.server.collections[PATH])


async def test_a_new_ca_is_put_in(cluster: Cluster) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        cluster.authority = b"new"
        await cluster.kube.patch(f"{PATH}/{NAMES[0]}", {"spec": {"caBundle": None}})
        await until(lambda: cluster.service(NAMES[0])["spec"].get("caBundle") == "bmV3")


async def test_a_foreign_one_is_left_alone_and_its_owner_is_named(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.make_foreign(NAMES[0])
    before = dict(cluster.service(NAMES[0]))
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH and cluster.events())
        assert "belongs to Service monitoring/prometheus-adapter" in registration.states[NAMES[0]]
        assert registration.states[NAMES[1]] == "registered"
    assert cluster.service(NAMES[0]) == before
    event = cluster.events()[0]
    assert (event["reason"], event["type"]) == ("APIServiceForeign", "Warning")
    assert event["involvedObject"]["name"] == "forescale"
    assert "apiServices.takeover" in event["message"]
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "apiservice_foreign"
    ]


async def test_a_foreign_one_that_goes_away_makes_room(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.make_foreign(name)
    async with cluster.running() as registration:
        await until(lambda: len(cluster.events()) == 2)
        for name in NAMES:
            cluster.server.remove(PATH, name)
        await until(lambda: registered(registration))


async def test_one_that_kube_apiserver_serves_itself_is_foreign_too(cluster: Cluster) -> None:
    cluster.server.put(PATH, {"metadata": {"name": NAMES[0]}, "spec": {"service": None}})
    async with cluster.running() as registration:
        await until(lambda: "belongs to kube-api" in registration.states.get(NAMES[0], ""))


async def test_takeover_takes_it_and_says_so_and_keeps_its_annotations(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.make_foreign(NAMES[0], insecureSkipTLSVerify=True, groupPriorityMinimum=50)
    cluster.service(NAMES[0])["metadata"]["annotations"] = {"a": "b"}
    async with cluster.running(takeover=True):
        await until(cluster.events)
    found = cluster.service(NAMES[0])
    assert found["spec"]["service"]["name"] == "forescale"
    assert found["spec"]["caBundle"] == BUNDLE
    assert "insecureSkipTLSVerify" not in found["spec"]
    assert found["metadata"]["annotations"] == {"a": "b"}
    event = cluster.events()[0]
    assert (event["reason"], event["type"]) == ("APIServiceTakenOver", "Normal")
    assert "from Service monitoring/prometheus-adapter" in event["message"]
    assert "apiservice_taken_over" in caplog.text


async def test_two_who_take_over_from_each_other_do_so_slowly(cluster: Cluster) -> None:
    cluster.make_foreign(NAMES[0])
    async with cluster.running(takeover=True):
        async with asyncio.timeout(10):
            for _ in range(2):
                await until(
                    lambda: cluster.service(NAMES[0])["spec"]["service"]["name"] == "forescale"
                )
                cluster.make_foreign(NAMES[0])
        patches = cluster.server.calls[f"PATCH {PATH}/{NAMES[0]}"]
        await asyncio.sleep(0.2)
        assert cluster.server.calls[f"PATCH {PATH}/{NAMES[0]}"] - patches <= 1


async def test_an_event_that_cannot_be_written_stops_nothing(cluster: Cluster) -> None:
    cluster.server.refusals[f"POST {EVENTS}"] = {
        "code": 403,
        "reason": "Forbidden",
        "message": "no events for you",
    }
    cluster.make_foreign(NAMES[0])
    async with cluster.running(takeover=True) as registration:
        await until(lambda: "taken over" in registration.states.get(NAMES[0], ""))


@pytest.mark.parametrize(
    "error", [KubeError(0, "Timeout", "no answer"), StartupError("no usable CA")]
)
async def test_what_fails_is_told_once_and_tried_again(
    cluster: Cluster, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.error = error
    async with cluster.running() as registration:
        await until(lambda: registration.states.keys() == BOTH)
        assert str(error) in registration.states[NAMES[0]]
        await asyncio.sleep(0.2)
        cluster.error = None
        await until(lambda: registered(registration))
    failures = [r for r in caplog.records if r.getMessage() == "registration_failed"]
    assert len(failures) == 2


async def test_uninstall_deletes_ours_and_no_running_adapter_makes_them_again(
    cluster: Cluster,
) -> None:
    async with cluster.running() as registration:
        await until(lambda: registered(registration))
        removals = await uninstall(cluster.kube, Settings().api)
        assert [(r.name, r.deleted) for r in removals] == [(NAMES[1], True), (NAMES[0], True)]
        await until(lambda: registration.states == dict.fromkeys(NAMES, "uninstalled"))
        await asyncio.sleep(0.3)
        assert cluster.server.collections[PATH] == {}


async def test_uninstall_leaves_a_foreign_one_and_tells_whose_it_is(cluster: Cluster) -> None:
    cluster.make_foreign(NAMES[0])
    removals = {removal.name: removal for removal in await uninstall(cluster.kube, Settings().api)}
    assert removals[NAMES[0]].words == "kept: it belongs to Service monitoring/prometheus-adapter"
    assert removals[NAMES[1]].words == "was not there"
    assert not any(removal.deleted for removal in removals.values())
    assert UNINSTALLED not in cluster.service(NAMES[0])["metadata"].get("annotations", {})


async def test_uninstall_says_when_it_is_refused(cluster: Cluster) -> None:
    cluster.server.refusals[f"GET {PATH}/{NAMES[1]}"] = {
        "code": 403,
        "reason": "Forbidden",
        "message": "no apiservices for you",
    }
    with pytest.raises(KubeError, match="no apiservices"):
        await uninstall(cluster.kube, Settings().api)
