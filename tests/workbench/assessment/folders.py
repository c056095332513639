"""Folders of payments and truth, made by hand, and a ranker whose word is plain to see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson

from models.kinds.kind import Share
from models.measures import Floats
from services.runtime.settings import load_settings
from services.scorer.path.features.registry import INDEX
from services.scorer.rulebook.ruleset_file import load_ruleset
from services.workbench.assessment.rankers import Ranker, Tell
from services.workbench.assessment.replayed import Batch, Labelled
from services.workbench.assessment.sources import Folder
from services.workbench.assessment.streams import assess_streams

START_MS = 1_750_000_000_000
RULESET = load_ruleset(load_settings())


class ByAmount:
    """Ranks both sides of a payment by its amount in EUR, and remembers what it was taught."""

    variants = ("amount",)
    of_subjects = False

    def __init__(self) -> None:
        self.taught: list[tuple[str, int, int]] = []
        """Of each stream: its name, its payments, and those of positive payers among them."""

    def learn(self, streams: Sequence[Labelled], tell: Tell, share: Share) -> None:
        """As ``Ranker``."""
        for stream in streams:
            flags = [stream.truth.positive[batch.lines[:, 0]] for batch in stream.batches(share)]
            self.taught.append((stream.name, sum(map(len, flags)), int(sum(each.sum() for each in flags))))

    def begin(self) -> None:
        """As ``Ranker``."""

    def take(self, batch: Batch) -> Mapping[str, Floats]:
        """As ``Ranker``."""
        return {"amount": np.repeat(batch.features[:, [INDEX["amount"]]], 2, axis=1)}


def payment(number: int, payer: str, payee: str, amount: float, country: str = "PH", **more: Any) -> bytes:
    """A line of ``payments.ndjson``, from Germany to ``country``: an hour after the one before."""
    return orjson.dumps(
        {
            "payment_id": f"p{number}",
            "event_time_ms": START_MS + number * 3_600_000,
            "amount_minor": round(amount * 100),
            "currency": "EUR",
            "payer": {"account": payer, "country": "DE"},
            "payee": {"account": payee, "country": country},
            **more,
        }
    )


def account(
    role: str,
    name: str,
    positive: bool = False,
    kind: str = "diaspora",
    world: int = 0,
    more: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """A line of ``truth.ndjson``, with ``more`` fields."""
    return orjson.dumps({"role": role, "account": name, "positive": positive, "class": kind, "world": world, **more})


def folder(path: Path, payments: Iterable[bytes], truth: Iterable[bytes]) -> Path:
    """A folder of these lines."""
    path.mkdir()
    (path / "payments.ndjson").write_bytes(b"".join(line + b"\n" for line in payments))
    (path / "truth.ndjson").write_bytes(b"".join(line + b"\n" for line in truth))
    return path


def assessed(path: Path, ranker: Ranker | None = None, learned: Iterable[Path] = ()) -> dict[str, Any]:
    """The result of a folder."""
    taught = [Folder(each) for each in learned]
    rankers = [ranker or ByAmount()]
    return assess_streams([Folder(path)], taught, rankers, RULESET, lambda doing: None, lambda share: None)
