"""What a reference text says: a benign reason, a social handle, or the same as somebody else's.

Stateless and without a model: lists and character classes that anybody can read. A benign reason or a handle says
nothing by itself, for families write the same words; what counts is how they vary from payee to payee, beside other
signs (AUSTRAC, FATF: indicators X1, X2; identical texts, X5, are ours).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from services.contract.identity import digest64


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: dict[str, frozenset[str]] = {
    "accommodation": _words("""
        accommodation accomodation apartment flat hostel hotel housing lodging rent rental room
        alojamiento alquiler arriendo hospedaje renta vivienda tirahan upa khachao thiphak cazare chirie locuinta"""),
    "uniform": _words("""
        clothes clothing shoes uniform uniforms ropa uniforme uniformes damit sapatos uniporme khrueangbaep haine
        uniforma"""),
    "medical": _words("""
        clinic dentist doctor health hospital medical medication medicine medicines operation surgery
        hospitalizacion medicamento medicamentos medicina medicinas medico salud gamot ospital
        rongphayaban yaraksa doctorul medicale medicament medicamente sanatate spital"""),
    "school": _words("""
        books school schoolbooks schooling tuition colegiatura colegio escuela escolar libros matricula
        eskwela eskwelahan matrikula paaralan khathoem rongrian gradinita rechizite scoala scolar"""),
    "gift": _words("""
        birthday christmas gift gifts present cumpleanos navidad regalo regalos aguinaldo kaarawan pasko
        khongkhwan wankoet cadou cadouri craciun"""),
    "family support": _words("""
        allowance family maintenance remittance support ayuda familia familiar manutencion sustento
        padala pamilya suporta tulong chuailuea khropkhrua ajutor familie intretinere sprijin"""),
    "education": _words("""
        college course courses education exam lessons scholarship studies study training university
        curso cursos educacion estudio estudios universidad edukasyon kolehiyo
        kansueksa mahawitthayalai cursuri educatie facultate studii universitate"""),
    "food": _words("""
        food groceries grocery meal meals milk rice alimento alimentos comida despensa leche
        bigas gatas pagkain ahan alimente lapte mancare"""),
    "transport": _words("""
        bus fare fares petrol taxi transport transportation travel pasaje pasajes transporte viaje
        biyahe pamasahe khadoenthang khadoisan autobuz bilet bilete calatorie"""),
    "utilities": _words("""
        bill bills electric electricity internet phone utilities utility water agua electricidad facturas
        kuryente tubig faifa khafai khanam curent electricitate facturi"""),
}  # fmt: skip
"""Kinds of benign reason, each with its words: English, some Spanish, Tagalog, Thai in Latin letters, and Romanian.
Lower case, without accents. Kinds are numbered from 0 in this order."""

CACHED_TEXTS = 65_536
HANDLE_LETTERS_MIN = 4
IDENTICAL_CHARACTERS_MIN = 6
"""Fewer letters and digits than these are too little to call two texts the same."""

_KIND_OF_WORD = {word: kind for kind, words in enumerate(KINDS.values()) for word in words}


@lru_cache(CACHED_TEXTS)
def kind_of(reference: str | None) -> int:
    """The number of the first of ``KINDS`` that a word of ``reference`` belongs to, -1 when there is none.

    Words are runs of letters. Case and accents make no difference.

    >>> kind_of("School FEES, room"), kind_of("para educación"), kind_of("thank you"), kind_of(None)
    (0, 6, -1, -1)
    """
    if reference is None:
        return -1
    bare = (each for each in unicodedata.normalize("NFKD", reference) if not unicodedata.combining(each))
    words = "".join(each if each.isalpha() else " " for each in bare).lower().split()
    return min((_KIND_OF_WORD[word] for word in words if word in _KIND_OF_WORD), default=-1)


@lru_cache(CACHED_TEXTS)
def is_handle(reference: str | None) -> bool:
    """Whether ``reference`` holds a social handle, by its characters alone.

    Words are parted by white space, and freed of punctuation around them. A handle is a word that begins with @ before
    a letter, digit or underscore, or one with at least 4 letters and a digit or an underscore among them; so a number,
    a date or ``INV123`` is none.

    >>> [text for text in ("for @maria", "sunny_day", "(lena92)!", "invoice 2024", "INV123", "@ 5") if is_handle(text)]
    ['for @maria', 'sunny_day', '(lena92)!']
    """
    return reference is not None and any(map(_is_handle_word, reference.split()))


def _is_handle_word(word: str) -> bool:
    bare = word.strip("".join({each for each in word if not (each.isalnum() or each in "@_")}))
    if len(bare) > 1 and bare[0] == "@" and (bare[1].isalnum() or bare[1] == "_"):
        return True
    letters = sum(map(str.isalpha, bare))
    return letters >= HANDLE_LETTERS_MIN and any(each.isdigit() or each == "_" for each in bare)


@lru_cache(CACHED_TEXTS)
def digest_of(reference: str | None) -> int:
    """64-bit digest of the lower-cased letters and digits of ``reference``; 0 when there are fewer than 6 of them.

    Two references are the same text when their digests are the same and not 0.

    >>> digest_of("For you, 2!") == digest_of("for YOU 2"), digest_of("hello"), digest_of(None)
    (True, 0, 0)
    """
    if reference is None:
        return 0
    text = "".join(filter(str.isalnum, unicodedata.normalize("NFC", reference).lower()))
    return digest64(text) if len(text) >= IDENTICAL_CHARACTERS_MIN else 0
