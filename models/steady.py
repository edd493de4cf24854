"""Steady: one text that breaks the model must not take its batch along, and a broken model must not poison texts.

A call that fails is tried once more; if it fails again, it is halved until the texts at fault stand alone. Before any
text is blamed, a text known to be good must still pass: if it does not, the model itself fails, which is `NoModel`.
Knows nothing of batches or queues.
"""

from collections.abc import Sequence
from itertools import count

from models.score import Card, NoModel, Score, Scorer

PROBE = "good"


class Steady:
    """Scores around poison. Confined to one thread, as its scorer is."""

    def __init__(self, scorer: Scorer, probe: str = PROBE) -> None:
        """`probe`: a text that a working model can score."""
        self._scorer = scorer
        self._probe = probe
        self._probes = count(1)

    @property
    def card(self) -> Card:
        """The card of the model within."""
        return self._scorer.card

    def score_or_poison(self, texts: Sequence[str]) -> list[Score | None]:
        """One score for each text, in order; None for a text on which the model fails. Raises `NoModel`."""
        if not texts:
            return []
        scores, error = self._tried(texts)
        if error is None:
            return list(scores)
        self._prove(error)
        if len(texts) == 1:
            return [None]
        middle = len(texts) // 2
        return self.score_or_poison(texts[:middle]) + self.score_or_poison(texts[middle:])

    def _tried(self, texts: Sequence[str]) -> tuple[list[Score], Exception | None]:
        """Two tries: memory may have been short for a moment."""
        failure: Exception | None = None
        for _ in range(2):
            try:
                return self._scorer.score(texts), None
            except NoModel:
                raise
            except Exception as error:  # whatever a runtime raises
                failure = error
        return [], failure

    def _prove(self, error: Exception) -> None:
        try:
            # A new text each time: a memo would answer for a model that is dead.
            self._scorer.score([f"{self._probe} {next(self._probes)}"])
        except Exception as probed:
            # The class only: what a runtime says of a text may quote it.
            kinds = f"{type(error).__name__}, then {type(probed).__name__}"
            raise NoModel(f"the model fails on every text ({kinds})") from None
