"""A server of Mastodon's kind on this machine's loopback, for tests: its stream on both wires, its timeline, its posts.

It keeps posts, not events: who was not there when something happened can only ask what is there now, as on a real one.
It knows what the scenarios of `tests/sources` ask for, and no more of Mastodon than that.
"""

import asyncio
import html
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web

from streams.sources.contract import Source
from streams.sources.mastodon_reader import Mastodon
from streams.sources.mastodon_server import Options
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

DOMAIN = "kota.example"
TOKEN = "token-contoh"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
THUMP_S = 0.1


def snowflake(number: int) -> str:
    """An id as Mastodon gives it: milliseconds, and 16 bits. The first is shorter than the others."""
    return str(99_999_999_999_999_980 + 10 * number)


def ulid(number: int) -> str:
    """An id as GoToSocial gives it."""
    value = (1_795_000_000_000 << 80) + number * 7
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def stamp(second: int) -> str:
    """A time that rises with each happening, near now."""
    return f"{datetime.fromtimestamp(int(time.time()) - 100 + second, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def content(text: str) -> str:
    """A text as a server writes it."""
    paragraphs = (html.escape(paragraph).replace("\n", "<br />") for paragraph in text.split("\n\n"))
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def status(local: str, author: str, text: str, **more: Any) -> dict[str, Any]:
    """A post as the API shows it."""
    return {
        "id": local, "uri": f"https://{DOMAIN}/users/{author}/statuses/{local}", "created_at": stamp(0),
        "edited_at": None, "language": "id", "visibility": "public", "content": content(text), "spoiler_text": "",
        "in_reply_to_id": None, "in_reply_to_account_id": None, "reblog": None, "mentions": [], "tags": [],
        "account": {"id": f"9{len(author)}", "acct": author, "bot": False, "noindex": False, "followers_count": 37},
    } | more


@dataclass(eq=False)
class Listener:
    """One connection to the stream: what it is still to be told."""

    transport: asyncio.BaseTransport | None
    waiting: "asyncio.Queue[tuple[str, bytes] | None]" = field(default_factory=asyncio.Queue)
    is_frozen: bool = False


