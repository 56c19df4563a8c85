"""A change of the CA: announced first, served only when it is trusted, in every mode."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapter.api import certificate as module
from adapter.api.authority import SecretAuthority
from adapter.api.certfiles import Files
from adapter.api.certificate import Certificate
from adapter.errors import StartupError
from adapter.intake.kube import Kube
from adapter.settings import Settings, Tls
from tests.adapter.api.test_certfiles import Mounted
from tests.adapter.api.test_certificate import SECRETS, SETTINGS, handshake
from tests.controlplane import pki
from tests.fakes.apiserver import FakeApiServer


class Keeper:
    """What the registration is to a certificate: it trusts what the test lets it."""

    def __init__(self) -> None:
        self.trusts: bytes = b""
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def announced(self, authority_pem: bytes) -> bool:
        return authority_pem in self.trusts


@asynccontextmanager
async def kept(certificate: Certificate) -> AsyncIterator[Keeper]:
    keeper = Keeper()
    certificate.keepers = (keeper,)
    running = asyncio.create_task(certificate.run())
    yield keeper
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def served_under(certificate: Certificate, authority: bytes) -> bool:
    try:
        await handshake(certificate, authority)
    except ssl.SSLCertVerificationError:
        return False
    return True


async def until_served_under(certificate: Certificate, authority: bytes) -> None:
    async with asyncio.timeout(10):
        while not await served_under(certificate, authority):
            await asyncio.sleep(0.02)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(SecretAuthority, "look_seconds", 0.05)
    monkeypatch.setattr(Files, "look_seconds", 0.05)


@pytest.mark.usefixtures("_quick")
async def test_a_new_ca_is_announced_first_and_served_only_when_it_is_trusted(
    kube: Kube, server: FakeApiServer
) -> None:
    certificate = await Certificate.obtain(kube, SETTINGS)
    before = await certificate.authority_pem()
    async with kept(certificate) as keeper:
        server.remove(SECRETS, "forescale-ca")
        async with asyncio.timeout(5):
            while keeper.looks == 0:
                await asyncio.sleep(0.01)
        both = await certificate.authority_pem()
        assert both.startswith(before)
        after = both.removeprefix(before)
        await asyncio.sleep(0.5)
        assert await served_under(certificate, before)
        assert not await served_under(certificate, after)
        keeper.trusts = both
        await until_served_under(certificate, after)
        assert await certificate.authority_pem() == after
        assert certificate.bundle == after + before  # metrics-server's may still be of the old one
        assert keeper.looks == 2


@pytest.mark.usefixtures("_quick")
async def test_where_others_keep_the_bundles_a_new_ca_is_served_after_a_while(
    kube: Kube, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANNOUNCE_SECONDS", 0.5)
    certificate = await Certificate.obtain(kube, SETTINGS)
    before = await certificate.authority_pem()
    async with kept(certificate):
        certificate.keepers = ()
        server.remove(SECRETS, "forescale-ca")
        await asyncio.sleep(0.3)
        after = (await certificate.authority_pem()).removeprefix(before)
        assert await served_under(certificate, before)
        await until_served_under(certificate, after)


@pytest.mark.usefixtures("_quick")
async def test_a_ca_is_replaced_at_two_thirds_of_its_life_by_one_replica_for_all(
    kube: Kube, server: FakeApiServer
) -> None:
    later = 0.0
    clock = lambda: time.time() + later  # noqa: E731 - both replicas' clock
    replicas = [await Certificate.obtain(kube, SETTINGS, clock=clock) for _ in range(3)]
    before = await replicas[0].authority_pem()
    later = 3650 * 86_400 * 2 / 3 - 3600
    assert await replicas[0].authority_pem() == before
    later += 7200
    after = set(await asyncio.gather(*(replica.authority_pem() for replica in replicas)))
    assert len(after) == 1
    assert after.pop().startswith(before)
    assert server.calls[f"PATCH {SECRETS}/forescale-ca"] >= 1
    # A replica that starts now serves under the new one.
    newest = await Certificate.obtain(kube, SETTINGS, clock=clock)
    assert before not in await newest.authority_pem()


@pytest.mark.usefixtures("_quick")
async def test_files_are_followed_and_a_new_ca_in_them_is_announced_first(
    kube: Kube, tmp_path: Path
) -> None:
    mounted = Mounted(tmp_path)
    old, new = (pki.authority(tmp_path / name, name) for name in ("old", "new"))
    pems = [authority.pair.certificate.read_bytes() for authority in (old, new)]
    mounted.put(old)
    settings = Settings(tls=Tls(folder=str(mounted.folder)))
    certificate = await Certificate.obtain(kube, settings)
    with pytest.raises(StartupError, match="can issue nothing"):
        certificate.issue(["x"])
    async with kept(certificate) as keeper:
        first, _ = await handshake(certificate, pems[0])
        mounted.put(old)
        async with asyncio.timeout(5):
            while (await handshake(certificate, pems[0]))[0] == first:
                await asyncio.sleep(0.02)
        assert keeper.looks == 0
        mounted.put(new)
        await asyncio.sleep(0.4)
        assert await served_under(certificate, pems[0])
        keeper.trusts = await certificate.authority_pem()
        assert keeper.trusts == pems[0] + pems[1]
        await until_served_under(certificate, pems[1])
