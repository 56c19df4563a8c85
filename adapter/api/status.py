"""The Status: how an answer that is no value looks to a Kubernetes client."""

from __future__ import annotations

import msgspec

from adapter.errors import AnswerError

# Reasons of the codes that the HTTP layer answers with; the rest of the tree names its own.
_REASONS = {
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """metav1.Status; `code` equals the HTTP status, or client-go reports a decoding error."""

    kind: str = "Status"
    apiVersion: str = "v1"  # noqa: N815 - the wire's spelling
    metadata: dict[str, str] = {}
    status: str = "Failure"
    message: str
    reason: str
    code: int


def encode(code: int, message: str) -> bytes:
    """Return the JSON of a failure that has no exception of its own."""
    return _encoded(code, _REASONS.get(code, ""), message)


def of(error: AnswerError) -> bytes:
    """Return the JSON of a failure; its text is what the HPA's event will say."""
    return _encoded(error.code, error.reason, str(error))


def _encoded(code: int, reason: str, message: str) -> bytes:
    # A lone surrogate can come out of a percent-encoded path, and JSON has no spelling for it.
    text = message.encode("utf-8", "replace").decode()
    return msgspec.json.encode(Status(message=text, reason=reason, code=code))
