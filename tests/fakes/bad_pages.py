"""Owns a server whose pages are wrong, each in one way, for whoever reads metrics pages.

`python -m tests.fakes.bad_pages --port 8000`; the path names the fault, such as `/endless`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import signal
import zlib

from aiohttp import web

LABELS = 'engine="0",model_name="demo"'
TEN_MB = 10_000_000
FILLER = b"# " + b"x" * 997 + b"\n"


def _page(waiting: str) -> str:
    return (
        f"vllm:num_requests_waiting{{{LABELS}}} {waiting}\n"
        f"vllm:num_requests_running{{{LABELS}}} 2.0\n"
    )


def _labels() -> str:
    many = ",".join(f'_{n:x}=""' for n in range(200_000))  # just under 2 MiB
    return f"vllm:num_requests_waiting{{{many}}} 3.0\n" + _page("3.0")


TEXTS = {
    "/nan": _page("NaN"),
    "/inf": _page("+Inf"),
    "/negative": _page("-1.0"),
    "/huge": _page("1e999"),
    "/words": _page("many"),
    "/other": "some_other_server_requests 3\n",
}


async def _endless(request: web.Request, pause_seconds: float, piece: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain; version=0.0.4"})
    await response.prepare(request)
    while True:
        await response.write(piece)
        await asyncio.sleep(pause_seconds)


async def ten_mb(_: web.Request) -> web.Response:
    return web.Response(body=FILLER * (TEN_MB // len(FILLER)) + _page("1.0").encode())


async def endless(request: web.Request) -> web.StreamResponse:
    return await _endless(request, 0, FILLER)


async def trickle(request: web.Request) -> web.StreamResponse:
    return await _endless(request, 0.05, b"v")


async def silent(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def labels(_: web.Request) -> web.Response:
    return web.Response(text=_labels())


async def redirect(_: web.Request) -> web.Response:
    raise web.HTTPFound("/good")


async def good(_: web.Request) -> web.Response:
    return web.Response(text=_page("1.0"))


async def broken(_: web.Request) -> web.Response:
    return web.Response(status=500, text="Internal Server Error")


@functools.cache
def _packed() -> bytes:
    """Return 20 MB of zeros as 20 kB of gzip."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(squeezer.compress(b"\0" * 1_000_000) for _ in range(20)) + squeezer.flush()


async def bomb(_: web.Request) -> web.Response:
    return web.Response(body=_packed(), headers={"Content-Encoding": "gzip"})


def application() -> web.Application:
    """Return the faults as an aiohttp application; a path it does not know answers 404."""
    app = web.Application()
    for path, text in TEXTS.items():

        async def one(_: web.Request, text: str = text) -> web.Response:
            return web.Response(text=text)

        app.router.add_get(path, one)
    handlers = (ten_mb, endless, trickle, silent, labels, redirect, good, broken, bomb)
    for handler in handlers:
        app.router.add_get(f"/{handler.__name__}", handler)
    return app


async def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then stop at once."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bad_pages", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
