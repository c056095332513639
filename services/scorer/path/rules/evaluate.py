"""Evaluating rules over a batch. A rule whose features are missing says ``error``, never ``no_hit``."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.served import ERROR, HIT, NO_HIT
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.rules.condition import RulesetError
from services.scorer.path.rules.pack import Packs, flat
from services.scorer.path.rules.ruleset import Rule, Ruleset

OUTCOMES = ("no_hit", "hit", "error")


@dataclass(frozen=True, slots=True)
class RuleResults:
    """Results of R rules on n payments: ``outcome`` uint8[n, R]; ``measured`` float64[n, R]; ``missing`` bool[n, B]
    over all bounds of all rules; ``review`` bool[n], where the rules alone ask for one."""

    outcome: NDArray[np.uint8]
    measured: NDArray[np.float64]
    missing: NDArray[np.bool_]
    review: NDArray[np.bool_]


class Rules:
    """A ruleset, ready to be evaluated.

    Raises
    ------
    RulesetError
        When a rule names a feature that does not exist.
    """

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.packs = Packs(ruleset.packs)
        bounds = [(rule, bound) for rule in ruleset.rules for bound in rule.bounds]
        for rule, bound in bounds:
            if bound.feature not in INDEX:
                raise RulesetError(f"rule {rule.id}: there is no feature {bound.feature!r}")
        self._bounds = flat([rule.bounds for rule in ruleset.rules])
        self._starts = self._bounds.starts[:-1]
        families = sorted({rule.family for rule in ruleset.rules})
        self._family_bits = np.array([1 << families.index(rule.family) for rule in ruleset.rules], dtype=np.int64)
        self._hit = [_hit(rule) for rule in ruleset.rules]

    def evaluate(self, features: NDArray[np.float64]) -> RuleResults:
        """Run every rule on every payment of ``features`` (float64[n, k], NaN where missing)."""
        bounds, values = self._bounds, features[:, self._bounds.features]
        missing = np.isnan(values)
        holds = np.where(bounds.below, values < bounds.thresholds, values >= bounds.thresholds)
        hit = np.logical_and.reduceat(holds, self._starts, axis=1)
        error = np.logical_or.reduceat(missing, self._starts, axis=1)
        outcome = np.where(error, ERROR, np.where(hit, HIT, NO_HIT)).astype(np.uint8)
        hits = outcome == HIT
        families = np.bitwise_count(np.bitwise_or.reduce(np.where(hits, self._family_bits, 0), axis=1))
        limits = self.ruleset.review
        review = (hits.sum(axis=1) >= limits.rule_hits_min) & (families >= limits.families_min)
        return RuleResults(outcome, values[:, self._starts], missing, review)

    def described(self, results: RuleResults, row: int, only_hits: bool = False) -> list[dict[str, Any]]:
        """What hit of one payment and, unless ``only_hits``, what could not run; field by field as in
        ``RuleResult``."""
        return [
            self._result(results, row, position)
            for position, outcome in enumerate(results.outcome[row].tolist())
            if outcome == HIT or (outcome == ERROR and not only_hits)
        ]

    def _result(self, results: RuleResults, row: int, position: int) -> dict[str, Any]:
        outcome = results.outcome[row, position]
        if outcome == HIT:
            return self._hit[position] | {"measured": float(results.measured[row, position])}
        rule = self.ruleset.rules[position]
        return {"rule": rule.id, "outcome": "error", "missing": self._missing(results, row, position)}

    def _missing(self, results: RuleResults, row: int, position: int) -> list[str]:
        missing = results.missing[row, self._starts[position] :]
        return [bound.feature for bound in compress(self.ruleset.rules[position].bounds, missing)]


def _hit(rule: Rule) -> dict[str, Any]:
    """What a hit of ``rule`` says, but for the value it measured."""
    feature = FEATURES[INDEX[rule.measure.feature]]
    return {
        "rule": rule.id,
        "outcome": "hit",
        "measured": 0.0,
        "threshold": rule.measure.threshold,
        "unit": feature.unit,
        "window": feature.window,
    }
