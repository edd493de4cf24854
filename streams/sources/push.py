"""Push: posts that somebody sends us, as signed events.

    POST /v1/posts
    Content-Type: application/cloudevents-batch+json
    X-Denyut-Key: 2026-11
    X-Denyut-Timestamp: 1795586400
    X-Denyut-Signature: v1=<hex of hmac-sha256(secret, timestamp + "." + body)>

    [{"specversion": "1.0", "id": "e1", "source": "/shop", "type": "post.created", "time": "2026-11-25T06:00:00Z",
      "data": {"id": "7", "author": "a3", "text": "Kopi Senja enak", "created_at": "2026-11-25T05:59:58Z"}}]

An event is a CloudEvent in JSON, alone or in a batch. Its `data` is a post, by type of the event:

    post.created, post.updated    id, text, created_at, and if it has them author, lang, kind, url, reply_to,
                                  reply_author, reach, rev
    post.deleted                  id
    author.deleted                author

A removal holds for as long as texts are kept, a week, whether or not its post has come, and over restarts: a post that
comes after it does not enter. So it is with an author: who is deleted is not heard for a week under that name.
What else stands in an event is ignored. An update without `rev` has the seconds of the event's `time` as its `rev`. Ids
are the sender's own; before them goes the name of the sender that the key belongs to (`shop/7`), always, so that
senders never overwrite one another's posts, and a post keeps its id when a second sender comes.
A bad event of a batch is refused alone, in its place; a body that is no JSON, or no batch, as a whole.
Knows nothing of keys, sockets, clocks, or of what was sent before.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import msgspec

from streams.heart.errors import BadPost, Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS, MAX_REV, Kind, check_text, epoch_ms
from streams.sources.contract import AuthorGone, Gone, Happening, Refused, Said, unfit
from streams.sources.reader import MAX_EVENT

SOURCE = "push"
MAX_BODY = 5_000_000  # bytes
MAX_EVENTS = 10_000
MAX_ID = 512  # characters of an id
MAX_URL = 2048


class Shape(StrEnum):
    """What a body holds."""

    ONE = "an event"
    BATCH = "an array of events"
    EITHER = "an event, or an array of events"


TYPES = {
    "application/cloudevents+json": Shape.ONE,
    "application/cloudevents-batch+json": Shape.BATCH,
    "application/json": Shape.EITHER,
}


def shape_of(content_type: str) -> Shape | None:
    """What a body of this Content-Type holds; None: nothing that we read.

    >>> shape_of("application/cloudevents+json; charset=UTF-8"), shape_of("text/xml")
    (<Shape.ONE: 'an event'>, None)
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [one.removeprefix("charset=").strip('"') for one in parameters if one.startswith("charset=")]
    return TYPES.get(kind) if all(one in ("utf-8", "utf8", "us-ascii") for one in charsets) else None


class _Event(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Post(msgspec.Struct):
    id: str | int
    text: str
    created_at: str
    author: str | int | None = None
    lang: str | None = None
    kind: str | None = None
    url: str | None = None
    reply_to: str | int | None = None
    reply_author: str | int | None = None
    reach: int | None = None
    rev: int | None = None


class _Deleted(msgspec.Struct):
    id: str | int


class _Left(msgspec.Struct):
    author: str | int


_one = msgspec.json.Decoder(msgspec.Raw)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_event = msgspec.json.Decoder(_Event)
_post = msgspec.json.Decoder(_Post)
_deleted = msgspec.json.Decoder(_Deleted)
_left = msgspec.json.Decoder(_Left)
_FIELDS = frozenset({*_Event.__struct_fields__, *_Post.__struct_fields__})
_KINDS = {kind.value: kind for kind in Kind}
_FIELD = re.compile(r"(?:at `\$\.|field `)([a-z_]+)`")
_T = TypeVar("_T")
_WHITE = b" \t\r\n"
# JSON may spell half a character (`\ud83d` alone): pairs and other escapes are stepped over, so what is left is alone.
_LONE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})"
                   rb"|\\.", re.DOTALL)


