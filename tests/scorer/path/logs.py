"""Logs for tests: payments with nasty timings, drawn as bytes: Hypothesis is fast at them and shrinks to plain ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgspec import structs

from services.contract.label import PaymentLabel
from services.contract.payment import Party, Payment, Status
from services.scorer.path.features.parameters import Parameters

SECOND_MS = 1_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
HORIZON_MS = 90 * DAY_MS

Log = tuple[Payment, ...]
Mixed = tuple[Payment | PaymentLabel, ...]
"""Payments and labels."""
SEEDED = settings(
    derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow], database=None
)


def parameters_with(idle_ms: int) -> Parameters:
    """Bands as shipped, rates whose inverses are exact enough for amounts on the bounds, USD and BTN without one."""
    rates = (("CLF", 0.25), ("EUR", 1.0), ("JPY", 128.0), ("KWD", 0.5))
    return Parameters(10.0, 200.0, 8000.0, 10000.0, rates, idle_ms)


PARAMETERS = parameters_with(HORIZON_MS)
NO_HORIZON = parameters_with(100_000 * DAY_MS)

_STEPS_MS = (
    *(0, 1, SECOND_MS, 2 * SECOND_MS, 10 * SECOND_MS, 600 * SECOND_MS, HOUR_MS, 3 * HOUR_MS, 7 * HOUR_MS) * 3,
    13 * HOUR_MS, DAY_MS - 1, DAY_MS, DAY_MS, 3 * DAY_MS, 5 * DAY_MS, 29 * DAY_MS, 30 * DAY_MS, 31 * DAY_MS,
    61 * DAY_MS, HORIZON_MS, HORIZON_MS + 1,
    -1, -SECOND_MS, -HOUR_MS, -3 * DAY_MS, -29 * DAY_MS, -45 * DAY_MS, -HORIZON_MS, -200 * DAY_MS,
)  # fmt: skip
"""Forward in time, or (negative) behind the log's latest time."""
_AMOUNTS = (
    5_000, 0, 1, 7, 99, 999, 1_000, 1_280, 12_345, 20_000, 20_001, 25_000, 25_600, 50_000, 100_000, 799_999, 800_000,
    999_999, 1_000_000, 1_024_000, 1_280_000, 4_000_000, 5_000_000, 123_456_789, 2**53,
)  # fmt: skip
_CURRENCIES = ("EUR", "EUR", "EUR", "JPY", "KWD", "USD", "BTN", "CLF")
_STATUSES: tuple[Status, ...] = ("accepted", "accepted", "accepted", "attempted", "rejected", "returned")
_OFFSETS = (None, 0, 60, -300, 840, -840, 345)
_COUNTRIES = (None, "DE", "DE", "PH", "SE", "KE", "ZA", "GB")
_REFERENCES = (None, "", " \t\u2003", "rent", "for you", "school fees", "Hospital, please", "for @moon", "moon_river7")
_RAILS = (None, "bank", "wallet", "remitter", "card")
_MERCHANTS = (None, None, None, "5967", "3005", "4722", "5411", "7273")
_PAYER_COUNTRIES = ("SE",) * 7 + ("DE", "GB", "AU", "NO")
_MINORS = (None, None, False, True)
_RELATIONSHIPS = (None, "family", "none")
_DEVICES = (None, "own", "own", "another", "third", "fourth", "fifth", "sixth")
_PHONES = (None, None, None, "1", "2", "3", "1", "own")
_PICKUPS = (None, None, None, None, "counter", "kiosk")

RECORD_BYTES = 18


