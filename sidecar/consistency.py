"""The consistency: settings that contradict each other, each told with its fix; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sidecar import connections, custom, engines

ENGINE_NONE = "none"


def problems(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with these settings together, by the names of `Settings`."""
    named = [
        name for name in (*custom.FIGURES, *custom.HISTOGRAMS, custom.ESTIMATE) if values[name]
    ]
    flags = [f"--{name.replace('_', '-')}" for name in named]
    return [
        *_general(values),
        *custom.problems(flags, values["engine"], values["engine_url"], values),
        *_connections(values),
        *_credentials(values),
    ]


def _general(values: Mapping[str, Any]) -> Iterator[str]:
    if values["engine"] == ENGINE_NONE and values["engine_url"]:
        yield "--engine-url: has no meaning with --engine none; leave one of them out"
    if values["heartbeat_seconds"] < values["engine_period_seconds"]:
        yield "--heartbeat: is shorter than --engine-period; make it at least as long"
    named = values["pod_name"] and values["pod_namespace"]
    if values["pod_resources"] and not named and values["engine"] != ENGINE_NONE:
        yield "--pod-resources: needs --pod-name and --pod-namespace to know which pod this is"


def _connections(values: Mapping[str, Any]) -> Iterator[str]:
    if values["engine"] == "connections" and not values["engine_port"]:
        yield "--engine-port: --engine connections needs the port to count at"
    if values["engine_port"] and values["engine"] not in connections.PORTS:
        kinds = " or ".join(connections.PORTS)
        yield f"--engine-port: has a meaning only with --engine {kinds}; use --engine-url"


def _credentials(values: Mapping[str, Any]) -> Iterator[str]:
    """Say why a token or a CA would not be used, or would be told to whoever listens."""
    url = urlsplit(values["engine_url"] or "")
    for name in ("engine_ca_file", "engine_tls_name"):
        if values[name] and url.scheme != "https":
            yield f"--{name.replace('_', '-')}: has no meaning without an https --engine-url"
    if not values["engine_token_file"]:
        return
    if values["engine"] in (engines.AUTO, ENGINE_NONE):
        yield "--engine-token-file: would be shown to any server; name it with --engine"
    elif url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        yield f"--engine-token-file: would cross to {url.hostname} in clear; use https"
