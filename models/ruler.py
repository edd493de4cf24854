"""Ruler: a model as a judge of posts: which it may score, each text once, poison apart, warmed by language.

Two scores of one ruler can be compared: its name stands in every frame. For one thread at a time, but for `judge`,
which another thread may call. Knows nothing of Kafka, batches or what a text is for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.lang import Languages, Verdict
from models.memo import Memo
from models.score import Score, warmed
from models.steady import Steady

if TYPE_CHECKING:
    from models.score import Scorer


class Ruler:
    """A scorer with its language gate, its memory and its patience."""

    def __init__(self, scorer: "Scorer") -> None:
        """`scorer`: what `models.load` gives."""
        self.name = scorer.card.ruler
        self._scorer = scorer
        self._memo = Memo(scorer)
        self._steady = Steady(self._memo)
        self._languages = Languages(scorer.card)
        self._warmth = scorer.card.warmth

    def judge(self, text: str, declared: str | None) -> Verdict:
        """Which language a text is in, and whether the model may score it; `declared` is what its source says."""
        return self._languages.judge(text, declared)

    def scores(self, asked: Sequence[tuple[str, str]]) -> list[Score | None]:
        """One score for each text and its language; None: the model fails on this text alone. Raises `NoModel`."""
        scores = self._steady.score_or_poison([text for text, _ in asked])
        return [None if score is None else warmed(score, self._warmth.get(lang, 1.0))
                for score, (_, lang) in zip(scores, asked, strict=True)]

    @property
    def spared(self) -> int:
        """Texts so far that the model was not asked for: it had scored them before."""
        return self._memo.spared

    @property
    def tokens(self) -> int:
        """Tokens given to the model so far, by a scorer that counts them."""
        return int(getattr(self._scorer, "tokens", 0))
