"""One client's connection: what a stranger may cost before and after a request is understood."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from adapter.api import status
from adapter.listen import Gate

# Go's client keeps an idle connection for 90 s: whoever closes first must not be us, or a request
# that is on its way meets a closed door.
KEEPALIVE_SECONDS = 95.0
HEAD_SECONDS = 5.0  # from the first byte of a request, or from the handshake, to its empty line
WRITE_SECONDS = 10.0  # for a client to take its answer
MAX_HEAD_BYTES = 256 * 2**10
# Users of identity providers come with hundreds of groups, one header each.
MAX_HEADERS = 1024
MAX_FIELD_BYTES = 16 * 2**10
# A kube-apiserver keeps 25 idle connections, a konnectivity agent those of several.
MAX_CONNECTIONS = 1024
MAX_PER_PEER = 256
# Any pod can connect, and four can take all that is left to strangers: those with a certificate of
# the cluster, as kube-apiserver has one, still find room.
RESERVED = 256

_EMPTY_LINE = b"\r\n\r\n"


class Connection(web.RequestHandler):
    """aiohttp's connection with a deadline for each request's head and each answer's delivery.

    It serves requests without a body: the bytes of one would count as the next request's head.
    """

    __slots__ = ("_gate", "_head_bytes", "_late", "_peer", "_tail")

    def __init__(self, server: web.Server, gate: Gate, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=KEEPALIVE_SECONDS,
            access_log=None,  # type: ignore[arg-type] # how aiohttp is told to keep none
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            lingering_time=0.0,
        )
        self._gate = gate
        self._peer: str | None = None
        self._late: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        tls = transport.get_extra_info("ssl_object")  # its handshake is done
        known = tls is not None and tls.getpeercert(binary_form=True) is not None
        if not self._gate.enter(peer, known=known):
            transport.close()
            return
        self._peer = peer
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._peer is None:
            return
        self._gate.leave(self._peer)
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            return
        self._watch_head(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.force_close()
            return
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            self.force_close()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP with a Status too; nothing is logged, or strangers fill disks."""
        del exc
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was cut off")
        return broken(status, message or HTTPStatus(status).phrase)

    def _watch_head(self, data: bytes) -> None:
        """Keep the timer running exactly while a request's head is on its way."""
        window = self._tail + data
        end = window.rfind(_EMPTY_LINE)
        if end >= 0:
            self._stop_timer()
            window = window[end + len(_EMPTY_LINE) :]
            self._head_bytes = len(window)
        else:
            self._head_bytes += len(data)
        self._tail = window[-len(_EMPTY_LINE) + 1 :]
        if self._head_bytes and self._late is None:
            self._start_timer()

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(HEAD_SECONDS, self.force_close)

    def _stop_timer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def broken(code: int, message: str) -> web.Response:
    """Return the answer to a request that could not be understood; it ends the connection."""
    body = status.encode(code, message)
    response = web.Response(status=code, body=body, content_type="application/json")
    response.force_close()
    return response
