"""`forescale migrate prometheus-adapter FILE`: says what each of its rules is in our metrics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import yaml

from adapter import unread
from adapter.cli.failure import Parser
from adapter.model.translation import Rule, Translated, rules_of, translate

_SOURCES = {
    "dcgm": (
        "label the DCGM exporter's pods forescale.dev/source: node and name their service account"
        " in intake.nodeSources; or add our sidecar to the pods"
    ),
}
_SCRAPED = "label the pods forescale.dev/source: scrape and annotate forescale.dev/scrape: "


def run(argv: list[str]) -> int:
    """Return 0 when every rule was translated, 1 when some were not, 2 when there were none."""
    arguments = _parser().parse_args(argv)
    try:
        rules = list(_rules(Path(arguments.file)))
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.stderr.write(
            f"error: {arguments.file} cannot be read as prometheus-adapter's: {unread.why(error)}\n"
            "hint: give its config.yaml, the ConfigMap around it, or its Helm values\n"
        )
        return 2
    found = [translated for rule in rules for translated in translate(rule)]
    sys.stdout.write(_json(found) if arguments.json else _report(found))
    return 1 if any(each.metric is None for each in found) else 0


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale migrate",
        description="Read another adapter's configuration and say what it is in our metrics.",
        allow_abbrev=False,
    )
    made.add_argument("origin", choices=["prometheus-adapter"], help="whose configuration it is")
    made.add_argument("file", metavar="FILE", help="config.yaml, its ConfigMap, or Helm values")
    made.add_argument("--json", action="store_true", help="one JSON object per series")
    return made


def _rules(path: Path) -> Iterator[Rule]:
    documents = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d is not None]
    if not documents:
        raise ValueError("it is empty")
    for document in documents:
        data = document.get("data") if isinstance(document, dict) else None
        if isinstance(data, dict):  # a ConfigMap
            for text in data.values():
                yield from rules_of(yaml.safe_load(text))
        else:
            yield from rules_of(document)


def _json(found: Sequence[Translated]) -> str:
    return "".join(msgspec.json.encode(each).decode() + "\n" for each in found)


def _report(found: Sequence[Translated]) -> str:
    good = [each for each in found if each.metric is not None]
    bad = [each for each in found if each.metric is None]
    lines = [f"{len(good)} series translated, {len(bad)} not", ""]
    for each in good:
        lines += [f"{each.place}  {each.series}", *(f"    {line}" for line in _use(each)), ""]
    lines += [f"{each.place}  {each.series}\n    not translated: {each.why}\n" for each in bad]
    lines += [f"source: {words}" for words in _sources(good)]
    return "\n".join(lines).rstrip() + "\n"


def _use(each: Translated) -> Iterator[str]:
    yield f"in the HPA: {each.old_name} -> {each.metric}"
    if each.selector:
        chosen = ", ".join(f"{key}: {value}" for key, value in each.selector.items())
        yield f"metric.selector.matchLabels: {{{chosen}}}"
    if each.factor != 1.0:
        yield f"target: {each.factor:.12g} times the old one"
    yield from (f"# differs: {note}" for note in each.notes)


def _sources(good: Sequence[Translated]) -> list[str]:
    kinds = dict.fromkeys(each.source for each in good if each.source)
    return [_SOURCES.get(kind) or f'{_SCRAPED}"{kind}", or add our sidecar' for kind in kinds]
