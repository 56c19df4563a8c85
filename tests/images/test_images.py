"""The images without an engine: Dockerfiles are linted, and what they install is installed here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adapter import __main__ as adapter
from sidecar import __main__ as sidecar

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TARGETS = {"sidecar", "agent", "adapter"}
MIB = 2**20
# What an image adds to its Python: 18 MiB and 34 MiB here, with room for a release of their parts.
LIMITS = {"sidecar": 40 * MIB, "agent": 60 * MIB}


def stages() -> dict[str, str]:
    """Return the text of each stage by its name."""
    parts = re.split(r"(?m)^FROM \S+ AS (\S+)\n", DOCKERFILE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_image_of_the_manifests_is_a_target_of_this_release() -> None:
    version = re.search(r"image\.version=(\S+)", DOCKERFILE)
    assert version is not None
    text = "\n".join(path.read_text() for path in (ROOT / "manifests").rglob("*.yaml"))
    named = set(re.findall(r"\bforescale-([a-z]+):(\d+\.\d+\.\d+)\b", text))
    # The self-contained tree of the wrapper is built by scripts/opt.sh.
    assert {name for name, _ in named} - {"opt"} == TARGETS
    assert {release for _, release in named} == {version[1]}
    assert f'version = "{version[1]}"' in (ROOT / "pyproject.toml").read_text()


def test_images_run_as_no_root_from_locked_packages_and_end_with_their_program() -> None:
    found = stages()
    assert "USER 65532:65532" in found["base"]
    # Before USER: no later one may write there.
    assert "-m compileall" in found["base"].partition("USER")[0]
    assert "--require-hashes -r requirements/build.txt" in found["build"]
    for name in TARGETS:
        assert f"scripts/tree.sh {name} /opt/forescale" in found[f"{name}-tree"]
        assert f"COPY --from={name}-tree /opt/forescale /opt/forescale" in found[name]
        program = "forescale" if name == "adapter" else "forescale-sidecar"
        assert f'ENTRYPOINT ["{program}"]' in found[name]
        assert "USER" not in found[name]


def test_the_revision_that_a_build_is_told_is_in_its_label_and_where_both_programs_look() -> None:
    assert adapter.REVISION == sidecar.REVISION == "FORESCALE_REVISION"
    base = stages()["base"]
    assert "\nARG REVISION\n" in base  # or it has no value in this stage
    assert "FORESCALE_REVISION=$REVISION" in base
    assert "org.opencontainers.image.revision=$REVISION" in base


def test_ports_are_those_that_the_manifests_name() -> None:
    (adapter,) = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text())["spec"][
        "template"
    ]["spec"]["containers"]
    ports = " ".join(str(port["containerPort"]) for port in adapter["ports"])
    assert f"EXPOSE {ports}\n" in stages()["adapter"]


def test_the_examples_model_server_runs_as_the_user_that_its_deployment_names() -> None:
    examples = ROOT / "manifests/examples"
    deployment = yaml.safe_load((examples / "llm-inference/deployment.yaml").read_text())
    (model,) = deployment["spec"]["template"]["spec"]["containers"]
    users = re.findall(r"(?m)^USER (\S+)$", (examples / "images/Dockerfile").read_text())
    assert users == [str(model["securityContext"]["runAsUser"])]


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "hadolint"
    command = [str(program), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_the_dockerfiles_are_clean_under_their_linter() -> None:
    examples = [*(ROOT / "manifests/examples/images").iterdir()]
    assert len(examples) == 2
    for path in (ROOT / "Dockerfile", *examples):
        done = hadolint(path.read_text())
        assert (done.returncode, done.stdout) == (0, ""), path.name
    assert hadolint(DOCKERFILE.replace("--no-cache-dir ", "")).returncode == 1


@pytest.mark.process
@pytest.mark.parametrize("program", ["sidecar", "agent"])
def test_what_a_pod_pays_for_is_small_compiled_and_without_the_adapter(
    program: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    command = ["bash", "scripts/tree.sh", program, str(tree)]
    with_python = os.environ | {"PYTHON": sys.executable}
    subprocess.run(command, cwd=ROOT, env=with_python, check=True, capture_output=True, timeout=110)
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < LIMITS[program]
    (site,) = tree.glob("lib/python3*/site-packages")
    assert not (site / "adapter").exists()
    sources = {path.relative_to(site) for path in site.glob("sidecar/*.py")}
    compiled = {path.name.partition(".")[0] for path in site.glob("sidecar/__pycache__/*.pyc")}
    assert {path.stem for path in sources} == compiled
    bare = {"PATH": "/nonexistent"}
    told = subprocess.run(
        [str(tree / "bin/forescale-sidecar"), "--version"],
        env=bare,
        capture_output=True,
        check=True,
    )
    assert told.stdout.startswith(b"forescale-sidecar ")
    modules = "grpc" if program == "agent" else "sidecar.__main__"
    loads = [str(tree / "bin/python"), "-I", "-c", f"import {modules}"]
    assert subprocess.run(loads, env=bare, check=False).returncode == 0
