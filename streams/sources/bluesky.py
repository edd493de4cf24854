"""Bluesky: what a Jetstream server sends, and what can be said of such a server on a command line.

    v1   {"did", "time_us", "kind": "commit" | "identity" | "account", "commit" | "account": {...}}
    v2   {"$type": "message", "payload": {"$type": "...#commit", "seq", "did", "time", ...}}, or {"$type": "error", ...}

A post is `at://did/app.bsky.feed.post/rkey` for ever; its author is the DID. An update bears the second in which the
server saw it as its `rev`, for a record has no time of its own but its first. Accounts that are deleted, taken down,
suspended or deactivated are gone with all they said. A post of pictures alone says nothing, and neither do identities
(a handle changed), other collections, or `#sync` of v2: it says that a repository must be read again, and the server
sends what is in it anew.
`url` stays empty: it would hold the DID.
Knows nothing of sockets, cursors or the time of day.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS, Kind, epoch_ms
from streams.sources.contract import AuthorGone, Gone, Happening, Refused, Said, unfit

SOURCE = "bluesky"
URL = "wss://jetstream2.us-east.bsky.network/subscribe"
POSTS = "app.bsky.feed.post"
PATH_V1 = "/subscribe"
PATH_V2 = "/xrpc/network.bsky.jetstream.subscribeEvents"
GONE = frozenset({"deleted", "takendown", "suspended", "deactivated"})  # other states pass: throttled, desynchronized


class Wire(StrEnum):
    """How a server speaks. `auto`: v2 where the server knows it, else v1."""

    V1 = "v1"
    V2 = "v2"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Options:
    """Which server is listened to, and how. `zstd_dictionary`: the file that its compressed messages are read with."""

    url: str = URL
    wire: Wire = Wire.V1
    zstd_dictionary: Path | None = None

    @classmethod
    def read(cls, url: str = "", wire: str = "", zstd_dictionary: str = "") -> Self:
        """The options as they stand on a command line; what is empty is left to us. Raises `BadSetting`.

        >>> Options.read(url="wss://jetstream.example").wire.value
        'auto'
        """
        base, by_path = _place(url or URL)
        if wire not in ("", *Wire):
            raise BadSetting(f"--wire {wire}: expected {', '.join(Wire)}")
        if by_path is not None and wire not in ("", Wire.AUTO, by_path):
            raise BadSetting(f"--wire {wire}: --url has the path of {by_path}; leave out one of them")
        said = by_path or Wire(wire or Wire.AUTO)
        dictionary = Path(zstd_dictionary) if zstd_dictionary else None
        if dictionary is not None and not dictionary.is_file():
            raise BadSetting(f"--zstd-dictionary {zstd_dictionary}: there is no such file")
        return cls(base, said, dictionary)

    def address(self, wire: Wire) -> str:
        """Where a wire is spoken, without what is asked for."""
        base, _ = _place(self.url)
        return base + (PATH_V1 if wire is Wire.V1 else PATH_V2)

    @property
    def host(self) -> str:
        """The server, as a position names it."""
        return urlsplit(self.url).netloc.lower()


def _place(url: str) -> tuple[str, Wire | None]:
    """A server's address without its path, and the wire that the path means."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme not in ("ws", "wss") or not host or port == 0 or "@" in parts.netloc or parts.query:
        raise BadSetting("--url: expected wss://host, with nothing but the path of a wire behind it")
    wires = {"": None, "/": None, PATH_V1: Wire.V1, PATH_V2: Wire.V2}
    if parts.path not in wires:
        raise BadSetting(f"--url: expected no path, {PATH_V1} or {PATH_V2}")
    return f"{parts.scheme}://{parts.netloc}", wires[parts.path]


# What a message is.


class Told(NamedTuple):
    """One message. `at`: where its server has it (v1: microseconds, v2: a number); 0: nowhere, or nobody can say."""

    happening: Happening | None = None
    at: int = 0
    witness_us: int = 0  # when the server saw the event, microseconds UTC
    notice: str = ""  # what the server says of the stream itself: of the names below, or "other"
    is_last: bool = False  # it hangs up after this


OUTDATED, FUTURE, SLOW, OTHER = "OutdatedCursor", "FutureCursor", "ConsumerTooSlow", "other"

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Ref(msgspec.Struct, gc=False):
    uri: str


