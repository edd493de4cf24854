"""News: what stands in a feed (RSS, Atom, JSON Feed), and what of it is new.

    bytes ──Decoder──▶ Document: entries, refusals ──Memory──▶ posts and edits, dated by first sight

A feed is polled more slowly than posts may be late, and its dates are what publishers make of them. So an entry is
dated by the poll in which it was first seen; what was seen is kept as the feed's position. Without that memory all that
stands in the feed is taken as seen, and nothing is told. An edit is the same id with another text. An entry that is no
longer in the document is not gone: feeds forget.
Of an entry the title and the first 500 characters are taken, no more: it is the publisher's.
Knows nothing of HTTP, nor of when to poll; `streams.sources.news_reader` does.
"""

import calendar
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from streams.heart.errors import Reason
from streams.heart.post import Kind, epoch_ms, id64
from streams.sources.contract import Refused, Said, unread
from streams.sources.html import plain

MAX_ENTRIES = 2_000  # of one document; more of them is an archive
MAX_BROKEN = 500_000  # bytes that are read of a document that is no XML: feedparser's other parser is quadratic (5 s)
MAX_SNIPPET = 500  # characters
FORGOTTEN = 500  # entries that are remembered although they are no longer in the document
DAY_S = 86_400
_PARENTHESES = re.compile(r"\(([^()]*)\)")
_TITLE_TYPES = frozenset({"text/plain", ""})


class Entry(NamedTuple):
    """One entry. `updated_s`: what it says of its last edit (epoch seconds); 0: nothing."""

    id: str
    text: str
    link: str | None = None
    author: str = ""
    lang: str | None = None
    updated_s: int = 0


class Document(NamedTuple):
    """All that a feed says now. `is_read`: false where nothing of it could be read."""

    entries: tuple[Entry, ...] = ()
    refused: tuple[Refused, ...] = ()
    is_read: bool = True


class _Author(msgspec.Struct):
    name: str | None = None


class _JsonEntry(msgspec.Struct):
    """An item of a JSON Feed 1.0 or 1.1."""

    id: str | int | float
    url: str | None = None
    title: str | None = None
    summary: str | None = None
    content_text: str | None = None
    content_html: str | None = None
    date_modified: str | None = None
    authors: list[_Author] | None = None
    author: _Author | None = None
    language: str | None = None


class _JsonFeed(msgspec.Struct):
    version: str
    items: list[msgspec.Raw]
    language: str | None = None


_json_feed = msgspec.json.Decoder(_JsonFeed)
_json_entry = msgspec.json.Decoder(_JsonEntry)


class Decoder:
    """Documents as they come."""

    def decode(self, data: bytes, content_type: str = "", url: str = "") -> Document:
        """One document. What of it can be read is read; where nothing can, a `Refused` says why.

        >>> feed = b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "title": "Kopi"}]}'
        >>> Decoder().decode(feed).entries
        (Entry(id='1', text='Kopi', link=None, author='', lang=None, updated_s=0),)
        >>> Decoder().decode(b"<html>sorry").refused
        (Refused(reason=<Reason.WRONG_TYPE: 'wrong_type'>, detail='no feed'),)
        """
        is_json = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
        document = _read_json(data) if is_json else _read_xml(data, content_type, url)
        if len(document.entries) > MAX_ENTRIES:
            refused = Refused(Reason.TOO_LARGE, f"{len(document.entries)} entries")
            return Document(document.entries[:MAX_ENTRIES], (*document.refused, refused))
        return document


def _read_json(data: bytes) -> Document:
    try:
        feed = _json_feed.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Document((), (unread(data, error),), is_read=False)
    if "jsonfeed.org/version/" not in feed.version:
        return Document((), (Refused(Reason.WRONG_TYPE, "version"),), is_read=False)
    entries: list[Entry] = []
    refused: list[Refused] = []
    for raw in feed.items:
        try:
            entries += _entry(_from_json(_json_entry.decode(raw), feed.language))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refused.append(unread(bytes(raw), error))
    return Document(tuple(entries), tuple(refused))


