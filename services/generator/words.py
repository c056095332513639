"""Reference texts: plain words, opaque handles, neutral lexicon tokens. Until written, a reference is a number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from services.generator.chance import Choice, Floats, Generator, Ints, choice_of
from services.generator.parameters import Parameters

NO_REFERENCE = -1
_NUMBER_BITS = 24


class Words:
    """All texts of a run, and how to draw them by theme.

    A reference is ``text << 24 | number``; the number fills the text's ``{}``, if it has one.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.texts: list[str] = []
        self.themes: dict[str, Ints] = {}
        """The texts of each theme, by their place in ``texts``."""
        themes = {**parameters.words, "unique": ("{}",)}
        for theme, texts in themes.items():
            self.themes[theme] = np.arange(len(self.texts), len(self.texts) + len(texts))
            self.texts += texts
        basic = ("food", "medical", "school", "housing", "family")
        self.themes["excuse"] = np.concatenate([self.themes[theme] for theme in basic])
        self._names = [*self.themes, "none"]

    def chooser(self, shares: Mapping[str, float]) -> Choice:
        """The choice of themes that ``shares`` describe; give it to ``draw``."""
        return choice_of(self._names, shares)

    def draw(self, rng: Generator, chooser: Choice, n: int) -> Ints:
        """``n`` references, ``NO_REFERENCE`` for the theme ``none``."""
        themes = chooser.draw(rng, n)
        which: Floats = rng.random(n)
        numbers = rng.integers(0, 1 << _NUMBER_BITS, n)
        references = np.full(n, NO_REFERENCE, dtype=np.int64)
        for code in np.unique(themes).tolist():
            texts = self.themes.get(self._names[code])
            if texts is None:
                continue
            mask = themes == code
            chosen = texts[(which[mask] * len(texts)).astype(np.int64)]
            references[mask] = chosen << _NUMBER_BITS | numbers[mask]
        return references

    def one(self, rng: Generator, shares: Mapping[str, float]) -> int:
        """One reference."""
        return int(self.draw(rng, self.chooser(shares), 1)[0])

    def of_theme(self, rng: Generator, theme: str, n: int = 1) -> Ints:
        """``n`` references of one theme."""
        return self.draw(rng, self.chooser({theme: 1.0}), n)

    def text(self, reference: int) -> str:
        """The text of a reference.

        >>> from services.generator.parameters import shipped_parameters
        >>> words = Words(shipped_parameters())
        >>> words.text(words.texts.index("invoice {}") << 24 | 4711)
        'invoice 4711'
        """
        text = self.texts[reference >> _NUMBER_BITS]
        if "{}" not in text:
            return text
        return text.replace("{}", f"{reference & (1 << _NUMBER_BITS) - 1}")
