"""The values: what the text of one setting means; each says the fix of what it refuses. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from sidecar import deviceid
from sidecar.sharing import SharedGpu

MAX_PORT = 65535
MAX_COUNT = 100_000
LOG_LEVELS = ("debug", "info", "warning", "error")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_POD_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


def duration(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of `15s`, `500ms`, `1m` or plain seconds within these bounds."""

    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text.strip())
        if not match:
            raise ValueError("is no duration; write it as 15s, 500ms, 1m or plain seconds")
        seconds = float(match[1]) * _UNIT_SECONDS[match[2] or "s"]
        if not least <= seconds <= most:
            raise ValueError(f"is out of range; give {least:g}s to {most:g}s")
        return seconds

    return parse


def host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("is no IP address; give one such as :: or 0.0.0.0") from None


def port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError("is no port; give a number from 1 to 65535")


def count(text: str) -> int:
    """Return a whole number from 1 to 100,000; raise ValueError."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_COUNT:
        return int(text)
    raise ValueError(f"is no count; give a number from 1 to {MAX_COUNT}")


def engine_url(text: str) -> str:
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        raise ValueError("is no URL; give one such as http://127.0.0.1:8000/metrics") from None
    if not usable or url.username or url.password or not url.path.strip("/"):
        raise ValueError(
            "is not usable; give http:// or https://, a host, and the page's path,"
            " without a user name, such as http://127.0.0.1:8000/metrics"
        )
    return text


def label(text: str) -> str:
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text):
        return text
    raise ValueError("is no label name; give one such as model_name")


def path(text: str) -> str:
    if text.startswith("/"):
        return text
    raise ValueError("is no absolute path; give one such as /var/run/secrets/engine/token")


def tls_name(text: str) -> str:
    if re.fullmatch(r"[0-9A-Za-z.-]{1,253}", text):
        return text
    raise ValueError("is no host name; give the one in the certificate")


def gpu_uuids(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    shared = [part for part in parts if deviceid.is_shared(part)]
    if shared:
        raise ValueError(f"names a shared GPU ({shared[0]}), whose load is not this pod's alone")
    wrong = [part for part in parts if not deviceid.is_uuid(part)]
    if wrong:
        raise ValueError(f"holds {wrong[0]!r}; give UUIDs as `nvidia-smi -L` prints them")
    return parts


def shared_gpu(text: str) -> SharedGpu:
    if text in list(SharedGpu):
        return SharedGpu(text)
    raise ValueError(f"is no rule for shared GPUs; give one of {', '.join(SharedGpu)}")


def pod_uid(text: str) -> str:
    if _POD_UID.fullmatch(text):
        return text
    raise ValueError("is no pod UID; set it by the downward API from metadata.uid")


def object_name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise ValueError("is no name of an object; set it by the downward API")


def folder(text: str) -> Path:
    if text.startswith("/"):
        return Path(text)
    raise ValueError("is no absolute path; give one such as /var/lib/kubelet/pod-resources")


def log_level(text: str) -> str:
    if text.lower() in LOG_LEVELS:
        return text.lower()
    raise ValueError(f"is no level; give one of {', '.join(LOG_LEVELS)}")
