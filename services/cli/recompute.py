"""``tocsin recompute``: a decision, computed again from the topics."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli.options import Bootstrap, Json, print_json
from services.runtime.settings import load_settings


def recompute(
    decision_id: Annotated[str, typer.Argument(help="The decision's id, as in decisions.v1 or in an alert.")],
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Compute a decision again from the logs, and compare it and what it was made of with the records, bit for bit.

    Reads payments.v1 and payments.by-payee.v1 from their beginning through the same pure path that scored the payment,
    with the model that decided. What it is compared with are the decision's bytes in decisions.v1, and its row of
    features.v1: features, scores, rules and packs. Exit codes: 0 the same; 1 they differ, or it cannot be done; 2 a
    setting is wrong. `tocsin alert recompute` does this for all that an alert rests on.
    """
    from services.scorer.audit.recompute import recompute_decision

    settings = load_settings(bootstrap=bootstrap)
    found = asyncio.run(recompute_decision(settings, decision_id))
    if json:
        print_json({"decision_id": decision_id, "same": found.same, "recomputed": found.recomputed.decode()})
    else:
        typer.echo(found.recomputed.decode())
        typer.echo(found.summary, err=True)
    if not found.same:
        raise typer.Exit(1)
