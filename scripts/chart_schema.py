"""Writes the chart's values.schema.json: its own values, and the adapter's settings among them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts import settings_schema

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "manifests" / "chart" / "forescale" / "values.schema.json"
Schema = dict[str, Any]


def closed(**properties: Schema) -> Schema:
    """Return an object that has these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def image(said: str) -> Schema:
    repository = {"type": "string", "minLength": 1, "description": said}
    digest = {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"}
    policy = {"enum": ["", "Always", "IfNotPresent", "Never"]}
    return closed(repository=repository, tag={"type": "string"}, digest=digest, pullPolicy=policy)


FLAG: Schema = {"type": "boolean"}
URL: Schema = {"type": "string", "pattern": "^https?://[^\\s]+$"}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}


def schema() -> Schema:
    """Return the schema; what is misspelt in a values file is refused by Helm itself."""
    settings = settings_schema.schema()
    named = {"$schema", "$id", "title", "$defs"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart forescale",
        **closed(
            image=image("of the adapter"),
            imagePullSecrets=OBJECTS,
            replicas={"type": "integer", "minimum": 1},
            priorityClassName={"type": "string"},
            resources={"type": "object"},
            nodeSelector=TEXTS,
            tolerations=OBJECTS,
            podLabels=TEXTS,
            podAnnotations=TEXTS,
            settings={key: value for key, value in settings.items() if key not in named},
            env=OBJECTS,
            namespace=closed(create=FLAG),
            uninstall=closed(enabled=FLAG),
            monitoring=closed(enabled=FLAG, labels=TEXTS),
            inject=closed(enabled=FLAG, image=image("of the sidecar")),
            certManager=closed(enabled=FLAG),
            externalMetrics=closed(enabled=FLAG),
            fallthrough=closed(enabled=FLAG, url=URL, caConfigMap={"type": "string"}),
            ha=closed(enabled=FLAG),
            hpaWarnings=closed(enabled=FLAG),
            kedaScaler=closed(enabled=FLAG),
            networkPolicy=closed(enabled=FLAG),
            nodeAgent=closed(enabled=FLAG, image=image("of the node agent")),
            prometheusSource=closed(enabled=FLAG, url=URL),
            resourceMetrics=closed(enabled=FLAG, url=URL),
            **{"global": {"type": "object"}},
        ),
        "$defs": settings.get("$defs", {}),
    }


def text() -> str:
    """Return the file's content."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
    sys.stdout.write(f"wrote {PAGE}\n")
