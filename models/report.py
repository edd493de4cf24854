"""Report: the quality of a model and how it was made, as its card.json has it under `report`.

Percent for recalls, F1 and shares of rows; calibration errors as fractions of 1 (of labels) and of the score's unit.
Every part may be missing: older cards have none, and what one step does not measure another one fills in.
Knows nothing of how any of it is measured or shown.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import msgspec

from models.lang import MALAY_LIKE
from models.quality import (
    ABSTAINED,
    MIXES,
    Bin,
    Claims,
    Figure,
    Judged,
    bootstrapped,
    confusion,
    f1s,
    macro_f1,
    macro_recall,
    mixed,
    recalls,
    remixed,
)
from models.score import LABELS, NoModel

# Macro F1 of three classes on dev. Half of what is called at random is 33; published models of the seven languages of
# UMSAB have 69 on average (XLM-T); below 65 a mood says more of the model than of the public. The whole interval must
# reach it: a language of a hundred dev rows has luck of eight points either way.
FLOOR = 65.0


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows of one source and language, or of one language."""

    rows: int
    abstained: int
    recall: Figure  # macro
    f1: Figure  # macro
    classes: dict[str, float] = {}  # recall of each class that occurs
    confusion: list[list[int]] = []  # expected negative, neutral, positive; said the same, then abstained
    label_error: float | None = None
    score_error: float | None = None


class Standing(msgspec.Struct, frozen=True):
    """A language judged by itself, without the gate."""

    rows: int
    f1: Figure
    named: bool
    why: str


class Mix(msgspec.Struct, frozen=True):
    """A set whose rows count so that its classes have other shares."""

    recall: Figure
    f1: Figure
    label_error: float | None = None


class Reliability(msgspec.Struct, frozen=True):
    """What probabilities and scores are worth, in one family of languages."""

    rows: int
    label_error: float | None
    score_error: float | None
    labels: list[Bin]
    scores: list[Bin]


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the score (-1 to 1) of a text scored alone is from its score among others."""

    texts: int
    mean: float
    p95: float
    largest: float
    other_labels: float  # percent of the texts
    exit_flips: float | None = None  # percent that another half of the network answers; None with one half


class Behaviour(msgspec.Struct, frozen=True):
    """One capability of the hand-written cases."""

    cases: int
    failed: int


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """A way to build the model that was measured beside the one that is shipped."""

    name: str
    mb: float | None = None
    posts_per_s: float | None = None  # on one core
    ratio: float | None = None  # of these to those of the plain 12-layer model
    figures: dict[str, float] = {}  # by set


class Making(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has to be run to get these weights again."""

    command: str = ""
    hours: float | None = None
    hardware: str = ""
    seeds: list[int] = []
    knobs: dict[str, Any] = {}
    minutes: dict[str, float] = {}  # by step


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is known of the quality of a model; sets are named "source-language"."""

    effort: str = ""  # that the figures were measured with
    cells: dict[str, Cell] = {}  # as served: through the language gate, the language declared
    ungated: dict[str, Figure] = {}  # macro F1 with every text scored
    languages: dict[str, Standing] = {}
    mixes: dict[str, dict[str, Mix]] = {}
    reliability: dict[str, Reliability] = {}  # by family: en, id, regional, other; and of all
    going_on: dict[str, float] = {}  # percent of the texts that the upper half answers, by set
    batch: Batch | None = None
    behaviour: dict[str, Behaviour] = {}
    variants: list[Variant] = []
    making: Making | None = None
    weaknesses: list[str] = []
    sizes: dict[str, float] = {}  # MB of each file


class _File(msgspec.Struct):
    report: Report = Report()


def report_of(folder: Path) -> Report:
    """The report in a folder's card.json; an empty one without it. Raises `NoModel` if it is none."""
    path = folder / "card.json"
    if not path.is_file():
        return Report()
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).report
    except msgspec.MsgspecError as error:
        raise NoModel(f"{path}: {error}") from error


def cell(judged: Judged) -> Cell:
    """Everything that is said of some rows; there must be one at least."""
    table = confusion(judged)
    return Cell(
        rows=len(judged), abstained=int((judged.said == ABSTAINED).sum()),
        recall=bootstrapped(table, len(judged), macro_recall), f1=bootstrapped(table, len(judged), macro_f1),
        classes={label: round(float(one), 2) for label, one in zip(LABELS, recalls(table), strict=True)
                 if not isnan(one)},
        confusion=table.astype(int).tolist(), label_error=_short(Claims.of_labels(judged).error()),
        score_error=_short(Claims.of_scores(judged).error()))


def standing(judged: Judged) -> Standing:
    """Whether a language may be scored: three classes, and a macro F1 that surely reaches `FLOOR`."""
    table = confusion(judged)
    figure = bootstrapped(table, len(judged), macro_f1)
    lacking = [label for label, one in zip(LABELS, f1s(table), strict=True) if isnan(one)]
    if lacking:
        return Standing(len(judged), figure, False, f"no row is {' or '.join(lacking)}")
    good = figure.low >= FLOOR
    return Standing(len(judged), figure, good, f"{'' if good else 'not '}surely at least {FLOOR:.0f}")


def mixes(judged: Judged) -> dict[str, Mix]:
    """The rows as they are and under each mix of `MIXES`; nothing where a class does not occur."""
    found = {"as found": Mix(*_figures(confusion(judged), len(judged)), _short(Claims.of_labels(judged).error()))}
    for name, mix in MIXES.items():
        weights = mixed(judged, mix)
        if weights is None:
            return {}
        error = Claims.of_labels(judged, weights).error()
        found[name] = Mix(*_figures(confusion(judged), len(judged), mix), _short(error))
    return found


def _figures(table: Any, rows: int, mix: Sequence[float] | None = None) -> tuple[Figure, Figure]:
    """Drawn as they are, then weighted: a class that is made frequent has no more rows for it."""
    def recall(drawn: Any) -> Any:
        return macro_recall(drawn if mix is None else remixed(drawn, mix))

    def f1(drawn: Any) -> Any:
        return macro_f1(drawn if mix is None else remixed(drawn, mix))

    return bootstrapped(table, rows, recall), bootstrapped(table, rows, f1)


def reliability(judged: Judged) -> Reliability:
    """Of the rows that got an answer."""
    labels, scores = Claims.of_labels(judged), Claims.of_scores(judged)
    return Reliability(len(labels.said), _short(labels.error()), _short(scores.error()), labels.bins(), scores.bins())


def family(lang: str) -> str:
    """What a language is calibrated and reported with.

    >>> family("id"), family("jv"), family("de")
    ('id', 'regional', 'other')
    """
    if lang in ("en", "id"):
        return lang
    return "regional" if lang in MALAY_LIKE else "other"


def families(cells: Mapping[str, Judged]) -> dict[str, Judged]:
    """The rows of each family, from those of each "source-language"."""
    parts: dict[str, list[Judged]] = {}
    for name, judged in cells.items():
        parts.setdefault(family(name.rpartition("-")[2]), []).append(judged)
    return {name: Judged.joined(some) for name, some in parts.items()}


def _short(error: float | None) -> float | None:
    return None if error is None else round(error, 4)
