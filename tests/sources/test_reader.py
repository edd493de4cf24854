"""Reader: what every source leans on: waiting, silence, statuses, bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple
from unittest import mock

import pytest
from aiohttp import WSMsgType

from streams.sources import reader
from streams.sources.contract import Denied, Heard, Limited, Refused, Trouble
from streams.sources.reader import (
    DAY_S,
    MAX_EVENT,
    Backoff,
    Frames,
    Patience,
    Rhythm,
    body,
    check,
    lasting,
    retry_after_s,
)

DATE = "Fri, 27 Nov 2026 08:00:00 GMT"


def test_a_wait_is_as_long_as_the_trouble_asks_for() -> None:
    """Where we are denied, long; where we are asked to wait, never shorter; and after many tries as ever."""
    backoff = Backoff(Patience(first_s=1.0, longest_s=4.0, denied_s=60.0), draw=lambda: 0.0)
    assert 30.0 == backoff.next_s(Denied("no"))
    assert 121.0 == backoff.next_s(Limited("wait", 120.0))
    assert [2.0] * 1100 == [backoff.next_s() for _ in range(1100)]


class Flapping:
    """A source whose connections last so long (s), one after the other."""

    name = "flapping"
    is_pushed = False

    def __init__(self, *lasts_s: float) -> None:
        self._lasts_s = list(lasts_s)

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:  # noqa: ARG002
        """One connection."""
        yield Heard()
        loop = asyncio.get_running_loop()
        until = loop.create_future()
        loop.call_later(self._lasts_s.pop(0), until.set_result, None)
        await until
        raise Trouble("over")


def test_only_a_connection_that_lasted_ends_the_waiting() -> None:
    """A server that lets us in and hangs up at once is asked less and less often."""
    waits: list[float] = []

    class Ear:
        def up(self) -> None: ...
        def down(self, why: str) -> None: ...

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        if len(waits) == 4:
            raise EOFError

    async def heard() -> None:
        patience = Patience(quiet_s=0.03, first_s=1.0, longest_s=60.0)
        with mock.patch.object(asyncio, "sleep", sleep), pytest.raises(EOFError):
            async for _ in lasting(Flapping(0, 0, 0, 0.05), {}, Ear(), patience):
                pass

    asyncio.run(heard())
    assert all(low <= wait <= 2 * low for low, wait in zip((0.5, 1.0, 2.0, 0.5), waits, strict=True)), waits


@pytest.mark.parametrize(("status", "kind", "after_s"), [
    (200, None, None), (304, None, None), (401, Denied, None), (404, Denied, None), (410, Denied, None),
    (429, Limited, 7.0), (503, Limited, 7.0), (500, Trouble, None)])
def test_a_status_is_the_trouble_that_it_means(status: int, kind: type[Trouble] | None, after_s: float | None) -> None:
    """And says whose move it is."""
    if kind is None:
        check(status, {}, "--url")
        return
    with pytest.raises(kind) as raised:
        check(status, {"Retry-After": "7"}, "--url")
    assert type(raised.value) is kind
    assert getattr(raised.value, "after_s", None) == after_s
    assert ("--url" in str(raised.value)) == (kind is Denied)


@pytest.mark.parametrize(("said", "date", "wait_s"), [
    ("9" * 400, DATE, DAY_S), ("-5", DATE, None), ("soon", DATE, None), (DATE, "", None), (DATE, "Fri", None),
    ("Fri, 27 Nov 2026 07:00:00 GMT", DATE, 0.0), ("Fri, 27 Nov 2099 08:00:00 GMT", DATE, DAY_S),
    ("Fri, 27 Nov 2026 08:00:09 -0000", DATE, None)])
def test_how_long_a_server_asks_to_wait_is_believed_within_a_day(said: str, date: str, wait_s: float | None) -> None:
    """By its own clock; what cannot be read asks for nothing."""
    assert wait_s == retry_after_s({"Retry-After": said, "Date": date})


def test_a_body_may_be_as_long_as_it_may_be() -> None:
    """And not a byte longer."""
    class Content:
        async def iter_any(self) -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"ab"

    answer = mock.Mock(content=Content())
    assert (b"ababab", None) == (asyncio.run(body(answer, 6)), asyncio.run(body(answer, 5)))


def test_little_said_is_no_silence_and_what_was_busy_once_need_not_be_now() -> None:
    """Only a source that is busy, and has been for a while, is missed."""
    few, slowed = Rhythm(quiet_s=10.0), Rhythm(quiet_s=10.0)
    for number in range(99):
        few.heard(number / 100)
    assert not few.is_stalled(100.0)
    for number in range(50_000):
        slowed.heard(number / 1000)
    assert slowed.is_stalled(61.0)
    for number in range(5000):
        slowed.heard(50.0 + number)
    assert not slowed.is_stalled(5100.0)


class Message(NamedTuple):
    type: WSMsgType
    data: Any = None


class Socket:
    """Says what it has, and then nothing."""

    def __init__(self, *messages: Message) -> None:
        self.left = list(messages)

    async def receive(self) -> Message:
        if not self.left:
            await asyncio.get_running_loop().create_future()
        return self.left.pop(0)


def told(*data: bytes) -> list[Message]:
    return [Message(WSMsgType.TEXT, one) for one in data]


async def batches(socket: Socket, rhythm: Rhythm | None = None) -> list[bytes | Refused | str]:
    """All of a socket, until it raises `Trouble`: that is last."""
    got: list[Any] = []
    frames = Frames(socket, rhythm or Rhythm(10.0), Patience(beat_s=0.02))
    try:
        async with asyncio.timeout(10), aclosing(frames.batches()) as hearing:  # type: ignore[type-var]
            async for batch in hearing:
                got += batch
    except Trouble as trouble:
        got.append(str(trouble))
    await asyncio.sleep(0)
    assert 1 == len(asyncio.all_tasks())  # nobody reads on
    return got


@pytest.mark.parametrize(("end", "says"), [
    (Message(WSMsgType.CLOSED), "the server closed the connection"),
    (Message(WSMsgType.ERROR, ValueError("a secret")), "the connection broke (ValueError)")])
def test_what_came_before_the_end_is_handed_over(end: Message, says: str) -> None:
    """And then why it ended; a message that is too long is refused in its place."""
    got = asyncio.run(batches(Socket(*told(b"a", b"x" * (MAX_EVENT + 1), b"b" * MAX_EVENT), end)))
    assert [b"a", b"b" * MAX_EVENT, says] == [one for one in got if not isinstance(one, Refused)]
    assert isinstance(got[1], Refused)


def test_a_busy_socket_that_falls_silent_has_ended() -> None:
    """Its connection may live on for hours."""
    rhythm = Rhythm(quiet_s=0.1)
    for number in range(200):
        rhythm.heard(number / 1000)
    assert ["silent for more than 0 s"] == asyncio.run(batches(Socket(), rhythm))


def test_no_more_is_read_than_may_wait() -> None:
    """Whoever does not ask is not read for; who asks again gets all."""
    async def read() -> tuple[int, int]:
        socket = Socket(*told(*[b"x" * 100] * 50))
        with mock.patch.object(reader, "MAX_WAITING", 450):
            async with aclosing(Frames(socket, Rhythm(10.0), Patience(beat_s=0.02)).batches()) as hearing:  # type: ignore[type-var]
                count = len(await anext(hearing))
                for _ in range(100):
                    await asyncio.sleep(0)
                waiting = 50 - len(socket.left) - count
                while count < 50:
                    count += len(await anext(hearing))
        return waiting, count

    assert (5, 50) == asyncio.run(asyncio.wait_for(read(), 10))
