"""The CRDs of the Prometheus Operator and of cert-manager: found in the cache, or fetched into it.

`python -m tests.crds.fetch`; their paths go to stdout. They come in the Go modules of their owners,
whose content go.sum fixes; nothing is compiled.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.controlplane.build import BuildError, environment, find_go, install_go, module_binary

MODULE = Path(__file__).resolve().parent
# Of each module the kinds that the manifests use: all that there are would be 5 MiB.
FILES: Mapping[str, tuple[str, ...]] = {
    "github.com/cert-manager/cert-manager": (
        "deploy/crds/cert-manager.io_certificates.yaml",
        "deploy/crds/cert-manager.io_issuers.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}
DOWNLOAD_SECONDS = 300.0
END = "\n}\n"  # of one object of `go mod download -json`, and of none within it


def paths() -> list[Path]:
    """The CRDs, without fetching them. Raises BuildError with the line to type."""
    go = find_go()
    found = _places(go) if go else []
    if not found or not all(path.exists() for path in found):
        raise BuildError("the CRDs are not fetched yet: run `.venv/bin/python -m tests.crds.fetch`")
    return found


def fetch() -> list[Path]:
    """The CRDs, fetched where the cache lacks one. Raises BuildError."""
    go = find_go() or install_go()
    wanted = _places(go)
    if not all(path.exists() for path in wanted):
        folders = _downloaded(go)
        sources = (folders[module] / file for module, files in FILES.items() for file in files)
        for source, path in zip(sources, wanted, strict=True):
            _copy(source, path)
    return wanted


def _places(go: Path) -> list[Path]:
    folder = module_binary(MODULE, "crds", go)
    return [folder / Path(file).name for files in FILES.values() for file in files]


def _downloaded(go: Path) -> dict[str, Path]:
    """The folder of each module, in Go's own cache; what go.sum does not say is refused by Go."""
    command = [str(go), "mod", "download", "-json", *FILES]
    try:
        done = subprocess.run(
            command,
            cwd=MODULE,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"no CRDs after {DOWNLOAD_SECONDS:.0f} s: is Go's proxy there?") from error
    if done.returncode:
        raise BuildError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    modules = [json.loads(text + END) for text in done.stdout.split(END) if text]
    return {one["Path"]: Path(one["Dir"]) for one in modules}


def _copy(source: Path, path: Path) -> None:
    """Copy beside `path` and rename: another one that fetches meets no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    shutil.copyfile(source, unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    try:
        sys.stdout.write("".join(f"{path}\n" for path in fetch()))
    except BuildError as error:
        sys.exit(f"error: {error}")
