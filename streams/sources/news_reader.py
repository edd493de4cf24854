"""News reader: polls feeds politely, each on its own, and none of them stops the others.

Each feed has two positions: under its hash what was seen (`news.Memory`), and under `<hash>.polled` when. Posts are
dated by first sight, so nothing before now is missing as long as every feed answers when it is due: that is claimed. A
feed that does not answer holds the claim back at the moment when it should have; after three polls' time it is left
out, and a gap is told, and another when it comes back. When none can be read, that is a `Trouble`.
A feed's address may hold a key, and is never logged: its host is, and its place in the list.
Knows nothing of what stands in a feed, or of Kafka.
"""

import asyncio
import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from streams.heart.errors import BadSetting, Reason
from streams.settings import milliseconds, span
from streams.sources.contract import Denied, Gap, Happening, Heard, Refused, Trouble
from streams.sources.news import Decoder, Document, Memory, part_of
from streams.sources.reader import Backoff, Patience, body, check, session, wall_ms

SOURCE = "news"
MAX_BODY = 10_000_000  # bytes
MAX_HEADER = 1_000  # of a validator; a longer one is not kept
LEAST_MS = 60_000  # between two polls, for whoever asks on the command line
PER_HOST = 2
AT_ONCE = 16
ACCEPT = "application/feed+json, application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"
log = logging.getLogger("denyut.source")


@dataclass(frozen=True, slots=True)
class Options:
    """Which feeds, and how often each is polled. Raises `BadSetting`.

    >>> Options(("ftp://koran.example/rss",))
    Traceback (most recent call last):
    streams.heart.errors.BadSetting: URL 1 (koran.example): expected http:// or https://
    """

    urls: tuple[str, ...]
    every_ms: int = 300_000

    def __post_init__(self) -> None:
        if not self.urls:
            raise BadSetting("no feed: expected URLs, or --list with a file of them")
        for number, url in enumerate(self.urls, 1):
            host = _host(url)
            if not re.match(r"https?://[^\s/]\S*\Z", url) or not host:
                raise BadSetting(f"URL {number} ({host or 'no host'}): expected http:// or https://")
        twice = next((url for url, times in Counter(self.urls).items() if times > 1), None)
        if twice is not None:
            raise BadSetting(f"URL {self.urls.index(twice) + 1} ({_host(twice)}): expected once, not twice")
        if self.every_ms < 1:
            raise BadSetting(f"--every {self.every_ms}ms: expected at least 1ms")

    @classmethod
    def read(cls, urls: Sequence[str], listed: Path | None = None, every: str = "5m") -> "Options":
        """The options as they stand on a command line; `listed`: a file, one address a line, `#` begins a remark."""
        try:
            every_ms = milliseconds(every.strip())
        except ValueError as error:
            raise BadSetting(f"--every {every!r}: expected {error}") from None
        if every_ms < LEAST_MS:
            raise BadSetting(f"--every {every}: expected at least {span(LEAST_MS)}, for the publishers' sake")
        try:
            lines = listed.read_text("utf-8").splitlines() if listed else []
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"--list {listed}: cannot be read ({type(error).__name__})") from None
        found = (line.strip() for line in lines)
        return cls((*urls, *(line for line in found if line and not line.startswith("#"))), every_ms)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class _Answer(NamedTuple):
    """Of a feed that was polled. `document` None: it is as it was."""

    document: Document | None
    etag: str
    modified: str
    at_ms: int


@dataclass(slots=True)
class _Feed:
    """One feed, and how it goes. Times in ms UTC; `due_s` is of the event loop's clock."""

    url: str
    number: int
    backoff: Backoff
    due_s: float = 0.0
    memory: Memory | None = None
    written: str = ""
    polled_ms: int | None = None  # the last time that it could be read
    since_ms: int | None = None  # since when it should have been, and was not; None: all is well
    told_ms: int = 0  # up to which a gap was told
    is_known: bool = False  # it could be read since we began
    is_out: bool = False  # left out of what is claimed
    is_over: bool = False  # gone for good
    is_failing: bool = False  # its server does not answer as it should
    is_blamed: bool = False  # the log says that something is wrong
    has_moved: bool = False
    part: str = field(init=False)
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.part, self.host = part_of(self.url), _host(self.url)

    def __str__(self) -> str:
        return f"feed {self.number} ({self.host})"

    def load(self, positions: Mapping[str, str]) -> None:
        """Goes on from there."""
        self.written = positions.get(self.part, "")
        self.memory = Memory.read(self.written) if self.written else None
        polled = positions.get(f"{self.part}.polled", "")
        self.polled_ms = int(polled) if self.memory is not None and re.fullmatch(r"\d{1,15}", polled) else None


