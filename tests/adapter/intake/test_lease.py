"""The lease is one replica's at a time, and anybody's once its holder was silent for long."""

from __future__ import annotations

import asyncio

import pytest

from adapter.errors import KubeError
from adapter.intake.kube import Kube
from adapter.intake.lease import Lease
from tests.fakes.apiserver import FakeApiServer

LEASES = "/apis/coordination.k8s.io/v1/namespaces/forescale-system/leases"


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def lease(kube: Kube, holder: str, clock: Clock | None = None) -> Lease:
    return Lease(kube, "forescale-system", "it", holder=holder, seconds=900, clock=clock or Clock())


async def test_the_first_has_it_and_renews_it(kube: Kube, server: FakeApiServer) -> None:
    first, second = lease(kube, "a"), lease(kube, "b")
    assert await first.held()
    before = dict(server.get(LEASES, "it")["spec"])
    assert (before["holderIdentity"], before["leaseDurationSeconds"]) == ("a", 900)
    assert not await second.held()
    assert await first.held()
    after = server.get(LEASES, "it")["spec"]
    assert after["renewTime"] > before["renewTime"]
    assert after["acquireTime"] == before["acquireTime"]


async def test_one_that_is_not_renewed_is_taken(kube: Kube, server: FakeApiServer) -> None:
    clock = Clock()
    first, second = lease(kube, "a"), lease(kube, "b", clock)
    assert await first.held()
    assert not await second.held()
    clock.now = 899
    assert not await second.held()
    clock.now = 901
    assert await second.held()
    assert not await first.held()
    spec = server.get(LEASES, "it")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_one_that_is_renewed_is_left_alone_however_wrong_its_clock_is(
    kube: Kube, server: FakeApiServer
) -> None:
    clock = Clock()
    second = lease(kube, "b", clock)
    for number in range(5):
        clock.now += 800
        spec = {"holderIdentity": "a", "renewTime": f"1999-01-0{number + 1}T00:00:00.000000Z"}
        server.put(LEASES, {"metadata": {"name": "it"}, "spec": spec})
        assert not await second.held()


async def test_one_that_was_given_up_is_taken_at_once(kube: Kube, server: FakeApiServer) -> None:
    server.put(LEASES, {"metadata": {"name": "it"}, "spec": {"holderIdentity": ""}})
    assert await lease(kube, "b").held()


async def test_of_several_that_come_at_the_same_moment_one_has_it(kube: Kube) -> None:
    found = await asyncio.gather(*(lease(kube, f"{n}").held() for n in range(8)))
    assert sum(found) == 1


async def test_of_several_that_take_it_at_the_same_moment_one_has_it(
    kube: Kube, server: FakeApiServer
) -> None:
    server.put(LEASES, {"metadata": {"name": "it"}, "spec": {"holderIdentity": ""}})
    found = await asyncio.gather(*(lease(kube, f"{n}").held() for n in range(8)))
    assert sum(found) == 1


async def test_a_refusal_is_an_error(kube: Kube, server: FakeApiServer) -> None:
    refusal = {"code": 403, "reason": "Forbidden", "message": "no right"}
    server.refusals[f"GET {LEASES}/it"] = refusal
    with pytest.raises(KubeError, match="no right"):
        await lease(kube, "a").held()


async def test_one_that_is_released_is_taken_at_once(kube: Kube, server: FakeApiServer) -> None:
    first, second = lease(kube, "a"), lease(kube, "b")
    assert await first.held()
    assert not await second.held()
    await first.release()
    spec = server.get(LEASES, "it")["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("", 1)
    assert await second.held()
    spec = server.get(LEASES, "it")["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("b", 900)


async def test_anothers_is_not_released(kube: Kube, server: FakeApiServer) -> None:
    second = lease(kube, "b")
    await second.release()
    assert server.calls[f"GET {LEASES}/it"] == 0
    assert await second.held()
    taken = {"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z"}
    server.put(LEASES, {"metadata": {"name": "it"}, "spec": taken})
    await second.release()
    assert server.get(LEASES, "it")["spec"] == taken
