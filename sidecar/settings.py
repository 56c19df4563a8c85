"""The settings: flags before environment before defaults, with all errors said at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar import connections, consistency, custom, engines, flags, table
from sidecar.consistency import ENGINE_NONE
from sidecar.flags import PREFIX, SIDECAR, Face, Field, FlagsError
from sidecar.row import Row
from sidecar.sharing import SharedGpu
from sidecar.values import (
    LOG_LEVELS,
    count,
    duration,
    engine_url,
    folder,
    gpu_uuids,
    host,
    label,
    log_level,
    object_name,
    path,
    pod_uid,
    port,
    shared_gpu,
    tls_name,
)

# The kubelet injects these for each Service, so a Service named `forescale-sidecar` sets PORT.
_SERVICE_LINK = re.compile(r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|(\w+_)?PORT_\d+_(TCP|UDP|SCTP)\w*)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one sidecar runs; durations in seconds, `engine_url` None means the engine's own."""

    host: str
    port: int
    engine: str
    engine_url: str | None
    engine_row: Row | None  # the names given with --engine custom
    engine_port: int | None  # where connections are counted, with --engine connections or ollama
    engine_slots: int  # of those connections as many are taken for being served
    engine_token_file: str | None
    engine_ca_file: str | None
    engine_tls_name: str | None
    engine_period_seconds: float
    gpu_period_seconds: float
    heartbeat_seconds: float
    engine_timeout_seconds: float
    gpu_timeout_seconds: float
    gpu_uuids: tuple[str, ...]
    shared_gpu: SharedGpu
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


def _engine(text: str) -> str:
    rows = (row.kind for row in table.ROWS)
    known = (engines.AUTO, ENGINE_NONE, *rows, custom.KIND, *connections.PORTS)
    if text in known:
        return text
    raise ValueError(f"is no engine; give one of {', '.join(known)}")


FIELDS = (
    Field("host", "host", host, "::", "address to listen on; :: is IPv6 and IPv4"),
    Field("port", "port", port, "9401", "port to listen on"),
    Field("engine", "engine", _engine, "auto", "model server: auto, none, or its name"),
    Field("engine-url", "engine_url", engine_url, None, "its metrics page, if elsewhere"),
    *(
        Field(name.replace("_", "-"), name, custom.names, "", f"its metric: {what}")
        for name, what in custom.FIGURES.items()
    ),
    Field("engine-ttft", "engine_ttft", custom.histogram, "", "its histogram: first token"),
    Field("engine-queue-time", "engine_queue_time", custom.histogram, "", "its histogram: waiting"),
    Field("engine-estimate", custom.ESTIMATE, custom.words, "", "why its queue is a stand-in"),
    Field("engine-model-label", "engine_model_label", label, "model", "its label of the model"),
    Field("engine-port", "engine_port", port, None, "with --engine connections: its port"),
    Field("engine-slots", "engine_slots", count, "1", "requests it serves at once, for that"),
    Field("engine-token-file", "engine_token_file", path, None, "file with its bearer token"),
    Field("engine-ca-file", "engine_ca_file", path, None, "file with the CA of its certificate"),
    Field("engine-tls-name", "engine_tls_name", tls_name, None, "the name in its certificate"),
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
    Field("gpu-uuids", "gpu_uuids", gpu_uuids, "", "UUIDs of this pod's GPUs, by commas"),
    Field("shared-gpu", "shared_gpu", shared_gpu, "withhold", "figures of GPUs others use too"),
    Field(
        "pod-uid", "pod_uid", pod_uid, None, "metadata.uid of this pod (also: POD_UID)", "POD_UID"
    ),
    Field("pod-name", "pod_name", object_name, None, "metadata.name (also: POD_NAME)", "POD_NAME"),
    Field(
        "pod-namespace",
        "pod_namespace",
        object_name,
        None,
        "metadata.namespace (also: POD_NAMESPACE)",
        "POD_NAMESPACE",
    ),
    Field("pod-resources", "pod_resources", folder, None, "folder of the kubelet's PodResources"),
    Field("log-level", "log_level", log_level, "info", ", ".join(LOG_LEVELS)),
)


def load(
    argv: Sequence[str], environ: Mapping[str, str], version: str, face: Face = SIDECAR
) -> Loaded:
    """Return the settings; raise SettingsError with every problem, SystemExit for --help."""
    try:
        told, problems = flags.parse(FIELDS, argv, face, version)
    except FlagsError as error:
        raise SettingsError([str(error)]) from None
    warnings = _unknown(environ)
    values: dict[str, Any] = {}
    for field in FIELDS:
        default = face.default(field)
        given = _given(field, told, environ, warnings)
        source, text = given or (f"--{field.flag}", default)
        if given and source != field.also and text != default and not face.takes(field):
            problems.append(f"{source}: {face.why}; leave it out")
            text = default
        try:
            values[field.attribute] = None if text is None else field.parse(text)
        except ValueError as error:
            problems.append(f"{source}: {text!r} {error}")
    if not problems:
        problems += consistency.problems(values)
    if problems:
        raise SettingsError(problems)
    return Loaded(Settings(**_with_row(values)), tuple(warnings))


def _with_row(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with the names of a custom engine as one row."""
    label, estimate = values.pop("engine_model_label"), values.pop(custom.ESTIMATE)
    given = {name: values.pop(name) for name in (*custom.FIGURES, *custom.HISTOGRAMS)}
    is_custom = values["engine"] == custom.KIND
    values["engine_port"] = values["engine_port"] or connections.PORTS.get(values["engine"])
    return {**values, "engine_row": custom.row(given, label, estimate) if is_custom else None}


def _given(
    field: Field, flags: dict[str, str | None], environ: Mapping[str, str], warnings: list[str]
) -> tuple[str, str] | None:
    """Return where a setting's text comes from, and the text; None when it is not given."""
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
    return None


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable that looks like a setting of ours and is none."""
    known = {field.variable.removeprefix(PREFIX) for field in FIELDS}
    ours = (name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX))
    odd = [name for name in ours if name not in known and not _SERVICE_LINK.fullmatch(name)]
    close = {name: difflib.get_close_matches(name, known, 1) for name in odd}
    hints = {name: f"; did you mean {PREFIX}{near[0]}?" for name, near in close.items() if near}
    return [f"{PREFIX}{name} is no setting{hints.get(name, '')}" for name in sorted(odd)]
