"""All replicas serve under one CA, and each renews its own leaf without a restart."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import uvloop
from cryptography import x509

from adapter.api.authority import SecretAuthority
from adapter.api.certificate import Certificate
from adapter.errors import KubeError, StartupError
from adapter.intake.kube import Kube
from adapter.settings import Settings, Tls
from tests.controlplane import pki
from tests.controlplane.pki import Pair
from tests.fakes.apiserver import FakeApiServer

SECRETS = "/api/v1/namespaces/forescale-system/secrets"
SETTINGS = Settings()
NAME = "forescale.forescale-system.svc"
# Two thirds of a leaf's life, and a little: a clock that was so far behind and is set right finds
# the leaf due, while the client, whose clock was right all the time, finds old and new valid.
TWENTY_DAYS = 20 * 86_400.0 + 60


async def handshake(
    certificate: Certificate, authority: bytes, client: Pair | None = None
) -> tuple[str, bytes | None]:
    """Connect for real; return the serial number that was served and the client's, as seen."""
    seen: list[bytes | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        with suppress(asyncio.IncompleteReadError):
            writer.write(await reader.readexactly(1))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate.context)
    context = ssl.create_default_context(cadata=authority.decode())
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    try:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=NAME
        )
        with closing(writer):
            serial = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
            writer.write(b"x")
            await reader.readexactly(1)
    finally:
        listening.close()
    return serial, seen[0]


async def test_the_first_replica_makes_the_ca_and_the_next_one_reads_it(
    kube: Kube, server: FakeApiServer
) -> None:
    first = await Certificate.obtain(kube, SETTINGS)
    second = await Certificate.obtain(kube, SETTINGS)
    authority = await first.authority_pem()
    assert authority == await second.authority_pem()
    one, _ = await handshake(first, authority)
    two, _ = await handshake(second, authority)
    assert one != two
    secret = server.get(SECRETS, "forescale-ca")
    assert secret["type"] == "kubernetes.io/tls"
    assert base64.b64decode(secret["data"]["tls.crt"]) == authority


async def test_two_replicas_that_start_at_the_same_moment_end_with_one_ca(kube: Kube) -> None:
    replicas = await asyncio.gather(*(Certificate.obtain(kube, SETTINGS) for _ in range(5)))
    authorities = {await replica.authority_pem() for replica in replicas}
    assert len(authorities) == 1
    for replica in replicas:
        await handshake(replica, authorities.copy().pop())


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tls.crt": "!", "tls.key": "!"},
        {"tls.crt": base64.b64encode(b"x").decode(), "tls.key": ""},
    ],
)
async def test_a_secret_without_a_ca_says_what_to_do(
    kube: Kube, server: FakeApiServer, data: dict[str, str]
) -> None:
    server.put(SECRETS, {"metadata": {"name": "forescale-ca"}, "data": data})
    with pytest.raises(StartupError, match="delete secret forescale-ca"):
        await Certificate.obtain(kube, SETTINGS)


async def test_a_ca_that_has_ended_is_replaced_and_no_leaf_outlives_its_ca(kube: Kube) -> None:
    first = await Certificate.obtain(kube, SETTINGS)
    late = time.time() + 3640 * 86_400
    near = await Certificate.obtain(kube, SETTINGS, clock=lambda: late)
    leaf, authority = (
        x509.load_pem_x509_certificate(pem)
        for pem in (near._leaf.certificate_pem, near._issuer.pem)
    )
    assert leaf.not_valid_after_utc <= authority.not_valid_after_utc
    assert near.expires_at == leaf.not_valid_after_utc.timestamp()
    after_all = await Certificate.obtain(kube, SETTINGS, clock=lambda: late + 11 * 86_400)
    assert after_all._issuer.pem != first._issuer.pem


async def test_a_refusal_of_the_api_server_is_passed_on(kube: Kube, server: FakeApiServer) -> None:
    server.refusals[f"GET {SECRETS}/forescale-ca"] = {
        "code": 403,
        "reason": "Forbidden",
        "message": "cannot get secrets",
    }
    with pytest.raises(KubeError, match="cannot get secrets"):
        await Certificate.obtain(kube, SETTINGS)


