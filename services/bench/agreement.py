"""Whether a scorer decides the same twice: two undisturbed runs of the same payments, decision by decision.

Each partition's log is worked through in its order, whatever happens. How payments of different partitions' payers come
to lie among one another in the logs of their payees is decided by which lane got its turn first. So what they have in
common, a payee or a token, may be known of another in one run than in the other, and with it scores and now and then an
outcome differ. ``TOCSIN_EVENT_SPREAD_MINUTES`` bounds how far ahead of each other partitions run while they catch up.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from services.bench.payments import PAYMENTS_A_PAYER, bank_payments, generated_payments, prepare
from services.bench.plan import ChampionKind
from services.bench.schedule import Routed, keep_schedule, routed
from services.bench.worker import BOTH_HOPS, MeasuredWorker, MeasuringError, worker_command
from services.contract.decision import Outcome
from services.contract.payment import Payment
from services.kafka.reading import read_log
from services.runtime.clock import now_ms
from services.runtime.settings import Settings

RATE = 300.0
"""Payments a second at real pace."""
PACED_SHARE = 0.3
"""For each payment of a replay, so many at real pace."""
APART = 0.01
"""Log-odds. Sums of the same payments in another order differ in their last bits, and scores with them by about 1e-9;
what differs by more than this was known of other payments."""
_bits = struct.Struct("<d").pack


class Verdict(NamedTuple):
    """What a decision says, as far as runs are compared."""

    outcome: Outcome
    score: float
    """Log-odds, as the decision has it."""


class _Decided(msgspec.Struct):
    payment_id: str
    outcome: Outcome
    score: float


def verdicts(decisions: Iterable[bytes], payment_ids: Set[str]) -> dict[str, Verdict]:
    """What ``decisions``, the values of ``decisions.v1``, say of each of ``payment_ids``.

    Raises
    ------
    MeasuringError
        When a payment was not decided, or twice.
    """
    found = dict[str, Verdict]()
    for decided in map(msgspec.json.Decoder(_Decided).decode, decisions):
        if decided.payment_id in found:
            raise MeasuringError(f"{decided.payment_id} was decided twice")
        found[decided.payment_id] = Verdict(decided.outcome, decided.score)
    if missing := payment_ids - found.keys():
        raise MeasuringError(f"{len(missing):,} of {len(payment_ids):,} payments were not decided")
    return found


def compared(first: Mapping[str, Verdict], second: Mapping[str, Verdict]) -> dict[str, Any]:
    """Two runs' verdicts on the same payments, by payment id: how many ``payments``, the ``reviews`` of the first run,
    on how many payments ``outcomes_differ`` and ``scores_differ`` (in any bit), the shares of both, and how many
    ``scores_apart`` are, by more than ``APART``.

    >>> one, other = Verdict("pass", 0.1 + 0.2), Verdict("pass", 0.3)
    >>> compared({"a": one, "b": one}, {"a": one, "b": other})["scores_differ"]
    1

    Raises
    ------
    MeasuringError
        When they are not of the same payments, or of none.
    """
    if not first or first.keys() != second.keys():
        raise MeasuringError(f"{len(first):,} and {len(second):,} payments decided: not the same ones, or none")
    pairs = [(verdict, second[payment_id]) for payment_id, verdict in first.items()]
    outcomes = sum(one.outcome != other.outcome for one, other in pairs)
    scores = sum(_bits(one.score) != _bits(other.score) for one, other in pairs)
    return {
        "payments": len(pairs),
        "reviews": sum(one.outcome == "review" for one, _ in pairs),
        "outcomes_differ": outcomes,
        "outcomes_differ_share": round(outcomes / len(pairs), 6),
        "scores_differ": scores,
        "scores_differ_share": round(scores / len(pairs), 6),
        "scores_apart": sum(abs(one.score - other.score) > APART for one, other in pairs),
    }


def measure_agreement(
    settings: Settings, champion: ChampionKind, payments: int, core: int | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """``compared`` of three cases, with the ``event_spread_minutes`` of their runs.

    ``replay_unheld``: months of a remitter's ``payments``, all sent before the scorer starts, whose partitions run
    ahead of each other as it comes; ``replay``: the same, held together as ``settings`` have it; ``real_pace``: a
    bank's payments, ``PACED_SHARE`` as many, dated when they are sent, ``RATE`` a second, while the scorer runs.

    Parameters
    ----------
    settings
        The broker; each run has topics of its own, under the prefix of these and the run's name.
    core
        What the scorer runs on; ``None``: any.

    Raises
    ------
    MeasuringError
        When a run does not decide every payment once.
    """
    runs, unheld = _Runs(champion, core, tell), settings.model_copy(update={"event_spread_minutes": 0})
    remitted = list(generated_payments(payments, max(payments // PAYMENTS_A_PAYER, 100), "remitter"))
    dated = Dated(list(bank_payments(round(PACED_SHARE * payments))), settings.partitions)
    return {
        "replay_unheld": runs.case("replay-unheld", unheld, lambda each: runs.replay(each, remitted)),
        "replay": runs.case("replay", settings, lambda each: runs.replay(each, remitted)),
        "real_pace": {
            "payments_per_second": RATE,
            **runs.case("real-pace", settings, lambda each: runs.pace(each, dated)),
        },
    }


class Dated:
    """Payments at ``RATE``, dated as they become due when first sent, and the same bytes whenever they are sent again.

    Parameters
    ----------
    partitions
        Of the topic that they are sent to.
    """

    def __init__(self, payments: Sequence[Payment], partitions: int) -> None:
        self.payment_ids = {each.payment_id for each in payments}
        self._payments, self._partitions = payments, partitions
        self._sent: list[Routed] = []

    def begin(self, started_s: float) -> list[Routed]:
        """What is to be sent from ``started_s`` (``time.monotonic()``) on."""
        if not self._sent:
            begin_ms = now_ms() + 1e3 * (started_s - time.monotonic())
            dated = (
                msgspec.structs.replace(payment, event_time_ms=round(begin_ms + 1e3 * at / RATE))
                for at, payment in enumerate(self._payments)
            )
            self._sent = list(routed(dated, self._partitions))
        return self._sent


class _Runs:
    """Runs of one scorer process each, which decides by ``champion``, on ``core``."""

    def __init__(self, champion: ChampionKind, core: int | None, tell: Callable[[str], None]) -> None:
        self._champion, self._core, self._tell = champion, core, tell

    def case(self, name: str, settings: Settings, run: Callable[[Settings], dict[str, Verdict]]) -> dict[str, Any]:
        """Two runs of a kind, compared."""
        found = []
        for at in (1, 2):
            self._tell(f"{name}, run {at} of 2")
            found.append(run(settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}{name}-{at}."})))
        return {"event_spread_minutes": settings.event_spread_minutes, **compared(*found)}

    def replay(self, settings: Settings, payments: Sequence[Payment]) -> dict[str, Verdict]:
        """What a scorer that finds all ``payments`` waiting says of them."""
        prepare(settings, payments, self._champion)
        with self._scorer(settings) as scorer:
            scorer.finish(len(payments))
        return _decided(settings, {each.payment_id for each in payments})

    def pace(self, settings: Settings, payments: Dated) -> dict[str, Verdict]:
        """What a scorer says of ``payments`` that come while it waits for them."""
        prepare(settings, (), self._champion)
        topics = settings.topics
        with self._scorer(settings) as scorer:
            scorer.take_up(topics.payments.name, topics.payments_by_payee.name)
            asyncio.run(keep_schedule(settings, payments.begin, RATE))
            scorer.finish(len(payments.payment_ids))
        return _decided(settings, payments.payment_ids)

    def _scorer(self, settings: Settings) -> MeasuredWorker:
        return MeasuredWorker(worker_command("scorer"), settings, BOTH_HOPS, self._core)


def _decided(settings: Settings, payment_ids: Set[str]) -> dict[str, Verdict]:
    return verdicts(asyncio.run(_decisions(settings)), payment_ids)


async def _decisions(settings: Settings) -> list[bytes]:
    """The values of all committed decisions."""
    name = settings.topics.decisions.name
    logs = [read_log(settings, name, partition, "decisions") for partition in range(settings.partitions)]
    return [record.value for log in logs async for record in log]
