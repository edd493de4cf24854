"""Posts: what a source carried, and how it is written on the wire.

The wire is JSON, versioned, open to any producer in any language:

    key    b"bluesky:9f86d081884c7d65"                the post's id, again
    value  {"schema": 1, "id": "bluesky:9f86d081884c7d65", "source": "bluesky", "text": "...",
            "created_at": "2026-11-25T06:00:00.000Z", "rev": 0, "author": "5e8848…", "lang": "id", "kind": "post"}
    null   the post was removed
    key    b"~tick:" + feed                           value {"bluesky": 1795586400000}: healthy until then

A field that we do not know is ignored; a newer major schema is a reject. An id is a keyed hash: native ids and handles
stay with the producer (`url` is the one way back, and dies with the text).
Knows nothing of Kafka clients, brands, clocks or lateness.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from streams.heart.errors import BadPost, Reason

SCHEMA = 1
MAX_BYTES = 65_536  # a record's value
MAX_CHARS = 10_000  # a post's text: above it, it is a document
MAX_KEY = 200
MAX_PROMPTED = 50  # brands that one post is prompted by
MAX_REV = 2**32 - 2  # 2**32 - 1 is the floor of a removal
EARLIEST_MS = 946_684_800_000  # 2000-01-01: before it, a wrong clock and no post
LATEST_MS = 4_102_444_800_000  # 2100-01-01
# A time without a zone; what it says is not repeated, for it is the source's.
NO_ZONE = "no time zone: write +07:00 (WIB), +08:00 (WITA), +09:00 (WIT) or Z behind it"
TICK = b"~tick:"

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}:[A-Za-z0-9._-]{8,128}\Z")
_LANG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z")
# Characters that take no room on the screen: joiners and directional marks. Some are part of honest writing (emoji
# sequences, Persian, Arabic), so they are a reason only in bulk; brands and duplicates are looked for without them.
# Direction overrides make a text read other than it is stored: no honest post in any language needs one.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
                        "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]")
_BARRED = re.compile("[\x00\ud800-\udfff\u202d\u202e]")


def _ranges(codes: Iterable[int]) -> str:
    """Characters, in the order of their codes, as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)


# The signs that combine with a letter before them (vowels of Devanagari, say). `\w` of `re` leaves them out, and would
# take the word apart.
COMBINING = _ranges(code for code in range(0x300, 0x11000) if unicodedata.category(chr(code)).startswith("M"))

# Unicode's stream-safe limit (UAX 15, section 13). Honest writing needs a handful, and normalising sorts every run of
# marks by insertion: one of 10,000 took 0.3 s, again and again, in the one thread that a worker has.
MAX_MARKS = 30
_DECOMPOSED = "\u0f73\u0f75\u0f81\uff9e\uff9f"  # no marks by their class, but they decompose into nothing else
_MARK, _WIDE_MARK = (
    _DECOMPOSED + _ranges(code for code in codes if unicodedata.combining(chr(code)))
    for codes in (range(0x300, 0x10000), range(0x10000, 0x1F000)))
# A mark that two others precede begins no run: looking there again made runs of 30 cost 30 times their length.
_HEAP = re.compile(f"[{_MARK}](?<![{_MARK}]{{2}})[{_MARK}]{{{MAX_MARKS}}}")
# Ten times slower, for ranges beyond U+FFFF are tried one by one: only for who writes there.
_WIDE = re.compile("[\U00010000-\U0001efff]")
_WIDE_RUN = re.compile(f"[{_MARK}{_WIDE_MARK}]+")


class Kind(StrEnum):
    """What sort of saying a post is."""

    POST = "post"
    REPLY = "reply"
    REPOST = "repost"
    REVIEW = "review"
    SURVEY = "survey"


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text with its times and keys.

    `created_at` is the event time: every copy and every edit of a post bears the same. `rev` starts at 0 and rises with
    each edit (the edit's epoch seconds will do). `author` is a keyed pseudonym; without one the post is its own author.
    `alias`: a keyed hash of another id by which removals at its source may call it. `prompted`: names of the brands
    whose own account wrote it, or is answered by it.
    """

    id: str
    source: str
    text: str
    created_at: datetime
    rev: int = 0
    author: str | None = None
    lang: str | None = None
    kind: Kind = Kind.POST
    url: str | None = None
    reply_to: str | None = None
    reach: int | None = None
    alias: str | None = None
    prompted: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def event_ms(self) -> int:
        """The event time in whole milliseconds UTC."""
        return epoch_ms(self.created_at)

    @property
    def key(self) -> bytes:
        """The Kafka key: the id."""
        return self.id.encode()


class Removal(msgspec.Struct, frozen=True):
    """The post with this id is gone at its source; none of its versions counts any more."""

    id: str


class Tick(msgspec.Struct, frozen=True):
    """A feed's sign of life: each of its sources was listened to, without a gap, until the time given (ms UTC)."""

    feed: str
    healthy: dict[str, int]


class _Wire(msgspec.Struct):
    """A `Post` before anything is believed of it."""

    id: str
    source: str
    text: str
    created_at: str
    rev: int = 0
    author: str | None = None
    lang: str | None = None
    kind: str = "post"
    url: str | None = None
    reply_to: str | None = None
    reach: int | None = None
    alias: str | None = None
    prompted: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PROMPTED)] = ()
    schema: int = SCHEMA


