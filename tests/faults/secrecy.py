"""Nobody is named: no planted name, and no account of the load, in any log or metric."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.deployment import Deployment
from tests.support.hostile import CANARY
from tests.support.scrape import exposition

_NAMES = re.compile(rf"{CANARY}|SE\d{{16}}|konto-|payment-\d+-\d+|device-1\b|för dig|school\sfees")
"""The canary, and what ``payment_log`` calls accounts, payments, devices, and writes as references."""
_AROUND = 80


def assert_nobody_is_named(deployment: Deployment) -> None:
    """Neither the whole log of any worker nor the metrics of those that live hold a name."""
    for where, text in said(deployment):
        found = _NAMES.search(text)
        if found is not None:
            shown = text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
            raise AssertionError(f"{where} names somebody: ...{shown}...")


def said(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Everything that the workers of ``deployment`` say: where, and what."""
    for worker in deployment.workers:
        if worker.log.exists():
            yield f"the log of {worker.name}", worker.log.read_text(errors="replace")
        if worker.alive and worker.settings.metrics_port:
            yield f"the metrics of {worker.name}", exposition(worker.settings.metrics_port)
