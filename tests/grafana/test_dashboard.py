"""The dashboard is one by Grafana's own types, read strictly: a slip in any part is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.build import binary

Json = dict[str, Any]

DASHBOARD = Path(__file__).resolve().parents[2] / "manifests" / "dashboards" / "forescale.json"


def refused(dashboard: Json) -> str:
    """What the program has against it, a line for each; empty where it takes it."""
    run = subprocess.run(
        [binary()], input=json.dumps(dashboard), capture_output=True, text=True, check=False
    )
    assert (run.returncode == 0) == (run.stderr == "")
    return run.stderr


def whole() -> Json:
    return dict(json.loads(DASHBOARD.read_text()))


def panel(dashboard: Json, kind: str) -> Json:
    return next(one for one in dashboard["panels"] if one["type"] == kind)


def of_another_source(shown: Json) -> None:
    for one in (shown, *shown["targets"]):
        one["datasource"]["type"] = "influxdb"


def test_the_dashboard_is_taken_whole() -> None:
    assert refused(whole()) == ""


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        (lambda d: d.update(refreshes="30s"), "unexpected field 'refreshes'"),
        (lambda d: d.update(graphTooltip="1"), "graphTooltip: json: cannot unmarshal string"),
        (lambda d: d.update(fiscalYearStartMonth=12), "fiscalYearStartMonth: must be < 12"),
        (lambda d: d["time"].pop("to"), "time.to: required field is missing"),
        (lambda d: panel(d, "stat").update(type="stats"), 'type: "stats" is no known panel'),
        (lambda d: panel(d, "stat")["options"].update(colour="value"), "unexpected field 'colour'"),
        (lambda d: panel(d, "table")["options"].pop("showHeader"), "showHeader: required field"),
        (
            lambda d: panel(d, "timeseries")["fieldConfig"]["defaults"]["custom"].update(fill=1),
            "unexpected field 'fill'",
        ),
        (lambda d: panel(d, "timeseries")["targets"][0].update(exp="up"), "unexpected field 'exp'"),
        (lambda d: of_another_source(panel(d, "timeseries")), "no query of Prometheus"),
        (lambda d: d["templating"]["list"][1].update(multi="yes"), "multi: json: cannot unmarshal"),
    ],
)
def test_a_slip_in_it_is_refused_and_named(slip: Callable[[Json], None], word: str) -> None:
    dashboard = whole()
    slip(dashboard)
    assert word in refused(dashboard)
