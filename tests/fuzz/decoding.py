"""The compiled decoder of payments beside the contract's types: of any bytes both say the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from services.scorer.path.decode import Reading, decode
from services.scorer.path.intake import Intake
from services.scorer.path.records import Record
from tests.fuzz import seeds
from tests.fuzz.hops import account_in, mutated_seed, payment_record
from tests.scorer.path.decode_twin import PARTITION, TOPIC, decoded, expected


@cache
def reading() -> Reading:
    """Under the ruleset that ships."""
    ruleset = seeds.ruleset()
    return Reading(ruleset.parameters.eur_per_minor_unit(), ruleset.private, Intake())


def compare(records: Sequence[Record]) -> Counter[str]:
    """What becomes of ``records``, in one batch; both decoders agree on it."""
    batch = decode(records, reading(), TOPIC, PARTITION)
    found, wanted = decoded(records, batch), expected(records, reading())
    for mine, asked in zip(found, wanted, strict=True):
        assert mine == asked
    plain = len(batch.at) - len(batch.typed)
    refused = Counter(f"dead letter: {reason}" for reason in batch.reasons)
    return +Counter(
        {"used": plain, "read by the typed decoder": len(batch.typed), "label": len(batch.labels), **refused}
    )


class DecoderTarget:
    """Records of ``payments.v1``: payments, a few labels, and what was made of them; mutated mostly in a few bytes."""

    name = "payments, by both decoders"

    def feed(self, count: int, draw: random.Random) -> Counter[str]:
        """``count`` records."""
        return compare([self._record(draw)._replace(offset=at) for at in range(count)])

    def _record(self, draw: random.Random) -> Record:
        choice = draw.random()
        if choice < 0.05:
            return mutated_seed(seeds.payment_labels(), draw, account_in("payer"))
        if choice < 0.5:
            return payment_record(draw)
        seed = draw.choice(seeds.payments())
        value = bytearray(seed.value)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            at, change = draw.randrange(len(value)), draw.randrange(4)
            if change == 0:
                value[at] = draw.choice(value)
            elif change == 1:
                value[at] = draw.randrange(256)
            elif change == 2:
                del value[at : at + draw.choice((1, 1, 2, 20))]
            else:
                value[at:at] = bytes(draw.choices(value, k=draw.choice((1, 1, 2, 3))))
        return Record(0, seeds.APPENDED_MS, seed.key, bytes(value))


def targets() -> list[Any]:
    """The decoder."""
    return [DecoderTarget()]
