"""The kinds of models, each declared whole. To add one: write its module beside, and a row here.

A kind that compiles to one of the forms that scorers read (``services.scorer.path.scoring.ensemble.FORMS``) needs
nothing else: lines of it are trained, announced, listed, shown and compared, and the workbench fits it.
"""

from __future__ import annotations

from models.kinds import adaptive_forest, anomaly, boosting, logistic, onnx
from models.kinds.kind import Kind

TABLE: tuple[Kind, ...] = (
    Kind(
        name="logistic",
        learner=logistic.LogisticOnline,
        state=logistic.LogisticState,
        defaults=logistic.DEFINITION,
        of_line=logistic.rivers_release,
        card=logistic.weights,
    ),
    Kind(
        name="adaptive_forest",
        learner=adaptive_forest.ForestOnline,
        defaults=adaptive_forest.DEFINITION,
        of_line=adaptive_forest.of_line,
    ),
    Kind(
        name="halfspace",
        learner=anomaly.AnomalyOnline,
        state=anomaly.AnomalyState,
        defaults=anomaly.DEFINITION,
        of_line=logistic.rivers_release,
        explains=False,
    ),
    Kind(
        name="boosting",
        learner=boosting.BoostingOnline,
        state=boosting.BoostingState,
        defaults=boosting.DEFINITION,
        of_line=boosting.of_line,
        packed_fit=boosting.packed_fit,
        fit=boosting.fit_table,
    ),
    Kind(
        name="onnx",
        scoring=onnx.scoring,
        check=onnx.check,
        explains=False,
        card=lambda _said, _about: [],
        limits=(onnx.BLACK_BOX,),
    ),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in TABLE}
FOLLOWED = "logistic"
"""What scorers follow as long as nothing is promoted."""
CHALLENGERS: tuple[str, ...] = tuple(kind.name for kind in TABLE if kind.learner and kind.name != FOLLOWED)
"""What a learner can train beside it."""
ON_TABLES: tuple[str, ...] = tuple(kind.name for kind in TABLE if kind.learner and kind.explains)
"""What the workbench can fit to a data set."""
