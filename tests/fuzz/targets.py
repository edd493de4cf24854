"""Targets: what is fuzzed, with what good bytes it begins, and what it may say to bad ones.

A target is a function of bytes that returns, whatever they are; what it raises is a broken promise. `tests/fuzz`
looks for such bytes for as long as it is let, `tests/sources/test_fuzz.py` for a few seconds in each run of the tests.
"""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from streams.heart.errors import BadPost, BadSetting, Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS, MAX_REV, Post, Removal, Tick, decode, encode, from_ms, post_key
from streams.settings import Settings
from streams.sources import bluesky, hackernews, mastodon, news, push
from streams.sources.contract import AuthorGone, Gone, Refused, Said
from streams.sources.file import BadRow, Maker, Options, Record, open_rows, records, undamaged
from streams.sources.html import plain
from streams.sources.push_keys import Keys
from streams.sources.reader import MAX_EVENT
from streams.sources.sse import Event as Line
from streams.sources.sse import EventStream
from tests.sources.jetstream import Event, commit, record
from tests.sources.news_fake import Article, atom, json_feed, rss
from tests.sources.push_fake import KEYS, created, event, line

MAX_DETAIL = 100  # characters: the detail of a refusal names a field or a size, so it is short
BASE_MS = 1_795_586_400_000
BRANDS = Settings().read_brands()
TEXT = "Kopi Senja enak & murah 😊"


class Target(NamedTuple):
    """`run`: takes any bytes; whether they say anything. `seeds`: good ones."""

    run: Callable[[bytes], bool]
    seeds: tuple[bytes, ...]


def check(told: Iterable[Any]) -> bool:
    """That each is a happening as the contract has it, or nothing at all; whether there is one that is not refused."""
    told = list(told)
    for one in told:
        match one:
            case None | AuthorGone():
                pass
            case Said():
                assert one.native
                assert one.text
                assert EARLIEST_MS <= one.created_ms <= LATEST_MS
                assert 0 <= one.rev <= MAX_REV
                json.dumps(one.text, ensure_ascii=False).encode()  # it can be sent
            case Gone():
                assert one.native or one.alias
            case Refused():
                assert isinstance(one.reason, Reason)
                assert len(one.detail) <= MAX_DETAIL
            case _:
                raise TypeError(f"no happening: {type(one)}")
    return not all(one is None or isinstance(one, Refused) for one in told)


# Bluesky.


def _jetstream() -> tuple[Event, ...]:
    did = "did:plc:contohpenggemar0000000001"
    reply = {"root": {"uri": f"at://{did}/{bluesky.POSTS}/3m", "cid": "b"},
             "parent": {"uri": f"at://{did}/{bluesky.POSTS}/3m", "cid": "b"}}
    post = record(TEXT, "2026-11-25T06:00:00.000Z", reply=reply)
    bodies: tuple[tuple[str, dict[str, Any]], ...] = (
        ("commit", commit("create", "3maaaaaaaab2a", post)), ("commit", commit("update", "3maaaaaaaab2a", post)),
        ("commit", commit("delete", "3maaaaaaaab2a")), ("commit", commit("create", "3m", {}, "app.bsky.feed.like")),
        ("account", {"active": False, "status": "deleted", "did": did}), ("identity", {"handle": "contoh.example"}))
    return tuple(Event(7 + at, BASE_MS * 1000, did, kind, body) for at, (kind, body) in enumerate(bodies))


def _bluesky(wire: bluesky.Wire) -> Callable[[bytes], bool]:
    decoder = bluesky.Decoder(wire)
    return lambda data: check([decoder.decode(data).happening])


_INFO = b'{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor"}}'
_ERROR = b'{"$type":"error","error":"ConsumerTooSlow","message":"too slow"}'


# Server-sent events and HTML.

_STREAM = (b': hello\n\nevent: update\ndata: {"id": "1",\ndata: "content": "<p>Kopi</p>"}\n\n'
           b'event: delete\r\ndata: 1\r\n\r\n')


def _sse(data: bytes) -> bool:
    """However the network cuts a stream, its events are the same, those that are too large among them."""
    step, pieces = 1 + len(data) % 7, []
    for limit in (MAX_EVENT, 32):
        whole, cut = EventStream(limit), EventStream(limit)
        pieces = [one for at in range(0, len(data), step) for one in cut.feed(data[at:at + step])]
        assert whole.feed(data) == pieces
        assert whole.heartbeats == cut.heartbeats
    return bool(pieces)


