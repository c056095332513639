"""How a demo looks: a live panel on a terminal, a line now and then elsewhere, and the summary for people."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.demo.plan import PACED_PER_SECOND
from services.demo.run import Place
from services.demo.summary import NOTE, Summary
from services.demo.watch import Seen

LINE_SECONDS = 5.0
RATE_SECONDS = 2.0
BAR_WIDTH = 48


class DemoView:
    """A ``services.demo.run.View`` on stderr. A context manager."""

    def __init__(self, payments: int) -> None:
        self._console = Console(stderr=True)
        self._payments = payments
        self._phase, self._sent, self._labels, self._seen = "", 0, 0, Seen()
        self._rates: deque[tuple[float, int]] = deque()
        self._next_line = 0.0
        self._live: Live | None = None
        self.finished = False
        """Whether the summary has been shown."""

    def phase(self, text: str) -> None:
        """Show what begins."""
        self._phase = text
        if self._live is None and not self.finished:
            print(f"demo: {text}", file=sys.stderr, flush=True)
            self._next_line = time.monotonic() + LINE_SECONDS
        self._draw()

    def line(self, text: str) -> None:
        """Show a line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def sent(self, payments: int, labels: int) -> None:
        """Take the counts of what was sent."""
        self._sent, self._labels = payments, labels

    def seen(self, seen: Seen) -> None:
        """Take the workers' counts, and show them."""
        self._seen = seen
        now = time.monotonic()
        self._rates.append((now, seen.decided))
        while now - self._rates[0][0] > RATE_SECONDS and len(self._rates) > 2:
            self._rates.popleft()
        if self._live is None and not self.finished and now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            print(f"demo: {', '.join(f'{name} {value}' for name, value in self._rows())}", file=sys.stderr, flush=True)
        self._draw()

    def stop(self) -> None:
        """Remove the panel."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self._panel(), console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _rate(self) -> float:
        (first_at, first), (last_at, last) = self._rates[0], self._rates[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def _rows(self) -> list[tuple[str, str]]:
        seen = self._seen
        model = f"version {seen.model}" if seen.model else "untrained"
        return [
            ("payments sent", f"{self._sent:,} of {self._payments:,}"),
            ("decisions", f"{seen.decided:,} ({self._rate() if self._rates else 0:,.0f}/s)"),
            ("reviews", f"{seen.reviews:,}"),
            ("alerts", f"{seen.alerts:,}"),
            ("labels sent", f"{self._labels:,}"),
            ("learned", f"{seen.examples:,}"),
            ("model", model),
        ]

    def _panel(self) -> Group:
        table = Table(show_header=False, box=None)
        table.add_row("", ProgressBar(total=self._payments, completed=self._seen.decided, width=BAR_WIDTH))
        for name, value in self._rows():
            table.add_row(name, value)
        return Group(Text(f"Tocsin demo: {self._phase}", style="bold", no_wrap=True), table)

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._panel())


def summary_lines(summary: Summary, place: Place, keep: bool) -> list[str]:
    """The summary for people."""
    evidence, conditions = summary.evidence, summary.conditions
    figures = summary.as_dict()
    latency, rate = figures["latency_ms"], figures["payments_per_second"]
    origins = ", ".join(f"{each:,} by {name}" for name, each in sorted(evidence.dead_letters.items()))
    return [
        "",
        f"payments in      {figures['payments_in']:>9,}  different, of {evidence.records:,} records in payments.v1",
        f"decisions out    {evidence.decisions:>9,}",
        f"alerts           {evidence.alerts:>9,}  subjects, in {evidence.alert_events:,} revisions",
        f"dead letters     {evidence.dead_letters.total():>9,}  {origins}",
        f"duplicates       {evidence.repeats:>9,}  recognised, and {evidence.status_updates:,} changes of status",
        f"lost             {summary.lost:>9,}",
        f"doubled          {len(evidence.doubled):>9,}",
        f"payments/s       {_number(rate):>9}  from first sent to last decided, at full speed; broker, scorer, "
        "learner and sender share this machine",
        f"latency p50, p99 {_number(latency['p50']):>9}, {_number(latency['p99'])} ms  broker's append to committed "
        f"decision at a consumer, {figures['latency_payments']:,} payments at {PACED_PER_SECOND:,}/s on average",
        f"broker           {conditions.broker}, {conditions.delivery}; seed {conditions.seed}; {summary.seconds:.0f} s",
        "",
        *_detection_lines(summary),
        NOTE,
        "",
        *_pointer_lines(summary, place, keep),
        *([] if summary.sound else ["", _verdict(summary)]),
    ]


def _detection_lines(summary: Summary) -> list[str]:
    found, conditions = summary.detection, summary.conditions
    if not found.payments:
        return ["No learned model came into use, so there is nothing to say about detection. Send more payments."]
    return [
        f"Detection, as scored at the time (prequential), on the {found.payments:,} payments sent after the first of "
        f"{summary.evidence.models} models was in use, {found.suspicious:,} of them suspicious:",
        f"  at the alert budget ({conditions.alert_budget_share:.2%}: the {found.budget:,} highest scores)  precision "
        f"{_share(found.precision)}, recall {_share(found.recall)} (a perfect ranking: {_share(found.recall_max)})",
        f"  average precision {_share(found.average_precision)}; payments sent to review by model or rules: precision "
        f"{_share(summary.review_precision)}, recall {_share(summary.review_recall)}",
        f"  learned from {conditions.labels_sent:,} labels that came days later; {conditions.labels_to_come:,} would "
        "still come",
    ]


def _pointer_lines(summary: Summary, place: Place, keep: bool) -> list[str]:
    settings = place.settings
    shown = summary.shown.decision_id if summary.shown else "DECISION_ID"
    environment = f"TOCSIN_BOOTSTRAP={settings.bootstrap} TOCSIN_PARTITIONS={settings.partitions} "
    if settings.topic_prefix:
        environment += f"TOCSIN_TOPIC_PREFIX={settings.topic_prefix} "
    if not keep:
        return [
            "Where to look next: `tocsin demo --keep` leaves it running, with its topics, metrics and models;",
            "`tocsin replay` sends your own file; README.md and docs/ARCHITECTURE.md explain.",
        ]
    return [
        "Where to look next, until Ctrl-C:",
        f"  topics    {environment}tocsin topics describe",
        f"  a review  {environment}tocsin recompute {shown}",
        f"  made of   {environment}tocsin topics read features.v1 --decision {shown}",
        f"  metrics   http://127.0.0.1:{place.ports['scorer']}/metrics (scorer), "
        f"http://127.0.0.1:{place.ports['learner']}/metrics (learner)",
        f"  models    {settings.registry}",
        f"  logs      {place.folder}",
        "  docs      README.md, docs/ARCHITECTURE.md",
    ]


def _verdict(summary: Summary) -> str:
    return f"NOT SOUND: {summary.lost:,} payments lost, {len(summary.evidence.doubled):,} doubled."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
