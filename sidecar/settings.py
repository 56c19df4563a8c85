"""The settings: flags before environment before defaults, with all errors said at once."""

from __future__ import annotations

import argparse
import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar import cli, deviceid, engines

PREFIX = "FORESCALE_SIDECAR_"
ENGINE_NONE = "none"
MAX_PORT = 65535
LOG_LEVELS = ("debug", "info", "warning", "error")

# The kubelet injects these for each Service, so a Service named `forescale-sidecar` sets PORT.
_SERVICE_LINK = re.compile(r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|(\w+_)?PORT_\d+_(TCP|UDP|SCTP)\w*)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_POD_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one sidecar runs; durations in seconds, `engine_url` None means the engine's own."""

    host: str
    port: int
    engine: str
    engine_url: str | None
    engine_period_seconds: float
    gpu_period_seconds: float
    heartbeat_seconds: float
    engine_timeout_seconds: float
    gpu_timeout_seconds: float
    gpu_uuids: tuple[str, ...]
    pod_uid: str | None
    pod_name: str | None
    pod_namespace: str | None
    pod_resources: Path | None
    log_level: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what was ignored on the way."""

    settings: Settings
    warnings: tuple[str, ...]


class SettingsError(ValueError):
    """Settings that cannot be used; one line for each problem, each with its fix."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


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


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("is no IP address; give one such as :: or 0.0.0.0") from None


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError("is no port; give a number from 1 to 65535")


def _engine(text: str) -> str:
    known = (engines.AUTO, ENGINE_NONE, *(row.kind for row in engines.ROWS))
    if text in known:
        return text
    raise ValueError(f"is no engine; give one of {', '.join(known)}")


def _engine_url(text: str) -> str:
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