def payments_from(records: Sequence[bytes], accounts: int = 5, partners: int = 20) -> Log:
    """One payment for each 18 bytes. Zeros give the plainest: one payer, one payee, euros, nothing optional."""
    now_ms = START_MS
    log: list[Payment] = []
    for at, raw in enumerate(records):
        step_ms = _STEPS_MS[raw[0] % len(_STEPS_MS)]
        event_time_ms = now_ms + step_ms
        now_ms = max(now_ms, event_time_ms)
        back = raw[1] % 3 if raw[1] < 160 else raw[1] % 45
        earlier = log[-1 - back] if raw[2] % 6 == 5 and back < len(log) else None
        if earlier is not None:  # a repeat of an id, at times with another status, or of another content
            status = _STATUSES[raw[6] % len(_STATUSES)] if raw[3] % 2 else earlier.status
            told_ms = event_time_ms if raw[4] % 8 == 7 else earlier.event_time_ms
            log.append(structs.replace(earlier, event_time_ms=told_ms, status=status))
            continue
        received = _AMOUNTS[raw[9] % len(_AMOUNTS)] if raw[9] % 3 == 1 else None
        log.append(
            Payment(
                payment_id=f"p-{at}",
                event_time_ms=event_time_ms,
                amount_minor=_AMOUNTS[raw[4] % len(_AMOUNTS)],
                currency=_CURRENCIES[raw[5] % len(_CURRENCIES)],
                payer=Party(
                    f"A{min(raw[3] % (2 * accounts), accounts - 1)}",
                    country=_COUNTRIES[raw[8] % len(_COUNTRIES)],
                    opened_ms=START_MS - 40 * DAY_MS * (raw[10] % 16 - 3) if raw[10] % 3 == 1 else None,
                ),
                payee=Party(
                    f"A{raw[7] % partners if raw[7] < 128 else raw[7] % 2}",
                    country=_COUNTRIES[raw[11] % len(_COUNTRIES)],
                    opened_ms=START_MS - 40 * DAY_MS * (raw[12] % 16 - 3) if raw[12] % 3 == 1 else None,
                    minor=_MINORS[raw[14] % len(_MINORS)],
                    device=_DEVICES[raw[14] // 4 % len(_DEVICES)],
                    phone=_PHONES[raw[15] // 5 % len(_PHONES)],
                    pickup=_PICKUPS[raw[17] // 3 % len(_PICKUPS)],
                ),
                tenant="other" if raw[13] % 6 == 5 else "default",
                utc_offset_minutes=_OFFSETS[raw[13] % len(_OFFSETS)],
                received_amount_minor=received,
                received_currency=None if received is None else "PHP",
                status=_STATUSES[raw[6] % len(_STATUSES)],
                reference=_REFERENCES[raw[1] % len(_REFERENCES)],
                rail=_RAILS[raw[15] % len(_RAILS)],
                merchant_category=_MERCHANTS[raw[16] % len(_MERCHANTS)],
                device=_DEVICES[raw[16] // 8 % len(_DEVICES)],
                relationship=_RELATIONSHIPS[raw[17] % len(_RELATIONSHIPS)],
            )
        )
    return tuple(log)


_RECORD = st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES)


def logs(longest: int = 60) -> st.SearchStrategy[Log]:
    """Short logs that shrink well, and long ones that fill every memory."""
    return st.one_of(
        st.lists(_RECORD, min_size=1, max_size=6), st.lists(_RECORD, min_size=longest // 2, max_size=longest)
    ).map(payments_from)


_RATIOS = (None, 0.0, 0.4, 1.0, 1.0, 1.0, 2.0, 2.4, 2.5, 7.5)


def labelled(log: Log, seed: int) -> Mixed:
    """``log`` with labels of earlier payments put into it: mostly recent ones, some twice, some of accounts that nobody
    has seen, a few from the future, as only somebody who forges them would write."""
    source = random.Random(seed)
    rates = dict(PARAMETERS.rates)
    labels: list[PaymentLabel] = []
    out: list[Payment | PaymentLabel] = []
    for at, each in enumerate(log):
        out.append(each)
        while source.random() < 0.5:
            if labels and source.random() < 0.2:
                out.append(labels[-1 - min(source.randrange(12), len(labels) - 1)])
                continue
            of = log[max(0, at - source.choice((0, 1, 3, 10, 40)))]
            rate = rates.get(of.currency)
            odd = source.random()
            label = PaymentLabel(
                payment_id=of.payment_id,
                payer="nobody" if odd < 0.03 else of.payer.account,
                payee="nobody" if odd < 0.06 else of.payee.account,
                event_time_ms=of.event_time_ms + (400 * DAY_MS if odd > 0.97 else 0),
                confirmed=source.random() < 0.4,
                amount_eur=None if rate is None else source.choice((of.amount_minor / 100, 50.0, 51.0)),
                amount_over_cleared=source.choice(_RATIOS),
                tenant=of.tenant,
            )
            labels.append(label)
            out.append(label)
    return tuple(out)


def mixed_logs(longest: int = 60) -> st.SearchStrategy[Mixed]:
    """Logs of payments, most of them with labels."""
    return st.builds(lambda log, seed: labelled(log, seed) if seed else log, logs(longest), st.integers(0, 2**32 - 1))


def seeded_log(seed: int, length: int, accounts: int = 5, partners: int = 20) -> Log:
    """A long log from a seed, for what no shrinking helps to see."""
    source = random.Random(seed)
    return payments_from([source.randbytes(RECORD_BYTES) for _ in range(length)], accounts, partners)


def remittance_log(seed: int, length: int) -> Log:
    """Mostly small remittances of three payers in two corridors, by night and at the same few prices, with sessions,
    refusals and retries, travel, and payees that are dropped; some payments of other kinds, some that are not told."""
    source = random.Random(seed)
    log: list[Payment] = []
    now_ms = START_MS
    for at in range(length):
        now_ms += source.choice((0, SECOND_MS, HOUR_MS, 2 * HOUR_MS, DAY_MS, DAY_MS, 3 * DAY_MS, 9 * DAY_MS))
        kind = source.random()
        payee = f"A{source.choice((at // 12 % 40, at // 12 % 40, source.randrange(40)))}"
        country: str | None = source.choice(("PH", "PH", "PH", "TH"))
        log.append(
            Payment(
                payment_id=f"r-{at}",
                event_time_ms=now_ms - source.choice((0, 0, 0, 0, HOUR_MS, 2 * DAY_MS)),
                amount_minor=source.choice((5_000, 5_000, 10_000, 2_000, 12_345, source.randrange(100, 90_000))),
                currency="USD" if kind > 0.97 else "EUR",
                payer=Party(f"A{40 + source.randrange(3)}", country=source.choice(_PAYER_COUNTRIES)),
                payee=Party(payee, country=None if kind < 0.03 else "SE" if kind < 0.1 else country),
                utc_offset_minutes=source.choice((None, 0, 60, 60)),
                received_amount_minor=source.choice((None, 300_000, 312_345)),
                received_currency="PHP",
                status=source.choice(_STATUSES + ("accepted",) * 6),
                reference=source.choice((*_REFERENCES, "school fees", "please hurry", "room twelve")),
                rail=source.choice((*_RAILS, "remitter", "remitter", "remitter")),
                merchant_category=source.choice(_MERCHANTS) if kind > 0.85 else None,
            )
        )
        if log[-1].received_amount_minor is None:
            log[-1] = structs.replace(log[-1], received_currency=None)
    return tuple(log)


_CROWD_COUNTRIES = ("SE", "NO", "DE", "GB", "US", "AU", "CA", "FR", "NL", "JP")
_CROWD_RAILS = (None, "bank", "card", "wallet", "remitter", "voucher", "virtual_asset", "agent", "post", "app")
_CROWD_TEXTS = (None, "", "food", "hospital", "rent", "gift", "hi", *(f"thank you {letter}" for letter in "abcdefghij"))
_CROWD_MERCHANTS = ("3000", "3999", "4511", "4722", "7011", "30000", "305", "5967", "7273", "5411")
_ECHO_MS = (*(0, 0, 3 * HOUR_MS, 3 * HOUR_MS + 1, DAY_MS, DAY_MS + 1) * 6, 45 * DAY_MS, 45 * DAY_MS + 1)
_LONG_MS = (90 * DAY_MS, 90 * DAY_MS + 1, 360 * DAY_MS, 360 * DAY_MS + 1)


def crowded_log(seed: int, length: int) -> Log:
    """A dozen payers whose small remittances by night go to two payees that all of them share, and to others: more
    countries, rails, prices, texts, devices and risky payers than are remembered. Payees share phones, devices and
    pick-up points, one of the latter more than may be joined.

    Many payments echo the one before, at a time that lies on a bound, now and then with one thing changed after a
    refusal; some have their status changed later.
    """
    source = random.Random(seed)
    log: list[Payment] = []
    now_ms = START_MS
    for at in range(length):
        echoes = at > 0 and source.random() < 0.3
        steps = _ECHO_MS if echoes else (HOUR_MS, 3 * HOUR_MS, 7 * HOUR_MS, 13 * HOUR_MS, DAY_MS)
        now_ms += source.choice(_LONG_MS if source.random() < 0.01 else steps)
        if echoes and source.random() < 0.3:
            earlier = log[-1 - source.randrange(min(at, 4))]
            log.append(structs.replace(earlier, status=source.choice(_STATUSES)))
            continue
        if echoes:
            change = source.choice(
                (
                    {}, {"rail": source.choice(_CROWD_RAILS)}, {"amount_minor": source.choice((2_000, 5_000))},
                    {"currency": "KWD"}, {"merchant_category": source.choice(_CROWD_MERCHANTS)},
                )
            )  # fmt: skip
            echo = structs.replace(log[-1], payment_id=f"c-{at}", event_time_ms=now_ms, status="accepted")
            log.append(structs.replace(echo, **change))
            continue
        payer = source.randrange(12)
        log.append(
            Payment(
                payment_id=f"c-{at}",
                event_time_ms=now_ms - source.choice((0, 0, 0, HOUR_MS)),
                amount_minor=source.choice((2_000, 5_000, 9_000, source.randrange(1_000, 1_010), 70_000)),
                currency=source.choice(("EUR", "EUR", "EUR", "KWD", "USD")),
                payer=Party(f"P{payer}", country=_CROWD_COUNTRIES[payer % 2 if at % 5 else source.randrange(10)]),
                payee=_crowd_payee(source),
                device=source.choice((None, *(f"device {each}" for each in range(6)))),
                utc_offset_minutes=(source.choice((1_410, 1_410, 720)) - now_ms // 60_000 + 720) % 1_440 - 720,
                status=source.choice((*_STATUSES, "accepted", "accepted")),
                reference=source.choice(_CROWD_TEXTS),
                rail=_CROWD_RAILS[source.randrange(10)] if at % 3 == 0 else "remitter",
                merchant_category=source.choice(_CROWD_MERCHANTS) if source.random() < 0.1 else None,
            )
        )
    return tuple(log)


def sharing_log(seed: int, length: int) -> Log:
    """Remittances to sixty payees that share a few tokens, one counter among them; at times nobody pays for months."""
    source = random.Random(seed)
    log: list[Payment] = []
    now_ms = START_MS
    for at in range(length):
        months = (90 * DAY_MS, 360 * DAY_MS, 361 * DAY_MS)
        now_ms += source.choice(months if source.random() < 0.02 else (0, HOUR_MS, DAY_MS))
        payee = source.randrange(60)
        log.append(
            Payment(
                payment_id=f"s-{at}",
                event_time_ms=now_ms - source.choice((0, 0, HOUR_MS)),
                amount_minor=5_000,
                currency="EUR",
                payer=Party(f"P{source.randrange(6)}", country="SE"),
                payee=Party(
                    f"B{payee}",
                    country=source.choice(("PH", "PH", "PH", "SE")),
                    device=source.choice((None, None, f"{payee // 4}", f"{source.randrange(60)}")),
                    phone=source.choice((None, f"{payee // 6}", f"{source.randrange(9)}")),
                    pickup=source.choice((None, None, "counter", f"{payee // 9}")),
                ),
                tenant=source.choice(("default", "default", "other")),
            )
        )
    return tuple(log)


def _crowd_payee(source: random.Random) -> Party:
    """One of ninety, or of two that are paid often; eight neighbours tell one phone, thirty one device."""
    at = source.randrange(90)
    return Party(
        source.choice(("A1", "A1", "A2", f"C{at}")),
        country="PH",
        device=f"device {at // 30}" if source.random() < 0.1 else None,
        phone=f"phone {at // 8}" if source.random() < 0.4 else None,
        pickup=source.choice(("counter", "counter", f"kiosk {at // 5}")) if source.random() < 0.4 else None,
    )


def payment(at: int, **changes: object) -> Payment:
    """A plain payment, the ``at``-th minute after the start, from ``A`` to ``B``."""
    plain: dict[str, object] = {
        "payment_id": f"p-{at}",
        "event_time_ms": START_MS + at * 60_000,
        "amount_minor": 5_000,
        "currency": "EUR",
        "payer": Party("A"),
        "payee": Party("B"),
    }
    return Payment(**{**plain, **changes})  # type: ignore[arg-type]


def after(days: float, at: int, **changes: object) -> Payment:
    """The same, ``days`` after the log's start."""
    return payment(at, event_time_ms=START_MS + int(days * DAY_MS), **changes)
