"""The demo's public: thousands of invented people who talk about invented brands, as a seeded stream.

    public = Public(seed=7, rate_per_s=100.0, start_ms=1_577_836_800_000)
    for happening in public:          # endless, in the order of sending, the same for the same seed
        wait until public.pace.due_s(happening.at_ms) seconds after the start
        send happening.key, happening.value with the Kafka timestamp happening.at_ms

It lives on its own clock, by default 240 times faster than the watcher's: a day and a night in six minutes. It does
what real sources do to us: some people are loud, texts are copied, posts are edited, removed (sometimes before they
arrive, sometimes they come again afterwards), sent twice, late, later than the grace, dated in the future, written in
languages nobody promised to score, about nothing we listen to, or plainly broken.

**Where to plan something**: `Mood.at` says how a brand is spoken of at a moment, and nothing else does.
Values in, values out: no clock, no I/O but the packaged phrases. Knows nothing of Kafka, windows or scores.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from typing import Any
from zlib import crc32

import msgspec

from streams.heart.errors import BadSetting, nearest
from streams.heart.post import MAX_CHARS, Kind, Post, encode, from_ms, post_key, pseudonym
from streams.sources.sayings import Lean, Sayings, Subject

SOURCE = "demo"
SECRET = b"denyut demo: these people do not exist"  # nobody to protect, and the same ids for everybody who runs it
START_MS = 1_577_836_800_000  # 2020-01-01, when the demo's brand rules begin to hold
SPEED = 240.0  # a day in six minutes

_S, _MIN, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_LOCAL_MS = 7 * _HOUR  # Western Indonesian Time: when this public sleeps
_PEOPLE = 50_000
_NEUTRAL = 0.30  # share of posts that lean nowhere


class What(StrEnum):
    """What a happening is, for whoever wants to count them; it is not sent."""

    POST = "post"
    COPY = "copy"
    EDIT = "edit"
    REMOVAL = "removal"
    EARLY_REMOVAL = "early_removal"  # overtakes its post
    AGAIN = "again"  # the same record once more, sometimes after the removal
    LATE = "late"  # beyond the delay, inside the grace
    STALE = "stale"  # beyond the grace
    EARLY = "early"  # dated in the future
    FOREIGN = "foreign"
    OTHER = "other"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Happening:
    """One record of `denyut.posts`, and when it is sent on the public's clock. A value of None is a removal."""

    at_ms: int
    key: bytes
    value: bytes | None
    what: What


@dataclass(frozen=True, slots=True)
class Pace:
    """The public's clock against the watcher's.

    >>> pace = Pace(start_ms=0, speed=240.0)
    >>> pace.due_s(86_400_000), pace.now_ms(360.0)
    (360.0, 86400000)
    """

    start_ms: int
    speed: float

    def due_s(self, at_ms: int) -> float:
        """Seconds after the start, by the watcher's clock, at which the public's clock shows `at_ms`."""
        return (at_ms - self.start_ms) / 1000 / self.speed

    def now_ms(self, elapsed_s: float) -> int:
        """What the public's clock shows when the watcher's has gone on for `elapsed_s` seconds."""
        return self.start_ms + int(elapsed_s * 1000 * self.speed)


@dataclass(frozen=True, slots=True)
class Mood:
    """How a brand is spoken of: a resting level and slow waves (height, period in ms, phase in turns).

    >>> round(Mood(0.2, ((0.1, 4000, 0.0),)).at(1000), 3)
    0.3
    """

    base: float
    waves: tuple[tuple[float, int, float], ...] = ()

    @classmethod
    def drifting(cls, rng: Random, base: float) -> "Mood":
        """Weather: three waves longer than any swing, so that nothing here turns within an hour."""
        periods = ((0.10, 30 * _HOUR), (0.04, 13 * _HOUR), (0.015, 7 * _HOUR))
        return cls(base, tuple((height * rng.uniform(0.7, 1.3), int(period * rng.uniform(0.8, 1.2)), rng.random())
                               for height, period in periods))

    def at(self, now_ms: int) -> float:
        """The mean lean of what is said at that moment, -1 to +1."""
        level = self.base + sum(h * math.sin(math.tau * (now_ms % p / p + phase)) for h, p, phase in self.waves)
        return max(-1.0, min(1.0, level))


