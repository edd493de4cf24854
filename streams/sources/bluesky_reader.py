"""Bluesky's reader: one connection to a Jetstream server, and how it joins the one before.

    Place ──cursor──▶ server ──messages──▶ Course ──▶ Heard
                                             └─ Joint: has the last event come again?

A cursor is inclusive on both wires, so the last event that was heard must come again; from another server or wire, by
its clock, one that is no later. It is the only proof that the server still has all that followed: v1 clamps a cursor
that is too old without a word, and either wire starts at the present where looking back is switched off. Until the
proof has come no position is given away; if it takes too long, a gap is told. v1 is asked for 5 s more, because its
order is not kept where a replay ends (live events overtake the rest of it), and another server for a minute more,
because each has its own clock.
Old servers of v1 may drop an event at that same place (jetstream-legacy#42); nothing on the wire tells.
Knows nothing of what a message means.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from streams.heart.errors import BadSetting, BrokenPromise, Reason
from streams.sources.bluesky import FUTURE, OTHER, OUTDATED, POSTS, SOURCE, Decoder, Options, Told, Wire
from streams.sources.contract import Denied, Gap, Happening, Heard, Refused, Trouble
from streams.sources.reader import MAX_EVENT, MAX_FRAME, Frames, Patience, Rhythm, body, check, session, wall_ms

SUBPROTOCOL = "xrpc.v1.json"
BACK_US = 5_000_000  # how far v1 may be out of order
ELSEWHERE_US = 60_000_000  # how far two servers' clocks may differ
LOOK_BACK_MS = 36 * 3_600_000  # what public servers keep
START = 3  # times `quiet_s`: so long may a server take to begin with a replay
CLOSE_S = 1.0
MAX_ANSWER = 65_536


class Place(msgspec.Struct, frozen=True, gc=False):
    """A position: the last event that was heard, and of whom. `at` 0: none yet, but somebody listened since `us`."""

    host: str
    wire: Wire
    at: int
    us: int  # when the server saw that event, microseconds UTC

    @classmethod
    def read(cls, said: str | None) -> Self | None:
        """A position as it was kept."""
        if not said:
            return None
        try:
            return msgspec.json.decode(said, type=cls)
        except msgspec.DecodeError:
            raise BrokenPromise("a position of Bluesky that we did not write") from None

    def write(self) -> str:
        """As it is kept.

        >>> Place("jetstream.example", Wire.V1, 5, 5).write()
        '{"host":"jetstream.example","wire":"v1","at":5,"us":5}'
        """
        return msgspec.json.encode(self).decode()

    def is_here(self, host: str, wire: Wire) -> bool:
        """Whether `at` means something to this server."""
        return bool(self.at) and (self.host, self.wire) == (host, wire)

    def cursor(self, host: str, wire: Wire) -> int:
        """From where this server is asked to tell. Both wires take microseconds for a time."""
        if self.is_here(host, wire):
            return self.at if wire is Wire.V2 else self.at - BACK_US
        return self.us - BACK_US - (ELSEWHERE_US if self.host != host else 0)


class Joint:
    """Whether a connection goes on where the one before ended.

    >>> joint = Joint(Place("a.example", Wire.V2, 7, 1_000_000), "a.example", Wire.V2, now_ms=5000, quiet_ms=400)
    >>> joint.take(Told(at=9, witness_us=3_000_000)); joint.gap(5100), joint.gap(6200)
    (None, Gap(from_ms=1000, to_ms=3000))
    """

    def __init__(self, since: Place | None, host: str, wire: Wire, now_ms: int, quiet_ms: int) -> None:
        self._since = since
        self._is_here = since is not None and since.is_here(host, wire)
        self._until_ms = now_ms + START * quiet_ms  # so long may the proof take
        self._first_us: int | None = None
        self._has_begun = False
        # Where nothing was heard yet, nothing can come again.
        has_proof = since is not None and since.at > 0
        self._is_lost = since is not None and not has_proof and now_ms - since.us // 1000 > LOOK_BACK_MS
        self.is_settled = not has_proof and not self._is_lost

    def take(self, told: Told) -> None:
        """An event came."""
        self._has_begun = True
        since = self._since
        if self.is_settled or since is None:
            return
        if self._first_us is None or told.witness_us < self._first_us:
            self._first_us = told.witness_us
        # Elsewhere numbers say nothing, so it was asked for more than followed: by its own clock, something before it.
        is_proof = told.at <= since.at if self._is_here else told.witness_us <= since.us
        self.is_settled = is_proof and not self._is_lost

    def lose(self) -> None:
        """The server says, before the first event, that it does not have all."""
        if self._since is not None and not self._has_begun:
            self._is_lost, self.is_settled = True, False

    def gap(self, now_ms: int) -> Gap | None:
        """What is missing, once and as soon as it is certain."""
        since = self._since
        if self.is_settled or since is None:
            return None
        if now_ms < self._until_ms and not (self._is_lost and self._first_us):
            return None
        self.is_settled = True
        from_ms = since.us // 1000
        return Gap(from_ms, max(from_ms, now_ms if self._first_us is None else self._first_us // 1000))


class Course:
    """What one connection tells: positions, claims and gaps along its happenings. Times are arguments."""

    def __init__(self, since: Place | None, host: str, wire: Wire, now_ms: int, quiet_ms: int) -> None:
        self.joint = Joint(since, host, wire, now_ms, quiet_ms)
        self.ending = ""  # why the server says that it hangs up
        self._decode = Decoder(wire).decode
        self._host, self._wire, self._quiet_ms = host, wire, quiet_ms
        self._place = Place(host, wire, 0, now_ms * 1000)
        self._is_new = since is None  # whether the place is still to be given away
        self._live_from_ms = now_ms if since is None else None  # when the replay is over, and its order of no matter
        self._until_ms: int | None = None
        self._last_ms = now_ms  # when the last message came
        self._events, self._first_us = 0, 0

    @property
    def is_busy(self) -> bool | None:
        """Whether much is said, by the server's clock, so that a replay does not count; None: too little is known."""
        if self._events < 100:
            return None
        return self._place.us - self._first_us <= self._events * Rhythm.BUSY_S * 1e6

    def is_deaf(self, now_ms: int) -> bool:
        """Whether not one event has come for too long."""
        return self._events == 0 and now_ms - self._last_ms >= START * self._quiet_ms

    def take(self, batch: Sequence[bytes | Refused], now_ms: int) -> Heard:
        """A batch of messages; an empty one if nothing came."""
        happenings: list[Happening] = []
        for data in batch:
            told = Told(data) if isinstance(data, Refused) else self._decode(data)
            if told.happening is not None:
                happenings.append(told.happening)
            if told.at:
                self._event(told)
            elif told.notice:
                self._notice(told)
        if batch:
            self._last_ms = now_ms
        gap = self.joint.gap(now_ms)
        if not self.joint.is_settled:
            return Heard(tuple(happenings))
        if gap is not None and not self._events:
            self._place, self._is_new = Place(self._host, self._wire, 0, gap.to_ms * 1000), True
        return Heard(tuple(happenings), self._positions(), self._claim(bool(batch), now_ms), gap)

    def _event(self, told: Told) -> None:
        self.joint.take(told)
        self._place, self._is_new = Place(self._host, self._wire, told.at, told.witness_us), True
        self._first_us = self._first_us or told.witness_us
        self._events += 1

    def _notice(self, told: Told) -> None:
        if told.is_last:
            self.ending = "the server ended it" if told.notice == OTHER else "too slow for the server"
        elif told.notice in (OUTDATED, FUTURE):
            self.joint.lose()

    def _positions(self) -> dict[str, str]:
        if not self._is_new:
            return {}
        self._is_new = False
        return {"": self._place.write()}

    def _claim(self, came: bool, now_ms: int) -> int | None:
        """Until when nothing is missing: the last event. Of a connection that has caught up and is quiet, a little ago:
        what the server saw before it answered our last ping would have come before that answer."""
        seen_ms = min(self._place.us // 1000, now_ms) if self._place.at else None
        quiet_since_ms = now_ms - self._quiet_ms
        if self._live_from_ms is None and self._last_ms <= quiet_since_ms:
            self._live_from_ms = now_ms
        if self._live_from_ms is None and seen_ms is not None and seen_ms >= quiet_since_ms:
            self._live_from_ms = now_ms + BACK_US // 1000 * (self._wire is Wire.V1)
        is_live = self._live_from_ms is not None and now_ms >= self._live_from_ms
        if seen_ms is not None and not is_live and self._wire is Wire.V1:
            seen_ms -= BACK_US // 1000
        quiet_ms = quiet_since_ms if is_live and not came else None
        self._until_ms = max((ms for ms in (seen_ms, quiet_ms, self._until_ms) if ms is not None), default=None)
        return self._until_ms


class Unpacker:
    """Reads messages that are compressed with a dictionary."""

    def __init__(self, path: Path) -> None:
        try:
            import zstandard
        except ImportError:
            raise BadSetting("--zstd-dictionary needs `pip install denyut[zstd]`") from None
        try:
            dictionary = zstandard.ZstdCompressionDict(path.read_bytes())
            self._reader = zstandard.ZstdDecompressor(dictionary, max_window_size=2**23)
        except (OSError, zstandard.ZstdError) as error:
            raise BadSetting(f"--zstd-dictionary {path}: cannot be used ({type(error).__name__})") from None
        self._error = zstandard.ZstdError
        self.number = dictionary.dict_id()

    def unpack(self, data: bytes) -> bytes | Refused:
        """One message, never longer than an event may be, whatever its header claims."""
        try:
            with self._reader.stream_reader(data) as stream:
                out: bytes = stream.read(MAX_EVENT + 1)
        except self._error:
            return Refused(Reason.NOT_JSON, "not compressed as agreed")
        return out if len(out) <= MAX_EVENT else Refused(Reason.TOO_LARGE, "unpacked")


class Bluesky:
    """The posts of the whole network, from a Jetstream server."""

    is_pushed = False

    def __init__(self, name: str = SOURCE, options: Options | None = None, patience: Patience | None = None,
                 now_ms: Callable[[], int] = wall_ms) -> None:
        self._name = name
        self._options = options or Options()
        self._patience = patience or Patience()
        self._now_ms = now_ms
        dictionary = self._options.zstd_dictionary
        self._unpacker = Unpacker(dictionary) if dictionary else None
        self._is_busy = False  # whether much was said on the last connection

    @property
    def name(self) -> str:
        return self._name

    async def hear(self, positions: Mapping[str, str]) -> AsyncIterator[Heard]:
        """One connection, until it ends."""
        since = Place.read(positions.get(""))
        async with session(self._patience) as client, self._connected(client, since) as (socket, course):
            frames = Frames(socket, Rhythm(self._patience.quiet_s), self._patience)
            async with aclosing(frames.batches()) as batches:  # type: ignore[type-var]  # a generator
                async for batch in batches:
                    now_ms = self._now_ms()
                    if not batch and self._is_busy and course.is_deaf(now_ms):
                        raise Trouble("the server says nothing, of a network that had much to say")
                    yield course.take(self._unpacked(batch), now_ms)
                    if course.ending:
                        raise Trouble(course.ending)

    def _unpacked(self, batch: list[bytes | Refused]) -> list[bytes | Refused]:
        if self._unpacker is None:
            return batch
        return [one if isinstance(one, Refused) else self._unpacker.unpack(one) for one in batch]

    @asynccontextmanager
    async def _connected(self, client: Any, since: Place | None) -> AsyncIterator[tuple[Any, Course]]:
        """A socket and the course of what it will tell."""
        wires = (Wire.V2, Wire.V1) if self._options.wire is Wire.AUTO else (self._options.wire,)
        is_lost, socket = False, None
        for wire in wires:
            cursor = since.cursor(self._options.host, wire) if since is not None else None
            socket, refusal = await self._knock(client, wire, cursor)
            if refusal == "CursorTooOld":
                is_lost = True
                socket, refusal = await self._knock(client, wire, None)
            if socket is not None:
                break
        if socket is None:
            blame = "--zstd-dictionary" if refusal == "UnknownZstdDictionary" else "--url and --wire"
            raise Denied(f"the server does not know what it was asked ({refusal}): look at {blame}")
        course = self._course(wire, since, is_lost)
        try:
            yield socket, course
        finally:
            self._is_busy = self._is_busy if course.is_busy is None else course.is_busy
            await socket.close()

    def _course(self, wire: Wire, since: Place | None, is_lost: bool) -> Course:
        course = Course(since, self._options.host, wire, self._now_ms(), int(self._patience.quiet_s * 1000))
        if is_lost:
            course.joint.lose()
        return course

    async def _knock(self, client: Any, wire: Wire, cursor: int | None) -> tuple[Any, str]:
        """A socket, or the name of the server's refusal. What is no refusal of the question is raised."""
        from aiohttp import ClientWSTimeout, WSServerHandshakeError

        url, asked = self._options.address(wire), self._asked(wire, cursor)
        try:
            # A dead connection is known before `quiet_s` is over: a ping after half of it, a quarter for the answer.
            async with asyncio.timeout(self._patience.connect_s):
                return await client.ws_connect(
                    url, params=asked, protocols=(SUBPROTOCOL,) if wire is Wire.V2 else (), decode_text=False,
                    max_msg_size=MAX_FRAME, heartbeat=0.5 * self._patience.quiet_s,
                    timeout=ClientWSTimeout(ws_close=CLOSE_S)), ""
        except WSServerHandshakeError as error:
            if error.status == 400:
                return None, await self._why(client, url, asked)
            if error.status == 404:
                return None, "404"
            check(error.status, error.headers or {}, "--url and --wire")
            raise Trouble(f"{error.status} where a WebSocket was expected") from None

    def _asked(self, wire: Wire, cursor: int | None) -> dict[str, str]:
        asked = {"collections" if wire is Wire.V2 else "wantedCollections": POSTS}
        if cursor is not None:
            asked["cursor"] = str(cursor)
        if self._unpacker is not None:
            asked |= {"zstdDictionary": str(self._unpacker.number)} if wire is Wire.V2 else {"compress": "true"}
        return asked

    async def _why(self, client: Any, url: str, asked: Mapping[str, str]) -> str:
        """The same question without a WebSocket: of a refused handshake, the library keeps no body."""
        async with client.get(url.replace("ws", "http", 1), params=asked) as answer:
            said = await body(answer, MAX_ANSWER)
        try:
            name = str(msgspec.json.decode(said or b"")["error"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            name = ""
        return name if name in ("CursorTooOld", "InvalidRequest", "UnknownZstdDictionary") else "400"
