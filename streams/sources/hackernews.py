"""Hacker News: stories and comments, by walking the ids of the public API (github.com/HackerNews/API).

    /maxitem.json ──▶ every id since the last one done ──▶ /item/<id>.json     each poll
    /updates.json ──▶ the ids that changed             ──▶ /item/<id>.json     now and then

Its position is the last id done, and the time up to which all is known: "41000000 1795586400000".
An item has no time of its edit, and is listed as changed for a new score too. So what its text was is remembered, for
as many items as change in a day; another text is an edit, dated by our own clock. Text can be edited for two hours.
An item that is there but null is not public yet: often for a second, or for minutes where its author asked for a delay.
It holds the position back for a minute, and what we claim to know for two polls. Then it is passed by; when it appears
among the changed ones, it is told. An item that is `dead` (flagged) is no more public than a deleted one: it is gone,
and stays so even if readers vouch for it later.
/updates.json goes back for some minutes. After a longer absence all items that could have been edited or deleted
meanwhile are read again, and told as versions of now; after two hours an author can do neither.
Knows nothing of Kafka, brands or pseudonyms.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import EARLIEST_MS, LATEST_MS, Kind, id64
from streams.sources.contract import Denied, Gap, Gone, Happening, Heard, Limited, Refused, Said, Trouble, unread
from streams.sources.html import plain
from streams.sources.reader import MAX_EVENT, Patience, body, check, session, wall_ms

SOURCE = "hackernews"
API = "https://hacker-news.firebaseio.com/v0"
PAGE = "https://news.ycombinator.com/item?id="
EDITABLE_MS = 9_000_000  # two hours, and half an hour for what comes late
SLACK_MS = 5_000  # an item is written a moment before /maxitem.json counts it
ILL = 5  # failures of the server on one item; then it is passed by
REMEMBERED = 20_000  # items: about a day's
_TOLD = frozenset({"story", "comment", "job", "poll"})  # the options of a poll are votes, not sayings
_POSITION = re.compile(r"(\d{1,15})(?: (\d{1,15}))?\Z", re.ASCII)


class _Item(msgspec.Struct):
    id: int
    type: str = ""
    by: str = ""
    time: int | None = None
    text: str = ""
    title: str = ""
    parent: int | None = None
    deleted: bool = False
    dead: bool = False


class _Changes(msgspec.Struct):
    items: list[int]


_item = msgspec.json.Decoder(_Item | None)
_changes = msgspec.json.Decoder(_Changes)
_top = msgspec.json.Decoder(int)


class Decoder:
    """Items as they come."""

    def decode(self, data: bytes) -> Happening | None:
        """One item; None for one that tells nothing: the option of a poll, a comment without a text.

        >>> Decoder().decode(b'{"id": 7, "deleted": true, "type": "comment"}')
        Gone(native='7', alias='')
        >>> Decoder().decode(b'{"id": 7, "type": "story", "time": 1795586400, "title": "Kopi &amp; teh"}').text
        'Kopi & teh'
        """
        try:
            item = _item.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return unread(data, error)
        return None if item is None else _told(item)


def _told(item: _Item) -> Happening | None:
    if item.deleted or item.dead:
        return Gone(str(item.id))
    if item.time is None:
        return Refused(Reason.MISSING_FIELD, "time")
    if not EARLIEST_MS <= item.time * 1000 <= LATEST_MS:
        return Refused(Reason.BAD_TIME, "time")
    text = "\n".join(filter(None, (plain(item.title), plain(item.text))))
    if item.type not in _TOLD or not text:
        return None
    is_reply = item.type == "comment" and item.parent is not None
    return Said(
        str(item.id), text, item.time * 1000, author=item.by, kind=Kind.REPLY if is_reply else Kind.POST,
        reply_to=str(item.parent) if is_reply else None, url=f"{PAGE}{item.id}")


@dataclass(frozen=True, slots=True)
class Options:
    """How it is listened to. `most`: further behind than so many ids, the older ones are left out. Raises `BadSetting`.

    >>> Options(at_once=0)
    Traceback (most recent call last):
    streams.heart.errors.BadSetting: --at-once 0: expected a whole number from 1 to 64
    """

    url: str = API
    every_ms: int = 5_000
    changes_ms: int = 30_000
    most: int = 20_000
    at_once: int = 8

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^\s/]", self.url):
            raise BadSetting(f"--url {self.url}: expected http:// or https://")
        for name, least, most in (("every_ms", 1, 3_600_000), ("changes_ms", 1, 3_600_000), ("most", 1, 10_000_000),
                                  ("at_once", 1, 64)):
            value = getattr(self, name)
            if not least <= value <= most:
                option = name.removesuffix("_ms").replace("_", "-")
                raise BadSetting(f"--{option} {value}: expected a whole number from {least:,} to {most:,}")

    @classmethod
    def read(cls, url: str = "") -> "Options":
        """The options as they stand on a command line."""
        return cls(url or API)


@dataclass(slots=True)
class _Walk:
    """Where we are: all ids up to `last` are done but those that are still `awaited`. Times in ms UTC."""

    last: int
    until_ms: int | None = None
    awaited: dict[int, int] = field(default_factory=dict)  # an id that was null -> since when we know of it

    @classmethod
    def read(cls, position: str) -> "_Walk | None":
        found = _POSITION.match(position)
        return cls(int(found[1]), int(found[2]) if found[2] else None) if found else None

    def write(self) -> str:
        done = min(self.awaited, default=self.last + 1) - 1
        return str(done) if self.until_ms is None else f"{done} {self.until_ms}"

    def claim(self, until_ms: int, hold_ms: int) -> None:
        """Nothing before this time is missing; unless we wait for something that may still come."""
        youngest_ms = max(self.awaited.values(), default=0)
        if youngest_ms + hold_ms <= until_ms + SLACK_MS:
            self.until_ms = max(until_ms, self.until_ms or 0)


class _Memory:
    """What items read the last time that they were told, and which were passed by while they were null."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int]] = {}  # native -> hash of its text, rev
        self._passed: dict[str, None] = {}

    def passed(self, native: str) -> None:
        self._passed[native] = None
        _bound(self._passed)

    def version(self, said: Said, now_ms: int, *, is_new: bool) -> Said | None:
        """The item as this version of it; None where it is a changed one that reads as before."""
        digest, now_s = id64(said.text), now_ms // 1000
        told = self._told.pop(said.native, None)
        is_new = is_new or said.native in self._passed
        is_same = told is not None and told[0] == digest
        rev = 0 if told is None and is_new else now_s
        if told is not None:
            rev = told[1] if is_same else max(now_s, told[1] + 1)
        self._told[said.native] = (digest, rev)
        self._passed.pop(said.native, None)
        _bound(self._told)
        return None if is_same and not is_new else msgspec.structs.replace(said, rev=rev)


