"""Beneficiaries of LSAC payers: facilitators with several payers and linked accounts, and people paid directly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from services.contract.units import DAY_MS
from services.generator.accounts import Special
from services.generator.chance import Generator, lognormal
from services.generator.parameters import LsacLaw
from services.generator.people import World


@dataclass(slots=True)
class Beneficiary:
    """Whom one payer pays: the accounts to choose from. Several for a facilitator that works with relatives."""

    accounts: list[int]
    facilitator: bool


def beneficiaries_mean(law: LsacLaw, n: int) -> float:
    """The mean number of beneficiaries of a payer with ``n`` payments, between the given points by the log of n."""
    points = law.beneficiaries
    return float(np.interp(math.log(n), [math.log(at) for at, _ in points], [mean for _, mean in points]))


def beneficiaries_count(law: LsacLaw, rng: Generator, n: int) -> int:
    """1 + a negative binomial (a Poisson whose mean is gamma distributed), at most one for each payment."""
    extra = max(0.0, beneficiaries_mean(law, n) - 1.0)
    mean = rng.gamma(law.beneficiaries_shape, extra / law.beneficiaries_shape) if extra else 0.0
    return min(n, 1 + int(rng.poisson(mean)))


def assign(
    world: World, rng: Generator, payers: list[int], slots: list[int], facilitator_shares: list[float]
) -> list[list[Beneficiary]]:
    """The beneficiaries of every payer of ``payers``; ``slots`` says how many each has, and how many facilitate."""
    law, people = world.configuration.parameters.lsac, world.people
    found: list[list[Beneficiary]] = [[] for _ in payers]
    wanted: dict[int, list[int]] = {}
    for at, (payer, count, share) in enumerate(zip(payers, slots, facilitator_shares, strict=True)):
        place = int(people.destination[payer])
        for _ in range(count):
            if rng.random() < share:
                wanted.setdefault(place, []).append(at)
            else:
                # When it was opened is drawn before whether it is a minor's.
                direct = new_account(world, rng, place, "direct_beneficiary")
                world.accounts.special[-1].minor = bool(rng.random() < law.minor_share)
                found[at].append(Beneficiary([direct], facilitator=False))
    for place in sorted(wanted):
        _share_out(world, rng, place, payers, wanted[place], found)
    # Who is met first is paid longest: that must not depend on the role.
    return [[each[i] for i in rng.permutation(len(each)).tolist()] for each in found]


def _share_out(
    world: World, rng: Generator, place: int, payers: list[int], links: list[int], found: list[list[Beneficiary]]
) -> None:
    """Deal the wishes for a facilitator in one place out to facilitators with drawn numbers of payers."""
    law, home = world.configuration.parameters.lsac, world.people.home
    median, sigma, cap = law.payers_per_facilitator
    left = [links[i] for i in rng.permutation(len(links)).tolist()]
    while left:
        size = min(cap, 1 + round(float(lognormal(rng, median, sigma, 1)[0])))
        several = rng.random() < law.multi_country_share
        country = home[payers[left[0]]]
        # A payer's further wishes are for other facilitators.
        taken = list(islice(dict.fromkeys(at for at in left if several or home[payers[at]] == country), size))
        for at in taken:
            left.remove(at)
        accounts = _cluster(world, rng, place)
        for at in sorted(taken):
            order = rng.permutation(len(accounts)).tolist()
            found[at].append(Beneficiary([accounts[i] for i in order], facilitator=True))


def _cluster(world: World, rng: Generator, place: int) -> list[int]:
    """The accounts of one facilitator: 1 to 4 that share a phone, a device, a pick-up point, or some of these."""
    law = world.configuration.parameters.lsac
    count, cluster = int(rng.integers(law.cluster[0], law.cluster[1] + 1)), len(world.accounts.special)
    tokens = [int(each) for each in rng.integers(1, 1 << 60, 3)]
    shares = (law.shared_phone, law.shared_device, law.shared_pickup)
    made = []
    for _ in range(count):
        phone, device, pickup = (
            token if rng.random() < share else 0 for token, share in zip(tokens, shares, strict=True)
        )
        tokens_told = {"phone": phone, "device": device, "pickup": pickup}
        made.append(new_account(world, rng, place, "facilitator", cluster=cluster, **tokens_told))
    return made


def new_account(world: World, rng: Generator, place: int, role: str, **told: Any) -> int:
    """Register a planned account, opened before the horizon, like anybody's; ``told`` are fields of ``Special``."""
    opened_ms = world.configuration.start_ms - int(900.0 * math.exp(2.2 * (rng.random() - 0.5)) * DAY_MS)
    return world.accounts.add(Special(place, role, opened_ms, **told))
