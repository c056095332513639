"""What a deployer keeps to itself: payees that were confirmed and the terms of a lexicon, as keyed hashes; and the key
of the digests by which state remembers.

Files, state and logs name nobody and no term. The hash of each list, and which key it is, are part of the ruleset's
hash, so a decision names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.contract.remembered import remembered
from services.scorer.path.features.references import Texts, folded

HASH_BYTES = 16
TERM_WORDS_MAX = 3
"""Words of the longest term that a lexicon can hold."""
_WORD = re.compile(r"\w+")


def keyed_hash(key: bytes, text: str) -> bytes:
    """What stands in a list for ``text``: BLAKE2b under ``key`` (at most 64 bytes)."""
    return blake2b(text.encode(), digest_size=HASH_BYTES, key=key).digest()


def term_of(text: str) -> str:
    """A term as lexicons hold it: its words in lower case, without accents, a space between them.

    Raises
    ------
    ValueError
        When there is no word in it, or more than ``TERM_WORDS_MAX``.

    >>> term_of("  Código-Azul ")
    'codigo azul'
    """
    words = _WORD.findall(folded(text))
    if not 1 <= len(words) <= TERM_WORDS_MAX:
        raise ValueError(f"a term has 1 to {TERM_WORDS_MAX} words, this one {len(words)}")
    return " ".join(words)


class KeyedList:
    """A list of keyed hashes, ready to be asked. Without entries it costs nothing. What it remembers of the texts that
    it was asked about takes at most 20 MiB (``remembered``).

    >>> "acc-1" in KeyedList(b"secret", [keyed_hash(b"secret", "acc-1")])
    True
    """

    def __init__(self, key: bytes = b"", hashes: Iterable[bytes] = ()) -> None:
        self._key = key
        self._begun = blake2b(digest_size=HASH_BYTES, key=key)
        self._hashes = frozenset(hashes)
        self._holds = remembered(self._look_up)
        self.hash = hash_of(b"".join(sorted(self._hashes)))

    def __len__(self) -> int:
        return len(self._hashes)

    def __reduce__(self) -> tuple[type[KeyedList], tuple[bytes, frozenset[bytes]]]:
        """Another process begins its own, and remembers nothing yet."""
        return KeyedList, (self._key, self._hashes)

    def __contains__(self, text: str) -> bool:
        return bool(self._hashes) and self._holds(text)

    def _look_up(self, text: str) -> bool:
        """Whether the list has ``keyed_hash`` of ``text``."""
        asked = self._begun.copy()  # faster than to begin another
        asked.update(text.encode())
        return asked.digest() in self._hashes


EMPTY = KeyedList()


@dataclass(frozen=True, slots=True)
class PrivateLists:
    """The lists of one deployment, and how it reads texts."""

    confirmed: KeyedList = EMPTY
    """Accounts of payees that an authority or an own case has confirmed."""
    lexicon: KeyedList = EMPTY
    """Terms of reference texts, as ``term_of`` writes them."""
    texts: Texts = field(default_factory=Texts)
    """Which hold the key of digests."""

    def are_confirmed(self, accounts: Sequence[str]) -> NDArray[np.float64]:
        """float64[n]: 1 for each of ``accounts`` that was confirmed, else 0; NaN without a list."""
        if not self.confirmed:
            return np.full(len(accounts), np.nan)
        return np.array([float(account in self.confirmed) for account in accounts], dtype=np.float64)

    def hold_terms(self, references: Sequence[str | None]) -> NDArray[np.float64]:
        """float64[n]: 1 where a term of the lexicon stands in a reference, 0 where none does; NaN without a lexicon,
        and where no text is told."""
        if not self.lexicon:
            return np.full(len(references), np.nan)
        return np.array(
            [
                np.nan if text is None else float(any(term in self.lexicon for term in _terms(text)))
                for text in references
            ],
            dtype=np.float64,
        )


def _terms(reference: str) -> Iterator[str]:
    """Each run of one to ``TERM_WORDS_MAX`` neighbouring words, once."""
    words = _WORD.findall(folded(reference))
    runs = (words[at : at + size] for size in range(1, TERM_WORDS_MAX + 1) for at in range(len(words) - size + 1))
    return iter(dict.fromkeys(map(" ".join, runs)))


NOTHING = PrivateLists()
"""No list."""
