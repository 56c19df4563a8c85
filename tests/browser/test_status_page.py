"""The status page in a real browser: live, drawn, within its policy, and usable by everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.holding import Node
from adapter.model.snapshot import TotalKey
from adapter.model.target import parse
from adapter.ops import events
from adapter.settings import Price, Prices, Tariff
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod
from tests.adapter.ops.statuspage import BUSY, Scene
from tests.adapter.ops.test_page import PAYLOADS
from tests.browser import chromium

pytestmark = pytest.mark.asyncio(loop_scope="session")
NARROW = {"width": 360, "height": 740}
USUAL = {"width": 1280, "height": 900}
# Pixels of the chart that are not transparent, and how many colours they have.
INK = """canvas => {
  const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  let count = 0;
  for (let i = 0; i < all.length; i += 4) {
    if (!all[i + 3]) continue;
    count += 1;
    colours.add(all.slice(i, i + 3).join());
  }
  return [count, colours.size];
}"""


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium.launched() as started:
        yield started


class Stage(Scene):
    """A scene with a forecast, whose looks the test takes."""

    async def look(self, seconds: int = 1) -> None:
        self.world.advance(seconds)
        snapshot = self.world.snapshot
        assert snapshot is not None
        object.__setattr__(snapshot, "foreseen", _foreseen())
        self.starting.look(
            snapshot.fleet, snapshot.standings, snapshot.sources, snapshot.wall, snapshot.at
        )
        self.spending.look(snapshot)
        await self.status.look()


def _foreseen() -> dict[TotalKey, Foreseen]:
    metric = "llm_inference_inflight_requests"
    key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric, METRICS[metric].view)
    return {key: Foreseen(Mode.ACT, 24, 31, 31, 0.95, "250 s", "rising")}


def fleet() -> World:
    """Return pods in all states, of four workloads."""
    names = ("a", "b", "silent", "waits")
    made = World(*(serving_pod(name, target=parse("inflight=5")) for name in names))
    made.change("waits", phase="Pending", model_ready=False)
    for other in ("embed", "rerank", "vision"):
        owner = Owner("StatefulSet.apps", other)
        made.pods[other] = serving_pod(other, namespace="team-b", owners=(owner,))
        made.say[other] = BUSY
    made.change("a", gpus={"llm": 2}, node="n1")
    made.nodes = {"n1": Node(product="H100", spot=True)}
    made.say |= {"a": BUSY, "b": BUSY}
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(events, "RETRY_MILLISECONDS", 100)
    async with Stage(fleet()).serving() as made:
        for _ in range(30):
            await made.look(5)
        yield made


@asynccontextmanager
async def opened(browser: Browser, scene: Scene, **settings: object) -> AsyncIterator[Page]:
    async with chromium.strict(browser, scene.url, **settings) as page:
        await page.goto(f"{scene.url}/status")
        yield page


async def test_it_follows_the_adapter_without_being_loaded_again(
    browser: Browser, stage: Stage
) -> None:
    async with opened(browser, stage) as page:
        await expect(page.locator("#live")).to_have_text("Live, as of")
        await expect(page.locator("#t-fleet tbody tr")).to_have_count(4)
        cells = page.locator("#t-fleet tbody tr").first.locator("td")
        await expect(cells).to_have_text(
            ["default", f"Deployment {DEPLOYMENT}", "4 (target asks for 8)",
             "2", "0", "1", "1", "12", "36 in flight", "50 %"]
        )  # fmt: skip
        await expect(page.locator("#t-spent tbody td")).to_have_text(
            ["default", f"Deployment {DEPLOYMENT}", "H100 spot",
             "2", "0.08", "0.08", "0.00", "0.00", "0.00"]
        )  # fmt: skip
        await expect(page.locator("#t-left")).to_contain_text("is not running yet")
        stage.tariff = Tariff(Prices({"H100": Price(900.0, 300.0)}, "EUR"), "0-24")
        stage.world.say["silent"] = BUSY
        del stage.world.pods["vision"]
        stage.world.pods["new"] = serving_pod("new", namespace="a-team", owners=())
        await stage.look(5)
        await expect(page.locator("#t-fleet tbody tr")).to_have_count(4)
        await expect(page.locator("#t-fleet tbody tr").first).to_contain_text("Pod new")
        await expect(page.locator("#charts details summary")).to_have_text(
            [
                "a-team: Pod new",
                f"default: Deployment {DEPLOYMENT}",
                "team-b: StatefulSet embed",
                "team-b: StatefulSet rerank",
            ]
        )
        heads = page.locator("#t-spent thead th")
        await expect(heads.last).to_have_text("At night")
        await expect(heads).to_have_count(11)
        await expect(page.locator("#w-spent")).to_contain_text("EUR, 0.00 of it idle")


async def test_a_chart_shows_all_lines_and_the_time_until_a_pod_serves(
    browser: Browser, stage: Stage
) -> None:
    async with opened(browser, stage) as page:
        chart = page.locator("#charts details").first
        await expect(chart.locator(".u-label")).to_have_text(
            ["Time", "last readings", "smoothed", "forecast", "target", "pods"]
        )
        await expect(chart.locator(".u-value").nth(2)).to_have_text("36")
        pixels, colours = await chart.locator("canvas").evaluate(INK)
        assert pixels > 5_000
        assert colours > 20
        await expect(chart.locator(".words")).to_contain_text("Target 10: 5 on each of 2 pods.")
        await expect(page.locator("#charts details[open]")).to_have_count(3)
        await expect(page.locator("#charts canvas")).to_have_count(3)
        last = page.locator("#charts details").last
        await last.locator("summary").click()
        await expect(last.locator("canvas")).to_have_count(1)
        await last.locator("summary").click()
        await expect(last.locator("canvas")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [USUAL, NARROW], ids=["usual", "narrow"])
async def test_nobody_is_shut_out(
    browser: Browser, stage: Stage, size: dict[str, int], scheme: str
) -> None:
    async with opened(browser, stage, viewport=size, color_scheme=scheme) as page:
        await expect(page.locator("#charts canvas")).to_have_count(3)
        found = await Axe().run(page)
        assert found.response["violations"] == [], found.generate_report()
        wide = await page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0


async def test_the_keyboard_reaches_everything(browser: Browser, stage: Stage) -> None:
    async with opened(browser, stage) as page:
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await expect(page.locator(".skip")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.locator("#s-fleet")).to_be_focused()
        await page.keyboard.press("Tab")
        first = page.locator("#charts details").first
        await expect(first.locator("summary")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(first).not_to_have_attribute("open", "")


async def test_without_script_it_is_the_same_tables(browser: Browser, stage: Stage) -> None:
    async with opened(browser, stage, java_script_enabled=False) as page:
        await expect(page.locator("#t-fleet tbody tr")).to_have_count(4)
        await expect(page.locator("#t-spent")).to_contain_text("H100 spot")
        await expect(page.locator("#t-left")).to_contain_text("its source has not been heard yet")
        await expect(page.locator("noscript p")).to_be_visible()  # text locators skip it
        assert await page.locator('meta[http-equiv="refresh"]').count() == 1


async def test_the_last_changes_are_told_in_words_and_go_on_live(
    browser: Browser, stage: Stage
) -> None:
    said = "asks for 11 in place of 8: inflight 54 in total / 5 per pod; there are 4"
    async with opened(browser, stage) as page:
        changes = page.locator("#charts details").first.locator(".changes li")
        await expect(changes).to_have_text(["Since this replica began to look, nothing changed."])
        stage.world.say["silent"] = BUSY | {"inflight": 30.0}
        await stage.look(60)
        await expect(changes).to_have_count(1)
        await expect(changes).to_contain_text([said])
    async with opened(browser, stage, java_script_enabled=False) as page:
        await expect(page.locator("#charts li").first).to_contain_text(said)


async def test_what_tenants_write_stays_text(browser: Browser, stage: Stage) -> None:
    for number, payload in enumerate(PAYLOADS):
        pod = serving_pod(f"p{number}")
        owner = Owner(payload, payload)
        stage.world.pods[pod.name] = msgspec.structs.replace(
            pod, namespace=payload, name=payload, owners=(owner,), source_problem=payload,
            gpus={"llm": 1}, node="n1",
        )  # fmt: skip
        stage.world.troubles[pod.uid] = payload
    stage.status.certificates = lambda: {payload: payload for payload in PAYLOADS}
    async with opened(browser, stage) as page:
        rows = page.locator("#t-fleet tbody tr")
        await expect(rows).to_have_count(4)
        await stage.look(5)
        await expect(rows).to_have_count(4 + len(PAYLOADS))
        await expect(page.locator("#t-spent tbody tr")).to_have_count(1 + len(PAYLOADS))
        await page.locator("#charts summary").last.click()
        assert await page.locator("script").count() == 2
        strange = "iframe, img, svg, math, form, base, object, embed, main h1, [onerror], [onload]"
        assert await page.locator(strange).count() == 0
    async with opened(browser, stage) as page:  # made by the server this time
        rows = page.locator("#t-fleet tbody tr")
        await expect(rows).to_have_count(4 + len(PAYLOADS))
        assert await page.locator("script").count() == 2
        assert await page.locator(strange).count() == 0
        assert PAYLOADS[0] in "".join(await rows.all_inner_texts())


async def test_it_works_behind_a_proxys_prefix(browser: Browser, stage: Stage) -> None:
    async with behind_a_proxy(stage.url) as url, chromium.strict(browser, url) as page:
        await page.goto(f"{url}/status/")
        await expect(page.locator("#live")).to_have_text("Live, as of")
        await expect(page.locator("#charts canvas")).to_have_count(3)
        stage.world.pods["new"] = serving_pod("new", owners=())
        await stage.look()
        await expect(page.locator("#t-fleet")).to_contain_text("Pod new")


async def test_it_says_when_it_is_not_live_and_comes_back(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RETRY_MILLISECONDS", 100)
    before, after = Stage(fleet()), Stage(fleet())
    await before.look(20)
    await after.look(40)
    async with AsyncExitStack() as stack:
        async with before.serving():
            page = await stack.enter_async_context(
                chromium.strict(browser, before.url, forgive="ERR_")
            )
            await page.goto(f"{before.url}/status")
            live = page.locator("#live")
            await expect(live).to_have_text("Live, as of")
            first = await page.locator("#stamp").inner_text()
        await expect(live).to_have_text("Not live, as of")
        assert await page.locator("#stamp").inner_text() == first
        async with after.serving(int(before.url.rpartition(":")[2])):
            await expect(live).to_have_text("Live, as of")
            await expect(page.locator("#stamp")).not_to_have_text(first)


async def test_without_the_browser_the_line_to_type_is_said() -> None:
    with pytest.raises(RuntimeError, match="sudo apt-get install -y chromium"):
        chromium.find(lambda _: None)


@asynccontextmanager
async def behind_a_proxy(upstream: str) -> AsyncIterator[str]:
    """As kube-apiserver's: a long path before ours, and bytes passed on as they come."""
    prefix = "/api/v1/namespaces/forescale-system/services/forescale:ops/proxy"

    async def pass_on(request: web.Request) -> web.StreamResponse:
        asked = request.rel_url.raw_path_qs.removeprefix(prefix)
        url = f"{upstream}{asked}"
        async with client.get(url, allow_redirects=False) as answer:
            headers = {k: v for k, v in answer.headers.items() if k != "Content-Length"}
            response = web.StreamResponse(status=answer.status, headers=headers)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            return response

    app = web.Application()
    app.router.add_get(f"{prefix}/{{tail:.*}}", pass_on)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession() as client:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
        finally:
            await runner.cleanup()
