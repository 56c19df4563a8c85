"""Every Event of the adapter is on the page, and no other."""

from __future__ import annotations

import json
import logging
import re

from adapter.telemetry import EventFormatter
from tests.docs import pages

EVENT = re.compile(r'"((?:APIService|Annotation|Forecast)[A-Z]\w+)"')


def test_every_event_is_on_the_page() -> None:
    table = pages.text(pages.DOCS / "events.md").partition("## Events")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    files = (pages.ROOT / "adapter" / "intake").glob("*.py")
    assert told == {name for file in files for name in EVENT.findall(file.read_text())}


def test_the_lines_of_a_log_that_are_shown_are_those_of_an_event() -> None:
    (shown,) = pages.blocks(pages.DOCS / "events.md", "json")
    for line in map(json.loads, shown.splitlines()):
        facts = {key: value for key, value in line.items() if key not in ("ts", "level", "event")}
        level = logging.getLevelNamesMapping()[line["level"].upper()]
        record = logging.makeLogRecord({"msg": line["event"], "levelno": level, "fields": facts})
        record.levelname = line["level"].upper()
        written = json.loads(EventFormatter(plain=False).format(record))
        assert written == line | {"ts": written["ts"]}
        assert len(written["ts"]) == len(line["ts"])
