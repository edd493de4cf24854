"""Mastodon and what speaks like it (GoToSocial): statuses and the events of a stream, as happenings.

    update, status.update   {"id": "115", "uri": "https://kota.example/users/a/statuses/115", "content": "<p>…</p>", …}
    delete                  115

A post's native id is its `uri`, the same on every server. A removal names only the id that this server gave it, so
that id is the post's alias: `kota.example/115`. An edit's `rev` is the second in which it was made. A content warning
is part of what is said, and stands before it. A boost is the boosted text, said again by who boosts it (`repost`); its
removal is an event of its own.

Only what is meant for everyone enters: `public` and `unlisted` posts of authors who have not asked (`noindex`) to be
left out of searches and the like; of the rest nothing is told, not even that it came. Accounts that say that they are
bots are heard as any other: whether they count is not a question of the wire. A post without words is nothing.
Knows nothing of HTTP, sockets, or of the time.
"""

import re
from collections import OrderedDict
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from streams.heart.errors import Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS, MAX_CHARS, MAX_REV, Kind, epoch_ms
from streams.sources.contract import Gone, Happening, Refused, Said, unfit, unread
from streams.sources.html import plain
from streams.sources.sse import Event

SOURCE = "mastodon"
OPEN = frozenset({"public", "unlisted"})
MAX_NAME = 2000  # characters of a uri, or of an account's name
KNOWN = 5000  # posts whose uri is remembered, for the answers to them
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FIELD = re.compile(r"(?:at `\$\.?|field `)([a-z_.]+)`")


class _Account(msgspec.Struct):
    acct: str
    id: str = ""
    noindex: bool | None = False
    suspended: bool | None = False
    followers_count: int | None = None


class _Mention(msgspec.Struct):
    id: str = ""
    acct: str = ""


class _Status(msgspec.Struct):
    id: str
    uri: str
    created_at: str
    visibility: str
    account: _Account
    content: str = ""
    spoiler_text: str | None = ""
    edited_at: str | None = None
    language: str | None = None
    in_reply_to_id: str | None = None
    in_reply_to_account_id: str | None = None
    mentions: list[_Mention] = msgspec.field(default_factory=list)
    reblog: "_Status | None" = None


class _Frame(msgspec.Struct):
    event: str = ""
    payload: str | None = None
    error: str | None = None
    status: int = 0


class Complaint(NamedTuple):
    """A server's word, within a WebSocket, that it will not stream: an HTTP status."""

    status: int


_status = msgspec.json.Decoder(_Status)
_frame = msgspec.json.Decoder(_Frame)


class _NoTime(Exception):
    """A time that is none, or an absurd one. The name of its field."""


