"""An address that goes from one pod to another: no page's figures become another pod's."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import NoValue
from adapter.intake.addresses import SHARED, shared
from adapter.intake.subscribe import Subscriber
from adapter.loop import Loop
from adapter.model.batch import Batch
from adapter.model.catalogue import METRICS, Stat, View
from adapter.model.fleet import Fleet, Pod
from adapter.model.selector import EVERYTHING
from adapter.settings import Model
from adapter.telemetry import Metrics
from tests.adapter.intake.scraping import SETTINGS, answering, figures, listening, page, scraped
from tests.adapter.intake.streaming import collect, pod
from tests.adapter.model.world import WALL

PENDING = METRICS["llm_inference_pending_requests"]
SERVING = {"model_ready": True, "model_started_at": WALL, "ready_changed_at": WALL + 10.0}


class Site:
    """One address with a page; what answers there is another pod's from one moment on."""

    def __init__(self) -> None:
        self.waiting = 50.0
        self.asked = 0
        self.held: asyncio.Event | None = None  # answers wait for it, with the page of before

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        text = page(self.waiting)
        if self.held is not None:
            await self.held.wait()
        return web.Response(text=text)


def pending(batch: Batch, uid: str) -> set[float]:
    mine = Batch(tuple(one for one in batch.readings if one.uid == uid))
    return {each["pending"] for each in figures(mine) if each}


@pytest.mark.parametrize("name", ["llm-1", "llm-2"])
async def test_a_pod_at_the_address_of_one_that_is_gone_has_none_of_its_figures(name: str) -> None:
    """Also one of the same name, as a StatefulSet's: an answer on its way belongs to nobody."""
    site = Site()
    async with (
        listening(answering(site.answer)) as port,
        Subscriber(SETTINGS, Metrics()) as subscriber,
    ):
        subscriber.follow(Fleet.of([scraped(port)], 1))
        await collect(subscriber, lambda b: pending(b, "u1") == {50.0})
        site.held, asked = asyncio.Event(), site.asked
        while site.asked == asked:  # the old pod's page is on its way
            await asyncio.sleep(0)
        site.waiting = 3.0
        subscriber.follow(Fleet.of([scraped(port, uid="u2", name=name)], 2))
        site.held.set()
        site.held = None
        batch = await collect(subscriber, lambda b: len(pending(b, "u2")) > 0)
    assert pending(batch, "u2") == {3.0}
    assert pending(batch, "u1") == set()


async def test_what_was_read_and_not_yet_taken_in_goes_with_the_address() -> None:
    """The pod has another address: what answered at the old one last may be a stranger's."""
    site, away = Site(), Site()
    away.waiting = 7.0
    async with (
        listening(answering(site.answer)) as port,
        listening(answering(away.answer)) as other,
        Subscriber(SETTINGS, Metrics()) as subscriber,
    ):
        subscriber.follow(Fleet.of([scraped(port)], 1))
        while site.asked < 3:  # two answers at least are there
            await asyncio.sleep(0.01)
        subscriber.follow(Fleet.of([scraped(other)], 2))
        batch = await collect(subscriber, lambda b: 7.0 in pending(b, "u1"))
    assert pending(batch, "u1") == {7.0}


async def test_while_two_pods_have_one_address_neither_is_asked_there() -> None:
    """A node that is lost keeps its pods' addresses in their statuses; others are given them."""
    site = Site()
    async with (
        listening(answering(site.answer)) as port,
        Subscriber(SETTINGS, Metrics()) as subscriber,
    ):
        old, new = scraped(port), scraped(port, uid="u2", name="llm-2")
        subscriber.follow(Fleet.of([old], 1))
        await collect(subscriber, lambda b: pending(b, "u1") == {50.0})
        site.waiting = 3.0
        while (asked := site.asked) < 4:
            await asyncio.sleep(0.01)
        subscriber.follow(Fleet.of([old, new], 2))
        batch = subscriber.collect()
        await asyncio.sleep(3 * SETTINGS.scrape_period_seconds)
        assert (batch.readings, subscriber.collect().readings) == ((), ())
        assert site.asked <= asked + 1  # one may have been on its way
        assert batch.troubles == {"u1": SHARED, "u2": SHARED}
        subscriber.follow(Fleet.of([scraped(port, uid="u2", name="llm-2")], 3))
        batch = await collect(subscriber, lambda b: len(pending(b, "u2")) > 0)
    assert (pending(batch, "u1"), pending(batch, "u2")) == (set(), {3.0})
    assert batch.troubles == {}


async def test_a_mean_of_the_new_pod_knows_nothing_of_the_old_one() -> None:
    """Through the whole way: what is served of a pod is of its own pages from the first tick."""
    site = Site()
    async with (
        listening(answering(site.answer)) as port,
        Subscriber(SETTINGS, Metrics()) as subscriber,
    ):
        fleets = [
            Fleet.of([scraped(port, **SERVING)], 1),
            Fleet.of([scraped(port, uid="u2", **SERVING)], 2),
        ]
        loop = Loop(Model(), lambda: fleets[0], subscriber, lambda _: (), Metrics())
        assert await _served(loop) == [50.0]
        site.waiting = 3.0
        fleets.pop(0)
        assert await _served(loop) == [3.0]


async def _served(loop: Loop) -> list[float]:
    """Tick until the pods are served; return the first mean of each."""
    view = View(Stat.MEAN, 30)
    async with asyncio.timeout(5):
        while True:
            loop.tick(asyncio.get_running_loop().time(), WALL + 600.0)
            assert loop.snapshot is not None
            with suppress(NoValue):
                found = loop.snapshot.pods(PENDING, view, "default", EVERYTHING, None)
                return [milli / 1000 for milli in found.milli]
            await asyncio.sleep(0.05)


PLAIN = pod(9401, "10.0.0.7", uid="u0")
SCRAPED = scraped(8000, ip="10.0.0.7", uid="u1")
LOCAL = scraped(8000, uid="u1")


@pytest.mark.parametrize(
    ("other", "is_shared"),
    [
        (scraped(9000, ip="10.0.0.7", uid="u2"), True),  # at whatever port: the address is one's
        (pod(9401, "10.0.0.7", uid="u2"), True),
        (pod(None, "10.0.0.7", uid="u2", phase="Pending"), True),  # init containers have it
        (pod(9401, "10.0.0.7", uid="u2", terminating=True), False),
        (pod(9401, "10.0.0.7", uid="u2", phase="Failed"), False),
        (pod(9401, "10.0.0.7", uid="u2", host_network=True), False),
        (pod(9401, "10.0.0.8", uid="u2"), False),
    ],
)
def test_an_address_is_shared_by_two_pods_that_have_not_ended(other: Pod, is_shared: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert ("u1" in shared([SCRAPED, other])) is is_shared
    assert ("u1" in shared([other, SCRAPED])) is is_shared


@pytest.mark.parametrize(("port", "is_shared"), [(8000, True), (8001, False)])
def test_on_loopback_pods_are_told_apart_by_their_pages(port: int, is_shared: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert bool(shared([LOCAL, scraped(port, uid="u2")])) is is_shared


@given(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "none at all", None])))
def test_those_that_share_are_just_those_whose_address_is_there_twice(
    ips: list[str | None],
) -> None:
    pods = [scraped(8000, ip=ip, uid=f"u{place}") for place, ip in enumerate(ips)]
    twice = {pod.uid for pod in pods if pod.ip is not None and ips.count(pod.ip) > 1}
    assert shared(pods) == twice
