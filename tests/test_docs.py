"""The documents are held against the tree and the code: what they leave out turns this red."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from adapter import __main__ as composition
from adapter.api.answers import Answers
from adapter.api.fallthrough import Fallthrough
from adapter.api.resource import Resource
from adapter.api.server import Server
from adapter.cli.entry import COMMANDS
from adapter.errors import AnswerError
from adapter.intake.upstream import UpstreamClient
from adapter.model.asked import Asked
from adapter.model.queried import NOTHING
from adapter.model.spending import Spending
from adapter.model.starting import Starting
from adapter.model.target import SERVED
from adapter.ops import server as ops
from adapter.ops.probes import Probes
from adapter.ops.status import Status
from adapter.settings import Behind
from adapter.telemetry import Metrics
from scripts import settings_page, settings_schema
from sidecar import fetch, serve, wire
from sidecar.attribute import claim
from sidecar.gpu import Gpus
from sidecar.modelserver import ModelServer
from sidecar.poll import Periods, Poller
from sidecar.sample import Identity
from sidecar.settings import load as load_sidecar
from sidecar.streams import Streams
from sidecar.telemetry import HISTOGRAMS, Telemetry
from tests.conftest import EXAMPLES
from tests.e2e.test_reading_oracle import BATCH

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
README = (ROOT / "README.md").read_text()
API_PAGE = (ROOT / "docs" / "api.md").read_text()
METRICS_PAGE = (ROOT / "docs" / "metrics.md").read_text()
TRUTH_PAGE = (ROOT / "docs" / "truth.md").read_text()
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
MAX_LINES = 300
ONE_SCREEN_LINES = 110


def modules() -> set[str]:
    """The modules of both programs, `adapter/model/window.py`; package markers are no modules."""
    found = [*(ROOT / "adapter").rglob("*.py"), *(ROOT / "sidecar").rglob("*.py")]
    return {str(p.relative_to(ROOT)) for p in found if p.name != "__init__.py"}


def drawn() -> set[str]:
    """The modules that ARCHITECTURE.md draws: a folder's line, then `name` words under it."""
    found, folder = set(), ""
    for line in ARCHITECTURE.splitlines():
        if match := re.match(r"^(?:adapter|sidecar)(?:/\w+)*/", line):
            folder = match[0]
        found |= {folder + name for name in re.findall(r"\b\w+\.py\b", line) if folder}
    return found


def test_architecture_draws_every_module_and_none_that_is_gone() -> None:
    assert drawn() == modules()


def test_architecture_is_one_screen() -> None:
    assert len(ARCHITECTURE.splitlines()) <= ONE_SCREEN_LINES


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in modules()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_every_module_says_in_its_first_line_what_it_owns() -> None:
    silent = [name for name in modules() if not (ROOT / name).read_text().startswith('"""')]
    assert silent == []


def test_the_first_screen_of_the_readme_has_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:40])
    assert "make demo" in first
    assert "make test" in first


def test_every_make_target_of_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)", README + ARCHITECTURE + METRICS_PAGE))
    assert named <= targets


def test_every_served_metric_is_documented() -> None:
    assert [name for name in SERVED if f"`{name}`" not in METRICS_PAGE] == []


def test_every_metric_of_the_adapter_itself_is_documented() -> None:
    exposed = {family.name for family in Metrics().registry.collect()}
    assert [name for name in exposed if name not in METRICS_PAGE] == []


def test_every_metric_of_the_sidecar_is_documented() -> None:
    gpu = wire.GpuReading("GPU-1", *[1.0] * 3, 1.0, *[1.0] * 8, ("thermal",), 1, 1, healthy=True)
    hist = dict.fromkeys(HISTOGRAMS, wire.Histogram((), (1.0,), 1.0))
    ready = wire.EngineReading(
        "vllm", wire.EngineState.READY, None, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, hist
    )
    phases, ages, near = wire.Phases(1.0), wire.Ages(0.0, 0.0), wire.Oom(near=True)
    full = wire.Frame(1, "b", 1, 2.0, "u", ages, ready, (gpu,), oom=near, phases=phases)
    page = Telemetry("0", lambda: full).exposition().decode()
    exposed = set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE))
    assert len(exposed) > 15
    assert [name for name in sorted(exposed) if f"`{name}" not in METRICS_PAGE] == []


def test_the_settings_page_is_what_the_code_says() -> None:
    assert settings_page.PAGE.read_text() == settings_page.page(), "run `make docs`"


def test_the_settings_schema_is_what_the_code_says() -> None:
    assert settings_schema.PAGE.read_text() == settings_schema.text(), "run `make docs`"


