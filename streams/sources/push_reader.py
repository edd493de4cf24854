"""Push reader: the HTTP server to which posts are pushed.

    POST /v1/posts      202 once all of it is delivered, with what was refused; 400, 401, 413, 415 say why it never will
                        be; 503 with Retry-After: send it again, we are busy, ending, or could not deliver it
    GET /healthz        200 while we listen

A sender sends until it is answered 202: at least once. What was answered 202 is safe in the log. The same request sent
again (same signature) is not handed on again: it gets the answer of the first, or waits for it. At most `in_hand`
requests are in hand, not yet delivered, at a time: a slow log makes senders wait, and not our memory grow. A request
that stops half-way is given up. TLS is the affair of what stands in front: a signature proves a sender, and hides
nothing.
Which bytes mean what is told by `streams.sources.push`; who may push, by `streams.sources.push_keys`.
Knows nothing of Kafka or brands.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streams.heart.errors import BadSetting, Reason
from streams.sources.contract import Happening, Heard, Refused
from streams.sources.push import MAX_BODY, Decoder, Shape, shape_of
from streams.sources.push_keys import Keys, Memory, Stranger
from streams.sources.reader import Patience, wall_ms

POSTS, HEALTH = "/v1/posts", "/healthz"
RETRY_S = 5  # when to come back after a 503
ASIDE_MS = 60_000  # between two log lines about requests that were not let in
log = logging.getLogger("denyut.source")


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen, and whom to let in. Raises `BadSetting`.

    >>> Options(keys=Path("keys.toml"), listen="[::1]:8181").address
    ('::1', 8181)
    """

    keys: Path
    listen: str = "127.0.0.1:8181"
    in_hand: int = 16  # requests that are read, and not yet delivered
    answer_s: float = 30.0  # how long a sender waits for its answer

    def __post_init__(self) -> None:
        if not 1 <= self.in_hand <= 10_000:
            raise BadSetting(f"--in-hand {self.in_hand}: expected 1 to 10000")
        _address(self.listen)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. No host: all of this machine's."""
        return _address(self.listen)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port[:6]) < 65_536):
        raise BadSetting(f"--listen {listen}: expected HOST:PORT, such as 127.0.0.1:8181 or :8181")
    return host.removeprefix("[").removesuffix("]"), int(port)


class KeyFile:
    """The keys of a file, read again when it has changed. One that cannot be read leaves the keys as they were."""

    def __init__(self, path: Path) -> None:
        """Raises `BadSetting`."""
        self._path = path
        self._mark = self._marked()
        self._keys = self._read()

    def now(self) -> Keys:
        """The keys that hold now."""
        mark = self._marked()
        if mark != self._mark:
            self._mark = mark
            try:
                self._keys = self._read()
                log.info("--keys %s: read again, %d keys", self._path, len(self._keys))
            except BadSetting as error:
                log.warning("%s; the keys stay as they were", error)
        return self._keys

    def _marked(self) -> tuple[int, ...]:
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Keys:
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "no UTF-8"
            raise BadSetting(f"--keys {self._path}: cannot be read ({why})") from None
        return Keys.read(text, str(self._path))


class Push:
    """The source: a server that hands over what is pushed to it."""

    is_pushed = True

    def __init__(self, name: str, options: Options, patience: Patience | None = None,
                 now_ms: Callable[[], int] = wall_ms) -> None:
        """Raises `BadSetting` for a keys file that cannot be."""
        self.name = name
        self._options = options
        self._patience = patience or Patience()
        self._now_ms = now_ms
        self._keys = KeyFile(options.keys)
        self._memory = Memory()  # outlives a connection

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:  # noqa: ARG002 - it is the sender who remembers
        """Listens until it is closed; requests in hand are then answered 503. Raises `BadSetting` where it cannot."""
        desk = Desk(self._options, self._patience, self._now_ms, self._keys, self._memory)
        async with _listening(desk, self._options, self._patience):
            yield Heard(until_ms=self._now_ms())
            while True:
                errand = await desk.next_errand(self._patience.beat_s)
                if errand is None:
                    yield Heard(until_ms=self._now_ms())
                else:
                    yield Heard(errand.happenings, until_ms=errand.came_ms, receipt=errand.receipt)


