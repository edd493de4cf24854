"""Listening to a server of Mastodon's kind: its stream, and what its API still knows of what the stream missed.

    stream (SSE or WebSocket) ─┐
    timeline, page by page    ─┼─▶ one inbox ─▶ Heard
    posts looked at again     ─┘

The stream has no cursor, and nothing in it is told twice. So each connection opens the stream first; then it reads the
timeline from the last known id on (`pages` of 40 posts, at most), and a little before it, since a post from elsewhere
has an id of when it was written, not of when it came; then it looks again at the posts that stand in the log, newest
first, for what was edited or removed while nobody listened: at the last 2,000 of them, of a week. What is missing all
the same is told as a gap. What the stream tells meanwhile is not held back, but the position stays where the timeline
was read to.

Positions: "" the last local id; "heard" when we last knew to have missed nothing; "last" the local ids that came last;
"recent" those of the posts that stand in the log, and "fresh" of those that were added to them since. They are ids of
posts.

A server shows that it is there by a comment every 15 s (SSE), or answers our ping every `1.5 * quiet_s` (WebSocket).
Nothing at all for `4.5 * quiet_s`, 45 s, and the connection is given up: three heartbeats. So it is when a stream that
was busy has heartbeats, but no events, for `quiet_s`.
Knows nothing of how a status is written.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from streams.heart.errors import Reason
from streams.sources.contract import Denied, Gap, Heard, Limited, Refused, Trouble
from streams.sources.mastodon import SOURCE, Complaint, Decoder, listed, local_id, order, unwrapped
from streams.sources.mastodon_hearing import RECENT, Filled, Hearing, Looked, Memory, Page
from streams.sources.mastodon_server import MANY, TOKEN, Answer, Instance, Options, Server, asked_s, is_absent
from streams.sources.reader import BATCH, MAX_EVENT, Patience, Rhythm, check, session, wall_ms
from streams.sources.sse import Event, EventStream

INBOX = 64  # items
log = logging.getLogger("denyut.source")
Item = list[Event | Refused] | Page | Filled | Looked | Exception


class Inbox:
    """Where all that a connection brings comes together. Who puts waits while it is full."""

    def __init__(self) -> None:
        self._queue = asyncio.Queue[Item](INBOX)
        self._held: Item | None = None

    async def put(self, item: Item) -> None:
        """Adds an item behind the others."""
        await self._queue.put(item)

    async def next(self, wait_s: float) -> Item | None:
        """The next one, with the events that came right after it if it is events; None: nothing came for so long."""
        item, self._held = self._held, None
        if item is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    item = await self._queue.get()
        while isinstance(item, list) and len(item) < BATCH and not self._queue.empty():
            more = self._queue.get_nowait()
            if not isinstance(more, list):
                self._held = more
                break
            item += more
        return item


class Pulse:
    """When a connection last gave a sign of life, by the loop's clock."""

    def __init__(self) -> None:
        self._last_s = asyncio.get_running_loop().time()

    def beat(self) -> None:
        """Something came."""
        self._last_s = asyncio.get_running_loop().time()

    def silent_s(self) -> float:
        """For how long nothing has come."""
        return asyncio.get_running_loop().time() - self._last_s


