"""Running the kernels on a log, batch by batch, the way the hops do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import Digests, digest64
from services.contract.label import PaymentLabel
from services.contract.payment import Payment
from services.scorer.path.decoding.content import content_digest
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.definitions.feature import RECENT_PAYEES
from services.scorer.path.features.event_time import NOBODY
from services.scorer.path.features.identities import DUPLICATE, FORWARD, STATUS_UPDATE, Identities
from services.scorer.path.features.inputs import (
    PAYEE_INPUT,
    CorridorNames,
    corridor_slots,
    known_or_nan,
    label_rows,
    payer_rows,
)
from services.scorer.path.features.parameters import Parameters
from services.scorer.path.features.payee import payee_features
from services.scorer.path.features.payer import payer_features
from services.scorer.path.features.private import KeyedList, PrivateLists, keyed_hash, term_of
from services.scorer.path.features.registry import INDEX, PAYEE_HOP, PAYER_HOP
from services.scorer.path.features.rows import PAYEE_ROW, PAYER_ROW
from services.scorer.path.features.state import ACCOUNTS_MAX, AccountState, account_key
from services.scorer.path.features.tokens import write_linked
from tests.scorer.path.features.twin_arithmetic import money_of
from tests.scorer.path.features.twin_views import Outflow
from tests.scorer.path.features.typology_twin import CONFIRMED_ACCOUNTS, LEXICON
from tests.scorer.path.logs import PARAMETERS
from tests.support.states import contents

Entries = list[tuple[bytes, bytes | None]]
PRIVATE = PrivateLists(
    KeyedList(b"key", [keyed_hash(b"key", account) for account in CONFIRMED_ACCOUNTS]),
    KeyedList(b"key", [keyed_hash(b"key", term_of(term)) for term in LEXICON]),
)
"""The lists of the logs' deployer."""
PayeeRecord = tuple[Payment, bytes] | Outflow | PaymentLabel
"""At the payee hop: a payment with what the payer hop says of it, a note of money paid out, or a label."""
LABELLED = 9
"""Stands for the verdict on a label that is no repeat."""
KEY = Digests().key
FEATURE_BYTES = 8 * len(PAYER_HOP)
CARRIED_BYTES = FEATURE_BYTES + 2 * RECENT_PAYEES
"""Of a payment: its payer-hop features, then the marks of its payer's recent payees."""


def payer_state(parameters: Parameters, accounts_max: int = ACCOUNTS_MAX) -> AccountState:
    return AccountState(PAYER_ROW, parameters.account_idle_ms, accounts_max=accounts_max, identities=Identities())


def payee_state(parameters: Parameters, accounts_max: int = ACCOUNTS_MAX) -> AccountState:
    return AccountState(PAYEE_ROW, parameters.account_idle_ms, sources=2, accounts_max=accounts_max)


def restored(state: AccountState, entries: Entries) -> AccountState:
    """``state``, fresh, as the changelog ``entries`` leave it."""
    state.restore(entries)
    state.begin_at(0, 0)
    return state


def digests(*accounts: tuple[str, str]) -> NDArray[np.uint64]:
    """Of accounts, each with its tenant before it."""
    return digests_of_keys([account_key(tenant.encode(), account.encode()) for tenant, account in accounts], KEY)


def row_of(state: AccountState, account: str, tenant: str = "default") -> Any:
    """The row of an account."""
    (slot,) = state.known_slots(digests((tenant, account)))
    assert slot >= 0, "nothing is known of it"
    return state.rows[slot]


@dataclass
class Run:
    """What a hop made of a log: one row of bits for each record (empty where none goes on), and its changelog.

    A row of the payer hop is what the frame carries: features and recent payees.
    """

    rows: list[bytes]
    verdicts: list[int]
    entries: Entries
    state: AccountState


def batches(length: int, cuts: Sequence[int]) -> Iterator[slice]:
    edges = sorted({0, length, *(cut for cut in cuts if 0 < cut < length)})
    return (slice(start, stop) for start, stop in pairwise(edges))