def _from_json(item: _JsonEntry, lang: str | None) -> "_Raw":
    body = item.summary or item.content_text or plain(item.content_html or "")
    authors = item.authors or ([item.author] if item.author else [])
    return _Raw(str(item.id), item.title or "", body, item.url or "", (authors[0].name if authors else "") or "",
                item.language or lang or "", _rfc3339_s(item.date_modified or ""))


def _read_xml(data: bytes, content_type: str, url: str) -> Document:
    if b"<!ENTITY" in data:  # no feed needs any, and a few can make it grow a hundredfold
        return Document((), (Refused(Reason.WRONG_TYPE, "entities"),), is_read=False)
    cut: tuple[Refused, ...] = ()
    if len(data) > MAX_BROKEN and not _is_xml(data):
        cut = (Refused(Reason.TOO_LARGE, f"{len(data)} bytes that are no XML"),)
    entries = _parsed(data[:MAX_BROKEN] if cut else data, content_type, url)
    if entries is None:
        return Document((), (*cut, _no_feed(data)), is_read=False)
    return Document(tuple(entries), cut)


def _is_xml(data: bytes) -> bool:
    from xml.parsers import expat

    try:
        expat.ParserCreate().Parse(data, True)
    except (expat.ExpatError, ValueError):
        return False
    return True


def _parsed(data: bytes, content_type: str, url: str) -> list[Entry] | None:
    """The entries; None where nothing could be read."""
    from xml.sax import SAXException

    import feedparser

    headers = {name: said for name, said in (("content-type", content_type), ("content-location", url)) if said}
    try:
        # From bytes in hand: given a string, it would fetch it. Of HTML no more is shown than its plain text.
        feed = feedparser.parse(io.BytesIO(data), response_headers=headers, sanitize_html=False,
                                resolve_relative_uris=False)
        lang = str(feed.feed.get("language") or "")
        entries = [one for item in feed.entries for one in _entry(_from_xml(item, lang))]
        is_broken = isinstance(feed.get("bozo_exception"), SAXException) or not feed.get("version")
    except Exception:  # whatever it is, it is what feedparser makes of a document that is none
        return None
    return None if is_broken and not feed.entries else entries


def _from_xml(item: Mapping[str, Any], lang: str) -> "_Raw":
    title = str(item.get("title") or "")
    if (item.get("title_detail") or {}).get("type") not in _TITLE_TYPES:
        title = plain(title)
    body, kind = item.get("summary"), (item.get("summary_detail") or {}).get("type")
    if not body and item.get("content"):
        body, kind = item["content"][0].get("value"), item["content"][0].get("type")
    body = str(body or "")
    updated = item.get("updated_parsed")
    return _Raw(str(item.get("id") or ""), title, body if kind == "text/plain" else plain(body),
                str(item.get("link") or ""), str(item.get("author") or ""), lang,
                max(0, calendar.timegm(updated)) if updated else 0)


class _Raw(NamedTuple):
    """An entry as a document has it, in plain text."""

    id: str
    title: str
    body: str
    link: str
    author: str
    lang: str
    updated_s: int


def _entry(raw: _Raw) -> list[Entry]:
    """The entry, or none where there is nothing to read."""
    title, body = " ".join(_sound(raw.title).split())[:MAX_SNIPPET], _sound(raw.body).strip()[:MAX_SNIPPET].strip()
    text = title if body in ("", title) else "\n".join(filter(None, (title, body)))
    if not text:
        return []
    link = _sound(raw.link).strip()
    name = _sound(raw.id).strip() or link or f"{id64(title or text):016x}"
    names_nobody = re.match(r"https?://", link) and "/@" not in link
    return [Entry(name, text, link if names_nobody else None, _person(_sound(raw.author)),
                  raw.lang.strip() or None, raw.updated_s)]


