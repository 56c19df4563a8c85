"""metrics-server finds a certificate of our CA in its Secret, and a newer one in time."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from adapter.api import issued as module
from adapter.api.certificate import Certificate
from adapter.api.issued import Issued
from adapter.intake.kube import Kube
from adapter.settings import Settings
from tests.fakes.apiserver import FakeApiServer

SECRETS = "/api/v1/namespaces/kube-system/secrets"
NAME = "metrics-server.kube-system.svc"
DAY = 86_400.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)


class Issuing:
    def __init__(self, server: FakeApiServer, kube: Kube, certificate: Certificate) -> None:
        self.server = server
        self.kube = kube
        self.certificate = certificate
        self.later = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        issued = Issued(
            self.kube,
            self.certificate,
            secret="kube-system/for-metrics-server",  # noqa: S106 - the name of an object
            name=NAME,
            clock=lambda: time.time() + self.later,
        )
        task = asyncio.create_task(issued.run())
        yield
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def make(self) -> None:
        self.server.put(SECRETS, {"metadata": {"name": "for-metrics-server"}, "type": "Opaque"})

    def data(self) -> dict[str, Any]:
        return dict(self.server.get(SECRETS, "for-metrics-server").get("data") or {})

    def serial(self) -> int:
        pem = base64.b64decode(self.data()["tls.crt"])
        return x509.load_pem_x509_certificate(pem).serial_number


@pytest.fixture
async def issuing(server: FakeApiServer, kube: Kube) -> Issuing:
    return Issuing(server, kube, await Certificate.obtain(kube, Settings()))


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_the_secret_gets_a_pair_that_serves_under_our_ca(
    issuing: Issuing, tmp_path: Path
) -> None:
    issuing.make()
    async with issuing.running():
        await until(issuing.data)
    parts = [base64.b64decode(issuing.data()[key]) for key in ("tls.crt", "tls.key")]
    pair = tmp_path / "pair.pem"
    pair.write_bytes(b"".join(parts))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    leaf = x509.load_pem_x509_certificate(parts[0])
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(issuing.certificate.bundle))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]


async def test_it_is_left_alone_until_two_thirds_of_its_life(issuing: Issuing) -> None:
    issuing.make()
    async with issuing.running():
        await until(issuing.data)
        first = issuing.serial()
        issuing.later = 19 * DAY
        await asyncio.sleep(0.2)
        assert issuing.serial() == first
        issuing.later = 20 * DAY + 60
        await until(lambda: issuing.serial() != first)


@pytest.mark.parametrize("found", ["", "bm8gUEVN", "%%%", 3])
async def test_what_is_no_certificate_of_ours_is_replaced(issuing: Issuing, found: object) -> None:
    issuing.make()
    body = issuing.server.get(SECRETS, "for-metrics-server")
    issuing.server.put(SECRETS, body | {"data": {"tls.crt": found}})
    async with issuing.running():
        await until(lambda: issuing.data()["tls.crt"] != found)
        assert issuing.serial() > 0


async def test_a_missing_secret_is_waited_for_and_never_made(
    issuing: Issuing, caplog: pytest.LogCaptureFixture
) -> None:
    async with issuing.running():
        await until(lambda: issuing.server.calls[f"GET {SECRETS}/for-metrics-server"] > 2)
        assert issuing.server.collections.get(SECRETS) is None
        assert caplog.text.count("secret_unwritten") == 1
        issuing.make()
        await until(issuing.data)
