"""Choose: temperatures, and how sure an early answer must be, fitted on dev rows through the exported graphs.

- Temperatures (Guo et al. 2017): one for each exit, over the rows of all languages that earn their name on the card,
  then a factor for each family of these (`Card.warmth`), each by the likelihood of the labels.
- The threshold: the expected loss of the served answers is the share of wrong labels where all classes are equally
  likely (1 - macro recall), the mean of the three main sets. It falls as more texts go on. The cheapest threshold is
  taken that, like every dearer one, loses at most `SLACK` against the one where all go on: so a text is spared the
  upper half where that half would add next to nothing. (By likelihood a third fewer would go on.)

Knows nothing of training. The figures of a fit on the rows that it is judged by are a little too good: the card gives
those of a fit on one half of the rows, judged on the other, beside them (`crossed`). Translations of one sentence may
stand in both halves, so these too are a little too good in the regional languages.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.early import EarlyScorer
from models.quality import Claims, Judged
from models.recipes.data import Row, labelled
from models.recipes.whole import write_json
from models.registry import loaded
from models.report import family, standing
from models.transformer import TransformerScorer, padded, planned

Array = npt.NDArray[np.float64]
MAIN = ("tweeteval-en", "smsa-id", "nusax-id")
TEMPERATURES = np.round(np.arange(0.5, 3.001, 0.02), 2)
THRESHOLDS = np.round(np.arange(0.34, 1.0, 0.01), 2)
SLACK = 0.0007  # of the share of wrong labels: what the budget of 2.5 times the speed of twelve layers allows


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of the dev rows: logits of each exit, (exits, rows, 3), and what is right."""

    logits: Array
    labels: npt.NDArray[np.int64]
    sets: npt.NDArray[Any]  # "source-language" of each row
    langs: npt.NDArray[Any]

    def named(self) -> frozenset[str]:
        """The languages that the last exit is good enough for."""
        last = shares(self.logits[-1], 1.0)
        found = set()
        for lang in np.unique(self.langs):
            rows = self.langs == lang
            judged = Judged(self.labels[rows].astype(np.int8), last[rows].argmax(-1).astype(np.int8), last[rows])
            found |= {str(lang)} if standing(judged).named else set()
        return frozenset(found)


def answers(scorer: TransformerScorer, rows: Sequence[Row]) -> Answers:
    """Of a model that was just exported, every exit for every row."""
    ids = scorer.encoded([row.text for row in rows])
    exits = 2 if isinstance(scorer, EarlyScorer) else 1
    logits = np.zeros((exits, len(ids), 3))
    for batch in planned(ids):
        filled, mask = padded([ids[at] for at in batch], scorer.card.pad)
        if isinstance(scorer, EarlyScorer):
            logits[0, batch], hidden = scorer.lower(filled, mask)
            logits[1, batch] = scorer.upper(hidden, mask)
        else:
            logits[0, batch] = scorer.logits(filled, mask)
    return Answers(logits, np.array([row.label for row in rows]),
                   np.array([f"{row.source}-{row.lang}" for row in rows]), np.array([row.lang for row in rows]))


def shares(logits: Array, temperature: float) -> Array:
    """Probabilities, (rows, 3)."""
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    out: Array = powers / powers.sum(-1, keepdims=True)
    return out


def losses(probabilities: Array, labels: npt.NDArray[np.int64]) -> Array:
    """Negative log-likelihood of each row."""
    out: Array = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-9))
    return out


