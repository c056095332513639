"""Computing a decision again: from the logs, through the pure path, with the model that it names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
from aiokafka import ConsumerRecord
from aiokafka.structs import TopicPartition

from services import kafka
from services.contract.codec import decode
from services.contract.types import Decision, ModelAnnouncement
from services.progress import Progress
from services.scorer.path.features import feature_schema_hash
from services.scorer.path.frame import is_payment_from
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.model import LogisticModel, ModelRefused, model_from, untrained_model
from services.scorer.path.records import Outbound
from services.scorer.path.ruleset import Ruleset
from services.scorer.ruleset_file import load_ruleset
from services.settings import Settings

_BATCH = 5_000


class CannotRecompute(RuntimeError):
    """The logs, the ruleset or the model that the decision needs are not to be had. The message says which."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A decision computed again, and whether its bytes are those on record."""

    recorded: bytes
    recomputed: bytes
    payments_read: int

    @property
    def same(self) -> bool:
        """Whether record and computation agree in every byte."""
        return self.recorded == self.recomputed

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.same:
            return f"the same {len(self.recorded)} bytes, from {self.payments_read} records of the logs"
        old, new = orjson.loads(self.recorded), orjson.loads(self.recomputed)
        differ = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        return f"DIFFERENT in {', '.join(differ) or 'spelling'}"


async def recompute_decision(settings: Settings, decision_id: str) -> Recomputed:
    """Find a decision, compute it again from ``payments.v1`` on, and return both.

    Raises
    ------
    CannotRecompute
        When there is no such decision, the logs no longer reach back to their beginning, or the ruleset or the model
        that it names is not to be had.
    """
    ruleset = load_ruleset(settings)
    record = await _find_decision(settings, decision_id)
    decision = decode(record.value, Decision)
    if decision.ruleset_hash != ruleset.hash:
        raise CannotRecompute(
            f"the decision was made under ruleset {decision.ruleset_hash[:12]}, this is {ruleset.hash[:12]}: "
            "name the ruleset's file in TOCSIN_RULESET"
        )
    model = await _find_model(settings, decision.model_hash, feature_schema_hash(ruleset.parameters))
    frame, read_payer = await _payer_side(settings, ruleset, model, decision)
    value, read_payee = await _payee_side(settings, ruleset, model, record.partition, decision, frame)
    return Recomputed(record.value, value, read_payer + read_payee)


async def _find_decision(settings: Settings, decision_id: str) -> ConsumerRecord:
    wanted = ("ce_id", decision_id.encode())
    topic = settings.topics.decisions.name
    for partition in range(settings.partitions):
        async for record in _log(settings, topic, partition, "looking for the decision"):
            if wanted in record.headers:
                return record
    raise CannotRecompute(f"{topic}: there is no decision {decision_id}")


async def _find_model(settings: Settings, model_hash: str, schema_hash: str) -> LogisticModel:
    untrained = untrained_model(schema_hash)
    if model_hash == untrained.hash:
        return untrained
    async for record in _log(settings, settings.topics.models.name, 0, "looking for the model"):
        if record.value is None:
            continue
        announcement = decode(record.value, ModelAnnouncement)
        if announcement.model_hash == model_hash:
            try:
                return model_from(announcement, schema_hash)
            except ModelRefused as error:
                raise CannotRecompute(str(error)) from None
    raise CannotRecompute(f"{settings.topics.models.name}: there is no model {model_hash[:12]}")


async def _payer_side(
    settings: Settings, ruleset: Ruleset, model: LogisticModel, decision: Decision
) -> tuple[bytes, int]:
    """The frame that the payer hop makes of the payment, from the payer partition's log."""
    topic, partitions = settings.topics.payments.name, settings.partitions
    hop = PayerHop(ruleset, topic, decision.origin.partition, partitions)
    read = 0
    async for batch in _batches(settings, topic, decision.origin.partition, "payer hop", decision.origin.offset):
        frames = hop.process(batch, model).outputs["payments_by_payee"]
        read += len(batch)
        if batch[-1].offset == decision.origin.offset:
            return _frame_of(frames, decision), read
    raise CannotRecompute(f"{topic}: the log does not reach offset {decision.origin.offset}")


def _frame_of(frames: list[Outbound], decision: Decision) -> bytes:
    for frame in frames:
        if is_payment_from(frame.value, decision.origin):
            return frame.value
    raise CannotRecompute("the payer hop sends no payment on from there: another version of the code wrote it")


async def _payee_side(
    settings: Settings, ruleset: Ruleset, model: LogisticModel, partition: int, decision: Decision, frame: bytes
) -> tuple[bytes, int]:
    """The decision that the payee hop makes, from the payee partition's log."""
    topic, partitions = settings.topics.payments_by_payee.name, settings.partitions
    hop = PayeeHop(ruleset, topic, partition, partitions, partitions)
    read = 0
    async for batch in _batches(settings, topic, partition, "payee hop"):
        chosen, found = _up_to(batch, decision)
        outputs = hop.process(chosen, model).outputs["decisions"]
        read += len(chosen)
        if found:
            if chosen[-1].value != frame:
                raise CannotRecompute(f"{topic}: the frame on record is not what the payer hop computes")
            return outputs[-1].value, read
    raise CannotRecompute(f"{topic}: the payment's frame is no longer in the log")


def _up_to(batch: list[ConsumerRecord], decision: Decision) -> tuple[list[ConsumerRecord], bool]:
    for at, record in enumerate(batch):
        if is_payment_from(record.value or b"", decision.origin):
            return batch[: at + 1], True
    return batch, False


async def _batches(
    settings: Settings, topic: str, partition: int, doing: str, last: int | None = None
) -> AsyncIterator[list[ConsumerRecord]]:
    """A partition's log from its beginning, up to and including offset ``last``, in batches."""
    batch: list[ConsumerRecord] = []
    async for record in _log(settings, topic, partition, doing, whole=True):
        if last is not None and record.offset > last:
            break
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _log(
    settings: Settings, topic: str, partition: int, doing: str, whole: bool = False
) -> AsyncIterator[ConsumerRecord]:
    """The committed records of a partition, oldest first, up to its present end."""
    source = TopicPartition(topic, partition)
    reader = kafka.consumer(settings, max_partition_fetch_bytes=8 * 1024 * 1024)
    await reader.start()
    try:
        reader.assign([source])
        begin, end = (await reader.beginning_offsets([source]))[source], (await reader.end_offsets([source]))[source]
        if whole and begin > 0:
            raise CannotRecompute(f"{topic}[{partition}]: the log begins at {begin}; what came before is deleted")
        reader.seek(source, begin)
        with Progress(f"{doing} [{partition}]", end - begin) as progress:
            while await reader.position(source) < end:
                found = await reader.getmany(source, timeout_ms=200, max_records=_BATCH)
                for record in found.get(source, ()):
                    yield record
                progress.at(await reader.position(source) - begin)
    finally:
        await reader.stop()
