"""The subject hop: what payees' partitions hand to a partition of payers is added up there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from services.contract.codec import Rejection, decode_payment
from services.contract.events import cloud_event
from services.contract.evidence import REASON, Evidence, read_evidence
from services.contract.partitioner import partitions_of
from services.contract.payment import Payment
from services.scorer.path.asking.adding import digests_of
from services.scorer.path.asking.safeguard import Safeguard, SubjectScoring
from services.scorer.path.decision import DecisionWriter, Stated, Written, names_of
from services.scorer.path.decode import dead_letter
from services.scorer.path.features.registry import NAMES, feature_schema_hash
from services.scorer.path.intake import AHEAD_MS_MAX
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound, no_mark
from services.scorer.path.rules.evaluate import Rules
from services.scorer.path.rules.pack_format import ROLES
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model
from services.scorer.path.subjects.facts import facts_of
from services.scorer.path.subjects.kernel import SubjectBatch
from services.scorer.path.subjects.partition import PayerState
from services.scorer.path.subjects.state import SUBJECTS_MAX

PAYER = ROLES.index("payer")


@dataclass(frozen=True, slots=True)
class Heard:
    """A record, read, and the rows of it that are no repeats."""

    record: Inbound
    evidence: Evidence
    duplicates: int = 0


class SubjectHop:
    """One partition of ``evidence.by-payer.v1``: adds up what is known of payers' payments under a pack.

    Parameters
    ----------
    schema
        As ``hops.schema_of``.
    topic, partition
        Of the evidence.
    payee_partitions
        Of ``payments.by-payee.v1``, whose hops write it, as of ``reviews.by-subject.v1``.
    repeats_possible
        Whether payee hops may write something again: without transactions.
    subjects_max
        Payers remembered at most.
    subject_model
        By which packs that hear a model ask about payers; without one nothing is asked here.
    """

    name = "subject"

    def __init__(
        self,
        ruleset: Ruleset,
        schema: bytes,
        topic: str,
        partition: int,
        payee_partitions: int,
        repeats_possible: bool = False,
        subjects_max: int = SUBJECTS_MAX,
        subject_model: SubjectScoring | None = None,
    ) -> None:
        rules = Rules(ruleset)
        self._writer = DecisionWriter(rules, feature_schema_hash(ruleset.parameters))
        self._safeguard = None if subject_model is None else Safeguard(rules.packs, subject_model)
        self._key = ruleset.private.texts.digests.key
        self._schema = schema
        self.state = PayerState(payee_partitions, schema, subjects_max)
        self._topic, self._partition, self._payee_partitions = topic, partition, payee_partitions
        self._repeats_possible = repeats_possible

    def process(self, records: Sequence[Inbound], model: Model, mark: Mark = no_mark) -> HopResult:
        """What the next ``records`` of the log give. ``model`` is not used here: the evidence is told."""
        heard, rejected = self._read(records)
        mark("decode")
        reviews: list[Outbound] = []
        for each in heard:
            features = self._add_up(each.evidence)
            if self._safeguard is not None:
                found = self._reviews(self._safeguard, each.evidence, features)
                if isinstance(found, Rejection):
                    rejected.append((each.record, found))
                else:
                    reviews += found
        mark("subjects")
        return HopResult(
            outputs={
                "reviews": reviews,
                "dead_letters": [dead_letter(*each, self._topic, self._partition) for each in rejected],
            },
            counts=Counter(
                added=sum(len(each.evidence) for each in heard),
                duplicate=sum(each.duplicates for each in heard),
                dead_letter=len(rejected),
            ),
            reasons=Counter(why.reason for _, why in rejected),
        )

    def _reviews(
        self, safeguard: Safeguard, found: Evidence, features: NDArray[np.float64]
    ) -> list[Outbound] | Rejection:
        """Reviews of payers, whose ``features`` are float64[n, S] after each of the payments ``found``. What is
        immediate the payee hop has asked for. A record with a payment to review that is not what its columns say, which
        only a forged one has, gives none."""
        risk, rules = safeguard.model.risk("payer", features), self._writer.rules
        rows = np.flatnonzero(risk >= safeguard.risk_min)
        if not len(rows):
            return []
        of_payments = np.ascontiguousarray(found.features[rows])
        packs = rules.packs.evaluate(of_payments, np.nan_to_num(found.evidence[rows]))
        asked = safeguard.asked(packs, "payer", np.arange(len(rows)), features[rows], risk[rows])
        results, out = rules.evaluate(of_payments), []
        for at, pack in np.argwhere(asked.review[:, :, PAYER]).tolist():
            if pack not in safeguard.hearing or packs.immediate[at, pack, PAYER]:
                continue
            row = int(rows[at])
            payment = decode_payment(found.payment.at(row))
            if not isinstance(payment, Payment) or names_of(payment) != _names(found, row):
                return Rejection(REASON, "payment", "Another payment than its columns speak of")
            told = rules.packs.finding(asked, at, pack, "payer")
            stated = Stated(
                float(found.score[row]), float(found.probability[row]), [],
                rules.described(results, at, only_hits=True), found.by.model_hash,
            )  # fmt: skip
            identity = str(UUID(bytes=found.decision_id[row].tobytes()))
            written = Written(told, orjson.Fragment(msgspec.json.encode(told)))
            body = self._writer.review_of(identity, payment, "payer", written, stated)
            key = found.payer.at(row)
            to = int(partitions_of([key], self._payee_partitions)[0])
            name = cloud_event("review.v1", f"{identity}/payer/{told.pack}")
            out.append(Outbound(to, int(found.appended_ms[row]), key, body, name))
        return out

    def take(self, records: Sequence[Inbound]) -> None:
        """Take ``records``, whose outputs are written already, into the state."""
        for each in self._read(records)[0]:
            self._add_up(each.evidence)

    def added_up(self, records: Sequence[Inbound]) -> list[tuple[Evidence, NDArray[np.float64]]]:
        """The payments of each of the next ``records`` that can be read, and the features of their payers after each
        payment, float64[n, S] in the order of ``facts.PAYER_SUBJECT_FEATURES``."""
        return [(each.evidence, self._add_up(each.evidence)) for each in self._read(records)[0]]

    def _read(self, records: Sequence[Inbound]) -> tuple[list[Heard], list[tuple[Inbound, Rejection]]]:
        """Records that can be read, in order and without repeats, and those that cannot."""
        heard: list[Heard] = []
        rejected: list[tuple[Inbound, Rejection]] = []
        for record in records:
            found = read_evidence(record.value, self._schema, self._payee_partitions, len(NAMES))
            if isinstance(found, Evidence):
                found = _dated_too_far(found, record) or found
            if isinstance(found, Rejection):
                rejected.append((record, found))
                continue
            heard.append(self._without_repeats(record, found))
        return heard, rejected

    def _without_repeats(self, record: Inbound, found: Evidence) -> Heard:
        origins, source = self.state.origins, found.by.partition
        repeats = 0
        if self._repeats_possible:
            repeats = int(np.searchsorted(found.position, origins[source], side="right"))
        origins[source] = max(int(origins[source]), int(found.position[-1]))
        return Heard(record, found.part(slice(repeats, len(found))), repeats)

    def _add_up(self, found: Evidence) -> NDArray[np.float64]:
        batch = SubjectBatch(
            found.event_time_ms.astype(np.int64),
            digests_of(found.tenant, found.payer, self._key),
            digests_of(found.tenant, found.payee, self._key),
            facts_of(found.features),
            found.evidence.copy(),  # what was read cannot be written, which is another type to kernels
        )
        return self.state.subjects.add_up(batch, found.others.copy())


def _names(found: Evidence, row: int) -> tuple[bytes, ...]:
    return tuple(getattr(found, name).at(row) for name in ("tenant", "payment_id", "payer", "payee"))


def _dated_too_far(found: Evidence, record: Inbound) -> Rejection | None:
    """What would move the partition's clock further than any payment that the payer hop takes."""
    appended_ms = found.appended_ms
    if (appended_ms > max(record.timestamp, -1)).any():
        return Rejection(REASON, "appended_ms", "After the record was written")
    if ((appended_ms >= 0) & (found.event_time_ms > appended_ms + AHEAD_MS_MAX)).any():
        return Rejection(REASON, "event_time_ms", "More than 7 days after the payment was appended")
    return None
