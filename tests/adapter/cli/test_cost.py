"""`forescale cost` at an adapter's ops port: one screen, JSON, errors with a hint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.cli import cost as command
from adapter.ops.cost import Cost
from adapter.settings import Price, Prices, Tariff
from tests.adapter.cli.opsport import serving
from tests.adapter.model.world import WALL
from tests.adapter.ops.test_cost import ledger


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Cost(ledger(), clock=lambda: WALL + 3600)) as found:
        yield found


def test_the_costs_are_told_in_the_users_prices(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("{currency: EUR, perGpuHour: {default: {onDemand: 360}}}")
    assert command.run(["--adapter", url, "--prices", str(prices)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("GPU-hours of the last 1.0 h")
    assert lines[3].split()[0] == "default/b"
    assert lines[3].split()[-2:] == ["2.00", "0.00"]
    assert "together 3.00 EUR, of it idle 0.00" in lines


def test_json_has_costs_and_nights_beside_the_seconds(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("{currency: EUR, perGpuHour: {default: {onDemand: 360}}}")
    asked = ["--adapter", url, "--prices", str(prices), "--night", "0-24", "-o", "json"]
    assert command.run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["currency"], found["cost"], found["idleCost"]) == ("EUR", 3.0, 0.0)
    assert found["night"]["heldSeconds"] == 30.0
    assert [one["cost"] for one in found["spent"]] == [2.0, 1.0]
    assert found["spent"][0]["unknownSeconds"] == 20.0


def test_the_adapters_own_prices_and_night_are_gone_by_where_none_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tariff = Tariff(Prices({"default": Price(720.0)}, "USD"), "4-12")
    prices = tmp_path / "prices.yaml"
    prices.write_text("{currency: EUR, perGpuHour: {default: {onDemand: 360}}}")
    with serving(Cost(ledger(), lambda: tariff, clock=lambda: WALL + 3600)) as url:
        assert command.run(["--adapter", url]) == 0
        said = capsys.readouterr().out
        assert "together 6.00 USD" in said
        assert "from 4 to 12 h UTC" in said
        asked = ["--adapter", url, f"--prices={prices}", "--night=22-6", "-o", "json"]
        assert command.run(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cost"], found["currency"]) == (3.0, "EUR")
    assert found["tariff"]["night"] == "22-6"
    assert found["tariff"]["prices"]["currency"] == "EUR"


@pytest.mark.parametrize(
    ("arguments", "count"), [(["Pod/b"], 1), (["-n", "other"], 0), (["-A"], 2)]
)
def test_a_workload_or_all_of_them(
    url: str, arguments: list[str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run([*arguments, "--adapter", url, "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["spent"]) == count


@pytest.mark.parametrize("night", ["22", "22-25", "6-6", "24-0", "x-6", "-1-6"])
def test_a_night_that_is_none_is_refused(night: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.run([f"--night={night}"])
    assert ended.value.code == 2
    assert "is no night: write two hours, such as 22-6" in capsys.readouterr().err


def test_prices_that_cannot_be_read_are_told_before_anybody_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.run(["--adapter", "http://127.0.0.1:1", "--prices", "/none.yaml"]) == 2
    assert "error: /none.yaml cannot be read: there is no such file" in capsys.readouterr().err


def test_an_adapter_that_is_away_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["--adapter", "http://127.0.0.1:1"]) == 1
    assert "error: http://127.0.0.1:1 gave no answer" in capsys.readouterr().err