async def test_the_leaf_is_renewed_after_two_thirds_of_its_life_without_a_restart(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretAuthority, "look_seconds", 0.01)
    behind = TWENTY_DAYS
    certificate = await Certificate.obtain(kube, SETTINGS, clock=lambda: time.time() - behind)
    authority = await certificate.authority_pem()
    running = asyncio.create_task(certificate.run())
    before, _ = await handshake(certificate, authority)
    await asyncio.sleep(0.05)
    assert (await handshake(certificate, authority))[0] == before
    behind = 0.0
    async with asyncio.timeout(5):
        while (await handshake(certificate, authority))[0] == before:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_the_leaf_is_renewed_while_the_api_server_is_away(
    kube: Kube, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretAuthority, "look_seconds", 0.01)
    behind = TWENTY_DAYS
    certificate = await Certificate.obtain(kube, SETTINGS, clock=lambda: time.time() - behind)
    authority = await certificate.authority_pem()
    before, _ = await handshake(certificate, authority)
    server.refusals[f"GET {SECRETS}/forescale-ca"] = {
        "code": 503,
        "reason": "ServiceUnavailable",
        "message": "away",
    }
    behind = 0.0
    running = asyncio.create_task(certificate.run())
    async with asyncio.timeout(5):
        while (await handshake(certificate, authority))[0] == before:
            await asyncio.sleep(0.01)
    assert (await handshake(certificate, authority))[0] != before
    running.cancel()


async def _trusts(kube: Kube, folder: Path) -> tuple[str | None, str | None]:
    certificate = await Certificate.obtain(kube, SETTINGS)
    authority = await certificate.authority_pem()
    old, new, cluster = (pki.authority(folder / name, name) for name in ("old", "new", "cluster"))
    clients = {
        signer: pki.client(signer, folder / f"{signer.name.rfc4514_string()}-c", "fp")
        for signer in (old, new, cluster)
    }
    pems = {signer: signer.pair.certificate.read_text() for signer in clients}

    async def name(signer: pki.Authority) -> str | None:
        _, der = await handshake(certificate, authority, clients[signer])
        assert der is not None
        return certificate.front_proxy_name(der)

    certificate.trust(pems[old], pems[cluster])
    assert (await name(old), await name(cluster)) == ("fp", None)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await name(new)
    certificate.trust(pems[old] + pems[new], pems[cluster])
    assert (await name(old), await name(new), await name(cluster)) == ("fp", "fp", None)
    certificate.trust(pems[new], pems[cluster])
    assert (await name(new), await name(cluster)) == ("fp", None)
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await name(old)
    with pytest.raises(ValueError, match="cannot be read"):
        certificate.trust("-----BEGIN CERTIFICATE-----\nx", "")
    return await name(new), await name(cluster)


async def test_it_tells_in_words_who_issued_it_until_when_and_whom_it_knows(kube: Kube) -> None:
    certificate = await Certificate.obtain(kube, SETTINGS)
    told = certificate.told()
    assert re.fullmatch(r"issued by this adapter, renewed by \S+ \S+ UTC", told["serving"])
    assert re.fullmatch(r"that of this adapter, until \S+ \S+ UTC", told["serving CA"])
    assert told["front proxy CA"] == "not known yet: queries get 401"
    authority = (await certificate.authority_pem()).decode()
    certificate.trust(authority, authority)
    assert certificate.told()["front proxy CA"] == "known"


async def test_the_state_of_a_mounted_certificate_is_its_end(kube: Kube, tmp_path: Path) -> None:
    authority = pki.authority(tmp_path / "ca", "ca")
    pair = pki.serving(authority, tmp_path / "leaf", "leaf", [x509.DNSName(NAME)])
    for name, source in (("crt", pair.certificate), ("key", pair.key)):
        (tmp_path / f"tls.{name}").write_bytes(source.read_bytes())
    settings = Settings(tls=Tls(folder=str(tmp_path)))
    told = (await Certificate.obtain(kube, settings)).told()
    assert re.fullmatch(r"issued by tls\.folder, until \S+ \S+ UTC", told["serving"])
    assert told["serving CA"] == "that of tls.folder"


async def test_cas_of_clients_are_swapped_on_a_server_that_runs(kube: Kube, tmp_path: Path) -> None:
    assert await _trusts(kube, tmp_path) == ("fp", None)


def test_the_same_holds_on_the_loop_that_the_adapter_runs_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with FakeApiServer() as server:
            kube = await Kube.connect(server.kubeconfig(tmp_path))
            try:
                assert await _trusts(kube, tmp_path) == ("fp", None)
            finally:
                await kube.close()

    uvloop.run(run())
