"""What one connection to a server of Mastodon's kind tells, put together: happenings, and where to go on after them.

    events of the stream, pages of the timeline, posts looked at again ──▶ Heard

A removal that comes before its post is remembered, and told when the post comes. Looked at again are the posts that
stand in the log: those that name no brand, nearly all, are nobody's affair, and would push the others out.
Knows nothing of sockets or requests; the time is an argument.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from streams.sources.contract import BadEdit, Gap, Gone, Happening, Heard, Refused, Said
from streams.sources.mastodon import Decoder, is_local_id, local_id, order
from streams.sources.sse import Event

RECENT = 2000  # posts that are looked at again after a connection was lost
RECENT_MS = 7 * 86_400_000  # as long as a text is kept
FRESH = 100  # of them, before the list of all is written anew
GONE = 5000  # removals that are remembered, for a post that comes after its own
OVERLAP = 40  # posts before the last one, from which the timeline is read


class Page(NamedTuple):
    """A page of the timeline, oldest first; `last`: the highest id on it."""

    statuses: list[msgspec.Raw]
    last: str


class Filled(NamedTuple):
    """There are no more pages to read. `last`: a place to begin at, where there was none."""

    is_missing: bool = False
    last: str = ""


class Looked(NamedTuple):
    """A post that was looked at again; without a status it is gone."""

    local: str
    status: bytes | msgspec.Raw | None


class Memory:
    """What outlives a connection: local ids of posts that came, of those that stand in the log, of some that went."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=OVERLAP)
        self._stands: OrderedDict[str, int] = OrderedDict()  # local id -> when we heard of it
        self._gone: OrderedDict[str, None] = OrderedDict()

    def came(self, local: str) -> None:
        """A post was there, the last so far."""
        self._last.append(local)

    def stands(self, local: str, now_ms: int) -> None:
        """A post stands in the log."""
        self._stands[local] = now_ms
        self._stands.move_to_end(local)
        if len(self._stands) > RECENT:
            self._stands.popitem(last=False)

    def passed(self, local: str) -> None:
        """A post does not."""
        self._stands.pop(local, None)

    def again(self, local: str, now_ms: int) -> None:
        """A post is to be looked at again, also one whose removal was told: was that delivered? Nobody knows."""
        self._stands.setdefault(local, now_ms)

    def went(self, local: str) -> None:
        """A post is not."""
        self._stands.pop(local, None)
        self._gone[local] = None
        self._gone.move_to_end(local)
        if len(self._gone) > GONE:
            self._gone.popitem(last=False)

    def has_gone(self, local: str) -> bool:
        """Whether its removal was told."""
        return local in self._gone

    def before(self, local: str) -> str:
        """An id at, or a little before, this one: the lowest of those that came last."""
        return min([local, *self._last], key=order) if local else ""

    def last(self) -> list[str]:
        """Those that came last, the latest last."""
        return list(self._last)

    def recent(self, now_ms: int) -> list[str]:
        """The posts that stand in the log, as far as they are remembered, newest first."""
        while self._stands and next(iter(self._stands.values())) < now_ms - RECENT_MS:
            self._stands.popitem(last=False)
        return list(reversed(self._stands))


