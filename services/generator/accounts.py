"""Accounts as numbers, and what their institutions tell of them.

An account is ``kind << 40 | number``. Everything told of it follows from that number and the seed, so that millions of
accounts need no memory; the accounts of planned typologies are the exception and stand in a registry. The identifier
that is written is a permutation of the number: opaque, and free of collisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from services.contract.units import DAY_MS
from services.generator.chance import Ints, mix
from services.generator.configuration import Configuration
from services.generator.places import Places

Numbers = TypeVar("Numbers", int, Ints)
_KIND_BITS = 40
PAYER, FAMILY, CHARITY, FREELANCER, COLLECTOR, MERCHANT, BILLER, EMPLOYER, PLATFORM, AGENT, SPECIAL = range(11)
SECOND, PERSON = 11, 12
"""Only in drawn worlds: a payer's second account, and recipients that move and change accounts."""
POOL_BITS = 24
"""Accounts of a pool are ``place << 24 | number`` within their kind."""
_CACHE_MAX = 1 << 19
_OPENED_MEDIAN_DAYS = 900.0
EVERYDAY = "everyday"
"""The role of planned accounts of which nothing is to be found out."""


@dataclass(slots=True)
class Special:
    """What is told of a planned account. Zero tokens: drawn like anybody else's."""

    place: int
    role: str
    opened_ms: int
    phone: int = 0
    device: int = 0
    pickup: int = 0
    minor: bool = False
    cluster: int = -1


def account(kind: int, number: Numbers) -> Numbers:
    """The account (or array of accounts) of a kind."""
    return (kind << _KIND_BITS) + number


def kind_of(accounts: Numbers) -> Numbers:
    """The kind of an account (or of each of an array)."""
    return accounts >> _KIND_BITS


def number_of(accounts: Numbers) -> Numbers:
    """The number of an account (or of each of an array) within its kind."""
    return accounts & (1 << _KIND_BITS) - 1


def pooled(kind: int, place: Numbers, number: Numbers) -> Numbers:
    """The account (or array of accounts) of a pool in ``place``."""
    return account(kind, (place << POOL_BITS) + number)


def family(owner: Numbers, slot: Numbers, generation: Numbers) -> Numbers:
    """The recipient in a payer's ``slot`` (0 to 7), of the ``generation``-th person (0 to 7) to fill it."""
    return account(FAMILY, (owner << 6) + (slot << 3) + generation)


SLOTS, GENERATIONS, PHASES = 16, 64, 8
"""Of persons: slots of a routine, people who fill a slot in turn, and accounts of one of them in turn."""


def person(place: Ints, owner: Ints, second: Ints, slot: Ints, generation: Ints, phase: Ints) -> Ints:
    """The recipient in ``place`` in a payer's slot of its first or ``second`` routine; ``phase`` is its account."""
    number = ((place << 20 | owner) << 1 | second) << 4 | slot
    return account(PERSON, (number << 6 | generation) << 3 | phase)


