"""Kept: which posts of one source stand in `denyut.posts`, and whose they are.

A removal names a post, an alias of it, or an author; what must be taken out of the log is what stands in it, and
nothing else. So a feed knows what it has sent: it reads the topic back when it starts (`take`), and notes what it sends
since (`add`, `drop`). Of a post: its id, its version, its first time, and hashes of its author, of its alias and of its
last texts; some 120 bytes, and for no longer than its text is kept. In memory, in SQLite.
Knows nothing of Kafka, brands or texts.
"""

import sqlite3
import struct
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from streams.heart.post import MAX_REV, Post, epoch_ms, id64

WEEK_MS = 7 * 86_400_000
EARLY_MS = 3_600_000
VERSIONS = 8  # of one post that are told apart by their words; of older ones, by their number alone
_VERSION = struct.Struct("<IQ")
_TABLES = """
CREATE TABLE post (number INTEGER PRIMARY KEY, id BLOB, rev INT, created INT, words INT, before BLOB, author INT,
                   alias INT, at INT, seen INT);
CREATE INDEX by_author ON post (author) WHERE author IS NOT NULL;
CREATE INDEX by_alias ON post (alias) WHERE alias IS NOT NULL;
CREATE TABLE gone (number INTEGER PRIMARY KEY, until INT);
"""


class Known(NamedTuple):
    """What is known of a post that is kept."""

    rev: int
    created_ms: int
    words: int  # a hash of the text that was sent last
    before: tuple[tuple[int, int], ...] = ()  # rev and words of the versions before that one, the latest last

    def has(self, rev: int, words: int) -> bool:
        """Whether a version with this number and these words was sent, or came before one that was.

        A source may tell edits apart by the second alone, or not at all; those of one second were sent under numbers
        that follow one another. Of these, only what has the same words is the same.

        >>> known = Known(rev=7, created_ms=0, words=103, before=((2, 100), (5, 101), (6, 102)))
        >>> [known.has(5, words) for words in (100, 101, 102, 103, 104)], known.has(4, 104), known.has(8, 101)
        ([True, True, True, True, False], True, False)
        """
        if words == self.words or rev > self.rev:
            return words == self.words
        first = self.rev
        for number_, _ in reversed(self.before):
            if number_ != first - 1:
                break
            first = number_
        return rev < first or any(words == one for _, one in self.before)


class _Record(msgspec.Struct):
    """What is read of a post's record; whatever else stands in it is none of our business."""

    created_at: datetime
    text: str
    rev: Annotated[int, msgspec.Meta(ge=0, le=MAX_REV)] = 0
    author: str | None = None
    alias: str | None = None


_decode = msgspec.json.Decoder(_Record).decode


def number(said: str) -> int:
    """A hash of an id, a pseudonym or a text, such as SQLite can hold."""
    return id64(said) >> 1


def _joined(old: Known, new: Known) -> list[tuple[int, int]]:
    """The versions that are remembered of a post, the one that stands last, when one more comes."""
    before, last, come = list(old.before), (old.rev, old.words), (new.rev, new.words)
    if new.rev < old.rev:
        before = sorted({*before, come}, key=lambda one: one[0])
    elif come != last:
        before, last = [*before, last], come
    return [*before, last][-VERSIONS:]


