"""Score: what a model says of a text, and what is known of the model that says it.

Types only. Knows nothing of tokenizers, runtimes or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

Label = Literal["negative", "neutral", "positive"]
LABELS: tuple[Label, Label, Label] = ("negative", "neutral", "positive")


class NoModel(Exception):
    """The model cannot be loaded, or fails as a whole: no text is to blame."""


@dataclass(frozen=True, slots=True)
class Score:
    """Three probabilities that sum to 1.

    >>> Score(0.1, 0.2, 0.7).label, round(Score(0.1, 0.2, 0.7).score, 3)
    ('positive', 0.6)
    """

    negative: float
    neutral: float
    positive: float

    @property
    def score(self) -> float:
        """Mood from -1 (negative) to 1 (positive)."""
        return self.positive - self.negative

    @property
    def label(self) -> Label:
        """The most probable class; of equals, the first of negative, neutral, positive."""
        return max(zip(LABELS, (self.negative, self.neutral, self.positive), strict=True), key=lambda pair: pair[1])[0]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model: enough to name it in a frame, to choose what it may score, and to trust it or not."""

    name: str
    revision: str = ""
    digest: str = ""  # SHA-256 of the weights, hexadecimal; "" where nothing is pinned
    tokenizer_digest: str = ""  # SHA-256 of tokenizer.json
    languages: tuple[str, ...] = ()  # ISO 639-1 codes (639-3 where there is none) that may be scored; empty: all
    licence: str = ""
    base: str = ""
    labels: tuple[str, ...] = LABELS  # what each logit means, in the order of the logits
    max_tokens: int = 96  # a longer text is cut
    temperature: float = 1.0  # logits are divided by it (Guo et al. 2017)
    pad: int = 1  # id of the padding piece
    normalised: bool = False  # trained on texts of `models.text.normalise`
    data: tuple[str, ...] = ()  # sources of the training rows, with their terms
    figures: dict[str, float] = {}  # quality, by measure and source
    batch_move: dict[str, float] = {}  # how far a score moves with the batch that it is scored in
    notes: tuple[str, ...] = ()


class Scorer(Protocol):
    """A model at work. Confined to one thread: tokenizers break when shared."""

    @property
    def card(self) -> Card:
        """What is known of the model."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. Raises whatever the model raises; see `models.steady`."""
