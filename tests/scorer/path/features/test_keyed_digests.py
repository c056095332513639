"""Digests under a deployment's key: names that were chosen to count as one count as what they are."""

from __future__ import annotations

from itertools import count, islice

import numpy as np
import pytest

from services.contract.identity import Digests, digest64
from services.contract.payment import Party
from services.runtime.settings import load_settings
from services.scorer.path.features.private import PrivateLists
from services.scorer.path.features.references import Texts
from services.scorer.path.features.registry import INDEX
from services.scorer.path.features.state_format import StateFormatError
from services.scorer.path.handover_reading import read_handovers
from services.scorer.path.hops import PayeeHop, PayerHop, schema_of
from services.scorer.path.records import Outputs, Record
from services.scorer.path.replay import Replay
from services.scorer.path.rules.ruleset import Ruleset, with_packs
from services.scorer.path.scoring.model import untrained_model
from services.scorer.rulebook.ruleset_file import load_ruleset
from tests.scorer.path.logs import payment, seeded_log
from tests.scorer.path.runs import Entries
from tests.scorer.path.test_hops import RULESET, SCHEMA
from tests.scorer.path.test_labels import records_of

MODEL = untrained_model(SCHEMA)
ACCOUNTS = 300
OUTLOOK = 0.4
"""Of an estimate by 64 registers: three standard errors."""


def under(key: bytes) -> Ruleset:
    return with_packs(RULESET, (), PrivateLists(texts=Texts(Digests(key))))


def chosen_accounts() -> list[str]:
    """Accounts that fall into one register with the lowest rank: whoever reads the code finds 300 in a second."""
    names = (f"GB29NWBK{number:014d}" for number in count())
    return list(islice((name for name in names if digest64(name) & 0b111_1111 == 0b100_0000), ACCOUNTS))


def payer_hop(key: bytes) -> PayerHop:
    return PayerHop(under(key), "payments.v1", 0, 1)


def process(key: bytes) -> tuple[Outputs, Entries]:
    hop = payer_hop(key)
    result = hop.process(records_of(seeded_log(seed=3, length=120)), MODEL)
    return result.outputs, hop.state.checkpoint(120)


def test_chosen_accounts_count_as_one_without_a_key_and_as_what_they_are_under_one() -> None:
    log = [payment(at, payer=Party("P"), payee=Party(account)) for at, account in enumerate(chosen_accounts())]
    last: dict[bytes, float] = {}
    for key in (b"", b"of this deployment"):
        found = Replay(under(key)).measure(records_of(tuple(log)))[1]
        last[key] = found[-1, INDEX["payer_payees_60d"]]
    assert last[b""] == pytest.approx(1.0, abs=0.1)
    assert last[b"of this deployment"] == pytest.approx(ACCOUNTS, rel=OUTLOOK)


def test_the_same_log_under_the_same_key_gives_the_same_bytes_and_under_another_others() -> None:
    one, again, other = process(b"one"), process(b"one"), process(b"other")
    assert one == again
    ours, theirs = (each[0]["payments_by_payee"] for each in (one, other))
    assert len(ours) == len(theirs)
    assert all(mine.value != yours.value for mine, yours in zip(ours, theirs, strict=True))
    assert {value[:8] for _, value in one[1] if value}.isdisjoint({value[:8] for _, value in other[1] if value})


@pytest.mark.parametrize(("written", "read"), [(b"one", b"other"), (b"", b"one"), (b"one", b"")])
def test_state_and_what_is_handed_over_under_another_key_are_refused(written: bytes, read: bytes) -> None:
    outputs, entries = process(written)
    assert len(entries) > 3
    hop = payer_hop(read)
    with pytest.raises(StateFormatError, match="TOCSIN_HASH_KEY"):
        hop.state.restore(entries)
    handed = [Record(at, each.timestamp, each.key, each.value) for at, each in enumerate(outputs["payments_by_payee"])]
    found = read_handovers(handed, schema_of(under(read)), np.full(1, -1), False)
    assert len(found.rejected) == len(handed)
    assert {why.reason for _, why in found.rejected} == {"feature_schema_mismatch"}
    assert not PayeeHop(under(read), "by-payee", 0, 1, 1).process(handed, MODEL).outputs["decisions"]
    assert PayeeHop(under(written), "by-payee", 0, 1, 1).process(handed, MODEL).outputs["decisions"]


def test_a_ruleset_names_its_key_and_without_one_has_the_hash_that_it_had() -> None:
    hashes = {key: load_ruleset(load_settings(hash_key=key)).hash for key in ("", "one", "other")}
    assert len(set(hashes.values())) == 3
    assert hashes[""] == load_ruleset(load_settings()).hash
    assert schema_of(under(b"")) == bytes.fromhex(SCHEMA[:16])


def test_a_key_is_of_any_length_and_no_digest_tells_it() -> None:
    long = b"k" * 1_000
    assert Digests(long).of("a") != Digests(long[:-1]).of("a")
    assert Digests(b"k").fingerprint != Digests(b"l").fingerprint
    assert Digests().fingerprint == b""
    assert b"secret" not in repr(PrivateLists(texts=Texts(Digests(b"secret")))).encode()
