"""Rulesets: the shipped one is sound, and one that could not do what it says is refused by name."""

from __future__ import annotations

import re

import pytest

from services.contract.codes import CURRENCY_EXPONENT
from services.scorer.path.features.registry import NAMES
from services.scorer.path.rules.condition import Condition, RulesetError
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.ruleset import parse_ruleset

SMALL = """
name = "small"
version = 1

[parameters]
small_from = 10.0
small_to = 200.0
near_threshold_from = 8000.0
near_threshold_to = 10000.0

[review]
rule_hits_min = 3
families_min = 2
queue = "general"

[[rule]]
id = "burst"
statement = "Several payees paid for the first time"
family = "relationship"
subject = "payer"
measure = { feature = "payer_new_payees_1d", at_least = 3.0 }
conditions = [{ feature = "pair_is_new", at_least = 1.0 }]

[[rule]]
id = "velocity"
statement = "Many payments"
family = "temporal"
subject = "payer"
measure = { feature = "payer_payments_1h", below = 6.0 }

[rates]
EUR = 1.0
GBP = 0.86
"""


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) >= 1, f"the test's own text has no {old!r}"
    return SMALL.replace(old, new, 1)


# --- the shipped ruleset ---------------------------------------------------------------------------------------------


def test_the_shipped_ruleset_parses_and_has_at_least_eight_rules(shipped: str) -> None:
    ruleset = parse_ruleset(shipped)
    assert len(ruleset.rules) >= 8
    assert len({rule.id for rule in ruleset.rules}) == len(ruleset.rules)


def test_the_shipped_ruleset_has_the_general_rules_that_were_promised(shipped: str) -> None:
    assert {rule.id for rule in parse_ruleset(shipped).rules} >= {
        "new-payee-burst", "fan-in-unrelated-payers", "structuring-below-threshold", "rapid-in-out",
        "dormant-account-wakes", "retry-after-rejection", "test-then-large", "amount-far-from-history",
    }  # fmt: skip


def test_every_shipped_rule_names_known_features_and_can_be_evaluated(shipped: str) -> None:
    ruleset = parse_ruleset(shipped)
    assert {bound.feature for rule in ruleset.rules for bound in rule.bounds} <= set(NAMES)
    assert Rules(ruleset).ruleset is ruleset


def test_every_shipped_rule_can_reach_review_with_others_of_other_families(shipped: str) -> None:
    ruleset = parse_ruleset(shipped)
    assert len({rule.family for rule in ruleset.rules}) >= ruleset.review.families_min >= 2
    assert len(ruleset.rules) >= ruleset.review.rule_hits_min >= 3


def test_no_shipped_rule_measures_a_half_of_a_flag_or_bounds_a_feature_twice(shipped: str) -> None:
    for rule in parse_ruleset(shipped).rules:
        features = [bound.feature for bound in rule.bounds]
        assert len(set(features)) == len(features), rule.id
        assert rule.statement.strip(), rule.id


def test_shipped_rates_are_of_known_currencies_and_the_euro_is_one(shipped: str) -> None:
    rates = dict(parse_ruleset(shipped).parameters.rates)
    assert rates["EUR"] == 1.0
    assert set(rates) <= set(CURRENCY_EXPONENT)


@pytest.mark.parametrize(("code", "minor"), [("EUR", 100), ("JPY", 172), ("KWD", 350), ("GBP", 86)])
def test_a_minor_unit_is_worth_what_exponent_and_rate_say(shipped: str, code: str, minor: int) -> None:
    worth = parse_ruleset(shipped).parameters.eur_per_minor_unit()
    assert minor * worth[code] == pytest.approx(1.0)


