"""The assessment of drawn worlds: learn from those of some families, rank the subjects of others.

Results on synthetic data show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from models.kinds.kind import Share
from services.generator.stream_folder import configurations, world_names
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.rankers import Tell
from services.workbench.assessment.sources import Generated, Source
from services.workbench.assessment.streams import Checks, assess_streams
from services.workbench.assessment.subject_ranker import blind_of, rankers_of


@dataclass(frozen=True, slots=True)
class Worlds:
    """Runs of drawn worlds, the same number of each family.

    Parameters
    ----------
    held_out
        Whether of held-out families; else of those for training.
    payers, months, seed, base_rate
        Of each, as ``Configuration``; seeds differ between the worlds.
    each
        Worlds of each family.
    first
        The number of the first of them.
    """

    held_out: bool
    payers: int
    months: int
    seed: int
    base_rate: str
    each: int = 1
    first: int = 0

    def sources(self, swap_seed: int | None = None) -> list[Source]:
        """The runs, as worlds 0, 1, ...; with a ``swap_seed``, with destination countries permuted."""
        names = world_names(self.held_out, self.each, self.first)
        runs = configurations(names, self.payers, self.months, self.seed, self.base_rate)
        return [
            Generated(replace(run, swap_seed=swap_seed), number, name)
            for number, (name, run) in enumerate(zip(names, runs, strict=True))
        ]


def assess_worlds(
    ranked: Worlds,
    learned: list[Source],
    kind: str,
    ruleset: Ruleset,
    tell: Tell,
    share: Share,
    cases_max: int | None = None,
) -> dict[str, Any]:
    """Rank the subjects of ``ranked`` by what ships, or by what ``learned`` teaches a model of this ``kind``, of whose
    positive payers about ``cases_max`` are known; and again with destinations swapped, and by rankers that do not see
    countries.

    Returns
    -------
    As ``assess_streams``, with ``options``.
    """
    rankers = rankers_of(ruleset, kind, cases_max)
    checks = Checks(blind_of(ruleset, kind), ranked.sources(ranked.seed + 1))
    result = assess_streams(ranked.sources(), learned, rankers, ruleset, tell, share, checks)
    return {**result, "options": {**asdict(ranked), "kind": kind, "cases_max": cases_max}}
