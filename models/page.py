"""Page: a card as people read it, in Markdown. `python -m models.recipes.evaluate --write` puts it beside the card.

    python -m models.page FOLDER       renders it again, from FOLDER/card.json

Knows nothing of how anything is measured.
"""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from models.cli_model import interval, is_named
from models.quality import BINS, Bin
from models.report import Cell, Report, family
from models.score import LABELS, Card

MAIN_ROWS = 500  # a set of so many rows gets its confusion matrix
WIDTH = 118

WHAT = """Says of a post whether it is negative, neutral or positive. It is what `denyut` scores with unless you name
another model. `card.json` holds the same facts for programs, and this page is rendered from it."""
TERMS = """No text of any of these is in this package. Whether their terms allow your use is for you to decide; to be
free of the question, name another model, or run the recipe without them."""
SERVED = """Percent, with 95 % intervals (bootstrap over rows), on dev rows that training has not seen, through
`denyut score --json` with each row's language declared. Abstentions count as wrong. Recall of neg, neu and pos; the
last column is the expected calibration error of the label."""
BEWARE = """A set of 100 rows says little by itself: its error is 0.03 to 0.1 by chance alone. On sources that nobody
tuned on, expect several points less, most where neutral is frequent."""
ONE_BY_ONE = """Macro F1 with every text scored, whatever the language gate says. A language that is not scored here
gets no score: Denyut abstains. Regional languages of Indonesia were measured on translated reviews, not posts.
Undeclared, their texts are taken for Indonesian by the language gate, and scored."""
MIXED = """The same rows, weighted so that the classes have other shares: what drawing them anew without end would
give. Macro recall cannot move by this, since a class's recall does not know how frequent it is; macro F1 and
calibration can."""
TRUST = f"""Expected calibration error, {BINS} bins: of the label's probability against the share of right labels, and
of the score (-1 to 1) against the mean of what people meant (1, 0, -1)."""
TRIED = "Posts a second on one core, and as a multiple of the plain 12-layer model's."
CASES = """Cases written by hand (`models/recipes/behaviour.jsonl`): each wants a label, or the same score after a
change that means nothing, or a score that moves the right way. Made to be hard, not to be usual."""
ALWAYS_WEAK = (
    "It judges the tone of a text, not the opinion of one brand in it: a post that praises one and blames another gets "
    "one score.",
    "It is made for sums over many posts. Do not decide anything about a person by it.",
)


def rendered(card_json: Mapping[str, Any]) -> str:
    """The page of a card.json, as it was read."""
    card = msgspec.convert(card_json, Card)
    report = msgspec.convert(card_json.get("report", {}), Report)
    crossed = card_json.get("calibration_crossed")
    parts = [f"# {card.name}", _prose(WHAT), *_what(card, report), *_learnt(card), *_quality(card, report),
             *_languages(report), *_mixes(report), *_trust(report, crossed), *_depends(card, report),
             *_variants(report), *_behaviour(report), *_weaknesses(card, report), *_making(report), *_notes(card)]
    return "\n\n".join(parts) + "\n"


def _what(card: Card, report: Report) -> list[str]:
    warmth = ", ".join(f"{lang} {factor:g}" for lang, factor in sorted(card.warmth.items()) if factor != 1)
    early = card.late and f"two: a text has its answer early where that is at least {card.late.threshold:g} sure"
    facts = {
        "revision": card.revision, "base": card.base, "licence": card.licence,
        "languages": ", ".join(f"`{lang}`" for lang in card.languages) or "any",
        "order of the logits": ", ".join(card.labels), "longest text": f"{card.max_tokens} pieces; the rest is cut",
        "exits": early or "one",
        "temperature": f"{card.temperature:g}" + (f" early, {card.late.temperature:g} late" if card.late else ""),
        "a factor on it, by language": warmth,
        "SHA-256 of the weights": f"`{card.digest}`" if card.digest else "",
        "SHA-256 of the tokenizer": f"`{card.tokenizer_digest}`" if card.tokenizer_digest else "",
        "files": ", ".join(f"`{name}` {size:g} MB" for name, size in report.sizes.items()),
    }
    return ["## What it is", _facts(facts)]


def _learnt(card: Card) -> list[str]:
    rows = [(what, terms) for what, _, terms in (one.partition(": ") for one in card.data)]
    return ["## What it learnt from", _table(["data", "terms as stated there"], rows), _prose(TERMS)] if rows else []


def _quality(card: Card, report: Report) -> list[str]:
    served = {name: one for name, one in report.cells.items() if is_named(card, name)}
    if not served:
        return []
    rows = [[name, f"{one.rows:,}", f"{one.abstained:,}", interval(one.recall), interval(one.f1),
             *(_number(one.classes.get(label)) for label in LABELS), _error(one.label_error)]
            for name, one in served.items()]
    regional = [one.f1.value for name, one in served.items() if family(name.rpartition("-")[2]) == "regional"]
    mean = f" Mean macro F1 of the {len(regional)} regional languages: {sum(regional) / max(len(regional), 1):.1f}."
    return ["## How good it is", _prose(SERVED),
            _table(["set", "rows", "abstained", "macro recall", "macro F1", "neg", "neu", "pos", "error"], rows),
            _prose(BEWARE + (mean if regional else "")),
            *(_confusion(name, one) for name, one in served.items() if one.rows >= MAIN_ROWS)]


