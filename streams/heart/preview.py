"""Preview: what the rules of a brand file would do to posts: how many each names, which, and which it nearly does.

    preview = Preview(brands, judge)
    for post in posts:
        preview.see(post.text, post.lang, post.event_ms)
    preview.told()

Each brand's latest rule is tried, as if it had always held: a draft is tried on old posts. Where no source is named,
every rule meets every post. Of posts no more are kept than are shown: those whose hashes are smallest, so the same file
gives the same examples, in whatever order it is read, and a text that was copied is shown once.
Knows nothing of files, of how a language is found, or of how a preview is shown.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from math import sqrt
from typing import NamedTuple

import msgspec

from streams.heart.brands import Brand, BrandFile, Brands, distance, words
from streams.heart.everyday import everyday
from streams.heart.flaws import Clauses, Inside
from streams.heart.nearly import Almost, Nearly, Why
from streams.heart.post import id64

SHOWN = 5
FARTHER = 5  # words beyond `near` that are still a near miss
SHORTEST_MS = 600_000  # of posts: in less, a rate says nothing
MOST_TOGETHER = 20  # brands of one post whose pairs are counted
Z95 = 1.96

Judge = Callable[[str, str | None], str]  # a text and its declared language -> its language


class Shown(NamedTuple):
    """A post that is shown, and if it is borderline, why."""

    text: str
    how: str = ""


class Rate(NamedTuple):
    """Posts an hour, and its 95 % interval if they came independently of each other (copies and news do not)."""

    hourly: float
    lower: float
    upper: float


class Tried(NamedTuple):
    """What one brand's rule does. `doubts`: how many posts are borderline, by why. `tagged`: with a tag of its own."""

    brand: str
    title: str
    matches: int
    tagged: int
    share: float
    rate: Rate | None
    doubts: dict[Why, int]
    examples: tuple[Shown, ...]
    borderline: tuple[Shown, ...]


class Told(NamedTuple):
    """The whole. `together`: posts that name both of two brands, most first."""

    posts: int
    span_ms: tuple[int, int] | None
    named: int
    brands: tuple[Tried, ...]
    together: tuple[tuple[str, str, int], ...]


def tried(file: BrandFile, source: str = "") -> Brands:
    """The latest rule of each brand, as if it had always held; of every source, unless one is named. None has ended."""
    latest = {brand.name: brand for brand in sorted(file.brand, key=lambda brand: brand.since_ms)}
    kept = tuple(
        msgspec.structs.replace(brand, since=None, sources=brand.sources if source else ())
        for name in dict.fromkeys(brand.name for brand in file.brand)
        if (brand := latest[name]).any or brand.all or brand.near)
    return Brands(msgspec.structs.replace(file, brand=kept))


class Preview:
    """Takes posts one by one, in any order."""

    def __init__(self, brands: Brands, judge: Judge, source: str = "") -> None:
        self._brands = tried(brands.file, source)
        self._judge = judge
        self._source = source
        self._rules = [_Rule(brand) for brand in self._brands.file.brand]
        self._at = {rule.brand.name: at for at, rule in enumerate(self._rules)}
        self._nearly = Nearly([rule.brand.any for rule in self._rules])
        self._wakes = _wakes(self._rules)
        self._inside = Inside(list(self._wakes))
        self._together: Counter[tuple[int, int]] = Counter()
        self._posts = self._named = 0
        self._span: tuple[int, int] | None = None

    def see(self, text: str, declared: str | None, event_ms: int) -> None:
        """Takes a post."""
        self._posts += 1
        first, last = self._span or (event_ms, event_ms)
        self._span = (min(first, event_ms), max(last, event_ms))
        found = {self._at[match.brand]: match for match, _ in self._brands.match(text, self._source, event_ms)}
        hay = words(text)
        nearly = self._nearly.of(hay.split())
        candidates = {*found, *nearly, *(at for pattern in self._inside.of(hay) for at in self._wakes[pattern])}
        language = self._judge(text, declared) if any(self._rules[at].brand.languages for at in found) else ""
        named = []
        for at in sorted(candidates):
            rule = self._rules[at]
            limited = at in found and rule.brand.languages and language not in rule.brand.languages
            if at in found and not limited:
                named.append(at)
                rule.take(text, found[at].tagged, rule.hardly(hay))
            elif limited:
                rule.doubt(text, Almost(Why.LANGUAGE, f"its language: {language}"))
            elif almost := rule.missed(hay) or min(nearly.get(at, ()), key=_plainest, default=None):
                rule.doubt(text, almost)
        self._named += bool(named)
        self._together.update(combinations(named[:MOST_TOGETHER], 2))

    def told(self) -> Told:
        """What was seen so far."""
        pairs = [(self._rules[a].brand.name, self._rules[b].brand.name, posts)
                 for (a, b), posts in self._together.most_common()]
        return Told(self._posts, self._span, self._named, tuple(map(self._tried, self._rules)), tuple(pairs))

    def _tried(self, rule: "_Rule") -> Tried:
        first, last = self._span or (0, 0)
        rate = None
        if last - first >= SHORTEST_MS:
            hours = (last - first) / 3_600_000
            lower, upper = poisson(rule.matches)
            rate = Rate(rule.matches / hours, lower / hours, upper / hours)
        return Tried(rule.brand.name, rule.brand.title or rule.brand.name, rule.matches, rule.tagged,
                     rule.matches / max(self._posts, 1), rate, {why: n for why in Why if (n := rule.doubts[why])},
                     tuple(rule.examples), tuple(rule.borderline()))


