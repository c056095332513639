"""What is remembered of a subject: a row that both sides have, and a second one of its side."""

from __future__ import annotations

import numpy as np

from services.scorer.path.subjects.facts import COUNTERPARTY_BITS, FACTS, PAYERS

ADDED = len(FACTS) + 1
"""Values that are added up: the facts, and the model's evidence."""
OTHERS = 3
"""What a payer is told of others at its payee: the highest, the mean, and the number."""

SUBJECT_ROW = np.dtype(
    [
        ("payments", "i8"),
        ("last_ms", "i8"),  # effective time, of which all sums are
        ("payments_180d", "f8"),
        ("counterparties", "u8", (COUNTERPARTY_BITS // 64,)),
        ("total", "f8", (ADDED,)),
        ("last", "f4", (ADDED,)),
        ("weight", "f4", (ADDED,)),
        ("maximum", "f4", (ADDED,)),
    ],
    align=True,
)
OTHERS_ROW = np.dtype([("total", "f8", (OTHERS,)), ("weight", "f8", (OTHERS,)), ("maximum", "f8", (OTHERS,))])
"""Of a payer: what others' words were at its payees."""
_WORD = np.dtype([("digest", "u8"), ("total", "f8"), ("weight", "f8"), ("ms", "i8")])
"""A payer's word at a payee: decayed sum and weight of the evidence of its payments to it, as of ``ms``."""
PAYERS_ROW = np.dtype([("number", "i8"), ("words", _WORD, (PAYERS,))])
"""Of a payee: the words of its payers, the one that was given last first."""
