"""`forescale cost`: what each workload's GPUs did, in GPU-hours and in the user's own prices."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter import night
from adapter.cli import bill, costpage, prices, reach
from adapter.cli.failure import Parser, failed
from adapter.cli.reach import Page
from adapter.errors import KubeError, SettingsError, StartupError
from adapter.ops.cost import Cost, Costs


def run(argv: Sequence[str]) -> int:
    """Return 0 with the figures on standard output, 1 when there are none or nobody answers."""
    chosen = _parser().parse_args(argv)
    try:
        own = prices.read(chosen.prices) if chosen.prices else None
        costs = asyncio.run(_costs(chosen))
    except SettingsError as error:
        shape = "currency: EUR, perGpuHour: {NVIDIA-H100-80GB-HBM3: {onDemand: 4.1, spot: 1.6}}"
        return failed(str(error), f"docs/cost.md has an example: {shape}", 2)
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        where = "kubectl get pods shows what holds GPUs"
        return failed(reach.told(error), reach.hint(error, where, chosen.adapter))
    dark = chosen.night or night.parse(costs.tariff.night)
    found = bill.of(costs, own or costs.tariff.prices, dark)
    json = chosen.output == "json"
    text = msgspec.json.encode(found).decode() if json else costpage.text(found)
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale cost",
        description="Shows the GPU-hours that each workload has held since the adapter began to"
        " listen: those in which its GPUs worked, did nothing, waited for a model, or are unknown.",
        allow_abbrev=False,
    )
    reach.add_workload(made)
    made.add_argument("--prices", default="", metavar="FILE",
                      help="YAML: prices of a GPU-hour (default: the adapter's)")  # fmt: skip
    made.add_argument("--night", type=_hours, default=None, metavar="FROM-TO",
                      help="whole hours of UTC (default: the adapter's cost.night)")  # fmt: skip
    reach.add_options(made)
    return made


def _hours(text: str) -> tuple[int, int]:
    try:
        return night.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _costs(chosen: argparse.Namespace) -> Costs:
    async with reach.chosen_page(chosen) as page:
        return await _asked(page, chosen)


async def _asked(page: Page, chosen: argparse.Namespace) -> Costs:
    return msgspec.convert(await page(Cost.path, reach.of_workloads(chosen)), Costs, strict=False)
