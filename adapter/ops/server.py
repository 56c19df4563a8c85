"""The ops port: /livez, /readyz, /metrics and /why in plain HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from adapter.listen import listen
from adapter.ops.probes import Check, Probes
from adapter.ops.why import PATH, Why
from adapter.settings import Ops
from adapter.telemetry import Metrics


def application(probes: Probes, metrics: Metrics, why: Why) -> web.Application:
    """Return the routes."""
    app = web.Application()
    app.router.add_get("/livez", _probe(probes.live))
    app.router.add_get("/readyz", _probe(probes.ready))

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app.router.add_get("/metrics", exposition)
    app.router.add_get(PATH, why.handle)
    return app


def _probe(
    checks: Callable[[], tuple[Check, ...]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        found = checks()
        failed = [check for check in found if not check.passed]
        shown = found if failed or "verbose" in request.query else ()
        lines = [f"[{'+' if c.passed else '-'}]{c.name}: {c.words}" for c in shown]
        return web.Response(
            status=503 if failed else 200, text="\n".join([*lines, _verdict(failed)])
        )

    return answer


def _verdict(failed: list[Check]) -> str:
    return f"not ok: {', '.join(check.name for check in failed)}" if failed else "ok"


async def start(
    settings: Ops, probes: Probes, metrics: Metrics, why: Why
) -> tuple[web.AppRunner, int]:
    """Listen and return the runner and the port; raise StartupError naming the port if taken."""
    listening = listen("ops", settings.host, settings.port)
    runner = web.AppRunner(application(probes, metrics, why), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner, int(listening.getsockname()[1])
