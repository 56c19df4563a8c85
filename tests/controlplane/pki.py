"""The certificates of a test cluster: two authorities, and what they signed, as PEM files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = dt.timedelta(days=7)
# Clocks of containers on one machine agree, but a certificate made this second is refused by a
# verifier that reads whole seconds.
BACKDATED = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can sign more pairs."""

    pair: Pair
    name: x509.Name
    private_key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Pki:
    """All that the components of one control plane present and trust."""

    authority: Authority
    front_proxy_authority: Authority
    apiserver: Pair
    front_proxy: Pair
    admin: Pair
    controller_manager: Pair
    scheduler: Pair
    service_accounts: Path


def create(folder: Path, *, server_names: Sequence[str], server_addresses: Sequence[str]) -> Pki:
    """Writes a fresh set into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = authority(folder / "ca", "kubernetes-ca")
    front_proxy = authority(folder / "front-proxy-ca", "front-proxy-ca")
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in server_names]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in server_addresses]
    manager, scheduler = "system:kube-controller-manager", "system:kube-scheduler"
    return Pki(
        authority=cluster,
        front_proxy_authority=front_proxy,
        apiserver=serving(cluster, folder / "apiserver", "kube-apiserver", names),
        front_proxy=client(front_proxy, folder / "front-proxy-client", "front-proxy-client"),
        admin=client(cluster, folder / "admin", "kubernetes-admin", ["system:masters"]),
        controller_manager=client(cluster, folder / "controller-manager", manager),
        scheduler=client(cluster, folder / "scheduler", scheduler),
        service_accounts=_write_key(folder / "service-accounts.key", _new_key()),
    )


def authority(stem: Path, common_name: str) -> Authority:
    """A self-signed authority, in `stem`.crt and `stem`.key."""
    key, name = _new_key(), _name(common_name, ())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, key.public_key()).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Authority(_write(stem, builder.sign(key, hashes.SHA256()), key), name, key)


def client(
    signer: Authority, stem: Path, common_name: str, organizations: Sequence[str] = ()
) -> Pair:
    """A client certificate: Kubernetes reads the user from CN and the groups from O."""
    key = _new_key()
    builder = _builder(_name(common_name, organizations), key.public_key())
    return _signed(signer, stem, key, builder, ExtendedKeyUsageOID.CLIENT_AUTH)


def serving(
    signer: Authority, stem: Path, common_name: str, names: Sequence[x509.GeneralName]
) -> Pair:
    """A server certificate for the given DNS names and addresses."""
    key = _new_key()
    builder = _builder(_name(common_name, ()), key.public_key())
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _signed(signer, stem, key, builder, ExtendedKeyUsageOID.SERVER_AUTH)


def _signed(
    signer: Authority,
    stem: Path,
    key: ec.EllipticCurvePrivateKey,
    builder: x509.CertificateBuilder,
    purpose: x509.ObjectIdentifier,
) -> Pair:
    builder = builder.issuer_name(signer.name)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return _write(stem, builder.sign(signer.private_key, hashes.SHA256()), key)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + VALID)


def _name(common_name: str, organizations: Sequence[str]) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    # P-256: the eight keys of a cluster are there in milliseconds, RSA would take a second.
    return ec.generate_private_key(ec.SECP256R1())


def _write(stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    path = stem.with_name(f"{stem.name}.crt")
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Pair(path, _write_key(stem.with_name(f"{stem.name}.key"), key))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            # SEC 1: the API server reads no EC key out of PKCS #8.
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return path