def _bound(kept: dict[str, Any]) -> None:
    while len(kept) > REMEMBERED:
        del kept[next(iter(kept))]


class HackerNews:
    """The source."""

    is_pushed = False

    def __init__(self, name: str, options: Options, patience: Patience | None = None,
                 now_ms: Callable[[], int] = wall_ms) -> None:
        self.name = name
        self._options = options
        self._patience = patience or Patience()
        self._now_ms = now_ms
        self._decoder = Decoder()
        self._memory = _Memory()
        self._ill: Counter[int] = Counter()

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """Polls from this position on, until a request fails."""
        walk = _Walk.read(positions.get("", ""))
        changes_due_ms = 0
        async with session(self._patience) as client:
            api = _Api(client, self._options, self._patience, self._ill)
            while True:
                asked_ms = self._now_ms()
                top = await api.top()
                if walk is None:
                    walk = _Walk(top, asked_ms - SLACK_MS)
                elif changes_due_ms == 0 and walk.until_ms and walk.until_ms + 12 * self._options.every_ms < asked_ms:
                    async for heard in self._again(api, walk.last, walk.until_ms - EDITABLE_MS):
                        yield heard
                if abs(top - walk.last) > self._options.most:
                    yield await self._jump(api, walk, top)
                async for heard in self._new(api, walk, top, asked_ms):
                    yield heard
                if asked_ms >= changes_due_ms:
                    changes_due_ms = asked_ms + self._options.changes_ms
                    yield await self._updates(api, walk)
                await asyncio.sleep(self._options.every_ms / 1000)

    async def _jump(self, api: "_Api", walk: _Walk, top: int) -> Heard:
        """Too far behind (or the ids begin anew): goes on nearer to the end, and says what may be missing."""
        from_ms, walk.last = walk.until_ms, max(top - self._options.most, 0) if top > walk.last else top
        walk.awaited.clear()
        data = await api.item(walk.last)
        first = data if isinstance(data, Refused) else self._decoder.decode(data)
        to_ms = first.created_ms if isinstance(first, Said) else self._now_ms()
        from_ms = to_ms if from_ms is None else from_ms
        walk.until_ms = max(from_ms, to_ms - SLACK_MS)
        return Heard(positions={"": walk.write()}, gap=Gap(from_ms, max(from_ms, to_ms)))

    async def _again(self, api: "_Api", last: int, since_ms: int) -> AsyncIterator[Heard]:
        """Items that were done before an absence, the latest first, back to this time: what has become of them."""
        size = 4 * self._options.at_once
        for end in range(last, max(0, last - self._options.most), -size):
            ids = range(end, max(0, end - size), -1)
            told = [self._decoded(number, data) for number, data in zip(ids, await api.items(ids), strict=True)]
            yield Heard(_some(self._changed(one) for one in told if not isinstance(one, Refused)))
            if max((one.created_ms for one in told if isinstance(one, Said)), default=0) < since_ms:
                return

    async def _new(self, api: "_Api", walk: _Walk, top: int, asked_ms: int) -> AsyncIterator[Heard]:
        """Items that were null, and those since the last id done; then what is claimed, even if nothing came."""
        every_ms, ids = self._options.every_ms, [*walk.awaited]
        while True:
            last = min(walk.last + 4 * self._options.at_once, max(top, walk.last))
            told = await self._read(api, [*ids, *range(walk.last + 1, last + 1)], walk, asked_ms)
            walk.last, ids = last, []
            for number in [one for one, since_ms in walk.awaited.items() if since_ms + 12 * every_ms <= asked_ms]:
                del walk.awaited[number]
                self._memory.passed(str(number))
            newest_ms = max((one.created_ms for one in told if isinstance(one, Said)), default=0)
            known_ms = asked_ms if last >= top else min(newest_ms, asked_ms)
            if last <= top:  # a mirror that is behind knows less than we
                walk.claim(known_ms - SLACK_MS, 2 * every_ms)
            yield Heard(tuple(told), {"": walk.write()}, walk.until_ms)
            if last >= top:
                return

    async def _read(self, api: "_Api", ids: Sequence[int], walk: _Walk, asked_ms: int) -> list[Happening]:
        told: list[Happening | None] = []
        for number, data in zip(ids, await api.items(ids), strict=True):
            if data == b"null":
                walk.awaited.setdefault(number, asked_ms)
                continue
            walk.awaited.pop(number, None)
            one = self._decoded(number, data)
            told.append(self._memory.version(one, self._now_ms(), is_new=True) if isinstance(one, Said) else one)
        return [*_some(told)]

    async def _updates(self, api: "_Api", walk: _Walk) -> Heard:
        changed = await api.changes()
        if isinstance(changed, Refused):
            return Heard((changed,))
        ids = [number for number in changed if 0 < number <= walk.last and number not in walk.awaited]
        told = [self._decoded(number, data) for number, data in zip(ids, await api.items(ids), strict=True)]
        return Heard(_some(map(self._changed, told)))

    def _decoded(self, number: int, data: bytes | Refused) -> Happening | None:
        told = data if isinstance(data, Refused) else self._decoder.decode(data)
        if isinstance(told, Said | Gone) and told.native != str(number):
            return Refused(Reason.WRONG_TYPE, "id")
        return told

    def _changed(self, told: Happening | None) -> Happening | None:
        """What it tells of an item that was done before."""
        now_ms = self._now_ms()
        if not isinstance(told, Said):
            return told
        return self._memory.version(told, now_ms, is_new=False) if told.created_ms + EDITABLE_MS > now_ms else None


