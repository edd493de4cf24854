"""A Jetstream server on this machine's loopback, for tests: both wires, cursors, look-back, and all that can go wrong.

It keeps a log; each connection is told what the log holds from its cursor on, and then what is added. It knows what the
scenarios of `tests/sources` ask for, and no more of Bluesky than that.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from streams.sources.bluesky import PATH_V1, PATH_V2, POSTS, Options, Wire
from streams.sources.bluesky_reader import Bluesky
from streams.sources.contract import Source
from streams.sources.reader import Patience
from tests.sources.scenarios import (
    Again,
    Drop,
    Edit,
    Fail,
    Freeze,
    Garbage,
    Lose,
    Remove,
    RemoveAuthor,
    Restart,
    Rewind,
    Say,
    Step,
    Swap,
)
from tests.sources.site import Site

NSID = "network.bsky.jetstream.subscribeEvents"
LEAST_TIME = 10**15  # a cursor from here on is a time
Pack = Callable[[bytes], bytes]


def when(us: int) -> str:
    """A time as v2 writes it."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06}Z"


@dataclass(frozen=True)
class Event:
    """One entry of the log. `body`: what a commit or an account's state holds, alike on both wires."""

    seq: int
    us: int
    did: str
    kind: str
    body: Mapping[str, Any]
    raw: bytes | None = None  # what is sent in its place

    def flat(self) -> bytes:
        """As v1 says it."""
        if self.raw is not None:
            return self.raw
        return dumps({"did": self.did, "time_us": self.us, "kind": self.kind, self.kind: self.body})

    def framed(self) -> bytes:
        """As v2 says it."""
        if self.raw is not None:
            return self.raw
        more = self.body if self.kind == "commit" else {self.kind: self.body}
        head = {"$type": f"{NSID}#{self.kind}", "seq": self.seq, "did": self.did, "time": when(self.us)}
        return dumps({"$type": "message", "payload": head | dict(more)})


def dumps(value: Any) -> bytes:
    """JSON as a server writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def record(text: Any, created: Any, **more: Any) -> dict[str, Any]:
    """A post's record."""
    return {"$type": POSTS, "createdAt": created, "text": text, "langs": ["id"], "facets": [], **more}


def commit(operation: str, rkey: str, post: Mapping[str, Any] | None = None, collection: str = POSTS) -> dict[str, Any]:
    """The body of a commit."""
    body = {"rev": "3maaaaaaaaa2a", "operation": operation, "collection": collection, "rkey": rkey}
    return body if post is None else body | {"cid": "bafyreicontoh", "record": post}


@dataclass(eq=False)
class Connection:
    """One listener."""

    wire: Wire
    transport: asyncio.BaseTransport | None
    pack: Pack | None = None
    waiting: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    is_frozen: bool = False

    def tell(self, event: Event) -> None:
        self.waiting.put_nowait(event.framed() if self.wire is Wire.V2 else event.flat())