class _Reply(msgspec.Struct, gc=False):
    parent: _Ref


class _Record(msgspec.Struct, gc=False):
    """A post, as far as we read it."""

    text: str | None = None
    created: _Time | None = msgspec.field(default=None, name="createdAt")
    langs: list[str] | None = None
    reply: _Reply | None = None


class _Account(msgspec.Struct, gc=False):
    active: bool
    status: str | None = None


class _Commit(msgspec.Struct, gc=False):
    operation: str
    collection: str
    rkey: str
    record: _Record | None = None


class _Flat(msgspec.Struct, gc=False):
    """A message of v1."""

    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    account: _Account | None = None


class _Payload(msgspec.Struct, gc=False):
    """What a message of v2 carries: its union, in one."""

    type: str = msgspec.field(name="$type")
    seq: int = 0
    did: str = ""
    time: _Time | None = None
    witnessed: _Time | None = msgspec.field(default=None, name="witnessedAt")
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    record: _Record | None = None
    account: _Account | None = None
    name: str = ""


class _Framed(msgspec.Struct, gc=False):
    """A message of v2."""

    type: str = msgspec.field(name="$type")
    payload: _Payload | None = None
    error: str = ""


class Decoder:
    """Reads the messages of one wire. Never raises, whatever comes.

    >>> Decoder(Wire.V1).decode(b"hello").happening
    Refused(reason=<Reason.NOT_JSON: 'not_json'>, detail='')
    """

    def __init__(self, wire: Wire) -> None:
        self.decode: Callable[[bytes], Told] = _framed if wire is Wire.V2 else _flat


_read_flat = msgspec.json.Decoder(_Flat).decode
_read_framed = msgspec.json.Decoder(_Framed).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _flat(data: bytes) -> Told:
    try:
        event = _read_flat(data)
    except _UNREADABLE as error:
        return Told(_refused(data, str(error)))
    if not EARLIEST_MS * 1000 <= event.time_us <= LATEST_MS * 1000:
        return Told(Refused(Reason.BAD_TIME, "time_us"))
    happening: Happening | None = None
    if event.kind == "commit":
        commit = event.commit
        happening = _missing("commit") if commit is None else _commit(event.did, commit, event.time_us)
    elif event.kind == "account":
        happening = _account(event.did, event.account, event.time_us)
    return Told(happening, event.time_us, event.time_us)


def _framed(data: bytes) -> Told:
    try:
        frame = _read_framed(data)
    except _UNREADABLE as error:
        return Told(_refused(data, str(error)))
    if frame.type == "error":
        return Told(notice=SLOW if frame.error == SLOW else OTHER, is_last=True)
    if frame.type != "message":
        return Told()
    return Told(_missing("payload")) if frame.payload is None else _event(frame.payload)


def _event(event: _Payload) -> Told:
    kind = event.type.rpartition("#")[2]
    if kind == "info":
        return Told(notice=event.name if event.name in (OUTDATED, FUTURE) else OTHER)
    when = event.witnessed or event.time
    if when is None or event.seq <= 0:
        return Told(_missing("time" if when is None else "seq"))
    witness_us = _epoch_us(when)
    if not EARLIEST_MS * 1000 <= witness_us <= LATEST_MS * 1000:
        return Told(Refused(Reason.BAD_TIME, "time"))
    happening: Happening | None = None
    if kind == "commit":
        happening = _commit(event.did, event, witness_us)
    elif kind == "account":
        happening = _account(event.did, event.account, witness_us)
    return Told(happening, event.seq, witness_us)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _epoch_us(when: datetime) -> int:
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _missing(field: str) -> Refused:
    return Refused(Reason.MISSING_FIELD, field)


