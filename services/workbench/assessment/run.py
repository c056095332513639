"""The assessment: train on one seed, rank the subjects of another, and measure what is found and whom it burdens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from models.kinds.kind import Share
from models.measures import Cut, Flags, Floats, Ranking
from services.generator import AccountTruth, Configuration
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.figures import PRECISION, REGULAR_PAYMENTS, budget_of, expectation
from services.workbench.assessment.paths import Paths
from services.workbench.assessment.rankers import VARIANTS as OF_PAYMENTS
from services.workbench.assessment.rankers import Ranker, Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.sources import Generated
from services.workbench.assessment.standings import Standings, Subjects
from services.workbench.assessment.streams import NOTE
from services.workbench.assessment.subject_ranker import COMBINED, blind_of, rankers_of
from services.workbench.measures import interval, recall

TRAINING_RATE = "0.02"
"""Of the stream that is learned from: a rate at which there is something to learn. Scores are ranked, and at a rarer
kind they rank alike."""
WORLD = 0
VARIANTS = (*OF_PAYMENTS, COMBINED)
OF_SUBJECTS = (False, False, True)
"""Of each variant, as ``Ranker``."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to assess. The training seed is another than ``seed``, and so are its people."""

    payers: int = 100_000
    months: int = 18
    seed: int = 7
    training_seed: int = 1
    training_payers: int = 80_000
    kind: str = "boosting"
    """Of the model: one of ``models.kinds.table.ON_TABLES``."""
    base_rates: tuple[str, ...] = ("bench", "realistic")
    hard: bool = False


@dataclass(slots=True)
class Ranked:
    """The subjects of one stream, scored."""

    payers: Subjects
    payees: Subjects
    accounts: list[AccountTruth]
    """By line of the truth."""
    paths: Paths
    """Of the payers to be found."""

    def those(self, subjects: Subjects, wanted: Callable[[AccountTruth], bool]) -> Flags:
        """bool[n]: which subjects are so, in truth."""
        by_line = np.array([*map(wanted, self.accounts), False], dtype=np.bool_)
        return np.asarray(by_line[subjects.lines])

    def payers_that(self, wanted: Callable[[AccountTruth], bool]) -> Flags:
        """bool[n]: which payers are so, in truth."""
        return self.those(self.payers, wanted)

    def scores(self, variant: str) -> Floats:
        """float64[n]: where the payers stand."""
        return self.payers.scores[:, VARIANTS.index(variant)]

    def ranking(self, variant: str) -> Ranking:
        """The payers by ``variant``, and which of them are of the kind."""
        return Ranking.of(self.scores(variant), self.payers_that(_is_lsac_payer))

    def cut(self, variant: str) -> Cut:
        """Of the payers' ranking, at ``PRECISION``."""
        return self.ranking(variant).cut_at_precision(PRECISION)


def assess(options: Options, ruleset: Ruleset, tell: Tell, share: Share) -> dict[str, Any]:
    """Run it all; ``tell`` is told what is being done, ``share`` how much of that is done.

    Returns
    -------
    The result as JSON: ``base_rates`` by rate and variant, ``fairness``, and the ``note`` that goes with every figure.
    """
    rankers, blind = train(options, ruleset, tell, share)
    rates: dict[str, dict[str, Any]] = {}
    curves: dict[str, Any] = {}
    fairness: dict[str, Any] = {}
    for rate in options.base_rates:
        tell(f"base rate {rate}")
        configuration = _configuration(options, rate)
        ranked = rank(configuration, ruleset, (rankers, blind), share)
        rates[rate] = {variant: figures(ranked[0], variant, options) for variant in VARIANTS}
        curves[rate] = {variant: curve(ranked[0], variant) for variant in VARIANTS}
        rates[rate]["extortion_victims_in_lsac_queue"] = victims_alerted(ranked[0])
        if not fairness:
            tell(f"base rate {rate}, destinations swapped")
            swapped = rank(replace(configuration, swap_seed=options.seed + 1), ruleset, (rankers,), share)
            fairness = fairness_of(ranked[0], ranked[1], swapped[0])
    return {"base_rates": rates, "fairness": fairness, "options": asdict(options), "curves": curves, "note": NOTE}


