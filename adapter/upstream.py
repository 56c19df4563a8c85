"""The upstream: what is asked of a metrics API that stands behind this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Reply(Protocol):
    """One answer whose body has not been read yet; reading raises UpstreamError."""

    status: int
    content_type: str

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, or what is left of it, as it comes."""

    async def read(self, limit_bytes: int) -> tuple[bytes, bool]:
        """Return the body, and whether that is all; what is left has to be taken by `chunks`."""


class Upstream(Protocol):
    """One API server behind this one."""

    def ask(self, path: str, query: str, accept: str) -> AbstractAsyncContextManager[Reply]:
        """GET a path with a raw query; raises UpstreamError, also at the deadline of the whole."""
