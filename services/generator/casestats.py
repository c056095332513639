"""What planned payments show together: monthly totals of twins, and the bounds of a victim's payments."""

from __future__ import annotations

import numpy as np

from services.contract.units import HOUR_MS
from services.generator.accounts import PAYER, account
from services.generator.people import World
from services.generator.rows import TYPOLOGIES, Rows, source
from services.generator.twins import monthly_totals


class PlannedStatistics:
    """Sums over the planned ``rows`` of a world; ``persons`` joins the accounts of one payer."""

    def __init__(self, world: World, rows: Rows, persons: dict[int, int]) -> None:
        self._world, self._rows, self._persons = world, rows, persons

    def code(self, typology: str) -> int:
        """The code of a typology."""
        return TYPOLOGIES.index(typology)

    def months_unlike(self) -> int:
        """Months in which a twin does not send what its LSAC payer sends."""
        rows, configuration = self._rows, self._world.configuration
        lsac = monthly_totals(configuration, rows[rows["source"] == source("lsac")], self._persons)
        twins = monthly_totals(configuration, rows[rows["source"] == source("lsac_twin")], {})
        unlike = 0
        for twin in self._world.people.of("lsac_twin").tolist():
            wanted = lsac.get(int(account(PAYER, int(self._world.people.twin_of[twin]))), {})
            sent = twins.get(int(account(PAYER, twin)), {})
            unlike += sum(wanted.get(month) != sent.get(month) for month in {*wanted, *sent})
        return unlike

    def fsec_largest(self) -> tuple[float, float, float]:
        """The largest first payment (EUR), total (EUR) and span (hours) of a victim of extortion."""
        rows = self._rows[self._rows["typology"] == self.code("fsec")]
        eur = self._world.places.eur_of(rows)
        first = total = hours = 0.0
        for payer in np.unique(rows["payer"]).tolist():
            mine = rows["payer"] == payer
            times = rows["time"][mine]
            first, total = max(first, float(eur[mine][0])), max(total, float(eur[mine].sum()))
            hours = max(hours, float(times.max() - times.min()) / HOUR_MS)
        return first, total, hours