def train(options: Options, ruleset: Ruleset, tell: Tell, share: Share) -> tuple[list[Ranker], list[Ranker]]:
    """Rankers that have learned from the training seed's stream; then the same, blind to countries.

    Raises
    ------
    ImportError
        When the kind of model needs an extra that is not installed.
    """
    configuration = replace(
        _configuration(options, TRAINING_RATE), seed=options.training_seed, payers=options.training_payers
    )
    stream = Labelled(Generated(configuration, WORLD, "another seed"), ruleset)
    rankers, blind = rankers_of(ruleset, options.kind), blind_of(ruleset, options.kind)
    for ranker in (*rankers, *blind):
        ranker.learn([stream], tell, share)
    return rankers, blind


def rank(
    configuration: Configuration, ruleset: Ruleset, groups: Sequence[Sequence[Ranker]], share: Share
) -> tuple[Ranked, ...]:
    """Follow a stream, and keep what each group of rankers says of each subject; what a further group does not rank by
    is as the first group has it."""
    source = Generated(configuration, WORLD, "the stream")
    watched = [line for line, each in enumerate(source.accounts) if _is_lsac_payer(each)]
    standings = [Standings(OF_SUBJECTS) for _ in groups]
    paths = [Paths(watched) for _ in groups]
    for ranker in chain.from_iterable(groups):
        ranker.begin()
    for batch in Labelled(source, ruleset).batches(share):
        taken: dict[str, Floats] = {}
        for rankers, standing, path in zip(groups, standings, paths, strict=True):
            taken = {**taken, **{name: scores for ranker in rankers for name, scores in ranker.take(batch).items()}}
            scores = np.stack([taken[variant] for variant in VARIANTS], axis=2)
            standing.take(batch, scores)
            path.take(batch.lines[:, 0], scores[:, 0])
    return tuple(
        Ranked(*standing.subjects_of(WORLD), source.accounts, path)
        for standing, path in zip(standings, paths, strict=True)
    )


def figures(ranked: Ranked, variant: str, options: Options) -> dict[str, Any]:
    """What one variant finds."""
    scores, cut = ranked.scores(variant), ranked.cut(variant)
    truth = ranked.payers_that(_is_lsac_payer)
    regular = ranked.payers_that(lambda each: _is_lsac_payer(each) and (each.payments or 0) >= REGULAR_PAYMENTS)
    budget = budget_of(options.payers, options.months)
    payees = ranked.payees
    payee_scores = payees.scores[:, VARIANTS.index(variant)]
    facilitators = ranked.those(payees, lambda each: each.role == "payee" and each.population == "facilitator")
    lsac_payees = ranked.those(
        payees, lambda each: each.role == "payee" and each.population in ("facilitator", "direct_beneficiary")
    )
    payee_cut = Ranking.of(payee_scores, lsac_payees).cut_at_precision(PRECISION)
    column = VARIANTS.index(variant)
    before = {line: ranked.paths.payments_before(line, column, cut.threshold) for line in ranked.paths.met}
    sub_types = sorted({each.sub_type or "" for each in ranked.accounts if _is_lsac_payer(each)})
    found, found_regular = recall(scores, truth, cut), recall(scores, regular, cut)
    found_facilitators = recall(payee_scores, facilitators, payee_cut)
    return {
        "recall_at_precision_50": found,
        "recall_payers_5plus_at_precision_50": found_regular,
        "recall_facilitators_at_precision_50": found_facilitators,
        "recall_at_budget": recall(scores, truth, ranked.ranking(variant).cut_at_budget(budget)),
        "median_payments_before_alert": _median(before.values()),
        "intervals_95": {
            "recall_at_precision_50": interval(found, int(truth.sum())),
            "recall_payers_5plus_at_precision_50": interval(found_regular, int(regular.sum())),
            "recall_facilitators_at_precision_50": interval(found_facilitators, int(facilitators.sum())),
        },
        "sub_types": {name: _sub_type(ranked, variant, cut, name, before) for name in sub_types},
        "payers": int(truth.sum()),
        "payers_5plus": int(regular.sum()),
        "facilitators": int(facilitators.sum()),
        "budget_alerts": budget,
        "alerts_at_precision_50": expectation(cut.taken(scores).sum()),
    }


