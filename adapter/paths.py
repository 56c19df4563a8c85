"""The paths: files and folders that the settings name, and which of them are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adapter.settings import Settings

_HERE = "create it, name another, or check where the adapter is to run"


def missing(settings: Settings) -> list[str]:
    """Return one sentence for each path without which the adapter does not start."""
    folders = {
        "standalone": settings.standalone,
        "coldStart.folder": settings.cold_start.folder,
        "tls.folder": settings.tls.folder,
    }
    mounted: dict[str, tuple[str, tuple[str, ...]]] = {}
    mounted["tls.folder"] = (settings.tls.folder, ("tls.crt", "tls.key"))
    if settings.keda.enabled:
        folders["keda.tlsFolder"] = settings.keda.tls_folder
        mounted["keda.tlsFolder"] = (settings.keda.tls_folder, ("tls.crt", "tls.key", "ca.crt"))
    found = [
        f"{key}: {path} is no directory here: {_HERE}"
        for key, path in folders.items()
        if path and not Path(path).is_dir()
    ]
    found += [
        f"{key}: {folder} has no {name}: mount a certificate there"
        for key, (folder, names) in mounted.items()
        if folder and Path(folder).is_dir()
        for name in names
        if not Path(folder, name).is_file()
    ]
    if settings.kubeconfig and not Path(settings.kubeconfig).is_file():
        found.append(f"kubeconfig: {settings.kubeconfig} is no file here: {_HERE}")
    return found


def absent(settings: Settings) -> Iterator[str]:
    """Yield one sentence for each file that is read only when it is needed, and is not there."""
    files = {
        "prometheus.caFile": settings.prometheus.ca_file,
        "prometheus.tokenFile": settings.prometheus.token_file,
        "resourceMetrics.caFile": settings.resource_metrics.ca_file,
        "fallthrough.caFile": settings.fallthrough.ca_file,
    }
    for key, path in files.items():
        if path and not Path(path).is_file():
            yield f"{key}: {path} is no file here: what needs it fails until it is there"
