"""TLS: the self-issued CA, serving certificates, and what counts as a front proxy's certificate.

The only user of cryptography. OpenSSL asks each client for a certificate and lets the handshake
through when any CA it was given signed it; whether that was the front proxies' CA is decided here,
from the certificate itself, since Python cannot say which CA it was. OpenSSL finds the CA by the
certificate's key identifier, or else by the CA's name: two CAs of one name need key identifiers.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

BACKDATED = timedelta(hours=1)  # clocks of nodes may differ by that much
RENEW_AT = 2 / 3  # of a leaf's life
_REMEMBERED = 1000  # certificates whose verdict is kept; kube-apiservers have a handful


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can issue; `expires_at` is Unix seconds."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return _key_pem(self.key)

    @property
    def expires_at(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def renew_at(self) -> float:
        return _renew_at(self.certificate)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A serving certificate and its key; `renew_at` is Unix seconds."""

    certificate_pem: bytes
    key_pem: bytes
    renew_at: float

    @property
    def pem(self) -> bytes:
        return self.certificate_pem + b"\n" + self.key_pem

    @property
    def expires_at(self) -> float:
        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        return certificate.not_valid_after_utc.timestamp()


def new_authority(common_name: str, days: float, now: float) -> Authority:
    """Return a fresh CA (ECDSA P-256); `now` is Unix seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = _builder(name, key, now, days).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def read_authority(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """Return the CA in two PEMs; raise ValueError when they are none or do not belong together."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("its key is no elliptic curve key")  # noqa: TRY004 - one error for callers
    if certificate.public_key() != key.public_key():
        raise ValueError("its key belongs to another certificate")
    return Authority(certificate, key)


def new_leaf(authority: Authority, names: Sequence[str], days: float, now: float) -> Leaf:
    """Return a serving certificate for the DNS names; `now` is Unix seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = _builder(_name(names[0]), key, now, days).issuer_name(issuer.subject)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(authority.key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Leaf(pem, _key_pem(key), now + days * 86_400 * RENEW_AT)


def renewal(pem: bytes, authority: Authority) -> float:
    """Return when a leaf (PEM) is to be renewed, in Unix seconds; 0.0 if it is none of this CA."""
    try:
        found = x509.load_pem_x509_certificate(pem)
        found.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return 0.0
    return _renew_at(found)


def read_leaf(certificate_pem: bytes, key_pem: bytes, authority_pem: bytes) -> Leaf:
    """Return a pair that was issued elsewhere, which never asks for its renewal.

    Raises ValueError when they are no pair, or the CAs are no PEM; those may be empty.
    """
    certificate = x509.load_pem_x509_certificates(certificate_pem)[0]
    key = serialization.load_pem_private_key(key_pem, password=None)
    if certificate.public_key() != key.public_key():
        raise ValueError("its key belongs to another certificate")
    if authority_pem.strip():
        x509.load_pem_x509_certificates(authority_pem)
    return Leaf(certificate_pem, key_pem, float("inf"))


def last_expiry(pem: bytes) -> float:
    """Return when the last of some certificates (PEM) expires, Unix seconds; raise ValueError."""
    found = x509.load_pem_x509_certificates(pem)
    return max(certificate.not_valid_after_utc.timestamp() for certificate in found)


def _renew_at(certificate: x509.Certificate) -> float:
    begin = (certificate.not_valid_before_utc + BACKDATED).timestamp()
    return begin + (certificate.not_valid_after_utc.timestamp() - begin) * RENEW_AT


class Verifier:
    """Says whether a client certificate is a front proxy's, by the CAs it was given last."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._known: dict[bytes, tuple[float, str | None]] = {}

    def trust(self, pem: str) -> None:
        """Take these CAs (PEM) instead of those before; raise ValueError when they are no PEM."""
        authorities = x509.load_pem_x509_certificates(pem.encode()) if pem.strip() else []
        self._store = Store(authorities) if authorities else None
        self._known.clear()

    def common_name(self, der: bytes, now: float) -> str | None:
        """Return the common name of a certificate that chains to a CA and is for clients.

        None for any other. Dates are those of `now` (Unix seconds), looked at once a minute.
        """
        known = self._known.get(der)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        name = self._verified_name(der, now)
        self._known[der] = (now + 60.0, name)
        return name

    def _verified_name(self, der: bytes, now: float) -> str | None:
        if self._store is None:
            return None
        builder = PolicyBuilder().store(self._store).time(datetime.fromtimestamp(now, UTC))
        verifier = builder.extension_policies(
            ca_policy=_CA_POLICY, ee_policy=_CLIENT_POLICY
        ).build_client_verifier()
        try:
            certificate = x509.load_der_x509_certificate(der)
            verifier.verify(certificate, [])
        except (ValueError, VerificationError):
            return None
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else ""


def server_context(leaf: Leaf, authorities: Sequence[str]) -> ssl.SSLContext:
    """Return a context that serves the leaf and asks clients for a certificate of these CAs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    _load(context, leaf.pem)
    for pem in filter(str.strip, authorities):
        context.load_verify_locations(cadata=pem)
    return context


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Give the context its chain; Python reads it from a path only, so from one in memory."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("leaf")
        try:
            os.write(descriptor, pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: float, days: float
) -> x509.CertificateBuilder:
    at = datetime.fromtimestamp(now, UTC)
    builder = x509.CertificateBuilder(subject_name=subject, public_key=key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(at - BACKDATED).not_valid_after(at + timedelta(days=days))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False)


def _name(common_name: str) -> x509.Name:
    # X.520 allows a common name 64 characters; verifiers look at the DNS names only.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _for_clients(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    """As Go does: without the extension every use is allowed."""
    wanted = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not wanted & set(usage):
        raise ValueError("the certificate is not for clients")


def _signs_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key may not sign certificates")


# Front proxies' certificates carry no DNS name and often no key identifier, which the defaults for
# the public web would demand; dates, signatures, key sizes and basic constraints stay checked.
_CLIENT_POLICY = ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients
)
_CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
)
