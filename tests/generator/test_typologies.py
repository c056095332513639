"""What the populations do, read back from the payments as they were written."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
import orjson
import pytest

from services.contract.codes import CURRENCY_EXPONENT
from services.generator import AccountTruth, Configuration, PaymentTruth, Stream
from services.generator.chance import generator
from services.generator.lsac import draw_n, draw_series, draw_sub_type, mix_moments
from services.generator.parameters import shipped_parameters
from services.generator.rows import PAYMENT
from tests.generator.conftest import RICH, Run, run_of

Payments = list[dict[str, Any]]
PARAMETERS = shipped_parameters()
HOUR_MS = 3_600_000


def eur(payment: dict[str, Any]) -> float:
    units = payment["amount_minor"] / 10 ** CURRENCY_EXPONENT[payment["currency"]]
    return float(units / PARAMETERS.rates_per_eur[payment["currency"]])


def by_payer(payments: Payments) -> dict[str, Payments]:
    found: dict[str, Payments] = defaultdict(list)
    for payment in payments:
        found[payment["payer"]["account"]].append(payment)
    return found


def of_typology(payments: Payments, typologies: dict[str, PaymentTruth], name: str) -> dict[int, Payments]:
    """Payments of a typology, by case."""
    found: dict[int, Payments] = defaultdict(list)
    for payment in payments:
        truth = typologies.get(payment["payment_id"])
        if truth is not None and truth.typology == name:
            found[truth.case].append(payment)
    return found


def test_numbers_of_payments_fit_the_published_cohort() -> None:
    """AIC 2020: 10.6 a person, more than half more than once, 3 % of people made 50 % and 25 % made 3 %."""
    drawn = np.sort(draw_n(PARAMETERS.lsac, generator(1, 1), 400_000))[::-1]
    assert drawn.mean() == pytest.approx(10.6, abs=0.4)
    assert (drawn >= 2).mean() == pytest.approx(0.58, abs=0.005)
    assert drawn[: int(0.03 * len(drawn))].sum() / drawn.sum() == pytest.approx(0.49, abs=0.03)
    assert drawn[int(0.75 * len(drawn)) :].sum() / drawn.sum() == pytest.approx(0.024, abs=0.003)
    assert drawn.max() == 700


@pytest.mark.parametrize(
    ("variant", "middle", "mean"),
    [("base", 77, 171), ("chat_log", 64, 97), ("heavy", 106, 383)],
)
def test_amounts_of_each_variant_have_the_medians_and_means_of_the_specification(
    variant: str, middle: float, mean: float
) -> None:
    law, rng = PARAMETERS.lsac, generator(4, 1)
    amounts = []
    for n in draw_n(law, rng, 1_500).tolist():
        series = draw_series(law, law.amounts_aud[variant], 1.0, rng, n, draw_sub_type(law, rng, n))
        assert len(series.eur) == len(series.days) == n
        assert np.all(np.diff(series.days) > 0)
        amounts.append(series.eur)
    drawn = np.concatenate(amounts)
    assert np.median(drawn) == pytest.approx(middle, rel=0.06)
    assert drawn.mean() == pytest.approx(mean, rel=0.12)
    assert mix_moments(law.amounts_aud[variant])[:2] == pytest.approx((middle, mean), rel=0.02)


def test_money_in_destination_currencies_has_the_reported_bands() -> None:
    rows, bands = [], [0, 0]
    run = run_of(Configuration(payers=600, months=3, seed=1, base_rate=0.2, amounts="php", noise=False))
    lsac = {each.account for each in run.stream.accounts() if each.typology == "lsac" and each.role == "payer"}
    for payment in run.payments:
        if payment["payer"]["account"] in lsac and payment["payee"].get("country") == "PH":
            php = eur(payment) * PARAMETERS.rates_per_eur["PHP"]
            rows.append(php)
            bands[0] += 1_000 <= php <= 3_000
            bands[1] += 3_000 < php <= 10_000
    assert bands[0] / len(rows) == pytest.approx(0.45, abs=0.12)
    assert bands[1] / len(rows) == pytest.approx(0.44, abs=0.12)


def test_sub_types_differ_as_they_should(rich: Run, accounts: list[AccountTruth]) -> None:
    payers = [each for each in accounts if each.sub_type and each.lifetime_payments]
    counts = Counter(each.sub_type for each in payers)
    assert counts["flat_cheap"] / len(payers) == pytest.approx(0.45, abs=0.11)
    assert counts["escalator"] / len(payers) == pytest.approx(0.35, abs=0.11)
    assert max(each.lifetime_payments or 0 for each in payers if each.sub_type == "sporadic") <= 3
    assert all((each.payments or 0) <= (each.lifetime_payments or 0) for each in payers)
    law, rng = PARAMETERS.lsac, generator(2, 2)
    amounts = np.mean(
        [np.log(draw_series(law, law.amounts_aud["base"], 1.0, rng, 60, "escalator").eur) for _ in range(300)], axis=0
    )
    assert amounts[-20:].mean() > amounts[:5].mean() + 0.1
    gaps = [np.diff(draw_series(law, law.amounts_aud["base"], 1.0, rng, 60, "escalator").days) for _ in range(300)]
    assert np.median([gap[-20:] for gap in gaps]) < np.median([gap[:20] for gap in gaps])


def test_truth_counts_what_was_sent(rich: Run, payments: Payments, accounts: list[AccountTruth]) -> None:
    sent = by_payer(payments)
    for truth in accounts:
        if truth.role == "payer" and truth.typology == "lsac":
            mine = sent.get(truth.account, [])
            assert len(mine) == truth.payments
            assert len({payment["payee"]["account"] for payment in mine}) == truth.counterparties


def test_twins_have_the_corridor_and_the_monthly_totals_of_their_payer(
    payments: Payments, accounts: list[AccountTruth]
) -> None:
    sent, twins = by_payer(payments), [each for each in accounts if each.twin_of]
    assert len(twins) == sum(each.typology == "lsac" and each.role == "payer" for each in accounts) == 400

    def months(account: str) -> dict[tuple[int, str], int]:
        totals: Counter[tuple[int, str]] = Counter()
        for payment in sent.get(account, []):
            month = datetime.fromtimestamp(payment["event_time_ms"] / 1_000, UTC).month
            totals[month, payment["currency"]] += payment["amount_minor"]
        return dict(totals)

    def countries(account: str, side: str) -> set[str]:
        return {payment[side]["country"] for payment in sent.get(account, []) if "country" in payment[side]}

    for twin in twins:
        assert twin.twin_of is not None
        assert months(twin.account) == months(twin.twin_of)
        for side in ("payer", "payee"):
            both = countries(twin.account, side) | countries(twin.twin_of, side)
            assert len(both) <= 1


def test_lsac_payers_pay_at_night_and_their_twins_by_day(payments: Payments, accounts: list[AccountTruth]) -> None:
    role = {each.account: each.population for each in accounts if each.role == "payer"}
    hours: dict[str, list[float]] = defaultdict(list)
    for payment in payments:
        if "utc_offset_minutes" in payment:
            local_ms = payment["event_time_ms"] + payment["utc_offset_minutes"] * 60_000
            hours[role.get(payment["payer"]["account"], "other")].append(local_ms / HOUR_MS % 24)
    night = {name: np.mean([hour >= 21 or hour < 3 for hour in found]) for name, found in hours.items()}
    assert night["lsac"] == pytest.approx(0.60, abs=0.07)
    assert night["lsac_twin"] < 0.1
    assert night["diaspora"] < 0.1


def test_facilitators_have_payers_of_several_countries_and_linked_accounts(
    rich: Run, payments: Payments, accounts: list[AccountTruth]
) -> None:
    facilitators = {each.account: each for each in accounts if each.population == "facilitator"}
    payers, countries = defaultdict(set), defaultdict(set)
    tokens: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    members: dict[int, set[str]] = defaultdict(set)
    for payment in payments:
        payee = payment["payee"]
        truth = facilitators.get(payee["account"])
        if truth is None or truth.cluster is None:
            continue
        payers[truth.cluster].add(payment["payer"]["account"])
        countries[truth.cluster].add(payment["currency"])
        members[truth.cluster].add(payee["account"])
        for name in ("phone", "device", "pickup"):
            if name in payee:
                tokens[truth.cluster][payee[name]].add(payee["account"])
    several = [cluster for cluster, found in payers.items() if len(found) >= 3]
    assert len(several) > 20
    assert np.mean([len(countries[cluster]) >= 2 for cluster in several]) > 0.5
    linked = [
        max(map(len, tokens[cluster].values()), default=0) >= 2 for cluster in members if len(members[cluster]) >= 3
    ]
    assert np.mean(linked) > 0.7
    assert max(len(found) for found in payers.values()) <= 300


def test_facilitators_take_the_money_out_soon(payments: Payments, accounts: list[AccountTruth]) -> None:
    facilitators = {each.account for each in accounts if each.population == "facilitator"}
    received: dict[str, list[int]] = defaultdict(list)
    waits = []
    for payment in sorted(payments, key=lambda each: each["event_time_ms"]):
        if payment["payee"]["account"] in facilitators:
            received[payment["payee"]["account"]].append(payment["event_time_ms"])
        elif payment["payer"]["account"] in facilitators:
            assert payment["merchant_category"] == "6010"
            earlier = received[payment["payer"]["account"]]
            waits.append((payment["event_time_ms"] - earlier[-1]) / HOUR_MS)
    assert median(waits) == pytest.approx(2.0, rel=0.4)


def test_minors_are_flagged_among_those_paid_directly(accounts: list[AccountTruth], payments: Payments) -> None:
    minors = {each.account for each in accounts if each.minor}
    assert {each.population for each in accounts if each.minor} == {"direct_beneficiary"}
    told = {payment["payee"]["account"] for payment in payments if payment["payee"].get("minor")}
    assert told >= minors & {payment["payee"]["account"] for payment in payments}


def test_extortion_stays_within_its_bounds(payments: Payments, typologies: dict[str, PaymentTruth]) -> None:
    more = run_of(Configuration(payers=20_000, months=1, seed=8, base_rate=0.0, noise=False)).stream
    cases = of_typology(payments, typologies, "fsec")
    truths = {each.payment_id: each for each in more.payments()}
    writer = more.writer.lines(more.plan.rows)
    cases |= {1_000_000 + k: v for k, v in of_typology([orjson.loads(each) for each in writer], truths, "fsec").items()}
    assert len(cases) >= 5
    for found in cases.values():
        times = [payment["event_time_ms"] for payment in found]
        assert 1 <= len(found) <= 6
        assert len({payment["payer"]["account"] for payment in found}) == 1
        assert eur(min(found, key=lambda each: each["event_time_ms"])) < 250.0
        assert sum(map(eur, found)) < 1_500.0
        assert max(times) - min(times) <= 72 * HOUR_MS


def test_other_typologies_have_their_shapes(payments: Payments, typologies: dict[str, PaymentTruth]) -> None:
    for found in of_typology(payments, typologies, "structuring").values():
        assert 3 <= len(found) <= 12
        assert all(8_000 <= eur(payment) < 10_000 for payment in found)
    devices = defaultdict(set)
    for payment in payments:
        if payment["payment_id"] not in typologies and "device" in payment:
            devices[payment["payer"]["account"]].add(payment["device"])
    for found in of_typology(payments, typologies, "account_takeover").values():
        times = [payment["event_time_ms"] for payment in found]
        assert max(times) - min(times) <= 2 * HOUR_MS
        assert all(payment["device"] not in devices[payment["payer"]["account"]] for payment in found)
    for found in of_typology(payments, typologies, "card_testing").values():
        tiny = [payment for payment in found if eur(payment) <= 2.01]
        assert len(tiny) >= 20
        declined = sum(payment.get("status") == "rejected" for payment in tiny)
        assert 0.5 < declined / len(tiny) < 0.99
    for found in of_typology(payments, typologies, "mule").values():
        mule = Counter(payment["payee"]["account"] for payment in found).most_common(1)[0][0]
        into = sum(eur(payment) for payment in found if payment["payee"]["account"] == mule)
        out = sum(eur(payment) for payment in found if payment["payer"]["account"] == mule)
        assert 0.85 <= out / into <= 0.99
    for found in of_typology(payments, typologies, "cycle").values():
        path = sorted(found, key=lambda each: each["event_time_ms"])
        assert path[0]["payer"]["account"] == path[-1]["payee"]["account"]


def test_romance_fraud_rises(payments: Payments, typologies: dict[str, PaymentTruth]) -> None:
    for found in of_typology(payments, typologies, "romance_fraud").values():
        amounts = [eur(each) for each in sorted(found, key=lambda each: each["event_time_ms"])]
        assert len(amounts) >= 8
        assert sum(amounts[-3:]) > 3 * sum(amounts[:3])


def test_a_savings_circle_is_many_to_one_and_pays_out(payments: Payments, accounts: list[AccountTruth]) -> None:
    collectors = {each.account for each in accounts if each.population == "collector"}
    payers, sums, paid_out = defaultdict(set), defaultdict(set), set()
    for payment in payments:
        if payment["payee"]["account"] in collectors:
            payers[payment["payee"]["account"]].add(payment["payer"]["account"])
            sums[payment["payer"]["account"]].add(payment["amount_minor"])
        if payment["payer"]["account"] in collectors:
            paid_out.add(payment["payer"]["account"])
    assert max(len(found) for found in payers.values()) >= 5
    assert paid_out == set(payers)
    assert all(len(found) == 1 for found in sums.values())


def test_hard_mode_evades() -> None:
    configuration = Configuration(payers=600, months=3, seed=1, base_rate=0.2, hard=True, noise=False)
    run = run_of(configuration)
    lsac = {each.account: each for each in run.stream.accounts() if each.typology == "lsac" and each.role == "payer"}
    assert any(each.person not in (None, account) for account, each in lsac.items())
    mine = [payment for payment in run.payments if payment["payer"]["account"] in lsac]
    assert len({payment["payer"]["account"] for payment in mine}) > len({each.person for each in lsac.values()})
    references = [payment["reference"] for payment in mine]
    assert len(set(references)) > 0.99 * len(references)
    local = [
        (p["event_time_ms"] + p["utc_offset_minutes"] * 60_000) / HOUR_MS % 24
        for p in mine
        if "utc_offset_minutes" in p
    ]
    assert np.mean([7 <= hour < 19 for hour in local]) > 0.95
    # Of amounts with no intention behind them, few are multiples of five units.
    whole = [payment["amount_minor"] % 500 == 0 for payment in mine if payment["currency"] in ("USD", "EUR", "GBP")]
    assert np.mean(whole) < 0.05


def test_a_swap_changes_destinations_and_nothing_else() -> None:
    payments = run_of(Configuration(payers=1_000, months=2, seed=6, base_rate=0.16)).payments
    swapped = Stream(Configuration(payers=1_000, months=2, seed=6, base_rate=0.16, swap_seed=3))
    told: dict[str, set[str]] = defaultdict(set)
    homes, at, moved = set(PARAMETERS.homes), 0, 0
    for chunk in swapped.chunks():
        for value, kind in zip(chunk.values, chunk.kinds.tolist(), strict=True):
            if kind != PAYMENT:
                continue
            before, after = payments[at], orjson.loads(value)
            at += 1
            for side in ("payer", "payee"):
                countries = before[side].get("country"), after[side].get("country")
                if countries[0] in homes:
                    assert countries[0] == countries[1]
                elif countries[0] is not None:
                    told[str(countries[0])].add(str(countries[1]))
                    moved += countries[0] != countries[1]
            outflow = before["payer"].get("country") not in homes
            free = {"received_amount_minor", "received_currency"} | ({"amount_minor", "currency"} if outflow else set())
            assert _without(before, free) == _without(after, free)
            assert ("received_currency" in before) == ("received_currency" in after)
    assert at == len(payments)
    assert moved > 2_000
    assert set(told) == set(PARAMETERS.destinations)
    assert all(len(found) == 1 for found in told.values())
    assert {next(iter(found)) for found in told.values()} == set(told)
    assert all(found != {code} for code, found in told.items())


def _without(payment: dict[str, Any], names: set[str]) -> dict[str, Any]:
    kept = {name: value for name, value in payment.items() if name not in names}
    for side in ("payer", "payee"):
        kept[side] = {name: value for name, value in payment[side].items() if name != "country"}
    return kept


def test_innocents_and_lsac_payers_send_to_the_same_countries(rich: Run) -> None:
    people, homes = rich.stream.world.people, rich.stream.world.places.homes_count
    shares = [
        np.bincount(people.destination[members] - homes, minlength=10) / len(members)
        for members in (people.of("lsac"), people.abroad)
    ]
    assert np.abs(shares[0] - shares[1]).max() < 0.12
    assert RICH.base_rate == 0.16


def test_labels_come_late_err_and_mostly_never_come(
    rich: Run, payments: Payments, typologies: dict[str, PaymentTruth]
) -> None:
    times = {payment["payment_id"]: payment["event_time_ms"] for payment in payments}
    sources = Counter(label.source for label in rich.labels)
    assert set(sources) == {"analyst", "report", "authority"}
    assert all(label.label_time_ms > times[label.payment_id] for label in rich.labels)
    assert len({label.label_id for label in rich.labels}) == len(rich.labels)
    assert all(label.disposition == "suspicious" for label in rich.labels if label.source != "analyst")
    found = {typologies[label.payment_id].case for label in rich.labels if label.payment_id in typologies}
    cases = {each.case for each in typologies.values() if each.typology != "lsac_cash_out"}
    assert 0.3 < len(found) / len(cases) < 0.6
    by_analysts = {
        typologies[label.payment_id].case: label.disposition
        for label in rich.labels
        if label.source == "analyst" and label.payment_id in typologies
    }
    missed = sum(disposition == "not_suspicious" for disposition in by_analysts.values())
    assert 0.02 < missed / len(by_analysts) < 0.20
    false_alarms = [label for label in rich.labels if label.payment_id not in typologies]
    assert len(false_alarms) > 5
    assert sum(label.disposition == "not_suspicious" for label in false_alarms) > len(false_alarms) / 2
    decided = {label.payment_id: label.label_time_ms for label in rich.labels if label.source == "analyst"}
    for label in rich.labels:
        if label.source == "report":
            assert 0 < label.label_time_ms - decided[label.payment_id] <= 30 * 24 * HOUR_MS


def test_a_bank_sees_side_signals_that_innocents_give_too(bank: Run) -> None:
    lsac = {each.account for each in bank.stream.accounts() if each.typology == "lsac" and each.role == "payer"}
    categories: dict[bool, set[str]] = {True: set(), False: set()}
    for payment in bank.payments:
        categories[payment["payer"]["account"] in lsac].add(payment.get("merchant_category", ""))
    assert {"5967", "4816"} <= categories[True]
    assert categories[True] <= categories[False]