def _sound(text: str) -> str:
    """Without what no text has: half characters, which a broken document may spell out."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _person(said: str) -> str:
    """An author's name, without the address that stands beside it; the address where it is all there is.

    >>> _person("a@toko.example (Ana)"), _person("Ana (a@toko.example)"), _person("a@toko.example")
    ('Ana', 'Ana', 'a@toko.example')
    """
    outside = _PARENTHESES.sub(" ", said)
    named = next((one for one in (*_PARENTHESES.findall(said), outside) if one.strip() and "@" not in one), said)
    return " ".join(named.split())


def _rfc3339_s(said: str) -> int:
    try:
        when = datetime.fromisoformat(said)
        return max(0, epoch_ms(when) // 1000) if when.tzinfo else 0
    except (ValueError, OverflowError):
        return 0


def _no_feed(data: bytes) -> Refused:
    said = unread(data, ValueError())
    return said if said.reason is Reason.NOT_UTF8 else Refused(Reason.WRONG_TYPE, "no feed")


class _Seen(msgspec.Struct, array_like=True):
    """An entry that was seen. `first_ms` 0: it was there before us, or under another id, and is never told."""

    first_ms: int
    rev: int
    text: str  # digest


class Memory(msgspec.Struct):
    """What was seen of one feed; what to say to its server when it is polled again.

    >>> memory = Memory()
    >>> memory.learn("f", [Entry("1", "kopi")], 5_000, is_first=True)
    []
    >>> [said.native for said in memory.learn("f", [Entry("2", "teh"), Entry("1", "kopi")], 6_000)]
    ['f/2']
    >>> [(said.text, said.created_ms, said.rev) for said in memory.learn("f", [Entry("2", "teh manis")], 9_000)]
    [('teh manis', 6000, 9)]
    """

    etag: str = ""
    modified: str = ""
    seen: dict[str, _Seen] = msgspec.field(default_factory=dict)  # digest of an id -> ..., the latest last

    @classmethod
    def read(cls, position: str) -> "Memory | None":
        """The memory that was kept; None: there is none, or it cannot be read."""
        try:
            return _memory.decode(position)
        except (msgspec.DecodeError, RecursionError):
            return None

    def write(self) -> str:
        """It, to be kept."""
        return msgspec.json.encode(self).decode()

    def learn(self, part: str, entries: Sequence[Entry], now_ms: int, *, is_first: bool = False) -> list[Said]:
        """Takes in what a document says now; returns what is new, in the document's order."""
        told: list[Said] = []
        texts = {seen.text for seen in self.seen.values()}
        present: set[str] = set()
        for entry in entries:
            name, text = _digest(entry.id), _digest(entry.text)
            if name in present:  # twice in one document: the first stands
                continue
            present.add(name)
            seen = self.seen.pop(name, None)
            if seen is None:
                # The same words under another id: publishers renumber their entries.
                is_silent = is_first or text in texts
                seen = _Seen(0 if is_silent else now_ms, 0, text)
                if not is_silent:
                    told.append(_said(part, entry, seen))
            elif seen.text != text:
                seen = _Seen(seen.first_ms, _next_rev(entry.updated_s, seen.rev, now_ms // 1000), text)
                if seen.first_ms:
                    told.append(_said(part, entry, seen))
            self.seen[name] = seen
            texts.add(text)
        self._forget(present)
        return told

    def _forget(self, present: Iterable[str]) -> None:
        absent = [name for name in self.seen if name not in present]
        for name in absent[:max(0, len(absent) - FORGOTTEN)]:
            del self.seen[name]


_memory = msgspec.json.Decoder(Memory)


def _next_rev(updated_s: int, rev: int, now_s: int) -> int:
    """What the entry says of its edit, where that can be; or else now."""
    return updated_s if rev < updated_s <= now_s + DAY_S else max(now_s, rev + 1)


def _said(part: str, entry: Entry, seen: _Seen) -> Said:
    return Said(f"{part}/{entry.id}", entry.text, seen.first_ms, rev=seen.rev, lang=entry.lang, kind=Kind.POST,
                author=f"{part}/{entry.author}" if entry.author else part, url=entry.link)


def _digest(what: str) -> str:
    return f"{id64(what):016x}"


def part_of(url: str) -> str:
    """The part of the source that a feed is: a hash of its address."""
    return _digest(url)
