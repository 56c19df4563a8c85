"""The how-tos do what they say: what they show is what the programs print and the tables have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.api import trigger
from adapter.api.externalscaler import ScaledObject
from adapter.cli import entry
from adapter.errors import BadRequest
from adapter.model.target import FORECASTS
from sidecar import cli, engines
from tests.docs import howtos, pages

ATTACH = pages.DOCS / "attach.md"
MIGRATE = pages.DOCS / "migrate.md"
COMPONENT = pages.ROOT / "manifests" / "components" / "keda-scaler"
ROW = re.compile(r"(?m)^\| \[.*?\| `([\w-]+)` \| (\d+) `(\S+)` \| `(\w+)` \|$")


def test_the_rules_are_translated_to_what_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "config.yaml"
    rules.write_text(pages.blocks(MIGRATE, "yaml")[0])
    assert entry.main(["migrate", "prometheus-adapter", str(rules)]) == 1  # one has no translation
    assert capsys.readouterr().out == pages.blocks(MIGRATE, "text")[0]


def test_the_scaled_object_is_a_trigger_that_is_understood_and_every_key_of_one_is_told() -> None:
    page = pages.text(MIGRATE)
    (shown,) = [block for block in pages.blocks(MIGRATE, "yaml") if "ScaledObject" in block]
    (one,) = yaml.safe_load(shown)["spec"]["triggers"]
    found = trigger.parse(ScaledObject("llm-inference", "default", one["metadata"]))
    assert (found.target, found.activation) == (16_000, 0)
    assert found.metric in FORECASTS
    keys = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \| ", page.partition("### A ScaledObject")[2])
    told = [key for cell in keys for key in re.findall(r"`(\w+)`", cell)]
    with pytest.raises(BadRequest, match=r"known are metric, .*, role;") as caught:
        trigger.parse(ScaledObject("", "", {"x": ""}))
    known = str(caught.value).partition("known are ")[2].partition(";")[0]
    assert sorted(told) == sorted(known.split(", "))
    way = yaml.safe_load_all((COMPONENT / "certificates.yaml").read_text())
    (authentication,) = [each for each in way if "TriggerAuthentication" in each["kind"]]
    assert (
        one_reference(authentication)
        == yaml.safe_load(shown)["spec"]["triggers"][0]["authenticationRef"]
    )


def one_reference(authentication: dict[str, Any]) -> dict[str, str]:
    """How a ScaledObject names it."""
    return {"kind": authentication["kind"], "name": authentication["metadata"]["name"]}


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


def test_every_line_that_is_not_typed_is_one_of_a_page_and_a_new_one_would_be_typed() -> None:
    lines = howtos.lines()
    assert len(howtos.typed()) > 40
    starts = [start.removesuffix(".") for start in howtos.NOT_TYPED]
    assert [start for start in starts if not any(line.startswith(start) for line in lines)] == []
    assert howtos.reason("forescale why") == howtos.NAMED
    assert howtos.reason("forescale why hpa/llm") is None
    assert howtos.reason("kubectl apply -f manifests/new.yaml") is None


def test_a_how_to_has_no_line_of_a_program_that_the_tests_do_not_know() -> None:
    assert howtos.strays() == ["done"]  # the end of a loop


def test_every_line_that_needs_no_cluster_ends_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(pages.blocks(MIGRATE, "yaml")[0])
    given = {"migrate": [rules], "adapter": settings_of_the_pages(tmp_path), "probe-for": ["vllm"]}
    ends = {"migrate": 1}  # one of the rules has no translation
    lines = [line.split() for line in howtos.typed() if howtos.is_offline(line)]
    assert {command for _, command, *_ in lines} == set(given)
    for program, command, *rest in lines:
        run = cli.main if program == "forescale-sidecar" else entry.main
        for value in given[command]:
            words = [str(value) if word in ("FILE", "ENGINE") else word for word in rest]
            said = run([command, *words])
            assert said == ends.get(command, 0), (command, words, capsys.readouterr())


def settings_of_the_pages(folder: Path) -> list[Path]:
    """Write each part of a block that is the adapter's settings into a file."""
    blocks = [b for name in howtos.PAGES for b in pages.blocks(pages.DOCS / f"{name}.md", "yaml")]
    parts = [part for block in blocks for part in block.split("---\n")]
    own = [part for part in parts if part.startswith("# of the adapter")]
    files = [folder / f"settings-{number}.yaml" for number in range(len(own))]
    for path, part in zip(files, own, strict=True):
        path.write_text(part)
    assert len(files) == 2
    return files
