"""Score: what a model says of a text, and what is known of the model that says it.

Types only. Knows nothing of tokenizers, runtimes or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal, Protocol

import msgspec

Label = Literal["negative", "neutral", "positive"]
LABELS: tuple[Label, Label, Label] = ("negative", "neutral", "positive")


Positive = Annotated[float, msgspec.Meta(gt=0)]


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


def warmed(score: Score, warmth: float) -> Score:
    """The score as if the logits behind it had been divided by `warmth` as well: over 1 is less sure of itself.

    >>> warmed(Score(0.1, 0.1, 0.8), 2.0).label, round(warmed(Score(0.2, 0.0, 0.8), 2.0).positive, 3)
    ('positive', 0.667)
    """
    if warmth == 1.0:
        return score
    powers = [share ** (1 / warmth) for share in (score.negative, score.neutral, score.positive)]
    total = sum(powers)
    return Score(*(power / total for power in powers))


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """The second half of a network that can answer early: only the texts that the first half is unsure of go on.

    In the manner of DeeBERT (Xin et al. 2020).
    """

    file: str  # its graph, beside the first one: hidden states and mask in, logits out
    threshold: float  # a text whose greatest early probability is at least this has its answer
    temperature: Positive = 1.0  # of the late logits


Effort = Literal["fast", "balanced", "exact"]
EFFORTS: tuple[Effort, ...] = ("fast", "balanced", "exact")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model: enough to name it in a frame, to choose what it may score, and to trust it or not."""

    name: str
    revision: str = ""
    digest: str = ""  # SHA-256 of the weights (of both halves), hexadecimal; "" where nothing is pinned
    tokenizer_digest: str = ""  # SHA-256 of tokenizer.json
    languages: tuple[str, ...] = ()  # ISO 639-1 codes (639-3 where there is none) that may be scored; empty: all
    licence: str = ""
    base: str = ""
    labels: tuple[str, ...] = LABELS  # what each logit means, in the order of the logits
    max_tokens: Annotated[int, msgspec.Meta(ge=3)] = 96  # a longer text is cut; two are its ends
    temperature: Positive = 1.0  # logits, the early ones of two, are divided by it (Guo et al. 2017)
    warmth: dict[str, Positive] = {}  # by language: what to divide by as well, see `warmed`; not named: 1
    late: Late | None = None
    effort: Effort = "balanced"  # what goes on to the late answer: nothing, what the threshold says, everything
    pad: int = 1  # id of the padding piece
    normalised: bool = False  # trained on texts of `models.text.normalise`
    data: tuple[str, ...] = ()  # sources of the training rows, with their terms
    figures: dict[str, float] = {}  # quality, by measure and source
    batch_move: dict[str, float] = {}  # how far a score moves with the batch that it is scored in
    notes: tuple[str, ...] = ()

    @property
    def ruler(self) -> str:
        """What the model is known by in frames: two scores of one ruler can be compared.

        Weights alone do not make a ruler: a threshold or a temperature moves scores too.

        >>> card = Card(name="x", digest="0123456789abcdef", late=Late(file="late.onnx", threshold=0.8))
        >>> fast = msgspec.structs.replace(card, effort="fast")
        >>> card.ruler.startswith("x@"), fast.ruler == card.ruler + ":fast"
        (True, True)
        """
        scores = (self.digest, self.tokenizer_digest, self.labels, self.max_tokens, self.temperature,
                  sorted(self.warmth.items()), self.late, self.normalised)
        pace = f":{self.effort}" if self.late and self.effort != "balanced" else ""
        return f"{self.name}@{sha256(msgspec.json.encode(scores)).hexdigest()[:12]}{pace}"


class Scorer(Protocol):
    """A model at work. Confined to one thread: tokenizers break when shared."""

    @property
    def card(self) -> Card:
        """What is known of the model."""

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. Raises whatever the model raises; see `models.steady`."""
