"""The subject model's learner: LightGBM over what is added up of subjects, a bag of ensembles for each side.

A bag, since cases are few: each ensemble sees other features at each tree, and their mean varies less from one set of
cases to the next (Breiman, *Bagging Predictors*, Machine Learning 24, 1996). What scores is compiled
(``services.scorer.path.scoring.subject_model``), and needs no LightGBM.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.kinds import boosting
from models.kinds.kind import Flags, Floats, Share
from models.kinds.lightgbm_text import compile_bag
from services.contract.errors import MissingExtra
from services.scorer.path.scoring.forest import Forest

ROUNDS, ROUNDS_OF_LEADS = 200, 80
BAG = 2
"""Ensembles of each side."""
PARAMETERS: dict[str, Any] = {
    **boosting.PARAMETERS,
    "num_leaves": 15,
    "max_depth": 6,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
}
OF_LEADS: dict[str, Any] = {
    **PARAMETERS,
    "num_leaves": 6,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.7,
}
"""Of the second round, which looks at a handful of features."""
DEFINITION: dict[str, Any] = {
    "kind": "subject_boosting",
    "rounds": [ROUNDS, ROUNDS_OF_LEADS],
    "bag": BAG,
    "first": PARAMETERS,
    "second": OF_LEADS,
}
"""All that decides what it makes of a set of rows, besides LightGBM's release."""


class Rows(NamedTuple):
    """What is learned of the subjects of one side."""

    features: NDArray[np.float32]
    """float32[n, S], which takes half the memory; NaN where missing."""
    positive: Flags
    weights: Floats


def fit_first(rows: Rows, names: tuple[str, ...], schema: str, share: Share, bag: int = BAG) -> Forest:
    """The first round's ensembles of a side as one forest, whose score is their mean; ``names`` of the S features,
    ``schema`` of their hash.

    Raises
    ------
    ImportError
        When LightGBM is not installed.
    ValueError
        When one of the two labels is missing.
    """
    return _fitted(rows, names, schema, share, (PARAMETERS, ROUNDS, bag))


def fit_second(rows: Rows, names: tuple[str, ...], schema: str, share: Share) -> Forest:
    """The same of the second round.

    Raises
    ------
    ImportError, ValueError
        As ``fit_first``.
    """
    return _fitted(rows, names, schema, share, (OF_LEADS, ROUNDS_OF_LEADS, BAG))


def _fitted(
    rows: Rows, names: tuple[str, ...], schema: str, share: Share, chosen: tuple[dict[str, Any], int, int]
) -> Forest:
    lightgbm = library()
    if rows.positive.all() or not rows.positive.any():
        raise ValueError("rows of both labels are needed")
    (parameters, rounds, bag), texts = chosen, []
    for at in range(bag):
        data = lightgbm.Dataset(
            rows.features, label=rows.positive.astype(np.float64), weight=rows.weights, feature_name=list(names)
        )
        seeded = {**parameters, "seed": parameters["seed"] + at}
        texts.append(lightgbm.train(seeded, data, num_boost_round=rounds).model_to_string())
        share((at + 1) / bag)
    return compile_bag(texts, 0, schema, names)


def shift_to(base_rate: float, rows: Rows) -> float:
    """What must be added to log-odds that were learned from ``rows`` where a share ``base_rate`` of subjects is
    positive (Elkan, *The Foundations of Cost-Sensitive Learning*, IJCAI 2001, theorem 2)."""
    learned = float((rows.weights * rows.positive).sum() / rows.weights.sum())
    return math.log(base_rate / (1.0 - base_rate)) - math.log(learned / (1.0 - learned))


def library() -> Any:
    """LightGBM.

    Raises
    ------
    MissingExtra
        When it is not installed, or cannot be loaded.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: without the OpenMP runtime that it links to
        raise MissingExtra("ranking subjects needs LightGBM: pip install 'tocsin[boosting]'") from error
    return lightgbm
