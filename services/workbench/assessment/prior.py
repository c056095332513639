"""The subject model that ships with a pack: learned on many drawn worlds, and what is to be said of it.

Results on synthetic data show that the software works as specified, not that it finds offenders.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from models.kinds import subject_boosting
from models.kinds.kind import Share
from services.generator import Configuration
from services.generator.stream_folder import configurations, world_names
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.subject_model import SubjectModel
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES, subject_schema_hash
from services.scorer.rulebook.pack_file import SUBJECT_CARD, SUBJECT_MODEL
from services.workbench.assessment.rankers import Tell
from services.workbench.assessment.replayed import Labelled
from services.workbench.assessment.sources import Generated
from services.workbench.assessment.streams import NOTE
from services.workbench.assessment.subject_learner import EARLIER, EARLIER_WEIGHT, OTHERS_MAX, PARTS, SubjectLearner

BASE_RATE = 1e-3
"""Of positive payers where it is to serve: the order of magnitude that the assessment works with, no published figure.
"""
SHOWN = 25
"""Features that the card names of each side, those that contribute most over the ensemble's splits."""


@dataclass(frozen=True, slots=True)
class PriorOptions:
    """What a prior learns from. Held-out families are never among it.

    Parameters
    ----------
    worlds_per_family
        Of each training family; beside them, as many runs of the stream that is no drawn world.
    payers, months, base_rate, seed
        Of each world.
    """

    worlds_per_family: int = 8
    payers: int = 3_000
    months: int = 18
    base_rate: str = "0.01"
    seed: int = 2_026


def learn_prior(
    options: PriorOptions, ruleset: Ruleset, tell: Tell, share: Share
) -> tuple[SubjectModel, dict[str, Any]]:
    """A subject model of drawn training worlds, and its card.

    Raises
    ------
    ImportError
        When LightGBM is not installed.
    """
    names = world_names(held_out=False, each=options.worlds_per_family, first=1_000)
    runs = configurations(names, options.payers, options.months, options.seed, options.base_rate)
    home = [
        Configuration(
            options.payers, options.months, options.seed + at, options.base_rate, profile="remitter", hard=at % 4 == 3
        )
        for at in range(options.worlds_per_family)
    ]
    named = [*zip(names, runs, strict=True), *((f"today's stream, {at}", run) for at, run in enumerate(home))]
    streams = [Labelled(Generated(run, at, name), ruleset) for at, (name, run) in enumerate(named)]
    learner = SubjectLearner(options.seed, base_rate=BASE_RATE)
    model = learner.learn(streams, tell, share)
    return model, card_of(model, options, learner.cases, len(streams))


def card_of(model: SubjectModel, options: PriorOptions, cases: int, worlds: int) -> dict[str, Any]:
    """The card (Mitchell et al. 2019) of a prior, as JSON."""
    sides = zip(("payers", "payees"), model.first, (PAYER_SUBJECT_NAMES, PAYEE_SUBJECT_NAMES), strict=True)
    return {
        "what": "A subject model: the log-odds that a payer or payee follows the pattern of the lsac pack's published "
        "indicators. It is synthetic, and no detector of offenders.",
        "hash": model.hash,
        "subject_schema_hash": subject_schema_hash(),
        "learned_from": {**asdict(options), "worlds": worlds, "positive_payers": cases},
        "calibrated_for_base_rate": BASE_RATE,
        "kind": {
            **subject_boosting.DEFINITION, "parts": PARTS, "earlier": EARLIER, "earlier_weight": EARLIER_WEIGHT,
            "others_max": OTHERS_MAX,
        },
        "most_telling": {name: _most_telling(forest, names) for name, forest, names in sides},
        "limits": [
            NOTE,
            "Learned from generated worlds alone, whose distributions rest on about ten published numbers.",
            "It serves until a deployment's own confirmed cases teach more, and then counts less with each.",
            "It sees no country as such, no nationality, name origin, religion, age or sex.",
            "A payee may be a victim; whoever is marked may have an innocent reason that payments do not show.",
        ],
    }  # fmt: skip


def save_prior(folder: Path, model: SubjectModel, card: dict[str, Any]) -> None:
    """Write model and card into a pack's folder.

    Raises
    ------
    OSError
        When a file cannot be written.
    """
    (folder / SUBJECT_MODEL).write_bytes(zlib.compress(model.packed, 9))
    written = orjson.dumps(card, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (folder / SUBJECT_CARD).write_bytes(written)


def _most_telling(forest: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Features by how much their splits move the score, summed over splits."""
    trees, moved = forest.trees, dict.fromkeys(range(len(names)), 0.0)
    inner = (~trees.leaves).nonzero()[0].tolist()
    for node in inner:
        left = int(trees.lefts[node])
        moved[int(trees.features[node])] += abs(float(forest.values[left + 1] - forest.values[left]))
    first = sorted(moved, key=lambda at: -moved[at])[:SHOWN]
    return [{"feature": names[at], "moves": round(moved[at], 3)} for at in first]
