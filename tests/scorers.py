"""Scorers for tests: real scoring by a rule one can see, and ways for it to fail."""

from collections.abc import Callable, Sequence

from models.score import Card, Score


class RuleScorer:
    """Scores by the share of two letters; remembers what it was asked; fails where told to."""

    def __init__(self, fails: Callable[[Sequence[str]], Exception | None] = lambda _: None,
                 normalised: bool = True) -> None:
        self.card = Card(name="rule", languages=("id", "en"), normalised=normalised)
        self.calls: list[list[str]] = []
        self._fails = fails

    def score(self, texts: Sequence[str]) -> list[Score]:
        """One score a text, or the error of the rule."""
        self.calls.append(list(texts))
        if error := self._fails(texts):
            raise error
        return [rule(text) for text in texts]


def rule(text: str) -> Score:
    """Positive by its a's, negative by its e's."""
    ups, downs = text.count("a"), text.count("e")
    return Score(downs / (ups + downs + 1), 1 / (ups + downs + 1), ups / (ups + downs + 1))
