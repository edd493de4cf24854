"""Memo: the same text is scored once, within a call and, while it is remembered, across calls.

Live posts repeat: reposts, slogans, spam. What is kept is a digest of each text and its score, never the text.
Knows nothing of models; it is a scorer around a scorer.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b

from models.score import Card, Score, Scorer
from models.text import read

SIZE = 32_768  # texts; about 8 MB


class Memo:
    """A scorer that asks another one only for what it has not seen. Confined to one thread, as that one is."""

    def __init__(self, scorer: Scorer, size: int = SIZE) -> None:
        """`size`: texts that are remembered."""
        self._scorer = scorer
        self._size = size
        # Texts of one key share a score: the key must be no coarser than what the model reads.
        self._key: Callable[[str], str] = partial(read, card=scorer.card)
        self._known: OrderedDict[bytes, Score] = OrderedDict()  # the longest unused first
        self.asked = 0  # texts so far
        self.spared = 0  # of these, texts that the model was not asked for

    @property
    def card(self) -> Card:
        """The card of the model within."""
        return self._scorer.card

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. Raises what the model raises; then nothing is remembered of the call."""
        keys = [blake2b(self._key(text).encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new:
            found |= zip(new, self._scorer.score(list(new.values())), strict=True)
        self.asked += len(texts)
        self.spared += len(texts) - len(new)
        self._remember(found)
        return [found[key] for key in keys]

    def _remember(self, found: dict[bytes, Score]) -> None:
        for key, score in found.items():
            self._known[key] = score
            self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
