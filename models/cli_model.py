"""What `denyut model` does: show a card, prove a model, measure one on labelled posts of your own.

A file of labelled posts is JSON lines or CSV, packed with gzip or not. Its rows are scored as `denyut score` scores
them; a row that cannot be used is counted by its reason, with the line of the first, and never shown.
Knows nothing of arguments or exit codes.
"""

import csv
import gzip
import io
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import msgspec

from models.cli_score import CHUNK, answers
from models.lang import base_code
from models.quality import Figure, Judged
from models.registry import MEANINGS, card_of, folder_of
from models.report import Batch, Cell, Report, cell, report_of
from models.ruler import Ruler
from models.score import LABELS, Card, NoModel, Score, Scorer

GZIP = b"\x1f\x8b"
SEPARATORS = ",;\t"
SHOWN_COLUMNS, SHOWN_CHARACTERS = 20, 30
# What any model that names the language must get right: if it does not, the weights are not what the card describes.
KNOWN = (
    ("id", "positive", "Pelayanannya ramah dan cepat, saya suka sekali!"),
    ("id", "negative", "Kecewa berat, aplikasinya lemot dan sering error"),
    ("id", "neutral", "Rapat akan dimulai pukul sembilan di kantor pusat Jakarta."),
    ("en", "positive", "I love this phone, best purchase I have made in years"),
    ("en", "negative", "This is the worst customer service I have ever had"),
    ("en", "neutral", "The shop on Main Street is open from nine to five on Monday."),
)


class BadFile(Exception):
    """The file cannot be used: its owner's move."""


# ---- show

def shown(name: str) -> str:
    """The card and the report of a model, for people. Raises `NoModel`."""
    folder = folder_of(name)
    card, report = card_of(folder, name or folder.name), report_of(folder)
    parts = [_facts(card, report), _measured(card, report), _trust(report), _speed(report), _behaviour(report)]
    parts += [_listed("Weak where", report.weaknesses), _listed("Learnt from", card.data), _listed("Notes", card.notes)]
    return "\n\n".join(part for part in parts if part)


def shown_json(name: str) -> str:
    """The same as one line of JSON. Raises `NoModel`."""
    folder = folder_of(name)
    card = msgspec.to_builtins(card_of(folder, name or folder.name))
    return json.dumps(card | {"report": msgspec.to_builtins(report_of(folder))}, ensure_ascii=False)


def _facts(card: Card, report: Report) -> str:
    exits = "one"
    if card.late:
        exits = f"two; early where it is at least {card.late.threshold:g} sure (effort balanced)"
    warm = f"{card.temperature:g}" + (f", late {card.late.temperature:g}" if card.late else "")
    warm += "".join(f", {lang} x {factor:g}" for lang, factor in sorted(card.warmth.items()))
    facts = {"base": card.base, "licence": card.licence, "digest": card.digest or "not pinned",
             "languages": ", ".join(card.languages) or "any", "labels": ", ".join(card.labels),
             "files": ", ".join(f"{file} {size:g} MB" for file, size in report.sizes.items()),
             "reads": f"{card.max_tokens} tokens", "exits": exits, "temperature": warm}
    title = f"{card.name}{card.revision and f', revision {card.revision}'}"
    return "\n".join([title, *(f"  {what:<11}  {said}" for what, said in facts.items() if said)])


def _measured(card: Card, report: Report) -> str:
    if not report.cells:
        return "\n".join(["Figures, percent", *(f"  {what}: {value}" for what, value in card.figures.items())]
                         if card.figures else ["Its card has no figures."])
    served = {name: one for name, one in report.cells.items() if is_named(card, name)}
    judged = [[lang, f"{one.rows:,}", interval(one.f1), "scored" if one.named else "not scored", one.why]
              for lang, one in report.languages.items()]
    return "\n".join(["As served, percent, 95 % intervals", *cell_table("set", served), "",
                      "Languages one by one, without the gate",
                      *table(["language", "rows", "macro F1", "", ""], judged)])