def _some(told: Iterable[Happening | None]) -> tuple[Happening, ...]:
    return tuple(one for one in told if one is not None)


class _Api:
    """The requests of one connection, so many at once. They raise `Trouble`, or what aiohttp raises."""

    def __init__(self, client: Any, options: Options, patience: Patience, ill: Counter[int]) -> None:
        import aiohttp

        self._client = client
        self._ill = ill  # item -> how often the server failed on it
        self._api = options.url.rstrip("/")
        self._slots = asyncio.Semaphore(options.at_once)
        self._timeout = aiohttp.ClientTimeout(total=patience.connect_s + 2 * patience.quiet_s,
                                              sock_connect=patience.connect_s, sock_read=patience.quiet_s)

    async def top(self) -> int:
        data = await self._get("maxitem")
        try:
            return _top.decode(b"" if isinstance(data, Refused) else data)
        except (msgspec.DecodeError, RecursionError):
            raise Trouble("what it says of its highest id is no number") from None

    async def changes(self) -> list[int] | Refused:
        data = await self._get("updates")
        if isinstance(data, Refused):
            return data
        try:
            return list(dict.fromkeys(_changes.decode(data).items))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return unread(data, error)

    async def item(self, number: int) -> bytes | Refused:
        """An item; one that the server fails on again and again, and it alone, is as one that is not there yet."""
        try:
            return await self._get(f"item/{number}")
        except (Denied, Limited):
            raise
        except Trouble:
            self._ill[number] += 1
            if self._ill[number] <= ILL:
                raise
            return b"null"

    async def items(self, numbers: Iterable[int]) -> list[bytes | Refused]:
        tasks = [asyncio.create_task(self.item(number)) for number in numbers]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # when one fails, nobody waits for the others
                task.cancel()

    async def _get(self, path: str) -> bytes | Refused:
        async with self._slots, self._client.get(f"{self._api}/{path}.json", timeout=self._timeout) as answer:
            check(answer.status, answer.headers, "--url")
            whole = await body(answer, MAX_EVENT)
            return Refused(Reason.TOO_LARGE, f"more than {MAX_EVENT} bytes") if whole is None else whole.strip()
