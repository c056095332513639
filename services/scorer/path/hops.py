"""The path of a payment, on one screen.

    payments.v1 ─► PayerHop ─► payments.by-payee.v1 ─► PayeeHop ─► decisions.v1, features.v1, reviews.by-subject.v1
                                                          └─► evidence.by-payer.v1 ─► SubjectHop (``asking``)

Labels of payments, which the learner writes into ``payments.v1``, go the same way as far as the payee hop.

A hop is a pure function of its input log: ``process`` takes the next records of one partition and returns what to
write. How the log is cut into batches changes nothing. The model is given with each batch and named in each decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.contract.identity import hash_of
from services.scorer.path.asking.adding import Added, UnderPack, evidence_of, under_pack
from services.scorer.path.asking.safeguard import Safeguard, SubjectScoring
from services.scorer.path.decision import DecisionWriter, decide
from services.scorer.path.decode import Reading, decode
from services.scorer.path.encode import From, decisions
from services.scorer.path.features.accounts import digests_of_keys
from services.scorer.path.features.definitions.derived import with_derived
from services.scorer.path.features.event_time import NOBODY
from services.scorer.path.features.identities import FORWARD, STATUS_UPDATE, Identities
from services.scorer.path.features.inputs import corridor_slots, label_rows
from services.scorer.path.features.payee import payee_features
from services.scorer.path.features.payer import payer_features
from services.scorer.path.features.registry import NAMES, feature_schema_hash
from services.scorer.path.features.rows import PAYER_ROW
from services.scorer.path.features.state import ACCOUNTS_MAX, AccountState, account_key
from services.scorer.path.features.tokens import write_linked
from services.scorer.path.handover import Source, hand_over
from services.scorer.path.handover_reading import Handover, read_handovers
from services.scorer.path.identify import identify
from services.scorer.path.intake import ANY, Intake
from services.scorer.path.onward import Measured, labels_onward, payments_onward
from services.scorer.path.records import HopResult, Inbound, Mark, Outbound, no_mark
from services.scorer.path.rules.evaluate import OUTCOMES, Rules
from services.scorer.path.rules.pack import PackResults
from services.scorer.path.rules.ruleset import Ruleset
from services.scorer.path.scoring.model import Model
from services.scorer.path.subjects.partition import PayeeState
from services.scorer.path.subjects.state import SUBJECTS_MAX

Said: TypeAlias = Callable[[UnderPack], NDArray[np.float64]]
"""What the model says of m payments under a pack beyond its bias, float64[m]."""
Recorded: TypeAlias = Callable[[NDArray[np.int32], NDArray[np.int64]], NDArray[np.float64]]
"""The same of payments by where they were read in ``payments.v1``: partitions and offsets."""


class PayerHop:
    """One partition of ``payments.v1``: reads payments, adds the payer's features, sends each to its payee.

    Parameters
    ----------
    topic, partition
        Of the payments.
    payee_partitions
        Of what is handed over.
    accounts_max
        Accounts remembered at most.
    intake
        What is taken of the topic.
    """

    name = "payer"

    def __init__(
        self,
        ruleset: Ruleset,
        topic: str,
        partition: int,
        payee_partitions: int,
        accounts_max: int = ACCOUNTS_MAX,
        intake: Intake = ANY,
    ) -> None:
        self._parameters, self._private = ruleset.parameters, ruleset.private
        self._reading = Reading(ruleset.parameters.eur_per_minor_unit(), ruleset.private, intake)
        self._identities = Identities(intake.window_payments, intake.window_days)
        self._schema = schema_of(ruleset)
        idle_ms = ruleset.parameters.account_idle_ms
        self.state = AccountState(PAYER_ROW, idle_ms, payee_partitions, self._schema, accounts_max, self._identities)
        self._topic, self._partition, self._payee_partitions = topic, partition, payee_partitions

    def process(self, records: Sequence[Inbound], model: Model, mark: Mark = no_mark) -> HopResult:
        """The outputs of the next ``records`` of the log. ``model`` is not used here: payers are not scored alone."""
        found, handed_over = self.hand_over(records, mark)
        batch, verdicts = found.batch, found.verdicts
        return HopResult(
            outputs={"payments_by_payee": handed_over, "dead_letters": batch.dead},
            counts=Counter(
                forwarded=int(np.count_nonzero(verdicts == FORWARD)),
                duplicate=found.duplicates,
                label=int(np.count_nonzero(found.fresh)),
                label_duplicate=int(np.count_nonzero(~found.fresh)),
                status_update=int(np.count_nonzero(verdicts == STATUS_UPDATE)),
                dead_letter=len(batch.dead),
            ),
            reasons=Counter(batch.reasons),
        )

    def take(self, records: Sequence[Inbound]) -> None:
        """Take ``records``, whose outputs are written already, into the state."""
        self.hand_over(records)

    def hand_over(self, records: Sequence[Inbound], mark: Mark = no_mark) -> tuple[Measured, list[Outbound]]:
        """What the next ``records`` are, and the records for the payee hop."""
        found = self._measure(records, mark)
        key, partitions = self._private.texts.digests.key, self._payee_partitions
        handed_over = hand_over(
            payments_onward(found, partitions),
            labels_onward(found, key, partitions),
            Source(self._partition, self._schema, self.state.generation),
            (records[0].offset, records[-1].offset + 1) if records else (0, 0),
            self.state.origins,
        )
        mark("encode")
        return found, handed_over

    def _measure(self, records: Sequence[Inbound], mark: Mark) -> Measured:
        read = decode(records, self._reading, self._topic, self._partition)
        identified = identify(read, self.state, self._identities, self._topic, self._partition)
        batch = identified.batch
        mark("decode")
        inputs, texts = batch.rows, self._private.texts
        key = texts.digests.key
        labels = label_rows(batch.labels, batch.payments_before(), texts.digest)
        labels["now_ms"] = identified.label_now_ms
        onward = inputs["verdict"] == FORWARD
        slots, label_slots = self.state.slots(
            batch.payers,
            inputs["event_ms"],
            inputs["now_ms"],
            onward,
            digests_of_keys([account_key(each.tenant.encode(), each.payer.encode()) for each in batch.labels], key),
            labels["before"],
        )
        corridors = corridor_slots(inputs, batch.corridor, self.state.corridors)
        mark("state")
        features, recent, fresh = payer_features(
            inputs, slots, corridors, self.state, self._parameters, labels, label_slots
        )
        members, now_ms = (inputs["payee"], inputs["payer"]), inputs["now_ms"]
        write_linked(features, onward, batch.payments, members, self.state.tokens, now_ms, texts.digest)
        mark("kernel")
        return Measured(batch, features, recent, fresh, identified.duplicates)


class PayeeHop:
    """One partition of ``payments.by-payee.v1``: adds the payee's features, runs rules and model, decides.

    Parameters
    ----------
    topic, partition
        Of what is handed over.
    payer_partitions, subjects
        Partitions of ``payments.v1``, and of ``reviews.by-subject.v1`` as of ``evidence.by-payer.v1``.
    repeats_possible
        Whether payer hops may hand over something again: without transactions.
    accounts_max, subjects_max
        Accounts and subjects remembered at most.
    subject_model
        By which packs that hear a model ask about payees; about payers they then ask at the subject hop. Without one
        they ask here about both, by the payment.
    hands_on
        Whether payments under a pack go on to the subject hop, though there is no subject model.
    """

    name = "payee"

    def __init__(
        self,
        ruleset: Ruleset,
        topic: str,
        partition: int,
        payer_partitions: int,
        subjects: int,
        repeats_possible: bool = False,
        accounts_max: int = ACCOUNTS_MAX,
        subjects_max: int = SUBJECTS_MAX,
        subject_model: SubjectScoring | None = None,
        hands_on: bool = True,
    ) -> None:
        self._hands_on = hands_on or subject_model is not None
        self._parameters = ruleset.parameters
        self._key = ruleset.private.texts.digests.key
        self._schema = schema_of(ruleset)
        idle_ms = ruleset.parameters.account_idle_ms
        self.state = PayeeState(idle_ms, payer_partitions, self._schema, accounts_max, subjects_max)
        self._rules = Rules(ruleset)
        self._writer = DecisionWriter(self._rules, feature_schema_hash(ruleset.parameters))
        self._safeguard = None if subject_model is None else Safeguard(self._rules.packs, subject_model)
        self._source, self._subjects = From(topic, partition, self._schema), subjects
        self._repeats_possible = repeats_possible

    def process(self, records: Sequence[Inbound], model: Model, mark: Mark = no_mark) -> HopResult:
        """The decisions on the next ``records`` of the log, scored by ``model``."""
        found = self.read(records)
        mark("decode")
        features = self.measure(found, mark)
        added: list[Added] = []

        def hear(packs: PackResults, scores: NDArray[np.float64]) -> PackResults:
            added.append(self._add_up(found, features, lambda under: evidence_of(scores, model)[under.rows]))
            self.state.said.take(added[0].under.positions, added[0].under.batch.evidence)
            asked = self._asked(packs, added[0])
            mark("subjects")
            return asked

        verdicts = decide(features, self._rules, model, mark, hear)
        outputs, reasons = decisions(
            found, verdicts, added[0], self._writer, self._source, self._subjects, self._hands_on
        )
        mark("encode")
        hits = np.argwhere(verdicts.results.outcome > 0).tolist()
        named = self._rules.ruleset.rules
        return HopResult(
            outputs=dict(outputs),
            counts=Counter(
                decided=len(features), label=len(found.labels), duplicate=found.duplicates, gap=found.gaps,
                dead_letter=len(outputs["dead_letters"]), review=int(verdicts.review.sum()),
            ),
            reasons=reasons,
            rules=Counter((named[rule].id, OUTCOMES[verdicts.results.outcome[row, rule]]) for row, rule in hits),
        )  # fmt: skip

    def take(self, records: Sequence[Inbound], recorded: Recorded | None = None) -> None:
        """Take ``records``, whose outputs are written already, into the state, with what the model said of them then:
        as the state was told, or as ``recorded`` has it.

        Raises
        ------
        StateFormatError
            When nothing tells what that was.
        """
        found = self.read(records)

        def said(under: UnderPack) -> NDArray[np.float64]:
            if recorded is None:
                return self.state.said.of(under.positions)
            return recorded(found.partition[under.rows], found.offset[under.rows])

        self._add_up(found, self.measure(found), said, asks=False)

    def _add_up(self, found: Handover, features: NDArray[np.float64], said: Said, asks: bool = True) -> Added:
        """Add the payments under a pack up at their payees; ``asks`` is whether the payees' risk is wanted."""
        under = under_pack(found, features, self._key, self.state.generation)
        under = under._replace(batch=under.batch._replace(evidence=said(under)))
        of_payees, others = self.state.subjects.add_up(under.batch)
        if self._safeguard is None or not asks:
            return Added(under, of_payees, others, np.full(len(under.rows), np.nan))
        model = self._safeguard.model
        return Added(under, of_payees, others, model.risk("payee", of_payees), model.hash)

    def _asked(self, packs: PackResults, added: Added) -> PackResults:
        """What packs ask for, where a model of subjects says what it thinks of payees."""
        if self._safeguard is None:
            return packs
        of_payees = self._safeguard.asked(packs, "payee", added.under.rows, added.features, added.risk)
        return self._safeguard.only_immediate(of_payees, "payer")

    def read(self, records: Sequence[Inbound]) -> Handover:
        """What was handed over."""
        return read_handovers(records, self._schema, self.state.origins, self._repeats_possible)

    def measure(self, found: Handover, mark: Mark = no_mark) -> NDArray[np.float64]:
        """All features of the payments that were handed over, float64[n, len(FEATURES)]."""
        measured = np.hstack([found.features, self._on_payee_side(found, mark)])
        features = with_derived(measured, NAMES[: measured.shape[1]])
        mark("kernel")
        return features

    def _on_payee_side(self, found: Handover, mark: Mark = no_mark) -> NDArray[np.float64]:
        """The payee's features of the payments that were handed over, and the state after these."""
        inputs, labels = found.inputs, found.labels
        now_ms = self.state.times(inputs["event_ms"], np.where(inputs["outflow"], np.uint64(NOBODY), inputs["payer"]))
        inputs["now_ms"], labels["now_ms"] = now_ms[1:], now_ms[labels["before"]]
        slots, label_slots = self.state.slots(
            found.accounts, inputs["event_ms"], now_ms[1:], ~inputs["outflow"], found.labelled, labels["before"]
        )
        mark("state")
        features = payee_features(inputs, slots, self.state, self._parameters, labels, label_slots)
        on_payee_side: NDArray[np.float64] = features[~inputs["outflow"]]
        return on_payee_side


def schema_of(ruleset: Ruleset) -> bytes:
    """Eight bytes for all that state and what is handed over mean something under: the feature schema, and the key of
    digests."""
    schema = bytes.fromhex(feature_schema_hash(ruleset.parameters)[:16])
    fingerprint = ruleset.private.texts.digests.fingerprint
    return bytes.fromhex(hash_of(schema + fingerprint)[:16]) if fingerprint else schema
