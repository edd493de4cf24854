"""The door: what a source tells becomes records of `denyut.posts`, and what must not enter stays outside.

    happening ──▶ is it new? does it name a brand? ──▶ ids and handles hashed ──▶ records, and what became of it

- Native ids and authors end here: keyed hashes go on. A handle in a text becomes `@user`, unless the brand file names
  it.
- A post that names no brand is not sent: nobody's words are kept who does not speak of you. An edit that no longer
  names one is sent without its words, so that the version before it counts no more.
- Every version of a post bears the time of the first. What was sent before is not sent again; what was removed, never.
- An author who is gone takes every post along that stands in the log.
Values in, values out, but for `Kept`, which it asks and tells. Knows nothing of Kafka, of any one source, or of clocks.
"""

import re
from typing import NamedTuple

import msgspec

from streams.heart.brands import Brands
from streams.heart.errors import BadPost, Reason
from streams.heart.post import (
    EARLIEST_MS,
    LATEST_MS,
    MAX_PROMPTED,
    MAX_REV,
    Post,
    alias_key,
    decode,
    encode,
    from_ms,
    post_key,
    pseudonym,
)
from streams.kept import Kept, number
from streams.sources.contract import AuthorGone, Gone, Happening, Refused, Said

NO_WORDS = "…"  # the text of an edit that names no brand any more
MISDATED_MS = 60_000
# What names a person inside a text: a handle, wherever it stands but in a mail address; a profile's page; an account.
_PROFILE = re.compile(r"(bsky\.app/profile/)[^\s/?#)]+|\bdid:(?:plc|web):[\w.:%-]+")
_MENTION = re.compile(r"(?<!\w)[@＠]+(\w+)(?:(?:\.|-+)\w+)*(?:@\w+(?:(?:\.|-+)\w+)*)?")


class Record(NamedTuple):
    """One record for the feed. `at_ms`: when it came to the door."""

    at_ms: int
    key: bytes
    value: bytes | None


class Verdict(NamedTuple):
    """What became of a happening (see `metrics.TOOK`), and what must be written for it.

    `reason`: why it was refused. `is_misdated`: what it says of its time, and what its server says, are far apart.
    """

    outcome: str
    records: tuple[Record, ...] = ()
    reason: str = ""
    is_misdated: bool = False


class Door:
    """The door of one source."""

    def __init__(self, source: str, secret: bytes, kept: Kept, *, everything: bool = False) -> None:
        """`everything`: also posts that name no brand are sent."""
        self._source = source
        self._secret = secret
        self._kept = kept
        self._everything = everything
        self._sources = frozenset({source})

    def let_in(self, happening: Happening, brands: Brands, now_ms: int) -> Verdict:
        """What becomes of one happening that came at `now_ms`, by these brands."""
        match happening:
            case Said():
                try:
                    verdict = self._said(happening, brands, now_ms)
                except BadPost as bad:
                    return Verdict("refused", reason=str(bad.reason))
                witnessed_ms = happening.witnessed_ms
                apart = witnessed_ms is not None and abs(witnessed_ms - happening.created_ms) > MISDATED_MS
                return verdict._replace(is_misdated=apart) if apart else verdict
            case Gone():
                return self._gone(happening, now_ms)
            case AuthorGone(author, before_ms):
                who = pseudonym(self._source, author, self._secret)
                if before_ms is None:
                    self._kept.drop(who, now_ms)  # a post of theirs may still come
                names = self._kept.by_author(who, before_ms)
                return Verdict("author", tuple(self._removed(name, now_ms) for name in names))
            case Refused(reason):
                return Verdict("refused", reason=str(reason))

    # Posts.

    def _said(self, said: Said, brands: Brands, now_ms: int) -> Verdict:
        if not EARLIEST_MS <= said.created_ms <= LATEST_MS:
            raise BadPost(Reason.BAD_TIME, "out of range")
        if not said.rev and not self._is_named(said.text, said.created_ms, brands):
            return Verdict("unmatched")  # the mass: nothing is hashed for it
        name = post_key(self._source, said.native, self._secret)
        known = self._kept.get(name)
        created_ms = said.created_ms if known is None else known.created_ms
        named = self._is_named(said.text, created_ms, brands)
        if known is None and not named:
            return Verdict("unknown")
        post = self._post(name, said, created_ms, brands)
        if any(self._kept.is_gone(one) for one in (post.id, post.alias, post.author) if one):
            return Verdict("gone")
        if not named:
            post = msgspec.structs.replace(post, text=NO_WORDS, reach=None, url=None)
        if known is not None:
            if said.rev < known.rev or number(post.text) == known.words:
                return Verdict("repeated")
            # Two edits in one second, of a source that tells edits apart by the second.
            post = msgspec.structs.replace(post, rev=max(post.rev, known.rev + 1))
        value = _encoded(post)
        decode(post.key, value, self._sources)  # what a worker would refuse does not set out
        self._kept.add(post, now_ms)
        return Verdict("edit" if post.rev else "post", (Record(now_ms, post.key, value),))

    def _is_named(self, text: str, created_ms: int, brands: Brands) -> bool:
        return self._everything or bool(brands.match(text, self._source, created_ms))

    def _post(self, name: str, said: Said, created_ms: int, brands: Brands) -> Post:
        source, secret = self._source, self._secret
        named = {match.brand for match, _ in brands.match(said.text, source, created_ms)}
        people = [person for person in (said.author, said.refers) if person]
        return Post(
            id=name, source=source, text=masked(said.text, brands), created_at=from_ms(created_ms),
            rev=min(said.rev, MAX_REV), author=pseudonym(source, said.author, secret) if said.author else None,
            lang=said.lang, kind=said.kind, url=said.url,
            alias=said.alias and alias_key(source, said.alias, secret),
            reply_to=said.reply_to and post_key(source, said.reply_to, secret), reach=said.reach,
            prompted=tuple(one for one in brands.owned(source, people, created_ms) if one in named)[:MAX_PROMPTED],
        )

    # Removals.

    def _gone(self, gone: Gone, now_ms: int) -> Verdict:
        if gone.native:
            name: str | None = post_key(self._source, gone.native, self._secret)
        else:
            alias = alias_key(self._source, gone.alias, self._secret)
            name = self._kept.by_alias(alias)
            self._kept.drop(alias, now_ms)
        if name is None or self._kept.get(name) is None:
            if name is not None:
                self._kept.drop(name, now_ms)  # its post may still come
            return Verdict("unknown")
        return Verdict("removal", (self._removed(name, now_ms),))

    def _removed(self, name: str, now_ms: int) -> Record:
        self._kept.drop(name, now_ms)
        return Record(now_ms, name.encode(), None)


def masked(text: str, brands: Brands) -> str:
    """The text without the handles of people: each becomes `@user`, unless the brand file speaks of it."""
    if "bsky.app" in text or "did:" in text:
        text = _PROFILE.sub(lambda found: f"{found[1] or ''}user", text)
    if "@" not in text and "＠" not in text:
        return text
    return _MENTION.sub(lambda found: found[0] if brands.speaks_of(f"@{found[1]}") else "@user", text)


def _encoded(post: Post) -> bytes:
    try:
        return encode(post)
    except UnicodeEncodeError:
        raise BadPost(Reason.NOT_UTF8) from None
