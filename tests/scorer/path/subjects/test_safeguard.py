"""When packs ask by what a model of subjects says: what carries an alert is never a single kind of behaviour."""

from __future__ import annotations

import numpy as np
import pytest

from services.contract.payment import Role
from services.scorer.path.asking.safeguard import CARRIES_SHARE, Safeguard, family_of
from services.scorer.path.features.registry import COUNTRY_FEATURES, FEATURES, INDEX, NAMES
from services.scorer.path.rules.families import FAMILY_OF, NO_FAMILY
from services.scorer.path.rules.pack import PackResults, Packs
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.subjects.facts import PAYEE_SUBJECT_NAMES, PAYER_SUBJECT_NAMES
from tests.support.subject_models import NAMES as SUBJECT_NAMES
from tests.support.subject_models import LinearSubjects
from tests.workbench.assessment.folders import RULESET

PACKS = Packs(RULESET.packs)
LSAC = next(at for at, pack in enumerate(PACKS.packs) if pack.name == "lsac")
ONE = np.array([0])


def payment(**told: float) -> PackResults:
    """What packs say of one remittance of which nothing else is told."""
    row = np.full((1, len(FEATURES)), np.nan)
    for name, value in {"is_remittance": 1.0, **told}.items():
        row[0, INDEX[name]] = value
    return PACKS.evaluate(row, np.zeros(1))


def asked(
    model: LinearSubjects, role: Role = "payer", results: PackResults | None = None, value: float = 1.0
) -> PackResults:
    """What the packs then ask for, of a subject all of whose features have one ``value``."""
    features = np.full((1, len(SUBJECT_NAMES[role])), value)
    found = payment() if results is None else results
    return Safeguard(PACKS, model).asked(found, role, ONE, features, model.risk(role, features))


def asks(model: LinearSubjects, role: Role = "payer", results: PackResults | None = None) -> bool:
    return bool(asked(model, role, results).review[0, LSAC, ROLES.index(role)])


BOTH = {"remit_rhythm_mean": 3.0, "remit_dropped_payees_mean": 3.0}
"""A temporal and a relationship feature."""


def test_a_risk_that_two_families_carry_asks_from_the_packs_score_on() -> None:
    limit = PACKS.packs[LSAC].combination.score_min
    assert asks(LinearSubjects(BOTH, bias=limit - 6.0))
    assert not asks(LinearSubjects(BOTH, bias=limit - 6.01))


@pytest.mark.parametrize(
    "weights",
    [
        {"remit_rhythm_mean": 9.0},
        {"remit_rhythm_mean": 4.0, "remit_sessions_180d_maximum": 4.0},
        {"remit_rhythm_mean": 4.0, "remit_rails_90d_last": 4.0, "reference_is_handle_mean": 4.0},
        {"is_cross_border_mean": 5.0, "reference_is_handle_mean": 5.0},
        {"model_evidence_mean": 9.0, "model_evidence_maximum": 9.0},
        {"remit_rhythm_mean": 9.0, "payer_age_last": 9.0},
        {"remit_rhythm_mean": 9.0, "remit_dropped_payees_mean": 0.9},
        {"remit_rhythm_mean": 9.0, "remit_dropped_payees_mean": 5.0, "remit_relation_life_mean": -5.0},
    ],
    ids=[
        "one feature", "one family", "one family with channel and text", "corridor and text", "the model alone",
        "one family with what tells of no behaviour", "a second family of little weight", "one that speaks for both",
    ],
)  # fmt: skip
def test_one_kind_of_behaviour_never_asks(weights: dict[str, float]) -> None:
    assert not asks(LinearSubjects(weights, bias=0.0))


def test_a_second_family_carries_from_a_tenth_on() -> None:
    weights = {
        "remit_rhythm_mean": 9.0,
        "remit_dropped_payees_mean": 9.0 * CARRIES_SHARE / (1.0 - CARRIES_SHARE) + 1e-9,
    }
    assert asks(LinearSubjects(weights, bias=0.0))


