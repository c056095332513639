"""Prints each kernel, and the types it was compiled for, that batches of payments need and the warm-up does not.

A process of its own: whatever other tests did is compiled in theirs.
"""

from __future__ import annotations

import gc

from numba.core.dispatcher import Dispatcher

from services.kafka import building
from services.kafka.building import BATCH_BYTES_MAX, outgoing_of
from services.runtime.settings import load_settings
from services.scorer.path.asking.hop import SubjectHop
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import Outputs, Records
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.scorer.shell.app import warm_up
from services.scorer.shell.delivery import by_partition
from services.wire.columns import Outgoing
from services.wire.framing import framed
from services.wire.reading import read_records
from services.wire.varints import frozen
from tests.support.offline import schema_hash
from tests.support.payments import DAY_MS, START_MS, payment_log

BATCH, BATCHES = 500, 4
APPENDED_MS = START_MS + 100 * DAY_MS


def compiled() -> set[str]:
    """Every kernel, with the types that it is compiled for."""
    kernels = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    return {
        f"{each.py_func.__module__}.{each.py_func.__qualname__}{types}" for each in kernels for types in each.overloads
    }


def fetched(outgoing: Outgoing, base_offset: int) -> Records:
    """Records as they are read after they were written."""
    (batch,) = framed(outgoing, BATCH_BYTES_MAX)
    return Records(*read_records(frozen(batch.data), batch.record_count, base_offset, APPENDED_MS, 0))


def written(outputs: Outputs, topic: str) -> Outgoing:
    """What goes to a topic of one partition."""
    return by_partition(outputs)[topic, 0]


def main() -> None:
    """Warm up, process some batches from bytes to bytes, and print."""
    settings = load_settings()
    ruleset, model = load_ruleset(settings), untrained_model(schema_hash(settings))
    warm_up(ruleset)
    building.warm_up()
    before = compiled()
    payer, payee = PayerHop(ruleset, "", 0, 1), PayeeHop(ruleset, "", 0, 1, 1)
    subject = SubjectHop(ruleset, schema_of(ruleset), "", 0, 1)
    log = payment_log(5, BATCH * BATCHES)
    for at in range(BATCHES):
        entries = log[at * BATCH : (at + 1) * BATCH]
        keys, values = [each.key for each in entries], [each.value for each in entries]
        sent = fetched(outgoing_of([APPENDED_MS] * BATCH, keys, values, [()] * BATCH), at * BATCH)
        handed_over = written(payer.process(sent, model).outputs, "payments_by_payee")
        outputs = payee.process(fetched(handed_over, at), model).outputs
        for topic in ("decisions", "features", "evidence", "reviews"):
            framed(written(outputs, topic), BATCH_BYTES_MAX)
        subject.process(fetched(written(outputs, "evidence"), at), model)
        payer.state.checkpoint((at + 1) * BATCH)
        payee.state.checkpoint(at + 1)
        subject.state.checkpoint(at + 1)
    for kernel in sorted(compiled() - before):
        print(kernel)


if __name__ == "__main__":
    main()
