"""Records of ``evidence.by-payer.v1``, mutated: as bytes, as columns of Arrow's, and as what the columns say."""

from __future__ import annotations

import random

from services.contract.columns import Columns
from services.contract.evidence import EVIDENCE
from services.scorer.path.records import Record
from tests.fuzz import seeds
from tests.fuzz.batches import mutated_batch
from tests.fuzz.handovers import NUMBERS, with_value
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import APPENDED_MS


def evidence_record(draw: random.Random) -> Record:
    """A batch of which a number or text is another, or its metadata, or any byte."""
    of = seeds.evidence()
    value, choice = draw.choice(of).value, draw.random()
    if choice < 0.2:
        value = mutated_batch(of, draw)
    elif choice < 0.9:
        found = EVIDENCE.read(value, "")
        assert isinstance(found, Columns)
        arrays, said = dict(found.arrays), dict(found.said)
        if choice < 0.7:
            with_value(arrays, draw)
        elif choice < 0.8:
            said[draw.choice(list(said))] = str(draw.choice((*NUMBERS, "", "SECRET", "1" * 5_000, "\u0663")))
        value = EVIDENCE.write(found.rows, arrays, said)
    else:
        value = mutated(value, [each.value for each in of], draw)
    return Record(0, draw.choice((APPENDED_MS,) * 8 + (-1, 0)), None, value)
