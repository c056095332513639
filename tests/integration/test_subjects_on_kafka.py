"""Subjects on Kafka: a scorer that is killed in between adds up and asks what the core does, and can be recomputed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.broker import KafkaBroker
from services.contract.alert import Alert, Review
from services.contract.codec import decode
from services.contract.payment import Role
from services.kafka.reading import NotInLogs
from services.runtime.settings import load_settings
from services.scorer.audit.recompute_alert import Check, recompute_alert
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.scorer.shell.app import warm_up
from tests.support.alerts import assert_each_review_is_in_one_alert
from tests.support.deployment import Deployment, make_deployment, producer, send, settled
from tests.support.kills import written
from tests.support.models import random_model
from tests.support.offline import Run, assert_decided_once, assert_logs_are_computed, read_run, schema_hash
from tests.support.payments import expected_of, payment_log
from tests.support.subject_models import LinearSubjects
from tests.support.subject_worker import SUBJECTS, SubjectWorker

pytestmark = pytest.mark.kafka

SEED = 77
LENGTH = 4_000
KILLS_AT = (150, 700, 1_300)
"""Records that the hops have written when the worker dies, in the middle of transactions."""


@dataclass(frozen=True)
class Killed:
    deployment: Deployment
    run: Run


@pytest.fixture(scope="module")
def killed(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A run over two partitions and two models of payments, killed three times."""
    warm_up(load_ruleset(load_settings()))  # or a worker of new sources compiles for longer than anything may take
    folder = tmp_path_factory.mktemp("subjects")
    deployment = make_deployment(
        kafka.bootstrap, "subjects", folder, partitions=2, batch_payments_max=100, checkpoint_payments=700
    )
    worker = SubjectWorker("scorer", deployment.settings, folder, "scorer")
    deployment.workers.append(worker)
    models = [random_model(version, schema_hash(deployment.settings)) for version in (1, 2)]
    log = payment_log(SEED, LENGTH, accounts=200)

    async def go() -> Run:
        await deployment.announce(models[0])
        third = len(log) // len(KILLS_AT)
        for at, count in enumerate(KILLS_AT):
            async with producer(deployment.settings) as sending:
                await send(sending, deployment, log[at * third : (at + 1) * third])
            worker.start()
            await written(deployment, count, since=0)
            worker.kill()
            if at == 1:
                await deployment.announce(models[1])
        async with producer(deployment.settings) as sending:
            await send(sending, deployment, log[len(KILLS_AT) * third :])
        worker.start()
        await settled(deployment)
        await settled(deployment)  # reviews of payers come after those of payees
        return await read_run(deployment, models, SUBJECTS)

    try:
        run = asyncio.run(go())
        assert_decided_once(run, expected_of(log))
        yield Killed(deployment, run)
    finally:
        deployment.discard()


def test_every_log_and_every_subject_is_what_the_core_computes_to_the_bit(killed: Killed) -> None:
    assert_logs_are_computed(killed.run, SEED)
    assert_each_review_is_in_one_alert(killed.run)


def test_both_hops_asked(killed: Killed) -> None:
    asked = [decode(record.value, Review) for log in killed.run.reviews for record in log]
    by_subject = [each for each in asked if each.finding is not None and each.finding.subject is not None]
    assert {each.subject.role for each in by_subject} == {"payer", "payee"}
    keys = [(each.decision_id, each.subject, each.queue) for each in by_subject]
    assert len(set(keys)) == len(keys) > 50


def alert_about(run: Run, role: Role) -> Alert:
    """The alert about a ``role`` that names most payments, as it stands, of those that a pack asked for by subject."""
    found = [decode(record.value, Alert) for log in run.alerts for record in log]
    return max(
        (
            each
            for each in found
            if each.subject.role == role and each.finding is not None and each.finding.subject is not None
        ),
        key=lambda each: (len(each.payments), each.revision),
    )


def recomputed(killed: Killed, alert: Alert, model: LinearSubjects | None = SUBJECTS) -> list[Check]:
    return asyncio.run(recompute_alert(killed.deployment.settings, alert, model))


@pytest.mark.parametrize("role", ["payer", "payee"])
def test_an_alert_by_the_risk_of_its_subject_is_recomputed_to_the_bit(killed: Killed, role: Role) -> None:
    checks = recomputed(killed, alert_about(killed.run, role))
    assert all(each.holds for each in checks), [each for each in checks if not each.holds]
    assert "risk of the subject" in {each.name for each in checks}


def test_without_the_model_of_subjects_it_is_said_which_is_needed(killed: Killed) -> None:
    with pytest.raises(NotInLogs, match=SUBJECTS.hash[:12]):
        recomputed(killed, alert_about(killed.run, "payer"), None)