# --- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("not TOML", SMALL + "[", "not TOML"),
    ("empty", "", "name"),
    ("no name", changed('name = "small"\n', ""), "name"),
    ("no version", changed("version = 1", ""), "version"),
    ("version in words", changed("version = 1", 'version = "one"'), "version"),
    ("no parameters", changed("[parameters]", "[review2]"), "review2|parameters"),
    ("no small_from", changed("small_from = 10.0\n", ""), "small_from"),
    ("a band in words", changed("small_to = 200.0", 'small_to = "200"'), "small_to"),
    ("an unknown band", changed("small_to = 200.0", "small_to = 200.0\ntiny_to = 1.0"), "tiny_to"),
    ("no review", changed('[review]\nrule_hits_min = 3\nfamilies_min = 2\nqueue = "general"', ""), "review"),
    ("no queue", changed('queue = "general"\n', ""), "queue"),
    ("hits in halves", changed("rule_hits_min = 3", "rule_hits_min = 2.5"), "rule_hits_min"),
    ("no rates", SMALL.replace("[rates]\nEUR = 1.0\nGBP = 0.86\n", ""), "rates"),
    ("a rate of 0", changed("GBP = 0.86", "GBP = 0.0"), "GBP"),
    ("a negative rate", changed("GBP = 0.86", "GBP = -1.0"), "GBP"),
    ("a rate that is no number", changed("GBP = 0.86", "GBP = nan"), "GBP"),
    ("an unknown currency", changed("GBP = 0.86", "GPB = 0.86"), "GPB"),
    ("two rules of one id", changed('id = "velocity"', 'id = "burst"'), "same id"),
    ("a rule without id", changed('id = "velocity"\n', ""), "id"),
    *((f"a rule called {name!r}", changed('id = "velocity"', f"id = {name!r}"), "rule.*id")
      for name in ("", "a,b", 'a"b', "v\u00e4", "two words", "-x", "x" * 65)),
    ("an unknown key in a rule", changed('id = "velocity"', 'id = "velocity"\nweight = 2'), "weight"),
    ("an unknown family", changed('family = "temporal"', 'family = "vibes"'), "family"),
    ("an unknown subject", changed('subject = "payer"', 'subject = "bank"'), "subject"),
    ("no measure", changed('measure = { feature = "payer_payments_1h", below = 6.0 }', ""), "measure"),
    ("no bound", changed("below = 6.0", ""), "not TOML|velocity"),
    ("neither bound", changed(', below = 6.0 }', " }"), "velocity.*payer_payments_1h"),
    ("both bounds", changed("below = 6.0", "below = 6.0, at_least = 1.0"), "velocity.*payer_payments_1h"),
    ("no bound in a condition", changed('"pair_is_new", at_least = 1.0', '"pair_is_new"'), "burst.*pair_is_new"),
    ("an unknown key in a bound", changed("below = 6.0", "under = 6.0"), "under"),
    ("a bound in words", changed("below = 6.0", 'below = "6"'), "below"),
    ("an unknown feature", changed('"payer_payments_1h"', '"payer_payment_1h"'), "velocity.*payer_payment_1h"),
]  # fmt: skip
"""What is wrong, the text, and what the message must name."""

NEVER_AS_WRITTEN = [
    ("a bound that is no number", changed("below = 6.0", "below = nan"), "velocity|below"),
    ("a bound that nothing reaches", changed("at_least = 3.0", "at_least = inf"), "burst|at_least"),
    ("a rate without end", changed("GBP = 0.86", "GBP = inf"), "GBP"),
    ("a band that is no number", changed("small_to = 200.0", "small_to = nan"), "small_to"),
    ("a band upside down", changed("small_to = 200.0", "small_to = 5.0"), "small_to|small_from"),
    ("a threshold band upside down", changed("near_threshold_to = 10000.0", "near_threshold_to = 1.0"), "near_thresh"),
    ("no hits needed", changed("rule_hits_min = 3", "rule_hits_min = 0"), "rule_hits_min"),
    ("a negative number of families", changed("families_min = 2", "families_min = -1"), "families_min"),
    ("a euro that is not one", changed("EUR = 1.0", "EUR = 2.0"), "EUR"),
    ("no euro", changed("EUR = 1.0\n", ""), "EUR"),
    ("a version beyond 64 bits", changed("version = 1", "version = 100000000000000000000"), "version"),
    ("no rules", re.sub(r"\[\[rule\]\].*(?=\[rates\])", "", changed('name = "small"', 'name = "small"\nrule = []'),
                        flags=re.DOTALL), "rule"),
    ("a rule with an empty id", changed('id = "velocity"', 'id = ""'), "id"),
]  # fmt: skip
"""Files that read well and could not do what they say."""


