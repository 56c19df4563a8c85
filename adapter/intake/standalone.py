"""Standalone: pods from a directory of YAML or JSON files instead of a kube-apiserver.

Each file holds Pods (and ReplicaSets, for the way to a Deployment; Services and Ingresses; Nodes,
ResourceClaims and ResourceSlices, for whose a GPU is) with their status, as `kubectl get -o yaml`
prints them. Files are read again when they change; a broken file is told once and keeps its last
good content; a removed file removes its pods.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from adapter import unread
from adapter.errors import StartupError
from adapter.intake.allocation import Kind
from adapter.intake.podjson import Json
from adapter.intake.roster import Roster
from adapter.intake.shelf import Shelf
from adapter.telemetry import Once, warn

POLL_SECONDS = 0.5
_SUFFIXES = (".json", ".yaml", ".yml")
_DEVICES = {"Node": Kind.NODE, "ResourceClaim": Kind.CLAIM, "ResourceSlice": Kind.SLICE}
_Stamp = tuple[int, int, int]  # modification time in ns, size, inode


class Directory:
    """Reads the files into a Roster; `run` polls until it is cancelled."""

    def __init__(self, path: str, roster: Roster) -> None:
        self._path = Path(path)
        self._roster = roster
        self._stamps: dict[Path, _Stamp] = {}
        self._objects: dict[Path, list[Json]] = {}
        self._once = Once(warn)
        if not self._path.is_dir():
            raise StartupError(f"standalone: {path} is no directory; create it or name another")

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            # 2,000 files take 30 ms, for which nobody's query waits.
            self._take(await asyncio.to_thread(self._files))
            await asyncio.sleep(POLL_SECONDS)

    def poll(self) -> None:
        """Read what changed since the last call."""
        self._take(self._files())

    def _files(self) -> dict[Path, _Stamp]:
        files = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIXES) and (stamp := _stamp(entry)) is not None:
                    files[Path(entry.path)] = stamp
        return files

    def _take(self, files: dict[Path, _Stamp]) -> None:
        if files == self._stamps:
            return
        changed = [path for path, stamp in sorted(files.items()) if self._stamps.get(path) != stamp]
        self._objects = {path: found for path, found in self._objects.items() if path in files}
        self._stamps = files
        for path in changed:
            self._read(path)
        self._publish()

    def _read(self, path: Path) -> None:
        try:
            self._objects[path] = list(_objects(path))
        except (OSError, ValueError, yaml.YAMLError) as error:
            self._once("standalone_file_unreadable", str(path), unread.why(error), file=str(path))
        else:
            self._once.clear(str(path))

    def _publish(self) -> None:
        found = [raw for objects in self._objects.values() for raw in objects]
        backends, parents = self._roster.backends, self._roster.parents
        shelves: dict[str, Shelf[Any]] = {kind.kind: shelf for kind, shelf in parents.items()}
        shelves |= {kind.kind: shelf for kind, shelf in backends.others.items()}
        shelves |= {"Service": backends.services, "Ingress": backends.ingresses}
        for kind, shelf in shelves.items():
            shelf.replace(raw for raw in found if raw.get("kind") == kind)
        for name, kind in _DEVICES.items():
            self._roster.replace_devices(kind, (raw for raw in found if raw.get("kind") == name))
        self._roster.replace_pods(raw for raw in found if raw.get("kind") == "Pod")


def _stamp(entry: os.DirEntry[str]) -> _Stamp | None:
    try:
        status = entry.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _objects(path: Path) -> Iterator[Json]:
    text = path.read_text(encoding="utf-8")
    documents = [json.loads(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ValueError("each document must be an object such as a Pod")  # noqa: TRY004
        yield from document.get("items", ()) if document.get("kind") == "List" else (document,)
