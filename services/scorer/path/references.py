"""What a reference text tells, without ever being stored: kind of benign reason, social handle, identical text."""

from __future__ import annotations
import re
from functools import lru_cache
from services.contract.identity import digest64

KINDS: dict[str, tuple[str, ...]] = {
    "food": ("food", "groceries"),
    "medical": ("medicine", "hospital"),
    "school": ("school",),
}
_INDEX = {word: at for at, words in enumerate(KINDS.values()) for word in words}


@lru_cache(65_536)
def kind_of(reference: str) -> int:
    found = [_INDEX[w] for w in re.findall(r"[^\W\d_]+", reference.lower()) if w in _INDEX]
    return min(found, default=-1)


@lru_cache(65_536)
def is_handle(reference: str) -> bool:
    return any(
        w.startswith("@") and len(w) > 1 or (re.search(r"[\d_]", w) and sum(c.isalpha() for c in w) >= 4)
        for w in reference.split()
    )


@lru_cache(65_536)
def digest_of(reference: str) -> int:
    text = "".join(c for c in reference.lower() if c.isalnum())
    return digest64(text) if len(text) >= 6 else 0
