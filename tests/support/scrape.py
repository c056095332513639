"""Reading a worker's metrics as Prometheus does."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def exposition(port: int) -> str:
    """The text at ``/metrics``."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def samples(text: str) -> Samples:
    """Every sample, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, labels: Mapping[str, str] | None = None) -> float:
    """The sum of the samples of ``name`` that have ``labels``."""
    wanted = set((labels or {}).items())
    return sum(value for (each, held), value in found.items() if each == name and wanted <= held)