def of_api() -> web.Application:
    """The API server with all that may stand behind it."""

    async def nothing() -> str:
        return ""

    behind = UpstreamClient("behind", Behind(url="https://a.b"), trust=nothing, token=nothing)
    metrics = Metrics()
    answers = Answers(
        read=lambda: None, asked=Asked(), now=lambda: 0.0, metrics=metrics, stall_seconds=5.0
    )
    return Server(
        answers,
        auth=None,
        metrics=metrics,
        ready=lambda: None,
        now=lambda: 0.0,
        resource=Resource(behind, lambda: None),
        fallthrough=Fallthrough(behind),
    ).app


def of_ops() -> web.Application:
    """The ops port with every page."""
    probes = Probes(read=lambda: None, now=lambda: 0.0, first_try_seconds=1.0)
    starting, spending = Starting(), Spending()
    status = Status(lambda: None, starting, spending, probes)
    shown = composition.pages(lambda: None, starting, spending, lambda: NOTHING, status)
    return ops.application(probes, Metrics(), *shown)


async def of_sidecar() -> web.Application:
    """The sidecar, which the wrapper and the agent are too."""
    async with fetch.session(1.0) as http:
        poller = Poller(
            identity=Identity("boot", "uid-1", 2.0, 0.0),
            periods=Periods(1.0, 2.0, 2.0),
            server=ModelServer(load_sidecar(["--engine", "none"], {}, "0").settings, http),
            gpus=Gpus(1.0),
            proven=lambda: claim((), None),
        )
        telemetry = Telemetry("0", poller.frame)
        return serve.application(poller, Streams(telemetry), telemetry)


def served(app: web.Application) -> set[str]:
    """The router's paths as people read them: `/a/{name}{slash}` is `/a/NAME`."""
    paths = (route.resource.canonical for route in app.router.routes() if route.resource)
    return {
        re.sub(r"{\w+}", lambda it: it[0][1:-1].upper(), p.replace("{slash}", "")) for p in paths
    }


def documented(title: str) -> list[list[str]]:
    """The cells of the rows of one part of the API's page."""
    (part,) = re.findall(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", API_PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def paths_of(title: str) -> set[str]:
    return {path for cells in documented(title) for path in re.findall(r"`([^`]+)`", cells[0])}


async def test_every_path_of_the_adapter_is_documented_and_none_that_is_gone() -> None:
    assert paths_of("The adapter's API") == served(of_api())
    assert paths_of("The adapter's ops port") == served(of_ops())


async def test_every_path_of_the_sidecar_is_documented_and_none_that_is_gone() -> None:
    assert paths_of("The sidecar") == served(await of_sidecar())


def kinds_of(error: type[AnswerError]) -> list[type[AnswerError]]:
    kinds = error.__subclasses__()
    return [*kinds, *(deeper for kind in kinds for deeper in kinds_of(kind))]


def test_every_error_of_an_answer_is_documented_with_its_code_and_reason() -> None:
    said = [tuple(cells[:3]) for cells in documented("Errors")]
    assert sorted(said) == sorted(
        (kind.__name__, str(kind.code), kind.reason) for kind in kinds_of(AnswerError)
    )
    assert all(len(cells) == 5 and all(cells) for cells in documented("Errors"))


def test_every_command_is_in_the_readme() -> None:
    assert [name for name in COMMANDS if f"forescale {name}" not in README] == []


def test_every_page_is_in_the_index() -> None:
    index = set(re.findall(r"\]\(([\w-]+\.md)", (ROOT / "docs" / "README.md").read_text()))
    there = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert there - index == set(), "give each a line in docs/README.md"


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the page's tables, heads left out."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and cells[-1] != "the test":
            yield cells


def names_in(file: str) -> set[str]:
    """The tests that stand in a file of the tests; none where there is no such file."""
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_trap_says_what_is_done_and_names_tests_that_exist() -> None:
    found = list(rows(TRUTH_PAGE))
    assert len(found) > 60
    for cells in found:
        assert len(cells) == 3, cells
        named = NAMED_TEST.findall(cells[2])
        assert named, cells
        assert re.sub(r"[,\s]", "", NAMED_TEST.sub("", cells[2])) == "", cells[2]
        assert [name for file, name in named if name not in names_in(file)] == []


def test_the_inputs_that_the_long_runs_make_are_as_many_as_the_page_says() -> None:
    texts = BATCH * EXAMPLES
    assert TRUTH_PAGE.count(f"| {texts:,} |") == 3
    assert TRUTH_PAGE.count(f"| {EXAMPLES:,} each |") == 1
    assert f"`make fuzz` makes {3 * texts + 3 * EXAMPLES:,} inputs" in TRUTH_PAGE


def test_a_dead_reference_would_be_found() -> None:
    assert "test_architecture_is_one_screen" in names_in("test_docs.py")
    assert "test_of_long_ago" not in names_in("test_docs.py") | names_in("gone/test_gone.py")
