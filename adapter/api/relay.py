"""The relay: the answer of an API behind this one, passed on as it comes, or changed on its way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from aiohttp import web

from adapter.errors import Unavailable, UpstreamError
from adapter.upstream import Reply

Edit = Callable[[bytes], Awaitable[bytes]]
# A list of 80,000 containers; a longer one is passed on unchanged.
MAX_EDITED_BYTES = 16 * 2**20
_OK = 200


async def passed_on(
    request: web.Request,
    asking: AbstractAsyncContextManager[Reply],
    edit: Edit | None = None,
) -> web.StreamResponse:
    """Answer with what the upstream says: status, content type and body, and no other header.

    `edit` changes the body of a success. Raises Unavailable while nothing was sent; later the
    connection breaks off, so that nobody takes a half for the whole.
    """
    response: web.StreamResponse | None = None
    try:
        async with asking as reply:
            begun = b""
            if edit is not None and reply.status == _OK:
                begun, is_all = await reply.read(MAX_EDITED_BYTES)
                if is_all:
                    return _whole(reply, await edit(begun))
            response = web.StreamResponse(
                status=reply.status, headers={"Content-Type": reply.content_type}
            )
            await _stream(request, response, begun, reply)
    except UpstreamError as error:
        if response is None or not response.prepared:
            raise Unavailable(str(error)) from error
        if request.transport is not None:
            request.transport.abort()
    assert response is not None  # noqa: S101 - it was made before it broke off
    return response


def _whole(reply: Reply, body: bytes) -> web.Response:
    return web.Response(
        status=reply.status, body=body, headers={"Content-Type": reply.content_type}
    )


async def _stream(
    request: web.Request, response: web.StreamResponse, begun: bytes, reply: Reply
) -> None:
    await response.prepare(request)
    if begun:
        await response.write(begun)
    async for chunk in reply.chunks():
        await response.write(chunk)
    await response.write_eof()