class News:
    """The source."""

    is_pushed = False

    def __init__(self, name: str, options: Options, patience: Patience | None = None,
                 now_ms: Callable[[], int] = wall_ms) -> None:
        self.name = name
        self._every_ms = options.every_ms
        self._patience = patience or Patience()
        self._now_ms = now_ms
        self._decoder = Decoder()
        every_s, base = options.every_ms / 1000, self._patience
        slow = base._replace(first_s=max(base.first_s, every_s / 10), longest_s=max(base.longest_s, 12 * every_s),
                             denied_s=max(base.denied_s, 12 * every_s))
        self._feeds = [_Feed(url, number, Backoff(slow)) for number, url in enumerate(options.urls, 1)]

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """Polls all feeds, each when it is due, until none of them can be read."""
        import aiohttp

        for feed in self._feeds:
            feed.load(positions)
        async with session(self._patience, headers={"Accept": ACCEPT}, cookie_jar=aiohttp.DummyCookieJar()) as client:
            web = _Web(client, self._patience, self._now_ms, self._decoder)
            polls = {asyncio.create_task(self._poll(web, feed)): feed for feed in self._feeds if not feed.is_over}
            try:
                while polls:
                    async for heard in self._round(web, polls):
                        yield heard
            finally:
                for poll in polls:
                    poll.cancel()
                await asyncio.gather(*polls, return_exceptions=True)
        raise Denied("every feed is gone for good: look at the URLs, and at --list")

    async def _round(self, web: "_Web", polls: "dict[asyncio.Task[_Answer | Trouble], _Feed]") -> AsyncIterator[Heard]:
        """Waits for the polls that come to an end next, a moment at most, and begins them anew."""
        done, _ = await asyncio.wait(polls, timeout=self._patience.beat_s, return_when=asyncio.FIRST_COMPLETED)
        for poll in done:
            feed, answer = polls.pop(poll), poll.result()
            heard = self._taken(feed, answer)
            if not feed.is_over:
                polls[asyncio.create_task(self._poll(web, feed))] = feed
            if heard is not None:
                yield heard
            if isinstance(answer, Trouble) and polls and all(one.is_failing or one.is_over for one in self._feeds):
                raise answer
        if not all(feed.is_failing or feed.is_over or feed.polled_ms is None for feed in self._feeds):
            for gap in self._gaps():
                yield Heard(until_ms=self._until_ms(), gap=gap)
            if not done:
                yield Heard(until_ms=self._until_ms())

    async def _poll(self, web: "_Web", feed: _Feed) -> "_Answer | Trouble":
        await asyncio.sleep(max(0.0, feed.due_s - asyncio.get_running_loop().time()))
        if feed.since_ms is None:
            feed.since_ms = self._now_ms()
        return await web.poll(feed)

    def _taken(self, feed: _Feed, answer: "_Answer | Trouble") -> Heard | None:
        """What a poll brought; when the feed is due again."""
        now_s = asyncio.get_running_loop().time()
        if isinstance(answer, Trouble):
            self._blame(feed, str(answer))
            feed.is_failing, feed.is_over = True, isinstance(answer, _Over)
            feed.due_s = now_s + feed.backoff.next_s(answer)
            return None
        feed.is_failing = False
        if answer.document is not None and not answer.document.is_read:
            self._blame(feed, f"what came is no feed ({answer.document.refused[0].reason})")
            feed.due_s = now_s + feed.backoff.next_s()
            return Heard(answer.document.refused, until_ms=self._until_ms())
        feed.due_s = now_s + self._every_ms / 1000 * random.uniform(0.9, 1.1)
        feed.backoff.reset()
        return self._read(feed, answer)

    def _blame(self, feed: _Feed, why: str) -> None:
        """Says what is wrong, once for each time that it becomes so."""
        if not feed.is_blamed:
            log.warning("%s: %s: %s", self.name, feed, why)
        feed.is_blamed = True

    def _read(self, feed: _Feed, answer: _Answer) -> Heard:
        """A feed that could be read: what is new in it, and whether something may have been missed before."""
        happenings: list[Happening] = []
        is_first = feed.memory is None
        memory = feed.memory or Memory()
        if answer.document is not None:
            happenings += answer.document.refused
            happenings += memory.learn(feed.part, answer.document.entries, answer.at_ms, is_first=is_first)
            memory.etag, memory.modified = answer.etag, answer.modified
        positions = {f"{feed.part}.polled": str(answer.at_ms)}
        written = memory.write()
        if written != feed.written:
            positions[feed.part] = feed.written = written
        gap = None
        if feed.polled_ms is not None and answer.at_ms - feed.polled_ms > 3 * self._every_ms:
            gap = Gap(max(feed.polled_ms, feed.told_ms), answer.at_ms)
        if feed.is_blamed:
            log.info("%s: %s: can be read again", self.name, feed)
        feed.memory, feed.polled_ms, feed.since_ms = memory, answer.at_ms, None
        feed.is_known, feed.is_blamed, feed.is_out = True, False, False
        return Heard(tuple(happenings), positions, self._until_ms(), gap)

    def _gaps(self) -> list[Gap]:
        """One for each feed that has not been read for too long, once; it is left out from now on."""
        now_ms = self._now_ms()
        gaps = []
        for feed in self._feeds:
            is_lost = feed.since_ms is not None and now_ms - feed.since_ms > 3 * self._every_ms
            if not feed.is_out and (is_lost or feed.is_over):
                feed.is_out, feed.told_ms = True, now_ms
                gaps.append(Gap(feed.polled_ms or feed.since_ms or now_ms, now_ms))
        return gaps

    def _until_ms(self) -> int | None:
        counted = [feed for feed in self._feeds if not feed.is_out and not feed.is_over]
        # Until a feed could be read for the first time, no more is known of it than was before us.
        known_ms = [feed.since_ms if feed.is_known else feed.polled_ms or 0 for feed in counted]
        until_ms = min((ms for ms in known_ms if ms is not None), default=self._now_ms())
        return until_ms if counted and until_ms else None