def run_payer(
    log: Sequence[Payment | PaymentLabel],
    parameters: Parameters,
    cuts: Sequence[int] = (),
    state: AccountState | None = None,
    log_state: bool = True,
) -> Run:
    """The payer hop over ``log``, cut into batches at ``cuts``, with a checkpoint after each if ``log_state``."""
    run = Run([], [], [], payer_state(parameters) if state is None else state)
    for batch in batches(len(log), cuts):
        payments, told, before = parted(log[batch])
        inputs = payer_rows(payments, parameters.eur_per_minor_unit(), PRIVATE)
        labels = label_rows(told, before, PRIVATE.texts.digest)
        inputs["content"] = [content_digest(each, KEY) for each in payments]
        now_ms = run.state.times(inputs["event_ms"], inputs["payer"])
        inputs["now_ms"], labels["now_ms"] = now_ms[1:], now_ms[labels["before"]]
        assert run.state.identities is not None
        run.state.identities.recognise(inputs, np.zeros(len(inputs), dtype=np.int64), 0)
        said = iter(inputs["verdict"].tolist())
        kept = (inputs["verdict"] == FORWARD) | (inputs["verdict"] == STATUS_UPDATE)
        labels["before"] = np.append(0, np.cumsum(kept))[labels["before"]]
        inputs, payments = inputs[kept], [each for each, goes_on in zip(payments, kept, strict=True) if goes_on]
        onward = inputs["verdict"] == FORWARD
        slots, label_slots = run.state.slots(
            digests(*((each.tenant, each.payer.account) for each in payments)),
            inputs["event_ms"],
            inputs["now_ms"],
            onward,
            digests(*((each.tenant, each.payer) for each in told)),
            labels["before"],
        )
        corridors = corridor_slots(inputs, corridor_of(payments), run.state.corridors)
        features, recent, fresh = payer_features(
            inputs,
            slots,
            corridors,
            run.state,
            parameters,
            labels,
            label_slots,
        )
        members, digest = (inputs["payee"], inputs["payer"]), PRIVATE.texts.digest
        write_linked(features, onward, payments, members, run.state.tokens, inputs["now_ms"], digest)
        rows = (row.tobytes() + payees.tobytes() for row, payees in zip(features[onward], recent[onward], strict=True))
        known = iter(fresh.tolist())
        for each in log[batch]:
            is_label = isinstance(each, PaymentLabel)
            run.verdicts.append((LABELLED if next(known) else DUPLICATE) if is_label else next(said))
            run.rows.append(next(rows) if run.verdicts[-1] == FORWARD else b"")
        if log_state:
            run.entries += run.state.checkpoint(batch.stop)
    return run


def parted(log: Sequence[Payment | PaymentLabel]) -> tuple[list[Payment], list[PaymentLabel], list[int]]:
    """The payments of a log, its labels, and how many payments stand before each label."""
    payments: list[Payment] = []
    labels: list[PaymentLabel] = []
    before: list[int] = []
    for each in log:
        if isinstance(each, Payment):
            payments.append(each)
        else:
            labels.append(each)
            before.append(len(payments))
    return payments, labels, before


def nothing_labelled() -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What a kernel reads of a batch without labels."""
    return label_rows([], [], digest64), np.empty(0, dtype=np.int64)


def payee_log(log: Sequence[Payment | PaymentLabel], run: Run, parameters: Parameters) -> list[PayeeRecord]:
    """What the payer hop writes: each payment that goes on, then a note for its payer if money moved; and labels."""
    out: list[PayeeRecord] = []
    for payment, row, verdict in zip(log, run.rows, run.verdicts, strict=True):
        if isinstance(payment, PaymentLabel):
            if verdict != DUPLICATE:
                out.append(payment)
            continue
        if not row:
            continue
        out.append((payment, row))
        money = money_of(payment, parameters)
        if not np.isnan(money):
            out.append(Outflow(payment.tenant, payment.payer.account, payment.event_time_ms, money))
    return out


def onward(log: Sequence[Payment | PaymentLabel]) -> list[PayeeRecord]:
    """What the payer hop writes, of the log's own parameters."""
    return payee_log(log, run_payer(log, PARAMETERS), PARAMETERS)


def plain(log: Sequence[PayeeRecord]) -> list[Payment | Outflow | PaymentLabel]:
    """The same without features: what the twin reads."""
    return [record[0] if isinstance(record, tuple) else record for record in log]


