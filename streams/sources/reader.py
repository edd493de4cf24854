"""What readers share: waiting between connections, silence that is too long, and what a status means.

Knows nothing of what any source sends.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

from streams.heart.errors import Reason
from streams.sources.contract import Denied, Heard, Limited, Refused, Source, Trouble

AGENT = "denyut (+https://denyut.example)"
MAX_FRAME = 16_000_000  # bytes; above it a connection is not worth having
MAX_EVENT = 1_000_000  # bytes of one event; a longer one is refused unread
BATCH = 512
MAX_WAITING = 32_000_000  # bytes of a WebSocket that are read and not yet asked for
DAY_S = 86_400.0
DENIALS = {401: "wrong or expired", 403: "not allowed", 404: "not there", 410: "gone for good"}
log = logging.getLogger("denyut.source")


class Patience(NamedTuple):
    """How long a reader waits, seconds."""

    connect_s: float = 10.0
    quiet_s: float = 10.0  # a busy source that says nothing for so long has stopped
    first_s: float = 0.5  # before the second try
    longest_s: float = 60.0
    denied_s: float = 60.0
    beat_s: float = 1.0  # a sign of life at least so often


class Backoff:
    """How long to wait before the next try: up to twice as long as the time before, at random between half and all.

    >>> backoff = Backoff(Patience(first_s=1.0, longest_s=4.0), draw=lambda: 1.0)
    >>> [backoff.next_s() for _ in range(4)]
    [1.0, 2.0, 4.0, 4.0]
    >>> backoff.reset(); backoff.next_s()
    1.0
    """

    def __init__(self, patience: Patience, draw: Callable[[], float] = random.random) -> None:
        self._patience = patience
        self._draw = draw
        self._tries = 0

    def reset(self) -> None:
        """It went well."""
        self._tries = 0

    def next_s(self, trouble: Trouble | None = None) -> float:
        """Seconds to wait after one more trouble."""
        patience = self._patience
        wait_s: float = min(patience.first_s * 2.0**self._tries, patience.longest_s)
        self._tries = min(self._tries + 1, 30)
        if isinstance(trouble, Denied):
            wait_s = patience.denied_s
        jittered = wait_s * (0.5 + self._draw() / 2)
        if isinstance(trouble, Limited) and trouble.after_s is not None:
            jittered += trouble.after_s  # never before the time it asked for, and not all of us at once after it
        return jittered


class Rhythm:
    """Whether a source's silence means that it has stopped: it is busy, and says nothing for too long.

    Where fewer than five events a second come, silence says little: the connection's own heartbeat must do.

    >>> rhythm = Rhythm(quiet_s=10.0)
    >>> for tenth in range(1000): rhythm.heard(tenth / 10)
    >>> rhythm.is_stalled(105.0), rhythm.is_stalled(111.0)
    (False, True)
    """

    BUSY_S = 0.2  # mean time between events, at most

    def __init__(self, quiet_s: float) -> None:
        self.quiet_s = quiet_s
        self._mean_s = float("inf")
        self._last_s: float | None = None
        self._count = 0

    def heard(self, now_s: float, events: int = 1) -> None:
        """So many events just came."""
        if self._last_s is not None and events:
            between_s = (now_s - self._last_s) / events
            self._count += events
            share = min(1.0, events / min(self._count, 1000))
            self._mean_s = between_s if self._count <= events else self._mean_s + share * (between_s - self._mean_s)
        self._last_s = now_s

    def is_stalled(self, now_s: float) -> bool:
        """Whether it must have stopped."""
        busy = self._count >= 100 and self._mean_s <= self.BUSY_S
        return busy and self._last_s is not None and now_s - self._last_s > self.quiet_s


class Ear(Protocol):
    """Who wants to know how listening goes."""

    def up(self) -> None:
        """There is a connection, and it works."""

    def down(self, why: str) -> None:
        """There is none. `why` is a line for a person."""


async def lasting(source: Source, positions: Mapping[str, str], ear: Ear,
                  patience: Patience | None = None) -> AsyncIterator[Heard]:
    """All that a source hears, over as many connections as it takes; each goes on where the one before ended.

    Ends only when it is closed. What is no `Trouble`, nor of the network, is raised.
    """
    import aiohttp

    patience = patience or Patience()
    backoff, at, loop = Backoff(patience), dict(positions), asyncio.get_running_loop()
    while True:
        trouble, began_s = Trouble("the connection ended"), loop.time()
        try:
            async with aclosing(source.hear(dict(at))) as hearing:  # type: ignore[type-var]  # generators all
                async for heard in hearing:
                    at.update(heard.positions)
                    ear.up()
                    yield heard
        except Trouble as error:
            trouble = error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble = Trouble(plainly(error))
        if loop.time() - began_s >= patience.quiet_s:  # a server that lets us in and hangs up at once is not well
            backoff.reset()
        wait_s = backoff.next_s(trouble)
        ear.down(f"{source.name}: {trouble}")
        await asyncio.sleep(wait_s)


def plainly(error: Exception) -> str:
    """What broke, without what was sent: the library's own words may quote an address, or a server's headers.

    >>> plainly(ConnectionRefusedError(111, "Connection refused")), plainly(TimeoutError())
    ('ConnectionRefusedError (Connection refused)', 'TimeoutError')
    """
    why = getattr(error, "os_error", error)
    said = why.strerror if isinstance(why, OSError) and why.strerror else ""
    return f"{type(error).__name__} ({said})" if said else type(error).__name__


@asynccontextmanager
async def session(patience: Patience, **more: Any) -> AsyncIterator[Any]:
    """An HTTP client: says who we are, and never waits for a connection, or for a byte of an answer, for ever."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=30.0)
    headers = {"User-Agent": AGENT, **more.pop("headers", {})}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, **more) as client:
        yield client


