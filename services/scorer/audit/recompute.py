"""Computing decisions again: from the logs, through the pure path, with the models that they name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from aiokafka import ConsumerRecord
from numpy.typing import NDArray

from services.contract.announcement import model_of, read_announced
from services.contract.codec import DECISION_BYTES_MAX, Rejection, read
from services.contract.columns import Some, Texts
from services.contract.decision import HASH_SHOWN, Decision, Origin
from services.contract.handover import HANDOVER, PAYMENT
from services.contract.served import SERVED, Served, read_served
from services.kafka.reading import NotInLogs, read_batches, read_log
from services.runtime.settings import Settings
from services.scorer.audit.subjects import said_by, scores_on_record
from services.scorer.path.asking.safeguard import SubjectScoring
from services.scorer.path.features.registry import feature_schema_hash
from services.scorer.path.hops import PayeeHop, PayerHop, Recorded
from services.scorer.path.records import Outputs
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.ensemble import model_from
from services.scorer.path.scoring.model import Model, ModelRefused, untrained_model
from services.scorer.rulebook.ruleset_file import intake_of, load_ruleset

_NAMED = re.compile(rb'{"decision_id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
"""How the value of a decision begins."""


class CannotRecompute(NotInLogs):
    """The logs, the ruleset or the model that a decision needs are not to be had. The message says which."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A decision computed again, and whether its bytes, and all that it was made of, are those on record."""

    recorded: bytes
    recomputed: bytes
    recorded_row: Served
    """What ``features.v1`` has of the decision: a batch of one."""
    recomputed_row: Served
    payments_read: int

    @property
    def same(self) -> bool:
        """Whether record and computation agree in every byte of the decision, and in every bit of its row."""
        return self.recorded == self.recomputed and not self._columns_that_differ

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.same:
            return (
                f"the same {len(self.recorded)} bytes, made of the same bits in features.v1, "
                f"from {self.payments_read} records of the logs"
            )
        old, new = orjson.loads(self.recorded), orjson.loads(self.recomputed)
        differ = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        if not differ and self.recorded != self.recomputed:
            differ = ["spelling"]
        return f"DIFFERENT in {', '.join([*differ, *(f'{name} (features.v1)' for name in self._columns_that_differ)])}"

    @property
    def _columns_that_differ(self) -> list[str]:
        one, other = self.recorded_row, self.recomputed_row
        names = [each.name for each in SERVED.columns]
        differ = [name for name in names if _bits(getattr(one, name)) != _bits(getattr(other, name))]
        return differ if one.by == other.by else [*differ, "metadata"]


def _bits(values: Any) -> Any:
    return bytes(values.data) if isinstance(values, Texts) else (values.shape, values.tobytes())


@dataclass(slots=True)
class _Target:
    """A decision on record, and what is computed on the way to it."""

    record: ConsumerRecord
    decision: Decision
    row: Served
    """What ``features.v1`` has of it."""
    handed: dict[str, bytes] | None = None
    """What the payer hop hands over of its payment."""
    recomputed: bytes = b""
    recomputed_row: Served | None = None
    read: int = 0

    @property
    def model_hash(self) -> str:
        """The whole of it, of which the decision has the beginning."""
        return self.row.by.model_hash


async def recompute_decision(
    settings: Settings, decision_id: str, subject_model: SubjectScoring | None = None
) -> Recomputed:
    """Find a decision, compute it again from ``payments.v1`` on, and return both.

    Raises
    ------
    NotInLogs
        As ``recompute_decisions``.
    """
    return (await recompute_decisions(settings, [decision_id], subject_model))[decision_id]


