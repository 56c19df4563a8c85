"""The how-tos do what they say: what they show is what the programs print and the tables have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapter.cli import entry
from sidecar import cli, engines
from tests.docs import pages

ATTACH = pages.DOCS / "attach.md"
MIGRATE = pages.DOCS / "migrate.md"
ROW = re.compile(r"(?m)^\| \[.*?\| `([\w-]+)` \| (\d+) `(\S+)` \| `(\w+)` \|$")


def test_the_rules_are_translated_to_what_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "config.yaml"
    rules.write_text(pages.blocks(MIGRATE, "yaml")[0])
    assert entry.main(["migrate", "prometheus-adapter", str(rules)]) == 1  # one has no translation
    assert capsys.readouterr().out == pages.blocks(MIGRATE, "text")[0]


def test_every_server_to_attach_to_has_its_page_its_signal_and_its_probe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = ROW.findall(pages.text(ATTACH))
    assert len(found) == 6
    for engine, port, path, signal in found:
        (row,) = engines.rows_of(engine)
        assert (row.port, row.path) == (int(port), path)
        whole = bool(row.running or row.inflight)
        assert signal.endswith("inflight_requests") is whole, engine
        assert f"`forescale-sidecar probe-for {engine}`" in pages.text(ATTACH)
        assert cli.main(["probe-for", engine]) == 0
        assert "readinessProbe:" in capsys.readouterr().out
