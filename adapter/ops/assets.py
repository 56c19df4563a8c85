"""The assets: the status page's own files, and the headers that bound what a browser does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from aiohttp import web

# Nothing inline, nothing from elsewhere, no text that becomes markup in a script's hands.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_STORE = {**HEADERS, "Cache-Control": "no-store"}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Asset:
    """One file as it was at the start."""

    def __init__(self, name: str, body: bytes, kind: str) -> None:
        self.path = f"/status/{name}"
        self._body = body
        self._kind = kind

    async def handle(self, _: web.Request) -> web.Response:
        """Return the file; a browser asks again each time, so that an upgrade is seen at once."""
        headers = {**HEADERS, "Cache-Control": "no-cache"}
        return web.Response(
            body=self._body, content_type=self._kind, charset="utf-8", headers=headers
        )


def assets() -> tuple[Asset, ...]:
    """Read the files of `static/` that a browser is to have."""
    found = []
    for file in resources.files("adapter.ops").joinpath("static").iterdir():
        kind = _KINDS.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            found.append(Asset(file.name, file.read_bytes(), kind))
    return tuple(found)
