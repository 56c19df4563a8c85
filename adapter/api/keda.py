"""KEDA's external scaler: a gRPC server in front of the triggers; the adapter's only user of grpc.

Nobody is authenticated without `keda.tlsFolder`; with it, a caller needs a certificate of its CA.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Protocol

from adapter.api import externalscaler as wire
from adapter.api.authority import CERTIFICATE, KEY
from adapter.api.certfiles import AUTHORITY
from adapter.api.tls import read_leaf
from adapter.api.trigger import Triggers
from adapter.errors import AnswerError, BadRequest, NotFound, StartupError
from adapter.settings import Keda as Settings
from adapter.telemetry import Metrics, Once, log, warn
from sidecar.protobuf import ProtobufError

LOOK_SECONDS = 1.0  # of a stream: twice an HPA's sync would be late, and a value changes each tick
GRACE_SECONDS = 2.0
MAX_STREAMS = 256  # ScaledObjects of type external-push; each costs one question a look
MAX_CALLS = 512
MAX_REQUEST_BYTES = 64 * 2**10  # a trigger's metadata has a dozen words
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # two adapters on one port would each get half the calls
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 * 2**10),
    ("grpc.max_concurrent_streams", MAX_CALLS),
)
_Unary = Callable[[bytes], bytes]


class _Call(Protocol):
    """What gRPC hands over with a call, as far as it is used here."""

    async def abort(self, code: object, details: str) -> None:
        """End the call with a status; raises."""


class Scaler:
    """Serves `externalscaler.ExternalScaler`: answers are from memory, and never 0 for missing."""

    def __init__(self, triggers: Triggers, metrics: Metrics) -> None:
        self._triggers = triggers
        self._metrics = metrics
        self._grpc: Any = None
        self._server: Any = None
        self._stopping = asyncio.Event()
        self._streams = 0
        self.port = 0

    async def start(self, settings: Settings) -> None:
        """Listen; raise StartupError that names the setting where that is impossible."""
        # It writes plain lines to standard error, one for each stranger's broken handshake.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            import grpc  # noqa: PLC0415 - an extra, and 10 MiB that only this face pays for
        except ImportError:
            raise StartupError(
                "keda.enabled: grpcio is missing: pip install 'forescale[keda]'"
            ) from None
        self._grpc = grpc
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        self._server.add_generic_rpc_handlers((self._handler(),))
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.port = await self._listen(f"{host}:{settings.port}", settings.tls_folder)
        await self._server.start()

    async def stop(self) -> None:
        """End the streams in peace, so that KEDA comes again at once, then all else."""
        self._stopping.set()
        if self._server is not None:
            await self._server.stop(GRACE_SECONDS)

    async def _listen(self, address: str, folder: str) -> int:
        try:
            if not folder:
                return int(self._server.add_insecure_port(address))
            credentials = await asyncio.to_thread(Credentials(folder).of, self._grpc)
            return int(self._server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise StartupError(
                f"keda.port: {address} cannot be listened on: is it taken? choose another"
            ) from error

    def _handler(self) -> object:
        one, several = (
            self._grpc.unary_unary_rpc_method_handler,
            self._grpc.unary_stream_rpc_method_handler,
        )
        # StreamMetricSpec is left out: KEDA then asks GetMetricSpec, and a target never moves here.
        return self._grpc.method_handlers_generic_handler(
            wire.SERVICE,
            {
                "IsActive": one(self._unary("IsActive", self._is_active)),
                "GetMetricSpec": one(self._unary("GetMetricSpec", self._metric_spec)),
                "GetMetrics": one(self._unary("GetMetrics", self._metric_values)),
                "StreamIsActive": several(self._stream),
            },
        )

    def _is_active(self, message: bytes) -> bytes:
        return wire.activity(active=self._triggers.active(wire.scaled_object(message)))

    def _metric_spec(self, message: bytes) -> bytes:
        return wire.specification(*self._triggers.target(wire.scaled_object(message)))

    def _metric_values(self, message: bytes) -> bytes:
        asked, metric = wire.metrics_request(message)
        found, value = self._triggers.value(asked)
        if metric != found:
            raise BadRequest(f"metricName: `{metric[:100]}` is not the trigger's metric, {found}")
        return wire.metric_value(found, value)

    def _unary(self, method: str, answer: _Unary) -> Callable[[bytes, _Call], Awaitable[bytes]]:
        async def handle(message: bytes, context: _Call) -> bytes:
            try:
                found = answer(message)
            except (AnswerError, ProtobufError) as error:
                await self._refuse(method, context, error)
            # The last boundary: KEDA is told that it was us, and the log says where.
            except Exception:  # noqa: BLE001
                log.exception("answer_failed", extra={"fields": {"keda": method}})
                await self._abort(
                    method, context, "INTERNAL", "the adapter failed to answer; its log says why"
                )
            self._count(method, "OK")
            return found

        return handle

    async def _stream(self, message: bytes, context: _Call) -> AsyncIterator[bytes]:
        """Tell whether the trigger is active at once and when that changes.

        While that is not known nothing is told: KEDA backs off from a stream that fails, and asks
        by GetMetrics meanwhile, which says why.
        """
        method, told = "StreamIsActive", None
        if self._streams >= MAX_STREAMS:
            words = f"{MAX_STREAMS} streams are open: use triggers of type external"
            await self._abort(method, context, "RESOURCE_EXHAUSTED", words)
        self._streams += 1
        try:
            asked = wire.scaled_object(message)
            self._triggers.target(asked)
            self._count(method, "OK")
            while not self._stopping.is_set():
                with suppress(AnswerError):
                    active = self._triggers.active(asked)
                    if active is not told:
                        told = active
                        yield wire.activity(active=active)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), LOOK_SECONDS)
        except (AnswerError, ProtobufError) as error:
            await self._refuse(method, context, error)
        finally:
            self._streams -= 1

    async def _refuse(
        self, method: str, context: _Call, error: AnswerError | ProtobufError
    ) -> NoReturn:
        code = "UNAVAILABLE"
        if isinstance(error, BadRequest | ProtobufError):
            code = "INVALID_ARGUMENT"
        elif isinstance(error, NotFound):
            code = "NOT_FOUND"
        await self._abort(method, context, code, str(error))

    async def _abort(self, method: str, context: _Call, code: str, words: str) -> NoReturn:
        self._count(method, code)
        await context.abort(getattr(self._grpc.StatusCode, code), words)
        raise AssertionError("abort raises")

    def _count(self, method: str, code: str) -> None:
        self._metrics.keda_calls.labels(method, code).inc()


class Credentials:
    """The folder's certificate and CA, looked at for each handshake: a changed one is served."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._served: tuple[bytes, ...] = ()
        self._once = Once(warn)

    def of(self, grpc: ModuleType) -> object:
        """Return gRPC's server credentials; raise StartupError where the folder has none."""
        try:
            self._served = self._read()
            _check(*self._served)
        except (OSError, ValueError) as error:
            raise StartupError(
                f"keda.tlsFolder: {error}: mount tls.crt, tls.key and ca.crt there"
            ) from error

        def configuration() -> object:
            certificate, key, authority = self._served
            return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)

        return grpc.dynamic_ssl_server_credentials(
            configuration(),
            lambda: configuration() if self._changed() else None,
            require_client_authentication=True,
        )

    def _changed(self) -> bool:
        """Return whether there is another pair to serve; called in gRPC's own threads."""
        try:
            found = self._read()
            if found == self._served:
                return False
            _check(*found)
        except (OSError, ValueError) as error:  # a pair that is just being replaced is none
            self._once("keda_certificate_unreadable", "folder", str(error))
            return False
        self._once.clear("folder")
        self._served = found
        return True

    def _read(self) -> tuple[bytes, ...]:
        return tuple((self._folder / name).read_bytes() for name in (CERTIFICATE, KEY, AUTHORITY))


def _check(certificate: bytes, key: bytes, authority: bytes) -> None:
    read_leaf(certificate, key, authority)
    if not authority.strip():
        raise ValueError(f"{AUTHORITY} is empty, and says whose callers are let in")
