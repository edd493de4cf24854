"""A new source is small: one of about a hundred lines passes every scenario, on a server of its own kind."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.contract import AuthorGone, Gone, Refused, Said, Source
from streams.sources.reader import Patience
from tests.sources import lines
from tests.sources.lines import Lines, decoded
from tests.sources.scenarios import (
    SCENARIOS,
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
    Scenario,
    Step,
    Swap,
)
from tests.sources.site import Site
from tests.sources.stage import performed

BEAT_S = 0.05


class Listener:
    """A connection."""

    is_frozen = is_over = False


class LinesStage:
    """Its server: a log of lines, and whoever listens to it."""

    can = frozenset({Say, Edit, Remove, RemoveAuthor, Garbage, Drop, Freeze, Fail, Again, Swap, Lose, Restart, Rewind})

    def __init__(self) -> None:
        self._log: list[tuple[int, bytes]] = []
        self._seq, self._floor, self._served = 0, 0, 0
        self._authors: dict[str, str] = {}
        self._failing: list[int] = []
        self._open: set[Listener] = set()
        self._site = Site()

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([web.get("/stream", self._answer)])
        await self._site.open(app)

    async def stop(self) -> None:
        self._hang_up()
        await self._site.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._failing:
            return web.Response(status=self._failing.pop(0))
        after = int(request.query.get("after", self._seq))
        if after < self._floor:
            return web.Response(status=410)
        answer = web.StreamResponse()
        await answer.prepare(request)
        self._served += 1
        at = next((n for n, (seq, _) in enumerate(self._log) if seq > after), len(self._log))
        self._open.add(listener := Listener())
        while not listener.is_over:
            if not listener.is_frozen:
                news, at = self._log[at:], len(self._log)
                await answer.write(b"".join(line + b"\n" for _, line in news) + b"\n")
            await asyncio.sleep(BEAT_S)
        return answer

    def source(self, patience: Patience) -> Source:
        return Lines("lines", f"http://127.0.0.1:{self._site.port}", patience)

    def native(self, post: str) -> str:
        return f"post-{post}"

    def author(self, author: str) -> str:
        return f"author-{author}"

    def connections(self) -> int:
        return self._served

    async def perform(self, step: Step) -> None:
        match step:
            case Swap(first, second):
                await self.perform(second)
                await self.perform(first)
            case Garbage(kind):
                self._add(raw=_garbage(kind))
            case Again(events):
                self._log += self._log[-events:]
            case Freeze():
                for listener in self._open:
                    listener.is_frozen = True
            case Drop():
                self._hang_up()
            case Fail(status, times):
                self._failing = [status] * times
                self._hang_up()
            case Lose(lost):
                self._hang_up()
                await self.perform(lost)
                self._log, self._floor = [], self._seq
            case _:
                self._talk(step)

    def _hang_up(self) -> None:
        for listener in self._open:
            listener.is_over = True

    def _talk(self, step: Step) -> None:
        match step:
            case Say(post, author, text):
                self._authors[post] = author
                self._add(post=self._post(post, text, 0))
            case Edit(post, text):
                self._add(post=self._post(post, text, self._seq))
            case Remove(post):
                self._add(gone=self.native(post))
            case RemoveAuthor(author):
                self._add(left=self.author(author))

    def _post(self, post: str, text: str, rev: int) -> dict[str, Any]:
        return {"id": self.native(post), "text": text, "by": self.author(self._authors[post]), "rev": rev}

    def _add(self, raw: bytes = b"", **what: Any) -> None:
        self._seq += 1
        line = raw or json.dumps({"seq": self._seq, "at": int(time.time() * 1000), **what}).encode()
        self._log.append((self._seq, line))


def _garbage(kind: str) -> bytes:
    return {
        "not_json": b'{"seq": 1,', "wrong_type": b'{"seq": "x", "at": 1}', "bad_time": b'{"seq": 1, "at": 1}',
        "not_utf8": b'{"seq": 1, "at": 1795586400000, "gone": "\xff"}', "deep": b"[" * 100_000,
        "huge": b'{"gone": "' + b"x" * 10_000_000 + b'"}'}[kind]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    """What must be known in the end is known."""
    performed(LinesStage(), scenario)


def test_it_is_small() -> None:
    """Decoder and reader together, words and all: what is hard is in `reader`, the door and the feed."""
    assert len(Path(lines.__file__).read_text().splitlines()) < 150


@given(st.binary(max_size=300))
def test_any_bytes_are_a_happening_or_refused(data: bytes) -> None:
    """Nothing is raised."""
    assert isinstance(decoded(data).happening, Said | Gone | AuthorGone | Refused | None)