def is_named(card: Card, name: str) -> bool:
    """Whether a card names the language of a set, "source-language"."""
    return not card.languages or name.rpartition("-")[2] in card.languages


def _trust(report: Report) -> str:
    lines = table(["calibration error", "rows", "label", "score"], [
        [name, f"{one.rows:,}", _error(one.label_error), _error(one.score_error)]
        for name, one in report.reliability.items()]) if report.reliability else []
    if report.batch:
        lines.append(moved(report.batch))
    return "\n".join(["How far to trust it", *lines]) if lines else ""


def moved(batch: Batch) -> str:
    """How far a score moves with its batch, in a sentence.

    >>> moved(Batch(texts=9, mean=0, p95=0, largest=0.01, other_labels=0))
    'scored alone or among others, a score differs by 0.01 at most, and the label in 0 % of 9 texts'
    """
    exits = "" if batch.exit_flips is None else f", the choice of exit in {batch.exit_flips:g} %"
    return (f"scored alone or among others, a score differs by {batch.largest:g} at most, and the label in "
            f"{batch.other_labels:g} % of {batch.texts:,} texts{exits}")


def _speed(report: Report) -> str:
    if not report.variants:
        return ""
    return "\n".join(["Speed, one core", *table(["network", "MB", "posts/s", "of 12 layers"], [
        [one.name, _number(one.mb), _number(one.posts_per_s), _number(one.ratio, "x")]
        for one in report.variants])])


def _behaviour(report: Report) -> str:
    if not report.behaviour:
        return ""
    return "\n".join(["Behaviour", *table(["capability", "cases", "failed"], [
        [name, str(one.cases), str(one.failed)] for name, one in report.behaviour.items()])])


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)]) if lines else ""


# ---- check

def check(name: str, out: TextIO) -> None:
    """Proves the checksum and asks known answers, a line each. Raises `NoModel` if something is wrong."""
    from models import load

    folder = folder_of(name)
    said = card_of(folder, name or folder.name)
    card = (scorer := load(name)).card
    out.write(f"{card.name}: weights {card.digest[:12]}, "
              f"{'as the card says' if said.digest else 'nothing to compare with: the card has no digest'}\n")
    asked = [one for one in KNOWN if one[0] in card.languages and one[1] in card.labels]
    if not asked:
        scorer.score(["bagus"])
        out.write("it answers; no answer is known beforehand in the languages of its card\n")
    wrong = 0
    scores = Ruler(scorer).scores([(text, lang) for lang, _, text in asked])
    for (lang, label, text), score in zip(asked, scores, strict=True):
        if score is None:
            raise NoModel(f"{folder}: it fails on a known text, and on that alone")
        good = score.label == label
        wrong += not good
        verdict = "good" if good else f"wrong, expected {label}"
        out.write(f"{score.label:<8} {score.score:+.2f}  {lang}  {text}  {verdict}\n")
    if wrong:
        raise NoModel(f"{folder}: {wrong} of {len(asked)} known answers are wrong: do not score with it. Install it "
                      "again; if it is a model of yours, see whether `labels` in its card are in the logits' order.")


# ---- evaluate

@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns, or the keys, of a file are called; None: the usual name, if it is there."""

    text: str = "text"
    label: str = "label"
    lang: str | None = None
    source: str = "source"

    @property
    def lang_name(self) -> str:
        """Where the declared language stands."""
        return self.lang or "lang"

    @property
    def needed(self) -> list[str]:
        """Without these the file says nothing; a language that was asked for is one of them."""
        return [self.text, self.label, *([self.lang] if self.lang else [])]


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that can be used."""

    text: str
    label: int
    lang: str | None
    source: str


class PassedBy(msgspec.Struct):
    """Rows that cannot be used, for one reason."""

    rows: int
    first_line: int


class Evaluation(msgspec.Struct, frozen=True):
    """What a file says of a model."""

    model: str  # its ruler
    rows: int
    passed_by: dict[str, PassedBy]
    abstentions: dict[str, int]  # by reason; they count as wrong
    languages: dict[str, Cell]
    sets: dict[str, Cell]  # by "source-language", where rows have a source


