"""The workload of a replay: its options, or a file or a preset that says the same of an engine."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from adapter import document, unread
from adapter.cli.duration import duration, some_time
from adapter.errors import SettingsError
from adapter.replay.engine import PRESETS, Engine
from adapter.replay.trace import Trace
from adapter.replay.workload import ColdStart, GpuModel, Workload

# Without --pod-rate: ten pods for the mean load, so that whole pods are neither coarse nor fine.
LONG_SECONDS = 3_600.0  # no answer takes that long: a trace of few requests, and a default
PODS_IN_THE_MEAN = 10.0
# The mean request of azure23_code, 8,819 of them: for an engine whose requests nobody described.
ASSUMED_TOKENS = (2048.0, 28.0)

MOST_PODS = 10_000
MOST_OF_ANYTHING = 1e9

_COLD = re.compile(r"p50=([^,]+),p90=([^,]+)")
_ENGINE = "engine"


class Option(msgspec.Struct, frozen=True):
    """One option: a flag, and in camel case a key of the file."""

    flag: str
    parse: Callable[[str], object]
    metavar: str
    help: str

    @property
    def key(self) -> str:
        head, *rest = self.flag.split("-")
        return head + "".join(part.capitalize() for part in rest)

    @property
    def field(self) -> str:
        return self.flag.replace("-", "_")


def add_options(made: argparse.ArgumentParser) -> None:
    """Add the options of the workload; those that are not given are None."""
    group = made.add_argument_group("workload")
    group.add_argument(
        "--workload",
        metavar="FILE|PRESET",
        help="an engine's figures, or the options below, as YAML (docs/replay.md); presets:"
        f" {', '.join(PRESETS)}",
    )
    for one in OPTIONS:
        group.add_argument(f"--{one.flag}", type=one.parse, metavar=one.metavar, help=one.help)


def workload_of(chosen: argparse.Namespace, trace: Trace) -> tuple[Workload, list[str]]:
    """Return the workload and notes on it; flags win over the file, the file over the engine.

    Raises SettingsError with every problem of the file, or of the figures together.
    """
    given, engine = _described(chosen.workload) if chosen.workload else ({}, None)
    flags = {one.field: getattr(chosen, one.field) for one in OPTIONS}
    given |= {name: value for name, value in flags.items() if value is not None}
    tokens = given.pop("prompt_tokens", None), given.pop("output_tokens", None)
    notes: list[str] = []
    if engine is not None:
        given = _of_engine(engine, _tokens(tokens, engine, trace, notes)) | given
    elif tokens != (None, None):
        raise SettingsError(["--prompt-tokens and --output-tokens are an engine's: --workload"])
    given.setdefault("pod_rate", trace.mean_rate / PODS_IN_THE_MEAN)
    if not given["pod_rate"]:
        raise SettingsError(["the trace has no requests: say --pod-rate, what one pod serves"])
    found: Workload = msgspec.convert(_named(given), Workload, strict=False)
    _check(found)
    if found.service_seconds > LONG_SECONDS:
        notes.append(
            f"a request is {found.service_seconds / 3600:.1f} h in service: is a pod's rate"
            f" {found.pod_rate:.2g}/s? Without --pod-rate it is a {PODS_IN_THE_MEAN:g}th of the"
            " trace's mean"
        )
    return found, notes


def _check(found: Workload) -> None:
    lowest, highest = found.min_replicas, found.max_replicas
    if lowest > highest:
        raise SettingsError([f"--min-replicas {lowest} is above --max-replicas {highest}"])
    if (found.room is None) != (not found.node_seconds):
        raise SettingsError(["--room and --node-wait go together: pods with nodes, and the wait"])


def _named(given: Mapping[str, object]) -> dict[str, object]:
    """Return the values by the fields of Workload."""
    seconds = {"first_token", "late", "node_wait"}
    names = {one: f"{one}_seconds" for one in seconds} | {"node_wait": "node_seconds"}
    return {names.get(name, name): value for name, value in given.items()}


def _of_engine(engine: Engine, tokens: tuple[float, float]) -> dict[str, object]:
    return {
        "pod_rate": engine.rate(*tokens),
        "concurrency": engine.sequences(*tokens),
        "first_token": engine.first_token_seconds(*tokens),
        "gpus_per_pod": engine.gpus_per_pod,
    }


def _tokens(
    given: tuple[object, object], engine: Engine, trace: Trace, notes: list[str]
) -> tuple[float, float]:
    """Return a request's mean prompt and output: as given, of the engine's file, of the trace."""
    of_trace = trace.tokens or (None, None)
    of_engine = engine.prompt_tokens, engine.output_tokens
    found = [
        next((float(str(one)) for one in ways if one is not None), None)
        for ways in zip(given, of_engine, of_trace, strict=True)
    ]
    if None in found:
        prompt, output = ASSUMED_TOKENS
        notes.append(
            f"nothing says how long requests are: {prompt:g} tokens of prompt and {output:g} of"
            " output are assumed; say --prompt-tokens and --output-tokens"
        )
    prompt, output = (
        a if one is None else one for one, a in zip(found, ASSUMED_TOKENS, strict=True)
    )
    return prompt, output


def _described(text: str) -> tuple[dict[str, object], Engine | None]:
    """Return the values of a file, and its engine; raise SettingsError with all that is wrong."""
    if text in PRESETS:
        return {}, PRESETS[text]
    if not Path(text).is_file():
        presets = ", ".join(PRESETS)
        raise SettingsError([f"--workload {text} is no file: name one, or a preset: {presets}"])
    problems: list[str] = []
    tree = dict(document.read(Path(text), f"--workload {text}", problems))
    engine = _engine(tree.pop(_ENGINE), problems) if _ENGINE in tree else None
    known = {one.key: one for one in OPTIONS}
    found = {}
    for key, value in tree.items():
        if key not in known:
            problems.append(f"{key} is none: there are {_ENGINE}, {', '.join(known)}")
            continue
        try:
            found[known[key].field] = known[key].parse(str(value))
        except argparse.ArgumentTypeError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise SettingsError([one if text in one else f"{text}: {one}" for one in problems])
    return found, engine


def _engine(given: object, problems: list[str]) -> Engine | None:
    if isinstance(given, str) and given in PRESETS:
        return PRESETS[given]
    try:
        found: Engine = msgspec.convert(given, Engine)
    except msgspec.ValidationError as error:
        problems.append(f"{unread.shape(error, _ENGINE)}; or name a preset: {', '.join(PRESETS)}")
        return None
    problems += (f"{_ENGINE}.{problem}" for problem in found.problems())
    return found


def _cold_start(text: str) -> ColdStart:
    """Return the distribution: one time, `p50=2m,p90=5m`, or a file with a time in each line."""
    if match := _COLD.fullmatch(text):
        median, p90 = some_time(match[1]), some_time(match[2])
        if p90 < median:
            raise argparse.ArgumentTypeError(f"`{text}`: p90 is below p50")
        return ColdStart(median, p90)
    if not Path(text).is_file():
        seconds = duration(text)
        return ColdStart(seconds, seconds)
    try:
        lines = Path(text).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {unread.why(error)}") from error
    if not lines:
        raise argparse.ArgumentTypeError(f"{text} is empty: write a time in each line")
    return ColdStart(samples=tuple(duration(line) for line in lines))


def above_zero(text: str) -> float:
    """Return a figure above 0; raise ArgumentTypeError in words."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < MOST_OF_ANYTHING:
        raise argparse.ArgumentTypeError(f"`{text}` is no figure above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PODS:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of pods: use 1 to {MOST_PODS}")
    return int(text)


