"""What became of the rows: counts that only grow when something has really happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from services.contract.codec import Rejection
from services.ingest.rows import Bad, Filtered, Ready

BAD_ROWS_LISTED_MAX = 1_000
"""Bad rows that are kept for the list; all of them are counted and dead-lettered."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One entry of the list of bad rows."""

    line: int
    reason: str
    field: str
    detail: str


@dataclass(slots=True)
class Report:
    """Counts of one replay. ``rows_read == payments_ready + rows_bad + rows_filtered`` at any time.

    ``payments_sent``, ``labels_sent`` and ``dead_letters_sent`` count what the broker has acknowledged.
    """

    source: str
    rows_read: int = 0
    payments_ready: int = 0
    payments_sent: int = 0
    labels_ready: int = 0
    labels_sent: int = 0
    labels_early: int = 0
    """Labels sent before event time reached them, because too many were being held."""
    dead_letters_sent: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    """Bad rows by reason."""
    filtered: Counter[str] = field(default_factory=Counter)
    """Rows left out on purpose, by the name of the rule."""
    bad_rows: list[BadRow] = field(default_factory=list)
    """The first ``BAD_ROWS_LISTED_MAX`` of them."""
    last_line: int = 0
    last_event_time_ms: int | None = None
    share: float | None = None
    """How much of the source has been read, 0 to 1; ``None`` where nobody knows."""
    seconds: float = 0.0

    @property
    def rows_bad(self) -> int:
        """Bad rows, all reasons together."""
        return self.bad.total()

    @property
    def rows_filtered(self) -> int:
        """Rows left out on purpose, all rules together."""
        return self.filtered.total()

    @property
    def rows_per_second(self) -> float:
        """Rows read in a second, on average."""
        return self.rows_read / self.seconds if self.seconds > 0 else 0.0

    def count(self, row: Ready | Bad | Filtered) -> None:
        """Count a row that has been read."""
        if isinstance(row, Ready):
            self.payments_ready += 1
        elif isinstance(row, Bad):
            self.add_bad(row.line, row.rejection)
        else:
            self.filtered[row.name] += 1
        self.rows_read += 1
        self.last_line = row.line

    def add_bad(self, line: int, rejection: Rejection) -> None:
        """Count a bad row, and list it while the list has room."""
        self.bad[rejection.reason] += 1
        if len(self.bad_rows) < BAD_ROWS_LISTED_MAX:
            self.bad_rows.append(BadRow(line, rejection.reason, rejection.field, rejection.detail))

    def as_dict(self) -> dict[str, Any]:
        """All counts and the list of bad rows, for machines."""
        return {
            "source": self.source,
            "rows_read": self.rows_read,
            "payments_sent": self.payments_sent,
            "labels_sent": self.labels_sent,
            "labels_early": self.labels_early,
            "dead_letters_sent": self.dead_letters_sent,
            "rows_bad": self.rows_bad,
            "bad": dict(sorted(self.bad.items())),
            "rows_filtered": self.rows_filtered,
            "filtered": dict(sorted(self.filtered.items())),
            "bad_rows": [asdict(each) for each in self.bad_rows],
            "bad_rows_not_listed": self.rows_bad - len(self.bad_rows),
            "last_line": self.last_line,
            "last_event_time_ms": self.last_event_time_ms,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
        }


Progress = Callable[[Report], None]
"""Told how far a replay is, many times a second; must not block."""


def no_progress(report: Report) -> None:
    """For whoever does not care."""
