"""Records that are right, from which the mutations start. Every name in them holds ``SECRET``: none may be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from msgspec import structs

from services.bench.kernels import random_forest
from services.contract.alert import Review, Snooze, Subject
from services.contract.announcement import ModelAnnouncement, Promotion
from services.contract.codec import encode
from services.contract.decision import Evidence, Finding, Reason, RuleResult
from services.contract.events import SNOOZE, Headers, cloud_event
from services.contract.label import Example, Label, PaymentLabel
from services.contract.payment import Party, Payment
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import FEATURES, feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound, Record, no_mark
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.ensemble import EnsembleModel, announcement_of
from services.scorer.path.scoring.halfspace import AnomalyModel
from services.scorer.path.scoring.model import LogisticModel
from services.scorer.path.scoring.votes import VotingModel
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.shadow.roster import Challenger
from services.shadow.scoring import Shadow
from tests.learner.streams import features_of
from tests.scorer.path.scoring.test_other_models import any_correction, any_halfspace, any_votes

START_MS = 1_700_000_000_000
STEP_MS = 7_200_000
APPENDED_MS = START_MS + 300 * 86_400_000
ACCOUNTS = 7


@dataclass(frozen=True)
class Seed:
    """A record's key, value and headers."""

    key: bytes | None
    value: bytes
    headers: Headers


@cache
def ruleset() -> Ruleset:
    """The one that ships, with all packs."""
    return load_ruleset(load_settings())


@cache
def schema() -> str:
    """Its feature schema."""
    return feature_schema_hash(ruleset().parameters)


@cache
def scorer() -> LogisticModel:
    """A model under which a good part of the payments goes to review."""
    rng = np.random.default_rng(3)
    count = len(FEATURES)
    weights, means, scales = rng.normal(size=count) * 0.3, rng.random(count), rng.random(count) + 0.5
    return LogisticModel(3, schema(), -2.0, weights, means, scales, 0.4)


def payment(at: int) -> Payment:
    """Remittances and others, few accounts, so that state is met again."""
    return Payment(
        payment_id=f"SECRET-{at}",
        event_time_ms=START_MS + at * STEP_MS,
        amount_minor=(at % 9 + 1) * 700,
        currency=("EUR", "PHP", "JPY", "BHD")[at % 4],
        payer=Party(f"SECRET-{at % ACCOUNTS}", country="DE" if at % 3 else None, device=f"SECRET-{at % 4}"),
        payee=Party(f"SECRET-{at % 5}", country="PH", phone=f"SECRET-{at % 3}", opened_ms=START_MS, minor=at % 11 == 0),
        utc_offset_minutes=60,
        received_amount_minor=1_000 if at % 2 else None,
        received_currency="PHP" if at % 2 else None,
        rail=("remitter", "wallet", None)[at % 3],
        status=("accepted", "accepted", "rejected", "attempted")[at % 4],
        reference=("SECRET for school", "@SECRET99", None)[at % 3],
        merchant_category=("5967", None, None, "4722")[at % 4],
        relationship="none" if at % 2 else None,
    )


@cache
def payments() -> list[Seed]:
    """Of ``payments.v1``."""
    made = [payment(at) for at in range(40)]
    return [
        Seed(each.payer.account.encode(), encode(each), cloud_event("payment.v1", each.payment_id)) for each in made
    ]


@cache
def payment_labels() -> list[Seed]:
    """Of ``payments.v1`` too."""
    made = []
    for at in range(20):
        of = payment(at)
        label = PaymentLabel(
            of.payment_id, of.payer.account, of.payee.account, of.event_time_ms, at % 2 == 0, 12.5 * at, 1.0 * at
        )
        made.append(Seed(label.payer.encode(), encode(label), cloud_event("payment-label.v1", "SECRET")))
    return made


def seeded(outputs: Sequence[Outbound]) -> list[Seed]:
    """Outputs of one hop as seeds of the next."""
    return [Seed(each.key, each.value, each.headers) for each in outputs]


@cache
def handovers() -> list[Seed]:
    """Of ``payments.by-payee.v1``: batches of payments, notes and labels."""
    log = [each for pair in zip(payments(), payment_labels() * 2, strict=True) for each in pair]
    records = [Record(at, APPENDED_MS, each.key, each.value, each.headers) for at, each in enumerate(log)]
    hop = PayerHop(ruleset(), "payments.v1", 0, 1)
    made = [hop.process(records[start : start + 8], scorer()) for start in range(0, len(records), 8)]
    return [seed for each in made for seed in seeded(each.outputs["payments_by_payee"])]


@cache
def decided() -> tuple[list[Seed], list[Seed]]:
    """Of ``decisions.v1`` and of ``reviews.by-subject.v1``."""
    outputs = PayeeHop(ruleset(), "by-payee", 0, 1, 1).process(handed(), scorer()).outputs
    return seeded(outputs["decisions"]), seeded(outputs["reviews"])


