"""`forescale migrate`, on files as people have them."""

import json
from pathlib import Path

import pytest

from adapter.cli.entry import main

CONFIG = """
rules:
- seriesQuery: 'vllm:num_requests_waiting{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^vllm:(.*)$", as: "vllm_${1}"}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
- seriesQuery: 'DCGM_FI_PROF_GR_ENGINE_ACTIVE{exported_pod!=""}'
  name: {as: gpu_busy}
  metricsQuery: 'avg(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)'
"""
UNKNOWN = "- {seriesQuery: http_requests_total, metricsQuery: 'sum(<<.Series>>)'}\n"


def migrate(tmp_path: Path, text: str, *flags: str) -> int:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return main(["migrate", "prometheus-adapter", str(file), *flags])


def test_every_rule_is_said_in_our_terms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate(tmp_path, CONFIG) == 0
    said = capsys.readouterr().out
    assert "2 series translated, 0 not" in said
    assert "in the HPA: vllm_num_requests_waiting -> llm_inference_pending_requests" in said
    assert "in the HPA: gpu_busy -> nvidia_gpu_utilization" in said
    assert "metric.selector.matchLabels: {stat: mean, window: 60s}" in said
    assert "target: 100 times the old one" in said
    assert "    # differs: another unit: here it is in percent, 100 times the old figure" in said
    assert "    # differs: it is the last sample, here it is the mean of 15 s" in said
    assert 'forescale.dev/scrape: "vllm"' in said
    assert "intake.nodeSources" in said


def test_a_rule_without_a_translation_is_listed_and_the_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate(tmp_path, CONFIG + UNKNOWN) == 1
    said = capsys.readouterr().out
    assert "2 series translated, 1 not" in said
    assert "rules[2]  http_requests_total\n    not translated: no metric here measures" in said


def test_a_config_map_is_read_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = "\n".join(f"    {line}" for line in CONFIG.splitlines())
    text = f"kind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  config.yaml: |\n{inner}\n"
    assert migrate(tmp_path, text, "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["metric"] for each in found] == [
        "llm_inference_pending_requests",
        "nvidia_gpu_utilization",
    ]


@pytest.mark.parametrize("text", ["", "rules: {", "a: b", "[]", "data: {config.yaml: ''}"])
def test_a_file_that_is_none_of_theirs_is_refused_with_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert migrate(tmp_path, text) == 2
    assert "hint: give its config.yaml" in capsys.readouterr().err
