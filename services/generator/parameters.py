"""The numbers of the generator, read from ``parameters.toml`` and checked once."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Range: TypeAlias = tuple[float, float]
Shares: TypeAlias = dict[str, float]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A country: its currency, its share, its offset from UTC, and what amounts from or to it are multiplied by."""

    currency: str
    weight: float
    offset_minutes: int
    level: float = 1.0


class RoutineLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the payers of one cross-border population pay. What follows ``cash_out_share`` is used in drawn worlds only.

    ``beside`` is its weight as a second routine of payers of another population; ``favour`` the share of payments
    that goes to the first recipient, of what is left to the second, and so on; ``life_sigma`` and ``pace_sigma``
    spread the lives of recipients and the paces of irregular payers; ``burst`` is every how many days payments
    come, for how many days, and how many a day; ``sitting`` the share of payments that another follows within
    hours; ``price_points`` the share that repeats one of three amounts of the payer; ``elsewhere`` the share of
    recipients in another country; ``pool_share`` the recipients of a pool for each payer.
    """

    name: str
    share: float
    amount: Range
    within: float
    cadence: Shares
    recipients_extra: float
    recipients_max: int
    payee: Literal["family", "charity", "freelancer", "circle", "person", "pool", "platform"]
    life_days: float
    round_share: float
    hours: str
    rails: Shares
    references: Shares
    relations: Shares
    irregular_per_month: float = 0.0
    second_recipient: float = 0.0
    two_rails: float = 0.0
    family_purpose: float = 0.0
    skip: float = 0.0
    rising: float = 1.0
    december: float = 1.0
    emergency: float = 1.0
    cash_out_share: float = 0.0
    beside: float = 0.0
    favour: float = 0.6
    life_sigma: float = 0.0
    pace_sigma: float = 0.0
    burst: tuple[float, float, float] = (180.0, 4.0, 0.7)
    sitting: float = 0.0
    price_points: float = 0.0
    elsewhere: float = 0.0
    pool_share: float = 0.25
    categories: tuple[str, ...] = ()
    hours_mix: Shares = msgspec.field(default_factory=dict)


class DomesticLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the payers of a bank do at home."""

    name: str
    per_month: float
    amount: Range
    round_share: float
    hours: str
    rail: str
    payee: Literal["self", "merchant", "biller", "friend", "seller", "platform"]
    references: Shares = msgspec.field(default_factory=lambda: {"none": 1.0})
    categories: tuple[str, ...] = ()
    rejected: float = 0.003
    few: float = 1.0


class Circles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Savings circles: members of each, and the share whose collector lives abroad."""

    members: tuple[int, int]
    abroad_share: float


class AmountMix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mixture of lognormals, AUD. ``flat_weights`` are those of the flat-cheap sub-type."""

    weights: tuple[float, float, float]
    flat_weights: tuple[float, float, float]
    medians: tuple[float, float, float]
    sigmas: tuple[float, float, float]


class LsacLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payers whose pattern follows the published indicators of live-streamed abuse, and their beneficiaries.

    Used in drawn worlds only: ``level`` multiplies amounts and ``first_factor`` the first of them; ``payday`` is the
    share of sessions that move to the days after payday; ``hours_shape`` (0: none) how alike payers' hours are.
    """

    n: tuple[float, float, int]
    sub_types: Shares
    sporadic_n_max: int
    prolific_n_min: int
    round_share: float
    round_received_share: float
    price_point_share: float
    escalation_amount: Range
    escalation_gap: Range
    gap_sporadic_days: Range
    gap_regular_days: Range
    gap_prolific_days: Range
    gap_floor_hours: float
    gap_mean_days_min: float
    session: float
    session_n: tuple[int, int]
    session_hours: float
    hours: Shares
    beneficiaries: tuple[tuple[int, float], ...]
    beneficiaries_shape: float
    relation_life_days: Range
    facilitator_share: float
    payers_per_facilitator: tuple[float, float, int]
    multi_country_share: float
    cluster: tuple[int, int]
    shared_phone: float
    shared_device: float
    shared_pickup: float
    dwell_hours: Range
    rails: Shares
    two_rails: float
    references: Shares
    lexicon_in_other: float
    relations: Shares
    minor_share: float
    cam_tokens: float
    vpn: float
    capture_software: float
    travel_after_5: float
    amounts_aud: dict[str, AmountMix]
    level: float = 1.0
    first_factor: float = 1.0
    payday: float = 0.0
    hours_shape: float = 0.0

    @property
    def flat_share(self) -> float:
        """Flat-cheap payers among those that are not sporadic."""
        return self.sub_types["flat_cheap"] / (self.sub_types["flat_cheap"] + self.sub_types["escalator"])


class SubTypeLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of LSAC payer in a drawn world: those with a lifetime number of payments within ``n``, by weight.

    ``like`` says which of the three sub-types of ``LsacLaw`` its series are drawn like, ``law`` with which numbers.
    """

    name: str
    weight: float
    like: Literal["flat_cheap", "escalator", "sporadic"]
    n: tuple[int, int]
    law: LsacLaw


class SystemLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source system of a drawn world: which fields it tells, how often, and what it puts where nothing is known.

    ``coverage`` is by field (``services.generator.systems.FIELDS``), 0 to 1. ``reference`` is a theme of words,
    ``offset_minutes`` a clock that it states for everybody. ``terminal``: the device is that of a counter.
    ``batch_hours``: event times are those of the next run. ``fee`` is fixed (EUR) and a share, inside the amount.
    ``opened_default``: accounts are stated as opened on the day of a migration.
    """

    name: str
    weight: float
    coverage: Shares
    reference: str = "none"
    relation: str = "none"
    purpose: str = "none"
    offset_minutes: int | None = None
    terminal: bool = False
    batch_hours: int = 0
    fee: tuple[float, float] = (0.0, 0.0)
    opened_default: bool = False


class FsecLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Victims of financial sexual extortion."""

    n: tuple[int, int]
    first_max_eur: float
    total_max_eur: float
    within_hours: float


class RomanceLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Victims of romance fraud."""

    from_to_eur: Range
    weeks: tuple[int, int]


class CasesLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the other typologies."""

    structuring_n: tuple[int, int]
    structuring_days: float
    structuring_share: Range
    threshold_eur: float
    mule_payers: tuple[int, int]
    mule_hours: float
    mule_out_share: Range
    mule_out_hours: float
    mule_out_accounts: tuple[int, int]
    takeover_n: tuple[int, int]
    takeover_hours: float
    takeover_eur: Range
    testing_n: tuple[int, int]
    testing_eur_max: float
    testing_rejected: float
    pattern_eur: Range


class LabelsLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes known later, how late, and how often wrongly."""

    alerted_share: float
    alert_after: tuple[int, int]
    named_max: int
    innocent_share: float
    innocent_error: float
    analyst_days: Range
    analyst_error: float
    report_days_max: float
    confirmed_share: float
    confirmed_days: Range


class NoiseLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to records on their way."""

    late: float
    late_hours: Range
    duplicate: float
    returned: float
    malformed: float
    attempted: float = 0.0


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All numbers; their basis stands beside them in the file. What follows ``look_alikes`` is for drawn worlds only.

    ``second_routine_share`` of ordinary payers and ``lsac_routine_share`` of LSAC payers have a (second) innocent
    routine; ``second_account_share`` of payers pay from two accounts; ``rotation_share`` of recipients change their
    account every ``rotation_days``; weights of destinations differ from home to home by ``corridor_spread`` (sigma).
    """

    start: str
    cross_border_share: float
    domestic_pace: float
    household_share: float
    churn_share: float
    received_told_share: float
    offset_told_share: float
    device_told_share: float
    fee: float
    family_minor_share: float
    lexicon_share: float
    base_rates: Shares
    rates: Shares
    homes: dict[str, Place]
    destinations: dict[str, Place]
    rates_per_eur: dict[str, float]
    hours: dict[str, tuple[float, ...]]
    words: dict[str, tuple[str, ...]]
    routine: tuple[RoutineLaw, ...]
    circles: Circles
    domestic: tuple[DomesticLaw, ...]
    lsac: LsacLaw
    fsec: FsecLaw
    romance: RomanceLaw
    cases: CasesLaw
    labels: LabelsLaw
    noise: NoiseLaw
    look_alikes: Shares = msgspec.field(default_factory=dict)
    systems: tuple[SystemLaw, ...] = ()
    sub_types: tuple[SubTypeLaw, ...] = ()
    second_routine_share: float = 0.0
    lsac_routine_share: float = 0.0
    second_account_share: float = 0.0
    rotation_share: float = 0.0
    rotation_days: float = 300.0
    corridor_spread: float = 0.0

    @property
    def drawn(self) -> bool:
        """Whether they are those of a drawn world (``services.generator.worlds``)."""
        return bool(self.systems)


@lru_cache
def shipped_parameters(profile: str = "bank") -> Parameters:
    """The parameters that ship. Those of a small bank replace the others key by key.

    >>> shipped_parameters().lsac.n
    (0.4, 2.0, 700)
    >>> shipped_parameters("small_bank").cases.testing_n
    (20, 35)
    """
    content = tomllib.loads(Path(__file__).with_name("parameters.toml").read_text(encoding="utf-8"))
    changes = content.pop("small_bank")
    if profile == "small_bank":
        for name, change in changes.items():
            content[name] = {**content.get(name, {}), **change} if isinstance(change, dict) else change
    return msgspec.convert(content, Parameters)