def test_model_and_indicators_are_taken_together() -> None:
    temporal = LinearSubjects({"remit_rhythm_mean": 2.0}, bias=0.0)
    small = payment(remit_amount_against_corridor_180d=-1.0, remit_payments_180d=5.0)  # A1b, of the family amount
    assert asks(temporal, results=small)
    assert not asks(temporal, results=payment(remit_amount_against_corridor_180d=-1.0, remit_payments_180d=1.0))


def test_words_of_others_are_network() -> None:
    assert asks(LinearSubjects({"others_highest_mean": 3.0, "remit_rhythm_mean": 3.0}, bias=0.0))
    assert asks(LinearSubjects({"payers_highest": 3.0, "payee_small_new_payers_180d_mean": 3.0}, bias=0.0), "payee")


def test_a_silent_pack_asks_for_nothing_but_what_is_immediate() -> None:
    silent = {"pair_age": 1.0, "payer_payments_7d": 2.0, "remit_dropped_payees": 0.0}
    assert not asks(LinearSubjects(BOTH), results=payment(**silent))
    found = asked(LinearSubjects({}, bias=-9.0), results=payment(payee_is_confirmed=1.0, **silent))
    assert found.review[0, LSAC, 0]
    assert found.risk[0, LSAC, 0] == -9.0


def test_only_packs_that_hear_a_model_ask_by_it() -> None:
    before, after = payment(), asked(LinearSubjects(BOTH, bias=9.0))
    others = [at for at in range(len(PACKS.packs)) if at != LSAC]
    assert Safeguard(PACKS, LinearSubjects(BOTH)).hearing == [LSAC]
    np.testing.assert_array_equal(after.review[:, others], before.review[:, others])
    np.testing.assert_array_equal(after.risk[:, others], before.risk[:, others])


def test_nothing_is_asked_of_a_payment_to_which_the_pack_does_not_apply() -> None:
    assert not asks(LinearSubjects(BOTH, bias=9.0), results=payment(is_remittance=0.0))


def test_the_other_hop_asks_for_nothing_but_what_is_immediate() -> None:
    safeguard = Safeguard(PACKS, LinearSubjects(BOTH))
    results = payment(payee_is_confirmed=1.0)
    assert safeguard.only_immediate(results, "payer").review[0, LSAC].tolist() == [True, True]
    told = results._replace(review=np.ones_like(results.review), immediate=np.zeros_like(results.immediate))
    left = safeguard.only_immediate(told, "payer")
    assert left.review[0, LSAC].tolist() == [False, True]
    assert left.review.sum() == told.review.sum() - 1


def test_a_finding_tells_the_risk_what_carries_it_and_why() -> None:
    model = LinearSubjects({**BOTH, "amount_mean": -1.0, "reference_is_handle_mean": 0.1}, bias=-1.0)
    found = PACKS.finding(asked(model), 0, LSAC, "payer")
    assert found.subject is not None
    assert found.score == model.risk("payer", np.ones((1, len(PAYER_SUBJECT_NAMES))))[0]
    assert found.subject.model == model.hash
    assert found.subject.families == ("temporal", "relationship")
    told = [(each.feature, each.value, each.contribution) for each in found.subject.reasons]
    assert told == [
        ("remit_rhythm_mean", 1.0, 3.0),
        ("remit_dropped_payees_mean", 1.0, 3.0),
        ("reference_is_handle_mean", 1.0, 0.1),
    ]
    assert (found.model, found.would_end) == (0.0, ())


def test_every_feature_has_a_family_or_is_named_as_one_without() -> None:
    assert set(FAMILY_OF) | set(NO_FAMILY) == set(NAMES)
    assert not set(FAMILY_OF) & set(NO_FAMILY)
    assert {FAMILY_OF[name] for name in COUNTRY_FEATURES} == {"channel"}
    untold = {
        name.rpartition("_")[0] for name in (*PAYER_SUBJECT_NAMES, *PAYEE_SUBJECT_NAMES) if family_of(name) is None
    }
    assert untold == {*NO_FAMILY, "model_evidence"}
