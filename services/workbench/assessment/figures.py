"""What a ranking of subjects finds, and whom it burdens: in one world, and in several together.

Subjects are ranked inside their world, and each world has a threshold of its own: the lowest at which half of those
alerted are positive, or as many alerts as the budget allows. Where equal scores stand at the threshold, counts are
expectations (``models.measures.Cut``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.measures import Cut, Flags, Floats, Ranking, auc
from services.workbench.assessment.standings import Subjects
from services.workbench.assessment.truth import Truth
from services.workbench.measures import interval

PRECISION = 0.5
PAYERS_PER_ALERT_A_MONTH = 10_000
REGULAR_PAYMENTS = 5
DIASPORA = "diaspora"
Path = tuple[str, ...]

POSITIVES: Path = ("positives",)
REGULAR: Path = ("payers_5plus",)
ONE_OFF: Path = ("one_off",)
TWINS, OF_DIASPORA, OTHERS = ("fairness", "twins"), ("fairness", "diaspora"), ("fairness", "others")
"""Innocent payers: twins of positive ones; of the class ``diaspora``, twins or not; and all who are neither."""
SWAPPED, ABLATED = ("fairness", "swapped"), ("fairness", "ablated")
"""All payers under the same cuts, with destination countries permuted; and the positive ones under a ranking that never
saw what knows countries, with cuts of its own. Of generated streams."""


class Counted(NamedTuple):
    """How many of a group are alerted, in expectation."""

    accounts: int
    at_precision: float
    at_budget: float


class Found(NamedTuple):
    """What one variant makes of one role in one world."""

    auc: float | None
    average_precision: float | None
    ranks: Floats
    """float64[n]: the share of the world's subjects that stand below each, equals counted half."""
    positive: Flags
    groups: dict[Path, Counted]
    cuts: tuple[Cut, Cut]
    """At the precision, and at the budget."""
    alerts: float
    """At the precision."""
    budget: int


