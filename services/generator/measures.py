"""What a stream shows of its parameters, counted as its days pass. Memory: that of the payers."""

from __future__ import annotations

import numpy as np

from services.contract.units import DAY_MS, HOUR_MS
from services.generator.accounts import PAYER, kind_of, number_of
from services.generator.chance import Floats, Ints
from services.generator.people import DOMESTIC_ONLY
from services.generator.rows import ALL_SOURCES, KINDS, PAYMENT, RAILS, RELATIONS, Rows, of_routine, source
from services.generator.stream import Day, Stream

LOG_EDGES: Floats = np.linspace(-3.0, 12.0, 151)
"""Bins of the logarithm of an amount in EUR."""


class Measures:
    """Counts over a run. Give it every day once.

    By source (a code of ``ALL_SOURCES``): payments, sums of the logarithm of EUR, local hours, rails, relationships,
    empty references, round amounts, destinations. By payer: how many payments by routine, and how large.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self.world = stream, stream.world
        n, payers = len(ALL_SOURCES), stream.configuration.payers
        self.kinds = np.zeros(len(KINDS), dtype=np.int64)
        self.late = 0
        self.payments = np.zeros(n, dtype=np.int64)
        self.log_sum, self.log_squares = np.zeros(n), np.zeros(n)
        self.amounts = np.zeros((n, len(LOG_EDGES) - 1), dtype=np.int64)
        self.hours = np.zeros((n, 24), dtype=np.int64)
        self.rails = np.zeros((n, len(RAILS)), dtype=np.int64)
        self.relations = np.zeros((n, len(RELATIONS) + 1), dtype=np.int64)
        self.texts = np.zeros((n, len(self.world.words.texts) + 1), dtype=np.int64)
        self.round = np.zeros((n, 2), dtype=np.int64)
        self.declined = np.zeros(n, dtype=np.int64)
        self.places = np.zeros((n, len(self.world.places.codes)), dtype=np.int64)
        self.by_payer: Ints = np.zeros(payers, dtype=np.int64)
        self.log_by_payer: Floats = np.zeros(payers)
        self.by_day = np.zeros((stream.configuration.days, 2), dtype=np.int64)
        self.labels_innocent, self.labels_innocent_wrong = 0, 0

    def add(self, day: Day) -> None:
        """Count one day."""
        self.kinds += np.bincount(day.rows["kind"], minlength=len(KINDS))
        self.labels_innocent += len(day.labels)
        self.labels_innocent_wrong += sum(label.disposition == "suspicious" for label in day.labels)
        rows = day.rows[day.rows["kind"] == PAYMENT]
        self.late += int((rows["arrival"] - rows["time"] >= HOUR_MS).sum())
        if len(rows):
            self._count(rows)

    def _count(self, rows: Rows) -> None:
        origin, eur = rows["source"].astype(np.int64), self.world.places.eur_of(rows)
        logs = np.log(np.maximum(eur, 1e-3))
        n = len(ALL_SOURCES)
        self.payments += np.bincount(origin, minlength=n)
        self.log_sum += np.bincount(origin, logs, minlength=n)
        self.log_squares += np.bincount(origin, logs * logs, minlength=n)
        bins = np.clip(np.searchsorted(LOG_EDGES, logs, side="right") - 1, 0, len(LOG_EDGES) - 2)
        np.add.at(self.amounts, (origin, bins), 1)
        self.declined += np.bincount(origin[rows["status"] == 1], minlength=n)
        np.add.at(self.rails, (origin, rows["rail"].astype(np.int64)), 1)
        np.add.at(self.relations, (origin, rows["relation"].astype(np.int64)), 1)
        np.add.at(self.texts, (origin, np.where(rows["reference"] < 0, -1, rows["reference"] >> 24)), 1)
        np.add.at(self.places, (origin, self.world.accounts.places(rows["payee"])), 1)
        self._count_clocks(rows, origin)
        self._count_round(rows, origin)
        routine = of_routine(origin) & (kind_of(rows["payer"]) == PAYER)
        payers = number_of(rows["payer"][routine])
        self.by_payer += np.bincount(payers, minlength=len(self.by_payer))
        self.log_by_payer += np.bincount(payers, logs[routine], minlength=len(self.by_payer))

    def _count_clocks(self, rows: Rows, origin: Ints) -> None:
        """Hours of the payer's clock, whether its offset is told or not; days of all and of the diaspora."""
        places = self.world.accounts.places(rows["payer"])
        local = rows["time"] + self.world.places.offset_minutes[places] * 60_000
        np.add.at(self.hours, (origin, local // HOUR_MS % 24), 1)
        days = (local - self.stream.configuration.start_ms) // DAY_MS
        inside = (days >= 0) & (days < len(self.by_day))
        self.by_day[:, 0] += np.bincount(days[inside], minlength=len(self.by_day))
        diaspora = inside & (origin == source("diaspora"))
        self.by_day[:, 1] += np.bincount(days[diaspora], minlength=len(self.by_day))

    def _count_round(self, rows: Rows, origin: Ints) -> None:
        """Whether an amount is round as sent or as received, where both can be seen."""
        places = self.world.places
        told = rows["received"] >= 0
        payee = places.told[self.world.accounts.places(rows["payee"])]
        payer = self.world.accounts.places(rows["payer"])
        step = np.maximum(1, np.round(5.0 * places.unit[payer] * places.minor[payer])).astype(np.int64)
        step_received = np.maximum(1, np.round(places.step_received[payee] * places.minor[payee])).astype(np.int64)
        is_round = (rows["amount"] % step == 0) | (rows["received"] % step_received == 0)
        np.add.at(self.round, (origin[told], is_round[told].astype(np.int64)), 1)

    def effective_payers(self, name: str) -> float:
        """How many independent payers a share over a population's payments is worth."""
        return independent(self.by_payer[self.world.people.of(name)])

    def theme_share(self, name: str, themes: tuple[str, ...]) -> float:
        """The share of a source's payments whose reference is of one of ``themes``; ``none`` is no reference.

        Themes share a few texts' wording but no text, so that a share is exact.
        """
        row, words = self.texts[source(name)], self.world.words
        chosen = sum(int(row[-1]) if theme == "none" else int(row[words.themes[theme]].sum()) for theme in themes)
        return chosen / max(1, int(row.sum()))

    @property
    def cross_border_payers(self) -> int:
        """Payers that pay abroad."""
        return int((self.world.people.population != DOMESTIC_ONLY).sum())


def independent(counts: Ints) -> float:
    """How many independent things a share is worth that is taken over ``counts`` of each: ``(sum n)^2 / sum n^2``."""
    n = counts.astype(np.float64)
    return float(n.sum() ** 2 / max(1.0, (n**2).sum()))
