"""The registry of features: what each number of a decision's vector means.

The order here is the canonical order of every feature vector, weight vector and contribution vector. Features are
taken *before* their payment changes any state. The payment, payer and pair features are computed at the payer hop,
the payee features at the payee hop.

Mathematics shared by all of them:

- **Effective time** of a payment is the latest event time that its account has seen so far, its own included: a late
  payment counts as of the account's present, so no sum ever grows backwards.
- **Decayed sum** with half-life ``h`` at effective time ``T``: the sum over the account's earlier payments ``i`` of
  ``v_i * 2**(-(T - T_i) / h)``. ``_1h``, ``_1d``, ``_7d``, ``_30d`` in a name are such half-lives.
- **Share**: a decayed sum of flags over the decayed count of the payments whose flag is known; ``0`` while the
  account has no earlier payment, missing (NaN) while it has some and none is known.
- **Money** is in the reference currency (EUR at the ruleset's rates); missing when the currency has no rate. Payments
  that were rejected or returned count, but their money does not.
- A payment that is *repeated*, or comes with another content under its id (``identities``), moves the partition's event
  time and nothing else. So does a later change of its status, but for ``payer_refused_1d``: a payment counts there
  once, when it is first refused. Money follows the first status.
- The **partition's event time** is the latest that is not one payer's word alone (``event_time``): by more than a day
  it moves only when another payer's payment confirms that.
- **Not told is no fact.** While an account has payments, and none of them tells what a feature asks, the feature is
  missing: a count, sum or maximum as much as a share. Where some tell it, it is over those: a share or mean of them, a
  lower bound of a count. Without any history it stands at the value that its meaning gives, unless that would speak for
  an innocent reading: then it is missing, too.
- **Local time** is by the offset from UTC that the payment tells; else by the one that its payer told last; else by the
  one that is usual in the payer's country, where all of it keeps one time (``services.contract.local``).
- **Reference** texts that are empty are told to be empty. One that is left out counts as empty once another payment of
  its payer has told one, and is not told before.
- **Remittance**: a payment that crosses a border and has no merchant category, or that of money transfer (4829), which
  says that a card funded it. On the rail ``card`` a payment has a category, so where that is not told it is not known
  whether it is one. What is said of an account's remittances is over its earlier ones, whatever this payment
  is; it is missing when it is not told whether *this* payment crosses a border, or whether any earlier one did.
  ``_180d`` is a further half-life, for remittances only. A share or mean over remittances is a decayed sum over the
  decayed count of those whose value is known; ``0`` while there is no remittance, missing (NaN) while there are some
  and the value of none is known. What is *round in either currency* is known where both amounts are.
- **Corridor**: payer's country, payee's country and rail, with the currency paid or received in place of a country that
  is not told. A corridor's baseline is over its earlier payments in this
  partition (an estimate, therefore, where there are several), decayed with a half-life of 30 d by the partition's event
  time; what is held against it is missing until it has seen 30 remittances with a known amount,
  and for roundness until it has seen 30 of which that is known, too.
- **Shared tokens**: the phones, devices and pick-up points that remittances tell of their payees, each of its kind and
  tenant. A remittance joins the tokens that it tells, and with them all that they are joined with, into one group, in
  the order device, phone, pick-up point; one is left apart where the group would then have more than 24 payees. A group
  that would have more than 24 with this payee alone is *common* (a cash agency's counter): its tokens join nobody any
  more, and count as never met. A group that no remittance used for more than 360 whole days (UTC) of the partition's
  event time is forgotten, and while a partition has a million tokens further ones are not met. Groups are of one
  partition (an estimate, therefore, where there are several); members of a group, but for this payee, are estimated
  from 64 bits (linear counting).
- **Labels**: what was learned of a payment, confirmed or cleared, is read where its record stands in the logs of payer
  and payee. A payment is *matured* for an account once its first label was read, and counts from its own effective time
  among matured payments, or from the account's latest payment if that is earlier. Shares and sums over matured payments
  decay by that time. A label is not read where the account has no payment, or has been idle beyond the horizon; a payer
  reads none again of its 8 payments labelled last. *Amount over cleared* of a payment is ``payer_amount_over_cleared``
  as it was served; its *excess* is ``log(amount over cleared / 2)``, at least 0; it is *usual* below 2.5, and is
  neither where that is missing.
- An account that has been idle, by the partition's event time, beyond the retention horizon starts afresh.

Missing is NaN, ``null`` in JSON. It never means zero: the model leaves a missing feature out, a rule says ``error``.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, cast

import orjson

from services.contract.identity import hash_of
from services.scorer.path.features.definitions import habits, typologies
from services.scorer.path.features.definitions.derived import DERIVED
from services.scorer.path.features.definitions.feature import Feature
from services.scorer.path.features.definitions.labels import PAYEE_CONFIRMED, PAYER_CONFIRMED
from services.scorer.path.features.parameters import Parameters

DEFINITION_VERSION = 9
"""Raised whenever the mathematics of any feature changes, so that no model scores what it was not trained on."""

PAYER_HOP: tuple[Feature, ...] = (
    *habits.payment(), *habits.activity("payer", "payee"), *habits.payer_only(), *habits.pair(),
    *typologies.payment(), *typologies.remittances(), *typologies.payer_context(), *typologies.shared_tokens(),
    *PAYER_CONFIRMED,
)  # fmt: skip
PAYEE_HOP: tuple[Feature, ...] = (
    *habits.activity("payee", "payer"), *habits.payee_only(), *typologies.payee_remittances(), *PAYEE_CONFIRMED,
)  # fmt: skip
FEATURES: tuple[Feature, ...] = (*PAYER_HOP, *PAYEE_HOP, *(feature for feature, _ in DERIVED))
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
INDEX: dict[str, int] = {name: position for position, name in enumerate(NAMES)}
COUNTRY_FEATURES: tuple[str, ...] = (
    "corridor_is_new", "payer_corridors", "payee_corridors", "payee_country_entropy_180d",
)  # fmt: skip
"""What knows countries as such: everything else is relative to the corridor, or does not look at it."""


def _places(name: str, features: Iterable[str]) -> Any:
    """A named tuple of 0, 1, 2, ...: kernels take a global one as constants, and refuse a name that it has not."""
    names, make = tuple(features), cast(Any, namedtuple)
    return make(name, names)(*range(len(names)))


PAYER_AT = _places("PayerAt", (feature.name for feature in PAYER_HOP))
"""Where each feature of the payer hop stands in its row of features."""
PAYEE_AT = _places("PayeeAt", (feature.name for feature in PAYEE_HOP))
"""The same at the payee hop."""
ACTIVITY_AT = _places(
    "ActivityAt",
    (each.name.removeprefix("payer_").replace("payees", "others") for each in habits.activity("payer", "payee")),
)
"""Where each feature that payer and payee have in common stands among them: an *other* is the other side's account."""


def feature_schema_hash(parameters: Parameters) -> str:
    """SHA-256 over everything that decides a feature's value: definitions, order, parameters."""
    definition = {
        "version": DEFINITION_VERSION,
        "features": [[feature.name, feature.unit, feature.scale] for feature in FEATURES],
        "parameters": asdict(parameters),
    }
    return hash_of(orjson.dumps(definition, option=orjson.OPT_SORT_KEYS))