_wire = msgspec.json.Decoder(_Wire)
_tick = msgspec.json.Decoder(dict[str, Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]])
_encode = msgspec.json.Encoder().encode
_KINDS = {kind.value: kind for kind in Kind}


def epoch_ms(when: datetime) -> int:
    """Whole milliseconds UTC, rounded down, exact (no float between).

    >>> epoch_ms(datetime(2026, 11, 25, 6, 0, 0, 123999, tzinfo=UTC))
    1795586400123
    """
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_ms(ms: int) -> datetime:
    """The other way: a time in UTC.

    >>> from_ms(1795586400123).isoformat(timespec="milliseconds")
    '2026-11-25T06:00:00.123+00:00'
    """
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def decode(key: bytes | None, value: bytes | None, sources: frozenset[str]) -> Post | Removal | Tick:
    """One record of `denyut.posts`. Raises `BadPost` with a reason from the fixed list; nothing else, whatever comes.

    >>> decode(b"demo:0123456789abcdef", None, frozenset({"demo"}))
    Removal(id='demo:0123456789abcdef')
    >>> decode(b"demo:0123456789abcdef", b"hello", frozenset({"demo"}))
    Traceback (most recent call last):
    streams.heart.errors.BadPost: not_json
    """
    if not key:
        raise BadPost(Reason.NO_KEY)
    if len(key) > MAX_KEY:
        raise BadPost(Reason.BAD_KEY, f"{len(key)} bytes")
    if value is not None and len(value) > MAX_BYTES:
        raise BadPost(Reason.TOO_LARGE, f"{len(value)} bytes")
    if key.startswith(TICK):
        return _decode_tick(key, value)
    name = _decode_key(key)
    if name.split(":")[0] not in sources:
        raise BadPost(Reason.UNKNOWN_SOURCE)
    if value is None:
        return Removal(name)
    post = _checked(_parse(value), name)
    check_text(post.text)
    return post


def _decode_key(key: bytes) -> str:
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise BadPost(Reason.BAD_KEY, "not UTF-8") from None
    if not _KEY.match(name):
        raise BadPost(Reason.BAD_KEY, "expected source:hash")
    return name


