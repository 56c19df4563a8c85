"""`forescale coldstart`: how long a workload's pods take until they serve, on one screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli import reach, startpage
from adapter.cli.failure import Parser, failed
from adapter.cli.reach import Page
from adapter.errors import KubeError, StartupError
from adapter.ops.coldstart import ColdStart, Stories


def run(argv: Sequence[str]) -> int:
    """Return 0 with the figures on standard output, 1 when there are none or nobody answers."""
    chosen = _parser().parse_args(argv)
    try:
        stories = asyncio.run(_stories(chosen))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        where = "kubectl get pods shows what starts"
        return failed(reach.told(error), reach.hint(error, where, chosen.adapter))
    json = msgspec.json.encode(stories).decode()
    text = json if chosen.output == "json" else startpage.text(stories)
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale coldstart",
        description="Shows how long pods take from their creation until they serve, as the adapter"
        " has learnt it, what they wait for on the way, and which are stuck.",
        allow_abbrev=False,
    )
    reach.add_workload(made)
    reach.add_options(made)
    return made


async def _stories(chosen: argparse.Namespace) -> Stories:
    async with reach.chosen_page(chosen) as page:
        return await _asked(page, chosen)


async def _asked(page: Page, chosen: argparse.Namespace) -> Stories:
    return msgspec.convert(
        await page(ColdStart.path, reach.of_workloads(chosen)), Stories, strict=False
    )