def _gpu(text: str) -> GpuModel:
    try:
        return GpuModel(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is neither load nor busy") from None


_PLAIN = Workload(1.0)
OPTIONS = (
    Option("pod-rate", above_zero, "N", "requests/s that one pod serves"
           f" (default: a {PODS_IN_THE_MEAN:g}th of the trace's mean)"),
    Option("concurrency", above_zero, "N",
           f"requests that one pod serves at a time (default: {_PLAIN.concurrency:g})"),
    Option("prompt-tokens", above_zero, "N", "of a request in the mean, where the trace has none"),
    Option("output-tokens", above_zero, "N", "the same of its answer"),
    Option("gpus-per-pod", _count, "N", f"(default: {_PLAIN.gpus_per_pod})"),
    Option("cold-start", _cold_start, "TIME", "from a pod's creation until it serves: 2m, or"
           " p50=2m,p90=5m, or a file with a time in each line (default: 120s)"),
    Option("room", _count, "N", "pods for which there are nodes; each further one waits for its"
           " own (default: any number)"),
    Option("node-wait", some_time, "TIME", "how long a node takes to come, with --room"),
    Option("first-token", duration, "TIME", "to the first token, after the wait"
           f" (default: {_PLAIN.first_token_seconds:g}s)"),
    Option("late", duration, "TIME",
           f"a request that waits longer is late (default: {_PLAIN.late_seconds:g}s)"),
    Option("gpu", _gpu, "load|busy", "GPU utilisation is a pod's load, or NVML's share of busy"
           f" time (default: {_PLAIN.gpu.value})"),
    Option("min-replicas", _count, "N", f"of the named policies (default: {_PLAIN.min_replicas})"),
    Option("max-replicas", _count, "N", f"of the named policies (default: {_PLAIN.max_replicas})"),
)  # fmt: skip
