"""Random syncs of an autoscaler, as JSON for the oracle: every rule is met, edges often."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

PHASES = ("Running",) * 7 + ("Pending", "Pending", "Failed", "Succeeded", "Unknown")
TARGETS = ("1", "5", "80", "500m", "2500m", "33333m")
PERCENTAGES = (1, 50, 80, 100, 150)
GPU = "nvidia.com/gpu"
TOLERANCES = ("0", "100m", "0.05", "0.3", "1")
WINDOWS_SECONDS = (0, 10, 60, 300, 3_600)
OLD_WISH = [{"age_seconds": 3_700.5, "replicas": 1}]  # without any, things as they are are one
PERIODS_SECONDS = (10, 30, 60, 600, 1_800)


def draw(dice: random.Random) -> dict[str, Any]:
    """Return one case; ages stay half a second away from every window and period."""
    metrics = [_metric(dice, f"m{n}") for n in range(dice.choice((1, 1, 2, 3)))]
    if dice.random() < 0.15:
        metrics[dice.randrange(len(metrics))] = _resource(dice)
    lowest = dice.randint(0 if any(map(_lives_alone, metrics)) else 1, 4)
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"},
        "minReplicas": lowest,
        "maxReplicas": max(1, lowest + dice.randint(0, 20)),
        "metrics": metrics,
    }
    if dice.random() < 0.6:
        spec["behavior"] = _behavior(dice)
    pods = _pods(dice)
    # Nothing to do and no recent wish: or hardly any case would reach 0.
    quiet = not lowest and dice.random() < 0.3
    answers = {name_of(m): _answer(dice, m, pods) for m in metrics}
    return {
        "hpa": {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "hpa"},
            "spec": spec,
        },
        "current": _current(dice, spec),
        "pods": pods,
        "answers": {
            name: {"total": 0} if quiet and "total" in one else one for name, one in answers.items()
        },
        "scaled_to_zero": dice.choice((None, True, True, False)),
        "recommendations": _aged(dice, 0, 25) if not quiet else OLD_WISH,
        "ups": _aged(dice, 1, 6),
        "downs": _aged(dice, 1, 6),
    }


def _lives_alone(metric: Mapping[str, Any]) -> bool:
    return metric["type"] in ("Object", "External")


def _metric(dice: random.Random, name: str) -> dict[str, Any]:
    kind = dice.choice(("Pods", "Pods", "Pods", "Pods", "Object", "External"))
    target = {"type": "AverageValue", "averageValue": dice.choice(TARGETS)}
    if kind != "Pods" and dice.random() < 0.4:
        target = {"type": "Value", "value": dice.choice(TARGETS)}
    spec: dict[str, Any] = {"metric": {"name": name}, "target": target}
    if kind == "Object":
        spec["describedObject"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm"}
    return {"type": kind, kind.lower(): spec}


def _resource(dice: random.Random) -> dict[str, Any]:
    target: dict[str, Any] = {"type": "Utilization", "averageUtilization": dice.choice(PERCENTAGES)}
    if dice.random() < 0.3:
        target = {"type": "AverageValue", "averageValue": dice.choice(TARGETS)}
    if dice.random() < 0.3:
        source = {"name": GPU, "container": "model", "target": target}
        return {"type": "ContainerResource", "containerResource": source}
    return {"type": "Resource", "resource": {"name": GPU, "target": target}}


def name_of(metric: Mapping[str, Any]) -> str:
    """Return the name by which the metric's answer is found."""
    if "Resource" in metric["type"]:
        return GPU
    return str(metric[metric["type"].lower()]["metric"]["name"])


def _target_milli(metric: Mapping[str, Any]) -> int:
    source = metric[metric["type"][0].lower() + metric["type"][1:]]
    if source["target"]["type"] == "Utilization":
        return int(source["target"]["averageUtilization"]) * 10
    value = source["target"].get("averageValue") or source["target"]["value"]
    known = {"1": 1_000, "5": 5_000, "80": 80_000}
    return known.get(value) or int(value.removesuffix("m"))


def _current(dice: random.Random, spec: Mapping[str, Any]) -> int:
    if dice.random() < 0.15:
        return dice.choice((0, dice.randint(0, 30)))
    return dice.randint(spec["minReplicas"], spec["maxReplicas"])


def _pods(dice: random.Random) -> list[dict[str, Any]]:
    count = dice.choice((0, 1, 2, 3, 4, 5, 8, 12))
    return [
        {
            "name": f"pod-{n}",
            "phase": dice.choice(PHASES),
            "terminating": dice.random() < 0.1,
            "ready": dice.random() < 0.8,
        }
        for n in range(count)
    ]


def _answer(
    dice: random.Random, metric: Mapping[str, Any], pods: list[dict[str, Any]]
) -> dict[str, Any]:
    if dice.random() < 0.12:
        return {"error": "known for 1 of 4 pods"}
    target_milli = _target_milli(metric)
    if metric["type"] in ("Object", "External"):
        return {"total": _milli(dice, target_milli * dice.randint(0, 20))}
    names = [pod["name"] for pod in pods if dice.random() < 0.8]
    # Of a resource the controller skips strangers, since they have no request; ours has no such
    # list of pods for it, and the metrics API never names any.
    if dice.random() < 0.05 and metric["type"] == "Pods":
        names.append("stranger")
    # All alike at an edge of the default tolerance, or each on its own.
    same = dice.choice((None, None, 0.9, 1.0, 1.1))
    return {
        "values": {
            name: round(target_milli * same) if same else _milli(dice, target_milli)
            for name in names
        }
    }


def _milli(dice: random.Random, target_milli: int) -> int:
    share = dice.choice((0.0, 0.5, 0.899, 0.9, 1.0, 1.1, 1.101, 2.0, 7.0, dice.random() * 3))
    return int(target_milli * share)


def _behavior(dice: random.Random) -> dict[str, Any]:
    sides = [side for side in ("scaleUp", "scaleDown") if dice.random() < 0.7]
    return {side: _rules(dice) for side in sides}


def _rules(dice: random.Random) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    if dice.random() < 0.6:
        rules["stabilizationWindowSeconds"] = dice.choice(WINDOWS_SECONDS)
    if dice.random() < 0.5:
        rules["selectPolicy"] = dice.choice(("Max", "Min", "Disabled"))
    if dice.random() < 0.4:
        rules["tolerance"] = dice.choice(TOLERANCES)
    if dice.random() < 0.7:
        rules["policies"] = [
            {
                "type": dice.choice(("Pods", "Percent")),
                "value": dice.choice((1, 2, 5, 10, 33, 50, 100, 150)),
                "periodSeconds": dice.choice(PERIODS_SECONDS),
            }
            for _ in range(dice.randint(1, 3))
        ]
    return rules


def _aged(dice: random.Random, lowest: int, highest: int) -> list[dict[str, float]]:
    ages = (5, 15, 45, 100, 290, 310, 1_000, 3_700)
    return [
        {"age_seconds": dice.choice(ages) + 0.5, "replicas": dice.randint(lowest, highest)}
        for _ in range(dice.choice((0, 0, 1, 2, 5)))
    ]
