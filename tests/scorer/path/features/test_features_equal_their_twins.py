"""Every feature that a kernel computes equals its naive twin, payment by payment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.contract.payment import Party, Payment
from services.scorer.path.features.identities import CONFLICT, DUPLICATE, FORWARD, STATUS_UPDATE
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.registry import FEATURES, INDEX, PAYEE_HOP, PAYER_HOP
from services.scorer.path.rules.ruleset import parse_ruleset
from tests.scorer.path.features.label_twin import PAYEE_LABEL_TWINS, PAYER_LABEL_TWINS
from tests.scorer.path.features.twin import EXACT as GENERAL_EXACT
from tests.scorer.path.features.twin import PAYEE_TWINS as GENERAL_PAYEE_TWINS
from tests.scorer.path.features.twin import PAYER_TWINS as GENERAL_PAYER_TWINS
from tests.scorer.path.features.twin import hyperloglog
from tests.scorer.path.features.twin_views import Verdict, View, payee_views, payer_views
from tests.scorer.path.features.typology_twin import PAYEE_TYPOLOGY, PAYER_TYPOLOGY, TYPOLOGY_EXACT, recent_payees
from tests.scorer.path.logs import (
    DAY_MS,
    HORIZON_MS,
    NO_HORIZON,
    PARAMETERS,
    START_MS,
    Log,
    Mixed,
    crowded_log,
    labelled,
    logs,
    mixed_logs,
    payment,
    remittance_log,
    seeded_log,
)
from tests.scorer.path.runs import LABELLED, payee_log, payee_matrix, payer_matrix, plain, run_payee, run_payer

MEASURED = tuple(feature.name for feature in (*PAYER_HOP, *PAYEE_HOP))
"""What the kernels compute: what is derived of it has its formula."""
PAYER_TWINS = GENERAL_PAYER_TWINS | PAYER_TYPOLOGY | PAYER_LABEL_TWINS
PAYEE_TWINS = GENERAL_PAYEE_TWINS | PAYEE_TYPOLOGY | PAYEE_LABEL_TWINS
EXACT = GENERAL_EXACT | TYPOLOGY_EXACT | {"payee_confirmed_run"}

SEEDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=30,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
VERDICTS: dict[Verdict, int] = {
    "forward": FORWARD, "duplicate": DUPLICATE, "status_update": STATUS_UPDATE, "conflict": CONFLICT,
}  # fmt: skip


class Both:
    """A log seen by the kernels and by the twins: features by row, and the views behind each row."""

    def __init__(self, log: Mixed, parameters: Parameters) -> None:
        payer = run_payer(log, parameters)
        views, verdicts = payer_views(log, parameters)
        self.verdicts = payer.verdicts
        self.twin_verdicts = [VERDICTS[verdict] for verdict in verdicts]
        self.payer_views = [view for view, verdict in zip(views, verdicts, strict=True) if verdict == "forward"]
        self.payer_rows = payer_matrix(payer)
        onward = payee_log(log, payer, parameters)
        signs = self.payer_rows[:, INDEX["remit_signs"]].tolist()
        recent = [recent_payees(view) for view in self.payer_views]
        over = self.payer_rows[:, INDEX["payer_amount_over_cleared"]].tolist()
        views_there = payee_views(plain(onward), parameters, signs, recent, over)
        self.payee_views = [view for view in views_there if view is not None]
        self.payee_rows = payee_matrix(run_payee(onward, parameters))

    def pairs(self, name: str) -> list[tuple[View, float, float]]:
        """(view, by the kernel, by the twin) of one feature for each payment that goes on."""
        at = INDEX[name]
        if at < len(PAYER_HOP):
            column, views, twin = self.payer_rows[:, at], self.payer_views, PAYER_TWINS[name]
        else:
            column, views, twin = self.payee_rows[:, at - len(PAYER_HOP)], self.payee_views, PAYEE_TWINS[name]
        return [(view, float(fast), twin(view)) for view, fast in zip(views, column, strict=True)]


both = lru_cache(maxsize=128)(Both)
"""The examples are the same for every feature, so kernels and views are computed once."""


def equal(name: str, fast: float, naive: float) -> bool:
    if math.isnan(fast) or math.isnan(naive):
        return math.isnan(fast) and math.isnan(naive)
    return fast == naive if name in EXACT else math.isclose(fast, naive, rel_tol=1e-9, abs_tol=1e-9)


def assert_equal(name: str, seen: Both) -> None:
    for at, (view, fast, naive) in enumerate(seen.pairs(name)):
        assert equal(name, fast, naive), (
            f"{name} of payment {at} ({view.payment.payment_id}, {len(view.past)} earlier): "
            f"kernel {fast!r}, twin {naive!r}"
        )


def test_every_feature_of_the_registry_has_a_twin_and_no_twin_is_left_over() -> None:
    assert (*PAYER_TWINS, *PAYEE_TWINS) == MEASURED


DRAWN = given(log=mixed_logs(), parameters=st.sampled_from([PARAMETERS, PARAMETERS, NO_HORIZON]))


@lru_cache(maxsize=1)
def drawn() -> list[tuple[Mixed, Parameters]]:
    """What Hypothesis draws: the same for every feature, and drawn once."""
    logs_drawn: list[tuple[Mixed, Parameters]] = []

    @SEEDED
    @DRAWN
    def keep(log: Mixed, parameters: Parameters) -> None:
        logs_drawn.append((log, parameters))

    keep()
    return logs_drawn


@pytest.mark.parametrize("name", MEASURED)
def test_a_feature_equals_its_twin(name: str) -> None:
    @SEEDED
    @DRAWN
    def shrink(log: Mixed, parameters: Parameters) -> None:
        assert_equal(name, both(log, parameters))

    try:
        for log, parameters in drawn():
            assert_equal(name, both(log, parameters))
    except AssertionError:
        shrink()
        raise


@pytest.mark.parametrize("name", MEASURED)
def test_a_feature_equals_its_twin_over_a_long_and_busy_history(name: str) -> None:
    log = seeded_log(seed=7, length=260, accounts=2, partners=90)
    assert_equal(name, both(labelled(log, seed=1), NO_HORIZON))


@pytest.mark.parametrize("name", [*PAYER_TYPOLOGY, *PAYEE_TYPOLOGY])
def test_a_feature_equals_its_twin_over_many_remittances(name: str) -> None:
    assert_equal(name, both(remittance_log(seed=5, length=330), NO_HORIZON))


@pytest.mark.parametrize("parameters", [NO_HORIZON, PARAMETERS], ids=["for ever", "until idle"])
@pytest.mark.parametrize("name", MEASURED)
def test_a_feature_equals_its_twin_where_more_come_than_are_remembered(name: str, parameters: Parameters) -> None:
    assert_equal(name, both(crowded_log(seed=3, length=450), parameters))


@settings(SEEDED, max_examples=200)
@given(log=logs(), parameters=st.sampled_from([PARAMETERS, NO_HORIZON]))
def test_a_repeat_is_recognised_exactly_when_the_twin_recognises_it(log: Log, parameters: Parameters) -> None:
    payments, verdicts = run_payer(log, parameters).verdicts, payer_views(log, parameters)[1]
    assert payments == [VERDICTS[verdict] for verdict in verdicts]


def test_the_logs_reach_what_they_are_meant_to_reach() -> None:
    """Guards the generator: a twin that never meets a case proves nothing about it."""
    seen = both(labelled(seeded_log(seed=11, length=400), seed=2), PARAMETERS)
    table = np.vstack(
        [
            np.hstack([each.payer_rows, each.payee_rows])
            for each in (seen, both(remittance_log(seed=5, length=330), NO_HORIZON))
        ]
    )
    for feature in FEATURES:
        column = table[:, INDEX[feature.name]]
        known = column[~np.isnan(column)]
        assert len(np.unique(known)) >= 2, f"{feature.name} never changes"
        if feature.needs:
            assert np.isnan(column).any(), f"{feature.name} is never missing"
    assert {FORWARD, DUPLICATE, STATUS_UPDATE, CONFLICT, LABELLED} == set(seen.verdicts)
    assert len({view.payment.payee.account for view in seen.payer_views}) > 12
    restarts = sum(1 for view in seen.payer_views if not view.past) - len(
        {(view.payment.tenant, view.payment.payer.account) for view in seen.payer_views}
    )
    assert restarts > 0, "no account is ever idle beyond the horizon"


def only(log: Sequence[Payment], name: str, parameters: Parameters = PARAMETERS) -> list[float]:
    """One feature of each payment of a log that has no repeats."""
    return [fast for _, fast, _ in both(tuple(log), parameters).pairs(name)]


@pytest.mark.parametrize("distinct", [0, 1, 5, 12, 40, 100, 160, 400, 2_000, 20_000])
def test_distinct_counts_are_within_three_standard_errors_of_the_exact_set(distinct: int) -> None:
    exact = {f"account-{at}" for at in range(distinct)}
    assert hyperloglog(exact) == pytest.approx(distinct, rel=3 * 1.04 / math.sqrt(64), abs=0.6)


def test_hundreds_of_payees_are_counted_by_the_kernel_as_by_the_twin() -> None:
    log = [payment(at, payee=Party(f"B{at}")) for at in range(700)]
    views, _ = payer_views([log[0]], NO_HORIZON)
    assert views[0].past == ()
    fast = payer_matrix(run_payer(log, NO_HORIZON))[:, INDEX["payer_payees_60d"]]
    for at in (0, 1, 2, 13, 100, 200, 300, 699):
        assert fast[at] == pytest.approx(hyperloglog({f"B{each}" for each in range(at)}), rel=1e-12)


def test_flags_are_flags_shares_are_shares_and_what_is_read_as_a_logarithm_is_never_negative() -> None:
    seen = both(labelled(seeded_log(seed=11, length=400), seed=2), PARAMETERS)
    table = np.hstack([seen.payer_rows[: len(seen.payee_rows)], seen.payee_rows])
    assert not np.isinf(table).any()
    for feature in FEATURES:
        column = table[:, INDEX[feature.name]]
        known = column[~np.isnan(column)]
        if feature.unit == "flag":
            assert set(known.tolist()) <= {0.0, 1.0}, feature.name
        if feature.unit == "share" and feature.name != "payee_passed_on_share_1d":
            assert known.min() >= 0.0, feature.name
            assert known.max() <= 1.0, feature.name
        if feature.scale == "log":
            assert known.min() >= 0.0, feature.name


# --- single cases that the words decide ------------------------------------------------------------------------------


def test_the_first_amount_after_unknown_amounts_has_nothing_to_be_compared_with() -> None:
    log = [payment(0, currency="USD"), payment(1, amount_minor=10_000)]
    assert only(log, "payer_amount_over_last") == pytest.approx([math.nan, math.nan], nan_ok=True)


def test_an_amount_after_years_without_a_known_amount_is_still_compared_with_the_history() -> None:
    log = [
        *(payment(at, amount_minor=5_000) for at in range(3)),
        *(payment(9, event_time_ms=START_MS + year * 300 * DAY_MS, currency="USD", payment_id=f"y-{year}")
          for year in range(1, 5)),
        payment(10, event_time_ms=START_MS + 1_200 * DAY_MS, amount_minor=500_000),
    ]  # fmt: skip
    expected = (math.log1p(5_000.0) - math.log1p(50.0)) / 0.1
    assert only(log, "payer_amount_deviation", NO_HORIZON)[-1] == pytest.approx(expected)


def test_a_late_payment_counts_as_of_the_accounts_present() -> None:
    log = [payment(0), payment(1, event_time_ms=START_MS - 30 * DAY_MS), payment(2, event_time_ms=START_MS)]
    assert only(log, "payer_payments_1h") == [0.0, 1.0, 2.0]
    assert only(log, "payer_gap") == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("idle_ms", "earlier"), [(HORIZON_MS, 1.0), (HORIZON_MS + 1, 0.0)])
def test_an_account_starts_afresh_only_beyond_the_horizon(idle_ms: int, earlier: float) -> None:
    log = [payment(0), payment(1, event_time_ms=START_MS + idle_ms)]
    assert only(log, "payer_payments_total") == [0.0, earlier]


def test_the_horizon_is_by_the_partitions_time_so_a_late_payment_finds_its_account_gone() -> None:
    log = [
        payment(0),
        payment(1, event_time_ms=START_MS + HORIZON_MS + 1, payer=Party("other"), payment_id="elsewhere"),
        payment(2, event_time_ms=START_MS + HORIZON_MS + 1, payer=Party("another"), payment_id="as well"),
        payment(3, event_time_ms=START_MS + 1),
    ]
    assert only(log, "payer_payments_total") == [0.0, 0.0, 0.0, 0.0]


SHIPPED_BOUNDS = [
    (code, bound, small, near)
    for code in ("EUR", "AED", "CNY", "CHF", "MYR", "MXN", "CZK", "IDR")
    for bound, small, near in ((10, 1.0, 0.0), (200, 1.0, 0.0), (8_000, 0.0, 1.0), (10_000, 0.0, 0.0))
]


@pytest.mark.parametrize(("code", "bound", "small", "near"), SHIPPED_BOUNDS)
def test_an_amount_exactly_on_a_bound_is_on_the_right_side_of_it(
    shipped: str, code: str, bound: int, small: float, near: float
) -> None:
    parameters = parse_ruleset(shipped).parameters
    minor = round(dict(parameters.rates)[code] * 100 * bound)
    found = payer_matrix(run_payer([payment(0, currency=code, amount_minor=minor)], parameters))[0]
    assert (found[INDEX["amount_is_small"]], found[INDEX["amount_is_near_threshold"]]) == (small, near)
