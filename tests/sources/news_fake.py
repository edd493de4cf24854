"""A fake publisher on this machine's loopback: one feed per path, as RSS 2.0, Atom or JSON Feed, with validators."""

import asyncio
import hashlib
import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from streams.sources.news import part_of
from streams.sources.news_reader import News, Options
from streams.sources.reader import Patience
from tests.sources.scenarios import (
    Again,
    Drop,
    Edit,
    Fail,
    Freeze,
    Garbage,
    Lose,
    Restart,
    Rewind,
    Say,
    Step,
    Swap,
)
from tests.sources.site import Site

EVERY_MS = 30
LINK = "https://koran.example/"
GARBAGE = {
    "not_json": b'{"version": "https://jsonfeed.org/version/1.1", "items": [',
    "wrong_type": b"<html><body><h1>Maaf</h1></body></html>",
    "not_utf8": b"\xff\xfe\xff rusak \xc3\x28",
    "deep": b"<rss><channel>" + b"<a>" * 5_000,
    "huge": b"<rss>" + b"k" * 10_000_001,
}


class Article(NamedTuple):
    """What stands in a feed."""

    id: str
    title: str
    body: str = ""
    author: str = ""
    updated: str = ""


def rss(articles: list[Article]) -> bytes:
    """RSS 2.0: title and description are HTML, in XML."""
    items = "".join(
        f"<item><guid isPermaLink='false'>{one.id}</guid><title>{_twice(one.title)}</title><link>{LINK}{one.id}</link>"
        + (f"<description>{_twice(one.body)}</description>" if one.body else "")
        + (f"<author>redaksi@koran.example ({one.author})</author>" if one.author else "") + "</item>"
        for one in articles)
    return (f"<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>Koran</title>"
            f"<language>id</language>{items}</channel></rss>").encode()


def atom(articles: list[Article]) -> bytes:
    """Atom: the title is plain, the summary HTML."""
    entries = "".join(
        f"<entry><id>{one.id}</id><title>{html.escape(one.title)}</title><link href='{LINK}{one.id}'/>"
        + (f"<summary type='html'>{_twice(one.body)}</summary>" if one.body else "")
        + (f"<author><name>{one.author}</name></author>" if one.author else "")
        + (f"<updated>{one.updated}</updated>" if one.updated else "") + "</entry>"
        for one in articles)
    return (f"<feed xmlns='http://www.w3.org/2005/Atom' xml:lang='id'><title>Koran</title><id>k</id>{entries}"
            f"</feed>").encode()


def json_feed(articles: list[Article]) -> bytes:
    """JSON Feed 1.1."""
    items: list[dict[str, Any]] = [
        {"id": one.id, "title": one.title, "content_html": html.escape(one.body), "url": LINK + one.id,
         **({"authors": [{"name": one.author}]} if one.author else {}),
         **({"date_modified": one.updated} if one.updated else {})}
        for one in articles]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Koran", "language": "id",
                       "items": items}).encode()


def _twice(text: str) -> str:
    return html.escape(html.escape(text))


Form = Callable[[list[Article]], bytes]
FORMS: dict[str, Form] = {"rss": rss, "atom": atom, "json": json_feed}
TYPES = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}


@dataclass
class Shelf:
    """One feed of the publisher."""

    form: str = "rss"
    articles: list[Article] = field(default_factory=list)
    instead: list[bytes] = field(default_factory=list)  # the next documents
    answers: list[web.Response] = field(default_factory=list)  # the next answers
    status: int = 200  # of every answer
    has_etag: bool = True
    polls: int = 0  # that went well
    unchanged: int = 0  # of them, answered by 304
    asked: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)


class Publisher:
    """The server: a shelf for each path."""

    def __init__(self, **shelves: Shelf) -> None:
        self.shelves = shelves
        self.address = ""
        self._open: set[Any] = set()
        self._frozen: set[Any] = set()
        self._site = Site()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{name}", self._answer)
        await self._site.open(app)
        self.address = f"http://127.0.0.1:{self._site.port}"

    async def stop(self) -> None:
        self.drop()
        await self._site.close()

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

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
        shelf = self.shelves[request.match_info["name"]]
        shelf.asked += 1
        shelf.headers.append(dict(request.headers))
        if shelf.answers:
            return shelf.answers.pop(0)
        if shelf.status != 200:
            return web.Response(status=shelf.status)
        if shelf.instead:
            return web.Response(body=shelf.instead.pop(0), content_type=TYPES[shelf.form])
        shelf.polls += 1
        body = FORMS[shelf.form](shelf.articles)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if shelf.has_etag and request.headers.get("If-None-Match") == etag:
            shelf.unchanged += 1
            return web.Response(status=304)
        headers = {"ETag": etag, "Last-Modified": "Wed, 25 Nov 2026 06:00:00 GMT"} if shelf.has_etag else {}
        return web.Response(body=body, content_type=TYPES[shelf.form], headers=headers)


class NewsStage:
    """One feed; of a text the first line is the title. What stands in it is what people last said, newest first."""

    can = frozenset({Say, Edit, Garbage, Drop, Freeze, Fail, Again, Swap, Lose, Restart, Rewind})

    def __init__(self, form: str) -> None:
        self.shelf = Shelf(form)
        self.publisher = Publisher(koran=self.shelf)

    async def start(self) -> None:
        await self.publisher.start()

    async def stop(self) -> None:
        await self.publisher.stop()

    def source(self, patience: Patience) -> News:
        return News("news", Options((self.publisher.url("koran"),), EVERY_MS), patience)

    def native(self, post: str) -> str:
        return f"{part_of(self.publisher.url('koran'))}/urn:{post}"

    def author(self, author: str) -> str:
        return f"{part_of(self.publisher.url('koran'))}/{author}"

    def connections(self) -> int:
        return self.shelf.polls

    async def perform(self, step: Step) -> None:
        shelf = self.shelf
        match step:
            case Say():
                self._say(step)
            case Edit(post, text):
                shelf.articles = [_article(post, one.author, text) if one.id == f"urn:{post}" else one
                                  for one in shelf.articles]
            case Swap(first, Say() as second):
                self._say(second)
                self._say(first)
            case Garbage(kind):
                shelf.instead.append(GARBAGE[kind])
            case Again(events):
                shelf.instead.append(FORMS[shelf.form](shelf.articles[:events] * 2))
            case Drop():
                self.publisher.drop()
            case Freeze():
                self.publisher.freeze()
            case Fail(status, times):
                shelf.answers += [web.Response(status=status) for _ in range(times)]
            case Lose():  # it came and went while the server was ill
                shelf.status = 500
                asked = shelf.asked
                await asyncio.sleep(4 * EVERY_MS / 1000)
                while shelf.asked == asked:
                    await asyncio.sleep(0.01)
                shelf.status = 200

    def _say(self, say: Say) -> None:
        self.shelf.articles = [_article(say.post, say.author, say.text), *self.shelf.articles]


def _article(name: str, author: str, text: str) -> Article:
    title, _, body = text.partition("\n")
    return Article(f"urn:{name}", title, body, author)