class _Over(Denied):
    """This feed will not come back."""


class _Web:
    """The requests: so many at once, so many to one host."""

    def __init__(self, client: Any, patience: Patience, now_ms: Callable[[], int], decoder: Decoder) -> None:
        import aiohttp

        self._client = client
        self._now_ms = now_ms
        self._decoder = decoder
        self._all = asyncio.Semaphore(AT_ONCE)
        self._reading = asyncio.Semaphore(1)
        self._hosts: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PER_HOST))
        self._timeout = aiohttp.ClientTimeout(total=patience.connect_s + 6 * patience.quiet_s,
                                              sock_connect=patience.connect_s, sock_read=patience.quiet_s)

    async def poll(self, feed: _Feed) -> _Answer | Trouble:
        """What the server has, or what is wrong with it; never with its address."""
        import aiohttp

        try:
            async with self._hosts[feed.host], self._all:
                return await self._poll(feed)
        except Trouble as trouble:
            return trouble
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Trouble(type(error).__name__)  # what it says may hold the address

    async def _poll(self, feed: _Feed) -> _Answer:
        memory = feed.memory or Memory()
        asked = {"If-None-Match": memory.etag, "If-Modified-Since": memory.modified}
        async with self._client.get(feed.url, headers={name: said for name, said in asked.items() if said},
                                    timeout=self._timeout, max_redirects=5) as answer:
            self._note_move(feed, answer)
            if answer.status == 304 and feed.memory is not None:
                return _Answer(None, "", "", self._now_ms())
            if answer.status == 410:
                raise _Over(f"410, gone for good: take it out of the URLs, or out of --list ({feed})")
            check(answer.status, answer.headers, "its address")
            if answer.status != 200:
                raise Trouble(f"{answer.status} from the server")
            whole = await body(answer, MAX_BODY)
            at_ms = self._now_ms()
            if whole is None:
                refused = Refused(Reason.TOO_LARGE, f"more than {MAX_BODY} bytes")
                return _Answer(Document((), (refused,), is_read=False), "", "", at_ms)
            said = _Answer(None, _kept(answer, "ETag"), _kept(answer, "Last-Modified"), at_ms)
            sort, url = answer.headers.get("Content-Type", ""), str(answer.url)
        async with self._reading:  # in a thread: a large document takes seconds, and the loop is not to wait for it
            return said._replace(document=await asyncio.to_thread(self._decoder.decode, whole, sort, url))

    def _note_move(self, feed: _Feed, answer: Any) -> None:
        if not feed.has_moved and any(one.status in (301, 308) for one in answer.history):
            feed.has_moved = True
            log.warning("%s has moved for good, to %s: change its address", feed, answer.url.host)


def _kept(answer: Any, header: str) -> str:
    said = str(answer.headers.get(header, ""))
    return said if len(said) <= MAX_HEADER else ""