def temperature(logits: Array, labels: npt.NDArray[np.int64]) -> float:
    """The one under which the labels are likeliest."""
    return float(min(TEMPERATURES, key=lambda t: losses(shares(logits, t), labels).mean()))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was fitted."""

    temperatures: tuple[float, ...]  # by exit
    threshold: float  # 0 with one exit
    warmth: dict[str, float]  # by language

    def served(self, said: Answers) -> tuple[Array, npt.NDArray[np.bool_]]:
        """The probabilities that are served, (rows, 3), and which rows went on."""
        early = shares(said.logits[0], self.temperatures[0])
        goes_on = early.max(-1) < self.threshold
        late = shares(said.logits[-1], self.temperatures[-1])
        mixed = np.where(goes_on[:, None], late, early)
        factor = np.array([self.warmth.get(lang, 1.0) for lang in said.langs])[:, None]
        powers = mixed ** (1 / factor)
        return powers / powers.sum(-1, keepdims=True), goes_on


def fitted(said: Answers, fit: npt.NDArray[np.bool_], named: frozenset[str]) -> Choice:
    """Temperatures, threshold and warmth, from the rows of `fit` in languages that are named."""
    ours = fit & np.isin(said.langs, list(named))
    temperatures = tuple(temperature(one[ours], said.labels[ours]) for one in said.logits)
    threshold = 0.0
    if len(temperatures) > 1:
        loss = [expected(said, ours, Choice(temperatures, t, {})) for t in (*map(float, THRESHOLDS), 2.0)]
        worse = [at for at, one in enumerate(loss) if one > loss[-1] + SLACK]
        threshold = float(THRESHOLDS[min(worse[-1] + 1, len(THRESHOLDS) - 1)]) if worse else float(THRESHOLDS[0])
    plain = Choice(temperatures, threshold, {})
    served = np.log(np.maximum(plain.served(said)[0], 1e-12))
    of = np.array([family(lang) for lang in said.langs])
    warmth: dict[str, float] = {}
    for kin in sorted(map(family, named)):
        rows = ours & (of == kin)
        if rows.any():
            warmth |= dict.fromkeys((lang for lang in sorted(named) if family(lang) == kin),
                                    temperature(served[rows], said.labels[rows]))
    return Choice(temperatures, threshold, warmth)


def expected(said: Answers, ours: npt.NDArray[np.bool_], choice: Choice) -> float:
    """The share of wrong labels where classes are equally likely, the mean of the main sets that have rows."""
    wrong = choice.served(said)[0].argmax(-1) != said.labels
    there = [some for one in MAIN if (some := ours & (said.sets == one)).any()] or [ours]
    by_class = [[wrong[some & (said.labels == label)].mean() for label in np.unique(said.labels[some])]
                for some in there]
    return float(np.mean([np.mean(one) for one in by_class]))


def crossed(said: Answers, halves: npt.NDArray[np.bool_], named: frozenset[str]) -> float:
    """Calibration error where each half of the rows is served by a fit on the other half."""
    served = np.where(halves[:, None], fitted(said, ~halves, named).served(said)[0],
                      fitted(said, halves, named).served(said)[0])
    ours = np.isin(said.langs, list(named))
    judged = Judged(said.labels[ours].astype(np.int8), served[ours].argmax(-1).astype(np.int8), served[ours])
    return Claims.of_labels(judged).error() or 0.0


def choose(folder: Path, data: Path, name: str) -> None:
    """Writes the choice into the card of an exported folder."""
    said = answers(_bare(folder), labelled(data, "dev"))
    # A model of which no language is good enough, such as the recipe's miniature, is fitted to all.
    named = said.named() or frozenset(map(str, said.langs))
    halves = np.random.default_rng(1).random(len(said.labels)) < 0.5
    choice = fitted(said, np.ones(len(said.labels), bool), named)
    card = json.loads((folder / "card.json").read_text())
    card |= {"name": name, "temperature": choice.temperatures[0],
             "calibration_crossed": round(crossed(said, halves, named), 4), "warmth": choice.warmth}
    if "late" in card:
        goes_on = choice.served(said)[1]
        card["late"] |= {"threshold": choice.threshold, "temperature": choice.temperatures[1]}
        print(f"{name}: threshold {choice.threshold}, " + ", ".join(
            f"{100 * goes_on[said.sets == one].mean():.0f} % of {one} go on" for one in MAIN if one in said.sets))
    write_json(folder / "card.json", card)


def _bare(folder: Path) -> TransformerScorer:
    scorer = loaded(folder, folder.name, 1)
    assert isinstance(scorer, TransformerScorer)
    return scorer
