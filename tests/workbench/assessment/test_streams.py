"""Folders of payments and truth: exact figures of rankings that are plain to see."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from services.cli import app_of
from services.contract.errors import TocsinError
from services.workbench.assessment.rankers import VARIANTS, HighestPayment
from services.workbench.assessment.sources import Folder
from services.workbench.assessment.streams import NOTE
from services.workbench.assessment.streams_report import markdown
from tests.workbench.assessment.folders import RULESET, ByAmount, account, assessed, folder, payment

AMOUNTS = {"a": 900, "b": 800, "c": 700, "d": 600, "e": 500, "f": 400}
"""Of six payers, from the highest; ``a``, ``c`` and ``f`` are positive."""


def six_payers(positive: str = "acf") -> tuple[list[bytes], list[bytes]]:
    """Payments, all to one payee, and truth."""
    payments = [payment(at, payer, "z", amount) for at, (payer, amount) in enumerate(AMOUNTS.items())]
    truth = [account("payer", each, each in positive, "kind" if each in positive else "diaspora") for each in AMOUNTS]
    return payments, [*truth, account("payee", "z", kind="family")]


def test_a_ranking_by_hand_has_its_exact_figures(tmp_path: Path) -> None:
    payments, truth = six_payers()
    result = assessed(folder(tmp_path / "s", payments, truth))
    found = result["ranking"]["amount"]
    assert found["auc"] == (3 + 2 + 0) / 9
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert found["recall_at_precision_50"] == 1.0  # a, c and f among six
    assert found["recall_at_budget"] == 1 / 3  # one alert
    assert found["one_off"]["recall_at_precision_50"] == 1.0
    assert found["payers_5plus"] == {"positives": 0, "recall_at_precision_50": None, "recall_at_budget": None}
    assert found["classes"]["diaspora"] == {
        "accounts": 3, "alerted": 3, "alerted_share": 1.0, "alerted_at_budget": 0, "alerted_share_at_budget": 0.0
    }  # fmt: skip
    assert (result["payments"], result["payers"], result["payees"], result["positives"]) == (6, 6, 1, 3)
    assert result["worlds"]["0"]["ranking"] == result["ranking"]
    assert result["note"] == NOTE in markdown(result)


def test_a_subject_stands_where_its_highest_payment_puts_it(tmp_path: Path) -> None:
    payments, truth = six_payers("f")
    again = [payment(10 + at, "f", "z", 100 if at else 5_000) for at in range(5)]
    found = assessed(folder(tmp_path / "s", [*payments, *again], truth))["ranking"]["amount"]
    assert found["auc"] == found["recall_at_budget"] == 1.0
    assert found["payers_5plus"]["recall_at_precision_50"] == 1.0
    assert found["one_off"]["positives"] == 0


def test_equals_count_in_expectation(tmp_path: Path) -> None:
    """One alert, four payers of one amount, one of them positive: it is alerted in one of four draws."""
    payments = [payment(at, payer, "z", 100) for at, payer in enumerate("abcd")]
    truth = [account("payer", each, each == "c") for each in "abcd"]
    found = assessed(folder(tmp_path / "s", payments, truth))["ranking"]["amount"]
    assert found["recall_at_budget"] == 0.25
    assert found["auc"] == 0.5
    assert found["recall_at_precision_50"] == 0.0  # a quarter of the equals is positive, which no draw makes a half
    assert found["classes"]["diaspora"]["alerted_at_budget"] == 1


def test_equals_at_the_precision_are_taken_as_far_as_it_holds(tmp_path: Path) -> None:
    """Two positives stand above four equals, one of them positive: (2 + k / 4) / (2 + k) is half at k = 4."""
    payments = [payment(at, payer, "z", 200 if payer in "ab" else 100) for at, payer in enumerate("abcdef")]
    payments += [payment(10 + at, payer, "z", 100) for at, payer in enumerate("gh")]
    truth = [account("payer", each, each in "abc") for each in "abcdefgh"]
    found = assessed(folder(tmp_path / "s", payments, truth))["ranking"]["amount"]
    # Six equals, one positive: (2 + k / 6) / (2 + k) is at least a half up to k = 3.
    assert found["recall_at_precision_50"] == pytest.approx((2 + 0.5) / 3)
    assert found["alerts_at_precision_50"] == 5


def test_subjects_are_ranked_inside_their_world(tmp_path: Path) -> None:
    """World 1 pays a hundred times what world 0 pays; each puts its positive payer first."""
    payments: list[bytes] = []
    truth: list[bytes] = []
    for world, scale in ((0, 1), (1, 100)):
        for at, name in enumerate("abc"):
            payments.append(payment(len(payments), f"{name}{world}", "z", (3 - at) * scale))
            truth.append(account("payer", f"{name}{world}", name == "a", world=world))
    result = assessed(folder(tmp_path / "s", payments, [*truth, account("payee", "z", kind="family", world=-1)]))
    found = result["ranking"]["amount"]
    assert found["auc"] == found["average_precision"] == found["worst"]["auc"] == found["pooled"]["auc"] == 1.0
    assert found["pooled"]["recall_at_precision_50"] == 1.0
    assert [result["worlds"][each]["payments"] for each in "01"] == [3, 3]


def test_the_sum_is_the_mean_of_the_worlds_beside_the_worst_and_the_pooled(tmp_path: Path) -> None:
    payments: list[bytes] = []
    truth: list[bytes] = []
    for world, order in ((0, "abcd"), (1, "bcda")):  # positive: a of world 0, a and b of world 1
        for at, name in enumerate(order):
            payments.append(payment(len(payments), f"{name}{world}", "z", 10 - at))
            positive = name == "a" or (world == 1 and name == "b")
            truth.append(account("payer", f"{name}{world}", positive, world=world))
    found = assessed(folder(tmp_path / "s", payments, truth))["ranking"]["amount"]
    assert found["recall_at_budget"] == (1.0 + 0.5) / 2
    assert found["worst"]["recall_at_budget"] == 0.5
    assert found["pooled"]["recall_at_budget"] == 2 / 3
    assert found["auc"] == (1.0 + 0.5) / 2


def test_an_account_of_every_world_is_ranked_in_each_by_what_it_did_there(tmp_path: Path) -> None:
    payments = [payment(0, "a0", "hub", 100), payment(1, "a0", "x0", 50), payment(2, "a1", "hub", 100)]
    payments += [payment(3, "a1", "x1", 500), payment(4, "every", "x1", 7)]
    truth = [
        account("payer", "a0", True), account("payer", "a1", True, world=1), account("payer", "every", world=-1),
        account("payee", "hub", True, "facilitator", world=-1), account("payee", "x0"), account("payee", "x1", world=1),
    ]  # fmt: skip
    result = assessed(folder(tmp_path / "s", payments, truth))
    by_world = [result["worlds"][each] for each in "01"]
    assert [each["ranking"]["amount"]["payees"]["auc"] for each in by_world] == [1.0, 0.0]
    assert [each["payees"] for each in by_world] == [2, 2]
    assert [each["payers"] for each in by_world] == [1, 2]  # the payer of every world paid in world 1 only
    assert [each["payments"] for each in by_world] == [2, 3]


def test_a_payment_of_no_world_in_particular_counts_in_each(tmp_path: Path) -> None:
    payments = [payment(0, "a0", "x", 100), payment(1, "a1", "x", 100), payment(2, "every", "hub", 999)]
    truth = [
        account("payer", "a0", True), account("payer", "a1", True, world=1), account("payer", "every", world=-1),
        account("payee", "hub", world=-1),
    ]  # fmt: skip
    result = assessed(folder(tmp_path / "s", payments, truth))
    assert [result["worlds"][each]["payers"] for each in "01"] == [2, 2]
    assert result["ranking"]["amount"]["auc"] == 0.0


def test_accounts_without_a_line_are_counted_and_not_ranked(tmp_path: Path) -> None:
    payments, truth = six_payers()
    more = [payment(90, "stranger", "z", 9_999), payment(91, "a", "nobody", 1)]
    result = assessed(folder(tmp_path / "s", [*payments, *more], truth))
    whole = assessed(folder(tmp_path / "w", payments, truth))
    assert [result[each] for each in ("payers", "payees", "payers_untold", "payees_untold")] == [6, 1, 1, 1]
    assert result["ranking"]["amount"]["auc"] == whole["ranking"]["amount"]["auc"]


def test_lines_that_are_no_payments_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    payments, truth = six_payers()
    far = payment(1, "b", "z", 1, event_time_ms=4_000_000_000_000)
    broken = [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"payer": {"account": "a"}}',
        b"[]",
        payments[0],
        b'{"event_time_ms": 1e99}',
        far,
    ]
    result = assessed(folder(tmp_path / "s", [broken[0], *payments, *broken[1:]], truth))
    whole = assessed(folder(tmp_path / "w", payments, truth))
    assert result["ranking"] == whole["ranking"]
    assert result["payments"] == 6
    assert result["records"] == 13  # without the blank line
    assert sum(result["left_out"].values()) == 7
    assert result["left_out"]["repeat"] == result["left_out"]["conflicting_repeat"] == 1
    assert whole["left_out"] == {}


def test_a_payment_far_ahead_makes_no_dead_letters_of_those_behind_it(tmp_path: Path) -> None:
    payments, truth = six_payers()
    ahead = payment(99, "a", "z", 1, event_time_ms=4_000_000_000_000)
    result = assessed(folder(tmp_path / "s", [ahead, *payments], truth))
    assert (result["payments"], result["left_out"]) == (7, {})
    assert result["worlds"]["0"]["months"] == 2


def test_sub_types_and_source_systems_are_told_apart(tmp_path: Path) -> None:
    payments, _ = six_payers()
    told = {each: {"sub_type": "xy"[each not in "ab"], "source_system": "mn"[each not in "af"]} for each in AMOUNTS}
    truth = [account("payer", each, each in "abf", more=told[each]) for each in AMOUNTS]
    found = assessed(folder(tmp_path / "s", payments, truth))["ranking"]["amount"]
    assert found["sub_types"]["x"] == {"positives": 2, "recall_at_precision_50": 1.0, "recall_at_budget": 0.5}
    assert found["sub_types"]["y"]["recall_at_budget"] == 0.0
    assert found["source_systems"]["m"]["positives"] == 2
    assert found["source_systems"]["n"]["positives"] == 1


def test_twins_and_diaspora_stand_beside_the_other_innocents(tmp_path: Path) -> None:
    payments = [payment(at, name, "z", 100 - at) for at, name in enumerate("abcdef")]
    truth = [
        account("payer", "a", True, "kind"), account("payer", "b", kind="twin", more={"twin_of": "a"}),
        account("payer", "c"), account("payer", "d", kind="charity"), account("payer", "e", True, "kind"),
        account("payer", "f", kind="charity"),
    ]  # fmt: skip
    found = assessed(folder(tmp_path / "s", payments, truth))["ranking"]["amount"]["fairness"]
    # At the precision the first two are alerted: a and its twin.
    assert (found["twins"], found["twins_alerted"], found["twins_alert_rate_ratio"]) == (1, 1, None)
    assert (found["diaspora"], found["diaspora_alerted"]) == (1, 0)
    assert (found["others"], found["others_alerted"]) == (2, 0)


def test_rankers_learn_from_the_folders_named_and_from_no_other(tmp_path: Path) -> None:
    payments, truth = six_payers()
    ranked = folder(tmp_path / "ranked", payments, truth)
    taught = folder(tmp_path / "taught", payments[:4], truth)
    folder(tmp_path / "neither", payments, truth)
    ranker = ByAmount()
    result = assessed(ranked, ranker, [taught])
    assert ranker.taught == [(str(taught), 4, 2)]
    assert result["learned_from"] == [str(taught)]
    ranker = ByAmount()
    assert assessed(ranked, ranker)["learned_from"] == ranker.taught == []


def test_without_anything_learned_the_model_of_payments_says_nothing(tmp_path: Path) -> None:
    payments, truth = six_payers()
    found = assessed(folder(tmp_path / "s", payments, truth), HighestPayment(RULESET))["ranking"]
    assert list(found) == sorted(VARIANTS)
    assert found["model"]["auc"] == 0.5
    assert found["model"]["recall_at_budget"] == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "truth.ndjson: there is no such file; expected NDJSON of one line an account"),
        ([], "truth.ndjson: holds no account; expected"),
        ([account("payer", "a")], "truth.ndjson: positive: true of no line whose role is payer"),
        ([account("payee", "a", True)], "truth.ndjson: positive: true of no line whose role is payer"),
        ([account("payer", "a", True), b"{}"], "truth.ndjson, line 2: role: "),
        ([b"{"], "truth.ndjson, line 1: Not valid JSON"),
        ([account("bank", "a")], "truth.ndjson, line 1: role: "),
        ([account("payer", "a", world=-2)], "truth.ndjson, line 1: world: "),
        ([b'{"role":"payer","account":"a","positive":1,"class":"x","world":0}'], "truth.ndjson, line 1: positive: "),
        ([b'{"role":"payer","account":"a","positive":true,"world":0}'], "truth.ndjson, line 1: class: "),
        (
            [account("payer", "a", True), b"", account("payer", "a")],
            "truth.ndjson, line 3: account: this payer has",
        ),
        ([account("payer", "nobody", True)], "account: none of the truth is in the 6 payments"),
    ],
)
def test_truth_that_cannot_be_used_names_file_line_and_field(
    tmp_path: Path, lines: list[bytes] | None, said: str
) -> None:
    path = folder(tmp_path / "s", six_payers()[0], lines or [])
    if lines is None:
        (path / "truth.ndjson").unlink()
    with pytest.raises(TocsinError) as error:
        assessed(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_missing_payments_are_told_before_anything_is_ranked(tmp_path: Path) -> None:
    path = folder(tmp_path / "s", *six_payers())
    (path / "payments.ndjson").unlink()
    with pytest.raises(TocsinError, match=r"payments\.ndjson: there is no such file; expected NDJSON of payments"):
        Folder(path)


def test_the_command_prints_the_result_and_writes_the_report(tmp_path: Path) -> None:
    path, report = folder(tmp_path / "s", *six_payers()), tmp_path / "report.md"
    app = app_of(["assess", "schema"])
    said = CliRunner().invoke(app, ["assess", "--stream", str(path), "--json", "--report", str(report)])
    assert said.exit_code == 0, said.output
    result = orjson.loads(said.stdout)
    assert {"ranking", "worlds", "payments", "payers", "positives", "seconds", "note", "left_out"} <= result.keys()
    for variant in VARIANTS:
        assert {
            "auc", "average_precision", "recall_at_precision_50", "recall_at_budget", "payees", "payers_5plus",
            "one_off", "classes", "sub_types", "source_systems", "fairness",
        } <= result["ranking"][variant].keys()  # fmt: skip
        assert result["worlds"]["0"]["ranking"][variant].keys() == result["ranking"][variant].keys()
    assert NOTE in report.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--learn", "x"], "--learn: only with --stream"),
        (["--stream", "nowhere"], "nowhere/truth.ndjson: there is no such file"),
        (["--stream", "x", "--learn", "y,./x"], "--learn ./x: is the folder that is assessed"),
    ],
)
def test_options_that_make_no_sense_are_told(options: list[str], said: str) -> None:
    told = CliRunner().invoke(app_of(["assess", "schema"]), ["assess", *options])
    assert told.exit_code == 2 or "nowhere" in said
    assert said in told.output