class Kept:
    """The posts of one source. One thread at a time."""

    def __init__(self, source: str, for_ms: int = WEEK_MS) -> None:
        """`for_ms`: so long a record may stand in the topic."""
        self._lead = f"{source}:"
        self._for_ms = for_ms
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)

    def close(self) -> None:
        """Forgets everything."""
        self._db.close()

    def __len__(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM post").fetchone()[0])

    def take(self, key: bytes | None, value: bytes | None, arrival_ms: int) -> None:
        """Takes in a record of the topic, in the order of its partition. Ticks and other sources' are passed by."""
        name = (key or b"").decode("utf-8", "replace")
        if not name.startswith(self._lead):
            return
        if value is None:
            self._drop(name, arrival_ms + self._for_ms)  # it stood here, also where the log has cleaned it away
            return
        try:
            said = _decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # a reject: whoever wrote it, it counts nowhere
        if said.created_at.tzinfo is not None:
            known = Known(said.rev, epoch_ms(said.created_at), number(said.text))
            self._add(name, known, said.author, said.alias, arrival_ms)

    def add(self, post: Post, now_ms: int, witnessed_ms: int | None = None) -> None:
        """This version is about to be sent. `witnessed_ms`: when its source's server saw it, which may be long ago."""
        self._add(post.id, Known(post.rev, post.event_ms, number(post.text)), post.author, post.alias, now_ms)
        if witnessed_ms is not None:
            self.saw(post.id, witnessed_ms)

    def saw(self, name: str, witnessed_ms: int) -> None:
        """A post was there at this time, at its source: what we have of it is a replay, perhaps."""
        self._db.execute("UPDATE post SET seen = MIN(seen, ?2) WHERE number = ?1", (number(name), witnessed_ms))

    def _add(self, name: str, known: Known, author: str | None, alias: str | None, at_ms: int) -> None:
        whose = author and number(author), alias and number(alias), at_ms
        added = self._db.execute(
            "INSERT INTO post VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7, ?8, ?8) ON CONFLICT (number) DO NOTHING",
            (number(name), self._packed(name), known.rev, known.created_ms, known.words, *whose))
        if not added.rowcount and (old := self.get(name)) is not None:
            versions = _joined(old, known)
            self._db.execute(
                "UPDATE post SET rev = ?2, words = ?3, before = ?4, author = COALESCE(?5, author), "
                "alias = COALESCE(?6, alias), at = ?7 WHERE number = ?1",
                (number(name), *versions[-1], b"".join(_VERSION.pack(*one) for one in versions[:-1]), *whose))

    def _packed(self, name: str) -> bytes:
        """An id without its source; half as long where it is a hash of ours."""
        rest = name.removeprefix(self._lead)
        try:
            return b"\0" + bytes.fromhex(rest) if rest.islower() or rest.isdigit() else b"\1" + rest.encode()
        except ValueError:
            return b"\1" + rest.encode()

    def _unpacked(self, packed: bytes) -> str:
        return self._lead + (packed[1:].hex() if packed[0] == 0 else packed[1:].decode())

    def drop(self, name: str, now_ms: int, *, is_written: bool = False) -> None:
        """A post, an alias or an author is gone; what comes of it after all is not welcome.

        For as long as it could be told again, if the log says so (`is_written`) or the post stood there; of what never
        did, which is most of what a network takes back, for an hour: it may have come before its post.
        """
        is_long = is_written or self.get(name) is not None
        self._drop(name, now_ms + (self._for_ms if is_long else EARLY_MS))

    def _drop(self, name: str, until_ms: int) -> None:
        self._db.execute("DELETE FROM post WHERE number = ?", (number(name),))
        self._db.execute("INSERT INTO gone VALUES (?1, ?2) ON CONFLICT (number) DO UPDATE SET until = MAX(until, ?2)",
                         (number(name), until_ms))

    def get(self, name: str) -> Known | None:
        """What is known of the post with this id; None: it does not stand in the log."""
        row = self._db.execute("SELECT rev, created, words, before FROM post WHERE number = ?",
                               (number(name),)).fetchone()
        if row is None:
            return None
        return Known(row[0], row[1], row[2], tuple((rev, words) for rev, words in _VERSION.iter_unpack(row[3] or b"")))

    def is_gone(self, name: str) -> bool:
        """Whether the post or the alias was removed."""
        return self._db.execute("SELECT 1 FROM gone WHERE number = ?", (number(name),)).fetchone() is not None

    def by_author(self, author: str, before_ms: int | None = None) -> list[str]:
        """The ids of a pseudonym's posts: of those that were written, or first seen, before a time, or of all."""
        found = self._db.execute(
            "SELECT id FROM post WHERE author = ?1 AND (?2 IS NULL OR MIN(created, seen) < ?2) ORDER BY id",
            (number(author), before_ms))
        return [self._unpacked(row[0]) for row in found]

    def by_alias(self, alias: str) -> str | None:
        """The id of the post with this alias."""
        row = self._db.execute("SELECT id FROM post WHERE alias = ?", (number(alias),)).fetchone()
        return None if row is None else self._unpacked(row[0])

    def forget(self, now_ms: int) -> None:
        """Drops what the log does not hold any more."""
        self._db.execute("DELETE FROM post WHERE at < ?", (now_ms - self._for_ms,))
        self._db.execute("DELETE FROM gone WHERE until < ?", (now_ms,))
