"""How a replay looks: a bar with rate and time left on a terminal, a line now and then elsewhere, and a summary."""

from __future__ import annotations

from services.ingest.report import Report
from services.runtime.progress import RateProgress


class ShownProgress(RateProgress):
    """A ``services.ingest.report.Progress`` that shows itself."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__("replay", quiet)

    def __call__(self, report: Report) -> None:
        """Show how far it is, unless that has just been shown."""
        rate = f"{report.rows_read:,} rows, {report.rows_per_second:,.0f}/s, {report.rows_bad:,} bad"
        self.show(report.share, rate, lambda: progress_line(report))


def progress_line(report: Report) -> str:
    """One line for a log: how far, how fast, how long still."""
    parts = [f"replay: {report.rows_read:,} rows", f"{report.rows_per_second:,.0f} rows/s", f"{report.rows_bad:,} bad"]
    if report.share:
        left_seconds = report.seconds / report.share - report.seconds
        parts += [f"{report.share:.0%}", f"about {left_seconds:,.0f} s left"]
    return ", ".join(parts)


def summary_lines(report: Report, dry_run: bool = False) -> list[str]:
    """The counts for people."""
    sent = (
        f"{report.payments_ready:,} payments (dry run: nothing sent)" if dry_run else f"{report.payments_sent:,} sent"
    )
    lines = [
        f"{report.source}: {report.rows_read:,} rows read, {sent}, {report.rows_bad:,} bad, "
        f"{report.rows_filtered:,} filtered; {report.seconds:,.1f} s, {report.rows_per_second:,.0f} rows/s"
    ]
    if report.labels_ready:
        early = f", {report.labels_early:,} of them early" if report.labels_early else ""
        lines.append(f"  labels sent: {report.labels_sent:,}{early}")
    lines += [f"  bad, {reason}: {count:,}" for reason, count in sorted(report.bad.items())]
    if report.rows_bad and not dry_run:
        lines.append(f"  dead letters sent: {report.dead_letters_sent:,}")
    lines += [f"  filtered, {name}: {count:,}" for name, count in sorted(report.filtered.items())]
    return lines


def bad_row_lines(report: Report, listed: int) -> list[str]:
    """The first bad rows by line, and how many more there are."""
    shown = report.bad_rows[:listed]
    lines = [
        f"  line {each.line}: {each.reason}{f' ({each.field})' if each.field else ''}: {each.detail}" for each in shown
    ]
    more = report.rows_bad - len(shown)
    if more:
        lines.append(f"  and {more:,} more")
    return lines