@dataclass(frozen=True, slots=True)
class Habits:
    """Shares. The first group says what a new thing is (the rest are plain posts), the second what follows a post."""

    broken: float = 0.004
    other: float = 0.12
    foreign: float = 0.03
    early: float = 0.002
    overtaken: float = 0.001
    late: float = 0.015
    stale: float = 0.002

    edit: float = 0.02
    removal: float = 0.015
    risen: float = 0.1  # of the removed: sent once more afterwards
    copied: float = 0.012
    copies: tuple[int, int] = (2, 8)
    again: float = 0.005

    @property
    def per_story(self) -> float:
        """Records per new thing, on average."""
        followed = 1 - self.broken - self.other - self.foreign - self.early - self.overtaken
        copies = self.copied * sum(self.copies) / 2
        return 1 + self.overtaken + followed * (self.edit + self.removal * (1 + self.risen) + copies + self.again)


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    lang: str
    lean: float  # added to the mood of the brand they speak of


@dataclass(slots=True)
class _Telling:
    """One run through the public: its dice, its counter."""

    rng: Random
    number: int = 0
    waiting: list[tuple[int, int, Happening]] = field(default_factory=list)
    pushed: int = 0

    def push(self, happening: Happening) -> None:
        self.pushed += 1  # equal times keep the order of their making
        heappush(self.waiting, (happening.at_ms, self.pushed, happening))


