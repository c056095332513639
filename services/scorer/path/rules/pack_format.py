"""The format of a typology pack: ``pack.toml`` in a folder of its own. ``pack_parse`` reads and checks it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from services.contract.decision import Family
from services.contract.errors import TocsinError
from services.contract.payment import Role
from services.scorer.path.rules.condition import Condition

ROLES: tuple[Role, Role] = ("payer", "payee")
STRONG_FAMILIES: frozenset[Family] = frozenset({"relationship", "beneficiary", "network", "temporal", "amount"})
"""Corridor, channel and text alone never make an alert: at least one indicator of these families must be there."""
WEIGHT_MAX = 10.0
Tag = Literal["V", "V2", "M", "D"]
"""Read in the publisher's page; in a secondary page; from memory; ours, and not published."""
READ: tuple[Tag, ...] = ("V", "V2")
"""Tags whose page is named."""


class PackError(TocsinError, ValueError):
    """A pack cannot be used. The message names the pack, the indicator and the key."""


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where an indicator comes from."""

    text: Annotated[str, Meta(min_length=1)]
    tag: Tag
    url: str = ""


class Indicator(Struct, frozen=True, forbid_unknown_fields=True):
    """One indicator: hits when ``measure`` and every one of ``conditions`` holds.

    ``reason`` is shown to people; ``{measured}`` and ``{threshold}`` in it are filled in.
    """

    id: Annotated[str, Meta(min_length=1)]
    statement: Annotated[str, Meta(min_length=1)]
    family: Family
    subjects: Annotated[tuple[Role, ...], Meta(min_length=1)]
    measure: Condition
    weight: float
    reason: Annotated[str, Meta(min_length=1)]
    source: Source
    conditions: tuple[Condition, ...] = ()
    immediate: bool = False
    """Goes straight to people, whatever else there is."""
    queue: str = ""
    """Instead of the pack's queue, when it hits."""
    interval: tuple[float, float] | None = None
    """What it says by itself over worlds that differ: the 95 % interval of its log ratio (``tocsin pack weigh``)."""
    innocent: bool = False
    """Speaks for an innocent reading. Needed only where the weight, being 0, does not say so."""

    @property
    def bounds(self) -> tuple[Condition, ...]:
        """The measure, then the conditions."""
        return (self.measure, *self.conditions)

    @property
    def raises(self) -> bool:
        """Whether it is evidence, rather than counter-evidence, whatever it weighs."""
        return not self.counters

    @property
    def counters(self) -> bool:
        """Whether it speaks for an innocent reading, whatever it weighs."""
        return self.weight < 0.0 or self.innocent


class Combination(Struct, frozen=True, forbid_unknown_fields=True):
    """What must come together."""

    indicators_min: Annotated[int, Meta(ge=3)]
    families_min: Annotated[int, Meta(ge=2)]
    score_min: float


class ModelShare(Struct, frozen=True, forbid_unknown_fields=True):
    """What the learned model may add to the score: the part of its evidence (log-odds without its bias) that is
    beyond ``beyond``, on either side of 0, at most ``limit`` of it, times ``weight``.

    Evidence counts from the mean payment, and most payers of whom a pack speaks are above that: what merely tells them
    from everybody is no reason to look at one of them.
    """

    weight: Annotated[float, Meta(ge=0, le=4)] = 0.0
    beyond: Annotated[float, Meta(ge=0, le=20)] = 0.0
    limit: Annotated[float, Meta(ge=0, le=20)] = 4.0


class Omitted(Struct, frozen=True, forbid_unknown_fields=True):
    """A published indicator that the pack does not use, and why."""

    id: str
    reason: Annotated[str, Meta(min_length=1)]


class PackFile(Struct, frozen=True, forbid_unknown_fields=True):
    """``pack.toml``."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")]
    version: Annotated[int, Meta(ge=1, lt=2**53)]
    title: str
    queue: Annotated[str, Meta(min_length=1)]
    label: Annotated[str, Meta(min_length=1)]
    headline: Annotated[str, Meta(min_length=1)]
    prior: float
    applies: tuple[Condition, ...]
    combination: Combination
    limits: Annotated[tuple[str, ...], Meta(min_length=1)]
    indicators: Annotated[tuple[Indicator, ...], Meta(min_length=1)] = field(name="indicator")
    model: ModelShare = ModelShare()
    omitted: tuple[Omitted, ...] = ()
    silent_when: tuple[Condition, ...] = ()
    """When all of these that are measured hold, and some is, the pack does not ask, but for what is immediate: the
    payment fits another reading."""
    silent_of_payee_when: tuple[Condition, ...] = ()
    """What must hold besides ``silent_when`` for the pack to be silent of the payee, too."""


class Pack(PackFile, frozen=True, kw_only=True):
    """A pack that has been checked. ``hash`` covers all of its content, a deployer's overrides included."""

    hash: str
