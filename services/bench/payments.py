"""The payments that everything under measurement works through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import msgspec

from services.bench.champion import announce_champion
from services.bench.plan import ChampionKind
from services.contract.payment import Payment
from services.generator import Configuration, Profile, Stream
from services.ingest.replay import send_payments
from services.kafka.topics import create_topics
from services.runtime.settings import Settings

PAYMENTS_A_PAYER = 10


def prepare(settings: Settings, payments: int | Iterable[Payment], champion: ChampionKind) -> None:
    """Make the topics of ``settings``, announce the champion, and send ``payments``: these, or so many of a bank."""
    asyncio.run(create_topics(settings))
    announce_champion(settings, champion)
    given = bank_payments(payments) if isinstance(payments, int) else payments
    asyncio.run(send_payments(given, settings, name="bench"))


def bank_payments(count: int) -> Iterator[Payment]:
    """The first ``count`` payments of about ``count / 10`` customers of the generated bank (``services.generator``):
    card, bills, salaries, transfers and remittances of about 360 bytes of JSON each."""
    return generated_payments(count, max(count // PAYMENTS_A_PAYER, 100), "bank")


def generated_payments(count: int, payers: int, profile: Profile) -> Iterator[Payment]:
    """The first ``count`` payments of about so many customers of a generated institution, oldest first."""
    stream = Stream(Configuration(payers=payers, months=12, seed=1, profile=profile, noise=False))
    values = chain.from_iterable(chunk.values for chunk in stream.chunks())
    return map(msgspec.json.Decoder(Payment).decode, islice(values, count))