def inputs_of(
    log: Sequence[tuple[Payment, bytes] | Outflow], parameters: Parameters
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """``PAYEE_INPUT`` and account digests of a batch of the payee hop."""
    paid = [record for record in log if not isinstance(record, Outflow)]
    inputs = payer_rows([payment for payment, _ in paid], parameters.eur_per_minor_unit(), PRIVATE)
    carried = b"".join(row for _, row in paid)
    packed = np.frombuffer(carried, dtype=[("features", "f8", (len(PAYER_HOP),)), ("payees", "u2", (RECENT_PAYEES,))])
    is_note = np.array([isinstance(record, Outflow) for record in log], dtype=np.bool_)
    rows = np.zeros(len(log), dtype=(np.record, PAYEE_INPUT))
    rows["outflow"] = is_note
    for name in ("event_ms", "amount", "status", "payer_country", "payer", "text", "confirmed", "in_lexicon"):
        rows[name][~is_note] = inputs[name]
    rows["opened_ms"][~is_note], rows["recent_payees"][~is_note] = inputs["payee_opened_ms"], packed["payees"]
    for name in set(PAYEE_INPUT.names or ()) & set(INDEX):
        rows[name][~is_note] = packed["features"][:, INDEX[name]]
    notes = [(record.event_time_ms, record.amount) for record in log if isinstance(record, Outflow)]
    rows["event_ms"][is_note] = [event_ms for event_ms, _ in notes]
    rows["amount"][is_note] = [amount for _, amount in notes]
    accounts = [
        (record.tenant, record.account) if isinstance(record, Outflow) else (record[0].tenant, record[0].payee.account)
        for record in log
    ]
    return rows, digests(*accounts)


def on_payee_side(labels: Sequence[PaymentLabel], before: Sequence[int]) -> NDArray[Any]:
    """``LABEL_INPUT[k]`` of labels at the payee hop; ``before`` is how many payments and notes stand before each."""
    rows = label_rows(labels, before, lambda _: 0)
    rows["value"] = known_or_nan(label.amount_over_cleared for label in labels)
    return rows


def corridor_of(payments: Sequence[Payment]) -> Callable[[int], CorridorNames]:
    """What names the corridor of each of ``payments``."""
    return lambda row: CorridorNames.of(payments[row])


def run_payee(
    log: Sequence[PayeeRecord],
    parameters: Parameters,
    cuts: Sequence[int] = (),
    state: AccountState | None = None,
    log_state: bool = True,
) -> Run:
    """The payee hop over ``log``, cut into batches at ``cuts``."""
    run = Run([], [], [], payee_state(parameters) if state is None else state)
    for batch in batches(len(log), cuts):
        paid: list[tuple[Payment, bytes] | Outflow] = []
        labels: list[PaymentLabel] = []
        before: list[int] = []
        for each in log[batch]:
            if isinstance(each, PaymentLabel):
                labels.append(each)
                before.append(len(paid))
            else:
                paid.append(each)
        inputs, keys = inputs_of(paid, parameters)
        told = on_payee_side(labels, before)
        now_ms = run.state.times(inputs["event_ms"], np.where(inputs["outflow"], np.uint64(NOBODY), inputs["payer"]))
        inputs["now_ms"], told["now_ms"] = now_ms[1:], now_ms[told["before"]]
        slots, label_slots = run.state.slots(
            keys,
            inputs["event_ms"],
            now_ms[1:],
            ~inputs["outflow"],
            digests(*((each.tenant, each.payee) for each in labels)),
            told["before"],
        )
        features = payee_features(inputs, slots, run.state, parameters, told, label_slots)
        rows = iter(features)
        for each in log[batch]:
            row = None if isinstance(each, PaymentLabel) else next(rows)
            run.rows.append(row.tobytes() if row is not None and isinstance(each, tuple) else b"")
        if log_state:
            run.entries += run.state.checkpoint(batch.stop)
    return run


def payer_matrix(run: Run) -> NDArray[np.float64]:
    """float64[payments that went on, len(PAYER_HOP)]."""
    rows = b"".join(row[:FEATURE_BYTES] for row in run.rows)
    return np.frombuffer(rows, dtype=np.float64).reshape(-1, len(PAYER_HOP))


def payee_matrix(run: Run) -> NDArray[np.float64]:
    """float64[payments, len(PAYEE_HOP)]."""
    return np.frombuffer(b"".join(run.rows), dtype=np.float64).reshape(-1, len(PAYEE_HOP))


def compacted(entries: Entries) -> Entries:
    """What log compaction leaves: the latest entry of every key, tombstones included, in order."""
    latest = {key: at for at, (key, _) in enumerate(entries)}
    return [entry for at, entry in enumerate(entries) if latest[entry[0]] == at]


def living(entries: Entries, state: AccountState, parameters: Parameters) -> dict[bytes, bytes]:
    """What a changelog brings back (``contents``), into a state like ``state``."""
    make = payer_state if state.rows.dtype == payer_state(parameters).rows.dtype else payee_state
    return contents(restored(make(parameters), compacted(entries)), parameters)