def read(text: str) -> Rules:
    return Rules(parse_ruleset(text))


def test_the_text_that_the_mistakes_are_made_in_is_right_itself() -> None:
    assert [rule.id for rule in read(SMALL).ruleset.rules] == ["burst", "velocity"]


@pytest.mark.parametrize(("text", "named"), [pytest.param(*rest, id=why) for why, *rest in MISTAKES])
def test_a_mistake_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(RulesetError, match=named):
        read(text)


@pytest.mark.parametrize(("text", "named"), [pytest.param(*rest, id=why) for why, *rest in NEVER_AS_WRITTEN])
def test_a_ruleset_that_could_not_do_what_it_says_is_refused_and_named(text: str, named: str) -> None:
    with pytest.raises(RulesetError, match=named):
        read(text)


def test_the_threshold_of_a_condition_is_its_bound_even_when_that_is_zero() -> None:
    assert Condition("amount", at_least=0.0).threshold == 0.0
    assert Condition("amount", below=0.0).threshold == 0.0


# --- the hash --------------------------------------------------------------------------------------------------------

CHANGES = [
    ('name = "small"', 'name = "other"'),
    ("version = 1", "version = 2"),
    ("small_from = 10.0", "small_from = 10.5"),
    ("near_threshold_to = 10000.0", "near_threshold_to = 9999.0"),
    ("rule_hits_min = 3", "rule_hits_min = 4"),
    ("families_min = 2", "families_min = 1"),
    ('queue = "general"', 'queue = "other"'),
    ('id = "burst"', 'id = "bursts"'),
    ("Many payments", "Many payments."),
    ('family = "temporal"', 'family = "amount"'),
    ('subject = "payer"', 'subject = "payee"'),
    ('"payer_payments_1h"', '"payer_payments_1d"'),
    ("below = 6.0", "at_least = 6.0"),
    ("at_least = 3.0", "at_least = 3.0000000000000004"),
    ('conditions = [{ feature = "pair_is_new", at_least = 1.0 }]', ""),
    ("GBP = 0.86", "GBP = 0.87"),
    ("GBP = 0.86\n", ""),
]


def test_the_hash_changes_with_any_change_of_content() -> None:
    hashes = [parse_ruleset(SMALL).hash, *(parse_ruleset(changed(*change)).hash for change in CHANGES)]
    hashes.append(parse_ruleset(SMALL, account_idle_days=399).hash)
    assert len(set(hashes)) == len(CHANGES) + 2


def test_the_hash_does_not_change_with_comments_white_space_or_the_order_of_keys() -> None:
    same = changed("version = 1", "# a remark\nversion   =   1\n\n").replace(
        "small_from = 10.0\nsmall_to = 200.0", "small_to = 200.0\nsmall_from = 10.0"
    )
    assert parse_ruleset(same).hash == parse_ruleset(SMALL).hash


def test_the_order_of_rules_is_content() -> None:
    head, first, rest = SMALL.split("[[rule]]")
    second, rates = rest.split("[rates]")
    swapped = f"{head}[[rule]]{second}[[rule]]{first}[rates]{rates}"
    assert parse_ruleset(swapped).hash != parse_ruleset(SMALL).hash


def test_the_retention_horizon_is_taken_in_days() -> None:
    assert parse_ruleset(SMALL, account_idle_days=2).parameters.account_idle_ms == 172_800_000
