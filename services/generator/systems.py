"""Source systems of a drawn world: which fields each tells of a payment and of its parties, and what it puts instead.

A payment is told by the system that holds the payer's account. Of a payment, each field is told or not by itself, a
clock and a device by payer; of a party, by account.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import (
    COLLECTOR,
    FAMILY,
    FREELANCER,
    PAYER,
    PERSON,
    SECOND,
    SPECIAL,
    kind_of,
    number_of,
    token_text,
)
from services.generator.chance import Ints, mix, mixed, share_of
from services.generator.parameters import SystemLaw
from services.generator.people import World
from services.generator.rows import NOT_TOLD, PURPOSES, RELATIONS, Rows

PAYMENT_FIELDS = ("offset", "received", "reference", "relation", "purpose", "category", "device")
PARTY_FIELDS = ("country", "agent", "account_device", "phone", "pickup", "opened_ms", "minor")
FIELDS = PAYMENT_FIELDS + PARTY_FIELDS
SYSTEM_SHIFT = 48
"""A party as told by a system is ``system << 48 | account``."""
_BLANK = dict.fromkeys(PAYMENT_FIELDS, -1) | {"offset": NOT_TOLD, "device": 0}
_BY_PAYER = ("offset", "device")
_COUNTERS, _CACHE_MAX = 40, 1 << 19
_WITH_TOKENS = (PAYER, SECOND, FAMILY, PERSON, FREELANCER, COLLECTOR, SPECIAL)
_MIGRATED_DAYS = 700
_RUN_MS = 120_000


class Systems:
    """What the source systems of a world do to its rows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._laws = world.configuration.parameters.systems
        self._coverage = {field: np.array([law.coverage[field] for law in self._laws]) for field in PAYMENT_FIELDS}
        words = world.words
        self._references = [words.themes[law.reference] if law.reference != "none" else None for law in self._laws]
        defaults = (
            ("relation", [_code(RELATIONS, law.relation) for law in self._laws]),
            ("purpose", [_code(PURPOSES, law.purpose) for law in self._laws]),
            ("offset", [NOT_TOLD if law.offset_minutes is None else law.offset_minutes for law in self._laws]),
        )
        self._defaults = {name: np.array(values, dtype=np.int64) for name, values in defaults}
        self._terminal = np.array([law.terminal for law in self._laws])
        self._batch_ms = np.array([law.batch_hours * HOUR_MS for law in self._laws], dtype=np.int64)
        self._fee = np.array([law.fee for law in self._laws])

    def tell(self, rows: Rows) -> None:
        """Change ``rows`` to what their payers' systems tell."""
        if not len(rows):
            return
        seed, places = self._world.seed, self._world.accounts.places
        system = self.of(rows["payer"])
        rows["system"] = system
        self._with_fees(rows, system, places(rows["payer"]), places(rows["payee"]))
        for at, field in enumerate(PAYMENT_FIELDS):
            keys = number_of(rows["payer"]) if field in _BY_PAYER else rows["pid"]
            hidden = share_of(keys, seed ^ (0xF1E1D + at)) >= self._coverage[field][system]
            rows[field] = np.where(hidden, np.array(_BLANK[field], rows[field].dtype), rows[field])
            if field in self._defaults:
                blank = rows[field] == _BLANK[field]
                rows[field] = np.where(blank, self._defaults[field][system], rows[field])
        rows["received_currency"][rows["received"] < 0] = -1
        self._fill_references(rows, system)
        self._at_counters(rows, system)
        self._in_batches(rows, system)

    def of(self, accounts: Ints) -> Ints:
        """The system that holds each of ``accounts``."""
        kinds, numbers = kind_of(accounts), number_of(accounts)
        own = (kinds == PAYER) | (kinds == SECOND)
        other = (mixed(accounts, mix(self._world.seed ^ 0x5E1F)) % np.uint64(len(self._laws))).astype(np.int64)
        return np.where(own, self._world.people.system[np.where(own, numbers, 0)].astype(np.int64), other)

    def _fill_references(self, rows: Rows, system: Ints) -> None:
        """A system's own words where there are none: the same for all, or a number."""
        for code, texts in enumerate(self._references):
            if texts is not None:
                blank = np.flatnonzero((rows["reference"] < 0) & (system == code))
                number = (rows["pid"][blank] & np.uint64(0xFFFFFF)).astype(np.int64)
                rows["reference"][blank] = texts[number % len(texts)] << 24 | number

    def _at_counters(self, rows: Rows, system: Ints) -> None:
        """The device of an agent's counter, where many pay."""
        at = np.flatnonzero(self._terminal[system] & (rows["device"] != 0))
        payers = number_of(rows["payer"][at])
        homes = self._world.people.home[np.minimum(payers, len(self._world.people.home) - 1)]
        counter = mixed(payers, 0xC0) % np.uint64(_COUNTERS)
        rows["device"][at] = mixed(homes.astype(np.uint64) << np.uint64(8) | counter, mix(self._world.seed ^ 0xC07))

    def _in_batches(self, rows: Rows, system: Ints) -> None:
        """A moment of the run that takes a payment: in no order of who pays or why."""
        batch = self._batch_ms[system]
        late = np.flatnonzero(batch > 0)
        moment = (mixed(rows["pid"][late], 0xBA7) % np.uint64(_RUN_MS)).astype(np.int64)
        rows["time"][late] = (rows["time"][late] // batch[late] + 1) * batch[late] + moment

    def _with_fees(self, rows: Rows, system: Ints, sender: Ints, receiver: Ints) -> None:
        """What is debited across a border, fees included."""
        places = self._world.places
        abroad = (places.currency[sender] != places.currency[receiver]) & (rows["amount"] > 0)
        fixed, share = self._fee[system].T
        fee = fixed * places.rate[sender] * places.minor[sender] + rows["amount"] * share
        rows["amount"] += np.where(abroad, np.round(fee), 0.0).astype(np.int64)


class Parties:
    """Writes accounts as a system tells of them."""

    def __init__(self, world: World) -> None:
        self._accounts, self._places = world.accounts, world.places
        parameters = world.configuration.parameters
        self._laws, self._minor_share = parameters.systems, parameters.family_minor_share
        self._start_ms, self._key = world.configuration.start_ms, mix(world.seed ^ 0x7A17)
        self.fragment = lru_cache(_CACHE_MAX)(self._tell)

    def _tell(self, told: int) -> str:
        """The JSON object of ``system << 48 | account``, fields in the order of ``Party``."""
        law, number = self._laws[told >> SYSTEM_SHIFT], told & (1 << SYSTEM_SHIFT) - 1
        kind, rest = kind_of(number), number_of(number)
        place, traits = self._accounts.place(number), mix(number ^ self._key)
        special = self._accounts.special[rest] if kind == SPECIAL else None
        parts = [f'{{"account":"{self._accounts.identifier(number)}"']
        if self._tells(law, "country", traits):
            parts.append(f'"country":"{self._places.codes[int(self._places.told[place])]}"')
        if self._tells(law, "agent", traits):
            parts.append(f'"agent":"AG{mix(self._key ^ (place << 8 | traits % 9)) & 0xFFFFFF:06X}"')
        phone, device, pickup = self._tokens(kind, rest, place, traits)
        if special is not None:
            phone, device, pickup = special.phone or phone, special.device or device, special.pickup or pickup
        with_tokens = kind in _WITH_TOKENS
        for name, token in (("account_device", device), ("phone", phone), ("pickup", pickup)):
            if with_tokens and token and self._tells(law, name, traits):
                parts.append(f'"{name.removeprefix("account_")}":"{token_text(token)}"')
        opened_ms = special.opened_ms if special else self._accounts.opened_ms(kind, traits)
        if law.opened_default:
            opened_ms = max(opened_ms, self._start_ms - _MIGRATED_DAYS * DAY_MS) if opened_ms else 0
        if opened_ms and self._tells(law, "opened_ms", traits):
            parts.append(f'"opened_ms":{opened_ms}')
        minor = special.minor if special else kind in (FAMILY, PERSON) and traits % 100_000 < self._minor_share * 1e5
        if minor and self._tells(law, "minor", traits):
            parts.append('"minor":true')
        return ",".join(parts) + "}"

    def _tells(self, law: SystemLaw, field: str, traits: int) -> bool:
        at = PARTY_FIELDS.index(field) + 1
        return (mix(traits + at) >> 11) / (1 << 53) < law.coverage[field]

    def _tokens(self, kind: int, rest: int, place: int, traits: int) -> tuple[int, int, int]:
        """Phone, device and pick-up point. Who changes accounts mostly keeps the phone; relatives may share one."""
        phone, device, pickup = traits * 31, traits * 17, 0
        household = rest
        if kind == PERSON:
            life = mix(rest >> 3 ^ self._key)
            household = rest >> 14
            if life % 10 < 7:
                phone, device = life * 31, life * 17
        elif kind == FAMILY:
            household = rest >> 6
        elif kind in (PAYER, SECOND):
            life = mix(rest ^ self._key ^ 0xB0)
            return life * 31, life * 17, 0
        if kind in (FAMILY, PERSON) and traits % 1000 < 300:
            shared = mix(household ^ self._key ^ 0xFA)
            phone, device = shared * 31, shared * 527
        if mix(traits ^ 0x91C) % 10 < 4:
            pickup = mix(self._key ^ (place << 40 | mix(household) % 5_000))
        return phone, device, pickup


def _code(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else -1
