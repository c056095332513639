"""Computing an alert again: every decision that it names, then what it says of them, then its sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.contract.alert import Alert, Contribution
from services.contract.codec import decode
from services.contract.decision import HASH_SHOWN, Decision, Finding
from services.contract.payment import Payment
from services.runtime.settings import Settings
from services.scorer.audit.recompute import CannotRecompute, Recomputed, recompute_decisions
from services.scorer.audit.subjects import PayersPayment, payers_payments
from services.scorer.path.asking.safeguard import SubjectScoring
from services.scorer.rulebook.ruleset_file import load_ruleset

_NO_PAYMENTS: Mapping[str, PayersPayment] = {}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of an alert, whether it does, and what was found."""

    name: str
    holds: bool
    found: str


def named_payments(alert: Alert) -> tuple[Contribution, ...]:
    """Every payment that the alert names, the one of its finding first where that is older than the others."""
    leading = alert.finding_payment
    older = () if leading is None or leading in alert.payments else (leading,)
    return (*older, *alert.payments)


async def recompute_alert(settings: Settings, alert: Alert, subject_model: SubjectScoring | None = None) -> list[Check]:
    """Compute the decisions of all payments that ``alert`` names again, and check what it says against them; where a
    pack asked by the risk of its subject, that too, by ``subject_model``.

    Raises
    ------
    NotInLogs
        When a decision or a subject cannot be computed again.
    """
    subject = None if alert.finding is None else alert.finding.subject
    if subject is not None and (subject_model is None or subject_model.hash != subject.model):
        raise CannotRecompute(f"the model of subjects {subject.model[:HASH_SHOWN]}, by which a pack asked, is not here")
    named = named_payments(alert)
    names = list(dict.fromkeys(each.decision_id for each in named))
    recomputed = await recompute_decisions(settings, names, subject_model)
    decisions = {name: decode(each.recomputed, Decision) for name, each in recomputed.items()}
    payments: dict[str, PayersPayment] = {}
    if subject_model is not None and subject is not None and alert.subject.role == "payer":
        payments = await payers_payments(settings, load_ruleset(settings), alert, names, subject_model)
    return [*_decision_checks(named, recomputed), *alert_checks(alert, decisions, payments)]


def _decision_checks(named: Iterable[Contribution], recomputed: Mapping[str, Recomputed]) -> list[Check]:
    return [
        Check(f"decision {each.decision_id} of payment {each.payment_id}", found.same, found.summary)
        for each in named
        for found in (recomputed[each.decision_id],)
    ]


def alert_checks(
    alert: Alert, decisions: Mapping[str, Decision], payments: Mapping[str, PayersPayment] = _NO_PAYMENTS
) -> list[Check]:
    """What ``alert`` says, against the recomputed decisions of the payments it names, by decision id; and against
    ``payments``, where a pack asked by the risk of their payer, whatever was decided on each."""

    def contributed(name: str) -> Contribution | None:
        return payments[name].contribution if name in payments else _contribution(decisions[name])

    wrong = [each.payment_id for each in named_payments(alert) if each != contributed(each.decision_id)]
    checks = [
        Check("payments", not wrong, f"not as decided: {', '.join(wrong)}" if wrong else "each as its decision has it")
    ]
    if alert.finding is None:
        return [*checks, _reasons_check(alert, decisions)]
    return [*checks, *_finding_checks(alert, alert.finding, decisions, payments)]


def _finding_checks(
    alert: Alert, finding: Finding, decisions: Mapping[str, Decision], payments: Mapping[str, PayersPayment]
) -> list[Check]:
    payment = alert.finding_payment
    review = decisions[payment.decision_id].review if payment else None
    of_it = review.findings if review else ()
    if payment is not None and payment.decision_id in payments:
        found = payments[payment.decision_id].finding
        of_it = of_it if found is None else (found, *of_it)
    about = (finding.pack, alert.subject.role, alert.queue)
    decided = next((each for each in of_it if (each.pack, each.role, each.queue) == about), None)
    if payment is None or decided is None:
        return [Check("finding", False, f"no decision that the alert names has a finding of {finding.pack} for it")]
    same = {
        "evidence": finding.evidence == decided.evidence,
        "counter-evidence": finding.counter_evidence == decided.counter_evidence,
        "model part": finding.model == decided.model,
        "all else in the finding": finding == decided,
    }
    checks = [_as_decided(what, holds, payment) for what, holds in same.items()]
    if finding.subject is not None:
        said = f"{decided.score!r} of {finding.score!r}"
        return [*checks, Check("risk of the subject", decided.score == finding.score, said)]
    total = sum_of(finding)
    said = f"{total!r} = {finding.score!r}" if total == finding.score else f"{total!r}, NOT {finding.score!r}"
    return [*checks, Check("sum", total == finding.score, said)]


def sum_of(finding: Finding) -> float:
    """Prior, weights of evidence, of counter-evidence, and the model's part, added one by one in this order."""
    total = finding.prior
    for each in (*finding.evidence, *finding.counter_evidence):
        total += each.weight
    return total + finding.model


def _reasons_check(alert: Alert, decisions: Mapping[str, Decision]) -> Check:
    """Of an alert by rules or model: its reasons are those of its most probable payment, if it still names that."""
    latest = [each for each in alert.payments if each.probability == alert.probability_max]
    if not latest:
        return Check("reasons", True, "of a payment older than those that the alert names: nothing to compare")
    reviews = [decisions[each.decision_id].review for each in latest]
    return _as_decided(
        "reasons", any(each is not None and each.reasons == alert.reasons for each in reviews), latest[-1]
    )


def _as_decided(what: str, holds: bool, payment: Contribution) -> Check:
    return Check(what, holds, f"{'as' if holds else 'NOT as'} in the decision of payment {payment.payment_id}")


def _contribution(decision: Decision) -> Contribution | None:
    """What a payment that went to review contributes; ``None`` of one that did not."""
    if decision.review is None:
        return None
    payment = decode(bytes(decision.review.payment), Payment)
    return Contribution(
        decision.payment_id,
        decision.decision_id,
        decision.event_time_ms,
        payment.amount_minor,
        payment.currency,
        decision.probability,
    )