def _confusion(name: str, one: Cell) -> str:
    rows = [[label, *(f"{n:,}" for n in counts)] for label, counts in zip(LABELS, one.confusion, strict=True)]
    return _table([f"{name}: is, called", *LABELS, "nothing"], rows)


def _languages(report: Report) -> list[str]:
    rows = [[f"`{lang}`", f"{one.rows:,}", interval(one.f1), "yes" if one.named else "no", one.why]
            for lang, one in report.languages.items()]
    return ["## Language by language", _prose(ONE_BY_ONE),
            _table(["language", "rows", "macro F1", "scored", "why"], rows)] if rows else []


def _mixes(report: Report) -> list[str]:
    rows = [[name, mix, interval(one.recall), interval(one.f1), _error(one.label_error)]
            for name, some in report.mixes.items() for mix, one in some.items()]
    return ["## Under other class mixes", _prose(MIXED),
            _table(["set", "mix", "macro recall", "macro F1", "error"], rows)] if rows else []


def _trust(report: Report, crossed: object) -> list[str]:
    if not report.reliability:
        return []
    rows = [[name, f"{one.rows:,}", _error(one.label_error), _error(one.score_error)]
            for name, one in report.reliability.items()]
    labels = [[name, *_bin(one)] for name, some in report.reliability.items() for one in some.labels]
    scores = [[name, *_bin(one)] for name, some in report.reliability.items() for one in some.scores]
    honest = [_prose("Temperatures were fitted on these rows. Fitted on one half and judged on the other, the error of "
                     f"the label is {crossed:.3f}.")] if isinstance(crossed, float) else []
    return ["## How far its probabilities can be trusted", _prose(TRUST),
            _table(["languages", "answers", "label", "score"], rows), *honest,
            *_folded("The label's probability, bin by bin", _table(["languages", "answers", "said", "right"], labels)),
            *_folded("The score, bin by bin", _table(["languages", "answers", "said", "meant"], scores))]


def _bin(one: Bin) -> list[str]:
    return [f"{one.rows:,}", f"{one.said:.3f}", f"{one.true:.3f}"]


def _folded(title: str, body: str) -> list[str]:
    return [f"<details><summary>{title}</summary>", body, "</details>"]


def _depends(card: Card, report: Report) -> list[str]:
    going = ", ".join(f"{name} {percent:g} %" for name, percent in report.going_on.items() if is_named(card, name))
    lines = [f"Texts that go on to the upper half: {going}."] if going else []
    if report.batch:
        one = report.batch
        flips = "" if one.exit_flips is None else f", the choice of exit in {one.exit_flips:g} %"
        lines.append(f"Scored alone or among others, the score (-1 to 1) of a text differs by {one.mean:g} on average, "
                     f"{one.largest:g} at most; its label differs in {one.other_labels:g} % of {one.texts:,} texts"
                     f"{flips}.")
    return ["## What a score depends on besides its text", *map(_prose, lines)] if lines else []


def _variants(report: Report) -> list[str]:
    sets = list(dict.fromkeys(name for one in report.variants for name in one.figures))
    rows = [[one.name, *map(_number, (one.mb, one.posts_per_s, one.ratio)),
             *(_number(one.figures.get(name)) for name in sets)] for one in report.variants]
    return ["## What else was tried, and how fast", _prose(TRIED),
            _table(["network", "MB", "posts/s", "multiple", *sets], rows)] if rows else []


def _behaviour(report: Report) -> list[str]:
    counts = [(name, one.cases, one.failed) for name, one in report.behaviour.items()]
    if not counts:
        return []
    counts.append(("all", sum(cases for _, cases, _ in counts), sum(failed for _, _, failed in counts)))
    rows = [[name, str(cases), str(failed), f"{100 * failed / max(cases, 1):.0f}"] for name, cases, failed in counts]
    return ["## Behaviour", _prose(CASES), _table(["capability", "cases", "failed", "percent"], rows)]


def _weaknesses(card: Card, report: Report) -> list[str]:
    return ["## Where it must not be used, and where it is weak",
            _list([*report.weaknesses, *ALWAYS_WEAK, f"Texts longer than {card.max_tokens} pieces are cut."])]


def _making(report: Report) -> list[str]:
    one = report.making
    if one is None:
        return []
    return ["## How to make it again", _facts({
        "command": f"`{one.command}`" if one.command else "", "hours": "" if one.hours is None else _number(one.hours),
        "hardware": one.hardware, "seeds": ", ".join(map(str, one.seeds)),
        "minutes, by step": ", ".join(f"{step} {took:g}" for step, took in one.minutes.items()),
        "knobs": ", ".join(f"`{name}` {json.dumps(value)}" for name, value in one.knobs.items())})]


def _notes(card: Card) -> list[str]:
    return ["## Notes", _list(card.notes)] if card.notes else []


def _prose(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False, break_long_words=False)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(textwrap.fill(f"- {' '.join(line.split())}", WIDTH, subsequent_indent="  ", break_on_hyphens=False,
                                   break_long_words=False) for line in lines)


def _facts(facts: Mapping[str, str]) -> str:
    return _table(["", ""], [(what, said) for what, said in facts.items() if said])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    safe = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *safe])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _error(error: float | None) -> str:
    return "-" if error is None else f"{error:.3f}"


def main(folder: Path) -> None:
    """Renders the page of a folder."""
    (folder / "README.md").write_text(rendered(json.loads((folder / "card.json").read_text())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
