"""The Kubernetes client: credentials, raw JSON requests, streams; only user of kubernetes_asyncio.

The library's typed models are never used: they would cost a copy of every pod. Importing it takes
35 MiB, so that happens in `connect`: a standalone adapter never pays for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import msgspec

from adapter.cluster import Event, Json, Keep, Patch
from adapter.errors import KubeError, StartupError
from adapter.intake.watch import Watch
from adapter.telemetry import release, warn

if TYPE_CHECKING:
    from kubernetes_asyncio.client.api_client import ApiClient
    from kubernetes_asyncio.client.configuration import Configuration

# The kubelet rewrites a bound token at 80 % of its hour, so a minute's delay is never too late.
TOKEN_REFRESH_SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_MAX_MESSAGE = 300  # characters of an answer that is no Status


class Kube:
    """One API server, with the credentials of a kubeconfig or of the pod. See adapter.cluster."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = namespace  # where kubectl would ask; `default` with a service account
        self._client = client

    @classmethod
    async def connect(cls, kubeconfig: str, context: str = "") -> Self:
        """Return a client; an empty path means the pod's own service account.

        `context` is one of the kubeconfig's, empty for its current one.

        Nothing is sent yet. Raises StartupError when there are no usable credentials.
        """
        from kubernetes_asyncio.client.api_client import ApiClient  # noqa: PLC0415
        from kubernetes_asyncio.client.configuration import Configuration  # noqa: PLC0415

        configuration = Configuration()
        # Cluster CAs often lack the key identifiers that Python 3.13 began to insist on.
        configuration.disable_strict_ssl_verification = True
        namespace = ""
        if kubeconfig:
            namespace = await _read_kubeconfig(kubeconfig, context, configuration)
        else:
            await _read_service_account(configuration)
        client = ApiClient(configuration)
        client.user_agent = f"forescale-adapter/{release()}"
        return cls(client, namespace or "default")

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def token(self) -> str | None:
        """Return the bearer token that the API server knows us by; None where there is none."""
        configuration = self._client.configuration
        text = await configuration.get_api_key_with_prefix("BearerToken")
        return str(text).removeprefix("Bearer ") if text else None

    async def clock(self, *, deadline_seconds: float = 5.0) -> float:
        """Return the time in the API server's Date header, Unix seconds; raises KubeError."""
        timeout = aiohttp.ClientTimeout(total=deadline_seconds)
        try:
            async with asyncio.timeout(deadline_seconds):
                async with await self._send(
                    "GET", "/version", params=None, headers=None, timeout=timeout
                ) as response:
                    return parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (TimeoutError, aiohttp.ClientError, OSError, KeyError, ValueError) as error:
            raise KubeError(0, "Unreachable", f"GET /version: no Date: {_words(error)}") from error

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, deadline_seconds: float = 5.0
    ) -> Json:
        return await self._call("GET", path, params=params, deadline_seconds=deadline_seconds)

    async def create(self, path: str, body: Json, *, deadline_seconds: float = 5.0) -> Json:
        return await self._call("POST", path, body=body, deadline_seconds=deadline_seconds)

    async def patch(
        self,
        path: str,
        body: Json | list[Json],
        *,
        kind: Patch = Patch.MERGE,
        deadline_seconds: float = 5.0,
    ) -> Json:
        headers = {"Content-Type": str(kind)}
        return await self._call(
            "PATCH", path, headers=headers, body=body, deadline_seconds=deadline_seconds
        )

    async def delete(
        self, path: str, *, uid: str | None = None, deadline_seconds: float = 5.0
    ) -> Json:
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self._call("DELETE", path, body=options, deadline_seconds=deadline_seconds)

    def watch(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        metadata_only: bool = False,
        keep: Keep | None = None,
    ) -> AsyncIterator[Event]:
        return Watch(self, path, params or {}, metadata_only=metadata_only, keep=keep).events()

    async def page(
        self, path: str, params: Mapping[str, str], accept: str, deadline_seconds: float
    ) -> Json:
        """Return one page of a list in the form that `accept` asks for."""
        return await self._call(
            "GET",
            path,
            params=params,
            headers={"Accept": accept},
            deadline_seconds=deadline_seconds,
        )

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], accept: str, silence_seconds: float
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open an answer that is read in chunks as they come.

        Raises KubeError for a refusal, and TimeoutError or aiohttp.ClientError while reading: a
        connection on which nothing comes for `silence_seconds` counts as dead.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence_seconds
        )
        async with asyncio.timeout(silence_seconds):
            response = await self._send(
                "GET", path, params=params, headers={"Accept": accept}, timeout=timeout
            )
        async with response:
            if response.status != 200:  # noqa: PLR2004 - OK
                raise _refusal(response.status, await response.read())
            yield response.content.iter_any()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        deadline_seconds: float,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
    ) -> Json:
        timeout = aiohttp.ClientTimeout(total=deadline_seconds)
        try:
            async with asyncio.timeout(deadline_seconds):
                response = await self._send(
                    method, path, params=params, headers=headers, body=body, timeout=timeout
                )
                async with response:
                    answer = await response.read()
        except TimeoutError as error:
            raise KubeError(
                0, "Timeout", f"{method} {path}: no answer within {deadline_seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise KubeError(0, "Unreachable", f"{method} {path}: {_words(error)}") from error
        return _decode(method, path, response.status, answer)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own kind
        body: Json | list[Json] | None = None,
    ) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._client.call_api(
            path,
            method,
            query_params=list((params or {}).items()),
            header_params=dict(headers or {"Accept": "application/json"}),
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=timeout,
        )
        return response