async def recompute_decisions(
    settings: Settings, decision_ids: Collection[str], subject_model: SubjectScoring | None = None
) -> dict[str, Recomputed]:
    """Find decisions and compute them again from ``payments.v1`` on, each partition of each log read once. With a
    ``subject_model``, which then asked about payees, what models said of payments is read from ``features.v1``, too.

    Raises
    ------
    NotInLogs
        When there is no such decision, the logs no longer reach back to their beginning, or the ruleset or a model
        that a decision names is not to be had.
    """
    ruleset = load_ruleset(settings)
    found = await _find_decisions(settings, decision_ids)
    for decision, _ in found.values():
        if decision.ruleset != ruleset.hash[:HASH_SHOWN]:
            raise CannotRecompute(
                f"the decision was made under ruleset {decision.ruleset}, this is {ruleset.hash[:HASH_SHOWN]}: name "
                "the ruleset's file in TOCSIN_RULESET, or the key of then in TOCSIN_HASH_KEY"
            )
    rows = await _find_rows(settings, found)
    targets = {name: _Target(record, decision, rows[name]) for name, (decision, record) in found.items()}
    hashes = {each.model_hash for each in targets.values()}
    models = await _find_models(settings, hashes, feature_schema_hash(ruleset.parameters))
    by_payer: dict[int, list[_Target]] = defaultdict(list)
    by_payee: dict[int, list[_Target]] = defaultdict(list)
    for target in targets.values():
        by_payer[target.decision.origin.partition].append(target)
        by_payee[target.record.partition].append(target)
    for partition, chosen in sorted(by_payer.items()):
        await _payer_side(settings, ruleset, models, partition, chosen)
    for partition, chosen in sorted(by_payee.items()):
        await _payee_side(settings, ruleset, models, partition, chosen, subject_model)
    return {
        name: Recomputed(each.record.value, each.recomputed, each.row, each.recomputed_row or each.row, each.read)
        for name, each in targets.items()
    }


async def _find_decisions(
    settings: Settings, decision_ids: Collection[str]
) -> dict[str, tuple[Decision, ConsumerRecord]]:
    """Decisions by their id, in the order asked for."""
    missing = {each.encode() for each in decision_ids}
    topic = settings.topics.decisions.name
    doing = "looking for the decision" if len(missing) == 1 else f"looking for {len(missing)} decisions"
    found: dict[str, tuple[Decision, ConsumerRecord]] = {}
    for partition in range(settings.partitions):
        if not missing:
            break
        async for record in read_log(settings, topic, partition, doing):
            named = _NAMED.match(record.value or b"")
            if named is None or named[1] not in missing:
                continue
            decision = read(record.value, Decision, "decision_invalid", DECISION_BYTES_MAX)
            if isinstance(decision, Decision):
                found[named[1].decode()] = decision, record
                missing.remove(named[1])
                if not missing:
                    break
    for each in decision_ids:
        if each not in found:
            raise CannotRecompute(f"{topic}: there is no decision {each}")
    return {each: found[each] for each in decision_ids}


async def _find_rows(settings: Settings, decisions: Mapping[str, tuple[Decision, ConsumerRecord]]) -> dict[str, Served]:
    """What ``features.v1`` has of each decision, a batch of one each: the first row by the model that it names.

    The row stands in the same partition, in a record whose time is not before the decision's.
    """
    topic = settings.topics.features.name
    by_partition: dict[int, dict[str, tuple[Decision, ConsumerRecord]]] = defaultdict(dict)
    for name, each in decisions.items():
        by_partition[each[1].partition][name] = each
    found: dict[str, Served] = {}
    for partition, missing in sorted(by_partition.items()):
        since_ms = max(0, min(record.timestamp for _, record in missing.values()))
        async for record in read_log(settings, topic, partition, "looking for what it was made of", since_ms=since_ms):
            for name in [each for each in missing if UUID(each).bytes in (record.value or b"")]:
                row = _row_of(record.value, UUID(name), missing[name][0].model)
                if row is not None:
                    found[name] = row
                    del missing[name]
            if not missing:
                break
        for name in missing:
            raise CannotRecompute(f"{topic}: there is no row of decision {name}")
    return found


def _row_of(value: bytes, decision_id: UUID, model: str) -> Served | None:
    """What a record of ``features.v1`` has of a decision, if it is by the model whose hash begins with ``model``."""
    served = read_served(value)
    if isinstance(served, Rejection) or not served.by.model_hash.startswith(model):
        return None
    at = np.flatnonzero((served.decision_id == np.frombuffer(decision_id.bytes, np.uint8)).all(axis=1))
    return served.part(slice(at[0], at[0] + 1)) if len(at) else None


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
    """What the payer hop hands over of the targets' payments, from the payer partition's log."""
    topic, partitions = settings.topics.payments.name, settings.partitions
    hop = PayerHop(ruleset, topic, partition, partitions, settings.accounts_max, intake_of(settings))
    model = models[targets[0].model_hash]
    open_targets = sorted(targets, key=lambda each: each.decision.origin.offset)
    read = 0
    last = open_targets[-1].decision.origin.offset
    async for batch in read_batches(settings, topic, partition, "payer hop", last):
        records = hop.process(batch, model).outputs["payments_by_payee"]
        while open_targets and open_targets[0].decision.origin.offset <= batch[-1].offset:
            target = open_targets.pop(0)
            handed = (_handed(each.value, target.decision.origin) for each in records)
            target.handed = next((each for each in handed if each is not None), None)
            if target.handed is None:
                raise CannotRecompute(
                    "the payer hop sends no payment on from there: another version of the code wrote it"
                )
            target.read += read + sum(each.offset <= target.decision.origin.offset for each in batch)
        read += len(batch)
    for target in open_targets:
        raise CannotRecompute(f"{topic}: the log does not reach offset {target.decision.origin.offset}")


