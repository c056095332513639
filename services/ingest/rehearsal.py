"""A replay without Kafka: everything is read, mapped, checked and counted, and nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable

from services.contract.label import Label
from services.ingest.report import Progress, Report, no_progress
from services.ingest.rows import MappedRow, Ready, share_of

CHUNK_ROWS = 500
SHOWN = 5
"""So many payments are given back."""


def rehearse(rows: Iterable[MappedRow], source: str, progress: Progress = no_progress) -> tuple[Report, list[bytes]]:
    """Count ``rows`` as a replay would: the report, in which nothing is sent, and the first payments as JSON.

    Raises
    ------
    SourceError
        When the source cannot be read to its end.
    """
    report = Report(source)
    first: list[bytes] = []
    started = time.monotonic()
    for row in rows:
        if isinstance(row, Label):
            continue
        report.count(row)
        if isinstance(row, Ready) and len(first) < SHOWN:
            first.append(row.value)
        if report.rows_read % CHUNK_ROWS == 0:
            report.seconds = time.monotonic() - started
            report.share = share_of(rows)
            progress(report)
    report.seconds = time.monotonic() - started
    progress(report)
    return report, first
