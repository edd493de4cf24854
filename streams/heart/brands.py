"""Brands: which posts name them. One automaton over all phrases of all brands; a post that names none costs no more.

A brand file is TOML:

    number = 3                              # rises with every published file
    published = 2026-11-25T06:00:00Z

    [[brand]]
    name = "kopi-senja"                     # the label of every figure: [a-z0-9-]
    title = "Kopi Senja"
    any = ["kopi senja", "kopisenja*", "#kopisenja"]    # any one of these names it; * ends a prefix
    near = [["senja", "kopi", 3]]           # or these two, at most 3 words apart
    all = []                                # and every one of these
    none = ["kopi senja hari"]              # and none of these
    languages = ["id", "en"]                # only posts in these; empty: any
    sources = []                            # only posts of these; empty: any
    from = 2026-11-25T06:30:00Z             # the event time from which this rule holds; absent: always
    group = "coffee"                        # brands that are compared with one another: share of voice
    own.accounts = ["bluesky:did:plc:…"]    # source:account, as that source calls it: what they write, what is said to
    own.tags = ["#senjahemat"]              # them, and what carries one of these tags, the brand has prompted itself

Phrases match whole words, after NFKC and case folding; `#` and `@` belong to their word, other punctuation parts words.
Two entries of one name are two rules of one brand: a post is matched by the one in force at its `created_at`, so an old
post meets the old rule wherever and whenever it is read. That is why a changed rule starts in the future: at least
15 minutes after `published`, time for every worker to read it. Who is an own account, and what is a campaign's tag,
may change at any time: it decides what a mention is called, not whether it is one.
Knows nothing of files, Kafka, models or how a language is found.
"""

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from ahocorasick_rs import AhoCorasick

from streams.heart.errors import BadBrands, nearest
from streams.heart.post import COMBINING, Post, epoch_ms, visible

NOTICE_MS = 15 * 60_000  # from `published` to the first `from`
ALWAYS = -(2**62)
MAX_RULES = 65_535  # by the time from which they hold: a mention's row has two bytes for it

_WORD = re.compile(rf"(?:(?<!\w)[#@])?[\w{COMBINING}]+")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}:\S{1,200}\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")

Words = Annotated[int, msgspec.Meta(ge=1, le=50)]