def _gpu_uuids(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    shared = [part for part in parts if deviceid.is_shared(part)]
    if shared:
        raise ValueError(f"names a shared GPU ({shared[0]}), whose load is not this pod's alone")
    wrong = [part for part in parts if not deviceid.is_uuid(part)]
    if wrong:
        raise ValueError(f"holds {wrong[0]!r}; give UUIDs as `nvidia-smi -L` prints them")
    return parts


def _pod_uid(text: str) -> str:
    if _POD_UID.fullmatch(text):
        return text
    raise ValueError("is no pod UID; set it by the downward API from metadata.uid")


def _name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise ValueError("is no name of an object; set it by the downward API")


def _folder(text: str) -> Path:
    if text.startswith("/"):
        return Path(text)
    raise ValueError("is no absolute path; give one such as /var/lib/kubelet/pod-resources")


def _log_level(text: str) -> str:
    if text.lower() in LOG_LEVELS:
        return text.lower()
    raise ValueError(f"is no level; give one of {', '.join(LOG_LEVELS)}")


@dataclass(frozen=True, slots=True)
class Field:
    """One setting: the flag's name, its parser, its default as text, and its help."""

    flag: str
    attribute: str
    parse: Callable[[str], Any]
    default: str | None
    help: str
    also: str | None = None  # a variable that the downward API usually sets

    @property
    def variable(self) -> str:
        return PREFIX + self.flag.upper().replace("-", "_")


FIELDS = (
    Field("host", "host", _host, "::", "address to listen on; :: is IPv6 and IPv4"),
    Field("port", "port", _port, "9401", "port to listen on"),
    Field("engine", "engine", _engine, "auto", "model server: auto, none, or its name"),
    Field("engine-url", "engine_url", _engine_url, None, "its metrics page, if elsewhere"),
    Field("engine-period", "engine_period_seconds", duration(0.1, 10), "1s", "queue read every"),
    # Faster polling of NVML costs the model server's inter-token latency (about 2 % at 100 ms).
    Field("gpu-period", "gpu_period_seconds", duration(1, 60), "2s", "NVML read every"),
    # A reader takes three silent heartbeats for a dead stream: longer ones would hide a dead pod
    # for most of an adapter's hold (60 s).
    Field("heartbeat", "heartbeat_seconds", duration(0.5, 10), "2s", "a frame at the latest every"),
    # An overloaded server may take seconds for its page, and its queue is what matters just then;
    # the frames go on meanwhile and say how old the last reading is.
    Field("engine-timeout", "engine_timeout_seconds", duration(0.05, 10), "5s", "for its page"),
    Field("gpu-timeout", "gpu_timeout_seconds", duration(0.05, 10), "1s", "for one NVML reading"),
    Field("gpu-uuids", "gpu_uuids", _gpu_uuids, "", "UUIDs of this pod's GPUs, by commas"),
    Field(
        "pod-uid", "pod_uid", _pod_uid, None, "metadata.uid of this pod (also: POD_UID)", "POD_UID"
    ),
    Field("pod-name", "pod_name", _name, None, "metadata.name (also: POD_NAME)", "POD_NAME"),
    Field(
        "pod-namespace",
        "pod_namespace",
        _name,
        None,
        "metadata.namespace (also: POD_NAMESPACE)",
        "POD_NAMESPACE",
    ),
    Field("pod-resources", "pod_resources", _folder, None, "folder of the kubelet's PodResources"),
    Field("log-level", "log_level", _log_level, "info", ", ".join(LOG_LEVELS)),
)


def load(argv: Sequence[str], environ: Mapping[str, str], version: str) -> Loaded:
    """Return the settings; raise SettingsError with every problem, SystemExit for --help."""
    flags = _flags(argv, version)
    problems: list[str] = []
    warnings = _unknown(environ)
    values: dict[str, Any] = {}
    for field in FIELDS:
        source, text = _text(field, flags, environ, warnings)
        try:
            values[field.attribute] = None if text is None else field.parse(text)
        except ValueError as error:
            problems.append(f"{source}: {text!r} {error}")
    if not problems:
        problems += _together(values)
    if problems:
        raise SettingsError(problems)
    return Loaded(Settings(**values), tuple(warnings))


def _flags(argv: Sequence[str], version: str) -> dict[str, str | None]:
    about = "Streams one pod's GPU figures and model server's queue to the forescale adapter."
    parser = argparse.ArgumentParser(
        "forescale-sidecar",
        description=about,
        epilog=cli.usage(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for field in FIELDS:
        said = f"{field.help} [{field.variable}, default {field.default or 'none'}]"
        parser.add_argument(f"--{field.flag}", dest=field.attribute, metavar="X", help=said)
    parser.add_argument("--version", action="version", version=f"forescale-sidecar {version}")
    return vars(parser.parse_args(argv))


def _text(
    field: Field, flags: dict[str, str | None], environ: Mapping[str, str], warnings: list[str]
) -> tuple[str, str | None]:
    """Return where a setting's text comes from, and the text; None when it has none."""
    flag = flags[field.attribute]
    if flag is not None:
        return f"--{field.flag}", flag
    for name in filter(None, (field.variable, field.also)):
        text = environ.get(name, "").strip()
        if _SERVICE_ADDRESS.match(text):
            warnings.append(
                f"{name}={text} is ignored: the kubelet injected it for a Service of that name;"
                " set enableServiceLinks: false in the pod"
            )
        elif text:
            return name, text
    return f"--{field.flag}", field.default


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable that looks like a setting of ours and is none."""
    known = {field.variable.removeprefix(PREFIX) for field in FIELDS}
    ours = (name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    odd = [name for name in ours if name not in known and not _SERVICE_LINK.fullmatch(name)]
    close = {name: difflib.get_close_matches(name, known, 1) for name in odd}
    hints = {name: f"; did you mean {PREFIX}{near[0]}?" for name, near in close.items() if near}
    return [f"{PREFIX}{name} is no setting{hints.get(name, '')}" for name in sorted(odd)]


def _together(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if values["engine"] == ENGINE_NONE and values["engine_url"]:
        problems.append("--engine-url: has no meaning with --engine none; leave one of them out")
    if values["heartbeat_seconds"] < values["engine_period_seconds"]:
        problems.append("--heartbeat: is shorter than --engine-period; make it at least as long")
    named = values["pod_name"] and values["pod_namespace"]
    if values["pod_resources"] and not named and values["engine"] != ENGINE_NONE:
        problems.append(
            "--pod-resources: needs --pod-name and --pod-namespace to know which pod this is"
        )
    return problems
