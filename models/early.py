"""Early: a network that answers after its lower half where it is sure, and asks its upper half where it is not.

Most posts are easy. The halves share their weights, so a text that goes on loses nothing; those that do are batched
anew, by length. The scales in both graphs are fixed, so neither a score nor the choice of exit depends on company.
Knows nothing of onnxruntime, files or how a threshold is chosen (`models.recipes.choose`).
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.score import Card, Late, Score
from models.transformer import Ids, Logits, TransformerScorer, padded, planned, scored

Hidden = npt.NDArray[np.float32]


class EarlyScorer(TransformerScorer):
    """A scorer of two halves; a back end adds `lower` and `upper`."""

    def __init__(self, card: Card, late: Late, tokenizer: Any) -> None:
        """`late`: the card's, which must have one."""
        super().__init__(card, tokenizer)
        self._late = late
        self._sure = {"fast": 0.0, "balanced": late.threshold, "exact": 2.0}[card.effort]
        self.asked_late = 0  # texts so far that went on
        self.asked = 0  # texts so far

    @abstractmethod
    def lower(self, ids: Ids, mask: Ids) -> tuple[Logits, Hidden]:
        """Early logits, (batch, labels), and hidden states, (batch, tokens, width)."""

    @abstractmethod
    def upper(self, hidden: Hidden, mask: Ids) -> Logits:
        """Late logits, (batch, labels)."""

    def logits(self, ids: Ids, mask: Ids) -> Logits:
        """The late ones of every text."""
        return self.upper(self.lower(ids, mask)[1], mask)

    def judged(self, ids: Sequence[Sequence[int]]) -> list[Score]:
        """One score for each text of tokens, in order: the early one where it is sure enough."""
        scores: dict[int, Score] = {}
        waiting: dict[int, Hidden] = {}
        for batch in planned(ids):
            filled, mask = padded([ids[at] for at in batch], self._card.pad)
            self.tokens += int(mask.sum())
            logits, hidden = self.lower(filled, mask)
            for at, score, states in zip(batch, scored(logits, self._card), hidden, strict=True):
                if max(score.negative, score.neutral, score.positive) >= self._sure:
                    scores[at] = score
                else:
                    waiting[at] = states[:len(ids[at])].copy()  # a view would keep its whole batch
        self.asked += len(ids)
        self.asked_late += len(waiting)
        return [one for _, one in sorted((scores | self._answered_late(waiting)).items())]

    def _answered_late(self, waiting: dict[int, Hidden]) -> dict[int, Score]:
        order, states = list(waiting), list(waiting.values())
        scores: dict[int, Score] = {}
        for batch in planned(states):
            filled, mask = stacked([states[at] for at in batch])
            late = scored(self.upper(filled, mask), self._card, self._late.temperature)
            scores |= zip((order[at] for at in batch), late, strict=True)
        return scores


def stacked(states: Sequence[Hidden]) -> tuple[Hidden, Ids]:
    """Hidden states of some texts, each (its tokens, width), as (batch, longest, width), and their mask.

    >>> [array.shape for array in stacked([np.ones((2, 4), np.float32), np.ones((3, 4), np.float32)])]
    [(2, 3, 4), (2, 3)]
    """
    longest = max(map(len, states))
    filled = np.zeros((len(states), longest, states[0].shape[1]), np.float32)
    mask = np.zeros((len(states), longest), np.int64)
    for at, one in enumerate(states):
        filled[at, :len(one)] = one
        mask[at, :len(one)] = 1
    return filled, mask