def _sub_type(ranked: Ranked, variant: str, cut: Cut, name: str, before: dict[int, int | None]) -> dict[str, Any]:
    def wanted(each: AccountTruth) -> bool:
        return _is_lsac_payer(each) and each.sub_type == name

    truth = ranked.payers_that(wanted)
    return {
        "payers": int(truth.sum()),
        "recall_at_precision_50": recall(ranked.scores(variant), truth, cut),
        "median_payments_before_alert": _median(
            count for line, count in before.items() if wanted(ranked.accounts[line])
        ),
    }


def victims_alerted(ranked: Ranked) -> int:
    """Victims of extortion among those whom the combined variant alerts at the precision."""
    victims = ranked.payers_that(lambda each: each.role == "payer" and each.typology == "fsec")
    scores = ranked.scores("combined")
    return int(np.count_nonzero(victims & (scores >= ranked.cut("combined").threshold)))


def curve(ranked: Ranked, variant: str) -> list[tuple[float, float]]:
    """(recall, precision) of the payers' ranking at each threshold where there is one of the kind."""
    ranking = ranked.ranking(variant)
    at = np.flatnonzero((np.diff(ranking.true, prepend=0.0) > 0.0) & np.isfinite(ranking.thresholds))
    return list(zip(ranking.recall[at].tolist(), ranking.precision[at].tolist(), strict=True))


def fairness_of(ranked: Ranked, blind: Ranked, swapped: Ranked) -> dict[str, Any]:
    """Whom the alerts of the combined variant burden, at the threshold that gives a precision of 0.5; and what share of
    the recall the model keeps that never saw a country, by itself and with what is left of the rules."""
    scores, cut = ranked.scores("combined"), ranked.cut("combined")
    taken, taken_after = cut.taken(scores), cut.taken(swapped.scores("combined"))
    twins = ranked.payers_that(lambda each: each.twin_of is not None)
    others = ~ranked.payers_that(_is_lsac_payer) & ~twins
    twin_rate, other_rate = (float(taken[group].mean()) for group in (twins, others))
    return {
        "country_swap_alert_rate_change": taken_after.mean() / taken.mean() - 1.0 if taken.any() else None,
        "corridor_ablated_recall_share": _kept(ranked, blind, "model"),
        "corridor_ablated_recall_share_combined": _kept(ranked, blind, "combined"),
        "diaspora_false_positive_ratio": twin_rate / other_rate if other_rate else None,
        "diaspora_twins": int(twins.sum()),
        "diaspora_twins_alerted": expectation(taken[twins].sum()),
        "diaspora_twins_with_two_payments_alerted": expectation(taken[twins & (ranked.payers.payments > 1)].sum()),
        "others_alerted": expectation(taken[others].sum()),
        "alerts": expectation(taken.sum()),
        "alerts_after_country_swap": expectation(taken_after.sum()),
    }


def _kept(ranked: Ranked, blind: Ranked, variant: str) -> float | None:
    """The recall of ``blind`` over that of ``ranked``, each at its own threshold of precision 0.5."""
    found = [
        recall(each.scores(variant), each.payers_that(_is_lsac_payer), each.cut(variant)) for each in (ranked, blind)
    ]
    return found[1] / found[0] if found[0] and found[1] is not None else None


def _is_lsac_payer(each: AccountTruth) -> bool:
    return each.role == "payer" and each.typology == "lsac"


def _median(counts: Any) -> float | None:
    known = [count for count in counts if count is not None]
    return float(median(known)) if known else None


def _configuration(options: Options, rate: str) -> Configuration:
    return Configuration(
        payers=options.payers, months=options.months, seed=options.seed, base_rate=rate, profile="remitter",
        hard=options.hard,
    )  # fmt: skip
