"""The page about pods and nodes: what it shows is what the command prints, and fits together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from adapter.cli import entry, startpage
from adapter.model.holding import Holding, Node
from adapter.model.sighting import Start
from adapter.model.startstory import tell
from adapter.ops.coldstart import Stories
from tests.adapter.model.test_starting import KEY, LLM, NOW, Timeline, changed, new_pod, served
from tests.docs import pages

PAGE = pages.DOCS / "two-tier.md"
EXPENDABLE_BELOW = -10  # the Cluster Autoscaler's --expendable-pods-priority-cutoff


def manifests() -> dict[str, dict[str, Any]]:
    """Return the whole objects that the page shows, by kind."""
    documents = [one for block in pages.blocks(PAGE, "yaml") for one in yaml.safe_load_all(block)]
    return {one["kind"]: one for one in documents if "kind" in one}


def one_gpu(name: str, **startup: object) -> Any:
    pod = changed(new_pod(name), startup=startup) if startup else served(name)
    return msgspec.structs.replace(
        pod, node=None if startup else "n1", holding=Holding(requested=1)
    )


def test_the_cold_start_that_it_shows_is_what_the_command_prints() -> None:
    line = Timeline()
    line.nodes = {"n1": Node(capacity=1, created_at=NOW - 60)}
    line.see(200, one_gpu("a"), one_gpu("b", unschedulable=True))
    for number in range(12):
        line.starting.learnt.learn(KEY, warm(120.0 + 4 * number))
    for number in range(10):
        line.starting.learnt.learn(KEY, on_new_node(150.0 + 5 * number, 160.0 + 3 * number))
    story = tell(line.starting, LLM, NOW + 260)
    printed = startpage.text(Stories(NOW, (story,)))
    assert f"$ forescale coldstart llm\n{printed}\n" == pages.blocks(PAGE, "text")[0]


def warm(seconds: float) -> Start:
    phases = {"node_seconds": 0.0, "pull_seconds": 2.0, "load_seconds": seconds - 2.0}
    return Start(seconds, ended=True, at=NOW, **phases)


def on_new_node(node_seconds: float, rest_seconds: float) -> Start:
    phases = {"pull_seconds": 60.0, "load_seconds": rest_seconds - 60.0}
    seconds = node_seconds + rest_seconds
    return Start(seconds, ended=True, at=NOW, new_node=True, node_seconds=node_seconds, **phases)


def test_placeholders_make_nodes_and_give_way_to_every_other_pod() -> None:
    found = manifests()
    priority, placeholder = found["PriorityClass"], found["Deployment"]
    assert EXPENDABLE_BELOW <= priority["value"] < 0
    template = placeholder["spec"]["template"]
    spec = template["spec"]
    assert spec["priorityClassName"] == priority["metadata"]["name"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert not [label for label in template["metadata"]["labels"] if "forescale" in label]


def test_taints_of_the_pool_are_tolerated_and_its_limit_is_what_the_hpa_may_ask_for() -> None:
    found = manifests()
    pool, hpa = found["NodePool"]["spec"], found["HorizontalPodAutoscaler"]["spec"]
    (taint,) = pool["template"]["spec"]["taints"]
    (block,) = [one for one in pages.blocks(PAGE, "yaml") if one.startswith("# the model's pods")]
    pods = yaml.safe_load(block)
    assert {one["key"] for one in pods["spec"]["tolerations"]} == {taint["key"]}
    assert hpa["maxReplicas"] == pool["limits"]["nvidia.com/gpu"]
    assert pool["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert "forescale.dev/target" in pods["metadata"]["annotations"]


def test_the_replay_that_it_shows_is_one_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [line for line in pages.commands(PAGE) if line.startswith("forescale replay")]
    arguments = command.replace("trace.csv.gz", str(pages.ROOT / "absent.csv")).split()[1:]
    assert entry.main(arguments) != 0
    assert "absent.csv" in capsys.readouterr().err
