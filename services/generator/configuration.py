"""What a run of the generator is made of: its size, its seed, and which of its worlds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Literal, get_args

from services.contract.errors import TocsinError
from services.contract.units import DAY_MS
from services.generator.parameters import Parameters
from services.generator.worlds import WorldError, parameters_of

Profile = Literal["bank", "remitter", "small_bank"]
PAYERS_MAX, MONTHS_MAX, WORLD_PAYERS_MAX = 100_000_000, 600, 1 << 20


class ConfigurationError(TocsinError, ValueError):
    """A choice that cannot be generated. The message starts with its name."""


@dataclass(frozen=True)
class Configuration:
    """One run. Equal configurations give equal bytes.

    Parameters
    ----------
    payers
        Accounts that pay: 50 or more.
    months
        Calendar months from the first day of the parameters.
    seed
        0 or more, below 2**63.
    base_rate
        A name of the parameters (``unit_test``, ``bench``, ``realistic``, ``needle``) or a share of cross-border
        payers, 0 to 0.2. Above 0 there is at least one such payer.
    profile
        ``bank`` tells everything; ``remitter`` only what a remitter sees, and all its payers pay abroad;
        ``small_bank`` is a bank for a demo: rare things happen often, and beside what looks like them.
    hard
        Evasion: jittered amounts, daytime, two accounts, unique references.
    swap_seed
        Permutes destination countries; nothing else changes but received amounts and currencies.
    amounts
        Variant of LSAC amounts: ``base``, ``chat_log``, ``heavy``, ``php``, ``sweden``; a drawn world has its own.
    world
        A drawn world, ``family/number`` (``services.generator.worlds``), or nothing: the world of ``parameters.toml``.
    noise
        Whether records come late, twice, returned or damaged.

    Raises ``ConfigurationError`` when a value is out of range.
    """

    payers: int = 10_000
    months: int = 18
    seed: int = 1
    base_rate: str | float = "bench"
    profile: Profile = "remitter"
    hard: bool = False
    swap_seed: int | None = None
    amounts: str = "base"
    noise: bool = True
    world: str | None = None

    def __post_init__(self) -> None:
        if not 50 <= self.payers <= PAYERS_MAX:
            raise ConfigurationError(f"payers: must be 50 to {PAYERS_MAX:,}")
        if not 1 <= self.months <= MONTHS_MAX:
            raise ConfigurationError(f"months: must be 1 to {MONTHS_MAX}")
        self._check_world()
        for name, seed in (("seed", self.seed), ("swap_seed", self.swap_seed or 0)):
            if not 0 <= seed < 1 << 63:
                raise ConfigurationError(f"{name}: must be 0 or more, below 2**63")
        for name, chosen, known in (
            ("profile", self.profile, get_args(Profile)),
            ("amounts", self.amounts, self.parameters.lsac.amounts_aud),
        ):
            if chosen not in known:
                raise ConfigurationError(f"{name}: one of {', '.join(known)}")
        if not 0.0 <= self.lsac_share <= 0.2:
            raise ConfigurationError("base_rate: must be 0 to 0.2")

    def _check_world(self) -> None:
        if self.world is None:
            return
        if self.payers > WORLD_PAYERS_MAX:
            raise ConfigurationError(f"payers: in a drawn world at most {WORLD_PAYERS_MAX:,}")
        try:
            parameters_of(get_args(Profile)[0], self.world)
        except WorldError as error:
            raise ConfigurationError(str(error)) from None

    @property
    def parameters(self) -> Parameters:
        """The numbers behind it."""
        return parameters_of(self.profile, self.world)

    @property
    def lsac_share(self) -> float:
        """LSAC payers among cross-border payers."""
        named = self.parameters.base_rates
        try:
            return float(named.get(str(self.base_rate), self.base_rate))
        except ValueError:
            raise ConfigurationError(f"base_rate: a number or one of {', '.join(named)}") from None

    @cached_property
    def first_day(self) -> date:
        """The first day of the horizon, UTC."""
        return date.fromisoformat(self.parameters.start)

    @cached_property
    def start_ms(self) -> int:
        """Event time at which the horizon begins."""
        return int(datetime.combine(self.first_day, time(), UTC).timestamp()) * 1_000

    @cached_property
    def days(self) -> int:
        """Days of the horizon."""
        return (self.month_start(self.months) - self.first_day).days

    @property
    def end_ms(self) -> int:
        """Event time at which the horizon ends."""
        return self.start_ms + self.days * DAY_MS

    def month_of(self, day: int) -> int:
        """The calendar month (UTC) that a day of the horizon falls into; both are counted from 0."""
        date_ = self.first_day + timedelta(days=day)
        return (date_.year - self.first_day.year) * 12 + date_.month - self.first_day.month

    def month_start(self, month: int) -> date:
        """First day of the ``month``-th month of the horizon, counted from 0."""
        months = self.first_day.year * 12 + self.first_day.month - 1 + month
        return date(months // 12, months % 12 + 1, 1)
