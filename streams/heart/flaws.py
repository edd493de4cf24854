"""Flaws: what one rule of a brand file says that its writer can hardly have meant. It may be published all the same.

A phrase is found wherever another that holds it is found; from that alone follows which clause changes nothing and
which can never be met. What cannot be proven so is not said, but for words of every day: those are a guess from a list,
and `streams.heart.preview` shows what they do to real posts.
Knows nothing of other rules, of files or posts, or of what a phrase costs.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from ahocorasick_rs import AhoCorasick

from streams.heart.brands import Brand, phrase, words
from streams.heart.errors import nearest
from streams.heart.everyday import begun, everyday
from streams.heart.nearly import FEWEST_LETTERS, Spellings
from streams.heart.terms import STOP

SOURCES = ("bluesky", "mastodon", "hackernews", "news", "push", "file", "demo")
SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")  # how any source is named
SHORTEST = 3  # letters of a phrase
SHORTEST_PREFIX = 4
WIDEST = 20  # words between the two of near


class Kind(StrEnum):
    """What is wrong. A fixed list."""

    SIGN = "sign"  # a sign that means nothing here
    SCRIPT = "script"  # letters that look alike, or a script without spaces
    SPELT = "spelt"  # a word of none, all or near that any spells otherwise
    REPEATED = "repeated"
    SHADOWED = "shadowed"  # another clause finds all that this one finds
    IDLE = "idle"  # narrows nothing
    DEAD = "dead"  # this clause can never name the brand
    NEVER = "never"  # nothing can
    COMMON = "common"  # a word of every day
    SLIGHT = "slight"  # too short, or numbers only
    TAGS = "tags"
    TITLE = "title"
    BROAD = "broad"  # names posts that name no brand
    OWN = "own"
    LIMIT = "limit"  # languages or sources that do not exist
    UNCHANGED = "unchanged"
    DROPPED = "dropped"  # a later rule says nothing of what an earlier one said
    TOGETHER = "together"  # with another brand
    GROUP = "group"


NOTES = frozenset({Kind.SHADOWED, Kind.SPELT, Kind.TAGS, Kind.TITLE, Kind.DROPPED, Kind.TOGETHER,
                   Kind.GROUP})


Found = Iterator[tuple[Kind, str]]


class Clauses:
    """A rule's phrases as they are said and as they are looked for. Where one is found, all that it holds are."""

    def __init__(self, brand: Brand) -> None:
        self.brand = brand
        self.any = [(said, phrase(said)) for said in brand.any]
        self.all = [(said, phrase(said)) for said in brand.all]
        self.none = [(said, phrase(said)) for said in brand.none]
        self.near = [((a, phrase(a)), (b, phrase(b)), apart) for a, b, apart in brand.near]

    @property
    def lists(self) -> tuple[tuple[str, list[tuple[str, str]]], ...]:
        """The lists by their keys."""
        return ("any", self.any), ("all", self.all), ("none", self.none)

    @property
    def ways(self) -> list[tuple[str, list[str]]]:
        """Each way to be named: as it is said, and the phrases that are found then."""
        musts = [found for _, found in self.all]
        alone = [(f'any holds "{said}"', [found, *musts]) for said, found in self.any]
        pairs = [(f'near holds "{a[0]}", "{b[0]}"', [a[1], b[1], *musts]) for a, b, _ in self.near]
        return alone + pairs or ([("all", musts)] if musts else [])

    @property
    def alone(self) -> list[tuple[str, str, str]]:
        """Phrases that name the brand by themselves: key, as said, as looked for."""
        if not self.all:
            return [("any", *one) for one in self.any]
        return [("all", *self.all[0])] if len(self.all) == 1 and not (self.any or self.near) else []


