"""The certificate in files: what cert-manager or somebody else mounts, watched for a new one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from adapter.api import tls
from adapter.api.authority import CERTIFICATE, KEY
from adapter.api.tls import Leaf
from adapter.errors import StartupError

AUTHORITY = "ca.crt"


@dataclass(frozen=True, slots=True)
class Filed:
    """A certificate that was issued elsewhere; without a ca.crt somebody else keeps caBundles."""

    pem: bytes
    served: Leaf

    def leaf(self) -> Leaf:
        return self.served


class Files:
    """A folder with `tls.crt`, `tls.key` and, mostly, `ca.crt`, as a mounted Secret has them."""

    look_seconds = 5.0

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._parts: tuple[bytes, ...] = ()
        self._found: Filed | None = None

    async def current(self) -> Filed:
        """Return what the files hold, the same object while they stay; StartupError if no pair.

        A pair that is just being replaced is no pair for a moment, and is looked at again.
        """
        parts = await asyncio.to_thread(self._read)
        if self._found is None or parts != self._parts:
            self._found, self._parts = self._parsed(*parts), parts
        return self._found

    def _read(self) -> tuple[bytes, ...]:
        try:
            pair = [(self._folder / name).read_bytes() for name in (CERTIFICATE, KEY)]
        except OSError as error:
            raise StartupError(f"tls.folder: {error}: mount a certificate there") from error
        try:
            authority = (self._folder / AUTHORITY).read_bytes()
        except FileNotFoundError:
            authority = b""
        return (*pair, authority)

    def _parsed(self, certificate: bytes, key: bytes, authority: bytes) -> Filed:
        try:
            return Filed(authority, tls.read_leaf(certificate, key, authority))
        except ValueError as error:
            raise StartupError(
                f"tls.folder: {self._folder} holds no certificate with its key and CA ({error})"
            ) from error