def poisson(count: int) -> tuple[float, float]:
    """A 95 % interval of what a count is drawn from (Byar; within 2 % of the exact one from 4 on).

    >>> [round(end, 1) for end in poisson(0) + poisson(100)]
    [0.0, 3.7, 81.4, 121.6]
    """
    more = count + 1
    lower = count * max(1 - 1 / (9 * count) - Z95 / (3 * sqrt(count)), 0) ** 3 if count else 0.0
    return lower, more * (1 - 1 / (9 * more) + Z95 / (3 * sqrt(more))) ** 3


def _wakes(rules: Sequence["_Rule"]) -> dict[str, list[int]]:
    """Pattern -> rules that may nearly be met where it stands."""
    wakes: dict[str, dict[int, None]] = {}
    for at, rule in enumerate(rules):
        for pattern in rule.looked_at:
            wakes.setdefault(pattern, {})[at] = None
    return {pattern: list(found) for pattern, found in wakes.items()}


def _plainest(almost: Almost) -> tuple[str, int, str]:
    return almost.why, len(almost.how), almost.how


class _Few:
    """The few texts with the smallest hashes, each once."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Shown]] = []

    def add(self, shown: Shown) -> None:
        """Takes a text; most are forgotten at once."""
        rank = -id64(shown.text)
        if len(self._heap) == SHOWN and rank <= self._heap[0][0]:
            return
        if all(rank != kept for kept, _ in self._heap):
            (heapq.heappush if len(self._heap) < SHOWN else heapq.heapreplace)(self._heap, (rank, shown))

    def __iter__(self) -> Iterator[Shown]:
        return (shown for _, shown in sorted(self._heap, reverse=True))


class _Rule(Clauses):
    """A rule, and what it did."""

    def __init__(self, brand: Brand) -> None:
        super().__init__(brand)
        self.matches = self.tagged = 0
        self.examples = _Few()
        self.doubts: Counter[Why] = Counter()
        self._kept = {why: _Few() for why in Why}

    @property
    def looked_at(self) -> list[str]:
        """Patterns without which it is no near miss but by spelling: what `none` or `all` keeps out holds any."""
        named = self.any if self.none or self.all else ()
        return [pattern for _, pattern in (*named, *(a for a, _, _ in self.near))]

    def take(self, text: str, tagged: bool, hardly: Almost | None) -> None:
        """A post that names the brand."""
        self.matches += 1
        self.tagged += tagged
        self.examples.add(Shown(text))
        if hardly:
            self.doubt(text, hardly)

    def doubt(self, text: str, almost: Almost) -> None:
        """A borderline post."""
        self.doubts[almost.why] += 1
        self._kept[almost.why].add(Shown(text, almost.how))

    def borderline(self) -> list[Shown]:
        """A few of them, of as many kinds as there are."""
        kinds = [list(kept) for kept in self._kept.values()]
        turns = [kind[at] for at in range(SHOWN) for kind in kinds if at < len(kind)]
        return turns[:SHOWN]

    def hardly(self, hay: str) -> Almost | None:
        """Whether a text that names it does so by one clause only, and a weak one."""
        any_ = [(said, found) for said, found in self.any if found in hay]
        near = [(a[0], b[0], apart, wide) for a, b, wide in self.near
                if a[1] in hay and b[1] in hay and (apart := _apart(a[1], b[1], hay)) <= wide]
        if len(any_) + len(near) != 1:
            return None
        if near:
            a, b, apart, wide = near[0]
            return Almost(Why.NEAR, f'only by near "{a}", "{b}": {apart} apart') if apart == wide > 1 else None
        said, found = any_[0]
        at = hay.index(found) + 1
        word = hay[at:hay.index(" ", at + len(found.strip()))]
        if word != found.strip():
            return Almost(Why.PREFIX, f'only by "{said}": {word}')
        return Almost(Why.COMMON, f'only by "{said}"') if everyday(word) else None

    def missed(self, hay: str) -> Almost | None:
        """Why a text that holds what names the brand does not name it."""
        present = [(a, b, wide, _apart(a[1], b[1], hay)) for a, b, wide in self.near if a[1] in hay and b[1] in hay]
        named = any(found in hay for _, found in self.any) or any(apart <= wide for _, _, wide, apart in present)
        bars = [said for said, found in self.none if found in hay]
        lacking = [said for said, found in self.all if found not in hay]
        if named and bars and not lacking:
            return Almost(Why.NONE, f'kept out by none "{bars[0]}"')
        if named and len(lacking) == 1 and not bars:
            return Almost(Why.ALL, f'without all "{lacking[0]}"')
        far = [(apart, wide, a[0], b[0]) for a, b, wide, apart in present if wide < apart <= wide + FARTHER]
        if far and not (named or bars or lacking):
            apart, wide, one, other = min(far)
            return Almost(Why.FAR, f'near "{one}", "{other}": {apart} apart, {wide} allowed')
        return None


def _apart(one: str, other: str, hay: str) -> int:
    """How far apart two phrases are at least; both are there."""
    return distance(_places(one, hay), _places(other, hay), hay)


def _places(found: str, hay: str) -> Iterator[int]:
    at = hay.find(found)
    while at >= 0:
        yield at
        at = hay.find(found, at + 1)