def budget_of(payers: int, months: int) -> int:
    """Alerts about one role: one a month for every 10,000 payers, and at least one.

    >>> budget_of(30_000, 12), budget_of(500, 2)
    (36, 1)
    """
    return max(1, payers * months // PAYERS_PER_ALERT_A_MONTH)


def found_in(scores: Floats, positive: Flags, groups: Mapping[Path, Flags], budget: int) -> Found:
    """The figures of a ranking: ``scores`` float64[n], ``positive`` and each of ``groups`` bool[n]."""
    ranking = Ranking.of(scores, positive)
    cuts = ranking.cut_at_precision(PRECISION), ranking.cut_at_budget(budget)
    taken = [cut.taken(scores) for cut in cuts]
    both = positive.any() and not positive.all()
    return Found(
        auc=auc(scores, positive) if both else None,
        average_precision=ranking.average_precision,
        ranks=_ranks(scores),
        positive=positive,
        groups={
            path: Counted(int(group.sum()), *(float(each[group].sum()) for each in taken))
            for path, group in {POSITIVES: positive, **groups}.items()
        },
        cuts=cuts,
        alerts=float(taken[0].sum()),
        budget=budget,
    )


def swapped(found: Found, scores: Floats) -> Counted:
    """Who is alerted beyond the cuts of ``found`` when the payers' scores are these, float64[n]."""
    return Counted(len(scores), *(float(cut.taken(scores).sum()) for cut in found.cuts))


def groups_of(subjects: Subjects, truth: Truth, is_payer: bool) -> dict[Path, Flags]:
    """Who is counted apart: classes; of payers also how often they pay, sub-types, source systems, and whom alerts may
    not burden more than others."""
    positive = truth.positive[subjects.lines]
    groups = _by_name(subjects, truth, "kind", "classes", np.ones_like(positive))
    if not is_payer:
        return groups
    twins = truth.twin[subjects.lines] & ~positive
    diaspora = groups.get(("classes", DIASPORA), np.zeros_like(positive)) & ~positive
    return {
        REGULAR: positive & (subjects.payments >= REGULAR_PAYMENTS),
        ONE_OFF: positive & (subjects.payments == 1),
        **_by_name(subjects, truth, "sub_type", "sub_types", positive),
        **_by_name(subjects, truth, "source_system", "source_systems", positive),
        **groups,
        TWINS: twins,
        OF_DIASPORA: diaspora,
        OTHERS: ~(positive | twins | diaspora),
    }


def rendered(payers: Sequence[Found], payees: Sequence[Found]) -> dict[str, Any]:
    """The figures of one variant as JSON, of one world or of several.

    Shares are means over the worlds that have the group; counts are sums. Of several worlds there is also the
    ``worst``, and ``pooled``: all subjects together, by their ranks inside their worlds, each world with its own
    threshold.
    """
    return {
        **_headline(payers),
        **{path[0]: _group(payers, path) for path in (REGULAR, ONE_OFF)},
        **{name: _named(payers, name, _group) for name in ("sub_types", "source_systems")},
        "classes": _named(payers, "classes", _class),
        "payees": {**_headline(payees), "classes": _named(payees, "classes", _class)},
        "fairness": _fairness(payers),
    }


def _headline(found: Sequence[Found]) -> dict[str, Any]:
    recalls = _group(found, POSITIVES)
    figures = {
        "auc": _mean(each.auc for each in found),
        "average_precision": _mean(each.average_precision for each in found),
        "recall_at_precision_50": recalls["recall_at_precision_50"],
        "recall_at_budget": recalls["recall_at_budget"],
        "positives": recalls["positives"],
        "alerts_at_precision_50": expectation(sum(each.alerts for each in found)),
        "budget_alerts": sum(each.budget for each in found),
    }
    if len(found) > 1:
        figures["worst"] = {
            "auc": _least(each.auc for each in found),
            "average_precision": _least(each.average_precision for each in found),
            "recall_at_precision_50": _least(_share(each.groups[POSITIVES], 1) for each in found),
            "recall_at_budget": _least(_share(each.groups[POSITIVES], 2) for each in found),
        }
        figures["pooled"] = _pooled(found)
    return figures


def _pooled(found: Sequence[Found]) -> dict[str, Any]:
    ranks, positive = np.concatenate([each.ranks for each in found]), np.concatenate([each.positive for each in found])
    all_of = _sum(found, POSITIVES)
    share = _share(all_of, 1)
    return {
        "auc": auc(ranks, positive) if positive.any() and not positive.all() else None,
        "average_precision": Ranking.of(ranks, positive).average_precision,
        "recall_at_precision_50": share,
        "recall_at_precision_50_interval_95": interval(share, all_of.accounts),
        "recall_at_budget": _share(all_of, 2),
    }


def _group(found: Sequence[Found], path: Path) -> dict[str, Any]:
    """Recall of a group of positives."""
    counted = [each.groups[path] for each in found if path in each.groups]
    return {
        "positives": sum(each.accounts for each in counted),
        "recall_at_precision_50": _mean(_share(each, 1) for each in counted),
        "recall_at_budget": _mean(_share(each, 2) for each in counted),
    }


def _class(found: Sequence[Found], path: Path) -> dict[str, Any]:
    """How many of a class are alerted, all worlds together."""
    counted = _sum(found, path)
    return {
        "accounts": counted.accounts,
        "alerted": expectation(counted.at_precision),
        "alerted_share": _share(counted, 1),
        "alerted_at_budget": expectation(counted.at_budget),
        "alerted_share_at_budget": _share(counted, 2),
    }


def _fairness(found: Sequence[Found]) -> dict[str, Any]:
    """Alert rates of twins and of diaspora over that of other innocents, all worlds together."""
    others = _sum(found, OTHERS)
    figures: dict[str, Any] = {"others": others.accounts}
    for name, path in (("diaspora", OF_DIASPORA), ("twins", TWINS)):
        counted = _sum(found, path)
        figures |= {
            name: counted.accounts,
            f"{name}_alerted": expectation(counted.at_precision),
            f"{name}_alert_rate_ratio": _ratio(_share(counted, 1), _share(others, 1)),
            f"{name}_alert_rate_ratio_at_budget": _ratio(_share(counted, 2), _share(others, 2)),
        }
    figures["others_alerted"] = expectation(others.at_precision)
    if any(SWAPPED in each.groups for each in found):
        alerts, after = sum(each.alerts for each in found), _sum(found, SWAPPED).at_precision
        figures["country_swap_alert_rate_change"] = after / alerts - 1.0 if alerts else None
    if any(ABLATED in each.groups for each in found):
        kept, whole = _share(_sum(found, ABLATED), 1), _share(_sum(found, POSITIVES), 1)
        figures["corridor_ablated_recall_share"] = _ratio(kept, whole)
    return figures


def _named(found: Sequence[Found], first: str, figures: Any) -> dict[str, Any]:
    names = sorted({path[1] for each in found for path in each.groups if path[0] == first})
    return {name: figures(found, (first, name)) for name in names}


def _by_name(subjects: Subjects, truth: Truth, field: str, first: str, among: Flags) -> dict[Path, Flags]:
    names, of_line = truth.named(field)
    codes = of_line[subjects.lines]
    groups = {(first, name): (codes == at) & among for at, name in enumerate(names)}
    return {path: group for path, group in groups.items() if group.any()}


def _ranks(scores: Floats) -> Floats:
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    return np.asarray(((below + counts / 2) / max(1, len(scores)))[inverse])


def _sum(found: Sequence[Found], path: Path) -> Counted:
    counted = [each.groups[path] for each in found if path in each.groups]
    return Counted(
        sum(each.accounts for each in counted),
        sum(each.at_precision for each in counted),
        sum(each.at_budget for each in counted),
    )


def _share(counted: Counted, which: int) -> float | None:
    return counted[which] / counted.accounts if counted.accounts else None


def _ratio(of: float | None, over: float | None) -> float | None:
    return of / over if of is not None and over else None


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _least(values: Any) -> float | None:
    return min((value for value in values if value is not None), default=None)


def expectation(count: float) -> float:
    """A number of alerts to three digits, a whole number as such.

    >>> expectation(2.0), expectation(1 / 3)
    (2, 0.333)
    """
    rounded = round(float(count), 3)
    return int(rounded) if rounded == int(rounded) else rounded
