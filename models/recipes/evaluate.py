"""Evaluate: how good a model is on the dev rows, through the same command that users call.

    python -m models.recipes.evaluate --data DATA [--model NAME] [--effort E] [--write [--about FILE]]
                                      [--command "denyut score --json"]

Each row goes in with its language declared. The language gate may abstain: an abstention counts as wrong, and their
number is printed. Beside that: the F1 without the gate, which decides what languages the card names; calibration, other
class mixes, how far a score moves with the texts it is batched with, and the behavioural suite.

`--write` puts all of it into the card of the model, under `report`, with the languages that have earned it, and renders
the page beside it, README.md. What others have written there (variants, making, weaknesses) stays. `--about` is a file
like a card (models/recipes/card.json) for what cannot be measured and the model's own card does not say: base, licence,
data, notes, weaknesses.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

import models
from models import page
from models.cli_model import cell_table, interval, moved, score_of, table
from models.quality import Judged, bootstrapped, confusion, macro_f1
from models.recipes.data import Row, labelled
from models.recipes.whole import write_json, write_whole
from models.registry import EMBEDDED
from models.report import (
    Batch,
    Behaviour,
    Report,
    Standing,
    cell,
    families,
    family,
    mixes,
    reliability,
    standing,
)
from models.score import EFFORTS, Effort, Scorer

# The one that belongs to this interpreter, whatever PATH says.
COMMAND = f"{shlex.quote(str(Path(sysconfig.get_path('scripts')) / 'denyut'))} score --json"
MOVE_TEXTS = 256
MIX_ROWS = 500  # of a smaller set a class may have a dozen rows: no ground for another mix


def answers(command: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the command says of each row. Raises CalledProcessError when it fails."""
    lines = "".join(json.dumps({"text": row.text, "lang": row.lang}) + "\n" for row in rows)
    # Settings of the shell would have another model answer than the one that is measured.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DENYUT_")}
    done = subprocess.run(shlex.split(command), input=lines, stdout=subprocess.PIPE, text=True, check=True, env=plain)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_source(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Where the rows of each set, "source-language", stand."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        places[f"{row.source}-{row.lang}"].append(at)
    return dict(sorted(places.items()))


def served(rows: Sequence[Row], said: Sequence[Mapping[str, Any]]) -> dict[str, Judged]:
    """Each set, as the command answered it."""
    scores = [score_of(answer) for answer in said]
    assert len(scores) == len(rows)
    return {name: Judged.of([rows[at].label for at in places], [scores[at] for at in places])
            for name, places in by_source(rows).items()}


def ungated(scorer: Scorer, rows: Sequence[Row]) -> tuple[dict[str, Judged], dict[str, float]]:
    """Each set with every text scored, whatever its language; and the percent of its texts that went on."""
    found: dict[str, Judged] = {}
    going_on: dict[str, float] = {}
    for name, places in by_source(rows).items():
        before = getattr(scorer, "asked_late", None)
        found[name] = Judged.of([rows[at].label for at in places], scorer.score([rows[at].text for at in places]))
        if before is not None:
            going_on[name] = round(100 * (scorer.asked_late - before) / len(places), 1)  # type: ignore[attr-defined]
    return found, going_on


def languages(bare: Mapping[str, Judged]) -> dict[str, Standing]:
    """Every language by all its rows without the gate, those of most rows first."""
    parts: dict[str, list[Judged]] = defaultdict(list)
    for name, judged in bare.items():
        parts[name.rpartition("-")[2]].append(judged)
    joined = {lang: Judged.joined(some) for lang, some in parts.items()}
    return {lang: standing(joined[lang]) for lang in sorted(joined, key=lambda lang: (-len(joined[lang]), lang))}


def pick_languages(report: Report) -> tuple[str, ...]:
    """Those that a card may name: three classes, and a macro F1 that surely reaches `models.report.FLOOR`."""
    return tuple(lang for lang, one in report.languages.items() if one.named)


def batch(name: str, texts: Sequence[str], effort: Effort) -> Batch:
    """Each text alone against the same text among all the others."""
    def load(effort: Effort) -> Scorer:
        return models.load(name, effort=effort)

    scorer = load(effort)
    together = scorer.score(texts)
    halves = hasattr(scorer, "asked_late")
    # A text has gone on if its score is not the one that it gets when none may go on.
    early = load("fast").score(texts) if halves else together
    went_on = [one != other for one, other in zip(together, early, strict=True)]
    apart, labels, flips = [], 0, 0
    for text, one, late in zip(texts, together, went_on, strict=True):
        before = getattr(scorer, "asked_late", 0)
        alone = scorer.score([text])[0]
        apart.append(abs(alone.score - one.score))
        labels += alone.label != one.label
        flips += (getattr(scorer, "asked_late", 0) > before) != late
    apart.sort()
    return Batch(texts=len(texts), mean=round(sum(apart) / len(apart), 4), p95=round(apart[int(0.95 * len(apart))], 4),
                 largest=round(apart[-1], 4), other_labels=round(100 * labels / len(apart), 2),
                 exit_flips=round(100 * flips / len(apart), 2) if halves else None)


def behaviour(scorer: Scorer) -> dict[str, Behaviour]:
    """The hand-written cases, by capability."""
    from models.recipes.behaviour import judge, read

    return {name: Behaviour(tally.cases, tally.failed) for name, tally in judge(scorer, read())[0].items()}


def bare_report(scorer: Scorer, rows: Sequence[Row], effort: Effort) -> Report:
    """What can be said before anything is served: which languages may be."""
    bare, going_on = ungated(scorer, rows)
    figures = {name: bootstrapped(confusion(one), len(one), macro_f1) for name, one in bare.items()}
    return Report(effort=effort, ungated=figures, languages=languages(bare), going_on=going_on)


def full_report(bare: Report, found: Mapping[str, Judged], named: Iterable[str]) -> Report:
    """With what was served; calibration and mixes in the languages that are named."""
    named = set(named)
    ours = {name: one for name, one in found.items() if name.rpartition("-")[2] in named}
    return msgspec.structs.replace(
        bare, cells={name: cell(one) for name, one in found.items()},
        mixes={name: mixes(one) for name, one in ours.items() if len(one) >= MIX_ROWS},
        reliability={name: reliability(one) for name, one in families(ours).items()}
                    | ({"all": reliability(Judged.joined(list(ours.values())))} if ours else {}))


def sizes(folder: Path) -> dict[str, float]:
    """MB of each file that a scorer needs."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in ("card.json", "README.md"))
    return {path.name: round(path.stat().st_size / 1e6, 2) for path in files}


def main_figures(report: Report, named: Iterable[str]) -> dict[str, float]:
    """The short form that a card has for those who read no report."""
    named = set(named)
    out: dict[str, float] = {}
    for name, one in report.cells.items():
        if name.rpartition("-")[2] in named:
            out |= {f"{name}, macro recall": round(one.recall.value, 1), f"{name}, macro F1": round(one.f1.value, 1)}
    regional = [one.f1.value for name, one in report.cells.items()
                if (lang := name.rpartition("-")[2]) in named and family(lang) == "regional"]
    return out | ({"mean of regional languages, macro F1": round(sum(regional) / len(regional), 1)} if regional else {})


def carded(card: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """A card with what `about` says where it says nothing itself; of both reports, part by part."""
    return {**about, **card, "report": {**about.get("report", {}), **card.get("report", {})}}


def written(card: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The card with what was measured; parts of the report that others wrote stay."""
    measured = msgspec.to_builtins(report)
    out = {**card, "figures": main_figures(report, card["languages"]), "report": {**card.get("report", {}), **measured}}
    if report.batch:
        out["batch_move"] = {"mean": report.batch.mean, "p95": report.batch.p95, "largest": report.batch.largest,
                             "other label, share": round(report.batch.other_labels / 100, 4)}
    return out


def save(folder: Path, card: Mapping[str, Any]) -> None:
    """The card, and the page that is rendered from it."""
    write_json(folder / "card.json", card)
    write_whole(folder / "README.md", lambda part: part.write_text(page.rendered(card), encoding="utf-8"))


def told(report: Report) -> str:
    """The report for people."""
    lines = [*cell_table("set", report.cells), "", *table(
        ["language", "rows", "macro F1, no gate", ""],
        [[lang, f"{one.rows:,}", interval(one.f1), one.why] for lang, one in report.languages.items()])]
    for name, some in report.mixes.items():
        lines += ["", *table([name, "macro recall", "macro F1", "calibration error"], [
            [mix, interval(one.recall), interval(one.f1), f"{one.label_error or 0:.3f}"] for mix, one in some.items()])]
    lines += ["", *table(["calibration error", "rows", "label", "score"], [
        [name, f"{one.rows:,}", f"{one.label_error or 0:.3f}", f"{one.score_error or 0:.3f}"]
        for name, one in report.reliability.items()])]
    failed = [f"{name} {one.failed} of {one.cases}" for name, one in report.behaviour.items()]
    going = [f"{name} {percent:g} %" for name, percent in report.going_on.items()]
    lines += ["", f"behaviour, failed: {', '.join(failed)}", *([f"going on: {', '.join(going)}"] if going else []),
              moved(report.batch) if report.batch else ""]
    return "\n".join(lines)


def read_args(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; `folder` is the one to write to, or None."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--effort", choices=EFFORTS, default="balanced")
    parser.add_argument("--command", default=COMMAND)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--about", type=Path)
    args = parser.parse_args(argv)
    args.folder = (Path(args.model) if args.model else EMBEDDED) if args.write else None
    if args.about and not args.write:
        parser.error("--about says what to write; it goes with --write")
    if args.folder and not (args.folder / "card.json").is_file():
        parser.error(f"--write: there is no {args.folder / 'card.json'}")
    return args


def measured(args: argparse.Namespace, card: dict[str, Any]) -> Report:
    """Everything. `card` gets its languages on the way, and is saved where it is to be written."""
    rows = labelled(args.data, "dev")
    scorer = models.load(args.model, effort=args.effort)
    report = bare_report(scorer, rows, args.effort)
    card["languages"] = list(scorer.card.languages or report.languages)
    if args.folder:
        # First the languages: what is measured next is the gate as users will have it.
        card["languages"] = list(pick_languages(report))
        if not card["languages"]:
            sys.stderr.write("no language is good enough to be named; a card that names none scores every text\n")
        save(args.folder, card)
    model = f" --model {shlex.quote(args.model)}" if args.model else ""
    command = f"{args.command}{model} --effort {args.effort}"
    report = full_report(report, served(rows, answers(command, rows)), card["languages"])
    some = [row.text for row in rows[::max(len(rows) // MOVE_TEXTS, 1)]]
    return msgspec.structs.replace(report, behaviour=behaviour(scorer), batch=batch(args.model, some, args.effort),
                                   sizes=sizes(args.folder) if args.folder else {})


def main(argv: Sequence[str]) -> None:
    """Prints the report; with --write, the card and its page get it too."""
    args = read_args(argv)
    card = {}
    if args.folder:
        about = json.loads(args.about.read_text()) if args.about else {}
        card = carded(json.loads((args.folder / "card.json").read_text()), about)
    report = measured(args, card)
    print(told(report))
    if args.folder:
        save(args.folder, written(card, report))


if __name__ == "__main__":
    main(sys.argv[1:])
