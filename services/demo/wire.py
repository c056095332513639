"""Drafts as payments of the contract: what a processor tells, what it leaves out, and what it gets wrong."""

from __future__ import annotations

import msgspec

from services.contract.codec import encode
from services.contract.types import Party, Payment, Status
from services.demo.drafts import EXPONENT, Draft
from services.demo.population import ABROAD, HOMES, Accounts, Home

_FEE = 0.015
_HOME_CURRENCY = {home.country: (home.currency, home.rate, EXPONENT) for home in HOMES}
_CURRENCY = {**_HOME_CURRENCY, **{country: row[:3] for country, row in ABROAD.items()}}
_OFFSET_TOLD, _RECEIVED_TOLD, _PURPOSE_TOLD, _DEVICE_TOLD = 0.85, 0.80, 0.60, 0.75
_COUNTRY_TOLD, _AGENT_TOLD, _PHONE_TOLD, _OPENED_TOLD = 0.97, 0.90, 0.30, 0.60
_OPENED_TOLD_OF_PAYEE, _PICKUP_TOLD, _EXTRA_FIELD = 0.35, 0.40, 0.02
_RELATIONSHIP_TOLD, _MINOR_TOLD = 0.40, 0.20
_RELATIONSHIP = {"FAMI": "family", "SALA": "work"}
"""What is declared beside an ISO 20022 purpose."""


class Writer:
    """Writes drafts. ``bits`` is a random number of 62 bits: what is told of the payment hangs on it.

    Parameters
    ----------
    accounts
        The table that drafts refer to. It may grow.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._parties: dict[tuple[int, str], Party] = {}

    def tenant(self, payer: int) -> str:
        """The processor whose payments these are; most belong to the default one."""
        return "north" if _part(self._accounts.traits[payer], 0) < 0.12 else "default"

    def payment(self, draft: Draft, payment_id: str, bits: int) -> Payment:
        """The payment as the processor publishes it first."""
        accounts, payer = self._accounts, draft.payer
        home = HOMES[accounts.homes[payer]]
        received, currency = self._received(draft, home, bits)
        told = draft.rail != "card" and (draft.device or _part(bits, 3) < _DEVICE_TOLD)
        return Payment(
            payment_id,
            draft.time_ms,
            draft.minor,
            home.currency,
            self._party(payer, "payer"),
            self._party(draft.payee, draft.rail),
            tenant=self.tenant(payer),
            utc_offset_minutes=home.offset_minutes if _part(bits, 0) < _OFFSET_TOLD else None,
            received_amount_minor=received,
            received_currency=currency,
            rail=draft.rail,
            status=draft.status,
            purpose=draft.purpose if draft.purpose and _part(bits, 2) < _PURPOSE_TOLD else None,
            reference=draft.reference,
            merchant_category=draft.category,
            device=_token(draft.device or accounts.traits[payer]) if told else None,
            relationship=_RELATIONSHIP.get(draft.purpose or "") if _part(bits, 5) < _RELATIONSHIP_TOLD else None,
        )

    def written(self, payment: Payment, bits: int) -> bytes:
        """The payment's bytes, a few with a field that the contract does not know."""
        value = encode(payment)
        if _part(bits, 4) < _EXTRA_FIELD:
            return value[:-1] + b',"processor_batch":"B%03d"}' % (bits % 1000)
        return value

    def _received(self, draft: Draft, home: Home, bits: int) -> tuple[int | None, str | None]:
        currency, rate, decimals = _CURRENCY[self._accounts.countries[draft.payee]]
        if currency == home.currency or _part(bits, 1) >= _RECEIVED_TOLD:
            return None, None
        units = draft.minor / 10**EXPONENT / home.rate * rate * (1.0 - _FEE)
        if bits & 1:  # some senders choose what is to arrive
            step = 10.0 ** max(0, len(str(int(units))) - 2)
            units = round(units / step) * step
        return round(units * 10**decimals), currency

    def _party(self, row: int, role: str) -> Party:
        """The account as it is told of: as ``payer``, or as the payee of a payment on a rail."""
        known = self._parties.get((row, role))
        if known is not None:
            return known
        accounts, traits = self._accounts, self._accounts.traits[row]
        paying, country = role == "payer", accounts.countries[row]
        phone = (paying or role in ("wallet", "remitter")) and _part(traits, 3) < _PHONE_TOLD
        pickup = role == "remitter" and _part(traits, 4) < _PICKUP_TOLD
        opened = _part(traits, 5) < (_OPENED_TOLD if paying else _OPENED_TOLD_OF_PAYEE)
        party = Party(
            accounts.ids[row],
            country=country if _part(traits, 1) < _COUNTRY_TOLD else None,
            agent=f"{country}AGENT{traits % 9}" if _part(traits, 2) < _AGENT_TOLD else None,
            device=_token(traits) if paying and traits & 1 else None,
            phone=_token(traits * 31) if phone else None,
            pickup=f"point-{traits % 40}" if pickup else None,
            opened_ms=accounts.opened_ms[row] if opened else None,
            minor=False if not paying and _part(traits * 7, 5) < _MINOR_TOLD else None,
        )
        self._parties[row, role] = party
        return party


def with_status(payment: Payment, status: Status) -> Payment:
    """The same payment in another state."""
    return msgspec.structs.replace(payment, status=status)


def _part(bits: int, at: int) -> float:
    """The ``at``-th ten bits of a random number, as a number in [0, 1)."""
    return (bits >> (10 * at + 2) & 1023) / 1024.0


def _token(number: int) -> str:
    """Twelve hexadecimal digits for a device or a phone."""
    return f"{number % (1 << 48):012x}"