def _decode_tick(key: bytes, value: bytes | None) -> Tick:
    try:
        return Tick(key[len(TICK):].decode("ascii"), _tick.decode(value or b""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadPost(Reason.BAD_TICK) from None


def _parse(value: bytes) -> _Wire:
    try:
        return _wire.decode(value)
    except msgspec.ValidationError as error:
        raise _validation(value, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _undecodable(value) from None
    except RecursionError:
        raise BadPost(Reason.NOT_JSON, "too deep") from None


def _undecodable(value: bytes) -> BadPost:
    try:
        value.decode()
    except UnicodeDecodeError:
        return BadPost(Reason.NOT_UTF8)
    # JSON may spell a lone surrogate as \ud800; the decoder refuses it, and it is the text that is bad.
    lone = re.search(rb"\\u[dD][89a-fA-F]", value)
    return BadPost(Reason.BAD_TEXT if lone else Reason.NOT_JSON)


def _validation(value: bytes, said: str) -> BadPost:
    """A newer schema may change any type, so its number is looked at before the type is blamed."""
    try:
        schema: Any = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _undecodable(value)
    except RecursionError:
        return BadPost(Reason.NOT_JSON, "too deep")
    version = schema.get("schema") if isinstance(schema, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        return BadPost(Reason.NEWER_SCHEMA, f"{version}"[:12])
    field = re.search(r"(?:at `\$\.|field `)([a-z_]+)`", said)
    named = field.group(1) if field and field.group(1) in _Wire.__struct_fields__ else ""
    return BadPost(Reason.MISSING_FIELD if "missing required" in said else Reason.WRONG_TYPE, named)


def _checked(wire: _Wire, name: str) -> Post:
    if wire.schema > SCHEMA:
        raise BadPost(Reason.NEWER_SCHEMA, f"{wire.schema}"[:12])
    if wire.id != name:
        raise BadPost(Reason.KEY_IS_NOT_ID)
    if wire.source != name.split(":", maxsplit=1)[0]:
        raise BadPost(Reason.UNKNOWN_SOURCE, "not the id's")
    if not 0 <= wire.rev <= MAX_REV:
        raise BadPost(Reason.WRONG_TYPE, "rev")
    if wire.author is not None and not 0 < len(wire.author) <= MAX_KEY:
        raise BadPost(Reason.WRONG_TYPE, "author")
    return Post(
        id=name, source=wire.source, text=wire.text, created_at=_time(wire.created_at), rev=wire.rev,
        author=wire.author, lang=wire.lang if wire.lang and _LANG.match(wire.lang) else None,
        kind=_KINDS.get(wire.kind, Kind.POST), url=wire.url, reply_to=wire.reply_to, reach=wire.reach,
        alias=wire.alias, prompted=wire.prompted, schema=wire.schema,
    )


def _time(said: str) -> datetime:
    try:
        when = msgspec.convert(said, datetime)
    except msgspec.ValidationError:
        raise BadPost(Reason.BAD_TIME, "not RFC 3339") from None
    if when.tzinfo is None:
        raise BadPost(Reason.BAD_TIME, NO_ZONE)
    if not EARLIEST_MS <= epoch_ms(when) <= LATEST_MS:
        raise BadPost(Reason.BAD_TIME, "out of range")
    return when


def check_text(text: str) -> None:
    """Raises `BadPost` for a text that no honest post has."""
    if len(text) > MAX_CHARS:
        raise BadPost(Reason.TOO_LONG, f"{len(text)} characters")
    if not text.isascii():
        hidden = len(_INVISIBLE.findall(text))
        if hidden > 4 and 3 * hidden > len(text):
            raise BadPost(Reason.BAD_TEXT, "too much that is invisible")
        if is_heaped(text):
            raise BadPost(Reason.BAD_TEXT, f"more than {MAX_MARKS} combining marks on one letter")
    if _BARRED.search(text):
        raise BadPost(Reason.BAD_TEXT, "NUL, lone surrogate or direction override")
    if not visible(text).strip():
        raise BadPost(Reason.BAD_TEXT, "nothing visible")


def is_heaped(text: str) -> bool:
    """Whether more than `MAX_MARKS` combining marks follow each other, what is invisible between them left out.

    To be asked before any text from outside is normalised. 10,000 characters take 0.2 ms, beyond U+FFFF 2 ms.

    >>> is_heaped("a" + "\u0301" * 30), is_heaped("a" + "\u0301\u200b" * 31)
    (False, True)
    """
    shown = visible(text)
    if _WIDE.search(shown):
        return any(len(run) > MAX_MARKS for run in _WIDE_RUN.findall(shown))
    return _HEAP.search(shown) is not None


def encode(post: Post) -> bytes:
    """The wire form of a post; `decode` reads it back."""
    return _encode(post)


def tick_key(feed: str) -> bytes:
    """The key of a feed's ticks."""
    return TICK + feed.encode("ascii")


def encode_tick(healthy: dict[str, int]) -> bytes:
    """The value of a tick: source -> healthy until (ms UTC)."""
    return _encode(healthy)


def post_key(source: str, native_id: str, secret: bytes) -> str:
    """A post's id: the source and a keyed hash (128 bits) of the id that the source gave it.

    >>> post_key("demo", "42", b"key")
    'demo:fb6f505089fe3073673c8b460a04a3c9'
    """
    return f"{source}:{_keyed(f'{source}/post/{native_id}', secret)}"


def pseudonym(source: str, native_author: str, secret: bytes) -> str:
    """An author's keyed pseudonym (HMAC-SHA-256, 128 bits): the same person at the same source, and nobody else."""
    return _keyed(f"{source}/author/{native_author}", secret)


def alias_key(source: str, alias: str, secret: bytes) -> str:
    """A keyed hash (128 bits) of another id by which the source calls a post."""
    return _keyed(f"{source}/alias/{alias}", secret)


def _keyed(what: str, secret: bytes) -> str:
    return hmac.new(secret, what.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def id64(name: str) -> int:
    """The 64-bit hash under which a post or an author is counted; stable over processes and releases.

    The chance that a new one meets one of n others is n / 2**64 (about 1e-13 at a million).
    """
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


_LINK = re.compile(r"https?://\S+|www\.\S+")
_HANDLE = re.compile(r"@\w+")
_NOT_WORD = re.compile(rf"[^\w{COMBINING}]+|_+")


def visible(text: str) -> str:
    """The text without characters that take no room: zero-width tricks do not hide a brand or a copy.

    >>> visible("ko\\u200bpi")
    'kopi'
    """
    return text if text.isascii() else _INVISIBLE.sub("", text)


def near_duplicate(text: str) -> int:
    """The hash of a text's near-duplicate cluster: equal after case, links, handles, punctuation, emoji and spaces.

    A text that holds no word at all (emoji alone) is its own cluster by its exact characters.

    >>> near_duplicate("Kopi ENAK banget!! https://x.id/1") == near_duplicate("@budi kopi enak   banget")
    True
    """
    plain = visible(text).casefold()
    bare = _NOT_WORD.sub(" ", _HANDLE.sub(" ", _LINK.sub(" ", unicodedata.normalize("NFC", plain)))).strip()
    return id64(bare or text)
