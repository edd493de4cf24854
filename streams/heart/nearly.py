"""Nearly: phrases that a text almost holds: a letter off, a word short, its words apart.

    nearly = Nearly([["quovira", "kopi senja asli"]])
    nearly.of(words("kopi asli quovirra").split())      # {0: [Almost(Why.SPELT, …), Almost(Why.MISSING, …)]}

Knows nothing of rules, posts or of which texts are looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from streams.heart.brands import words
from streams.heart.everyday import everyday
from streams.heart.terms import STOP

FEWEST_LETTERS = 5  # of a word that may be misspelt: shorter ones are one letter off many others
MOST_PHRASES = 1_000  # a word of more phrases than that tells nothing of any one of them
SUFFIXES = ("nya", "ku", "mu", "lah", "kah", "pun")
REMEMBERED = 200_000  # words of texts


class Why(StrEnum):
    """Why a post is near to the decision. A fixed list, in the order in which they are shown."""

    NONE = "kept_out"  # by none
    COMMON = "common_word"  # named by it alone
    PREFIX = "prefix"
    NEAR = "near"  # just near enough
    FAR = "too_far"
    SPELT = "misspelt"
    MISSING = "word_missing"
    APART = "words_apart"
    ALL = "without_all"
    LANGUAGE = "language"


class Almost(NamedTuple):
    """One reason, and in a few words how."""

    why: Why
    how: str


class _Phrase(NamedTuple):
    rule: int
    said: str
    row: list[str]


class Nearly:
    """The phrases of many rules, by their words. What is not near costs a look into two tables for each word."""

    def __init__(self, rules: Sequence[Iterable[str]]) -> None:
        """`rules`: the phrases of each; those that end in * are left out, they find more than enough."""
        self._single: dict[str, list[_Phrase]] = defaultdict(list)
        self._longer: dict[str, list[_Phrase]] = defaultdict(list)
        for at, said in ((at, said) for at, rule in enumerate(rules) for said in rule if not said.endswith("*")):
            phrase = _Phrase(at, said, words(said).split())
            self._single["".join(phrase.row)].append(phrase)  # written as one word, a phrase is nearly itself
            for word in dict.fromkeys(phrase.row if len(phrase.row) > 1 else ()):
                self._longer[word].append(phrase)
        self._spellings = Spellings({*self._single, *self._longer})
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, row: Sequence[str]) -> dict[int, list[Almost]]:
        """Rule -> how the words of a text nearly hold a phrase of it."""
        found: dict[int, list[Almost]] = defaultdict(list)
        present: dict[int, tuple[_Phrase, set[str]]] = {}
        for word in dict.fromkeys(row):
            for like in self._like(word):
                for phrase in self._few(self._single, like):
                    if word != phrase.row[0] or len(phrase.row) > 1:
                        found[phrase.rule].append(Almost(Why.SPELT, f'"{word}" is nearly "{phrase.said}"'))
                for phrase in self._few(self._longer, like):
                    present.setdefault(id(phrase), (phrase, set()))[1].add(like)
        for phrase, seen in present.values():
            if almost := _almost(phrase, seen, row):
                found[phrase.rule].append(almost)
        return found

    def _few(self, index: dict[str, list[_Phrase]], word: str) -> list[_Phrase]:
        phrases = index.get(word, [])
        return phrases if len(phrases) <= MOST_PHRASES else []

    def _like(self, word: str) -> tuple[str, ...]:
        """Words of phrases that are this one or nearly so; most words are like none."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[word] = tuple(sorted(self._off(word)))
        return known

    def _off(self, word: str) -> Iterator[str]:
        if word in self._single or word in self._longer:
            yield word
        if word in STOP or everyday(word):
            return  # "apply" is no "apple"
        yield from self._spellings.of(word)


class Spellings:
    """Words by what is left of them without a letter: which of them another nearly is costs a few looks into a table.

    >>> Spellings({"quovira", "lumora"}).of("quovirra")
    ('quovira',)
    """

    def __init__(self, known: Iterable[str]) -> None:
        """`known`: those with fewer than `FEWEST_LETTERS` are like none."""
        self._short: dict[str, set[str]] = defaultdict(set)
        for word in known:
            for less in _shortened(word):
                self._short[less].add(word)

    def of(self, word: str) -> tuple[str, ...]:
        """Those that a word nearly is, in the order of the alphabet."""
        likes = {like for less in {*_shortened(word), *_bare(word)} for like in self._short.get(less, ())}
        return tuple(sorted(like for like in likes if is_like(word, like)))


def _shortened(word: str) -> set[str]:
    """The word, and all that it is without one of its letters."""
    if len(word) < FEWEST_LETTERS or len(word) > 40:
        return set()
    return {word, *(word[:at] + word[at + 1:] for at in range(len(word)))}


def _bare(word: str) -> list[str]:
    """The word without a suffix that Indonesian writes onto names."""
    return [bare for suffix in SUFFIXES if (bare := word.removesuffix(suffix)) != word]


def is_like(one: str, other: str) -> bool:
    """Whether a word is another with a suffix, one letter off, or with two neighbours changed about.

    >>> [is_like(word, "senja") for word in ("senjanya", "senjja", "senka", "sejna", "senja", "selca")]
    [True, True, True, True, False, False]
    """
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[at:], other[at:]
    swapped = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    off = left[1:] == right[1:] or left[1:] == right or left == right[1:] or swapped
    return one != other and (off or other in _bare(one))


def _almost(phrase: _Phrase, seen: set[str], row: Sequence[str]) -> Almost | None:
    """How a text in which some words of a phrase were seen, or words like them, nearly holds it."""
    needed = set(phrase.row)
    exact = needed.intersection(row)
    if len(seen & needed) == len(needed):
        size = len(phrase.row)
        for at in range(len(row) - size + 1):
            there = row[at:at + size]
            off = [(a, b) for a, b in zip(there, phrase.row, strict=True) if a != b]
            if not off:
                return None
            if len(off) == 1 and is_like(*off[0]):
                return Almost(Why.SPELT, f'"{" ".join(there)}" is nearly "{phrase.said}"')
    if len(exact) == len(needed):
        return Almost(Why.APART, f'the words of "{phrase.said}", not together')
    telling = {word for word in exact if word not in STOP}
    if len(needed) > 2 and len(exact) == len(needed) - 1 and len(telling) > 1:
        return Almost(Why.MISSING, f'{len(exact)} of {len(needed)} words of "{phrase.said}"')
    return None
