"""What a reference text tells, and no more: the kind of reason it gives, whether it holds a handle, its digest.

Only plain words stand here. Lists of coded terms are a deployer's own, and are never in this repository.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from services.contract.identity import digest64

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


@lru_cache(65_536)
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
    """``text`` in lower case, its letters without accents and in their plain forms (NFKD less combining marks)."""
    return "".join(each for each in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(each))


@lru_cache(65_536)
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


@lru_cache(65_536)
def digest_of(reference: str) -> int:
    """64-bit digest of the letters and digits of ``reference``, in lower case; 0 where there are fewer than six.

    >>> digest_of("Room 12, please") == digest_of("ROOM12 PLEASE") != 0
    True
    >>> digest_of("rent")
    0
    """
    text = "".join(filter(str.isalnum, reference.lower()))
    return digest64(text) if len(text) >= TEXT_MIN else 0