def evaluated(path: Path, columns: Columns, scorer: Scorer) -> Evaluation:
    """The model on the rows of a file. Raises `BadFile`, `NoModel`."""
    passed: dict[str, PassedBy] = {}
    abstentions: Counter[str] = Counter()
    found: dict[tuple[str, str], list[tuple[int, Score | None]]] = defaultdict(list)
    ruler = Ruler(scorer)
    rows = usable(path, columns, passed)
    while some := list(islice(rows, CHUNK)):
        for row, answer in zip(some, answers([(row.text, row.lang) for row in some], ruler), strict=True):
            found[row.source, base_code(row.lang) or answer["lang"]].append((row.label, score_of(answer)))
            if answer["label"] is None:
                abstentions[answer["reason"]] += 1
    judged = {key: Judged.of(*zip(*pairs, strict=True)) for key, pairs in sorted(found.items())}
    by_lang: dict[str, list[Judged]] = defaultdict(list)
    for (_, lang), one in judged.items():
        by_lang[lang].append(one)
    return Evaluation(
        model=ruler.name, rows=sum(map(len, judged.values())), passed_by=passed, abstentions=dict(abstentions),
        languages={lang: cell(Judged.joined(parts)) for lang, parts in sorted(by_lang.items())},
        sets={f"{source}-{lang}": cell(one) for (source, lang), one in judged.items() if source})


def score_of(answer: Mapping[str, Any]) -> Score | None:
    """An answer of `denyut score --json` as a score; None if it has none.

    >>> score_of({"label": None, "reason": "language"}), score_of(
    ...     {"label": "positive", "negative": 0.1, "neutral": 0.2, "positive": 0.7}).label
    (None, 'positive')
    """
    return None if answer["label"] is None else Score(answer["negative"], answer["neutral"], answer["positive"])


def usable(path: Path, columns: Columns, passed: dict[str, PassedBy]) -> Iterator[Asked]:
    """The rows that can be used, as the file is read; `passed` is told of the others. Raises `BadFile`."""
    seen: dict[str, None] = {}
    any_row = False
    try:
        with _opened(path) as lines:
            for line, row in _rows(path, lines, columns, seen):
                one = row if isinstance(row, str) else row_of(row, columns)
                if isinstance(one, Asked):
                    any_row = True
                    yield one
                elif one in passed:
                    passed[one].rows += 1
                else:
                    passed[one] = PassedBy(1, line)
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"{path}: it cannot be read ({type(error).__name__}: {error})") from error
    _check_columns(path, columns, seen)
    if not any_row:
        raise BadFile(f"{path}: no row can be used{f' ({listed(passed)})' if passed else ': it is empty'}")


def row_of(row: Mapping[str, Any], columns: Columns) -> Asked | str:
    """The row, or in one word why it is of no use.

    >>> row_of({"text": "bagus", "label": "Positif"}, Columns())
    Asked(text='bagus', label=2, lang=None, source='')
    >>> row_of({"text": "bagus", "label": "5 stars"}, Columns())
    'unknown_label'
    """
    text, label, lang = row.get(columns.text), row.get(columns.label), row.get(columns.lang_name)
    if not isinstance(text, str):
        return "no_text"
    if label is None or label == "":
        return "no_label"
    meaning = MEANINGS.get(label.strip().lower()) if isinstance(label, str) else None
    if meaning is None:
        return "unknown_label"
    if not isinstance(lang, str | None):
        return "bad_lang"
    source = row.get(columns.source)
    return Asked(text, LABELS.index(meaning), lang, source if isinstance(source, str) else "")


def _opened(path: Path) -> TextIO:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    # A bad byte becomes U+FFFD in its own row; line ends are the readers' affair.
    return io.TextIOWrapper(gzip.open(path) if packed else path.open("rb"), "utf-8-sig", "replace", newline="")


