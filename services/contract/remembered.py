"""Answers remembered by text, in a bounded number of bytes.

A number of entries bounds nothing: whoever chooses the texts chooses how long they are. So only short texts are
remembered, which ordinary ones are, and a longer one is looked at each time it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

A = TypeVar("A")

CHARACTERS_MAX = 64
"""Of a text that is remembered: at most 332 bytes."""
TEXTS_MAX = 32_768


def remembered(answer: Callable[[str], A], texts_max: int = TEXTS_MAX) -> Callable[[str], A]:
    """``answer``, a pure function, with its latest answers remembered.

    At most 20 MiB with ``TEXTS_MAX`` and answers of a hundred bytes: 332 of a text whose characters take four each, and
    some 200 for its entry. Such as people write take half of it.
    """
    of_short = lru_cache(texts_max)(answer)

    def ask(text: str) -> A:
        return of_short(text) if len(text) <= CHARACTERS_MAX else answer(text)

    return ask
