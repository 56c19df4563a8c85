"""Scrapes of real HTTP servers, good and hostile: what becomes a Reading, and what it costs."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web
from msgspec import structs

from adapter.intake.frames import reading
from adapter.intake.reader import PageReader
from adapter.intake.scrape import Scrape, ScrapeTarget
from adapter.intake.subscribe import ON_HOST, Subscriber
from adapter.model.batch import Batch, ModelState, Reading
from adapter.model.fleet import MetricsPage
from adapter.settings import Intake
from adapter.telemetry import Metrics
from sidecar import engines, wire
from tests.adapter.intake.scraping import (
    SETTINGS,
    answering,
    figures,
    heard,
    listening,
    page,
    scraped,
    tick,
)
from tests.adapter.intake.streaming import collect, only
from tests.fakes import bad_pages


def has_reading(batch: Batch) -> bool:
    return bool(batch.readings)


async def test_a_page_becomes_what_a_sidecar_beside_it_would_have_sent() -> None:
    text = page(3.0)

    async def good(_: web.Request) -> web.Response:
        return web.Response(text=text)

    async with listening(answering(good)) as port:
        found = (await heard(scraped(port), has_reading)).readings[0]
    engine = engines.parse(text.encode(), "vllm").reading
    frame = wire.Frame(1, "b", 0, 0.2, "u1", wire.Ages(engine=0.0), engine)
    sent = reading(frame, "u1", found.at, lambda *_: None)
    assert {p.series: p.value for p in found.points} == {p.series: p.value for p in sent.points}
    assert found.model is ModelState.READY
    assert found.period_seconds == 0.2


async def test_it_is_asked_again_every_period() -> None:
    asked = 0

    async def good(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=page(asked))

    async with listening(answering(good)) as port:
        batch = await heard(scraped(port), lambda b: len(b.readings) >= 3)
    assert [each["pending"] for each in figures(batch)][:3] == [1.0, 2.0, 3.0]


async def test_a_page_is_as_old_as_the_question() -> None:
    async def late(_: web.Request) -> web.Response:
        text = page(3.0)
        await asyncio.sleep(0.1)
        return web.Response(text=text)

    async with listening(answering(late)) as port:
        found = (await heard(scraped(port), has_reading)).readings[0]
    assert found.at - found.points[0].at >= 0.1


async def test_servers_side_by_side_are_one_queue() -> None:
    async def one(_: web.Request) -> web.Response:
        return web.Response(text=page(3.0))

    async def other(_: web.Request) -> web.Response:
        return web.Response(text=page(4.0))

    async with listening(answering(one)) as first, listening(answering(other)) as second:
        batch = await heard(scraped(first, second), has_reading)
    assert figures(batch)[0] == {"pending": 7.0, "running": 4.0, "inflight": 11.0}


async def test_without_one_of_its_pages_a_pod_has_no_figure() -> None:
    async def one(_: web.Request) -> web.Response:
        return web.Response(text=page(3.0))

    async with listening(answering(one)) as port:
        batch = await heard(scraped(port, 1), has_reading)
    assert figures(batch)[0] == {}
    assert "127.0.0.1:1/metrics refuses connections" in batch.troubles["u1"]


async def test_where_nothing_listens_the_model_is_loading_until_its_page_answers() -> None:
    async def good(_: web.Request) -> web.Response:
        return web.Response(text=page(0.0))

    async with listening(answering(good)) as port:
        pass  # a port that was free a moment ago
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(scraped(port)))
        batch = await collect(subscriber, has_reading)
        assert batch.readings[0].model is ModelState.LOADING
        assert "refuses connections" in batch.readings[0].why["engine"]
        assert subscriber.tried()
        async with listening(answering(good), port):
            await collect(subscriber, lambda b: figures(b)[-1:] == [ZERO])


@pytest.mark.parametrize("known", [{}, {"model_ready": True}, {"model_probed": True}])
async def test_a_closed_page_is_loading_while_no_probe_says_otherwise(
    known: dict[str, bool],
) -> None:
    batch = await heard(scraped(1, **known), has_reading)
    assert batch.readings[0].model is ModelState.LOADING
    assert batch.troubles["u1"].endswith("refuses connections")


async def test_a_closed_page_of_a_ready_pod_is_told_with_its_flag_and_is_not_loading() -> None:
    metrics = Metrics()
    pages = (MetricsPage("triton", 1, "/metrics"),)
    found = scraped(pages=pages, model_probed=True)
    async with Subscriber(SETTINGS, metrics) as subscriber:
        subscriber.follow(only(found))
        assert (await collect(subscriber, has_reading)).readings[0].model is ModelState.LOADING
        ready = structs.replace(found, model_ready=True)  # what the next word of the watch says
        subscriber.follow(only(found).of([ready], 2))
        batch = await collect(subscriber, has_reading, 30)
    assert batch.readings[0].model is ModelState.FAILING
    assert figures(batch) == [{}]
    assert (
        ":1/metrics refuses connections, yet the pod's probe passes: Triton"
        in (batch.readings[0].why["engine"])
    )
    count = metrics.registry.get_sample_value
    assert count("forescale_adapter_scrapes_total", {"result": "closed"}) == 1.0


async def test_a_page_that_is_switched_off_is_none_of_a_model_that_loads() -> None:
    async def off(_: web.Request) -> web.Response:
        return web.Response(status=501)

    async with listening(answering(off)) as port:
        asked = (MetricsPage("llama.cpp", port, "/metrics"),)
        batch = await heard(scraped(pages=asked), has_reading)
    assert batch.readings[0].model is ModelState.FAILING
    assert "answers 501: llama.cpp's server serves /metrics only" in batch.troubles["u1"]


ZERO = {"pending": 0.0, "running": 2.0, "inflight": 2.0}


async def test_an_error_before_the_first_answer_is_loading_and_after_it_failing() -> None:
    answers = iter([503, 200, 503, 503, 503])

    async def each(_: web.Request) -> web.Response:
        return web.Response(text=page(1.0), status=next(answers, 503))

    async with listening(answering(each)) as port:
        batch = await heard(scraped(port), lambda b: len(b.readings) >= 3)
    states = [one.model for one in batch.readings[:3]]
    assert states == [ModelState.LOADING, ModelState.READY, ModelState.FAILING]
    assert "answers 503" in batch.troubles["u1"]


@pytest.mark.parametrize("ip", ["255.255.255.255", "2001:db8::1"])
async def test_a_network_that_does_not_lead_there_says_nothing_of_the_model(ip: str) -> None:
    batch = await heard(scraped(8000, ip=ip), has_reading)
    assert batch.readings[0].model is ModelState.FAILING
    assert "cannot be reached" in batch.troubles["u1"] or "did not answer" in batch.troubles["u1"]


async def test_a_server_that_takes_the_connection_and_is_late_is_busy_not_loading() -> None:
    async with listening(bad_pages.application()) as port:
        batch = await heard(scraped(port, path="/silent"), has_reading)
    assert batch.readings[0].model is ModelState.FAILING
    assert "did not answer within 0.2 s" in batch.troubles["u1"]


HOSTILE = [
    ("/ten_mb", "longer than"),
    ("/endless", "longer than"),
    ("/trickle", "did not answer within"),
    ("/bomb", "compressed, which was not asked for"),
    ("/redirect", "redirects, which is not followed"),
    ("/other", "has none of the metric names of vllm"),
    ("/broken", "answers 500"),
    ("/nowhere", "answers 404: vLLM serves /metrics"),
]


@pytest.mark.parametrize(("path", "words"), HOSTILE)
async def test_a_hostile_page_gives_no_figure_and_is_told_in_words(path: str, words: str) -> None:
    async with listening(bad_pages.application()) as port:
        settings = Intake(allow_loopback=True, scrape_period_seconds=3.0, scrape_seconds=3.0)
        batch = await heard(scraped(port, path=path), has_reading, settings, seconds=20)
    assert figures(batch) == [{}]
    assert words in batch.troubles["u1"]


@pytest.mark.parametrize("path", ["/nan", "/inf", "/negative", "/huge", "/words", "/labels"])
async def test_a_figure_that_is_none_is_left_out_and_the_others_stay(path: str) -> None:
    async with listening(bad_pages.application()) as port:
        settings = Intake(allow_loopback=True, scrape_period_seconds=3.0, scrape_seconds=3.0)
        batch = await heard(scraped(port, path=path), has_reading, settings, seconds=20)
    assert figures(batch)[0] == {"running": 2.0}
    assert "vllm:num_requests_waiting" in batch.readings[0].why["engine"]


async def test_a_page_without_its_queue_says_what_would_give_it() -> None:
    async def bare(_: web.Request) -> web.Response:
        return web.Response(text="nv_inference_request_success 3\n")

    async with listening(answering(bare)) as port:
        asked = (MetricsPage("triton", port, "/metrics"),)
        batch = await heard(scraped(pages=asked), has_reading)
    assert "its page has no queue: Triton" in batch.readings[0].why["engine"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_leads_nowhere(status: int) -> None:
    hits = 0

    async def canary(_: web.Request) -> web.Response:
        nonlocal hits
        hits += 1
        return web.Response(text=page(9.0))

    async with listening(answering(canary)) as target:

        async def away(_: web.Request) -> web.Response:
            location = f"http://127.0.0.1:{target}/latest/meta-data"
            return web.Response(status=status, headers={"Location": location})

        async with listening(answering(away)) as port:
            batch = await heard(scraped(port), lambda b: len(b.readings) >= 2)
    assert hits == 0
    assert all(each == {} for each in figures(batch))


MAPPED = "::ffff:127.0.0.1"


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", MAPPED, "0x7f.1"],
)
async def test_an_address_of_the_host_is_never_scraped(ip: str) -> None:
    hits = 0

    async def canary(_: web.Request) -> web.Response:
        nonlocal hits
        hits += 1
        return web.Response(text=page(9.0))

    async with listening(answering(canary)) as port:
        batch = await heard(scraped(port, ip=ip), lambda b: bool(b.troubles), Intake())
    assert hits == 0
    assert not batch.readings


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = 0

    async def canary(_: web.Request) -> web.Response:
        nonlocal hits
        hits += 1
        return web.Response(text=page(9.0))

    async def good(_: web.Request) -> web.Response:
        return web.Response(text=page(1.0))

    async with listening(answering(canary)) as proxy, listening(answering(good)) as port:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        batch = await heard(scraped(port), has_reading)
    assert hits == 0
    assert figures(batch)[0]["pending"] == 1.0


def _costly() -> str:
    """A page whose wanted lines are all within their limits and slow to parse."""
    labels = ",".join(f'a{n}="{chr(92) * 2 * 50}"' for n in range(60))
    return f"vllm:num_requests_waiting{{{labels}}} 1\n" * 240


async def test_a_page_that_is_slow_to_read_does_not_hold_up_the_event_loop() -> None:
    async def costly(_: web.Request) -> web.Response:
        return web.Response(text=_costly())

    lags: list[float] = []
    settings = Intake(allow_loopback=True, scrape_period_seconds=5.0, scrape_seconds=5.0)
    async with listening(answering(costly)) as port:
        ticking = asyncio.create_task(tick(0.01, lags))
        await heard(scraped(port), has_reading, settings, seconds=20)
        ticking.cancel()
    assert max(lags) < 0.5


async def test_one_broken_pod_costs_no_other_pods_scrape() -> None:
    app = bad_pages.application()
    async with listening(app) as port, Subscriber(SETTINGS, Metrics()) as subscriber:
        pods = [
            scraped(port, path=path, uid=path, name=path[1:])
            for path in ("/endless", "/trickle", "/silent", "/ten_mb", "/good")
        ]
        subscriber.follow(only(pods[0]).of(pods, 1))
        batch = await collect(subscriber, lambda b: sum(r.uid == "/good" for r in b.readings) >= 4)
    good = [r for r in batch.readings if r.uid == "/good"]
    assert all(r.model is ModelState.READY for r in good)
    assert set(batch.troubles) == {"/endless", "/trickle", "/silent", "/ten_mb"}


async def test_what_became_of_each_scrape_is_counted() -> None:
    metrics = Metrics()
    async with (
        listening(bad_pages.application()) as port,
        Subscriber(SETTINGS, metrics) as subscriber,
    ):
        subscriber.follow(only(scraped(port, path="/broken")))
        await collect(subscriber, has_reading)
    count = metrics.registry.get_sample_value
    assert count("forescale_adapter_scrapes_total", {"result": "status"}) == 1.0


async def test_a_thousand_pages_of_one_tenant_delay_anothers_by_one() -> None:
    order: list[str] = []

    async def good(_: web.Request) -> web.Response:
        return web.Response(text=page(1.0))

    def parse(_: bytes) -> None:
        time.sleep(0.002)  # what a page costs, in the one thread

    async with listening(answering(good)) as port, aiohttp.ClientSession() as session:
        reader = PageReader(session)

        async def read(namespace: str) -> None:
            await reader.read(namespace, f"http://127.0.0.1:{port}/", 5.0, parse)
            order.append(namespace)

        flood = [asyncio.create_task(read("flood")) for _ in range(200)]
        while len(order) < 10:
            await asyncio.sleep(0)
        before = len(order)
        await read("tenant")
        took = order.index("tenant") - before
        pending = sum(not task.done() for task in flood)
        await asyncio.gather(*flood)
        reader.close()
    assert pending > 0  # the flood was not over by then
    assert took < pending


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_page_at_a_nodes_address_is_asked_for_only_where_that_is_allowed(
    allowed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    asked = 0

    async def good(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=page(1.0))

    settings = structs.replace(SETTINGS, scrape_host_network=allowed)
    async with listening(answering(good)) as port:
        on_host = scraped(port, host_network=True)
        batch = await heard(on_host, lambda b: bool(b.readings or b.troubles), settings)
    assert bool(asked) is bool(batch.readings) is allowed
    assert batch.troubles == ({} if allowed else {"u1": ON_HOST})


async def test_what_nobody_foresaw_costs_one_scrape_and_not_the_next() -> None:
    """The hand that takes a Reading breaks once; a pod's scrapes go on."""
    taken: list[Reading] = []
    failed: list[str] = []

    def deliver(_: ScrapeTarget, readings: tuple[Reading, ...]) -> None:
        if not failed:
            raise RuntimeError("broken")
        taken.extend(readings)

    async with (
        listening(bad_pages.application()) as port,
        aiohttp.ClientSession() as session,
        asyncio.timeout(5),
    ):
        target = ScrapeTarget("u1", "a/b", "127.0.0.1", (MetricsPage("vllm", port, "/good"),))
        scrape = Scrape(
            target,
            PageReader(session),
            SETTINGS,
            Metrics(),
            is_ready=lambda: False,
            deliver=deliver,
            fail=lambda _, why, __: failed.append(why),
        )
        going = asyncio.create_task(scrape.run(0.0))
        while not taken:
            await asyncio.sleep(0.05)
        going.cancel()
    assert failed == ["the adapter could not read the page: RuntimeError"]
