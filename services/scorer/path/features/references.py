"""What a reference text tells, and no more: the kind of reason it gives, whether it holds a handle, its digest.

Only plain words stand here. Lists of coded terms are a deployer's own, and are never in this repository.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from services.contract.identity import Digests, digest64
from services.contract.remembered import remembered

KINDS: dict[str, tuple[str, ...]] = {
    "food": ("food", "groceries", "grocery", "rice", "pagkain", "comida", "mancare"),
    "medical": ("medical", "medicine", "medicines", "hospital", "doctor", "clinic", "gamot", "medicina", "medico"),
    "school": ("school", "tuition", "fees", "books", "eskwela", "escuela", "ecole", "scoala"),
    "uniform": ("uniform", "uniforms", "clothes", "shoes", "uniporme", "uniforme"),
    "housing": ("rent", "housing", "accommodation", "house", "apartment", "upa", "alquiler", "renta", "chirie"),
    "gift": ("gift", "gifts", "birthday", "present", "regalo", "cadou"),
    "family": ("family", "support", "allowance", "help", "pamilya", "familia", "familie"),
    "education": ("education", "course", "training", "edukasyon", "educacion", "educatie"),
    "utilities": ("electricity", "water", "bill", "bills", "internet", "kuryente", "luz"),
    "transport": ("transport", "ticket", "bus", "taxi", "fare", "pamasahe", "pasaje"),
}
"""Kinds of benign reason, and the words that give them away: whole words, in lower case and without accents.

Published: accommodation, uniform, medical bills, school fees, gift, family support, education (AUSTRAC, FATF); food and
housing, as what most remittances are for (IFAD). The other kinds and the words in other languages are ours.
"""

TEXT_MIN = 6
"""Letters and digits from which a text can be told from another's."""

_KIND = {word: at for at, words in enumerate(KINDS.values()) for word in words}
_WORD = re.compile(r"[^\W\d_]+")
_MARKED = re.compile(r"[\d_]")
_SIGMA = "\u03a3"
_FORMS_END, _BLOCK = 0x30000, 0x100
"""No character from here on has another form."""
_PHRASES = frozenset("\ufdfa\ufdfb")
"""Ligatures of whole phrases, eighteen and eight characters: they count as a space. No other unfolds to more than
seven."""


class Reference(NamedTuple):
    """What a reference text tells."""

    kind: int
    """As ``kind_of``."""
    is_handle: bool
    digest: int
    """As ``digest_of``, under the deployment's key."""


class Texts:
    """How a deployment reads texts: digests under its key, and what references tell, the short ones remembered.

    What it remembers takes at most 20 MiB (``remembered``).
    """

    def __init__(self, digests: Digests | None = None) -> None:
        self.digests = digests or Digests()
        self.digest = self.digests.of
        self.rail = remembered(self.digest, 4_096)
        """The digest of a rail, of which there are few."""
        self.reference = remembered(self._read)
        """What a text tells as a reference."""

    def __reduce__(self) -> tuple[type[Texts], tuple[Digests]]:
        """Another process remembers for itself."""
        return Texts, (self.digests,)

    def _read(self, text: str) -> Reference:
        return Reference(kind_of(text), is_handle(text), digest_of(text, self.digest))


def kind_of(reference: str) -> int:
    """The kind of benign reason that ``reference`` gives, by its place in ``KINDS``; -1 for none. The first kind wins.

    >>> list(KINDS)[kind_of("Hospital bills")]
    'medical'
    >>> [list(KINDS)[kind_of(text)] for text in ("médico", "\u00c9COLE", "e\u0301cole")]
    ['medical', 'school', 'school']
    >>> kind_of("invoice 4711")
    -1
    """
    return min((_KIND[word] for word in _WORD.findall(folded(reference)) if word in _KIND), default=-1)


def folded(text: str) -> str:
    """``text`` in lower case, its letters without accents and in their plain forms (NFKD less combining marks).

    Time and length are in proportion to the length of ``text``, whatever its characters are: each is looked up, and
    marks, which to put in order takes the square of a long run's length (UAX #15, *Stream-Safe Text Format*), are gone
    by then.

    >>> folded("Ti\u1ec3u \u017feptember\u2026 \ufb01n"), folded("\ufdfa")
    ('tieu september... fin', ' ')
    """
    if text.isascii():
        return text.lower()
    plain = text.translate(_plain_forms())
    return plain.lower() if _SIGMA in plain else plain


@lru_cache
def _plain_forms() -> dict[int, str]:
    """What ``folded`` makes of each character that it changes, by its number: some 19,000, looked for once."""
    forms: dict[int, str] = {}
    for first in range(0, _FORMS_END, _BLOCK):
        block = "".join(map(chr, range(first, first + _BLOCK)))
        if block == unicodedata.normalize("NFKD", block).lower() and not any(map(unicodedata.combining, block)):
            continue
        for character in block:
            plain = _plain_form(character)
            if plain != character:
                forms[ord(character)] = plain
    return forms


def _plain_form(character: str) -> str:
    """``character`` folded by itself: of a mark nothing, of a whole phrase a space. A capital sigma stays, since its
    place in a word says which small one it becomes."""
    if character in _PHRASES:
        return " "
    letters = [each for each in unicodedata.normalize("NFKD", character) if not unicodedata.combining(each)]
    return "".join(each if each == _SIGMA else each.lower() for each in letters)


def is_handle(reference: str) -> bool:
    """Whether ``reference`` holds a social handle: ``@name``, or a word of four letters or more with a digit or ``_``.

    >>> [is_handle(text) for text in ("for @moon", "moon_river7", "invoice 4711", "@", "B2B")]
    [True, True, False, False, False]
    """
    return any(_is_handle(word) for word in reference.split())


def _is_handle(word: str) -> bool:
    if word.startswith("@"):
        return len(word) > 1
    return _MARKED.search(word) is not None and sum(map(str.isalpha, word)) >= 4


def digest_of(reference: str, digest: Callable[[str], int] = digest64) -> int:
    """64-bit digest of the letters and digits of ``reference``, in lower case; 0 where there are fewer than six.

    >>> digest_of("Room 12, please") == digest_of("ROOM12 PLEASE") != 0
    True
    >>> digest_of("rent")
    0
    """
    text = "".join(filter(str.isalnum, reference.lower()))
    return digest(text) if len(text) >= TEXT_MIN else 0
