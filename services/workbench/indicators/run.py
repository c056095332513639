"""``tocsin pack weigh``: follow each world once, and say what its indicators are worth across all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.kinds.kind import Share
from models.measures import Floats
from services.contract.errors import TocsinError
from services.scorer.path.rules.pack import HIT, MISSING
from services.scorer.path.rules.pack_format import ROLES, Indicator, Pack
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.rankers import Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.sources import Source
from services.workbench.assessment.streams import NOTE
from services.workbench.indicators.counts import OTHERS, POSITIVES, Counts, Tally, World
from services.workbench.indicators.estimate import Pooled, Ratios
from services.workbench.indicators.weigh import Weighed, asked, weighed

LABEL = "lsac"
"""Whose payers worlds know the truth of."""
GROUPS = {"positives": POSITIVES, "others": OTHERS}
BLIND_SHARE = 0.5
"""An indicator that cannot be measured of more of a world's payments is blind there."""
_DIGITS = 4


class CannotWeighError(TocsinError, ValueError):
    """A pack that worlds say nothing of. The message names it."""

    exit_code = 2


def follow(pack: Pack, sources: Sequence[Source], ruleset: Ruleset, tell: Tell, share: Share) -> list[World]:
    """What ``pack`` says in each of ``sources``, followed one after the other. Memory: that of the path and a byte an
    indicator and payment of one world, and of each world what was said together of each subject.

    Raises
    ------
    CannotWeighError
        When the pack looks for what no world knows the truth of.
    """
    if pack.label != LABEL:
        raise CannotWeighError(f"{pack.name}: its label is {pack.label!r}; worlds know the truth of {LABEL!r} only")
    worlds = []
    for number, source in enumerate(sources, start=1):
        tell(f"world {number} of {len(sources)}: {source.name}")
        stream = Labelled(source, ruleset)
        tally = Tally(pack, stream.truth)
        for batch in stream.batches(share):
            tally.take(batch)
        worlds.append(tally.world(source.name))
    return worlds


def weigh(pack: Pack, worlds: Sequence[World], options: dict[str, Any], prior: float | None = None) -> dict[str, Any]:
    """The result as JSON: ``indicators`` in the order of the pack, with weight, interval and why; ``worlds``;
    ``prior``, and about how many the pack asks without a model; the ``options`` that made it; and the ``note`` that
    goes with every figure. With a ``prior``, that one stands; else the one with which as many others are asked about.
    """
    found, ratios, mean = weighed(pack, worlds, prior)
    before = np.array([each.weight for each in pack.indicators])
    priors = {"before": (before, pack.prior), "after": (found.weights, found.prior)}
    return {
        "pack": pack.name,
        "prior": {"before": pack.prior, "after": found.prior},
        "asked": {
            name: dict(zip(("others", "positives"), asked(pack, worlds, *each), strict=True))
            for name, each in priors.items()
        },
        "unit": _number(found.unit),
        "indicators": [
            _indicator(indicator, at, worlds, found, ratios, mean) for at, indicator in enumerate(pack.indicators)
        ],
        "worlds": [
            {
                "world": world.name,
                **{
                    f"{role}s": dict(zip(("others", "positives"), counts.subjects.tolist(), strict=True))
                    for role, counts in zip(ROLES, world.counts, strict=True)
                },
            }
            for world in worlds
        ],
        "options": options,
        "note": NOTE,
    }


def _indicator(
    indicator: Indicator, at: int, worlds: Sequence[World], found: Weighed, ratios: Ratios, mean: Pooled
) -> dict[str, Any]:
    measured = int(mean.worlds[at]) > 0
    return {
        "id": indicator.id,
        "statement": indicator.statement,
        "family": indicator.family,
        "source": indicator.source.tag,
        "innocent": indicator.counters,
        "before": indicator.weight,
        "weight": float(found.weights[at]),
        "why": found.why[at],
        "interval": [float(found.low[at]), float(found.high[at])] if measured else None,
        "log_ratio": {
            name: _number(float(getattr(mean, name)[at])) for name in ("mean", "low", "high", "spread", "error")
        },
        "roles": {
            role: _role([world.counts[ROLES.index(role)] for world in worlds], at) for role in indicator.subjects
        },
        "worlds": [
            {
                "world": world.name,
                **{
                    name: _number(float(getattr(ratios, attribute)[row, at]))
                    for name, attribute in (("log_ratio", "value"), ("low", "low"), ("high", "high"))
                },
            }
            for row, world in enumerate(worlds)
        ],
    }


def _role(counts: Sequence[Counts], at: int) -> dict[str, Any]:
    """Of one role and indicator: shares in the median world and their range, by group."""
    told: dict[str, Any] = {}
    for name, group in GROUPS.items():
        payments = np.array([each.payments[group, :, at] for each in counts], dtype=np.float64)
        known = payments.sum(axis=1) - payments[:, MISSING]
        subjects = np.array([each.measured[group, at] for each in counts], dtype=np.float64)
        told[name] = {
            "payments_hit": _range(_ratio(payments[:, HIT], known)),
            "payments_missing": _range(_ratio(payments[:, MISSING], payments.sum(axis=1))),
            "subjects_hit": _range(_ratio(np.array([float(each.ever[group, at]) for each in counts]), subjects)),
        }
    missing = [float(each.payments[:, MISSING, at].sum() / max(each.payments[:, :, at].sum(), 1)) for each in counts]
    told["worlds_blind"] = sum(share > BLIND_SHARE for share in missing)
    return told


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0.0))


def _range(shares: Floats) -> dict[str, float | None]:
    known = shares[~np.isnan(shares)]
    if not len(known):
        return {"median": None, "low": None, "high": None}
    return {
        "median": _number(float(np.median(known))),
        "low": _number(float(known.min())),
        "high": _number(float(known.max())),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, _DIGITS) + 0.0
