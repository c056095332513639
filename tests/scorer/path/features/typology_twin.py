"""The naive twins of the features that typologies need, written from the registry's words like those in ``twin.py``.

How words that leave a choice are read is said where they are read. Throughout: payments of any status count; payees are
told apart by 6 bits as ``digest64 % 64``; what is missing for a payment whose borders are not told is missing here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from services.contract.identity import digest64
from services.contract.payment import Payment
from services.scorer.path.features.references import digest_of, is_handle, kind_of
from tests.scorer.path.features.remittance_twin import (
    REMITTANCES,
    amount_against_corridor,
    count,
    long_sum,
    over_borders,
    remittances,
    round_against_corridor,
)
from tests.scorer.path.features.token_twin import linked_payees, linked_payers, sharing
from tests.scorer.path.features.twin import outcomes_are_told
from tests.scorer.path.features.twin_arithmetic import (
    DAY_MS,
    NAN,
    decayed,
    flag,
    is_refused_status,
    is_remittance_flag,
    small_flag,
    to_merchant_flag,
)
from tests.scorer.path.features.twin_views import Past, Twin, View, absent_flag, seen

CONFIRMED_ACCOUNTS = frozenset({"A1"})
LEXICON = ("moon_river7", "Hospital, PLEASE")
"""Terms of the lexicon of the logs' deployer."""


def in_lexicon(view: View) -> float:
    """A space between words, and one at each end: then a term is a piece of the text."""
    if view.payment.reference is None:
        return NAN

    def spaced(text: str) -> str:
        return " " + " ".join("".join(c if c.isalnum() or c == "_" else " " for c in text.lower()).split()) + " "

    return flag(any(spaced(term) in spaced(view.payment.reference or "") for term in LEXICON))


def where_reference_is_known(holds: Callable[[str], bool]) -> Twin:
    return lambda view: NAN if math.isnan(absent_flag(view)) else flag(holds(view.payment.reference or ""))


def told(value: bool | None) -> float:
    return NAN if value is None else flag(value)


def unrelated(relationship: str | None) -> bool | None:
    return None if relationship is None else relationship == "none"


def retries(view: View) -> float:
    """Reading: the refused payment is the latest refused one, at once or by a change of status that came before."""
    if not outcomes_are_told(view):
        return NAN
    found = []
    for at, each in enumerate(view.past):
        if is_refused_status(each.payment.status):
            continue
        at_once = [(k, 1, past.payment, past.effective_ms) for k, past in enumerate(view.past[:at])
                   if is_refused_status(past.payment.status)]  # fmt: skip
        later = [(k - 1, 2 + n, record, at_ms) for n, (record, at_ms, k) in enumerate(view.later_refused) if k <= at]
        before = max([*at_once, *later], key=lambda entry: entry[:2], default=None)
        if before is None:
            continue
        record, at_ms = before[2], before[3]
        rails = {record.rail, each.payment.rail}
        differs = (record.payee.account, record.amount_minor, record.currency) != (
            each.payment.payee.account, each.payment.amount_minor, each.payment.currency,
        ) or (len(rails) > 1 and None not in rails)  # fmt: skip
        if differs and each.effective_ms - at_ms <= DAY_MS:
            found.append((1.0, each.effective_ms))
    return decayed(found, view.effective_ms, "7d")


def of_merchants(wanted: Callable[[str], bool]) -> Callable[[Payment], bool]:
    return lambda payment: payment.merchant_category is not None and wanted(payment.merchant_category)


def unless_no_merchant_told(twin: Twin) -> Twin:
    """Reading: a transfer of money (4829) tells no merchant."""

    def of(view: View) -> float:
        told = [each.payment.merchant_category not in (None, "4829") for each in view.past]
        return twin(view) if any(told) or not told else NAN

    return of


def adult_merchants(view: View) -> float:
    chosen = of_merchants(lambda category: category in ("5967", "7273"))
    found = [(1.0, each.effective_ms) for each in view.past if chosen(each.payment)]
    return decayed(found, view.effective_ms, "180d")


def travel(view: View) -> float:
    """Reading: at least five remittances before it, the latest at most 90 days before."""
    chosen = of_merchants(
        lambda category: category in ("4511", "4722", "7011") or re.fullmatch("3[0-9]{3}", category) is not None
    )
    found = []
    for at, each in enumerate(view.past):
        before = [past for past in view.past[:at] if is_remittance_flag(past.payment) == 1.0]
        if chosen(each.payment) and len(before) >= 5 and each.effective_ms - before[-1].effective_ms <= 90 * DAY_MS:
            found.append((1.0, each.effective_ms))
    return decayed(found, view.effective_ms, "180d")


def device_is_new(view: View) -> float:
    """Reading: devices are told by payments of any status."""
    if view.payment.device is None:
        return NAN
    latest_first = [each.payment.device for each in reversed(view.past) if each.payment.device is not None]
    if view.has_past and not latest_first:
        return NAN
    return flag(bool(latest_first) and view.payment.device not in list(dict.fromkeys(latest_first))[:4])


def small_new_payers(view: View) -> float:
    if remittances(view) and all(math.isnan(small_flag(each.payment, view.parameters)) for each in remittances(view)):
        return NAN
    return long_sum(view, lambda each: flag(small_flag(each.payment, view.parameters) == 1.0 and each.partner_was_new))


