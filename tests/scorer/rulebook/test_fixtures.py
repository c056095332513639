"""Each pack speaks of its positives and of none of its look-alikes, with features from the real payment path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contract.codec import encode
from services.contract.payment import Payment
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import FEATURES, INDEX
from services.scorer.path.records import Record
from services.scorer.path.replay import Replay
from services.scorer.path.rules.pack import Packs
from services.scorer.path.rules.pack_format import PackError
from services.scorer.path.rules.pack_parse import parse_pack
from services.scorer.rulebook.pack_file import SHIPPED, pack_folder, pack_text
from services.scorer.rulebook.pack_fixtures import Fixture, read_fixtures, run_fixtures
from services.scorer.rulebook.ruleset_file import load_ruleset

RULESET = load_ruleset(load_settings())
PACKS = {name: parse_pack(pack_text(name)) for name in SHIPPED}
FIXTURES = {name: read_fixtures(pack_folder(name)) for name in SHIPPED}
CASES = [(name, fixture) for name in SHIPPED for fixture in FIXTURES[name]]
VICTIMS = [each for each in FIXTURES["lsac"] if "extortion" in each.name]
LINE = encode(FIXTURES["lsac"][0].payments[0])
EARLIER = LINE.replace(b'-001"', b'-002"').replace(b'_ms":17', b'_ms":16')


def features_of(history: Sequence[Payment]) -> NDArray[np.float64]:
    records = [
        Record(at, each.event_time_ms, each.payer.account.encode(), encode(each)) for at, each in enumerate(history)
    ]
    return Replay(RULESET).measure(records)[1]


@pytest.mark.parametrize(("name", "fixture"), CASES, ids=[f"{name}-{fixture.name}" for name, fixture in CASES])
def test_a_pack_speaks_of_its_positives_and_of_no_payment_of_a_lookalike(name: str, fixture: Fixture) -> None:
    (result,) = run_fixtures(PACKS[name], [fixture], features_of)
    assert result.passed, (result.spoke_at, result.findings)
    assert all(finding.headline == PACKS[name].headline for finding in result.findings)


def test_the_look_alikes_that_matter_most_to_lsac_are_among_its_fixtures() -> None:
    names = {fixture.name.removeprefix("lookalike-") for fixture in FIXTURES["lsac"] if not fixture.speaks}
    assert names >= {"diaspora", "micro-remitter", "couple", "romance-fraud", "extortion", "charity", "freelancers"}


@pytest.mark.parametrize("fixture", VICTIMS, ids=lambda each: each.name)
def test_a_victim_of_extortion_stays_out_of_lsac_whatever_the_model_adds(fixture: Fixture) -> None:
    features = features_of(fixture.payments)
    results = Packs((PACKS["lsac"],)).evaluate(features, np.full(len(features), 1e9))
    assert not results.review.any()


def test_of_a_burst_to_one_of_many_new_payees_lsac_speaks_to_find_the_payee_and_not_the_payer() -> None:
    (positive,) = (each for each in FIXTURES["lsac"] if each.name == "positive")
    x = features_of(positive.payments)[-1:]
    burst = {"pair_age": 0.0, "payer_payments_7d": 3.0, "remit_dropped_payees": 0.0}
    x[0, [INDEX[name] for name in burst]] = list(burst.values())
    asked = {}
    for payees in (3.9, 4.0):
        x[0, INDEX["remit_new_payees_180d"]] = payees
        asked[payees] = Packs((PACKS["lsac"],)).evaluate(x, np.array([1e9])).review[0, 0].tolist()
    assert asked == {3.9: [False, False], 4.0: [False, True]}


def test_what_one_of_the_two_speaks_of_the_other_does_not() -> None:
    for speaker, silent in (("lsac", "fsec-victim"), ("fsec-victim", "lsac")):
        positives = [Fixture(each.name, False, each.payments) for each in FIXTURES[speaker] if each.speaks]
        assert all(result.passed for result in run_fixtures(PACKS[silent], positives, features_of))


def folder(tmp_path: Path, **files: bytes) -> Path:
    for name, content in files.items():
        (tmp_path / f"{name}.ndjson").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "there is no positive.ndjson"),
        ({"positive": LINE}, "there is no lookalike.ndjson"),
        ({"positive": b"", "lookalike": LINE}, "positive.ndjson: a history needs payments"),
        ({"positive": LINE + b"\n" + LINE, "lookalike": LINE}, "with an id of its own"),
        ({"positive": b"{}", "lookalike": LINE}, "positive.ndjson: line 1: payment_id"),
        ({"positive": LINE + b"\n" + EARLIER, "lookalike": LINE}, "line 2: earlier than the line before"),
        ({"positive": LINE, "lookalike": LINE, "other": LINE}, "other.ndjson: the names of fixtures begin with"),
    ],
)  # fmt: skip
def test_fixtures_that_could_not_be_run_are_refused(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    with pytest.raises(PackError) as caught:
        read_fixtures(folder(tmp_path, **files))
    assert says in str(caught.value)


def test_features_of_another_schema_are_a_bug_and_not_a_verdict() -> None:
    with pytest.raises(ValueError, match="features of shape"):
        run_fixtures(PACKS["lsac"], FIXTURES["lsac"][:1], lambda history: np.zeros((len(history), len(FEATURES) - 1)))
