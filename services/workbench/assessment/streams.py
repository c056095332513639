"""The assessment of any streams whose truth is known: follow, rank inside each world, and say what is found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from models.kinds.kind import Share
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.figures import (
    ABLATED,
    POSITIVES,
    SWAPPED,
    Found,
    budget_of,
    found_in,
    groups_of,
    rendered,
    swapped,
)
from services.workbench.assessment.rankers import Ranker, Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.sources import Source
from services.workbench.assessment.standings import Standings, Subjects
from services.workbench.assessment.truth import NO_LINE, Truth, TruthError

NOTE = "Results on synthetic data show that the software works as specified, not that it finds offenders."
Sides: TypeAlias = tuple[Found, Found]
"""Of payers and of payees."""
_SUMMED = ("payers", "payees", "positives", "payers_untold", "payees_untold")


class Checks(NamedTuple):
    """What shows whether a ranking looks at countries. Of generated streams only."""

    blind: Sequence[Ranker]
    """To learn and rank without what knows countries: for each variant that sees it."""
    swapped: Sequence[Source]
    """The streams, one for one, with destination countries permuted."""


@dataclass(slots=True)
class _Sum:
    """What has been found so far."""

    variants: list[str]
    found: dict[int, dict[str, Sides]] = field(default_factory=dict)
    """By world and variant."""
    worlds: dict[str, dict[str, Any]] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def take(self, stream: Labelled, standings: Standings) -> None:
        """Take a stream that was followed."""
        told = {"records": stream.records, "payments": standings.payments}
        self.totals.update({**told, "payments_of_no_known_world": standings.placeless})
        self.left_out.update(stream.left_out)
        for world in stream.truth.worlds:
            assert world not in self.found, f"world {world} comes twice"
            self.found[world] = _found(standings, stream.truth, world, self.variants)
            self.worlds[str(world)] = {"stream": stream.name, **_counts(standings, stream.truth, world)}

    def rendered(self, worlds: Iterable[int]) -> dict[str, Any]:
        """The figures of some worlds, by variant."""
        each = [self.found[world] for world in worlds]
        return {
            name: rendered([world[name][0] for world in each], [world[name][1] for world in each])
            for name in sorted(self.variants)
        }

    def result(self) -> dict[str, Any]:
        """All figures, as JSON."""
        for world in self.found:
            self.worlds[str(world)]["ranking"] = self.rendered([world])
        return {
            "ranking": self.rendered(self.found),
            "worlds": self.worlds,
            **{name: sum(each[name] for each in self.worlds.values()) for name in _SUMMED},
            **self.totals,
            "left_out": {reason: count for reason, count in self.left_out.items() if count},
        }


def assess_streams(
    sources: Sequence[Source],
    learned: Sequence[Source],
    rankers: Sequence[Ranker],
    ruleset: Ruleset,
    tell: Tell,
    share: Share,
    checks: Checks | None = None,
) -> dict[str, Any]:
    """Rank the subjects of ``sources``, whose worlds have different numbers, by ``rankers``.

    Parameters
    ----------
    learned
        What the rankers learn from; none: they rank by what ships.
    tell, share
        Are told what is being done, and how much of that is done.
    checks
        What else is ranked, for fairness.

    Returns
    -------
    The result as JSON: ``ranking`` by variant, ``worlds`` by number, and the ``note`` that goes with every figure.

    Raises
    ------
    TruthError
        When no account of a stream's truth is in its payments.
    ImportError
        When a model that is to be learned needs an extra that is not installed.
    """
    began = time.monotonic()
    blind = checks.blind if checks else ()
    if learned:
        streams = [Labelled(each, ruleset) for each in learned]
        for ranker in (*rankers, *blind):
            ranker.learn(streams, tell, share)
    found = _Sum(_variants(rankers))
    for at, source in enumerate(sources):
        tell(f"ranking {source.name}")
        stream = Labelled(source, ruleset)
        standings, of_blind = _followed(stream, (rankers, blind), share)
        found.take(stream, standings)
        if checks is not None:
            tell(f"ranking {source.name}, destinations swapped")
            (of_swapped,) = _followed(Labelled(checks.swapped[at], ruleset), (rankers,), share)
            for world in source.truth.worlds:
                _check(found.found[world], of_swapped, source.truth, world)
                _see_nothing(found.found[world], _found(of_blind, source.truth, world, _variants(blind)))
    return {
        **found.result(),
        "learned_from": [each.name for each in learned],
        "streams": [each.name for each in sources],
        "seconds": round(time.monotonic() - began, 2),
        "note": NOTE,
    }


def _followed(stream: Labelled, groups: Sequence[Sequence[Ranker]], share: Share) -> list[Standings]:
    """Where the subjects of a stream stand at its end, for each of some groups of rankers."""
    standings = [Standings([ranker.of_subjects for ranker in rankers for _ in ranker.variants]) for rankers in groups]
    for ranker in chain.from_iterable(groups):
        ranker.begin()
    any_told = False
    for batch in stream.batches(share):
        for rankers, standing in zip(groups, standings, strict=True):
            taken = [(ranker.variants, ranker.take(batch)) for ranker in rankers]
            columns = [scores[variant] for variants, scores in taken for variant in variants]
            standing.take(batch, np.stack(columns, axis=2) if columns else np.empty((len(batch.event_ms), 2, 0)))
        any_told = any_told or bool((batch.lines >= 0).any())
    if not any_told:
        raise TruthError(
            f"{stream.name}: account: none of the truth is in the {standings[0].payments:,} payments that could be "
            f"read, of {stream.records:,} records"
        )
    return standings


def _found(standings: Standings, truth: Truth, world: int, variants: Sequence[str]) -> dict[str, Sides]:
    """What each variant makes of payers and payees of a world."""
    payers, payees = _ranked(standings, truth, world)
    budget = budget_of(len(payers.lines), standings.months_of(world))

    def side(subjects: Subjects, is_payer: bool) -> list[Found]:
        positive, groups = truth.positive[subjects.lines], groups_of(subjects, truth, is_payer)
        return [found_in(subjects.scores[:, at], positive, groups, budget) for at in range(len(variants))]

    both = zip(side(payers, True), side(payees, False), strict=True)
    return dict(zip(variants, both, strict=True))


def _ranked(standings: Standings, truth: Truth, world: int) -> tuple[Subjects, Subjects]:
    """The payers and payees of a world of whom it is known whether they are positive."""
    payers, payees = (
        each if role in truth.others_negative else each.chosen(each.lines != NO_LINE)
        for role, each in zip(ROLES, standings.subjects_of(world), strict=True)
    )
    return payers, payees


def _counts(standings: Standings, truth: Truth, world: int) -> dict[str, Any]:
    """How much there is in a world."""
    sides = _ranked(standings, truth, world)
    everyone = standings.subjects_of(world)
    met = [np.unique(side.lines[truth.positive[side.lines]]) for side in sides]
    here = truth.positive & (truth.world == world)
    months = standings.months_of(world)
    return {
        "payments": standings.payments_of(world),
        "payers": len(sides[0].lines),
        "payees": len(sides[1].lines),
        "payers_untold": len(everyone[0].lines) - len(sides[0].lines),
        "payees_untold": len(everyone[1].lines) - len(sides[1].lines),
        "positives": len(met[0]),
        "positive_payees": len(met[1]),
        "positives_without_payments": len(np.setdiff1d(np.flatnonzero(here & truth.is_payer), met[0])),
        "positive_payees_without_payments": len(np.setdiff1d(np.flatnonzero(here & ~truth.is_payer), met[1])),
        "months": months,
        "budget_alerts": budget_of(len(sides[0].lines), months),
    }


def _variants(rankers: Sequence[Ranker]) -> list[str]:
    return [variant for ranker in rankers for variant in ranker.variants]


def _check(found: dict[str, Sides], of_swapped: Standings, truth: Truth, world: int) -> None:
    """Add to what was found of a world how it is with other countries."""
    payers, _ = _ranked(of_swapped, truth, world)
    for at, (of_payers, _) in enumerate(found.values()):
        of_payers.groups[SWAPPED] = swapped(of_payers, payers.scores[:, at])


def _see_nothing(found: dict[str, Sides], of_blind: dict[str, Sides]) -> None:
    """Add how it is without any countries; a variant that is not among ``of_blind`` sees none anyway."""
    for variant, (of_payers, _) in found.items():
        of_payers.groups[ABLATED] = of_blind.get(variant, found[variant])[0].groups[POSITIVES]