def _decode(method: str, path: str, status: int, answer: bytes) -> Json:
    if not 200 <= status < 300:  # noqa: PLR2004 - the range of success
        raise _refusal(status, answer)
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:  # or nested too deep
        words = f"{method} {path}: the answer is no JSON object ({error})"
        raise KubeError(0, "Unreachable", words) from error


def _refusal(status: int, answer: bytes) -> KubeError:
    try:
        body = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    if body.get("kind") == "Status":
        return KubeError(status, str(body.get("reason", "")), str(body.get("message", "")))
    return KubeError(status, "", answer[:_MAX_MESSAGE].decode(errors="replace").strip())


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _read_kubeconfig(path: str, context: str, configuration: Configuration) -> str:
    """Return the context's namespace, empty where it names none."""
    from kubernetes_asyncio.config import ConfigException, load_kube_config  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    if not await asyncio.to_thread(Path(path).is_file):
        raise StartupError(f"kubeconfig: {path} is no file; name the one that kubectl uses")
    try:
        loader = await load_kube_config(
            config_file=path,
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )
    # The library lets YAML, base64 and credential plugin errors through as they are.
    except (ConfigException, YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        raise StartupError(f"kubeconfig: {path} cannot be used: {_words(error)}") from error

    async def reload(_: object) -> None:
        # Only credentials of a plugin that expire carry this mark; the loader keeps fresh ones.
        if hasattr(loader, "exec_plugin_expiry"):
            await loader.load_from_exec_plugin()
            configuration.api_key["BearerToken"] = loader.token

    configuration.refresh_api_key_hook = reload
    current = loader.current_context or {}
    return str(current.get("context", {}).get("namespace") or "")


async def _read_service_account(configuration: Configuration) -> None:
    from kubernetes_asyncio.config import ConfigException, incluster_config  # noqa: PLC0415

    try:
        await asyncio.to_thread(
            incluster_config.load_incluster_config,
            client_configuration=configuration,
            try_refresh_token=False,
        )
    except (ConfigException, OSError) as error:
        raise StartupError(
            f"no service account to reach the API server with ({error}): run inside a pod with"
            " automountServiceAccountToken, or set kubeconfig"
        ) from error
    token = _Token(Path(incluster_config.SERVICE_TOKEN_FILENAME))
    configuration.refresh_api_key_hook = token.refresh


class _Token:
    """The pod's token, read again each minute off the event loop, since it is replaced on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = time.monotonic() + TOKEN_REFRESH_SECONDS

    async def refresh(self, configuration: Configuration) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + TOKEN_REFRESH_SECONDS
        try:
            text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        except OSError as error:
            warn("token_unreadable", path=str(self._path), why=str(error))
            return
        if text.strip():
            configuration.api_key["BearerToken"] = f"Bearer {text.strip()}"
