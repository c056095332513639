"""A folder of worlds: payments by arrival in one file, truth by account in another, and nobody in two worlds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from services.contract.codec import decode_payment
from services.contract.payment import Payment
from services.generator import Configuration, Stream
from services.generator.outputs import OutputError
from services.generator.rows import MALFORMED
from services.generator.stream_folder import PAYMENTS, TRUTH, configurations, world_names, write_stream_folder

NAMES = ("harbour/1", "festival/2", "market/5")
CHOSEN = configurations(NAMES, payers=200, months=2, seed=3, base_rate=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds")
    write_stream_folder(path, CHOSEN)
    return path


@pytest.fixture(scope="module")
def truth(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / TRUTH).read_bytes().splitlines()]


def test_payments_are_those_of_all_worlds_in_the_order_of_arrival(folder: Path) -> None:
    lines = (folder / PAYMENTS).read_bytes().splitlines()
    arrivals: dict[bytes, list[int]] = {}
    count = 0
    for configuration in CHOSEN:
        for chunk in Stream(configuration).chunks():
            for value, kind, time_ms in zip(chunk.values, chunk.kinds.tolist(), chunk.times_ms.tolist(), strict=True):
                if kind != MALFORMED:
                    arrivals.setdefault(value, []).append(time_ms)
                    count += 1
    assert len(lines) == count
    times = [arrivals[line].pop(0) for line in lines]
    assert times == sorted(times)
    assert all(isinstance(decode_payment(line), Payment) for line in lines)


def test_every_account_that_pays_or_is_paid_has_its_line(folder: Path, truth: list[dict[str, Any]]) -> None:
    known = {(each["role"], each["account"]) for each in truth}
    assert len(known) == len(truth)
    payments = [orjson.loads(line) for line in (folder / PAYMENTS).read_bytes().splitlines()]
    payees = {("payee", payment["payee"]["account"]) for payment in payments}
    assert payees <= known
    payers = {payment["payer"]["account"] for payment in payments}
    assert payers <= {account for _, account in known}


def test_lines_of_truth_say_what_a_reader_asks(truth: list[dict[str, Any]]) -> None:
    for each in truth:
        assert {"role", "account", "positive", "class", "world"} <= each.keys()
        assert each["positive"] is (each["class"] in ("lsac", "facilitator", "direct_beneficiary"))
        assert ("sub_type" in each) == (each["class"] == "lsac"), each
        assert ("source_system" in each) == (each["role"] == "payer" and each["class"] != "payee")
    assert {each["world"] for each in truth} == {0, 1, 2}
    twins = [each for each in truth if "twin_of" in each]
    positive = {each["account"] for each in truth if each["positive"] and each["role"] == "payer"}
    assert len(twins) == 30
    assert {each["twin_of"] for each in twins} <= positive


def test_no_account_is_in_two_worlds(truth: list[dict[str, Any]]) -> None:
    worlds: dict[str, set[int]] = {}
    for each in truth:
        worlds.setdefault(each["account"], set()).add(each["world"])
    assert {len(each) for each in worlds.values()} == {1}


def test_the_same_worlds_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    counts = write_stream_folder(tmp_path, CHOSEN)
    for name in (PAYMENTS, TRUTH):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert counts["worlds"] == 3
    assert counts["payments"] == len((folder / PAYMENTS).read_bytes().splitlines())


def test_names_of_worlds_are_of_their_families() -> None:
    training, held_out = world_names(held_out=False, each=2), world_names(held_out=True, each=2, first=7)
    assert not {name.split("/")[0] for name in training} & {name.split("/")[0] for name in held_out}
    assert held_out[:2] == ("orchard/7", "orchard/8")


def test_worlds_of_different_months_are_no_stream(tmp_path: Path) -> None:
    unlike = [Configuration(payers=60, months=at, world="harbour/1") for at in (1, 2)]
    for chosen in (unlike, []):
        with pytest.raises(OutputError, match="same months"):
            write_stream_folder(tmp_path, chosen)
    assert list(tmp_path.iterdir()) == []