class Hearing:
    """What one connection has told so far, put together: happenings, and where to go on after them."""

    def __init__(self, decoder: Decoder, memory: Memory, positions: Mapping[str, str], now_ms: int,
                 every_ms: int = 10_000) -> None:
        since, heard = positions.get("", ""), positions.get("heard", "")
        self.since = since if is_local_id(since) else ""
        self.had_begun = heard.isascii() and heard.isdecimal() and len(heard) < 16
        self._decoder = decoder
        self._memory = memory
        self._last = self.since
        self._until_ms = min(int(heard), now_ms) if self.had_begun else now_ms
        self._opened_ms = now_ms
        self._is_filled = False
        self._every_ms = every_ms
        self._written_ms = 0
        self.told: set[str] = set()  # by the stream, before the timeline was read to its end
        self._is_listed = False  # "recent" was written
        # What stands in the log since.
        self._fresh = dict.fromkeys(filter(is_local_id, positions.get("fresh", "").split()))
        self._asked: dict[str, None] = {}  # what was told last, and perhaps stands there
        known = f"{positions.get('recent', '')} {positions.get('fresh', '')}".split()
        for local in filter(is_local_id, known[-RECENT:]):
            memory.again(local, now_ms)
        if not memory.last():
            for local in filter(is_local_id, positions.get("last", "").split()):
                memory.came(local)

    def take(self, item: list[Event | Refused] | Page | Filled | Looked, now_ms: int) -> Heard:
        """What an item of the inbox tells."""
        self._asked.clear()
        heard = self._take(item, now_ms)
        locals_ = [one.alias.rpartition("/")[2] if isinstance(one, Said) and one.alias else ""
                   for one in heard.happenings]
        return heard._replace(taken=partial(self._taken, locals_, now_ms)) if any(locals_) else heard

    def _taken(self, locals_: Sequence[str], now_ms: int, stands: Sequence[bool]) -> None:
        """Which of the posts that were told stand in the log now."""
        self._asked.clear()
        for local, does in zip(locals_, stands, strict=True):
            if local and does:
                self._memory.stands(local, now_ms)
                self._fresh[local] = None
            elif local:
                self._memory.passed(local)
                self._fresh.pop(local, None)

    def _take(self, item: list[Event | Refused] | Page | Filled | Looked, now_ms: int) -> Heard:
        match item:
            case Page(statuses, last):
                happenings = [one for raw in statuses if (one := self._status(raw)) is not None]
                for local in filter(None, map(local_id, statuses)):
                    self._memory.came(local)
                written_ms = max((one.created_ms for one in happenings if isinstance(one, Said)), default=0)
                self._until_ms = max(self._until_ms, min(written_ms, self._opened_ms))
                self._last = max(self._last, last, key=order)
                at = {"": max(self.since, last, key=order), "heard": str(self._until_ms),
                      "fresh": " ".join(self._fresh | self._asked)}
                return Heard(tuple(happenings), at, self._until_ms)
            case Filled(is_missing, last):
                self._is_filled = True
                self.told.clear()
                self._last = max(self._last, last, key=order)
                is_missing = is_missing and bool(self.since or self.had_begun)  # else there was nothing to miss
                gap = Gap(min(self._until_ms, self._opened_ms), now_ms) if is_missing else None
                self._until_ms = max(self._until_ms, now_ms)
                return Heard((), self._positions(now_ms), self._until_ms, gap)
            case Looked(local, status):
                return Heard(self._looked(local, status))
            case _:
                return self._live(item, now_ms)

    def quiet(self, until_ms: int, now_ms: int) -> Heard:
        """Nothing came, and until then nothing was missed."""
        if not self._is_filled:
            return Heard()
        self._until_ms = max(self._until_ms, until_ms)
        is_time = now_ms - self._written_ms >= self._every_ms
        return Heard((), self._positions(now_ms) if is_time else {}, self._until_ms)

    def _live(self, events: list[Event | Refused], now_ms: int) -> Heard:
        happenings: list[Happening] = []
        for event in events:
            if isinstance(event, Refused):
                happenings.append(event)
                continue
            local = local_id(event.data) if event.name in ("update", "status.update") else ""
            happenings.extend(self._settled(one, local) for one in self._decoder.event(event))
            if local:
                if event.name == "update":
                    self._memory.came(local)
                self._last = max(self._last, local, key=order)
                if not self._is_filled:
                    self.told.add(local)
        if not self._is_filled:
            return Heard(tuple(happenings))
        self._until_ms = max(self._until_ms, now_ms)  # it tells at once
        return Heard(tuple(happenings), self._positions(now_ms), self._until_ms)

    def _status(self, raw: bytes | msgspec.Raw) -> Happening | None:
        one = self._decoder.status(raw)
        return None if one is None else self._settled(one, local_id(raw))

    def _settled(self, one: Happening, local: str) -> Happening:
        """Remembers what came and went; of a post that went before it came, only that it did is told."""
        if isinstance(one, Said):
            if self._memory.has_gone(local):
                return Gone(one.native, one.alias or "")
            self._asked[local] = None
        elif isinstance(one, Gone):
            self._memory.went(one.alias.rpartition("/")[2])
        return one

    def _looked(self, local: str, status: bytes | msgspec.Raw | None) -> tuple[Happening, ...]:
        if status is None:
            return (self._settled(self._decoder.gone(local), local),)
        one = self._status(status)
        return (one,) if isinstance(one, Gone | BadEdit) or (isinstance(one, Said) and one.rev) else ()

    def _positions(self, now_ms: int) -> dict[str, str]:
        self._written_ms = now_ms
        at = {"heard": str(self._until_ms), **({"": self._last} if self._last else {}),
              "last": " ".join(self._memory.last())}
        if not self._is_listed or len(self._fresh) >= FRESH:
            self._is_listed = True
            at["recent"] = " ".join(self._memory.recent(now_ms)[::-1])
            self._fresh.clear()
        at["fresh"] = " ".join(self._fresh | self._asked)
        return at
