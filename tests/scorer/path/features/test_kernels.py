"""The arithmetic that both hops' kernels share, on numbers that are written down here, and as Python.

So no machine code that was kept from before has a say. That the compiled kernels do the same is for their twins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.scorer.path.features import kernels
from services.scorer.path.features.definitions.feature import HALF_LIFE_MS
from services.scorer.path.features.rows import PARTNERS, PAYER_ROW, REGISTERS

DAY = 30 * 86_400_000
"""A block's length in ms."""


def plain(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The Python function that ``kernel`` is compiled from."""
    return getattr(kernel, "py_func", kernel)


def account() -> Any:
    """An account's row without any history."""
    return np.zeros(1, dtype=(np.record, PAYER_ROW))[0]


def test_a_decayed_sum_halves_with_each_half_life() -> None:
    assert plain(kernels.decayed)(8.0, 0, 1_000.0) == 8.0
    assert plain(kernels.decayed)(8.0, 1_000, 1_000.0) == pytest.approx(4.0, rel=1e-15)
    assert plain(kernels.decayed)(8.0, 3_000, 1_000.0) == pytest.approx(1.0, rel=1e-15)
    for elapsed_ms in (0, 1, 86_400_000, 40 * 86_400_000):
        factors = np.full(4, np.nan)
        plain(kernels.decay_factors)(elapsed_ms, factors)
        assert factors.tolist() == pytest.approx([2.0 ** -(elapsed_ms / each) for each in HALF_LIFE_MS], rel=1e-12)


@pytest.mark.parametrize(
    "amount_minor, digits",
    [(1, 1), (7, 1), (10, 1), (500, 1), (250, 2), (251, 3), (100_200, 4), (99_990, 4), (12_345, 5), (10**15, 1)],
)
def test_roundness_is_one_over_the_significant_digits(amount_minor: int, digits: int) -> None:
    assert plain(kernels.roundness)(amount_minor) == 1.0 / digits


def test_an_amount_of_nothing_or_less_is_not_round() -> None:
    assert [plain(kernels.roundness)(amount_minor) for amount_minor in (0, -1, -500)] == [0.0, 0.0, 0.0]


def test_a_share_is_nothing_without_history_and_missing_when_none_is_known() -> None:
    share = plain(kernels.share)
    assert (share(5.0, 0.0, 0), share(0.0, 0.0, 0)) == (0.0, 0.0)
    assert math.isnan(share(0.0, 0.0, 1))
    assert (share(1.0, 4.0, 1), share(0.25, 0.5, 9)) == (0.25, 0.5)


def test_the_counterparty_used_longest_ago_makes_room() -> None:
    row = account()
    for payment in range(PARTNERS + 2):
        digest = 100 + payment
        assert plain(kernels.partner_position)(row, digest) == -1
        plain(kernels.remember_partner)(row, -1, digest, 1_000 + payment)
        row.payments += 1
        if payment == PARTNERS - 1:  # the first is used again, so it is the second's turn to leave
            position = plain(kernels.partner_position)(row, 100)
            plain(kernels.remember_partner)(row, position, 100, 5_000)
            row.payments += 1
    left = {int(each.digest): (int(each.first_ms), int(each.last_ms), int(each.payments)) for each in row.partners}
    assert sorted(left) == [100, *range(103, 100 + PARTNERS + 2)]
    assert left[100] == (1_000, 5_000, 2)
    assert left[103] == (1_003, 1_003, 1)
    assert [plain(kernels.partner_position)(row, digest) for digest in (101, 102)] == [-1, -1]
    assert row.partners[plain(kernels.partner_position)(row, 104)].digest == 104


def test_a_counterparty_that_takes_a_place_begins_anew_there() -> None:
    row = account()
    for _ in range(3):
        plain(kernels.remember_partner)(row, 0, 7, 1_000)
    plain(kernels.remember_partner)(row, -1, 8, 2_000)
    assert [int(row.partners[at].digest) for at in range(3)] == [0, 8, 0], "the first place of those used least"
    assert (int(row.partners[1].payments), int(row.partners[1].used)) == (1, 1)


def with_registers(*told: tuple[int, int, int]) -> Any:
    row = account()
    row.block = 10
    for block, register, rank in told:
        row.registers[block, register] = rank
    return row


def test_a_block_becomes_the_one_before_when_the_next_begins_and_is_forgotten_after_it() -> None:
    for block, registers in ((10, ([3], [4])), (11, ([0], [3])), (12, ([0], [0])), (9, ([0], [0]))):
        row = with_registers((0, 5, 3), (1, 5, 4))
        plain(kernels.roll_block)(row, block)
        assert ([row.registers[0, 5]], [row.registers[1, 5]], row.block) == (*registers, block)
        assert row.registers.sum() == sum(map(sum, registers))


@pytest.mark.parametrize(
    "digest, register, rank",
    [
        (0b1_000101, 5, 1),
        (0b10_000101, 5, 2),
        (0b110_111111, 63, 2),
        (0b1000_000000, 0, 4),
        (1 << 63, 0, 58),
        (0b000011, 3, 59),
    ],
)
def test_a_digest_raises_the_register_of_its_low_bits_to_the_rank_of_the_others(
    digest: int, register: int, rank: int
) -> None:
    row = account()
    plain(kernels.add_distinct)(row, np.uint64(digest))
    assert (row.registers[0, register], row.registers.sum()) == (rank, rank)
    plain(kernels.add_distinct)(row, np.uint64(register | 1 << 6))
    assert row.registers[0, register] == rank, "a register never falls"


def linear(registers: int) -> float:
    return REGISTERS * math.log(REGISTERS / (REGISTERS - registers))


def test_a_few_distinct_are_counted_by_the_registers_that_are_left_empty() -> None:
    count = plain(kernels.count_distinct)
    assert count(with_registers(), 10) == 0.0
    row = with_registers((0, 1, 1), (0, 2, 5), (1, 3, 1), (1, 2, 2))
    assert count(row, 10) == pytest.approx(linear(3)), "of both blocks together"
    assert count(row, 11) == pytest.approx(linear(2)), "the current block is then the one before"
    assert count(row, 12) == 0.0


def test_many_distinct_are_estimated_from_the_ranks() -> None:
    row = with_registers(*((0, at, 4) for at in range(REGISTERS)))
    assert plain(kernels.count_distinct)(row, 10) == pytest.approx(0.709 * REGISTERS * 2.0**4)
    full = with_registers(*((0, at, 1) for at in range(REGISTERS)))
    assert plain(kernels.count_distinct)(full, 10) == pytest.approx(0.709 * REGISTERS * 2.0)
    one_empty = with_registers(*((0, at, 9) for at in range(1, REGISTERS)))
    estimate = 0.709 * REGISTERS**2 / (1.0 + (REGISTERS - 1) * 2.0**-9)
    assert estimate > 2.5 * REGISTERS
    assert plain(kernels.count_distinct)(one_empty, 10) == pytest.approx(estimate)


def test_each_country_has_a_bit_of_its_own_and_counts_once() -> None:
    row = account()
    for country, total in ((0, 1), (63, 2), (64, 3), (675, 4), (64, 4), (0, 4)):
        row.countries[country // 64] |= plain(kernels.country_bit)(country)
        assert plain(kernels.count_countries)(row) == float(total)
    assert [int(plain(kernels.country_bit)(country)) for country in (0, 1, 65)] == [1, 2, 2]


def with_amounts(*amounts: float) -> Any:
    row = account()
    for log_amount in map(math.log1p, amounts):
        row.log_amounts += 1
        row.log_amount_weight += 1.0
        row.log_amount_sum += log_amount
        row.log_amount_squares += log_amount * log_amount
    return row


def test_a_deviation_is_measured_in_the_spread_of_earlier_amounts() -> None:
    deviation = plain(kernels.amount_deviation)
    amounts = [10.0, 100.0, 1_000.0]
    logs = [math.log1p(each) for each in amounts]
    expected = (math.log1p(5_000.0) - np.mean(logs)) / np.std(logs)
    assert deviation(with_amounts(*amounts), 5_000.0) == pytest.approx(expected)
    assert deviation(with_amounts(*amounts[:2]), 5_000.0) == 0.0, "two are no history"
    assert math.isnan(deviation(with_amounts(*amounts), math.nan))
    assert math.isnan(deviation(with_amounts(), math.nan))
    same = deviation(with_amounts(50.0, 50.0, 50.0), 51.0)
    assert same == pytest.approx((math.log1p(51.0) - math.log1p(50.0)) / kernels.DEVIATION_MIN)
    faded = with_amounts(*amounts)
    faded.log_amount_weight = 0.0
    assert deviation(faded, 5_000.0) == 0.0


def test_an_account_begins_with_its_first_payment() -> None:
    row = account()
    plain(kernels.start_row)(row, 3 * DAY + 5)
    assert (row.first_ms, row.last_ms, row.block) == (3 * DAY + 5, 3 * DAY + 5, 3)
    rows = np.ones(2, dtype=(np.record, PAYER_ROW))
    plain(kernels.forget)(rows, 1)
    assert (rows[1].tobytes(), rows[0].payments) == (bytes(PAYER_ROW.itemsize), 1)


def test_gaps_have_a_mean_and_a_variance_from_the_second_payment_on() -> None:
    row = account()
    seen = []
    for payments, gap in enumerate((99.0, 10.0, 18.0, 2.0)):
        row.payments = payments
        plain(kernels.update_gap)(row, gap)
        seen.append((float(row.gap_mean), float(row.gap_variance)))
    weight = kernels.GAP_WEIGHT
    second = (10.0 + weight * 8.0, (1.0 - weight) * (0.0 + weight * 64.0))
    difference = 2.0 - second[0]
    third = (second[0] + weight * difference, (1.0 - weight) * (second[1] + weight * difference * difference))
    assert seen == [(0.0, 0.0), (10.0, 0.0), second, third]
