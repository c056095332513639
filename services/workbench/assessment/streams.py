"""The assessment of any streams whose truth is known: follow, rank inside each world, and say what is found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.kinds.kind import Share
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.figures import Found, budget_of, found_in, groups_of, rendered
from services.workbench.assessment.rankers import Ranker, Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.sources import Source
from services.workbench.assessment.standings import Standings
from services.workbench.assessment.truth import Truth, TruthError

NOTE = "Results on synthetic data show that the software works as specified, not that it finds offenders."


def assess_streams(
    sources: Sequence[Source],
    learned: Sequence[Source],
    rankers: Sequence[Ranker],
    ruleset: Ruleset,
    tell: Tell,
    share: Share,
) -> dict[str, Any]:
    """Rank the subjects of ``sources``, whose worlds have different numbers, by ``rankers``.

    Parameters
    ----------
    learned
        What the rankers learn from; none: they rank by what ships.
    tell, share
        Are told what is being done, and how much of that is done.

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
    if learned:
        streams = [Labelled(each, ruleset) for each in learned]
        for ranker in rankers:
            ranker.learn(streams, tell, share)
    variants = [variant for ranker in rankers for variant in ranker.variants]
    found: dict[int, dict[str, tuple[Found, Found]]] = {}
    worlds: dict[int, dict[str, Any]] = {}
    totals = {"records": 0, "payments": 0, "payments_of_no_known_world": 0}
    left_out: dict[str, int] = {}
    for source in sources:
        tell(f"ranking {source.name}")
        stream = Labelled(source, ruleset)
        standings = _followed(stream, rankers, share)
        totals["records"] += stream.records
        totals["payments"] += standings.payments
        totals["payments_of_no_known_world"] += standings.placeless
        for reason, count in stream.left_out.items():
            if count:
                left_out[reason] = left_out.get(reason, 0) + count
        for world in source.truth.worlds:
            assert world not in found, f"world {world} comes twice"
            found[world], worlds[world] = _ranked(standings, source.truth, world, variants)
    counts = {name: sum(each[name] for each in worlds.values()) for name in ("payers", "payees", "positives")}
    return {
        "ranking": _rendered(list(found.values()), variants),
        "worlds": {
            str(world): {**said, "ranking": _rendered([found[world]], variants)} for world, said in worlds.items()
        },
        **totals,
        **counts,
        "left_out": left_out,
        "learned_from": [each.name for each in learned],
        "streams": [each.name for each in sources],
        "seconds": round(time.monotonic() - began, 2),
        "note": NOTE,
    }


def _followed(stream: Labelled, rankers: Sequence[Ranker], share: Share) -> Standings:
    """Where the subjects of a stream stand at its end."""
    standings = Standings(sum(len(ranker.variants) for ranker in rankers))
    for ranker in rankers:
        ranker.begin()
    any_told = False
    for batch in stream.batches(share):
        columns = [scores for ranker in rankers for scores in _in_order(ranker, ranker.take(batch))]
        standings.take(batch, np.stack(columns, axis=2))
        any_told = any_told or bool((batch.lines >= 0).any())
    if not any_told:
        raise TruthError(
            f"{stream.name}: account: none of the truth is in the {standings.payments:,} payments that could be read "
            f"(of {stream.records:,} records; not read: {dict(stream.left_out) or 'none'})"
        )
    return standings


def _in_order(ranker: Ranker, scores: Any) -> list[Any]:
    return [scores[variant] for variant in ranker.variants]


def _ranked(
    standings: Standings, truth: Truth, world: int, variants: Sequence[str]
) -> tuple[dict[str, tuple[Found, Found]], dict[str, Any]]:
    """What each variant makes of payers and payees of a world; and how many these are."""
    payers, payees = (standing.of_world(world) for standing in standings.roles)
    months = standings.months_of(world)
    budget = budget_of(len(payers.lines), months)
    sides = [
        (side, truth.positive[side.lines], groups_of(side, truth, is_payer=side is payers)) for side in (payers, payees)
    ]
    found = {
        variant: tuple(found_in(side.scores[:, at], positive, groups, budget) for side, positive, groups in sides)
        for at, variant in enumerate(variants)
    }
    wanted = (truth.world[:-1] == world) & truth.positive[:-1]
    absent = []
    for is_payer, (side, positive, _) in zip((True, False), sides, strict=True):
        met = np.count_nonzero(positive & (truth.world[side.lines] == world))
        absent.append(int(np.count_nonzero(wanted & (truth.is_payer[:-1] == is_payer)) - met))
    said = {
        "payments": standings.payments_of(world),
        "payers": len(payers.lines),
        "payees": len(payees.lines),
        "positives": int(sides[0][1].sum()),
        "positive_payees": int(sides[1][1].sum()),
        "positives_without_payments": absent[0],
        "positive_payees_without_payments": absent[1],
        "months": months,
        "budget_alerts": budget,
    }
    return found, said  # type: ignore[return-value]


def _rendered(found: Sequence[dict[str, tuple[Found, Found]]], variants: Sequence[str]) -> dict[str, Any]:
    return {
        variant: rendered([each[variant][0] for each in found], [each[variant][1] for each in found])
        for variant in sorted(variants)
    }
