"""Owns the proof that each command helps with its own usage and flags, and with mistyped ones."""

from __future__ import annotations

import pytest

from sidecar import flags
from sidecar.flags import Face
from sidecar.settings import FIELDS, SettingsError, load

FACES = [flags.SIDECAR, flags.AGENT, flags.WRAPPER]


def problems(face: Face, *argv: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(argv, environ, "0", face)
    return caught.value.problems


@pytest.mark.parametrize("face", FACES, ids=lambda face: str(face.name))
def test_help_has_the_commands_own_usage_and_exactly_the_flags_that_mean_something(
    face: Face, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], {}, "0", face)
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert said.startswith(f"usage: {face.usage}\n\n{face.about}\n")
    assert {one.flag for one in FIELDS if f"--{one.flag} " in said} == {
        one.flag for one in FIELDS if face.takes(one)
    }


def test_the_agents_defaults_are_shown_and_used(capsys: pytest.CaptureFixture[str]) -> None:
    found = load([], {"POD_NAME": "agent-x", "POD_NAMESPACE": "n"}, "0", flags.AGENT).settings
    assert (found.engine, str(found.pod_resources)) == ("none", "/var/lib/kubelet/pod-resources")
    with pytest.raises(SystemExit):
        load(["--help"], {}, "0", flags.AGENT)
    assert "/var/lib/kubelet/pod-resources]" in capsys.readouterr().out


def test_an_agent_that_is_given_a_model_server_is_told_that_it_reads_none() -> None:
    said = "is for a sidecar; an agent serves all pods of its node and reads no model server"
    given = {"FORESCALE_SIDECAR_GPU_UUIDS": "GPU-00000001-a"}
    assert problems(flags.AGENT, "--engine", "vllm", "--engine-slots", "4", **given) == (
        f"--engine: {said}; leave it out",
        f"--engine-slots: {said}; leave it out",
        f"FORESCALE_SIDECAR_GPU_UUIDS: {said}; leave it out",
    )
    assert load(["--engine", "none"], {}, "0", flags.AGENT).settings.engine == "none"


def test_unknown_flags_are_told_with_the_nearest_one_and_beside_the_other_problems() -> None:
    assert problems(flags.SIDECAR, "--prot", "9402", "--zzz=1", "--host", "here") == (
        "--prot: is no flag of `forescale-sidecar`; did you mean --port?",
        "--zzz: is no flag of `forescale-sidecar`; `forescale-sidecar --help` lists them",
        "--host: 'here' is no IP address; give one such as :: or 0.0.0.0",
    )
    (said,) = problems(flags.AGENT, "--engin", "x")
    assert said.endswith("agent`; `forescale-sidecar agent --help` lists them")


def test_a_word_and_a_flag_without_its_value_are_told() -> None:
    (said,) = problems(flags.WRAPPER, "vllm")
    assert said.startswith("vllm: is no flag of `forescale-sidecar run`; ")
    assert problems(flags.SIDECAR, "--port") == ("--port: expected one argument",)