def check(status: int, headers: Mapping[str, str], blame: str) -> None:
    """Raises the `Trouble` that an HTTP status means; `blame`: what to look at where it is the user's move."""
    if status < 400:
        return
    if status in DENIALS:
        raise Denied(f"{status}, {DENIALS[status]}: look at {blame}")
    if status in (429, 503):
        raise Limited(f"{status}: the server asks to wait", retry_after_s(headers))
    raise Trouble(f"{status} from the server")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """For how long a server asks to wait, in seconds or until a time of its own clock; a day at most.

    >>> retry_after_s({"Retry-After": "120"}), retry_after_s({})
    (120.0, None)
    >>> retry_after_s({"Retry-After": "Fri, 27 Nov 2026 08:01:00 GMT", "Date": "Fri, 27 Nov 2026 08:00:00 GMT"})
    60.0
    """
    said = headers.get("Retry-After", "")
    try:
        if said.isdecimal():
            return min(float(said), DAY_S)
        until, now = (parsedate_to_datetime(one) for one in (said, headers.get("Date", "")))
        return min(max((until - now).total_seconds(), 0.0), DAY_S)
    except (ValueError, TypeError, OverflowError):
        return None


def wall_ms() -> int:
    """The time of day, ms UTC: the clock of a reader that is given no other."""
    return time.time_ns() // 1_000_000


async def body(answer: Any, most: int) -> bytes | None:
    """The body of an answer; None where it has more than so many bytes, of which no more is read."""
    read = bytearray()
    async for piece in answer.content.iter_any():
        read += piece
        if len(read) > most:
            return None
    return bytes(read)


class Frames:
    """The messages of a WebSocket, in batches. A message that is too long is a `Refused` in its place.

    The socket was opened with `decode_text=False` and `max_msg_size=MAX_FRAME`: text that is no UTF-8 is the decoder's
    affair, and a long message no reason to hang up.
    """

    def __init__(self, socket: Any, rhythm: Rhythm, patience: Patience) -> None:
        self._socket = socket
        self._rhythm = rhythm
        self._patience = patience
        self._inbox: asyncio.Queue[bytes | Refused | Trouble] = asyncio.Queue(4 * BATCH)
        self._bytes = 0  # in it
        self._has_room = asyncio.Event()

    async def _in(self, one: bytes | Refused) -> None:
        """Puts a message in, and waits while too much waits already: then nothing more is read from the wire."""
        self._bytes += len(one) if isinstance(one, bytes) else 0
        await self._inbox.put(one)
        while self._bytes > MAX_WAITING:
            self._has_room.clear()
            await self._has_room.wait()

    def _out(self, one: bytes | Refused) -> bytes | Refused:
        self._bytes -= len(one) if isinstance(one, bytes) else 0
        self._has_room.set()
        return one

    async def batches(self) -> AsyncIterator[list[bytes | Refused]]:
        """Batches of messages as they come; an empty one at least every `beat_s`. Raises `Trouble` at the end."""
        loop = asyncio.get_running_loop()
        inbox = self._inbox
        pump = asyncio.create_task(self._pump(inbox))
        try:
            self._rhythm.heard(loop.time(), 0)
            while True:
                batch: list[bytes | Refused] = []
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience.beat_s):
                        first = await inbox.get()
                        if isinstance(first, Trouble):
                            raise first
                        batch.append(self._out(first))
                while len(batch) < BATCH and not inbox.empty():
                    one = inbox.get_nowait()
                    if isinstance(one, Trouble):
                        if batch:
                            yield batch
                        raise one
                    batch.append(self._out(one))
                if batch:
                    self._rhythm.heard(loop.time(), len(batch))
                elif self._rhythm.is_stalled(loop.time()):
                    raise Trouble(f"silent for more than {self._rhythm.quiet_s:.0f} s")
                yield batch
        finally:
            pump.cancel()

    async def _pump(self, inbox: "asyncio.Queue[bytes | Refused | Trouble]") -> None:
        from aiohttp import WSMsgType

        try:
            while True:
                message = await self._socket.receive()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._in(_fit(message.data))
                elif message.type is WSMsgType.ERROR:
                    raise Trouble(f"the connection broke ({type(message.data).__name__})")
                elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                    raise Trouble("the server closed the connection")
        except Trouble as trouble:
            await inbox.put(trouble)
        except Exception as error:  # whatever it is, the reader must hear of it
            await inbox.put(Trouble(plainly(error)))


def _fit(data: bytes) -> bytes | Refused:
    return data if len(data) <= MAX_EVENT else Refused(Reason.TOO_LARGE, f"{len(data)} bytes")