class Decoder:
    """What comes from one server. `host`: where it is reached; `domain`: of the accounts that it calls by a bare name.

    >>> decoder = Decoder("kota.example", "kota.example")
    >>> decoder.event(Event("delete", b"115"))
    [Gone(native='', alias='kota.example/115')]
    """

    def __init__(self, host: str, domain: str) -> None:
        self._host = host
        self._domain = domain.lower()
        self._uris: OrderedDict[str, str] = OrderedDict()  # local id -> uri, of what came last

    def alias(self, local: str) -> str:
        """How this server's removals call the post of a local id."""
        return f"{self._host}/{local}"

    def event(self, event: Event) -> list[Happening]:
        """One event of a stream: at most one happening. Of the many events that are no posts, none."""
        if event.name in ("update", "status.update"):
            one = self.status(event.data)
            return [] if one is None else [one]
        if event.name == "delete":
            local = event.data.strip().decode("ascii", "replace")
            return [self.gone(local) if _ID.match(local) else Refused(Reason.WRONG_TYPE, "id")]
        return []

    def gone(self, local: str) -> Gone:
        """The removal of a post, by this server's id."""
        return Gone(alias=self.alias(local))

    def status(self, data: bytes | msgspec.Raw) -> Said | Gone | Refused | None:
        """One status as the API writes it. None: it is not for us."""
        status = _decoded(_status, data)
        if isinstance(status, Refused):
            return status
        if not (_ID.match(status.id) and 0 < len(status.uri) <= MAX_NAME):
            return Refused(Reason.WRONG_TYPE, "id or uri")
        try:
            if not self._is_for_us(status):  # nor is what it said before
                return Gone(status.uri, self.alias(status.id)) if status.edited_at else None
            return self._said(status)
        except _NoTime as field:
            return Refused(Reason.BAD_TIME, str(field))

    def _is_for_us(self, status: _Status) -> bool:
        return all(
            one.visibility in OPEN and not one.account.noindex and not one.account.suspended
            for one in (status, status.reblog) if one is not None
        )

    def _said(self, status: _Status) -> Said | Gone | Refused | None:
        words = status.reblog or status
        self._remember(status)
        text = "\n\n".join(filter(None, ((words.spoiler_text or "").strip(), plain(words.content))))
        if not text:  # what was edited away is not kept
            return Gone(status.uri, self.alias(status.id)) if words.edited_at else None
        rev = min(_ms(words.edited_at, "edited_at") // 1000, MAX_REV) if words.edited_at else 0
        if len(text) > MAX_CHARS:
            return unfit(Reason.TOO_LONG, f"{len(text)} characters", status.uri, rev)
        author = self._full(status.account.acct)
        if not author:
            return Refused(Reason.WRONG_TYPE, "account.acct")
        kind, reply_to, refers = self._relations(status)
        followers = status.account.followers_count
        return Said(
            native=status.uri, text=text, created_ms=_ms(status.created_at, "created_at"),
            rev=rev, author=author, lang=words.language or None, kind=kind, reply_to=reply_to, refers=refers,
            reach=followers if followers is not None and followers >= 0 else None, alias=self.alias(status.id))

    def _relations(self, status: _Status) -> tuple[Kind, str | None, str | None]:
        """What sort of saying it is; the post, and the author, that it answers or passes on."""
        if status.reblog is not None:
            return Kind.REPOST, status.reblog.uri[:MAX_NAME] or None, self._full(status.reblog.account.acct) or None
        if status.in_reply_to_id is None:
            return Kind.POST, None, None
        whom = status.in_reply_to_account_id
        if whom and whom == status.account.id:
            answered = status.account.acct
        else:
            answered = next((mention.acct for mention in status.mentions if whom and mention.id == whom), "")
        return Kind.REPLY, self._uris.get(status.in_reply_to_id), self._full(answered) or None

    def _full(self, acct: str) -> str:
        """An account's name with its server, as everyone else calls it. Empty: it is no name."""
        acct = acct.removeprefix("@").lower()
        if not 0 < len(acct) <= MAX_NAME:
            return ""
        return acct if "@" in acct else f"{acct}@{self._domain}"

    def _remember(self, status: _Status) -> None:
        self._uris[status.id] = status.uri
        self._uris.move_to_end(status.id)
        if len(self._uris) > KNOWN:
            self._uris.popitem(last=False)


def unwrapped(data: bytes) -> Event | Complaint | Refused:
    """One message of a WebSocket: an event, whose payload is a text within the JSON.

    >>> unwrapped(b'{"stream": ["public"], "event": "delete", "payload": "115"}')
    Event(name='delete', data=b'115')
    """
    frame = _decoded(_frame, data)
    if isinstance(frame, Refused):
        return frame
    if frame.error is not None:
        return Complaint(frame.status)
    try:
        return Event(frame.event, (frame.payload or "").encode())
    except UnicodeEncodeError:
        return Refused(Reason.BAD_TEXT, "payload")


def listed(data: bytes) -> list[msgspec.Raw] | Refused:
    """The statuses of a page of a timeline, not yet looked at: one bad one does not spoil the page."""
    found: list[msgspec.Raw] | Refused = _decoded(_list, data)
    return found


_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Id(msgspec.Struct):
    id: str


_id = msgspec.json.Decoder(_Id)


def local_id(data: bytes | msgspec.Raw) -> str:
    """The server's own id of a status, whatever else is in it; empty: there is none."""
    found = _decoded(_id, data)
    return found.id if not isinstance(found, Refused) and _ID.match(found.id) else ""


def order(local: str) -> tuple[int, str]:
    """By which later ids are higher: Mastodon's are numbers that grow, GoToSocial's ULIDs, which are all of one length.

    >>> sorted(["100", "99", "101"], key=order)
    ['99', '100', '101']
    """
    return len(local), local


def is_local_id(said: str) -> bool:
    """Whether it can be the id of a status."""
    return bool(_ID.match(said))


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    """What the decoder makes of it, or a `Refused`. No message of the decoder goes further: it may hold a value."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        field = _FIELD.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
        return Refused(unread(bytes(data), error).reason, field[1] if field and field[1] in _NAMES else "")


_NAMES = frozenset((*_Status.__struct_fields__, *_Frame.__struct_fields__,
                    *(f"account.{name}" for name in _Account.__struct_fields__)))


def _ms(said: str, field: str) -> int:
    try:
        when = msgspec.convert(said, datetime)
    except msgspec.ValidationError:
        raise _NoTime(field) from None
    if when.tzinfo is None or not EARLIEST_MS <= epoch_ms(when) <= LATEST_MS:
        raise _NoTime(field)
    return epoch_ms(when)
