"""Files: complete or not there, equal to the stream, and what a format cannot say is counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from services.generator import Chunk, Configuration, Stream
from services.generator.outputs import OutputError, truth_writer, write_ndjson, write_pacs008, write_parquet
from services.generator.pacs008 import NAMESPACE, document, transfer
from services.generator.rows import MALFORMED
from tests.generator.conftest import Run
from tests.generator.xsd import Schema

SMALL = Configuration(payers=200, months=2, seed=5, base_rate=0.1)
SCHEMA = "iso20022/moov_xsd/pacs.008.001.09.xsd"


def schema() -> Schema:
    folder = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if (folder / SCHEMA).is_file():
        return Schema(folder / SCHEMA)
    pytest.skip(f"no ISO 20022 schema: {folder / SCHEMA} is not there (set TOCSIN_DATA)")


def test_ndjson_is_the_stream(tmp_path: Path) -> None:
    path, stream = tmp_path / "deep" / "out.ndjson", Stream(SMALL)

    def chunks() -> Iterator[Chunk]:
        for chunk in stream.chunks():
            assert not path.exists()
            yield chunk

    assert write_ndjson(path, chunks()) == 0
    lines = path.read_bytes().splitlines()
    assert lines == [value for chunk in Stream(SMALL).chunks() for value in chunk.values]


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    chunk = next(Stream(SMALL).chunks())._replace(values=[b"good", None])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        write_ndjson(path, [chunk])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/out"):
        write_ndjson(tmp_path / "file" / "out", [])


def test_parquet_has_the_payments_column_by_column(tmp_path: Path, rich: Run) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    left_out = write_parquet(path, Stream(SMALL).chunks())
    rows = parquet.read_table(path).to_pylist()
    chunks = list(Stream(SMALL).chunks())
    good = [
        orjson.loads(value)
        for chunk in chunks
        for value, kind in zip(chunk.values, chunk.kinds.tolist(), strict=True)
        if kind != MALFORMED
    ]
    assert len(rows) == len(good) == sum(len(chunk.values) for chunk in chunks) - left_out
    for row, payment in zip(rows, good, strict=True):
        assert row["payment_id"] == payment["payment_id"]
        assert row["amount_minor"] == payment["amount_minor"]
        assert row["payer_account"] == payment["payer"]["account"]
        assert row["payee_country"] == payment["payee"].get("country")
        assert row["status"] == payment.get("status", "accepted")
        assert row["reference"] == payment.get("reference")


@pytest.mark.parametrize("suffix", [".ndjson", ".parquet"])
def test_truth_goes_to_a_file_of_its_own(tmp_path: Path, suffix: str) -> None:
    stream, path = Stream(SMALL), tmp_path / f"truth{suffix}"
    with truth_writer(path) as writer:
        writer.write(stream.accounts())
        writer.write(stream.payments())
        writer.write(stream.case_labels())
    if suffix == ".parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    else:
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    records = [row["record"] for row in rows]
    assert {name: records.count(name) for name in writer.counts} == writer.counts
    payers = [row for row in rows if row["record"] == "account" and row["role"] == "payer"]
    assert len(payers) == 200
    lsac = {row["account"] for row in payers if row.get("typology") == "lsac"}
    assert len(lsac) == 20
    assert {row["twin_of"] for row in payers if row.get("twin_of")} == lsac


def test_messages_are_valid_pacs_008(tmp_path: Path, rich: Run) -> None:
    checked, folder = schema(), tmp_path / "messages"
    sent, left_out = 0, write_pacs008(folder, Stream(SMALL).chunks())
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        assert checked.errors(content) == []
        sent += content.count(b"<CdtTrfTxInf>")
        assert f"<NbOfTxs>{content.count(b'<CdtTrfTxInf>')}</NbOfTxs>".encode() in content
    assert sent == sum(len(chunk.values) for chunk in Stream(SMALL).chunks()) - left_out > 300
    with pytest.raises(OutputError, match="new or an empty folder"):
        write_pacs008(folder, [])


def test_the_schema_check_notices_what_is_wrong() -> None:
    checked = schema()
    good = document(1, [_transfer()], 0)
    assert checked.errors(good) == []
    for before, after, said in (
        (b"<ChrgBr>SHAR</ChrgBr>", b"", "ChrgBr: 0 of 1..1"),
        (b'Ccy="PHP"', b'Ccy="php"', "breaks pattern"),
        (b">SHAR<", b">WHO<", "none of the codes"),
        (b"<EndToEndId>p1", b"<EndToEndId>" + b"p" * 36, "breaks maxLength"),
        (b"<Purp>", b"<What/><Purp>", "not expected here"),
    ):
        assert before in good
        assert any(said in error for error in checked.errors(good.replace(before, after))), said


def test_a_transfer_says_what_the_payment_says() -> None:
    said = _transfer()
    assert '<IntrBkSttlmAmt Ccy="PHP">3250.00</IntrBkSttlmAmt>' in said
    assert '<InstdAmt Ccy="JPY">9000</InstdAmt>' in said
    assert "<AccptncDtTm>2025-01-01T09:00:00.000+09:00</AccptncDtTm>" in said
    assert "<Ustrd>food &amp; rent</Ustrd>" in said
    assert NAMESPACE in document(1, [said], 0).decode()


@pytest.mark.parametrize(
    "unsaid", [{"rail": "card"}, {"status": "rejected"}, {"status": "returned"}, {"amount_minor": 0}]
)
def test_what_a_credit_transfer_cannot_say_is_left_out(unsaid: dict[str, object]) -> None:
    assert transfer(orjson.dumps(PAYMENT | unsaid)) is None


PAYMENT = {
    "payment_id": "p1", "event_time_ms": 1_735_689_600_000, "amount_minor": 9_000, "currency": "JPY",
    "payer": {"account": "a1", "country": "JP", "agent": "AG1"}, "payee": {"account": "a2"},
    "utc_offset_minutes": 540, "received_amount_minor": 325_000, "received_currency": "PHP", "rail": "bank",
    "purpose": "FAMI", "reference": "food & rent",
}  # fmt: skip


def _transfer() -> str:
    said = transfer(orjson.dumps(PAYMENT))
    assert said is not None
    return said
