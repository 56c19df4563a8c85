"""Every Event of the adapter is on the page, and no other."""

from __future__ import annotations

import re

from tests.docs import pages

EVENT = re.compile(r'"((?:APIService|Annotation|Forecast)[A-Z]\w+)"')


def test_every_event_is_on_the_page() -> None:
    table = pages.text(pages.DOCS / "events.md").partition("## Events")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    files = (pages.ROOT / "adapter" / "intake").glob("*.py")
    assert told == {name for file in files for name in EVENT.findall(file.read_text())}
