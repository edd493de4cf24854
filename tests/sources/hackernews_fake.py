"""A fake of the Hacker News API on this machine's loopback: /maxitem, /updates, /item/<id>."""

import asyncio
import html
import itertools
import json
import time
from typing import Any

from aiohttp import web

from streams.sources.hackernews import HackerNews, Options
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

MOST = 50
GARBAGE = {
    "not_json": b"<html>sorry</html>",
    "wrong_type": b'{"id": "seven", "type": ["story"]}',
    "bad_time": b'{"id": %d, "type": "story", "time": 99999999999, "title": "kemarin"}',
    "not_utf8": b'{"id": %d, "type": "story", "time": 1795586400, "title": "\xff\xfe"}',
    "deep": b'{"id": ' + b"[" * 100_000,
    "huge": b'{"id": %d, "type": "story", "time": 1795586400, "title": "' + b"k" * 10_000_000 + b'"}',
}


class Server:
    """Items by id, as JSON; what it is told to answer instead; whom it has ceased to answer."""

    def __init__(self) -> None:
        self.items: dict[int, bytes] = {}
        self.top = 1000
        self.changed: list[int] = []
        self.failures: list[int] = []  # statuses of the next answers
        self.polls = 0
        self.asked: list[str] = []
        self.most_at_once = 0
        self.address = ""
        self._at_once = 0
        self._open: set[Any] = set()
        self._frozen: set[Any] = set()
        self._site = Site()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v0/{what:.+}.json", self._answer)
        await self._site.open(app)
        self.address = f"http://127.0.0.1:{self._site.port}/v0"

    async def stop(self) -> None:
        self.drop()
        await self._site.close()

    def drop(self) -> None:
        for transport in self._open:
            transport.abort()
        self._open.clear()

    def freeze(self) -> None:
        self._frozen |= self._open

    async def _answer(self, request: web.Request) -> web.Response:
        self._open.add(request.transport)
        if request.transport in self._frozen:
            await asyncio.sleep(3600)
        what = request.match_info["what"]
        self.asked.append(what)
        if self.failures:
            return web.Response(status=self.failures.pop(0))
        if what == "maxitem":
            self.polls += 1
            return web.Response(body=str(self.top).encode(), content_type="application/json")
        if what == "updates":
            return web.json_response({"items": self.changed[-100:], "profiles": []})
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        return web.Response(body=self.items.get(int(what.removeprefix("item/")), b"null"))


class HackerNewsStage:
    """Posts of one line are comments, of two lines stories with a text."""

    can = frozenset({Say, Edit, Remove, RemoveAuthor, Garbage, Drop, Freeze, Fail, Again, Swap, Lose, Restart, Rewind})

    def __init__(self) -> None:
        self.server = Server()
        self._ids: dict[str, int] = {}
        self._bodies: dict[str, dict[str, Any]] = {}
        self._scores = itertools.count(1)

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def source(self, patience: Patience) -> HackerNews:
        return HackerNews("hackernews", Options(self.server.address, 10, 20, MOST), patience)

    def native(self, post: str) -> str:
        return str(self._ids[post])

    def author(self, author: str) -> str:
        return author

    def connections(self) -> int:
        return self.server.polls

    async def perform(self, step: Step) -> None:
        match step:
            case Say():
                self._say(step)
            case Edit(post, text):
                self._bodies[post] |= _texts(text)
                self._change(post)
            case Remove(post):
                self._remove(post)
            case RemoveAuthor(author):
                for post in [one for one, body in self._bodies.items() if body.get("by") == author]:
                    self._remove(post)
            case Again(events):
                for post in list(self._bodies)[-events:]:
                    self._change(post)
            case Swap(first, Remove()):
                self._put(first)
                self._remove(first.post)
                self.server.top += 1
            case Swap(first, Say() as second):
                self._say(second)
                self._say(first)
            case _:
                self._disturb(step)

    def _disturb(self, step: Step) -> None:
        server = self.server
        match step:
            case Garbage(kind):
                number = server.top + 1
                server.items[number] = GARBAGE[kind].replace(b"%d", b"%d" % number)
                server.top = number
            case Drop():
                server.drop()
            case Freeze():
                server.freeze()
            case Fail(status, times):
                server.failures += [status] * times
                server.drop()
            case Lose(lost):
                server.drop()
                self._put(lost)
                server.changed.clear()
                server.top += 2 * MOST

    def _say(self, say: Say) -> None:
        self._put(say)
        self.server.top += 1

    def _put(self, say: Say) -> None:
        self._ids[say.post] = self.server.top + 1
        self._bodies[say.post] = {"by": say.author, "time": int(time.time()), **_texts(say.text)}
        self._change(say.post)

    def _remove(self, post: str) -> None:
        body = self._bodies[post]
        self._bodies[post] = {"deleted": True, "time": body.get("time", 0), "type": "comment"}
        self._change(post)

    def _change(self, post: str) -> None:
        """Its score changes with every look; it is listed as changed."""
        number = self._ids[post]
        body = {"id": number, "score": next(self._scores), **self._bodies[post]}
        self.server.items[number] = json.dumps(body).encode()
        self.server.changed.append(number)


def _texts(text: str) -> dict[str, Any]:
    title, _, rest = text.partition("\n")
    if rest:
        return {"type": "story", "title": html.escape(title), "text": html.escape(rest)}
    return {"type": "comment", "parent": 7, "title": "", "text": html.escape(text)}
