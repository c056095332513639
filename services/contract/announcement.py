"""Models in ``models.v1``: what a record there says, and the one place where it is read, by whoever follows them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.contract.codec import TOPIC_BYTES_MAX, Rejection, read
from services.contract.fields import Count, EventTimeMs, LineName, ReviewProbability, Sha256, Token, Version

CHAMPION = b"champion"
"""Key of the promotion among announcements in ``models.v1``; theirs hold a slash."""
REASON = "announcement_invalid"


class OnnxGraph(Struct, frozen=True):
    """A graph in the ONNX format, kept as a file in the registry: which one, and how it is asked."""

    sha256: Sha256
    """Of the file's bytes; it is also the file's name."""
    input: Token
    """float32 or float64 [n, features] in canonical order, natural units, NaN where missing."""
    output: Token
    """Probability of suspicious, [n] or [n, 1], or of not suspicious and suspicious, [n, 2]."""


Kind = Literal["logistic", "boosting", "adaptive_forest", "halfspace", "onnx"]
"""What a model is: how its parameters are read, and what they mean."""


class ModelAnnouncement(Struct, frozen=True, omit_defaults=True):
    """A model that scorers can load: its identity, and its parameters as flat arrays."""

    name: LineName
    version: Count
    model_hash: Sha256
    feature_schema_hash: Sha256
    kind: Kind
    review_probability: ReviewProbability
    """The operating threshold: decisions at or above it go to review."""
    examples_offset: Count
    """The model is what learning ``examples.v1`` up to, not including, this offset gives; 0 if of a data set."""
    trained_event_time_ms: EventTimeMs
    """Latest label time among its examples."""
    bias: float = 0.0
    weights: tuple[float, ...] = ()
    """``weights``, ``means`` and ``scales``, and ``bias``: of a logistic model, one for each feature."""
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    """Standard deviations; 0 switches a feature off."""
    forest: bytes = b""
    """Of a boosted ensemble: its trees, as ``services.scorer.path.scoring.forest`` packs them, in base64."""
    correction: bytes = b""
    """Of a boosted ensemble with a corrector: the latter, packed likewise."""
    challenger: bool = False
    """Nobody scores with it unless it is promoted."""
    votes: bytes = b""
    """Of an adaptive forest: its trees, as ``services.scorer.path.scoring.votes`` packs them, in base64."""
    halfspace: bytes = b""
    """Of an anomaly model: its half-space trees, as ``services.scorer.path.scoring.halfspace`` packs them, in base64.
    Its ``review_probability`` is a score of its own, no probability, and nobody decides with it."""
    onnx: OnnxGraph | None = None
    """Of the kind ``onnx``, which is a challenger only: it has no contributions, so no reasons to show."""


class Promotion(Struct, frozen=True, omit_defaults=True):
    """Which model scores, by people's choice: the one record at the key ``champion`` of ``models.v1``. While there is
    none, or after a tombstone, the model announced last does."""

    champion: ModelAnnouncement
    before: tuple[Version, ...] = ()
    """The champions before it, ``name/version``, the latest last: what a rollback goes back to."""


def read_announced(key: bytes | None, value: bytes | None) -> ModelAnnouncement | Promotion | Rejection | None:
    """The announcement in a record of ``models.v1``, or the promotion; ``None`` where its key says nothing any more.

    No input raises, and the detail of a rejection repeats nothing of the record.

    >>> read_announced(CHAMPION, None)
    >>> read_announced(CHAMPION, b"{}")
    Rejection(reason='announcement_invalid', field='champion', detail='Object missing required field `champion`')
    """
    if value is None:
        return None
    if key == CHAMPION:
        return read(value, Promotion, REASON, TOPIC_BYTES_MAX)
    return read(value, ModelAnnouncement, REASON, TOPIC_BYTES_MAX)


def model_of(said: ModelAnnouncement | Promotion) -> ModelAnnouncement:
    """The model that a record of ``models.v1`` carries, be it an announcement or the promotion."""
    return said.champion if isinstance(said, Promotion) else said