def _rows(path: Path, lines: TextIO, columns: Columns, seen: dict[str, None]) -> Iterator[tuple[int, Any]]:
    kinds = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows, ".json": _json_rows, ".ndjson": _json_rows}
    kind = kinds.get(Path(path.name.removesuffix(".gz")).suffix.lower())
    if kind is None:
        first = next(lines, "")
        kind = _json_rows if first.lstrip()[:1] == "{" else _csv_rows
        return kind(path, _after(first, lines), columns, seen)
    return kind(path, lines, columns, seen)


def _after(first: str, lines: Iterable[str]) -> Iterator[str]:
    yield first
    yield from lines


def _json_rows(_: Path, lines: Iterable[str], __: Columns, seen: dict[str, None]) -> Iterator[tuple[int, Any]]:
    for at, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else "blank"
        except (ValueError, RecursionError):
            yield at, "not_json"
            continue
        if isinstance(row, dict) and len(seen) < SHOWN_COLUMNS:
            seen.update(dict.fromkeys(row))
        yield at, row if isinstance(row, dict) or row == "blank" else "no_object"


def _csv_rows(path: Path, lines: Iterable[str], columns: Columns,
              seen: dict[str, None]) -> Iterator[tuple[int, Any]]:
    lines = iter(lines)
    first = next(lines, "")
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(_after(first, lines), delimiter=separator)
    header = [name.strip() for name in next(reader, [])]
    seen.update(dict.fromkeys(header))
    if header:
        _check_columns(path, columns, seen)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field beyond the reader's limit: most likely a quote that nothing closes
            yield reader.line_num, "bad_csv"
            continue
        if len(row) == len(header):
            yield reader.line_num, dict(zip(header, row, strict=True))
        else:
            yield reader.line_num, "other_width" if row else "blank"


def _check_columns(path: Path, columns: Columns, seen: Mapping[str, None]) -> None:
    lacking = [name for name in columns.needed if name not in seen]
    if seen and lacking:
        there = ", ".join(name[:SHOWN_CHARACTERS] for name in islice(seen, SHOWN_COLUMNS))
        raise BadFile(f"{path}: no column {' and no column '.join(map(repr, lacking))}; it has {there}. Say which is "
                      "which with --text, --label and --lang.")


def listed(passed: Mapping[str, PassedBy]) -> str:
    """What was passed by, in one line.

    >>> listed({"no_label": PassedBy(3, 17)})
    '3 no_label, first in line 17'
    """
    return "; ".join(f"{one.rows:,} {reason}, first in line {one.first_line}" for reason, one in passed.items())


def told(found: Evaluation) -> str:
    """An evaluation for people."""
    lines = [f"{found.rows:,} rows, {found.model}; percent, 95 % intervals", *cell_table("language", found.languages)]
    if found.sets:
        lines += ["", *cell_table("set", found.sets)]
    if found.abstentions:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in sorted(found.abstentions.items()))
        lines += ["", f"abstained, counted as wrong: {reasons}"]
    if found.passed_by:
        lines += ["", f"passed by: {listed(found.passed_by)}"]
    return "\n".join(lines)


# ---- tables

def cell_table(name: str, cells: Mapping[str, Cell]) -> list[str]:
    """Rows of figures, one for each cell."""
    head = [name, "rows", "abstained", "macro recall", "macro F1", *LABELS, "calibration error"]
    return table(head, [
        [key, f"{one.rows:,}", f"{one.abstained:,}", interval(one.recall), interval(one.f1),
         *(_number(one.classes.get(label)) for label in LABELS), _error(one.label_error)]
        for key, one in cells.items()])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of their widest width, the first to the left.

    >>> table(["set", "rows"], [["a", "1,000"]])
    ['set   rows', 'a    1,000']
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(one.ljust(width) if not at else one.rjust(width)
                      for at, (one, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in [head, *rows]]


def interval(figure: Figure) -> str:
    """A figure and its interval.

    >>> interval(Figure(88.04, 86.2, 89.9))
    '88.0 (86.2-89.9)'
    """
    return f"{figure.value:.1f} ({figure.low:.1f}-{figure.high:.1f})"


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:.3f}"


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.1f}{unit}"