def _account(did: str, account: _Account | None, witness_us: int) -> Happening | None:
    if account is None or not did:
        return _missing("account" if did else "did")
    if account.active or (account.status is not None and account.status not in GONE):
        return None  # without a reason it is gone all the same
    # All but the deleted may come back, and their posts of then are no business of this event's replay.
    return AuthorGone(did, None if account.status == "deleted" else witness_us // 1000)


def _commit(did: str, commit: _Commit | _Payload, witness_us: int) -> Happening | None:
    if commit.collection != POSTS:
        return None
    if not did or not commit.rkey:
        return _missing("rkey" if did else "did")
    native = f"at://{did}/{POSTS}/{commit.rkey}"
    match commit.operation:
        case "create":
            return _post(native, did, commit.record, witness_us, 0)
        case "update":
            return _post(native, did, commit.record, witness_us, witness_us // 1_000_000)
        case "delete":
            return Gone(native)
    return None


def _post(native: str, did: str, record: _Record | None, witness_us: int, rev: int) -> Happening | None:
    if record is None or record.text is None or record.created is None:
        field = "record" if record is None else "text" if record.text is None else "createdAt"
        return unfit(Reason.MISSING_FIELD, field, native, rev)
    created_ms = epoch_ms(record.created)
    if not EARLIEST_MS <= created_ms <= LATEST_MS:
        return unfit(Reason.BAD_TIME, "createdAt", native, rev)
    if not record.text or record.text.isspace():
        return Gone(native) if rev else None  # what was edited away is not kept
    parent = record.reply.parent.uri if record.reply is not None else None
    return Said(
        native, record.text, created_ms, rev, did, record.langs[0] if record.langs else None,
        Kind.POST if parent is None else Kind.REPLY, parent, _author_of(parent), witnessed_ms=witness_us // 1000)


def _author_of(uri: str | None) -> str | None:
    """The DID in a post's address; where a handle stands in its place, nobody.

    >>> _author_of("at://did:plc:contoh/app.bsky.feed.post/3m")
    'did:plc:contoh'
    """
    if uri is None or not uri.startswith("at://did:"):
        return None
    return uri[5:].partition("/")[0]


# Why a message cannot be read. Seldom, so it may take its time.

_AT = re.compile(r"(?:at `\$[^`]*?|field `)(\$?\w+)(?:\[[^\]`]*\])?`")
_FIELDS = frozenset({"did", "time_us", "kind", "commit", "account", "operation", "collection", "rkey", "record", "text",
                     "createdAt", "langs", "reply", "parent", "uri", "active", "status", "payload", "seq", "time",
                     "witnessedAt", "name", "error"})
_TIMES = frozenset({"createdAt", "time", "witnessedAt"})


def _refused(data: bytes, said: str) -> Refused | None:
    """The reason; None where it is of no concern to us how another collection looks."""
    try:
        message: Any = msgspec.json.decode(data)
    except UnicodeDecodeError:
        return Refused(Reason.NOT_UTF8)
    except RecursionError:
        return Refused(Reason.NOT_JSON, "too deep")
    except msgspec.DecodeError:
        return _undecodable(data)
    collection = _collection(message)
    if isinstance(collection, str) and collection != POSTS:
        return None
    match = _AT.search(said)
    field = match[1] if match and match[1] in _FIELDS else ""
    is_time = field in _TIMES and "got `" not in said
    reason = (Reason.MISSING_FIELD if "missing required" in said
              else Reason.BAD_TIME if is_time else Reason.WRONG_TYPE)
    return unfit(reason, field, *_version(message))


def _version(message: Any) -> tuple[str, int]:
    """Of which post a message that cannot be read is a version, and which, on either wire; of none: "", 0."""
    try:
        event = message.get("payload") or message
        commit = message.get("commit") or event
        did, rkey = event["did"], commit["rkey"]
        us = event.get("time_us") or _epoch_us(msgspec.convert(event.get("witnessedAt") or event["time"], _Time))
        if not (did and rkey and isinstance(did, str) and isinstance(rkey, str)):
            return "", 0
        return f"at://{did}/{POSTS}/{rkey}", us // 1_000_000 if commit["operation"] == "update" else 0
    except (AttributeError, KeyError, TypeError, msgspec.ValidationError):
        return "", 0


def _undecodable(data: bytes) -> Refused:
    try:
        data.decode()
    except UnicodeDecodeError:
        return Refused(Reason.NOT_UTF8)
    # JSON may spell a lone surrogate as \ud800; the decoder refuses it, and it is the text that is bad.
    lone = re.search(rb"\\u[dD][89a-fA-F]", data)
    return Refused(Reason.BAD_TEXT if lone else Reason.NOT_JSON)


def _collection(message: Any) -> Any:
    """The collection that a message is about, on either wire."""
    for key in ("payload", "commit"):
        if isinstance(message, dict) and isinstance(message.get(key), dict):
            return message[key].get("collection")
    return None