def _handed(value: bytes, origin: Origin) -> dict[str, bytes] | None:
    """What a record of the payer hop says of the payment that was read at ``origin``, by column; ``None`` where it
    holds no such."""
    found = HANDOVER.read(value, "handover_invalid")
    if isinstance(found, Rejection) or found.said["partition"] != str(origin.partition):
        return None
    rows = np.flatnonzero((found.arrays["kind"] == PAYMENT) & (found.arrays["offset"] == origin.offset))
    if not len(rows):
        return None
    told = {name: _cell(values, int(rows[0])) for name, values in found.arrays.items()}
    return {**told, "generation": found.said["generation"].encode()}


def _cell(values: Any, row: int) -> bytes:
    if isinstance(values, Texts):
        return values.at(row)
    if isinstance(values, Some):
        return bytes(values.values[int(values.present[:row].sum())].tobytes())
    return bytes(values[row].tobytes())


async def _payee_side(
    settings: Settings, ruleset: Ruleset, models: dict[str, Model], partition: int, targets: Sequence[_Target],
    subject_model: SubjectScoring | None,
) -> None:  # fmt: skip
    """The decisions that the payee hop makes, from the payee partition's log.

    A batch is cut before and behind each record with a target, so that it can be decided by the model that it names.
    What subjects are depends on what other models said of other payments: where a decision rests on that, it is taken
    from the record.
    """
    topic, partitions = settings.topics.payments_by_payee.name, settings.partitions
    hop = PayeeHop(
        ruleset, topic, partition, partitions, partitions, settings.repeats_possible, settings.accounts_max,
        settings.subjects_max, subject_model,
    )  # fmt: skip
    recorded = _unsaid if subject_model is None else await _recorded(settings, ruleset, partition, models)
    wanted = list(targets)
    read = 0
    async for batch in read_batches(settings, topic, partition, "payee hop"):
        start = 0
        for at, record in enumerate(batch):
            here = [each for each in wanted if _handed(record.value, each.decision.origin) == each.handed]
            if not here:
                continue
            if start < at:
                hop.take(batch[start:at], recorded)
            outputs = hop.process([record], models[here[0].model_hash]).outputs
            start = at + 1
            for target in here:
                if target.model_hash != here[0].model_hash:
                    raise CannotRecompute("two decisions of one batch name two models: ask for one at a time")
                target.recomputed, target.recomputed_row = _decided(outputs, target.decision)
                target.read += read + start
                wanted.remove(target)
        if not wanted:
            return
        if start < len(batch):
            hop.take(batch[start:], recorded)
        read += len(batch)
    raise CannotRecompute(
        f"{topic}: what the payer hop hands over is not there: it is deleted, or another version wrote it"
    )


def _unsaid(partitions: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """What models said of payments, where no decision rests on it."""
    return np.full(len(offsets), np.nan)


async def _recorded(settings: Settings, ruleset: Ruleset, partition: int, models: dict[str, Model]) -> Recorded:
    scores = await scores_on_record(settings, partition)
    schema = feature_schema_hash(ruleset.parameters)
    known = models | await _find_models(settings, scores.keys() - models.keys(), schema)
    return said_by(known, scores)


def _decided(outputs: Outputs, decision: Decision) -> tuple[bytes, Served]:
    """A decision and its row, among what the payee hop writes of a batch."""
    name = decision.decision_id
    begin = b'{"decision_id":"%b"' % name.encode()
    lines = [each.value for each in outputs["decisions"] if each.value.startswith(begin)]
    rows = [_row_of(each.value, UUID(name), decision.model) for each in outputs["features"]]
    row = next((each for each in rows if each is not None), None)
    if not lines or row is None:
        raise CannotRecompute("the payee hop makes another decision there: another version of the code wrote it")
    return lines[-1], row