class Mastodon:
    """A source: one stream of one server. What it remembers of posts lives as long as it does."""

    is_pushed = False

    def __init__(self, name: str, options: Options, patience: Patience | None = None,
                 now_ms: Callable[[], int] = wall_ms) -> None:
        self._name = name or SOURCE
        self._options = options
        self._patience = patience or Patience()
        self._now_ms = now_ms
        self._memory = Memory()
        self._decoder: Decoder | None = None
        self._domain = ""

    @property
    def name(self) -> str:
        """Under which its posts are counted."""
        return self._name

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """One connection, from these positions on, until it ends: then it raises `Trouble`."""
        patience, inbox = self._patience, Inbox()
        if positions.get("server", self._options.host) != self._options.host:  # its ids mean nothing here
            heard, now_ms = positions.get("heard", ""), self._now_ms()
            gap = Gap(int(heard), now_ms) if heard.isdecimal() else None
            positions = {"": "", "heard": str(now_ms), "last": "", "recent": "", "fresh": "",
                         "server": self._options.host}
            yield Heard(positions=positions, gap=gap)
        async with session(patience) as client:
            server = Server(client, self._options, patience)
            instance = await server.look(self._now_ms())
            hearing = Hearing(self._decoding(instance.domain), self._memory, positions, self._now_ms(),
                              round(10_000 * patience.beat_s))
            async with self._opened(server, instance) as wire:
                yield Heard(positions={"server": self._options.host})
                pulse, rhythm = Pulse(), Rhythm(patience.quiet_s)
                tasks = [asyncio.create_task(_told(work, inbox)) for work in (
                    self._pump(wire, instance, pulse, inbox), self._catch_up(server, instance, hearing, inbox))]
                try:
                    while True:
                        yield await self._next(inbox, pulse, rhythm, hearing)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    def _decoding(self, domain: str) -> Decoder:
        if self._decoder is None or domain != self._domain:
            self._decoder, self._domain = Decoder(self._options.host, domain), domain
        return self._decoder

    async def _next(self, inbox: Inbox, pulse: Pulse, rhythm: Rhythm, hearing: Hearing) -> Heard:
        item = await inbox.next(self._patience.beat_s)
        now_ms = self._now_ms()
        if item is None:  # only then does silence tell anything: while the inbox is full, nobody reads from the wire
            silent_s = pulse.silent_s()
            if silent_s > 4.5 * self._patience.quiet_s or rhythm.is_stalled(asyncio.get_running_loop().time()):
                raise Trouble("silent for too long")
            return hearing.quiet(now_ms - round(1000 * max(silent_s, self._patience.quiet_s)), now_ms)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, list):
            rhythm.heard(asyncio.get_running_loop().time(), len(item))
        return hearing.take(item, now_ms)

    @asynccontextmanager
    async def _opened(self, server: Server, instance: Instance) -> AsyncIterator[Any]:
        import aiohttp

        try:
            async with server.listen(instance) as wire:
                if instance.wire == "sse":
                    self._admitted(wire.status, wire.headers)
                yield wire
        except aiohttp.WSServerHandshakeError as error:
            self._admitted(error.status, error.headers or {})
            raise Trouble(f"{error.status}: no WebSocket there") from None

    def _admitted(self, status: int, headers: Mapping[str, str]) -> None:
        if status in (429, 503):
            raise Limited(f"{status}: the server asks to wait", asked_s(status, headers, self._now_ms()))
        if status in (400, 422):
            raise Denied(f"{status}, it has no such stream: look at --stream {self._options.stream}")
        check(status, headers, TOKEN if status in (401, 403) else "--server and --wire")

    async def _pump(self, wire: Any, instance: Instance, pulse: Pulse, inbox: Inbox) -> None:
        await (self._read(wire, pulse, inbox) if instance.wire == "sse" else self._receive(wire, pulse, inbox))
        raise Trouble("the server closed the connection")

    async def _read(self, response: Any, pulse: Pulse, inbox: Inbox) -> None:
        stream = EventStream()
        async for chunk in response.content.iter_any():
            pulse.beat()
            if events := stream.feed(chunk):
                await inbox.put(events)

    async def _receive(self, socket: Any, pulse: Pulse, inbox: Inbox) -> None:
        from aiohttp import WSMsgType

        pinging = asyncio.create_task(self._ping(socket))
        try:
            while (message := await socket.receive()).type in (
                    WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG):
                pulse.beat()
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is not WSMsgType.PONG:
                    await inbox.put([self._unwrapped(message.data)])
        finally:
            pinging.cancel()

    async def _ping(self, socket: Any) -> None:
        with suppress(OSError):  # who reads hears of it too
            while True:
                await asyncio.sleep(1.5 * self._patience.quiet_s)
                await socket.ping()

    def _unwrapped(self, data: bytes) -> Event | Refused:
        if len(data) > MAX_EVENT:
            return Refused(Reason.TOO_LARGE, f"{len(data)} bytes")
        said = unwrapped(data)
        if isinstance(said, Complaint):
            self._admitted(said.status, {})
            raise Trouble("the server will not stream")
        return said

    # What the stream missed.

    async def _catch_up(self, server: Server, instance: Instance, hearing: Hearing, inbox: Inbox) -> None:
        recent = self._memory.recent(self._now_ms())
        if len(recent) >= RECENT:
            log.warning("%s: edits and removals that were missed are found among the last %d posts in the log, and no "
                        "older ones", self._name, len(recent))
        try:
            await self._fill(server, instance, hearing, inbox)
        except Denied:
            raise
        except Trouble:
            await inbox.put(Filled(is_missing=True))
        with suppress(Trouble):  # then they are looked at after the next connection
            await self._look_again(server, instance, recent, inbox)

    async def _fill(self, server: Server, instance: Instance, hearing: Hearing, inbox: Inbox) -> None:
        last = self._memory.before(hearing.since)
        for number in range(self._options.pages + 1):
            answer = await server.after(last, self._now_ms())
            found = listed(answer.body) if answer.status == 200 else Refused(Reason.NOT_JSON)
            if isinstance(found, Refused):
                return await inbox.put(Filled(is_missing=True))
            ids = [local for raw in found if (local := local_id(raw))]
            if not last:
                return await inbox.put(Filled(hearing.had_begun, max(ids, key=order, default=instance.lowest)))
            newest = max([last, *ids], key=order)
            if number == self._options.pages:  # a look beyond the last page: what is there may just be coming
                await asyncio.sleep(self._patience.beat_s)
            if newest == last or hearing.told.issuperset(ids):
                return await inbox.put(Filled())
            if number < self._options.pages:
                await inbox.put(Page(found[::-1], newest))
            last = newest
        return await inbox.put(Filled(is_missing=True))

    async def _look_again(self, server: Server, instance: Instance, recent: list[str], inbox: Inbox) -> None:
        """At one request a beat: a server grants 300 in five minutes, and others need some of them."""
        for at in range(0, len(recent), MANY):
            few = recent[at:at + MANY]
            absent = few
            if instance.many:
                answer = await server.many(few, self._now_ms())
                found = listed(answer.body) if answer.status == 200 else []
                known = {} if isinstance(found, Refused) else {local_id(raw): raw for raw in found}
                for local in few:
                    if local in known:
                        await inbox.put(Looked(local, known[local]))
                absent = [local for local in few if local not in known]
                await asyncio.sleep(self._patience.beat_s)
            for local in absent:  # what a list leaves out may still be there
                await _looked(local, await server.one(local, self._now_ms()), inbox)
                await asyncio.sleep(self._patience.beat_s)


async def _looked(local: str, answer: Answer, inbox: Inbox) -> None:
    if answer.status == 200:
        await inbox.put(Looked(local, answer.body))
    elif is_absent(answer):
        await inbox.put(Looked(local, None))


async def _told(work: Awaitable[None], inbox: Inbox) -> None:
    """Whatever ends the work, but the end of all, is told to who waits at the inbox."""
    try:
        await work
    except Exception as error:  # it is raised there
        await inbox.put(error)
