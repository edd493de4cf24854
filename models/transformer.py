"""Transformer: what every back end does around its model: texts to tokens, tokens to batches, logits to scores.

Knows nothing of onnxruntime, torch, files or cards' origins.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.batch import plan
from models.score import LABELS, Card, Score
from models.text import read

Ids = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]

# Larger batches leave the cache of a core, smaller ones waste its width: measured on a 6-layer model, 32 was best.
BATCH_TOKENS, BATCH_POSTS = 1024, 32
AT_ONCE = 1024  # texts that are sorted by length together; hidden states of more would fill the memory


class TransformerScorer(ABC):
    """A scorer; a back end adds `logits`. Confined to one thread: a fast tokenizer that is shared raises."""

    def __init__(self, card: Card, tokenizer: Any) -> None:
        """`tokenizer`: one of transformers' fast ones, or what answers like one (`models.pieces`)."""
        self._card = card
        self._tokenizer = tokenizer
        self.tokens = 0  # that the model has read so far, padding apart

    @property
    def card(self) -> Card:
        """What is known of the model."""
        return self._card

    @abstractmethod
    def logits(self, ids: Ids, mask: Ids) -> Logits:
        """(batch, labels) of (batch, tokens); mask is 1 for a token, 0 for padding."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. Raises ValueError where the model gives no number."""
        return [score for at in range(0, len(texts), AT_ONCE)
                for score in self.judged(self.encoded(texts[at:at + AT_ONCE]))]

    def judged(self, ids: Sequence[Sequence[int]]) -> list[Score]:
        """One score for each text of tokens, in order."""
        scores: dict[int, Score] = {}
        for batch in planned(ids):
            filled, mask = padded([ids[at] for at in batch], self._card.pad)
            self.tokens += int(mask.sum())
            scores |= zip(batch, scored(self.logits(filled, mask), self._card), strict=True)
        return [scores[at] for at in range(len(ids))]

    def encoded(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        seen = [read(text, self._card) for text in texts]
        encoded = self._tokenizer(seen, truncation=True, max_length=self._card.max_tokens, padding=False,
                                  return_attention_mask=False, return_token_type_ids=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids


def planned(texts: Sequence[Any]) -> list[list[int]]:
    """Which texts (of tokens, or of what became of them) share a batch."""
    return plan([len(one) for one in texts], BATCH_TOKENS, BATCH_POSTS)


def padded(ids: Sequence[Sequence[int]], pad: int) -> tuple[Ids, Ids]:
    """Ids and mask, (batch, longest).

    >>> [array.tolist() for array in padded([[5], [6, 7]], pad=1)]
    [[[5, 1], [6, 7]], [[1, 0], [1, 1]]]
    """
    longest = max(map(len, ids))
    mask = (np.arange(longest)[None, :] < np.array([len(one) for one in ids])[:, None]).astype(np.int64)
    filled = np.full(mask.shape, pad, np.int64)
    filled[mask == 1] = np.concatenate([np.asarray(one, np.int64) for one in ids])
    return filled, mask


def scored(logits: Logits, card: Card, temperature: float | None = None) -> list[Score]:
    """Softmax of (batch, labels) in the card's order of labels; a class that the model lacks has probability 0.

    `temperature`: instead of the card's.
    """
    if logits.shape[1:] != (len(card.labels),) or not np.isfinite(logits).all():
        raise ValueError(f"{card.name}: expected {len(card.labels)} finite logits a text, got shape {logits.shape}")
    warm = logits.astype(np.float64) / (card.temperature if temperature is None else temperature)
    powers = np.exp(warm - warm.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    ours = np.zeros((len(shares), len(LABELS)))
    ours[:, [LABELS.index(label) for label in card.labels]] = shares
    return [Score(*row) for row in ours.tolist()]