class Public:
    """A fake public. Iterating begins at its first moment each time and never ends.

    `rate_per_s` is the mean number of records per second of the watcher's clock, over a whole day of the public's.
    `brands` are names from `texts.toml`; none means all. Raises `BadSetting` for a name, rate or speed that cannot be.
    """

    def __init__(self, seed: int = 1, rate_per_s: float = 50.0, brands: Sequence[str] = (),
                 start_ms: int = START_MS, speed: float = SPEED) -> None:
        if not (rate_per_s > 0 and speed > 0):
            raise BadSetting(f"rate_per_s={rate_per_s!r}, speed={speed!r}: expected numbers above 0")
        self.seed = seed
        self.pace = Pace(start_ms, speed)
        self.habits = Habits()
        self.sayings = Sayings.load()
        self.subjects = _chosen(self.sayings.subjects, brands)
        self.moods = {s.name: Mood.drifting(Random(f"{seed}/mood/{s.name}"), s.base) for s in self.subjects}
        self._weights = [s.weight for s in self.subjects]
        self._stories_per_ms = rate_per_s / self.habits.per_story / (1000 * speed)

    def __iter__(self) -> Iterator[Happening]:
        telling = _Telling(Random(f"{self.seed}/public"))
        moment = float(self.pace.start_ms)
        while True:
            moment += telling.rng.expovariate(self._stories_per_ms * daylight(int(moment)))
            now_ms = int(moment)
            while telling.waiting and telling.waiting[0][0] <= now_ms:
                yield heappop(telling.waiting)[2]
            telling.number += 1
            self._begin(telling, now_ms)

    def _begin(self, telling: _Telling, now_ms: int) -> None:
        """Something new is said; which kind of thing is one throw of the dice."""
        habits, throw = self.habits, telling.rng.random()
        for share, tell in ((habits.broken, self._broken), (habits.other, self._other), (habits.foreign, self._foreign),
                            (habits.early, self._early), (habits.overtaken, self._overtaken),
                            (habits.late, self._late), (habits.stale, self._stale)):
            if throw < share:
                return tell(telling, now_ms)
            throw -= share
        return self._plain(telling, now_ms)

    def _plain(self, telling: _Telling, now_ms: int) -> None:
        post = self._post(telling, now_ms)
        self._follow(telling, self._send(telling, post, now_ms + _lag_ms(telling.rng), What.POST))

    def _late(self, telling: _Telling, now_ms: int) -> None:
        lag_ms = telling.rng.randint(45 * _S, 50 * _MIN)
        self._follow(telling, self._send(telling, self._post(telling, now_ms), now_ms + lag_ms, What.LATE))

    def _stale(self, telling: _Telling, now_ms: int) -> None:
        lag_ms = telling.rng.randint(70 * _MIN, 3 * _HOUR)
        self._follow(telling, self._send(telling, self._post(telling, now_ms), now_ms + lag_ms, What.STALE))

    def _early(self, telling: _Telling, now_ms: int) -> None:
        ahead_ms = telling.rng.randint(2 * _MIN, 30 * _MIN)
        self._send(telling, self._post(telling, now_ms + ahead_ms), now_ms, What.EARLY)

    def _overtaken(self, telling: _Telling, now_ms: int) -> None:
        post = self._post(telling, now_ms)
        telling.push(Happening(now_ms + 2 * _S, post.key, None, What.EARLY_REMOVAL))
        self._send(telling, post, now_ms + telling.rng.randint(5 * _S, 25 * _S), What.POST)

    def _foreign(self, telling: _Telling, now_ms: int) -> None:
        lang, text = self.sayings.foreign(telling.rng, self._subject(telling.rng))
        declared = lang if telling.rng.random() < 0.5 else None
        post = msgspec.structs.replace(self._post(telling, now_ms), text=text, lang=declared, kind=Kind.POST)
        self._send(telling, post, now_ms + _lag_ms(telling.rng), What.FOREIGN)

    def _other(self, telling: _Telling, now_ms: int) -> None:
        lang, text = self.sayings.other(telling.rng)
        declared = lang if telling.rng.random() < 0.5 else None
        post = msgspec.structs.replace(self._post(telling, now_ms), text=text, lang=declared, kind=Kind.POST)
        self._send(telling, post, now_ms + _lag_ms(telling.rng), What.OTHER)

    def _broken(self, telling: _Telling, now_ms: int) -> None:
        post = self._post(telling, now_ms)
        key, value = telling.rng.choice(_BREAKS)(post.key, msgspec.json.decode(encode(post)))
        telling.push(Happening(now_ms + _lag_ms(telling.rng), key, value, What.BROKEN))

    def _send(self, telling: _Telling, post: Post, at_ms: int, what: What) -> tuple[Post, int]:
        telling.push(Happening(at_ms, post.key, encode(post), what))
        return post, at_ms

    def _follow(self, telling: _Telling, sent: tuple[Post, int]) -> None:
        """What becomes of a post after it was sent: edited, removed, copied, sent again."""
        post, at_ms = sent
        rng, habits = telling.rng, self.habits
        if rng.random() < habits.edit:
            edited = msgspec.structs.replace(post, text=self._said_again(rng, post), rev=post.rev + 1)
            self._send(telling, edited, at_ms + _wait_ms(rng, 10 * _MIN), What.EDIT)
        if rng.random() < habits.removal:
            removed_ms = at_ms + _wait_ms(rng, 25 * _MIN)
            telling.push(Happening(removed_ms, post.key, None, What.REMOVAL))
            if rng.random() < habits.risen:
                self._send(telling, post, removed_ms + _wait_ms(rng, _MIN), What.AGAIN)
        if rng.random() < habits.copied:
            self._copy(telling, post, at_ms)
        if rng.random() < habits.again:
            self._send(telling, post, at_ms + _wait_ms(rng, 30 * _S), What.AGAIN)

    def _said_again(self, rng: Random, post: Post) -> str:
        """An edit mostly adds a word; one in three says something else, perhaps of another brand."""
        if rng.random() < 0.65:
            return f"{post.text} (edit)"
        return self.sayings.say(rng, self._subject(rng), "id", rng.choice(list(Lean)))

    def _copy(self, telling: _Telling, post: Post, at_ms: int) -> None:
        """Others say the very same words: half of them by the button, half by hand."""
        rng = telling.rng
        for _ in range(rng.randint(*self.habits.copies)):
            telling.number += 1
            by_button = rng.random() < 0.5
            written_ms = at_ms + _wait_ms(rng, 8 * _MIN)
            copy = msgspec.structs.replace(
                post, id=self._id(telling.number), author=self._person(rng).name, created_at=from_ms(written_ms),
                kind=Kind.REPOST if by_button else Kind.POST, reply_to=post.id if by_button else None, url=None)
            self._send(telling, copy, written_ms + _lag_ms(rng), What.COPY)

    def _post(self, telling: _Telling, created_ms: int) -> Post:
        """A new post about a brand, in the mood that the brand and the author are in."""
        rng, person = telling.rng, self._person(telling.rng)
        subject = self._subject(rng)
        kind, text = self._say(rng, person, subject, _lean(rng, self.moods[subject.name].at(created_ms) + person.lean))
        before = rng.randint(1, 50)
        return Post(
            id=self._id(telling.number), source=SOURCE, text=text, created_at=from_ms(created_ms),
            author=person.name if rng.random() < 0.99 else None, kind=kind,
            lang=person.lang if rng.random() < 0.5 else None,
            url=f"https://denyut.example/{telling.number}" if rng.random() < 0.5 else None,
            reply_to=self._id(max(1, telling.number - before)) if kind is Kind.REPLY else None,
            reach=min(5_000_000, int(20 * rng.paretovariate(1.2))) if rng.random() < 0.6 else None,
        )

    def _say(self, rng: Random, person: _Person, subject: Subject, lean: Lean) -> tuple[Kind, str]:
        throw = rng.random()
        if person.lang == "id" and throw < subject.reviews and lean is not Lean.NEUTRAL:
            return Kind.REVIEW, self.sayings.review(rng, subject, lean)
        if throw > 0.97 and len(self.subjects) > 1:
            another = rng.choice([s for s in self.subjects if s is not subject])
            return Kind.POST, self.sayings.both(rng, (subject, another), person.lang, lean)
        text = self.sayings.say(rng, subject, person.lang, lean)
        if rng.random() < 0.03:
            text = f"{text} https://kabar.example/{rng.randint(1, 999)}"
        return Kind.REPLY if rng.random() < 0.15 else Kind.POST, text

    def _subject(self, rng: Random) -> Subject:
        return rng.choices(self.subjects, self._weights)[0]

    def _id(self, number: int) -> str:
        return post_key(SOURCE, f"{self.seed}-{number}", SECRET)

    def _person(self, rng: Random) -> _Person:
        # The cube makes a heavy tail: of 50,000 people the loudest writes 2.7 %, the loudest hundred 12.6 %.
        return _person(int(_PEOPLE * rng.random() ** 3))


