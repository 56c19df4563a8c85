"""`forescale top`: workloads with their pods, queue and GPUs, or the pods of one, on one screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli import reach, terminal, toppage
from adapter.cli.failure import Parser, failed
from adapter.cli.reach import Page
from adapter.errors import KubeError, StartupError
from adapter.model.why import Story
from adapter.ops.top import Loads, Top


class Answer(msgspec.Struct, frozen=True):
    """The workloads; of one that was named also the stories of its pods, by metric."""

    loads: Loads
    stories: dict[str, Story] = {}

    def text(self) -> str:
        parts = [toppage.workloads(self.loads)]
        parts += [toppage.pods(self.stories)] if self.stories else []
        return "\n\n".join(parts)


def run(argv: Sequence[str]) -> int:
    """Return 0 with the tables on standard output, 1 when there are none or nobody answers."""
    chosen = _parser().parse_args(argv)
    try:
        answer = asyncio.run(_answer(chosen))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        where = "forescale top -A shows all workloads"
        return failed(reach.told(error), reach.hint(error, where, chosen.adapter))
    if chosen.output == "json":
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        terminal.write(answer.text(), sys.stdout)
    return 0


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale top",
        description="Shows each workload's pods, its queue, its GPUs and what it is asked to carry;"
        " of a workload that is named also each pod.",
        allow_abbrev=False,
    )
    reach.add_workload(made)
    reach.add_options(made)
    return made


async def _answer(chosen: argparse.Namespace) -> Answer:
    async with reach.chosen_page(chosen) as page:
        return await _asked(page, chosen)


async def _asked(page: Page, chosen: argparse.Namespace) -> Answer:
    query = reach.of_workloads(chosen)
    loads = msgspec.convert(await page(Top.path, query), Loads, strict=False)
    if not query["name"] or len(loads.workloads) != 1:
        return Answer(loads)
    (one,) = loads.workloads
    place = {"namespace": one.namespace, "kind": one.kind, "name": one.name}
    return Answer(loads, {m: await _story(page, place, m) for m in toppage.COLUMNS.values()})


async def _story(page: Page, place: dict[str, str], metric: str) -> Story:
    return msgspec.convert(await page("/why", {**place, "metric": metric}), Story, strict=False)
