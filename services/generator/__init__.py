"""A seeded, labelled, streaming source of synthetic payments, for tests and evaluation.

>>> from services.generator import Configuration, Stream
>>> stream = Stream(Configuration(payers=200, months=2, seed=7, base_rate="unit_test"))
>>> records = [value for chunk in stream.chunks() for value in chunk.values]
>>> accounts = {each.account: each for each in stream.accounts()}
>>> sum(each.typology == "lsac" and each.role == "payer" for each in accounts.values())
1

- ``generate(configuration)`` yields ``Chunk``s: ``keys`` (payer accounts, bytes), ``values`` (payments, JSON bytes),
  ``kinds`` and ``times_ms``, in the order of publication and never more than ``CHUNK_ROWS`` at once.
- ``truth(configuration)`` yields ``AccountTruth``, ``PaymentTruth`` and ``LabelTruth`` records.
- ``Stream(configuration)`` does both in one pass: ``days()`` gives table rows and labels, ``written(rows)`` the JSON.

An evaluator asks truth: ``role == "payer" and typology == "lsac"`` with ``sub_type`` and ``payments``;
``population == "facilitator"`` or ``"direct_beneficiary"`` among payees, with ``counterparties`` and ``cluster``;
``population`` and ``slice`` of any payer; ``twin_of`` of a twin. ``Configuration(world="harbour/3")`` draws a world
instead (``services.generator.worlds``): then ``source_system`` of any payer, ``also`` of one with a second routine, and
``person`` of one with two accounts.

Equal configurations give equal bytes. Memory grows with the number of payers, not with the horizon. Truth never
travels with a payment. Results on this data show that the software works as specified, not that it finds offenders:
its distributions come from about ten published numbers, and from assumptions that ``parameters.toml`` marks as such.
"""

from services.generator.configuration import Configuration, ConfigurationError, Profile
from services.generator.stream import Chunk, Day, Stream, generate, truth
from services.generator.truth import AccountTruth, LabelTruth, PaymentTruth, TruthRecord
from services.generator.worlds import draw_world, families

__all__ = [
    "AccountTruth",
    "Chunk",
    "Configuration",
    "ConfigurationError",
    "Day",
    "LabelTruth",
    "PaymentTruth",
    "Profile",
    "Stream",
    "TruthRecord",
    "draw_world",
    "families",
    "generate",
    "truth",
]