class Fediverse:
    """The server. `small`: it is GoToSocial, and gives posts by id one at a time."""

    def __init__(self, small: bool = False) -> None:
        self.small = small
        self.posts: dict[str, dict[str, Any]] = {}  # by local id, oldest first
        self.events: list[tuple[str, bytes]] = []
        self.asked: list[str] = []  # the path and query of each request
        self.tokens: set[str] = set()  # authorizations that were shown
        self.served = 0
        self.ponged = 0  # answers to our pings
        self.failing: list[int] = []  # statuses with which the next streams are refused
        self.ill: dict[str, list[web.Response]] = {}  # part of a path -> what it is answered next, instead
        self.access: dict[str, Any] = {}
        self.gate: asyncio.Event | None = None  # the timeline is answered once it is set
        self.port = 0
        self.number = 0
        self._open: set[Listener] = set()
        self._site = Site()

    async def start(self) -> None:
        """Listens on a free port."""
        app = web.Application(middlewares=[self._door])
        app.add_routes([
            web.get("/api/v2/instance", self._instance), web.get("/api/v1/timelines/{tail:.*}", self._timeline),
            web.get("/api/v1/statuses", self._many), web.get("/api/v1/statuses/{id}", self._one),
            web.get("/api/v1/streaming", self._socket), web.get("/api/v1/streaming/{tail:.*}", self._sse)])
        await self._site.open(app)
        self.port = self._site.port

    async def stop(self) -> None:
        """Closes everything."""
        self.hang_up()
        await self._site.close()

    # What happens.

    def add(self, author: str, text: str, **more: Any) -> dict[str, Any]:
        """A new post, of which nobody hears yet."""
        self.number += 1
        local = ulid(self.number) if self.small else snowflake(self.number)
        self.posts[local] = status(local, author, text, created_at=stamp(self.number), **more)
        return self.posts[local]

    def edit(self, local: str, text: str) -> dict[str, Any]:
        """A post reads otherwise, of which nobody hears yet."""
        self.number += 1
        self.posts[local] |= {"content": content(text), "edited_at": stamp(self.number)}
        return self.posts[local]

    def tell(self, name: str, payload: Any) -> None:
        """Everybody who listens hears of it."""
        data = payload.encode() if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False).encode()
        self.events.append((name, data))
        self.say(name, data)

    def say(self, name: str, data: bytes) -> None:
        """The same, and it is not kept for `Again`."""
        for listener in self._open:
            listener.waiting.put_nowait((name, data))

    def complain(self, status: int) -> None:
        """Everybody who listens by a socket is told that nothing will come."""
        self.say("error", json.dumps({"error": "no", "status": status}).encode())

    def hang_up(self) -> None:
        """Closes every connection. A frozen one is cut off."""
        for listener in self._open:
            if listener.is_frozen and isinstance(listener.transport, asyncio.Transport):
                listener.transport.abort()
            listener.waiting.put_nowait(None)
        self._open.clear()

    def freeze(self) -> None:
        """The present connections say nothing more."""
        for listener in self._open:
            listener.is_frozen = True

    # The server.

    @web.middleware
    async def _door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.tokens.add(request.headers.get("Authorization", ""))
        for part, answers in self.ill.items():
            if part in request.path and answers:
                return answers.pop(0)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _instance(self, _: web.Request) -> web.Response:
        name = "gotosocial" if self.small else "mastodon"
        said = {"domain": DOMAIN, "version": "4.5.0", "source_url": f"https://git.example/{name}",
                "configuration": {"urls": {"streaming": f"ws://127.0.0.1:{self.port}"},
                                  "timelines_access": self.access}}
        return web.json_response(said if self.small else said | {"api_versions": {"mastodon": 7}})

    async def _timeline(self, request: web.Request) -> web.Response:
        if self.gate is not None:
            await self.gate.wait()
        least, limit = request.query.get("min_id", ""), int(request.query["limit"])
        posts = sorted(self.posts.items(), key=lambda item: (len(item[0]), item[0]))
        after = [post for local, post in posts if (len(local), local) > (len(least), least)]
        return web.json_response((after[:limit] if least else after[-limit:])[::-1])

    async def _many(self, request: web.Request) -> web.Response:
        ids = request.query.getall("id[]", [])
        if self.small or len(ids) > 20:
            return web.json_response({"error": "Not Found"}, status=404 if self.small else 422)
        return web.json_response([self.posts[local] for local in ids if local in self.posts])

    async def _one(self, request: web.Request) -> web.Response:
        post = self.posts.get(request.match_info["id"])
        return web.json_response(post or {"error": "Record not found"}, status=200 if post else 404)

    def _refusal(self) -> web.Response | None:
        if not self.failing:
            return None
        status = self.failing.pop(0)
        return web.json_response({"error": "no"}, status=status, headers={"Retry-After": "0"} if status == 429 else {})

    async def _sse(self, request: web.Request) -> web.StreamResponse:
        if self.small:
            raise web.HTTPNotFound
        if refusal := self._refusal():
            return refusal
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b":)\n")
        listener = self._listening(request)
        with suppress(ConnectionError):
            while True:
                event: tuple[str, bytes] | None = (":", b"")
                with suppress(TimeoutError):
                    async with asyncio.timeout(THUMP_S):
                        event = await listener.waiting.get()
                if event is None:
                    break
                name, data = event
                if not listener.is_frozen:
                    await response.write(b":thump\n" if name == ":" else
                                         b"event: " + name.encode() + b"\ndata: " + data + b"\n\n")
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal():
            return refusal
        socket = web.WebSocketResponse(autoping=False, timeout=0.5)
        await socket.prepare(request)
        listener = self._listening(request)
        await socket.ping()
        answering = asyncio.create_task(self._answer(socket, listener))
        with suppress(ConnectionError):
            while event := await listener.waiting.get():
                if not listener.is_frozen:
                    await self._send(socket, *event)
        answering.cancel()
        await socket.close()
        return socket

    async def _send(self, socket: web.WebSocketResponse, name: str, data: bytes) -> None:
        if name == "error":
            await socket.send_str(data.decode())
        elif b"\xff" in data:  # no server can write this; a broken one, or what stands between, may
            head = b'{"stream":["public"],"event":"' + name.encode() + b'","payload":"'
            await socket.send_frame(head + data.replace(b'"', b'\\"') + b'"}', WSMsgType.TEXT)
        else:
            await socket.send_str(json.dumps({"stream": ["public"], "event": name, "payload": data.decode()}))

    async def _answer(self, socket: web.WebSocketResponse, listener: Listener) -> None:
        with suppress(ConnectionError):
            async for message in socket:
                if message.type is WSMsgType.PING and not listener.is_frozen:
                    await socket.pong(message.data)
                self.ponged += message.type is WSMsgType.PONG

    def _listening(self, request: web.Request) -> Listener:
        listener = Listener(request.transport)
        self._open.add(listener)
        self.served += 1
        return listener