class Errand:
    """What one request asks to be delivered, and whether it was."""

    def __init__(self, happenings: tuple[Happening, ...], came_ms: int) -> None:
        self.happenings = happenings
        self.came_ms = came_ms
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[bool] = self._loop.create_future()

    def receipt(self, delivered: bool) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            self._loop.call_soon_threadsafe(self.settle, delivered)

    def settle(self, delivered: bool) -> None:
        """The first word stands."""
        if not self.outcome.done():
            self.outcome.set_result(delivered)


class _Told(Exception):
    """Ends the reading of a request with an answer."""

    def __init__(self, status: int, said: dict[str, Any], **headers: str) -> None:
        super().__init__(status)
        self.status, self.said, self.headers = status, said, headers


def _later(why: str) -> _Told:
    return _Told(503, {"error": why}, **{"Retry-After": str(RETRY_S)})


class Desk:
    """Where requests come in: reads them, hands them over, and answers."""

    def __init__(self, options: Options, patience: Patience, now_ms: Callable[[], int], keys: KeyFile,
                 memory: Memory) -> None:
        self._options = options
        self._patience = patience
        self._now_ms = now_ms
        self._keys = keys
        self._memory = memory
        self._inbox: asyncio.Queue[Errand | Exception] = asyncio.Queue()  # bounded by what may be in hand
        self._reading: set[asyncio.Task[bytes]] = set()
        self._open: dict[bytes, Errand] = {}  # by signature
        self._refusals: set[Errand] = set()
        self._again = 0  # requests that wait for the answer of an earlier one, each with its body
        self._is_closing = False
        self._aside_ms: int | None = None

    async def next_errand(self, wait_s: float) -> Errand | None:
        """The next in the order in which they came; None when there is none for so long. Raises what we did wrong."""
        try:
            async with asyncio.timeout(wait_s):
                errand = await self._inbox.get()
        except TimeoutError:
            return None
        if isinstance(errand, Exception):
            raise errand
        return errand

    def close(self) -> None:
        """Whoever waits is answered: not delivered."""
        self._is_closing = True
        for task in self._reading:
            task.cancel()
        for errand in (*self._open.values(), *self._refusals):
            errand.settle(False)

    async def answer(self, request: Any) -> Any:
        """The answer to any request."""
        from aiohttp import web

        try:
            told = await self._told(request)
        except _Told as early:
            told = early
        except Exception as error:  # our own mistake: the source ends with it, loudly
            self._inbox.put_nowait(error)
            told = _later("an error of ours")
        body = msgspec.json.encode(told.said) + b"\n"
        return web.Response(status=told.status, body=body, content_type="application/json", headers=told.headers)

    async def _told(self, request: Any) -> _Told:
        allowed = {POSTS: ("POST",), HEALTH: ("GET", "HEAD")}.get(request.path)
        if allowed is None:
            return _Told(404, {"error": f"expected {POSTS} or {HEALTH}"})
        if request.method not in allowed:
            return _Told(405, {"error": f"expected {' or '.join(allowed)}"}, Allow=", ".join(allowed))
        if request.path == HEALTH:
            return _Told(200, {"listening": True})
        shape = shape_of(request.headers.get("Content-Type", ""))
        if shape is None or request.headers.get("Content-Encoding", "identity") != "identity":
            return _Told(415, {"error": "expected application/cloudevents-batch+json, application/cloudevents+json or "
                                        "application/json, in UTF-8, not compressed"})
        try:
            return await self._posted(request, shape)
        except Stranger as stranger:
            self._note(stranger)
            return _Told(401, {"error": str(stranger)})

    async def _posted(self, request: Any, shape: Shape) -> _Told:
        claim = self._keys.now().claim(request.headers, self._now_ms())
        if len(self._reading) + len(self._open) + len(self._refusals) + self._again >= self._options.in_hand:
            return _later("too many requests at a time")
        body = await self._body(request)
        key, signature = claim.proven(body)
        decoded = Decoder(key.sender).decode(body, shape)
        if isinstance(decoded, Refused):
            self._refuse(decoded)
            status = 413 if decoded.reason is Reason.TOO_LARGE else 400
            return _Told(status, {"error": str(decoded.reason), "detail": decoded.detail})
        if decoded and not self._memory.has(signature, self._now_ms()):
            await self._delivered(signature, tuple(decoded))
        refused = [{"index": index, "reason": one.reason, "detail": one.detail}
                   for index, one in enumerate(decoded) if isinstance(one, Refused)]
        return _Told(202, {"accepted": len(decoded) - len(refused), "refused": refused})

    async def _body(self, request: Any) -> bytes:
        """All of a body. It may take as long as an answer, but never stop for longer than a connection may take."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if self._is_closing:
            raise _later("we are ending")
        task = asyncio.create_task(_whole(request, self._patience.connect_s, self._options.answer_s))
        self._reading.add(task)
        try:
            await asyncio.wait({task})
        finally:
            self._reading.discard(task)
            task.cancel()
        if task.cancelled():
            raise _later("we are ending")
        try:
            return task.result()
        except _Told as told:
            if told.status == 413:
                self._refuse(Refused(Reason.TOO_LARGE, f"more than {MAX_BODY} bytes"))
            raise

    async def _delivered(self, signature: bytes, happenings: tuple[Happening, ...]) -> None:
        """Returns once all are; raises the answer where they are not."""
        errand = self._open.get(signature)
        if errand is None:
            if self._is_closing:
                raise _later("we are ending")
            errand = self._open[signature] = Errand(happenings, self._now_ms())
            errand.outcome.add_done_callback(lambda outcome: self._closed(signature, outcome.result()))
            self._inbox.put_nowait(errand)
            await asyncio.wait({errand.outcome}, timeout=self._options.answer_s)
        else:
            self._again += 1
            try:
                await asyncio.wait({errand.outcome}, timeout=self._options.answer_s)
            finally:
                self._again -= 1
        if not (errand.outcome.done() and errand.outcome.result()):
            raise _later("not delivered")

    def _closed(self, signature: bytes, delivered: bool) -> None:
        del self._open[signature]
        if delivered:
            self._memory.add(signature, self._now_ms())

    def _refuse(self, refused: Refused) -> None:
        """Tells of a request that is none. Its sender need not wait for that."""
        if self._is_closing:
            return
        errand = Errand((refused,), self._now_ms())
        self._refusals.add(errand)
        errand.outcome.add_done_callback(lambda _: self._refusals.discard(errand))
        self._inbox.put_nowait(errand)

    def _note(self, stranger: Stranger) -> None:
        now_ms = self._now_ms()
        if self._aside_ms is None or now_ms - self._aside_ms >= ASIDE_MS:
            self._aside_ms = now_ms
            log.warning("a request was not let in: %s", stranger)


async def _whole(request: Any, pause_s: float, limit_s: float) -> bytes:
    from aiohttp import ClientError, http_exceptions

    body, promised = bytearray(), request.content_length or 0
    try:
        async with asyncio.timeout(limit_s):
            while not request.content.at_eof():
                if max(len(body), promised) > MAX_BODY:
                    raise _Told(413, {"error": str(Reason.TOO_LARGE), "detail": f"more than {MAX_BODY} bytes"})
                async with asyncio.timeout(pause_s):
                    body += await request.content.readany()
    except TimeoutError:
        raise _Told(408, {"error": "the request stopped half-way"}) from None
    except (ClientError, OSError, http_exceptions.HttpProcessingError):
        raise _Told(400, {"error": "the request broke off"}) from None
    return bytes(body)


@asynccontextmanager
async def _listening(desk: Desk, options: Options, patience: Patience) -> AsyncIterator[None]:
    from aiohttp import web

    class Request(web.BaseRequest):
        """Any request, also one that is no HTTP."""

        async def _prepare_hook(self, response: web.StreamResponse) -> None:
            response.headers["Server"] = "denyut"  # and no versions

    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return Request(message, payload, protocol, writer, task, asyncio.get_running_loop())

    server = web.Server(
        desk.answer, request_factory=request, access_log=None, auto_decompress=False,
        keepalive_timeout=6 * patience.connect_s, lingering_time=patience.connect_s,
        logger=logging.Logger("silent", logging.CRITICAL + 1),  # aiohttp's lines quote what was sent
    )
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    host, port = options.address
    try:
        try:
            await web.TCPSite(runner, host or None, port).start()
        except OSError as error:
            raise BadSetting(f"--listen {options.listen}: cannot listen ({os.strerror(error.errno or 0)})") from None
        yield
    finally:
        await asyncio.sleep(0)  # receipts that were given just now still count
        desk.close()
        await runner.cleanup()
