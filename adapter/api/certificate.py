"""The certificate that is served: renewed, and changed over to another CA, without a lost query.

A new CA is announced before anything is served under it: kube-apiserver trusts both meanwhile.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, Self

from adapter.api import tls
from adapter.api.authority import Issuer, SecretAuthority, SelfIssued, Source
from adapter.api.certfiles import Files
from adapter.api.tls import Leaf, Verifier
from adapter.cluster import Cluster
from adapter.errors import KubeError, StartupError
from adapter.model.bundle import OVERLAP_SECONDS
from adapter.settings import Settings
from adapter.telemetry import Once, event, warn

# Not in one sleep: a suspended machine's monotonic clock does not go on.
_LONGEST_SECONDS = 60.0
# Where others keep the caBundles nobody announces: a new CA is served after that all the same.
ANNOUNCE_SECONDS = 120.0
SETTLE_SECONDS = 5.0  # until every kube-apiserver has heard of the new caBundle
_POLL_SECONDS = 0.2


class Keeper(Protocol):
    """Who keeps the caBundle of APIServices."""

    def look(self) -> None:
        """Compare it with our CAs again."""

    def announced(self, authority_pem: bytes) -> bool:
        """Return whether kube-apiserver trusts this CA, wherever it asks for us."""


class Certificate:
    """This replica's serving certificate. `context` is for the server and stays the same object."""

    def __init__(self, source: Source, issuer: Issuer, clock: Callable[[], float]) -> None:
        self._source = source
        self._issuer = issuer
        self._next: Issuer | None = None
        self._past: list[tuple[bytes, float]] = []  # CAs before, and until when they count
        self._clock = clock
        self._verifier = Verifier()
        self._client_authorities: tuple[str, ...] = ()
        self._leaf = issuer.leaf()
        self._current = tls.server_context(self._leaf, ())
        # Every handshake is handed over to the newest context: a live one could take in a new
        # chain, but never let go of a CA.
        self.context = tls.server_context(self._leaf, ())
        self.context.sni_callback = self._choose
        self._wake = asyncio.Event()
        self._once = Once(warn)
        self.keepers: Sequence[Keeper] = ()  # empty: others keep the caBundles, and do not tell

    @classmethod
    async def obtain(
        cls, cluster: Cluster, settings: Settings, clock: Callable[[], float] = time.time
    ) -> Self:
        """Return a certificate of the files, or else of the CA in the Secret.

        Raises KubeError when the API server does not answer or refuses, StartupError when there is
        something that is no certificate.
        """
        if settings.tls.folder:
            files = Files(settings.tls.folder)
            return cls(files, await files.current(), clock)
        authority = SecretAuthority(cluster, settings, clock)
        return cls(authority, await authority.first(), clock)

    async def authority_pem(self) -> bytes:
        """Return the CAs that kube-apiserver has to trust: ours, and one that is about to be.

        Empty where that is not ours to say. Raises KubeError and StartupError when it cannot be
        seen whether they changed.
        """
        await self._look()
        return self._issuer.pem + (self._next.pem if self._next else b"")

    @property
    def bundle(self) -> bytes:
        """The CAs (PEM) of which a certificate that we issued may be, those before included."""
        past = [pem for pem, until in self._past if self._clock() < until]
        coming = [self._next.pem] if self._next else []
        return b"".join([self._issuer.pem, *coming, *past])

    @property
    def expires_at(self) -> float:
        """When the certificate that is served expires (Unix seconds)."""
        return self._leaf.expires_at

    def issue(self, names: Sequence[str]) -> Leaf:
        """Return a serving certificate for other DNS names; StartupError without a CA of ours."""
        return self._self_issued().issue(names)

    def renewal_of(self, pem: bytes) -> float:
        """Return when a certificate is to be renewed (Unix seconds); 0.0 if it is not of the CA."""
        return tls.renewal(pem, self._self_issued().authority)

    def told(self) -> dict[str, str]:
        """Return in words how the certificates stand, by what they are for."""
        issuer, by, until = self._issuer, "tls.folder", ""
        served = f"until {_day(self._leaf.expires_at)}"  # whoever mounts it renews it
        if isinstance(issuer, SelfIssued):
            by, until = "this adapter", f", until {_day(issuer.authority.expires_at)}"
            served = f"renewed by {_day(self._leaf.renew_at)}"
        change = "; another CA is announced now and served then" if self._next else ""
        known = "known" if self._client_authorities else "not known yet: queries get 401"
        return {
            "serving": f"issued by {by}, {served}",
            "serving CA": f"that of {by}{until}{change}",
            "front proxy CA": known,
        }

    def trust(self, front_proxies: str, clients: str) -> None:
        """Take these CAs (PEM) in place of those before; only the first make a front proxy.

        Those of the cluster's clients complete a handshake, to be told that they get 401. Raises
        ValueError, and keeps what it had, when a PEM cannot be read.
        """
        try:
            current = tls.server_context(self._leaf, (front_proxies, clients))
        except ssl.SSLError as error:
            raise ValueError(f"the CAs of clients cannot be read: {error}") from error
        self._verifier.trust(front_proxies)
        self._client_authorities = (front_proxies, clients)
        self._current = current

    def front_proxy_name(self, der: bytes) -> str | None:
        """Return the common name of a front proxy's certificate, None for any other."""
        return self._verifier.common_name(der, self._clock())

    async def run(self) -> None:
        """Renew the leaf at two thirds of its life and follow the source, until cancelled."""
        while True:
            await self._wait()
            try:
                await self._look()
            except (KubeError, StartupError) as error:
                self._once("authority_unreadable", "source", str(error))
            else:
                self._once.clear("source")
            if self._leaf.renew_at <= self._clock():
                self._renew()
            if self._next is not None:
                await self._settle(self._next)

    async def _wait(self) -> None:
        due_seconds = self._leaf.renew_at - self._clock()
        seconds = min(due_seconds, self._source.look_seconds, _LONGEST_SECONDS)
        self._wake.clear()
        if self._next is None and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Take note of what the source has now."""
        found = await self._source.current()
        known = self._next or self._issuer
        if found.pem == known.pem:
            if found is not known and not isinstance(found, SelfIssued):
                self._take(found)
            return
        event("authority_coming", replaces=self._next is not None)
        self._next = found
        self._tell()
        self._wake.set()

    def _tell(self) -> None:
        for keeper in self.keepers:
            keeper.look()

    def _announced(self, authority_pem: bytes) -> bool:
        told = [keeper.announced(authority_pem) for keeper in self.keepers]
        return bool(told) and all(told)

    def _take(self, found: Issuer) -> None:
        """Serve another certificate of the same CA; one that is coming waits for its turn."""
        if self._next is not None:
            self._next = found
            return
        self._issuer = found
        self._renew()

    async def _settle(self, coming: Issuer) -> None:
        """Change over to the CA that is coming, once kube-apiserver trusts it."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + ANNOUNCE_SECONDS
        while not self._announced(coming.pem) and loop.time() < latest:  # noqa: ASYNC110 - derived
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        self._past = [(self._issuer.pem, self._clock() + OVERLAP_SECONDS), *self._past][:3]
        self._issuer, self._next = self._next or coming, None
        self._renew()
        event("authority_served", until=self._leaf.expires_at)
        self._tell()

    def _renew(self) -> None:
        self._leaf = self._issuer.leaf()
        self._current = tls.server_context(self._leaf, self._client_authorities)
        event("certificate_renewed", until=self._leaf.expires_at)

    def _self_issued(self) -> SelfIssued:
        if not isinstance(self._issuer, SelfIssued):
            raise StartupError("tls.folder: its CA can issue nothing: use caFile there")
        return self._issuer

    def _choose(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = self._current


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
