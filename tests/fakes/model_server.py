"""Owns a small model server that serves its requests at a fixed rate; its queue is a result.

`python -m tests.fakes.model_server --port 8000 --slots 4 --service-time 0.5 --engine vllm`
serves at most slots / service-time requests a second; what comes beyond that waits in line.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.fakes.expositions import ENGINES, Figures, page


class ModelServer:
    """The queue: `slots` requests at a time, each for `service_seconds`, in order."""

    def __init__(self, figures: Figures, service_seconds: float) -> None:
        self.figures = figures
        self.loaded = False
        self._service_seconds = service_seconds
        self._slots = asyncio.Semaphore(figures.slots)

    async def complete(self, prompt_tokens: int, output_tokens: int) -> None:
        """Return when the request was served; a client that leaves frees its place."""
        arrived = time.monotonic()
        try:
            await self._wait_for_slot(arrived)
            try:
                await self._serve(arrived)
            finally:
                self.figures.running -= 1
                self._slots.release()
        except asyncio.CancelledError:
            self.figures.finished["abort"] += 1
            raise
        self.figures.finished["length"] += 1
        self.figures.prompt_tokens += prompt_tokens
        self.figures.output_tokens += output_tokens

    async def _wait_for_slot(self, arrived: float) -> None:
        self.figures.pending += 1
        try:
            await self._slots.acquire()
        finally:
            self.figures.pending -= 1
        self.figures.running += 1
        self.figures.queue_time.observe(time.monotonic() - arrived)

    async def _serve(self, arrived: float) -> None:
        first_token_seconds = self._service_seconds / 10  # prefill is a tenth of the work here
        await asyncio.sleep(first_token_seconds)
        self.figures.first_token.observe(time.monotonic() - arrived)
        await asyncio.sleep(self._service_seconds - first_token_seconds)
        self.figures.whole_time.observe(time.monotonic() - arrived)


def application(server: ModelServer, engine: str) -> web.Application:
    """Return the HTTP face: completions, metrics and health, 503 until the model is loaded."""

    async def completions(request: web.Request) -> web.Response:
        asked = await request.json()
        prompt = len(str(asked.get("prompt", "")).split())
        output = int(asked.get("max_tokens", 16))
        await server.complete(prompt, output)
        usage = {"prompt_tokens": prompt, "completion_tokens": output}
        choice = {"index": 0, "text": "word " * output, "finish_reason": "length"}
        model = server.figures.model
        return web.json_response({"model": model, "choices": [choice], "usage": usage})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=page(engine, server.figures))

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    @web.middleware
    async def loading(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not server.loaded:
            return web.json_response({"error": "the model is loading"}, status=503)
        return await handler(request)

    app = web.Application(middlewares=[loading])
    app.router.add_post("/v1/completions", completions)
    for path in ("/metrics", "/prometheus/metrics"):
        app.router.add_get(path, metrics)
    for path in ("/health", "/v2/health/ready"):
        app.router.add_get(path, health)
    return app


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--service-time", type=float, default=0.5, help="seconds per request")
    parser.add_argument("--cold-start", type=float, default=0.0, help="seconds until it serves")
    parser.add_argument(
        "--while-loading",
        choices=("refuse", "503"),
        default="refuse",
        help="refuse connections until loaded, as vLLM does, or listen and answer 503",
    )
    return parser.parse_args(argv)


async def load(server: ModelServer, site: web.TCPSite, options: argparse.Namespace) -> None:
    """Be loading for the cold start; listen at its start or at its end."""
    if options.while_loading == "503":
        await site.start()
    await asyncio.sleep(options.cold_start)
    server.loaded = True
    if options.while_loading == "refuse":
        await site.start()


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT, then stop at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = ModelServer(Figures(options.model, options.slots), options.service_time)
    app = application(server, options.engine)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    loading = asyncio.create_task(
        load(server, web.TCPSite(runner, options.host, options.port), options)
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        loading.result()  # a port in use ends the program here
    await stopping
    loading.cancel()
    await runner.cleanup()


def main() -> None:
    asyncio.run(serve(arguments()))


if __name__ == "__main__":
    main()
