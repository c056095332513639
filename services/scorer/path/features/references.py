"""What a reference text tells, and no more: the kind of reason it gives, whether it holds a handle, its digest.

Only plain words stand here. Lists of coded terms are a deployer's own, and are never in this repository.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
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
_MARKS_ONLY = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""The characters that are no combining marks themselves and unfold to nothing else."""
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

    Time and length are in proportion to the length of ``text``, whatever its characters are: marks go before they are
    put in order, which for a long run of them takes the square of its length (UAX #15, *Stream-Safe Text Format*).

    >>> folded("Ti\u1ec3u \u017feptember\u2026 \ufb01n"), folded("\ufdfa")
    ('tieu september... fin', ' ')
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", "".join(map(_safe, text)))
    return "".join([each for each in plain.lower() if not unicodedata.combining(each)])


def _safe(character: str) -> str:
    """``character``, if it can be unfolded among others; of a mark nothing, of a whole phrase a space."""
    if unicodedata.combining(character) or character in _MARKS_ONLY:
        return ""
    return " " if character in _PHRASES else character


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
