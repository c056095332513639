"""What a PromQL query names: metrics and labels. Enough of the language for our own rules and dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from services.learner.measures import Measures
from services.runtime.metrics import Metrics, ShadowMetrics
from tests.deploy.plausible import (
    LOOPS,
    fill_health,
    fill_learner,
    fill_scorer,
    fill_shadow,
    start_health,
    start_scorer,
)

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_RECORDED = re.compile(r"\b[a-z_]+:tocsin_[a-z_]+:[a-z0-9_]+\b")
_METRIC = re.compile(r"\btocsin_[a-z_]+\b")
_GROUPING = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")
_MATCHERS = re.compile(r"\{([^}]*)\}")
_MATCHER = re.compile(r"([A-Za-z_]+)\s*(?:=~|!~|!=|=)")

SCRAPE_LABELS = frozenset({"job", "instance", "le"})
"""Labels that Prometheus sets itself, and the bound of a histogram's bucket."""


def metrics_named(query: str) -> set[str]:
    """The names of Tocsin's own metrics in ``query``, recorded series aside.

    >>> sorted(metrics_named('rate(tocsin_payments_total{hop="payer"}[5m]) / tocsin_state_bytes'))
    ['tocsin_payments_total', 'tocsin_state_bytes']
    """
    return set(_METRIC.findall(_RECORDED.sub(" ", _STRING.sub(" ", query))))


def recorded_named(query: str) -> set[str]:
    """The names of recorded series in ``query``."""
    return set(_RECORDED.findall(_STRING.sub(" ", query)))


def labels_named(query: str) -> set[str]:
    """The labels that ``query`` groups by, joins on or selects with.

    >>> sorted(labels_named('sum by (hop, le) (rate(tocsin_x_bucket{instance=~".*"}[1m]))'))
    ['hop', 'instance', 'le']
    """
    bare = _STRING.sub(" ", query)
    named = {each.strip() for group in _GROUPING.findall(bare) for each in group.split(",")}
    named |= {each for inside in _MATCHERS.findall(bare) for each in _MATCHER.findall(inside)}
    return named - {""}


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows data: rows aside, panels of folded rows included."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries_of(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every query of every panel, with the panel's title."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def exposed() -> dict[str, frozenset[str]]:
    """Every series name that a worker can expose, with its labels."""
    metrics = Metrics()
    learner = Measures(metrics)
    fill_shadow(metrics, ShadowMetrics(metrics.registry))
    start_scorer(metrics)
    fill_scorer(metrics)
    fill_learner(learner)
    names: dict[str, frozenset[str]] = {}
    with ExitStack() as stack:
        fill_health(metrics, start_health(metrics, LOOPS["scorer"], stack))
        for family in metrics.registry.collect():
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    names[sample.name] = frozenset(sample.labels)
    return names


def families() -> frozenset[str]:
    """The metric families of a worker, as their first series is named without ``_total``, ``_bucket`` and so on."""
    metrics = Metrics()
    Measures(metrics)
    ShadowMetrics(metrics.registry)
    return frozenset(family.name for family in metrics.registry.collect())


def family_of(name: str) -> str:
    """The family of a series.

    >>> family_of("tocsin_payments_total"), family_of("tocsin_batch_records_bucket"), family_of("tocsin_state_bytes")
    ('tocsin_payments', 'tocsin_batch_records', 'tocsin_state_bytes')
    """
    return re.sub(r"_(total|bucket|sum|count)$", "", name)
