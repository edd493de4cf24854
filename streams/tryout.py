"""Tryout: a brand file before it is published: what `denyut brands check` and `denyut brands try` print.

`check` adds to the lint what only a clock and posts can say: how long the rules take, and which of them name invented
posts that name no brand. `try` reads a file of posts as `denyut feed file` does, sends nothing and keeps no more posts
than it shows; their texts are shown to whoever has the file, without the signs that would move a terminal's cursor.
A row is a post: an edit or a copy counts again.
Knows nothing of Kafka, scores, or of how a finding is found.
"""

import json
import secrets
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from streams.heart.brands import Brands
from streams.heart.errors import BadSetting
from streams.heart.flaws import SOURCE, Kind
from streams.heart.lint import Finding, lint
from streams.heart.nearly import Why
from streams.heart.post import from_ms
from streams.heart.preview import Judge, Preview, Told, Tried, tried
from streams.sources.file import BadRow, Maker, Options, Record, Summary, open_rows, records, undamaged

SAMPLE = 2_000  # invented posts
BROAD = 0.01  # of them, named by a rule
WIDTH = 100  # characters of a text
LONGEST = 400  # of a finding
PAIRS = 10
SILENT = 20  # brands that no post names: so many are shown

Say = Callable[[str], None]


# Check.


class Cost(NamedTuple):
    """What a file costs. `us`: to match a post, on one core."""

    phrases: int
    ready_ms: float
    us: float

    def __str__(self) -> str:
        return f"{self.phrases} phrases, ready in {self.ready_ms:.1f} ms, {self.us:.1f} us a post"


def check(brands: Brands, languages: Collection[str] = ()) -> list[Finding]:
    """All that is to be said of a file. `languages`: those that the model can score."""
    return [*lint(brands, languages), *broad(brands)]


def cost(brands: Brands, clock: Callable[[], float] = time.process_time) -> Cost:
    """What matching costs on this machine, by invented posts."""
    sample = [text for _, text in invented()]
    latest_ms = max((brand.since_ms for brand in brands.file.brand), default=0)  # every brand's last rule holds then
    began = clock()
    again = Brands(brands.file)
    ready = clock()
    for text in sample:
        again.match(text, "", latest_ms)
    done = clock()
    phrases = {said for brand in brands.file.brand for said in
               (*brand.any, *brand.all, *brand.none, *(word for a, b, _ in brand.near for word in (a, b)))}
    return Cost(len(phrases), (ready - began) * 1e3, (done - ready) * 1e6 / len(sample))


def broad(brands: Brands) -> list[Finding]:
    """Brands that posts name which name none: a prefix that is too short, a word of every day that no list has."""
    named: Counter[str] = Counter()
    latest = tried(brands.file)
    for lang, text in invented():
        named.update(match.brand for match, limited in latest.match(text, "", 0) if not limited or lang in limited)
    return [Finding(name, Kind.BROAD, f"names {named[name]} of {SAMPLE} invented posts that name no brand")
            for name in latest.names if named[name] >= BROAD * SAMPLE]


def invented() -> Iterator[tuple[str, str]]:
    """Posts of the demo's public, each with its language: the same every time, and not one of them names a brand."""
    from streams.sources.sayings import Lean, Sayings

    sayings, rng, leans = Sayings.load(), Random(1), list(Lean)
    for at in range(SAMPLE):
        if at % 4 == 0:
            yield sayings.other(rng)
        else:
            lang, it = ("id", "ini") if rng.random() < 0.7 else ("en", "this")
            subject = replace(rng.choice(sayings.subjects), spoken=(it,))
            yield lang, sayings.say(rng, subject, lang, rng.choice(leans))


def scored(model: str = "") -> tuple[str, ...]:
    """The languages that a model on this machine can score; none: any, or the model is not here yet."""
    from models.registry import EMBEDDED, card_of

    folder = Path(model) if model else EMBEDDED
    return tuple(card_of(folder, folder.name).languages) if folder.is_dir() else ()


def show_findings(findings: Sequence[Finding], say: Say) -> None:
    """Prints each on a line of its own, the warnings first."""
    for finding in sorted(findings, key=lambda one: one.is_note):
        say(plain(str(finding), LONGEST))


