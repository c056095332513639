"""A stream that nobody here wrote: AMLGentex. None of its payments crosses a border, so the lsac pack is silent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.workbench.assessment.rankers import HighestPayment
from tests.workbench.assessment.folders import RULESET, account, assessed, folder, payment

ROWS = 20_000


@pytest.mark.data
def test_a_stream_without_remittances_is_read_whole_and_nobody_is_alerted(tmp_path: Path) -> None:
    data = Path(os.environ.get("TOCSIN_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (data / "amlgentex_2k_seed0_tx.parquet").is_file():
        pytest.skip(f"no third-party data: {data / 'amlgentex_2k_seed0_tx.parquet'} is not there (set TOCSIN_DATA)")
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = ["nameOrig", "nameDest", "amount", "isSAR", "type"]
    table = parquet.read_table(data / "amlgentex_2k_seed0_tx.parquet", columns=names).to_pylist()
    rows = [row for row in table if row["type"] != "INITALBALANCE" and row["amount"] > 0][:ROWS]
    sides = [(f"a{row['nameOrig']}", f"a{row['nameDest']}") for row in rows]
    payments = [payment(at, *side, row["amount"], "DE") for at, (side, row) in enumerate(zip(sides, rows, strict=True))]
    risky = {row["nameOrig"] for row in rows if row["isSAR"]}
    payers = sorted({row["nameOrig"] for row in rows})
    truth = [account("payer", f"a{each}", each in risky, "customer") for each in payers]
    result = assessed(folder(tmp_path / "s", payments, truth), HighestPayment(RULESET))
    assert (result["payments"], result["left_out"]) == (len(rows), {})
    assert (result["payers"], result["positives"]) == (len(payers), len(risky))
    for figures in result["ranking"].values():
        assert (figures["auc"], figures["recall_at_budget"], figures["alerts_at_precision_50"]) == (0.5, 0.0, 0)
