"""Of which namespace a question is: the option's, else the one of the kubeconfig's context."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

import pytest

from adapter.cli import reach
from adapter.errors import StartupError

CONTEXTS = {"bare": {}, "team": {"namespace": "models"}, "other": {"namespace": "chat"}}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """One whose current context, `team`, has a namespace; nothing is sent to its server."""
    usual = {"cluster": "c", "user": "me"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": name, "context": usual | own} for name, own in CONTEXTS.items()],
        "current-context": "team",
    }
    (tmp_path / "config").write_text(json.dumps(content))
    return str(tmp_path / "config")


@pytest.mark.parametrize(
    ("options", "namespace"),
    [
        ([], "models"),
        (["--context", "other"], "chat"),
        (["--context", "bare"], "default"),
        (["-n", "prod"], "prod"),
        (["--context", "other", "--namespace", "prod"], "prod"),
        (["--adapter", "http://127.0.0.1:8080"], "default"),  # no kubeconfig is read
        (["--adapter", "http://127.0.0.1:8080", "-n", "prod"], "prod"),
    ],
)
async def test_the_namespace_is_the_options_else_the_contexts(
    kubeconfig: str, options: list[str], namespace: str
) -> None:
    parser = ArgumentParser()
    reach.add_workload(parser)
    reach.add_options(parser)
    chosen = parser.parse_args(["llm", "--kubeconfig", kubeconfig, *options])
    async with reach.chosen_page(chosen):
        assert reach.of_workloads(chosen)["namespace"] == namespace


async def test_all_namespaces_are_asked_for_whatever_the_context_names(kubeconfig: str) -> None:
    parser = ArgumentParser()
    reach.add_workload(parser)
    reach.add_options(parser)
    chosen = parser.parse_args(["-A", "--kubeconfig", kubeconfig])
    async with reach.chosen_page(chosen):
        assert "namespace" not in reach.of_workloads(chosen)


def test_a_list_of_kubeconfigs_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/one:/other")
    with pytest.raises(StartupError, match="names several files, /one:/other: choose one of them"):
        reach.kubeconfig("")
