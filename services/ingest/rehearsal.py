"""A replay without Kafka: everything is read, mapped, checked and counted, and nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable

from services.ingest.report import Progress, Report, no_progress
from services.ingest.rows import Bad, Filtered, MappedRow, Ready

CHUNK_ROWS = 500


def rehearse(
    rows: Iterable[MappedRow], source: str, progress: Progress = no_progress, shown: int = 5
) -> tuple[Report, list[bytes]]:
    """Count ``rows`` as a replay would.

    Returns
    -------
    The report, in which nothing is sent, and the first ``shown`` payments as JSON.

    Raises
    ------
    SourceError
        When the source cannot be read to its end.
    """
    report = Report(source)
    first: list[bytes] = []
    started = time.monotonic()
    share = getattr(rows, "share", None)
    for row in rows:
        if isinstance(row, Ready):
            report.payments_ready += 1
            if len(first) < shown:
                first.append(row.value)
        elif isinstance(row, Bad):
            report.add_bad(row.line, row.rejection)
        elif isinstance(row, Filtered):
            report.filtered[row.name] += 1
        else:
            continue
        report.rows_read += 1
        report.last_line = row.line
        if report.rows_read % CHUNK_ROWS == 0:
            report.seconds = time.monotonic() - started
            report.share = share() if share is not None else None
            progress(report)
    report.seconds = time.monotonic() - started
    progress(report)
    return report, first
