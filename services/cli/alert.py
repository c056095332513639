"""``tocsin alert``: read an alert, silence its subject for a while, compute it again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from services.cli.alert_view import moment, show_alert
from services.cli.options import Bootstrap, Json, print_json
from services.runtime.settings import load_settings

app = typer.Typer(help="Alerts, for the people who work on them.", no_args_is_help=True)

AlertId = Annotated[str, typer.Argument(help="The alert's id, as in alerts.v1.")]


@app.command()
def show(alert_id: AlertId, bootstrap: Bootstrap = None, json: Json = False) -> None:
    """Print an alert as it stands: what was found, what speaks for an innocent reading, what would end it.

    It names the subject's account and the payments: do not print it where they must not be read. Exit codes: 0
    printed; 1 there is no such alert; 2 a setting is wrong.
    """
    from services.scorer.shell.alerts import find_alert

    alert = asyncio.run(find_alert(load_settings(bootstrap=bootstrap), alert_id)).alert
    if json:
        typer.echo(msgspec.json.encode(alert).decode())
    else:
        show_alert(alert, Console())


@app.command()
def snooze(
    alert_id: AlertId,
    days: Annotated[
        float, typer.Option(min=0, help="How long, in days of the stream's own time from now on; 0 wakes it.")
    ],
    queue: Annotated[
        str | None, typer.Option(help="Silence the subject in this queue.", show_default="the alert's own")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="A code of yours, to be kept with the snooze.")] = None,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Silence an alert's subject in its queue: what is found meanwhile is kept, and published when the time is over.

    A confirmed payee or a minor's account is published all the same. The snooze is a record in the subject's own log,
    so the alerter takes it in the order in which it came. Exit codes: 0 written; 1 there is no such alert; 2 an option
    or a setting is wrong.
    """
    from services.scorer.shell.alerts import find_alert, send_snooze

    settings = load_settings(bootstrap=bootstrap)
    if days > settings.account_idle_days:
        raise typer.BadParameter(
            f"at most {settings.account_idle_days}, as long as a subject is remembered (TOCSIN_ACCOUNT_IDLE_DAYS)",
            param_hint="--days",
        )
    for name, value in (("--queue", queue), ("--reason", reason)):
        if value is not None and not 1 <= len(value) <= 35:
            raise typer.BadParameter("1 to 35 characters", param_hint=name)

    found = asyncio.run(find_alert(settings, alert_id))
    written, offset = asyncio.run(send_snooze(settings, found, queue or found.alert.queue, days, reason))
    if json:
        print_json(
            {
                "alert_id": alert_id,
                "snooze_id": written.snooze_id,
                "queue": written.queue,
                "until_event_time_ms": written.until_event_time_ms,
                "partition": found.partition,
                "offset": offset,
            }
        )
    elif days:
        typer.echo(
            f"The subject of {alert_id} is silent in {written.queue} until {moment(written.until_event_time_ms)}."
        )
    else:
        typer.echo(f"The subject of {alert_id} is awake in {written.queue}.")


@app.command()
def recompute(alert_id: AlertId, bootstrap: Bootstrap = None, json: Json = False) -> None:
    """Compute all that an alert rests on again from the logs: every decision it names, its finding, and its sum.

    Reads payments.v1 and payments.by-payee.v1 from their beginning, each partition once, as `tocsin recompute` does for
    one decision. Every decision must be the one on record, bit for bit; evidence, counter-evidence and the model's part
    must be the decision's; and prior, weights and model, added one by one, must be the score. Exit codes: 0 all holds;
    1 something differs, or it cannot be done; 2 a setting is wrong.
    """
    from services.scorer.audit.recompute_alert import recompute_alert
    from services.scorer.shell.alerts import find_alert

    settings = load_settings(bootstrap=bootstrap)
    alert = asyncio.run(find_alert(settings, alert_id)).alert
    checks = asyncio.run(recompute_alert(settings, alert))
    holds = all(each.holds for each in checks)
    if json:
        print_json(
            {
                "alert_id": alert_id,
                "revision": alert.revision,
                "same": holds,
                "checks": [asdict(each) for each in checks],
            }
        )
    else:
        for each in checks:
            typer.echo(f"{'ok  ' if each.holds else 'FAIL'}  {each.name}: {each.found}")
    if not holds:
        raise typer.Exit(1)
