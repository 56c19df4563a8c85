"""Capped reading: lines of a peer's stream, bounded in length, in silence and in trickle.

Shared by everything that reads from pods: what they send is tenants' data.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable

import aiohttp

from adapter.errors import BadStream, IntakeError


async def lines(
    response: aiohttp.ClientResponse, *, limit_bytes: int, silence_seconds: Callable[[], float]
) -> AsyncIterator[bytes]:
    """Yield each line without its newline until the peer ends the stream.

    Raises BadStream when a line grows over the limit, IntakeError when no whole line came for
    `silence_seconds`: bytes that trickle in without a line are silence too. That is asked anew
    for each wait, since a line may say how soon the next is to come.
    """
    rest = bytearray()
    clock = asyncio.get_running_loop().time
    heard_at = clock()
    while True:
        limit = silence_seconds()
        try:
            async with asyncio.timeout_at(heard_at + limit):
                chunk = await response.content.readany()
        except TimeoutError:
            raise IntakeError(f"no frame for {limit:g} s") from None
        if not chunk:
            return
        *whole, tail = chunk.split(b"\n")
        for part in whole:
            line, rest = bytes(rest) + part, bytearray()
            if len(line) > limit_bytes:
                raise BadStream(_too_long(limit_bytes))
            heard_at = clock()
            yield line
        rest += tail
        if len(rest) > limit_bytes:
            raise BadStream(_too_long(limit_bytes))


def _too_long(limit_bytes: int) -> str:
    return f"a frame is longer than {limit_bytes} bytes"


def refuse_host_address(address: str, *, allow_loopback: bool) -> None:
    """Raise IntakeError for an address that no pod of a cluster can have.

    Pod status is written by kubelets, but a forged one must not turn the adapter into a probe of
    its own node or of a cloud's metadata service.
    """
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    if found.is_loopback and allow_loopback:
        return
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        raise IntakeError(
            f"{address} is no address of a pod"
            " (intake.allowLoopback permits loopback for trying things out)"
        )