def _html(data: bytes) -> bool:
    text = plain(data.decode("utf-8", "replace"))
    assert isinstance(text, str)
    return bool(text)


_HTML = ("<p>Kopi Senja <b>enak</b> &amp; murah<br>ya &#128522;</p>", "<pre> a\n b</pre><ul><li>satu<li>dua</ul>",
         "<p class='quote-inline'>RE</p><a href='https://k.example/@a'><span class='invisible'>https://</span>k</a>",
         "<script>x = '<p>'</script><!-- <p> --><img alt='kopi'/>", "<p>")


# Mastodon.


def _decoder() -> mastodon.Decoder:
    return mastodon.Decoder("kota.example", "kota.example")


def _mastodon(data: bytes) -> bool:
    """A status, as a stream sends it."""
    return check(_decoder().event(Line("update", data)))


def _mastodon_frame(data: bytes) -> bool:
    """A message of a WebSocket."""
    told = mastodon.unwrapped(data)
    if isinstance(told, mastodon.Complaint):
        return False
    return check([told] if isinstance(told, Refused) else _decoder().event(told))


def _mastodon_page(data: bytes) -> bool:
    """A page of a timeline."""
    told, decoder = mastodon.listed(data), _decoder()
    if isinstance(told, Refused):
        return check([told])
    assert all(not one or mastodon.is_local_id(one) for one in map(mastodon.local_id, told))
    return check([decoder.status(one) for one in told])


_STATUS = {
    "id": "115", "uri": "https://kota.example/users/ana/statuses/115", "created_at": "2026-11-25T06:00:00.000Z",
    "edited_at": "2026-11-25T06:05:00.000Z", "language": "id", "visibility": "public", "reblog": None,
    "content": "<p>Kopi <b>Senja</b> &amp; teh</p>", "spoiler_text": "kopi", "in_reply_to_id": "114",
    "in_reply_to_account_id": "3", "mentions": [{"id": "3", "acct": "bayu@desa.example"}],
    "account": {"id": "2", "acct": "ana", "noindex": False, "suspended": False, "followers_count": 37}}
_STATUSES = (_STATUS, _STATUS | {"id": "116", "reblog": _STATUS | {"id": "110"}})
_FRAMES = ({"stream": ["public"], "event": "update", "payload": json.dumps(_STATUS)},
           {"stream": ["public"], "event": "delete", "payload": "115"}, {"error": "Unauthorized", "status": 401})


# Hacker News and news.


def _hackernews(data: bytes) -> bool:
    return check([hackernews.Decoder().decode(data)])


_ITEMS: tuple[dict[str, Any] | None, ...] = (
    {"id": 7, "type": "story", "by": "ana", "time": 1795586400, "title": "Kopi &amp; teh", "score": 3, "url": "https://k"},
    {"id": 8, "type": "comment", "by": "bayu", "time": 1795586400, "text": "<p>Enak<p>sekali", "parent": 7},
    {"id": 9, "type": "comment", "deleted": True, "time": 1795586400}, {"id": 10, "dead": True, "type": "job"},
    None)

_ARTICLES = [Article("1", TEXT, "Kopi <b>Senja</b> buka lagi", "Ana", "2026-11-25T06:00:00Z"), Article("2", "Teh")]


def _news(data: bytes) -> bool:
    document = news.Decoder().decode(data)
    check(document.refused)
    memory = news.Memory()
    told = check(memory.learn("f", document.entries, BASE_MS))
    assert memory == news.Memory.read(memory.write())
    return told


def _news_memory(data: bytes) -> bool:
    """A position that was kept, or what became of it."""
    memory = news.Memory.read(data.decode("utf-8", "replace"))
    if memory is not None:
        memory.learn("f", [news.Entry("1", "kopi")], BASE_MS)
    return memory is not None


def _memory() -> bytes:
    memory = news.Memory(etag='"7"')
    memory.learn("f", [news.Entry("1", "kopi"), news.Entry("2", "teh")], BASE_MS)
    return memory.write().encode()


# Push.


def _push(data: bytes) -> bool:
    decoder = push.Decoder("shop")
    told = [decoder.decode(data, shape) for shape in push.Shape]
    return any([check([one] if isinstance(one, Refused) else one) for one in told])  # noqa: C419 - each is checked


