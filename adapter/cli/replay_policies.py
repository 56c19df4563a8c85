"""The policies of a replay: named ones, with a target of their own or not, and manifests."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import msgspec

from adapter.errors import SettingsError
from adapter.replay import manifest
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler, Forescale
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES, TARGETLESS
from adapter.replay.workload import Workload

NAMED = {**POLICIES, **ABLATIONS}


class Entry(msgspec.Struct, frozen=True):
    """One policy to play; `named` is empty for a manifest, of which `notes` say what is lost.

    `min_replicas` is the manifest's own, None for a named policy, which takes the workload's.
    """

    name: str
    make: Callable[[], Autoscaler]
    named: str = ""
    notes: tuple[str, ...] = ()
    min_replicas: int | None = None


def entries(chosen: argparse.Namespace, workload: Workload) -> list[Entry]:
    """Return the policies asked for but the bound; raise SettingsError with all problems."""
    chain = Chain(delay_seconds=chosen.scrape_delay)
    found: list[Entry] = []
    problems: list[str] = []
    policies = [text for text in asked(chosen) if text != CLAIRVOYANT]
    for flag, text in [
        *(("--policy", one) for one in policies),
        *(("--hpa", h) for h in chosen.hpa),
    ]:
        try:
            if flag == "--policy" and text.partition(":")[0] in NAMED:
                found.append(_named(text, workload, chosen.target, chain))
            else:
                found.append(_manifest(flag, text, workload, chain))
        except SettingsError as error:
            problems += (p if text in p else f"{flag} {text}: {p}" for p in error.problems)
    if problems:
        raise SettingsError(problems)
    return found


def asked(chosen: argparse.Namespace) -> list[str]:
    """Return the names that are to be played: all, where neither policy nor HPA is given."""
    return list(chosen.policy or ([] if chosen.hpa else [*POLICIES, CLAIRVOYANT]))


def named(name: str, workload: Workload, target: float, chain: Chain) -> Entry:
    make, _ = NAMED[name]
    return Entry(name, lambda: make(workload, target, chain), name)


def _named(text: str, workload: Workload, target: float, chain: Chain) -> Entry:
    """Return the policy of `NAME` or `NAME:TARGET`."""
    name, _, ratio = text.partition(":")
    made = named(name, workload, _ratio(name, ratio) if ratio else target, chain)
    return msgspec.structs.replace(made, name=text)


def _ratio(name: str, text: str) -> float:
    if name in TARGETLESS:
        raise SettingsError([f"--policy {name}:{text}: {name} has no target: leave :{text} out"])
    try:
        return share(text)
    except ValueError as error:
        raise SettingsError([f"--policy {name}:{text}: {error}"]) from error


def share(text: str) -> float:
    """Return a share of a pod's capacity, given as a figure or in percent; raise ValueError."""
    try:
        found = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1:
        raise ValueError(f"`{text}` is no target: write a share of a pod's capacity, 0.9 or 90%")
    return found


def _manifest(flag: str, text: str, workload: Workload, chain: Chain) -> Entry:
    if not Path(text).exists():
        known = f" or one of {', '.join([*NAMED, CLAIRVOYANT])}" if flag == "--policy" else ""
        raise SettingsError([f"{flag} {text} is no file: name a manifest{known}"])
    loaded = manifest.load(Path(text))
    return Entry(
        loaded.policy.name,
        lambda: Forescale(loaded.policy, workload, chain, desired=loaded.desired),
        notes=loaded.notes,
        min_replicas=loaded.policy.min_replicas,
    )