def country_entropy(view: View) -> float:
    """Reading: a country that was forgotten, as the least recently met of more than 8, starts anew."""
    met: dict[str, list[int]] = {}
    for each in remittances(view):
        country = each.payment.payer.country
        if country is None:
            continue
        times = met.pop(country, [])
        met[country] = [*times, each.effective_ms]
        if len(met) > 8:
            del met[next(iter(met))]
    if not met:
        return NAN if remittances(view) else 0.0
    latest_ms = max(times[-1] for times in met.values())
    counts = [decayed([(1.0, at_ms) for at_ms in times], latest_ms, "180d") for times in met.values()]
    shares = [each / math.fsum(counts) for each in counts]
    return max(0.0, -math.fsum(each * math.log(each) for each in shares if each > 0.0))


def text_collisions(view: View) -> float:
    """Reading: the 8 texts used last, each with the payer who used it last."""
    used: dict[int, str] = {}
    found = []
    for each in remittances(view):
        text = digest_of(each.payment.reference or "")
        if not text:
            continue
        payer = each.payment.payer.account
        if used.pop(text, payer) != payer:
            found.append((1.0, each.effective_ms))
        used[text] = payer
        if len(used) > 8:
            del used[next(iter(used))]
    if remittances(view) and not used:
        return NAN
    return decayed(found, view.effective_ms, "180d")


def risky_payers(view: View) -> float:
    latest: dict[str, int] = {}
    for each in remittances(view):
        if each.view is not None and each.view.signs >= 3.0:
            latest.pop(each.payment.payer.account, None)
            latest[each.payment.payer.account] = each.effective_ms
            if len(latest) > 8:
                del latest[next(iter(latest))]
    others = [at_ms for payer, at_ms in latest.items() if payer != view.payment.payer.account]
    return float(sum(view.effective_ms - at_ms <= 360 * DAY_MS for at_ms in others))


def mark(account: str) -> int:
    """What tells an account from others where 16 bits do."""
    return digest64(account) % 65_535


def recent_payees(view: View) -> tuple[str, ...]:
    """The 8 payees of remittances that the payer paid last, besides this one."""
    latest_first = [each.payment.payee.account for each in reversed(remittances(view))]
    return tuple(each for each in dict.fromkeys(latest_first) if each != view.payment.payee.account)[:8]


def shared_payees(view: View) -> float:
    """Reading: the other risky payers are those that ``payee_risky_payers_360d`` counts."""
    latest: dict[str, Past] = {}
    for each in remittances(view):
        if each.view is not None and each.view.signs >= 3.0:
            latest.pop(each.payment.payer.account, None)
            latest[each.payment.payer.account] = each
            if len(latest) > 8:
                del latest[next(iter(latest))]
    mine = set(map(mark, view.recent_payees))
    return float(
        max(
            (
                1 + len(mine & set(map(mark, seen(each).recent_payees)))
                for payer, each in latest.items()
                if payer != view.payment.payer.account and view.effective_ms - each.effective_ms <= 360 * DAY_MS
            ),
            default=0,
        )
    )


PAYER_TYPOLOGY: dict[str, Twin] = {
    "is_remittance": lambda view: is_remittance_flag(view.payment),
    "reference_is_handle": where_reference_is_known(lambda text: is_handle(text)),
    "reference_is_excuse": where_reference_is_known(lambda text: kind_of(text) >= 0),
    "payee_is_minor": lambda view: told(view.payment.payee.minor),
    "is_unrelated": lambda view: (
        NAN if view.payment.relationship is None else flag(view.payment.relationship == "none")
    ),
    "amount_against_corridor": amount_against_corridor,
    "round_against_corridor": round_against_corridor,
    "is_to_merchant": lambda view: to_merchant_flag(view.payment),
    **{name: over_borders(twin) for name, twin in REMITTANCES.items()},
    "payer_retries_7d": retries,
    "payer_adult_merchants_180d": unless_no_merchant_told(adult_merchants),
    "payer_travel_180d": unless_no_merchant_told(travel),
    "device_is_new": device_is_new,
    "payee_linked_payees": sharing(linked_payees),
    "payee_linked_payers": sharing(linked_payers),
}
PAYEE_TYPOLOGY: dict[str, Twin] = {
    "payee_remit_180d": over_borders(count("180d")),
    "payee_small_new_payers_180d": over_borders(small_new_payers),
    "payee_small_remit_share_180d": over_borders(REMITTANCES["remit_small_share_180d"]),
    "payee_country_entropy_180d": over_borders(country_entropy),
    "payee_text_collisions_180d": over_borders(text_collisions),
    "payee_risky_payers_360d": over_borders(risky_payers),
    "payee_shared_payees_360d": over_borders(shared_payees),
    "payee_is_confirmed": lambda view: flag(view.payment.payee.account in CONFIRMED_ACCOUNTS),
    "reference_in_lexicon": in_lexicon,
}
TYPOLOGY_EXACT = {
    "is_remittance", "is_to_merchant", "reference_is_handle", "reference_is_excuse", "payee_is_minor", "is_unrelated",
    "remit_price_point_payees", "remit_dropped_payees", "remit_rails_90d", "remit_excuse_kinds",
    "payee_risky_payers_360d", "payee_shared_payees_360d", "payee_is_confirmed", "device_is_new",
    "reference_in_lexicon",
}  # fmt: skip
