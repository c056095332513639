"""Computing decisions again: from the logs, through the pure path, with the models that they name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson
from aiokafka import ConsumerRecord

from services.contract.announcement import model_of, read_announced
from services.contract.codec import DECISION_BYTES_MAX, Rejection, read
from services.contract.decision import Decision
from services.kafka.reading import NotInLogs, read_batches, read_log
from services.runtime.settings import Settings
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.frame import is_payment_from
from services.scorer.path.hops import PayeeHop, PayerHop
from services.scorer.path.records import Outbound
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import Model, ModelRefused, untrained_model
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset


class CannotRecompute(NotInLogs):
    """The logs, the ruleset or the model that a decision needs are not to be had. The message says which."""


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


@dataclass(slots=True)
class _Target:
    """A decision on record, and what is computed on the way to it."""

    record: ConsumerRecord
    decision: Decision
    frame: bytes = b""
    recomputed: bytes = b""
    read: int = 0


async def recompute_decision(settings: Settings, decision_id: str) -> Recomputed:
    """Find a decision, compute it again from ``payments.v1`` on, and return both.

    Raises
    ------
    NotInLogs
        As ``recompute_decisions``.
    """
    return (await recompute_decisions(settings, [decision_id]))[decision_id]


async def recompute_decisions(settings: Settings, decision_ids: Collection[str]) -> dict[str, Recomputed]:
    """Find decisions and compute them again from ``payments.v1`` on, each partition of each log read once.

    Raises
    ------
    NotInLogs
        When there is no such decision, the logs no longer reach back to their beginning, or the ruleset or a model
        that a decision names is not to be had.
    """
    ruleset = load_ruleset(settings)
    targets = await _find_decisions(settings, decision_ids)
    for target in targets.values():
        if target.decision.ruleset_hash != ruleset.hash:
            raise CannotRecompute(
                f"the decision was made under ruleset {target.decision.ruleset_hash[:12]}, this is "
                f"{ruleset.hash[:12]}: name the ruleset's file in TOCSIN_RULESET, or the key of then in TOCSIN_HASH_KEY"
            )
    hashes = {each.decision.model_hash for each in targets.values()}
    models = await _find_models(settings, hashes, feature_schema_hash(ruleset.parameters))
    by_payer: dict[int, list[_Target]] = defaultdict(list)
    by_payee: dict[int, list[_Target]] = defaultdict(list)
    for target in targets.values():
        by_payer[target.decision.origin.partition].append(target)
        by_payee[target.record.partition].append(target)
    for partition, chosen in sorted(by_payer.items()):
        await _payer_side(settings, ruleset, models, partition, chosen)
    for partition, chosen in sorted(by_payee.items()):
        await _payee_side(settings, ruleset, models, partition, chosen)
    return {name: Recomputed(each.record.value, each.recomputed, each.read) for name, each in targets.items()}


async def _find_decisions(settings: Settings, decision_ids: Collection[str]) -> dict[str, _Target]:
    """Targets by decision id, in the order asked for."""
    missing = {each.encode() for each in decision_ids}
    topic = settings.topics.decisions.name
    doing = "looking for the decision" if len(missing) == 1 else f"looking for {len(missing)} decisions"
    found: dict[str, _Target] = {}
    for partition in range(settings.partitions):
        if not missing:
            break
        async for record in read_log(settings, topic, partition, doing):
            name = next((value for header, value in record.headers if header == "ce_id"), b"")
            decision = read(record.value, Decision, "decision_invalid", DECISION_BYTES_MAX) if name in missing else None
            if isinstance(decision, Decision):
                found[name.decode()] = _Target(record, decision)
                missing.remove(name)
                if not missing:
                    break
    for each in decision_ids:
        if each not in found:
            raise CannotRecompute(f"{topic}: there is no decision {each}")
    return {each: found[each] for each in decision_ids}


async def _find_models(settings: Settings, hashes: Collection[str], schema_hash: str) -> dict[str, Model]:
    """By hash. Whoever announced it, it has the hash that the decision names, so no signature is asked for."""
    untrained = untrained_model(schema_hash)
    found: dict[str, Model] = {untrained.hash: untrained}
    missing = set(hashes) - found.keys()
    if missing:
        async for record in read_log(settings, settings.topics.models.name, 0, "looking for the model"):
            said = read_announced(record.key, record.value)
            if said is None or isinstance(said, Rejection):
                continue
            announcement = model_of(said)
            if announcement.model_hash in missing:
                try:
                    found[announcement.model_hash] = model_from(announcement, schema_hash)
                except ModelRefused as error:
                    raise CannotRecompute(str(error)) from None
                missing.remove(announcement.model_hash)
    for each in sorted(missing):
        raise CannotRecompute(f"{settings.topics.models.name}: there is no model {each[:12]}")
    return found


async def _payer_side(
    settings: Settings, ruleset: Ruleset, models: dict[str, Model], partition: int, targets: Sequence[_Target]
) -> None:
    """The frames that the payer hop makes of the targets' payments, from the payer partition's log."""
    topic, partitions = settings.topics.payments.name, settings.partitions
    hop = PayerHop(ruleset, topic, partition, partitions, settings.accounts_max, intake_of(settings))
    model = models[targets[0].decision.model_hash]
    open_targets = sorted(targets, key=lambda each: each.decision.origin.offset)
    read = 0
    last = open_targets[-1].decision.origin.offset
    async for batch in read_batches(settings, topic, partition, "payer hop", last):
        frames = hop.process(batch, model).outputs["payments_by_payee"]
        while open_targets and open_targets[0].decision.origin.offset <= batch[-1].offset:
            target = open_targets.pop(0)
            target.frame = _frame_of(frames, target.decision)
            target.read += read + sum(each.offset <= target.decision.origin.offset for each in batch)
        read += len(batch)
    for target in open_targets:
        raise CannotRecompute(f"{topic}: the log does not reach offset {target.decision.origin.offset}")


def _frame_of(frames: list[Outbound], decision: Decision) -> bytes:
    for frame in frames:
        if is_payment_from(frame.value, decision.origin):
            return frame.value
    raise CannotRecompute("the payer hop sends no payment on from there: another version of the code wrote it")


async def _payee_side(
    settings: Settings, ruleset: Ruleset, models: dict[str, Model], partition: int, targets: Sequence[_Target]
) -> None:
    """The decisions that the payee hop makes, from the payee partition's log.

    A batch is cut behind each target, so that each can be decided by the model that it names; state knows no model.
    """
    topic, partitions = settings.topics.payments_by_payee.name, settings.partitions
    hop = PayeeHop(ruleset, topic, partition, partitions, partitions, settings.repeats_possible, settings.accounts_max)
    other = models[targets[0].decision.model_hash]
    wanted = {each.frame: each for each in targets}
    read = 0
    async for batch in read_batches(settings, topic, partition, "payee hop"):
        start = 0
        for at, record in enumerate(batch):
            target = wanted.pop(record.value, None)
            if target is None:
                continue
            outputs = hop.process(batch[start : at + 1], models[target.decision.model_hash]).outputs["decisions"]
            start = at + 1
            target.recomputed = outputs[-1].value
            target.read += read + start
        if not wanted:
            return
        if start < len(batch):
            hop.process(batch[start:], other)
        read += len(batch)
    raise CannotRecompute(
        f"{topic}: the frame that the payer hop computes is not there: it is deleted, or another version wrote it"
    )
