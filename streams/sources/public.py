"""The demo's public: thousands of invented people who talk about invented brands, as a seeded stream.

    public = Public(seed=7, rate_per_s=100.0, start_ms=1_577_836_800_000)
    for happening in public:          # endless, in the order of sending, the same for the same seed
        wait until public.pace.due_s(happening.at_ms) seconds after the start
        send happening.key, happening.value with the Kafka timestamp happening.at_ms

It lives on its own clock, by default 240 times faster than the watcher's: a day and a night in six minutes. It does
what real sources do to us: some people are loud, texts are copied, posts are edited, removed (sometimes before they
arrive, sometimes they come again afterwards), sent twice, late, later than the grace, dated in the future, written in
languages nobody promised to score, about nothing we listen to, or plainly broken.

**Where to plan something**: `Public(events=...)` takes crises (many people, one topic, the mood falls) and campaigns (a
few texts, copied by many new accounts); `planned` are the demo's. `Mood.at` says how a brand is spoken of at a moment,
and nothing else does.
Values in, values out: no clock, no I/O but the packaged phrases. Knows nothing of Kafka, windows or scores.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from typing import Any, NamedTuple, TypeVar
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
    CAMPAIGN = "campaign"  # copied word for word, by order
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


class Course(NamedTuple):
    """How strong something planned is over time: it rises, holds and goes again, and comes back with every period.

    >>> course = Course(1000, ramp_ms=10, hold_ms=100, tail_ms=20, every_ms=5000)
    >>> [course.at(ms) for ms in (999, 1005, 1010, 1110, 1120, 1130, 6005)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.5]
    """

    start_ms: int
    ramp_ms: int
    hold_ms: int
    tail_ms: int
    every_ms: int = 24 * 3_600_000

    @property
    def end_ms(self) -> int:
        """When it is over, the first time."""
        return self.start_ms + self.ramp_ms + self.hold_ms + self.tail_ms

    def at(self, now_ms: int) -> float:
        """From 0, nothing, to 1, all of it."""
        if now_ms < self.start_ms:
            return 0.0
        since = (now_ms - self.start_ms) % self.every_ms
        left = self.ramp_ms + self.hold_ms + self.tail_ms - since
        rising = since / self.ramp_ms if self.ramp_ms else 1.0
        falling = left / self.tail_ms if self.tail_ms else float(left > 0)
        return max(0.0, min(1.0, rising, falling))


class Crisis(NamedTuple):
    """Something is wrong with a brand, and people say so: in other words each, but of one thing."""

    brand: str
    course: Course
    depth: float = 1.0  # so far falls the mean lean
    volume: float = 4.0  # so many times as much is said
    topic: float = 0.7  # share of posts, the glad ones left out, that speak of it


class Campaign(NamedTuple):
    """Many new accounts post a few texts word for word; some put a word of their own between."""

    brand: str
    course: Course
    volume: float = 4.0  # copies to each post that is usual for the brand
    evading: float = 0.02
    accounts: int = 400


Event = Crisis | Campaign


def planned(start_ms: int) -> tuple[Event, ...]:
    """What the demo shows: once a day of the public's, when a detector that listened from `start_ms` is warm."""
    return (
        Crisis("kopi-lumora", Course(start_ms + 430 * _MIN, ramp_ms=4 * _MIN, hold_ms=50 * _MIN, tail_ms=30 * _MIN)),
        Campaign("lajuro", Course(start_ms + 500 * _MIN, ramp_ms=2 * _MIN, hold_ms=45 * _MIN, tail_ms=5 * _MIN)),
    )


