"""KEDA's side of an external scaler: its own client, with a certificate, asking a real adapter."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.controlplane import build, pki

HOST, PORT = "127.0.0.1", 9402


class KedaSide:
    """The folder that the adapter is given, and who asks with a certificate of its CA."""

    def __init__(self, folder: Path) -> None:
        try:
            self._program = build.binary("kedaclient")
        except build.BuildError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        self._folder = folder
        folder.mkdir()
        self._authority = pki.authority(folder / "ca", "keda")
        self._client = pki.client(self._authority, folder / "client", "keda-operator")
        names = [x509.IPAddress(ipaddress.ip_address(HOST))]
        pki.serving(self._authority, folder / "tls", "forescale", names)

    @property
    def arguments(self) -> list[str]:
        """Of the adapter."""
        address = ["--keda-host", HOST, "--keda-port", str(PORT)]
        return ["--keda-enabled", "true", *address, "--keda-tls-folder", str(self._folder)]

    async def ask(self, namespace: str, **metadata: str) -> dict[str, Any]:
        """Return what each method of the contract answered to KEDA's own client."""
        pair = (self._client.certificate, self._client.key)
        process = await asyncio.create_subprocess_exec(
            self._program,
            f"{HOST}:{PORT}",
            *map(str, (self._authority.pair.certificate, *pair)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        asked = {"name": "llm", "namespace": namespace, "metadata": metadata}
        told, _ = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), 20)
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(told)
        return found
