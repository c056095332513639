"""Rows as canonical JSON of ``services.contract.payment.Payment``: fields in its order, what is not told left out.

Most of a payment repeats: parties, rails and categories are written once and looked up, so that a payment costs a few
microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import orjson

from services.generator.noise import damaged
from services.generator.people import World
from services.generator.rows import CATEGORIES, MALFORMED, NOT_TOLD, PURPOSES, RAILS, RELATIONS, STATUSES, Rows
from services.generator.systems import SYSTEM_SHIFT, Parties

_REFERENCES_KEPT = 1 << 16
_ACCOUNT = slice(len('{"account":"'), len('{"account":"') + 17)
"""Where a party's JSON has its account: ``a`` and 16 hexadecimal digits."""


class JsonWriter:
    """Writes rows of one world."""

    def __init__(self, world: World) -> None:
        self._fragment = Parties(world).fragment if world.configuration.parameters.drawn else world.accounts.fragment
        self._text: Callable[[int], str] = world.words.text
        self._currency = [f',"currency":"{code}","payer":' for code in world.places.currencies]
        self._received = [f',"received_currency":"{code}"' for code in world.places.currencies]
        self._reference = lru_cache(_REFERENCES_KEPT)(self._reference_of)
        self._category = [f',"merchant_category":"{code}"' for code in CATEGORIES] + [""]
        self._relation = [f',"relationship":"{code}"}}' for code in RELATIONS] + ["}"]

    def lines(self, rows: Rows) -> list[bytes]:
        """One JSON object for each row, in their order; damaged ones for rows of kind ``MALFORMED``."""
        fragment, currency, received_in = self._fragment, self._currency, self._received
        codes, reference, category, relation = _codes_of, self._reference, self._category, self._relation
        texts: list[str] = []
        append = texts.append
        # fmt: off
        for (payer, payee, pid, time_ms, amount, code, offset, received, received_code, rail, status, purpose, ref, cat,
             device, rel) in zip(_told(rows, "payer"), _told(rows, "payee"),
                                 *(rows[name].tolist() for name in _COLUMNS), strict=True):
            # fmt: on
            offset_text = "" if offset == NOT_TOLD else f',"utc_offset_minutes":{offset}'
            money = "" if received < 0 else f',"received_amount_minor":{received}{received_in[received_code]}'
            device_text = "" if not device else f',"device":"{device & 0xFFFFFFFFFFFF:012x}"'
            append(
                f'{{"payment_id":"p{pid:016x}","event_time_ms":{time_ms},"amount_minor":{amount}{currency[code]}'
                f'{fragment(payer)},"payee":{fragment(payee)}{offset_text}{money}{codes(rail, status, purpose)}'
                f"{'' if ref < 0 else reference(ref)}{category[cat]}{device_text}{relation[rel]}"
            )
        lines = [text.encode() for text in texts]
        for at in (rows["kind"] == MALFORMED).nonzero()[0].tolist():
            lines[at] = damaged(lines[at], int(rows["pid"][at]))
        return lines

    def keys(self, rows: Rows) -> list[bytes]:
        """The payer account of each row."""
        return [self._fragment(payer)[_ACCOUNT].encode() for payer in _told(rows, "payer")]

    def _reference_of(self, reference: int) -> str:
        return f',"reference":{orjson.dumps(self._text(reference)).decode()}'


def _told(rows: Rows, side: str) -> list[int]:
    """The accounts of one side, as the payers' systems tell of them."""
    accounts: list[int] = (rows["system"].astype(np.int64) << SYSTEM_SHIFT | rows[side]).tolist()
    return accounts


@cache
def _codes_of(rail: int, status: int, purpose: int) -> str:
    text = f',"rail":"{RAILS[rail]}"'
    text += f',"status":"{STATUSES[status]}"' if status else ""
    return text + (f',"purpose":"{PURPOSES[purpose]}"' if purpose >= 0 else "")


_COLUMNS = (
    "pid", "time", "amount", "currency", "offset", "received", "received_currency", "rail", "status",
    "purpose", "reference", "category", "device", "relation",
)  # fmt: skip