class FediverseStage:
    """The server as the scenarios ask for it."""

    can = frozenset({Say, Edit, Remove, RemoveAuthor, Garbage, Drop, Freeze, Fail, Again, Swap, Lose, Restart, Rewind})

    def __init__(self, wire: str = "auto", small: bool = False, pages: int = 2) -> None:
        self.server = Fediverse(small)
        self.token_file = ""
        self._wire, self._pages = wire, pages
        self._locals: dict[str, str] = {}  # a scenario's name of a post -> local id
        self._authors: dict[str, str] = {}

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def perform(self, step: Step) -> None:
        server = self.server
        match step:
            case Say():
                server.tell("update", self.added(step))
            case Edit(post, text):
                server.tell("status.update", server.edit(self._locals[post], text))
            case Remove(post):
                server.tell("delete", self.removed(post))
            case RemoveAuthor(author):
                for post in [post for post, by in self._authors.items() if by == author]:
                    server.tell("delete", self.removed(post))
            case Swap(first, second):
                late = self.added(first)
                server.tell(*(("update", self.added(second)) if isinstance(second, Say) else
                              ("delete", self.removed(second.post))))
                server.tell("update", late)
            case Garbage(kind):
                server.say("update", GARBAGE[kind])
            case Lose(lost):
                server.hang_up()
                for _ in range(40 * self._pages + 50):  # more than is read, and nothing that one may hear
                    server.add("dewi", "rahasia")["account"]["noindex"] = True
                self.added(lost)
            case _:
                self._trouble(step)

    def _trouble(self, step: Step) -> None:
        server = self.server
        match step:
            case Drop():
                server.hang_up()
            case Freeze():
                server.freeze()
            case Fail(status, times):
                server.failing += [status] * times
                server.hang_up()
            case Again(events):
                for name, data in server.events[-events:]:
                    server.say(name, data)
            case _:
                raise AssertionError(step)

    def added(self, say: Say) -> Mapping[str, Any]:
        """A scenario's post, of which nobody hears yet."""
        post = self.server.add(say.author, say.text)
        self._locals[say.post], self._authors[say.post] = post["id"], say.author
        return post

    def removed(self, post: str) -> str:
        """The id of a scenario's post that is there no more, of which nobody hears yet."""
        local = self._locals[post]
        self.server.posts.pop(local, None)
        return local

    def options(self) -> Options:
        """Of a source that listens here."""
        return Options.read(f"http://127.0.0.1:{self.server.port}", self.token_file, wire=self._wire,
                            pages=str(self._pages))

    def source(self, patience: Patience) -> Source:
        return Mastodon("mastodon", self.options(), patience)

    def local(self, post: str) -> str:
        """The server's own id of a post that the scenario calls so."""
        return self._locals[post]

    def native(self, post: str) -> str:
        return f"https://{DOMAIN}/users/{self._authors[post]}/statuses/{self._locals[post]}"

    def author(self, author: str) -> str:
        return f"{author}@{DOMAIN}"

    def connections(self) -> int:
        return self.server.served


def _broken(**fields: Any) -> bytes:
    return json.dumps(status("115", "ana", "Kopi Senja", **fields)).encode()


GARBAGE: Mapping[str, bytes] = {
    "not_json": _broken()[:-9],
    "wrong_type": _broken(content=7),
    "bad_time": _broken(created_at="yesterday"),
    "not_utf8": _broken(content="Kopi Senja ?").replace(b"?", b"\xff"),
    "deep": b"[" * 100_000,
    "huge": b'"' + b"x" * 10_000_000 + b'"',
}
