"""A bound on one feature: what rules and the indicators of packs are made of."""

from __future__ import annotations

import msgspec

from services.contract.errors import TocsinError


class RulesetError(TocsinError, ValueError):
    """A ruleset cannot be used. The message names the rule and the key."""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bound on one feature: ``at_least`` (inclusive) or ``below`` (exclusive), exactly one of them."""

    feature: str
    at_least: float | None = None
    below: float | None = None

    @property
    def threshold(self) -> float:
        """The bound itself."""
        bound = self.at_least if self.at_least is not None else self.below
        if bound is None:
            raise RulesetError(f"{self.feature}: give at_least or below")
        return bound
