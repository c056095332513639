"""From payments to alerts with all packs: what decisions find, what alerts then say, and whom they never speak of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contract.alert import Alert, Review
from services.contract.codec import decode
from services.contract.decision import Decision, ReviewDetail
from services.generator import AccountTruth, Configuration, Stream
from services.runtime.settings import load_settings
from services.scorer.path.alerts.alerter import Alerter
from services.scorer.path.features.registry import INDEX, feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Record
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.support.served import served_in

RULESET = load_ruleset(load_settings())
MODEL = untrained_model(feature_schema_hash(RULESET.parameters))


@dataclass(frozen=True)
class Seen:
    """All that one partition made of a stream."""

    truth: dict[tuple[str, str], AccountTruth]
    decisions: dict[str, ReviewDetail]
    """What a decision to review says, by its id."""
    features: dict[str, NDArray[np.float64]]
    """What it was made of."""
    reviews: list[Review]
    alerts: dict[str, Alert]


@pytest.fixture(scope="module")
def seen() -> Seen:
    stream = Stream(Configuration(payers=900, months=9, seed=4, base_rate=0.03, profile="remitter"))
    payer, payee, alerter = PayerHop(RULESET, "", 0, 1), PayeeHop(RULESET, "", 0, 1, 1), Alerter("", 0)
    decisions: dict[str, ReviewDetail] = {}
    features: dict[str, NDArray[np.float64]] = {}
    reviews: list[Review] = []
    alerts: dict[str, Alert] = {}
    offset = handed = reviewed = 0
    for chunk in stream.chunks():
        records = [
            Record(offset + at, ms, key, value)
            for at, (ms, key, value) in enumerate(zip(chunk.times_ms.tolist(), chunk.keys, chunk.values, strict=True))
        ]
        offset += len(records)
        handovers = payer.process(records, MODEL).outputs["payments_by_payee"]
        inner = [Record(handed + at, each.timestamp, each.key, each.value) for at, each in enumerate(handovers)]
        handed += len(inner)
        outputs = payee.process(inner, MODEL).outputs
        decided = [decode(each.value, Decision) for each in outputs["decisions"]]
        decisions.update((each.decision_id, each.review) for each in decided if each.review is not None)
        for served in (served_in(each.value) for each in outputs["features"]):
            features.update(zip(served.decision_ids(), served.features, strict=True))
        reviews += [decode(each.value, Review) for each in outputs["reviews"]]
        log = [
            Record(reviewed + at, each.timestamp, each.key, each.value) for at, each in enumerate(outputs["reviews"])
        ]
        reviewed += len(log)
        for each in alerter.process(log, MODEL).outputs["alerts"]:
            alert = decode(each.value, Alert)
            alerts[alert.alert_id] = alert
    truth = {(each.role, each.account): each for each in stream.accounts()}
    return Seen(truth, decisions, features, reviews, alerts)


def test_packs_speak_of_payers_of_the_kind_and_of_their_payees(seen: Seen) -> None:
    lsac = [each for each in seen.alerts.values() if each.queue == "lsac"]
    populations: dict[tuple[str, str], int] = defaultdict(int)
    for each in lsac:
        known = seen.truth.get((each.subject.role, each.subject.account))
        populations[each.subject.role, known.population if known else "background"] += 1
    assert populations["payer", "lsac"] >= 3
    assert populations["payee", "facilitator"] + populations["payee", "direct_beneficiary"] >= 3


def test_every_finding_adds_up_and_its_measurements_are_the_decisions_features(seen: Seen) -> None:
    found = 0
    for identity, decision in seen.decisions.items():
        for finding in decision.findings:
            total = finding.prior
            for each in (*finding.evidence, *finding.counter_evidence):
                total += each.weight
                assert seen.features[identity][INDEX[each.feature]] == each.measured
            assert total + finding.model == finding.score
            found += 1
    assert found > 20


def test_a_review_goes_to_each_subject_that_a_decision_speaks_of(seen: Seen) -> None:
    addressed: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for review in seen.reviews:
        pack = review.finding.pack if review.finding else None
        addressed[review.decision_id].add((review.subject.role, pack))
    for identity, decision in seen.decisions.items():
        expected = {(role, None) for role in decision.subjects} | {(each.role, each.pack) for each in decision.findings}
        assert addressed[identity] == expected, identity


def test_an_alert_shows_the_strongest_finding_among_the_payments_it_names(seen: Seen) -> None:
    shown = 0
    for alert in seen.alerts.values():
        if alert.finding is None or alert.payments_count > len(alert.payments):
            continue
        named = {each.decision_id for each in alert.payments}
        of_it = [
            each for identity in named for each in seen.decisions[identity].findings
            if (each.role, each.queue) == (alert.subject.role, alert.queue)
        ]  # fmt: skip
        assert alert.finding in of_it
        assert alert.finding.score == max(each.score for each in of_it)
        shown += 1
    assert shown > 3


def test_victims_of_extortion_are_never_in_the_lsac_queue(seen: Seen) -> None:
    victims = {account for (role, account), each in seen.truth.items() if role == "payer" and each.typology == "fsec"}
    assert victims
    assert not {each.subject.account for each in seen.alerts.values() if each.queue == "lsac"} & victims