class Inside:
    """Which of many patterns stand inside another; one pass over it, however many they are."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._automaton = AhoCorasick(patterns) if patterns else None

    def of(self, pattern: str) -> list[str]:
        """Each once, in the order of the patterns; itself too, if it is one."""
        if self._automaton is None:
            return []
        found = self._automaton.find_matches_as_indexes(pattern, overlapping=True)
        return [self._patterns[at] for at in sorted({number for number, _, _ in found})]


def _signs(rule: Clauses) -> Found:
    """Signs that mean something elsewhere: regular expressions, Boolean queries, a forgotten quote."""
    for key, said in _all_said(rule.brand):
        body = said[:-1] if said.endswith("*") else said
        if "*" in body:
            yield Kind.SIGN, f'{key} holds "{said}": a * ends a prefix and means nothing elsewhere'
        elif sign := re.search(r"[|,;\"()\[\]\\^$+]|(?<=\w)[?](?=\w)", body):
            yield Kind.SIGN, f'{key} holds "{said}": {sign[0]} only parts words here; expected one phrase'
        elif re.search(r" (OR|AND|NOT) ", body) and not body.isupper():
            yield Kind.SIGN, f'{key} holds "{said}": OR, AND and NOT are words here; use any, all and none'
        elif re.search(r"[#@](?![\w])", body):
            yield Kind.SIGN, f'{key} holds "{said}": a # or @ with no word after it is lost'


def _all_said(brand: Brand) -> Iterator[tuple[str, str]]:
    for key in ("any", "all", "none"):
        yield from ((key, said) for said in getattr(brand, key))
    yield from (("near", said) for a, b, _ in brand.near for said in (a, b))


_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def _scripts(rule: Clauses) -> Found:
    for key, said in _all_said(rule.brand):
        for word in words(said).split():
            scripts = {unicodedata.name(sign, "").split()[0] for sign in word if sign.isalpha()}
            if len(scripts & {"LATIN", "CYRILLIC", "GREEK"}) > 1:
                yield Kind.SCRIPT, f'{key} holds "{said}": a word with letters of two scripts that look alike'
        if _SPACELESS.search(said):
            yield Kind.SCRIPT, (f'{key} holds "{said}": where a script has no spaces, it is found only between signs, '
                                "not within a sentence")


def _spelt(rule: Clauses) -> Found:
    """A misspelling in any is a way to be named; anywhere else it never does its work."""
    named = {word for _, found in rule.any for word in found.split()}
    spellings = Spellings(named)
    for key, said in _all_said(rule.brand):
        for word in words(said).split() if key != "any" else ():
            may_be = word not in named and len(word) >= FEWEST_LETTERS and not everyday(word)
            if likes := spellings.of(word) if may_be else ():
                yield Kind.SPELT, f'{key} holds "{said}", any spells it "{likes[0]}"'


def _repeated(rule: Clauses) -> Found:
    brand = rule.brand
    for key, values in (("languages", brand.languages), ("sources", brand.sources),
                        ("own.accounts", brand.own.accounts), ("own.tags", tuple(map(phrase, brand.own.tags)))):
        for value, times in Counter(values).items():
            if times > 1:
                yield Kind.REPEATED, f'{key} holds "{value.strip()}" {times} times'
    for key, phrases in rule.lists:
        first = {found: said for said, found in reversed(phrases)}
        for found, times in Counter(found for _, found in phrases).items():
            if times > 1:
                yield Kind.REPEATED, f'{key} holds "{first[found]}" {times} times (case and signs make no difference)'
    pairs = Counter(frozenset((a[1], b[1])) for a, b, _ in rule.near)
    for a, b, _ in rule.near:
        if pairs.pop(frozenset((a[1], b[1])), 0) > 1:
            yield Kind.REPEATED, f'near holds "{a[0]}", "{b[0]}" more than once: the widest counts'


def _shadowed(rule: Clauses) -> Found:
    """Clauses that another makes needless."""
    sayings = {found: said for said, found in reversed(rule.any)}
    inside = Inside(list(sayings))
    for found, said in reversed(sayings.items()):
        wider = next((one for one in inside.of(found) if one != found), "")
        if wider and found != words(rule.brand.title):  # a title is written out so that people see it
            yield Kind.SHADOWED, f'any holds "{said}", found by "{sayings[wider]}" already'
    for a, b, apart in rule.near:
        pair = f'near holds "{a[0]}", "{b[0]}"'
        if wider := next((one for word in (a, b) for one in inside.of(word[1])), ""):
            yield Kind.IDLE, f'{pair}, found by any "{sayings[wider]}" already'
        for outer, inner in ((a, b), (b, a)):
            if inner[1] in outer[1] and outer[1][:outer[1].index(inner[1])].count(" ") <= apart:
                yield Kind.IDLE, f'{pair}: "{outer[0]}" holds "{inner[0]}", so it is found alone, as in any'
                break


def _idle(rule: Clauses) -> Found:
    """Clauses that narrow nothing."""
    named = [[found for found in way if found not in {one for _, one in rule.all}] for _, way in rule.ways]
    for said, found in rule.all:
        if any(found in other and found != other for _, other in rule.all):
            yield Kind.IDLE, f'all holds "{said}", and a phrase that holds it too: it narrows nothing'
        elif (rule.any or rule.near) and all(any(found in one for one in way) for way in named):
            yield Kind.IDLE, f'all holds "{said}", and so does every way to be named: it narrows nothing'
    bars = {found: said for said, found in reversed(rule.none)}
    inside = Inside(list(bars))
    for said, found in rule.none:
        if wider := next((other for other in inside.of(found) if other != found), ""):
            yield Kind.IDLE, f'none holds "{said}", kept out by "{bars[wider]}" already'
    if rule.none and not rule.ways:
        yield Kind.IDLE, "a rule without phrases in any, all or near ends the brand: none keeps nothing out"


def _dead(rule: Clauses) -> Found:
    """Ways to be named that `none` keeps shut."""
    bars = {none: said for said, none in reversed(rule.none)}
    inside, ways = Inside(list(bars)), rule.ways
    shut = [(way, bars[bar]) for way, found in ways
            if (bar := next((none for one in found for none in inside.of(one)), ""))]
    if shut and len(shut) == len(ways):
        yield Kind.NEVER, f'it can never be named: none holds "{shut[0][1]}"'
    else:
        for way, bar in shut:
            yield Kind.DEAD, f'{way}, which none keeps out by "{bar}"'


def _common(rule: Clauses) -> Found:
    """Words of every day that name the brand by themselves."""
    brand = rule.brand
    for key, said, found in rule.alone:
        word = found.strip()
        spoken = everyday(word)
        elsewhere = bool(brand.languages) and not set(spoken) & set(brand.languages)
        if spoken and not elsewhere and not _is_held(rule, found):
            yield Kind.COMMON, (f'{key} holds "{said}", a common word: posts that mean no brand will name it; '
                                "hold it by all, none or languages, or say it in near")
        elif said.endswith("*") and len(word) >= SHORTEST_PREFIX and (longer := begun(word)):
            yield Kind.COMMON, f'{key} holds "{said}", which finds "{longer}", a common word'
    for key, said in _all_said(brand):
        if set(words(said).split()) <= STOP and not said.endswith("*"):
            yield Kind.COMMON, f'{key} holds "{said}", a word of nearly every post'


def _is_held(rule: Clauses, found: str) -> bool:
    """Whether `none` keeps something of a word out: a phrase with it, or one that is about no other phrase of any."""
    others = {word for _, other in rule.any if other != found for word in other.split()}
    return any(found in none or others.isdisjoint(none.split()) for _, none in rule.none)


def _slight(rule: Clauses) -> Found:
    """Phrases with too little in them."""
    for key, said in _all_said(rule.brand):
        word = phrase(said).strip()
        letters = word.lstrip("#@")
        if said.endswith("*") and len(letters) < SHORTEST_PREFIX and " " not in letters:
            yield Kind.SLIGHT, f'{key} holds "{said}", a prefix of fewer than {SHORTEST_PREFIX} letters'
        elif letters.replace(" ", "").isdigit():
            yield Kind.SLIGHT, f'{key} holds "{said}", a number: prices, dates and scores hold it too'
        elif len(letters) < SHORTEST and word not in STOP and letters.isascii():
            yield Kind.SLIGHT, f'{key} holds "{said}", of fewer than {SHORTEST} letters'
    for one, other, apart in rule.brand.near:
        if apart > WIDEST:
            yield Kind.SLIGHT, f'near holds "{one}", "{other}", {apart} apart: farther than most posts are long'


def _tags(rule: Clauses) -> Found:
    """A tag is a word of its own: `#kopisenja` is found neither by "kopi senja" nor by "kopisenja"."""
    found = [one for _, one in rule.any]
    if found and all(one.startswith(" #") for one in found) and not (rule.near or rule.all):
        yield Kind.TAGS, f'any holds hashtags only: "{found[0].strip()[1:]}" without # is not found'
    longer = [one for one in found if " " in one.strip() and "#" not in one and one.endswith(" ")]
    if longer and not any("#" in one for one in found):
        tag = "#" + longer[0].replace(" ", "")
        yield Kind.TAGS, f'any holds no hashtag: "{tag}" is not found'


def _title(rule: Clauses) -> Found:
    """A title that its own rule does not find is most often a phrase that is misspelt."""
    brand, hay = rule.brand, words(rule.brand.title)
    bars = [said for said, one in rule.none if one in hay]
    # One word that counts only beside another is left out of any on purpose.
    if not brand.title or not rule.any or rule.all or (rule.near and len(hay.split()) == 1):
        return
    if not any(all(one in hay for one in way) for _, way in rule.ways):
        yield Kind.TITLE, f'a post that says "{brand.title}", its title, does not name it'
    elif bars:
        yield Kind.TITLE, f'a post that says "{brand.title}", its title, is kept out by none "{bars[0]}"'


_OURS: dict[str, tuple[re.Pattern[str], str]] = {
    "bluesky": (re.compile(r"did:(plc|web):[a-z0-9.:%_-]+\Z"), "a DID, such as did:plc:…; a handle can change hands"),
    "mastodon": (re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+\Z"), "user@host"),
    "hackernews": (re.compile(r"[A-Za-z0-9_-]{2,15}\Z"), "a user's name"),
}


def _own(rule: Clauses) -> Found:
    brand = rule.brand
    for account in brand.own.accounts:
        source, _, native = account.partition(":")
        shape, expected = _OURS.get(source, (None, ""))
        if shape and not shape.match(native):
            yield Kind.OWN, f'own.accounts holds "{account}": {source} calls an account otherwise; expected {expected}'
        if brand.sources and source not in brand.sources:
            yield Kind.OWN, f'own.accounts holds "{account}", but {source} is not in sources'
        elif source not in SOURCES and (hint := nearest(source, SOURCES)):
            yield Kind.OWN, f'own.accounts holds "{account}": no known source {source}{hint}'
    for tag in brand.own.tags:
        if rule.any and not any(found in phrase(tag) for _, found in rule.any):
            yield Kind.TAGS, f'own.tags holds "{tag}", any does not: a post with only the tag is no mention'


def _limits(rule: Clauses) -> Found:
    for language in rule.brand.languages:
        if not re.fullmatch("[a-z]{2,3}", language):
            yield Kind.LIMIT, f'languages holds "{language}": expected a code of ISO 639, such as id or en'
    for source in rule.brand.sources:
        if not SOURCE.match(source):
            yield Kind.LIMIT, f'sources holds "{source}": a source is named in small letters'
        elif source not in SOURCES and (hint := nearest(source, SOURCES)):
            yield Kind.LIMIT, f'sources holds "{source}", no known source{hint}'


CHECKS: tuple[Callable[[Clauses], Found], ...] = (
    _signs, _scripts, _spelt, _repeated, _shadowed, _idle, _dead, _common, _slight, _tags, _title, _own, _limits)
