"""Payments to measure on: the generated stream of a bank (``services.generator``), about 360 bytes of JSON each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import msgspec

from services.contract.payment import Payment
from services.generator import Configuration, Stream

PAYMENTS_A_PAYER = 10


def bench_payments(count: int, seed: int = 1) -> Iterator[Payment]:
    """The first ``count`` payments of about ``count / 10`` customers: card, bills, salaries, transfers, remittances."""
    configuration = Configuration(
        payers=max(count // PAYMENTS_A_PAYER, 100), months=12, seed=seed, profile="bank", noise=False
    )
    decode = msgspec.json.Decoder(Payment).decode
    values = chain.from_iterable(chunk.values for chunk in Stream(configuration).chunks())
    return map(decode, islice(values, count))