# Try.


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for on the command line. `source` empty: every rule meets every post."""

    posts: Path
    mapping: str = ""
    source: str = ""


@dataclass(slots=True)
class Outcome:
    """What became of the rows, and what the rules did to the posts among them."""

    rows: Summary
    told: Told = field(default_factory=lambda: Told(0, None, 0, (), ()))


class _Post(msgspec.Struct):
    text: str
    lang: str | None = None


_decode = msgspec.json.Decoder(_Post).decode


def try_file(brands: Brands, wish: Wish, judge: Judge | None = None) -> Outcome:
    """Reads the whole file. Raises `BadSetting` for what only the user can put right."""
    if wish.source and not SOURCE.match(wish.source):
        raise BadSetting(f"--source {wish.source!r}: small letters, digits, - and _, at most 32")
    options = Options.read(source=wish.source or "file", mapping=wish.mapping)
    preview = Preview(brands, judge or languages(), wish.source)
    outcome = Outcome(Summary(wish.posts))
    # Rows are read as they would be sent; the ids that this makes are seen by nobody, so any secret will do.
    maker = Maker(options, secrets.token_bytes(32), lambda: 0, brands)
    with closing(open_rows(wish.posts, options.columns)) as rows:
        for one in records(undamaged(wish.posts, rows), maker):
            _take(one, outcome.rows, preview)
    outcome.told = preview.told()
    return outcome


def _take(one: Record | BadRow, rows: Summary, preview: Preview) -> None:
    if isinstance(one, BadRow):
        rows.note(one)
    elif one.value is None or one.created_ms is None:
        rows.removals += 1
    else:
        rows.posts += 1
        post = _decode(one.value)
        preview.see(post.text, post.lang, one.created_ms)


def languages() -> Judge:
    """Finds the language of a text; loaded when it is first asked, no model is needed."""
    judge: Judge | None = None

    def of(text: str, declared: str | None) -> str:
        nonlocal judge
        if judge is None:
            from models.lang import Languages
            from models.score import Card

            known = Languages(Card(name="tryout"))
            judge = lambda text, declared: known.judge(text, declared).lang  # noqa: E731 a closure over `known`
        return judge(text, declared)

    return of


# Printing.

WHYS = {
    Why.NONE: "kept out by none",
    Why.COMMON: "named by a common word alone",
    Why.PREFIX: "named by a prefix alone",
    Why.NEAR: "just near enough",
    Why.FAR: "a little too far apart",
    Why.SPELT: "spelt a little otherwise",
    Why.MISSING: "a word short",
    Why.APART: "with its words apart",
    Why.ALL: "without a word of all",
    Why.LANGUAGE: "in another language",
}


def show(outcome: Outcome, say: Say) -> None:
    """Prints it for people."""
    told = outcome.told
    say(str(outcome.rows))
    if told.span_ms:
        first, last = told.span_ms
        share = told.named / max(told.posts, 1)
        say(f"posts of {(last - first) / 3_600_000:.1f} h, {from_ms(first):%Y-%m-%d %H:%M} to "
            f"{from_ms(last):%Y-%m-%d %H:%M} UTC; {told.named} ({share:.1%}) name a brand")
    silent = [brand.brand for brand in told.brands if not (brand.matches or brand.doubts)]
    hidden = set(silent[SILENT:])
    for brand in told.brands:
        if brand.brand not in hidden:
            _show_brand(brand, say)
    if hidden:
        say(f"\nand {len(hidden)} more brands that no post names")
    of = {brand.brand: brand.matches for brand in told.brands}
    if told.together:
        say("\nnamed together")
    for one, other, posts in told.together[:PAIRS]:
        say(f"  {one} and {other}: {posts} posts, {posts / of[one]:.0%} and {posts / of[other]:.0%} of theirs")


def _show_brand(brand: Tried, say: Say) -> None:
    title = f" ({plain(brand.title)})" if brand.title != brand.brand else ""
    rate = brand.rate
    hourly = f"{rate.hourly:.3g} an hour ({rate.lower:.3g} to {rate.upper:.3g})" if rate else "an hour: n/a"
    say(f"\n{brand.brand}{title}: {brand.matches} posts, {brand.share:.1%}; {hourly}")
    if brand.tagged:
        say(f"  {brand.tagged} with a tag of its own")
    if brand.examples:
        say("  for example:")
    for shown in brand.examples:
        say(f"    {plain(shown.text)}")
    if brand.doubts:
        say("  borderline: " + ", ".join(f"{posts} {WHYS[why]}" for why, posts in brand.doubts.items()))
    for shown in brand.borderline:
        say(f"    {plain(shown.text)}\n      {plain(shown.how)}")


def as_json(outcome: Outcome) -> str:
    """The numbers for machines, without any text of a post."""
    told, rows = outcome.told, outcome.rows
    return json.dumps({
        "rows": rows.rows, "posts": rows.posts, "removals": rows.removals, "bad": dict(rows.bad), "named": told.named,
        "from_ms": told.span_ms and told.span_ms[0], "to_ms": told.span_ms and told.span_ms[1],
        "brands": [{"brand": one.brand, "matches": one.matches, "tagged": one.tagged, "share": one.share,
                    "hourly": one.rate and one.rate._asdict(), "borderline": one.doubts} for one in told.brands],
        "together": [list(pair) for pair in told.together]})


def plain(text: str, width: int = WIDTH) -> str:
    """A text on one line, cut, and without what is no sign: it cannot move the cursor, ring or turn its own direction.

    >>> plain("kopi\\x1b[31m\\nsenja\\u202e"), plain("kopi senja", 7)
    ('kopi[31m senja', 'kopi s…')
    """
    row = "".join(sign if unicodedata.category(sign)[0] != "C" else "" for sign in " ".join(text.split()))
    return row if len(row) <= width else row[:width - 1] + "…"