class Jetstream:
    """The server. `wires`: what it speaks; `pack`: compresses for who asks for it."""

    def __init__(self, wires: frozenset[Wire] = frozenset(Wire), pack: Pack | None = None) -> None:
        self.log: list[Event] = []
        self.asked: list[dict[str, str]] = []  # the query of each request, with its path
        self.served = 0
        self.floor, self.floor_us = 1, 0  # the first number, and the first time, that is still known
        self.failing: list[int] = []
        self.refusal = ""  # the name of the error with which v2 answers every request
        self.is_deaf = False  # whether new connections are told nothing
        self.port = 0
        self._wires, self._pack = wires, pack
        self._seq, self._us = 0, 0
        self._open: dict[Connection, web.WebSocketResponse] = {}
        self._closing: set[asyncio.Task[bool]] = set()
        self._site = Site()

    async def start(self) -> None:
        """Listens on a free port."""
        app = web.Application()
        paths = {Wire.V1: PATH_V1, Wire.V2: PATH_V2}
        app.add_routes([web.get(path, self._answer) for wire, path in paths.items() if wire in self._wires])
        await self._site.open(app)
        self.port = self._site.port

    async def stop(self) -> None:
        """Closes everything."""
        self.hang_up()
        await self._site.close()

    # What happens.

    def add(self, did: str, kind: str, body: Mapping[str, Any], raw: bytes | None = None) -> Event:
        """A new entry of the log, which everybody hears."""
        self._seq += 1
        self._us = max(time.time_ns() // 1000, self._us + 1)
        event = Event(self._seq, self._us, did, kind, body, raw)
        self.log.append(event)
        self.tell(event)
        return event

    def tell(self, event: Event) -> None:
        """Everybody who listens hears it."""
        for connection in self._open:
            connection.tell(event)

    def say(self, data: bytes) -> None:
        """Everybody hears something that is no event."""
        for connection in self._open:
            connection.waiting.put_nowait(data)

    def hang_up(self) -> None:
        """Closes every connection. A frozen one is cut off: it would not take part in a good-bye."""
        for connection, socket in list(self._open.items()):
            if connection.is_frozen and isinstance(connection.transport, asyncio.Transport):
                connection.transport.abort()
            else:
                task = asyncio.ensure_future(socket.close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        self._open.clear()

    def freeze(self) -> None:
        """The present connections say nothing more."""
        for connection in self._open:
            connection.is_frozen = True

    def forget(self) -> None:
        """Nothing of what was is kept."""
        self.log.clear()
        self.floor, self.floor_us = self._seq + 1, self._us + 1

    # The server.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"path": request.path, **request.query})
        if self.failing:
            return web.Response(status=self.failing.pop(0))
        wire = Wire.V2 if request.path == PATH_V2 else Wire.V1
        if self.refusal and wire is Wire.V2:
            return web.json_response({"error": self.refusal}, status=400)
        cursor = int(request.query.get("cursor", "0"))
        if wire is Wire.V2 and 0 < cursor < min(self.floor, LEAST_TIME):
            return web.json_response({"error": "CursorTooOld", "message": f"floor: {self.floor}"}, status=400)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=426)
        compressed = request.query.get("compress") == "true" or "zstdDictionary" in request.query
        connection = Connection(wire, request.transport, self._pack if compressed else None)
        socket = web.WebSocketResponse(autoping=False, autoclose=True, protocols=("xrpc.v1.json",), timeout=1.0)
        await socket.prepare(request)
        if not self.is_deaf:
            self._replay(connection, cursor)
            self._open[connection] = socket
        self.served += 1
        sender = asyncio.create_task(self._send(connection, socket))
        try:
            await self._listen(connection, socket)
        finally:
            sender.cancel()
            self._open.pop(connection, None)
        return socket

    def _replay(self, connection: Connection, cursor: int) -> None:
        """What the log holds from the cursor on, inclusive; clamped in silence, but for a time on v2."""
        if not cursor:
            return
        is_time = cursor >= LEAST_TIME
        if connection.wire is Wire.V2 and is_time and cursor < self.floor_us:
            self._inform(connection, "OutdatedCursor")
        if connection.wire is Wire.V2 and not is_time and cursor > self._seq:
            self._inform(connection, "FutureCursor")
        for event in self.log:
            if (event.us if is_time else event.seq) >= cursor:
                connection.tell(event)

    def _inform(self, connection: Connection, name: str) -> None:
        connection.waiting.put_nowait(
            dumps({"$type": "message", "payload": {"$type": f"{NSID}#info", "name": name, "message": "clamped"}}))

    async def _send(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        with suppress(ConnectionError):
            while True:
                data = await connection.waiting.get()
                if connection.is_frozen:
                    continue
                if connection.pack is not None:
                    await socket.send_bytes(connection.pack(data))
                else:
                    await socket.send_frame(data, WSMsgType.TEXT)

    async def _listen(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.PING and not connection.is_frozen:
                await socket.pong(message.data)


class JetstreamStage:
    """The server and the source, for the scenarios."""

    can = frozenset({Say, Edit, Remove, RemoveAuthor, Garbage, Drop, Freeze, Fail, Again, Swap, Lose, Restart, Rewind})

    def __init__(self, wire: Wire, wires: frozenset[Wire] = frozenset(Wire)) -> None:
        self.server = Jetstream(wires)
        self._wire = wire
        self._authors: dict[str, str] = {}  # post -> author, by their short names
        self._created: dict[str, str] = {}

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def source(self, patience: Patience) -> Source:
        return Bluesky("bluesky", Options.read(f"ws://127.0.0.1:{self.server.port}", self._wire), patience)

    def native(self, post: str) -> str:
        return f"at://{self.author(self._authors.get(post, ''))}/{POSTS}/3m{post}"

    def author(self, author: str) -> str:
        return f"did:plc:{author}"

    def connections(self) -> int:
        return self.server.served

    async def perform(self, step: Step) -> None:
        match step:
            case Say() | Edit() | Remove() | RemoveAuthor():
                self._say(step)
            case Swap(first, second):
                self._authors[first.post] = first.author
                self._say(second)
                self._say(first)
            case Garbage(kind):
                self.server.add("did:plc:ana", "commit", {}, raw=self._garbage(kind))
            case Again(events):
                for event in self.server.log[-events:]:
                    self.server.tell(event)
            case Freeze():
                self.server.freeze()
            case Lose(lost):
                self.server.hang_up()
                self._authors[lost.post] = lost.author
                self._say(lost)
                self.server.forget()
            case Drop():
                self.server.hang_up()
            case Fail(status, times):
                self.server.failing = [status] * times
                self.server.hang_up()

    def _say(self, step: Say | Edit | Remove | RemoveAuthor) -> None:
        match step:
            case Say(post, author, text):
                self._authors[post] = author
                self._created[post] = when(time.time_ns() // 1000)
                body = commit("create", f"3m{post}", record(text, self._created[post]))
                self.server.add(self.author(author), "commit", body)
            case Edit(post, text):
                body = commit("update", f"3m{post}", record(text, self._created[post]))
                self.server.add(self.author(self._authors[post]), "commit", body)
            case Remove(post):
                self.server.add(self.author(self._authors[post]), "commit", commit("delete", f"3m{post}"))
            case RemoveAuthor(author):
                self.server.add(self.author(author), "account", {"active": False, "status": "deleted"})

    def _garbage(self, kind: str) -> bytes:
        """On the wire that is spoken: what is not JSON at all is alike on both."""
        now_us = time.time_ns() // 1000
        made: dict[str, Mapping[str, Any]] = {
            "wrong_type": record(7, when(now_us)), "bad_time": record("Kopi Senja", "20226-11-18T11:06:39.900Z"),
            "deep": record("Kopi Senja", when(now_us), embed="HERE"),
            "huge": record("x" * 10_000_000, when(now_us))}
        if kind == "not_json":
            return b'{"did":"did:plc:ana","time_us":'
        if kind == "not_utf8":
            return b'{"did":"did:plc:\xff\xfe"}'
        event = Event(self.server._seq + 1, now_us, "did:plc:ana", "commit", commit("create", "3mgarbage", made[kind]))
        said = event.framed() if self._wire is Wire.V2 else event.flat()
        return said.replace(b'"HERE"', b"[" * 100_000 + b"]" * 100_000)
