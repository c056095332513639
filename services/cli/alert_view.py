"""How an alert is printed for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape

from services.cli.options import print_table
from services.contract.alert import Alert, Contribution
from services.contract.codes import CURRENCY_EXPONENT
from services.contract.decision import Evidence, Finding


def moment(ms: int) -> str:
    """A time of the stream, for people.

    >>> moment(1_767_225_600_000)
    '2026-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(ms / 1_000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def money(amount_minor: int, currency: str) -> str:
    """An amount, for people.

    >>> [money(250_000, "EUR"), money(2_500, "JPY")]
    ['2,500.00 EUR', '2,500 JPY']
    """
    exponent = CURRENCY_EXPONENT[currency]
    return f"{amount_minor / 10**exponent:,.{exponent}f} {currency}"


def show_alert(alert: Alert, console: Console) -> None:
    """Print ``alert``."""
    finding = alert.finding
    headline = finding.headline if finding else "A pattern that rules or model ask people to look at"
    console.print(headline, style="bold", markup=False)
    console.print(
        f"{alert.subject.role} {alert.subject.account} of {alert.tenant}, queue {alert.queue}",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"status {_status(alert)}, revision {alert.revision}, alert {alert.alert_id}", soft_wrap=True)
    console.print(
        f"payments {alert.payments_count}, opened {moment(alert.opened_event_time_ms)}, "
        f"latest {moment(alert.updated_event_time_ms)}",
        soft_wrap=True,
    )
    if finding:
        _show_finding(finding, console)
    else:
        console.print(f"\nrisk {alert.probability_max:.1%}, the probability of its most probable payment")
    if alert.rules:
        _show_rules(alert, console)
    if alert.reasons:
        rows = [(each.feature, f"{each.value:g}", f"{each.contribution:+.3f}") for each in alert.reasons]
        _show_table(console, ("reason of the most probable payment", "value", "log-odds"), rows)
    _show_payments(alert, console)
    console.print(
        "\nA pattern consistent with published indicators. People decide; a payee may be a victim.", style="dim"
    )


def _status(alert: Alert) -> str:
    said = str(alert.status)
    if alert.snoozed_until_ms is not None:
        said += f" (silent until {moment(alert.snoozed_until_ms)})"
    if alert.superseded_by:
        said += f" by {alert.superseded_by}"
    return said + (f" (in place of {alert.supersedes})" if alert.supersedes else "")


def _show_finding(finding: Finding, console: Console) -> None:
    parts = [
        ("prior", finding.prior),
        *((each.indicator, each.weight) for each in (*finding.evidence, *finding.counter_evidence) if each.weight),
        ("model", finding.model),
    ]
    risk = 1.0 / (1.0 + math.exp(-finding.score)) if finding.score > -700.0 else 0.0
    total = " ".join(f"{value:+g} ({name})" for name, value in parts)
    if finding.subject is None:
        console.print(f"\nrisk {risk:.1%}: log-odds {finding.score:.4g} = {total}", soft_wrap=True, highlight=False)
    else:
        carried = ", ".join(finding.subject.families) or "nothing but what is immediate"
        said = f"\nrisk {risk:.1%}: log-odds {finding.score:.4g} of all its payments, carried by {carried}"
        console.print(said, soft_wrap=True, highlight=False)
        rows = [(each.feature, f"{each.value:g}", f"{each.contribution:+.3f}") for each in finding.subject.reasons]
        _show_table(console, ("reason of the subject", "value", "log-odds"), rows)
    if finding.immediate:
        console.print("to be looked at whatever the budget: a confirmed payee, or a minor's account")
    _show_evidence("evidence", finding.evidence, console)
    _show_evidence("speaks for an innocent reading", finding.counter_evidence, console)
    if finding.would_end:
        console.print(f"\nwould end without: {', '.join(finding.would_end)}", soft_wrap=True, markup=False)
    if finding.missing:
        console.print(f"could not be measured: {', '.join(finding.missing)}", soft_wrap=True, markup=False)


def _show_evidence(title: str, evidence: tuple[Evidence, ...], console: Console) -> None:
    if not evidence:
        return
    rows = [
        (
            escape(f"{each.indicator}: {each.reason}"),
            f"{each.measured:g} {each.unit}",
            f"{each.threshold:g}",
            each.window,
            f"{each.weight:+g}" if each.weight else "said, not counted",
            escape(each.source),
        )
        for each in evidence
    ]
    _show_table(console, (title, "measured", "threshold", "window", "log-odds", "source"), rows)


def _show_rules(alert: Alert, console: Console) -> None:
    rows = []
    for each in alert.rules:
        measured = "" if each.measured is None else f"{each.measured:g} {each.unit or ''}".strip()
        rows.append((each.rule, measured, "" if each.threshold is None else f"{each.threshold:g}", each.window or ""))
    _show_table(console, ("rule", "measured", "threshold", "window"), rows)


def _show_table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.print("")
    print_table(columns, rows, console)


def _show_payments(alert: Alert, console: Console) -> None:
    leading = alert.finding_payment
    older: tuple[Contribution, ...] = () if leading is None or leading in alert.payments else (leading,)
    rows = [
        (
            escape(each.payment_id),
            moment(each.event_time_ms),
            money(each.amount_minor, each.currency),
            each.decision_id,
            "finding" if leading is not None and each.decision_id == leading.decision_id else "",
        )
        for each in (*older, *alert.payments)
    ]
    _show_table(console, ("payment", "time", "amount", "decision", ""), rows)
    left_out = alert.payments_count - len(rows)
    if left_out > 0:
        console.print(f"and {left_out} earlier ones")