@cache
def evidence() -> list[Seed]:
    """Of ``evidence.by-payer.v1``: batches of a few payments under a pack each."""
    hop = PayeeHop(ruleset(), "by-payee", 0, 1, 1)
    log = handed()
    made = [hop.process(log[start : start + 2], scorer()) for start in range(0, len(log), 2)]
    return [seed for each in made for seed in seeded(each.outputs["evidence"])]


@cache
def served() -> list[Seed]:
    """Of ``features.v1``: batches of a few decisions each."""
    hop = PayeeHop(ruleset(), "by-payee", 0, 1, 1)
    log = handed()
    made = [hop.process(log[start : start + 2], scorer()) for start in range(0, len(log), 2)]
    return [seed for each in made for seed in seeded(each.outputs["features"])]


@cache
def shadow_scores() -> list[Seed]:
    """Of ``shadow-scores.v1``."""
    log = [Record(at, APPENDED_MS, each.key, each.value) for at, each in enumerate(served())]
    challengers = [Challenger(scorer().hash, "logistic", scorer())]
    return seeded(Shadow(schema(), 0).process(log, challengers, no_mark).outputs["shadow_scores"])


def handed() -> list[Record]:
    """What is handed over, as the payee hop reads it."""
    return [Record(at, APPENDED_MS, each.key, each.value) for at, each in enumerate(handovers())]


@cache
def reviews() -> list[Seed]:
    """Reviews, with findings and without."""
    evidence = tuple(Evidence(f"T{at}", "temporal", "amount", 0.5, 0.4, "share", "w", 1.0, "r", "s") for at in range(3))
    made = []
    for at in range(12):
        finding = Finding("lsac", "h", "payer", "lsac", "SECRET", 1.0 * at, -7.0, 0.5, evidence, immediate=at % 5 == 0)
        made.append(
            Review(
                Subject("payer" if at % 2 else "payee", f"SECRET-{at % 3}"), "lsac" if at % 3 else "general", f"d-{at}",
                f"SECRET-{at}", "default", START_MS + at * STEP_MS, 100, "EUR", 0.5 * at, 0.1 * (at % 10),
                (Reason("amount", 1.0, 0.5),), (RuleResult("burst", "hit", measured=4.5),), "m", "s",
                finding if at % 3 else None,
            )
        )  # fmt: skip
    return [
        *decided()[1],
        *(
            Seed(each.subject.account.encode(), encode(each), cloud_event("review.v1", each.decision_id))
            for each in made
        ),
    ]


@cache
def snoozes() -> list[Seed]:
    """Of the same topic."""
    made = [
        Snooze(f"SECRET-{at}", Subject("payer" if at % 2 else "payee", f"SECRET-{at % 3}"), "lsac",
               START_MS + at * 40 * STEP_MS, reason="SECRET")
        for at in range(8)
    ]  # fmt: skip
    return [Seed(each.subject.account.encode(), encode(each), cloud_event(SNOOZE, each.snooze_id)) for each in made]


@cache
def labels() -> list[Seed]:
    """Of ``labels.v1``."""
    made = [
        Label(f"l-{at}", f"SECRET-{at % 30}", "suspicious" if at % 2 else "not_suspicious", START_MS + at * STEP_MS)
        for at in range(20)
    ]
    return [Seed(each.payment_id.encode(), encode(each), cloud_event("label.v1", each.label_id)) for each in made]


@cache
def examples() -> list[Seed]:
    """Of ``examples.v1``."""
    draw = random.Random(5)
    made = [
        Example(
            f"e-{at}", f"SECRET-{at}", "default", START_MS + at, START_MS + at * STEP_MS, at % 3 == 0, 1.5, "analyst",
            features_of(draw, at % 3 == 0), schema(), -3.0, "3" * 64, f"SECRET-{at % 4}",
        )
        for at in range(12)
    ]  # fmt: skip
    return [Seed(each.payment_id.encode(), encode(each), []) for each in made]


@cache
def announcements() -> list[ModelAnnouncement]:
    """One of each kind that an announcement can carry whole."""
    rng = np.random.default_rng(7)
    forest = replace(random_forest(rng, count=4, leaves=6, depth=4), feature_schema_hash=schema())
    votes = replace(any_votes(4), feature_schema_hash=schema())
    halfspace = replace(any_halfspace(4), feature_schema_hash=schema())
    correction = replace(any_correction(4), feature_schema_hash=schema())
    plain = announcement_of("general", EnsembleModel(forest, 0.5), START_MS, 5, challenger=True)
    corrected_forest = announcement_of("general", EnsembleModel(forest, 0.5), START_MS, 6, challenger=True)
    return [
        announcement_of("line", scorer(), START_MS, 9),
        plain,
        structs.replace(corrected_forest, correction=correction.packed),
        announcement_of("votes", VotingModel(votes, 0.5), START_MS, 7, challenger=True),
        announcement_of("halfspace", AnomalyModel(halfspace, 0.5), START_MS, 8, challenger=True),
    ]


@cache
def announced() -> list[Seed]:
    """Of ``models.v1``, the promotion among them."""
    said = [Seed(f"{each.name}/{each.version}".encode(), encode(each), []) for each in announcements()]
    return [*said, Seed(b"champion", encode(Promotion(announcements()[0], ("line/1", "line/2"))), [])]
