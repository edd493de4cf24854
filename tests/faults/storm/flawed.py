"""Flawed: `denyut work score` with a model that fails on purpose; everything else is the worker's own.

    STORM_FLAG=FILE python -m tests.faults.storm.flawed work score

While the file is there the model fails on every text; on a text that holds POISON it always does.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import models
from models.score import Card, Score, Scorer
from streams.cli import main

POISON = "racunmesin"
FLAG = "STORM_FLAG"


class Flawed:
    """A scorer that fails where it is told to."""

    def __init__(self, scorer: Scorer, flag: Path) -> None:
        self._scorer = scorer
        self._flag = flag

    @property
    def card(self) -> Card:
        """The card of the model within."""
        return self._scorer.card

    def score(self, texts: Sequence[str]) -> list[Score]:
        """The model's scores. Raises `RuntimeError`, as a runtime would."""
        if self._flag.exists() or any(POISON in text for text in texts):
            raise RuntimeError("this model fails on purpose")
        return self._scorer.score(texts)


def _run() -> None:
    load, flag = models.load, Path(os.environ[FLAG])

    def flawed(name: str = "", *, threads: int = 1, effort: models.Effort = "balanced") -> Scorer:
        return Flawed(load(name, threads=threads, effort=effort), flag)

    models.load = flawed
    main()


if __name__ == "__main__":
    _run()