@lru_cache(maxsize=_PEOPLE)
def _person(rank: int) -> _Person:
    name = f"person-{rank}"
    lang, first, second = (crc32(f"{name}/{trait}".encode()) / 2**32 for trait in ("lang", "first", "second"))
    return _Person(pseudonym(SOURCE, name, SECRET), "id" if lang < 0.72 else "en", 0.5 * (first + second - 1))


def daylight(now_ms: int) -> float:
    """How much is said at that moment against the day's mean: quiet after midnight, loudest at eight in the evening.

    >>> [round(daylight(hour * 3_600_000 - 7 * 3_600_000), 2) for hour in (3, 8, 20)]
    [0.2, 0.95, 1.55]
    """
    turn = math.tau * ((now_ms + _LOCAL_MS) % _DAY) / _DAY
    return 1 + 0.6 * math.cos(turn - math.tau * 16 / 24) + 0.25 * math.cos(2 * (turn - math.tau * 20 / 24))


def _chosen(subjects: Sequence[Subject], names: Sequence[str]) -> tuple[Subject, ...]:
    known = {subject.name: subject for subject in subjects}
    for name in names:
        if name not in known:
            raise BadSetting(f"brand {name!r}: the demo's public does not speak of it{nearest(name, known)}")
    return tuple(known[name] for name in names) or tuple(subjects)


def _lean(rng: Random, mood: float) -> Lean:
    """Draws so that the mean of (-1, 0, +1) is `mood`, as far as the neutral share leaves room."""
    room = 1 - _NEUTRAL
    positive = max(0.0, min(room, (room + mood) / 2))
    throw = rng.random()
    if throw < positive:
        return Lean.POSITIVE
    return Lean.NEGATIVE if throw < room else Lean.NEUTRAL


def _lag_ms(rng: Random) -> int:
    """From writing to sending: a few seconds, always well inside the delay."""
    return min(20 * _S, int(rng.expovariate(1 / (3 * _S))))


def _wait_ms(rng: Random, mean_ms: int) -> int:
    return 1 + int(rng.expovariate(1 / mean_ms))


_Break = Callable[[bytes, dict[str, Any]], tuple[bytes, bytes]]
_json = msgspec.json.encode
# Each way to be broken has its own reason among the rejects.
_BREAKS: tuple[_Break, ...] = (
    lambda key, post: (key, _json(post)[:-9]),  # cut off: no JSON
    lambda key, post: (key, b"\xff\xfe" + _json(post)),  # not UTF-8
    lambda key, post: (key, _json({**post, "source": "nobody"})),
    lambda key, post: (key[:-1] + b"z", _json(post)),  # a key that is not the id
    lambda _key, post: (b"no colon here", _json(post)),
    lambda key, post: (key, _json({**post, "text": post["text"] * (MAX_CHARS // len(post["text"]) + 1)})),  # too long
    lambda key, post: (key, _json({**post, "text": " \n "})),  # nothing visible
    lambda key, post: (key, _json({k: v for k, v in post.items() if k != "text"})),
    lambda key, post: (key, _json({**post, "rev": "first"})),
    lambda key, post: (key, _json({**post, "created_at": "yesterday"})),
    lambda key, post: (key, _json({**post, "schema": 99})),
)