class Own(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A brand's own hand: its accounts, `source:id` as that source calls them, and the tags of its campaigns."""

    accounts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Brand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """One rule of one brand, as the file states it."""

    name: str
    title: str = ""
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    near: tuple[tuple[str, str, Words], ...] = ()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    since: datetime | None = None
    group: str = ""
    own: Own = Own()

    @property
    def since_ms(self) -> int:
        """The event time from which the rule holds, ms UTC."""
        return ALWAYS if self.since is None else epoch_ms(self.since)

    @property
    def rule(self) -> str:
        """The rule's name within its brand: when it began."""
        return "always" if self.since is None else self.since.isoformat()


class BrandFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written, checked for types only; `Brands` checks the rest."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    published: datetime
    brand: tuple[Brand, ...]


class Match(msgspec.Struct, frozen=True):
    """A brand that a post names, and the rule that says so. `tagged`: it carries a tag of the brand's campaign."""

    brand: str
    rule: str
    tagged: bool = False


def words(text: str) -> str:
    """A text as its words: NFKC, case-folded, single spaces between and around.

    >>> words("KOPI-Senja, enak! #KopiSenja ＡＢＣ")
    ' kopi senja enak #kopisenja abc '
    """
    folded = text.lower() if text.isascii() else unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", visible(text)).casefold())
    return " " + " ".join(_WORD.findall(folded)) + " "


def phrase(said: str) -> str:
    """A phrase as the automaton looks for it: closed by a space, or open after a `*`.

    >>> phrase("Kopi Senja"), phrase("kopisenja*")
    (' kopi senja ', ' kopisenja')
    """
    return words(said[:-1])[:-1] if said.endswith("*") else words(said)


class Brands:
    """A checked brand file, ready to match. Built once per file, off the event loop; never changed."""

    def __init__(self, file: BrandFile) -> None:
        self.file = file
        _check(file)
        self._until = ends_of(file.brand)
        phrases: dict[str, int] = {}
        self._rules = [_Compiled(brand, phrases) for brand in file.brand]
        self._asks: dict[int, list[int]] = defaultdict(list)
        for at, rule in enumerate(self._rules):
            for number in rule.wakes:
                self._asks[number].append(at)
        self._automaton = AhoCorasick(list(phrases)) if phrases else None
        self._handles = _handles(file)
        self._owners: dict[str, list[int]] = defaultdict(list)
        for at, brand in enumerate(file.brand):
            for account in brand.own.accounts:
                self._owners[account].append(at)

    @classmethod
    def parse(cls, toml: str) -> "Brands":
        """Reads the text of a brand file. Raises `BadBrands`, naming the key and the nearest known one."""
        try:
            file = msgspec.toml.decode(toml, type=BrandFile)
        except msgspec.ValidationError as error:
            raise BadBrands(_explained(str(error))) from None
        except (msgspec.DecodeError, ValueError) as error:
            raise BadBrands(f"not TOML: {error}") from None
        return cls(file)

    @property
    def number(self) -> int:
        """The file's number, which only rises."""
        return self.file.number

    @property
    def names(self) -> tuple[str, ...]:
        """Every brand once, in the file's order."""
        return tuple(dict.fromkeys(brand.name for brand in self.file.brand))

    def title(self, name: str) -> str:
        """What people call the brand."""
        return next((b.title for b in reversed(self.file.brand) if b.name == name and b.title), name)

    def called(self, name: str) -> frozenset[str]:
        """All that a brand is called: words that every post about it may hold explain nothing."""
        rules = [rule for rule in self.file.brand if rule.name == name]
        near = [word for rule in rules for one, other, _ in rule.near for word in (one, other)]
        return frozenset(near).union(*([rule.name, rule.title, *rule.any, *rule.all, *rule.own.tags] for rule in rules))

    def match(self, text: str, source: str, event_ms: int) -> list[tuple[Match, tuple[str, ...]]]:
        """The brands a post names, each with the languages it is limited to (none: any), in the file's order."""
        if self._automaton is None:
            return []
        hay = words(text)
        found = self._automaton.find_matches_as_indexes(hay, overlapping=True)
        if not found:
            return []
        hits: dict[int, list[int]] = defaultdict(list)
        for number, start, _ in found:
            hits[number].append(start)
        woken = sorted({at for number in hits for at in self._asks.get(number, ())})
        return [
            (Match(brand.name, brand.rule, self._rules[at].is_tagged(hits)), brand.languages)
            for at in woken
            if (brand := self.file.brand[at]).since_ms <= event_ms < self._until[at]
            and (not brand.sources or source in brand.sources)
            and self._rules[at].holds(hits, hay)
        ]

    def of(self, post: Post) -> list[tuple[Match, tuple[str, ...]]]:
        """`match` for a post."""
        return self.match(post.text, post.source, post.event_ms)

    def speaks_of(self, handle: str) -> bool:
        """Whether a phrase of this file names this handle, `@` and all: it is a brand's then, and no person's."""
        said = words(handle).strip()
        exact, prefixes = self._handles
        return said in exact or said.startswith(prefixes)

    def owned(self, source: str, accounts: Iterable[str], event_ms: int) -> tuple[str, ...]:
        """The brands that one of these accounts (as the source calls them) belongs to, by the rules then in force."""
        rules = {at for account in accounts for at in self._owners.get(f"{source}:{account}", ())}
        return tuple(dict.fromkeys(self.file.brand[at].name for at in sorted(rules)
                                   if self.file.brand[at].since_ms <= event_ms < self._until[at]))

    def follows(self, old: "Brands") -> None:
        """Checks that this file may replace `old` in a running worker. Raises `BadBrands` where it may not."""
        if self.number <= old.number:
            raise BadBrands(f"number = {self.number}: the running file has {old.number}, and numbers only rise")
        ready = epoch_ms(self.file.published) + NOTICE_MS
        kept = set(map(_ruling, old.file.brand))
        for brand in self.file.brand:
            if _ruling(brand) not in kept and brand.since_ms < ready:
                raise BadBrands(f"brand {brand.name!r}: a new or changed rule needs a `from` at least 15 minutes after "
                                f"`published`, so that every worker has it in time")
        rules = {(b.name, b.rule) for b in self.file.brand}
        for brand in old.file.brand:
            if (brand.name, brand.rule) not in rules:
                raise BadBrands(f"brand {brand.name!r}: its rule from {brand.rule} is gone; older posts still need it "
                                f"(to end a brand, add an entry with a `from` and no phrases)")


def _ruling(brand: Brand) -> Brand:
    """The brand without what decides nothing."""
    return msgspec.structs.replace(brand, title="", group="", own=Own())


class _Compiled:
    """One rule over the numbers of its phrases."""

    def __init__(self, brand: Brand, phrases: dict[str, int]) -> None:
        def number(said: str) -> int:
            return phrases.setdefault(phrase(said), len(phrases))

        self.any = frozenset(map(number, brand.any))
        self.all = frozenset(map(number, brand.all))
        self.none = frozenset(map(number, brand.none))
        self.near = [(number(a), number(b), apart) for a, b, apart in brand.near]
        self.tags = frozenset(map(number, brand.own.tags))
        # A rule is looked at only when one of these is found.
        self.wakes = self.any | {a for a, _, _ in self.near} or self.all

    def is_tagged(self, hits: dict[int, list[int]]) -> bool:
        """Whether one of the campaign's tags was found."""
        return not self.tags.isdisjoint(hits.keys())

    def holds(self, hits: dict[int, list[int]], hay: str) -> bool:
        """Whether the rule is met by the phrases found, `hits`: number -> where each begins in `hay`."""
        found = hits.keys()
        named = not (self.any or self.near) or not self.any.isdisjoint(found) or any(
            distance(hits[a], hits[b], hay) <= apart for a, b, apart in self.near if a in found and b in found)
        return named and self.all <= found and self.none.isdisjoint(found)


def _handles(file: BrandFile) -> tuple[frozenset[str], tuple[str, ...]]:
    """The handles in the phrases of a file, whole and as prefixes."""
    said = {phrase for brand in file.brand
            for phrase in (*brand.any, *brand.all, *brand.none, *(word for a, b, _ in brand.near for word in (a, b)))}
    found = {(word, phrase.endswith("*") and words(phrase).endswith(f"{word} "))
             for phrase in said for word in words(phrase.removesuffix("*")).split() if word.startswith("@")}
    return (frozenset(word for word, is_open in found if not is_open),
            tuple(sorted(word for word, is_open in found if is_open)))


def distance(one: Iterable[int], other: Iterable[int], hay: str) -> int:
    """The least number of words from a beginning of one phrase to a beginning of the other: where each begins."""
    spaces = [at for at, sign in enumerate(hay) if sign == " "]
    places = sorted((bisect_left(spaces, at), which) for which, found in enumerate((one, other)) for at in found)
    # The two that are nearest stand beside each other.
    return min(after - before for (before, a), (after, b) in pairwise(places) if a != b)


def ends_of(brands: Sequence[Brand]) -> list[int]:
    """For each rule the event time at which the next one of its brand takes over."""
    ends = [-ALWAYS] * len(brands)
    order = sorted(range(len(brands)), key=lambda at: (brands[at].name, brands[at].since_ms))
    for at, after in pairwise(order):
        if brands[at].name == brands[after].name:
            ends[at] = brands[after].since_ms
    return ends


def _check(file: BrandFile) -> None:
    seen: set[tuple[str, int]] = set()
    if file.published.tzinfo is None:
        raise BadBrands("published: needs a time zone, such as 2026-11-25T06:00:00Z")
    if len({brand.rule for brand in file.brand}) > MAX_RULES:
        raise BadBrands(f"more than {MAX_RULES} different times in `from`")
    published = epoch_ms(file.published)
    for brand in file.brand:
        where = f"brand {brand.name!r}"
        if not _NAME.match(brand.name):
            raise BadBrands(f"{where}: name may hold a-z, 0-9 and -, at most 63 of them")
        if brand.since is not None and brand.since.tzinfo is None:
            raise BadBrands(f"{where}: from needs a time zone")
        if (brand.name, brand.since_ms) in seen:
            raise BadBrands(f"{where}: two rules from the same time on; put the phrases into one entry, or give "
                            f"the later one a `from`")
        seen.add((brand.name, brand.since_ms))
        if published < brand.since_ms < published + NOTICE_MS:
            raise BadBrands(f"{where}: from = {brand.rule} is less than 15 minutes after published")
        if brand.since is None and not (brand.any or brand.all or brand.near):
            raise BadBrands(f"{where}: no phrase in any, all or near: it would never be named")
        _check_phrases(where, brand)


def _check_phrases(where: str, brand: Brand) -> None:
    for key in ("any", "all", "none"):
        for said in getattr(brand, key):
            if not words(said).strip():
                raise BadBrands(f"{where}: {key} holds {said!r}, in which no word is left")
    for tag in brand.own.tags:
        if not tag.startswith("#") or len(words(tag).split()) != 1:
            raise BadBrands(f"{where}: own.tags holds {tag!r}, expected one word that begins with #")
    for account in brand.own.accounts:
        if not _ACCOUNT.match(account):
            raise BadBrands(f"{where}: own.accounts holds {account!r}, expected source:account as that source calls it")
    for a, b, _ in brand.near:
        if not words(a).strip() or not words(b).strip():
            raise BadBrands(f"{where}: near holds a phrase in which no word is left")


_PUBLISHED, _FROM = "published = 2026-11-25T06:00:00Z", "from = 2026-11-25T06:30:00Z"
_MISSING = {
    "number": "it rises with every published file, and the first has number = 1",
    "published": f"the time of publication, such as {_PUBLISHED}",
    "brand": "every brand begins with a line [[brand]]",
    "name": 'what figures call the brand, such as name = "kopi-senja"',
}
_LISTS = {
    "brand": "every brand begins with a line [[brand]], in double brackets",
    "any": 'any = ["kopi senja"]', "all": 'all = ["kopi senja"]', "none": 'none = ["kopi senja hari"]',
    "near": 'near = [["senja", "kopi", 3]]', "languages": 'languages = ["id"]', "sources": 'sources = ["bluesky"]',
    "own.accounts": 'own.accounts = ["bluesky:did:plc:…"]', "own.tags": 'own.tags = ["#senjahemat"]',
}
_PLACE = re.compile(r" - at `\$\.(?:brand\[(\d+)\]\.?)?([a-z.]*)(.*)`")


def _explained(said: str) -> str:
    """msgspec's words in ours: which brand, counted from 1, which key, and what to write.

    >>> _explained("Expected `array`, got `str` - at `$.brand[0].any`")
    'brand 1: any is a list: any = ["kopi senja"]'
    """
    found = _PLACE.search(said)
    number, key, item = found.groups() if found else (None, "", "")
    what = said[: found.start()] if found else said
    place = f"brand {int(number) + 1}" if number else ""
    if unknown := re.search(r"unknown field `([^`]*)`", what):
        kind: Any = Own if key == "own" else Brand if place else BrandFile
        within = " of ".join(filter(None, (key, place)))
        return (f"unknown key {unknown[1]!r}{' in ' * bool(within)}{within}"
                f"{nearest(unknown[1], kind.__struct_encode_fields__)}")
    return f"{place}{': ' * bool(place)}{_mistake(what, key, item)}"


def _mistake(what: str, key: str, item: str) -> str:
    if missing := re.search(r"missing required field `(\w+)`", what):
        return f"{missing[1]} is missing: {_MISSING[missing[1]]}"
    if key == "own":
        return "own is two lists: say own.accounts and own.tags"
    if what.startswith("Expected `datetime"):
        return f"{key} needs a time and a zone, such as {_PUBLISHED if key == 'published' else _FROM}"
    if what.startswith("Expected `array`") and key in _LISTS:
        return f"{key} is a list{' of lists' * (key == 'near')}: {_LISTS[key]}"
    return f"{key}{item}: {what[:1].lower()}{what[1:]}"
