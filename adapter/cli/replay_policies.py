"""The policies of a replay: named ones, with a target of their own or not, and manifests."""

from __future__ import annotations

import argparse
import sys
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
    """One policy to play; `named` is empty for a manifest."""

    name: str
    make: Callable[[], Autoscaler]
    named: str = ""


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
            problems += error.problems
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
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not 0 < ratio <= 1:
        words = "write a share of a pod's capacity above 0, up to 1, such as 0.8"
        raise SettingsError([f"--policy {name}:{text}: `{text}` is no target: {words}"])
    return ratio


def _manifest(flag: str, text: str, workload: Workload, chain: Chain) -> Entry:
    if not Path(text).exists():
        known = f" or one of {', '.join([*NAMED, CLAIRVOYANT])}" if flag == "--policy" else ""
        raise SettingsError([f"{flag} {text} is no file: name a manifest{known}"])
    loaded = manifest.load(Path(text))
    sys.stderr.write("".join(f"note: {note}\n" for note in loaded.notes))
    return Entry(
        loaded.policy.name,
        lambda: Forescale(loaded.policy, workload, chain, desired=loaded.desired),
    )
