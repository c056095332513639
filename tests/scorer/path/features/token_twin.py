"""The naive twin of shared tokens: groups from scratch, over all remittances before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.contract.payment import Payment
from tests.scorer.path.features.remittance_twin import bits
from tests.scorer.path.features.twin_arithmetic import DAY_MS, NAN, is_remittance_flag
from tests.scorer.path.features.twin_views import Twin, View, tokens_of


@dataclass(eq=False)
class Group:
    """Tokens that are joined, and by whom and until when they were used."""

    tokens: set[tuple[str, str, str]]
    used_ms: int
    payees: set[int] = field(default_factory=set)
    payers: set[int] = field(default_factory=set)
    is_common: bool = False


def estimate(members: set[int]) -> float:
    """Linear counting over 64 bits; 64 members found count as 63."""
    return 64 * math.log(64 / (64 - min(len(members), 63)))


def payees_with(members: set[int], this: int) -> float:
    return 1.0 + estimate(members - {this})


def joined_by(payment: Payment, groups: Sequence[Group]) -> list[Group]:
    """The groups that a remittance would join into one, in its order, without those that are left apart."""
    this = bits(payment.payee.account)
    joined: list[Group] = []
    for token in tokens_of(payment):
        for group in groups:
            if token not in group.tokens or group in joined or group.is_common:
                continue
            if payees_with(group.payees, this) > 24:
                continue
            if payees_with(set[int]().union(*(each.payees for each in joined), group.payees), this) <= 24:
                joined.append(group)
    return joined


def groups_before(view: View) -> list[Group]:
    """The groups as the view's payment finds them, from all earlier remittances of the partition."""
    groups: list[Group] = []
    for told in view.sharing:
        groups = [each for each in groups if not is_idle(each, told.watermark_ms)]
        tokens, this = tokens_of(told.payment), bits(told.payment.payee.account)
        met = set[tuple[str, str, str]]().union(*(each.tokens for each in groups))
        groups += [Group({token}, told.watermark_ms) for token in tokens if token not in met]
        joined = joined_by(told.payment, groups)
        for group in [each for each in groups if each.tokens & set(tokens)]:
            group.used_ms = told.watermark_ms
            group.is_common = group.is_common or payees_with(group.payees, this) > 24
            group.payees.add(this)
            group.payers.add(bits(told.payment.payer.account))
        if joined:
            whole = Group(set(), told.watermark_ms)
            for group in joined:
                whole.tokens |= group.tokens
                whole.payees |= group.payees
                whole.payers |= group.payers
            groups = [each for each in groups if each not in joined] + [whole]
    return [each for each in groups if not is_idle(each, view.watermark_ms)]


def is_idle(group: Group, now_ms: int) -> bool:
    return now_ms // DAY_MS - group.used_ms // DAY_MS > 360


def sharing(value: Callable[[View, list[Group]], float]) -> Twin:
    """Missing for what is no remittance, or tells no token."""

    def twin(view: View) -> float:
        if is_remittance_flag(view.payment) != 1.0 or not tokens_of(view.payment):
            return NAN
        return value(view, joined_by(view.payment, groups_before(view)))

    return twin


def linked_payees(view: View, joined: list[Group]) -> float:
    return payees_with(set[int]().union(*(each.payees for each in joined)), bits(view.payment.payee.account))


def linked_payers(view: View, joined: list[Group]) -> float:
    return estimate(set[int]().union(*(each.payers for each in joined)))
