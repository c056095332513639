"""What a worker's metrics say is what the topics say, and neither they nor its log name anybody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from services.broker.probe import free_ports
from services.contract.codec import encode
from services.contract.payment import Party, Payment
from services.runtime.metrics import Metrics
from services.scorer.path.features.partition_state import PARTITION_KEY
from tests.support.alerts import assert_each_review_is_in_one_alert
from tests.support.deployment import Deployment, producer, send, settled
from tests.support.evidence import columns_of
from tests.support.models import random_model
from tests.support.offline import Run, read_run, restored, restored_subjects, schema_hash
from tests.support.payments import START_MS, Entry, expected_of, payment_log
from tests.support.scrape import Samples, exposition, samples, total

pytestmark = pytest.mark.kafka

SEED = 55
CANARY = "canary-9d41"


def canaries() -> list[Entry]:
    """Payments whose every free text says so, processed and refused in every way."""

    def payment(at: int, **changed: object) -> Payment:
        fields: dict[str, object] = {
            "payment_id": f"{CANARY}-id-{at}",
            "event_time_ms": START_MS + at * 60_000,
            "amount_minor": 9_000_00,
            "currency": "EUR",
            "payer": Party(f"{CANARY}-payer", country="SE", phone=f"{CANARY}-phone", device=f"{CANARY}-device"),
            "payee": Party(f"{CANARY}-payee-{at}", country="PH"),
            "reference": f"{CANARY}-reference",
            "tenant": f"{CANARY}-tenant",
        }
        return Payment(**fields | changed)  # type: ignore[arg-type]

    def sent(each: Payment, value: bytes | None, good: bool = False) -> Entry:
        fate, identity = ("decided", (each.tenant, each.payment_id)) if good else ("dead", ("", ""))
        return Entry(each.payer.account.encode(), value, fate, identity)  # type: ignore[arg-type]

    decided = [payment(at) for at in range(40)]
    broken = payment(99)
    value = encode(broken)
    return [
        *(sent(each, encode(each), good=True) for each in decided),
        sent(broken, value[:-20]),
        sent(broken, value.replace(b'"EUR"', f'"{CANARY}"'.encode())),
        sent(broken, value.replace(b'"event_time_ms":', f'"event_time_ms":"{CANARY}","x":'.encode())),
        sent(broken, value.replace(b'"tenant":', f'"{CANARY}-field":'.encode()).replace(b'"payment_id"', b'"id"')),
        Entry(f"{CANARY}-key".encode(), value, "dead"),
    ]


async def measured(deployment: Deployment, port: int, log: list[Entry]) -> tuple[Run, str, int]:
    """The logs, the exposition once the worker has counted it all, and how many alert events there are."""
    model = random_model(1, schema_hash(deployment.settings))
    await deployment.announce(model)
    async with producer(deployment.settings) as sending:
        await send(sending, deployment, log)
    deployment.worker(metrics_port=port).start()
    await settled(deployment)
    run = await read_run(deployment, [model])
    assert_each_review_is_in_one_alert(run)
    events = sum(map(len, run.alerts))

    async def counted() -> str | None:
        text = exposition(port)
        found = samples(text)
        done = total(found, "tocsin_alerts_total") == events and total(found, "tocsin_consumer_lag_records") == 0
        return text if done and (("tocsin_consumer_lag_records") in text) else None

    return run, await deployment.wait_for(counted, "the worker has counted everything"), events


@pytest.mark.parametrize("deployment", [{"partitions": 2}], indirect=True)
def test_metrics_agree_with_the_topics_and_name_nobody(deployment: Deployment, tmp_path: Path) -> None:
    log = [*payment_log(SEED, 5_000), *canaries()]
    (port,) = free_ports(1)
    run, text, events = asyncio.run(measured(deployment, port, log))
    assert_every_family_is_there(text)
    assert_counts_agree(samples(text), run, log, events)
    logs = "".join(worker.log.read_text(errors="replace") for worker in deployment.workers)
    assert_nobody_is_named(text, log)
    assert_nobody_is_named(logs, log)


def assert_every_family_is_there(text: str) -> None:
    """Whatever ``services.runtime.metrics`` defines has its type in the exposition."""
    types = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert name in types, f"{name} is not exposed"


def assert_counts_agree(found: Samples, run: Run, log: list[Entry], alerts: int) -> None:
    """Counters, histograms' counts and gauges against the logs."""
    fates = expected_of(log).fates
    decided = [orjson.loads(record.value) for record in run.records_decided]
    reviews = sum(each["outcome"] == "review" for each in decided)
    payer = {"hop": "payer"}
    assert total(found, "tocsin_payments_total", payer) == sum(map(len, run.payments)) == len(log)
    assert total(found, "tocsin_payments_total", payer | {"result": "forwarded"}) == len(decided) == fates["decided"]
    repeated = total(found, "tocsin_payments_total", payer | {"result": "duplicate"})
    updated = total(found, "tocsin_payments_total", payer | {"result": "status_update"})
    assert repeated + updated == fates["repeat"] + fates["status_update"]
    assert total(found, "tocsin_duplicates_total", payer) == repeated > 0
    assert total(found, "tocsin_duplicates_total", {"hop": "payee"}) == 0
    dead = sum(map(len, run.dead_letters))
    assert total(found, "tocsin_dead_letters_total", payer) == dead == fates["dead"]
    assert total(found, "tocsin_payments_total", payer | {"result": "dead_letter"}) == dead
    assert total(found, "tocsin_payments_total", {"hop": "payee"}) == len(decided)
    assert total(found, "tocsin_decisions_total", {"outcome": "review"}) == reviews > 0
    assert total(found, "tocsin_decisions_total", {"outcome": "pass"}) == len(decided) - reviews > 0
    hits = sum(len(each.get("rules", ())) + len(each.get("unmeasured", ())) for each in decided)
    assert total(found, "tocsin_rule_results_total") == hits > 0
    assert total(found, "tocsin_end_to_end_latency_seconds_count") == len(decided)
    assert total(found, "tocsin_batch_records_sum", payer) == len(log)
    assert total(found, "tocsin_batch_records_sum", {"hop": "payee"}) == sum(map(len, run.by_payee))
    added = sum(columns_of(record).rows for part in run.evidence for record in part)
    assert total(found, "tocsin_payments_total", {"hop": "subject"}) == added > 0
    for hop in ("payer", "payee", "subject", "alerter"):
        committed = total(found, "tocsin_transactions_total", {"hop": hop, "result": "committed"})
        assert total(found, "tocsin_batch_records_count", {"hop": hop}) == committed > 0
        assert total(found, "tocsin_restore_duration_seconds_count", {"hop": hop}) == run.settings.partitions
        if hop == "subject":
            known = sum(len(restored_subjects(run, partition)) for partition in range(run.settings.partitions))
        elif hop == "alerter":
            known = sum(len({record.key for record in part} - {PARTITION_KEY}) for part in run.alerter_state)
        else:
            known = sum(len(restored(run, hop, partition)) for partition in range(run.settings.partitions))
        assert total(found, "tocsin_state_accounts", {"hop": hop}) == known > 0
        assert total(found, "tocsin_state_bytes", {"hop": hop}) > 0
    assert total(found, "tocsin_transactions_total", {"result": "failed"}) == 0
    assert total(found, "tocsin_alerts_total") == alerts > 0
    assert total(found, "tocsin_model_info", {"version": "1"}) == 1


def assert_nobody_is_named(text: str, log: list[Entry]) -> None:
    """No account, payment id, tenant, phone, device or reference of the run appears in ``text``."""
    assert CANARY not in text
    for name in {each.key.decode() for each in log if each.key and each.fate == "decided"}:
        assert name not in text
    for _, identity in {each.identity for each in log if each.fate == "decided"}:
        assert identity not in text
