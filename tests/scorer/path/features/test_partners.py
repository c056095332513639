"""The counterparties of an account, in its own row and in the pool's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.contract.fields import EVENT_TIME_MS_MAX
from services.scorer.path.features import partners
from services.scorer.path.features.rows import NEAR_PAYEES, NEAR_PAYERS, PARTNERS, PAYEE_ROW, PAYER_ROW, POOLS
from services.scorer.path.features.tables import USED, Table
from tests.scorer.path.features.test_kernels import plain


@pytest.fixture(autouse=True)
def as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the functions call is Python, too: compiled, it would write into copies of records that are no array's."""
    for name in ("partner_of", "_oldest", "_use"):
        monkeypatch.setattr(partners, name, plain(getattr(partners, name)))


class Account:
    """The places of an account, of a payer's or a payee's row."""

    def __init__(self, layout: np.dtype[Any]) -> None:
        self.row: Any = np.zeros(1, dtype=(np.record, layout))[0]
        self.further = Table(POOLS[layout]["further"], reserved=1).pool(4)

    def position(self, digest: int) -> int:
        return int(plain(partners.partner_position)(self.row, self.further, digest))

    def meet(self, digest: int, at_ms: int) -> int:
        """Where a counterparty stands once a payment with it is counted."""
        plain(partners.remember_partner)(self.row, self.further, self.position(digest), digest, at_ms)
        return self.position(digest)

    def partner(self, position: int) -> Any:
        return plain(partners.partner_of)(self.row, self.further, position)


@pytest.fixture(params=[PAYER_ROW, PAYEE_ROW], ids=["payer", "payee"])
def account(request: pytest.FixtureRequest) -> Account:
    return Account(request.param)


def test_the_counterparty_used_longest_ago_makes_room(account: Account) -> None:
    for payment in range(PARTNERS + 2):
        assert account.position(100 + payment) == -1
        account.meet(100 + payment, 1_000 + payment)
        if payment == PARTNERS - 1:  # the first is used again, so it is the second's turn to leave
            account.meet(100, 5_000)
    left = {
        int(each.digest): (partners.first_ms_of(each), partners.last_ms_of(each), int(each.payments))
        for each in map(account.partner, range(PARTNERS))
    }
    assert sorted(left) == [100, *range(103, 100 + PARTNERS + 2)]
    assert left[100] == (1_000, 5_000, 2)
    assert left[103] == (1_003, 1_003, 1)
    assert [account.position(digest) for digest in (101, 102)] == [-1, -1]
    assert all(account.partner(account.position(digest)).digest == digest for digest in left)
    assert sorted(account.row.partners_used) == list(range(1, PARTNERS + 1))


@pytest.mark.parametrize("layout, near", [(PAYER_ROW, NEAR_PAYEES), (PAYEE_ROW, NEAR_PAYERS)])
def test_an_account_takes_a_row_of_the_pool_with_its_first_further_counterparty(
    layout: np.dtype[Any], near: int
) -> None:
    account = Account(layout)
    assert [account.meet(100 + payment, 1_000) for payment in range(near)] == list(range(near))
    assert (account.further.counts[USED], account.row.further_at) == (1, 0)
    assert [account.meet(100 + payment, 2_000) for payment in range(near, PARTNERS)] == list(range(near, PARTNERS))
    assert (account.further.counts[USED], account.row.further_at) == (2, 1)


def test_a_counterparty_that_takes_a_place_begins_anew_there(account: Account) -> None:
    met = [account.meet(7, 1_000), account.meet(7, 1_000), account.meet(8, 2_000)]
    assert met == [0, 0, 1], "the first place that is empty"
    assert [int(account.partner(at).payments) for at in range(3)] == [2, 1, 0]


def test_the_times_of_a_counterparty_are_exact_up_to_the_last_that_a_payment_may_have(account: Account) -> None:
    times = (EVENT_TIME_MS_MAX - 1, EVENT_TIME_MS_MAX)
    for at_ms in times:
        at = account.meet(7, at_ms)
    partner = account.partner(at)
    assert (plain(partners.first_ms_of)(partner), plain(partners.last_ms_of)(partner)) == times
