"""The mappings that ship, on the real data that they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ingest.files import MappedFile
from services.ingest.mapping_file import load_mapping
from services.ingest.rows import Bad, Filtered, Ready, Windowed


@pytest.mark.data
@pytest.mark.parametrize(
    ("mapping", "file", "line", "expected"),
    [
        (
            "handbook",
            "fdh_raw.parquet",
            1,
            '{"payment_id":"0","event_time_ms":1522540831000,"amount_minor":5716,"currency":"EUR",'
            '"payer":{"account":"customer-596"},"payee":{"account":"terminal-3156"},"rail":"card"}',
        ),
        (
            "amlgentex",
            "amlgentex_2k_seed0_tx.parquet",
            2_001,
            '{"payment_id":"2000","event_time_ms":1704067200000,"amount_minor":45817,"currency":"SEK",'
            '"payer":{"account":"bank_a:4","agent":"bank_a"},"payee":{"account":"sink:-1","agent":"sink"},'
            '"rail":"bank"}',
        ),
        (
            "benford",
            "benford_corporate_payment_2010.parquet",
            1,
            '{"payment_id":"0","event_time_ms":1262390400000,"amount_minor":3608,"currency":"USD",'
            '"payer":{"account":"company","country":"US"},"payee":{"account":"vendor-2001"},"rail":"bank",'
            '"reference":"0496J10"}',
        ),
        (
            "berka",
            "berka_partial/trans.asc.gz",
            17,
            '{"payment_id":"637742","event_time_ms":726188400000,"amount_minor":512300,"currency":"CZK",'
            '"payer":{"account":"YZ:62457513","agent":"YZ"},"payee":{"account":"own:2177"},"rail":"bank",'
            '"purpose":"DUCHOD"}',
        ),
    ],
)
def test_a_shipped_mapping_reads_the_real_data(data: Path, mapping: str, file: str, line: int, expected: str) -> None:
    with MappedFile(data / file, load_mapping(mapping), labels=True) as mapped:
        rows = list(Windowed(mapped, limit=200))
    ready = [row for row in rows if isinstance(row, Ready)]
    assert len(ready) == 200
    assert not [row for row in rows if isinstance(row, Bad)]
    assert ready[0].value.decode() == expected
    assert ready[0].line == line
    for row in ready:
        assert (row.label is not None) == (mapping in {"handbook", "amlgentex"})
        assert b"FRAUD" not in row.value
        assert b"isSAR" not in row.value


@pytest.mark.data
@pytest.mark.parametrize(
    ("mapping", "file", "payments", "filtered", "suspicious"),
    [
        ("amlgentex", "amlgentex_2k_seed0_tx.parquet", 146_777, {"initial balance": 2_000}, 312),
        ("benford", "benford_corporate_payment_2010.parquet", 185_206, {"credit note": 4_264}, 0),
        (
            "berka",
            "berka_partial/trans.asc.gz",
            10_115,
            {"cash deposit": 9_759, "cash withdrawal": 19_765, "interest credited": 9_463},
            0,
        ),
    ],
)
def test_every_row_of_the_real_data_is_accounted_for(
    data: Path, mapping: str, file: str, payments: int, filtered: dict[str, int], suspicious: int
) -> None:
    counts: dict[str, int] = {}
    labels = ready = 0
    with MappedFile(data / file, load_mapping(mapping), labels=True) as mapped:
        for row in mapped:
            assert not isinstance(row, Bad), row
            if isinstance(row, Filtered):
                counts[row.name] = counts.get(row.name, 0) + 1
            elif isinstance(row, Ready):
                ready += 1
                labels += row.label is not None and row.label.disposition == "suspicious"
    assert (ready, counts, labels) == (payments, filtered, suspicious)
