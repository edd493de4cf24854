"""Mischief: what some people send on purpose. Records in, records out, by the dice that are handed in.

Knows nothing of the feed, the broker, or of what becomes of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

import msgspec

from streams.heart.errors import BadPost
from streams.heart.post import Post, decode, encode, from_ms, post_key, pseudonym
from streams.sources.public import SECRET, SOURCE
from tests.faults.storm.flawed import POISON
from tests.faults.storm.schedule import Kind

MIN_MS, HOUR_MS = 60_000, 3_600_000
BURST = 2_000
SAID = ("Quovira, kata orang, lumayan", "kopi lumora enak sekali pagi ini", "mi kriwila pedas dan murah",
        "pelayanan Lajuro mengecewakan", "bank sagarma antre lama sekali", "hari ini hujan deras di kota")


class Sent(NamedTuple):
    """A record to be sent: see `streams.feed.Happening`."""

    at_ms: int
    key: bytes
    value: bytes | None


class Moment(NamedTuple):
    """When mischief is made, after what, and by whose dice. `name` makes the ids its own."""

    now_ms: int
    recent: Sequence[Sent]  # what was sent lately, the newest last
    rng: Random
    name: str

    def post(self, number: int, created_ms: int, text: str) -> Post:
        """A new post."""
        author = pseudonym(SOURCE, f"storm-{self.rng.randrange(300)}", SECRET)
        return Post(id=post_key(SOURCE, f"{self.name}/{number}", SECRET), source=SOURCE, text=text, lang="id",
                    created_at=from_ms(created_ms), author=author)

    def send(self, post: Post) -> Sent:
        """A version of a post, on its way now."""
        return Sent(self.now_ms, post.key, encode(post))

    def some(self, count: int) -> list[Post]:
        """Some of the recent posts."""
        posts = [post for post in map(_post, self.recent) if post is not None]
        return self.rng.sample(posts, min(count, len(posts)))

    def text(self) -> str:
        """Something to say."""
        return f"{self.rng.choice(SAID)} {self.rng.randrange(10**6)}"


def made(kind: Kind, moment: Moment) -> list[Sent]:
    """What is sent for a fault of this kind, in this order."""
    return list(_MAKERS[kind](moment))


def _post(sent: Sent) -> Post | None:
    try:
        post = decode(sent.key, sent.value, frozenset({SOURCE}))
    except BadPost:
        return None
    return post if isinstance(post, Post) else None


def _again(moment: Moment) -> Iterator[Sent]:
    for sent in moment.rng.sample(moment.recent, min(60, len(moment.recent))):
        yield sent._replace(at_ms=moment.now_ms)


def _older(moment: Moment) -> Iterator[Sent]:
    for post in moment.some(20):
        newer = msgspec.structs.replace(post, rev=post.rev + 5, text=moment.text())
        between = msgspec.structs.replace(post, rev=post.rev + 3, text=moment.text())
        yield from map(moment.send, (newer, between, post))


def _late(moment: Moment) -> Iterator[Sent]:
    for number in range(60):
        ago_ms = moment.rng.choice([moment.rng.randrange(58 * MIN_MS, 62 * MIN_MS),
                                    moment.rng.randrange(HOUR_MS + 10_000, 3 * HOUR_MS)])
        post = moment.post(number, moment.now_ms - ago_ms, moment.text())
        yield moment.send(post)
        if number % 3 == 0:
            yield moment.send(msgspec.structs.replace(post, rev=1, text=moment.text()))
        if number % 5 == 0:
            yield Sent(moment.now_ms, post.key, None)


def _removed_before(moment: Moment) -> Iterator[Sent]:
    for number in range(20):
        post = moment.post(number, moment.now_ms, moment.text())
        yield Sent(moment.now_ms, post.key, None)
        yield moment.send(post)


def _edits(moment: Moment) -> Iterator[Sent]:
    for number, post in enumerate(moment.some(40)):
        edited = msgspec.structs.replace(post, rev=post.rev + 1, text=moment.text())
        yield moment.send(edited)
        if number % 4 == 0:
            yield Sent(moment.now_ms, post.key, None)
        if number % 8 == 0:  # and it comes again
            yield moment.send(edited)


def _broken(moment: Moment) -> Iterator[Sent]:
    for number, spoil in enumerate(_SPOILT):
        post = moment.post(number, moment.now_ms, moment.text())
        yield Sent(moment.now_ms, *spoil(post.key, encode(post)))


def _poison(moment: Moment) -> Iterator[Sent]:
    for number in range(3):
        post = moment.post(number, moment.now_ms, f"{moment.text()} {POISON}")
        yield moment.send(post)
        if number == 1:  # what is wrong with it is put right
            yield moment.send(msgspec.structs.replace(post, rev=1, text=moment.text()))
    for post in moment.some(1):
        yield moment.send(msgspec.structs.replace(post, rev=post.rev + 1, text=f"{post.text} {POISON}"))


def _burst(moment: Moment) -> Iterator[Sent]:
    texts = [post.text for post in moment.some(200)] or list(SAID)
    for number in range(BURST):
        yield moment.send(moment.post(number, moment.now_ms, moment.rng.choice(texts)))


_Spoil = Callable[[bytes, bytes], tuple[bytes, bytes]]
_SPOILT: tuple[_Spoil, ...] = (
    lambda key, value: (key, value[:-7]),
    lambda key, _: (key, b""),
    lambda key, _: (key, b"\xff\xfe\x00\x01"),
    lambda key, _: (key, b"[" * 20_000),
    lambda key, _: (key, b"null"),
    lambda key, value: (key + b"x", value),
    lambda _, value: (b"~tick:", value),
    lambda key, value: (key, value.replace(b'"demo"', b'"nobody"', 1)),
    lambda key, value: (key, value.replace(b'"text"', b'"tekst"', 1)),
)
_MAKERS: Mapping[Kind, Callable[[Moment], Iterator[Sent]]] = {
    Kind.POSTS_AGAIN: _again, Kind.OLDER_AGAIN: _older, Kind.LATE: _late, Kind.REMOVED_BEFORE: _removed_before,
    Kind.EDITS: _edits, Kind.BROKEN: _broken, Kind.POISON: _poison, Kind.BURST: _burst,
}
SENT = frozenset(_MAKERS)