class Accounts:
    """Places of accounts, the registry of planned ones, and the JSON that tells of each.

    Parameters
    ----------
    home, destination
        Place of every payer, and of its recipients.
    collector_place
        Place of each savings circle's collector.
    """

    def __init__(
        self, configuration: Configuration, places: Places, home: Ints, destination: Ints, collector_place: Ints
    ) -> None:
        self._places, self._start_ms = places, configuration.start_ms
        self._minor_share = configuration.parameters.family_minor_share
        self._home, self._destination, self._collectors = home, destination, collector_place
        self._id_key, self._trait_key = mix(configuration.seed ^ 0x1D), mix(configuration.seed ^ 0x7A17)
        self.special: list[Special] = []
        self._special_places: NDArray[np.int64] | None = None
        self.fragment = lru_cache(_CACHE_MAX)(self._tell)
        """The account of a number as a JSON object, fields in the order of ``Party``."""

    def add(self, special: Special) -> int:
        """Register a planned account; returns its number."""
        self.special.append(special)
        self._special_places = None
        return account(SPECIAL, len(self.special) - 1)

    def identifier(self, number: int) -> str:
        """The account identifier as written."""
        return f"a{mix(number ^ self._id_key):016x}"

    def place(self, number: int) -> int:
        """The place of one account, before any swap."""
        kind, rest = number >> _KIND_BITS, number_of(number)
        if kind in (PAYER, SECOND):
            return int(self._home[rest])
        if kind == PERSON:
            return rest >> 34
        if kind == FAMILY:
            return int(self._destination[rest >> 6])
        if kind == COLLECTOR:
            return int(self._collectors[rest])
        return self.special[rest].place if kind == SPECIAL else rest >> POOL_BITS

    def places(self, numbers: Ints) -> Ints:
        """The places of ``numbers``, before any swap."""
        kinds, rest = kind_of(numbers), number_of(numbers)
        if self._special_places is None:
            self._special_places = np.array([each.place for each in self.special], dtype=np.int64)
        places = rest >> POOL_BITS
        for kind, table, index in (
            (PAYER, self._home, rest),
            (SECOND, self._home, rest),
            (FAMILY, self._destination, rest >> 6),
            (COLLECTOR, self._collectors, rest),
            (SPECIAL, self._special_places, rest),
        ):
            mask = kinds == kind
            if mask.any():
                places[mask] = table[index[mask]]
        persons = kinds == PERSON
        places[persons] = rest[persons] >> 34
        return places

    def _tell(self, number: int) -> str:
        kind, rest = number >> _KIND_BITS, number_of(number)
        place, traits = self.place(number), mix(number ^ self._trait_key)
        special = self.special[rest] if kind == SPECIAL else None
        parts = [f'{{"account":"{self.identifier(number)}"']
        if _part(traits, 0) < 0.97:
            parts.append(f'"country":"{self._places.codes[int(self._places.told[place])]}"')
        if _part(traits, 1) < 0.90:
            parts.append(f'"agent":"AG{mix(place << 8 | traits % 9) & 0xFFFFFF:06X}"')
        parts += self._tokens(kind, rest, place, traits, special)
        opened_ms = special.opened_ms if special else self.opened_ms(kind, traits)
        if opened_ms and _part(traits, 4) < (0.6 if kind == PAYER else 0.35):
            parts.append(f'"opened_ms":{opened_ms}')
        if special.minor if special else kind == FAMILY and traits % 100_000 < self._minor_share * 100_000:
            parts.append('"minor":true')
        return ",".join(parts) + "}"

    def _tokens(self, kind: int, rest: int, place: int, traits: int, special: Special | None) -> list[str]:
        """Device, phone and pick-up point, where told. Relatives of one household share a phone now and then."""
        if kind not in (PAYER, FAMILY, FREELANCER, COLLECTOR, SPECIAL):
            return []
        phone, device, pickup = traits * 31, traits * 17, 0
        if kind == FAMILY and _part(traits, 5) < 0.3:
            phone = mix((rest >> 6) ^ self._trait_key ^ 0xFA) * 31
            device = phone * 17
        if kind != PAYER and _part(traits, 2) < 0.4:
            pickup = mix(place << 40 | (rest >> 6) % 5_000)
        told_phone = _part(traits, 3) < 0.3
        told_device = _part(mix(traits), 0) < (0.5 if place < self._places.homes_count else 0.12)
        if special is not None:
            told_phone, told_device = bool(special.phone) or told_phone, bool(special.device) or told_device
            phone, device, pickup = special.phone or phone, special.device or device, special.pickup or pickup
        parts = [f'"device":"{token_text(device)}"'] if told_device else []
        parts += [f'"phone":"{token_text(phone)}"'] if told_phone else []
        return parts + ([f'"pickup":"{token_text(pickup)}"'] if pickup else [])

    def opened_ms(self, kind: int, traits: int) -> int:
        """When an account that nobody planned was opened; 0 where nobody says."""
        if kind not in (PAYER, FAMILY, FREELANCER, COLLECTOR, SECOND, PERSON):
            return 0
        uniform = (_part(traits, 4) * 37.0 + _part(traits, 5)) % 1.0
        days = _OPENED_MEDIAN_DAYS * np.exp(2.2 * (uniform - 0.5))
        return self._start_ms - int(days * DAY_MS)


def _part(bits: int, at: int) -> float:
    """The ``at``-th ten bits of a random number, as a number in [0, 1)."""
    return (bits >> (10 * at) & 1023) / 1024.0


def token_text(number: int) -> str:
    """Twelve hexadecimal digits for a device, a phone or a pick-up point."""
    return f"{mix(number & (1 << 64) - 1) & (1 << 48) - 1:012x}"
