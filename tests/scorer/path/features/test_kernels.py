"""The arithmetic that both hops' kernels share, on numbers that are written down here, and as Python.

So no machine code that was kept from before has a say. That the compiled kernels do the same is for their twins.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.scorer.path.features import crowd as crowd_module
from services.scorer.path.features import kernels
from services.scorer.path.features.definitions.feature import HALF_LIFE_MS
from services.scorer.path.features.rows import CROWD_ROW, PAYER_ROW, REGISTERS
from services.scorer.path.features.tables import Pool, Table, own

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


def crowd() -> Pool:
    return Table(CROWD_ROW, reserved=1).pool(8)


def with_ranks(pool: Pool, *told: tuple[int, int, int], dense: bool = False) -> Any:
    """A row whose blocks' registers hold ranks: one by one, or in ``pool``."""
    row = account()
    if dense:
        row.crowd_at = own(pool, 0)
    for block, register, rank in sorted(told, reverse=True):  # the block before stands first
        if dense:
            pool.rows[row.crowd_at].registers[block, register] = rank
        else:
            row.near_ranks[np.count_nonzero(row.near_ranks)] = register + 64 * rank + 4_096 * block
    row.block = 10
    return row


def registers_of(row: Any, pool: Pool) -> dict[tuple[int, int], int]:
    """The ranks of a row's registers that hold one, by block and register."""
    found = {}
    for packed in row.near_ranks.tolist():
        if packed:
            found[packed // 4_096, packed % 64] = packed % 4_096 // 64
    for block, register in np.argwhere(pool.rows[row.crowd_at].registers).tolist():
        found[block, register] = int(pool.rows[row.crowd_at].registers[block, register])
    return found


@pytest.mark.parametrize("dense", [False, True])
def test_a_block_becomes_the_one_before_when_the_next_begins_and_is_forgotten_after_it(dense: bool) -> None:
    for block, registers in ((10, {(0, 5): 3, (1, 5): 4}), (11, {(1, 5): 3}), (12, {}), (9, {})):
        pool = crowd()
        row = with_ranks(pool, (0, 5, 3), (1, 5, 4), dense=dense)
        plain(crowd_module.roll_block)(row, pool, block)
        assert (registers_of(row, pool), row.block) == (registers, block)


@pytest.mark.parametrize("dense", [False, True])
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
    digest: int, register: int, rank: int, dense: bool
) -> None:
    pool = crowd()
    row = with_ranks(pool, dense=dense)
    plain(crowd_module.add_distinct)(row, pool, np.uint64(digest))
    assert registers_of(row, pool) == {(0, register): rank}
    plain(crowd_module.add_distinct)(row, pool, np.uint64(register | 1 << 6))
    assert registers_of(row, pool) == {(0, register): rank}, "a register never falls"


@pytest.mark.parametrize("seed", range(20))
def test_ranks_count_the_same_one_by_one_and_in_registers(seed: int) -> None:
    draw = random.Random(seed)
    pool = crowd()
    near, dense = with_ranks(pool), with_ranks(pool, dense=True)
    block = 10
    for _ in range(draw.randrange(60)):
        block += draw.choice((0, 0, 0, 0, 0, 0, 1, 2))
        digest = np.uint64(draw.getrandbits(64))
        for row in (near, dense):
            plain(crowd_module.roll_block)(row, pool, block)
            plain(crowd_module.add_distinct)(row, pool, digest)
        assert registers_of(near, pool) == registers_of(dense, pool)
        for later in (0, 1, 2):
            counts = [plain(crowd_module.count_distinct)(row, pool, block + later) for row in (near, dense)]
            assert counts[0] == counts[1]


def linear(registers: int) -> float:
    return REGISTERS * math.log(REGISTERS / (REGISTERS - registers))


@pytest.mark.parametrize("dense", [False, True])
def test_a_few_distinct_are_counted_by_the_registers_that_are_left_empty(dense: bool) -> None:
    count, pool = plain(crowd_module.count_distinct), crowd()
    assert count(with_ranks(pool, dense=dense), pool, 10) == 0.0
    row = with_ranks(pool, (0, 1, 1), (0, 2, 5), (1, 3, 1), (1, 2, 2), dense=dense)
    assert count(row, pool, 10) == pytest.approx(linear(3)), "of both blocks together"
    assert count(row, pool, 11) == pytest.approx(linear(2)), "the current block is then the one before"
    assert count(row, pool, 12) == 0.0


def test_many_distinct_are_estimated_from_the_ranks() -> None:
    count, pool = plain(crowd_module.count_distinct), crowd()
    row = with_ranks(pool, *((0, at, 4) for at in range(REGISTERS)), dense=True)
    assert count(row, pool, 10) == pytest.approx(0.709 * REGISTERS * 2.0**4)
    full = with_ranks(pool, *((0, at, 1) for at in range(REGISTERS)), dense=True)
    assert count(full, pool, 10) == pytest.approx(0.709 * REGISTERS * 2.0)
    one_empty = with_ranks(pool, *((0, at, 9) for at in range(1, REGISTERS)), dense=True)
    estimate = 0.709 * REGISTERS**2 / (1.0 + (REGISTERS - 1) * 2.0**-9)
    assert estimate > 2.5 * REGISTERS
    assert count(one_empty, pool, 10) == pytest.approx(estimate)


def test_each_country_counts_once_however_many_there_are() -> None:
    pool, row = crowd(), account()
    for country, total in ((0, 1), (63, 2), (64, 3), (64, 3), (675, 4), (1, 5), (0, 5), (65, 6), (675, 6)):
        assert plain(crowd_module.has_country)(row, pool, country) == (total == len(countries_of(row, pool)))
        plain(crowd_module.add_country)(row, pool, country)
        assert plain(crowd_module.count_countries)(row, pool) == float(total) == len(countries_of(row, pool))
    assert countries_of(row, pool) == {0, 1, 63, 64, 65, 675}
    assert [int(plain(crowd_module.country_bit)(country)) for country in (0, 1, 65)] == [1, 2, 2]


def countries_of(row: Any, pool: Pool) -> set[int]:
    return {country for country in range(676) if plain(crowd_module.has_country)(row, pool, country)}


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
