"""Payments as ISO 20022 credit transfers: messages ``pacs.008.001.09``, one file each, in a folder.

What such a message cannot say is left out, and counted: card payments, refusals and returns (``pacs.002`` and
``pacs.004`` say these), and damaged records. Debtor and creditor are accounts without names.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

import orjson

from services.contract.codes import CURRENCY_EXPONENT

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pacs.008.001.09"
TRANSFERS_MAX = 5_000
"""Transfers in one message."""


def document(number: int, transfers: list[str], created_ms: int) -> bytes:
    """A message of ``transfers`` (see ``transfer``), the ``number``-th of its run."""
    header = (
        f"<GrpHdr><MsgId>TOCSIN-{number:09d}</MsgId><CreDtTm>{_iso(created_ms, 0)}</CreDtTm>"
        f"<NbOfTxs>{len(transfers)}</NbOfTxs><SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf></GrpHdr>"
    )
    body = "\n".join(transfers)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}"><FIToFICstmrCdtTrf>{header}\n{body}\n'
        "</FIToFICstmrCdtTrf></Document>\n"
    ).encode()


def transfer(value: bytes) -> str | None:
    """A payment (canonical JSON) as one ``CdtTrfTxInf``; ``None`` if it is no accepted credit transfer."""
    payment = orjson.loads(value)
    refused = payment.get("status", "accepted") != "accepted"
    if refused or payment.get("rail") == "card" or payment["amount_minor"] == 0:
        return None
    payer, payee = payment["payer"], payment["payee"]
    sent = _amount(payment["amount_minor"], payment["currency"])
    settled = sent
    if "received_currency" in payment:
        settled = _amount(payment["received_amount_minor"], payment["received_currency"])
    reference = payment.get("reference")
    purpose = payment.get("purpose")
    return (
        f"<CdtTrfTxInf><PmtId><EndToEndId>{payment['payment_id']}</EndToEndId></PmtId>"
        f"<IntrBkSttlmAmt{settled}</IntrBkSttlmAmt>"
        f"<AccptncDtTm>{_iso(payment['event_time_ms'], payment.get('utc_offset_minutes', 0))}</AccptncDtTm>"
        f"<InstdAmt{sent}</InstdAmt><ChrgBr>SHAR</ChrgBr>"
        f"<Dbtr>{_country(payer)}</Dbtr>{_account('Dbtr', payer)}{_agent('Dbtr', payer)}"
        f"{_agent('Cdtr', payee)}<Cdtr>{_country(payee)}</Cdtr>{_account('Cdtr', payee)}"
        f"{f'<Purp><Cd>{purpose}</Cd></Purp>' if purpose else ''}"
        f"{f'<RmtInf><Ustrd>{escape(reference)}</Ustrd></RmtInf>' if reference else ''}</CdtTrfTxInf>"
    )


def _amount(minor: int, currency: str) -> str:
    return f' Ccy="{currency}">{Decimal(minor).scaleb(-CURRENCY_EXPONENT[currency])}'


def _iso(time_ms: int, offset_minutes: int) -> str:
    zone = timezone(timedelta(minutes=offset_minutes)) if offset_minutes else UTC
    return datetime.fromtimestamp(time_ms / 1_000, zone).isoformat(timespec="milliseconds")


def _country(party: dict[str, Any]) -> str:
    return f"<CtryOfRes>{party['country']}</CtryOfRes>" if "country" in party else ""


def _account(side: str, party: dict[str, Any]) -> str:
    return f"<{side}Acct><Id><Othr><Id>{party['account']}</Id></Othr></Id></{side}Acct>"


def _agent(side: str, party: dict[str, Any]) -> str:
    identifier = party.get("agent", "NOTPROVIDED")
    return f"<{side}Agt><FinInstnId><Othr><Id>{identifier}</Id></Othr></FinInstnId></{side}Agt>"