class Decoder:
    """Events of one sender, as happenings."""

    def __init__(self, sender: str) -> None:
        self._sender = sender

    def decode(self, body: bytes, shape: Shape = Shape.EITHER) -> list[Happening] | Refused:
        """One happening for each event, in their order; a `Refused` alone where the body as a whole is none.

        >>> Decoder("shop").decode(b'[{"specversion": "1.0", "id": "1", "source": "/", "type": "post.deleted", '
        ...                        b'"data": {"id": 7}}, 1]')
        [Gone(native='shop/7', alias=''), Refused(reason=<Reason.WRONG_TYPE: 'wrong_type'>, detail='')]
        >>> Decoder("shop").decode(b"hello")
        Refused(reason=<Reason.NOT_JSON: 'not_json'>, detail='')
        """
        is_array = body.lstrip(_WHITE)[:1] == b"["
        if is_array != (shape is Shape.BATCH) and shape is not Shape.EITHER:
            return Refused(_blame(body), f"expected {shape}")
        try:
            events = _parsed(body, is_array)
        except BadPost as error:
            return Refused(error.reason, error.detail)
        if len(events) > MAX_EVENTS:
            return Refused(Reason.TOO_LARGE, f"{len(events)} events")
        happenings = [self._happening(event) for event in events]
        if not is_array and isinstance(happenings[0], Refused):
            return happenings[0]
        return happenings

    def _happening(self, raw: msgspec.Raw) -> Happening:
        try:
            size = memoryview(raw).nbytes
            if size > MAX_EVENT:
                raise BadPost(Reason.TOO_LARGE, f"{size} bytes")
            event = _read(_event, raw)
            if event.specversion != "1.0":
                raise BadPost(Reason.WRONG_TYPE, "specversion")
            if not (event.id and event.source):
                raise BadPost(Reason.MISSING_FIELD, "source" if event.id else "id")
            if not memoryview(event.data).nbytes:
                raise BadPost(Reason.MISSING_FIELD, "data")
            time_ms = None if event.time is None else _ms(event.time, "time")
            return self._told(event.type, event.data, time_ms)
        except BadPost as error:
            return Refused(error.reason, error.detail)

    def _told(self, kind: str, data: msgspec.Raw, time_ms: int | None) -> Happening:
        match kind:
            case "post.created":
                return self._said(_read(_post, data, "data"), time_ms, 0)
            case "post.updated":
                return self._said(_read(_post, data, "data"), None, None if time_ms is None else time_ms // 1000)
            case "post.deleted":
                return Gone(self._named(_read(_deleted, data, "data").id, "data.id"))
            case "author.deleted":
                return AuthorGone(self._named(_read(_left, data, "data").author, "data.author"))
            case _:
                raise BadPost(Reason.WRONG_TYPE, "type")

    def _said(self, post: _Post, witnessed_ms: int | None, rev: int | None) -> Said | Refused:
        rev = rev if post.rev is None else post.rev
        if rev is None:
            raise BadPost(Reason.MISSING_FIELD, "time")
        if not 0 <= rev <= MAX_REV:
            raise BadPost(Reason.WRONG_TYPE, "data.rev")
        if post.reach is not None and not 0 <= post.reach < 2**63:
            raise BadPost(Reason.WRONG_TYPE, "data.reach")
        if post.url is not None and len(post.url) > MAX_URL:
            raise BadPost(Reason.TOO_LONG, "data.url")
        native = self._named(post.id, "data.id")
        try:
            check_text(post.text)  # what a worker would refuse later is refused now, while its sender listens
        except BadPost as bad:
            return unfit(bad.reason, "data.text", native, rev)
        reply_to = self._maybe(post.reply_to, "data.reply_to")
        return Said(
            native=native, text=post.text,
            created_ms=_ms(post.created_at, "data.created_at"), rev=rev,
            author=self._maybe(post.author, "data.author") or "", lang=post.lang or None,
            kind=_KINDS.get(post.kind or "", Kind.POST if reply_to is None else Kind.REPLY), reply_to=reply_to,
            refers=self._maybe(post.reply_author, "data.reply_author"), url=post.url or None, reach=post.reach,
            witnessed_ms=witnessed_ms,
        )

    def _named(self, said: str | int, name: str) -> str:
        native = str(said)
        if not native:
            raise BadPost(Reason.MISSING_FIELD, name)
        if len(native) > MAX_ID:
            raise BadPost(Reason.TOO_LONG, name)
        return f"{self._sender}/{native}"

    def _maybe(self, said: str | int | None, name: str) -> str | None:
        return None if said is None or said == "" else self._named(said, name)


def _parsed(body: bytes, is_array: bool) -> list[msgspec.Raw]:
    """The events of a body, each as its own bytes: one that is bad does not spoil the others."""
    try:
        return _split(body, is_array)
    except RecursionError:
        raise BadPost(Reason.NOT_JSON, "too deep") from None
    except msgspec.DecodeError:
        pass
    try:
        return _split(_repaired(body), is_array)
    except msgspec.DecodeError:
        raise BadPost(_blame(body)) from None


def _split(body: bytes, is_array: bool) -> list[msgspec.Raw]:
    return _array.decode(body) if is_array else [_one.decode(body)]


def _repaired(body: bytes) -> bytes:
    """The same with NUL for each half of a character: no text may hold it, so only what holds it is refused."""
    return _LONE.sub(lambda found: b"\\u0000" if found[1] else found[0], body)


def _blame(body: bytes) -> Reason:
    """Why these bytes are not what they should be."""
    try:
        body.decode()
        msgspec.json.decode(body)
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    except (msgspec.DecodeError, RecursionError):
        return Reason.NOT_JSON
    return Reason.WRONG_TYPE


def _read(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw, where: str = "") -> _T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        said = str(error)
        found = _FIELD.search(said)
        name = found[1] if found and found[1] in _FIELDS else ""
        raise BadPost(Reason.MISSING_FIELD if "missing required" in said else Reason.WRONG_TYPE,
                      ".".join(filter(None, (where, name)))) from None
    except UnicodeDecodeError:
        raise BadPost(Reason.NOT_UTF8) from None
    except (msgspec.DecodeError, RecursionError):
        raise BadPost(Reason.NOT_JSON) from None


def _ms(said: str, name: str) -> int:
    try:
        when = msgspec.convert(said, datetime)
    except msgspec.ValidationError:
        raise BadPost(Reason.BAD_TIME, name) from None
    if when.tzinfo is None or not EARLIEST_MS <= epoch_ms(when) <= LATEST_MS:
        raise BadPost(Reason.BAD_TIME, name)
    return epoch_ms(when)