_PUSHED = (
    created(lang="id", kind="review", url="https://k.example", reply_to=6, reply_author="a2", reach=12, rev=3),
    event("post.updated", {"id": "7", "text": TEXT, "created_at": "2026-11-25T06:00:00+07:00"}, 5),
    event("post.deleted", {"id": 7}), event("author.deleted", {"author": "a3"}))


def _keys(data: bytes) -> bool:
    """A file of keys."""
    try:
        return bool(Keys.read(data.decode("utf-8", "replace"), "keys.toml"))
    except BadSetting as error:
        assert "keys.toml" in str(error)
        return False


# Files and records.

_ROW = {"id": "7", "text": TEXT, "created_at": "2026-11-25T06:00:00Z", "author": "a3", "lang": "id", "kind": "reply",
        "url": "https://k.example", "reply_to": "6", "reach": 12, "rev": 3, "removed": False}
_ROWS = (_ROW, {"id": 8, "text": "teh", "created_at": 1795586400}, {"id": 7, "removed": "true"})
_CSV = f"id,text,created_at,author,rev,removed\n7,\"{TEXT}, \"\"ya\"\"\",1795586400,a3,0,\n7,,,,,true\n".encode()


class _Rows:
    """A file of rows, read."""

    def __init__(self, ending: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._path = Path(self._folder.name) / f"posts.{ending}"

    def __call__(self, data: bytes) -> bool:
        self._path.write_bytes(data)
        maker = Maker(Options("file"), b"key", lambda: BASE_MS, BRANDS)
        try:
            rows = open_rows(self._path, {})
        except BadSetting:  # a header that lacks a column
            return False
        try:
            told = list(records(undamaged(self._path, rows), maker))
        finally:
            rows.close()
        assert all(isinstance(one, Record | BadRow) for one in told)
        return any(isinstance(one, Record) for one in told)


_KEY = post_key("file", "7", b"key")
_POST = Post(id=_KEY, source="file", text=TEXT, created_at=from_ms(BASE_MS), rev=3, author="0123456789abcdef",
             lang="id", url="https://k.example", reach=12, alias="0123456789abcdef", prompted=("kopi-senja",))


def _record(data: bytes) -> bool:
    """A record of `denyut.posts`: the key up to the first LF, then the value."""
    key, _, value = data.partition(b"\n")
    try:
        told = decode(key, value or None, frozenset({"file"}))
    except BadPost:
        return False
    assert isinstance(told, Post | Removal | Tick)
    if isinstance(told, Post):
        assert told == decode(told.key, encode(told), frozenset({"file"}))
    return True


TARGETS: dict[str, Target] = {
    "bluesky-v1": Target(_bluesky(bluesky.Wire.V1), tuple(one.flat() for one in _jetstream())),
    "bluesky-v2": Target(_bluesky(bluesky.Wire.V2), (*(one.framed() for one in _jetstream()), _INFO, _ERROR)),
    "sse": Target(_sse, (_STREAM, b"\xef\xbb\xbfdata\rid: 7\r\rdata:  x\n\n")),
    "html": Target(_html, tuple(one.encode() for one in _HTML)),
    "mastodon": Target(_mastodon, tuple(line(one) for one in _STATUSES)),
    "mastodon-frame": Target(_mastodon_frame, tuple(line(one) for one in _FRAMES)),
    "mastodon-page": Target(_mastodon_page, (line(_STATUSES), b"[]")),
    "hackernews": Target(_hackernews, tuple(line(one) for one in _ITEMS)),
    "news-json": Target(_news, (json_feed(_ARTICLES),)),
    "news-xml": Target(_news, (rss(_ARTICLES), atom(_ARTICLES))),
    "news-memory": Target(_news_memory, (_memory(),)),
    "push": Target(_push, (*(line(one) for one in _PUSHED), line(_PUSHED), b"[]")),
    "push-keys": Target(_keys, (KEYS.encode(),)),
    "file-jsonl": Target(_Rows("jsonl"), (b"\n".join(line(row) for row in _ROWS),)),
    "file-csv": Target(_Rows("csv"), (_CSV,)),
    "record": Target(_record, (_POST.key + b"\n" + encode(_POST), _POST.key + b"\n", b"~tick:feed\n{\"file\":7}")),
}
