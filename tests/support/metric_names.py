"""Which metrics and labels PromQL expressions ask for, and which ones there are."""

import re
from collections.abc import Iterable

from tests.support.paths import ROOT

IN_PROMQL = re.compile(r"\b(bottlepost_\w+)(?:\{([^}]*)\})?")
COMPARED = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPED = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")
# What Prometheus itself adds to each series.
ADDED = frozenset({"job", "instance", "le"})
# The series of a histogram or counter have these names.
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


def names(expressions: Iterable[str]) -> set[str]:
    found = IN_PROMQL.findall("\n".join(expressions))
    return {SUFFIXES.sub("", name) for name, _ in found}


def unknown_labels(expression: str) -> set[str]:
    """Labels that no metric of the expression has, by the table of docs/api.md."""
    metrics = IN_PROMQL.findall(expression)
    known = set(ADDED).union(*(documented().get(_family(m), set()) for m, _ in metrics))
    used = {label for _, labels in metrics for label in COMPARED.findall(labels)}
    for group in GROUPED.findall(expression):
        used |= {label.strip() for label in group.split(",") if label.strip()}
    return used - known


def _family(name: str) -> str:
    return SUFFIXES.sub("", name)


def documented() -> dict[str, set[str]]:
    """The labels of each metric."""
    text = (ROOT / "docs/api.md").read_text()
    found = re.findall(r"`(bottlepost_\w+)(?:\{([\w,]+)\})?`", text)
    return {name: set(filter(None, labels.split(","))) for name, labels in found}


def exported(exposition: str) -> set[str]:
    """The families of an answer of /metrics."""
    return set(re.findall(r"^# TYPE (\w+)", exposition, re.MULTILINE))
