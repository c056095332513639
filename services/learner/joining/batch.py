"""A batch of records through the join: what has to be written, and what it counts. No Kafka client here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.contract.codec import Rejection, encode
from services.contract.dead_letter import dead_letter
from services.contract.events import PAYMENT_LABEL, Headers, cloud_event
from services.contract.label import Example, Label, PaymentLabel
from services.contract.served import read_served
from services.contract.topics import Topics
from services.learner.joining.join import Join
from services.learner.joining.records import Decisions, decode_label
from services.learner.joining.served import ServedDrift


class Read(NamedTuple):
    """One record as it was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Outbound(NamedTuple):
    """One record to be written. ``partition`` is ``None`` where the key chooses."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Output:
    """What a batch makes: records in order, and rejections by reason; and of how much it is made."""

    taken: int = 0
    """Decisions and labels. A record that cannot be read counts as one."""
    records: list[Outbound] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def apply(
    join: Join, records: Iterable[Read], topics: Topics, output: Output, served: ServedDrift | None = None
) -> None:
    """Take ``records`` into ``join``; examples, payments' first labels and dead letters are added to ``output``.

    ``served`` sees each decision that is new to the join, whether or not the join keeps it.
    """
    for record in records:
        said = read_served(record.value) if record.topic == topics.features.name else decode_label(record.value)
        if isinstance(said, Rejection):
            _reject(record, said, topics, output)
            output.taken += 1
            continue
        if isinstance(said, Label):
            joined = join.take_label(said)
            made = [] if joined is None else [joined]
            output.taken += 1
        else:
            decisions = Decisions.of(said, record.timestamp_ms)
            made, is_new = join.take_decisions(decisions)
            output.taken += len(said)
            if served is not None:
                served.take(decisions, is_new)
        for example, first in made:
            if example is not None:
                output.records.append(example_record(example, topics))
            if first is not None:
                output.records.append(payment_label_record(first, topics))


def sweep(join: Join, decisions_max: int, topics: Topics, output: Output) -> int:
    """Let ``join`` pass over the next ``decisions_max`` decisions that silence may speak of; returns how many it was.

    The examples are added to ``output``. Scorers' features hear nothing of it: that nobody said anything is no label.
    """
    passed, examples = join.sweep(decisions_max)
    output.records += [example_record(example, topics) for example in examples]
    return passed


def example_record(example: Example, topics: Topics) -> Outbound:
    """An example as a record of the training log."""
    headers = cloud_event("example.v1", example.example_id)
    return Outbound(topics.examples.name, 0, example.payment_id.encode(), encode(example), headers)


def payment_label_record(label: PaymentLabel, topics: Topics) -> Outbound:
    """A payment's first label as a record of its payer's own log."""
    headers = cloud_event(PAYMENT_LABEL, f"{label.tenant}/{label.payment_id}")
    return Outbound(topics.payments.name, None, label.payer.encode(), encode(label), headers)


def _reject(record: Read, rejection: Rejection, topics: Topics, output: Output) -> None:
    origin = (record.topic, record.partition, record.offset)
    letter = dead_letter(rejection, origin, record.key, record.value, record.headers)
    output.records.append(Outbound(topics.dead_letters.name, None, *letter))
    output.rejected[rejection.reason] += 1
