"""A mounted certificate is served as long as it is a pair, and a new one is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from adapter.api.certfiles import Files
from adapter.errors import StartupError
from tests.controlplane import pki
from tests.controlplane.pki import Authority

NAME = x509.DNSName("forescale.forescale-system.svc")


class Mounted:
    """A folder as cert-manager's Secret makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mounted"
        self.folder.mkdir()
        self._made = folder
        self._count = 0

    def put(self, authority: Authority, *, ca: bool = True) -> None:
        self._count += 1
        pair = pki.serving(authority, self._made / f"leaf-{self._count}", "leaf", [NAME])
        (self.folder / "tls.crt").write_bytes(pair.certificate.read_bytes())
        (self.folder / "tls.key").write_bytes(pair.key.read_bytes())
        if ca:
            (self.folder / "ca.crt").write_bytes(authority.pair.certificate.read_bytes())


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return pki.authority(tmp_path / "ca", "ca")


async def test_the_same_files_are_the_same_certificate(
    mounted: Mounted, authority: Authority
) -> None:
    mounted.put(authority)
    files = Files(str(mounted.folder))
    found = await files.current()
    assert await files.current() is found
    assert found.pem == authority.pair.certificate.read_bytes()
    mounted.put(authority)
    later = await files.current()
    assert later is not found
    assert later.leaf().certificate_pem != found.leaf().certificate_pem


async def test_without_a_ca_nothing_is_said_about_it(
    mounted: Mounted, authority: Authority
) -> None:
    mounted.put(authority, ca=False)
    assert (await Files(str(mounted.folder)).current()).pem == b""


@pytest.mark.parametrize(
    ("file", "content"),
    [("tls.crt", b""), ("tls.key", b"x"), ("ca.crt", b"-----BEGIN CERTIFICATE-----\nx")],
)
async def test_what_is_no_certificate_says_where(
    mounted: Mounted, authority: Authority, file: str, content: bytes
) -> None:
    mounted.put(authority)
    (mounted.folder / file).write_bytes(content)
    with pytest.raises(StartupError, match=r"tls\.folder: .*mounted"):
        await Files(str(mounted.folder)).current()


async def test_half_of_a_replacement_is_no_pair(
    mounted: Mounted, authority: Authority, tmp_path: Path
) -> None:
    mounted.put(authority)
    files = Files(str(mounted.folder))
    before = await files.current()
    other = pki.serving(authority, tmp_path / "other", "other", [NAME])
    (mounted.folder / "tls.crt").write_bytes(other.certificate.read_bytes())
    with pytest.raises(StartupError, match="belongs to another certificate"):
        await files.current()
    (mounted.folder / "tls.key").write_bytes(other.key.read_bytes())
    assert (await files.current()).leaf() != before.leaf()


async def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="mount a certificate there"):
        await Files(str(tmp_path / "nothing")).current()
