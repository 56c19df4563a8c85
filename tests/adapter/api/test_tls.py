"""Certificates that are issued hold in strict clients; those of others are judged as Go does."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapter.api import tls
from adapter.api.tls import Verifier

NOW = time.time()
DAY = 86_400.0
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
NAMES = ["forescale.forescale-system.svc", "localhost"]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Pair:
    """A certificate of the test's own making, with its key."""

    def __init__(
        self,
        name: str = "front-proxy-client",
        issuer: Pair | None = None,
        *,
        authority: bool | None = None,
        uses: tuple[x509.ObjectIdentifier, ...] = (),
        days: tuple[float, float] = (-1, 10),
        key: Key | None = None,
        signs: bool | None = None,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        at = datetime.fromtimestamp(NOW, UTC)
        builder = x509.CertificateBuilder(
            issuer_name=issuer.certificate.subject if issuer else subject,
            subject_name=subject,
            public_key=self.key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=at + timedelta(days=days[0]),
            not_valid_after=at + timedelta(days=days[1]),
        )
        if authority is not None:
            constraints = x509.BasicConstraints(ca=authority, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if signs is not None:
            builder = builder.add_extension(tls._usage(signs=signs), critical=True)
        signer = issuer.key if issuer else self.key
        self.certificate = builder.sign(signer, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return Pair("front-proxy-ca", authority=True)


def verdict(authority: Pair, client: Pair, now: float = NOW) -> str | None:
    verifier = Verifier()
    verifier.trust(authority.pem)
    return verifier.common_name(client.der, now)


def test_a_front_proxys_certificate_is_known_by_its_name(authority: Pair) -> None:
    assert verdict(authority, Pair("fp", authority, uses=CLIENT)) == "fp"


def test_a_certificate_without_uses_is_for_every_use(authority: Pair) -> None:
    assert verdict(authority, Pair("fp", authority)) == "fp"
    anything = (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)
    assert verdict(authority, Pair("fp", authority, uses=anything)) == "fp"


def test_keys_of_rsa_are_taken_unless_they_are_weak() -> None:
    strong = Pair("ca", authority=True, key=rsa.generate_private_key(65537, 2048))
    assert verdict(strong, Pair("fp", strong, uses=CLIENT)) == "fp"
    weak = Pair("ca", authority=True, key=rsa.generate_private_key(65537, 1024))  # noqa: S505
    assert verdict(weak, Pair("fp", weak, uses=CLIENT)) is None


def test_certificates_that_are_no_front_proxys_are_refused(authority: Pair) -> None:
    servers = (ExtendedKeyUsageOID.SERVER_AUTH,)
    other = Pair("front-proxy-ca", authority=True)
    refused = {
        "of another CA with the same name": Pair("fp", other, uses=CLIENT),
        "for servers": Pair("fp", authority, uses=servers),
        "expired": Pair("fp", authority, uses=CLIENT, days=(-2, -1)),
        "not yet valid": Pair("fp", authority, uses=CLIENT, days=(1, 2)),
        "self-signed": Pair("fp", uses=CLIENT),
    }
    assert {why: verdict(authority, pair) for why, pair in refused.items()} == dict.fromkeys(
        refused
    )


@pytest.mark.parametrize(
    "broken",
    [
        Pair("ca", authority=True, days=(-2, -1)),
        Pair("ca", authority=False),
        Pair("ca"),
        Pair("ca", authority=True, signs=False),
    ],
    ids=["expired", "no CA", "without constraints", "whose key may not sign"],
)
def test_an_authority_that_is_none_makes_no_front_proxy(broken: Pair) -> None:
    assert verdict(broken, Pair("fp", broken, uses=CLIENT)) is None


def test_two_cas_of_one_name_both_count(authority: Pair) -> None:
    twin = Pair("front-proxy-ca", authority=True)
    verifier = Verifier()
    verifier.trust(authority.pem + twin.pem)
    assert verifier.common_name(Pair("a", authority, uses=CLIENT).der, NOW) == "a"
    assert verifier.common_name(Pair("b", twin, uses=CLIENT).der, NOW) == "b"


def test_a_verdict_ends_with_the_certificate_and_with_the_trust(authority: Pair) -> None:
    client = Pair("fp", authority, uses=CLIENT, days=(-1, 1))
    verifier = Verifier()
    assert verifier.common_name(client.der, NOW) is None
    verifier.trust(authority.pem)
    assert verifier.common_name(client.der, NOW) == "fp"
    assert verifier.common_name(client.der, NOW + 1.1 * DAY) is None
    assert verifier.common_name(client.der, NOW + 1.2 * DAY) is None
    verifier.trust("")
    assert verifier.common_name(client.der, NOW) is None


def test_what_is_no_certificate_is_nobodys(authority: Pair) -> None:
    verifier = Verifier()
    verifier.trust(authority.pem)
    assert verifier.common_name(b"", NOW) is None
    assert verifier.common_name(b"\x30\x03abc", NOW) is None
    with pytest.raises(ValueError, match="PEM"):
        verifier.trust("-----BEGIN nothing")
    assert verifier.common_name(Pair("fp", authority, uses=CLIENT).der, NOW) == "fp"


def test_verdicts_that_are_kept_are_bounded(authority: Pair) -> None:
    verifier = Verifier()
    verifier.trust(authority.pem)
    for number in range(2 * tls._REMEMBERED):
        verifier.common_name(number.to_bytes(4, "big"), NOW)
    assert len(verifier._known) <= tls._REMEMBERED


def test_an_authority_survives_being_written_and_read() -> None:
    made = tls.new_authority("forescale-ca", 3650.0, NOW)
    read = tls.read_authority(made.pem, made.key_pem)
    assert read.pem == made.pem
    assert made.expires_at == pytest.approx(NOW + 3650.0 * DAY, abs=2)


def test_parts_that_do_not_belong_together_are_no_authority() -> None:
    one, two = tls.new_authority("a", 3650.0, NOW), tls.new_authority("a", 3650.0, NOW)
    with pytest.raises(ValueError, match="belongs to another"):
        tls.read_authority(one.pem, two.key_pem)
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words
        tls.read_authority(b"", b"")


def test_a_leaf_is_for_its_names_and_is_renewed_after_two_thirds() -> None:
    leaf = tls.new_leaf(tls.new_authority("ca", 3650.0, NOW), NAMES, 30.0, NOW)
    certificate = x509.load_pem_x509_certificate(leaf.pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    assert leaf.renew_at == NOW + 20 * DAY
    assert certificate.not_valid_before_utc.timestamp() <= NOW - 3599


@pytest.mark.parametrize("strict", [0, ssl.VERIFY_X509_STRICT])
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_handshake_holds_in_strict_clients_and_shows_the_chain(
    strict: int, newest: ssl.TLSVersion
) -> None:
    authority = tls.new_authority("ca", 3650.0, NOW)
    server = tls.server_context(tls.new_leaf(authority, NAMES, 30.0, NOW), ())
    client = ssl.create_default_context(cadata=authority.pem.decode())
    client.verify_flags |= strict
    client.maximum_version = newest
    assert _shaken(server, client, NAMES[0])["issuer"] == ((("commonName", "ca"),),)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname"):
        _shaken(server, client, "other.forescale-system.svc")


def test_old_protocols_are_refused() -> None:
    server = tls.server_context(
        tls.new_leaf(tls.new_authority("ca", 3650.0, NOW), NAMES, 1.0, NOW), ()
    )
    assert server.minimum_version >= ssl.TLSVersion.TLSv1_2


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> dict[str, object]:
    """Shake hands in memory; return what the client saw."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(down, up, server_hostname=name)
    here = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = there.getpeercert()
    assert found is not None
    return dict(found)


def test_a_ca_is_due_at_two_thirds_of_its_life() -> None:
    made = tls.new_authority("ca", 30.0, NOW)
    assert made.renew_at == pytest.approx(NOW + 20 * DAY, abs=2)


def test_a_leaf_of_another_ca_is_due_at_once() -> None:
    one, two = tls.new_authority("a", 30.0, NOW), tls.new_authority("a", 30.0, NOW)
    leaf = tls.new_leaf(one, NAMES, 3.0, NOW)
    assert tls.renewal(leaf.certificate_pem, one) == pytest.approx(leaf.renew_at, abs=2)
    assert tls.renewal(leaf.certificate_pem, two) == 0.0
    assert tls.renewal(b"no PEM", one) == 0.0