@dataclass(frozen=True, slots=True)
class Mood:
    """How a brand is spoken of: a resting level, slow waves (height, period in ms, phase in turns), and crises.

    >>> round(Mood(0.2, ((0.1, 4000, 0.0),)).at(1000), 3)
    0.3
    """

    base: float
    waves: tuple[tuple[float, int, float], ...] = ()
    crises: tuple[Crisis, ...] = ()

    @classmethod
    def drifting(cls, rng: Random, base: float, crises: Sequence[Crisis] = ()) -> "Mood":
        """Weather: three waves longer than any swing, so that nothing here turns within an hour."""
        periods = ((0.06, 30 * _HOUR), (0.03, 13 * _HOUR), (0.015, 7 * _HOUR))
        return cls(base, tuple((height * rng.uniform(0.7, 1.3), int(period * rng.uniform(0.8, 1.2)), rng.random())
                               for height, period in periods), tuple(crises))

    def at(self, now_ms: int) -> float:
        """The mean lean of what is said at that moment, -1 to +1."""
        level = self.base + sum(h * math.sin(math.tau * (now_ms % p / p + phase)) for h, p, phase in self.waves)
        return max(-1.0, min(1.0, level - sum(crisis.depth * crisis.course.at(now_ms) for crisis in self.crises)))


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
    def followed(self) -> float:
        """Share of new things that are posts of a brand, in a language that is understood."""
        return 1 - self.broken - self.other - self.foreign - self.early - self.overtaken

    @property
    def per_story(self) -> float:
        """Records per new thing, on average."""
        copies = self.copied * sum(self.copies) / 2
        return 1 + self.overtaken + self.followed * (self.edit + self.removal * (1 + self.risen) + copies + self.again)


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

    `rate_per_s` is the mean number of records per second of the watcher's clock, over a whole day of the public's on
    which nothing is planned. `brands` are names from `texts.toml`; none means all. Raises `BadSetting` for a name, rate
    or speed that cannot be.
    """

    def __init__(self, seed: int = 1, rate_per_s: float = 50.0, brands: Sequence[str] = (),
                 start_ms: int = START_MS, speed: float = SPEED, *, events: Sequence[Event] = ()) -> None:
        if not (rate_per_s > 0 and speed > 0):
            raise BadSetting(f"rate_per_s={rate_per_s!r}, speed={speed!r}: expected numbers above 0")
        self.seed = seed
        self.pace = Pace(start_ms, speed)
        self.habits = Habits()
        self.sayings = Sayings.load()
        self.subjects = _chosen(self.sayings.subjects, brands)
        names = [subject.name for subject in self.subjects]
        self._is_planned = bool(events)
        self._crises = _by_brand(names, self.sayings.topics, [e for e in events if isinstance(e, Crisis)])
        self._campaigns = _by_brand(names, self.sayings.campaigns, [e for e in events if isinstance(e, Campaign)])
        self.moods = {s.name: Mood.drifting(Random(f"{seed}/mood/{s.name}"), s.base, self._crises[s.name])
                      for s in self.subjects}
        self._weights = [s.weight for s in self.subjects]
        self._stories_per_ms = rate_per_s / self.habits.per_story / (1000 * speed)

    def __iter__(self) -> Iterator[Happening]:
        telling = _Telling(Random(f"{self.seed}/public"))
        moment = float(self.pace.start_ms)
        while True:
            moment += telling.rng.expovariate(self._stories_per_ms * daylight(int(moment)) * self._bustle(int(moment)))
            now_ms = int(moment)
            while telling.waiting and telling.waiting[0][0] <= now_ms:
                yield heappop(telling.waiting)[2]
            telling.number += 1
            self._begin(telling, now_ms)

    def _bustle(self, now_ms: int) -> float:
        """How much more is said at that moment than if nothing were planned, as a factor."""
        if not self._is_planned:
            return 1.0
        return (sum(self._talk(now_ms)) + sum(self._copying(now_ms).values())) / sum(self._weights)

    def _talk(self, now_ms: int) -> list[float]:
        """How much is said of each brand."""
        if not self._is_planned:
            return self._weights
        return [subject.weight * max((1 + (crisis.volume - 1) * crisis.course.at(now_ms)
                                      for crisis in self._crises[subject.name]), default=1.0)
                for subject in self.subjects]

    def _copying(self, now_ms: int) -> dict[Campaign, float]:
        """The campaigns that go on, and how loud they are."""
        of = {campaign: subject.weight * self.habits.followed * campaign.volume * campaign.course.at(now_ms)
              for subject in self.subjects for campaign in self._campaigns[subject.name]}
        return {campaign: weight for campaign, weight in of.items() if weight}

    def _begin(self, telling: _Telling, now_ms: int) -> None:
        """Something new is said; which kind of thing is one throw of the dice."""
        if self._is_planned and (copying := self._copying(now_ms)):
            throw = telling.rng.random() * (sum(self._talk(now_ms)) + sum(copying.values()))
            for campaign, weight in copying.items():
                if throw < weight:
                    return self._campaign(telling, now_ms, campaign)
                throw -= weight
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

    def _campaign(self, telling: _Telling, now_ms: int, campaign: Campaign) -> None:
        """One of the copies, from an account that was made for it."""
        rng = telling.rng
        lang, text = self.sayings.slogan(rng, campaign.brand, evading=rng.random() < campaign.evading)
        post = Post(
            id=self._id(telling.number), source=SOURCE, text=text, created_at=from_ms(now_ms),
            author=pseudonym(SOURCE, f"{campaign.brand}/account-{rng.randrange(campaign.accounts)}", SECRET),
            lang=lang if rng.random() < 0.5 else None, reach=rng.randint(0, 20))
        self._send(telling, post, now_ms + _lag_ms(rng), What.CAMPAIGN)

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
        subject = rng.choices(self.subjects, self._talk(created_ms))[0]
        lean = _lean(rng, self.moods[subject.name].at(created_ms) + person.lean)
        if self._is_on_topic(rng, subject, lean, created_ms):
            kind, text = Kind.POST, self.sayings.say(rng, subject, person.lang, lean, on_topic=True)
        else:
            kind, text = self._say(rng, person, subject, lean)
        before = rng.randint(1, 50)
        return Post(
            id=self._id(telling.number), source=SOURCE, text=text, created_at=from_ms(created_ms),
            author=person.name if rng.random() < 0.99 else None, kind=kind,
            lang=person.lang if rng.random() < 0.5 else None,
            url=f"https://denyut.example/{telling.number}" if rng.random() < 0.5 else None,
            reply_to=self._id(max(1, telling.number - before)) if kind is Kind.REPLY else None,
            reach=min(5_000_000, int(20 * rng.paretovariate(1.2))) if rng.random() < 0.6 else None,
        )

    def _is_on_topic(self, rng: Random, subject: Subject, lean: Lean, now_ms: int) -> bool:
        """Whether a post speaks of what is wrong with its brand. Who is glad does not."""
        share = max((crisis.topic * crisis.course.at(now_ms) for crisis in self._crises[subject.name]), default=0.0)
        return share > 0 and lean is not Lean.POSITIVE and rng.random() < share

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


_Of = TypeVar("_Of", Crisis, Campaign)


def _by_brand(names: Sequence[str], worded: Collection[str], events: Sequence[_Of]) -> dict[str, list[_Of]]:
    """`worded`: the brands that there are words for."""
    for event in events:
        if event.brand not in names or event.brand not in worded:
            raise BadSetting(f"brand {event.brand!r}: the demo's public has no words for a "
                             f"{type(event).__name__.lower()} of it{nearest(event.brand, worded)}")
    return {name: [event for event in events if event.brand == name] for name in names}


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
