"""The door: what a source tells becomes records of `denyut.posts`, and what must not enter stays outside.

    happening ──▶ is it new? does it name a brand? ──▶ ids and handles hashed ──▶ records, and what became of it

- Native ids and authors end here: keyed hashes go on. A handle in a text becomes `@user`, unless the brand file names
  it.
- A post that names no brand is not sent: nobody's words are kept who does not speak of you. An edit that no longer
  names one, or cannot be taken, is sent without its words, so that the version before it counts no more.
- Every version of a post bears the time of the first. What was sent before is not sent again; what was removed, never.
- An author who is gone takes every post along that stands in the log.
Values in, values out, but for `Kept`, which it asks and tells. Knows nothing of Kafka, of any one source, or of clocks.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from streams.heart.brands import Brands
from streams.heart.errors import BadPost, Reason
from streams.heart.post import (
    EARLIEST_MS,
    LATEST_MS,
    MAX_CHARS,
    MAX_PROMPTED,
    MAX_REV,
    Post,
    alias_key,
    decode,
    encode,
    from_ms,
    is_heaped,
    post_key,
    pseudonym,
)
from streams.kept import Kept, number
from streams.sources.contract import AuthorGone, BadEdit, Gone, Happening, Refused, Said

NO_WORDS = "…"  # the text of an edit that names no brand any more
MISDATED_MS = 60_000
# What names a person inside a text: the page of a profile or an account as networks write them, a mail address (a
# handle of the fediverse is spelt like one), a handle.
# Foreign text: each of these reads in time that grows with the length alone (tests/test_door.py).
_ACCOUNTS = ("did:", "at://", "/users/", "/profile/", "user?id=")
_ACCOUNT = re.compile(r"((?:https?://[^\s/]+|(?<![\w.-])[\w-]++(?:\.[\w-]++)++(?::[0-9]+)?)/(?:(?:ap/)?users|profile)/"
                      r"|news\.ycombinator\.com/user\?id=|\bat://)[^\s/?#)]+"
                      r"|\bdid:(?:plc|web):[\w.:%-]+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]{0,64}[0-9A-Za-z_]@\w[\w-]*(?:\.\w[\w-]*)+")
_MENTION = re.compile(r"(?<![@＠﹫])(?:(?<![0-9A-Za-z])|[@＠﹫](?=[@＠﹫]))[@＠﹫]++(\w+)"  # "2@10rb" is a price
                      r"(?:(?:\.|-+)\w+)*(?:@\w+(?:(?:\.|-+)\w+)*)?")
_AT = re.compile("[@＠﹫]")


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

    @property
    def stands(self) -> bool:
        """Whether the post that it was about stands in the log."""
        return self.outcome in ("post", "edit", "repeated") or any(one.value is not None for one in self.records)


class Door:
    """The door of one source."""

    def __init__(self, source: str, secret: bytes, kept: Kept, *, everything: bool = False,
                 is_pushed: bool = False) -> None:
        """`everything`: also posts that name no brand are sent. `is_pushed`: whose links are whose is its sender's
        affair; and what is removed is told once, so all of it is written, or a restart would forget it."""
        self._source = source
        self._secret = secret
        self._kept = kept
        self._everything = everything
        self._is_pushed = is_pushed
        self._sources = frozenset({source})

    def let_in(self, happening: Happening, brands: Brands, now_ms: int) -> Verdict:
        """What becomes of one happening that came at `now_ms`, by these brands."""
        match happening:
            case Said():
                try:
                    verdict = self._said(happening, brands, now_ms)
                except BadPost as bad:
                    return self._refused(happening.native, happening.rev, str(bad.reason), now_ms)
                return verdict._replace(is_misdated=_is_misdated(happening))
            case Gone():
                return self._gone(happening, now_ms)
            case AuthorGone(author, before_ms):
                who = pseudonym(self._source, author, self._secret)
                names = self._kept.by_author(who, before_ms)
                if before_ms is None:  # a post of theirs may still come
                    self._kept.drop(who, now_ms)
                    names += [self._left(who)] if self._is_pushed else []
                return Verdict("author", tuple(self._removed(name, now_ms) for name in names))
            case BadEdit(reason, _, native, rev):
                return self._refused(native, rev, str(reason), now_ms)
            case Refused(reason):
                return Verdict("refused", reason=str(reason))

    # Posts.

    def _said(self, said: Said, brands: Brands, now_ms: int) -> Verdict:
        if not EARLIEST_MS <= said.created_ms <= LATEST_MS:
            raise BadPost(Reason.BAD_TIME, "out of range")
        check_size(said.text)
        name = post_key(self._source, said.native, self._secret)
        known = self._kept.get(name)
        if known is None and not (self._everything or brands.match(said.text, self._source, said.created_ms)):
            return Verdict("unknown" if said.rev else "unmatched")  # the mass
        said = msgspec.structs.replace(
            said, text=masked(said.text, brands), created_ms=said.created_ms if known is None else known.created_ms)
        # By the words that a worker will read.
        named = frozenset(match.brand for match, _ in brands.match(said.text, self._source, said.created_ms))
        is_wanted = self._everything or bool(named)
        if known is None and not is_wanted:
            return Verdict("unknown" if said.rev else "unmatched")
        people = [person for person in (said.author, said.refers) if person]
        own = brands.owned(self._source, people, said.created_ms)
        post = self._post(name, said, tuple(brand for brand in own if brand in named)[:MAX_PROMPTED])
        names = post.id, post.alias, post.author, post.author and self._left(post.author)
        if any(self._kept.is_gone(one) for one in names if one):
            return Verdict("gone")
        if not is_wanted:
            post = msgspec.structs.replace(post, text=NO_WORDS, reach=None, url=None)
        if known is not None:
            if known.has(said.rev, number(post.text)):
                if said.witnessed_ms is not None:
                    self._kept.saw(name, said.witnessed_ms)
                return Verdict("repeated")
            # Edits in one second, of a source that tells edits apart by the second.
            post = msgspec.structs.replace(post, rev=max(post.rev, known.rev + 1))
        value = _encoded(post)
        decode(post.key, value, self._sources)  # what a worker would refuse does not set out
        self._kept.add(post, now_ms, said.witnessed_ms)
        return Verdict("edit" if post.rev else "post", (Record(now_ms, post.key, value),))

    def _refused(self, native: str, rev: int, reason: str, now_ms: int) -> Verdict:
        """What cannot be taken takes the words of the version before it away: they are not said any more."""
        name = post_key(self._source, native, self._secret)
        known = self._kept.get(name)
        if known is None or known.rev >= MAX_REV or known.has(rev, number(NO_WORDS)):
            return Verdict("refused", reason=reason)
        post = Post(id=name, source=self._source, text=NO_WORDS, created_at=from_ms(known.created_ms),
                    rev=max(min(rev, MAX_REV), known.rev + 1))
        self._kept.add(post, now_ms)
        return Verdict("refused", (Record(now_ms, post.key, _encoded(post)),), reason)

    def _post(self, name: str, said: Said, prompted: tuple[str, ...]) -> Post:
        source, secret = self._source, self._secret
        return Post(
            id=name, source=source, text=said.text, created_at=from_ms(said.created_ms),
            rev=min(said.rev, MAX_REV), author=pseudonym(source, said.author, secret) if said.author else None,
            lang=said.lang, kind=said.kind, url=link(said.url, names_nobody=not self._is_pushed),
            alias=said.alias and alias_key(source, said.alias, secret),
            reply_to=said.reply_to and post_key(source, said.reply_to, secret), reach=said.reach,
            prompted=prompted,
        )

    # Removals.

    def _gone(self, gone: Gone, now_ms: int) -> Verdict:
        if gone.native:
            name: str | None = post_key(self._source, gone.native, self._secret)
        else:
            alias = alias_key(self._source, gone.alias, self._secret)
            name = self._kept.by_alias(alias)
            self._kept.drop(alias, now_ms)
        if name is None:
            return Verdict("unknown")
        if self._kept.get(name) is not None:
            return Verdict("removal", (self._removed(name, now_ms),))
        if self._is_pushed and not self._kept.is_gone(name):
            return Verdict("unknown", (self._removed(name, now_ms),))
        self._kept.drop(name, now_ms)  # its post may still come
        return Verdict("unknown")

    def _removed(self, name: str, now_ms: int) -> Record:
        self._kept.drop(name, now_ms, is_written=True)
        return Record(now_ms, name.encode(), None)

    def _left(self, who: str) -> str:
        """Under which key of the log it stands that an author has left: no post has it, and it is read back as any."""
        return f"{self._source}:{who}"


def _is_misdated(said: Said) -> bool:
    """Whether its author and its server disagree on when it was written; of an edit, they do by nature."""
    if said.witnessed_ms is None or said.rev:
        return False
    return abs(said.witnessed_ms - said.created_ms) > MISDATED_MS


def check_size(text: str) -> None:
    """Raises `BadPost` for a text that would keep us busy. Before anything else looks at it."""
    if len(text) > MAX_CHARS:
        raise BadPost(Reason.TOO_LONG, f"{len(text)} characters")
    if not text.isascii() and is_heaped(text):  # sorting them takes time by the square of their number
        raise BadPost(Reason.BAD_TEXT, "a heap of combining signs")


def masked(text: str, brands: Brands) -> str:
    """The text without the handles of people: each becomes `@user`, unless the brand file speaks of it."""
    lower = text.lower()
    if any(sign in lower for sign in _ACCOUNTS):
        text = _ACCOUNT.sub(lambda found: f"{found[1] or ''}user", text)
    if not _AT.search(text):
        return text
    text = _MAIL.sub("@user", text)
    return _MENTION.sub(lambda found: found[0] if brands.speaks_of(f"@{found[1]}") else "@user", text)


def link(url: str | None, *, names_nobody: bool = True) -> str | None:
    """A link as it may stand beside a text. None for one that is no page's, or holds a login, or (`names_nobody`) is
    the address of an account, of something within one, or holds a mail address.

    >>> link("https://k.example/@ana/1"), link("https://k.example/news/1")
    (None, 'https://k.example/news/1')
    """
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return None if names_nobody and _names_person(unquote(url or "")) else url


def _names_person(url: str) -> bool:
    return "/@" in url or any(sign.search(url) for sign in (_ACCOUNT, _MAIL))


def _encoded(post: Post) -> bytes:
    try:
        return encode(post)
    except UnicodeEncodeError:
        raise BadPost(Reason.NOT_UTF8) from None
