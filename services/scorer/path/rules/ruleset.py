"""Rules as data: reading a ruleset, and refusing one that could not do what it says."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import orjson

from services.contract.codes import CURRENCY_EXPONENT
from services.contract.decision import Family
from services.contract.fields import NAME_PATTERN
from services.contract.identity import hash_of
from services.contract.payment import Role
from services.contract.units import DAY_MS
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.private import NOTHING, PrivateLists
from services.scorer.path.rules.condition import Condition, RulesetError
from services.scorer.path.rules.pack_format import Pack


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule: hits when ``measure`` and every one of ``conditions`` holds."""

    id: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
    """Decisions list it, and batches of features, with a comma between."""
    statement: str
    family: Family
    subject: Role
    measure: Condition
    conditions: tuple[Condition, ...] = ()

    @property
    def bounds(self) -> tuple[Condition, ...]:
        """The measure, then the conditions."""
        return (self.measure, *self.conditions)


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When rules alone send a payment to review, and to which queue."""

    rule_hits_min: Annotated[int, msgspec.Meta(ge=1)]
    families_min: Annotated[int, msgspec.Meta(ge=1)]
    queue: str


class Bands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Amount bands, EUR."""

    small_from: float
    small_to: float
    near_threshold_from: float
    near_threshold_to: float


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    parameters: Bands
    review: Review
    rule: Annotated[tuple[Rule, ...], msgspec.Meta(min_length=1)]
    rates: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A ruleset that has been checked. ``hash`` covers all of its content, so it names exactly one behaviour."""

    name: str
    version: int
    parameters: Parameters
    review: Review
    rules: tuple[Rule, ...]
    hash: str
    packs: tuple[Pack, ...] = ()
    """Typology packs, run beside the rules."""
    private: PrivateLists = NOTHING
    """What the deployer keeps to itself."""

    @property
    def queues(self) -> frozenset[str]:
        """Every queue that a review can be addressed to."""
        of_packs = {pack.queue for pack in self.packs}
        of_indicators = {each.queue for pack in self.packs for each in pack.indicators if each.queue}
        return frozenset({self.review.queue, *of_packs, *of_indicators})


def with_packs(ruleset: Ruleset, packs: tuple[Pack, ...], private: PrivateLists = NOTHING) -> Ruleset:
    """The ruleset with ``packs`` and a deployer's lists; its hash covers them, and which key of digests it is."""
    content = [ruleset.hash, [pack.hash for pack in packs], private.confirmed.hash, private.lexicon.hash]
    if fingerprint := private.texts.digests.fingerprint:
        content.append(fingerprint.hex())
    return replace(ruleset, packs=packs, private=private, hash=hash_of(orjson.dumps(content)))


def _check_numbers(file: _File) -> None:
    """TOML has nan, inf and integers of any length; a ruleset must not."""
    for code, rate in file.rates.items():
        if code not in CURRENCY_EXPONENT or not 0 < rate < math.inf:
            raise RulesetError(f"rates.{code}: not an ISO 4217 currency, or not a number above 0")
    if file.rates.get("EUR") != 1.0:
        raise RulesetError("rates.EUR: must be 1, for rates are units of a currency for one EUR")
    bands = file.parameters
    if not 0 <= bands.small_from <= bands.small_to < math.inf:
        raise RulesetError("parameters: small_from and small_to are not an amount band")
    if not 0 <= bands.near_threshold_from < bands.near_threshold_to < math.inf:
        raise RulesetError("parameters: near_threshold_from and near_threshold_to are not an amount band")
    for rule in file.rule:
        for bound in rule.bounds:
            if (bound.at_least is None) == (bound.below is None):
                raise RulesetError(f"rule {rule.id}: {bound.feature}: give at_least or below, and not both")
            for key in ("at_least", "below"):
                limit = getattr(bound, key)
                if limit is not None and not math.isfinite(limit):
                    raise RulesetError(f"rule {rule.id}: {bound.feature}: {key} is not a finite number")


def parse_ruleset(text: str, account_idle_days: int = 400) -> Ruleset:
    """Read and check a ruleset from TOML.

    ``account_idle_days`` is the retention horizon in days of event time; it decides features, so it is hashed too.

    Raises
    ------
    RulesetError
        When the text is not TOML, a key is missing or unknown, or a rule could never run as written.
    """
    try:
        raw = tomllib.loads(text)
        file = msgspec.convert(raw, _File)
    except tomllib.TOMLDecodeError as error:
        raise RulesetError(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise RulesetError(str(error)) from None
    _check_numbers(file)
    ids = [rule.id for rule in file.rule]
    if len(set(ids)) != len(ids):
        raise RulesetError("rule: two rules have the same id")
    bands = msgspec.structs.asdict(file.parameters)
    idle_ms = account_idle_days * DAY_MS
    parameters = Parameters(**bands, rates=tuple(sorted(file.rates.items())), account_idle_ms=idle_ms)
    content = orjson.dumps([raw, idle_ms], option=orjson.OPT_SORT_KEYS)
    return Ruleset(file.name, file.version, parameters, file.review, file.rule, hash_of(content))
