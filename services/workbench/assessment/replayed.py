"""A stream with known truth through the shipping path: features, and whose payments they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.kinds.kind import Share
from models.measures import Flags, Floats, Whole
from services.scorer.path.decode import Decoded
from services.scorer.path.decoding.fields import AT
from services.scorer.path.features.registry import INDEX
from services.scorer.path.replay import Replay
from services.scorer.path.rules.ruleset import Ruleset
from services.workbench.assessment.sources import Source, role_of
from services.workbench.assessment.truth import EVERY_WORLD, UNKNOWN_WORLD, Truth

_FIELDS = AT.payer_account, AT.payee_account


class Batch(NamedTuple):
    """n payments that workers would decide, in order. Columns of two are of payer and payee."""

    event_ms: Whole
    accounts: Whole
    """int64[n, 2]: numbers of the accounts, each among those of its role in the order in which they were met."""
    digests: tuple[NDArray[np.uint64], NDArray[np.uint64]]
    """Of payers and payees, uint64[n, 2] each: tenant and account, as state knows them."""
    lines: Whole
    """int64[n, 2]: of ``Truth``; ``NO_LINE`` for an account that it does not tell of."""
    worlds: Whole
    """int64[n, 2]: the world under which the payment counts for each."""
    features: Floats
    """float64[n, len(FEATURES)]."""

    @property
    def subject_to_pack(self) -> Flags:
        """bool[n]: which payments are remittances, or may be: where no border is told, none is excluded."""
        return np.asarray(self.features[:, INDEX["is_remittance"]] != 0.0)

    @property
    def remittances(self) -> Flags:
        """bool[n]: which payments a pack for remittances applies to."""
        return np.asarray(self.features[:, INDEX["is_remittance"]] == 1.0)


class Labelled:
    """A stream whose truth is known, ready to be followed as often as rankers want to.

    Parameters
    ----------
    source
        Of the records and the truth.
    ruleset
        Under which they are measured.
    """

    def __init__(self, source: Source, ruleset: Ruleset) -> None:
        self.name, self.truth = source.name, source.truth
        self._source, self._ruleset = source, ruleset
        self.records = 0
        """Of the last time that it was followed to its end, like the next."""
        self.left_out: Counter[str] = Counter()
        """Records that no worker would decide, by reason."""

    def batches(self, share: Share) -> Iterator[Batch]:
        """The payments, from the beginning, as workers with one partition would serve them; ``share`` is told how much
        is done. Memory is that of the path's state, and a row an account."""
        replay, accounts = Replay(self._ruleset), _Accounts(self.truth)
        self.records, self.left_out = 0, Counter()
        for piece in self._source.pieces():
            found = replay.follow(piece.records)
            self.records += len(piece.records)
            self.left_out.update(found.batch.reasons)
            self.left_out["repeat"] += found.duplicates
            self.left_out["change_of_status"] += len(found.batch.at) - len(found.rows)
            if len(found.rows):
                numbers, lines = accounts.known(found.batch, found.rows)
                digests = found.batch.payers[found.rows], found.batch.payees[found.rows]
                worlds = _worlds(self.truth.world[lines])
                event_ms = np.asarray(found.batch.rows["event_ms"][found.rows])
                yield Batch(event_ms, numbers, digests, lines, worlds, found.features)
            share(piece.share)


class _Accounts:
    """Numbers of accounts, by digest; their texts are read once."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._number: tuple[dict[bytes, int], dict[bytes, int]] = ({}, {})
        self._lines: tuple[list[int], list[int]] = ([], [])

    def known(self, batch: Decoded, rows: Whole) -> tuple[Whole, Whole]:
        """int64[n, 2] of the payments ``rows``: the number of each account, and its line in the truth."""
        numbers, lines = np.empty((len(rows), 2), dtype=np.int64), np.empty((len(rows), 2), dtype=np.int64)
        for side, digests in enumerate((batch.payers, batch.payees)):
            number, line = self._number[side], self._lines[side]
            keys = np.ascontiguousarray(digests[rows]).view("V16").ravel().tolist()
            for at, key in enumerate(keys):
                if key not in number:
                    number[key] = len(line)
                    account = batch.text(int(rows[at]), _FIELDS[side]) or ""
                    line.append(self._truth.line_of(role_of(side), account))
            found = [number[key] for key in keys]
            numbers[:, side] = found
            lines[:, side] = [line[each] for each in found]
        return numbers, lines


def _worlds(own: Whole) -> Whole:
    """int64[n, 2]: an account's own world; of one in every world, or that nothing tells of, the world of the payment,
    which is that of its payer, or else of its payee."""
    payer, payee = own[:, 0], own[:, 1]
    of_payment = np.where(payer >= 0, payer, np.where(payee >= 0, payee, np.maximum(payer, payee)))
    assert EVERY_WORLD > UNKNOWN_WORLD, "of both, the first is what is known of the payment"
    return np.where(own >= 0, own, of_payment[:, None])
