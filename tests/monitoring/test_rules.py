"""Rules, alerts and dashboard as files: promtool takes them, each alert fires and has its page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import prometheus_rule
from scripts.prometheus_rule import RULES

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "manifests" / "dashboards" / "forescale.json"
PAGE = (ROOT / "docs" / "alerts.md").read_text()
TESTS = Path(__file__).parent / "alerts.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in prometheus_rule.groups() for rule in group["rules"] if "alert" in rule
]


def promtool(folder: Path, *arguments: str) -> str:
    """Return what it printed; fail with that when it found something."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: sudo apt-get install -y prometheus"
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def folder_with(folder: Path, alerts: str) -> Path:
    """The rule files and the tests of them in one folder, as promtool wants them."""
    shutil.copy(RULES / "records.yaml", folder)
    shutil.copy(TESTS, folder / "tests.yaml")
    (folder / "alerts.yaml").write_text(alerts)
    return folder


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    for path in RULES.glob("*.yaml"):
        assert "SUCCESS" in promtool(tmp_path, "check", "rules", "--lint-fatal", str(path))


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    alerts = (RULES / "alerts.yaml").read_text()
    promtool(folder_with(tmp_path, alerts), "test", "rules", "tests.yaml")
    tested = set(re.findall(r"alertname: (\w+)", TESTS.read_text()))
    assert tested == {alert["alert"] for alert in ALERTS}


@pytest.mark.process
@pytest.mark.parametrize(
    ("bound", "other"),
    [
        ("p99_rate5m > 0.5", "p99_rate5m > 5"),
        ("error_ratio_rate5m > 0.05", "error_ratio_rate5m > 0.5"),
        ("5 * 86400", "3 * 86400"),
        ("coverage_ratio) < 0.8", "coverage_ratio) < 0.6"),
        ("offset 15m", "offset 1m"),
        ("[1h]) < 0.02", "[1h]) < 0.95"),
    ],
)
def test_a_bound_that_is_wrong_would_be_found(tmp_path: Path, bound: str, other: str) -> None:
    alerts = (RULES / "alerts.yaml").read_text()
    assert alerts.count(bound) == 1
    folder = folder_with(tmp_path, alerts.replace(bound, other))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(folder, "test", "rules", "tests.yaml")


def test_the_prometheus_rule_is_what_the_rule_files_say() -> None:
    assert prometheus_rule.PAGE.read_text() == prometheus_rule.text(), "run `make install-manifest`"


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    pages = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert pages == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        assert alert["annotations"]["runbook"] == f"docs/alerts.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_dashboard_asks_for_its_data_source_and_panels_do_not_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {one["name"]: one["type"] for one in dashboard["templating"]["list"]}
    expected = {"datasource": "datasource", "namespace": "query", "pod": "query"}
    expected |= {"product": "query", "night_from": "textbox", "night_to": "textbox"}
    assert variables == expected
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not own & taken, panel["title"]
        taken |= own
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert all(one["datasource"]["uid"] == "${datasource}" for one in panel["targets"])
