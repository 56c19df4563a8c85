"""Claim: no metrics page costs the sidecar more than 50 ms of a core, a usual one almost nothing.

1,000 pages of up to 2 MiB, the most that is fetched, each made to be slow in one of a dozen ways
or a mutation of a real one, from a fixed seed. `engines.parse` reads each as it does at every tick.
Beside them the page of a vLLM of 560 lines and one of eight engines, and what prometheus_client's
own parser takes for the former. Processor time, each page once; the usual ones the best of 20.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench import page, table
from sidecar import engines
from sidecar.fetch import MAX_PAGE_BYTES

PAGES = Path(__file__).resolve().parent.parent / "tests" / "sidecar" / "pages"
COUNT = 1_000
LIMIT_SECONDS = 0.050
NAMES = sorted(name for row in engines.rows_of(engines.AUTO) for name in row.names())
Maker = Callable[[random.Random], str]


def _name(dice: random.Random) -> str:
    return dice.choice(NAMES)


def many_series(dice: random.Random) -> str:
    name = _name(dice)
    return "".join(f'{name}{{engine="{n}"}} {n}\n' for n in range(dice.randrange(1_000, 60_000)))


def many_names(dice: random.Random) -> str:
    return "".join(f'{_name(dice)}{{e="{n}"}} 1\n' for n in range(40_000))


def many_labels(dice: random.Random) -> str:
    labels = ",".join(f'l{n}="v"' for n in range(dice.choice((8, 31, 32, 33, 200_000))))
    return f"{_name(dice)}{{{labels}}} 1\n" * (1 if len(labels) > 10_000 else 4_000)


def long_values(dice: random.Random) -> str:
    value = dice.choice("v\\ü{},=") * dice.choice((100, 1_000, 7_900, 1_000_000))
    return f'{_name(dice)}{{a="{value}"}} 1\n' * max(1, 2_000_000 // (len(value) + 60))


def escapes(dice: random.Random) -> str:
    value = dice.choice(("\\\\", '\\"', "\\n", "\\x")) * dice.choice((15, 16, 17, 4_000))
    return f'{_name(dice)}{{a="{value}"}} 1\n' * max(1, 2_000_000 // (len(value) + 60))


def buckets(dice: random.Random) -> str:
    stem = "vllm:time_to_first_token_seconds"
    count = dice.choice((127, 128, 129, 2_000))
    series = "".join(f'{stem}_bucket{{e="%d",le="{n}"}} {n}\n' for n in range(count))
    return "".join(series.replace("%d", str(e)) for e in range(2_000 // count + 1))


def almost_names(dice: random.Random) -> str:
    return (_name(dice)[:-1] + "\n") * 80_000


def short_lines(dice: random.Random) -> str:
    return dice.choice(("\n", "v\n", "# \n", "# TYPE\n", "vllm:\n", "l\n")) * 1_000_000


def one_line(dice: random.Random) -> str:
    return _name(dice) + dice.choice(("{" * 100, "{a=", " ", '{a="')) + "x" * 2_000_000


def announcements(dice: random.Random) -> str:
    return f"# TYPE {_name(dice)} gauge\n" * 60_000


def odd_values(dice: random.Random) -> str:
    odd = ("NaN", "+Inf", "-1", "1e999", "0x1", "1_0", "", "1 2 3", "9" * 400)
    return "".join(f'{_name(dice)}{{e="{n}"}} {dice.choice(odd)}\n' for n in range(3_000))


def mutated(dice: random.Random) -> str:
    text = dice.choice(sorted(PAGES.glob("*.txt"))).read_text() * dice.choice((1, 10, 100))
    for _ in range(dice.randrange(1, 200)):
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice('"{}=,\\\n 0xé') + text[at + dice.choice((0, 1, 50)) :]
    return text


MAKERS: tuple[Maker, ...] = (
    many_series, many_names, many_labels, long_values, escapes, buckets, almost_names,
    short_lines, one_line, announcements, odd_values, mutated,
)  # fmt: skip


def pages(count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """Yield the name of the way and the page, as much of it as would be fetched."""
    dice = random.Random(seed)  # noqa: S311 - the same pages every time
    for number in range(count):
        maker = MAKERS[number % len(MAKERS)]
        yield maker.__name__, maker(dice).encode()[:MAX_PAGE_BYTES]


def cost(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure() -> str:
    load_before = table.load()
    engines.parse(b"warm\n")  # compiles the pattern
    costs: dict[str, list[float]] = {}
    for name, text in pages(COUNT):
        costs.setdefault(name, []).append(cost(lambda text=text: engines.parse(text)))  # type: ignore[misc]
    every = [seconds for of_way in costs.values() for seconds in of_way]
    over = sum(seconds > LIMIT_SECONDS for seconds in every)
    rows = [_row(name.replace("_", " "), costs[name]) for name in sorted(costs)]
    rows.append(_row("all", every))
    return table.markdown(
        "The cost of a hostile metrics page",
        ("made slow by", "pages", "median, ms", "most, ms"),
        rows,
        f"{over} of {len(every)} pages took more than {1000 * LIMIT_SECONDS:g} ms.",
        *_usual(),
        f"Machine: {table.machine(load_before)}.",
    )


def _row(name: str, costs: list[float]) -> tuple[str, ...]:
    figures = (1000 * table.median(costs), 1000 * max(costs))
    return (name, str(len(costs)), *(table.figure(figure) for figure in figures))


def _usual() -> Iterator[str]:
    """Say what pages of real lengths cost."""
    found = page.figures(7, 120, 1_000)
    for text in (page.vllm(found, 2), page.vllm(found, 8)):
        lines, size = text.count(b"\n"), len(text) / 1024
        ours = min(cost(lambda text=text: engines.parse(text)) for _ in range(20))  # type: ignore[misc]
        theirs = min((cost(lambda text=text: _whole(text)) for _ in range(5)), default=math.nan)  # type: ignore[misc]
        yield (
            f"A vLLM page of {lines} lines ({size:.0f} KiB): {1000 * ours:.2f} ms;"
            f" prometheus_client's parser {1000 * theirs:.1f} ms."
        )


def _whole(text: bytes) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(text.decode()))


def main() -> None:
    sys.stdout.write(measure())


if __name__ == "__main__":
    main()
